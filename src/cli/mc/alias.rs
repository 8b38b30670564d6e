//! `mc alias`: the servers in the configuration file. Secrets are shown by `list` alone, as people expect it to.

use std::fs;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::ClientError;
use super::output::Failure;
use super::shell::Shell;
use crate::config::Secret;
use crate::config::aliases::{Alias, Aliases, new_alias};

#[derive(Debug, Subcommand)]
pub(super) enum AliasVerb {
    /// Add a server, or change one
    #[command(visible_alias = "s")]
    Set(SetArgs),
    /// Show the servers, with their keys
    #[command(visible_alias = "ls")]
    List {
        #[arg(value_name = "ALIAS")]
        alias: Option<String>,
    },
    /// Forget a server
    #[command(visible_alias = "rm")]
    Remove {
        #[arg(value_name = "ALIAS")]
        alias: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "URL")]
    url: String,
    /// Asked for when it is left out
    #[arg(value_name = "ACCESSKEY", requires = "secret_key")]
    access_key: Option<String>,
    #[arg(value_name = "SECRETKEY", value_parser = secret)]
    secret_key: Option<Secret>,
    /// Signature; S3v4 is the only one
    #[arg(long, value_name = "API")]
    api: Option<String>,
    /// Whether the bucket is in the path: auto, on or off
    #[arg(long, value_name = "PATH", default_value = "auto", value_parser = ["auto", "on", "off"])]
    path: String,
}

/// Takes a secret from the command line into what never prints it.
pub(super) fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

pub(super) async fn run(shell: &Shell, verb: AliasVerb) -> Result<(), Failure> {
    match verb {
        AliasVerb::Set(args) => set(shell, args).await,
        AliasVerb::List { alias } => list(shell, alias.as_deref()),
        AliasVerb::Remove { alias } => remove(shell, &alias),
    }
}

async fn set(shell: &Shell, args: SetArgs) -> Result<(), Failure> {
    let name = args.alias.trim_end_matches('/');
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    {
        let hint = format!("Alias `{name}` should be of letters, digits, `-` and `_`, and begin with a letter");
        return Err(Failure::fatal("Invalid alias.").hint(hint));
    }
    if args.api.as_deref().is_some_and(|api| !api.eq_ignore_ascii_case("s3v4")) {
        return Err(Failure::fatal("Unrecognized API signature.").hint("Only S3v4 is built"));
    }
    let (access_key, secret_key) = match (args.access_key, args.secret_key) {
        (Some(access_key), Some(secret_key)) => (access_key, secret_key),
        _ => ask_for_keys().map_err(|error| Failure::fatal("Unable to read the keys.").because(&error.into()))?,
    };
    check_keys(&access_key, &secret_key)?;
    let Some(alias) = new_alias(&args.url, &access_key, secret_key, &args.path) else {
        let hint = format!(
            "URL `{}` should be of the form scheme://host[:port]/ without resource component",
            args.url
        );
        return Err(Failure::fatal("Invalid URL.").hint(hint));
    };
    let client = shell.client_of(alias.clone())?;
    let made_up = format!(
        "probe-bsign-{}",
        &uuid::Uuid::new_v4().simple().to_string().get(..30).unwrap_or("probe")
    );
    match client
        .document(&made_up, "", "location")
        .await
        .map_err(|error| (error.code().to_owned(), error))
    {
        Ok(_) => {}
        Err((code, _)) if matches!(code.as_str(), "NoSuchBucket" | "AccessDenied") => {}
        Err((_, error)) => {
            return Err(
                Failure::fatal("Unable to initialize new alias from the provided credentials.").because(&error),
            );
        }
    }
    let mut aliases = shell.aliases()?;
    aliases.set(name, &alias);
    store(shell, &aliases)?;
    let mut said = described(name, &alias);
    if let Some(said) = said.as_object_mut() {
        said.remove("src");
    }
    shell.out.say(&said, &format!("Added `{name}` successfully."));
    Ok(())
}

