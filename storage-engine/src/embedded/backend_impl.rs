//! The `Backend` trait on top of a running store: each call takes the present run and goes on in its parts.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;

use super::blob::body_ref;
use super::index::{Grouped, Index, IndexError};
use super::record::RowRecord;
use super::root::MemberState;
use super::supervise::Embedded;
use crate::backend::{
    Backend, Batch, Blob, BlobClass, BodyRef, BodySource, BodyStream, CommitError, DriveHealth, DriveState, Entry,
    GroupedScan, Health, Key, Page, PutBlobError, ReadError, Rev, Row,
};

fn row(record: RowRecord) -> Row {
    let body = record.body.as_ref().map(body_ref);
    Row {
        value: Bytes::from(Vec::from(record.value)),
        rev: Rev(record.rev),
        body,
    }
}

fn index_failed(error: &IndexError) -> ReadError {
    ReadError::Unavailable(format!("the index failed: {error}"))
}

fn undecided() -> ReadError {
    ReadError::Unavailable("the outcome of an earlier change is not decided yet".into())
}

impl Embedded {
    fn serving(&self) -> Result<Arc<super::supervise::Running>, ReadError> {
        let running = self.running().map_err(ReadError::Unavailable)?;
        match running.shared.service.refuses_reads() {
            None => Ok(running),
            Some(reason) => Err(ReadError::Unavailable(reason)),
        }
    }
}

impl Embedded {
    fn health_without_drives(&self, reason: String) -> Health {
        let missing = |path: &std::path::PathBuf| DriveHealth {
            id: String::new(),
            path: path.to_string_lossy().into_owned(),
            state: DriveState::Missing,
            reason: "the store is not ready".into(),
            capacity_bytes: 0,
            free_bytes: 0,
        };
        let drives = self.paths().iter().map(missing).collect();
        Health {
            store: String::new(),
            state: crate::backend::ServiceState::NotReady(reason),
            large_bodies_fail: None,
            drives,
            parity: 0,
            tolerated_losses: 0,
        }
    }
}

impl Embedded {
    /// A page of rows that are all decided.
    fn page(
        &self,
        range: Range<Key>,
        scan: impl FnOnce(&Index, &Range<Key>) -> Result<Page<(Key, RowRecord)>, IndexError>,
    ) -> Result<Page<(Key, Row)>, ReadError> {
        let running = self.serving()?;
        if running.shared.service.any_unknown_in(range.clone()) {
            return Err(undecided());
        }
        let page = scan(&running.shared.index, &range).map_err(|e| index_failed(&e))?;
        let items = page.items.into_iter().map(|(key, record)| (key, row(record))).collect();
        Ok(Page { items, more: page.more })
    }
}

impl super::supervise::Running {
    /// What the start found out about a path that it does not use.
    fn why_absent(&self, path: &str) -> Option<String> {
        let absent = self.absent.lock();
        let known = absent.iter().find(|(absent, _)| absent.as_os_str() == path);
        known.map(|(_, reason)| reason.clone())
    }
}

#[async_trait]
impl Backend for Embedded {
    async fn get(&self, key: &Key) -> Result<Option<Row>, ReadError> {
        let running = self.serving()?;
        if running.shared.service.is_unknown(key) {
            return Err(undecided());
        }
        let found = running.shared.row(key).map_err(|e| index_failed(&e))?;
        Ok(found.map(row))
    }

    async fn scan(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        self.page(range, |index, range| index.scan(range, limit))
    }

