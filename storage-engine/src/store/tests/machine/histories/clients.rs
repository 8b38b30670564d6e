//! Clients that send calls as chance has it, and write down when each was sent and answered, and what it showed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use futures::TryStreamExt;
use md5::{Digest, Md5};
use parking_lot::Mutex;

use super::super::cuts::Chance;
use super::super::ground::Ground;
use super::super::reference::{hex, md5_hex};
use super::checker::{Call, Condition, Event, Value};
use crate::store::Store;
use crate::store::body::NewBody;
use crate::store::condition::{ReadConditions, WriteCondition, WriteRefused};
use crate::store::etag::ETag;
use crate::store::list::{ListObjects, Listed};
use crate::store::multipart::begin::BeginUpload;
use crate::store::multipart::complete::{CompleteUpload, NamedPart};
use crate::store::multipart::part::PartPlace;
use crate::store::name::{BucketName, ObjectKey, PartNumber};
use crate::store::object::copy::{CopyObject, CopySource};
use crate::store::object::delete::DeleteObject;
use crate::store::object::get::{GetObject, GetObjectError, Selection};
use crate::store::object::put::{PutObject, PutObjectError};
use crate::store::record::object::Metadata;

pub(super) const CLIENTS: usize = 6;
const CALLS: usize = 10;
/// Keys that are written all the time.
const KEYS: usize = 3;
/// Keys that are written once, to be copied from and to be in every listing.
const STILL: usize = 3;
const PAGE: usize = 2;
const LARGE: usize = 140_000;

/// One round on keys of its own.
pub(super) struct Round {
    bucket: BucketName,
    number: u32,
    time: AtomicU64,
    bodies: AtomicU32,
    by_etag: Mutex<HashMap<String, u32>>,
    /// Bodies of the still keys, once they are written.
    still: Mutex<BTreeMap<String, u32>>,
    events: Mutex<BTreeMap<String, Vec<Event>>>,
}

/// A body that says which it is all along.
fn bytes_of(number: u32) -> Vec<u8> {
    let len = if number.is_multiple_of(11) {
        LARGE
    } else {
        64 + number as usize % 900
    };
    number.to_le_bytes().into_iter().cycle().take(len).collect()
}

fn etag_of_upload(bytes: &[u8]) -> String {
    format!("{}-1", hex(&Md5::digest(Md5::digest(bytes))))
}

fn object_key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).unwrap()
}

impl Round {
    pub(super) fn new(ground: &Ground, number: u32) -> Arc<Self> {
        Arc::new(Self {
            bucket: ground.bucket.clone(),
            number,
            time: AtomicU64::new(0),
            bodies: AtomicU32::new(number * 10_000),
            by_etag: Mutex::default(),
            still: Mutex::default(),
            events: Mutex::default(),
        })
    }

    pub(super) fn histories(&self) -> BTreeMap<String, Vec<Event>> {
        std::mem::take(&mut *self.events.lock())
    }

    fn prefix(&self) -> String {
        format!("{:06}/", self.number)
    }

    fn now(&self) -> u64 {
        self.time.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, key: &str, sent: u64, call: Call) {
        let answered = self.now();
        let event = Event { sent, answered, call };
        self.events.lock().entry(key.to_owned()).or_default().push(event);
    }

    /// A body that no other call writes.
    fn body(&self) -> (u32, Vec<u8>) {
        let number = self.bodies.fetch_add(1, Ordering::Relaxed);
        let bytes = bytes_of(number);
        let mut by_etag = self.by_etag.lock();
        by_etag.insert(md5_hex(&bytes), number);
        by_etag.insert(etag_of_upload(&bytes), number);
        (number, bytes)
    }

    fn number_of(&self, etag: &ETag) -> Result<u32, String> {
        let number = self.by_etag.lock().get(&etag.to_string()).copied();
        number.ok_or_else(|| format!("nobody wrote what has the ETag {etag}"))
    }

    /// Sends calls; an error is one that no answer may be.
    pub(super) async fn client(&self, store: &Store, mut chance: Chance, faulty: bool) -> Result<(), String> {
        let first = chance.below(STILL);
        self.put(
            store,
            &format!("{}still{first}", self.prefix()),
            Condition::Absent,
            faulty,
        )
        .await?;
        for _ in 0..CALLS {
            let key = format!("{}moves{}", self.prefix(), chance.below(KEYS));
            match chance.below(12) {
                0..=2 => self.put(store, &key, Condition::None, faulty).await?,
                3 => self.put(store, &key, Condition::Absent, faulty).await?,
                4 => self.put_over(store, &key, faulty).await?,
                5 => self.delete(store, &key, faulty).await?,
                6 => self.copy(store, &key, faulty).await?,
                7 => self.upload(store, &key, faulty).await?,
                8 => self.list(store, faulty).await?,
                9 => self.head(store, &key, faulty).await?,
                _ => self.get(store, &key, faulty).await?,
            }
        }
        self.list(store, faulty).await
    }

