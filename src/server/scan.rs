//! The scanner of what is uploaded, wired.

use std::sync::Arc;

use storage_engine::store::Store;
use storage_engine::store::clock::Clock;

use super::ServerError;
use crate::config::{Config, ScannerAddress};
use crate::intake::Inspector;
use crate::outbound::Outbound;
use crate::projects::Projects;
use crate::s3::HASHED_BYTES_MAX;
use crate::scan::{News, Pace, Patience, Scanner, Scans, Screening};

/// The store through which everything goes from here on, and who scans what it holds back; `None`: nothing is held back.
pub(super) fn screened(
    config: &Config,
    store: Store,
    (projects, clock): (&Projects, Arc<dyn Clock>),
) -> Result<(Store, Option<Scans>), ServerError> {
    let Some(scan) = config.scan.clone() else {
        return Ok((store, None));
    };
    if let ScannerAddress::Webhook { secret: None, .. } = scan.scanner {
        tracing::warn!("requests to the scanner are not signed: set DRYSTONE_SCAN_SECRET, so that it knows who asks");
    }
    let outbound = Outbound::new(config.outbound.clone(), &config.certs_dirs).map_err(ServerError::Outbound)?;
    let scanner = Scanner::new(&scan.scanner, &outbound, Patience::default());
    let scanner = scanner.map_err(ServerError::Scanner)?;
    let news = Arc::new(News::default());
    let screening = Screening::new(Arc::new(projects.clone()), Arc::clone(&news));
    let store = store.screened(Arc::new(screening));
    let inspector = Inspector::new(store.clone(), HASHED_BYTES_MAX);
    let scans = Scans::new(
        (store.clone(), clock),
        inspector,
        (scanner, scan),
        Pace::default(),
        news,
    );
    tracing::info!("what is uploaded to app buckets is scanned before anybody reads it");
    Ok((store, Some(scans)))
}
