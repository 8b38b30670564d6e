//! Users and groups of an LDAP server: which policies are attached to them here.
//!
//! Of themselves nothing is kept. They go by their distinguished names, in the one form that `ldap` writes them in, and
//! case makes no difference; who they are and in which groups is the server's word.

use std::collections::BTreeSet;

use storage_engine::store::clock::Timestamp;
use storage_engine::store::identity::{DirectoryChange, RowKind};
use storage_engine::store::record::identity::AttachmentRecord;

use super::attach::{Entities, EntitiesAsked, PolicyEntities, UserEntities};
use super::directory::Directory;
use super::error::IdentityError;
use super::snapshot::Snapshot;

const USER: &str = "ldap/user/";
const GROUP: &str = "ldap/group/";

/// What a distinguished name goes by wherever it is looked up: servers that rename `Ann` to `ann`, or write a name now one
/// way and now the other, mean the same entry.
pub(super) fn dn_key(dn: &str) -> String {
    dn.chars().flat_map(char::to_lowercase).collect()
}

/// Somebody or something that stands in an LDAP server, by its distinguished name as the server spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LdapEntry {
    User(String),
    Group(String),
}

impl LdapEntry {
    /// Its distinguished name.
    pub fn dn(&self) -> &str {
        match self {
            Self::User(dn) | Self::Group(dn) => dn,
        }
    }

    /// What it goes by in rows.
    fn row(&self) -> String {
        match self {
            Self::User(dn) => format!("{USER}{}", dn_key(dn)),
            Self::Group(dn) => format!("{GROUP}{}", dn_key(dn)),
        }
    }

    /// Whose row this is.
    pub(super) fn of_row(row: &str, record: &AttachmentRecord) -> Option<Self> {
        let spelled = |dn: &str| record.spelled.clone().unwrap_or_else(|| dn.to_owned());
        let user = row.strip_prefix(USER).map(|dn| Self::User(spelled(dn)));
        user.or_else(|| row.strip_prefix(GROUP).map(|dn| Self::Group(spelled(dn))))
    }
}

impl Snapshot {
    /// The names of the policies attached to an entry. Those that cannot be read may be the ones that deny.
    pub(super) fn attached_to(&self, entry: &LdapEntry) -> Result<&[String], IdentityError> {
        let row = entry.row();
        if self.rows.is_unreadable(RowKind::Attachment, &row) {
            return Err(IdentityError::NotAllowed(
                "what is attached to the user or one of its groups cannot be read",
            ));
        }
        Ok(self.rows.attachments.get(&row).map_or(&[], |row| &row.policies))
    }

    /// The names of the policies that a user has by itself and by these groups.
    pub(super) fn ldap_policies(&self, user: &str, groups: &[String]) -> Result<BTreeSet<&String>, IdentityError> {
        let groups = groups.iter().map(|dn| LdapEntry::Group(dn.clone()));
        let entries = std::iter::once(LdapEntry::User(user.to_owned())).chain(groups);
        let mut names = BTreeSet::new();
        for entry in entries {
            names.extend(self.attached_to(&entry)?);
        }
        Ok(names)
    }

    /// The row of an entry with these policies; without any there is none.
    pub(super) fn with_attached(&self, entry: &LdapEntry, policies: Vec<String>, now: Timestamp) -> DirectoryChange {
        let row = entry.row();
        let standing = self.rows.attachments.get(&row);
        let spelled = standing.and_then(|standing| standing.spelled.clone());
        let record = AttachmentRecord {
            created: standing.map_or(now, |standing| standing.created),
            updated: now,
            policies,
            // What is taken away may be asked for in another spelling than the server's.
            spelled: spelled.or_else(|| Some(entry.dn().to_owned())),
        };
        let record = Some(record).filter(|record| !record.policies.is_empty());
        DirectoryChange::Attachment(row, record)
    }
}

impl Directory {
    /// Whether anything is attached to an entry, or may be: what cannot be read may be something.
    pub fn has_attached(&self, entry: &LdapEntry) -> Result<bool, IdentityError> {
        let snapshot = self.snapshot()?;
        Ok(snapshot
            .attached_to(entry)
            .map_or(true, |policies| !policies.is_empty()))
    }

