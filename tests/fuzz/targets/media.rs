//! What people say of files and what is in them: names, declared types, first bytes, headers of images.

use drystone::media::{
    FileName, Inspection, Mime, accept, attachment, check_key, dimensions, is_shown, key_of, safe_disposition, sniff,
};
use http::HeaderValue;

/// What is taken is safe as a name, in a key and in a header, and is the same when it is read again.
pub(super) fn file_name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = check_key(text);
    let header = attachment(text, "image/png", true);
    assert!(HeaderValue::from_str(&header).is_ok(), "{header:?}");
    assert_eq!(header.matches('"').count(), 2, "{header:?}");
    let Ok(name) = FileName::parse(text) else { return };
    assert_eq!(FileName::parse(name.as_str()).as_ref(), Ok(&name));
    assert!(name.as_str().len() <= 255 && !name.as_str().chars().any(char::is_control));
    let key = key_of(&[0xab; 16], &name);
    assert_eq!(check_key(&key), Ok(()), "{key:?}");
    assert!(!key.contains(['?', '#', '%', ' ', '\\', '"']), "{key:?}");
}

/// A type that is read is read the same again, and only types of the list are shown.
pub(super) fn media_type(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if is_shown(text) {
        assert_eq!(safe_disposition(Some(text), None), None);
        assert!(
            !text.to_ascii_lowercase().contains("html") || text.contains(';'),
            "{text:?}"
        );
    }
    let Ok(mime) = Mime::parse(text) else { return };
    assert_eq!(Mime::parse(mime.as_str()).as_ref(), Ok(&mime));
    assert_eq!(Mime::parse(mime.essence()).unwrap().essence(), mime.essence());
    assert!(HeaderValue::from_str(mime.as_str()).is_ok(), "{text:?}");
}

/// The same is seen in whatever pieces; a page or a drawing is never taken for a picture.
pub(super) fn first_bytes(data: &[u8]) {
    let known = sniff(data);
    let pictures = ["image/*".to_owned()];
    for declared in ["image/png", "image/x-icon", "text/plain", "application/octet-stream"] {
        let declared = Mime::parse(declared).ok();
        let taken = accept(declared.as_ref(), known, &pictures);
        let acts = matches!(known, Some("text/html" | "text/xml" | "application/xhtml+xml"));
        assert!(!acts || taken.is_err(), "{known:?} {taken:?}");
    }
    let mut inspection = Inspection::default();
    for piece in data.chunks(7) {
        inspection.feed(piece);
    }
    let seen = inspection.finish();
    assert_eq!((seen.size, seen.sniffed), (data.len() as u64, known));
}

/// Headers say something or nothing.
pub(super) fn image_header(data: &[u8]) {
    if let Some(size) = dimensions(data) {
        assert!(size.width > 0 && size.height > 0);
    }
}
