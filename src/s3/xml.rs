//! Text in XML answers: escapes what XML 1.0 cannot carry literally.
//!
//! A key may hold control characters. They are written as character references, as AWS does, so that a client can
//! read a listing that holds such a key; s3s writes them raw. It never builds documents.

use std::borrow::Cow;

use bytes::Bytes;

fn needs_reference(byte: u8) -> bool {
    byte < 0x20 && byte != b'\t' && byte != b'\n'
}

/// `value` as the text of an element.
pub(crate) fn text(value: &str) -> Cow<'_, str> {
    let escaped = quick_xml::escape::partial_escape(value);
    if !escaped.bytes().any(needs_reference) {
        return escaped;
    }
    let mut out = String::with_capacity(escaped.len() + 16);
    for c in escaped.chars() {
        match u8::try_from(c) {
            Ok(byte) if needs_reference(byte) => out.push_str(&format!("&#x{byte:X};")),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A finished document with raw control characters turned into references; untouched if it has none.
pub(crate) fn mend(document: Bytes) -> Bytes {
    if !document.iter().any(|byte| needs_reference(*byte)) {
        return document;
    }
    let mut out = Vec::with_capacity(document.len() + 64);
    for byte in document {
        if needs_reference(byte) {
            out.extend_from_slice(format!("&#x{byte:X};").as_bytes());
        } else {
            out.push(byte);
        }
    }
    Bytes::from(out)
}

/// The document with its one `ETag` element unquoted, as GetObjectAttributes has it.
pub(crate) fn bare_etag(document: Bytes) -> Bytes {
    match std::str::from_utf8(&document) {
        Ok(text) => Bytes::from(text.replace("<ETag>\"", "<ETag>").replace("\"</ETag>", "</ETag>")),
        Err(_) => document,
    }
}

#[cfg(test)]
mod tests {
    use super::{bare_etag, mend, text};

    #[test]
    fn an_etag_loses_its_quotes_and_nothing_else_does() {
        assert_eq!(
            bare_etag("<ETag>\"a-1\"</ETag><B>\"</B>".into()),
            "<ETag>a-1</ETag><B>\"</B>"
        );
    }

    #[test]
    fn control_characters_become_references_and_the_rest_stays() {
        assert_eq!(text("a<\u{1}\r\n\té"), "a&lt;&#x1;&#xD;\n\té");
        assert_eq!(mend("<Key>\u{1f}é\r</Key>".into()), "<Key>&#x1F;é&#xD;</Key>");
        assert_eq!(mend("<Key>plain\n</Key>".into()), "<Key>plain\n</Key>");
    }
}
