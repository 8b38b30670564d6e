//! One write to several drives at once, and the rule for those that err or are late. It knows shard files and time; it
//! decides who failed, never what follows from it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::embedded::drive::{Drive, Lane};
use crate::embedded::id::DriveId;

/// A drive is late when the others have synced and it has not after this long.
const LATE_AFTER: Duration = Duration::from_secs(2);
/// After this long a missing answer counts as an error, whoever else is late.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No space: the drive is left out of log segments but stays in.
    Full,
    /// The drive erred or did not answer in time: it is put out.
    Failed,
}

/// A drive that could not do its part.
#[derive(Clone, Debug)]
pub struct Fault {
    pub drive: DriveId,
    pub kind: FaultKind,
    pub reason: String,
}

impl Fault {
    pub fn from_io(drive: DriveId, error: &io::Error) -> Self {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        Self {
            drive,
            kind: if full { FaultKind::Full } else { FaultKind::Failed },
            reason: error.to_string(),
        }
    }

    /// The drive is to be put out; a full one stays in.
    pub fn is_failure(&self) -> bool {
        self.kind == FaultKind::Failed
    }

    /// The drives that are to be put out.
    pub fn failed(faults: &[Self]) -> impl Iterator<Item = DriveId> + '_ {
        faults
            .iter()
            .filter(|fault| fault.is_failure())
            .map(|fault| fault.drive)
    }

    fn late(drive: DriveId, waited: Duration) -> Self {
        Self {
            drive,
            kind: FaultKind::Failed,
            reason: format!("no answer after {} s", waited.as_secs()),
        }
    }
}

/// A job that a drive does on its log lane.
pub type DriveJob<T> = Box<dyn FnOnce() -> io::Result<T> + Send>;

/// Runs one job per drive on the log lanes, all at once, and waits for them.
///
/// `writable_without` says whether the store could go on without these drives; only then are late ones given up early.
/// Answers come back in the order of `jobs`: `Ok` with the job's value or the fault.
pub fn on_all<T: Send + 'static>(
    jobs: Vec<(Arc<Drive>, DriveJob<T>)>,
    late_max: usize,
    writable_without: impl Fn(&[DriveId]) -> bool,
) -> Vec<Result<T, Fault>> {
    let ids: Vec<DriveId> = jobs.iter().map(|(drive, _)| drive.id()).collect();
    let (done, results) = mpsc::channel();
    for (index, (drive, job)) in jobs.into_iter().enumerate() {
        let done = done.clone();
        drive.submit(Lane::Log, job, move |result| {
            let _ = done.send((index, result));
        });
    }
    drop(done);
    let mut answers: Vec<Option<Result<T, Fault>>> = ids.iter().map(|_| None).collect();
    let start = Instant::now();
    // When the latest answer came: on a slow machine all drives are late, and none is so much later than the others.
    let mut others_took = Duration::ZERO;
    while answers.iter().any(Option::is_none) {
        let late: Vec<DriveId> = ids
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.is_none())
            .map(|(id, _)| *id)
            .collect();
        let patience = if late.len() <= late_max && writable_without(&late) {
            LATE_AFTER.max(others_took * 2).min(GIVE_UP_AFTER)
        } else {
            GIVE_UP_AFTER
        };
        match results.recv_timeout(patience.saturating_sub(start.elapsed())) {
            Ok((index, result)) => {
                others_took = start.elapsed();
                if let (Some(answer), Some(id)) = (answers.get_mut(index), ids.get(index)) {
                    *answer = Some(result.map_err(|error| Fault::from_io(*id, &error)));
                }
            }
            Err(_) => break,
        }
    }
    let waited = start.elapsed();
    ids.iter()
        .zip(answers)
        .map(|(id, answer)| answer.unwrap_or_else(|| Err(Fault::late(*id, waited))))
        .collect()
}
