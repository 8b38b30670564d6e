//! Collection over a backend in memory, with a clock and rules that a test sets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use storage_engine::backend::Backend;
use storage_engine::memory::MemoryBackend;
use storage_engine::store::Epoch;
use storage_engine::store::body::NewBody;
use storage_engine::store::condition::WriteCondition;
use storage_engine::store::files::{Seen, Witness};
use storage_engine::store::multipart::begin::BeginUpload;
use storage_engine::store::multipart::part::{PartPlace, UploadPartError};
use storage_engine::store::name::PartNumber;
use storage_engine::store::object::put::PutObject;
use storage_engine::store::record::labels::Labels;
use storage_engine::store::record::object::Metadata;
use storage_engine::store::record::resumable::{Purpose, Target};
use storage_engine::store::resumable::append::{Append, AppendError, DigestRequest};
use storage_engine::store::resumable::begin::BeginResumable;

use self::interleaved::Interleaved;
use super::*;
use crate::projects::LogicalBucket;

mod compare;
mod dry;
mod interleaved;
mod races;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// A clock that stands where a test puts it.
#[derive(Default)]
struct Set(AtomicU64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + self.0.load(Ordering::Relaxed))
    }
}

struct Looked;

impl Witness for Looked {
    fn seen(&self) -> Seen {
        Seen::default()
    }
}

/// Rules that a test sets.
#[derive(Default)]
struct Own(parking_lot::Mutex<BTreeMap<String, LogicalBucket>>);

impl LogicalBuckets for Own {
    fn of(&self, _: &BucketName) -> BTreeMap<String, LogicalBucket> {
        self.0.lock().clone()
    }
}

struct Scene {
    store: Store,
    rules: Arc<Own>,
    memory: MemoryBackend,
    backend: Arc<Interleaved>,
    clock: Arc<Set>,
    collector: Collector,
    bucket: BucketName,
    made: AtomicU64,
}

async fn scene() -> Scene {
    let (memory, clock) = (MemoryBackend::new(), Arc::new(Set::default()));
    let backend = Arc::new(Interleaved::over(memory.clone()));
    let store = Store::new(
        Arc::clone(&backend) as Arc<dyn Backend>,
        Arc::clone(&clock) as Arc<dyn Clock>,
        Epoch([1; 16]),
    );
    let bucket = BucketName::parse("shop-prod").unwrap();
    store.create_bucket(&bucket, "").await.unwrap();
    store
        .change_settings(&bucket, |settings| settings.files = true)
        .await
        .unwrap();
    let rules = Arc::new(Own::default());
    let collector = Collector::new(
        store.clone(),
        Arc::clone(&clock) as Arc<dyn Clock>,
        Terms::default(),
        Arc::clone(&rules) as Arc<dyn LogicalBuckets>,
    );
    Scene {
        store,
        rules,
        memory,
        backend,
        clock,
        collector,
        bucket,
        made: AtomicU64::new(0),
    }
}

impl Scene {
    /// A file of a logical bucket whose bytes are there.
    async fn arrived(&self, name: &str, logical: &str) -> FileId {
        let id = self.announce(name, |file| file.bucket = Some(logical.to_owned())).await;
        self.put(name).await;
        id
    }

    async fn change(&self, id: FileId, change: impl Fn(&mut File) + Send + Sync) {
        self.store.change_file(&self.bucket, id, None, change).await.unwrap();
    }

    fn go_on(&self, millis: u64) {
        self.clock.0.fetch_add(millis, Ordering::Relaxed);
    }

    fn key(&self, name: &str) -> ObjectKey {
        ObjectKey::parse(name).unwrap()
    }

