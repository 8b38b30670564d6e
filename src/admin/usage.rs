//! MinIO's documents about what buckets hold: `datausageinfo`, and `accountinfo` of the caller. Pure; the figures are those
//! of one count, whose time stands in the documents.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use storage_engine::store::clock::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::info::{self, View};
use crate::usage::{BucketUsage, Figures, SIZES};

/// A time that MinIO's clients read as none.
pub(super) const NEVER: &str = "0001-01-01T00:00:00Z";

/// A time as MinIO's clients read it.
pub(super) fn shown(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| NEVER.to_owned())
}

/// As [`shown`].
pub(super) fn shown_millis(at: Timestamp) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.millis()) * 1_000_000);
    at.map_or_else(|_| NEVER.to_owned(), shown)
}

fn histogram(usage: &BucketUsage) -> Value {
    let classes = SIZES.iter().zip(usage.sizes);
    let classes = classes.map(|((name, _), count)| ((*name).to_owned(), Value::from(count)));
    Value::Object(classes.collect::<Map<_, _>>())
}

/// `GET datausageinfo`. Before the first count has ended there are no figures, and the document says so by its time.
pub(super) fn data_usage(view: &View<'_>, capacity: bool) -> Value {
    let none = Figures {
        counted_at: OffsetDateTime::UNIX_EPOCH,
        buckets: BTreeMap::new(),
    };
    let figures = view.usage.unwrap_or(&none);
    let by_bucket = |shown: fn(&BucketUsage) -> Value| {
        let buckets = figures.buckets.iter().map(|(name, usage)| (name.clone(), shown(usage)));
        Value::Object(buckets.collect::<Map<_, _>>())
    };
    let mut document = json!({
        "lastUpdate": view.usage.map_or_else(|| NEVER.to_owned(), |figures| shown(figures.counted_at)),
        "objectsCount": figures.objects(),
        "versionsCount": figures.objects(),
        "deleteMarkersCount": 0,
        "objectsTotalSize": figures.bytes(),
        "bucketsCount": figures.buckets.len(),
        "bucketsSizes": by_bucket(|usage| usage.bytes.into()),
        "bucketsUsageInfo": by_bucket(|usage| json!({
            "size": usage.bytes,
            "objectsCount": usage.objects,
            "versionsCount": usage.objects,
            "deleteMarkersCount": 0,
            "objectsSizesHistogram": histogram(usage),
            "objectsVersionsHistogram": { "UNVERSIONED": usage.objects },
        })),
    });
    if let (true, Some(fields)) = (capacity, document.as_object_mut()) {
        let (total, free) = view.space();
        fields.insert("capacity".into(), total.into());
        fields.insert("freeCapacity".into(), free.into());
        fields.insert("usedCapacity".into(), total.saturating_sub(free).into());
    }
    document
}

/// The policy of root: everything.
pub(super) fn everything() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": ["admin:*"] },
            { "Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"] },
        ],
    })
}

/// A bucket that a caller may look into, or write to.
pub(super) struct Reachable<'a> {
    pub(super) name: &'a str,
    pub(super) created: Timestamp,
    pub(super) read: bool,
    pub(super) write: bool,
}

/// `GET accountinfo`.
pub(super) fn account(view: &View<'_>, name: &str, policy: &Value, buckets: &[Reachable<'_>]) -> Value {
    let buckets = buckets.iter().map(|bucket| {
        let usage = view.usage.and_then(|figures| figures.buckets.get(bucket.name));
        json!({
            "name": bucket.name,
            "created": shown_millis(bucket.created),
            "size": usage.map_or(0, |usage| usage.bytes),
            "objects": usage.map_or(0, |usage| usage.objects),
            "objectHistogram": usage.map(histogram).unwrap_or_default(),
            "objectVersionsHistogram": usage.map(|usage| json!({ "UNVERSIONED": usage.objects })).unwrap_or_default(),
            "access": { "read": bucket.read, "write": bucket.write },
            "details": { "versioning": false, "versioningSuspended": false, "locking": false, "replication": false },
        })
    });
    json!({
        "AccountName": name,
        "Server": info::backend(view),
        "Policy": policy,
        "Buckets": buckets.collect::<Vec<_>>(),
    })
}
