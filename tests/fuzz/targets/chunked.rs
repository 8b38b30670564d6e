//! The aws-chunked decoder: unsigned against a second decoder that has the whole body before it, signed against bodies
//! that the second implementation of the signature made and one edit may have changed.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use drystone::auth::Payload;
use http::Request;
use http::request::Parts;
use http_body::{Body, Frame};
use http_body_util::StreamBody;

use super::second;
use super::signature::{NOW, authenticator, parse};

const TRAILER: &str = "x-amz-checksum-crc32";

/// Bytes and trailer that come out, if all of it is right.
fn decoded(parts: &Parts, body: &[u8], step: usize) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let frames: Vec<Bytes> = body.chunks(step.max(1)).map(Bytes::copy_from_slice).collect();
    let frames = frames.into_iter().map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
    let request = Request::from_parts(parts.clone(), StreamBody::new(futures::stream::iter(frames)));
    let request = authenticator().authenticate_at(request, NOW).ok()?.request;
    let payload = request.extensions().get::<Payload>().unwrap().clone();
    let mut body = pin!(request.into_body());
    let mut bytes = Vec::new();
    loop {
        let mut frame = pin!(poll_fn(|cx| body.as_mut().poll_frame(cx)));
        match frame.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => panic!("the source is always ready"),
            Poll::Ready(Some(Ok(frame))) => bytes.extend_from_slice(&frame.into_data().unwrap()),
            Poll::Ready(Some(Err(_))) => {
                assert!(
                    payload.trailers.received().is_none(),
                    "trailers of a body that ended in an error"
                );
                return None;
            }
            Poll::Ready(None) => {
                let trailers = payload.trailers.received();
                let trailer = trailers
                    .and_then(|all| all.get(TRAILER))
                    .map(|value| value.as_bytes().to_vec());
                assert_eq!(payload.decoded_length, Some(bytes.len() as u64));
                return Some((bytes, trailer));
            }
        }
    }
}

fn line<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let at = rest.iter().position(|byte| *byte == b'\n')?;
    let (line, after) = rest.split_at(at + 1);
    *rest = after;
    Some(line)
}

/// Chunks, then at most the announced trailer, then nothing but line ends.
fn by_the_book(mut rest: &[u8], declared: usize, announced: bool) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let (mut bytes, mut trailer) = (Vec::new(), None);
    loop {
        let size = line(&mut rest)
            .filter(|line| line.len() <= 256)?
            .strip_suffix(b"\r\n")?;
        let digits = !size.is_empty() && size.len() <= 16 && size.iter().all(u8::is_ascii_hexdigit);
        let size = digits.then(|| u64::from_str_radix(std::str::from_utf8(size).unwrap(), 16).unwrap())?;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size)
            .ok()
            .filter(|size| *size <= declared - bytes.len())?;
        bytes.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
    if bytes.len() != declared || rest.len() > 8 * 1024 {
        return None;
    }
    while !rest.is_empty() {
        let text = line(&mut rest)?;
        let text = text.strip_suffix(b"\r\n").or(text.strip_suffix(b"\n"))?;
        if text.is_empty() {
            return (rest.iter().all(|byte| b"\r\n".contains(byte)) && trailer.is_some() == announced)
                .then_some((bytes, trailer));
        }
        let (name, value) = std::str::from_utf8(text).ok()?.split_once(':')?;
        let value = value.trim_matches([' ', '\t']).as_bytes();
        let sendable = value
            .iter()
            .all(|byte| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f));
        if !announced || !name.eq_ignore_ascii_case(TRAILER) || !sendable || trailer.is_some() {
            return None;
        }
        trailer = Some(value.to_vec());
    }
    (trailer.is_some() == announced).then_some((bytes, trailer))
}

fn upload(payload: &str, declared: usize, announced: bool) -> Parts {
    let trailer = if announced {
        format!("x-amz-trailer: {TRAILER}\n")
    } else {
        String::new()
    };
    let text = format!(
        "PUT /b/k\nhost: localhost\nx-amz-content-sha256: {payload}\nx-amz-decoded-content-length: {declared}\n{trailer}"
    );
    parse(text.as_bytes()).unwrap()
}

/// Input: whether a trailer is announced, length declared, where the source is cut, body.
pub(super) fn unsigned(data: &[u8]) {
    let Some(([announced, declared, step], body)) = data.split_first_chunk() else {
        return;
    };
    let (announced, declared, step) = (announced % 2 == 1, usize::from(*declared), usize::from(*step));
    let parts = upload("STREAMING-UNSIGNED-PAYLOAD-TRAILER", declared, announced);
    let expected = by_the_book(body, declared, announced);
    assert_eq!(decoded(&parts, body, usize::MAX), expected, "whole");
    assert_eq!(decoded(&parts, body, step), expected, "in pieces of {step}");
}

/// Input: with a trailer or not, length of chunks, cut of the source, what is changed where, data.
pub(super) fn signed(data: &[u8]) {
    let Some(([announced, chunk, step, change, high, low], data)) = data.split_first_chunk() else {
        return;
    };
    let announced = announced % 2 == 1;
    let mode = if announced {
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    } else {
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    };
    let mut parts = upload(mode, data.len(), announced);
    let seed = second::sign_headers(&mut parts, mode).unwrap();
    let chunks: Vec<&[u8]> = data.chunks(usize::from(*chunk).max(1)).collect();
    let trailer = announced.then_some((TRAILER, "AAAAAA=="));
    let mut body = second::signed_chunks(&seed, &chunks, trailer);
    let at = (usize::from(*high) << 8 | usize::from(*low)) % body.len();
    body[at] ^= change;
    let expected = (data.to_vec(), trailer.map(|(_, value)| value.as_bytes().to_vec()));
    match decoded(&parts, &body, usize::from(*step)) {
        // A changed line may still say the same, in capital digits for example.
        Some(found) => assert_eq!(found, expected, "changed and taken"),
        None => assert_ne!(*change, 0, "refused although nothing was changed"),
    }
}
