//! Webhooks of the environment: for the servers of an application alone.

use serde_json::{Value, json};
use storage_engine::store::files::{EventId, FileId, ListenerId};
use storage_engine::store::record::event::{DeliveryRecord, EventKind};

use super::answer::Answer;
use super::call::Call;
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::view::moment;
use crate::projects::{NewWebhook, ProjectsError, Webhook, WebhookChange};
use crate::webhooks::payload;

/// Deliveries that are told at once, unless another number is asked for.
const DELIVERIES: usize = 50;

impl From<ProjectsError> for FilesError {
    fn from(error: ProjectsError) -> Self {
        match error {
            ProjectsError::NoSuchWebhook => Code::NO_SUCH_WEBHOOK.into(),
            ProjectsError::Invalid(_) | ProjectsError::NoSuchIssuer(_) => Self::field(error.to_string()),
            ProjectsError::TooMany(_) => Self::because(Code::TOO_MANY, error.to_string()),
            ProjectsError::Fault(fault) => fault.into(),
            ProjectsError::NotOpen(_) => Code::UNAVAILABLE.into(),
            other => {
                tracing::warn!(%other, "webhooks could not be changed");
                Code::INTERNAL.into()
            }
        }
    }
}

/// What is said of a webhook.
const FIELDS: [&str; 4] = ["url", "events", "active", "description"];

fn shown(webhook: &Webhook) -> Value {
    let kinds = EventKind::ALL.into_iter();
    let events = kinds.filter(|kind| webhook.events & kind.bit() != 0);
    json!({
        "id": FileId::from_bytes(webhook.id).to_string(),
        "url": webhook.url,
        "events": events.map(payload::name).collect::<Vec<_>>(),
        "active": webhook.active,
        "description": webhook.description,
        "createdAt": moment(webhook.created),
        "updatedAt": moment(webhook.updated),
    })
}

/// The kinds that are named; `None`: none are.
fn events(fields: &Fields) -> Result<Option<u32>, FilesError> {
    let wrong = || {
        let names = EventKind::ALL.map(payload::name).join(", ");
        FilesError::field(format!("events must be a list of at least one of {names}."))
    };
    let names = match fields.get("events") {
        None => return Ok(None),
        Some(Value::Array(names)) if !names.is_empty() => names,
        Some(_) => return Err(wrong()),
    };
    let kinds = names.iter().map(|name| name.as_str().and_then(payload::named));
    let kinds: Option<Vec<EventKind>> = kinds.collect();
    let kinds = kinds.ok_or_else(wrong)?;
    Ok(Some(kinds.into_iter().fold(0, |set, kind| set | kind.bit())))
}

fn active(fields: &Fields) -> Result<Option<bool>, FilesError> {
    match fields.get("active") {
        None => Ok(None),
        Some(_) => fields.flag("active").map(Some),
    }
}

fn url(call: &Call<'_>, text: &str) -> Result<String, FilesError> {
    Ok(call.inner.outward.webhooks.check(text)?.into())
}

fn id(call: &Call<'_>) -> Result<ListenerId, FilesError> {
    let id = FileId::parse(call.segment(0)?).ok_or(Code::NO_SUCH_WEBHOOK)?;
    Ok(*id.as_bytes())
}

fn named(call: &Call<'_>) -> Result<Webhook, FilesError> {
    let id = id(call)?;
    let webhooks = call.inner.projects.webhooks(&call.caller.place())?;
    let found = webhooks.into_iter().find(|webhook| webhook.id == id);
    found.ok_or_else(|| Code::NO_SUCH_WEBHOOK.into())
}

/// `POST /files/webhooks`.
pub(super) async fn add(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    fields.only(&FIELDS)?;
    let all = EventKind::ALL.into_iter().fold(0, |set, kind| set | kind.bit());
    let new = NewWebhook {
        url: url(call, fields.need("url")?)?,
        events: events(fields)?.unwrap_or(all),
        active: active(fields)?.unwrap_or(true),
        description: fields.text("description")?.unwrap_or_default().to_owned(),
    };
    let (webhook, secret) = call.inner.projects.add_webhook(call.caller.place(), new).await?;
    let mut answer = shown(&webhook);
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("secret".to_owned(), json!(String::from_utf8_lossy(secret.expose())));
    }
    Ok(Answer::created(answer))
}

