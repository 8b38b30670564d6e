//! Project keys: made, listed, revoked, forgotten.
//!
//! A key is `pk_` or `sk_` and 64 hexadecimal digits of randomness. Its hash is kept; of publishable keys, which stand in
//! pages anyway, the key itself, too.

use storage_engine::store::clock::Timestamp;
use storage_engine::store::error::Fault;
use storage_engine::store::projects::{OfProject, ProjectChange};
use storage_engine::store::record::projects::{KeyKind, ProjectKeyRecord};
use zeroize::Zeroizing;

use super::directory::Projects;
use super::error::ProjectsError;
use super::names;
use super::scopes::Scopes;
use super::snapshot::Snapshot;
use crate::auth::{SecretKey, sha256};
use crate::config::Origins;

const RANDOM_BYTES: usize = 32;
const ID_BYTES: usize = 8;
/// Most keys of one environment, the revoked ones that were not forgotten among them: they leave with it in one batch.
const KEYS_MAX: usize = 500;
const NAME_BYTES_MAX: usize = 128;
/// Most origins of one key.
const ORIGINS_MAX: usize = 64;

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProjectKey {
    pub project: String,
    pub environment: String,
    pub kind: KeyKind,
    /// What operators call it.
    pub name: String,
    /// Such as `files:read`; empty: `files:*`.
    pub scopes: Vec<String>,
    /// Whose pages may bring it; empty: all. Of publishable keys alone.
    pub origins: Vec<String>,
    pub expires: Option<Timestamp>,
}

/// A key as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectKeyView {
    pub id: String,
    pub record: ProjectKeyRecord,
}

/// A key that was just made. This is the only time that a secret one is shown.
#[derive(Clone, Debug)]
pub struct MadeKey {
    pub view: ProjectKeyView,
    pub key: SecretKey,
}

fn prefix(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Publishable => "pk_",
        KeyKind::Secret => "sk_",
    }
}

/// What kind of key a text would be, if it has the form of one.
pub(super) fn well_formed(text: &str) -> Option<KeyKind> {
    let kinds = [KeyKind::Publishable, KeyKind::Secret];
    let (kind, digits) = kinds
        .into_iter()
        .find_map(|kind| Some((kind, text.strip_prefix(prefix(kind))?)))?;
    let is_hex = digits.len() == 2 * RANDOM_BYTES && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then_some(kind)
}

fn hex(bytes: &[u8]) -> String {
    hex_simd::encode_to_string(bytes, hex_simd::AsciiCase::Lower)
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, ProjectsError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| Fault::Internal(format!("no randomness: {error}")))?;
    Ok(bytes)
}

fn check(new: &NewProjectKey) -> Result<(), ProjectsError> {
    let invalid = |why: &str| Err(ProjectsError::Invalid(why.to_owned()));
    Scopes::parse(&new.scopes).map_err(|error| ProjectsError::Invalid(error.to_string()))?;
    if new.name.len() > NAME_BYTES_MAX || new.name.chars().any(char::is_control) {
        return invalid("The name of a key has at most 128 bytes and no control characters");
    }
    if new.kind == KeyKind::Secret && !new.origins.is_empty() {
        return invalid("A secret key has no origins: it is refused from every page");
    }
    if new.origins.len() > ORIGINS_MAX || Origins::named(&new.origins).is_none() {
        return invalid("Origins are at most 64 like https://app.example.net or https://*.example.net, without a path");
    }
    Ok(())
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts.dedup();
    texts
}

impl Projects {
    /// Makes a key of an environment. A secret one is shown this once.
    pub async fn make_key(&self, new: NewProjectKey) -> Result<MadeKey, ProjectsError> {
        check(&new)?;
        let text = Zeroizing::new(format!(
            "{}{}",
            prefix(new.kind),
            hex(random::<RANDOM_BYTES>()?.as_slice())
        ));
        let key = SecretKey::new(text.as_bytes());
        let id = hex(random::<ID_BYTES>()?.as_slice());
        let hash = sha256(text.as_bytes());
        let shown = (new.kind == KeyKind::Publishable).then(|| text.to_string());
        let view = self.change(move |snapshot, now| {
            names::environment(snapshot, &new.project, &new.environment)?;
            if of_environment(snapshot, &new.project, Some(&new.environment)).count() >= KEYS_MAX {
                return Err(ProjectsError::TooMany(
                    "An environment has at most 500 keys; forget revoked ones",
                ));
            }
            if snapshot.rows.keys.contains_key(&id) {
                return Err(Fault::Internal("a random name came twice".into()).into());
            }
            let scopes = match new.scopes.is_empty() {
                true => vec!["files:*".to_owned()],
                false => sorted(new.scopes.clone()),
            };
            let record = ProjectKeyRecord {
                created: now,
                updated: now,
                project: new.project.clone(),
                environment: new.environment.clone(),
                kind: new.kind,
                name: new.name.clone(),
                hash,
                text: shown.clone(),
                scopes,
                origins: sorted(new.origins.clone()),
                expires: new.expires,
                revoked: None,
            };
            let change = ProjectChange::ProjectKey(id.clone(), Some(record.clone()));
            Ok((vec![change], ProjectKeyView { id: id.clone(), record }))
        });
        Ok(MadeKey { view: view.await?, key })
    }

