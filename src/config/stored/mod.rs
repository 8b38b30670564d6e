//! Settings that an operator stored in the environment's place: what holds of them.
//!
//! The environment wins, then what is stored, then what the server does by itself. A stored value that does not hold is
//! left out and told, so nothing that is stored can keep a server from starting. Pure; what seals and keeps them is
//! elsewhere.

mod known;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use storage_engine::store::record::server_settings::{SettingValue, StoredSetting};

pub use self::known::{KNOWN, Known, Nature, SUBSYSTEMS, Subsystem, known};
use self::known::{OPENID, PROVIDER_URL, REGION};
use super::{Config, ConfigError, Limits, OpenIdProvider, Origins, ReadFile, Vars, openid, values};

/// The name of a setting that is stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SettingName {
    pub subsystem: String,
    /// Empty: the group without a name. Lower case.
    pub target: String,
    pub key: String,
}

impl SettingName {
    pub fn of(known: &Known, target: &str) -> Self {
        Self {
            subsystem: known.subsystem.to_owned(),
            target: target.to_owned(),
            key: known.key.to_owned(),
        }
    }

    /// The setting it names; `None` for one that another version stored.
    pub fn known(&self) -> Option<&'static Known> {
        known(&self.subsystem, &self.key)
    }
}

/// All settings that are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored(pub BTreeMap<SettingName, SettingValue>);

impl Stored {
    pub fn of(values: &[StoredSetting]) -> Self {
        let pairs = values.iter().map(|stored| {
            let name = SettingName {
                subsystem: stored.subsystem.clone(),
                target: stored.target.clone(),
                key: stored.key.clone(),
            };
            (name, stored.value.clone())
        });
        Self(pairs.collect())
    }

    pub fn rows(&self) -> Vec<StoredSetting> {
        let row = |(name, value): (&SettingName, &SettingValue)| StoredSetting {
            subsystem: name.subsystem.clone(),
            target: name.target.clone(),
            key: name.key.clone(),
            value: value.clone(),
        };
        self.0.iter().map(row).collect()
    }

    pub fn get(&self, known: &Known, target: &str) -> Option<&SettingValue> {
        self.0.get(&SettingName::of(known, target))
    }

    /// What is stored for a setting that is no secret.
    pub fn plain(&self, known: &Known, target: &str) -> Option<&str> {
        match self.get(known, target)? {
            SettingValue::Plain(text) => Some(text),
            SettingValue::Sealed(_) => None,
        }
    }
}

/// What the environment says of the settings that can be stored, read once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// By whole name, in MinIO's form.
    given: BTreeMap<String, String>,
}

/// What is wrong with something that is stored. It has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub subsystem: String,
    pub target: String,
    /// Of no secret, and none is in it.
    pub reason: String,
}

/// What holds, of the settings that can be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    pub region: Option<String>,
    pub at_once: AtOnce,
    pub openid: Vec<OpenIdProvider>,
    /// What the operator should read.
    pub warnings: Vec<String>,
}

/// What can change while the server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtOnce {
    pub origins: Origins,
    pub requests_max: Option<usize>,
    pub requests_deadline: Duration,
}

impl std::fmt::Debug for Environment {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.given.keys()).finish()
    }
}

impl Environment {
    /// Reads the variables of all settings that are shown, and all those of identity providers: one that is shown nowhere may
    /// be one that a provider cannot have, wherever the rest of it is said.
    pub(super) fn read(vars: &Vars, read: ReadFile<'_>) -> Result<Self, ConfigError> {
        let mut names = BTreeSet::new();
        for known in KNOWN.iter().filter(|known| known.subsystem != OPENID) {
            names.insert(known.variable.to_owned());
        }
        for setting in openid::SETTINGS {
            let stem = format!("{}{setting}", openid::FAMILY);
            names.extend(vars.suffixes(&stem).into_iter().map(|suffix| match suffix.as_str() {
                "" => stem.clone(),
                suffix => format!("{stem}_{suffix}"),
            }));
        }
        let mut given = BTreeMap::new();
        for name in names {
            if let Some(value) = vars.setting(&name, read)? {
                given.insert(format!("MINIO_{name}"), value);
            }
        }
        // Its other name.
        if let Some(region) = vars.setting("REGION", read)? {
            given.entry(format!("MINIO_{REGION}")).or_insert(region);
        }
        Ok(Self { given })
    }

    /// What the environment says of a setting.
    pub fn get(&self, known: &Known, target: &str) -> Option<&str> {
        self.given.get(&known.variable_of(target)).map(String::as_str)
    }

    /// The names of the identity providers that the environment or the store speaks of, sorted.
    pub fn providers_named(&self, stored: &Stored) -> BTreeSet<String> {
        let of_store = stored.0.keys().filter(|name| name.subsystem == OPENID);
        let of_store = of_store.map(|name| name.target.clone());
        let urls = self.given.keys().filter_map(|name| name.strip_prefix(PROVIDER_URL));
        let mut targets: BTreeSet<String> = of_store.chain(urls.map(str::to_ascii_lowercase)).collect();
        targets.remove("");
        targets
    }

    /// The variables that hold with these of what is stored.
    fn with(&self, stored: &Stored, taken: impl Fn(&SettingName) -> bool) -> Vars {
        let plain = stored.0.iter().filter(|(name, _)| taken(name));
        let plain = plain.filter_map(|(name, value)| match value {
            SettingValue::Plain(text) => Some((name.known()?.variable_of(&name.target), text.clone())),
            // Whatever checks tokens needs no secret.
            SettingValue::Sealed(_) => None,
        });
        let given = self.given.iter().map(|(name, value)| (name.clone(), value.clone()));
        plain.chain(given).collect()
    }

