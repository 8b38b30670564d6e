//! What is told of healing: MinIO's document of it, and our own (`/v1/admin/heal`), whose names of fields are a promise.
//! Healing itself is the engine's; this asks and tells.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage_engine::embedded::heal::{CensusDepth, DriveScrub, HealState, HealStatus};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::info::View;

/// A store that heals itself, as the admin API asks it.
pub trait Healing: Send + Sync {
    /// How healing stands.
    fn status(&self) -> HealStatus;
    /// Has the store looked through and healed now.
    fn heal_now(&self);
    /// Has every file of every drive verified now.
    fn scrub_now(&self);
}

/// How healing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not looked at yet, or nothing can be healed now.
    Unknown,
    /// A census found nothing missing.
    Whole,
    Healing,
    /// Something is missing that cannot be made now; it is tried again.
    Waiting,
}

/// What a drive still lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveHealing {
    pub id: String,
    pub path: String,
    pub shards_left: u64,
    /// About so many.
    pub bytes_left: u64,
    /// It was out or behind: its files are being verified.
    pub in_doubt: bool,
}

/// How far a drive's files are verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrub {
    pub id: String,
    pub path: String,
    /// When all were last verified, in seconds since 1970; `None`: never, or not known.
    pub passed_at: Option<u64>,
    /// Segments verified in the present pass, of so many.
    pub verified: u64,
    pub segments: u64,
}

impl Scrub {
    fn of(scrub: &DriveScrub) -> Self {
        Self {
            id: scrub.id.clone(),
            path: scrub.path.clone(),
            passed_at: scrub.passed_at,
            verified: scrub.verified,
            segments: scrub.segments,
        }
    }
}

/// The last count of everything the store needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Nothing is missing, bad, or left over.
    pub clean: bool,
    /// Every frame was read; otherwise it was looked which files are there.
    pub frames_read: bool,
    pub segments: u64,
    pub whole: u64,
    /// Readable, with shards missing.
    pub thin: u64,
    pub unreadable: u64,
    pub bad_shards: u64,
    pub orphans: u64,
    /// Segments written while drives were away, with fewer shards than the store has drives for, and their live bytes.
    #[serde(default)]
    pub narrow: u64,
    #[serde(default)]
    pub narrow_bytes: u64,
    pub verified_bytes: u64,
    pub took_milliseconds: u64,
    pub age_seconds: u64,
}

/// Healing, as `drystone admin heal status` reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealReport {
    pub state: State,
    /// Why something waits, the first few.
    pub reasons: Vec<String>,
    /// Of the present work, estimated.
    pub total_bytes: u64,
    pub done_bytes: u64,
    pub bytes_per_second: u64,
    /// `None` while nothing is to be done or the rate is not known.
    pub eta_seconds: Option<u64>,
    /// Shard files made anew since the store was started.
    pub shards_healed: u64,
    pub drives: Vec<DriveHealing>,
    pub census: Option<Census>,
    pub scrubs: Vec<Scrub>,
}

impl HealReport {
    /// What the engine says.
    pub fn of(status: &HealStatus) -> Self {
        let mut scrubs: Vec<Scrub> = status.scrubs.iter().map(Scrub::of).collect();
        scrubs.sort_by(|one, other| one.path.cmp(&other.path));
        Self {
            state: match status.state {
                HealState::Unknown => State::Unknown,
                HealState::Whole => State::Whole,
                HealState::Healing => State::Healing,
                HealState::Waiting => State::Waiting,
            },
            reasons: status.reasons.clone(),
            total_bytes: status.total_bytes,
            done_bytes: status.done_bytes,
            bytes_per_second: status.bytes_per_second,
            eta_seconds: status.eta.map(|eta| eta.as_secs()),
            shards_healed: status.shards_healed,
            drives: status
                .drives
                .iter()
                .map(|drive| DriveHealing {
                    id: drive.id.clone(),
                    path: drive.path.clone(),
                    shards_left: drive.shards_left,
                    bytes_left: drive.bytes_left,
                    in_doubt: drive.in_doubt,
                })
                .collect(),
            census: status.census.as_ref().map(|(census, age)| Census {
                clean: census.is_clean(),
                frames_read: census.depth == CensusDepth::Frames,
                segments: census.segments,
                whole: census.whole,
                thin: census.thin,
                unreadable: census.unreadable,
                bad_shards: census.bad_shards,
                orphans: census.orphans,
                narrow: census.narrow,
                narrow_bytes: census.narrow_bytes,
                verified_bytes: census.verified_bytes,
                took_milliseconds: u64::try_from(census.took.as_millis()).unwrap_or(u64::MAX),
                age_seconds: age.as_secs(),
            }),
            scrubs,
        }
    }
}

