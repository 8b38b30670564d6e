//! Bytes of files, and addresses to read them from.

use serde_json::{Value, json};

use super::super::super::download::{DOWNLOAD_SECONDS_RANGE, URLS_MAX};
use super::super::super::error::Code;
use super::super::super::routes::Route;
use super::super::components::{downloads, name};
use super::super::described::{Described, Tag};
use super::super::refusals::{CHANGE, FILE};
use super::super::schema::{Field, asked, bytes, flag, list_of, one_of, text, within};
use super::Entry;

pub(super) const ALL: &[Entry] = &[
    (Route::Content, content),
    (Route::Public, public),
    (Route::DownloadUrl, download_url),
    (Route::DownloadUrls, download_urls),
    (Route::RevokeUrls, revoke_urls),
];

impl Described {
    /// The bytes of a file, whole or a range of them.
    fn tells_bytes(self) -> Self {
        let body = json!({ "*/*": { "schema": bytes() } });
        self.header("Range", &text(), "One range of bytes.")
            .header("If-None-Match", &text(), "An ETag that is known.")
            .header("If-Match", &text(), "The ETag that it must have.")
            .answers(200, "All of it.", body.clone())
            .answers(206, "The range.", body)
            .answers(304, "It is the one that is known.", Value::Null)
    }
}

fn content() -> Described {
    Described::new("readFile", Tag::Reading, "Its bytes")
        .says("With ranges and conditions, as HTTP has them.")
        .query(
            "download",
            name(),
            "The name under which a browser saves it, in the place of showing it.",
        )
        .query(
            "drystone-share",
            text(),
            "The token of a link with which the file is shared.",
        )
        .tells_bytes()
        .refuses(&[
            &[Code::LOCKED],
            FILE,
            &[
                Code::STATE,
                Code::PRECONDITION_FAILED,
                Code::RANGE,
                Code::INVALID_NAME,
                Code::NAME_TOO_LONG,
                Code::INVALID_PATH,
            ],
        ])
}

fn public() -> Described {
    Described::new(
        "readPublicFile",
        Tag::Reading,
        "The bytes of a public file, by its `publicUrl`",
    )
    .says("Without a key. With ranges and conditions, as HTTP has them.")
    .query(
        "v",
        text(),
        "The version that the URL is for: with the one that the file has, it may be kept for good.",
    )
    .query("download", text(), "Saves what would be shown.")
    .tells_bytes()
    .refuses(&[
        FILE,
        &[
            Code::NO_SUCH_ROUTE,
            Code::CONFLICT,
            Code::PRECONDITION_FAILED,
            Code::RANGE,
            Code::UNAVAILABLE,
        ],
    ])
}

/// How an address is to be.
fn wanted() -> Vec<Field> {
    vec![
        (
            "expiresIn",
            within(DOWNLOAD_SECONDS_RANGE),
            "Seconds the address lasts; 3600 by itself.",
        ),
        ("disposition", one_of(&["inline", "attachment"]), ""),
        (
            "stable",
            flag(),
            "The same address for a quarter of its life, for caches.",
        ),
        ("oneTime", flag(), "That it is used once."),
        ("maxDownloads", downloads(), "How often it may be used."),
        (
            "transform",
            text(),
            "An image of it: the options of an image's URL, or a preset (`p/card`).",
        ),
    ]
}

fn download_url() -> Described {
    let asks = Described::new("makeDownloadUrl", Tag::Reading, "An address to GET it from");
    let told = wanted().into_iter();
    told.fold(asks, |asks, (name, schema, says)| asks.query(name, schema, says))
        .says("What body and query say both, the body says.")
        .may_ask(asked(Vec::new(), wanted()))
        .tells(200, "DownloadAddress")
        .refuses(&[
            FILE,
            &[Code::LOCKED, Code::STATE, Code::INVALID_FORMAT, Code::NOT_BUILT],
        ])
}

fn download_urls() -> Described {
    let ids = list_of(&text(), (1, URLS_MAX));
    Described::new("makeDownloadUrls", Tag::Reading, "Addresses of several files")
        .says("What fails fails alone.")
        .asks(asked(vec![("ids", ids, "Ids of files.")], wanted()))
        .tells(200, "DownloadAddresses")
        .refuses(&[&[Code::NOT_BUILT]])
}

fn revoke_urls() -> Described {
    Described::new("revokeUrls", Tag::Reading, "That no address given out before opens it")
        .tells(200, "RevokedUrls")
        .refuses(&[CHANGE])
}
