//! Listings of objects: ListObjects, ListObjectsV2, ListObjectVersions.

use s3s::dto::{
    CommonPrefix, ETag as WireETag, ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsInput,
    ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object as WireObject, ObjectStorageClass,
    ObjectVersion, ObjectVersionStorageClass,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::list::{
    ListError, ListObjects, ListPage, ListVersions, Listed, ListedObject, ListedVersion, VersionKind,
};
use storage_engine::store::record::object::Object;

use super::convert::{TextEncoding, algorithm_name, bucket_name, type_name, wire_time};
use super::error::{Code, Failure};
use super::front::Front;
use super::object::version;
use crate::access::{Action, Resource};

/// Largest page, in items.
const ITEMS_MAX: i32 = 1_000;
/// Marks a continuation token as ours; what follows is the text to go on behind.
const TOKEN_MARK: u8 = b'1';

/// How many items a page may have, from `max-keys` and its like.
pub(crate) fn page_size(asked: Option<i32>, name: &str) -> Result<(i32, usize), Failure> {
    let size = asked.unwrap_or(ITEMS_MAX).min(ITEMS_MAX);
    let limit = usize::try_from(size)
        .map_err(|_| Failure::argument(format!("Argument {name} must be an integer between 0 and 2147483647")))?;
    Ok((size, limit))
}

fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

pub(crate) async fn v1(
    front: &Front,
    req: S3Request<ListObjectsInput>,
) -> Result<S3Response<ListObjectsOutput>, Failure> {
    let input = req.input;
    let bucket = bucket_name(input.bucket)?;
    let store = front
        .open(&req.extensions, Action::ListBucket, Resource::Bucket(bucket.as_str()))
        .await?;
    let encoding = TextEncoding::of(input.encoding_type.as_ref())?;
    let (max_keys, limit) = page_size(input.max_keys, "max-keys")?;
    let (prefix, delimiter) = (input.prefix.unwrap_or_default(), given(input.delimiter));
    let list = ListObjects {
        bucket,
        prefix,
        delimiter: delimiter.clone().unwrap_or_default(),
        after: given(input.marker.clone()),
        limit,
    };
    let page = store.list_objects(&list).await?;
    let next = page.next.as_deref();
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(list.bucket.as_str().to_owned()),
        prefix: Some(encoding.write(&list.prefix)),
        marker: Some(encoding.write(input.marker.as_deref().unwrap_or_default())),
        max_keys: Some(max_keys),
        is_truncated: Some(next.is_some()),
        // Without a delimiter a client goes on behind the last key.
        next_marker: next.filter(|_| delimiter.is_some()).map(|next| encoding.write(next)),
        common_prefixes: Some(common_prefixes(&page, encoding)),
        contents: Some(contents(page, encoding, Some(front))),
        delimiter: delimiter.map(|delimiter| encoding.write(&delimiter)),
        encoding_type: encoding.echo(),
        request_charged: None,
    }))
}

pub(crate) async fn v2(
    front: &Front,
    req: S3Request<ListObjectsV2Input>,
) -> Result<S3Response<ListObjectsV2Output>, Failure> {
    let input = req.input;
    let bucket = bucket_name(input.bucket)?;
    let store = front
        .open(&req.extensions, Action::ListBucket, Resource::Bucket(bucket.as_str()))
        .await?;
    let encoding = TextEncoding::of(input.encoding_type.as_ref())?;
    let (max_keys, limit) = page_size(input.max_keys, "max-keys")?;
    let (prefix, delimiter) = (input.prefix.unwrap_or_default(), given(input.delimiter));
    let after = match given(input.continuation_token.clone()) {
        Some(token) => Some(read_token(&token)?),
        None => given(input.start_after.clone()),
    };
    let delimiter_text = delimiter.clone().unwrap_or_default();
    let list = ListObjects {
        bucket,
        prefix,
        delimiter: delimiter_text,
        after,
        limit,
    };
    let page = store.list_objects(&list).await?;
    let owners = input.fetch_owner.unwrap_or(false).then_some(front);
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(list.bucket.as_str().to_owned()),
        prefix: Some(encoding.write(&list.prefix)),
        max_keys: Some(max_keys),
        key_count: i32::try_from(page.items.len()).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_deref().map(write_token),
        common_prefixes: Some(common_prefixes(&page, encoding)),
        contents: Some(contents(page, encoding, owners)),
        delimiter: delimiter.map(|delimiter| encoding.write(&delimiter)),
        encoding_type: encoding.echo(),
        start_after: input.start_after.map(|after| encoding.write(&after)),
        request_charged: None,
    }))
}

