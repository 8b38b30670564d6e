//! A body on its way in: hashed in one pass, and refused at its very end unless everything declared holds.
//!
//! Owns the verification. A body that fails it never becomes a blob, so nothing can commit it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;

use crate::backend::{Backend, Blob, BlobClass, BodySource, SourceError};
use crate::limits::PUT_BYTES_MAX;
use crate::store::checksum::{Checksum, ChecksumAlgorithm};
use crate::store::error::{BodyError, Fault, TakeInError};
use crate::store::hashing::{Digests, Hashing, HashingLost};

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

/// A source that ends cleanly only if everything declared about it holds.
struct Verified<'a, 'f> {
    source: BodySource<'a>,
    len: Option<u64>,
    content_md5: Option<[u8; 16]>,
    hashing: Hashing,
    state: State<'a>,
    found: &'f mut Option<Digests>,
}

enum State<'a> {
    Running(ChecksumRequest<'a>),
    /// The source has ended; its hashes are awaited.
    Hashing(ChecksumRequest<'a>),
    /// Ended, well or not.
    Ended,
}

impl<'a, 'f> Verified<'a, 'f> {
    fn new(body: NewBody<'a>, found: &'f mut Option<Digests>) -> Self {
        let NewBody {
            source,
            len,
            content_md5,
            checksum,
        } = body;
        Self {
            source,
            len,
            content_md5,
            hashing: Hashing::new(checksum.algorithm()),
            state: State::Running(checksum),
            found,
        }
    }

    fn take(&mut self, chunk: &Bytes) -> Result<(), BodyError> {
        let total = self.hashing.len() + chunk.len() as u64;
        match self.len {
            Some(declared) if total > declared => Err(BodyError::Overlong { declared }),
            None if total > PUT_BYTES_MAX => Err(BodyError::TooLarge { max: PUT_BYTES_MAX }),
            Some(_) | None => Ok(self.hashing.update(chunk)?),
        }
    }

    fn verify(&mut self, digests: Digests, request: ChecksumRequest<'a>) -> Result<(), BodyError> {
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

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        if let State::Running(_) = self.state {
            ready!(self.hashing.poll_ready(cx))?;
            match ready!(self.source.as_mut().poll_next(cx)) {
                Some(Ok(chunk)) => return Poll::Ready(self.take(&chunk).map(|()| Some(chunk))),
                Some(Err(error)) => return Poll::Ready(Err(BodyError::Source(error))),
                None => {
                    self.state = match std::mem::replace(&mut self.state, State::Ended) {
                        State::Running(request) => State::Hashing(request),
                        state @ (State::Hashing(_) | State::Ended) => state,
                    };
                }
            }
        }
        let State::Hashing(_) = self.state else {
            return Poll::Ready(Ok(None));
        };
        let digests = ready!(self.hashing.poll_end(cx))?;
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Hashing(request) => Poll::Ready(self.verify(digests, request).map(|()| None)),
            State::Running(_) | State::Ended => Poll::Ready(Ok(None)),
        }
    }
}

impl From<HashingLost> for BodyError {
    fn from(lost: HashingLost) -> Self {
        Self::Source(SourceError::from(lost))
    }
}

impl Stream for Verified<'_, '_> {
    type Item = Result<Bytes, SourceError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let item = ready!(this.poll(cx)).map_err(|error| {
            this.state = State::Ended;
            SourceError::from(error)
        });
        Poll::Ready(item.transpose())
    }
}
