//! The records of the directory: who there is, what they may do, and what proves it.
//!
//! Secrets stand here as sealed bytes; what seals them, and what is in a policy's text, is not the engine's to know.

use minicbor::{Decode, Encode};

use crate::store::clock::Timestamp;
use crate::store::record::Record;

/// The row that every change of the directory puts anew: its revision is that of the whole directory.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DirectoryHead {
    #[n(0)]
    pub changed: Timestamp,
}

/// A user; the name is the access key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UserRecord {
    #[n(0)]
    pub created: Timestamp,
    #[n(1)]
    pub updated: Timestamp,
    #[n(2)]
    pub enabled: bool,
    /// 64 hexadecimal digits, made once and never changed.
    #[n(3)]
    pub canonical_id: String,
    #[cbor(n(4), with = "minicbor::bytes")]
    pub sealed_secret: Vec<u8>,
    /// Names of the policies attached to this user, sorted.
    #[n(5)]
    pub policies: Vec<String>,
    /// Names of the groups this user is a member of, sorted.
    #[n(6)]
    pub groups: Vec<String>,
    /// Where IAM's clients file it; absent: `/`.
    #[n(7)]
    pub path: Option<String>,
}

/// A group; its members are written in their own rows.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GroupRecord {
    #[n(0)]
    pub created: Timestamp,
    #[n(1)]
    pub updated: Timestamp,
    #[n(2)]
    pub enabled: bool,
    /// Names of the policies attached to this group, sorted.
    #[n(3)]
    pub policies: Vec<String>,
    /// Where IAM's clients file it; absent: `/`.
    #[n(4)]
    pub path: Option<String>,
}

/// A role: rights that others take on for a while, and who they are.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RoleRecord {
    #[n(0)]
    pub created: Timestamp,
    #[n(1)]
    pub updated: Timestamp,
    /// 64 hexadecimal digits, made once and never changed.
    #[n(2)]
    pub canonical_id: String,
    /// JSON of the policy that says who may take it on.
    #[n(3)]
    pub trust: String,
    #[n(4)]
    pub description: String,
    /// How long one may have it at most, in seconds.
    #[n(5)]
    pub seconds_max: u32,
    /// Names of the policies attached to this role, sorted.
    #[n(6)]
    pub policies: Vec<String>,
    /// Where IAM's clients file it; absent: `/`.
    #[n(7)]
    pub path: Option<String>,
    /// By key, each once.
    #[n(8)]
    pub tags: Vec<RoleTag>,
}

/// A tag of a role.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RoleTag {
    #[n(0)]
    pub key: String,
    #[n(1)]
    pub value: String,
}

/// A named policy, in its author's words.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PolicyRecord {
    #[n(0)]
    pub created: Timestamp,
    #[n(1)]
    pub updated: Timestamp,
    /// JSON as it was given.
    #[n(2)]
    pub text: String,
}

/// The policies of somebody, or of a group, that is in another directory and in no row of this one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AttachmentRecord {
    #[n(0)]
    pub created: Timestamp,
    #[n(1)]
    pub updated: Timestamp,
    /// Names of the policies, sorted.
    #[n(2)]
    pub policies: Vec<String>,
    /// How the other directory spells the name, where the row is called by another form of it.
    #[n(3)]
    pub spelled: Option<String>,
}

/// A further access key of an account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AccessKeyRecord {
    #[n(0)]
    pub created: Timestamp,
    #[n(1)]
    pub updated: Timestamp,
    #[n(2)]
    pub enabled: bool,
    /// Whose key it is.
    #[n(3)]
    pub parent: KeyParent,
    #[cbor(n(4), with = "minicbor::bytes")]
    pub sealed_secret: Vec<u8>,
    /// JSON of the policy that narrows the parent's rights; absent: the parent's rights.
    #[n(5)]
    pub policy: Option<String>,
    #[n(6)]
    pub name: String,
    #[n(7)]
    pub description: String,
    #[n(8)]
    pub expires: Option<Timestamp>,
    /// Random, and another one as soon as the key is made anew or its secret is set; absent: since before there were any.
    #[n(9)]
    pub generation: Option<String>,
}

