//! Counting: what of all that is needed is there, whole, on drives of its own, and what is left over. It changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::check::check_shard;
use super::pace::Pace;
use super::status::{Census, CensusDepth, LATE_MAX};
use super::stream::NoFrame;
use super::survey::{Needed, Survey};
use crate::embedded::core::Shared;
use crate::embedded::drive::Lane;
use crate::embedded::frame::{SHARD_HEADER_BYTES, ShardHeader};
use crate::embedded::id::SegmentId;
use crate::embedded::segment::PresentDrive;

/// An answer that takes so long and then does not come is one of a drive that is being put out for it.
const LATE: Duration = Duration::from_secs(4);

/// Counts the whole store; `start_epoch` tells what earlier runs left from what this run is making.
pub(super) async fn count(shared: &Arc<Shared>, depth: CensusDepth, start_epoch: u64, pace: &Pace) -> Census {
    let began = Instant::now();
    let survey = Survey::of(shared);
    let ids = survey.needed_ids(shared);
    let mut census = Census {
        depth,
        segments: 0,
        whole: 0,
        thin: 0,
        unreadable: 0,
        bad_shards: 0,
        orphans: 0,
        narrow: 0,
        narrow_bytes: 0,
        could_be_wider: 0,
        verified_bytes: 0,
        took: began.elapsed(),
    };
    for id in &ids {
        // Pinned: it is not removed while it is counted.
        let pinned = shared.table.pin(*id);
        let entry = shared.table.entry(*id).filter(|_| pinned.is_some());
        let Some(needed) = entry.and_then(|entry| survey.needed(entry)) else {
            continue;
        };
        if depth == CensusDepth::Frames {
            census.verified_bytes += verify(shared, &survey, &needed, pace).await;
        }
        census.add(&survey.judge(shared, needed.segment()));
        if needed.segment().is_narrow() && needed.entry.live > 0 {
            census.narrow += 1;
            census.narrow_bytes += needed.entry.live;
            census.could_be_wider += u64::from(survey.could_be_wider(needed.segment()));
        }
    }
    if let Some(newest) = &survey.checkpoint {
        if depth == CensusDepth::Frames {
            census.verified_bytes += verify(shared, &survey, newest, pace).await;
        }
        census.add(&survey.judge(shared, newest.segment()));
    }
    // Of the checkpoints only the newest has to be whole.
    let newest = survey.checkpoint.as_ref().map(|newest| newest.segment().id);
    let needed = |id: SegmentId| ids.contains(&id) || Some(id) == newest;
    census.bad_shards = shared.service.heal.keep_bad(needed);
    for on in &survey.present {
        census.orphans += orphans(shared, &survey, on, start_epoch).await;
    }
    census.took = began.elapsed();
    census
}

impl Census {
    fn add(&mut self, finding: &super::plan::Finding) {
        self.segments += 1;
        if finding.is_whole() {
            self.whole += 1;
        } else if finding.spare >= 0 {
            self.thin += 1;
        } else {
            self.unreadable += 1;
        }
    }
}

/// Verifies every shard file of a segment, and notes which are bad. Gives the bytes read.
async fn verify(shared: &Arc<Shared>, survey: &Survey, needed: &Needed, pace: &Pace) -> u64 {
    let segment = needed.segment();
    let mut read = 0;
    for (shard, holders) in (0u8..).zip(survey.held(shared, segment)) {
        for on in holders.into_iter().filter_map(|id| survey.drive(id)) {
            read += verify_shard((shared, survey), on, needed, shard, pace)
                .await
                .unwrap_or(0);
        }
    }
    read
}

/// Verifies one shard file and notes what it finds. Gives the bytes read; `None`: the drive does not answer, and nothing
/// is said of the file.
pub(super) async fn verify_shard(
    (shared, survey): (&Arc<Shared>, &Survey),
    on: &PresentDrive,
    needed: &Needed,
    shard: u8,
    pace: &Pace,
) -> Option<u64> {
    let segment = needed.segment();
    let board = &shared.service.heal;
    let began = Instant::now();
    match check_shard(on, segment, shard, (shared.store, needed.ends), pace).await {
        Ok(read) => {
            board.set_good(segment.id, shard, on.id);
            return Some(read);
        }
        Err(NoFrame::Bad(why)) => {
            tracing::warn!(segment = %segment.id, shard, drive = %on.id, %why, "a shard file is bad and will be made anew");
            board.set_bad(segment.id, shard, on.id);
        }
        Err(NoFrame::Newer) => {
            board.reason(format!(
                "a newer version wrote to segment {}; it is left as it is",
                segment.id
            ));
        }
        // A drive that fails slowly is out before it says so, and the next pass meets the same place: where the others
        // are enough without it, such a file is made anew.
        Err(NoFrame::Away(reason))
            if began.elapsed() >= LATE
                && survey.judge(shared, segment).spare > 0
                && board.set_late(segment.id, shard, on.id) >= LATE_MAX =>
        {
            tracing::warn!(segment = %segment.id, shard, drive = %on.id, %reason, "a shard file is never read in time and will be made anew");
            board.set_bad(segment.id, shard, on.id);
        }
        Err(NoFrame::Away(reason)) => {
            board.reason(format!("drive {}: {reason}", on.drive.path().display()));
            return None;
        }
    }
    Some(0)
}

/// Shard files on a drive that nothing names, that no task of this run can be making, and that are not about to go: after
/// a checkpoint the files of many dead segments wait for their removal.
async fn orphans(shared: &Arc<Shared>, survey: &Survey, on: &PresentDrive, start_epoch: u64) -> u64 {
    let unnamed = |id: &SegmentId| shared.table.entry(*id).is_none() && !survey.names(*id);
    let found: BTreeSet<_> = on
        .drive
        .known_shards()
        .into_iter()
        .filter(|(id, shard, _)| unnamed(id) && !on.drive.is_leaving(*id, *shard))
        .collect();
    let mut orphans = 0;
    for (segment, shard, kind) in found {
        let drive = on.drive.clone();
        let read = move || {
            let file = drive.open_shard(kind, segment, shard)?;
            let len = usize::try_from(SHARD_HEADER_BYTES).unwrap_or(usize::MAX);
            file.map(|file| file.read_at(0, len)).transpose()
        };
        let bytes = on.drive.run(Lane::Read, read).await.ok().flatten();
        let header = bytes.and_then(|bytes| ShardHeader::decode(segment, shard, &bytes).ok());
        // One that cannot be read is nobody's to judge.
        orphans += u64::from(header.is_some_and(|header| header.created_epoch < start_epoch));
    }
    orphans
}
