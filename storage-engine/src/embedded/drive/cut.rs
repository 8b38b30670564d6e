//! What may stand on drives after the power was cut at a moment of a [`Trace`]. Of a file's bytes everything up to its
//! last sync stands; of each later write any sectors may, and the length may have grown without them. Of a directory's
//! entries all up to its last sync stand; each later creation, removal and rename may be there or not, whatever becomes
//! of the others. That is what POSIX leaves open; what xfs and ext4 do, entries in the order they were made, is part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::trace::{Change, FileNumber, Trace};

/// The least that a drive writes whole.
const SECTOR: usize = 512;
const PAGE: usize = 4096;

/// What becomes of the writes to a file that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// None of them is there.
    Lost,
    /// All are there.
    Kept,
    /// The file has the new length and nothing but zeros where it grew.
    Length,
    /// Only the first so many sectors of what was written are there.
    Prefix(usize),
    /// Only what comes after the first so many sectors is there.
    Suffix(usize),
    /// All but one page.
    Hole(usize),
    /// Each sector is there or not, as this seed says.
    Sectors(u64),
    /// Each page is there or not, as this seed says.
    Pages(u64),
}

/// One of the states that a cut may leave.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Of files with writes that were not synced; of others `rest`.
    pub files: BTreeMap<FileNumber, Fate>,
    pub rest: Fate,
    /// Of the entries that were not synced, by their number, those that are there.
    pub entries: BTreeSet<usize>,
}

#[derive(Debug, Default)]
struct Content {
    synced: Vec<u8>,
    /// Since the last sync.
    later: Vec<Later>,
}

#[derive(Debug)]
enum Later {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug)]
enum Entry {
    Is(PathBuf, FileNumber),
    Moved(PathBuf, PathBuf, FileNumber),
    IsNot(PathBuf),
}

impl Entry {
    fn path(&self) -> &Path {
        match self {
            Self::Is(path, _) | Self::Moved(_, path, _) | Self::IsNot(path) => path,
        }
    }

