//! What comes in between: other writers, failing commits, callers that go away.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::{Fixture, Scripted, bucket, fixture, key, pattern, store_over};
use crate::backend::CommitError;
use crate::store::body::NewBody;
use crate::store::bucket::DeleteBucketError;
use crate::store::condition::{ConditionHeader, WriteCondition, WriteRefused};
use crate::store::error::Fault;
use crate::store::multipart::abort::AbortUploadError;
use crate::store::multipart::complete::CompleteUploadError;
use crate::store::multipart::part::UploadPartError;
use crate::store::object::copy::{CopyObject, CopySource};
use crate::store::object::delete::{DeleteObject, DeleteObjectError};
use crate::store::object::put::{PutObject, PutObjectError};
use crate::store::record::object::Metadata;

/// A fixture whose second store fails and races on command.
async fn scripted() -> (Fixture, Fixture, Arc<Scripted>) {
    let plain = fixture().await;
    let script = Scripted::over(&plain.memory);
    let store = store_over(script.clone(), 1);
    let raced = Fixture {
        store,
        memory: plain.memory.clone(),
        bucket: plain.bucket.clone(),
    };
    (plain, raced, script)
}

impl Fixture {
    fn copied(&self) -> Self {
        Self {
            store: self.store.clone(),
            memory: self.memory.clone(),
            bucket: self.bucket.clone(),
        }
    }

