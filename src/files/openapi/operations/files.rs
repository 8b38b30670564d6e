//! What is known of files: lists, changes, the trash, versions, copies, commits, references.

use serde_json::{Value, json};

use super::super::super::commit::ITEMS_MAX;
use super::super::super::error::Code;
use super::super::super::list::LIMIT_MAX;
use super::super::super::routes::Route;
use super::super::components::{category, lasts, name, owner_type, placed, state, tags, visibility};
use super::super::described::{Described, Tag};
use super::super::refusals::{ARRIVED, BYTES, CHANGE, FILE, PLAN};
use super::super::schema::{
    asked, bytes, closed, count, flag, id, list, list_of, moment, one_of, shared, text, within,
};
use super::Entry;

pub(super) const ALL: &[Entry] = &[
    (Route::List, files),
    (Route::Get, get),
    (Route::Patch, patch),
    (Route::PatchVisibility, patch_visibility),
    (Route::Delete, delete),
    (Route::Restore, restore),
    (Route::Replace, replace),
    (Route::Versions, versions),
    (Route::VersionRestore, version_restore),
    (Route::VersionRemove, version_remove),
    (Route::Copy, copy),
    (Route::Commit, commit),
    (Route::Refs, refs),
    (Route::RefAdd, ref_add),
    (Route::RefRemove, ref_remove),
];

fn files() -> Described {
    let sorts = one_of(&["createdAt", "updatedAt", "originalName", "name", "size"]);
    Described::new("listFiles", Tag::Files, "A list of files")
        .says("Nobody is listed, or counted, what they may not see.")
        .query("page", json!({ "type": "integer", "minimum": 1 }), "1 by itself.")
        .query("limit", within((1, LIMIT_MAX as u64)), "Files of a page; 20 by itself.")
        .query(
            "cursor",
            text(),
            "`nextCursor` of the page before, in the place of `page`.",
        )
        .query("sortBy", sorts, "`createdAt` by itself.")
        .query("sortDirection", one_of(&["asc", "desc"]), "`desc` by itself.")
        .query("visibility", visibility(), "")
        .query("ownerId", text(), "What the issuer calls the user.")
        .query("issuer", text(), "With a secret key: the issuer that knows the owner.")
        .query("ownerType", owner_type(), "")
        .query("bucket", text(), "")
        .query("category", text(), "")
        .query("mimeType", text(), "Also `image/*`; `*/*` is any.")
        .query("tag", list(&text()), "Each of them.")
        .query("relatedEntityId", text(), "")
        .query("sha256", sha256_query(), "")
        .query("search", text(), "In the name.")
        .query("sizeMin", count(), "Bytes.")
        .query("sizeMax", count(), "Bytes.")
        .query("createdFrom", moment_or_day(), "A day begins at midnight, UTC.")
        .query("createdTo", moment_or_day(), "A day is there to its end.")
        .query("sharedWithMe", flag(), "")
        .query("state", state(), "`active` by itself; others are the owner's to see.")
        .query("total", flag(), "Whether all files of the list are counted.")
        .tells(200, "FilePage")
}

fn moment_or_day() -> Value {
    json!({ "anyOf": [moment(), { "type": "string", "format": "date" }] })
}

fn sha256_query() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" })
}

fn get() -> Described {
    Described::new("getFile", Tag::Files, "A file")
        .tells(200, "SeenFile")
        .refuses(&[FILE])
}

fn patch() -> Described {
    let may = vec![
        ("originalName", name(), ""),
        ("visibility", visibility(), ""),
        (
            "metadata",
            shared("NewMetadata"),
            "Fields that are named change; null takes one away.",
        ),
        ("tags", tags(), ""),
        (
            "category",
            category(),
            "Its limits hold for the bytes, where the file is in no logical bucket.",
        ),
        (
            "deleteAfter",
            lasts(),
            "Seconds from now on until the file goes to the trash by itself.",
        ),
    ];
    let codes = &[Code::INVALID_NAME, Code::NAME_TOO_LONG, Code::INVALID_PATH];
    Described::new("changeFile", Tag::Files, "Another name, visibility or metadata")
        .may_ask(asked(Vec::new(), may))
        .tells(200, "SeenFile")
        .refuses(&[CHANGE, codes, &[Code::TOO_LARGE, Code::INVALID_FORMAT]])
}