/// MinIO's account of one drive that is healed; `None` if nothing is left to do on it. What was done is known for all
/// drives together only: each gets its part of it.
pub fn drive_info(status: &HealStatus, id: &str, index: usize) -> Option<Value> {
    let drive = status
        .drives
        .iter()
        .find(|drive| drive.id == id && drive.shards_left > 0)?;
    let left = status.total_bytes.saturating_sub(status.done_bytes).max(1);
    let done = u128::from(status.done_bytes) * u128::from(drive.bytes_left) / u128::from(left);
    let done = u64::try_from(done).unwrap_or(u64::MAX);
    let now = OffsetDateTime::now_utc();
    let seconds = status.done_bytes.checked_div(status.bytes_per_second).unwrap_or(0);
    let began = now.saturating_sub(time::Duration::seconds(i64::try_from(seconds).unwrap_or(0)));
    let shown = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    Some(json!({
        "id": drive.id,
        "pool_index": 0,
        "set_index": 0,
        "disk_index": index,
        "path": drive.path,
        "started": shown(began),
        "last_update": shown(now),
        "objects_total_count": drive.shards_left,
        "objects_total_size": drive.bytes_left.saturating_add(done),
        "bytes_done": done,
        "queued_buckets": [],
        "healed_buckets": [],
        "finished": false,
    }))
}

/// `POST background-heal/status`: the pool's one set and its drives, as `mc admin heal` reads it.
pub fn background(view: &View<'_>) -> Value {
    let status = view.heal.cloned().unwrap_or_default();
    let name = match status.state {
        HealState::Unknown => "unknown",
        HealState::Whole => "healthy",
        HealState::Healing => "healing",
        HealState::Waiting => "waiting",
    };
    let healing: Vec<&str> = status
        .drives
        .iter()
        .filter(|drive| drive.shards_left > 0)
        .map(|drive| drive.path.as_str())
        .collect();
    json!({
        "offline_nodes": [],
        "HealDisks": healing,
        "sets": [{
            "id": "0",
            "pool_index": 0,
            "set_index": 0,
            "heal_status": name,
            "heal_priority": "",
            "total_objects": 0,
            "disks": view.drives(),
        }],
        "mrf": {},
        "sc_parity": { "STANDARD": view.health.parity, "REDUCED_REDUNDANCY": view.health.parity },
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use storage_engine::embedded::heal::DriveHealing as Left;

    use super::*;

    #[test]
    fn a_drive_that_lacks_shards_has_its_part_of_what_was_done() {
        let left = |id: &str, shards_left, bytes_left| Left {
            id: id.into(),
            path: format!("/{id}"),
            shards_left,
            bytes_left,
            in_doubt: false,
        };
        let status = HealStatus {
            state: HealState::Healing,
            total_bytes: 1_000,
            done_bytes: 400,
            bytes_per_second: 100,
            eta: Some(Duration::from_secs(6)),
            drives: vec![left("a", 2, 150), left("b", 0, 0), left("c", 5, 450)],
            ..HealStatus::default()
        };
        let info = drive_info(&status, "a", 0).unwrap();
        assert_eq!(
            (info["bytes_done"].as_u64(), info["objects_total_size"].as_u64()),
            (Some(100), Some(250))
        );
        assert_eq!(drive_info(&status, "c", 2).unwrap()["bytes_done"], 300);
        assert!(drive_info(&status, "b", 1).is_none() && drive_info(&status, "d", 3).is_none());
        let report = HealReport::of(&status);
        assert_eq!((report.state, report.eta_seconds), (State::Healing, Some(6)));
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<HealReport>(&text).unwrap(), report);
        // Nothing known yet divides by nothing.
        let unknown = HealStatus {
            drives: vec![left("a", 1, 10)],
            ..HealStatus::default()
        };
        assert_eq!(drive_info(&unknown, "a", 0).unwrap()["bytes_done"], 0);
    }
}
