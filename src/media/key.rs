//! Keys of files in their app bucket: the file's id, then its name in a form that URLs take as it is.
//!
//! Owns their form. A key says neither who owns a file nor who may see it, so neither ever changes it.

use super::name::FileName;

/// Bytes of a key.
pub const KEY_BYTES_MAX: usize = 1_024;

/// Why a key that a client names was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("The key has more than {KEY_BYTES_MAX} bytes.")]
    TooLong,
    #[error("The key must not be empty, begin with /, or hold control characters, empty segments, . or ..")]
    Path,
}

/// The key of the file with this id and name: 32 hexadecimal digits, a slash, the name. The first segment is no option of an
/// image URL, which are never 32 digits and letters long.
pub fn key_of(id: &[u8; 16], name: &FileName) -> String {
    let id = hex_simd::encode_to_string(id, hex_simd::AsciiCase::Lower);
    let mut key = format!("{id}/{}", name.in_key());
    // A name of at most 255 bytes is never cut here; what is written for it is never longer.
    if key.len() > KEY_BYTES_MAX {
        key = format!("{id}/file");
    }
    key
}

/// Checks a key that a client names.
pub fn check_key(key: &str) -> Result<(), KeyError> {
    if key.len() > KEY_BYTES_MAX {
        return Err(KeyError::TooLong);
    }
    let mut segments = key.split('/');
    let is_path = segments.any(|segment| matches!(segment, "" | "." | "..")) || key.chars().any(char::is_control);
    if is_path { Err(KeyError::Path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{KEY_BYTES_MAX, KeyError, check_key, key_of};
    use crate::media::FileName;

    #[test]
    fn keys_of_clients_are_checked() {
        for key in ["", "/a", "a//b", "a/", "../a", "a/./b", "a\nb"] {
            assert_eq!(check_key(key), Err(KeyError::Path), "{key:?}");
        }
        assert_eq!(check_key(&"k".repeat(KEY_BYTES_MAX + 1)), Err(KeyError::TooLong));
        assert_eq!(check_key(&"k".repeat(KEY_BYTES_MAX)), Ok(()));
        assert_eq!(check_key("old/photo 1.png"), Ok(()));
    }

    proptest! {
        #[test]
        fn every_key_is_its_ids_own_and_no_option_of_an_image_url(id: [u8; 16], name in "\\PC{1,255}") {
            if let Ok(name) = FileName::parse(&name) {
                let key = key_of(&id, &name);
                prop_assert_eq!(check_key(&key), Ok(()));
                let (first, rest) = key.split_once('/').unwrap();
                prop_assert!(!rest.contains('/'));
                prop_assert_eq!(hex_simd::decode_to_vec(first).unwrap(), id.to_vec());
                // Sizes hold an x, words and filters other letters, a signature has 28 characters.
                prop_assert!(first.len() == 32 && !first.contains(['x', ':', '-', '=']));
            }
        }
    }
}
