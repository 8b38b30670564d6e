//! What is told of files: written down with the change itself, handed out once, and gone with its bucket.

use super::super::{Fixture, with_catalogue};
use super::id;
use crate::store::bucket::DeleteBucketError;
use crate::store::clock::Timestamp;
use crate::store::files::{EventId, FileState};
use crate::store::key as rows;
use crate::store::record::event::{DeliveryRecord, DeliveryState, EventKind, EventRecord};
use crate::store::record::settings::Quota;

const EAR: [u8; 16] = [9; 16];

fn all_kinds() -> u32 {
    EventKind::ALL.into_iter().fold(0, |set, kind| set | kind.bit())
}

async fn told(all: &Fixture) -> Vec<(EventKind, bool)> {
    let events = all.store.events(&all.bucket, 100).await.unwrap();
    events
        .into_iter()
        .map(|(_, event)| (event.kind, event.purged))
        .collect()
}

fn waiting(event: EventRecord) -> DeliveryRecord {
    DeliveryRecord {
        event,
        attempts: 0,
        at: Timestamp::from_millis(1),
        state: DeliveryState::Waiting,
        status: None,
        error: None,
    }
}

#[tokio::test]
async fn nothing_is_written_down_where_nobody_listens() {
    let all = with_catalogue().await;
    all.create(1, "a").await;
    all.witnessed().put("k/a", "bytes").await;
    assert!(all.rows_below(rows::outbox(&all.bucket)).await.is_empty());
    all.store.listen(&all.bucket, EventKind::Deleted.bit()).await.unwrap();
    all.witnessed().put("k/a", "others").await;
    assert!(told(&all).await.is_empty());
    all.delete("k/a").await;
    assert_eq!(told(&all).await, [(EventKind::Deleted, true)]);
}

#[tokio::test]
async fn a_files_life_is_told_in_its_order_with_the_file_as_it_was() {
    let all = with_catalogue().await;
    all.store.listen(&all.bucket, all_kinds()).await.unwrap();
    let file = all.create(1, "a").await;
    assert!(told(&all).await.is_empty(), "an announcement is no event");
    all.witnessed().put("k/a", "bytes").await;
    all.store.trash_file(&all.bucket, file, None).await.unwrap();
    all.store.restore_file(&all.bucket, file, None).await.unwrap();
    all.put("k/a", "unseen").await;
    all.store.reject_file(&all.bucket, file, None, "no").await.unwrap();
    all.store.purge_file(&all.bucket, file, None).await.unwrap();
    use EventKind::{Active, Deleted, Received, Rejected};
    let expected = [
        (Received, false),
        (Active, false),
        (Deleted, false),
        (Active, false),
        (Received, false),
        (Rejected, false),
        (Deleted, true),
    ];
    assert_eq!(told(&all).await, expected);
    let events = all.store.events(&all.bucket, 2).await.unwrap();
    let (_, first) = &events[0];
    assert_eq!((events.len(), first.id), (2, Some(*file.as_bytes())));
    assert_eq!(first.from, Some(FileState::Pending));
    assert_eq!(first.file.as_ref().unwrap().size, 5);
}

#[tokio::test]
async fn a_change_that_is_refused_tells_nothing() {
    let all = with_catalogue().await;
    all.store.listen(&all.bucket, all_kinds()).await.unwrap();
    let file = all.create(1, "a").await;
    all.witnessed().put("k/a", "bytes").await;
    let before = told(&all).await.len();
    let (_, rev) = all.store.file(&all.bucket, &file).await.unwrap().unwrap();
    let rename = |file: &mut super::File| file.name = "b".into();
    all.store.change_file(&all.bucket, file, None, rename).await.unwrap();
    let refused = all.store.trash_file(&all.bucket, file, Some(rev)).await;
    assert!(refused.is_err());
    assert_eq!(told(&all).await.len(), before);
}

