//! The engine on four small drives, and what happens to them. It keeps to what parity can bear: at most two drives are
//! ever harmed or away at a time, and at most one is away.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tempfile::TempDir;

use super::steps::File;
use crate::backend::{Backend, DriveState, ServiceState};
use crate::embedded::drive::{DriveOptions, Fault, FaultPlan, FaultRule, Operation};
use crate::embedded::heal::{Census, CensusDepth, HealOptions};
use crate::embedded::{ByHand, Embedded, OpenOptions};
use crate::planted::{self, Bug};
use crate::store::clock::{Clock, Timestamp};
use crate::store::name::BucketName;
use crate::store::tests::agreement::planted_over;
use crate::store::{Epoch, Store};

pub(super) const DRIVES: usize = 4;
pub(super) const PARITY: usize = 2;
/// A minute of them.
const HEAL_LOOKS: u32 = 300;
/// Half a minute of them, and of what they do.
const WIDEN_LOOKS: u32 = 600;
const DAY: u64 = 24 * 60 * 60 * 1000;
const OPERATIONS: [Operation; 9] = [
    Operation::Create,
    Operation::Open,
    Operation::Read,
    Operation::Write,
    Operation::SyncFile,
    Operation::SyncDirectory,
    Operation::Remove,
    Operation::Rename,
    Operation::List,
];

/// A clock that goes on by a second whenever it is read, and can be set.
pub(super) struct HandClock(AtomicU64);

impl HandClock {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(1_700_000_000_000))
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(1000, Ordering::Relaxed))
    }
}

/// A running store.
struct Up {
    drives: Arc<Embedded>,
    store: Store,
    housekeeping: ByHand,
}

pub(super) struct Ground {
    dir: TempDir,
    plan: Arc<FaultPlan>,
    heal: HealOptions,
    clock: Arc<HandClock>,
    up: Option<Up>,
    starts: u8,
    away: Option<usize>,
    harmed: BTreeSet<usize>,
    /// Drives with a rotten root slot: with both rotten and another drive away, half of the drives are none, and the store
    /// is read-only as it must be.
    rotten_roots: BTreeSet<usize>,
    pub(super) bucket: BucketName,
}

impl Ground {
    pub(super) async fn new() -> Result<Self, String> {
        Self::with(FaultPlan::with_power_cuts(), HealOptions::default()).await
    }

    pub(super) async fn with(plan: FaultPlan, heal: HealOptions) -> Result<Self, String> {
        let mut ground = Self {
            dir: dir_in_memory()?,
            plan: Arc::new(plan),
            heal,
            clock: Arc::new(HandClock::new()),
            up: None,
            starts: 0,
            away: None,
            harmed: BTreeSet::new(),
            rotten_roots: BTreeSet::new(),
            bucket: BucketName::parse("bucket").unwrap(),
        };
        ground.open().await?;
        let made = ground.store().create_bucket(&ground.bucket, "").await;
        made.map_err(|error| error.to_string())?;
        Ok(ground)
    }

    pub(super) fn store(&self) -> &Store {
        &self.up.as_ref().expect("the store is up between steps").store
    }

