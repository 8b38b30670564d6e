//! The settings as text: what `mc admin config get`, `export`, `help` and `history` show. Pure.

use serde_json::{Value, json};
use storage_engine::store::record::server_settings::SettingValue;

use super::{REDACTED, group, no_such_target, written, wrong};
use crate::admin::error::AdminError;
use crate::admin::query::Query;
use crate::config::stored::{Environment, KNOWN, Known, Nature, SUBSYSTEMS, Stored, Subsystem, Trouble};

/// Everything that is known of the settings at one moment.
#[derive(Clone, Copy)]
pub(super) struct View<'v> {
    pub environment: &'v Environment,
    pub stored: &'v Stored,
    pub troubles: &'v [Trouble],
    /// Why nothing that is stored can be read.
    pub unreadable: Option<&'v str>,
}

fn of_group(subsystem: &'static str) -> impl Iterator<Item = &'static Known> {
    KNOWN.iter().filter(move |known| known.subsystem == subsystem)
}

/// ` key=value`, with quotes where there are blanks.
fn pair(key: &str, value: &str) -> String {
    let quote = match value.contains(char::is_whitespace) {
        true => "\"",
        false => "",
    };
    format!(" {key}={quote}{value}{quote}")
}

impl View<'_> {
    /// The value of the line: what is stored, else what the server does by itself. What the environment says stands
    /// before it.
    fn value(&self, known: &Known, target: &str) -> &str {
        match known.nature {
            Nature::EnvironmentAlone => known.default,
            Nature::Secret => match self.stored.get(known, target) {
                Some(_) => REDACTED,
                None => "",
            },
            Nature::AtOnce | Nature::AtStart => self.stored.plain(known, target).unwrap_or(known.default),
        }
    }

    /// A group as one line, after what is wrong with it and what the environment says.
    fn write(&self, subsystem: &'static Subsystem, target: &str, text: &mut String) {
        let name = written(subsystem.name, target);
        let about = |trouble: &&Trouble| trouble.subsystem == subsystem.name && trouble.target == target;
        for trouble in self.troubles.iter().filter(about) {
            text.push_str(&format!("# {name}: what is stored has no effect: {}\n", trouble.reason));
        }
        for known in of_group(subsystem.name) {
            let Some(value) = self.environment.get(known, target) else {
                continue;
            };
            let value = if known.is_secret() { REDACTED } else { value };
            text.push_str(&format!("# {}={value}\n", known.variable_of(target)));
        }
        text.push_str(&name);
        for known in of_group(subsystem.name) {
            text.push_str(&pair(known.key, self.value(known, target)));
        }
        text.push_str(" \n");
    }

    fn write_all(&self, subsystem: &'static Subsystem, text: &mut String) {
        self.write(subsystem, "", text);
        if subsystem.has_targets {
            for target in self.environment.providers_named(self.stored) {
                self.write(subsystem, &target, text);
            }
        }
    }

    fn begun(&self) -> String {
        let unreadable = self.unreadable;
        let told =
            unreadable.map(|why| format!("# Nothing that is stored has an effect: {why}. An import replaces it.\n"));
        told.unwrap_or_default()
    }

    /// `GET get-config-kv`; of all groups if none is named.
    pub(super) fn read(&self, query: &Query) -> Result<String, AdminError> {
        let Some(name) = query.get("key") else {
            return Ok(self.export());
        };
        let mut text = self.begun();
        match group(name)? {
            (subsystem, None) => self.write_all(subsystem, &mut text),
            (subsystem, Some(target)) => {
                self.must_be(&target)?;
                self.write(subsystem, &target, &mut text);
            }
        }
        Ok(text)
    }

    /// Refuses the name of a group that nobody said anything of.
    pub(super) fn must_be(&self, target: &str) -> Result<(), AdminError> {
        match target.is_empty() || self.environment.providers_named(self.stored).contains(target) {
            true => Ok(()),
            false => Err(no_such_target(target)),
        }
    }

    /// `GET config`.
    pub(super) fn export(&self) -> String {
        let mut text = self.begun();
        for subsystem in SUBSYSTEMS {
            self.write_all(subsystem, &mut text);
        }
        text
    }
}

/// What was stored, and nothing else: an entry of the history.
pub(super) fn entry(stored: &Stored) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    for (name, value) in &stored.0 {
        let group = written(&name.subsystem, &name.target);
        let value = match value {
            SettingValue::Plain(text) => text.as_str(),
            SettingValue::Sealed(_) => REDACTED,
        };
        let pair = pair(&name.key, value);
        match lines.last_mut() {
            Some((last, line)) if *last == group => line.push_str(&pair),
            Some(_) | None => lines.push((group.clone(), format!("{group}{pair}"))),
        }
    }
    match lines.is_empty() {
        true => "# nothing was stored".to_owned(),
        false => lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join("\n"),
    }
}

