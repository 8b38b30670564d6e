//! One state that a cut may leave: put on drives, started, looked at, started once more with every drive, looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;

use super::super::ground::{DRIVES, HandClock, dir_in_memory, released};
use super::super::reference::md5_hex;
use super::story::{Shown, Story, copy_tree};
use crate::backend::{Backend, ServiceState};
use crate::embedded::drive::DriveOptions;
use crate::embedded::{Embedded, OpenOptions};
use crate::store::condition::ReadConditions;
use crate::store::list::{ListError, ListObjects, Listed};
use crate::store::multipart::list::ListParts;
use crate::store::name::ObjectKey;
use crate::store::object::get::{GetObject, GetObjectError, Selection};
use crate::store::tests::agreement::agreed;
use crate::store::{Epoch, Store};

/// A cut of the power, what it left, and who is late afterwards.
pub(super) struct State<'a> {
    pub(super) story: &'a Story,
    pub(super) moment: usize,
    pub(super) remains: BTreeMap<PathBuf, Vec<u8>>,
    /// Drives that are not there at the first start.
    pub(super) late: BTreeSet<usize>,
}

/// What every key shows; an error where it cannot be read.
type Look = BTreeMap<String, Result<Shown, String>>;

fn drive(at: &Path, number: usize) -> PathBuf {
    at.join(format!("data{number}"))
}