fn check_keys(access_key: &str, secret_key: &Secret) -> Result<(), Failure> {
    let hint = "Leave both empty to ask anonymously";
    if !access_key.is_empty() && access_key.chars().count() < 3 {
        return Err(Failure::fatal(format!(
            "Invalid access key `{access_key}`; it has at least 3 characters."
        ))
        .hint(hint));
    }
    let length = secret_key.expose().chars().count();
    if length != 0 && length < 8 {
        return Err(Failure::fatal("Invalid secret key; it has at least 8 characters.").hint(hint));
    }
    if access_key.is_empty() != (length == 0) {
        return Err(Failure::fatal("Only one of access key and secret key is given.").hint(hint));
    }
    Ok(())
}

/// Both keys: a line each, of a terminal or of standard input.
pub(super) fn ask_for_keys() -> std::io::Result<(String, Secret)> {
    if std::io::stdin().is_terminal() {
        write!(std::io::stderr(), "Enter Access Key: ")?;
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok((line.trim().to_owned(), ask_for_secret()?))
}

/// The secret key alone: from a terminal, unseen; else a line of standard input.
pub(super) fn ask_for_secret() -> std::io::Result<Secret> {
    let mut line = String::new();
    if std::io::stdin().is_terminal() {
        write!(std::io::stderr(), "Enter Secret Key: ")?;
        line = console::Term::stderr().read_secure_line()?;
    } else {
        std::io::stdin().read_line(&mut line)?;
    }
    Ok(Secret::new(line.trim()))
}

fn described(name: &str, alias: &Alias) -> serde_json::Value {
    json!({
        "status": "success",
        "alias": name,
        "URL": alias.url(),
        "accessKey": alias.access_key,
        "secretKey": alias.secret_key.expose(),
        "api": alias.api,
        "path": alias.path,
        "src": alias.source,
    })
}

fn list(shell: &Shell, only: Option<&str>) -> Result<(), Failure> {
    let aliases = shell.aliases()?;
    let only = only.map(|name| name.trim_end_matches('/'));
    let names = match only {
        Some(name) => vec![name.to_owned()],
        None => aliases.names(),
    };
    for name in names {
        let alias = shell.alias(&name).map_err(|_| unknown(&name))?;
        let text = format!(
            "{name}\n  URL       : {}\n  AccessKey : {}\n  SecretKey : {}\n  API       : {}\n  Path      : {}\n  Src       : {}",
            alias.url(),
            alias.access_key,
            alias.secret_key.expose(),
            alias.api,
            alias.path,
            alias.source
        );
        shell.out.say(&described(&name, &alias), &text);
    }
    Ok(())
}

fn unknown(name: &str) -> Failure {
    let hint = format!("Use `mc alias set {name} URL ACCESSKEY SECRETKEY` to add an alias");
    Failure::fatal(format!("No such alias `{name}` found.")).hint(hint)
}

fn remove(shell: &Shell, name: &str) -> Result<(), Failure> {
    let name = name.trim_end_matches('/');
    let mut aliases = shell.aliases()?;
    if !aliases.remove(name) {
        return Err(unknown(name));
    }
    store(shell, &aliases)?;
    let text = format!("Removed `{name}` successfully.");
    shell.out.say(&json!({ "status": "success", "alias": name }), &text);
    Ok(())
}

fn store(shell: &Shell, aliases: &Aliases) -> Result<(), Failure> {
    let file = shell.config_file()?;
    let failed = |error: std::io::Error| {
        Failure::fatal(format!("Unable to write `{}`.", file.display())).because(&ClientError::Io(error))
    };
    replace(&file, &aliases.text()).map_err(failed)
}

/// Puts a file that only its owner may read in the place of another, whole or not at all.
pub(super) fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let beside = file.with_extension(format!("json.{}", uuid::Uuid::new_v4().simple()));
    let written = || {
        let mut options = fs::OpenOptions::new();
        let mut new = options.write(true).create_new(true).mode(0o600).open(&beside)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        fs::rename(&beside, file)
    };
    let result = written();
    if result.is_err() {
        drop(fs::remove_file(&beside));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_with_secrets_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/config.json");
        replace(&file, "one").unwrap();
        replace(&file, "two").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        assert_eq!(
            fs::read_dir(file.parent().unwrap()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn keys_that_no_server_has_are_refused_before_it_is_asked() {
        let refused = |access: &str, secret: &str| check_keys(access, &Secret::new(secret)).is_err();
        assert!(
            refused("ab", "12345678") && refused("abc", "1234567") && refused("abc", "") && refused("", "12345678")
        );
        assert!(!refused("abc", "12345678") && !refused("", ""));
    }
}
