//! The servers that `mc` knows: its configuration file, version 10, and `MC_HOST_<alias>`. What a file holds beside the
//! aliases is kept as it is. Pure: reading and writing the file is the client's.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::client::{DEFAULT_ENDPOINT, ServerHost, parse};
use super::{Secret, Vars};

/// The file's one version since 2020.
const VERSION: &str = "10";

/// A server, and as whom to ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    pub host: ServerHost,
    /// Empty with an empty secret: ask anonymously.
    pub access_key: String,
    pub secret_key: Secret,
    pub session_token: Option<Secret>,
    /// As in the file: `s3v4`.
    pub api: String,
    /// As in the file: `auto`, `on` or `off`; `dns` and `off` put the bucket before the host.
    pub path: String,
    /// Where it stands: the file or the variable.
    pub source: String,
}

impl Alias {
    /// Whether the bucket is part of the host name.
    pub fn bucket_in_host(&self) -> bool {
        matches!(self.path.as_str(), "off" | "dns")
    }

    /// The URL as people write it: without the port that the scheme implies.
    pub fn url(&self) -> String {
        let implied = if self.host.tls { ":443" } else { ":80" };
        let url = self.host.url();
        url.strip_suffix(implied).map(str::to_owned).unwrap_or(url)
    }
}

/// Why an alias leads nowhere. Values are not repeated: they hold secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    #[error(
        "the alias '{alias}' is not known; add it with `mc alias set {alias} URL ACCESSKEY SECRETKEY`, or set MC_HOST_{alias}"
    )]
    Unknown { alias: String },
    #[error("MC_HOST_{alias} is not http(s)://[ACCESSKEY:SECRETKEY[:TOKEN]@]HOST[:PORT]")]
    Variable { alias: String },
    #[error("the alias '{alias}' has no usable url in the configuration file")]
    Entry { alias: String },
    #[error("the configuration file is not JSON: {reason}")]
    Json { reason: String },
    #[error("the configuration file is of version {found}; this client reads and writes version 10")]
    Version { found: String },
}

/// What the client is told by its environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientSettings {
    /// `MC_CONFIG_DIR`, else `.mc` in the home folder; `None` when neither is known.
    pub config_dir: Option<PathBuf>,
    pub json: bool,
    pub quiet: bool,
    pub insecure: bool,
    pub debug: bool,
    /// The region to sign for; learned from the server when it objects.
    pub region: Option<String>,
    /// Bytes a second, as people write it.
    pub limit_upload: Option<String>,
    pub limit_download: Option<String>,
}

impl ClientSettings {
    /// Reads `MC_*` and where the home folder is.
    pub fn of(vars: &Vars) -> Self {
        let on = |name: &str| vars.exact(name).is_some_and(super::values::is_on);
        let given = vars.exact("MC_CONFIG_DIR").map(PathBuf::from);
        let region = vars.exact("MC_REGION").or_else(|| vars.exact("AWS_REGION"));
        Self {
            config_dir: given.or_else(|| vars.exact("HOME").map(|home| PathBuf::from(home).join(".mc"))),
            json: on("MC_JSON"),
            quiet: on("MC_QUIET"),
            insecure: on("MC_INSECURE"),
            debug: on("MC_DEBUG"),
            region: region.map(str::to_owned),
            limit_upload: vars.exact("MC_LIMIT_UPLOAD").map(str::to_owned),
            limit_download: vars.exact("MC_LIMIT_DOWNLOAD").map(str::to_owned),
        }
    }
}

/// The whole file.
#[derive(Clone, Debug)]
pub struct Aliases {
    document: Map<String, Value>,
    source: String,
}

