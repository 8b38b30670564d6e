//! Keys of files in their app bucket: the file's id, then its name in a form that URLs take as it is.
//!
//! Owns their form. A key says neither who owns a file nor who may see it, so neither ever changes it.

use super::name::FileName;

/// Bytes of a key.
pub const KEY_BYTES_MAX: usize = 1_024;

/// Digits of the id that a key begins with.
const ID_DIGITS: usize = 32;

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

/// Whether a key has the form that [`key_of`] gives: no client makes one up, so it is that of a file which is announced, was,
/// or is in the trash.
pub fn is_of_file(key: &str) -> bool {
    key.split_once('/').is_some_and(|(id, _)| {
        id.len() == ID_DIGITS && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
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

    use super::{KEY_BYTES_MAX, KeyError, check_key, is_of_file, key_of};
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

    #[test]
    fn keys_that_clients_make_up_are_not_those_of_files() {
        let id = "0123456789abcdef0123456789abcdef";
        assert!(is_of_file(&format!("{id}/a.png")));
        for key in [
            id.to_owned(),
            format!("x/{id}/a.png"),
            format!("{}/a.png", id.to_uppercase()),
            format!("{id}0/a.png"),
            "01234567-89ab-cdef-0123-456789abcdef-a.png".to_owned(),
            "a.png".to_owned(),
        ] {
            assert!(!is_of_file(&key), "{key}");
        }
    }

    proptest! {
        #[test]
        fn every_key_is_its_ids_own_and_no_option_of_an_image_url(id: [u8; 16], name in "\\PC{1,255}") {
            if let Ok(name) = FileName::parse(&name) {
                let key = key_of(&id, &name);
                prop_assert_eq!(check_key(&key), Ok(()));
                prop_assert!(is_of_file(&key));
                let (first, rest) = key.split_once('/').unwrap();
                prop_assert!(!rest.contains('/'));
                prop_assert_eq!(hex_simd::decode_to_vec(first).unwrap(), id.to_vec());
                // Sizes hold an x, words and filters other letters, a signature has 28 characters.
                prop_assert!(first.len() == 32 && !first.contains(['x', ':', '-', '=']));
            }
        }
    }
}
