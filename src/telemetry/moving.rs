//! Metrics of what moves between drives: drains, the rebalance, and the widening of what was written while drives were
//! away. What the engine tells, as gauges; it measures nothing itself.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use storage_engine::embedded::heal::MovingStatus;

use super::metrics::{DriveLabels, signed};

/// What is told of shards that move and segments that are widened.
#[derive(Debug, Default)]
pub(super) struct MovingGauges {
    drain_left_segments: Family<DriveLabels, Gauge>,
    drain_left_bytes: Family<DriveLabels, Gauge>,
    drain_bytes_per_second: Family<DriveLabels, Gauge>,
    drain_done: Family<DriveLabels, Gauge>,
    /// Not a number while it is not known.
    drain_eta_seconds: Family<DriveLabels, Gauge<f64, AtomicU64>>,
    rebalance_percent: Gauge,
    moved_shards: Gauge,
    moved_bytes: Gauge,
    widen_left_segments: Gauge,
    widen_left_bytes: Gauge,
    widen_done_segments: Gauge,
    widen_done_bytes: Gauge,
    reasons: Gauge,
}

impl MovingGauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, family) in [
            (
                "drystone_drain_left_segments",
                "Segments that the drained drive still has a part of",
                &self.drain_left_segments,
            ),
            (
                "drystone_drain_left_bytes",
                "About so many bytes are still on the drained drive",
                &self.drain_left_bytes,
            ),
            (
                "drystone_drain_bytes_per_second",
                "Rate of the drain since it began",
                &self.drain_bytes_per_second,
            ),
            (
                "drystone_drain_done",
                "1 when the drained drive holds nothing and may be removed",
                &self.drain_done,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
        registry.register(
            "drystone_drain_eta_seconds",
            "Seconds until the drive is drained; NaN while that is not known",
            self.drain_eta_seconds.clone(),
        );
        for (name, help, gauge) in [
            (
                "drystone_rebalance_percent",
                "Drives are balanced until they differ by so many percent; 0: none is ordered",
                &self.rebalance_percent,
            ),
            (
                "drystone_moved_shards",
                "Shards moved between drives since the start",
                &self.moved_shards,
            ),
            ("drystone_moved_bytes", "About so many bytes of them", &self.moved_bytes),
            (
                "drystone_widen_left_segments",
                "Segments written while drives were away that could be wider now",
                &self.widen_left_segments,
            ),
            (
                "drystone_widen_left_bytes",
                "Live bytes in them",
                &self.widen_left_bytes,
            ),
            (
                "drystone_widen_done_segments",
                "Segments widened since the start",
                &self.widen_done_segments,
            ),
            (
                "drystone_widen_done_bytes",
                "Live bytes that were in them",
                &self.widen_done_bytes,
            ),
            (
                "drystone_moving_reasons",
                "Reasons why something that moves waits; the admin API has their words",
                &self.reasons,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    pub(super) fn set(&self, status: &MovingStatus) {
        // A drive that was removed or kept must not stay in the answer.
        for family in [
            &self.drain_left_segments,
            &self.drain_left_bytes,
            &self.drain_bytes_per_second,
            &self.drain_done,
        ] {
            family.clear();
        }
        self.drain_eta_seconds.clear();
        for drain in &status.drains {
            let labels = DriveLabels {
                drive: drain.path.clone(),
            };
            let set =
                |family: &Family<DriveLabels, Gauge>, value: u64| family.get_or_create(&labels).set(signed(value));
            set(&self.drain_left_segments, drain.segments_left);
            set(&self.drain_left_bytes, drain.bytes_left);
            set(&self.drain_bytes_per_second, drain.bytes_per_second);
            set(&self.drain_done, u64::from(drain.holds_nothing));
            let eta = drain.eta.map_or(f64::NAN, |eta| eta.as_secs_f64());
            self.drain_eta_seconds.get_or_create(&labels).set(eta);
        }
        self.rebalance_percent
            .set(i64::from(status.rebalance.percent.unwrap_or(0)));
        self.moved_shards.set(signed(status.shards_moved));
        self.moved_bytes.set(signed(status.bytes_moved));
        self.widen_left_segments.set(signed(status.widening.segments_left));
        self.widen_left_bytes.set(signed(status.widening.bytes_left));
        self.widen_done_segments.set(signed(status.widening.segments_done));
        self.widen_done_bytes.set(signed(status.widening.bytes_done));
        self.reasons.set(signed(status.reasons.len() as u64));
    }
}
