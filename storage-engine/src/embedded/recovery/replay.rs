//! The log behind a checkpoint: which records count, in order, and what becomes of the last one. It reads shard files
//! and decides; it never writes to a drive.

use std::sync::Arc;

use crate::embedded::checkpoint::Position;
use crate::embedded::frame::SHARD_HEADER_BYTES;
use crate::embedded::id::SegmentId;
use crate::embedded::log::{FoundRecord, LogDrives, LogReader};
use crate::embedded::root::{LogSegment, Root};
#[cfg(test)]
use crate::planted;

/// Why the log cannot be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error(
        "log segment {segment} cannot be read at offset {offset}: no good copy on the {present} of {shards} drives \
         that are present"
    )]
    Damaged {
        segment: String,
        offset: u64,
        present: usize,
        shards: usize,
    },
    #[error("the checkpoint's place in the log is not known to the root")]
    Unconnected,
    #[error("applying the log: {0}")]
    Apply(String),
}

/// What becomes of the record after the highest commit mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is whole and counts, whatever other drives show.
    Keep,
    /// It was never acknowledged.
    Drop,
    /// Too many of its drives are missing to tell.
    Undecided,
}

/// The record after the highest commit mark of the open segment.
#[derive(Clone, Debug)]
pub struct Tail {
    pub record: FoundRecord,
    pub verdict: Verdict,
}

/// Where the log ends.
#[derive(Clone, Debug)]
pub struct LogEnd {
    /// Everything before this offset of the open segment is committed; `None` if no segment is open.
    pub committed: Option<Position>,
    pub tail: Option<Tail>,
    pub metadata_bytes: u64,
}

/// Whole: keep. Not whole, and at most m of its drives missing or replaced: a record that was acknowledged stood on
/// every one of them, so this one was not.
fn judge(whole: bool, missing: usize, parity: usize) -> Verdict {
    match (whole, missing <= parity) {
        (true, _) => Verdict::Keep,
        (false, true) => Verdict::Drop,
        (false, false) => Verdict::Undecided,
    }
}

/// Hands every committed record behind `from` to `apply`, in order, and says where the log ends.
pub fn replay(
    root: &Root,
    from: &Position,
    drives: &Arc<LogDrives>,
    mut apply: impl FnMut(SegmentId, &FoundRecord) -> Result<(), String>,
) -> Result<LogEnd, ReplayError> {
    let first = root
        .log
        .iter()
        .position(|log| log.segment.id == from.segment)
        .ok_or(ReplayError::Unconnected)?;
    let mut end = LogEnd {
        committed: None,
        tail: None,
        metadata_bytes: 0,
    };
    for log in root.log.iter().skip(first) {
        let start = if log.segment.id == from.segment {
            from.offset
        } else {
            SHARD_HEADER_BYTES
        };
        let (reader, errors) = LogReader::open(&log.segment, drives);
        for (drive, error) in errors {
            tracing::warn!(%drive, %error, segment = %log.segment.id, "a shard file of the log cannot be opened");
        }
        let mut applied = |found: &FoundRecord| {
            end.metadata_bytes += u64::from(found.record.body_at);
            apply(log.segment.id, found).map_err(ReplayError::Apply)
        };
        match log.valid_len {
            Some(valid_len) => replay_sealed(&reader, start, valid_len, &mut applied)?,
            None => {
                let (position, tail) = replay_open(log, &reader, start, from.seq, &mut applied)?;
                end.committed = Some(position);
                end.tail = tail;
            }
        }
    }
    Ok(end)
}

fn damaged(reader: &LogReader, offset: u64) -> ReplayError {
    let segment = reader.segment();
    ReplayError::Damaged {
        segment: segment.id.to_string(),
        offset,
        present: reader.present(),
        shards: segment.geometry.shards(),
    }
}

fn replay_sealed(
    reader: &LogReader,
    start: u64,
    valid_len: u64,
    apply: &mut impl FnMut(&FoundRecord) -> Result<(), ReplayError>,
) -> Result<(), ReplayError> {
    let mut at = start;
    while at < valid_len {
        let found = reader.record_at(at).ok_or_else(|| damaged(reader, at))?;
        apply(&found)?;
        at += found.record.len;
    }
    #[cfg(test)]
    while let Some(found) = reader.record_at(at).filter(|_| planted::is(planted::Bug::SealIgnored)) {
        apply(&found)?;
        at += found.record.len;
    }
    Ok(())
}

/// The records of the open segment up to the highest mark, and the one after it.
fn replay_open(
    log: &LogSegment,
    reader: &LogReader,
    start: u64,
    last_seq: u64,
    apply: &mut impl FnMut(&FoundRecord) -> Result<(), ReplayError>,
) -> Result<(Position, Option<Tail>), ReplayError> {
    let (mut at, mut seq) = (start, last_seq);
    let mut last: Option<FoundRecord> = None;
    loop {
        let Some(found) = reader.record_at(at) else {
            // A readable record further on says that what stood here was acknowledged: damage, not the log's end.
            if reader.next_readable(at).is_some() {
                return Err(damaged(reader, at));
            }
            break;
        };
        at += found.record.len;
        if let Some(acknowledged) = last.replace(found) {
            seq = acknowledged.record.seq;
            apply(&acknowledged)?;
        }
    }
    let position = |offset, seq| Position {
        segment: log.segment.id,
        offset,
        seq,
        epoch: log.epoch,
    };
    let Some(last) = last else {
        return Ok((position(at, seq), None));
    };
    if last.offset == SHARD_HEADER_BYTES {
        // The head record was synced before the root named the segment: committed by that.
        apply(&last)?;
        return Ok((position(at, last.record.seq), None));
    }
    let missing = log.segment.geometry.shards() - reader.present();
    let record = last;
    let verdict = judge(
        reader.is_whole(&record),
        missing,
        usize::from(log.segment.geometry.parity),
    );
    Ok((position(record.offset, seq), Some(Tail { record, verdict })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_tail_is_kept_and_a_torn_one_dropped_only_when_enough_drives_can_tell() {
        assert_eq!(judge(true, 0, 2), Verdict::Keep);
        assert_eq!(judge(true, 3, 2), Verdict::Keep);
        assert_eq!(judge(false, 2, 2), Verdict::Drop);
        assert_eq!(judge(false, 3, 2), Verdict::Undecided);
    }
}
