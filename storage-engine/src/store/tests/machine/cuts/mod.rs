//! What a cut of the power may leave, state by state. Runs of a store are recorded down to the bytes of every write; then,
//! for moments all along each run, states that media may be in after a cut are worked out, put on drives, started twice
//! and compared with what was promised by that moment. Each drive has its own fate, and one or two may be late.
//!
//! `DRYSTONE_CUT_STATES` is how many states are looked at (default 5,200), `DRYSTONE_CUT_SEED` which.

mod contract;
mod stories;
mod story;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::environment;
use super::ground::DRIVES;
use crate::embedded::drive::cut::{Choice, Fate, Held, mixed};
use crate::planted::{self, Bug};
use contract::State;
use story::Story;

const STATES: u32 = 5200;
const WORKERS: usize = 4;

/// A state that has not been worked out yet.
struct Sketch {
    story: usize,
    moment: usize,
    choice: Choice,
    late: BTreeSet<usize>,
}

/// Numbers that look like chance, the same on every run.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = mixed(self.0);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }

    /// Mostly none; else one drive or two.
    fn late(&mut self) -> BTreeSet<usize> {
        let count = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2][self.below(10)];
        (0..count).map(|_| self.below(DRIVES)).collect()
    }

    /// Where media are harmed mostly those that the harmed drive has to stand in for.
    fn late_after(&mut self, story: &Story, moment: usize) -> BTreeSet<usize> {
        let harmed = story.harms(moment).find(|harm| harm.keys.is_some());
        match harmed.filter(|_| self.below(4) > 0) {
            None => self.late(),
            Some(harm) => {
                let mut others: Vec<usize> = (0..DRIVES).filter(|drive| *drive != harm.drive).collect();
                self.shuffle(&mut others);
                others.into_iter().take(2).collect()
            }
        }
    }

    fn fate(&mut self, sectors: usize) -> Fate {
        match self.below(9) {
            0 => Fate::Lost,
            1 => Fate::Kept,
            2 => Fate::Length,
            3 => Fate::Prefix(self.below(sectors + 1)),
            4 => Fate::Suffix(self.below(sectors + 1)),
            5 => Fate::Hole(self.below(sectors.div_ceil(8) + 1)),
            6 => Fate::Pages(self.0),
            _ => Fate::Sectors(self.0),
        }
    }
}

/// The ways in which a cut can be told apart best: nothing or everything is there, all but one thing, one thing alone.
fn plain_choices(held: &Held) -> (Vec<Choice>, Vec<Choice>) {
    let all: BTreeSet<usize> = held.unsynced_entries().map(|(number, _)| number).collect();
    let choice = |rest, entries: &BTreeSet<usize>| Choice {
        files: BTreeMap::new(),
        rest,
        entries: entries.clone(),
    };
    let none = BTreeSet::new();
    let always = vec![choice(Fate::Lost, &none), choice(Fate::Kept, &all)];
    let mut others = vec![
        choice(Fate::Kept, &none),
        choice(Fate::Lost, &all),
        choice(Fate::Length, &all),
    ];
    for (file, sectors) in held.unsynced_files() {
        let one = |rest, fate| Choice {
            files: BTreeMap::from([(file, fate)]),
            ..choice(rest, &all)
        };
        others.push(one(Fate::Lost, Fate::Kept));
        others.push(one(Fate::Kept, Fate::Lost));
        others.push(one(Fate::Kept, Fate::Length));
        others.push(one(Fate::Kept, Fate::Prefix(sectors / 2)));
        others.push(one(Fate::Kept, Fate::Suffix(1)));
        others.push(one(Fate::Kept, Fate::Hole(0)));
    }
    for number in &all {
        others.push(choice(Fate::Kept, &BTreeSet::from([*number])));
        others.push(choice(
            Fate::Kept,
            &all.iter().filter(|other| *other != number).copied().collect(),
        ));
        // As a journal has it: in the order in which they were made.
        others.push(choice(Fate::Kept, &all.range(..number).copied().collect()));
    }
    (always, others)
}

fn random_choice(held: &Held, chance: &mut Chance) -> Choice {
    Choice {
        files: held
            .unsynced_files()
            .map(|(file, sectors)| (file, chance.fate(sectors)))
            .collect(),
        rest: Fate::Lost,
        entries: held
            .unsynced_entries()
            .map(|(number, _)| number)
            .filter(|_| chance.below(2) == 0)
            .collect(),
    }
}

/// About so many states out of all that the stories allow.
fn sketches(stories: &[Story], states: usize, seed: u64) -> Vec<Sketch> {
    let mut chance = Chance(seed);
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    for (story, told) in stories.iter().enumerate() {
        for moment in told.first_moment()..=told.trace.moment() {
            let held = Held::at(&told.trace, moment);
            let (always, mut more) = plain_choices(&held);
            more.extend((0..4).map(|_| random_choice(&held, &mut chance)));
            let mut sketch = |choice| Sketch {
                story,
                moment,
                choice,
                late: told.may_be_late(moment, chance.late_after(told, moment)),
            };
            chosen.extend(always.into_iter().map(&mut sketch));
            others.extend(more.into_iter().map(&mut sketch));
        }
    }
    println!("cuts: {} states can be worked out", chosen.len() + others.len());
    chance.shuffle(&mut chosen);
    chance.shuffle(&mut others);
    chosen.truncate(states / 4);
    others.truncate(states - chosen.len());
    chosen.extend(others);
    chance.shuffle(&mut chosen);
    chosen
}

