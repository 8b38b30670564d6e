//! Projects as operators manage them (`/v1/admin/projects…`): environments, keys, issuers. Names of fields are a promise.
//!
//! It reads requests and writes reports; what a change means is `projects`'s to say. A secret key is told once, when it is
//! made; the secret of an issuer never.

mod collect;
mod logical;

use std::collections::BTreeMap;

use http::{StatusCode, Uri};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::error::Fault;
use storage_engine::store::projects::OfProject;
use storage_engine::store::record::labels::Visibility;
use storage_engine::store::record::projects::{IssuerKeys, ProjectKeyRecord};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use self::collect::CollectReport;
use self::logical::logical_report;
pub use self::logical::{LogicalAsked, LogicalReport};
use super::answer::Answer;
use super::error::AdminError;
use super::identities::Permission;
use super::usage::shown_millis;
use super::visibility::{self, BucketChange};
use super::{Ask, Inner};
use crate::access::Action;
use crate::auth::SecretKey;
use crate::http::host::Hosts;
use crate::images::limits::UNSIGNED_VARIANTS_PER_HOUR;
use crate::projects::{
    Envelope, ImageSettings, IssuerView, KeyKind, NewImages, NewIssuer, NewIssuerKeys, NewProjectKey, Project,
    ProjectKeyView, ProjectsError,
};

/// What can be asked about projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    List,
    Add,
    Set,
    Remove,
    EnvironmentAdd,
    EnvironmentRemove,
    LogicalSet,
    LogicalReset,
    Collect,
    ImagesGet,
    ImagesSet,
    KeyList,
    KeyMake,
    KeyRemove,
    IssuerList,
    IssuerAdd,
    IssuerRemove,
}

impl Verb {
    pub(super) fn permission(self) -> Permission {
        Permission::AnyOf(match self {
            Self::List | Self::ImagesGet | Self::KeyList | Self::IssuerList => &[Action::AdminGetProject],
            Self::Add
            | Self::Set
            | Self::Remove
            | Self::EnvironmentAdd
            | Self::EnvironmentRemove
            | Self::LogicalSet
            | Self::LogicalReset
            | Self::Collect
            | Self::ImagesSet
            | Self::KeyMake
            | Self::KeyRemove
            | Self::IssuerAdd
            | Self::IssuerRemove => &[Action::AdminSetProject],
        })
    }
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectReport {
    pub project: String,
    pub description: String,
    /// In which form its apps are answered: `both` or `bare`.
    pub envelope: String,
    pub environments: Vec<EnvironmentReport>,
}

/// An environment of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentReport {
    pub environment: String,
    /// The app bucket: an ordinary bucket of S3.
    pub bucket: String,
    /// Of files that name none, where their logical bucket has none either.
    #[serde(default)]
    pub default_visibility: String,
    /// What is set on logical buckets, by name.
    pub logical: Vec<LogicalReport>,
}

/// All projects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectsReport {
    pub projects: Vec<ProjectReport>,
}

/// A project to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectAsked {
    pub project: String,
    #[serde(default)]
    pub description: String,
    /// Made with it.
    #[serde(default)]
    pub environments: Vec<String>,
}

/// What to set on a project: its `envelope`, or the `default_visibility` of one `environment`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSet {
    pub project: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// `both` or `bare`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<String>,
    /// `public`, `private` or `protected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_visibility: Option<String>,
}

/// An environment to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentAsked {
    pub project: String,
    pub environment: String,
}

/// What is set on the images of an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagesReport {
    pub project: String,
    pub environment: String,
    pub has_signing_key: bool,
    /// Told once, when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
    pub signed_only: bool,
    pub presets: BTreeMap<String, String>,
    pub unsigned_variants_per_hour: u32,
    /// What is chosen by itself for clients that say to take it: `avif`, `webp`.
    pub auto_formats: Vec<String>,
    /// Names of hosts that serve nothing but these images.
    pub hosts: Vec<String>,
}

/// What is to be set on the images of an environment; what is left out stays.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesAsked {
    pub project: String,
    pub environment: String,
    /// Makes a new key that signs URLs; the old one signs none any more.
    #[serde(default)]
    pub new_signing_key: bool,
    /// A key that somebody else made, in its place: 16 to 512 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_only: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presets: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigned_variants_per_hour: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_formats: Option<Vec<String>>,
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
}

