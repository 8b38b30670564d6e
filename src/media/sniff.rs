//! What bytes are, by themselves: signatures of formats, and text that a browser could take for a page.
//!
//! Owns what is recognised. It never trusts a name or a header, and reads the first [`SNIFF_BYTES`] only.

/// Bytes that are looked at.
pub const SNIFF_BYTES: usize = 8 * 1024;

/// What makes a page of text, as browsers sniff it; a blank or `>` must follow.
const PAGES: &[&str] = &[
    "<!doctype html",
    "<html",
    "<head",
    "<script",
    "<iframe",
    "<h1",
    "<div",
    "<font",
    "<table",
    "<a",
    "<style",
    "<title",
    "<b",
    "<body",
    "<br",
    "<p",
    "<img",
    "<link",
    "<meta",
    "<object",
    "<embed",
    "<form",
    "<base",
    "<video",
    "<audio",
];

/// The type of which these are the first bytes; `None`: nothing is known of them. Text is `text/plain`, unless it begins
/// as a page (`text/html`), a drawing (`image/svg+xml`) or a document (`text/xml`).
pub fn sniff(bytes: &[u8]) -> Option<&'static str> {
    let cut = bytes.len() > SNIFF_BYTES;
    let head = bytes.get(..SNIFF_BYTES).unwrap_or(bytes);
    if head.is_empty() {
        return None;
    }
    if let Some(text) = text_of(head, cut) {
        // A few formats begin with what reads as text.
        let signed = ["%PDF-", "%!PS-Adobe-", "{\\rtf"]
            .iter()
            .find(|start| text.starts_with(**start));
        return Some(match signed.copied() {
            Some("%PDF-") => "application/pdf",
            Some("{\\rtf") => "application/rtf",
            Some(_) => "application/postscript",
            None => of_text(&text),
        });
    }
    // Nothing else begins as markup does, and a byte that is no text does not keep a browser from showing the page.
    of_markup_in(head).or_else(|| infer::get(head).map(|found| canonical(found.mime_type())))
}

/// The text that the bytes are; `None`: they are none. `cut`: more follows, and the
/// last character may be torn.
fn text_of(bytes: &[u8], cut: bool) -> Option<String> {
    let wide = |rest: &[u8], order: fn([u8; 2]) -> u16| -> String {
        let units = rest.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
        char::decode_utf16(units.map(order))
            .map(|c| c.unwrap_or('\u{FFFD}'))
            .collect()
    };
    let wide = match bytes {
        [0xFF, 0xFE, rest @ ..] => Some(wide(rest, u16::from_le_bytes)),
        [0xFE, 0xFF, rest @ ..] => Some(wide(rest, u16::from_be_bytes)),
        _ => None,
    };
    if let Some(text) = wide {
        return (!text.bytes().any(is_binary)).then_some(text);
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if cut && error.error_len().is_none() => {
            std::str::from_utf8(bytes.get(..error.valid_up_to())?).unwrap_or_default()
        }
        Err(_) => return None,
    };
    (!text.bytes().any(is_binary)).then(|| text.to_owned())
}

/// Bytes that no text holds (WHATWG MIME Sniffing §3).
fn is_binary(byte: u8) -> bool {
    matches!(byte, 0..=8 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F)
}

fn of_text(text: &str) -> &'static str {
    markup(text).unwrap_or("text/plain")
}

/// Bytes that are no clean text may still be a page to a browser.
fn of_markup_in(bytes: &[u8]) -> Option<&'static str> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    markup(&text)
}

/// What begins as markup.
fn markup(text: &str) -> Option<&'static str> {
    let text = text.trim_start().to_ascii_lowercase();
    let mut rest = text.as_str();
    let mut is_xml = false;
    // What may stand before the first element.
    while let Some(after) = after_prologue(rest) {
        is_xml |= rest.starts_with("<?xml");
        // What does not end within what is looked at hides what follows.
        let Some(after) = after else {
            return Some(if is_xml { "text/xml" } else { "text/html" });
        };
        rest = after.trim_start();
    }
    let begins = |word: &str| {
        let after = rest.strip_prefix(word).map(str::as_bytes);
        after.is_some_and(|after| after.first().is_none_or(|byte| b" \t\r\n\x0C>/".contains(byte)))
    };
    let draws = begins("<svg") || named(rest, "svg");
    if draws {
        return Some("image/svg+xml");
    }
    if is_xml {
        let is_page = begins("<html") || named(rest, "html") || rest.contains("http://www.w3.org/1999/xhtml");
        return Some(if is_page { "application/xhtml+xml" } else { "text/xml" });
    }
    if rest.len() < text.len() || PAGES.iter().any(|word| begins(word)) {
        // A comment or a DOCTYPE at the beginning makes a page of anything.
        return Some("text/html");
    }
    None
}

