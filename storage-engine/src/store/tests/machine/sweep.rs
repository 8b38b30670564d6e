//! Every durable operation on a drive once failed, once failed for good, and once the last before the power goes, for
//! each thing a store does. Each point is proven to have been met; the count goes up until a run passes untouched.
//!
//! `DRYSTONE_SWEEP_EVERY` is the distance between points (default 6, 1 for all).

use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt;

use super::environment;
use super::ground::{DRIVES, Ground, PARITY};
use super::reference::Body;
use crate::embedded::drive::{Fault, FaultPlan, FaultRule, Operation};
use crate::embedded::heal::HealOptions;
use crate::planted::{self, Bug};
use crate::store::body::NewBody;
use crate::store::condition::{ReadConditions, WriteCondition};
use crate::store::list::ListObjects;
use crate::store::multipart::begin::BeginUpload;
use crate::store::multipart::complete::{CompleteUpload, NamedPart};
use crate::store::multipart::list::ListParts;
use crate::store::multipart::part::PartPlace;
use crate::store::name::{ObjectKey, PartNumber, UploadId};
use crate::store::object::delete::DeleteObject;
use crate::store::object::get::{GetObject, GetObjectError, Selection};
use crate::store::object::put::PutObject;
use crate::store::record::object::Metadata;

const OLD: Body = Body { seed: 1, len: 300_000 };
const SMALL: Body = Body { seed: 2, len: 3000 };
const LARGE: Body = Body { seed: 3, len: 300_000 };
/// The drive that loses a file, or is left out; the one that [`Blow::ForGood`] meets, too.
const HARMED: usize = 1;
/// Tenths of a second.
const TAKEN_IN_LOOKS: u32 = 30;
const WIDEN_TRIES: u32 = 20;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const DURABLE: [Operation; 6] = [
    Operation::Create,
    Operation::Write,
    Operation::SyncFile,
    Operation::SyncDirectory,
    Operation::Rename,
    Operation::Remove,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    PutSmall,
    PutLarge,
    Overwrite,
    Delete,
    Complete,
    Abort,
    Checkpoint,
    /// One shard file of these is missing.
    HealLog,
    HealExtent,
    HealPack,
    /// A drive that was left out works again.
    Readmit,
    /// The same, and what was written without it is written anew.
    Widen,
}

impl Deed {
    fn heals(self) -> bool {
        matches!(self, Self::HealLog | Self::HealExtent | Self::HealPack)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// The operation fails once with this error.
    Once(i32),
    /// The operation fails, and all of its kind on the second drive from then on.
    ForGood,
    /// Nothing reaches any drive from this operation on, and then the power goes.
    Death,
}

/// What stands under the key: its bytes, and whether the upload is open.
type State = (Option<Vec<u8>>, bool);

struct Scene {
    ground: Ground,
    deed: Deed,
    upload: Option<UploadId>,
    etag: String,
    /// The shard file that was taken away.
    lost: Option<PathBuf>,
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).unwrap()
}

impl Scene {
    async fn new(deed: Deed) -> Self {
        let heal = HealOptions {
            drives_after: Duration::from_millis(50),
            ..HealOptions::default()
        };
        let ground = Ground::with(FaultPlan::with_power_cuts(), heal).await.unwrap();
        let mut scene = Self {
            ground,
            deed,
            upload: None,
            etag: String::new(),
            lost: None,
        };
        scene.put("stays", SMALL).await.unwrap();
        scene.put("stays/large", OLD).await.unwrap();
        match deed {
            Deed::PutSmall | Deed::PutLarge => {}
            Deed::Overwrite | Deed::Delete => scene.put("k", OLD).await.unwrap(),
            Deed::Checkpoint => {
                scene.put("k", LARGE).await.unwrap();
                scene.put("k", OLD).await.unwrap();
            }
            Deed::Complete | Deed::Abort => scene.begin().await,
            Deed::HealLog | Deed::HealExtent | Deed::HealPack => scene.lose_a_shard().await.unwrap(),
            Deed::Readmit | Deed::Widen => {
                scene.ground.fail_drive(HARMED);
                scene.put("k", OLD).await.unwrap();
                scene.put("stays", SMALL).await.unwrap();
                scene.ground.drive_works();
            }
        }
        scene
    }

