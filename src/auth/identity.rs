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
            Account::User(_) | Account::Federated(_) => &self.canonical_id,
        }
    }

    /// The ARN that policies and `GetCallerIdentity` name the caller's account by.
    pub fn arn(&self) -> String {
        match &self.account {
            Account::Root => format!("arn:aws:iam::{ACCOUNT_ID}:root"),
            Account::User(name) => format!("arn:aws:iam::{ACCOUNT_ID}:user/{name}"),
            Account::Federated(federated) => {
                format!("arn:aws:sts::{ACCOUNT_ID}:federated-user/{}", federated.name())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Federated};

    #[test]
    fn a_user_and_somebody_of_a_provider_never_own_under_one_name() {
        let federated = Account::Federated(Federated::new("ann"));
        assert_eq!(federated.name(), "federated=ann");
        assert_ne!(federated.name(), Account::User("ann".to_owned()).name());
        assert_ne!(Account::Federated(Federated::new("root")).name(), Account::Root.name());
        assert_eq!(Federated::new("ann").name(), "ann");
    }
}
