//! What compaction needs of a running store: packs on drives that take extents, and re-pointing under the rows' locks.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::backend::Key;
use crate::embedded::checkpoint_io::present;
use crate::embedded::compact::{CompactError, CompactStore, Repoint};
use crate::embedded::core::Shared;
use crate::embedded::erasure::Geometry;
use crate::embedded::id::SegmentId;
use crate::embedded::index::Index;
use crate::embedded::log::{Committer, PendingBody, PendingOp, PendingPut, Queued, choose_drives};
use crate::embedded::segment::{NewSegment, Segment, SegmentKind, SegmentReader, SegmentWriter, StagedSegment};
use crate::embedded::table::Pin;

pub(in crate::embedded) struct PackGround {
    pub(in crate::embedded) shared: Arc<Shared>,
    pub(in crate::embedded) committer: Committer,
}

#[async_trait::async_trait]
impl CompactStore for PackGround {
    fn index(&self) -> &Index {
        &self.shared.index
    }

    fn reader(&self) -> &SegmentReader {
        &self.shared.reader
    }

    fn pin(&self, id: SegmentId) -> Option<(Segment, Pin)> {
        self.shared.table.pin(id)
    }

    async fn new_pack(&self) -> Result<SegmentWriter, CompactError> {
        let (parity, epoch, drives) = self.shared.extent_candidates();
        let too_few = || CompactError::NoDrives("too few drives are in to write with full parity".into());
        let geometry = Geometry::for_extent(drives.len(), parity).ok_or_else(too_few)?;
        let codec = self
            .shared
            .reader
            .codecs()
            .get(geometry)
            .map_err(|e| CompactError::NoDrives(e.to_string()))?;
        let new = NewSegment {
            kind: SegmentKind::Pack,
            store: self.shared.store,
            epoch,
            full_width: self.shared.width_missed(geometry),
        };
        Ok(SegmentWriter::create(codec, present(choose_drives(&drives, geometry.shards())), new).await?)
    }

    async fn commit_repoint(&self, mut moves: Vec<Repoint>, packs: Vec<StagedSegment>) -> Result<(), CompactError> {
        let failed = |reason: String| CompactError::Commit(reason);
        let keys: Vec<Key> = moves.iter().map(|change| change.key.clone()).collect();
        let exclusive: Vec<&Key> = keys.iter().collect();
        let locks = tokio::select! {
            locks = self.shared.locks.lock(&[], &exclusive) => locks,
            () = self.shared.service.stopped() => return Err(failed("the store stopped taking writes".into())),
        };
        let mut unchanged = Vec::with_capacity(moves.len());
        for change in moves.drain(..) {
            if self.shared.index.get(change.key.as_bytes())?.as_ref() == Some(&change.old) {
                unchanged.push(change);
            }
        }
        if unchanged.is_empty() {
            return Ok(());
        }
        let put = |change: Repoint| {
            PendingOp::Put(PendingPut {
                key: change.key,
                value: Bytes::from(Vec::from(change.new.value)),
                body: change.new.body.map_or(PendingBody::None, PendingBody::Placed),
                parent_len: change.new.parent_len,
                rev: Some(change.new.rev),
            })
        };
        let (reply, answer) = oneshot::channel();
        let ops = unchanged.into_iter().map(put).collect();
        self.committer.queue(Queued {
            ops,
            staged: packs,
            pins: Vec::new(),
            removed: Vec::new(),
            locks,
            reply,
        });
        match answer.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("the committer ended".into())),
        }
    }
}