    /// Notes a write that failed: only while drives fail may it be left open.
    fn left_open(&self, key: &str, sent: u64, call: Call, why: &str, faulty: bool) -> Result<(), String> {
        if !faulty || !why.contains("navailable") {
            return Err(format!("{key}: {why}"));
        }
        self.note(key, sent, call);
        Ok(())
    }

    async fn put(&self, store: &Store, key: &str, condition: Condition, faulty: bool) -> Result<(), String> {
        let (number, bytes) = self.body();
        let put = PutObject {
            labels: Default::default(),
            bucket: self.bucket.clone(),
            key: object_key(key),
            metadata: Metadata::default(),
            body: NewBody::from_bytes(bytes),
            condition: match condition {
                Condition::None => WriteCondition::default(),
                Condition::Absent => WriteCondition::if_none_match_any(),
                Condition::Is(old) => WriteCondition::if_match(&self.etag(old)?),
            },
        };
        let sent = self.now();
        match store.put_object(put).await {
            Ok(_) => {
                self.note(key, sent, Call::Writes(condition, Some(number)));
                if key.contains("still") {
                    self.still.lock().insert(key.to_owned(), number);
                }
                Ok(())
            }
            Err(PutObjectError::Refused(WriteRefused::PreconditionFailed(_) | WriteRefused::NoSuchKey)) => {
                self.note(key, sent, Call::Refused(condition));
                Ok(())
            }
            // Another was at work on the key; nothing was stored.
            Err(PutObjectError::Refused(WriteRefused::Conflict)) => Ok(()),
            Err(error) => {
                let call = Call::MayWrite(condition, Some(number));
                self.left_open(key, sent, call, &format!("{error:?}"), faulty)
            }
        }
    }

    fn etag(&self, number: u32) -> Result<ETag, String> {
        ETag::parse(&md5_hex(&bytes_of(number))).ok_or_else(|| "an ETag cannot be read".to_owned())
    }

    /// A PUT on condition that what was just seen still stands.
    async fn put_over(&self, store: &Store, key: &str, faulty: bool) -> Result<(), String> {
        let Ok(head) = store.head_object(&self.get_of(key)).await else {
            return Ok(());
        };
        let etag = head.object.etag.to_string();
        let number = self.number_of(&head.object.etag)?;
        if etag.contains('-') {
            return Ok(());
        }
        self.put(store, key, Condition::Is(number), faulty).await
    }

    async fn delete(&self, store: &Store, key: &str, faulty: bool) -> Result<(), String> {
        let delete = DeleteObject {
            bucket: self.bucket.clone(),
            key: object_key(key),
            version: None,
            condition: WriteCondition::default(),
        };
        let sent = self.now();
        match store.delete_object(&delete).await {
            Ok(_) => self.note(key, sent, Call::Writes(Condition::None, None)),
            Err(error) => {
                let call = Call::MayWrite(Condition::None, None);
                self.left_open(key, sent, call, &format!("{error:?}"), faulty)?;
            }
        }
        Ok(())
    }

    async fn copy(&self, store: &Store, key: &str, faulty: bool) -> Result<(), String> {
        let source = self
            .still
            .lock()
            .first_key_value()
            .map(|(key, number)| (key.clone(), *number));
        let Some((from, number)) = source else { return Ok(()) };
        let copy = CopyObject {
            tags: None,
            owner: None,
            visibility: None,
            offered: false,
            source: CopySource {
                bucket: self.bucket.clone(),
                key: object_key(&from),
                version: None,
                conditions: ReadConditions::default(),
            },
            bucket: self.bucket.clone(),
            key: object_key(key),
            metadata: None,
            storage_class: None,
            checksum: None,
            condition: WriteCondition::default(),
        };
        let sent = self.now();
        match store.copy_object(copy).await {
            Ok(_) => self.note(key, sent, Call::Writes(Condition::None, Some(number))),
            Err(error) => {
                let call = Call::MayWrite(Condition::None, Some(number));
                self.left_open(key, sent, call, &format!("{error:?}"), faulty)?;
            }
        }
        Ok(())
    }

