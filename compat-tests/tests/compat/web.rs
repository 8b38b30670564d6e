//! Pages of applications in a real browser, driven by puppeteer: the example in `examples/web`, and Uppy.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use compat_tests::clients::{Client, example, scripts};

use crate::files::project;
use crate::scripts::told;
use crate::stage::{Stage, Test, script};

/// Megabytes of the upload that is killed half-way; `DRYSTONE_WEB_MB` says otherwise.
const LARGE_MB: u32 = 200;
const EXAMPLE_CASES: usize = 7;
/// Two more where the page signs by itself.
const UPPY_CASES: usize = 12;
const UPPY_5_CASES: usize = 10;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::with_all(
            &[Client::Chromium, Client::Pages, Client::WebExample],
            "the_example_page_uploads_resumes_and_shows_pictures",
            example_page,
        ),
        Test::with_all(
            &[Client::Chromium, Client::Pages, Client::Uppy, Client::AwsSdkJs],
            "uppy_uploads_and_goes_on_in_a_page_loaded_anew",
            |stage| uppy(stage, ("uppy", UPPY_CASES), Client::Uppy),
        ),
        Test::with_all(
            &[Client::Chromium, Client::Pages, Client::Uppy5, Client::AwsSdkJs],
            "uppy_5_uploads_and_goes_on_in_a_page_loaded_anew",
            |stage| uppy(stage, ("uppy5", UPPY_5_CASES), Client::Uppy5),
        ),
    ]
}

/// The page stands in the folder `name` of the clients.
fn uppy(stage: &mut Stage, (name, cases): (&str, usize), modules: Client) -> Result<()> {
    let server = stage.start()?;
    let project = project(stage)?;
    let mut command = driver(stage, "pages/uppy.mjs")?;
    project
        .told(&mut command)
        .env("COMPAT_UPPY", name)
        .env("COMPAT_MODULES_UPPY", modules.fetch()?)
        .env("COMPAT_MODULES_SDK", Client::AwsSdkJs.fetch()?);
    script(told(&mut command, stage), cases)?;
    server.stop()
}

fn example_page(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let project = project(stage)?;
    let example = copied(stage, "web", Client::WebExample)?;
    let large = match env::var("DRYSTONE_WEB_MB") {
        Ok(given) => given.parse().context("DRYSTONE_WEB_MB is a number of megabytes")?,
        Err(_) => LARGE_MB,
    };
    let mut command = driver(stage, "pages/web.mjs")?;
    project
        .told(&mut command)
        .env("COMPAT_EXAMPLE", example)
        .env("COMPAT_LARGE_MB", large.to_string());
    script(told(&mut command, stage), EXAMPLE_CASES)?;
    server.stop()
}

/// A script that drives the stage's browser. It leaves screenshots in the folder that `DRYSTONE_SCREENSHOTS` names, if any.
fn driver(stage: &Stage, name: &str) -> Result<Command> {
    let mut command = stage.command(Path::new("node"));
    command
        .env("COMPAT_MODULES", Client::Pages.fetch()?)
        .env("COMPAT_BROWSER", &stage.program)
        .env("COMPAT_FILES", &stage.files)
        .arg(scripts(name)?);
    if let Some(folder) = env::var_os("DRYSTONE_SCREENSHOTS") {
        // The script stands in the stage's folder, which goes.
        command.env("COMPAT_SCREENSHOTS", std::path::absolute(folder)?);
    }
    Ok(command)
}

/// An example as somebody has it who installed its modules, on the stage.
pub(crate) fn copied(stage: &Stage, name: &str, modules: Client) -> Result<PathBuf> {
    let to = stage.files.join(name);
    copy(&example(name)?, &to)?;
    symlink(modules.fetch()?.join("node_modules"), to.join("node_modules"))?;
    Ok(to)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "node_modules" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
