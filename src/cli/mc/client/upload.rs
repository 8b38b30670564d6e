//! Uploads of any length from a file, a stream or another server: one request where it is short, parts where it is not.
//! Memory is bounded by the parts in flight; an upload that fails or is interrupted is aborted, so that nothing stays.
//! Copies inside a server that are too long for one request are made of parts, too.

use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::header::ETAG;
use http::{HeaderMap, Method};
use md5::{Digest, Md5};
use time::OffsetDateTime;

use super::error::Refusal;
use super::open::OpenUpload;
use super::{Ask, Client, ClientError, Reading, Stat, Sum, element, header_value, path_text};

/// A body up to this long is one request; also the length of the first parts.
const PART_BYTES: usize = 16 * 1024 * 1024;
/// Parts of one length before they get twice as long: so 10,000 parts hold 2.4 TiB, and short bodies have short parts.
const PARTS_OF_A_LENGTH: usize = 1500;
const PARTS_MAX: usize = 10_000;
/// Parts that are sent at once while they are short.
const LANES: usize = 4;
/// Of a copy inside a server: a part, and the most that is one.
const COPIED_BYTES: u64 = 512 * 1024 * 1024;
const COPIED_PARTS_MAX: u64 = 10_000;

/// How often it is looked whether an upload was completed, and tried again.
const COMPLETIONS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// How an upload is made.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli::mc) struct Style {
    /// A checksum that the server shall keep.
    pub(in crate::cli::mc) sum: Option<Sum>,
    /// What is longer is uploaded in parts of this length at first.
    pub(in crate::cli::mc) part_bytes: usize,
    /// Parts at once.
    pub(in crate::cli::mc) lanes: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            sum: None,
            part_bytes: PART_BYTES,
            lanes: LANES,
        }
    }
}

/// A part that the server has.
#[derive(Clone, Default)]
struct Part {
    etag: String,
    sum: Option<String>,
}

/// Where an upload's bytes come from.
pub(in crate::cli::mc) enum Source {
    File { file: File, path: PathBuf },
    Stream(Stream),
    Object { reading: Box<Reading>, rest: Bytes },
}

impl Source {
    /// The bytes of an object.
    pub(in crate::cli::mc) fn object(reading: Reading) -> Self {
        Self::Object {
            reading: Box::new(reading),
            rest: Bytes::new(),
        }
    }

    /// The next `length` bytes, fewer only at the end.
    async fn part(&mut self, length: usize) -> Result<Bytes, ClientError> {
        match self {
            Self::File { file, path } => read_part(file, length).map_err(ClientError::file(path)),
            Self::Stream(stream) => Ok(stream.next(length).await?),
            Self::Object { reading, rest } => {
                let mut part = BytesMut::from(rest.split_to(length.min(rest.len())));
                while part.len() < length {
                    let Some(mut data) = reading.next().await? else { break };
                    let wanted = (length - part.len()).min(data.len());
                    part.extend_from_slice(&data.split_to(wanted));
                    *rest = data;
                }
                Ok(part.freeze())
            }
        }
    }
}

/// What is read on a thread of its own, so that who waits for it can leave: standard input may give nothing for ever.
pub(in crate::cli::mc) struct Stream(Option<Box<dyn Read + Send>>);

impl Stream {
    pub(in crate::cli::mc) fn of(from: impl Read + Send + 'static) -> Self {
        Self(Some(Box::new(from)))
    }

    /// The next `length` bytes, fewer only at the end. Who gives up waiting has lost the rest.
    pub(in crate::cli::mc) async fn next(&mut self, length: usize) -> std::io::Result<Bytes> {
        let lost = || std::io::Error::other("reading was given up");
        let mut from = self.0.take().ok_or_else(lost)?;
        let read = tokio::task::spawn_blocking(move || {
            let part = whole_part(&mut from, length);
            (from, part)
        });
        let (from, part) = read.await.map_err(std::io::Error::other)?;
        self.0 = Some(from);
        part
    }
}

fn whole_part(from: &mut impl Read, length: usize) -> std::io::Result<Bytes> {
    let mut part = Vec::new();
    from.take(u64::try_from(length).unwrap_or(u64::MAX))
        .read_to_end(&mut part)?;
    Ok(part.into())
}

