//! The aws-chunked decoder through the body the routes read: cut anywhere, lied to, and fed garbage.

use std::convert::Infallible;

use bytes::Bytes;
use drystone::auth::{AuthBody, Payload, PayloadMode};
use futures::stream;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use proptest::prelude::*;
use proptest::sample::Index;

use super::{NOW, authenticator, outcome, read_on, request, signer};

const HOST: (&str, &str) = ("host", "localhost:9000");
const MODES: [PayloadMode; 3] = [
    PayloadMode::StreamingSigned,
    PayloadMode::StreamingSignedTrailer,
    PayloadMode::StreamingUnsignedTrailer,
];

/// A signed PUT and its encoded body, chunk by chunk and with the end last.
fn upload(mode: &PayloadMode, chunks: &[&[u8]], declared: usize) -> (http::request::Parts, Vec<Bytes>) {
    let declared = declared.to_string();
    let mut headers = vec![HOST, ("x-amz-decoded-content-length", declared.as_str())];
    let mut trailers = vec![];
    if *mode != PayloadMode::StreamingSigned {
        headers.push(("x-amz-trailer", "x-amz-checksum-crc32,x-amz-checksum-sha256"));
        trailers.extend([
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("x-amz-checksum-sha256", "c2hhMjU2"),
        ]);
    }
    let (mut parts, _) = request("PUT", "/b/k", &headers, b"").into_parts();
    let mut writer = signer().sign(&mut parts, mode, NOW).unwrap();
    let mut pieces: Vec<Bytes> = chunks.iter().map(|chunk| writer.chunk(chunk)).collect();
    pieces.push(writer.finish(&trailers));
    (parts, pieces)
}

fn sent(parts: &http::request::Parts, body: &[u8]) -> Result<Vec<u8>, &'static str> {
    outcome(Request::from_parts(
        parts.clone(),
        Full::new(Bytes::copy_from_slice(body)),
    ))
}

/// The same bytes, in frames cut at `cuts`.
fn framed(body: &[u8], cuts: &[Index]) -> Vec<Bytes> {
    let mut at: Vec<usize> = cuts
        .iter()
        .map(|cut| cut.index(body.len() + 1))
        .chain([0, body.len()])
        .collect();
    at.sort_unstable();
    at.windows(2)
        .map(|pair| Bytes::copy_from_slice(&body[pair[0]..pair[1]]))
        .collect()
}

fn authenticated(parts: http::request::Parts, frames: Vec<Bytes>) -> (AuthBody, Payload) {
    let frames = frames.into_iter().map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
    let request = Request::from_parts(parts, StreamBody::new(stream::iter(frames)));
    let authenticated = authenticator(None)
        .authenticate_at(request, NOW)
        .unwrap_or_else(|error| panic!("{error}"));
    let payload = authenticated.request.extensions().get::<Payload>().unwrap().clone();
    (authenticated.request.into_body(), payload)
}

fn mode() -> impl Strategy<Value = PayloadMode> {
    prop_oneof![Just(MODES[0].clone()), Just(MODES[1].clone()), Just(MODES[2].clone())]
}

proptest! {
    #[test]
    fn a_body_decodes_the_same_however_it_is_cut(
        mode in mode(),
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..6),
        cuts in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let plain = chunks.concat();
        let (parts, pieces) = upload(&mode, &chunks, plain.len());
        let (body, payload) = authenticated(parts, framed(&pieces.concat(), &cuts));
        let (bytes, error) = read_on(body);
        prop_assert!(error.is_none(), "{error:?}");
        prop_assert_eq!(bytes, plain);
        let trailers = payload.trailers.received().map_or(0, HeaderMap::len);
        prop_assert_eq!(trailers, if mode == PayloadMode::StreamingSigned { 0 } else { 2 });
    }

    #[test]
    fn a_body_that_ends_in_an_error_was_never_given_out_whole(
        mode in mode(),
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 1..5),
        cuts in prop::collection::vec(any::<Index>(), 0..20),
        (at, flip) in (any::<Index>(), 1_u8..),
    ) {
        let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let plain = chunks.concat();
        let (parts, pieces) = upload(&mode, &chunks, plain.len());
        let mut broken = pieces.concat();
        let at = at.index(broken.len());
        broken[at] ^= flip;
        let (body, payload) = authenticated(parts, framed(&broken, &cuts));
        let (bytes, error) = read_on(body);
        match error {
            Some(_) => {
                prop_assert!(bytes.len() < plain.len(), "all of it was given out, and then an error");
                prop_assert!(payload.trailers.received().is_none());
            }
            // An unsigned body does not protect its data, and line ends and letters of a name have spellings.
            None => prop_assert!(mode == PayloadMode::StreamingUnsignedTrailer || bytes == plain),
        }
    }

    #[test]
    fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..300), declared in 0_usize..100, mode in mode()) {
        let (parts, _) = upload(&mode, &[], declared);
        let (bytes, error) = read_on(authenticated(parts, vec![Bytes::from(body)]).0);
        prop_assert!(error.is_some() || declared == 0 && bytes.is_empty());
    }

    #[test]
    fn framing_of_garbage_never_panics(body in "[0-9a-f;\r\n:x-]{0,80}", declared in 0_usize..100, mode in mode()) {
        let (parts, _) = upload(&mode, &[], declared);
        let (bytes, error) = read_on(authenticated(parts, vec![Bytes::from(body)]).0);
        prop_assert!(error.is_some() || bytes.len() == declared);
    }
}

