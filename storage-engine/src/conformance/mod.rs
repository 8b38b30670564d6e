//! The promises of [`crate::backend`], each as a function that any backend must survive.
//!
//! Every function works under row keys of its own, so all of them can share one store, also one that was used before,
//! as long as each runs once on it. They assert; they return nothing.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;

use crate::backend::{
    Backend, Batch, Blob, BlobClass, BodyRef, BodySource, Key, NewBody, Op, Put, ReadError, Require, Rev, Row,
    SourceError,
};

pub mod bodies;
pub mod commits;
pub mod ownership;
pub mod scans;

/// All promises, one after the other.
pub async fn all(backend: &Arc<dyn Backend>) {
    commits::a_commit_answers_the_revision_of_the_rows_it_put(backend.as_ref()).await;
    commits::revisions_never_repeat(backend.as_ref()).await;
    commits::conditions_are_checked_in_order_and_say_what_they_found(backend.as_ref()).await;
    commits::a_failed_batch_changes_nothing(backend.as_ref()).await;
    commits::deleting_what_is_absent_succeeds(backend.as_ref()).await;
    commits::batches_over_a_limit_are_refused(backend.as_ref()).await;
    commits::a_key_named_twice_is_refused(backend.as_ref()).await;
    commits::the_longest_key_and_value_are_kept(backend.as_ref()).await;
    commits::of_many_writers_of_an_absent_row_one_wins(backend).await;
    commits::no_update_under_a_revision_is_lost(backend).await;
    commits::a_required_row_cannot_vanish_under_a_batch(backend).await;
    scans::rows_come_in_unsigned_byte_order(backend.as_ref()).await;
    scans::a_range_holds_its_start_and_not_its_end(backend.as_ref()).await;
    scans::a_scan_back_is_the_same_from_the_other_end(backend.as_ref()).await;
    scans::pages_neither_skip_nor_double(backend.as_ref()).await;
    scans::groups_are_those_of_a_full_scan(backend.as_ref()).await;
    scans::groups_of_the_highest_byte_end(backend.as_ref()).await;
    scans::a_page_shows_no_half_batch(backend).await;
    bodies::bodies_of_all_sizes_read_back(backend.as_ref()).await;
    bodies::ranges_cut_exactly(backend.as_ref()).await;
    bodies::the_error_of_a_source_comes_back_unchanged(backend.as_ref()).await;
    bodies::a_replaced_body_is_never_another(backend.as_ref()).await;
    bodies::a_deleted_body_is_never_another(backend.as_ref()).await;
    bodies::a_blob_given_up_leaves_the_store_well(backend.as_ref()).await;
    ownership::a_body_moves_under_its_own_row(backend.as_ref()).await;
    ownership::a_body_moves_to_another_row(backend.as_ref()).await;
    ownership::bodies_change_places_in_one_batch(backend.as_ref()).await;
    ownership::a_body_moves_only_within_its_batch(backend.as_ref()).await;
    ownership::a_refused_move_leaves_the_body(backend.as_ref()).await;
    ownership::joined_parts_become_one_body(backend.as_ref()).await;
    ownership::a_joined_body_outlives_its_part_rows(backend.as_ref()).await;
    ownership::a_join_given_up_leaves_the_parts(backend.as_ref()).await;
    ownership::joining_without_ending_the_parent_is_refused(backend.as_ref()).await;
    ownership::a_part_replaced_or_deleted_since_it_was_joined_is_not_taken_over(backend.as_ref()).await;
    ownership::a_row_without_its_parent_owns_nothing(backend.as_ref()).await;
    ownership::rows_that_only_share_a_beginning_stay(backend.as_ref()).await;
    ownership::a_parent_put_again_keeps_its_children(backend.as_ref()).await;
    ownership::a_part_sent_again_replaces_the_first(backend.as_ref()).await;
}

/// A key of one function's own keyspace.
fn key(space: &str, name: impl AsRef<[u8]>) -> Key {
    Key::new([b"conformance/", space.as_bytes(), b"/", name.as_ref()].concat())
}

fn put(key: &Key, value: impl Into<Bytes>) -> Op {
    Op::Put(Put {
        key: key.clone(),
        value: value.into(),
        body: NewBody::None,
        parent_len: None,
    })
}

fn put_body(key: &Key, body: NewBody) -> Op {
    Op::Put(Put {
        key: key.clone(),
        value: Bytes::from_static(b"row"),
        body,
        parent_len: None,
    })
}

fn put_child(parent: &Key, key: &Key, blob: Blob) -> Op {
    let parent_len = Some(parent.as_bytes().len());
    Op::Put(Put {
        key: key.clone(),
        value: Bytes::from_static(b"part"),
        body: NewBody::Blob(blob),
        parent_len,
    })
}

async fn commit(backend: &dyn Backend, require: Vec<Require>, ops: Vec<Op>) -> Rev {
    backend
        .commit(Batch { require, ops })
        .await
        .expect("a batch that breaks no rule is committed")
}

async fn row(backend: &dyn Backend, key: &Key) -> Row {
    backend
        .get(key)
        .await
        .expect("rows can be read")
        .expect("the row stands")
}

async fn body_of(backend: &dyn Backend, key: &Key) -> BodyRef {
    row(backend, key).await.body.expect("the row owns a body")
}

/// Bytes that differ from place to place, so that a swapped or shifted piece shows.
fn pattern(len: usize) -> Bytes {
    (0..len)
        .map(|i| (i.wrapping_mul(31) ^ (i >> 8).wrapping_mul(17) ^ (i >> 16)) as u8)
        .collect()
}

fn source(bytes: &Bytes) -> BodySource<'static> {
    let mut rest = bytes.clone();
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        chunks.push(Ok::<_, SourceError>(rest.split_to(rest.len().min(70_001))));
    }
    Box::pin(futures::stream::iter(chunks))
}

async fn stage(backend: &dyn Backend, class: BlobClass, bytes: &Bytes) -> Blob {
    let blob = backend
        .put_blob(class, source(bytes), Some(bytes.len() as u64))
        .await
        .expect("a body is taken in");
    assert_eq!(blob.len, bytes.len() as u64);
    blob
}

async fn read(backend: &dyn Backend, body: &BodyRef, range: std::ops::Range<u64>) -> Result<Bytes, ReadError> {
    let chunks: Vec<Bytes> = backend.get_blob(body, range).await?.try_collect().await?;
    Ok(chunks.concat().into())
}

async fn read_all(backend: &dyn Backend, key: &Key) -> Bytes {
    let body = body_of(backend, key).await;
    read(backend, &body, 0..body.len)
        .await
        .expect("a body that stands reads")
}

/// Who still holds the reference of a body that was given up reads it, or learns that it is gone; never other bytes.
async fn assert_given_up(backend: &dyn Backend, body: &BodyRef, bytes: &Bytes) {
    match read(backend, body, 0..body.len).await {
        Ok(read) => assert!(read == *bytes, "a body that was given up reads as another"),
        Err(ReadError::Gone) => {}
        Err(error) => panic!("a body that was given up is gone, not {error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::{Embedded, OpenOptions};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_store_on_local_drives_keeps_every_promise() {
        for drives in [1, 4] {
            let dir = tempfile::tempdir().unwrap();
            let options = OpenOptions {
                drives: (1..=drives).map(|n| dir.path().join(format!("data{n}"))).collect(),
                ..OpenOptions::default()
            };
            let store = Embedded::open(options).await.unwrap();
            let backend: Arc<dyn Backend> = store.clone();
            all(&backend).await;
            store.close().await;
        }
    }
}
