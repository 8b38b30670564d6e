//! Connections of the client: made over TCP or TLS, kept and used again by hyper's pool. It knows no S3.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower::Service;

use super::pace::Sent;
use crate::cli::call::{self, CallError, Trust};
use crate::config::client::ServerHost;

const PATIENCE: Duration = Duration::from_secs(30);
/// A connection on which nothing moves is asked so soon, so often and so many times whether the other side is there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_PAUSE: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 6;

/// A pool of connections to one server.
pub(super) type Pool = Client<Connector, Sent>;

/// Makes the pool; nothing is connected yet.
pub(super) fn pool(host: &ServerHost, trust: &Trust, places: Vec<(String, IpAddr)>) -> Result<Pool, CallError> {
    let tls = if host.tls {
        Some(Arc::new(call::tls(trust)?))
    } else {
        None
    };
    let connector = Connector {
        tls,
        port: host.port,
        places: places.into(),
    };
    // Whoever asks decides about asking again: a request may not be fit for it.
    Ok(Client::builder(TokioExecutor::new())
        .retry_canceled_requests(true)
        .build(connector))
}

/// Connects to the host of a URL, with TLS where that is configured.
#[derive(Clone)]
pub(super) struct Connector {
    tls: Option<Arc<ClientConfig>>,
    port: u16,
    /// Where hosts are, whatever the name service says.
    places: Arc<[(String, IpAddr)]>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Stream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
            tokio::time::timeout(PATIENCE, connector.connect(&uri))
                .await
                .map_err(late)?
        })
    }
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> io::Result<TokioIo<Stream>> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(self.port);
        let whole = format!("{host}:{port}");
        let place = self.places.iter().find(|(name, _)| *name == host || *name == whole);
        let server = ServerHost {
            tls: self.tls.is_some(),
            host: place.map_or_else(|| host.clone(), |(_, ip)| ip.to_string()),
            port,
        };
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", server.authority()));
        let stream = call::connect(&server).await.map_err(named)?;
        stream.set_nodelay(true)?;
        keep_alive(&stream)?;
        let stream: Box<dyn Duplex> = match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::try_from(host).map_err(io::Error::other)?;
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
                Box::new(connector.connect(name, stream).await.map_err(named)?)
            }
        };
        Ok(TokioIo::new(Stream(stream)))
    }
}

/// Finds out that the other side is gone, also where nobody says so.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_PAUSE)
        .with_retries(KEEPALIVE_COUNT);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// One connection, encrypted or not.
pub(super) struct Stream(Box<dyn Duplex>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
