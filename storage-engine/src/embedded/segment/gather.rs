//! Gathering enough shards of one stripe: the wanted ones, or any k when some are damaged, away or late.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    /// Shards that were asked for, and when each is late: then others are read in its place, and it is used if it comes
    /// first after all.
    pending: BTreeMap<u8, Instant>,
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
            pending: BTreeMap::new(),
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
        let (late_after, begun) = (source.late_after(), Instant::now());
        let give_up = begun + GIVE_UP_AFTER;
        let first = self.first_reads(begun + late_after);
        let mut reading: FuturesUnordered<_> = first.into_iter().map(read).collect();
        // One timer for all of it, armed only when something is waited for.
        let mut alarm = pin!(tokio::time::sleep_until(self.next_late().unwrap_or(give_up)));
        loop {
            if self.wanted_are_there() || self.have() >= self.need() {
                return Ok(self);
            }
            if self.go_around {
                let more = self.more_reads(Instant::now() + late_after);
                reading.extend(more.into_iter().map(read));
                let next = self.next_late().map_or(give_up, |late| late.min(give_up));
                if next != alarm.deadline() {
                    alarm.as_mut().reset(next);
                }
            }
            tokio::select! {
                biased;
                answer = reading.next() => match answer {
                    Some((shard, answer)) => self.answered(shard, answer),
                    None => return Err(self.too_few()),
                },
                () = &mut alarm => {
                    let now = Instant::now();
                    if now >= give_up {
                        return Err(self.too_few());
                    }
                    self.waited_long(late_after, now);
                }
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
    fn first_reads(&mut self, late: Instant) -> Vec<u8> {
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
        self.pending.extend(first.iter().map(|shard| (*shard, late)));
        first
    }

    /// As many others as are needed beside those that may still come soon.
    fn more_reads(&mut self, late: Instant) -> Vec<u8> {
        let coming = self.pending.len() - self.late.len();
        let missing = self.need().saturating_sub(self.have() + coming);
        let more: Vec<u8> = self.unread.drain(..missing.min(self.unread.len())).collect();
        self.pending.extend(more.iter().map(|shard| (*shard, late)));
        more
    }

    /// When the next of those that may still come soon is late.
    fn next_late(&self) -> Option<Instant> {
        let soon = self.pending.iter().filter(|(shard, _)| !self.late.contains(shard));
        soon.map(|(_, late)| *late).min()
    }

    fn answered(&mut self, shard: u8, answer: Result<Bytes, Lost>) {
        self.pending.remove(&shard);
        self.late.remove(&shard);
        match (answer, self.found.get_mut(usize::from(shard))) {
            (Ok(payload), Some(slot)) => *slot = Some(payload),
            (Ok(_), None) => {}
            (Err(why), _) => {
                self.lost.push(why);
                self.go_around = true;
            }
        }
    }

    fn waited_long(&mut self, late_after: Duration, now: Instant) {
        for (shard, late) in &self.pending {
            if *late <= now && self.late.insert(*shard) {
                self.source.was_late(self.segment, *shard, late_after);
            }
        }
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
