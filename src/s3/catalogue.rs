//! What writes owe the catalogue of a bucket that keeps one: their bytes are looked at, and held to what was announced of
//! the file and to the link they came by.
//!
//! Owns which limits a write has, and that what was stored unseen is looked at afterwards. What becomes of a file by its
//! bytes is `intake`'s; other buckets are not touched.

use std::collections::HashSet;

use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap};
use storage_engine::backend::BodySource;
use storage_engine::store::Store;
use storage_engine::store::body::NewBody;
use storage_engine::store::files::{FileError, FileState};
use storage_engine::store::multipart::complete::NamedPart;
use storage_engine::store::multipart::part::PartPlace;
use storage_engine::store::name::{BucketName, ObjectKey, PartNumber, UploadId};
use storage_engine::store::quota::{OverQuota, QuotaOf};
use storage_engine::store::record::settings::BucketSettings;

use super::error::{Code, Failure};
use super::front::Opened;
use super::link;
use crate::auth::{LinkTerms, LinkUse};
use crate::intake::{Expected, Refused, cap, size_of_parts, watch};

/// Whether a bucket keeps a catalogue.
pub(crate) fn keeps_one(settings: Option<&BucketSettings>) -> bool {
    settings.is_some_and(|settings| settings.files)
}

/// The store and the body for a PUT: in a bucket with a catalogue the body is looked at as it comes in, so that its file is
/// active at once, and ends in an error when it is not what it must be.
pub(crate) async fn put<'b>(
    opened: Opened,
    (extensions, headers): (&Extensions, &HeaderMap),
    (bucket, key): (&BucketName, &ObjectKey),
    body: NewBody<'b>,
) -> Result<(Store, NewBody<'b>), Failure> {
    let terms = link::terms(extensions);
    if !keeps_one(opened.settings.as_deref()) {
        return match terms {
            None => Ok((opened.store, body)),
            Some(_) => Err(Code::ACCESS_DENIED.into()),
        };
    }
    let (store, mut expected) = announced(opened.store, terms.map(AsRef::as_ref), (bucket, key)).await?;
    if let Some(LinkUse::Put {
        max_size,
        min_size,
        types,
        once: _,
        by_form: _,
    }) = terms.map(|terms| &terms.lets)
    {
        expected.also_at_most(*max_size);
        expected.also_of(types);
        expected.min_size = *min_size;
    }
    expected.also_declared(headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()));
    expected.check_announced(body.len)?;
    let (source, look) = watch(body.source, expected);
    Ok((store.witnessed(look), NewBody { source, ..body }))
}

/// The body of a part, held to what all parts of the file may have together.
pub(crate) async fn part<'b>(
    opened: &Opened,
    extensions: &Extensions,
    place: &PartPlace,
    body: NewBody<'b>,
) -> Result<NewBody<'b>, Failure> {
    let terms = link::terms(extensions);
    if !keeps_one(opened.settings.as_deref()) {
        return match terms {
            None => Ok(body),
            Some(_) => Err(Code::ACCESS_DENIED.into()),
        };
    }
    let file = (&place.bucket, &place.key);
    let (store, mut expected) = announced(opened.store.clone(), terms.map(AsRef::as_ref), file).await?;
    if let Some(LinkUse::Part { max_size, .. }) = terms.map(|terms| &terms.lets) {
        expected.also_at_most(*max_size);
    }
    let Some(max) = expected.max_size else {
        return Ok(body);
    };
    let taken = store.size_of_other_parts(place).await?;
    expected.check_size_so_far(taken.saturating_add(body.len.unwrap_or_default()))?;
    let source: BodySource<'b> = cap(body.source, max.saturating_sub(taken), max);
    Ok(NewBody { source, ..body })
}

/// Refuses to join parts that are more than the file may have, or fewer than it must.
pub(crate) async fn joining(
    opened: &Opened,
    file: (&BucketName, &ObjectKey),
    upload: &UploadId,
    parts: &[NamedPart],
) -> Result<(), Failure> {
    if !keeps_one(opened.settings.as_deref()) {
        return Ok(());
    }
    let (store, expected) = announced(opened.store.clone(), None, file).await?;
    if expected.max_size.is_none() {
        return Ok(());
    }
    let numbers: HashSet<PartNumber> = parts.iter().map(|part| part.number).collect();
    let named = |number: PartNumber| numbers.contains(&number);
    let size = size_of_parts(&store, file, upload, named).await?;
    Ok(expected.check_size(size)?)
}

/// What was said of a file before its bytes come; of one that nobody announced, nothing. The store for who came by a link
/// puts nothing once that is revoked.
async fn announced(
    store: Store,
    terms: Option<&LinkTerms>,
    (bucket, key): (&BucketName, &ObjectKey),
) -> Result<(Store, Expected), Failure> {
    let (store, file) = match terms {
        Some(terms) => {
            let found = link::file(&store, terms, (bucket, key)).await?;
            (store.only_in_epoch((bucket, key), &found), Some(found.1))
        }
        None => {
            let found = store.file_of_key(bucket, key.as_str()).await?;
            (store, found.map(|(_, file, _)| file))
        }
    };
    let file = file.filter(|file| file.state == FileState::Pending);
    let expected = file.map(|file| Expected::of(&file.limits, file.declared_type.as_deref()));
    Ok((store, expected.unwrap_or_default()))
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::TooLarge { .. } => Code::ENTITY_TOO_LARGE,
            Refused::TooSmall { .. } | Refused::Size { .. } => Code::ENTITY_TOO_SMALL,
            Refused::Type(_) => Code::INVALID_REQUEST,
            Refused::Digest => Code::BAD_DIGEST,
        };
        Self::because(code, refused.to_string())
    }
}

/// Whose limit it is, as far as they may know; a bucket's own is told as MinIO tells it.
impl From<OverQuota> for Failure {
    fn from(over: OverQuota) -> Self {
        match over.of {
            QuotaOf::Bucket => Code::QUOTA_EXCEEDED.into(),
            QuotaOf::Owner | QuotaOf::LogicalBucket | QuotaOf::Environment => {
                Self::because(Code::QUOTA_EXCEEDED, over.told())
            }
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        match error {
            FileError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            FileError::BucketBusy | FileError::Changed | FileError::KeyTaken => Code::OPERATION_ABORTED.into(),
            FileError::NoSuchFile | FileError::NoSuchVersion | FileError::State(_) => Code::NO_SUCH_KEY.into(),
            FileError::Invalid(why) => Self::argument(why),
            FileError::OverQuota(over) => over.into(),
            FileError::Fault(fault) => fault.into(),
        }
    }
}