    fn delete_of(&self, name: &str, condition: WriteCondition) -> DeleteObject {
        DeleteObject {
            bucket: self.bucket.clone(),
            key: key(name),
            version: None,
            condition,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_creators_one_wins() {
    let fixture = fixture().await;
    for round in 0..8 {
        let name = format!("k{round}");
        let tasks: Vec<_> = (0..16)
            .map(|writer: u32| {
                let (fixture, name) = (fixture.copied(), name.clone());
                tokio::spawn(async move {
                    let put = fixture
                        .put_if(&name, writer.to_string(), WriteCondition::if_none_match_any())
                        .await;
                    (writer, put)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                (writer, Ok(_)) => winners.push(writer),
                (_, Err(PutObjectError::Refused(WriteRefused::PreconditionFailed(_)))) => {}
                (_, Err(error)) => panic!("{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(fixture.get(&name).await, winners[0].to_string());
    }
    assert_eq!(fixture.memory.bodies(), 8);
}

#[tokio::test]
async fn a_put_that_loses_its_precondition_at_the_last_moment_is_refused() {
    let (plain, raced, script) = scripted().await;
    let other = plain.copied();
    script.before_next_commit(move || {
        Box::pin(async move {
            other.put("k", "other").await;
            None
        })
    });
    let lost = raced.put_if("k", "mine", WriteCondition::if_none_match_any()).await;
    let expected = WriteRefused::PreconditionFailed(ConditionHeader::IfNoneMatch);
    assert!(matches!(lost, Err(PutObjectError::Refused(refused)) if refused == expected));

    // The same ETag under another revision: the condition may hold, but the body is consumed.
    let stored = plain.put("k", "other").await;
    let other = plain.copied();
    script.before_next_commit(move || {
        Box::pin(async move {
            other.put("k", "other").await;
            None
        })
    });
    let conflict = raced.put_if("k", "mine", WriteCondition::if_match(&stored.etag)).await;
    assert!(
        matches!(conflict, Err(PutObjectError::Refused(WriteRefused::Conflict))),
        "{conflict:?}"
    );
    assert_eq!(plain.get("k").await, "other");
    assert_eq!(plain.memory.bodies(), 1);
}

#[tokio::test]
async fn a_delete_looks_again_when_it_lost_a_race() {
    let (plain, raced, script) = scripted().await;
    let stored = plain.put("k", "same").await;
    let delete = raced.delete_of("k", WriteCondition::if_match(&stored.etag));
    for (meanwhile, deleted) in [("changed", false), ("same", true)] {
        plain.put("k", "same").await;
        let other = plain.copied();
        script.before_next_commit(move || {
            Box::pin(async move {
                other.put("k", meanwhile).await;
                None
            })
        });
        let answer = raced.store.delete_object(&delete).await;
        match deleted {
            true => answer.unwrap(),
            false => {
                assert!(matches!(
                    answer,
                    Err(DeleteObjectError::Refused(WriteRefused::PreconditionFailed(_)))
                ));
                assert_eq!(plain.get("k").await, "changed");
            }
        }
    }
    plain.assert_absent("k").await;
}

#[tokio::test]
async fn a_copy_onto_itself_never_keeps_bytes_that_were_replaced() {
    let (plain, raced, script) = scripted().await;
    plain.put("k", "old").await;
    let other = plain.copied();
    script.before_next_commit(move || {
        Box::pin(async move {
            other.put("k", "newer").await;
            None
        })
    });
    let copy = CopyObject {
        tags: None,
        owner: None,
        visibility: None,
        offered: false,
        source: CopySource {
            bucket: raced.bucket.clone(),
            key: key("k"),
            version: None,
            conditions: Default::default(),
        },
        bucket: raced.bucket.clone(),
        key: key("k"),
        metadata: Some(Metadata {
            content_type: Some("x/y".into()),
            ..Metadata::default()
        }),
        storage_class: None,
        checksum: None,
        condition: WriteCondition::default(),
    };
    raced.store.copy_object(copy).await.unwrap();
    assert_eq!(plain.get("k").await, "newer");
    let newer = plain.put("other", "newer").await;
    let head = plain.store.head_object(&plain.get_of("k")).await.unwrap();
    assert_eq!((head.object.size, head.object.etag), (5, newer.etag));
    assert_eq!(head.object.metadata.content_type.as_deref(), Some("x/y"));
    assert_eq!(plain.memory.bodies(), 2);
}

#[tokio::test]
async fn a_read_whose_body_went_looks_at_the_row_again() {
    let (plain, raced, script) = scripted().await;
    plain.put("k", "value").await;
    script.gone_reads.store(3, Ordering::Relaxed);
    assert_eq!(raced.get("k").await, "value");
    script.gone_reads.store(u64::MAX, Ordering::Relaxed);
    let lost = raced.read(&raced.get_of("k")).await;
    assert!(
        matches!(
            &lost,
            Err(crate::store::object::get::GetObjectError::Fault(Fault::Unavailable(_)))
        ),
        "never absent: {lost:?}"
    );
}

#[tokio::test]
async fn no_object_slips_into_a_bucket_that_is_deleted() {
    let (plain, raced, script) = scripted().await;
    // Put after the scan that found the bucket empty, before the gate closes: the second scan finds it.
    let other = plain.copied();
    script.before_next_commit(move || {
        Box::pin(async move {
            other.put("k", "v").await;
            None
        })
    });
    let refused = raced.store.delete_bucket(&raced.bucket).await;
    assert!(matches!(refused, Err(DeleteBucketError::NotEmpty)), "{refused:?}");
    plain.put("l", "the gate is open again").await;
    for name in ["k", "l"] {
        plain
            .store
            .delete_object(&plain.delete_of(name, WriteCondition::default()))
            .await
            .unwrap();
    }
    // Put after the gate closed: refused, and it opens the gate, so the deletion gives way and a second PUT succeeds.
    script.nothing_before_next_commit();
    let other = plain.copied();
    script.before_next_commit(move || {
        Box::pin(async move {
            let busy = other.put_if("k", "v", WriteCondition::default()).await;
            assert!(matches!(busy, Err(PutObjectError::BucketBusy)), "{busy:?}");
            other.put("k", "v").await;
            None
        })
    });
    let refused = raced.store.delete_bucket(&raced.bucket).await;
    assert!(matches!(refused, Err(DeleteBucketError::Busy)), "{refused:?}");
    assert_eq!(plain.get("k").await, "v");
}

#[tokio::test]
async fn a_deletion_cut_off_in_the_middle_leaves_a_usable_bucket() {
    let (plain, raced, script) = scripted().await;
    script.nothing_before_next_commit();
    for _ in 0..2 {
        script.fail_next_commit(CommitError::Unavailable("no majority".into()));
    }
    let cut = raced.store.delete_bucket(&raced.bucket).await;
    assert!(
        matches!(cut, Err(DeleteBucketError::Fault(Fault::Unavailable(_)))),
        "{cut:?}"
    );
    let restarted = plain.restarted();
    restarted.store.head_bucket(&plain.bucket).await.unwrap();
    let busy = restarted.put_if("k", "v", WriteCondition::default()).await;
    assert!(matches!(busy, Err(PutObjectError::BucketBusy)), "{busy:?}");
    restarted.put("k", "v").await;
    restarted
        .store
        .delete_object(&restarted.delete_of("k", WriteCondition::default()))
        .await
        .unwrap();
    restarted.store.delete_bucket(&plain.bucket).await.unwrap();
    assert_eq!(plain.memory.rows(), 0);
}

#[tokio::test]
async fn faults_of_a_commit_are_told_apart_and_leave_the_old_object() {
    let (plain, raced, script) = scripted().await;
    plain.put("k", "old").await;
    type Expected = fn(&Fault) -> bool;
    let cases: [(CommitError, Expected); 4] = [
        (CommitError::Full("reserve".into()), |f| matches!(f, Fault::Full(_))),
        (CommitError::Unavailable("read-only".into()), |f| {
            matches!(f, Fault::Unavailable(_))
        }),
        (CommitError::Unknown("drives left".into()), |f| {
            matches!(f, Fault::Unknown(_))
        }),
        (CommitError::Invalid("rule"), |f| matches!(f, Fault::Internal(_))),
    ];
    for (error, expected) in cases {
        script.fail_next_commit(error);
        match raced.put_if("k", "new", WriteCondition::default()).await {
            Err(PutObjectError::Fault(fault)) => assert!(expected(&fault), "{fault:?}"),
            answer => panic!("{answer:?}"),
        }
        assert_eq!(plain.get("k").await, "old");
        assert_eq!(plain.memory.bodies(), 1);
    }
}

#[tokio::test]
async fn while_an_upload_is_completed_it_takes_no_parts_and_no_abort() {
    let (plain, raced, script) = scripted().await;
    let upload = raced.begin("k", None).await;
    let parts = [raced.part("k", upload, 1, &pattern(10)).await];
    // Marked; then, before the object is put:
    script.nothing_before_next_commit();
    let other = raced.copied();
    let elsewhere = plain.restarted();
    script.before_next_commit(move || {
        Box::pin(async move {
            let place = other.place("k", upload, 1);
            let part = other.store.upload_part(&place, NewBody::from_bytes("late")).await;
            assert!(matches!(part, Err(UploadPartError::Completing)), "{part:?}");
            let abort = other.store.abort_upload(&other.bucket, &key("k"), &upload).await;
            assert!(matches!(abort, Err(AbortUploadError::Completing)), "{abort:?}");
            drop(elsewhere);
            None
        })
    });
    raced
        .store
        .complete_upload(raced.complete_of("k", upload, &parts))
        .await
        .unwrap();
    assert_eq!(plain.get("k").await, pattern(10));
}

#[tokio::test]
async fn an_upload_is_completed_though_a_part_was_written_anew_elsewhere_meanwhile() {
    let (plain, raced, script) = scripted().await;
    let upload = raced.begin("k", None).await;
    let parts = [raced.part("k", upload, 1, &pattern(10)).await];
    // Marked; then, when the object is put, a part is not where it was read.
    script.nothing_before_next_commit();
    script.fail_next_commit(CommitError::PartChanged);
    let complete = raced.complete_of("k", upload, &parts);
    raced.store.complete_upload(complete).await.unwrap();
    assert_eq!(plain.get("k").await, pattern(10));
}

#[tokio::test]
async fn an_upload_whose_complete_ended_with_its_process_is_open_again() {
    let (plain, raced, script) = scripted().await;
    for finish in [true, false] {
        let upload = raced.begin("k", None).await;
        let parts = [raced.part("k", upload, 1, &pattern(10)).await];
        // Marked, then nothing can be written any more: not the object, not the mark's removal.
        script.nothing_before_next_commit();
        for _ in 0..2 {
            script.fail_next_commit(CommitError::Unavailable("no majority".into()));
        }
        let cut = raced
            .store
            .complete_upload(raced.complete_of("k", upload, &parts))
            .await;
        assert!(
            matches!(cut, Err(CompleteUploadError::Fault(Fault::Unavailable(_)))),
            "{cut:?}"
        );
        // In this process and in the next.
        for after in [raced.copied(), plain.restarted()] {
            after.part("k", upload, 2, &pattern(20)).await;
        }
        if finish {
            let after = plain.restarted();
            after
                .store
                .complete_upload(after.complete_of("k", upload, &parts))
                .await
                .unwrap();
            assert_eq!(plain.get("k").await, pattern(10));
        } else {
            raced
                .store
                .abort_upload(&raced.bucket, &key("k"), &upload)
                .await
                .unwrap();
        }
    }
    assert_eq!(plain.memory.bodies(), 1);
}

#[tokio::test]
async fn complete_tries_again_when_an_unrelated_write_came_first() {
    let (plain, raced, script) = scripted().await;
    let stored = plain.put("k", "same").await;
    let upload = raced.begin("k", None).await;
    let parts = [raced.part("k", upload, 1, &pattern(10)).await];
    let mut complete = raced.complete_of("k", upload, &parts);
    complete.condition = WriteCondition::if_match(&stored.etag);
    for (meanwhile, completes) in [("changed", false), ("same", true)] {
        plain.put("k", "same").await;
        script.nothing_before_next_commit();
        let other = plain.copied();
        script.before_next_commit(move || {
            Box::pin(async move {
                other.put("k", meanwhile).await;
                None
            })
        });
        let answer = raced.store.complete_upload(complete.clone()).await;
        match completes {
            true => assert_eq!(answer.unwrap().stored.size, 10),
            false => {
                assert!(matches!(
                    answer,
                    Err(CompleteUploadError::Refused(WriteRefused::PreconditionFailed(_)))
                ));
                assert_eq!(plain.get("k").await, "changed");
            }
        }
    }
    assert_eq!(plain.get("k").await, pattern(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completes_sent_at_once_give_one_object_and_one_answer() {
    let fixture = fixture().await;
    for round in 0..8 {
        let name = format!("k{round}");
        let upload = fixture.begin(&name, None).await;
        let parts = [fixture.part(&name, upload, 1, &pattern(10)).await];
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (store, complete) = (fixture.store.clone(), fixture.complete_of(&name, upload, &parts));
                tokio::spawn(async move { store.complete_upload(complete).await })
            })
            .collect();
        let (mut answers, mut first) = (Vec::new(), 0);
        for task in tasks {
            let completed = task.await.unwrap().unwrap();
            first += usize::from(!completed.before);
            answers.push(completed.stored);
        }
        assert_eq!(first, 1, "one of them did it");
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert!(!fixture.store.inner.running.contains(&upload));
    }
}

#[tokio::test]
async fn a_second_complete_waits_for_the_first() {
    let (plain, raced, script) = scripted().await;
    let upload = raced.begin("k", None).await;
    let parts = [raced.part("k", upload, 1, &pattern(10)).await];
    let complete = raced.complete_of("k", upload, &parts);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (store, second) = (raced.store.clone(), complete.clone());
    script.nothing_before_next_commit();
    script.before_next_commit(move || {
        Box::pin(async move {
            let second = tokio::spawn(async move { store.complete_upload(second).await });
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(!second.is_finished());
            sender.send(second).unwrap();
            None
        })
    });
    let first = raced.store.complete_upload(complete).await.unwrap();
    let second = receiver.await.unwrap().await.unwrap().unwrap();
    assert_eq!(second.stored, first.stored);
    assert_eq!((first.before, second.before), (false, true));
    assert_eq!(plain.get("k").await, pattern(10));
}

#[tokio::test]
async fn a_complete_goes_on_when_its_caller_goes_away() {
    let fixture = fixture().await;
    let upload = fixture.begin("k", None).await;
    let parts = [fixture.part("k", upload, 1, &pattern(10)).await];
    let complete = fixture.complete_of("k", upload, &parts);
    // Polled once, which starts it, and dropped.
    let mut completing = Box::pin(fixture.store.complete_upload(complete));
    assert!(futures::poll!(&mut completing).is_pending());
    drop(completing);
    for _ in 0..1_000 {
        if fixture.store.head_object(&fixture.get_of("k")).await.is_ok() {
            assert_eq!(fixture.get("k").await, pattern(10));
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the upload was never completed");
}

#[tokio::test]
async fn a_part_that_was_on_its_way_when_its_upload_was_aborted_is_refused() {
    let (plain, raced, script) = scripted().await;
    let upload = raced.begin("k", None).await;
    let other = plain.copied();
    script.before_next_commit(move || {
        Box::pin(async move {
            other
                .store
                .abort_upload(&other.bucket, &key("k"), &upload)
                .await
                .unwrap();
            None
        })
    });
    let place = raced.place("k", upload, 1);
    let answer = raced
        .store
        .upload_part(&place, NewBody::from_bytes(Bytes::from_static(b"part")))
        .await;
    assert!(matches!(answer, Err(UploadPartError::NoSuchUpload)), "{answer:?}");
    assert_eq!(plain.memory.bodies(), 0);
}

#[tokio::test]
async fn a_part_that_was_on_its_way_when_its_upload_was_marked_is_refused() {
    let (plain, raced, script) = scripted().await;
    let upload = raced.begin("k", None).await;
    let parts = [raced.part("k", upload, 1, &pattern(10)).await];
    // Looked at while open; then marked by a Complete that is cut off, which has read the parts by then.
    let cut_off = Scripted::over(&plain.memory);
    cut_off.nothing_before_next_commit();
    for _ in 0..2 {
        cut_off.fail_next_commit(CommitError::Unavailable("no majority".into()));
    }
    let (completing, complete) = (store_over(cut_off, 1), raced.complete_of("k", upload, &parts));
    script.before_next_commit(move || {
        Box::pin(async move {
            completing.complete_upload(complete).await.unwrap_err();
            None
        })
    });
    let place = raced.place("k", upload, 1);
    let answer = raced.store.upload_part(&place, NewBody::from_bytes("late")).await;
    assert!(matches!(answer, Err(UploadPartError::Completing)), "{answer:?}");
    raced
        .store
        .complete_upload(raced.complete_of("k", upload, &parts))
        .await
        .unwrap();
    assert_eq!(plain.get("k").await, pattern(10));
}

#[tokio::test]
async fn a_put_whose_caller_goes_away_leaves_nothing() {
    let fixture = fixture().await;
    let never_ends = NewBody {
        source: Box::pin(futures::stream::pending()),
        len: Some(10),
        ..NewBody::from_bytes("")
    };
    let mut putting = Box::pin(fixture.store.put_object(PutObject {
        body: never_ends,
        ..fixture.put_of("k", "")
    }));
    assert!(futures::poll!(&mut putting).is_pending());
    drop(putting);
    fixture.assert_absent("k").await;
    assert_eq!(fixture.memory.bodies(), 0);
    assert_eq!(bucket("abc"), fixture.bucket);
}
