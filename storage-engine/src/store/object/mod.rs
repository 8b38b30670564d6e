//! Objects: put, get, head, delete, copy.
//!
//! An object is one row that owns its body. What replaces or deletes the row gives the body up in the same batch.

use crate::backend::{Key, Require, Rev};
use crate::store::condition::Guard;
use crate::store::error::Fault;
use crate::store::record::Record;
use crate::store::record::object::Object;
use crate::store::{Store, key};

pub mod copy;
pub mod delete;
pub mod get;
pub mod labels;
pub mod put;

/// An object's row, decoded.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) object: Object,
    pub(super) rev: Rev,
    pub(super) body: Option<crate::backend::BodyRef>,
}

impl Store {
    pub(super) async fn current(&self, row_key: &Key) -> Result<Option<Current>, Fault> {
        match self.inner.backend.get(row_key).await? {
            Some(row) => Ok(Some(Current {
                object: Object::from_value(&row.value)?,
                rev: row.rev,
                body: row.body,
            })),
            None => Ok(None),
        }
    }

    /// Tells an absent key from an absent bucket.
    pub(super) async fn bucket_exists(&self, bucket: &crate::store::name::BucketName) -> Result<bool, Fault> {
        Ok(self.inner.backend.get(&key::bucket(bucket)).await?.is_some())
    }
}

/// The requirement that keeps a decision true until the commit.
pub(super) fn guard(guard: Guard, row_key: &Key, rev: Option<Rev>) -> Option<Require> {
    match (guard, rev) {
        (Guard::None, _) => None,
        (Guard::Absent, _) => Some(Require::Absent(row_key.clone())),
        (Guard::Present, _) => Some(Require::Present(row_key.clone())),
        (Guard::Unchanged, Some(rev)) => Some(Require::RevIs(row_key.clone(), rev)),
        (Guard::Unchanged, None) => Some(Require::Absent(row_key.clone())),
    }
}