/// Whose key an access key is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum KeyParent {
    #[n(0)]
    Root,
    #[n(1)]
    User(#[n(0)] String),
}

/// Temporary credentials of an account that were made at this time or before are refused.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RevocationRecord {
    #[n(0)]
    pub until: Timestamp,
}

/// The key that seals the directory's secrets, itself sealed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SealRecord {
    #[n(0)]
    pub updated: Timestamp,
    /// What opens it.
    #[n(1)]
    pub by: SealedBy,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub sealed_key: Vec<u8>,
}

/// What opens a [`SealRecord`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SealedBy {
    /// A key derived by Argon2id (version 1.3) from the root password.
    #[n(0)]
    RootPassword {
        #[cbor(n(0), with = "minicbor::bytes")]
        salt: [u8; 16],
        #[n(1)]
        memory_kib: u32,
        #[n(2)]
        passes: u32,
        #[n(3)]
        lanes: u32,
    },
    /// A key that the operator keeps, by its name.
    #[n(1)]
    OperatorKey {
        #[n(0)]
        name: String,
    },
}

impl Record for DirectoryHead {
    const KIND: &'static str = "directory head";
}

impl Record for UserRecord {
    const KIND: &'static str = "user";
}

impl Record for GroupRecord {
    const KIND: &'static str = "group";
}

impl Record for RoleRecord {
    const KIND: &'static str = "role";
}

impl Record for PolicyRecord {
    const KIND: &'static str = "policy";
}

impl Record for AttachmentRecord {
    const KIND: &'static str = "attachment";
}

impl Record for AccessKeyRecord {
    const KIND: &'static str = "access key";
}

impl Record for RevocationRecord {
    const KIND: &'static str = "revocation";
}

impl Record for SealRecord {
    const KIND: &'static str = "seal";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::record::tests::{rejects_damage, survives};

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn key(parent: KeyParent, policy: Option<String>, expires: Option<u64>) -> AccessKeyRecord {
        AccessKeyRecord {
            created: at(1),
            updated: at(2),
            enabled: true,
            parent,
            sealed_secret: vec![1, 2, 3],
            policy,
            name: "name".into(),
            description: "what it is for".into(),
            expires: expires.map(at),
            generation: None,
        }
    }

