//! What narrows a list beside facets: what names hold, and from where to where sizes and times go.
//!
//! What it finds is never too little. It may be too much: the record of a file decides.

use std::ops::Range;

use super::index::{self, Facet, MADE_BYTES, PIECE_LETTERS, SortBy, pieces};
use super::list::{FileFilter, FileQuery};
use super::stream::{Any, Reach, Stream, Way};
use crate::backend::Key;
use crate::store::clock::Timestamp;
use crate::store::error::Fault;
use crate::store::name::BucketName;
use crate::store::{Store, key};

/// Rows that are sorted in memory; what has more is not rare enough to begin with. In tests few files are many.
const HELD_MAX: usize = if cfg!(test) { 3 } else { 5_000 };
/// Rows that tell how rare a piece of a name is.
const PROBED_ROWS: usize = if cfg!(test) { 2 } else { 64 };
/// Files that are soon looked at one by one.
const RARE_ROWS: usize = if cfg!(test) { 1 } else { 500 };
/// Pieces of a text that are looked at, and those of them that are gone through together: behind the rarest there is little
/// left that the records have to tell.
const PROBED_PIECES_MAX: usize = 16;
const JOINED_PIECES_MAX: usize = 3;

/// From where to where the files of a list stand in an order, both included.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    low: Option<Vec<u8>>,
    high: Option<Vec<u8>>,
    /// From when to when they were made, which a place in any order tells.
    made: (Option<Timestamp>, Option<Timestamp>),
}

impl Bounds {
    pub(super) fn of(filter: &FileFilter, by: SortBy) -> Self {
        let (min, max) = match by {
            SortBy::Created => (filter.created_from, filter.created_to),
            SortBy::Size | SortBy::Updated | SortBy::Name => (None, None),
        };
        let (mut min, mut max) = (min.map(|min| min.millis()), max.map(|max| max.millis()));
        if by == SortBy::Size {
            (min, max) = (filter.size_min, filter.size_max);
        }
        Self {
            low: min.map(|min| min.to_be_bytes().to_vec()),
            // More than any place has behind the value.
            high: max.map(|max| [&max.to_be_bytes()[..], &[0xFF; MADE_BYTES + 1]].concat()),
            made: (filter.created_from, filter.created_to),
        }
    }

    /// Whether the file at this place was made when those of the list were.
    pub(super) fn hold(&self, place: &[u8]) -> bool {
        let (from, to) = self.made;
        let made = index::made_at(place);
        from.is_none_or(|from| made.is_some_and(|made| made >= from))
            && to.is_none_or(|to| made.is_some_and(|made| made <= to))
    }

    /// The rows behind a beginning that are within; `None`: all of them are.
    fn range(&self, beginning: &Key) -> Option<Range<Key>> {
        let at = |place: &Vec<u8>| Key::new([beginning.as_bytes(), place].concat());
        let is_bounded = self.low.is_some() || self.high.is_some();
        let start = self.low.as_ref().map_or_else(|| beginning.clone(), at);
        let end = self.high.as_ref().map(at).or_else(|| beginning.after_prefix())?;
        (is_bounded && start < end).then_some(start..end)
    }

    /// Where a list that goes this way begins.
    pub(super) fn first(&self, way: Way) -> Option<&[u8]> {
        match way {
            Way::Up => self.low.as_deref(),
            Way::Down => self.high.as_deref(),
        }
    }

    /// Whether nothing follows any more.
    pub(super) fn end_before(&self, place: &[u8], way: Way) -> bool {
        match way {
            Way::Up => self.high.as_deref().is_some_and(|high| place > high),
            Way::Down => self.low.as_deref().is_some_and(|low| place < low),
        }
    }
}

impl FileFilter {
    /// What is looked for in names, in lower case.
    pub(super) fn searched(&self) -> Option<String> {
        let text = self.search.as_ref().map(|text| text.to_lowercase());
        text.filter(|text| !text.is_empty())
    }

    /// Whether the order of making may find the files of a list sooner than one that it is sorted by.
    pub(super) fn is_narrow_as_made(&self, by: SortBy) -> bool {
        let sized = self.size_min.is_some() || self.size_max.is_some();
        self.searched().is_some() || self.is_timed() || (sized && by != SortBy::Size)
    }

    pub(super) fn is_timed(&self) -> bool {
        self.created_from.is_some() || self.created_to.is_some()
    }
}

/// The whole pieces of a text that are worth a look.
fn probed_pieces(text: &str) -> impl Iterator<Item = String> {
    let is_whole = |piece: &String| piece.chars().count() == PIECE_LETTERS;
    pieces(text).into_iter().filter(is_whole).take(PROBED_PIECES_MAX)
}

