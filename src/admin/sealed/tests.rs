use aws_lc_rs::digest::{SHA256, digest};

use bytes::Bytes;

use super::deriving::Sealer;
use super::*;
use crate::auth::SecretKey;

const PASSWORD: &[u8] = b"minioadmin";
const SUITES: [Suite; 3] = [
    Suite::Argon2idAes256Gcm,
    Suite::Argon2idChaCha20Poly1305,
    Suite::Pbkdf2Aes256Gcm,
];

fn header(suite: Suite) -> Header {
    Header {
        suite,
        salt: std::array::from_fn(|at| u8::try_from(at).unwrap()),
        prefix: std::array::from_fn(|at| 0x40 + u8::try_from(at).unwrap()),
    }
}

fn hex(bytes: &[u8]) -> String {
    hex_simd::encode_to_string(bytes, hex_simd::AsciiCase::Lower)
}

/// Derived once: the derivation is slow on purpose.
fn keys() -> [MessageKey; 2] {
    [Suite::Argon2idAes256Gcm, Suite::Pbkdf2Aes256Gcm].map(|suite| header(suite).derive(PASSWORD).unwrap())
}

fn key_of(keys: &[MessageKey; 2], suite: Suite) -> &MessageKey {
    match suite {
        Suite::Argon2idAes256Gcm | Suite::Argon2idChaCha20Poly1305 => &keys[0],
        Suite::Pbkdf2Aes256Gcm => &keys[1],
    }
}

