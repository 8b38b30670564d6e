//! The server of an app, as its Files API is asked with a secret key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, IF_MATCH, RANGE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::reading::{self, Sent};
use crate::cli::call::{self, Trust, is_loopback};
use crate::config::client::{self, ServerHost};
use crate::config::{Secret, Vars};

pub(in crate::cli) const AGENT: &str = concat!("drystone/", env!("CARGO_PKG_VERSION"));
/// Of an answer in JSON or XML; the largest is a page of a list whose files have much metadata.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long an answer may take. Files in parts are read once more before it comes.
pub(in crate::cli) const PATIENCE: Duration = Duration::from_secs(120);
pub(in crate::cli) const LONG_PATIENCE: Duration = Duration::from_secs(6 * 3_600);
/// The slowest that bytes may go before the request is given up, in bytes a second.
const SLOWEST: u64 = 32 * 1024;
/// How often something that may pass is tried.
pub(in crate::cli) const TRIES: u32 = 6;

/// Where the server of the app is, and who asks.
#[derive(Clone, Debug, Args)]
pub struct AppReach {
    /// URL of the server [default: http://localhost:9000; or set DRYSTONE_ENDPOINT]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Secret key of the app's environment [better: set DRYSTONE_API_KEY, or DRYSTONE_API_KEY_FILE: others on this
    /// machine can see arguments]
    #[arg(long, value_name = "sk_…")]
    api_key: Option<String>,
    /// Certificates that the server's must be one of, or be signed by
    #[arg(long, value_name = "PEM-FILE")]
    cacert: Option<PathBuf>,
    /// Accept any TLS certificate; one of this machine's own is always accepted
    #[arg(long, conflicts_with = "cacert")]
    insecure: bool,
}

impl AppReach {
    /// The server, and how it is trusted.
    pub(in crate::cli) fn server(&self, vars: &Vars) -> Result<Server, String> {
        let read = |path: &Path| std::fs::read_to_string(path);
        let host: ServerHost =
            client::endpoint(self.endpoint.clone(), vars, &read).map_err(|error| error.to_string())?;
        let key = match &self.api_key {
            Some(key) => Some(key.clone()),
            None => vars.setting("API_KEY", &read).map_err(|error| error.to_string())?,
        };
        let key = key.filter(|key| key.trim().starts_with("sk_"));
        let key = key.ok_or("give the secret key of the app's environment: DRYSTONE_API_KEY=sk_…, or --api-key")?;
        let trust = match (&self.cacert, self.insecure) {
            (Some(file), _) => Trust::File(file.clone()),
            (None, true) => Trust::Any,
            (None, false) if !host.tls || is_loopback(&host.host) => Trust::Any,
            (None, false) => Trust::Machine { also: PathBuf::new() },
        };
        Server::new(&host, Secret::new(key.trim()), &trust)
    }
}

/// Why there is no answer, or not the one that was wanted.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ApiError {
    #[error("{0}")]
    Unreachable(String),
    #[error("{code}: {message}")]
    Refused {
        status: StatusCode,
        code: String,
        message: String,
        /// After which time to ask again.
        wait: Option<Duration>,
    },
}

impl ApiError {
    /// Whether asking again may help.
    pub(in crate::cli) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, code, .. } => {
                matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504) || code == "common/conflict"
            }
        }
    }

    pub(in crate::cli) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }

    /// Whether nothing else that is asked with this key will be answered.
    pub(in crate::cli) fn ends_all(&self) -> bool {
        match self {
            Self::Unreachable(_) => false,
            Self::Refused { status, code, .. } => {
                *status == StatusCode::UNAUTHORIZED || code == "SCOPE_INSUFFICIENT" || code == "PERMISSION_DENIED"
            }
        }
    }

    /// How long to wait before asking again for the `tries`-th time.
    pub(in crate::cli) fn pause(&self, tries: u32) -> Duration {
        match self {
            Self::Refused { wait: Some(wait), .. } => *wait,
            _ => Duration::from_millis(250 << tries.min(6)),
        }
    }
}

pub(in crate::cli) type Pool = Client<HttpsConnector<HttpConnector>, Sent>;

/// See the module.
pub(in crate::cli) struct Server {
    /// Scheme and authority.
    pub(in crate::cli) origin: String,
    key: Secret,
    client: Pool,
}

impl Server {
    fn new(host: &ServerHost, key: Secret, trust: &Trust) -> Result<Self, String> {
        Ok(Self {
            origin: host.url(),
            key,
            client: pool(trust)?,
        })
    }

    /// Whether the server is there and takes the key; and the environment that the key is of, as PROJECT/ENVIRONMENT.
    pub(in crate::cli) async fn check(&self) -> Result<String, String> {
        let asked = self.ask((Method::GET, "files/buckets"), None, None).await;
        let told = asked.map_err(|error| format!("{}: {error}", self.origin))?;
        let text = |name: &str| told.get(name).and_then(Value::as_str);
        let (project, environment) = (text("project"), text("environment"));
        let whole = project.zip(environment);
        let whole = whole.ok_or_else(|| format!("{}: it is of an older release of drystone", self.origin))?;
        Ok(format!("{}/{}", whole.0, whole.1))
    }

