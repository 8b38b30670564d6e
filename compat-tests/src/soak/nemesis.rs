//! What is done to the store while clients use it: one thing, then two at a time, never to more drives than the parity
//! before all is whole again. Each tells whether it hit. It knows nothing of what clients see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tokio::runtime::Handle;

use super::clients::World;
use super::losses::Harmed;
use crate::process::run as run_program;
use crate::server::{Server, Setup};
use crate::strace::{Blow, Strike, Whose, missing, threads};

const PARITY: usize = 4;
/// What was done may be felt for so long after it ended.
pub(super) const GRACE: Duration = Duration::from_secs(3);
const WHOLE_WITHIN: Duration = Duration::from_secs(180);
/// How much newer than its snapshot a drive is at least.
const STALE_BY: Duration = Duration::from_secs(2);
const COPY_LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nemesis {
    /// A drive's directory is gone, and comes back.
    Away,
    /// A drive is replaced by an empty one.
    Wiped,
    /// Two drives change places over a restart.
    Swapped,
    /// A drive is as it was some time ago.
    Stale,
    /// Bytes of one drive's shard files flip.
    Flipped,
    /// Shard files of one drive lose their second half.
    Truncated,
    /// The process is killed.
    Killed,
    /// Each sync of the log on one drive takes nearly as long as this is held.
    Hung,
    /// Writes and syncs on one drive fail.
    Failing,
}

impl Nemesis {
    pub(super) const ALL: [Self; 9] = [
        Self::Away,
        Self::Killed,
        Self::Wiped,
        Self::Flipped,
        Self::Hung,
        Self::Stale,
        Self::Truncated,
        Self::Failing,
        Self::Swapped,
    ];

    fn harms(self) -> bool {
        !matches!(self, Self::Killed | Self::Swapped)
    }

    fn traces(self) -> bool {
        matches!(self, Self::Hung | Self::Failing)
    }
}

/// How to end what was begun.
pub(super) enum Begun {
    Done,
    BringBack(usize),
    LetGo(Strike),
}

pub(super) struct Chaos {
    pub(super) setup: Setup,
    server: Option<Server>,
    pub(super) world: Arc<World>,
    pub(super) handle: Handle,
    /// Drives that may lack something.
    harmed: BTreeSet<usize>,
    snapshot: Option<(usize, PathBuf)>,
    dice: u64,
    traces: bool,
    /// How often each was done, and how often it hit.
    pub(super) told: BTreeMap<Nemesis, (u32, u32)>,
    pub(super) waited_whole: u32,
    /// What was done to it all at once.
    pub(super) suffered: Option<Harmed>,
}

impl Chaos {
    pub(super) fn new(setup: Setup, server: Server, world: Arc<World>, handle: Handle) -> Self {
        let without = missing();
        if let Some(why) = &without {
            println!("no drive will hang or fail: {why}");
        }
        Self {
            setup,
            server: Some(server),
            world,
            handle,
            harmed: BTreeSet::new(),
            snapshot: None,
            dice: 0x9E37_79B9_7F4A_7C15,
            traces: without.is_none(),
            told: BTreeMap::new(),
            waited_whole: 0,
            suffered: None,
        }
    }

    /// What can be done here.
    pub(super) fn available(&self) -> Vec<Nemesis> {
        let mut all = Nemesis::ALL.to_vec();
        all.retain(|nemesis| self.traces || !nemesis.traces());
        all
    }

    fn below(&mut self, end: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        usize::try_from(self.dice >> 11).unwrap_or_default() % end.max(1)
    }

    pub(super) fn drive(&self, number: usize) -> Result<&Path> {
        let drive = self.setup.drives.get(number).context("a drive of that number")?;
        Ok(drive)
    }

    fn process(&self) -> Result<u32> {
        Ok(self.server.as_ref().context("a running server")?.id())
    }

    fn start(&mut self) -> Result<()> {
        self.server = Some(self.setup.start().context("a start during the soak")?);
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        self.server.take().context("a running server")?.kill()
    }

