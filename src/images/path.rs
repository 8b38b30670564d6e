//! Reads an image's URL: its signature, its options or its preset, and the key of the file. Pure.
//!
//! Options are read as they stand, the key with its escapes undone: so a key whose first folder looks like an option is
//! still reached, by escaping a letter of that folder.

use percent_encoding::percent_decode_str;

use super::limits::PATH_BYTES_MAX;
use super::options::{Options, OptionsError, take};

/// Characters of an HMAC-SHA1 in URL-safe base64, the last being the padding.
const SIGNATURE_CHARS: usize = 28;

/// What the URL of an image says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePath<'a> {
    pub proof: Proof<'a>,
    pub wish: Wish<'a>,
    /// The key of the file, its escapes undone. Never empty.
    pub key: String,
}

/// Who says that this image may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof<'a> {
    /// Nobody: `unsafe`, or nothing at all.
    None,
    /// Whoever has the key of the project, if this is its signature of what follows it.
    Signed { signature: &'a str, signed: &'a str },
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish<'a> {
    /// The file as it is.
    Original,
    Made(Box<Options>),
    /// What the project calls by this name.
    Preset(&'a str),
}

/// Why a path is none of an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error("the path of an image has {PATH_BYTES_MAX} bytes at most")]
    TooLong,
    #[error("the key of a file is missing")]
    NoKey,
    #[error("the key of the file is no UTF-8")]
    NotText,
}

impl<'a> ImagePath<'a> {
    /// Reads `[{signature}/|unsafe/][{options}/|p/{preset}/]{key}`.
    pub fn parse(path: &'a str) -> Result<Self, PathError> {
        if path.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let (proof, rest) = match path.split_once('/') {
            Some(("unsafe", rest)) => (Proof::None, rest),
            Some((first, signed)) if is_signature(first) => (
                Proof::Signed {
                    signature: first,
                    signed,
                },
                signed,
            ),
            Some(_) | None => (Proof::None, path),
        };
        let (wish, key) = match rest.strip_prefix("p/").and_then(|rest| rest.split_once('/')) {
            Some((name, key)) => (Wish::Preset(name), key),
            None => match take(rest)? {
                (Some(options), key) => (Wish::Made(Box::new(options)), key),
                (None, key) => (Wish::Original, key),
            },
        };
        let key = percent_decode_str(key).decode_utf8().map_err(|_| PathError::NotText)?;
        if key.is_empty() {
            return Err(PathError::NoKey);
        }
        Ok(Self {
            proof,
            wish,
            key: key.into_owned(),
        })
    }
}

/// The first of the folders of a key that looks like options which are written wrongly: what is no option begins the key.
pub fn misspelt(key: &str) -> Option<&str> {
    let (folders, _) = key.rsplit_once('/')?;
    folders.split('/').find(|folder| resembles_options(folder))
}

fn resembles_options(folder: &str) -> bool {
    const WORDS: [&str; 7] = ["fit", "adaptive-", "full-fit", "filter", "smart", "trim", "crop"];
    let folder = folder.to_ascii_lowercase();
    let is_side = |text: &str| {
        text.is_empty()
            || text
                .trim_start_matches('-')
                .starts_with(|one: char| one.is_ascii_digit())
    };
    let is_size = folder
        .split_once('x')
        .is_some_and(|(across, down)| is_side(across) && is_side(down) && across.len() + down.len() > 0);
    is_size || WORDS.iter().any(|word| folder.starts_with(word))
}

fn is_signature(segment: &str) -> bool {
    let of_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    segment.len() == SIGNATURE_CHARS
        && segment
            .strip_suffix('=')
            .is_some_and(|text| text.bytes().all(of_alphabet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &str) -> ImagePath<'_> {
        ImagePath::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn a_path_is_proof_wish_and_key() {
        let bkend = parsed("fit-in/400x300/filters:quality(80)/0123456789abcdef0123456789abcdef/a%20b.png");
        assert_eq!(bkend.proof, Proof::None);
        assert_eq!(bkend.key, "0123456789abcdef0123456789abcdef/a b.png");
        let Wish::Made(options) = bkend.wish else { panic!() };
        assert_eq!(options.to_string(), "fit-in/400x300/filters:quality(80)");
        assert_eq!(parsed("unsafe/192x192/smart/k.jpg").proof, Proof::None);
        assert_eq!(parsed("unsafe/k.jpg").wish, Wish::Original);
        assert_eq!(parsed("k/l.jpg").wish, Wish::Original);
        assert_eq!(parsed("p/card/k/l.jpg").wish, Wish::Preset("card"));
        assert_eq!(parsed("p/card/k/l.jpg").key, "k/l.jpg");
        let signed = parsed("8ammJH8D-7tXy6kU3lTvoXlhu4o=/300x200/k.jpg");
        assert_eq!(
            signed.proof,
            Proof::Signed {
                signature: "8ammJH8D-7tXy6kU3lTvoXlhu4o=",
                signed: "300x200/k.jpg"
            }
        );
        // A key may itself be called as an option is: escaped, it is none.
        assert_eq!(parsed("%73mart/k.jpg").wish, Wish::Original);
        assert_eq!(parsed("%73mart/k.jpg").key, "smart/k.jpg");
    }

    #[test]
    fn folders_that_look_like_options_are_told_from_others() {
        for key in [
            "300x2oo/k.jpg",
            "300x/k/l.jpg",
            "300x200px/k.jpg",
            "fitin/k.jpg",
            "Fit-In/300x200/k.jpg",
            "filter:quality(80)/k.jpg",
            "k/filters:quality(80)/l.jpg",
        ] {
            assert!(misspelt(key).is_some(), "{key}");
        }
        for key in [
            "k.jpg",
            "300x2oo.jpg",
            "x/k.jpg",
            "0123456789abcdef0123456789abcdef/a b.png",
            "photos/box/k.jpg",
            "index/k.jpg",
        ] {
            assert_eq!(misspelt(key), None, "{key}");
        }
    }

    #[test]
    fn a_path_without_a_key_is_refused() {
        for path in [
            "",
            "300x200",
            "300x200/",
            "p/card/",
            "unsafe/",
            "fit-in/300x200/filters:quality(80)",
        ] {
            assert_eq!(ImagePath::parse(path), Err(PathError::NoKey), "{path}");
        }
        assert_eq!(ImagePath::parse("300x200/%ff"), Err(PathError::NotText));
        assert_eq!(
            ImagePath::parse(&"a".repeat(PATH_BYTES_MAX + 1)),
            Err(PathError::TooLong)
        );
    }
}
