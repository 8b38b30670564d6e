//! CreateMultipartUpload.

use crate::backend::{Batch, NewBody, Op, Put, Require};
use crate::store::bucket::GateClosed;
use crate::store::error::{CommitRefused, Fault, faults_from_below};
use crate::store::name::{BucketName, ObjectKey, UploadId};
use crate::store::record::Record;
use crate::store::record::labels::Labels;
use crate::store::record::object::{Metadata, MetadataTooLarge};
use crate::store::record::upload::{Upload, UploadChecksum, UploadState};
use crate::store::{Store, key};

#[derive(Clone, Debug)]
pub struct BeginUpload {
    pub bucket: BucketName,
    pub key: ObjectKey,
    /// What the finished object will say.
    pub metadata: Metadata,
    pub labels: Labels,
    /// What the account that begins it owns things under; `None`: root or nobody known.
    pub initiator: Option<String>,
    /// The checksum the finished object will have.
    pub checksum: Option<UploadChecksum>,
}

#[derive(Debug, thiserror::Error)]
pub enum BeginUploadError {
    #[error("no such bucket")]
    NoSuchBucket,
    /// The bucket was just being deleted; nothing was stored, and the same request may be sent again.
    #[error("the bucket is being deleted")]
    BucketBusy,
    #[error(transparent)]
    Metadata(#[from] MetadataTooLarge),
    #[error("{:?} checksums of type {:?} do not exist", .0.algorithm, .0.kind)]
    ChecksumType(UploadChecksum),
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(BeginUploadError);

impl From<GateClosed> for BeginUploadError {
    fn from(closed: GateClosed) -> Self {
        match closed {
            GateClosed::NoSuchBucket => Self::NoSuchBucket,
            GateClosed::Busy => Self::BucketBusy,
        }
    }
}

impl Store {
    /// Begins an upload and gives its id.
    pub async fn begin_upload(&self, begin: BeginUpload) -> Result<UploadId, BeginUploadError> {
        begin.metadata.check()?;
        if let Some(checksum) = begin
            .checksum
            .filter(|checksum| !checksum.algorithm.allows(checksum.kind))
        {
            return Err(BeginUploadError::ChecksumType(checksum));
        }
        let begun = self.now();
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|error| Fault::Internal(format!("no randomness: {error}")))?;
        let id = UploadId::new(begun, random);
        let row_key = key::upload(&begin.bucket, &begin.key, &id);
        let upload = Upload {
            begun,
            metadata: begin.metadata.normalized(),
            checksum: begin.checksum,
            state: UploadState::Open,
            labels: begin.labels,
            initiator: begin.initiator,
        };
        let put = Put {
            key: row_key.clone(),
            value: upload.to_value(),
            body: NewBody::None,
            parent_len: None,
        };
        let require = vec![self.is_open(&begin.bucket), Require::Absent(row_key)];
        match self
            .commit(Batch {
                require,
                ops: vec![Op::Put(put)],
            })
            .await
        {
            Ok(_) => Ok(id),
            Err(CommitRefused::Condition { index: 0, .. }) => Err(self.why_gate_closed(&begin.bucket).await?.into()),
            Err(refused @ CommitRefused::Condition { .. }) => Err(refused.into_fault().into()),
            Err(CommitRefused::Fault(fault)) => Err(fault.into()),
        }
    }
}
