//! A catalogue whose index an earlier build wrote: the first list has it made anew, and lists nothing too little.

use super::{active, id};
use crate::backend::{Backend, Batch, CommitError, Key, NewBody, Op, Put};
use crate::store::files::{FileFilter, FileQuery, Viewer};
use crate::store::key as rows;
use crate::store::tests::agreement::rows_below;
use crate::store::tests::{Fixture, Scripted, store_over, with_catalogue};

fn named(text: &str) -> FileQuery {
    FileQuery {
        filter: FileFilter {
            search: Some(text.into()),
            ..FileFilter::default()
        },
        ..active(Viewer::All)
    }
}

/// Some rows are missing, one is of nobody's, and nothing says that all are there.
async fn damage(all: &Fixture) {
    let names = rows::file_index_values(&all.bucket, b'n', "");
    let names = rows_below(&all.memory, names).await.unwrap();
    assert!(!names.is_empty());
    let of_nobody = [
        rows::file_index(&all.bucket, b'a', "", b'c').as_bytes(),
        id(1).as_bytes(),
    ]
    .concat();
    let stray = Op::Put(Put {
        key: Key::new(of_nobody),
        value: bytes::Bytes::new(),
        body: NewBody::None,
        parent_len: None,
    });
    let mut ops: Vec<Op> = names.into_keys().map(Op::Delete).collect();
    ops.extend([Op::Delete(rows::file_index_mark(&all.bucket)), stray]);
    let require = Vec::new();
    all.memory.commit(Batch { require, ops }).await.unwrap();
}

async fn two_files() -> Fixture {
    let all = with_catalogue().await;
    for (n, name) in [(1, "Holiday.png"), (2, "holiness.txt")] {
        all.create(n, name).await;
        all.witnessed().put(&format!("k/{name}"), "bytes").await;
    }
    all
}

#[tokio::test]
async fn an_index_of_an_earlier_build_is_made_anew_before_the_first_list() {
    let all = two_files().await;
    damage(&all).await;
    assert_eq!(all.names(&named("HOLI")).await, ["holiness.txt", "Holiday.png"]);
    assert_eq!(all.names(&named("day.")).await, ["Holiday.png"]);
    all.agrees().await;
    let mark = all.memory.get(&rows::file_index_mark(&all.bucket)).await.unwrap();
    assert!(mark.is_some(), "it is not made anew again");
}

#[tokio::test]
async fn a_file_that_changes_while_the_index_is_made_anew_is_found_as_it_is_then() {
    let all = two_files().await;
    damage(&all).await;
    let scripted = Scripted::over(&all.memory);
    let over = store_over(scripted.clone(), 1);
    let (other, bucket) = (all.store.clone(), all.bucket.clone());
    scripted.before_next_commit(move || {
        Box::pin(async move {
            let renamed = other.change_file(&bucket, id(1), None, |file| file.name = "Feast.png".into());
            renamed.await.unwrap();
            other.purge_file(&bucket, id(2), None).await.unwrap();
            None::<CommitError>
        })
    });
    let page = over.list_files(&all.bucket, &named("eas")).await.unwrap();
    assert_eq!(page.files.len(), 1);
    assert!(
        over.list_files(&all.bucket, &named("holi"))
            .await
            .unwrap()
            .files
            .is_empty()
    );
    all.agrees().await;
}

#[tokio::test]
async fn a_catalogue_that_begins_empty_is_never_made_anew_and_its_bucket_goes_without_a_trace() {
    let all = with_catalogue().await;
    let mark = rows::file_index_mark(&all.bucket);
    assert!(all.memory.get(&mark).await.unwrap().is_some());
    all.store.delete_bucket(&all.bucket).await.unwrap();
    assert!(all.memory.get(&mark).await.unwrap().is_none());
}
