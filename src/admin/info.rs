//! MinIO's documents about a server and its drives, as `mc admin info` and consoles read them. Pure.
//!
//! What is not counted is not invented: numbers of objects are those of the last count, or say why they are not there.

use serde_json::{Value, json};
use storage_engine::backend::{DriveHealth, DriveState, Health, ServiceState};
use storage_engine::embedded::heal::HealStatus;

use super::{AdminConfig, heal};
use crate::http::health::drives_in;
use crate::usage::Figures;

/// What the documents are made of.
pub struct View<'a> {
    pub health: &'a Health,
    pub config: &'a AdminConfig,
    /// The name by which the caller reached the server, with the port.
    pub host: &'a str,
    /// How healing stands, where there is something to heal.
    pub heal: Option<&'a HealStatus>,
    /// What the buckets hold; `None` while it is counted for the first time.
    pub usage: Option<&'a Figures>,
}

impl View<'_> {
    fn scheme(&self) -> &'static str {
        if self.config.origins.tls { "https" } else { "http" }
    }

    /// Bytes of all drives, and how many of them are free.
    pub(super) fn space(&self) -> (u64, u64) {
        let drives = &self.health.drives;
        let capacity = drives.iter().map(|drive| drive.capacity_bytes).sum();
        (capacity, drives.iter().map(|drive| drive.free_bytes).sum())
    }

    /// A number that one count found, in MinIO's form.
    fn counted(&self, number: fn(&Figures) -> u64) -> Value {
        match self.usage {
            Some(figures) => json!({ "count": number(figures) }),
            // A count of 0 keeps clients from printing it; why it is 0 stands beside it.
            None => json!({ "count": 0, "error": "it is being counted" }),
        }
    }

    fn online(&self) -> usize {
        drives_in(self.health)
    }

    /// How many drives are healed now.
    fn healing(&self) -> usize {
        let drives = self.heal.map_or([].as_slice(), |status| status.drives.as_slice());
        drives.iter().filter(|drive| drive.shards_left > 0).count()
    }

    /// Every drive, in MinIO's form.
    pub(super) fn drives(&self) -> Vec<Value> {
        let drives = self.health.drives.iter().enumerate();
        drives.map(|(index, drive)| self.drive(index, drive)).collect()
    }

    /// The one pool and its one set: a client takes drives behind the data drives of a set for parity.
    fn drive(&self, index: usize, drive: &DriveHealth) -> Value {
        let used = drive.capacity_bytes.saturating_sub(drive.free_bytes);
        let utilization = if drive.capacity_bytes == 0 {
            0.0
        } else {
            used as f64 * 100.0 / drive.capacity_bytes as f64
        };
        let healing = self.heal.and_then(|status| heal::drive_info(status, &drive.id, index));
        let mut shown = json!({
            "endpoint": format!("{}://{}{}", self.scheme(), self.host, drive.path),
            "path": drive.path,
            "state": drive_state(drive.state),
            "uuid": drive.id,
            "totalspace": drive.capacity_bytes,
            "usedspace": used,
            "availspace": drive.free_bytes,
            "utilization": utilization,
            "local": true,
            "pool_index": 0,
            "set_index": 0,
            "disk_index": index,
            "healing": healing.is_some(),
        });
        if let (Some(info), Some(fields)) = (healing, shown.as_object_mut()) {
            fields.insert("heal_info".into(), info);
        }
        shown
    }
}

/// MinIO's word for where a drive stands.
fn drive_state(state: DriveState) -> &'static str {
    match state {
        DriveState::In | DriveState::Draining => "ok",
        DriveState::Out => "faulty",
        DriveState::Missing => "offline",
    }
}

/// `GET info`: a server, its drives, and the pool they are.
pub fn server(view: &View<'_>) -> Value {
    let health = view.health;
    let online = view.online();
    let serving = match health.state {
        ServiceState::ReadWrite | ServiceState::ReadOnly(_) => "online",
        ServiceState::NotReady(_) => "initializing",
    };
    let (capacity, free) = view.space();
    let bytes = view.usage.map_or(0, Figures::bytes);
    let objects = view.usage.map_or(0, Figures::objects);
    json!({
        "mode": serving,
        "region": view.config.region.clone().unwrap_or_default(),
        "domain": view.config.domains,
        "deploymentID": health.store,
        "buckets": view.counted(|figures| figures.buckets.len() as u64),
        "objects": view.counted(Figures::objects),
        "versions": view.counted(Figures::objects),
        "deletemarkers": view.counted(|_| 0),
        "usage": match view.usage {
            Some(_) => json!({ "size": bytes }),
            None => json!({ "size": 0, "error": "it is being counted" }),
        },
        "services": { "kms": {}, "kmsStatus": [], "ldap": {} },
        "backend": {
            "backendType": "Erasure",
            "onlineDisks": online,
            "offlineDisks": health.drives.len() - online,
            "standardSCParity": health.parity,
            "rrSCParity": health.parity,
            "totalSets": [1],
            "totalDrivesPerSet": [health.drives.len()],
        },
        "servers": [{
            "state": serving,
            "endpoint": view.host,
            "scheme": view.scheme(),
            "uptime": view.config.started.elapsed().as_secs(),
            "version": env!("CARGO_PKG_VERSION"),
            "edition": "Drystone",
            "network": { view.host: "online" },
            "drives": view.drives(),
            "poolNumber": 1,
            "poolNumbers": [1],
            "num_cpu": std::thread::available_parallelism().map_or(1, usize::from),
            "is_leader": true,
        }],
        "pools": {
            "0": { "0": {
                "id": 0,
                "rawUsage": capacity.saturating_sub(free),
                "rawCapacity": capacity,
                "usage": bytes,
                "objectsCount": objects,
                "versionsCount": objects,
                "deleteMarkersCount": 0,
                "healDisks": view.healing(),
            } },
        },
    })
}

