//! The list of what is in the folder. It is written beside the one of before, and takes its place once all of it, and all bytes that
//! it names, are on stable media.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::fresh;

/// As `drystone import` is given it.
pub(super) const NAME: &str = "manifest.jsonl";

/// A manifest that is being written.
pub(super) struct Manifest {
    folder: PathBuf,
    part: PathBuf,
    rows: BufWriter<File>,
}

impl Manifest {
    pub(super) fn new(folder: &Path) -> Result<Self, String> {
        let part = folder.join(format!("{NAME}.part"));
        let file = fresh::file(&part).map_err(|error| named(&part, &error))?;
        Ok(Self {
            folder: folder.to_path_buf(),
            part,
            rows: BufWriter::new(file),
        })
    }

    pub(super) fn add(&mut self, row: &Value) -> Result<(), String> {
        writeln!(self.rows, "{row}").map_err(|error| named(&self.part, &error))
    }

    /// Puts it in its place.
    pub(super) fn publish(self) -> Result<PathBuf, String> {
        let Self { folder, part, rows } = self;
        let publish = || -> std::io::Result<PathBuf> {
            let file = rows.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            file.sync_all()?;
            // The bytes were synced one by one; the folders that name them were not.
            let about = File::open(&folder)?;
            rustix::fs::syncfs(&about)?;
            let place = folder.join(NAME);
            std::fs::rename(&part, &place)?;
            about.sync_all()?;
            Ok(place)
        };
        publish().map_err(|error| named(&folder, &error))
    }
}

fn named(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_takes_the_place_of_the_one_of_before_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        for count in [2, 30] {
            let mut manifest = Manifest::new(folder.path()).unwrap();
            for number in 0..count {
                manifest.add(&json!({ "id": format!("{number}") })).unwrap();
            }
            let place = manifest.publish().unwrap();
            assert_eq!(std::fs::read_to_string(place).unwrap().lines().count(), count);
        }
        let mut begun = Manifest::new(folder.path()).unwrap();
        begun.add(&json!({})).unwrap();
        drop(begun);
        let text = std::fs::read_to_string(folder.path().join(NAME)).unwrap();
        assert_eq!(text.lines().count(), 30);
    }
}
