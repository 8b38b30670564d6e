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
use crate::store::record::labels::Labels;
use crate::store::record::object::Object;

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
            FileState::Received | FileState::Active => {
                let row = self.objects.remove(&rows::current(self.name, &key));
                let row = row.ok_or("it has no object")?;
                let object = Object::from_value(&row).map_err(|error| error.to_string())?;
                same("size", object.size, file.size)?;
                same("ETag", Some(object.etag), file.etag)?;
                same("held", object.labels.held, file.state == FileState::Received)?;
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
        self.take_versions(id, &key)?;
        if matches!(file.state, FileState::Pending | FileState::Received | FileState::Active) {
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
    fn take_versions(&mut self, id: FileId, key: &ObjectKey) -> Result<(), String> {
        let beginning = rows::file_versions_of(self.name, id.as_bytes());
        let of_file = |(row, value): (&Key, &bytes::Bytes)| {
            let version = row.as_bytes().strip_prefix(beginning.as_bytes())?;
            Some((version.to_vec(), value.clone()))
        };
        let said: Vec<(Vec<u8>, bytes::Bytes)> = self.catalogue.iter().filter_map(of_file).collect();
        same("too many versions", said.len() > FILE_VERSIONS_MAX, false)?;
        for (version, value) in said {
            let version: [u8; 16] = version.try_into().map_err(|name| format!("a version's row {name:?}"))?;
            self.expected
                .insert(rows::file_version(self.name, id.as_bytes(), &version));
            let was = FileVersion::from_value(&value).map_err(|error| error.to_string())?;
            let row = self.versions.remove(&rows::version(self.name, key, &version));
            let object = Object::from_value(&row.ok_or("a version has no bytes")?);
            let object = object.map_err(|error| error.to_string())?;
            same("size of a version", object.size, was.size)?;
            same("ETag of a version", Some(object.etag), was.etag)?;
        }
        Ok(())
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
    Ok(files)
}

/// The backend with the bug [`Bug::CatalogueApart`], if this process has it.
pub(super) fn planted_over(backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
    match planted::is(Bug::CatalogueApart) {
        true => Arc::new(Apart(backend)),
        false => backend,
    }
}

/// Commits what a batch changes in catalogues in a batch of its own, behind the rest of it.
struct Apart(Arc<dyn Backend>);

#[async_trait]
impl Backend for Apart {
    async fn get(&self, key: &Key) -> Result<Option<Row>, ReadError> {
        self.0.get(key).await
    }

    async fn scan(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        self.0.scan(range, limit).await
    }

    async fn scan_back(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        self.0.scan_back(range, limit).await
    }

    async fn scan_grouped(&self, scan: GroupedScan) -> Result<Page<Entry>, ReadError> {
        self.0.scan_grouped(scan).await
    }

    async fn commit(&self, batch: Batch) -> Result<Rev, CommitError> {
        let of_catalogue = |op: &Op| op.key().as_bytes().starts_with(b"f/");
        let (catalogue, rest): (Vec<Op>, Vec<Op>) = batch.ops.into_iter().partition(of_catalogue);
        let require = batch.require;
        if catalogue.is_empty() || rest.is_empty() {
            let ops = catalogue.into_iter().chain(rest).collect();
            return self.0.commit(Batch { require, ops }).await;
        }
        self.0.commit(Batch { require, ops: rest }).await?;
        let (require, ops) = (Vec::new(), catalogue);
        self.0.commit(Batch { require, ops }).await
    }

    async fn put_blob(
        &self,
        class: BlobClass,
        source: BodySource<'_>,
        size_hint: Option<u64>,
    ) -> Result<Blob, PutBlobError> {
        self.0.put_blob(class, source, size_hint).await
    }

    async fn join_blobs(&self, parts: &[BodyRef]) -> Result<Blob, PutBlobError> {
        self.0.join_blobs(parts).await
    }

    async fn get_blob(&self, body: &BodyRef, range: Range<u64>) -> Result<BodyStream, ReadError> {
        self.0.get_blob(body, range).await
    }

    async fn delete_blob(&self, blob: Blob) {
        self.0.delete_blob(blob).await;
    }

    fn health(&self) -> Health {
        self.0.health()
    }
}
