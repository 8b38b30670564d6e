//! The OpenAPI document: the Files API for programs that make clients and tests from it.
//!
//! Owns what each operation is said to take, answer and refuse. Which operations there are, and who may ask for them, is the
//! table of routes; what is described here and what is served are held together by tests.

mod components;
mod described;
mod operations;
mod refusals;
mod schema;
#[cfg(test)]
pub(super) mod tests;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::{Map, Value, json};
use storage_engine::store::condition::ETagMatch;

use self::described::Tag;
use super::routes::BUILT;
use crate::auth::sha256;
use crate::http::body::{self, Body};
use crate::http::conditions;

const ABOUT: &str = "\
Files of an app: uploads, what is known of them, who may read them. Each request brings a project key in `X-API-Key`; users \
bring a token of an issuer of the project as well. Bodies are JSON objects of at most 1 MiB, in which a field that is null \
counts as left out and fields of other names are passed over, but where `additionalProperties` is false; so is a parameter of the query that is empty.\n\n\
The fields of an answer stand in it as they are, and once more under `data`, beside `success: true`; a project that chose the \
bare envelope gets the fields and nothing else. Errors are always in one form.\n\n\
Not described here: resumable uploads (tus 1.0 and the IETF's draft, below `/v1/tus`), images by URL (`/v1/img`), and S3 \
itself, which the addresses that are given out here lead to. A path that nobody has answers 404 `common/not-found`, another \
method 405 `common/method-not-allowed`, what is known and not built 501 `common/not-implemented`.";
/// Most of a client's requests come within minutes; afterwards it asks whether there is another one.
const CACHED: &str = "public, max-age=300";

/// The document as it is answered.
#[derive(Debug)]
pub(super) struct Document {
    bytes: Bytes,
    /// Without quotes.
    etag: String,
}

impl Document {
    /// `origin`: scheme and authority at which clients reach the server, if the operator said.
    pub(super) fn new(origin: Option<&str>) -> Self {
        let bytes = Bytes::from(document(origin).to_string());
        let digest = sha256(&bytes);
        Self {
            etag: hex_simd::encode_to_string(digest, hex_simd::AsciiCase::Lower),
            bytes,
        }
    }

    /// `GET` and `HEAD /openapi.json`.
    pub(super) fn answer(&self, parts: &Parts) -> Response<Body> {
        let known = match conditions::of_headers(&parts.headers).if_none_match {
            Some(ETagMatch::Any) => true,
            Some(ETagMatch::OneOf(tags)) => tags.contains(&self.etag),
            None => false,
        };
        let is_bare = known || parts.method == Method::HEAD;
        let mut response = Response::new(match is_bare {
            true => body::empty(),
            false => body::full(self.bytes.clone()),
        });
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHED));
        if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", self.etag)) {
            headers.insert(ETAG, etag);
        }
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.bytes.len()));
        }
        response
    }
}

fn document(origin: Option<&str>) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Drystone Files API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": origin.unwrap_or("/") }],
        "tags": Tag::ALL.map(|(tag, says)| json!({ "name": tag.name(), "description": says })),
        "paths": paths(),
        "components": { "schemas": components::components(), "securitySchemes": security_schemes() },
    })
}

/// All rows of the table of routes, by path and method.
fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for row in BUILT {
        let first = BUILT.iter().find(|other| other.route == row.route).unwrap_or(row);
        let Some(described) = operations::of(row.route) else {
            // There is none: see the assertion in `operations`.
            continue;
        };
        let methods = paths.entry(described::path(row.pattern)).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            let method = row.method.as_str().to_ascii_lowercase();
            methods.insert(method, described.operation(row, first));
        }
    }
    paths
}

fn security_schemes() -> Value {
    json!({
        "apiKey": {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-Key",
            "description": "A key of the project: `pk_…` of pages and apps, `sk_…` of servers alone. What is asked of it \
                is the scope that it needs.",
        },
        "userToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token of an issuer of the project: who the user is.",
        },
        "uploadToken": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Upload-Token",
            "description": "A token that a server of the app made, in the place of key and user's token; it opens what \
                makes files.",
        },
    })
}
