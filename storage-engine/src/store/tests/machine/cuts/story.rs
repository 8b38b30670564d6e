//! What a store does while everything that reaches its drives is recorded, and what was promised to clients when.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tempfile::TempDir;

use super::super::ground::{DRIVES, Ground, PARITY, dir_in_memory, files_below};
use super::super::reference::Body;
use crate::embedded::drive::trace::Trace;
use crate::embedded::drive::{Fault, FaultPlan, FaultRule, Operation};
use crate::embedded::heal::HealOptions;
use crate::store::body::NewBody;
use crate::store::clock::Timestamp;
use crate::store::condition::WriteCondition;
use crate::store::files::{File, FileId};
use crate::store::multipart::begin::BeginUpload;
use crate::store::multipart::complete::{CompleteUpload, NamedPart};
use crate::store::multipart::part::PartPlace;
use crate::store::name::{BucketName, ObjectKey, PartNumber, UploadId};
use crate::store::object::delete::DeleteObject;
use crate::store::object::put::PutObject;
use crate::store::record::event::EventKind;
use crate::store::record::object::Metadata;

/// What a key shows: its bytes, and how many parts its upload has if it is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) body: Option<Arc<Vec<u8>>>,
    pub(super) parts: Option<usize>,
}

/// A request: what its key shows after it, between which moments it was sent and answered with success.
#[derive(Clone, Debug)]
struct Deed {
    key: String,
    sent: usize,
    acknowledged: Option<usize>,
    after: Shown,
}

/// Something that was done to media, which counts against what they can bear until it is healed.
#[derive(Clone, Debug)]
pub(super) struct Harm {
    pub(super) drive: usize,
    from: usize,
    until: usize,
    /// The keys that it can cost when more drives are absent than it leaves room for; `None`: all.
    pub(super) keys: Option<Vec<String>>,
}

/// A recorded run of a store.
pub(super) struct Story {
    pub(super) name: &'static str,
    pub(super) root: PathBuf,
    pub(super) bucket: BucketName,
    /// Before this moment nobody was told that there is a store.
    pub(super) begun: usize,
    pub(super) trace: Trace,
    deeds: Vec<Deed>,
    harms: Vec<Harm>,
    pub(super) uploads: BTreeMap<String, UploadId>,
    /// The index as it was at clean stops, with the moment.
    indices: Vec<(usize, TempDir)>,
    /// Whether the bucket keeps a catalogue.
    pub(super) keeps_catalogue: bool,
}

impl Story {
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let mut keys: Vec<&str> = self.deeds.iter().map(|deed| deed.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter()
    }

    /// What a key may show after a cut at `moment`: what was acknowledged last, or anything sent after that.
    pub(super) fn allowed(&self, key: &str, moment: usize) -> Vec<&Shown> {
        const NOTHING: &Shown = &Shown {
            body: None,
            parts: None,
        };
        let mut allowed = vec![NOTHING];
        for deed in self.deeds.iter().filter(|deed| deed.key == key && deed.sent < moment) {
            if deed.acknowledged.is_some_and(|answered| answered <= moment) {
                allowed.clear();
            }
            allowed.push(&deed.after);
        }
        allowed
    }

    /// From where on cuts of this run are looked at: one run is enough to see what a first format leaves.
    pub(super) fn first_moment(&self) -> usize {
        if self.name == "small" { 0 } else { self.begun }
    }

    /// Of the drives that are to be late those that parity can do without at `moment`.
    pub(super) fn may_be_late(&self, moment: usize, mut late: BTreeSet<usize>) -> BTreeSet<usize> {
        if moment < self.begun {
            return BTreeSet::new();
        }
        let gone = self.harms(moment).filter(|harm| harm.keys.is_none());
        let gone: BTreeSet<usize> = gone.map(|harm| harm.drive).collect();
        while late.union(&gone).count() > PARITY {
            late.pop_last();
        }
        late
    }

    /// What media suffer from at `moment`.
    pub(super) fn harms(&self, moment: usize) -> impl Iterator<Item = &Harm> {
        self.harms
            .iter()
            .filter(move |harm| harm.from <= moment && moment < harm.until)
    }

