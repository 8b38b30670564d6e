//! The buckets of `MINIO_DEFAULT_BUCKETS`: made once the store takes writes, never changed when they are there.

use std::time::Duration;

use storage_engine::store::Store;
use storage_engine::store::bucket::CreateBucketError;
use storage_engine::store::name::BucketName;

const PAUSE: Duration = Duration::from_secs(2);

/// Makes the buckets that are not there; those that could not be made come back.
pub(super) async fn make(store: &Store, buckets: Vec<BucketName>, region: &str) -> Vec<BucketName> {
    let mut left = Vec::new();
    for bucket in buckets {
        match store.create_bucket(&bucket, region).await {
            Ok(_) => tracing::info!(bucket = bucket.as_str(), "made the default bucket"),
            Err(CreateBucketError::Exists { .. }) => {}
            Err(error) => {
                tracing::warn!(bucket = bucket.as_str(), %error, "the default bucket is not made yet");
                left.push(bucket);
            }
        }
    }
    left
}

/// Goes on until all are made.
pub(super) async fn make_later(store: Store, mut buckets: Vec<BucketName>, region: String) {
    while !buckets.is_empty() {
        tokio::time::sleep(PAUSE).await;
        buckets = make(&store, buckets, &region).await;
    }
}
