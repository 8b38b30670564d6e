//! Gathering enough shards of one stripe: the wanted ones, or any k when some are damaged, away or late.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use super::layout::StripePart;
use super::shard_read::{Lost, ShardSource};
use super::{Segment, SegmentReadError};

/// A shard that takes longer is late: others are read in its place, and it is used if it comes first after all.
const LATE_AFTER: Duration = Duration::from_millis(500);
/// A stripe whose shards have not come after this long is out of reach.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

pub(super) struct Gathering<'a> {
    source: &'a ShardSource,
    segment: &'a Segment,
    part: &'a StripePart,
    /// Data shards that hold what is asked for.
    wanted: Range<usize>,
    found: Vec<Option<Bytes>>,
    /// Shards not asked for yet, those of late drives last.
    unread: VecDeque<u8>,
    pending: BTreeSet<u8>,
    late: BTreeSet<u8>,
    lost: Vec<Lost>,
    /// Whether some wanted shard will not come, or not soon.
    go_around: bool,
}

impl<'a> Gathering<'a> {
    /// Takes what the page cache holds of the wanted shards.
    pub(super) fn begin(
        source: &'a ShardSource,
        segment: &'a Segment,
        part: &'a StripePart,
        wanted: Range<usize>,
    ) -> Self {
        let mut found: Vec<Option<Bytes>> = vec![None; segment.geometry.shards()];
        for (shard, slot) in (0..).zip(&mut found).skip(wanted.start).take(wanted.len()) {
            *slot = source.cached(segment, part, shard);
        }
        Self {
            source,
            segment,
            part,
            wanted,
            found,
            unread: VecDeque::new(),
            pending: BTreeSet::new(),
            late: BTreeSet::new(),
            lost: Vec::new(),
            go_around: false,
        }
    }

    /// Reads on until the wanted shards are there, or any k.
    pub(super) async fn complete(mut self) -> Result<Self, SegmentReadError> {
        if self.wanted_are_there() {
            return Ok(self);
        }
        let (source, segment, part) = (self.source, self.segment, self.part);
        let read = |shard: u8| async move { (shard, source.read(segment, part, shard).await) };
        let mut reading: FuturesUnordered<_> = self.first_reads().into_iter().map(read).collect();
        let mut soon = pin!(tokio::time::sleep(LATE_AFTER));
        let mut at_last = pin!(tokio::time::sleep(GIVE_UP_AFTER));
        loop {
            if self.wanted_are_there() || self.have() >= self.need() {
                return Ok(self);
            }
            reading.extend(self.more_reads().into_iter().map(read));
            tokio::select! {
                biased;
                answer = reading.next() => match answer {
                    Some((shard, answer)) => self.answered(shard, answer),
                    None => return Err(self.too_few()),
                },
                () = &mut soon => {
                    self.waited_long();
                    soon.as_mut().reset(Instant::now() + LATE_AFTER);
                }
                () = &mut at_last => return Err(self.too_few()),
            }
        }
    }

    /// What was gathered: all shards by index, and whether the wanted ones are among them.
    pub(super) fn into_found(self) -> (Vec<Option<Bytes>>, bool) {
        let whole = self.wanted_are_there();
        (self.found, whole)
    }

    fn need(&self) -> usize {
        usize::from(self.segment.geometry.data)
    }

    fn have(&self) -> usize {
        self.found.iter().flatten().count()
    }

    fn wanted_are_there(&self) -> bool {
        self.found
            .iter()
            .skip(self.wanted.start)
            .take(self.wanted.len())
            .all(Option::is_some)
    }

    /// The wanted shards that are missing, but those of drives that were late a short while ago.
    fn first_reads(&mut self) -> Vec<u8> {
        let mut first = Vec::new();
        let mut avoided = Vec::new();
        for (shard, slot) in (0..).zip(&self.found) {
            let is_wanted = self.wanted.contains(&usize::from(shard));
            if slot.is_some() {
                continue;
            }
            if self.source.is_late(self.segment, shard) {
                avoided.push(shard);
                self.go_around |= is_wanted;
            } else if is_wanted {
                first.push(shard);
            } else {
                self.unread.push_back(shard);
            }
        }
        self.unread.extend(avoided);
        self.pending.extend(&first);
        first
    }

    /// As many others as are needed beside those that may still come soon.
    fn more_reads(&mut self) -> Vec<u8> {
        if !self.go_around {
            return Vec::new();
        }
        let coming = self.pending.difference(&self.late).count();
        let missing = self.need().saturating_sub(self.have() + coming);
        let more: Vec<u8> = self.unread.drain(..missing.min(self.unread.len())).collect();
        self.pending.extend(&more);
        more
    }

    fn answered(&mut self, shard: u8, answer: Result<Bytes, Lost>) {
        self.pending.remove(&shard);
        match (answer, self.found.get_mut(usize::from(shard))) {
            (Ok(payload), Some(slot)) => *slot = Some(payload),
            (Ok(_), None) => {}
            (Err(why), _) => {
                self.lost.push(why);
                self.go_around = true;
            }
        }
    }

    fn waited_long(&mut self) {
        for shard in self.pending.difference(&self.late) {
            self.source.was_late(self.segment, *shard);
        }
        self.late.clone_from(&self.pending);
        self.go_around = true;
    }

    fn too_few(&self) -> SegmentReadError {
        let (need, have) = (self.need(), self.have());
        let damaged = self.lost.iter().filter(|lost| **lost == Lost::Damaged).count();
        let away = self.lost.len() - damaged + self.pending.len();
        let text = format!(
            "segment {} at {}: {have} of {need} shards are good, {damaged} damaged, {away} out of reach",
            self.segment.id, self.part.offset
        );
        if have + away >= need {
            SegmentReadError::Unavailable(text)
        } else {
            SegmentReadError::Corrupt(text)
        }
    }
}
