//! Appending to a resumable upload: what arrives is stored, also when the client breaks off.
//!
//! It runs in a task of its own, so that what arrived is stored whether or not the caller stays. A long body is stored in
//! parts as it goes, each durable before the next. A body with a digest is one part, stored as a whole or not at all.

use crate::backend::{Batch, BlobClass, BodySource, NewBody as RowBody, Op, Put, Require};
use crate::limits::{PUT_BYTES_MAX, SMALL_BODY_BYTES_MAX};
use crate::store::body::{ChecksumRequest, NewBody, take_in};
use crate::store::checksum::{Checksum, ChecksumAlgorithm};
use crate::store::clock::Timestamp;
use crate::store::error::{BodyError, CommitRefused, Fault, TakeInError};
use crate::store::hashing::Digests;
use crate::store::name::{BucketName, ObjectKey, UploadId};
use crate::store::quota::{NoRoom, OverQuota};
use crate::store::record::Record;
use crate::store::record::resumable::{AppendedPart, Purpose, Resumable};
use crate::store::resumable::arriving::{Arriving, Broken};
use crate::store::resumable::finish::FinishError;
use crate::store::resumable::writers::{Superseded, Turn};
use crate::store::resumable::{Open, ResumableError, merge, most_bytes};
use crate::store::{Store, key};

/// More bytes for an upload.
pub struct Append {
    pub bucket: BucketName,
    pub upload: UploadId,
    /// Where they belong: how many the upload has so far.
    pub offset: u64,
    pub body: BodySource<'static>,
    /// How many they are, if that is declared.
    pub len: Option<u64>,
    pub digest: DigestRequest,
    /// The upload has all its bytes once this body has ended cleanly.
    pub last: bool,
}