/// `GET help-config-kv`. Clients refuse fields that they do not know, so there are these and no others.
pub(in crate::admin) fn help(query: &Query) -> Result<Value, AdminError> {
    let Some(name) = query.get("subSys") else {
        let keys = SUBSYSTEMS.iter().map(|subsystem| {
            json!({
                "key": subsystem.name,
                "description": subsystem.description,
                "optional": true,
                "type": "",
                "multipleTargets": subsystem.has_targets,
            })
        });
        return Ok(json!({
            "subSys": "",
            "description": "",
            "multipleTargets": false,
            "keysHelp": keys.collect::<Vec<_>>(),
        }));
    };
    let (subsystem, _) = group(name)?;
    let wanted: Vec<&Known> = match query.get("key") {
        Some(key) => of_group(subsystem.name).filter(|known| known.key == key).collect(),
        None => of_group(subsystem.name).collect(),
    };
    if wanted.is_empty() {
        return Err(wrong(format!("There is no such setting in {} here.", subsystem.name)));
    }
    // `env` asks for the names of the variables.
    let by_variable = query.get("env").is_some();
    let keys = wanted.iter().map(|known| {
        let variable = known.variable_of("");
        let when = match known.nature {
            Nature::AtOnce => "",
            Nature::AtStart | Nature::Secret => "; from the next start on",
            Nature::EnvironmentAlone => "; from the environment alone",
        };
        json!({
            "key": if by_variable { variable.as_str() } else { known.key },
            "description": format!("{} ({variable}{when})", known.description),
            "optional": true,
            "type": known.kind,
            "multipleTargets": false,
        })
    });
    Ok(json!({
        "subSys": name,
        "description": subsystem.description,
        "multipleTargets": subsystem.has_targets,
        "keysHelp": keys.collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::stored::{SettingName, known};

    fn stored(values: &[(&str, &str, &str, SettingValue)]) -> Stored {
        let pairs = values.iter().map(|(subsystem, target, key, value)| {
            let known = known(subsystem, key).unwrap();
            (SettingName::of(known, target), value.clone())
        });
        Stored(pairs.collect())
    }

    fn plain(text: &str) -> SettingValue {
        SettingValue::Plain(text.to_owned())
    }

    fn ask(query: &str) -> Query {
        Query::parse(Some(query)).unwrap()
    }

    #[test]
    fn what_is_stored_is_shown_after_what_the_environment_says_and_no_secret_is() {
        let stored = stored(&[
            ("api", "", "requests_deadline", plain("3 s")),
            ("identity_openid", "kc", "client_id", plain("store")),
            (
                "identity_openid",
                "kc",
                "client_secret",
                SettingValue::Sealed(vec![7; 40]),
            ),
        ]);
        let troubles = [Trouble {
            subsystem: "api".into(),
            target: String::new(),
            reason: "'3 s' is no duration".into(),
        }];
        let environment = Environment::default();
        let view = View {
            environment: &environment,
            stored: &stored,
            troubles: &troubles,
            unreadable: None,
        };
        assert_eq!(
            view.read(&ask("key=api")).unwrap(),
            "# api: what is stored has no effect: '3 s' is no duration\n\
             api requests_max=0 requests_deadline=\"3 s\" cors_allow_origin=* \n"
        );
        let kc = view.read(&ask("key=identity_openid:KC")).unwrap();
        assert!(
            kc.starts_with("identity_openid:kc enable= ") && kc.contains(" client_secret=*redacted* "),
            "{kc}"
        );
        let all = view.export();
        assert!(all.contains("\nidentity_openid enable=") && all.contains(&kc), "{all}");
        assert!(all.ends_with("\nstorage_class standard= \n"), "{all}");
        for absent in ["key=none", "key=api:other", "key=identity_openid:other"] {
            assert!(view.read(&ask(absent)).is_err(), "{absent}");
        }
        assert!(view.read(&ask("key=api:_")).is_ok());
        assert_eq!(
            entry(&stored),
            "api requests_deadline=\"3 s\"\nidentity_openid:kc client_id=store client_secret=*redacted*"
        );
    }

    #[test]
    fn help_has_the_fields_that_clients_take_and_no_others() {
        let all = help(&ask("subSys=&key=")).unwrap();
        assert_eq!(all["keysHelp"].as_array().unwrap().len(), SUBSYSTEMS.len());
        let api = help(&ask("subSys=api&key=")).unwrap();
        let fields: Vec<&String> = api.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["description", "keysHelp", "multipleTargets", "subSys"]);
        let keys: Vec<&String> = api["keysHelp"][0].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["description", "key", "multipleTargets", "optional", "type"]);
        let one = help(&ask("subSys=api&key=requests_max&env=true")).unwrap();
        assert_eq!(one["keysHelp"][0]["key"], "MINIO_API_REQUESTS_MAX");
        assert!(help(&ask("subSys=none")).is_err() && help(&ask("subSys=api&key=none")).is_err());
    }
}