    /// The newest index that may stand there.
    pub(super) fn index(&self, moment: usize) -> Option<&Path> {
        let stopped = self.indices.iter().rev().find(|(stopped, _)| *stopped <= moment);
        stopped.map(|(_, dir)| dir.path())
    }

    pub(super) fn drive_of(&self, path: &Path) -> Option<usize> {
        (0..DRIVES).find(|number| path.starts_with(self.root.join(format!("data{number}"))))
    }
}

/// Does things and writes down what was promised.
pub(super) struct Teller {
    pub(super) ground: Ground,
    begun: usize,
    deeds: Vec<Deed>,
    harms: Vec<Harm>,
    now: BTreeMap<String, Shown>,
    uploads: BTreeMap<String, UploadId>,
    indices: Vec<(usize, TempDir)>,
    keeps_catalogue: bool,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn object_key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).unwrap()
}

impl Teller {
    pub(super) async fn new() -> Result<Self, String> {
        let heal = HealOptions {
            drives_after: Duration::from_millis(100),
            ..HealOptions::default()
        };
        let ground = Ground::with(FaultPlan::recording(), heal).await?;
        Ok(Self {
            begun: ground.plan().moment(),
            ground,
            deeds: Vec::new(),
            harms: Vec::new(),
            now: BTreeMap::new(),
            uploads: BTreeMap::new(),
            indices: Vec::new(),
            keeps_catalogue: false,
        })
    }

    pub(super) async fn end(mut self, name: &'static str) -> Result<Story, String> {
        let trace = self.ground.plan().trace();
        self.ground.close().await?;
        Ok(Story {
            name,
            root: self.ground.path().to_owned(),
            bucket: self.ground.bucket.clone(),
            begun: self.begun,
            trace,
            deeds: self.deeds,
            harms: self.harms,
            uploads: self.uploads,
            indices: self.indices,
            keeps_catalogue: self.keeps_catalogue,
        })
    }

    fn moment(&self) -> usize {
        self.ground.plan().moment()
    }

    fn show(&mut self, key: &str, change: impl FnOnce(&mut Shown)) -> Shown {
        let shown = self.now.entry(key.to_owned()).or_default();
        change(shown);
        shown.clone()
    }

    fn note(&mut self, key: &str, sent: usize, answered: Option<usize>, after: Shown) {
        let acknowledged = answered;
        let key = key.to_owned();
        self.deeds.push(Deed {
            key,
            sent,
            acknowledged,
            after,
        });
    }

    /// PUTs that are on their way together.
    pub(super) async fn put_all(&mut self, puts: &[(&str, Body)]) -> Result<(), String> {
        let sent = self.moment();
        let put = |key: &str, body: Body| {
            let put = PutObject {
                labels: Default::default(),
                bucket: self.ground.bucket.clone(),
                key: object_key(key),
                metadata: Metadata::default(),
                body: NewBody::from_bytes(body.bytes()),
                condition: WriteCondition::default(),
            };
            let (store, plan) = (self.ground.store(), self.ground.plan());
            async move { (store.put_object(put).await, plan.moment()) }
        };
        let answers = join_all(puts.iter().map(|(key, body)| put(key, *body))).await;
        for ((key, body), (answer, answered)) in puts.iter().zip(answers) {
            answer.map_err(text)?;
            let after = self.show(key, |shown| shown.body = Some(Arc::new(body.bytes())));
            self.note(key, sent, Some(answered), after);
        }
        Ok(())
    }

    pub(super) async fn put(&mut self, key: &str, body: Body) -> Result<(), String> {
        self.put_all(&[(key, body)]).await
    }

    pub(super) async fn delete(&mut self, key: &str) -> Result<(), String> {
        let sent = self.moment();
        let delete = DeleteObject {
            bucket: self.ground.bucket.clone(),
            key: object_key(key),
            version: None,
            condition: WriteCondition::default(),
        };
        self.ground.store().delete_object(&delete).await.map_err(text)?;
        let (answered, after) = (self.moment(), self.show(key, |shown| shown.body = None));
        self.note(key, sent, Some(answered), after);
        Ok(())
    }

