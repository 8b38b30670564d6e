//! Signature Version 4 against a second implementation: what the second one signs is taken, and what is taken is right
//! by the second one.
//!
//! The first byte of an input says what happens to the request that follows as text: signed in its headers, presigned,
//! signed and then changed in one place, or sent as it is.

use std::sync::Arc;

use bytes::Bytes;
use drystone::auth::{AuthError, Authenticator, Identity, RootCredentials, SecretKey};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use time::OffsetDateTime;
use time::macros::datetime;

use super::second;

pub(super) const NOW: OffsetDateTime = datetime!(2013-05-24 00:00:00 UTC);

pub(super) fn authenticator() -> Authenticator {
    let root = RootCredentials::new(second::ACCESS_KEY, SecretKey::new(second::SECRET));
    Authenticator::new(Arc::new(root), None).unwrap()
}

/// The head of a request written as lines; `None` if HTTP itself cannot carry it.
pub(super) fn parse(text: &[u8]) -> Option<Parts> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let (method, target) = (first.next()?, first.next()?);
    let mut request = Request::builder().method(method).uri(target).body(()).ok()?;
    for line in lines.take_while(|line| !line.is_empty()) {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..at]).ok()?;
        let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request.into_parts().0)
}

pub(super) fn text_of(parts: &Parts) -> Vec<u8> {
    let mut text = format!("{} {}\n", parts.method, parts.uri).into_bytes();
    for (name, value) in &parts.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.push(b'\n');
    }
    text
}

fn verdict(parts: &Parts) -> Result<Identity, AuthError> {
    let request = Request::from_parts(parts.clone(), Full::new(Bytes::new()));
    authenticator()
        .authenticate_at(request, NOW)
        .map(|known| known.identity)
}

/// Nobody gets in without a signature that is right by the second implementation.
fn taken_only_if_right(parts: &Parts) {
    if verdict(parts).is_ok_and(|identity| identity == Identity::Root) {
        assert!(second::is_signed(parts), "taken without a right signature: {parts:?}");
    }
}

pub(super) fn signature(data: &[u8]) {
    let Some((mode, text)) = data.split_first() else { return };
    let Some(mut parts) = parse(text) else { return };
    let presigned = match mode % 4 {
        0 | 2 => second::sign_headers(&mut parts, "UNSIGNED-PAYLOAD").map(|_| ()),
        1 => second::presign(&mut parts),
        _ => return taken_only_if_right(&parts),
    };
    if presigned.is_none() {
        return;
    }
    if mode % 4 == 2 {
        let mut text = text_of(&parts);
        let change = data
            .iter()
            .rev()
            .take(3)
            .fold(0, |number, byte| (number << 8) | usize::from(*byte));
        let at = (change >> 8) % text.len();
        text[at] ^= (change as u8).max(1);
        return parse(&text).iter().for_each(taken_only_if_right);
    }
    match verdict(&parts) {
        Ok(Identity::Root) => {}
        Ok(Identity::Anonymous) => panic!("a signed request counts as anonymous"),
        Ok(Identity::Caller(_)) => panic!("root's key counts as somebody else's"),
        // The signature is right by the second implementation. Other things may be wrong with the request.
        Err(error) => assert_ne!(error.code(), "SignatureDoesNotMatch", "{parts:?}"),
    }
}
