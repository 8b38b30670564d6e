//! A store for whoever was judged on a bucket or an object as it stood: no write through it meets another one.
//!
//! Owns what is remembered of that, and what it requires of a commit. It judges nothing.

use std::sync::Arc;

use super::files::{File, FileId, OwnerType, Screen, Seen, Witness};
use super::name::{BucketName, ObjectKey};
use super::record::scan::ScanRecord;
use super::{Store, key};
use crate::backend::{Key, Require, Rev};

/// What was found in the place of an object when rights on it were judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// An object with this revision.
    At(Rev),
    /// The same, and nothing but other bytes may be put in its place: a PUT of it leaves owner, tags, visibility and
    /// shares as they are, and no other object is put at all.
    Replaceable(Rev),
}

impl Found {
    fn rev(self) -> Option<Rev> {
        match self {
            Self::Nothing => None,
            Self::At(rev) | Self::Replaceable(rev) => Some(rev),
        }
    }
}

impl From<Option<Rev>> for Found {
    fn from(rev: Option<Rev>) -> Self {
        rev.map_or(Self::Nothing, Self::At)
    }
}

/// What was judged on.
#[derive(Clone, Default)]
pub(super) struct Judged {
    /// The one bucket that is meant by its name.
    bucket: Option<(BucketName, Rev)>,
    /// Rows of objects.
    objects: Vec<(Key, Found)>,
    /// Who looks at the bytes that come in.
    witness: Option<Arc<dyn Witness>>,
    file: Option<JudgedFile>,
    /// Whether the bytes of a file are kept when others take their place.
    keeps: bool,
    /// Who says which bytes are held back.
    screen: Option<Arc<dyn Screen>>,
    /// What was said of the bytes that come in, when they were scanned before.
    cleared: Option<ScanRecord>,
    /// What kind of owner a file has that nobody announced.
    maker: Option<OwnerType>,
}

/// A file as it was when rights to put its bytes were judged.
#[derive(Clone)]
struct JudgedFile {
    /// Its object's row.
    object: Key,
    row: Key,
    epoch: u32,
    rev: Rev,
}

impl Judged {
    /// What refuses a change of the object in `row` that would be made of another file than was judged on, or after its
    /// links were revoked; `None`: nothing has to. `found`: the row and epoch of the file that is there now.
    pub(super) fn only_in_epoch(&self, row: &Key, found: Option<(&Key, u32)>) -> Option<Require> {
        let judged = self.file.as_ref().filter(|judged| judged.object == *row)?;
        let is_same = found == Some((&judged.row, judged.epoch));
        // Whatever changed it since, its record has another revision than when it was judged.
        (!is_same).then(|| Require::RevIs(judged.row.clone(), judged.rev))
    }

    /// What was seen of the bytes that came in; `None`: nobody looked at them.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.witness.as_ref().map(|witness| witness.seen())
    }

    /// Whether bytes that come in for this file are read by nobody yet.
    pub(super) fn holds_back(&self, bucket: &BucketName, file: &File) -> bool {
        self.screen
            .as_ref()
            .is_some_and(|screen| screen.holds_back(bucket, file))
    }

    /// Tells whoever holds bytes back that there may be some.
    pub(super) fn tell_screen(&self, bucket: &BucketName) {
        if let Some(screen) = &self.screen {
            screen.came(bucket);
        }
    }

    /// What was said before of the bytes that come in.
    pub(super) fn cleared(&self) -> Option<&ScanRecord> {
        self.cleared.as_ref()
    }

    /// What kind of owner a file has that nobody announced.
    pub(super) fn maker(&self) -> OwnerType {
        self.maker.unwrap_or(OwnerType::Service)
    }

    /// Whether the bytes of a file are kept when others take their place.
    pub(super) fn keeps(&self) -> bool {
        self.keeps
    }
}

impl Store {
    /// The same store for whoever was judged on a bucket as it stood: writes to `bucket` through it are refused once
    /// the bucket does not have the revision `rev` any more, because it was deleted or made anew.
    #[must_use]
    pub fn only_while(&self, bucket: &BucketName, rev: Rev) -> Self {
        let judged = Judged {
            bucket: Some((bucket.clone(), rev)),
            ..self.judged.clone()
        };
        self.with(judged)
    }