    /// A PUT that is written and never synced, nor answered, and then the process is killed. From the start on that finds
    /// it, it is served: it must stay.
    pub(super) async fn put_and_die(&mut self, key: &str, body: Body) -> Result<(), String> {
        let sent = self.moment();
        let put = PutObject {
            labels: Default::default(),
            bucket: self.ground.bucket.clone(),
            key: object_key(key),
            metadata: Metadata::default(),
            body: NewBody::from_bytes(body.bytes()),
            condition: WriteCondition::default(),
        };
        let unsynced = FaultRule {
            operation: Operation::SyncFile,
            path_part: "/log/".into(),
            after: 0,
            times: u64::MAX,
            fault: Fault::Pretend,
        };
        self.ground.meet(unsynced);
        self.ground.store().put_object(put).await.map_err(text)?;
        self.ground.kill().await?;
        let after = self.show(key, |shown| shown.body = Some(Arc::new(body.bytes())));
        self.note(key, sent, Some(self.moment()), after);
        Ok(())
    }

    /// From now on the bucket keeps a catalogue, and somebody listens to what happens to its files.
    pub(super) async fn keep_catalogue(&mut self) -> Result<(), String> {
        self.keeps_catalogue = true;
        let store = self.ground.store();
        let files = store.change_settings(&self.ground.bucket, |settings| {
            settings.files = true;
            settings.listened = EventKind::ALL.into_iter().fold(0, |set, kind| set | kind.bit());
        });
        files.await.map_err(text)
    }

    /// Announces a file; its key shows nothing yet.
    pub(super) async fn announce(&mut self, key: &str, number: u8) -> Result<(), String> {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let file = File::pending(key.to_owned(), [number; 16], "a name".to_owned(), now);
        let id = FileId::new(now, [number; 10]);
        let made = self.ground.store().create_file(&self.ground.bucket, id, &file).await;
        made.map_err(text)
    }

    pub(super) async fn trash(&mut self, key: &str) -> Result<FileId, String> {
        let sent = self.moment();
        let (store, bucket) = (self.ground.store(), &self.ground.bucket);
        let found = store.file_of_key(bucket, key).await.map_err(text)?;
        let (id, _, _) = found.ok_or("no file has the key")?;
        store.trash_file(bucket, id, None).await.map_err(text)?;
        let (answered, after) = (self.moment(), self.show(key, |shown| shown.body = None));
        self.note(key, sent, Some(answered), after);
        Ok(id)
    }

    pub(super) async fn restore(&mut self, key: &str, id: FileId, body: Body) -> Result<(), String> {
        let sent = self.moment();
        let restored = self.ground.store().restore_file(&self.ground.bucket, id, None).await;
        restored.map_err(text)?;
        let after = self.show(key, |shown| shown.body = Some(Arc::new(body.bytes())));
        self.note(key, sent, Some(self.moment()), after);
        Ok(())
    }

    /// Takes a file away for good that is in the trash: no key shows it.
    pub(super) async fn purge(&mut self, id: FileId) -> Result<(), String> {
        let purged = self.ground.store().purge_file(&self.ground.bucket, id, None).await;
        purged.map_err(text)
    }

    /// Begins an upload and sends one part; its ETag.
    pub(super) async fn begin(&mut self, key: &str, body: Body) -> Result<String, String> {
        let sent = self.moment();
        let begin = BeginUpload {
            labels: Default::default(),
            initiator: None,
            bucket: self.ground.bucket.clone(),
            key: object_key(key),
            metadata: Metadata::default(),
            checksum: None,
        };
        let upload = self.ground.store().begin_upload(begin).await.map_err(text)?;
        self.uploads.insert(key.to_owned(), upload);
        let (answered, after) = (self.moment(), self.show(key, |shown| shown.parts = Some(0)));
        self.note(key, sent, Some(answered), after);
        let sent = self.moment();
        let place = PartPlace {
            bucket: self.ground.bucket.clone(),
            key: object_key(key),
            upload,
            number: PartNumber::new(1).unwrap(),
        };
        let part = NewBody::from_bytes(body.bytes());
        let part = self.ground.store().upload_part(&place, part).await.map_err(text)?;
        let (answered, after) = (self.moment(), self.show(key, |shown| shown.parts = Some(1)));
        self.note(key, sent, Some(answered), after);
        Ok(part.etag.to_string())
    }

