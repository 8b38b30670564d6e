//! The server's settings as `mc admin config` reads them. All come from the environment, once, at the start: they can be
//! read, exported and explained here, and an order to change one names the variable that does. Pure.

use http::StatusCode;
use serde_json::{Value, json};

use super::error::AdminError;
use super::query::Query;

/// One setting as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// MinIO's name of the group it belongs to.
    pub subsystem: &'static str,
    pub key: &'static str,
    /// As MinIO writes it.
    pub value: String,
    /// Somebody set it; else this is what the server does by itself.
    pub given: bool,
    /// What sets it.
    pub variable: &'static str,
    /// One sentence without its dot.
    pub description: &'static str,
    /// What a value is, for people: `number`, `duration`, `string`, `csv`.
    pub kind: &'static str,
}

/// What MinIO calls the one target of a group that has no others.
const ONLY_TARGET: &str = "_";

fn minio(code: &'static str, status: StatusCode, message: String) -> AdminError {
    AdminError::Minio { code, status, message }
}

/// Settings of one group, named as `group` or `group:target`.
fn group<'s>(settings: &'s [Setting], name: &str) -> Result<Vec<&'s Setting>, AdminError> {
    let (subsystem, target) = name.split_once(':').unwrap_or((name, ONLY_TARGET));
    let group: Vec<&Setting> = settings
        .iter()
        .filter(|setting| setting.subsystem == subsystem)
        .collect();
    if group.is_empty() {
        let message = format!("There are no settings {subsystem} here.");
        return Err(minio("XMinioConfigNotFoundError", StatusCode::NOT_FOUND, message));
    }
    if target != ONLY_TARGET {
        let message = format!("{subsystem} has no targets.");
        return Err(minio("XMinioAdminNoSuchConfigTarget", StatusCode::BAD_REQUEST, message));
    }
    Ok(group)
}

/// A group as one line, after one for each value that somebody set.
fn write(group: &[&Setting], text: &mut String) {
    for setting in group.iter().filter(|setting| setting.given) {
        text.push_str(&format!("# {}={}\n", setting.variable, setting.value));
    }
    text.push_str(group.first().map_or("", |setting| setting.subsystem));
    for setting in group {
        let quote = if setting.value.contains(char::is_whitespace) {
            "\""
        } else {
            ""
        };
        text.push_str(&format!(" {}={quote}{}{quote}", setting.key, setting.value));
    }
    text.push_str(" \n");
}

/// The names of the groups, each once.
fn groups(settings: &[Setting]) -> Vec<&'static str> {
    let mut names: Vec<&str> = settings.iter().map(|setting| setting.subsystem).collect();
    names.dedup();
    names
}

/// `GET get-config-kv`; of all groups if none is named.
pub(super) fn read(settings: &[Setting], query: &Query) -> Result<String, AdminError> {
    let Some(name) = query.get("key") else {
        return export(settings);
    };
    let mut text = String::new();
    write(&group(settings, name)?, &mut text);
    Ok(text)
}

/// `GET config`.
pub(super) fn export(settings: &[Setting]) -> Result<String, AdminError> {
    let mut text = String::new();
    for name in groups(settings) {
        write(&group(settings, name)?, &mut text);
    }
    Ok(text)
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

fn of_the_environment(setting: &Setting) -> AdminError {
    let Setting {
        subsystem,
        key,
        variable,
        ..
    } = setting;
    minio(
        "XMinioAdminConfigEnvOverridden",
        StatusCode::BAD_REQUEST,
        format!("{subsystem} {key} is read from the environment: set {variable} and start the server again."),
    )
}

fn in_group<'s>(group: &[&'s Setting], key: &str) -> Result<&'s Setting, AdminError> {
    let found = group.iter().find(|setting| setting.key == key).copied();
    let unknown = || format!("There is no setting {key} here.");
    found.ok_or_else(|| minio("XMinioConfigError", StatusCode::BAD_REQUEST, unknown()))
}

/// `PUT set-config-kv` and `PUT config`: fine if everything is so already, else refused.
pub(super) fn set(settings: &[Setting], text: &[u8]) -> Result<(), AdminError> {
    let lines = lines(text)?;
    for words in lines {
        let Some((name, changes)) = words.split_first() else {
            continue;
        };
        let group = group(settings, name)?;
        for change in changes {
            let (key, value) = change.split_once('=').unwrap_or((change, ""));
            let setting = in_group(&group, key)?;
            if setting.value != value {
                return Err(of_the_environment(setting));
            }
        }
    }
    Ok(())
}

/// `DELETE del-config-kv`: fine for what nobody set, else refused.
pub(super) fn reset(settings: &[Setting], text: &[u8]) -> Result<(), AdminError> {
    for words in lines(text)? {
        let Some((name, keys)) = words.split_first() else {
            continue;
        };
        let group = group(settings, name)?;
        let named = keys
            .iter()
            .map(|key| in_group(&group, key))
            .collect::<Result<Vec<_>, _>>()?;
        let meant = if named.is_empty() { group } else { named };
        if let Some(given) = meant.iter().find(|setting| setting.given) {
            return Err(of_the_environment(given));
        }
    }
    Ok(())
}

fn not_kept(id: &str) -> AdminError {
    minio(
        "XMinioConfigNotFoundError",
        StatusCode::NOT_FOUND,
        format!("There is no earlier configuration {id}: settings come from the environment, and none is kept."),
    )
}

/// `DELETE clear-config-history-kv`: all there is, which is nothing, or one that is not there.
pub(super) fn clear_history(query: &Query) -> Result<(), AdminError> {
    match query.must("restoreId")? {
        "all" => Ok(()),
        id => Err(not_kept(id)),
    }
}

