//! What the server tells its operator: logs and metrics. It never sees a secret.

mod heal;
pub mod log;
pub mod metrics;
mod moving;
pub mod scrape;
