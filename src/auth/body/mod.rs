//! The body a route reads: plain bytes, verified while they stream.
//!
//! Nothing is collected. Bytes are handed on before the signature of their chunk or of the whole body is known, and
//! that is safe for one reason only: **the last piece of the body is withheld until everything about it was verified**,
//! so a reader either sees an error or has never seen the whole body. Whoever stores the bytes must not commit a body
//! that ended in an error or that it did not read to its declared length.
//!
//! What is held at any time is one piece of the source (what the connection read at once) and one line of framing.
//! Checksum values in trailers are exposed, not verified: whoever stores the bytes does that.

mod chunked;
mod error;

pub use error::{BodyError, BoxError};

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use self::chunked::{After, ChunkDecoder};
use super::hash::Sha256;
use super::payload::{Payload, PayloadMode};
use super::signing_key::ChunkChain;

type Source = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send + Sync>>;

/// A request's body after authentication: data frames only. A body that ended in an error must not be committed;
/// [`BodyError::find`] tells why it ended.
pub struct AuthBody {
    source: Source,
    check: Check,
    /// Bytes of the source that are not decoded yet.
    input: Bytes,
    /// The newest piece, withheld until it is known whether another one follows.
    held: Option<Bytes>,
    state: State,
    /// Bytes of the decoded body, if declared.
    declared: Option<u64>,
    given_out: u64,
}

#[derive(PartialEq, Eq)]
enum State {
    Reading,
    /// Everything was verified; only `held` may still be there.
    Verified,
    Failed,
}

enum Check {
    Plain {
        received: u64,
        declared: Option<u64>,
        hash: Option<(Box<Sha256>, [u8; 32])>,
    },
    Chunked(Box<ChunkDecoder>),
}

impl AuthBody {
    /// `chain` is there exactly when the mode signs chunks.
    pub(super) fn new<B>(source: B, payload: &Payload, chain: Option<ChunkChain>) -> Result<Self, BodyError>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        let declared = payload.decoded_length;
        let chunked = |after| {
            let decoder = ChunkDecoder::new(declared.unwrap_or(0), chain, after, payload.trailers.clone());
            Check::Chunked(Box::new(decoder))
        };
        let check = match payload.mode {
            PayloadMode::SignedBody(expected) => Check::Plain {
                received: 0,
                declared,
                hash: Some((Box::new(Sha256::new()), expected)),
            },
            PayloadMode::Unsigned => Check::Plain {
                received: 0,
                declared,
                hash: None,
            },
            PayloadMode::StreamingSigned => chunked(After::Nothing),
            PayloadMode::StreamingSignedTrailer => chunked(After::SignedTrailers),
            PayloadMode::StreamingUnsignedTrailer => chunked(After::Trailers),
        };
        let ended = source.is_end_stream();
        let mut body = Self {
            source: Box::pin(http_body_util::BodyExt::map_err(source, Into::into)),
            check,
            input: Bytes::new(),
            held: None,
            state: State::Reading,
            declared,
            given_out: 0,
        };
        if ended {
            // Most requests have no body: they are refused or waved through here, before a route runs.
            body.check.finish()?;
            body.state = State::Verified;
        }
        Ok(body)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            match self.state {
                State::Failed => return Poll::Ready(None),
                State::Verified => return Poll::Ready(self.held.take().map(Ok)),
                State::Reading => {}
            }
            if !self.input.is_empty() {
                match self.check.take(&mut self.input) {
                    Ok(None) => {}
                    Ok(Some(piece)) => {
                        if let Some(earlier) = self.held.replace(piece) {
                            return Poll::Ready(Some(Ok(earlier)));
                        }
                    }
                    Err(error) => return self.fail(error),
                }
                continue;
            }
            match ready!(self.source.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers of HTTP itself carry nothing a signature covers; they end here.
                    self.input = frame.into_data().unwrap_or_default();
                }
                Some(Err(error)) => return self.fail(BodyError::Transport(error)),
                None => match self.check.finish() {
                    Ok(()) => self.state = State::Verified,
                    Err(error) => return self.fail(error),
                },
            }
        }
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.state = State::Failed;
        self.held = None;
        self.input = Bytes::new();
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for AuthBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(ready!(self.poll_piece(cx)).map(|piece| match piece {
            Ok(piece) => {
                self.given_out += piece.len() as u64;
                Ok(Frame::data(piece))
            }
            Err(error) => Err(error.into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Verified && self.held.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.declared {
            Some(declared) => SizeHint::with_exact(declared.saturating_sub(self.given_out)),
            None if self.is_end_stream() => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }
}

impl Check {
    fn take(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, BodyError> {
        match self {
            Self::Plain {
                received,
                declared,
                hash,
            } => {
                let piece = std::mem::take(input);
                *received = received.saturating_add(piece.len() as u64);
                if let Some(declared) = *declared
                    && *received > declared
                {
                    return Err(BodyError::Longer { declared });
                }
                if let Some((hash, _)) = hash {
                    hash.update(&piece);
                }
                Ok(Some(piece))
            }
            Self::Chunked(decoder) => decoder.take(input),
        }
    }

    fn finish(&mut self) -> Result<(), BodyError> {
        match self {
            Self::Plain {
                received,
                declared,
                hash,
            } => {
                if let Some(declared) = *declared
                    && *received < declared
                {
                    return Err(BodyError::Shorter {
                        declared,
                        received: *received,
                    });
                }
                let right = hash.as_mut().is_none_or(|(hash, expected)| hash.take() == *expected);
                if right {
                    Ok(())
                } else {
                    Err(BodyError::ContentSha256Mismatch)
                }
            }
            Self::Chunked(decoder) => decoder.finish(),
        }
    }
}
