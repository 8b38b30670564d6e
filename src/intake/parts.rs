//! How much the parts of an upload are together.

use storage_engine::store::Store;
use storage_engine::store::multipart::list::{ListParts, ListPartsError};
use storage_engine::store::name::{BucketName, ObjectKey, PartNumber, UploadId};

/// Parts that are looked at in one step.
const PAGE: usize = 1_000;

/// The bytes of those parts of an upload that count.
pub async fn size_of_parts(
    store: &Store,
    (bucket, key): (&BucketName, &ObjectKey),
    upload: &UploadId,
    counts: impl Fn(PartNumber) -> bool,
) -> Result<u64, ListPartsError> {
    let mut list = ListParts {
        bucket: bucket.clone(),
        key: key.clone(),
        upload: *upload,
        after: 0,
        limit: PAGE,
    };
    let mut size = 0_u64;
    loop {
        let page = store.list_parts(&list).await?;
        for (number, part) in &page.parts {
            if counts(*number) {
                size = size.saturating_add(part.size);
            }
        }
        match page.next {
            Some(next) => list.after = next.get(),
            None => return Ok(size),
        }
    }
}
