//! The signature of an image's URL, as thumbor's clients make it: HMAC-SHA1 over all that follows it, URL-safe base64. Pure.

use aws_lc_rs::{constant_time, hmac};

use crate::auth::SecretKey;

/// Signs what stands behind the signature in a URL: options and key as they stand there.
pub fn signature(key: &SecretKey, signed: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.expose());
    let tag = hmac::sign(&key, signed.as_bytes());
    base64_simd::URL_SAFE.encode_to_string(tag.as_ref())
}

/// Whether this is the signature of `signed`. Takes as long for a wrong one as for the right one.
pub fn is_signed(key: &SecretKey, signature_given: &str, signed: &str) -> bool {
    let expected = signature(key, signed);
    constant_time::verify_slices_are_equal(expected.as_bytes(), signature_given.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_thumbor() {
        // As Python's hmac and base64 make it, with which thumbor and its clients do.
        let key = SecretKey::new(b"my-security-key".to_vec());
        let signed = "300x200/smart/path/to/image.jpg";
        let made = signature(&key, signed);
        assert_eq!(made, "TaWoUq6tvBe2HywzAULy6_Np-2k=");
        assert!(is_signed(&key, &made, signed));
        assert!(!is_signed(&key, &made, "300x201/smart/path/to/image.jpg"));
        assert!(!is_signed(&SecretKey::new(b"another".to_vec()), &made, signed));
        assert!(!is_signed(&key, "", signed));
    }
}
