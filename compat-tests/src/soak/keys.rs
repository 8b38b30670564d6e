//! What the soak knows of each key, and what an answer may be. A key has one writer, who numbers its versions; anybody
//! reads it. A version is a body that tells its key, its number and its length, or a deletion.
//!
//! A write that was not answered may have happened; once it was seen it has. Nothing older than what was acknowledged or
//! seen before a request was sent may be its answer, and nothing that nobody had asked for when it came.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::tree;

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Nothing, or something older, where something newer stands for sure.
    Lost,
    /// Something that was deleted or replaced before, for sure.
    Resurrected,
    /// Bytes that nobody wrote.
    Bytes,
    /// A listing with a key twice, out of order, or one missing or too many.
    List,
}

#[derive(Debug, Default, Clone)]
struct Key {
    /// The newest version that was asked for.
    tried: u64,
    /// The newest that is known to have happened.
    floor: u64,
    /// Versions that are deletions.
    deletions: BTreeSet<u64>,
    /// Lengths of the others.
    lengths: std::collections::BTreeMap<u64, usize>,
}

impl Key {
    fn is_settled(&self) -> bool {
        self.tried == self.floor
    }

    fn stands(&self) -> bool {
        self.floor > 0 && !self.deletions.contains(&self.floor)
    }
}

/// A key as it was when a request was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    floor: u64,
    tried: u64,
    settled: bool,
    stands: bool,
}

/// All keys.
pub(super) struct Keys {
    all: Vec<Mutex<Key>>,
}

impl Keys {
    pub(super) fn new(count: usize) -> Self {
        let all = std::iter::repeat_with(Mutex::default).take(count).collect();
        Self { all }
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    pub(super) fn name(number: usize) -> String {
        format!("dir{}/key-{number:04}", number % 7)
    }

    fn with<T>(&self, number: usize, work: impl FnOnce(&mut Key) -> T) -> T {
        let mut spare = Key::default();
        match self.all.get(number) {
            Some(key) => work(&mut key.lock().unwrap_or_else(PoisonError::into_inner)),
            None => work(&mut spare),
        }
    }

    /// The next version of a key, with its body of this length, or a deletion.
    pub(super) fn begin(&self, number: usize, length: Option<usize>) -> (u64, Vec<u8>) {
        let version = self.with(number, |key| {
            key.tried += 1;
            match length {
                Some(length) => drop(key.lengths.insert(key.tried, length)),
                None => drop(key.deletions.insert(key.tried)),
            }
            key.tried
        });
        (
            version,
            length.map(|length| body(number, version, length)).unwrap_or_default(),
        )
    }

    pub(super) fn acknowledged(&self, number: usize, version: u64) {
        self.with(number, |key| key.floor = key.floor.max(version));
    }

    pub(super) fn before(&self, number: usize) -> Before {
        self.with(number, |key| Before {
            floor: key.floor,
            tried: key.tried,
            settled: key.is_settled(),
            stands: key.stands(),
        })
    }

    /// Judges what a GET found: a body, or that there is none.
    pub(super) fn judge(&self, number: usize, before: Before, found: Option<&[u8]>) -> Result<(), Wrong> {
        let Some(bytes) = found else {
            let absent = self.with(number, |key| {
                before.floor == 0 || key.deletions.range(before.floor..=key.tried).next().is_some()
            });
            return if absent { Ok(()) } else { Err(Wrong::Lost) };
        };
        let version = told_version(number, bytes).ok_or(Wrong::Bytes)?;
        self.with(number, |key| {
            let Some(length) = key.lengths.get(&version).copied() else {
                return Err(Wrong::Bytes);
            };
            if *bytes != body(number, version, length) {
                return Err(Wrong::Bytes);
            }
            if version < before.floor {
                return Err(Wrong::Resurrected);
            }
            key.floor = key.floor.max(version);
            Ok(())
        })
    }

    /// Judges a whole listing; keys that were written meanwhile may be there or not.
    pub(super) fn judge_list(&self, before: &[Before], listed: &[String]) -> Result<(), Wrong> {
        if !listed.windows(2).all(|pair| matches!(pair, [one, two] if one < two)) {
            return Err(Wrong::List);
        }
        let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
        for (number, before) in before.iter().enumerate() {
            let after = self.before(number);
            let untouched = before.settled && after.tried == before.tried;
            if untouched && listed.contains(Self::name(number).as_str()) != before.stands {
                return Err(Wrong::List);
            }
        }
        Ok(())
    }
}

fn head(number: usize, version: u64, length: usize) -> String {
    format!("{number}:{version}:{length}\n")
}

fn body(number: usize, version: u64, length: usize) -> Vec<u8> {
    let mut bytes = head(number, version, length).into_bytes();
    let seed = (number as u64) << 32 | version;
    bytes.extend(tree::bytes(seed, length));
    bytes
}

fn told_version(number: usize, bytes: &[u8]) -> Option<u64> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let mut fields = std::str::from_utf8(line).ok()?.split(':');
    (fields.next()?.parse() == Ok(number)).then_some(())?;
    fields.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_or_seen_may_not_go_back() {
        let keys = Keys::new(1);
        let (first, old) = keys.begin(0, Some(10));
        keys.acknowledged(0, first);
        let (second, new) = keys.begin(0, Some(20));
        let before = keys.before(0);
        // Not answered yet: either.
        assert_eq!(keys.judge(0, before, Some(&old)), Ok(()));
        assert_eq!(keys.judge(0, before, None), Err(Wrong::Lost));
        assert_eq!(keys.judge(0, before, Some(&new)), Ok(()));
        // Seen: no longer.
        assert_eq!(keys.judge(0, keys.before(0), Some(&old)), Err(Wrong::Resurrected));
        assert_eq!(keys.judge(0, keys.before(0), Some(b"0:2:20\nother")), Err(Wrong::Bytes));
        keys.acknowledged(0, second);
        let (third, _) = keys.begin(0, None);
        assert_eq!(keys.judge(0, keys.before(0), None), Ok(()));
        keys.acknowledged(0, third);
        assert_eq!(keys.judge(0, keys.before(0), Some(&new)), Err(Wrong::Resurrected));
    }

    #[test]
    fn a_listing_neither_doubles_nor_leaves_out_what_stood_all_along() {
        let keys = Keys::new(2);
        let (version, _) = keys.begin(0, Some(1));
        keys.acknowledged(0, version);
        let before = [keys.before(0), keys.before(1)];
        let name = Keys::name(0);
        assert_eq!(keys.judge_list(&before, std::slice::from_ref(&name)), Ok(()));
        assert_eq!(
            keys.judge_list(&before, &[name.clone(), name.clone()]),
            Err(Wrong::List)
        );
        assert_eq!(keys.judge_list(&before, &[]), Err(Wrong::List));
        assert_eq!(keys.judge_list(&before, &[name, Keys::name(1)]), Err(Wrong::List));
    }
}
