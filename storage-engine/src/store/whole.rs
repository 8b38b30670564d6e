//! Families of rows that are read whole and changed in one batch: the directory of users, that of projects.
//!
//! Owns how such a family is kept. Its head is the first of its rows, and the beginning of all their keys. Every change
//! requires the head at the revision it was made from and puts it anew, so two changes made from the same state never both
//! succeed. What the rows are is their family's.

use crate::backend::{Batch, Key, NewBody, Op, Put, Require, Rev};
use crate::limits::{BATCH_OPS_MAX, LIST_ITEMS_MAX, VALUE_BYTES_MAX};
use crate::store::error::{CommitRefused, Fault};
use crate::store::{RACES_MAX, Store};

/// A change of a family that was not made. Only [`Fault::Unknown`] leaves open whether it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeWholeError {
    /// It is no longer as it was when the change was thought out. Nothing changed.
    #[error("it was changed meanwhile")]
    Stale,
    /// More rows, or a larger row, than one batch takes. Nothing changed.
    #[error("the change is too large: {0}")]
    TooLarge(&'static str),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Puts a row that has nothing but its value.
pub(super) fn put(key: Key, value: bytes::Bytes) -> Op {
    Op::Put(Put {
        key,
        value,
        body: NewBody::None,
        parent_len: None,
    })
}

impl Store {
    /// Commits `ops` if the row of `key` still is as it was `seen`; `None`: it is not, and nothing changed.
    pub(super) async fn commit_as_seen(&self, key: Key, seen: Option<Rev>, ops: Vec<Op>) -> Result<Option<Rev>, Fault> {
        let batch = Batch {
            require: vec![Require::as_seen(key, seen)],
            ops,
        };
        match self.commit(batch).await {
            Ok(rev) => Ok(Some(rev)),
            Err(CommitRefused::Condition { .. }) => Ok(None),
            Err(CommitRefused::Fault(fault)) => Err(fault),
        }
    }

    /// The revision of a family; `None` when nothing of it was ever put.
    pub(super) async fn rev_of_whole(&self, head: &Key) -> Result<Option<Rev>, Fault> {
        Ok(self.inner.backend.get(head).await?.map(|row| row.rev))
    }

    /// A whole family at one revision. `take` is handed each row, the head among them.
    pub(super) async fn load_whole<R: Default + Send>(
        &self,
        head: &Key,
        take: fn(&mut R, &Key, &[u8]) -> Result<(), Fault>,
    ) -> Result<(Option<Rev>, R), Fault> {
        for _ in 0..RACES_MAX {
            let before = self.rev_of_whole(head).await?;
            let rows = self.pages_of_whole(head, take).await?;
            // Pages share no snapshot; an unchanged head tells that they are of one state.
            if self.rev_of_whole(head).await? == before {
                return Ok((before, rows));
            }
        }
        Err(Fault::Unavailable(format!(
            "what begins with {head:?} changed again and again while it was read"
        )))
    }

    async fn pages_of_whole<R: Default + Send>(
        &self,
        head: &Key,
        take: fn(&mut R, &Key, &[u8]) -> Result<(), Fault>,
    ) -> Result<R, Fault> {
        let end = head
            .after_prefix()
            .ok_or_else(|| Fault::Internal(format!("no end of {head:?}")))?;
        let (mut start, mut rows) = (head.clone(), R::default());
        loop {
            let page = self
                .inner
                .backend
                .scan(start.clone()..end.clone(), LIST_ITEMS_MAX)
                .await?;
            for (row_key, row) in &page.items {
                take(&mut rows, row_key, &row.value)?;
            }
            match page.items.last() {
                Some((last, _)) if page.more => start = last.successor(),
                Some(_) | None => return Ok(rows),
            }
        }
    }

    /// Makes all of `ops` or none, if the family is still at `seen`, and puts its head; answers its new revision. Each row
    /// may be named once.
    pub(super) async fn change_whole(
        &self,
        (head, value): (Key, bytes::Bytes),
        seen: Option<Rev>,
        mut ops: Vec<Op>,
    ) -> Result<Rev, ChangeWholeError> {
        // Beside them it puts the head, and requires it.
        if ops.len() + 2 > BATCH_OPS_MAX {
            return Err(ChangeWholeError::TooLarge("too many rows change at once"));
        }
        let large = |op: &Op| matches!(op, Op::Put(put) if put.value.len() > VALUE_BYTES_MAX);
        if ops.iter().any(large) {
            return Err(ChangeWholeError::TooLarge("a row is larger than 64 KiB"));
        }
        ops.push(put(head.clone(), value));
        let rev = self.commit_as_seen(head, seen, ops).await?;
        rev.ok_or(ChangeWholeError::Stale)
    }
}