    pub(super) async fn complete(&mut self, key: &str, etag: String, body: Body) -> Result<(), String> {
        let sent = self.moment();
        let part = NamedPart {
            number: PartNumber::new(1).unwrap(),
            etag,
            checksum: None,
        };
        let complete = CompleteUpload {
            bucket: self.ground.bucket.clone(),
            key: object_key(key),
            upload: self.uploads[key],
            parts: vec![part],
            condition: WriteCondition::default(),
            checksum: None,
            checksum_type: None,
            size: None,
        };
        self.ground.store().complete_upload(complete).await.map_err(text)?;
        let answered = self.moment();
        let after = Shown {
            body: Some(Arc::new(body.bytes())),
            parts: None,
        };
        self.now.insert(key.to_owned(), after.clone());
        self.note(key, sent, Some(answered), after);
        Ok(())
    }

    pub(super) async fn abort(&mut self, key: &str) -> Result<(), String> {
        let sent = self.moment();
        let (bucket, upload) = (&self.ground.bucket, self.uploads[key]);
        let aborted = self
            .ground
            .store()
            .abort_upload(bucket, &object_key(key), &upload)
            .await;
        aborted.map_err(text)?;
        let (answered, after) = (self.moment(), self.show(key, |shown| shown.parts = None));
        self.note(key, sent, Some(answered), after);
        Ok(())
    }

    /// A clean stop, and a start.
    pub(super) async fn restart(&mut self) -> Result<(), String> {
        self.ground.close().await?;
        let index = self.ground.drive(0).join(".drystone/index");
        if index.is_dir() {
            let copy = dir_in_memory()?;
            copy_tree(&index, copy.path()).map_err(text)?;
            self.indices.push((self.moment(), copy));
        }
        self.ground.open_again().await
    }

    /// A drive's files are gone, and an empty one is in its place at the next start; ends when all is healed.
    pub(super) async fn replace_drive(&mut self, drive: usize) -> Result<(), String> {
        self.ground.close().await?;
        let from = self.moment();
        let folder = self.ground.drive(drive).join(".drystone");
        let mut files = Vec::new();
        files_below(&folder, &mut files);
        std::fs::remove_dir_all(&folder).map_err(text)?;
        files.iter().for_each(|path| self.ground.plan().harmed(path));
        self.ground.open_again().await?;
        self.healed(Harm {
            drive,
            from,
            until: 0,
            keys: None,
        })
        .await
    }

    /// Changes one byte of `key` on the drive where it begins; ends when that is healed.
    pub(super) async fn rot(&mut self, key: &str, kind: &str) -> Result<(), String> {
        let body = self.now[key].body.clone().ok_or("no such key")?;
        let found = (0..DRIVES).find_map(|drive| {
            let mut files = Vec::new();
            files_below(&self.ground.drive(drive).join(".drystone").join(kind), &mut files);
            files.into_iter().find_map(|path| {
                let bytes = std::fs::read(&path).ok()?;
                let at = bytes.windows(64).position(|window| window == &body[..64])?;
                Some((drive, path, at as u64, bytes[at] ^ 1))
            })
        });
        let (drive, path, at, byte) = found.ok_or("the key's bytes stand nowhere")?;
        let from = self.moment();
        let file = std::fs::File::options().write(true).open(&path).map_err(text)?;
        std::os::unix::fs::FileExt::write_all_at(&file, &[byte], at).map_err(text)?;
        self.ground.plan().harmed(&path);
        let keys = Some(vec![key.to_owned()]);
        self.healed(Harm {
            drive,
            from,
            until: 0,
            keys,
        })
        .await
    }

    async fn healed(&mut self, harm: Harm) -> Result<(), String> {
        self.ground.heal().await?;
        let until = self.moment();
        self.harms.push(Harm { until, ..harm });
        Ok(())
    }
}

pub(super) fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}
