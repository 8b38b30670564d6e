//! The other side: signs requests the way S3's clients do, with the same canonical request the verifier builds.
//!
//! For clients of this project, for tests, and for the links that the server gives out.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use time::OffsetDateTime;

use super::canonical::{ALGORITHM, Canonical, Order, encoded, encoded_path, signed_headers_of};
use super::clean::{host, replace_query};
use super::credentials::SecretKey;
use super::date::AmzDate;
use super::error::AuthError;
use super::hash::{HexHash, Sha256, sha256_hex};
use super::payload::PayloadMode;
use super::signing_key::{ChunkChain, Scope, Signature, SigningKey};
use super::target::{Query, decode_path};

/// Headers that connections and proxies change.
const NOT_SIGNED: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::EXPECT,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::USER_AGENT,
    HeaderName::from_static("x-amzn-trace-id"),
];

/// Signs for one access key and region.
#[derive(Clone, Debug)]
pub struct Signer {
    access_key: String,
    secret: SecretKey,
    region: String,
    session_token: Option<String>,
    service: &'static str,
}

impl Signer {
    /// A signer without a session token.
    pub fn new(access_key: impl Into<String>, secret: SecretKey, region: impl Into<String>) -> Self {
        Self {
            access_key: access_key.into(),
            secret,
            region: region.into(),
            session_token: None,
            service: "s3",
        }
    }

    /// Signs for another service than S3, such as `sts`.
    #[must_use]
    pub fn for_service(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }

    /// Sends a session token along, and signs it.
    #[must_use]
    pub fn with_session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// Adds `x-amz-date`, `x-amz-content-sha256`, the session token and `Authorization`, signing every header that is
    /// there. A chunked mode needs its other headers set before (`x-amz-decoded-content-length`, `x-amz-trailer`), and its
    /// body written by what comes back.
    pub fn sign(&self, parts: &mut Parts, mode: &PayloadMode, at: OffsetDateTime) -> Result<ChunkWriter, AuthError> {
        let date = AmzDate::from_time(at);
        let payload_hash = payload_hash(mode);
        set(&mut parts.headers, "x-amz-date", date.as_str())?;
        set(&mut parts.headers, "x-amz-content-sha256", &payload_hash)?;
        if let Some(token) = &self.session_token {
            set(&mut parts.headers, "x-amz-security-token", token)?;
        }
        let (signature, chain, signed_headers) = self.signature(parts, &date, &payload_hash)?;
        let authorization = format!(
            "{ALGORITHM} Credential={}/{},SignedHeaders={signed_headers},Signature={}",
            self.access_key,
            self.scope(&date),
            signature.as_str()
        );
        set(&mut parts.headers, header::AUTHORIZATION.as_str(), &authorization)?;
        let chain = match mode {
            PayloadMode::StreamingSigned | PayloadMode::StreamingSignedTrailer => Some(chain),
            PayloadMode::SignedBody(_) | PayloadMode::Unsigned | PayloadMode::StreamingUnsignedTrailer => None,
        };
        Ok(ChunkWriter { chain })
    }

