//! Media types as clients declare them.
//!
//! Owns their form. Parameters are kept for who serves the bytes and ignored wherever types are compared.

/// Characters of a declared type, parameters included.
pub const MIME_CHARS_MAX: usize = 255;

/// What stands for a type that is not known.
const UNKNOWN: &str = "application/octet-stream";
/// Types that say nothing of the bytes: what clients send by themselves when they know none. The last one is what curl says of
/// whatever it posts.
const SAY_NOTHING: [&str; 3] = [UNKNOWN, "binary/octet-stream", "application/x-www-form-urlencoded"];

/// Why a type was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MimeError {
    #[error("A media type has at most {MIME_CHARS_MAX} characters.")]
    TooLong,
    #[error("A media type is written as type/subtype, such as image/png.")]
    Malformed,
}

/// A declared media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mime {
    essence: String,
    text: String,
}

impl Mime {
    /// Reads `type/subtype` with any parameters.
    pub fn parse(text: &str) -> Result<Self, MimeError> {
        if text.chars().count() > MIME_CHARS_MAX {
            return Err(MimeError::TooLong);
        }
        let text = text.trim();
        let plain = |byte: u8| (b' '..=b'~').contains(&byte);
        // Of types in a list a browser may take the last.
        if !text.bytes().all(plain) || text.contains(',') {
            return Err(MimeError::Malformed);
        }
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (kind, sub) = essence.split_once('/').ok_or(MimeError::Malformed)?;
        if !is_token(kind) || !is_token(sub) {
            return Err(MimeError::Malformed);
        }
        Ok(Self {
            text: text.to_owned(),
            essence,
        })
    }

    /// As [`Self::parse`]; an empty text, as browsers have it of a file whose type they do not know, is that of any bytes.
    pub fn declared(text: &str) -> Result<Self, MimeError> {
        match text.trim().is_empty() {
            true => Ok(Self::unknown()),
            false => Self::parse(text),
        }
    }

    /// The type of any bytes.
    pub fn unknown() -> Self {
        Self {
            essence: UNKNOWN.to_owned(),
            text: UNKNOWN.to_owned(),
        }
    }

    /// Whether it says nothing of the bytes.
    pub fn says_nothing(&self) -> bool {
        SAY_NOTHING.contains(&self.essence())
    }

    /// `type/subtype`, in lower case.
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// As it was declared, parameters included.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A word of HTTP (RFC 9110 §5.6.2); `*` is for patterns only.
fn is_token(text: &str) -> bool {
    let of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(of_token)
}

/// The one name of a type that has several.
pub(super) fn canonical(essence: &str) -> &str {
    match essence {
        "image/jpg" | "image/pjpeg" => "image/jpeg",
        "image/x-png" => "image/png",
        "image/x-ms-bmp" | "image/x-bmp" => "image/bmp",
        "image/x-icon" | "image/ico" => "image/vnd.microsoft.icon",
        "audio/mp3" | "audio/mpeg3" => "audio/mpeg",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "audio/wav",
        "audio/x-flac" => "audio/flac",
        "audio/x-m4a" | "audio/m4a" => "audio/mp4",
        "audio/x-aac" => "audio/aac",
        "application/x-pdf" => "application/pdf",
        "application/x-zip-compressed" | "application/x-zip" => "application/zip",
        "application/x-gzip" => "application/gzip",
        "application/x-rar-compressed" | "application/x-rar" => "application/vnd.rar",
        "application/xml" => "text/xml",
        "text/json" => "application/json",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{MIME_CHARS_MAX, Mime, MimeError};

    #[test]
    fn types_are_read_with_their_parameters_beside_them() {
        let mime = Mime::parse(" Text/HTML ; charset=utf-8 ").unwrap();
        assert_eq!(
            (mime.essence(), mime.as_str()),
            ("text/html", "Text/HTML ; charset=utf-8")
        );
        for wrong in [
            "",
            "image",
            "image/",
            "/png",
            "image/*",
            "a b/c",
            "image/png,text/html",
            "image/p\nng",
            "ímage/png",
        ] {
            assert_eq!(Mime::parse(wrong), Err(MimeError::Malformed), "{wrong:?}");
        }
        assert_eq!(
            Mime::parse(&format!("image/{}", "p".repeat(MIME_CHARS_MAX))),
            Err(MimeError::TooLong)
        );
    }

    #[test]
    fn what_clients_say_of_bytes_that_they_do_not_know_says_nothing() {
        for (text, nothing) in [
            ("", true),
            (" ", true),
            ("application/octet-stream", true),
            ("Application/Octet-Stream; x=1", true),
            ("binary/octet-stream", true),
            ("application/x-www-form-urlencoded", true),
            ("image/png", false),
            ("text/plain", false),
        ] {
            assert_eq!(Mime::declared(text).unwrap().says_nothing(), nothing, "{text:?}");
        }
        assert_eq!(Mime::declared("").unwrap(), Mime::unknown());
        assert_eq!(Mime::declared("png"), Err(MimeError::Malformed));
    }
}