    /// What holds with what is stored, and what of that does not.
    pub fn under(&self, stored: &Stored) -> (Holding, Vec<Trouble>) {
        let mut troubles = Vec::new();
        for name in stored.0.keys().filter(|name| name.known().is_none()) {
            troubles.push(trouble(name, format!("{} is not known to this version", name.key)));
        }
        let at_once = AtOnce {
            origins: self.one(
                stored,
                ("api", "cors_allow_origin"),
                Origins::parse,
                Origins::Any,
                &mut troubles,
            ),
            requests_max: self.one(stored, ("api", "requests_max"), requests_max, None, &mut troubles),
            requests_deadline: self.one(
                stored,
                ("api", "requests_deadline"),
                requests_deadline,
                Limits::default().requests_deadline,
                &mut troubles,
            ),
        };
        // Taken as it is: the environment's was never looked at.
        let of_environment = self.given.get(&format!("MINIO_{REGION}")).cloned();
        let of_store = self.one(stored, ("site", "region"), region, None, &mut troubles);
        let (openid, warnings) = self.providers(stored, &mut troubles);
        let holding = Holding {
            region: of_environment.or(of_store),
            at_once,
            openid,
            warnings,
        };
        (holding, troubles)
    }

    /// One setting; where a stored value does not hold, what the server does by itself.
    fn one<T>(
        &self,
        stored: &Stored,
        (subsystem, key): (&str, &str),
        read: impl Fn(&str) -> Result<T, ConfigError>,
        by_itself: T,
        troubles: &mut Vec<Trouble>,
    ) -> T {
        let Some(known) = known(subsystem, key) else {
            return by_itself;
        };
        // Looked at even where the environment hides it: it comes to light when the variable goes.
        let of_store = match stored.plain(known, "").map(&read) {
            Some(Err(error)) => {
                troubles.push(trouble(&SettingName::of(known, ""), error.to_string()));
                None
            }
            Some(Ok(value)) => Some(value),
            None => None,
        };
        // The environment held at the start.
        let of_environment = self.get(known, "").and_then(|text| read(text).ok());
        of_environment.or(of_store).unwrap_or(by_itself)
    }

    /// The identity providers. Those of the store come one after the other, so one that does not hold stands alone.
    fn providers(&self, stored: &Stored, troubles: &mut Vec<Trouble>) -> (Vec<OpenIdProvider>, Vec<String>) {
        let read = |taken: &BTreeSet<&str>| {
            let vars = self.with(stored, |name| {
                name.subsystem == OPENID && taken.contains(name.target.as_str())
            });
            let no_file: ReadFile<'_> = &|_| Err(std::io::ErrorKind::NotFound.into());
            let mut warnings = Vec::new();
            openid::providers(&vars, no_file, &mut warnings).map(|found| (found, warnings))
        };
        let targets: BTreeSet<&str> = stored
            .0
            .keys()
            .filter(|name| name.subsystem == OPENID)
            .map(|name| name.target.as_str())
            .collect();
        let mut taken = BTreeSet::new();
        // The environment alone held at the start.
        let mut found = read(&taken).unwrap_or_default();
        for target in targets {
            taken.insert(target);
            match read(&taken) {
                Ok(providers) => found = providers,
                Err(error) => {
                    taken.remove(target);
                    troubles.push(Trouble {
                        subsystem: OPENID.to_owned(),
                        target: target.to_owned(),
                        reason: error.to_string(),
                    });
                }
            }
        }
        found
    }
}

fn trouble(name: &SettingName, reason: String) -> Trouble {
    Trouble {
        subsystem: name.subsystem.clone(),
        target: name.target.clone(),
        reason,
    }
}

pub(super) fn requests_max(text: &str) -> Result<Option<usize>, ConfigError> {
    match text {
        // MinIO's 0 or "auto" leaves the choice to the server.
        "auto" => Ok(None),
        text => Ok(Some(values::count("MINIO_API_REQUESTS_MAX", text)?).filter(|max| *max > 0)),
    }
}

pub(super) fn requests_deadline(text: &str) -> Result<Duration, ConfigError> {
    values::duration("MINIO_API_REQUESTS_DEADLINE", text)
}

fn region(text: &str) -> Result<Option<String>, ConfigError> {
    match text.chars().any(|letter| letter.is_whitespace() || letter == '/') {
        true => Err(ConfigError::Value {
            variable: "MINIO_SITE_REGION",
            value: text.to_owned(),
            expected: "a region such as eu-north-1",
        }),
        false => Ok(Some(text.to_owned())),
    }
}

impl Config {
    /// What of it can change while the server runs.
    pub fn at_once(&self) -> AtOnce {
        AtOnce {
            origins: self.origins.clone(),
            requests_max: self.limits.requests_max,
            requests_deadline: self.limits.requests_deadline,
        }
    }

    /// This configuration with what is stored below it, and what of that does not hold.
    pub fn under(&self, stored: &Stored) -> (Self, Vec<Trouble>) {
        let (holding, troubles) = self.environment.under(stored);
        let AtOnce {
            origins,
            requests_max,
            requests_deadline,
        } = holding.at_once;
        let mut warnings = self.warnings.clone();
        warnings.extend(holding.warnings.into_iter().filter(|new| !self.warnings.contains(new)));
        let config = Self {
            warnings,
            region: holding.region,
            openid: holding.openid,
            origins,
            limits: Limits {
                requests_max,
                requests_deadline,
                ..self.limits
            },
            ..self.clone()
        };
        (config, troubles)
    }
}
