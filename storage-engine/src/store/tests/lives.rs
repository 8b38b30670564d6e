//! The lives of files and of appendable uploads in a bucket with a catalogue, one request after the other, and what is
//! found of each afterwards: for tests in which something comes in between.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::TryStreamExt;
use md5::{Digest, Md5};

use super::files::png;
use super::resumable::target;
use crate::backend::BodySource;
use crate::store::body::NewBody;
use crate::store::clock::Timestamp;
use crate::store::condition::{ReadConditions, WriteCondition};
use crate::store::etag::ETag;
use crate::store::files::{File, FileId, FileState};
use crate::store::name::{BucketName, ObjectKey, UploadId};
use crate::store::object::delete::DeleteObject;
use crate::store::object::get::{GetObject, GetObjectError, Selection};
use crate::store::object::put::PutObject;
use crate::store::record::event::EventKind;
use crate::store::record::object::Metadata;
use crate::store::record::resumable::Purpose;
use crate::store::resumable::ResumableError;
use crate::store::resumable::append::{Append, DigestRequest};
use crate::store::resumable::begin::BeginResumable;
use crate::store::{Store, key as rows};

/// Keys that files share, one after the other.
pub(super) const SLOTS: u64 = 6;
/// Far more than any clock of a test is set on.
const LIFE_MS: u64 = 1_000 * 24 * 60 * 60 * 1_000;
const LENGTHS: [usize; 4] = [1, 900, 20_000, 150_000];
/// Bytes that a client appends at a time: what rides in the log, what becomes a part of its own.
const PIECES: [usize; 5] = [17, 140_000, 40_000, 3, 200_000];

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Announced,
    Received,
    Active,
    /// In the trash; nobody had looked at its bytes.
    TrashedUnseen,
    Trashed,
}

const STAGES: [(Stage, char); 5] = [
    (Stage::Announced, 'a'),
    (Stage::Received, 'r'),
    (Stage::Active, 'A'),
    (Stage::TrashedUnseen, 't'),
    (Stage::Trashed, 'T'),
];

/// What a file or an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Absent,
    File {
        stage: Stage,
        /// Of its bytes, with their length; nothing before they come.
        seed: u64,
        len: usize,
        /// How often something else was said of it.
        said: u64,
    },
    Upload {
        seed: u64,
        len: usize,
        stored: usize,
        /// It is an object.
        done: bool,
    },
}

impl Is {
    pub(super) fn text(self) -> String {
        match self {
            Self::Absent => "-".to_owned(),
            Self::File { stage, seed, len, said } => {
                let letter = STAGES
                    .iter()
                    .find(|(known, _)| *known == stage)
                    .map_or('?', |(_, c)| *c);
                format!("f{letter}{seed}:{len}:{said}")
            }
            Self::Upload {
                seed,
                len,
                stored,
                done,
            } => format!("u{}{seed}:{len}:{stored}", u8::from(done)),
        }
    }

    /// Reads a text; `None`: it is no file's and no upload's.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut letters = text.chars();
        let (kind, letter) = (letters.next()?, letters.next()?);
        let numbers: Vec<u64> = letters
            .as_str()
            .split(':')
            .map(|n| n.parse().ok())
            .collect::<Option<_>>()?;
        let [seed, len, last] = numbers[..] else { return None };
        let len = usize::try_from(len).ok()?;
        match kind {
            'f' => Some(Self::File {
                stage: STAGES.iter().find(|(_, known)| *known == letter)?.0,
                seed,
                len,
                said: last,
            }),
            'u' => Some(Self::Upload {
                seed,
                len,
                stored: usize::try_from(last).ok()?,
                done: letter == '1',
            }),
            _ => None,
        }
    }
}

/// Whether something may be so that was acknowledged to be the first of these, and tried to be made the others. Of what is
/// appended any number of bytes may be stored.
pub(super) fn permits(allowed: &[Is], found: Is) -> bool {
    let stored = |is: &Is| match is {
        Is::Upload { stored, .. } => Some(*stored),
        _ => None,
    };
    let between = match found {
        Is::Upload {
            stored: at,
            done: false,
            ..
        } => {
            let from = allowed.first().and_then(stored).unwrap_or_default();
            let acknowledged = matches!(allowed.first(), Some(Is::Upload { done: true, .. }));
            !acknowledged && from <= at && allowed.iter().filter_map(stored).any(|to| at <= to)
        }
        _ => false,
    };
    allowed.contains(&found) || between
}

