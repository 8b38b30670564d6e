//! The one place every file operation of a drive passes: it names drive and operation in each error, and it is the seam
//! where tests make operations fail, wait, hang or lie. Without a plan it costs one branch.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::power_cut::Unsynced;
use super::trace::Trace;

/// What a file operation is, for fault rules and error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Open,
    Read,
    Write,
    SyncFile,
    SyncDirectory,
    Remove,
    Rename,
    List,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::SyncFile => "sync",
            Self::SyncDirectory => "sync directory",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::List => "list",
        }
    }
}

/// What a rule does to the operations it meets.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The operation is not done and fails with this errno (5 = EIO, 28 = ENOSPC, 30 = EROFS).
    Fail(i32),
    /// The operation is done, late.
    Delay(Duration),
    /// The operation waits until [`FaultPlan::release`], then is done.
    Hang,
    /// The operation is not done and claims success: the mutant that durability tests must catch.
    Pretend,
}

/// Meets the operations of kind `operation` on paths that contain `path_part`, from number `after` on, `times` times.
#[derive(Clone, Debug)]
pub struct FaultRule {
    pub operation: Operation,
    /// Empty: every path.
    pub path_part: String,
    /// How many matching operations pass untouched first.
    pub after: u64,
    /// How many operations the fault then meets.
    pub times: u64,
    pub fault: Fault,
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    met: u64,
    fired: u64,
}

#[derive(Debug, Default)]
struct PlanState {
    rules: Vec<Armed>,
    hanging: usize,
    released: u64,
}

/// Faults to inject, shared between a test and the drives it opens. Counts what fired, so that a test can prove that
/// its fault happened.
#[derive(Debug, Default)]
pub struct FaultPlan {
    state: Mutex<PlanState>,
    release: Condvar,
    /// What a power cut would take; `None` unless the plan was made for one.
    unsynced: Option<Mutex<Unsynced>>,
    /// What was done; `None` unless the plan records.
    trace: Option<Mutex<Trace>>,
}

enum Verdict {
    Do,
    Pretend,
}

impl FaultPlan {
    /// A plan that also records what [`Self::power_cut`] would take.
    pub fn with_power_cuts() -> Self {
        Self {
            unsynced: Some(Mutex::default()),
            ..Self::default()
        }
    }

    /// A plan that also records everything that is done to shard files and root slots.
    pub fn recording() -> Self {
        Self {
            trace: Some(Mutex::default()),
            ..Self::with_power_cuts()
        }
    }

    /// The moment of now in [`Self::trace`].
    pub fn moment(&self) -> usize {
        self.trace.as_ref().map_or(0, |trace| trace.lock().moment())
    }

    /// What was done so far, if the plan records.
    pub fn trace(&self) -> Trace {
        self.trace
            .as_ref()
            .map(|trace| trace.lock().clone())
            .unwrap_or_default()
    }

    /// Records that the test changed or removed a file on media.
    pub fn harmed(&self, path: &Path) {
        if let Some(trace) = &self.trace {
            trace.lock().harmed(path, std::fs::read(path).ok());
        }
    }

    /// Takes from all shard files and root slots below `dir` what was not synced, and files whose directory entry was
    /// not: what a cut of power at this moment might do. The drives there must be dropped first. Returns how many files
    /// lost something. Other files, as those of the index, are not known here.
    pub fn power_cut(&self, dir: &Path) -> io::Result<usize> {
        self.unsynced
            .as_ref()
            .map_or(Ok(0), |unsynced| unsynced.lock().lose(dir))
    }

    /// Arms a rule; the number returned is for [`Self::fired`].
    pub fn arm(&self, rule: FaultRule) -> usize {
        let mut state = self.state.lock();
        state.rules.push(Armed { rule, met: 0, fired: 0 });
        state.rules.len() - 1
    }

    /// Arms a rule that meets every such operation from now on.
    pub fn arm_always(&self, operation: Operation, path_part: &str, fault: Fault) -> usize {
        self.arm(FaultRule {
            operation,
            path_part: path_part.to_owned(),
            after: 0,
            times: u64::MAX,
            fault,
        })
    }

    /// How often the rule has fired.
    pub fn fired(&self, rule: usize) -> u64 {
        self.state.lock().rules.get(rule).map_or(0, |armed| armed.fired)
    }

