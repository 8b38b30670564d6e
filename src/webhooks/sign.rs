//! The signature of a delivery, in the form of Standard Webhooks. Pure.

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

/// What the text of a secret begins with.
const SECRET_PREFIX: &[u8] = b"whsec_";

/// Bytes of the key of a secret that an operator makes, as Standard Webhooks would have it.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Whether a text is a secret as an operator may make one.
pub fn is_secret(text: &str) -> bool {
    key(text.as_bytes()).is_some_and(|key| KEY_BYTES.contains(&key.len()))
}

fn key(secret: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let coded = secret.strip_prefix(SECRET_PREFIX)?;
    base64_simd::STANDARD.decode_to_vec(coded).ok().map(Zeroizing::new)
}

/// A signature in the making, of a body that comes in pieces.
pub struct Signing {
    of: hmac::Context,
    id: String,
    second: u64,
}

impl Signing {
    /// Of the message `id`, sent at `second` since 1970. `None`: the secret is none.
    pub fn begin(secret: &[u8], id: String, second: u64) -> Option<Self> {
        let mut of = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key(secret)?));
        of.update(format!("{id}.{second}.").as_bytes());
        Some(Self { of, id, second })
    }

    pub fn update(&mut self, piece: &[u8]) {
        self.of.update(piece);
    }

    /// What only who knows the secret can have made of id, second and body.
    fn signature(self) -> (String, u64, String) {
        let signature = base64_simd::STANDARD.encode_to_string(self.of.sign());
        (self.id, self.second, format!("v1,{signature}"))
    }

    /// Says it in the headers of Standard Webhooks. `None`: the id can stand in no header.
    pub fn say(self, headers: &mut HeaderMap) -> Option<()> {
        let (id, second, signature) = self.signature();
        for (name, text) in [
            ("webhook-id", id),
            ("webhook-timestamp", second.to_string()),
            ("webhook-signature", signature),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(text).ok()?);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Signing, is_secret};

    /// Of a body that comes in two pieces.
    fn signature(secret: &[u8], body: &[u8]) -> Option<String> {
        let mut signing = Signing::begin(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(), 1_614_265_330)?;
        let (first, last) = body.split_at(body.len() / 2);
        signing.update(first);
        signing.update(last);
        Some(signing.signature().2)
    }

    #[test]
    fn it_is_that_of_the_published_example() {
        // The test vector of the Standard Webhooks libraries.
        let secret = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = b"{\"test\": 2432232314}";
        assert_eq!(
            signature(secret, body).unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn what_is_no_secret_signs_nothing() {
        for wrong in [&b"MfKQ9r8G"[..], b"whsec_!", b""] {
            assert_eq!(signature(wrong, b""), None);
        }
    }

    #[test]
    fn a_secret_of_an_operator_has_the_length_that_the_standard_names() {
        let text = |bytes: usize| format!("whsec_{}", base64_simd::STANDARD.encode_to_string(vec![7; bytes]));
        for (bytes, taken) in [(23, false), (24, true), (64, true), (65, false)] {
            assert_eq!(is_secret(&text(bytes)), taken, "{bytes}");
        }
        assert!(!is_secret(&text(32).replace("whsec_", "")));
    }
}
