//! Which type a file has, given what was declared, what its bytes are, and what may be kept.
//!
//! Owns the rule. The bytes win over the claim wherever they can be told apart.

use super::mime::{Mime, canonical};

/// What bytes of a type that is not known are served as.
const UNKNOWN: &str = "application/octet-stream";

/// The type that a file is taken as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What its bytes are served as.
    pub content_type: String,
    /// The bytes are something else than was declared.
    pub corrected: bool,
}

/// The bytes, or what was declared of them, are of a type that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It is not among those allowed.
    #[error("Files of the type {0} are not allowed here.")]
    NotAllowed(String),
    /// The bytes are something else than was declared, be it allowed or not.
    #[error("The file was announced as {declared}, and its bytes are {found}.")]
    Contradicts { declared: String, found: String },
}

impl Mismatch {
    /// The type that was found.
    pub fn found(self) -> String {
        match self {
            Self::NotAllowed(found) | Self::Contradicts { found, .. } => found,
        }
    }
}

/// The patterns that name what both lists allow; `None`: there is no such type. No pattern at all allows everything.
pub fn common_types(one: &[String], other: &[String]) -> Option<Vec<String>> {
    match (one, other) {
        ([], types) | (types, []) => return Some(types.to_vec()),
        (_, _) => {}
    }
    let of_both = |from: &[String], by: &[String]| -> Vec<String> {
        from.iter().filter(|pattern| allows(by, pattern)).cloned().collect()
    };
    let mut common = of_both(one, other);
    for pattern in of_both(other, one) {
        if !common.contains(&pattern) {
            common.push(pattern);
        }
    }
    (!common.is_empty()).then_some(common)
}

/// Whether one of these patterns (`image/png`, `image/*`, `*/*`) names the type. No pattern at all allows everything.
pub fn allows(patterns: &[String], essence: &str) -> bool {
    let essence = essence
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let wanted = canonical(&essence);
    patterns.is_empty()
        || patterns.iter().any(|pattern| {
            let pattern = pattern
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            match pattern.strip_suffix("/*") {
                Some("*") => true,
                Some(kind) => wanted.split_once('/').is_some_and(|(of, _)| of == kind),
                None => pattern == "*" || canonical(&pattern) == wanted,
            }
        })
}

/// Settles the type. With patterns both claim and bytes must be allowed, and bytes that contradict the claim are refused;
/// without, the bytes' own type is taken.
pub fn accept(declared: Option<&Mime>, sniffed: Option<&str>, patterns: &[String]) -> Result<Accepted, Mismatch> {
    let claim = declared.filter(|mime| !mime.says_nothing()).map(Mime::essence);
    if let Some(claim) = claim
        && !allows(patterns, claim)
    {
        return Err(Mismatch::NotAllowed(claim.to_owned()));
    }
    let fits = claim.is_some_and(|claim| is_possible(claim, sniffed));
    if let (true, Some(declared)) = (fits, declared) {
        return Ok(Accepted {
            content_type: declared.as_str().to_owned(),
            corrected: false,
        });
    }
    let found = sniffed.unwrap_or(UNKNOWN);
    if let Some(declared) = claim.filter(|_| !patterns.is_empty()) {
        return Err(Mismatch::Contradicts {
            declared: declared.to_owned(),
            found: found.to_owned(),
        });
    }
    if !allows(patterns, found) {
        return Err(Mismatch::NotAllowed(found.to_owned()));
    }
    Ok(Accepted {
        content_type: found.to_owned(),
        corrected: claim.is_some(),
    })
}

