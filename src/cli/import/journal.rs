//! What a run has done, in a file of lines that only grows: a run that broke off is gone on with from here.
//!
//! A line `begun` is on stable media before the bytes of its file are sent, and a line
//! `done` when they were found to be there, so at most the announcement of a file is made twice; what is only announced goes by itself.

use std::collections::BTreeMap;
use std::path::Path;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::cli::app::lines::{self, Lines, Whose};

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    /// Its name where it came from.
    pub(super) id: String,
    /// What else the application may have kept of it there.
    pub(super) alias: Option<String>,
    pub(super) file_id: String,
    pub(super) key: String,
    pub(super) url: Option<String>,
    pub(super) public_url: Option<String>,
    pub(super) original_name: String,
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// A file that was announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Begun {
    pub(super) id: String,
    pub(super) file_id: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Begun(Begun),
    Done(Done),
}

/// What is known of files, by their names where they came from.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) begun: BTreeMap<String, String>,
    pub(super) done: BTreeMap<String, Done>,
}

impl FromIterator<Line> for Known {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Self {
        let mut known = Self::default();
        for line in lines {
            match line {
                Line::Begun(begun) => drop(known.begun.insert(begun.id, begun.file_id)),
                Line::Done(done) => {
                    known.begun.remove(&done.id);
                    known.done.insert(done.id.clone(), done);
                }
            }
        }
        known
    }
}

/// See the module.
pub(super) struct Journal {
    lines: Lines,
    known: Mutex<Known>,
}

fn whose(server: &str) -> Whose<'_> {
    Whose {
        command: "import",
        server,
        instead: "another file with --state",
    }
}

/// What a file of lines says; one that is not there says nothing.
pub(super) fn read(path: &Path, server: &str) -> Result<Known, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let (lines, _) = lines::read::<Line>(path, &text, whose(server))?;
            Ok(lines.into_iter().collect())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Known::default()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

impl Journal {
    /// Opens or makes the file. No two runs have it at once.
    pub(super) fn open(path: &Path, server: &str) -> Result<Self, String> {
        let (lines, known) = Lines::open::<Line>(path, whose(server))?;
        Ok(Self {
            lines,
            known: Mutex::new(known.into_iter().collect()),
        })
    }

    pub(super) fn is_done(&self, id: &str) -> bool {
        self.known.lock().done.contains_key(id)
    }

    /// The file that was announced for this one, if its end is not known.
    pub(super) fn begun(&self, id: &str) -> Option<String> {
        self.known.lock().begun.get(id).cloned()
    }

    /// Some of the files that are known to be there, from all over.
    pub(super) fn some_done(&self, count: usize) -> Vec<Done> {
        let known = self.known.lock();
        let step = known.done.len().div_ceil(count.max(1)).max(1);
        known.done.values().step_by(step).cloned().collect()
    }

    pub(super) fn begin(&self, id: &str, file_id: &str) -> Result<(), String> {
        let (id, file_id) = (id.to_owned(), file_id.to_owned());
        self.lines.write(&Line::Begun(Begun {
            id: id.clone(),
            file_id: file_id.clone(),
        }))?;
        self.known.lock().begun.insert(id, file_id);
        Ok(())
    }

    pub(super) fn end(&self, done: Done) -> Result<(), String> {
        self.lines.write(&Line::Done(done.clone()))?;
        let mut known = self.known.lock();
        known.begun.remove(&done.id);
        known.done.insert(done.id.clone(), done);
        Ok(())
    }

    /// Those of these that are there, in this order.
    pub(super) fn done(&self, ids: &[String]) -> Vec<Done> {
        let known = self.known.lock();
        ids.iter().filter_map(|id| known.done.get(id).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "http://localhost:9000";

    fn done(id: &str) -> Done {
        Done {
            id: id.into(),
            alias: None,
            file_id: format!("new-{id}"),
            key: "k".into(),
            url: None,
            public_url: None,
            original_name: "a".into(),
            size: 1,
            sha256: "00".into(),
        }
    }

    #[test]
    fn what_was_done_is_known_again_and_half_a_line_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let journal = Journal::open(&path, SERVER).unwrap();
        journal.begin("a", "new-a").unwrap();
        journal.begin("b", "new-b").unwrap();
        journal.end(done("a")).unwrap();
        assert!(Journal::open(&path, SERVER).err().unwrap().contains("another import"));
        drop(journal);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"done\":{{\"id\":\"b")).unwrap();
        let journal = Journal::open(&path, SERVER).unwrap();
        assert!(journal.is_done("a") && !journal.is_done("b"));
        assert_eq!(
            (journal.begun("a"), journal.begun("b")),
            (None, Some("new-b".to_owned()))
        );
        journal.end(done("b")).unwrap();
        drop(journal);
        let known = read(&path, SERVER).unwrap();
        assert_eq!(known.done.keys().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn another_servers_file_and_files_of_something_else_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        drop(Journal::open(&path, SERVER).unwrap());
        assert!(
            Journal::open(&path, "https://b.test")
                .err()
                .unwrap()
                .contains("--state")
        );
        for text in [
            "{}\n",
            "a letter to somebody\n",
            "{\"begun\":{\"id\":\"a\",\"fileId\":\"b\"}}\n",
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(Journal::open(&path, SERVER).is_err(), "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert!(read(&folder.path().join("none"), SERVER).unwrap().done.is_empty());
    }
}
