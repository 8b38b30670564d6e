//! The segment table as it is now: every segment a row may name, how many of its bytes are live, and who reads it.
//! It owns the counters and the rule what a change of rows does to them; it never decides that a segment is dead and
//! never takes a file away.

mod tolerance;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use minicbor::{Decode, Encode};
use parking_lot::RwLock;

use super::id::{DriveId, SegmentId};
use super::index::{Index, IndexError};
use super::record::{RowOp, RowRecord};
use super::segment::{Segment, SegmentKind};
use crate::backend::Key;
#[cfg(test)]
use crate::planted;

pub use self::tolerance::spare;

/// Shard files that are compared before others may change the table.
const STRETCH: usize = 1024;

/// A segment with its counters, as a checkpoint holds it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TableEntry {
    #[n(0)]
    pub segment: Segment,
    /// Bytes of bodies that standing rows own in it.
    #[n(1)]
    pub live: u64,
    /// Bytes of all bodies that were ever written to it, for log segments and packs; 0 for other kinds.
    #[n(2)]
    pub body_bytes: u64,
}

/// All entries at one moment.
pub type TableSnapshot = BTreeMap<SegmentId, TableEntry>;

/// What a change of rows does to the live bytes of each segment.
pub type LiveDelta = BTreeMap<SegmentId, i64>;

/// Counters of all segments. Cheap to share; changed by the committer only, read and pinned by everyone.
#[derive(Debug, Default)]
pub struct SegmentTable {
    entries: RwLock<HashMap<SegmentId, Tracked>>,
}

#[derive(Debug)]
struct Tracked {
    segment: Segment,
    live: i64,
    body_bytes: u64,
    /// The most that was ever live in it since the table is kept.
    peak: i64,
    /// No reader may begin any more: its removal is being recorded.
    condemned: bool,
    /// A job works on it.
    leased: Arc<AtomicBool>,
    pins: Arc<AtomicUsize>,
}

