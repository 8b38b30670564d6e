//! What a file was: the bytes that others took the place of, kept for a while and brought back.
//!
//! Owns the two rows of a version: one beside the file that says what it was, and the noncurrent version of the key that has
//! its bytes. A file has few of them, and they go with it. The file's record says how many bytes they have together: so much
//! they count for the quotas of files, and nothing for that of the bucket.

use std::fmt;

use super::trash::{Step, moved, version_at};
use super::{File, FileError, FileId, FileState, FileVersion, object_key, object_row};
use crate::backend::{Batch, Key, NewBody, Op, Put, Require, Rev, Row};
use crate::limits::FILE_VERSIONS_MAX;
use crate::store::clock::Timestamp;
use crate::store::error::Fault;
use crate::store::name::BucketName;
use crate::store::quota::SizedRefused;
use crate::store::record::Record;
use crate::store::record::labels::Labels;
use crate::store::record::object::Object;
use crate::store::{RACES_MAX, Store, key};

/// Names a version of a file. The newest sorts first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileVersionId([u8; 16]);

impl FileVersionId {
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(number.to_be_bytes()))
    }

    /// The millisecond it is told apart by.
    fn millis(self) -> u64 {
        let [time @ .., _, _, _, _, _, _, _, _] = self.0;
        u64::MAX - u64::from_be_bytes(time)
    }
}

impl fmt::Display for FileVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for FileVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileVersionId({self})")
    }
}

/// A version, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplacedVersion {
    pub file: FileId,
    pub version: FileVersionId,
    pub replaced: Timestamp,
}

impl Store {
    /// What a file was, the newest first.
    pub async fn file_versions(
        &self,
        bucket: &BucketName,
        id: &FileId,
    ) -> Result<Vec<(FileVersionId, FileVersion)>, Fault> {
        let rows = self.version_rows(bucket, id).await?;
        rows.into_iter()
            .map(|(version, row)| Ok((version, FileVersion::from_value(&row.value)?)))
            .collect()
    }

    /// Versions of all files of a bucket, file by file; behind `after` if it says so.
    pub async fn replaced_versions(
        &self,
        bucket: &BucketName,
        after: Option<&ReplacedVersion>,
        limit: usize,
    ) -> Result<Vec<ReplacedVersion>, Fault> {
        let beginning = key::file_versions(bucket);
        let Some(end) = beginning.after_prefix() else {
            return Ok(Vec::new());
        };
        let start = after.map_or_else(
            || beginning.clone(),
            |after| key::file_version(bucket, after.file.as_bytes(), &after.version.0).successor(),
        );
        let page = self.inner.backend.scan(start..end, limit).await?;
        let found = page.items.iter().map(|(row_key, row)| {
            let names = row_key.as_bytes().strip_prefix(beginning.as_bytes());
            let (file, version) = names
                .and_then(|names| names.split_at_checked(16))
                .ok_or_else(misnamed)?;
            Ok(ReplacedVersion {
                file: FileId::from_bytes(file.try_into().map_err(|_| misnamed())?),
                version: version_id(version)?,
                replaced: FileVersion::from_value(&row.value)?.replaced,
            })
        });
        found.collect()
    }

