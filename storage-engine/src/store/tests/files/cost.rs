//! What lists read of the index, and what a change of one file writes of it.

use std::sync::atomic::Ordering;

use super::{active, announced, id};
use crate::limits::{FILE_TAGS_MAX, SHARES_MAX};
use crate::store::clock::Timestamp;
use crate::store::files::{File, FileFilter, FileQuery, FileSort, FileState, OwnerType, SortBy, Viewer};
use crate::store::record::labels::Visibility;
use crate::store::share::ShareTarget;
use crate::store::tests::{Fixture, Scripted, store_over, with_catalogue};

const FILES: u64 = 150;
const SHOWN: usize = 5;
/// Far less than there are files, and what a page of few files and joins of few streams need.
const ROWS_MAX: u64 = 60;

/// No two files have as many bytes.
fn size(n: u64) -> u64 {
    n * 7 % (FILES + 1)
}

async fn many_files_with_everything_in_common() -> Fixture {
    let all = with_catalogue().await;
    for n in 1..=FILES {
        let file = File {
            owner_type: OwnerType::Service,
            bucket: Some("avatars".into()),
            category: Some("faces".into()),
            tags: vec!["cat".into()],
            entity: (n % 50 == 0).then(|| "post".into()),
            created: Timestamp::from_millis(n),
            ..announced(&n.to_string())
        };
        all.store.create_file(&all.bucket, id(n), &file).await.unwrap();
        let body = vec![b'x'; usize::try_from(size(n)).unwrap()];
        let put = all.put_of(&file.key, body);
        all.witnessed().store.put_object(put).await.unwrap();
    }
    all
}

fn filters() -> Vec<FileFilter> {
    let none = FileFilter::default;
    let text = |text: &str| Some(text.to_owned());
    vec![
        none(),
        FileFilter {
            visibility: Some(Visibility::Public),
            ..none()
        },
        FileFilter {
            owner: text("ann"),
            ..none()
        },
        FileFilter {
            owner_type: Some(OwnerType::Service),
            ..none()
        },
        FileFilter {
            bucket: text("avatars"),
            ..none()
        },
        FileFilter {
            category: text("faces"),
            ..none()
        },
        FileFilter {
            media_type: text("image/png"),
            ..none()
        },
        FileFilter {
            media_type: text("image/*"),
            ..none()
        },
        FileFilter {
            tags: vec!["cat".into()],
            ..none()
        },
        FileFilter {
            created_from: Some(Timestamp::from_millis(1)),
            ..none()
        },
        FileFilter {
            bucket: text("avatars"),
            category: text("faces"),
            tags: vec!["cat".into()],
            ..none()
        },
        // Three of those that have "0" in their names.
        FileFilter {
            entity: text("post"),
            search: text("0"),
            ..none()
        },
    ]
}

#[tokio::test]
async fn a_page_in_any_order_reads_what_it_shows_and_not_all_that_its_filter_takes() {
    let all = many_files_with_everything_in_common().await;
    let scripted = Scripted::over(&all.memory);
    let store = store_over(scripted.clone(), 1);
    for filter in filters() {
        for by in [SortBy::Created, SortBy::Updated, SortBy::Name, SortBy::Size] {
            for descending in [false, true] {
                let query = FileQuery {
                    filter: filter.clone(),
                    sort: FileSort { by, descending },
                    limit: SHOWN,
                    total: false,
                    ..active(Viewer::All)
                };
                let before = scripted.rows_read.load(Ordering::Relaxed);
                let page = store.list_files(&all.bucket, &query).await.unwrap();
                let read = scripted.rows_read.load(Ordering::Relaxed) - before;
                let shown = if filter.entity.is_some() { 3 } else { SHOWN };
                assert_eq!(page.files.len(), shown, "{query:?}");
                assert!(read <= ROWS_MAX, "{read} rows are read for {query:?}");
            }
        }
    }
}