    /// How many operations hang now.
    pub fn hanging(&self) -> usize {
        self.state.lock().hanging
    }

    /// Disarms all rules; numbers of rules stay valid. What hangs keeps hanging.
    pub fn disarm(&self) {
        for armed in &mut self.state.lock().rules {
            armed.rule.times = armed.fired;
        }
    }

    /// Lets everything that hangs now go on.
    pub fn release(&self) {
        self.state.lock().released += 1;
        self.release.notify_all();
    }

    fn before(&self, operation: Operation, path: &Path) -> io::Result<Verdict> {
        let mut state = self.state.lock();
        let text = path.to_string_lossy();
        let mut fault = None;
        for armed in &mut state.rules {
            if armed.rule.operation != operation || !text.contains(armed.rule.path_part.as_str()) {
                continue;
            }
            armed.met += 1;
            if fault.is_none() && armed.met > armed.rule.after && armed.fired < armed.rule.times {
                armed.fired += 1;
                fault = Some(armed.rule.fault.clone());
            }
        }
        match fault {
            None => Ok(Verdict::Do),
            Some(Fault::Fail(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Fault::Pretend) => Ok(Verdict::Pretend),
            Some(Fault::Delay(time)) => {
                drop(state);
                std::thread::sleep(time);
                Ok(Verdict::Do)
            }
            Some(Fault::Hang) => {
                let since = state.released;
                state.hanging += 1;
                self.release.wait_while(&mut state, |state| state.released == since);
                state.hanging -= 1;
                Ok(Verdict::Do)
            }
        }
    }
}

/// What a drive does its file operations through.
#[derive(Clone, Debug, Default)]
pub(super) struct Seam {
    faults: Option<Arc<FaultPlan>>,
}

impl Seam {
    pub(super) fn new(faults: Option<Arc<FaultPlan>>) -> Self {
        Self { faults }
    }

    /// Whether a test may interfere: shortcuts around [`Self::run`] are then closed.
    pub(super) fn is_watched(&self) -> bool {
        self.faults.is_some()
    }

    fn unsynced(&self) -> Option<&Mutex<Unsynced>> {
        self.faults.as_ref()?.unsynced.as_ref()
    }

    fn trace(&self) -> Option<&Mutex<Trace>> {
        self.faults.as_ref()?.trace.as_ref()
    }

    /// Does a write of these buffers at `offset`.
    pub(super) fn write<B: AsRef<[u8]>>(
        &self,
        path: &Path,
        offset: u64,
        buffers: &[B],
        work: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        self.run(Operation::Write, path, || {
            if let Some(unsynced) = self.unsynced() {
                let len = buffers.iter().map(|bytes| bytes.as_ref().len() as u64).sum();
                unsynced.lock().write(path, offset, len);
            }
            if let Some(trace) = self.trace() {
                let bytes = buffers.iter().flat_map(|bytes| bytes.as_ref()).copied().collect();
                trace.lock().wrote(path, offset, bytes);
            }
            work()
        })
    }

    /// Notes a file that has a new length.
    pub(super) fn resized(&self, path: &Path, len: u64) {
        if let Some(trace) = self.trace() {
            trace.lock().resized(path, len);
        }
    }

    /// Does the sync of a file.
    pub(super) fn sync_file(&self, path: &Path, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.run(Operation::SyncFile, path, || {
            let Some(unsynced) = self.unsynced() else {
                return work();
            };
            let writes = unsynced.lock().begin_sync(path);
            let begun = self.trace().and_then(|trace| trace.lock().begin_sync(path));
            let synced = work();
            if let (Err(_), Some(writes)) = (&synced, writes) {
                unsynced.lock().failed_sync(path, writes);
            }
            if let (Ok(()), Some(trace), Some(begun)) = (&synced, self.trace(), begun) {
                trace.lock().file_synced(begun);
            }
            synced
        })
    }

    /// Does the sync of a directory's entries.
    pub(super) fn sync_directory(&self, dir: &Path, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.run(Operation::SyncDirectory, dir, || {
            let begun = self.trace().map_or(0, |trace| trace.lock().moment());
            work()?;
            if let Some(unsynced) = self.unsynced() {
                unsynced.lock().directory_synced(dir);
            }
            if let Some(trace) = self.trace() {
                trace.lock().directory_synced(dir, begun);
            }
            Ok(())
        })
    }

