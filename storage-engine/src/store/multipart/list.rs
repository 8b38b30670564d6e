//! ListParts and ListMultipartUploads.

use crate::backend::Key;
use crate::limits::LIST_ITEMS_MAX;
use crate::store::error::{Fault, faults_from_below};
use crate::store::list::{ListPage, Listed};
use crate::store::name::{BucketName, ObjectKey, PartNumber, UploadId};
use crate::store::record::Record;
use crate::store::record::part::Part;
use crate::store::record::upload::Upload;
use crate::store::{Store, key};

/// Which parts to list. `limit` is cut at 1,000 items.
#[derive(Clone, Debug)]
pub struct ListParts {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub upload: UploadId,
    /// Only parts with a greater number.
    pub after: u16,
    pub limit: usize,
}

#[derive(Clone, Debug)]
pub struct PartPage {
    pub upload: Upload,
    pub parts: Vec<(PartNumber, Part)>,
    /// The last number, if more follow: give it as `after` for the next page.
    pub next: Option<PartNumber>,
}

/// Which uploads to list. `limit` is cut at 1,000 items.
#[derive(Clone, Debug)]
pub struct ListUploads {
    pub bucket: BucketName,
    pub prefix: String,
    pub delimiter: String,
    /// Only uploads to keys greater than this one, and common prefixes greater than it.
    pub key_marker: Option<String>,
    /// With a key marker: also uploads to the marker's key with a greater id.
    pub upload_marker: Option<UploadId>,
    pub limit: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUpload {
    pub key: ObjectKey,
    pub id: UploadId,
    pub upload: Upload,
}

#[derive(Debug, thiserror::Error)]
pub enum ListPartsError {
    #[error("no such bucket")]
    NoSuchBucket,
    #[error("no such upload")]
    NoSuchUpload,
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(ListPartsError);

impl Store {
    /// A page of an upload's parts, by number.
    pub async fn list_parts(&self, list: &ListParts) -> Result<PartPage, ListPartsError> {
        let upload_key = key::upload(&list.bucket, &list.key, &list.upload);
        let Some((upload, _)) = self.find_upload(&upload_key).await? else {
            let exists = self.bucket_exists(&list.bucket).await?;
            return Err(if exists {
                ListPartsError::NoSuchUpload
            } else {
                ListPartsError::NoSuchBucket
            });
        };
        let limit = list.limit.min(LIST_ITEMS_MAX);
        let (parts, more) = self.part_rows(&upload_key, list.after, limit).await?;
        let next = parts.last().filter(|_| more).map(|(number, _, _)| *number);
        Ok(PartPage {
            upload,
            parts: parts.into_iter().map(|(number, part, _)| (number, part)).collect(),
            next,
        })
    }

    /// At most `limit` parts whose numbers are greater than `after`, with their bodies, and whether more follow.
    pub(super) async fn part_rows(
        &self,
        upload_key: &Key,
        after: u16,
        limit: usize,
    ) -> Result<(Vec<PartRow>, bool), Fault> {
        let Ok(first) = PartNumber::new(after.saturating_add(1)) else {
            return Ok((Vec::new(), false));
        };
        if limit == 0 {
            return Ok((Vec::new(), false));
        }
        let range = key::part(upload_key, first)..key::part_table(upload_key);
        let page = self.inner.backend.scan(range, limit).await?;
        let mut parts = Vec::with_capacity(page.items.len());
        for (row_key, row) in page.items {
            let number = key::parse_upload(&row_key).and_then(|parsed| PartNumber::new(parsed.part?).ok());
            let number = number.ok_or_else(|| Fault::Corrupt(format!("a part row with the key {row_key:?}")))?;
            parts.push((number, Part::from_value(&row.value)?, row.body));
        }
        Ok((parts, page.more))
    }

    /// A page of unfinished uploads, by key and then by the time they were begun.
    pub async fn list_uploads(
        &self,
        list: &ListUploads,
    ) -> Result<ListPage<ListedUpload>, crate::store::list::ListError> {
        if !self.bucket_exists(&list.bucket).await? {
            return Err(crate::store::list::ListError::NoSuchBucket);
        }
        let limit = list.limit.min(LIST_ITEMS_MAX);
        let mut page = ListPage {
            items: Vec::new(),
            next: None,
        };
        if limit == 0 {
            return Ok(page);
        }
        let beginning = key::uploads(&list.bucket, &list.prefix);
        let mut from = self.first_upload_after(list);
        loop {
            // One more than is wanted tells whether anything follows; groups are left by seeking behind them.
            let wanted = if list.delimiter.is_empty() {
                limit - page.items.len() + 1
            } else {
                limit.min(64)
            };
            let rows = self.upload_rows(&beginning, from.clone(), wanted).await?;
            let mut left_group = false;
            for (row_key, row) in &rows.items {
                let parsed = key::parse_upload(row_key)
                    .ok_or_else(|| Fault::Corrupt(format!("an upload row with the key {row_key:?}")))?;
                if page.items.len() == limit {
                    page.next = page.items.last().map(text_of);
                    return Ok(page);
                }
                from = Some(row_key.successor());
                match group_of(parsed.key, &list.prefix, &list.delimiter) {
                    Some(group) => {
                        from = key::uploads(&list.bucket, group).after_prefix();
                        page.items.push(Listed::CommonPrefix(group.to_owned()));
                        left_group = true;
                        break;
                    }
                    None => page.items.push(Listed::Item(ListedUpload {
                        key: ObjectKey::parse(parsed.key).map_err(|error| Fault::Corrupt(error.to_string()))?,
                        id: parsed.upload,
                        upload: Upload::from_value(&row.value)?,
                    })),
                }
            }
            if !left_group && !rows.more {
                return Ok(page);
            }
        }
    }

    fn first_upload_after(&self, list: &ListUploads) -> Option<Key> {
        let marker = list.key_marker.as_deref().filter(|marker| !marker.is_empty())?;
        if let Some(group) = group_of(marker, &list.prefix, &list.delimiter) {
            return key::uploads(&list.bucket, group).after_prefix();
        }
        let of_marker = key::uploads_of(&list.bucket, marker);
        match &list.upload_marker {
            Some(id) => Some(Key::new([of_marker.as_bytes(), id.as_bytes()].concat()).successor()),
            None => of_marker.after_prefix(),
        }
    }
}

/// A part's number, record and body.
pub(super) type PartRow = (PartNumber, Part, Option<crate::backend::BodyRef>);

/// The common prefix that a key is rolled up into, if any.
fn group_of<'k>(key: &'k str, prefix: &str, delimiter: &str) -> Option<&'k str> {
    if delimiter.is_empty() {
        return None;
    }
    let at = key.strip_prefix(prefix)?.find(delimiter)?;
    key.get(..prefix.len() + at + delimiter.len())
}

fn text_of(item: &Listed<ListedUpload>) -> String {
    match item {
        Listed::Item(listed) => listed.key.as_str().to_owned(),
        Listed::CommonPrefix(prefix) => prefix.clone(),
    }
}
