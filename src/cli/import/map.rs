//! Where everything went, for applications that have to rewrite what they keep: old names beside the new ones.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::journal::Done;

const COLUMNS: [&str; 9] = [
    "id",
    "alias",
    "fileId",
    "key",
    "url",
    "publicUrl",
    "originalName",
    "size",
    "sha256",
];

/// Writes the file, whole or not at all: CSV if it is called so, else JSON Lines.
pub(super) fn write(path: &Path, done: Vec<Done>) -> Result<(), String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let file = File::create(&beside).map_err(|error| named(&error))?;
    let is_csv = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    let mut file = match is_csv {
        true => by_commas(file, &done).map_err(|error| named(&error))?,
        false => by_lines(file, &done).map_err(|error| named(&error))?,
    };
    let kept = file.flush().and_then(|()| file.sync_all());
    kept.and_then(|()| std::fs::rename(&beside, path))
        .map_err(|error| named(&error))
}

fn by_lines(file: File, done: &[Done]) -> std::io::Result<File> {
    let mut lines = BufWriter::new(file);
    for done in done {
        serde_json::to_writer(&mut lines, done)?;
        lines.write_all(b"\n")?;
    }
    lines.into_inner().map_err(std::io::IntoInnerError::into_error)
}

fn by_commas(file: File, done: &[Done]) -> std::io::Result<File> {
    let mut rows = csv::Writer::from_writer(file);
    rows.write_record(COLUMNS)?;
    for done in done {
        let (size, none) = (done.size.to_string(), String::new());
        rows.write_record([
            &done.id,
            done.alias.as_ref().unwrap_or(&none),
            &done.file_id,
            &done.key,
            done.url.as_ref().unwrap_or(&none),
            done.public_url.as_ref().unwrap_or(&none),
            &done.original_name,
            &size,
            &done.sha256,
        ])?;
    }
    rows.into_inner()
        .map_err(|error| std::io::Error::other(error.to_string()))
}
