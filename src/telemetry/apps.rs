//! Metrics of what is done for apps: images by URL, scans, deliveries to their servers, and the collection of what they leave behind. What others tell, as gauges;
//! it measures nothing itself.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::metrics::signed;
use crate::images::service::ImageFigures;
use crate::scan::Sums;
use crate::webhooks;

/// How what is done for apps stands.
#[derive(Clone, Debug, Default)]
pub struct AppStatus {
    /// What collection took away since the start, by kind.
    pub collected: Vec<(&'static str, u64)>,
    /// What it could not take away.
    pub collect_failed: u64,
    /// When its last pass ended, in seconds since 1970, and whether it went through everything.
    pub collect_last: Option<(u64, bool)>,
    pub images: ImageFigures,
    /// Of the scanner of what is uploaded; `None`: there is none.
    pub scans: Option<Sums>,
    /// Of deliveries to receivers of webhooks.
    pub webhooks: webhooks::Sums,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabels {
    verdict: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct AppGauges {
    webhooks: Family<OutcomeLabels, Gauge>,
    webhooks_waiting: Gauge,
    webhooks_oldest_seconds: Gauge,
    scans: Family<VerdictLabels, Gauge>,
    scan_seconds: Gauge,
    scan_waiting: Gauge,
    collected: Family<KindLabels, Gauge>,
    collect_failed: Gauge,
    collect_last_seconds: Gauge,
    collect_last_whole: Gauge,
    images_cached_bytes: Gauge,
    images_cached: Gauge,
    images_cache_hits: Gauge,
    images_cache_misses: Gauge,
    images_made: Gauge,
    images_refused: Gauge,
    images_busy: Gauge,
    image_workers_started: Gauge,
    image_workers_lost: Gauge,
}

impl AppGauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "drystone_collected",
            "Files and uploads that were collected since the start",
            self.collected.clone(),
        );
        self.register_scans(registry);
        self.register_webhooks(registry);
        for (name, help, gauge) in [
            (
                "drystone_collect_failed",
                "What could not be collected, and is tried again",
                &self.collect_failed,
            ),
            (
                "drystone_collect_last_seconds",
                "When the last pass ended, in seconds since 1970; 0: there was none",
                &self.collect_last_seconds,
            ),
            (
                "drystone_collect_last_whole",
                "1 when the last pass went through all buckets",
                &self.collect_last_whole,
            ),
            (
                "drystone_images_cached_bytes",
                "Bytes of images that are kept in memory",
                &self.images_cached_bytes,
            ),
            (
                "drystone_images_cached",
                "Images that are kept in memory",
                &self.images_cached,
            ),
            (
                "drystone_images_cache_hits",
                "Images that were kept when they were asked for",
                &self.images_cache_hits,
            ),
            (
                "drystone_images_cache_misses",
                "Images that were not kept when they were asked for",
                &self.images_cache_misses,
            ),
            ("drystone_images_made", "Images that were made", &self.images_made),
            (
                "drystone_images_refused",
                "Images that were not made",
                &self.images_refused,
            ),
            (
                "drystone_images_busy",
                "Images that were not made because too many waited",
                &self.images_busy,
            ),
            (
                "drystone_image_workers_started",
                "Workers that were started",
                &self.image_workers_started,
            ),
            (
                "drystone_image_workers_lost",
                "Workers that ended while they made an image",
                &self.image_workers_lost,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    fn register_scans(&self, registry: &mut Registry) {
        registry.register(
            "drystone_scan_total",
            "What the scanner of uploads said since the start; error: nothing",
            self.scans.clone(),
        );
        registry.register(
            "drystone_scan_seconds",
            "Seconds that were spent on scans since the start",
            self.scan_seconds.clone(),
        );
        registry.register(
            "drystone_scan_waiting",
            "Files that nobody reads until they were scanned",
            self.scan_waiting.clone(),
        );
    }

    fn register_webhooks(&self, registry: &mut Registry) {
        registry.register(
            "drystone_webhook_total",
            "Deliveries to receivers since the start that were taken or given up, and attempts that are made again",
            self.webhooks.clone(),
        );
        registry.register(
            "drystone_webhook_waiting",
            "Deliveries that wait for their receivers",
            self.webhooks_waiting.clone(),
        );
        registry.register(
            "drystone_webhook_oldest_seconds",
            "Seconds since that happened which the oldest waiting delivery tells of; 0: none waits",
            self.webhooks_oldest_seconds.clone(),
        );
    }

    pub(super) fn set(&self, status: &AppStatus) {
        for (outcome, count) in &status.webhooks.outcomes {
            self.webhooks
                .get_or_create(&OutcomeLabels { outcome })
                .set(signed(*count));
        }
        self.webhooks_waiting.set(signed(status.webhooks.waiting));
        self.webhooks_oldest_seconds.set(signed(status.webhooks.oldest_seconds));
        for (kind, count) in &status.collected {
            self.collected.get_or_create(&KindLabels { kind }).set(signed(*count));
        }
        if let Some(scans) = &status.scans {
            for (verdict, count) in &scans.verdicts {
                self.scans.get_or_create(&VerdictLabels { verdict }).set(signed(*count));
            }
            self.scan_seconds.set(signed(scans.seconds));
            self.scan_waiting.set(signed(scans.waiting));
        }
        self.collect_failed.set(signed(status.collect_failed));
        let (ended, is_whole) = status.collect_last.unwrap_or_default();
        self.collect_last_seconds.set(signed(ended));
        self.collect_last_whole.set(i64::from(is_whole));
        let images = &status.images;
        for (gauge, value) in [
            (&self.images_cached_bytes, images.cached_bytes),
            (&self.images_cached, images.cached_images),
            (&self.images_cache_hits, images.cache_hits),
            (&self.images_cache_misses, images.cache_misses),
            (&self.images_made, images.made),
            (&self.images_refused, images.refused),
            (&self.images_busy, images.busy),
            (&self.image_workers_started, images.workers_started),
            (&self.image_workers_lost, images.workers_lost),
        ] {
            gauge.set(signed(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::{ByItself, Metrics};
    use super::{AppStatus, ImageFigures, Sums, webhooks};

    #[test]
    fn the_text_tells_what_was_collected_and_how_images_stand() {
        let apps = AppStatus {
            collected: vec![("announced", 3), ("trash", 0)],
            collect_failed: 2,
            collect_last: Some((1_700_000_000, true)),
            images: ImageFigures {
                made: 7,
                cache_hits: 9,
                ..ImageFigures::default()
            },
            scans: Some(Sums {
                verdicts: vec![("clean", 4), ("infected", 1)],
                seconds: 6,
                waiting: 2,
            }),
            webhooks: webhooks::Sums {
                outcomes: vec![("delivered", 5), ("retried", 3), ("dead", 0)],
                waiting: 8,
                oldest_seconds: 61,
            },
        };
        let by_itself = ByItself {
            apps,
            ..ByItself::default()
        };
        let text = Metrics::new().text(None, Some(&by_itself)).unwrap();
        for line in [
            "drystone_collected{kind=\"announced\"} 3",
            "drystone_collected{kind=\"trash\"} 0",
            "drystone_scan_total{verdict=\"clean\"} 4",
            "drystone_scan_total{verdict=\"infected\"} 1",
            "drystone_scan_seconds 6",
            "drystone_scan_waiting 2",
            "drystone_webhook_total{outcome=\"delivered\"} 5",
            "drystone_webhook_total{outcome=\"retried\"} 3",
            "drystone_webhook_total{outcome=\"dead\"} 0",
            "drystone_webhook_waiting 8",
            "drystone_webhook_oldest_seconds 61",
            "drystone_collect_failed 2",
            "drystone_collect_last_seconds 1700000000",
            "drystone_collect_last_whole 1",
            "drystone_images_made 7",
            "drystone_images_cache_hits 9",
            "drystone_image_workers_lost 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
