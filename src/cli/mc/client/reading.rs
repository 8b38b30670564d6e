//! Reading an object from its begin to its end, also when connections break or fall silent on the way: reading goes on where
//! it ended, of the very same object, whatever the server makes of the condition.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_RANGE, IF_MATCH, RANGE};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;

use super::coming::Cut;
use super::{Ask, Client, ClientError, Coming, Stat, header_value};

/// How often reading goes on without a byte in between.
const BREAKS_MAX: u32 = 5;
/// So many of them is one silence worth.
const STALL: u32 = 2;
const PAUSE: Duration = Duration::from_millis(200);

/// An object that is being read.
pub(in crate::cli::mc) struct Reading {
    client: Arc<Client>,
    bucket: String,
    key: String,
    stat: Stat,
    body: Coming,
    /// Bytes that were read.
    at: u64,
    /// Breaks since the last byte.
    breaks: u32,
}

impl Client {
    /// Begins to read a whole object.
    pub(in crate::cli::mc) async fn read(self: &Arc<Self>, bucket: &str, key: &str) -> Result<Reading, ClientError> {
        let ask = Ask {
            patient: true,
            ..Ask::of(Method::GET, bucket, key)
        };
        let answer = self.ask(&ask).await?;
        Ok(Reading {
            client: Arc::clone(self),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            stat: Stat::read(answer.headers()),
            body: answer.into_body(),
            at: 0,
            breaks: 0,
        })
    }
}

impl Reading {
    /// What the object is.
    pub(in crate::cli::mc) fn stat(&self) -> &Stat {
        &self.stat
    }

    /// The next bytes; `None` when all were read.
    pub(in crate::cli::mc) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let cut = match self.body.frame().await {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.take(&data).await;
                    return Ok(Some(data));
                }
                None if self.at >= self.stat.size => return Ok(None),
                None => ClientError::Connection {
                    reason: format!(
                        "the object was cut off: it ended after {} of {} bytes",
                        self.at, self.stat.size
                    ),
                    unsent: false,
                },
                Some(Err(cut)) => {
                    // Silence has taken its time already.
                    self.breaks += if matches!(cut, Cut::Stalled { .. }) { STALL } else { 0 };
                    cut.of("the object")
                }
            };
            if self.breaks >= BREAKS_MAX {
                return Err(cut);
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(self.breaks)).await;
            self.breaks += 1;
            self.resume().await?;
        }
    }

    async fn take(&mut self, data: &Bytes) {
        self.at += u64::try_from(data.len()).unwrap_or_default();
        self.breaks = 0;
        if let Some(pace) = &self.client.habits.download {
            tokio::time::sleep(pace.take(data.len(), Instant::now())).await;
        }
    }

    async fn resume(&mut self) -> Result<(), ClientError> {
        let mut ask = Ask {
            patient: true,
            ..Ask::of(Method::GET, &self.bucket, &self.key)
        };
        ask.headers.insert(RANGE, header_value(&format!("bytes={}-", self.at))?);
        ask.headers
            .insert(IF_MATCH, header_value(&format!("\"{}\"", self.stat.etag))?);
        let unfit = |reason: &str| ClientError::Answer {
            reason: format!("the object was cut off, and {reason}"),
        };
        match self.client.ask(&ask).await {
            Ok(answer) if Stat::read(answer.headers()).etag != self.stat.etag => Err(ClientError::Replaced),
            Ok(answer) if answer.status() != StatusCode::PARTIAL_CONTENT => {
                Err(unfit("the server cannot go on within it"))
            }
            Ok(answer) if !goes_on(answer.headers(), self.at, self.stat.size) => {
                Err(unfit("the server goes on at another place"))
            }
            Ok(answer) => {
                self.body = answer.into_body();
                Ok(())
            }
            Err(error) if error.code() == "PreconditionFailed" || error.status() == 412 => Err(ClientError::Replaced),
            // It is shorter by now.
            Err(error) if error.code() == "InvalidRange" => Err(ClientError::Replaced),
            Err(error) => Err(error),
        }
    }
}

/// Whether an answer holds all bytes from `at` on of an object of `size` bytes, and says so.
fn goes_on(headers: &HeaderMap, at: u64, size: u64) -> bool {
    let told = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    told.is_some_and(|range| range == format!("bytes {at}-{}/{size}", size.saturating_sub(1)))
}
