//! Lists of files: by whom, which, in which order, a page at a time.
//!
//! What a file is found by are rows of the index; what is not in them, and whether the rows still tell the truth, the
//! record says, which is asked before a file is given out.

use super::index::{self, Facet, ROOT, SortBy, hex, share_value};
use super::narrow::Bounds;
use super::stream::{All, Any, Stream, Way};
use super::totals::Known;
use super::{File, FileId, FileState, OwnerType, id_at};
use crate::limits::LIST_ITEMS_MAX;
use crate::store::clock::Timestamp;
use crate::store::error::Fault;
use crate::store::name::BucketName;
use crate::store::record::labels::Visibility;
use crate::store::share::ShareTarget;
use crate::store::{Store, key};

/// Most active files that are looked at to be sorted in memory, where no row sorts what is asked for.
const GATHERED_MAX: usize = if cfg!(test) { 4 } else { 10_000 };

/// Files that are looked at in the order asked for, before those that are narrowed down are looked for in another.
const LOOKS_MAX: usize = if cfg!(test) { 2 } else { 1_000 };
/// Places that are passed over in the time that a look at a file takes.
const PASSED_IN_A_LOOK: usize = 4;

/// Whose view of the files it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Whoever sees every file.
    All,
    /// Whoever sees what is their own, shared with them, and what its visibility shows them.
    Somebody {
        /// What their account owns files under; `None`: nobody.
        owner: Option<String>,
        /// Who they are to shares: with whose shares they see files.
        shares: Vec<ShareTarget>,
        public: bool,
        protected: bool,
    },
}

/// Which files; what is left out is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFilter {
    /// `None`: active ones.
    pub state: Option<FileState>,
    pub visibility: Option<Visibility>,
    /// An owner id, or `root`.
    pub owner: Option<String>,
    pub owner_type: Option<OwnerType>,
    pub bucket: Option<String>,
    pub category: Option<String>,
    /// A media type, or `image/*` for all of a kind.
    pub media_type: Option<String>,
    /// Each of them.
    pub tags: Vec<String>,
    pub entity: Option<String>,
    pub sha256: Option<[u8; 32]>,
    /// What the name holds, in upper or lower case.
    pub search: Option<String>,
    pub size_min: Option<u64>,
    pub size_max: Option<u64>,
    /// Not made before.
    pub created_from: Option<Timestamp>,
    /// Not made after.
    pub created_to: Option<Timestamp>,
    /// Shared with the viewer.
    pub shared_with_viewer: bool,
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileSort {
    pub by: SortBy,
    pub descending: bool,
}

impl Default for FileSort {
    fn default() -> Self {
        Self {
            by: SortBy::Created,
            descending: true,
        }
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileQuery {
    pub viewer: Viewer,
    pub filter: FileFilter,
    pub sort: FileSort,
    /// At most 1,000.
    pub limit: usize,
    /// How many files before the page are left out.
    pub offset: usize,
    /// Behind the last file of another page: its [`FilePage::next`].
    pub after: Option<Vec<u8>>,
    /// Whether all files are counted that the list has.
    pub total: bool,
}

impl FileQuery {
    /// A page of all files that the filter names, the oldest first and not counted: for whoever goes through them.
    pub fn oldest_first(filter: FileFilter, limit: usize, after: Option<Vec<u8>>) -> Self {
        Self {
            viewer: Viewer::All,
            filter,
            sort: FileSort {
                by: SortBy::Created,
                descending: false,
            },
            limit,
            offset: 0,
            after,
            total: false,
        }
    }
}

/// What a list answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePage {
    pub files: Vec<(FileId, File)>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<Vec<u8>>,
    /// How many files the list has, if it was asked for.
    pub total: Option<u64>,
}

impl Viewer {
    fn sees(&self, file: &File) -> bool {
        let Self::Somebody {
            owner,
            shares,
            public,
            protected,
        } = self
        else {
            return true;
        };
        let is_owner = owner.as_deref() == Some(file.labels.owner.as_deref().unwrap_or(ROOT));
        let shown = match file.labels.visibility {
            Some(Visibility::Public) => *public,
            Some(Visibility::Protected) => *protected,
            Some(Visibility::Shared) => is_shared(file, shares),
            Some(Visibility::Private) | None => false,
        };
        is_owner || (shown && file.state == FileState::Active)
    }

