//! How single settings are written: lists, domains, durations, counts. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use storage_engine::store::name::BucketName;

use super::ConfigError;
use super::ellipses::{EXPANSION_MAX, expand};
use crate::policy::Network;

/// Networks and single addresses, separated by commas.
pub(super) fn networks(variable: &'static str, text: &str) -> Result<Vec<Network>, ConfigError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let read = |part| {
        Network::parse(part).ok_or_else(|| ConfigError::Value {
            variable,
            value: text.to_owned(),
            expected: "addresses and networks such as 10.0.0.1 or 10.0.0.0/8, separated by commas",
        })
    };
    parts.map(read).collect()
}

/// Drives from the command line, or, if it names none, from `MINIO_VOLUMES` (separated by white space).
pub(super) fn drives(paths: &[String], volumes: Option<&str>) -> Result<Vec<PathBuf>, ConfigError> {
    let from_volumes: Vec<String>;
    let arguments = if paths.is_empty() {
        from_volumes = volumes
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        &from_volumes
    } else {
        paths
    };
    let mut seen = BTreeSet::new();
    let mut drives = Vec::new();
    for argument in arguments {
        if argument.starts_with("http://") || argument.starts_with("https://") {
            return Err(ConfigError::RemoteDrive(argument.clone()));
        }
        for text in expand(argument)? {
            if text.is_empty() {
                return Err(ConfigError::NoDrives);
            }
            // "/data/" and "/data" are one drive, and so are "./data" and "data".
            let mut path: PathBuf = Path::new(&text)
                .components()
                .filter(|part| !matches!(part, Component::CurDir))
                .collect();
            if path.as_os_str().is_empty() {
                path.push(Component::CurDir);
            }
            if !seen.insert(path.clone()) {
                return Err(ConfigError::DriveTwice(text));
            }
            drives.push(path);
        }
    }
    match drives.len() {
        0 => Err(ConfigError::NoDrives),
        1..=EXPANSION_MAX => Ok(drives),
        _ => Err(ConfigError::TooManyDrives),
    }
}

fn bad(variable: &'static str, value: &str, expected: &'static str) -> ConfigError {
    ConfigError::Value {
        variable,
        value: value.to_owned(),
        expected,
    }
}

pub(super) fn domains(text: &str) -> Result<Vec<String>, ConfigError> {
    let mut domains: Vec<String> = Vec::new();
    for part in text
        .split(',')
        .map(|part| part.trim().trim_end_matches('.').to_ascii_lowercase())
    {
        if !is_host_name(&part) || part.parse::<IpAddr>().is_ok() {
            return Err(bad("MINIO_DOMAIN", text, "a list of domain names, separated by commas"));
        }
        if !domains.contains(&part) {
            domains.push(part);
        }
    }
    Ok(domains)
}

fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// `EC:m`, as MinIO writes a storage class. Whether `m` fits the drives is the engine's to say.
pub(super) fn parity(text: &str) -> Result<u8, ConfigError> {
    let parity = text.strip_prefix("EC:").and_then(|digits| digits.parse::<u8>().ok());
    parity.ok_or_else(|| bad("MINIO_STORAGE_CLASS_STANDARD", text, "EC:PARITY, such as EC:2"))
}

/// Buckets separated by commas or white space; a policy behind a colon is not built and refused.
pub(super) fn buckets(text: &str) -> Result<Vec<BucketName>, ConfigError> {
    let expected = "a list of bucket names, separated by commas (a policy behind a colon is not built yet)";
    let mut buckets: Vec<BucketName> = Vec::new();
    for name in text.split([',', ';', ' ', '\n', '\t']).filter(|name| !name.is_empty()) {
        let bucket = BucketName::parse(name).map_err(|_| bad("MINIO_DEFAULT_BUCKETS", text, expected))?;
        if !buckets.contains(&bucket) {
            buckets.push(bucket);
        }
    }
    Ok(buckets)
}

pub(super) fn server_url(text: &str) -> Result<String, ConfigError> {
    let expected = "a URL of scheme and host, such as https://store.example.net";
    let error = || bad("MINIO_SERVER_URL", text, expected);
    let uri = text.parse::<http::Uri>().map_err(|_| error())?;
    let scheme = uri
        .scheme_str()
        .filter(|scheme| matches!(*scheme, "http" | "https"))
        .ok_or_else(error)?;
    let authority = uri
        .authority()
        .filter(|authority| !authority.as_str().contains('@'))
        .ok_or_else(error)?;
    // A path before the bucket would be part of what clients sign and of no key.
    if uri.path() != "/" || uri.query().is_some() {
        return Err(error());
    }
    Ok(format!("{scheme}://{authority}"))
}

pub(super) fn metrics_public(text: &str) -> Result<bool, ConfigError> {
    match text {
        "public" => Ok(true),
        "jwt" => Ok(false),
        _ => Err(bad("MINIO_PROMETHEUS_AUTH_TYPE", text, "'jwt' or 'public'")),
    }
}

pub(super) fn level(text: &str) -> Result<tracing::Level, ConfigError> {
    text.parse()
        .map_err(|_| bad("DRYSTONE_LOG", text, "one of error, warn, info, debug, trace"))
}

pub(super) fn count(variable: &'static str, text: &str) -> Result<usize, ConfigError> {
    text.parse().map_err(|_| bad(variable, text, "a whole number"))
}

pub(super) fn is_on(text: &str) -> bool {
    ["on", "true", "1", "enable", "enabled", "yes"]
        .iter()
        .any(|on| text.eq_ignore_ascii_case(on))
}

/// A duration such as `10s`, `500ms`, `2m` or `1h`; at most a day.
pub(super) fn duration(variable: &'static str, text: &str) -> Result<Duration, ConfigError> {
    let error = || bad(variable, text, "a duration such as 10s, 500ms or 2m");
    let unit_at = text
        .find(|character: char| !character.is_ascii_digit())
        .ok_or_else(error)?;
    let (digits, unit) = text.split_at_checked(unit_at).ok_or_else(error)?;
    let amount = digits.parse::<u64>().map_err(|_| error())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(error()),
    };
    let duration = Duration::from_millis(amount.checked_mul(unit_ms).ok_or_else(error)?);
    if duration.is_zero() || duration > Duration::from_secs(24 * 3600) {
        return Err(error());
    }
    Ok(duration)
}
