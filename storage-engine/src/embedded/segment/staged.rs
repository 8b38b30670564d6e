//! Shard files that nothing names yet. Dropping them removes them in the background, whatever was on its way.

use crate::embedded::drive::{Lane, ShardFile};
use crate::embedded::frame::ShardHeader;

use super::writer::on_drive;
use super::{PresentDrive, Segment, WriteError};

/// One shard file of a segment that is being written; removed on drop unless it is kept.
pub(super) struct StagedShard {
    pub(super) on: PresentDrive,
    pub(super) file: ShardFile,
    header: ShardHeader,
    kept: bool,
}

impl StagedShard {
    /// Makes the file. Blocks.
    pub(super) fn create(on: PresentDrive, header: ShardHeader) -> std::io::Result<Self> {
        let file = on.drive.create_shard(&header)?;
        Ok(Self {
            on,
            file,
            header,
            kept: false,
        })
    }

    /// Puts the file and its directory entry on stable media.
    pub(super) async fn sync(&self) -> Result<(), WriteError> {
        let file = self.file.clone();
        let synced = self.on.drive.run(Lane::Bulk, move || file.sync_data());
        on_drive(self.on.id, synced).await?;
        let (kind, segment) = (self.header.kind, self.header.segment);
        on_drive(self.on.id, self.on.drive.share_shard_dir_sync(kind, segment)).await
    }
}

impl Drop for StagedShard {
    fn drop(&mut self) {
        if !self.kept {
            let header = &self.header;
            self.on
                .drive
                .remove_shard_later(header.kind, header.segment, header.shard);
        }
    }
}

/// A finished segment: every shard file and directory entry is on stable media, but no row or root names it yet.
/// Dropping it removes its files in the background.
#[must_use = "dropping a staged segment removes its files"]
pub struct StagedSegment {
    segment: Segment,
    file_bytes: u64,
    shards: Vec<StagedShard>,
}

impl std::fmt::Debug for StagedSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StagedSegment").field(&self.segment).finish()
    }
}

impl StagedSegment {
    pub(super) fn new(segment: Segment, file_bytes: u64, shards: Vec<StagedShard>) -> Self {
        Self {
            segment,
            file_bytes,
            shards,
        }
    }

    /// A segment that is part of the store already: a record is to say again which drives it is on. Its files stay
    /// whatever becomes of the record.
    pub fn known(segment: Segment) -> Self {
        Self::new(segment, 0, Vec::new())
    }

    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Epoch of the root when its files were made; `None` of one that is part of the store already.
    pub fn made_in(&self) -> Option<u64> {
        self.shards.first().map(|shard| shard.header.created_epoch)
    }

    /// Length of each shard file.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// To be called as soon as a queued record or a root may name the segment: from then on its files stay.
    pub fn keep(mut self) -> Segment {
        for shard in &mut self.shards {
            shard.kept = true;
        }
        self.segment.clone()
    }
}
