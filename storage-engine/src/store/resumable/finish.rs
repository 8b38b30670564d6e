//! Finishing a resumable upload: its parts, or those of the uploads it is made of, become one object without being copied.
//!
//! One batch puts the object, deletes the piles that own the parts, and notes in the upload's row what came of it: asked
//! again, it answers the same. An object of up to 128 KiB is written anew, so that it rides in the log like any other.

use futures::TryFutureExt;
use md5::{Digest, Md5};

use crate::backend::{Batch, BlobClass, BodyRef, NewBody as RowBody, Op, Put, Require};
use crate::limits::{OBJECT_BYTES_MAX, SMALL_BODY_BYTES_MAX};
use crate::store::body::{ChecksumRequest, NewBody, take_in};
use crate::store::bucket::GateClosed;
use crate::store::condition::{WriteCondition, WriteRefused};
use crate::store::error::{Fault, TakeInError};
use crate::store::etag::ETag;
use crate::store::name::{BucketName, ObjectKey, UploadId};
use crate::store::object::put::DecideError;
use crate::store::quota::{OverQuota, SizedRefused};
use crate::store::record::Record;
use crate::store::record::labels::Labels;
use crate::store::record::object::Object;
use crate::store::record::resumable::{Done, Loose, Purpose, Resumable, Target};
use crate::store::resumable::merge::{StoredPart, fault_of_own_bytes};
use crate::store::resumable::writers::{Superseded, Turn};
use crate::store::resumable::{Open, ResumableError};
use crate::store::{RACES_MAX, Store, key};

/// Most parts of all the uploads that one is made of.
const JOINED_PARTS_MAX: usize = 50_000;

