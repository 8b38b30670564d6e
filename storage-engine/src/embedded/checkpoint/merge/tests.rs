use proptest::prelude::*;

use super::*;
use crate::embedded::record::{LogRecord, RowOp};
use crate::embedded::table::SegmentTable;
use crate::embedded::table::tests::{Rows, any_batch, apply, count_all, delete, direct, put, row, segment};
use crate::embedded::table::{live_delta, misplaced};

fn record(ops: Vec<RowOp>) -> LogRecord {
    LogRecord {
        seq: 0,
        mark: 0,
        body_at: 0,
        len: 4096,
        stripes: vec![30, 12],
        segments: vec![],
        removed: vec![],
        ops,
    }
}

fn merge(previous: &(Rows, TableSnapshot), delta: LogDelta) -> Result<(Rows, TableSnapshot), MergeError> {
    let mut rows = Rows::new();
    let mut order = Vec::new();
    let mut out = |key: &[u8], row: &RowRecord| {
        order.push(key.to_vec());
        rows.insert(key.to_vec(), row.clone());
    };
    let mut merge = Merge::new(delta);
    for (key, row) in &previous.0 {
        merge.row(key, row, &mut out)?;
    }
    let table = merge.finish(previous.1.values().cloned(), &mut out)?;
    assert!(
        order.windows(2).all(|pair| pair[0] < pair[1]),
        "the result is out of order"
    );
    Ok((rows, table))
}

fn all_declared() -> LogDelta {
    let mut delta = LogDelta::default();
    (0..5).for_each(|n| delta.declare(segment(n)));
    delta
}

proptest! {
    #[test]
    fn checkpoints_upon_checkpoints_hold_what_stands_and_count_what_the_counters_count(
        intervals in prop::collection::vec(prop::collection::vec(any_batch(), 0..8), 1..6),
    ) {
        let mut model = Rows::new();
        let counters = SegmentTable::default();
        (0..5).for_each(|n| counters.declare(segment(n)));
        let mut checkpoint = merge(&(Rows::new(), TableSnapshot::new()), all_declared()).unwrap();
        for batches in intervals {
            let mut delta = LogDelta::default();
            for ops in batches {
                // The committer refuses a row that is out of place, and keeps the counters.
                if misplaced(&model, &ops).unwrap().is_some() {
                    continue;
                }
                counters.apply(&live_delta(&model, &ops).unwrap());
                apply(&mut model, &ops);
                delta.absorb(segment(3).id, record(ops));
                counters.add_body_bytes(segment(3).id, 42);
            }
            checkpoint = merge(&checkpoint, delta).unwrap();
            prop_assert_eq!(&checkpoint.0, &model);
            let live: BTreeMap<_, _> = checkpoint.1.values().filter(|e| e.live > 0).map(|e| (e.segment.id, e.live)).collect();
            prop_assert_eq!(live, count_all(&model));
            prop_assert_eq!(differences(&checkpoint.1, &counters.snapshot()), vec![]);
            prop_assert_eq!(&checkpoint.1, &counters.snapshot());
        }
    }
}

#[test]
fn a_row_that_names_an_unknown_or_removed_segment_stops_the_merge() {
    let mut delta = LogDelta::default();
    delta.absorb(segment(1).id, record(vec![put(b"k", row(1, direct(&[(1, 5)]), None))]));
    let unknown = merge(&(Rows::new(), TableSnapshot::new()), delta.clone());
    assert!(matches!(unknown, Err(MergeError::UnknownSegment { segment: id, .. }) if id == segment(1).id));
    delta.declare(segment(1));
    assert!(merge(&(Rows::new(), TableSnapshot::new()), delta.clone()).is_ok());
    delta.absorb(
        segment(2).id,
        LogRecord {
            removed: vec![segment(1).id],
            ..record(vec![])
        },
    );
    assert!(merge(&(Rows::new(), TableSnapshot::new()), delta).is_err());
}

#[test]
fn a_removed_segment_leaves_the_table_and_an_emptied_one_stays_with_nothing_live() {
    let mut delta = all_declared();
    delta.absorb(
        segment(2).id,
        record(vec![put(b"k", row(1, direct(&[(1, 5), (2, 6)]), None))]),
    );
    let first = merge(&(Rows::new(), TableSnapshot::new()), delta).unwrap();
    assert_eq!(
        (first.1[&segment(2).id].live, first.1[&segment(2).id].body_bytes),
        (6, 42)
    );
    let mut delta = LogDelta::default();
    delta.absorb(segment(2).id, record(vec![delete(b"k")]));
    delta.absorb(
        segment(2).id,
        LogRecord {
            removed: vec![segment(1).id],
            stripes: vec![],
            ..record(vec![])
        },
    );
    let (rows, table) = merge(&first, delta).unwrap();
    assert!(rows.is_empty());
    assert!(!table.contains_key(&segment(1).id));
    assert_eq!((table[&segment(2).id].live, table[&segment(2).id].body_bytes), (0, 84));
}

#[test]
fn a_difference_names_the_segment_and_both_counts() {
    let entry = |n, live| {
        (
            segment(n).id,
            TableEntry {
                segment: segment(n),
                live,
                body_bytes: 0,
            },
        )
    };
    let recounted = TableSnapshot::from([entry(1, 5), entry(2, 0)]);
    let counted = TableSnapshot::from([entry(1, 4), entry(3, 0)]);
    let found = differences(&recounted, &counted);
    let expected = [(1, Some(5), Some(4)), (2, Some(0), None), (3, None, Some(0))];
    let expected = expected.map(|(n, recounted, counted)| Difference {
        segment: segment(n).id,
        recounted,
        counted,
    });
    assert_eq!(found, expected);
}

#[test]
fn rows_of_the_previous_checkpoint_must_come_in_order() {
    let mut merge = Merge::new(LogDelta::default());
    let mut out = |_: &[u8], _: &RowRecord| {};
    merge.row(b"b", &row(1, None, None), &mut out).unwrap();
    assert!(matches!(
        merge.row(b"a", &row(1, None, None), &mut out),
        Err(MergeError::OutOfOrder(_))
    ));
}
