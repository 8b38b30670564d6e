//! The one page behind `--console-address`: it says where the console stands. No console is built yet.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::body::{self, Body};

const PAGE: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Drystone</title></head>\
<body style=\"font-family:sans-serif;max-width:40em;margin:4em auto\"><h1>Drystone</h1>\
<p>The web console is not built yet. This address is reserved for it.</p>\
<p>The store itself is running. Use it through its S3 address with the aws CLI, an S3 SDK, <code>rclone</code> or \
<code>mc</code>.</p></body></html>\n";

/// The answer to any request at the console's address.
pub fn answer(request: &Request<Incoming>) -> Response<Body> {
    let mut response = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/") => Response::new(body::full(PAGE)),
        (&Method::GET | &Method::HEAD, _) => status(StatusCode::NOT_FOUND),
        _ => status(StatusCode::NOT_IMPLEMENTED),
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    );
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(body::full(
        "<!doctype html>\n<p>The web console is not built yet.</p>\n",
    ));
    *response.status_mut() = status;
    response
}
