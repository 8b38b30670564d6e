//! Configuration: command line and environment in, one checked and immutable [`Config`] out.
//!
//! A pure function of arguments, variables and small files, so that every rule is a row in a table test. It owns the
//! rules of MinIO's variables (`DRYSTONE_*` wins) and never opens a drive or a socket; `credentials` alone writes a
//! file, and only when the server asks for it.

mod address;
pub mod aliases;
pub mod client;
pub mod credentials;
mod ellipses;
mod error;
mod ldap;
mod openid;
mod operator_key;
mod origins;
mod scan;
mod secret;
pub mod stored;
mod values;
mod vars;

use std::path::PathBuf;
use std::time::Duration;

use storage_engine::store::name::BucketName;

use crate::outbound::Rules;
use crate::policy::Network;

pub use address::{AddressError, ListenAddress};
pub use ellipses::{EXPANSION_MAX, EllipsesError, expand};
pub use error::ConfigError;
pub use ldap::{LdapGroups, LdapSecurity, LdapServer};
pub use openid::{Grants, OpenIdProvider};
pub use operator_key::OperatorKey;
pub use origins::Origins;
pub use scan::{Down, ScanConfig, ScannerAddress, TooLarge};
pub use secret::Secret;
pub use stored::Environment;
pub use vars::{ReadFile, Vars};

/// User and password that MinIO's users expect when nothing is configured; used on loopback only.
pub const DEFAULT_ROOT: (&str, &str) = ("minioadmin", "minioadmin");

const DEFAULT_PORT: u16 = 9000;

/// What the command line of `server` said, unchecked.
#[derive(Clone, Debug, Default)]
pub struct ServerArgs {
    pub paths: Vec<String>,
    pub address: Option<String>,
    pub console_address: Option<String>,
    pub certs_dir: Option<PathBuf>,
    pub index_dir: Option<PathBuf>,
    pub adopt: bool,
    pub add_drives: bool,
    pub json: bool,
    pub quiet: bool,
}

/// Everything the server was told, checked. It never changes while the server runs.
#[derive(Clone, Debug)]
pub struct Config {
    pub drives: Vec<PathBuf>,
    pub address: ListenAddress,
    pub console_address: Option<ListenAddress>,
    /// Folders looked into for `public.crt` and `private.key`; TLS is on with the first that has both.
    pub certs_dirs: Vec<PathBuf>,
    /// Whether the operator named the folder: then a missing certificate is worth a warning.
    pub certs_dir_given: bool,
    pub index_dir: Option<PathBuf>,
    /// The operator's word that a drive which is gone may be replaced by the empty one in its place.
    pub adopt: bool,
    /// The operator's word that empty directories at given paths where no drive of the store ever was are new drives.
    pub add_drives: bool,
    pub root: RootSource,
    /// The root password before the present one: what it sealed is sealed anew at start.
    pub old_root_password: Option<Secret>,
    /// Seals the users' secrets in the root password's place.
    pub operator_key: Option<OperatorKey>,
    /// The operator's key before the present one, or the one that is given up: what it sealed is sealed anew at start.
    pub old_operator_key: Option<OperatorKey>,
    /// Issuers of tokens that temporary credentials are given out for.
    pub openid: Vec<OpenIdProvider>,
    /// The LDAP server whose users temporary credentials are given out to.
    pub ldap: Option<LdapServer>,
    /// Host suffixes under which a bucket name is the first label; lower case.
    pub domains: Vec<String>,
    /// The only region that signatures may name; any when unset.
    pub region: Option<String>,
    /// Parity from `EC:m`; by member count when unset.
    pub parity: Option<u8>,
    /// Buckets to make at start if they are not there.
    pub default_buckets: Vec<BucketName>,
    /// The address under which clients reach the server through a proxy.
    pub server_url: Option<String>,
    /// Whose pages may use the store from a browser.
    pub origins: Origins,
    /// Proxies whose word on where a request came from counts; of all others it is ignored.
    pub trusted_proxies: Vec<Network>,
    /// Where the server calls when an application names an address.
    pub outbound: Rules,
    /// Whether it fetches files that applications name.
    pub files_from_url: bool,
    /// Who scans what is uploaded; `None`: nobody.
    pub scan: Option<ScanConfig>,
    pub limits: Limits,
    /// Metrics without a token.
    pub metrics_public: bool,
    pub output: Output,
    /// What the environment says of the settings that can be stored.
    pub environment: Environment,
    /// What the operator should read once, at start.
    pub warnings: Vec<String>,
}

/// Where the root user's credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootSource {
    Given {
        user: String,
        password: Secret,
    },
    /// [`DEFAULT_ROOT`]: nothing was configured and only this machine can connect.
    Default,
    /// Nothing was configured and others can connect: made once, then kept on the drives.
    Kept,
}

/// Caps that protect the server from its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections open at once.
    pub connections_max: usize,
    /// Most S3 requests worked on at once; `None` leaves it to the connection cap.
    pub requests_max: Option<usize>,
    /// How long a request waits for its turn under `requests_max`.
    pub requests_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            requests_max: None,
            requests_deadline: Duration::from_secs(10),
        }
    }
}

