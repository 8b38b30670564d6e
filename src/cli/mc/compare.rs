//! Two walks side by side: what is only in one of them, and what differs. In the order of keys, with one entry of each in
//! memory. It never looks at contents.

use super::client::ClientError;
use super::walk::{Entry, Walk};

/// How a name stands in two places.
#[derive(Debug)]
pub(super) enum Pair {
    OnlyFirst(Entry),
    OnlySecond(Entry),
    /// In both, of different size.
    Size(Entry, Entry),
    /// In both, of one size, and the first is younger.
    Younger(Entry, Entry),
    Same,
}

/// The comparison of two walks.
pub(super) struct Compare {
    first: Side,
    second: Side,
}

struct Side {
    walk: Walk,
    next: Option<Entry>,
    ended: bool,
}

impl Side {
    async fn fill(&mut self) -> Result<(), ClientError> {
        if self.next.is_none() && !self.ended {
            self.next = self.walk.next().await?;
            self.ended = self.next.is_none();
        }
        Ok(())
    }
}

impl Compare {
    pub(super) fn new(first: Walk, second: Walk) -> Self {
        let side = |walk| Side {
            walk,
            next: None,
            ended: false,
        };
        Self {
            first: side(first),
            second: side(second),
        }
    }

    /// Names that the first walk saw and passed over.
    pub(super) fn passed_over(&self) -> &[String] {
        self.first.walk.passed_over()
    }

    /// The next name; `None` when both walks have ended.
    pub(super) async fn next(&mut self) -> Result<Option<Pair>, ClientError> {
        self.first.fill().await?;
        self.second.fill().await?;
        Ok(match (self.first.next.take(), self.second.next.take()) {
            (None, None) => None,
            (Some(first), None) => Some(Pair::OnlyFirst(first)),
            (None, Some(second)) => Some(Pair::OnlySecond(second)),
            (Some(first), Some(second)) if first.name < second.name => {
                self.second.next = Some(second);
                Some(Pair::OnlyFirst(first))
            }
            (Some(first), Some(second)) if first.name > second.name => {
                self.first.next = Some(first);
                Some(Pair::OnlySecond(second))
            }
            (Some(first), Some(second)) => Some(both(first, second)),
        })
    }
}

fn both(first: Entry, second: Entry) -> Pair {
    if first.size != second.size {
        return Pair::Size(first, second);
    }
    match (first.modified, second.modified) {
        (Some(one), Some(other)) if one > other => Pair::Younger(first, second),
        _ => Pair::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_name_is_told_of_once() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for (name, text) in [
            ("one/a", "1"),
            ("one/b/c", "22"),
            ("one/d", "x"),
            ("two/b-", ""),
            ("two/b/c", "2"),
            ("two/d", "y"),
            ("two/e", ""),
        ] {
            write(name, text);
        }
        let old = std::time::SystemTime::UNIX_EPOCH;
        let file = fs::File::options()
            .write(true)
            .open(folder.path().join("one/d"))
            .unwrap();
        file.set_modified(old).unwrap();
        let walk = |name: &str| Walk::local(&folder.path().join(name), true);
        let tell = |pair: Pair| match pair {
            Pair::OnlyFirst(entry) => format!("<{}", entry.name),
            Pair::OnlySecond(entry) => format!(">{}", entry.name),
            Pair::Size(entry, _) => format!("s{}", entry.name),
            Pair::Younger(entry, _) => format!("t{}", entry.name),
            Pair::Same => "=".to_owned(),
        };
        for (one, two, expected) in [
            ("one", "two", vec!["<a", ">b-", "sb/c", "=", ">e"]),
            ("two", "one", vec![">a", "<b-", "sb/c", "td", "<e"]),
        ] {
            let mut compare = Compare::new(walk(one), walk(two));
            let mut told = Vec::new();
            while let Some(pair) = compare.next().await.unwrap() {
                told.push(tell(pair));
            }
            assert_eq!(told, expected);
        }
    }
}
