//! The table of admin routes: what is built, and every verb of MinIO that is not. Pure.
//!
//! A verb that stands in no table is not built either; the table says what a refusal calls it.

use http::Method;

use super::identities::{self, Permission};
use super::power;
use super::projects;
use super::query::Query;
use super::streams;
use super::visibility;
use crate::access::Action;

/// MinIO's verbs, as `mc` of any year calls them.
const MINIO: &str = "/minio/admin/v3/";
/// What is to be healed follows: nothing, a bucket, or a bucket and a prefix.
pub(super) const HEAL: &str = "/minio/admin/v3/heal/";
/// Everything of MinIO's admin API, other versions of it included.
const MINIO_ALL: &str = "/minio/admin/";

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `mc admin info`.
    Info,
    StorageInfo,
    /// Our own account of store and drives.
    Status,
    /// `mc admin heal`, without anything named.
    BackgroundHeal,
    /// Our own account of healing.
    Heal,
    HealNow,
    ScrubNow,
    /// What moves between drives.
    Drives,
    DriveAdd,
    DriveDrain,
    DriveKeep,
    DriveRemove,
    DriveReplace,
    Rebalance,
    RebalanceStart,
    RebalanceStop,
    ParitySet,
    /// Comparing the index with checkpoint and log.
    IndexVerify,
    IndexRebuild,
    /// Who the caller is and which buckets are in reach.
    Account,
    /// What the buckets hold.
    DataUsage,
    ConfigRead,
    ConfigSet,
    ConfigImport,
    ConfigReset,
    ConfigExport,
    ConfigHelp,
    ConfigHistory,
    ConfigHistoryClear,
    ConfigRestore,
    /// `mc quota`.
    QuotaSet,
    QuotaGet,
    /// An answer without an end.
    Stream(streams::Kind),
    /// `mc admin service`.
    Service,
    PoolsList,
    PoolStatus,
    /// Of a pool, which there is no other of.
    PoolChange,
    PoolRebalanceStart,
    PoolRebalanceStatus,
    PoolRebalanceStop,
    SiteReplication,
    /// Healing that a client follows.
    HealSequence,
    /// Users, groups, policies and access keys.
    Identities(identities::Verb),
    /// Visibility and shares.
    Visibility(visibility::Verb),
    /// Projects with their environments, keys and issuers.
    Projects(projects::Verb),
}

impl Verb {
    /// Who may ask for it; of some verbs it depends on the query.
    pub(super) fn permission(self, query: Option<&Query>) -> Permission {
        match self {
            Self::Identities(verb) => verb.permission(query),
            Self::Visibility(verb) => verb.permission(),
            Self::Projects(verb) => verb.permission(),
            // Everybody may know who they are; of the buckets they are told those in their reach.
            Self::Account => Permission::Own(Action::ListAllMyBuckets),
            Self::Service => Permission::AnyOf(power::actions(query)),
            Self::Info | Self::Status => Permission::AnyOf(&[Action::AdminServerInfo]),
            Self::DataUsage => Permission::AnyOf(&[Action::AdminDataUsageInfo]),
            Self::ConfigRead
            | Self::ConfigSet
            | Self::ConfigImport
            | Self::ConfigReset
            | Self::ConfigExport
            | Self::ConfigHelp
            | Self::ConfigHistory
            | Self::ConfigHistoryClear
            | Self::ConfigRestore => Permission::AnyOf(&[Action::AdminConfigUpdate]),
            Self::QuotaSet => Permission::AnyOf(&[Action::AdminSetBucketQuota]),
            Self::QuotaGet => Permission::AnyOf(&[Action::AdminGetBucketQuota]),
            Self::Stream(kind) => Permission::AnyOf(kind.actions()),
            Self::SiteReplication => Permission::AnyOf(&[Action::AdminSiteReplicationInfo]),
            Self::StorageInfo => Permission::AnyOf(&[Action::AdminStorageInfo]),
            Self::BackgroundHeal
            | Self::Heal
            | Self::HealNow
            | Self::HealSequence
            | Self::ScrubNow
            | Self::IndexVerify
            | Self::IndexRebuild => Permission::AnyOf(&[Action::AdminHeal]),
            Self::Drives => Permission::AnyOf(&[Action::AdminServerInfo]),
            // As MinIO calls the right to take drives in and out.
            Self::DriveAdd
            | Self::DriveDrain
            | Self::DriveKeep
            | Self::DriveRemove
            | Self::DriveReplace
            | Self::PoolsList
            | Self::PoolStatus
            | Self::PoolChange
            | Self::ParitySet => Permission::AnyOf(&[Action::AdminDecommission]),
            Self::Rebalance
            | Self::RebalanceStart
            | Self::RebalanceStop
            | Self::PoolRebalanceStart
            | Self::PoolRebalanceStatus
            | Self::PoolRebalanceStop => Permission::AnyOf(&[Action::AdminRebalance]),
        }
    }
}

