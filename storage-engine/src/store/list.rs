//! Listings of objects: pages of keys and common prefixes, in byte order.
//!
//! Owns what ListObjects, ListObjectsV2 and ListObjectVersions share. The backend rolls groups up, so the cost of a page
//! follows what it returns.

use bytes::Bytes;

use crate::backend::{Entry, GroupedScan};
use crate::limits::LIST_ITEMS_MAX;
#[cfg(test)]
use crate::planted;
use crate::store::clock::Timestamp;
use crate::store::error::{Fault, faults_from_below};
use crate::store::name::{BucketName, ObjectKey, VersionId};
use crate::store::record::Record;
use crate::store::record::object::Object;
use crate::store::{Store, key};

/// Which objects to list. `limit` is cut at 1,000 items.
#[derive(Clone, Debug)]
pub struct ListObjects {
    pub bucket: BucketName,
    pub prefix: String,
    /// Keys that have this text behind the prefix are rolled up; empty: none are.
    pub delimiter: String,
    /// Only keys and common prefixes greater than this text; one that is a common prefix is skipped whole.
    pub after: Option<String>,
    pub limit: usize,
}

/// One item of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed<T> {
    Item(T),
    CommonPrefix(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub key: ObjectKey,
    pub object: Object,
}

/// A page of a listing, items and common prefixes together in byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage<T> {
    pub items: Vec<Listed<T>>,
    /// The last item's text, if more follows: give it as `after` for the next page.
    pub next: Option<String>,
}

/// Which versions to list. `limit` is cut at 1,000 items.
#[derive(Clone, Debug)]
pub struct ListVersions {
    pub bucket: BucketName,
    pub prefix: String,
    pub delimiter: String,
    pub key_marker: Option<String>,
    /// Only versions of the marker's key that follow this one; without it, none of that key.
    pub version_marker: Option<VersionId>,
    pub limit: usize,
}

/// A version or a delete marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    pub key: ObjectKey,
    pub version: VersionId,
    pub is_latest: bool,
    pub kind: VersionKind,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are objects, and a page lives as long as its answer"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionKind {
    Object(Object),
    DeleteMarker { modified: Timestamp },
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("no such bucket")]
    NoSuchBucket,
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(ListError);

impl Store {
    /// A page of current objects. A key that was present throughout all pages is neither skipped nor doubled.
    pub async fn list_objects(&self, list: &ListObjects) -> Result<ListPage<ListedObject>, ListError> {
        if !self.bucket_exists(&list.bucket).await? {
            return Err(ListError::NoSuchBucket);
        }
        let limit = list.limit.min(LIST_ITEMS_MAX);
        if limit == 0 {
            return Ok(ListPage {
                items: Vec::new(),
                next: None,
            });
        }
        let beginning = key::currents(&list.bucket, "");
        let scan = GroupedScan {
            prefix: key::currents(&list.bucket, &list.prefix),
            delimiter: Bytes::copy_from_slice(list.delimiter.as_bytes()),
            after: list.after.as_deref().map(|after| key::currents(&list.bucket, after)),
            limit,
        };
        let page = self.inner.backend.scan_grouped(scan).await?;
        let text = |row_key: &crate::backend::Key| {
            let text = key::text_after(row_key, &beginning).map(str::to_owned);
            text.ok_or_else(|| Fault::Corrupt(format!("an object row with the key {row_key:?}")))
        };
        let mut items = Vec::with_capacity(page.items.len());
        for entry in &page.items {
            items.push(match entry {
                Entry::Group(group) => Listed::CommonPrefix(text(group)?),
                Entry::Row(row_key, row) => Listed::Item(ListedObject {
                    key: ObjectKey::parse(text(row_key)?).map_err(|error| Fault::Corrupt(error.to_string()))?,
                    object: Object::from_value(&row.value)?,
                }),
            });
        }
        let next = items.last().filter(|_| page.more).map(|item| match item {
            Listed::Item(listed) => listed.key.as_str().to_owned(),
            Listed::CommonPrefix(prefix) => prefix.clone(),
        });
        #[cfg(test)]
        if list.after.is_some() && !items.is_empty() && planted::is(planted::Bug::SkippedKey) {
            items.remove(0);
        }
        #[cfg(test)]
        let next = next.filter(|_| list.after.is_none() || !planted::is(planted::Bug::LostLastPage));
        Ok(ListPage { items, next })
    }

    /// A page of all versions. A bucket without versioning has one of each key: `null`, the latest.
    pub async fn list_versions(&self, list: &ListVersions) -> Result<ListPage<ListedVersion>, ListError> {
        let objects = ListObjects {
            bucket: list.bucket.clone(),
            prefix: list.prefix.clone(),
            delimiter: list.delimiter.clone(),
            // No key has a version behind its only one, whatever the version marker says.
            after: list.key_marker.clone(),
            limit: list.limit,
        };
        let page = self.list_objects(&objects).await?;
        let version = |item| match item {
            Listed::CommonPrefix(prefix) => Listed::CommonPrefix(prefix),
            Listed::Item(ListedObject { key, object }) => Listed::Item(ListedVersion {
                key,
                version: VersionId::Null,
                is_latest: true,
                kind: VersionKind::Object(object),
            }),
        };
        Ok(ListPage {
            items: page.items.into_iter().map(version).collect(),
            next: page.next,
        })
    }
}
