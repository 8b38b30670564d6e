//! The new log segment of a reseat: chosen drives, shard files with the head record, everything synced. Until the root
//! names it, it is an orphan that changes nothing. It never changes the root.

use std::sync::Arc;

use super::append::{DriveJob, Fault, FaultKind, on_all};
use super::assemble::{Assembled, BatchOps, RecordFacts, assemble};
use crate::embedded::drive::{Drive, ShardFile};
use crate::embedded::erasure::{Codec, Geometry};
use crate::embedded::frame::{FORMAT_VERSION, SHARD_HEADER_BYTES, ShardHeader};
use crate::embedded::id::{DriveId, SegmentId, StoreId};
use crate::embedded::segment::{Segment, SegmentKind};

/// What the head record holds: the waiting batch, the kept tail, or nothing.
pub struct Head<'a> {
    pub facts: RecordFacts,
    pub batches: Vec<BatchOps<'a>>,
}

/// A log segment on stable media whose head record is written; not yet named by the root.
pub struct NewSegment {
    pub segment: Segment,
    pub files: Vec<(Arc<Drive>, ShardFile)>,
    pub codec: Codec,
    pub head: Assembled,
    /// Where the next record goes.
    pub end: u64,
    /// Epoch of the change of the root that is to name it.
    pub epoch: u64,
}

/// Makes a new segment on drives out of `candidates`, of the `takers` that could be. Drives that fail are left out and the next attempt does without
/// them, as long as `writable_without` them the store could go on; all faults are returned beside the result.
pub fn write_new_segment(
    store: StoreId,
    epoch: u64,
    (parity, takers): (u8, usize),
    mut candidates: Vec<Arc<Drive>>,
    mut head: Head<'_>,
    writable_without: impl Fn(&[Fault]) -> bool,
) -> (Option<NewSegment>, Vec<Fault>) {
    let mut faults: Vec<Fault> = Vec::new();
    while writable_without(&faults) {
        let Some(geometry) = Geometry::for_log(candidates.len(), parity) else {
            break;
        };
        let attempt = attempt(
            store,
            epoch,
            (geometry, geometry.short_of(Geometry::for_log(takers, parity))),
            choose_drives(&candidates, geometry.shards()),
            &mut head,
            |late| {
                let mut with_late = faults.clone();
                with_late.extend(late.iter().map(|id| Fault {
                    drive: *id,
                    kind: FaultKind::Failed,
                    reason: String::new(),
                }));
                writable_without(&with_late)
            },
        );
        match attempt {
            Ok(made) => return (Some(made), faults),
            Err(new) if new.is_empty() => break,
            Err(new) => {
                candidates.retain(|drive| !new.iter().any(|fault| fault.drive == drive.id()));
                faults.extend(new);
            }
        }
    }
    (None, faults)
}

/// `count` drives, those with most free space when it was last looked at first; equal ones in no fixed order.
pub fn choose_drives(candidates: &[Arc<Drive>], count: usize) -> Vec<Arc<Drive>> {
    if candidates.len() <= count {
        return candidates.to_vec();
    }
    let mut ranked: Vec<_> = candidates
        .iter()
        .map(|drive| {
            let free = drive.space_seen().free;
            let random = SegmentId::random().map_or([0; 16], |id| *id.as_bytes());
            (std::cmp::Reverse(free), random, Arc::clone(drive))
        })
        .collect();
    ranked.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    ranked.into_iter().take(count).map(|(_, _, drive)| drive).collect()
}

/// One try on exactly these drives. The files of a failed try are removed as far as possible; the orphan sweep finds
/// the rest.
fn attempt(
    store: StoreId,
    epoch: u64,
    (geometry, full_width): (Geometry, Option<u8>),
    drives: Vec<Arc<Drive>>,
    head: &mut Head<'_>,
    writable_without: impl Fn(&[DriveId]) -> bool,
) -> Result<NewSegment, Vec<Fault>> {
    let Ok(id) = SegmentId::random() else {
        return Err(vec![]);
    };
    let ids = drives.iter().map(|drive| drive.id()).collect();
    let segment = Segment {
        id,
        kind: SegmentKind::Log,
        geometry,
        drives: ids,
        full_width,
    };
    let first = SHARD_HEADER_BYTES;
    let Ok(codec) = Codec::new(geometry) else {
        return Err(vec![]);
    };
    let facts = head.facts.clone();
    let Ok(assembled) = assemble(&segment, &codec, first, facts, &mut head.batches) else {
        return Err(vec![]);
    };
    let jobs = drives
        .iter()
        .zip(&assembled.shards)
        .enumerate()
        .map(|(index, (drive, bytes))| {
            let shard = u8::try_from(index).unwrap_or(u8::MAX);
            let header = ShardHeader {
                format: FORMAT_VERSION,
                store,
                segment: id,
                kind: SegmentKind::Log,
                shard,
                geometry,
                created_epoch: epoch,
            };
            let (drive_in_job, bytes) = (Arc::clone(drive), bytes.clone());
            let job: DriveJob<ShardFile> = Box::new(move || {
                let file = drive_in_job.create_shard(&header)?;
                file.write_vectored_at(first, &[bytes])?;
                file.sync_data()?;
                drive_in_job.sync_shard_dir(header.kind, header.segment)?;
                Ok(file)
            });
            (Arc::clone(drive), job)
        });
    let answers = on_all(jobs.collect(), usize::from(geometry.parity), writable_without);
    let mut files = Vec::with_capacity(drives.len());
    let mut faults = Vec::new();
    for (drive, answer) in drives.into_iter().zip(answers) {
        match answer {
            Ok(file) => files.push((drive, file)),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        let end = first + assembled.len;
        return Ok(NewSegment {
            segment,
            files,
            codec,
            head: assembled,
            end,
            epoch,
        });
    }
    for (shard, holder) in (0u8..).zip(&segment.drives) {
        if let Some((drive, _)) = files.iter().find(|(drive, _)| drive.id() == *holder) {
            drive.remove_shard_later(SegmentKind::Log, id, shard);
        }
    }
    Err(faults)
}
