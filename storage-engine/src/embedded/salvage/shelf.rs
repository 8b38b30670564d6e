//! Which shard file is on which of the given drives, and what must be known to read a segment from them. What tables say
//! of drives is not asked: the files are where they are. Reads headers, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::embedded::drive::Drive;
use crate::embedded::erasure::Geometry;
use crate::embedded::frame::{SHARD_HEADER_BYTES, ShardHeader};
use crate::embedded::id::{DriveId, SegmentId, StoreId};
use crate::embedded::log::LogDrives;
use crate::embedded::segment::{Drives, Segment, SegmentKind};

/// A shard file on a drive.
#[derive(Clone, Copy, Debug)]
struct Held {
    shard: u8,
    bytes: u64,
    drive: usize,
}

/// Everything that the drives hold.
pub(super) struct Shelf {
    drives: Vec<Arc<Drive>>,
    held: BTreeMap<SegmentId, Vec<Held>>,
    hints: BTreeMap<SegmentId, SegmentKind>,
    /// Kind and geometry, where a root, a checkpoint, the log or a header told it.
    known: BTreeMap<SegmentId, (SegmentKind, Geometry)>,
    store: Option<StoreId>,
}

/// Drives are told apart by the order in which they were given: one may have lost its id, and two may claim the same.
fn id_of(drive: usize) -> DriveId {
    DriveId::from_bytes((drive as u128 + 1).to_be_bytes())
}

/// No drive.
fn nobody() -> DriveId {
    DriveId::from_bytes([u8::MAX; 16])
}

impl Shelf {
    /// Lists all shard files and makes the drives present. Blocks.
    pub(super) fn new(drives: Vec<Arc<Drive>>, present: &Drives, store: Option<StoreId>) -> Self {
        let mut held: BTreeMap<SegmentId, Vec<Held>> = BTreeMap::new();
        let mut hints = BTreeMap::new();
        for (number, drive) in drives.iter().enumerate() {
            drive.set_id(id_of(number));
            present.insert(id_of(number), Arc::clone(drive));
            for listed in drive.list_shards().unwrap_or_default() {
                hints.insert(listed.segment, listed.kind_hint);
                held.entry(listed.segment).or_default().push(Held {
                    shard: listed.shard,
                    bytes: listed.bytes,
                    drive: number,
                });
            }
        }
        Self {
            drives,
            held,
            hints,
            known: BTreeMap::new(),
            store,
        }
    }

    /// The store whose drives these are, once it is known.
    pub(super) fn store(&self) -> Option<StoreId> {
        self.store
    }

    /// Files of other stores count no more.
    pub(super) fn is_of(&mut self, store: StoreId) {
        self.store = Some(store);
    }

    /// What the headers of log segments and checkpoints say whose they are. Blocks.
    pub(super) fn stores(&self) -> Vec<StoreId> {
        let named = self.hints.iter().filter(|(_, kind)| match kind {
            SegmentKind::Log | SegmentKind::Checkpoint => true,
            SegmentKind::Extent | SegmentKind::Pack => false,
        });
        let stores: BTreeSet<StoreId> = named
            .filter_map(|(id, _)| self.header(*id).map(|header| header.store))
            .collect();
        stores.into_iter().collect()
    }

    /// Takes in what is said of segments; where their shards are is not believed.
    pub(super) fn declare(&mut self, segments: impl IntoIterator<Item = Segment>) {
        let told = segments
            .into_iter()
            .map(|segment| (segment.id, (segment.kind, segment.geometry)));
        self.known.extend(told);
    }

    /// All segments in the folder of a kind.
    pub(super) fn in_folder(&self, kind: SegmentKind) -> Vec<SegmentId> {
        let of_kind = self.hints.iter().filter(|(_, hint)| **hint == kind);
        of_kind.map(|(id, _)| *id).collect()
    }

    /// The epoch in which a segment was made, as a header says it. Blocks.
    pub(super) fn made_in(&self, id: SegmentId) -> Option<u64> {
        self.header(id).map(|header| header.created_epoch)
    }

    /// What must be known to read a segment from these drives; `None` if nothing tells its geometry. Blocks.
    pub(super) fn segment(&mut self, id: SegmentId) -> Option<Segment> {
        if !self.known.contains_key(&id) {
            let header = self.header(id)?;
            self.known.insert(id, (header.kind, header.geometry));
        }
        let (kind, geometry) = *self.known.get(&id)?;
        let shards = u8::try_from(geometry.shards()).ok()?;
        let holder = |shard: u8| {
            // Of two the longer one: the other may have been left behind while this was written on.
            let copies = self.held.get(&id)?.iter().filter(|held| held.shard == shard);
            copies.max_by_key(|held| held.bytes).map(|held| id_of(held.drive))
        };
        Some(Segment {
            id,
            kind,
            geometry,
            drives: (0..shards).map(|shard| holder(shard).unwrap_or_else(nobody)).collect(),
            full_width: None,
        })
    }

    /// How long the longest shard file of a segment is.
    pub(super) fn longest(&self, id: SegmentId) -> u64 {
        let held = self.held.get(&id).into_iter().flatten();
        held.map(|held| held.bytes).max().unwrap_or(0)
    }

    /// Reads some bytes of each shard file of a segment until `judge` makes something of them. Blocks.
    pub(super) fn in_any<T>(
        &self,
        id: SegmentId,
        (offset, len): (u64, usize),
        judge: impl Fn(u8, &[u8]) -> Option<T>,
    ) -> Option<T> {
        let kind = self.hints.get(&id)?;
        self.held.get(&id)?.iter().find_map(|held| {
            let drive = self.drives.get(held.drive)?;
            let file = drive.open_shard(*kind, id, held.shard).ok()??;
            judge(held.shard, &file.read_at(offset, len).ok()?)
        })
    }

    fn header(&self, id: SegmentId) -> Option<ShardHeader> {
        let len = usize::try_from(SHARD_HEADER_BYTES).ok()?;
        self.in_any(id, (0, len), |shard, bytes| {
            let header = ShardHeader::decode(id, shard, bytes).ok()?;
            self.store.is_none_or(|store| store == header.store).then_some(header)
        })
    }

    /// The drives as the log is read from them. To be called on a thread of the runtime.
    pub(super) fn log_drives(&self, patience: Duration) -> Arc<LogDrives> {
        Arc::new(LogDrives::new(self.drives.clone(), patience))
    }
}