    fn role(trust: &str, tags: &[(&str, &str)]) -> RoleRecord {
        let tag = |(key, value): &(&str, &str)| RoleTag {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        RoleRecord {
            created: at(1),
            updated: at(2),
            canonical_id: "ab".repeat(2),
            trust: trust.to_owned(),
            description: "d".into(),
            seconds_max: 3_600,
            policies: vec!["readonly".into()],
            path: Some("/p/".into()),
            tags: tags.iter().map(tag).collect(),
        }
    }

    #[test]
    fn a_role_is_written_as_it_always_was() {
        let bytes =
            b"\x01\xa9\x00\x01\x01\x02\x02\x64abab\x03\x62{}\x04\x61d\x05\x19\x0e\x10\x06\x81\x68readonly\x07\x63/p/\
            \x08\x81\xa2\x00\x61k\x01\x61v";
        let role = role("{}", &[("k", "v")]);
        assert_eq!(
            role.to_value().escape_ascii().to_string(),
            bytes.escape_ascii().to_string()
        );
        assert_eq!(RoleRecord::from_value(bytes).unwrap(), role);
    }

    #[test]
    fn an_access_key_is_written_as_it_always_was_and_with_a_generation_reads_on() {
        let old = b"\x01\xa7\x00\x01\x01\x02\x02\xf5\x03\x82\x01\x81\x65alice\x04\x43\x01\x02\x03\x06\x64name\
            \x07\x6ewhat it is for";
        let new = b"\x01\xaa\x00\x01\x01\x02\x02\xf5\x03\x82\x00\x80\x04\x43\x01\x02\x03\x05\x62{}\x06\x64name\
            \x07\x6ewhat it is for\x08\x07\x09\x64AB23";
        let before = key(KeyParent::User("alice".into()), None, None);
        let now = AccessKeyRecord {
            generation: Some("AB23".into()),
            ..key(KeyParent::Root, Some("{}".into()), Some(7))
        };
        for (record, bytes) in [(before, &old[..]), (now, new)] {
            assert_eq!(
                record.to_value().escape_ascii().to_string(),
                bytes.escape_ascii().to_string()
            );
            assert_eq!(AccessKeyRecord::from_value(bytes).unwrap(), record);
        }
    }

    #[test]
    fn what_is_attached_is_written_as_it_always_was_and_with_the_spelling_reads_on() {
        let old = b"\x01\xa3\x00\x01\x01\x02\x02\x82\x63own\x68readonly";
        let new = b"\x01\xa4\x00\x01\x01\x02\x02\x82\x63own\x68readonly\x03\x69cn=A,dc=x";
        for (spelled, bytes) in [(None, &old[..]), (Some("cn=A,dc=x".to_owned()), new)] {
            let record = AttachmentRecord {
                created: at(1),
                updated: at(2),
                policies: vec!["own".into(), "readonly".into()],
                spelled,
            };
            assert_eq!(
                record.to_value().escape_ascii().to_string(),
                bytes.escape_ascii().to_string()
            );
            assert_eq!(AttachmentRecord::from_value(bytes).unwrap(), record);
        }
    }

    proptest! {
        #[test]
        fn roles_survive_their_value(trust: String, key: String, value: String) {
            survives(&role(&trust, &[(&key, &value)]));
        }

        #[test]
        fn users_survive_their_value(
            created: u64, enabled: bool, secret: Vec<u8>, policies: Vec<String>, groups: Vec<String>,
        ) {
            survives(&UserRecord {
                created: at(created), updated: at(created), enabled, canonical_id: "ab".repeat(32),
                sealed_secret: secret, policies, groups, path: None,
            });
        }

        #[test]
        fn access_keys_survive_their_value(parent: Option<String>, policy: Option<String>, expires: Option<u64>) {
            survives(&key(parent.map_or(KeyParent::Root, KeyParent::User), policy, expires));
        }
    }

    #[test]
    fn damage_is_refused() {
        rejects_damage(&DirectoryHead { changed: at(5) });
        rejects_damage(&key(KeyParent::User("alice".into()), Some("{}".into()), Some(9)));
        rejects_damage(&UserRecord {
            created: at(1),
            updated: at(2),
            enabled: true,
            canonical_id: "id".into(),
            sealed_secret: vec![9; 40],
            policies: vec!["readonly".into()],
            groups: vec!["staff".into()],
            path: Some("/staff/".into()),
        });
        rejects_damage(&GroupRecord {
            created: at(1),
            updated: at(2),
            enabled: false,
            policies: vec!["readonly".into()],
            path: None,
        });
        rejects_damage(&role("{}", &[("team", "a"), ("x", "")]));
        rejects_damage(&PolicyRecord {
            created: at(1),
            updated: at(2),
            text: "{}".into(),
        });
        rejects_damage(&AttachmentRecord {
            created: at(1),
            updated: at(2),
            policies: vec!["readonly".into()],
            spelled: Some("cn=Staff,dc=x".into()),
        });
        rejects_damage(&RevocationRecord { until: at(3) });
        for by in [
            SealedBy::RootPassword {
                salt: [7; 16],
                memory_kib: 19_456,
                passes: 2,
                lanes: 1,
            },
            SealedBy::OperatorKey { name: "my-key".into() },
        ] {
            rejects_damage(&SealRecord {
                updated: at(1),
                by,
                sealed_key: vec![5; 61],
            });
        }
    }
}