    /// An upload of one part; only its Complete changes the key.
    async fn upload(&self, store: &Store, key: &str, faulty: bool) -> Result<(), String> {
        let (number, bytes) = self.body();
        let etag = md5_hex(&bytes);
        let begin = BeginUpload {
            labels: Default::default(),
            initiator: None,
            bucket: self.bucket.clone(),
            key: object_key(key),
            metadata: Metadata::default(),
            checksum: None,
        };
        let upload = match store.begin_upload(begin).await {
            Ok(upload) => upload,
            Err(_) if faulty => return Ok(()),
            Err(error) => return Err(format!("begin: {error:?}")),
        };
        let place = PartPlace {
            bucket: self.bucket.clone(),
            key: object_key(key),
            upload,
            number: PartNumber::new(1).unwrap(),
        };
        match store.upload_part(&place, NewBody::from_bytes(bytes)).await {
            Ok(_) => {}
            Err(_) if faulty => return Ok(()),
            Err(error) => return Err(format!("part: {error:?}")),
        }
        let part = NamedPart {
            number: PartNumber::new(1).unwrap(),
            etag,
            checksum: None,
        };
        let complete = CompleteUpload {
            bucket: self.bucket.clone(),
            key: object_key(key),
            upload,
            parts: vec![part],
            condition: WriteCondition::default(),
            checksum: None,
            checksum_type: None,
            size: None,
        };
        let sent = self.now();
        match store.complete_upload(complete).await {
            Ok(_) => self.note(key, sent, Call::Writes(Condition::None, Some(number))),
            Err(error) => {
                let call = Call::MayWrite(Condition::None, Some(number));
                self.left_open(key, sent, call, &format!("{error:?}"), faulty)?;
            }
        }
        Ok(())
    }

    fn get_of(&self, key: &str) -> GetObject {
        GetObject {
            bucket: self.bucket.clone(),
            key: object_key(key),
            version: None,
            selection: Selection::Whole,
            conditions: ReadConditions::default(),
        }
    }

    async fn get(&self, store: &Store, key: &str, faulty: bool) -> Result<(), String> {
        let sent = self.now();
        let shown: Value = match store.get_object(&self.get_of(key)).await {
            Ok(read) => {
                let number = self.number_of(&read.head.object.etag)?;
                // The head was read already: what stands since is not in the answer.
                let chunks: Result<Vec<bytes::Bytes>, _> = read.body.try_collect().await;
                match chunks {
                    Ok(chunks) if chunks.concat() == bytes_of(number) => Some(number),
                    Ok(_) => return Err(format!("{key}: the body is not the ETag's")),
                    Err(_) if faulty => return Ok(()),
                    Err(error) => return Err(format!("{key}: {error:?}")),
                }
            }
            Err(GetObjectError::NoSuchKey) => None,
            Err(_) if faulty => return Ok(()),
            Err(error) => return Err(format!("{key}: {error:?}")),
        };
        self.note(key, sent, Call::Shows(shown));
        Ok(())
    }

    async fn head(&self, store: &Store, key: &str, faulty: bool) -> Result<(), String> {
        let sent = self.now();
        let shown: Value = match store.head_object(&self.get_of(key)).await {
            Ok(head) => Some(self.number_of(&head.object.etag)?),
            Err(GetObjectError::NoSuchKey) => None,
            Err(_) if faulty => return Ok(()),
            Err(error) => return Err(format!("{key}: {error:?}")),
        };
        self.note(key, sent, Call::Shows(shown));
        Ok(())
    }

    /// A listing of the round's keys, page by page: no key twice, and each key that a page covers is as a read shows it.
    async fn list(&self, store: &Store, faulty: bool) -> Result<(), String> {
        let mut keys: Vec<String> = (0..KEYS).map(|key| format!("{}moves{key}", self.prefix())).collect();
        keys.extend((0..STILL).map(|key| format!("{}still{key}", self.prefix())));
        let mut list = ListObjects {
            bucket: self.bucket.clone(),
            prefix: self.prefix(),
            delimiter: String::new(),
            after: None,
            limit: PAGE,
        };
        let mut last = String::new();
        loop {
            let sent = self.now();
            let page = match store.list_objects(&list).await {
                Ok(page) => page,
                Err(_) if faulty => return Ok(()),
                Err(error) => return Err(format!("a listing: {error:?}")),
            };
            let mut shown: BTreeMap<String, u32> = BTreeMap::new();
            for item in page.items {
                let Listed::Item(item) = item else {
                    return Err("a prefix is listed".to_owned());
                };
                let key = item.key.as_str().to_owned();
                if key <= last {
                    return Err(format!("{key} is listed after {last}"));
                }
                last.clone_from(&key);
                shown.insert(key, self.number_of(&item.object.etag)?);
            }
            let from = list.after.take().unwrap_or_default();
            let covers = |key: &String| *key > from && page.next.as_ref().is_none_or(|next| key <= next);
            for key in keys.iter().filter(|key| covers(key)) {
                self.note(key, sent, Call::Shows(shown.get(key).copied()));
            }
            list.after = page.next;
            if list.after.is_none() {
                return Ok(());
            }
        }
    }
}
