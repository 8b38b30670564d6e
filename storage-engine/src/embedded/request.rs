//! The request's side of a commit: limits, locks, conditions, and bodies made ready for the log. It runs in the
//! request's task; what it queues belongs to the committer.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::blob::{Joined, StagedBody};
use super::core::Shared;
use super::housekeeping::NoRoom;
use super::log::{Committer, PendingBody, PendingOp, PendingPut, Queued, SmallBody};
use super::record::{Body, RowRecord};
use super::table::Pin;
use crate::backend::{Batch, CommitError, Key, NewBody, Op, Put, Require, Rev};
use crate::embedded::segment::StagedSegment;
use crate::limits::{BATCH_OPS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};

fn check_limits(batch: &Batch) -> Result<(), CommitError> {
    if batch.ops.len() + batch.require.len() > BATCH_OPS_MAX {
        return Err(CommitError::Invalid("a batch names at most 2,000 rows"));
    }
    let mut seen = HashMap::with_capacity(batch.ops.len());
    for op in &batch.ops {
        if op.key().as_bytes().len() > KEY_BYTES_MAX || op.key().as_bytes().is_empty() {
            return Err(CommitError::Invalid("a key has 1 to 4,096 bytes"));
        }
        if seen.insert(op.key(), ()).is_some() {
            return Err(CommitError::Invalid("a batch names each key at most once"));
        }
        if let Op::Put(put) = op {
            if put.value.len() > VALUE_BYTES_MAX {
                return Err(CommitError::Invalid("a value has at most 65,536 bytes"));
            }
            if put
                .parent_len
                .is_some_and(|len| len == 0 || len >= put.key.as_bytes().len())
            {
                return Err(CommitError::Invalid(
                    "a parent's key is a proper prefix of the row's key",
                ));
            }
        }
    }
    let names = |key: &Key| batch.ops.iter().any(|op| op.key() == key);
    let moved = batch.ops.iter().filter_map(|op| match op {
        Op::Put(Put {
            body: NewBody::Moved(from),
            ..
        }) => Some(from),
        Op::Put(_) | Op::Delete(_) => None,
    });
    let mut moved_from = Vec::new();
    for from in moved {
        if !names(from) || moved_from.contains(&from) {
            return Err(CommitError::Invalid(
                "a body moves once, from a row that the batch changes",
            ));
        }
        moved_from.push(from);
    }
    Ok(())
}

/// Parents that the batch's rows depend on and that it does not put itself.
fn parents(batch: &Batch) -> BTreeSet<Key> {
    let parent = |op: &Op| match op {
        Op::Put(Put {
            key,
            parent_len: Some(len),
            ..
        }) => key.as_bytes().get(..*len).map(|bytes| Key::new(bytes.to_vec())),
        Op::Put(_) | Op::Delete(_) => None,
    };
    let put = |key: &Key| batch.ops.iter().any(|op| matches!(op, Op::Put(put) if put.key == *key));
    batch.ops.iter().filter_map(parent).filter(|key| !put(key)).collect()
}

/// What a batch brings with it: segments nothing names yet, and holds on segments whose bodies change their owner.
#[derive(Default)]
struct Brought {
    segments: Vec<StagedSegment>,
    pins: Vec<Pin>,
}

/// The joined bodies that a batch puts.
fn joins(batch: &Batch) -> impl Iterator<Item = &Joined> {
    batch.ops.iter().filter_map(|op| match op {
        Op::Put(Put {
            body: NewBody::Blob(blob),
            ..
        }) => match blob.staged.downcast_ref::<StagedBody>()? {
            StagedBody::Joined(joined) => Some(joined),
            StagedBody::Small(_) | StagedBody::Extents(_) => None,
        },
        Op::Put(_) | Op::Delete(_) => None,
    })
}

fn index_failed(error: &super::index::IndexError) -> CommitError {
    CommitError::Unavailable(format!("the index failed: {error}"))
}

impl Shared {
    /// Checks the conditions against the index. The caller holds the locks.
    fn check(&self, require: &[Require]) -> Result<(), CommitError> {
        for (index, condition) in require.iter().enumerate() {
            let found = self
                .row(condition.key())
                .map_err(|e| index_failed(&e))?
                .map(|row| Rev(row.rev));
            let holds = match condition {
                Require::Absent(_) => found.is_none(),
                Require::Present(_) => found.is_some(),
                Require::RevIs(_, rev) => found == Some(*rev),
            };
            if !holds {
                return Err(CommitError::Failed { index, found });
            }
        }
        Ok(())
    }

    /// The row in force. A row whose parent is gone went with it: the index keeps none.
    pub fn row(&self, key: &Key) -> Result<Option<RowRecord>, super::index::IndexError> {
        self.index.get(key.as_bytes())
    }

    /// A joined body takes its parts over only from rows that stand and that end with this batch. The caller holds the
    /// locks: no part can be put under a row that the batch deletes.
    fn check_joins(&self, batch: &Batch) -> Result<(), CommitError> {
        if joins(batch).all(|joined| joined.parts.is_empty()) {
            return Ok(());
        }
        let mut ending: HashSet<Body> = HashSet::new();
        for op in &batch.ops {
            if let Op::Delete(parent) = op {
                let rows = self.index.dependent_rows(parent.as_bytes());
                let rows = rows.map_err(|e| index_failed(&e))?;
                ending.extend(rows.into_iter().filter_map(|(_, row)| row.body));
            }
        }
        if joins(batch)
            .flat_map(|joined| &joined.parts)
            .all(|part| ending.contains(part))
        {
            return Ok(());
        }
        // A part is known by its place: a shard that moves does not change it, a body that is written anew does.
        if batch.ops.iter().any(|op| matches!(op, Op::Delete(_))) {
            return Err(CommitError::PartChanged);
        }
        Err(CommitError::Invalid(
            "joining parts needs the delete of the row their owners depend on",
        ))
    }