    fn shares(&self) -> &[ShareTarget] {
        match self {
            Self::All => &[],
            Self::Somebody { shares, .. } => shares,
        }
    }
}

fn is_shared(file: &File, with: &[ShareTarget]) -> bool {
    let wanted = |target: &ShareTarget| {
        with.iter()
            .any(|one| share_value(one).is_some() && share_value(one) == share_value(target))
    };
    file.labels.visibility == Some(Visibility::Shared) && file.labels.shares.iter().any(|share| wanted(&share.target))
}

impl FileFilter {
    /// Whether index rows alone say which files it takes, in this order.
    fn is_indexed(&self, by: SortBy) -> bool {
        let is_sized = self.size_min.is_some() || self.size_max.is_some();
        (self.search.is_none() || by == SortBy::Name)
            && (!is_sized || by == SortBy::Size)
            && self.facets().iter().all(|(facet, _)| facet.stands_in(by))
    }

    fn takes(&self, file: &File, viewer: &Viewer) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        let kind = file.media_type();
        let of_kind = match self
            .media_type
            .as_deref()
            .map(|wanted| (wanted, wanted.strip_suffix("/*")))
        {
            None => true,
            Some((_, Some(wanted))) => kind
                .and_then(|kind| kind.split_once('/'))
                .is_some_and(|(kind, _)| kind == wanted),
            Some((wanted, None)) => kind == Some(wanted),
        };
        file.state == self.state.unwrap_or(FileState::Active)
            && of_kind
            && same(&self.owner, Some(file.labels.owner.as_deref().unwrap_or(ROOT)))
            && same(&self.bucket, file.bucket.as_deref())
            && same(&self.category, file.category.as_deref())
            && same(&self.entity, file.entity.as_deref())
            && self
                .visibility
                .is_none_or(|wanted| file.labels.visibility == Some(wanted))
            && self.owner_type.is_none_or(|wanted| file.owner_type == wanted)
            && self.tags.iter().all(|tag| file.tags.contains(tag))
            && self.sha256.is_none_or(|hash| file.sha256 == Some(hash))
            && self
                .search
                .as_ref()
                .is_none_or(|text| file.name.to_lowercase().contains(&text.to_lowercase()))
            && self.size_min.is_none_or(|min| file.size >= min)
            && self.size_max.is_none_or(|max| file.size <= max)
            && self.created_from.is_none_or(|from| file.created >= from)
            && self.created_to.is_none_or(|to| file.created <= to)
            && (!self.shared_with_viewer || is_shared(file, viewer.shares()))
    }

    /// What files stand under of whose they are and who sees them.
    fn scopes(&self) -> Vec<(Facet, String)> {
        let visibility = self
            .visibility
            .map(|wanted| (Facet::Visibility, wanted.name().to_owned()));
        let owner = self.owner.clone().map(|owner| (Facet::Owner, owner));
        visibility.into_iter().chain(owner).collect()
    }

    /// What files stand under in the order of their making, and perhaps in others; what few files have comes first.
    pub(super) fn facets(&self) -> Vec<(Facet, String)> {
        let mut facets = Vec::new();
        facets.extend(self.sha256.map(|hash| (Facet::Sha256, hex(&hash))));
        facets.extend(self.entity.clone().map(|entity| (Facet::Entity, entity)));
        facets.extend(self.tags.iter().map(|tag| (Facet::Tag, tag.clone())));
        if let Some(kind) = &self.media_type {
            facets.push(match kind.strip_suffix("/*") {
                Some(kind) => (Facet::MediaKind, kind.to_owned()),
                None => (Facet::MediaType, kind.clone()),
            });
        }
        let texts = [(Facet::Category, &self.category), (Facet::Bucket, &self.bucket)];
        facets.extend(
            texts
                .into_iter()
                .filter_map(|(facet, text)| Some((facet, text.clone()?))),
        );
        let owner_type = self.owner_type.map(|wanted| wanted.name().to_owned());
        facets.extend(owner_type.map(|wanted| (Facet::OwnerType, wanted)));
        facets
    }
}

