//! Many clients at once on few keys: PUT with and without conditions, GET, HEAD, DELETE, Copy, Complete and listings page
//! by page. Each key's history must be one that calls in some order can give; a page shows or lacks each key that it
//! covers, which is a read of it. In half of the rounds a drive fails, hangs or is slow, and comes back; what is answered
//! with 503 then may have happened or not.
//!
//! `DRYSTONE_HISTORY_ROUNDS` is the number of rounds (default 160), `DRYSTONE_HISTORY_SEED` where chance begins.

mod checker;
mod clients;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::cuts::Chance;
use super::environment;
use super::ground::{DRIVES, Ground};
use crate::embedded::drive::{Fault, FaultPlan, FaultRule, Operation};
use crate::embedded::heal::HealOptions;
use crate::planted::{self, Bug};
use checker::{Event, is_linearizable};
use clients::{CLIENTS, Round};

const ROUNDS: u32 = 160;
/// In one of so many rounds a drive that failed is taken in again by the running store.
const RETURNS_BY_ITSELF: u32 = 40;

/// What came of a run.
#[derive(Debug, Default)]
struct Tally {
    calls: usize,
    open: usize,
    histories: usize,
    faults: u64,
}

/// What happens to a drive in the middle of a round.
fn strike(ground: &Ground, chance: &mut Chance) -> usize {
    let drive = chance.below(DRIVES);
    let (operation, fault, times) = match chance.below(16) {
        0..=4 => (Operation::SyncFile, Fault::Fail(5), u64::MAX),
        5..=8 => (Operation::Write, Fault::Fail(5), 1),
        9..=11 => (Operation::Read, Fault::Fail(5), 20),
        // It takes two seconds until it is left out.
        12 => (Operation::SyncFile, Fault::Hang, 1),
        _ => (Operation::SyncFile, Fault::Delay(Duration::from_millis(60)), 10),
    };
    ground.meet(FaultRule {
        operation,
        path_part: format!("/data{drive}/"),
        after: 0,
        times,
        fault,
    })
}

async fn one_round(ground: &mut Ground, number: u32, chance: &mut Chance, tally: &mut Tally) -> Result<(), String> {
    let faulty = number % 2 == 1;
    let round = Round::new(ground, number);
    let seed = chance.below(usize::MAX) as u64;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (round, store) = (round.clone(), ground.store().clone());
            tokio::spawn(async move { round.client(&store, Chance::new(seed ^ client as u64), faulty).await })
        })
        .collect();
    let mut rule = None;
    if faulty {
        tokio::task::yield_now().await;
        rule = Some(strike(ground, chance));
    }
    for client in clients {
        client.await.map_err(|error| error.to_string())??;
    }
    if let Some(rule) = rule {
        tally.faults += u64::from(ground.fired(rule) > 0);
        ground.plan().release();
        // A drive that keeps failing is let wait longer each time; a start has no such memory.
        if number % RETURNS_BY_ITSELF == 1 {
            ground.recover_drive().await?;
        }
        ground.clean_restart().await?;
    }
    let histories: BTreeMap<String, Vec<Event>> = round.histories();
    for (key, events) in histories {
        tally.calls += events.len();
        tally.open += events.iter().filter(|event| event.is_open()).count();
        tally.histories += 1;
        if !is_linearizable(&events) {
            let lines: Vec<String> = events.iter().map(|event| format!("  {event:?}")).collect();
            return Err(format!("round {number}: no order explains {key}\n{}", lines.join("\n")));
        }
    }
    Ok(())
}

async fn play(rounds: u32, seed: u64) -> Result<Tally, String> {
    let heal = HealOptions {
        drives_after: Duration::from_millis(50),
        ..HealOptions::default()
    };
    let mut ground = Ground::with(FaultPlan::with_power_cuts(), heal).await?;
    // A planted bug that answers too early shall show in a history.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (mut chance, mut tally) = (Chance::new(seed), Tally::default());
    for number in 0..rounds {
        one_round(&mut ground, number, &mut chance, &mut tally).await?;
    }
    ground.close().await?;
    Ok(tally)
}

fn play_in_threads(rounds: u32, seed: u64) -> Result<Tally, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).enable_all().build().unwrap();
    let tally = runtime.block_on(play(rounds, seed));
    runtime.shutdown_background();
    tally
}

#[test]
fn what_clients_see_at_once_can_have_happened_one_after_the_other() {
    let began = Instant::now();
    let rounds = environment("DRYSTONE_HISTORY_ROUNDS").unwrap_or(ROUNDS);
    let seed = u64::from(environment("DRYSTONE_HISTORY_SEED").unwrap_or(1));
    let tally = play_in_threads(rounds, seed).unwrap();
    println!(
        "histories: {} calls in {} histories, {} left open, {} faults met, {:?}",
        tally.calls,
        tally.histories,
        tally.open,
        tally.faults,
        began.elapsed()
    );
    assert!(tally.faults >= u64::from(rounds / 8), "the drives did not fail");
}

/// Runs in a process of its own: what is planted is planted for all of it.
#[test]
fn child_keeps_histories_with_a_planted_bug() {
    let Some(bug) = planted::selected() else { return };
    match play_in_threads(40, 1) {
        Ok(tally) => println!("{bug:?} survived {} calls", tally.calls),
        Err(why) => println!("{bug:?} caught: {}", why.lines().next().unwrap_or_default()),
    }
}

#[test]
fn every_planted_bug_of_concurrency_is_seen_by_clients() {
    let child = "store::tests::machine::histories::child_keeps_histories_with_a_planted_bug";
    super::every_bug_is_caught(&Bug::OF_HISTORIES, child);
}
