//! A small S3 client: signs, sends, and reads answers with bounded memory. It follows no redirect, prints nothing, and
//! knows no verb of the command line.

mod bucket;
mod coming;
mod error;
mod events;
mod listing;
mod object;
mod open;
mod pace;
mod reading;
mod stream;
mod sum;
mod unfinished;
mod upload;
mod wire;
mod xml;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use time::OffsetDateTime;

pub(super) use coming::{Coming, Patience};
pub(super) use error::ClientError;
pub(super) use events::{Event, Events};
pub(super) use listing::Pager;
pub(super) use object::Stat;
pub(super) use pace::Pace;
pub(super) use reading::Reading;
pub(super) use stream::Documents;
pub(super) use sum::Sum;
pub(super) use unfinished::UnfinishedPager;
pub(super) use upload::{Source, Stream, Style, Uploading};
pub(super) use xml::{Element, element};

use super::client::coming::{Cut, Moved, answered};
use super::client::error::Refusal;
use super::client::open::OpenUploads;
use super::client::pace::Sent;
use crate::auth::sign::{Signer, body_hash, path_text, query_text};
use crate::auth::{PayloadMode, SecretKey};
use crate::cli::call::{CallError, Trust, is_loopback};
use crate::cli::print;
use crate::config::aliases::Alias;
use crate::config::client::ServerHost;

/// What an answer that is no object may hold.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often a request is sent before its refusal counts.
const ATTEMPTS: u32 = 5;
/// The same for parts of a longer work, which would be lost.
const PATIENT_ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// How often a server may fall silent while one thing is asked for.
const STALLS_MAX: u32 = 2;
const DEFAULT_REGION: &str = "us-east-1";
const USER_AGENT: &str = concat!("drystone-mc/", env!("CARGO_PKG_VERSION"));

/// What all requests of a command have in common.
#[derive(Clone, Default)]
pub(super) struct Habits {
    pub(super) upload: Option<Arc<Pace>>,
    pub(super) download: Option<Arc<Pace>>,
    /// Sent with every request, and signed.
    pub(super) headers: HeaderMap,
    /// Where hosts are, `HOST` or `HOST:PORT`, whatever the name service says.
    pub(super) places: Vec<(String, IpAddr)>,
    /// How long a server may be silent.
    pub(super) patience: Patience,
    /// What the command has open on servers.
    pub(super) uploads: Arc<OpenUploads>,
}

/// One server, asked as one identity.
pub(super) struct Client {
    alias: Alias,
    pool: wire::Pool,
    region: Mutex<String>,
    debug: bool,
    habits: Habits,
    /// The server has answered before: when it is away now, it may come back.
    met: AtomicBool,
}

/// One request.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Empty asks the server itself.
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// A part of a longer work: asked for again also when a connection breaks.
    pub(super) patient: bool,
}

impl<'a> Ask<'a> {
    /// A request without query, headers and body.
    pub(super) fn of(method: Method, bucket: &'a str, key: &'a str) -> Self {
        Self {
            method,
            bucket,
            key,
            query: &[],
            headers: HeaderMap::new(),
            body: Bytes::new(),
            patient: false,
        }
    }
}

impl Client {
    /// A client that is not connected yet. `region` is what to sign for first.
    pub(super) fn new(
        alias: Alias,
        trust: &Trust,
        region: Option<&str>,
        debug: bool,
        habits: Habits,
    ) -> Result<Arc<Self>, ClientError> {
        Ok(Arc::new(Self {
            pool: wire::pool(&alias.host, trust, habits.places.clone())?,
            region: Mutex::new(region.unwrap_or(DEFAULT_REGION).to_owned()),
            alias,
            debug,
            habits,
            met: AtomicBool::new(false),
        }))
    }

    /// The URL of the server.
    pub(super) fn url(&self) -> String {
        self.alias.url()
    }

    /// The URL of a bucket or an object, as lists show it: not encoded.
    pub(super) fn url_of(&self, bucket: &str, key: &str) -> String {
        format!("{}/{bucket}/{key}", self.alias.url())
    }

    /// The alias it was made from.
    pub(super) fn alias(&self) -> &Alias {
        &self.alias
    }

    /// Whether both are one server, by what their URLs say. All names of this machine are one.
    pub(super) fn is_where(&self, other: &Self) -> bool {
        place(&self.alias.host) == place(&other.alias.host)
    }

    /// Asks, again where a server is merely busy or a connection broke, and gives the answer if it is a success.
    pub(super) async fn ask(&self, ask: &Ask<'_>) -> Result<Response<Coming>, ClientError> {
        let attempts = if ask.patient { PATIENT_ATTEMPTS } else { ATTEMPTS };
        let mut attempt = 1;
        let mut stalls = 0;
        loop {
            let failed = match self.once(ask).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            stalls += u32::from(matches!(failed, ClientError::Stalled { .. }));
            let enough = attempt >= attempts || stalls >= STALLS_MAX;
            if enough || !(self.learned_region(&failed) || self.is_passing(&failed, ask)) {
                return Err(failed);
            }
            tokio::time::sleep((PAUSE * 2_u32.pow(attempt - 1)).min(PAUSE_MAX)).await;
            attempt += 1;
        }
    }