    /// Makes `parts.uri` a presigned URL for `expires_seconds`, signing every header that is there.
    pub fn presign(&self, parts: &mut Parts, expires_seconds: u32, at: OffsetDateTime) -> Result<(), AuthError> {
        let date = AmzDate::from_time(at);
        let scope = self.scope(&date);
        let mut query = parts.uri.query().map(|query| [query, "&"].concat()).unwrap_or_default();
        let signed_headers = signed_headers_of(signed_names(&parts.headers));
        query.push_str(&format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={}&X-Amz-Expires={expires_seconds}\
             &X-Amz-SignedHeaders={}",
            encoded(&[&self.access_key, "/", &scope].concat()),
            date.as_str(),
            encoded(&signed_headers),
        ));
        if let Some(token) = &self.session_token {
            query.push_str("&X-Amz-Security-Token=");
            query.push_str(&encoded(token));
        }
        replace_query(parts, &query)?;
        let (signature, _chain, _names) = self.signature(parts, &date, "UNSIGNED-PAYLOAD")?;
        query.push_str("&X-Amz-Signature=");
        query.push_str(signature.as_str());
        replace_query(parts, &query)
    }

    /// The form fields that let whoever has them upload by POST what `policy` (JSON, in base64) allows: `x-amz-algorithm`,
    /// `x-amz-credential`, `x-amz-date`, the session token, and last `x-amz-signature`. `policy` is made from the fields
    /// before the signature, by `write`.
    pub fn post_form(&self, at: OffsetDateTime, write: impl FnOnce(&[(&str, String)]) -> String) -> PostForm {
        let date = AmzDate::from_time(at);
        let scope = self.scope(&date);
        let mut fields = vec![
            ("x-amz-date", date.as_str().to_owned()),
            ("x-amz-algorithm", ALGORITHM.to_owned()),
            ("x-amz-credential", [&self.access_key, "/", &scope].concat()),
        ];
        if let Some(token) = &self.session_token {
            fields.push(("x-amz-security-token", token.clone()));
        }
        let policy = write(&fields);
        let signature = self.key(&date).sign(policy.as_bytes());
        fields.push(("x-amz-signature", signature.as_str().to_owned()));
        PostForm { policy, fields }
    }

    fn key(&self, date: &AmzDate) -> SigningKey {
        let scope = Scope {
            day: date.day(),
            region: &self.region,
            service: self.service,
        };
        SigningKey::derive(&self.secret, scope)
    }

    fn scope(&self, date: &AmzDate) -> String {
        [date.day(), "/", &self.region, "/", self.service, "/aws4_request"].concat()
    }

    fn signature(
        &self,
        parts: &Parts,
        date: &AmzDate,
        payload_hash: &str,
    ) -> Result<(Signature, ChunkChain, String), AuthError> {
        let scope = self.scope(date);
        let signed_headers = signed_headers_of(signed_names(&parts.headers));
        let host = host(parts)?;
        let canonical = Canonical {
            method: parts.method.as_str(),
            path: &decode_path(parts.uri.path())?,
            query: &Query::parse(parts.uri.query())?,
            headers: &parts.headers,
            host: host.as_bytes(),
            signed_headers: &signed_headers,
            payload_hash,
            order: Order::Sorted,
        };
        let key = self.key(date);
        let signature = key.sign(canonical.string_to_sign(date.as_str(), &scope).as_bytes());
        Ok((
            signature,
            ChunkChain::new(key, date.as_str(), &scope, signature),
            signed_headers,
        ))
    }
}

/// What a form that uploads by POST carries beside bucket, key and file.
pub struct PostForm {
    /// As handed to the signer: JSON in base64.
    pub policy: String,
    pub fields: Vec<(&'static str, String)>,
}

/// A path as it stands in a signed request: everything but unreserved characters and `/` is encoded.
pub fn path_text(path: &str) -> String {
    encoded_path(path)
}

/// A name or a value as it stands in the query of a signed request.
pub fn query_text(text: &str) -> String {
    encoded(text)
}

/// Writes the body of a chunked mode.
pub struct ChunkWriter {
    chain: Option<ChunkChain>,
}

impl ChunkWriter {
    /// One chunk; `data` must not be empty, an empty chunk is the last one.
    pub fn chunk(&mut self, data: &[u8]) -> Bytes {
        let mut out = self.line(data);
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
        out.into()
    }

    /// The last chunk and the trailers.
    pub fn finish(mut self, trailers: &[(&str, &str)]) -> Bytes {
        let mut out = self.line(&[]);
        let mut signed = Vec::new();
        for (name, value) in trailers {
            out.extend_from_slice([*name, ":", *value, "\r\n"].concat().as_bytes());
            signed.extend_from_slice([*name, ":", *value, "\n"].concat().as_bytes());
        }
        if let Some(chain) = self.chain.as_mut().filter(|_| !trailers.is_empty()) {
            let signature = chain.trailers(&sha256_hex(&signed));
            out.extend_from_slice(
                ["x-amz-trailer-signature:", signature.as_str(), "\r\n"]
                    .concat()
                    .as_bytes(),
            );
        }
        out.extend_from_slice(b"\r\n");
        out.into()
    }

    fn line(&mut self, data: &[u8]) -> Vec<u8> {
        let size = data.len();
        match &mut self.chain {
            None => format!("{size:x}\r\n").into_bytes(),
            Some(chain) => {
                let mut hash = Sha256::new();
                hash.update(data);
                format!(
                    "{size:x};chunk-signature={}\r\n",
                    chain.next_chunk(&hash.take()).as_str()
                )
                .into_bytes()
            }
        }
    }
}

/// SHA-256 of a whole body, for [`PayloadMode::SignedBody`].
pub fn body_hash(body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(body);
    hash.take()
}

fn payload_hash(mode: &PayloadMode) -> String {
    match mode {
        PayloadMode::SignedBody(hash) => HexHash::of(hash).as_str().to_owned(),
        PayloadMode::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
        PayloadMode::StreamingSigned => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned(),
        PayloadMode::StreamingSignedTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned(),
        PayloadMode::StreamingUnsignedTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
    }
}

fn signed_names(headers: &HeaderMap) -> impl Iterator<Item = &HeaderName> {
    headers.keys().filter(|name| !NOT_SIGNED.contains(name))
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), AuthError> {
    let value = HeaderValue::try_from(value)
        .map_err(|_| AuthError::InvalidRequest("An access key, region or token cannot stand in a header."))?;
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}