#[tokio::test]
async fn a_full_bucket_is_told_of() {
    let all = with_catalogue().await;
    all.store.listen(&all.bucket, all_kinds()).await.unwrap();
    let quota = Some(Quota { bytes: 3 });
    all.store
        .change_settings(&all.bucket, move |settings| settings.quota = quota)
        .await
        .unwrap();
    for _ in 0..2 {
        assert!(all.store.put_object(all.put_of("k/a", "bytes")).await.is_err());
    }
    assert_eq!(told(&all).await, [(EventKind::OverQuota, false)]);
}

#[tokio::test]
async fn an_event_is_handed_out_once_and_what_became_of_it_is_kept() {
    let all = with_catalogue().await;
    let (store, bucket) = (&all.store, &all.bucket);
    store.listen(bucket, EventKind::Received.bit()).await.unwrap();
    for n in 0..3 {
        all.put(&format!("k/{n}"), "bytes").await;
    }
    let events = store.events(bucket, 100).await.unwrap();
    for (event, record) in &events {
        let deliveries = [(EAR, waiting(record.clone()))];
        assert!(store.hand_out(bucket, *event, &deliveries).await.unwrap());
        assert!(!store.hand_out(bucket, *event, &deliveries).await.unwrap());
    }
    assert!(told(&all).await.is_empty());
    let ids: Vec<EventId> = events.iter().map(|(event, _)| *event).collect();
    let wait = store
        .waiting_deliveries(bucket, &EAR, (Some(ids[0]), 10))
        .await
        .unwrap();
    assert_eq!(wait.iter().map(|(event, _)| *event).collect::<Vec<_>>(), ids[1..]);
    let again = DeliveryRecord {
        attempts: 1,
        ..wait[0].1.clone()
    };
    assert!(store.note_delivery(bucket, &EAR, ids[1], &again).await.unwrap());
    assert_eq!(
        store.waiting_delivery(bucket, &EAR, ids[1]).await.unwrap(),
        Some(again.clone())
    );
    for event in &ids {
        let ended = DeliveryRecord {
            state: DeliveryState::Delivered,
            ..again.clone()
        };
        assert!(store.note_delivery(bucket, &EAR, *event, &ended).await.unwrap());
        assert!(!store.note_delivery(bucket, &EAR, *event, &ended).await.unwrap());
    }
    let ended = store.ended_deliveries(bucket, &EAR, (None, 2)).await.unwrap();
    assert_eq!(
        ended.iter().map(|(event, _)| *event).collect::<Vec<_>>(),
        [ids[2], ids[1]]
    );
    let rest = store.ended_deliveries(bucket, &EAR, (Some(ids[1]), 2)).await.unwrap();
    assert_eq!(rest.len(), 1);
    store.trim_deliveries(bucket, &EAR, 1).await.unwrap();
    let ended = store.ended_deliveries(bucket, &EAR, (None, 10)).await.unwrap();
    assert_eq!(ended.iter().map(|(event, _)| *event).collect::<Vec<_>>(), [ids[2]]);
    store.forget_listener(bucket, &EAR).await.unwrap();
    assert!(all.rows_below(rows::outbox(bucket)).await.is_empty());
}

#[tokio::test]
async fn what_is_written_down_keeps_no_bucket_and_goes_with_it() {
    let all = with_catalogue().await;
    all.store.listen(&all.bucket, all_kinds()).await.unwrap();
    let file = all.create(1, "a").await;
    all.witnessed().put("k/a", "bytes").await;
    let kept = all.store.delete_bucket(&all.bucket).await;
    assert!(matches!(kept, Err(DeleteBucketError::NotEmpty)), "{kept:?}");
    assert_eq!(told(&all).await.len(), 2);
    all.store.purge_file(&all.bucket, file, None).await.unwrap();
    all.store
        .put_delivery(
            &all.bucket,
            &EAR,
            id(1),
            &waiting(all.store.events(&all.bucket, 1).await.unwrap()[0].1.clone()),
        )
        .await
        .unwrap();
    all.store.delete_bucket(&all.bucket).await.unwrap();
    assert!(all.rows_below(rows::outbox(&all.bucket)).await.is_empty());
}
