//! Bodies on their way in and out. A small body stays in memory until a record carries it; a large one, and every
//! part, becomes extents. It never decides what is visible.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};

use super::checkpoint_io::present;
use super::core::Shared;
use super::erasure::Geometry;
use super::housekeeping::NoRoom;
use super::log::{Committer, Fault, choose_drives};
use super::record::{Body, PartList, SegmentBytes, from_cbor, to_cbor};
use super::segment::{
    self, Ground, NewSegment, Piece, PutBodyError, SegmentKind, SegmentReader, SegmentWriter, WriteError, put_body,
};
use super::table::Pin;
use crate::backend::{Blob, BlobClass, BodyRef, BodySource, BodyStream, PutBlobError, ReadError};
use crate::limits::SMALL_BODY_BYTES_MAX;

/// How long a try of an extent may take before it is given up.
const TRY_WITHIN: Duration = Duration::from_secs(5);

/// A body that no row owns yet.
pub enum StagedBody {
    Small(Bytes),
    /// On stable media; dropping it removes the segments.
    Extents(segment::StagedBody),
    Joined(Joined),
}

/// Parts that are committed already, behind a list that is staged.
pub struct Joined {
    pub len: u64,
    pub sums: Vec<SegmentBytes>,
    pub list: Box<StagedBody>,
    /// The parts as their rows named them. They are still those rows' own.
    pub parts: Vec<Body>,
    /// The parts' segments stay until the batch that takes them over is applied or given up.
    pub pins: Vec<Pin>,
}

fn blob(len: u64, staged: StagedBody) -> Blob {
    Blob {
        len,
        staged: Box::new(staged),
    }
}

/// The body that a reference names.
fn body_of(body: &BodyRef) -> Result<Body, ReadError> {
    from_cbor("body reference", &body.handle).map_err(|e| ReadError::Corrupt(e.to_string()))
}

/// The reference to a body as rows hand it out.
pub fn body_ref(body: &Body) -> BodyRef {
    BodyRef {
        len: body.len(),
        handle: to_cbor(body).into(),
    }
}

/// The drives of a running store, for one body. Without a committer no drive can leave.
struct OnDrives<'a> {
    shared: &'a Shared,
    committer: Option<&'a Committer>,
}

impl Ground for OnDrives<'_> {
    async fn next_extent(&self) -> Result<SegmentWriter, WriteError> {
        self.shared.extent_writer().await
    }

    /// A drive that fails here leaves the store through the committer, if the store can write without it.
    async fn without(&self, error: WriteError) -> Result<(), WriteError> {
        let (Some(committer), WriteError::Drive { drive, .. }) = (self.committer, &error) else {
            return Err(error);
        };
        if let Some((drive, cause)) = error.failed_drive() {
            let _ = committer.leave_out(Fault::from_io(drive, cause)).await;
        }
        // It may have come back already when somebody else saw it leave.
        let left = error.is_of_a_drive_that_left() || self.shared.drives.get(drive).is_none();
        match left && self.shared.service.refuses_writes().is_none() {
            true => Ok(()),
            false => Err(error),
        }
    }

    fn reader(&self) -> &SegmentReader {
        &self.shared.reader
    }
}

