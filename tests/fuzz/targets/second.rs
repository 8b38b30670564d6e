//! Signature Version 4 a second time: signs and verifies, written from AWS's description alone. It shares the hash
//! function with the server and nothing else.

use aws_lc_rs::digest::{SHA256, digest};
use http::request::Parts;

pub(super) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(super) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(super) const DATE: &str = "20130524T000000Z";
const SCOPE: &str = "20130524/us-east-1/s3/aws4_request";

pub(super) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC with SHA-256, as RFC 2104 has it.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = if key.len() > 64 { sha256(key) } else { key.to_vec() };
    block.resize(64, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = sha256(&[pad(0x36), text.to_vec()].concat());
    sha256(&[pad(0x5c), inner].concat())
}

/// A string to sign, signed for the scope.
pub(super) fn sign(scope: &str, text: &str) -> String {
    let start = format!("AWS4{SECRET}").into_bytes();
    let key = scope.split('/').fold(start, |key, step| hmac(&key, step.as_bytes()));
    hex(&hmac(&key, text.as_bytes()))
}

fn decode(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let escaped = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

pub(super) fn encode(bytes: &[u8], slash: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || (byte == b'/' && !slash);
    let piece = |byte: &u8| {
        if plain(*byte) {
            char::from(*byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    bytes.iter().map(piece).collect()
}

fn query_pairs(parts: &Parts) -> Vec<(String, String)> {
    let query = parts.uri.query().unwrap_or("").replace('+', "%20");
    let pair = |piece: &str| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        (encode(&decode(name), true), encode(&decode(value), true))
    };
    query.split('&').filter(|piece| !piece.is_empty()).map(pair).collect()
}

fn header(parts: &Parts, name: &str) -> Vec<u8> {
    let trimmed = |value: &[u8]| {
        let words = value
            .split(|byte| *byte == b' ' || *byte == b'\t')
            .filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(&b' ')
    };
    let all: Vec<Vec<u8>> = parts
        .headers
        .get_all(name)
        .iter()
        .map(|value| trimmed(value.as_bytes()))
        .collect();
    // Proxies take this one away; its only value is known.
    if all.is_empty() && name == "expect" {
        b"100-continue".to_vec()
    } else {
        all.join(&b',')
    }
}

fn string_to_sign(parts: &Parts, (signed, payload): (&str, &str), (date, scope): (&str, &str)) -> String {
    let mut pairs = query_pairs(parts);
    pairs.retain(|(name, _)| !name.eq_ignore_ascii_case("X-Amz-Signature"));
    pairs.sort();
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let path = encode(&decode(parts.uri.path()), false);
    let mut canonical = format!("{}\n{path}\n{}\n", parts.method, query.join("&")).into_bytes();
    for name in signed.split(';') {
        canonical.extend_from_slice(name.as_bytes());
        canonical.push(b':');
        canonical.extend_from_slice(&header(parts, name));
        canonical.push(b'\n');
    }
    canonical.extend_from_slice(format!("\n{signed}\n{payload}").as_bytes());
    format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&sha256(&canonical)))
}

fn names(parts: &Parts) -> String {
    let mut names: Vec<&str> = parts.headers.keys().map(http::HeaderName::as_str).collect();
    names.retain(|name| *name != "authorization" && *name != "expect");
    names.sort_unstable();
    names.join(";")
}

/// Adds date, payload hash and Authorization; the seed signature comes back. `false`: a value fits into no header.
pub(super) fn sign_headers(parts: &mut Parts, payload: &str) -> Option<String> {
    for (name, value) in [("x-amz-date", DATE), ("x-amz-content-sha256", payload)] {
        parts.headers.insert(name, value.parse().ok()?);
    }
    let signed = names(parts);
    let signature = sign(SCOPE, &string_to_sign(parts, (&signed, payload), (DATE, SCOPE)));
    let text = format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{SCOPE},SignedHeaders={signed},Signature={signature}");
    parts.headers.insert("authorization", text.parse().ok()?);
    Some(signature)
}

fn with_query(parts: &mut Parts, query: &str) -> Option<()> {
    parts.uri = format!("{}?{query}", parts.uri.path()).parse().ok()?;
    Some(())
}

/// Makes the address a presigned one.
pub(super) fn presign(parts: &mut Parts) -> Option<()> {
    let signed = names(parts);
    let mut query = parts.uri.query().map(|query| format!("{query}&")).unwrap_or_default();
    query += &format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={DATE}&X-Amz-Expires=60&X-Amz-SignedHeaders={}",
        encode(format!("{ACCESS_KEY}/{SCOPE}").as_bytes(), true),
        encode(signed.as_bytes(), true),
    );
    with_query(parts, &query)?;
    let text = string_to_sign(parts, (&signed, "UNSIGNED-PAYLOAD"), (DATE, SCOPE));
    with_query(parts, &format!("{query}&X-Amz-Signature={}", sign(SCOPE, &text)))
}

