//! Files in parts.

use serde_json::{Value, json};

use super::super::super::error::Code;
use super::super::super::multipart::{PARTS_MAX, URLS_MAX};
use super::super::super::routes::Route;
use super::super::components::plan;
use super::super::described::{Described, Tag};
use super::super::refusals::{ARRIVED, BYTES, LINK, PLAN, UPLOAD};
use super::super::schema::{Field, asked, count, list_of, text, within};
use super::Entry;
use super::uploads::announced;

pub(super) const ALL: &[Entry] = &[
    (Route::PartsInit, init),
    (Route::PartUrl, part_url),
    (Route::PartUrls, part_urls),
    (Route::PartsList, list),
    (Route::PartsComplete, complete),
    (Route::PartsAbort, abort),
];

fn number() -> Value {
    within((1, PARTS_MAX))
}

/// What names an upload, where the path does not.
fn upload() -> Field {
    ("uploadId", text(), "What the upload was begun with.")
}

fn key() -> Field {
    ("key", text(), "If it is said, it must be the key of this upload.")
}

fn init() -> Described {
    let mut may = plan();
    may.push(("fileSize", count(), "Bytes of all parts together."));
    Described::new("beginUpload", Tag::Parts, "An upload in parts")
        .asks(asked(announced(), may))
        .tells(200, "Upload")
        .refuses(&[PLAN, LINK])
}

fn part_url() -> Described {
    Described::new("presignPart", Tag::Parts, "An address to PUT a part to")
        .asks(asked(vec![upload(), ("partNumber", number(), "")], vec![key()]))
        .tells(200, "PartAddress")
        .refuses(&[UPLOAD, LINK, &[Code::INVALID_PART_NUMBER]])
}

fn part_urls() -> Described {
    let numbers = list_of(&number(), (1, URLS_MAX));
    Described::new("presignParts", Tag::Parts, "Addresses for several parts")
        .asks(asked(vec![upload(), ("partNumbers", numbers, "")], vec![key()]))
        .tells(200, "PartAddresses")
        .refuses(&[UPLOAD, LINK, &[Code::INVALID_PART_NUMBER]])
}

fn list() -> Described {
    Described::new("listParts", Tag::Parts, "Which parts have arrived")
        .tells(200, "Parts")
        .refuses(&[UPLOAD])
}

fn complete() -> Described {
    let part = json!({
        "type": "object",
        "required": ["partNumber", "etag"],
        "properties": { "partNumber": number(), "etag": text() },
    });
    let parts = list_of(&part, (1, PARTS_MAX.into()));
    let codes = &[Code::INVALID_PART_NUMBER, Code::INVALID_PARTS, Code::TOO_LARGE];
    Described::new("completeUpload", Tag::Parts, "That the parts are put together")
        .asks(asked(
            vec![upload(), ("parts", parts, "In ascending order, as they were uploaded.")],
            vec![key()],
        ))
        .tells(200, "CompletedUpload")
        .refuses(&[UPLOAD, ARRIVED, BYTES, codes])
}

fn abort() -> Described {
    Described::new("abortUpload", Tag::Parts, "That it is given up")
        .asks(asked(vec![upload()], vec![key()]))
        .tells(200, "AbortedUpload")
        .refuses(&[UPLOAD, &[Code::NOT_FOUND, Code::STATE]])
}
