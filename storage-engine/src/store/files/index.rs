//! By which rows a file is found: computed from its record alone. Pure.
//!
//! An active file stands under every facet it has, in the order of the time it was made; under what many files may have in
//! common, in each order that lists are sorted by. Another one is found by its state only.

use std::collections::BTreeSet;

use super::{File, FileId, FileState};
use crate::backend::{Key, NewBody, Op, Put};
use crate::store::clock::Timestamp;
use crate::store::key;
use crate::store::name::BucketName;
use crate::store::record::Record;
use crate::store::record::labels::Visibility;
use crate::store::share::ShareTarget;

/// What files are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Facet {
    /// Every active file.
    All,
    Owner,
    OwnerType,
    Visibility,
    SharedWith,
    Bucket,
    Category,
    MediaType,
    /// The first half of the media type.
    MediaKind,
    Tag,
    Entity,
    Sha256,
    /// What the name holds, in lower case: see [`pieces`].
    Name,
    /// Files that are not active.
    State,
    /// Files that end by themselves; in the order of their ends only.
    Due,
}

/// The order of the files that end by themselves.
const BY_END: u8 = b'x';

impl Facet {
    pub(super) fn letter(self) -> u8 {
        match self {
            Self::All => b'a',
            Self::Owner => b'o',
            Self::OwnerType => b'y',
            Self::Visibility => b'v',
            Self::SharedWith => b'w',
            Self::Bucket => b'b',
            Self::Category => b'c',
            Self::MediaType => b'm',
            Self::MediaKind => b'k',
            Self::Tag => b't',
            Self::Entity => b'e',
            Self::Sha256 => b'h',
            Self::Name => b'n',
            Self::State => b's',
            Self::Due => b'd',
        }
    }

    /// Whether files stand under it in this order. What few files have in common, and pieces of names, of which there are
    /// many, are found in the order of making alone: it is soon put in another.
    pub(super) fn stands_in(self, order: SortBy) -> bool {
        match self {
            Self::All
            | Self::Owner
            | Self::OwnerType
            | Self::Visibility
            | Self::SharedWith
            | Self::Bucket
            | Self::Category
            | Self::MediaType
            | Self::MediaKind
            | Self::Tag => true,
            Self::Entity | Self::Sha256 | Self::Name | Self::State => order == SortBy::Created,
            Self::Due => false,
        }
    }
}

/// What files are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SortBy {
    Created,
    Updated,
    Name,
    Size,
}

impl SortBy {
    pub(super) const ALL: [Self; 4] = [Self::Created, Self::Updated, Self::Name, Self::Size];

    pub(super) fn letter(self) -> u8 {
        match self {
            Self::Created => b'c',
            Self::Updated => b'u',
            Self::Name => b'n',
            Self::Size => b'z',
        }
    }

    /// Where a file stands in this order: bytes that sort as the files do. When it was made and its id come last, and tell
    /// equals apart.
    pub(super) fn place(self, id: FileId, file: &File) -> Vec<u8> {
        let mut place = match self {
            Self::Created => Vec::new(),
            Self::Updated => file.updated.millis().to_be_bytes().to_vec(),
            Self::Size => file.size.to_be_bytes().to_vec(),
            Self::Name => {
                let mut name = file.name.to_lowercase().into_bytes();
                name.push(0);
                name
            }
        };
        place.extend_from_slice(&file.created.millis().to_be_bytes());
        place.extend_from_slice(id.as_bytes());
        place
    }
}

/// Bytes at the end of a place in any order that are its place in the order of making.
pub(super) const MADE_BYTES: usize = 8 + 16;

/// When the file was made whose place in any order this is.
pub(super) fn made_at(place: &[u8]) -> Option<Timestamp> {
    let millis = place.last_chunk::<MADE_BYTES>()?.first_chunk::<8>()?;
    Some(Timestamp::from_millis(u64::from_be_bytes(*millis)))
}

/// Whether the name that a place in the order of names begins with holds a text in lower case.
pub(super) fn is_named(place: &[u8], text: &str) -> bool {
    // A zero byte ends the name.
    let name = place.get(..place.len().saturating_sub(MADE_BYTES + 1));
    name.and_then(|name| std::str::from_utf8(name).ok())
        .is_some_and(|name| name.contains(text))
}

