//! What the server tells its operator: logs, metrics and traces. It never tells a secret.

pub mod apps;
pub mod feed;
mod heal;
pub mod journal;
pub mod log;
pub mod metrics;
mod moving;
pub mod scrape;
pub mod trace;
