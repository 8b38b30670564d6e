//! A body on its way in: hashed in one pass, and refused at its very end unless everything declared holds.
//!
//! Owns the verification. A body that fails it never becomes a blob, so nothing can commit it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use md5::{Digest, Md5};

use crate::backend::{Backend, Blob, BlobClass, BodySource, SourceError};
use crate::limits::PUT_BYTES_MAX;
use crate::store::checksum::{Checksum, ChecksumAlgorithm, ChecksumHasher};
use crate::store::error::{BodyError, Fault, TakeInError};

/// What a writer sends and what it says about it.
pub struct NewBody<'a> {
    pub source: BodySource<'a>,
    /// The declared length in bytes, if there is one.
    pub len: Option<u64>,
    pub content_md5: Option<[u8; 16]>,
    pub checksum: ChecksumRequest<'a>,
}

/// Asked once, after the body ended cleanly; `None`: the trailer was not sent.
pub type AfterBody<'a> = Box<dyn FnOnce() -> Result<Option<Checksum>, SourceError> + Send + 'a>;

/// Which checksum is computed and kept, and what it must be.
pub enum ChecksumRequest<'a> {
    None,
    Compute(ChecksumAlgorithm),
    Verify(Checksum),
    /// The value is known only when the body has ended: a trailer.
    VerifyAfter(ChecksumAlgorithm, AfterBody<'a>),
}

impl ChecksumRequest<'_> {
    pub fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        match self {
            Self::None => None,
            Self::Compute(algorithm) | Self::VerifyAfter(algorithm, _) => Some(*algorithm),
            Self::Verify(checksum) => Some(checksum.algorithm()),
        }
    }
}

impl<'a> NewBody<'a> {
    /// A body that is in memory already.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        let source = Box::pin(futures::stream::once(std::future::ready(Ok(bytes))));
        Self {
            source,
            len: Some(len),
            content_md5: None,
            checksum: ChecksumRequest::None,
        }
    }

    pub fn with_checksum(mut self, checksum: ChecksumRequest<'a>) -> Self {
        self.checksum = checksum;
        self
    }
}

/// What one pass over a body found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digests {
    pub len: u64,
    pub md5: [u8; 16],
    pub checksum: Option<Checksum>,
}

/// Streams a body into the backend. `Ok` only if it ended cleanly and everything declared held.
pub(super) async fn take_in(
    backend: &dyn Backend,
    class: BlobClass,
    body: NewBody<'_>,
) -> Result<(Blob, Digests), TakeInError> {
    if body.len.is_some_and(|len| len > PUT_BYTES_MAX) {
        return Err(TakeInError::Body(BodyError::TooLarge { max: PUT_BYTES_MAX }));
    }
    let size_hint = body.len;
    let mut found = None;
    let blob = backend
        .put_blob(class, Box::pin(Verified::new(body, &mut found)), size_hint)
        .await?;
    match found {
        Some(digests) if digests.len == blob.len => Ok((blob, digests)),
        Some(_) | None => {
            backend.delete_blob(blob).await;
            Err(TakeInError::Fault(Fault::Internal(
                "the backend did not take the whole body".into(),
            )))
        }
    }
}

/// Hashes what is read through it.
struct Hasher {
    len: u64,
    md5: Md5,
    checksum: Option<ChecksumHasher>,
}

impl Hasher {
    fn new(checksum: Option<ChecksumAlgorithm>) -> Self {
        Self {
            len: 0,
            md5: Md5::new(),
            checksum: checksum.map(ChecksumHasher::new),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.md5.update(bytes);
        if let Some(checksum) = &mut self.checksum {
            checksum.update(bytes);
        }
    }

    fn finish(self) -> Digests {
        Digests {
            len: self.len,
            md5: self.md5.finalize().into(),
            checksum: self.checksum.map(ChecksumHasher::finish),
        }
    }
}

/// A source that ends cleanly only if everything declared about it holds.
struct Verified<'a, 'f> {
    source: BodySource<'a>,
    len: Option<u64>,
    content_md5: Option<[u8; 16]>,
    /// `None` once the source has ended, well or not.
    running: Option<(Hasher, ChecksumRequest<'a>)>,
    found: &'f mut Option<Digests>,
}

impl<'a, 'f> Verified<'a, 'f> {
    fn new(body: NewBody<'a>, found: &'f mut Option<Digests>) -> Self {
        let NewBody {
            source,
            len,
            content_md5,
            checksum,
        } = body;
        let hasher = Hasher::new(checksum.algorithm());
        Self {
            source,
            len,
            content_md5,
            running: Some((hasher, checksum)),
            found,
        }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), BodyError> {
        let Some((hasher, _)) = &mut self.running else {
            return Ok(());
        };
        let total = hasher.len + chunk.len() as u64;
        match self.len {
            Some(declared) if total > declared => return Err(BodyError::Overlong { declared }),
            Some(_) => {}
            None if total > PUT_BYTES_MAX => return Err(BodyError::TooLarge { max: PUT_BYTES_MAX }),
            None => {}
        }
        hasher.update(chunk);
        Ok(())
    }

    fn end(&mut self) -> Result<(), BodyError> {
        let Some((hasher, request)) = self.running.take() else {
            return Ok(());
        };
        let digests = hasher.finish();
        if let Some(declared) = self.len.filter(|declared| *declared != digests.len) {
            return Err(BodyError::Incomplete {
                declared,
                received: digests.len,
            });
        }
        if self.content_md5.is_some_and(|md5| md5 != digests.md5) {
            return Err(BodyError::BadDigest);
        }
        let expected = match request {
            ChecksumRequest::None | ChecksumRequest::Compute(_) => None,
            ChecksumRequest::Verify(checksum) => Some(checksum),
            ChecksumRequest::VerifyAfter(_, ask) => ask().map_err(BodyError::Source)?,
        };
        if let Some(expected) = expected.filter(|expected| digests.checksum != Some(*expected)) {
            return Err(BodyError::ChecksumMismatch(expected.algorithm()));
        }
        *self.found = Some(digests);
        Ok(())
    }
}

impl Stream for Verified<'_, '_> {
    type Item = Result<Bytes, SourceError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.running.is_none() {
            return Poll::Ready(None);
        }
        let item = match std::task::ready!(this.source.as_mut().poll_next(cx)) {
            Some(Ok(chunk)) => this.take(&chunk).map(|()| Some(chunk)),
            Some(Err(error)) => Err(BodyError::Source(error)),
            None => this.end().map(|()| None),
        };
        Poll::Ready(
            item.map_err(|error| {
                this.running = None;
                SourceError::from(error)
            })
            .transpose(),
        )
    }
}
