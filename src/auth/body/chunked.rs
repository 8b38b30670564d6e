//! The aws-chunked encoding, taken off as bytes come in.
//!
//! A pure decoder: it is fed pieces cut anywhere and gives back slices of them. It keeps no data, only the line it is
//! in the middle of (bounded) and the hash of the chunk it is in, so a chunk may be of any size.

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::BodyError;
use crate::auth::hash::{Sha256, sha256_hex};
use crate::auth::payload::Trailers;
use crate::auth::signing_key::ChunkChain;

/// Size, `;chunk-signature=` and 64 digits are under 100 bytes.
const CHUNK_LINE_MAX: usize = 256;
/// All trailers together; checksums are under 200 bytes.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// What follows the last chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing.
    Nothing,
    /// Trailers that nothing signs.
    Trailers,
    /// Trailers, then their signature.
    SignedTrailers,
}

enum State {
    /// In the line before a chunk.
    ChunkLine,
    /// In a chunk's data.
    Data { left: u64 },
    /// Before the CRLF after a chunk's data.
    DataEnd,
    /// In the lines after the last chunk.
    TrailerLines,
    /// Behind the trailers; only line ends may follow.
    End,
}

/// Decodes one body.
pub(super) struct ChunkDecoder {
    state: State,
    after: After,
    /// `None`: chunks carry no signatures.
    chain: Option<ChunkChain>,
    hash: Sha256,
    /// The signature the current chunk's line presented.
    presented: Vec<u8>,
    line: Vec<u8>,
    declared: u64,
    received: u64,
    trailer_bytes: usize,
    signed_trailers: Vec<u8>,
    trailers_verified: bool,
    trailers: HeaderMap,
    handle: Trailers,
}

impl ChunkDecoder {
    /// `declared`: bytes of the decoded body; a chunk beyond them is refused when its size is read.
    pub(super) fn new(declared: u64, chain: Option<ChunkChain>, after: After, handle: Trailers) -> Self {
        Self {
            state: State::ChunkLine,
            after,
            chain,
            hash: Sha256::new(),
            presented: Vec::new(),
            line: Vec::new(),
            declared,
            received: 0,
            trailer_bytes: 0,
            signed_trailers: Vec::new(),
            trailers_verified: false,
            trailers: HeaderMap::new(),
            handle,
        }
    }

    /// Takes bytes from `input`, up to the next piece of data. `None` when it took all of them and found none.
    /// A piece that completes a chunk is given out only if that chunk's signature is right.
    pub(super) fn take(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, BodyError> {
        while !input.is_empty() {
            match self.state {
                State::ChunkLine => {
                    if let Some(line) = self.take_line(input, CHUNK_LINE_MAX) {
                        self.chunk_line(&line?)?;
                    }
                }
                State::Data { left } => return self.take_data(input, left).map(Some),
                State::DataEnd => match self.take_line(input, 2) {
                    Some(Ok(line)) if line == b"\r\n" => self.state = State::ChunkLine,
                    Some(_) => {
                        return Err(BodyError::ChunkMalformed(
                            "a chunk's data does not end where its size says",
                        ));
                    }
                    None => {}
                },
                State::TrailerLines => {
                    let room = TRAILER_BYTES_MAX.saturating_sub(self.trailer_bytes);
                    match self.take_line(input, room) {
                        Some(Ok(line)) => self.trailer_line(&line)?,
                        Some(Err(_)) => return Err(BodyError::TrailerMalformed("they are too large")),
                        None => {}
                    }
                }
                State::End => {
                    if input.iter().any(|b| !matches!(b, b'\r' | b'\n')) {
                        return Err(BodyError::ChunkMalformed("bytes follow its end"));
                    }
                    self.trailer_bytes = self.trailer_bytes.saturating_add(input.len());
                    if self.trailer_bytes > TRAILER_BYTES_MAX {
                        return Err(BodyError::ChunkMalformed("bytes follow its end"));
                    }
                    input.clear();
                }
            }
        }
        Ok(None)
    }

    /// The source has ended. Hands the trailers out if everything is there and right.
    pub(super) fn finish(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::ChunkLine | State::Data { .. } | State::DataEnd => {
                return Err(if self.received < self.declared {
                    BodyError::Shorter {
                        declared: self.declared,
                        received: self.received,
                    }
                } else {
                    BodyError::LastChunkMissing
                });
            }
            State::TrailerLines | State::End => {}
        }
        if !self.line.is_empty() {
            return Err(BodyError::TrailerMalformed("a line does not end"));
        }
        if self.after == After::SignedTrailers && !self.trailers_verified {
            return Err(BodyError::TrailerMalformed("their signature is missing"));
        }
        if self
            .handle
            .announced()
            .iter()
            .any(|name| !self.trailers.contains_key(name))
        {
            return Err(BodyError::TrailerMalformed("an announced one is missing"));
        }
        self.handle.arrived(std::mem::take(&mut self.trailers));
        Ok(())
    }

