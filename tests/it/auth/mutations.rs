//! Every signed request with one byte changed anywhere is refused.
//!
//! Bytes that a form does not sign (the body under `UNSIGNED-PAYLOAD`, data and trailer values of an unsigned trailer)
//! are left alone; everything else is changed, byte by byte: method, path, query, header values, chunk framing, chunk
//! data, trailers. A change the HTTP types themselves refuse never reaches the server and is not counted.

use std::collections::BTreeMap;

use bytes::Bytes;
use drystone::auth::Identity;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;

use super::wiring::forms;
use super::{authenticate, outcome};

/// The bits to flip: small enough that no letter only changes its case, which several fields are allowed to.
const FLIPS: [u8; 2] = [0x01, 0x02];

type Send = Request<Full<Bytes>>;

/// Every way to change one byte of `text` by a flip, with its position.
fn changed(text: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..text.len()).flat_map(move |at| {
        FLIPS.map(|flip| {
            let mut changed = text.to_vec();
            changed[at] ^= flip;
            (at, changed)
        })
    })
}

fn with_body(request: &Send, body: Vec<u8>) -> Send {
    request.clone().map(|_| Full::new(Bytes::from(body)))
}

fn heads(request: &Send) -> Vec<(String, Send)> {
    let mut out = Vec::new();
    for (at, method) in changed(request.method().as_str().as_bytes()) {
        if let Ok(method) = Method::from_bytes(&method) {
            let mut request = request.clone();
            *request.method_mut() = method;
            out.push((format!("method byte {at}"), request));
        }
    }
    for (at, uri) in changed(request.uri().to_string().as_bytes()) {
        if let Ok(uri) = Uri::try_from(uri) {
            let mut request = request.clone();
            *request.uri_mut() = uri;
            out.push((format!("target byte {at}"), request));
        }
    }
    // The length of a chunked body on the wire is the connection's business; the signed length is another header.
    let chunked = request.headers().contains_key("x-amz-decoded-content-length");
    let names = request
        .headers()
        .keys()
        .filter(|name| !chunked || *name != "content-length")
        .cloned();
    for name in names.collect::<Vec<HeaderName>>() {
        for (at, value) in changed(request.headers()[&name].as_bytes()) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut request = request.clone();
                request.headers_mut().insert(name.clone(), value);
                out.push((format!("{name} byte {at}"), request));
            }
        }
    }
    out
}

/// The positions of a body that its form protects.
fn protected(body: &[u8], name: &str, covers_body: bool) -> Box<dyn Fn(usize) -> bool> {
    if covers_body {
        return Box::new(|_| true);
    }
    if name != "unsigned trailer" {
        return Box::new(|_| false);
    }
    // a\r\n + 10 bytes + \r\nd\r\n + 13 bytes + \r\n0\r\nx-amz-checksum-crc32c: + 8 bytes + \r\n\r\n
    let text = String::from_utf8(body.to_vec()).unwrap();
    let value = text.find("Rbr7eg==").unwrap();
    Box::new(move |at| !((3..13).contains(&at) || (18..31).contains(&at) || (value..value + 8).contains(&at)))
}

#[test]
fn one_changed_byte_is_refused_wherever_it_is() {
    let mut anonymous = 0;
    let mut counted: BTreeMap<&'static str, usize> = BTreeMap::new();
    for form in forms() {
        if form.name.starts_with("anonymous") {
            continue;
        }
        let body = source_of(&form.request);
        assert!(
            outcome(form.request.clone()).is_ok(),
            "{}: unchanged, it is accepted",
            form.name
        );
        let protects = protected(&body, form.name, form.covers_body);
        let bodies = changed(&body)
            .filter(|(at, _)| protects(*at))
            .map(|(at, changed)| (format!("body byte {at}"), with_body(&form.request, changed)));
        let mut cases: Vec<(String, Send)> = heads(&form.request);
        cases.extend(bodies);
        for (what, request) in cases {
            if let Ok(authenticated) = authenticate(request.clone())
                && authenticated.identity == Identity::Anonymous
            {
                // Without its `?` a presigned URL is an unsigned request for an odd key.
                anonymous += 1;
                continue;
            }
            assert!(
                outcome(request).is_err(),
                "{}: {what} was changed and the request accepted",
                form.name
            );
            *counted.entry(form.name).or_default() += 1;
        }
    }
    let total: usize = counted.values().sum();
    println!("{total} changed requests refused: {counted:?}");
    assert_eq!(counted.len(), 8, "{counted:?}");
    assert!(counted.values().all(|count| *count >= 300), "{counted:?}");
    assert!(anonymous <= 4, "{anonymous} changes left no signature at all");
    assert!(total >= 5_000, "{counted:?}");
}

#[test]
fn a_removed_header_is_refused() {
    for form in forms() {
        let names: Vec<HeaderName> = form.request.headers().keys().cloned().collect();
        for name in names {
            let mut request = form.request.clone();
            request.headers_mut().remove(&name);
            let harmless = name == "content-length" || form.name.starts_with("anonymous") || name == "authorization";
            assert!(
                harmless || outcome(request).is_err(),
                "{}: without {name} it is accepted",
                form.name
            );
        }
    }
}

#[test]
fn a_body_cut_anywhere_is_refused() {
    for form in forms() {
        let body = source_of(&form.request);
        for end in 0..body.len() {
            if body.get(end..).is_some_and(|cut| cut == b"\r\n") {
                // Only the very last line end is missing: nothing that means anything.
                continue;
            }
            let request = with_body(&form.request, body[..end].to_vec());
            assert!(outcome(request).is_err(), "{}: cut at {end}", form.name);
        }
    }
}

fn source_of(request: &Send) -> Vec<u8> {
    request.body().clone().into_inner().map(Vec::from).unwrap_or_default()
}
