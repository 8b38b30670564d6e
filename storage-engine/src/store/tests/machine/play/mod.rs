//! Plays one sequence on the engine and on the reference model, and compares every answer.

mod lives;

use std::collections::BTreeSet;
use std::fmt::Debug;

use futures::TryStreamExt;

use super::ground::Ground;
use super::reference::{Body, Condition, Item, Named, Range, Reference, Refusal, md5_hex};
use super::steps::{Naming, Pages, Step};
use crate::store::body::NewBody;
use crate::store::condition::{ReadConditions, WriteCondition, WriteRefused};
use crate::store::etag::ETag;
use crate::store::list::{ListObjects, ListPage, ListVersions, Listed, ListedObject, ListedVersion, VersionKind};
use crate::store::multipart::abort::AbortUploadError;
use crate::store::multipart::begin::BeginUpload;
use crate::store::multipart::complete::{CompleteUpload, CompleteUploadError, NamedPart};
use crate::store::multipart::list::{ListParts, ListPartsError, ListUploads};
use crate::store::multipart::part::{PartPlace, UploadPartError};
use crate::store::name::{ObjectKey, PartNumber, UploadId};
use crate::store::object::copy::{CopyObject, CopyObjectError, CopySource, CopySourceError};
use crate::store::object::delete::{DeleteObject, DeleteObjectError};
use crate::store::object::get::{GetObject, GetObjectError, Selection};
use crate::store::object::put::{PutObject, PutObjectError};
use crate::store::record::object::Metadata;

const PAGES_MAX: usize = 100;
const TYPE: &str = "text/x";

/// What an operation of the store came to: an answer, a refusal, or a fault that no step may cause.
type Outcome<T> = Result<T, Failed>;

#[derive(Debug, PartialEq, Eq)]
enum Failed {
    Refused(Refusal),
    Fault(String),
}

fn fault(error: impl Debug) -> Failed {
    Failed::Fault(format!("{error:?}"))
}

fn refused(refused: WriteRefused) -> Failed {
    match refused {
        WriteRefused::PreconditionFailed(_) => Failed::Refused(Refusal::Precondition),
        WriteRefused::NoSuchKey => Failed::Refused(Refusal::NoSuchKey),
        WriteRefused::Conflict => fault(refused),
    }
}

fn of_put(error: PutObjectError) -> Failed {
    match error {
        PutObjectError::Refused(why) => refused(why),
        other => fault(other),
    }
}

/// Long bytes by their length and MD5.
fn shown<T: Debug>(value: &T) -> String {
    let text = format!("{value:?}");
    if text.len() > 2000 {
        format!("{} characters, MD5 {}", text.len(), md5_hex(text.as_bytes()))
    } else {
        text
    }
}

fn same<T: Debug + PartialEq>(got: Outcome<T>, expected: Result<T, Refusal>) -> Result<(), String> {
    let expected = expected.map_err(Failed::Refused);
    if got == expected {
        Ok(())
    } else {
        Err(format!("answers {}, not {}", shown(&got), shown(&expected)))
    }
}

fn metadata(typed: bool) -> Metadata {
    Metadata {
        content_type: typed.then(|| TYPE.to_owned()),
        ..Metadata::default()
    }
}

fn object_key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

struct Play {
    ground: Ground,
    model: Reference,
    /// By the order in which they were begun.
    uploads: Vec<(UploadId, String)>,
    keys: BTreeSet<String>,
    lives: lives::Known,
}

/// Plays a sequence; an error says at which step the engine and the model part.
pub(super) async fn play(sequence: &[Step]) -> Result<(), String> {
    let mut play = Play {
        ground: Ground::new().await?,
        model: Reference::default(),
        uploads: Vec::new(),
        keys: BTreeSet::new(),
        lives: lives::Known::default(),
    };
    for (number, step) in sequence.iter().enumerate() {
        let done = play.step(step).await;
        done.map_err(|why| format!("step {number}, {}: {why}", shown(step)))?;
    }
    play.look_at_all().await.map_err(|why| format!("at the end: {why}"))?;
    play.ground.clean_restart().await?;
    play.look_at_all()
        .await
        .map_err(|why| format!("after a last restart: {why}"))
}

