//! The threads of one drive: a log lane, a bulk lane and a read lane, each with its own bounded queue, so that a log
//! append never waits behind 64 MiB and a hung drive never holds an async thread. It knows jobs, never files.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::embedded::detached;

/// Which threads of the drive do a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Appends to the log and their syncs.
    Log,
    /// Everything else that writes.
    Bulk,
    /// Reads that a client waits for.
    Read,
}

/// Jobs one lane holds before callers wait.
const QUEUE_MAX: usize = 256;
const LOG_THREADS: usize = 1;

enum Fate {
    Run,
    Refuse(io::Error),
}

type Task = Box<dyn FnOnce(Fate) + Send>;

#[derive(Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    shut: bool,
}

struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    room: Arc<Semaphore>,
    threads: AtomicUsize,
    /// When each thread began what it is at, in microseconds after `made`; [`IDLE`] if it is at nothing.
    begun: Vec<AtomicU64>,
    made: Instant,
    /// The lock of the drive, which a job keeps while it runs.
    lock: Weak<File>,
}

/// A thread that is at no job.
const IDLE: u64 = u64::MAX;

impl Queue {
    fn new(lock: Weak<File>, threads: usize) -> Arc<Self> {
        Arc::new(Self {
            begun: std::iter::repeat_with(|| AtomicU64::new(IDLE)).take(threads).collect(),
            made: Instant::now(),
            lock,
            waiting: Mutex::default(),
            filled: Condvar::new(),
            room: Arc::new(Semaphore::new(QUEUE_MAX)),
            threads: AtomicUsize::new(0),
        })
    }

    fn start(self: &Arc<Self>, name: &str) -> io::Result<()> {
        for thread in 0..self.begun.len() {
            let queue = self.clone();
            queue.threads.fetch_add(1, Ordering::AcqRel);
            let spawned = detached::spawn(name, move || {
                queue.work(thread);
                queue.threads.fetch_sub(1, Ordering::AcqRel);
            });
            if let Err(e) = spawned {
                self.threads.fetch_sub(1, Ordering::AcqRel);
                return Err(e);
            }
        }
        Ok(())
    }

    fn work(&self, thread: usize) {
        let note = |begun| {
            if let Some(slot) = self.begun.get(thread) {
                slot.store(begun, Ordering::Release);
            }
        };
        loop {
            let mut waiting = self.waiting.lock();
            self.filled.wait_while(&mut waiting, |w| w.tasks.is_empty() && !w.shut);
            let Some(task) = waiting.tasks.pop_front() else {
                return;
            };
            // Before anybody can shut the queue: the lock outlives every job that began.
            let kept = self.lock.upgrade();
            drop(waiting);
            note(u64::try_from(self.made.elapsed().as_micros()).unwrap_or(IDLE));
            task(Fate::Run);
            note(IDLE);
            drop(kept);
        }
    }

    /// When the oldest job that has not returned was begun.
    fn oldest(&self) -> Option<Instant> {
        let begun = self.begun.iter().map(|slot| slot.load(Ordering::Acquire));
        let oldest = begun.min().filter(|begun| *begun != IDLE)?;
        self.made.checked_add(Duration::from_micros(oldest))
    }

    fn push(&self, task: Task) {
        let mut waiting = self.waiting.lock();
        if waiting.shut {
            drop(waiting);
            task(Fate::Refuse(shut_error()));
            return;
        }
        waiting.tasks.push_back(task);
        self.filled.notify_one();
    }

    fn shut(&self) {
        self.room.close();
        let mut waiting = self.waiting.lock();
        waiting.shut = true;
        let refused = std::mem::take(&mut waiting.tasks);
        self.filled.notify_all();
        drop(waiting);
        for task in refused {
            task(Fate::Refuse(shut_error()));
        }
    }
}

fn shut_error() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the drive was put out of service")
}

fn perform<T>(
    fate: Fate,
    permit: Option<OwnedSemaphorePermit>,
    job: impl FnOnce() -> io::Result<T>,
    done: impl FnOnce(io::Result<T>),
) {
    let outcome = match fate {
        Fate::Run => catch_unwind(AssertUnwindSafe(job))
            .unwrap_or_else(|_| Err(io::Error::other("an I/O job of this drive panicked"))),
        Fate::Refuse(e) => Err(e),
    };
    drop(permit);
    if catch_unwind(AssertUnwindSafe(move || done(outcome))).is_err() {
        tracing::error!("the receiver of an I/O result panicked");
    }
}

