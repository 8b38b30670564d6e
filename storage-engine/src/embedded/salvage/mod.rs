//! What can still be had from the raw drives of a store that does not start any more, or no more gives all that it had.
//! It owns which rows stand, as far as checkpoint and log tell, and the bytes of their bodies; for both it asks whatever
//! is on the given drives, whether the root knows of it or not. It takes no lock, needs no index, writes nothing to a
//! drive, and hands out no byte whose checksum does not hold. What cannot be known it says.

mod basis;
mod log;
mod rows;
mod shelf;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;

use self::basis::Basis;
use self::log::{Logged, read_log};
use self::rows::Source;
use self::shelf::Shelf;
use super::damage_log::DamageLog;
use super::drive::{Drive, user_of};
use super::erasure::Codecs;
use super::id::StoreId;
use super::record::{Body, PartList, from_cbor};
use super::root::{Root, RootSlot, decode_slot, elect, is_newer_slot};
use super::segment::{Drives, Piece, SegmentReader};
use crate::backend::Key;

pub use self::rows::{Row, Rows};

/// How long a drive may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A list of parts is at most so long: one of ten thousand parts has less than a hundredth of it.
const PART_LIST_BYTES_MAX: u64 = 64 << 20;

/// Why nothing can be had.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    #[error("none of the given paths is a drive of a store that can be read")]
    NoDrives,
    #[error("drives of different stores were given together: {}", .0.join(", "))]
    TwoStores(Vec<String>),
    #[error("{} was written by a newer version of drystone; this one cannot read it", .0.display())]
    Newer(PathBuf),
    #[error("{0}")]
    Failed(String),
}

/// What stands at one given path.
#[derive(Clone, Debug)]
pub struct DriveFound {
    pub path: PathBuf,
    /// Epoch of its newest root; `None` if none can be read.
    pub epoch: Option<u64>,
    /// Why it cannot be read; empty if it can.
    pub problem: String,
    /// The process that has it open, if one of this system does.
    pub used_by: Option<u32>,
}

/// What the names of objects are known from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowsFrom {
    /// A whole checkpoint and the log after it.
    Checkpoint,
    /// The beginning of a checkpoint that breaks off, and the log.
    PartOfCheckpoint { rows_read: u64, rows_named: u64 },
    /// The log that is left.
    LogOnly,
}

/// What is known of the rows, and what is not.
#[derive(Clone, Debug)]
pub struct Account {
    /// The store's id; empty if no root and no shard file told it.
    pub store: String,
    /// Epoch of the newest root that can be read.
    pub root_epoch: Option<u64>,
    pub rows_from: RowsFrom,
    /// In sentences, what cannot be known.
    pub notes: Vec<String>,
    /// Keys of the last record of a log, of which nobody can tell whether it counts. What stood before is given.
    pub undecided: Vec<Key>,
}

impl Account {
    /// Every row that was acknowledged is known.
    pub fn is_complete(&self) -> bool {
        self.rows_from == RowsFrom::Checkpoint && self.notes.is_empty() && self.undecided.is_empty()
    }
}

/// A run of a body that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostPiece {
    pub segment: String,
    /// Where its first stripe begins in every shard file.
    pub offset: u64,
    /// Bytes of data.
    pub bytes: u64,
    pub why: String,
}

/// Takes the bytes of a body, one after the other.
pub trait Sink {
    /// Takes the next bytes.
    fn take(&mut self, bytes: &Bytes) -> std::io::Result<()>;
}

/// The drives of a store, opened to be read.
pub struct Salvage {
    found: Vec<DriveFound>,
    root: Option<Root>,
    notes: Vec<String>,
    shelf: Shelf,
    reader: SegmentReader,
}

