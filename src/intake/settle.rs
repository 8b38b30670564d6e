//! What becomes of a file whose bytes were stored without being looked at: joined from parts, or copied.

use futures::TryStreamExt;
use storage_engine::store::Store;
use storage_engine::store::error::Fault;
use storage_engine::store::etag::ETag;
use storage_engine::store::files::{File, FileError, FileState, Seen};
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::get::{GetObject, GetObjectError, Selection};

use super::{Expected, Refused, watch};
use crate::media::{HEADER_BYTES, Inspection, dimensions, sniff};

/// How often a file that changes while it is looked at is looked at.
const LOOKS_MAX: usize = 8;

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// There was nothing to look at: no file, or none that waits for it.
    Nothing,
    Active,
    /// Nobody reads it until it was scanned.
    Scanning,
    /// It is not what it must be: its bytes are gone.
    Rejected(Refused),
}

/// Looks at files of one store. It is the server's own doing: whoever had the bytes stored was judged before.
#[derive(Clone)]
pub struct Inspector {
    store: Store,
    whole_bytes: u64,
}

impl Inspector {
    /// Of files of more than `whole_bytes` the head alone is read, and their SHA-256 stays unknown.
    pub fn new(store: Store, whole_bytes: u64) -> Self {
        Self { store, whole_bytes }
    }

    /// Looks at the bytes of a received file, and makes it active, has it scanned, or rejects it. A file that changes meanwhile is looked at
    /// again.
    pub async fn settle(&self, place: (&BucketName, &ObjectKey)) -> Result<Settled, FileError> {
        settle(&self.store, place, self.whole_bytes).await
    }
}

async fn settle(
    store: &Store,
    (bucket, key): (&BucketName, &ObjectKey),
    whole_bytes: u64,
) -> Result<Settled, FileError> {
    for _ in 0..LOOKS_MAX {
        let Some((id, file, rev)) = store.file_of_key(bucket, key.as_str()).await? else {
            return Ok(Settled::Nothing);
        };
        if file.state != FileState::Received {
            return Ok(Settled::Nothing);
        }
        let Some((etag, looked)) = look(store, (bucket, key), &file, whole_bytes).await? else {
            continue;
        };
        // Of other bytes than these the record says nothing.
        if file.etag != Some(etag) {
            continue;
        }
        let (state, settled) = match file.labels.barred {
            None => (FileState::Active, Settled::Active),
            Some(_) => (FileState::Scanning, Settled::Scanning),
        };
        let done = match &looked {
            Ok(seen) => {
                let activate = |file: &mut File| {
                    file.state = state;
                    (file.sha256, file.width, file.height) = (seen.sha256, seen.width, seen.height);
                    file.sniffed_type.clone_from(&seen.sniffed_type);
                    // It was said of these bytes; others may come in their place.
                    (file.limits.sha256, file.limits.size) = (None, None);
                };
                store.change_file(bucket, id, Some(rev), activate).await.map(drop)
            }
            Err(refused) => store.reject_file(bucket, id, Some(rev), &refused.to_string()).await,
        };
        match (done, looked) {
            (Ok(()), Ok(_)) => return Ok(settled),
            (Ok(()), Err(refused)) => return Ok(Settled::Rejected(refused)),
            (Err(FileError::Changed | FileError::NoSuchFile), _) => {}
            (Err(error), _) => return Err(error),
        }
    }
    Err(Fault::Unavailable("the file changed again and again".into()).into())
}

/// What its bytes are, and which bytes; `None`: they went away.
async fn look(
    store: &Store,
    (bucket, key): (&BucketName, &ObjectKey),
    file: &File,
    whole_bytes: u64,
) -> Result<Option<(ETag, Result<Seen, Refused>)>, FileError> {
    // What was announced is looked for, however much there is to read.
    let is_whole = file.size <= whole_bytes || file.limits.sha256.is_some();
    let last = (HEADER_BYTES as u64).saturating_sub(1);
    let get = GetObject {
        bucket: bucket.clone(),
        key: key.clone(),
        version: None,
        selection: match is_whole || file.size <= last {
            true => Selection::Whole,
            false => Selection::From {
                first: 0,
                last: Some(last),
            },
        },
        conditions: Default::default(),
    };
    let mut read = match store.get_object(&get).await {
        Ok(read) => read,
        Err(GetObjectError::NoSuchKey | GetObjectError::RangeNotSatisfiable { .. }) => return Ok(None),
        Err(GetObjectError::Fault(fault)) => return Err(fault.into()),
        Err(error) => return Err(Fault::Internal(format!("a plain read was refused: {error}")).into()),
    };
    let (mut inspection, mut head) = (Inspection::default(), Vec::new());
    loop {
        let piece = read.body.try_next().await;
        let Some(piece) = piece.map_err(|error| Fault::Unavailable(error.to_string()))? else {
            break;
        };
        if is_whole {
            inspection.feed(&piece);
        } else {
            head.extend_from_slice(&piece);
        }
    }
    let expected = Expected::of(&file.limits, file.declared_type.as_deref());
    let sniffed = match is_whole {
        true => inspection.sniffed(),
        false => sniff(&head),
    };
    let refused = expected.check_type(sniffed);
    let seen = match is_whole {
        true => watch::seen(&inspection.finish(), &expected),
        false => Seen {
            sha256: None,
            sniffed_type: expected.kept_type(sniffed),
            width: dimensions(&head).map(|image| image.width),
            height: dimensions(&head).map(|image| image.height),
        },
    };
    let refused = expected.check_size(read.head.object.size).and(refused);
    let refused = refused.and_then(|()| match &seen.sha256 {
        Some(sha256) => expected.check_digest(sha256),
        None => Ok(()),
    });
    Ok(Some((read.head.object.etag, refused.map(|()| seen))))
}