fn task<T: Send + 'static>(
    permit: Option<OwnedSemaphorePermit>,
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
    done: impl FnOnce(io::Result<T>) + Send + 'static,
) -> Task {
    Box::new(move |fate| perform(fate, permit, job, done))
}

pub(super) struct Lanes {
    log: Arc<Queue>,
    bulk: Arc<Queue>,
    read: Arc<Queue>,
    shut: watch::Sender<bool>,
}

impl Lanes {
    /// Starts the threads; each job keeps `lock` while it runs.
    pub(super) fn start(bulk_threads: usize, read_threads: usize, lock: &Arc<File>) -> io::Result<Self> {
        let queue = |threads| Queue::new(Arc::downgrade(lock), threads);
        let lanes = Self {
            log: queue(LOG_THREADS),
            bulk: queue(bulk_threads.max(1)),
            read: queue(read_threads.max(1)),
            shut: watch::Sender::new(false),
        };
        lanes.log.start("drive-log")?;
        lanes.bulk.start("drive-bulk")?;
        lanes.read.start("drive-read")?;
        Ok(lanes)
    }

    fn queue(&self, lane: Lane) -> &Arc<Queue> {
        match lane {
            Lane::Log => &self.log,
            Lane::Bulk => &self.bulk,
            Lane::Read => &self.read,
        }
    }

