//! What a receiver is told: an event as JSON. Pure.

use serde_json::{Value, json};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::files::{EventId, File, FileId};
use storage_engine::store::projects::OfProject;
use storage_engine::store::record::event::{EventKind, EventRecord};
use storage_engine::store::record::labels::Visibility;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The name of a kind of events, as applications spell it.
pub fn name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Received => "file.received",
        EventKind::Active => "file.active",
        EventKind::Rejected => "file.rejected",
        EventKind::Deleted => "file.deleted",
        EventKind::OverQuota => "quota.exceeded",
        EventKind::Quarantined => "file.quarantined",
        EventKind::Test => "test",
    }
}

/// The kind of events of this name, of those that can be listened to.
pub fn named(text: &str) -> Option<EventKind> {
    EventKind::ALL.into_iter().find(|kind| name(*kind) == text)
}

/// A time as JSON has it.
pub fn moment(time: Timestamp) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.millis()) * 1_000_000);
    time.ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// The body of a delivery.
pub(super) fn body(id: EventId, event: &EventRecord, of: &OfProject) -> Vec<u8> {
    let file = event.id.map(FileId::from_bytes).zip(event.file.as_ref());
    let document = json!({
        "id": id.to_string(),
        "type": name(event.kind),
        "timestamp": moment(event.at),
        "project": of.project,
        "environment": of.name,
        "data": match file {
            Some((id, file)) => data(id, file, event),
            None => json!({}),
        },
    });
    document.to_string().into_bytes()
}

fn data(id: FileId, file: &File, event: &EventRecord) -> Value {
    let owner = file.labels.owner.as_deref();
    let metadata: Value = serde_json::from_str(&file.metadata).unwrap_or_else(|_| json!({}));
    json!({
        "id": id.to_string(),
        "key": file.key,
        "originalName": file.name,
        "mimeType": file.media_type(),
        "size": file.size,
        "sha256": file.sha256.map(|hash| hex_simd::encode_to_string(hash, hex_simd::AsciiCase::Lower)),
        "width": file.width,
        "height": file.height,
        "visibility": file.labels.visibility.unwrap_or(Visibility::Private).name(),
        // What the issuer calls them, without the project and the issuer.
        "ownerId": owner.map(|owner| match owner.strip_prefix("app:").and_then(|rest| rest.split_once('|')) {
            Some((_, subject)) => subject,
            None => owner,
        }),
        "ownerType": file.owner_type.name(),
        "status": file.state.name(),
        "previousStatus": event.from.map(|state| state.name()),
        "purged": event.purged,
        "rejected": file.rejected,
        "scan": file.scan.as_ref().map(|scan| json!({ "verdict": scan.verdict.name(), "signature": scan.signature })),
        "bucket": file.bucket,
        "category": file.category,
        "tags": file.tags,
        "relatedEntityId": file.entity,
        "metadata": metadata,
        "createdAt": moment(file.created),
    })
}
