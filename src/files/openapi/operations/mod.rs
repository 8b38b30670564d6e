//! What each operation takes, answers and refuses, beside its row of the table of routes: one table a family. Pure.
//!
//! A row without a description here does not compile.

mod companion;
mod files;
mod parts;
mod reading;
mod servers;
mod sharing;
mod uploads;

use super::super::routes::{BUILT, Route, Row};
use super::described::{Described, Tag};
use super::schema::text;

/// An operation by its route.
pub(super) type Entry = (Route, fn() -> Described);

const FAMILIES: &[&[Entry]] = &[
    uploads::ALL,
    parts::ALL,
    files::ALL,
    reading::ALL,
    sharing::ALL,
    servers::ALL,
    companion::ALL,
    &[(Route::Document, document)],
];

const _: () = assert!(
    all_described(BUILT),
    "a route of BUILT has no description: add (Route::…, function) to a table of src/files/openapi/operations, and a \
     function that says what it takes, answers and refuses"
);

/// Whether each row has an entry.
const fn all_described(mut rows: &[Row]) -> bool {
    while let [row, rest @ ..] = rows {
        if !is_described(row.route) {
            return false;
        }
        rows = rest;
    }
    true
}

const fn is_described(route: Route) -> bool {
    let mut families = FAMILIES;
    while let [family, others @ ..] = families {
        let mut entries = *family;
        while let [(described, _), rest @ ..] = entries {
            if *described as usize == route as usize {
                return true;
            }
            entries = rest;
        }
        families = others;
    }
    false
}

/// What is said of a route.
pub(super) fn of(route: Route) -> Option<Described> {
    let all = FAMILIES.iter().copied().flatten();
    let found = all.into_iter().find(|(described, _)| *described == route);
    found.map(|(_, describe)| describe())
}

fn document() -> Described {
    Described::new("getDocument", Tag::Document, "This document")
        .header("If-None-Match", &text(), "An ETag that is known.")
        .tells_bare(
            200,
            serde_json::json!({ "type": "object", "required": ["openapi", "info", "paths"] }),
        )
        .answers(304, "It is the one that is known.", serde_json::Value::Null)
}
