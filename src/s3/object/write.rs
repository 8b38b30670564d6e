//! PutObject, and what UploadPart shares with it: the body on its way in.

use http::header::TRANSFER_ENCODING;
use http::{Extensions, HeaderMap};
use s3s::dto::{ETag as WireETag, PutObjectInput, PutObjectOutput, StreamingBlob};
use s3s::{S3Request, S3Response};
use storage_engine::backend::{BodySource, SourceError};
use storage_engine::store::body::{ChecksumRequest, NewBody};
use storage_engine::store::error::BodyError;
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::put::{PutObject, PutObjectError};
use storage_engine::store::record::labels::Labels;
use storage_engine::store::record::settings::BucketSettings;
use storage_engine::store::tags::Tags;

use crate::auth::{self, Payload};
use crate::s3::acl::{self, Canned};
use crate::s3::body;
use crate::s3::catalogue;
use crate::s3::conditions;
use crate::s3::convert::{
    self, algorithm_name, announced_checksum, bucket_name, checksum_text, declared_checksum, object_key, set_checksum,
    texts, type_name,
};
use crate::s3::error::{Code, Failure};
use crate::s3::form::OfForm;
use crate::s3::front::{Front, PutBy};
use crate::s3::link;
use crate::s3::normalise::Lifted;
use crate::s3::tagging;

pub(crate) async fn put(
    front: &Front,
    mut req: S3Request<PutObjectInput>,
) -> Result<S3Response<PutObjectOutput>, Failure> {
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
    let (opened, by) = front.open_to_put(&req.extensions, (&bucket, &key)).await?;
    if by == PutBy::Share && (acl.is_some() || input.tagging.is_some()) {
        return Err(Code::ACCESS_DENIED.into());
    }
    let settings = opened.settings.as_deref();
    let labels = asked.labels(front, &req.extensions, (&bucket, settings)).await?;
    let lifted = req.extensions.get::<Lifted>().cloned().unwrap_or_default();
    let texts = texts!(input);
    let metadata = convert::metadata(texts, &lifted)?;
    let body = new_body(input.body, input.content_length, &req.headers, &req.extensions)?;
    let said = (&req.extensions, &req.headers);
    let (store, body) = catalogue::put(opened, said, (&bucket, &key), body).await?;
    let event = front.event((&req.extensions, &req.headers), &bucket, Some(&key));
    let event = event.said(&metadata.user);
    let by_form = req.extensions.get::<OfForm>().is_some();
    let put = PutObject {
        bucket,
        key,
        metadata,
        labels,
        body,
        condition: link::condition(link::terms(&req.extensions), conditions::of_write(&lifted)),
    };
    let name = if by_form {
        "s3:ObjectCreated:Post"
    } else {
        "s3:ObjectCreated:Put"
    };
    let put = async move { store.put_object(put).await };
    let stored = event
        .after(name, put, |stored| Some((stored.size, stored.etag.to_string())))
        .await
        .map_err(put_failed)?;
    let mut output = PutObjectOutput {
        e_tag: Some(WireETag::Strong(stored.etag.to_string())),
        ..PutObjectOutput::default()
    };
    if let Some(checksum) = stored.checksum {
        set_checksum!(output, checksum.value, checksum_text(&checksum.value, None));
        output.checksum_type = Some(type_name(checksum.kind).to_owned().into());
    }
    Ok(S3Response::new(output))
}

/// What a write says of its object beside its metadata: its tags, and who may read it.
pub(crate) struct Asked {
    tags: Tags,
    acl: Option<Canned>,
}

impl Asked {
    /// Judged before the write itself is: it tells `access` what the request brings.
    pub(crate) async fn judge(
        front: &Front,
        extensions: &mut Extensions,
        (tagging, acl): (Option<&str>, Option<&str>),
        place: (&BucketName, &ObjectKey),
    ) -> Result<Self, Failure> {
        let tags = tagging::of_write(front, extensions, tagging, place).await?;
        let acl = acl::of_write(front, extensions, acl, place).await?;
        Ok(Self { tags, acl })
    }

    /// What the object will carry, by the settings of its bucket that the write was judged on.
    pub(crate) async fn labels(
        self,
        front: &Front,
        extensions: &Extensions,
        (bucket, settings): (&BucketName, Option<&BucketSettings>),
    ) -> Result<Labels, Failure> {
        if let Some(acl) = self.acl {
            acl.check(settings)?;
        }
        let offered = self.acl.is_some_and(|acl| acl.offered);
        Ok(Labels {
            owner: front.owner_of_new(extensions, (bucket, settings), offered).await?,
            tags: self.tags,
            visibility: self.acl.map(|acl| acl.visibility),
            shares: Vec::new(),
            writing_named: self.acl.is_some_and(|acl| acl.writing_named),
            offered,
            held: false,
            barred: None,
            counted: false,
        })
    }
}

