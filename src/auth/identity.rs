//! The caller, as far as authentication can tell. Says who, never what they may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use time::OffsetDateTime;

use crate::policy::{ACCOUNT_ID, Policy};

/// The caller of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The request carried no credentials at all.
    Anonymous,
    /// The request was signed with the root credentials.
    Root,
    /// The request was signed with a credential of the directory.
    Caller(Arc<Caller>),
}

/// A caller with a credential of the directory, as it stood when the request was authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The access key that signed.
    pub access_key: String,
    /// What this access key is.
    pub kind: Kind,
    /// Whose rights the caller has at most.
    pub account: Account,
    /// The account's canonical id, 64 hexadecimal digits; empty for root.
    pub canonical_id: String,
    /// The enabled groups the account is a member of, sorted.
    pub groups: Vec<String>,
    /// What an identity provider said of the caller: names with their prefix (`jwt:…`, `ldap:…`).
    pub claims: BTreeMap<String, Vec<String>>,
    /// The policies of the account and its groups; empty for root's account, which may do everything.
    pub policies: Vec<Arc<Policy>>,
    /// The policy of this very credential: what it does not allow is not allowed. `None`: nothing narrows the account.
    pub session: Option<Arc<Policy>>,
}

/// What an access key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user's own key.
    User,
    /// A further key of an account (MinIO's service account).
    AccessKey,
    /// A credential of the token service.
    Temporary {
        /// When it ends.
        expires: OffsetDateTime,
    },
}

/// Whose rights a caller has at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// The root user: everything is allowed that the credential's own policy does not leave out.
    Root,
    /// A user of the directory, by name.
    User(String),
    /// Somebody an identity provider vouches for, by the name it gave.
    Federated(Federated),
    /// Whoever took on a role of the directory: the role's rights, whoever it is.
    Role(AssumedRole),
}

/// A role that somebody took on, by names that no user can have, since none holds `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedRole {
    account: String,
    path: String,
    session: String,
}

impl AssumedRole {
    const MARK: &str = "role=";

    /// The role of this name, filed under `path` (`/` for most), as it was taken on under the name `session`.
    pub fn new(role: &str, path: &str, session: &str) -> Self {
        Self {
            account: format!("{}{role}", Self::MARK),
            path: path.to_owned(),
            session: session.to_owned(),
        }
    }

    /// The role's name.
    pub fn role(&self) -> &str {
        self.account.strip_prefix(Self::MARK).unwrap_or_default()
    }

    /// What whoever took it on calls this.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The ARN of the role itself.
    pub fn role_arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT_ID}:role{}{}", self.path, self.role())
    }
}

/// Somebody an identity provider vouches for, by a name that no user can have, since none holds `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Federated(String);

impl Federated {
    const MARK: &str = "federated=";

    /// By the name the provider gave.
    pub fn new(name: &str) -> Self {
        Self(format!("{}{name}", Self::MARK))
    }

    /// The name the provider gave.
    pub fn name(&self) -> &str {
        self.0.strip_prefix(Self::MARK).unwrap_or_default()
    }
}

impl Account {
    /// The account's name, which no other account has; root's is `root`.
    pub fn name(&self) -> &str {
        match self {
            Self::Root => "root",
            Self::User(name) => name,
            Self::Federated(federated) => &federated.0,
            Self::Role(assumed) => &assumed.account,
        }
    }
}

/// Tells accounts from their owner ids.
pub trait Accounts: Send + Sync {
    /// The name of the user with this canonical id; `None`: there is none any more, or never was.
    fn user_of(&self, canonical_id: &str) -> Option<String>;
}

/// Known ids and their names.
impl Accounts for BTreeMap<String, String> {
    fn user_of(&self, canonical_id: &str) -> Option<String> {
        self.get(canonical_id).cloned()
    }
}

impl Caller {
    /// What the caller's account owns things under. A user who is made anew under an old name is another owner.
    pub fn owner_id(&self) -> &str {
        match &self.account {
            account @ Account::Root => account.name(),
            Account::User(_) | Account::Federated(_) | Account::Role(_) => &self.canonical_id,
        }
    }

    /// The ARN that stands for the caller in conditions (`aws:PrincipalArn`): of who took on a role, the role's.
    pub fn principal_arn(&self) -> String {
        match &self.account {
            Account::Role(assumed) => assumed.role_arn(),
            Account::Root | Account::User(_) | Account::Federated(_) => self.arn(),
        }
    }

    /// The ARN that `GetCallerIdentity` names the caller by.
    pub fn arn(&self) -> String {
        match &self.account {
            Account::Root => format!("arn:aws:iam::{ACCOUNT_ID}:root"),
            Account::User(name) => format!("arn:aws:iam::{ACCOUNT_ID}:user/{name}"),
            Account::Federated(federated) => {
                format!("arn:aws:sts::{ACCOUNT_ID}:federated-user/{}", federated.name())
            }
            Account::Role(assumed) => {
                let (role, session) = (assumed.role(), assumed.session());
                format!("arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role}/{session}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, AssumedRole, Federated};

    #[test]
    fn a_user_and_somebody_of_a_provider_never_own_under_one_name() {
        let federated = Account::Federated(Federated::new("ann"));
        assert_eq!(federated.name(), "federated=ann");
        assert_ne!(federated.name(), Account::User("ann".to_owned()).name());
        assert_ne!(Account::Federated(Federated::new("root")).name(), Account::Root.name());
        assert_eq!(Federated::new("ann").name(), "ann");
    }

    #[test]
    fn a_role_is_an_account_of_its_own_under_every_session() {
        let assumed = |session| AssumedRole::new("ann", "/team/", session);
        let (one, other) = (Account::Role(assumed("me")), Account::Role(assumed("you")));
        assert_eq!((one.name(), other.name()), ("role=ann", "role=ann"));
        assert_ne!(one.name(), Account::User("ann".to_owned()).name());
        assert_eq!(assumed("me").role_arn(), "arn:aws:iam::000000000000:role/team/ann");
    }
}