/// Keeps the files of a segment while it is read. Dropping it lets go.
#[derive(Debug)]
pub struct Pin(Arc<AtomicUsize>);

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The right of one job to work on a segment: while it is held no other job begins and nothing condemns the segment.
/// Dropping it gives it back.
#[derive(Debug)]
pub struct Lease(Arc<AtomicBool>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl SegmentTable {
    /// The table of a checkpoint or of a clean stop; without pins.
    pub fn from_snapshot(snapshot: TableSnapshot) -> Self {
        let table = Self::default();
        for (id, entry) in snapshot {
            let tracked = Tracked {
                live: i64::try_from(entry.live).unwrap_or(i64::MAX),
                peak: i64::try_from(entry.live).unwrap_or(i64::MAX),
                body_bytes: entry.body_bytes,
                ..Tracked::new(entry.segment)
            };
            table.entries.write().insert(id, tracked);
        }
        table
    }

    /// Takes a segment in, or takes over what is new about a known one (its drives); the counters stay.
    pub fn declare(&self, segment: Segment) {
        match self.entries.write().entry(segment.id) {
            Entry::Occupied(mut known) => known.get_mut().segment = segment,
            Entry::Vacant(vacant) => {
                vacant.insert(Tracked::new(segment));
            }
        }
    }

    /// Counts body bytes that a record wrote to its log segment.
    pub fn add_body_bytes(&self, id: SegmentId, bytes: u64) {
        if let Some(entry) = self.entries.write().get_mut(&id) {
            entry.body_bytes += bytes;
        }
    }

    /// Applies what [`live_delta`] said; call it together with the change of the rows.
    pub fn apply(&self, delta: &LiveDelta) {
        if delta.is_empty() {
            return;
        }
        let mut entries = self.entries.write();
        for (id, bytes) in delta {
            match entries.get_mut(id) {
                Some(entry) => {
                    entry.live += bytes;
                    entry.peak = entry.peak.max(entry.live);
                    if entry.segment.kind == SegmentKind::Pack && entry.body_bytes == 0 {
                        // The record that declares a pack names all that is in it.
                        entry.body_bytes = u64::try_from(*bytes).unwrap_or(0);
                    }
                }
                // The next checkpoint finds the difference and has the index rebuilt.
                None => tracing::error!(segment = %id, bytes, "a row names a segment that the table does not know"),
            }
        }
    }

    pub fn segment(&self, id: SegmentId) -> Option<Segment> {
        self.entries.read().get(&id).map(|entry| entry.segment.clone())
    }

    /// Live bytes of a segment; `None` is "not known", which is never "dead".
    pub fn live(&self, id: SegmentId) -> Option<i64> {
        self.entries.read().get(&id).map(|entry| entry.live)
    }

    /// The segment and a pin on it; `None` if it is not known or on its way out: then read the row again.
    pub fn pin(&self, id: SegmentId) -> Option<(Segment, Pin)> {
        let entries = self.entries.read();
        let entry = entries.get(&id).filter(|entry| !entry.condemned)?;
        entry.pins.fetch_add(1, Ordering::AcqRel);
        Some((entry.segment.clone(), Pin(Arc::clone(&entry.pins))))
    }

    pub fn pins(&self, id: SegmentId) -> usize {
        self.entries
            .read()
            .get(&id)
            .map_or(0, |entry| entry.pins.load(Ordering::Acquire))
    }

    /// The entry of a segment and the lease on it; `None` if it is not known, on its way out, or another job has it.
    pub fn lease(&self, id: SegmentId) -> Option<(TableEntry, Lease)> {
        let entries = self.entries.write();
        let entry = entries.get(&id).filter(|entry| !entry.condemned)?;
        if entry.leased.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some((entry.to_entry(), Lease(Arc::clone(&entry.leased))))
    }

    /// Bars new readers from those of `ids` that have no live bytes, no reader and no job at work on them, and gives
    /// them. Do this before the record of their removal is queued.
    pub fn condemn(&self, ids: impl IntoIterator<Item = SegmentId>) -> Vec<SegmentId> {
        let mut entries = self.entries.write();
        let mut condemned = Vec::new();
        for id in ids {
            let Some(entry) = entries.get_mut(&id) else { continue };
            let live = entry.live;
            #[cfg(test)]
            let live = if planted::is(planted::Bug::DeadWhileLive) {
                0
            } else {
                live
            };
            let in_use = entry.leased.load(Ordering::Acquire) || entry.pins.load(Ordering::Acquire) > 0;
            if live == 0 && !entry.condemned && !in_use {
                entry.condemned = true;
                condemned.push(id);
            }
        }
        condemned
    }

    /// Takes a condemnation back, because the removal could not be recorded.
    pub fn pardon(&self, ids: &[SegmentId]) {
        let mut entries = self.entries.write();
        for id in ids {
            if let Some(entry) = entries.get_mut(id) {
                entry.condemned = false;
            }
        }
    }

    /// Takes a segment out, because its removal is recorded.
    pub fn remove(&self, id: SegmentId) {
        self.entries.write().remove(&id);
    }

    /// Of every segment that nothing condemns: id, bytes stored as far as known, live bytes, kind.
    pub fn stored(&self) -> Vec<(SegmentId, u64, u64, SegmentKind)> {
        let entries = self.entries.read();
        let known = entries.iter().filter(|(_, entry)| !entry.condemned);
        let stored = |(id, entry): (&SegmentId, &Tracked)| {
            let counted = |count: i64| u64::try_from(count).unwrap_or(0);
            (
                *id,
                entry.body_bytes.max(counted(entry.peak)),
                counted(entry.live),
                entry.segment.kind,
            )
        };
        known.map(stored).collect()
    }

    pub fn len(&self) -> usize {
        self.entries.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of all entries. The committer makes it between two records: then it belongs to that position of the log.
    pub fn snapshot(&self) -> TableSnapshot {
        let copy = |(id, entry): (&SegmentId, &Tracked)| {
            if entry.live < 0 {
                tracing::error!(segment = %id, live = entry.live, "more bytes were given up than were live");
            }
            (*id, entry.to_entry())
        };
        self.entries.read().iter().map(copy).collect()
    }

    /// The entry of one segment.
    pub fn entry(&self, id: SegmentId) -> Option<TableEntry> {
        self.entries.read().get(&id).map(Tracked::to_entry)
    }

    /// All segments, in the order of their ids.
    pub fn ids(&self) -> Vec<SegmentId> {
        let mut ids: Vec<SegmentId> = self.entries.read().keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Of shard files on a drive those whose segment lists another drive for the shard, a stretch at a time.
    pub fn listed_elsewhere<'a>(
        &'a self,
        drive: DriveId,
        files: &'a [(SegmentId, u8, SegmentKind)],
    ) -> impl Iterator<Item = SegmentId> + 'a {
        let elsewhere = move |stretch: &'a [(SegmentId, u8, SegmentKind)]| -> Vec<SegmentId> {
            let entries = self.entries.read();
            let listed = |id: &SegmentId, shard: u8| entries.get(id)?.segment.drives.get(usize::from(shard)).copied();
            let strays = stretch
                .iter()
                .filter(|(id, shard, _)| listed(id, *shard).is_some_and(|listed| listed != drive));
            strays.map(|(id, ..)| *id).collect()
        };
        files.chunks(STRETCH).flat_map(elsewhere)
    }

    /// The segments that rows own bytes in, in no order.
    pub fn live_ids(&self) -> Vec<SegmentId> {
        let entries = self.entries.read();
        let live = entries.iter().filter(|(_, entry)| entry.live > 0 && !entry.condemned);
        live.map(|(id, _)| *id).collect()
    }
}

impl Tracked {
    fn new(segment: Segment) -> Self {
        Self {
            segment,
            live: 0,
            body_bytes: 0,
            peak: 0,
            condemned: false,
            leased: Arc::default(),
            pins: Arc::default(),
        }
    }

