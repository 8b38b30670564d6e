//! s3cmd, 2.3 of Debian and 2.4 of PyPI: Signature Version 4, multipart, odd names, and version 2 refused cleanly.

use std::process::Command;

use anyhow::{Result, ensure};
use compat_tests::clients::Client;
use compat_tests::server::{ACCESS_KEY, SECRET_KEY};
use compat_tests::tree;

use crate::stage::{Stage, Test, good, plain_http, refused, same_bytes, same_file};

const MIB: usize = 1024 * 1024;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::with(Client::S3cmdDebian, "s3cmd_2_3_does_every_operation", life),
        Test::with(Client::S3cmd, "s3cmd_2_4_does_every_operation", life),
    ]
}

fn s3cmd(stage: &Stage, arguments: &[&str]) -> Command {
    let host = format!("127.0.0.1:{}", stage.setup.port);
    let mut command = stage.command(&stage.program);
    command
        .args([
            "--config",
            "s3cfg",
            "--no-ssl",
            "--no-progress",
            "--host",
            &host,
            "--host-bucket",
            &host,
        ])
        .args(arguments);
    command
}

fn life(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    // In the file, so that a wrong key can be given by another file and no secret shows in a list of processes.
    stage.file("s3cfg", config(ACCESS_KEY, SECRET_KEY).as_bytes())?;
    good(&mut s3cmd(stage, &["mb", "s3://s3cmd"]))?;
    let small = tree::bytes(1, 2_500);
    let large = tree::bytes(2, 17 * MIB + 3);
    stage.file("small ü", &small)?;
    stage.file("empty", b"")?;
    stage.file("large", &large)?;
    good(&mut s3cmd(stage, &["put", "small ü", "s3://s3cmd/dir/small +ü"]))?;
    good(&mut s3cmd(stage, &["put", "empty", "s3://s3cmd/empty"]))?;
    good(&mut s3cmd(
        stage,
        &["put", "--multipart-chunk-size-mb=5", "large", "s3://s3cmd/large"],
    ))?;
    for (key, content) in [("dir/small +ü", &small), ("empty", &Vec::new()), ("large", &large)] {
        good(&mut s3cmd(
            stage,
            &["get", "--force", &format!("s3://s3cmd/{key}"), "got"],
        ))?;
        same_file(&stage.files.join("got"), content)?;
    }
    stream(stage, &large)?;
    let info = good(&mut s3cmd(stage, &["info", "s3://s3cmd/large"]))?.text();
    ensure!(info.contains(&large.len().to_string()), "{info}");
    good(&mut s3cmd(
        stage,
        &["cp", "s3://s3cmd/dir/small +ü", "s3://s3cmd/copied"],
    ))?;
    good(&mut s3cmd(stage, &["mv", "s3://s3cmd/copied", "s3://s3cmd/moved"]))?;
    refused(
        "does not exist",
        &mut s3cmd(stage, &["get", "--force", "s3://s3cmd/copied", "got"]),
    )?;
    good(&mut s3cmd(stage, &["get", "--force", "s3://s3cmd/moved", "got"]))?;
    same_file(&stage.files.join("got"), &small)?;
    trees(stage)?;
    let link = good(&mut s3cmd(stage, &["signurl", "s3://s3cmd/moved", "+60"]))?.text();
    let (status, body) = plain_http("GET", link.trim(), b"")?;
    if link.contains("X-Amz-Signature") {
        ensure!(status == 200, "a link answered {status}");
        same_bytes(&body, &small, "by a link")?;
    } else {
        // This version signs links the old way only; the store refuses that with a reason.
        ensure!(
            (400..500).contains(&status) && body.starts_with(b"<?xml"),
            "an old link answered {status}"
        );
    }
    errors(stage)?;
    good(&mut s3cmd(stage, &["del", "--recursive", "--force", "s3://s3cmd"]))?;
    ensure!(
        good(&mut s3cmd(stage, &["ls", "--recursive", "s3://s3cmd"]))?
            .text()
            .is_empty()
    );
    good(&mut s3cmd(stage, &["rb", "s3://s3cmd"]))?;
    server.stop()
}

fn config(access: &str, secret: &str) -> String {
    format!("[default]\naccess_key = {access}\nsecret_key = {secret}\nmax_retries = 1\nstop_on_error = True\n")
}

fn stream(stage: &Stage, content: &[u8]) -> Result<()> {
    let host = format!("127.0.0.1:{}", stage.setup.port);
    let mut command = stage.command("/bin/sh".as_ref());
    let line = r#"cat large | "$0" --config s3cfg --no-ssl --host "$1" --host-bucket "$1" put - s3://s3cmd/stream"#;
    good(command.args(["-c", line]).arg(&stage.program).arg(host))?;
    good(&mut s3cmd(stage, &["get", "--force", "s3://s3cmd/stream", "got"]))?;
    same_file(&stage.files.join("got"), content)
}

fn trees(stage: &Stage) -> Result<()> {
    let (here, back) = (stage.files.join("tree"), stage.files.join("back"));
    tree::write(&here, 1_201, &[])?;
    good(&mut s3cmd(stage, &["sync", "--quiet", "tree/", "s3://s3cmd/tree/"]))?;
    let listed = good(&mut s3cmd(stage, &["ls", "--recursive", "s3://s3cmd/tree/"]))?.text();
    ensure!(
        listed.lines().count() == 1_201,
        "{} lines are listed",
        listed.lines().count()
    );
    std::fs::create_dir(&back)?;
    good(&mut s3cmd(stage, &["sync", "--quiet", "s3://s3cmd/tree/", "back/"]))?;
    tree::same(&here, &back)
}

fn errors(stage: &Stage) -> Result<()> {
    refused("NoSuchBucket", &mut s3cmd(stage, &["ls", "s3://absent-bucket"]))?;
    refused("BucketNotEmpty", &mut s3cmd(stage, &["rb", "s3://s3cmd"]))?;
    stage.file("s3cfg-key", config("nobody-here", SECRET_KEY).as_bytes())?;
    refused(
        "InvalidAccessKeyId",
        s3cmd(stage, &["ls"]).args(["--config", "s3cfg-key"]),
    )?;
    stage.file("s3cfg-secret", config(ACCESS_KEY, "wrong-secret").as_bytes())?;
    refused(
        "SignatureDoesNotMatch",
        s3cmd(stage, &["ls"]).args(["--config", "s3cfg-secret"]),
    )?;
    // Told so by the refusal, s3cmd signs again with version 4; it must not stumble over the answer.
    let old = s3cmd(stage, &["--signature-v2", "ls"]);
    let said = compat_tests::process::run_any(&mut { old }, crate::stage::LIMIT)?;
    ensure!(
        !said.everything().contains("Traceback"),
        "version 2: {}",
        said.everything()
    );
    Ok(())
}
