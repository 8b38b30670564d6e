//! The workers of a server: how many there are, who waits for one, and what becomes of one that hangs, dies, or has served
//! long enough.
//!
//! It never looks into an image: a source streams through to the worker, and what comes back is bounded bytes. A worker
//! that is not done in time is killed, and so is one that says what it cannot say; the next request gets a new one.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{IMAGES_PER_WORKER, PIXELS_KEPT_WORKER, SOURCE_BYTES_MAX, TURN, WAITING_PER_WORKER, WALL};
use super::wire::{ANSWER_HEAD_BYTES, AnswerHead, Encoding, NotMade, Order};
use super::worker::WorkerLimits;
use crate::http::body::BoxError;

/// The program itself, also when its file was replaced since it started.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// How workers are run.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The program, which is called as `image-worker` with its limits.
    pub program: PathBuf,
    pub workers: usize,
    /// Requests that wait for a worker; more are told to come again.
    pub waiting_max: usize,
    /// How long a request waits at most.
    pub turn: Duration,
    pub images_per_worker: u32,
    /// How long one image may take, with its source.
    pub wall: Duration,
    pub limits: WorkerLimits,
}

impl PoolConfig {
    /// One worker for each processor, of this very program.
    pub fn of_this_program() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            program: PathBuf::from(THIS_PROGRAM),
            workers,
            waiting_max: workers.saturating_mul(WAITING_PER_WORKER),
            turn: TURN,
            images_per_worker: IMAGES_PER_WORKER,
            wall: WALL,
            limits: WorkerLimits::default(),
        }
    }
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// More wait than may.
    #[error("too many images are being made")]
    Busy,
    #[error(transparent)]
    NotMade(#[from] NotMade),
    #[error("the image took longer than {} s to make", .0.as_secs_f32())]
    TooSlow(Duration),
    /// It met a limit of its memory or its processor time, or a bug.
    #[error("the image worker died of it")]
    Died,
    #[error("the file is larger than {SOURCE_BYTES_MAX} bytes")]
    SourceTooLarge,
    #[error("the file cannot be read: {0}")]
    Source(BoxError),
    #[error("no image worker can be started: {0}")]
    NoWorker(io::Error),
}

/// An image that a worker made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub encoding: Encoding,
    pub bytes: Bytes,
}

/// What happened since the start.
#[derive(Debug, Default)]
pub struct PoolCounts {
    /// Workers that were started.
    pub started: AtomicU64,
    /// Workers that were killed, or died, in the middle of an image.
    pub lost: AtomicU64,
    /// Images that were made.
    pub made: AtomicU64,
    /// Images that were refused or failed for what their source is.
    pub refused: AtomicU64,
    /// Requests that were told to come again.
    pub busy: AtomicU64,
}

/// See the module. Clones share the workers.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    config: PoolConfig,
    /// One permit for each worker there may be, so whoever has one gets an idle worker or starts one.
    running: Arc<Semaphore>,
    /// Also those that wait.
    admitted: Arc<Semaphore>,
    idle: Mutex<Vec<Worker>>,
    counts: PoolCounts,
}

/// The right to use one worker.
#[derive(Debug)]
pub struct Turn {
    _running: OwnedSemaphorePermit,
    _admitted: OwnedSemaphorePermit,
}

/// A worker, killed when it is dropped.
struct Worker {
    child: Option<Child>,
    stream: UnixStream,
    images: u32,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // One that has ended already is only to be waited for.
        let _ = child.kill();
        let mut reap = move || {
            let _ = child.wait();
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(reap)),
            Err(_) => reap(),
        }
    }
}

impl Pool {
    pub fn new(config: PoolConfig) -> Self {
        let workers = config.workers.clamp(1, Semaphore::MAX_PERMITS);
        let admitted = workers.saturating_add(config.waiting_max).min(Semaphore::MAX_PERMITS);
        Self {
            inner: Arc::new(Inner {
                running: Arc::new(Semaphore::new(workers)),
                admitted: Arc::new(Semaphore::new(admitted)),
                idle: Mutex::default(),
                counts: PoolCounts::default(),
                config,
            }),
        }
    }

    pub fn counts(&self) -> &PoolCounts {
        &self.inner.counts
    }

    /// Process ids of the workers that wait for work now.
    pub fn idle_workers(&self) -> Vec<u32> {
        let idle = self.inner.idle.lock();
        idle.iter()
            .filter_map(|worker| worker.child.as_ref().map(Child::id))
            .collect()
    }

