//! `drystone inspect`: raw drives looked at beside a running store, after it, and with a byte flipped.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use compat_tests::process::run_any;
use compat_tests::s3::{Target, between};
use compat_tests::server::binary;
use compat_tests::tree;
use http::Method;
use serde_json::Value;

use crate::stage::{LIMIT, Stage, Test, refused, runtime};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::alone("inspect_tells_where_objects_lie_and_what_is_damaged", life),
        Test::alone("a_reader_that_goes_away_ends_a_command_quietly", unheard),
        Test::alone("salvage_gets_out_what_can_be_read_and_tells_the_rest", salvaged),
    ]
}

/// Nobody reads what is printed: no panic, no complaint, and the exit code that it would have had.
fn unheard(stage: &mut Stage) -> Result<()> {
    stage.start()?.stop()?;
    let (good, usage) = (["inspect", "store"], ["inspect", "segment"]);
    for (what, code) in [(&good, 0), (&usage, 1)] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = stage.command(&binary()?);
        command.args(what);
        if code == 1 {
            command.arg("0".repeat(32));
        }
        command.args(&stage.setup.drives).stdout(writer.try_clone()?);
        let heard = command.output()?;
        let said = String::from_utf8_lossy(&heard.stderr).into_owned();
        ensure!(heard.status.code() == Some(code), "{what:?}: {} {said}", heard.status);
        ensure!(!said.contains("panicked") && !said.contains("pipe"), "{said}");
        // Standard error, too.
        let ended = command.stderr(writer).status()?;
        ensure!(ended.code() == Some(code), "{what:?}: {ended}");
    }
    Ok(())
}

/// Objects of every kind and with names that are no paths; then every root is lost, then more than the parity bears.
fn salvaged(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let target = Target::suite(&stage.setup.endpoint())?;
    let runtime = runtime()?;
    let put = |path: &str, body: Vec<u8>| runtime.block_on(target.ask(Method::PUT, path, "", body));
    put("/kept", Vec::new())?;
    put("/empty", Vec::new())?;
    let mut objects = vec![
        ("small", tree::bytes(1, 5_000)),
        ("a/large", tree::bytes(2, 2_900_000)),
        ("nothing", Vec::new()),
        ("small/taken", tree::bytes(3, 100)),
        ("a//b", tree::bytes(4, 100)),
        ("folder/", tree::bytes(5, 100)),
        ("up/../../../out", tree::bytes(6, 100)),
    ];
    for (key, body) in &objects {
        put(&format!("/kept/{key}"), body.clone())?;
    }
    let query = |method, query: &str, body: Vec<u8>| -> Result<String> {
        let said = runtime.block_on(target.ask(method, "/kept/of-parts", query, body))?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    };
    let begun = query(Method::POST, "uploads=", Vec::new())?;
    let upload = between(&begun, "UploadId").context("an upload id")?;
    let part = tree::bytes(7, 600_000);
    query(Method::PUT, &format!("partNumber=1&uploadId={upload}"), part.clone())?;
    let listed = query(Method::GET, &format!("uploadId={upload}"), Vec::new())?.replace("&quot;", "\"");
    let tag = between(&listed, "ETag").context("the tag of the part")?;
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
    );
    query(Method::POST, &format!("uploadId={upload}"), list.into_bytes())?;
    objects.push(("of-parts", part));
    put("/kept/deleted", tree::bytes(8, 5_000))?;
    runtime.block_on(target.ask(Method::DELETE, "/kept/deleted", "", ""))?;
    server.stop()?;

    let (summary, code) = salvage(stage, "out-1", stage.setup.drives.len())?;
    ensure!(
        code == Some(0) && summary.get("complete") == Some(&true.into()),
        "{summary}"
    );
    came_out(stage, "out-1", &objects)?;
    ensure!(
        stage.files.join("out-1/objects/empty").is_dir(),
        "a bucket without objects"
    );
    // Again into what is there: refused.
    refused("is not empty", salvage_to(stage, "out-1", 4)?.arg("--json"))?;
    for drive in &stage.setup.drives {
        for slot in ["root.0", "root.1"] {
            let slot = drive.join(".drystone").join(slot);
            if slot.exists() {
                fs::write(slot, b"spoiled")?;
            }
        }
    }
    let (summary, code) = salvage(stage, "out-2", 2)?;
    ensure!(code == Some(3) && summary.get("lost") == Some(&0.into()), "{summary}");
    came_out(stage, "out-2", &objects)?;
    let (summary, code) = salvage(stage, "out-3", 1)?;
    ensure!(code == Some(3), "{summary}");
    ensure!(
        fs::read_dir(stage.files.join("out-3/objects")).map_or(0, Iterator::count) <= 2,
        "beyond the parity nothing but empty objects comes out"
    );
    Ok(())
}

fn salvage_to(stage: &Stage, to: &str, drives: usize) -> Result<Command> {
    let mut command = stage.command(&binary()?);
    command.arg("salvage").arg("--to").arg(stage.files.join(to));
    command.args(stage.setup.drives.iter().take(drives));
    Ok(command)
}

fn salvage(stage: &Stage, to: &str, drives: usize) -> Result<(Value, Option<i32>)> {
    document(salvage_to(stage, to, drives)?.arg("--json"))
}

/// Every object is where the report says, byte for byte, and nothing else is in the report; nothing stands outside.
fn came_out(stage: &Stage, to: &str, objects: &[(&str, Vec<u8>)]) -> Result<()> {
    let folder = stage.files.join(to);
    let report = fs::read_to_string(folder.join("report.jsonl"))?;
    let mut found = 0;
    for line in report.lines() {
        let line: Value = serde_json::from_str(line)?;
        if line.get("type") != Some(&"object".into()) {
            continue;
        }
        found += 1;
        let text = |field: &str| {
            line.get(field)
                .and_then(Value::as_str)
                .with_context(|| format!("{line}"))
        };
        let (_, body) = objects
            .iter()
            .find(|(key, _)| text("key").is_ok_and(|told| told == *key))
            .with_context(|| format!("nobody put {line}"))?;
        ensure!(text("status")? == "whole", "{line}");
        let path = fs::canonicalize(folder.join(text("path")?))?;
        ensure!(path.starts_with(fs::canonicalize(&folder)?), "{line}");
        ensure!(fs::read(path)? == *body, "other bytes: {line}");
    }
    ensure!(found == objects.len(), "{found} objects in {report}");
    Ok(())
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