/// Whether bytes that are known as `sniffed` can be what was claimed.
fn is_possible(claim: &str, sniffed: Option<&str>) -> bool {
    let claim = canonical(claim);
    let Some(found) = sniffed.map(canonical) else {
        return !is_always_known(claim);
    };
    if claim == found {
        return true;
    }
    match found {
        "text/plain" => is_text(claim) && claim != "image/svg+xml",
        // Shown as plain text a page is harmless, and the source of one is text.
        "text/html" => is_text(claim) && !claim.ends_with("xml"),
        "text/xml" => is_text(claim),
        "application/xhtml+xml" | "image/svg+xml" => {
            is_text(claim) && claim != "image/svg+xml" && claim != "application/xhtml+xml"
        }
        "application/zip" => is_zip(claim),
        "application/gzip" => claim == "application/x-tar" || claim.ends_with("+gzip") || claim.contains("tgz"),
        // One container, many names.
        "video/mp4" | "audio/mp4" | "video/quicktime" | "video/3gpp" | "video/3gpp2" => matches!(
            claim,
            "video/mp4"
                | "audio/mp4"
                | "video/quicktime"
                | "video/3gpp"
                | "video/3gpp2"
                | "audio/3gpp"
                | "video/x-m4v"
                | "application/mp4"
        ),
        "video/webm" | "video/x-matroska" | "audio/webm" | "audio/x-matroska" => {
            matches!(
                claim,
                "video/webm" | "audio/webm" | "video/x-matroska" | "audio/x-matroska"
            )
        }
        "audio/ogg" | "video/ogg" | "application/ogg" | "audio/opus" => {
            matches!(
                claim,
                "audio/ogg" | "video/ogg" | "application/ogg" | "audio/opus" | "audio/vorbis"
            )
        }
        "image/heif" | "image/heic" | "image/avif" => matches!(
            claim,
            "image/heif" | "image/heic" | "image/heif-sequence" | "image/heic-sequence"
        ),
        "image/tiff" => claim.starts_with("image/x-") || claim == "image/dng",
        "application/x-ole-storage"
        | "application/msword"
        | "application/vnd.ms-excel"
        | "application/vnd.ms-powerpoint" => {
            claim.starts_with("application/vnd.ms-")
                || claim == "application/msword"
                || claim.starts_with("application/x-ms")
        }
        _ => false,
    }
}

/// Formats whose every file is recognised: bytes that are not are no such file.
fn is_always_known(claim: &str) -> bool {
    matches!(
        claim,
        "image/png"
            | "image/jpeg"
            | "image/gif"
            | "image/webp"
            | "image/bmp"
            | "image/avif"
            | "image/svg+xml"
            | "application/pdf"
            | "application/zip"
            | "application/gzip"
            | "text/html"
            | "application/xhtml+xml"
    )
}

fn is_text(claim: &str) -> bool {
    claim.starts_with("text/")
        || claim.ends_with("+json")
        || claim.ends_with("+xml")
        || claim.ends_with("+yaml")
        || claim.ends_with("script")
        || matches!(
            claim,
            "application/json"
                | "application/x-ndjson"
                | "application/yaml"
                | "application/x-yaml"
                | "application/toml"
                | "application/sql"
                | "application/x-sh"
                | "application/x-subrip"
                | "application/x-www-form-urlencoded"
                | "application/x-pem-file"
                | "application/pgp-signature"
                | "application/pgp-keys"
                | "application/pgp-encrypted"
                | "application/mbox"
                | "application/x-tex"
                | "application/x-latex"
                | "application/rtf"
                | "application/wasm-text"
                | "message/rfc822"
                | "model/obj"
                | "model/stl"
                | "model/step"
        )
}