/// Whether the text begins with an element of this name in some namespace.
fn named(text: &str, name: &str) -> bool {
    let Some(tag) = text.strip_prefix('<') else {
        return false;
    };
    let tag = tag
        .split(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/')
        .next();
    tag.and_then(|tag| tag.split_once(':'))
        .is_some_and(|(_, local)| local == name)
}

/// What follows a comment, a processing instruction or a DOCTYPE that the text begins with; the inner `None`: it does not
/// end in what there is. `None`: the text begins with none of them.
fn after_prologue(text: &str) -> Option<Option<&str>> {
    let after = |end: &str| text.split_once(end).map(|(_, after)| after);
    if text.starts_with("<!--") {
        return Some(after("-->"));
    }
    if text.starts_with("<?") {
        return Some(after("?>"));
    }
    if text.starts_with("<!doctype html") {
        return None;
    }
    if text.starts_with("<!doctype") {
        // An internal subset ends with its bracket.
        let subset = text.find('[').filter(|at| text.find('>').is_none_or(|end| *at < end));
        return Some(match subset {
            Some(_) => after("]").and_then(|rest| rest.split_once('>')).map(|(_, after)| after),
            None => after(">"),
        });
    }
    None
}

/// The names that this server uses where formats have several.
fn canonical(found: &'static str) -> &'static str {
    match found {
        "audio/x-wav" => "audio/wav",
        "audio/x-flac" => "audio/flac",
        "audio/m4a" => "audio/mp4",
        "video/x-m4v" => "video/mp4",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SNIFF_BYTES, sniff};

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

    #[test]
    fn formats_are_known_by_their_signatures() {
        let table: &[(&[u8], Option<&str>)] = &[
            (b"", None),
            (PNG, Some("image/png")),
            (b"\xFF\xD8\xFF\xE0\0\x10JFIF\0", Some("image/jpeg")),
            (b"GIF89a\x01\0\x01\0\0\0\0", Some("image/gif")),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"%PDF-1.7\n", Some("application/pdf")),
            (b"%PDF-1.7\n\xE2\xE3\xCF\xD3\0", Some("application/pdf")),
            (b"PK\x03\x04\x14\0\0\0\0\0", Some("application/zip")),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", Some("video/mp4")),
            (b"just words\r\n", Some("text/plain")),
            ("\u{FEFF}слова".as_bytes(), Some("text/plain")),
            (b"{\"a\": 1}", Some("text/plain")),
            (b"\x01\x02\x03\x04", None),
        ];
        for (bytes, expected) in table {
            assert_eq!(sniff(bytes), *expected, "{bytes:?}");
        }
    }

    #[test]
    fn pages_and_drawings_are_known_however_they_begin() {
        let pages = [
            "<!DOCTYPE html><p>",
            "  \n<HTML>",
            "<script>alert(1)</script>",
            "<!-- x --><svgx><script>",
            "<a href=x>",
            "<b>bold",
            "<body onload=x>",
            "<h1>x",
            "<!--never ends",
        ];
        for page in pages {
            assert_eq!(sniff(page.as_bytes()), Some("text/html"), "{page}");
        }
        let drawings = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            "\u{FEFF}<?xml version=\"1.0\"?>\n<!-- c -->\n<svg>",
            "<?xml version='1.0'?><!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"u\"><svg/>",
            "<!DOCTYPE svg [<!ENTITY a \"b\">]><svg>",
            "<s:svg xmlns:s='http://www.w3.org/2000/svg'>",
        ];
        for drawing in drawings {
            assert_eq!(sniff(drawing.as_bytes()), Some("image/svg+xml"), "{drawing}");
        }
        let xhtml = "<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'>";
        assert_eq!(sniff(xhtml.as_bytes()), Some("application/xhtml+xml"));
        assert_eq!(sniff(b"<?xml version='1.0'?><feed/>"), Some("text/xml"));
        let wide: Vec<u8> = "\u{FEFF}<svg>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(sniff(&wide), Some("image/svg+xml"));
        // A byte that is no text does not hide a page.
        assert_eq!(sniff(b"<html>\x01<script>"), Some("text/html"));
        assert_eq!(sniff(b"<svg>\xFF"), Some("image/svg+xml"));
        for text in ["<absent>", "a < b", "<bold>", "< script>"] {
            assert_eq!(sniff(text.as_bytes()), Some("text/plain"), "{text}");
        }
    }

    #[test]
    fn a_character_torn_by_the_end_of_what_is_looked_at_is_still_text() {
        let text = "ж".repeat(SNIFF_BYTES);
        for shift in 0..2 {
            let text = format!("{}{text}", "a".repeat(shift));
            assert_eq!(sniff(text.as_bytes()), Some("text/plain"));
        }
        assert_eq!(sniff("ж".as_bytes().get(..1).unwrap()), None);
    }

    proptest! {
        #[test]
        fn nothing_behind_the_head_changes_what_it_is(head in prop::collection::vec(any::<u8>(), SNIFF_BYTES..SNIFF_BYTES + 9), tail: [u8; 16]) {
            let mut longer = head.clone();
            longer.extend_from_slice(&tail);
            let known = sniff(&longer);
            let mut other = longer.clone();
            other.extend_from_slice(b"<script>");
            prop_assert_eq!(known, sniff(&other));
        }

        #[test]
        fn a_page_is_a_page_whatever_follows(rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut page = b"<html>".to_vec();
            page.extend_from_slice(&rest);
            prop_assert_eq!(sniff(&page), Some("text/html"));
        }
    }
}
