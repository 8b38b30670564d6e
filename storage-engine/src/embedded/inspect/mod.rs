//! Looking at the raw drives of a store from outside: its roots, its segments frame by frame, and where a row's body
//! lies. It takes no lock and writes nothing, so it may be used beside a running store; what that store writes meanwhile
//! may then look torn. It decides nothing and never judges what counts otherwise than a start does.

mod frames;
mod placement;
mod rows;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::rows::Found;
use super::damage_log::DamageLog;
use super::drive::{Drive, user_of};
use super::erasure::Codecs;
use super::id::SegmentId;
use super::root::{MemberState, Root, RootSlot, decode_slot, elect};
use super::segment::{Drives, SegmentKind, SegmentReader};
use crate::backend::Key;

pub use self::frames::{FrameSeen, RecordSeen, ShardSeen};
pub use self::placement::{PieceSeen, Placement, ShardPlace, Verdict};

/// How long a drive may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why something cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error("none of the given paths is a drive of a store that can be read")]
    NoDrives,
    #[error("no such segment is on the given drives")]
    NoSegment,
    #[error("no newest root can be told: {0}")]
    Root(String),
    #[error("the rows cannot be read: {0}")]
    Rows(String),
    #[error("no frame is known at this offset")]
    NoFrame,
    #[error("no such object: neither checkpoint nor log has a row for it")]
    NoRow,
    #[error("not a segment id: 32 lower-case hexadecimal digits")]
    NotAnId,
}

/// What stands at one given path.
#[derive(Clone, Debug)]
pub struct DriveSeen {
    pub path: PathBuf,
    /// Its id; empty if its root cannot be read.
    pub id: String,
    /// Epoch of its newest root; `None` if it has none.
    pub epoch: Option<u64>,
    /// Why it cannot be looked at; empty if it can.
    pub problem: String,
    /// The process that has it open, if one of this system does.
    pub used_by: Option<u32>,
    /// Shard files on it.
    pub shard_files: usize,
}

/// A segment that the root names.
#[derive(Clone, Debug)]
pub struct NamedSegment {
    pub id: String,
    pub kind: SegmentKind,
    pub data: u8,
    pub parity: u8,
    /// Bytes of each shard file that count; `None` for the open log segment and for checkpoints.
    pub valid_bytes: Option<u64>,
}

/// What the newest root says.
#[derive(Clone, Debug)]
pub struct RootSeen {
    pub store: String,
    pub epoch: u64,
    pub parity: u8,
    /// Id, path where it was last seen, and `in`, `out` or `draining`.
    pub members: Vec<(String, String, &'static str)>,
    /// Drives that were replaced or removed.
    pub gone: Vec<String>,
    /// Oldest first; the last is open.
    pub log: Vec<NamedSegment>,
    /// Oldest first.
    pub checkpoints: Vec<NamedSegment>,
}

/// The drives of a store, looked at and not locked.
pub struct Inspection {
    seen: Vec<DriveSeen>,
    drives: Vec<Arc<Drive>>,
    slots: Vec<RootSlot>,
    reader: SegmentReader,
}

impl Inspection {
    /// Looks at the given paths. Blocks.
    ///
    /// # Errors
    /// None of them can be looked at.
    pub fn open(paths: &[PathBuf]) -> Result<Self, InspectError> {
        let (mut seen, mut drives, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        let present = Arc::new(Drives::default());
        for path in paths {
            let mut told = DriveSeen {
                path: path.clone(),
                id: String::new(),
                epoch: None,
                problem: String::new(),
                used_by: user_of(path).ok().flatten(),
                shard_files: 0,
            };
            match look(path) {
                Ok((drive, slot)) => {
                    told.shard_files = drive.list_shards().map_or(0, |shards| shards.len());
                    if let Some(slot) = slot {
                        drive.set_id(slot.drive);
                        told.id = slot.drive.to_string();
                        told.epoch = Some(slot.root.epoch);
                        present.insert(slot.drive, Arc::clone(&drive));
                        slots.push(slot);
                    } else {
                        told.problem = "it has no root that can be read".into();
                    }
                    drives.push(drive);
                }
                Err(problem) => told.problem = problem,
            }
            seen.push(told);
        }
        if drives.is_empty() {
            return Err(InspectError::NoDrives);
        }
        let reader = SegmentReader::new(present, Arc::new(Codecs::default()), Arc::new(DamageLog::default()));
        Ok(Self {
            seen,
            drives,
            slots,
            reader,
        })
    }

    /// What stands at each given path.
    pub fn drives(&self) -> &[DriveSeen] {
        &self.seen
    }

    /// The newest root among the given drives, by the rules of a start.
    pub fn root(&self) -> Result<RootSeen, InspectError> {
        let root = self.newest()?;
        let named = |segment: &super::segment::Segment, valid_bytes| NamedSegment {
            id: segment.id.to_string(),
            kind: segment.kind,
            data: segment.geometry.data,
            parity: segment.geometry.parity,
            valid_bytes,
        };
        Ok(RootSeen {
            store: root.store.to_string(),
            epoch: root.epoch,
            parity: root.parity,
            members: root
                .members
                .iter()
                .map(|member| (member.id.to_string(), member.path.clone(), state_name(member.state)))
                .collect(),
            gone: root.gone.iter().map(ToString::to_string).collect(),
            log: root.log.iter().map(|log| named(&log.segment, log.valid_len)).collect(),
            checkpoints: root.checkpoints.iter().map(|c| named(&c.segment, None)).collect(),
        })
    }

    /// Every shard file of a segment on the given drives, frame by frame. Blocks.
    pub fn segment(&self, id: &str) -> Result<Vec<ShardSeen>, InspectError> {
        let id = SegmentId::parse(id).ok_or(InspectError::NotAnId)?;
        let shards = frames::of(&self.drives, id);
        if shards.is_empty() {
            return Err(InspectError::NoSegment);
        }
        Ok(shards)
    }

    /// Where the body of a row lies, and whether each of its shards is good; `None` if there is no such row.
    pub async fn row(&self, key: &Key) -> Result<Option<Placement>, InspectError> {
        let root = self.newest()?;
        let rows = rows::Rows {
            root: &root,
            drives: &self.drives,
            reader: &self.reader,
        };
        let Some(Found { row, segments }) = rows.find(key).await? else {
            return Ok(None);
        };
        placement::of(&row, &segments, &self.drives, &self.reader)
            .await
            .map(Some)
    }

    fn newest(&self) -> Result<Root, InspectError> {
        let elected = elect(&self.slots).map_err(|refusal| InspectError::Root(refusal.to_string()))?;
        Ok(elected.root)
    }
}

/// One path, opened and not locked, with its newest readable root.
fn look(path: &std::path::Path) -> Result<(Arc<Drive>, Option<RootSlot>), String> {
    let drive = Drive::open_to_look(path).map_err(|error| error.to_string())?;
    let slots = drive.read_root_slots().map_err(|error| error.to_string())?;
    let readable = slots.into_iter().flatten().filter_map(|bytes| decode_slot(&bytes).ok());
    Ok((Arc::new(drive), readable.max_by_key(|slot| slot.root.age())))
}

fn state_name(state: MemberState) -> &'static str {
    match state {
        MemberState::In => "in",
        MemberState::Out => "out",
        MemberState::Draining => "draining",
        MemberState::DrainingOut => "draining, out",
    }
}
