//! Drives: the only place of the engine that touches files. A drive knows its folder, its lock, its root slots, its shard
//! files and its threads; it never knows what a frame or a record says.

pub mod cut;
mod dir_sync;
mod faults;
pub mod index_dir;
mod lane;
mod latency;
mod leftovers;
mod mounts;
mod onlooker;
mod power_cut;
mod probe;
mod shard_file;
mod shards;
mod slots;
pub mod trace;

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use dir_sync::DirectorySyncs;
pub use faults::{Fault, FaultPlan, FaultRule, Operation};
use faults::{Seam, named};
pub use lane::Lane;
use lane::Lanes;
pub use latency::ReadLatency;
pub use leftovers::{Leftover, leftovers};
pub use mounts::{MountFacts, Space, Uptime, uptime_at};
pub use onlooker::user_of;
pub use probe::{DirectoryId, Probe, directory_id, holds_anything, mount_facts_at, probe, space_at, try_out};
pub use shard_file::ShardFile;
use shards::Shards;
pub use shards::{Replacement, ShardListing};

use super::frame::ShardHeader;
use super::id::{DriveId, SegmentId};
use super::segment::SegmentKind;

/// The folder of a drive below its path.
const FOLDER: &str = ".drystone";
const LOCK_FILE: &str = "lock";
const ROOT_SLOTS: [&str; 2] = ["root.0", "root.1"];
const LOG_DIR: &str = "log";
const EXTENT_DIR: &str = "extent";
const CHECKPOINT_DIR: &str = "checkpoint";
const INDEX_DIR: &str = "index";
const SCRUB_FILE: &str = "scrub";
/// More than a scrub file ever holds.
const SCRUB_BYTES_MAX: u64 = 4096;

/// How a drive is opened.
#[derive(Clone, Debug)]
pub struct DriveOptions {
    /// Threads for syncs and body writes.
    pub bulk_threads: usize,
    /// Threads for reads that clients wait for.
    pub read_threads: usize,
    /// How long a start waits for an answer of the drive; then it counts as missing.
    pub answer_within: Duration,
    /// Faults to inject; only tests give one.
    pub faults: Option<Arc<FaultPlan>>,
}

impl Default for DriveOptions {
    fn default() -> Self {
        Self {
            bulk_threads: 3,
            read_threads: 4,
            answer_within: Duration::from_secs(10),
            faults: None,
        }
    }
}

/// Why a drive could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// Another process, or an earlier opening of this one whose I/O has not returned, holds it. The drive is missing.
    #[error("drive {0} is in use by another process")]
    Locked(PathBuf),
    #[error("drive {0} holds no store")]
    NotFormatted(PathBuf),
    #[error("drive {path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// An open, locked drive with its threads. The lock is held until the drive is shut or dropped and its last job has
/// returned.
pub struct Drive {
    path: PathBuf,
    folder: PathBuf,
    /// Its name in the store, once a root said it.
    id: OnceLock<DriveId>,
    seam: Seam,
    shards: Shards,
    lanes: Lanes,
    directory_syncs: DirectorySyncs,
    read_latency: ReadLatency,
    space_seen: Mutex<Space>,
    /// Given up when the drive is shut; a job on its way holds on to it until it has returned.
    lock: Mutex<Option<Arc<File>>>,
}

impl std::fmt::Debug for Drive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Drive").field(&self.path).finish()
    }
}

impl Drive {
    /// Opens and locks the drive at `path`; with `format`, makes its folder durably if it is missing.
    pub fn open(path: &Path, format: bool) -> Result<Self, DriveError> {
        Self::open_with(path, format, DriveOptions::default())
    }

