//! Why a drive is suspect, or was left out, in words for the operator. It keeps what others tell of drives; it decides
//! nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::id::DriveId;

/// A drive of which nothing bad was heard for so long is no longer suspect.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// What gives cause to doubt a drive that is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A read took so long that others were read in its place.
    Late,
    /// A job has been on its way for this long: the word says which kind.
    Stuck(&'static str, Duration),
    /// The drive answered with this error.
    Error(String),
}

#[derive(Debug)]
struct Suspicion {
    since: Instant,
    last: Instant,
    late: u64,
    /// The last cause that is not [`Cause::Late`].
    said: Option<String>,
}

/// What was told of the drives of a running store.
#[derive(Debug, Default)]
pub struct Suspicions {
    suspect: Mutex<BTreeMap<DriveId, Suspicion>>,
    left_out: Mutex<BTreeMap<DriveId, String>>,
}

impl Suspicions {
    pub fn note(&self, drive: DriveId, cause: &Cause, now: Instant) {
        let mut suspect = self.suspect.lock();
        let fresh = || Suspicion {
            since: now,
            last: now,
            late: 0,
            said: None,
        };
        let known = suspect.entry(drive).or_insert_with(fresh);
        if now.saturating_duration_since(known.last) >= FORGET_AFTER {
            *known = fresh();
        }
        known.last = now;
        match cause {
            Cause::Late => known.late += 1,
            Cause::Stuck(what, waited) => {
                known.said = Some(format!("a {what} has not returned for {} s", waited.as_secs()));
            }
            Cause::Error(error) => known.said = Some(error.clone()),
        }
    }

    /// Why a drive that is in is suspect; `None` if it is not.
    pub fn why_suspect(&self, drive: DriveId, now: Instant) -> Option<String> {
        let suspect = self.suspect.lock();
        let known = suspect.get(&drive)?;
        if now.saturating_duration_since(known.last) >= FORGET_AFTER {
            return None;
        }
        let seconds = now.saturating_duration_since(known.since).as_secs().max(1);
        let late = match known.late {
            0 => None,
            1 => Some("slow: a read was late".to_owned()),
            many => Some(format!("slow: {many} reads were late within {seconds} s")),
        };
        let said: Vec<String> = known.said.clone().into_iter().chain(late).collect();
        Some(said.join("; "))
    }

    /// The drive is put out, for this reason.
    pub fn left_out(&self, drive: DriveId, reason: &str) {
        self.left_out.lock().insert(drive, reason.to_owned());
    }

    /// Why a drive was put out in this run; `None` if it was not.
    pub fn why_left_out(&self, drive: DriveId) -> Option<String> {
        self.left_out.lock().get(&drive).cloned()
    }

    /// The drive is in again: what was told of it before is past.
    pub fn forget(&self, drive: DriveId) {
        self.suspect.lock().remove(&drive);
        self.left_out.lock().remove(&drive);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspicion_says_what_was_told_last_and_how_often_and_fades() {
        let (told, drive, start) = (Suspicions::default(), DriveId::from_bytes([1; 16]), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(told.why_suspect(drive, start), None);
        told.note(drive, &Cause::Late, at(0));
        assert_eq!(told.why_suspect(drive, at(1)).unwrap(), "slow: a read was late");
        told.note(drive, &Cause::Late, at(9));
        told.note(drive, &Cause::Stuck("read", Duration::from_secs(3)), at(10));
        assert_eq!(
            told.why_suspect(drive, at(10)).unwrap(),
            "a read has not returned for 3 s; slow: 2 reads were late within 10 s"
        );
        assert_eq!(told.why_suspect(drive, at(70)), None);
        told.note(drive, &Cause::Error("read d/x: EIO".into()), at(80));
        assert_eq!(told.why_suspect(drive, at(81)).unwrap(), "read d/x: EIO");
        assert_eq!(told.why_suspect(DriveId::from_bytes([2; 16]), at(81)), None);
        told.left_out(drive, "EIO");
        assert_eq!(told.why_left_out(drive).as_deref(), Some("EIO"));
        told.forget(drive);
        assert_eq!(
            (told.why_left_out(drive), told.why_suspect(drive, at(81))),
            (None, None)
        );
    }
}