/// Why `PUT restore-config-history-kv` has nothing to restore.
pub(super) fn restore(query: &Query) -> AdminError {
    match query.must("restoreId") {
        Ok(id) => not_kept(id),
        Err(missing) => missing,
    }
}

fn lines(text: &[u8]) -> Result<Vec<Vec<String>>, AdminError> {
    let unreadable = || {
        let message = "The settings are not UTF-8, or there are none.".to_owned();
        minio("XMinioConfigError", StatusCode::BAD_REQUEST, message)
    };
    let text = std::str::from_utf8(text).map_err(|_| unreadable())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let lines: Vec<Vec<String>> = lines.map(words_of).filter(|words| !words.is_empty()).collect();
    if lines.is_empty() {
        return Err(unreadable());
    }
    Ok(lines)
}

/// `GET help-config-kv`. Clients refuse fields that they do not know, so there are these and no others.
pub(super) fn help(settings: &[Setting], query: &Query) -> Result<Value, AdminError> {
    let Some(name) = query.get("subSys") else {
        let keys = groups(settings).into_iter().map(|name| {
            json!({
                "key": name,
                "description": described(name),
                "optional": true,
                "type": "",
                "multipleTargets": false,
            })
        });
        return Ok(json!({
            "subSys": "",
            "description": "",
            "multipleTargets": false,
            "keysHelp": keys.collect::<Vec<_>>(),
        }));
    };
    let group = group(settings, name)?;
    let wanted: Vec<&Setting> = match query.get("key") {
        Some(key) => vec![in_group(&group, key)?],
        None => group,
    };
    // `env` asks for the names of the variables.
    let by_variable = query.get("env").is_some();
    let keys = wanted.iter().map(|setting| {
        json!({
            "key": if by_variable { setting.variable } else { setting.key },
            "description": format!("{} ({})", setting.description, setting.variable),
            "optional": true,
            "type": setting.kind,
            "multipleTargets": false,
        })
    });
    Ok(json!({
        "subSys": name,
        "description": described(name),
        "multipleTargets": false,
        "keysHelp": keys.collect::<Vec<_>>(),
    }))
}

fn described(subsystem: &str) -> &'static str {
    match subsystem {
        "api" => "requests of clients",
        "region" | "site" => "where the store is",
        "storage_class" => "how many drives may be lost",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Vec<Setting> {
        let setting = |subsystem, key, value: &str, given, variable| Setting {
            subsystem,
            key,
            value: value.to_owned(),
            given,
            variable,
            description: "what it is",
            kind: "string",
        };
        vec![
            setting("api", "requests_max", "100", true, "MINIO_API_REQUESTS_MAX"),
            setting("api", "requests_deadline", "10 s", false, "MINIO_API_REQUESTS_DEADLINE"),
            setting("site", "region", "", false, "MINIO_SITE_REGION"),
        ]
    }

    fn ask(query: &str) -> Query {
        Query::parse(Some(query)).unwrap()
    }

    fn code(refused: Result<(), AdminError>) -> &'static str {
        match refused {
            Err(AdminError::Minio { code, .. }) => code,
            Ok(()) => "",
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_set_is_shown_with_its_variable() {
        let text = read(&settings(), &ask("key=api")).unwrap();
        assert_eq!(
            text,
            "# MINIO_API_REQUESTS_MAX=100\napi requests_max=100 requests_deadline=\"10 s\" \n"
        );
        let all = export(&settings()).unwrap();
        assert!(all.starts_with(&text) && all.ends_with("site region= \n"), "{all}");
        assert!(read(&settings(), &ask("key=none")).is_err());
        assert!(read(&settings(), &ask("key=api:other")).is_err() && read(&settings(), &ask("key=api:_")).is_ok());
    }

    #[test]
    fn an_export_comes_in_again_and_a_change_is_refused_by_the_name_of_its_variable() {
        let all = export(&settings()).unwrap();
        assert_eq!(code(set(&settings(), all.as_bytes())), "");
        let changed = set(&settings(), b"api requests_max=200");
        assert!(
            changed
                .as_ref()
                .unwrap_err()
                .to_string()
                .contains("MINIO_API_REQUESTS_MAX")
        );
        assert_eq!(code(changed), "XMinioAdminConfigEnvOverridden");
        for (text, refusal) in [
            (&b"api requests_max=100 requests_deadline=\"10 s\""[..], ""),
            (b"api other=1", "XMinioConfigError"),
            (b"none a=b", "XMinioConfigNotFoundError"),
            (b"", "XMinioConfigError"),
            (b"\xff", "XMinioConfigError"),
        ] {
            assert_eq!(code(set(&settings(), text)), refusal, "{}", text.escape_ascii());
        }
        for (text, refusal) in [
            (&b"api"[..], "XMinioAdminConfigEnvOverridden"),
            (b"api requests_max", "XMinioAdminConfigEnvOverridden"),
            (b"api requests_deadline", ""),
            (b"site", ""),
        ] {
            assert_eq!(code(reset(&settings(), text)), refusal, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn help_has_the_fields_that_clients_take_and_no_others() {
        let all = help(&settings(), &ask("subSys=&key=")).unwrap();
        assert_eq!(all["keysHelp"].as_array().unwrap().len(), 2);
        let api = help(&settings(), &ask("subSys=api&key=")).unwrap();
        let fields: Vec<&String> = api.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["description", "keysHelp", "multipleTargets", "subSys"]);
        let keys: Vec<&String> = api["keysHelp"][0].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["description", "key", "multipleTargets", "optional", "type"]);
        let one = help(&settings(), &ask("subSys=api&key=requests_max&env=true")).unwrap();
        assert_eq!(one["keysHelp"][0]["key"], "MINIO_API_REQUESTS_MAX");
        assert!(help(&settings(), &ask("subSys=none")).is_err());
    }
}
