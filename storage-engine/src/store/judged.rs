//! A store for whoever was judged on a bucket or an object as it stood: no write through it meets another one.
//!
//! Owns what is remembered of that, and what it requires of a commit. It judges nothing.

use std::sync::Arc;

use super::name::{BucketName, ObjectKey};
use super::{Store, key};
use crate::backend::{Key, Require, Rev};

/// What was judged on.
#[derive(Clone, Default)]
pub(super) struct Judged {
    /// The one bucket that is meant by its name.
    bucket: Option<(BucketName, Rev)>,
    /// Rows of objects; without a revision there was none.
    objects: Vec<(Key, Option<Rev>)>,
    /// The one object that may be replaced, and nothing else be put: see [`Store::only_replacing`].
    pub(super) replaced: Option<(Key, Rev)>,
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
    /// object is written, removed, and read for a copy, only while it has the revision `rev`; `None`: while there is none.
    #[must_use]
    pub fn only_on(&self, bucket: &BucketName, object: &ObjectKey, rev: Option<Rev>) -> Self {
        let mut judged = self.judged.clone();
        judged.objects.push((key::current(bucket, object), rev));
        self.with(judged)
    }

    /// The same store for whoever may put other bytes in the place of one object as it stood, and nothing else: a PUT of
    /// it through this store leaves owner, tags, visibility and shares as they are, and is refused once the object does
    /// not have the revision `rev` any more.
    #[must_use]
    pub fn only_replacing(&self, bucket: &BucketName, object: &ObjectKey, rev: Rev) -> Self {
        let judged = Judged {
            replaced: Some((key::current(bucket, object), rev)),
            ..self.judged.clone()
        };
        self.with(judged)
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
        of_row.map(|(row, rev)| match rev {
            Some(rev) => Require::RevIs(row.clone(), *rev),
            None => Require::Absent(row.clone()),
        })
    }

    /// Whether the object in this row, at `found`, is another one than was judged on.
    pub(super) fn is_another(&self, row: &Key, found: Option<Rev>) -> bool {
        self.judged
            .objects
            .iter()
            .any(|(judged, rev)| judged == row && *rev != found)
    }
}
