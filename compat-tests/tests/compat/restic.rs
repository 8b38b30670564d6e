//! restic of Debian: two backups, a full check, restore byte for byte, diff, prune, and a check after it.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use compat_tests::clients::Client;
use compat_tests::tree;
use serde_json::Value;

use crate::stage::{Stage, Test, good, refused};

const MIB: usize = 1024 * 1024;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::with(Client::Restic, "restic_backs_up_restores_and_prunes", life)]
}

fn restic(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = stage.command(&stage.program);
    command
        .env(
            "RESTIC_REPOSITORY",
            format!("s3:{}/restic/deep/repository", stage.setup.endpoint()),
        )
        .env("RESTIC_PASSWORD", "a passphrase")
        .args(arguments);
    command
}

fn life(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let here = stage.files.join("tree");
    tree::write(&here, 600, &[24 * MIB, 5 * MIB])?;
    good(&mut restic(stage, &["init"]))?;
    good(&mut restic(stage, &["backup", "tree"]))?;
    fs::remove_file(here.join(format!("big/0-{}", 24 * MIB)))?;
    stage.file("tree/big/new", &tree::bytes(77, 3 * MIB))?;
    good(&mut restic(stage, &["backup", "tree"]))?;
    good(&mut restic(stage, &["check", "--read-data"]))?;
    let snapshots: Vec<Value> = serde_json::from_str(&good(&mut restic(stage, &["snapshots", "--json"]))?.text())?;
    let ids: Vec<&str> = snapshots
        .iter()
        .filter_map(|snapshot| snapshot.get("short_id")?.as_str())
        .collect();
    let (&first, &second) = ids.first().zip(ids.get(1)).context("two snapshots")?;
    let difference = good(&mut restic(stage, &["diff", first, second]))?.text();
    ensure!(difference.contains("+    /tree/big/new"), "{difference}");
    ensure!(
        difference.contains(&format!("-    /tree/big/0-{}", 24 * MIB)),
        "{difference}"
    );
    good(&mut restic(
        stage,
        &["restore", second, "--target", "restored", "--verify"],
    ))?;
    tree::same(&here, &stage.files.join("restored/tree"))?;
    good(&mut restic(stage, &["forget", "--prune", "--keep-last", "1"]))?;
    good(&mut restic(stage, &["check", "--read-data"]))?;
    good(&mut restic(stage, &["restore", "latest", "--target", "again"]))?;
    tree::same(&here, &stage.files.join("again/tree"))?;
    refused(
        "wrong password",
        restic(stage, &["snapshots"]).env("RESTIC_PASSWORD", "another"),
    )?;
    server.stop()
}
