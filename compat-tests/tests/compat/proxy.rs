//! A client through nginx that ends TLS, with the very configuration that the documents give, and with its usual mistakes.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use compat_tests::clients::{Client, in_ci};
use compat_tests::server::workspace;
use compat_tests::tree;

use crate::stage::{Stage, Test, good, refused, same_file};
use crate::tls::certificates;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::with(
        Client::AwsCli1,
        "aws_cli_works_through_the_proxy_of_the_documents",
        through,
    )]
}

/// The server block of `docs/running.md`, with this test's port, files and server.
fn documented(stage: &Stage, port: u16, certificates: &Path) -> Result<String> {
    let page = fs::read_to_string(workspace()?.join("docs/running.md"))?;
    let block = page
        .split("```")
        .find(|block| block.contains("proxy_pass"))
        .context("docs/running.md shows no proxy")?;
    let mut text = block.to_owned();
    for (shown, here) in [
        ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
        (
            "/etc/ssl/store.crt",
            certificates.join("public.crt").display().to_string(),
        ),
        (
            "/etc/ssl/store.key",
            certificates.join("private.key").display().to_string(),
        ),
        ("127.0.0.1:9000", format!("127.0.0.1:{}", stage.setup.port)),
    ] {
        ensure!(text.contains(shown), "docs/running.md has no '{shown}' any more");
        text = text.replace(shown, &here);
    }
    Ok(text)
}

/// Debian keeps it where only root looks.
fn nginx() -> Command {
    let mut command = Command::new("nginx");
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// A running nginx; ends with the test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Proxy {
    fn start(stage: &Stage, port: u16, block: &str) -> Result<Self> {
        let here = stage.files.display();
        let text = format!(
            "daemon off; master_process off; pid {here}/pid; events {{ worker_connections 64; }}\n\
             http {{ access_log off; client_body_temp_path {here}/b; proxy_temp_path {here}/p;\n\
             fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;\n{block}}}\n"
        );
        let file = stage.file("nginx.conf", text.as_bytes())?;
        let log = stage.files.join("nginx.log");
        let mut child = nginx()
            .arg("-p")
            .arg(&stage.files)
            .arg("-e")
            .arg(&log)
            .arg("-c")
            .arg(file)
            .stdin(Stdio::null())
            .spawn()
            .context("starting nginx (Debian: nginx-light)")?;
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if child.try_wait()?.is_some() || start.elapsed() > Duration::from_secs(30) {
                bail!(
                    "nginx does not listen: {}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self(child))
    }
}

fn aws(stage: &Stage, port: u16, authority: &Path, arguments: &[&str]) -> Command {
    let mut command = stage.command(&stage.program);
    command
        .args(["--endpoint-url", &format!("https://localhost:{port}"), "--ca-bundle"])
        .arg(authority)
        .args(arguments);
    command
}

fn through(stage: &mut Stage) -> Result<()> {
    if nginx().arg("-v").stderr(Stdio::null()).status().is_err() {
        ensure!(!in_ci(), "nginx is missing (Debian: nginx-light)");
        println!("skipped: nginx is not installed");
        return Ok(());
    }
    let (certificates, authority) = certificates(stage)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let content = tree::bytes(7, 20 * 1024 * 1024);
    stage.file("large", &content)?;
    let block = documented(stage, port, &certificates)?;
    let up = ["s3", "cp", "large", "s3://proxied/large", "--metadata", "under_score=1"];

    let server = stage.start()?;
    {
        let _proxy = Proxy::start(stage, port, &block)?;
        good(&mut aws(stage, port, &authority, &["s3", "mb", "s3://proxied"]))?;
        good(&mut aws(stage, port, &authority, &up))?;
        good(&mut aws(
            stage,
            port,
            &authority,
            &["s3", "cp", "s3://proxied/large", "back"],
        ))?;
        same_file(&stage.files.join("back"), &content)?;
        let head = ["s3api", "head-object", "--bucket", "proxied", "--key", "large"];
        let said = good(&mut aws(stage, port, &authority, &head))?.text();
        ensure!(said.contains("under_score"), "the metadata is lost: {said}");
    }
    // What most examples on the web do: the host without its port.
    let dropped = block.replace("$http_host", "$host");
    {
        let _proxy = Proxy::start(stage, port, &dropped)?;
        refused("SignatureDoesNotMatch", &mut aws(stage, port, &authority, &up))?;
    }
    server.stop()?;
    let url = ("MINIO_SERVER_URL".to_owned(), format!("https://localhost:{port}"));
    stage.setup.environment.push(url);
    let server = stage.start()?;
    {
        let _proxy = Proxy::start(stage, port, &dropped)?;
        good(&mut aws(stage, port, &authority, &up))?;
    }
    {
        let _proxy = Proxy::start(
            stage,
            port,
            &dropped.replace("client_max_body_size 0", "client_max_body_size 1m"),
        )?;
        refused("(413)", &mut aws(stage, port, &authority, &up))?;
    }
    server.stop()
}
