//! The projects at one revision, ready to answer: keys by their hash, policies made, issuers with what they were asked.
//!
//! Pure but for the issuers' own memory. Whatever is wrong with one row shuts out whom it concerns, and nobody else.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use storage_engine::store::name::BucketName;
use storage_engine::store::projects::{OfProject, ProjectRows};
use storage_engine::store::record::projects::{
    EnvironmentRecord, ImagesRecord, IssuerKeys as StoredKeys, IssuerRecord, ProjectKeyRecord,
};

use super::admit::KEY_ALIAS;
use super::caller::{Environment, ImageSettings, Project};
use super::logical::LogicalBucket;
use super::policies;
use super::scopes::Scopes;
use crate::config::Origins;
use crate::images::album::AutoFormats;
use crate::openid::{IssuerKeys, Issuers, Pinned};
use crate::policy::Policy;

/// All projects at one revision.
pub(super) struct Snapshot {
    pub(super) rows: ProjectRows,
    projects: BTreeMap<String, Arc<Project>>,
    keys: HashMap<[u8; 32], Arc<ReadyKey>>,
    issuers: BTreeMap<OfProject, Arc<ReadyIssuer>>,
    /// Project and environment by the app bucket.
    by_bucket: HashMap<BucketName, (Arc<Project>, String)>,
    /// Whose images a host serves.
    image_hosts: HashMap<String, OfProject>,
    /// What shut somebody out, for the operator's log.
    pub(super) troubles: Vec<String>,
}

/// A key that may be brought, unless it has ended.
pub(super) struct ReadyKey {
    pub(super) id: String,
    pub(super) record: ProjectKeyRecord,
    pub(super) scopes: Scopes,
    pub(super) origins: Origins,
    pub(super) project: Arc<Project>,
    pub(super) bucket: BucketName,
    /// What its scopes let: the most for everybody who brings it, and all of it for admins.
    pub(super) of_scopes: Arc<Policy>,
    pub(super) of_users: Arc<Policy>,
    /// What a credential that only uploads lets at most.
    pub(super) of_uploads: Arc<Policy>,
}

/// Who vouches for users.
pub(super) struct ReadyIssuer {
    pub(super) record: IssuerRecord,
    pub(super) pinned: Pinned,
}

impl Snapshot {
    /// Resolves `rows`. Keys, and what issuers told, are taken over from `before` where nothing of them changed.
    pub(super) fn build(rows: ProjectRows, issuers: &Issuers, before: Option<&Self>) -> Self {
        let damaged = rows.unreadable.iter();
        let mut troubles: Vec<String> = damaged
            .map(|row| format!("{row:?} is damaged or of a newer version: it and whom it concerns are shut out"))
            .collect();
        let projects = projects(&rows, &mut troubles);
        let mut keys = HashMap::new();
        for (id, record) in &rows.keys {
            let same = before.and_then(|before| before.keys.get(&record.hash));
            let unchanged = |key: &&Arc<ReadyKey>| {
                key.record == *record && key.id == *id && projects.get(&record.project) == Some(&key.project)
            };
            if let Some(same) = same.filter(unchanged) {
                keys.insert(record.hash, Arc::clone(same));
                continue;
            }
            match ready(id, record, &projects) {
                Ok(key) => drop(keys.insert(record.hash, Arc::new(key))),
                Err(why) => troubles.push(format!("project key '{id}' opens nothing: {why}")),
            }
        }
        let mut known = BTreeMap::new();
        for (name, record) in &rows.issuers {
            let same = before.and_then(|before| before.issuers.get(name));
            if let Some(same) = same.filter(|same| same.record == *record) {
                known.insert(name.clone(), Arc::clone(same));
                continue;
            }
            match pinned(record, issuers) {
                Ok(pinned) => {
                    let record = record.clone();
                    drop(known.insert(name.clone(), Arc::new(ReadyIssuer { record, pinned })));
                }
                Err(why) => troubles.push(format!(
                    "issuer '{}' of '{}' vouches for nobody: {why}",
                    name.name, name.project
                )),
            }
        }
        Self {
            rows,
            by_bucket: by_bucket(&projects),
            image_hosts: image_hosts(&projects),
            projects,
            keys,
            issuers: known,
            troubles,
        }
    }

    pub(super) fn project(&self, name: &str) -> Option<&Arc<Project>> {
        self.projects.get(name)
    }

    /// The project, and the name of its environment, that has this app bucket.
    pub(super) fn of_bucket(&self, bucket: &BucketName) -> Option<&(Arc<Project>, String)> {
        self.by_bucket.get(bucket)
    }

    /// The environment whose images this host serves.
    pub(super) fn image_host(&self, host: &str) -> Option<&OfProject> {
        self.image_hosts.get(host)
    }

    /// The key with this hash.
    pub(super) fn key(&self, hash: &[u8; 32]) -> Option<&Arc<ReadyKey>> {
        self.keys.get(hash)
    }

    /// The key with this id.
    pub(super) fn key_with_id(&self, id: &str) -> Option<&Arc<ReadyKey>> {
        self.keys.get(&self.rows.keys.get(id)?.hash)
    }

    /// Whether somebody of the project answers for the account of this name: an issuer, or a key itself.
    pub(super) fn answers_for(&self, project: &str, account: &str) -> bool {
        let rest = account.strip_prefix(project).and_then(|rest| rest.strip_prefix('/'));
        let Some((alias, _)) = rest.and_then(|rest| rest.split_once('|')) else {
            return false;
        };
        let issuer = OfProject {
            project: project.to_owned(),
            name: alias.to_owned(),
        };
        alias == KEY_ALIAS || self.issuers.contains_key(&issuer)
    }

