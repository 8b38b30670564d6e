//! Every durable operation on a drive once failed, once failed for good, and once the last before the power goes, for
//! each thing a store does. Each point is proven to have been met; the count goes up until a run passes untouched.
//!
//! `DRYSTONE_SWEEP_EVERY` is the distance between points (default 6, 1 for all).

use super::environment;
use super::ground::Ground;
use super::reference::Body;
use crate::embedded::drive::{Fault, FaultRule, Operation};
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
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).unwrap()
}

impl Scene {
    async fn new(deed: Deed) -> Self {
        let ground = Ground::new().await.unwrap();
        let mut scene = Self {
            ground,
            deed,
            upload: None,
            etag: String::new(),
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
        }
        scene
    }

    async fn begin(&mut self) {
        let (bucket, object_key) = (self.ground.bucket.clone(), key("k"));
        let begin = BeginUpload {
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
        }
    }

    fn before(&self) -> State {
        match self.deed {
            Deed::PutSmall | Deed::PutLarge => (None, false),
            Deed::Overwrite | Deed::Delete | Deed::Checkpoint => (Some(OLD.bytes()), false),
            Deed::Complete | Deed::Abort => (None, true),
        }
    }

    fn after(&self) -> State {
        match self.deed {
            Deed::PutSmall => (Some(SMALL.bytes()), false),
            Deed::PutLarge | Deed::Overwrite | Deed::Complete => (Some(LARGE.bytes()), false),
            Deed::Delete | Deed::Abort => (None, false),
            Deed::Checkpoint => (Some(OLD.bytes()), false),
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

async fn sweep(deed: Deed) -> usize {
    let every = u64::from(environment("DRYSTONE_SWEEP_EVERY").unwrap_or(6).max(1));
    let (mut points, mut wrong) = (0, Vec::new());
    for blow in [Blow::Once(EIO), Blow::Once(ENOSPC), Blow::ForGood, Blow::Death] {
        for operation in DURABLE {
            let mut after = 0;
            while let Some(outcome) = strike(deed, blow, operation, after).await {
                points += 1;
                if let Err(why) = outcome {
                    wrong.push(format!("{deed:?}, {blow:?} at {operation:?} {after}: {why}"));
                }
                after += every;
            }
        }
    }
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
