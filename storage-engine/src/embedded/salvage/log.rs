//! The log as far as it can be read: whole where a start would demand it, and over gaps where a start would stop. It says
//! which gaps there are, and of which record nobody can tell whether it counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::basis::Basis;
use super::shelf::Shelf;
use crate::backend::Key;
use crate::embedded::checkpoint::{LogDelta, Position};
use crate::embedded::frame::SHARD_HEADER_BYTES;
use crate::embedded::id::SegmentId;
use crate::embedded::log::{FoundRecord, LogDrives, LogReader};
use crate::embedded::root::Root;
use crate::embedded::segment::{Segment, SegmentKind};

/// A log segment that is read.
struct Stretch {
    segment: Segment,
    from: u64,
    /// Bytes of each shard file that count; `None` where no root says it.
    valid_len: Option<u64>,
}

/// What is read, in this order.
pub(super) struct Plan {
    stretches: Vec<Stretch>,
    /// Segments that rows may lead into.
    declared: Vec<Segment>,
    notes: Vec<String>,
    /// What stands before the checkpoint's place is wanted, too.
    with_early: bool,
}

impl Plan {
    /// With a whole checkpoint the log behind it; else all of it that is left. Without a root in the order in which the
    /// segments were made. Blocks.
    pub(super) fn of(root: Option<&Root>, basis: &Basis, shelf: &mut Shelf) -> Self {
        let mut plan = Self {
            stretches: Vec::new(),
            declared: Vec::new(),
            notes: Vec::new(),
            with_early: !basis.is_whole(),
        };
        let named: Vec<SegmentId> = root
            .iter()
            .flat_map(|root| &root.log)
            .map(|log| log.segment.id)
            .collect();
        shelf.declare(root.iter().flat_map(|root| &root.log).map(|log| log.segment.clone()));
        if root.is_none() || !basis.is_whole() {
            let mut older = shelf.in_folder(SegmentKind::Log);
            older.retain(|id| !named.contains(id));
            older.sort_by_cached_key(|id| shelf.made_in(*id));
            for id in older {
                plan.add(id, SHARD_HEADER_BYTES, None, shelf);
            }
        }
        let from = basis.position().filter(|_| basis.is_whole());
        let first = from.and_then(|from| named.iter().position(|id| *id == from.segment));
        if let (Some(from), None, Some(_)) = (from, first, root) {
            let id = from.segment;
            plan.notes.push(format!(
                "the root does not name log segment {id}, behind which the log goes on"
            ));
        }
        for log in root.iter().flat_map(|root| root.log.iter().skip(first.unwrap_or(0))) {
            let begin = from
                .filter(|from| from.segment == log.segment.id)
                .map_or(SHARD_HEADER_BYTES, |from| from.offset);
            plan.add(log.segment.id, begin, log.valid_len, shelf);
        }
        plan
    }

    fn add(&mut self, id: SegmentId, from: u64, valid_len: Option<u64>, shelf: &mut Shelf) {
        match shelf.segment(id) {
            Some(segment) => {
                self.declared.push(segment.clone());
                self.stretches.push(Stretch {
                    segment,
                    from,
                    valid_len,
                });
            }
            None => self.notes.push(format!("log segment {id} is on no given drive")),
        }
    }
}

/// What the log says.
pub(super) struct Logged {
    /// Behind the checkpoint, or all of it if there is none.
    pub(super) late: LogDelta,
    /// Keys that it has a word on.
    pub(super) late_keys: BTreeSet<Vec<u8>>,
    /// Before the checkpoint, where that breaks off.
    pub(super) early: LogDelta,
    pub(super) declared: Vec<Segment>,
    pub(super) undecided: Vec<Key>,
    pub(super) notes: Vec<String>,
}

/// Reads what is planned. Blocks; not on a thread of the runtime itself.
pub(super) fn read_log(plan: &Plan, from: Option<Position>, drives: &Arc<LogDrives>) -> Logged {
    let mut logged = Logged {
        late: LogDelta::default(),
        late_keys: BTreeSet::new(),
        early: LogDelta::default(),
        declared: plan.declared.clone(),
        undecided: Vec::new(),
        notes: plan.notes.clone(),
    };
    for stretch in &plan.stretches {
        let (reader, _) = LogReader::open(&stretch.segment, drives);
        if reader.present() == 0 {
            logged.note(stretch, "no shard file of it can be opened");
            continue;
        }
        logged.walk(stretch, &reader, (from.as_ref(), plan.with_early));
    }
    logged
}

impl Logged {
    fn note(&mut self, stretch: &Stretch, what: &str) {
        let id = stretch.segment.id;
        self.notes.push(format!(
            "log segment {id}: {what}; what it said of objects is not known"
        ));
    }

    fn walk(&mut self, stretch: &Stretch, reader: &LogReader, from: (Option<&Position>, bool)) {
        let mut at = stretch.from;
        let mut last: Option<FoundRecord> = None;
        let counts = |offset: u64| stretch.valid_len.is_none_or(|len| offset < len);
        while counts(at) {
            let found = match reader.record_at(at) {
                Some(found) => found,
                None => match reader.next_readable(at).filter(|found| counts(found.offset)) {
                    Some(found) => {
                        self.note(stretch, &format!("bytes {at} to {} cannot be read", found.offset));
                        found
                    }
                    None => {
                        if let Some(len) = stretch.valid_len {
                            self.note(stretch, &format!("bytes {at} to {len} cannot be read"));
                        }
                        break;
                    }
                },
            };
            at = found.offset.saturating_add(found.record.len);
            if let Some(acknowledged) = last.replace(found) {
                self.absorb(stretch, acknowledged, from);
            }
        }
        let Some(last) = last else { return };
        // The head was synced before the root named the segment; of any other last record only its bodies can tell.
        let committed = stretch.valid_len.is_some() || last.offset == SHARD_HEADER_BYTES;
        if committed || reader.is_whole(&last) {
            self.absorb(stretch, last, from);
        } else {
            let keys = last.record.ops.iter().map(|op| Key::new(op.key().to_vec()));
            self.undecided.extend(keys);
        }
    }

    fn absorb(&mut self, stretch: &Stretch, found: FoundRecord, (from, with_early): (Option<&Position>, bool)) {
        let record = found.record;
        self.declared.extend(record.segments.iter().cloned());
        if from.is_some_and(|from| record.seq <= from.seq) {
            if with_early {
                self.early.absorb(stretch.segment.id, record);
            }
        } else {
            self.late_keys.extend(record.ops.iter().map(|op| op.key().to_vec()));
            self.late.absorb(stretch.segment.id, record);
        }
    }
}
