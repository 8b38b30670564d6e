//! Power cuts on real file systems: loop-mounted xfs and ext4 whose journal and page cache are thrown away, half of them
//! in mid-load and half right after an answer with nothing else going on. What was acknowledged must be there, anything
//! else whole or not at all. Every bug planted for this must turn a test here red.
//!
//! Needs root, loop devices, mkfs.xfs, mkfs.ext4, xfs_io and unshare; without them it is skipped with a message, with
//! CI=true that fails. `DRYSTONE_POWER_CUTS` is how many (default 20), `DRYSTONE_POWER_SEED` varies them.

mod catalogue;
mod ledger;
mod machine;
mod planted;
mod process;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use self::ledger::{Ledger, Line};
use self::machine::{DRIVES, Kind, Layout, Machine};
use self::process::Load;
use crate::planted::{Bug, VARIABLE};

/// Longest time a start, a census or a load may keep its reader waiting.
const PATIENCE: Duration = Duration::from_secs(240);
/// Has a process read another boot id, in a mount namespace of its own that lets go of everybody else's images.
const FORGE: &str = r#"
    id="$0" own="$1"; shift
    awk '$1 ~ "^/dev/loop" { print $2 }' /proc/self/mounts | grep -v "^$own/" | xargs -r umount -l
    mount --bind "$id" /proc/sys/kernel/random/boot_id && exec "$@"
"#;
/// Cuts of one store before a fresh one is taken.
const CUTS_PER_STORE: usize = 13;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Says that a test could not run; with CI=true that is an error.
fn skip_or_fail(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "power cannot be cut here: {reason}");
    eprintln!("SKIPPED (1 test): power cannot be cut here: {reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_is_the_process_whose_power_goes() {
    process::live().await;
}

/// A store process as its reader sees it.
struct Running {
    child: Child,
    words: ChildStdin,
    lines: Receiver<(Instant, Line)>,
}

impl Running {
    /// The next line; `None` when the process has ended.
    fn next(&self) -> Option<(Instant, Line)> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                Some((Instant::now(), Line::Bad(format!("nothing was said for {PATIENCE:?}"))))
            }
        }
    }

    fn word(&mut self) {
        // A process that is gone is noticed by what it does not say.
        let _ = self.words.write_all(b"go\n").and_then(|()| self.words.flush());
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One store on one machine, from cut to cut.
struct Rig {
    machine: Machine,
    ledger: Ledger,
    bug: Option<Bug>,
    starts: u64,
    violations: Vec<String>,
}

impl Rig {
    fn new(kind: Kind, layout: Layout, bug: Option<Bug>) -> Result<Self, String> {
        Ok(Self {
            machine: Machine::new(kind, layout)?,
            ledger: Ledger::default(),
            bug,
            starts: 0,
            violations: Vec::new(),
        })
    }

    /// Starts a process and waits until it has told how it finds everything. `forged`: the boot id that it reads is
    /// another one than before, as after a real reboot; otherwise it is the same as if nothing had happened.
    fn start(&mut self, load: Load, forged: bool) -> Result<Running, String> {
        self.starts += 1;
        let owed = self.machine.dir.path().join("owed");
        std::fs::write(&owed, self.ledger.text()).map_err(|e| e.to_string())?;
        let this = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = if forged {
            let boot_id = self.machine.dir.path().join("boot-id");
            let id = format!("{:08x}-0000-4000-8000-00000000cafe\n", self.starts);
            std::fs::write(&boot_id, id).map_err(|e| e.to_string())?;
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", FORGE]).arg(boot_id);
            command.arg(self.machine.dir.path()).arg(this);
            command
        } else {
            Command::new(this)
        };
        command.args(["--exact", process::TEST, "--nocapture"]);
        let drives = std::env::join_paths(self.machine.drives()).map_err(|e| e.to_string())?;
        command.env(process::DRIVES, drives).env(process::LEDGER, owed);
        command
            .env(process::LOAD, load.name())
            .env(process::SEED, (self.starts * 1_000_000).to_string());
        command.env_remove(VARIABLE);
        if let Some(bug) = self.bug {
            command.env(VARIABLE, bug.name());
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let (words, said) = (child.stdin.take(), child.stdout.take());
        let (words, said) = words.zip(said).ok_or("no pipes")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                if let Some(line) = Line::parse(&line)
                    && sender.send((Instant::now(), line)).is_err()
                {
                    return;
                }
            }
        });
        let running = Running { child, words, lines };
        self.until(&running, "checked");
        Ok(running)
    }

    fn note(&mut self, line: &Line) {
        if let Line::Bad(what) = line {
            self.violations.push(what.clone());
        }
        self.ledger.take(line);
    }

    /// Takes lines in up to this stage, or until something is wrong.
    fn until(&mut self, running: &Running, name: &str) {
        while self.violations.is_empty() {
            match running.next() {
                Some((_, Line::Stage(stage))) if stage == name => return,
                Some((_, line)) => self.note(&line),
                None => self.violations.push(format!("the process ended before it said {name}")),
            }
        }
        // All that it finds wrong, not only the first.
        while let Ok((_, line)) = running.lines.recv_timeout(Duration::from_millis(300)) {
            if matches!(line, Line::Stage(_)) {
                return;
            }
            self.note(&line);
        }
    }

    /// Cuts the power of `drives` and kills the process. All that was read before counts, and where power stays on some
    /// drive, also what the process still says before it is killed.
    fn cut(&mut self, mut running: Running, drives: &[usize]) {
        while let Ok((_, line)) = running.lines.try_recv() {
            self.note(&line);
        }
        self.machine.cut(drives);
        let all = drives.len() == DRIVES;
        if !all {
            std::thread::sleep(Duration::from_millis(150));
        }
        running.kill();
        while let Ok((_, line)) = running.lines.recv_timeout(PATIENCE) {
            if all {
                self.ledger.take_late(&line);
            } else {
                self.note(&line);
            }
        }
    }

    /// Everything is back: the store heals to a clean census and leaves nothing behind.
    fn whole(&mut self) -> Result<(), String> {
        self.machine.bring_all_back()?;
        let mut running = self.start(Load::Census, false)?;
        running.word();
        self.until(&running, "whole");
        running.kill();
        Ok(())
    }
}

