use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::embedded::erasure::Geometry;
use crate::embedded::record::{Body, SegmentBytes};
use crate::embedded::segment::{Piece, SegmentKind};

pub(crate) type Rows = BTreeMap<Vec<u8>, RowRecord>;

pub(crate) fn segment(n: u8) -> Segment {
    let geometry = Geometry {
        data: 2,
        parity: 2,
        unit: 131_072,
    };
    Segment {
        id: SegmentId::from_bytes([n; 16]),
        kind: SegmentKind::Log,
        geometry,
        drives: vec![],
        full_width: None,
    }
}

pub(crate) fn piece(n: u8, len: u64) -> Piece {
    Piece {
        segment: segment(n).id,
        offset: 4096,
        len,
    }
}

pub(crate) fn direct(pieces: &[(u8, u64)]) -> Option<Body> {
    let pieces: Vec<_> = pieces.iter().map(|(n, len)| piece(*n, *len)).collect();
    Some(Body::Direct {
        len: pieces.iter().map(|p| p.len).sum(),
        pieces,
    })
}

pub(crate) fn row(rev: u64, body: Option<Body>, parent_len: Option<u16>) -> RowRecord {
    RowRecord {
        rev,
        value: b"v".to_vec().into(),
        body,
        parent_len,
    }
}

pub(crate) fn put(key: &[u8], row: RowRecord) -> RowOp {
    RowOp::Put {
        key: key.to_vec().into(),
        row,
    }
}

pub(crate) fn delete(key: &[u8]) -> RowOp {
    RowOp::Delete {
        key: key.to_vec().into(),
    }
}

/// Whether a row and all it depends on are there, by the words of the rule.
pub(crate) fn stands(rows: &Rows, key: &[u8]) -> bool {
    rows.get(key).is_some_and(|row| match row.parent_len {
        None => true,
        Some(len) => usize::from(len) < key.len() && stands(rows, &key[..usize::from(len)]),
    })
}

/// Live bytes of every segment, counted from nothing.
pub(crate) fn count_all(rows: &Rows) -> BTreeMap<SegmentId, u64> {
    let mut live = BTreeMap::new();
    for (_, row) in rows.iter().filter(|(key, _)| stands(rows, key)) {
        for bytes in row.body.iter().flat_map(Body::live_bytes) {
            *live.entry(bytes.segment).or_default() += bytes.bytes;
        }
    }
    live.retain(|_, bytes| *bytes > 0);
    live
}

/// Applies a batch; what depended on a row that is gone goes with it.
pub(crate) fn apply(rows: &mut Rows, ops: &[RowOp]) {
    for op in ops {
        match op {
            RowOp::Put { key, row } => drop(rows.insert(key.to_vec(), row.clone())),
            RowOp::Delete { key } => drop(rows.remove(key.as_slice())),
        }
    }
    let standing: Vec<_> = rows.keys().filter(|key| stands(rows, key)).cloned().collect();
    rows.retain(|key, _| standing.contains(key));
}

impl RowSource for Rows {
    type Error = Infallible;

    fn row(&self, key: &[u8]) -> Result<Option<RowRecord>, Infallible> {
        Ok(self.get(key).cloned())
    }

    fn rows_of(&self, parent: &[u8]) -> Result<Vec<(Key, RowRecord)>, Infallible> {
        let depends = |row: &RowRecord| row.parent_len.map(usize::from) == Some(parent.len());
        let rows = self.iter().filter(|(key, row)| key.starts_with(parent) && depends(row));
        Ok(rows.map(|(key, row)| (Key::new(key.clone()), row.clone())).collect())
    }
}

/// Keys of two uploads, parts and rows that hang on parts, and keys that merely look alike.
pub(crate) fn any_op() -> impl Strategy<Value = RowOp> {
    let keys: Vec<(&[u8], u16)> = vec![
        (b"a", 0),
        (b"u/1", 0),
        (b"u/1!", 0),
        (b"u/1/1", 3),
        (b"u/1/1/x", 5),
        (b"u/1/2", 3),
        (b"u/12", 0),
        (b"u/2", 0),
        (b"u/2/1", 3),
        (b"z", 0),
    ];
    let pieces = prop::collection::vec((0_u8..5, 0_u64..100), 0..3);
    let body = (pieces, any::<bool>()).prop_map(|(pieces, joined)| {
        let sums = pieces
            .iter()
            .map(|(n, bytes)| SegmentBytes {
                segment: segment(*n).id,
                bytes: *bytes,
            })
            .collect();
        if joined {
            Some(Body::Joined {
                len: 9,
                list: vec![piece(0, 7)],
                sums,
            })
        } else {
            direct(&pieces)
        }
    });
    let parts = (any::<u64>(), prop::option::weighted(0.8, body), any::<bool>());
    (prop::sample::select(keys), prop::option::weighted(0.7, parts)).prop_map(|((key, parent), row_parts)| {
        match row_parts {
            Some((rev, body, depends)) => put(key, row(rev, body.flatten(), (parent > 0 && depends).then_some(parent))),
            None => delete(key),
        }
    })
}

/// A batch names each key at most once.
pub(crate) fn any_batch() -> impl Strategy<Value = Vec<RowOp>> {
    prop::collection::vec(any_op(), 1..5).prop_map(|ops| {
        let by_key: BTreeMap<Vec<u8>, RowOp> = ops.into_iter().map(|op| (op.key().to_vec(), op)).collect();
        by_key.into_values().collect()
    })
}