/// Every route that is built: method, path, verb.
const BUILT: &[(Method, &str, Verb)] = &[
    (Method::GET, "/minio/admin/v3/accountinfo", Verb::Account),
    (Method::GET, "/minio/admin/v3/datausageinfo", Verb::DataUsage),
    (Method::GET, "/minio/admin/v3/config", Verb::ConfigExport),
    (Method::PUT, "/minio/admin/v3/config", Verb::ConfigImport),
    (Method::DELETE, "/minio/admin/v3/del-config-kv", Verb::ConfigReset),
    (Method::GET, "/minio/admin/v3/get-config-kv", Verb::ConfigRead),
    (Method::GET, "/minio/admin/v3/help-config-kv", Verb::ConfigHelp),
    (
        Method::GET,
        "/minio/admin/v3/list-config-history-kv",
        Verb::ConfigHistory,
    ),
    (
        Method::DELETE,
        "/minio/admin/v3/clear-config-history-kv",
        Verb::ConfigHistoryClear,
    ),
    (
        Method::PUT,
        "/minio/admin/v3/restore-config-history-kv",
        Verb::ConfigRestore,
    ),
    (Method::PUT, "/minio/admin/v3/set-config-kv", Verb::ConfigSet),
    (Method::PUT, "/minio/admin/v3/set-bucket-quota", Verb::QuotaSet),
    (Method::GET, "/minio/admin/v3/get-bucket-quota", Verb::QuotaGet),
    (Method::GET, "/minio/admin/v3/trace", Verb::Stream(streams::Kind::Trace)),
    (Method::GET, "/minio/admin/v3/log", Verb::Stream(streams::Kind::Log)),
    (
        Method::GET,
        "/minio/admin/v3/metrics",
        Verb::Stream(streams::Kind::Samples),
    ),
    (Method::GET, "/minio/admin/v3/info", Verb::Info),
    (Method::GET, "/minio/admin/v3/pools/list", Verb::PoolsList),
    (Method::GET, "/minio/admin/v3/pools/status", Verb::PoolStatus),
    (Method::POST, "/minio/admin/v3/pools/decommission", Verb::PoolChange),
    (Method::POST, "/minio/admin/v3/pools/cancel", Verb::PoolChange),
    (
        Method::POST,
        "/minio/admin/v3/rebalance/start",
        Verb::PoolRebalanceStart,
    ),
    (
        Method::GET,
        "/minio/admin/v3/rebalance/status",
        Verb::PoolRebalanceStatus,
    ),
    (Method::POST, "/minio/admin/v3/rebalance/stop", Verb::PoolRebalanceStop),
    (Method::POST, "/minio/admin/v3/service", Verb::Service),
    (
        Method::GET,
        "/minio/admin/v3/site-replication/info",
        Verb::SiteReplication,
    ),
    (Method::GET, "/minio/admin/v3/storageinfo", Verb::StorageInfo),
    (
        Method::POST,
        "/minio/admin/v3/background-heal/status",
        Verb::BackgroundHeal,
    ),
    (Method::GET, "/v1/admin/info", Verb::Status),
    (Method::GET, "/v1/admin/heal", Verb::Heal),
    (Method::POST, "/v1/admin/heal", Verb::HealNow),
    (Method::POST, "/v1/admin/scrub", Verb::ScrubNow),
    (Method::GET, "/v1/admin/drives", Verb::Drives),
    (Method::POST, "/v1/admin/drives/add", Verb::DriveAdd),
    (Method::POST, "/v1/admin/drives/drain", Verb::DriveDrain),
    (Method::POST, "/v1/admin/drives/keep", Verb::DriveKeep),
    (Method::POST, "/v1/admin/drives/remove", Verb::DriveRemove),
    (Method::POST, "/v1/admin/drives/replace", Verb::DriveReplace),
    (Method::GET, "/v1/admin/rebalance", Verb::Rebalance),
    (Method::POST, "/v1/admin/rebalance", Verb::RebalanceStart),
    (Method::DELETE, "/v1/admin/rebalance", Verb::RebalanceStop),
    (Method::POST, "/v1/admin/parity", Verb::ParitySet),
    (Method::POST, "/v1/admin/index/verify", Verb::IndexVerify),
    (Method::POST, "/v1/admin/index/rebuild", Verb::IndexRebuild),
    (
        Method::GET,
        "/v1/admin/visibility/bucket",
        Verb::Visibility(visibility::Verb::BucketGet),
    ),
    (
        Method::PUT,
        "/v1/admin/visibility/bucket",
        Verb::Visibility(visibility::Verb::BucketSet),
    ),
    (
        Method::GET,
        "/v1/admin/visibility/object",
        Verb::Visibility(visibility::Verb::ObjectGet),
    ),
    (
        Method::PUT,
        "/v1/admin/visibility/object",
        Verb::Visibility(visibility::Verb::ObjectSet),
    ),
    (
        Method::GET,
        "/v1/admin/visibility/shares",
        Verb::Visibility(visibility::Verb::ShareList),
    ),
    (
        Method::POST,
        "/v1/admin/visibility/shares",
        Verb::Visibility(visibility::Verb::ShareAdd),
    ),
    (
        Method::DELETE,
        "/v1/admin/visibility/shares",
        Verb::Visibility(visibility::Verb::ShareRemove),
    ),
    (Method::GET, "/v1/admin/projects", Verb::Projects(projects::Verb::List)),
    (Method::POST, "/v1/admin/projects", Verb::Projects(projects::Verb::Add)),
    (Method::PUT, "/v1/admin/projects", Verb::Projects(projects::Verb::Set)),
    (
        Method::DELETE,
        "/v1/admin/projects",
        Verb::Projects(projects::Verb::Remove),
    ),
    (
        Method::POST,
        "/v1/admin/projects/environments",
        Verb::Projects(projects::Verb::EnvironmentAdd),
    ),
    (
        Method::DELETE,
        "/v1/admin/projects/environments",
        Verb::Projects(projects::Verb::EnvironmentRemove),
    ),
    (
        Method::PUT,
        "/v1/admin/projects/buckets",
        Verb::Projects(projects::Verb::LogicalSet),
    ),
    (
        Method::DELETE,
        "/v1/admin/projects/buckets",
        Verb::Projects(projects::Verb::LogicalReset),
    ),
    (
        Method::POST,
        "/v1/admin/projects/collect",
        Verb::Projects(projects::Verb::Collect),
    ),
    (
        Method::GET,
        "/v1/admin/projects/images",
        Verb::Projects(projects::Verb::ImagesGet),
    ),
    (
        Method::PUT,
        "/v1/admin/projects/images",
        Verb::Projects(projects::Verb::ImagesSet),
    ),
    (
        Method::GET,
        "/v1/admin/projects/keys",
        Verb::Projects(projects::Verb::KeyList),
    ),
    (
        Method::POST,
        "/v1/admin/projects/keys",
        Verb::Projects(projects::Verb::KeyMake),
    ),
    (
        Method::DELETE,
        "/v1/admin/projects/keys",
        Verb::Projects(projects::Verb::KeyRemove),
    ),
    (
        Method::GET,
        "/v1/admin/projects/issuers",
        Verb::Projects(projects::Verb::IssuerList),
    ),
    (
        Method::POST,
        "/v1/admin/projects/issuers",
        Verb::Projects(projects::Verb::IssuerAdd),
    ),
    (
        Method::DELETE,
        "/v1/admin/projects/issuers",
        Verb::Projects(projects::Verb::IssuerRemove),
    ),
    (
        Method::PUT,
        "/minio/admin/v3/add-user",
        Verb::Identities(identities::Verb::UserAdd),
    ),
    (
        Method::GET,
        "/minio/admin/v3/list-users",
        Verb::Identities(identities::Verb::UserList),
    ),
    (
        Method::GET,
        "/minio/admin/v3/user-info",
        Verb::Identities(identities::Verb::UserInfo),
    ),
    (
        Method::PUT,
        "/minio/admin/v3/set-user-status",
        Verb::Identities(identities::Verb::UserStatus),
    ),
    (
        Method::DELETE,
        "/minio/admin/v3/remove-user",
        Verb::Identities(identities::Verb::UserRemove),
    ),
    (
        Method::PUT,
        "/minio/admin/v3/update-group-members",
        Verb::Identities(identities::Verb::GroupChange),
    ),
    (
        Method::GET,
        "/minio/admin/v3/group",
        Verb::Identities(identities::Verb::GroupInfo),
    ),
    (
        Method::GET,
        "/minio/admin/v3/groups",
        Verb::Identities(identities::Verb::GroupList),
    ),
    (
        Method::PUT,
        "/minio/admin/v3/set-group-status",
        Verb::Identities(identities::Verb::GroupStatus),
    ),
    (
        Method::PUT,
        "/minio/admin/v3/add-canned-policy",
        Verb::Identities(identities::Verb::PolicyAdd),
    ),
    (
        Method::GET,
        "/minio/admin/v3/list-canned-policies",
        Verb::Identities(identities::Verb::PolicyList),
    ),
    (
        Method::GET,
        "/minio/admin/v3/info-canned-policy",
        Verb::Identities(identities::Verb::PolicyInfo),
    ),
    (
        Method::DELETE,
        "/minio/admin/v3/remove-canned-policy",
        Verb::Identities(identities::Verb::PolicyRemove),
    ),
    (
        Method::POST,
        "/minio/admin/v3/idp/builtin/policy/attach",
        Verb::Identities(identities::Verb::PolicyAttach),
    ),
    (
        Method::POST,
        "/minio/admin/v3/idp/builtin/policy/detach",
        Verb::Identities(identities::Verb::PolicyDetach),
    ),
    (
        Method::PUT,
        "/minio/admin/v3/set-user-or-group-policy",
        Verb::Identities(identities::Verb::PolicySet),
    ),
    (
        Method::GET,
        "/minio/admin/v3/idp/builtin/policy-entities",
        Verb::Identities(identities::Verb::PolicyEntities),
    ),
    (
        Method::PUT,
        "/minio/admin/v3/add-service-account",
        Verb::Identities(identities::Verb::KeyAdd),
    ),
    (
        Method::GET,
        "/minio/admin/v3/list-service-accounts",
        Verb::Identities(identities::Verb::KeyList),
    ),
    (
        Method::GET,
        "/minio/admin/v3/list-access-keys-bulk",
        Verb::Identities(identities::Verb::KeyListBulk),
    ),
    (
        Method::GET,
        "/minio/admin/v3/info-service-account",
        Verb::Identities(identities::Verb::KeyInfo),
    ),
    (
        Method::GET,
        "/minio/admin/v3/info-access-key",
        Verb::Identities(identities::Verb::AccessKeyInfo),
    ),
    (
        Method::GET,
        "/minio/admin/v3/temporary-account-info",
        Verb::Identities(identities::Verb::TemporaryInfo),
    ),
    (
        Method::POST,
        "/minio/admin/v3/update-service-account",
        Verb::Identities(identities::Verb::KeyUpdate),
    ),
    (
        Method::DELETE,
        "/minio/admin/v3/delete-service-account",
        Verb::Identities(identities::Verb::KeyRemove),
    ),
    (
        Method::POST,
        "/minio/admin/v3/revoke-tokens/builtin",
        Verb::Identities(identities::Verb::TokensRevoke),
    ),
    (
        Method::POST,
        "/minio/admin/v3/revoke-tokens/openid",
        Verb::Identities(identities::Verb::PersonsTokensRevoke),
    ),
    (
        Method::POST,
        "/minio/admin/v3/revoke-tokens/ldap",
        Verb::Identities(identities::Verb::LdapTokensRevoke),
    ),
    (
        Method::GET,
        "/minio/admin/v3/idp-config/ldap",
        Verb::Identities(identities::Verb::LdapList),
    ),
    (
        Method::GET,
        "/minio/admin/v3/idp-config/ldap/_",
        Verb::Identities(identities::Verb::LdapInfo),
    ),
    (
        Method::PUT,
        "/minio/admin/v3/idp-config/ldap/_",
        Verb::Identities(identities::Verb::LdapChange),
    ),
    (
        Method::POST,
        "/minio/admin/v3/idp-config/ldap/_",
        Verb::Identities(identities::Verb::LdapChange),
    ),
    (
        Method::DELETE,
        "/minio/admin/v3/idp-config/ldap/_",
        Verb::Identities(identities::Verb::LdapChange),
    ),
    (
        Method::POST,
        "/minio/admin/v3/idp/ldap/policy/attach",
        Verb::Identities(identities::Verb::LdapPolicyAttach),
    ),
    (
        Method::POST,
        "/minio/admin/v3/idp/ldap/policy/detach",
        Verb::Identities(identities::Verb::LdapPolicyDetach),
    ),
    (
        Method::GET,
        "/minio/admin/v3/idp/ldap/policy-entities",
        Verb::Identities(identities::Verb::LdapPolicyEntities),
    ),
];

