//! Scanning of what is uploaded: bytes that come in are read by nobody until a scanner has said that they are clean.
//!
//! Owns how scanners are asked, and what becomes of a file by what they say. Which bytes wait stands in the catalogue, and
//! in nothing else: so a stop, a crash or a scanner that is away loses none, and no queue runs over. It never decides who
//! may read (`access` does), and never holds more of a file than one piece of it.

mod clamd;
mod figures;
mod screen;
mod webhook;
mod worker;

use std::time::Duration;

use storage_engine::backend::BodyStream;
use storage_engine::store::Store;
use storage_engine::store::clock::Timestamp;
use storage_engine::store::files::{File, FileId};
use storage_engine::store::name::BucketName;
use storage_engine::store::object::get::GetObject;

use self::clamd::Clamd;
use self::webhook::Webhook;
use crate::auth::SecretKey;
use crate::config::ScannerAddress;
use crate::outbound::{Outbound, OutboundError};

pub use figures::{Figures, Sums};
pub use screen::{News, Screening};
pub use worker::{Pace, Scans};

/// What a scanner says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Clean,
    /// What it calls what it found.
    Infected(String),
    TooLarge,
}

/// Why nothing is known of a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    /// The scanner could not be asked, or said nothing that can be understood.
    #[error("the scanner: {0}")]
    Scanner(String),
    /// The bytes cannot be read here.
    #[error("the bytes: {0}")]
    Bytes(String),
}

/// How long a scanner may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// To take a connection.
    pub connect: Duration,
    /// To take one piece of the bytes.
    pub piece: Duration,
    /// To answer, once it has all of them.
    pub answer: Duration,
    /// For all of it.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            piece: Duration::from_secs(30),
            answer: Duration::from_secs(120),
            whole: Duration::from_secs(15 * 60),
        }
    }
}

/// What is scanned.
pub(crate) struct Subject<'s> {
    pub bucket: &'s BucketName,
    pub id: FileId,
    pub file: &'s File,
    /// When it is asked about.
    pub now: Timestamp,
}

/// Where the bytes of a file come from, as often as they are read.
pub(crate) struct Source<'s> {
    store: &'s Store,
    get: GetObject,
}

impl Source<'_> {
    async fn open(&self) -> Result<BodyStream, ScanError> {
        let read = self.store.get_object(&self.get).await;
        let read = read.map_err(|error| ScanError::Bytes(error.to_string()))?;
        Ok(read.body)
    }
}

/// A scanner that can be asked.
#[derive(Clone)]
pub enum Scanner {
    Clamd(Clamd),
    Webhook(Box<Webhook>),
}

impl Scanner {
    /// It is not asked for anything yet, so it may be away.
    pub fn new(address: &ScannerAddress, outbound: &Outbound, patience: Patience) -> Result<Self, OutboundError> {
        Ok(match address {
            ScannerAddress::Clamd(address) => Self::Clamd(Clamd::new(address.clone(), patience)),
            ScannerAddress::Webhook { url, secret } => {
                let secret = secret.as_ref().map(|secret| SecretKey::new(secret.expose()));
                let webhook = Webhook::new((outbound.check(url)?, secret), outbound.clone(), patience);
                Self::Webhook(Box::new(webhook))
            }
        })
    }

    /// As it stands in the records of files.
    fn name(&self) -> &'static str {
        match self {
            Self::Clamd(_) => "clamd",
            Self::Webhook(_) => "webhook",
        }
    }

    /// Sends it all of the bytes, piece by piece.
    async fn scan(&self, subject: &Subject<'_>, source: &Source<'_>) -> Result<Verdict, ScanError> {
        match self {
            Self::Clamd(clamd) => clamd.scan(source.open().await?).await,
            Self::Webhook(webhook) => webhook.scan(subject, source).await,
        }
    }
}
