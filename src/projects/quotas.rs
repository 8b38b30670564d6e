//! Quotas of an environment's files: of all of them, of owners and of logical buckets.
//!
//! They stand in the settings of the app bucket, where the commits find them that are held to them.

use storage_engine::store::error::Fault;
use storage_engine::store::record::settings::{FileQuota, FileQuotas, NamedFileQuota};
use storage_engine::store::settings::SettingsError;

use super::admit::KEY_ALIAS;
use super::directory::Projects;
use super::{AppCaller, ProjectsError};

/// Owners, and logical buckets, of one environment with a quota of their own.
const NAMED_MAX: usize = 200;
/// Bytes of an owner's id, or of the name of a logical bucket.
const NAME_BYTES_MAX: usize = 256;

/// What becomes of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaChange {
    Set(FileQuota),
    Remove,
}

impl QuotaChange {
    fn quota(self) -> Option<FileQuota> {
        match self {
            Self::Set(quota) => Some(quota),
            Self::Remove => None,
        }
    }
}

/// What becomes of the quotas of an environment; what is not named stays as it is.
#[derive(Clone, Debug, Default)]
pub struct QuotaChanges {
    pub environment: Option<QuotaChange>,
    pub default_owner: Option<QuotaChange>,
    pub owners: Vec<(String, QuotaChange)>,
    pub buckets: Vec<(String, QuotaChange)>,
}

impl QuotaChanges {
    fn make(&self, quotas: &mut FileQuotas) {
        if let Some(change) = self.environment {
            quotas.environment = change.quota();
        }
        if let Some(change) = self.default_owner {
            quotas.default_owner = change.quota();
        }
        for (name, change) in &self.owners {
            NamedFileQuota::set(&mut quotas.owners, name, change.quota());
        }
        for (name, change) in &self.buckets {
            NamedFileQuota::set(&mut quotas.buckets, name, change.quota());
        }
    }
}

/// Whether an owner's id is that of somebody whom an issuer of a project knows, and not that of a server.
pub fn is_person(owner: &str) -> bool {
    let of_app = owner.strip_prefix("app:").and_then(|rest| rest.split_once('|'));
    of_app.is_some_and(|(whose, _)| whose.split_once('/').is_some_and(|(_, issuer)| issuer != KEY_ALIAS))
}

impl Projects {
    /// What is set for the files of the caller's environment.
    pub async fn file_quotas(&self, caller: &AppCaller) -> Result<FileQuotas, ProjectsError> {
        let settings = self.inner.store.bucket_settings(&caller.bucket).await?;
        Ok(settings.map_or_else(FileQuotas::default, |(settings, _)| settings.file_quotas.clone()))
    }

    /// Changes quotas of the caller's environment. They hold for every commit that begins when this has returned; nothing
    /// that is there already is taken away.
    pub async fn set_file_quotas(&self, caller: &AppCaller, changes: &QuotaChanges) -> Result<(), ProjectsError> {
        let named = changes.owners.iter().chain(&changes.buckets);
        if named
            .clone()
            .any(|(name, _)| name.is_empty() || name.len() > NAME_BYTES_MAX)
        {
            let rule = format!("The names of owners and buckets have 1 to {NAME_BYTES_MAX} bytes");
            return Err(ProjectsError::Invalid(rule));
        }
        let mut after = self.file_quotas(caller).await?;
        changes.make(&mut after);
        if after.owners.len() > NAMED_MAX || after.buckets.len() > NAMED_MAX {
            return Err(ProjectsError::TooMany(
                "At most 200 owners and 200 buckets have quotas of their own",
            ));
        }
        let changed = self
            .inner
            .store
            .change_settings(&caller.bucket, |settings| changes.make(&mut settings.file_quotas));
        match changed.await {
            Ok(()) => Ok(()),
            Err(SettingsError::Fault(fault)) => Err(fault.into()),
            Err(SettingsError::TooLarge { .. }) => Err(ProjectsError::TooMany(
                "The settings of the environment's bucket have no room for more named quotas",
            )),
            Err(error @ (SettingsError::NoSuchBucket | SettingsError::BucketBusy)) => {
                Err(Fault::Unavailable(error.to_string()).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_person;

    #[test]
    fn persons_are_whom_issuers_know() {
        for (owner, expected) in [
            ("app:shop/own|ann", true),
            ("app:shop/own|a|b", true),
            ("app:shop/key|12", false),
            ("root", false),
            ("0123456789abcdef", false),
            ("app:shop", false),
        ] {
            assert_eq!(is_person(owner), expected, "{owner}");
        }
    }
}
