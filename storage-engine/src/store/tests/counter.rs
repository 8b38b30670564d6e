//! Counters: of those who race for the last uses exactly as many win as there are.

use std::sync::Arc;

use super::*;
use crate::store::counter::{CountError, CounterName};

/// A clock that stands until it is set.
#[derive(Default)]
struct Standing(AtomicU64);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

fn ending(ends: u64) -> CounterName {
    CounterName::random(Timestamp::from_millis(ends)).unwrap()
}

fn store(memory: &MemoryBackend, clock: &Arc<Standing>, epoch: u8) -> Store {
    Store::new(Arc::new(memory.clone()), clock.clone(), Epoch([epoch; 16]))
}

#[tokio::test]
async fn of_all_who_race_for_the_last_uses_as_many_win_as_are_left() {
    let (memory, clock) = (MemoryBackend::new(), Arc::new(Standing::default()));
    // Two servers over one backend: what keeps them apart is the batch, not a lock.
    let stores = [store(&memory, &clock, 1), store(&memory, &clock, 2)];
    for uses in [1, 3] {
        let name = ending(1_000);
        stores[0].make_counters(&[(name, uses)]).await.unwrap();
        let racing = (0..20).map(|n| {
            let store = stores[n % 2].clone();
            tokio::spawn(async move { store.count_use(&name).await })
        });
        let mut won = 0;
        for race in futures::future::join_all(racing).await {
            match race.unwrap() {
                Ok(()) => won += 1,
                Err(CountError::NothingLeft) => {}
                Err(CountError::Fault(fault)) => panic!("{fault}"),
            }
        }
        assert_eq!(won, uses);
        assert_eq!(stores[1].uses_left(&name).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_was_never_made_or_has_ended_has_no_use_left() {
    let (memory, clock) = (MemoryBackend::new(), Arc::new(Standing::default()));
    let store = store(&memory, &clock, 1);
    let (none, made, other) = (ending(1_000), ending(1_000), ending(1_000));
    store.make_counters(&[(made, 2), (other, 0)]).await.unwrap();
    for name in [none, other] {
        assert!(matches!(store.count_use(&name).await, Err(CountError::NothingLeft)));
    }
    store.count_use(&made).await.unwrap();
    assert_eq!(store.uses_left(&made).await.unwrap(), 1);
    clock.0.store(1_000, Ordering::Relaxed);
    assert_eq!(store.uses_left(&made).await.unwrap(), 0);
    assert!(matches!(store.count_use(&made).await, Err(CountError::NothingLeft)));
}

#[tokio::test]
async fn a_counter_is_made_once() {
    let (memory, clock) = (MemoryBackend::new(), Arc::new(Standing::default()));
    let store = store(&memory, &clock, 1);
    let name = ending(1_000);
    store.make_counters(&[(name, 1)]).await.unwrap();
    assert!(store.make_counters(&[(name, 5)]).await.is_err());
    assert_eq!(store.uses_left(&name).await.unwrap(), 1);
}

#[tokio::test]
async fn counters_that_have_ended_are_swept_and_no_others() {
    let (memory, clock) = (MemoryBackend::new(), Arc::new(Standing::default()));
    let store = store(&memory, &clock, 1);
    let old: Vec<_> = (0..1_200).map(|n| (ending(n % 500), 1)).collect();
    let (now, later) = (ending(500), ending(501));
    store.make_counters(&old).await.unwrap();
    store.make_counters(&[(now, 1), (later, 1)]).await.unwrap();
    clock.0.store(500, Ordering::Relaxed);
    assert_eq!(store.sweep_counters().await.unwrap(), 1_200);
    assert_eq!(store.sweep_counters().await.unwrap(), 0);
    assert_eq!(store.uses_left(&later).await.unwrap(), 1);
    let rows = memory
        .scan(Key::new(&b"l/"[..])..Key::new(&b"l0"[..]), 10)
        .await
        .unwrap();
    assert_eq!(rows.items.len(), 2);
}