/// A key of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReport {
    pub id: String,
    pub project: String,
    pub environment: String,
    /// `publishable` or `secret`.
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    /// Of a secret key it is told once, when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub scopes: Vec<String>,
    /// Empty: all.
    pub origins: Vec<String>,
    pub created: String,
    pub expires: Option<String>,
    pub revoked: Option<String>,
}

/// The keys of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysReport {
    pub keys: Vec<KeyReport>,
}

/// A key to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyAsked {
    pub project: String,
    pub environment: String,
    /// `publishable` or `secret`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub name: String,
    /// Empty: `files:*`.
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub origins: Vec<String>,
    /// RFC 3339; left out: it does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// An issuer of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerReport {
    pub project: String,
    pub alias: String,
    /// What its tokens say as `iss`; none: what no other issuer's say.
    pub issuer: Option<String>,
    pub algorithm: String,
    /// `secret`, `jwks` or `discovery`.
    pub keys: String,
    /// Where they are fetched.
    pub url: Option<String>,
    pub audience: Option<String>,
    pub subject_claim: String,
    pub groups_claim: String,
    pub role_claim: String,
    pub admin_roles: Vec<String>,
}

/// The issuers of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuersReport {
    pub issuers: Vec<IssuerReport>,
}

/// An issuer to add. One of `secret`, `jwks_url` and `discovery` is given.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerAsked {
    pub project: String,
    pub alias: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Left out: HS256 with a secret, else RS256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_claim: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_claim: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub admin_roles: Vec<String>,
}

async fn set(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let asked: ProjectSet = read(ask)?;
    match (&asked.envelope, &asked.environment, &asked.default_visibility) {
        (Some(envelope), None, None) => set_envelope(ask, &asked.project, envelope).await?,
        (None, Some(environment), Some(level)) => {
            set_default_visibility(ask, (&asked.project, environment), level).await?;
        }
        _ => {
            let why = "Give the envelope of a project, or the default_visibility of one of its environments.";
            return Err(AdminError::Argument(why.to_owned()));
        }
    }
    project(ask, &asked.project).await
}

async fn set_envelope(ask: &Ask<'_>, project: &str, name: &str) -> Result<(), AdminError> {
    let unknown = || ProjectsError::Invalid("An envelope is both or bare".to_owned());
    let mut all = Envelope::ALL.into_iter();
    let envelope = all.find(|envelope| envelope.name() == name).ok_or_else(unknown)?;
    Ok(ask.reach.projects.set_envelope(project, envelope).await?)
}

/// It is the default of the app bucket, so that what comes by S3 has it, too.
async fn set_default_visibility(
    ask: &Ask<'_>,
    (project, environment): (&str, &str),
    level: &str,
) -> Result<(), AdminError> {
    // Of a new file nobody says with whom it is shared, so shared would be another word for private.
    let known = [Visibility::Public, Visibility::Private, Visibility::Protected];
    if !known.into_iter().any(|known| known.name() == level) {
        let rule = "A default visibility is public, private or protected";
        return Err(ProjectsError::Invalid(rule.to_owned()).into());
    }
    let found = ask.reach.projects.project(project)?;
    let found = found.environments.get(environment);
    let found = found.ok_or_else(|| ProjectsError::NoSuchEnvironment(environment.to_owned()))?;
    let change = BucketChange {
        visibility: Some(level.to_owned()),
        ..BucketChange::default()
    };
    visibility::make(ask, &found.bucket, &change).await
}

