//! The catalogue of a bucket: one record for each file, from before its bytes arrive until it is purged.
//!
//! Owns the records, the rows by which files are found, and that record, rows and object never disagree: each change of one
//! of them is one batch with the others, whichever door a write came through (`follow`). It knows no media type, no
//! application and no rights, and keeps a catalogue only of buckets whose settings ask for it.

mod change;
mod compare;
mod downloads;
mod follow;
mod index;
mod list;
mod narrow;
mod outbox;
mod rebuild;
mod screen;
mod stream;
mod together;
mod totals;
mod trash;
mod versions;

use std::fmt;

use tokio::sync::{Mutex, MutexGuard};

use crate::backend::{Batch, Key, Rev};
use crate::limits::{
    FILE_BYTES_MAX, FILE_METADATA_BYTES_MAX, FILE_NAME_BYTES_MAX, FILE_REFS_MAX, FILE_TAGS_MAX, FILE_TEXT_BYTES_MAX,
    MEDIA_TYPE_BYTES_MAX,
};
use crate::store::bucket::GateClosed;
use crate::store::clock::Timestamp;
use crate::store::error::{CommitRefused, Fault, faults_from_below};
use crate::store::judged::Judged;
use crate::store::name::{BucketName, ObjectKey};
use crate::store::quota::{OverQuota, place_of};
use crate::store::record::Record;
use crate::store::record::settings::BucketSettings;
use crate::store::{Store, key};

pub use crate::store::record::file::{Downloads, File, FileState, OwnerType, UploadLimits};
pub use crate::store::record::file_version::FileVersion;
pub use compare::Disagreement;
pub(in crate::store) use index::ROOT;
pub use index::SortBy;
pub use list::{FileFilter, FilePage, FileQuery, FileSort, Viewer};
pub(in crate::store) use outbox::ToldOfQuota;
pub use outbox::{EventId, ListenerId};
pub(in crate::store) use rebuild::{Rebuilding, mark as index_mark};
pub use screen::Screen;
pub use together::{FileDeed, NotTogether};
pub(in crate::store) use totals::{Changing, Totals};
pub use trash::Removed;
pub use versions::{FileVersionId, ReplacedVersion};

#[cfg(test)]
pub(in crate::store) use index::rows as index_rows;
#[cfg(test)]
pub(in crate::store) use list::is_listed;

/// Keys of one store whose objects and files may change at the same time.
const TURNS: usize = 64;

/// Names a file in its bucket: a UUID of version 7, so that ids sort by the time they were made (RFC 9562, 5.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId([u8; 16]);

