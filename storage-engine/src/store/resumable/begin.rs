//! Beginning a resumable upload, also one that is made of others.

use std::collections::HashSet;

use crate::backend::{Batch, NewBody, Op, Put, Require};
use crate::limits::{OBJECT_BYTES_MAX, PARTIALS_MAX, SAID_BYTES_MAX};
use crate::store::bucket::GateClosed;
use crate::store::clock::Timestamp;
use crate::store::error::{CommitRefused, Fault, faults_from_below};
use crate::store::name::{BucketName, NameError, ObjectKey, UploadId};
use crate::store::quota::{NoRoom, OverQuota};
use crate::store::record::object::MetadataTooLarge;
use crate::store::record::resumable::{Loose, Purpose, Resumable};
use crate::store::resumable::{Open, ResumableError};
use crate::store::{Store, key};

#[derive(Clone, Debug)]
pub struct BeginResumable {
    pub bucket: BucketName,
    /// What it becomes. A piece is begun without another upload; an object made of others, with uploads that are pieces.
    pub purpose: Purpose,
    /// What the account that begins it owns things under; `None`: root or nobody known.
    pub owner: Option<String>,
    /// Bytes it will have; `None`: not known yet. Nothing may be said of one that is made of others.
    pub length: Option<u64>,
    /// Most bytes it may have; `None`: as many as an object.
    pub size_max: Option<u64>,
    /// How long it lives after it was written to, in milliseconds.
    pub life_ms: u64,
    /// What the client said of it, handed back.
    pub said: String,
}

#[derive(Debug, thiserror::Error)]
pub enum BeginResumableError {
    #[error("no such bucket")]
    NoSuchBucket,
    /// The bucket was just being deleted; nothing was stored, and the same request may be sent again.
    #[error("the bucket is being deleted")]
    BucketBusy,
    #[error("the key of the object: {0}")]
    Key(#[from] NameError),
    #[error(transparent)]
    Metadata(#[from] MetadataTooLarge),
    #[error("{bytes} bytes are said of the upload; at most {SAID_BYTES_MAX} are kept")]
    Said { bytes: usize },
    #[error("an upload may have {max} bytes")]
    TooLarge { max: u64 },
    #[error("an upload is made of 1 to {PARTIALS_MAX} others")]
    HowMany,
    #[error("the upload {0} is named twice")]
    Twice(UploadId),
    /// Not there, no piece, or a piece of another one already.
    #[error("no object can be made of the upload {0}")]
    NoPiece(UploadId),
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(BeginResumableError);

impl From<NoRoom> for BeginResumableError {
    fn from(none: NoRoom) -> Self {
        match none {
            NoRoom::OverQuota(over) => Self::OverQuota(over),
            NoRoom::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<GateClosed> for BeginResumableError {
    fn from(closed: GateClosed) -> Self {
        match closed {
            GateClosed::NoSuchBucket => Self::NoSuchBucket,
            GateClosed::Busy => Self::BucketBusy,
        }
    }
}

impl Store {
    /// Begins an upload and gives its id and its row. Not finished by this, even if it has no byte to wait for.
    pub async fn begin_resumable(&self, begin: BeginResumable) -> Result<(UploadId, Resumable), BeginResumableError> {
        self.check_begin(&begin).await?;
        let begun = self.now();
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|error| Fault::Internal(format!("no randomness: {error}")))?;
        let id = UploadId::new(begun, random);
        let bucket = &begin.bucket;
        let (row_key, pile) = (key::resumable(bucket, &id), key::pile(bucket, &id));
        let mut require = vec![self.is_open(bucket), Require::Absent(row_key.clone())];
        let mut ops = Vec::new();
        match &begin.purpose {
            Purpose::Object(_) | Purpose::Partial { .. } => ops.push(row(pile, bytes::Bytes::new())),
            Purpose::Final { partials, .. } => {
                for partial in self.pieces(bucket, partials).await? {
                    require.push(Require::RevIs(partial.row_key(), partial.rev));
                    ops.push(partial.put(&Resumable {
                        purpose: Purpose::Partial { of: Some(id) },
                        ..partial.record.clone()
                    }));
                }
            }
        }
        let record = Resumable {
            begun,
            purpose: begin.purpose,
            owner: begin.owner,
            length: begin.length,
            size_max: begin.size_max,
            offset: 0,
            life_ms: begin.life_ms,
            expires: Timestamp::from_millis(begun.millis().saturating_add(begin.life_ms)),
            next_part: 1,
            said: begin.said,
            done: None,
            loose: Loose {
                from: 1,
                ..Loose::default()
            },
        };
        let open = Open {
            bucket,
            id,
            record,
            rev: crate::backend::Rev(0),
        };
        ops.push(open.put(&open.record));
        match self.commit(Batch { require, ops }).await {
            Ok(_) => Ok((id, open.record)),
            Err(CommitRefused::Condition { index: 0, .. }) => Err(self.why_gate_closed(bucket).await?.into()),
            Err(refused @ CommitRefused::Condition { .. }) => Err(refused.into_fault().into()),
            Err(CommitRefused::Fault(fault)) => Err(fault.into()),
        }
    }

    async fn check_begin(&self, begin: &BeginResumable) -> Result<(), BeginResumableError> {
        let max = begin.size_max.unwrap_or(OBJECT_BYTES_MAX).min(OBJECT_BYTES_MAX);
        if begin.length.is_some_and(|length| length > max) {
            return Err(BeginResumableError::TooLarge { max });
        }
        if begin.said.len() > SAID_BYTES_MAX {
            let bytes = begin.said.len();
            return Err(BeginResumableError::Said { bytes });
        }
        let target = match &begin.purpose {
            Purpose::Object(target) | Purpose::Final { target, .. } => target,
            Purpose::Partial { .. } => return Ok(()),
        };
        target.metadata.check()?;
        let object_key = ObjectKey::parse(&target.key)?;
        if let Some(length) = begin.length {
            let row_key = key::current(&begin.bucket, &object_key);
            self.look_for_room(&begin.bucket, &row_key, length).await?;
        }
        Ok(())
    }

    /// The uploads that one is to be made of, in this order.
    async fn pieces<'b>(
        &self,
        bucket: &'b BucketName,
        partials: &[UploadId],
    ) -> Result<Vec<Open<'b>>, BeginResumableError> {
        if partials.is_empty() || partials.len() > PARTIALS_MAX {
            return Err(BeginResumableError::HowMany);
        }
        let (mut seen, mut pieces) = (HashSet::new(), Vec::with_capacity(partials.len()));
        for id in partials {
            if !seen.insert(*id) {
                return Err(BeginResumableError::Twice(*id));
            }
            let open = match self.open_resumable(bucket, id).await {
                Ok(open) => open,
                Err(ResumableError::Fault(fault)) => return Err(fault.into()),
                Err(_) => return Err(BeginResumableError::NoPiece(*id)),
            };
            if open.record.purpose != (Purpose::Partial { of: None }) {
                return Err(BeginResumableError::NoPiece(*id));
            }
            pieces.push(open);
        }
        Ok(pieces)
    }
}

fn row(key: crate::backend::Key, value: bytes::Bytes) -> Op {
    Op::Put(Put {
        key,
        value,
        body: NewBody::None,
        parent_len: None,
    })
}
