//! The story of the worst that the parity bears, all at once and under load: one drive of eight is taken away, one
//! hangs, two are wiped in the same moment, and the first comes back as old as it left. Then it must heal by itself; and
//! to see that it did, everything is read from these four drives alone. It knows nothing of what clients see.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::Arguments;
use super::clients::World;
use super::nemesis::{Begun, Chaos, GRACE, files_below};
use crate::server::Setup;
use crate::strace::Blow;

/// A drive that hangs is put out after about two seconds, on a busy machine later.
const PUT_OUT_WITHIN: Duration = Duration::from_secs(30);
/// Drives that left are looked at every few seconds, then less often.
const BACK_WITHIN: Duration = Duration::from_secs(150);
const READABLE_WITHIN: Duration = Duration::from_secs(60);

/// Who was harmed, and what came of it.
#[derive(Debug)]
pub(super) struct Harmed {
    away: PathBuf,
    hung: PathBuf,
    wiped: Vec<PathBuf>,
}

impl Harmed {
    fn all(&self) -> Vec<&Path> {
        let wiped = self.wiped.iter().map(PathBuf::as_path);
        wiped.chain([self.away.as_path(), self.hung.as_path()]).collect()
    }
}

/// A drive as the admin API tells it.
struct Drive {
    path: PathBuf,
    state: String,
    reason: String,
}

impl Drive {
    fn is_in(&self) -> bool {
        self.state == "in"
    }
}

fn drives(info: &Value) -> Vec<Drive> {
    let told = info.get("drives").and_then(Value::as_array);
    let text = |drive: &Value, name| drive.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let drive = |drive: &Value| Drive {
        path: PathBuf::from(text(drive, "path")),
        state: text(drive, "state"),
        reason: text(drive, "reason"),
    };
    told.into_iter().flatten().map(drive).collect()
}

fn all_in(info: &Value) -> bool {
    let drives = drives(info);
    !drives.is_empty() && drives.iter().all(Drive::is_in)
}

