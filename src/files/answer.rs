//! What is answered where it went well: the fields themselves, and once more under `data` beside `success`, so that clients
//! of either habit find them.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value};

use crate::http::body::{self, Body};
use crate::projects::Envelope;

/// An answer of JSON fields.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    fields: Map<String, Value>,
    /// What is written in their place, as it is.
    bare: Option<Value>,
    /// They are secrets: not even the caller's own cache keeps them.
    secret: bool,
}

impl Answer {
    /// 200 with these fields; what is no object becomes an answer without fields.
    pub(super) fn ok(document: Value) -> Self {
        Self::with(StatusCode::OK, document)
    }

    pub(super) fn created(document: Value) -> Self {
        Self::with(StatusCode::CREATED, document)
    }

    fn with(status: StatusCode, document: Value) -> Self {
        let fields = match document {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Self {
            status,
            fields,
            bare: None,
            secret: false,
        }
    }

    /// The same told in another dialect, without any envelope.
    pub(super) fn told_as(mut self, tell: impl FnOnce(&Map<String, Value>) -> Value) -> Self {
        self.bare = Some(tell(&self.fields));
        self
    }

    /// The same, which holds secrets: not even the caller's own cache keeps it.
    pub(super) fn kept_by_nobody(mut self) -> Self {
        self.secret = true;
        self
    }

    /// As the apps of the project are answered.
    pub(super) fn response(self, envelope: Envelope) -> Response<Body> {
        let document = match (self.bare, envelope) {
            (Some(document), _) => document,
            (None, Envelope::Bare) => Value::Object(self.fields),
            (None, Envelope::Both) => enveloped(self.fields),
        };
        let mut response = Response::new(body::full(document.to_string()));
        *response.status_mut() = self.status;
        private(response.headers_mut());
        if self.secret {
            let never = HeaderValue::from_static("no-store");
            response.headers_mut().insert(header::CACHE_CONTROL, never);
        }
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

fn enveloped(fields: Map<String, Value>) -> Value {
    let mut whole = fields.clone();
    whole.insert("success".to_owned(), Value::Bool(true));
    whole.insert("data".to_owned(), Value::Object(fields));
    Value::Object(whole)
}

/// Says that nobody but the caller may keep the answer, and nobody at all without asking again.
pub(super) fn private(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.append(header::VARY, HeaderValue::from_static("authorization, x-api-key"));
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::{Answer, Envelope};

    #[tokio::test]
    async fn clients_find_the_fields_bare_and_under_data() {
        let both = json!({ "id": "1", "size": 2, "success": true, "data": { "id": "1", "size": 2 } });
        for (envelope, expected) in [
            (Envelope::Both, both),
            (Envelope::Bare, json!({ "id": "1", "size": 2 })),
        ] {
            let response = Answer::created(json!({ "id": "1", "size": 2 })).response(envelope);
            assert_eq!(response.status(), 201);
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            let document: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(document, expected);
        }
    }
}
