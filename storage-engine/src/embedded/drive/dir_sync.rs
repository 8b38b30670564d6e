//! One sync of a directory for all who wait for it at that moment: uploads in flight share their directory syncs.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::faults::copy_of;

type Waiter = oneshot::Sender<io::Result<()>>;

/// Who waits for the next sync of each directory; a directory is in the map while a sync of it is on its way.
#[derive(Debug, Default)]
pub(super) struct DirectorySyncs {
    waiting: Mutex<HashMap<PathBuf, Vec<Waiter>>>,
}

impl DirectorySyncs {
    /// Joins the next sync of `dir` that has not begun. `true`: none is on its way, the caller must start [`Self::work`].
    pub(super) fn join(&self, dir: &Path) -> (oneshot::Receiver<io::Result<()>>, bool) {
        let (send, receive) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        match waiting.get_mut(dir) {
            Some(waiters) => {
                waiters.push(send);
                (receive, false)
            }
            None => {
                waiting.insert(dir.to_owned(), vec![send]);
                (receive, true)
            }
        }
    }

    /// One sync; whoever joined before it began is served by it. `true`: others wait by now, and the caller must see to it
    /// that there is a next one. One at a time, in jobs of their own: a job that never ends looks like a drive that hangs.
    pub(super) fn work(&self, dir: &Path, sync: impl Fn() -> io::Result<()>) -> bool {
        let waiters = self.waiting.lock().get_mut(dir).map(std::mem::take);
        let outcome = sync();
        for waiter in waiters.unwrap_or_default() {
            // One that went away does not mind.
            drop(waiter.send(outcome.as_ref().copied().map_err(copy_of)));
        }
        let mut waiting = self.waiting.lock();
        let more = waiting.get(dir).is_some_and(|waiters| !waiters.is_empty());
        if !more {
            waiting.remove(dir);
        }
        more
    }

    /// Answers all who wait for `dir`: the job that was to serve them could not run.
    pub(super) fn abandon(&self, dir: &Path, error: &io::Error) {
        let waiters = self.waiting.lock().remove(dir).unwrap_or_default();
        for waiter in waiters {
            drop(waiter.send(Err(copy_of(error))));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn who_joins_during_a_sync_is_served_by_the_next_one() {
        let syncs = DirectorySyncs::default();
        let dir = Path::new("/d");
        let (mut first, lead) = syncs.join(dir);
        let (mut second, follow) = syncs.join(dir);
        assert!(lead && !follow);
        let late = RefCell::new(None);
        let done = Cell::new(0);
        let sync = || {
            done.set(done.get() + 1);
            if done.get() == 1 {
                *late.borrow_mut() = Some(syncs.join(dir).0);
            }
            Ok(())
        };
        assert!(syncs.work(dir, sync), "the late one waits");
        assert_eq!(done.get(), 1, "two shared the first sync");
        assert!(!syncs.join(dir).1, "whoever works goes on");
        assert!(!syncs.work(dir, sync), "nobody waits");
        assert_eq!(done.get(), 2);
        first.try_recv().unwrap().unwrap();
        second.try_recv().unwrap().unwrap();
        late.take().unwrap().try_recv().unwrap().unwrap();
        assert!(syncs.join(dir).1, "the next one leads again");
    }

    #[test]
    fn all_who_share_a_failed_sync_learn_of_it() {
        let syncs = DirectorySyncs::default();
        let dir = Path::new("/d");
        let (mut first, _) = syncs.join(dir);
        let (mut second, _) = syncs.join(dir);
        assert!(!syncs.work(dir, || Err(io::Error::from_raw_os_error(28))));
        for receiver in [&mut first, &mut second] {
            let outcome = receiver.try_recv().unwrap();
            assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
    }
}
