//! A small mutation driver for the stable toolchain: seeds, cuts and splices of them, and the input that broke a target.
//!
//! It knows no format. What it lacks against cargo-fuzz is feedback from coverage; targets make up for that by setting
//! checksums right again, and the same functions run under cargo-fuzz where there is a nightly toolchain (`fuzz/`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::targets::Target;

/// Longest input the driver makes by itself.
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// A target that works on one input for so many seconds of the machine's attention hangs.
const HANG_SECONDS: u64 = 60;
/// What one target may take of memory on top of what the test program has.
const MEMORY_BYTES: u64 = 1 << 30;

/// Small, fast and good enough to choose bytes (xorshift).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`; 0 if that is 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11).checked_rem(end as u64).unwrap_or(0) as usize
    }

    fn one_of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }
}

/// One change of an input.
fn mutate(random: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&[u8]]) {
    const NUMBERS: [u64; 12] = [
        0,
        1,
        0x7f,
        0x80,
        0xff,
        0xffff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        1 << 40,
        u64::MAX >> 1,
        u64::MAX,
    ];
    let at = random.below(input.len() + 1);
    let (here, len) = (at.min(input.len().saturating_sub(1)), 1 + random.below(16));
    match random.below(12) {
        0 | 1 if !input.is_empty() => input[here] ^= 1 << random.below(8),
        2 if !input.is_empty() => input[here] = random.next() as u8,
        3 if !input.is_empty() => input[here] = input[here].wrapping_add(1 + random.below(4) as u8),
        4 => {
            let end = (at + len).min(input.len());
            input.drain(at..end);
        }
        5 => input.truncate(at),
        6 => {
            let end = (at + len).min(input.len());
            let copy = input[at..end].to_vec();
            let to = random.below(input.len() + 1);
            input.splice(to..to, copy);
        }
        7 => {
            let other = random.one_of(seeds);
            let from = random.below(other.len() + 1);
            let end = (from + 1 + random.below(64)).min(other.len());
            let to = (at + random.below(32)).min(input.len());
            input.splice(at..to, other[from..end].iter().copied());
        }
        8 | 9 if !words.is_empty() => {
            let word = random.one_of(words);
            let to = if random.below(2) == 0 {
                at
            } else {
                (at + word.len()).min(input.len())
            };
            input.splice(at..to, word.iter().copied());
        }
        10 => {
            let (number, width) = (random.one_of(&NUMBERS).to_le_bytes(), 1 << random.below(4));
            let end = (at + width).min(input.len());
            input.splice(at..end, number[..width].iter().copied());
        }
        _ => {
            let byte = random.next() as u8;
            input.splice(at..at, std::iter::repeat_n(byte, len));
        }
    }
    input.truncate(INPUT_BYTES_MAX);
}

fn environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Caps the process's memory, so that a length taken on trust ends in an error here and not on a server.
fn cap_memory() {
    let used = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = used.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
    // Each of the threads that run targets reserves 64 MiB of addresses for its allocations.
    let most = pages * 4096 + MEMORY_BYTES + 64 * (64 << 20);
    let limit = rustix::process::Rlimit {
        current: Some(most),
        maximum: None,
    };
    let _ = rustix::process::setrlimit(rustix::process::Resource::As, limit);
}

/// Ends the process with the input's bytes when a target does not come back.
struct Watch {
    runs: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Watch {
    fn new(name: &'static str, at_work: Arc<parking_lot::Mutex<Vec<u8>>>) -> Self {
        let (runs, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let watch = Self {
            runs: Arc::clone(&runs),
            over: Arc::clone(&over),
        };
        std::thread::spawn(move || {
            let (mut seen, mut still) = (u64::MAX, 0);
            while !over.load(Ordering::Relaxed) {
                // Counted in waits of its own: a machine that sleeps is no target that hangs.
                std::thread::sleep(Duration::from_secs(1));
                let now = runs.load(Ordering::Relaxed);
                still = if now == seen { still + 1 } else { 0 };
                seen = now;
                if still >= HANG_SECONDS {
                    eprintln!("fuzz target {name} hangs on {}", hex(&at_work.lock()));
                    std::process::exit(101);
                }
            }
        });
        watch
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn breaks(run: fn(&[u8]), input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(input))).is_err()
}

/// The input without what it does not need to break the target.
fn shrink(run: fn(&[u8]), mut input: Vec<u8>) -> Vec<u8> {
    let until = Instant::now() + Duration::from_secs(10);
    let mut step = input.len() / 2;
    while step > 0 && Instant::now() < until {
        let mut at = 0;
        while at < input.len() && Instant::now() < until {
            let mut less = input.clone();
            less.drain(at..(at + step).min(input.len()));
            if breaks(run, &less) {
                input = less;
            } else {
                at += step;
            }
        }
        step /= 2;
    }
    input
}

fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(name);
    let path = folder.join(format!("{:08x}", crc(input)));
    let _ = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, input));
    path
}

fn crc(input: &[u8]) -> u32 {
    crate::targets::book::crc32(input)
}

/// Writes the seeds where `DRYSTONE_FUZZ_CORPUS` says, one folder per target, as cargo-fuzz wants them.
fn write_out(name: &str, seeds: &[Vec<u8>]) {
    let Some(folder) = std::env::var_os("DRYSTONE_FUZZ_CORPUS") else {
        return;
    };
    let folder = PathBuf::from(folder).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number:03}")), seed).unwrap();
    }
}

/// Runs one target: every seed as it is, then mutations of them for `DRYSTONE_FUZZ_SECONDS` (default 1). What is tried
/// follows from `DRYSTONE_FUZZ_SEED` (default 0). Panics with the shrunk input when the target does.
pub(crate) fn run(target: &Target) {
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{}: no seeds", target.name);
    write_out(target.name, &seeds);
    let seconds = environment("DRYSTONE_FUZZ_SECONDS").unwrap_or(1);
    let start = environment("DRYSTONE_FUZZ_SEED").unwrap_or(0);
    cap_memory();
    let at_work = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let watch = Watch::new(target.name, Arc::clone(&at_work));
    let mut random = Random::new(start ^ u64::from(crc(target.name.as_bytes())));
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut pool = seeds.clone();
    for turn in 0.. {
        let input = match seeds.get(turn) {
            Some(seed) => seed.clone(),
            None if Instant::now() >= until => break,
            None => {
                let mut input = random.one_of(&pool).clone();
                for _ in 0..=random.below(4) {
                    mutate(&mut random, &mut input, &seeds, target.words);
                }
                // Some mutants become parents themselves, so that changes add up.
                if random.below(64) == 0 {
                    let place = seeds.len() + random.below(256);
                    if place < pool.len() {
                        pool[place] = input.clone()
                    } else {
                        pool.push(input.clone())
                    }
                }
                input
            }
        };
        at_work.lock().clone_from(&input);
        watch.runs.fetch_add(1, Ordering::Relaxed);
        if breaks(target.run, &input) {
            let shrunk = shrink(target.run, input);
            let path = keep(target.name, &shrunk);
            panic!(
                "fuzz target {} breaks (start {start}), input {}:\n{}",
                target.name,
                path.display(),
                hex(&shrunk)
            );
        }
    }
    println!("{}: {} inputs", target.name, watch.runs.load(Ordering::Relaxed));
}
