//! Drives that hang or are slow for readers. Every test proves that its fault fired.

use std::sync::Arc;
use std::time::{Duration, Instant};

use storage_engine::backend::{Backend, DriveHealth, DriveState};
use storage_engine::embedded::drive::{DriveOptions, Fault, FaultPlan, Operation};
use storage_engine::embedded::heal::HealOptions;
use storage_engine::embedded::{Embedded, OpenOptions};

use crate::scene::{Scene, body, expect, is_read_only, kill, put};

fn options(scene: &Scene, plan: &Arc<FaultPlan>) -> OpenOptions {
    OpenOptions {
        drive: DriveOptions {
            faults: Some(Arc::clone(plan)),
            ..DriveOptions::default()
        },
        heal: HealOptions {
            drives_after: Duration::from_millis(500),
            ..HealOptions::default()
        },
        ..scene.options()
    }
}

async fn fill(store: &Embedded) {
    for n in 0..4 {
        put(store, &format!("small{n}"), &body(n, 5_000)).await;
        put(store, &format!("large{n}"), &body(10 + n, 700_000)).await;
    }
}

/// Reads everything again and again; the longest time one object took.
async fn read_for(store: &Arc<Embedded>, time: Duration) -> Duration {
    let begun = Instant::now();
    let mut readers = tokio::task::JoinSet::new();
    for n in 0..4 {
        let store = Arc::clone(store);
        readers.spawn(async move {
            let mut longest = Duration::ZERO;
            while begun.elapsed() < time {
                for (name, bytes) in [
                    (format!("small{n}"), body(n, 5_000)),
                    (format!("large{n}"), body(10 + n, 700_000)),
                ] {
                    let asked = Instant::now();
                    expect(&store, &name, &bytes).await;
                    longest = longest.max(asked.elapsed());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            longest
        });
    }
    readers.join_all().await.into_iter().max().unwrap()
}

async fn until(store: &Embedded, what: impl Fn(&Embedded) -> bool) {
    for _ in 0..600 {
        if what(store) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it did not come to that: {:?}", store.health().drives);
}

/// Numbers of the drives, those first that hold data shards of everything: while all are in, shards go by drive id.
fn by_id(store: &Embedded) -> Vec<usize> {
    let drives = store.health().drives;
    let mut numbers: Vec<usize> = (1..=drives.len()).collect();
    numbers.sort_by_key(|n| drives[n - 1].id.clone());
    numbers
}

fn state(store: &Embedded, drive: usize) -> DriveState {
    store.health().drives[drive - 1].state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_whose_reads_hang_costs_readers_little_is_put_out_and_comes_back() {
    let (scene, plan) = (Scene::new(4), Arc::new(FaultPlan::default()));
    let store = scene.try_open(options(&scene, &plan)).await.unwrap();
    fill(&store).await;
    let hung = by_id(&store)[0];
    let rule = plan.arm_always(Operation::Read, &format!("data{hung}/.drystone"), Fault::Hang);
    let longest = read_for(&store, Duration::from_secs(3)).await;
    assert!(plan.fired(rule) > 0, "nothing was read there");
    assert!(longest < Duration::from_secs(10), "a read took {longest:?}");
    until(&store, |store| state(store, hung) == DriveState::Out).await;
    let reason = store.health().drives[hung - 1].reason.clone();
    assert!(reason.contains("a read has not returned"), "{reason}");
    assert!(!is_read_only(&store));
    fill(&store).await;
    read_for(&store, Duration::from_millis(500)).await;
    plan.disarm();
    plan.release();
    until(&store, |store| state(store, hung) == DriveState::In).await;
    assert_eq!(store.health().drives[hung - 1].reason, "");
    fill(&store).await;
    read_for(&store, Duration::ZERO).await;
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m_drives_whose_reads_hang_cost_no_error_and_stay_where_the_store_needs_them() {
    let (scene, plan) = (Scene::new(4), Arc::new(FaultPlan::default()));
    let store = scene.try_open(options(&scene, &plan)).await.unwrap();
    fill(&store).await;
    let hung = [by_id(&store)[0], by_id(&store)[1]];
    let rules = hung.map(|n| plan.arm_always(Operation::Read, &format!("data{n}/.drystone"), Fault::Hang));
    let longest = read_for(&store, Duration::from_secs(8)).await;
    assert!(rules.iter().all(|rule| plan.fired(*rule) > 0), "nothing was read there");
    assert!(longest < Duration::from_secs(10), "a read took {longest:?}");
    let healths = hung.map(|n| store.health().drives[n - 1].clone());
    let told = |health: &DriveHealth| health.reason.contains("a read has not returned");
    assert!(healths.iter().all(told), "{healths:?}");
    // One may have left before the other began to hang; then the store cannot write without that.
    let out = healths.iter().filter(|health| health.state == DriveState::Out).count();
    assert!(out <= 1 && !is_read_only(&store), "{healths:?}");
    put(&store, "while", &body(9, 5_000)).await;
    plan.disarm();
    plan.release();
    expect(&store, "while", &body(9, 5_000)).await;
    read_for(&store, Duration::ZERO).await;
    kill(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_drive_stays_in_is_suspect_and_is_read_around() {
    let (scene, plan) = (Scene::new(4), Arc::new(FaultPlan::default()));
    let store = scene.try_open(options(&scene, &plan)).await.unwrap();
    fill(&store).await;
    let slow = Fault::Delay(Duration::from_millis(800));
    let number = by_id(&store)[0];
    let rule = plan.arm_always(Operation::Read, &format!("data{number}/.drystone"), slow);
    let longest = read_for(&store, Duration::from_secs(6)).await;
    assert!(plan.fired(rule) > 0, "nothing was read there");
    assert!(longest < Duration::from_secs(10), "a read took {longest:?}");
    let health = store.health().drives[number - 1].clone();
    assert_eq!(health.state, DriveState::In);
    assert!(health.reason.starts_with("slow: "), "{}", health.reason);
    plan.disarm();
    kill(store).await;
}
