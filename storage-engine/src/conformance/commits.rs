//! Promises about `commit` and `get`.

use std::sync::Arc;

use bytes::Bytes;

use super::{commit, key, put, row};
use crate::backend::{Backend, Batch, CommitError, Op, Require, Rev};
use crate::limits::{BATCH_OPS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};

pub async fn a_commit_answers_the_revision_of_the_rows_it_put(backend: &dyn Backend) {
    let (a, b) = (key("revision", "a"), key("revision", "b"));
    let rev = commit(backend, vec![], vec![put(&a, "1"), put(&b, "2")]).await;
    for (key, value) in [(&a, "1"), (&b, "2")] {
        let row = row(backend, key).await;
        assert_eq!((row.rev, row.value.as_ref()), (rev, value.as_bytes()));
        assert_eq!(row.body, None);
    }
    assert!(
        backend
            .get(&key("revision", "c"))
            .await
            .expect("rows can be read")
            .is_none()
    );
}

pub async fn revisions_never_repeat(backend: &dyn Backend) {
    let a = key("repeat", "a");
    let mut last = Rev(0);
    for _ in 0..3 {
        let first = commit(backend, vec![], vec![put(&a, "same")]).await;
        let second = commit(backend, vec![], vec![put(&a, "same")]).await;
        assert!(last < first && first < second, "{last:?} {first:?} {second:?}");
        last = second;
        commit(backend, vec![], vec![Op::Delete(a.clone())]).await;
    }
}

pub async fn conditions_are_checked_in_order_and_say_what_they_found(backend: &dyn Backend) {
    let (there, absent, other) = (key("order", "there"), key("order", "absent"), key("order", "other"));
    let old = commit(backend, vec![], vec![put(&there, "1")]).await;
    let rev = commit(backend, vec![], vec![put(&there, "2")]).await;
    let holds = vec![
        Require::Present(there.clone()),
        Require::Absent(absent.clone()),
        Require::RevIs(there.clone(), rev),
    ];
    let table = [
        (Require::Absent(there.clone()), Some(rev)),
        (Require::Present(absent.clone()), None),
        (Require::RevIs(there.clone(), old), Some(rev)),
        (Require::RevIs(absent.clone(), rev), None),
    ];
    for (fails, expected) in table {
        let mut require = holds.clone();
        require.push(fails);
        require.push(Require::Present(absent.clone()));
        match backend
            .commit(Batch {
                require,
                ops: vec![put(&other, "x")],
            })
            .await
        {
            Err(CommitError::Failed { index: 3, found }) => assert_eq!(found, expected),
            answer => panic!("the fourth condition fails, the answer was {answer:?}"),
        }
    }
    assert!(backend.get(&other).await.expect("rows can be read").is_none());
    commit(backend, holds, vec![put(&other, "x")]).await;
}

pub async fn a_failed_batch_changes_nothing(backend: &dyn Backend) {
    let (a, b, c) = (key("nothing", "a"), key("nothing", "b"), key("nothing", "c"));
    let rev = commit(backend, vec![], vec![put(&a, "1"), put(&b, "1")]).await;
    let ops = vec![put(&a, "2"), Op::Delete(b.clone()), put(&c, "2")];
    let failed = backend
        .commit(Batch {
            require: vec![Require::Absent(a.clone())],
            ops,
        })
        .await;
    assert!(
        matches!(failed, Err(CommitError::Failed { index: 0, .. })),
        "{failed:?}"
    );
    for key in [&a, &b] {
        let row = row(backend, key).await;
        assert_eq!((row.rev, row.value.as_ref()), (rev, b"1".as_ref()));
    }
    assert!(backend.get(&c).await.expect("rows can be read").is_none());
}

pub async fn deleting_what_is_absent_succeeds(backend: &dyn Backend) {
    let (absent, other) = (key("absent", "a"), key("absent", "b"));
    commit(
        backend,
        vec![Require::Absent(absent.clone())],
        vec![Op::Delete(absent.clone()), put(&other, "1")],
    )
    .await;
    assert_eq!(row(backend, &other).await.value.as_ref(), b"1");
}

pub async fn batches_over_a_limit_are_refused(backend: &dyn Backend) {
    let small = key("limits", "small");
    let long = key("limits", "long");
    let many = (0..=BATCH_OPS_MAX)
        .map(|i| put(&key("limits", i.to_string()), "v"))
        .collect();
    let refused = [
        vec![put(&small, "1"), put(&key("limits", "k".repeat(KEY_BYTES_MAX)), "v")],
        vec![
            put(&small, "1"),
            put(&key("limits", "big"), vec![0; VALUE_BYTES_MAX + 1]),
        ],
        many,
    ];
    for ops in refused {
        let answer = backend.commit(Batch { require: vec![], ops }).await;
        assert!(matches!(answer, Err(CommitError::Invalid(_))), "{answer:?}");
    }
    let all_but_one = (1..BATCH_OPS_MAX).map(|i| put(&key("limits", i.to_string()), "v"));
    let require = vec![Require::Absent(small.clone()), Require::Absent(long)];
    let answer = backend
        .commit(Batch {
            require,
            ops: all_but_one.collect(),
        })
        .await;
    assert!(matches!(answer, Err(CommitError::Invalid(_))), "{answer:?}");
    for absent in [&small, &key("limits", "0"), &key("limits", "big")] {
        assert!(backend.get(absent).await.expect("rows can be read").is_none());
    }
    let most = (0..BATCH_OPS_MAX)
        .map(|i| put(&key("limits", i.to_string()), "v"))
        .collect();
    commit(backend, vec![], most).await;
    assert_eq!(row(backend, &key("limits", "999")).await.value.as_ref(), b"v");
}