    pub fn open_with(path: &Path, format: bool, options: DriveOptions) -> Result<Self, DriveError> {
        let failed = |error| DriveError::Io {
            path: path.to_owned(),
            error,
        };
        let folder = path.join(FOLDER);
        if format {
            for dir in [LOG_DIR, EXTENT_DIR, CHECKPOINT_DIR] {
                index_dir::make_dirs(&folder.join(dir)).map_err(failed)?;
            }
        } else if !folder.is_dir() {
            return Err(DriveError::NotFormatted(path.to_owned()));
        }
        let lock = open_lock(&folder).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DriveError::Locked(path.to_owned())),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        Self::over(path, folder, Arc::new(lock), options).map_err(failed)
    }

    /// Opens the drive at `path` without its lock, beside whoever has it open: to be read from and never written to.
    /// Makes nothing.
    pub fn open_to_look(path: &Path) -> Result<Self, DriveError> {
        let failed = |error| DriveError::Io {
            path: path.to_owned(),
            error,
        };
        let folder = path.join(FOLDER);
        if !folder.is_dir() {
            return Err(DriveError::NotFormatted(path.to_owned()));
        }
        // The lanes hold on to a file while they work; this one nobody locks.
        let held = Arc::new(File::open(&folder).map_err(failed)?);
        Self::over(path, folder, held, DriveOptions::default()).map_err(failed)
    }

    fn over(path: &Path, folder: PathBuf, lock: Arc<File>, options: DriveOptions) -> io::Result<Self> {
        let seam = Seam::new(options.faults);
        let shards = Shards::scan(&folder, seam.clone())?;
        Ok(Self {
            path: path.to_owned(),
            id: OnceLock::new(),
            lanes: Lanes::start(options.bulk_threads, options.read_threads, &lock)?,
            folder,
            seam,
            shards,
            directory_syncs: DirectorySyncs::default(),
            read_latency: ReadLatency::default(),
            space_seen: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// The id its root gives it; all zeros before [`Self::set_id`].
    pub fn id(&self) -> DriveId {
        self.id.get().copied().unwrap_or(DriveId::from_bytes([0; 16]))
    }

    /// Names the drive, once.
    pub fn set_id(&self, id: DriveId) {
        let _ = self.id.set(id);
    }

    /// The path the operator gave.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the index of a store may live on this drive.
    pub fn index_dir(&self) -> PathBuf {
        self.folder.join(INDEX_DIR)
    }

    /// Facts of the mount this drive is on; an error if something else is mounted at its path by now, or nothing. Blocks.
    pub fn mount_facts(&self) -> io::Result<MountFacts> {
        let held = self.lock.lock().clone();
        self.seam.get(Operation::Open, &self.path, || {
            let facts = mounts::facts_of(&self.path)?;
            let held = held.ok_or_else(|| io::Error::other("the drive was shut"))?;
            let (held, there) = (held.metadata()?, std::fs::metadata(self.folder.join(LOCK_FILE))?);
            match (held.dev(), held.ino()) == (there.dev(), there.ino()) {
                true => Ok(facts),
                false => Err(io::Error::other("another directory is at the drive's path")),
            }
        })
    }

    /// Space of the file system this drive is on. Blocks.
    pub fn space(&self) -> io::Result<Space> {
        let seam = &self.seam;
        let space = seam.get(Operation::Open, &self.path, || mounts::space_of(&self.path))?;
        *self.space_seen.lock() = space;
        Ok(space)
    }

    /// What [`Self::space`] gave last, nothing at all before; never asks the drive.
    pub fn space_seen(&self) -> Space {
        *self.space_seen.lock()
    }

    /// The bytes of both root slots, as they are. Blocks.
    pub fn read_root_slots(&self) -> io::Result<[Option<Vec<u8>>; 2]> {
        slots::read_both(&self.folder, &self.seam)
    }

    /// Overwrites root slot 0 or 1; durable when it returns. Blocks.
    pub fn write_root_slot(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        slots::write(&self.folder, &self.seam, slot, bytes)
    }

    /// Queues a job on a lane. `done` is called exactly once, on a thread of the lane or, if the job is refused (queue
    /// full, drive shut), on the caller's.
    pub fn submit<T: Send + 'static>(
        &self,
        lane: Lane,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
        done: impl FnOnce(io::Result<T>) + Send + 'static,
    ) {
        self.lanes.submit(lane, job, done);
    }

    /// Does a job on a lane; waits for room in its queue. Returns with an error as soon as the drive is shut, even if the
    /// job still hangs. A caller that stops waiting does not stop the job; one of the read lane that has not begun by then
    /// is left out.
    pub async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.lanes.run(lane, job).await
    }

    /// When the oldest job of a lane that has not returned was begun; never asks the drive.
    pub fn oldest_job(&self, lane: Lane) -> Option<Instant> {
        self.lanes.oldest(lane)
    }

    /// How long reads that clients wait for take here. Whoever reads tells it.
    pub fn read_latency(&self) -> &ReadLatency {
        &self.read_latency
    }

    /// Takes no more jobs and refuses those that wait; jobs on their way go on. Who has the drive may keep it: it is
    /// another's to open as soon as these have returned.
    pub fn shut(&self) {
        self.lanes.shut();
        self.lock.lock().take();
    }

    /// Whether all threads have returned after [`Self::shut`].
    pub fn threads_done(&self) -> bool {
        self.lanes.threads_done()
    }

    /// Makes a shard file with its header; fails if it exists. Nothing is synced: see [`ShardFile::sync_data`] and
    /// [`Self::sync_shard_dir`]. Blocks.
    pub fn create_shard(&self, header: &ShardHeader) -> io::Result<ShardFile> {
        self.shards.create(header)
    }

    /// Opens a shard file for reading, or gives the handle that is open; `None` if this drive does not have it. Blocks.
    pub fn open_shard(&self, kind: SegmentKind, segment: SegmentId, shard: u8) -> io::Result<Option<ShardFile>> {
        self.shards.open(kind, segment, shard)
    }

    /// The handle of a shard file if it is open; never touches the drive.
    pub fn open_handle(&self, segment: SegmentId, shard: u8) -> Option<ShardFile> {
        self.shards.open_handle(segment, shard)
    }

    /// Whether this drive has that shard file; never touches the drive.
    pub fn holds_shard(&self, kind: SegmentKind, segment: SegmentId, shard: u8) -> bool {
        self.shards.holds(kind, segment, shard)
    }

    /// Removes a shard file if it is there; not durable before its directory is synced. Blocks.
    pub fn remove_shard(&self, kind: SegmentKind, segment: SegmentId, shard: u8) -> io::Result<()> {
        self.shards.remove(kind, segment, shard)
    }

    /// Removes a shard file in the background; a failure is logged and leaves an orphan.
    pub fn remove_shard_later(self: &Arc<Self>, kind: SegmentKind, segment: SegmentId, shard: u8) {
        self.shards.leaves(segment, shard);
        let drive = self.clone();
        self.lanes
            .enqueue(Lane::Bulk, move || drive.remove_shard(kind, segment, shard));
    }

    /// Whether the removal of a shard file in the background has not had its turn yet; never touches the drive.
    pub fn is_leaving(&self, segment: SegmentId, shard: u8) -> bool {
        self.shards.is_leaving(segment, shard)
    }

    /// Begins a shard file beside its place, with its header; see [`Self::install`]. Blocks.
    pub fn begin_replacement(&self, header: &ShardHeader) -> io::Result<Replacement> {
        self.shards.begin_replacement(header)
    }

    /// Puts a replacement in its place, over what stands there. It must have been synced and read back; it is durable
    /// when this returns. Blocks.
    pub fn install(&self, new: &Replacement, header: &ShardHeader) -> io::Result<()> {
        self.shards.install(new)?;
        self.sync_shard_dir(header.kind, header.segment)
    }

    /// Removes a replacement that will not be finished, in the background.
    pub fn discard_later(self: &Arc<Self>, new: Replacement) {
        let drive = self.clone();
        self.lanes.enqueue(Lane::Bulk, move || drive.shards.discard(&new));
    }

    /// Removes replacements that were never finished; says how many. To be called before the first is begun. Blocks.
    pub fn discard_unfinished(&self) -> io::Result<usize> {
        self.shards.discard_unfinished()
    }

    /// Opens a shard file past the handle that is kept. `None` if this drive does not have it. Blocks.
    pub fn open_afresh(&self, kind: SegmentKind, segment: SegmentId, shard: u8) -> io::Result<Option<ShardFile>> {
        self.shards.open_afresh(kind, segment, shard)
    }

    /// All shard files of this drive, ordered by segment and shard. Blocks: it asks for each file's length.
    pub fn list_shards(&self) -> io::Result<Vec<ShardListing>> {
        self.shards.list()
    }

    /// What [`Self::write_scrub`] kept. Blocks.
    pub fn read_scrub(&self) -> io::Result<Option<Vec<u8>>> {
        let path = self.folder.join(SCRUB_FILE);
        let seam = &self.seam;
        seam.get(Operation::Read, &path, || index_dir::read_small(&path, SCRUB_BYTES_MAX))
    }

    /// Keeps how far this drive's files are verified. Blocks.
    pub fn write_scrub(&self, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.join(SCRUB_FILE);
        let seam = &self.seam;
        seam.run(Operation::Write, &path, || index_dir::write_durably(&path, bytes))
    }

    /// Empties what [`Self::write_scrub`] kept, which takes no space. Blocks.
    pub fn empty_scrub(&self) -> io::Result<()> {
        let path = self.folder.join(SCRUB_FILE);
        let seam = &self.seam;
        seam.run(Operation::Write, &path, || index_dir::empty_durably(&path))
    }

    /// All shard files of this drive with the hint of their kind, as in [`ShardListing`]; never touches the drive.
    pub fn known_shards(&self) -> Vec<(SegmentId, u8, SegmentKind)> {
        self.shards.known()
    }

    /// Counts files as there that were never made, to see what many of them cost.
    #[cfg(test)]
    pub fn pretend(&self, files: impl Iterator<Item = (SegmentId, u8)>) {
        self.shards.pretend(files);
    }

    fn shard_dir(&self, kind: SegmentKind, segment: SegmentId) -> io::Result<PathBuf> {
        self.shards.directory_of(kind, segment).ok_or_else(|| {
            let text = format!("drive {} has no shard of segment {segment}", self.path.display());
            io::Error::new(io::ErrorKind::NotFound, text)
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.seam.sync_directory(dir, || File::open(dir)?.sync_all())
    }

    /// Puts the directory entry of a segment's shard file on stable media. Blocks.
    pub fn sync_shard_dir(&self, kind: SegmentKind, segment: SegmentId) -> io::Result<()> {
        self.sync_dir(&self.shard_dir(kind, segment)?)
    }

    /// Syncs a directory in a job of the bulk lane, and in another one as long as somebody waits.
    fn sync_for_waiters(self: Arc<Self>, dir: PathBuf) {
        let (worker, after, synced) = (self.clone(), self.clone(), dir.clone());
        let job = move || Ok(worker.directory_syncs.work(&synced, || worker.sync_dir(&synced)));
        self.submit(Lane::Bulk, job, move |more: io::Result<bool>| match more {
            Ok(true) => after.sync_for_waiters(dir),
            Ok(false) => {}
            Err(e) => after.directory_syncs.abandon(&dir, &e),
        });
    }

    /// As [`Self::sync_shard_dir`], on the bulk lane, sharing one sync with all who wait for the same directory.
    pub async fn share_shard_dir_sync(self: &Arc<Self>, kind: SegmentKind, segment: SegmentId) -> io::Result<()> {
        let dir = self.shard_dir(kind, segment)?;
        let (outcome, leads) = self.directory_syncs.join(&dir);
        if leads {
            self.clone().sync_for_waiters(dir.clone());
        }
        outcome
            .await
            .unwrap_or_else(|_| Err(io::Error::other(format!("the sync of {} was abandoned", dir.display()))))
    }
}

fn open_lock(folder: &Path) -> io::Result<File> {
    let path = folder.join(LOCK_FILE);
    match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path),
        other => other,
    }
    .map_err(|e| named(Operation::Open, &path, &e))
}

#[cfg(test)]
mod tests;
