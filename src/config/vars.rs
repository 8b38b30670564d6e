//! The environment, read once: `MINIO_*` and `DRYSTONE_*` variables, their `_FILE` forms, and which of them mean nothing here.
//!
//! This is the one place that reads the process environment. Everything else works on the map it makes, so that every
//! rule can be tested as a table.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::{ConfigError, ldap, openid};

/// Reads a small text file; the process passes the real file system, tests pass a table.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// Settings that are honoured, by the name behind the prefix.
const HONOURED: &[&str] = &[
    "ROOT_USER",
    "ROOT_PASSWORD",
    "ACCESS_KEY",
    "SECRET_KEY",
    "ROOT_PASSWORD_OLD",
    "SECRET_KEY_OLD",
    "KMS_SECRET_KEY",
    "KMS_SECRET_KEY_OLD",
    "VOLUMES",
    "ADDRESS",
    "CONSOLE_ADDRESS",
    "DOMAIN",
    "SITE_REGION",
    "REGION",
    "STORAGE_CLASS_STANDARD",
    "DEFAULT_BUCKETS",
    "SERVER_URL",
    "API_CORS_ALLOW_ORIGIN",
    "API_REQUESTS_MAX",
    "API_REQUESTS_DEADLINE",
    "API_ROOT_ACCESS",
    "KMS_AUTO_ENCRYPTION",
    "PROMETHEUS_AUTH_TYPE",
    "CONFIG_ENV_FILE",
];

/// Settings of this server that MinIO does not have.
const OURS: &[&str] = &[
    "KMS_KEY",
    "KMS_KEY_OLD",
    "CERTS_DIR",
    "INDEX_DIR",
    "LOG",
    "CONNECTIONS_MAX",
    "ENDPOINT",
    "API_KEY",
    "TRUSTED_PROXIES",
    "OUTBOUND_NETWORKS",
    "OUTBOUND_HTTP",
    "FILES_FROM_URL",
    "SCAN",
    "SCAN_MAX_BYTES",
    "SCAN_TOO_LARGE",
    "SCAN_DOWN",
    "SCAN_SECRET",
];

/// Variables that ask for nothing this server leaves undone: update checks, and options that a service unit passes on.
const WITHOUT_EFFECT: &[&str] = &[
    "OPTS",
    // The password alone opens what is sealed, so the old names are not asked for.
    "ROOT_USER_OLD",
    "ACCESS_KEY_OLD",
    "UPDATE",
    "UPDATE_MINISIGN_PUBKEY",
    "BROWSER",
    "CI_CD",
    "CALLHOME_ENABLE",
    "USERNAME",
    "GROUPNAME",
];

/// The variables that concern this program, by full name.
#[derive(Clone, Default)]
pub struct Vars {
    by_name: BTreeMap<String, String>,
}

impl Vars {
    /// The environment of this process.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .collect()
    }

    /// The value of exactly this variable; an empty one counts as not set.
    pub fn exact(&self, name: &str) -> Option<&str> {
        self.by_name
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A setting by the name behind the prefix: `DRYSTONE_x`, `DRYSTONE_x_FILE`, `MINIO_x`, `MINIO_x_FILE`, in this order.
    pub fn setting(&self, name: &str, read: ReadFile<'_>) -> Result<Option<String>, ConfigError> {
        for prefix in ["DRYSTONE", "MINIO"] {
            let variable = format!("{prefix}_{name}");
            if let Some(value) = self.exact(&variable) {
                return Ok(Some(value.to_owned()));
            }
            let variable = format!("{variable}_FILE");
            if let Some(path) = self.exact(&variable) {
                return read_setting_file(&variable, path, read).map(Some);
            }
        }
        Ok(None)
    }

    /// What stands behind `stem` in the names of set variables, sorted: nothing, or what follows a `_`.
    pub(super) fn suffixes(&self, stem: &str) -> BTreeSet<String> {
        let of = |variable: &String| {
            let name = variable.strip_prefix("DRYSTONE_").or(variable.strip_prefix("MINIO_"))?;
            let rest = name.strip_prefix(stem)?;
            let rest = rest.strip_suffix("_FILE").unwrap_or(rest);
            match rest.strip_prefix('_') {
                Some(suffix) => Some(suffix.to_owned()),
                None => rest.is_empty().then(String::new),
            }
        };
        self.by_name.keys().filter_map(of).collect()
    }

    /// The variables of the file that `MINIO_CONFIG_ENV_FILE` names, laid over these.
    pub fn with_env_file(mut self, read: ReadFile<'_>) -> Result<Self, ConfigError> {
        let named = ["DRYSTONE_CONFIG_ENV_FILE", "MINIO_CONFIG_ENV_FILE"]
            .into_iter()
            .find_map(|variable| self.exact(variable).map(|path| (variable, path.to_owned())));
        let Some((variable, path)) = named else { return Ok(self) };
        let text = read_setting_file(variable, &path, read)?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line itself is not repeated: it may hold a secret.
            let (name, value) = line.split_once('=').ok_or_else(|| ConfigError::EnvFileLine {
                path: PathBuf::from(&path),
                line: number + 1,
            })?;
            self.by_name
                .insert(name.trim_end().to_owned(), unquoted(value.trim()).to_owned());
        }
        Ok(self)
    }

    /// Names of set variables with our prefixes that nothing here acts on, sorted.
    pub fn without_meaning(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        for (variable, value) in &self.by_name {
            let (name, ours) = match (variable.strip_prefix("MINIO_"), variable.strip_prefix("DRYSTONE_")) {
                (Some(name), _) => (name, false),
                (None, Some(name)) => (name, true),
                (None, None) => continue,
            };
            let stem = name.strip_suffix("_FILE").unwrap_or(name);
            let known = [name, stem]
                .iter()
                .any(|name| HONOURED.contains(name) || WITHOUT_EFFECT.contains(name) || (ours && OURS.contains(name)));
            let of_providers = openid::is_setting(name) || ldap::is_setting(name);
            if !known && !of_providers && !value.is_empty() {
                names.insert(variable.clone());
            }
        }
        names.into_iter().collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Vars {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self {
            by_name: pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }
}

impl std::fmt::Debug for Vars {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

/// A file named by a variable. A relative name is also looked for among a container's secrets.
fn read_setting_file(variable: &str, path: &str, read: ReadFile<'_>) -> Result<String, ConfigError> {
    let given = PathBuf::from(path);
    let mut result = read(&given);
    if result.is_err() && given.is_relative() {
        result = read(&Path::new("/run/secrets").join(&given)).or(result);
    }
    match result {
        Ok(text) => Ok(text.trim_end_matches(['\n', '\r']).to_owned()),
        Err(source) => Err(ConfigError::SettingFile {
            variable: variable.to_owned(),
            path: given,
            source,
        }),
    }
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}
