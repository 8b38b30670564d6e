//! A newcomer's first commands: what the README shows, pasted as it stands, and a client that is set up by its own means.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use compat_tests::clients::Client;
use compat_tests::s3::plain_http;
use compat_tests::server::{ACCESS_KEY, SECRET_KEY, Server, workspace};

use crate::stage::{Stage, Test, good, refused};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::with(Client::AwsCli1, "the_readmes_aws_commands_work_as_pasted", pasted_aws),
        Test::with(Client::Mc, "the_readmes_mc_commands_work_as_pasted", pasted_mc),
        Test::with(
            Client::AwsCli1,
            "aws_configure_is_enough_and_mistakes_are_told",
            configured,
        ),
    ]
}

/// The README's block that begins with this command, for the server of this test.
fn block(stage: &Stage, first: &str) -> Result<String> {
    let page = fs::read_to_string(workspace()?.join("README.md"))?;
    let block = page
        .split("```")
        .map(str::trim)
        .find(|block| block.starts_with(first))
        .with_context(|| format!("no block of the README begins with '{first}'"))?;
    ensure!(block.contains("http://127.0.0.1:9000"), "another address:\n{block}");
    Ok(block.replace("http://127.0.0.1:9000", &stage.setup.endpoint()))
}

/// Pastes commands into a shell that stands in the project's folder, and gives what they printed.
fn paste(stage: &Stage, first: &str) -> Result<String> {
    let folder = stage.program.parent().context("a program in a folder")?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH")?);
    let mut shell = without_keys(stage, Path::new("bash"));
    shell.env("PATH", path).current_dir(workspace()?);
    shell.args(["-e", "-o", "pipefail", "-c", &block(stage, first)?]);
    Ok(good(&mut shell)?.text())
}

fn without_keys(stage: &Stage, program: &Path) -> Command {
    let mut command = stage.command(program);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"] {
        command.env_remove(name);
    }
    command
}

fn readme() -> Result<Vec<u8>> {
    Ok(fs::read(workspace()?.join("README.md"))?)
}

fn pasted_aws(stage: &mut Stage) -> Result<()> {
    let server = start_as_the_readme(stage)?;
    let said = paste(stage, "export AWS_ACCESS_KEY_ID=minioadmin")?;
    ensure!(said.contains("docs/durability.md"), "the listing is not there:\n{said}");
    let link = said.lines().last().unwrap_or_default();
    let (status, body) = plain_http("GET", link, b"")?;
    ensure!(status == 200 && body == readme()?, "{link} answered {status}");
    server.stop()
}

fn pasted_mc(stage: &mut Stage) -> Result<()> {
    let server = start_as_the_readme(stage)?;
    let said = paste(stage, "mc alias set local")?;
    let text = String::from_utf8(readme()?)?;
    ensure!(said.ends_with(&text), "mc cat shows something else:\n{said}");
    server.stop()
}

/// With the credentials that a server without any has.
fn start_as_the_readme(stage: &mut Stage) -> Result<Server> {
    for name in ["MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"] {
        stage.setup.environment.push((name.to_owned(), "minioadmin".to_owned()));
    }
    stage.start()
}

fn configured(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let program: PathBuf = stage.program.clone();
    let aws = |arguments: &[&str]| {
        let mut command = without_keys(stage, &program);
        command.args(arguments);
        command
    };
    let endpoint = stage.setup.endpoint();
    for (name, value) in [
        ("aws_access_key_id", ACCESS_KEY),
        ("aws_secret_access_key", SECRET_KEY),
        ("region", "us-east-1"),
        ("endpoint_url", &endpoint),
    ] {
        good(&mut aws(&["configure", "set", name, value]))?;
    }
    stage.file("tree/one", b"1")?;
    stage.file("tree/below/two", b"22")?;
    good(&mut aws(&["s3", "mb", "s3://first-hour"]))?;
    good(&mut aws(&["s3", "sync", "tree", "s3://first-hour/tree"]))?;
    let listing = good(&mut aws(&["s3", "ls", "--recursive", "s3://first-hour"]))?.text();
    ensure!(listing.contains("tree/below/two"), "{listing}");

    // The CLI signs links the old way until it is told otherwise; the answer says how.
    let presign = ["s3", "presign", "s3://first-hour/tree/one"];
    let link = good(&mut aws(&presign))?.text();
    let (status, body) = plain_http("GET", link.trim(), b"")?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let cure = "aws configure set s3.signature_version s3v4";
    ensure!(status == 400 && body.contains(cure), "{status}: {body}");
    good(&mut aws(&cure.split(' ').skip(1).collect::<Vec<_>>()))?;
    let link = good(&mut aws(&presign))?.text();
    let (status, body) = plain_http("GET", link.trim(), b"")?;
    ensure!(status == 200 && body == b"1", "{link} answered {status}");

    let list = ["s3", "ls"];
    refused(
        "SignatureDoesNotMatch",
        aws(&list)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", "another-secret"),
    )?;
    refused(
        "InvalidAccessKeyId",
        aws(&list)
            .env("AWS_ACCESS_KEY_ID", "nobody")
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
    )?;
    refused(
        "NoSuchBucket",
        &mut aws(&["s3", "cp", "tree/one", "s3://no-such-bucket/one"]),
    )?;
    server.stop()
}