    /// Waits for a worker; before anything is read that the image is made of.
    pub async fn turn(&self) -> Result<Turn, PoolError> {
        let busy = || {
            self.inner.counts.busy.fetch_add(1, Ordering::Relaxed);
            PoolError::Busy
        };
        let admitted = Arc::clone(&self.inner.admitted)
            .try_acquire_owned()
            .map_err(|_| busy())?;
        let running = Arc::clone(&self.inner.running).acquire_owned();
        match tokio::time::timeout(self.inner.config.turn, running).await {
            Ok(Ok(running)) => Ok(Turn {
                _running: running,
                _admitted: admitted,
            }),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// Has an image made of a source of `length` bytes. To be called from within a task that runs to its end: what is
    /// dropped in the middle costs a worker.
    pub async fn make<S>(&self, turn: Turn, order: &Order, length: u64, source: S) -> Result<Made, PoolError>
    where
        S: Stream<Item = Result<Bytes, BoxError>> + Send + Unpin,
    {
        let length = u32::try_from(length)
            .ok()
            .filter(|length| u64::from(*length) <= SOURCE_BYTES_MAX);
        let length = length.ok_or(PoolError::SourceTooLarge)?;
        let counts = &self.inner.counts;
        let mut worker = self.worker()?;
        let wall = self.inner.config.wall;
        let outcome = match tokio::time::timeout(wall, worker.work(order, length, source)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(PoolError::TooSlow(wall)),
        };
        let (head, bytes) = match outcome {
            Ok(answer) => answer,
            Err(error) => {
                counts.lost.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "an image worker is replaced");
                return Err(error);
            }
        };
        worker.images = worker.images.saturating_add(1);
        let keeps =
            worker.images < self.inner.config.images_per_worker && u64::from(head.source_pixels) <= PIXELS_KEPT_WORKER;
        if keeps {
            self.inner.idle.lock().push(worker);
        }
        drop(turn);
        let of_kind = |encoding| Made { encoding, bytes };
        let made = head.made.map(|(encoding, _)| of_kind(encoding));
        let counted = if made.is_ok() { &counts.made } else { &counts.refused };
        counted.fetch_add(1, Ordering::Relaxed);
        made.map_err(PoolError::NotMade)
    }

    /// An idle worker, or a new one.
    fn worker(&self) -> Result<Worker, PoolError> {
        while let Some(mut worker) = self.inner.idle.lock().pop() {
            // One may have been ended from outside while nobody looked.
            let runs = worker
                .child
                .as_mut()
                .is_some_and(|child| matches!(child.try_wait(), Ok(None)));
            if runs {
                return Ok(worker);
            }
        }
        let worker = Worker::start(&self.inner.config).map_err(PoolError::NoWorker)?;
        self.inner.counts.started.fetch_add(1, Ordering::Relaxed);
        Ok(worker)
    }
}

impl Worker {
    fn start(config: &PoolConfig) -> io::Result<Self> {
        let (ours, theirs) = Socket::pair()?;
        ours.set_nonblocking(true)?;
        let limits = config.limits;
        let arguments = [
            ("--address-space-bytes", limits.address_space_bytes),
            ("--cpu-seconds", limits.cpu_seconds),
            ("--pixels", limits.pixels),
        ];
        let arguments = arguments
            .into_iter()
            .flat_map(|(name, value)| [OsString::from(name), OsString::from(value.to_string())]);
        let child = Command::new(&config.program)
            .arg("image-worker")
            .args(arguments)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs.try_clone()?)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::null())
            .spawn()?;
        // From here on the child is ended with the worker.
        let stream = UnixStream::from_std(ours);
        match stream {
            Ok(stream) => Ok(Self {
                child: Some(child),
                stream,
                images: 0,
            }),
            Err(error) => {
                let mut child = child;
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Sends an order and receives the answer. After an error the worker is in the middle of something.
    async fn work<S>(&mut self, order: &Order, length: u32, mut source: S) -> Result<(AnswerHead, Bytes), PoolError>
    where
        S: Stream<Item = Result<Bytes, BoxError>> + Send + Unpin,
    {
        let died = |_: io::Error| PoolError::Died;
        self.stream.write_all(&order.head(length)).await.map_err(died)?;
        let mut missing = usize::try_from(length).unwrap_or(usize::MAX);
        while let Some(chunk) = source.next().await {
            let chunk = chunk.map_err(PoolError::Source)?;
            missing = missing
                .checked_sub(chunk.len())
                .ok_or_else(|| PoolError::Source("more bytes came than were announced".into()))?;
            self.stream.write_all(&chunk).await.map_err(died)?;
        }
        if missing > 0 {
            return Err(PoolError::Source("fewer bytes came than were announced".into()));
        }
        let mut head = [0; ANSWER_HEAD_BYTES];
        self.stream.read_exact(&mut head).await.map_err(died)?;
        let head = AnswerHead::parse(head).map_err(|_| PoolError::Died)?;
        let length = head.made.map_or(0, |(_, length)| length);
        let mut bytes = Vec::new();
        let mut image = (&mut self.stream).take(u64::from(length));
        image.read_to_end(&mut bytes).await.map_err(died)?;
        if u32::try_from(bytes.len()).ok() != Some(length) {
            return Err(PoolError::Died);
        }
        Ok((head, Bytes::from(bytes)))
    }
}
