//! Which environment a folder has the files of, and what was found out of files whose record has no SHA-256, since that of large
//! ones may be unknown: by it the next run knows that their bytes are there.

use std::collections::BTreeMap;
use std::path::Path;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::manifest;
use crate::cli::app::lines::{Lines, Whose};

/// In the folder; whoever has it open is the only run.
const NAME: &str = ".drystone-export";

/// The bytes of a file, as they were read once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summed {
    pub(super) id: String,
    pub(super) etag: String,
    pub(super) sha256: String,
}

/// See the module.
pub(super) struct State {
    lines: Lines,
    known: Mutex<BTreeMap<String, Summed>>,
}

impl State {
    /// Refuses a folder with the files of another environment, and one in which a manifest of unknown origin would be lost.
    pub(super) fn open(folder: &Path, server: &str) -> Result<Self, String> {
        let path = folder.join(NAME);
        let manifest = folder.join(manifest::NAME);
        if !path.exists() && manifest.exists() {
            return Err(format!(
                "{}: nothing says which environment it is of, since there is no {NAME} beside it; give another folder",
                manifest.display()
            ));
        }
        let whose = Whose {
            command: "export",
            server,
            instead: "another folder",
        };
        let (lines, known) = Lines::open::<Summed>(&path, whose)?;
        let known = known.into_iter().map(|summed| (summed.id.clone(), summed));
        Ok(Self {
            lines,
            known: Mutex::new(known.collect()),
        })
    }

    /// The SHA-256 of what has this tag.
    pub(super) fn sha256(&self, id: &str, etag: &str) -> Option<String> {
        let known = self.known.lock();
        let summed = known.get(id).filter(|summed| summed.etag == etag);
        summed.map(|summed| summed.sha256.clone())
    }

    pub(super) fn keep(&self, summed: Summed) -> Result<(), String> {
        self.lines.write(&summed)?;
        self.known.lock().insert(summed.id.clone(), summed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_summed_up_is_known_again_and_for_the_same_bytes_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path(), "http://a.test").unwrap();
        let (id, etag, sha256) = ("1".to_owned(), "e".to_owned(), "00".to_owned());
        state.keep(Summed { id, etag, sha256 }).unwrap();
        assert!(
            State::open(folder.path(), "http://a.test")
                .err()
                .unwrap()
                .contains("another export")
        );
        drop(state);
        assert!(
            State::open(folder.path(), "http://b.test")
                .err()
                .unwrap()
                .contains("a.test; give another folder")
        );
        let state = State::open(folder.path(), "http://a.test").unwrap();
        assert_eq!(state.sha256("1", "e").as_deref(), Some("00"));
        assert_eq!((state.sha256("1", "f"), state.sha256("2", "e")), (None, None));
        drop(state);
        std::fs::write(folder.path().join(manifest::NAME), "").unwrap();
        assert!(State::open(folder.path(), "http://a.test").is_ok());
        std::fs::remove_file(folder.path().join(NAME)).unwrap();
        let refused = State::open(folder.path(), "http://a.test").err().unwrap();
        assert!(refused.contains("which environment"), "{refused}");
    }
}
