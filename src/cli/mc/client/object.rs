//! One object: what it is, its bytes, copying and removing it.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use md5::{Digest, Md5};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::error::Refusal;
use super::{Ask, Client, ClientError, Coming, element, header_value, path_text};

/// Keys that one request may remove.
const REMOVED_AT_ONCE: usize = 1000;

/// What an object's headers say.
#[derive(Clone, Debug)]
pub(in crate::cli::mc) struct Stat {
    pub(in crate::cli::mc) size: u64,
    pub(in crate::cli::mc) modified: Option<OffsetDateTime>,
    pub(in crate::cli::mc) etag: String,
    pub(in crate::cli::mc) headers: HeaderMap,
}

impl Stat {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let modified = text(LAST_MODIFIED).replace("GMT", "+0000");
        Self {
            size: text(http::header::CONTENT_LENGTH).parse().unwrap_or_default(),
            modified: OffsetDateTime::parse(&modified, &Rfc2822).ok(),
            etag: text(ETAG).trim_matches('"').to_owned(),
            headers: headers.clone(),
        }
    }

    /// Its storage class; servers name the usual one in lists alone.
    pub(in crate::cli::mc) fn class(&self) -> &str {
        let told = self
            .headers
            .get("x-amz-storage-class")
            .and_then(|class| class.to_str().ok());
        told.unwrap_or("STANDARD")
    }

    /// The headers that belong to the object, by name as people write it.
    pub(in crate::cli::mc) fn metadata(&self) -> Vec<(String, String)> {
        let own = |name: &str| {
            name.starts_with("x-amz-meta-")
                || matches!(
                    name,
                    "content-type"
                        | "cache-control"
                        | "content-encoding"
                        | "content-disposition"
                        | "content-language"
                        | "expires"
                )
        };
        let found = self.headers.iter().filter(|(name, _)| own(name.as_str()));
        found
            .map(|(name, value)| {
                (
                    written(name.as_str()),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect()
    }

    /// Those headers, to be sent with a copy.
    pub(in crate::cli::mc) fn kept(&self) -> HeaderMap {
        let pairs = self.metadata().into_iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        });
        pairs.collect()
    }
}

/// `x-amz-meta-one` as `X-Amz-Meta-One`.
fn written(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect::<Vec<_>>().join("-")
}

impl Client {
    /// What an object is; [`ClientError::is_absent`] when there is none.
    pub(in crate::cli::mc) async fn stat(&self, bucket: &str, key: &str) -> Result<Stat, ClientError> {
        let ask = Ask::of(Method::HEAD, bucket, key);
        match self.ask(&ask).await {
            Ok(answer) => Ok(Stat::read(answer.headers())),
            Err(error) if error.is_unexplained() => Err(self.explained(error, bucket, key).await),
            Err(error) => Err(error),
        }
    }

    /// Why a HEAD was answered with 404: it has no body to say what is not there, and a GET has.
    pub(super) async fn explained(&self, error: ClientError, bucket: &str, key: &str) -> ClientError {
        let told = if key.is_empty() {
            let query = [("list-type", "2"), ("max-keys", "1")];
            let mut ask = Ask::of(Method::GET, bucket, "");
            ask.query = &query;
            self.ask(&ask).await.map(drop)
        } else {
            self.get(bucket, key, 0, Some(1)).await.map(drop)
        };
        told.err().unwrap_or(error)
    }

