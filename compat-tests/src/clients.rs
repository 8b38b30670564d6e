//! The outside clients: where each comes from, at which version, and how it is fetched into the cache folder.
//!
//! Clients are separate programs; nothing of them is linked, shipped or kept in the repository.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::cache::{folder, lock, place};
use crate::process::run;
use crate::server::workspace;

const FETCH_LIMIT: Duration = Duration::from_secs(1_500);

/// The newest `mc` that both the Go module proxy and its checksum database know; the later tags are in the proxy only,
/// and building them would mean switching the checksum database off.
const MC: &str = "github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9";

/// A client the suite drives as a program of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// aws CLI v1 from PyPI, with today's default checksums.
    AwsCli1,
    /// aws CLI v2 from Debian.
    AwsCli2,
    /// boto3 of today, with the CRT.
    Boto3,
    /// boto3 from before the checksum defaults of January 2025.
    Boto3Old,
    /// minio-py.
    MinioPy,
    /// minio for JavaScript.
    MinioJs,
    /// tus for JavaScript.
    TusJs,
    /// AWS SDK for JavaScript v3.
    AwsSdkJs,
    /// s3cmd 2.3 from Debian.
    S3cmdDebian,
    /// s3cmd 2.4 from PyPI.
    S3cmd,
    /// rclone from Debian.
    Rclone,
    /// restic from Debian.
    Restic,
    /// MinIO's own client.
    Mc,
    /// A browser, from Debian.
    Chromium,
    /// What drives the browser, puppeteer, and makes scripts for it, esbuild.
    Pages,
    /// Uppy of today.
    Uppy,
    /// Uppy 5, whose uploader for S3 asks the page by callbacks.
    Uppy5,
    /// The modules of `examples/web`.
    WebExample,
    /// The modules of `examples/relay`.
    RelayExample,
    /// Pillow, which reads images.
    Pillow,
    /// schemathesis, which asks an API whatever its document lets.
    Schemathesis,
    /// Runs a program under a wrong clock; from Debian.
    Faketime,
    /// curl from Debian.
    Curl,
    /// What picks fields out of JSON in a shell; from Debian.
    Jq,
    /// The program of OpenSSL, which signs tokens in a shell; from Debian.
    Openssl,
}

impl Client {
    /// The name in lists of what was skipped.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AwsCli1 => "aws CLI v1",
            Self::AwsCli2 => "aws CLI v2",
            Self::Boto3 => "boto3",
            Self::Boto3Old => "boto3 1.34",
            Self::MinioPy => "minio-py",
            Self::MinioJs => "minio-js",
            Self::TusJs => "tus-js-client",
            Self::AwsSdkJs => "AWS SDK for JavaScript v3",
            Self::S3cmdDebian => "s3cmd 2.3",
            Self::S3cmd => "s3cmd 2.4",
            Self::Rclone => "rclone",
            Self::Restic => "restic",
            Self::Mc => "mc",
            Self::Chromium => "Chromium",
            Self::Pages => "puppeteer",
            Self::Uppy => "Uppy",
            Self::Uppy5 => "Uppy 5",
            Self::WebExample => "what examples/web needs",
            Self::RelayExample => "what examples/relay needs",
            Self::Pillow => "Pillow",
            Self::Schemathesis => "schemathesis",
            Self::Faketime => "faketime",
            Self::Curl => "curl",
            Self::Jq => "jq",
            Self::Openssl => "openssl",
        }
    }

    /// Fetches the client if need be and gives its program: the executable, the Python of its environment,
    /// or for JavaScript the folder of its modules.
    ///
    /// # Errors
    /// When it cannot be fetched; the message says which step failed.
    pub fn fetch(self) -> Result<PathBuf> {
        match self {
            Self::AwsCli1 => python_program("awscli1", "aws"),
            Self::Boto3 => python_program("boto3", "python"),
            Self::Boto3Old => python_program("boto3_134", "python"),
            Self::MinioPy => python_program("minio_py", "python"),
            Self::S3cmd => python_program("s3cmd", "s3cmd"),
            Self::Pillow => python_program("pillow", "python"),
            Self::Schemathesis => python_program("schemathesis", "python"),
            Self::MinioJs => node_modules("minio_js", &scripts("minio_js")?),
            Self::TusJs => node_modules("tus_js", &scripts("tus_js")?),
            Self::AwsSdkJs => node_modules("aws_sdk_js", &scripts("aws_sdk_js")?),
            Self::Pages => node_modules("pages", &scripts("pages")?),
            Self::Uppy => node_modules("uppy", &scripts("uppy")?),
            Self::Uppy5 => node_modules("uppy5", &scripts("uppy5")?),
            Self::WebExample => node_modules("example_web", &example("web")?),
            Self::RelayExample => node_modules("example_relay", &example("relay")?),
            Self::AwsCli2 => debian("awscli", "aws"),
            Self::S3cmdDebian => debian("s3cmd", "s3cmd"),
            Self::Rclone => debian("rclone", "rclone"),
            Self::Restic => debian("restic", "restic"),
            Self::Mc => go_program("mc", MC),
            Self::Chromium => debian("chromium", "chromium"),
            Self::Faketime => debian("faketime", "faketime"),
            Self::Curl => debian("curl", "curl"),
            Self::Jq => debian("jq", "jq"),
            Self::Openssl => debian("openssl", "openssl"),
        }
        .with_context(|| format!("fetching {}", self.name()))
    }
}

