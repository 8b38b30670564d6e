//! Metrics of healing, of the last census and of the passes over the drives: what the engine tells, as gauges. It
//! measures nothing itself.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use storage_engine::embedded::heal::{HealState, HealStatus};

use super::metrics::{DriveLabels, signed};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SegmentLabels {
    segments: &'static str,
}

/// What is told of healing.
#[derive(Debug, Default)]
pub(super) struct HealGauges {
    state: Family<StateLabels, Gauge>,
    total_bytes: Gauge,
    done_bytes: Gauge,
    bytes_per_second: Gauge,
    /// Not a number while nothing is known.
    eta_seconds: Gauge<f64, AtomicU64>,
    shards_made: Gauge,
    census: Family<SegmentLabels, Gauge>,
    census_bad_shards: Gauge,
    census_orphans: Gauge,
    census_narrow_segments: Gauge,
    census_narrow_bytes: Gauge,
    census_age_seconds: Gauge<f64, AtomicU64>,
    left_bytes: Family<DriveLabels, Gauge>,
    left_shards: Family<DriveLabels, Gauge>,
    in_doubt: Family<DriveLabels, Gauge>,
    scrub_passed: Family<DriveLabels, Gauge>,
    scrub_verified: Family<DriveLabels, Gauge>,
    scrub_segments: Family<DriveLabels, Gauge>,
}

const STATES: [(HealState, &str); 4] = [
    (HealState::Unknown, "unknown"),
    (HealState::Whole, "whole"),
    (HealState::Healing, "healing"),
    (HealState::Waiting, "waiting"),
];

impl HealGauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("drystone_heal_state", "1 for the state of healing", self.state.clone());
        for (name, help, gauge) in [
            (
                "drystone_heal_total_bytes",
                "Bytes of the present work",
                &self.total_bytes,
            ),
            (
                "drystone_heal_done_bytes",
                "Bytes of it that are done",
                &self.done_bytes,
            ),
            (
                "drystone_heal_bytes_per_second",
                "Rate of healing",
                &self.bytes_per_second,
            ),
            (
                "drystone_heal_shards_made",
                "Shard files made anew since the start",
                &self.shards_made,
            ),
            (
                "drystone_census_bad_shards",
                "Shard files known to be bad at the last census",
                &self.census_bad_shards,
            ),
            (
                "drystone_census_orphans",
                "Shard files that nothing names at the last census",
                &self.census_orphans,
            ),
            (
                "drystone_census_narrow_segments",
                "Segments written while drives were away, with fewer shards than the store has drives for, at the last census",
                &self.census_narrow_segments,
            ),
            (
                "drystone_census_narrow_bytes",
                "Live bytes in them",
                &self.census_narrow_bytes,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "drystone_heal_eta_seconds",
            "Seconds until the present work is done; NaN while that is not known",
            self.eta_seconds.clone(),
        );
        registry.register(
            "drystone_census_age_seconds",
            "Seconds since the last census; NaN before the first",
            self.census_age_seconds.clone(),
        );
        registry.register(
            "drystone_census_segments",
            "Segments at the last census: all, whole, thin (shards missing), unreadable",
            self.census.clone(),
        );
        self.register_drives(registry);
    }

    fn register_drives(&self, registry: &mut Registry) {
        for (name, help, family) in [
            (
                "drystone_drive_heal_left_bytes",
                "Bytes to be made anew",
                &self.left_bytes,
            ),
            (
                "drystone_drive_heal_left_shards",
                "Shard files to be made anew",
                &self.left_shards,
            ),
            (
                "drystone_drive_in_doubt",
                "1 while all files of the drive are being verified because it was out or behind",
                &self.in_doubt,
            ),
            (
                "drystone_drive_scrub_passed_timestamp_seconds",
                "When all files of the drive were last verified; absent: never",
                &self.scrub_passed,
            ),
            (
                "drystone_drive_scrub_verified_segments",
                "Segments verified in the present pass",
                &self.scrub_verified,
            ),
            (
                "drystone_drive_scrub_segments",
                "Segments that the drive has a part of",
                &self.scrub_segments,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
    }

    pub(super) fn set(&self, status: &HealStatus) {
        for (state, name) in STATES {
            let labels = StateLabels { state: name };
            self.state.get_or_create(&labels).set(i64::from(status.state == state));
        }
        self.total_bytes.set(signed(status.total_bytes));
        self.done_bytes.set(signed(status.done_bytes));
        self.bytes_per_second.set(signed(status.bytes_per_second));
        self.eta_seconds
            .set(status.eta.map_or(f64::NAN, |eta| eta.as_secs_f64()));
        self.shards_made.set(signed(status.shards_healed));
        let age = status.census.as_ref().map(|(_, age)| age.as_secs_f64());
        self.census_age_seconds.set(age.unwrap_or(f64::NAN));
        if let Some((census, _)) = &status.census {
            for (segments, count) in [
                ("all", census.segments),
                ("whole", census.whole),
                ("thin", census.thin),
                ("unreadable", census.unreadable),
            ] {
                let labels = SegmentLabels { segments };
                self.census.get_or_create(&labels).set(signed(count));
            }
            self.census_bad_shards.set(signed(census.bad_shards));
            self.census_orphans.set(signed(census.orphans));
            self.census_narrow_segments.set(signed(census.narrow));
            self.census_narrow_bytes.set(signed(census.narrow_bytes));
        }
        self.set_drives(status);
    }

    fn set_drives(&self, status: &HealStatus) {
        // A drive that left the store, or is whole again, must not stay in the answer.
        for family in [
            &self.left_bytes,
            &self.left_shards,
            &self.in_doubt,
            &self.scrub_passed,
            &self.scrub_verified,
            &self.scrub_segments,
        ] {
            family.clear();
        }
        let labels = |path: &str| DriveLabels { drive: path.to_owned() };
        for drive in &status.drives {
            let labels = labels(&drive.path);
            self.left_bytes.get_or_create(&labels).set(signed(drive.bytes_left));
            self.left_shards.get_or_create(&labels).set(signed(drive.shards_left));
            self.in_doubt.get_or_create(&labels).set(i64::from(drive.in_doubt));
        }
        for scrub in &status.scrubs {
            let labels = labels(&scrub.path);
            if let Some(passed) = scrub.passed_at {
                self.scrub_passed.get_or_create(&labels).set(signed(passed));
            }
            self.scrub_verified.get_or_create(&labels).set(signed(scrub.verified));
            self.scrub_segments.get_or_create(&labels).set(signed(scrub.segments));
        }
    }
}
