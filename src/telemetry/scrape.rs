//! What a scrape may ask for beside the metrics of the store: what the buckets hold, and the machine. Made for each scrape,
//! so that a bucket that is gone leaves nothing behind.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::metrics::{Metrics, signed};
use crate::usage::{BucketUsage, Figures};

/// What metrics are about, by the last part of MinIO's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Store,
    Buckets,
    Machine,
}

impl Subject {
    /// The subject that MinIO calls so; one node is the whole cluster.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "cluster" | "node" => Some(Self::Store),
            "bucket" => Some(Self::Buckets),
            "resource" => Some(Self::Machine),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BucketLabels {
    bucket: String,
}

impl Metrics {
    /// What the buckets hold; `None` while it is counted for the first time: nothing is said of any then.
    pub fn buckets_text(&self, figures: Option<&Figures>) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::default();
        if let Some(figures) = figures {
            let of_each = |number: fn(&BucketUsage) -> u64| {
                let family = Family::<BucketLabels, Gauge>::default();
                for (bucket, usage) in &figures.buckets {
                    let labels = BucketLabels { bucket: bucket.clone() };
                    family.get_or_create(&labels).set(signed(number(usage)));
                }
                family
            };
            registry.register(
                "minio_bucket_usage_total_bytes",
                "Bytes of all objects of the bucket",
                of_each(|usage| usage.bytes),
            );
            registry.register(
                "minio_bucket_usage_object_total",
                "Objects in the bucket",
                of_each(|usage| usage.objects),
            );
            let counted = Gauge::<i64, std::sync::atomic::AtomicI64>::default();
            counted.set(figures.counted_at.unix_timestamp());
            registry.register(
                "drystone_usage_counted_at_seconds",
                "When this was counted, in seconds since 1970",
                counted,
            );
        }
        text_of(&registry)
    }

    /// Memory and load of the machine, where the system tells them.
    pub fn machine_text(&self) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::default();
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        for (row, name, help) in [
            ("MemTotal:", "minio_node_mem_total", "Bytes of memory"),
            ("MemFree:", "minio_node_mem_free", "Bytes of memory in no use"),
            (
                "MemAvailable:",
                "minio_node_mem_available",
                "Bytes of memory that can be had",
            ),
        ] {
            if let Some(bytes) = memory_row(&memory, row) {
                let gauge = Gauge::<i64, std::sync::atomic::AtomicI64>::default();
                gauge.set(signed(bytes));
                registry.register(name, help, gauge);
            }
        }
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let names = [
            "minio_node_cpu_avg_load1",
            "minio_node_cpu_avg_load5",
            "minio_node_cpu_avg_load15",
        ];
        for (name, load) in names.into_iter().zip(load.split_ascii_whitespace()) {
            if let Ok(load) = load.parse::<f64>() {
                let gauge = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
                gauge.set(load);
                registry.register(name, "Load of the machine, averaged over so many minutes", gauge);
            }
        }
        text_of(&registry)
    }
}

fn memory_row(memory: &str, row: &str) -> Option<u64> {
    let kib = memory.lines().find_map(|line| line.strip_prefix(row))?;
    let kib: u64 = kib.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

fn text_of(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_told_and_rows_are_read_in_bytes() {
        assert_eq!(
            memory_row("MemTotal:       16 kB\nMemFree: 3 kB\n", "MemFree:"),
            Some(3_072)
        );
        assert_eq!(memory_row("", "MemFree:"), None);
        let text = Metrics::new().machine_text().unwrap();
        assert!(
            text.contains("minio_node_mem_total ") && text.contains("minio_node_cpu_avg_load1 "),
            "{text}"
        );
    }
}
