//! Temporary credentials: given out, known again by their token, revoked.
//!
//! Nothing of them is stored. The token carries what the credential is, sealed for its access key; whose rights it has
//! at most is looked up anew at every request, so a disabled user's temporary credentials end with the user.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::identity::RowKind;
use time::OffsetDateTime;
use zeroize::{Zeroize, Zeroizing};

use super::access_keys::generated;
use super::assumed::CarriedRole;
use super::directory::Directory;
use super::error::IdentityError;
use super::federated::{CarriedPerson, Federation, revocation_row};
use super::policies::check_session;
use super::seal::Sealer;
use super::snapshot::{Rights, Snapshot};
use super::{KeyParent, users};
use crate::auth::{Account, Caller, Credential, Identity, Kind, SecretKey};
use crate::policy::{self, Policy};

/// Longest token that is given out, in characters: the rest of a request's head has to go beside it.
const TOKEN_CHARS_MAX: usize = 12 * 1024;
/// Longest token that is looked at, in characters.
const TOKEN_CHARS_READ: usize = 20 * 1024;
/// Most bytes of the policy inside a temporary credential, as AWS has it.
const POLICY_BYTES_MAX: usize = 2_048;
/// How long a temporary credential may last, in seconds: AWS's least, MinIO's most.
pub const SECONDS: std::ops::RangeInclusive<u64> = 900..=604_800;
const ACCESS_KEY_RANDOM_CHARS: usize = 16;
const SECRET_CHARS: usize = 40;
/// What stands for root's account in rows of revocations; no user can be called so.
pub(super) const ROOT_ACCOUNT: &str = "";

/// A temporary credential, shown once.
#[derive(Clone, Debug)]
pub struct Temporary {
    pub access_key: String,
    pub secret: SecretKey,
    pub token: SecretKey,
    pub expires: Timestamp,
}

/// What a token carries. Fields are added, never given another meaning.
#[derive(Serialize, Deserialize)]
struct Carried {
    /// Wiped by hand: serde knows no text that wipes itself.
    secret: String,
    account: CarriedAccount,
    /// Of the account: another user who is given the name later has another one.
    #[serde(default)]
    canonical_id: String,
    /// Milliseconds since 1970.
    issued: u64,
    expires: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
}

impl Carried {
    /// What to say of a token of so many characters, which nobody could send.
    fn too_large(&self, chars: usize) -> IdentityError {
        let [groups, claims] = self.account.weights();
        let policy = self.policy.as_ref().map_or(0, String::len);
        let parts = [
            (groups, "the names of the user's groups"),
            (claims, "what the identity provider says of the user"),
            (policy, "the session policy"),
        ];
        let largest = parts.into_iter().max_by_key(|(bytes, _)| *bytes);
        IdentityError::CredentialTooLarge {
            chars,
            max: TOKEN_CHARS_MAX,
            most: largest.map_or("its account", |(_, part)| part),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) enum CarriedAccount {
    Root,
    User(String),
    Person(CarriedPerson),
    Role(CarriedRole),
}

impl CarriedAccount {
    /// What the account goes by in rows of revocations.
    fn row(&self) -> Cow<'_, str> {
        match self {
            Self::Root => Cow::Borrowed(ROOT_ACCOUNT),
            Self::User(name) => Cow::Borrowed(name),
            Self::Person(person) => Cow::Owned(revocation_row(person.name())),
            Self::Role(role) => Cow::Owned(role.row()),
        }
    }

    /// Bytes that groups and claims take in a token, about.
    fn weights(&self) -> [usize; 2] {
        match self {
            Self::Root | Self::User(_) => [0, 0],
            Self::Person(person) => person.weights(),
            Self::Role(role) => role.weights(),
        }
    }

    /// What whoever took on a role goes by there.
    fn row_of_taker(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Root | Self::User(_) | Self::Person(_) => None,
            Self::Role(role) => Some(role.row_of_taker()),
        }
    }
}

/// A temporary credential to be made.
pub(super) struct Draft {
    pub(super) account: CarriedAccount,
    pub(super) canonical_id: String,
    /// Milliseconds since 1970.
    pub(super) expires: u64,
    pub(super) policy: Option<String>,
}

