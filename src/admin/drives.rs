//! Orders about drives and what is told of them: `/v1/admin/drives`, `/v1/admin/rebalance`, `/v1/admin/parity`. Names of
//! fields are a promise. What an order does, and whether it may, is the engine's; this reads and tells.

use std::path::PathBuf;

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use storage_engine::embedded::fleet::{DriveChange, FleetError};
use storage_engine::embedded::heal::MovingStatus;

use super::error::AdminError;
use super::routes::Verb;

/// How much drives may differ when an operator names nothing.
const PERCENT: u8 = 10;

/// A store whose drives come and go, as the admin API asks it.
pub trait Fleet: Send + Sync {
    /// How far drains and the rebalance are.
    fn status(&self) -> MovingStatus;
    /// Carries an order out, whether or not anybody waits for the answer. Gives the drives that it was about.
    fn order(&self, order: Order) -> BoxFuture<'static, Result<Vec<DriveChange>, FleetError>>;
}

/// What an operator wants done about the drives. Drives are named by id or path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Add(Add),
    Drain(Named),
    Keep(Named),
    Remove(Remove),
    Replace(Replace),
    /// Until drives differ by no more than so many percent; `None` stops it.
    Rebalance(Option<u8>),
    Parity(Parity),
}

/// Empty directories to take in as new drives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    pub paths: Vec<PathBuf>,
    /// Also if they look like mount points without their drives.
    #[serde(default)]
    pub force: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    pub drive: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    pub drive: String,
    /// It is away and never comes back.
    #[serde(default)]
    pub lost: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    pub drive: String,
    pub path: PathBuf,
    #[serde(default)]
    pub lost: bool,
    #[serde(default)]
    pub force: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balance {
    #[serde(default = "percent")]
    pub percent: u8,
}

fn percent() -> u8 {
    PERCENT
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parity {
    pub parity: u8,
}

impl Order {
    /// The order that a request is; `None` if its verb only asks.
    pub(super) fn read(verb: Verb, body: &[u8]) -> Result<Option<Self>, AdminError> {
        Ok(Some(match verb {
            Verb::DriveAdd => Self::Add(document(body)?),
            Verb::DriveDrain => Self::Drain(document(body)?),
            Verb::DriveKeep => Self::Keep(document(body)?),
            Verb::DriveRemove => Self::Remove(document(body)?),
            Verb::DriveReplace => Self::Replace(document(body)?),
            Verb::RebalanceStart => {
                let Balance { percent } = document(body)?;
                Self::Rebalance(Some(percent))
            }
            Verb::RebalanceStop => Self::Rebalance(None),
            Verb::ParitySet => Self::Parity(document(body)?),
            Verb::PoolRebalanceStart => Self::Rebalance(Some(PERCENT)),
            Verb::PoolRebalanceStop => Self::Rebalance(None),
            Verb::Info
            | Verb::Account
            | Verb::DataUsage
            | Verb::ConfigRead
            | Verb::ConfigSet
            | Verb::ConfigImport
            | Verb::ConfigReset
            | Verb::ConfigExport
            | Verb::ConfigHelp
            | Verb::ConfigHistory
            | Verb::ConfigHistoryClear
            | Verb::ConfigRestore
            | Verb::Service
            | Verb::PoolsList
            | Verb::PoolStatus
            | Verb::PoolChange
            | Verb::PoolRebalanceStatus
            | Verb::SiteReplication
            | Verb::Identities(_)
            | Verb::Visibility(_)
            | Verb::Projects(_)
            | Verb::HealSequence
            | Verb::StorageInfo
            | Verb::Status
            | Verb::BackgroundHeal
            | Verb::Heal
            | Verb::HealNow
            | Verb::ScrubNow
            | Verb::Drives
            | Verb::IndexVerify
            | Verb::IndexRebuild
            | Verb::QuotaSet
            | Verb::QuotaGet
            | Verb::Stream(_)
            | Verb::Rebalance => return Ok(None),
        }))
    }
}

fn document<T: DeserializeOwned>(body: &[u8]) -> Result<T, AdminError> {
    serde_json::from_slice(body).map_err(|error| AdminError::Unreadable(error.to_string()))
}

impl From<FleetError> for AdminError {
    fn from(error: FleetError) -> Self {
        let words = error.to_string();
        match error {
            FleetError::Unknown(_) => Self::NoSuchDrive(words),
            FleetError::Invalid(_) => Self::Argument(words),
            FleetError::Refused(_) => Self::Refused(words),
            FleetError::Unavailable(_) => Self::Unavailable(words),
        }
    }
}

/// A drive that an order was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    pub id: String,
    pub path: String,
}

