//! A scanner that takes the bytes by HTTP: one POST, whose answer says what they are.
//!
//! It is signed as deliveries of webhooks are, where the operator gave a secret. The signature stands before the bytes, so they
//! are read once more for it: nothing of them is kept.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use parking_lot::Mutex;
use serde::Deserialize;
use url::Url;

use super::{Patience, ScanError, Source, Subject, Verdict};
use crate::auth::SecretKey;
use crate::http::body::Body;
use crate::outbound::Outbound;
use crate::webhooks::sign::Signing;

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Most letters of what it calls what it found.
const SIGNATURE_CHARS_MAX: usize = 200;

/// Somebody who scans by HTTP.
#[derive(Clone)]
pub struct Webhook {
    url: Url,
    secret: Option<SecretKey>,
    outbound: Outbound,
    patience: Patience,
}

/// What is answered.
#[derive(Debug, Deserialize)]
struct Answer {
    verdict: String,
    #[serde(default)]
    signature: Option<String>,
}

impl Webhook {
    pub(super) fn new((url, secret): (Url, Option<SecretKey>), outbound: Outbound, patience: Patience) -> Self {
        Self {
            url,
            secret,
            outbound,
            patience,
        }
    }

    /// Posts the bytes.
    pub(super) async fn scan(&self, subject: &Subject<'_>, source: &Source<'_>) -> Result<Verdict, ScanError> {
        let mut headers = headers(subject);
        if let Some(secret) = &self.secret {
            self.sign(secret, subject, source, &mut headers).await?;
        }
        let body = source.open().await?;
        // Whose fault it was that the bytes broke off is not told by a call that failed.
        let broken = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&broken);
        let frames = body.map_ok(Frame::data).map_err(move |error| {
            *noted.lock() = Some(error.to_string());
            error.into()
        });
        let body: Body = StreamBody::new(frames).boxed_unsync();
        let within = (self.patience.whole, ANSWER_BYTES_MAX);
        let called = self.outbound.send(&self.url, (headers, body), within).await;
        if let Some(why) = broken.lock().take() {
            return Err(ScanError::Bytes(why));
        }
        let answered = called.map_err(|error| ScanError::Scanner(error.to_string()))?;
        read(answered.status, &answered.body)
    }

    /// Signs the bytes, as a message of its own each time they are asked about.
    async fn sign(
        &self,
        secret: &SecretKey,
        subject: &Subject<'_>,
        source: &Source<'_>,
        headers: &mut HeaderMap,
    ) -> Result<(), ScanError> {
        let no_signature = || ScanError::Scanner("no signature can be made for it".to_owned());
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| no_signature())?;
        let id = format!("scan_{}", hex_simd::encode_to_string(id, hex_simd::AsciiCase::Lower));
        let mut signing = Signing::begin(secret.expose(), id, subject.now.seconds()).ok_or_else(no_signature)?;
        let mut body = source.open().await?;
        while let Some(piece) = body.next().await {
            signing.update(&piece.map_err(|error| ScanError::Bytes(error.to_string()))?);
        }
        signing.say(headers).ok_or_else(no_signature)
    }
}

/// What is said of the file beside its bytes. Nothing that its uploader says is among it.
fn headers(subject: &Subject<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let said = [
        ("drystone-bucket", subject.bucket.as_str().to_owned()),
        ("drystone-file-id", subject.id.to_string()),
        ("drystone-file-size", subject.file.size.to_string()),
    ];
    for (name, value) in said {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

fn read(status: StatusCode, body: &Bytes) -> Result<Verdict, ScanError> {
    if status != StatusCode::OK {
        return Err(ScanError::Scanner(format!("it answered {status}")));
    }
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| ScanError::Scanner(format!("its answer is not the JSON it must be: {error}")))?;
    match answer.verdict.as_str() {
        "clean" => Ok(Verdict::Clean),
        "infected" => {
            let name = answer.signature.unwrap_or_else(|| "unnamed".to_owned());
            Ok(Verdict::Infected(name.chars().take(SIGNATURE_CHARS_MAX).collect()))
        }
        "too-large" => Ok(Verdict::TooLarge),
        _ => Err(ScanError::Scanner("it could not say".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_of_the_right_form_clears_a_file() {
        let said = |status: u16, text: &str| read(StatusCode::from_u16(status).unwrap(), &Bytes::from(text.to_owned()));
        assert_eq!(said(200, r#"{"verdict":"clean"}"#).unwrap(), Verdict::Clean);
        assert_eq!(
            said(200, r#"{"verdict":"infected","signature":"X"}"#).unwrap(),
            Verdict::Infected("X".into())
        );
        assert_eq!(
            said(200, r#"{"verdict":"infected"}"#).unwrap(),
            Verdict::Infected("unnamed".into())
        );
        assert_eq!(said(200, r#"{"verdict":"too-large"}"#).unwrap(), Verdict::TooLarge);
        for (status, wrong) in [
            (200, ""),
            (200, "clean"),
            (200, r#"{"verdict":"error"}"#),
            (200, r#"{"verdict":"Clean"}"#),
            (200, r#"{"verdict":["clean"]}"#),
            (200, r#"{"verdict":"clean""#),
            (201, r#"{"verdict":"clean"}"#),
            (302, r#"{"verdict":"clean"}"#),
            (500, r#"{"verdict":"clean"}"#),
        ] {
            assert!(said(status, wrong).is_err(), "{status} {wrong}");
        }
    }
}
