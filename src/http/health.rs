//! `/minio/health/*`: what load balancers, container engines and `mc ready` ask. Anonymous, without a body.

use http::{HeaderValue, Response, StatusCode};
use storage_engine::backend::{DriveState, Health, ServiceState};

use super::body::{self, Body};

/// The question that a health path asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The process answers.
    Live,
    /// Requests are served, if only reads.
    Ready,
    /// Writes of every size are taken; with `maintenance`, also without this machine.
    Cluster { maintenance: bool },
    /// Reads are served.
    ClusterRead { maintenance: bool },
}

impl Probe {
    /// The probe at what follows `/minio/health/`.
    pub fn at(name: &str, query: Option<&str>) -> Option<Self> {
        let maintenance = query.is_some_and(|query| query.split('&').any(|pair| pair == "maintenance=true"));
        match name {
            "live" => Some(Self::Live),
            "ready" => Some(Self::Ready),
            "cluster" => Some(Self::Cluster { maintenance }),
            "cluster/read" => Some(Self::ClusterRead { maintenance }),
            _ => None,
        }
    }

    /// The answer; `health` is `None` while the engine starts.
    pub fn answer(self, health: Option<&Health>) -> Response<Body> {
        let state = health.map_or(Serving::Nothing, Serving::of);
        let status = match (self, state) {
            (Self::Live, _) | (Self::Ready, Serving::Reads | Serving::Small | Serving::All) => StatusCode::OK,
            (Self::Ready | Self::Cluster { .. } | Self::ClusterRead { .. }, Serving::Nothing)
            | (Self::Cluster { .. }, Serving::Reads | Serving::Small) => StatusCode::SERVICE_UNAVAILABLE,
            // One machine: without it nothing is left.
            (Self::Cluster { maintenance: true }, Serving::All)
            | (Self::ClusterRead { maintenance: true }, Serving::Reads | Serving::Small | Serving::All) => {
                StatusCode::PRECONDITION_FAILED
            }
            (Self::Cluster { maintenance: false }, Serving::All)
            | (Self::ClusterRead { maintenance: false }, Serving::Reads | Serving::Small | Serving::All) => {
                StatusCode::OK
            }
        };
        let mut response = Response::new(body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if state == Serving::Nothing {
            headers.insert("x-minio-server-status", HeaderValue::from_static("offline"));
        }
        if let Some(health) = health {
            match self {
                Self::Cluster { .. } => {
                    headers.insert("x-minio-write-quorum", HeaderValue::from(write_quorum(health)));
                }
                Self::ClusterRead { .. } => {
                    headers.insert("x-minio-read-quorum", HeaderValue::from(read_quorum(health)));
                }
                Self::Live | Self::Ready => {}
            }
        }
        response
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Serving {
    Nothing,
    Reads,
    /// Reads and small writes: a drive that the store cannot do without takes no new files.
    Small,
    All,
}

impl Serving {
    fn of(health: &Health) -> Self {
        match (&health.state, &health.large_bodies_fail) {
            (ServiceState::ReadWrite, None) => Self::All,
            (ServiceState::ReadWrite, Some(_)) => Self::Small,
            (ServiceState::ReadOnly(_), _) => Self::Reads,
            (ServiceState::NotReady(_), _) => Self::Nothing,
        }
    }
}

/// Drives that must be in for the store to take writes: no more than `parity` out, one more than `parity` in, and a
/// majority for the root.
pub fn write_quorum(health: &Health) -> usize {
    let drives = health.drives.len();
    let parity = health.parity;
    drives.saturating_sub(parity).max(parity + 1).max(drives / 2 + 1)
}

/// Drives that must be there for every acknowledged byte to be readable.
pub fn read_quorum(health: &Health) -> usize {
    health.drives.len().saturating_sub(health.parity).max(1)
}

/// Whether a drive serves what it holds.
pub fn is_in_service(state: DriveState) -> bool {
    match state {
        DriveState::In | DriveState::Draining => true,
        DriveState::Out | DriveState::Missing => false,
    }
}

/// How many drives are in service.
pub fn drives_in(health: &Health) -> usize {
    let serving = health.drives.iter().filter(|drive| is_in_service(drive.state));
    serving.count()
}

#[cfg(test)]
mod tests {
    use storage_engine::backend::DriveHealth;

    use super::*;

    fn health(state: ServiceState, drives: usize, parity: usize) -> Health {
        let drive = |number: usize| DriveHealth {
            id: format!("id{number}"),
            path: format!("/d{number}"),
            state: DriveState::In,
            reason: String::new(),
            capacity_bytes: 1,
            free_bytes: 1,
        };
        Health {
            store: "id".into(),
            state,
            large_bodies_fail: None,
            drives: (0..drives).map(drive).collect(),
            parity,
            tolerated_losses: parity,
        }
    }

    #[test]
    fn every_probe_answers_by_the_state_of_the_store() {
        let states = [
            None,
            Some(health(ServiceState::NotReady("x".into()), 4, 2)),
            Some(health(ServiceState::ReadOnly("x".into()), 4, 2)),
            Some(Health {
                large_bodies_fail: Some("drive /d1: no".into()),
                ..health(ServiceState::ReadWrite, 4, 2)
            }),
            Some(health(ServiceState::ReadWrite, 4, 2)),
        ];
        let table = [
            ("live", None, [200, 200, 200, 200, 200]),
            ("ready", None, [503, 503, 200, 200, 200]),
            ("cluster", None, [503, 503, 503, 503, 200]),
            ("cluster", Some("maintenance=true"), [503, 503, 503, 503, 412]),
            ("cluster/read", None, [503, 503, 200, 200, 200]),
            ("cluster/read", Some("a=b&maintenance=true"), [503, 503, 412, 412, 412]),
        ];
        for (name, query, expected) in table {
            let probe = Probe::at(name, query).unwrap();
            let statuses = states
                .each_ref()
                .map(|state| probe.answer(state.as_ref()).status().as_u16());
            assert_eq!(statuses, expected, "{name} {query:?}");
            let offline = states.each_ref().map(|state| {
                probe
                    .answer(state.as_ref())
                    .headers()
                    .contains_key("x-minio-server-status")
            });
            assert_eq!(offline, [true, true, false, false, false], "{name}");
        }
        assert!(Probe::at("else", None).is_none());
    }

    #[test]
    fn quorums_are_those_of_minio() {
        for (drives, parity, write, read) in [(1, 0, 1, 1), (2, 1, 2, 1), (4, 2, 3, 2), (8, 4, 5, 4), (16, 4, 12, 12)] {
            let health = health(ServiceState::ReadWrite, drives, parity);
            assert_eq!(
                (write_quorum(&health), read_quorum(&health)),
                (write, read),
                "{drives} drives EC:{parity}"
            );
            let answer = Probe::Cluster { maintenance: false }.answer(Some(&health));
            assert_eq!(answer.headers()["x-minio-write-quorum"], write.to_string());
        }
    }
}