impl Play {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Put {
                key,
                body,
                typed,
                condition,
            } => self.put(key, *body, *typed, condition).await,
            Step::Get { key, range } => same(self.read(key, *range).await, self.model.get(key, *range)),
            Step::Delete { key, condition } => self.delete(key, condition).await,
            Step::Copy { from, to, typed } => self.copy(from, to, *typed).await,
            Step::List {
                prefix,
                delimiter,
                limit,
                pages,
            } => self.list((prefix.as_str(), delimiter.as_str()), *limit, *pages).await,
            Step::Life(number) => self.life(*number).await,
            Step::LifeCut(number) => self.life_cut(*number).await,
            Step::CleanRestart => {
                self.ground.clean_restart().await?;
                self.look_at_lives().await
            }
            Step::DirtyReboot { under_way } => {
                self.dirty_reboot(under_way.as_ref()).await?;
                self.look_at_lives().await
            }
            Step::FailDrive(drive) => {
                self.ground.fail_drive(*drive);
                Ok(())
            }
            Step::ReturnDrive => self.ground.return_drive().await,
            Step::WipeDrive(drive) => self.ground.wipe_drive(*drive).await,
            Step::FlipByte {
                drive,
                file,
                which,
                at,
                bit,
            } => {
                self.ground.flip_byte(*drive, *file, (*which, *at, *bit))?;
                self.look_at_ranges().await
            }
            Step::Checkpoint => self.ground.checkpoint().await,
            Step::Compact => self.ground.compact().await,
            Step::Heal => self.ground.heal().await,
            Step::Widen { drive, key, body } => {
                self.ground.fail_drive(*drive);
                self.put(key, *body, false, &Condition::None).await?;
                self.ground.return_drive().await?;
                self.ground.widen().await
            }
            Step::ClockJump { back } => {
                self.ground.jump(*back);
                Ok(())
            }
            Step::Begin { .. }
            | Step::Part { .. }
            | Step::Complete { .. }
            | Step::Abort { .. }
            | Step::ListParts { .. }
            | Step::ListUploads { .. }
            | Step::Upload { .. } => self.upload_step(step).await,
        }
    }

    fn condition(&self, key: &str, condition: &Condition) -> WriteCondition {
        let is = |etag: &str| WriteCondition::if_match(&ETag::parse(etag).unwrap());
        match condition {
            Condition::None => WriteCondition::default(),
            Condition::Absent => WriteCondition::if_none_match_any(),
            Condition::Is(body) => is(&md5_hex(&body.bytes())),
            Condition::Current => is(&self
                .model
                .object(key)
                .map_or(md5_hex(b"nothing"), |object| object.etag.clone())),
        }
    }

    fn put_of(&self, key: &str, body: Body, typed: bool, condition: &Condition) -> PutObject<'static> {
        PutObject {
            labels: Default::default(),
            bucket: self.ground.bucket.clone(),
            key: object_key(key),
            metadata: metadata(typed),
            body: NewBody::from_bytes(body.bytes()),
            condition: self.condition(key, condition),
        }
    }

    async fn put(&mut self, key: &str, body: Body, typed: bool, condition: &Condition) -> Result<(), String> {
        self.keys.insert(key.to_owned());
        let put = self.put_of(key, body, typed, condition);
        let stored = self.ground.store().put_object(put).await;
        let got = stored.map(|stored| stored.etag.to_string()).map_err(of_put);
        let content_type = typed.then(|| TYPE.to_owned());
        same(got, self.model.put(key, body.bytes(), content_type, condition))
    }

    fn get_of(&self, key: &str, range: Range) -> GetObject {
        GetObject {
            bucket: self.ground.bucket.clone(),
            key: object_key(key),
            version: None,
            selection: match range {
                Range::Whole => Selection::Whole,
                Range::From(first, last) => Selection::From { first, last },
                Range::Last(len) => Selection::Last { len },
            },
            conditions: ReadConditions::default(),
        }
    }

    async fn read(&self, key: &str, range: Range) -> Outcome<Vec<u8>> {
        let read = self
            .ground
            .store()
            .get_object(&self.get_of(key, range))
            .await
            .map_err(|error| match error {
                GetObjectError::NoSuchKey => Failed::Refused(Refusal::NoSuchKey),
                GetObjectError::RangeNotSatisfiable { .. } => Failed::Refused(Refusal::NotSatisfiable),
                other => fault(other),
            })?;
        let chunks: Vec<bytes::Bytes> = read.body.try_collect().await.map_err(fault)?;
        Ok(chunks.concat())
    }

    async fn delete(&mut self, key: &str, condition: &Condition) -> Result<(), String> {
        let delete = DeleteObject {
            bucket: self.ground.bucket.clone(),
            key: object_key(key),
            version: None,
            condition: self.condition(key, condition),
        };
        let got = self
            .ground
            .store()
            .delete_object(&delete)
            .await
            .map_err(|error| match error {
                DeleteObjectError::Refused(why) => refused(why),
                other => fault(other),
            });
        same(got, self.model.delete(key, condition))
    }

    fn copy_of(&self, from: &str, to: &str, typed: bool) -> CopyObject {
        CopyObject {
            tags: None,
            owner: None,
            visibility: None,
            offered: false,
            source: CopySource {
                bucket: self.ground.bucket.clone(),
                key: object_key(from),
                version: None,
                conditions: ReadConditions::default(),
            },
            bucket: self.ground.bucket.clone(),
            key: object_key(to),
            metadata: typed.then(|| metadata(true)),
            storage_class: None,
            checksum: None,
            condition: WriteCondition::default(),
        }
    }

    async fn copy(&mut self, from: &str, to: &str, typed: bool) -> Result<(), String> {
        self.keys.insert(to.to_owned());
        let copied = self.ground.store().copy_object(self.copy_of(from, to, typed)).await;
        let got = copied
            .map(|stored| stored.etag.to_string())
            .map_err(|error| match error {
                CopyObjectError::Source(CopySourceError::NoSuchKey) => Failed::Refused(Refusal::NoSuchKey),
                CopyObjectError::NothingChanges => Failed::Refused(Refusal::NothingChanges),
                CopyObjectError::Put(error) => of_put(error),
                CopyObjectError::Source(other) => fault(other),
            });
        same(got, self.model.copy(from, to, typed.then(|| TYPE.to_owned())))
    }

    async fn list(&self, (prefix, delimiter): (&str, &str), limit: usize, pages: Pages) -> Result<(), String> {
        let (mut items, mut after) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let (page, next) = match pages {
                Pages::Objects => self.page_of_objects((prefix, delimiter), after, limit).await?,
                Pages::Versions => self.page_of_versions((prefix, delimiter), after, limit).await?,
            };
            if page.len() > limit {
                return Err(format!("a page of {} items, not {limit}", page.len()));
            }
            items.extend(page);
            after = next;
            if after.is_none() {
                return same(Ok(items), Ok(self.model.list(prefix, delimiter)));
            }
        }
        Err("a listing without an end".to_owned())
    }

    async fn page_of_objects(
        &self,
        (prefix, delimiter): (&str, &str),
        after: Option<String>,
        limit: usize,
    ) -> Result<(Vec<Item>, Option<String>), String> {
        let list = ListObjects {
            bucket: self.ground.bucket.clone(),
            prefix: prefix.to_owned(),
            delimiter: delimiter.to_owned(),
            after,
            limit,
        };
        let page: ListPage<ListedObject> = self
            .ground
            .store()
            .list_objects(&list)
            .await
            .map_err(|error| error.to_string())?;
        let item = |listed| match listed {
            Listed::Item(ListedObject { key, object }) => {
                Item::Key(key.into_string(), object.etag.to_string(), object.size)
            }
            Listed::CommonPrefix(prefix) => Item::Prefix(prefix),
        };
        Ok((page.items.into_iter().map(item).collect(), page.next))
    }

    async fn page_of_versions(
        &self,
        (prefix, delimiter): (&str, &str),
        key_marker: Option<String>,
        limit: usize,
    ) -> Result<(Vec<Item>, Option<String>), String> {
        let list = ListVersions {
            bucket: self.ground.bucket.clone(),
            prefix: prefix.to_owned(),
            delimiter: delimiter.to_owned(),
            key_marker,
            version_marker: None,
            limit,
        };
        let page = self
            .ground
            .store()
            .list_versions(&list)
            .await
            .map_err(|error| error.to_string())?;
        let item = |listed| match listed {
            Listed::Item(ListedVersion {
                key,
                kind: VersionKind::Object(object),
                is_latest: true,
                ..
            }) => Ok(Item::Key(key.into_string(), object.etag.to_string(), object.size)),
            Listed::Item(other) => Err(format!("{other:?}")),
            Listed::CommonPrefix(prefix) => Ok(Item::Prefix(prefix)),
        };
        Ok((page.items.into_iter().map(item).collect::<Result<_, _>>()?, page.next))
    }

    /// A PUT that is under way when the power goes is there whole or not at all.
    async fn dirty_reboot(&mut self, under_way: Option<&(String, Body)>) -> Result<(), String> {
        let Some((key, body)) = under_way else {
            return self.ground.dirty_reboot().await;
        };
        self.keys.insert(key.clone());
        let (store, put) = (
            self.ground.store().clone(),
            self.put_of(key, *body, false, &Condition::None),
        );
        let putting = tokio::spawn(async move { store.put_object(put).await.map(drop) });
        for _ in 0..body.len % 7 {
            tokio::task::yield_now().await;
        }
        putting.abort();
        let acknowledged = matches!(putting.await, Ok(Ok(())));
        self.ground.dirty_reboot().await?;
        let found = self.read(key, Range::Whole).await;
        if acknowledged || found.as_ref().is_ok_and(|found| *found == body.bytes()) {
            let same_before = self
                .model
                .get(key, Range::Whole)
                .is_ok_and(|before| before == body.bytes());
            if !same_before || acknowledged {
                let _ = self.model.put(key, body.bytes(), None, &Condition::None);
            } else {
                // Old and new are the same bytes; which of them it is shows in its type and ETag.
                return self.settle(key, *body).await;
            }
        }
        same(found, self.model.get(key, Range::Whole))
    }

    async fn settle(&mut self, key: &str, body: Body) -> Result<(), String> {
        let head = self.ground.store().head_object(&self.get_of(key, Range::Whole)).await;
        let object = head.map_err(|error| error.to_string())?.object;
        let stands = self.model.object(key).is_some_and(|old| {
            old.etag == object.etag.to_string()
                && old.content_type == object.metadata.content_type
                && object.upload.is_some() == old.is_upload()
        });
        if !stands {
            let _ = self.model.put(key, body.bytes(), None, &Condition::None);
        }
        Ok(())
    }

    async fn upload_step(&mut self, step: &Step) -> Result<(), String> {
        let chosen = |upload: usize| upload.checked_rem(self.uploads.len());
        match step {
            Step::Begin { key } => self.begin(key).await.map(drop),
            Step::Upload { key, second } => self.whole_upload(key, *second).await,
            Step::ListUploads { limit } => self.list_uploads(*limit).await,
            Step::Part { upload, number, body } => match chosen(*upload) {
                Some(upload) => self.part(upload, *number, *body).await,
                None => Ok(()),
            },
            Step::Complete { upload, naming } => match chosen(*upload) {
                Some(upload) => self.complete(upload, *naming).await,
                None => Ok(()),
            },
            Step::Abort { upload } => match chosen(*upload) {
                Some(upload) => self.abort(upload).await,
                None => Ok(()),
            },
            Step::ListParts { upload, limit } => match chosen(*upload) {
                Some(upload) => self.list_parts(upload, *limit).await,
                None => Ok(()),
            },
            other => Err(format!("no step of an upload: {other:?}")),
        }
    }

    async fn begin(&mut self, key: &str) -> Result<usize, String> {
        self.keys.insert(key.to_owned());
        let begin = BeginUpload {
            labels: Default::default(),
            initiator: None,
            bucket: self.ground.bucket.clone(),
            key: object_key(key),
            metadata: metadata(true),
            checksum: None,
        };
        let id = self
            .ground
            .store()
            .begin_upload(begin)
            .await
            .map_err(|error| error.to_string())?;
        self.uploads.push((id, key.to_owned()));
        Ok(self.model.begin(key, Some(TYPE.to_owned())))
    }

    async fn part(&mut self, upload: usize, number: u16, body: Body) -> Result<(), String> {
        let (id, key) = self.uploads[upload].clone();
        let place = PartPlace {
            bucket: self.ground.bucket.clone(),
            key: object_key(&key),
            upload: id,
            number: PartNumber::new(number).unwrap(),
        };
        let new = NewBody::from_bytes(body.bytes());
        let stored = self.ground.store().upload_part(&place, new).await;
        let got = stored.map(|part| part.etag.to_string()).map_err(|error| match error {
            UploadPartError::NoSuchUpload => Failed::Refused(Refusal::NoSuchUpload),
            other => fault(other),
        });
        same(got, self.model.part(upload, number, body.bytes()))
    }

    fn named(&self, upload: usize, naming: Naming) -> Vec<Named> {
        let Ok(parts) = self.model.parts(upload) else {
            return vec![Named {
                number: 1,
                etag: md5_hex(b""),
            }];
        };
        let mut named: Vec<Named> = parts
            .into_iter()
            .map(|(number, _, etag)| Named { number, etag })
            .collect();
        match naming {
            Naming::All => {}
            Naming::Last => named = named.pop().into_iter().collect(),
            Naming::None => named.clear(),
            Naming::Reversed => named.reverse(),
            Naming::OneMore => named.push(Named {
                number: 9,
                etag: md5_hex(b""),
            }),
            Naming::WrongETag => named.iter_mut().for_each(|part| part.etag = md5_hex(b"wrong")),
        }
        named
    }

    async fn complete(&mut self, upload: usize, naming: Naming) -> Result<(), String> {
        let (id, key) = self.uploads[upload].clone();
        let named = self.named(upload, naming);
        let part = |part: &Named| NamedPart {
            number: PartNumber::new(part.number).unwrap(),
            etag: part.etag.clone(),
            checksum: None,
        };
        let complete = CompleteUpload {
            bucket: self.ground.bucket.clone(),
            key: object_key(&key),
            upload: id,
            parts: named.iter().map(part).collect(),
            condition: WriteCondition::default(),
            checksum: None,
            checksum_type: None,
            size: None,
        };
        let got = self.ground.store().complete_upload(complete).await;
        let got = got
            .map(|completed| completed.stored.etag.to_string())
            .map_err(|error| match error {
                CompleteUploadError::NoParts => Failed::Refused(Refusal::NoParts),
                CompleteUploadError::PartOrder => Failed::Refused(Refusal::PartOrder),
                CompleteUploadError::NoSuchUpload => Failed::Refused(Refusal::NoSuchUpload),
                CompleteUploadError::InvalidPart(_) => Failed::Refused(Refusal::InvalidPart),
                CompleteUploadError::PartTooSmall { .. } => Failed::Refused(Refusal::PartTooSmall),
                other => fault(other),
            });
        same(got, self.model.complete((upload, &key), &named))
    }

    async fn whole_upload(&mut self, key: &str, second: Body) -> Result<(), String> {
        let upload = self.begin(key).await?;
        let first = Body { seed: 9, len: 5 << 20 };
        self.part(upload, 1, first).await?;
        self.part(upload, 2, second).await?;
        self.complete(upload, Naming::All).await
    }

    async fn abort(&mut self, upload: usize) -> Result<(), String> {
        let (id, key) = self.uploads[upload].clone();
        let got = self
            .ground
            .store()
            .abort_upload(&self.ground.bucket, &object_key(&key), &id)
            .await;
        let got = got.map_err(|error| match error {
            AbortUploadError::NoSuchUpload => Failed::Refused(Refusal::NoSuchUpload),
            other => fault(other),
        });
        same(got, self.model.abort(upload))
    }

    async fn list_parts(&self, upload: usize, limit: usize) -> Result<(), String> {
        let (id, key) = self.uploads[upload].clone();
        let mut list = ListParts {
            bucket: self.ground.bucket.clone(),
            key: object_key(&key),
            upload: id,
            after: 0,
            limit,
        };
        let mut parts = Vec::new();
        loop {
            let page = match self.ground.store().list_parts(&list).await {
                Ok(page) => page,
                Err(ListPartsError::NoSuchUpload) => {
                    return same(Err(Failed::Refused(Refusal::NoSuchUpload)), self.model.parts(upload));
                }
                Err(other) => return Err(format!("{other:?}")),
            };
            parts.extend(
                page.parts
                    .into_iter()
                    .map(|(number, part)| (number.get(), part.size, part.etag.to_string())),
            );
            match page.next {
                Some(next) => list.after = next.get(),
                None => return same(Ok(parts), self.model.parts(upload)),
            }
        }
    }

    async fn list_uploads(&self, limit: usize) -> Result<(), String> {
        let mut list = ListUploads {
            bucket: self.ground.bucket.clone(),
            prefix: String::new(),
            delimiter: String::new(),
            key_marker: None,
            upload_marker: None,
            limit,
        };
        let mut found = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self
                .ground
                .store()
                .list_uploads(&list)
                .await
                .map_err(|error| error.to_string())?;
            for item in page.items {
                let Listed::Item(listed) = item else {
                    return Err("a prefix without a delimiter".to_owned());
                };
                let number = self.uploads.iter().position(|(id, _)| *id == listed.id);
                found.push((listed.key.as_str().to_owned(), number.ok_or("an upload nobody began")?));
                list.upload_marker = Some(listed.id);
            }
            list.key_marker = page.next;
            if list.key_marker.is_none() {
                // Those of one key stand in the order of the clock, which jumps here.
                found.sort();
                return same(Ok(found), Ok(self.model.uploads().into_iter().collect()));
            }
        }
        Err("a listing without an end".to_owned())
    }

    /// All of every key but its first byte.
    async fn look_at_ranges(&self) -> Result<(), String> {
        for key in &self.keys {
            let range = Range::From(1, None);
            let found = same(self.read(key, range).await, self.model.get(key, range));
            found.map_err(|why| format!("{}: {why}", shown(key)))?;
        }
        Ok(())
    }

    /// Everything the model knows, and nothing else.
    async fn look_at_all(&self) -> Result<(), String> {
        for key in &self.keys {
            let name = shown(key);
            same(self.read(key, Range::Whole).await, self.model.get(key, Range::Whole))
                .map_err(|why| format!("{name}: {why}"))?;
            let head = self
                .ground
                .store()
                .head_object(&self.get_of(key, Range::Whole))
                .await
                .ok();
            let got = head.map(|head| (head.object.etag.to_string(), head.object.metadata.content_type));
            let expected = self
                .model
                .object(key)
                .map(|object| (object.etag.clone(), object.content_type.clone()));
            same(Ok(got), Ok(expected)).map_err(|why| format!("{name}: {why}"))?;
        }
        for (prefix, delimiter) in [("", ""), ("", "/"), ("a/", "/")] {
            self.list((prefix, delimiter), 2, Pages::Objects).await?;
        }
        for upload in 0..self.uploads.len() {
            self.list_parts(upload, 1000).await?;
        }
        self.list_uploads(1).await?;
        self.look_at_lives().await
    }
}