    /// Takes one shard file of the deed's kind from a drive.
    async fn lose_a_shard(&mut self) -> Result<(), String> {
        // What is overwritten gives compaction something to win.
        self.put("k", SMALL).await?;
        self.put("k", OLD).await?;
        // A start seals the segment; only then is it looked after.
        self.ground.clean_restart().await?;
        let (kind, before) = match self.deed {
            Deed::HealLog => ("log", Vec::new()),
            _ => ("extent", self.ground.shards(HARMED, "extent")),
        };
        if self.deed == Deed::HealPack {
            self.ground.checkpoint().await?;
            self.ground.compact().await?;
        }
        let len = |path: &PathBuf| std::fs::metadata(path).map_or(0, |found| found.len());
        let files = self.ground.shards(HARMED, kind).into_iter();
        // A pack was not there before; the longest file of the log is the one with bodies.
        let lost = files
            .filter(|path| self.deed != Deed::HealPack || !before.contains(path))
            .max_by_key(len);
        let lost = lost.ok_or("there is no such file")?;
        self.ground.lose(std::slice::from_ref(&lost)).await?;
        self.lost = Some(lost);
        Ok(())
    }

    /// Takes away the others' shard files of that segment but one: what can be read is read from the one made anew.
    async fn lose_the_others(&mut self) -> Result<(), String> {
        let lost = self.lost.as_ref().ok_or("nothing was taken away")?;
        let segment = lost.file_stem().ok_or("it has no name")?.to_owned();
        let mut others: Vec<PathBuf> = Vec::new();
        for drive in (0..DRIVES).filter(|drive| *drive != HARMED) {
            let files = ["log", "extent"]
                .into_iter()
                .flat_map(|kind| self.ground.shards(drive, kind));
            others.extend(files.filter(|file| file.file_stem() == Some(&segment)));
        }
        others.truncate(PARITY);
        self.ground.lose(&others).await
    }

    async fn begin(&mut self) {
        let (bucket, object_key) = (self.ground.bucket.clone(), key("k"));
        let begin = BeginUpload {
            labels: Default::default(),
            initiator: None,
            bucket: bucket.clone(),
            key: object_key.clone(),
            metadata: Metadata::default(),
            checksum: None,
        };
        let upload = self.ground.store().begin_upload(begin).await.unwrap();
        let place = PartPlace {
            bucket,
            key: object_key,
            upload,
            number: PartNumber::new(1).unwrap(),
        };
        let body = NewBody::from_bytes(LARGE.bytes());
        self.etag = self
            .ground
            .store()
            .upload_part(&place, body)
            .await
            .unwrap()
            .etag
            .to_string();
        self.upload = Some(upload);
    }

    async fn put(&self, name: &str, body: Body) -> Result<(), String> {
        let put = PutObject {
            labels: Default::default(),
            bucket: self.ground.bucket.clone(),
            key: key(name),
            metadata: Metadata::default(),
            body: NewBody::from_bytes(body.bytes()),
            condition: WriteCondition::default(),
        };
        let stored = self.ground.store().put_object(put).await;
        stored.map(drop).map_err(|error| error.to_string())
    }

    async fn perform(&mut self) -> Result<(), String> {
        match self.deed {
            Deed::PutSmall => self.put("k", SMALL).await,
            Deed::PutLarge | Deed::Overwrite => self.put("k", LARGE).await,
            Deed::Delete => {
                let delete = DeleteObject {
                    bucket: self.ground.bucket.clone(),
                    key: key("k"),
                    version: None,
                    condition: WriteCondition::default(),
                };
                let done = self.ground.store().delete_object(&delete).await;
                done.map_err(|error| error.to_string())
            }
            Deed::Complete => {
                let part = NamedPart {
                    number: PartNumber::new(1).unwrap(),
                    etag: self.etag.clone(),
                    checksum: None,
                };
                let complete = CompleteUpload {
                    bucket: self.ground.bucket.clone(),
                    key: key("k"),
                    upload: self.upload.unwrap(),
                    parts: vec![part],
                    condition: WriteCondition::default(),
                    checksum: None,
                    checksum_type: None,
                    size: None,
                };
                let done = self.ground.store().complete_upload(complete).await;
                done.map(drop).map_err(|error| error.to_string())
            }
            Deed::Abort => {
                let (bucket, upload) = (&self.ground.bucket, self.upload.unwrap());
                let done = self.ground.store().abort_upload(bucket, &key("k"), &upload).await;
                done.map_err(|error| error.to_string())
            }
            Deed::Checkpoint => self.ground.checkpoint().await,
            Deed::HealLog | Deed::HealExtent | Deed::HealPack => self.ground.heal_once().await,
            Deed::Readmit => self.ground.taken_in(TAKEN_IN_LOOKS).await,
            Deed::Widen => {
                self.ground.taken_in(TAKEN_IN_LOOKS).await?;
                self.ground.all_wide(WIDEN_TRIES).await
            }
        }
    }

    fn before(&self) -> State {
        match self.deed {
            Deed::PutSmall | Deed::PutLarge => (None, false),
            Deed::Overwrite | Deed::Delete => (Some(OLD.bytes()), false),
            Deed::Checkpoint | Deed::HealLog | Deed::HealExtent | Deed::HealPack | Deed::Readmit | Deed::Widen => {
                self.after()
            }
            Deed::Complete | Deed::Abort => (None, true),
        }
    }

