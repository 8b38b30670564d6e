//! The floor: a bare hyper server in a process of its own that stores nothing, and answers `GET /<bytes>` with that many bytes.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::tree;

/// The argument that makes the benchmark binary be the floor.
pub const FLOOR: &str = "--be-the-floor";

/// Serves until killed; prints its address first.
///
/// # Errors
/// When no port can be had.
pub async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let content = Bytes::from(tree::bytes(6, 64 << 20));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let content = content.clone();
        let answer = service_fn(move |request| answer(request, content.clone()));
        // A connection that breaks is the client's matter.
        tokio::spawn(async move {
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer)
                    .await,
            )
        });
    }
}

async fn answer(request: Request<Incoming>, content: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    let wanted = request
        .uri()
        .path()
        .trim_start_matches('/')
        .parse()
        .unwrap_or(0)
        .min(content.len());
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    Ok(Response::new(Full::new(content.slice(..wanted))))
}

/// A running floor; dropping it ends it.
#[derive(Debug)]
pub struct Floor {
    child: Child,
    /// `http://host:port`.
    pub endpoint: String,
}

impl Floor {
    /// Starts this binary again as the floor.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(FLOOR)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the bare server")?;
        let mut address = String::new();
        let out = child.stdout.take().context("the bare server's address")?;
        BufReader::new(out).read_line(&mut address)?;
        Ok(Self {
            child,
            endpoint: format!("http://{}", address.trim()),
        })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}
