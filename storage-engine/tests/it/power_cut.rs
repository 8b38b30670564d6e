//! Power cuts on a real file system: a loop-mounted xfs whose journal and page cache are thrown away in mid-load
//! (`xfs_io -x -c shutdown`, without flushing the log). What was acknowledged must be there; what was not may be there
//! whole or not at all. The same test with file syncs that only pretend must go red.
//!
//! Needs root, loop devices, mkfs.xfs and xfs_io; without them it is skipped with a message, with CI=true that fails.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use storage_engine::embedded::drive::{DriveOptions, Fault, FaultPlan, Operation};
use storage_engine::embedded::{Embedded, OpenOptions};

use crate::mounts::{run, skip_or_fail};
use crate::scene::{body, delete, put, read};

const DRIVES: usize = 4;
const WRITERS: u64 = 4;
const KEYS_PER_WRITER: u64 = 12;
const CHILD: &str = "DRYSTONE_POWER_CUT_CHILD";
const MUTANT: &str = "DRYSTONE_POWER_CUT_PRETEND";

fn options(mount: &Path) -> OpenOptions {
    let drive = if std::env::var_os(MUTANT).is_some() {
        let plan = Arc::new(FaultPlan::default());
        plan.arm_always(Operation::SyncFile, "", Fault::Pretend);
        DriveOptions {
            faults: Some(plan),
            ..DriveOptions::default()
        }
    } else {
        DriveOptions::default()
    };
    OpenOptions {
        drives: (1..=DRIVES).map(|n| mount.join(format!("d{n}"))).collect(),
        drive,
        ..OpenOptions::default()
    }
}

/// Length of a body by its seed: empty, small, and larger than what rides in the log.
fn length(seed: u64) -> usize {
    [0, 100, 4096, 30_000, 150_000, 600_000][(seed % 6) as usize]
}