    /// A whole line with its end, or `None` when the input ended inside it.
    fn take_line(&mut self, input: &mut Bytes, max: usize) -> Option<Result<Vec<u8>, BodyError>> {
        let end = input.iter().position(|b| *b == b'\n').map(|at| at + 1);
        let piece = input.split_to(end.unwrap_or(input.len()));
        if self.line.len() + piece.len() > max {
            return Some(Err(BodyError::ChunkMalformed("a line is too long")));
        }
        self.line.extend_from_slice(&piece);
        end.map(|_| Ok(std::mem::take(&mut self.line)))
    }

    fn chunk_line(&mut self, line: &[u8]) -> Result<(), BodyError> {
        let line = line
            .strip_suffix(b"\r\n")
            .ok_or(BodyError::ChunkMalformed("a line does not end in CRLF"))?;
        let line = std::str::from_utf8(line).map_err(|_| BodyError::ChunkSizeInvalid)?;
        let (size, extension) = match line.split_once(';') {
            Some((size, extension)) => (size, Some(extension)),
            None => (line, None),
        };
        if size.is_empty() || size.len() > 16 || !size.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BodyError::ChunkSizeInvalid);
        }
        let size = u64::from_str_radix(size, 16).map_err(|_| BodyError::ChunkSizeInvalid)?;
        match (&self.chain, extension) {
            (Some(_), Some(extension)) => {
                let signature = extension
                    .strip_prefix("chunk-signature=")
                    .ok_or(BodyError::ChunkMalformed(
                        "a chunk has an extension that is no signature",
                    ))?;
                self.presented = signature.as_bytes().to_vec();
            }
            (Some(_), None) => return Err(BodyError::ChunkMalformed("a chunk has no signature")),
            (None, Some(_)) => {
                return Err(BodyError::ChunkMalformed(
                    "a chunk of an unsigned body has an extension",
                ));
            }
            (None, None) => {}
        }
        if size > self.declared.saturating_sub(self.received) {
            return Err(BodyError::Longer {
                declared: self.declared,
            });
        }
        if size > 0 {
            self.state = State::Data { left: size };
            return Ok(());
        }
        self.verify_chunk()?;
        if self.received < self.declared {
            return Err(BodyError::Shorter {
                declared: self.declared,
                received: self.received,
            });
        }
        self.state = State::TrailerLines;
        Ok(())
    }

    fn take_data(&mut self, input: &mut Bytes, left: u64) -> Result<Bytes, BodyError> {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.remaining());
        let data = input.split_to(length);
        if self.chain.is_some() {
            self.hash.update(&data);
        }
        let taken = data.len() as u64;
        self.received += taken;
        if left == taken {
            self.verify_chunk()?;
            self.state = State::DataEnd;
        } else {
            self.state = State::Data { left: left - taken };
        }
        Ok(data)
    }

    fn verify_chunk(&mut self) -> Result<(), BodyError> {
        let Some(chain) = &mut self.chain else { return Ok(()) };
        if chain.next_chunk(&self.hash.take()).matches(&self.presented) {
            Ok(())
        } else {
            Err(BodyError::ChunkSignatureMismatch)
        }
    }

    fn trailer_line(&mut self, line: &[u8]) -> Result<(), BodyError> {
        self.trailer_bytes += line.len();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            // Some clients put an empty line between the trailers and their signature.
            if self.after != After::SignedTrailers || self.trailers_verified {
                self.state = State::End;
            }
            return Ok(());
        }
        let line = std::str::from_utf8(line).map_err(|_| BodyError::TrailerMalformed("a line is not text"))?;
        let (name, value) = line
            .split_once(':')
            .ok_or(BodyError::TrailerMalformed("a line has no colon"))?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']));
        if name == TRAILER_SIGNATURE && self.after == After::SignedTrailers && !self.trailers_verified {
            return self.verify_trailers(value);
        }
        if self.after == After::Nothing {
            return Err(BodyError::TrailerMalformed("none can follow this body"));
        }
        if self.trailers_verified {
            return Err(BodyError::TrailerMalformed("one follows their signature"));
        }
        for piece in [name.as_str(), ":", value, "\n"] {
            self.signed_trailers.extend_from_slice(piece.as_bytes());
        }
        let name = HeaderName::try_from(name).map_err(|_| BodyError::TrailerMalformed("a name is not valid"))?;
        let value = HeaderValue::try_from(value).map_err(|_| BodyError::TrailerMalformed("a value is not valid"))?;
        if !self.handle.announced().contains(&name) {
            return Err(BodyError::TrailerMalformed(
                "one comes that was not announced in x-amz-trailer",
            ));
        }
        if self.trailers.insert(name, value).is_some() {
            return Err(BodyError::TrailerMalformed("one comes twice"));
        }
        Ok(())
    }

    fn verify_trailers(&mut self, presented: &str) -> Result<(), BodyError> {
        let hash = sha256_hex(&self.signed_trailers);
        let right = self
            .chain
            .as_mut()
            .is_some_and(|chain| chain.trailers(&hash).matches(presented.as_bytes()));
        self.trailers_verified = right;
        if right {
            Ok(())
        } else {
            Err(BodyError::TrailerSignatureMismatch)
        }
    }
}