    async fn announce(&self, name: &str, change: impl Fn(&mut File)) -> FileId {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&number.to_be_bytes());
        let id = FileId::new(self.clock.now(), random);
        let mut file = File::pending(name.to_owned(), [1; 16], "name".into(), self.clock.now());
        change(&mut file);
        self.store.create_file(&self.bucket, id, &file).await.unwrap();
        id
    }

    async fn put(&self, name: &str) {
        let put = PutObject {
            bucket: self.bucket.clone(),
            key: self.key(name),
            metadata: Metadata::default(),
            labels: Labels::default(),
            body: NewBody::from_bytes("bytes"),
            condition: WriteCondition::default(),
        };
        self.store.witnessed(Arc::new(Looked)).put_object(put).await.unwrap();
    }

    /// Other bytes in the place of those of a file, which are kept.
    async fn replace(&self, name: &str) {
        let put = PutObject {
            bucket: self.bucket.clone(),
            key: self.key(name),
            metadata: Metadata::default(),
            labels: Labels::default(),
            body: NewBody::from_bytes("other bytes"),
            condition: WriteCondition::default(),
        };
        let store = self.store.witnessed(Arc::new(Looked)).keeping_replaced();
        store.put_object(put).await.unwrap();
    }

    /// A resumable upload that lives for a day.
    async fn resume(&self, purpose: Purpose) -> UploadId {
        let begin = BeginResumable {
            bucket: self.bucket.clone(),
            purpose,
            owner: None,
            length: Some(10),
            size_max: None,
            life_ms: DAY,
            said: String::new(),
        };
        self.store.begin_resumable(begin).await.unwrap().0
    }

    /// A resumable upload of a file's bytes.
    async fn resume_file(&self, name: &str, file: FileId) -> UploadId {
        self.resume(Purpose::Object(self.target(name, file))).await
    }

    fn target(&self, name: &str, file: FileId) -> Target {
        Target {
            key: name.to_owned(),
            metadata: Metadata::default(),
            labels: Labels::default(),
            file: Some(*file.as_bytes()),
        }
    }

    async fn append(&self, upload: UploadId, offset: u64, bytes: &'static str) -> Result<(), AppendError> {
        let append = Append {
            bucket: self.bucket.clone(),
            upload,
            offset,
            body: Box::pin(futures::stream::iter([Ok(bytes.into())])),
            len: None,
            digest: DigestRequest::None,
            last: false,
        };
        self.store.append(append).await.map(drop)
    }

    async fn begin(&self, name: &str) -> UploadId {
        let begin = BeginUpload {
            bucket: self.bucket.clone(),
            key: self.key(name),
            metadata: Metadata::default(),
            labels: Labels::default(),
            checksum: None,
            initiator: None,
        };
        self.store.begin_upload(begin).await.unwrap()
    }

    async fn part(&self, name: &str, upload: UploadId) {
        self.send_part(name, upload, 1).await.unwrap();
    }

    async fn send_part(&self, name: &str, upload: UploadId, number: u16) -> Result<(), UploadPartError> {
        let place = PartPlace {
            bucket: self.bucket.clone(),
            key: self.key(name),
            upload,
            number: PartNumber::new(number).unwrap(),
        };
        let sent = self.store.upload_part(&place, NewBody::from_bytes("part")).await;
        sent.map(drop)
    }

    async fn state(&self, id: FileId) -> Option<FileState> {
        self.store
            .file(&self.bucket, &id)
            .await
            .unwrap()
            .map(|(file, _)| file.state)
    }

    /// A dry pass counts what the pass after it does, and changes nothing.
    async fn pass(&self) -> Collected {
        let rows = self.memory.rows();
        let would = self.collector.pass(true).await.unwrap();
        assert_eq!(self.memory.rows(), rows, "a dry pass changes nothing");
        let did = self.collector.pass(false).await.unwrap();
        assert_eq!(did, would);
        did
    }
}

#[tokio::test]
async fn a_file_whose_bytes_never_came_goes_a_day_after_it_was_announced() {
    let scene = scene().await;
    let id = scene.announce("k/a", |_| {}).await;
    scene.go_on(DAY - 1);
    assert_eq!(scene.pass().await, Collected::default());
    scene.go_on(1);
    let gone = Collected {
        announced: 1,
        ..Collected::default()
    };
    assert_eq!(scene.pass().await, gone);
    assert_eq!(scene.state(id).await, None);
}

#[tokio::test]
async fn what_arrived_stays_however_old_it_is() {
    let scene = scene().await;
    let id = scene.announce("k/a", |_| {}).await;
    scene.put("k/a").await;
    scene.put("nobody/announced.it").await;
    scene.go_on(400 * DAY);
    assert_eq!(scene.pass().await, Collected::default());
    assert_eq!(scene.state(id).await, Some(FileState::Active));
}

#[tokio::test]
async fn a_file_is_kept_for_an_upload_that_goes_on_and_goes_with_one_that_does_not() {
    let scene = scene().await;
    let id = scene.announce("k/a", |_| {}).await;
    let upload = scene.begin("k/a").await;
    scene.go_on(20 * HOUR);
    scene.part("k/a", upload).await;
    scene.go_on(20 * HOUR);
    assert_eq!(scene.pass().await, Collected::default(), "a part came twenty hours ago");
    scene.go_on(4 * HOUR);
    let both = Collected {
        uploads: 1,
        announced: 1,
        ..Collected::default()
    };
    assert_eq!(scene.pass().await, both);
    assert_eq!(scene.state(id).await, None);
}