impl Store {
    /// What the files of a list must be among, in the order of their making, behind `from`.
    pub(super) async fn narrowed<'s>(
        &'s self,
        bucket: &BucketName,
        query: &FileQuery,
        (way, from): (Way, Option<&[u8]>),
    ) -> Result<Vec<Any<'s>>, Fault> {
        let filter = &query.filter;
        let mut unions = Vec::new();
        if filter.size_min.is_some() || filter.size_max.is_some() {
            let (min, max) = (filter.size_min.unwrap_or(0), filter.size_max.unwrap_or(u64::MAX));
            match index::of_size(bucket, min, max) {
                Some(range) => unions.extend(self.held(range, way).await?.map(|stream| Any(vec![stream]))),
                None => unions.push(Any(Vec::new())),
            }
        }
        if let Some(text) = filter.searched() {
            unions.extend(self.named(bucket, &text, (way, from)).await?);
        }
        Ok(unions)
    }

    /// The files of these rows in the order of their making; `None`: they are many.
    async fn held(&self, range: Range<Key>, way: Way) -> Result<Option<Stream<'_>>, Fault> {
        let page = self.inner.backend.scan(range, HELD_MAX).await?;
        if page.more {
            return Ok(None);
        }
        let made = |row: &Key| row.as_bytes().last_chunk::<MADE_BYTES>().map(|made| made.to_vec());
        let places: Option<Vec<Vec<u8>>> = page.items.iter().map(|(row, _)| made(row)).collect();
        let places = places.ok_or_else(|| Fault::Corrupt("a row of a catalogue's index without a place".into()))?;
        Ok(Some(Stream::held(self.inner.backend.as_ref(), places, way)))
    }

    /// Whether something that only the order of making has, and that all files of a list have, is so rare that they are
    /// soon looked at one by one.
    pub(super) async fn are_few(&self, bucket: &BucketName, filter: &FileFilter, by: SortBy) -> Result<bool, Fault> {
        if let Some(text) = filter.searched() {
            let rarest = self.probed(bucket, &text, (Way::Up, None)).await?.into_iter().next();
            if let Some((reach, mut stream)) = rarest {
                let is_rare = matches!(reach, Reach::All(_)) || stream.ends_within(RARE_ROWS).await?;
                if is_rare {
                    return Ok(true);
                }
            }
        }
        let as_made =
            |facet: Facet, value: &str| key::file_index(bucket, facet.letter(), value, SortBy::Created.letter());
        for (facet, value) in filter.facets().iter().filter(|(facet, _)| !facet.stands_in(by)) {
            let mut stream = Stream::new(self.inner.backend.as_ref(), as_made(*facet, value), Way::Up);
            if stream.ends_within(RARE_ROWS).await? {
                return Ok(true);
            }
        }
        let sized = filter.size_min.is_some() || filter.size_max.is_some();
        let of_size = sized.then(|| {
            index::of_size(
                bucket,
                filter.size_min.unwrap_or(0),
                filter.size_max.unwrap_or(u64::MAX),
            )
        });
        let made = Bounds::of(filter, SortBy::Created).range(&as_made(Facet::All, ""));
        for range in of_size.flatten().into_iter().chain(made) {
            if !self.inner.backend.scan(range, RARE_ROWS).await?.more {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The files that stand under a piece of their name.
    fn with_piece(&self, bucket: &BucketName, piece: &str, way: Way) -> Stream<'_> {
        let beginning = key::file_index(bucket, Facet::Name.letter(), piece, SortBy::Created.letter());
        Stream::new(self.inner.backend.as_ref(), beginning, way)
    }

    /// What files are among whose names hold a text.
    async fn named<'s>(
        &'s self,
        bucket: &BucketName,
        text: &str,
        (way, from): (Way, Option<&[u8]>),
    ) -> Result<Vec<Any<'s>>, Fault> {
        // Names of very many pieces stand apart.
        let any_apart = self.with_piece(bucket, "", way).reach(from, 1).await? != Reach::All(0);
        let or_apart = |stream: Stream<'s>| {
            let apart = any_apart.then(|| self.with_piece(bucket, "", way));
            Any(std::iter::once(stream).chain(apart).collect())
        };
        if text.chars().count() < PIECE_LETTERS {
            let Some(range) = index::of_pieces(bucket, text) else {
                return Ok(Vec::new());
            };
            return Ok(self.held(range, way).await?.map(or_apart).into_iter().collect());
        }
        let probed = self.probed(bucket, text, (way, from)).await?;
        let joined = match probed.first() {
            Some((Reach::All(_), _)) => 1,
            Some(_) | None => JOINED_PIECES_MAX,
        };
        Ok(probed
            .into_iter()
            .take(joined)
            .map(|(_, stream)| or_apart(stream))
            .collect())
    }

    /// What the files stand under whose names hold a text, the rarest first: of which there are few, then those whose rows go
    /// the farthest. A piece that nobody has ends it.
    async fn probed<'s>(
        &'s self,
        bucket: &BucketName,
        text: &str,
        (way, from): (Way, Option<&[u8]>),
    ) -> Result<Vec<(Reach, Stream<'s>)>, Fault> {
        let mut probed = Vec::new();
        for piece in probed_pieces(text) {
            let mut stream = self.with_piece(bucket, &piece, way);
            let reach = stream.reach(from, PROBED_ROWS).await?;
            let nobody = reach == Reach::All(0);
            probed.push((reach, stream));
            if nobody {
                break;
            }
        }
        probed.sort_by(|(one, _), (other, _)| match (one, other) {
            (Reach::All(one), Reach::All(other)) => one.cmp(other),
            (Reach::All(_), Reach::To(_)) => std::cmp::Ordering::Less,
            (Reach::To(_), Reach::All(_)) => std::cmp::Ordering::Greater,
            (Reach::To(one), Reach::To(other)) => way.compare(other, one),
        });
        Ok(probed)
    }
}
