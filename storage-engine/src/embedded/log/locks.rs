//! Locks on row keys: shared for what a batch requires, exclusive for what it changes. They are held from the check of
//! a batch's conditions until it is applied or refused. It knows keys, never rows.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::backend::Key;

const SHARDS: usize = 64;

type Table = Mutex<HashMap<Key, Arc<RwLock<()>>>>;

/// The lock table; a key takes memory only while someone holds or awaits it.
pub struct KeyLocks {
    shards: Vec<Table>,
    hasher: RandomState,
}

enum Guard {
    Shared { _held: OwnedRwLockReadGuard<()> },
    Exclusive { _held: OwnedRwLockWriteGuard<()> },
}

/// Locks held by one batch; dropping releases them.
pub struct HeldLocks {
    locks: Arc<KeyLocks>,
    held: Vec<(Key, Option<Guard>)>,
}

impl KeyLocks {
    pub fn new() -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect();
        Arc::new(Self {
            shards,
            hasher: RandomState::new(),
        })
    }

    fn shard(&self, key: &Key) -> Option<&Table> {
        let hash = self.hasher.hash_one(key);
        self.shards.get(usize::try_from(hash % SHARDS as u64).unwrap_or(0))
    }

    fn entry(&self, key: &Key) -> Arc<RwLock<()>> {
        match self.shard(key) {
            Some(shard) => Arc::clone(shard.lock().entry(key.clone()).or_default()),
            None => Arc::default(),
        }
    }

    /// Drops the table's entry once nobody else has it.
    fn forget(&self, key: &Key) {
        if let Some(shard) = self.shard(key) {
            let mut table = shard.lock();
            if table.get(key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
                table.remove(key);
            }
        }
    }

    /// Takes all locks in key order, so that two batches never wait for each other in a circle.
    /// A key that is both required and changed is taken exclusively.
    pub async fn lock(self: &Arc<Self>, shared: &[&Key], exclusive: &[&Key]) -> HeldLocks {
        let mut wanted: Vec<(&Key, bool)> = exclusive.iter().map(|key| (*key, true)).collect();
        wanted.extend(
            shared
                .iter()
                .filter(|key| !exclusive.contains(key))
                .map(|key| (*key, false)),
        );
        wanted.sort();
        wanted.dedup();
        let mut locks = HeldLocks {
            locks: Arc::clone(self),
            held: Vec::with_capacity(wanted.len()),
        };
        for (key, is_exclusive) in wanted {
            // Pushed before it is awaited: a caller that goes away while waiting must not leave the entry behind.
            locks.held.push((key.clone(), None));
            let lock = self.entry(key);
            let guard = if is_exclusive {
                Guard::Exclusive {
                    _held: lock.write_owned().await,
                }
            } else {
                Guard::Shared {
                    _held: lock.read_owned().await,
                }
            };
            if let Some(last) = locks.held.last_mut() {
                last.1 = Some(guard);
            }
        }
        locks
    }

    #[cfg(test)]
    fn entries(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl Drop for HeldLocks {
    fn drop(&mut self) {
        for (key, guard) in self.held.drain(..) {
            drop(guard);
            self.locks.forget(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &'static str) -> Key {
        Key::new(text)
    }

    #[tokio::test]
    async fn shared_locks_pass_each_other_and_an_exclusive_one_waits() {
        let locks = KeyLocks::new();
        let (a, b) = (key("a"), key("b"));
        let first = locks.lock(&[&a], &[&b]).await;
        let second = locks.lock(&[&a], &[]).await;
        let third = tokio::spawn({
            let (locks, a) = (Arc::clone(&locks), a.clone());
            async move { locks.lock(&[], &[&a]).await }
        });
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        drop((first, second));
        let third = third.await.unwrap();
        assert_eq!(locks.entries(), 1);
        drop(third);
        assert_eq!(locks.entries(), 0);
    }

    #[tokio::test]
    async fn a_waiter_that_goes_away_leaves_no_entry() {
        let locks = KeyLocks::new();
        let a = key("a");
        let held = locks.lock(&[], &[&a]).await;
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(5), locks.lock(&[&a], &[&a])).await;
        assert!(waiting.is_err());
        drop(held);
        assert_eq!(locks.entries(), 0);
    }

    #[tokio::test]
    async fn batches_over_many_keys_in_any_order_do_not_deadlock() {
        let locks = KeyLocks::new();
        let keys: Vec<Key> = (0..10u8).map(|n| Key::new(vec![n])).collect();
        let tasks: Vec<_> = (0..100usize)
            .map(|n| {
                let (locks, keys) = (Arc::clone(&locks), keys.clone());
                tokio::spawn(async move {
                    let pick = |i: usize| &keys[(n * 7 + i * 3) % 10];
                    let _held = locks.lock(&[pick(1), pick(2)], &[pick(3), pick(4)]).await;
                    tokio::task::yield_now().await;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(locks.entries(), 0);
    }
}
