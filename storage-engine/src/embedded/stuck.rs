//! Drives on which a read or a write of a body hangs: they are put out like those that are late for the log, if the
//! store stays writable without them, so that nobody goes on waiting for them. It looks at how long jobs have been on
//! their way, never at what they do, and tries the other drives before it blames one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::watch;

use super::core::Shared;
use super::drive::{FaultPlan, Lane, try_out};
use super::id::DriveId;
use super::log::{Committer, Fault, FaultKind};
use super::recovery::Patience;
use super::supervise::until;
use super::suspicion::Cause;

/// How often the drives' lanes are looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// A look that comes so late says that this machine stood still, not the drives.
const LOOK_LATE: Duration = Duration::from_secs(3);
/// Looks at one and the same read before its drive is put out.
const READ_LOOKS: u32 = 5;
/// The same for writes and syncs of bodies, which may be long.
const BULK_LOOKS: u32 = 10;
/// Looks after which a drive is suspect.
const SUSPECT_LOOKS: u32 = 2;

/// A job that was on its way when the lanes were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Underway {
    drive: DriveId,
    lane: Lane,
    begun: Instant,
}

/// The oldest job of a lane, and at how many looks it was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lasting {
    job: Underway,
    looks: u32,
}

impl Lasting {
    fn looks_max(&self) -> u32 {
        match self.job.lane {
            Lane::Read => READ_LOOKS,
            Lane::Bulk | Lane::Log => BULK_LOOKS,
        }
    }

    fn is_over(&self) -> bool {
        self.looks >= self.looks_max()
    }

    /// So long on its way that it speaks for a slow machine if many others are, too.
    fn is_half_over(&self) -> bool {
        self.looks * 2 >= self.looks_max()
    }

    fn what(&self) -> &'static str {
        match self.job.lane {
            Lane::Read => "read",
            Lane::Bulk | Lane::Log => "write",
        }
    }

    fn waited(&self) -> Duration {
        PERIOD * self.looks
    }
}

/// What the looks before saw.
#[derive(Debug, Default)]
struct Looks {
    lasting: BTreeMap<(DriveId, Lane), Lasting>,
    last: Option<Instant>,
}

impl Looks {
    /// Counts what is on its way now. Time is counted in looks: those of a process that was stopped do not come.
    fn look(&mut self, underway: &[Underway], now: Instant) -> Vec<Lasting> {
        let late = |last: Instant| now.saturating_duration_since(last) >= LOOK_LATE;
        if self.last.replace(now).is_some_and(late) {
            self.lasting.clear();
        }
        let before = std::mem::take(&mut self.lasting);
        for job in underway {
            let place = (job.drive, job.lane);
            let looks = match before.get(&place) {
                Some(known) if known.job.begun == job.begun => known.looks + 1,
                Some(_) | None => 0,
            };
            self.lasting.insert(place, Lasting { job: *job, looks });
        }
        self.lasting.values().copied().collect()
    }
}

/// The drives to put out. More than m that do not get on are a slow machine; one that the store cannot write without
/// stays.
fn to_put_out(lasting: &[Lasting], parity: usize, writable_without: impl Fn(&[DriveId]) -> bool) -> Vec<Lasting> {
    let slow = lasting.iter().filter(|lasting| lasting.is_half_over());
    let mut slow: Vec<DriveId> = slow.map(|lasting| lasting.job.drive).collect();
    slow.dedup();
    if slow.len() > parity {
        return Vec::new();
    }
    let mut over: Vec<Lasting> = lasting.iter().filter(|lasting| lasting.is_over()).copied().collect();
    over.dedup_by_key(|lasting| lasting.job.drive);
    let drives: Vec<DriveId> = over.iter().map(|lasting| lasting.job.drive).collect();
    if !writable_without(&drives) {
        return Vec::new();
    }
    over
}

/// How long the other drives have to show that they get on.
const OTHERS_WITHIN: Duration = Duration::from_millis(1500);