    /// The record of a file.
    pub(in crate::cli) async fn file(&self, id: &str) -> Result<Value, ApiError> {
        let id = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC);
        self.patiently((Method::GET, &format!("files/{id}")), None).await
    }

    /// Asks for a path below `/v1/`, with the key, or with an upload token in its place.
    pub(in crate::cli) async fn ask(
        &self,
        (method, path): (Method, &str),
        token: Option<&str>,
        fields: Option<&Value>,
    ) -> Result<Value, ApiError> {
        self.ask_for(PATIENCE, (method, path), token, fields).await
    }

    pub(in crate::cli) async fn ask_for(
        &self,
        patience: Duration,
        (method, path): (Method, &str),
        token: Option<&str>,
        fields: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.origin));
        request = match token {
            Some(token) => request.header("x-upload-token", token),
            None => request.header("x-api-key", self.key.expose()),
        };
        let body = match fields {
            Some(fields) => {
                request = request.header(CONTENT_TYPE, "application/json");
                reading::whole(fields.to_string())
            }
            None => reading::whole(Bytes::new()),
        };
        let (_, body) = answered(&self.client, request.body(body), patience).await?;
        serde_json::from_slice(&body).map_err(|_| ApiError::Unreachable("the answer is no Drystone's".to_owned()))
    }

    /// Asks what may be asked twice, until there is an answer.
    pub(in crate::cli) async fn patiently(
        &self,
        (method, path): (Method, &str),
        fields: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let mut tries = 0;
        loop {
            let error = match self.ask((method.clone(), path), None, fields).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            tries += 1;
            if !error.may_pass() || tries == TRIES {
                return Err(error);
            }
            tokio::time::sleep(error.pause(tries)).await;
        }
    }

    /// Begins to read bytes, from `start` on, if they still have this tag.
    pub(in crate::cli) async fn read(
        &self,
        path: &str,
        etag: Option<&str>,
        start: u64,
    ) -> Result<Response<Incoming>, ApiError> {
        let mut request = Request::get(format!("{}/v1/{path}", self.origin))
            .header("x-api-key", self.key.expose())
            .header(USER_AGENT, AGENT);
        if let Some(etag) = etag {
            request = request.header(IF_MATCH, etag);
        }
        if start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        let request = request.body(reading::whole(Bytes::new()));
        let request = request.map_err(|error| ApiError::Unreachable(error.to_string()))?;
        let asked = tokio::time::timeout(PATIENCE, self.client.request(request)).await;
        let asked = asked.map_err(|_| ApiError::Unreachable("no answer in time".to_owned()))?;
        let answer = asked.map_err(|error| ApiError::Unreachable(causes(&error)))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let whole = tokio::time::timeout(PATIENCE, Limited::new(body, ANSWER_BYTES_MAX).collect()).await;
        let body = whole.ok().and_then(Result::ok).map(|body| body.to_bytes());
        Err(refused(parts.status, &parts.headers, &body.unwrap_or_default()))
    }

    /// Puts bytes to an address that the server gave out.
    pub(in crate::cli) async fn put(
        &self,
        url: &str,
        kind: Option<&str>,
        (body, length): (Sent, u64),
    ) -> Result<HeaderMap, ApiError> {
        let mut request = Request::put(url).header(CONTENT_LENGTH, length);
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        let patience = PATIENCE + Duration::from_secs(length / SLOWEST);
        let (headers, _) = answered(&self.client, request.body(body), patience).await?;
        Ok(headers)
    }
}

/// Connections to servers that are trusted so.
pub(in crate::cli) fn pool(trust: &Trust) -> Result<Pool, String> {
    let tls = call::tls(trust).map_err(|error| error.to_string())?;
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// A whole answer that is no refusal.
async fn answered(
    client: &Pool,
    request: http::Result<Request<Sent>>,
    patience: Duration,
) -> Result<(HeaderMap, Bytes), ApiError> {
    let mut request = request.map_err(|error| ApiError::Unreachable(error.to_string()))?;
    request
        .headers_mut()
        .insert(USER_AGENT, http::HeaderValue::from_static(AGENT));
    let asking = async {
        let answer = client
            .request(request)
            .await
            .map_err(|error| ApiError::Unreachable(causes(&error)))?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| ApiError::Unreachable(format!("the answer was cut off: {error}")))?;
        Ok((parts, body.to_bytes()))
    };
    let asked = tokio::time::timeout(patience, asking).await;
    let (parts, body) = asked.map_err(|_| ApiError::Unreachable("no answer in time".to_owned()))??;
    match parts.status.is_success() {
        true => Ok((parts.headers, body)),
        false => Err(refused(parts.status, &parts.headers, &body)),
    }
}

/// The words of a refusal, in either of the forms that the server has.
fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ApiError {
    let text = String::from_utf8_lossy(body);
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let of_json = |path: &str| document.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let of_xml = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0.to_owned())
    };
    let wait = headers
        .get(RETRY_AFTER)
        .and_then(|wait| wait.to_str().ok()?.parse().ok());
    ApiError::Refused {
        status,
        code: of_json("/error/code")
            .or_else(|| of_xml("Code"))
            .unwrap_or_else(|| status.to_string()),
        message: of_json("/error/message")
            .or_else(|| of_xml("Message"))
            .unwrap_or_default(),
        wait: wait.map(|seconds: u64| Duration::from_secs(seconds.min(60))),
    }
}

/// An error with what led to it.
pub(in crate::cli) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
