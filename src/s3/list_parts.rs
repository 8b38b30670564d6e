//! Listings of unfinished uploads: ListParts, ListMultipartUploads.

use s3s::dto::{
    ETag as WireETag, Initiator, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput,
    ListPartsOutput, MultipartUpload, Owner, Part as WirePart, StorageClass,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::list::Listed;
use storage_engine::store::multipart::list::{ListParts, ListPartsError, ListUploads, ListedUpload};
use storage_engine::store::name::{PartNumber, UploadId};
use storage_engine::store::record::object::Metadata;
use storage_engine::store::record::part::Part;
use storage_engine::store::record::upload::Upload;

use super::convert::{
    TextEncoding, algorithm_name, bucket_name, checksum_text, object_key, set_checksum, type_name, wire_time,
};
use super::error::{Code, Failure};
use super::front::Front;
use super::list::{common_prefixes, page_size};
use crate::access::{Action, Resource};

/// Whose the upload will be, and who began it: as a rule the same.
fn owner_and_initiator(front: &Front, upload: &Upload) -> (Owner, Initiator) {
    let owner = front.owner(upload.labels.owner.as_deref());
    let began = match upload.initiator.as_deref() {
        Some(id) => front.owner(Some(id)),
        None => owner.clone(),
    };
    let initiator = Initiator {
        display_name: began.display_name,
        id: began.id,
    };
    (owner, initiator)
}

fn storage_class(metadata: &Metadata) -> StorageClass {
    StorageClass::from(
        metadata
            .storage_class
            .clone()
            .unwrap_or_else(|| StorageClass::STANDARD.to_owned()),
    )
}

pub(crate) async fn parts(
    front: &Front,
    req: S3Request<ListPartsInput>,
) -> Result<S3Response<ListPartsOutput>, Failure> {
    let input = req.input;
    let (bucket, key) = (bucket_name(input.bucket)?, object_key(input.key)?);
    let (action, place) = (Action::ListMultipartUploadParts, (&bucket, &key));
    let store = front
        .open_upload(&req.extensions, action, place, &input.upload_id)
        .await?;
    let (max_parts, limit) = page_size(input.max_parts, "max-parts")?;
    let marker = input.part_number_marker.unwrap_or(0);
    let after = u16::try_from(marker.min(i32::from(u16::MAX)))
        .map_err(|_| Failure::argument("Argument part-number-marker must be an integer between 0 and 2147483647"))?;
    let upload = UploadId::parse(&input.upload_id)?;
    let list = ListParts {
        bucket: bucket.clone(),
        key: key.clone(),
        upload,
        after,
        limit,
    };
    let page = store.list_parts(&list).await?;
    let (owner, initiator) = owner_and_initiator(front, &page.upload);
    let last = page.parts.last().map_or(0, |(number, _)| i32::from(number.get()));
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(bucket.as_str().to_owned()),
        checksum_algorithm: page
            .upload
            .checksum
            .map(|sum| algorithm_name(sum.algorithm).to_owned().into()),
        checksum_type: page.upload.checksum.map(|sum| type_name(sum.kind).to_owned().into()),
        initiator: Some(initiator),
        is_truncated: Some(page.next.is_some()),
        key: Some(key.into_string()),
        max_parts: Some(max_parts),
        next_part_number_marker: Some(last),
        owner: Some(owner),
        part_number_marker: Some(marker),
        parts: Some(page.parts.into_iter().map(wire_part).collect()),
        storage_class: Some(storage_class(&page.upload.metadata)),
        upload_id: Some(input.upload_id),
        ..ListPartsOutput::default()
    }))
}

fn wire_part((number, part): (PartNumber, Part)) -> WirePart {
    let mut wire = WirePart {
        e_tag: Some(WireETag::Strong(part.etag.to_string())),
        last_modified: Some(wire_time(part.modified)),
        part_number: Some(i32::from(number.get())),
        size: i64::try_from(part.size).ok(),
        ..WirePart::default()
    };
    if let Some(checksum) = part.checksum {
        set_checksum!(wire, checksum, checksum_text(&checksum, None));
    }
    wire
}

pub(crate) async fn uploads(
    front: &Front,
    req: S3Request<ListMultipartUploadsInput>,
) -> Result<S3Response<ListMultipartUploadsOutput>, Failure> {
    let input = req.input;
    let bucket = bucket_name(input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    let store = front
        .open(&req.extensions, Action::ListBucketMultipartUploads, resource)
        .await?;
    let encoding = TextEncoding::of(input.encoding_type.as_ref())?;
    let (max_uploads, limit) = page_size(input.max_uploads, "max-uploads")?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (key_marker, upload_marker) = (given(&input.key_marker), given(&input.upload_id_marker));
    // Without a key marker, an upload id marker means nothing.
    let upload_marker = match upload_marker.filter(|_| key_marker.is_some()) {
        Some(id) => Some(UploadId::parse(&id).map_err(|_| Failure::argument("Invalid uploadId marker"))?),
        None => None,
    };
    let delimiter = given(&input.delimiter);
    let list = ListUploads {
        bucket,
        prefix: input.prefix.unwrap_or_default(),
        delimiter: delimiter.clone().unwrap_or_default(),
        key_marker,
        upload_marker,
        limit,
    };
    let page = store.list_uploads(&list).await?;
    let last_id = page.items.last().and_then(|item| match item {
        Listed::Item(listed) => Some(listed.id.to_string()),
        Listed::CommonPrefix(_) => None,
    });
    let prefixes = common_prefixes(&page, encoding);
    let truncated = page.next.is_some();
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(list.bucket.as_str().to_owned()),
        common_prefixes: Some(prefixes),
        delimiter: delimiter.map(|delimiter| encoding.write(&delimiter)),
        encoding_type: encoding.echo(),
        is_truncated: Some(truncated),
        key_marker: Some(encoding.write(input.key_marker.as_deref().unwrap_or_default())),
        max_uploads: Some(max_uploads),
        next_key_marker: page.next.as_deref().map(|next| encoding.write(next)),
        next_upload_id_marker: last_id.filter(|_| truncated),
        prefix: Some(encoding.write(&list.prefix)),
        request_charged: None,
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        uploads: Some(
            page.items
                .into_iter()
                .filter_map(|item| upload(front, item, encoding))
                .collect(),
        ),
    }))
}

fn upload(front: &Front, item: Listed<ListedUpload>, encoding: TextEncoding) -> Option<MultipartUpload> {
    let Listed::Item(ListedUpload { key, id, upload }) = item else {
        return None;
    };
    let (owner, initiator) = owner_and_initiator(front, &upload);
    Some(MultipartUpload {
        checksum_algorithm: upload
            .checksum
            .map(|sum| algorithm_name(sum.algorithm).to_owned().into()),
        checksum_type: upload.checksum.map(|sum| type_name(sum.kind).to_owned().into()),
        initiated: Some(wire_time(upload.begun)),
        initiator: Some(initiator),
        key: Some(encoding.write(key.as_str())),
        owner: Some(owner),
        storage_class: Some(storage_class(&upload.metadata)),
        upload_id: Some(id.to_string()),
    })
}

impl From<ListPartsError> for Failure {
    fn from(error: ListPartsError) -> Self {
        match error {
            ListPartsError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            ListPartsError::NoSuchUpload => Code::NO_SUCH_UPLOAD.into(),
            ListPartsError::Fault(fault) => fault.into(),
        }
    }
}
