//! What S3 says about one bucket without versions, in the simplest form: maps in memory. It shares no code with the
//! store; what happens to drives and processes means nothing here.

use std::collections::{BTreeMap, BTreeSet};

use md5::{Digest, Md5};

const PART_MIN: usize = 5 * 1024 * 1024;

/// Bytes by a number and a length: equal numbers and lengths are equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) seed: u8,
    pub(super) len: usize,
}

impl Body {
    pub(super) fn bytes(self) -> Vec<u8> {
        let mut state = u64::from(self.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        let mut bytes: Vec<u8> = words.take(self.len.div_ceil(8)).flatten().collect();
        bytes.truncate(self.len);
        bytes
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match` with the ETag of one PUT of this body.
    Is(Body),
    /// `If-Match` with the ETag that stands, or with that of nothing.
    Current,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    Whole,
    From(u64, Option<u64>),
    Last(u64),
}

/// Why a request is refused. Nothing changes then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoSuchKey,
    NoSuchUpload,
    Precondition,
    NotSatisfiable,
    NothingChanges,
    NoParts,
    PartOrder,
    InvalidPart,
    PartTooSmall,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) bytes: Vec<u8>,
    pub(super) etag: String,
    pub(super) content_type: Option<String>,
    upload: Option<usize>,
}

impl Object {
    /// Whether it came from an upload in parts.
    pub(super) fn is_upload(&self) -> bool {
        self.upload.is_some()
    }
}

/// An item of a listing: a key with its ETag and size, or a common prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    Key(String, String, u64),
    Prefix(String),
}

#[derive(Clone, Debug)]
struct Upload {
    key: String,
    content_type: Option<String>,
    parts: BTreeMap<u16, Vec<u8>>,
}

/// A part as a Complete names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) number: u16,
    pub(super) etag: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Reference {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<usize, Upload>,
    begun: usize,
}

impl Reference {
    pub(super) fn object(&self, key: &str) -> Option<&Object> {
        self.objects.get(key)
    }

    fn decide(&self, key: &str, condition: &Condition) -> Result<(), Refusal> {
        match (condition, self.object(key)) {
            (Condition::None, _) | (Condition::Absent, None) | (Condition::Current, Some(_)) => Ok(()),
            (Condition::Absent, Some(_)) => Err(Refusal::Precondition),
            (Condition::Is(_) | Condition::Current, None) => Err(Refusal::NoSuchKey),
            (Condition::Is(body), Some(object)) if object.etag == md5_hex(&body.bytes()) => Ok(()),
            (Condition::Is(_), Some(_)) => Err(Refusal::Precondition),
        }
    }

    pub(super) fn put(
        &mut self,
        key: &str,
        bytes: Vec<u8>,
        content_type: Option<String>,
        condition: &Condition,
    ) -> Result<String, Refusal> {
        self.decide(key, condition)?;
        let etag = md5_hex(&bytes);
        let object = Object {
            bytes,
            etag: etag.clone(),
            content_type,
            upload: None,
        };
        self.objects.insert(key.to_owned(), object);
        Ok(etag)
    }

    pub(super) fn get(&self, key: &str, range: Range) -> Result<Vec<u8>, Refusal> {
        let bytes = &self.object(key).ok_or(Refusal::NoSuchKey)?.bytes;
        let size = bytes.len() as u64;
        let (from, to) = match range {
            Range::Whole => (0, size),
            Range::From(first, _) if first >= size => return Err(Refusal::NotSatisfiable),
            Range::From(first, Some(last)) if last < first => return Err(Refusal::NotSatisfiable),
            Range::From(first, last) => (first, last.map_or(size, |last| (last + 1).min(size))),
            Range::Last(0) => return Err(Refusal::NotSatisfiable),
            Range::Last(_) if size == 0 => return Err(Refusal::NotSatisfiable),
            Range::Last(len) => (size.saturating_sub(len), size),
        };
        Ok(bytes[from as usize..to as usize].to_vec())
    }

    pub(super) fn delete(&mut self, key: &str, condition: &Condition) -> Result<(), Refusal> {
        self.decide(key, condition)?;
        self.objects.remove(key);
        Ok(())
    }

    pub(super) fn copy(&mut self, from: &str, to: &str, content_type: Option<String>) -> Result<String, Refusal> {
        let source = self.object(from).ok_or(Refusal::NoSuchKey)?.clone();
        if from != to {
            let kept = content_type.or(source.content_type);
            return self.put(to, source.bytes, kept, &Condition::None);
        }
        if content_type.is_none() {
            return Err(Refusal::NothingChanges);
        }
        let etag = source.etag.clone();
        self.objects.insert(to.to_owned(), Object { content_type, ..source });
        Ok(etag)
    }

    pub(super) fn list(&self, prefix: &str, delimiter: &str) -> Vec<Item> {
        let item = |(key, object): (&String, &Object)| {
            let rest = key.strip_prefix(prefix)?;
            let cut = if delimiter.is_empty() {
                None
            } else {
                rest.find(delimiter)
            };
            Some(match cut {
                Some(at) => Item::Prefix(format!("{prefix}{}", &rest[..at + delimiter.len()])),
                None => Item::Key(key.clone(), object.etag.clone(), object.bytes.len() as u64),
            })
        };
        let mut items: Vec<Item> = self.objects.iter().filter_map(item).collect();
        items.dedup();
        items
    }

    /// Uploads are named by the order in which they were begun.
    pub(super) fn begin(&mut self, key: &str, content_type: Option<String>) -> usize {
        let upload = Upload {
            key: key.to_owned(),
            content_type,
            parts: BTreeMap::new(),
        };
        self.uploads.insert(self.begun, upload);
        self.begun += 1;
        self.begun - 1
    }

    pub(super) fn part(&mut self, upload: usize, number: u16, bytes: Vec<u8>) -> Result<String, Refusal> {
        let etag = md5_hex(&bytes);
        let open = self.uploads.get_mut(&upload).ok_or(Refusal::NoSuchUpload)?;
        open.parts.insert(number, bytes);
        Ok(etag)
    }

    /// Number, size and ETag of each part.
    pub(super) fn parts(&self, upload: usize) -> Result<Vec<(u16, u64, String)>, Refusal> {
        let open = self.uploads.get(&upload).ok_or(Refusal::NoSuchUpload)?;
        let part = |(number, bytes): (&u16, &Vec<u8>)| (*number, bytes.len() as u64, md5_hex(bytes));
        Ok(open.parts.iter().map(part).collect())
    }

    pub(super) fn uploads(&self) -> BTreeSet<(String, usize)> {
        let named = self
            .uploads
            .iter()
            .map(|(number, upload)| (upload.key.clone(), *number));
        named.collect()
    }

    pub(super) fn abort(&mut self, upload: usize) -> Result<(), Refusal> {
        self.uploads.remove(&upload).map(drop).ok_or(Refusal::NoSuchUpload)
    }

    pub(super) fn complete(&mut self, (upload, key): (usize, &str), named: &[Named]) -> Result<String, Refusal> {
        if named.is_empty() {
            return Err(Refusal::NoParts);
        }
        if named.windows(2).any(|pair| pair[0].number >= pair[1].number) {
            return Err(Refusal::PartOrder);
        }
        let Some(open) = self.uploads.get(&upload) else {
            // Sent again, it says the same, as long as its object stands.
            let made = self.object(key).filter(|object| object.upload == Some(upload));
            return made.map(|object| object.etag.clone()).ok_or(Refusal::NoSuchUpload);
        };
        let (mut bytes, mut digests) = (Vec::new(), Vec::new());
        for (at, part) in named.iter().enumerate() {
            let found = open.parts.get(&part.number).ok_or(Refusal::InvalidPart)?;
            if md5_hex(found) != part.etag {
                return Err(Refusal::InvalidPart);
            }
            if at + 1 < named.len() && found.len() < PART_MIN {
                return Err(Refusal::PartTooSmall);
            }
            bytes.extend_from_slice(found);
            digests.extend_from_slice(&Md5::digest(found));
        }
        let etag = format!("{}-{}", md5_hex(&digests), named.len());
        let object = Object {
            bytes,
            etag: etag.clone(),
            content_type: open.content_type.clone(),
            upload: Some(upload),
        };
        self.objects.insert(key.to_owned(), object);
        self.uploads.remove(&upload);
        Ok(etag)
    }
}
