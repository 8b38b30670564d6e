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
    BypassGovernanceRetention = "s3:BypassGovernanceRetention",
    CreateBucket = "s3:CreateBucket",
    DeleteBucket = "s3:DeleteBucket",
    DeleteBucketOwnershipControls = "s3:DeleteBucketOwnershipControls",
    DeleteBucketPolicy = "s3:DeleteBucketPolicy",
    DeleteBucketPublicAccessBlock = "s3:DeleteBucketPublicAccessBlock",
    DeleteObject = "s3:DeleteObject",
    DeleteObjectTagging = "s3:DeleteObjectTagging",
    DeleteObjectVersion = "s3:DeleteObjectVersion",
    DeleteObjectVersionTagging = "s3:DeleteObjectVersionTagging",
    ForceDeleteBucket = "s3:ForceDeleteBucket",
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
    GetObjectVersion = "s3:GetObjectVersion",
    GetObjectVersionAcl = "s3:GetObjectVersionAcl",
    GetObjectVersionAttributes = "s3:GetObjectVersionAttributes",
    GetObjectVersionTagging = "s3:GetObjectVersionTagging",
    GetReplicationConfiguration = "s3:GetReplicationConfiguration",
    ListAllMyBuckets = "s3:ListAllMyBuckets",
    ListBucket = "s3:ListBucket",
    ListBucketMultipartUploads = "s3:ListBucketMultipartUploads",
    ListBucketVersions = "s3:ListBucketVersions",
    ListMultipartUploadParts = "s3:ListMultipartUploadParts",
    ListenBucketNotification = "s3:ListenBucketNotification",
    ListenNotification = "s3:ListenNotification",
    PutBucketAcl = "s3:PutBucketAcl",
    PutBucketCors = "s3:PutBucketCORS",
    PutBucketLogging = "s3:PutBucketLogging",
    PutBucketNotification = "s3:PutBucketNotification",
    PutBucketObjectLockConfiguration = "s3:PutBucketObjectLockConfiguration",
    PutBucketOwnershipControls = "s3:PutBucketOwnershipControls",
    PutBucketPolicy = "s3:PutBucketPolicy",
    PutBucketPublicAccessBlock = "s3:PutBucketPublicAccessBlock",
    PutBucketRequestPayment = "s3:PutBucketRequestPayment",
    PutBucketTagging = "s3:PutBucketTagging",
    PutBucketVersioning = "s3:PutBucketVersioning",
    PutBucketWebsite = "s3:PutBucketWebsite",
    PutEncryptionConfiguration = "s3:PutEncryptionConfiguration",
    PutLifecycleConfiguration = "s3:PutLifecycleConfiguration",
    PutObject = "s3:PutObject",
    PutObjectAcl = "s3:PutObjectAcl",
    PutObjectLegalHold = "s3:PutObjectLegalHold",
    PutObjectRetention = "s3:PutObjectRetention",
    PutObjectTagging = "s3:PutObjectTagging",
    PutObjectVersionAcl = "s3:PutObjectVersionAcl",
    PutObjectVersionTagging = "s3:PutObjectVersionTagging",
    PutReplicationConfiguration = "s3:PutReplicationConfiguration",
    RestoreObject = "s3:RestoreObject",
    AdminAddUserToGroup = "admin:AddUserToGroup",
    AdminAttachUserOrGroupPolicy = "admin:AttachUserOrGroupPolicy",
    AdminBandwidthMonitor = "admin:BandwidthMonitor",
    AdminCancelBatchJob = "admin:CancelBatchJob",
    AdminConfigUpdate = "admin:ConfigUpdate",
    AdminConsoleLog = "admin:ConsoleLog",
    AdminCreatePolicy = "admin:CreatePolicy",
    AdminCreateServiceAccount = "admin:CreateServiceAccount",
    AdminCreateUser = "admin:CreateUser",
    AdminDataUsageInfo = "admin:DataUsageInfo",
    AdminDecommission = "admin:Decommission",
    AdminDeletePolicy = "admin:DeletePolicy",
    AdminDeleteUser = "admin:DeleteUser",
    AdminDescribeBatchJob = "admin:DescribeBatchJob",
    AdminDisableGroup = "admin:DisableGroup",
    AdminDisableUser = "admin:DisableUser",
    AdminEnableGroup = "admin:EnableGroup",
    AdminEnableUser = "admin:EnableUser",
    AdminEverything = "admin:*",
    AdminExportBucketMetadata = "admin:ExportBucketMetadata",
    AdminExportIam = "admin:ExportIAM",
    AdminForceUnlock = "admin:ForceUnlock",
    AdminGenerateBatchJob = "admin:GenerateBatchJob",
    AdminGetBucketQuota = "admin:GetBucketQuota",
    AdminGetBucketTarget = "admin:GetBucketTarget",
    AdminGetBucketVisibility = "admin:GetBucketVisibility",
    AdminGetGroup = "admin:GetGroup",
    AdminGetPolicy = "admin:GetPolicy",
    AdminGetProject = "admin:GetProject",
    AdminGetUser = "admin:GetUser",
    AdminHeal = "admin:Heal",
    AdminImportBucketMetadata = "admin:ImportBucketMetadata",
    AdminImportIam = "admin:ImportIAM",
    AdminInspectData = "admin:InspectData",
    AdminKmsCreateKey = "admin:KMSCreateKey",
    AdminKmsKeyStatus = "admin:KMSKeyStatus",
    AdminListBatchJobs = "admin:ListBatchJobs",
    AdminListGroups = "admin:ListGroups",
    AdminListServiceAccounts = "admin:ListServiceAccounts",
    AdminListTemporaryAccounts = "admin:ListTemporaryAccounts",
    AdminListTier = "admin:ListTier",
    AdminListUserPolicies = "admin:ListUserPolicies",
    AdminListUsers = "admin:ListUsers",
    AdminObdInfo = "admin:OBDInfo",
    AdminProfiling = "admin:Profiling",
    AdminPrometheus = "admin:Prometheus",
    AdminRebalance = "admin:Rebalance",
    AdminRemoveServiceAccount = "admin:RemoveServiceAccount",
    AdminRemoveUserFromGroup = "admin:RemoveUserFromGroup",
    AdminReplicationDiff = "admin:ReplicationDiff",
    AdminServerInfo = "admin:ServerInfo",
    AdminServerTrace = "admin:ServerTrace",
    AdminServerUpdate = "admin:ServerUpdate",
    AdminServiceCordon = "admin:ServiceCordon",
    AdminServiceFreeze = "admin:ServiceFreeze",
    AdminServiceRestart = "admin:ServiceRestart",
    AdminServiceStop = "admin:ServiceStop",
    AdminSetBucketQuota = "admin:SetBucketQuota",
    AdminSetBucketTarget = "admin:SetBucketTarget",
    AdminSetBucketVisibility = "admin:SetBucketVisibility",
    AdminSetProject = "admin:SetProject",
    AdminSetTier = "admin:SetTier",
    AdminSiteReplicationAdd = "admin:SiteReplicationAdd",
    AdminSiteReplicationDisable = "admin:SiteReplicationDisable",
    AdminSiteReplicationInfo = "admin:SiteReplicationInfo",
    AdminSiteReplicationOperation = "admin:SiteReplicationOperation",
    AdminSiteReplicationRemove = "admin:SiteReplicationRemove",
    AdminSiteReplicationResync = "admin:SiteReplicationResync",
    AdminStartBatchJob = "admin:StartBatchJob",
    AdminStorageInfo = "admin:StorageInfo",
    AdminTopLocksInfo = "admin:TopLocksInfo",
    AdminUpdatePolicyAssociation = "admin:UpdatePolicyAssociation",
    AdminUpdateServiceAccount = "admin:UpdateServiceAccount",
    AssumeRole = "sts:AssumeRole",
    AssumeRoleWithLdapIdentity = "sts:AssumeRoleWithLDAPIdentity",
    AssumeRoleWithWebIdentity = "sts:AssumeRoleWithWebIdentity",
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
        assert!(names.iter().all(|name| {
            ["s3:", "admin:", "sts:"]
                .iter()
                .any(|service| name.starts_with(service))
        }));
    }

    #[test]
    fn a_policy_can_name_every_action() {
        for action in Action::ALL {
            assert!(crate::policy::is_known_action(action.name()), "{}", action.name());
        }
    }
}
