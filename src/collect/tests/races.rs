//! Whoever comes back while a pass is under way: before every single request that the pass makes of the backend, in a pass of
//! its own for each. Either they come in time, and everything of theirs is whole and nothing is counted, or they are refused,
//! and what was over is gone and counted.

use futures::TryStreamExt;
use storage_engine::store::condition::ReadConditions;
use storage_engine::store::files::FileVersionId;
use storage_engine::store::object::get::{GetObject, Selection};

use super::*;

const NAME: &str = "k/a";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    /// The bytes of a file that was announced.
    Put,
    /// A part of an upload.
    Part,
    /// Bytes of a resumable upload, by somebody who looked at the clock before it was over.
    Append,
    /// The app says that it knows the file.
    Register,
    /// The app refers to the file.
    Refer,
    /// The file is to stay for good.
    Keep,
    /// Out of the trash.
    Restore,
    /// What the file was before its bytes were replaced.
    BringBack,
}

/// What was left behind.
struct Left {
    file: FileId,
    judged: Option<(FileId, File, Rev)>,
    upload: Option<UploadId>,
    version: Option<FileVersionId>,
}

impl Late {
    /// Something that is over by now.
    async fn leave(self, scene: &Scene) -> Left {
        let strict = LogicalBucket {
            confirm: match self {
                Self::Register => Confirm::Required,
                _ => Confirm::default(),
            },
            gc: match self {
                Self::Refer => Gc::Unreferenced,
                _ => Gc::default(),
            },
            ..LogicalBucket::default()
        };
        scene.rules.0.lock().insert("posts".to_owned(), strict);
        let ends = Timestamp::from_millis(scene.clock.now().millis() + 7 * DAY);
        let change = |file: &mut File| {
            file.bucket = Some("posts".to_owned());
            file.expires = (self == Self::Keep).then_some(ends);
        };
        let file = scene.announce(NAME, change).await;
        let mut left = Left {
            file,
            judged: None,
            upload: None,
            version: None,
        };
        match self {
            Self::Put => {
                let found = scene.store.file(&scene.bucket, &file).await.unwrap();
                left.judged = found.map(|(found, rev)| (file, found, rev));
            }
            Self::Part => {
                let upload = scene.begin(NAME).await;
                scene.part(NAME, upload).await;
                left.upload = Some(upload);
            }
            Self::Append => {
                let upload = scene.resume_file(NAME, file).await;
                scene.append(upload, 0, "some").await.unwrap();
                left.upload = Some(upload);
                scene.go_on(DAY + 1);
                return left;
            }
            Self::Register | Self::Refer | Self::Keep => scene.put(NAME).await,
            Self::Restore => {
                scene.put(NAME).await;
                scene.store.trash_file(&scene.bucket, file, None).await.unwrap();
            }
            Self::BringBack => {
                scene.put(NAME).await;
                scene.replace(NAME).await;
                let versions = scene.store.file_versions(&scene.bucket, &file).await.unwrap();
                left.version = versions.first().map(|(version, _)| *version);
            }
        }
        scene.go_on(7 * DAY);
        left
    }

    /// Somebody comes back for it; whether they were told that they came in time.
    async fn come(self, scene: &Scene, left: &Left) -> bool {
        let (store, bucket) = (&scene.store, &scene.bucket);
        let now = scene.clock.now();
        let change = |file: &mut File| match self {
            Self::Register => file.registered = Some(now),
            Self::Refer => file.refs = vec!["post-1".to_owned()],
            _ => file.expires = None,
        };
        match self {
            Self::Put => {
                let put = PutObject {
                    bucket: bucket.clone(),
                    key: scene.key(NAME),
                    metadata: Metadata::default(),
                    labels: Labels::default(),
                    body: NewBody::from_bytes("bytes"),
                    condition: WriteCondition::default(),
                };
                let judged = store.only_in_epoch((bucket, &scene.key(NAME)), left.judged.as_ref().unwrap());
                judged.witnessed(Arc::new(Looked)).put_object(put).await.is_ok()
            }
            Self::Part => scene.send_part(NAME, left.upload.unwrap(), 2).await.is_ok(),
            Self::Append => {
                // They looked at the clock a moment ago.
                scene.clock.0.fetch_sub(1, Ordering::Relaxed);
                let appended = scene.append(left.upload.unwrap(), 4, "oth").await;
                scene.go_on(1);
                appended.is_ok()
            }
            Self::Register | Self::Refer | Self::Keep => {
                let changed = store.change_file(bucket, left.file, None, change).await;
                changed.is_ok_and(|file| file.state == FileState::Active)
            }
            Self::Restore => store.restore_file(bucket, left.file, None).await.is_ok(),
            Self::BringBack => {
                let restored = store.restore_file_version(bucket, left.file, left.version.unwrap(), None);
                restored.await.is_ok()
            }
        }
    }

