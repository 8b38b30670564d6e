//! Pages of rows and of groups over anything ordered. Pure: the cost of a page is the number of its seeks plus the
//! rows it returns, whatever a group holds.

use bytes::Bytes;

use super::database::StoreError;
use super::stored_row;
use crate::backend::{GroupedScan, Key, Page};

/// Rows in ascending byte order of their keys.
pub(super) trait Ordered {
    type Bytes: AsRef<[u8]>;
    type Error;

    /// Rows whose key is `start` or greater.
    fn from(&self, start: &[u8]) -> impl Iterator<Item = Result<(Self::Bytes, Self::Bytes), Self::Error>>;

    /// Rows whose key is less than `end`, the greatest first.
    fn back_from(&self, end: &[u8]) -> impl Iterator<Item = Result<(Self::Bytes, Self::Bytes), Self::Error>>;
}

/// One item of a grouped page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouped<R> {
    Row(Key, R),
    /// All rows that start with this key (scan prefix, text, delimiter) count as one.
    Group(Key),
}

/// The rows from `start` up to, but not with, `end`.
pub(super) fn scan<O: Ordered, R>(
    rows: &O,
    start: &[u8],
    end: &[u8],
    limit: usize,
    read: impl Fn(&[u8]) -> Result<R, O::Error>,
) -> Result<Page<(Key, R)>, O::Error> {
    match start < end {
        true => page(rows.from(start), |key| key < end, limit, read),
        false => Ok(Page::empty()),
    }
}

/// The rows below `end` down to `start`, and with it.
pub(super) fn scan_back<O: Ordered, R>(
    rows: &O,
    start: &[u8],
    end: &[u8],
    limit: usize,
    read: impl Fn(&[u8]) -> Result<R, O::Error>,
) -> Result<Page<(Key, R)>, O::Error> {
    match start < end {
        true => page(rows.back_from(end), |key| key >= start, limit, read),
        false => Ok(Page::empty()),
    }
}

/// The first of `rows` that are `within`, at most `limit`.
fn page<B: AsRef<[u8]>, R, E>(
    rows: impl Iterator<Item = Result<(B, B), E>>,
    within: impl Fn(&[u8]) -> bool,
    limit: usize,
    read: impl Fn(&[u8]) -> Result<R, E>,
) -> Result<Page<(Key, R)>, E> {
    let mut items = Vec::new();
    for row in rows {
        let (key, value) = row?;
        if !within(key.as_ref()) {
            break;
        }
        if items.len() == limit {
            return Ok(Page { items, more: true });
        }
        items.push((Key::new(Bytes::copy_from_slice(key.as_ref())), read(value.as_ref())?));
    }
    Ok(Page { items, more: false })
}

/// What `read` makes of key and row of the first `count` rows under `parent` that name it as the row they depend on.
pub(super) fn dependent_rows<O: Ordered<Error = StoreError>, R>(
    rows: &O,
    parent: &[u8],
    count: usize,
    read: impl Fn(&[u8], &[u8]) -> Result<R, StoreError>,
) -> Result<Vec<R>, StoreError> {
    let mut found = Vec::new();
    for row in rows.from(parent) {
        let (key, value) = row?;
        if found.len() == count || !key.as_ref().starts_with(parent) {
            break;
        }
        let len = stored_row::parent_len(value.as_ref()).map_err(|e| StoreError(e.to_string()))?;
        if len.map(usize::from) == Some(parent.len()) {
            found.push(read(key.as_ref(), value.as_ref())?);
        }
    }
    Ok(found)
}

