//! Bodies through segments on real directories: large ones to stable media and back, and small ones from the page cache.

use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use storage_engine::embedded::drive::Drive;
use storage_engine::embedded::erasure::{Codec, Codecs, Geometry};
use storage_engine::embedded::id::{DriveId, StoreId};
use storage_engine::embedded::segment::{
    Damage, DamageSink, Drives, NewSegment, Piece, Segment, SegmentKind, SegmentReader, SegmentWriter, StagedSegment,
};

const LARGE: usize = 64 * 1024 * 1024;
const SMALL: usize = 4 * 1024;
const CHUNK: usize = 64 * 1024;

struct NoSink;

impl DamageSink for NoSink {
    fn damaged(&self, _: Damage) {}
    fn late(&self, _: DriveId) {}
}

struct Wall {
    codec: Codec,
    drives: Arc<Drives>,
    reader: SegmentReader,
    /// Removed when the wall is.
    _dir: tempfile::TempDir,
}

type Failure = Box<dyn std::error::Error>;

impl Wall {
    fn new(members: u8, parity: u8) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let drives = Arc::new(Drives::default());
        for number in 0..members {
            let drive = Drive::open(&dir.path().join(number.to_string()), true)?;
            drives.insert(DriveId::from_bytes([number; 16]), Arc::new(drive));
        }
        let geometry = Geometry::for_extent(usize::from(members), parity).ok_or("no geometry")?;
        let reader = SegmentReader::new(drives.clone(), Arc::new(Codecs::default()), Arc::new(NoSink));
        Ok(Self {
            codec: Codec::new(geometry)?,
            drives,
            reader,
            _dir: dir,
        })
    }

    async fn put(&self, len: usize) -> Result<(StagedSegment, Piece), Failure> {
        let new = NewSegment {
            kind: SegmentKind::Extent,
            store: StoreId::from_bytes([9; 16]),
            epoch: 1,
            full_width: None,
        };
        let mut writer = SegmentWriter::create(self.codec.clone(), self.drives.present(), new).await?;
        let chunk = Bytes::from(vec![0x5A; CHUNK.min(len)]);
        writer.begin_body()?;
        for _ in 0..len / chunk.len() {
            writer.write(chunk.clone()).await?;
        }
        let piece = writer.end_body().await?;
        Ok((writer.finish().await?, piece))
    }

    async fn get(&self, segment: Arc<Segment>, piece: Piece) -> usize {
        let stream = self.reader.read_piece(segment, piece, 0..piece.len);
        stream
            .fold(0, async |sum, chunk| sum + chunk.map_or(0, |c| c.len()))
            .await
    }
}

fn bodies(c: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    else {
        return;
    };
    for (members, parity) in [(1, 0), (4, 2)] {
        let Ok(wall) = Wall::new(members, parity) else { return };
        let mut group = c.benchmark_group(format!("{members} drives, EC:{parity}"));
        group.sample_size(10);
        group.throughput(Throughput::Bytes(LARGE as u64));
        group.bench_function("put 64 MiB durably", |b| {
            b.iter_batched(
                || (),
                |()| runtime.block_on(wall.put(LARGE)).map(drop),
                BatchSize::PerIteration,
            );
        });
        let Ok((staged, piece)) = runtime.block_on(wall.put(LARGE)) else {
            return;
        };
        let segment = Arc::new(staged.segment().clone());
        group.bench_function("get 64 MiB", |b| {
            b.iter(|| runtime.block_on(wall.get(segment.clone(), piece)))
        });
        let Ok((small_staged, small)) = runtime.block_on(wall.put(SMALL)) else {
            return;
        };
        let segment = small_staged.segment().clone();
        group.throughput(Throughput::Elements(1));
        group.bench_function("get 4 KiB", |b| {
            b.iter(|| runtime.block_on(wall.reader.read_stripe(&segment, small.offset, SMALL)));
        });
        group.finish();
    }
}

criterion_group!(benches, bodies);
criterion_main!(benches);