    /// Asks, and reads a short answer as text.
    pub(super) async fn text(&self, ask: &Ask<'_>) -> Result<String, ClientError> {
        text(self.ask(ask).await?).await
    }

    /// Asks, and reads a short answer as XML.
    pub(super) async fn xml(&self, ask: &Ask<'_>) -> Result<Element, ClientError> {
        let text = self.text(ask).await?;
        Element::parse(&text).ok_or_else(|| ClientError::Answer {
            reason: "the answer is not the XML of S3; is this an S3 server?".to_owned(),
        })
    }

    /// Asks once, without a signature: health needs none, and a server that starts cannot check one.
    pub(super) async fn health(&self, ask: &Ask<'_>) -> Result<(), ClientError> {
        self.send(self.request(ask)?.into_parts().0, ask).await.map(drop)
    }

    /// Asks once for a short text, without a signature: the headers say who asks.
    pub(super) async fn unsigned(&self, ask: &Ask<'_>) -> Result<String, ClientError> {
        let mut parts = self.request(ask)?.into_parts().0;
        parts.headers.extend(ask.headers.clone());
        text(self.send(parts, ask).await?).await
    }

    /// A URL that lets whoever has it do one thing for a while.
    pub(super) fn presign(&self, method: Method, bucket: &str, key: &str, seconds: u32) -> Result<String, ClientError> {
        let signer = self
            .signer()
            .ok_or_else(|| ClientError::Unfit("an anonymous alias cannot sign links".into()))?;
        let ask = Ask::of(method, bucket, key);
        let (mut parts, ()) = self.request(&ask)?.into_parts();
        parts.headers.remove(header::USER_AGENT);
        let signed = signer.presign(&mut parts, seconds, OffsetDateTime::now_utc());
        signed.map_err(|error| ClientError::Unfit(error.to_string()))?;
        Ok(parts.uri.to_string())
    }

    /// The admin API is of no region.
    fn signer_for(&self, ask: &Ask<'_>) -> Option<Signer> {
        let admin = ask.bucket.is_empty() && ask.key.starts_with("minio/admin/");
        let region = if admin {
            String::new()
        } else {
            self.region.lock().clone()
        };
        self.signer_of(&region)
    }

    fn signer(&self) -> Option<Signer> {
        let region = self.region.lock().clone();
        self.signer_of(&region)
    }

    fn signer_of(&self, region: &str) -> Option<Signer> {
        let alias = &self.alias;
        if alias.access_key.is_empty() {
            return None;
        }
        let secret = SecretKey::new(alias.secret_key.expose().as_bytes());
        let signer = Signer::new(&alias.access_key, secret, region);
        Some(match &alias.session_token {
            Some(token) => signer.with_session_token(token.expose()),
            None => signer,
        })
    }

