//! What is true of the catalogue of a bucket at every moment: files, objects and index rows say the same. One rule for all
//! tests, and the bug that breaks it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::{
    Backend, Batch, Blob, BlobClass, BodyRef, BodySource, BodyStream, CommitError, Entry, GroupedScan, Health, Key, Op,
    Page, PutBlobError, ReadError, Rev, Row,
};
use crate::limits::FILE_VERSIONS_MAX;
use crate::planted::{self, Bug};
use crate::store::files::{File, FileId, FileState, FileVersion, index_rows};
use crate::store::key as rows;
use crate::store::name::{BucketName, ObjectKey};
use crate::store::record::Record;
use crate::store::record::event::{EventKind, EventRecord};
use crate::store::record::labels::Labels;
use crate::store::record::object::Object;
use crate::store::record::settings::BucketSettings;

const PAGE: usize = 1_000;

/// All rows of a backend whose keys begin so.
pub(super) async fn rows_below(backend: &dyn Backend, beginning: Key) -> Result<BTreeMap<Key, bytes::Bytes>, String> {
    let end = beginning.after_prefix().ok_or("rows without an end")?;
    let (mut start, mut found) = (beginning, BTreeMap::new());
    loop {
        let page = backend.scan(start..end.clone(), PAGE).await;
        let page = page.map_err(|error| error.to_string())?;
        let last = page.items.last().map(|(key, _)| key.successor());
        found.extend(page.items.into_iter().map(|(key, row)| (key, row.value)));
        match last.filter(|_| page.more) {
            Some(next) => start = next,
            None => return Ok(found),
        }
    }
}

/// The rows of a bucket that has a catalogue. Each that a file accounts for is taken out.
struct Bucket<'b> {
    name: &'b BucketName,
    catalogue: BTreeMap<Key, bytes::Bytes>,
    objects: BTreeMap<Key, bytes::Bytes>,
    versions: BTreeMap<Key, bytes::Bytes>,
    expected: BTreeSet<Key>,
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, one: T, other: T) -> Result<(), String> {
    match one == other {
        true => Ok(()),
        false => Err(format!("{what}: {one:?} and {other:?}")),
    }
}

/// What the object of a file must say of whose it is and who may read it.
fn labels_of(file: &File, object: &Labels) -> Labels {
    Labels {
        tags: object.tags.clone(),
        held: object.held,
        ..file.labels.clone()
    }
}

