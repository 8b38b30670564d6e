//! GetObjectAttributes: what is known of an object without its bytes.

use s3s::dto::{
    Checksum as WireChecksum, ETag as WireETag, GetObjectAttributesInput, GetObjectAttributesOutput,
    GetObjectAttributesParts, ObjectPart, StorageClass,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::checksum::ChecksumType;
use storage_engine::store::record::object::Object;
use storage_engine::store::record::part_table::PartTable;

use super::read::{action_on, lookup, still_may};
use crate::access::{Action, Resource};
use crate::s3::convert::{checksum_text, http_time, set_checksum, type_name};
use crate::s3::error::Failure;
use crate::s3::front::Front;
use crate::s3::normalise::Lifted;

/// Most parts on one page.
const PARTS_MAX: i32 = 1_000;

pub(crate) async fn attributes(
    front: &Front,
    req: S3Request<GetObjectAttributesInput>,
) -> Result<S3Response<GetObjectAttributesOutput>, Failure> {
    let input = req.input;
    let get = lookup(input.bucket, input.key, input.version_id, None, &Lifted::default())?;
    // Attributes say what a read would, so they need its action, too.
    let action = match get.version {
        Some(_) => Action::GetObjectVersionAttributes,
        None => Action::GetObjectAttributes,
    };
    let resource = Resource::Object {
        bucket: get.bucket.as_str(),
        key: get.key.as_str(),
    };
    let read = action_on(get.version.is_some());
    let may_read = front.open_judged(&req.extensions, read, resource).await?.basis;
    let asked = front.open_judged(&req.extensions, action, resource).await?;
    let (store, may_ask) = (asked.store, asked.basis);
    let (object, table) = match store.object_parts(&get).await {
        Ok(found) => found,
        Err(error) => return Err(front.told(&req.extensions, (&get.bucket, &get.key), error.into()).await),
    };
    for (action, basis) in [(read, may_read), (action, may_ask)] {
        still_may((front, basis), &req.extensions, (action, &get), &object).await?;
    }
    let mut output = GetObjectAttributesOutput {
        last_modified: Some(http_time(object.modified)),
        ..Default::default()
    };
    let asked = input
        .object_attributes
        .iter()
        .flat_map(|names| names.as_str().split(','));
    for name in asked {
        match name.trim() {
            "ETag" => output.e_tag = Some(WireETag::Strong(object.etag.to_string())),
            "Checksum" => output.checksum = checksum(&object),
            "ObjectParts" => {
                let page = |table: &PartTable| parts(table, input.max_parts, input.part_number_marker);
                output.object_parts = table.as_ref().map(page).transpose()?;
            }
            "ObjectSize" => output.object_size = i64::try_from(object.size).ok(),
            "StorageClass" => {
                let class = object.metadata.storage_class.clone();
                output.storage_class = Some(class.unwrap_or_else(|| StorageClass::STANDARD.to_owned()).into());
            }
            _ => return Err(Failure::argument("Invalid attribute name specified.")),
        }
    }
    let mut response = S3Response::new(output);
    response.extensions.insert(BareETag);
    Ok(response)
}

/// Marks the one answer whose document has its ETag without quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BareETag;

/// Of how many parts' checksums an object's checksum was taken, if it was.
pub(crate) fn composite_of(object: &Object) -> Option<usize> {
    let composite = object.checksum.as_ref()?.kind == ChecksumType::Composite;
    object.parts.as_ref().filter(|_| composite).map(|parts| parts.count())
}

fn checksum(object: &Object) -> Option<WireChecksum> {
    let checksum = object.checksum.as_ref()?;
    let mut wire = WireChecksum::default();
    set_checksum!(
        wire,
        checksum.value,
        checksum_text(&checksum.value, composite_of(object))
    );
    wire.checksum_type = Some(type_name(checksum.kind).to_owned().into());
    Some(wire)
}

fn parts(table: &PartTable, max_parts: Option<i32>, marker: Option<i32>) -> Result<GetObjectAttributesParts, Failure> {
    let max = max_parts.unwrap_or(PARTS_MAX).min(PARTS_MAX);
    let (Ok(limit), Ok(after)) = (usize::try_from(max), u16::try_from(marker.unwrap_or(0))) else {
        return Err(Failure::argument(
            "x-amz-max-parts and x-amz-part-number-marker must not be negative.",
        ));
    };
    let total = i32::try_from(table.parts.len()).ok();
    let mut following = table.parts.iter().filter(|part| part.number > after).peekable();
    let mut page = Vec::new();
    while let Some(part) = following.next_if(|_| page.len() < limit) {
        let mut wire = ObjectPart {
            part_number: Some(i32::from(part.number)),
            size: i64::try_from(part.size).ok(),
            ..Default::default()
        };
        if let Some(checksum) = &part.checksum {
            set_checksum!(wire, checksum, checksum_text(checksum, None));
        }
        page.push(wire);
    }
    let truncated = following.peek().is_some();
    Ok(GetObjectAttributesParts {
        is_truncated: Some(truncated),
        max_parts: Some(max),
        next_part_number_marker: page.last().and_then(|part| part.part_number),
        part_number_marker: Some(i32::from(after)),
        parts: Some(page),
        total_parts_count: total,
    })
}
