//! What a store on a machine that loses its power owes: per key what was acknowledged, and what was tried after it.
//! It is kept by the process that survives, from the lines it had read when the power went.

use std::collections::BTreeMap;

use md5::{Digest, Md5};

use crate::store::tests::lives::{self, Is};

/// What stands under a key. Bytes, metadata and ETag follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    Put {
        seed: u64,
        len: usize,
    },
    /// Uploaded in parts of these lengths.
    Parts {
        seed: u64,
        first: usize,
        last: usize,
    },
    /// What a file or an upload is that lives in the catalogue.
    Life(Is),
}

impl State {
    pub(super) fn of(is: Is) -> Self {
        match is {
            Is::Absent => Self::Absent,
            is => Self::Life(is),
        }
    }

    /// What it says of a file or an upload.
    pub(super) fn is(self) -> Is {
        match self {
            Self::Life(is) => is,
            Self::Absent | Self::Put { .. } | Self::Parts { .. } => Is::Absent,
        }
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Absent | Self::Life(_) => Vec::new(),
            Self::Put { seed, len } => bytes_of(seed, len),
            Self::Parts { seed, first, last } => bytes_of(seed, first + last),
        }
    }

    pub(super) fn etag(self) -> String {
        let bytes = self.bytes();
        match self {
            Self::Absent | Self::Life(_) => String::new(),
            Self::Put { .. } => hex(&Md5::digest(&bytes)),
            Self::Parts { first, .. } => {
                let parts: Vec<&[u8]> = self.parts(&bytes, first);
                let digests: Vec<u8> = parts.iter().flat_map(Md5::digest).collect();
                format!("{}-{}", hex(&Md5::digest(&digests)), parts.len())
            }
        }
    }

    pub(super) fn parts(self, bytes: &[u8], first: usize) -> Vec<&[u8]> {
        let (first, last) = bytes.split_at(first);
        [first, last].into_iter().filter(|part| !part.is_empty()).collect()
    }

    /// Metadata that must never stand beside another state's bytes.
    pub(super) fn content_type(self) -> String {
        match self {
            Self::Absent | Self::Life(_) => String::new(),
            Self::Put { seed, .. } | Self::Parts { seed, .. } => format!("seed/{seed}"),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Absent => "-".to_owned(),
            Self::Put { seed, len } => format!("{seed}:{len}"),
            Self::Parts { seed, first, last } => format!("{seed}:{first}:{last}"),
            Self::Life(is) => is.text(),
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "-" {
            return Some(Self::Absent);
        }
        if let Some(is) = Is::parse(text) {
            return Some(Self::Life(is));
        }
        let numbers: Vec<u64> = text.split(':').map(|n| n.parse().ok()).collect::<Option<_>>()?;
        let size = |n: u64| usize::try_from(n).ok();
        match numbers[..] {
            [seed, len] => Some(Self::Put { seed, len: size(len)? }),
            [seed, first, last] => Some(Self::Parts {
                seed,
                first: size(first)?,
                last: size(last)?,
            }),
            _ => None,
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(seed: u64, len: usize) -> Vec<u8> {
    lives::bytes_of(seed, len).into()
}

/// A line of a store process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It is about to ask for this state.
    Try(String, State),
    /// It was told that the state stands.
    Ack(String, State),
    /// It found the key so.
    Is(String, State),
    /// Something is as it must not be.
    Bad(String),
    /// A stage it has reached.
    Stage(String),
}

/// What its lines begin with, to tell them from others.
pub(super) const MARK: &str = "@ ";

impl Line {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Try(key, state) => format!("{MARK}try {key} {state}"),
            Self::Ack(key, state) => format!("{MARK}ack {key} {state}"),
            Self::Is(key, state) => format!("{MARK}is {key} {state}"),
            Self::Bad(what) => format!("{MARK}bad {}", what.replace('\n', " ")),
            Self::Stage(stage) => format!("{MARK}stage {stage}"),
        }
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let (kind, rest) = line.split_once(MARK)?.1.split_once(' ')?;
        let of_key = || {
            let (key, state) = rest.split_once(' ')?;
            Some((key.to_owned(), State::parse(state)?))
        };
        match kind {
            "try" => of_key().map(|(key, state)| Self::Try(key, state)),
            "ack" => of_key().map(|(key, state)| Self::Ack(key, state)),
            "is" => of_key().map(|(key, state)| Self::Is(key, state)),
            "bad" => Some(Self::Bad(rest.to_owned())),
            "stage" => Some(Self::Stage(rest.to_owned())),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Owed {
    acknowledged: State,
    tried: Vec<State>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    keys: BTreeMap<String, Owed>,
    pub(super) acknowledgements: usize,
}

impl Ledger {
    /// Takes a line in that was read before the power went.
    pub(super) fn take(&mut self, line: &Line) {
        match line {
            Line::Try(key, state) => self.owed(key).tried.push(*state),
            Line::Ack(key, state) => {
                self.acknowledgements += 1;
                self.settle(key, *state);
            }
            Line::Is(key, state) => self.settle(key, *state),
            Line::Bad(_) | Line::Stage(_) => {}
        }
    }

    /// Takes a line in that was read after: what it acknowledges may have been lost.
    pub(super) fn take_late(&mut self, line: &Line) {
        if let Line::Try(key, state) | Line::Ack(key, state) = line {
            self.owed(key).tried.push(*state);
        }
    }

    fn owed(&mut self, key: &str) -> &mut Owed {
        self.keys.entry(key.to_owned()).or_insert(Owed {
            acknowledged: State::Absent,
            tried: Vec::new(),
        })
    }

    fn settle(&mut self, key: &str, state: State) {
        let owed = self.owed(key);
        owed.acknowledged = state;
        owed.tried.clear();
    }

    /// For the next process: each key with all it may be.
    pub(super) fn text(&self) -> String {
        let line = |(key, owed): (&String, &Owed)| {
            let states = std::iter::once(owed.acknowledged).chain(owed.tried.iter().copied());
            let states: Vec<String> = states.map(State::text).collect();
            format!("{key} {}\n", states.join(" "))
        };
        self.keys.iter().map(line).collect()
    }

    pub(super) fn parse(text: &str) -> Vec<(String, Vec<State>)> {
        let line = |line: &str| {
            let (key, states) = line.split_once(' ')?;
            Some((key.to_owned(), states.split(' ').filter_map(State::parse).collect()))
        };
        text.lines().filter_map(line).collect()
    }
}