impl Bucket<'_> {
    fn files(&self) -> Result<BTreeMap<FileId, File>, String> {
        let beginning = [rows::catalogue(self.name).as_bytes(), b"r"].concat();
        let of_file = |(key, value): (&Key, &bytes::Bytes)| {
            let id = key.as_bytes().strip_prefix(beginning.as_slice())?;
            Some((id.to_vec(), value.clone()))
        };
        let read = |(id, value): (Vec<u8>, bytes::Bytes)| {
            let id: [u8; 16] = id.try_into().map_err(|id| format!("a file's row {id:?}"))?;
            let file = File::from_value(&value).map_err(|error| error.to_string())?;
            Ok((FileId::from_bytes(id), file))
        };
        self.catalogue.iter().filter_map(of_file).map(read).collect()
    }

    fn take(&mut self, id: FileId, file: &File) -> Result<(), String> {
        self.expected.insert(rows::file(self.name, id.as_bytes()));
        self.expected.extend(index_rows(self.name, id, file));
        let key = ObjectKey::parse(file.key.clone()).map_err(|error| error.to_string())?;
        match file.state {
            FileState::Received | FileState::Active | FileState::Scanning | FileState::Quarantined => {
                let row = self.objects.remove(&rows::current(self.name, &key));
                let row = row.ok_or("it has no object")?;
                let object = Object::from_value(&row).map_err(|error| error.to_string())?;
                same("size", object.size, file.size)?;
                same("ETag", Some(object.etag), file.etag)?;
                same("state", FileState::of_labels(&object.labels), file.state)?;
                same("labels", labels_of(file, &object.labels), object.labels)?;
            }
            FileState::Trashed => {
                let version = file.trash.ok_or("the trash has no version of it")?;
                let row = self.versions.remove(&rows::version(self.name, &key, &version));
                let object = Object::from_value(&row.ok_or("the trash has no bytes of it")?);
                let object = object.map_err(|error| error.to_string())?;
                same("size", object.size, file.size)?;
                same("labels", labels_of(file, &object.labels), object.labels)?;
            }
            FileState::Pending | FileState::Rejected => same("trash", file.trash, None)?,
        }
        self.take_versions(id, &key, file.kept)?;
        if file.state == FileState::Pending || file.state.has_bytes() {
            let holder = rows::file_of_key(self.name, &file.key);
            let held = self.catalogue.get(&holder).map(AsRef::as_ref);
            same("who has the key", held, Some(id.as_bytes().as_slice()))?;
            match self.expected.insert(holder) {
                true => {}
                false => return Err("two files have its key".to_owned()),
            }
        }
        Ok(())
    }

    /// What the file was, and the bytes of it.
    fn take_versions(&mut self, id: FileId, key: &ObjectKey, kept: u64) -> Result<(), String> {
        let beginning = rows::file_versions_of(self.name, id.as_bytes());
        let of_file = |(row, value): (&Key, &bytes::Bytes)| {
            let version = row.as_bytes().strip_prefix(beginning.as_bytes())?;
            Some((version.to_vec(), value.clone()))
        };
        let said: Vec<(Vec<u8>, bytes::Bytes)> = self.catalogue.iter().filter_map(of_file).collect();
        same("too many versions", said.len() > FILE_VERSIONS_MAX, false)?;
        let mut bytes = 0;
        for (version, value) in said {
            let version: [u8; 16] = version.try_into().map_err(|name| format!("a version's row {name:?}"))?;
            self.expected
                .insert(rows::file_version(self.name, id.as_bytes(), &version));
            let was = FileVersion::from_value(&value).map_err(|error| error.to_string())?;
            let row = self.versions.remove(&rows::version(self.name, key, &version));
            let object = Object::from_value(&row.ok_or("a version has no bytes")?);
            let object = object.map_err(|error| error.to_string())?;
            same("size of a version", object.size, was.size)?;
            bytes += was.size;
            same("ETag of a version", Some(object.etag), was.etag)?;
        }
        same("bytes of all versions", bytes, kept)
    }

    /// What no file accounts for.
    fn nothing_is_left(&self) -> Result<(), String> {
        let found: BTreeSet<Key> = self.catalogue.keys().cloned().collect();
        let (missing, besides): (Vec<_>, Vec<_>) = (
            self.expected.difference(&found).collect(),
            found.difference(&self.expected).collect(),
        );
        same(
            "rows that are missing, and rows besides",
            (missing, besides),
            Default::default(),
        )?;
        same("objects without a file", self.objects.keys().collect(), Vec::new())?;
        same("versions without a file", self.versions.keys().collect(), Vec::new())
    }
}

/// Looks whether files, objects and index rows of a bucket with a catalogue say the same, while nobody writes; its files.
pub(super) async fn agreed(backend: &dyn Backend, bucket: &BucketName) -> Result<BTreeMap<FileId, File>, String> {
    let mut all = Bucket {
        name: bucket,
        catalogue: rows_below(backend, rows::catalogue(bucket)).await?,
        objects: rows_below(backend, rows::currents(bucket, "")).await?,
        versions: rows_below(backend, rows::versions(bucket)).await?,
        expected: BTreeSet::new(),
    };
    let files = all.files()?;
    for (id, file) in &files {
        let taken = all.take(*id, file);
        taken.map_err(|why| format!("file {id}, {} at {}: {why}", file.state.name(), file.key))?;
    }
    all.nothing_is_left()?;
    if everything_is_told(backend, bucket).await? {
        told(backend, bucket, &files).await?;
    }
    Ok(files)
}

/// Somebody listens to every kind of event. Who hands events out is no part of these tests: all of them stay.
async fn everything_is_told(backend: &dyn Backend, bucket: &BucketName) -> Result<bool, String> {
    let row = backend.get(&rows::settings(bucket)).await;
    let Some(row) = row.map_err(|error| error.to_string())? else {
        return Ok(false);
    };
    let settings = BucketSettings::from_value(&row.value).map_err(|error| error.to_string())?;
    Ok(EventKind::ALL
        .into_iter()
        .all(|kind| settings.listened & kind.bit() != 0))
}