    fn after(&self) -> State {
        match self.deed {
            Deed::PutSmall => (Some(SMALL.bytes()), false),
            Deed::PutLarge | Deed::Overwrite | Deed::Complete => (Some(LARGE.bytes()), false),
            Deed::Delete | Deed::Abort => (None, false),
            Deed::Checkpoint | Deed::HealLog | Deed::HealExtent | Deed::HealPack | Deed::Readmit | Deed::Widen => {
                (Some(OLD.bytes()), false)
            }
        }
    }

    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        use futures::TryStreamExt;
        let get = GetObject {
            bucket: self.ground.bucket.clone(),
            key: key(name),
            version: None,
            selection: Selection::Whole,
            conditions: ReadConditions::default(),
        };
        match self.ground.store().get_object(&get).await {
            Ok(read) => {
                let chunks: Result<Vec<bytes::Bytes>, _> = read.body.try_collect().await;
                Ok(Some(chunks.map_err(|error| error.to_string())?.concat()))
            }
            Err(GetObjectError::NoSuchKey) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What stands now; what was there all along must be there, and the listing must agree.
    async fn look(&self) -> Result<State, String> {
        let found = self.read("k").await?;
        for (name, body) in [("stays", SMALL), ("stays/large", OLD)] {
            if self.read(name).await? != Some(body.bytes()) {
                return Err(format!("{name} is lost or changed"));
            }
        }
        let list = ListObjects {
            bucket: self.ground.bucket.clone(),
            prefix: String::new(),
            delimiter: String::new(),
            after: None,
            limit: 100,
        };
        let listed = self
            .ground
            .store()
            .list_objects(&list)
            .await
            .map_err(|error| error.to_string())?;
        if listed.items.len() != 2 + usize::from(found.is_some()) {
            return Err(format!("{} keys are listed", listed.items.len()));
        }
        let open = match self.upload {
            None => false,
            Some(upload) => {
                let list = ListParts {
                    bucket: self.ground.bucket.clone(),
                    key: key("k"),
                    upload,
                    after: 0,
                    limit: 100,
                };
                let parts = self.ground.store().list_parts(&list).await;
                parts.is_ok_and(|page| page.parts.len() == 1)
            }
        };
        Ok((found, open))
    }
}

/// One point; `None`: the deed was done before this operation would have come.
async fn strike(deed: Deed, blow: Blow, operation: Operation, after: u64) -> Option<Result<(), String>> {
    let mut scene = Scene::new(deed).await;
    let (fault, times, path_part) = match blow {
        Blow::Once(errno) => (Fault::Fail(errno), 1, "/.drystone/"),
        Blow::ForGood => (Fault::Fail(EIO), u64::MAX, "/data1/.drystone/"),
        Blow::Death => (Fault::Fail(EIO), u64::MAX, "/.drystone/"),
    };
    let rule = scene.ground.meet(FaultRule {
        operation,
        path_part: path_part.to_owned(),
        after,
        times,
        fault,
    });
    let done = scene.perform().await;
    if scene.ground.fired(rule) == 0 {
        return None;
    }
    Some(judge(&mut scene, blow, done.is_ok()).await)
}

async fn judge(scene: &mut Scene, blow: Blow, acknowledged: bool) -> Result<(), String> {
    if acknowledged && blow != Blow::Death && scene.look().await? != scene.after() {
        return Err("acknowledged, and not there".to_owned());
    }
    scene.ground.dirty_reboot().await?;
    if acknowledged && scene.deed.heals() && !scene.ground.is_whole().await? {
        return Err("what was healed is not whole after the cut".to_owned());
    }
    let found = scene.look().await?;
    let allowed = found == scene.after() || (!acknowledged && found == scene.before());
    if !allowed {
        return Err(format!(
            "acknowledged: {acknowledged}, and neither what was nor what should be"
        ));
    }
    scene.ground.clean_restart().await?;
    if scene.look().await? != found {
        return Err("another start, another state".to_owned());
    }
    let again = scene.perform().await;
    // An upload that is aborted cannot be aborted once more.
    if !(again.is_ok() || scene.deed == Deed::Abort && found == scene.after()) {
        return Err(format!("sent again: {again:?}"));
    }
    match scene.look().await? == scene.after() {
        true => Ok(()),
        false => Err("sent again, and not there".to_owned()),
    }
}

/// All points of one operation, and what was wrong at which.
async fn sweep_operation(deed: Deed, blow: Blow, operation: Operation, every: u64) -> (usize, Vec<String>) {
    let (mut points, mut wrong) = (0, Vec::new());
    let mut after = 0;
    while let Some(outcome) = strike(deed, blow, operation, after).await {
        points += 1;
        if let Err(why) = outcome {
            wrong.push(format!("{deed:?}, {blow:?} at {operation:?} {after}: {why}"));
        }
        after += every;
    }
    (points, wrong)
}

async fn sweep(deed: Deed) -> usize {
    let every = environment("DRYSTONE_SWEEP_EVERY").unwrap_or(6).max(1);
    // Healing has few operations.
    let every = u64::from(if deed.heals() { every.min(2) } else { every });
    let blows = [Blow::Once(EIO), Blow::Once(ENOSPC), Blow::ForGood, Blow::Death];
    let all = blows
        .into_iter()
        .flat_map(|blow| DURABLE.map(|operation| (blow, operation)));
    // What takes in a drive waits much.
    let at_once = match deed {
        Deed::Readmit | Deed::Widen => 24,
        _ => 1,
    };
    let swept = futures::stream::iter(all)
        .map(|(blow, operation)| sweep_operation(deed, blow, operation, every))
        .buffer_unordered(at_once);
    let swept: Vec<(usize, Vec<String>)> = swept.collect().await;
    let points = swept.iter().map(|(points, _)| points).sum();
    let wrong: Vec<String> = swept.into_iter().flat_map(|(_, wrong)| wrong).collect();
    println!("{deed:?}: {points} points, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    points
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn puts_that_lose_a_drive_or_the_power_at_any_operation_are_whole_or_not_there() {
    for deed in [Deed::PutSmall, Deed::PutLarge, Deed::Overwrite] {
        assert!(sweep(deed).await >= 8, "{deed:?}: too few points");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_delete_that_loses_a_drive_or_the_power_at_any_operation_is_done_or_not() {
    assert!(sweep(Deed::Delete).await >= 8, "too few points");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn uploads_that_lose_a_drive_or_the_power_at_any_operation_end_or_stay_open() {
    for deed in [Deed::Complete, Deed::Abort] {
        assert!(sweep(deed).await >= 8, "{deed:?}: too few points");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_checkpoint_that_loses_a_drive_or_the_power_at_any_operation_changes_nothing() {
    assert!(sweep(Deed::Checkpoint).await >= 8, "too few points");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn healing_that_loses_a_drive_or_the_power_at_any_operation_costs_nothing_and_is_done_later() {
    for deed in [Deed::HealLog, Deed::HealExtent, Deed::HealPack] {
        assert!(sweep(deed).await >= 12, "{deed:?}: too few points");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn taking_a_drive_in_that_fails_again_or_loses_the_power_at_any_operation_changes_nothing() {
    assert!(sweep(Deed::Readmit).await >= 8, "too few points");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn widening_that_loses_a_drive_or_the_power_at_any_operation_costs_nothing_and_is_done_later() {
    assert!(sweep(Deed::Widen).await >= 8, "too few points");
}

/// Heals while a write of the new file only pretends, cuts the power, and reads from what was made.
async fn healing_is_true(deed: Deed) -> Result<(), String> {
    let mut scene = Scene::new(deed).await;
    let lie = scene.ground.meet(FaultRule {
        operation: Operation::Write,
        path_part: ".new".to_owned(),
        after: 1,
        times: 1,
        fault: Fault::Pretend,
    });
    let mut healed = Err("it was not tried".to_owned());
    for _ in 0..5 {
        healed = scene.perform().await;
        if healed.is_ok() {
            break;
        }
    }
    healed?;
    assert_eq!(scene.ground.fired(lie), 1, "{deed:?}: no write pretended");
    scene.ground.dirty_reboot().await?;
    if !scene.ground.is_whole().await? {
        return Err("it is not whole after a cut".to_owned());
    }
    scene.lose_the_others().await?;
    match scene.look().await? == scene.after() {
        true => Ok(()),
        false => Err("what was made anew shows something else".to_owned()),
    }
}

const HEALING: [Deed; 3] = [Deed::HealLog, Deed::HealExtent, Deed::HealPack];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_healed_stands_in_for_all_that_parity_can_lose() {
    for deed in HEALING {
        assert_eq!(healing_is_true(deed).await, Ok(()), "{deed:?}");
    }
}

/// Runs in a process of its own: what is planted is planted for all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child_heals_with_a_planted_bug() {
    let Some(bug) = planted::selected() else { return };
    let mut survived = Vec::new();
    for deed in HEALING {
        match healing_is_true(deed).await {
            Ok(()) => survived.push(deed),
            Err(why) => println!("{deed:?}: {why}"),
        }
    }
    match survived.is_empty() {
        true => println!("{bug:?} caught in a log segment, an extent and a pack"),
        false => println!("{bug:?} survived in {survived:?}"),
    }
}

#[test]
fn every_planted_bug_of_healing_is_caught() {
    let child = "store::tests::machine::sweep::child_heals_with_a_planted_bug";
    super::every_bug_is_caught(&Bug::OF_HEALING, child);
}
