//! Sockets: binding, accepting under a cap, and serving HTTP/1.1 and HTTP/2 on each connection until told to drain.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::body::BoxError;
use super::connection::{Activity, Patience, Timed};
use super::edge::HEAD_BYTES_MAX;
use super::peer::Peer;
use crate::config::ListenAddress;
use crate::telemetry::metrics::Metrics;

/// hyper gives up on a head larger than this without an answer of ours; [`super::edge::HEAD_BYTES_MAX`] answers before.
const READ_BUFFER_BYTES: usize = 128 * 1024;
const HEADERS_MAX: usize = 256;
/// Connections that may wait to be accepted; the system takes what it allows of it (`net.core.somaxconn`). Clients that
/// come in one burst beyond it are reset.
const BACKLOG: u32 = 65_535;
const STREAMS_MAX: u32 = 256;
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{address} is taken by another program; stop it, or choose another port with {option}")]
    Taken { address: String, option: &'static str },
    #[error("not allowed to listen on {address}; ports below 1024 need root or CAP_NET_BIND_SERVICE")]
    NotAllowed { address: String },
    #[error("cannot listen on {address}: {source}")]
    Other { address: String, source: io::Error },
}

impl BindError {
    fn new(address: &ListenAddress, option: &'static str, source: io::Error) -> Self {
        let address = address.to_string();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::Taken { address, option },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { address },
            _ => Self::Other { address, source },
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A server that was just stopped leaves connections behind that hold its port for a minute.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Listens on every address that `address` stands for; at least one when this returns `Ok`. `option` is how the operator
/// chooses another.
pub async fn bind(address: &ListenAddress, option: &'static str) -> Result<Vec<TcpListener>, BindError> {
    let error = |source| BindError::new(address, option, source);
    let Some(host) = address.host() else {
        // One socket for both families where the machine has IPv6.
        return match listen((Ipv6Addr::UNSPECIFIED, address.port()).into()) {
            Ok(listener) => Ok(vec![listener]),
            Err(first) if first.kind() == io::ErrorKind::AddrInUse => Err(error(first)),
            Err(_) => listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
                .map(|one| vec![one])
                .map_err(error),
        };
    };
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut failed = None;
    for resolved in tokio::net::lookup_host((host, address.port())).await.map_err(error)? {
        // Port 0 is the system's choice, and every address of a host must have the same one.
        let chosen = listeners
            .first()
            .and_then(|first| first.local_addr().ok())
            .map(|first| first.port());
        let wanted = SocketAddr::new(resolved.ip(), chosen.unwrap_or(resolved.port()));
        match listen(wanted) {
            Ok(listener) => listeners.push(listener),
            Err(source) if source.kind() == io::ErrorKind::AddrInUse && chosen.is_none() => return Err(error(source)),
            Err(source) => failed = Some(source),
        }
    }
    match (listeners.is_empty(), failed) {
        (false, _) => Ok(listeners),
        (true, Some(source)) => Err(error(source)),
        (true, None) => Err(error(io::ErrorKind::AddrNotAvailable.into())),
    }
}

/// What all connections of a server share.
#[derive(Clone)]
pub struct Connections {
    builder: auto::Builder<TokioExecutor>,
    patience: Patience,
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Connections {
    pub fn new(connections_max: usize, patience: Patience, metrics: Arc<Metrics>) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // The timers of `Timed` replace hyper's own, which does not know idle from dripping.
            .header_read_timeout(None)
            .max_headers(HEADERS_MAX)
            .max_buf_size(READ_BUFFER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(64 * 1024)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        let places = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        Self {
            builder,
            patience,
            places,
            metrics,
        }
    }

    /// Accepts on `listener` until `stop` turns true; connections then finish what they began.
    pub async fn accept<H, F, B>(
        self,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        handler: H,
        graceful: Arc<GracefulShutdown>,
        mut stop: watch::Receiver<bool>,
    ) where
        H: Fn(Request<Incoming>, Arc<Activity>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok((stream, address)) => (stream, address.ip().to_canonical()),
                Err(error) => {
                    // Most often no file descriptors are left; accepting again at once would only burn the processor.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                self.metrics.connection_refused();
                continue;
            };
            let peer = Peer {
                address,
                secure: tls.is_some(),
            };
            let connection =
                self.clone()
                    .serve((stream, peer), tls.clone(), handler.clone(), graceful.watcher(), place);
            tokio::spawn(connection);
        }
    }

    async fn serve<H, F, B>(
        self,
        (stream, peer): (TcpStream, Peer),
        tls: Option<TlsAcceptor>,
        handler: H,
        watcher: Watcher,
        _place: OwnedSemaphorePermit,
    ) where
        H: Fn(Request<Incoming>, Arc<Activity>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let _meter = self.metrics.connection();
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        match tls {
            None => self.serve_http((stream, peer), handler, watcher).await,
            Some(acceptor) => {
                match tokio::time::timeout(self.patience.tls_handshake, handshake(&acceptor, stream)).await {
                    Ok(Ok(stream)) => self.serve_http((stream, peer), handler, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                    Err(_) => tracing::debug!("TLS handshake took too long"),
                }
            }
        }
    }

    async fn serve_http<S, H, F, B>(&self, (stream, peer): (S, Peer), handler: H, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Fn(Request<Incoming>, Arc<Activity>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let activity = Arc::new(Activity::default());
        let io = TokioIo::new(Timed::new(stream, Arc::clone(&activity), self.patience));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let answer = handler(request, Arc::clone(&activity));
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        let connection = self.builder.serve_connection(io, service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "connection ended early");
        }
    }
}

/// The TLS handshake. A client that speaks plain HTTP is told so in plain HTTP, and nothing else.
async fn handshake(acceptor: &TlsAcceptor, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    // A request begins with its method's name; no record of TLS begins with a letter.
    if !first.iter().all(u8::is_ascii_uppercase) {
        return acceptor.accept(stream).await;
    }
    // Closing a connection with bytes unread would take the answer back; a head is all that is waited for.
    let mut head = vec![0; HEAD_BYTES_MAX];
    let _request = stream.read(&mut head).await?;
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidRequest</Code><Message>This address speaks \
                HTTPS only. Use a URL that begins with https://</Message></Error>";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "plain HTTP where TLS is expected",
    ))
}
