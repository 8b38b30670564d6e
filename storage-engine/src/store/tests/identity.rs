//! The directory's rows, over the backend in memory and over drives.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::store_over;
use crate::backend::{Backend, Batch, NewBody, Op, Put, Rev};
use crate::embedded::{Embedded, OpenOptions};
use crate::limits::BATCH_OPS_MAX;
use crate::memory::MemoryBackend;
use crate::store::Store;
use crate::store::clock::Timestamp;
use crate::store::identity::{DirectoryChange, DirectoryRows, RowKind};
use crate::store::key::IdentityRow;
use crate::store::record::identity::{
    AccessKeyRecord, AttachmentRecord, GroupRecord, KeyParent, PolicyRecord, RevocationRecord, RoleRecord, SealRecord,
    SealedBy, UserRecord,
};
use crate::store::whole::ChangeWholeError;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn user(groups: &[&str]) -> UserRecord {
    UserRecord {
        created: at(1),
        updated: at(2),
        enabled: true,
        canonical_id: "0".repeat(64),
        sealed_secret: vec![1; 60],
        policies: vec!["readonly".into()],
        groups: groups.iter().map(|name| (*name).to_owned()).collect(),
        path: None,
    }
}

fn one_of_each() -> Vec<DirectoryChange> {
    vec![
        DirectoryChange::User("alice".into(), Some(user(&["staff"]))),
        DirectoryChange::User("al".into(), Some(user(&[]))),
        DirectoryChange::Group(
            "staff".into(),
            Some(GroupRecord {
                created: at(1),
                updated: at(1),
                enabled: true,
                policies: Vec::new(),
                path: Some("/staff/".into()),
            }),
        ),
        DirectoryChange::Role(
            "app".into(),
            Some(RoleRecord {
                created: at(1),
                updated: at(1),
                canonical_id: "1".repeat(64),
                trust: "{}".into(),
                description: String::new(),
                seconds_max: 3_600,
                policies: vec!["readonly".into()],
                path: None,
                tags: Vec::new(),
            }),
        ),
        DirectoryChange::Policy(
            "own".into(),
            Some(PolicyRecord {
                created: at(1),
                updated: at(1),
                text: "{}".into(),
            }),
        ),
        DirectoryChange::AccessKey(
            "key/with+signs".into(),
            Some(AccessKeyRecord {
                created: at(1),
                updated: at(1),
                enabled: true,
                parent: KeyParent::User("alice".into()),
                sealed_secret: vec![2; 60],
                policy: None,
                name: String::new(),
                description: String::new(),
                expires: None,
                generation: Some("AB23".into()),
            }),
        ),
        DirectoryChange::Attachment(
            "ldap/user/uid=ann,dc=example".into(),
            Some(AttachmentRecord {
                created: at(1),
                updated: at(1),
                policies: vec!["own".into()],
                spelled: Some("uid=Ann,dc=example".into()),
            }),
        ),
        DirectoryChange::Revocation("alice".into(), Some(RevocationRecord { until: at(7) })),
        DirectoryChange::Seal(SealRecord {
            updated: at(1),
            by: SealedBy::OperatorKey { name: "k".into() },
            sealed_key: vec![3; 61],
        }),
    ]
}

async fn change(store: &Store, seen: Option<Rev>, changes: &[DirectoryChange]) -> Rev {
    store.change_directory(seen, changes).await.unwrap()
}

#[tokio::test]
async fn what_was_changed_is_read_back_at_its_revision() {
    let store = store_over(Arc::new(MemoryBackend::new()), 1);
    assert_eq!(store.load_directory().await.unwrap(), DirectoryRows::default());
    let first = change(&store, None, &one_of_each()).await;
    let mut expected = DirectoryRows::default();
    expected.apply(&one_of_each());
    expected.rev = Some(first);
    assert_eq!(store.load_directory().await.unwrap(), expected);

    let away = [
        DirectoryChange::User("alice".into(), None),
        DirectoryChange::AccessKey("key/with+signs".into(), None),
    ];
    let second = change(&store, Some(first), &away).await;
    expected.apply(&away);
    expected.rev = Some(second);
    assert!(!expected.users.contains_key("alice") && expected.users.contains_key("al"));
    assert_eq!(store.load_directory().await.unwrap(), expected);
}

#[tokio::test]
async fn of_two_changes_made_from_one_state_only_one_happens() {
    let store = store_over(Arc::new(MemoryBackend::new()), 1);
    let first = change(&store, None, &one_of_each()).await;
    let (one, other) = (
        [DirectoryChange::User("alice".into(), Some(user(&["a"])))],
        [DirectoryChange::User("bob".into(), Some(user(&["b"])))],
    );
    let second = change(&store, Some(first), &one).await;
    for stale in [None, Some(first)] {
        let refused = store.change_directory(stale, &other).await.unwrap_err();
        assert!(matches!(refused, ChangeWholeError::Stale), "{refused}");
    }
    let rows = store.load_directory().await.unwrap();
    assert_eq!((rows.rev, rows.users.contains_key("bob")), (Some(second), false));
}