    /// The same store for whoever was judged on an object as it stood, also on others by the same handle: through it that
    /// object is written, removed, and read for a copy, only while it is as it was `found`.
    #[must_use]
    pub fn only_on(&self, bucket: &BucketName, object: &ObjectKey, found: Found) -> Self {
        let mut judged = self.judged.clone();
        judged.objects.push((key::current(bucket, object), found));
        self.with(judged)
    }

    /// The same store, whose next PUT has its bytes looked at: in a bucket with a catalogue what was seen of them is kept
    /// with the file, which is active at once.
    #[must_use]
    pub fn witnessed(&self, witness: Arc<dyn Witness>) -> Self {
        self.with(Judged {
            witness: Some(witness),
            ..self.judged.clone()
        })
    }

    /// The same store, through which bytes that come in for files are held back as `screen` says.
    #[must_use]
    pub fn screened(&self, screen: Arc<dyn Screen>) -> Self {
        self.with(Judged {
            screen: Some(screen),
            ..self.judged.clone()
        })
    }

    /// The same store, whose next PUT brings bytes that were scanned before: they are not held back, and this is kept of them.
    #[must_use]
    pub fn with_cleared(&self, scan: ScanRecord) -> Self {
        self.with(Judged {
            cleared: Some(scan),
            ..self.judged.clone()
        })
    }

    /// The same store, through which files that nobody announced have an owner of this kind; else they are a service's.
    #[must_use]
    pub fn made_by(&self, maker: OwnerType) -> Self {
        self.with(Judged {
            maker: Some(maker),
            ..self.judged.clone()
        })
    }

    /// The same store, through which the bytes of a file become a version of it when others are put in their place.
    #[must_use]
    pub fn keeping_replaced(&self) -> Self {
        self.with(Judged {
            keeps: true,
            ..self.judged.clone()
        })
    }

    /// The same store for whoever was judged on a file as it was found: through it the bytes of the file's object are put
    /// only while the file is there and its links were not revoked.
    #[must_use]
    pub fn only_in_epoch(
        &self,
        (bucket, key): (&BucketName, &ObjectKey),
        (id, file, rev): &(FileId, File, Rev),
    ) -> Self {
        self.with(Judged {
            file: Some(JudgedFile {
                object: key::current(bucket, key),
                row: key::file(bucket, id.as_bytes()),
                epoch: file.epoch,
                rev: *rev,
            }),
            ..self.judged.clone()
        })
    }

    fn with(&self, judged: Judged) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            judged,
        }
    }

    /// What makes sure that a bucket is open for writes. Its record and its gate are always written together.
    pub(super) fn is_open(&self, bucket: &BucketName) -> Require {
        match self.meant_revision(bucket) {
            Some(rev) => Require::RevIs(key::gate(bucket), rev),
            None => Require::Present(key::gate(bucket)),
        }
    }

    pub(super) fn meant_revision(&self, bucket: &BucketName) -> Option<Rev> {
        let (meant, rev) = self.judged.bucket.as_ref()?;
        (meant == bucket).then_some(*rev)
    }

    /// What makes sure that a bucket is the one that is meant, if one is; for changes that need no open one.
    pub(super) fn is_meant(&self, bucket: &BucketName) -> Option<Require> {
        let rev = self.meant_revision(bucket)?;
        Some(Require::RevIs(key::gate(bucket), rev))
    }

    /// What makes sure that the object in this row is the one that was judged on.
    pub(super) fn as_judged<'s>(&'s self, row: &'s Key) -> impl Iterator<Item = Require> + 's {
        let of_row = self.judged.objects.iter().filter(move |(judged, _)| judged == row);
        of_row.map(|(row, found)| match found.rev() {
            Some(rev) => Require::RevIs(row.clone(), rev),
            None => Require::Absent(row.clone()),
        })
    }

    /// The one object that may be replaced through this store, and nothing else be put; `None`: any may.
    pub(super) fn only_replaceable(&self) -> Option<(&Key, Rev)> {
        self.judged.objects.iter().find_map(|(row, found)| match found {
            Found::Replaceable(rev) => Some((row, *rev)),
            Found::Nothing | Found::At(_) => None,
        })
    }

    /// Whether the object in this row, at `found`, is another one than was judged on.
    pub(super) fn is_another(&self, row: &Key, found: Option<Rev>) -> bool {
        self.judged
            .objects
            .iter()
            .any(|(judged, known)| judged == row && known.rev() != found)
    }
}
