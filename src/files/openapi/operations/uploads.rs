//! Files that come: announced, sent, fetched, registered.

use serde_json::{Value, json};

use super::super::super::error::Code;
use super::super::super::routes::Route;
use super::super::super::single::UPLOAD_SECONDS_RANGE;
use super::super::super::{post_url, upload_token};
use super::super::components::{DOWNLOADS, category, downloads, kind, lasts, name, placed, plan, visibility};
use super::super::described::{Described, Tag};
use super::super::refusals::{ARRIVED, BYTES, CHANGE, FILE, LINK, PLAN};
use super::super::schema::{
    Field, asked, bytes, closed, count, list_of, saying, sha256_sent, short, text, url, within,
};
use super::Entry;

pub(super) const ALL: &[Entry] = &[
    (Route::Presign, presign),
    (Route::PresignedPost, presigned_post),
    (Route::UploadUrl, upload_url),
    (Route::Upload, upload),
    (Route::FromUrl, from_url),
    (Route::Register, register),
    (Route::Complete, complete),
    (Route::UploadTokens, upload_tokens),
];

/// What every announced file says.
pub(super) fn announced() -> Vec<Field> {
    vec![
        (
            "filename",
            name(),
            "At most 255 bytes, without `/`, `\\` and control characters.",
        ),
        ("contentType", kind(), "Such as `image/png`."),
    ]
}

fn size() -> Field {
    ("fileSize", count(), "Bytes.")
}

fn expires(range: (u32, u32), says: &'static str) -> Field {
    ("expiresIn", within(range), says)
}

fn and(mut fields: Vec<Field>, more: impl IntoIterator<Item = Field>) -> Vec<Field> {
    fields.extend(more);
    fields
}

fn presign() -> Described {
    let may = and(
        plan(),
        [
            size(),
            expires(UPLOAD_SECONDS_RANGE, "Seconds the address lasts; 900 by itself."),
        ],
    );
    Described::new("presignUpload", Tag::Uploads, "An address to PUT a file to")
        .asks(asked(announced(), may))
        .tells(200, "UploadAddress")
        .refuses(&[PLAN, LINK])
}

fn presigned_post() -> Described {
    let more = [
        size(),
        ("minSize", count(), "Fewest bytes."),
        expires(UPLOAD_SECONDS_RANGE, "Seconds the form lasts; 900 by itself."),
    ];
    Described::new("presignForm", Tag::Uploads, "A form that uploads a file by POST")
        .asks(asked(announced(), and(plan(), more)))
        .tells(200, "UploadForm")
        .refuses(&[PLAN, LINK, &[Code::TOO_SMALL]])
}

fn upload_url() -> Described {
    let more = [
        ("filename", name(), "`upload` by itself."),
        (
            "contentType",
            kind(),
            "If it is left out, the POST of the bytes says it.",
        ),
        size(),
        expires(post_url::SECONDS_RANGE, "Seconds the address lasts; 3600 by itself."),
    ];
    Described::new(
        "makeUploadUrl",
        Tag::Uploads,
        "An address that takes one POST of a file",
    )
    .may_ask(asked(Vec::new(), and(plan(), more)))
    .tells(200, "PostAddress")
    .refuses(&[PLAN, LINK])
}

fn upload() -> Described {
    let form = asked(vec![("file", bytes(), "The last field.")], and(plan(), Vec::new()));
    Described::new("upload", Tag::Uploads, "A file at once, through the server")
        .says("The body is the file, with `?filename=`, or a form whose last field is the file. What the query says is for the first alone.")
        .query("filename", name(), "Of a body that is the file.")
        .query("visibility", visibility(), "")
        .query("category", category(), "")
        .query("bucket", text(), "")
        .query("metadata", text(), "A JSON object.")
        .query("tags", text(), "A JSON list of texts.")
        .query("sha256", sha256_sent(), "")
        .query("fileSize", count(), "Bytes; how many come by itself.")
        .query("deleteAfter", lasts(), "")
        .query("maxDownloads", downloads(), DOWNLOADS)
        .header("Repr-Digest", &text(), "`sha-256=:…:` is held to. Also `Content-Digest`, `Digest`.")
        .header("Content-MD5", &text(), "Of a body that is the file; held to.")
        .takes(true, json!({
            "application/octet-stream": { "schema": saying(bytes(), "Any type.") },
            "multipart/form-data": { "schema": form, "encoding": encoding() },
        }))
        .tells(201, "StoredFile")
        .refuses(&[PLAN, BYTES])
}