/// How the server speaks to its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    pub json: bool,
    pub quiet: bool,
    pub level: tracing::Level,
}

impl Config {
    /// Checks everything that can be checked without touching drives or network.
    pub fn resolve(args: ServerArgs, vars: Vars, read: ReadFile<'_>) -> Result<Self, ConfigError> {
        let vars = vars.with_env_file(read)?;
        let setting = |name: &str| vars.setting(name, read);
        let mut warnings = Vec::new();

        refuse_what_would_be_ignored(&setting)?;
        let root = root_credentials(&setting)?;
        let drives = values::drives(&args.paths, setting("VOLUMES")?.as_deref())?;
        let given_address = match &args.address {
            Some(text) => Some(ListenAddress::parse(text)?),
            None => setting("ADDRESS")?
                .map(|text| ListenAddress::parse(&text))
                .transpose()?,
        };
        let (root, address) = pair(root, given_address);
        warn_of_known_password(&root, &address, &mut warnings);
        let console = match args.console_address {
            Some(text) => Some(text),
            None => setting("CONSOLE_ADDRESS")?,
        };
        let certs_dir = args.certs_dir.or(setting("CERTS_DIR")?.map(PathBuf::from));
        warn_of_no_meaning(&vars, &mut warnings);
        Ok(Self {
            drives,
            address,
            console_address: console.map(|text| ListenAddress::parse(&text)).transpose()?,
            certs_dir_given: certs_dir.is_some(),
            certs_dirs: match certs_dir {
                Some(folder) => vec![folder],
                None => default_certs_dirs(&vars),
            },
            index_dir: args.index_dir.or(setting("INDEX_DIR")?.map(PathBuf::from)),
            adopt: args.adopt,
            add_drives: args.add_drives,
            root,
            old_root_password: either(&setting, "ROOT_PASSWORD_OLD", "SECRET_KEY_OLD")?.map(Secret::new),
            operator_key: operator_key(&setting, "KMS_KEY", "KMS_SECRET_KEY")?,
            old_operator_key: operator_key(&setting, "KMS_KEY_OLD", "KMS_SECRET_KEY_OLD")?,
            openid: openid::providers(&vars, read, &mut warnings)?,
            ldap: ldap::server(&vars, read, &mut warnings)?,
            domains: list(setting("DOMAIN")?, values::domains)?,
            region: either(&setting, "SITE_REGION", "REGION")?,
            parity: setting("STORAGE_CLASS_STANDARD")?
                .map(|text| values::parity(&text))
                .transpose()?,
            default_buckets: list(setting("DEFAULT_BUCKETS")?, values::buckets)?,
            server_url: setting("SERVER_URL")?
                .map(|text| values::server_url(&text))
                .transpose()?,
            origins: setting("API_CORS_ALLOW_ORIGIN")?
                .map(|text| Origins::parse(&text))
                .transpose()?
                .unwrap_or(Origins::Any),
            trusted_proxies: networks(&setting, "TRUSTED_PROXIES", "DRYSTONE_TRUSTED_PROXIES")?,
            outbound: outbound(&setting)?,
            files_from_url: setting("FILES_FROM_URL")?.as_deref().is_some_and(values::is_on),
            scan: scan::scan(&setting)?,
            limits: limits(&setting)?,
            metrics_public: metrics_public(&setting)?,
            output: Output {
                json: args.json,
                quiet: args.quiet,
                level: setting("LOG")?
                    .map(|text| values::level(&text))
                    .transpose()?
                    .unwrap_or(tracing::Level::INFO),
            },
            environment: Environment::read(&vars, read)?,
            warnings,
        })
    }
}

/// Where certificates lie when nobody says; the second is where MinIO's users have them mounted.
fn default_certs_dirs(vars: &Vars) -> Vec<PathBuf> {
    let Some(home) = vars.exact("HOME").map(PathBuf::from) else {
        return Vec::new();
    };
    vec![home.join(".drystone/certs"), home.join(".minio/certs")]
}

type Setting<'a> = &'a dyn Fn(&str) -> Result<Option<String>, ConfigError>;

/// A setting, or the same one under its other name.
fn either(setting: Setting<'_>, name: &str, other: &str) -> Result<Option<String>, ConfigError> {
    match setting(name)? {
        Some(value) => Ok(Some(value)),
        None => setting(other),
    }
}

/// Settings whose silent neglect would leave data less safe than the operator believes.
fn refuse_what_would_be_ignored(setting: Setting<'_>) -> Result<(), ConfigError> {
    if setting("KMS_AUTO_ENCRYPTION")?.as_deref().is_some_and(values::is_on) {
        return Err(ConfigError::NotBuilt {
            variable: "KMS_AUTO_ENCRYPTION",
            what: "encryption at rest",
        });
    }
    if setting("API_ROOT_ACCESS")?
        .as_deref()
        .is_some_and(|text| !values::is_on(text))
    {
        return Err(ConfigError::NotBuilt {
            variable: "API_ROOT_ACCESS",
            what: "switching the root user off",
        });
    }
    Ok(())
}

