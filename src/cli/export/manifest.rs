//! The list of what is in the folder. It is written beside the one of before, and takes its place once all of it, and all bytes that
//! it names, are on stable media.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// As `drystone import` is given it.
pub(super) const NAME: &str = "manifest.jsonl";
/// Of a manifest, how many files at its beginning and its end are looked for on the server.
const SAMPLE: usize = 4;

/// A manifest that is being written.
pub(super) struct Manifest {
    folder: PathBuf,
    part: PathBuf,
    rows: BufWriter<File>,
}

impl Manifest {
    pub(super) fn new(folder: &Path) -> Result<Self, String> {
        let part = folder.join(format!("{NAME}.part"));
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&part).map_err(|error| named(&part, &error))?;
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

/// Ids of some files that an earlier run brought here; none where there was none.
pub(super) fn sample(folder: &Path) -> Result<Vec<String>, String> {
    let path = folder.join(NAME);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(named(&path, &error)),
    };
    let (mut first, mut last) = (Vec::new(), VecDeque::new());
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|error| named(&path, &error))?;
        if first.len() < SAMPLE {
            first.push(line);
            continue;
        }
        if last.len() == SAMPLE {
            last.pop_front();
        }
        last.push_back(line);
    }
    let id = |line: String| {
        let row: Value = serde_json::from_str(&line).ok()?;
        Some(row.get("id")?.as_str()?.to_owned())
    };
    let ids = first.into_iter().chain(last).map(id);
    let ids: Option<Vec<String>> = ids.collect();
    ids.ok_or_else(|| format!("{}: it is no manifest of an export", path.display()))
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
        assert_eq!(sample(folder.path()).unwrap(), Vec::<String>::new());
        for count in [2, 30] {
            let mut manifest = Manifest::new(folder.path()).unwrap();
            for number in 0..count {
                manifest.add(&json!({ "id": format!("{number}") })).unwrap();
            }
            let place = manifest.publish().unwrap();
            assert_eq!(std::fs::read_to_string(place).unwrap().lines().count(), count);
        }
        assert_eq!(
            sample(folder.path()).unwrap(),
            ["0", "1", "2", "3", "26", "27", "28", "29"]
        );
        let mut begun = Manifest::new(folder.path()).unwrap();
        begun.add(&json!({})).unwrap();
        drop(begun);
        assert_eq!(sample(folder.path()).unwrap().len(), 8);
        std::fs::write(folder.path().join(NAME), "a letter\n").unwrap();
        assert!(sample(folder.path()).unwrap_err().contains("no manifest"));
    }
}
