//! Looking after a running store: MinIO's own `mc admin` against the admin API, and `drystone admin`.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use compat_tests::clients::Client;
use compat_tests::s3::{Payload, Target};
use compat_tests::server::{ACCESS_KEY, SECRET_KEY, binary};
use http::{Method, StatusCode};
use serde_json::Value;

use crate::stage::{Stage, Test, good, refused, runtime};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::with(Client::Mc, "mc_admin_info_prints_the_right_drives", with_mc),
        Test::alone("drystone_admin_tells_what_is_there", with_our_own),
    ]
}

fn mc(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = stage.command(&stage.program);
    command.arg("--config-dir").arg(stage.files.join("mc")).args(arguments);
    command
}

/// The document of `mc admin info --json`.
fn info(stage: &Stage) -> Result<Value> {
    let text = good(&mut mc(stage, &["--json", "admin", "info", "stone"]))?.text();
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}

/// The states of the drives in the order of the command line.
fn states(info: &Value) -> Result<Vec<String>> {
    let drives = info.pointer("/info/servers/0/drives").and_then(Value::as_array);
    let drives = drives.with_context(|| format!("no drives in {info}"))?;
    let state = |drive: &Value| drive.get("state")?.as_str().map(str::to_owned);
    drives
        .iter()
        .map(state)
        .collect::<Option<_>>()
        .context("a drive without a state")
}

fn with_mc(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let endpoint = stage.setup.endpoint();
    good(&mut mc(
        stage,
        &["alias", "set", "stone", &endpoint, ACCESS_KEY, SECRET_KEY],
    ))?;
    good(&mut mc(stage, &["mb", "stone/kept"]))?;
    let whole = info(stage)?;
    ensure!(states(&whole)? == ["ok"; 4], "{whole}");
    for (path, wanted) in [
        ("/info/mode", Value::from("online")),
        ("/info/backend/backendType", "Erasure".into()),
        ("/info/backend/onlineDisks", 4.into()),
        ("/info/backend/standardSCParity", 2.into()),
        ("/info/backend/totalDrivesPerSet/0", 4.into()),
        ("/info/servers/0/state", "online".into()),
    ] {
        ensure!(
            whole.pointer(path) == Some(&wanted),
            "{path} is not {wanted} in {whole}"
        );
    }
    let printed = good(&mut mc(stage, &["admin", "info", "stone"]))?.text();
    ensure!(printed.contains("Drives: 4/4 OK"), "{printed}");
    good(&mut mc(stage, &["admin", "heal", "stone"]))?;
    let healing = good(&mut mc(stage, &["--json", "admin", "heal", "stone"]))?.text();
    ensure!(healing.contains("\"sets\""), "{healing}");
    good(&mut mc(stage, &["ping", "--distributed", "--count", "1", "stone"]))?;
    // What is not built fails at once, in words, instead of being asked again for minutes.
    refused("not implemented", &mut mc(stage, &["idp", "openid", "ls", "stone"]))?;
    server.stop()?;

    let third = stage.setup.drives.get(2).context("four drives")?;
    fs::rename(third, stage.setup.folder.join("taken"))?;
    let server = stage.start()?;
    let degraded = info(stage)?;
    ensure!(states(&degraded)? == ["ok", "ok", "offline", "ok"], "{degraded}");
    let offline = degraded.pointer("/info/backend/offlineDisks");
    ensure!(offline == Some(&Value::from(1)), "{degraded}");
    let printed = good(&mut mc(stage, &["admin", "info", "stone"]))?.text();
    ensure!(printed.contains("Drives: 3/4 OK"), "{printed}");
    server.stop()
}

/// Our own command line, as the root user.
pub(crate) fn drystone(stage: &Stage, arguments: &[&str]) -> Result<Command> {
    let mut command = stage.command(&binary()?);
    command
        .args(arguments)
        .env("DRYSTONE_ENDPOINT", stage.setup.endpoint())
        .env("MINIO_ROOT_USER", ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", SECRET_KEY);
    Ok(command)
}

/// Waits until the store says that a census found nothing missing.
fn until_whole(stage: &Stage) -> Result<()> {
    let start = Instant::now();
    loop {
        let said = good(&mut drystone(stage, &["admin", "heal", "status", "--json"])?)?.text();
        let report: Value = serde_json::from_str(&said).with_context(|| format!("not JSON: {said}"))?;
        if report.get("state") == Some(&"whole".into()) {
            return Ok(());
        }
        ensure!(
            start.elapsed() < Duration::from_secs(60),
            "not whole after a minute: {said}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What is stored is there before and after; in between, requests are told when to come again.
fn index_made_anew(stage: &Stage) -> Result<()> {
    let right = |stage: &Stage| -> Result<()> {
        let said = good(&mut drystone(stage, &["admin", "index", "verify"])?)?.text();
        ensure!(said.starts_with("The index is right: "), "{said}");
        Ok(())
    };
    let target = Target::suite(&stage.setup.endpoint())?;
    let runtime = runtime()?;
    runtime.block_on(target.ask(Method::PUT, "/kept", "", ""))?;
    right(stage)?;
    good(&mut drystone(stage, &["admin", "index", "rebuild"])?)?;
    let (start, mut refusals) = (Instant::now(), 0);
    loop {
        let head = target.request(Method::HEAD, "/kept", "", Bytes::new(), Payload::Signed)?;
        let (status, _) = runtime.block_on(async { target.connect().await?.send(head).await })?;
        match status {
            StatusCode::OK if refusals > 0 => return right(stage),
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => {}
            other => bail!("while the index is made anew: {other}"),
        }
        refusals += u32::from(status == StatusCode::SERVICE_UNAVAILABLE);
        ensure!(start.elapsed() < Duration::from_secs(60), "not made anew in a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn with_our_own(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let text = good(&mut drystone(stage, &["admin", "info", "--json"])?)?.text();
    let status: Value = serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))?;
    ensure!(status.get("state") == Some(&"read-write".into()), "{status}");
    let listed = good(&mut drystone(stage, &["admin", "drive", "list"])?)?.text();
    ensure!(
        listed
            .lines()
            .filter(|line| line.trim_start().starts_with("in "))
            .count()
            == 4,
        "{listed}"
    );
    good(&mut drystone(stage, &["admin", "heal", "start"])?)?;
    good(&mut drystone(stage, &["admin", "scrub", "start"])?)?;
    until_whole(stage)?;
    index_made_anew(stage)?;
    refused(
        "SignatureDoesNotMatch",
        drystone(stage, &["admin", "info"])?.env("MINIO_ROOT_PASSWORD", "not-the-password"),
    )?;
    server.stop()?;
    refused("cannot be reached", &mut drystone(stage, &["admin", "info"])?)
}