/// A list that goes through the index in one order.
struct Walk<'s> {
    store: &'s Store,
    bucket: &'s BucketName,
    query: &'s FileQuery,
    by: SortBy,
    places: All<'s>,
    /// The rows alone say which files are in the list.
    exact: bool,
    way: Way,
    bounds: Bounds,
    /// What names must hold, where places begin with them.
    named: Option<String>,
    /// How many places may yet be passed over, or a [`PASSED_IN_A_LOOK`]th of them looked at; `None`: all.
    left: Option<usize>,
}

impl<'s> Walk<'s> {
    async fn begin(store: &'s Store, bucket: &'s BucketName, query: &'s FileQuery, by: SortBy) -> Result<Self, Fault> {
        let way = if query.sort.descending { Way::Down } else { Way::Up };
        let backend = store.inner.backend.as_ref();
        let stream = |(facet, value): (Facet, String), by: SortBy| {
            Stream::new(
                backend,
                key::file_index(bucket, facet.letter(), &value, by.letter()),
                way,
            )
        };
        let filter = &query.filter;
        let mut unions: Vec<Any<'s>> = Vec::new();
        let inactive = filter.state.filter(|state| *state != FileState::Active);
        // Those stand in no other order.
        let by = if inactive.is_some() { SortBy::Created } else { by };
        let bounds = Bounds::of(filter, by);
        if let Some(state) = inactive {
            unions.push(Any(vec![stream(
                (Facet::State, state.name().to_owned()),
                SortBy::Created,
            )]));
        } else {
            // The first is where candidates come from.
            if by == SortBy::Created {
                let after = query.after.as_deref().filter(|_| query.sort.by == by);
                let first = bounds.first(way).into_iter().chain(after);
                let from = first.reduce(|one, other| if way.compare(one, other).is_lt() { other } else { one });
                unions.extend(store.narrowed(bucket, query, (way, from)).await?);
            }
            let facets = filter.facets().into_iter().filter(|(facet, _)| facet.stands_in(by));
            unions.extend(facets.map(|facet| Any(vec![stream(facet, by)])));
            unions.extend(filter.scopes().into_iter().map(|scope| Any(vec![stream(scope, by)])));
            match seen_by(&query.viewer, filter.shared_with_viewer) {
                Some(scopes) => unions.push(Any(scopes.into_iter().map(|scope| stream(scope, by)).collect())),
                None if unions.is_empty() => unions.push(Any(vec![stream((Facet::All, String::new()), by)])),
                None => {}
            }
        }
        let exact = inactive.is_none() && filter.is_indexed(by);
        let mut places = All::new(unions, way, exact);
        if let Some(first) = bounds.first(way) {
            places.seek(first);
        }
        Ok(Self {
            store,
            bucket,
            query,
            by,
            places,
            exact,
            way,
            bounds,
            named: filter.searched().filter(|_| by == SortBy::Name),
            left: None,
        })
    }

    /// Takes what a place, or a look at it, costs from what is left; `false`: there is none left.
    fn spend(&mut self, cost: usize) -> bool {
        let Some(left) = &mut self.left else { return true };
        let is_left = *left > 0;
        *left = left.saturating_sub(cost);
        is_left
    }

    /// Whether it ended because no more may be looked at.
    fn is_spent(&self) -> bool {
        self.left == Some(0)
    }

    /// Whether a place alone says that its file is not in the list.
    fn passes_over(&self, place: &[u8]) -> bool {
        let is_named = |text: &String| index::is_named(place, text);
        !self.bounds.hold(place) || !self.named.as_ref().is_none_or(is_named)
    }

    /// The next place in the list, and the file if it had to be looked at.
    async fn next(&mut self) -> Result<Option<(Vec<u8>, Option<(FileId, File)>)>, Fault> {
        while let Some(place) = self.places.next().await? {
            if self.bounds.end_before(&place, self.way) {
                return Ok(None);
            }
            let is_out = self.passes_over(&place);
            if !is_out && self.exact {
                return Ok(Some((place, None)));
            }
            if !self.spend(if is_out { 1 } else { PASSED_IN_A_LOOK }) {
                return Ok(None);
            }
            if is_out {
                continue;
            }
            if let Some(found) = self.look(&place).await? {
                return Ok(Some((place, Some(found))));
            }
        }
        Ok(None)
    }

