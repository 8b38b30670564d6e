//! Moving live bodies out of segments: copied into a pack, synced, then the rows re-pointed. A row that cannot be read
//! whole stays where it is; nothing here calls a byte dead.
//!
//! The rows are found by looking through the whole index once per round: a body may belong to another row than the one
//! whose record brought it (moved, or part of a completed upload), so the segment's own records do not tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use crate::backend::Key;
use crate::embedded::id::SegmentId;
use crate::embedded::index::{Index, IndexError, StoredRow};
use crate::embedded::record::{Body, DecodeError, PartList, RowRecord, SegmentBytes, from_cbor, to_cbor};
use crate::embedded::segment::{Piece, Segment, SegmentReader, SegmentWriter, StagedSegment, WriteError};
use crate::embedded::table::Pin;

/// Rows looked at before others may use the index.
const SCAN_ROWS: usize = 1_000;
/// Live bytes after which a pack is closed.
const PACK_BYTES: u64 = 64 << 20;
/// Rows after which a pack is closed: they are re-pointed in one record.
const PACK_ROWS: usize = 1_000;
/// Bytes of keys and values after which a pack is closed, for the same reason.
const PACK_ROW_BYTES: usize = 2 << 20;
/// Live bytes after which the rest of one large body goes to a further pack: a segment is moved and healed as a whole.
const SEGMENT_BYTES: u64 = if cfg!(test) { 64 << 10 } else { 256 << 20 };
/// Longest part list that is read.
const PART_LIST_BYTES_MAX: u64 = 64 << 20;

/// A row as it shall be: same key, revision and value, its body in other places. It takes effect only if the row in
/// force is still exactly `old`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repoint {
    pub key: Key,
    pub old: RowRecord,
    pub new: RowRecord,
}

/// What compaction needs of the store.
#[async_trait::async_trait]
pub trait CompactStore: Send + Sync + 'static {
    fn index(&self) -> &Index;
    fn reader(&self) -> &SegmentReader;
    fn pin(&self, id: SegmentId) -> Option<(Segment, Pin)>;
    /// Bytes were copied; one who must not take all of the drives waits here now and then.
    async fn copied(&self, _bytes: u64) {}
    /// Begins a pack on drives that take extents.
    async fn new_pack(&self) -> Result<SegmentWriter, CompactError>;
    /// Commits those of `moves` whose row is unchanged, in one record with the declaration of the packs. The others are
    /// left out; that is no error.
    async fn commit_repoint(&self, moves: Vec<Repoint>, packs: Vec<StagedSegment>) -> Result<(), CompactError>;
}

/// Why a round of compaction ended early. What was re-pointed before stays so.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("writing a pack: {0}")]
    Write(#[from] WriteError),
    #[error("no drives for a pack: {0}")]
    NoDrives(String),
    #[error("the next pack would not fit above what the drives must keep free")]
    NoRoom,
    #[error("re-pointing rows: {0}")]
    Commit(String),
}

/// Moves all live bodies out of `victims`. Says how many rows it asked to re-point.
pub async fn compact<S: CompactStore>(store: &Arc<S>, victims: BTreeSet<SegmentId>) -> Result<usize, CompactError> {
    let victims = Arc::new(victims);
    let mut from = Some(Key::new(Bytes::new()));
    let mut pack: Option<Pack> = None;
    let mut moved = 0;
    while let Some(start) = from.take() {
        let (rows, next) = find(store, &victims, start).await?;
        from = next;
        for (key, row) in rows {
            let open = match &mut pack {
                Some(open) => open,
                None => pack.insert(Pack::new(store.new_pack().await?)),
            };
            moved += usize::from(open.take_in(&**store, &victims, key, row).await?);
            if open.is_full() {
                close(&**store, pack.take()).await?;
            }
        }
    }
    close(&**store, pack).await?;
    Ok(moved)
}

async fn close<S: CompactStore>(store: &S, pack: Option<Pack>) -> Result<(), CompactError> {
    match pack {
        Some(mut pack) if !pack.moves.is_empty() => {
            pack.full.push(pack.writer.finish().await?);
            store.commit_repoint(pack.moves, pack.full).await
        }
        // Dropped without rows, it leaves no file behind.
        Some(_) | None => Ok(()),
    }
}

/// A row, if it leads into one of many segments; the others are only skimmed.
struct Skimmed(Option<RowRecord>);

impl StoredRow for Skimmed {
    fn read(cbor: &[u8]) -> Result<Self, DecodeError> {
        // An array of at most two has neither body nor parent.
        let fields = minicbor::Decoder::new(cbor).array().ok().flatten();
        let has_body = fields.is_none_or(|fields| fields > 2);
        Ok(Self(if has_body { Some(RowRecord::read(cbor)?) } else { None }))
    }
}

type Rows = Vec<(Key, RowRecord)>;

/// The rows of the next stretch of the index that lead into `victims`, and where to go on.
async fn find<S: CompactStore>(
    store: &Arc<S>,
    victims: &Arc<BTreeSet<SegmentId>>,
    start: Key,
) -> Result<(Rows, Option<Key>), CompactError> {
    let (store, victims) = (Arc::clone(store), Arc::clone(victims));
    let look = move || -> Result<(Rows, Option<Key>), IndexError> {
        let end = Key::new(vec![u8::MAX; crate::limits::KEY_BYTES_MAX + 1]);
        let page = store.index().scan::<Skimmed>(&(start..end), SCAN_ROWS)?;
        let next = page.items.last().filter(|_| page.more).map(|(key, _)| key.successor());
        let leads = |row: &RowRecord| {
            let body = row.body.as_ref();
            body.is_some_and(|body| body.live_bytes().any(|live| victims.contains(&live.segment)))
        };
        let rows = page
            .items
            .into_iter()
            .filter_map(|(key, row)| Some((key, row.0.filter(leads)?)));
        Ok((rows.collect(), next))
    };
    let looked = tokio::task::spawn_blocking(look).await;
    Ok(looked.map_err(|e| CompactError::Commit(e.to_string()))??)
}