impl Directory {
    /// Gives out a temporary credential of the caller's own account, narrowed by `policy`, for so many seconds.
    pub async fn issue(&self, by: &Identity, seconds: u64, policy: Option<String>) -> Result<Temporary, IdentityError> {
        if !SECONDS.contains(&seconds) {
            return Err(IdentityError::InvalidArgument(
                "a temporary credential lasts 900 to 604800 seconds",
            ));
        }
        let (account, canonical_id) = match by {
            Identity::Root => (CarriedAccount::Root, String::new()),
            Identity::Caller(caller) => match (caller.kind, &caller.account) {
                (Kind::User, Account::User(name)) => (CarriedAccount::User(name.clone()), caller.canonical_id.clone()),
                (Kind::User | Kind::AccessKey | Kind::Temporary { .. }, _) => {
                    return Err(IdentityError::NotAllowed(
                        "access keys and temporary credentials give out no temporary credentials",
                    ));
                }
            },
            Identity::Anonymous => return Err(IdentityError::NotAllowed("nobody is signed in")),
        };
        let expires = self.now().millis().saturating_add(seconds.saturating_mul(1_000));
        self.seal_temporary(Draft {
            account,
            canonical_id,
            expires,
            policy,
        })
        .await
    }

    /// Makes a temporary credential; whether it may be given out was decided before.
    pub(super) async fn seal_temporary(&self, draft: Draft) -> Result<Temporary, IdentityError> {
        if let Some(text) = &draft.policy {
            if text.len() > POLICY_BYTES_MAX {
                return Err(IdentityError::SessionPolicyTooLarge(POLICY_BYTES_MAX));
            }
            check_session(text)?;
        }
        let sealer = self.sealer().await?;
        let random = generated(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ACCESS_KEY_RANDOM_CHARS)?;
        let access_key = format!("ASIA{}", random.as_str());
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
        let secret = generated(letters, SECRET_CHARS)?;
        let now = self.now().millis();
        // What was revoked in this very moment, or by a clock that is ahead, was not this one.
        let snapshot = self.snapshot()?;
        let rows = [Some(draft.account.row()), draft.account.row_of_taker()];
        let revoked = rows
            .iter()
            .flatten()
            .filter_map(|row| snapshot.rows.revocations.get(row.as_ref()));
        let issued = revoked.fold(now, |issued, row| row.until.millis().saturating_add(1).max(issued));
        let mut carried = Carried {
            secret: secret.to_string(),
            account: draft.account,
            canonical_id: draft.canonical_id,
            issued,
            expires: draft.expires,
            policy: draft.policy,
        };
        let text = Zeroizing::new(serde_json::to_vec(&carried).map_err(|error| super::internal(&error.to_string()))?);
        carried.secret.zeroize();
        let sealed = sealer.seal_token(&access_key, &text);
        let sealed = sealed.map_err(|error| super::internal(&error.to_string()))?;
        let token = URL_SAFE_NO_PAD.encode_to_string(sealed);
        if token.len() > TOKEN_CHARS_MAX {
            return Err(carried.too_large(token.len()));
        }
        Ok(Temporary {
            access_key,
            secret: SecretKey::new(secret.as_bytes()),
            token: SecretKey::new(token),
            expires: Timestamp::from_millis(draft.expires),
        })
    }

    /// Refuses, from the next request on, every temporary credential that an account was given so far.
    pub async fn revoke_temporary(&self, account: &KeyParent) -> Result<(), IdentityError> {
        let account = account.clone();
        self.change(move |snapshot, now| {
            let row = match &account {
                KeyParent::Root => ROOT_ACCOUNT,
                KeyParent::User(name) => {
                    users::existing(snapshot, name)?;
                    name
                }
            };
            Ok((vec![super::revocation(snapshot, row, now)], ()))
        })
        .await
    }
}

impl Snapshot {
    /// Whether what an account was given at this time (milliseconds since 1970) is refused; also where that cannot be read.
    pub(super) fn is_revoked(&self, row: &str, issued: u64) -> bool {
        let until = self.rows.revocations.get(row).map(|row| row.until.millis());
        self.rows.is_unreadable(RowKind::Revocation, row) || until.is_some_and(|until| issued <= until)
    }

