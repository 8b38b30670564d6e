//! The table of admin routes: what is built, and every verb of MinIO that is not. Pure.
//!
//! A verb that stands in no table is not built either; the table says what a refusal calls it.

use http::Method;

use super::power;
use super::query::Query;
use crate::access::Action;

/// MinIO's verbs, as `mc` of any year calls them.
const MINIO: &str = "/minio/admin/v3/";
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
    ConfigReset,
    ConfigExport,
    ConfigHelp,
    ConfigHistory,
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
}

impl Verb {
    /// The permission it needs; of some verbs it depends on the query.
    pub(super) fn action(self, query: Option<&Query>) -> Action {
        match self {
            Self::Info | Self::Status => Action::AdminServerInfo,
            // As MinIO: who may see no bucket sees none, and everybody may know who they are.
            Self::Account => Action::ListAllMyBuckets,
            Self::DataUsage => Action::AdminDataUsageInfo,
            Self::ConfigRead
            | Self::ConfigSet
            | Self::ConfigReset
            | Self::ConfigExport
            | Self::ConfigHelp
            | Self::ConfigHistory => Action::AdminConfigUpdate,
            Self::Service => power::action(query),
            Self::SiteReplication => Action::AdminSiteReplicationInfo,
            Self::StorageInfo => Action::AdminStorageInfo,
            Self::BackgroundHeal
            | Self::Heal
            | Self::HealNow
            | Self::ScrubNow
            | Self::IndexVerify
            | Self::IndexRebuild => Action::AdminHeal,
            Self::Drives => Action::AdminServerInfo,
            // As MinIO calls the right to take drives in and out.
            Self::DriveAdd
            | Self::DriveDrain
            | Self::DriveKeep
            | Self::DriveRemove
            | Self::DriveReplace
            | Self::PoolsList
            | Self::PoolStatus
            | Self::PoolChange
            | Self::ParitySet => Action::AdminDecommission,
            Self::Rebalance
            | Self::RebalanceStart
            | Self::RebalanceStop
            | Self::PoolRebalanceStart
            | Self::PoolRebalanceStatus
            | Self::PoolRebalanceStop => Action::AdminRebalance,
        }
    }
}

/// Every route that is built: method, path, verb.
const BUILT: &[(Method, &str, Verb)] = &[
    (Method::GET, "/minio/admin/v3/accountinfo", Verb::Account),
    (Method::GET, "/minio/admin/v3/datausageinfo", Verb::DataUsage),
    (Method::GET, "/minio/admin/v3/config", Verb::ConfigExport),
    (Method::PUT, "/minio/admin/v3/config", Verb::ConfigSet),
    (Method::DELETE, "/minio/admin/v3/del-config-kv", Verb::ConfigReset),
    (Method::GET, "/minio/admin/v3/get-config-kv", Verb::ConfigRead),
    (Method::GET, "/minio/admin/v3/help-config-kv", Verb::ConfigHelp),
    (
        Method::GET,
        "/minio/admin/v3/list-config-history-kv",
        Verb::ConfigHistory,
    ),
    (Method::PUT, "/minio/admin/v3/set-config-kv", Verb::ConfigSet),
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
];

/// Verbs of MinIO that are not built, and what a refusal calls them. A name that ends in `/` stands for all below it.
pub const UNBUILT: &[(&str, &str)] = &[
    ("add-canned-policy", "Managing policies"),
    ("add-service-account", "Managing access keys"),
    ("add-tier", "Tiering"),
    ("add-user", "Managing users"),
    ("bandwidth", "The bandwidth report"),
    ("cancel-job", "Batch jobs"),
    ("clear-config-history-kv", "A history of the configuration"),
    ("delete-service-account", "Managing access keys"),
    ("describe-job", "Batch jobs"),
    ("export-bucket-metadata", "Exporting bucket configuration"),
    ("export-iam", "Exporting identities"),
    ("force-unlock", "Unlocking"),
    ("get-bucket-quota", "Bucket quotas"),
    ("group", "Managing groups"),
    ("groups", "Managing groups"),
    ("heal/", "Healing by request"),
    ("healthinfo", "Diagnostics"),
    ("idp-config/", "Identity providers"),
    ("idp/", "Identity providers"),
    ("import-bucket-metadata", "Importing bucket configuration"),
    ("import-iam", "Importing identities"),
    ("info-access-key", "Managing access keys"),
    ("info-canned-policy", "Managing policies"),
    ("info-service-account", "Managing access keys"),
    ("inspect-data", "Downloading raw data"),
    ("kms/", "Key management"),
    ("list-access-keys-bulk", "Managing access keys"),
    ("list-canned-policies", "Managing policies"),
    ("list-jobs", "Batch jobs"),
    ("list-remote-targets", "Replication"),
    ("list-service-accounts", "Managing access keys"),
    ("list-users", "Managing users"),
    ("log", "The stream of logs"),
    ("metrics", "The stream of metrics"),
    ("profile", "Profiling"),
    ("remove-canned-policy", "Managing policies"),
    ("remove-remote-target", "Replication"),
    ("remove-user", "Managing users"),
    ("restore-config-history-kv", "A history of the configuration"),
    ("set-bucket-quota", "Bucket quotas"),
    ("set-group-status", "Managing groups"),
    ("set-remote-target", "Replication"),
    ("set-user-or-group-policy", "Managing policies"),
    ("set-user-status", "Managing users"),
    ("site-replication/", "Site replication"),
    ("speedtest", "Speed tests"),
    ("speedtest/", "Speed tests"),
    ("start-job", "Batch jobs"),
    ("status-job", "Batch jobs"),
    ("temporary-account-info", "Managing access keys"),
    ("tier", "Tiering"),
    ("tier/", "Tiering"),
    ("top/", "The list of locks"),
    ("trace", "The stream of traces"),
    ("update", "Updating by the admin API"),
    ("update-group-members", "Managing groups"),
    ("update-service-account", "Managing access keys"),
    ("user-info", "Managing users"),
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
            Found::NotBuilt("Healing by request")
        );
    }
}
