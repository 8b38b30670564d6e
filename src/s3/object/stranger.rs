//! What is served to callers nobody knows: an object must never act as a page of the store's own origin. Pure.
//!
//! Owns which types a browser may show by itself. Signed callers get what was stored.

use http::{Extensions, HeaderMap, HeaderValue};

use crate::auth::Identity;

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

/// Whether the request says nothing about who sends it.
pub(super) fn calls(extensions: &Extensions) -> bool {
    match extensions.get::<Identity>() {
        None | Some(Identity::Anonymous) => true,
        Some(Identity::Root | Identity::Caller(_)) => false,
    }
}

/// Says on an answer that what it holds may not act.
pub(super) fn sandbox(headers: &mut HeaderMap) {
    headers.insert("content-security-policy", HeaderValue::from_static(SANDBOX));
}

/// The disposition a stranger gets: a risky type is saved, never opened.
pub(super) fn disposition(content_type: Option<&str>, stored: Option<String>) -> Option<String> {
    let kind = content_type.unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // Of types in a list a browser may take the last.
    let listed = content_type.is_some_and(|kind| kind.contains(','));
    if !listed && SHOWN.contains(&kind.as_str()) {
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

#[cfg(test)]
mod tests {
    use super::disposition;

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
            assert_eq!(disposition(kind, None).as_deref(), Some("attachment"), "{kind:?}");
            let named = disposition(kind, Some("inline; filename=\"a.html\"".into()));
            assert_eq!(named.as_deref(), Some("attachment; filename=\"a.html\""));
        }
        for kind in ["image/png", "text/plain; charset=utf-8", "VIDEO/MP4"] {
            assert_eq!(disposition(Some(kind), None), None, "{kind}");
            assert_eq!(
                disposition(Some(kind), Some("inline".into())).as_deref(),
                Some("inline")
            );
        }
    }
}