pub(crate) async fn versions(
    front: &Front,
    req: S3Request<ListObjectVersionsInput>,
) -> Result<S3Response<ListObjectVersionsOutput>, Failure> {
    let input = req.input;
    let bucket = bucket_name(input.bucket)?;
    let store = front
        .open(
            &req.extensions,
            Action::ListBucketVersions,
            Resource::Bucket(bucket.as_str()),
        )
        .await?;
    let encoding = TextEncoding::of(input.encoding_type.as_ref())?;
    let (max_keys, limit) = page_size(input.max_keys, "max-keys")?;
    let (key_marker, version_marker) = (given(input.key_marker.clone()), given(input.version_id_marker.clone()));
    if version_marker.is_some() && key_marker.is_none() {
        return Err(Failure::argument(
            "A version-id marker cannot be specified without a key marker.",
        ));
    }
    let delimiter = given(input.delimiter);
    let list = ListVersions {
        bucket,
        prefix: input.prefix.unwrap_or_default(),
        delimiter: delimiter.clone().unwrap_or_default(),
        key_marker,
        version_marker: version(version_marker)?,
        limit,
    };
    let page = store.list_versions(&list).await?;
    let last_version = page.items.last().and_then(|last| match last {
        Listed::Item(listed) => Some(listed.version.to_string()),
        Listed::CommonPrefix(_) => None,
    });
    Ok(S3Response::new(ListObjectVersionsOutput {
        common_prefixes: Some(common_prefixes(&page, encoding)),
        delete_markers: None,
        delimiter: delimiter.map(|delimiter| encoding.write(&delimiter)),
        encoding_type: encoding.echo(),
        is_truncated: Some(page.next.is_some()),
        key_marker: Some(encoding.write(input.key_marker.as_deref().unwrap_or_default())),
        max_keys: Some(max_keys),
        name: Some(list.bucket.as_str().to_owned()),
        next_version_id_marker: last_version.filter(|_| page.next.is_some()),
        next_key_marker: page.next.as_deref().map(|next| encoding.write(next)),
        prefix: Some(encoding.write(&list.prefix)),
        request_charged: None,
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        versions: Some(
            page.items
                .into_iter()
                .filter_map(|item| object_version(front, item, encoding))
                .collect(),
        ),
    }))
}

fn read_token(token: &str) -> Result<String, Failure> {
    let invalid = || Failure::argument("The continuation token provided is incorrect");
    let bytes = base64_simd::URL_SAFE_NO_PAD
        .decode_to_vec(token)
        .map_err(|_| invalid())?;
    match bytes.split_first() {
        Some((&TOKEN_MARK, text)) => String::from_utf8(text.to_vec()).map_err(|_| invalid()),
        _ => Err(invalid()),
    }
}

fn write_token(text: &str) -> String {
    let mut bytes = vec![TOKEN_MARK];
    bytes.extend_from_slice(text.as_bytes());
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}

pub(crate) fn common_prefixes<T>(page: &ListPage<T>, encoding: TextEncoding) -> Vec<CommonPrefix> {
    page.items
        .iter()
        .filter_map(|item| match item {
            Listed::CommonPrefix(prefix) => Some(CommonPrefix {
                prefix: Some(encoding.write(prefix)),
            }),
            Listed::Item(_) => None,
        })
        .collect()
}

/// `owners` knows whose they are; `None`: it was not asked.
fn contents(page: ListPage<ListedObject>, encoding: TextEncoding, owners: Option<&Front>) -> Vec<WireObject> {
    page.items
        .into_iter()
        .filter_map(|item| match item {
            Listed::Item(listed) => Some(content(listed, encoding, owners)),
            Listed::CommonPrefix(_) => None,
        })
        .collect()
}

fn storage_class(object: &Object) -> String {
    object
        .metadata
        .storage_class
        .clone()
        .unwrap_or_else(|| ObjectStorageClass::STANDARD.to_owned())
}

fn content(ListedObject { key, object }: ListedObject, encoding: TextEncoding, owners: Option<&Front>) -> WireObject {
    let algorithm = |checksum: &storage_engine::store::checksum::ObjectChecksum| {
        vec![algorithm_name(checksum.value.algorithm()).to_owned().into()]
    };
    WireObject {
        checksum_algorithm: object.checksum.as_ref().map(algorithm),
        checksum_type: object
            .checksum
            .as_ref()
            .map(|checksum| type_name(checksum.kind).to_owned().into()),
        e_tag: Some(WireETag::Strong(object.etag.to_string())),
        key: Some(encoding.write(key.as_str())),
        last_modified: Some(wire_time(object.modified)),
        owner: owners.map(|front| front.owner(object.labels.owner.as_deref())),
        restore_status: None,
        size: i64::try_from(object.size).ok(),
        storage_class: Some(storage_class(&object).into()),
    }
}

fn object_version(front: &Front, item: Listed<ListedVersion>, encoding: TextEncoding) -> Option<ObjectVersion> {
    let Listed::Item(ListedVersion {
        key,
        version,
        is_latest,
        kind,
    }) = item
    else {
        return None;
    };
    // No bucket has delete markers yet.
    let VersionKind::Object(object) = kind else { return None };
    let class = storage_class(&object);
    let content = content(ListedObject { key, object }, encoding, Some(front));
    Some(ObjectVersion {
        checksum_algorithm: content.checksum_algorithm,
        checksum_type: content.checksum_type,
        e_tag: content.e_tag,
        is_latest: Some(is_latest),
        key: content.key,
        last_modified: content.last_modified,
        owner: content.owner,
        restore_status: None,
        size: content.size,
        storage_class: Some(ObjectVersionStorageClass::from(class)),
        version_id: Some(version.to_string()),
    })
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        match error {
            ListError::NoSuchBucket => Code::NO_SUCH_BUCKET.into(),
            ListError::Fault(fault) => fault.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{read_token, write_token};

    #[test]
    fn a_continuation_token_brings_any_key_back_and_nothing_else() {
        for text in ["a", "ü/\u{1}", "dir/"] {
            assert_eq!(read_token(&write_token(text)).unwrap(), text);
        }
        for bad in ["", "a", "!!", "MmE"] {
            assert!(read_token(bad).is_err(), "{bad}");
        }
    }
}
