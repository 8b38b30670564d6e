//! Lists of files: what the query asks for, and no file that the caller may not see.

use serde_json::json;
use storage_engine::store::clock::Timestamp;
use storage_engine::store::files::{FileFilter, FileQuery, FileSort, FileState, OwnerType, SortBy, Viewer};
use storage_engine::store::share::ShareTarget;
use time::format_description::well_known::Rfc3339;
use time::macros::{format_description, time};
use time::{Date, OffsetDateTime, Time};

use super::answer::Answer;
use super::call::Call;
use super::error::{Code, FilesError};
use super::fields::NUMBER_MAX;
use super::{fields, owner, view};
use crate::access::{Action, SharedWith, shared_with};
use crate::auth::{Identity, sha256 as digest};

/// Files of a page that names no number of them.
const LIMIT: usize = 20;
pub(super) const LIMIT_MAX: usize = 100;
/// Files that can be left out by counting pages; beyond them cursors go on.
const OFFSET_MAX: usize = 1_000_000;
/// A list up to a day has all of that day.
const LAST_OF_DAY: Time = time!(23:59:59.999);
/// Bytes of a cursor that tell which order it is of.
const MARK_BYTES: usize = 4;

/// `GET /files`.
pub(super) async fn list(call: &Call<'_>) -> Result<Answer, FilesError> {
    let viewer = viewer(call).await?;
    let page = whole(call, "page", usize::MAX, "of 1 or more")?.unwrap_or(1);
    let limit = whole(call, "limit", LIMIT_MAX, "from 1 to 100")?.unwrap_or(LIMIT);
    let offset = page.saturating_sub(1).saturating_mul(limit);
    if offset > OFFSET_MAX {
        return Err(FilesError::field(
            "page is too far; use cursor to go on from the last page.",
        ));
    }
    let sort = sort(call)?;
    let after = call.parameter("cursor").map(|text| cursor(text, sort)).transpose()?;
    let total = flag(call, "total")?.unwrap_or(after.is_none());
    let query = FileQuery {
        filter: filter(call, &viewer)?,
        viewer,
        sort,
        limit,
        offset: if after.is_some() { 0 } else { offset },
        after,
        total,
    };
    let counted = counted(call, &query).await?;
    let asked = FileQuery {
        total: query.total && counted.is_none(),
        ..query.clone()
    };
    let mut found = call.inner.records.list_files(&call.caller.bucket, &asked).await?;
    found.total = counted.or(found.total);
    let mut items = Vec::with_capacity(found.files.len());
    for (id, file) in found.files {
        let eyes = call.eyes(&file);
        // That a share has ended only the decision knows.
        if eyes == view::Eyes::Owner || call.open(Action::GetObject, &file).await.is_ok() {
            items.push(view::file(id, &file, call.place(), eyes));
        }
    }
    let pages = found.total.map(|total| total.div_ceil(limit as u64));
    let has_next = found.next.is_some();
    let has_previous = query.after.is_some() || page > 1;
    Ok(Answer::ok(json!({
        "items": items,
        "pagination": {
            "total": found.total,
            "page": page,
            "limit": limit,
            "totalPages": pages,
            "hasNextPage": has_next,
            "hasPrevPage": has_previous,
            "hasNext": has_next,
            "hasPrev": has_previous,
            "nextCursor": found.next.map(|next| cursor_of(&next, sort)),
        },
    })))
}

/// How many files the list has that a cursor goes on with, if that is asked for: behind the cursor are not all of them.
async fn counted(call: &Call<'_>, query: &FileQuery) -> Result<Option<u64>, FilesError> {
    if !query.total || query.after.is_none() {
        return Ok(None);
    }
    let whole = FileQuery {
        limit: 1,
        after: None,
        ..query.clone()
    };
    let found = call.inner.records.list_files(&call.caller.bucket, &whole).await?;
    Ok(found.total)
}

/// Whose view of the files it is.
pub(super) async fn viewer(call: &Call<'_>) -> Result<Viewer, FilesError> {
    if call.lists_all().await? {
        return Ok(Viewer::All);
    }
    let signed_in = call.caller.identity != Identity::Anonymous;
    let shares = shared_with(&call.caller.identity)
        .into_iter()
        .filter_map(|with| match with {
            SharedWith::User(owner) => Some(ShareTarget::User(owner)),
            SharedWith::Group(name) => Some(ShareTarget::Group(name)),
            SharedWith::Email(address) => Some(ShareTarget::Email(address)),
            SharedWith::Link(_) => None,
        });
    Ok(Viewer::Somebody {
        owner: call.caller.owner_id().map(str::to_owned),
        shares: shares.collect(),
        public: true,
        protected: signed_in,
    })
}

fn filter(call: &Call<'_>, viewer: &Viewer) -> Result<FileFilter, FilesError> {
    let text = |name: &str| call.parameter(name).map(str::to_owned);
    let tags = call
        .query
        .iter()
        .filter(|(name, value)| name == "tag" && !value.is_empty());
    Ok(FileFilter {
        state: state(call, viewer)?,
        visibility: call
            .parameter("visibility")
            .map(|text| fields::level("visibility", text))
            .transpose()?,
        owner: owner::of_query(call)?,
        owner_type: owner_type(call)?,
        bucket: text("bucket"),
        category: text("category"),
        media_type: media_type(call),
        tags: tags.map(|(_, value)| value.clone()).collect(),
        entity: text("relatedEntityId"),
        sha256: sha256(call)?,
        search: text("search"),
        size_min: number(call, "sizeMin")?,
        size_max: number(call, "sizeMax")?,
        created_from: moment(call, "createdFrom", Time::MIDNIGHT)?,
        created_to: moment(call, "createdTo", LAST_OF_DAY)?,
        shared_with_viewer: flag(call, "sharedWithMe")?.unwrap_or(false),
    })
}