#[tokio::test]
async fn many_writers_lose_no_change() {
    let store = store_over(Arc::new(MemoryBackend::new()), 1);
    let writers = (0..8).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                let rows = store.load_directory().await.unwrap();
                let mut groups: Vec<String> = rows.users.get("alice").map_or(Vec::new(), |user| user.groups.clone());
                groups.push(format!("g{number}"));
                let record = UserRecord { groups, ..user(&[]) };
                let changes = [DirectoryChange::User("alice".into(), Some(record))];
                match store.change_directory(rows.rev, &changes).await {
                    Ok(_) => return,
                    Err(ChangeWholeError::Stale) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    futures::future::join_all(writers)
        .await
        .into_iter()
        .for_each(|writer| writer.unwrap());
    let rows = store.load_directory().await.unwrap();
    assert_eq!(rows.users["alice"].groups.len(), 8);
}

#[tokio::test]
async fn a_directory_of_several_pages_is_read_whole() {
    let store = store_over(Arc::new(MemoryBackend::new()), 1);
    let mut seen = None;
    for chunk in 0..3 {
        let changes: Vec<DirectoryChange> = (0..900)
            .map(|n| DirectoryChange::User(format!("user-{chunk}-{n}"), Some(user(&[]))))
            .collect();
        seen = Some(change(&store, seen, &changes).await);
    }
    let rows = store.load_directory().await.unwrap();
    assert_eq!((rows.users.len(), rows.rev), (2_700, seen));
    let too_many: Vec<DirectoryChange> = (0..BATCH_OPS_MAX - 1)
        .map(|n| DirectoryChange::User(format!("more-{n}"), Some(user(&[]))))
        .collect();
    let refused = store.change_directory(seen, &too_many).await.unwrap_err();
    assert!(matches!(refused, ChangeWholeError::TooLarge(_)), "{refused}");
}

#[tokio::test]
async fn a_row_that_does_not_read_is_corrupt_and_never_absent() {
    let memory = MemoryBackend::new();
    let store = store_over(Arc::new(memory.clone()), 1);
    change(&store, None, &one_of_each()).await;
    let put = Put {
        key: IdentityRow::User("alice").key(),
        value: bytes::Bytes::from_static(b"\x09newer"),
        body: NewBody::None,
        parent_len: None,
    };
    let batch = Batch {
        require: Vec::new(),
        ops: vec![Op::Put(put)],
    };
    memory.commit(batch).await.unwrap();
    let rows = store.load_directory().await.unwrap();
    let damaged = (RowKind::User, "alice".to_owned());
    assert_eq!(rows.unreadable, BTreeSet::from([damaged]));
    assert!(!rows.users.contains_key("alice") && !rows.policies.is_empty());

    let mut mended = rows.clone();
    let again = [DirectoryChange::User("alice".into(), Some(user(&[])))];
    mended.apply(&again);
    mended.rev = Some(store.change_directory(rows.rev, &again).await.unwrap());
    assert!(mended.unreadable.is_empty());
    assert_eq!(store.load_directory().await.unwrap(), mended);
}

#[tokio::test]
async fn a_role_that_does_not_read_takes_nothing_else_with_it() {
    let memory = MemoryBackend::new();
    let store = store_over(Arc::new(memory.clone()), 1);
    change(&store, None, &one_of_each()).await;
    let before = store.load_directory().await.unwrap();
    let put = Put {
        key: IdentityRow::Role("app").key(),
        value: bytes::Bytes::from_static(b"\x01damage"),
        body: NewBody::None,
        parent_len: None,
    };
    let batch = Batch {
        require: Vec::new(),
        ops: vec![Op::Put(put)],
    };
    memory.commit(batch).await.unwrap();
    let mut expected = before.clone();
    expected.roles.clear();
    expected.unreadable = BTreeSet::from([(RowKind::Role, "app".to_owned())]);
    assert_eq!(store.load_directory().await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directory_survives_a_restart_on_drives() {
    let dir = tempfile::tempdir().unwrap();
    let open = async || {
        let options = OpenOptions {
            drives: (1..=4).map(|n| dir.path().join(format!("data{n}"))).collect(),
            ..OpenOptions::default()
        };
        Embedded::open(options).await.unwrap()
    };
    let drives = open().await;
    let store = store_over(drives.clone(), 1);
    let first = change(&store, None, &one_of_each()).await;
    let before = store.load_directory().await.unwrap();
    assert_eq!(before.rev, Some(first));
    drives.close().await;
    drop(store);

    let again = open().await;
    let store = store_over(again.clone(), 2);
    assert_eq!(store.load_directory().await.unwrap(), before);
    let next = [DirectoryChange::User("bob".into(), Some(user(&[])))];
    assert!(matches!(
        store.change_directory(None, &next).await,
        Err(ChangeWholeError::Stale)
    ));
    change(&store, Some(first), &next).await;
    again.close().await;
}