/// `GET storageinfo`: the drives and the pool they are.
pub fn storage(view: &View<'_>) -> Value {
    json!({
        "Disks": view.drives(),
        "Backend": backend(view),
    })
}

/// The pool and its one set.
pub(super) fn backend(view: &View<'_>) -> Value {
    let (all, online) = (view.health.drives.len(), view.online());
    let parity = view.health.parity;
    let data = all.saturating_sub(parity);
    json!({
        "Type": 2,
        "GatewayOnline": false,
        "OnlineDisks": { view.host: online },
        "OfflineDisks": { view.host: all - online },
        "StandardSCData": [data],
        "StandardSCParities": [parity],
        "RRSCData": [data],
        "RRSCParities": [parity],
        "TotalSets": [1],
        "DrivesPerSet": [all],
        "StandardSCParity": parity,
        "RRSCParity": parity,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::http::origin::Origins;

    fn health() -> Health {
        let drive = |number: u64, state| DriveHealth {
            id: format!("id{number}"),
            path: format!("/data{number}"),
            state,
            reason: String::new(),
            capacity_bytes: 1000,
            free_bytes: 100 * number,
        };
        Health {
            store: "abc".into(),
            state: ServiceState::ReadWrite,
            large_bodies_fail: None,
            drives: vec![
                drive(1, DriveState::In),
                drive(2, DriveState::Out),
                drive(3, DriveState::Missing),
                drive(4, DriveState::In),
            ],
            parity: 2,
            tolerated_losses: 0,
        }
    }

    fn config() -> AdminConfig {
        AdminConfig {
            region: None,
            domains: Vec::new(),
            origins: Origins::default(),
            started: Instant::now(),
            host_id: "host".into(),
        }
    }

    #[test]
    fn the_document_holds_what_a_client_would_stumble_over() {
        let (health, config) = (health(), config());
        let view = View {
            health: &health,
            config: &config,
            host: "here:9000",
            heal: None,
            usage: None,
        };
        let info = server(&view);
        let sets = info["backend"]["totalSets"].as_array().unwrap().len();
        let per_set = info["backend"]["totalDrivesPerSet"].as_array().unwrap();
        assert!(sets <= per_set.len(), "a client would index behind the end");
        let drives = info["servers"][0]["drives"].as_array().unwrap();
        assert!(
            drives
                .iter()
                .all(|drive| drive["pool_index"].as_u64().unwrap() < per_set.len() as u64)
        );
        let states: Vec<_> = drives.iter().map(|drive| drive["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["ok", "faulty", "offline", "ok"]);
        assert_eq!(drives[3]["endpoint"], "http://here:9000/data4");
        assert_eq!(drives[3]["usedspace"], 600);
        assert_eq!(info["objects"]["error"], "it is being counted");
        let usage = super::super::usage::data_usage(&view, false);
        assert_eq!(usage["lastUpdate"], "0001-01-01T00:00:00Z");
        assert_eq!(
            (&usage["objectsCount"], &usage["bucketsSizes"]),
            (&json!(0), &json!({}))
        );
        assert_eq!(info["backend"]["onlineDisks"], 2);
        assert_eq!(info["backend"]["offlineDisks"], 2);
        let storage = storage(&view);
        assert_eq!(storage["Backend"]["OfflineDisks"]["here:9000"], 2);
        assert_eq!(storage["Backend"]["StandardSCData"][0], 2);
    }

    #[test]
    fn a_store_without_drives_makes_a_document_too() {
        let config = config();
        let health = Health {
            drives: Vec::new(),
            state: ServiceState::NotReady("none".into()),
            ..health()
        };
        let view = View {
            health: &health,
            config: &config,
            host: "",
            heal: None,
            usage: None,
        };
        assert_eq!(server(&view)["mode"], "initializing");
        assert_eq!(storage(&view)["Backend"]["DrivesPerSet"][0], 0);
    }
}
