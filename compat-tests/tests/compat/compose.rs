//! The compose file's container that sets a store up: its very line, by a shell that finds our client by the name `mc`.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result, ensure};
use compat_tests::s3::plain_http;
use compat_tests::server::{ACCESS_KEY, SECRET_KEY, binary, workspace};

use crate::stage::{Stage, Test, good, refused};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::alone("the_compose_files_setup_works_with_the_image_alone", setup)]
}

/// What the shell of the service is told, as compose tells it.
fn command(page: &str) -> Result<String> {
    let (_, service) = page.split_once("\n  setup:\n").context("a service named setup")?;
    let (_, command) = service.split_once("    command:\n      - ").context("its command")?;
    let lines = command.lines().enumerate();
    let lines = lines.take_while(|(number, line)| *number == 0 || line.starts_with("        "));
    let words: Vec<&str> = lines.map(|(_, line)| line.trim()).collect();
    Ok(words.join(" ").replace("$$", "$"))
}

fn setup(stage: &mut Stage) -> Result<()> {
    let in_file = command(&fs::read_to_string(workspace()?.join("docker/compose.yaml"))?)?;
    let in_docs = command(&fs::read_to_string(workspace()?.join("docs/mc.md"))?)?;
    ensure!(in_file == in_docs, "the page shows another line:\n{in_docs}\n{in_file}");
    ensure!(
        in_file.matches("mc ").count() == 3 && in_file.contains("http://minio:9000"),
        "{in_file}"
    );
    let server = stage.start()?;
    let endpoint = stage.setup.endpoint();
    let line = in_file.replace("http://minio:9000", &endpoint);
    let image = stage.files.join("bin");
    fs::create_dir(&image)?;
    symlink(binary()?, image.join("mc"))?;
    let shell = || {
        let mut shell = stage.command("/bin/sh".as_ref());
        shell
            .env("PATH", &image)
            .env("MC_CONFIG_DIR", stage.files.join("config"))
            .env("MINIO_ROOT_USER", ACCESS_KEY)
            .env("MINIO_ROOT_PASSWORD", SECRET_KEY);
        shell
    };
    good(shell().args(["-c", &line]))?;
    // Again, as when a container is started anew.
    good(shell().args(["-c", &line]))?;
    good(shell().args(["-c", "echo hello | mc pipe store/uploads/f"]))?;
    let (status, body) = plain_http("GET", &format!("{endpoint}/uploads/f"), b"")?;
    ensure!(status == 200 && body == b"hello\n", "{status} {body:?}");
    let (status, _) = plain_http("PUT", &format!("{endpoint}/uploads/g"), b"x")?;
    ensure!(status == 403, "anybody may write: {status}");
    // A wrong password stops the line at its first word.
    let mut wrong = shell();
    wrong.env("MINIO_ROOT_PASSWORD", "wrong-password");
    refused("does not match", wrong.args(["-c", &line]))?;
    server.stop()
}
