//! The policies every store has under a name, with MinIO's meaning; `owner`, which is ours; and those of AWS's own that mean
//! something here.

/// A policy that is there without anybody making it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canned {
    pub name: &'static str,
    /// The document, valid for identities.
    pub document: &'static str,
}

/// All of them, by name.
pub const ALL: &[Canned] = &[
    Canned {
        name: "consoleAdmin",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["admin:*"]},{"Effect":"Allow","Action":["kms:*"]},{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}]}"#,
    },
    Canned {
        name: "diagnostics",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["admin:BandwidthMonitor","admin:ConsoleLog","admin:OBDInfo","admin:Profiling","admin:Prometheus","admin:ServerInfo","admin:ServerTrace","admin:TopLocksInfo"],"Resource":["arn:aws:s3:::*"]}]}"#,
    },
    // Buckets may be made under any free name; everything else only where the bucket's owner is the caller. Who lists
    // buckets is shown the caller's own.
    Canned {
        name: "owner",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:CreateBucket","s3:ListAllMyBuckets"],"Resource":["arn:aws:s3:::*"]},{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"],"Condition":{"StringEquals":{"aws:ResourceAccount":"${aws:PrincipalAccount}"}}}]}"#,
    },
    Canned {
        name: "readonly",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetBucketLocation","s3:GetObject"],"Resource":["arn:aws:s3:::*"]}]}"#,
    },
    Canned {
        name: "readwrite",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}]}"#,
    },
    Canned {
        name: "writeonly",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::*"]}]}"#,
    },
];

/// What the names of AWS's own policies begin with here; what follows stands behind `arn:aws:iam::aws:policy/` in their ARN.
pub const OF_AWS: &str = "aws/";

/// AWS's own policies, in what they mean here: rights on identities are those that MinIO's admin API asks for.
pub const AWS: &[Canned] = &[
    Canned {
        name: "aws/AdministratorAccess",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["admin:*","kms:*","sts:*"]},{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}]}"#,
    },
    Canned {
        name: "aws/AmazonS3FullAccess",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}]}"#,
    },
    Canned {
        name: "aws/AmazonS3ReadOnlyAccess",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":["arn:aws:s3:::*"]}]}"#,
    },
    Canned {
        name: "aws/IAMFullAccess",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["admin:AddUserToGroup","admin:AttachUserOrGroupPolicy","admin:CreatePolicy","admin:CreateServiceAccount","admin:CreateUser","admin:DeletePolicy","admin:DeleteUser","admin:DisableGroup","admin:DisableUser","admin:EnableGroup","admin:EnableUser","admin:GetGroup","admin:GetPolicy","admin:GetUser","admin:ListGroups","admin:ListServiceAccounts","admin:ListTemporaryAccounts","admin:ListUserPolicies","admin:ListUsers","admin:RemoveServiceAccount","admin:RemoveUserFromGroup","admin:UpdatePolicyAssociation","admin:UpdateServiceAccount"]}]}"#,
    },
    Canned {
        name: "aws/IAMReadOnlyAccess",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["admin:GetGroup","admin:GetPolicy","admin:GetUser","admin:ListGroups","admin:ListServiceAccounts","admin:ListTemporaryAccounts","admin:ListUserPolicies","admin:ListUsers"]}]}"#,
    },
];

/// All that are there without anybody making them.
pub fn every() -> impl Iterator<Item = Canned> {
    ALL.iter().chain(AWS).copied()
}

/// The policy of that name.
pub fn find(name: &str) -> Option<Canned> {
    every().find(|canned| canned.name == name)
}
