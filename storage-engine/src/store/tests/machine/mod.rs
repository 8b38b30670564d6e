//! Random sequences on four small drives against a reference model: requests, restarts, power cuts, drives that fail,
//! return, are wiped and rot, checkpoints and compaction. After each step the answer must be the model's; at the end of
//! a sequence everything is read and listed, before and after a last restart.
//!
//! `DRYSTONE_MODEL_SEQUENCES` is the number of sequences (default 40), `DRYSTONE_MODEL_SEED` where they start.

mod cuts;
mod ground;
mod histories;
mod play;
mod reference;
mod resumable;
mod steps;
mod sweep;
mod widening;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::planted::{self, Bug};

fn environment(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plays sequences one after the other until one diverges; how many were played, and the shortest divergence found.
fn play_all(sequences: u32, seed: u32, shrinks: u32) -> Result<u32, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let played = AtomicU32::new(0);
    let config = Config {
        cases: sequences,
        failure_persistence: None,
        max_shrink_iters: shrinks,
        ..Config::default()
    };
    let mut start = [0; 32];
    start[..4].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &start));
    let outcome = runner.run(&steps::sequence(), |sequence| {
        played.fetch_add(1, Ordering::Relaxed);
        let once = catch_unwind(AssertUnwindSafe(|| runtime.block_on(play::play(&sequence))));
        let once = once.unwrap_or_else(|_| Err("a panic".to_owned()));
        once.map_err(TestCaseError::fail)
    });
    runtime.shutdown_background();
    let played = played.into_inner();
    match outcome {
        Ok(()) => Ok(played),
        Err(TestError::Fail(reason, sequence)) => {
            let steps: Vec<String> = sequence.iter().map(|step| format!("  {step:?}")).collect();
            Err(format!(
                "{reason} (sequence {played} of start {seed}, shrunk)\n{}",
                steps.join("\n")
            ))
        }
        Err(TestError::Abort(reason)) => Err(reason.to_string()),
    }
}

#[test]
fn the_store_on_drives_does_what_the_model_does_whatever_happens_to_them() {
    let sequences = environment("DRYSTONE_MODEL_SEQUENCES").unwrap_or(40);
    let seed = environment("DRYSTONE_MODEL_SEED").unwrap_or(1);
    // More than there are processors: healing waits much.
    let workers = 4;
    let runs: Vec<Result<u32, String>> = std::thread::scope(|scope| {
        let run = |worker| scope.spawn(move || play_all(sequences.div_ceil(workers), seed * 1000 + worker, 300));
        let runs: Vec<_> = (0..workers).map(run).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let played: u32 = runs.iter().flatten().sum();
    println!("model: {played} sequences of 40 steps");
    let diverged: Vec<String> = runs.into_iter().filter_map(Result::err).collect();
    assert!(diverged.is_empty(), "{}", diverged.join("\n"));
}

/// Runs in a process of its own: what is planted is planted for all of it.
#[test]
fn child_plays_with_a_planted_bug() {
    let Some(bug) = planted::selected() else { return };
    match play_all(400, 7, 0) {
        Ok(played) => println!("{bug:?} survived {played} sequences"),
        Err(reason) => println!("{bug:?} caught: {}", reason.lines().next().unwrap_or_default()),
    }
}

fn run_planted(bug: Bug, test: &str) -> Output {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]);
    child.env(planted::VARIABLE, bug.name()).output().unwrap()
}

/// Runs a test with each of these bugs, in a process of its own each; it must say that it caught the bug.
fn every_bug_is_caught(bugs: &[Bug], test: &str) {
    let results: Vec<(Bug, String)> = std::thread::scope(|scope| {
        let halves = bugs.chunks(bugs.len().div_ceil(2)).map(|bugs| {
            scope.spawn(move || {
                let run = |bug: &Bug| {
                    (
                        *bug,
                        String::from_utf8_lossy(&run_planted(*bug, test).stdout).into_owned(),
                    )
                };
                bugs.iter().map(run).collect::<Vec<_>>()
            })
        });
        let halves: Vec<_> = halves.collect();
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    for (bug, said) in &results {
        let line = said
            .lines()
            .find(|line| line.contains(&bug.name()))
            .unwrap_or("it said nothing");
        println!("{line}");
    }
    let survivors: Vec<&Bug> = results
        .iter()
        .filter(|(bug, said)| !said.contains(&format!("{} caught", bug.name())))
        .map(|(bug, _)| bug)
        .collect();
    assert!(survivors.is_empty(), "not caught: {survivors:?}");
}

#[test]
fn every_planted_bug_is_caught_by_the_model() {
    every_bug_is_caught(&Bug::ALL, "store::tests::machine::child_plays_with_a_planted_bug");
}
