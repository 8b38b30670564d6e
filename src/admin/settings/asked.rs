//! What a client asks to be set or reset, read from its text. Pure.

use std::collections::BTreeSet;

use http::StatusCode;

use super::{REDACTED, group, refusal, written, wrong};
use crate::admin::error::AdminError;
use crate::config::Secret;
use crate::config::stored::{Environment, KNOWN, Known, Nature, SettingName, known};

/// One setting that is to change.
#[derive(Debug)]
pub(super) struct Asked {
    pub name: SettingName,
    pub to: To,
}

/// What a setting is to become.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum To {
    Value(String),
    Secret(Secret),
    /// A secret that the client was never shown.
    AsItIs,
    /// What the server does by itself.
    Default,
}

/// The words of a line; what stands in double quotes is one word.
pub fn words_of(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            blank if blank.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

fn lines(text: &[u8]) -> Result<Vec<Vec<String>>, AdminError> {
    let unreadable = || wrong("The settings are not UTF-8, or there are none.".to_owned());
    let text = std::str::from_utf8(text).map_err(|_| unreadable())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let lines: Vec<Vec<String>> = lines.map(words_of).filter(|words| !words.is_empty()).collect();
    if lines.is_empty() {
        return Err(unreadable());
    }
    Ok(lines)
}

fn in_group(subsystem: &str, key: &str) -> Result<&'static Known, AdminError> {
    let unknown = || wrong(format!("There is no setting {key} in {subsystem} here."));
    known(subsystem, key).ok_or_else(unknown)
}

fn of_the_environment(known: &Known) -> AdminError {
    refusal(
        "XMinioAdminConfigEnvOverridden",
        StatusCode::BAD_REQUEST,
        format!(
            "{} {} is read from the environment alone: set {} and start the server again.",
            known.subsystem,
            known.key,
            known.variable_of("")
        ),
    )
}

/// What a value asks for.
fn to(known: &Known, value: &str, environment: &Environment) -> Result<Option<To>, AdminError> {
    if value.chars().any(char::is_control) {
        let (subsystem, key) = (known.subsystem, known.key);
        return Err(wrong(format!(
            "The value of {subsystem} {key} has characters that no line can hold."
        )));
    }
    let by_itself = value.is_empty() || value == known.default;
    match known.nature {
        Nature::EnvironmentAlone => {
            let given = environment.get(known, "").unwrap_or(known.default);
            match by_itself || value == given {
                true => Ok(None),
                false => Err(of_the_environment(known)),
            }
        }
        Nature::Secret if value == REDACTED => Ok(Some(To::AsItIs)),
        Nature::AtOnce | Nature::AtStart | Nature::Secret if by_itself => Ok(Some(To::Default)),
        Nature::Secret => Ok(Some(To::Secret(Secret::new(value)))),
        Nature::AtOnce | Nature::AtStart => Ok(Some(To::Value(value.to_owned()))),
    }
}

/// Lines of `group[:target] key=value …`. Nobody may say the same twice: only one of them could hold.
pub(super) fn to_set(text: &[u8], environment: &Environment) -> Result<Vec<Asked>, AdminError> {
    let (mut asked, mut named) = (Vec::new(), BTreeSet::new());
    for words in lines(text)? {
        let Some((name, changes)) = words.split_first() else {
            continue;
        };
        let (subsystem, target) = group(name)?;
        let target = target.unwrap_or_default();
        for change in changes {
            // The value is not repeated: it may be a secret, and what has no name may be one, too.
            let (key, value) = change.split_once('=').ok_or_else(|| {
                let group = written(subsystem.name, &target);
                wrong(format!("What is to be set in {group} is not all KEY=VALUE."))
            })?;
            let known = in_group(subsystem.name, key)?;
            let name = SettingName::of(known, &target);
            if !named.insert(name.clone()) {
                let message = format!("{} {key} is set twice.", written(subsystem.name, &target));
                return Err(refusal(
                    "XMinioAdminConfigDuplicateKeys",
                    StatusCode::BAD_REQUEST,
                    message,
                ));
            }
            let to = to(known, value, environment)?;
            asked.extend(to.map(|to| Asked { name, to }));
        }
    }
    Ok(asked)
}

