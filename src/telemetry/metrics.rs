//! Metrics in Prometheus' text format: counted at the edge, read from the engine when somebody asks.
//!
//! Names start with `drystone_`; those that mean exactly what MinIO's dashboards expect carry `minio_` names as well.

use std::sync::atomic::Ordering;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use storage_engine::backend::{Health, ServiceState};
use storage_engine::embedded::heal::{HealStatus, MovingStatus};

use super::apps::{AppGauges, AppStatus};
use super::heal::HealGauges;
use super::moving::MovingGauges;
use crate::http::health::{drives_in, is_in_service, read_quorum, write_quorum};

/// Upper bounds of the latency histogram, in seconds.
const LATENCY_BOUNDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct DriveLabels {
    pub(super) drive: String,
}

/// How far what the store does by itself is.
#[derive(Clone, Debug, Default)]
pub struct ByItself {
    pub healing: HealStatus,
    pub moving: MovingStatus,
    pub apps: AppStatus,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds_to_answer: Histogram,
    in_flight: Gauge,
    received_bytes: Counter,
    sent_bytes: Counter,
    connections: Gauge,
    connections_refused: Counter,
    panics: Counter,
    store: StoreGauges,
    heal: HealGauges,
    moving: MovingGauges,
    apps: AppGauges,
    process: ProcessGauges,
    started: Instant,
}

#[derive(Debug, Default)]
struct StoreGauges {
    writable: Gauge,
    readable: Gauge,
    drives_in: Gauge,
    drives_out: Gauge,
    write_quorum: Gauge,
    read_quorum: Gauge,
    capacity_bytes: Gauge,
    free_bytes: Gauge,
    drive_up: Family<DriveLabels, Gauge>,
    drive_capacity_bytes: Family<DriveLabels, Gauge>,
    drive_free_bytes: Family<DriveLabels, Gauge>,
}

#[derive(Debug, Default)]
struct ProcessGauges {
    resident_bytes: Gauge,
    open_files: Gauge,
    uptime_seconds: Gauge,
}

impl StoreGauges {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "minio_cluster_health_status",
            "1 when the store takes writes",
            self.writable.clone(),
        );
        registry.register(
            "drystone_store_readable",
            "1 when the store serves reads",
            self.readable.clone(),
        );
        registry.register(
            "minio_cluster_drive_online_total",
            "Drives in service",
            self.drives_in.clone(),
        );
        registry.register(
            "minio_cluster_drive_offline_total",
            "Drives out or missing",
            self.drives_out.clone(),
        );
        registry.register(
            "minio_cluster_write_quorum",
            "Drives needed to write",
            self.write_quorum.clone(),
        );
        registry.register(
            "drystone_read_quorum",
            "Drives needed to read everything",
            self.read_quorum.clone(),
        );
        registry.register(
            "minio_cluster_capacity_raw_total_bytes",
            "Bytes on all drives in service",
            self.capacity_bytes.clone(),
        );
        registry.register(
            "minio_cluster_capacity_raw_free_bytes",
            "Free bytes on all drives in service",
            self.free_bytes.clone(),
        );
        registry.register(
            "drystone_drive_up",
            "1 when the drive is in service",
            self.drive_up.clone(),
        );
        registry.register(
            "minio_node_drive_total_bytes",
            "Bytes on the drive",
            self.drive_capacity_bytes.clone(),
        );
        registry.register(
            "minio_node_drive_free_bytes",
            "Free bytes on the drive",
            self.drive_free_bytes.clone(),
        );
    }

    fn set(&self, health: Option<&Health>) {
        let (writable, readable) = match health.map(|health| &health.state) {
            Some(ServiceState::ReadWrite) => (1, 1),
            Some(ServiceState::ReadOnly(_)) => (0, 1),
            Some(ServiceState::NotReady(_)) | None => (0, 0),
        };
        self.writable.set(writable);
        self.readable.set(readable);
        let Some(health) = health else { return };
        let online = drives_in(health);
        self.drives_in.set(signed(online as u64));
        self.drives_out.set(signed((health.drives.len() - online) as u64));
        self.write_quorum.set(signed(write_quorum(health) as u64));
        self.read_quorum.set(signed(read_quorum(health) as u64));
        let in_service = || health.drives.iter().filter(|drive| is_in_service(drive.state));
        self.capacity_bytes
            .set(signed(in_service().map(|drive| drive.capacity_bytes).sum()));
        self.free_bytes
            .set(signed(in_service().map(|drive| drive.free_bytes).sum()));
        // A drive that left the store must not stay in the answer.
        self.drive_up.clear();
        self.drive_capacity_bytes.clear();
        self.drive_free_bytes.clear();
        for drive in &health.drives {
            let labels = DriveLabels {
                drive: drive.path.clone(),
            };
            self.drive_up
                .get_or_create(&labels)
                .set(i64::from(is_in_service(drive.state)));
            self.drive_capacity_bytes
                .get_or_create(&labels)
                .set(signed(drive.capacity_bytes));
            self.drive_free_bytes
                .get_or_create(&labels)
                .set(signed(drive.free_bytes));
        }
    }
}

