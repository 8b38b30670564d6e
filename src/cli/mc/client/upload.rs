//! Uploads of any length from a file, a stream or another server: one request where it is short, parts where it is not.
//! Memory is bounded by the parts in flight; an upload that fails or is interrupted is aborted, so that nothing stays.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::header::ETAG;
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::error::Refusal;
use super::{Ask, Client, ClientError, element};

/// A body up to this long is one request; also the length of the first parts.
const PART_BYTES: usize = 16 * 1024 * 1024;
/// Parts of one length before they get twice as long: so 10,000 parts hold 2.4 TiB, and short bodies have short parts.
const PARTS_OF_A_LENGTH: usize = 1500;
const PARTS_MAX: usize = 10_000;
/// Parts that are sent at once while they are short.
const LANES: usize = 4;

/// Where an upload's bytes come from.
pub(in crate::cli::mc) enum Source {
    File { file: File, path: PathBuf },
    Stream(Box<dyn Read + Send>),
    Object { body: Incoming, rest: Bytes },
}

impl Source {
    /// The bytes of an answer.
    pub(in crate::cli::mc) fn object(answer: Response<Incoming>) -> Self {
        Self::Object {
            body: answer.into_body(),
            rest: Bytes::new(),
        }
    }

    /// The next `length` bytes, fewer only at the end.
    async fn part(&mut self, length: usize) -> Result<Bytes, ClientError> {
        match self {
            Self::File { file, path } => read_part(file, length).map_err(ClientError::file(path)),
            Self::Stream(stream) => Ok(read_part(stream, length)?),
            Self::Object { body, rest } => {
                let mut part = BytesMut::from(rest.split_to(length.min(rest.len())));
                while part.len() < length {
                    let Some(frame) = body.frame().await else { break };
                    let cut = |error: hyper::Error| ClientError::Answer {
                        reason: format!("the source was cut off: {error}"),
                    };
                    if let Ok(mut data) = frame.map_err(cut)?.into_data() {
                        let wanted = (length - part.len()).min(data.len());
                        part.extend_from_slice(&data.split_to(wanted));
                        *rest = data;
                    }
                }
                Ok(part.freeze())
            }
        }
    }
}

fn read_part(from: &mut impl Read, length: usize) -> std::io::Result<Bytes> {
    tokio::task::block_in_place(|| {
        let mut part = Vec::new();
        from.take(u64::try_from(length).unwrap_or(u64::MAX))
            .read_to_end(&mut part)?;
        Ok(part.into())
    })
}

/// One upload: where to, with which headers, and who hears of its progress.
pub(in crate::cli::mc) struct Uploading<'a> {
    pub(in crate::cli::mc) client: &'a Client,
    pub(in crate::cli::mc) bucket: &'a str,
    pub(in crate::cli::mc) key: &'a str,
    pub(in crate::cli::mc) headers: HeaderMap,
    /// Hears how many more bytes the server has.
    pub(in crate::cli::mc) moved: &'a (dyn Fn(u64) + Sync),
}

impl Uploading<'_> {
    /// Uploads everything; gives the number of bytes.
    pub(in crate::cli::mc) async fn run(self, mut source: Source) -> Result<u64, ClientError> {
        let first = source.part(PART_BYTES).await?;
        let second = if first.len() < PART_BYTES {
            Bytes::new()
        } else {
            source.part(PART_BYTES).await?
        };
        if second.is_empty() {
            let size = u64::try_from(first.len()).unwrap_or_default();
            self.client
                .put(self.bucket, self.key, self.headers.clone(), first)
                .await?;
            (self.moved)(size);
            return Ok(size);
        }
        let id = self.begin().await?;
        let sent = tokio::select! {
            sent = self.send(&id, [first, second], source) => sent,
            _ = tokio::signal::ctrl_c() => Err(ClientError::Interrupted),
        };
        let ended = match sent {
            Ok((etags, size)) => self.complete(&id, &etags).await.map(|()| size),
            Err(error) => Err(error),
        };
        if ended.is_err() {
            let query = [("uploadId", id.as_str())];
            let abort = Ask {
                query: &query,
                ..Ask::of(Method::DELETE, self.bucket, self.key)
            };
            // What matters is why the upload failed.
            drop(self.client.ask(&abort).await);
        }
        ended
    }

    async fn begin(&self) -> Result<String, ClientError> {
        let ask = Ask {
            query: &[("uploads", "")],
            headers: self.headers.clone(),
            ..Ask::of(Method::POST, self.bucket, self.key)
        };
        let root = self.client.xml(&ask).await?;
        match root.text_of("UploadId") {
            "" => Err(ClientError::Answer {
                reason: "the server gave no upload id".to_owned(),
            }),
            id => Ok(id.to_owned()),
        }
    }

    async fn send(&self, id: &str, first: [Bytes; 2], mut source: Source) -> Result<(Vec<String>, u64), ClientError> {
        let mut waiting = first.into_iter();
        let mut flying = FuturesUnordered::new();
        let mut etags: Vec<String> = Vec::new();
        let mut size = 0_u64;
        let mut ended = false;
        loop {
            let length = PART_BYTES << (etags.len() / PARTS_OF_A_LENGTH).min(8);
            let lanes = (LANES * PART_BYTES / length).max(1);
            if !ended && flying.len() < lanes {
                let part = match waiting.next() {
                    Some(part) => part,
                    None => source.part(length).await?,
                };
                if part.is_empty() {
                    ended = true;
                    continue;
                }
                if etags.len() >= PARTS_MAX {
                    return Err(ClientError::Unfit(
                        "more than 10,000 parts; the object is too large".into(),
                    ));
                }
                ended = part.len() < length && waiting.len() == 0;
                size += u64::try_from(part.len()).unwrap_or_default();
                etags.push(String::new());
                flying.push(self.part(id, etags.len(), part));
                continue;
            }
            let Some(done) = flying.next().await else {
                return Ok((etags, size));
            };
            let (number, etag) = done?;
            if let Some(slot) = etags.get_mut(number - 1) {
                *slot = etag;
            }
        }
    }

    async fn part(&self, id: &str, number: usize, body: Bytes) -> Result<(usize, String), ClientError> {
        let size = u64::try_from(body.len()).unwrap_or_default();
        let text = number.to_string();
        let query = [("partNumber", text.as_str()), ("uploadId", id)];
        let ask = Ask {
            query: &query,
            body,
            ..Ask::of(Method::PUT, self.bucket, self.key)
        };
        let answer = self.client.ask(&ask).await?;
        let etag = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.ok_or_else(|| ClientError::Answer {
            reason: "the server gave a part no ETag".to_owned(),
        })?;
        (self.moved)(size);
        Ok((number, etag.to_owned()))
    }

    async fn complete(&self, id: &str, etags: &[String]) -> Result<(), ClientError> {
        let parts: String = etags
            .iter()
            .enumerate()
            .map(|(i, etag)| {
                let number = element("PartNumber", &(i + 1).to_string());
                format!("<Part>{number}{}</Part>", element("ETag", etag))
            })
            .collect();
        let query = [("uploadId", id)];
        let ask = Ask {
            query: &query,
            body: format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>").into(),
            ..Ask::of(Method::POST, self.bucket, self.key)
        };
        let root = self.client.xml(&ask).await?;
        if root.name == "Error" {
            let refusal = Refusal {
                code: root.text_of("Code").to_owned(),
                message: root.text_of("Message").to_owned(),
                ..Refusal::default()
            };
            return Err(ClientError::Refused(Box::new(refusal.about(self.bucket, self.key))));
        }
        Ok(())
    }
}
