//! Verifying one shard file from its header to its end, by itself: no other drive is asked. It says what it found and
//! changes nothing.

use super::pace::Pace;
use super::stream::{FileStream, NoFrame};
use super::walk::{Ends, Step, Walk};
use crate::embedded::frame::{FrameKind, SHARD_HEADER_BYTES};
use crate::embedded::id::StoreId;
use crate::embedded::record::{LogRecord, from_cbor};
use crate::embedded::segment::{PresentDrive, Segment};

/// Verifies what a drive has of a shard, frame by frame, past the page cache. Gives the bytes that were read.
pub(super) async fn check_shard(
    on: &PresentDrive,
    segment: &Segment,
    shard: u8,
    (store, ends): (StoreId, Ends),
    pace: &Pace,
) -> Result<u64, NoFrame> {
    let file = FileStream::open(on, segment, shard).await?;
    check_file(file, segment, store, ends, pace).await
}

/// As [`check_shard`], of an open file.
pub(super) async fn check_file(
    mut file: FileStream,
    segment: &Segment,
    store: StoreId,
    ends: Ends,
    pace: &Pace,
) -> Result<u64, NoFrame> {
    file.check_header(segment, store).await?;
    let mut walk = Walk::new(segment.kind, segment.geometry, ends);
    let mut read = SHARD_HEADER_BYTES;
    loop {
        let (passed, bytes) = match walk.step() {
            Step::End => return Ok(read),
            Step::Record(offset) => match file.frame(segment, offset, FrameKind::Record).await {
                Ok((_, payload)) => {
                    let record: LogRecord =
                        from_cbor("log record", &payload).map_err(|e| NoFrame::Bad(e.to_string()))?;
                    (walk.pass_record(&record), payload.len())
                }
                Err(NoFrame::Bad(_)) if walk.may_end_here() => return Ok(read),
                Err(why) => return Err(why),
            },
            Step::Stripe { offset, data_len } => match file.frame(segment, offset, FrameKind::Stripe).await {
                Ok((header, payload)) => {
                    let found = usize::try_from(header.data_len).unwrap_or(usize::MAX);
                    let as_told = data_len.is_none_or(|told| told == found);
                    if !as_told || segment.geometry.shard_bytes(found) != payload.len() {
                        return Err(NoFrame::Bad(format!("at {offset}: a stripe of another length")));
                    }
                    (walk.pass_stripe(found), payload.len())
                }
                // What a table counts may be less than what stands: only where the file ends, all has been seen.
                Err(NoFrame::Bad(_)) if walk.may_end_here() && file.ends_at(offset).await => return Ok(read),
                Err(why) => return Err(why),
            },
        };
        passed.map_err(|misplaced| NoFrame::Bad(misplaced.to_string()))?;
        read += bytes as u64;
        pace.passed(bytes as u64).await;
    }
}