impl ProcessGauges {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "minio_node_process_resident_memory_bytes",
            "Resident memory of the process",
            self.resident_bytes.clone(),
        );
        registry.register(
            "minio_node_file_descriptor_open_total",
            "Open files",
            self.open_files.clone(),
        );
        registry.register(
            "minio_node_process_uptime_seconds",
            "Seconds since start",
            self.uptime_seconds.clone(),
        );
    }

    fn set(&self, started: Instant) {
        self.uptime_seconds.set(signed(started.elapsed().as_secs()));
        if let Some(bytes) = resident_bytes() {
            self.resident_bytes.set(signed(bytes));
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            self.open_files.set(signed(files.count() as u64));
        }
    }
}

/// Resident memory of this process in bytes, where the system tells it.
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(rustix::param::page_size() as u64))
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Metrics {
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            seconds_to_answer: Histogram::new(LATENCY_BOUNDS),
            in_flight: Gauge::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            panics: Counter::default(),
            store: StoreGauges::default(),
            heal: HealGauges::default(),
            moving: MovingGauges::default(),
            apps: AppGauges::default(),
            process: ProcessGauges::default(),
            started: Instant::now(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("drystone_http_requests", "Requests answered", self.requests.clone());
        registry.register(
            "drystone_http_seconds_to_answer",
            "Seconds from a request's head to the answer's head",
            self.seconds_to_answer.clone(),
        );
        registry.register(
            "minio_s3_requests_inflight_total",
            "Requests being worked on",
            self.in_flight.clone(),
        );
        registry.register(
            "drystone_http_received_bytes",
            "Bytes of request bodies",
            self.received_bytes.clone(),
        );
        registry.register(
            "drystone_http_sent_bytes",
            "Bytes of answers' bodies",
            self.sent_bytes.clone(),
        );
        registry.register(
            "drystone_http_connections",
            "Open connections",
            self.connections.clone(),
        );
        registry.register(
            "drystone_http_connections_refused",
            "Connections refused at the cap",
            self.connections_refused.clone(),
        );
        registry.register("drystone_panics", "Requests that ended in a bug", self.panics.clone());
        self.store.register(registry);
        self.heal.register(registry);
        self.moving.register(registry);
        self.apps.register(registry);
        self.process.register(registry);
        self
    }

    /// All metrics as text. `health` is `None` while the engine starts, `by_itself` also for a store that does nothing by
    /// itself.
    pub fn text(&self, health: Option<&Health>, by_itself: Option<&ByItself>) -> Result<String, std::fmt::Error> {
        self.store.set(health);
        if let Some(ByItself { healing, moving, apps }) = by_itself {
            self.heal.set(healing);
            self.moving.set(moving);
            self.apps.set(apps);
        }
        self.process.set(self.started);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Starts to measure a request.
    pub fn begin(&self, method: &http::Method) -> RequestMeter {
        self.in_flight.inc();
        RequestMeter {
            requests: self.requests.clone(),
            seconds_to_answer: self.seconds_to_answer.clone(),
            in_flight: self.in_flight.clone(),
            sent_bytes: self.sent_bytes.clone(),
            method: known_method(method),
            begun: Instant::now(),
        }
    }

    pub fn received_counter(&self) -> Counter {
        self.received_bytes.clone()
    }

    pub fn connection(&self) -> ConnectionMeter {
        self.connections.inc();
        ConnectionMeter(self.connections.clone())
    }

    pub fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    pub fn panicked(&self) {
        self.panics.inc();
    }

    pub fn panics(&self) -> u64 {
        self.panics.inner().load(Ordering::Relaxed)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A label must come from a closed set, or a client could fill the memory with invented methods.
fn known_method(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Measures one request until it is dropped.
#[derive(Debug)]
pub struct RequestMeter {
    requests: Family<RequestLabels, Counter>,
    seconds_to_answer: Histogram,
    in_flight: Gauge,
    sent_bytes: Counter,
    method: &'static str,
    begun: Instant,
}

impl RequestMeter {
    pub fn answered(&self, status: http::StatusCode) {
        self.requests
            .get_or_create(&RequestLabels {
                method: self.method,
                status: status.as_u16(),
            })
            .inc();
        self.seconds_to_answer.observe(self.begun.elapsed().as_secs_f64());
    }

    pub fn sent(&self, bytes: u64) {
        self.sent_bytes.inc_by(bytes);
    }
}

impl Drop for RequestMeter {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

/// Counts one connection as open until it is dropped.
#[derive(Debug)]
pub struct ConnectionMeter(Gauge);

impl Drop for ConnectionMeter {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use storage_engine::embedded::heal::{Census, CensusDepth};

    use super::*;

    fn census() -> Census {
        Census {
            depth: CensusDepth::Files,
            segments: 9,
            whole: 7,
            thin: 2,
            unreadable: 0,
            bad_shards: 1,
            orphans: 3,
            narrow: 4,
            narrow_bytes: 4096,
            could_be_wider: 1,
            verified_bytes: 0,
            took: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn the_text_tells_how_healing_stands_and_forgets_drives_that_are_whole() {
        use std::time::Duration;

        use storage_engine::embedded::heal::{DriveHealing, DriveScrub, HealState};

        let metrics = Metrics::new();
        let healing = HealStatus {
            state: HealState::Healing,
            total_bytes: 100,
            done_bytes: 40,
            bytes_per_second: 20,
            eta: Some(Duration::from_secs(3)),
            shards_healed: 5,
            drives: vec![DriveHealing {
                id: "a".into(),
                path: "/data1".into(),
                shards_left: 2,
                bytes_left: 60,
                in_doubt: true,
            }],
            census: Some((census(), Duration::from_secs(8))),
            scrubs: vec![DriveScrub {
                id: "a".into(),
                path: "/data1".into(),
                passed_at: Some(1_700_000_000),
                verified: 4,
                segments: 9,
            }],
            ..HealStatus::default()
        };
        let by_itself = ByItself {
            healing,
            ..ByItself::default()
        };
        let text = metrics.text(None, Some(&by_itself)).unwrap();
        for line in [
            "drystone_heal_state{state=\"healing\"} 1",
            "drystone_heal_state{state=\"whole\"} 0",
            "drystone_heal_total_bytes 100",
            "drystone_heal_done_bytes 40",
            "drystone_heal_bytes_per_second 20",
            "drystone_heal_eta_seconds 3.0",
            "drystone_heal_shards_made 5",
            "drystone_census_segments{segments=\"thin\"} 2",
            "drystone_census_bad_shards 1",
            "drystone_census_orphans 3",
            "drystone_census_narrow_segments 4",
            "drystone_census_narrow_bytes 4096",
            "drystone_census_age_seconds 8.0",
            "drystone_drive_heal_left_bytes{drive=\"/data1\"} 60",
            "drystone_drive_heal_left_shards{drive=\"/data1\"} 2",
            "drystone_drive_in_doubt{drive=\"/data1\"} 1",
            "drystone_drive_scrub_passed_timestamp_seconds{drive=\"/data1\"} 1700000000",
            "drystone_drive_scrub_verified_segments{drive=\"/data1\"} 4",
            "drystone_drive_scrub_segments{drive=\"/data1\"} 9",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in:\n{text}");
        }
        let text = metrics.text(None, Some(&ByItself::default())).unwrap();
        assert!(
            !text.contains("/data1") && text.contains("drystone_heal_eta_seconds NaN"),
            "{text}"
        );
    }

    #[test]
    fn the_text_tells_what_moves_and_forgets_drives_that_left() {
        use std::time::Duration;

        use storage_engine::embedded::heal::{Drain, Rebalance, Widening};

        let metrics = Metrics::new();
        let moving = MovingStatus {
            drains: vec![Drain {
                path: "/data2".into(),
                segments_left: 6,
                bytes_left: 600,
                bytes_per_second: 50,
                eta: Some(Duration::from_secs(12)),
                ..Drain::default()
            }],
            rebalance: Rebalance {
                percent: Some(7),
                done: false,
            },
            widening: Widening {
                segments_left: 4,
                bytes_left: 4000,
                segments_done: 8,
                bytes_done: 8000,
            },
            shards_moved: 11,
            bytes_moved: 1100,
            reasons: vec!["it waits".into()],
        };
        let by_itself = ByItself {
            moving,
            ..ByItself::default()
        };
        let text = metrics.text(None, Some(&by_itself)).unwrap();
        for line in [
            "drystone_drain_left_segments{drive=\"/data2\"} 6",
            "drystone_drain_left_bytes{drive=\"/data2\"} 600",
            "drystone_drain_bytes_per_second{drive=\"/data2\"} 50",
            "drystone_drain_done{drive=\"/data2\"} 0",
            "drystone_drain_eta_seconds{drive=\"/data2\"} 12.0",
            "drystone_rebalance_percent 7",
            "drystone_moved_shards 11",
            "drystone_moved_bytes 1100",
            "drystone_widen_left_segments 4",
            "drystone_widen_left_bytes 4000",
            "drystone_widen_done_segments 8",
            "drystone_widen_done_bytes 8000",
            "drystone_moving_reasons 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in:\n{text}");
        }
        let text = metrics.text(None, Some(&ByItself::default())).unwrap();
        assert!(!text.contains("/data2"), "{text}");
    }

    #[test]
    fn the_text_holds_what_was_counted() {
        let metrics = Metrics::new();
        let meter = metrics.begin(&http::Method::GET);
        meter.answered(http::StatusCode::NOT_FOUND);
        meter.sent(17);
        let text = metrics.text(None, None).unwrap();
        for line in [
            "drystone_http_requests_total{method=\"GET\",status=\"404\"} 1",
            "drystone_http_sent_bytes_total 17",
            "minio_s3_requests_inflight_total 1",
            "minio_cluster_health_status 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in:\n{text}");
        }
        drop(meter);
        assert!(
            metrics
                .text(None, None)
                .unwrap()
                .contains("minio_s3_requests_inflight_total 0")
        );
    }
}