/// An upload that could not be finished. It stays as it was, unless this says [`Fault::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    #[error("no such bucket")]
    NoSuchBucket,
    /// The bucket was just being deleted; the same request may be sent again.
    #[error("the bucket is being deleted")]
    BucketBusy,
    #[error(transparent)]
    Upload(Box<ResumableError>),
    #[error("not all of its bytes are stored")]
    NotComplete,
    /// The uploads that it is made of have too many bytes together.
    #[error("the object would have more than {max} bytes")]
    TooLarge { max: u64 },
    #[error("the uploads it is made of have {parts} parts; at most {JOINED_PARTS_MAX} become one object")]
    TooManyParts { parts: usize },
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    /// There is an object under its key.
    #[error(transparent)]
    Refused(#[from] WriteRefused),
    #[error(transparent)]
    Fault(#[from] Fault),
}

crate::store::error::faults_from_below!(FinishError);

impl From<ResumableError> for FinishError {
    fn from(error: ResumableError) -> Self {
        match error {
            ResumableError::Fault(fault) => Self::Fault(fault),
            error => Self::Upload(Box::new(error)),
        }
    }
}

impl From<Superseded> for FinishError {
    fn from(superseded: Superseded) -> Self {
        ResumableError::from(superseded).into()
    }
}

impl From<GateClosed> for FinishError {
    fn from(closed: GateClosed) -> Self {
        match closed {
            GateClosed::NoSuchBucket => Self::NoSuchBucket,
            GateClosed::Busy => Self::BucketBusy,
        }
    }
}

impl From<DecideError> for FinishError {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Refused(refused) => Self::Refused(refused),
            DecideError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// What an object is made of.
struct Gathered<'b> {
    /// The uploads that the piles belong to, beside the one that is finished.
    partials: Vec<Open<'b>>,
    parts: Vec<StoredPart>,
}

impl Store {
    /// Finishes an upload that has all its bytes, and gives its row as it is then; a finished one is left as it is. Appending
    /// the last bytes does the same: this is for an upload of no bytes, one made of others, and one where it failed.
    pub async fn finish_resumable(&self, bucket: &BucketName, id: &UploadId) -> Result<Resumable, FinishError> {
        let (store, bucket, id) = (self.clone(), bucket.clone(), *id);
        let task = tokio::spawn(async move {
            store.open_resumable(&bucket, &id).await?;
            let _turn = Turn::take(&store, &id).await?;
            let mut open = store.open_resumable(&bucket, &id).await?;
            store.finish_complete(&mut open).await?;
            Ok(open.record)
        });
        task.await
            .unwrap_or_else(|error| Err(Fault::Internal(format!("finishing an upload: {error}")).into()))
    }

    /// Finishes an upload; the caller has the turn.
    pub(super) async fn finish_complete(&self, open: &mut Open<'_>) -> Result<(), FinishError> {
        if open.record.done.is_some() {
            return Ok(());
        }
        match open.record.purpose.clone() {
            Purpose::Object(_) | Purpose::Partial { .. } if !open.record.is_complete() => Err(FinishError::NotComplete),
            Purpose::Object(target) => {
                if open.record.offset > SMALL_BODY_BYTES_MAX as u64 {
                    self.make_joinable(open).await?;
                }
                self.put_finished(open, &target).await
            }
            Purpose::Partial { of } => {
                self.make_joinable(open).await?;
                if let Some(whole) = of {
                    self.finish_whole_later(open.bucket, whole);
                }
                Ok(())
            }
            Purpose::Final { target, .. } => self.put_finished(open, &target).await,
        }
    }

    /// Finishes what this was the last piece of. Where that fails, whoever asks for it next has it tried again.
    fn finish_whole_later(&self, bucket: &BucketName, whole: UploadId) {
        let (store, bucket) = (self.clone(), bucket.clone());
        tokio::spawn(async move {
            match store.finish_resumable(&bucket, &whole).await {
                Ok(_) | Err(FinishError::NotComplete) => {}
                Err(error) => tracing::debug!(%error, upload = %whole, "an upload made of others is not finished yet"),
            }
        });
    }

    async fn put_finished(&self, open: &mut Open<'_>, target: &Target) -> Result<(), FinishError> {
        let corrupt = |error| Fault::Corrupt(format!("the key of an upload's object: {error}"));
        let object_key = ObjectKey::parse(&target.key).map_err(corrupt)?;
        let row_key = key::current(open.bucket, &object_key);
        let condition = WriteCondition::if_none_match_any();
        for _ in 0..RACES_MAX {
            let gathered = self.gather_resumable(open).await?;
            let (body, size, etag) = self.body_of_parts(&gathered.parts).await?;
            let mut object = Object {
                size,
                etag,
                modified: self.now(),
                metadata: target.metadata.clone().normalized(),
                checksum: None,
                parts: None,
                upload: None,
                labels: Labels::default(),
            };
            let mut require = vec![self.is_open(open.bucket), Require::RevIs(open.row_key(), open.rev)];
            require.extend(
                gathered
                    .partials
                    .iter()
                    .map(|piece| Require::RevIs(piece.row_key(), piece.rev)),
            );
            require.extend(self.decide_write(&row_key, &condition).await?);
            require.extend(self.as_judged(&row_key));
            let (labels, unchanged) = self.settle_labels(&row_key, target.labels.clone()).await?;
            require.extend(unchanged);
            object.labels = labels;
            let (record, mut ops) = finished(open, &gathered.partials, &object);
            ops.push(Op::Put(Put {
                key: row_key.clone(),
                value: object.to_value(),
                body,
                parent_len: None,
            }));
            let batch = Batch { require, ops };
            match self.commit_sized(open.bucket, &row_key, size, batch).await {
                Ok(rev) => {
                    open.record = record;
                    open.rev = rev;
                    let piles = gathered.partials.iter().map(|piece| key::pile(piece.bucket, &piece.id));
                    self.sweep_parts_later(piles.chain([key::pile(open.bucket, &open.id)]).collect());
                    return Ok(());
                }
                // A body was written anew elsewhere.
                Err(SizedRefused::PartChanged) => {}
                Err(SizedRefused::Condition { index: 0, .. }) => {
                    return Err(self.why_gate_closed(open.bucket).await?.into());
                }
                Err(SizedRefused::Condition { index: 1, .. }) => return Err(ResumableError::NoSuchUpload.into()),
                Err(SizedRefused::Condition { .. }) if self.as_judged(&row_key).next().is_some() => break,
                Err(SizedRefused::Condition { .. }) => {}
                Err(SizedRefused::OverQuota(over)) => return Err(over.into()),
                Err(SizedRefused::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(WriteRefused::Conflict.into())
    }

    /// All parts that the object is made of, each upload complete.
    async fn gather_resumable<'b>(&self, open: &Open<'b>) -> Result<Gathered<'b>, FinishError> {
        let Purpose::Final { partials: ids, .. } = &open.record.purpose else {
            let parts = self.stored_parts(open, 0).await?;
            return Ok(Gathered {
                partials: Vec::new(),
                parts,
            });
        };
        let (mut partials, mut parts) = (Vec::with_capacity(ids.len()), Vec::new());
        for id in ids {
            let mut piece = self.open_resumable(open.bucket, id).await?;
            if !piece.record.is_complete() {
                return Err(FinishError::NotComplete);
            }
            // It was, when its last bytes came, unless that failed.
            self.make_joinable(&mut piece).await?;
            parts.extend(self.stored_parts(&piece, 0).await?);
            if parts.len() > JOINED_PARTS_MAX {
                return Err(FinishError::TooManyParts { parts: parts.len() });
            }
            partials.push(piece);
        }
        let max = open.record.size_max.unwrap_or(OBJECT_BYTES_MAX).min(OBJECT_BYTES_MAX);
        let size = partials
            .iter()
            .map(|piece| piece.record.offset)
            .fold(0, u64::saturating_add);
        if size > max {
            return Err(FinishError::TooLarge { max });
        }
        Ok(Gathered { partials, parts })
    }

    /// One body of all these, with its size and ETag.
    async fn body_of_parts(&self, parts: &[StoredPart]) -> Result<(RowBody, u64, ETag), Fault> {
        let size = parts.iter().map(|stored| stored.part.size).sum();
        let backend = self.inner.backend.as_ref();
        if size == 0 {
            return Ok((RowBody::None, 0, ETag::Md5(Md5::digest([]).into())));
        }
        if size <= SMALL_BODY_BYTES_MAX as u64 {
            let body = NewBody {
                source: self.bytes_of(parts),
                len: Some(size),
                content_md5: None,
                checksum: ChecksumRequest::None,
            };
            let taken = take_in(backend, BlobClass::Object, body).await;
            let (blob, digests) = taken.map_err(fault_of_own_bytes)?;
            return Ok((RowBody::Blob(blob), size, ETag::Md5(digests.md5)));
        }
        let bodies: Vec<BodyRef> = parts.iter().map(|stored| stored.body.clone()).collect();
        let joined = backend.join_blobs(&bodies).map_err(TakeInError::from).await;
        let blob = joined.map_err(fault_of_own_bytes)?;
        let etag = match parts {
            [only] => ETag::Md5(only.part.md5),
            parts => {
                let mut md5s = Md5::new();
                parts.iter().for_each(|stored| md5s.update(stored.part.md5));
                ETag::Multipart {
                    md5: md5s.finalize().into(),
                    parts: u16::try_from(parts.len()).unwrap_or(u16::MAX),
                }
            }
        };
        Ok((RowBody::Blob(blob), size, etag))
    }
}

/// The upload's row once it is finished, and the changes of rows that this takes beside the object's.
fn finished(open: &Open<'_>, partials: &[Open<'_>], object: &Object) -> (Resumable, Vec<Op>) {
    let record = Resumable {
        length: Some(object.size),
        offset: object.size,
        done: Some(Done {
            etag: object.etag,
            size: object.size,
            modified: object.modified,
        }),
        loose: Loose::default(),
        ..open.record.clone()
    };
    let mut ops = vec![open.put(&record), Op::Delete(key::pile(open.bucket, &open.id))];
    for piece in partials {
        ops.push(Op::Delete(piece.row_key()));
        ops.push(Op::Delete(key::pile(piece.bucket, &piece.id)));
    }
    (record, ops)
}
