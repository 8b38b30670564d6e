//! The policies every store has under a name, with MinIO's meaning, and `owner`, which is ours.

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

/// The policy of that name.
pub fn find(name: &str) -> Option<Canned> {
    ALL.iter().copied().find(|canned| canned.name == name)
}