    /// Makes a file what it was: the version changes places with the bytes that stand there, which become one in turn. What
    /// is said of the file, and who may see it, stays. Links that were given out before open it no more.
    pub async fn restore_file_version(
        &self,
        bucket: &BucketName,
        id: FileId,
        version: FileVersionId,
        judged: Option<Rev>,
    ) -> Result<File, FileError> {
        for _ in 0..RACES_MAX {
            let (before, rev) = self.file_as_judged(bucket, id, judged).await?;
            if !before.state.has_bytes() {
                return Err(FileError::State(before.state));
            }
            let said_key = key::file_version(bucket, id.as_bytes(), &version.0);
            let said = self.inner.backend.get(&said_key).await?;
            let said = said.ok_or(FileError::NoSuchVersion)?;
            let was = FileVersion::from_value(&said.value).map_err(Fault::from)?;
            let kept = key::version(bucket, &object_key(&before)?, &version.0);
            let row_key = object_row(bucket, &before)?;
            let (Some(old), Some(present)) = (self.current(&kept).await?, self.current(&row_key).await?) else {
                continue;
            };
            let now = self.now();
            let object = Object {
                modified: now,
                labels: Labels {
                    held: old.object.labels.held,
                    barred: old.object.labels.barred,
                    ..present.object.labels
                },
                ..old.object
            };
            let mut after = before.clone();
            was.put_back(&mut after);
            (after.received, after.updated) = (Some(now), now);
            after.epoch = after.epoch.wrapping_add(1);
            after.state = FileState::of_labels(&object.labels);
            after.labels.barred = object.labels.barred;
            let Kept {
                batch: Batch { mut require, mut ops },
                bytes,
            } = self.keep_version(bucket, (id, &before), Some(version)).await?;
            after.kept = bytes;
            require.push(Require::RevIs(kept.clone(), old.rev));
            require.push(Require::RevIs(said_key.clone(), said.rev));
            ops.extend([
                Op::Put(Put {
                    key: row_key,
                    value: object.to_value(),
                    body: old.body.map_or(NewBody::None, |_| NewBody::Moved(kept.clone())),
                    parent_len: None,
                }),
                Op::Delete(kept),
                Op::Delete(said_key),
            ]);
            let step = Step {
                before,
                rev,
                after: Some(after.clone()),
                require,
                ops,
                size: Some(object.size),
            };
            if self.take_step(bucket, id, step, judged).await? {
                return Ok(after);
            }
        }
        Err(Fault::Unavailable("the file changed again and again".into()).into())
    }