/// Whether the request carries a signature that is right for it, whatever else may be wrong with it.
pub(super) fn is_signed(parts: &Parts) -> bool {
    let text = |name: &str| {
        parts
            .headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let pairs = query_pairs(parts);
    let in_query = |name: &str| {
        let found = pairs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| String::from_utf8_lossy(&decode(value)).into_owned())
    };
    let (credential, signed, signature, date, payload) = match text("authorization") {
        Some(line) => {
            let component = |name: &str| {
                let at = line.find(&format!("{name}="))? + name.len() + 1;
                line[at..].split(',').next().map(|value| value.trim().to_owned())
            };
            let written = text("x-amz-date").or_else(|| Some(super::book::from_http_date(&text("date")?)));
            (
                component("Credential"),
                component("SignedHeaders"),
                component("Signature"),
                written,
                text("x-amz-content-sha256"),
            )
        }
        None => {
            let own = || {
                text("x-amz-content-sha256")
                    .filter(|_| in_query("X-Amz-SignedHeaders").is_some_and(|s| s.contains("x-amz-content-sha256")))
            };
            let payload = in_query("X-Amz-Content-Sha256")
                .or_else(own)
                .or(Some("UNSIGNED-PAYLOAD".to_owned()));
            (
                in_query("X-Amz-Credential"),
                in_query("X-Amz-SignedHeaders"),
                in_query("X-Amz-Signature"),
                in_query("X-Amz-Date"),
                payload,
            )
        }
    };
    let (Some(credential), Some(signed), Some(signature), Some(date), Some(payload)) =
        (credential, signed, signature, date, payload)
    else {
        return false;
    };
    let Some(scope) = credential.strip_prefix(&format!("{ACCESS_KEY}/")) else {
        return false;
    };
    signature == sign(scope, &string_to_sign(parts, (&signed, &payload), (&date, scope)))
}

/// The body of signed chunks, with what the chain of signatures makes of it.
pub(super) fn signed_chunks(seed: &str, chunks: &[&[u8]], trailer: Option<(&str, &str)>) -> Vec<u8> {
    let (mut previous, mut out) = (seed.to_owned(), Vec::new());
    for chunk in chunks.iter().chain([&[].as_slice()]) {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{DATE}\n{SCOPE}\n{previous}\n{}\n{}",
            hex(&sha256(b"")),
            hex(&sha256(chunk))
        );
        previous = sign(SCOPE, &text);
        out.extend_from_slice(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).as_bytes());
        if !chunk.is_empty() {
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
    }
    if let Some((name, value)) = trailer {
        let hash = hex(&sha256(format!("{name}:{value}\n").as_bytes()));
        let text = format!("AWS4-HMAC-SHA256-TRAILER\n{DATE}\n{SCOPE}\n{previous}\n{hash}");
        out.extend_from_slice(
            format!("{name}:{value}\r\nx-amz-trailer-signature:{}\r\n", sign(SCOPE, &text)).as_bytes(),
        );
    }
    out.extend_from_slice(b"\r\n");
    out
}
