//! The settings that `mc admin config` knows, by MinIO's names: which variable gives each, what holds if nobody says
//! anything, and what can be done about it. A table.

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// MinIO's name of the group it belongs to.
    pub subsystem: &'static str,
    pub key: &'static str,
    /// The name of its variable, behind the prefix; that of a target follows with a `_`.
    pub variable: &'static str,
    /// What holds if nobody says anything, as it is shown.
    pub default: &'static str,
    /// What a value is, for people: `number`, `duration`, `string`, `csv`, `on|off`, `url`.
    pub kind: &'static str,
    /// One sentence without its dot.
    pub description: &'static str,
    pub nature: Nature,
}

/// What can be done about a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Stored, and in force when that was answered.
    AtOnce,
    /// Stored, and in force from the next start on.
    AtStart,
    /// As [`Self::AtStart`]; never shown, and sealed where it is stored.
    Secret,
    /// Needed before anything stored can be read, so only the environment says it.
    EnvironmentAlone,
}

impl Known {
    /// The whole name of the variable that gives it to this target (empty: the group without a name).
    pub fn variable_of(&self, target: &str) -> String {
        match target {
            "" => format!("MINIO_{}", self.variable),
            target => format!("MINIO_{}_{}", self.variable, target.to_ascii_uppercase()),
        }
    }

    /// Whether it is never shown.
    pub fn is_secret(&self) -> bool {
        self.nature == Nature::Secret
    }
}

/// A group of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsystem {
    pub name: &'static str,
    /// What it is about.
    pub description: &'static str,
    /// Whether there can be several of it, each with a name.
    pub has_targets: bool,
}

/// The groups in the order in which they are shown.
pub const SUBSYSTEMS: &[Subsystem] = &[
    Subsystem {
        name: "api",
        description: "requests of clients",
        has_targets: false,
    },
    Subsystem {
        name: "site",
        description: "where the store is",
        has_targets: false,
    },
    Subsystem {
        name: OPENID,
        description: "an issuer of tokens that credentials are given out for",
        has_targets: true,
    },
    Subsystem {
        name: "storage_class",
        description: "how many drives may be lost",
        has_targets: false,
    },
];

pub(super) const OPENID: &str = "identity_openid";

const fn api(key: &'static str, variable: &'static str, shown: [&'static str; 3]) -> Known {
    let [default, kind, description] = shown;
    Known {
        subsystem: "api",
        key,
        variable,
        default,
        kind,
        description,
        nature: Nature::AtOnce,
    }
}

const fn openid(key: &'static str, variable: &'static str, kind: &'static str, description: &'static str) -> Known {
    Known {
        subsystem: OPENID,
        key,
        variable,
        default: "",
        kind,
        description,
        nature: Nature::AtStart,
    }
}

/// All settings, those of one group beside each other.
pub const KNOWN: &[Known] = &[
    api(
        "requests_max",
        "API_REQUESTS_MAX",
        [
            "0",
            "number",
            "S3 requests worked on at once; 0 leaves it to the server",
        ],
    ),
    api(
        "requests_deadline",
        "API_REQUESTS_DEADLINE",
        ["10s", "duration", "how long a request waits for its turn"],
    ),
    api(
        "cors_allow_origin",
        "API_CORS_ALLOW_ORIGIN",
        ["*", "csv", "origins whose pages may use the store from a browser"],
    ),
    Known {
        subsystem: "site",
        key: "region",
        variable: REGION,
        default: "",
        kind: "string",
        description: "the only region that signatures may name; any if empty",
        nature: Nature::AtStart,
    },
    openid(
        "enable",
        "IDENTITY_OPENID_ENABLE",
        "on|off",
        "whether its tokens are taken; on if empty",
    ),
    openid(
        "config_url",
        "IDENTITY_OPENID_CONFIG_URL",
        "url",
        "its discovery document, as https://HOST/.well-known/openid-configuration",
    ),
    openid(
        "client_id",
        "IDENTITY_OPENID_CLIENT_ID",
        "string",
        "whom its tokens must be meant for",
    ),
    Known {
        nature: Nature::Secret,
        ..openid(
            "client_secret",
            "IDENTITY_OPENID_CLIENT_SECRET",
            "string",
            "kept for programs that sign people in; tokens are checked without it",
        )
    },
    openid(
        "claim_name",
        "IDENTITY_OPENID_CLAIM_NAME",
        "string",
        "the claim that names the policies; policy if empty",
    ),
    openid(
        "claim_prefix",
        "IDENTITY_OPENID_CLAIM_PREFIX",
        "string",
        "what stands before the name of the claim",
    ),
    openid(
        "role_policy",
        "IDENTITY_OPENID_ROLE_POLICY",
        "csv",
        "the policies of everybody it vouches for, in the claim's place",
    ),
    openid(
        "display_name",
        "IDENTITY_OPENID_DISPLAY_NAME",
        "string",
        "what people call it",
    ),
    openid(
        "scopes",
        "IDENTITY_OPENID_SCOPES",
        "csv",
        "what programs that sign people in ask it for",
    ),
    openid(
        "redirect_uri",
        "IDENTITY_OPENID_REDIRECT_URI",
        "string",
        "where programs that sign people in have them sent back to",
    ),
    openid("comment", "IDENTITY_OPENID_COMMENT", "string", "for people"),
    Known {
        subsystem: "storage_class",
        key: "standard",
        variable: "STORAGE_CLASS_STANDARD",
        default: "",
        kind: "string",
        description: "parity of a store that is made now; by the number of drives if empty",
        nature: Nature::EnvironmentAlone,
    },
];

pub(super) const REGION: &str = "SITE_REGION";
/// What the variables begin with that say of a named provider where it is.
pub(super) const PROVIDER_URL: &str = "MINIO_IDENTITY_OPENID_CONFIG_URL_";

/// The setting of this name.
pub fn known(subsystem: &str, key: &str) -> Option<&'static Known> {
    KNOWN
        .iter()
        .find(|known| known.subsystem == subsystem && known.key == key)
}
