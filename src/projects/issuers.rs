//! Issuers: who vouches for users of a project; added, listed, removed.
//!
//! An issuer's secret is sealed by the directory of users, as the server's own settings are, and never shown.

use storage_engine::store::projects::{OfProject, ProjectChange, RowName};
use storage_engine::store::record::projects::{IssuerKeys as StoredKeys, IssuerRecord};

use super::directory::Projects;
use super::error::ProjectsError;
use super::names;
use super::snapshot::{Snapshot, pinned};
use crate::auth::SecretKey;

/// Fewest bytes of a secret: with fewer, tokens could be forged by guessing (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;
const SECRET_BYTES_MAX: usize = 4_096;
/// Longest URL, name of a claim, or role.
const TEXT_BYTES_MAX: usize = 1_024;
/// Most issuers of one project.
const ISSUERS_MAX: usize = 64;
const ADMIN_ROLES_MAX: usize = 64;
/// Where an issuer has its document (OpenID Connect Discovery 1.0, 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// What proves the tokens of an issuer to be added.
#[derive(Clone, Debug)]
pub enum NewIssuerKeys {
    /// A secret that it shares with this server, 32 bytes or more.
    Secret(SecretKey),
    /// URL of a set of keys.
    KeySet(String),
    /// URL of a discovery document, or the issuer's, below which it is.
    Discovery(String),
}

/// An issuer to be added.
#[derive(Clone, Debug)]
pub struct NewIssuer {
    pub project: String,
    pub alias: String,
    pub keys: NewIssuerKeys,
    /// What its tokens say as `iss`. `None`: of a discovery document its own URL; with a secret, whatever no other issuer
    /// of the project says.
    pub issuer: Option<String>,
    /// `None`: HS256 with a secret, or else RS256.
    pub algorithm: Option<String>,
    /// What its tokens must say as `aud`; `None`: anything.
    pub audience: Option<String>,
    /// `None`: `sub`.
    pub subject_claim: Option<String>,
    /// `None`: `groups`.
    pub groups_claim: Option<String>,
    /// `None`: `role`.
    pub role_claim: Option<String>,
    pub admin_roles: Vec<String>,
}

/// An issuer as operators see it; a secret is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerView {
    pub alias: String,
    pub record: IssuerRecord,
}

/// What the secret of an issuer is sealed as.
pub(super) fn sealed_as(project: &str, alias: &str) -> String {
    format!("issuer {project}/{alias}")
}

fn invalid(why: &str) -> ProjectsError {
    ProjectsError::Invalid(why.to_owned())
}

fn is_fetched(url: &str) -> bool {
    let parsed: Option<http::Uri> = url.parse().ok();
    parsed.is_some_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some())
}

fn check_texts(new: &NewIssuer) -> Result<(), ProjectsError> {
    let single = [
        &new.issuer,
        &new.algorithm,
        &new.audience,
        &new.subject_claim,
        &new.groups_claim,
        &new.role_claim,
    ];
    let mut texts = single.into_iter().flatten().chain(&new.admin_roles);
    let wrong = |text: &String| text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control);
    if texts.any(wrong) || new.admin_roles.len() > ADMIN_ROLES_MAX {
        return Err(invalid(
            "Names of claims, roles (at most 64), issuer and audience have 1 to 1,024 bytes and no control characters",
        ));
    }
    Ok(())
}

impl NewIssuer {
    /// Where its keys are, and what its tokens say as `iss`.
    fn place(&self) -> Result<(Option<StoredKeys>, Option<String>), ProjectsError> {
        let url = |url: &str| match url.len() <= TEXT_BYTES_MAX && is_fetched(url) {
            true => Ok(url.to_owned()),
            false => Err(invalid("An URL of keys begins with https:// (or http://) and a host")),
        };
        Ok(match &self.keys {
            NewIssuerKeys::Secret(secret) => {
                if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&secret.expose().len()) {
                    return Err(invalid(
                        "A secret has 32 to 4,096 bytes; `openssl rand -hex 32` makes one",
                    ));
                }
                (None, self.issuer.clone())
            }
            NewIssuerKeys::KeySet(place) => (Some(StoredKeys::KeySet(url(place)?)), self.issuer.clone()),
            NewIssuerKeys::Discovery(place) => {
                let place = place.trim_end_matches('/');
                let base = place.strip_suffix(DISCOVERY).unwrap_or(place).to_owned();
                let document = url(&format!("{base}{DISCOVERY}"))?;
                let issuer = self.issuer.clone().unwrap_or(base);
                (Some(StoredKeys::Discovery(document)), Some(issuer))
            }
        })
    }
}

