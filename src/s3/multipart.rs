//! Multipart uploads: begin, part, complete, abort.

use http::HeaderMap;
use http::header::HOST;
use percent_encoding::utf8_percent_encode;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CompletedPart, CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag as WireETag, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::checksum::{Checksum, ChecksumAlgorithm, ChecksumType};
use storage_engine::store::multipart::abort::AbortUploadError;
use storage_engine::store::multipart::begin::{BeginUpload, BeginUploadError};
use storage_engine::store::multipart::complete::{CompleteUpload, CompleteUploadError, Completed, NamedPart};
use storage_engine::store::multipart::list::ListParts;
use storage_engine::store::multipart::part::{PartPlace, UploadPartError};
use storage_engine::store::name::UploadId;
use storage_engine::store::record::upload::UploadChecksum;

use super::acl;
use super::catalogue;
use super::conditions;
use super::convert::{
    self, algorithm_name, bucket_name, caller_id, checksum_text, object_key, set_checksum, texts, type_name,
};
use super::error::{Code, Failure};
use super::front::Front;
use super::normalise::Lifted;
use super::object::{Asked, body_failed, new_body, part as part_number};
use crate::access::Action;

pub(crate) async fn create(
    front: &Front,
    mut req: S3Request<CreateMultipartUploadInput>,
) -> Result<S3Response<CreateMultipartUploadOutput>, Failure> {
    let input = req.input;
    let (bucket, key) = (bucket_name(input.bucket)?, object_key(input.key)?);
    let acl = input.acl.as_ref().map(|acl| acl.as_str());
    let asked = Asked::judge(
        front,
        &mut req.extensions,
        (input.tagging.as_deref(), acl),
        (&bucket, &key),
    )
    .await?;
    let opened = front.open_to_begin(&req.extensions, (&bucket, &key)).await?;
    let settings = opened.settings.as_deref();
    let labels = asked.labels(front, &req.extensions, (&bucket, settings)).await?;
    let lifted = req.extensions.get::<Lifted>().cloned().unwrap_or_default();
    let texts = texts!(input);
    let algorithm = input.checksum_algorithm.as_ref().map(|name| name.as_str());
    let kind = input.checksum_type.as_ref().map(|kind| kind.as_str());
    let checksum = upload_checksum(algorithm, kind)?;
    let metadata = convert::metadata(texts, &lifted)?;
    let begin = BeginUpload {
        bucket: bucket.clone(),
        key: key.clone(),
        metadata,
        labels,
        initiator: caller_id(&req.extensions),
        checksum,
    };
    let upload = opened.store.begin_upload(begin).await?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(bucket.as_str().to_owned()),
        key: Some(key.into_string()),
        upload_id: Some(upload.to_string()),
        checksum_algorithm: checksum.map(|checksum| algorithm_name(checksum.algorithm).to_owned().into()),
        checksum_type: checksum.map(|checksum| type_name(checksum.kind).to_owned().into()),
        ..CreateMultipartUploadOutput::default()
    }))
}

fn upload_checksum(algorithm: Option<&str>, kind: Option<&str>) -> Result<Option<UploadChecksum>, Failure> {
    let Some(algorithm) = algorithm else {
        return match kind {
            None => Ok(None),
            Some(_) => {
                let message =
                    "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.";
                Err(Failure::because(Code::INVALID_REQUEST, message))
            }
        };
    };
    let algorithm = convert::algorithm(algorithm)?;
    let kind = kind
        .map(convert::checksum_type)
        .transpose()?
        .unwrap_or_else(|| algorithm.default_type());
    Ok(Some(UploadChecksum { algorithm, kind }))
}

/// Where a part belongs.
pub(crate) fn place(bucket: String, key: String, upload: &str, number: i32) -> Result<PartPlace, Failure> {
    Ok(PartPlace {
        bucket: bucket_name(bucket)?,
        key: object_key(key)?,
        upload: UploadId::parse(upload)?,
        number: part_number(number)?,
    })
}

pub(crate) async fn part(
    front: &Front,
    req: S3Request<UploadPartInput>,
) -> Result<S3Response<UploadPartOutput>, Failure> {
    let input = req.input;
    let place = place(input.bucket, input.key, &input.upload_id, input.part_number)?;
    let opened = front
        .open_to_begin(&req.extensions, (&place.bucket, &place.key))
        .await?;
    let body = new_body(input.body, input.content_length, &req.headers, &req.extensions)?;
    let body = catalogue::part(&opened, &req.extensions, &place, body).await?;
    let part = opened.store.upload_part(&place, body).await?;
    let mut output = UploadPartOutput {
        e_tag: Some(WireETag::Strong(part.etag.to_string())),
        ..UploadPartOutput::default()
    };
    if let Some(checksum) = part.checksum {
        set_checksum!(output, checksum, checksum_text(&checksum, None));
    }
    Ok(S3Response::new(output))
}

