//! How the catalogue follows what happens to objects: whichever door a write came through, its batch takes the file's rows
//! with it.

use super::{File, FileId, FileState, Filed, OwnerType, Seen, random};
use crate::backend::{Batch, Key, NewBody, Op, Put, Require};
use crate::limits::FILE_NAME_BYTES_MAX;
use crate::store::Store;
use crate::store::clock::Timestamp;
use crate::store::error::Fault;
use crate::store::key;
use crate::store::name::BucketName;
use crate::store::record::Record;
use crate::store::record::labels::{Barred, Labels, Visibility};
use crate::store::record::object::Object;
use crate::store::tags::Tags;

impl Store {
    /// Makes a batch that puts or deletes the object of `row_key` change the catalogue with it; only for buckets that keep
    /// one. The batch fails if somebody else changes the file meanwhile.
    pub(super) async fn follow(&self, bucket: &BucketName, row_key: &Key, batch: &mut Batch) -> Result<(), Fault> {
        let Some((_, object_key)) = key::parse_current(row_key) else {
            return Ok(());
        };
        let standing = self.filed(bucket, object_key).await?;
        let Some(op) = batch.ops.iter_mut().find(|op| op.key() == row_key) else {
            return Ok(());
        };
        let mut kept = standing.as_ref().map_or(0, |filed| filed.file.kept);
        let versions = match (&*op, &standing) {
            (Op::Delete(_), Some(filed)) => self.without_versions(bucket, filed.id, &filed.file).await?,
            (Op::Put(put), Some(filed)) if self.judged.keeps() && !keeps_its_bytes(put) => {
                let versions = self.keep_version(bucket, (filed.id, &filed.file), None).await?;
                kept = versions.bytes;
                versions.batch
            }
            (Op::Delete(_) | Op::Put(_), _) => Batch::default(),
        };
        let (id, before, after) = match (op, standing) {
            (Op::Delete(_), None) => return Ok(()),
            (Op::Delete(_), Some(filed)) => (filed.id, Some(filed), None),
            (Op::Put(put), standing) => {
                let (id, after) = self.file_after(bucket, object_key, put, standing.as_ref()).await?;
                (id, standing, Some(File { kept, ..after }))
            }
        };
        batch.require.push(match &before {
            Some(filed) => Require::RevIs(key::file(bucket, id.as_bytes()), filed.rev),
            None => Require::Absent(key::file_of_key(bucket, object_key)),
        });
        let found = before
            .as_ref()
            .map(|filed| (key::file(bucket, filed.id.as_bytes()), filed.file.epoch));
        let found = found.as_ref().map(|(row, epoch)| (row, *epoch));
        batch.require.extend(self.judged.only_in_epoch(row_key, found));
        let before = before.map(|filed| filed.file);
        let ops = self.file_ops(bucket, id, before.as_ref(), after.as_ref()).await?;
        batch.ops.extend(ops);
        batch.require.extend(versions.require);
        batch.ops.extend(versions.ops);
        Ok(())
    }

    /// The file whose object is put, as it is then; the object gets what the file says.
    async fn file_after(
        &self,
        bucket: &BucketName,
        object_key: &str,
        put: &mut Put,
        standing: Option<&Filed>,
    ) -> Result<(FileId, File), Fault> {
        let mut object = Object::from_value(&put.value)?;
        let now = self.now();
        let same_bytes = keeps_its_bytes(put);
        let (id, mut file) = match standing {
            Some(filed) => (filed.id, filed.file.clone()),
            None => {
                let id = self.next_file_id()?;
                let settings = self.bucket_settings(bucket).await?;
                let default = settings.and_then(|(settings, _)| settings.visibility);
                object
                    .labels
                    .visibility
                    .get_or_insert(default.unwrap_or(Visibility::Private));
                let file = File {
                    owner_type: self.judged.maker(),
                    ..adopted(object_key, random()?, &object, now)
                };
                (id, file)
            }
        };
        if same_bytes && standing.is_some() {
            relabel(&mut file, &object);
        } else {
            // Bytes that nobody looks at here were there before the catalogue was.
            let seen = if same_bytes { None } else { self.judged.seen() };
            let cleared = self.judged.cleared().filter(|_| !same_bytes);
            let held_back = cleared.is_none() && self.judged.holds_back(bucket, &file);
            file.labels.barred = held_back.then_some(Barred::Scanning);
            file.scan = cleared.cloned();
            receive(&mut file, &mut object, seen, now);
            // Whoever has an address of the old bytes has none of these. A share lets nobody end addresses.
            if self.judged.keeps() && self.only_replaceable().is_none() {
                file.epoch = file.epoch.wrapping_add(1);
            }
        }
        file.updated = now;
        put.value = object.to_value();
        Ok((id, file))
    }
}

/// Whether a row is put anew with the bytes it has.
fn keeps_its_bytes(put: &Put) -> bool {
    matches!(&put.body, NewBody::Moved(from) if *from == put.key)
}

/// What the catalogue keeps of an object's labels; its tags are S3's own.
pub(super) fn of_object(labels: &Labels) -> Labels {
    Labels {
        tags: Tags::default(),
        held: false,
        ..labels.clone()
    }
}

/// The object is said other things of.
fn relabel(file: &mut File, object: &Object) {
    file.labels = of_object(&object.labels);
    if object.metadata.content_type.is_some() {
        file.declared_type.clone_from(&object.metadata.content_type);
    }
}

/// Bytes arrived for the file. Whose it is stays; who may read it stays, unless the write says so itself. What bars them is
/// in the file's labels already.
fn receive(file: &mut File, object: &mut Object, seen: Option<Seen>, now: Timestamp) {
    let announced = file.state == FileState::Pending;
    match &file.declared_type {
        Some(declared) if announced => object.metadata.content_type = Some(declared.clone()),
        Some(_) | None => file.declared_type.clone_from(&object.metadata.content_type),
    }
    let visibility = object.labels.visibility.or(file.labels.visibility);
    file.labels = Labels {
        visibility: Some(visibility.unwrap_or(Visibility::Private)),
        writing_named: object.labels.writing_named,
        offered: object.labels.offered,
        ..file.labels.clone()
    };
    object.labels = Labels {
        tags: object.labels.tags.clone(),
        held: seen.is_none(),
        ..file.labels.clone()
    };
    // It was said of the bytes that were announced, and of no others.
    if !announced || seen.is_some() {
        (file.limits.sha256, file.limits.size) = (None, None);
    }
    file.state = FileState::of_labels(&object.labels);
    let seen = seen.unwrap_or_default();
    (file.sha256, file.sniffed_type, file.width, file.height) =
        (seen.sha256, seen.sniffed_type, seen.width, seen.height);
    (file.size, file.etag) = (object.size, Some(object.etag));
    file.received = Some(now);
}

/// The file of an object that nobody announced.
fn adopted(object_key: &str, public_id: [u8; 16], object: &Object, now: Timestamp) -> File {
    let last = object_key.rsplit('/').find(|segment| !segment.is_empty());
    let name = last.unwrap_or(object_key);
    let end = name.floor_char_boundary(FILE_NAME_BYTES_MAX);
    let name = name.get(..end).unwrap_or_default().to_owned();
    File {
        labels: of_object(&object.labels),
        owner_type: OwnerType::Service,
        ..File::pending(object_key.to_owned(), public_id, name, now)
    }
}
