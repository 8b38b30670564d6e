//! The shared schemas: what files, shares, uploads, buckets and webhooks look like as JSON. Pure.
//!
//! Words and limits are those of the modules that read and write them. `view` says what a file shows to whom.

use serde_json::{Map, Value, json};
use storage_engine::limits::FILE_TAGS_MAX;
use storage_engine::store::files::{FileState, OwnerType};
use storage_engine::store::record::event::EventKind;
use storage_engine::store::record::labels::Visibility;
use storage_engine::store::record::scan::ScanVerdict;

use super::super::error::Code;
use super::super::plan::{CATEGORIES, DOWNLOADS_MAX, LASTS_SECONDS_RANGE};
use super::refusals::{EDGE, KEYS};
use super::schema::{
    Field, all, also, asked, closed, count, flag, id, list, list_of, moment, one_of, or_null, sha256, sha256_sent,
    shared, short, text, told, told_with, url, within,
};
use crate::media::{MIME_CHARS_MAX, NAME_BYTES_MAX};
use crate::projects::{Confirm, Gc, Scan, Sizes};
use crate::webhooks::payload;

pub(super) fn visibility() -> Value {
    one_of(&Visibility::ALL.map(Visibility::name))
}

pub(super) fn state() -> Value {
    one_of(&FileState::ALL.map(FileState::name))
}

pub(super) fn owner_type() -> Value {
    one_of(&OwnerType::ALL.map(OwnerType::name))
}

pub(super) fn category() -> Value {
    one_of(&CATEGORIES)
}

/// A name of a file.
pub(super) fn name() -> Value {
    short(NAME_BYTES_MAX)
}

/// A media type.
pub(super) fn kind() -> Value {
    short(MIME_CHARS_MAX)
}

/// What `maxDownloads` of a file says.
pub(super) const DOWNLOADS: &str = "How often its bytes are given out; the last time takes the file to the trash.";

pub(super) fn downloads() -> Value {
    within((1, DOWNLOADS_MAX))
}

pub(super) fn lasts() -> Value {
    within(LASTS_SECONDS_RANGE)
}

fn events() -> Value {
    json!({ "type": "array", "items": one_of(&EventKind::ALL.map(payload::name)), "minItems": 1 })
}

/// What may be said of a file that is announced, beside its name and type.
pub(super) fn plan() -> Vec<Field> {
    let mut fields = placed();
    fields.extend([
        (
            "category",
            category(),
            "Brings the limits of the logical bucket of that name, where no `bucket` is named.",
        ),
        (
            "sha256",
            sha256_sent(),
            "Of the bytes that are to come; others are refused. Hexadecimal digits, or base64.",
        ),
        (
            "deleteAfter",
            lasts(),
            "Seconds until the file goes to the trash by itself.",
        ),
        ("maxDownloads", downloads(), DOWNLOADS),
    ]);
    fields
}

/// Where a file belongs and what is said of it.
pub(super) fn placed() -> Vec<Field> {
    vec![
        (
            "visibility",
            visibility(),
            "As the logical bucket has it, else as the environment has it.",
        ),
        (
            "bucket",
            text(),
            "A logical bucket: `avatars`, `documents`, `media`, `files`, `images`, `temp`, or one that the project set up.",
        ),
        ("metadata", shared("NewMetadata"), ""),
        ("tags", tags(), ""),
    ]
}

pub(super) fn tags() -> Value {
    list_of(&text(), (0, FILE_TAGS_MAX))
}

/// All shared schemas by name.
pub(super) fn components() -> Map<String, Value> {
    let all = [errors(), files(), shares(), uploads(), parts(), buckets(), webhooks()];
    let named = all.into_iter().flatten();
    named.map(|(name, schema)| (name.to_owned(), schema)).collect()
}