#[test]
fn chunks_in_another_order_are_refused() {
    for mode in [PayloadMode::StreamingSigned, PayloadMode::StreamingSignedTrailer] {
        let (parts, pieces) = upload(&mode, &[b"one", b"two", b"six"], 9);
        let order = |order: [usize; 4]| sent(&parts, &order.map(|i| pieces[i].clone()).concat());
        assert_eq!(order([0, 1, 2, 3]), Ok(b"onetwosix".to_vec()));
        assert_eq!(order([1, 0, 2, 3]), Err("SignatureDoesNotMatch"));
        assert_eq!(order([0, 2, 1, 3]), Err("SignatureDoesNotMatch"));
        assert_eq!(order([0, 0, 1, 3]), Err("SignatureDoesNotMatch"));
    }
}

#[test]
fn a_missing_chunk_is_refused() {
    for mode in MODES {
        let (parts, pieces) = upload(&mode, &[b"one", b"two"], 6);
        assert_eq!(
            sent(&parts, &pieces[..2].concat()),
            Err("IncompleteBody"),
            "the last one, {mode:?}"
        );
        assert_eq!(
            sent(&parts, &pieces[..1].concat()),
            Err("IncompleteBody"),
            "all but the first, {mode:?}"
        );
        assert_eq!(sent(&parts, b""), Err("IncompleteBody"), "all, {mode:?}");
        let first_and_end = [pieces[0].clone(), pieces[2].clone()].concat();
        assert!(sent(&parts, &first_and_end).is_err(), "the second, {mode:?}");
    }
}

#[test]
fn a_body_of_another_length_than_declared_is_refused() {
    for mode in MODES {
        for declared in [0, 5, 7, 1 << 40] {
            let (parts, pieces) = upload(&mode, &[b"one", b"two"], declared);
            assert_eq!(
                sent(&parts, &pieces.concat()),
                Err("IncompleteBody"),
                "{declared}, {mode:?}"
            );
        }
    }
}