/// Asks how the store stands until `holds` says so. A store that starts anew in its process answers nothing meanwhile.
fn until(chaos: &Chaos, limit: Duration, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Result<Duration> {
    let began = Instant::now();
    loop {
        let info = chaos.ask(Method::GET, "/v1/admin/info");
        if info.as_ref().is_ok_and(&mut holds) {
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < limit, "not after {limit:?}: {what}: {info:?}");
        sleep(Duration::from_millis(100));
    }
}

fn bytes_of(drive: &Path) -> Result<u64> {
    let sizes = files_below(drive)?
        .into_iter()
        .filter_map(|file| fs::metadata(file).ok());
    Ok(sizes.map(|facts| facts.len()).sum())
}

/// Does it, and returns when the store is whole; clients go on all the time.
pub(super) fn befall(chaos: &mut Chaos, arguments: &Arguments) -> Result<()> {
    let hold = Duration::from_secs_f64(arguments.hold);
    let calm = Duration::from_secs_f64(arguments.calm);
    sleep(calm);
    let amiss = |chaos: &Chaos, amiss| chaos.world.amiss.store(amiss, std::sync::atomic::Ordering::Relaxed);
    amiss(chaos, true);
    let began = Instant::now();

    let away = chaos.drive(0)?.to_owned();
    fs::rename(&away, away.with_extension("away"))?;
    sleep(hold);

    // Which thread serves which drive cannot be told: whoever leaves now is the one that hangs.
    let hold_on = hold * 4 + PUT_OUT_WITHIN;
    let (strike, hung) = hang(chaos, &away, hold_on)?;
    println!("hung                    {}", hung.display());

    let well = |drive: &&PathBuf| **drive != away && **drive != hung;
    let wiped: Vec<PathBuf> = chaos.setup.drives.iter().filter(well).take(2).cloned().collect();
    let lost: u64 = wiped.iter().map(|drive| bytes_of(drive)).sum::<Result<u64>>()?;
    for drive in &wiped {
        fs::rename(drive, drive.with_extension("wiped"))?;
    }
    for drive in &wiped {
        fs::create_dir(drive)?;
        fs::remove_dir_all(drive.with_extension("wiped"))?;
    }
    let wiped_at = Instant::now();
    sleep(hold);

    chaos.bring_back(0)?;
    let back = until(
        chaos,
        BACK_WITHIN,
        "the stale drive and both wiped ones are in",
        |info| {
            let is_in = |path: &PathBuf| drives(info).iter().any(|drive| drive.path == *path && drive.is_in());
            is_in(&away) && wiped.iter().all(is_in)
        },
    )?;
    println!("back and adopted after  {:>8.1} s", back.as_secs_f64());
    sleep(hold);
    if let Begun::LetGo(strike) = strike {
        strike.end()?;
    }
    until(chaos, BACK_WITHIN, "all drives are in", all_in)?;
    let healing = Instant::now();
    chaos.until_whole()?;
    let remade: u64 = wiped.iter().map(|drive| bytes_of(drive)).sum::<Result<u64>>()?;
    let report = chaos.ask(Method::GET, "/v1/admin/heal")?;
    let census = |field: &str| report.pointer(&format!("/census/{field}")).and_then(Value::as_u64);
    println!("lost on two drives      {lost:>12} bytes");
    println!("whole after the wipe    {:>8.1} s", wiped_at.elapsed().as_secs_f64());
    println!("after all were in       {:>8.1} s", healing.elapsed().as_secs_f64());
    println!("now on these two        {remade:>12} bytes");
    println!(
        "shards made anew        {:>8}, census: {} of {} segments whole, {} orphans, {} bad shards",
        report.get("shards_healed").and_then(Value::as_u64).unwrap_or_default(),
        census("whole").context("a census")?,
        census("segments").context("a census")?,
        census("orphans").context("a census")?,
        census("bad_shards").context("a census")?,
    );
    println!("all of it took          {:>8.1} s", began.elapsed().as_secs_f64());
    sleep(GRACE);
    amiss(chaos, false);
    sleep(calm);
    chaos.suffered = Some(Harmed { away, hung, wiped });
    Ok(())
}

/// Has the log of some drive that is there hang, until the store leaves it out for that, and says which it was.
fn hang(chaos: &Chaos, away: &Path, by: Duration) -> Result<(Begun, PathBuf)> {
    let victims = chaos.threads_of("drive-log", usize::MAX, 1)?;
    let strike = chaos.trace(&victims, &["fdatasync"], Blow::Late(by))?;
    let mut hung = None;
    until(chaos, PUT_OUT_WITHIN, "a drive that hangs is put out", |info| {
        let hangs = |drive: &Drive| drive.path != away && !drive.is_in() && drive.reason.contains("no answer");
        hung = drives(info).into_iter().find(hangs).map(|drive| drive.path);
        hung.is_some()
    })?;
    Ok((strike, hung.context("a drive that hangs")?))
}

/// Only the drives that were harmed are left: everything must be read from them.
pub(super) fn read_from_the_harmed(
    chaos: &mut Chaos,
    read: impl FnOnce(&std::sync::Arc<World>) -> Result<()>,
) -> Result<()> {
    let Some(harmed) = chaos.suffered.take() else {
        bail!("nothing befell the store");
    };
    let stay: Vec<PathBuf> = harmed.all().into_iter().map(Path::to_owned).collect();
    let others = |setup: &Setup| -> Vec<PathBuf> {
        let others = setup.drives.iter().filter(|drive| !stay.contains(drive));
        others.cloned().collect()
    };
    let take_away = |setup: &Setup| -> Result<()> {
        for drive in others(setup) {
            fs::rename(&drive, drive.with_extension("away"))?;
        }
        Ok(())
    };
    chaos.between_starts(take_away)?;
    let began = Instant::now();
    while chaos.list().is_err() {
        ensure!(
            began.elapsed() < READABLE_WITHIN,
            "the four drives that were harmed cannot be read"
        );
        sleep(Duration::from_millis(200));
    }
    read(&chaos.world).context("from the drives that were harmed alone")?;
    println!("read from the {} drives that were harmed alone", stay.len());
    let bring_back = |setup: &Setup| -> Result<()> {
        for drive in others(setup) {
            fs::rename(drive.with_extension("away"), &drive)?;
        }
        Ok(())
    };
    chaos.between_starts(bring_back)?;
    until(chaos, BACK_WITHIN, "all drives are in again", all_in).map(drop)
}

impl Chaos {
    fn list(&self) -> Result<Bytes> {
        let asked = self
            .world
            .target
            .ask(Method::GET, "/soak", "list-type=2&max-keys=1", Bytes::new());
        self.handle.block_on(asked)
    }
}
