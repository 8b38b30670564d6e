//! GetObject and HeadObject: conditions, ranges and parts decided on one state of the row, its bytes streamed.

use std::ops::Range;

use futures::TryStreamExt;

use crate::backend::{BodyStream, ReadError};
use crate::store::checksum::Checksum;
use crate::store::clock::Timestamp;
use crate::store::condition::{ConditionHeader, ReadConditions, ReadVerdict};
use crate::store::error::{Fault, faults_from_below};
use crate::store::etag::ETag;
use crate::store::name::{BucketName, ObjectKey, PartNumber, VersionId};
use crate::store::object::Current;
use crate::store::record::Record;
use crate::store::record::object::{Object, Parts};
use crate::store::record::part_table::PartTable;
use crate::store::{RACES_MAX, Store, key};

/// Which bytes of an object are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    #[default]
    Whole,
    /// `bytes=first-` and `bytes=first-last`, both ends included.
    From { first: u64, last: Option<u64> },
    /// `bytes=-len`.
    Last { len: u64 },
    /// One of the parts the object was uploaded in; an object of one PUT has part 1.
    Part(PartNumber),
}

/// One GET or HEAD.
#[derive(Clone, Debug)]
pub struct GetObject {
    pub bucket: BucketName,
    pub key: ObjectKey,
    /// `None`: the current version.
    pub version: Option<VersionId>,
    pub selection: Selection,
    pub conditions: ReadConditions,
}

/// What a HEAD answers.
#[derive(Clone, Debug)]
pub struct ObjectHead {
    pub object: Object,
    /// The bytes selected; the whole object if nothing was.
    pub range: Range<u64>,
    /// Whether the answer is a part of the object: 206 and Content-Range.
    pub partial: bool,
    /// The selected part's own checksum, if a part was asked for and has one.
    pub part_checksum: Option<Checksum>,
}

/// What a GET answers. An error in the body ends it: never a clean short end.
pub struct ObjectRead {
    pub head: ObjectHead,
    pub body: BodyStream,
}

#[derive(Debug, thiserror::Error)]
pub enum GetObjectError {
    #[error("no such bucket")]
    NoSuchBucket,
    #[error("no such key")]
    NoSuchKey,
    #[error("no such version")]
    NoSuchVersion,
    /// It is no longer the one that was judged on: see [`Store::only_on`].
    #[error("the object changed meanwhile")]
    Changed,
    #[error("not modified")]
    NotModified { etag: ETag, modified: Timestamp },
    #[error("a precondition does not hold")]
    PreconditionFailed(ConditionHeader),
    #[error("the range is not within the {size} bytes of the object")]
    RangeNotSatisfiable { size: u64 },
    #[error("the object has only {count} parts")]
    NoSuchPart { count: usize },
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(GetObjectError);

impl Store {
    /// What is known about an object, under conditions, with the range or part selected.
    pub async fn head_object(&self, get: &GetObject) -> Result<ObjectHead, GetObjectError> {
        Ok(self.look_up(get).await?.0)
    }