/// A pack that is being filled.
struct Pack {
    writer: SegmentWriter,
    /// Packs before it that a large body filled.
    full: Vec<StagedSegment>,
    /// Bytes in the present one.
    written: u64,
    moves: Vec<Repoint>,
    bytes: u64,
    row_bytes: usize,
}

impl Pack {
    fn new(writer: SegmentWriter) -> Self {
        Self {
            writer,
            full: Vec::new(),
            written: 0,
            moves: Vec::new(),
            bytes: 0,
            row_bytes: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= PACK_BYTES || self.moves.len() >= PACK_ROWS || self.row_bytes >= PACK_ROW_BYTES
    }

    /// Copies what the row owns in `victims`; `false` if it had to be left where it is.
    async fn take_in<S: CompactStore>(
        &mut self,
        store: &S,
        victims: &BTreeSet<SegmentId>,
        key: Key,
        old: RowRecord,
    ) -> Result<bool, CompactError> {
        let body = match &old.body {
            Some(Body::Direct { len, pieces }) => {
                let pieces = self.move_pieces(store, victims, pieces).await?;
                pieces.map(|pieces| Body::Direct { len: *len, pieces })
            }
            Some(Body::Joined { len, list, .. }) => self.move_joined(store, victims, *len, list).await?,
            None => None,
        };
        let Some(body) = body else {
            tracing::warn!(?key, "a body cannot be read whole; it stays where it is");
            return Ok(false);
        };
        let new = RowRecord {
            body: Some(body),
            ..old.clone()
        };
        self.row_bytes += key.as_bytes().len() + old.value.len();
        self.moves.push(Repoint { key, old, new });
        Ok(true)
    }

    /// The list is written anew, since it names places.
    async fn move_joined<S: CompactStore>(
        &mut self,
        store: &S,
        victims: &BTreeSet<SegmentId>,
        len: u64,
        list: &[Piece],
    ) -> Result<Option<Body>, CompactError> {
        let Some(bytes) = read_pieces(store, list).await else {
            return Ok(None);
        };
        let Ok(parts) = from_cbor::<PartList>("part list", &bytes) else {
            return Ok(None);
        };
        let Some(pieces) = self.move_pieces(store, victims, &parts.pieces).await? else {
            return Ok(None);
        };
        let mut sums: BTreeMap<SegmentId, u64> = BTreeMap::new();
        for piece in &pieces {
            *sums.entry(piece.segment).or_default() += piece.len;
        }
        let list = self.write(Bytes::from(to_cbor(&PartList { pieces }))).await?;
        let sums = sums
            .into_iter()
            .map(|(segment, bytes)| SegmentBytes { segment, bytes })
            .collect();
        Ok(Some(Body::Joined {
            len,
            list: vec![list],
            sums,
        }))
    }

    /// The pieces with those in `victims` copied; `None` if one cannot be read.
    async fn move_pieces<S: CompactStore>(
        &mut self,
        store: &S,
        victims: &BTreeSet<SegmentId>,
        pieces: &[Piece],
    ) -> Result<Option<Vec<Piece>>, CompactError> {
        let mut moved = Vec::with_capacity(pieces.len());
        for piece in pieces {
            if !victims.contains(&piece.segment) {
                moved.push(*piece);
                continue;
            }
            let Some((segment, _pin)) = store.pin(piece.segment) else {
                return Ok(None);
            };
            self.make_room(store).await?;
            let mut chunks = std::pin::pin!(store.reader().read_piece(Arc::new(segment), *piece, 0..piece.len));
            self.writer.begin_body()?;
            let mut whole = true;
            while let Some(chunk) = chunks.next().await {
                match chunk {
                    Ok(chunk) => {
                        let bytes = chunk.len() as u64;
                        self.writer.write(chunk).await?;
                        store.copied(bytes).await;
                    }
                    Err(_) => whole = false,
                }
            }
            let copy = self.writer.end_body().await?;
            self.bytes += copy.len;
            self.written += copy.len;
            if !whole || copy.len != piece.len {
                return Ok(None);
            }
            moved.push(copy);
        }
        Ok(Some(moved))
    }

    /// Goes on in a further pack if the present one is large enough.
    async fn make_room<S: CompactStore>(&mut self, store: &S) -> Result<(), CompactError> {
        if self.written >= SEGMENT_BYTES {
            let next = store.new_pack().await?;
            let full = std::mem::replace(&mut self.writer, next);
            self.full.push(full.finish().await?);
            self.written = 0;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes) -> Result<Piece, CompactError> {
        self.bytes += bytes.len() as u64;
        self.writer.begin_body()?;
        self.writer.write(bytes).await?;
        Ok(self.writer.end_body().await?)
    }
}

/// The bytes of a small body; `None` if it cannot be read.
async fn read_pieces<S: CompactStore>(store: &S, pieces: &[Piece]) -> Option<Bytes> {
    if pieces.iter().map(|piece| piece.len).sum::<u64>() > PART_LIST_BYTES_MAX {
        return None;
    }
    let mut bytes = BytesMut::new();
    for piece in pieces {
        let (segment, _pin) = store.pin(piece.segment)?;
        let mut chunks = std::pin::pin!(store.reader().read_piece(Arc::new(segment), *piece, 0..piece.len));
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk.ok()?);
        }
    }
    Some(bytes.freeze())
}

#[cfg(test)]
mod tests;
