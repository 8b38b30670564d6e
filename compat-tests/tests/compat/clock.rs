//! A machine whose clock is wrong: the client is refused, and told both times, so that its owner sees which one is off.

use anyhow::{Result, ensure};
use compat_tests::clients::Client;
use compat_tests::process::run_any;
use compat_tests::tree;

use crate::stage::{LIMIT, Stage, Test, good, plain_http};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::with(
        Client::Faketime,
        "a_client_with_a_wrong_clock_is_told_both_times",
        wrong_clock,
    )]
}

/// The aws CLI under a clock that is off by `by`, as `faketime` writes it.
fn aws(stage: &Stage, by: &str, arguments: &[&str]) -> Result<std::process::Command> {
    let mut command = stage.command(&stage.program);
    command
        .args(["-f", by])
        .arg(Client::AwsCli2.fetch()?)
        .arg("--endpoint-url")
        .arg(stage.setup.endpoint())
        .args(arguments);
    Ok(command)
}

fn wrong_clock(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    stage.file("file", &tree::bytes(1, 5_000))?;
    good(&mut aws(stage, "+1m", &["s3", "mb", "s3://clocks"])?)?;
    let copy = ["s3", "cp", "file", "s3://clocks/file"];
    // Within the quarter of an hour that S3 allows, nobody is bothered.
    good(&mut aws(stage, "+10m", &copy)?)?;
    good(&mut aws(stage, "-10m", &copy)?)?;
    for by in ["+20m", "-20m", "-400d"] {
        let output = run_any(&mut aws(stage, by, &copy)?, LIMIT)?;
        let said = output.everything();
        ensure!(!output.status.success(), "{by}: accepted: {said}");
        ensure!(said.contains("RequestTimeTooSkewed"), "{by}: {said}");
        let both = said.contains("the request says 20") && said.contains("the server's clock 20");
        ensure!(both, "{by}: the message does not tell both times: {said}");
    }
    // A link made by a clock that is slow is expired from the start; by one that is fast, not valid yet.
    for (by, why) in [("-2h", "Request has expired"), ("+2h", "Request is not valid yet")] {
        let presign = ["s3", "presign", "--expires-in", "600", "s3://clocks/file"];
        let link = good(&mut aws(stage, by, &presign)?)?.text();
        let (status, body) = plain_http("GET", link.trim(), b"")?;
        let body = String::from_utf8_lossy(&body).into_owned();
        ensure!(status == 403 && body.contains(why), "{by}: {status} {body}");
        ensure!(body.contains("<ServerTime>20"), "{by}: {body}");
    }
    server.stop()
}
