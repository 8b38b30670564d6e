//! The directory over a store in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use storage_engine::backend::{Backend, Batch, Key, NewBody, Op, Put};
use storage_engine::memory::MemoryBackend;
use storage_engine::store::clock::{Clock, Timestamp};
use storage_engine::store::identity::DirectoryChange;
use storage_engine::store::key;
use storage_engine::store::record::identity::{PolicyRecord, UserRecord};
use storage_engine::store::{Epoch, Store};

use super::{
    AccessKeyChange, Directory, EntitiesAsked, Federation, IdentityError, KeyParent, NewAccessKey, NewUser, Root,
    SealKeys, Target,
};
use crate::auth::{Account, Caller, Credential, CredentialSource, Identity, Kind, SecretKey};
use crate::config::OperatorKey;

const ROOT: &str = "rootkey";
pub(super) const CANARY: &str = "canary-secret-8f2c";
const READ_X: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::x/*"}]}"#;

/// A clock that stands where it was set.
pub(super) struct Standing(pub(super) AtomicU64);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

pub(super) struct Ground {
    memory: MemoryBackend,
    pub(super) store: Store,
    pub(super) clock: Arc<Standing>,
}

pub(super) fn ground() -> Ground {
    let memory = MemoryBackend::new();
    let clock = Arc::new(Standing(AtomicU64::new(1_700_000_000_000)));
    let store = Store::new(Arc::new(memory.clone()), clock.clone(), Epoch([1; 16]));
    Ground { memory, store, clock }
}

fn keys(password: &str, old: Option<&str>, operator: Option<&str>) -> SealKeys {
    SealKeys {
        operator: operator.map(|text| OperatorKey::parse(text).unwrap()),
        old_operator: None,
        password: SecretKey::new(password),
        old_password: old.map(SecretKey::new),
    }
}

impl Ground {
    async fn open_with(&self, keys: SealKeys) -> Directory {
        let root = Root {
            access_key: ROOT.to_owned(),
            secret: keys.password.clone(),
        };
        Directory::open(self.store.clone(), self.clock.clone(), root, keys, Federation::new()).await
    }

    pub(super) async fn open(&self) -> Directory {
        self.open_with(keys("root-password", None, None)).await
    }

    /// Makes a row of the directory one that no version wrote.
    async fn damage(&self, row: &str) {
        let put = Put {
            key: Key::new([key::identities().as_bytes(), row.as_bytes()].concat()),
            value: bytes::Bytes::from_static(b"\x01\xFFdamage"),
            body: NewBody::None,
            parent_len: None,
        };
        let batch = Batch {
            require: Vec::new(),
            ops: vec![Op::Put(put)],
        };
        self.memory.commit(batch).await.unwrap();
    }

    async fn all_rows(&self) -> Vec<u8> {
        let page = self
            .memory
            .scan(Key::new("")..Key::new(vec![0xFF]), 10_000)
            .await
            .unwrap();
        let rows = page.items.iter();
        rows.flat_map(|(key, row)| [key.as_bytes(), &row.value].concat())
            .collect()
    }
}

pub(super) async fn add(directory: &Directory, name: &str) {
    let user = NewUser {
        name: name.to_owned(),
        secret: SecretKey::new(CANARY),
        enabled: true,
    };
    directory.put_user(&Identity::Root, user).await.unwrap();
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn user(name: &str) -> Target {
    Target::User(name.to_owned())
}

fn caller(directory: &Directory, access_key: &str) -> Option<Arc<Caller>> {
    match directory.find(access_key)? {
        Credential {
            identity: Identity::Caller(caller),
            secret,
            ..
        } => {
            assert!(secret.matches(CANARY.as_bytes()), "the secret of {access_key}");
            Some(caller)
        }
        other => panic!("{other:?}"),
    }
}

fn texts(caller: &Caller) -> Vec<&str> {
    caller.policies.iter().map(|policy| policy.text()).collect()
}

pub(super) fn child(parent: &str, access_key: &str) -> NewAccessKey {
    NewAccessKey {
        access_key: Some(access_key.to_owned()),
        secret: Some(SecretKey::new(CANARY)),
        ..NewAccessKey::of(KeyParent::User(parent.to_owned()))
    }
}

#[tokio::test]
async fn a_caller_has_the_policies_of_the_user_and_of_its_enabled_groups() {
    let directory = ground().open().await;
    add(&directory, "alice").await;
    directory.put_policy("read-x", READ_X.as_bytes()).await.unwrap();
    directory.attach(&user("alice"), &list(&["readonly"])).await.unwrap();
    directory.add_members("staff", &list(&["alice"])).await.unwrap();
    let staff = Target::Group("staff".to_owned());
    directory.attach(&staff, &list(&["read-x", "readonly"])).await.unwrap();

    let alice = caller(&directory, "alice").unwrap();
    assert_eq!(
        (alice.kind, &alice.account),
        (Kind::User, &Account::User("alice".into()))
    );
    assert_eq!(alice.groups, ["staff"]);
    assert_eq!(alice.canonical_id.len(), 64);
    assert_eq!(texts(&alice).len(), 2);
    assert!(texts(&alice).contains(&READ_X));

    directory.set_group_status("staff", false).await.unwrap();
    let alice = caller(&directory, "alice").unwrap();
    assert_eq!((alice.groups.len(), texts(&alice).len()), (0, 1));
    assert_eq!(caller(&directory, "bob"), None);
}

#[tokio::test]
async fn what_is_disabled_or_removed_is_refused_at_once_with_everything_below_it() {
    let directory = ground().open().await;
    add(&directory, "alice").await;
    directory
        .add_access_key(&Identity::Root, child("alice", "alices-key"))
        .await
        .unwrap();
    assert_eq!(caller(&directory, "alices-key").unwrap().kind, Kind::AccessKey);

    directory
        .set_user_status(&Identity::Root, "alice", false)
        .await
        .unwrap();
    assert!(caller(&directory, "alice").is_none() && caller(&directory, "alices-key").is_none());
    assert!(!directory.access_key("alices-key").unwrap().enabled);
    directory.set_user_status(&Identity::Root, "alice", true).await.unwrap();
    assert!(caller(&directory, "alices-key").is_some());

    let off = AccessKeyChange {
        enabled: Some(false),
        ..AccessKeyChange::default()
    };
    directory
        .change_access_key(&Identity::Root, "alices-key", off)
        .await
        .unwrap();
    assert!(caller(&directory, "alices-key").is_none() && caller(&directory, "alice").is_some());

    directory.remove_user(&Identity::Root, "alice").await.unwrap();
    assert!(caller(&directory, "alice").is_none());
    let gone = directory.access_key("alices-key").unwrap_err();
    assert!(matches!(gone, IdentityError::NoSuchAccessKey(_)), "{gone}");
}

#[tokio::test]
async fn an_access_key_ends_when_it_expires() {
    let ground = ground();
    let directory = ground.open().await;
    add(&directory, "alice").await;
    let now = ground.clock.now().millis();
    let mut new = child("alice", "alices-key");
    new.expires = Some(Timestamp::from_millis(now));
    let past = directory
        .add_access_key(&Identity::Root, new.clone())
        .await
        .unwrap_err();
    assert!(matches!(past, IdentityError::InvalidArgument(_)), "{past}");
    new.expires = Some(Timestamp::from_millis(now + 1_000));
    directory.add_access_key(&Identity::Root, new).await.unwrap();
    assert!(caller(&directory, "alices-key").is_some());
    ground.clock.0.fetch_add(1_000, Ordering::Relaxed);
    assert!(caller(&directory, "alices-key").is_none());
}

/// CVE-2023-27589: a user made with root's access key became root's way in.
#[tokio::test]
async fn nobody_takes_an_access_key_that_is_another_ones() {
    let directory = ground().open().await;
    add(&directory, "alice").await;
    directory
        .add_access_key(&Identity::Root, child("alice", "alices-key"))
        .await
        .unwrap();
    let new = |name: &str| NewUser {
        name: name.to_owned(),
        secret: SecretKey::new("another-secret"),
        enabled: true,
    };
    let roots = directory.put_user(&Identity::Root, new(ROOT)).await.unwrap_err();
    assert!(matches!(roots, IdentityError::NotAllowed(_)), "{roots}");
    let keys = directory
        .put_user(&Identity::Root, new("alices-key"))
        .await
        .unwrap_err();
    assert!(matches!(keys, IdentityError::AccessKeyTaken(_)), "{keys}");
    for (taken, by) in [(ROOT, "root"), ("alice", "a user"), ("alices-key", "a key")] {
        let refused = directory
            .add_access_key(&Identity::Root, child("alice", taken))
            .await
            .unwrap_err();
        let as_expected = matches!(refused, IdentityError::NotAllowed(_) | IdentityError::AccessKeyTaken(_));
        assert!(as_expected, "{by}: {refused}");
    }
    assert_eq!(directory.find(ROOT).unwrap().identity, Identity::Root);
    assert!(caller(&directory, "alice").is_some());
}

#[tokio::test]
async fn nobody_disables_or_removes_themselves_or_root() {
    let directory = ground().open().await;
    add(&directory, "alice").await;
    let alice = Identity::Caller(caller(&directory, "alice").unwrap());
    for (by, name) in [(&alice, "alice"), (&alice, ROOT), (&Identity::Root, ROOT)] {
        for refused in [
            directory.set_user_status(by, name, false).await,
            directory.remove_user(by, name).await,
        ] {
            assert!(
                matches!(refused, Err(IdentityError::NotAllowed(_))),
                "{name}: {refused:?}"
            );
        }
    }
    let rooted = directory.add_members("staff", &list(&[ROOT])).await.unwrap_err();
    assert!(matches!(rooted, IdentityError::NotAllowed(_)), "{rooted}");
}

/// CVE-2025-62506 and CVE-2024-24747: a narrowed credential made, or made itself, one that was not.
#[tokio::test]
async fn a_narrowed_credential_makes_and_changes_no_access_keys() {
    let directory = ground().open().await;
    add(&directory, "alice").await;
    directory.attach(&user("alice"), &list(&["readwrite"])).await.unwrap();
    let mut narrow = child("alice", "narrow");
    narrow.policy = Some(READ_X.to_owned());
    directory.add_access_key(&Identity::Root, narrow).await.unwrap();
    let narrow = caller(&directory, "narrow").unwrap();
    assert_eq!(narrow.session.as_ref().unwrap().text(), READ_X);
    assert_eq!(narrow.policies.len(), 1);

    let by = Identity::Caller(narrow);
    let made = directory.add_access_key(&by, child("alice", "wide")).await.unwrap_err();
    assert!(matches!(made, IdentityError::NotAllowed(_)), "{made}");
    let widen = AccessKeyChange {
        policy: Some(String::new()),
        ..AccessKeyChange::default()
    };
    let widened = directory.change_access_key(&by, "narrow", widen).await.unwrap_err();
    assert!(matches!(widened, IdentityError::NotAllowed(_)), "{widened}");
    assert!(caller(&directory, "wide").is_none());
    assert!(caller(&directory, "narrow").unwrap().session.is_some());
}

#[tokio::test]
async fn policies_are_attached_and_detached_once_and_kept_while_in_use() {
    let directory = ground().open().await;
    add(&directory, "alice").await;
    directory.put_policy("read-x", READ_X.as_bytes()).await.unwrap();
    let alice = user("alice");
    let both = list(&["read-x", "readonly"]);
    assert_eq!(directory.attach(&alice, &both).await.unwrap().changed, both);
    let again = directory.attach(&alice, &both).await.unwrap_err();
    assert!(matches!(again, IdentityError::AlreadyApplied), "{again}");
    let in_use = directory.remove_policy("read-x").await.unwrap_err();
    assert!(matches!(in_use, IdentityError::PolicyInUse(_)), "{in_use}");
    let missing = directory.attach(&alice, &list(&["nothing"])).await.unwrap_err();
    assert!(matches!(missing, IdentityError::NoSuchPolicy(_)), "{missing}");
    let nobody = directory.attach(&user("bob"), &both).await.unwrap_err();
    assert!(matches!(nobody, IdentityError::NoSuchUser(_)), "{nobody}");

    let entities = directory.entities(&EntitiesAsked::default()).unwrap();
    assert_eq!(entities.users[0].policies, both);
    assert_eq!(entities.policies.len(), 2);

    let detached = directory.detach(&alice, &list(&["read-x"])).await.unwrap();
    assert_eq!(detached.changed, ["read-x"]);
    directory.remove_policy("read-x").await.unwrap();
    assert_eq!(directory.user("alice").unwrap().policies, ["readonly"]);
    let built_in = directory.remove_policy("readonly").await.unwrap_err();
    assert!(matches!(built_in, IdentityError::PolicyBuiltIn(_)), "{built_in}");
    let inline = directory.put_policy("inline/user/ann/p", READ_X.as_bytes()).await;
    assert!(matches!(inline, Err(IdentityError::InvalidArgument(_))), "{inline:?}");
    let malformed = directory.put_policy("bad", b"{}").await.unwrap_err();
    assert!(matches!(malformed, IdentityError::MalformedPolicy(_)), "{malformed}");
}

#[tokio::test]
async fn a_group_goes_only_when_it_is_empty_and_takes_only_users_that_exist() {
    let directory = ground().open().await;
    add(&directory, "alice").await;
    let nobody = directory
        .add_members("staff", &list(&["alice", "bob"]))
        .await
        .unwrap_err();
    assert!(matches!(nobody, IdentityError::NoSuchUser(_)), "{nobody}");
    assert!(directory.groups().unwrap().is_empty());
    directory
        .add_members("staff", &list(&["alice", "alice"]))
        .await
        .unwrap();
    assert_eq!(directory.group("staff").unwrap().members, ["alice"]);
    let full = directory.remove_members("staff", &[]).await.unwrap_err();
    assert!(matches!(full, IdentityError::GroupNotEmpty), "{full}");
    directory.remove_members("staff", &list(&["alice"])).await.unwrap();
    directory.remove_members("staff", &[]).await.unwrap();
    assert!(directory.groups().unwrap().is_empty());
}

#[tokio::test]
async fn a_new_secret_keeps_policies_groups_and_canonical_id() {
    let directory = ground().open().await;
    add(&directory, "alice").await;
    directory.attach(&user("alice"), &list(&["readonly"])).await.unwrap();
    let before = directory.user("alice").unwrap();
    add(&directory, "alice").await;
    let after = directory.user("alice").unwrap();
    assert_eq!(
        (after.policies, after.canonical_id),
        (before.policies, before.canonical_id)
    );
}

#[tokio::test]
async fn two_directories_over_one_store_lose_no_change() {
    let ground = ground();
    let (one, other) = (ground.open().await, ground.open().await);
    add(&one, "alice").await;
    add(&other, "bob").await;
    add(&one, "carol").await;
    let names = |directory: &Directory| -> Vec<String> {
        directory.users().unwrap().into_iter().map(|user| user.name).collect()
    };
    assert_eq!(names(&one), ["alice", "bob", "carol"]);
    assert!(caller(&one, "bob").is_some());
    assert_eq!(names(&ground.open().await), ["alice", "bob", "carol"]);
}

#[tokio::test]
async fn secrets_stand_sealed_in_the_rows_and_never_in_what_is_printed() {
    let ground = ground();
    let directory = ground.open().await;
    add(&directory, "alice").await;
    directory
        .add_access_key(&Identity::Root, child("alice", "alices-key"))
        .await
        .unwrap();
    let rows = ground.all_rows().await;
    let holds = |text: &str| rows.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("alices-key") && !holds(CANARY) && !holds("root-password"));
    let printed = format!("{:?} {:?}", directory.find("alice"), directory.snapshot().unwrap());
    assert!(printed.contains("alices-key") && !printed.contains(CANARY));
    let keys = keys("root-password", Some("older-password"), Some(OPERATOR));
    let printed = format!("{keys:?}");
    assert!(!printed.contains("password-") && !printed.contains("-password") && !printed.contains(KEY));
}

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OPERATOR: &str = "mine:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_OPERATOR: &str = "mine:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHgA=";

#[tokio::test]
async fn another_root_password_opens_nothing_loses_nothing_and_lets_root_in() {
    let ground = ground();
    add(&ground.open().await, "alice").await;
    let before = ground.all_rows().await;

    let shut = ground.open_with(keys("new-password", None, None)).await;
    assert!(shut.shut().unwrap().contains("MINIO_ROOT_PASSWORD_OLD"));
    assert!(!shut.is_open() && shut.find("alice").is_none());
    assert_eq!(shut.find(ROOT).unwrap().identity, Identity::Root);
    let refused = shut.set_user_status(&Identity::Root, "alice", false).await.unwrap_err();
    assert!(matches!(refused, IdentityError::Shut(_)), "{refused}");
    assert_eq!(ground.all_rows().await, before);

    let changed = ground
        .open_with(keys("new-password", Some("root-password"), None))
        .await;
    assert!(caller(&changed, "alice").is_some());
    assert_ne!(ground.all_rows().await, before);
    assert!(caller(&ground.open_with(keys("new-password", None, None)).await, "alice").is_some());
    assert!(ground.open().await.shut().is_some(), "the old password opens no longer");
}

#[tokio::test]
async fn an_operators_key_takes_the_root_passwords_place() {
    let ground = ground();
    add(&ground.open().await, "alice").await;
    let with_key = ground.open_with(keys("root-password", None, Some(OPERATOR))).await;
    assert!(caller(&with_key, "alice").is_some());
    for password in ["root-password", "any-other-password"] {
        let again = ground.open_with(keys(password, None, Some(OPERATOR))).await;
        assert!(caller(&again, "alice").is_some(), "{password}");
        for without in [None, Some(OTHER_OPERATOR)] {
            let shut = ground.open_with(keys(password, None, without)).await;
            assert!(shut.shut().unwrap().contains("'mine'"), "{password}");
            assert!(shut.find("alice").is_none());
        }
    }
}

#[tokio::test]
async fn an_operators_key_is_exchanged_or_given_up_with_the_one_before_beside_it() {
    let key = |text: &str| Some(OperatorKey::parse(text).unwrap());
    let renamed = OTHER_OPERATOR.replace("mine:", "yours:");
    let ground = ground();
    let first = ground.open_with(keys("root-password", None, Some(OPERATOR))).await;
    add(&first, "alice").await;
    for (next, before) in [
        (Some(renamed.as_str()), OPERATOR),
        (None, renamed.as_str()),
        (Some(OPERATOR), renamed.as_str()),
    ] {
        let rows = ground.all_rows().await;
        let only_new = keys("root-password", None, next);
        // From the password no old key is needed: that step is the last one.
        if next != Some(OPERATOR) {
            let shut = ground.open_with(only_new.clone()).await;
            assert!(shut.shut().unwrap().contains("DRYSTONE_KMS_KEY_OLD_FILE"), "{next:?}");
            assert_eq!(ground.all_rows().await, rows, "nothing is lost");
        }
        let with_both = SealKeys {
            old_operator: key(before),
            ..only_new.clone()
        };
        for keys in [with_both.clone(), with_both, only_new] {
            let directory = ground.open_with(keys).await;
            assert!(
                caller(&directory, "alice").is_some(),
                "{next:?}: {:?}",
                directory.shut()
            );
        }
    }
}

#[tokio::test]
async fn a_row_that_does_not_read_shuts_out_whom_it_concerns_and_nobody_else() {
    let ground = ground();
    let directory = ground.open().await;
    for name in ["alice", "bob", "carol", "dora"] {
        add(&directory, name).await;
    }
    directory.put_policy("mine", READ_X.as_bytes()).await.unwrap();
    directory.put_policy("readonly", READ_X.as_bytes()).await.unwrap();
    directory.add_members("crew", &list(&["carol"])).await.unwrap();
    directory.attach(&user("bob"), &list(&["readonly"])).await.unwrap();
    let dora = directory.find("dora").unwrap().identity;
    let (_, access_key, token) = temporary(&directory, &dora).await;
    directory
        .revoke_temporary(&KeyParent::User("dora".into()))
        .await
        .unwrap();
    for row in ["u/alice", "p/readonly", "g/crew", "r/dora", "z/unheard-of"] {
        ground.damage(row).await;
    }

    let directory = ground.open().await;
    assert!(directory.shut().is_none());
    let told = directory.troubles().join("\n");
    for (name, gets_in) in [("alice", false), ("bob", false), ("carol", false), ("dora", true)] {
        assert_eq!(caller(&directory, name).is_some(), gets_in, "{name}: {told}");
    }
    for named in [
        "user 'alice'",
        "policy 'readonly'",
        "group 'crew'",
        "revocation 'dora'",
        "unheard-of",
    ] {
        assert!(told.contains(named), "{named}: {told}");
    }
    assert!(directory.find_temporary(&access_key, &token).is_none());

    let root = Identity::Root;
    let alice = NewUser {
        name: "alice".into(),
        secret: SecretKey::new(CANARY),
        enabled: true,
    };
    assert!(directory.put_user(&root, alice.clone()).await.is_err());
    assert!(directory.add_members("crew", &[]).await.is_err());
    directory.remove_user(&root, "alice").await.unwrap();
    directory.put_user(&root, alice).await.unwrap();
    directory.remove_members("crew", &[]).await.unwrap();
    directory.put_policy("readonly", READ_X.as_bytes()).await.unwrap();
    directory
        .revoke_temporary(&KeyParent::User("dora".into()))
        .await
        .unwrap();
    for name in ["alice", "bob", "carol", "dora"] {
        assert!(caller(&directory, name).is_some(), "{name}");
    }
    let (known, ..) = temporary(&directory, &dora).await;
    assert!(known.is_some());
    assert_eq!(directory.troubles().len(), 1, "{:?}", directory.troubles());
}

#[tokio::test]
async fn a_sealed_secret_opens_for_its_own_access_key_only() {
    let ground = ground();
    let directory = ground.open().await;
    add(&directory, "alice").await;
    add(&directory, "bob").await;
    let rows = ground.store.load_directory().await.unwrap();
    let swapped = UserRecord {
        sealed_secret: rows.users["bob"].sealed_secret.clone(),
        ..rows.users["alice"].clone()
    };
    let changes = [DirectoryChange::User("alice".into(), Some(swapped))];
    ground.store.change_directory(rows.rev, &changes).await.unwrap();
    let directory = ground.open().await;
    assert!(caller(&directory, "alice").is_none() && caller(&directory, "bob").is_some());
}

#[tokio::test]
async fn a_policy_that_no_longer_reads_shuts_out_whom_it_concerns_and_nobody_else() {
    let ground = ground();
    let directory = ground.open().await;
    add(&directory, "alice").await;
    add(&directory, "bob").await;
    directory.put_policy("read-x", READ_X.as_bytes()).await.unwrap();
    directory
        .attach(&user("alice"), &list(&["read-x", "readonly"]))
        .await
        .unwrap();
    let rows = ground.store.load_directory().await.unwrap();
    let broken = PolicyRecord {
        text: "{".into(),
        ..rows.policies["read-x"].clone()
    };
    let changes = [DirectoryChange::Policy("read-x".into(), Some(broken))];
    ground.store.change_directory(rows.rev, &changes).await.unwrap();
    let directory = ground.open().await;
    assert!(caller(&directory, "alice").is_none() && caller(&directory, "bob").is_some());
    assert_eq!(directory.snapshot().unwrap().troubles.len(), 2);
}

impl Ground {
    async fn open_as(&self, root: &str) -> Directory {
        let root = Root {
            access_key: root.to_owned(),
            secret: SecretKey::new("root-password"),
        };
        Directory::open(
            self.store.clone(),
            self.clock.clone(),
            root,
            keys("root-password", None, None),
            Federation::new(),
        )
        .await
    }
}

/// The caller that a temporary credential of `by` is, and its access key and token.
async fn temporary(directory: &Directory, by: &Identity) -> (Option<Identity>, String, String) {
    let given = directory.issue(by, 900, None).await.unwrap();
    let token = String::from_utf8(given.token.expose().to_vec()).unwrap();
    let known = directory.find_temporary(&given.access_key, &token);
    (known.map(|known| known.identity), given.access_key, token)
}

#[tokio::test]
async fn a_user_whose_name_root_takes_is_shut_out_with_its_keys_and_never_taken_for_root() {
    let ground = ground();
    let directory = ground.open().await;
    add(&directory, "bob").await;
    let made = directory
        .add_access_key(&Identity::Root, child("bob", "bobs-key"))
        .await;
    made.unwrap();
    let bob = Identity::Caller(caller(&directory, "bob").unwrap());
    let (known, key, token) = temporary(&directory, &bob).await;
    assert!(known.is_some());

    let renamed = ground.open_as("bob").await;
    assert_eq!(renamed.find("bob").unwrap().identity, Identity::Root);
    assert!(caller(&renamed, "bobs-key").is_none());
    assert!(renamed.find_temporary(&key, &token).is_none());
    assert_eq!(renamed.snapshot().unwrap().troubles.len(), 1);
    let view = renamed.access_key("bobs-key").unwrap();
    assert_eq!((view.parent, view.enabled), (KeyParent::User("bob".into()), false));
    assert_eq!(renamed.account_named("bob"), KeyParent::Root);
    assert_eq!(renamed.access_keys_of(&KeyParent::Root).unwrap(), []);
    let refused = renamed.add_access_key(&Identity::Root, child("bob", "another")).await;
    assert!(matches!(refused, Err(IdentityError::NotAllowed(_))), "{refused:?}");

    // Root has the name for good once the user is gone.
    renamed.remove_user(&Identity::Root, "bob").await.unwrap();
    assert!(renamed.access_key("bobs-key").is_err());
    let again = renamed.remove_user(&Identity::Root, "bob").await;
    assert!(matches!(again, Err(IdentityError::NotAllowed(_))), "{again:?}");
}

#[tokio::test]
async fn a_row_under_the_name_of_roots_account_lets_nobody_in() {
    let ground = ground();
    let directory = ground.open().await;
    add(&directory, "alice").await;
    let made = directory
        .add_access_key(&Identity::Root, child("alice", "alices-key"))
        .await;
    made.unwrap();
    let rows = ground.store.load_directory().await.unwrap();
    let mut key = rows.access_keys["alices-key"].clone();
    key.parent = KeyParent::User("root".into());
    let changes = [
        DirectoryChange::User("root".into(), Some(rows.users["alice"].clone())),
        DirectoryChange::AccessKey("alices-key".into(), Some(key)),
    ];
    ground.store.change_directory(rows.rev, &changes).await.unwrap();
    let directory = ground.open().await;
    assert!(caller(&directory, "alices-key").is_none() && caller(&directory, "alice").is_some());
    let troubles = directory.snapshot().unwrap().troubles.join("\n");
    assert!(troubles.contains("the name is that of root's account"), "{troubles}");
    directory.remove_user(&Identity::Root, "root").await.unwrap();
}

#[tokio::test]
async fn a_credential_that_ends_gives_nothing_that_lasts_longer() {
    let ground = ground();
    let directory = ground.open().await;
    add(&directory, "alice").await;
    let now = ground.clock.now().millis();
    let mut ending = child("alice", "ending");
    ending.expires = Some(Timestamp::from_millis(now + 60_000));
    directory.add_access_key(&Identity::Root, ending.clone()).await.unwrap();
    let made = directory
        .add_access_key(&Identity::Root, child("alice", "lasting"))
        .await;
    made.unwrap();
    let by_key = Identity::Caller(caller(&directory, "ending").unwrap());
    let alice = Identity::Caller(caller(&directory, "alice").unwrap());
    let by_temporary = temporary(&directory, &alice).await.0.unwrap();
    for (by, end) in [(&by_key, now + 60_000), (&by_temporary, now + 900_000)] {
        for wanted in [None, Some(now + 10_000_000)] {
            let new = NewAccessKey {
                expires: wanted.map(Timestamp::from_millis),
                ..NewAccessKey::of(KeyParent::User("alice".into()))
            };
            let made = directory.add_access_key(by, new).await.unwrap();
            assert_eq!(made.expires, Some(Timestamp::from_millis(end)), "{by:?}");
        }
        let change = AccessKeyChange::default;
        for wider in [
            AccessKeyChange {
                secret: Some(SecretKey::new("mine-for-ever")),
                ..change()
            },
            AccessKeyChange {
                policy: Some(String::new()),
                ..change()
            },
            AccessKeyChange {
                expires: Some(None),
                ..change()
            },
        ] {
            let refused = directory.change_access_key(by, "lasting", wider.clone()).await;
            assert!(matches!(refused, Err(IdentityError::NotAllowed(_))), "{by:?} {wider:?}");
        }
        let off = AccessKeyChange {
            enabled: Some(false),
            ..change()
        };
        directory.change_access_key(by, "lasting", off).await.unwrap();
    }
}

#[tokio::test]
async fn a_narrowed_credential_removes_no_access_key() {
    let directory = ground().open().await;
    for (parent, key, policy) in [
        (KeyParent::Root, "narrow", Some(READ_X.to_owned())),
        (KeyParent::Root, "roots", None),
    ] {
        let new = NewAccessKey {
            parent,
            policy,
            ..child("nobody", key)
        };
        directory.add_access_key(&Identity::Root, new).await.unwrap();
    }
    let narrow = Identity::Caller(caller(&directory, "narrow").unwrap());
    for key in ["roots", "narrow"] {
        let refused = directory.remove_access_key(&narrow, key).await;
        assert!(matches!(refused, Err(IdentityError::NotAllowed(_))), "{refused:?}");
    }
    directory.remove_access_key(&Identity::Root, "roots").await.unwrap();
}

#[tokio::test]
async fn temporary_credentials_are_of_one_user_and_end_with_its_secret_whatever_the_clock_does() {
    let ground = ground();
    let directory = ground.open().await;
    add(&directory, "alice").await;
    let alice = || Identity::Caller(caller(&directory, "alice").unwrap());
    let opens = |(_, key, token): &(Option<Identity>, String, String)| directory.find_temporary(key, token).is_some();
    let first = temporary(&directory, &alice()).await;
    assert!(opens(&first));
    add(&directory, "alice").await;
    assert!(!opens(&first), "it outlived the secret it was had with");

    ground.clock.0.fetch_add(10_000, Ordering::Relaxed);
    let second = temporary(&directory, &alice()).await;
    let account = KeyParent::User("alice".into());
    directory.revoke_temporary(&account).await.unwrap();
    ground.clock.0.fetch_sub(20_000, Ordering::Relaxed);
    directory.revoke_temporary(&account).await.unwrap();
    assert!(!opens(&second), "a clock that went back took a revocation back");
    let third = temporary(&directory, &alice()).await;
    assert!(opens(&third), "what is given out after a revocation holds");

    let rows = ground.store.load_directory().await.unwrap();
    let another = UserRecord {
        canonical_id: "ab".repeat(32),
        ..rows.users["alice"].clone()
    };
    let changes = [DirectoryChange::User("alice".into(), Some(another))];
    ground.store.change_directory(rows.rev, &changes).await.unwrap();
    let reopened = ground.open().await;
    assert!(caller(&reopened, "alice").is_some());
    assert!(reopened.find_temporary(&third.1, &third.2).is_none());
}
