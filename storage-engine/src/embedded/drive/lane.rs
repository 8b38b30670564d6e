//! The threads of one drive: a log lane, a bulk lane and a read lane, each with its own bounded queue, so that a log
//! append never waits behind 64 MiB and a hung drive never holds an async thread. It knows jobs, never files.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// Which threads of the drive do a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The lock of the drive, which a job keeps while it runs.
    lock: Weak<File>,
}

impl Queue {
    fn new(lock: Weak<File>) -> Arc<Self> {
        Arc::new(Self {
            lock,
            waiting: Mutex::default(),
            filled: Condvar::new(),
            room: Arc::new(Semaphore::new(QUEUE_MAX)),
            threads: AtomicUsize::new(0),
        })
    }

    fn start(self: &Arc<Self>, name: &str, threads: usize) -> io::Result<()> {
        for _ in 0..threads {
            let queue = self.clone();
            queue.threads.fetch_add(1, Ordering::AcqRel);
            let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                queue.work();
                queue.threads.fetch_sub(1, Ordering::AcqRel);
            });
            if let Err(e) = spawned {
                self.threads.fetch_sub(1, Ordering::AcqRel);
                return Err(e);
            }
        }
        Ok(())
    }

    fn work(&self) {
        loop {
            let mut waiting = self.waiting.lock();
            self.filled.wait_while(&mut waiting, |w| w.tasks.is_empty() && !w.shut);
            let Some(task) = waiting.tasks.pop_front() else {
                return;
            };
            // Before anybody can shut the queue: the lock outlives every job that began.
            let kept = self.lock.upgrade();
            drop(waiting);
            task(Fate::Run);
            drop(kept);
        }
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

fn task<T: Send + 'static>(
    permit: Option<OwnedSemaphorePermit>,
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
    done: impl FnOnce(io::Result<T>) + Send + 'static,
) -> Task {
    Box::new(move |fate| {
        let outcome = match fate {
            Fate::Run => catch_unwind(AssertUnwindSafe(job))
                .unwrap_or_else(|_| Err(io::Error::other("an I/O job of this drive panicked"))),
            Fate::Refuse(e) => Err(e),
        };
        drop(permit);
        if catch_unwind(AssertUnwindSafe(move || done(outcome))).is_err() {
            tracing::error!("the receiver of an I/O result panicked");
        }
    })
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
        let queue = || Queue::new(Arc::downgrade(lock));
        let lanes = Self {
            log: queue(),
            bulk: queue(),
            read: queue(),
            shut: watch::Sender::new(false),
        };
        lanes.log.start("drive-log", LOG_THREADS)?;
        lanes.bulk.start("drive-bulk", bulk_threads.max(1))?;
        lanes.read.start("drive-read", read_threads.max(1))?;
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
        // A caller that went away gets nothing; what the job made is dropped with the message.
        let done = move |outcome| drop(send.send(outcome));
        queue.push(task(Some(permit), job, done));
        let mut shut = self.shut.subscribe();
        tokio::select! {
            biased;
            answer = receive => answer.unwrap_or_else(|_| Err(shut_error())),
            _ = shut.wait_for(|shut| *shut) => Err(shut_error()),
        }
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
