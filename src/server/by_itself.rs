//! How far what the server does by itself is, for metrics.

use std::sync::Arc;

use storage_engine::embedded::heal::{HealStatus, MovingStatus};

use crate::admin::drives::Fleet;
use crate::admin::heal::Healing;
use crate::collect::Figures;
use crate::images::service::Images;
use crate::scan;
use crate::telemetry::apps::AppStatus;
use crate::telemetry::metrics::ByItself;
use crate::webhooks::Webhooks;

/// What the engine tells.
pub(super) type EngineStatus = Box<dyn Fn() -> (HealStatus, MovingStatus) + Send + Sync>;

/// Who tells how far the engine is; of one that does nothing by itself, that nothing is to be done.
pub(super) fn engine(healing: Option<Arc<dyn Healing>>, fleet: Option<Arc<dyn Fleet>>) -> EngineStatus {
    match healing.zip(fleet) {
        Some((healing, fleet)) => Box::new(move || (healing.status(), fleet.status())),
        None => Box::new(Default::default),
    }
}

/// Who tells how far everything is.
pub(super) fn all(
    engine: EngineStatus,
    (collected, scanned, webhooks): (Arc<Figures>, Option<Arc<scan::Figures>>, Webhooks),
    images: Images,
) -> Arc<dyn Fn() -> ByItself + Send + Sync> {
    Arc::new(move || {
        let (healing, moving) = engine();
        ByItself {
            healing,
            moving,
            apps: apps(&collected, scanned.as_deref(), (&images, &webhooks)),
        }
    })
}

fn apps(collected: &Figures, scanned: Option<&scan::Figures>, (images, webhooks): (&Images, &Webhooks)) -> AppStatus {
    let (sum, last) = collected.now();
    AppStatus {
        collected: sum.kinds().to_vec(),
        collect_failed: sum.failed,
        collect_last: last.map(|last| (last.ended.seconds(), last.is_whole)),
        images: images.figures(),
        scans: scanned.map(scan::Figures::now),
        webhooks: webhooks.figures(),
    }
}