fn read_part(from: &mut impl Read, length: usize) -> std::io::Result<Bytes> {
    tokio::task::block_in_place(|| whole_part(from, length))
}

/// One upload: where to, with which headers, and who hears of its progress.
pub(in crate::cli::mc) struct Uploading<'a> {
    pub(in crate::cli::mc) client: &'a Arc<Client>,
    pub(in crate::cli::mc) bucket: &'a str,
    pub(in crate::cli::mc) key: &'a str,
    pub(in crate::cli::mc) headers: HeaderMap,
    pub(in crate::cli::mc) style: Style,
    /// Hears how many more bytes the server has.
    pub(in crate::cli::mc) moved: &'a (dyn Fn(u64) + Sync),
}

impl Uploading<'_> {
    /// Uploads everything; gives the number of bytes.
    pub(in crate::cli::mc) async fn run(self, mut source: Source) -> Result<u64, ClientError> {
        let part_bytes = self.style.part_bytes;
        let first = source.part(part_bytes).await?;
        let second = if first.len() < part_bytes {
            Bytes::new()
        } else {
            source.part(part_bytes).await?
        };
        if second.is_empty() {
            let size = u64::try_from(first.len()).unwrap_or_default();
            let mut headers = self.headers.clone();
            if let Some(sum) = self.style.sum {
                headers.insert(sum.header(), header_value(&sum.of(&first))?);
            }
            self.client.put(self.bucket, self.key, headers, first).await?;
            (self.moved)(size);
            return Ok(size);
        }
        let open = self.begin().await?;
        self.framed(&open, self.send(&open.id, [first, second], source)).await
    }

    /// Has the server copy one of its objects, part by part.
    pub(in crate::cli::mc) async fn copy(self, from: (&str, &str), stat: &Stat) -> Result<u64, ClientError> {
        let open = self.begin().await?;
        self.framed(&open, self.copy_parts(&open.id, from, stat)).await
    }

    /// Completes an upload whose parts were sent, or aborts it.
    async fn framed(
        &self,
        open: &OpenUpload,
        parts: impl Future<Output = Result<(Vec<Part>, u64), ClientError>>,
    ) -> Result<u64, ClientError> {
        let ended = match parts.await {
            Ok((parts, size)) => self.complete(&open.id, &parts, size).await.map(|()| size),
            Err(error) => Err(error),
        };
        if ended.is_err() {
            // What matters is why the upload failed.
            drop(open.abort().await);
        }
        self.client.habits.uploads.forget(open);
        ended
    }

    /// Begins an upload; a command that is interrupted while it is asked for hears of its id all the same, and takes it back.
    async fn begin(&self) -> Result<Arc<OpenUpload>, ClientError> {
        let mut headers = self.headers.clone();
        if let Some(sum) = self.style.sum {
            headers.insert("x-amz-checksum-algorithm", header_value(sum.name())?);
        }
        let (bucket, key) = (self.bucket.to_owned(), self.key.to_owned());
        let client = Arc::clone(self.client);
        let beginning = client.habits.uploads.begin();
        let asking = tokio::spawn(async move {
            let ask = Ask {
                query: &[("uploads", "")],
                headers,
                patient: true,
                ..Ask::of(Method::POST, &bucket, &key)
            };
            let root = client.xml(&ask).await?;
            match root.text_of("UploadId").to_owned() {
                id if id.is_empty() => Err(ClientError::Answer {
                    reason: "the server gave no upload id".to_owned(),
                }),
                id => Ok(beginning.opened(OpenUpload {
                    client,
                    bucket,
                    key,
                    id,
                })),
            }
        });
        asking.await.map_err(std::io::Error::other)?
    }

    async fn send(&self, id: &str, first: [Bytes; 2], mut source: Source) -> Result<(Vec<Part>, u64), ClientError> {
        let mut waiting = first.into_iter();
        let mut flying = FuturesUnordered::new();
        let mut parts: Vec<Part> = Vec::new();
        let mut size = 0_u64;
        let mut ended = false;
        loop {
            let Style { part_bytes, lanes, .. } = self.style;
            let length = part_bytes << (parts.len() / PARTS_OF_A_LENGTH).min(8);
            let lanes = (lanes * part_bytes / length).max(1);
            if !ended && flying.len() < lanes {
                let part = match waiting.next() {
                    Some(part) => part,
                    None => source.part(length).await?,
                };
                if part.is_empty() {
                    ended = true;
                    continue;
                }
                if parts.len() >= PARTS_MAX {
                    return Err(ClientError::Unfit(
                        "more than 10,000 parts; the object is too large".into(),
                    ));
                }
                ended = part.len() < length && waiting.len() == 0;
                size += u64::try_from(part.len()).unwrap_or_default();
                parts.push(Part::default());
                flying.push(self.part(id, parts.len(), part));
                continue;
            }
            let Some(done) = flying.next().await else {
                return Ok((parts, size));
            };
            let (number, part) = done?;
            if let Some(slot) = parts.get_mut(number - 1) {
                *slot = part;
            }
        }
    }

    async fn part(&self, id: &str, number: usize, body: Bytes) -> Result<(usize, Part), ClientError> {
        let size = u64::try_from(body.len()).unwrap_or_default();
        let text = number.to_string();
        let query = [("partNumber", text.as_str()), ("uploadId", id)];
        let sum = self.style.sum.map(|sum| (sum.header(), sum.of(&body)));
        let mut ask = Ask {
            query: &query,
            body,
            patient: true,
            ..Ask::of(Method::PUT, self.bucket, self.key)
        };
        if let Some((header, sum)) = &sum {
            ask.headers.insert(header, header_value(sum)?);
        }
        let answer = self.client.ask(&ask).await?;
        let etag = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.ok_or_else(|| ClientError::Answer {
            reason: "the server gave a part no ETag".to_owned(),
        })?;
        (self.moved)(size);
        let (etag, sum) = (etag.to_owned(), sum.map(|(_, sum)| sum));
        Ok((number, Part { etag, sum }))
    }

    async fn copy_parts(&self, id: &str, from: (&str, &str), stat: &Stat) -> Result<(Vec<Part>, u64), ClientError> {
        let mut ranges = ranges(stat.size).into_iter().enumerate();
        let mut flying = FuturesUnordered::new();
        let mut parts: Vec<Part> = Vec::new();
        loop {
            if flying.len() < self.style.lanes
                && let Some((at, range)) = ranges.next()
            {
                parts.push(Part::default());
                flying.push(self.copy_part(id, (at + 1, range), from, stat));
                continue;
            }
            let Some(done) = flying.next().await else {
                return Ok((parts, stat.size));
            };
            let (number, part) = done?;
            if let Some(slot) = parts.get_mut(number - 1) {
                *slot = part;
            }
        }
    }

    async fn copy_part(
        &self,
        id: &str,
        (number, (first, last)): (usize, (u64, u64)),
        from: (&str, &str),
        stat: &Stat,
    ) -> Result<(usize, Part), ClientError> {
        let text = number.to_string();
        let query = [("partNumber", text.as_str()), ("uploadId", id)];
        let mut ask = Ask {
            query: &query,
            patient: true,
            ..Ask::of(Method::PUT, self.bucket, self.key)
        };
        let source = path_text(&format!("/{}/{}", from.0, from.1));
        for (name, value) in [
            ("x-amz-copy-source", source),
            ("x-amz-copy-source-range", format!("bytes={first}-{last}")),
            // Every part is of the same object, or there is no copy.
            ("x-amz-copy-source-if-match", format!("\"{}\"", stat.etag)),
        ] {
            ask.headers.insert(name, header_value(&value)?);
        }
        let root = self.client.xml(&ask).await?;
        Refusal::within(&root, from.0, from.1)?;
        (self.moved)(last + 1 - first);
        let etag = root.text_of("ETag").to_owned();
        Ok((number, Part { etag, sum: None }))
    }

    async fn complete(&self, id: &str, parts: &[Part], size: u64) -> Result<(), ClientError> {
        let told: String = parts
            .iter()
            .enumerate()
            .map(|(i, part)| {
                let number = element("PartNumber", &(i + 1).to_string());
                let sum = self.style.sum.zip(part.sum.as_deref());
                let sum = sum.map(|(sum, text)| element(&format!("Checksum{}", sum.name()), text));
                let sum = sum.unwrap_or_default();
                format!("<Part>{number}{}{sum}</Part>", element("ETag", &part.etag))
            })
            .collect();
        let query = [("uploadId", id)];
        let ask = Ask {
            query: &query,
            body: format!("<CompleteMultipartUpload>{told}</CompleteMultipartUpload>").into(),
            ..Ask::of(Method::POST, self.bucket, self.key)
        };
        let before = self.held().await;
        let mut failed = match self.finish(&ask).await {
            Err(error) if error.is_doubtful() => error,
            result => return result,
        };
        // Nobody knows whether it was done. The upload and the object tell.
        for attempt in 0..COMPLETIONS {
            tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await;
            let open = self.is_open(id).await;
            if !matches!(open, Ok(true)) {
                let now = self.held().await;
                if now != before && now.is_some_and(|now| now.is_of(parts, size)) {
                    return Ok(());
                }
            }
            if matches!(open, Ok(false)) {
                return Err(failed);
            }
            match self.finish(&ask).await {
                Ok(()) => return Ok(()),
                // It was done a moment ago after all, or is gone: the next look tells.
                Err(error) if error.code() == "NoSuchUpload" => {}
                Err(error) if error.is_doubtful() => failed = error,
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    async fn finish(&self, ask: &Ask<'_>) -> Result<(), ClientError> {
        let root = self.client.xml(ask).await?;
        Refusal::within(&root, self.bucket, self.key)
    }

    /// Whether the server still has the upload: one that is completed is gone.
    async fn is_open(&self, id: &str) -> Result<bool, ClientError> {
        let query = [("uploadId", id), ("max-parts", "1")];
        let ask = Ask {
            query: &query,
            patient: true,
            ..Ask::of(Method::GET, self.bucket, self.key)
        };
        match self.client.ask(&ask).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == "NoSuchUpload" => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the key holds, as far as it can be seen.
    async fn held(&self) -> Option<Held> {
        let ask = Ask {
            patient: true,
            ..Ask::of(Method::HEAD, self.bucket, self.key)
        };
        let stat = Stat::read(self.client.ask(&ask).await.ok()?.headers());
        Some(Held {
            etag: stat.etag,
            size: stat.size,
            modified: stat.modified,
        })
    }
}

/// An object, so far as it differs from the one before it.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    etag: String,
    size: u64,
    modified: Option<OffsetDateTime>,
}

impl Held {
    /// Whether it is what these parts make: an ETag over theirs, and their length.
    fn is_of(&self, parts: &[Part], size: u64) -> bool {
        self.size == size && etag_of(parts).is_some_and(|etag| etag == self.etag)
    }
}

/// The ETag of an object made of parts: the sum of their sums, and their number.
fn etag_of(parts: &[Part]) -> Option<String> {
    let mut whole = Md5::new();
    for part in parts {
        let sum = hex_simd::decode_to_vec(part.etag.trim_matches('"')).ok()?;
        whole.update(&sum);
    }
    let sum = hex_simd::encode_to_string(whole.finalize(), hex_simd::AsciiCase::Lower);
    Some(format!("{sum}-{}", parts.len()))
}

/// First and last bytes of the parts of a copy inside a server.
fn ranges(size: u64) -> Vec<(u64, u64)> {
    let length = COPIED_BYTES.max(size.div_ceil(COPIED_PARTS_MAX));
    let mut ranges = Vec::new();
    let mut first = 0;
    while first < size {
        let last = first.saturating_add(length).min(size) - 1;
        ranges.push((first, last));
        first = last + 1;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_in_parts_covers_every_byte_once() {
        let gib = 1024 * 1024 * 1024;
        for size in [5 * gib + 1, 6 * gib, 5 * 1024 * gib] {
            let ranges = ranges(size);
            assert!(ranges.len() <= 10_000, "{size}");
            assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, size - 1));
            assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{size}");
            assert!(ranges.iter().all(|(first, last)| last - first < 5 * gib), "{size}");
        }
        assert_eq!(ranges(0), []);
    }

    #[test]
    fn the_etag_of_parts_is_the_one_that_servers_compute() {
        let part = |etag: &str| Part {
            etag: etag.to_owned(),
            sum: None,
        };
        // Of "a" and "b".
        let parts = [
            part("\"0cc175b9c0f1b6a831c399e269772661\""),
            part("92eb5ffee6ae2fec3ad71c777531578f"),
        ];
        assert_eq!(etag_of(&parts).as_deref(), Some("96e024ba2074fe77e8e965ba43a704be-2"));
        assert_eq!(etag_of(&[part("no sum")]), None);
    }
}
