//! Promises about bodies on their way in and out.

use bytes::Bytes;

use super::{assert_given_up, body_of, commit, key, pattern, put, put_body, read, read_all, source, stage};
use crate::backend::{Backend, Batch, BlobClass, CommitError, NewBody, Op, PutBlobError, Require, SourceError};
use crate::limits::SMALL_BODY_BYTES_MAX;

const SIZES: [usize; 9] = [
    0,
    1,
    4_096,
    SMALL_BODY_BYTES_MAX - 1,
    SMALL_BODY_BYTES_MAX,
    SMALL_BODY_BYTES_MAX + 1,
    256 * 1024,
    1024 * 1024 + 3,
    3 * 1024 * 1024,
];

pub async fn bodies_of_all_sizes_read_back(backend: &dyn Backend) {
    for class in [BlobClass::Object, BlobClass::Part] {
        for hinted in [true, false] {
            for size in SIZES {
                let (row_key, bytes) = (key("sizes", format!("{class:?}{hinted}{size}")), pattern(size));
                let hint = hinted.then_some(size as u64);
                let blob = backend
                    .put_blob(class, source(&bytes), hint)
                    .await
                    .expect("a body is taken in");
                assert_eq!(blob.len, size as u64);
                commit(backend, vec![], vec![put_body(&row_key, NewBody::Blob(blob))]).await;
                assert_eq!(body_of(backend, &row_key).await.len, size as u64);
                assert!(
                    read_all(backend, &row_key).await == bytes,
                    "a body of {size} bytes reads back"
                );
            }
        }
    }
}

pub async fn ranges_cut_exactly(backend: &dyn Backend) {
    for size in [10, SMALL_BODY_BYTES_MAX + 5, 1024 * 1024 + 3] {
        let (row_key, bytes) = (key("ranges", size.to_string()), pattern(size));
        let blob = stage(backend, BlobClass::Object, &bytes).await;
        commit(backend, vec![], vec![put_body(&row_key, NewBody::Blob(blob))]).await;
        let body = body_of(backend, &row_key).await;
        let edges = [
            0,
            1,
            5,
            65_535,
            65_536,
            65_537,
            131_072,
            262_144,
            524_289,
            size - 1,
            size,
        ];
        for from in edges.iter().filter(|edge| **edge <= size) {
            for to in edges.iter().filter(|edge| **edge <= size && *edge >= from) {
                let part = read(backend, &body, *from as u64..*to as u64)
                    .await
                    .expect("a range reads");
                assert!(part == bytes.slice(*from..*to), "{from}..{to} of {size}");
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the client went away after {0} chunks")]
struct ClientGone(u32);

pub async fn the_error_of_a_source_comes_back_unchanged(backend: &dyn Backend) {
    for chunk in [100, 200_000] {
        let chunks = [
            Ok(pattern(chunk)),
            Ok(pattern(chunk)),
            Err(SourceError::from(ClientGone(2))),
        ];
        let failing = Box::pin(futures::stream::iter(chunks));
        match backend.put_blob(BlobClass::Object, failing, None).await {
            Err(PutBlobError::Source(error)) => {
                assert!(matches!(error.downcast_ref(), Some(ClientGone(2))), "{error:?}");
            }
            answer => panic!("a failed source is no body: {answer:?}"),
        }
    }
}

pub async fn a_replaced_body_is_never_another(backend: &dyn Backend) {
    for size in [10, 300_000] {
        let row_key = key("replaced", size.to_string());
        let (old, new) = (pattern(size), Bytes::from(vec![7; size]));
        for bytes in [&old, &new] {
            let before = backend
                .get(&row_key)
                .await
                .expect("rows can be read")
                .and_then(|row| row.body);
            let blob = stage(backend, BlobClass::Object, bytes).await;
            commit(backend, vec![], vec![put_body(&row_key, NewBody::Blob(blob))]).await;
            if let Some(before) = before {
                assert_given_up(backend, &before, &old).await;
            }
        }
        assert!(read_all(backend, &row_key).await == new);
        let before = body_of(backend, &row_key).await;
        commit(backend, vec![], vec![put(&row_key, "no body")]).await;
        assert_given_up(backend, &before, &new).await;
        assert_eq!(super::row(backend, &row_key).await.body, None);
    }
}

pub async fn a_deleted_body_is_never_another(backend: &dyn Backend) {
    for size in [10, 300_000] {
        let row_key = key("deleted", size.to_string());
        let blob = stage(backend, BlobClass::Object, &pattern(size)).await;
        commit(backend, vec![], vec![put_body(&row_key, NewBody::Blob(blob))]).await;
        let body = body_of(backend, &row_key).await;
        commit(backend, vec![], vec![Op::Delete(row_key.clone())]).await;
        assert_given_up(backend, &body, &pattern(size)).await;
    }
}

/// Dropped, deleted, or part of a batch that failed: nothing shows, and what stands stays.
pub async fn a_blob_given_up_leaves_the_store_well(backend: &dyn Backend) {
    for size in [10, 300_000] {
        let (row_key, bytes) = (key("given-up", size.to_string()), pattern(size));
        let blob = stage(backend, BlobClass::Object, &bytes).await;
        commit(backend, vec![], vec![put_body(&row_key, NewBody::Blob(blob))]).await;
        drop(stage(backend, BlobClass::Object, &bytes).await);
        backend.delete_blob(stage(backend, BlobClass::Part, &bytes).await).await;
        let blob = stage(backend, BlobClass::Object, &Bytes::from(vec![9; size])).await;
        let require = vec![Require::Absent(row_key.clone())];
        let failed = backend
            .commit(Batch {
                require,
                ops: vec![put_body(&row_key, NewBody::Blob(blob))],
            })
            .await;
        assert!(
            matches!(failed, Err(CommitError::Failed { index: 0, .. })),
            "{failed:?}"
        );
        assert!(read_all(backend, &row_key).await == bytes);
    }
}
