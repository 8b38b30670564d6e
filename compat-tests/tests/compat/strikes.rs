//! Every durable system call of everything a store does, on the real binary: once the last before the process is killed,
//! once failed with EIO, once with ENOSPC, and failed for good. strace does it and proves that it did. Afterwards what
//! was acknowledged is there, anything else is there whole or not at all, and the request sent again succeeds.
//!
//! `DRYSTONE_STRIKES_EVERY` is the distance between the points that are struck (default 12; 1 for all).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use compat_tests::s3::{Payload, Target, between};
use compat_tests::server::{Server, panic_in};
use compat_tests::strace::{Blow, Strike, Whose, threads};
use compat_tests::tree;
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::stage::{Needs, Stage, Test, runtime};

const OLD: Body = Body(1, 300_000);
const SMALL: Body = Body(2, 3_000);
const LARGE: Body = Body(3, 310_000);
const STAYS: [(&str, Body); 2] = [("stays", Body(4, 2_000)), ("stays/large", Body(5, 400_000))];
/// What is struck may be tried again only later; nobody is promised when.
const HEALS_WITHIN: Duration = Duration::from_secs(3);
/// Whether a checkpoint is due is asked every ten seconds.
const MADE_WITHIN: Duration = Duration::from_secs(15);
/// So much longer the way is from one point of a checkpoint to the next that is struck.
const FEWER_CHECKPOINTS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(60);
/// strace counts each system call apart, and so does this: a set of one meaning is one kind.
const KINDS: [&[&str]; 8] = [
    &["openat"],
    &["pwrite64", "pwritev", "pwritev2"],
    &["write"],
    &["fdatasync"],
    &["fsync"],
    &["rename", "renameat", "renameat2"],
    &["unlink", "unlinkat"],
    &["ftruncate", "fallocate", "mkdir", "mkdirat"],
];

pub(crate) fn tests() -> Vec<Test> {
    let traced = |name, play| Test {
        name,
        needs: Needs::Strace,
        play,
    };
    vec![
        traced("puts_struck_at_any_system_call_are_whole_or_not_there", |stage| {
            sweep(stage, &[Deed::PutSmall, Deed::PutLarge, Deed::Overwrite])
        }),
        traced(
            "deletes_and_uploads_struck_at_any_system_call_are_done_or_not",
            |stage| sweep(stage, &[Deed::Delete, Deed::Complete, Deed::Abort]),
        ),
        traced("healing_struck_at_any_system_call_changes_nothing", |stage| {
            sweep(stage, &[Deed::Heal])
        }),
        traced("checkpoints_struck_at_any_system_call_change_nothing", |stage| {
            sweep(stage, &[Deed::Checkpoint])
        }),
    ]
}

/// Seed and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Body(u64, usize);

impl Body {
    fn bytes(self) -> Bytes {
        tree::bytes(self.0, self.1).into()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    PutSmall,
    PutLarge,
    Overwrite,
    Delete,
    Complete,
    Abort,
    Heal,
    Checkpoint,
}

impl Deed {
    fn before(self) -> Option<Body> {
        match self {
            Self::PutSmall | Self::PutLarge | Self::Complete | Self::Abort => None,
            Self::Overwrite | Self::Delete | Self::Heal | Self::Checkpoint => Some(OLD),
        }
    }

    fn after(self) -> Option<Body> {
        match self {
            Self::PutSmall => Some(SMALL),
            Self::PutLarge | Self::Overwrite | Self::Complete => Some(LARGE),
            Self::Delete | Self::Abort => None,
            Self::Heal | Self::Checkpoint => Some(OLD),
        }
    }
}

/// Threads that are struck together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Crew {
    /// The n-th of the threads that append to the log of a drive.
    Log(usize),
    /// The n-th three of those that write bodies.
    Bulk(usize),
    /// All that belong to no drive.
    Rest,
    Everyone,
}