impl FileId {
    /// An id from the time the file is made and ten random bytes.
    pub fn new(made: Timestamp, random: [u8; 10]) -> Self {
        let [_, _, time @ ..] = made.millis().to_be_bytes();
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(time.iter().chain(&random)) {
            *to = *from;
        }
        let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
        *version = (*version & 0x0F) | 0x70;
        *variant = (*variant & 0x3F) | 0x80;
        Self(bytes)
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads 32 hexadecimal digits, with hyphens where a UUID has them or without any.
    pub fn parse(text: &str) -> Option<Self> {
        let hyphens = [8, 13, 18, 23];
        let placed = match text.len() {
            32 => text.bytes().all(|byte| byte.is_ascii_hexdigit()),
            36 => text.bytes().enumerate().all(|(at, byte)| {
                if hyphens.contains(&at) {
                    byte == b'-'
                } else {
                    byte.is_ascii_hexdigit()
                }
            }),
            _ => false,
        };
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let number = placed.then(|| u128::from_str_radix(&digits, 16).ok()).flatten()?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", u128::from_be_bytes(self.0));
        for (at, digit) in digits.chars().enumerate() {
            if matches!(at, 8 | 12 | 16 | 20) {
                f.write_str("-")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileId({self})")
    }
}

/// Gives ids their order: of two that are made in one millisecond, too, the second is the greater.
#[derive(Default)]
pub(super) struct LastId(parking_lot::Mutex<u64>);

/// Bits behind the milliseconds that count within one.
const COUNTER_BITS: u32 = 12;

impl LastId {
    /// The next id. A clock that stands, or goes back, is gone on from.
    fn next(&self, now: Timestamp, mut random: [u8; 10]) -> FileId {
        let stamp = {
            let mut last = self.0.lock();
            *last = (now.millis() << COUNTER_BITS).max(*last + 1);
            *last
        };
        let [_, _, _, _, _, _, high, low] = stamp.to_be_bytes();
        let [first, second, ..] = &mut random;
        (*first, *second) = (high & 0x0F, low);
        FileId::new(Timestamp::from_millis(stamp >> COUNTER_BITS), random)
    }
}

/// Random bytes of the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Fault::Internal(format!("no randomness: {error}")))?;
    Ok(bytes)
}

/// What was seen of a body while it came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub sha256: Option<[u8; 32]>,
    /// The media type that its bytes have, as far as they tell and what was declared can be true.
    pub sniffed_type: Option<String>,
    /// Of an image, in pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
}

/// Somebody who looks at a body while it comes in. Whoever does not want it makes the body fail.
pub trait Witness: Send + Sync {
    /// What was seen; asked once the body has ended well.
    fn seen(&self) -> Seen;
}

/// A change of the catalogue that was refused. Nothing changed but after [`Fault::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("no such bucket")]
    NoSuchBucket,
    /// The bucket was just being deleted; the same request may be sent again.
    #[error("the bucket is being deleted")]
    BucketBusy,
    #[error("no such file")]
    NoSuchFile,
    #[error("no such version of the file")]
    NoSuchVersion,
    /// Another file, or another object, has the key.
    #[error("the key is taken")]
    KeyTaken,
    /// It is no longer as it was when the change was judged.
    #[error("the file changed meanwhile")]
    Changed,
    /// It cannot be done with a file in this state.
    #[error("the file is {}", .0.name())]
    State(FileState),
    #[error("{0}")]
    Invalid(&'static str),
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(FileError);

impl From<GateClosed> for FileError {
    fn from(closed: GateClosed) -> Self {
        match closed {
            GateClosed::NoSuchBucket => Self::NoSuchBucket,
            GateClosed::Busy => Self::BucketBusy,
        }
    }
}

/// Checks what the rows must be able to hold.
pub(super) fn check(file: &File) -> Result<(), FileError> {
    let texts = [&file.bucket, &file.category, &file.entity];
    let types = [&file.declared_type, &file.sniffed_type];
    let short = |text: &str, max: usize| text.len() <= max && !text.contains('\0');
    let listed =
        |texts: &[String], max: usize| texts.len() <= max && texts.iter().all(|text| short(text, FILE_TEXT_BYTES_MAX));
    let rules = [
        (
            short(&file.name, FILE_NAME_BYTES_MAX) && !file.name.is_empty(),
            "a file's name has 1 to 255 bytes",
        ),
        (
            ObjectKey::parse(file.key.clone()).is_ok(),
            "a file's key is an object's key",
        ),
        (
            texts.into_iter().flatten().all(|text| short(text, FILE_TEXT_BYTES_MAX)),
            "bucket, category and what a file is about have at most 256 bytes each",
        ),
        (
            types
                .into_iter()
                .flatten()
                .all(|text| short(text, MEDIA_TYPE_BYTES_MAX)),
            "a media type has at most 255 bytes",
        ),
        (
            listed(&file.tags, FILE_TAGS_MAX),
            "a file has at most 50 tags of at most 256 bytes",
        ),
        (
            listed(&file.refs, FILE_REFS_MAX),
            "a file has at most 100 references of at most 256 bytes",
        ),
        (
            file.metadata.len() <= FILE_METADATA_BYTES_MAX,
            "the metadata of a file has at most 16 KiB",
        ),
        (
            file.to_value().len() <= FILE_BYTES_MAX,
            "tags, references, shares and metadata of a file have at most 60 KiB together",
        ),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(FileError::Invalid(rule)),
        None => Ok(()),
    }
}

/// A file's row, decoded.
pub(super) struct Filed {
    pub(super) id: FileId,
    pub(super) file: File,
    pub(super) rev: Rev,
}

impl Store {
    /// The id of a file that is made now: greater than that of every file this store has made before.
    pub fn next_file_id(&self) -> Result<FileId, Fault> {
        Ok(self.inner.last_id.next(self.now(), random()?))
    }

    /// The file with this id, and the revision that changes with every change of it.
    pub async fn file(&self, bucket: &BucketName, id: &FileId) -> Result<Option<(File, Rev)>, Fault> {
        let row = self.inner.backend.get(&key::file(bucket, id.as_bytes())).await?;
        let read = |row: crate::backend::Row| Ok((File::from_value(&row.value)?, row.rev));
        row.map(read).transpose()
    }

    /// The file that has this key.
    pub async fn file_of_key(&self, bucket: &BucketName, key: &str) -> Result<Option<(FileId, File, Rev)>, Fault> {
        // Between the two looks it may have gone, or given way to another.
        let filed = self.filed(bucket, key).await?;
        Ok(filed
            .filter(|filed| filed.file.key == key)
            .map(|filed| (filed.id, filed.file, filed.rev)))
    }

    pub(super) async fn filed(&self, bucket: &BucketName, key: &str) -> Result<Option<Filed>, Fault> {
        let Some(row) = self.inner.backend.get(&key::file_of_key(bucket, key)).await? else {
            return Ok(None);
        };
        let id = id_of(&row.value)?;
        let found = self.file(bucket, &id).await?;
        Ok(found.map(|(file, rev)| Filed { id, file, rev }))
    }

    /// The turn of whoever changes an object that the catalogue follows, so that two of them do not fail each other;
    /// `None`: the bucket keeps no catalogue.
    pub(super) fn catalogue_turn(
        &self,
        settings: Option<&BucketSettings>,
        object_row: &Key,
    ) -> Result<Option<&Mutex<()>>, Fault> {
        if !settings.is_some_and(|settings| settings.files) {
            return Ok(None);
        }
        self.place_in_turns(object_row).map(Some)
    }

    /// The turn of whoever changes what this row stands for.
    pub(super) async fn turn_of(&self, row: &Key) -> Result<MutexGuard<'_, ()>, Fault> {
        Ok(self.place_in_turns(row)?.lock().await)
    }

    fn place_in_turns(&self, row: &Key) -> Result<&Mutex<()>, Fault> {
        let turn = self.inner.turns.0.get(place_of(row, TURNS));
        turn.ok_or_else(|| Fault::Internal("no turn for a row".into()))
    }

    /// Takes the catalogue's rows into a batch that changes an object, until whose commit the object's turn is kept.
    pub(super) async fn follow_in_turn<'s>(
        &'s self,
        bucket: &'s BucketName,
        (turn, object_row): (MutexGuard<'s, ()>, &Key),
        batch: &mut Batch,
    ) -> Result<Following<'s>, Fault> {
        self.follow(bucket, object_row, batch).await?;
        Ok(Following {
            changing: self.changing(bucket),
            judged: &self.judged,
            _turn: turn,
        })
    }

