//! The rows of the server's settings, over the backend in memory and over drives.

use std::sync::Arc;

use super::store_over;
use crate::backend::{Backend, Batch, NewBody, Op, Put};
use crate::embedded::{Embedded, OpenOptions};
use crate::limits::SETTINGS_BYTES_MAX;
use crate::memory::MemoryBackend;
use crate::store::key::ServerSettingsRow;
use crate::store::record::server_settings::{SettingValue, StoredSetting};
use crate::store::server_settings::{ChangeServerSettingsError, HISTORY_MAX, ServerSettings};

fn setting(key: &str, value: &str) -> StoredSetting {
    StoredSetting {
        subsystem: "api".into(),
        target: String::new(),
        key: key.into(),
        value: SettingValue::Plain(value.into()),
    }
}

#[tokio::test]
async fn a_change_is_made_from_what_is_stored_and_keeps_what_was_before() {
    let store = store_over(Arc::new(MemoryBackend::new()), 1);
    let nothing = store.load_server_settings().await.unwrap();
    assert_eq!(nothing, ServerSettings::default());
    let first = store
        .change_server_settings(&nothing, vec![setting("requests_max", "5")])
        .await
        .unwrap();
    assert_eq!(store.load_server_settings().await.unwrap(), first);
    let second = store.change_server_settings(&first, Vec::new()).await.unwrap();
    for stale in [&nothing, &first] {
        let refused = store.change_server_settings(stale, Vec::new()).await.unwrap_err();
        assert!(matches!(refused, ChangeServerSettingsError::Stale), "{refused}");
    }
    assert_eq!(store.load_server_settings().await.unwrap(), second);
    let history = store.server_settings_history().await.unwrap();
    let before: Vec<_> = history.iter().map(|entry| entry.record.values.clone()).collect();
    assert_eq!(before, [vec![], vec![setting("requests_max", "5")]]);
    assert!(history[0].number < history[1].number);

    let large = vec![setting("comment", &"x".repeat(SETTINGS_BYTES_MAX))];
    let refused = store.change_server_settings(&second, large).await.unwrap_err();
    assert!(
        matches!(refused, ChangeServerSettingsError::TooLarge { .. }),
        "{refused}"
    );
    assert_eq!(store.load_server_settings().await.unwrap(), second);
}

#[tokio::test]
async fn the_history_is_short_and_can_be_forgotten() {
    let store = store_over(Arc::new(MemoryBackend::new()), 1);
    let mut seen = ServerSettings::default();
    for n in 0..HISTORY_MAX + 5 {
        let values = vec![setting("requests_max", &n.to_string())];
        seen = store.change_server_settings(&seen, values).await.unwrap();
    }
    let history = store.server_settings_history().await.unwrap();
    assert_eq!(history.len(), HISTORY_MAX);
    let values = |n: usize| vec![setting("requests_max", &n.to_string())];
    assert_eq!(history[0].record.values, values(4));
    assert_eq!(history[HISTORY_MAX - 1].record.values, values(HISTORY_MAX + 3));

    let one = history[3].number;
    assert!(store.forget_server_settings_history(Some(one)).await.unwrap());
    assert!(!store.forget_server_settings_history(Some(one)).await.unwrap());
    assert_eq!(store.server_settings_history().await.unwrap().len(), HISTORY_MAX - 1);
    assert!(store.forget_server_settings_history(None).await.unwrap());
    assert!(store.server_settings_history().await.unwrap().is_empty());
    assert_eq!(store.load_server_settings().await.unwrap(), seen);
}

#[tokio::test]
async fn rows_that_do_not_read_are_told_and_the_next_change_replaces_them() {
    let memory = MemoryBackend::new();
    let store = store_over(Arc::new(memory.clone()), 1);
    let first = store
        .change_server_settings(&ServerSettings::default(), vec![setting("requests_max", "5")])
        .await
        .unwrap();
    store.change_server_settings(&first, Vec::new()).await.unwrap();
    let entry = store.server_settings_history().await.unwrap()[0].number;
    for row in [ServerSettingsRow::Current, ServerSettingsRow::History(entry)] {
        let put = Put {
            key: row.key(),
            value: bytes::Bytes::from_static(b"\x09newer"),
            body: NewBody::None,
            parent_len: None,
        };
        let batch = Batch {
            require: Vec::new(),
            ops: vec![Op::Put(put)],
        };
        memory.commit(batch).await.unwrap();
    }
    let damaged = store.load_server_settings().await.unwrap();
    assert!(damaged.values.is_empty() && damaged.rev.is_some());
    assert!(damaged.unreadable.as_ref().unwrap().contains("server settings"));
    assert_eq!(store.server_settings_history().await.unwrap().len(), 1);

    let values = vec![setting("requests_max", "6")];
    let mended = store.change_server_settings(&damaged, values).await.unwrap();
    assert_eq!(store.load_server_settings().await.unwrap(), mended);
    assert_eq!(
        store.server_settings_history().await.unwrap().len(),
        1,
        "what does not read is no entry"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_survive_a_restart_and_the_loss_of_a_drive() {
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
    let values = vec![setting("requests_max", "5")];
    let stored = store
        .change_server_settings(&ServerSettings::default(), values)
        .await
        .unwrap();
    drives.close().await;
    drop(store);
    std::fs::remove_dir_all(dir.path().join("data1")).unwrap();

    let again = open().await;
    let store = store_over(again.clone(), 2);
    assert_eq!(store.load_server_settings().await.unwrap(), stored);
    assert_eq!(store.server_settings_history().await.unwrap().len(), 1);
    again.close().await;
}
