//! How bytes of strangers are served: they must never act as a page of the server's own origin.
//!
//! Owns which types a browser may show by itself, and the headers that keep the rest from acting.

use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Nothing of what is shown may load, run, submit or open anything.
const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'; sandbox";

/// Types that cannot carry a script, as far as browsers know. SVG, HTML, XML and PDF are not among them.
const SHOWN: [&str; 22] = [
    "application/json",
    "application/octet-stream",
    "audio/aac",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "binary/octet-stream",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/vnd.microsoft.icon",
    "image/webp",
    "image/x-icon",
    "text/plain",
    "video/mp4",
    "video/ogg",
    "video/webm",
];

/// What `filename*` takes as it is (RFC 8187 §3.2.1).
const NAME_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Says on an answer that what it holds may not act.
pub fn sandbox(headers: &mut HeaderMap) {
    headers.insert("content-security-policy", HeaderValue::from_static(SANDBOX));
}

/// How long what everybody may see is kept by whoever keeps it. A URL that names a version is never anything else; of any
/// other the visibility may change, so those between ask again soon.
pub fn kept(is_versioned: bool) -> &'static str {
    match is_versioned {
        true => "public, max-age=31536000, immutable",
        false => "public, max-age=3600, s-maxage=60",
    }
}

/// Whether a browser may show bytes of this type by itself.
pub fn is_shown(content_type: &str) -> bool {
    let kind = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    // Of types in a list a browser may take the last.
    !content_type.contains(',') && SHOWN.contains(&kind.as_str())
}

/// The disposition with which bytes of this type are served, given the one that was stored with them: a risky type is
/// saved, never opened.
pub fn safe_disposition(content_type: Option<&str>, stored: Option<String>) -> Option<String> {
    if content_type.is_some_and(is_shown) {
        return stored;
    }
    let Some(stored) = stored else {
        return Some("attachment".to_owned());
    };
    // The name that was stored with it stays; only what the browser does with it is settled here.
    match stored.split_once(';') {
        Some((_, parameters)) => Some(format!("attachment;{parameters}")),
        None => Some("attachment".to_owned()),
    }
}

/// A disposition that saves under this name (RFC 6266), or shows what may be shown: `inline` and the type is a safe one.
pub fn attachment(name: &str, content_type: &str, inline: bool) -> String {
    let kind = if inline && is_shown(content_type) {
        "inline"
    } else {
        "attachment"
    };
    let plain = |c: char| (' '..='~').contains(&c) && !matches!(c, '"' | '\\' | '%' | '/');
    let fallback: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if fallback == name {
        return format!("{kind}; filename=\"{fallback}\"");
    }
    let encoded = utf8_percent_encode(name, NAME_ESCAPED);
    format!("{kind}; filename=\"{fallback}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::{SANDBOX, attachment, safe_disposition, sandbox};

    #[test]
    fn what_could_act_as_a_page_is_saved_under_its_name() {
        for kind in [
            Some("text/html"),
            Some("Text/HTML; charset=utf-8"),
            Some("image/svg+xml"),
            Some("application/pdf"),
            Some("application/xhtml+xml"),
            Some("text/xml"),
            Some("text/plain; x=,text/html"),
            Some("image/png,text/html"),
            Some(""),
            None,
        ] {
            assert_eq!(safe_disposition(kind, None).as_deref(), Some("attachment"), "{kind:?}");
            let named = safe_disposition(kind, Some("inline; filename=\"a.html\"".into()));
            assert_eq!(named.as_deref(), Some("attachment; filename=\"a.html\""));
            let kind = kind.unwrap_or_default();
            assert!(attachment("a", kind, true).starts_with("attachment;"), "{kind}");
        }
        for kind in ["image/png", "text/plain; charset=utf-8", "VIDEO/MP4"] {
            assert_eq!(safe_disposition(Some(kind), None), None, "{kind}");
            let stored = safe_disposition(Some(kind), Some("inline".into()));
            assert_eq!(stored.as_deref(), Some("inline"));
            assert!(attachment("a", kind, true).starts_with("inline;"), "{kind}");
            assert!(attachment("a", kind, false).starts_with("attachment;"), "{kind}");
        }
    }

    #[test]
    fn the_policy_is_one_that_browsers_read() {
        // A word that is not quoted where it must be fails open.
        assert_eq!(
            SANDBOX,
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'; sandbox"
        );
        let mut headers = http::HeaderMap::new();
        sandbox(&mut headers);
        assert_eq!(
            headers.get("content-security-policy"),
            Some(&HeaderValue::from_static(SANDBOX))
        );
    }

    #[test]
    fn names_travel_in_both_forms() {
        let table = [
            ("a.png", "attachment; filename=\"a.png\""),
            ("my file.txt", "attachment; filename=\"my file.txt\""),
            (
                "a\"b.txt",
                "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt",
            ),
            ("é.png", "attachment; filename=\"_.png\"; filename*=UTF-8''%C3%A9.png"),
        ];
        for (name, expected) in table {
            assert_eq!(attachment(name, "x/y", false), expected);
        }
    }

    proptest! {
        #[test]
        fn no_name_breaks_out_of_the_header(name in "\\PC{0,80}|[\\x00-\\x7f]{0,80}") {
            let text = attachment(&name, "image/png", true);
            prop_assert!(HeaderValue::from_str(&text).is_ok());
            prop_assert_eq!(text.matches('"').count(), 2);
            prop_assert!(text.is_ascii());
        }
    }
}