impl Inner {
    pub(super) async fn projects(&self, verb: Verb, ask: &Ask<'_>) -> Result<Answer, AdminError> {
        let projects = &ask.reach.projects;
        match verb {
            Verb::List => list(ask).await,
            Verb::Add => {
                let asked: ProjectAsked = read(ask)?;
                projects.add_project(&asked.project, &asked.description).await?;
                for environment in &asked.environments {
                    projects.add_environment(&asked.project, environment).await?;
                }
                project(ask, &asked.project).await
            }
            Verb::Set => set(ask).await,
            Verb::Remove => {
                projects.remove_project(ask.query.must("project")?).await?;
                Answer::of(all(ask).await?)
            }
            Verb::EnvironmentAdd => {
                let asked: EnvironmentAsked = read(ask)?;
                projects.add_environment(&asked.project, &asked.environment).await?;
                project(ask, &asked.project).await
            }
            Verb::EnvironmentRemove => {
                let (name, environment) = (ask.query.must("project")?, ask.query.must("environment")?);
                projects.remove_environment(name, environment).await?;
                project(ask, name).await
            }
            Verb::LogicalSet => {
                let asked: LogicalAsked = read(ask)?;
                logical::set(ask, &asked).await?;
                project(ask, &asked.project).await
            }
            Verb::LogicalReset => {
                let name = ask.query.must("project")?;
                let of = OfProject::new(name, ask.query.must("environment")?);
                projects.set_logical(of, ask.query.must("name")?, None).await?;
                project(ask, name).await
            }
            Verb::Collect => collect::collect(ask).await,
            Verb::ImagesGet => {
                let (name, environment) = (ask.query.must("project")?, ask.query.must("environment")?);
                images(ask, name, environment, None)
            }
            Verb::ImagesSet => {
                let server_url = self.config.origins.server_url.as_deref();
                set_images(ask, &Hosts::new(self.config.domains.clone(), server_url)).await
            }
            Verb::KeyList => {
                let keys = projects.keys(ask.query.must("project")?, ask.query.get("environment"))?;
                Answer::of(KeysReport {
                    keys: keys.iter().map(|view| key(view, None)).collect(),
                })
            }
            Verb::KeyMake => make_key(ask).await,
            Verb::KeyRemove => remove_key(ask).await,
            Verb::IssuerList => issuers(ask, ask.query.must("project")?),
            Verb::IssuerAdd => {
                let asked: IssuerAsked = read(ask)?;
                let name = asked.project.clone();
                let added = projects.add_issuer(new_issuer(asked)?).await?;
                Answer::of(issuer(&name, &added))
            }
            Verb::IssuerRemove => {
                let name = ask.query.must("project")?;
                projects.remove_issuer(name, ask.query.must("alias")?).await?;
                issuers(ask, name)
            }
        }
    }
}

fn read<T: DeserializeOwned>(ask: &Ask<'_>) -> Result<T, AdminError> {
    serde_json::from_slice(&ask.body).map_err(|error| AdminError::Unreadable(error.to_string()))
}

async fn list(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    match ask.query.get("project") {
        Some(name) => project(ask, name).await,
        None => Answer::of(all(ask).await?),
    }
}

async fn all(ask: &Ask<'_>) -> Result<ProjectsReport, AdminError> {
    let mut projects = Vec::new();
    for project in ask.reach.projects.list()? {
        projects.push(report(ask, &project).await?);
    }
    Ok(ProjectsReport { projects })
}

async fn project(ask: &Ask<'_>, name: &str) -> Result<Answer, AdminError> {
    let project = ask.reach.projects.project(name)?;
    Answer::of(report(ask, &project).await?)
}

async fn report(ask: &Ask<'_>, project: &Project) -> Result<ProjectReport, AdminError> {
    let mut environments = Vec::new();
    for (name, environment) in &project.environments {
        let settings = ask.reach.store.bucket_settings(&environment.bucket).await;
        let settings = settings.map_err(ProjectsError::from)?;
        let default = settings.and_then(|(settings, _)| settings.visibility);
        environments.push(EnvironmentReport {
            environment: name.clone(),
            bucket: environment.bucket.as_str().to_owned(),
            default_visibility: default.unwrap_or(Visibility::Private).name().to_owned(),
            logical: environment.logical.iter().map(logical_report).collect(),
        });
    }
    Ok(ProjectReport {
        project: project.name.clone(),
        description: project.description.clone(),
        envelope: project.envelope.name().to_owned(),
        environments,
    })
}

