//! The signature of a delivery, in the form of Standard Webhooks. Pure.

use aws_lc_rs::hmac;

/// What the text of a secret begins with.
const SECRET_PREFIX: &[u8] = b"whsec_";

/// The value of `webhook-signature`: what only who knows the secret can have made of id, second and body. `None`: the
/// secret is none.
pub(super) fn signature(secret: &[u8], id: &str, second: u64, body: &[u8]) -> Option<String> {
    let coded = secret.strip_prefix(SECRET_PREFIX)?;
    let key = base64_simd::STANDARD.decode_to_vec(coded).ok()?;
    let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    signing.update(format!("{id}.{second}.").as_bytes());
    signing.update(body);
    Some(format!("v1,{}", base64_simd::STANDARD.encode_to_string(signing.sign())))
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn it_is_that_of_the_published_example() {
        // The test vector of the Standard Webhooks libraries.
        let secret = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = b"{\"test\": 2432232314}";
        assert_eq!(
            signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).as_deref(),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
    }

    #[test]
    fn what_is_no_secret_signs_nothing() {
        for wrong in [&b"MfKQ9r8G"[..], b"whsec_!", b""] {
            assert_eq!(signature(wrong, "a", 1, b""), None);
        }
    }
}