/// Verbs of MinIO that are not built, and what a refusal calls them. A name that ends in `/` stands for all below it.
pub const UNBUILT: &[(&str, &str)] = &[
    ("add-tier", "Tiering"),
    ("bandwidth", "The bandwidth report"),
    ("cancel-job", "Batch jobs"),
    ("describe-job", "Batch jobs"),
    ("export-bucket-metadata", "Exporting bucket configuration"),
    ("export-iam", "Exporting identities"),
    ("force-unlock", "Unlocking"),
    ("healthinfo", "Diagnostics"),
    ("idp-config/", "Identity providers"),
    ("idp/", "Identity providers"),
    ("import-bucket-metadata", "Importing bucket configuration"),
    ("import-iam", "Importing identities"),
    ("inspect-data", "Downloading raw data"),
    ("kms/", "Key management"),
    ("list-jobs", "Batch jobs"),
    ("list-remote-targets", "Replication"),
    ("profile", "Profiling"),
    ("remove-remote-target", "Replication"),
    ("revoke-tokens/", "Identity providers"),
    ("set-remote-target", "Replication"),
    ("site-replication/", "Site replication"),
    ("speedtest", "Speed tests"),
    ("speedtest/", "Speed tests"),
    ("start-job", "Batch jobs"),
    ("status-job", "Batch jobs"),
    ("tier", "Tiering"),
    ("tier/", "Tiering"),
    ("top/", "The list of locks"),
    ("update", "Updating by the admin API"),
];

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Verb(Verb),
    /// The path is built for other methods.
    OtherMethod,
    /// Says what a refusal calls it.
    NotBuilt(&'static str),
}

