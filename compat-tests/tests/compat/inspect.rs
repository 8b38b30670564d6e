//! `drystone inspect`: raw drives looked at beside a running store, after it, and with a byte flipped.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use compat_tests::process::run_any;
use compat_tests::s3::Target;
use compat_tests::server::binary;
use compat_tests::tree;
use http::Method;
use serde_json::Value;

use crate::stage::{LIMIT, Stage, Test, refused, runtime};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::alone("inspect_tells_where_objects_lie_and_what_is_damaged", life)]
}

fn inspect(stage: &Stage, what: &[&str]) -> Result<Command> {
    let mut command = stage.command(&binary()?);
    command.args(["inspect", "--json"]).args(what).args(&stage.setup.drives);
    Ok(command)
}

/// The only line of JSON a command prints, and its exit code.
fn document(command: &mut Command) -> Result<(Value, Option<i32>)> {
    let output = run_any(command, LIMIT)?;
    let said = output.everything();
    let value = serde_json::from_str(&output.text()).with_context(|| format!("not JSON: {said}"))?;
    Ok((value, output.status.code()))
}

fn life(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let target = Target::suite(&stage.setup.endpoint())?;
    let runtime = runtime()?;
    let put = |path: &str, body: Vec<u8>| runtime.block_on(target.ask(Method::PUT, path, "", body));
    put("/kept", Vec::new())?;
    put("/kept/small", tree::bytes(1, 5_000))?;
    put("/kept/a/large", tree::bytes(2, 900_000))?;
    // Beside the running store: it says so, and the store does not notice.
    let (beside, _) = document(&mut inspect(stage, &["object", "kept/a/large"])?)?;
    ensure!(beside.pointer("/used_by/0") == Some(&server.id().into()), "{beside}");
    ensure!(beside.get("verdict") == Some(&"whole".into()), "{beside}");
    put("/kept/after", tree::bytes(3, 5_000))?;
    server.stop()?;

    for object in ["kept/small", "kept/a/large", "kept/after"] {
        let (placed, code) = document(&mut inspect(stage, &["object", object])?)?;
        ensure!(
            code == Some(0) && placed.get("verdict") == Some(&"whole".into()),
            "{placed}"
        );
        ensure!(placed.get("used_by") == Some(&Value::Array(Vec::new())), "{placed}");
    }
    refused("no such object", &mut inspect(stage, &["object", "kept/nothing"])?)?;
    let (store, code) = document(&mut inspect(stage, &["store"])?)?;
    ensure!(code == Some(0) && store.get("parity") == Some(&2.into()), "{store}");
    flipped(stage)
}

/// One byte of one shard is flipped: told, with the place, and the object can still be read.
fn flipped(stage: &Stage) -> Result<()> {
    let (large, _) = document(&mut inspect(stage, &["object", "kept/a/large"])?)?;
    let segment = large
        .pointer("/pieces/0/segment")
        .and_then(Value::as_str)
        .context("a segment")?;
    let holder = large
        .pointer("/pieces/0/shards/1/drive")
        .and_then(Value::as_str)
        .context("a drive")?;
    let (seen, code) = document(&mut inspect(stage, &["segment", segment])?)?;
    ensure!(code == Some(0) && seen.get("whole") == Some(&true.into()), "{seen}");
    ensure!(
        seen.get("shards").and_then(Value::as_array).map(Vec::len) == Some(4),
        "{seen}"
    );
    let file = format!("{holder}/.drystone/extent/0000/{segment}.01");
    let mut bytes = fs::read(&file)?;
    let at = bytes.get_mut(9_000).context("a byte of the first stripe")?;
    *at ^= 1;
    fs::write(&file, bytes)?;
    let (seen, code) = document(&mut inspect(stage, &["segment", segment])?)?;
    ensure!(
        code == Some(3) && seen.pointer("/shards/1/damaged") == Some(&1.into()),
        "{seen}"
    );
    let (placed, code) = document(&mut inspect(stage, &["object", "kept/a/large"])?)?;
    ensure!(
        code == Some(3) && placed.get("verdict") == Some(&"degraded".into()),
        "{placed}"
    );
    let (frame, _) = document(&mut inspect(stage, &["frame", segment, "4096"])?)?;
    ensure!(
        frame.pointer("/shards/1/frames/0/good") == Some(&false.into()),
        "{frame}"
    );
    ensure!(
        frame.pointer("/shards/0/frames/0/good") == Some(&true.into()),
        "{frame}"
    );
    Ok(())
}