pub(crate) async fn complete(
    front: &Front,
    req: S3Request<CompleteMultipartUploadInput>,
) -> Result<S3Response<CompleteMultipartUploadOutput>, Failure> {
    let input = req.input;
    let (bucket, key) = (bucket_name(input.bucket)?, object_key(input.key)?);
    let opened = front
        .open_as_judged(&req.extensions, Action::PutObject, &bucket, &key)
        .await?;
    let lifted = req.extensions.get::<Lifted>().cloned().unwrap_or_default();
    let upload = UploadId::parse(&input.upload_id)?;
    let list = ListParts {
        bucket: bucket.clone(),
        key: key.clone(),
        upload,
        after: 0,
        limit: 0,
    };
    acl::recheck_upload(&opened, &list).await?;
    let parts = input
        .multipart_upload
        .and_then(|upload| upload.parts)
        .unwrap_or_default();
    let parts: Vec<NamedPart> = parts.into_iter().map(named_part).collect::<Result<_, _>>()?;
    let count = parts.len();
    catalogue::joining(&opened, (&bucket, &key), &upload, &parts).await?;
    let complete = CompleteUpload {
        bucket: bucket.clone(),
        key: key.clone(),
        upload,
        parts,
        condition: conditions::of_write(&lifted),
        checksum: whole_checksum(&req.headers)?,
        checksum_type: input
            .checksum_type
            .as_ref()
            .map(|kind| convert::checksum_type(kind.as_str()))
            .transpose()?,
        size: input
            .mpu_object_size
            .map(|size| u64::try_from(size).unwrap_or(u64::MAX)),
    };
    let event = front.event((&req.extensions, &req.headers), &bucket, Some(&key));
    let (store, settings) = (opened.store, opened.settings);
    let complete = async move { store.complete_upload(complete).await };
    let name = "s3:ObjectCreated:CompleteMultipartUpload";
    // Of one that was sent again after success the first has told.
    let is_news = |completed: &Completed| !completed.before;
    let object = |completed: &Completed| Some((completed.stored.size, completed.stored.etag.to_string()));
    let completed = event.by_itself().after_if(name, complete, (is_news, object)).await?;
    front.settle(settings.as_deref(), (&bucket, &key)).await?;
    let stored = completed.stored;
    let mut output = CompleteMultipartUploadOutput {
        bucket: Some(bucket.as_str().to_owned()),
        e_tag: Some(WireETag::Strong(stored.etag.to_string())),
        location: Some(location(&req.headers, req.uri.path())),
        key: Some(key.into_string()),
        ..CompleteMultipartUploadOutput::default()
    };
    if let Some(checksum) = stored.checksum {
        let of_parts = if checksum.kind == ChecksumType::Composite {
            Some(count)
        } else {
            None
        };
        set_checksum!(output, checksum.value, checksum_text(&checksum.value, of_parts));
        output.checksum_type = Some(type_name(checksum.kind).to_owned().into());
    }
    Ok(S3Response::new(output))
}

/// The object's checksum that a Complete declares; a composite one may carry its number of parts.
fn whole_checksum(headers: &HeaderMap) -> Result<Option<Checksum>, Failure> {
    let mut bare = HeaderMap::new();
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-amz-checksum-"))
    {
        let text = value.to_str().unwrap_or_default();
        let text = text.split_once('-').map_or(text, |(value, _)| value);
        if let Ok(value) = text.parse() {
            bare.insert(name.clone(), value);
        }
    }
    convert::declared_checksum(&bare)
}

fn named_part(part: CompletedPart) -> Result<NamedPart, Failure> {
    let (Some(number), Some(etag)) = (part.part_number, part.e_tag) else {
        return Err(Code::MALFORMED_XML.into());
    };
    let given = [
        (ChecksumAlgorithm::Crc32, part.checksum_crc32),
        (ChecksumAlgorithm::Crc32c, part.checksum_crc32c),
        (ChecksumAlgorithm::Crc64Nvme, part.checksum_crc64nvme),
        (ChecksumAlgorithm::Sha1, part.checksum_sha1),
        (ChecksumAlgorithm::Sha256, part.checksum_sha256),
    ];
    let given = given.into_iter().find_map(|(algorithm, text)| Some((algorithm, text?)));
    let checksum = match given {
        Some((algorithm, text)) => Some(convert::checksum(algorithm, &text).ok_or(Code::INVALID_PART)?),
        None => None,
    };
    Ok(NamedPart {
        number: part_number(number)?,
        etag: etag.into_value(),
        checksum,
    })
}

