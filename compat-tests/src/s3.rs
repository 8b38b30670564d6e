//! A small S3 client over plain HTTP/1.1 for load and crash tests: one request at a time on one kept connection.

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use time::OffsetDateTime;
use tokio::net::TcpStream;

use crate::server::{ACCESS_KEY, SECRET_KEY};
use crate::sign::{Signed, Signer, UNSIGNED, encode, sha256_hex};

/// How a request's body is covered by its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// By its SHA-256.
    Signed,
    /// Not at all.
    Unsigned,
}

/// A store to talk to: where it is and what signs.
#[derive(Clone)]
pub struct Target {
    /// `host:port`, as connected to and as sent in the Host header.
    pub authority: String,
    signer: Signer,
}

impl Target {
    /// The target behind `http://host:port` with these credentials.
    ///
    /// # Errors
    /// When the address is not plain HTTP.
    pub fn new(endpoint: &str, access: &str, secret: &str) -> Result<Self> {
        let rest = endpoint.strip_prefix("http://").context("only http:// endpoints")?;
        let authority = rest.trim_end_matches('/').to_owned();
        let signer = Signer::new(access, secret, "us-east-1", OffsetDateTime::now_utc());
        Ok(Self { authority, signer })
    }

    /// The target behind a server of the suite.
    ///
    /// # Errors
    /// When the address is not plain HTTP.
    pub fn suite(endpoint: &str) -> Result<Self> {
        Self::new(endpoint, ACCESS_KEY, SECRET_KEY)
    }

    /// A signed request; `path` is not yet encoded, `query` is encoded and sorted.
    ///
    /// # Errors
    /// When the parts do not make a request.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        query: &str,
        body: Bytes,
        how: Payload,
    ) -> Result<Request<Full<Bytes>>> {
        let path = encode(path, true);
        let payload = match how {
            Payload::Signed => sha256_hex(&body),
            Payload::Unsigned => UNSIGNED.to_owned(),
        };
        let signed = Signed {
            method: method.as_str(),
            path: &path,
            query,
            host: &self.authority,
            payload: &payload,
        };
        let authorization = self.signer.authorization(signed);
        let uri = if query.is_empty() {
            path.clone()
        } else {
            format!("{path}?{query}")
        };
        Request::builder()
            .method(method)
            .uri(uri)
            .header("host", &self.authority)
            .header("content-length", body.len())
            .header("x-amz-date", self.signer.moment())
            .header("x-amz-content-sha256", payload)
            .header("authorization", authorization)
            .body(Full::new(body))
            .context("building a request")
    }

    /// The path and query of a link that is good for ten minutes; `path` is not yet encoded.
    #[must_use]
    pub fn link(&self, method: &str, path: &str) -> String {
        self.signer.link(method, &encode(path, true), &self.authority, 600)
    }

    /// A fresh connection.
    ///
    /// # Errors
    /// When nothing listens.
    pub async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.authority).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends by itself when the sender is dropped; its error reaches the sender as well.
        tokio::spawn(connection);
        Ok(Connection { sender })
    }

    /// One request on a connection of its own; anything but 2xx is an error.
    ///
    /// # Errors
    /// When the request fails or is refused.
    pub async fn ask(&self, method: Method, path: &str, query: &str, body: impl Into<Bytes> + Send) -> Result<Bytes> {
        let request = self.request(method, path, query, body.into(), Payload::Signed)?;
        let (status, body) = self.connect().await?.send(request).await?;
        ensure!(
            status.is_success(),
            "{path} answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }
}

/// One kept connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Sends a request and takes the whole answer.
    ///
    /// # Errors
    /// When the connection ends before the answer does.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    /// Sends a request and counts the bytes of the answer without keeping them.
    ///
    /// # Errors
    /// When the connection ends before the answer does.
    pub async fn drain(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, u64)> {
        self.each(request, |_bytes| {}).await
    }

    /// Sends a request, hands every piece of the answer's body on as it comes, and counts the bytes.
    ///
    /// # Errors
    /// When the connection ends before the answer does.
    pub async fn each(
        &mut self,
        request: Request<Full<Bytes>>,
        mut take: impl FnMut(&[u8]) + Send,
    ) -> Result<(StatusCode, u64)> {
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                length += data.len() as u64;
                take(data);
            }
        }
        Ok((status, length))
    }
}

/// Sends one request without any signature of ours, as a browser with a link does, and gives status and body.
///
/// # Errors
/// When the address is not plain HTTP or the exchange fails.
pub fn plain_http(method: &str, url: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
    told_http(method, url, &[], body)
}

/// As [`plain_http`], with these headers.
///
/// # Errors
/// When the address is not plain HTTP or the exchange fails.
pub fn told_http(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<(u16, Vec<u8>)> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| anyhow!("not a plain HTTP link: {url}"))?;
    let (authority, path) = rest
        .find('/')
        .and_then(|at| rest.split_at_checked(at))
        .unwrap_or((rest, "/"));
    let mut request = Request::builder().method(method).uri(path).header("host", authority);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = TcpStream::connect(authority).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().collect().await?.to_bytes().to_vec()))
    })
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The key; only keys without XML-escaped characters are read right.
    pub key: String,
    /// The ETag as listed.
    pub tag: String,
    /// The length in bytes.
    pub size: String,
}

impl Target {
    /// Every object of a bucket, page by page.
    ///
    /// # Errors
    /// When a page cannot be had.
    pub async fn list(&self, bucket: &str) -> Result<Vec<Listed>> {
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let query = if token.is_empty() {
                "list-type=2".to_owned()
            } else {
                format!("continuation-token={}&list-type=2", encode(&token, false))
            };
            let page = self
                .ask(Method::GET, &format!("/{bucket}"), &query, Bytes::new())
                .await?;
            let page = String::from_utf8_lossy(&page);
            for entry in page.split("<Contents>").skip(1) {
                let field = |name: &str| between(entry, name).unwrap_or_default().replace("&quot;", "\"");
                all.push(Listed {
                    key: field("Key"),
                    tag: field("ETag"),
                    size: field("Size"),
                });
            }
            match between(&page, "NextContinuationToken") {
                Some(next) => token = next.to_owned(),
                None => return Ok(all),
            }
        }
    }
}

/// The text of the first element `name`.
#[must_use]
pub fn between<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}
