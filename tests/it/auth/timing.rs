//! Time must not tell an access key that exists from one that does not.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use drystone::auth::sign::{Signer, body_hash};
use drystone::auth::{Authenticator, PayloadMode, SecretKey};
use http::Request;
use http_body_util::Full;

use super::{ACCESS_KEY, NOW, authenticator, request, signer};

const SAMPLES: usize = 3_000;
const ROUNDS: usize = 20;

fn signed_by(signer: &Signer) -> Request<Full<Bytes>> {
    let headers = [("host", "localhost:9000"), ("x-amz-meta-color", "blue")];
    let (mut parts, body) = request("GET", "/bucket/some/key?versionId=1", &headers, b"").into_parts();
    signer
        .sign(&mut parts, &PayloadMode::SignedBody(body_hash(b"")), NOW)
        .unwrap();
    Request::from_parts(parts, body)
}

fn once(authenticator: &Authenticator, request: &Request<Full<Bytes>>) -> Duration {
    let request = request.clone();
    let start = Instant::now();
    let _ = black_box(authenticator.authenticate_at(request, NOW));
    start.elapsed()
}

fn median(mut samples: Vec<Duration>) -> f64 {
    samples.sort_unstable();
    samples[samples.len() / 2].as_secs_f64() * 1e6
}

/// Medians in microseconds of an unknown key, of a wrong secret, and of a right one; taken in turns.
fn medians() -> [f64; 3] {
    let authenticator = authenticator(None);
    let wrong_secret = SecretKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEZ");
    let requests = [
        signed_by(&Signer::new("AKIAIOSFODNN7EXAMPLF", wrong_secret.clone(), "us-east-1")),
        signed_by(&Signer::new(ACCESS_KEY, wrong_secret, "us-east-1")),
        signed_by(&signer()),
    ];
    // The key in daily use is in the cache, as it would be on a server.
    assert!(authenticator.authenticate_at(requests[2].clone(), NOW).is_ok());
    let mut samples = [const { Vec::new() }; 3];
    for _ in 0..SAMPLES {
        for (samples, request) in samples.iter_mut().zip(&requests) {
            samples.push(once(&authenticator, request));
        }
    }
    samples.map(median)
}

#[test]
fn an_unknown_key_takes_as_long_as_a_wrong_secret() {
    let mut seen = Vec::new();
    // Other tests run beside this one: one quiet round is enough, a leak shows in every round.
    for _ in 0..ROUNDS {
        let [unknown, wrong, right] = medians();
        seen.push([unknown, wrong, right]);
        if (unknown / wrong - 1.0).abs() <= 0.05 {
            println!("medians in µs: unknown key {unknown:.1}, wrong secret {wrong:.1}, accepted {right:.1}");
            return;
        }
    }
    panic!("unknown key, wrong secret, accepted: medians in µs {seen:?}");
}
