//! Who asked for a link or for a credential that only uploads, as it carries them, and who that is when it is used.
//!
//! Only who they are is carried. What they may is asked of [`Askers`] at every use, so that whoever may less by then may
//! less by every link they were given. It never judges anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage_engine::store::clock::Timestamp;
use time::OffsetDateTime;

use super::LinkError;
use crate::auth::{Account, Caller, Federated, Identity, Kind, LinkTerms, LinkUse};
use crate::policy::{self, Policy};

/// The claims that shares look at; no others are carried.
const CARRIED_CLAIMS: [&str; 2] = ["jwt:email", "jwt:email_verified"];

/// Who asks for a link of a file in an app bucket, and with which project key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The id of the project key that the request came with.
    pub key_id: String,
    /// The logical bucket that a guest puts a file into; `None`: they put none.
    pub guest_in: Option<String>,
    /// Whether they have all that the key allows, and not only what is theirs.
    pub admin: bool,
    /// `None`: nobody who is signed in.
    pub person: Option<Person>,
    /// Who else has a say: the owner of the file, where they are not who asks.
    pub owner: Option<String>,
    /// The last time that what these two had been given was revoked, as it stood when this was given out.
    pub revoked: Timestamp,
}

/// Somebody who is signed in to an app, or the key itself where it stands for an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The name of the account: see [`Federated`].
    #[serde(rename = "n")]
    pub name: String,
    /// What it owns things under.
    #[serde(rename = "o")]
    pub owner: String,
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(rename = "c", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Vec<String>>,
}

/// What those who ask for links may do now.
pub trait Askers: Send + Sync {
    /// The rights that whoever asked to do this in `bucket` has there now; `None`: their key is revoked or has ended, or is
    /// not one of this bucket's, or does not let this, or what they or the owner were given until [`Asker::revoked`] is
    /// revoked, so that what they were given lets nothing. Called once a request: it must not block.
    fn rights(&self, asker: &Asker, bucket: &str, purpose: Purpose) -> Option<AskerRights>;

    /// When what this asker, or the owner, had been given in `bucket` was last revoked; the beginning of time: never.
    fn revoked(&self, asker: &Asker, bucket: &str) -> Timestamp;
}

/// What somebody was given something for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To read one file.
    Read,
    /// To send the bytes of one file.
    Write,
    /// To store what does not stand yet: of admins and servers no more than that, too.
    Uploads,
}

impl From<&LinkUse> for Purpose {
    fn from(lets: &LinkUse) -> Self {
        match lets {
            LinkUse::Get { .. } => Self::Read,
            LinkUse::Put { .. } | LinkUse::Part { .. } => Self::Write,
        }
    }
}

/// The rights of somebody who asked for a link.
#[derive(Clone, Debug, Default)]
pub struct AskerRights {
    pub policies: Vec<Arc<Policy>>,
    /// What their key lets at most; `None`: everything in the app bucket. A guest has no account to narrow: whether the key
    /// lets it is said by there being rights at all. Who has no such bound uploads nothing by [`Purpose::Uploads`].
    pub session: Option<Arc<Policy>>,
    /// Guests may put what the link is for.
    pub takes_guests: bool,
}

impl Asker {
    /// Of a caller of the Files API. Only guests and accounts of apps can ask.
    pub fn of(identity: &Identity, key_id: &str, admin: bool) -> Result<Self, LinkError> {
        let person = match identity {
            Identity::Anonymous => None,
            Identity::Root => return Err(LinkError::NotOfAnApp),
            Identity::Caller(caller) => Some(Person::of(caller)?),
        };
        Ok(Self {
            key_id: key_id.to_owned(),
            guest_in: None,
            admin,
            person,
            owner: None,
            revoked: Timestamp::default(),
        })
    }

    /// As a link carries them that lets this: groups and claims matter to reading only.
    pub(super) fn carried_for(&self, lets: &LinkUse) -> Self {
        let mut carried = self.clone();
        match lets {
            LinkUse::Get { .. } => carried.guest_in = None,
            LinkUse::Put { .. } | LinkUse::Part { .. } => {
                carried.person = carried.person.map(Person::without_claims);
            }
        }
        carried
    }

    /// Who they are when a link with this access key and these terms is used, with the `rights` they have by then.
    pub(super) fn identity(self, access_key: &str, terms: &LinkTerms, rights: AskerRights) -> Option<Identity> {
        let Some(person) = self.person else {
            return Some(Identity::Anonymous);
        };
        let session = match rights.session {
            Some(session) => session,
            None => Arc::new(Policy::parse(session(terms).as_bytes(), policy::Kind::Session).ok()?),
        };
        Some(person.identity((access_key, terms.expires), rights.policies, session))
    }
}

impl Person {
    /// As they are carried where nothing is read: groups and claims matter to reading only.
    pub(super) fn without_claims(self) -> Self {
        Self {
            groups: Vec::new(),
            claims: BTreeMap::new(),
            ..self
        }
    }

    /// Who they are with an access key that lasts so long, with these rights.
    pub(super) fn identity(
        self,
        (access_key, expires): (&str, OffsetDateTime),
        policies: Vec<Arc<Policy>>,
        session: Arc<Policy>,
    ) -> Identity {
        Identity::Caller(Arc::new(Caller {
            access_key: access_key.to_owned(),
            kind: Kind::Temporary { expires },
            account: Account::Federated(Federated::new(&self.name)),
            canonical_id: self.owner,
            groups: self.groups,
            claims: self.claims,
            policies,
            session: Some(session),
        }))
    }

    fn of(caller: &Caller) -> Result<Self, LinkError> {
        let name = match &caller.account {
            Account::Federated(federated) => federated.name().to_owned(),
            Account::Root | Account::User(_) | Account::Role(_) => return Err(LinkError::NotOfAnApp),
        };
        let claims = caller.claims.iter();
        let claims = claims.filter(|(name, _)| CARRIED_CLAIMS.iter().any(|known| known.eq_ignore_ascii_case(name)));
        Ok(Self {
            name,
            owner: caller.canonical_id.clone(),
            groups: caller.groups.clone(),
            claims: claims.map(|(name, values)| (name.clone(), values.clone())).collect(),
        })
    }
}

/// The policy that narrows whoever uses a link. Action and key themselves are held to by `access`, for all callers.
fn session(terms: &LinkTerms) -> String {
    let action = match terms.lets {
        LinkUse::Get { .. } => "s3:GetObject",
        LinkUse::Put { .. } | LinkUse::Part { .. } => "s3:PutObject",
    };
    // Names of buckets hold nothing that means something in JSON or in a pattern.
    let bucket = &terms.bucket;
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"arn:aws:s3:::{bucket}/*"}}]}}"#
    )
}