    /// Notes a new file.
    pub(super) fn created(&self, path: &Path) {
        if let Some(unsynced) = self.unsynced() {
            unsynced.lock().created(path);
        }
        if let Some(trace) = self.trace() {
            trace.lock().created(path);
        }
    }

    /// Notes a file that is gone.
    pub(super) fn removed(&self, path: &Path) {
        if let Some(unsynced) = self.unsynced() {
            unsynced.lock().removed(path);
        }
        if let Some(trace) = self.trace() {
            trace.lock().removed(path);
        }
    }

    /// Notes that a file has another name now; `replaced`: there was one of that name before.
    pub(super) fn renamed(&self, from: &Path, to: &Path, replaced: bool) {
        if let Some(unsynced) = self.unsynced() {
            unsynced.lock().renamed(from, to, replaced);
        }
        if let Some(trace) = self.trace() {
            trace.lock().renamed(from, to);
        }
    }

    /// Does an operation whose success carries nothing.
    pub(super) fn run(
        &self,
        operation: Operation,
        path: &Path,
        work: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let verdict = match &self.faults {
            None => Ok(Verdict::Do),
            Some(plan) => plan.before(operation, path),
        };
        match verdict {
            Ok(Verdict::Pretend) => Ok(()),
            Ok(Verdict::Do) => work().map_err(|e| named(operation, path, &e)),
            Err(e) => Err(named(operation, path, &e)),
        }
    }

    /// Does an operation that gives something.
    pub(super) fn get<T>(
        &self,
        operation: Operation,
        path: &Path,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some(plan) = &self.faults {
            plan.before(operation, path).map_err(|e| named(operation, path, &e))?;
        }
        work().map_err(|e| named(operation, path, &e))
    }
}

/// The error with the path and the operation in its message; its kind stays. Too many open files, which has no kind of
/// its own and is no drive's fault, is told apart as a busy resource.
pub(super) fn named(operation: Operation, path: &Path, error: &io::Error) -> io::Error {
    let out_of_files = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    let kind = match error.raw_os_error() {
        errno if out_of_files.contains(&errno) => io::ErrorKind::ResourceBusy,
        _ => error.kind(),
    };
    io::Error::new(kind, format!("{} {}: {error}", operation.name(), path.display()))
}

/// A second copy of an error, for one that several wait for.
pub(super) fn copy_of(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(after: u64, times: u64, fault: Fault) -> FaultRule {
        FaultRule {
            operation: Operation::SyncFile,
            path_part: "log/".into(),
            after,
            times,
            fault,
        }
    }

    fn sync(seam: &Seam, path: &str) -> io::Result<bool> {
        let mut done = false;
        seam.run(Operation::SyncFile, Path::new(path), || {
            done = true;
            Ok(())
        })?;
        Ok(done)
    }

    #[test]
    fn only_the_nth_matching_operation_fails_and_is_counted() {
        let plan = Arc::new(FaultPlan::default());
        let number = plan.arm(rule(1, 1, Fault::Fail(28)));
        let seam = Seam::new(Some(plan.clone()));
        assert!(sync(&seam, "/d/extent/x").unwrap());
        assert!(sync(&seam, "/d/log/x").unwrap());
        let full = sync(&seam, "/d/log/x").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert!(full.to_string().contains("sync /d/log/x"), "{full}");
        assert!(sync(&seam, "/d/log/x").unwrap());
        assert_eq!(plan.fired(number), 1);
    }

    #[test]
    fn a_pretended_operation_is_not_done() {
        let plan = Arc::new(FaultPlan::default());
        plan.arm(rule(0, 1, Fault::Pretend));
        let seam = Seam::new(Some(plan));
        assert!(!sync(&seam, "/d/log/x").unwrap());
        assert!(sync(&seam, "/d/log/x").unwrap());
    }

    #[test]
    fn a_hanging_operation_goes_on_when_released() {
        let plan = Arc::new(FaultPlan::default());
        plan.arm(rule(0, 1, Fault::Hang));
        let seam = Seam::new(Some(plan.clone()));
        let hung = std::thread::spawn(move || sync(&seam, "/d/log/x").unwrap());
        while plan.hanging() == 0 {
            std::thread::yield_now();
        }
        assert!(!hung.is_finished());
        plan.release();
        assert!(hung.join().unwrap());
    }
}
