//! One upload on behalf of a caller: begun, found, appended to, ended. The same for every protocol.
//!
//! An upload belongs to whoever began it; beside them, admins may go on with it or end it. The file that it becomes stands
//! in the catalogue from the beginning, pending.

use futures::TryStreamExt;
use http::{HeaderValue, Response};
use storage_engine::backend::BodySource;
use storage_engine::store::Store;
use storage_engine::store::checksum::{Checksum, ChecksumAlgorithm, ChecksumHasher};
use storage_engine::store::error::Fault;
use storage_engine::store::files::{File, FileError, FileId, FileState};
use storage_engine::store::name::UploadId;
use storage_engine::store::object::get::{GetObject, Selection};
use storage_engine::store::record::object::Metadata;
use storage_engine::store::record::resumable::{Purpose, Resumable, Target};
use storage_engine::store::resumable::ResumableError;
use storage_engine::store::resumable::append::{Append, AppendError, BodyDigest, DigestRequest};
use storage_engine::store::resumable::begin::{BeginResumable, BeginResumableError};
use storage_engine::store::resumable::finish::FinishError;

use super::metadata::{Said, id_in};
use crate::files::call::{Call, Known, object_key};
use crate::files::error::{Code, FilesError};
use crate::files::fields::Fields;
use crate::files::plan::Plan;
use crate::files::single;
use crate::http::body::Body;
use crate::media::{FileName, Mime};
use crate::projects::AppRefused;

/// How long an upload lives after it was written to, in milliseconds.
pub(super) const LIFE_MS: u64 = 24 * 60 * 60 * 1_000;
/// What a file is called whose name was not said.
const UNNAMED: &str = "file";
const UNKNOWN_TYPE: &str = "application/octet-stream";
/// What the pieces of a file are judged as, while it is not known what they become.
const PIECE: &str = "piece-of-an-upload";

/// Why a request about an upload was not served. What protocols tell each in its own way is told apart.
#[derive(Debug)]
pub(super) enum Refused {
    Offset {
        stored: u64,
        given: u64,
    },
    /// It has all its bytes.
    Complete,
    /// What is said of its length is not what was said before, or not what came.
    Length(String),
    /// The bytes are not those of the digest that was sent.
    Digest,
    Other(FilesError),
}

/// What is told in the words of this front, whatever the protocol.
macro_rules! told_as_it_is {
    ($($error:ty),+) => {$(
        impl From<$error> for Refused {
            fn from(error: $error) -> Self {
                Self::Other(error.into())
            }
        }
    )+};
}
told_as_it_is!(FilesError, Code, Fault, FileError);

impl Refused {
    /// The answer in the words of this front.
    pub(super) fn response(self) -> Response<Body> {
        let error = match self {
            Self::Offset { stored, given } => FilesError::because(
                Code::UPLOAD_OFFSET,
                format!("The upload has {stored} bytes, and these begin at {given}."),
            ),
            Self::Complete => Code::UPLOAD_COMPLETE.into(),
            Self::Length(why) => FilesError::because(Code::UPLOAD_LENGTH, why),
            Self::Digest => Code::UPLOAD_DIGEST.into(),
            Self::Other(error) => error,
        };
        error.response()
    }
}

/// A new upload, as it is asked for.
pub(super) struct NewUpload {
    pub(super) said: Said,
    /// `Upload-Metadata` as it came.
    pub(super) header: String,
    pub(super) length: Option<u64>,
    /// What the whole must be.
    pub(super) digest: Option<BodyDigest>,
    /// Addresses of the uploads that it is made of.
    pub(super) pieces: Option<Vec<String>>,
}

/// More bytes, as they are sent.
pub(super) struct More {
    pub(super) offset: u64,
    pub(super) len: Option<u64>,
    pub(super) source: BodySource<'static>,
    pub(super) digest: DigestRequest,
    pub(super) last: bool,
}

/// An upload that the caller may do with what they like.
pub(super) struct Upload<'c> {
    call: &'c Call<'c>,
    pub(super) id: UploadId,
    pub(super) record: Resumable,
    store: Store,
}

