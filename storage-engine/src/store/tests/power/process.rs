//! The process whose power goes: it opens the store, says how it finds every key, and then writes until it is no more.
//! It is this test binary again; what it says goes to its standard output, line by line.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use tokio::sync::mpsc;

use super::Dice;
use super::catalogue::LANES;
use super::ledger::{Ledger, Line, State};
use super::machine::files_below;
use crate::backend::{Backend, DriveState, ServiceState};
use crate::embedded::drive::{DriveOptions, Fault, FaultPlan, Operation};
use crate::embedded::heal::{Census, CensusDepth};
use crate::embedded::{ByHand, Embedded, OpenOptions};
use crate::planted::{self, Bug};
use crate::store::body::NewBody;
use crate::store::clock::{Clock, Timestamp};
use crate::store::condition::{ReadConditions, WriteCondition};
use crate::store::list::{ListObjects, Listed};
use crate::store::multipart::begin::BeginUpload;
use crate::store::multipart::complete::{CompleteUpload, NamedPart};
use crate::store::multipart::part::PartPlace;
use crate::store::name::{BucketName, ObjectKey, PartNumber};
use crate::store::object::delete::{DeleteObject, DeleteObjectError};
use crate::store::object::get::{GetObject, GetObjectError, Selection};
use crate::store::object::put::PutObject;
use crate::store::record::object::Metadata;
use crate::store::tests::agreement::planted_over;
use crate::store::tests::lives::{Lives, Who};
use crate::store::{Epoch, Store, key as row_key};

pub(super) const TEST: &str = "store::tests::power::child_is_the_process_whose_power_goes";
/// The drives' paths, divided by colons: that a process is such a child.
pub(super) const DRIVES: &str = "DRYSTONE_CUT_DRIVES";
pub(super) const LEDGER: &str = "DRYSTONE_CUT_LEDGER";
pub(super) const LOAD: &str = "DRYSTONE_CUT_LOAD";
pub(super) const SEED: &str = "DRYSTONE_CUT_SEED";

const WRITERS: u64 = 4;
const KEYS_PER_WRITER: u64 = 10;
const HEAL_LOOKS: u32 = 300;
const PART_MIN: usize = 5 << 20;

/// What it does once it has told how it finds everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Nothing.
    None,
    /// Several writers at once, for ever.
    Busy,
    /// One request after the other, each after a word.
    Calm,
    /// The same with files and appendable uploads.
    CalmLives,
    /// A clean stop.
    Close,
    /// Waits until a census that reads every frame is clean.
    Census,
    /// A batch that is written on every drive and synced on none.
    HungSync,
    /// A batch that is voided although it reads well on two drives.
    Voided,
    /// The index loses a row; then checkpoints are made.
    LostRow,
    /// Healing that is written and not synced.
    HungHeal,
    /// Healing, up to the moment when the first file is told to be healed.
    Healed,
    /// A file gets its bytes, and the next batch is written on every drive and synced on none.
    HungLife,
}

impl Load {
    const ALL: [Self; 12] = [
        Self::None,
        Self::Busy,
        Self::Calm,
        Self::CalmLives,
        Self::Close,
        Self::Census,
        Self::HungSync,
        Self::Voided,
        Self::LostRow,
        Self::HungHeal,
        Self::Healed,
        Self::HungLife,
    ];

    pub(super) fn name(self) -> String {
        format!("{self:?}")
    }
}

pub(super) fn say(line: &Line) {
    println!("{}", line.text());
}

pub(super) fn stage(name: &str) {
    say(&Line::Stage(name.to_owned()));
}

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_millis(since.map_or(0, |since| since.as_millis() as u64))
    }
}

pub(super) struct Process {
    drives: Vec<PathBuf>,
    pub(super) backend: Arc<Embedded>,
    pub(super) store: Store,
    bucket: BucketName,
    plan: Option<Arc<FaultPlan>>,
}

/// The child's life; returns at once in any other process.
pub(super) async fn live() {
    let Some(drives) = std::env::var_os(DRIVES) else { return };
    let drives: Vec<PathBuf> = std::env::split_paths(&drives).collect();
    let load = std::env::var(LOAD).unwrap();
    let load = Load::ALL.into_iter().find(|known| known.name() == load).unwrap();
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let owed = Ledger::parse(&std::fs::read_to_string(std::env::var_os(LEDGER).unwrap()).unwrap());
    let (words, heard) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for _word in std::io::stdin().lock().lines() {
            if words.send(()).is_err() {
                return;
            }
        }
    });
    let process = match Process::open(drives, load, seed).await {
        Ok(process) => process,
        Err(error) => return say(&Line::Bad(format!("the store does not open: {error}"))),
    };
    if owed.is_empty() {
        let made = process.store.create_bucket(&process.bucket, "").await;
        drop(made);
        process.make_catalogue().await;
    }
    let lives = process.tell(&owed).await;
    stage("checked");
    process.work(load, (seed, lives), heard).await;
}