impl Projects {
    /// Adds an issuer to a project. Nothing is fetched yet.
    pub async fn add_issuer(&self, new: NewIssuer) -> Result<IssuerView, ProjectsError> {
        names::check_alias(&new.alias)?;
        check_texts(&new)?;
        let (place, issuer) = new.place()?;
        let keys = match (place, &new.keys) {
            (Some(keys), _) => keys,
            (None, NewIssuerKeys::Secret(secret)) => {
                let name = sealed_as(&new.project, &new.alias);
                StoredKeys::Secret(self.inner.directory.seal_setting(&name, secret.expose()).await?)
            }
            (None, NewIssuerKeys::KeySet(_) | NewIssuerKeys::Discovery(_)) => {
                return Err(invalid("It has no keys"));
            }
        };
        let usual = match keys {
            StoredKeys::Secret(_) => "HS256",
            StoredKeys::KeySet(_) | StoredKeys::Discovery(_) => "RS256",
        };
        let or = |given: &Option<String>, usual: &str| given.clone().unwrap_or_else(|| usual.to_owned());
        let issuers = self.inner.issuers.clone();
        self.change(move |snapshot, now| {
            names::project(snapshot, &new.project)?;
            let name = OfProject::new(&new.project, &new.alias);
            admissible(snapshot, &name, issuer.as_deref())?;
            let mut admin_roles = new.admin_roles.clone();
            admin_roles.sort();
            admin_roles.dedup();
            let record = IssuerRecord {
                created: now,
                updated: now,
                issuer: issuer.clone(),
                algorithm: or(&new.algorithm, usual),
                keys: keys.clone(),
                audience: new.audience.clone(),
                subject_claim: or(&new.subject_claim, "sub"),
                groups_claim: or(&new.groups_claim, "groups"),
                role_claim: or(&new.role_claim, "role"),
                admin_roles,
            };
            pinned(&record, &issuers).map_err(|why| ProjectsError::Invalid(why.to_string()))?;
            let change = ProjectChange::Issuer(name, Some(record.clone()));
            let alias = new.alias.clone();
            Ok((vec![change], IssuerView { alias, record }))
        })
        .await
    }

    /// The issuers of a project.
    pub fn issuers(&self, project: &str) -> Result<Vec<IssuerView>, ProjectsError> {
        let snapshot = self.snapshot()?;
        names::project(&snapshot, project)?;
        let of_project = snapshot.rows.issuers.iter().filter(|(name, _)| name.project == project);
        let views = of_project.map(|(name, record)| IssuerView {
            alias: name.name.clone(),
            record: record.clone(),
        });
        Ok(views.collect())
    }

    /// Takes an issuer away: its tokens are refused from the next request on. Also one that does not read any more.
    pub async fn remove_issuer(&self, project: &str, alias: &str) -> Result<(), ProjectsError> {
        let name = OfProject::new(project, alias);
        self.change(move |snapshot, _| {
            names::project(snapshot, &name.project)?;
            let damaged = RowName::Issuer(name.clone());
            if !snapshot.rows.issuers.contains_key(&name) && !snapshot.rows.unreadable.contains(&damaged) {
                return Err(ProjectsError::NoSuchIssuer(name.name.clone()));
            }
            Ok((vec![ProjectChange::Issuer(name.clone(), None)], ()))
        })
        .await
    }
}

/// Refuses an issuer that could not be told from one that is there.
fn admissible(snapshot: &Snapshot, name: &OfProject, issuer: Option<&str>) -> Result<(), ProjectsError> {
    let of_project = || {
        snapshot
            .rows
            .issuers
            .iter()
            .filter(|(other, _)| other.project == name.project)
    };
    if snapshot.rows.issuers.contains_key(name) {
        return Err(ProjectsError::AlreadyThere("an issuer"));
    }
    if of_project().any(|(_, other)| other.issuer.as_deref() == issuer) {
        return Err(invalid(match issuer {
            Some(_) => "Another issuer of the project has tokens with this iss",
            None => "One issuer of a project may go without the iss of its tokens, and there is one already",
        }));
    }
    match of_project().count() < ISSUERS_MAX {
        true => Ok(()),
        false => Err(ProjectsError::TooMany("A project has at most 64 issuers")),
    }
}