impl State<'_> {
    /// Checks all that is promised; an error says what was broken.
    pub(super) async fn check(&self) -> Result<(), String> {
        let dir = dir_in_memory()?;
        let io = |error: std::io::Error| format!("the state cannot be made: {error}");
        let (late, here): (Vec<usize>, Vec<usize>) = (0..DRIVES).partition(|number| self.late.contains(number));
        self.put_on(&here, dir.path()).map_err(io)?;
        let (writes, first) = self
            .start(dir.path(), 1)
            .await
            .map_err(|why| format!("at the first start: {why}"))?;
        if !writes && self.away() < 2 {
            return Err("the first start does not write".to_owned());
        }
        self.judge(&first)
            .map_err(|why| format!("after the first start: {why}"))?;
        self.put_on(&late, dir.path()).map_err(io)?;
        let second = self
            .start(dir.path(), 2)
            .await
            .map_err(|why| format!("at the second start: {why}"))?;
        if !second.0 && self.gone().count() < 2 {
            return Err("the second start does not write".to_owned());
        }
        self.judge(&second.1)
            .map_err(|why| format!("after the second start: {why}"))?;
        let differs = |key: &&String| matches!((&first[*key], &second.1[*key]), (Ok(one), Ok(other)) if one != other);
        match first.keys().find(differs).filter(|_| writes) {
            None => Ok(()),
            Some(key) => Err(format!("another start, another state of {key}")),
        }
    }

    /// Drives whose files are gone, and not yet made anew.
    fn gone(&self) -> impl Iterator<Item = usize> {
        let gone = self.story.harms(self.moment).filter(|harm| harm.keys.is_none());
        gone.map(|harm| harm.drive)
    }

    fn away(&self) -> usize {
        let gone: BTreeSet<usize> = self.gone().collect();
        self.late.union(&gone).count()
    }

    fn put_on(&self, drives: &[usize], at: &Path) -> std::io::Result<()> {
        for number in drives {
            let folder = drive(at, *number).join(".drystone");
            for kind in ["log", "extent", "checkpoint"] {
                std::fs::create_dir_all(folder.join(kind))?;
            }
            if let Some(index) = self.story.index(self.moment).filter(|_| *number == 0) {
                copy_tree(index, &folder.join("index"))?;
            }
        }
        for (path, content) in &self.remains {
            let ours = self.story.drive_of(path).is_some_and(|number| drives.contains(&number));
            if let Ok(below) = path.strip_prefix(&self.story.root)
                && ours
            {
                let to = at.join(below);
                to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                std::fs::write(to, content)?;
            }
        }
        Ok(())
    }

    /// Starts, looks, and kills it. Says whether it takes writes.
    async fn start(&self, at: &Path, start: u8) -> Result<(bool, Look), String> {
        let paths: Vec<PathBuf> = (0..DRIVES).map(|number| drive(at, number)).collect();
        let options = OpenOptions {
            drives: paths.clone(),
            drive: DriveOptions {
                bulk_threads: 1,
                read_threads: 1,
                ..DriveOptions::default()
            },
            ..OpenOptions::default()
        };
        let drives = Embedded::open(options).await.map_err(|error| error.to_string())?;
        let writes = match drives.health().state {
            ServiceState::ReadWrite => true,
            ServiceState::ReadOnly(_) => false,
            ServiceState::NotReady(why) => return Err(format!("not ready: {why}")),
        };
        let store = Store::new(drives.clone(), Arc::new(HandClock::new()), Epoch([start; 16]));
        let look = match self.look(&store).await {
            Ok(look) if self.story.keeps_catalogue => {
                let agreed = agreed(drives.as_ref(), &self.story.bucket).await;
                agreed.map(|_| look).map_err(|why| format!("the catalogue: {why}"))
            }
            look => look,
        };
        let weak = Arc::downgrade(&drives);
        drop((store, drives));
        released(&weak, &paths).await?;
        Ok((writes, look?))
    }

    async fn look(&self, store: &Store) -> Result<Look, String> {
        let mut look = Look::new();
        for key in self.story.keys() {
            look.insert(key.to_owned(), self.look_at(store, key).await);
        }
        let list = ListObjects {
            bucket: self.story.bucket.clone(),
            prefix: String::new(),
            delimiter: String::new(),
            after: None,
            limit: 1000,
        };
        let listed = match store.list_objects(&list).await {
            Ok(page) => page.items,
            Err(ListError::NoSuchBucket) => Vec::new(),
            Err(error) => return Err(format!("no listing: {error}")),
        };
        let mut keys = BTreeMap::new();
        for item in listed {
            if let Listed::Item(item) = item {
                keys.insert(item.key.as_str().to_owned(), item.object.size);
            }
        }
        for (key, shown) in &look {
            let size = keys.remove(key);
            let Ok(shown) = shown else { continue };
            if size != shown.body.as_ref().map(|body| body.len() as u64) {
                return Err(format!("the listing and GET differ about {key}"));
            }
        }
        match keys.first_key_value() {
            None => Ok(look),
            Some((key, _)) => Err(format!("{key} is listed")),
        }
    }

    async fn look_at(&self, store: &Store, key: &str) -> Result<Shown, String> {
        let object_key = ObjectKey::parse(key).map_err(|error| format!("{error:?}"))?;
        let get = GetObject {
            bucket: self.story.bucket.clone(),
            key: object_key.clone(),
            version: None,
            selection: Selection::Whole,
            conditions: ReadConditions::default(),
        };
        let head = store.head_object(&get).await;
        let body = match store.get_object(&get).await {
            Ok(read) => {
                let etag = read.head.object.etag.to_string();
                let chunks: Vec<bytes::Bytes> = read.body.try_collect().await.map_err(|error| error.to_string())?;
                let bytes = chunks.concat();
                if !etag.contains('-') && etag != md5_hex(&bytes) {
                    return Err(format!("BROKEN: the ETag {etag} is another body's"));
                }
                if !head.is_ok_and(|head| head.object.etag.to_string() == etag) {
                    return Err("BROKEN: HEAD and GET differ".to_owned());
                }
                Some(Arc::new(bytes))
            }
            Err(GetObjectError::NoSuchKey | GetObjectError::NoSuchBucket) if head.is_err() => None,
            Err(error) => return Err(error.to_string()),
        };
        let parts = match self.story.uploads.get(key) {
            None => None,
            Some(upload) => {
                let list = ListParts {
                    bucket: self.story.bucket.clone(),
                    key: object_key,
                    upload: *upload,
                    after: 0,
                    limit: 100,
                };
                store.list_parts(&list).await.ok().map(|page| page.parts.len())
            }
        };
        Ok(Shown { body, parts })
    }

    /// Whether media may have too little left to give this key.
    fn is_excused(&self, key: &str) -> bool {
        let harmed = self.story.harms(self.moment).filter(|harm| {
            let hits = harm.keys.as_ref().is_none_or(|keys| keys.iter().any(|hit| hit == key));
            hits && !self.late.contains(&harm.drive)
        });
        harmed.count() + self.late.len() > 2
    }

    fn judge(&self, look: &Look) -> Result<(), String> {
        for (key, shown) in look {
            match shown {
                Ok(shown) if self.story.allowed(key, self.moment).contains(&shown) => {}
                Ok(shown) => {
                    let body = shown.body.as_ref();
                    let found = body.map(|body| format!("{} bytes, MD5 {}", body.len(), md5_hex(body)));
                    return Err(format!("{key} shows {found:?} and parts {:?}", shown.parts));
                }
                Err(why) if why.starts_with("BROKEN") || !self.is_excused(key) => return Err(format!("{key}: {why}")),
                Err(_) => {}
            }
        }
        Ok(())
    }
}