type Named = (&'static str, Value);

fn errors() -> Vec<Named> {
    let codes = Code::ALL.iter().map(|code| code.name);
    let told_here = codes.filter(|code| !code.starts_with("upload/"));
    let more = KEYS.iter().chain(EDGE).map(|(_, code)| *code);
    let mut codes: Vec<&str> = told_here.chain(more).collect();
    codes.sort_unstable();
    codes.dedup();
    let one = told(vec![
        ("code", one_of(&codes), "For programs to compare."),
        ("message", text(), "For whoever writes the client."),
    ]);
    let whole = told(vec![
        ("success", json!({ "const": false }), ""),
        ("error", shared("ErrorItem"), ""),
        ("statusCode", within((400_u16, 599)), "The status of the answer."),
        ("message", text(), "The same as in `error`."),
    ]);
    vec![
        ("ErrorItem", one),
        ("Error", whole),
        ("Nothing", json!({ "type": "object" })),
    ]
}

fn files() -> Vec<Named> {
    let both = json!({ "anyOf": [shared("File"), shared("PublicFile")] });
    vec![
        ("NewMetadata", new_metadata()),
        ("PublicFile", public_file()),
        ("File", also(vec![shared("PublicFile"), owned()])),
        ("SeenFile", both),
        (
            "FilePage",
            told(vec![
                ("items", list(&shared("SeenFile")), ""),
                ("pagination", shared("Pagination"), ""),
            ]),
        ),
        ("Pagination", pagination()),
        ("Committed", committed()),
        (
            "PurgedFile",
            told(vec![("id", id(), ""), ("status", json!({ "const": "purged" }), "")]),
        ),
        (
            "Versions",
            told(vec![("versions", list(&shared("Version")), "The newest first.")]),
        ),
        ("Version", version()),
        ("Scan", scan()),
        ("Refs", told(vec![("refs", list(&text()), "")])),
        ("RevokedUrls", told(vec![("id", id(), ""), ("revokedAt", moment(), "")])),
    ]
}

fn new_metadata() -> Value {
    json!({
        "type": "object",
        "description": "At most 16 KiB as JSON. Fields of other names are kept as they are.",
        "properties": {
            "alt": or_null(text()),
            "description": or_null(text()),
            "category": or_null(text()),
            "relatedEntityId": or_null(text()),
            "tags": or_null(tags()),
            "custom": { "type": ["object", "null"] },
        },
    })
}

/// What only its owner, admins and servers see.
fn owned() -> Value {
    told(vec![
        (
            "ownerId",
            or_null(text()),
            "What the issuer calls the user, or the key of the server.",
        ),
        ("ownerType", owner_type(), ""),
        (
            "ownerIssuer",
            or_null(text()),
            "The alias of the issuer that knows the user; null of others.",
        ),
        ("status", state(), ""),
        ("bucket", or_null(text()), ""),
        ("category", or_null(text()), ""),
        ("tags", list(&text()), ""),
        ("relatedEntityId", or_null(text()), ""),
        ("refs", list(&text()), "Who of the app needs the file."),
        ("sha256", or_null(sha256()), ""),
        ("etag", or_null(text()), ""),
        ("shares", list(&shared("Share")), ""),
        ("updatedAt", moment(), ""),
        ("receivedAt", or_null(moment()), ""),
        ("registeredAt", or_null(moment()), ""),
        ("expiresAt", or_null(moment()), ""),
        ("deletedAt", or_null(moment()), ""),
        (
            "maxDownloads",
            or_null(count()),
            "How often its bytes are given out in all.",
        ),
        ("downloadsLeft", or_null(count()), "How often still."),
        ("rejected", or_null(text()), "Why its bytes were refused."),
        ("scan", or_null(shared("Scan")), "What a scanner said of its bytes."),
    ])
}

fn scan() -> Value {
    told(vec![
        ("verdict", one_of(&ScanVerdict::ALL.map(ScanVerdict::name)), ""),
        ("engine", text(), "What kind of scanner."),
        ("signature", or_null(text()), "What it found."),
        ("at", moment(), ""),
        ("releasedBy", or_null(text()), "Who let the bytes be read all the same."),
        ("reason", or_null(text()), ""),
        ("releasedAt", or_null(moment()), ""),
    ])
}

fn public_file() -> Value {
    told(vec![
        ("id", id(), ""),
        ("s3Key", text(), "The same as `key`."),
        ("key", text(), "The key of the object in the app bucket."),
        ("originalName", text(), ""),
        ("mimeType", text(), "What the bytes are served as."),
        ("size", count(), "Bytes."),
        ("width", or_null(count()), "Pixels, of an image."),
        ("height", or_null(count()), ""),
        ("visibility", visibility(), ""),
        (
            "metadata",
            json!({ "type": "object" }),
            "Others than the owner see `alt`, `description` and `tags`.",
        ),
        ("createdAt", moment(), ""),
        ("url", or_null(url()), "The lasting S3 address of a public file."),
        (
            "publicUrl",
            or_null(url()),
            "The lasting address of a public file that caches may keep.",
        ),
    ])
}

fn pagination() -> Value {
    told(vec![
        (
            "total",
            or_null(count()),
            "Files in the whole list, where they were counted.",
        ),
        ("page", count(), ""),
        ("limit", count(), ""),
        ("totalPages", or_null(count()), ""),
        ("hasNextPage", flag(), ""),
        ("hasPrevPage", flag(), ""),
        ("hasNext", flag(), "The same as `hasNextPage`."),
        ("hasPrev", flag(), "The same as `hasPrevPage`."),
        ("nextCursor", or_null(text()), "What `cursor` takes to go on from here."),
    ])
}

fn committed() -> Value {
    let file = json!({ "anyOf": [shared("File"), shared("PublicFile"), shared("PurgedFile")] });
    let pair = told(vec![("old", file.clone(), ""), ("new", file.clone(), "")]);
    told(vec![
        ("activated", list(&file), ""),
        ("replaced", list(&pair), ""),
        ("deleted", list(&file), ""),
    ])
}

fn version() -> Value {
    told(vec![
        ("id", text(), "`current` of the bytes that stand there."),
        ("current", flag(), ""),
        ("size", count(), "Bytes."),
        ("etag", or_null(text()), ""),
        ("type", text(), ""),
        ("width", or_null(count()), ""),
        ("height", or_null(count()), ""),
        ("sha256", or_null(sha256()), ""),
        ("createdAt", moment(), ""),
        ("replacedAt", or_null(moment()), ""),
    ])
}

fn shares() -> Vec<Named> {
    vec![
        ("Share", share()),
        ("NewShare", new_share()),
        (
            "MadeShare",
            also(vec![
                shared("Share"),
                told_with(
                    Vec::new(),
                    vec![
                        ("token", text(), "Of a link; told this once."),
                        ("url", url(), "Of a link; told this once."),
                    ],
                ),
            ]),
        ),
        ("Shares", told(vec![("shares", list(&shared("Share")), "")])),
        ("MadeShares", told(vec![("shares", list(&shared("MadeShare")), "")])),
    ]
}

fn share() -> Value {
    told(vec![
        ("shareId", text(), ""),
        ("type", one_of(&["user", "group", "email", "link"]), ""),
        ("id", or_null(text()), "With whom; null of a link."),
        (
            "issuer",
            or_null(text()),
            "The alias of the issuer that knows the user; null of others.",
        ),
        ("access", one_of(&["read", "write"]), ""),
        ("name", or_null(text()), ""),
        ("createdAt", moment(), ""),
        ("expiresAt", or_null(moment()), ""),
    ])
}

fn new_share() -> Value {
    asked(
        vec![("type", one_of(&["user", "group", "email", "link"]), "")],
        vec![
            (
                "id",
                text(),
                "What the issuer calls the user; the group; the address. A link has none.",
            ),
            (
                "issuer",
                text(),
                "With a secret key: the alias of the issuer that knows the user.",
            ),
            ("access", one_of(&["read", "write"]), "`read` by itself."),
            ("expiresAt", moment(), "A time to come."),
            ("name", text(), ""),
        ],
    )
}

fn uploads() -> Vec<Named> {
    let stored = told(vec![
        ("fileId", id(), "The same as `id`."),
        ("contentType", text(), "The same as `mimeType`."),
    ]);
    vec![
        ("UploadAddress", upload_address()),
        ("UploadForm", upload_form()),
        ("PostAddress", post_address()),
        ("StoredFile", also(vec![shared("File"), stored])),
        ("UploadToken", upload_token()),
        ("DownloadAddress", address(Vec::new())),
        (
            "DownloadAddresses",
            told(vec![(
                "items",
                list(&json!({ "anyOf": [
            address(vec![("id", text(), "")]),
            told(vec![("id", text(), ""), ("error", shared("ErrorItem"), "")]),
        ] })),
                "In the order in which they were asked for.",
            )]),
        ),
    ]
}

fn upload_address() -> Value {
    told(vec![
        ("url", url(), "Takes one PUT of the bytes."),
        ("key", text(), ""),
        ("filename", text(), ""),
        ("contentType", text(), ""),
        ("fileId", id(), ""),
        ("method", json!({ "const": "PUT" }), ""),
        ("headers", all(&text()), "To send with the bytes."),
        ("expiresAt", moment(), ""),
        ("maxSize", or_null(count()), "Most bytes."),
    ])
}

fn upload_form() -> Value {
    told(vec![
        ("method", json!({ "const": "POST" }), ""),
        ("url", url(), ""),
        ("fields", all(&text()), "To send before the file."),
        (
            "fileField",
            json!({ "const": "file" }),
            "The name of the field with the file, the last one.",
        ),
        ("key", text(), ""),
        ("filename", text(), ""),
        ("contentType", text(), ""),
        ("fileId", id(), ""),
        ("expiresAt", moment(), ""),
        ("minSize", count(), "Fewest bytes."),
        ("maxSize", or_null(count()), "Most bytes."),
    ])
}

fn post_address() -> Value {
    told(vec![
        (
            "uploadUrl",
            url(),
            "Takes one POST of the bytes, without key and token. It answers `storageId`, `fileId`, `key`, `size`, `sha256` and `contentType`.",
        ),
        ("url", url(), "The same."),
        ("method", json!({ "const": "POST" }), ""),
        ("fileId", id(), ""),
        ("storageId", id(), "The same as `fileId`."),
        ("key", text(), ""),
        ("expiresAt", moment(), ""),
        ("maxSize", or_null(count()), "Most bytes."),
    ])
}

fn upload_token() -> Value {
    told(vec![
        ("token", text(), "Told this once."),
        ("header", text(), "The header that brings it."),
        ("expiresAt", moment(), ""),
        ("maxFiles", count(), ""),
        ("maxFileSize", or_null(count()), "Bytes."),
        ("contentTypes", list(&text()), ""),
        ("category", or_null(text()), ""),
        ("bucket", or_null(text()), ""),
        ("visibility", or_null(visibility()), ""),
        ("op", or_null(text()), ""),
        ("sub", or_null(text()), ""),
    ])
}

fn address(more: Vec<Field>) -> Value {
    let mut always = vec![
        ("url", url(), ""),
        ("filename", text(), ""),
        ("contentType", text(), ""),
        ("size", count(), "Bytes of the file."),
        ("expiresAt", moment(), ""),
    ];
    always.extend(more);
    told_with(
        always,
        vec![
            (
                "maxDownloads",
                count(),
                "How often it may be used, where that is counted.",
            ),
            ("transform", text(), "The image that it shows, where one was asked for."),
        ],
    )
}

fn parts() -> Vec<Named> {
    let address = told(vec![
        ("url", url(), "Takes one PUT of the part."),
        ("partNumber", count(), ""),
        ("expiresAt", moment(), ""),
    ]);
    vec![
        (
            "Upload",
            told(vec![
                ("uploadId", text(), ""),
                ("key", text(), ""),
                ("filename", text(), ""),
                ("fileId", id(), ""),
                ("maxSize", or_null(count()), "Most bytes of all parts together."),
            ]),
        ),
        ("PartAddress", address),
        (
            "PartAddresses",
            told(vec![
                ("urls", list(&shared("PartAddress")), ""),
                ("uploadId", text(), ""),
            ]),
        ),
        (
            "Part",
            told(vec![
                ("partNumber", count(), ""),
                ("etag", text(), ""),
                ("size", count(), "Bytes."),
            ]),
        ),
        (
            "Parts",
            told(vec![
                ("uploadId", text(), ""),
                ("key", text(), ""),
                ("parts", list(&shared("Part")), ""),
            ]),
        ),
        (
            "CompletedUpload",
            told(vec![
                ("key", text(), ""),
                ("location", url(), ""),
                ("fileId", id(), ""),
                ("size", count(), "Bytes."),
                ("status", state(), ""),
                ("etag", or_null(text()), ""),
            ]),
        ),
        ("AbortedUpload", told(vec![("key", text(), "")])),
    ]
}

fn buckets() -> Vec<Named> {
    let amount = vec![("bytes", count(), ""), ("count", count(), "Files.")];
    let mut of_bucket = amount.clone();
    of_bucket.push(("bucket", or_null(text()), "Null of files without one."));
    let bucket = told(vec![
        ("name", text(), ""),
        ("maxSize", or_null(count()), "Most bytes of a file."),
        ("allowedTypes", list(&text()), "Such as `image/*`; empty: any."),
        ("defaultVisibility", visibility(), ""),
        (
            "ttlSeconds",
            or_null(count()),
            "Seconds after which files go to the trash by themselves.",
        ),
        ("gc", one_of(&Gc::ALL.map(Gc::name)), ""),
        ("confirm", one_of(&Confirm::ALL.map(Confirm::name)), ""),
        ("scan", one_of(&Scan::ALL.map(Scan::name)), ""),
        (
            "sizes",
            one_of(&Sizes::ALL.map(Sizes::name)),
            "What an announced size is: the most bytes a file may have, or what it must have.",
        ),
        ("guestUpload", flag(), "Whether guests put files into it."),
    ]);
    let usage = told_with(
        vec![(
            "quota",
            or_null(shared("UsedLimit")),
            "The limit that holds for these files, if there is one.",
        )],
        vec![
            ("bytes", count(), ""),
            ("count", count(), "Files."),
            ("buckets", list(&told(of_bucket)), ""),
            ("reserved", shared("Amount"), "What is announced."),
            ("trash", shared("Amount"), ""),
        ],
    );
    vec![
        ("Amount", told(amount)),
        ("Usage", usage),
        ("Limit", limit(Vec::new())),
        (
            "UsedLimit",
            limit(vec![
                ("used", or_null(room()), "Null while nobody could count yet."),
                ("left", or_null(limit(Vec::new())), "The same."),
            ]),
        ),
        ("Quotas", quotas()),
        ("User", user()),
        ("Users", told(vec![("items", list(&shared("User")), "")])),
        (
            "UserFiles",
            told(vec![
                ("files", count(), "With which something was done."),
                ("more", flag(), ""),
            ]),
        ),
        ("Bucket", bucket),
        (
            "Buckets",
            told(vec![
                ("project", text(), "That the key is of."),
                ("environment", text(), "That the key is of."),
                ("items", list(&shared("Bucket")), ""),
            ]),
        ),
    ]
}

/// How much files may take up.
fn limit(more: Vec<Field>) -> Value {
    let mut fields = vec![("bytes", or_null(count()), ""), ("files", or_null(count()), "")];
    fields.extend(more);
    told(fields)
}

fn room() -> Value {
    told(vec![("bytes", count(), ""), ("files", count(), "")])
}

fn quotas() -> Value {
    told(vec![
        ("environment", or_null(shared("UsedLimit")), "Of all files."),
        (
            "defaultOwner",
            or_null(shared("Limit")),
            "Of each user who is not named.",
        ),
        ("owners", all(&shared("UsedLimit")), "By whole ids."),
        ("buckets", all(&shared("UsedLimit")), "By logical buckets."),
    ])
}

/// Who is meant.
pub(super) fn user_fields() -> Vec<Field> {
    vec![
        ("sub", text(), "What the issuer calls them."),
        (
            "issuer",
            text(),
            "The alias of the issuer that knows them; the only one needs no name.",
        ),
    ]
}

fn user() -> Value {
    let own = vec![
        ("ownerId", text(), "The whole id, as owners of files have it."),
        ("blocked", flag(), ""),
        ("blockedAt", or_null(moment()), ""),
        (
            "urlsRevokedAt",
            or_null(moment()),
            "What was given out until then lets nothing.",
        ),
    ];
    told(user_fields().into_iter().chain(own).collect())
}

/// What may be said of quotas: what is named is set, null takes it away.
pub(super) fn quota_fields() -> Vec<Field> {
    let limit = || asked(Vec::new(), vec![("bytes", count(), ""), ("files", count(), "")]);
    vec![
        ("environment", limit(), "Of all files; `bytes`, `files` or both."),
        ("defaultOwner", limit(), "Of each user who is not named."),
        (
            "owners",
            all(&or_null(limit())),
            "By what `issuer` calls them, or by whole ids.",
        ),
        ("buckets", all(&or_null(limit())), "By logical buckets."),
        ("issuer", text(), "Which issuer knows the owners."),
    ]
}

fn webhooks() -> Vec<Named> {
    let kinds = EventKind::ALL.into_iter().chain([EventKind::Test]);
    let kinds: Vec<&str> = kinds.map(payload::name).collect();
    let webhook = told(vec![
        ("id", id(), ""),
        ("url", url(), ""),
        ("events", events(), ""),
        ("active", flag(), ""),
        ("description", text(), ""),
        ("createdAt", moment(), ""),
        ("updatedAt", moment(), ""),
    ]);
    let delivery = told(vec![
        ("eventId", text(), ""),
        ("type", one_of(&kinds), ""),
        ("fileId", or_null(id()), ""),
        ("happenedAt", moment(), ""),
        ("status", one_of(&["waiting", "delivered", "dead"]), ""),
        ("attempts", count(), ""),
        ("at", moment(), "When it is tried next, or was tried last."),
        ("httpStatus", or_null(count()), "What the receiver answered."),
        ("error", or_null(text()), ""),
    ]);
    let page = told(vec![
        ("items", list(&shared("Delivery")), ""),
        ("next", or_null(text()), "What `after` takes to go on from here."),
    ]);
    vec![
        ("Webhook", webhook),
        (
            "MadeWebhook",
            also(vec![
                shared("Webhook"),
                told(vec![("secret", text(), "Told this once.")]),
            ]),
        ),
        ("WebhookChange", closed(asked(Vec::new(), webhook_fields()))),
        ("Webhooks", told(vec![("items", list(&shared("Webhook")), "")])),
        ("Delivery", delivery),
        ("Deliveries", page),
    ]
}

/// What may be said of a webhook.
pub(super) fn webhook_fields() -> Vec<Field> {
    vec![
        ("events", events(), "All of them where none are named."),
        ("active", flag(), ""),
        ("description", json!({ "type": "string", "maxLength": 256 }), ""),
        (
            "url",
            url(),
            "Where it is told. Only https, unless the operator lets more.",
        ),
    ]
}
