//! Whether the committer waits a moment for more batches before it syncs. Each sync costs every drive of the segment a
//! system call and a wake-up, so under many writers few large records cost less processor time, and end sooner, than
//! many small ones. It looks at how many came before and never at what they hold.

use std::time::Duration;

/// One pause. Shorter ones gather too little; a pause of the committer delays each waiting writer by as much.
const PAUSE: Duration = Duration::from_micros(400);
/// Most pauses before one record: 2 ms at the utmost.
const PAUSES_MAX: u32 = 5;
/// Fewer writers than this are answered at once: for them the sync is the cost, not the processor.
const WRITERS_MIN: usize = 16;
/// A record of so many batches has little more to gain.
const BATCHES_ENOUGH: usize = 32;

/// The sizes of the last records, from which the number of present writers is guessed.
#[derive(Debug, Default)]
pub struct Company {
    /// Batches in each of the last two records: while one syncs, the other writers queue for the next.
    last: [usize; 2],
}

/// The waiting before one record.
#[derive(Debug, Default)]
pub struct Waiting {
    pauses: u32,
    seen: usize,
}

impl Company {
    /// How long to pause before looking again for more, with `gathered` batches at hand; `None`: write now.
    pub fn pause(&self, waiting: &mut Waiting, gathered: usize) -> Option<Duration> {
        let [before, last] = self.last;
        let writers = before + last;
        let nobody_came = waiting.pauses > 0 && gathered == waiting.seen;
        let enough = writers < WRITERS_MIN || gathered >= writers.min(BATCHES_ENOUGH);
        if enough || nobody_came || waiting.pauses == PAUSES_MAX {
            return None;
        }
        waiting.pauses += 1;
        waiting.seen = gathered;
        Some(PAUSE)
    }

    /// A record with so many batches goes its way.
    pub fn note(&mut self, batches: usize) {
        let [_, last] = self.last;
        self.last = [last, batches];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn company(before: usize, last: usize) -> Company {
        let mut company = Company::default();
        company.note(before);
        company.note(last);
        company
    }

    #[test]
    fn few_writers_are_never_kept_waiting() {
        assert_eq!(Company::default().pause(&mut Waiting::default(), 1), None);
        assert_eq!(company(8, 7).pause(&mut Waiting::default(), 1), None);
    }

    #[test]
    fn many_writers_wait_for_each_other_until_all_are_there() {
        let company = company(9, 10);
        let mut waiting = Waiting::default();
        assert_eq!(company.pause(&mut waiting, 3), Some(PAUSE));
        assert_eq!(company.pause(&mut waiting, 11), Some(PAUSE));
        assert_eq!(company.pause(&mut waiting, 19), None);
    }

    #[test]
    fn a_pause_in_which_nobody_came_is_the_last() {
        let company = company(9, 10);
        let mut waiting = Waiting::default();
        assert_eq!(company.pause(&mut waiting, 3), Some(PAUSE));
        assert_eq!(company.pause(&mut waiting, 3), None);
    }

    #[test]
    fn a_trickle_is_waited_for_two_milliseconds_at_most() {
        let company = company(30, 34);
        let mut waiting = Waiting::default();
        let pauses: Vec<_> = (1..20).map_while(|n| company.pause(&mut waiting, n)).collect();
        assert_eq!(pauses.iter().sum::<Duration>(), Duration::from_millis(2));
    }
}