    /// The file at a place, unless it is no longer in the list.
    async fn look(&self, place: &[u8]) -> Result<Option<(FileId, File)>, Fault> {
        let id = id_at(place)?;
        let Some((file, _)) = self.store.file(self.bucket, &id).await? else {
            return Ok(None);
        };
        let query = self.query;
        let listed = query.filter.takes(&file, &query.viewer) && query.viewer.sees(&file);
        // It stands elsewhere in this order now.
        let moved = self.by != SortBy::Created && self.by.place(id, &file) != place;
        Ok((listed && !moved).then_some((id, file)))
    }

    /// The page; `None`: too many files had to be looked at.
    async fn page(mut self) -> Result<Option<FilePage>, Fault> {
        if let Some(after) = &self.query.after {
            self.places.seek(after);
        }
        let (mut page, mut passed, mut last) = (FilePage::default(), 0_u64, None);
        let offset = self.query.offset as u64;
        while let Some((place, looked)) = self.next().await? {
            if self.query.after.as_ref() == Some(&place) {
                continue;
            }
            passed += 1;
            if page.files.len() == self.query.limit {
                page.next = last.take().or(page.next);
                if self.query.total {
                    continue;
                }
                break;
            }
            if passed <= offset {
                continue;
            }
            let found = match looked {
                Some(found) => Some(found),
                None => self.look(&place).await?,
            };
            if let Some(found) = found {
                page.files.push(found);
                last = Some(place);
            }
        }
        // Behind a cursor only the rest is counted.
        page.total = self.query.total.then_some(passed);
        // A page that was filled is known, however many had to be looked at.
        let filled = page.next.is_some() && !self.query.total;
        Ok((filled || !self.is_spent()).then_some(page))
    }
}

/// Under what stands whatever the viewer sees; `None`: they see everything.
fn seen_by(viewer: &Viewer, shared_only: bool) -> Option<Vec<(Facet, String)>> {
    let shares = viewer.shares().iter().filter_map(share_value);
    let mut scopes: Vec<(Facet, String)> = shares.map(|value| (Facet::SharedWith, value)).collect();
    match viewer {
        Viewer::All if shared_only => Some(Vec::new()),
        Viewer::All => None,
        Viewer::Somebody { .. } if shared_only => Some(scopes),
        Viewer::Somebody {
            owner,
            public,
            protected,
            ..
        } => {
            scopes.extend(owner.clone().map(|owner| (Facet::Owner, owner)));
            let shown = [(*public, Visibility::Public), (*protected, Visibility::Protected)];
            let shown = shown.into_iter().filter(|(shown, _)| *shown);
            scopes.extend(shown.map(|(_, level)| (Facet::Visibility, level.name().to_owned())));
            Some(scopes)
        }
    }
}

impl Store {
    /// A page of the files of a bucket's catalogue. Pages share no snapshot; a file that stays as it is is neither skipped
    /// nor listed twice by cursors.
    pub async fn list_files(&self, bucket: &BucketName, query: &FileQuery) -> Result<FilePage, Fault> {
        let known = match query.total && query.after.is_none() {
            true => self.inner.totals.find(bucket, query),
            false => Known::default(),
        };
        let asked = FileQuery {
            limit: query.limit.min(LIST_ITEMS_MAX),
            total: query.total && known.total.is_none(),
            ..query.clone()
        };
        let mut page = self.listed(bucket, &asked).await?;
        match (known.total, page.total) {
            (Some(total), _) => page.total = Some(total),
            (None, Some(total)) if query.after.is_none() => self.inner.totals.keep(bucket, query, known, total),
            (None, Some(_) | None) => {}
        }
        Ok(page)
    }

    async fn listed(&self, bucket: &BucketName, query: &FileQuery) -> Result<FilePage, Fault> {
        self.index_is_whole(bucket).await?;
        let (filter, by) = (&query.filter, query.sort.by);
        let active = filter.state.is_none_or(|state| state == FileState::Active);
        let only_as_made = |(facet, _): &(Facet, String)| !facet.stands_in(by);
        let narrow_as_made = filter.facets().iter().any(only_as_made) || filter.is_narrow_as_made(by);
        if by != SortBy::Created && (narrow_as_made || !active) {
            // Those of few files are found sooner by what is rare of them.
            let are_few = !active || self.are_few(bucket, filter, by).await?;
            let exact = active && filter.is_indexed(by);
            // A search is read off the names whose order it is, and off nothing that is shorter.
            let by_places = exact && filter.searched().is_some() && !filter.is_timed();
            // What many files are fills its page soon in whatever order.
            if !are_few && (by_places || !query.total) {
                let mut walk = Walk::begin(self, bucket, query, by).await?;
                walk.left = (!by_places).then_some(LOOKS_MAX * PASSED_IN_A_LOOK);
                if let Some(page) = walk.page().await? {
                    return Ok(page);
                }
            }
            // To count them all, places are gone through that tell all of it.
            let counts_places = exact && query.total && !are_few;
            if !counts_places && let Some(page) = self.gathered(bucket, query).await? {
                return Ok(page);
            }
        }
        let page = Walk::begin(self, bucket, query, by).await?.page().await?;
        page.ok_or_else(|| Fault::Internal("a list ended before its end".into()))
    }