impl Process {
    async fn open(drives: Vec<PathBuf>, load: Load, seed: u64) -> Result<Self, String> {
        let plan = plan(load);
        let options = OpenOptions {
            drives: drives.clone(),
            drive: DriveOptions {
                faults: plan.clone(),
                ..DriveOptions::default()
            },
            ..OpenOptions::default()
        };
        let backend = Embedded::open(options).await.map_err(|e| e.to_string())?;
        let mut epoch = [0; 16];
        epoch[..8].copy_from_slice(&seed.to_le_bytes());
        let store = Store::new(planted_over(backend.clone()), Arc::new(WallClock), Epoch(epoch));
        if backend.health().state == ServiceState::ReadWrite {
            store.sweep_ended_uploads().await.map_err(|e| format!("{e:?}"))?;
        }
        Ok(Self {
            drives,
            backend,
            store,
            bucket: BucketName::parse("bucket").unwrap(),
            plan,
        })
    }

    /// How it finds every key, file and upload that anything was ever asked for, and whether listings and HEAD say the same.
    async fn tell(&self, owed: &[(String, Vec<State>)]) -> Lives {
        let (mut standing, mut lives) = (BTreeMap::new(), Lives::default());
        for (key, allowed) in owed {
            if let Some(who) = Who::parse(key) {
                match self.find(who, allowed).await {
                    Ok(state) => {
                        say(&Line::Is(key.clone(), state));
                        lives.note(who, state.is());
                    }
                    Err(why) => {
                        let allowed: Vec<String> = allowed.iter().map(State::to_string).collect();
                        say(&Line::Bad(format!("{key} may be {}: {why}", allowed.join(" or "))));
                    }
                }
                continue;
            }
            match self.read(key).await {
                Ok(found) => match allowed.iter().find(|state| found.is(**state)) {
                    Some(state) => {
                        say(&Line::Is(key.clone(), *state));
                        if *state != State::Absent {
                            standing.insert(key.clone(), (state.etag(), state.bytes().len() as u64));
                        }
                    }
                    None => {
                        let allowed: Vec<String> = allowed.iter().map(State::to_string).collect();
                        say(&Line::Bad(format!(
                            "{key} may be {} and is {found:?}",
                            allowed.join(" or ")
                        )));
                    }
                },
                Err(error) => say(&Line::Bad(format!("{key}: {error}"))),
            }
        }
        match self.list().await {
            Ok(listed) if listed == standing => {}
            Ok(listed) => {
                let only = |of: &BTreeMap<_, _>, other: &BTreeMap<_, _>| -> Vec<String> {
                    let missing = of.keys().filter(|key| !other.contains_key(*key));
                    missing.cloned().collect()
                };
                say(&Line::Bad(format!(
                    "the listing differs: lacks {:?}, has besides {:?}",
                    only(&standing, &listed),
                    only(&listed, &standing)
                )));
            }
            Err(error) => say(&Line::Bad(format!("no listing: {error}"))),
        }
        if let Err(why) = self.tell_of_catalogue(&lives.0).await {
            say(&Line::Bad(format!("the catalogue: {why}")));
        }
        lives
    }

    async fn read(&self, key: &str) -> Result<Found, String> {
        let get = GetObject {
            bucket: self.bucket.clone(),
            key: ObjectKey::parse(key).unwrap(),
            version: None,
            selection: Selection::Whole,
            conditions: ReadConditions::default(),
        };
        let head = self.store.head_object(&get).await;
        let read = match self.store.get_object(&get).await {
            Ok(read) => read,
            Err(GetObjectError::NoSuchKey) if matches!(head, Err(GetObjectError::NoSuchKey)) => {
                return Ok(Found::default());
            }
            Err(error) => return Err(format!("GET: {error}")),
        };
        let object = read.head.object;
        if head.map_err(|e| format!("HEAD: {e}"))?.object != object {
            return Err("HEAD and GET differ".to_owned());
        }
        let chunks: Vec<bytes::Bytes> = read.body.try_collect().await.map_err(|e| format!("body: {e}"))?;
        Ok(Found {
            bytes: Some(chunks.concat()),
            etag: object.etag.to_string().trim_matches('"').to_owned(),
            content_type: object.metadata.content_type.unwrap_or_default(),
        })
    }