/// Letters of a piece of a name.
pub(super) const PIECE_LETTERS: usize = 3;
/// Most pieces that a name is found by. A longer one stands under no piece but under the empty one, which every search has
/// a look at: so a batch that changes all rows of a file stays within what one takes.
const PIECES_MAX: usize = 100;

/// The pieces that a text in lower case is found by: from each letter on three of them, or what is left. So whatever the
/// text holds is the beginning of a piece, and each three letters of that are a piece.
pub(super) fn pieces(text: &str) -> BTreeSet<String> {
    let from = |(at, _)| text.get(at..).unwrap_or_default().chars().take(PIECE_LETTERS).collect();
    text.char_indices().map(from).collect()
}

fn pieces_of_name(name: &str) -> BTreeSet<String> {
    match pieces(&name.to_lowercase()) {
        pieces if pieces.len() > PIECES_MAX => BTreeSet::from([String::new()]),
        pieces => pieces,
    }
}

/// What a share is found by.
pub(super) fn share_value(target: &ShareTarget) -> Option<String> {
    match target {
        ShareTarget::User(id) => Some(format!("u{id}")),
        ShareTarget::Group(name) => Some(format!("g{name}")),
        ShareTarget::Email(address) => Some(format!("e{}", address.to_lowercase())),
        // Nobody is listed what a link opens.
        ShareTarget::Link(_) => None,
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What stands for root where owners are told apart.
pub(in crate::store) const ROOT: &str = "root";

fn facets(file: &File) -> Vec<(Facet, String)> {
    if file.state != FileState::Active {
        return vec![(Facet::State, file.state.name().to_owned())];
    }
    let visibility = file.labels.visibility.unwrap_or(Visibility::Private);
    let owner = file.labels.owner.as_deref().unwrap_or(ROOT);
    let mut facets = vec![
        (Facet::All, String::new()),
        (Facet::Owner, owner.to_owned()),
        (Facet::OwnerType, file.owner_type.name().to_owned()),
        (Facet::Visibility, visibility.name().to_owned()),
    ];
    if visibility == Visibility::Shared {
        let values = file.labels.shares.iter().filter_map(|share| share_value(&share.target));
        facets.extend(values.map(|value| (Facet::SharedWith, value)));
    }
    if let Some(kind) = file.media_type() {
        facets.push((Facet::MediaType, kind.to_owned()));
        facets.extend(
            kind.split_once('/')
                .map(|(kind, _)| (Facet::MediaKind, kind.to_owned())),
        );
    }
    let texts = [
        (Facet::Bucket, &file.bucket),
        (Facet::Category, &file.category),
        (Facet::Entity, &file.entity),
    ];
    facets.extend(
        texts
            .into_iter()
            .filter_map(|(facet, text)| Some((facet, text.clone()?))),
    );
    facets.extend(file.tags.iter().map(|tag| (Facet::Tag, tag.clone())));
    facets.extend(file.sha256.map(|hash| (Facet::Sha256, hex(&hash))));
    facets.extend(pieces_of_name(&file.name).into_iter().map(|piece| (Facet::Name, piece)));
    facets
}

/// The rows by which a file is found.
pub(in crate::store) fn rows(bucket: &BucketName, id: FileId, file: &File) -> BTreeSet<Key> {
    let mut rows = BTreeSet::new();
    for (facet, value) in facets(file) {
        for sort in SortBy::ALL.into_iter().filter(|order| facet.stands_in(*order)) {
            let beginning = key::file_index(bucket, facet.letter(), &value, sort.letter());
            let row = [beginning.as_bytes(), &sort.place(id, file)].concat();
            rows.insert(Key::new(row));
        }
    }
    if let Some(ends) = file.expires.filter(|_| holds_key(file.state)) {
        let place = [&ends.millis().to_be_bytes()[..], id.as_bytes()].concat();
        rows.insert(Key::new([due(bucket).as_bytes(), &place].concat()));
    }
    rows
}

/// Beginning of the rows of the files that end by themselves.
fn due(bucket: &BucketName) -> Key {
    key::file_index(bucket, Facet::Due.letter(), "", BY_END)
}

/// The rows of all active files of `min` to `max` bytes, by size; `None`: there is no such size.
pub(super) fn of_size(bucket: &BucketName, min: u64, max: u64) -> Option<std::ops::Range<Key>> {
    let beginning = key::file_index(bucket, Facet::All.letter(), "", SortBy::Size.letter());
    let at = |size: u64| Key::new([beginning.as_bytes(), &size.to_be_bytes()].concat());
    let end = match max.checked_add(1) {
        Some(end) => at(end),
        None => beginning.after_prefix()?,
    };
    (min <= max).then(|| at(min)..end)
}

/// The rows of all active files whose names hold a piece that begins so.
pub(super) fn of_pieces(bucket: &BucketName, beginning: &str) -> Option<std::ops::Range<Key>> {
    let beginning = key::file_index_values(bucket, Facet::Name.letter(), beginning);
    let end = beginning.after_prefix()?;
    Some(beginning..end)
}

/// The rows of the files that have ended by then.
pub(super) fn due_by(bucket: &BucketName, now: Timestamp) -> std::ops::Range<Key> {
    let end = Key::new([due(bucket).as_bytes(), &now.millis().saturating_add(1).to_be_bytes()].concat());
    due(bucket)..end
}

pub(super) fn put(key: Key, value: bytes::Bytes) -> Op {
    Op::Put(Put {
        key,
        value,
        body: NewBody::None,
        parent_len: None,
    })
}

/// What turns the catalogue's rows of a file from what `before` needs into what `after` needs.
pub(super) fn ops(bucket: &BucketName, id: FileId, before: Option<&File>, after: Option<&File>) -> Vec<Op> {
    let rows_of = |file: Option<&File>| file.map(|file| rows(bucket, id, file)).unwrap_or_default();
    let (old, new) = (rows_of(before), rows_of(after));
    let mut ops: Vec<Op> = old.difference(&new).cloned().map(Op::Delete).collect();
    ops.extend(new.difference(&old).cloned().map(|row| put(row, bytes::Bytes::new())));
    // A file in the trash, and one that was rejected, gives its key free.
    let holder = |file: Option<&File>| {
        file.filter(|file| holds_key(file.state))
            .map(|file| key::file_of_key(bucket, &file.key))
    };
    let (held, holds) = (holder(before), holder(after));
    if held != holds {
        ops.extend(held.map(Op::Delete));
        ops.extend(holds.map(|row| put(row, bytes::Bytes::copy_from_slice(id.as_bytes()))));
    }
    let record = key::file(bucket, id.as_bytes());
    match (before, after) {
        (_, Some(after)) => ops.push(put(record, after.to_value())),
        (Some(_), None) => ops.push(Op::Delete(record)),
        (None, None) => {}
    }
    ops
}

/// Whether nothing else may stand at the key of a file in this state.
fn holds_key(state: FileState) -> bool {
    match state {
        FileState::Pending | FileState::Received | FileState::Active | FileState::Scanning | FileState::Quarantined => {
            true
        }
        FileState::Trashed | FileState::Rejected => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_name_holds_begins_one_of_its_pieces() {
        for name in ["", "a", "ab", "abc", "straße", "ÀÉ🙂x", "aaaa", "İI"] {
            let lower = name.to_lowercase();
            let pieces = pieces(&lower);
            for (from, _) in lower.char_indices() {
                for letters in 1..=PIECE_LETTERS {
                    let held: String = lower[from..].chars().take(letters).collect();
                    assert!(pieces.iter().any(|piece| piece.starts_with(&held)), "{held} of {name}");
                }
            }
        }
    }

    #[test]
    fn a_name_of_very_many_pieces_stands_under_the_empty_one() {
        let long: String = (0..PIECES_MAX as u32 + 1)
            .filter_map(|n| char::from_u32(0x4E00 + n))
            .collect();
        assert_eq!(pieces_of_name(&long), BTreeSet::from([String::new()]));
        let cut: String = long.chars().skip(1).collect();
        assert_eq!(pieces_of_name(&cut).len(), PIECES_MAX);
    }
}