/// Looks whether what every file is now was written down. In which order is not looked at: the ids of events sort by time, and
/// to the clock of a test a process and the next one may live in the same millisecond.
async fn told(backend: &dyn Backend, bucket: &BucketName, files: &BTreeMap<FileId, File>) -> Result<(), String> {
    let mut of_files: BTreeMap<FileId, Vec<EventRecord>> = BTreeMap::new();
    for value in rows_below(backend, rows::events(bucket)).await?.into_values() {
        let event = EventRecord::from_value(&value).map_err(|error| error.to_string())?;
        if let Some(id) = event.id {
            of_files.entry(FileId::from_bytes(id)).or_default().push(event);
        }
    }
    for (id, file) in files {
        let events = of_files.remove(id).unwrap_or_default();
        let wanted = match file.state {
            FileState::Pending => continue,
            // It may have been in the trash since.
            FileState::Received | FileState::Scanning => EventKind::Received,
            FileState::Active => EventKind::Active,
            FileState::Trashed => EventKind::Deleted,
            FileState::Rejected => EventKind::Rejected,
            FileState::Quarantined => EventKind::Quarantined,
        };
        let is_told = |event: &EventRecord| {
            let etag = event.file.as_ref().and_then(|file| file.etag);
            event.kind == wanted && (etag == file.etag || file.state == FileState::Rejected)
        };
        if !events.iter().any(is_told) {
            let kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
            return Err(format!(
                "file {id} is {}, and {kinds:?} was told of it",
                file.state.name()
            ));
        }
    }
    let unended = of_files
        .iter()
        .find(|(_, events)| !events.iter().any(|event| event.purged));
    match unended {
        Some((id, _)) => Err(format!("nobody is told that file {id} is gone")),
        None => Ok(()),
    }
}

/// The backend with the bug that takes batches apart, if this process has one.
pub(super) fn planted_over(backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
    let apart: &[u8] = match planted::selected() {
        Some(Bug::CatalogueApart) => b"f/",
        Some(Bug::EventsApart) => b"e/",
        _ => return backend,
    };
    Arc::new(Apart { inner: backend, apart })
}

/// Commits what a batch changes below a beginning in a batch of its own, behind the rest of it.
struct Apart {
    inner: Arc<dyn Backend>,
    apart: &'static [u8],
}

#[async_trait]
impl Backend for Apart {
    async fn get(&self, key: &Key) -> Result<Option<Row>, ReadError> {
        self.inner.get(key).await
    }

    async fn scan(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        self.inner.scan(range, limit).await
    }

    async fn scan_back(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        self.inner.scan_back(range, limit).await
    }

    async fn scan_grouped(&self, scan: GroupedScan) -> Result<Page<Entry>, ReadError> {
        self.inner.scan_grouped(scan).await
    }

    async fn commit(&self, batch: Batch) -> Result<Rev, CommitError> {
        let is_apart = |op: &Op| op.key().as_bytes().starts_with(self.apart);
        let (apart, rest): (Vec<Op>, Vec<Op>) = batch.ops.into_iter().partition(is_apart);
        let require = batch.require;
        if apart.is_empty() || rest.is_empty() {
            let ops = apart.into_iter().chain(rest).collect();
            return self.inner.commit(Batch { require, ops }).await;
        }
        self.inner.commit(Batch { require, ops: rest }).await?;
        let (require, ops) = (Vec::new(), apart);
        self.inner.commit(Batch { require, ops }).await
    }

    async fn put_blob(
        &self,
        class: BlobClass,
        source: BodySource<'_>,
        size_hint: Option<u64>,
    ) -> Result<Blob, PutBlobError> {
        self.inner.put_blob(class, source, size_hint).await
    }

    async fn join_blobs(&self, parts: &[BodyRef]) -> Result<Blob, PutBlobError> {
        self.inner.join_blobs(parts).await
    }

    async fn get_blob(&self, body: &BodyRef, range: Range<u64>) -> Result<BodyStream, ReadError> {
        self.inner.get_blob(body, range).await
    }

    async fn delete_blob(&self, blob: Blob) {
        self.inner.delete_blob(blob).await;
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}
