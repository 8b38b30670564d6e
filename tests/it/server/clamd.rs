//! A clamd of the tests' own: it speaks INSTREAM over TCP, and says what the test wants.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the real one answers where nothing is found.
pub(super) const OK: &str = "stream: OK\0";
/// And where the test signature of the trade is.
pub(super) const FOUND: &str = "stream: Eicar-Test-Signature FOUND\0";
/// Bytes that the honest mood finds something in.
pub(super) const BAD: &str = "these bytes are bad";

/// How it behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// As the real one: it finds [`BAD`] and nothing else.
    Honest,
    /// It answers this whatever came, once all came.
    Says(&'static str),
    /// It takes only so many bytes, says so, and hangs up.
    Takes(usize),
    /// It reads everything and says nothing, until its mood changes.
    Silent,
    /// It hangs up as soon as it was asked.
    HangsUp,
}

/// A running one; it ends with its value.
pub(super) struct FakeClamd {
    pub(super) address: SocketAddr,
    mood: watch::Sender<Mood>,
    /// What was sent in each question that was read whole.
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
    listening: tokio::task::JoinHandle<()>,
}

impl Drop for FakeClamd {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl FakeClamd {
    pub(super) async fn new(mood: Mood) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), mood).await
    }

    pub(super) async fn at(address: SocketAddr, mood: Mood) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, moods) = watch::channel(mood);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, moods.clone(), Arc::clone(&noted)));
            }
        });
        Self {
            address,
            mood,
            asked,
            listening,
        }
    }

    /// As the operator names it.
    pub(super) fn setting(&self) -> String {
        format!("clamd:{}", self.address)
    }

    pub(super) fn becomes(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    pub(super) fn asked(&self) -> Vec<Vec<u8>> {
        self.asked.lock().clone()
    }
}

async fn talk(mut stream: TcpStream, mut moods: watch::Receiver<Mood>, asked: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mood = moods.borrow_and_update().clone();
    let mut command = [0; 10];
    if mood == Mood::HangsUp || stream.read_exact(&mut command).await.is_err() {
        return;
    }
    assert_eq!(&command, b"zINSTREAM\0");
    let mut bytes = Vec::new();
    loop {
        let Ok(length) = stream.read_u32().await else { return };
        if length == 0 {
            break;
        }
        let mut piece = vec![0; length as usize];
        if stream.read_exact(&mut piece).await.is_err() {
            return;
        }
        bytes.extend(piece);
        if matches!(mood, Mood::Takes(most) if bytes.len() > most) {
            drop(stream.write_all(b"INSTREAM size limit exceeded. ERROR\0").await);
            // Hanging up with bytes unread could take the answer away again.
            drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
            return;
        }
    }
    let is_bad = bytes.windows(BAD.len()).any(|window| window == BAD.as_bytes());
    asked.lock().push(bytes);
    let answer = match mood {
        Mood::Says(answer) => answer,
        Mood::Silent => {
            drop(moods.changed().await);
            return;
        }
        Mood::Honest | Mood::Takes(_) | Mood::HangsUp if is_bad => FOUND,
        Mood::Honest | Mood::Takes(_) | Mood::HangsUp => OK,
    };
    drop(stream.write_all(answer.as_bytes()).await);
}