fn settled(rows: &mut Rows, live: &mut BTreeMap<SegmentId, u64>, ops: &[RowOp]) {
    for (id, change) in live_delta(rows, ops).unwrap() {
        let entry = live.entry(id).or_default();
        *entry = entry.checked_add_signed(change).expect("never below nothing");
    }
    live.retain(|_, bytes| *bytes > 0);
    apply(rows, ops);
}

proptest! {
    #[test]
    fn counters_kept_batch_by_batch_equal_a_count_from_nothing(batches in prop::collection::vec(any_batch(), 0..30)) {
        let (mut rows, mut live) = (Rows::new(), BTreeMap::new());
        for ops in batches {
            let refused = misplaced(&rows, &ops).unwrap();
            settled(&mut rows, &mut live, &ops);
            prop_assert_eq!(&live, &count_all(&rows));
            let all_stand = ops.iter().filter(|op| put_row(op).is_some()).all(|op| rows.contains_key(op.key()));
            prop_assert!(refused.is_some() || all_stand);
        }
    }
}

#[test]
fn completing_an_upload_frees_no_byte_and_deleting_the_object_frees_all() {
    let (mut rows, mut live) = (Rows::new(), BTreeMap::new());
    settled(&mut rows, &mut live, &[put(b"u/1", row(1, None, None))]);
    settled(
        &mut rows,
        &mut live,
        &[put(b"u/1/1", row(2, direct(&[(1, 10)]), Some(3)))],
    );
    settled(
        &mut rows,
        &mut live,
        &[put(b"u/1/2", row(3, direct(&[(1, 5), (2, 7)]), Some(3)))],
    );
    let sums = vec![(1, 15), (2, 7)].into_iter().map(|(n, bytes)| SegmentBytes {
        segment: segment(n).id,
        bytes,
    });
    let joined = Body::Joined {
        len: 22,
        list: vec![piece(3, 40)],
        sums: sums.collect(),
    };
    settled(
        &mut rows,
        &mut live,
        &[put(b"c/key", row(4, Some(joined), None)), delete(b"u/1")],
    );
    let expected: BTreeMap<_, _> = [(1, 15), (2, 7), (3, 40)]
        .map(|(n, bytes)| (segment(n).id, bytes))
        .into();
    assert_eq!(live, expected);
    // The leftover part rows own nothing: removing them, or the object, frees nothing twice.
    settled(&mut rows, &mut live, &[delete(b"u/1/1")]);
    assert_eq!(live, expected);
    settled(&mut rows, &mut live, &[delete(b"c/key")]);
    settled(&mut rows, &mut live, &[delete(b"u/1/2")]);
    assert!(live.is_empty());
}

#[test]
fn the_index_gives_the_same_delta_as_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::create(dir.path(), super::super::index::IndexOptions::default()).unwrap();
    let ops = [
        put(b"u/1", row(1, None, None)),
        put(b"u/1!", row(1, direct(&[(4, 1)]), None)),
        put(b"u/1/1", row(2, direct(&[(1, 10)]), Some(3))),
        put(b"u/1/2", row(2, direct(&[(2, 20)]), Some(3))),
    ];
    index.apply(&ops).unwrap();
    let delta = live_delta(&index, &[delete(b"u/1")]).unwrap();
    assert_eq!(delta, LiveDelta::from([(segment(1).id, -10), (segment(2).id, -20)]));
    index.apply(&[delete(b"u/1")]).unwrap();
    assert_eq!(index.get(b"u/1/1").unwrap(), None);
    assert_eq!(index.get(b"u/1!").unwrap(), Some(row(1, direct(&[(4, 1)]), None)));
    assert_eq!(
        live_delta(&index, &[put(b"u/1", row(9, None, None))]).unwrap(),
        LiveDelta::new()
    );
}

#[test]
fn a_snapshot_reads_back_and_drives_may_change_while_counters_stay() {
    let table = SegmentTable::default();
    table.declare(segment(1));
    table.add_body_bytes(segment(1).id, 100);
    table.apply(&LiveDelta::from([(segment(1).id, 60)]));
    table.apply(&LiveDelta::from([(segment(1).id, -20)]));
    table.declare(Segment {
        drives: vec![crate::embedded::id::DriveId::from_bytes([5; 16])],
        ..segment(1)
    });
    let snapshot = table.snapshot();
    let entry = &snapshot[&segment(1).id];
    assert_eq!((entry.live, entry.body_bytes, entry.segment.drives.len()), (40, 100, 1));
    assert_eq!(SegmentTable::from_snapshot(snapshot.clone()).snapshot(), snapshot);
    assert_eq!(table.live(segment(2).id), None);
}

#[test]
fn a_segment_that_is_read_or_live_is_not_condemned_and_a_condemned_one_is_not_read() {
    let table = SegmentTable::default();
    let (read, live, dead) = (segment(1).id, segment(2).id, segment(3).id);
    for n in 1..=3 {
        table.declare(segment(n));
    }
    table.apply(&LiveDelta::from([(live, 1)]));
    let (_, pin) = table.pin(read).unwrap();
    assert_eq!(table.condemn([read, live, dead, segment(4).id]), [dead]);
    assert!(table.pin(dead).is_none());
    assert!(table.condemn([dead]).is_empty(), "only one may remove it");
    drop(pin);
    assert_eq!(table.pins(read), 0);
    assert_eq!(table.condemn([read]), [read]);
    table.pardon(&[read]);
    assert!(table.pin(read).is_some());
    table.remove(dead);
    assert_eq!(table.len(), 2);
}