/// Small numbers that follow from one.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(7);
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// What was done, to be told and to prove that it was.
#[derive(Default)]
struct Tally {
    cuts: usize,
    calm: usize,
    forged: usize,
    partial: usize,
    late: usize,
    acknowledgements: usize,
    /// Between reading an answer and the word to cut.
    delays: Vec<Duration>,
    violations: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.calm += other.calm;
        self.forged += other.forged;
        self.partial += other.partial;
        self.late += other.late;
        self.acknowledgements += other.acknowledgements;
        self.delays.extend(other.delays);
        self.violations.extend(other.violations);
    }
}

/// `cuts` cuts of one store, then healing and a census.
fn one_store(kind: Kind, layout: Layout, cuts: usize, seed: u64) -> Result<Tally, String> {
    let mut rig = Rig::new(kind, layout, None)?;
    let mut dice = Dice(seed | 1);
    let mut tally = Tally::default();
    let mut late: Vec<usize> = Vec::new();
    for round in 0..cuts {
        let calm = round % 2 == 1;
        let forged = late.is_empty() && round % 4 >= 2;
        let load = match round % 4 {
            1 => Load::Calm,
            3 => Load::CalmLives,
            _ => Load::Busy,
        };
        let mut running = rig.start(load, forged)?;
        rig.machine.bring_all_back()?;
        running.word();
        rig.until(&running, "complete");
        if calm {
            until_an_answer(&mut rig, &mut running, 1 + dice.below(9), &mut tally);
        } else {
            until_mid_load(&mut rig, &running, 8 + dice.below(30), dice.below(120));
        }
        let cut = match dice.below(10) {
            0 | 1 if layout == Layout::Each => {
                let first = dice.below(DRIVES as u64) as usize;
                vec![first, (first + 1) % DRIVES]
            }
            // The index lives on the first drive that takes it.
            2 | 3 if layout == Layout::Each => vec![0],
            _ => (0..DRIVES).collect(),
        };
        rig.cut(running, &cut);
        late = match dice.below(10) {
            0 => vec![dice.below(DRIVES as u64) as usize],
            1 => {
                let first = dice.below(DRIVES as u64) as usize;
                vec![first, (first + 1) % DRIVES]
            }
            _ => Vec::new(),
        };
        rig.machine.power_on(&cut, &late)?;
        tally.cuts += 1;
        tally.calm += usize::from(calm);
        tally.forged += usize::from(forged);
        tally.partial += usize::from(cut.len() < DRIVES);
        tally.late += usize::from(!late.is_empty());
        if !rig.violations.is_empty() {
            break;
        }
    }
    // What the last cut left, and whether it is whole again.
    if rig.violations.is_empty() {
        drop(rig.start(Load::None, false)?);
        rig.whole()?;
    }
    tally.acknowledgements = rig.ledger.acknowledgements;
    let at = format!("{kind:?} {layout:?} seed {seed}, after {} cuts", tally.cuts);
    let told = rig.violations.iter().map(|what| format!("{at}: {what}"));
    tally.violations.extend(told);
    Ok(tally)
}

