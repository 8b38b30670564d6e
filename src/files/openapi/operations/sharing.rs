//! With whom a file is shared.

use super::super::super::routes::Route;
use super::super::super::share::SHARES_MAX;
use super::super::described::{Described, Tag};
use super::super::refusals::{CHANGE, FILE};
use super::super::schema::{asked, list_of, shared};
use super::Entry;

pub(super) const ALL: &[Entry] = &[
    (Route::Shares, list),
    (Route::ShareAdd, add),
    (Route::SharesReplace, replace),
    (Route::SharesClear, clear),
    (Route::ShareRemove, remove),
];

fn list() -> Described {
    Described::new("listShares", Tag::Sharing, "With whom it is shared")
        .tells(200, "Shares")
        .refuses(&[FILE])
}

fn add() -> Described {
    Described::new("addShare", Tag::Sharing, "That it is shared with somebody else, too")
        .says("A private file becomes a shared one.")
        .asks(shared("NewShare"))
        .tells(201, "MadeShare")
        .refuses(&[CHANGE])
}

fn replace() -> Described {
    let shares = list_of(&shared("NewShare"), (0, SHARES_MAX));
    Described::new(
        "replaceShares",
        Tag::Sharing,
        "That it is shared with these and nobody else",
    )
    .asks(asked(vec![("shares", shares, "")], Vec::new()))
    .tells(200, "MadeShares")
    .refuses(&[CHANGE])
}

fn clear() -> Described {
    Described::new("clearShares", Tag::Sharing, "That it is shared with nobody")
        .tells(200, "Shares")
        .refuses(&[CHANGE])
}

fn remove() -> Described {
    Described::new("removeShare", Tag::Sharing, "That one of them ends")
        .tells(200, "Nothing")
        .refuses(&[CHANGE])
}