/// The folder in the repository with a client's scripts and its list of versions.
///
/// # Errors
/// When this crate does not lie in its workspace.
pub fn scripts(name: &str) -> Result<PathBuf> {
    Ok(workspace()?.join("compat-tests/clients").join(name))
}

/// The folder of an example that is a program of its own.
///
/// # Errors
/// When this crate does not lie in its workspace.
pub fn example(name: &str) -> Result<PathBuf> {
    Ok(workspace()?.join("examples").join(name))
}

/// An environment with the packages of `clients/<name>/requirements.txt`; gives the program `program` in it.
fn python_program(name: &str, program: &str) -> Result<PathBuf> {
    let requirements = scripts(name)?.join("requirements.txt");
    let recipe = fs::read_to_string(&requirements).with_context(|| format!("reading {}", requirements.display()))?;
    let environment = place(name, &recipe, |environment| {
        run(
            Command::new("python3").args(["-m", "venv"]).arg(environment),
            FETCH_LIMIT,
        )?;
        let mut pip = Command::new(environment.join("bin/pip"));
        run(
            pip.args(["install", "--quiet", "--no-compile", "--requirement"])
                .arg(&requirements),
            FETCH_LIMIT,
        )?;
        Ok(())
    })?;
    Ok(environment.join("bin").join(program))
}

/// The modules of the `package-lock.json` in `source`, kept as `name`; gives the folder that `require` starts from.
fn node_modules(name: &str, source: &Path) -> Result<PathBuf> {
    let recipe = fs::read_to_string(source.join("package-lock.json"))?;
    place(name, &recipe, |modules| {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), modules.join(file))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(modules);
        run(&mut npm, FETCH_LIMIT)?;
        Ok(())
    })
}

/// A program of a Debian package; installed when this is CI and root, else expected to be there.
fn debian(package: &str, program: &str) -> Result<PathBuf> {
    let found = Path::new("/usr/bin").join(program);
    let _one_at_a_time = lock(&folder()?.join("debian.lock"))?;
    if !found.exists() && in_ci() && rustix::process::geteuid().is_root() {
        let apt = |arguments: &[&str]| {
            run(
                Command::new("apt-get")
                    .args(arguments)
                    .env("DEBIAN_FRONTEND", "noninteractive"),
                FETCH_LIMIT,
            )
        };
        apt(&["update", "--quiet"])?;
        apt(&["install", "--yes", "--quiet", "--no-install-recommends", package])?;
    }
    ensure!(found.exists(), "the Debian package {package} is not installed");
    Ok(found)
}

/// A Go program built from the module proxy.
fn go_program(name: &str, module: &str) -> Result<PathBuf> {
    let built = place(name, module, |built| {
        let mut go = Command::new("go");
        go.args(["install", "-trimpath", module]).env("GOBIN", built);
        run(&mut go, FETCH_LIMIT)?;
        Ok(())
    })?;
    Ok(built.join(name))
}

/// Whether this run is held to the rules of CI: a missing client is an error.
#[must_use]
pub fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}
