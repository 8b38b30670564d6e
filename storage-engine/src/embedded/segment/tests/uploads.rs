//! Bodies that go on in another extent when a drive fails.

use futures::stream;

use super::*;
use crate::embedded::drive::{Fault, FaultRule, Operation};

const EIO: i32 = 5;
/// Data bytes of an extent here: four full stripes.
const EXTENT: usize = 512;

/// Six drives, of which a segment takes three, 2+1; one that fails is taken away at once.
struct Yard {
    wall: Wall,
    plan: Arc<FaultPlan>,
    left: Mutex<Vec<DriveId>>,
}

impl Yard {
    fn new() -> Self {
        let plan = Arc::new(FaultPlan::default());
        let mut wall = Wall::with_plan(
            Geometry {
                data: 5,
                parity: 1,
                unit: 64,
            },
            Some(plan.clone()),
        );
        wall.geometry = Geometry {
            data: 2,
            parity: 1,
            unit: 64,
        };
        let left = Mutex::default();
        Self { wall, plan, left }
    }

    /// Meets one operation on the drive, number `after` of its kind.
    fn arm(&self, operation: Operation, drive: u8, after: u64) -> usize {
        self.plan.arm(FaultRule {
            operation,
            path_part: format!("d{drive:02}/.drystone/extent"),
            after,
            times: 1,
            fault: Fault::Fail(EIO),
        })
    }

    async fn put(&self, body: &[u8]) -> Result<StagedBody, PutBodyError> {
        let chunks = body.chunks(100).map(|chunk| Ok(Bytes::copy_from_slice(chunk)));
        put_body(Box::pin(stream::iter(chunks.collect::<Vec<_>>())), self).await
    }

    /// Reads a staged body and says how many segments it has.
    async fn read(&self, staged: StagedBody) -> (Vec<u8>, usize) {
        let segments: Vec<Arc<Segment>> = staged.segments.into_iter().map(|s| Arc::new(s.keep())).collect();
        let mut bytes = Vec::new();
        for piece in &staged.pieces {
            let segment = segments.iter().find(|segment| segment.id == piece.segment).unwrap();
            bytes.extend(self.wall.read(segment, *piece).await.unwrap());
        }
        assert_eq!(bytes.len() as u64, staged.len);
        (bytes, segments.len())
    }
}

impl Ground for Yard {
    async fn next_extent(&self) -> Result<SegmentWriter, WriteError> {
        let new = NewSegment {
            kind: SegmentKind::Extent,
            store: StoreId::from_bytes([9; 16]),
            epoch: 1,
            full_width: None,
        };
        let mut drives = self.wall.drives.present();
        drives.truncate(self.wall.geometry.shards());
        SegmentWriter::create(Codec::new(self.wall.geometry).unwrap(), drives, new).await
    }

    async fn without(&self, error: WriteError) -> Result<(), WriteError> {
        let Some((drive, _)) = error.failed_drive() else {
            return Err(error);
        };
        if self.wall.drives.present().len() <= self.wall.geometry.shards() {
            return Err(error);
        }
        self.left.lock().push(drive);
        self.wall.drives.remove(&drive);
        Ok(())
    }

    fn reader(&self) -> &SegmentReader {
        &self.wall.reader
    }

    fn extent_bytes_max(&self) -> u64 {
        EXTENT as u64
    }
}

#[tokio::test]
async fn a_body_goes_on_whichever_operation_of_a_drive_fails_and_has_every_byte_once() {
    let mut met = 0;
    for operation in [
        Operation::Create,
        Operation::Write,
        Operation::SyncFile,
        Operation::SyncDirectory,
    ] {
        for len in [1, 100, EXTENT, 3 * EXTENT + 77] {
            for after in 0.. {
                let yard = Yard::new();
                let rule = yard.arm(operation, 1, after);
                let body = body_of(len);
                let staged = yard.put(&body).await.unwrap();
                let fired = yard.plan.fired(rule);
                assert_eq!(yard.left.lock().len() as u64, fired, "{operation:?} {after}");
                let (bytes, segments) = yard.read(staged).await;
                assert!(bytes == body, "{operation:?} {after}: other bytes of {len}");
                assert_eq!(segments, len.div_ceil(EXTENT), "{operation:?} {after}");
                // What was begun and not finished is gone; the drive that left is asked no more.
                assert_eq!(
                    yard.wall.files_left().await,
                    shards_left(&yard, segments),
                    "{operation:?} {after}"
                );
                if fired == 0 {
                    break;
                }
                met += 1;
            }
        }
    }
    assert!(met > 40, "only {met} faults were met");
}

/// Shard files of this many segments on the drives that are there: the first extents may have one on the drive that left.
fn shards_left(yard: &Yard, segments: usize) -> usize {
    let on_left: usize = (0..6u8)
        .filter(|n| yard.left.lock().contains(&DriveId::from_bytes([*n; 16])))
        .map(|n| count_files(&yard.wall.dir.path().join(format!("d{n:02}/.drystone/extent"))))
        .sum();
    segments * 3 - on_left
}

#[tokio::test]
async fn drives_that_fail_one_after_the_other_also_while_the_body_is_written_again_cost_no_byte() {
    let yard = Yard::new();
    // The second fails while what the first failed is being copied, the third at the last sync.
    let rules = [
        yard.arm(Operation::Write, 0, 4),
        yard.arm(Operation::Write, 3, 2),
        yard.arm(Operation::SyncFile, 4, 0),
    ];
    let body = body_of(2 * EXTENT);
    let staged = yard.put(&body).await.unwrap();
    assert!(rules.iter().all(|rule| yard.plan.fired(*rule) == 1));
    assert_eq!(yard.left.lock().len(), 3);
    assert!(yard.read(staged).await.0 == body);
}

#[tokio::test]
async fn with_no_drive_to_spare_the_body_fails_and_nothing_stays() {
    let yard = Yard::new();
    for drive in [0, 3, 4, 5] {
        yard.arm(Operation::Write, drive, 3);
    }
    let failed = yard.put(&body_of(2 * EXTENT)).await.unwrap_err();
    assert!(
        matches!(failed, PutBodyError::Write(WriteError::Drive { .. })),
        "{failed}"
    );
    assert_eq!(yard.wall.files_left().await, 0);
}