#[tokio::test]
async fn a_file_that_ends_by_itself_goes_into_the_trash_and_out_of_it_a_week_later() {
    let scene = scene().await;
    let ends = Timestamp::from_millis(scene.clock.now().millis() + HOUR);
    let id = scene.announce("k/a", |file| file.expires = Some(ends)).await;
    scene.put("k/a").await;
    assert_eq!(scene.pass().await, Collected::default());
    scene.go_on(HOUR);
    assert_eq!(scene.pass().await.ended, 1);
    assert_eq!(scene.state(id).await, Some(FileState::Trashed));
    scene.go_on(7 * DAY - 1);
    assert_eq!(scene.pass().await, Collected::default());
    scene.go_on(1);
    assert_eq!(scene.pass().await.trash, 1);
    assert_eq!((scene.state(id).await, scene.memory.bodies()), (None, 0));
}

#[tokio::test]
async fn bytes_that_were_replaced_go_after_a_week_and_those_that_came_back_stay() {
    let scene = scene().await;
    let (id, other) = (scene.announce("k/a", |_| {}).await, scene.announce("k/b", |_| {}).await);
    for name in ["k/a", "k/b"] {
        scene.put(name).await;
        scene.replace(name).await;
    }
    scene.go_on(DAY);
    scene.replace("k/a").await;
    scene.store.trash_file(&scene.bucket, other, None).await.unwrap();
    scene.go_on(6 * DAY - 1);
    assert_eq!(scene.pass().await, Collected::default());
    scene.go_on(1);
    assert_eq!(
        scene.pass().await.versions,
        2,
        "the oldest of one file, and that of the one in the trash"
    );
    let versions = scene.store.file_versions(&scene.bucket, &id).await.unwrap();
    let [(version, _)] = versions.as_slice() else {
        panic!("{versions:?}");
    };
    scene
        .store
        .restore_file_version(&scene.bucket, id, *version, None)
        .await
        .unwrap();
    scene.go_on(DAY);
    let both = Collected {
        trash: 1,
        ..Collected::default()
    };
    assert_eq!(
        scene.pass().await,
        both,
        "what was brought back became the present, and the present a version"
    );
    scene.go_on(6 * DAY);
    assert_eq!(scene.pass().await.versions, 1);
    assert_eq!(
        (scene.state(id).await, scene.memory.bodies()),
        (Some(FileState::Active), 1)
    );
}

#[tokio::test]
async fn what_was_refused_is_remembered_for_a_week() {
    let scene = scene().await;
    let id = scene.announce("k/a", |_| {}).await;
    scene.put("k/a").await;
    scene
        .store
        .reject_file(&scene.bucket, id, None, "no image")
        .await
        .unwrap();
    scene.go_on(7 * DAY - 1);
    assert_eq!(scene.pass().await, Collected::default());
    scene.go_on(1);
    assert_eq!(scene.pass().await.rejected, 1);
}

#[tokio::test]
async fn what_must_be_registered_and_is_not_goes_into_the_trash_a_day_after_it_came() {
    let scene = scene().await;
    let required = LogicalBucket {
        confirm: Confirm::Required,
        ..LogicalBucket::default()
    };
    let rules = [
        ("strict".to_owned(), required),
        ("lax".to_owned(), LogicalBucket::default()),
    ];
    *scene.rules.0.lock() = rules.into_iter().collect();
    let waiting = scene.announce("k/w", |file| file.bucket = Some("strict".into())).await;
    scene.go_on(HOUR);
    let lost = scene.arrived("k/a", "strict").await;
    let known = scene.arrived("k/b", "strict").await;
    let now = scene.clock.now();
    scene.change(known, move |file| file.registered = Some(now)).await;
    let elsewhere = scene.arrived("k/c", "lax").await;
    let unseen = scene.announce("k/d", |file| file.bucket = Some("strict".into())).await;
    let unseen_put = PutObject {
        bucket: scene.bucket.clone(),
        key: scene.key("k/d"),
        metadata: Metadata::default(),
        labels: Labels::default(),
        body: NewBody::from_bytes("bytes"),
        condition: WriteCondition::default(),
    };
    scene.store.put_object(unseen_put).await.unwrap();
    assert_eq!(scene.state(unseen).await, Some(FileState::Received));
    scene.change(waiting, |file| file.tags.push("fresh".into())).await;
    scene.go_on(DAY - 1);
    assert_eq!(scene.pass().await, Collected::default());
    // That it is changed does not save it.
    scene.change(lost, |file| file.name = "other".into()).await;
    scene.change(waiting, |file| file.tags.clear()).await;
    scene.go_on(1);
    let gone = Collected {
        unregistered: 2,
        ..Collected::default()
    };
    assert_eq!(scene.pass().await, gone);
    let states = [lost, unseen, known, elsewhere, waiting];
    let states = futures::future::join_all(states.map(|id| scene.state(id))).await;
    let expected = [
        FileState::Trashed,
        FileState::Trashed,
        FileState::Active,
        FileState::Active,
        FileState::Pending,
    ];
    assert_eq!(states, expected.map(Some));
    // It comes back, registered, and stays.
    scene.store.restore_file(&scene.bucket, lost, None).await.unwrap();
    scene.change(lost, move |file| file.registered = Some(now)).await;
    assert_eq!(scene.pass().await, Collected::default());
}