/// Files that are not active nobody is listed but their owner.
fn state(call: &Call<'_>, viewer: &Viewer) -> Result<Option<FileState>, FilesError> {
    let Some(name) = call.parameter("state") else {
        return Ok(None);
    };
    let found = FileState::ALL.into_iter().find(|state| state.name() == name);
    let state = found.ok_or_else(|| {
        FilesError::field("state must be pending, received, scanning, active, quarantined, trashed or rejected.")
    })?;
    let is_guest = matches!(viewer, Viewer::Somebody { owner: None, .. });
    if is_guest && state != FileState::Active {
        let message = "Guests are listed active files alone; the others are for their owners to see.";
        return Err(FilesError::because(Code::ACCESS_DENIED, message));
    }
    Ok(Some(state))
}

/// The type that is asked for; of any type is not asked.
fn media_type(call: &Call<'_>) -> Option<String> {
    let kind = call.parameter("mimeType")?.to_ascii_lowercase();
    Some(kind).filter(|kind| kind != "*/*" && kind != "*")
}

fn owner_type(call: &Call<'_>) -> Result<Option<OwnerType>, FilesError> {
    let Some(name) = call.parameter("ownerType") else {
        return Ok(None);
    };
    let found = OwnerType::ALL.into_iter().find(|kind| kind.name() == name);
    let wrong = || FilesError::field("ownerType must be user, session, service or public.");
    found.map(Some).ok_or_else(wrong)
}

fn sort(call: &Call<'_>) -> Result<FileSort, FilesError> {
    let by = match call.parameter("sortBy") {
        None | Some("createdAt") => SortBy::Created,
        Some("updatedAt") => SortBy::Updated,
        Some("originalName" | "name") => SortBy::Name,
        Some("size") => SortBy::Size,
        Some(_) => {
            return Err(FilesError::field(
                "sortBy must be createdAt, updatedAt, originalName or size.",
            ));
        }
    };
    let descending = match call.parameter("sortDirection") {
        None | Some("desc") => true,
        Some("asc") => false,
        Some(_) => return Err(FilesError::field("sortDirection must be asc or desc.")),
    };
    Ok(FileSort { by, descending })
}

fn number(call: &Call<'_>, name: &str) -> Result<Option<u64>, FilesError> {
    let Some(text) = call.parameter(name) else {
        return Ok(None);
    };
    let number = text.parse().ok().filter(|number| *number <= NUMBER_MAX);
    let wrong = || FilesError::field(format!("{name} must be a whole number from 0 to {NUMBER_MAX}."));
    number.map(Some).ok_or_else(wrong)
}

/// A whole number from 1 to `most`, as `range` tells it.
fn whole(call: &Call<'_>, name: &str, most: usize, range: &str) -> Result<Option<usize>, FilesError> {
    let Some(text) = call.parameter(name) else {
        return Ok(None);
    };
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    let wrong = || FilesError::field(format!("{name} must be a whole number {range}."));
    number.map(Some).ok_or_else(wrong)
}

pub(super) fn flag(call: &Call<'_>, name: &str) -> Result<Option<bool>, FilesError> {
    match call.parameter(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(FilesError::field(format!("{name} must be true or false."))),
    }
}

/// A moment, or a day, of which `of_day` is meant.
fn moment(call: &Call<'_>, name: &str, of_day: Time) -> Result<Option<Timestamp>, FilesError> {
    let Some(text) = call.parameter(name) else {
        return Ok(None);
    };
    let wrong = || {
        FilesError::field(format!(
            "{name} must be a time such as 2026-01-31T12:00:00Z, or a day (of UTC) such as 2026-01-31; in a query the + of an \
             offset is written %2B."
        ))
    };
    let day = Date::parse(text, format_description!("[year]-[month]-[day]"));
    let time = match day {
        Ok(day) => day.with_time(of_day).assume_utc(),
        Err(_) => OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?,
    };
    let millis = u64::try_from(time.unix_timestamp_nanos() / 1_000_000).map_err(|_| wrong())?;
    Ok(Some(Timestamp::from_millis(millis)))
}

fn sha256(call: &Call<'_>) -> Result<Option<[u8; 32]>, FilesError> {
    let Some(text) = call.parameter("sha256") else {
        return Ok(None);
    };
    let bytes = hex_simd::decode_to_vec(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(Some)
        .ok_or_else(|| FilesError::field("sha256 must be 64 hexadecimal digits."))
}

/// A place in a list, for whoever goes on from there in the same order.
fn cursor_of(place: &[u8], sort: FileSort) -> String {
    let marked = [&mark(place, sort), place].concat();
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(marked)
}

fn cursor(text: &str, sort: FileSort) -> Result<Vec<u8>, FilesError> {
    let marked = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).unwrap_or_default();
    match marked.split_first_chunk() {
        Some((known, place)) if *known == mark(place, sort) => Ok(place.to_vec()),
        Some(_) | None => Err(FilesError::field(
            "cursor must be the nextCursor of another page of the same list, sorted in the same way.",
        )),
    }
}

/// Tells the cursors of an order from those of others, and from what is none.
fn mark(place: &[u8], sort: FileSort) -> [u8; MARK_BYTES] {
    let by = match sort.by {
        SortBy::Created => 0,
        SortBy::Updated => 1,
        SortBy::Name => 2,
        SortBy::Size => 3,
    };
    let text = [&[by, u8::from(sort.descending)], place].concat();
    let [a, b, c, d, ..] = digest(&text);
    [a, b, c, d]
}