fn images(ask: &Ask<'_>, name: &str, environment: &str, made: Option<String>) -> Result<Answer, AdminError> {
    let project = ask.reach.projects.project(name)?;
    let found = project.environments.get(environment);
    let found = found.ok_or_else(|| ProjectsError::NoSuchEnvironment(environment.to_owned()))?;
    let ImageSettings {
        has_key,
        signed_only,
        presets,
        unsigned_variants_per_hour,
        auto_formats,
        hosts,
    } = found.images.clone();
    Answer::of(ImagesReport {
        project: name.to_owned(),
        environment: environment.to_owned(),
        has_signing_key: has_key,
        signing_key: made,
        signed_only,
        presets,
        unsigned_variants_per_hour: unsigned_variants_per_hour.unwrap_or(UNSIGNED_VARIANTS_PER_HOUR),
        auto_formats: auto_formats.names().into_iter().map(str::to_owned).collect(),
        hosts,
    })
}

/// Nobody may cut off the server from the names by which it is reached, the one of this very request among them.
fn refuse_own(ask: &Ask<'_>, own: &Hosts, host: &str) -> Result<(), AdminError> {
    let asked = host.to_ascii_lowercase();
    let here = ask.origin.parse::<Uri>().ok();
    let is_here = here.and_then(|here| Some(here.host()?.eq_ignore_ascii_case(&asked)));
    if own.is_own(&asked) || is_here == Some(true) {
        return Err(ProjectsError::Invalid(format!("The host {asked} is the server's own")).into());
    }
    Ok(())
}

async fn set_images(ask: &Ask<'_>, own: &Hosts) -> Result<Answer, AdminError> {
    let asked: ImagesAsked = read(ask)?;
    for host in asked.hosts.iter().flatten() {
        refuse_own(ask, own, host)?;
    }
    let new = NewImages {
        new_key: asked.new_signing_key,
        own_key: asked.signing_key.map(SecretKey::new),
        signed_only: asked.signed_only,
        presets: asked.presets,
        unsigned_variants_per_hour: asked.unsigned_variants_per_hour,
        auto_formats: asked.auto_formats,
        hosts: asked.hosts,
    };
    let of = OfProject::new(&asked.project, &asked.environment);
    let made = ask.reach.projects.set_images(of, new).await?;
    let made = made.map(|key| String::from_utf8_lossy(key.expose()).into_owned());
    images(ask, &asked.project, &asked.environment, made)
}

fn kind_name(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Publishable => "publishable",
        KeyKind::Secret => "secret",
    }
}

fn key(view: &ProjectKeyView, made: Option<String>) -> KeyReport {
    let ProjectKeyRecord {
        created,
        updated: _,
        project,
        environment,
        kind,
        name,
        hash: _,
        text,
        scopes,
        origins,
        expires,
        revoked,
    } = view.record.clone();
    KeyReport {
        id: view.id.clone(),
        project,
        environment,
        kind: kind_name(kind).to_owned(),
        name,
        key: made.or(text),
        scopes,
        origins,
        created: shown_millis(created),
        expires: expires.map(shown_millis),
        revoked: revoked.map(shown_millis),
    }
}

/// A time as clients write it.
fn time(text: &str) -> Result<Timestamp, AdminError> {
    let parsed = OffsetDateTime::parse(text, &Rfc3339).ok();
    let millis = parsed.and_then(|time| u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok());
    let unclear = || AdminError::Argument("'expires' is no time such as 2030-01-31T12:00:00Z.".to_owned());
    millis.map(Timestamp::from_millis).ok_or_else(unclear)
}

async fn make_key(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let asked: KeyAsked = read(ask)?;
    let kinds = [KeyKind::Publishable, KeyKind::Secret];
    let kind = kinds.into_iter().find(|kind| kind_name(*kind) == asked.kind);
    let unknown = || AdminError::Argument("A key's type is publishable or secret.".to_owned());
    let new = NewProjectKey {
        project: asked.project,
        environment: asked.environment,
        kind: kind.ok_or_else(unknown)?,
        name: asked.name,
        scopes: asked.scopes,
        origins: asked.origins,
        expires: asked.expires.as_deref().map(time).transpose()?,
    };
    let made = ask.reach.projects.make_key(new).await?;
    let text = String::from_utf8_lossy(made.key.expose()).into_owned();
    Answer::of(key(&made.view, Some(text)))
}