    /// Turns an op into what the log writes; what the batch brings is put to `brought`.
    fn pending(&self, op: Op, brought: &mut Brought) -> Result<PendingOp, CommitError> {
        let put = match op {
            Op::Delete(key) => return Ok(PendingOp::Delete(key)),
            Op::Put(put) => put,
        };
        let body = match put.body {
            NewBody::None => PendingBody::None,
            NewBody::Moved(from) => match self.row(&from).map_err(|e| index_failed(&e))?.and_then(|r| r.body) {
                Some(body) => PendingBody::Placed(body),
                None => return Err(CommitError::Invalid("the row to move a body from owns none")),
            },
            NewBody::Blob(blob) => {
                let Ok(body) = blob.staged.downcast::<StagedBody>() else {
                    return Err(CommitError::Invalid("the body was staged on another backend"));
                };
                self.stage(*body, brought)?
            }
        };
        let parent_len = put.parent_len.map(u16::try_from).transpose();
        let parent_len = parent_len.map_err(|_| CommitError::Invalid("a key has 1 to 4,096 bytes"))?;
        Ok(PendingOp::Put(PendingPut {
            key: put.key,
            value: put.value,
            body,
            parent_len,
            rev: None,
        }))
    }

    fn stage(&self, body: StagedBody, brought: &mut Brought) -> Result<PendingBody, CommitError> {
        let place = |data: Bytes| -> Result<SmallBody, CommitError> {
            let codec = self.service.log_codec();
            let codec = codec.ok_or_else(|| CommitError::Unavailable("no log segment is open".into()))?;
            SmallBody::encode(data, &codec).map_err(|_| CommitError::Invalid("the body is too large for the log"))
        };
        Ok(match body {
            StagedBody::Small(data) if data.is_empty() => PendingBody::Placed(Body::Direct {
                len: 0,
                pieces: Vec::new(),
            }),
            StagedBody::Small(data) => PendingBody::Small(place(data)?),
            StagedBody::Extents(body) => {
                // What an earlier run of this process staged, a sweep of this one may have removed.
                let start = self.service.start_epoch();
                let of_earlier_run = |staged: &StagedSegment| staged.made_in().is_some_and(|made| Some(made) < start);
                if body.segments.iter().any(of_earlier_run) {
                    return Err(CommitError::Unavailable(
                        "the store started anew while the body was on its way; send it again".into(),
                    ));
                }
                brought.segments.extend(body.segments);
                PendingBody::Placed(Body::Direct {
                    len: body.len,
                    pieces: body.pieces,
                })
            }
            StagedBody::Joined(Joined {
                len, sums, list, pins, ..
            }) => {
                brought.pins.extend(pins);
                match self.stage(*list, brought)? {
                    PendingBody::Small(list) => PendingBody::Joined { len, sums, list },
                    PendingBody::Placed(Body::Direct { pieces, .. }) => PendingBody::Placed(Body::Joined {
                        len,
                        list: pieces,
                        sums,
                    }),
                    PendingBody::None | PendingBody::Placed(Body::Joined { .. }) | PendingBody::Joined { .. } => {
                        return Err(CommitError::Invalid("a part list is a plain body"));
                    }
                }
            }
        })
    }

    /// Below the reserve only a batch that deletes rows and brings no body is taken.
    fn check_space(&self, batch: &Batch) -> Result<(), CommitError> {
        let brings = |op: &Op| {
            matches!(
                op,
                Op::Put(Put {
                    body: NewBody::Blob(_),
                    ..
                })
            )
        };
        if self.service.is_full() && batch.ops.iter().any(brings) {
            return Err(CommitError::Full(NoRoom.to_string()));
        }
        Ok(())
    }

    /// Locks, checks and queues a batch, and waits for its end.
    pub async fn commit(&self, committer: &Committer, batch: Batch) -> Result<Rev, CommitError> {
        check_limits(&batch)?;
        if let Some(reason) = self.service.refuses_writes() {
            return Err(CommitError::Unavailable(reason));
        }
        self.check_space(&batch)?;
        let parents = parents(&batch);
        let shared: Vec<&Key> = batch.require.iter().map(Require::key).chain(&parents).collect();
        let exclusive: Vec<&Key> = batch.ops.iter().map(Op::key).collect();
        // A batch with an unknown outcome keeps its locks: whoever waits for them gives up when that happens.
        let locks = tokio::select! {
            locks = self.locks.lock(&shared, &exclusive) => locks,
            () = self.service.stopped() => {
                return Err(CommitError::Unavailable("the store stopped taking writes".into()));
            }
        };
        self.check(&batch.require)?;
        for parent in parents {
            let ends_here = batch
                .ops
                .iter()
                .any(|op| matches!(op, Op::Delete(key) if *key == parent));
            if ends_here || self.row(&parent).map_err(|e| index_failed(&e))?.is_none() {
                return Err(CommitError::Invalid("the parent row is absent"));
            }
        }
        self.check_joins(&batch)?;
        let mut brought = Brought::default();
        let ops = batch
            .ops
            .into_iter()
            .map(|op| self.pending(op, &mut brought))
            .collect::<Result<Vec<_>, _>>()?;
        let (reply, answer) = oneshot::channel();
        committer.queue(Queued {
            ops,
            staged: brought.segments,
            pins: brought.pins,
            removed: Vec::new(),
            locks,
            reply,
        });
        answer
            .await
            .unwrap_or_else(|_| Err(CommitError::Unknown("the committer ended".into())))
    }
}
