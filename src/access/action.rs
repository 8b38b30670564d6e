//! The names of what a caller can ask for, as AWS policies spell them.

macro_rules! actions {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// One permission, as a policy names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($variant),*
        }

        impl Action {
            /// Every action there is.
            pub const ALL: &[Action] = &[$(Action::$variant),*];

            /// The name a policy uses, such as `s3:GetObject`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),*
                }
            }
        }
    };
}

actions! {
    AbortMultipartUpload = "s3:AbortMultipartUpload",
    CreateBucket = "s3:CreateBucket",
    DeleteBucket = "s3:DeleteBucket",
    DeleteBucketPolicy = "s3:DeleteBucketPolicy",
    DeleteObject = "s3:DeleteObject",
    DeleteObjectTagging = "s3:DeleteObjectTagging",
    GetAccelerateConfiguration = "s3:GetAccelerateConfiguration",
    GetAnalyticsConfiguration = "s3:GetAnalyticsConfiguration",
    GetBucketAcl = "s3:GetBucketAcl",
    GetBucketCors = "s3:GetBucketCORS",
    GetBucketLocation = "s3:GetBucketLocation",
    GetBucketLogging = "s3:GetBucketLogging",
    GetBucketNotification = "s3:GetBucketNotification",
    GetBucketObjectLockConfiguration = "s3:GetBucketObjectLockConfiguration",
    GetBucketOwnershipControls = "s3:GetBucketOwnershipControls",
    GetBucketPolicy = "s3:GetBucketPolicy",
    GetBucketPolicyStatus = "s3:GetBucketPolicyStatus",
    GetBucketPublicAccessBlock = "s3:GetBucketPublicAccessBlock",
    GetBucketRequestPayment = "s3:GetBucketRequestPayment",
    GetBucketTagging = "s3:GetBucketTagging",
    GetBucketVersioning = "s3:GetBucketVersioning",
    GetBucketWebsite = "s3:GetBucketWebsite",
    GetEncryptionConfiguration = "s3:GetEncryptionConfiguration",
    GetIntelligentTieringConfiguration = "s3:GetIntelligentTieringConfiguration",
    GetInventoryConfiguration = "s3:GetInventoryConfiguration",
    GetLifecycleConfiguration = "s3:GetLifecycleConfiguration",
    GetMetricsConfiguration = "s3:GetMetricsConfiguration",
    GetObject = "s3:GetObject",
    GetObjectAcl = "s3:GetObjectAcl",
    GetObjectAttributes = "s3:GetObjectAttributes",
    GetObjectLegalHold = "s3:GetObjectLegalHold",
    GetObjectRetention = "s3:GetObjectRetention",
    GetObjectTagging = "s3:GetObjectTagging",
    GetReplicationConfiguration = "s3:GetReplicationConfiguration",
    ListAllMyBuckets = "s3:ListAllMyBuckets",
    ListBucket = "s3:ListBucket",
    ListBucketMultipartUploads = "s3:ListBucketMultipartUploads",
    ListBucketVersions = "s3:ListBucketVersions",
    ListMultipartUploadParts = "s3:ListMultipartUploadParts",
    PutBucketAcl = "s3:PutBucketAcl",
    PutBucketCors = "s3:PutBucketCORS",
    PutBucketOwnershipControls = "s3:PutBucketOwnershipControls",
    PutBucketPolicy = "s3:PutBucketPolicy",
    PutBucketPublicAccessBlock = "s3:PutBucketPublicAccessBlock",
    PutBucketTagging = "s3:PutBucketTagging",
    PutObject = "s3:PutObject",
    PutObjectAcl = "s3:PutObjectAcl",
    PutObjectTagging = "s3:PutObjectTagging",
    AdminConfigUpdate = "admin:ConfigUpdate",
    AdminDataUsageInfo = "admin:DataUsageInfo",
    AdminDecommission = "admin:Decommission",
    AdminEverything = "admin:*",
    AdminHeal = "admin:Heal",
    AdminPrometheus = "admin:Prometheus",
    AdminRebalance = "admin:Rebalance",
    AdminServerInfo = "admin:ServerInfo",
    AdminServiceRestart = "admin:ServiceRestart",
    AdminServiceStop = "admin:ServiceStop",
    AdminSiteReplicationInfo = "admin:SiteReplicationInfo",
    AdminStorageInfo = "admin:StorageInfo",
}

#[cfg(test)]
mod tests {
    use super::Action;

    #[test]
    fn names_are_distinct_and_carry_the_service() {
        let mut names: Vec<_> = Action::ALL.iter().map(|action| action.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Action::ALL.len());
        assert!(
            names
                .iter()
                .all(|name| name.starts_with("s3:") || name.starts_with("admin:"))
        );
    }
}