    /// Takes a version of a file away for good, with its bytes.
    pub async fn remove_file_version(
        &self,
        bucket: &BucketName,
        id: FileId,
        version: FileVersionId,
    ) -> Result<(), FileError> {
        for _ in 0..RACES_MAX {
            let (before, rev) = self.file(bucket, &id).await?.ok_or(FileError::NoSuchFile)?;
            let [said, kept] = rows_of(bucket, id, &before, version)?;
            let versions = self.version_rows(bucket, &id).await?;
            if !versions.iter().any(|(known, _)| *known == version) {
                return Err(FileError::NoSuchVersion);
            }
            let left = versions.iter().filter(|(known, _)| *known != version);
            let after = File {
                kept: bytes_of(left.map(|(_, row)| row)),
                ..before.clone()
            };
            let mut ops = self.file_ops(bucket, id, Some(&before), Some(&after)).await?;
            ops.extend([Op::Delete(said.clone()), Op::Delete(kept)]);
            let batch = Batch {
                require: vec![
                    Require::RevIs(key::file(bucket, id.as_bytes()), rev),
                    Require::Present(said),
                ],
                ops,
            };
            match self.commit_counted(bucket, &[], batch).await {
                Ok(_) => return Ok(()),
                Err(SizedRefused::Condition { .. }) => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        Err(Fault::Unavailable("the file changed again and again".into()).into())
    }

    /// Bytes of all versions of a file once others are put in the place of those that it has.
    pub(in crate::store) async fn kept_when_replaced(
        &self,
        bucket: &BucketName,
        id: FileId,
        file: &File,
    ) -> Result<u64, Fault> {
        Ok(self.keep_version(bucket, (id, file), None).await?.bytes)
    }

    /// What keeps the bytes that stand at the key of a file when the batch puts others there: they become a version, and the
    /// oldest one gives way if there are too many. `restored` is about to go anyway. The batch must require the file's
    /// record as it was read: that is what makes the changes of a file's versions one sequence.
    pub(super) async fn keep_version(
        &self,
        bucket: &BucketName,
        (id, file): (FileId, &File),
        restored: Option<FileVersionId>,
    ) -> Result<Kept, Fault> {
        let mut batch = Batch::default();
        let row_key = object_row(bucket, file)?;
        let unchanged = Kept {
            batch: Batch::default(),
            bytes: file.kept,
        };
        if !file.state.has_bytes() {
            return Ok(unchanged);
        }
        let Some(present) = self.current(&row_key).await? else {
            return Ok(unchanged);
        };
        let versions = self.version_rows(bucket, &id).await?;
        let now = self.now();
        // Told apart from the one before, also within a millisecond and when the clock goes back.
        let newest = versions.first().map_or(0, |(newest, _)| newest.millis() + 1);
        let version = FileVersionId(version_at(now.max(Timestamp::from_millis(newest)))?);
        let [said, kept] = rows_of(bucket, id, file, version)?;
        batch.require.push(Require::RevIs(row_key.clone(), present.rev));
        batch.ops.push(Op::Put(Put {
            key: said,
            value: FileVersion::of(file, now).to_value(),
            body: NewBody::None,
            parent_len: None,
        }));
        batch.ops.push(moved(kept, row_key, &present));
        let mut others = versions;
        others.retain(|(version, _)| Some(*version) != restored);
        let most = others.len().min(FILE_VERSIONS_MAX - 1);
        for (old, _) in others.split_off(most) {
            batch.ops.extend(rows_of(bucket, id, file, old)?.map(Op::Delete));
        }
        let bytes = bytes_of(others.iter().map(|(_, row)| row)).saturating_add(file.size);
        Ok(Kept { batch, bytes })
    }

    /// What takes every version of a file away. The batch must require the file's record as it was read.
    pub(super) async fn without_versions(&self, bucket: &BucketName, id: FileId, file: &File) -> Result<Batch, Fault> {
        let mut batch = Batch::default();
        for (version, _) in self.version_rows(bucket, &id).await? {
            batch.ops.extend(rows_of(bucket, id, file, version)?.map(Op::Delete));
        }
        Ok(batch)
    }

    /// The rows that say what a file was, the newest first; not read, since what cannot be read can be taken away.
    async fn version_rows(&self, bucket: &BucketName, id: &FileId) -> Result<Vec<(FileVersionId, Row)>, Fault> {
        let beginning = key::file_versions_of(bucket, id.as_bytes());
        let Some(end) = beginning.after_prefix() else {
            return Ok(Vec::new());
        };
        // One more than there ever are: none is missed after the limit was lowered by a few.
        let page = self
            .inner
            .backend
            .scan(beginning.clone()..end, 4 * FILE_VERSIONS_MAX)
            .await?;
        let named = page.items.into_iter().map(|(row_key, row)| {
            let name = row_key.as_bytes().strip_prefix(beginning.as_bytes());
            Ok((version_id(name.unwrap_or_default())?, row))
        });
        named.collect()
    }
}

/// What keeps bytes as a version.
pub(super) struct Kept {
    pub(super) batch: Batch,
    /// Of all versions of the file then.
    pub(super) bytes: u64,
}

/// Bytes of these versions; of one that cannot be read, none.
fn bytes_of<'r>(rows: impl Iterator<Item = &'r Row>) -> u64 {
    let sizes = rows.map(|row| FileVersion::from_value(&row.value).map_or(0, |was| was.size));
    sizes.fold(0, u64::saturating_add)
}

/// The row that says what the file was, and the one with its bytes.
fn rows_of(bucket: &BucketName, id: FileId, file: &File, version: FileVersionId) -> Result<[Key; 2], Fault> {
    let said = key::file_version(bucket, id.as_bytes(), &version.0);
    Ok([said, key::version(bucket, &object_key(file)?, &version.0)])
}

fn version_id(name: &[u8]) -> Result<FileVersionId, Fault> {
    name.try_into().map(FileVersionId).map_err(|_| misnamed())
}

fn misnamed() -> Fault {
    Fault::Corrupt("a row of a catalogue that names no version of a file".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_versions_read_back_and_the_newest_sorts_first() {
        let at = |millis| FileVersionId(version_at(Timestamp::from_millis(millis)).unwrap());
        let (old, new) = (at(1_700_000_000_000), at(1_700_000_000_001));
        assert!(new < old);
        assert_eq!((old.millis(), new.millis()), (1_700_000_000_000, 1_700_000_000_001));
        assert_eq!(FileVersionId::parse(&old.to_string()), Some(old));
        for wrong in ["", "x", "current", &"g".repeat(32), &"0".repeat(33), &"+".repeat(32)] {
            assert_eq!(FileVersionId::parse(wrong), None, "{wrong}");
        }
    }
}
