//! A feed: what happens, told at once to whoever listens just now.
//!
//! Owns the ring of what was told last. It never waits for a listener: one that is slower than the ring is told how much it
//! missed. With nobody listening, telling costs one look at a number, and nothing is made to be told.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

/// What a listener may lag behind before it misses something.
const RING: usize = 1_024;
/// Listeners of one feed at a time.
const LISTENERS_MAX: usize = 64;
/// Of these, of one account.
const LISTENERS_OF_ONE_MAX: usize = 16;

struct Inner<T> {
    sender: broadcast::Sender<Arc<T>>,
    listeners: AtomicUsize,
    /// Listeners by account.
    accounts: Mutex<HashMap<String, usize>>,
    closed: watch::Sender<bool>,
}

/// See the module. Clones are the same feed.
pub struct Feed<T> {
    inner: Arc<Inner<T>>,
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T> Default for Feed<T> {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                sender: broadcast::Sender::new(RING),
                listeners: AtomicUsize::new(0),
                accounts: Mutex::default(),
                closed: watch::Sender::new(false),
            }),
        }
    }
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listeners = self.inner.listeners.load(Ordering::Relaxed);
        f.debug_struct("Feed")
            .field("listeners", &listeners)
            .finish_non_exhaustive()
    }
}

/// Why nobody can listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl<T> Feed<T> {
    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        self.inner.listeners.load(Ordering::Relaxed) > 0
    }

    /// Tells all listeners; `make` is called only if there is one.
    pub fn tell(&self, make: impl FnOnce() -> T) {
        if self.is_heard() {
            // The last of them may have left meanwhile.
            drop(self.inner.sender.send(Arc::new(make())));
        }
    }

    /// Hears everything that is told from now on.
    pub fn listen(&self) -> Result<Listener<T>, TooMany> {
        self.listen_as(None)
    }

    /// The same for an account that may not take the places of all others; `None` is held to no bound of its own.
    pub fn listen_as(&self, account: Option<&str>) -> Result<Listener<T>, TooMany> {
        let place = account.map(|account| self.place_of(account)).transpose()?;
        if self.inner.listeners.fetch_add(1, Ordering::Relaxed) >= LISTENERS_MAX {
            self.inner.listeners.fetch_sub(1, Ordering::Relaxed);
            return Err(TooMany);
        }
        Ok(Listener {
            receiver: self.inner.sender.subscribe(),
            closed: self.inner.closed.subscribe(),
            feed: self.clone(),
            _place: place,
        })
    }

    fn place_of(&self, account: &str) -> Result<Place<T>, TooMany> {
        let mut accounts = self.inner.accounts.lock();
        let taken = accounts.entry(account.to_owned()).or_default();
        if *taken >= LISTENERS_OF_ONE_MAX {
            return Err(TooMany);
        }
        *taken += 1;
        Ok(Place {
            feed: self.clone(),
            account: account.to_owned(),
        })
    }

    /// Every listener has heard the last, now and from now on.
    pub fn close(&self) {
        self.inner.closed.send_replace(true);
    }
}

/// What a listener hears.
#[derive(Debug)]
pub enum Heard<T> {
    Told(Arc<T>),
    /// So much was told that this listener was too slow for.
    Missed(u64),
}

/// A place that an account has taken; free again when dropped.
struct Place<T> {
    feed: Feed<T>,
    account: String,
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        let mut accounts = self.feed.inner.accounts.lock();
        if let Some(taken) = accounts.get_mut(&self.account) {
            *taken -= 1;
            if *taken == 0 {
                accounts.remove(&self.account);
            }
        }
    }
}

/// One who listens; leaves when dropped.
pub struct Listener<T> {
    receiver: broadcast::Receiver<Arc<T>>,
    closed: watch::Receiver<bool>,
    feed: Feed<T>,
    _place: Option<Place<T>>,
}

impl<T> Drop for Listener<T> {
    fn drop(&mut self) {
        self.feed.inner.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T> Listener<T> {
    /// The next that is told; `None`: the feed is closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Heard<T>> {
        tokio::select! {
            biased;
            _ = self.closed.wait_for(|closed| *closed) => None,
            told = self.receiver.recv() => match told {
                Ok(told) => Some(Heard::Told(told)),
                Err(broadcast::error::RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
                Err(broadcast::error::RecvError::Closed) => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_made_where_nobody_listens_and_the_last_who_leaves_ends_it() {
        let feed = Feed::<u32>::default();
        feed.tell(|| unreachable!("nobody listens"));
        let mut first = feed.listen().unwrap();
        let second = feed.listen().unwrap();
        feed.tell(|| 7);
        assert!(matches!(first.next().await, Some(Heard::Told(told)) if *told == 7));
        drop((first, second));
        assert!(!feed.is_heard());
        feed.tell(|| unreachable!("nobody listens any more"));
    }

    #[tokio::test]
    async fn a_slow_listener_holds_nobody_up_and_is_told_what_it_missed() {
        let feed = Feed::<usize>::default();
        let mut slow = feed.listen().unwrap();
        for n in 0..RING + 10 {
            feed.tell(|| n);
        }
        assert!(matches!(slow.next().await, Some(Heard::Missed(10))));
        assert!(matches!(slow.next().await, Some(Heard::Told(told)) if *told == 10));
    }

    #[test]
    fn no_account_takes_the_places_of_all_others() {
        let feed = Feed::<u32>::default();
        let mut ann: Vec<_> = (0..LISTENERS_OF_ONE_MAX)
            .map(|_| feed.listen_as(Some("ann")).unwrap())
            .collect();
        assert!(feed.listen_as(Some("ann")).is_err());
        let _others = (feed.listen_as(Some("bob")).unwrap(), feed.listen().unwrap());
        ann.pop();
        ann.push(feed.listen_as(Some("ann")).unwrap());
        assert!(feed.listen_as(Some("ann")).is_err());
        drop(ann);
        assert_eq!(feed.inner.accounts.lock().len(), 1);
    }

    #[tokio::test]
    async fn a_closed_feed_ends_its_listeners_and_there_are_only_so_many() {
        let feed = Feed::<u32>::default();
        let mut all: Vec<_> = (0..LISTENERS_MAX).map(|_| feed.listen().unwrap()).collect();
        assert!(feed.listen().is_err());
        all.pop();
        assert!(feed.listen().is_ok());
        feed.close();
        assert!(all.pop().unwrap().next().await.is_none());
        assert!(feed.listen().unwrap().next().await.is_none());
    }
}
