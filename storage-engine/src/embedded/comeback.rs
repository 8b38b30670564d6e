//! When a running store looks at the drives it does without: soon after they left, then less and less often, and not at
//! once again for a drive that keeps failing. What is taken in, the rules of the start decide.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::core::Shared;
use super::log::Committer;
use super::recovery::{OpenOptions, Patience, rejoin};
use super::supervise::until;

/// How often it is asked whether a look is due.
const PERIOD: Duration = Duration::from_secs(1);
/// Longest time between two looks at a drive that is away.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(60);
/// Longest time a drive that keeps failing is left out.
const LEFT_OUT_MAX: Duration = Duration::from_secs(600);
/// A drive that stayed so long is trusted like any other again.
const TRUSTED_AFTER: Duration = Duration::from_secs(1800);

/// Given paths that are not in use, and why.
pub type Absent = Arc<Mutex<Vec<(PathBuf, String)>>>;

/// When a path is looked at next.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Away { due: Instant, pause: Duration },
    Back { since: Instant, pause: Duration },
}

/// What is remembered of the paths that were away.
#[derive(Debug)]
struct Turns {
    /// How long a drive has been away before it is looked at for the first time.
    first_after: Duration,
    by_path: BTreeMap<PathBuf, Turn>,
}

impl Turns {
    fn new(first_after: Duration) -> Self {
        let by_path = BTreeMap::new();
        Self { first_after, by_path }
    }

    /// Of the paths that are away, those to be looked at now.
    fn due(&mut self, away: Vec<PathBuf>, now: Instant) -> Vec<PathBuf> {
        let mut due = Vec::new();
        let first_after = self.first_after;
        for path in away {
            let first = |pause| Turn::Away {
                due: now + pause,
                pause,
            };
            let turn = self.by_path.entry(path.clone()).or_insert_with(|| first(first_after));
            *turn = match *turn {
                Turn::Away { due: at, pause } if at <= now => {
                    due.push(path);
                    let pause = (pause * 2).min(LOOK_AGAIN_MAX.max(pause));
                    Turn::Away {
                        due: now + pause,
                        pause,
                    }
                }
                turn @ Turn::Away { .. } => turn,
                Turn::Back { since, .. } if now.saturating_duration_since(since) >= TRUSTED_AFTER => first(first_after),
                Turn::Back { pause, .. } => first((pause * 2).min(LEFT_OUT_MAX)),
            };
        }
        due
    }

    fn is_back(&mut self, path: &Path, now: Instant) {
        if let Some(turn) = self.by_path.get_mut(path) {
            let (Turn::Away { pause, .. } | Turn::Back { pause, .. }) = *turn;
            *turn = Turn::Back { since: now, pause };
        }
    }
}

/// Looks after the drives that are away, until `stop` says so or whoever has it is gone.
pub fn wait_for_drives(
    shared: Arc<Shared>,
    committer: Committer,
    options: OpenOptions,
    patience: Arc<Patience>,
    (absent, stop): (Absent, watch::Receiver<bool>),
) {
    let looking = async move {
        let mut turns = Turns::new(options.heal.drives_after);
        loop {
            tokio::time::sleep(PERIOD).await;
            if shared.service.refuses_writes().is_some() {
                // A start of its own brings such a store on.
                continue;
            }
            let used: Vec<PathBuf> = shared.present_drives().map(|drive| drive.path().to_owned()).collect();
            let mut away = shared.known_paths(&options.drives);
            away.retain(|path| !used.contains(path));
            let due = turns.due(away, Instant::now());
            if due.is_empty() {
                continue;
            }
            let rejoined = rejoin(&options, &patience, &shared, due).await;
            {
                let mut absent = absent.lock();
                let looked = |path: &PathBuf| {
                    rejoined.taken.contains(path) || rejoined.absent.iter().any(|(other, _)| other == path)
                };
                absent.retain(|(path, _)| !looked(path));
                absent.extend(rejoined.absent);
            }
            for path in &rejoined.taken {
                turns.is_back(path, Instant::now());
            }
            if !rejoined.taken.is_empty() {
                // The next log segment has them.
                committer.roll().await;
            }
        }
    };
    tokio::spawn(until(stop, looking));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_is_looked_at_soon_then_less_often_and_later_each_time_it_fails_again() {
        let (mut turns, start) = (Turns::new(Duration::from_secs(10)), Instant::now());
        let path = PathBuf::from("/d");
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut looks = Vec::new();
        for second in 0..=200 {
            if !turns.due(vec![path.clone()], at(second)).is_empty() {
                looks.push(second);
            }
        }
        assert_eq!(looks, [10, 30, 70, 130, 190]);
        turns.is_back(&path, at(200));
        assert!(turns.due(vec![path.clone()], at(210)).is_empty());
        assert!(turns.due(vec![path.clone()], at(329)).is_empty());
        assert_eq!(turns.due(vec![path.clone()], at(330)).len(), 1);
        turns.is_back(&path, at(330));
        assert!(turns.due(vec![path.clone()], at(330 + 1800)).is_empty());
        assert_eq!(turns.due(vec![path.clone()], at(340 + 1800)), [path], "long ago");
    }
}
