//! Apps of the Files API: a project with its keys and an issuer, made by the command line, and what apps then ask.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use aws_lc_rs::hmac;
use base64_simd::URL_SAFE_NO_PAD;
use compat_tests::clients::{Client, scripts};
use compat_tests::server::{ACCESS_KEY, SECRET_KEY, binary};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::scripts::told;
use crate::stage::{Stage, Test, good, script};
use crate::web::copied;

const APP_CASES: usize = 12;
const SHAPE_CASES: usize = 10;
const EXAMPLE_CASES: usize = 5;
const UNREGISTERED_CASES: usize = 4;
const RELAY_CASES: usize = 4;
const DOCUMENT_CASES: usize = 4;
const IMAGE_CASES: usize = 3;
/// Parts of a large file and the MiB of each: a little more than the least, and 6 GiB where `DRYSTONE_LARGE` is 1.
const SOME_PARTS: (u32, u32) = (5, 6);
const MANY_PARTS: (u32, u32) = (96, 64);
/// How many examples schemathesis makes up for each operation, kind of data and caller.
const EXAMPLES: &str = "DRYSTONE_SCHEMATHESIS_EXAMPLES";
const ISSUER_SECRET: &str = "a secret that only the app's own server knows";

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::alone("apps_use_the_files_api", |stage| {
            app(stage, "files/apps.mjs", APP_CASES)
        }),
        Test::alone("apps_that_never_register_show_what_they_uploaded", unregistered),
        Test::alone("apps_in_the_shapes_of_other_back_ends_use_the_files_api", |stage| {
            app(stage, "files/shapes.mjs", SHAPE_CASES)
        }),
        Test::alone(
            "the_example_scripts_in_bkends_and_redwoods_shape_run_as_they_are",
            |stage| app(stage, "files/examples.mjs", EXAMPLE_CASES),
        ),
        Test::alone("a_large_file_of_an_app_in_parts_comes_back", large),
        Test::with(
            Client::RelayExample,
            "the_example_server_relays_pictures_by_graphql_and_rest",
            relay,
        ),
        Test::with(Client::Pillow, "images_are_what_another_decoder_sees_in_them", images),
        Test::with(
            Client::Schemathesis,
            "the_files_api_is_what_its_openapi_document_says",
            document,
        ),
    ]
}

/// What of a project an app is told.
pub(crate) struct Project {
    publishable: String,
    secret: String,
    /// A secret key that reads and no more.
    reading: String,
}

fn app(stage: &mut Stage, name: &str, cases: usize) -> Result<()> {
    let server = stage.start()?;
    let project = project(stage)?;
    let mut command = stage.command(Path::new("node"));
    project.told(&mut command).arg(scripts(name)?);
    script(told(&mut command, stage), cases)?;
    server.stop()
}

fn unregistered(stage: &mut Stage) -> Result<()> {
    // A public name without a port, as that of a proxy that ends TLS.
    let name = ("MINIO_SERVER_URL".to_owned(), "https://files.example".to_owned());
    stage.setup.environment.push(name);
    let server = stage.start()?;
    let project = project(stage)?;
    run(stage, &["project", "set", "shop/dev", "--default-visibility", "public"])?;
    let mut command = stage.command(Path::new("node"));
    project.told(&mut command).arg(scripts("files/unregistered.mjs")?);
    script(told(&mut command, stage), UNREGISTERED_CASES)?;
    server.stop()
}

fn large(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let project = project(stage)?;
    let asked = env::var("DRYSTONE_LARGE").is_ok_and(|value| value == "1");
    let (parts, mib) = if asked { MANY_PARTS } else { SOME_PARTS };
    let mut command = stage.command(Path::new("node"));
    project
        .told(&mut command)
        .env("COMPAT_PARTS", parts.to_string())
        .env("COMPAT_PART_MIB", mib.to_string())
        .arg(scripts("files/large.mjs")?);
    script(told(&mut command, stage), 1)?;
    server.stop()
}

fn relay(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let project = project(stage)?;
    let example = copied(stage, "relay", Client::RelayExample)?;
    let mut command = stage.command(Path::new("node"));
    project
        .told(&mut command)
        .env("COMPAT_EXAMPLE", example)
        .arg(scripts("files/relay.mjs")?);
    script(told(&mut command, stage), RELAY_CASES)?;
    server.stop()
}

/// What Pillow sees in images that were made.
fn images(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let project = project(stage)?;
    let mut command = stage.command(&stage.program);
    project
        .told(&mut command)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(scripts("pillow/images.py")?);
    script(told(&mut command, stage), IMAGE_CASES)?;
    server.stop()
}

/// What schemathesis asks as a server, a user and a guest.
fn document(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let project = project(stage)?;
    let mut command = stage.command(&stage.program);
    if let Ok(examples) = env::var(EXAMPLES) {
        command.env(EXAMPLES, examples);
    }
    project
        .told(&mut command)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(scripts("schemathesis/whole.py")?);
    script(told(&mut command, stage), DOCUMENT_CASES)?;
    server.stop()
}

impl Project {
    /// Its secret key.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// What somebody's requests bring: the project's key, and a token of its issuer.
    pub(crate) fn user(&self, name: &str) -> [(&'static str, String); 2] {
        let coded = |json: Value| URL_SAFE_NO_PAD.encode_to_string(json.to_string());
        let ends = OffsetDateTime::now_utc().unix_timestamp() + 3_600;
        let text = format!(
            "{}.{}",
            coded(json!({ "alg": "HS256" })),
            coded(json!({ "sub": name, "exp": ends }))
        );
        let signed = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, ISSUER_SECRET.as_bytes()),
            text.as_bytes(),
        );
        let token = format!("Bearer {text}.{}", URL_SAFE_NO_PAD.encode_to_string(signed.as_ref()));
        [("x-api-key", self.publishable.clone()), ("authorization", token)]
    }

    /// The environment of scripts that are apps of this project.
    pub(crate) fn told<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("COMPAT_PK", &self.publishable)
            .env("COMPAT_SK", &self.secret)
            .env("COMPAT_READ_SK", &self.reading)
            .env("COMPAT_ISSUER_SECRET", ISSUER_SECRET)
            .env("COMPAT_BUCKET", "shop-dev")
    }
}

/// The project `shop` with its environment `dev`, its keys and an issuer.
pub(crate) fn project(stage: &Stage) -> Result<Project> {
    let secret = stage.file("issuer-secret", ISSUER_SECRET.as_bytes())?;
    let secret = secret.to_str().context("a path that is text")?;
    run(stage, &["project", "add", "shop"])?;
    run(stage, &["issuer", "add", "shop", "own", "--hs256-secret-file", secret])?;
    let made = |words: &[&str]| -> Result<String> {
        let told = run(stage, words)?;
        let key = told
            .split_whitespace()
            .find(|word| word.starts_with("pk_") || word.starts_with("sk_"));
        key.map(str::to_owned).with_context(|| format!("a key in {told:?}"))
    };
    Ok(Project {
        publishable: made(&["key", "make", "shop/dev"])?,
        secret: made(&["key", "make", "shop/dev", "--secret"])?,
        reading: made(&["key", "make", "shop/dev", "--secret", "--scope", "files:read"])?,
    })
}

fn run(stage: &Stage, words: &[&str]) -> Result<String> {
    let mut command: Command = stage.command(&binary()?);
    command
        .env("DRYSTONE_ENDPOINT", stage.setup.endpoint())
        .env("MINIO_ROOT_USER", ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
        .args(words);
    Ok(String::from_utf8_lossy(&good(&mut command)?.stdout).into_owned())
}