/// The route of a method and path.
pub fn find(method: &Method, path: &str) -> Found {
    let mut of_path = BUILT.iter().filter(|(_, at, _)| *at == path).peekable();
    if of_path.peek().is_some() {
        return of_path
            .find(|(served, _, _)| served == method)
            .map_or(Found::OtherMethod, |(_, _, verb)| Found::Verb(*verb));
    }
    if path.starts_with(HEAL) {
        return match *method {
            Method::POST => Found::Verb(Verb::HealSequence),
            _ => Found::OtherMethod,
        };
    }
    let Some(name) = path.strip_prefix(MINIO) else {
        return Found::NotBuilt(if path.starts_with(MINIO_ALL) {
            "This version of MinIO's admin API"
        } else {
            "This part of the admin API"
        });
    };
    let is_it = |(known, _): &&(&str, &str)| {
        *known == name || (known.ends_with('/') && (name.starts_with(known) || known.trim_end_matches('/') == name))
    };
    let known = UNBUILT.iter().find(is_it);
    Found::NotBuilt(known.map_or("This part of MinIO's admin API", |(_, feature)| feature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_no_verb_is_both_built_and_not() {
        assert!(UNBUILT.iter().zip(UNBUILT.iter().skip(1)).all(|(a, b)| a.0 < b.0));
        for (name, feature) in UNBUILT {
            let path = format!("{MINIO}{name}");
            assert_eq!(find(&Method::GET, &path), Found::NotBuilt(feature), "{name}");
        }
    }

    #[test]
    fn a_path_is_found_whole_and_by_its_method() {
        assert_eq!(find(&Method::GET, "/minio/admin/v3/info"), Found::Verb(Verb::Info));
        assert_eq!(find(&Method::POST, "/minio/admin/v3/info"), Found::OtherMethod);
        for path in [
            "/minio/admin/v3/info/",
            "/minio/admin/v3/information",
            "/minio/admin/v4/info",
            "/v1/admin/",
        ] {
            assert!(matches!(find(&Method::GET, path), Found::NotBuilt(_)), "{path}");
        }
        assert_eq!(
            find(&Method::POST, "/minio/admin/v3/heal/b/p"),
            Found::Verb(Verb::HealSequence)
        );
    }
}
