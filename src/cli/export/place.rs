//! Where the bytes of a file go below the folder: under its id, by a name that is safe everywhere. Pure.
//!
//! Ids are the server's, so no two files meet, whatever they are called and however a file system compares names; and of a name
//! nothing stays that leads elsewhere.

use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use crate::media::is_invisible;

/// The folder with the bytes, in that of the export.
pub(super) const FILES: &str = "files";
/// Bytes of a name; a file system takes 255, and something may be written behind it.
const NAME_BYTES_MAX: usize = 200;
/// Of an ending that is kept when a name is cut.
const END_BYTES_MAX: usize = 16;
/// Names that some systems have for devices, with any ending.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// Where the file with this id and name goes, as a path below the folder; `None`: the id is none.
pub(super) fn of(id: &str, name: &str) -> Option<PathBuf> {
    let is_id = id.len() == 36 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    // The end of an id is random, so that no folder has too many others in it.
    let fan = id.get(id.len().checked_sub(2)?..).filter(|_| is_id)?;
    Some(Path::new(FILES).join(fan).join(id).join(safe(name)))
}

/// The name, in letters that every file system takes as one segment, and which begin with no dot. It is one that a file of the
/// Files API may have.
pub(super) fn safe(name: &str) -> String {
    let plain = name.nfc().map(|c| match c {
        '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
        c if c.is_control() || is_invisible(c) => '_',
        c => c,
    });
    let plain: String = plain.collect();
    let plain = cut(plain.trim());
    let plain = plain.trim_end_matches(['.', ' ']);
    let stem = plain.split('.').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_device = DEVICES.contains(&stem.as_str())
        || NUMBERED_DEVICES.iter().any(|device| {
            let number = stem.strip_prefix(device);
            number.is_some_and(|number| number.chars().count() == 1)
        });
    match plain.is_empty() {
        true => "file".to_owned(),
        false if is_device || plain.starts_with(['.', '~', '-']) => format!("_{plain}"),
        false => plain.to_owned(),
    }
}

/// As much of it as fits, with its ending.
fn cut(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let end = name.rfind('.').and_then(|at| name.get(at..));
    let end = end.filter(|end| end.len() <= END_BYTES_MAX).unwrap_or_default();
    let most = name.floor_char_boundary(NAME_BYTES_MAX - end.len());
    name.get(..most).unwrap_or_default().to_owned() + end
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;
    use crate::media::FileName;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a80ab";

    #[test]
    fn harmless_names_stay_and_others_are_written_otherwise() {
        let long = "ä".repeat(300) + ".jpeg";
        for (name, expected) in [
            ("My Photo.png", "My Photo.png"),
            ("Füße — ☂.pdf", "Füße — ☂.pdf"),
            ("../../etc/passwd", "_.._.._etc_passwd"),
            ("..", "file"),
            (".", "file"),
            ("", "file"),
            (" . ", "file"),
            (".bashrc", "_.bashrc"),
            ("-rf", "_-rf"),
            ("a\0b\nc", "a_b_c"),
            ("C:\\x?.txt", "C__x_.txt"),
            ("CON.txt", "_CON.txt"),
            ("com1", "_com1"),
            ("company", "company"),
            ("ends. . ", "ends"),
            ("a\u{200b}b\u{202e}txt.exe", "a_b_txt.exe"),
            ("e\u{301}.txt", "é.txt"),
        ] {
            assert_eq!(safe(name), expected, "{name:?}");
        }
        let written = safe(&long);
        assert!(
            written.len() <= NAME_BYTES_MAX && written.ends_with(".jpeg"),
            "{written}"
        );
    }

    #[test]
    fn what_is_no_id_has_no_place() {
        assert_eq!(of(ID, "a.txt"), Some(Path::new("files/ab").join(ID).join("a.txt")));
        for wrong in [
            "",
            "..",
            "../../a",
            &ID.replace('0', "/"),
            &ID.to_uppercase(),
            &format!("{ID}/"),
        ] {
            assert_eq!(of(wrong, "a.txt"), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_name_leads_out_of_the_folder_and_each_can_be_brought_back(name in "\\PC*|(\\.|/|\\\\|\0|[a-z]){0,20}|.{250,400}") {
            let place = of(ID, &name).unwrap();
            let parts: Vec<Component<'_>> = place.components().collect();
            prop_assert_eq!(parts.len(), 4);
            prop_assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))));
            let last = place.file_name().and_then(|name| name.to_str()).unwrap();
            prop_assert!(!last.starts_with('.') && last.len() <= 255, "{}", last);
            prop_assert_eq!(FileName::parse(last).map(FileName::into_string), Ok(last.to_owned()));
        }
    }
}
