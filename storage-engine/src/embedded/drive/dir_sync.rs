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

    /// Syncs until nobody waits. Whoever joined before a sync began is served by it.
    pub(super) fn work(&self, dir: &Path, sync: impl Fn() -> io::Result<()>) {
        loop {
            let waiters = {
                let mut waiting = self.waiting.lock();
                let waiters = waiting.get_mut(dir).map(std::mem::take).unwrap_or_default();
                if waiters.is_empty() {
                    waiting.remove(dir);
                    return;
                }
                waiters
            };
            let outcome = sync();
            for waiter in waiters {
                // One that went away does not mind.
                drop(waiter.send(outcome.as_ref().copied().map_err(copy_of)));
            }
        }
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
        syncs.work(dir, || {
            done.set(done.get() + 1);
            if done.get() == 1 {
                *late.borrow_mut() = Some(syncs.join(dir).0);
            }
            Ok(())
        });
        assert_eq!(done.get(), 2, "two shared the first sync, the late one had its own");
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
        syncs.work(dir, || Err(io::Error::from_raw_os_error(28)));
        for receiver in [&mut first, &mut second] {
            let outcome = receiver.try_recv().unwrap();
            assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
    }
}