    /// Which users and groups of the LDAP server have which policies. Which user is in which group is not known here.
    pub fn ldap_entities(&self, asked: &EntitiesAsked) -> Result<Entities, IdentityError> {
        let snapshot = self.snapshot()?;
        let everything = *asked == EntitiesAsked::default();
        let wants = |list: &[String], name: &str| everything || list.iter().any(|asked| asked == name);
        let wants_entry =
            |list: &[String], dn: &str| everything || list.iter().any(|asked| dn_key(asked) == dn_key(dn));
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        for (row, record) in &snapshot.rows.attachments {
            match LdapEntry::of_row(row, record) {
                Some(LdapEntry::User(dn)) => users.push((dn, record.policies.clone())),
                Some(LdapEntry::Group(dn)) => groups.push((dn, record.policies.clone())),
                None => {}
            }
        }
        let having = |all: &[(String, Vec<String>)], policy: &String| -> Vec<String> {
            let all = all.iter().filter(|(_, policies)| policies.contains(policy));
            all.map(|(dn, _)| dn.clone()).collect()
        };
        let policies = snapshot.policies().keys().filter(|name| wants(&asked.policies, name));
        let policies = policies.map(|policy| PolicyEntities {
            policy: policy.clone(),
            users: having(&users, policy),
            groups: having(&groups, policy),
        });
        let policies = policies.filter(|found| !everything || !found.users.is_empty() || !found.groups.is_empty());
        Ok(Entities {
            policies: policies.collect(),
            users: users
                .into_iter()
                .filter(|(dn, _)| wants_entry(&asked.users, dn))
                .map(|(user, policies)| UserEntities {
                    user,
                    policies,
                    groups: Vec::new(),
                })
                .collect(),
            groups: groups
                .into_iter()
                .filter(|(dn, _)| wants_entry(&asked.groups, dn))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use storage_engine::memory::MemoryBackend;
    use storage_engine::store::clock::SystemClock;
    use storage_engine::store::{Epoch, Store};

    use super::super::{Federation, FederationRights, LDAP_PROVIDER, Person, Root, SealKeys, Target, Temporary};
    use super::*;
    use crate::auth::{Caller, CredentialSource, Identity, SecretKey};

    const ANN: &str = "uid=ann,ou=people,dc=x";
    const STAFF: &str = "cn=staff,ou=groups,dc=x";

    async fn directory(store: &Store, federation: Federation) -> Directory {
        let password = SecretKey::new("root-password");
        let keys = SealKeys {
            operator: None,
            old_operator: None,
            password: password.clone(),
            old_password: None,
        };
        let root = Root {
            access_key: "rootkey".into(),
            secret: password,
        };
        Directory::open(store.clone(), Arc::new(SystemClock), root, keys, federation).await
    }

    fn store() -> Store {
        Store::new(Arc::new(MemoryBackend::new()), Arc::new(SystemClock), Epoch([1; 16]))
    }

    fn by_ldap() -> Federation {
        Federation::from([(LDAP_PROVIDER.to_owned(), FederationRights::Attached)])
    }

    fn ann() -> Person {
        Person {
            provider: LDAP_PROVIDER.into(),
            name: ANN.into(),
            groups: vec![STAFF.into()],
            claims: [("ldap:username".to_owned(), vec!["ann".to_owned()])].into(),
            policies: Vec::new(),
            ends: Timestamp::from_millis(u64::MAX),
        }
    }

    fn caller(directory: &Directory, given: &Temporary) -> Option<Arc<Caller>> {
        let token = String::from_utf8(given.token.expose().to_vec()).unwrap();
        match directory.find_temporary(&given.access_key, &token)?.identity {
            Identity::Caller(caller) => Some(caller),
            Identity::Anonymous | Identity::Root => None,
        }
    }

    #[tokio::test]
    async fn what_is_attached_to_somebody_and_their_groups_is_what_they_may_do_from_then_on() {
        let store = store();
        let directory = directory(&store, by_ldap()).await;
        let refused = directory.issue_to_person(ann(), None, None).await.unwrap_err();
        assert!(refused.to_string().contains("no policy is attached"), "{refused}");
        let (user, group) = (
            Target::Ldap(LdapEntry::User(ANN.into())),
            Target::Ldap(LdapEntry::Group(STAFF.into())),
        );
        let (read, write) = (["readonly".to_owned()], ["writeonly".to_owned()]);
        // A group of the name of a user is somebody else.
        let other = Target::Ldap(LdapEntry::Group(ANN.into()));
        directory.attach(&other, &write).await.unwrap();
        assert!(directory.person(&ann()).is_err());

        directory.attach(&user, &read).await.unwrap();
        assert!(matches!(
            directory.attach(&user, &read).await,
            Err(IdentityError::AlreadyApplied)
        ));
        assert!(matches!(
            directory.attach(&user, &["unheard-of".to_owned()]).await,
            Err(IdentityError::NoSuchPolicy(_))
        ));
        let given = directory.issue_to_person(ann(), Some(900), None).await.unwrap();
        let count = || caller(&directory, &given).map(|caller| caller.policies.len());
        assert_eq!(count(), Some(1));
        directory.attach(&group, &write).await.unwrap();
        assert_eq!(count(), Some(2));
        let found = caller(&directory, &given).unwrap();
        assert_eq!(
            (found.groups.as_slice(), found.canonical_id.len()),
            (&[STAFF.to_owned()][..], 64)
        );
        // Carried once, and told under both keys.
        assert_eq!(found.claims["ldap:groups"], [STAFF]);
        let Identity::Caller(before) = directory.person(&ann()).unwrap() else {
            panic!("nobody")
        };
        assert_eq!(before.claims, found.claims);
        directory.detach(&user, &read).await.unwrap();
        assert_eq!(count(), Some(1));
        directory.detach(&group, &write).await.unwrap();
        assert_eq!(count(), None);

        // Without the server in the settings nothing of it holds.
        directory.attach(&user, &read).await.unwrap();
        assert_eq!(count(), Some(1));
        let without = self::directory(&store, Federation::new()).await;
        assert!(caller(&without, &given).is_none());
        let again = self::directory(&store, by_ldap()).await;
        assert!(caller(&again, &given).is_some());
        again.revoke_person(ANN).await.unwrap();
        assert!(caller(&again, &given).is_none());
    }

    #[tokio::test]
    async fn case_makes_no_difference_to_what_is_attached_and_who_somebody_is() {
        let directory = directory(&store(), by_ldap()).await;
        let (read, deny) = ("readonly".to_owned(), "writeonly".to_owned());
        let spelled = Target::Ldap(LdapEntry::User("uid=Ann,ou=People,dc=x".into()));
        let staff = Target::Ldap(LdapEntry::Group("cn=STAFF,ou=groups,dc=x".into()));
        directory.attach(&spelled, std::slice::from_ref(&read)).await.unwrap();
        directory.attach(&staff, std::slice::from_ref(&deny)).await.unwrap();
        let given = directory.issue_to_person(ann(), None, None).await.unwrap();
        assert_eq!(caller(&directory, &given).unwrap().policies.len(), 2);
        let otherwise = Person {
            name: "uid=ANN,ou=people,dc=x".into(),
            ..ann()
        };
        let (Identity::Caller(one), Identity::Caller(other)) =
            (directory.person(&ann()).unwrap(), directory.person(&otherwise).unwrap())
        else {
            panic!("nobody")
        };
        assert_eq!(one.canonical_id, other.canonical_id);
        assert_ne!(
            super::super::person_id("https://id#ann"),
            super::super::person_id("https://id#Ann")
        );

        // It is shown as the server spelled it, and found and taken away in any spelling.
        let asked = EntitiesAsked {
            users: vec![ANN.into()],
            ..EntitiesAsked::default()
        };
        let shown = || directory.ldap_entities(&asked).unwrap().users;
        assert_eq!(shown()[0].user, "uid=Ann,ou=People,dc=x");
        assert!(matches!(
            directory
                .attach(&Target::Ldap(LdapEntry::User(ANN.into())), std::slice::from_ref(&read))
                .await,
            Err(IdentityError::AlreadyApplied)
        ));
        assert!(directory.has_attached(&LdapEntry::User(ANN.into())).unwrap());
        assert!(!directory.has_attached(&LdapEntry::Group(ANN.into())).unwrap());
        let more = Target::Ldap(LdapEntry::User(ANN.to_uppercase()));
        directory.attach(&more, std::slice::from_ref(&deny)).await.unwrap();
        assert_eq!(shown()[0].user, "uid=Ann,ou=People,dc=x");
        directory.detach(&more, &[read, deny]).await.unwrap();
        assert_eq!(shown(), []);
        directory.revoke_person("UID=ANN,OU=PEOPLE,DC=X").await.unwrap();
        assert!(caller(&directory, &given).is_none());
    }

    #[tokio::test]
    async fn what_is_attached_is_listed_apart_from_users_and_groups_kept_here_and_keeps_its_policy() {
        let directory = directory(&store(), by_ldap()).await;
        let allow = br#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
        directory.put_policy("mine", allow).await.unwrap();
        let group = Target::Ldap(LdapEntry::Group(STAFF.into()));
        directory.attach(&group, &["mine".to_owned()]).await.unwrap();
        let all = EntitiesAsked::default();
        assert_eq!(directory.entities(&all).unwrap(), Entities::default());
        let found = directory.ldap_entities(&all).unwrap();
        assert_eq!(found.groups, [(STAFF.to_owned(), vec!["mine".to_owned()])]);
        assert_eq!((found.users.len(), found.policies.len()), (0, 1));
        let other = EntitiesAsked {
            users: vec![ANN.into()],
            ..EntitiesAsked::default()
        };
        assert_eq!(directory.ldap_entities(&other).unwrap(), Entities::default());
        let kept = directory.remove_policy("mine").await.unwrap_err();
        assert!(
            matches!(&kept, IdentityError::PolicyInUse(by) if by.contains(STAFF)),
            "{kept}"
        );
        directory.detach(&group, &["mine".to_owned()]).await.unwrap();
        directory.remove_policy("mine").await.unwrap();
        assert_eq!(directory.ldap_entities(&all).unwrap(), Entities::default());
    }
}
