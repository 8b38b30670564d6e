//! rclone of Debian: copy, check, sync, streams in many threads, and modification times in metadata.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use compat_tests::clients::Client;
use compat_tests::server::{ACCESS_KEY, SECRET_KEY};
use compat_tests::tree;
use serde_json::Value;

use crate::stage::{Stage, Test, good, plain_http, refused, same_bytes};

const MIB: usize = 1024 * 1024;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::with(Client::Rclone, "rclone_copies_checks_and_syncs", life)]
}

fn rclone(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = stage.command(&stage.program);
    command
        .env("RCLONE_CONFIG", stage.files.join("rclone.conf"))
        .env("RCLONE_CONFIG_STONE_TYPE", "s3")
        .env("RCLONE_CONFIG_STONE_PROVIDER", "Other")
        .env("RCLONE_CONFIG_STONE_ENDPOINT", stage.setup.endpoint())
        .env("RCLONE_CONFIG_STONE_ACCESS_KEY_ID", ACCESS_KEY)
        .env("RCLONE_CONFIG_STONE_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("RCLONE_RETRIES", "1")
        .env("RCLONE_LOW_LEVEL_RETRIES", "1")
        .args(arguments);
    command
}

fn life(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    stage.file("rclone.conf", b"")?;
    let here = stage.files.join("tree");
    tree::write(&here, 1_220, &[11 * MIB, 260 * MIB])?;
    good(&mut rclone(stage, &["mkdir", "stone:rclone"]))?;
    good(&mut rclone(
        stage,
        &[
            "copy",
            "--transfers",
            "8",
            "--s3-chunk-size",
            "5M",
            "tree",
            "stone:rclone/a",
        ],
    ))?;
    good(&mut rclone(
        stage,
        &["check", "--checkers", "8", "tree", "stone:rclone/a"],
    ))?;
    good(&mut rclone(
        stage,
        &["check", "--download", "tree/big", "stone:rclone/a/big"],
    ))?;
    listing(stage)?;
    streams(stage)?;
    // 260 MiB in four ranged streams at once.
    good(&mut rclone(
        stage,
        &["copy", "--multi-thread-streams", "4", "stone:rclone/a", "back"],
    ))?;
    tree::same(&here, &stage.files.join("back"))?;
    good(&mut rclone(stage, &["copy", "stone:rclone/a/00", "stone:rclone/b"]))?;
    good(&mut rclone(stage, &["check", "tree/00", "stone:rclone/b"]))?;
    std::fs::remove_dir_all(here.join("big"))?;
    good(&mut rclone(stage, &["sync", "tree", "stone:rclone/a"]))?;
    good(&mut rclone(stage, &["sync", "stone:rclone/a", "back"]))?;
    std::fs::remove_dir(stage.files.join("back/big")).ok();
    tree::same(&here, &stage.files.join("back"))?;
    let again = good(&mut rclone(stage, &["sync", "-v", "tree", "stone:rclone/a"]))?.everything();
    ensure!(!again.contains("Copied"), "a second sync copies again: {again}");
    let link = good(&mut rclone(
        stage,
        &["link", "--expire", "60s", "stone:rclone/streamed"],
    ))?
    .text();
    let (status, body) = plain_http("GET", link.trim(), b"")?;
    ensure!(status == 200, "a link answered {status}");
    same_bytes(&body, &tree::bytes(9, 6 * MIB), "by a link")?;
    errors(stage)?;
    good(&mut rclone(stage, &["deletefile", "stone:rclone/streamed"]))?;
    refused("exist", &mut rclone(stage, &["deletefile", "stone:rclone/streamed"]))?;
    good(&mut rclone(stage, &["purge", "stone:rclone"]))?;
    ensure!(!good(&mut rclone(stage, &["lsd", "stone:"]))?.text().contains("rclone"));
    server.stop()
}

fn listing(stage: &Stage) -> Result<()> {
    let text = good(&mut rclone(
        stage,
        &["lsjson", "--recursive", "--files-only", "stone:rclone/a"],
    ))?
    .text();
    let entries: Vec<Value> = serde_json::from_str(&text).context("lsjson")?;
    ensure!(entries.len() == 1_222, "{} entries are listed", entries.len());
    let big = entries
        .iter()
        .find(|entry| entry.get("Size").and_then(Value::as_u64) == Some(11 * MIB as u64));
    let when = big
        .and_then(|entry| entry.get("ModTime"))
        .and_then(Value::as_str)
        .context("the big file is listed")?;
    let kept = std::fs::metadata(stage.files.join(format!("tree/big/0-{}", 11 * MIB)))?.modified()?;
    let kept = time::OffsetDateTime::from(kept).date().to_string();
    ensure!(when.starts_with(&kept), "modification time {when}, not {kept}");
    let range = good(&mut rclone(
        stage,
        &[
            "cat",
            "--offset",
            "100",
            "--count",
            "50",
            &format!("stone:rclone/a/big/0-{}", 11 * MIB),
        ],
    ))?;
    let whole = tree::bytes(0xB16, 11 * MIB);
    same_bytes(&range.stdout, whole.get(100..150).unwrap_or_default(), "a range")
}

fn streams(stage: &Stage) -> Result<()> {
    let content = tree::bytes(9, 6 * MIB);
    stage.file("stream", &content)?;
    let mut command = stage.command("/bin/sh".as_ref());
    for (name, value) in rclone(stage, &[]).get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    good(
        command
            .args([
                "-c",
                r#"cat stream | "$0" rcat --streaming-upload-cutoff 1M stone:rclone/streamed"#,
            ])
            .arg(&stage.program),
    )?;
    let got = good(&mut rclone(stage, &["cat", "stone:rclone/streamed"]))?;
    same_bytes(&got.stdout, &content, "a stream there and back")
}

fn errors(stage: &Stage) -> Result<()> {
    refused("not found", &mut rclone(stage, &["ls", "stone:absent-bucket"]))?;
    refused(
        "InvalidAccessKeyId",
        rclone(stage, &["lsd", "stone:"]).env("RCLONE_CONFIG_STONE_ACCESS_KEY_ID", "nobody-here"),
    )?;
    refused(
        "SignatureDoesNotMatch",
        rclone(stage, &["lsd", "stone:"]).env("RCLONE_CONFIG_STONE_SECRET_ACCESS_KEY", "wrong-secret"),
    )
}
