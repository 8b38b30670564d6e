//! Clients that are libraries: boto3 (today's and 1.34), minio-py, minio-js, tus-js-client and the AWS SDK
//! for JavaScript, each by its script.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use compat_tests::clients::{Client, scripts};
use compat_tests::server::{ACCESS_KEY, SECRET_KEY};

use crate::admin::drystone;
use crate::stage::{Stage, Test, good, script};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::with(Client::Boto3, "boto3_does_every_operation", |stage| {
            python(stage, "boto3/whole.py", 22)
        }),
        Test::with(Client::Boto3, "boto3_manages_users_groups_and_keys_by_iam", |stage| {
            python(stage, "boto3/iam.py", 5)
        }),
        Test::with(Client::Boto3Old, "boto3_1_34_does_every_operation", |stage| {
            python(stage, "boto3/whole.py", 22)
        }),
        Test::with(Client::MinioPy, "minio_py_does_every_operation", |stage| {
            python(stage, "minio_py/whole.py", 10)
        }),
        Test::with(Client::MinioJs, "minio_js_does_every_operation", |stage| {
            node(stage, "minio_js/whole.mjs", 9)
        }),
        Test::with(Client::AwsSdkJs, "aws_sdk_js_does_every_operation", |stage| {
            node(stage, "aws_sdk_js/whole.mjs", 17)
        }),
        Test::with(
            Client::TusJs,
            "tus_js_uploads_breaks_off_and_resumes",
            uploads_of_an_app,
        ),
    ]
}

/// The environment every script reads.
pub(crate) fn told<'a>(command: &'a mut Command, stage: &Stage) -> &'a mut Command {
    command
        .env("COMPAT_ENDPOINT", stage.setup.endpoint())
        .env("COMPAT_ACCESS_KEY", ACCESS_KEY)
        .env("COMPAT_SECRET_KEY", SECRET_KEY)
}

/// Runs a script of the fetched Python against a fresh server.
pub(crate) fn python(stage: &mut Stage, name: &str, cases: usize) -> Result<()> {
    let server = stage.start()?;
    let mut command = stage.command(&stage.program);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(scripts(name)?);
    script(told(&mut command, stage), cases)?;
    server.stop()
}

/// Runs the script of tus with the key of an app's server.
fn uploads_of_an_app(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    good(&mut drystone(stage, &["project", "add", "shop"])?)?;
    let said = good(&mut drystone(stage, &["key", "make", "shop/dev", "--secret"])?)?.text();
    let key = said.split_whitespace().find(|word| word.starts_with("sk_"));
    let key = key.with_context(|| format!("no key was printed: {said}"))?;
    let mut command = stage.command(Path::new("node"));
    command
        .env("COMPAT_MODULES", &stage.program)
        .env("COMPAT_API_KEY", key)
        .arg(scripts("tus_js/whole.mjs")?);
    script(told(&mut command, stage), 8)?;
    server.stop()
}

fn node(stage: &mut Stage, name: &str, cases: usize) -> Result<()> {
    let server = stage.start()?;
    let mut command = stage.command(Path::new("node"));
    command.env("COMPAT_MODULES", &stage.program).arg(scripts(name)?);
    script(told(&mut command, stage), cases)?;
    server.stop()
}