impl Salvage {
    /// Looks at the given paths. Blocks.
    ///
    /// # Errors
    /// None of them can be read, or they are of different stores, or of a newer version.
    pub fn open(paths: &[PathBuf]) -> Result<Self, SalvageError> {
        let (mut found, mut drives, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        for path in paths {
            let mut told = DriveFound {
                path: path.clone(),
                epoch: None,
                problem: String::new(),
                used_by: user_of(path).ok().flatten(),
            };
            match Drive::open_to_look(path) {
                Ok(drive) => {
                    let slot = newest_slot(&drive)?;
                    told.epoch = slot.as_ref().map(|slot| slot.root.epoch);
                    if slot.is_none() {
                        told.problem = "it has no root that can be read; its shard files are used all the same".into();
                    }
                    slots.extend(slot);
                    drives.push(Arc::new(drive));
                }
                Err(error) => told.problem = error.to_string(),
            }
            found.push(told);
        }
        if drives.is_empty() {
            return Err(SalvageError::NoDrives);
        }
        let (root, notes) = newest_root(&slots)?;
        let present = Arc::new(Drives::default());
        let shelf = Shelf::new(drives, &present, root.as_ref().map(|root| root.store));
        let reader = SegmentReader::new(present, Arc::new(Codecs::default()), Arc::new(DamageLog::default()));
        Ok(Self {
            found,
            root,
            notes,
            shelf,
            reader,
        })
    }

    /// What stands at each given path.
    pub fn drives(&self) -> &[DriveFound] {
        &self.found
    }

    /// Finds out which rows stand. What it holds in memory is what the log says since the checkpoint, or all the log
    /// where no checkpoint can be read.
    ///
    /// # Errors
    /// The drives are of different stores.
    pub async fn rows(&mut self) -> Result<(Account, Rows), SalvageError> {
        let mut notes = std::mem::take(&mut self.notes);
        if self.root.is_none() {
            notes.push(
                "no root can be read: which state is the newest was told from the log itself, and a record that was \
                 given up may be taken for a good one"
                    .into(),
            );
            self.one_store()?;
        }
        let basis = Basis::find(self.root.as_ref(), &mut self.shelf, &self.reader).await;
        notes.extend(basis.notes());
        let plan = log::Plan::of(self.root.as_ref(), &basis, &mut self.shelf);
        let drives = self.shelf.log_drives(PATIENCE);
        let from = basis.position();
        let read = tokio::task::spawn_blocking(move || read_log(&plan, from, &drives));
        let logged = read.await.map_err(|error| SalvageError::Failed(error.to_string()))?;
        let Logged {
            late,
            late_keys,
            early,
            declared,
            undecided,
            notes: of_log,
        } = logged;
        notes.extend(of_log);
        self.shelf.declare(declared);
        let account = Account {
            store: self.shelf.store().map(|store| store.to_string()).unwrap_or_default(),
            root_epoch: self.root.as_ref().map(|root| root.epoch),
            rows_from: basis.rows_from(),
            notes,
            undecided,
        };
        let source = Source {
            basis: basis.open(&self.reader),
            rows_known: basis.rows_known(),
            until: basis.last_key(),
            is_known: basis.is_known(),
            late,
            late_keys,
            early,
        };
        Ok((account, Rows::new(source)))
    }

    /// Reads a body, verified. `sink` gets its bytes up to the first that cannot be read; all other pieces are tried,
    /// too, to say which are lost. Holds a few stripes in memory.
    ///
    /// # Errors
    /// `sink` gave one.
    pub async fn read(&mut self, body: &Body, sink: &mut impl Sink) -> std::io::Result<Vec<LostPiece>> {
        let mut lost = Vec::new();
        let pieces = match body {
            Body::Direct { pieces, .. } => pieces.clone(),
            Body::Joined { list, .. } => match self.parts(list).await {
                Ok(parts) => parts.pieces,
                Err(piece) => return Ok(vec![piece]),
            },
        };
        let mut given = 0_u64;
        for piece in pieces {
            match self.read_piece(piece, lost.is_empty().then_some(&mut *sink)).await? {
                Ok(bytes) => given = given.saturating_add(bytes),
                Err(piece) => lost.push(piece),
            }
        }
        if lost.is_empty() && given != body.len() {
            lost.push(LostPiece {
                segment: String::new(),
                offset: 0,
                bytes: body.len(),
                why: format!("its pieces hold {given} bytes, its row says {}", body.len()),
            });
        }
        Ok(lost)
    }

    async fn read_piece(
        &mut self,
        piece: Piece,
        mut sink: Option<&mut impl Sink>,
    ) -> std::io::Result<Result<u64, LostPiece>> {
        let lost = |why: String| LostPiece {
            segment: piece.segment.to_string(),
            offset: piece.offset,
            bytes: piece.len,
            why,
        };
        let Some(segment) = self.shelf.segment(piece.segment) else {
            return Ok(Err(lost(
                "no given drive has a shard of this segment that can be read".into(),
            )));
        };
        let mut stream = std::pin::pin!(self.reader.read_piece(Arc::new(segment), piece, 0..piece.len));
        let mut given = 0_u64;
        loop {
            match stream.try_next().await {
                Ok(Some(bytes)) => {
                    given = given.saturating_add(bytes.len() as u64);
                    if let Some(sink) = &mut sink {
                        sink.take(&bytes)?;
                    }
                }
                Ok(None) => return Ok(Ok(given)),
                Err(error) => return Ok(Err(lost(error.to_string()))),
            }
        }
    }

    /// The list behind a joined body.
    async fn parts(&mut self, list: &[Piece]) -> Result<PartList, LostPiece> {
        struct Collected(BytesMut);
        impl Sink for Collected {
            fn take(&mut self, bytes: &Bytes) -> std::io::Result<()> {
                self.0.extend_from_slice(bytes);
                Ok(())
            }
        }
        let mut collected = Collected(BytesMut::new());
        let lost = |why: String| LostPiece {
            segment: list.first().map(|piece| piece.segment.to_string()).unwrap_or_default(),
            offset: list.first().map_or(0, |piece| piece.offset),
            bytes: list.iter().map(|piece| piece.len).sum(),
            why: format!("the list of its parts: {why}"),
        };
        if list.iter().map(|piece| piece.len).sum::<u64>() > PART_LIST_BYTES_MAX {
            return Err(lost("it is too long".into()));
        }
        for piece in list {
            let read = self.read_piece(*piece, Some(&mut collected)).await;
            read.map_err(|error| lost(error.to_string()))?
                .map_err(|piece| lost(piece.why))?;
        }
        from_cbor("part list", &collected.0).map_err(|error| lost(error.to_string()))
    }

    /// Without a root the shard files of log and checkpoints must agree on whose they are.
    fn one_store(&mut self) -> Result<(), SalvageError> {
        let stores = self.shelf.stores();
        if stores.len() > 1 {
            return Err(two_stores(stores));
        }
        if let Some(store) = stores.first() {
            self.shelf.is_of(*store);
        }
        Ok(())
    }
}

fn two_stores(stores: Vec<StoreId>) -> SalvageError {
    SalvageError::TwoStores(stores.iter().map(ToString::to_string).collect())
}

/// The newest readable root of a drive.
fn newest_slot(drive: &Drive) -> Result<Option<RootSlot>, SalvageError> {
    let slots = drive.read_root_slots().unwrap_or_default();
    let bytes: Vec<Vec<u8>> = slots.into_iter().flatten().collect();
    if bytes.iter().any(|bytes| is_newer_slot(bytes)) {
        return Err(SalvageError::Newer(drive.path().to_owned()));
    }
    let readable = bytes.iter().filter_map(|bytes| decode_slot(bytes).ok());
    Ok(readable.max_by_key(|slot| slot.root.age()))
}

/// The newest root of all, whatever a start would say of it; and what it would say.
fn newest_root(slots: &[RootSlot]) -> Result<(Option<Root>, Vec<String>), SalvageError> {
    let mut stores: Vec<StoreId> = slots.iter().map(|slot| slot.root.store).collect();
    stores.sort_unstable();
    stores.dedup();
    if stores.len() > 1 {
        return Err(two_stores(stores));
    }
    let newest = slots.iter().max_by_key(|slot| slot.root.age());
    let Some(newest) = newest.map(|slot| slot.root.clone()) else {
        return Ok((None, Vec::new()));
    };
    let notes = match elect(slots) {
        Ok(_) => Vec::new(),
        Err(refusal) => vec![format!(
            "the newest root that can be read may not be the store's newest, and then what was written later is not \
             here: {refusal}"
        )],
    };
    Ok((Some(newest), notes))
}
