//! Names of files, as people give them: checked once, then safe in headers, lists and on any screen.
//!
//! Owns what a name may hold. It never makes a path of one.

use unicode_normalization::UnicodeNormalization;

/// Bytes of a name, normalised.
pub const NAME_BYTES_MAX: usize = 255;

/// Why a name was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("A file name must not be empty or blank.")]
    Empty,
    #[error("A file name has at most {NAME_BYTES_MAX} bytes.")]
    TooLong,
    #[error("A file name must not hold control characters or characters that turn the direction of writing.")]
    Unprintable,
    #[error("A file name must not hold / or \\ and must not be . or ..")]
    Path,
}

/// A name that was checked: not blank, in Unicode's composed form (NFC), at most [`NAME_BYTES_MAX`] bytes, without control
/// characters, characters that turn the direction of writing, and path separators.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileName(String);

impl FileName {
    /// Checks and normalises a name. White space around it is dropped.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        // What is far too long is not worth normalising: composing shortens no text to a third.
        if text.len() > NAME_BYTES_MAX * 4 {
            return Err(NameError::TooLong);
        }
        let name: String = text.trim().nfc().collect();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.chars().any(|c| c.is_control() || is_invisible(c)) {
            return Err(NameError::Unprintable);
        }
        if name.contains(['/', '\\']) || name == "." || name == ".." {
            return Err(NameError::Path);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        Ok(Self(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }

    /// What follows the last dot, in lower case, if it is a plain one.
    pub fn extension(&self) -> Option<String> {
        let (stem, extension) = self.0.rsplit_once('.')?;
        let plain = !extension.is_empty() && extension.len() <= 16;
        let plain = plain && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (plain && !stem.is_empty()).then(|| extension.to_ascii_lowercase())
    }

    /// The name as a part of a key and of a URL that nobody has to escape but for letters beyond ASCII: letters, digits,
    /// `.`, `-` and `_`; a run of anything else is one `-`. Never empty, never only dots.
    pub fn in_key(&self) -> String {
        let mut safe = String::with_capacity(self.0.len());
        for c in self.0.chars() {
            let stays = c.is_alphanumeric()
                || matches!(c, '.' | '-' | '_')
                || unicode_normalization::char::is_combining_mark(c);
            match stays {
                true => safe.push(c),
                false if !safe.ends_with('-') => safe.push('-'),
                false => {}
            }
        }
        let is_named = safe.chars().any(|c| c != '.' && c != '-');
        if is_named { safe } else { "file".to_owned() }
    }
}

/// Characters that change how the rest is read or drawn: marks and overrides of direction, joiners that make two names look
/// alike, separators of lines, and the byte order mark.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{061C}'
            | '\u{180E}'
            | '\u{200B}'
            | '\u{200E}'
            | '\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{FFFE}'
            | '\u{FFFF}'
            | '\u{E0000}'..='\u{E007F}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FileName, NAME_BYTES_MAX, NameError};

    #[test]
    fn names_that_could_mislead_are_refused() {
        let table = [
            ("", NameError::Empty),
            ("  ", NameError::Empty),
            ("a\0b", NameError::Unprintable),
            ("a\nb", NameError::Unprintable),
            ("a\u{7f}", NameError::Unprintable),
            ("a\u{85}b", NameError::Unprintable),
            ("exe.\u{202E}gpj", NameError::Unprintable),
            ("a\u{2066}b", NameError::Unprintable),
            ("a\u{FEFF}b", NameError::Unprintable),
            ("../a", NameError::Path),
            ("a/b", NameError::Path),
            ("C:\\fakepath\\a.png", NameError::Path),
            (".", NameError::Path),
            (" .. ", NameError::Path),
        ];
        for (text, error) in table {
            assert_eq!(FileName::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(FileName::parse(&"n".repeat(256)), Err(NameError::TooLong));
        assert_eq!(FileName::parse(&"n".repeat(100_000)), Err(NameError::TooLong));
        assert!(FileName::parse(&"n".repeat(255)).is_ok());
    }

    #[test]
    fn one_name_in_two_forms_is_one_name() {
        let (composed, apart) = (FileName::parse("caf\u{e9}.png"), FileName::parse(" cafe\u{301}.png "));
        assert_eq!(composed, apart);
        assert_eq!(composed.unwrap().as_str(), "caf\u{e9}.png");
    }

    #[test]
    fn a_name_in_a_key_needs_no_escaping_but_of_letters() {
        let table = [
            ("photo.png", "photo.png"),
            ("my photo (1).png", "my-photo-1-.png"),
            ("a?b#c%d.txt", "a-b-c-d.txt"),
            ("Фото 1.png", "Фото-1.png"),
            ("....", "file"),
            ("???", "file"),
            ("fit-in", "fit-in"),
        ];
        for (name, key) in table {
            assert_eq!(FileName::parse(name).unwrap().in_key(), key);
        }
    }

    #[test]
    fn extensions_are_plain_or_none() {
        let table = [
            ("a.PNG", Some("png")),
            ("a.tar.gz", Some("gz")),
            (".htaccess", None),
            ("a", None),
            ("a.", None),
            ("a.p g", None),
        ];
        for (name, extension) in table {
            assert_eq!(
                FileName::parse(name).unwrap().extension().as_deref(),
                extension,
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_holds_what_a_name_promises(text in "\\PC{0,80}|[\\x00-\\x7f]{0,300}") {
            if let Ok(name) = FileName::parse(&text) {
                let told = name.as_str();
                prop_assert!(!told.is_empty() && told.len() <= NAME_BYTES_MAX);
                prop_assert!(!told.contains(['/', '\\', '\0', '\n', '\r']));
                let again = FileName::parse(told);
                prop_assert_eq!(again.as_ref(), Ok(&name));
                let key = name.in_key();
                prop_assert!(!key.is_empty() && key != "." && key != "..", "{}", key);
                prop_assert!(key.chars().all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || ".-_".contains(c)), "{}", key);
            }
        }
    }
}
