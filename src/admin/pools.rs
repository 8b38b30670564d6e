//! MinIO's verbs about pools and sites for a store that is one pool at one site: the pool, its rebalance between drives, and
//! that there is nothing to take a pool out of.

use http::StatusCode;
use serde_json::{Value, json};
use storage_engine::embedded::heal::MovingStatus;

use super::error::AdminError;
use super::info::View;
use super::query::Query;
use super::usage::NEVER;

fn command_line(view: &View<'_>) -> String {
    let paths: Vec<&str> = view.health.drives.iter().map(|drive| drive.path.as_str()).collect();
    paths.join(" ")
}

fn pool(view: &View<'_>) -> Value {
    let (total, free) = view.space();
    json!({
        "id": 0,
        "cmdline": command_line(view),
        "lastUpdate": NEVER,
        // Clients look into it whether or not it says anything.
        "decommissionInfo": {
            "startTime": NEVER,
            "startSize": 0,
            "totalSize": total,
            "currentSize": free,
            "complete": false,
            "failed": false,
            "canceled": false,
            "objectsDecommissioned": 0,
            "objectsDecommissionedFailed": 0,
            "bytesDecommissioned": 0,
            "bytesDecommissionedFailed": 0,
        },
    })
}

/// `GET pools/list`.
pub(super) fn list(view: &View<'_>) -> Value {
    json!([pool(view)])
}

/// `GET pools/status`.
pub(super) fn status(view: &View<'_>, query: &Query) -> Result<Value, AdminError> {
    let named = query.must("pool")?;
    if named == command_line(view) || named == "0" {
        return Ok(pool(view));
    }
    Err(AdminError::Argument(format!("There is no pool {named}.")))
}

/// `POST pools/decommission` and `pools/cancel`.
pub(super) fn not_allowed() -> AdminError {
    AdminError::Minio {
        code: "XMinioDecommissionNotAllowed",
        status: StatusCode::BAD_REQUEST,
        message: "The store is one pool, which cannot be taken out of it. Drives can: drystone admin drive drain."
            .into(),
    }
}

/// `POST rebalance/start`, once it is begun. There can be one, which has the store's name.
pub(super) fn rebalance_started(store: &str) -> Value {
    json!({ "id": store })
}

/// `GET rebalance/status`: the rebalance between the drives of the one pool.
pub(super) fn rebalance_status(view: &View<'_>, moving: &MovingStatus) -> Result<Value, AdminError> {
    let word = match (moving.rebalance.percent, moving.rebalance.done) {
        (Some(_), _) => "Started",
        (None, true) => "Completed",
        (None, false) => {
            return Err(AdminError::Minio {
                code: "XMinioAdminRebalanceNotStarted",
                status: StatusCode::NOT_FOUND,
                message: "No rebalance was started.".into(),
            });
        }
    };
    let (total, free) = view.space();
    let used = if total == 0 {
        0.0
    } else {
        total.saturating_sub(free) as f64 / total as f64
    };
    Ok(json!({
        "ID": view.health.store,
        "pools": [{
            "id": 0,
            "status": word,
            "used": used,
            "progress": { "objects": 0, "versions": 0, "bytes": moving.bytes_moved, "elapsed": 0, "eta": 0 },
        }],
    }))
}

/// `GET site-replication/info`.
pub(super) fn site_replication() -> Value {
    json!({ "enabled": false })
}
