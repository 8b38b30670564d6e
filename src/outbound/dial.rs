//! Connections to servers that somebody named: looked up once, and made only to an address that may be called.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::OutboundError;
use super::address::may_be_called;
use crate::policy::Network;

/// How long one address has to take a connection.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Who tells the addresses of a name.
pub(super) type LookUp = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The machine's own names.
pub(super) fn system() -> LookUp {
    Arc::new(|host, port| Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) }))
}

/// Makes the connections. The addresses that were judged are those that are connected to, so a name that tells another
/// address the next time gains nothing.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) look_up: LookUp,
    pub(super) named: Arc<[Network]>,
}

impl Dialer {
    async fn dial(self, uri: Uri) -> Result<TokioIo<TcpStream>, OutboundError> {
        let host = uri.host().ok_or(OutboundError::Url("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        });
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                let looked_up = tokio::time::timeout(CONNECT_TIME, (self.look_up)(host, port)).await;
                let found =
                    looked_up.map_err(|_| OutboundError::Unreachable("its name was not told in time".into()))?;
                found.map_err(|error| OutboundError::Unreachable(error.to_string()))?
            }
        };
        let mut failed = OutboundError::Unreachable("its name has no address".into());
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            match self.connect(address).await {
                Ok(stream) => return Ok(TokioIo::new(stream)),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn connect(&self, address: SocketAddr) -> Result<TcpStream, OutboundError> {
        self.judge(address.ip())?;
        let unreachable = |error: io::Error| OutboundError::Unreachable(error.to_string());
        let connecting = tokio::time::timeout(CONNECT_TIME, TcpStream::connect(address)).await;
        let stream = connecting.map_err(|_| OutboundError::Unreachable("it took no connection in time".into()))?;
        let stream = stream.map_err(unreachable)?;
        self.judge(stream.peer_addr().map_err(unreachable)?.ip())?;
        stream.set_nodelay(true).map_err(unreachable)?;
        Ok(stream)
    }

    fn judge(&self, address: IpAddr) -> Result<(), OutboundError> {
        match may_be_called(address, &self.named) {
            true => Ok(()),
            false => Err(OutboundError::Forbidden),
        }
    }
}

impl tower::Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = OutboundError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().dial(uri))
    }
}
