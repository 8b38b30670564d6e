//! How many different images of one file may be made for URLs that nobody signed: against whoever asks for every size
//! there is.
//!
//! Counted for each file from its first such image on, for an hour. A bounded number of files is remembered; the ones that
//! were begun first are forgotten first. Pure: the time is an argument.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::cache::FileName;

/// How long images of a file are counted.
const WINDOW: Duration = Duration::from_hours(1);
/// Files that are remembered.
const FILES_MAX: usize = 20_000;

/// The images that were let for each file.
#[derive(Debug, Default)]
pub struct Flood {
    files: HashMap<FileName, Seen>,
    /// In the order in which they began.
    begun: VecDeque<(Instant, FileName)>,
}

#[derive(Debug)]
struct Seen {
    since: Instant,
    options: BTreeSet<String>,
}

impl Flood {
    /// Whether an image of the file with these options may be made: it is one of `most` in this hour, or was let already.
    /// Else, when to ask again.
    pub fn admit(&mut self, file: &FileName, options: &str, most: u32, now: Instant) -> Result<(), Duration> {
        self.forget(now);
        let seen = self.files.entry(file.clone()).or_insert_with(|| {
            self.begun.push_back((now, file.clone()));
            Seen {
                since: now,
                options: BTreeSet::new(),
            }
        });
        if seen.options.contains(options) {
            return Ok(());
        }
        if u32::try_from(seen.options.len()).is_ok_and(|count| count < most) {
            seen.options.insert(options.to_owned());
            return Ok(());
        }
        Err((seen.since + WINDOW).saturating_duration_since(now))
    }

    fn forget(&mut self, now: Instant) {
        while let Some((since, _)) = self.begun.front() {
            if now.saturating_duration_since(*since) < WINDOW && self.begun.len() < FILES_MAX {
                break;
            }
            if let Some((_, file)) = self.begun.pop_front() {
                self.files.remove(&file);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(key: &str) -> FileName {
        FileName {
            bucket: "shop-prod".to_owned(),
            key: key.to_owned(),
        }
    }

    #[test]
    fn some_images_of_a_file_are_let_in_an_hour_and_then_again() {
        let mut flood = Flood::default();
        let start = Instant::now();
        for number in 0..3 {
            assert_eq!(flood.admit(&file("k"), &format!("{number}x0"), 3, start), Ok(()));
        }
        let later = start + Duration::from_mins(40);
        assert_eq!(flood.admit(&file("k"), "9x0", 3, later), Err(Duration::from_mins(20)));
        // Those that were let stay so, and other files have their own.
        assert_eq!(flood.admit(&file("k"), "1x0", 3, later), Ok(()));
        assert_eq!(flood.admit(&file("l"), "9x0", 3, later), Ok(()));
        assert_eq!(flood.admit(&file("k"), "9x0", 3, start + WINDOW), Ok(()));
        assert_eq!(flood.admit(&file("k"), "9x0", 0, start + WINDOW), Ok(()));
        assert!(flood.admit(&file("k"), "8x0", 0, start + WINDOW).is_err());
    }

    #[test]
    fn a_bounded_number_of_files_is_remembered() {
        let mut flood = Flood::default();
        let now = Instant::now();
        for number in 0..FILES_MAX + 50 {
            flood.admit(&file(&number.to_string()), "1x0", 1, now).unwrap();
        }
        assert!(flood.files.len() <= FILES_MAX && flood.begun.len() <= FILES_MAX);
    }
}