/// `GET /files/webhooks`.
pub(super) async fn list(call: &Call<'_>) -> Result<Answer, FilesError> {
    let webhooks = call.inner.projects.webhooks(&call.caller.place())?;
    let items: Vec<Value> = webhooks.iter().map(shown).collect();
    Ok(Answer::ok(json!({ "items": items })))
}

/// `GET /files/webhooks/:id`.
pub(super) async fn get(call: &Call<'_>) -> Result<Answer, FilesError> {
    Ok(Answer::ok(shown(&named(call)?)))
}

/// `PATCH /files/webhooks/:id`.
pub(super) async fn patch(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    fields.only(&FIELDS)?;
    let change = WebhookChange {
        url: fields.text("url")?.map(|text| url(call, text)).transpose()?,
        events: events(fields)?,
        active: active(fields)?,
        description: fields.text("description")?.map(str::to_owned),
    };
    let projects = &call.inner.projects;
    let webhook = projects.set_webhook(call.caller.place(), id(call)?, change).await?;
    Ok(Answer::ok(shown(&webhook)))
}

/// `DELETE /files/webhooks/:id`.
pub(super) async fn delete(call: &Call<'_>) -> Result<Answer, FilesError> {
    let webhooks = &call.inner.outward.webhooks;
    webhooks
        .remove(call.caller.place(), &call.caller.bucket, id(call)?)
        .await?;
    Ok(Answer::ok(json!({})))
}

/// `POST /files/webhooks/:id/test`.
pub(super) async fn test(call: &Call<'_>) -> Result<Answer, FilesError> {
    let webhooks = &call.inner.outward.webhooks;
    let (event, delivery) = webhooks
        .test(&call.caller.place(), &call.caller.bucket, id(call)?)
        .await?;
    Ok(Answer::ok(delivered(event, &delivery)))
}

/// `GET /files/webhooks/:id/deliveries`.
pub(super) async fn deliveries(call: &Call<'_>) -> Result<Answer, FilesError> {
    let hook = named(call)?;
    let waiting = match call.parameter("status") {
        None | Some("ended") => false,
        Some("waiting") => true,
        Some(_) => return Err(FilesError::field("status must be waiting or ended.")),
    };
    let limit = match call.parameter("limit").map(str::parse) {
        None => DELIVERIES,
        Some(Ok(limit @ 1..=100)) => limit,
        Some(_) => return Err(FilesError::field("limit must be a whole number from 1 to 100.")),
    };
    let after = call.parameter("after").map(FileId::parse);
    if after == Some(None) {
        return Err(FilesError::field("after must be the id of an event."));
    }
    let asked = (waiting, after.flatten(), limit);
    let webhooks = &call.inner.outward.webhooks;
    let found = webhooks.deliveries(&call.caller.bucket, &hook.id, asked).await?;
    let next = found.last().filter(|_| found.len() == limit);
    let next = next.map(|(event, _)| event.to_string());
    let items: Vec<Value> = found.iter().map(|(event, one)| delivered(*event, one)).collect();
    Ok(Answer::ok(json!({ "items": items, "next": next })))
}

fn delivered(event: EventId, delivery: &DeliveryRecord) -> Value {
    json!({
        "eventId": event.to_string(),
        "type": payload::name(delivery.event.kind),
        "fileId": delivery.event.id.map(|id| FileId::from_bytes(id).to_string()),
        "happenedAt": moment(delivery.event.at),
        "status": delivery.state.name(),
        "attempts": delivery.attempts,
        "at": moment(delivery.at),
        "httpStatus": delivery.status,
        "error": delivery.error,
    })
}