    async fn once(&self, ask: &Ask<'_>) -> Result<Response<Coming>, ClientError> {
        let (mut parts, ()) = self.request(ask)?.into_parts();
        parts.headers.extend(self.habits.headers.clone());
        parts.headers.extend(ask.headers.clone());
        if matches!(ask.method, Method::PUT | Method::POST) {
            // hyper leaves out the length of an empty body, and S3 insists on it.
            parts
                .headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from(ask.body.len()));
        }
        if let Some(signer) = self.signer_for(ask) {
            let mode = PayloadMode::SignedBody(body_hash(&ask.body));
            let signed = signer.sign(&mut parts, &mode, OffsetDateTime::now_utc());
            signed.map_err(|error| CallError::Request(error.to_string()))?;
        }
        self.send(parts, ask).await
    }

    async fn send(&self, parts: Parts, ask: &Ask<'_>) -> Result<Response<Coming>, ClientError> {
        if self.debug {
            print::problem(format_args!("mc: <DEBUG> {} {}", parts.method, parts.uri));
        }
        let (moved, patience) = (Moved::now(), self.habits.patience.before(ask));
        let body = Sent::new(ask.body.clone(), self.habits.upload.clone(), moved.clone());
        let asking = self.pool.request(Request::from_parts(parts, body));
        let server: Arc<str> = self.alias.host.authority().into();
        let Some(answer) = answered(asking, &moved, patience).await else {
            let silence = patience;
            return Err(ClientError::Stalled { server, silence });
        };
        let answer = answer.map_err(|error| ClientError::Connection {
            unsent: error.is_connect() && is_away(&error),
            reason: reason(&error),
        })?;
        let answer = Coming::of(answer, server, self.habits.patience.within());
        self.met.store(true, Ordering::Relaxed);
        let status = answer.status();
        if self.debug {
            print::problem(format_args!("mc: <DEBUG> {status}"));
        }
        if status.is_success() {
            return Ok(answer);
        }
        let headers = answer.headers().clone();
        let body = whole(answer).await.unwrap_or_default();
        let refusal = Refusal::read(status, &headers, &String::from_utf8_lossy(&body))
            .about(ask.bucket, if ask.bucket.is_empty() { "" } else { ask.key });
        Err(ClientError::Refused(Box::new(refusal)))
    }

    fn request(&self, ask: &Ask<'_>) -> Result<Request<()>, ClientError> {
        let host = &self.alias.host;
        let (authority, path) = if self.alias.bucket_in_host() && !ask.bucket.is_empty() {
            (format!("{}.{}", ask.bucket, host.authority()), format!("/{}", ask.key))
        } else if ask.bucket.is_empty() {
            (host.authority(), format!("/{}", ask.key))
        } else {
            (host.authority(), format!("/{}/{}", ask.bucket, ask.key))
        };
        let path = if ask.key.is_empty() && !ask.bucket.is_empty() {
            path.trim_end_matches('/').to_owned() + "/"
        } else {
            path
        };
        let scheme = if host.tls { "https" } else { "http" };
        let authority = authority
            .strip_suffix(if host.tls { ":443" } else { ":80" })
            .unwrap_or(&authority)
            .to_owned();
        let mut target = format!("{scheme}://{authority}{}", path_text(&path));
        for (i, (name, value)) in ask.query.iter().enumerate() {
            let joint = if i == 0 { '?' } else { '&' };
            target.push_str(&format!("{joint}{}={}", query_text(name), query_text(value)));
        }
        let request = Request::builder().method(ask.method.clone()).uri(target);
        let request = request
            .header(header::HOST, authority)
            .header(header::USER_AGENT, USER_AGENT);
        request
            .body(())
            .map_err(|error| CallError::Request(error.to_string()).into())
    }

    /// Whether asking again may help and cannot do harm: the begin and the end of an upload are asked for once.
    fn is_passing(&self, failed: &ClientError, ask: &Ask<'_>) -> bool {
        let completes = ask.method == Method::POST && ask.query.iter().any(|(name, _)| *name == "uploadId");
        match failed {
            ClientError::Refused(refusal) => match StatusCode::from_u16(refusal.status) {
                Ok(StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => !completes,
                Ok(
                    StatusCode::REQUEST_TIMEOUT
                    | StatusCode::INTERNAL_SERVER_ERROR
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::GATEWAY_TIMEOUT,
                ) => ask.patient && ask.method != Method::POST,
                Ok(_) | Err(_) => false,
            },
            ClientError::Connection { unsent: true, .. } => ask.patient && self.met.load(Ordering::Relaxed),
            ClientError::Connection { unsent: false, .. } | ClientError::Stalled { .. } => {
                ask.patient && ask.method != Method::POST
            }
            _ => false,
        }
    }

    /// Whether the server named another region to sign for; the next attempt uses it.
    fn learned_region(&self, failed: &ClientError) -> bool {
        let ClientError::Refused(refusal) = failed else {
            return false;
        };
        let about_it = matches!(
            refusal.code.as_str(),
            "AuthorizationHeaderMalformed" | "InvalidRegion" | "AccessDenied" | "PermanentRedirect"
        );
        let mut region = self.region.lock();
        if !about_it || refusal.region.is_empty() || *region == refusal.region {
            return false;
        }
        region.clone_from(&refusal.region);
        true
    }
}

/// Host and port, of one spelling.
fn place(host: &ServerHost) -> (String, u16) {
    let name = host.host.trim_end_matches('.').to_ascii_lowercase();
    let here = is_loopback(&name) || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    (if here { "localhost".to_owned() } else { name }, host.port)
}

/// Whether a server, or the way to it, is away, as when it is restarted.
fn is_away(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::UnexpectedEof
            );
        }
        at = error.source();
    }
    false
}

/// The innermost reason: the others only say that something failed.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Reads an answer that is short by its kind.
pub(super) async fn whole(answer: Response<Coming>) -> Result<Bytes, ClientError> {
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| match error.downcast::<Cut>() {
        Ok(cut) => cut.of("the answer"),
        Err(error) => ClientError::Answer {
            reason: format!("the answer was cut off: {error}"),
        },
    })?;
    Ok(body.to_bytes())
}

async fn text(answer: Response<Coming>) -> Result<String, ClientError> {
    String::from_utf8(whole(answer).await?.into()).map_err(|_| ClientError::Answer {
        reason: "the answer is not UTF-8".to_owned(),
    })
}

/// A header's value from text that a person gave.
pub(super) fn header_value(text: &str) -> Result<HeaderValue, ClientError> {
    // UTF-8 beyond ASCII goes as it is: S3's metadata is bytes to HTTP.
    HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| ClientError::Unfit(format!("`{text}` cannot stand in a header")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_one_server_are_one_place() {
        let of = |host: &str, port, tls| {
            place(&ServerHost {
                tls,
                host: host.to_owned(),
                port,
            })
        };
        let here = of("localhost", 9000, false);
        for host in ["127.0.0.1", "LOCALHOST", "::1", "0.0.0.0", "localhost."] {
            assert_eq!(of(host, 9000, true), here, "{host}");
        }
        assert_ne!(of("localhost", 9001, false), here);
        assert_ne!(of("store.test", 9000, false), here);
        assert_eq!(of("Store.test", 9000, false), of("store.test.", 9000, false));
    }
}