    fn put_into(&self, names: &mut BTreeMap<PathBuf, FileNumber>) {
        match self {
            Self::Is(path, file) => drop(names.insert(path.clone(), *file)),
            Self::Moved(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Self::IsNot(path) => drop(names.remove(path)),
        }
    }
}

/// What stood on media and what was on its way there at one moment.
#[derive(Debug, Default)]
pub struct Held {
    files: BTreeMap<FileNumber, Content>,
    names: BTreeMap<PathBuf, FileNumber>,
    /// Entries that were not synced, in order.
    later: Vec<Entry>,
}

/// Pseudo-random bits from a seed, the same on every run.
pub fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn length(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

fn write_at(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset.saturating_add(bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    if let Some(place) = content.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}

impl Later {
    fn put_into(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => write_at(content, *offset, bytes),
            Self::Length(len) => content.resize(*len, 0),
        }
    }
}

impl Held {
    /// What there was before change number `moment` of `trace`.
    pub fn at(trace: &Trace, moment: usize) -> Self {
        let done = trace.changes().get(..moment).unwrap_or(trace.changes());
        let mut files_synced: BTreeMap<FileNumber, usize> = BTreeMap::new();
        let mut dirs_synced: BTreeMap<&Path, usize> = BTreeMap::new();
        for (number, change) in done.iter().enumerate() {
            match change {
                Change::FileSynced { file, before } => {
                    let synced = files_synced.entry(*file).or_default();
                    *synced = (*synced).max(*before);
                }
                Change::Harmed { file, .. } => drop(files_synced.insert(*file, number + 1)),
                Change::DirectorySynced { dir, before } => {
                    let synced = dirs_synced.entry(dir).or_default();
                    *synced = (*synced).max(*before);
                }
                Change::Created { .. }
                | Change::Wrote { .. }
                | Change::Resized { .. }
                | Change::Renamed { .. }
                | Change::Removed { .. } => {}
            }
        }
        let mut held = Self::default();
        for (number, change) in done.iter().enumerate() {
            let is_synced = |file| files_synced.get(file).is_some_and(|before| number < *before);
            match change {
                Change::Wrote { file, offset, bytes } => {
                    let offset = length(*offset);
                    let bytes = bytes.clone();
                    held.note(*file, Later::Write { offset, bytes }, is_synced(file));
                }
                Change::Resized { file, len } => held.note(*file, Later::Length(length(*len)), is_synced(file)),
                Change::Harmed { path, file, content } => held.harm(path, *file, content.as_deref()),
                Change::Created { path, file } => held.enter(Entry::Is(path.clone(), *file), number, &dirs_synced),
                Change::Renamed { from, to, file } => {
                    held.enter(Entry::Moved(from.clone(), to.clone(), *file), number, &dirs_synced);
                }
                Change::Removed { path } => held.enter(Entry::IsNot(path.clone()), number, &dirs_synced),
                Change::FileSynced { .. } | Change::DirectorySynced { .. } => {}
            }
        }
        held
    }

    fn note(&mut self, file: FileNumber, later: Later, synced: bool) {
        let content = self.files.entry(file).or_default();
        if synced {
            later.put_into(&mut content.synced);
        } else {
            content.later.push(later);
        }
    }

    fn harm(&mut self, path: &Path, file: FileNumber, content: Option<&[u8]>) {
        match content {
            Some(bytes) => {
                let content = self.files.entry(file).or_default();
                content.synced = bytes.to_vec();
                content.later.clear();
            }
            None => {
                self.names.remove(path);
                self.later.retain(|entry| entry.path() != path);
            }
        }
    }

    fn enter(&mut self, entry: Entry, number: usize, synced: &BTreeMap<&Path, usize>) {
        let dir = entry.path().parent();
        let before = dir.and_then(|dir| synced.get(dir));
        if before.is_some_and(|before| number < *before) {
            entry.put_into(&mut self.names);
        } else {
            self.later.push(entry);
        }
    }

    /// Files with writes that were not synced, and how many sectors these have.
    pub fn unsynced_files(&self) -> impl Iterator<Item = (FileNumber, usize)> {
        self.files
            .iter()
            .filter(|(_, content)| !content.later.is_empty())
            .map(|(file, content)| (*file, content.sectors()))
    }

    /// Entries that were not synced, by number, with their paths.
    pub fn unsynced_entries(&self) -> impl Iterator<Item = (usize, &Path)> {
        self.later.iter().map(Entry::path).enumerate()
    }

    /// The files that stand if it comes as chosen, with their content.
    pub fn remains(&self, choice: &Choice) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut names = self.names.clone();
        for (number, entry) in self.later.iter().enumerate() {
            if choice.entries.contains(&number) {
                entry.put_into(&mut names);
            }
        }
        let content = |file| {
            let fate = choice.files.get(&file).copied().unwrap_or(choice.rest);
            self.files
                .get(&file)
                .map(|content| content.left(fate))
                .unwrap_or_default()
        };
        names.into_iter().map(|(path, file)| (path, content(file))).collect()
    }
}

impl Content {
    fn sectors(&self) -> usize {
        let sectors = |later: &Later| match later {
            Later::Write { offset, bytes } => pieces(*offset, bytes, SECTOR).count(),
            Later::Length(_) => 0,
        };
        self.later.iter().map(sectors).sum()
    }

    fn left(&self, fate: Fate) -> Vec<u8> {
        let mut left = self.synced.clone();
        let unit = if matches!(fate, Fate::Hole(_) | Fate::Pages(_)) {
            PAGE
        } else {
            SECTOR
        };
        let mut number = 0;
        let mut whole_len = left.len();
        for later in &self.later {
            match later {
                Later::Length(len) => {
                    whole_len = *len;
                    if fate == Fate::Kept {
                        left.resize(*len, 0);
                    }
                }
                Later::Write { offset, bytes } => {
                    whole_len = whole_len.max(offset + bytes.len());
                    for (at, piece) in pieces(*offset, bytes, unit) {
                        if fate.keeps(number) {
                            write_at(&mut left, at, piece);
                        }
                        number += 1;
                    }
                }
            }
        }
        if fate == Fate::Length && left.len() < whole_len {
            left.resize(whole_len, 0);
        }
        left
    }
}

/// The parts of a write between multiples of `unit`.
fn pieces(offset: usize, bytes: &[u8], unit: usize) -> impl Iterator<Item = (usize, &[u8])> {
    let (mut at, mut rest) = (offset, bytes);
    std::iter::from_fn(move || {
        let len = (unit - at % unit).min(rest.len());
        let (piece, behind) = rest.split_at(len);
        let found = (at, piece);
        (at, rest) = (at + len, behind);
        (len > 0).then_some(found)
    })
}

impl Fate {
    fn keeps(self, number: usize) -> bool {
        match self {
            Self::Lost | Self::Length => false,
            Self::Kept => true,
            Self::Prefix(first) => number < first,
            Self::Suffix(first) => number >= first,
            Self::Hole(lost) => number != lost,
            Self::Sectors(seed) | Self::Pages(seed) => mixed(seed ^ mixed(number as u64)) & 1 == 1,
        }
    }
}