    /// From now until it is dropped the catalogue of a bucket changes.
    pub(super) fn changing<'t>(&'t self, bucket: &'t BucketName) -> Changing<'t> {
        Changing {
            totals: &self.inner.totals,
            bucket,
        }
    }

    /// Commits a batch that puts an object anew without other bytes; the catalogue follows.
    pub(super) async fn commit_followed(
        &self,
        bucket: &BucketName,
        object_row: &Key,
        mut batch: Batch,
    ) -> Result<Rev, CommitRefused> {
        let settings = self.bucket_settings(bucket).await.map_err(CommitRefused::Fault)?;
        let settings = settings.as_ref().map(|(settings, _)| settings.as_ref());
        let turn = self
            .catalogue_turn(settings, object_row)
            .map_err(CommitRefused::Fault)?;
        let _following = match turn {
            Some(turn) => {
                let following = self
                    .follow_in_turn(bucket, (turn.lock().await, object_row), &mut batch)
                    .await;
                Some(following.map_err(CommitRefused::Fault)?)
            }
            None => None,
        };
        self.commit_entered(bucket, batch).await
    }
}

/// A change that the catalogue follows, for as long as its commit is waited for.
pub(super) struct Following<'s> {
    changing: Changing<'s>,
    judged: &'s Judged,
    _turn: MutexGuard<'s, ()>,
}

/// What came in may have to be scanned.
impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.judged.tell_screen(self.changing.bucket);
    }
}

/// Turns of those who change objects that a catalogue follows, by the hash of the object's row.
pub(super) struct Turns([Mutex<()>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

/// The id at the end of a place, or of a file's row.
fn id_at(place: &[u8]) -> Result<FileId, Fault> {
    let id = place.last_chunk::<16>().map(|id| FileId::from_bytes(*id));
    id.ok_or_else(|| Fault::Corrupt("a row of a catalogue's index without an id".into()))
}

fn id_of(value: &[u8]) -> Result<FileId, Fault> {
    let bytes = value.try_into();
    let bytes = bytes.map_err(|_| Fault::Corrupt("a row of a catalogue that names no file".into()))?;
    Ok(FileId::from_bytes(bytes))
}

/// The object's row of a file.
pub(super) fn object_row(bucket: &BucketName, file: &File) -> Result<Key, Fault> {
    Ok(key::current(bucket, &object_key(file)?))
}

pub(super) fn object_key(file: &File) -> Result<ObjectKey, Fault> {
    ObjectKey::parse(file.key.clone()).map_err(|error| Fault::Corrupt(format!("the key of a file: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_order_they_were_made_in_whatever_the_clock_does() {
        let last = LastId::default();
        let times = [5, 5, 5, 4, 6, 6, 1];
        let ids: Vec<FileId> = times
            .into_iter()
            .zip((0..=255).rev())
            .map(|(millis, random)| last.next(Timestamp::from_millis(millis), [random; 10]))
            .collect();
        assert!(ids.is_sorted_by(|one, other| one < other), "{ids:?}");
    }

    #[test]
    fn ids_are_uuids_that_read_back_and_sort_by_their_time() {
        let ids: Vec<FileId> = (0..5)
            .map(|n| FileId::new(Timestamp::from_millis(1_700_000_000_000 + n), [255 - n as u8; 10]))
            .collect();
        assert!(ids.is_sorted());
        for id in ids {
            let text = id.to_string();
            assert_eq!(text.len(), 36);
            assert_eq!(
                (&text[14..15], matches!(&text[19..20], "8" | "9" | "a" | "b")),
                ("7", true)
            );
            assert_eq!(FileId::parse(&text), Some(id));
            assert_eq!(FileId::parse(&text.replace('-', "")), Some(id));
        }
        for wrong in [
            "",
            "x",
            "0190-",
            &"g".repeat(32),
            &"0".repeat(36),
            "01900000-0000-7000-8000-00000000000",
            "é".repeat(18).as_str(),
        ] {
            assert_eq!(FileId::parse(wrong), None, "{wrong}");
        }
    }
}