impl Shared {
    /// A drive that fails here leaves the store, and the body goes on without it; it fails only where the store cannot
    /// write without that drive.
    pub async fn put_blob(
        self: &Arc<Self>,
        committer: Option<&Committer>,
        class: BlobClass,
        mut source: BodySource<'_>,
    ) -> Result<Blob, PutBlobError> {
        if let Some(reason) = self.service.refuses_writes() {
            return Err(PutBlobError::Unavailable(reason));
        }
        let no_room = |error: NoRoom| PutBlobError::Full(error.to_string());
        if self.service.is_full() {
            self.service.note_refused();
            return Err(no_room(NoRoom));
        }
        self.take_room_for_body().await.map_err(no_room)?;
        let small_max = match class {
            BlobClass::Object => SMALL_BODY_BYTES_MAX,
            BlobClass::Part => 0,
        };
        let mut head: Vec<Bytes> = Vec::new();
        let mut len = 0;
        while len <= small_max {
            match source.next().await {
                None => return Ok(blob(len as u64, StagedBody::Small(concat(head)))),
                Some(chunk) => {
                    let chunk = chunk.map_err(PutBlobError::Source)?;
                    self.take_room(chunk.len() as u64).await.map_err(no_room)?;
                    len += chunk.len();
                    head.push(chunk);
                }
            }
        }
        let rest = source.then(|chunk| async move {
            let chunk = chunk?;
            match self.take_room(chunk.len() as u64).await {
                Ok(()) => Ok(chunk),
                Err(none) => Err(none.into()),
            }
        });
        let whole: BodySource<'_> = Box::pin(stream::iter(head.into_iter().map(Ok)).chain(rest));
        let ground = OnDrives {
            shared: self,
            committer,
        };
        let stored = put_body(whole, &ground).await;
        self.note_extents(&stored);
        let body = stored.map_err(|error| match error {
            PutBodyError::Source(error) => match error.downcast::<NoRoom>() {
                Ok(none) => no_room(*none),
                Err(error) => PutBlobError::Source(error),
            },
            PutBodyError::Write(error) if error.is_full() => PutBlobError::Full(error.to_string()),
            PutBodyError::Write(error) => PutBlobError::Unavailable(error.to_string()),
        })?;
        Ok(blob(body.len, StagedBody::Extents(body)))
    }

    /// Tells the service what came of a body in extents. A failing drive is told only if the store cannot do without it:
    /// any other one is out for the next body.
    fn note_extents(&self, stored: &Result<segment::StagedBody, PutBodyError>) {
        let failed = match stored {
            Ok(_) => return self.service.note_extents(Ok(())),
            Err(PutBodyError::Source(_)) => return,
            Err(PutBodyError::Write(error)) => error.failed_drive(),
        };
        if let Some((id, error)) = failed
            && !self.writable_without(&[id])
        {
            let drive = self.drives.get(&id);
            let path = drive.map(|drive| drive.path().display().to_string());
            let path = path.unwrap_or_else(|| id.to_string());
            self.service.note_extents(Err(format!("drive {path}: {error}")));
        }
    }

    /// Where large bodies failed, writes a tiny one and drops it, to see whether they can be written again: somebody who
    /// goes by the health of the store sends none until it says so.
    pub async fn try_extents(&self) {
        if self.service.why_extents_fail().is_none() {
            return;
        }
        let tiny: BodySource<'_> = Box::pin(stream::iter([Ok(Bytes::from_static(b"?"))]));
        let ground = OnDrives {
            shared: self,
            committer: None,
        };
        let tried = put_body(tiny, &ground);
        if let Ok(stored) = tokio::time::timeout(TRY_WITHIN, tried).await {
            self.note_extents(&stored);
        }
    }

    async fn extent_writer(&self) -> Result<SegmentWriter, WriteError> {
        let (parity, epoch, drives) = self.extent_candidates();
        let too_few = || WriteError::Internal("too few drives are in to write with full parity".into());
        let geometry = Geometry::for_extent(drives.len(), parity).ok_or_else(too_few)?;
        let codec = self
            .reader
            .codecs()
            .get(geometry)
            .map_err(|e| WriteError::Internal(e.to_string()))?;
        let drives = present(choose_drives(&drives, geometry.shards()));
        let new = NewSegment {
            kind: SegmentKind::Extent,
            store: self.store,
            epoch,
            full_width: self.width_missed(geometry),
        };
        SegmentWriter::create(codec, drives, new).await
    }