/// Rows under the scan's prefix, those with the delimiter behind it rolled up.
pub(super) fn scan_grouped<O: Ordered, R>(
    rows: &O,
    scan: &GroupedScan,
    read: impl Fn(&[u8]) -> Result<R, O::Error>,
) -> Result<Page<Grouped<R>>, O::Error> {
    let prefix = scan.prefix.as_bytes();
    let mut items = Vec::new();
    let mut seek = first_seek(scan);
    while let Some(start) = seek.take() {
        for row in rows.from(&start) {
            let (key, value) = row?;
            let Some(rest) = key.as_ref().strip_prefix(prefix) else {
                break;
            };
            if items.len() == scan.limit {
                return Ok(Page { items, more: true });
            }
            if let Some(group_len) = group_len(rest, &scan.delimiter) {
                let (group, _) = key.as_ref().split_at(prefix.len() + group_len);
                let group = Key::new(Bytes::copy_from_slice(group));
                seek = group.after_prefix().map(Key::into_bytes);
                items.push(Grouped::Group(group));
                break;
            }
            items.push(Grouped::Row(
                Key::new(Bytes::copy_from_slice(key.as_ref())),
                read(value.as_ref())?,
            ));
        }
    }
    Ok(Page { items, more: false })
}

/// The smallest key an item of the page may start from; `None` if there can be none.
fn first_seek(scan: &GroupedScan) -> Option<Bytes> {
    let prefix = &scan.prefix;
    let Some(after) = scan.after.as_ref().filter(|after| *after >= prefix) else {
        return Some(prefix.clone().into_bytes());
    };
    let rest = after.as_bytes().strip_prefix(prefix.as_bytes());
    match rest.and_then(|rest| group_len(rest, &scan.delimiter)) {
        // `after` is a group or lies in one. The group's own key is not greater than `after`: it is skipped whole.
        Some(group_len) => {
            let (group, _) = after.as_bytes().split_at(prefix.as_bytes().len() + group_len);
            Key::new(Bytes::copy_from_slice(group))
                .after_prefix()
                .map(Key::into_bytes)
        }
        None => Some(after.successor().into_bytes()),
    }
}