    fn to_entry(&self) -> TableEntry {
        TableEntry {
            segment: self.segment.clone(),
            live: u64::try_from(self.live).unwrap_or(0),
            body_bytes: self.body_bytes,
        }
    }
}

/// Rows as they are before a change.
pub trait RowSource {
    type Error;

    fn row(&self, key: &[u8]) -> Result<Option<RowRecord>, Self::Error>;

    /// All rows that name `parent` as the row they depend on.
    fn rows_of(&self, parent: &[u8]) -> Result<Vec<(Key, RowRecord)>, Self::Error>;
}

impl RowSource for Index {
    type Error = IndexError;

    fn row(&self, key: &[u8]) -> Result<Option<RowRecord>, IndexError> {
        self.get(key)
    }

    fn rows_of(&self, parent: &[u8]) -> Result<Vec<(Key, RowRecord)>, IndexError> {
        self.dependent_rows(parent)
    }
}

/// What `ops` do to the live bytes, given the rows before them. A row that depends on a parent counts only while the
/// parent stands: what a deleted parent's dependents own is given up here, unless the same ops put it elsewhere.
pub fn live_delta<S: RowSource>(rows: &S, ops: &[RowOp]) -> Result<LiveDelta, S::Error> {
    let change = Change::new(rows, ops);
    let mut delta = LiveDelta::new();
    let mut seen: BTreeSet<Vec<u8>> = change.after.keys().map(|key| key.to_vec()).collect();
    let mut waiting: VecDeque<Vec<u8>> = seen.iter().cloned().collect();
    while let Some(key) = waiting.pop_front() {
        let before = rows.row(&key)?;
        let after = change.row_after(&key, before.as_ref());
        let stood = change.stands(&key, before.as_ref(), false)?;
        let stands = change.stands(&key, after, true)?;
        count(&mut delta, before.as_ref().filter(|_| stood), -1);
        count(&mut delta, after.filter(|_| stands), 1);
        if stood == stands {
            continue;
        }
        for (child, _) in rows.rows_of(&key)? {
            if seen.insert(child.as_bytes().to_vec()) {
                waiting.push_back(child.as_bytes().to_vec());
            }
        }
    }
    delta.retain(|_, bytes| *bytes != 0);
    Ok(delta)
}

/// A row that `ops` put although the row it depends on will not stand, or which depended on another row, or on none,
/// until now. A batch with one must be refused: a checkpoint sees only the last word on each key and could otherwise
/// not tell what was there all the time from what went and came back.
pub fn misplaced<S: RowSource>(rows: &S, ops: &[RowOp]) -> Result<Option<Key>, S::Error> {
    let change = Change::new(rows, ops);
    for (key, row) in &change.after {
        let Some(put) = row else { continue };
        let moved = match rows.row(key)? {
            Some(before) => before.parent_len != put.parent_len,
            None => false,
        };
        if moved || !change.stands(key, *row, true)? {
            return Ok(Some(Key::new(key.to_vec())));
        }
    }
    Ok(None)
}

struct Change<'a, S> {
    rows: &'a S,
    /// What the ops put; `None` is deleted.
    after: BTreeMap<&'a [u8], Option<&'a RowRecord>>,
}

impl<'a, S: RowSource> Change<'a, S> {
    fn new(rows: &'a S, ops: &'a [RowOp]) -> Self {
        Self {
            rows,
            after: ops.iter().map(|op| (op.key(), put_row(op))).collect(),
        }
    }

    fn row_after<'b>(&self, key: &[u8], before: Option<&'b RowRecord>) -> Option<&'b RowRecord>
    where
        'a: 'b,
    {
        self.after.get(key).copied().unwrap_or(before)
    }

    /// Whether a row stands: it is there, and the row it depends on stands.
    fn stands(&self, key: &[u8], row: Option<&RowRecord>, after: bool) -> Result<bool, S::Error> {
        let Some(row) = row else { return Ok(false) };
        let Some(len) = row.parent_len.map(usize::from) else {
            return Ok(true);
        };
        // A parent's key is shorter, so this ends.
        let Some(parent) = key.get(..len).filter(|_| len < key.len()) else {
            return Ok(false);
        };
        if let Some(put) = self.after.get(parent).filter(|_| after) {
            return self.stands(parent, *put, after);
        }
        let stored = self.rows.row(parent)?;
        self.stands(parent, stored.as_ref(), after)
    }
}

fn put_row(op: &RowOp) -> Option<&RowRecord> {
    match op {
        RowOp::Put { row, .. } => Some(row),
        RowOp::Delete { .. } => None,
    }
}

fn count(delta: &mut LiveDelta, row: Option<&RowRecord>, sign: i64) {
    let Some(body) = row.and_then(|row| row.body.as_ref()) else {
        return;
    };
    for live in body.live_bytes() {
        *delta.entry(live.segment).or_default() += sign * i64::try_from(live.bytes).unwrap_or(i64::MAX);
    }
}

#[cfg(test)]
pub(crate) mod tests;
