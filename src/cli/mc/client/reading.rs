//! Reading an object from its begin to its end, also when connections break on the way: reading goes on where it ended, of
//! the very same object.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{IF_MATCH, RANGE};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{Ask, Client, ClientError, Stat, header_value};

/// How often reading goes on without a byte in between.
const BREAKS_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// An object that is being read.
pub(in crate::cli::mc) struct Reading {
    client: Arc<Client>,
    bucket: String,
    key: String,
    stat: Stat,
    body: Incoming,
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
            let reason = match self.body.frame().await {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.take(&data).await;
                    return Ok(Some(data));
                }
                None if self.at >= self.stat.size => return Ok(None),
                None => format!("it ended after {} of {} bytes", self.at, self.stat.size),
                Some(Err(error)) => error.to_string(),
            };
            if self.breaks >= BREAKS_MAX {
                let reason = format!("the object was cut off: {reason}");
                return Err(ClientError::Connection { reason, unsent: false });
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
        let changed = |reason: &str| ClientError::Answer {
            reason: format!("the object was cut off, and {reason}"),
        };
        match self.client.ask(&ask).await {
            Ok(answer) if answer.status() == StatusCode::PARTIAL_CONTENT => {
                self.body = answer.into_body();
                Ok(())
            }
            Ok(_) => Err(changed("the server cannot go on within it")),
            Err(error) if error.code() == "PreconditionFailed" || error.is_absent() => {
                Err(changed("it is another by now"))
            }
            Err(error) => Err(error),
        }
    }
}
