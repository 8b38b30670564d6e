//! Promises about who owns a body: moves, joins, and rows that depend on a row.

use bytes::Bytes;

use super::{assert_given_up, body_of, commit, key, pattern, put, put_body, put_child, read, read_all, row, stage};
use crate::backend::{Backend, Batch, BlobClass, BodyRef, CommitError, Key, NewBody, Op, Require};

/// Small enough for a log, and too large for it.
const SIZES: [usize; 2] = [1_000, 300_000];

async fn put_bytes(backend: &dyn Backend, key: &Key, bytes: &Bytes) {
    let blob = stage(backend, BlobClass::Object, bytes).await;
    commit(backend, vec![], vec![put_body(key, NewBody::Blob(blob))]).await;
}

fn child(parent: &Key, number: u16) -> Key {
    Key::new([parent.as_bytes(), &number.to_be_bytes()].concat())
}

async fn put_part(backend: &dyn Backend, parent: &Key, number: u16, bytes: &Bytes) -> BodyRef {
    let part = child(parent, number);
    let blob = stage(backend, BlobClass::Part, bytes).await;
    let require = vec![Require::Present(parent.clone())];
    commit(backend, require, vec![put_child(parent, &part, blob)]).await;
    body_of(backend, &part).await
}

pub async fn a_body_moves_under_its_own_row(backend: &dyn Backend) {
    for size in SIZES {
        let (a, bytes) = (key("self", size.to_string()), pattern(size));
        put_bytes(backend, &a, &bytes).await;
        for value in ["new", "newer"] {
            let rev = row(backend, &a).await.rev;
            let moved = Op::Put(crate::backend::Put {
                key: a.clone(),
                value: Bytes::from_static(value.as_bytes()),
                body: NewBody::Moved(a.clone()),
                parent_len: None,
            });
            commit(backend, vec![Require::RevIs(a.clone(), rev)], vec![moved]).await;
            assert_eq!(row(backend, &a).await.value.as_ref(), value.as_bytes());
            assert!(read_all(backend, &a).await == bytes);
        }
        let body = body_of(backend, &a).await;
        commit(backend, vec![], vec![Op::Delete(a)]).await;
        assert_given_up(backend, &body, &bytes).await;
    }
}

pub async fn a_body_moves_to_another_row(backend: &dyn Backend) {
    for size in SIZES {
        let (a, b) = (key("move", format!("{size}a")), key("move", format!("{size}b")));
        let (of_a, of_b) = (pattern(size), Bytes::from(vec![1; size]));
        put_bytes(backend, &a, &of_a).await;
        put_bytes(backend, &b, &of_b).await;
        let replaced = body_of(backend, &b).await;
        commit(
            backend,
            vec![],
            vec![Op::Delete(a.clone()), put_body(&b, NewBody::Moved(a.clone()))],
        )
        .await;
        assert!(backend.get(&a).await.expect("rows can be read").is_none());
        assert!(read_all(backend, &b).await == of_a);
        assert_given_up(backend, &replaced, &of_b).await;
        // The row it came from may be put again with another body; the moved one is not its any more.
        put_bytes(backend, &a, &of_b).await;
        commit(backend, vec![], vec![Op::Delete(a)]).await;
        assert!(read_all(backend, &b).await == of_a);
    }
}

pub async fn bodies_change_places_in_one_batch(backend: &dyn Backend) {
    for size in SIZES {
        let [a, b, c] = ["a", "b", "c"].map(|name| key("places", format!("{size}{name}")));
        let (of_a, of_b) = (pattern(size), Bytes::from(vec![1; size]));
        put_bytes(backend, &a, &of_a).await;
        put_bytes(backend, &b, &of_b).await;
        let ops = vec![
            put_body(&c, NewBody::Moved(a.clone())),
            put_body(&a, NewBody::Moved(b.clone())),
            Op::Delete(b.clone()),
        ];
        commit(backend, vec![], ops).await;
        assert!(read_all(backend, &a).await == of_b && read_all(backend, &c).await == of_a);
        assert!(backend.get(&b).await.expect("rows can be read").is_none());
        let body = body_of(backend, &a).await;
        commit(backend, vec![], vec![Op::Delete(a)]).await;
        assert_given_up(backend, &body, &of_b).await;
        assert!(read_all(backend, &c).await == of_a);
    }
}

pub async fn a_body_moves_only_within_its_batch(backend: &dyn Backend) {
    let (a, b, bytes) = (key("within", "a"), key("within", "b"), pattern(1_000));
    put_bytes(backend, &a, &bytes).await;
    let answer = backend
        .commit(Batch {
            require: vec![],
            ops: vec![put_body(&b, NewBody::Moved(a.clone()))],
        })
        .await;
    assert!(matches!(answer, Err(CommitError::Invalid(_))), "{answer:?}");
    assert!(read_all(backend, &a).await == bytes);
    assert!(backend.get(&b).await.expect("rows can be read").is_none());
}

