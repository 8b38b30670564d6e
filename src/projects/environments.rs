//! Projects and their environments: made, listed, removed. Making an environment makes its app bucket.
//!
//! The bucket comes first and goes first, so what a crash leaves between the two is mended by asking once more.

use std::sync::Arc;

use storage_engine::store::bucket::{CreateBucketError, DeleteBucketError, NewBucket};
use storage_engine::store::error::Fault;
use storage_engine::store::name::BucketName;
use storage_engine::store::projects::{OfProject, ProjectChange, RowName};
use storage_engine::store::record::labels::Visibility;
use storage_engine::store::record::projects::{Envelope, EnvironmentRecord, ProjectRecord};
use storage_engine::store::record::settings::{BucketSettings, CorsRule};

use super::caller::Project;
use super::directory::Projects;
use super::error::ProjectsError;
use super::{keys, names};

const DESCRIPTION_BYTES_MAX: usize = 1_024;
/// Most projects, and most environments of one.
const PROJECTS_MAX: usize = 1_000;
const ENVIRONMENTS_MAX: usize = 64;

/// What pages may do in an app bucket: use URLs that were made for them. What a request may do is still decided by what
/// proves it.
fn cors() -> CorsRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    CorsRule {
        id: Some("apps".to_owned()),
        origins: owned(&["*"]),
        methods: owned(&["GET", "HEAD", "PUT", "POST", "DELETE"]),
        headers: owned(&["*"]),
        expose: owned(&[
            "ETag",
            "Location",
            "Content-Range",
            "Accept-Ranges",
            "Content-Disposition",
            "Retry-After",
            "x-amz-request-id",
            "x-amz-version-id",
            "x-amz-checksum-crc32",
            "x-amz-checksum-crc32c",
            "x-amz-checksum-crc64nvme",
            "x-amz-checksum-sha1",
            "x-amz-checksum-sha256",
        ]),
        max_age_seconds: Some(3_600),
    }
}

fn check_description(description: &str) -> Result<(), ProjectsError> {
    match description.len() <= DESCRIPTION_BYTES_MAX && !description.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(ProjectsError::Invalid(
            "A description has at most 1,024 bytes and no control characters".to_owned(),
        )),
    }
}

impl Projects {
    /// Makes a project, without environments.
    pub async fn add_project(&self, name: &str, description: &str) -> Result<(), ProjectsError> {
        names::check_project(name)?;
        check_description(description)?;
        let (name, description) = (name.to_owned(), description.to_owned());
        self.change(move |snapshot, now| {
            if snapshot.rows.projects.contains_key(&name) {
                return Err(ProjectsError::AlreadyThere("a project"));
            }
            if snapshot.rows.projects.len() >= PROJECTS_MAX {
                return Err(ProjectsError::TooMany("There are at most 1,000 projects"));
            }
            let record = ProjectRecord {
                created: now,
                updated: now,
                description: description.clone(),
                envelope: None,
            };
            Ok((vec![ProjectChange::Project(name.clone(), Some(record))], ()))
        })
        .await
    }

    /// Sets in which form the apps of a project are answered.
    pub async fn set_envelope(&self, name: &str, envelope: Envelope) -> Result<(), ProjectsError> {
        let name = name.to_owned();
        self.change(move |snapshot, now| {
            names::project(snapshot, &name)?;
            let Some(before) = snapshot.rows.projects.get(&name) else {
                return Err(ProjectsError::NoSuchProject(name.clone()));
            };
            let after = ProjectRecord {
                updated: now,
                envelope: Some(envelope),
                ..before.clone()
            };
            Ok((vec![ProjectChange::Project(name.clone(), Some(after))], ()))
        })
        .await
    }

    /// In which form those are answered whose files are in this bucket.
    pub fn envelope_of(&self, bucket: &BucketName) -> Envelope {
        let projects = self.list().unwrap_or_default();
        let has_it = |project: &&Arc<Project>| project.environments.values().any(|one| one.bucket == *bucket);
        projects
            .iter()
            .find(has_it)
            .map(|project| project.envelope)
            .unwrap_or_default()
    }

    /// All projects, by name.
    pub fn list(&self) -> Result<Vec<Arc<Project>>, ProjectsError> {
        let snapshot = self.snapshot()?;
        let names = snapshot.rows.projects.keys();
        Ok(names.filter_map(|name| snapshot.project(name).cloned()).collect())
    }