#[test]
fn keys_and_bodies_are_those_of_minios_clients() {
    let keys = keys();
    assert_eq!(
        hex(keys[0].0.as_slice()),
        "143045b4e26f71193dd2f2f806438d47b4dfaa02357d625170ce6761570ab62b"
    );
    assert_eq!(
        hex(keys[1].0.as_slice()),
        "d91935347c5209c45d5649877ec300f8cb54cc6c49265db10b91ba98beead02d"
    );
    let short = [
        (
            "736a559343cdc2b374a72123d7fdac8143cc7b2d0d23999ee23a0e25d1149ea958549299",
            "333ecf5792d6449b3c9eeabc99647c1b",
        ),
        (
            "bc770628911976a48cd8984f25a1c69bcfeef0831e281f197aa8cc5a262e556ea406be22",
            "d02fe7bc3d601a4527abc251b4b5bf0b",
        ),
        (
            "3fa0036fe4aa323e0d0533574dc07a91d09eff41f7e0b5bf80f79729ede97188c0319122",
            "62c4315c03e206398b21d616e903a4e4",
        ),
    ];
    for (suite, (status, empty)) in SUITES.into_iter().zip(short) {
        let (header, key) = (header(suite), key_of(&keys, suite));
        let fragments = |text: &[u8]| hex(&header.seal(key, text).unwrap()[HEADER_BYTES..]);
        assert_eq!(fragments(br#"{"status":"enabled"}"#), status, "{suite:?}");
        assert_eq!(fragments(b""), empty, "{suite:?}");
    }
    let long = [
        (
            Suite::Argon2idAes256Gcm,
            16_384,
            16_441,
            "0687162f9556e2ff6268d6fc8cc58eef6a70e456c48bb29384b0b075c59cb08f",
        ),
        (
            Suite::Argon2idAes256Gcm,
            16_385,
            16_458,
            "61b33cc8362c5e06a0087c4e5d0a223b06bd2dfeca4c9242ef4d83abb72fea69",
        ),
        (
            Suite::Argon2idAes256Gcm,
            40_000,
            40_089,
            "f2b47fef533ca9f7917dce9547a9893bedd21b798197699e330e4efb8fc59004",
        ),
        (
            Suite::Argon2idChaCha20Poly1305,
            40_000,
            40_089,
            "128e2a764c4e5199fdfd1c644b24a7a0bec1e99482983728ecebe90fd8d1786c",
        ),
        (
            Suite::Pbkdf2Aes256Gcm,
            40_000,
            40_089,
            "66b46c71c0e894dcc10fe935c3e8fecbcc4ef5250ddaba5c5b027515289c3b6a",
        ),
    ];
    for (suite, length, whole, hash) in long {
        let body = header(suite).seal(key_of(&keys, suite), &vec![b'a'; length]).unwrap();
        assert_eq!(
            (body.len(), hex(digest(&SHA256, &body).as_ref()).as_str()),
            (whole, hash),
            "{suite:?}"
        );
    }
}

#[test]
fn every_length_around_a_fragment_opens_again() {
    let key = MessageKey::new([7; KEY_BYTES]);
    for suite in SUITES {
        for length in [0, 1, 16_383, 16_384, 16_385, 32_768, 40_000] {
            let text: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let body = header(suite).seal(&key, &text).unwrap();
            let (read, fragments) = Header::split(&body).unwrap();
            assert_eq!(read, header(suite));
            assert_eq!(
                read.open(&key, fragments).unwrap().as_slice(),
                text,
                "{suite:?} {length}"
            );
        }
    }
}

#[test]
fn a_body_that_is_cut_reordered_changed_or_anothers_does_not_open() {
    let (key, other) = (MessageKey::new([7; KEY_BYTES]), MessageKey::new([8; KEY_BYTES]));
    let sealed = FRAGMENT_BYTES + TAG_BYTES;
    for suite in SUITES {
        let header = header(suite);
        let body = header.seal(&key, &vec![b'a'; 3 * FRAGMENT_BYTES]).unwrap();
        let good = &body[HEADER_BYTES..];
        let refused = |fragments: &[u8], why: &str| {
            assert_eq!(
                header.open(&key, fragments).err(),
                Some(SealError::Wrong),
                "{suite:?} {why}"
            );
        };
        assert!(header.open(&key, good).is_ok());
        assert_eq!(header.open(&other, good).err(), Some(SealError::Wrong));
        for cut in [0, 1, 15, 16, sealed, sealed + 1, 2 * sealed, 3 * sealed - 1] {
            refused(&good[..cut], "cut");
        }
        let pieces: Vec<&[u8]> = good.chunks(sealed).collect();
        refused(&[pieces[1], pieces[0], pieces[2]].concat(), "reordered");
        refused(&[pieces[0], pieces[2]].concat(), "one left out");
        refused(&[good, &[0][..]].concat(), "one byte more");
        refused(&[good, pieces[2]].concat(), "the last one twice");
        for at in [0, sealed - 1, sealed, good.len() - 1] {
            let mut changed = good.to_vec();
            changed[at] ^= 1;
            refused(&changed, "changed");
        }
        let moved = Header {
            prefix: [1; PREFIX_BYTES],
            ..header
        };
        assert_eq!(moved.open(&key, good).err(), Some(SealError::Wrong), "another prefix");
    }
}

#[test]
fn what_is_no_sealed_body_is_known_by_its_header() {
    for body in [&b""[..], b"{}", &[0; HEADER_BYTES - 1], &[3; HEADER_BYTES + 16]] {
        assert_eq!(Header::split(body).err(), Some(SealError::Unknown), "{}", body.len());
    }
}

#[tokio::test]
async fn what_is_sealed_for_a_caller_opens_for_that_caller_only() {
    let (sealer, secret) = (Sealer::default(), SecretKey::new("granite-wall"));
    let body = sealer
        .seal("key", secret.clone(), Zeroizing::new(b"dry stone".to_vec()))
        .await
        .unwrap();
    let body = Bytes::from(body);
    assert_eq!(body[32], 0, "every client reads this suite");
    let opened = sealer.open("key", secret, body.clone()).await.unwrap();
    assert_eq!(opened.as_slice(), b"dry stone");
    let wrong = sealer.open("key", SecretKey::new("another"), body).await;
    assert_eq!(wrong.err(), Some(SealError::Wrong));
    let plain = sealer.open("key", SecretKey::new("a"), Bytes::from_static(b"{}")).await;
    assert_eq!(plain.err(), Some(SealError::Unknown));
}

#[tokio::test]
async fn an_access_key_that_asks_too_much_at_once_is_refused_and_holds_up_nobody_else() {
    let sealer = Sealer::default();
    let text = || Zeroizing::new(b"text".to_vec());
    let many = (0..60).map(|_| sealer.seal("busy", SecretKey::new("its secret"), text()));
    let other = sealer.seal("other", SecretKey::new("another secret"), text());
    let (many, other) = futures::future::join(futures::future::join_all(many), other).await;
    assert!(other.is_ok());
    let refused = many.iter().filter(|sealed| matches!(sealed, Err(SealError::Busy)));
    assert!(refused.count() > 0);
    assert!(many.iter().filter(|sealed| sealed.is_ok()).count() >= 16);
    // Who waited is let in afterwards.
    assert!(sealer.seal("busy", SecretKey::new("its secret"), text()).await.is_ok());
}