/// A file, by its number; or an upload, by its id, with the number of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    File(u64),
    Upload(u64, [u8; 16]),
}

impl Who {
    pub(super) fn name(self) -> String {
        match self {
            Self::File(number) => format!("file/{number}"),
            Self::Upload(number, id) => format!("up/{number}/{}", UploadId::from_bytes(id)),
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let (kind, rest) = name.split_once('/')?;
        match (kind, rest.split_once('/')) {
            ("file", None) => Some(Self::File(rest.parse().ok()?)),
            ("up", Some((number, id))) => Some(Self::Upload(
                number.parse().ok()?,
                *UploadId::parse(id).ok()?.as_bytes(),
            )),
            _ => None,
        }
    }

    /// The key of the object.
    fn key(self) -> String {
        match self {
            Self::File(number) => format!("k/{}", number % SLOTS),
            Self::Upload(number, _) => format!("u/{number}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Announce,
    Put,
    Change,
    Activate,
    Trash,
    Restore,
    Purge,
    Delete,
    Append,
    Finish,
    Terminate,
}

/// What is asked for, and what it makes of whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    deed: Deed,
    pub(super) who: Who,
    pub(super) from: Is,
    pub(super) to: Is,
}

/// All that live, and what they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Lives(pub(super) BTreeMap<Who, Is>);

fn after(stage: Stage, is: Is) -> Is {
    match is {
        Is::File { seed, len, said, .. } => Is::File { stage, seed, len, said },
        other => other,
    }
}

fn once_more(is: Is) -> Is {
    match is {
        Is::File { stage, seed, len, said } => Is::File {
            stage,
            seed,
            len,
            said: said + 1,
        },
        other => other,
    }
}

impl Lives {
    /// Something that can be asked for in a slot; `fresh` was never given before.
    pub(super) fn next_of_file(&self, slot: u64, fresh: u64, roll: u64) -> Request {
        let in_slot = |holds: bool| {
            let mut files = self.0.iter().filter_map(move |(who, is)| match (who, is) {
                (Who::File(number), Is::File { stage, .. }) if number % SLOTS == slot % SLOTS => {
                    Some((*who, *is, *stage))
                }
                _ => None,
            });
            files.find(|(_, _, stage)| matches!(stage, Stage::Trashed | Stage::TrashedUnseen) != holds)
        };
        let request = |deed, (who, from): (Who, Is), to| Request { deed, who, from, to };
        let (holder, trashed) = (in_slot(true), in_slot(false));
        let roll = roll % 12;
        if let Some((who, is, stage)) = trashed {
            let free = holder.is_none();
            match (roll, stage) {
                (0, _) => return request(Deed::Purge, (who, is), Is::Absent),
                (1, _) => return request(Deed::Change, (who, is), once_more(is)),
                (2..=6, Stage::Trashed) if free => return request(Deed::Restore, (who, is), after(Stage::Active, is)),
                (2..=6, _) if free => return request(Deed::Restore, (who, is), after(Stage::Received, is)),
                _ => {}
            }
        }
        let Some((who, is, stage)) = holder else {
            let who = Who::File(fresh * SLOTS + slot % SLOTS);
            let to = Is::File {
                stage: Stage::Announced,
                seed: 0,
                len: 0,
                said: 0,
            };
            return request(Deed::Announce, (who, Is::Absent), to);
        };
        let Is::File { said, .. } = is else {
            return request(Deed::Purge, (who, is), Is::Absent);
        };
        let put = |stage| Is::File {
            stage,
            seed: fresh,
            len: LENGTHS[(fresh % 4) as usize],
            said,
        };
        match (stage, roll) {
            (_, 0) => request(Deed::Purge, (who, is), Is::Absent),
            (Stage::Announced, 1) => request(Deed::Change, (who, is), once_more(is)),
            (Stage::Announced, 2..=4) => request(Deed::Put, (who, is), put(Stage::Received)),
            (Stage::Received, 1..=5) => request(Deed::Activate, (who, is), after(Stage::Active, is)),
            (Stage::Received, 6 | 7) => request(Deed::Trash, (who, is), after(Stage::TrashedUnseen, is)),
            (Stage::Active, 1..=3) => request(Deed::Change, (who, is), once_more(is)),
            (Stage::Active, 4..=7) => request(Deed::Trash, (who, is), after(Stage::Trashed, is)),
            (Stage::Active | Stage::Received, 8) => request(Deed::Delete, (who, is), Is::Absent),
            _ => request(Deed::Put, (who, is), put(Stage::Active)),
        }
    }

    /// Something that can be asked about an upload that goes on; `None`: none does.
    pub(super) fn next_of_upload(&self, roll: u64) -> Option<Request> {
        let (who, is) = self
            .0
            .iter()
            .find(|(_, is)| matches!(is, Is::Upload { done: false, .. }))?;
        let (who, from) = (*who, *is);
        let Is::Upload { seed, len, stored, .. } = from else {
            return None;
        };
        let piece = PIECES[(roll % 5) as usize].min(len - stored);
        let (deed, to) = match roll % 11 {
            0 => (Deed::Terminate, Is::Absent),
            _ if piece == 0 => (
                Deed::Finish,
                Is::Upload {
                    seed,
                    len,
                    stored,
                    done: true,
                },
            ),
            _ => {
                let stored = stored + piece;
                let done = stored == len;
                (
                    Deed::Append,
                    Is::Upload {
                        seed,
                        len,
                        stored,
                        done,
                    },
                )
            }
        };
        Some(Request { deed, who, from, to })
    }

    pub(super) fn note(&mut self, who: Who, is: Is) {
        self.0.insert(who, is);
    }
}

pub(super) fn bytes_of(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let mut bytes: Vec<u8> = words.take(len.div_ceil(8)).flatten().collect();
    bytes.truncate(len);
    bytes.into()
}

fn file_id(number: u64) -> FileId {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&number.to_be_bytes());
    FileId::new(Timestamp::from_millis(1_700_000_000_000 + number), random)
}

fn say(file: &mut File, number: u64, said: u64) {
    file.name = format!("File {number}, said {said}.txt");
    file.entity = Some(format!("said/{said}"));
    file.tags = vec![format!("tag {}", said % 3)];
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// A bucket with a catalogue, and the store that it is in.
pub(super) struct Place {
    pub(super) store: Store,
    pub(super) bucket: BucketName,
}

impl Place {
    pub(super) async fn make(&self) -> Result<(), String> {
        self.store.create_bucket(&self.bucket, "").await.map_err(text)?;
        let files = self.store.change_settings(&self.bucket, |settings| {
            settings.files = true;
            settings.listened = EventKind::ALL.into_iter().fold(0, |set, kind| set | kind.bit());
        });
        files.await.map_err(text)
    }

    fn get_of(&self, key: &str) -> GetObject {
        GetObject {
            bucket: self.bucket.clone(),
            key: ObjectKey::parse(key).unwrap(),
            version: None,
            selection: Selection::Whole,
            conditions: ReadConditions::default(),
        }
    }

    /// Begins an upload that becomes an object of its own.
    pub(super) async fn begin(&self, number: u64) -> Result<(Who, Is), String> {
        let len = [200_000, 90, 400_000][(number % 3) as usize];
        let begin = BeginResumable {
            bucket: self.bucket.clone(),
            purpose: Purpose::Object(target(&format!("u/{number}"))),
            owner: None,
            length: Some(len as u64),
            size_max: None,
            life_ms: LIFE_MS,
            said: String::new(),
        };
        let (id, _) = self.store.begin_resumable(begin).await.map_err(text)?;
        let is = Is::Upload {
            seed: number,
            len,
            stored: 0,
            done: false,
        };
        Ok((Who::Upload(number, *id.as_bytes()), is))
    }

    /// Asks for it. An error leaves open what became of it.
    pub(super) async fn ask(&self, request: &Request) -> Result<(), String> {
        match request.who {
            Who::File(number) => self.ask_of_file(number, request).await,
            Who::Upload(_, id) => self.ask_of_upload(UploadId::from_bytes(id), request).await,
        }
    }

    async fn ask_of_file(&self, number: u64, request: &Request) -> Result<(), String> {
        let (bucket, id, key) = (&self.bucket, file_id(number), request.who.key());
        let said = match request.to {
            Is::File { said, .. } => said,
            Is::Absent | Is::Upload { .. } => 0,
        };
        match request.deed {
            Deed::Announce => {
                let mut file = File::pending(key, [1; 16], "-".to_owned(), Timestamp::from_millis(number));
                say(&mut file, number, said);
                self.store.create_file(bucket, id, &file).await.map_err(text)
            }
            Deed::Put => self.put(&key, request.to).await,
            Deed::Change => {
                let change = |file: &mut File| say(file, number, said);
                self.store
                    .change_file(bucket, id, None, change)
                    .await
                    .map(drop)
                    .map_err(text)
            }
            Deed::Activate => {
                let change = |file: &mut File| {
                    file.state = FileState::Active;
                    file.sniffed_type = Some("image/png".to_owned());
                };
                self.store
                    .change_file(bucket, id, None, change)
                    .await
                    .map(drop)
                    .map_err(text)
            }
            Deed::Trash => self.store.trash_file(bucket, id, None).await.map(drop).map_err(text),
            Deed::Restore => self.store.restore_file(bucket, id, None).await.map(drop).map_err(text),
            Deed::Purge => self.store.purge_file(bucket, id, None).await.map_err(text),
            Deed::Delete => {
                let delete = DeleteObject {
                    bucket: bucket.clone(),
                    key: ObjectKey::parse(key).map_err(text)?,
                    version: None,
                    condition: WriteCondition::default(),
                };
                self.store.delete_object(&delete).await.map(drop).map_err(text)
            }
            Deed::Append | Deed::Finish | Deed::Terminate => Err("a file is not appended to".to_owned()),
        }
    }

    async fn put(&self, key: &str, to: Is) -> Result<(), String> {
        let Is::File { stage, seed, len, .. } = to else {
            return Err("nothing to put".to_owned());
        };
        let put = PutObject {
            labels: Default::default(),
            bucket: self.bucket.clone(),
            key: ObjectKey::parse(key).map_err(text)?,
            metadata: Metadata {
                content_type: Some(format!("seed/{seed}")),
                ..Metadata::default()
            },
            body: NewBody::from_bytes(bytes_of(seed, len)),
            condition: WriteCondition::default(),
        };
        let store = match stage {
            Stage::Active => self.store.witnessed(png()),
            _ => self.store.clone(),
        };
        store.put_object(put).await.map(drop).map_err(text)
    }

    async fn ask_of_upload(&self, upload: UploadId, request: &Request) -> Result<(), String> {
        let (Is::Upload { stored: from, .. }, bucket) = (request.from, &self.bucket) else {
            return Err("no upload goes on".to_owned());
        };
        match (request.deed, request.to) {
            (Deed::Append, Is::Upload { seed, len, stored, .. }) => {
                let piece = bytes_of(seed, len).slice(from..stored);
                let chunks: Vec<Bytes> = piece.chunks(7_000).map(Bytes::copy_from_slice).collect();
                let body: BodySource<'static> = Box::pin(futures::stream::iter(chunks.into_iter().map(Ok)));
                let append = Append {
                    bucket: bucket.clone(),
                    upload,
                    offset: from as u64,
                    body,
                    len: None,
                    digest: DigestRequest::None,
                    last: false,
                };
                let appended = self.store.append(append).await.map_err(text)?;
                match appended.upload.offset == stored as u64 {
                    true => Ok(()),
                    false => Err(format!("{} bytes are stored, not {stored}", appended.upload.offset)),
                }
            }
            (Deed::Finish, _) => self
                .store
                .finish_resumable(bucket, &upload)
                .await
                .map(drop)
                .map_err(text),
            _ => self
                .store
                .terminate_resumable(bucket, &upload)
                .await
                .map(drop)
                .map_err(text),
        }
    }

    /// What somebody is found to be, every byte of them read.
    pub(super) async fn find(&self, who: Who) -> Result<Is, String> {
        match who {
            Who::File(number) => self.find_file(number).await,
            Who::Upload(number, id) => self.find_upload(who, number, UploadId::from_bytes(id)).await,
        }
    }

    async fn find_file(&self, number: u64) -> Result<Is, String> {
        let found = self.store.file(&self.bucket, &file_id(number)).await.map_err(text)?;
        let Some((file, _)) = found else { return Ok(Is::Absent) };
        let numbered = |text: &Option<String>, kind: &str| {
            let number = text
                .as_deref()
                .and_then(|text| text.strip_prefix(kind)?.parse::<u64>().ok());
            number.ok_or_else(|| format!("{text:?} is said of a file"))
        };
        let said = numbered(&file.entity, "said/")?;
        let (mut expected, len) = (file.clone(), usize::try_from(file.size).map_err(text)?);
        say(&mut expected, number, said);
        if expected != file {
            return Err(format!(
                "{:?} and {:?} are said of a file at once",
                file.name, file.tags
            ));
        }
        let stage = match (file.state, file.trash) {
            (FileState::Pending, _) => {
                let (stage, seed) = (Stage::Announced, 0);
                return Ok(Is::File { stage, seed, len, said });
            }
            (FileState::Received, _) => Stage::Received,
            (FileState::Active, _) => Stage::Active,
            (FileState::Trashed, Some(_)) if file.sniffed_type.is_some() => Stage::Trashed,
            (FileState::Trashed, Some(_)) => Stage::TrashedUnseen,
            (state, _) => return Err(format!("a file is {} that nobody made so", state.name())),
        };
        let seed = numbered(&file.declared_type, "seed/")?;
        let bytes = match file.trash {
            None => self.read(&file.key).await?.ok_or("a file has no object")?,
            Some(version) => {
                let key = ObjectKey::parse(file.key.clone()).map_err(text)?;
                let backend = self.store.backend();
                let row = backend
                    .get(&rows::version(&self.bucket, &key, &version))
                    .await
                    .map_err(text)?;
                let body = row.and_then(|row| row.body).ok_or("the trash has no bytes")?;
                let chunks = backend.get_blob(&body, 0..file.size).await.map_err(text)?;
                chunks.try_collect::<Vec<Bytes>>().await.map_err(text)?.concat().into()
            }
        };
        if bytes != bytes_of(seed, len) || file.etag != Some(ETag::Md5(Md5::digest(&bytes).into())) {
            return Err(format!("{} bytes are not those of {seed}:{len}", bytes.len()));
        }
        Ok(Is::File { stage, seed, len, said })
    }

    async fn find_upload(&self, who: Who, seed: u64, id: UploadId) -> Result<Is, String> {
        let record = match self.store.resumable(&self.bucket, &id).await {
            Ok(record) => record,
            Err(ResumableError::NoSuchUpload) => {
                return match self.read(&who.key()).await? {
                    None => Ok(Is::Absent),
                    Some(_) => Err("an upload that ended is an object".to_owned()),
                };
            }
            Err(error) => return Err(text(error)),
        };
        let len = usize::try_from(record.length.unwrap_or_default()).map_err(text)?;
        let stored = usize::try_from(record.offset).map_err(text)?;
        let done = record.done.is_some();
        match self.read(&who.key()).await? {
            Some(bytes) if done && bytes == bytes_of(seed, len) => {}
            None if !done => {}
            other => {
                let found = other.map(|bytes| bytes.len());
                return Err(format!("an upload, done: {done}, has an object of {found:?} bytes"));
            }
        }
        Ok(Is::Upload {
            seed,
            len,
            stored,
            done,
        })
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, String> {
        match self.store.get_object(&self.get_of(key)).await {
            Ok(read) => {
                let chunks: Vec<Bytes> = read.body.try_collect().await.map_err(text)?;
                Ok(Some(chunks.concat().into()))
            }
            Err(GetObjectError::NoSuchKey | GetObjectError::NoSuchBucket) => Ok(None),
            Err(error) => Err(text(error)),
        }
    }
}
