//! `drystone project`, `drystone key` and `drystone issuer`: the apps that use a running server, asked of and told to it.
//!
//! It reads the command line and prints; what a change means is the server's to say.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::admin::Request;
use super::images::{self, ImagesVerb};
use super::visibility::{Ask, ends, question, shown, written};
use crate::admin::projects::{
    CollectReport, EnvironmentAsked, IssuerAsked, IssuerReport, IssuersReport, KeyAsked, KeyReport, KeysReport,
    LogicalAsked, LogicalReport, ProjectAsked, ProjectReport, ProjectSet, ProjectsReport,
};

const PROJECTS: &str = "/v1/admin/projects";
const ENVIRONMENTS: &str = "/v1/admin/projects/environments";
const BUCKETS: &str = "/v1/admin/projects/buckets";
const COLLECT: &str = "/v1/admin/projects/collect";
const KEYS: &str = "/v1/admin/projects/keys";
const ISSUERS: &str = "/v1/admin/projects/issuers";

/// What to do about apps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppVerb {
    Project(ProjectVerb),
    Key(KeyVerb),
    Issuer(IssuerVerb),
}

/// What to do about projects.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ProjectVerb {
    /// Make a project, with its environments and their buckets
    Add {
        #[arg(value_name = "PROJECT")]
        project: String,
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// An environment to make, such as dev, staging or prod; may be repeated
        #[arg(long = "env", value_name = "ENV", default_value = "dev")]
        environments: Vec<String>,
    },
    /// Set how its apps are answered, or who reads files of an environment that name no visibility
    Set {
        #[arg(value_name = "PROJECT[/ENV]")]
        target: String,
        /// Of a project. bare: the fields of an answer alone; both: once more under data, beside success
        #[arg(long, value_name = "FORM", value_parser = ["bare", "both"], conflicts_with = "default_visibility",
              required_unless_present = "default_visibility")]
        envelope: Option<String>,
        /// Of an environment: who reads files that name no visibility, in logical buckets that have none of their own
        #[arg(long, value_name = "LEVEL", value_parser = ["public", "private", "protected"])]
        default_visibility: Option<String>,
    },
    /// All projects
    #[command(visible_alias = "ls")]
    List,
    /// One project
    Info {
        #[arg(value_name = "PROJECT")]
        project: String,
    },
    /// Remove a project without environments, with its issuers
    #[command(visible_alias = "rm")]
    Remove {
        #[arg(value_name = "PROJECT")]
        project: String,
    },
    /// Its environments
    #[command(subcommand)]
    Env(EnvironmentVerb),
    /// What files of its logical buckets may be
    #[command(subcommand)]
    Bucket(LogicalVerb),
    /// What is set on the images of an environment: signing key, presets, formats, hosts
    #[command(subcommand)]
    Images(ImagesVerb),
    /// Take away what apps left behind, in all app buckets, at once instead of within the hour
    Collect {
        /// Count it, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// What to do about logical buckets.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum LogicalVerb {
    /// Set what holds for the files of a logical bucket, in the place of all that was set
    Set {
        #[arg(value_name = "PROJECT/ENV")]
        environment: String,
        /// avatars, documents, media, files, images, temp, or one of your own
        #[arg(value_name = "NAME")]
        name: String,
        /// Most bytes of a file
        #[arg(long, value_name = "BYTES")]
        max_size: Option<u64>,
        /// A type that files may have, such as image/png or image/*; may be repeated
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        /// Of files that name none themselves: public, private, protected or shared [default: private]
        #[arg(long, value_name = "LEVEL")]
        visibility: Option<String>,
        /// After how many seconds files end by themselves
        #[arg(long = "ttl", value_name = "SECONDS")]
        ttl_seconds: Option<u64>,
        /// Files without references go after 24 hours: off or unreferenced [default: off]
        #[arg(long, value_name = "WHICH")]
        gc: Option<String>,
        /// Files that the app does not register within 24 hours go: auto or required [default: auto]
        #[arg(long, value_name = "WHETHER")]
        confirm: Option<String>,
        /// The server's scanner looks at files, if it has one: on or off [default: on]
        #[arg(long, value_name = "WHETHER")]
        scan: Option<String>,
        /// The size that is announced of a file: the most it may have, or what it must: at-most or exact [default: at-most]
        #[arg(long, value_name = "WHICH")]
        sizes: Option<String>,
        /// Whoever has a publishable key puts files into it, without a token: on or off [default: off]
        #[arg(long, value_name = "WHETHER")]
        guest_upload: Option<String>,
    },
    /// Nothing of its own holds for a logical bucket any more
    Reset {
        #[arg(value_name = "PROJECT/ENV")]
        environment: String,
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// What to do about environments.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum EnvironmentVerb {
    /// Make an environment, with its bucket PROJECT-ENV
    Add {
        #[arg(value_name = "PROJECT/ENV")]
        environment: String,
    },
    /// Remove an environment that holds no files, with its bucket and its keys
    #[command(visible_alias = "rm")]
    Remove {
        #[arg(value_name = "PROJECT/ENV")]
        environment: String,
    },
}

/// What to do about project keys.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum KeyVerb {
    /// Make a key; a secret one is printed this once
    #[command(visible_alias = "add")]
    Make(KeyMake),
    /// The keys of a project or of one environment
    #[command(visible_alias = "ls")]
    List {
        #[arg(value_name = "PROJECT[/ENV]")]
        target: String,
    },
    /// Refuse a key from now on; it stays in the list
    Revoke {
        /// As `key list` shows it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Refuse a key from now on, and forget it
    #[command(visible_alias = "rm")]
    Remove {
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// A key to make.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct KeyMake {
    #[arg(value_name = "PROJECT/ENV")]
    environment: String,
    /// For the app's servers (sk_): it has the rights that its scopes name, and is refused from web pages. Without it, a
    /// publishable key (pk_) for pages and apps
    #[arg(long)]
    secret: bool,
    /// files:read, files:list, files:create, files:update, files:delete [default: files:*]; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A publishable key may be used from pages of this origin alone, such as https://app.example.net; may be repeated
    #[arg(long = "origin", value_name = "ORIGIN", conflicts_with = "secret")]
    origins: Vec<String>,
    /// When it ends: in 30m, 12h, 90d, or at 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// What to call it
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
}

/// What to do about issuers.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum IssuerVerb {
    /// Take the tokens of an issuer: its bearers are users of the project
    Add(Box<IssuerAdd>),
    /// The issuers of a project
    #[command(visible_alias = "ls")]
    List {
        #[arg(value_name = "PROJECT")]
        project: String,
    },
    /// Take no tokens of an issuer from now on
    #[command(visible_alias = "rm")]
    Remove {
        #[arg(value_name = "PROJECT")]
        project: String,
        #[arg(value_name = "ALIAS")]
        alias: String,
    },
}

/// An issuer to add.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct IssuerAdd {
    #[arg(value_name = "PROJECT")]
    project: String,
    /// What to call it here: users own files under it, so it stays theirs for good
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[command(flatten)]
    keys: IssuerKeys,
    /// What its tokens say as iss. Needed with --jwks-url; left out with a secret, it is whatever no other issuer says
    #[arg(long, value_name = "ISS")]
    issuer: Option<String>,
    /// The one algorithm its tokens are signed with [default: HS256 with a secret, else RS256]
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// What its tokens must say as aud [default: anything]
    #[arg(long, value_name = "AUD")]
    audience: Option<String>,
    /// The claim that names the user [default: sub]; a.b is b inside a
    #[arg(long, value_name = "CLAIM")]
    subject_claim: Option<String>,
    /// The claim with the user's groups [default: groups]
    #[arg(long, value_name = "CLAIM")]
    groups_claim: Option<String>,
    /// The claim with the user's role or roles [default: role]
    #[arg(long, value_name = "CLAIM")]
    role_claim: Option<String>,
    /// A role that makes an admin; may be repeated
    #[arg(long = "admin-role", value_name = "ROLE")]
    admin_roles: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
struct IssuerKeys {
    /// File with the secret that it shares with this server, 32 bytes or more
    #[arg(long, value_name = "FILE")]
    hs256_secret_file: Option<PathBuf>,
    /// URL of its set of keys
    #[arg(long, value_name = "URL")]
    jwks_url: Option<String>,
    /// URL of its discovery document, or the issuer's
    #[arg(long, value_name = "URL")]
    discovery: Option<String>,
}

/// Carries out a verb, and gives the text to print.
pub fn answer(verb: &AppVerb, json: bool, now: OffsetDateTime, ask: Ask<'_>) -> Result<String, String> {
    match verb {
        AppVerb::Project(verb) => project(verb, json, ask),
        AppVerb::Key(verb) => key(verb, json, now, ask),
        AppVerb::Issuer(verb) => issuer(verb, json, ask),
    }
}

fn project(verb: &ProjectVerb, json: bool, ask: Ask<'_>) -> Result<String, String> {
    let request = match verb {
        ProjectVerb::List => return shown(ask(question(Method::GET, PROJECTS, &())?)?, json, projects_text),
        ProjectVerb::Remove { project } => {
            let request = question(Method::DELETE, &of_project(PROJECTS, project), &())?;
            return shown(ask(request)?, json, projects_text);
        }
        ProjectVerb::Add {
            project,
            description,
            environments,
        } => {
            let asked = ProjectAsked {
                project: project.clone(),
                description: description.clone(),
                environments: environments.clone(),
            };
            question(Method::POST, PROJECTS, &asked)?
        }
        ProjectVerb::Set {
            target,
            envelope,
            default_visibility,
        } => {
            let (project, environment) = match default_visibility {
                Some(_) => split(target).map(|(project, environment)| (project, Some(environment)))?,
                None => (target.as_str(), None),
            };
            let asked = ProjectSet {
                project: project.to_owned(),
                environment: environment.map(str::to_owned),
                envelope: envelope.clone(),
                default_visibility: default_visibility.clone(),
            };
            question(Method::PUT, PROJECTS, &asked)?
        }
        ProjectVerb::Info { project } => question(Method::GET, &of_project(PROJECTS, project), &())?,
        ProjectVerb::Env(EnvironmentVerb::Add { environment }) => {
            let (project, environment) = split(environment)?;
            let asked = EnvironmentAsked {
                project: project.to_owned(),
                environment: environment.to_owned(),
            };
            question(Method::POST, ENVIRONMENTS, &asked)?
        }
        ProjectVerb::Bucket(verb) => logical(verb)?,
        ProjectVerb::Images(verb) => return shown(ask(images::request(verb)?)?, json, images::text),
        ProjectVerb::Collect { dry_run } => {
            let request = question(Method::POST, &format!("{COLLECT}?dry-run={dry_run}"), &())?;
            return shown(ask(request)?, json, collect_text);
        }
        ProjectVerb::Env(EnvironmentVerb::Remove { environment }) => {
            let (project, environment) = split(environment)?;
            let path = format!(
                "{}&environment={}",
                of_project(ENVIRONMENTS, project),
                written(environment)
            );
            question(Method::DELETE, &path, &())?
        }
    };
    shown(ask(request)?, json, project_text)
}

fn logical(verb: &LogicalVerb) -> Result<Request, String> {
    match verb {
        LogicalVerb::Set {
            environment,
            name,
            max_size,
            types,
            visibility,
            ttl_seconds,
            gc,
            confirm,
            scan,
            sizes,
            guest_upload,
        } => {
            let (project, environment) = split(environment)?;
            let asked = LogicalAsked {
                project: project.to_owned(),
                environment: environment.to_owned(),
                name: name.clone(),
                max_size: *max_size,
                types: types.clone(),
                visibility: visibility.clone(),
                ttl_seconds: *ttl_seconds,
                gc: gc.clone(),
                confirm: confirm.clone(),
                scan: scan.clone(),
                sizes: sizes.clone(),
                guest_upload: guest_upload.clone(),
            };
            question(Method::PUT, BUCKETS, &asked)
        }
        LogicalVerb::Reset { environment, name } => {
            let (project, environment) = split(environment)?;
            let of = format!("&environment={}&name={}", written(environment), written(name));
            question(Method::DELETE, &(of_project(BUCKETS, project) + &of), &())
        }
    }
}

fn key(verb: &KeyVerb, json: bool, now: OffsetDateTime, ask: Ask<'_>) -> Result<String, String> {
    let of_key = |id: &str| format!("{KEYS}?key={}", written(id));
    match verb {
        KeyVerb::Make(make) => {
            let (project, environment) = split(&make.environment)?;
            let asked = KeyAsked {
                project: project.to_owned(),
                environment: environment.to_owned(),
                kind: if make.secret { "secret" } else { "publishable" }.to_owned(),
                name: make.name.clone(),
                scopes: make.scopes.clone(),
                origins: make.origins.clone(),
                expires: make.expires.as_deref().map(|text| ends(text, now)).transpose()?,
            };
            shown(ask(question(Method::POST, KEYS, &asked)?)?, json, made_text)
        }
        KeyVerb::List { target } => {
            let (project, environment) = target.split_once('/').unwrap_or((target, ""));
            let mut path = of_project(KEYS, project);
            if !environment.is_empty() {
                path.push_str(&format!("&environment={}", written(environment)));
            }
            shown(ask(question(Method::GET, &path, &())?)?, json, keys_text)
        }
        KeyVerb::Revoke { id } => shown(ask(question(Method::DELETE, &of_key(id), &())?)?, json, key_line),
        KeyVerb::Remove { id } => {
            let path = format!("{}&forget=true", of_key(id));
            let body = ask(question(Method::DELETE, &path, &())?)?;
            match body.is_empty() {
                true => Ok("It could not be read, and is gone.\n".to_owned()),
                false => shown(body, json, |report: &KeyReport| format!("Gone:{}", key_line(report))),
            }
        }
    }
}

fn issuer(verb: &IssuerVerb, json: bool, ask: Ask<'_>) -> Result<String, String> {
    match verb {
        IssuerVerb::Add(add) => {
            let asked = IssuerAsked {
                project: add.project.clone(),
                alias: add.alias.clone(),
                secret: add.keys.hs256_secret_file.as_ref().map(secret).transpose()?,
                jwks_url: add.keys.jwks_url.clone(),
                discovery: add.keys.discovery.clone(),
                issuer: add.issuer.clone(),
                algorithm: add.algorithm.clone(),
                audience: add.audience.clone(),
                subject_claim: add.subject_claim.clone(),
                groups_claim: add.groups_claim.clone(),
                role_claim: add.role_claim.clone(),
                admin_roles: add.admin_roles.clone(),
            };
            shown(ask(question(Method::POST, ISSUERS, &asked)?)?, json, issuer_line)
        }
        IssuerVerb::List { project } => {
            let request = question(Method::GET, &of_project(ISSUERS, project), &())?;
            shown(ask(request)?, json, issuers_text)
        }
        IssuerVerb::Remove { project, alias } => {
            let path = format!("{}&alias={}", of_project(ISSUERS, project), written(alias));
            shown(ask(question(Method::DELETE, &path, &())?)?, json, issuers_text)
        }
    }
}

/// The secret in a file, without the end of its line.
pub(super) fn secret(file: &PathBuf) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let text = Zeroizing::new(text);
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

pub(super) fn of_project(path: &str, project: &str) -> String {
    format!("{path}?project={}", written(project))
}

pub(super) fn split(target: &str) -> Result<(&str, &str), String> {
    let both = target
        .split_once('/')
        .filter(|(project, name)| !project.is_empty() && !name.is_empty());
    both.ok_or_else(|| format!("'{target}' names no environment; write PROJECT/ENV"))
}

fn project_text(report: &ProjectReport) -> String {
    let about = match report.description.as_str() {
        "" => String::new(),
        text => format!(": {text}"),
    };
    let mut text = format!("{}{about}\n", report.project);
    if report.envelope != "both" {
        text.push_str(&format!("  answers {}\n", report.envelope));
    }
    for environment in &report.environments {
        let default = match environment.default_visibility.as_str() {
            "" | "private" => String::new(),
            level => format!(", {level} by default"),
        };
        let (name, bucket) = (&environment.environment, &environment.bucket);
        text.push_str(&format!("  {name}  bucket {bucket}{default}\n"));
        text.extend(environment.logical.iter().map(logical_line));
    }
    if report.environments.is_empty() {
        text.push_str("  no environments; `drystone project env add PROJECT/dev` makes one\n");
    }
    text
}

fn logical_line(report: &LogicalReport) -> String {
    let mut text = format!(
        "    {}: {}",
        report.name,
        report.visibility.as_deref().unwrap_or("private")
    );
    if let Some(bytes) = report.max_size {
        text.push_str(&format!(", at most {bytes} bytes"));
    }
    if !report.types.is_empty() {
        text.push_str(&format!(", {}", report.types.join(" ")));
    }
    if let Some(seconds) = report.ttl_seconds {
        text.push_str(&format!(", ends after {seconds} s"));
    }
    if report.gc == "unreferenced" {
        text.push_str(", goes without references");
    }
    if report.confirm == "required" {
        text.push_str(", goes unless it is registered");
    }
    if report.scan == "off" {
        text.push_str(", not scanned");
    }
    if report.sizes == "exact" {
        text.push_str(", of exact sizes");
    }
    if report.guest_upload == "on" {
        text.push_str(", guests upload");
    }
    text + "\n"
}

fn collect_text(report: &CollectReport) -> String {
    let verb = if report.dry_run { "would go" } else { "gone" };
    let kinds = report.collected.iter().filter(|(_, count)| **count > 0);
    let mut text: String = kinds.map(|(kind, count)| format!("  {kind}: {count}\n")).collect();
    if text.is_empty() {
        text.push_str("  nothing\n");
    }
    if report.failed > 0 {
        text.push_str(&format!("  not yet: {}; the next pass tries again\n", report.failed));
    }
    if let Some(found) = report.disagreeing
        && found.without_bytes + found.without_record > 0
    {
        text.push_str(&format!(
            "  records and bytes disagree: {} without bytes, {} objects without a record; the log names them\n",
            found.without_bytes, found.without_record
        ));
    }
    format!("Left behind by apps, {verb}:\n{text}")
}

fn projects_text(report: &ProjectsReport) -> String {
    match report.projects.is_empty() {
        true => "There are no projects; `drystone project add NAME` makes one.\n".to_owned(),
        false => report.projects.iter().map(project_text).collect(),
    }
}

fn key_line(report: &KeyReport) -> String {
    let mut text = format!(
        "  {}  {} of {}/{}, {}",
        report.id,
        report.kind,
        report.project,
        report.environment,
        report.scopes.join(" ")
    );
    if !report.origins.is_empty() {
        text.push_str(&format!(", from {}", report.origins.join(" ")));
    }
    if !report.name.is_empty() {
        text.push_str(&format!("  \"{}\"", report.name));
    }
    if let Some(expires) = &report.expires {
        text.push_str(&format!(", until {expires}"));
    }
    if let Some(revoked) = &report.revoked {
        text.push_str(&format!(", REVOKED {revoked}"));
    }
    text.push('\n');
    if let Some(key) = report.key.as_ref().filter(|_| report.kind == "publishable") {
        text.push_str(&format!("    {key}\n"));
    }
    text
}

fn made_text(report: &KeyReport) -> String {
    let text = key_line(report);
    match (&report.key, report.kind.as_str()) {
        (Some(key), "secret") => format!("{text}{key}\nThe key is told this once; nobody can show it again.\n"),
        _ => text,
    }
}

fn keys_text(report: &KeysReport) -> String {
    match report.keys.is_empty() {
        true => "There are no keys; `drystone key make PROJECT/ENV` makes one.\n".to_owned(),
        false => report.keys.iter().map(key_line).collect(),
    }
}

fn issuer_line(report: &IssuerReport) -> String {
    let from = match &report.url {
        Some(url) => format!("keys of {url}"),
        None => "a secret".to_owned(),
    };
    let says = match &report.issuer {
        Some(issuer) => format!("iss {issuer}"),
        None => "any other iss".to_owned(),
    };
    let audience = report.audience.iter().map(|audience| format!(", aud {audience}"));
    let roles = match report.admin_roles.is_empty() {
        true => String::new(),
        false => format!(", admins: {} {}", report.role_claim, report.admin_roles.join(" ")),
    };
    let audience: String = audience.collect();
    format!(
        "  {}  {says}{audience}, {} by {from}{roles}\n",
        report.alias, report.algorithm
    )
}

fn issuers_text(report: &IssuersReport) -> String {
    match report.issuers.is_empty() {
        true => "The project has no issuers: nobody is its user.\n".to_owned(),
        false => report.issuers.iter().map(issuer_line).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::super::args::{Command, parse};
    use super::*;

    const NOW: OffsetDateTime = datetime!(2030-01-01 0:00 UTC);

    /// What a command line asks, and what it prints of this answer.
    fn run(line: &str, answered: &Value) -> (Method, String, Value, String) {
        let words = line.split_whitespace().map(std::ffi::OsString::from).collect();
        let Command::Apps(command) = parse(words).unwrap() else {
            panic!("{line}")
        };
        let asked = Mutex::new(None);
        let ask = |request: Request| {
            let body = serde_json::from_slice(&request.body).unwrap_or_default();
            *asked.lock() = Some((request.method, request.path, body));
            Ok(answered.to_string().into_bytes())
        };
        let text = answer(&command.verb, command.json, NOW, &ask).unwrap();
        let (method, path, body) = asked.into_inner().unwrap();
        (method, path, body, text)
    }

    fn key_answer(kind: &str, key: Option<&str>) -> Value {
        json!({ "id": "0123", "project": "shop", "environment": "dev", "type": kind, "name": "web", "key": key,
            "scopes": ["files:*"], "origins": [], "created": "2030-01-01T00:00:00Z", "expires": null,
            "revoked": null })
    }

    #[test]
    fn a_project_is_made_with_an_environment_and_shown() {
        let answer = json!({ "project": "shop", "description": "", "envelope": "both", "environments":
            [{ "environment": "dev", "bucket": "shop-dev", "logical": [] }] });
        let (method, path, body, text) = run("drystone project add shop", &answer);
        assert_eq!((method, path.as_str()), (Method::POST, PROJECTS));
        assert_eq!(
            body,
            json!({ "project": "shop", "description": "", "environments": ["dev"] })
        );
        assert_eq!(text, "shop\n  dev  bucket shop-dev\n");
        let (.., body, _) = run("drystone project add shop --env dev --env prod", &answer);
        assert_eq!(body["environments"], json!(["dev", "prod"]));
        let (method, path, ..) = run("drystone project env rm shop/dev", &answer);
        assert_eq!(method, Method::DELETE);
        assert_eq!(path, "/v1/admin/projects/environments?project=shop&environment=dev");
    }

    #[test]
    fn what_holds_for_a_logical_bucket_is_set_shown_and_reset() {
        let logical = json!({ "name": "images", "max_size": 5, "types": ["image/*"], "visibility": "public",
            "ttl_seconds": 60, "gc": "unreferenced", "confirm": "required", "scan": "off", "sizes": "exact",
            "guest_upload": "on" });
        let answer = json!({ "project": "shop", "description": "", "envelope": "both", "environments":
            [{ "environment": "dev", "bucket": "shop-dev", "logical": [logical] }] });
        let line = "drystone project bucket set shop/dev images --max-size 5 --type image/* --visibility public \
                    --ttl 60 --gc unreferenced --confirm required --scan off --sizes exact --guest-upload on";
        let (method, path, body, text) = run(line, &answer);
        assert_eq!((method, path.as_str()), (Method::PUT, BUCKETS));
        let expected = json!({ "project": "shop", "environment": "dev", "name": "images", "max_size": 5,
            "types": ["image/*"], "visibility": "public", "ttl_seconds": 60, "gc": "unreferenced",
            "confirm": "required", "scan": "off", "sizes": "exact", "guest_upload": "on" });
        assert_eq!(body, expected);
        assert!(
            text.ends_with(
                "    images: public, at most 5 bytes, image/*, ends after 60 s, goes without references, \
                 goes unless it is registered, not scanned, of exact sizes, guests upload\n"
            ),
            "{text}"
        );
        let (_, path, ..) = run("drystone project bucket reset shop/dev images", &answer);
        assert_eq!(
            path,
            "/v1/admin/projects/buckets?project=shop&environment=dev&name=images"
        );
    }

    #[test]
    fn the_form_of_answers_is_set_on_a_project_and_the_default_visibility_on_an_environment() {
        let answer = json!({ "project": "shop", "description": "", "envelope": "bare", "environments":
            [{ "environment": "dev", "bucket": "shop-dev", "default_visibility": "public", "logical": [] },
            { "environment": "prod", "bucket": "shop-prod", "default_visibility": "private", "logical": [] }] });
        let (method, path, body, text) = run("drystone project set shop/dev --default-visibility public", &answer);
        assert_eq!((method, path.as_str()), (Method::PUT, PROJECTS));
        let expected = json!({ "project": "shop", "environment": "dev", "default_visibility": "public" });
        assert_eq!(body, expected);
        let shown = "shop\n  answers bare\n  dev  bucket shop-dev, public by default\n  prod  bucket shop-prod\n";
        assert_eq!(text, shown);
        let (.., body, _) = run("drystone project set shop --envelope bare", &answer);
        assert_eq!(body, json!({ "project": "shop", "envelope": "bare" }));
        for wrong in [
            "drystone project set shop/dev",
            "drystone project set shop/dev --default-visibility shared",
            "drystone project set shop/dev --default-visibility public --envelope bare",
        ] {
            let words = wrong.split_whitespace().map(std::ffi::OsString::from).collect();
            assert!(parse(words).unwrap_err().use_stderr(), "{wrong}");
        }
    }

    #[test]
    fn what_is_collected_is_told_by_kind_and_a_dry_run_says_that_it_is_one() {
        let mut answer = json!({ "dry_run": true, "collected": { "announced": 3, "trash": 0 }, "failed": 1 });
        let (method, path, _, text) = run("drystone project collect --dry-run", &answer);
        assert_eq!(
            (method, path.as_str()),
            (Method::POST, "/v1/admin/projects/collect?dry-run=true")
        );
        assert_eq!(
            text,
            "Left behind by apps, would go:\n  announced: 3\n  not yet: 1; the next pass tries again\n"
        );
        answer = json!({ "dry_run": false, "collected": { "announced": 0 }, "failed": 0 });
        let (_, path, _, text) = run("drystone project collect", &answer);
        assert_eq!(path, "/v1/admin/projects/collect?dry-run=false");
        assert_eq!(text, "Left behind by apps, gone:\n  nothing\n");
    }

    #[test]
    fn a_secret_key_is_printed_once_with_a_word_of_warning_and_a_publishable_one_always() {
        let (_, path, body, text) = run(
            "drystone key make shop/dev --secret --scope files:read --expires 1d",
            &key_answer("secret", Some("sk_1")),
        );
        assert_eq!(path, KEYS);
        assert_eq!(
            (&body["type"], &body["expires"]),
            (&json!("secret"), &json!("2030-01-02T00:00:00Z"))
        );
        assert!(text.contains("\nsk_1\n") && text.contains("this once"), "{text}");
        let list = json!({ "keys": [key_answer("publishable", Some("pk_1")), key_answer("secret", None)] });
        let (_, path, _, text) = run("drystone key ls shop/dev", &list);
        assert_eq!(path, "/v1/admin/projects/keys?project=shop&environment=dev");
        assert!(text.contains("    pk_1\n") && text.lines().count() == 3, "{text}");
        let (method, path, ..) = run("drystone key rm 0123", &key_answer("secret", None));
        assert_eq!(
            (method, path.as_str()),
            (Method::DELETE, "/v1/admin/projects/keys?key=0123&forget=true")
        );
    }

    #[test]
    fn the_secret_of_an_issuer_is_read_from_a_file_and_never_printed() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "a-secret-in-a-file").unwrap();
        let line = format!(
            "drystone issuer add shop own --hs256-secret-file {} --admin-role admin --json",
            file.path().display()
        );
        let answer = json!({ "project": "shop", "alias": "own", "issuer": null, "algorithm": "HS256", "keys": "secret",
            "url": null, "audience": null, "subject_claim": "sub", "groups_claim": "groups", "role_claim": "role",
            "admin_roles": ["admin"] });
        let (method, path, body, text) = run(&line, &answer);
        assert_eq!((method, path.as_str()), (Method::POST, ISSUERS));
        let expected = json!({ "project": "shop", "alias": "own", "secret": "a-secret-in-a-file",
            "admin_roles": ["admin"] });
        assert_eq!(body, expected);
        assert!(!text.contains("a-secret"), "{text}");
        let (.., text) = run("drystone issuer ls shop", &json!({ "issuers": [answer] }));
        assert_eq!(text, "  own  any other iss, HS256 by a secret, admins: role admin\n");
        for wrong in [
            "drystone issuer add shop own",
            "drystone issuer add shop own --jwks-url http://x --discovery http://y",
            "drystone key make shop/dev --secret --origin https://a.test",
        ] {
            let words = wrong.split_whitespace().map(std::ffi::OsString::from).collect();
            assert!(parse(words).unwrap_err().use_stderr(), "{wrong}");
        }
    }
}