impl Aliases {
    /// Reads the text of a file; `None` is a file that is not there yet. `source` is its name, for lists.
    pub fn parse(text: Option<&str>, source: String) -> Result<Self, AliasError> {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            let document = Map::from_iter([
                ("version".to_owned(), json!(VERSION)),
                ("aliases".to_owned(), json!({})),
            ]);
            return Ok(Self { document, source });
        };
        let document: Map<String, Value> = serde_json::from_str(text).map_err(|error| AliasError::Json {
            reason: error.to_string(),
        })?;
        match document.get("version").and_then(Value::as_str) {
            Some(VERSION) => Ok(Self { document, source }),
            other => Err(AliasError::Version {
                found: other.unwrap_or("(none)").to_owned(),
            }),
        }
    }

    /// The text to write.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.document).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The server behind a name: the variable, then the file, then this machine for `local`.
    pub fn find(&self, name: &str, vars: &Vars) -> Result<Alias, AliasError> {
        let alias = name.to_owned();
        if let Some(url) = vars.exact(&format!("MC_HOST_{name}")) {
            let source = format!("MC_HOST_{name}");
            return from_url(url, source).ok_or(AliasError::Variable { alias });
        }
        if let Some(entry) = self.entries().and_then(|entries| entries.get(name)) {
            return from_entry(entry, &self.source).ok_or(AliasError::Entry { alias });
        }
        if name == "local" {
            return from_url(DEFAULT_ENDPOINT, "built in".to_owned()).ok_or(AliasError::Unknown { alias });
        }
        Err(AliasError::Unknown { alias })
    }

    /// Whether a name leads somewhere, or is meant to.
    pub fn knows(&self, name: &str, vars: &Vars) -> bool {
        !matches!(self.find(name, vars), Err(AliasError::Unknown { .. }))
    }

    /// The names in the file, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.entries().into_iter().flat_map(Map::keys).cloned().collect();
        names.sort_unstable();
        names
    }

    /// Puts an alias in, in the place of one of the same name; fields of it that this client does not know stay.
    pub fn set(&mut self, name: &str, alias: &Alias) {
        let aliases = self.document.entry("aliases").or_insert_with(|| json!({}));
        if !aliases.is_object() {
            *aliases = json!({});
        }
        let Some(aliases) = aliases.as_object_mut() else { return };
        let entry = aliases.entry(name).or_insert_with(|| json!({}));
        if !entry.is_object() {
            *entry = json!({});
        }
        let Some(entry) = entry.as_object_mut() else { return };
        entry.insert("url".into(), json!(alias.url()));
        entry.insert("accessKey".into(), json!(alias.access_key));
        entry.insert("secretKey".into(), json!(alias.secret_key.expose()));
        match &alias.session_token {
            Some(token) => drop(entry.insert("sessionToken".into(), json!(token.expose()))),
            None => drop(entry.remove("sessionToken")),
        }
        entry.insert("api".into(), json!(alias.api));
        entry.insert("path".into(), json!(alias.path));
    }

    /// Takes an alias out; `false` when there was none.
    pub fn remove(&mut self, name: &str) -> bool {
        let aliases = self.document.get_mut("aliases").and_then(Value::as_object_mut);
        aliases.is_some_and(|aliases| aliases.remove(name).is_some())
    }

    fn entries(&self) -> Option<&Map<String, Value>> {
        self.document.get("aliases").and_then(Value::as_object)
    }
}

fn from_entry(entry: &Value, source: &str) -> Option<Alias> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    let url = text("url");
    Some(Alias {
        host: parse(url).filter(|_| !url.contains('@'))?,
        access_key: text("accessKey").to_owned(),
        secret_key: Secret::new(text("secretKey")),
        session_token: Some(text("sessionToken"))
            .filter(|token| !token.is_empty())
            .map(Secret::new),
        api: text("api").to_owned(),
        path: text("path").to_owned(),
        source: source.to_owned(),
    })
}

