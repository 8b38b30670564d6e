//! Rows of the catalogue's index as streams of places in one order, and what all of several streams have. The cost follows
//! the shortest of them: each is sought forward to where the others are (the zig-zag join of sorted lists), and where that
//! leads no farther than the next place, single places are looked up instead, or left to whoever looks at the files.

use std::cmp::Ordering;
use std::collections::VecDeque;

use crate::backend::{Backend, Key};
use crate::limits::LIST_ITEMS_MAX;
use crate::store::error::Fault;

/// Rows of a stream's first page, and of the first one behind a place that was sought: of rare things one row is looked at
/// between two seeks. Each further page has four times as many, up to [`LIST_ITEMS_MAX`].
const FIRST_PAGE: usize = 2;

/// Pages read one after the other of which no place was of use, before single places are looked up.
const READS_IN_VAIN: u8 = 2;
/// Places looked up one after the other that were not there, before it is read where the next one is. As often as that was
/// in vain they become twice as many, up to so many times.
const MISSES_MAX: u32 = 8;
const DOUBLINGS_MAX: u8 = 7;

/// The direction of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

impl Way {
    /// How two places follow each other when one goes this way.
    pub(super) fn compare(self, one: &[u8], other: &[u8]) -> Ordering {
        match self {
            Self::Up => one.cmp(other),
            Self::Down => other.cmp(one),
        }
    }
}

/// The places behind one beginning of rows, one after the other.
pub(super) struct Stream<'b> {
    backend: &'b dyn Backend,
    beginning: Key,
    way: Way,
    read: VecDeque<Vec<u8>>,
    /// Where to read on, as far as a place tells it.
    from: From,
    page: usize,
    /// Pages of which no place was of use, since one was.
    in_vain: u8,
    /// Places that were looked up and not there, or left open, since one was there.
    misses: u32,
}

/// What a stream has at a place or behind it.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Here,
    /// Not at the place; the next one is.
    Next(Vec<u8>),
    /// Not at the place.
    NotHere,
    /// Perhaps at the place: whoever asks looks at the file itself.
    Open,
    /// Neither there nor behind it.
    End,
}

enum From {
    Beginning,
    At(Vec<u8>),
    Behind(Vec<u8>),
    /// There is nothing more.
    End,
}

/// How rare what a stream goes through is, as far as its first rows tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// These are all; how many.
    All(usize),
    /// More follow; where the last of these stands.
    To(Vec<u8>),
}

impl<'b> Stream<'b> {
    /// A stream of places that are known.
    pub(super) fn held(backend: &'b dyn Backend, mut places: Vec<Vec<u8>>, way: Way) -> Self {
        places.sort_unstable_by(|one, other| way.compare(one, other));
        places.dedup();
        Self {
            backend,
            beginning: Key::new(Vec::new()),
            way,
            read: places.into(),
            from: From::End,
            page: FIRST_PAGE,
            in_vain: 0,
            misses: 0,
        }
    }

    /// Reads so many rows, behind `place` if one is given, and says how far they go.
    pub(super) async fn reach(&mut self, place: Option<&[u8]>, rows: usize) -> Result<Reach, Fault> {
        if let Some(place) = place {
            self.seek(place);
        }
        self.page = rows;
        self.peek().await?;
        Ok(match (&self.from, self.read.back()) {
            (From::End, _) | (_, None) => Reach::All(self.read.len()),
            (_, Some(last)) => Reach::To(last.clone()),
        })
    }

    /// Whether it has no more than so many places.
    pub(super) async fn ends_within(&mut self, places: usize) -> Result<bool, Fault> {
        while !matches!(self.from, From::End) && self.read.len() <= places {
            self.page = places + 1 - self.read.len();
            self.read_on().await?;
        }
        Ok(self.read.len() <= places)
    }

    pub(super) fn new(backend: &'b dyn Backend, beginning: Key, way: Way) -> Self {
        Self {
            backend,
            beginning,
            way,
            read: VecDeque::new(),
            from: From::Beginning,
            page: FIRST_PAGE,
            in_vain: 0,
            misses: 0,
        }
    }

    /// The next place; it stays the next one.
    async fn peek(&mut self) -> Result<Option<&[u8]>, Fault> {
        if self.read.is_empty() {
            self.read_on().await?;
        }
        Ok(self.read.front().map(Vec::as_slice))
    }

    /// From now on it begins at `place`, if it has not gone past it.
    fn seek(&mut self, place: &[u8]) {
        while let Some(first) = self.read.front() {
            if self.way.compare(first, place) != Ordering::Less {
                return;
            }
            self.read.pop_front();
        }
        match &self.from {
            From::End => {}
            From::At(from) | From::Behind(from) if self.way.compare(from, place) != Ordering::Less => {}
            From::Beginning | From::At(_) | From::Behind(_) => {
                self.from = From::At(place.to_vec());
                self.page = FIRST_PAGE;
            }
        }
    }