/// Of the drives to put out those that may be: where more than m do not get on, and those that have nothing on their way
/// are not known to before they are tried, all storage stands still.
async fn where_others_get_on(
    over: Vec<Lasting>,
    shared: &Shared,
    parity: usize,
    (patience, faults): (&Patience, Option<&Arc<FaultPlan>>),
) -> Vec<Lasting> {
    if over.is_empty() {
        return over;
    }
    let hung = |id: DriveId| over.iter().any(|lasting| lasting.job.drive == id);
    let others = shared.drives.present().into_iter().filter(|on| !hung(on.id));
    let tried = join_all(others.map(|on| async move {
        let faults = faults.cloned();
        let question = move |path: &Path| try_out(path, faults);
        // One that errs does get on.
        patience.ask(on.drive.path(), OTHERS_WITHIN, question).await.is_ok()
    }));
    let still = tried.await.into_iter().filter(|answers| !answers).count();
    if over.len() + still > parity {
        tracing::warn!(
            hung = over.len(),
            still,
            "more drives do not get on than the store can do without: they are left in"
        );
        return Vec::new();
    }
    over
}

/// Looks after the drives' lanes until `stop` says so or whoever has it is gone.
pub fn watch_lanes(
    shared: Arc<Shared>,
    committer: Committer,
    patience: Arc<Patience>,
    faults: Option<Arc<FaultPlan>>,
    stop: watch::Receiver<bool>,
) {
    let looking = async move {
        let mut looks = Looks::default();
        loop {
            tokio::time::sleep(PERIOD).await;
            let now = Instant::now();
            let mut underway = Vec::new();
            for on in shared.drives.present() {
                for lane in [Lane::Read, Lane::Bulk] {
                    let begun = on.drive.oldest_job(lane);
                    underway.extend(begun.map(|begun| Underway {
                        drive: on.id,
                        lane,
                        begun,
                    }));
                }
            }
            let lasting = looks.look(&underway, now);
            for lasting in lasting.iter().filter(|lasting| lasting.looks >= SUSPECT_LOOKS) {
                let cause = Cause::Stuck(lasting.what(), lasting.waited());
                shared.service.damage.suspicions.note(lasting.job.drive, &cause, now);
            }
            if shared.service.refuses_writes().is_some() {
                continue;
            }
            let parity = usize::from(shared.keeper.lock().root().parity);
            let over = to_put_out(&lasting, parity, |out| shared.writable_without(out));
            for lasting in where_others_get_on(over, &shared, parity, (&patience, faults.as_ref())).await {
                let (what, waited) = (lasting.what(), lasting.waited().as_secs());
                let fault = Fault {
                    drive: lasting.job.drive,
                    kind: FaultKind::Failed,
                    reason: format!("a {what} has not returned for {waited} s"),
                };
                drop(committer.leave_out(fault));
            }
        }
    };
    tokio::spawn(until(stop, looking));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::drive::{DriveOptions, Fault as DriveFault, FaultRule, Operation};
    use crate::embedded::{Embedded, OpenOptions};

    fn drive(n: u8) -> DriveId {
        DriveId::from_bytes([n; 16])
    }

    fn hung(n: u8, lane: Lane, begun: Instant) -> Underway {
        Underway {
            drive: drive(n),
            lane,
            begun,
        }
    }

    /// How many seconds pass until drives are put out, and which; `None` if none is in a minute.
    fn put_out(underway: &[Underway], parity: usize, start: Instant) -> Option<(u64, Vec<DriveId>)> {
        let mut looks = Looks::default();
        (0..60).find_map(|second| {
            let lasting = looks.look(underway, start + Duration::from_secs(second));
            let out = to_put_out(&lasting, parity, |_| true);
            let out: Vec<DriveId> = out.iter().map(|lasting| lasting.job.drive).collect();
            (!out.is_empty()).then_some((second, out))
        })
    }

    #[test]
    fn a_hung_read_puts_its_drive_out_after_five_seconds_and_a_hung_write_after_ten() {
        let start = Instant::now();
        let read = [hung(1, Lane::Read, start)];
        assert_eq!(put_out(&read, 1, start), Some((5, vec![drive(1)])));
        let write = [hung(1, Lane::Bulk, start)];
        assert_eq!(put_out(&write, 1, start), Some((10, vec![drive(1)])));
        let both = [hung(1, Lane::Read, start), hung(1, Lane::Bulk, start)];
        assert_eq!(put_out(&both, 1, start), Some((5, vec![drive(1)])));
    }

    #[test]
    fn more_than_m_drives_that_do_not_get_on_are_a_slow_machine() {
        let start = Instant::now();
        let three = [1, 2, 3].map(|n| hung(n, Lane::Read, start));
        assert_eq!(put_out(&three, 2, start), None);
        assert_eq!(put_out(&three[..2], 2, start), Some((5, vec![drive(1), drive(2)])));
        assert_eq!(put_out(&three[..1], 0, start), None);
    }

    #[test]
    fn a_drive_that_the_store_cannot_write_without_stays() {
        let start = Instant::now();
        let mut looks = Looks::default();
        for second in 0..60 {
            let lasting = looks.look(&[hung(1, Lane::Read, start)], start + Duration::from_secs(second));
            assert_eq!(to_put_out(&lasting, 2, |_| false), []);
        }
    }

    #[test]
    fn jobs_that_return_are_no_hang_however_busy_the_lane() {
        let start = Instant::now();
        let mut looks = Looks::default();
        for second in 0..60 {
            let now = start + Duration::from_secs(second);
            let lasting = looks.look(&[hung(1, Lane::Read, now)], now);
            assert_eq!(to_put_out(&lasting, 2, |_| true), []);
        }
    }

    /// Whether a drive is still in after so many seconds.
    async fn stays_in(shared: &Shared, drive: DriveId, seconds: u64) -> bool {
        for _ in 0..seconds * 10 {
            if shared.drives.get(&drive).is_none() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        true
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn where_all_storage_stands_still_the_one_drive_with_a_job_is_not_blamed() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Arc::new(FaultPlan::default());
        let options = OpenOptions {
            drives: (1..=4).map(|n| dir.path().join(format!("d{n}"))).collect(),
            drive: DriveOptions {
                faults: Some(Arc::clone(&plan)),
                ..DriveOptions::default()
            },
            ..OpenOptions::default()
        };
        let store = Embedded::open(options).await.unwrap();
        let shared = Arc::clone(&store.running().unwrap().shared);
        let on = shared.drives.present().remove(2);
        let rule = plan.arm(FaultRule {
            operation: Operation::SyncFile,
            path_part: "trial".into(),
            after: 0,
            times: u64::MAX,
            fault: DriveFault::Hang,
        });
        let (release, hung) = std::sync::mpsc::channel::<()>();
        let job = move || {
            let _ = hung.recv();
            Ok(())
        };
        on.drive.submit(Lane::Read, job, |_: std::io::Result<()>| {});
        assert!(stays_in(&shared, on.id, 9).await, "it was left out");
        assert!(plan.fired(rule) > 0, "the others were not tried");
        // The others get on again, and it does not.
        plan.disarm();
        plan.release();
        assert!(!stays_in(&shared, on.id, 60).await, "it is waited for for ever");
        drop(release);
        store.close().await;
    }

    #[test]
    fn time_in_which_this_process_stood_still_does_not_count() {
        let start = Instant::now();
        let job = [hung(1, Lane::Read, start)];
        let mut looks = Looks::default();
        let mut look = |second| {
            let lasting = looks.look(&job, start + Duration::from_secs(second));
            to_put_out(&lasting, 2, |_| true).len()
        };
        assert_eq!((0..5).map(&mut look).sum::<usize>(), 0);
        assert_eq!((204..209).map(&mut look).sum::<usize>(), 0);
        assert_eq!(look(209), 1);
    }
}