/// Where the object is, as this client reached the server.
fn location(headers: &HeaderMap, path: &str) -> String {
    match headers.get(HOST).and_then(|host| host.to_str().ok()) {
        Some(host) => format!("http://{host}{path}"),
        None => utf8_percent_encode(path, percent_encoding::CONTROLS).to_string(),
    }
}

pub(crate) async fn abort(
    front: &Front,
    req: S3Request<AbortMultipartUploadInput>,
) -> Result<S3Response<AbortMultipartUploadOutput>, Failure> {
    let input = req.input;
    let (bucket, key) = (bucket_name(input.bucket)?, object_key(input.key)?);
    let (action, place) = (Action::AbortMultipartUpload, (&bucket, &key));
    let store = front
        .open_upload(&req.extensions, action, place, &input.upload_id)
        .await?;
    let upload = UploadId::parse(&input.upload_id)?;
    store.abort_upload(&bucket, &key, &upload).await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

impl From<BeginUploadError> for Failure {
    fn from(error: BeginUploadError) -> Self {
        match error {
            BeginUploadError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            BeginUploadError::BucketBusy => Code::OPERATION_ABORTED.into(),
            BeginUploadError::Metadata(error) => Failure::because(Code::METADATA_TOO_LARGE, error.to_string()),
            BeginUploadError::ChecksumType(UploadChecksum { algorithm, kind }) => {
                let (kind, algorithm) = (type_name(kind), algorithm_name(algorithm));
                let message =
                    format!("The {kind} checksum type cannot be used with the {algorithm} checksum algorithm.");
                Failure::because(Code::INVALID_REQUEST, message)
            }
            BeginUploadError::Fault(fault) => fault.into(),
        }
    }
}

impl From<UploadPartError> for Failure {
    fn from(error: UploadPartError) -> Self {
        match error {
            UploadPartError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            UploadPartError::NoSuchUpload => Code::NO_SUCH_UPLOAD.into(),
            UploadPartError::Completing => Code::OPERATION_ABORTED.into(),
            UploadPartError::ChecksumAlgorithm { expected, found } => {
                let (expected, found) = (algorithm_name(expected), algorithm_name(found));
                let message = format!(
                    "Checksum Type mismatch occurred, expected checksum Type: {expected}, actual checksum Type: {found}"
                );
                Failure::because(Code::INVALID_REQUEST, message)
            }
            UploadPartError::OverQuota(over) => over.into(),
            UploadPartError::Body(error) => body_failed(error),
            UploadPartError::Fault(fault) => fault.into(),
        }
    }
}

impl From<AbortUploadError> for Failure {
    fn from(error: AbortUploadError) -> Self {
        match error {
            AbortUploadError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            AbortUploadError::NoSuchUpload => Code::NO_SUCH_UPLOAD.into(),
            AbortUploadError::Completing => Code::OPERATION_ABORTED.into(),
            AbortUploadError::Fault(fault) => fault.into(),
        }
    }
}

impl From<CompleteUploadError> for Failure {
    fn from(error: CompleteUploadError) -> Self {
        match error {
            CompleteUploadError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            CompleteUploadError::BucketBusy => Code::OPERATION_ABORTED.into(),
            CompleteUploadError::NoSuchUpload => Code::NO_SUCH_UPLOAD.into(),
            CompleteUploadError::NoParts => Code::MALFORMED_XML.into(),
            CompleteUploadError::PartOrder => Code::INVALID_PART_ORDER.into(),
            CompleteUploadError::InvalidPart(_) => Code::INVALID_PART.into(),
            CompleteUploadError::PartTooSmall { .. } => Failure::because(
                Code::ENTITY_TOO_SMALL,
                format!("Your proposed upload is too small: {error}."),
            ),
            CompleteUploadError::TooLarge => Code::ENTITY_TOO_LARGE.into(),
            CompleteUploadError::SizeMismatch { .. } => Failure::because(Code::INVALID_REQUEST, error.to_string()),
            CompleteUploadError::ChecksumMismatch => Failure::because(
                Code::BAD_DIGEST,
                "The checksum you specified did not match the calculated checksum.",
            ),
            CompleteUploadError::ChecksumType => {
                let message = "The upload was created using a different checksum type or none.";
                Failure::because(Code::INVALID_REQUEST, message)
            }
            CompleteUploadError::OverQuota(over) => over.into(),
            CompleteUploadError::Refused(refused) => refused.into(),
            CompleteUploadError::Fault(fault) => fault.into(),
        }
    }
}