    /// Who of a project's issuers answers for tokens that say `said` as their issuer: who is called so, or else who takes
    /// whatever no other is called.
    pub(super) fn issuer(&self, project: &str, said: Option<&str>) -> Option<(&str, &Arc<ReadyIssuer>)> {
        let of_project = || self.issuers.iter().filter(|(name, _)| name.project == project);
        let named = of_project().find(|(_, issuer)| said.is_some() && issuer.record.issuer.as_deref() == said);
        let found = named.or_else(|| of_project().find(|(_, issuer)| issuer.record.issuer.is_none()));
        found.map(|(name, issuer)| (name.name.as_str(), issuer))
    }
}

fn projects(rows: &ProjectRows, troubles: &mut Vec<String>) -> BTreeMap<String, Arc<Project>> {
    let mut environments: BTreeMap<&str, BTreeMap<String, Environment>> = BTreeMap::new();
    for (name, record) in &rows.environments {
        let of_project = environments.entry(&name.project).or_default();
        match environment(record) {
            Some(environment) => drop(of_project.insert(name.name.clone(), environment)),
            None => troubles.push(format!(
                "environment '{}' of '{}' names no bucket",
                name.name, name.project
            )),
        }
    }
    let made = rows.projects.iter().map(|(name, record)| {
        let project = Project {
            name: name.clone(),
            description: record.description.clone(),
            envelope: record.envelope.unwrap_or_default(),
            environments: environments.remove(name.as_str()).unwrap_or_default(),
        };
        (name.clone(), Arc::new(project))
    });
    made.collect()
}

fn by_bucket(projects: &BTreeMap<String, Arc<Project>>) -> HashMap<BucketName, (Arc<Project>, String)> {
    let mut found = HashMap::new();
    for project in projects.values() {
        for (name, environment) in &project.environments {
            found.insert(environment.bucket.clone(), (Arc::clone(project), name.clone()));
        }
    }
    found
}

fn image_hosts(projects: &BTreeMap<String, Arc<Project>>) -> HashMap<String, OfProject> {
    let mut found = HashMap::new();
    for project in projects.values() {
        for (name, environment) in &project.environments {
            for host in &environment.images.hosts {
                found.insert(host.clone(), OfProject::new(&project.name, name));
            }
        }
    }
    found
}

fn environment(record: &EnvironmentRecord) -> Option<Environment> {
    let logical = record.logical.iter();
    let logical = logical.map(|record| (record.name.clone(), LogicalBucket::read(record)));
    Some(Environment {
        bucket: BucketName::parse(&record.bucket).ok()?,
        logical: logical.collect(),
        images: record.images.as_ref().map(image_settings).unwrap_or_default(),
    })
}

fn image_settings(record: &ImagesRecord) -> ImageSettings {
    let presets = record.presets.iter();
    let auto_formats = record.auto_formats.as_ref();
    // A name of a newer version leaves what this one does by itself.
    let auto_formats = auto_formats.and_then(|names| AutoFormats::named(names.iter().map(String::as_str)));
    ImageSettings {
        has_key: record.signing_key.is_some(),
        signed_only: record.signed_only,
        presets: presets
            .map(|preset| (preset.name.clone(), preset.options.clone()))
            .collect(),
        unsigned_variants_per_hour: record.unsigned_variants_per_hour,
        auto_formats: auto_formats.unwrap_or_default(),
        hosts: record.hosts.clone(),
    }
}

fn ready(id: &str, record: &ProjectKeyRecord, projects: &BTreeMap<String, Arc<Project>>) -> Result<ReadyKey, String> {
    let project = projects.get(&record.project).ok_or("its project is not there")?;
    let environment = project.environments.get(&record.environment);
    let bucket = environment.ok_or("its environment is not there")?.bucket.clone();
    let scopes = Scopes::parse(&record.scopes).map_err(|error| error.to_string())?;
    let written = |error: crate::policy::PolicyError| error.to_string();
    Ok(ReadyKey {
        id: id.to_owned(),
        origins: Origins::named(&record.origins).ok_or("one of its origins is none")?,
        of_scopes: policies::of_scopes(&bucket, &scopes).map_err(written)?,
        of_users: policies::of_users(&bucket).map_err(written)?,
        of_uploads: policies::of_uploads(&bucket).map_err(written)?,
        record: record.clone(),
        scopes,
        project: Arc::clone(project),
        bucket,
    })
}

/// The issuer as its record has it.
pub(super) fn pinned(record: &IssuerRecord, issuers: &Issuers) -> Result<Pinned, String> {
    let url = |url: &str| url.parse().map_err(|_| format!("'{url}' is no URL"));
    let keys = match &record.keys {
        StoredKeys::Secret(_) => IssuerKeys::Secret,
        StoredKeys::KeySet(place) => IssuerKeys::KeySet(url(place)?),
        StoredKeys::Discovery(place) => IssuerKeys::Discovery(url(place)?),
    };
    let (issuer, audience) = (record.issuer.clone(), record.audience.clone());
    let pinned = issuers.pinned(keys, &record.algorithm, issuer, audience);
    pinned.map_err(|error| error.to_string())
}