/// The body as the store takes it, with a declared length or in chunks, and with what must hold of it.
pub(crate) fn new_body(
    blob: Option<StreamingBlob>,
    content_length: Option<i64>,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<NewBody<'static>, Failure> {
    let checksum = checksum_request(headers, extensions)?;
    let declared = match extensions.get::<Payload>() {
        Some(payload) => payload.decoded_length,
        None => content_length.and_then(|len| u64::try_from(len).ok()),
    };
    // A chunked body says itself where it ends.
    if declared.is_none() && !headers.contains_key(TRANSFER_ENCODING) {
        return Err(Code::MISSING_CONTENT_LENGTH.into());
    }
    let content_md5 = match headers.get("content-md5") {
        Some(text) => Some(
            text.to_str()
                .ok()
                .and_then(convert::decode_md5)
                .ok_or(Code::INVALID_DIGEST)?,
        ),
        None => None,
    };
    let source: BodySource<'static> = match blob {
        Some(blob) => Box::pin(blob),
        None => Box::pin(futures::stream::empty()),
    };
    Ok(NewBody {
        source,
        len: declared,
        content_md5,
        checksum,
    })
}

/// Which checksum the request asks to verify and keep: of a header, of a trailer to come, or by name only.
fn checksum_request(headers: &HeaderMap, extensions: &Extensions) -> Result<ChecksumRequest<'static>, Failure> {
    let declared = declared_checksum(headers)?;
    match (declared, announced_checksum(extensions)) {
        (Some(_), Some(_)) => {
            let message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
            Err(Failure::because(Code::INVALID_REQUEST, message))
        }
        (Some(checksum), None) => {
            if named_algorithm(headers)?.is_some_and(|named| named != checksum.algorithm()) {
                let message = "Value for x-amz-sdk-checksum-algorithm header is invalid.";
                return Err(Failure::because(Code::INVALID_REQUEST, message));
            }
            Ok(ChecksumRequest::Verify(checksum))
        }
        (None, Some(algorithm)) => {
            let trailers = extensions.get::<Payload>().map(|payload| payload.trailers.clone());
            let ask = move || {
                let trailers = trailers.as_ref().and_then(auth::Trailers::received);
                let Some(trailers) = trailers else { return Ok(None) };
                let malformed = |_| SourceError::from(auth::BodyError::TrailerMalformed("the checksum is not valid"));
                declared_checksum(trailers).map_err(malformed)
            };
            Ok(ChecksumRequest::VerifyAfter(algorithm, Box::new(ask)))
        }
        (None, None) => Ok(named_algorithm(headers)?.map_or(ChecksumRequest::None, ChecksumRequest::Compute)),
    }
}

fn named_algorithm(headers: &HeaderMap) -> Result<Option<storage_engine::store::checksum::ChecksumAlgorithm>, Failure> {
    let header = headers
        .get("x-amz-checksum-algorithm")
        .or_else(|| headers.get("x-amz-sdk-checksum-algorithm"));
    let Some(named) = header else { return Ok(None) };
    convert::algorithm(named.to_str().unwrap_or_default()).map(Some)
}

pub(crate) fn body_failed(error: BodyError) -> Failure {
    match error {
        BodyError::Source(source) => body::failed(&*source),
        BodyError::Incomplete { .. } | BodyError::Overlong { .. } => {
            Failure::because(Code::INCOMPLETE_BODY, error.to_string())
        }
        BodyError::TooLarge { .. } => Code::ENTITY_TOO_LARGE.into(),
        BodyError::BadDigest => Failure::because(
            Code::BAD_DIGEST,
            "The Content-MD5 you specified did not match what we received.",
        ),
        BodyError::ChecksumMismatch(algorithm) => {
            let name = algorithm_name(algorithm);
            let message = format!("The {name} you specified did not match the calculated checksum.");
            Failure::because(Code::BAD_DIGEST, message)
        }
    }
}

pub(crate) fn put_failed(error: PutObjectError) -> Failure {
    match error {
        PutObjectError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
        PutObjectError::BucketBusy => Code::OPERATION_ABORTED.into(),
        PutObjectError::Metadata(error) => Failure::because(Code::METADATA_TOO_LARGE, error.to_string()),
        PutObjectError::Refused(refused) => refused.into(),
        PutObjectError::OverQuota(over) => over.into(),
        PutObjectError::Body(error) => body_failed(error),
        PutObjectError::Fault(fault) => fault.into(),
    }
}
