//! Segments on real directories: what is written comes back, whatever up to m shards have suffered.

mod damage;
mod faults;
mod round_trips;
mod uploads;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use parking_lot::Mutex;

use super::*;
use crate::embedded::drive::{Drive, DriveOptions, FaultPlan, Lane};
use crate::embedded::erasure::{Codec, Codecs};
use crate::embedded::id::StoreId;

/// Damage that reads have reported.
#[derive(Default)]
struct Reported {
    damage: Mutex<Vec<Damage>>,
    late: Mutex<Vec<DriveId>>,
}

impl DamageSink for Reported {
    fn damaged(&self, damage: Damage) {
        self.damage.lock().push(damage);
    }

    fn late(&self, drive: DriveId) {
        self.late.lock().push(drive);
    }
}

/// Some drives in a temporary directory and a reader over them.
struct Wall {
    dir: tempfile::TempDir,
    geometry: Geometry,
    drives: Arc<Drives>,
    reported: Arc<Reported>,
    reader: SegmentReader,
}

impl Wall {
    fn new(data: u8, parity: u8, unit: u32) -> Self {
        Self::with_plan(Geometry { data, parity, unit }, None)
    }

    fn with_plan(geometry: Geometry, plan: Option<Arc<FaultPlan>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let drives = Arc::new(Drives::default());
        for shard in 0..geometry.shards() {
            let drive = open(&dir.path().join(format!("d{shard:02}")), true, plan.clone());
            drives.insert(DriveId::from_bytes([u8::try_from(shard).unwrap(); 16]), Arc::new(drive));
        }
        let reported = Arc::new(Reported::default());
        let reader = SegmentReader::new(drives.clone(), Arc::new(Codecs::default()), reported.clone());
        Self {
            dir,
            geometry,
            drives,
            reported,
            reader,
        }
    }

    async fn writer(&self, kind: SegmentKind) -> Result<SegmentWriter, WriteError> {
        let new = NewSegment {
            kind,
            store: StoreId::from_bytes([9; 16]),
            epoch: 1,
            full_width: None,
        };
        let codec = Codec::new(self.geometry).unwrap();
        SegmentWriter::create(codec, self.drives.present(), new).await
    }

    /// Stores the body in an extent of its own.
    async fn store(&self, body: &[u8]) -> (Arc<Segment>, Piece) {
        let mut writer = self.writer(SegmentKind::Extent).await.unwrap();
        writer.begin_body().unwrap();
        for chunk in body.chunks(1000) {
            writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        let piece = writer.end_body().await.unwrap();
        (Arc::new(writer.finish().await.unwrap().keep()), piece)
    }

    async fn read(&self, segment: &Arc<Segment>, piece: Piece) -> Result<Vec<u8>, SegmentReadError> {
        self.read_range(segment, piece, 0..piece.len).await
    }

    async fn read_range(
        &self,
        segment: &Arc<Segment>,
        piece: Piece,
        range: std::ops::Range<u64>,
    ) -> Result<Vec<u8>, SegmentReadError> {
        let stream = self.reader.read_piece(segment.clone(), piece, range);
        let chunks: Vec<Bytes> = stream.try_collect().await?;
        Ok(chunks.concat())
    }

    fn shard_path(&self, segment: &Segment, shard: u8) -> PathBuf {
        let drive = self.dir.path().join(format!("d{shard:02}/.drystone/extent/0000"));
        drive.join(format!("{}.{shard:02x}", segment.id))
    }

    fn reported(&self) -> Vec<Damage> {
        std::mem::take(&mut self.reported.damage.lock())
    }

    /// All shard files below the drives, after everything in the background is done.
    async fn files_left(&self) -> usize {
        // The only bulk thread takes jobs in order: the second round stands behind what jobs before the first queued.
        for on in self.drives.present().into_iter().chain(self.drives.present()) {
            on.drive.run(Lane::Bulk, || Ok(())).await.unwrap();
        }
        let listed = self.drives.present().into_iter();
        let files = listed.map(|on| count_files(&on.drive.path().join(".drystone/extent")));
        files.sum()
    }
}

/// Drives that never leave.
impl Ground for Wall {
    async fn next_extent(&self) -> Result<SegmentWriter, WriteError> {
        self.writer(SegmentKind::Extent).await
    }

    async fn without(&self, error: WriteError) -> Result<(), WriteError> {
        Err(error)
    }

    fn reader(&self) -> &SegmentReader {
        &self.reader
    }
}

fn count_files(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries
        .map(|path| if path.is_dir() { count_files(&path) } else { 1 })
        .sum()
}

fn open(path: &Path, format: bool, faults: Option<Arc<FaultPlan>>) -> Drive {
    let options = DriveOptions {
        bulk_threads: 1,
        read_threads: 1,
        faults,
        ..DriveOptions::default()
    };
    Drive::open_with(path, format, options).unwrap()
}

fn body_of(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| u8::try_from((i * 131 + i / 251) % 256).unwrap())
        .collect()
}
