//! The configuration as settings that `mc admin config` shows: those that MinIO has a name for and that hold here.

use crate::admin::settings::Setting;
use crate::config::{Config, Limits, Origins};

/// All of them, those of one group beside each other.
pub(super) fn of(config: &Config) -> Vec<Setting> {
    let (limits, default) = (config.limits, Limits::default());
    let origins = match &config.origins {
        Origins::Any => "*".to_owned(),
        Origins::Matching(patterns) => patterns.join(","),
        Origins::Nobody => "none".to_owned(),
    };
    vec![
        Setting {
            subsystem: "api",
            key: "requests_max",
            value: limits
                .requests_max
                .map_or_else(|| "0".to_owned(), |max| max.to_string()),
            given: limits.requests_max.is_some(),
            variable: "MINIO_API_REQUESTS_MAX",
            description: "S3 requests worked on at once; 0 leaves it to the server",
            kind: "number",
        },
        Setting {
            subsystem: "api",
            key: "requests_deadline",
            value: format!("{}s", limits.requests_deadline.as_secs()),
            given: limits.requests_deadline != default.requests_deadline,
            variable: "MINIO_API_REQUESTS_DEADLINE",
            description: "how long a request waits for its turn",
            kind: "duration",
        },
        Setting {
            subsystem: "api",
            key: "cors_allow_origin",
            value: origins,
            given: config.origins != Origins::Any,
            variable: "MINIO_API_CORS_ALLOW_ORIGIN",
            description: "origins whose pages may use the store from a browser",
            kind: "csv",
        },
        Setting {
            subsystem: "site",
            key: "region",
            value: config.region.clone().unwrap_or_default(),
            given: config.region.is_some(),
            variable: "MINIO_SITE_REGION",
            description: "the only region that signatures may name; any if empty",
            kind: "string",
        },
        Setting {
            subsystem: "storage_class",
            key: "standard",
            value: config.parity.map_or_else(String::new, |parity| format!("EC:{parity}")),
            given: config.parity.is_some(),
            variable: "MINIO_STORAGE_CLASS_STANDARD",
            description: "parity of a store that is made now; by the number of drives if empty",
            kind: "string",
        },
    ]
}
