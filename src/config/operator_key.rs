//! A key that the operator keeps outside the store, in MinIO's form of `MINIO_KMS_SECRET_KEY`.

use std::fmt;

use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const NAME_BYTES_MAX: usize = 128;

/// A named key of 32 bytes: wiped when dropped, its bytes never printed.
#[derive(Clone)]
pub struct OperatorKey {
    name: String,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl OperatorKey {
    /// Reads `name:base64` of 32 bytes; `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, encoded) = text.trim().split_once(':')?;
        let bytes = Zeroizing::new(base64_simd::STANDARD.decode_to_vec(encoded.as_bytes()).ok()?);
        let key = Zeroizing::new(bytes.as_slice().try_into().ok()?);
        let named = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
        named.then(|| Self {
            name: name.to_owned(),
            key,
        })
    }

    /// The name it goes by; no secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key itself. Whoever calls this answers for where it goes.
    pub fn key(&self) -> &[u8] {
        self.key.as_slice()
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorKey({}, [redacted])", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::OperatorKey;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn a_key_is_a_name_and_32_bytes() {
        let key = OperatorKey::parse(&format!("my-key:{KEY}\n")).unwrap();
        assert_eq!(
            (key.name(), key.key()),
            ("my-key", (0..32).collect::<Vec<u8>>().as_slice())
        );
        assert_eq!(format!("{key:?}"), "OperatorKey(my-key, [redacted])");
        for bad in [
            "",
            KEY,
            &format!(":{KEY}"),
            "my-key:AAEC",
            "my-key:nonsense!",
            "my-key:",
        ] {
            assert!(OperatorKey::parse(bad).is_none(), "{bad}");
        }
    }
}