pub async fn a_refused_move_leaves_the_body(backend: &dyn Backend) {
    for size in SIZES {
        let (a, b, bytes) = (
            key("refused", format!("{size}a")),
            key("refused", format!("{size}b")),
            pattern(size),
        );
        put_bytes(backend, &a, &bytes).await;
        let ops = vec![Op::Delete(a.clone()), put_body(&b, NewBody::Moved(a.clone()))];
        let answer = backend
            .commit(Batch {
                require: vec![Require::Present(b.clone())],
                ops,
            })
            .await;
        assert!(
            matches!(answer, Err(CommitError::Failed { index: 0, found: None })),
            "{answer:?}"
        );
        assert!(read_all(backend, &a).await == bytes);
    }
}

pub async fn joined_parts_become_one_body(backend: &dyn Backend) {
    let (upload, object) = (key("join", "upload"), key("join", "object"));
    let upload_rev = commit(backend, vec![], vec![put(&upload, "open")]).await;
    let parts = [
        pattern(300_000),
        Bytes::from(vec![5; 10]),
        pattern(150_001),
        Bytes::new(),
    ];
    let mut bodies = Vec::new();
    for (number, bytes) in (1..).zip(&parts) {
        bodies.push(put_part(backend, &upload, number, bytes).await);
    }
    let blob = backend.join_blobs(&bodies).await.expect("stored parts can be joined");
    let whole: Bytes = parts.concat().into();
    assert_eq!(blob.len, whole.len() as u64);
    let ops = vec![put_body(&object, NewBody::Blob(blob)), Op::Delete(upload.clone())];
    commit(backend, vec![Require::RevIs(upload.clone(), upload_rev)], ops).await;
    assert!(read_all(backend, &object).await == whole);
    let body = body_of(backend, &object).await;
    for (from, to) in [
        (0, 1),
        (299_999, 300_001),
        (299_990, 300_020),
        (300_010, 300_011),
        (450_010, 450_011),
    ] {
        let part = read(backend, &body, from..to).await.expect("a range reads");
        assert!(part == whole.slice(from as usize..to as usize), "{from}..{to}");
    }
}

pub async fn a_joined_body_outlives_its_part_rows(backend: &dyn Backend) {
    let (upload, object) = (key("outlive", "upload"), key("outlive", "object"));
    commit(backend, vec![], vec![put(&upload, "open")]).await;
    let (large, small) = (pattern(200_000), pattern(100));
    // Joined in another order than stored, and one part is left out.
    let second = put_part(backend, &upload, 1, &small).await;
    let first = put_part(backend, &upload, 2, &large).await;
    let unused = put_part(backend, &upload, 3, &pattern(5_000)).await;
    let blob = backend
        .join_blobs(&[first, second])
        .await
        .expect("stored parts can be joined");
    commit(
        backend,
        vec![],
        vec![put_body(&object, NewBody::Blob(blob)), Op::Delete(upload.clone())],
    )
    .await;
    assert_given_up(backend, &unused, &pattern(5_000)).await;
    let sweep = (1..=3).map(|number| Op::Delete(child(&upload, number))).collect();
    commit(backend, vec![Require::Absent(upload)], sweep).await;
    let whole = Bytes::from([large, small].concat());
    assert!(read_all(backend, &object).await == whole);
    let body = body_of(backend, &object).await;
    commit(backend, vec![], vec![Op::Delete(object)]).await;
    assert_given_up(backend, &body, &whole).await;
}

pub async fn a_join_given_up_leaves_the_parts(backend: &dyn Backend) {
    let (upload, object, bytes) = (key("unjoined", "upload"), key("unjoined", "object"), pattern(200_000));
    commit(backend, vec![], vec![put(&upload, "open")]).await;
    let part = put_part(backend, &upload, 1, &bytes).await;
    let join = async || {
        backend
            .join_blobs(std::slice::from_ref(&part))
            .await
            .expect("stored parts can be joined")
    };
    drop(join().await);
    backend.delete_blob(join().await).await;
    let require = vec![Require::Present(object.clone())];
    let ops = vec![
        put_body(&object, NewBody::Blob(join().await)),
        Op::Delete(upload.clone()),
    ];
    let failed = backend.commit(Batch { require, ops }).await;
    assert!(
        matches!(failed, Err(CommitError::Failed { index: 0, found: None })),
        "{failed:?}"
    );
    assert!(read_all(backend, &child(&upload, 1)).await == bytes);
    let ops = vec![put_body(&object, NewBody::Blob(join().await)), Op::Delete(upload)];
    commit(backend, vec![], ops).await;
    assert!(read_all(backend, &object).await == bytes);
}

pub async fn joining_without_ending_the_parent_is_refused(backend: &dyn Backend) {
    let (upload, object, bytes) = (key("unended", "upload"), key("unended", "object"), pattern(1_000));
    commit(backend, vec![], vec![put(&upload, "open")]).await;
    let part = put_part(backend, &upload, 1, &bytes).await;
    let blob = backend.join_blobs(&[part]).await.expect("stored parts can be joined");
    let ops = vec![put_body(&object, NewBody::Blob(blob))];
    let answer = backend.commit(Batch { require: vec![], ops }).await;
    assert!(matches!(answer, Err(CommitError::Invalid(_))), "{answer:?}");
    assert!(backend.get(&object).await.expect("rows can be read").is_none());
    assert!(read_all(backend, &child(&upload, 1)).await == bytes);
}