    /// An object's bytes. A row that is replaced between the look and the read is looked at again.
    pub async fn get_object(&self, get: &GetObject) -> Result<ObjectRead, GetObjectError> {
        for _ in 0..RACES_MAX {
            let (head, current) = self.look_up(get).await?;
            match self.read_range(&current, head.range.clone()).await {
                Ok(body) => return Ok(ObjectRead { head, body }),
                Err(ReadError::Gone) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ReadError::Gone.into())
    }

    /// The parts of a multipart object with their numbers, sizes and checksums; `None` for an object of one PUT.
    pub async fn object_parts(&self, get: &GetObject) -> Result<(Object, Option<PartTable>), GetObjectError> {
        for _ in 0..RACES_MAX {
            let current = self.find(get).await?;
            match self.part_table(&current).await {
                Ok(table) => return Ok((current.object, table)),
                Err(TableError::Gone) => {}
                Err(TableError::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(ReadError::Gone.into())
    }

    async fn find(&self, get: &GetObject) -> Result<Current, GetObjectError> {
        let current = self.current(&key::current(&get.bucket, &get.key)).await?;
        let missing = match get.version {
            None => GetObjectError::NoSuchKey,
            Some(VersionId::Null) if current.is_none() => GetObjectError::NoSuchVersion,
            Some(VersionId::Null) => GetObjectError::NoSuchKey,
            // No bucket has versions yet.
            Some(VersionId::Id(_)) => return Err(self.absent(get, GetObjectError::NoSuchVersion).await),
        };
        match current {
            Some(current) => Ok(current),
            None => Err(self.absent(get, missing).await),
        }
    }

    async fn absent(&self, get: &GetObject, missing: GetObjectError) -> GetObjectError {
        match self.bucket_exists(&get.bucket).await {
            Ok(true) => missing,
            Ok(false) => GetObjectError::NoSuchBucket,
            Err(fault) => fault.into(),
        }
    }

    async fn look_up(&self, get: &GetObject) -> Result<(ObjectHead, Current), GetObjectError> {
        for _ in 0..RACES_MAX {
            let current = self.find(get).await?;
            if self.is_another(&key::current(&get.bucket, &get.key), Some(current.rev)) {
                return Err(GetObjectError::Changed);
            }
            let object = &current.object;
            match get.conditions.decide(&object.etag, object.modified) {
                ReadVerdict::Proceed => {}
                ReadVerdict::NotModified(_) => {
                    return Err(GetObjectError::NotModified {
                        etag: object.etag,
                        modified: object.modified,
                    });
                }
                ReadVerdict::PreconditionFailed(header) => return Err(GetObjectError::PreconditionFailed(header)),
            }
            let (range, part_checksum) = match get.selection {
                Selection::Part(number) => match self.select_part(&current, number).await {
                    Ok(selected) => selected,
                    Err(SelectPartError::Gone) => continue,
                    Err(SelectPartError::Get(error)) => return Err(error),
                },
                selection => (select(selection, object.size)?, None),
            };
            let partial = get.selection != Selection::Whole;
            let head = ObjectHead {
                object: current.object.clone(),
                range,
                partial,
                part_checksum,
            };
            return Ok((head, current));
        }
        Err(ReadError::Gone.into())
    }

    async fn select_part(
        &self,
        current: &Current,
        number: PartNumber,
    ) -> Result<(Range<u64>, Option<Checksum>), SelectPartError> {
        let no_such_part = |count| Err(SelectPartError::Get(GetObjectError::NoSuchPart { count }));
        match self.part_table(current).await {
            Ok(Some(table)) => match table.find(number) {
                Some((start, part)) => Ok((start..start + part.size, part.checksum)),
                None => no_such_part(table.parts.len()),
            },
            Ok(None) if number.get() == 1 => Ok((0..current.object.size, None)),
            Ok(None) => no_such_part(1),
            Err(TableError::Gone) => Err(SelectPartError::Gone),
            Err(TableError::Fault(fault)) => Err(SelectPartError::Get(fault.into())),
        }
    }

    async fn part_table(&self, current: &Current) -> Result<Option<PartTable>, TableError> {
        let len = match &current.object.parts {
            None => return Ok(None),
            Some(Parts::Inline(table)) => return Ok(Some(table.clone())),
            Some(Parts::InBody { len, .. }) => u64::from(*len),
        };
        let start = current.object.size;
        let mut stream = self.read_range(current, start..start + len).await?;
        let mut value = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            value.extend_from_slice(&chunk);
        }
        Ok(Some(PartTable::from_value(&value).map_err(Fault::from)?))
    }

    pub(in crate::store) async fn read_range(
        &self,
        current: &Current,
        range: Range<u64>,
    ) -> Result<BodyStream, ReadError> {
        match &current.body {
            _ if range.is_empty() => Ok(Box::pin(futures::stream::empty())),
            Some(body) => self.inner.backend.get_blob(body, range).await,
            None => Err(ReadError::Corrupt("an object row without its body".into())),
        }
    }
}

enum SelectPartError {
    Gone,
    Get(GetObjectError),
}

/// A part table that could not be read; `Gone`: its object was replaced meanwhile.
enum TableError {
    Gone,
    Fault(Fault),
}

impl From<ReadError> for TableError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Gone => Self::Gone,
            ReadError::Unavailable(_) | ReadError::Corrupt(_) => Self::Fault(error.into()),
        }
    }
}

impl From<Fault> for TableError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The bytes that a range selects of an object of `size` bytes.
fn select(selection: Selection, size: u64) -> Result<Range<u64>, GetObjectError> {
    let unsatisfiable = Err(GetObjectError::RangeNotSatisfiable { size });
    match selection {
        Selection::Whole | Selection::Part(_) => Ok(0..size),
        Selection::From { first, last } if first >= size || last.is_some_and(|last| last < first) => unsatisfiable,
        Selection::From { first, last } => Ok(first..last.map_or(size, |last| last.saturating_add(1).min(size))),
        Selection::Last { len } if len == 0 || size == 0 => unsatisfiable,
        Selection::Last { len } => Ok(size.saturating_sub(len)..size),
    }
}
