//! Uploads in the dialect of Uppy's Companion.

use serde_json::{Value, json};

use super::super::super::error::Code;
use super::super::super::multipart::PARTS_MAX;
use super::super::super::routes::Route;
use super::super::components::{kind, name, visibility};
use super::super::described::{Described, Tag};
use super::super::refusals::{ARRIVED, BYTES, LINK, PLAN, UPLOAD};
use super::super::schema::{all, asked, count, list, list_of, moment, text, told, url, within};
use super::Entry;
use crate::links::UPLOADS_SECONDS;

pub(super) const ALL: &[Entry] = &[
    (Route::CompanionParams, params),
    (Route::CompanionCredentials, credentials),
    (Route::CompanionBegin, begin),
    (Route::CompanionParts, parts),
    (Route::CompanionPartUrl, part_url),
    (Route::CompanionPartUrls, part_urls),
    (Route::CompanionComplete, complete),
    (Route::CompanionAbort, abort),
];

const KEY: &str = "If it is said, it must be the key of this upload.";

fn params() -> Described {
    let form = told(vec![
        ("method", text(), "`POST`."),
        ("url", url(), ""),
        ("fields", all(&text()), "To be sent before the field `file`."),
        ("expires", count(), "Seconds the form lasts."),
    ]);
    Described::new(
        "companionParams",
        Tag::Companion,
        "A form that uploads a file in one piece",
    )
    .query("filename", name(), "It must be said.")
    .query("type", kind(), "`application/octet-stream` by itself.")
    .query_texts("metadata", "What the other routes do not know goes below `custom`.")
    .query("bucket", text(), "A logical bucket.")
    .query("visibility", visibility(), "")
    .tells_bare(200, form)
    .refuses(&[PLAN, LINK])
}

fn credentials() -> Described {
    let credentials = told(vec![
        ("AccessKeyId", text(), ""),
        ("SecretAccessKey", text(), ""),
        ("SessionToken", text(), "Goes with every request."),
        ("Expiration", moment(), "When they end, at the latest."),
    ]);
    let given = told(vec![
        ("credentials", credentials, ""),
        ("bucket", text(), "The app bucket."),
        ("region", text(), "What signatures name as their region."),
    ]);
    let (least, most) = (*UPLOADS_SECONDS.start(), *UPLOADS_SECONDS.end());
    Described::new(
        "companionCredentials",
        Tag::Companion,
        "Credentials for S3 that upload new files as the caller's own, and do nothing else",
    )
    .query("expiresIn", within((least, most)), "Seconds; the most by itself.")
    .tells_bare(200, given)
    .refuses(&[LINK])
}

fn begin() -> Described {
    let may = vec![
        ("type", kind(), "`application/octet-stream` by itself."),
        (
            "metadata",
            json!({ "type": "object" }),
            "What the other routes do not know goes below `custom`.",
        ),
        ("bucket", text(), "A logical bucket."),
        ("visibility", visibility(), ""),
    ];
    let begun = told(vec![
        ("key", text(), ""),
        ("uploadId", text(), ""),
        ("bucket", text(), "The app bucket."),
    ]);
    Described::new("companionBegin", Tag::Companion, "An upload in parts")
        .asks(asked(vec![("filename", name(), "")], may))
        .tells_bare(200, begun)
        .refuses(&[PLAN, LINK])
}

fn parts() -> Described {
    let part = told(vec![
        ("PartNumber", count(), ""),
        ("ETag", text(), ""),
        ("Size", count(), "Bytes."),
    ]);
    Described::new("companionParts", Tag::Companion, "Which parts have arrived")
        .query("key", text(), KEY)
        .tells_bare(200, list(&part))
        .refuses(&[UPLOAD])
}

fn part_url() -> Described {
    let told = told(vec![
        ("url", url(), ""),
        ("expires", count(), "Seconds the address lasts."),
    ]);
    Described::new("companionPartUrl", Tag::Companion, "An address to PUT a part to")
        .query("key", text(), KEY)
        .tells_bare(200, told)
        .refuses(&[UPLOAD, LINK, &[Code::INVALID_PART_NUMBER]])
}

fn part_urls() -> Described {
    let told = told(vec![("presignedUrls", all(&url()), "By the number of the part.")]);
    Described::new("companionPartUrls", Tag::Companion, "Addresses for several parts")
        .query("partNumbers", numbers(), "Such as `1,2`.")
        .query("key", text(), KEY)
        .tells_bare(200, told)
        .refuses(&[UPLOAD, LINK, &[Code::INVALID_PART_NUMBER]])
}

fn numbers() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]+(,[0-9]+)*$" })
}

fn complete() -> Described {
    let part = json!({
        "type": "object",
        "required": ["PartNumber", "ETag"],
        "properties": { "PartNumber": within((1, PARTS_MAX)), "ETag": text() },
    });
    let parts = list_of(&part, (1, PARTS_MAX.into()));
    let told = told(vec![
        ("location", url(), ""),
        ("key", text(), ""),
        ("bucket", text(), "The app bucket."),
    ]);
    let codes = &[Code::INVALID_PART_NUMBER, Code::INVALID_PARTS, Code::TOO_LARGE];
    Described::new("companionComplete", Tag::Companion, "That the parts are put together")
        .query("key", text(), KEY)
        .asks(asked(vec![("parts", parts, "In ascending order.")], Vec::new()))
        .tells_bare(200, told)
        .refuses(&[UPLOAD, ARRIVED, BYTES, codes])
}

fn abort() -> Described {
    Described::new("companionAbort", Tag::Companion, "That it is given up")
        .query("key", text(), KEY)
        .tells_bare(200, json!({ "type": "object" }))
        .refuses(&[UPLOAD, &[Code::NOT_FOUND, Code::STATE]])
}
