//! Rows that stand, one after the other: those of the checkpoint merged with the log behind it, then those that only the
//! log before it still tells, where the checkpoint breaks off. Memory holds what the log says, never the rows.

use std::collections::{BTreeSet, VecDeque};

use super::basis::Entries;
use crate::backend::Key;
use crate::embedded::checkpoint::{LogDelta, Merge};
use crate::embedded::record::{Body, RowRecord};

/// A row that stands.
#[derive(Clone, Debug)]
pub struct Row {
    pub key: Key,
    pub value: Vec<u8>,
    pub body: Option<Body>,
    /// It stood when the log ended; otherwise it may have been deleted or replaced since.
    pub is_certain: bool,
}

/// What rows are made from.
pub(super) struct Source {
    pub(super) basis: Option<Entries>,
    /// So many of its rows could be read.
    pub(super) rows_known: u64,
    /// The last key of a checkpoint that breaks off there.
    pub(super) until: Option<Vec<u8>>,
    /// Rows of checkpoint and late log stand for sure.
    pub(super) is_known: bool,
    pub(super) late: LogDelta,
    pub(super) late_keys: BTreeSet<Vec<u8>>,
    pub(super) early: LogDelta,
}

/// The rows that stand, in the order of their keys as long as that can be told.
pub struct Rows {
    basis: Option<Entries>,
    rows_known: u64,
    rows_read: u64,
    last_key: Vec<u8>,
    broke_off: Option<String>,
    until: Option<Vec<u8>>,
    is_known: bool,
    late: Merge,
    late_keys: BTreeSet<Vec<u8>>,
    early: Merge,
    ready: VecDeque<Row>,
}

impl Rows {
    pub(super) fn new(source: Source) -> Self {
        Self {
            basis: source.basis,
            rows_known: source.rows_known,
            rows_read: 0,
            last_key: Vec::new(),
            broke_off: None,
            until: source.until,
            is_known: source.is_known,
            late: Merge::new(source.late),
            late_keys: source.late_keys,
            early: Merge::new(source.early),
            ready: VecDeque::new(),
        }
    }

    /// Why rows of the checkpoint are missing that were there when it was looked through; `None`: none are, as far as
    /// rows were asked for.
    pub fn broke_off(&self) -> Option<&str> {
        self.broke_off.as_deref()
    }

    /// The next row; `None` after the last. Then see [`Self::broke_off`].
    pub async fn next(&mut self) -> Option<Row> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(row);
            }
            if !self.advance().await {
                return self.ready.pop_front();
            }
        }
    }

    /// Goes on by one row of the checkpoint or one change of the log; `false` when there is none.
    async fn advance(&mut self) -> bool {
        let (ready, is_certain) = (&mut self.ready, self.is_known);
        let mut out = |key: &[u8], row: &RowRecord| ready.push_back(told(key, row, is_certain));
        if let Some(basis) = &mut self.basis {
            match basis.next_row().await {
                // Out of order it cannot be: the decoder refuses that.
                Ok(Some((key, row))) => {
                    self.rows_read += 1;
                    self.last_key.clone_from(&key);
                    drop(self.late.row(&key, &row, &mut out));
                }
                Ok(None) => self.basis = None,
                Err(reason) => {
                    self.basis = None;
                    // Where it was known to break off, that was said.
                    if self.rows_read < self.rows_known {
                        self.broke_off = Some(reason);
                        self.until = Some(std::mem::take(&mut self.last_key));
                    }
                }
            }
            return true;
        }
        if self.late.change_before(None, &mut out) {
            return true;
        }
        let (until, late_keys) = (&self.until, &self.late_keys);
        let is_told = |key: &[u8]| {
            let before = until.as_ref().is_none_or(|until| key <= until.as_slice());
            before || late_keys.contains(key)
        };
        let mut out = |key: &[u8], row: &RowRecord| {
            if !is_told(key) {
                ready.push_back(told(key, row, false));
            }
        };
        self.early.change_before(None, &mut out)
    }
}

fn told(key: &[u8], row: &RowRecord, is_certain: bool) -> Row {
    Row {
        key: Key::new(key.to_vec()),
        value: row.value.to_vec(),
        body: row.body.clone(),
        is_certain,
    }
}