/// Formats that are archives inside.
fn is_zip(claim: &str) -> bool {
    [
        "application/vnd.openxmlformats-",
        "application/vnd.oasis.",
        "application/vnd.ms-",
        "application/vnd.sun.xml",
    ]
    .iter()
    .any(|start| claim.starts_with(start))
        || claim.ends_with("+zip")
        || matches!(
            claim,
            "application/java-archive"
                | "application/vnd.android.package-archive"
                | "application/x-xpinstall"
                | "application/vnd.google-earth.kmz"
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Accepted, accept, allows, common_types};
    use crate::media::{Mime, sniff};

    fn list(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(|pattern| (*pattern).to_owned()).collect()
    }

    #[test]
    fn what_two_lists_allow_in_common_is_allowed_by_both() {
        for (one, other, common) in [
            (&[][..], &["image/*"][..], Some(&["image/*"][..])),
            (&["image/*"], &["image/png", "text/plain"], Some(&["image/png"])),
            (&["image/*", "text/plain"], &["*/*"], Some(&["image/*", "text/plain"])),
            (&["image/png"], &["image/png"], Some(&["image/png"])),
            (&["image/*"], &["text/*"], None),
        ] {
            let (one, other) = (list(one), list(other));
            for found in [common_types(&one, &other), common_types(&other, &one)] {
                assert_eq!(found, common.map(list), "{one:?} {other:?}");
            }
        }
    }

    fn settle(declared: &str, sniffed: Option<&str>, patterns: &[&str]) -> Option<(String, bool)> {
        let declared = Mime::parse(declared).ok();
        let accepted = accept(declared.as_ref(), sniffed, &list(patterns)).ok()?;
        let Accepted {
            content_type,
            corrected,
        } = accepted;
        Some((content_type, corrected))
    }

    #[test]
    fn patterns_name_types_without_regard_to_parameters_and_case() {
        for (patterns, kind, expected) in [
            (&["image/*"][..], "image/png", true),
            (&["image/*"], "IMAGE/PNG; q=1", true),
            (&["image/*"], "imagex/png", false),
            (&["image/jpeg"], "image/jpg", true),
            (&["image/jpg"], "image/jpeg", true),
            (&["Image/PNG"], "image/png", true),
            (&["text/plain; charset=utf-8"], "text/plain", true),
            (&["image/png", "application/pdf"], "application/pdf", true),
            (&["image/png"], "image/gif", false),
            (&["*/*"], "a/b", true),
            (&["*"], "a/b", true),
            (&[], "a/b", true),
        ] {
            assert_eq!(allows(&list(patterns), kind), expected, "{patterns:?} {kind}");
        }
    }

    #[test]
    fn bytes_win_over_claims_and_a_list_refuses_what_contradicts() {
        let images = &["image/*"][..];
        let page = Some("text/html");
        assert_eq!(settle("image/png", page, images), None);
        assert_eq!(settle("image/png", Some("image/svg+xml"), images), None);
        assert_eq!(settle("image/png", None, images), None);
        assert_eq!(settle("image/png", Some("image/jpeg"), images), None);
        assert_eq!(settle("text/html", Some("image/png"), images), None);
        assert_eq!(settle("image/png", page, &[]), Some(("text/html".into(), true)));
        assert_eq!(
            settle("image/png", None, &[]),
            Some(("application/octet-stream".into(), true))
        );
        assert_eq!(
            settle("image/jpg", Some("image/jpeg"), images),
            Some(("image/jpg".into(), false))
        );
        assert_eq!(settle("", Some("image/png"), images), Some(("image/png".into(), false)));
        assert_eq!(
            settle("application/octet-stream", Some("image/png"), images),
            Some(("image/png".into(), false))
        );
        assert_eq!(settle("", None, images), None);
        assert_eq!(settle("", None, &[]), Some(("application/octet-stream".into(), false)));
    }

    #[test]
    fn what_only_the_writer_can_know_is_believed() {
        for (declared, sniffed) in [
            ("application/json; charset=utf-8", Some("text/plain")),
            ("text/csv", Some("text/plain")),
            ("text/markdown", Some("text/html")),
            (
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                Some("application/zip"),
            ),
            ("audio/mp4", Some("video/mp4")),
            ("application/x-own", None),
            ("image/svg+xml", Some("text/xml")),
            ("application/rss+xml", Some("text/xml")),
        ] {
            assert_eq!(
                settle(declared, sniffed, &[]),
                Some((declared.to_owned(), false)),
                "{declared}"
            );
        }
        assert_eq!(
            settle("image/svg+xml", Some("text/plain"), &[]),
            Some(("text/plain".into(), true))
        );
        assert_eq!(
            settle("image/gif", Some("application/zip"), &[]),
            Some(("application/zip".into(), true))
        );
    }

    proptest! {
        #[test]
        fn no_page_and_no_drawing_gets_past_a_list_of_pictures(tail in "\\PC{0,60}", claim in "image/(png|jpeg|gif|webp|avif|bmp|x-icon|tiff)") {
            let claim = Mime::parse(&claim).unwrap();
            let pictures = list(&["image/*"]);
            for start in ["<html>", "<svg>", "<!doctype html>", "<?xml version='1.0'?>", "<script>"] {
                let bytes = format!("{start}{tail}");
                prop_assert!(accept(Some(&claim), sniff(bytes.as_bytes()), &pictures).is_err(), "{}", bytes);
            }
        }
    }
}
