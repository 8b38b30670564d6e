//! MinIO's own client, unchanged: alias, mb, cp, ls, cat, stat, mirror, rm, rb, share download, ping, ready.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use compat_tests::clients::Client;
use compat_tests::server::{ACCESS_KEY, SECRET_KEY};
use compat_tests::tree;
use serde_json::Value;

use crate::stage::{Stage, Test, good, plain_http, refused, same_bytes, same_file};

const MIB: usize = 1024 * 1024;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::with(Client::Mc, "mc_works_unchanged", life)]
}

fn mc(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = stage.command(&stage.program);
    command
        .arg("--config-dir")
        .arg(stage.files.join("mc"))
        .args(["--json"])
        .args(arguments);
    command
}

/// The JSON lines of a command that must succeed.
fn lines(stage: &Stage, arguments: &[&str]) -> Result<Vec<Value>> {
    let text = good(&mut mc(stage, arguments))?.text();
    serde_json::Deserializer::from_str(&text)
        .into_iter()
        .collect::<Result<_, _>>()
        .with_context(|| format!("not JSON: {text}"))
}

fn life(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let endpoint = stage.setup.endpoint();
    let wrong = ["alias", "set", "bad", &endpoint, ACCESS_KEY, "wrong-secret"];
    refused("SignatureDoesNotMatch", &mut mc(stage, &wrong))?;
    good(&mut mc(
        stage,
        &["alias", "set", "stone", &endpoint, ACCESS_KEY, SECRET_KEY],
    ))?;
    good(&mut mc(stage, &["ready", "stone"]))?;
    good(&mut mc(stage, &["ping", "--count", "2", "stone"]))?;
    good(&mut mc(stage, &["mb", "stone/mc-life"]))?;
    refused("already own", &mut mc(stage, &["mb", "stone/mc-life"]))?;
    good(&mut mc(stage, &["mb", "--ignore-existing", "stone/mc-life"]))?;
    objects(stage)?;
    mirrors(stage)?;
    links(stage)?;
    refused("not empty", &mut mc(stage, &["rb", "stone/mc-life"]))?;
    refused("does not exist", &mut mc(stage, &["cat", "stone/mc-life/absent"]))?;
    refused("does not exist", &mut mc(stage, &["ls", "stone/absent-bucket"]))?;
    good(&mut mc(stage, &["rm", "--recursive", "--force", "stone/mc-life/a"]))?;
    good(&mut mc(stage, &["rb", "--force", "stone/mc-life"]))?;
    ensure!(lines(stage, &["ls", "stone"])?.is_empty(), "no bucket is left");
    server.stop()
}

fn objects(stage: &Stage) -> Result<()> {
    let small = tree::bytes(1, 2_000);
    let large = tree::bytes(2, 40 * MIB + 1);
    stage.file("small ü", &small)?;
    stage.file("empty", b"")?;
    stage.file("large", &large)?;
    good(&mut mc(
        stage,
        &["cp", "--attr", "one=1", "small ü", "stone/mc-life/a/small +ü"],
    ))?;
    good(&mut mc(stage, &["cp", "empty", "large", "stone/mc-life/a/"]))?;
    for (key, content) in [("small +ü", &small), ("empty", &Vec::new()), ("large", &large)] {
        let mut cat = stage.command(&stage.program);
        cat.arg("--config-dir")
            .arg(stage.files.join("mc"))
            .args(["cat", &format!("stone/mc-life/a/{key}")]);
        same_bytes(&good(&mut cat)?.stdout, content, key)?;
    }
    let stat = lines(stage, &["stat", "stone/mc-life/a/small +ü"])?;
    let stat = stat.first().context("one object")?;
    ensure!(stat.get("size").and_then(Value::as_u64) == Some(2_000), "{stat}");
    ensure!(stat.to_string().to_lowercase().contains("x-amz-meta-one"), "{stat}");
    let mut stream = stage.command("/bin/sh".as_ref());
    stream.args([
        "-c",
        r#"cat large | "$0" --config-dir "$1" pipe stone/mc-life/a/stream"#,
    ]);
    good(stream.arg(&stage.program).arg(stage.files.join("mc")))?;
    good(&mut mc(stage, &["cp", "stone/mc-life/a/stream", "got"]))?;
    same_file(&stage.files.join("got"), &large)?;
    good(&mut mc(
        stage,
        &["cp", "stone/mc-life/a/large", "stone/mc-life/a/copied"],
    ))?;
    good(&mut mc(
        stage,
        &["mv", "stone/mc-life/a/copied", "stone/mc-life/a/moved"],
    ))?;
    good(&mut mc(stage, &["cp", "stone/mc-life/a/moved", "got"]))?;
    same_file(&stage.files.join("got"), &large)?;
    let head = good(
        stage
            .command(&stage.program)
            .arg("--config-dir")
            .arg(stage.files.join("mc"))
            .args(["cat", "--offset", "100", "stone/mc-life/a/small +ü"]),
    )?;
    same_bytes(&head.stdout, small.get(100..).unwrap_or_default(), "from an offset")?;
    let listed = lines(stage, &["ls", "stone/mc-life/a/"])?;
    ensure!(listed.len() == 5, "five objects: {listed:?}");
    good(&mut mc(stage, &["rm", "stone/mc-life/a/empty"]))?;
    refused("does not exist", &mut mc(stage, &["stat", "stone/mc-life/a/empty"]))
}

fn mirrors(stage: &Stage) -> Result<()> {
    let here = stage.files.join("tree");
    tree::write(&here, 1_230, &[9 * MIB])?;
    good(&mut mc(stage, &["mirror", "tree", "stone/mc-life/mirror"]))?;
    ensure!(
        lines(stage, &["ls", "--recursive", "stone/mc-life/mirror"])?.len() == 1_231,
        "every file is listed"
    );
    good(&mut mc(stage, &["mirror", "stone/mc-life/mirror", "back"]))?;
    tree::same(&here, &stage.files.join("back"))?;
    std::fs::remove_dir_all(here.join("big"))?;
    good(&mut mc(
        stage,
        &["mirror", "--remove", "--overwrite", "tree", "stone/mc-life/mirror"],
    ))?;
    ensure!(
        lines(stage, &["ls", "--recursive", "stone/mc-life/mirror"])?.len() == 1_230,
        "the removed file is gone"
    );
    Ok(())
}

fn links(stage: &Stage) -> Result<()> {
    let shared = lines(
        stage,
        &["share", "download", "--expire", "1m", "stone/mc-life/a/small +ü"],
    )?;
    let link = shared
        .first()
        .and_then(|line| line.get("share")?.as_str())
        .context("a link")?;
    let (status, body) = plain_http("GET", link, b"")?;
    ensure!(status == 200, "a link answered {status}");
    same_bytes(&body, &tree::bytes(1, 2_000), "by a link")
}