pub async fn a_part_replaced_or_deleted_since_it_was_joined_is_not_taken_over(backend: &dyn Backend) {
    for replaced in [true, false] {
        let upload = key("late join", format!("upload {replaced}"));
        let object = key("late join", format!("object {replaced}"));
        let (first, second) = (pattern(200_000), Bytes::from(vec![7; 150_000]));
        commit(backend, vec![], vec![put(&upload, "open")]).await;
        let part = put_part(backend, &upload, 1, &first).await;
        let blob = backend.join_blobs(&[part]).await.expect("stored parts can be joined");
        if replaced {
            put_part(backend, &upload, 1, &second).await;
        } else {
            commit(backend, vec![], vec![Op::Delete(child(&upload, 1))]).await;
        }
        let ops = vec![put_body(&object, NewBody::Blob(blob)), Op::Delete(upload.clone())];
        let answer = backend.commit(Batch { require: vec![], ops }).await;
        assert!(matches!(answer, Err(CommitError::PartChanged)), "{answer:?}");
        assert!(backend.get(&object).await.expect("rows can be read").is_none());
        if replaced {
            assert!(read_all(backend, &child(&upload, 1)).await == second);
        }
        commit(backend, vec![], vec![Op::Delete(upload)]).await;
    }
}

pub async fn a_row_without_its_parent_owns_nothing(backend: &dyn Backend) {
    for size in SIZES {
        let upload = key("orphan", size.to_string());
        commit(backend, vec![], vec![put(&upload, "open")]).await;
        let part = put_part(backend, &upload, 1, &pattern(size)).await;
        commit(backend, vec![], vec![Op::Delete(upload.clone())]).await;
        assert_given_up(backend, &part, &pattern(size)).await;
        // The row itself may be removed at any time; until then it leads to nothing else.
        let left = backend
            .get(&child(&upload, 1))
            .await
            .expect("rows can be read")
            .and_then(|row| row.body);
        if let Some(left) = left {
            assert_given_up(backend, &left, &pattern(size)).await;
        }
        commit(backend, vec![], vec![Op::Delete(child(&upload, 1))]).await;
    }
}

/// A key that begins with another is nobody's child for that.
pub async fn rows_that_only_share_a_beginning_stay(backend: &dyn Backend) {
    for size in SIZES {
        let (short, long, bytes) = (
            key("begin", format!("{size}a")),
            key("begin", format!("{size}ab")),
            pattern(size),
        );
        put_bytes(backend, &short, &bytes).await;
        put_bytes(backend, &long, &bytes).await;
        commit(backend, vec![], vec![put(&short, "no body")]).await;
        commit(backend, vec![], vec![Op::Delete(short)]).await;
        assert!(read_all(backend, &long).await == bytes);
    }
}

pub async fn a_parent_put_again_keeps_its_children(backend: &dyn Backend) {
    let (upload, object) = (key("kept", "upload"), key("kept", "object"));
    commit(backend, vec![], vec![put(&upload, "open")]).await;
    let parts = [pattern(200_000), pattern(77)];
    for (number, bytes) in (1..).zip(&parts) {
        put_part(backend, &upload, number, bytes).await;
    }
    for state in ["completing", "open", "completing"] {
        let rev = row(backend, &upload).await.rev;
        commit(
            backend,
            vec![Require::RevIs(upload.clone(), rev)],
            vec![put(&upload, state)],
        )
        .await;
        for (number, bytes) in (1..).zip(&parts) {
            assert!(read_all(backend, &child(&upload, number)).await == *bytes);
        }
    }
    let bodies = [
        body_of(backend, &child(&upload, 1)).await,
        body_of(backend, &child(&upload, 2)).await,
    ];
    let blob = backend.join_blobs(&bodies).await.expect("stored parts can be joined");
    commit(
        backend,
        vec![],
        vec![put_body(&object, NewBody::Blob(blob)), Op::Delete(upload)],
    )
    .await;
    assert!(read_all(backend, &object).await == parts.concat());
}

pub async fn a_part_sent_again_replaces_the_first(backend: &dyn Backend) {
    let (upload, object) = (key("again", "upload"), key("again", "object"));
    commit(backend, vec![], vec![put(&upload, "open")]).await;
    let first = put_part(backend, &upload, 1, &pattern(200_000)).await;
    let second = put_part(backend, &upload, 1, &Bytes::from(vec![3; 150_000])).await;
    assert_given_up(backend, &first, &pattern(200_000)).await;
    let blob = backend.join_blobs(&[second]).await.expect("stored parts can be joined");
    commit(
        backend,
        vec![],
        vec![put_body(&object, NewBody::Blob(blob)), Op::Delete(upload)],
    )
    .await;
    assert!(read_all(backend, &object).await == vec![3; 150_000]);
}