/// `http(s)://ACCESSKEY:SECRETKEY[:TOKEN]@HOST`, where the parts may be percent-encoded.
fn from_url(url: &str, source: String) -> Option<Alias> {
    let host = parse(url)?;
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let credentials = rest.rsplit_once('@').map(|(credentials, _)| credentials);
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (access_key, secret_key, session_token) = match credentials {
        None => (String::new(), String::new(), None),
        Some(credentials) => {
            let mut parts = credentials.splitn(3, ':').map(decoded);
            (parts.next()?, parts.next()?, parts.next())
        }
    };
    Some(Alias {
        host,
        access_key,
        secret_key: Secret::new(secret_key),
        session_token: session_token.map(Secret::new),
        api: "s3v4".to_owned(),
        path: "auto".to_owned(),
        source,
    })
}

/// A new alias from what a person typed; `None` when the URL is none.
pub fn new_alias(url: &str, access_key: &str, secret_key: Secret, path: &str) -> Option<Alias> {
    let host = parse(url).filter(|_| !url.contains('@'))?;
    Some(Alias {
        host,
        access_key: access_key.to_owned(),
        secret_key,
        session_token: None,
        api: "s3v4".to_owned(),
        path: path.to_owned(),
        source: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases(text: &str) -> Aliases {
        Aliases::parse(Some(text), "the-file".into()).unwrap()
    }

    #[test]
    fn an_alias_is_found_in_the_environment_first_then_in_the_file() {
        let vars: Vars = [
            ("MC_HOST_there", "https://rock:p@ss%2Fword@store.test:9443"),
            ("MC_HOST_token", "http://a:b:c@store.test"),
            ("MC_HOST_plain", "http://[::1]:9100/"),
            ("MC_HOST_broken", "store.test"),
        ]
        .into_iter()
        .collect();
        let file = aliases(
            r#"{"version":"10","aliases":{"there":{"url":"http://x"},"wall":{"url":"http://h:9000","accessKey":"k","secretKey":"s"}}}"#,
        );
        let there = file.find("there", &vars).unwrap();
        assert_eq!((there.host.tls, there.url()), (true, "https://store.test:9443".into()));
        assert_eq!(
            (there.access_key.as_str(), there.secret_key.expose()),
            ("rock", "p@ss/word")
        );
        let token = file.find("token", &vars).unwrap();
        assert_eq!(token.session_token, Some(Secret::new("c")));
        assert_eq!(file.find("plain", &vars).unwrap().url(), "http://[::1]:9100");
        assert_eq!(file.find("local", &vars).unwrap().url(), "http://localhost:9000");
        assert_eq!(file.find("wall", &vars).unwrap().secret_key.expose(), "s");
        assert_eq!(
            file.find("broken", &vars),
            Err(AliasError::Variable { alias: "broken".into() })
        );
        assert_eq!(
            file.find("nowhere", &vars),
            Err(AliasError::Unknown {
                alias: "nowhere".into()
            })
        );
        assert!(file.knows("broken", &vars) && !file.knows("nowhere", &vars));
    }

    #[test]
    fn what_a_file_holds_beside_the_aliases_stays() {
        let mut file = aliases(
            r#"{"version":"10","other":{"a":[1]},"aliases":{"x":{"url":"http://h","license":"l"},"y":{"url":"http://i"}}}"#,
        );
        let alias = new_alias("https://new.test", "key", Secret::new("secret"), "auto").unwrap();
        file.set("x", &alias);
        assert!(file.remove("y") && !file.remove("y"));
        let again = aliases(&file.text());
        assert_eq!(again.names(), ["x"]);
        assert!(again.text().contains("\"license\"") && again.text().contains("\"other\""));
        assert_eq!(again.find("x", &Vars::default()).unwrap().url(), "https://new.test");
    }

    #[test]
    fn a_file_of_another_version_or_no_json_is_refused() {
        let error = |text| Aliases::parse(Some(text), String::new()).unwrap_err().to_string();
        assert!(error(r#"{"version":"9"}"#).contains("version 9"));
        assert!(error("{").contains("not JSON"));
        assert!(Aliases::parse(None, String::new()).unwrap().names().is_empty());
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let alias = new_alias("http://h", "key", Secret::new("canary"), "auto").unwrap();
        assert!(!format!("{alias:?}").contains("canary"));
    }
}
