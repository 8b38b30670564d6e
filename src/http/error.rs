//! The error documents that clients read, for what the edge itself refuses: S3's XML, and the JSON of the admin API and of
//! the Files API.

use http::{HeaderValue, Response, StatusCode, header};

use super::body::{self, Body};
use super::cors::apps;
use super::request_id::RequestId;

/// In which form a client expects to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// XML, as S3.
    S3,
    /// JSON, as the admin API.
    Admin,
    /// JSON, as the Files API; a page of any origin may read it.
    Files,
}

/// What the edge refuses before any front is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// More than one Host, no Host, or a Host that contradicts the request line.
    BadHost,
    HeadersTooLarge,
    /// The body came slower than the floor.
    BodyTooSlow,
    /// No turn within the deadline.
    Busy,
    Starting,
    NotBuilt(&'static str),
    NotFound,
    MethodNotAllowed,
    Forbidden(&'static str),
    /// A bug: the handler panicked.
    Internal,
}

impl Refusal {
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadHost => (
                StatusCode::BAD_REQUEST,
                "InvalidRequest",
                "The request must name exactly one host, and the same one throughout.",
            ),
            Self::HeadersTooLarge => (
                StatusCode::BAD_REQUEST,
                "RequestHeaderSectionTooLarge",
                "The request line and headers together are larger than 16 KiB.",
            ),
            Self::BodyTooSlow => (
                StatusCode::BAD_REQUEST,
                "RequestTimeout",
                "The request body arrived too slowly. At least 1 KiB a second is expected.",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "SlowDown",
                "Too many requests at once. Please try again later.",
            ),
            Self::Starting => (
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "The server is starting. Please try again in a moment.",
            ),
            Self::NotBuilt(what) => (StatusCode::NOT_IMPLEMENTED, "NotImplemented", what),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "NoSuchResource",
                "There is nothing at this path.",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
            ),
            Self::Forbidden(why) => (StatusCode::FORBIDDEN, "AccessDenied", why),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "An internal error happened. It has been logged.",
            ),
        }
    }

    /// The answer as apps read errors; see the Files API's own.
    fn of_files(self, status: StatusCode, message: &str) -> Response<Body> {
        let code = match self {
            Self::BadHost => "common/invalid-request",
            Self::HeadersTooLarge => "common/headers-too-large",
            Self::BodyTooSlow => "common/request-timeout",
            Self::Busy | Self::Starting => "common/unavailable",
            Self::NotBuilt(_) => "common/not-implemented",
            Self::NotFound => "common/not-found",
            Self::MethodNotAllowed => "common/method-not-allowed",
            Self::Forbidden(_) => "PERMISSION_DENIED",
            Self::Internal => "common/internal-error",
        };
        let document = serde_json::json!({
            "success": false,
            "error": { "code": code, "message": message },
            "statusCode": status.as_u16(),
            "message": message,
        });
        let mut response = Response::new(body::full(document.to_string()));
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        apps::open(response.headers_mut());
        response
    }

    /// The answer to a request for `path`.
    pub fn response(self, form: Form, path: &str, id: RequestId, host_id: &str) -> Response<Body> {
        let (status, code, message) = self.parts();
        let mut response = match form {
            Form::S3 => document(status, code, message, path, id, host_id),
            Form::Admin => json_document(status, code, message, path, Some(id), host_id),
            Form::Files => self.of_files(status, message),
        };
        let headers = response.headers_mut();
        if matches!(self, Self::Busy | Self::Starting) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        if matches!(self, Self::BodyTooSlow | Self::HeadersTooLarge | Self::BadHost) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Ok(message) = HeaderValue::from_str(&format!("\"{message}\"")) {
            headers.insert("x-minio-error-code", HeaderValue::from_static(code));
            headers.insert("x-minio-error-desc", message);
        }
        response
    }
}

/// An S3 error document; texts are escaped.
pub fn document(
    status: StatusCode,
    code: &str,
    message: &str,
    resource: &str,
    id: RequestId,
    host_id: &str,
) -> Response<Body> {
    let escape = |text| quick_xml::escape::escape(text).into_owned();
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message><Resource>{}</Resource>\
         <RequestId>{id}</RequestId><HostId>{}</HostId></Error>",
        escape(code),
        escape(message),
        escape(resource),
        escape(host_id),
    );
    let mut response = Response::new(body::full(xml));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// The error document of the admin API, as MinIO's clients print it.
pub fn json_document(
    status: StatusCode,
    code: &str,
    message: &str,
    resource: &str,
    id: Option<RequestId>,
    host_id: &str,
) -> Response<Body> {
    let document = serde_json::json!({
        "Code": code,
        "Message": message,
        "Resource": resource,
        "RequestId": id.map(|id| id.to_string()).unwrap_or_default(),
        "HostId": host_id,
    });
    let mut response = Response::new(body::full(document.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::http::request_id::RequestIds;

    #[tokio::test]
    async fn the_document_escapes_what_the_client_sent() {
        let id = RequestIds::new(1).make();
        let response = Refusal::NotFound.response(Form::S3, "/<script>&", id, "host");
        assert_eq!(response.status(), 404);
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&text).unwrap();
        assert!(text.contains("<Resource>/&lt;script&gt;&amp;</Resource>"), "{text}");
        assert!(text.contains(&format!("<RequestId>{id}</RequestId>")), "{text}");
    }
}