/// What came of a run.
#[derive(Default)]
struct Tally {
    states: usize,
    moments: HashSet<(usize, usize)>,
    late: usize,
    seen: HashSet<u64>,
    broken: Vec<String>,
}

fn fingerprint(state: &State<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&state.remains, &state.late).hash(&mut hasher);
    hasher.finish()
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

/// Looks at so many of the sketched states that differ; at the first that is broken it ends, if `hasty`.
fn look_at(states: usize, stories: &[Story], sketches: &[Sketch], hasty: bool) -> Tally {
    let (tally, next, stop) = (
        Mutex::new(Tally::default()),
        AtomicUsize::new(0),
        AtomicBool::new(false),
    );
    let work = || {
        let runtime = runtime();
        while let Some(sketch) = sketches.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let story = &stories[sketch.story];
            let state = State {
                story,
                moment: sketch.moment,
                remains: Held::at(&story.trace, sketch.moment).remains(&sketch.choice),
                late: sketch.late.clone(),
            };
            if !tally.lock().unwrap().seen.insert(fingerprint(&state)) {
                continue;
            }
            let checked = catch_unwind(AssertUnwindSafe(|| runtime.block_on(state.check())));
            let checked = checked.unwrap_or_else(|_| Err("a panic".to_owned()));
            let mut tally = tally.lock().unwrap();
            tally.states += 1;
            tally.moments.insert((sketch.story, sketch.moment));
            tally.late += usize::from(!sketch.late.is_empty());
            if let Err(why) = checked {
                let (moment, last) = (sketch.moment, story.trace.changes().get(sketch.moment.wrapping_sub(1)));
                let last = format!("{last:.0?}").chars().take(200).collect::<String>();
                tally.broken.push(format!(
                    "{}, cut at {moment} after {last}, late {:?}: {why}\n    {:?}",
                    story.name, sketch.late, sketch.choice
                ));
                stop.fetch_or(hasty || tally.broken.len() >= 20, Ordering::Relaxed);
            }
            stop.fetch_or(tally.states >= states, Ordering::Relaxed);
        }
        runtime.shutdown_background();
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    tally.into_inner().unwrap()
}

fn told() -> Result<Vec<Story>, String> {
    std::thread::scope(|scope| {
        let telling = stories::ALL.map(|name| scope.spawn(move || runtime().block_on(stories::tell(name))));
        telling
            .into_iter()
            .map(|told| told.join().map_err(|_| "a panic".to_owned())?)
            .collect()
    })
}

#[test]
fn nothing_that_a_cut_of_the_power_may_leave_breaks_a_promise() {
    let began = std::time::Instant::now();
    let states = environment("DRYSTONE_CUT_STATES").unwrap_or(STATES) as usize;
    let seed = u64::from(environment("DRYSTONE_CUT_SEED").unwrap_or(1));
    let stories = told().unwrap();
    let changes: usize = stories.iter().map(|story| story.trace.moment()).sum();
    println!(
        "cuts: {} runs with {changes} changes recorded in {:?}",
        stories.len(),
        began.elapsed()
    );
    // Some come out the same.
    let tally = look_at(states, &stories, &sketches(&stories, states * 2, seed), false);
    println!(
        "cuts: {} states, all different, at {} moments, {} with drives late, {} broken, {:?}",
        tally.states,
        tally.moments.len(),
        tally.late,
        tally.broken.len(),
        began.elapsed()
    );
    assert!(tally.broken.is_empty(), "{}", tally.broken.join("\n"));
    assert!(tally.states >= states, "too few states: {}", tally.states);
}

/// Runs in a process of its own: what is planted is planted for all of it.
#[test]
fn child_looks_at_cuts_with_a_planted_bug() {
    let Some(bug) = planted::selected() else { return };
    // A planted bug may break the run itself before there is anything to cut; that says nothing about cuts.
    let Some(Ok(stories)) = (0..4).map(|_| told()).find(Result::is_ok) else {
        return println!("{bug:?} broke every run before any cut");
    };
    let tally = look_at(
        STATES as usize,
        &stories,
        &sketches(&stories, STATES as usize * 2, 1),
        true,
    );
    match tally.broken.first() {
        Some(why) => println!(
            "{bug:?} caught, state {}: {}",
            tally.states,
            why.lines().next().unwrap_or_default()
        ),
        None => println!("{bug:?} survived {} states", tally.states),
    }
}

#[test]
fn every_planted_bug_is_caught_in_some_state_that_a_cut_leaves() {
    let child = "store::tests::machine::cuts::child_looks_at_cuts_with_a_planted_bug";
    super::every_bug_is_caught(&Bug::OF_STATES, child);
}
