//! Promises about `scan` and `scan_grouped`.

use std::sync::Arc;

use bytes::Bytes;

use super::{commit, key, put};
use crate::backend::{Backend, Batch, Entry, GroupedScan, Key, Op};

async fn fill(backend: &dyn Backend, keys: &[Key]) {
    for some in keys.chunks(500) {
        commit(
            backend,
            vec![],
            some.iter().map(|key| put(key, key.as_bytes().to_vec())).collect(),
        )
        .await;
    }
}

async fn page(backend: &dyn Backend, start: &Key, end: &Key, limit: usize) -> (Vec<Key>, bool) {
    let page = backend
        .scan(start.clone()..end.clone(), limit)
        .await
        .expect("rows can be scanned");
    let keys = page.items.into_iter().map(|(key, row)| {
        assert_eq!(key.as_bytes(), row.value.as_ref(), "a row comes with its own value");
        key
    });
    (keys.collect(), page.more)
}

fn end_of(prefix: &Key) -> Key {
    prefix.after_prefix().expect("the prefix does not end in 0xFF")
}

pub async fn rows_come_in_unsigned_byte_order(backend: &dyn Backend) {
    let mut keys: Vec<Key> = (0..=255_u8).map(|byte| key("bytes", [byte])).collect();
    keys.extend([
        key("bytes", ""),
        key("bytes", [0, 0]),
        key("bytes", [0xFF, 0]),
        key("bytes", [0xFF, 0xFF]),
    ]);
    fill(backend, &keys).await;
    keys.sort();
    let prefix = key("bytes", "");
    assert_eq!(page(backend, &prefix, &end_of(&prefix), 1_000).await, (keys, false));
}

pub async fn a_range_holds_its_start_and_not_its_end(backend: &dyn Backend) {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| key("range", name));
    fill(backend, &[a.clone(), b.clone(), c.clone(), d.clone()]).await;
    assert_eq!(
        page(backend, &a, &d, 10).await,
        (vec![a.clone(), b.clone(), c.clone()], false)
    );
    assert_eq!(
        page(backend, &a, &d, 3).await,
        (vec![a.clone(), b.clone(), c.clone()], false)
    );
    assert_eq!(page(backend, &a, &d, 2).await, (vec![a.clone(), b.clone()], true));
    assert_eq!(
        page(backend, &b.successor(), &d.successor(), 10).await,
        (vec![c, d.clone()], false)
    );
    assert_eq!(page(backend, &a, &a, 10).await, (vec![], false));
    assert_eq!(page(backend, &d, &a, 10).await, (vec![], false));
}

pub async fn a_scan_back_is_the_same_from_the_other_end(backend: &dyn Backend) {
    let keys = ["a", "b", "c", "d"].map(|name| key("back", name));
    fill(backend, &keys).await;
    let [a, b, c, d] = &keys;
    let back = async |start: &Key, end: &Key, limit| {
        let page = backend.scan_back(start.clone()..end.clone(), limit).await;
        let page = page.expect("rows can be scanned");
        let keys = page.items.into_iter().map(|(key, row)| {
            assert_eq!(key.as_bytes(), row.value.as_ref(), "a row comes with its own value");
            key
        });
        (keys.collect::<Vec<Key>>(), page.more)
    };
    let of = |keys: &[&Key]| keys.iter().map(|key| (*key).clone()).collect::<Vec<Key>>();
    assert_eq!(
        back(a, d, 10).await,
        (of(&[c, b, a]), false),
        "its start, and not its end"
    );
    assert_eq!(back(a, d, 3).await, (of(&[c, b, a]), false));
    assert_eq!(back(a, d, 2).await, (of(&[c, b]), true));
    assert_eq!(back(&b.successor(), &d.successor(), 10).await, (of(&[d, c]), false));
    assert_eq!(back(a, a, 10).await, (vec![], false));
    assert_eq!(back(d, a, 10).await, (vec![], false));
    let prefix = key("back", "");
    assert_eq!(back(&prefix, &end_of(&prefix), 10).await, (of(&[d, c, b, a]), false));
}

pub async fn pages_neither_skip_nor_double(backend: &dyn Backend) {
    let mut keys: Vec<Key> = (0..1_200)
        .map(|i| key("pages", format!("{:x}", i * 7919 % 1_200)))
        .collect();
    fill(backend, &keys).await;
    keys.sort();
    let prefix = key("pages", "");
    for limit in [1, 7, 599, 600, 1_199, 1_200, 1_201] {
        let (mut seen, mut start) = (Vec::new(), prefix.clone());
        loop {
            let (items, more) = page(backend, &start, &end_of(&prefix), limit).await;
            assert!(items.len() == limit || !more, "a page that is not full is the last");
            seen.extend(items);
            let Some(last) = seen.last().filter(|_| more) else {
                break;
            };
            start = last.successor();
            if limit == 1 && seen.len() > 20 {
                break;
            }
        }
        let expected = if limit == 1 {
            keys.iter().take(seen.len()).cloned().collect()
        } else {
            keys.clone()
        };
        assert_eq!(seen, expected, "limit {limit}");
    }
}

/// One item of a grouped scan, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Row(Key),
    Group(Key),
}