    async fn scan_back(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError> {
        self.page(range, |index, range| index.scan_back(range, limit))
    }

    async fn scan_grouped(&self, scan: GroupedScan) -> Result<Page<Entry>, ReadError> {
        let running = self.serving()?;
        let undecided_here = match scan.prefix.after_prefix() {
            Some(end) => running.shared.service.any_unknown_in(scan.prefix.clone()..end),
            None => running.shared.service.any_unknown_in(scan.prefix.clone()..),
        };
        if undecided_here {
            return Err(undecided());
        }
        let page = running.shared.index.scan_grouped(&scan).map_err(|e| index_failed(&e))?;
        let items = page.items.into_iter().map(|entry| match entry {
            Grouped::Row(key, record) => Entry::Row(key, row(record)),
            Grouped::Group(key) => Entry::Group(key),
        });
        Ok(Page {
            items: items.collect(),
            more: page.more,
        })
    }

    async fn commit(&self, batch: Batch) -> Result<Rev, CommitError> {
        let running = self.running().map_err(CommitError::Unavailable)?;
        match &running.committer {
            Some(committer) => running.shared.commit(committer, batch).await,
            None => {
                let reason = running.shared.service.refuses_writes();
                Err(CommitError::Unavailable(
                    reason.unwrap_or_else(|| "the store is read-only".into()),
                ))
            }
        }
    }

    async fn put_blob(
        &self,
        class: BlobClass,
        source: BodySource<'_>,
        _size_hint: Option<u64>,
    ) -> Result<Blob, PutBlobError> {
        let running = self.running().map_err(PutBlobError::Unavailable)?;
        running.shared.put_blob(running.committer.as_ref(), class, source).await
    }

    async fn join_blobs(&self, parts: &[BodyRef]) -> Result<Blob, PutBlobError> {
        let running = self.running().map_err(PutBlobError::Unavailable)?;
        running.shared.join(running.committer.as_ref(), parts).await
    }

    async fn get_blob(&self, body: &BodyRef, range: Range<u64>) -> Result<BodyStream, ReadError> {
        self.serving()?.shared.get_blob(body, range).await
    }

    async fn delete_blob(&self, blob: Blob) {
        drop(blob);
    }

    fn health(&self) -> Health {
        let running = match self.running() {
            Ok(running) => running,
            Err(reason) => return self.health_without_drives(reason),
        };
        let shared = &running.shared;
        let root = shared.keeper.lock().root().clone();
        let (suspicions, now) = (&shared.service.damage.suspicions, Instant::now());
        let drives: Vec<DriveHealth> = root
            .members
            .iter()
            .map(|member| {
                let drive = shared.drives.get(&member.id);
                let (state, reason) = match (&drive, member.state) {
                    (None, MemberState::In | MemberState::Draining) => {
                        let why = running.why_absent(&member.path);
                        let unseen = || "it was not found at the given paths".to_owned();
                        (DriveState::Missing, why.unwrap_or_else(unseen))
                    }
                    (_, MemberState::Out | MemberState::DrainingOut) => {
                        let left_out = suspicions.why_left_out(member.id);
                        let why: Vec<String> = left_out.into_iter().chain(running.why_absent(&member.path)).collect();
                        let unsaid = "it failed or was late; it is taken in again once it does what it is asked";
                        let why = if why.is_empty() {
                            unsaid.to_owned()
                        } else {
                            why.join("; ")
                        };
                        (DriveState::Out, why)
                    }
                    (Some(_), MemberState::In) => {
                        let why = suspicions.why_suspect(member.id, now);
                        (DriveState::In, why.unwrap_or_default())
                    }
                    (Some(_), MemberState::Draining) => {
                        let suspect = suspicions.why_suspect(member.id, now);
                        let why: Vec<String> = std::iter::once("what it holds is moved to others".to_owned())
                            .chain(suspect)
                            .collect();
                        (DriveState::Draining, why.join("; "))
                    }
                };
                let space = drive.map(|drive| drive.space_seen()).unwrap_or_default();
                DriveHealth {
                    id: member.id.to_string(),
                    path: member.path.clone(),
                    state,
                    reason,
                    capacity_bytes: space.capacity,
                    free_bytes: space.free,
                }
            })
            .collect();
        Health {
            store: shared.store.to_string(),
            state: shared.service.state(),
            large_bodies_fail: shared.service.why_extents_fail(),
            drives,
            parity: usize::from(root.parity),
            tolerated_losses: shared.tolerated_losses(),
        }
    }
}