    /// Everything of it is there, and goes on.
    async fn is_whole(self, scene: &Scene, left: &Left) {
        match self {
            Self::Part => {
                let upload = left.upload.unwrap();
                scene.send_part(NAME, upload, 3).await.unwrap();
                assert_eq!(scene.state(left.file).await, Some(FileState::Pending));
                return;
            }
            Self::Append => scene.append(left.upload.unwrap(), 7, "ers").await.unwrap(),
            _ => {}
        }
        let (file, _) = scene.store.file(&scene.bucket, &left.file).await.unwrap().unwrap();
        let state = match self {
            Self::Append => FileState::Received,
            _ => FileState::Active,
        };
        let bytes = scene.read(NAME).await;
        let expected = match self {
            Self::Append => "someothers",
            _ => "bytes",
        };
        assert_eq!((file.state, bytes.as_str()), (state, expected), "{self:?}");
        assert_eq!((file.key.as_str(), file.size), (NAME, expected.len() as u64));
        assert_eq!((file.trash, file.deleted), (None, None));
        assert_eq!(file.registered.is_some(), self == Self::Register);
        assert_eq!(file.refs.len(), usize::from(self == Self::Refer));
        assert_eq!(file.expires, None);
        assert_eq!(file.kept, if self == Self::BringBack { 11 } else { 0 });
        let found = scene.store.file_of_key(&scene.bucket, NAME).await.unwrap();
        assert_eq!(found.map(|(id, _, _)| id), Some(left.file));
    }

    /// What a pass says where nobody comes.
    fn counted(self) -> Collected {
        let none = Collected::default();
        match self {
            Self::Put => Collected { announced: 1, ..none },
            Self::Part | Self::Append => Collected {
                announced: 1,
                uploads: 1,
                ..none
            },
            Self::Register => Collected {
                unregistered: 1,
                ..none
            },
            Self::Refer => Collected {
                unreferenced: 1,
                ..none
            },
            Self::Keep => Collected { ended: 1, ..none },
            Self::Restore => Collected { trash: 1, ..none },
            Self::BringBack => Collected { versions: 1, ..none },
        }
    }

    /// Comes back before the request of a pass with this number; `None`: the pass makes fewer.
    async fn at(self, moment: usize) -> Option<bool> {
        let scene = Arc::new(scene().await);
        let left = Arc::new(self.leave(&scene).await);
        let (told, came) = tokio::sync::oneshot::channel();
        let (other, theirs) = (Arc::clone(&scene), Arc::clone(&left));
        let act = async move {
            let in_time = self.come(&other, &theirs).await;
            told.send(in_time).unwrap();
        };
        scene.backend.after(moment, Box::pin(act));
        let collected = scene.collector.pass(false).await.unwrap();
        if scene.backend.nobody() {
            assert_eq!(collected, self.counted(), "{self:?}");
            return None;
        }
        let in_time = came.await.unwrap();
        let expected = if in_time { Collected::default() } else { self.counted() };
        assert_eq!(collected, expected, "{self:?} at {moment}, in time: {in_time}");
        if in_time {
            self.is_whole(&scene, &left).await;
        }
        let disagreeing = scene.collector.compare().await.unwrap();
        assert_eq!(disagreeing, Disagreements::default(), "{self:?} at {moment}");
        Some(in_time)
    }

    /// At every moment there is.
    async fn always(self) {
        let (mut in_time, mut late) = (0, 0);
        for moment in 0.. {
            match self.at(moment).await {
                Some(true) => in_time += 1,
                Some(false) => late += 1,
                None => break,
            }
        }
        // At least once between the look and the removal.
        assert!(in_time > 1 && late > 3, "{self:?}: {in_time} in time, {late} late");
    }
}

impl Scene {
    async fn read(&self, name: &str) -> String {
        let get = GetObject {
            bucket: self.bucket.clone(),
            key: self.key(name),
            version: None,
            selection: Selection::Whole,
            conditions: ReadConditions::default(),
        };
        let read = self.store.get_object(&get).await.unwrap();
        let chunks: Vec<bytes::Bytes> = read.body.try_collect().await.unwrap();
        String::from_utf8(chunks.concat()).unwrap()
    }
}

#[tokio::test]
async fn late_bytes_of_an_announced_file_are_kept_or_refused() {
    Late::Put.always().await;
}

#[tokio::test]
async fn a_late_part_keeps_its_upload_and_the_file_or_is_refused() {
    Late::Part.always().await;
}

#[tokio::test]
async fn late_bytes_of_a_resumable_upload_are_kept_or_refused() {
    Late::Append.always().await;
}

#[tokio::test]
async fn a_file_that_is_registered_late_stays_or_is_in_the_trash() {
    Late::Register.always().await;
}

#[tokio::test]
async fn a_file_that_is_referred_to_late_stays_or_is_in_the_trash() {
    Late::Refer.always().await;
}

#[tokio::test]
async fn a_file_that_is_to_stay_after_all_stays_or_is_in_the_trash() {
    Late::Keep.always().await;
}

#[tokio::test]
async fn a_file_that_is_restored_late_stays_or_is_gone() {
    Late::Restore.always().await;
}

#[tokio::test]
async fn a_version_that_is_brought_back_late_stays_or_is_gone() {
    Late::BringBack.always().await;
}