/// The files of a list, page by page: behind cursors, or by how many are left out.
async fn pages(all: &Fixture, query: &FileQuery, cursors: bool) -> Vec<u64> {
    let (mut query, mut found) = (query.clone(), Vec::new());
    loop {
        let page = all.store.list_files(&all.bucket, &query).await.unwrap();
        found.extend(page.files.iter().map(|(_, file)| file.created.millis()));
        let Some(next) = page.next else { return found };
        match cursors {
            true => query.after = Some(next),
            false => query.offset = found.len(),
        }
    }
}

/// In every order, both ways, counted or not, behind cursors and by how many are left out.
async fn assert_listed(all: &Fixture, filter: &FileFilter, files: std::ops::RangeInclusive<u64>) {
    for by in [SortBy::Created, SortBy::Updated, SortBy::Name, SortBy::Size] {
        for descending in [false, true] {
            let mut expected: Vec<u64> = files.clone().collect();
            match by {
                SortBy::Created | SortBy::Updated => {}
                SortBy::Name => expected.sort_by_key(u64::to_string),
                SortBy::Size => expected.sort_by_key(|n| size(*n)),
            }
            if descending {
                expected.reverse();
            }
            for (total, cursors) in [(false, false), (false, true), (true, false), (true, true)] {
                let query = FileQuery {
                    filter: filter.clone(),
                    sort: FileSort { by, descending },
                    limit: SHOWN,
                    total,
                    ..active(Viewer::All)
                };
                assert_eq!(pages(all, &query, cursors).await, expected, "{query:?}");
            }
        }
    }
}

#[tokio::test]
async fn files_of_a_time_are_all_listed_in_every_order_and_no_others() {
    let all = many_files_with_everything_in_common().await;
    let (from, to) = (FILES / 3, FILES / 2);
    let filter = FileFilter {
        created_from: Some(Timestamp::from_millis(from)),
        created_to: Some(Timestamp::from_millis(to)),
        ..FileFilter::default()
    };
    assert_listed(&all, &filter, from..=to).await;
}

#[tokio::test]
async fn the_trash_is_listed_in_every_order_however_much_there_is() {
    let all = many_files_with_everything_in_common().await;
    for n in 1..=FILES {
        all.store.trash_file(&all.bucket, id(n), None).await.unwrap();
    }
    let filter = FileFilter {
        state: Some(FileState::Trashed),
        ..FileFilter::default()
    };
    assert_listed(&all, &filter, 1..=FILES).await;
}

/// A name of so many pieces.
fn name(first: u32, letters: u32) -> String {
    (first..first + letters).filter_map(char::from_u32).collect()
}

#[tokio::test]
async fn one_change_of_all_that_a_file_is_found_by_fits_a_commit() {
    let all = with_catalogue().await;
    let made = all.create(1, "1").await;
    all.witnessed().put("k/1", "bytes").await;
    for round in 0..3_u32 {
        let change = |file: &mut File| {
            let text = |what: &str, n: usize| format!("{what} {n} of round {round}");
            file.name = name(0x4E00 + round * 0x100, 80);
            file.tags = (0..FILE_TAGS_MAX).map(|n| text("tag", n)).collect();
            (file.bucket, file.category, file.entity) = (
                Some(text("bucket", 0)),
                Some(text("category", 0)),
                Some(text("entity", 0)),
            );
            file.labels.owner = Some(text("owner", 0));
            file.labels.visibility = Some(Visibility::Shared);
            let target = |n| ShareTarget::Group(text("group", n));
            file.labels.shares = (0..SHARES_MAX).map(|n| super::share(target(n))).collect();
        };
        all.store.change_file(&all.bucket, made, None, change).await.unwrap();
        all.agrees().await;
    }
    all.store.trash_file(&all.bucket, made, None).await.unwrap();
    all.store.restore_file(&all.bucket, made, None).await.unwrap();
    all.agrees().await;
}