/// Takes lines in until the `answers`-th answer has just been read.
fn until_an_answer(rig: &mut Rig, running: &mut Running, answers: u64, tally: &mut Tally) {
    let mut left = answers;
    while rig.violations.is_empty() {
        match running.next() {
            Some((read, line @ Line::Ack(..))) => {
                rig.note(&line);
                left -= 1;
                if left == 0 {
                    tally.delays.push(read.elapsed());
                    return;
                }
                running.word();
            }
            Some((_, line)) => rig.note(&line),
            None => rig.violations.push("the process ended in mid-load".to_owned()),
        }
    }
}

fn until_mid_load(rig: &mut Rig, running: &Running, answers: u64, then: u64) {
    let before = rig.ledger.acknowledgements as u64;
    while rig.violations.is_empty() && (rig.ledger.acknowledgements as u64) < before + answers {
        match running.next() {
            Some((_, line)) => rig.note(&line),
            None => rig.violations.push("the process ended in mid-load".to_owned()),
        }
    }
    std::thread::sleep(Duration::from_millis(then));
}

#[test]
fn power_cuts_on_xfs_and_ext4_lose_nothing_that_was_acknowledged() {
    let cuts = setting("DRYSTONE_POWER_CUTS", 20) as usize;
    let seed = setting("DRYSTONE_POWER_SEED", 1);
    let began = Instant::now();
    // One after the other of each kind, both kinds at once.
    let lane = |kind: Kind| -> Result<Tally, String> {
        let mut tally = Tally::default();
        let share = match kind {
            Kind::Xfs => cuts.div_ceil(2),
            Kind::Ext4 => cuts / 2,
        };
        let stores = share.div_ceil(CUTS_PER_STORE).max(2);
        for store in 0..stores {
            let layout = [Layout::Each, Layout::One][store % 2];
            let these = share / stores + usize::from(store < share % stores);
            tally.add(one_store(
                kind,
                layout,
                these,
                seed * 1000 + 17 * store as u64 + kind as u64,
            )?);
        }
        Ok(tally)
    };
    let lanes: Vec<Result<Tally, String>> = std::thread::scope(|scope| {
        let lanes = [Kind::Xfs, Kind::Ext4].map(|kind| scope.spawn(move || lane(kind)));
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let mut tally = Tally::default();
    for lane in lanes {
        match lane {
            Ok(lane) => tally.add(lane),
            Err(reason) => return skip_or_fail(&reason),
        }
    }
    tally.delays.sort();
    let quick = tally.delays.iter().filter(|delay| **delay < Duration::from_millis(1));
    println!(
        "power cuts: {} ({} right after an answer, {} of them within 1 ms; {} with some drives only, {} with drives late, \
         {} with another boot id), {} acknowledgements, {} violations, {:.0} s",
        tally.cuts,
        tally.calm,
        quick.count(),
        tally.partial,
        tally.late,
        tally.forged,
        tally.acknowledgements,
        tally.violations.len(),
        began.elapsed().as_secs_f64()
    );
    assert!(tally.violations.is_empty(), "{}", tally.violations.join("\n"));
    assert_eq!(tally.cuts, cuts);
    assert!(
        tally.acknowledgements >= cuts * 8,
        "too few acknowledgements to mean anything"
    );
}