    /// The temporary credential that this token was given out with.
    pub(super) fn temporary(&self, access_key: &str, token: &str, federation: &Federation) -> Option<Credential> {
        if token.len() > TOKEN_CHARS_READ {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode_to_vec(token.as_bytes()).ok()?;
        let carried = open(self.sealer.as_deref()?, access_key, &sealed)?;
        // Takes over the bytes, so that they are wiped.
        let secret = SecretKey::new(carried.secret);
        let row = carried.account.row();
        if self.is_revoked(&row, carried.issued) {
            return None;
        }
        let mut ends = carried.expires;
        let (account, rights, claims) = match carried.account {
            CarriedAccount::Root => (Account::Root, Rights::default(), BTreeMap::new()),
            CarriedAccount::User(name) => {
                let rights = self.rights_of(&name)?.ok()?;
                (Account::User(name), rights, BTreeMap::new())
            }
            CarriedAccount::Person(person) => person.standing(self, federation)?,
            CarriedAccount::Role(role) => {
                let standing = role.standing(self, federation, carried.issued)?;
                ends = standing.ends.map_or(ends, |end| ends.min(end));
                (standing.account, standing.rights, standing.claims)
            }
        };
        if rights.canonical_id != carried.canonical_id {
            return None;
        }
        let session = match &carried.policy {
            None => None,
            Some(text) => Some(Arc::new(Policy::parse(text.as_bytes(), policy::Kind::Session).ok()?)),
        };
        let milliseconds = i128::from(ends).checked_mul(1_000_000)?;
        let expires = OffsetDateTime::from_unix_timestamp_nanos(milliseconds).ok()?;
        let caller = Caller {
            access_key: access_key.to_owned(),
            kind: Kind::Temporary { expires },
            account,
            canonical_id: rights.canonical_id,
            groups: rights.groups,
            claims,
            policies: rights.policies,
            session,
        };
        Some(Credential {
            identity: Identity::Caller(Arc::new(caller)),
            secret,
            session_token: Some(SecretKey::new(token)),
            expires: Some(expires),
            terms: None,
        })
    }
}

fn open(sealer: &Sealer, access_key: &str, sealed: &[u8]) -> Option<Carried> {
    let text = sealer.open_token(access_key, sealed).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::Carried;

    /// Tokens that were given out stay what they were: each of these texts reads, and is written back as it was.
    #[test]
    fn what_tokens_of_every_kind_of_account_carry_reads_on() {
        let person = r#"{"provider":"kc:store","name":"https://id.example.com/r#ann","claims":{"jwt:sub":["ann"]},"policies":[]}"#;
        let role = |rest: &str| format!(r#"{{"Role":{{"role":"app","session":"me","by":{rest}}}}}"#);
        for (account, row, taker) in [
            (r#""Root""#.to_owned(), "", None),
            (r#"{"User":"alice"}"#.to_owned(), "alice", None),
            (format!(r#"{{"Person":{person}}}"#), "federated=", None),
            (
                r#"{"Person":{"provider":"ldap","name":"uid=ann","groups":["cn=staff"],"claims":{},"policies":["a"]}}"#
                    .to_owned(),
                "federated=",
                None,
            ),
            (role(r#""Root""#), "role=app", Some("")),
            (
                role(r#"{"User":{"name":"alice","canonical_id":"ab"}}"#),
                "role=app",
                Some("alice"),
            ),
            (
                role(&format!(r#"{{"Person":{person}}}"#)),
                "role=app",
                Some("federated="),
            ),
            (
                role(r#"{"User":{"name":"alice","canonical_id":"ab"}},"key":"alices-key""#),
                "role=app",
                Some("alice"),
            ),
            (
                role(r#""Root","key":"roots-key","key_generation":"AB23""#),
                "role=app",
                Some(""),
            ),
        ] {
            for policy in ["", r#","policy":"{}""#] {
                let text = format!(
                    r#"{{"secret":"s","account":{account},"canonical_id":"cd","issued":5,"expires":9{policy}}}"#
                );
                let carried: Carried = serde_json::from_str(&text).unwrap();
                assert_eq!(
                    (carried.secret.as_str(), carried.canonical_id.as_str()),
                    ("s", "cd"),
                    "{text}"
                );
                assert_eq!((carried.issued, carried.expires), (5, 9), "{text}");
                assert_eq!(carried.policy.is_some(), !policy.is_empty(), "{text}");
                let named = |whole: &str, expected: &str| match expected {
                    "federated=" => whole.starts_with(expected),
                    _ => whole == expected,
                };
                assert!(named(&carried.account.row(), row), "{text}");
                let by = carried.account.row_of_taker();
                assert_eq!(by.is_some(), taker.is_some(), "{text}");
                assert!(by.zip(taker).is_none_or(|(by, taker)| named(&by, taker)), "{text}");
                assert_eq!(serde_json::to_string(&carried).unwrap(), text);
            }
        }
        // Before a credential carried whose name it was.
        let text = r#"{"secret":"s","account":"Root","issued":5,"expires":9}"#;
        let carried: Carried = serde_json::from_str(text).unwrap();
        assert_eq!(carried.canonical_id, "");
    }
}