impl<'c> Upload<'c> {
    /// Begins the upload of a file, and announces the file.
    pub(super) async fn begin(call: &'c Call<'c>, new: NewUpload) -> Result<Self, Refused> {
        let name = FileName::parse(new.said.filename.as_deref().unwrap_or(UNNAMED)).map_err(FilesError::from)?;
        let mime = Mime::parse(new.said.content_type.as_deref().unwrap_or(UNKNOWN_TYPE)).map_err(FilesError::from)?;
        let fields = Fields::of(&serde_json::Value::Object(new.said.fields))?;
        let plan = Plan::of(call, (name, mime, new.length), &fields)
            .await
            .map_err(too_large)?;
        let pieces = match &new.pieces {
            Some(addresses) => Some(Self::pieces(call, addresses).await?),
            None => None,
        };
        let (id, file) = plan.file(call)?;
        let store = call.open_to_make(&file.key, file.bucket.as_deref()).await?;
        let target = Target {
            key: file.key.clone(),
            metadata: Metadata {
                content_type: file.declared_type.clone(),
                cache_control: new.said.cache_control,
                ..Metadata::default()
            },
            labels: file.labels.clone(),
            file: Some(*id.as_bytes()),
        };
        let purpose = match pieces {
            Some(partials) => Purpose::Final { target, partials },
            None => Purpose::Object(target),
        };
        call.announce(&store, (id, &file)).await?;
        let said = kept(&new.header, new.digest);
        let begun = Self::put(call, store.clone(), purpose, (new.length, file.limits.max_size), said).await;
        if begun.is_err() {
            call.take_back(&store, id).await;
        }
        begun
    }

    /// Begins an upload that becomes a piece of another one.
    pub(super) async fn begin_piece(call: &'c Call<'c>, length: Option<u64>, header: &str) -> Result<Self, Refused> {
        // They are not files yet, so no token counts them.
        if call.caller.is_guest() {
            return Err(FilesError::from(AppRefused::authentication_required()).into());
        }
        if call.caller.upload.is_some() {
            let message = "Uploads in parallel are for users and servers: with an upload token send the file as one.";
            return Err(FilesError::because(Code::ACCESS_DENIED, message).into());
        }
        let store = call.open_to_make(PIECE, None).await?;
        let piece = Purpose::Partial { of: None };
        Self::put(call, store, piece, (length, None), kept(header, None)).await
    }

    async fn put(
        call: &'c Call<'c>,
        store: Store,
        purpose: Purpose,
        (length, size_max): (Option<u64>, Option<u64>),
        said: String,
    ) -> Result<Self, Refused> {
        let begin = BeginResumable {
            bucket: call.caller.bucket.clone(),
            purpose,
            owner: call.owner(),
            length,
            size_max,
            life_ms: LIFE_MS,
            said,
        };
        let (id, record) = store.begin_resumable(begin).await?;
        Ok(Self {
            call,
            id,
            record,
            store,
        })
    }

    /// The ids in these addresses, each of an upload of the caller's.
    async fn pieces(call: &'c Call<'c>, addresses: &[String]) -> Result<Vec<UploadId>, Refused> {
        let mut ids = Vec::with_capacity(addresses.len());
        for address in addresses {
            let id = id_in(address)
                .ok_or_else(|| FilesError::field("Upload-Concat names what is no upload of this server."))?;
            ids.push(Self::find(call, id).await?.id);
        }
        Ok(ids)
    }

    /// The upload that the path names, for whoever began it and for admins.
    pub(super) async fn find(call: &'c Call<'c>, id: &str) -> Result<Self, Refused> {
        let id = UploadId::parse(id).map_err(|_| FilesError::from(Code::NO_SUCH_UPLOAD))?;
        let record = call.inner.records.resumable(&call.caller.bucket, &id).await?;
        let theirs = record.owner.is_some() && record.owner.as_deref() == call.caller.owner_id();
        let of_guests = record.owner.is_none() && call.caller.is_guest();
        if !theirs && !of_guests && !call.caller.is_admin() {
            return Err(Code::ACCESS_DENIED.into());
        }
        let store = match file_of(call, &record).await? {
            Some(known) => call.open_to_finish_upload(&known).await?,
            None if call.caller.upload.is_some() || of_guests => return Err(Code::ACCESS_DENIED.into()),
            // A piece, or a file that was purged meanwhile.
            None => {
                call.open_to_make(record.target().map_or(PIECE, |target| &target.key), None)
                    .await?
            }
        };
        Ok(Self {
            call,
            id,
            record,
            store,
        })
    }

