//! A PUT sent by hand, piece by piece, by a client that may stop, vanish or look for an answer in the middle of it.
//!
//! Blocking, over one socket of its own; it signs the head and never the body.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::Method;

use crate::s3::{Payload, Target};

const PATIENCE: Duration = Duration::from_secs(120);

/// An upload whose head was sent.
#[derive(Debug)]
pub struct Upload {
    stream: TcpStream,
}

/// What the server said: the status and the body of its answer.
#[derive(Debug)]
pub struct Said {
    /// The status of the answer.
    pub status: u16,
    /// Its body, as text.
    pub body: String,
}

impl Said {
    /// Whether the answer is an error document with this code.
    #[must_use]
    pub fn is(&self, status: u16, code: &str) -> bool {
        self.status == status && self.body.contains(&format!("<Code>{code}</Code>"))
    }
}

impl Upload {
    /// Connects and sends the head of a PUT of `declared` bytes; `query` is encoded and sorted.
    ///
    /// # Errors
    /// When nothing listens.
    pub fn begin(target: &Target, path: &str, query: &str, declared: u64) -> Result<Self> {
        let signed = target.request(Method::PUT, path, query, Bytes::new(), Payload::Unsigned)?;
        let mut head = format!("PUT {} HTTP/1.1\r\ncontent-length: {declared}\r\n", signed.uri());
        for (name, value) in signed.headers().iter().filter(|(name, _)| *name != "content-length") {
            head.push_str(&format!("{name}: {}\r\n", value.to_str()?));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(&target.authority).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(head.as_bytes())?;
        Ok(Self { stream })
    }

    /// Sends the next bytes; false when the server has answered or hung up already.
    ///
    /// # Errors
    /// When the socket fails in any other way.
    pub fn send(&mut self, bytes: &[u8]) -> Result<bool> {
        for piece in bytes.chunks(1 << 20) {
            if self.is_answered()? {
                return Ok(false);
            }
            match self.stream.write_all(piece) {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                    return Ok(false);
                }
                Err(error) => return Err(error).context("sending a body"),
            }
        }
        Ok(true)
    }

    /// The answer; the connection is given up after it.
    ///
    /// # Errors
    /// When none comes within two minutes, or the connection ends without one.
    pub fn answer(mut self) -> Result<Said> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some(said) = whole(&bytes) {
                return Ok(said);
            }
            match self.stream.read(&mut buffer).context("waiting for an answer")? {
                0 => bail!("the connection ended without an answer"),
                count => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            }
        }
    }

    fn is_answered(&self) -> Result<bool> {
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        match peeked {
            Ok(_) => Ok(true),
            Err(error) => Ok(error.kind() != ErrorKind::WouldBlock),
        }
    }
}

fn whole(bytes: &[u8]) -> Option<Said> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    (body.len() >= length).then(|| Said {
        status,
        body: body.to_owned(),
    })
}