    /// Removes a project without environments, with its issuers.
    pub async fn remove_project(&self, name: &str) -> Result<(), ProjectsError> {
        let name = name.to_owned();
        self.change(move |snapshot, _| {
            let rows = &snapshot.rows;
            if !rows.unreadable.contains(&RowName::Project(name.clone())) {
                names::project(snapshot, &name)?;
            }
            let damaged = |row: &RowName| matches!(row, RowName::Environment(of) if of.project == name);
            if rows.environments.keys().any(|of| of.project == name) || rows.unreadable.iter().any(damaged) {
                return Err(ProjectsError::HasEnvironments);
            }
            let issuers = rows.issuers.keys().filter(|of| of.project == name);
            let mut changes: Vec<ProjectChange> = issuers.map(|of| ProjectChange::Issuer(of.clone(), None)).collect();
            changes.push(ProjectChange::Project(name.clone(), None));
            Ok((changes, ()))
        })
        .await
    }

    /// Makes an environment of a project, with its app bucket. What a call before left half done is finished.
    pub async fn add_environment(&self, project: &str, name: &str) -> Result<(), ProjectsError> {
        let bucket = names::bucket_of(project, name)?;
        {
            let snapshot = self.snapshot()?;
            names::project(&snapshot, project)?;
            if snapshot
                .rows
                .environments
                .keys()
                .filter(|of| of.project == project)
                .count()
                >= ENVIRONMENTS_MAX
            {
                return Err(ProjectsError::TooMany("A project has at most 64 environments"));
            }
        }
        self.app_bucket(&bucket).await?;
        let of = OfProject::new(project, name);
        self.change(move |snapshot, now| {
            names::project(snapshot, &of.project)?;
            if snapshot.rows.environments.contains_key(&of) {
                return Ok((Vec::new(), ()));
            }
            let record = EnvironmentRecord {
                created: now,
                updated: now,
                bucket: bucket.as_str().to_owned(),
                logical: Vec::new(),
                images: None,
                webhooks: Vec::new(),
            };
            Ok((vec![ProjectChange::Environment(of.clone(), Some(record))], ()))
        })
        .await
    }

    /// Makes the app bucket, or finds it made.
    async fn app_bucket(&self, bucket: &BucketName) -> Result<(), ProjectsError> {
        let store = &self.inner.store;
        let new = NewBucket {
            name: bucket.clone(),
            region: self.inner.region.clone(),
            owner: None,
            settings: BucketSettings {
                files: true,
                visibility: Some(Visibility::Private),
                cors: vec![cors()],
                ..BucketSettings::default()
            },
        };
        match store.make_bucket(new).await {
            Ok(_) => Ok(()),
            Err(CreateBucketError::Exists { .. }) => {
                let settings = store.bucket_settings(bucket).await?;
                match settings.is_some_and(|(settings, _)| settings.files) {
                    true => Ok(()),
                    false => Err(ProjectsError::BucketTaken(bucket.as_str().to_owned())),
                }
            }
            Err(CreateBucketError::SettingsTooLarge { bytes }) => {
                Err(Fault::Internal(format!("the settings of an app bucket have {bytes} bytes")).into())
            }
            Err(CreateBucketError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Removes an environment that holds no files, with its bucket and its keys.
    pub async fn remove_environment(&self, project: &str, name: &str) -> Result<(), ProjectsError> {
        let bucket = names::bucket_of(project, name)?;
        let of = OfProject::new(project, name);
        {
            let snapshot = self.snapshot()?;
            if !snapshot.rows.unreadable.contains(&RowName::Environment(of.clone())) {
                names::environment(&snapshot, project, name)?;
            }
        }
        match self.inner.store.delete_bucket(&bucket).await {
            Ok(()) | Err(DeleteBucketError::NoSuchBucket) => {}
            Err(DeleteBucketError::NotEmpty) => return Err(ProjectsError::HasFiles),
            Err(DeleteBucketError::Busy) => {
                return Err(Fault::Unavailable("the app bucket is being deleted".into()).into());
            }
            Err(DeleteBucketError::Fault(fault)) => return Err(fault.into()),
        }
        self.forget_users(&of).await?;
        self.change(move |snapshot, _| {
            let mut changes = keys::without_keys(snapshot, &of);
            changes.push(ProjectChange::Environment(of.clone(), None));
            Ok((changes, ()))
        })
        .await
    }
}
