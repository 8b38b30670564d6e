//! One batch against the state: rules first, then conditions, then everything at once.

use std::collections::HashSet;

use bytes::Bytes;

use super::{Owned, Staged, State, StoredRow};
use crate::backend::{Batch, CommitError, NewBody, Op, Put, Require, Rev};
use crate::limits::{BATCH_OPS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// A put whose body's owner-to-be is settled.
struct Ready {
    key: Bytes,
    value: Bytes,
    parent_len: Option<usize>,
    body: ReadyBody,
}

enum ReadyBody {
    None,
    Staged(Box<Staged>),
    /// A body that another row owned before the batch.
    Moved(u64),
}

impl State {
    pub(super) fn commit(&mut self, batch: Batch) -> Result<Rev, CommitError> {
        check_limits(&batch)?;
        for (index, require) in batch.require.iter().enumerate() {
            let found = self.rows.get(require.key().as_bytes()).map(|row| row.rev);
            let holds = match require {
                Require::Absent(_) => found.is_none(),
                Require::Present(_) => found.is_some(),
                Require::RevIs(_, rev) => found == Some(*rev),
            };
            if !holds {
                return Err(CommitError::Failed { index, found });
            }
        }
        let (puts, deletes) = self.settle(batch.ops)?;
        self.last_rev += 1;
        let rev = Rev(self.last_rev);
        self.apply(puts, deletes, rev);
        Ok(rev)
    }

    /// Finds the body of every put, and refuses a batch that breaks the rules of ownership.
    fn settle(&self, ops: Vec<Op>) -> Result<(Vec<Ready>, Vec<Bytes>), CommitError> {
        let named: HashSet<Bytes> = ops.iter().map(|op| op.key().clone().into_bytes()).collect();
        let (mut puts, mut deletes) = (Vec::new(), Vec::new());
        for op in ops {
            match op {
                Op::Delete(key) => deletes.push(key.into_bytes()),
                Op::Put(put) => puts.push(put),
            }
        }
        let mut moved = HashSet::new();
        let mut ready = Vec::with_capacity(puts.len());
        for Put {
            key,
            value,
            body,
            parent_len,
        } in puts
        {
            let body = match body {
                NewBody::None => ReadyBody::None,
                NewBody::Blob(blob) => {
                    let foreign = CommitError::Invalid("a blob of another backend");
                    let staged = blob.staged.downcast::<Staged>().map_err(|_| foreign)?;
                    self.check_joined(&staged, &deletes)?;
                    ReadyBody::Staged(staged)
                }
                NewBody::Moved(from) => {
                    let from = from.into_bytes();
                    if !named.contains(&from) || !moved.insert(from.clone()) {
                        return Err(CommitError::Invalid(
                            "a body is moved from one of the batch's own keys, once",
                        ));
                    }
                    match self.rows.get(&from) {
                        Some(row) => row.body.map_or(ReadyBody::None, ReadyBody::Moved),
                        None => return Err(CommitError::Invalid("a body is moved from a row that is absent")),
                    }
                }
            };
            ready.push(Ready {
                key: key.into_bytes(),
                value,
                parent_len,
                body,
            });
        }
        Ok((ready, deletes))
    }

    /// A joined body takes its parts over only if the batch deletes the row their owners depend on.
    fn check_joined(&self, staged: &Staged, deletes: &[Bytes]) -> Result<(), CommitError> {
        for id in &staged.joined {
            let Some(owned) = self.bodies.get(id) else {
                return Err(CommitError::PartChanged);
            };
            let parent_len = self.rows.get(&owned.owner).and_then(|row| row.parent_len);
            let parent = parent_len.and_then(|len| owned.owner.get(..len));
            if !parent.is_some_and(|parent| deletes.iter().any(|key| key.as_ref() == parent)) {
                return Err(CommitError::Invalid(
                    "joining parts needs the delete of the row their owners depend on",
                ));
            }
        }
        Ok(())
    }

    fn apply(&mut self, puts: Vec<Ready>, deletes: Vec<Bytes>, rev: Rev) {
        let moved: HashSet<u64> = puts
            .iter()
            .filter_map(|put| match put.body {
                ReadyBody::Moved(id) => Some(id),
                ReadyBody::None | ReadyBody::Staged(_) => None,
            })
            .collect();
        for key in deletes.iter().chain(puts.iter().map(|put| &put.key)) {
            if let Some(id) = self
                .rows
                .remove(key)
                .and_then(|row| row.body)
                .filter(|id| !moved.contains(id))
            {
                self.bodies.remove(&id);
            }
        }
        // A row put while its parent is absent owns nothing from the beginning.
        let mut children = Vec::new();
        for Ready {
            key,
            value,
            parent_len,
            body,
        } in puts
        {
            let body = match body {
                ReadyBody::None => None,
                ReadyBody::Moved(id) => {
                    if let Some(owned) = self.bodies.get_mut(&id) {
                        owned.owner = key.clone();
                    }
                    Some(id)
                }
                ReadyBody::Staged(staged) => {
                    self.last_body += 1;
                    let Staged { body, class, joined: _ } = *staged;
                    self.bodies.insert(
                        self.last_body,
                        Owned {
                            body,
                            class,
                            owner: key.clone(),
                        },
                    );
                    Some(self.last_body)
                }
            };
            if let (Some(len), Some(id)) = (parent_len, body) {
                children.push((key.slice(..len), id));
            }
            self.rows.insert(
                key,
                StoredRow {
                    value,
                    rev,
                    body,
                    parent_len,
                },
            );
        }
        for key in deletes {
            self.disown_children(&key);
        }
        for (parent, id) in children {
            if !self.rows.contains_key(&parent) {
                self.bodies.remove(&id);
            }
        }
    }

    /// Rows that depend on a row which is gone own nothing any more.
    fn disown_children(&mut self, parent: &Bytes) {
        let children = self
            .rows
            .range(parent.clone()..)
            .take_while(|(key, _)| key.starts_with(parent));
        let bodies: Vec<u64> = children
            .filter(|(_, row)| row.parent_len == Some(parent.len()))
            .filter_map(|(_, row)| row.body)
            .collect();
        for id in bodies {
            self.bodies.remove(&id);
        }
    }
}

fn check_limits(batch: &Batch) -> Result<(), CommitError> {
    if batch.ops.len() + batch.require.len() > BATCH_OPS_MAX {
        return Err(CommitError::Invalid("too many rows in one batch"));
    }
    let mut named = HashSet::new();
    for op in &batch.ops {
        if !named.insert(op.key()) {
            return Err(CommitError::Invalid("a batch names each key at most once"));
        }
        if op.key().as_bytes().len() > KEY_BYTES_MAX {
            return Err(CommitError::Invalid("a key is too long"));
        }
        if let Op::Put(put) = op {
            if put.value.len() > VALUE_BYTES_MAX {
                return Err(CommitError::Invalid("a value is too long"));
            }
            if put.parent_len.is_some_and(|len| len >= put.key.as_bytes().len()) {
                return Err(CommitError::Invalid("a parent's key is shorter than its child's"));
            }
        }
    }
    Ok(())
}
