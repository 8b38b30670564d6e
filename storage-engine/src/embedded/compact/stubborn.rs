//! Segments that could not be emptied, because a body in them cannot be read whole or was in use: they are left alone for
//! a while, longer each time. Pure: the caller tells what is live, and the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::embedded::id::SegmentId;

/// How long one is left alone, first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(6 * 3600));

/// Which segments are left alone, and until when.
#[derive(Debug, Default)]
pub struct Stubborn {
    known: BTreeMap<SegmentId, (Instant, Duration)>,
}

impl Stubborn {
    /// Whether a segment is to be left alone.
    pub fn holds(&self, id: SegmentId, now: Instant) -> bool {
        self.known.get(&id).is_some_and(|(until, _)| now < *until)
    }

    /// Notes segments that were to be emptied, by what is `live` in them now; gives how many were not.
    pub fn note(&mut self, tried: BTreeSet<SegmentId>, live: impl Fn(SegmentId) -> i64, now: Instant) -> usize {
        self.known.retain(|id, _| live(*id) > 0);
        let left: Vec<SegmentId> = tried.into_iter().filter(|id| live(*id) > 0).collect();
        for id in &left {
            let before = self.known.get(id).map(|(_, pause)| *pause * 2);
            let pause = before.unwrap_or(PAUSE.0).min(PAUSE.1);
            self.known.insert(*id, (now + pause, pause));
        }
        left.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_emptied_is_left_alone_longer_each_time_and_forgotten_once_it_is_empty() {
        let (mut stubborn, start) = (Stubborn::default(), Instant::now());
        let ids = [1, 2].map(|n| SegmentId::from_bytes([n; 16]));
        let live = |id: SegmentId| i64::from(id == ids[0]);
        assert_eq!(stubborn.note(BTreeSet::from(ids), live, start), 1);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(stubborn.holds(ids[0], at(59)) && !stubborn.holds(ids[0], at(60)));
        assert!(!stubborn.holds(ids[1], start), "it was emptied");
        assert_eq!(stubborn.note(BTreeSet::from([ids[0]]), live, at(60)), 1);
        assert!(stubborn.holds(ids[0], at(179)) && !stubborn.holds(ids[0], at(180)));
        assert_eq!(stubborn.note(BTreeSet::new(), |_| 0, at(180)), 0);
        assert_eq!(stubborn.note(BTreeSet::from([ids[0]]), live, at(180)), 1);
        assert!(!stubborn.holds(ids[0], at(240)), "it begins anew");
    }
}