    /// Does these at once, holds them for a while and ends them; then the store has `calm` with nothing amiss.
    pub(super) fn strike(&mut self, what: &[Nemesis], hold: Duration, calm: Duration) -> Result<()> {
        // An empty directory that changed places before it was taken in is nobody's: an operator has to say whose.
        let mut what = what.to_vec();
        what.sort_by_key(|nemesis| *nemesis != Nemesis::Swapped);
        let swaps = what.contains(&Nemesis::Swapped) && !self.harmed.is_empty();
        let mut drives = BTreeSet::new();
        while drives.len() < what.len() {
            let drive = self.below(self.setup.drives.len());
            drives.insert(drive);
        }
        let harmed = drives.iter().zip(&what).filter(|(_, nemesis)| nemesis.harms());
        let mut after: BTreeSet<usize> = harmed.map(|(drive, _)| *drive).collect();
        if what.contains(&Nemesis::Stale) {
            after.extend(self.snapshot.as_ref().map(|(of, _)| *of));
        }
        after.extend(&self.harmed);
        if after.len() > PARITY || swaps {
            self.until_whole()?;
            after.clone_from(&drives);
        }
        self.harmed = after;
        self.world.amiss.store(true, Ordering::Relaxed);
        let mut begun = Vec::new();
        for (nemesis, drive) in what.iter().zip(&drives) {
            let started = self
                .begin(*nemesis, *drive, hold)
                .with_context(|| format!("{nemesis:?}"))?;
            begun.push((*nemesis, started));
        }
        sleep(hold);
        for (nemesis, (begun, hit)) in begun {
            let hit = match begun {
                Begun::Done => hit,
                Begun::BringBack(drive) => self.bring_back(drive).map(|()| hit)?,
                Begun::LetGo(strike) => strike.end()?,
            };
            let told = self.told.entry(nemesis).or_default();
            *told = (told.0 + 1, told.1 + u32::from(hit));
        }
        sleep(GRACE);
        self.world.amiss.store(false, Ordering::Relaxed);
        sleep(calm);
        Ok(())
    }

    fn begin(&mut self, nemesis: Nemesis, drive: usize, hold: Duration) -> Result<(Begun, bool)> {
        Ok(match nemesis {
            Nemesis::Away => {
                let path = self.drive(drive)?;
                fs::rename(path, path.with_extension("away"))?;
                (Begun::BringBack(drive), !path.exists())
            }
            Nemesis::Wiped => {
                let path = self.drive(drive)?;
                let gone = path.with_extension("wiped");
                fs::rename(path, &gone)?;
                fs::create_dir(path)?;
                let hit = !files_below(&gone)?.is_empty();
                fs::remove_dir_all(gone)?;
                self.forget_snapshot_of(drive)?;
                (Begun::Done, hit)
            }
            Nemesis::Killed => {
                self.kill()?;
                if self.snapshot.is_none() {
                    self.take_snapshot(drive)?;
                }
                self.start()?;
                (Begun::Done, true)
            }
            Nemesis::Swapped => {
                let other = (drive + 1) % self.setup.drives.len();
                self.kill()?;
                let (one, two) = (self.drive(drive)?, self.drive(other)?);
                let aside = one.with_extension("aside");
                fs::rename(one, &aside)?;
                fs::rename(two, one)?;
                fs::rename(aside, two)?;
                self.forget_snapshot_of(drive)?;
                self.forget_snapshot_of(other)?;
                self.start()?;
                (Begun::Done, true)
            }
            Nemesis::Stale => self.restore_snapshot(drive)?,
            Nemesis::Flipped => (Begun::Done, self.flip(drive)?),
            Nemesis::Truncated => {
                let (mut hit, path) = (false, self.drive(drive)?.to_owned());
                for file in self.some_files(&path.join(".drystone/extent"), 4)? {
                    let handle = fs::File::options().write(true).open(&file)?;
                    handle.set_len(handle.metadata()?.len() / 2)?;
                    hit = true;
                }
                (Begun::Done, hit)
            }
            Nemesis::Hung => {
                let victims = self.threads_of("drive-log", drive, 1)?;
                let blow = Blow::Late(hold.mul_f64(0.8));
                (self.trace(&victims, &["fdatasync"], blow)?, false)
            }
            Nemesis::Failing => {
                let mut victims = self.threads_of("drive-log", drive, 1)?;
                victims.extend(self.threads_of("drive-bulk", drive * 3, 3)?);
                let calls = ["fdatasync", "pwrite64", "pwritev"];
                (self.trace(&victims, &calls, Blow::ForGood("EIO", 1))?, false)
            }
        })
    }

    /// Flips a bit in a byte of a few shard files; whether there was any.
    fn flip(&mut self, drive: usize) -> Result<bool> {
        let path = self.drive(drive)?.to_owned();
        let files = self.some_files(&path, 6)?;
        for file in &files {
            let at = self.below(usize::try_from(fs::metadata(file)?.len())?) as u64;
            let handle = fs::File::options().read(true).write(true).open(file)?;
            let mut byte = [0];
            handle.read_exact_at(&mut byte, at)?;
            let [byte] = byte;
            handle.write_all_at(&[byte ^ 16], at)?;
        }
        Ok(!files.is_empty())
    }

    pub(super) fn trace(&self, victims: &[u32], calls: &[&str], blow: Blow) -> Result<Begun> {
        let log = self.setup.folder.join(format!("strace-{victims:?}"));
        Strike::begin(Whose::Threads(victims), calls, &blow, &log).map(Begun::LetGo)
    }

    pub(super) fn threads_of(&self, name: &str, from: usize, count: usize) -> Result<Vec<u32>> {
        let all = threads(self.process()?)?;
        let named: Vec<u32> = all.iter().filter(|(_, told)| told == name).map(|(id, _)| *id).collect();
        let from = from % named.len().max(1);
        Ok(named.into_iter().skip(from).take(count).collect())
    }