#[test]
fn a_chunk_may_not_lie_about_its_size() {
    let unsigned = PayloadMode::StreamingUnsignedTrailer;
    let (parts, _) = upload(&unsigned, &[], 5);
    let end = "0\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-sha256:c2hhMjU2\r\n\r\n";
    let with = |line: &str| sent(&parts, format!("{line}\r\nbytes\r\n{end}").as_bytes());
    assert_eq!(with("5"), Ok(b"bytes".to_vec()));
    assert_eq!(with("00000005"), Ok(b"bytes".to_vec()));
    assert_eq!(with("4"), Err("InvalidRequest"));
    for huge in ["6", "ffffffff", "ffffffffffffffff", "7fffffffffffffff"] {
        assert_eq!(with(huge), Err("IncompleteBody"), "{huge}");
    }
    for no_size in ["", "-5", "+5", "0x5", "5 ", " 5", "g", "10000000000000005", "\u{fc}"] {
        assert_eq!(with(no_size), Err("InvalidChunkSizeError"), "{no_size}");
    }
    assert_eq!(with("5;chunk-signature=00"), Err("InvalidRequest"));
    assert_eq!(with(&"5".repeat(300)), Err("InvalidRequest"));
    // A big chunk that is announced, and then the connection ends: no object, whatever was signed before.
    for mode in MODES {
        let (parts, _) = upload(&mode, &[], 1 << 30);
        let line = if mode == unsigned {
            "40000000\r\n".to_owned()
        } else {
            format!("40000000;chunk-signature={:064}\r\n", 0)
        };
        assert_eq!(
            sent(&parts, format!("{line}bytes").as_bytes()),
            Err("IncompleteBody"),
            "{mode:?}"
        );
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    for mode in MODES {
        let (parts, pieces) = upload(&mode, &[b"one"], 3);
        let whole = pieces.concat();
        assert!(sent(&parts, &[&whole, b"\r\n".as_slice()].concat()).is_ok());
        for more in [b"x".as_slice(), b"\r\nx", b"0\r\n\r\n", &[b'\n'; 9000]] {
            assert!(sent(&parts, &[&whole, more].concat()).is_err(), "{mode:?}");
        }
    }
}

#[test]
fn trailers_must_be_the_announced_ones() {
    let unsigned = PayloadMode::StreamingUnsignedTrailer;
    let (parts, _) = upload(&unsigned, &[], 1);
    let with = |trailers: &str| sent(&parts, format!("1\r\nx\r\n0\r\n{trailers}").as_bytes());
    let (crc, sha) = ("x-amz-checksum-crc32:AAAAAA==", "x-amz-checksum-sha256:c2hhMjU2");
    assert!(with(&format!("{crc}\r\n{sha}\r\n\r\n")).is_ok());
    assert!(with(&format!("{sha}\r\n{crc}\r\n\r\n")).is_ok(), "in any order");
    assert!(
        with(&format!("{crc}\n{sha}\n\r\n\r\n")).is_ok(),
        "with the line ends of one well-known client"
    );
    for trailers in [
        "\r\n".to_owned(),
        String::new(),
        format!("{crc}\r\n\r\n"),
        format!("{crc}\r\n{sha}"),
        format!("{crc}\r\n{crc}\r\n{sha}\r\n\r\n"),
        format!("{crc}\r\n{sha}\r\nx-amz-checksum-sha1:AA==\r\n\r\n"),
        format!("{crc}\r\n{sha}\r\nx-amz-meta-a:b\r\n\r\n"),
        format!("{crc}\r\n{sha}\r\nx-amz-trailer-signature:{:064}\r\n\r\n", 0),
        format!("{crc}\r\n{sha}\r\nno colon\r\n\r\n"),
        format!("{crc}\r\n{sha}:{}\r\n\r\n", "x".repeat(9000)),
    ] {
        assert_eq!(with(&trailers), Err("MalformedTrailerError"), "{:.80}", trailers);
    }
}

#[test]
fn a_signed_trailer_needs_its_signature() {
    let mode = PayloadMode::StreamingSignedTrailer;
    let (parts, pieces) = upload(&mode, &[b"one"], 3);
    let whole = String::from_utf8(pieces.concat()).unwrap();
    assert!(sent(&parts, whole.as_bytes()).is_ok());
    let (before, signature) = whole.split_once("x-amz-trailer-signature").unwrap();
    assert_eq!(
        sent(&parts, format!("{before}\r\n").as_bytes()),
        Err("MalformedTrailerError")
    );
    assert_eq!(sent(&parts, before.as_bytes()), Err("MalformedTrailerError"));
    let empty_line = format!("{before}\r\nx-amz-trailer-signature{signature}");
    assert!(
        sent(&parts, empty_line.as_bytes()).is_ok(),
        "one well-known client sends an empty line before it"
    );
    let changed = whole.replace("AAAAAA==", "BAAAAA==");
    assert_eq!(sent(&parts, changed.as_bytes()), Err("SignatureDoesNotMatch"));
    let after = whole.replace("\r\n\r\n", "\r\nx-amz-checksum-crc32:BAAAAA==\r\n\r\n");
    assert_eq!(sent(&parts, after.as_bytes()), Err("MalformedTrailerError"));
    let twice = whole.replace("\r\n\r\n", &format!("\r\nx-amz-trailer-signature{signature}"));
    assert_eq!(sent(&parts, twice.as_bytes()), Err("MalformedTrailerError"));
}

#[test]
fn a_signed_body_of_plain_chunks_is_refused() {
    for mode in [PayloadMode::StreamingSigned, PayloadMode::StreamingSignedTrailer] {
        let (parts, _) = upload(&mode, &[], 5);
        assert_eq!(sent(&parts, b"5\r\nbytes\r\n0\r\n\r\n"), Err("InvalidRequest"));
        assert_eq!(
            sent(&parts, b"5;chunk-signature=\r\nbytes\r\n0\r\n\r\n"),
            Err("SignatureDoesNotMatch")
        );
        assert_eq!(sent(&parts, b"5;x=y\r\nbytes\r\n0\r\n\r\n"), Err("InvalidRequest"));
    }
}