fn root_credentials(setting: Setting<'_>) -> Result<Option<RootSource>, ConfigError> {
    let user = either(setting, "ROOT_USER", "ACCESS_KEY")?;
    let password = either(setting, "ROOT_PASSWORD", "SECRET_KEY")?.map(Secret::new);
    match (user, password) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::HalfCredentials {
            given: "MINIO_ROOT_USER",
            missing: "MINIO_ROOT_PASSWORD",
        }),
        (None, Some(_)) => Err(ConfigError::HalfCredentials {
            given: "MINIO_ROOT_PASSWORD",
            missing: "MINIO_ROOT_USER",
        }),
        (Some(user), Some(password)) => {
            credentials::check(&user, &password)?;
            Ok(Some(RootSource::Given { user, password }))
        }
    }
}

fn operator_key(
    setting: Setting<'_>,
    name: &'static str,
    other: &'static str,
) -> Result<Option<OperatorKey>, ConfigError> {
    let given = either(setting, name, other)?;
    let read = |text: Secret| OperatorKey::parse(text.expose()).ok_or(ConfigError::OperatorKey { name, other });
    given.map(Secret::new).map(read).transpose()
}

/// What to listen on depends on the credentials, and the other way round: well-known ones never leave this machine.
fn pair(root: Option<RootSource>, address: Option<ListenAddress>) -> (RootSource, ListenAddress) {
    match (root, address) {
        (Some(root), Some(address)) => (root, address),
        (Some(root), None) => (root, ListenAddress::new(None, DEFAULT_PORT)),
        (None, None) => (RootSource::Default, ListenAddress::new(Some("127.0.0.1"), DEFAULT_PORT)),
        (None, Some(address)) if address.is_loopback() => (RootSource::Default, address),
        (None, Some(address)) => (RootSource::Kept, address),
    }
}

fn warn_of_known_password(root: &RootSource, address: &ListenAddress, warnings: &mut Vec<String>) {
    match root {
        RootSource::Default => warnings.push(format!(
            "THE ROOT USER IS {}/{}, WHICH EVERYBODY KNOWS. Only this machine can connect ({address}). \
             Set MINIO_ROOT_USER and MINIO_ROOT_PASSWORD before anything real is stored.",
            DEFAULT_ROOT.0, DEFAULT_ROOT.1
        )),
        RootSource::Given { password, .. } if password.expose() == DEFAULT_ROOT.1 && !address.is_loopback() => {
            warnings.push(format!(
                "THE ROOT PASSWORD IS THE ONE EVERYBODY KNOWS, and others can connect ({address}). \
                 Set MINIO_ROOT_PASSWORD to a secret of your own."
            ));
        }
        RootSource::Given { .. } | RootSource::Kept => {}
    }
}

fn warn_of_no_meaning(vars: &Vars, warnings: &mut Vec<String>) {
    let names = vars.without_meaning();
    if !names.is_empty() {
        warnings.push(format!(
            "these variables have no effect here, check them for typing errors: {}",
            names.join(", ")
        ));
    }
}

/// What a setting lists; nothing if it is not set.
fn list<T>(
    text: Option<String>,
    read: impl FnOnce(&str) -> Result<Vec<T>, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    text.map_or_else(|| Ok(Vec::new()), |text| read(&text))
}

fn networks(setting: Setting<'_>, name: &str, variable: &'static str) -> Result<Vec<Network>, ConfigError> {
    list(setting(name)?, |text| values::networks(variable, text))
}

fn outbound(setting: Setting<'_>) -> Result<Rules, ConfigError> {
    Ok(Rules {
        networks: networks(setting, "OUTBOUND_NETWORKS", "DRYSTONE_OUTBOUND_NETWORKS")?,
        plain_http: setting("OUTBOUND_HTTP")?.as_deref().is_some_and(values::is_on),
    })
}

fn metrics_public(setting: Setting<'_>) -> Result<bool, ConfigError> {
    let said = setting("PROMETHEUS_AUTH_TYPE")?.map(|text| values::metrics_public(&text));
    Ok(said.transpose()?.unwrap_or(false))
}

fn limits(setting: Setting<'_>) -> Result<Limits, ConfigError> {
    let default = Limits::default();
    Ok(Limits {
        connections_max: match setting("CONNECTIONS_MAX")? {
            Some(text) => values::count("DRYSTONE_CONNECTIONS_MAX", &text)?.max(1),
            None => default.connections_max,
        },
        requests_max: match setting("API_REQUESTS_MAX")? {
            Some(text) => stored::requests_max(&text)?,
            None => None,
        },
        requests_deadline: match setting("API_REQUESTS_DEADLINE")? {
            Some(text) => stored::requests_deadline(&text)?,
            None => default.requests_deadline,
        },
    })
}

#[cfg(test)]
mod tests;