    /// Writes the list of the parts' pieces; the parts stay where they are.
    pub async fn join(
        self: &Arc<Self>,
        committer: Option<&Committer>,
        parts: &[BodyRef],
    ) -> Result<Blob, PutBlobError> {
        let mut list = PartList { pieces: Vec::new() };
        let bodies = parts.iter().map(body_of).collect::<Result<Vec<Body>, _>>();
        let bodies = bodies.map_err(|e| PutBlobError::Unavailable(e.to_string()))?;
        for part in &bodies {
            match part {
                Body::Direct { pieces, .. } => list.pieces.extend(pieces),
                Body::Joined { .. } => return Err(PutBlobError::Unavailable("a joined body is no part".into())),
            }
        }
        let len = bodies.iter().map(Body::len).sum();
        let mut sums: std::collections::BTreeMap<_, u64> = std::collections::BTreeMap::new();
        for piece in &list.pieces {
            *sums.entry(piece.segment).or_default() += piece.len;
        }
        let gone = || PutBlobError::Unavailable("a part to be joined is no longer stored".into());
        let pins = sums.keys().map(|id| self.table.pin(*id).map(|(_, pin)| pin));
        let pins = pins.collect::<Option<Vec<Pin>>>().ok_or_else(gone)?;
        let sums = sums
            .into_iter()
            .map(|(segment, bytes)| SegmentBytes { segment, bytes })
            .collect();
        let encoded = Bytes::from(to_cbor(&list));
        let source: BodySource<'_> = Box::pin(stream::iter([Ok(encoded)]));
        let list = self.put_blob(committer, BlobClass::Object, source).await?;
        let Ok(list) = list.staged.downcast::<StagedBody>() else {
            return Err(PutBlobError::Unavailable("the part list was not staged".into()));
        };
        let joined = Joined {
            len,
            sums,
            list,
            parts: bodies,
            pins,
        };
        Ok(blob(len, StagedBody::Joined(joined)))
    }

    pub async fn get_blob(self: &Arc<Self>, body: &BodyRef, range: Range<u64>) -> Result<BodyStream, ReadError> {
        let pieces = match body_of(body)? {
            Body::Direct { pieces, .. } => pieces,
            Body::Joined { list, .. } => self.part_list(&list).await?.pieces,
        };
        let mut at = 0;
        let mut runs = Vec::new();
        for piece in pieces {
            let (start, end) = (range.start.max(at), range.end.min(at + piece.len));
            if start < end {
                runs.push((piece, start - at..end - at));
            }
            at += piece.len;
        }
        // Pinned here, all at once: a segment that is removed later keeps its files until the stream is dropped.
        let pins = runs
            .iter()
            .map(|(piece, _)| self.table.pin(piece.segment).ok_or(ReadError::Gone));
        let pins = pins.collect::<Result<Vec<_>, _>>()?;
        let reader = self.reader.clone();
        let streams = runs.into_iter().zip(pins).map(move |((piece, run), (segment, pin))| {
            let stripes = reader.read_piece(Arc::new(segment), piece, run);
            // The pin lives as long as the stream of its piece.
            stripes.map(move |item| {
                let _pinned = &pin;
                item.map_err(ReadError::from)
            })
        });
        Ok(Box::pin(stream::iter(streams).flatten()))
    }

    async fn part_list(self: &Arc<Self>, list: &[Piece]) -> Result<PartList, ReadError> {
        let len = list.iter().map(|piece| piece.len).sum();
        let body = body_ref(&Body::Direct {
            len,
            pieces: list.to_vec(),
        });
        let bytes = Box::pin(self.get_blob(&body, 0..len)).await?;
        let bytes: BytesMut = bytes
            .try_fold(BytesMut::new(), |mut all, chunk| async move {
                all.extend_from_slice(&chunk);
                Ok(all)
            })
            .await?;
        from_cbor("part list", &bytes).map_err(|e| ReadError::Corrupt(e.to_string()))
    }
}

fn concat(mut chunks: Vec<Bytes>) -> Bytes {
    if chunks.len() == 1
        && let Some(only) = chunks.pop()
    {
        return only;
    }
    let mut all = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
    chunks.iter().for_each(|chunk| all.extend_from_slice(chunk));
    all.freeze()
}
