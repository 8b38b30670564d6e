//! Bytes of files on this machine: read piece by piece in a thread of their own, hashed, or sent as the body of a request.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use aws_lc_rs::digest;
use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};

/// The body of a request.
pub(in crate::cli) type Sent = UnsyncBoxBody<Bytes, io::Error>;

/// Bytes that are read at once, and pieces that wait.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES: usize = 4;

/// A file that was read once.
#[derive(Debug)]
pub(in crate::cli) struct Looked {
    pub(in crate::cli) path: PathBuf,
    pub(in crate::cli) size: u64,
    pub(in crate::cli) sha256: [u8; 32],
}

/// As the Files API and lists write a SHA-256.
pub(in crate::cli) fn hex(digest: &[u8; 32]) -> String {
    hex_simd::encode_to_string(digest, hex_simd::AsciiCase::Lower)
}

/// Sums up what passes.
pub(in crate::cli) struct Hashing {
    context: digest::Context,
    size: u64,
}

impl Hashing {
    pub(in crate::cli) fn new() -> Self {
        Self {
            context: digest::Context::new(&digest::SHA256),
            size: 0,
        }
    }

    pub(in crate::cli) fn take(&mut self, piece: &[u8]) {
        self.context.update(piece);
        self.size = self.size.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
    }

    /// Bytes that passed.
    pub(in crate::cli) fn size(&self) -> u64 {
        self.size
    }

    pub(in crate::cli) fn end(self) -> (u64, [u8; 32]) {
        let digest = self.context.finish();
        let sha256 = digest.as_ref().try_into().unwrap_or([0; 32]);
        (self.size, sha256)
    }
}

/// Reads a file to its end.
pub(in crate::cli) async fn look_at(path: PathBuf) -> io::Result<Looked> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut file = File::open(&path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let (mut piece, mut hashing) = (vec![0; PIECE_BYTES], Hashing::new());
        loop {
            let read = file.read(&mut piece)?;
            match piece.get(..read) {
                None | Some([]) => break,
                Some(piece) => hashing.take(piece),
            }
        }
        let (size, sha256) = hashing.end();
        Ok(Looked { path, size, sha256 })
    });
    reading.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Writes to a file of this run, and gives it back.
pub(in crate::cli) async fn append(mut file: File, piece: Bytes) -> io::Result<File> {
    let writing = tokio::task::spawn_blocking(move || file.write_all(&piece).map(|()| file));
    writing.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

pub(in crate::cli) fn whole(bytes: impl Into<Bytes>) -> Sent {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// So many bytes of a file from `start` on. A file that has become shorter breaks the request off.
pub(in crate::cli) fn range(path: PathBuf, start: u64, length: u64) -> Sent {
    let (send, receive) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(PIECES);
    tokio::task::spawn_blocking(move || {
        let read = || -> io::Result<()> {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(start))?;
            let mut rest = length;
            while rest > 0 {
                let size = usize::try_from(rest).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                let mut piece = vec![0; size];
                file.read_exact(&mut piece)?;
                rest = rest.saturating_sub(u64::try_from(size).unwrap_or(u64::MAX));
                if send.blocking_send(Ok(Bytes::from(piece))).is_err() {
                    // The request is over.
                    return Ok(());
                }
            }
            Ok(())
        };
        if let Err(error) = read() {
            // Nobody may wait any more.
            let _ = send.blocking_send(Err(error));
        }
    });
    let pieces = stream::unfold(receive, |mut receive| async move {
        let piece = receive.recv().await?;
        Some((piece.map(Frame::data), receive))
    });
    StreamBody::new(pieces).boxed_unsync()
}