pub async fn a_key_named_twice_is_refused(backend: &dyn Backend) {
    let a = key("twice", "a");
    for second in [put(&a, "2"), Op::Delete(a.clone())] {
        let answer = backend
            .commit(Batch {
                require: vec![],
                ops: vec![put(&a, "1"), second],
            })
            .await;
        assert!(matches!(answer, Err(CommitError::Invalid(_))), "{answer:?}");
    }
    assert!(backend.get(&a).await.expect("rows can be read").is_none());
}

pub async fn the_longest_key_and_value_are_kept(backend: &dyn Backend) {
    let beginning = key("longest", "").as_bytes().len();
    let longest = key("longest", vec![0xFF; KEY_BYTES_MAX - beginning]);
    let value: Bytes = super::pattern(VALUE_BYTES_MAX);
    commit(backend, vec![], vec![put(&longest, value.clone())]).await;
    assert_eq!(row(backend, &longest).await.value, value);
}

pub async fn of_many_writers_of_an_absent_row_one_wins(backend: &Arc<dyn Backend>) {
    for round in 0..4 {
        let contested = key("race", format!("{round}"));
        let tasks: Vec<_> = (0..16)
            .map(|writer| {
                let (backend, contested) = (Arc::clone(backend), contested.clone());
                tokio::spawn(async move {
                    let ops = vec![put(&contested, format!("{writer}"))];
                    (
                        writer,
                        backend
                            .commit(Batch {
                                require: vec![Require::Absent(contested)],
                                ops,
                            })
                            .await,
                    )
                })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            match task.await.expect("a writer does not panic") {
                (writer, Ok(rev)) => winners.push((writer, rev)),
                (
                    _,
                    Err(CommitError::Failed {
                        index: 0,
                        found: Some(_),
                    }),
                ) => {}
                (_, Err(error)) => panic!("a loser is told that the row stands, not {error:?}"),
            }
        }
        let [(winner, rev)] = winners.as_slice() else {
            panic!("one of sixteen writers wins: {winners:?}")
        };
        let row = row(backend.as_ref(), &contested).await;
        assert_eq!((row.rev, row.value.as_ref()), (*rev, winner.to_string().as_bytes()));
    }
}

pub async fn no_update_under_a_revision_is_lost(backend: &Arc<dyn Backend>) {
    const WRITERS: usize = 8;
    const UPDATES: usize = 10;
    let counter = key("counter", "n");
    commit(backend.as_ref(), vec![], vec![put(&counter, "0")]).await;
    let tasks: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (backend, counter) = (Arc::clone(backend), counter.clone());
            tokio::spawn(async move {
                let mut done = 0;
                while done < UPDATES {
                    let seen = row(backend.as_ref(), &counter).await;
                    let text = String::from_utf8(seen.value.to_vec()).expect("the counter is a number");
                    let next = text.parse::<usize>().expect("the counter is a number") + 1;
                    let require = vec![Require::RevIs(counter.clone(), seen.rev)];
                    match backend
                        .commit(Batch {
                            require,
                            ops: vec![put(&counter, next.to_string())],
                        })
                        .await
                    {
                        Ok(_) => done += 1,
                        Err(CommitError::Failed {
                            index: 0,
                            found: Some(found),
                        }) => assert_ne!(found, seen.rev),
                        Err(error) => panic!("an update succeeds or lost a race, not {error:?}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a writer does not panic");
    }
    assert_eq!(
        row(backend.as_ref(), &counter).await.value,
        Bytes::from((WRITERS * UPDATES).to_string())
    );
}

/// Whoever requires a row that the batch does not change is still ordered against its removal.
pub async fn a_required_row_cannot_vanish_under_a_batch(backend: &Arc<dyn Backend>) {
    for round in 0..8 {
        let (gate, entry) = (key("gate", format!("{round}")), key("gate", format!("{round}/entry")));
        let open = commit(backend.as_ref(), vec![], vec![put(&gate, "open")]).await;
        let (writer, closer) = (Arc::clone(backend), Arc::clone(backend));
        let (writer_gate, writer_entry, closed) = (gate.clone(), entry.clone(), gate.clone());
        let write = tokio::spawn(async move {
            let ops = vec![put(&writer_entry, "in")];
            writer
                .commit(Batch {
                    require: vec![Require::Present(writer_gate)],
                    ops,
                })
                .await
        });
        let close = tokio::spawn(async move {
            let require = vec![Require::RevIs(closed.clone(), open)];
            let rev = closer
                .commit(Batch {
                    require,
                    ops: vec![Op::Delete(closed)],
                })
                .await;
            rev.expect("the gate closes");
            closer.get(&entry).await.expect("rows can be read").map(|row| row.rev)
        });
        let written = write.await.expect("a writer does not panic");
        let seen = close.await.expect("a closer does not panic");
        match (written, seen) {
            (Ok(rev), Some(seen)) => assert_eq!(rev, seen),
            (Err(CommitError::Failed { index: 0, found: None }), None) => {}
            (written, seen) => panic!("behind a closed gate nothing appears: {written:?}, seen {seen:?}"),
        }
    }
}