/// Revokes a key, or forgets it.
async fn remove_key(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let id = ask.query.must("key")?;
    if !ask.query.is_true("forget") {
        return Answer::of(key(&ask.reach.projects.revoke_key(id).await?, None));
    }
    let known = ask.reach.projects.key(id).ok();
    ask.reach.projects.forget_key(id).await?;
    match known {
        Some(view) => Answer::of(key(&view, None)),
        // It did not read.
        None => Ok(Answer::Done(StatusCode::OK)),
    }
}

fn new_issuer(asked: IssuerAsked) -> Result<NewIssuer, AdminError> {
    let keys = match (asked.secret, asked.jwks_url, asked.discovery) {
        (Some(secret), None, None) => NewIssuerKeys::Secret(SecretKey::new(secret)),
        (None, Some(url), None) => NewIssuerKeys::KeySet(url),
        (None, None, Some(url)) => NewIssuerKeys::Discovery(url),
        _ => {
            let why = "Give one of secret, jwks_url and discovery.";
            return Err(AdminError::Argument(why.to_owned()));
        }
    };
    Ok(NewIssuer {
        project: asked.project,
        alias: asked.alias,
        keys,
        issuer: asked.issuer,
        algorithm: asked.algorithm,
        audience: asked.audience,
        subject_claim: asked.subject_claim,
        groups_claim: asked.groups_claim,
        role_claim: asked.role_claim,
        admin_roles: asked.admin_roles,
    })
}

fn issuers(ask: &Ask<'_>, project: &str) -> Result<Answer, AdminError> {
    let issuers = ask.reach.projects.issuers(project)?;
    Answer::of(IssuersReport {
        issuers: issuers.iter().map(|view| issuer(project, view)).collect(),
    })
}

fn issuer(project: &str, view: &IssuerView) -> IssuerReport {
    let record = view.record.clone();
    let (keys, url) = match record.keys {
        IssuerKeys::Secret(_) => ("secret", None),
        IssuerKeys::KeySet(url) => ("jwks", Some(url)),
        IssuerKeys::Discovery(url) => ("discovery", Some(url)),
    };
    IssuerReport {
        project: project.to_owned(),
        alias: view.alias.clone(),
        issuer: record.issuer,
        algorithm: record.algorithm,
        keys: keys.to_owned(),
        url,
        audience: record.audience,
        subject_claim: record.subject_claim,
        groups_claim: record.groups_claim,
        role_claim: record.role_claim,
        admin_roles: record.admin_roles,
    }
}

impl From<ProjectsError> for AdminError {
    fn from(error: ProjectsError) -> Self {
        let message = error.to_string();
        let missing = |code| Self::Minio {
            code,
            status: StatusCode::NOT_FOUND,
            message: error.to_string(),
        };
        match error {
            ProjectsError::NoSuchProject(_) => missing("PROJECT_NOT_FOUND"),
            ProjectsError::NoSuchEnvironment(_) => missing("ENVIRONMENT_NOT_FOUND"),
            ProjectsError::NoSuchKey(_) => missing("KEY_NOT_FOUND"),
            ProjectsError::NoSuchWebhook => missing("WEBHOOK_NOT_FOUND"),
            ProjectsError::NoSuchIssuer(_) => missing("ISSUER_NOT_FOUND"),
            ProjectsError::AlreadyThere(_)
            | ProjectsError::HasEnvironments
            | ProjectsError::HasFiles
            | ProjectsError::BucketTaken(_)
            | ProjectsError::HostTaken(_)
            | ProjectsError::TooMany(_) => Self::Refused(message),
            ProjectsError::Invalid(_) => Self::Argument(message),
            ProjectsError::NotOpen(_) => Self::Unavailable(message),
            ProjectsError::Identity(error) => error.into(),
            ProjectsError::Fault(Fault::Unavailable(_) | Fault::Unknown(_) | Fault::Full(_)) => {
                Self::Unavailable(message)
            }
            ProjectsError::Fault(Fault::Corrupt(_) | Fault::Internal(_)) => Self::Internal(message),
        }
    }
}