fn patch_visibility() -> Described {
    Described::new("changeVisibility", Tag::Files, "Another visibility")
        .asks(asked(vec![("visibility", visibility(), "")], Vec::new()))
        .tells(200, "SeenFile")
        .refuses(&[CHANGE])
}

fn delete() -> Described {
    Described::new("deleteFile", Tag::Files, "That it goes to the trash")
        .query("purge", flag(), "For good.")
        .tells(200, "Nothing")
        .refuses(&[CHANGE])
}

fn restore() -> Described {
    Described::new("restoreFile", Tag::Files, "That it comes back out of the trash")
        .tells(200, "SeenFile")
        .refuses(&[CHANGE, &[Code::KEY_EXISTS, Code::QUOTA]])
}

fn replace() -> Described {
    Described::new("replaceFile", Tag::Files, "Other bytes in its place")
        .says("The old ones are kept as a version. A body of no bytes is taken where it has a `Content-Type`.")
        .header(
            "Repr-Digest",
            &text(),
            "`sha-256=:…:` is held to. Also `Content-Digest`, `Digest`.",
        )
        .header("Content-MD5", &text(), "Of a body that is the file; held to.")
        .takes(
            true,
            json!({
                "application/octet-stream": { "schema": bytes() },
                "multipart/form-data": { "schema": asked(vec![("file", bytes(), "The only field.")], Vec::new()) },
            }),
        )
        .tells(200, "SeenFile")
        .refuses(&[CHANGE, BYTES, &[Code::TOO_LARGE, Code::MIME_TOO_LONG]])
}

fn versions() -> Described {
    Described::new("listVersions", Tag::Files, "What it was before its bytes were replaced")
        .tells(200, "Versions")
        .refuses(&[FILE])
}

fn version_restore() -> Described {
    Described::new("restoreVersion", Tag::Files, "That these bytes stand there again")
        .tells(200, "SeenFile")
        .refuses(&[CHANGE, &[Code::NO_SUCH_VERSION, Code::QUOTA]])
}

fn version_remove() -> Described {
    Described::new("removeVersion", Tag::Files, "That these bytes go for good")
        .tells(200, "Nothing")
        .refuses(&[CHANGE, &[Code::NO_SUCH_VERSION]])
}

fn copy() -> Described {
    let mut may = placed();
    may.push(("originalName", name(), ""));
    Described::new("copyFile", Tag::Files, "A file of your own with the same bytes")
        .may_ask(asked(Vec::new(), may))
        .tells(201, "StoredFile")
        .refuses(&[FILE, PLAN, BYTES, ARRIVED, &[Code::LOCKED]])
}

fn commit() -> Described {
    let ids = || list_of(&id(), (0, ITEMS_MAX));
    let pair = closed(asked(vec![("old", id(), ""), ("new", id(), "")], Vec::new()));
    let may = vec![
        ("activate", ids(), "Files to register."),
        (
            "replace",
            list_of(&pair, (0, ITEMS_MAX)),
            "`new` ones are registered, `old` ones go to the trash.",
        ),
        ("delete", ids(), "Files that go to the trash."),
    ];
    Described::new("commitFiles", Tag::Files, "Several changes, all or none")
        .says("An error names the item in its message, and no file was changed. At most 1,000 items, each file once.")
        .may_ask(closed(asked(Vec::new(), may)))
        .tells(200, "Committed")
        .refuses(&[CHANGE, ARRIVED, &[Code::QUOTA]])
}

fn refs() -> Described {
    Described::new("listRefs", Tag::Files, "Who of the app needs it")
        .tells(200, "Refs")
        .refuses(&[FILE])
}

fn ref_add() -> Described {
    Described::new("addRef", Tag::Files, "That somebody of the app needs it")
        .tells(200, "Refs")
        .refuses(&[CHANGE])
}

fn ref_remove() -> Described {
    Described::new("removeRef", Tag::Files, "That they need it no more")
        .tells(200, "Refs")
        .refuses(&[CHANGE])
}
