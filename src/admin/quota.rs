//! `mc quota`: how much a bucket may hold, in MinIO's documents. The store holds the bucket to it; nothing is judged here.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use storage_engine::store::Store;
use storage_engine::store::bucket::BucketError;
use storage_engine::store::name::BucketName;
use storage_engine::store::record::settings::Quota;
use storage_engine::store::settings::SettingsError;

use super::error::AdminError;
use super::query::Query;

/// What clients send. Of `quota` and `size`, older ones know the first only.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    quota: u64,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    rate: u64,
    #[serde(default)]
    requests: u64,
    #[serde(default)]
    quotatype: String,
}

fn bucket(query: &Query) -> Result<BucketName, AdminError> {
    let name = query.must("bucket")?.trim_end_matches('/');
    BucketName::parse(name).map_err(|_| no_such_bucket())
}

fn no_such_bucket() -> AdminError {
    AdminError::Minio {
        code: "NoSuchBucket",
        status: StatusCode::NOT_FOUND,
        message: "The specified bucket does not exist".into(),
    }
}

/// `PUT set-bucket-quota`; without a size the quota goes. It holds for every write that begins after the answer.
pub(super) async fn set(store: &Store, query: &Query, body: &[u8]) -> Result<(), AdminError> {
    let bucket = bucket(query)?;
    let asked: Asked = serde_json::from_slice(body).map_err(|error| AdminError::Unreadable(error.to_string()))?;
    if asked.rate != 0 || asked.requests != 0 {
        return Err(AdminError::NotBuilt("A quota of requests or of bandwidth"));
    }
    if !matches!(asked.quotatype.as_str(), "" | "hard") {
        return Err(AdminError::Argument("The quota type must be hard.".into()));
    }
    let bytes = if asked.size > 0 { asked.size } else { asked.quota };
    let quota = (bytes > 0).then_some(Quota { bytes });
    let changed = store.change_settings(&bucket, |settings| settings.quota = quota).await;
    changed.map_err(|error| match error {
        SettingsError::NoSuchBucket => no_such_bucket(),
        SettingsError::BucketBusy | SettingsError::TooLarge { .. } => AdminError::Refused(error.to_string()),
        SettingsError::Fault(fault) => AdminError::Unavailable(fault.to_string()),
    })
}

/// `GET get-bucket-quota`.
pub(super) async fn get(store: &Store, query: &Query) -> Result<Value, AdminError> {
    let settings = store.settings_of(&bucket(query)?).await.map_err(|error| match error {
        BucketError::NoSuchBucket => no_such_bucket(),
        BucketError::Fault(fault) => AdminError::Unavailable(fault.to_string()),
    })?;
    let Some(Quota { bytes }) = settings.quota else {
        return Err(AdminError::Minio {
            code: "XMinioAdminNoSuchQuotaConfiguration",
            status: StatusCode::NOT_FOUND,
            message: "The quota configuration does not exist".into(),
        });
    };
    Ok(json!({ "quota": bytes, "size": bytes, "rate": 0, "requests": 0, "quotatype": "hard" }))
}