/// What is no text in a form is JSON.
fn encoding() -> Value {
    json!({ "metadata": { "contentType": "application/json" }, "tags": { "contentType": "application/json" } })
}

fn from_url() -> Described {
    let more = [
        ("filename", name(), "The last part of the path by itself."),
        ("contentType", kind(), "What the other server says by itself."),
    ];
    let codes = &[
        Code::INVALID_URL,
        Code::URL_NOT_ALLOWED,
        Code::FETCH_OFF,
        Code::FETCH_FAILED,
        Code::FETCH_TIMED_OUT,
    ];
    Described::new("uploadFromUrl", Tag::Uploads, "That the server fetches a file")
        .says("Only where the operator lets it.")
        .asks(asked(vec![("url", url(), "")], and(plan(), more)))
        .tells(201, "StoredFile")
        .refuses(&[PLAN, BYTES, codes])
}

fn register() -> Described {
    let needed = vec![
        (
            "s3Key",
            short(1_024),
            "The `key` that was answered when it was announced.",
        ),
        ("originalName", name(), ""),
        ("mimeType", kind(), ""),
        ("size", count(), "Bytes."),
    ];
    let more = [
        ("width", count(), "Passed over: it is read from the bytes."),
        ("height", count(), "The same."),
        (
            "deleteAfter",
            lasts(),
            "Seconds until the file goes to the trash by itself.",
        ),
        ("maxDownloads", downloads(), DOWNLOADS),
    ];
    let codes = &[Code::KEY_TOO_LONG, Code::KEY_EXISTS];
    Described::new(
        "registerFile",
        Tag::Uploads,
        "That the app knows of a file whose bytes are there",
    )
    .asks(asked(needed, and(placed(), more)))
    .tells(201, "File")
    .refuses(&[PLAN, ARRIVED, CHANGE, codes])
}

fn complete() -> Described {
    Described::new(
        "completeFile",
        Tag::Uploads,
        "The same without a body; as often as you like",
    )
    .tells(200, "File")
    .refuses(&[FILE, ARRIVED, CHANGE])
}

fn upload_tokens() -> Described {
    let short = || short(upload_token::TEXT_CHARS_MAX);
    let may = vec![
        (
            "contentTypes",
            list_of(&text(), (1, upload_token::TYPES_MAX)),
            "Such as `image/png` or `image/*`; `*/*` is any. JPEG, PNG, GIF, WebP and PDF by itself.",
        ),
        (
            "maxFileSize",
            json!({ "type": "integer", "format": "int64", "minimum": 1 }),
            "Bytes; 5 MiB by itself.",
        ),
        ("maxFiles", within((1, upload_token::FILES_MAX)), "20 by itself."),
        expires(upload_token::SECONDS_RANGE, "Seconds the token lasts; 3600 by itself."),
        ("bucket", text(), ""),
        ("category", category(), ""),
        ("visibility", visibility(), ""),
        ("sub", short(), "Whose its files are."),
        ("issuer", short(), "The issuer that knows them."),
        (
            "op",
            short(),
            "What it is for; stands in the metadata of its files as `operation`.",
        ),
    ];
    Described::new(
        "makeUploadToken",
        Tag::Uploads,
        "A token for somebody who is not signed in",
    )
    .says("For servers of the app: a secret key. The token goes into the header `X-Upload-Token`.")
    .may_ask(closed(asked(Vec::new(), may)))
    .tells(201, "UploadToken")
    .refuses(&[&[Code::SIZE_NEGATIVE]])
}
