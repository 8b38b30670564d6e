//! Where a body lies: its pieces, the shard files that hold them, and whether every frame in them verifies.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::BytesMut;
use futures::TryStreamExt;

use super::InspectError;
use crate::embedded::drive::{Drive, ShardFile};
use crate::embedded::frame::{FRAME_HEADER_BYTES, FrameKind, FramePlace, verify};
use crate::embedded::id::SegmentId;
use crate::embedded::record::{Body, PartList, RowRecord, from_cbor};
use crate::embedded::segment::{Piece, Segment, SegmentKind, SegmentReader, StripePart, stripes_of};

/// What can be said about bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every shard is there and verifies.
    Whole,
    /// Every byte can be read, some of them only from parity.
    Degraded,
    /// Some bytes cannot be read from the given drives.
    Lost,
}

/// One shard of a piece.
#[derive(Clone, Debug)]
pub struct ShardPlace {
    pub shard: u8,
    /// Where it should be, by the segment's list.
    pub drive_id: String,
    /// The given path that has the file; `None` if none has.
    pub path: Option<PathBuf>,
    /// Frames of the piece in it that verify.
    pub good_frames: usize,
    /// Why the first frame that does not verify does not; empty if all do.
    pub problem: String,
}

/// A run of the body in one segment.
#[derive(Clone, Debug)]
pub struct PieceSeen {
    pub segment: String,
    /// `None` if no checkpoint and no log record tells of this segment.
    pub kind: Option<SegmentKind>,
    /// Where its first stripe begins in every shard file.
    pub offset: u64,
    /// Bytes of data.
    pub bytes: u64,
    pub data: u8,
    pub parity: u8,
    pub stripes: usize,
    pub shards: Vec<ShardPlace>,
    pub verdict: Verdict,
}

/// A row's body on the drives.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Revision of the row.
    pub rev: u64,
    /// Bytes of the row's value.
    pub value_bytes: usize,
    /// Bytes of the body.
    pub bytes: u64,
    /// Whether it was joined from the parts of an upload.
    pub joined: bool,
    /// In the order of the body; of a joined one, those of its list of parts come first.
    pub pieces: Vec<PieceSeen>,
    pub verdict: Verdict,
}

type Segments = BTreeMap<SegmentId, Segment>;

/// Looks up every frame of the row's body.
pub(super) async fn of(
    row: &RowRecord,
    segments: &Segments,
    drives: &[Arc<Drive>],
    reader: &SegmentReader,
) -> Result<Placement, InspectError> {
    let (mut pieces, joined) = match &row.body {
        None => (Vec::new(), false),
        Some(Body::Direct { pieces, .. }) => (pieces.clone(), false),
        Some(Body::Joined { list, .. }) => (list.clone(), true),
    };
    let mut problem = None;
    if joined {
        match parts(&pieces, segments, reader).await {
            Ok(list) => pieces.extend(list.pieces),
            Err(reason) => problem = Some(reason),
        }
    }
    let (segments, drives) = (segments.clone(), drives.to_vec());
    let look = move || {
        pieces
            .iter()
            .map(|piece| look(piece, &segments, &drives))
            .collect::<Vec<_>>()
    };
    let seen = tokio::task::spawn_blocking(look).await;
    let seen = seen.map_err(|error| InspectError::Rows(error.to_string()))?;
    let worst = seen
        .iter()
        .map(|piece| piece.verdict)
        .max_by_key(|verdict| *verdict as u8);
    let verdict = match (problem, worst) {
        (Some(_), _) => Verdict::Lost,
        (None, worst) => worst.unwrap_or(Verdict::Whole),
    };
    Ok(Placement {
        rev: row.rev,
        value_bytes: row.value.len(),
        bytes: row.body.as_ref().map_or(0, Body::len),
        joined,
        pieces: seen,
        verdict,
    })
}

/// The list behind a joined body.
async fn parts(list: &[Piece], segments: &Segments, reader: &SegmentReader) -> Result<PartList, String> {
    let mut bytes = BytesMut::new();
    for piece in list {
        let segment = segments
            .get(&piece.segment)
            .ok_or("a segment of the part list is not known")?;
        let stream = reader.read_piece(Arc::new(segment.clone()), *piece, 0..piece.len);
        let chunks: Vec<bytes::Bytes> = stream.try_collect().await.map_err(|error| error.to_string())?;
        chunks.iter().for_each(|chunk| bytes.extend_from_slice(chunk));
    }
    from_cbor("part list", &bytes).map_err(|error| error.to_string())
}

/// One piece on the given drives. Blocks.
fn look(piece: &Piece, segments: &Segments, drives: &[Arc<Drive>]) -> PieceSeen {
    let mut seen = PieceSeen {
        segment: piece.segment.to_string(),
        kind: None,
        offset: piece.offset,
        bytes: piece.len,
        data: 0,
        parity: 0,
        stripes: 0,
        shards: Vec::new(),
        verdict: Verdict::Lost,
    };
    let Some(segment) = segments.get(&piece.segment) else {
        return seen;
    };
    let geometry = segment.geometry;
    let stripes: Vec<_> = stripes_of(geometry, *piece, 0..piece.len).collect();
    (seen.kind, seen.data, seen.parity, seen.stripes) =
        (Some(segment.kind), geometry.data, geometry.parity, stripes.len());
    let mut good_of_stripe = vec![0_usize; stripes.len()];
    for (shard, drive_id) in (0_u8..).zip(&segment.drives) {
        let mut place = ShardPlace {
            shard,
            drive_id: drive_id.to_string(),
            path: None,
            good_frames: 0,
            problem: String::new(),
        };
        let holder = drives
            .iter()
            .find(|drive| drive.holds_shard(segment.kind, segment.id, shard));
        place.path = holder.map(|drive| drive.path().to_owned());
        match holder.map(|drive| drive.open_shard(segment.kind, segment.id, shard)) {
            None => place.problem = "no given drive has it".into(),
            Some(Err(error)) => place.problem = error.to_string(),
            Some(Ok(None)) => place.problem = "it was removed meanwhile".into(),
            Some(Ok(Some(file))) => check(&file, segment, &stripes, &mut place, &mut good_of_stripe),
        }
        seen.shards.push(place);
    }
    let least = good_of_stripe.into_iter().min().unwrap_or(geometry.shards());
    seen.verdict = if least >= geometry.shards() {
        Verdict::Whole
    } else if least >= usize::from(geometry.data) {
        Verdict::Degraded
    } else {
        Verdict::Lost
    };
    seen
}

/// Every frame of the piece in one shard file. Blocks.
fn check(file: &ShardFile, segment: &Segment, stripes: &[StripePart], place: &mut ShardPlace, good: &mut [usize]) {
    for (stripe, good) in stripes.iter().zip(good) {
        let at = FramePlace {
            segment: segment.id,
            shard: place.shard,
            offset: stripe.offset,
        };
        let len = FRAME_HEADER_BYTES + segment.geometry.shard_bytes(stripe.data_len);
        let checked = match file.read_at(stripe.offset, len) {
            Ok(bytes) => match verify(&at, &bytes) {
                Ok((frame, _)) if frame.kind == FrameKind::Stripe => Ok(()),
                Ok(_) => Err("another kind of frame stands here".to_owned()),
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        match checked {
            Ok(()) => {
                place.good_frames += 1;
                *good += 1;
            }
            Err(problem) if place.problem.is_empty() => place.problem = format!("at {}: {problem}", stripe.offset),
            Err(_) => {}
        }
    }
}