    /// The keys of a project, or of one of its environments.
    pub fn keys(&self, project: &str, environment: Option<&str>) -> Result<Vec<ProjectKeyView>, ProjectsError> {
        let snapshot = self.snapshot()?;
        match environment {
            Some(environment) => names::environment(&snapshot, project, environment)?,
            None => names::project(&snapshot, project)?,
        }
        let views = of_environment(&snapshot, project, environment);
        Ok(views.map(|(id, record)| view(id, record)).collect())
    }

    /// The key of this id.
    pub fn key(&self, id: &str) -> Result<ProjectKeyView, ProjectsError> {
        let snapshot = self.snapshot()?;
        existing(&snapshot, id).map(|record| view(id, record))
    }

    /// Refuses a key from the next request on. It stays in the list.
    pub async fn revoke_key(&self, id: &str) -> Result<ProjectKeyView, ProjectsError> {
        let id = id.to_owned();
        self.change(move |snapshot, now| {
            let before = existing(snapshot, &id)?;
            if before.revoked.is_some() {
                return Ok((Vec::new(), view(&id, before)));
            }
            let record = ProjectKeyRecord {
                updated: now,
                revoked: Some(now),
                ..before.clone()
            };
            let change = ProjectChange::ProjectKey(id.clone(), Some(record.clone()));
            Ok((vec![change], view(&id, &record)))
        })
        .await
    }

    /// Takes a key away, with what is known of it. Also one that does not read any more.
    pub async fn forget_key(&self, id: &str) -> Result<(), ProjectsError> {
        let id = id.to_owned();
        self.change(move |snapshot, _| {
            let damaged = storage_engine::store::projects::RowName::ProjectKey(id.clone());
            if !snapshot.rows.unreadable.contains(&damaged) {
                existing(snapshot, &id)?;
            }
            Ok((vec![ProjectChange::ProjectKey(id.clone(), None)], ()))
        })
        .await
    }
}

fn view(id: &str, record: &ProjectKeyRecord) -> ProjectKeyView {
    ProjectKeyView {
        id: id.to_owned(),
        record: record.clone(),
    }
}

fn existing<'s>(snapshot: &'s Snapshot, id: &str) -> Result<&'s ProjectKeyRecord, ProjectsError> {
    let found = snapshot.rows.keys.get(id);
    found.ok_or_else(|| ProjectsError::NoSuchKey(id.to_owned()))
}

/// The keys of an environment, or of the whole project.
pub(super) fn of_environment<'s>(
    snapshot: &'s Snapshot,
    project: &str,
    environment: Option<&str>,
) -> impl Iterator<Item = (&'s String, &'s ProjectKeyRecord)> {
    snapshot.rows.keys.iter().filter(move |(_, record)| {
        record.project == project && environment.is_none_or(|environment| record.environment == environment)
    })
}

/// What takes the keys of an environment away.
pub(super) fn without_keys(snapshot: &Snapshot, of: &OfProject) -> Vec<ProjectChange> {
    of_environment(snapshot, &of.project, Some(&of.name))
        .map(|(id, _)| ProjectChange::ProjectKey(id.clone(), None))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_prefix_and_64_hexadecimal_digits() {
        let digits = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789";
        assert_eq!(well_formed(&format!("pk_{digits}")), Some(KeyKind::Publishable));
        assert_eq!(well_formed(&format!("sk_{digits}")), Some(KeyKind::Secret));
        let short = digits.split_at(63).0;
        for wrong in [
            digits.to_owned(),
            String::new(),
            "pk_".to_owned(),
            format!("pk_{digits}0"),
            format!("pk_{short}"),
            format!("pk_{short}g"),
            format!("PK_{digits}"),
            format!("tk_{digits}"),
            format!(" pk_{digits}"),
        ] {
            assert_eq!(well_formed(&wrong), None, "{wrong}");
        }
    }
}
