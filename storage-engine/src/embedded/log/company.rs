//! Whether the committer waits a moment for more batches before it syncs. Each sync costs every drive of the segment a
//! system call and a wake-up, so when very many write, few large records cost less processor time, and end sooner, than
//! many small ones. With fewer writers a pause costs more than it saves. It looks at how many came before and never at
//! what they hold.

use std::time::Duration;

/// One pause. Shorter ones gather too little; a pause of the committer delays each waiting writer by as much.
const PAUSE: Duration = Duration::from_micros(400);
/// Most pauses before one record: 2 ms at the utmost.
const PAUSES_MAX: u32 = 5;
/// A record that found so many without a pause says that very many write.
const CROWD: usize = 8;
/// Pauses that do not bring a record to so many are not worth their time: 16 writers lost a third of their rate to them,
/// 64 gained a tenth.
const WORTH: usize = 20;
/// A record of so many batches has little more to gain.
const ENOUGH: usize = 32;
/// Records without a pause before pauses that were not worth it are tried again.
const REST: u32 = 64;

/// What the records before tell about the number of writers.
#[derive(Debug, Default)]
pub struct Company {
    crowded: bool,
    rest: u32,
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
        let nobody_came = waiting.pauses > 0 && gathered == waiting.seen;
        if !self.crowded || gathered >= ENOUGH || nobody_came || waiting.pauses == PAUSES_MAX {
            return None;
        }
        waiting.pauses += 1;
        waiting.seen = gathered;
        Some(PAUSE)
    }

    /// A record with so many batches goes its way.
    pub fn note(&mut self, batches: usize) {
        if self.crowded && batches < WORTH {
            (self.crowded, self.rest) = (false, REST);
        } else if self.rest > 0 {
            self.rest -= 1;
        } else if batches >= CROWD {
            self.crowded = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd() -> Company {
        let mut company = Company::default();
        company.note(CROWD);
        company
    }

    #[test]
    fn few_writers_are_never_kept_waiting() {
        let mut company = Company::default();
        for batches in 0..CROWD {
            company.note(batches);
            assert_eq!(company.pause(&mut Waiting::default(), 1), None);
        }
    }

    #[test]
    fn a_crowd_is_waited_for_until_the_record_is_large_enough() {
        let company = crowd();
        let mut waiting = Waiting::default();
        assert_eq!(company.pause(&mut waiting, 3), Some(PAUSE));
        assert_eq!(company.pause(&mut waiting, 31), Some(PAUSE));
        assert_eq!(company.pause(&mut waiting, 32), None);
    }

    #[test]
    fn a_pause_in_which_nobody_came_is_the_last() {
        let company = crowd();
        let mut waiting = Waiting::default();
        assert_eq!(company.pause(&mut waiting, 3), Some(PAUSE));
        assert_eq!(company.pause(&mut waiting, 3), None);
    }

    #[test]
    fn a_trickle_is_waited_for_two_milliseconds_at_most() {
        let company = crowd();
        let mut waiting = Waiting::default();
        let pauses: Vec<_> = (1..20).map_while(|n| company.pause(&mut waiting, n)).collect();
        assert_eq!(pauses.iter().sum::<Duration>(), Duration::from_millis(2));
    }

    #[test]
    fn pauses_that_gathered_too_few_are_given_up_for_a_while() {
        let mut company = crowd();
        company.note(WORTH);
        assert!(
            company.pause(&mut Waiting::default(), 1).is_some(),
            "they were worth it"
        );
        company.note(WORTH - 1);
        for _ in 0..REST {
            assert_eq!(company.pause(&mut Waiting::default(), 1), None);
            company.note(CROWD);
        }
        company.note(CROWD);
        assert!(
            company.pause(&mut Waiting::default(), 1).is_some(),
            "they are tried again"
        );
    }
}
