//! A clamd, asked over TCP by its command `INSTREAM`: pieces with their lengths in front, big-endian, and one of no bytes at
//! the end; then it answers in one line.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use storage_engine::backend::BodyStream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Patience, ScanError, Verdict};

/// The command, ended by a zero byte; so is the answer then.
const COMMAND: &[u8] = b"zINSTREAM\0";
/// Most bytes of one piece.
const PIECE_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
/// Most letters of what it calls what it found.
const SIGNATURE_CHARS_MAX: usize = 200;
/// How long it is listened for an answer after it closed the way in: it may have said why.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One clamd.
#[derive(Clone, Debug)]
pub struct Clamd {
    address: String,
    patience: Patience,
}

/// Why not all bytes were sent.
enum Unsent {
    Bytes(String),
    Connection(String),
}

impl Clamd {
    pub(super) fn new(address: String, patience: Patience) -> Self {
        Self { address, patience }
    }

    /// Asks for the bytes of `body`.
    pub(super) async fn scan(&self, body: BodyStream) -> Result<Verdict, ScanError> {
        let connecting = timeout(self.patience.connect, TcpStream::connect(&self.address)).await;
        let connected = connecting.map_err(|_| scanner("it took no connection in time"))?;
        let (reading, writing) = connected.map_err(|error| scanner(error.to_string()))?.into_split();
        let talking = timeout(self.patience.whole, talk((reading, writing), body, self.patience)).await;
        talking.unwrap_or_else(|_| Err(scanner("it did not answer in time")))
    }
}

async fn talk(
    (reading, writing): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    body: BodyStream,
    patience: Patience,
) -> Result<Verdict, ScanError> {
    let mut answering = std::pin::pin!(answer(reading));
    let sent = {
        let sending = std::pin::pin!(send(writing, body, patience.piece));
        tokio::select! {
            biased;
            sent = sending => sent,
            // It says no more than what keeps it from reading on.
            answered = &mut answering => return match read(&answered.map_err(|error| scanner(error.to_string()))?)? {
                Verdict::Clean => Err(scanner("it called clean what it had not read")),
                verdict => Ok(verdict),
            },
        }
    };
    match sent {
        Ok(_writing) => {
            let answered = timeout(patience.answer, answering).await;
            let answered = answered.map_err(|_| scanner("it did not answer in time"))?;
            read(&answered.map_err(|error| scanner(error.to_string()))?)
        }
        Err(Unsent::Bytes(why)) => Err(ScanError::Bytes(why)),
        Err(Unsent::Connection(why)) => match timeout(LAST_WORDS, answering).await {
            Ok(Ok(said)) => match read(&said)? {
                Verdict::Clean => Err(scanner(why)),
                verdict => Ok(verdict),
            },
            Ok(Err(_)) | Err(_) => Err(scanner(why)),
        },
    }
}

/// Sends everything. The way out stays open: a clamd takes its end for the end of whoever asks.
async fn send<W: AsyncWrite + Unpin>(mut writing: W, mut body: BodyStream, patience: Duration) -> Result<W, Unsent> {
    put(&mut writing, COMMAND, patience).await?;
    loop {
        let piece = body.try_next().await;
        let Some(mut piece) = piece.map_err(|error| Unsent::Bytes(error.to_string()))? else {
            break;
        };
        while !piece.is_empty() {
            let some: Bytes = piece.split_to(piece.len().min(PIECE_BYTES_MAX));
            let length = u32::try_from(some.len()).unwrap_or_default();
            put(&mut writing, &length.to_be_bytes(), patience).await?;
            put(&mut writing, &some, patience).await?;
        }
    }
    put(&mut writing, &[0; 4], patience).await?;
    Ok(writing)
}

async fn put(writing: &mut (impl AsyncWrite + Unpin), bytes: &[u8], patience: Duration) -> Result<(), Unsent> {
    let put = async {
        writing.write_all(bytes).await?;
        writing.flush().await
    };
    match timeout(patience, put).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Unsent::Connection(error.to_string())),
        Err(_) => Err(Unsent::Connection("it took no more bytes".to_owned())),
    }
}

/// What it says, up to its zero byte.
async fn answer(reading: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    let mut reading = reading.take(ANSWER_BYTES_MAX as u64);
    loop {
        if reading.read_buf(&mut said).await? == 0 || said.contains(&0) {
            return Ok(said);
        }
    }
}

/// Reads an answer: `stream: OK`, `stream: NAME FOUND`, or an error.
fn read(said: &[u8]) -> Result<Verdict, ScanError> {
    let Some(line) = said.strip_suffix(b"\0") else {
        return Err(scanner(match said.is_empty() {
            true => "it closed the connection without an answer".to_owned(),
            false => "its answer broke off, or is none".to_owned(),
        }));
    };
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    match line.strip_prefix("stream: ") {
        Some("OK") => return Ok(Verdict::Clean),
        Some(found) => {
            if let Some(name) = found.strip_suffix(" FOUND").filter(|name| !name.is_empty()) {
                return Ok(Verdict::Infected(name.chars().take(SIGNATURE_CHARS_MAX).collect()));
            }
        }
        None => {}
    }
    match line.starts_with("INSTREAM size limit exceeded") {
        true => Ok(Verdict::TooLarge),
        false => Err(scanner(format!(
            "it answered {:?}",
            line.chars().take(SIGNATURE_CHARS_MAX).collect::<String>()
        ))),
    }
}

fn scanner(why: impl Into<String>) -> ScanError {
    ScanError::Scanner(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_what_is_none_clears_nothing() {
        let said = |text: &str| read(text.as_bytes());
        assert_eq!(said("stream: OK\0").unwrap(), Verdict::Clean);
        assert_eq!(said("stream: OK\n\0").unwrap(), Verdict::Clean);
        assert_eq!(
            said("stream: Eicar-Test-Signature FOUND\0").unwrap(),
            Verdict::Infected("Eicar-Test-Signature".into())
        );
        assert_eq!(said("stream: OK FOUND\0").unwrap(), Verdict::Infected("OK".into()));
        assert_eq!(
            said("INSTREAM size limit exceeded. ERROR\0").unwrap(),
            Verdict::TooLarge
        );
        for wrong in [
            "",
            "\0",
            "stream: OK",
            "OK\0",
            "stream:OK\0",
            "stream: \0",
            "stream:  FOUND\0",
            "stream: OK stream: OK\0",
            "stream: lstat() failed. ERROR\0",
            "UNKNOWN COMMAND\0",
            "<html>OK</html>\0",
        ] {
            let answer = said(wrong);
            let is_harmless = match &answer {
                Err(_) => true,
                Ok(verdict) => *verdict != Verdict::Clean,
            };
            assert!(is_harmless, "{wrong:?} {answer:?}");
        }
        let long = format!("stream: {} FOUND\0", "x".repeat(1_000));
        assert_eq!(said(&long).unwrap(), Verdict::Infected("x".repeat(200)));
    }
}