impl Crew {
    const ALL: [Self; 6] = [
        Self::Log(0),
        Self::Log(2),
        Self::Bulk(0),
        Self::Bulk(3),
        Self::Rest,
        Self::Everyone,
    ];

    fn of(self, process: u32) -> Result<Vec<u32>> {
        let all = threads(process)?;
        let named = |name: &str| -> Vec<u32> {
            let of_name = all.iter().filter(|(_, told)| told == name);
            of_name.map(|(id, _)| *id).collect()
        };
        Ok(match self {
            Self::Log(n) => named("drive-log").get(n).copied().into_iter().collect(),
            Self::Bulk(n) => named("drive-bulk").into_iter().skip(n * 3).take(3).collect(),
            Self::Rest => {
                let rest = all.iter().filter(|(_, name)| !name.starts_with("drive-"));
                rest.map(|(id, _)| *id).collect()
            }
            Self::Everyone => all.iter().map(|(id, _)| *id).collect(),
        })
    }
}

/// How a deed ended for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Acknowledged,
    Refused(String),
}

struct Scene<'a> {
    stage: &'a Stage,
    runtime: Runtime,
    target: Target,
    deed: Deed,
    /// The upload and the ETag of its part.
    upload: Option<(String, String)>,
}

impl Scene<'_> {
    fn ask(&self, method: Method, path: &str, query: &str, body: impl Into<Bytes>) -> Result<(StatusCode, Bytes)> {
        let request = self.target.request(method, path, query, body.into(), Payload::Signed)?;
        self.runtime.block_on(async {
            let sent = async { self.target.connect().await?.send(request).await };
            tokio::time::timeout(PATIENCE, sent)
                .await
                .context("no answer in a minute")?
        })
    }

    fn answer(&self, method: Method, path: &str, query: &str, body: impl Into<Bytes>) -> Answer {
        match self.ask(method, path, query, body) {
            Ok((status, _)) if status.is_success() => Answer::Acknowledged,
            Ok((status, said)) => Answer::Refused(format!("{status} {}", String::from_utf8_lossy(&said))),
            Err(error) => Answer::Refused(format!("{error:#}")),
        }
    }

    fn must(&self, method: Method, path: &str, query: &str, body: impl Into<Bytes>) -> Result<Bytes> {
        let (status, said) = self.ask(method.clone(), path, query, body)?;
        let text = String::from_utf8_lossy(&said);
        ensure!(status.is_success(), "{method} {path}?{query} answered {status}: {text}");
        Ok(said)
    }

    /// Brings the store to where the deed begins.
    fn prepare(&mut self) -> Result<()> {
        match self.deed.before() {
            Some(body) => self.must(Method::PUT, "/struck/k", "", body.bytes())?,
            None => self.must(Method::DELETE, "/struck/k", "", "")?,
        };
        match self.deed {
            Deed::Complete | Deed::Abort => self.begin(),
            Deed::Heal => self.rot("extent"),
            Deed::Checkpoint => self.rot("checkpoint"),
            Deed::PutSmall | Deed::PutLarge | Deed::Overwrite | Deed::Delete => Ok(()),
        }
    }

    fn begin(&mut self) -> Result<()> {
        let begun = self.must(Method::POST, "/struck/k", "uploads=", "")?;
        let upload = between(&String::from_utf8_lossy(&begun), "UploadId")
            .context("an upload id")?
            .to_owned();
        let query = format!("partNumber=1&uploadId={upload}");
        self.must(Method::PUT, "/struck/k", &query, LARGE.bytes())?;
        let parts = self.must(Method::GET, "/struck/k", &format!("uploadId={upload}"), "")?;
        let parts = String::from_utf8_lossy(&parts).replace("&quot;", "\"");
        let etag = between(&parts, "ETag").context("the ETag of the part")?.to_owned();
        self.upload = Some((upload, etag));
        Ok(())
    }

    /// Flips a byte in every file of this kind on the second drive.
    fn rot(&self, folder: &str) -> Result<()> {
        let drive = self.stage.setup.drives.get(1).context("a second drive")?;
        let mut rotten = 0;
        for path in files_below(&drive.join(".drystone").join(folder))? {
            let file = fs::File::options().read(true).write(true).open(&path)?;
            let mut byte = [0];
            if file.read_exact_at(&mut byte, 4_116).is_ok() {
                let [byte] = byte;
                file.write_all_at(&[byte ^ 1], 4_116)?;
                rotten += 1;
            }
        }
        ensure!(rotten > 0, "nothing to rot in {folder}");
        Ok(())
    }

    fn perform(&self) -> Answer {
        let upload = || self.upload.clone().unwrap_or_default();
        match self.deed {
            Deed::PutSmall => self.answer(Method::PUT, "/struck/k", "", SMALL.bytes()),
            Deed::PutLarge | Deed::Overwrite => self.answer(Method::PUT, "/struck/k", "", LARGE.bytes()),
            Deed::Delete => self.answer(Method::DELETE, "/struck/k", "", ""),
            Deed::Complete => {
                let (upload, etag) = upload();
                let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
                let body = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
                self.answer(Method::POST, "/struck/k", &format!("uploadId={upload}"), body)
            }
            Deed::Abort => self.answer(Method::DELETE, "/struck/k", &format!("uploadId={}", upload().0), ""),
            Deed::Heal => self.heal(HEALS_WITHIN),
            Deed::Checkpoint => self.heal(MADE_WITHIN),
        }
    }

    /// Asks for all to be verified, and waits until the store says that it is whole and nothing more is damaged.
    fn heal(&self, limit: Duration) -> Answer {
        let checkpoints = |scene: &Self| -> BTreeSet<PathBuf> {
            let folder = scene
                .stage
                .setup
                .drives
                .first()
                .map(|drive| drive.join(".drystone/checkpoint"));
            folder
                .and_then(|folder| files_below(&folder).ok())
                .unwrap_or_default()
                .into_iter()
                .collect()
        };
        let (before, healed) = (checkpoints(self), self.healed());
        let asked = self.answer(Method::POST, "/v1/admin/scrub", "", "");
        let began = Instant::now();
        while asked == Answer::Acknowledged && began.elapsed() < limit {
            let done = match self.deed {
                Deed::Checkpoint => checkpoints(self).difference(&before).next().is_some(),
                _ => self.healed() > healed,
            };
            if done && self.heal_state().is_ok_and(|state| state == "whole") {
                return Answer::Acknowledged;
            }
            if self.healed().is_none() {
                return Answer::Refused("the server is gone".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Answer::Refused("not whole in time".to_owned())
    }

    fn told(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.must(
            Method::GET,
            "/v1/admin/heal",
            "",
            "",
        )?)?)
    }

    fn heal_state(&self) -> Result<String> {
        let told = self.told()?;
        Ok(told.get("state").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    fn healed(&self) -> Option<u64> {
        self.told().ok()?.get("shards_healed")?.as_u64()
    }

    fn read(&self, key: &str) -> Result<Option<Bytes>> {
        let path = format!("/struck/{key}");
        let (status, body) = self.ask(Method::GET, &path, "", "")?;
        match status {
            StatusCode::OK => Ok(Some(body)),
            StatusCode::NOT_FOUND => Ok(None),
            other => bail!("GET {path} answered {other}: {}", String::from_utf8_lossy(&body)),
        }
    }

    /// What stands under the key. The others must stand as ever, and the listing must agree.
    fn look(&self) -> Result<Option<Body>> {
        for (key, body) in STAYS {
            ensure!(self.read(key)? == Some(body.bytes()), "{key} is lost or changed");
        }
        let found = self.read("k")?;
        let known = [OLD, SMALL, LARGE]
            .into_iter()
            .find(|body| found.as_ref() == Some(&body.bytes()));
        ensure!(found.is_none() == known.is_none(), "what stands is nobody's body");
        let listed = self.runtime.block_on(self.target.list("struck"))?;
        let listed: Vec<(&str, &str)> = listed.iter().map(|one| (one.key.as_str(), one.size.as_str())).collect();
        let sizes = known.map(|Body(_, len)| len.to_string());
        let mut expected: Vec<(&str, &str)> = vec![("stays", "2000"), ("stays/large", "400000")];
        if let Some(size) = &sizes {
            expected.insert(0, ("k", size));
        }
        ensure!(listed == expected, "{listed:?} is listed, {expected:?} stands");
        Ok(known)
    }

    /// Whether the store is as it may be after the deed ended so, and the deed can be done again.
    fn judge(&mut self, answer: &Answer) -> Result<()> {
        let found = self.look()?;
        let acknowledged = *answer == Answer::Acknowledged;
        let allowed = found == self.deed.after() || (!acknowledged && found == self.deed.before());
        ensure!(allowed, "{answer:?}, and {found:?} stands");
        match self.deed {
            Deed::Heal | Deed::Checkpoint => self.until_whole()?,
            Deed::PutSmall | Deed::PutLarge | Deed::Overwrite | Deed::Delete | Deed::Complete | Deed::Abort => {
                self.send_again()?;
            }
        }
        ensure!(self.look()? == self.deed.after(), "sent again, and not there");
        Ok(())
    }

    fn until_whole(&self) -> Result<()> {
        self.must(Method::POST, "/v1/admin/scrub", "", "")?;
        let began = Instant::now();
        while self.heal_state()? != "whole" {
            ensure!(began.elapsed() < PATIENCE, "not whole after a minute: {}", self.told()?);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn send_again(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            match self.perform() {
                Answer::Acknowledged => return Ok(()),
                Answer::Refused(why) if self.deed == Deed::Abort && why.contains("NoSuchUpload") => return Ok(()),
                Answer::Refused(why) => ensure!(began.elapsed() < PATIENCE, "sent again: {why}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn files_below(folder: &std::path::Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_below(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// One point: these calls of this crew, struck so.
type Point = (Crew, usize, Blow);

/// Which points a deed has, from one that is recorded and not struck.
fn points(scene: &mut Scene<'_>, server: &Server) -> Result<Vec<Point>> {
    scene.prepare()?;
    let all: Vec<&str> = KINDS.iter().flat_map(|kind| kind.iter().copied()).collect();
    let log = scene.stage.files.join("recorded");
    let crews: Vec<(Crew, Vec<u32>)> = Crew::ALL
        .into_iter()
        .map(|crew| Ok((crew, crew.of(server.id())?)))
        .collect::<Result<_>>()?;
    let strike = Strike::begin(Whose::Process(server.id()), &all, &Blow::Nothing, &log)?;
    let answer = scene.perform();
    let recorded = strike.recorded()?;
    ensure!(answer == Answer::Acknowledged, "untouched, it is {answer:?}");
    let mut points = Vec::new();
    for (crew, members) in crews {
        for (number, kind) in KINDS.iter().enumerate() {
            let mut ordinals = BTreeSet::new();
            for calls in recorded
                .iter()
                .filter(|(thread, _)| members.contains(thread))
                .map(|(_, calls)| calls)
            {
                let of_kind = |call: &&String| call.split('(').next().is_some_and(|name| kind.contains(&name));
                // strace counts every call of a name; only those that change something are struck.
                let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
                for call in calls.iter().filter(of_kind) {
                    let name = call.split('(').next().unwrap_or_default();
                    let ordinal = seen.entry(name).or_default();
                    *ordinal += 1;
                    if name != "openat" || call.contains("O_CREAT") {
                        ordinals.insert(*ordinal);
                    }
                }
            }
            for n in ordinals {
                points.extend(blows(crew, number, n).into_iter().map(|blow| (crew, number, blow)));
            }
        }
    }
    Ok(points)
}

fn blows(crew: Crew, kind: usize, n: usize) -> Vec<Blow> {
    // The runtime wakes itself by `write`, which never fails in life; files it is used for are synced.
    if KINDS.get(kind).is_some_and(|kind| kind.contains(&"write")) {
        return vec![Blow::Kill(n)];
    }
    match crew {
        Crew::Everyone => vec![Blow::Kill(n), Blow::ForGood("EIO", n), Blow::ForGood("ENOSPC", n)],
        Crew::Log(_) | Crew::Bulk(_) | Crew::Rest => vec![
            Blow::Kill(n),
            Blow::Once("EIO", n),
            Blow::Once("ENOSPC", n),
            Blow::ForGood("EIO", n),
        ],
    }
}

/// Strikes one point; whether it was met. The server that is left is the one started afterwards.
fn strike(scene: &mut Scene<'_>, server: &mut Option<Server>, (crew, kind, blow): Point) -> Result<bool> {
    let mut struck = match server.take() {
        Some(server) => server,
        None => scene.stage.start()?,
    };
    scene.prepare()?;
    let log = scene.stage.files.join("struck");
    let kinds = KINDS.get(kind).copied().unwrap_or_default();
    let members = crew.of(struck.id())?;
    let whose = match crew {
        Crew::Everyone => Whose::Process(struck.id()),
        Crew::Log(_) | Crew::Bulk(_) | Crew::Rest => Whose::Threads(&members),
    };
    let strike = Strike::begin(whose, kinds, &blow, &log)?;
    let answer = scene.perform();
    let met = match blow {
        Blow::Kill(_) => {
            let met = answer != Answer::Acknowledged && struck.was_killed()?;
            strike.end()?;
            met
        }
        Blow::Nothing | Blow::Once(..) | Blow::ForGood(..) | Blow::Late(_) => strike.end()?,
    };
    if met && answer == Answer::Acknowledged {
        ensure!(
            scene.look()? == scene.deed.after(),
            "acknowledged, and not there at once"
        );
    }
    struck.kill()?;
    *server = Some(scene.stage.start().context("the start afterwards")?);
    scene.judge(&answer)?;
    Ok(met)
}

fn sweep(stage: &mut Stage, deeds: &[Deed]) -> Result<()> {
    let every = std::env::var("DRYSTONE_STRIKES_EVERY").ok();
    let every: usize = every.and_then(|text| text.parse().ok()).unwrap_or(12).max(1);
    let target = Target::suite(&stage.setup.endpoint())?;
    let mut scene = Scene {
        stage,
        runtime: runtime()?,
        target,
        deed: Deed::PutSmall,
        upload: None,
    };
    let server = stage.start()?;
    scene.must(Method::PUT, "/struck", "", "")?;
    for (key, body) in STAYS {
        scene.must(Method::PUT, &format!("/struck/{key}"), "", body.bytes())?;
    }
    server.stop()?;
    let mut wrong = Vec::new();
    for deed in deeds {
        scene.deed = *deed;
        let server = stage.start()?;
        let all = points(&mut scene, &server)?;
        let mut server = Some(server);
        let (mut met, mut tried) = (0, 0);
        let every = match deed {
            Deed::Checkpoint => every.saturating_mul(FEWER_CHECKPOINTS),
            _ => every,
        };
        for point in all.iter().step_by(every) {
            tried += 1;
            match strike(&mut scene, &mut server, *point) {
                Ok(fired) => met += usize::from(fired),
                Err(error) => wrong.push(format!("{deed:?} at {point:?}: {error:#}")),
            }
        }
        println!("{deed:?}: {} points, {tried} tried, {met} met and judged", all.len());
        ensure!(met * 2 >= tried, "{deed:?}: only {met} of {tried} points were met");
    }
    let log = fs::read_to_string(stage.setup.log())?;
    if let Some(what) = panic_in(&log) {
        bail!("the server {what}");
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