/// Length of the text up to and with the first delimiter.
fn group_len(rest: &[u8], delimiter: &[u8]) -> Option<usize> {
    if delimiter.is_empty() {
        return None;
    }
    rest.windows(delimiter.len())
        .position(|window| window == delimiter)
        .map(|at| at + delimiter.len())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::{BTreeMap, BTreeSet};
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Map {
        rows: BTreeMap<Vec<u8>, Vec<u8>>,
        seeks: Cell<usize>,
        steps: Cell<usize>,
    }

    impl Ordered for Map {
        type Bytes = Vec<u8>;
        type Error = Infallible;

        fn from(&self, start: &[u8]) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), Infallible>> {
            self.seeks.set(self.seeks.get() + 1);
            self.rows.range(start.to_vec()..).map(|(key, value)| {
                self.steps.set(self.steps.get() + 1);
                Ok((key.clone(), value.clone()))
            })
        }

        fn back_from(&self, end: &[u8]) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), Infallible>> {
            let rows = self.rows.range(..end.to_vec()).rev();
            rows.map(|(key, value)| Ok((key.clone(), value.clone())))
        }
    }

    fn map<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Map {
        let rows = keys
            .into_iter()
            .map(|key| (key.as_ref().to_vec(), key.as_ref().to_vec()))
            .collect();
        Map { rows, ..Map::default() }
    }

    fn grouped(
        map: &Map,
        prefix: &[u8],
        delimiter: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Page<Grouped<Vec<u8>>> {
        let scan = GroupedScan {
            prefix: Key::new(prefix.to_vec()),
            delimiter: Bytes::copy_from_slice(delimiter),
            after: after.map(|after| Key::new(after.to_vec())),
            limit,
        };
        let Ok(page) = scan_grouped(map, &scan, |value| Ok(value.to_vec()));
        page
    }

    fn item_key(item: &Grouped<Vec<u8>>) -> Key {
        match item {
            Grouped::Row(key, _) | Grouped::Group(key) => key.clone(),
        }
    }

    #[test]
    fn the_cost_of_a_grouped_page_follows_the_groups_and_not_what_they_hold() {
        let map = map((0..50).flat_map(|group| (0..200).map(move |n| format!("p/{group:02}/{n:04}"))));
        let page = grouped(&map, b"p/", b"/", None, 10);
        assert_eq!((page.items.len(), page.more), (10, true));
        assert!(
            map.seeks.get() <= 11 && map.steps.get() <= 11,
            "{} seeks",
            map.seeks.get()
        );

        map.seeks.set(0);
        let page = grouped(&map, b"p/", b"/", Some(b"p/09/"), 100);
        assert_eq!((page.items.len(), page.more), (40, false));
        assert!(map.seeks.get() <= 41, "{} seeks", map.seeks.get());
    }

    #[test]
    fn a_group_given_as_after_is_skipped_whole_and_so_is_one_that_after_lies_in() {
        let map = map(["a", "b<>1", "b<>2", "b<>3<>4", "c"]);
        let rest = |after: &[u8]| grouped(&map, b"", b"<>", Some(after), 9).items;
        assert_eq!(rest(b"b<>"), [Grouped::Row(Key::new("c"), b"c".to_vec())]);
        assert_eq!(rest(b"b<>1"), [Grouped::Row(Key::new("c"), b"c".to_vec())]);
        assert_eq!(rest(b"a").first(), Some(&Grouped::Group(Key::new("b<>"))));
        assert_eq!(rest(b"b<").first(), Some(&Grouped::Group(Key::new("b<>"))));
    }

    #[test]
    fn a_group_of_the_greatest_bytes_ends_the_page() {
        let map = map([&[0xFF, 0xFF, 1][..], &[0xFF, 0xFF, 0xFF], &[0xFF, 0xFF, 0xFF, 0xFF]]);
        let page = grouped(&map, b"", &[0xFF, 0xFF], None, 9);
        assert_eq!(page.items, [Grouped::Group(Key::new(vec![0xFF, 0xFF]))]);
    }

    #[test]
    fn a_limit_of_nothing_still_tells_whether_anything_follows() {
        assert!(grouped(&map(["a"]), b"", b"/", None, 0).more);
        assert!(!grouped(&map(["a"]), b"b", b"/", None, 0).more);
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![b'a', b'b', b'/', b'.', 0xFF]), 0..6)
    }

    proptest! {
        #[test]
        fn pages_put_together_equal_the_listing_made_by_brute_force(
            keys in prop::collection::btree_set(key(), 0..40),
            prefix in prop::collection::vec(prop::sample::select(vec![b'a', b'/']), 0..3),
            delimiter in prop::sample::select(vec![&b""[..], b"/", b"./", b"//"]),
            limit in 1_usize..5,
        ) {
            let mut expected = BTreeSet::new();
            for key in keys.iter().filter(|key| key.starts_with(&prefix)) {
                let rest = &key[prefix.len()..];
                let cut = (0..=rest.len()).find(|&at| !delimiter.is_empty() && rest[at..].starts_with(delimiter));
                expected.insert(cut.map_or(key.clone(), |at| key[..prefix.len() + at + delimiter.len()].to_vec()));
            }
            let map = map(&keys);
            let mut found = Vec::new();
            loop {
                let after = found.last().cloned();
                let page = grouped(&map, &prefix, delimiter, after.as_deref(), limit);
                prop_assert!(page.items.len() <= limit);
                found.extend(page.items.iter().map(|item| item_key(item).as_bytes().to_vec()));
                if !page.more {
                    break;
                }
                prop_assert_eq!(page.items.len(), limit);
            }
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn a_plain_page_holds_what_the_range_holds(
            keys in prop::collection::btree_set(key(), 0..40), start in key(), end in key(), limit in 0_usize..50,
        ) {
            let map = map(&keys);
            let Ok(page) = scan(&map, &start, &end, limit, |value| Ok(value.to_vec()));
            let expected: Vec<_> = keys.iter().filter(|key| **key >= start && **key < end).collect();
            prop_assert_eq!(page.more, expected.len() > limit);
            let found: Vec<_> = page.items.iter().map(|(key, _)| key.as_bytes()).collect();
            let expected: Vec<_> = expected.iter().take(limit).map(|key| key.as_slice()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