    fn some_files(&mut self, below: &Path, count: usize) -> Result<Vec<PathBuf>> {
        let mut all = files_below(below)?;
        // Roots are two and small; what heals is the shard files.
        all.retain(|path| {
            path.extension().is_some_and(|shard| shard.len() == 2) && fs::metadata(path).is_ok_and(|m| m.len() > 0)
        });
        let mut chosen = Vec::new();
        while chosen.len() < count && !all.is_empty() {
            let at = self.below(all.len());
            chosen.push(all.swap_remove(at));
        }
        Ok(chosen)
    }

    pub(super) fn bring_back(&self, drive: usize) -> Result<()> {
        let path = self.drive(drive)?;
        Ok(fs::rename(path.with_extension("away"), path)?)
    }

    fn take_snapshot(&mut self, drive: usize) -> Result<()> {
        let snapshot = self.setup.folder.join("snapshot");
        copy(self.drive(drive)?, &snapshot)?;
        self.snapshot = Some((drive, snapshot));
        Ok(())
    }

    /// What was there before another drive came is that drive's no more: the store would refuse it, as it must.
    fn forget_snapshot_of(&mut self, drive: usize) -> Result<()> {
        if let Some((_, snapshot)) = self.snapshot.take_if(|(of, _)| *of == drive) {
            fs::remove_dir_all(snapshot)?;
        }
        Ok(())
    }

    /// Puts the snapshot back in place of its drive; without one, takes it and lets the store write on first.
    fn restore_snapshot(&mut self, drive: usize) -> Result<(Begun, bool)> {
        self.kill()?;
        if self.snapshot.is_none() {
            self.take_snapshot(drive)?;
            self.start()?;
            sleep(STALE_BY);
            self.kill()?;
        }
        let (of, snapshot) = self.snapshot.take().context("a snapshot")?;
        let path = self.drive(of)?.to_owned();
        let newer = files_below(&path)? != files_below(&snapshot)?;
        fs::remove_dir_all(&path)?;
        fs::rename(snapshot, path)?;
        self.harmed.insert(of);
        self.start()?;
        Ok((Begun::Done, newer))
    }

    pub(super) fn ask(&self, method: Method, path: &str) -> Result<Value> {
        let told = self
            .handle
            .block_on(self.world.target.ask(method, path, "", Bytes::new()))?;
        Ok(serde_json::from_slice(&told)?)
    }

    /// Waits until every drive is in, every file of every drive was verified since now, and nothing is missing, bad or
    /// left over.
    pub(super) fn until_whole(&mut self) -> Result<()> {
        let began = Instant::now();
        let asked = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut scrubbed = false;
        loop {
            let (healing, info) = (
                self.ask(Method::GET, "/v1/admin/heal")?,
                self.ask(Method::GET, "/v1/admin/info")?,
            );
            let drives = info
                .get("drives")
                .and_then(Value::as_array)
                .context("no drives are told")?;
            let all_in = drives
                .iter()
                .all(|drive| drive.get("state").and_then(Value::as_str) == Some("in"));
            if all_in && !scrubbed {
                self.ask(Method::POST, "/v1/admin/scrub")?;
                scrubbed = true;
            }
            let verified = |scrub: &Value| {
                scrub
                    .get("passed_at")
                    .and_then(Value::as_u64)
                    .is_some_and(|at| at >= asked)
            };
            let scrubs = healing
                .get("scrubs")
                .and_then(Value::as_array)
                .context("no scrubs are told")?;
            let whole = healing.get("state").and_then(Value::as_str) == Some("whole");
            let clean = healing.pointer("/census/clean").and_then(Value::as_bool) == Some(true);
            if all_in && whole && clean && scrubs.len() == drives.len() && scrubs.iter().all(verified) {
                self.harmed.clear();
                self.waited_whole += 1;
                return Ok(());
            }
            ensure!(
                began.elapsed() < WHOLE_WITHIN,
                "not whole after {WHOLE_WITHIN:?}: {healing} {info}"
            );
            sleep(Duration::from_millis(200));
        }
    }

    /// Stops the server, does something to the drives, and starts it without waiting until it takes writes.
    pub(super) fn between_starts(&mut self, happens: impl FnOnce(&Setup) -> Result<()>) -> Result<()> {
        self.server.take().context("a running server")?.stop()?;
        happens(&self.setup)?;
        self.server = Some(self.setup.spawn()?);
        Ok(())
    }

    pub(super) fn end(mut self) -> Result<()> {
        match self.server.take() {
            Some(server) => server.stop(),
            None => bail!("no server runs at the end"),
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    run_program(std::process::Command::new("cp").arg("-a").args([from, to]), COPY_LIMIT)?;
    Ok(())
}

/// Names and places of all files below; what goes while it is looked at is left out.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(_) => found.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    found.sort();
    Ok(found)
}