/// Lines of `group[:target] [key …]`; without a key, all of the group.
pub(super) fn to_reset(text: &[u8], environment: &Environment) -> Result<Vec<Asked>, AdminError> {
    let mut asked = Vec::new();
    for words in lines(text)? {
        let Some((name, keys)) = words.split_first() else {
            continue;
        };
        let (subsystem, target) = group(name)?;
        let target = target.unwrap_or_default();
        let meant: Vec<&'static Known> = match keys {
            [] => KNOWN.iter().filter(|known| known.subsystem == subsystem.name).collect(),
            keys => keys
                .iter()
                .map(|key| in_group(subsystem.name, key))
                .collect::<Result<_, _>>()?,
        };
        for known in meant {
            if known.nature == Nature::EnvironmentAlone {
                match environment.get(known, "") {
                    Some(_) => return Err(of_the_environment(known)),
                    None => continue,
                }
            }
            asked.push(Asked {
                name: SettingName::of(known, &target),
                to: To::Default,
            });
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T: std::fmt::Debug>(asked: Result<T, AdminError>) -> &'static str {
        match asked {
            Err(AdminError::Minio { code, .. }) => code,
            Ok(_) => "",
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_line_asks_for_values_secrets_and_what_is_by_itself() {
        let text = b"# a comment\napi requests_max=5 requests_deadline=10s\n\
            identity_openid:KC client_secret=canary comment=\"two words\"\nidentity_openid:_ client_secret=*redacted*\n";
        let asked = to_set(text, &Environment::default()).unwrap();
        let told: Vec<_> = asked
            .iter()
            .map(|asked| (asked.name.target.as_str(), asked.name.key.as_str(), &asked.to))
            .collect();
        assert_eq!(
            told,
            [
                ("", "requests_max", &To::Value("5".into())),
                ("", "requests_deadline", &To::Default),
                ("kc", "client_secret", &To::Secret(Secret::new("canary"))),
                ("kc", "comment", &To::Value("two words".into())),
                ("", "client_secret", &To::AsItIs),
            ]
        );
        assert!(!format!("{asked:?}").contains("canary"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name_and_never_repeated() {
        for (text, refused) in [
            (&b"api requests_max=100 requests_deadline=\"10 s\""[..], ""),
            (b"storage_class standard=", ""),
            (b"storage_class standard=EC:2", "XMinioAdminConfigEnvOverridden"),
            (b"api other=1", "XMinioConfigError"),
            (b"api requests_max", "XMinioConfigError"),
            (b"api requests_max=1\0", "XMinioConfigError"),
            (b"api requests_max=1 requests_max=2", "XMinioAdminConfigDuplicateKeys"),
            (b"none a=b", "XMinioConfigNotFoundError"),
            (b"api:other requests_max=1", "XMinioAdminNoSuchConfigTarget"),
            (b"identity_openid:a/b comment=1", "XMinioAdminNoSuchConfigTarget"),
            (b"", "XMinioConfigError"),
            (b"# nothing", "XMinioConfigError"),
            (b"\xff", "XMinioConfigError"),
        ] {
            let asked = to_set(text, &Environment::default());
            assert_eq!(code(asked), refused, "{}", text.escape_ascii());
        }
        let bare = to_set(b"identity_openid canary-secret", &Environment::default());
        assert!(!bare.unwrap_err().to_string().contains("canary"));
    }

    #[test]
    fn a_reset_is_of_a_group_or_of_what_is_named() {
        let keys = |text: &[u8]| {
            let asked = to_reset(text, &Environment::default()).unwrap();
            asked.into_iter().map(|asked| asked.name.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(b"api requests_max"), ["requests_max"]);
        assert_eq!(keys(b"api").len(), 3);
        assert!(keys(b"storage_class").is_empty());
        let unknown = to_reset(b"api other", &Environment::default());
        assert_eq!(code(unknown), "XMinioConfigError");
    }
}
