//! One attempt to tell one receiver of one event.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use storage_engine::store::files::EventId;
use storage_engine::store::projects::OfProject;
use storage_engine::store::record::event::EventRecord;

use super::{Inner, payload, sign};
use crate::outbound::OutboundError;
use crate::projects::Webhook;

/// How long a receiver may take.
const TIME: Duration = Duration::from_secs(15);
/// Bytes of its answer that are read.
const ANSWER_BYTES: usize = 4 * 1024;

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) status: Option<u16>,
    /// `None`: the receiver took it.
    pub(super) error: Option<String>,
}

impl Told {
    fn failed(error: impl Into<String>) -> Self {
        Self {
            status: None,
            error: Some(error.into()),
        }
    }
}

/// Sends the event, signed, and looks at the status of the answer: 2xx is taken, everything else is not.
pub(super) async fn tell(inner: &Inner, of: &OfProject, hook: &Webhook, (id, event): (EventId, &EventRecord)) -> Told {
    let body = payload::body(id, event, of);
    let secret = match inner.projects.webhook_secret(of, &hook.id).await {
        Ok(Some(secret)) => secret,
        Ok(None) => return Told::failed("The secret of the webhook cannot be read."),
        Err(error) => return Told::failed(error.to_string()),
    };
    let second = inner.clock.now().seconds();
    let Some(headers) = headers(secret.expose(), (&id.to_string(), second), &body) else {
        return Told::failed("The secret of the webhook cannot be read.");
    };
    drop(secret);
    let calling = async {
        let url = inner.outbound.check(&hook.url)?;
        let sent = (headers, Bytes::from(body));
        inner.outbound.post(&url, sent, (TIME, ANSWER_BYTES)).await
    };
    match calling.await {
        Ok(answered) if answered.status.is_success() => Told {
            status: Some(answered.status.as_u16()),
            error: None,
        },
        Ok(answered) => Told {
            status: Some(answered.status.as_u16()),
            error: Some(not_taken(answered.status)),
        },
        Err(error) => {
            match &error {
                OutboundError::Unreachable(why) => {
                    tracing::debug!(%why, webhook = %hook.url, "a receiver cannot be reached");
                }
                // Nothing but an operator can mend it.
                OutboundError::Certificate(why) => {
                    tracing::warn!(%why, webhook = %hook.url, "the certificate of a receiver is not believed");
                }
                OutboundError::Url(_)
                | OutboundError::Forbidden
                | OutboundError::TimedOut
                | OutboundError::Redirects
                | OutboundError::Status(_)
                | OutboundError::Encoded => {}
            }
            Told::failed(error.to_string())
        }
    }
}

fn not_taken(status: StatusCode) -> String {
    format!("The receiver answered {status}.")
}

/// The headers of Standard Webhooks.
fn headers(secret: &[u8], (id, second): (&str, u64), body: &[u8]) -> Option<HeaderMap> {
    let mut signing = sign::Signing::begin(secret, id.to_owned(), second)?;
    signing.update(body);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    signing.say(&mut headers)?;
    Some(headers)
}