    pub(super) fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn drive(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("data{number}"))
    }

    /// Faults of the drive that is away, and of bugs that are planted by faults once the store is up.
    fn arm(&self, up: bool) {
        self.plan.disarm();
        if let Some(away) = self.away {
            for operation in OPERATIONS {
                self.plan.arm_always(operation, &format!("/data{away}"), Fault::Fail(5));
            }
        }
        let pretended = [
            (Bug::SkippedSync, Operation::SyncFile, "/log/"),
            (Bug::NoDirectorySync, Operation::SyncDirectory, "/.drystone/"),
            (Bug::RootNotSynced, Operation::SyncFile, "/root."),
            (Bug::HealNotSynced, Operation::SyncFile, ".new"),
        ];
        for (bug, operation, path_part) in pretended {
            if up && planted::is(bug) {
                self.plan.arm_always(operation, path_part, Fault::Pretend);
            }
        }
        if up && planted::is(Bug::AckedAtKMinusOne) {
            for drive in 1..DRIVES {
                self.plan
                    .arm_always(Operation::Write, &format!("/data{drive}/.drystone/log"), Fault::Pretend);
            }
        }
    }

    /// One more fault, until the next start.
    pub(super) fn meet(&self, rule: FaultRule) -> usize {
        self.plan.arm(rule)
    }

    /// How often it has met an operation.
    pub(super) fn fired(&self, rule: usize) -> u64 {
        self.plan.fired(rule)
    }

    async fn open(&mut self) -> Result<(), String> {
        self.arm(false);
        self.starts += 1;
        let options = OpenOptions {
            heal: self.heal,
            drives: (0..DRIVES).map(|number| self.drive(number)).collect(),
            drive: DriveOptions {
                faults: Some(Arc::clone(&self.plan)),
                ..DriveOptions::default()
            },
            ..OpenOptions::default()
        };
        let drives = Embedded::open(options)
            .await
            .map_err(|error| format!("no start: {error}"))?;
        let state = drives.health().state;
        if state != ServiceState::ReadWrite {
            return Err(format!("after a start with at most one drive away: {state:?}"));
        }
        let store = Store::new(
            planted_over(drives.clone()),
            self.clock.clone(),
            Epoch([self.starts; 16]),
        );
        store
            .sweep_ended_uploads()
            .await
            .map_err(|error| format!("sweep: {error:?}"))?;
        let housekeeping = ByHand::of(&drives)?;
        self.up = Some(Up {
            drives,
            store,
            housekeeping,
        });
        self.arm(true);
        Ok(())
    }

    /// Lets go of the store and waits until nothing of it holds a drive.
    async fn release(&mut self) -> Result<(), String> {
        let Some(up) = self.up.take() else { return Ok(()) };
        let weak = Arc::downgrade(&up.drives);
        drop(up);
        let drives: Vec<PathBuf> = (0..DRIVES).map(|number| self.drive(number)).collect();
        released(&weak, &drives).await
    }

    /// Kills the process: what it wrote stands in the page cache, and nothing is lost.
    pub(super) async fn kill(&mut self) -> Result<(), String> {
        self.release().await?;
        self.open().await
    }

    pub(super) async fn clean_restart(&mut self) -> Result<(), String> {
        self.close().await?;
        self.open().await
    }

    pub(super) async fn open_again(&mut self) -> Result<(), String> {
        self.open().await
    }

    pub(super) async fn close(&mut self) -> Result<(), String> {
        if let Some(up) = &self.up {
            up.drives.close().await;
        }
        self.release().await
    }

    /// Kills the process and cuts the power: what was not synced is gone.
    pub(super) async fn dirty_reboot(&mut self) -> Result<(), String> {
        self.release().await?;
        self.plan
            .power_cut(self.dir.path())
            .map_err(|error| error.to_string())?;
        self.open().await
    }

    /// Whether one more drive may be harmed or away.
    fn bears(&self, drive: usize) -> bool {
        let mut all: BTreeSet<usize> = self.harmed.iter().copied().chain(self.away).collect();
        all.insert(drive);
        all.len() <= PARITY
    }

    pub(super) fn fail_drive(&mut self, drive: usize) {
        if self.away.is_none() && self.bears(drive) {
            self.away = Some(drive);
            self.arm(true);
        }
    }

    /// What failed goes on to work; the store has to see it by itself.
    pub(super) async fn recover_drive(&mut self) -> Result<(), String> {
        self.drive_works();
        self.taken_in(HEAL_LOOKS).await
    }

    pub(super) fn drive_works(&mut self) {
        self.away = None;
        self.arm(true);
    }

    /// Waits until every drive is in, for so many tenths of a second at most.
    pub(super) async fn taken_in(&self, looks: u32) -> Result<(), String> {
        for _ in 0..looks {
            let drives = self.up.as_ref().map(|up| up.drives.health().drives).unwrap_or_default();
            if drives.iter().all(|drive| drive.state == DriveState::In) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err("a drive that works again was not taken in".to_owned())
    }

    pub(super) async fn return_drive(&mut self) -> Result<(), String> {
        match self.away.take() {
            Some(_) => self.clean_restart().await,
            None => Ok(()),
        }
    }

    /// A drive is replaced by an empty one while the store is down.
    pub(super) async fn wipe_drive(&mut self, drive: usize) -> Result<(), String> {
        if self.away.is_some() || !self.bears(drive) {
            return Ok(());
        }
        self.close().await?;
        std::fs::remove_dir_all(self.drive(drive).join(".drystone")).map_err(|error| error.to_string())?;
        self.harmed.insert(drive);
        self.open().await
    }

    pub(super) fn flip_byte(
        &mut self,
        drive: usize,
        file: File,
        (which, at, bit): (u16, u32, u8),
    ) -> Result<(), String> {
        let second_slot = matches!(file, File::Root) && self.rotten_roots.contains(&drive);
        if !self.bears(drive) || second_slot {
            return Ok(());
        }
        let root = self.drive(drive).join(".drystone");
        let mut files = Vec::new();
        match file {
            File::Log => files_below(&root.join("log"), &mut files),
            File::Extent => files_below(&root.join("extent"), &mut files),
            File::Checkpoint => files_below(&root.join("checkpoint"), &mut files),
            File::Root => files.extend(["root.0", "root.1"].map(|slot| root.join(slot))),
        }
        files.sort();
        let Some(path) = files.get(usize::from(which) % files.len().max(1)) else {
            return Ok(());
        };
        // A file may go at any moment, for a drive is healed beside all this; then nothing rots.
        let rotting = match std::fs::File::options().read(true).write(true).open(path) {
            Ok(rotting) => rotting,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let len = rotting.metadata().map_err(|error| error.to_string())?.len();
        let (at, mut byte) = (u64::from(at) % len.max(1), [0]);
        let is_there = rotting.read_at(&mut byte, at).map_err(|error| error.to_string())? == 1;
        if is_there {
            self.harmed.insert(drive);
            if let File::Root = file {
                self.rotten_roots.insert(drive);
            }
            let flipped = byte.map(|byte| byte ^ (1 << bit));
            rotting.write_all_at(&flipped, at).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    pub(super) async fn checkpoint(&mut self) -> Result<(), String> {
        let Some(up) = &mut self.up else { return Ok(()) };
        let made = up.housekeeping.checkpoint(&up.drives).await;
        // With a drive that errs it may take another round.
        made.or_else(|error| if self.away.is_some() { Ok(()) } else { Err(error) })
    }

    pub(super) async fn compact(&mut self) -> Result<(), String> {
        let Some(up) = &mut self.up else { return Ok(()) };
        let done = up.housekeeping.compact(&up.drives).await;
        done.or_else(|error| if self.away.is_some() { Ok(()) } else { Err(error) })
    }

    /// Heals until a census that reads every frame is clean; from then on every drive may be harmed anew.
    pub(super) async fn heal(&mut self) -> Result<(), String> {
        let Some(up) = self.up.as_ref().filter(|_| self.away.is_none()) else {
            return Ok(());
        };
        up.drives.scrub_now();
        let mut census = Err("no census".to_owned());
        for _ in 0..HEAL_LOOKS {
            census = up.drives.census(CensusDepth::Frames).await;
            if census.as_ref().is_ok_and(Census::is_clean) {
                self.harmed.clear();
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(format!(
            "not whole after a minute: {census:?}, {:?}",
            up.drives.heal_status()
        ))
    }

    /// What was written while a drive was away gets all its shards, where every drive is here; of what rots nothing is
    /// promised.
    pub(super) async fn widen(&self) -> Result<(), String> {
        match (self.away, self.harmed.is_empty()) {
            (Some(_), _) => Ok(()),
            (None, true) => self.all_wide(WIDEN_LOOKS).await,
            (None, false) => self.all_wide(1).await.or(Ok(())),
        }
    }

    /// Has everything written anew that can be wider, so often: healing, and the store by itself, may just have some of it.
    ///
    /// # Errors
    /// Something is still as narrow as it was written.
    pub(super) async fn all_wide(&self, tries: u32) -> Result<(), String> {
        let up = self.up.as_ref().ok_or("the store is down")?;
        let mut tried = Ok(());
        for _ in 0..tries {
            tried = ByHand::widen(&up.drives).await;
            if ByHand::widths(&up.drives)?.iter().all(|shards| *shards == DRIVES) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("it is narrow: {:?}, {tried:?}", ByHand::widths(&up.drives)))
    }

    /// Shard files on a drive in the folder of this kind.
    pub(super) fn shards(&self, drive: usize, kind: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        files_below(&self.drive(drive).join(".drystone").join(kind), &mut files);
        files
    }

    /// Files are gone when the store starts again.
    pub(super) async fn lose(&mut self, files: &[PathBuf]) -> Result<(), String> {
        self.close().await?;
        for file in files {
            std::fs::remove_file(file).map_err(|error| error.to_string())?;
        }
        self.open().await
    }

    /// Makes anew what is missing, once.
    pub(super) async fn heal_once(&self) -> Result<(), String> {
        ByHand::heal(&self.up.as_ref().ok_or("the store is down")?.drives).await
    }

    /// Whether every segment has all its shards, each good in every frame.
    pub(super) async fn is_whole(&self) -> Result<bool, String> {
        let up = self.up.as_ref().ok_or("the store is down")?;
        let census = up.drives.census(CensusDepth::Frames).await?;
        Ok(census.whole == census.segments && census.bad_shards == 0)
    }

    pub(super) fn jump(&self, back: bool) {
        let now = self.clock.0.load(Ordering::Relaxed);
        self.clock
            .0
            .store(if back { now - DAY } else { now + DAY }, Ordering::Relaxed);
    }
}

/// An empty directory that takes no time to sync.
pub(super) fn dir_in_memory() -> Result<TempDir, String> {
    let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
    dir.map_err(|error| error.to_string())
}

/// Waits until nothing of a store that was let go holds one of these drives.
pub(super) async fn released(store: &Weak<Embedded>, drives: &[PathBuf]) -> Result<(), String> {
    let free = |drive: &PathBuf| match std::fs::File::open(drive.join(".drystone/lock")) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => true,
    };
    for _ in 0..20_000 {
        if store.upgrade().is_none() && drives.iter().all(free) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Err("something still holds the store".to_owned())
}

pub(super) fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}