    /// An object's bytes from an offset on, at most `length`.
    pub(in crate::cli::mc) async fn get(
        &self,
        bucket: &str,
        key: &str,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(Stat, Response<Coming>), ClientError> {
        let mut ask = Ask::of(Method::GET, bucket, key);
        let range = match (offset, length) {
            (0, None) => None,
            (from, None) => Some(format!("bytes={from}-")),
            (from, Some(length)) => Some(format!(
                "bytes={from}-{}",
                from.saturating_add(length).saturating_sub(1)
            )),
        };
        if let Some(range) = range {
            ask.headers.insert(RANGE, header_value(&range)?);
        }
        let answer = self.ask(&ask).await?;
        Ok((Stat::read(answer.headers()), answer))
    }

    /// Stores a body in one request; `headers` carry type and metadata.
    pub(in crate::cli::mc) async fn put(
        &self,
        bucket: &str,
        key: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(), ClientError> {
        let ask = Ask {
            headers,
            body,
            patient: true,
            ..Ask::of(Method::PUT, bucket, key)
        };
        self.ask(&ask).await.map(drop)
    }

    /// Copies inside the server, if the source still has this ETag. With `headers`, they replace what the source has.
    pub(in crate::cli::mc) async fn copy(
        &self,
        from: (&str, &str),
        etag: &str,
        to: (&str, &str),
        headers: Option<HeaderMap>,
    ) -> Result<(), ClientError> {
        let mut ask = Ask::of(Method::PUT, to.0, to.1);
        ask.patient = true;
        if let Some(headers) = headers {
            ask.headers = headers;
            ask.headers
                .insert("x-amz-metadata-directive", HeaderValue::from_static("REPLACE"));
        }
        let source = path_text(&format!("/{}/{}", from.0, from.1));
        ask.headers.insert("x-amz-copy-source", header_value(&source)?);
        if !etag.is_empty() {
            ask.headers
                .insert("x-amz-copy-source-if-match", header_value(&format!("\"{etag}\""))?);
        }
        // A copy may fail after its 200 has been sent: then the body is an error.
        let root = self.xml(&ask).await?;
        Refusal::within(&root, from.0, from.1)
    }

    /// Removes one object; none there is a success.
    pub(in crate::cli::mc) async fn remove(&self, bucket: &str, key: &str) -> Result<(), ClientError> {
        self.ask(&Ask::of(Method::DELETE, bucket, key)).await.map(drop)
    }

    /// Removes one object if it still has this ETag; none there is a success.
    pub(in crate::cli::mc) async fn remove_if(&self, bucket: &str, key: &str, etag: &str) -> Result<(), ClientError> {
        if etag.is_empty() {
            return self.remove(bucket, key).await;
        }
        let replaced = || ClientError::Unfit("the object was replaced while it was moved; the new one is left".into());
        let mut ask = Ask::of(Method::DELETE, bucket, key);
        ask.headers.insert(IF_MATCH, header_value(&format!("\"{etag}\""))?);
        match self.ask(&ask).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_absent() => Ok(()),
            Err(error) => match error.status() {
                412 => Err(replaced()),
                // A server without conditions here: what it has now is looked at as late as can be.
                501 => match self.stat(bucket, key).await {
                    Ok(now) if now.etag == etag => self.remove(bucket, key).await,
                    Ok(_) => Err(replaced()),
                    Err(error) if error.is_absent() => Ok(()),
                    Err(error) => Err(error),
                },
                _ => Err(error),
            },
        }
    }

    /// Removes many; gives those that were refused, with the reason.
    pub(in crate::cli::mc) async fn remove_many(
        &self,
        bucket: &str,
        keys: &[String],
    ) -> Result<Vec<(String, ClientError)>, ClientError> {
        let mut refused = Vec::new();
        for keys in keys.chunks(REMOVED_AT_ONCE) {
            let objects: String = keys
                .iter()
                .map(|key| format!("<Object>{}</Object>", element("Key", key)))
                .collect();
            let body = format!("<Delete><Quiet>true</Quiet>{objects}</Delete>");
            let mut ask = Ask::of(Method::POST, bucket, "");
            ask.query = &[("delete", "")];
            ask.headers = xml_headers(body.as_bytes())?;
            ask.body = body.into();
            let root = self.xml(&ask).await?;
            refused.extend(root.all("Error").map(|error| {
                let text = |name: &str| error.text_of(name).to_owned();
                let refusal = Refusal {
                    code: text("Code"),
                    message: text("Message"),
                    ..Refusal::default()
                };
                (
                    text("Key"),
                    ClientError::Refused(Box::new(refusal.about(bucket, &text("Key")))),
                )
            }));
        }
        Ok(refused)
    }
}

/// The headers of a request with XML in it; S3 wants some of those summed.
pub(super) fn xml_headers(body: &[u8]) -> Result<HeaderMap, ClientError> {
    let sum = base64_simd::STANDARD.encode_to_string(Md5::digest(body));
    Ok(HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/xml")),
        (HeaderName::from_static("content-md5"), header_value(&sum)?),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_an_object_is() {
        let headers = HeaderMap::from_iter([
            (LAST_MODIFIED, HeaderValue::from_static("Sat, 21 Nov 2026 14:50:31 GMT")),
            (ETAG, HeaderValue::from_static("\"abc\"")),
            (http::header::CONTENT_LENGTH, HeaderValue::from_static("12")),
            (HeaderName::from_static("x-amz-meta-one"), HeaderValue::from_static("1")),
            (HeaderName::from_static("server"), HeaderValue::from_static("s")),
        ]);
        let stat = Stat::read(&headers);
        assert_eq!((stat.size, stat.etag.as_str()), (12, "abc"));
        assert_eq!(stat.modified.unwrap().unix_timestamp(), 1_795_272_631);
        assert_eq!(stat.metadata(), [("X-Amz-Meta-One".to_owned(), "1".to_owned())]);
        assert_eq!(stat.kept().len(), 1);
    }
}