    /// Files that have ended by `now`, the first to end first, at most `limit`.
    pub async fn due_files(&self, bucket: &BucketName, now: Timestamp, limit: usize) -> Result<Vec<FileId>, Fault> {
        let page = self.inner.backend.scan(index::due_by(bucket, now), limit).await?;
        let ids = page.items.iter().map(|(row, _)| id_at(row.as_bytes()));
        ids.collect()
    }

    /// The page of a list that is short enough to be sorted in memory; `None`: it is not. Files that are not active have no
    /// other order, and are all looked at.
    async fn gathered(&self, bucket: &BucketName, query: &FileQuery) -> Result<Option<FilePage>, Fault> {
        let mut walk = Walk::begin(self, bucket, query, SortBy::Created).await?;
        let looks_max = match query.filter.state {
            None | Some(FileState::Active) => GATHERED_MAX,
            Some(_) => usize::MAX,
        };
        walk.left = Some(looks_max.saturating_mul(PASSED_IN_A_LOOK));
        let mut first = First::of(query);
        let mut looks = 0;
        while let Some((place, looked)) = walk.next().await? {
            if looks == looks_max {
                return Ok(None);
            }
            looks += 1;
            let looked = match looked {
                Some(looked) => Some(looked),
                None => walk.look(&place).await?,
            };
            if let Some(found) = looked {
                first.add(found);
            }
        }
        Ok((!walk.is_spent()).then(|| first.into_page()))
    }
}

/// The first files of a list, in whatever order they are found.
struct First<'q> {
    query: &'q FileQuery,
    way: Way,
    /// No more than can stand on the page, but for some that are left out together.
    found: Vec<(Vec<u8>, (FileId, File))>,
    passed: u64,
}

impl<'q> First<'q> {
    fn of(query: &'q FileQuery) -> Self {
        Self {
            query,
            way: if query.sort.descending { Way::Down } else { Way::Up },
            found: Vec::new(),
            passed: 0,
        }
    }

    fn add(&mut self, (id, file): (FileId, File)) {
        let place = self.query.sort.by.place(id, &file);
        let is_before = |after: &Vec<u8>| self.way.compare(&place, after).is_le();
        if self.query.after.as_ref().is_some_and(is_before) {
            return;
        }
        self.passed += 1;
        self.found.push((place, (id, file)));
        // One more than the page has tells that another follows.
        let wanted = self.query.offset.saturating_add(self.query.limit).saturating_add(1);
        if self.found.len() >= wanted.saturating_mul(2).max(GATHERED_MAX) {
            self.sort();
            self.found.truncate(wanted);
        }
    }

    fn sort(&mut self) {
        let way = self.way;
        self.found.sort_by(|(one, _), (other, _)| way.compare(one, other));
    }

    fn into_page(mut self) -> FilePage {
        self.sort();
        let mut rest = self.found.into_iter().skip(self.query.offset);
        let taken: Vec<_> = rest.by_ref().take(self.query.limit).collect();
        let next = match rest.next() {
            Some(_) => taken.last().map(|(place, _)| place.clone()),
            None => None,
        };
        FilePage {
            files: taken.into_iter().map(|(_, found)| found).collect(),
            next,
            total: self.query.total.then_some(self.passed),
        }
    }
}

/// Whether a list has a file, decided on the file alone.
#[cfg(test)]
pub(in crate::store) fn is_listed(file: &File, query: &FileQuery) -> bool {
    query.filter.takes(file, &query.viewer) && query.viewer.sees(file)
}
