//! Our own account of the store, as `drystone admin` reads it: `GET /v1/admin/info`. Names of fields are a promise.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use storage_engine::backend::{DriveHealth, DriveState, Health, ServiceState};

/// What the store can do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    ReadWrite,
    ReadOnly,
    NotReady,
}

/// Where a drive stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    In,
    Out,
    Missing,
    /// Serves what it has and takes nothing new: what it holds is moved to others.
    Draining,
}

/// One drive of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drive {
    pub id: String,
    pub path: String,
    pub state: Standing,
    /// Why it is not in, or is suspect though it is in; empty if it is in and well.
    pub reason: String,
    /// Of its file system; 0 if the drive is not there.
    pub capacity_bytes: u64,
    pub free_bytes: u64,
}

/// The store and its drives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the server.
    pub version: String,
    pub uptime_seconds: u64,
    /// The store's id; empty while it is not known.
    pub store: String,
    pub state: Service,
    /// Why it does not do everything; empty if it does.
    pub reason: String,
    /// Why large objects cannot be written though small ones can; empty if that is not so.
    pub large_objects_fail: String,
    /// m of segments that are made now.
    pub parity: usize,
    /// Drives that may still be lost with everything readable.
    pub tolerated_losses: usize,
    pub drives: Vec<Drive>,
    /// Users, access keys and others that are shut out because something of theirs cannot be read, and why.
    #[serde(default)]
    pub shut_out: Vec<String>,
}

impl Status {
    /// What the engine says of itself, and the directory.
    pub fn of(health: &Health, uptime: Duration, shut_out: Vec<String>) -> Self {
        let (state, reason) = match &health.state {
            ServiceState::ReadWrite => (Service::ReadWrite, ""),
            ServiceState::ReadOnly(reason) => (Service::ReadOnly, reason.as_str()),
            ServiceState::NotReady(reason) => (Service::NotReady, reason.as_str()),
        };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: uptime.as_secs(),
            store: health.store.clone(),
            state,
            reason: reason.to_owned(),
            large_objects_fail: health.large_bodies_fail.clone().unwrap_or_default(),
            parity: health.parity,
            tolerated_losses: health.tolerated_losses,
            drives: health.drives.iter().map(Drive::of).collect(),
            shut_out,
        }
    }
}

impl Drive {
    fn of(health: &DriveHealth) -> Self {
        Self {
            id: health.id.clone(),
            path: health.path.clone(),
            state: match health.state {
                DriveState::In => Standing::In,
                DriveState::Out => Standing::Out,
                DriveState::Missing => Standing::Missing,
                DriveState::Draining => Standing::Draining,
            },
            reason: health.reason.clone(),
            capacity_bytes: health.capacity_bytes,
            free_bytes: health.free_bytes,
        }
    }
}