    /// Whether it has `place`; it begins there from now on. `exact`: nothing may be left open.
    async fn find(&mut self, place: &[u8], exact: bool) -> Result<Found, Fault> {
        self.seek(place);
        if self.read.front().is_some() {
            (self.in_vain, self.misses) = (0, 0);
        } else if matches!(self.from, From::End) {
            return Ok(Found::End);
        } else if self.in_vain >= READS_IN_VAIN && self.misses < self.misses_max() {
            // It has so many places that the next one is of no use: what is looked for stands between two of them.
            if !exact {
                self.misses += 1;
                return Ok(Found::Open);
            }
            let row = Key::new([self.beginning.as_bytes(), place].concat());
            return Ok(match self.backend.get(&row).await? {
                Some(_) => {
                    self.misses = 0;
                    Found::Here
                }
                None => {
                    self.misses += 1;
                    Found::NotHere
                }
            });
        } else {
            (self.in_vain, self.misses) = (self.in_vain.saturating_add(1), 0);
        }
        Ok(match self.peek().await? {
            None => Found::End,
            Some(first) if first == place => Found::Here,
            Some(first) => Found::Next(first.to_vec()),
        })
    }

    fn misses_max(&self) -> u32 {
        MISSES_MAX << self.in_vain.saturating_sub(READS_IN_VAIN).min(DOUBLINGS_MAX)
    }

    fn skip(&mut self, place: &[u8]) {
        if self.read.front().is_some_and(|first| first == place) {
            self.read.pop_front();
        }
    }

    async fn read_on(&mut self) -> Result<(), Fault> {
        let Some(end) = self.beginning.after_prefix() else {
            return Ok(());
        };
        let at = |place: &[u8]| Key::new([self.beginning.as_bytes(), place].concat());
        let begin = self.beginning.clone();
        let range = match (&self.from, self.way) {
            (From::End, _) => return Ok(()),
            (From::Beginning, _) => begin..end,
            (From::At(place), Way::Up) => at(place)..end,
            (From::Behind(place), Way::Up) => at(place).successor()..end,
            (From::At(place), Way::Down) => begin..at(place).successor(),
            (From::Behind(place), Way::Down) => begin..at(place),
        };
        let page = match self.way {
            Way::Up => self.backend.scan(range, self.page).await?,
            Way::Down => self.backend.scan_back(range, self.page).await?,
        };
        let beginning = self.beginning.as_bytes();
        let places = page
            .items
            .iter()
            .filter_map(|(key, _)| key.as_bytes().strip_prefix(beginning));
        self.read.extend(places.map(<[u8]>::to_vec));
        self.from = match self.read.back() {
            Some(last) if page.more => From::Behind(last.clone()),
            Some(_) | None => From::End,
        };
        self.page = (self.page * 4).min(LIST_ITEMS_MAX);
        Ok(())
    }
}

/// The places that any of some streams has, each once.
pub(super) struct Any<'b>(pub(super) Vec<Stream<'b>>);

impl Any<'_> {
    async fn peek(&mut self, way: Way) -> Result<Option<Vec<u8>>, Fault> {
        let mut first: Option<Vec<u8>> = None;
        for stream in &mut self.0 {
            let Some(place) = stream.peek().await? else { continue };
            if first
                .as_ref()
                .is_none_or(|first| way.compare(place, first) == Ordering::Less)
            {
                first = Some(place.to_vec());
            }
        }
        Ok(first)
    }

    fn seek(&mut self, place: &[u8]) {
        self.0.iter_mut().for_each(|stream| stream.seek(place));
    }

    async fn find(&mut self, place: &[u8], (way, exact): (Way, bool)) -> Result<Found, Fault> {
        let mut nearest = Found::End;
        for stream in &mut self.0 {
            nearest = match (nearest, stream.find(place, exact).await?) {
                (_, Found::Here) => return Ok(Found::Here),
                (Found::Open, _) | (_, Found::Open) => Found::Open,
                (found, Found::End) | (Found::End, found) => found,
                (Found::NotHere, _) | (_, Found::NotHere) => Found::NotHere,
                (Found::Next(one), Found::Next(other)) if way.compare(&one, &other) == Ordering::Less => {
                    Found::Next(one)
                }
                (_, found) => found,
            };
        }
        Ok(nearest)
    }

    fn skip(&mut self, place: &[u8]) {
        self.0.iter_mut().for_each(|stream| stream.skip(place));
    }
}

/// The places that each of some unions has.
pub(super) struct All<'b> {
    unions: Vec<Any<'b>>,
    way: Way,
    /// It gives no place that one of them has not; else whoever goes through it looks at the files themselves, and a look at
    /// a file costs less than one at a place of each.
    exact: bool,
}

impl<'b> All<'b> {
    /// With no union there is no place.
    pub(super) fn new(unions: Vec<Any<'b>>, way: Way, exact: bool) -> Self {
        Self { unions, way, exact }
    }

    pub(super) fn seek(&mut self, place: &[u8]) {
        self.unions.iter_mut().for_each(|union| union.seek(place));
    }

    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let Some((first, others)) = self.unions.split_first_mut() else {
            return Ok(None);
        };
        'candidates: loop {
            let Some(place) = first.peek(self.way).await? else {
                return Ok(None);
            };
            for other in others.iter_mut() {
                match other.find(&place, (self.way, self.exact)).await? {
                    Found::Here | Found::Open => continue,
                    Found::Next(next) => first.seek(&next),
                    Found::NotHere => first.skip(&place),
                    Found::End => return Ok(None),
                }
                continue 'candidates;
            }
            first.skip(&place);
            return Ok(Some(place));
        }
    }
}