/// What the digest of the bytes must be; if it is another one, none of them is stored.
pub enum DigestRequest {
    None,
    Is(BodyDigest),
    /// Whoever sees the bytes pass knows it when the body has ended, as with a trailer: asked once whether they are right.
    Judged(Box<dyn FnOnce() -> bool + Send>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyDigest {
    Md5([u8; 16]),
    Checksum(Checksum),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The upload as it is now; it says whether it is finished.
    pub upload: Resumable,
    /// The body broke off; what arrived of it is stored.
    pub broken_off: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error(transparent)]
    Upload(#[from] ResumableError),
    #[error("the upload has {stored} bytes so far, not {given}")]
    Offset { stored: u64, given: u64 },
    /// It has all its bytes.
    #[error("the upload is complete")]
    Complete,
    /// It is made of other uploads.
    #[error("nothing is appended to an upload that is made of others")]
    MadeOfOthers,
    #[error("the upload may have {max} bytes")]
    TooLarge { max: u64 },
    /// It ended and has fewer bytes than the upload was said to have. They are stored.
    #[error("the upload ended with {stored} of {length} bytes")]
    Short { stored: u64, length: u64 },
    /// None of the bytes is stored.
    #[error("the bytes are not those of the digest given")]
    Digest,
    /// It broke off, so that its digest cannot be told. None of its bytes is stored.
    #[error("the body broke off before its digest was known")]
    BrokenOff,
    #[error(transparent)]
    OverQuota(OverQuota),
    /// All bytes are stored; the object could not be made of them. It is tried again by whoever asks for the upload.
    #[error("finishing the upload: {0}")]
    Finish(#[from] FinishError),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<NoRoom> for AppendError {
    fn from(none: NoRoom) -> Self {
        match none {
            NoRoom::OverQuota(over) => Self::OverQuota(over),
            NoRoom::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<Superseded> for AppendError {
    fn from(superseded: Superseded) -> Self {
        Self::Upload(superseded.into())
    }
}

impl DigestRequest {
    /// What is computed beside the MD5.
    fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        match self {
            Self::Is(BodyDigest::Checksum(checksum)) => Some(checksum.algorithm()),
            Self::None | Self::Is(BodyDigest::Md5(_)) | Self::Judged(_) => None,
        }
    }

    fn holds(self, found: &Digests) -> bool {
        match self {
            Self::None => true,
            Self::Is(BodyDigest::Md5(md5)) => md5 == found.md5,
            Self::Is(BodyDigest::Checksum(checksum)) => found.checksum == Some(checksum),
            Self::Judged(judge) => judge(),
        }
    }
}

impl Store {
    /// Appends to an upload, after ending whoever appends to it now. All that is answered is durable. An upload that has
    /// all its bytes by this is finished.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let store = self.clone();
        let task = tokio::spawn(async move { store.append_in_turn(append).await });
        task.await
            .unwrap_or_else(|error| Err(Fault::Internal(format!("appending to an upload: {error}")).into()))
    }

    async fn append_in_turn(&self, append: Append) -> Result<Appended, AppendError> {
        // Nobody is ended for the sake of an upload that is not there.
        self.open_resumable(&append.bucket, &append.upload).await?;
        let turn = Turn::take(self, &append.upload).await?;
        let mut open = self.open_resumable(&append.bucket, &append.upload).await?;
        let with_digest = !matches!(append.digest, DigestRequest::None);
        let room = self.check_append(&open, append.offset, append.len, with_digest).await?;
        let mut arriving = Arriving::new(append.body, turn.superseded(), room);
        match append.digest {
            DigestRequest::None => self.store_as_it_comes(&mut open, &mut arriving).await?,
            digest => self.store_whole(&mut open, &mut arriving, digest).await?,
        }
        let broken_off = match arriving.broken() {
            None => false,
            Some(Broken::Superseded) => return Err(ResumableError::Superseded.into()),
            Some(Broken::Source(error)) => {
                tracing::debug!(%error, offset = open.record.offset, "an upload broke off");
                true
            }
            Some(Broken::Overlong) => {
                let max = most_bytes(&open.record);
                return Err(AppendError::TooLarge { max });
            }
        };
        if append.last && !broken_off {
            self.end_here(&mut open).await?;
        }
        if open.record.is_complete() {
            self.finish_complete(&mut open).await?;
        }
        Ok(Appended {
            upload: open.record,
            broken_off,
        })
    }

    /// Gives how many bytes the upload may still get.
    async fn check_append(
        &self,
        open: &Open<'_>,
        offset: u64,
        len: Option<u64>,
        with_digest: bool,
    ) -> Result<u64, AppendError> {
        let record = &open.record;
        if let Purpose::Final { .. } = record.purpose {
            return Err(AppendError::MadeOfOthers);
        }
        if offset != record.offset {
            return Err(AppendError::Offset {
                stored: record.offset,
                given: offset,
            });
        }
        if record.done.is_some() {
            return Err(AppendError::Complete);
        }
        let max = most_bytes(record);
        let room = max.saturating_sub(record.offset);
        if len.is_some_and(|len| len > room || (with_digest && len > PUT_BYTES_MAX)) {
            return Err(AppendError::TooLarge { max });
        }
        if let (Some(target), Some(len)) = (record.target(), len) {
            let object_key = ObjectKey::parse(&target.key).map_err(|error| Fault::Corrupt(error.to_string()))?;
            let row_key = key::current(open.bucket, &object_key);
            self.look_for_room(open.bucket, &row_key, record.offset + len).await?;
        }
        Ok(room)
    }

    /// Stores part after part until nothing more comes.
    async fn store_as_it_comes(&self, open: &mut Open<'_>, arriving: &mut Arriving) -> Result<(), AppendError> {
        loop {
            let (class, there) = look_at(arriving).await;
            if there == 0 {
                return Ok(());
            }
            let part = arriving.part(merge::part_bytes(open.record.offset));
            let (blob, digests) = self.take_part(class, part, None).await?;
            // What came with more than may come is no part of it.
            if let Some(Broken::Overlong) = arriving.broken() {
                return Ok(());
            }
            self.put_part(open, class, blob, &digests).await?;
        }
    }

    /// Stores one part, if all of it comes and it is what it is said to be.
    async fn store_whole(
        &self,
        open: &mut Open<'_>,
        arriving: &mut Arriving,
        digest: DigestRequest,
    ) -> Result<(), AppendError> {
        let (class, there) = look_at(arriving).await;
        let algorithm = digest.algorithm();
        let (blob, digests) = self.take_part(class, arriving.part(u64::MAX), algorithm).await?;
        match arriving.broken() {
            Some(Broken::Superseded | Broken::Overlong) => return Ok(()),
            Some(Broken::Source(_)) => return Err(AppendError::BrokenOff),
            None => {}
        }
        if !digest.holds(&digests) {
            return Err(AppendError::Digest);
        }
        match there {
            0 => Ok(()),
            _ => self.put_part(open, class, blob, &digests).await,
        }
    }

    async fn take_part(
        &self,
        class: BlobClass,
        source: BodySource<'_>,
        algorithm: Option<ChecksumAlgorithm>,
    ) -> Result<(crate::backend::Blob, Digests), AppendError> {
        let body = NewBody {
            source,
            len: None,
            content_md5: None,
            checksum: algorithm.map_or(ChecksumRequest::None, ChecksumRequest::Compute),
        };
        let taken = take_in(self.inner.backend.as_ref(), class, body).await;
        taken.map_err(|error| match error {
            TakeInError::Body(BodyError::TooLarge { max }) => AppendError::TooLarge { max },
            error => merge::fault_of_own_bytes(error).into(),
        })
    }

    /// Notes a part, and how far the upload has come, in one batch; then does what is due about its parts.
    async fn put_part(
        &self,
        open: &mut Open<'_>,
        class: BlobClass,
        blob: crate::backend::Blob,
        digests: &Digests,
    ) -> Result<(), AppendError> {
        let part = AppendedPart {
            size: digests.len,
            md5: digests.md5,
            joinable: class == BlobClass::Part,
        };
        self.look_again(open).await?;
        let (now, number) = (self.now(), open.record.next_part);
        let (loose, due) = merge::with_part(open.record.loose, number, &part, open.record.offset);
        let record = Resumable {
            offset: open.record.offset + digests.len,
            next_part: number
                .checked_add(1)
                .ok_or_else(|| Fault::Internal("an upload of four milliard parts".into()))?,
            expires: Timestamp::from_millis(now.millis().saturating_add(open.record.life_ms)),
            loose,
            ..open.record.clone()
        };
        let pile = key::pile(open.bucket, &open.id);
        let put = Put {
            key: key::pile_part(&pile, number),
            value: part.to_value(),
            body: RowBody::Blob(blob),
            parent_len: Some(pile.as_bytes().len()),
        };
        let require = vec![Require::RevIs(open.row_key(), open.rev)];
        let ops = vec![open.put(&record), Op::Put(put)];
        open.rev = match self.commit(Batch { require, ops }).await {
            Ok(rev) => rev,
            Err(CommitRefused::Condition { found: None, .. }) => return Err(ResumableError::NoSuchUpload.into()),
            Err(CommitRefused::Condition { found: Some(_), .. }) => return Err(ResumableError::Superseded.into()),
            Err(CommitRefused::Fault(fault)) => return Err(fault.into()),
        };
        open.record = record;
        if let Some(due) = due
            && let Err(fault) = self.merge_due(open, due).await
        {
            // The bytes are stored; the next part has it tried again.
            tracing::debug!(%fault, "parts of an upload stay as they are for now");
        }
        Ok(())
    }

    /// Looks at the upload's row again after a body: it may have become a piece of another upload meanwhile.
    async fn look_again(&self, open: &mut Open<'_>) -> Result<(), AppendError> {
        let now = self.open_resumable(open.bucket, &open.id).await?;
        if (now.record.offset, now.record.next_part) != (open.record.offset, open.record.next_part) {
            return Err(ResumableError::Superseded.into());
        }
        *open = now;
        Ok(())
    }

    /// The upload has no more bytes than are stored.
    async fn end_here(&self, open: &mut Open<'_>) -> Result<(), AppendError> {
        let stored = open.record.offset;
        match open.record.length {
            Some(length) if length == stored => Ok(()),
            Some(length) => Err(AppendError::Short { stored, length }),
            None => {
                let record = Resumable {
                    length: Some(stored),
                    ..open.record.clone()
                };
                open.rev = self.put_resumable(open, &record).await?;
                open.record = record;
                Ok(())
            }
        }
    }
}

/// What kind of body comes next, and whether any does.
async fn look_at(arriving: &mut Arriving) -> (BlobClass, usize) {
    let there = arriving.look_ahead(SMALL_BODY_BYTES_MAX + 1).await;
    let class = if there > SMALL_BODY_BYTES_MAX {
        BlobClass::Part
    } else {
        BlobClass::Object
    };
    (class, there)
}