    /// Sees how far it is, once nobody writes to it any more, and finishes what has all its bytes.
    pub(super) async fn rest(&mut self) -> Result<(), Refused> {
        let bucket = &self.call.caller.bucket;
        self.record = self.store.resumable_at_rest(bucket, &self.id).await?;
        let may_finish = match self.record.purpose {
            Purpose::Object(_) | Purpose::Partial { .. } => self.record.is_complete(),
            Purpose::Final { .. } => true,
        };
        if self.record.done.is_none() && may_finish {
            match self.store.finish_resumable(bucket, &self.id).await {
                Ok(record) => self.record = record,
                Err(FinishError::NotComplete) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.arrived().await
    }

    /// Says how many bytes it will have, with bytes that begin at `offset`.
    pub(super) async fn set_length(&mut self, offset: u64, length: u64) -> Result<(), Refused> {
        let bucket = &self.call.caller.bucket;
        let stored = self.store.resumable_at_rest(bucket, &self.id).await?.offset;
        if stored != offset {
            return Err(Refused::Offset { stored, given: offset });
        }
        // So many bytes must have room before they come.
        let announced = self.announce_size(length).await?;
        match self.store.set_resumable_length(bucket, &self.id, length).await {
            Ok(record) => self.record = record,
            Err(error) => {
                if let Some(before) = announced {
                    self.announce_size(before).await?;
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Makes the file that is announced one of so many bytes; how many it was announced with before, if that was changed.
    async fn announce_size(&self, size: u64) -> Result<Option<u64>, Refused> {
        let known = file_of(self.call, &self.record).await?;
        let Some(Known { id, file, .. }) = known.filter(|known| known.file.state == FileState::Pending) else {
            return Ok(None);
        };
        let change = |file: &mut File| file.size = size;
        let bucket = &self.call.caller.bucket;
        self.store.change_file(bucket, id, None, change).await?;
        Ok(Some(file.size))
    }

    /// Stores more bytes; tells whether they broke off.
    pub(super) async fn append(&mut self, more: More) -> Result<bool, Refused> {
        let append = Append {
            bucket: self.call.caller.bucket.clone(),
            upload: self.id,
            offset: more.offset,
            body: more.source,
            len: more.len,
            digest: more.digest,
            last: more.last,
        };
        let appended = self.store.append(append).await?;
        self.record = appended.upload;
        self.arrived().await?;
        Ok(appended.broken_off)
    }

    /// Ends it; a file that was only announced goes with it.
    pub(super) async fn end(self) -> Result<(), Refused> {
        let bucket = &self.call.caller.bucket;
        let known = file_of(self.call, &self.record).await?;
        self.store.terminate_resumable(bucket, &self.id).await?;
        if let Some(known) = known
            && known.file.state == FileState::Pending
        {
            self.store.purge_file(bucket, known.id, Some(known.rev)).await?;
        }
        Ok(())
    }

    /// Looks at the bytes once all are there: the file is active then, or refused.
    async fn arrived(&self) -> Result<(), Refused> {
        if self.record.done.is_none() {
            return Ok(());
        }
        let Some(known) = file_of(self.call, &self.record).await? else {
            return Ok(());
        };
        match known.file.state {
            FileState::Active
            | FileState::Scanning
            | FileState::Quarantined
            | FileState::Trashed
            | FileState::Pending => return Ok(()),
            FileState::Received => self.check_whole(&known).await?,
            FileState::Rejected => {}
        }
        let known = single::arrived(self.call, known).await?;
        if self.call.caller.is_guest() {
            // That the app knows of it, its server says.
            return Ok(());
        }
        let now = self.call.time();
        let registered = |file: &mut File| {
            file.registered.get_or_insert(now);
        };
        let bucket = &self.call.caller.bucket;
        self.store.change_file(bucket, known.id, None, registered).await?;
        Ok(())
    }

    /// Reads the whole once more where the client said its digest; of another one nothing is kept.
    async fn check_whole(&self, known: &Known) -> Result<(), Refused> {
        let Some(told) = self.digest() else { return Ok(()) };
        let bucket = &self.call.caller.bucket;
        let get = GetObject {
            bucket: bucket.clone(),
            key: object_key(&known.file)?,
            version: None,
            selection: Selection::Whole,
            conditions: Default::default(),
        };
        let mut body = self.store.get_object(&get).await.map_err(FilesError::from)?.body;
        let mut hasher = ChecksumHasher::new(ChecksumAlgorithm::Sha256);
        while let Some(bytes) = body.try_next().await.map_err(Fault::from)? {
            hasher.update(&bytes);
        }
        if hasher.finish() == Checksum::Sha256(told) {
            return Ok(());
        }
        let why = "The digest that was sent is not that of the bytes.";
        self.store.reject_file(bucket, known.id, Some(known.rev), why).await?;
        Err(Refused::Digest)
    }

    /// What the whole must be.
    fn digest(&self) -> Option<[u8; 32]> {
        let (_, digest) = self.record.said.split_once('\n')?;
        base64_simd::STANDARD
            .decode_to_vec(digest.as_bytes())
            .ok()?
            .try_into()
            .ok()
    }

    /// `Upload-Metadata` as it came.
    pub(super) fn header(&self) -> &str {
        self.record.said.split('\n').next().unwrap_or_default()
    }

    /// Where it is.
    pub(super) fn address(&self) -> String {
        address(self.call, &self.id)
    }

    /// The file that it becomes; `None`: it is a piece of another one.
    pub(super) fn file(&self) -> Option<HeaderValue> {
        let id = FileId::from_bytes(self.record.target()?.file?);
        HeaderValue::from_str(&id.to_string()).ok()
    }

    pub(super) fn call(&self) -> &'c Call<'c> {
        self.call
    }
}

/// Where an upload is.
pub(super) fn address(call: &Call<'_>, id: &UploadId) -> String {
    format!("{}/v1/tus/{id}", call.origin)
}

/// What is kept of what was said: the header, and the digest of the whole on a line of its own.
fn kept(header: &str, digest: Option<BodyDigest>) -> String {
    match digest {
        Some(BodyDigest::Checksum(Checksum::Sha256(sha256))) => {
            format!("{header}\n{}", base64_simd::STANDARD.encode_to_string(sha256))
        }
        Some(_) | None => header.to_owned(),
    }
}

async fn file_of(call: &Call<'_>, record: &Resumable) -> Result<Option<Known>, FilesError> {
    let Some(file) = record.target().and_then(|target| target.file) else {
        return Ok(None);
    };
    let id = FileId::from_bytes(file);
    let found = call.inner.records.file(&call.caller.bucket, &id).await?;
    Ok(found.map(|(file, rev)| Known { id, file, rev }))
}

/// A body that is too large is told as such by the protocols of uploads, whoever found out.
fn too_large(error: FilesError) -> FilesError {
    match error.code() == Code::TOO_LARGE.name {
        true => Code::BODY_TOO_LARGE.into(),
        false => error,
    }
}

fn at_most(max: u64) -> FilesError {
    FilesError::because(Code::BODY_TOO_LARGE, format!("An upload has at most {max} bytes here."))
}

impl From<ResumableError> for Refused {
    fn from(error: ResumableError) -> Self {
        match error {
            ResumableError::NoSuchUpload => Self::Other(Code::NO_SUCH_UPLOAD.into()),
            ResumableError::Expired => Self::Other(Code::UPLOAD_EXPIRED.into()),
            ResumableError::Superseded => Self::Other(Code::UPLOAD_SUPERSEDED.into()),
            ResumableError::Taken => Self::Other(Code::UPLOAD_TAKEN.into()),
            ResumableError::Finished => Self::Other(Code::UPLOAD_FINISHED.into()),
            ResumableError::OtherLength { .. } | ResumableError::Shorter { .. } => Self::Length(format!("{error}.")),
            ResumableError::TooLarge { max } => Self::Other(at_most(max)),
            ResumableError::Fault(fault) => Self::Other(fault.into()),
        }
    }
}

impl From<BeginResumableError> for Refused {
    fn from(error: BeginResumableError) -> Self {
        Self::Other(match error {
            BeginResumableError::NoSuchBucket => Code::BUCKET_NOT_CONFIGURED.into(),
            BeginResumableError::BucketBusy => Code::CONFLICT.into(),
            BeginResumableError::Key(_)
            | BeginResumableError::Metadata(_)
            | BeginResumableError::Said { .. }
            | BeginResumableError::HowMany
            | BeginResumableError::Twice(_)
            | BeginResumableError::NoPiece(_) => FilesError::field(format!("Not begun: {error}.")),
            BeginResumableError::TooLarge { max } => at_most(max),
            BeginResumableError::OverQuota(over) => over.into(),
            BeginResumableError::Fault(fault) => fault.into(),
        })
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Upload(error) => error.into(),
            AppendError::Offset { stored, given } => Self::Offset { stored, given },
            AppendError::Complete => Self::Complete,
            AppendError::MadeOfOthers => Self::Other(Code::UPLOAD_MADE_OF_OTHERS.into()),
            AppendError::TooLarge { max } => Self::Other(at_most(max)),
            AppendError::Short { .. } => Self::Length(format!("{error}.")),
            AppendError::Digest => Self::Digest,
            AppendError::BrokenOff => Self::Other(Code::INCOMPLETE_BODY.into()),
            AppendError::OverQuota(over) => Self::Other(over.into()),
            AppendError::Finish(error) => error.into(),
            AppendError::Fault(fault) => Self::Other(fault.into()),
        }
    }
}

impl From<FinishError> for Refused {
    fn from(error: FinishError) -> Self {
        Self::Other(match error {
            FinishError::NoSuchBucket => Code::BUCKET_NOT_CONFIGURED.into(),
            FinishError::BucketBusy | FinishError::NotComplete => Code::CONFLICT.into(),
            // What it was made of ended before it.
            FinishError::Upload(_) => Code::UPLOAD_EXPIRED.into(),
            FinishError::TooLarge { max } => at_most(max),
            FinishError::TooManyParts { .. } => FilesError::because(Code::BODY_TOO_LARGE, format!("{error}.")),
            FinishError::OverQuota(over) => over.into(),
            FinishError::Refused(_) => Code::KEY_EXISTS.into(),
            FinishError::Fault(fault) => fault.into(),
        })
    }
}
