//! The body of a request on its way into an upload, and the checksum in its trailer.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use md5::{Digest, Md5};
use parking_lot::Mutex;
use storage_engine::backend::BodySource;
use storage_engine::store::checksum::{Checksum, ChecksumHasher};
use storage_engine::store::resumable::append::{BodyDigest, DigestRequest};

use super::asked;
use super::digest::{self, TUS_CHECKSUMS};
use crate::http::body::RequestBody;

/// What passed, hashed in every way that a trailer may name, because it is named at the end.
struct Passed {
    md5: Md5,
    checksums: Vec<ChecksumHasher>,
    trailer: Option<String>,
}

impl Passed {
    fn new() -> Self {
        Self {
            md5: Md5::new(),
            checksums: TUS_CHECKSUMS.into_iter().map(ChecksumHasher::new).collect(),
            trailer: None,
        }
    }

    fn feed(&mut self, bytes: &Bytes) {
        self.md5.update(bytes);
        self.checksums.iter_mut().for_each(|hasher| hasher.update(bytes));
    }

    fn end(&mut self, trailers: &HeaderMap) {
        let text = trailers.get("upload-checksum").and_then(|value| value.to_str().ok());
        self.trailer = text.map(str::to_owned);
    }

    /// Whether the bytes are what the trailer says; it must have come.
    fn holds(self) -> bool {
        match self.trailer.as_deref().map(digest::tus) {
            Some(Ok(BodyDigest::Md5(told))) => told == <[u8; 16]>::from(self.md5.finalize()),
            Some(Ok(BodyDigest::Checksum(told))) => {
                let found: Vec<Checksum> = self.checksums.into_iter().map(ChecksumHasher::finish).collect();
                found.contains(&told)
            }
            Some(Err(_)) | None => false,
        }
    }
}

/// The bytes of a body, and what they must be.
pub(super) fn open(body: RequestBody, told: asked::Digest) -> (BodySource<'static>, DigestRequest) {
    match told {
        asked::Digest::None => (bytes(body, None), DigestRequest::None),
        asked::Digest::Is(digest) => (bytes(body, None), DigestRequest::Is(digest)),
        asked::Digest::Trailer => {
            let passed = Arc::new(Mutex::new(Passed::new()));
            let source = bytes(body, Some(Arc::clone(&passed)));
            let judge = move || std::mem::replace(&mut *passed.lock(), Passed::new()).holds();
            (source, DigestRequest::Judged(Box::new(judge)))
        }
    }
}

fn bytes(body: RequestBody, passed: Option<Arc<Mutex<Passed>>>) -> BodySource<'static> {
    Box::pin(futures::stream::try_unfold(body, move |mut body| {
        let passed = passed.clone();
        async move {
            while let Some(frame) = body.frame().await {
                match frame?.into_data() {
                    Ok(bytes) => {
                        if let Some(passed) = &passed {
                            passed.lock().feed(&bytes);
                        }
                        return Ok(Some((bytes, body)));
                    }
                    Err(frame) => {
                        if let (Some(passed), Ok(trailers)) = (&passed, frame.into_trailers()) {
                            passed.lock().end(&trailers);
                        }
                    }
                }
            }
            Ok(None)
        }
    }))
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use http::HeaderValue;
    use http_body_util::{BodyExt, StreamBody};
    use hyper::body::Frame;
    use storage_engine::store::checksum::ChecksumAlgorithm;

    use super::*;
    use crate::http::body::BoxError;

    async fn holds(trailer: Option<String>) -> bool {
        let data = ["stone ", "wall"].map(|text| Ok::<_, BoxError>(Frame::data(Bytes::from_static(text.as_bytes()))));
        let trailer = trailer.map(|text| {
            let mut trailers = HeaderMap::new();
            trailers.insert("upload-checksum", HeaderValue::from_str(&text).unwrap());
            Ok(Frame::trailers(trailers))
        });
        let frames: Vec<_> = data.into_iter().chain(trailer).collect();
        let body = BodyExt::boxed(StreamBody::new(futures::stream::iter(frames)));
        let (source, digest) = open(body, asked::Digest::Trailer);
        let bytes: Vec<Bytes> = source.try_collect().await.unwrap();
        assert_eq!(bytes.concat(), b"stone wall");
        match digest {
            DigestRequest::Judged(judge) => judge(),
            DigestRequest::None | DigestRequest::Is(_) => panic!("nobody judges"),
        }
    }

    #[tokio::test]
    async fn a_trailer_of_any_algorithm_is_held_against_the_bytes() {
        let base64 = |bytes: &[u8]| base64_simd::STANDARD.encode_to_string(bytes);
        let sha1 = base64(ChecksumAlgorithm::Sha1.of(b"stone wall").as_bytes());
        let crc32 = base64(ChecksumAlgorithm::Crc32.of(b"stone wall").as_bytes());
        let md5 = base64(&Md5::digest(b"stone wall"));
        for right in [format!("sha1 {sha1}"), format!("crc32 {crc32}"), format!("md5 {md5}")] {
            assert!(holds(Some(right)).await);
        }
        let other = base64(ChecksumAlgorithm::Sha1.of(b"stone").as_bytes());
        for wrong in [Some(format!("sha1 {other}")), Some("sha9 AAAA".into()), None] {
            assert!(!holds(wrong).await);
        }
    }
}