/// The writer process: every step goes to the ack log before (`try`) and after (`ack`).
#[tokio::test(flavor = "multi_thread")]
async fn child_writes_until_it_is_cut() {
    let Some(mount) = std::env::var_os(CHILD) else { return };
    let mount = PathBuf::from(mount);
    let log = std::env::var_os("DRYSTONE_POWER_CUT_LOG").unwrap();
    let log = Arc::new(Mutex::new(File::options().append(true).create(true).open(log).unwrap()));
    let start: u64 = std::env::var("DRYSTONE_POWER_CUT_SEED").unwrap().parse().unwrap();
    let store = Embedded::open(options(&mount)).await.unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let (store, log) = (Arc::clone(&store), Arc::clone(&log));
        tokio::spawn(async move {
            for step in 0.. {
                let seed = start + step * WRITERS + writer;
                let name = format!("w{writer}/{}", seed / WRITERS % KEYS_PER_WRITER);
                let what = if step % 7 == 6 { "del" } else { "put" };
                writeln!(log.lock(), "try {name} {what} {seed}").unwrap();
                if what == "put" {
                    put(&store, &name, &body(seed, length(seed))).await;
                } else {
                    delete(&store, &name).await;
                }
                writeln!(log.lock(), "ack {name} {what} {seed}").unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

/// A loop-mounted file system that can lose its power.
struct Machine {
    dir: tempfile::TempDir,
    mount: PathBuf,
    mounted: bool,
}

impl Machine {
    fn new() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        File::create(&image)
            .and_then(|file| file.set_len(1 << 30))
            .map_err(|e| e.to_string())?;
        std::fs::create_dir(&mount).map_err(|e| e.to_string())?;
        run(Command::new("mkfs.xfs").arg("-q").arg(&image))?;
        let mut machine = Self {
            dir,
            mount,
            mounted: false,
        };
        machine.mount()?;
        Ok(machine)
    }

    fn mount(&mut self) -> Result<(), String> {
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(self.dir.path().join("image"))
            .arg(&self.mount))?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), String> {
        for _ in 0..50 {
            if run(Command::new("umount").arg(&self.mount)).is_ok() {
                self.mounted = false;
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        run(Command::new("umount").arg(&self.mount))
    }

    /// The ack log as it was right before the cut: only what it says by then must survive.
    fn cut(&mut self, child: &mut Child, log: &Path) -> String {
        let acknowledged = std::fs::read_to_string(log).unwrap_or_default();
        run(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&self.mount)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.unmount().unwrap();
        self.mount().unwrap();
        acknowledged
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.mounted {
            let _ = self.unmount();
        }
    }
}

/// What a key may be: its last acknowledged state, or what was tried after it.
#[derive(Clone, Debug, Default)]
struct Expected {
    acknowledged: Option<u64>,
    tried: Option<Option<u64>>,
}

fn expectations(states: &mut BTreeMap<String, Expected>, log: &str) -> usize {
    let mut acks = 0;
    for line in log.lines() {
        let [kind, name, what, seed] = line.split(' ').collect::<Vec<_>>()[..] else {
            continue;
        };
        let Ok(seed) = seed.parse::<u64>() else { continue };
        let after = (what == "put").then_some(seed);
        let state = states.entry(name.to_owned()).or_default();
        if kind == "try" {
            state.tried = Some(after);
        } else {
            *state = Expected {
                acknowledged: after,
                tried: None,
            };
            acks += 1;
        }
    }
    acks
}

/// Every violation found; what a key turned out to be is its state from now on.
async fn verify(store: &Embedded, states: &mut BTreeMap<String, Expected>) -> Vec<String> {
    let mut violations = Vec::new();
    for (name, state) in states {
        let found = match read(store, name).await {
            Ok(found) => found,
            Err(error) => {
                violations.push(format!("{name}: {error}"));
                continue;
            }
        };
        let is = |seed: Option<u64>| found.as_ref().map(|b| &b[..]) == seed.map(|s| body(s, length(s))).as_deref();
        let settled = [Some(state.acknowledged), state.tried]
            .into_iter()
            .flatten()
            .find(|seed| is(*seed));
        match settled {
            Some(seed) => {
                *state = Expected {
                    acknowledged: seed,
                    tried: None,
                }
            }
            None => violations.push(format!("{name}: {state:?} became {:?} bytes", found.map(|b| b.len()))),
        }
    }
    violations
}

fn start_child(machine: &Machine, log: &Path, seed: u64, pretend: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "power_cut::child_writes_until_it_is_cut", "--nocapture"]);
    command.env(CHILD, &machine.mount).env("DRYSTONE_POWER_CUT_LOG", log);
    command.env("DRYSTONE_POWER_CUT_SEED", seed.to_string());
    if pretend {
        command.env(MUTANT, "1");
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// `cuts` cuts on one store; the number of acknowledgements before cuts and what was violated.
fn cut_repeatedly(cuts: u64, pretend: bool) -> Result<(usize, Vec<String>), String> {
    let mut machine = Machine::new()?;
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let mut states = BTreeMap::new();
    let (mut acks, mut violations) = (0, Vec::new());
    for cut in 0..cuts {
        let log = machine.dir.path().join(format!("acks{cut}"));
        let mut child = start_child(&machine, &log, (cut + 1) * 1_000_000, pretend);
        // Half under full load at some moment, half right after an acknowledgement.
        let enough = 5 + cut as usize * 7;
        for _ in 0..600 {
            std::thread::sleep(Duration::from_millis(if cut % 2 == 0 { 50 } else { 1 }));
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if text.lines().filter(|line| line.starts_with("ack")).count() >= enough {
                break;
            }
        }
        let text = machine.cut(&mut child, &log);
        let before = expectations(&mut states, &text);
        // What was tried after the copy may have happened too.
        let late = std::fs::read_to_string(&log).unwrap_or_default();
        for line in late[text.len().min(late.len())..].lines() {
            expectations(&mut states, &line.replacen("ack", "try", 1));
        }
        acks += before;
        let found = runtime.block_on(async {
            let store = match Embedded::open(options(&machine.mount)).await {
                Ok(store) => store,
                Err(error) => return vec![format!("the store does not open: {error}")],
            };
            let found = verify(&store, &mut states).await;
            store.close().await;
            found
        });
        if !found.is_empty() {
            violations.extend(found);
            break;
        }
    }
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok((acks, violations))
}

#[test]
fn ten_power_cuts_lose_nothing_that_was_acknowledged() {
    match cut_repeatedly(10, false) {
        Err(reason) => skip_or_fail("power cuts", &reason),
        Ok((acks, violations)) => {
            eprintln!(
                "10 power cuts, {acks} acknowledgements before them, {} violations",
                violations.len()
            );
            assert!(violations.is_empty(), "{violations:#?}");
            assert!(acks >= 100, "too few acknowledgements to mean anything: {acks}");
        }
    }
}

#[test]
fn a_store_whose_file_syncs_only_pretend_is_caught_by_the_same_cuts() {
    match cut_repeatedly(3, true) {
        Err(reason) => skip_or_fail("power cuts", &reason),
        Ok((acks, violations)) => {
            eprintln!("the mutant: {acks} acknowledgements, violations: {violations:?}");
            assert!(
                acks > 0 && !violations.is_empty(),
                "the mutant survived {acks} acknowledgements"
            );
        }
    }
}