#[tokio::test]
async fn what_must_be_referred_to_and_is_not_goes_a_day_after_its_last_change() {
    let scene = scene().await;
    let unreferenced = LogicalBucket {
        gc: Gc::Unreferenced,
        ..LogicalBucket::default()
    };
    scene.rules.0.lock().insert("posts".to_owned(), unreferenced);
    let (needed, loose) = (scene.arrived("k/a", "posts").await, scene.arrived("k/b", "posts").await);
    scene.change(needed, |file| file.refs = vec!["post-1".into()]).await;
    scene.change(loose, |file| file.refs = vec!["post-1".into()]).await;
    scene.go_on(9 * DAY);
    assert_eq!(scene.pass().await, Collected::default());
    scene.change(loose, |file| file.refs.clear()).await;
    scene.go_on(DAY - 1);
    assert_eq!(scene.pass().await, Collected::default());
    scene.go_on(1);
    assert_eq!(scene.pass().await.unreferenced, 1);
    assert_eq!(scene.state(needed).await, Some(FileState::Active));
    assert_eq!(scene.state(loose).await, Some(FileState::Trashed));
    // Without the rule nothing goes.
    scene.rules.0.lock().clear();
    scene.change(needed, |file| file.refs.clear()).await;
    scene.go_on(6 * DAY);
    assert_eq!(scene.pass().await, Collected::default());
    let (sum, last) = scene.collector.figures().now();
    assert_eq!((sum.unreferenced, last.map(|last| last.is_whole)), (1, Some(true)));
}

#[tokio::test]
async fn a_bucket_without_a_catalogue_is_left_alone() {
    let scene = scene().await;
    scene
        .store
        .change_settings(&scene.bucket, |settings| settings.files = false)
        .await
        .unwrap();
    let upload = scene.begin("k/a").await;
    scene.part("k/a", upload).await;
    scene.go_on(400 * DAY);
    assert_eq!(scene.pass().await, Collected::default());
}

#[tokio::test]
async fn after_thousands_of_abandoned_files_of_every_kind_only_what_lives_is_left() {
    let scene = scene().await;
    scene.put("live/one").await;
    let live = scene.announce("live/two", |_| {}).await;
    scene.put("live/two").await;
    let (rows, bodies) = (scene.memory.rows(), scene.memory.bodies());
    for n in 0..1_200_u64 {
        let name = format!("k/{n}");
        let id = match n % 5 {
            0 => scene.announce(&name, |_| {}).await,
            1 => {
                let id = scene.announce(&name, |_| {}).await;
                let upload = scene.begin(&name).await;
                scene.part(&name, upload).await;
                id
            }
            2 => {
                let ends = scene.clock.now();
                let id = scene.announce(&name, |file| file.expires = Some(ends)).await;
                scene.put(&name).await;
                id
            }
            3 => {
                let id = scene.announce(&name, |_| {}).await;
                scene.put(&name).await;
                scene.store.trash_file(&scene.bucket, id, None).await.unwrap();
                id
            }
            _ => {
                let id = scene.announce(&name, |_| {}).await;
                scene.put(&name).await;
                scene.store.reject_file(&scene.bucket, id, None, "no").await.unwrap();
                id
            }
        };
        assert!(scene.state(id).await.is_some());
    }
    scene.go_on(8 * DAY);
    let first = scene.pass().await;
    let expected = Collected {
        announced: 480,
        uploads: 240,
        ended: 240,
        trash: 240,
        rejected: 240,
        ..Collected::default()
    };
    assert_eq!(first, expected);
    scene.go_on(8 * DAY);
    assert_eq!(
        scene.pass().await.trash,
        240,
        "what ended by itself was in the trash until now"
    );
    assert_eq!(scene.pass().await, Collected::default());
    assert_eq!(scene.state(live).await, Some(FileState::Active));
    for _ in 0..100 {
        // Parts of uploads that were given up go behind the answer.
        tokio::task::yield_now().await;
    }
    assert_eq!((scene.memory.rows(), scene.memory.bodies()), (rows, bodies));
}