/// How far a drive is drained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    pub id: String,
    pub path: String,
    /// It is here; what is on one that is away is made anew from the others.
    pub present: bool,
    /// Nothing is on it any more: it may be removed.
    pub holds_nothing: bool,
    pub segments_left: u64,
    /// Estimated.
    pub bytes_left: u64,
    /// What was on it when the drain began, or the server was started.
    pub total_bytes: u64,
    pub bytes_per_second: u64,
    /// `None` while the rate is not known.
    pub eta_seconds: Option<u64>,
}

/// What moves between drives, as `drystone admin drive status` reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovingReport {
    /// The drives that the order was about; none if it was a question.
    pub changed: Vec<Changed>,
    pub drains: Vec<Drain>,
    /// A rebalance is ordered, until drives differ by no more than so many percent.
    pub rebalance_percent: Option<u8>,
    /// One ended by itself since the server was started, and none was ordered since.
    pub rebalanced: bool,
    /// Since the server was started.
    pub shards_moved: u64,
    pub bytes_moved: u64,
    /// Why something waits, the last few.
    pub reasons: Vec<String>,
}

impl MovingReport {
    /// What the engine says.
    pub fn of(status: &MovingStatus, changed: Vec<DriveChange>) -> Self {
        let changed = changed.into_iter().map(|DriveChange { id, path }| Changed { id, path });
        let drains = status.drains.iter().map(|drain| Drain {
            id: drain.id.clone(),
            path: drain.path.clone(),
            present: drain.present,
            holds_nothing: drain.holds_nothing,
            segments_left: drain.segments_left,
            bytes_left: drain.bytes_left,
            total_bytes: drain.total_bytes,
            bytes_per_second: drain.bytes_per_second,
            eta_seconds: drain.eta.map(|eta| eta.as_secs()),
        });
        Self {
            changed: changed.collect(),
            drains: drains.collect(),
            rebalance_percent: status.rebalance.percent,
            rebalanced: status.rebalance.done,
            shards_moved: status.shards_moved,
            bytes_moved: status.bytes_moved,
            reasons: status.reasons.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_whole_or_refused() {
        let add = Order::read(Verb::DriveAdd, br#"{"paths":["/d9"]}"#).unwrap();
        let paths = vec![PathBuf::from("/d9")];
        assert_eq!(add, Some(Order::Add(Add { paths, force: false })));
        let balance = |body: &[u8]| Order::read(Verb::RebalanceStart, body).unwrap();
        assert_eq!(balance(b"{}"), Some(Order::Rebalance(Some(10))));
        assert_eq!(balance(br#"{"percent":3}"#), Some(Order::Rebalance(Some(3))));
        assert_eq!(Order::read(Verb::Drives, b"").unwrap(), None);
        for (verb, body) in [
            (Verb::DriveAdd, "{}"),
            (Verb::DriveDrain, ""),
            (Verb::DriveDrain, r#"{"drive":"/d1","when":"later"}"#),
            (Verb::ParitySet, r#"{"parity":-1}"#),
            (Verb::ParitySet, r#"{"parity":300}"#),
        ] {
            let read = Order::read(verb, body.as_bytes());
            assert!(matches!(read, Err(AdminError::Unreadable(_))), "{verb:?} {body}");
        }
    }
}
