//! Resumable uploads below `/v1/tus`: tus 1.0 with all its extensions and the IETF's draft, over one kind of upload.
//!
//! Owns what these protocols say. Bytes and offsets are the store's (`store::resumable`); the file that comes of an upload
//! is announced, judged and looked at as every file of this front. A request goes on to its end when its client goes away:
//! what arrived of it is stored.

mod asked;
mod digest;
mod draft;
mod incoming;
mod metadata;
mod tus;
mod upload;

use std::sync::Arc;

use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use storage_engine::limits::OBJECT_BYTES_MAX;
use time::OffsetDateTime;
use tracing::Instrument;

use self::asked::{Protocol, TUS_VERSION};
use super::Inner;
use super::call::Call;
use super::error::{Code, FilesError};
use crate::http::body::{Body, RequestBody};
use crate::projects::Operation as Scope;
use crate::telemetry::trace::Operation;

const BASE: &str = "/v1/tus";
/// Methods of the address of new uploads, and of an upload.
const ALLOW_NEW: HeaderValue = HeaderValue::from_static("OPTIONS, POST");
const ALLOW: HeaderValue = HeaderValue::from_static("DELETE, HEAD, OPTIONS, PATCH");

/// The id in a path of resumable uploads, if there is one; `None`: it is no such path.
fn id_of(path: &str) -> Option<Option<&str>> {
    match path.strip_prefix(BASE)?.strip_prefix('/') {
        Some("") => Some(None),
        Some(id) => (!id.contains('/')).then_some(Some(id)),
        None => (path == BASE).then_some(None),
    }
}

/// Whether a request is about a resumable upload.
pub(super) fn is_asked(path: &str) -> bool {
    id_of(path).is_some()
}

/// Answers one request. It runs to its end whether or not the client stays.
pub(super) fn handle(inner: Arc<Inner>, request: Request<RequestBody>) -> BoxFuture<'static, Response<Body>> {
    Box::pin(async move {
        let task = tokio::spawn(answer(inner, request).in_current_span());
        match task.await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(%error, "a request about an upload failed");
                FilesError::from(Code::INTERNAL).response()
            }
        }
    })
}

async fn answer(inner: Arc<Inner>, request: Request<RequestBody>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let spoken = asked::protocol(&parts.headers);
    let speaks_tus = !matches!(spoken, Ok(Protocol::Draft));
    let mut response = match asked::method(&parts.method, &parts.headers) {
        Ok(method) if method == Method::OPTIONS => options(),
        Ok(method) => match spoken {
            Ok(protocol) => answer_in(protocol, &inner, (&method, &parts), body).await,
            Err(wrong) => tus::wrong(wrong).response(),
        },
        Err(wrong) => tus::wrong(wrong).response(),
    };
    if speaks_tus {
        response
            .headers_mut()
            .insert(tus::RESUMABLE, HeaderValue::from_static(TUS_VERSION));
    }
    response
}

fn options() -> Response<Body> {
    let mut response = tus::empty_answer(StatusCode::NO_CONTENT);
    tus::options(response.headers_mut(), OBJECT_BYTES_MAX);
    draft::options(response.headers_mut(), OBJECT_BYTES_MAX);
    response
}

async fn answer_in(
    protocol: Protocol,
    inner: &Inner,
    (method, parts): (&Method, &Parts),
    body: RequestBody,
) -> Response<Body> {
    let id = id_of(parts.uri.path()).flatten();
    let allowed = match id {
        None => *method == Method::POST,
        Some(_) => matches!(method.as_str(), "HEAD" | "PATCH" | "DELETE"),
    };
    if !allowed {
        let allow = if id.is_some() { ALLOW } else { ALLOW_NEW };
        let error = FilesError::from(Code::METHOD_NOT_ALLOWED);
        return error.with_header(header::ALLOW, allow).response();
    }
    let name = if id.is_some() { "tus/:id" } else { "tus" };
    Operation::name(&parts.extensions, name);
    let call = match admitted(inner, parts).await {
        Ok(call) => call,
        Err(error) => return error.response(),
    };
    match protocol {
        Protocol::Tus => match tus::answer(&call, (method, id), &parts.headers, body).await {
            Ok(response) => response,
            Err(refused) => refused.response(),
        },
        Protocol::Draft => match draft::answer(&call, (method, id), &parts.headers, body).await {
            Ok(response) => response,
            Err(refused) => draft::problem(refused),
        },
    }
}

/// Whoever may make files may do so piece by piece.
async fn admitted<'i>(inner: &'i Inner, parts: &Parts) -> Result<Call<'i>, FilesError> {
    let now = OffsetDateTime::now_utc();
    let caller = inner.projects.admit(&parts.headers, now).await?;
    caller.require(Scope::Create)?;
    caller.require_uploader()?;
    Ok(Call::new(inner, caller, parts, Vec::new(), now))
}

#[cfg(test)]
mod tests {
    use super::id_of;

    #[test]
    fn paths_name_an_upload_or_the_place_of_new_ones() {
        assert_eq!(id_of("/v1/tus"), Some(None));
        assert_eq!(id_of("/v1/tus/"), Some(None));
        assert_eq!(id_of("/v1/tus/abc"), Some(Some("abc")));
        for other in ["/v1/tusk", "/v1/tus/a/b", "/v1/files", "/v1"] {
            assert_eq!(id_of(other), None, "{other}");
        }
    }
}