/// The plain meaning of a grouped scan: look at every row.
fn grouped(keys: &[Key], scan: &GroupedScan) -> (Vec<Item>, bool) {
    let mut items = Vec::new();
    for key in keys {
        let Some(behind) = key.as_bytes().strip_prefix(scan.prefix.as_bytes()) else {
            continue;
        };
        let width = scan.delimiter.len().max(1);
        let found = behind
            .windows(width)
            .position(|window| window == scan.delimiter.as_ref());
        let (item, at) = match found {
            Some(at) => {
                let len = scan.prefix.as_bytes().len() + at + scan.delimiter.len();
                let group = Key::new(key.as_bytes().iter().take(len).copied().collect::<Vec<u8>>());
                (Item::Group(group.clone()), group)
            }
            None => (Item::Row(key.clone()), key.clone()),
        };
        if scan.after.as_ref().is_none_or(|after| at > *after) && items.last() != Some(&item) {
            items.push(item);
        }
    }
    let more = items.len() > scan.limit;
    items.truncate(scan.limit);
    (items, more)
}

async fn check_grouped(backend: &dyn Backend, keys: &[Key], scan: GroupedScan) {
    let page = backend.scan_grouped(scan.clone()).await.expect("rows can be scanned");
    let items: Vec<Item> = page
        .items
        .into_iter()
        .map(|entry| match entry {
            Entry::Group(group) => Item::Group(group),
            Entry::Row(key, row) => {
                assert_eq!(key.as_bytes(), row.value.as_ref(), "a row comes with its own value");
                Item::Row(key)
            }
        })
        .collect();
    assert_eq!((items, page.more), grouped(keys, &scan), "{scan:?}");
}

pub async fn groups_are_those_of_a_full_scan(backend: &dyn Backend) {
    let names = [
        "a",
        "a/",
        "a/1",
        "a/2/x",
        "a//",
        "a//b",
        "aa",
        "ab",
        "aba",
        "abab/",
        "b/1",
        "b/2",
        "b/2/3",
        "c",
        "c-d",
        "c/",
        "ü",
        "üü",
        "ü/x",
        "/",
        "//",
        "/a",
        "z\u{10FFFF}",
        "z\u{10FFFF}/1",
    ];
    let mut keys: Vec<Key> = names.iter().map(|name| key("groups", name)).collect();
    fill(backend, &keys).await;
    // A neighbour on either side that no answer may hold.
    fill(backend, &[key("group", "x/y"), key("groupt", "x/y")]).await;
    keys.sort();
    let afters = names
        .iter()
        .copied()
        .chain(["", "a/1/", "a/2/", "b/", "c/z", "a//c", "zz", "\u{7F}"]);
    let afters: Vec<Option<Key>> = std::iter::once(None)
        .chain(afters.map(|name| Some(key("groups", name))))
        .collect();
    for prefix in ["", "a", "a/", "b/2", "ü", "z", "nothing", "ab"] {
        for delimiter in ["", "/", "//", "ab", "ü", "\u{10FFFF}", "a/"] {
            for after in &afters {
                for limit in [1, 2, 3, 100] {
                    let (prefix, after) = (key("groups", prefix), after.clone());
                    // A marker inside a group stands for the group: the plain meaning needs no more than that.
                    let delimiter = Bytes::from_static(delimiter.as_bytes());
                    check_grouped(
                        backend,
                        &keys,
                        GroupedScan {
                            prefix,
                            delimiter,
                            after,
                            limit,
                        },
                    )
                    .await;
                }
            }
        }
    }
}

pub async fn groups_of_the_highest_byte_end(backend: &dyn Backend) {
    let names: [&[u8]; 7] = [
        b"\xFE",
        b"\xFF",
        b"\xFF\xFF",
        b"\xFF\xFF/1",
        b"\xFF\xFF\xFF",
        b"\xFF/1",
        b"\xFF/2",
    ];
    let mut keys: Vec<Key> = names.iter().map(|name| key("highest", name)).collect();
    fill(backend, &keys).await;
    keys.sort();
    for prefix in [&b""[..], b"\xFF", b"\xFF\xFF"] {
        for delimiter in [&b"\xFF"[..], b"/", b"\xFF\xFF"] {
            for after in std::iter::once(None).chain(names.iter().map(|name| Some(key("highest", name)))) {
                for limit in [1, 100] {
                    let (prefix, delimiter) = (key("highest", prefix), Bytes::copy_from_slice(delimiter));
                    check_grouped(
                        backend,
                        &keys,
                        GroupedScan {
                            prefix,
                            delimiter,
                            after: after.clone(),
                            limit,
                        },
                    )
                    .await;
                }
            }
        }
    }
}

/// Two rows that are always changed together are never seen apart.
pub async fn a_page_shows_no_half_batch(backend: &Arc<dyn Backend>) {
    let (a, b, prefix) = (key("half", "a"), key("half", "b"), key("half", ""));
    let writer = Arc::clone(backend);
    let (first, second) = (a.clone(), b.clone());
    let writing = tokio::spawn(async move {
        for i in 0..40 {
            let ops = match i % 3 {
                2 => vec![Op::Delete(first.clone()), Op::Delete(second.clone())],
                _ => vec![put(&first, i.to_string()), put(&second, i.to_string())],
            };
            writer
                .commit(Batch { require: vec![], ops })
                .await
                .expect("a batch is committed");
        }
    });
    while !writing.is_finished() {
        let page = backend
            .scan(prefix.clone()..end_of(&prefix), 10)
            .await
            .expect("rows can be scanned");
        let values: Vec<(&Bytes, _)> = page.items.iter().map(|(_, row)| (&row.value, row.rev)).collect();
        match values.as_slice() {
            [] => {}
            [first, second] => assert_eq!(first, second),
            apart => panic!("rows of one batch were seen apart: {apart:?}"),
        }
        tokio::task::yield_now().await;
    }
    writing.await.expect("the writer does not panic");
}
