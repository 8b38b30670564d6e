//! Looking whether records and bytes agree. Each change of one is one batch with the other, so they always should; this only
//! tells where they do not, and mends nothing.

use super::{File, FileId, FileState, FileVersion, id_at, object_key, object_row};
use crate::backend::{Key, Rev, Row};
use crate::limits::LIST_ITEMS_MAX;
use crate::store::error::Fault;
use crate::store::name::BucketName;
use crate::store::record::Record;
use crate::store::{Store, key};

/// Where a catalogue and what its bucket holds disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// The record says that bytes are there, at the file's key or in the trash, and they are not.
    NoBytes { file: FileId, state: FileState },
    /// A version of the file is told of, and its bytes are not there.
    NoVersionBytes { file: FileId },
    /// An object stands at this key, and no file has it.
    NoRecord { key: String },
}

impl Store {
    /// Goes through the records and the current objects of a bucket that keeps a catalogue, and tells where they disagree.
    /// It reads one row for each of them. What changes meanwhile is not told.
    pub async fn compare_catalogue(
        &self,
        bucket: &BucketName,
        tell: &mut (dyn FnMut(Disagreement) + Send),
    ) -> Result<(), Fault> {
        let mut start = key::files(bucket);
        while let Some((page, next)) = self.rows_under(&key::files(bucket), start).await? {
            for (row_key, row) in &page {
                let (id, file) = (id_at(row_key.as_bytes())?, File::from_value(&row.value)?);
                let Some(bytes) = row_of_bytes(bucket, &file)? else {
                    continue;
                };
                if self.lacks(&bytes, (row_key, row.rev)).await? {
                    let state = file.state;
                    tell(Disagreement::NoBytes { file: id, state });
                }
            }
            start = next;
        }
        self.compare_versions(bucket, tell).await?;
        self.compare_objects(bucket, tell).await
    }

    async fn compare_versions(
        &self,
        bucket: &BucketName,
        tell: &mut (dyn FnMut(Disagreement) + Send),
    ) -> Result<(), Fault> {
        let beginning = key::file_versions(bucket);
        let mut start = beginning.clone();
        while let Some((page, next)) = self.rows_under(&beginning, start).await? {
            for (row_key, row) in &page {
                FileVersion::from_value(&row.value)?;
                let names = row_key.as_bytes().strip_prefix(beginning.as_bytes());
                let named = names.and_then(|names| {
                    let (file, version) = names.split_first_chunk::<16>()?;
                    Some((FileId::from_bytes(*file), version.first_chunk::<16>()?))
                });
                let Some((id, version)) = named else {
                    return Err(Fault::Corrupt("a row of a version without its ids".into()));
                };
                // It goes with its file, whose key its bytes stand under.
                let has_bytes = match self.file(bucket, &id).await? {
                    Some((file, _)) => {
                        let kept = key::version(bucket, &object_key(&file)?, version);
                        !self.lacks(&kept, (row_key, row.rev)).await?
                    }
                    None => self.backend().get(row_key).await?.is_none(),
                };
                if !has_bytes {
                    tell(Disagreement::NoVersionBytes { file: id });
                }
            }
            start = next;
        }
        Ok(())
    }

    async fn compare_objects(
        &self,
        bucket: &BucketName,
        tell: &mut (dyn FnMut(Disagreement) + Send),
    ) -> Result<(), Fault> {
        let beginning = key::currents(bucket, "");
        let mut start = beginning.clone();
        while let Some((page, next)) = self.rows_under(&beginning, start).await? {
            for (row_key, row) in &page {
                let Some((_, name)) = key::parse_current(row_key) else {
                    return Err(Fault::Corrupt(format!("an object's row with the key {row_key:?}")));
                };
                let filed = self.filed(bucket, name).await?;
                let is_filed = filed.is_some_and(|filed| filed.file.state.has_bytes() && filed.file.key == name);
                if !is_filed && self.stands(row_key, row.rev).await? {
                    let key = name.to_owned();
                    tell(Disagreement::NoRecord { key });
                }
            }
            start = next;
        }
        Ok(())
    }

    /// A page of the rows under a beginning, and where the next page starts; `None`: there are no more.
    async fn rows_under(&self, beginning: &Key, start: Key) -> Result<Option<(Vec<(Key, Row)>, Key)>, Fault> {
        let Some(end) = beginning.after_prefix() else {
            return Ok(None);
        };
        let page = self.backend().scan(start..end, LIST_ITEMS_MAX).await?;
        let next = page.items.last().map(|(last, _)| last.successor());
        Ok(next.map(|next| (page.items, next)))
    }

    /// Whether a row is not there while the record that tells of it stands as it was read: both go together.
    async fn lacks(&self, told_of: &Key, (record, rev): (&Key, Rev)) -> Result<bool, Fault> {
        Ok(self.backend().get(told_of).await?.is_none() && self.stands(record, rev).await?)
    }

    async fn stands(&self, row: &Key, rev: Rev) -> Result<bool, Fault> {
        let now = self.backend().get(row).await?;
        Ok(now.is_some_and(|now| now.rev == rev))
    }
}

/// The row that has the bytes a record tells of, if it tells of any.
fn row_of_bytes(bucket: &BucketName, file: &File) -> Result<Option<Key>, Fault> {
    if file.state.has_bytes() {
        return object_row(bucket, file).map(Some);
    }
    let kept = |version| Ok(key::version(bucket, &object_key(file)?, &version));
    file.trash.map(kept).transpose()
}