    pub(super) fn submit<T: Send + 'static>(
        &self,
        lane: Lane,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
        done: impl FnOnce(io::Result<T>) + Send + 'static,
    ) {
        let queue = self.queue(lane);
        match queue.room.clone().try_acquire_owned() {
            Ok(permit) => queue.push(task(Some(permit), job, done)),
            Err(_) => {
                let busy = io::Error::new(io::ErrorKind::ResourceBusy, "the queue of the drive is full or shut");
                task(None, job, done)(Fate::Refuse(busy));
            }
        }
    }

    /// Queues a job that must not be refused for want of room: removals that free space.
    pub(super) fn enqueue(&self, lane: Lane, job: impl FnOnce() -> io::Result<()> + Send + 'static) {
        let done = |outcome: io::Result<()>| {
            // Left undone because the drive was shut, as at every stop: the next start does it.
            if let Err(e) = outcome
                && e.kind() != io::ErrorKind::NotConnected
            {
                tracing::warn!("background I/O: {e}");
            }
        };
        self.queue(lane).push(task(None, job, done));
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let queue = self.queue(lane);
        let permit = queue.room.clone().acquire_owned().await.map_err(|_| shut_error())?;
        let (send, receive) = oneshot::channel();
        queue.push(Box::new(move |fate| {
            // A read that was still waiting when its caller went away is nobody's: behind a hung one there may be many.
            if lane == Lane::Read && send.is_closed() {
                return;
            }
            // A caller that went away gets nothing; what the job made is dropped with the message.
            perform(fate, Some(permit), job, move |outcome| drop(send.send(outcome)));
        }));
        let mut shut = self.shut.subscribe();
        tokio::select! {
            biased;
            answer = receive => answer.unwrap_or_else(|_| Err(shut_error())),
            _ = shut.wait_for(|shut| *shut) => Err(shut_error()),
        }
    }

    /// When the oldest job of a lane that has not returned was begun.
    pub(super) fn oldest(&self, lane: Lane) -> Option<Instant> {
        self.queue(lane).oldest()
    }

    pub(super) fn shut(&self) {
        self.shut.send_replace(true);
        for queue in [&self.log, &self.bulk, &self.read] {
            queue.shut();
        }
    }

    pub(super) fn threads_done(&self) -> bool {
        [&self.log, &self.bulk, &self.read]
            .iter()
            .all(|queue| queue.threads.load(Ordering::Acquire) == 0)
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.shut();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn lanes() -> Lanes {
        Lanes::start(1, 1, &Arc::new(tempfile::tempfile().unwrap())).unwrap()
    }

    #[tokio::test]
    async fn a_job_keeps_the_lock_of_the_drive_until_it_returns() {
        let lock = Arc::new(tempfile::tempfile().unwrap());
        let lanes = Lanes::start(1, 1, &lock).unwrap();
        let (release, hung) = mpsc::channel::<()>();
        let (started, running) = mpsc::channel();
        let job = move || {
            started.send(()).unwrap();
            hung.recv().map_err(io::Error::other)
        };
        lanes.submit(Lane::Log, job, |_| ());
        running.recv().unwrap();
        let weak = Arc::downgrade(&lock);
        lanes.shut();
        drop(lock);
        assert!(weak.upgrade().is_some());
        release.send(()).unwrap();
        while weak.upgrade().is_some() {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_hung_job_does_not_hold_the_other_lanes() {
        let lanes = lanes();
        let (release, hung) = mpsc::channel::<()>();
        let (started, running) = mpsc::channel();
        lanes.submit(
            Lane::Log,
            move || {
                started.send(()).unwrap();
                hung.recv().map_err(io::Error::other)
            },
            |_| (),
        );
        running.recv().unwrap();
        assert_eq!(lanes.run(Lane::Read, || Ok(1)).await.unwrap(), 1);
        assert_eq!(lanes.run(Lane::Bulk, || Ok(2)).await.unwrap(), 2);
        lanes.shut();
        assert!(!lanes.threads_done(), "the hung thread has not returned");
        release.send(()).unwrap();
        while !lanes.threads_done() {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_panic_in_a_job_is_an_error_and_the_lane_lives() {
        let lanes = lanes();
        let panicked: io::Result<()> = lanes.run(Lane::Bulk, || panic!("planted")).await;
        assert!(panicked.unwrap_err().to_string().contains("panicked"));
        assert_eq!(lanes.run(Lane::Bulk, || Ok(3)).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn shutting_answers_the_running_the_queued_and_the_late_alike() {
        let lanes = Arc::new(lanes());
        let (release, hung) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let lanes = lanes.clone();
            async move {
                lanes
                    .run(Lane::Read, move || hung.recv().map_err(io::Error::other))
                    .await
            }
        });
        let second = tokio::spawn({
            let lanes = lanes.clone();
            async move { lanes.run(Lane::Read, || Ok(())).await }
        });
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        lanes.shut();
        assert_eq!(first.await.unwrap().unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert_eq!(second.await.unwrap().unwrap_err().kind(), io::ErrorKind::NotConnected);
        let late = lanes.run(Lane::Read, || Ok(())).await;
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::NotConnected);
        drop(release);
    }

    #[tokio::test]
    async fn a_lane_tells_since_when_its_oldest_job_is_on_its_way() {
        let lanes = lanes();
        let before = Instant::now();
        let (release, hung) = mpsc::channel::<()>();
        let (started, running) = mpsc::channel();
        let job = move || {
            started.send(()).unwrap();
            hung.recv().map_err(io::Error::other)
        };
        assert_eq!(lanes.oldest(Lane::Read), None);
        lanes.submit(Lane::Read, job, |_| ());
        running.recv().unwrap();
        let begun = lanes.oldest(Lane::Read).unwrap();
        assert!(begun >= before - Duration::from_millis(1) && begun <= Instant::now());
        assert_eq!(lanes.oldest(Lane::Bulk), None);
        release.send(()).unwrap();
        while lanes.oldest(Lane::Read).is_some() {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_read_whose_caller_went_away_while_it_waited_is_not_begun_and_gives_its_place_back() {
        let lanes = Arc::new(lanes());
        let (release, hung) = mpsc::channel::<()>();
        lanes.submit(Lane::Read, move || hung.recv().map_err(io::Error::other), |_| ());
        let begun = Arc::new(AtomicUsize::new(0));
        for _ in 0..QUEUE_MAX - 1 {
            let (lanes, begun) = (lanes.clone(), begun.clone());
            let waiting = tokio::spawn(async move {
                let count = move || Ok(begun.fetch_add(1, Ordering::AcqRel));
                lanes.run(Lane::Read, count).await
            });
            tokio::task::yield_now().await;
            waiting.abort();
            let _ = waiting.await;
        }
        release.send(()).unwrap();
        lanes.run(Lane::Read, || Ok(())).await.unwrap();
        assert_eq!(begun.load(Ordering::Acquire), 0);
        assert_eq!(lanes.read.room.available_permits(), QUEUE_MAX);
    }

    #[test]
    fn a_full_queue_refuses_instead_of_growing() {
        let lanes = lanes();
        let (release, hung) = mpsc::channel::<()>();
        let (answers, answered) = mpsc::channel();
        lanes.submit(Lane::Log, move || hung.recv().map_err(io::Error::other), |_| ());
        for _ in 0..QUEUE_MAX {
            let answers = answers.clone();
            lanes.submit(Lane::Log, || Ok(()), move |outcome| answers.send(outcome).unwrap());
        }
        let refused = answered.recv().unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        release.send(()).unwrap();
        for _ in 1..QUEUE_MAX {
            answered.recv().unwrap().unwrap();
        }
    }
}