    async fn list(&self) -> Result<BTreeMap<String, (String, u64)>, String> {
        let (mut all, mut after) = (BTreeMap::new(), None);
        loop {
            let list = ListObjects {
                bucket: self.bucket.clone(),
                prefix: String::new(),
                delimiter: String::new(),
                after: after.take(),
                limit: 7,
            };
            let page = self.store.list_objects(&list).await.map_err(|e| e.to_string())?;
            for item in page.items {
                let Listed::Item(item) = item else { continue };
                let etag = item.object.etag.to_string().trim_matches('"').to_owned();
                let key = item.key.as_str().to_owned();
                if all.insert(key.clone(), (etag, item.object.size)).is_some() {
                    return Err(format!("{key} is listed twice"));
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn work(&self, load: Load, (seed, mut lives): (u64, Lives), mut heard: mpsc::UnboundedReceiver<()>) {
        // Without a word nothing is begun: who reads may want to bring drives back first.
        if heard.recv().await.is_none() {
            return;
        }
        match load {
            Load::None => std::future::pending().await,
            Load::Close => self.backend.close().await,
            Load::Busy => {
                self.until_complete().await;
                let writer = |writer| self.write(writer, seed);
                let of_files = (0..LANES).map(|lane| self.write_files(lane, seed, lives.clone()));
                let files = futures::future::join_all(of_files);
                let uploads = self.write_uploads(seed, lives.clone());
                futures::future::join3(futures::future::join_all((0..WRITERS).map(writer)), files, uploads).await;
            }
            Load::Calm => {
                self.until_complete().await;
                for step in 0.. {
                    let (key, state) = calm_step(seed + step, step);
                    if let Err(error) = self.ask(&key, state).await {
                        say(&Line::Bad(format!("{key} is refused with nothing amiss: {error}")));
                    }
                    if heard.recv().await.is_none() {
                        return;
                    }
                }
            }
            Load::CalmLives => {
                self.until_complete().await;
                let mut dice = Dice(seed);
                for step in 0.. {
                    self.live_calmly(&mut lives, seed + step, step, &mut dice).await;
                    if heard.recv().await.is_none() {
                        return;
                    }
                }
            }
            Load::HungLife => self.hang_a_life(seed).await,
            Load::Census => self.until_whole().await,
            Load::HungSync => self.hang_a_sync(seed).await,
            Load::Voided => self.void_a_batch(seed).await,
            Load::LostRow => self.lose_a_row(seed).await,
            Load::HungHeal => self.hang_healing(seed).await,
            Load::Healed => self.until_healed().await,
        }
    }

    /// Writes only begin with every drive back in.
    async fn until_complete(&self) {
        for _ in 0..600 {
            let health = self.backend.health();
            let complete = health.drives.iter().all(|drive| drive.state == DriveState::In);
            if complete && health.state == ServiceState::ReadWrite {
                return stage("complete");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        say(&Line::Bad(format!(
            "not complete after a minute: {:?}",
            self.backend.health()
        )));
    }

    async fn write(&self, writer: u64, seed: u64) {
        for step in 0.. {
            let seed = seed + step * WRITERS + writer;
            let key = format!("w{writer}/{}", step * 7 % KEYS_PER_WRITER);
            let state = match step % 9 {
                0 | 3 | 6 => put(seed, [0, 100, 4096, 30_000][(seed % 4) as usize]),
                1 | 4 => put(seed, 150_000 + (seed % 7) as usize * 50_000),
                2 | 7 => State::Absent,
                5 if step % 36 == 5 => parts(seed, PART_MIN, 70_000),
                5 => parts(seed, 200_000, 0),
                _ => put(seed, 20_000),
            };
            if self.ask(&key, state).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    async fn ask(&self, key: &str, state: State) -> Result<(), String> {
        let object_key = ObjectKey::parse(key).unwrap();
        let done = match state {
            State::Absent => {
                say(&Line::Try(key.to_owned(), state));
                let delete = DeleteObject {
                    bucket: self.bucket.clone(),
                    key: object_key,
                    version: None,
                    condition: WriteCondition::default(),
                };
                match self.store.delete_object(&delete).await {
                    Ok(()) => Ok(()),
                    Err(error @ DeleteObjectError::NoSuchBucket) => Err(error.to_string()),
                    Err(error) => Err(error.to_string()),
                }
            }
            State::Put { .. } => {
                say(&Line::Try(key.to_owned(), state));
                let put = PutObject {
                    labels: Default::default(),
                    bucket: self.bucket.clone(),
                    key: object_key,
                    metadata: metadata(state),
                    body: NewBody::from_bytes(state.bytes()),
                    condition: WriteCondition::default(),
                };
                self.store.put_object(put).await.map(drop).map_err(|e| e.to_string())
            }
            State::Parts { first, .. } => self.upload(key, object_key, state, first).await,
            State::Life(_) => Err("a life is no key's".to_owned()),
        };
        if done.is_ok() {
            say(&Line::Ack(key.to_owned(), state));
        }
        done
    }

    async fn upload(&self, name: &str, key: ObjectKey, state: State, first: usize) -> Result<(), String> {
        let begin = BeginUpload {
            labels: Default::default(),
            initiator: None,
            bucket: self.bucket.clone(),
            key: key.clone(),
            metadata: metadata(state),
            checksum: None,
        };
        let upload = self.store.begin_upload(begin).await.map_err(|e| e.to_string())?;
        let bytes = state.bytes();
        let mut named = Vec::new();
        for (number, part) in (1..).zip(state.parts(&bytes, first)) {
            let place = PartPlace {
                bucket: self.bucket.clone(),
                key: key.clone(),
                upload,
                number: PartNumber::new(number).unwrap(),
            };
            let stored = self.store.upload_part(&place, NewBody::from_bytes(part.to_vec())).await;
            named.push(NamedPart {
                number: place.number,
                etag: stored.map_err(|e| e.to_string())?.etag.to_string(),
                checksum: None,
            });
        }
        say(&Line::Try(name.to_owned(), state));
        let complete = CompleteUpload {
            bucket: self.bucket.clone(),
            key,
            upload,
            parts: named,
            condition: WriteCondition::default(),
            checksum: None,
            checksum_type: None,
            size: None,
        };
        let done = self.store.complete_upload(complete).await;
        done.map(drop).map_err(|e| e.to_string())
    }

    async fn until_whole(&self) {
        self.backend.scrub_now();
        let mut census = Err("no census".to_owned());
        for _ in 0..HEAL_LOOKS {
            census = self.backend.census(CensusDepth::Frames).await;
            if census.as_ref().is_ok_and(Census::is_clean) {
                let mut files = Vec::new();
                self.drives.iter().for_each(|drive| files_below(drive, &mut files));
                let left = files.iter().map(|(path, _)| path).filter(|path| is_temporary(path));
                let left: Vec<String> = left.map(|path| path.display().to_string()).collect();
                if !left.is_empty() {
                    say(&Line::Bad(format!("left over: {left:?}")));
                }
                return stage("whole");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        say(&Line::Bad(format!(
            "not whole after a minute: {census:?}, {:?}",
            self.backend.heal_status()
        )));
    }

    pub(super) fn plan(&self) -> &FaultPlan {
        self.plan.as_ref().expect("this load has a fault plan")
    }

    /// Every drive has the batch in its page cache when the process is killed.
    async fn hang_a_sync(&self, seed: u64) {
        let _ = self.ask("tail/before", put(seed, 3000)).await;
        self.plan().arm_always(Operation::SyncFile, "/log/", Fault::Hang);
        let asked = self.ask("tail/k", put(seed + 1, 5000));
        let hung = async {
            while self.plan().hanging() < self.drives.len() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            stage("hung");
        };
        let _ = futures::future::join(asked, hung).await;
    }

    /// Two of four drives are full for a moment: the batch is refused, what was there is read, and the store goes on.
    async fn void_a_batch(&self, seed: u64) {
        let _ = self.ask("void/k", put(seed, 3000)).await;
        let full = [0, 1].map(|n| {
            let log = format!("{}/.drystone/log", self.drives[n].display());
            self.plan().arm_always(Operation::SyncFile, &log, Fault::Fail(28))
        });
        if self.ask("void/k", put(seed + 1, 4000)).await.is_ok() {
            return say(&Line::Bad("a batch was taken with two of four drives full".to_owned()));
        }
        if full.iter().any(|rule| self.plan().fired(*rule) == 0) {
            return say(&Line::Bad("no drive was full".to_owned()));
        }
        self.plan().disarm();
        match self.read("void/k").await {
            Ok(found) if found.is(put(seed, 3000)) => say(&Line::Is("void/k".to_owned(), put(seed, 3000))),
            other => return say(&Line::Bad(format!("after a refusal: {other:?}"))),
        }
        if let Err(error) = self.ask("void/other", put(seed + 2, 3000)).await {
            return say(&Line::Bad(format!("no write after there was room again: {error}")));
        }
        stage("voided");
    }

    async fn lose_a_row(&self, seed: u64) {
        let _ = self.ask("row/k", put(seed, 3000)).await;
        let _ = self.ask("row/large", put(seed + 1, 400_000)).await;
        for name in ["row/k", "row/large"] {
            let key = row_key::current(&self.bucket, &ObjectKey::parse(name).unwrap());
            ByHand::lose_from_index(&self.backend, &key).unwrap();
        }
        match ByHand::of(&self.backend) {
            Ok(mut housekeeping) => {
                // The last two are kept: with one of them right a start would still find it.
                for _ in 0..2 {
                    // With a wrong checkpoint the store notices that the counters differ; what is lost shows after the cut.
                    let made = housekeeping.checkpoint(&self.backend).await;
                    if let Err(error) = made.or_else(|error| planted::selected().map(drop).ok_or(error)) {
                        return say(&Line::Bad(format!("no checkpoint: {error}")));
                    }
                }
            }
            Err(error) => return say(&Line::Bad(format!("no housekeeping: {error}"))),
        }
        stage("checkpointed");
    }

    async fn until_healed(&self) {
        // No other sync may carry the new name to the drive before the cut.
        let late = Fault::Delay(Duration::from_secs(1));
        self.plan().arm_always(Operation::Write, "/scrub", late);
        self.backend.scrub_now();
        for _ in 0..60_000 {
            if self.backend.heal_status().shards_healed > 0 {
                return stage("healed");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        say(&Line::Bad(format!(
            "nothing is healed: {:?}",
            self.backend.heal_status()
        )));
    }

    /// What healing wrote stands in the page cache; what it did to names and lengths is in the journal.
    async fn hang_healing(&self, seed: u64) {
        self.plan().arm_always(Operation::SyncFile, "/extent/", Fault::Hang);
        self.backend.scrub_now();
        for _ in 0..1000 {
            if self.plan().hanging() > 0 {
                let _ = self.ask("heal/other", put(seed, 3000)).await;
                return stage("hung");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        say(&Line::Bad(format!(
            "nothing is healed: {:?}",
            self.backend.heal_status()
        )));
    }
}

fn put(seed: u64, len: usize) -> State {
    State::Put { seed, len }
}

fn parts(seed: u64, first: usize, last: usize) -> State {
    State::Parts { seed, first, last }
}

/// Every kind of request in turn, on few keys.
fn calm_step(seed: u64, step: u64) -> (String, State) {
    let key = format!("calm/{}", step * 5 % 6);
    let state = match step % 6 {
        0 => put(seed, 2500),
        1 => put(seed, 400_000),
        2 => parts(seed, 300_000, 0),
        3 => put(seed, 17),
        4 => State::Absent,
        _ => put(seed, 250_000),
    };
    (key, state)
}

fn metadata(state: State) -> Metadata {
    Metadata {
        content_type: Some(state.content_type()),
        ..Metadata::default()
    }
}

fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    // What a drive notes of its scrub is made in one place, which the next note takes over.
    name.is_some_and(|name| name != "scrub.new" && (name.ends_with(".new") || name.ends_with(".tmp")))
}

/// Faults that a planted bug or a load is made of. The others run without: the way of a production build.
fn plan(load: Load) -> Option<Arc<FaultPlan>> {
    let plan = Arc::new(FaultPlan::default());
    let pretended = match planted::selected() {
        Some(Bug::SkippedSync) => Some(Operation::SyncFile),
        Some(Bug::NoDirectorySync) => Some(Operation::SyncDirectory),
        _ => None,
    };
    if let Some(operation) = pretended {
        plan.arm_always(operation, "", Fault::Pretend);
    }
    let needed = matches!(
        load,
        Load::HungSync | Load::Voided | Load::HungHeal | Load::Healed | Load::HungLife
    );
    (needed || pretended.is_some()).then_some(plan)
}

/// What a key was found to be.
#[derive(Default)]
struct Found {
    bytes: Option<Vec<u8>>,
    etag: String,
    content_type: String,
}

impl Found {
    fn is(&self, state: State) -> bool {
        match (&self.bytes, state) {
            (None, State::Absent) => true,
            (None, _) | (Some(_), State::Absent) => false,
            (Some(bytes), _) => {
                *bytes == state.bytes() && self.etag == state.etag() && self.content_type == state.content_type()
            }
        }
    }
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.bytes {
            None => f.write_str("absent"),
            Some(bytes) => write!(
                f,
                "{} bytes of {} with ETag {}",
                bytes.len(),
                self.content_type,
                self.etag
            ),
        }
    }
}
