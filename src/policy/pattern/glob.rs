//! `*` and `?` over a text, in time linear in the text.
//!
//! A pattern is parts between stars. The first and the last are anchored and compared once; each one between is taken
//! where it is found first, which is never worse than a later place. A plain part is found by the standard library's
//! two-way search, one with a `?` by the bits of one machine word: nothing goes back.

use std::borrow::Cow;
use std::collections::HashSet;

/// Most characters of an inner part that holds a `?`.
pub(super) const MAX_MIXED: usize = 64;

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Atom<'a> {
    Text(Cow<'a, str>),
    One,
    Any,
}

/// What stands between two stars: texts and single characters.
#[derive(Clone, Debug, Default, PartialEq)]
struct Part<'a>(Vec<Atom<'a>>);

/// A pattern: parts with a star between each two.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Glob<'a> {
    parts: Vec<Part<'a>>,
}

impl<'a> Glob<'a> {
    pub(super) fn new(atoms: impl Iterator<Item = Atom<'a>>) -> Self {
        let mut parts = Vec::new();
        let mut part = Part::default();
        for atom in atoms {
            match (atom, part.0.last_mut()) {
                (Atom::Any, _) => parts.push(std::mem::take(&mut part)),
                // Neighbouring texts are one, so that a plain part is one text.
                (Atom::Text(more), Some(Atom::Text(text))) => text.to_mut().push_str(&more),
                (Atom::Text(text), _) if text.is_empty() => {}
                (atom @ (Atom::Text(_) | Atom::One), _) => part.0.push(atom),
            }
        }
        parts.push(part);
        Self { parts }
    }

    pub(super) fn to_lowercase(&self) -> Glob<'static> {
        let lower = |part: &Part<'_>| {
            Part(
                part.0
                    .iter()
                    .map(|atom| match atom {
                        Atom::Text(text) => Atom::Text(Cow::Owned(text.to_lowercase())),
                        Atom::One => Atom::One,
                        Atom::Any => Atom::Any,
                    })
                    .collect(),
            )
        };
        Glob {
            parts: self.parts.iter().map(lower).collect(),
        }
    }

    pub(super) fn is_fixed(&self) -> bool {
        let wild = |atom: &Atom<'_>| !matches!(atom, Atom::Text(_));
        matches!(self.parts.as_slice(), [part] if !part.0.iter().any(wild))
    }

    pub(in crate::policy) fn matches(&self, text: &str) -> bool {
        let Some((first, others)) = self.parts.split_first() else {
            return text.is_empty();
        };
        let Some(mut rest) = first.strip_start(text) else {
            return false;
        };
        let Some((last, inner)) = others.split_last() else {
            return rest.is_empty();
        };
        for part in inner {
            match part.after_first(rest) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        last.strip_end(rest).is_some()
    }

    /// Whether it can match a text that begins with `start` and has at least one character more.
    pub(super) fn goes_beyond(&self, start: &str) -> bool {
        // All places in the pattern that a prefix of `start` can have led to: (part, characters of it behind us).
        let parts: Vec<Vec<Option<char>>> = self.parts.iter().map(Part::characters).collect();
        let mut places = vec![(0_usize, 0_usize)];
        for character in start.chars() {
            let mut next = Vec::new();
            for &(part, done) in &spread(&parts, &places) {
                match parts.get(part).and_then(|part| part.get(done)) {
                    Some(expected) if expected.is_none_or(|expected| expected == character) => {
                        next.push((part, done + 1));
                    }
                    _ => {}
                }
                // Before a later part there is a star: it may take the character.
                if part > 0 && done == 0 {
                    next.push((part, 0));
                }
            }
            next.sort_unstable();
            next.dedup();
            places = next;
        }
        spread(&parts, &places).iter().any(|&(part, done)| {
            let more_in_part = parts.get(part).is_some_and(|part| part.len() > done);
            more_in_part || part + 1 < parts.len() || (part > 0 && done == 0)
        })
    }
}

/// `places` and those that a star behind a finished part leads to without taking a character.
fn spread(parts: &[Vec<Option<char>>], places: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut all = places.to_vec();
    let mut seen: HashSet<_> = places.iter().copied().collect();
    let mut index = 0;
    while let Some(&(part, done)) = all.get(index) {
        let finished = parts.get(part).is_some_and(|part| part.len() == done) && part + 1 < parts.len();
        if finished && seen.insert((part + 1, 0)) {
            all.push((part + 1, 0));
        }
        index += 1;
    }
    all
}

impl Part<'_> {
    /// Its characters, `None` for any one.
    fn characters(&self) -> Vec<Option<char>> {
        let mut characters = Vec::new();
        for atom in &self.0 {
            match atom {
                Atom::Text(text) => characters.extend(text.chars().map(Some)),
                Atom::One | Atom::Any => characters.push(None),
            }
        }
        characters
    }

    /// What follows it, if `text` begins with it.
    fn strip_start<'t>(&self, mut text: &'t str) -> Option<&'t str> {
        for atom in &self.0 {
            text = match atom {
                Atom::Text(expected) => text.strip_prefix(expected.as_ref())?,
                Atom::One | Atom::Any => {
                    let mut characters = text.chars();
                    characters.next()?;
                    characters.as_str()
                }
            };
        }
        Some(text)
    }

    /// What precedes it, if `text` ends with it.
    fn strip_end<'t>(&self, mut text: &'t str) -> Option<&'t str> {
        for atom in self.0.iter().rev() {
            text = match atom {
                Atom::Text(expected) => text.strip_suffix(expected.as_ref())?,
                Atom::One | Atom::Any => {
                    let mut characters = text.chars();
                    characters.next_back()?;
                    characters.as_str()
                }
            };
        }
        Some(text)
    }

    /// What follows its first place in `text`.
    fn after_first<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self.0.as_slice() {
            [] => Some(text),
            [Atom::Text(plain)] => {
                let at = text.find(plain.as_ref())?;
                text.get(at + plain.len()..)
            }
            _ => self.after_first_mixed(text),
        }
    }

    /// Shift-And: bit `i` of `state` says that the first `i + 1` characters of the part end here.
    fn after_first_mixed<'t>(&self, text: &'t str) -> Option<&'t str> {
        let characters = self.characters();
        let last = 1_u64.checked_shl(u32::try_from(characters.len().checked_sub(1)?).ok()?)?;
        let mut ascii = [0_u64; 128];
        let mut other: Vec<(char, u64)> = Vec::new();
        let mut every = 0_u64;
        for (index, character) in characters.iter().enumerate() {
            let bit = 1_u64.checked_shl(u32::try_from(index).ok()?)?;
            match character {
                None => every |= bit,
                Some(character) => match ascii.get_mut(*character as usize) {
                    Some(mask) => *mask |= bit,
                    None => match other.iter_mut().find(|(known, _)| known == character) {
                        Some((_, mask)) => *mask |= bit,
                        None => other.push((*character, bit)),
                    },
                },
            }
        }
        let mut state = 0_u64;
        for (at, character) in text.char_indices() {
            let mask = match ascii.get(character as usize) {
                Some(mask) => *mask,
                None => other
                    .iter()
                    .find(|(known, _)| *known == character)
                    .map_or(0, |(_, mask)| *mask),
            };
            state = ((state << 1) | 1) & (mask | every);
            if state & last != 0 {
                return text.get(at + character.len_utf8()..);
            }
        }
        None
    }
}
