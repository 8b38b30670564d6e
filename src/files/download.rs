//! Addresses to read files from, one or many: whoever has one reads the file with it, as long as its asker may.

use serde_json::{Value, json};
use storage_engine::store::files::FileState;

use super::answer::Answer;
use super::call::{Call, Known};
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::view;
use crate::access::Action;
use crate::media;

/// How long an address to read from lasts, in seconds.
const DOWNLOAD_SECONDS: u32 = 3_600;
const DOWNLOAD_SECONDS_RANGE: (u32, u32) = (60, 604_800);
/// Addresses that are given out at once.
const URLS_MAX: usize = 1_000;

/// How the address is to be.
struct Wanted {
    seconds: u32,
    /// To be saved and not shown.
    attachment: bool,
    stable: bool,
}

/// `POST /files/:id/download-url`.
pub(super) async fn one(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let wanted = Wanted::read(fields)?;
    let known = call.named().await?;
    Ok(Answer::ok(url_of(call, &known, &wanted).await?))
}

/// `POST /files/download-urls`: each file by itself, so that one that fails fails alone.
pub(super) async fn many(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let wanted = Wanted::read(fields)?;
    let ids = fields.texts("ids", URLS_MAX)?;
    if ids.is_empty() {
        return Err(FilesError::field(format!(
            "ids is required: a list of 1 to {URLS_MAX} ids of files."
        )));
    }
    let mut items = Vec::with_capacity(ids.len());
    for id in ids {
        let url = match call.look(&id).await {
            Ok(known) if known.file.state == FileState::Trashed => Err(Code::NOT_FOUND.into()),
            Ok(known) => url_of(call, &known, &wanted).await,
            Err(error) => Err(error),
        };
        items.push(match url {
            Ok(url) => {
                let mut item = json!({ "id": id });
                if let (Some(item), Value::Object(url)) = (item.as_object_mut(), url) {
                    item.extend(url);
                }
                item
            }
            Err(error) => json!({ "id": id, "error": error.item() }),
        });
    }
    Ok(Answer::ok(json!({ "items": items })))
}

impl Wanted {
    fn read(fields: &Fields) -> Result<Self, FilesError> {
        for unbuilt in ["transform", "oneTime", "maxDownloads"] {
            if fields.get(unbuilt).is_some_and(|value| value != &Value::Bool(false)) {
                let message = format!("{unbuilt}: not built yet for addresses to read from.");
                return Err(FilesError::because(Code::NOT_BUILT, message));
            }
        }
        Ok(Self {
            seconds: fields
                .seconds("expiresIn", DOWNLOAD_SECONDS_RANGE)?
                .unwrap_or(DOWNLOAD_SECONDS),
            attachment: match fields.text("disposition")? {
                None | Some("inline") => false,
                Some("attachment") => true,
                Some(_) => return Err(FilesError::field("disposition must be inline or attachment.")),
            },
            stable: fields.flag("stable")?,
        })
    }
}

async fn url_of(call: &Call<'_>, known: &Known, wanted: &Wanted) -> Result<Value, FilesError> {
    call.open(Action::GetObject, &known.file).await?;
    let file = &known.file;
    if file.state == FileState::Pending {
        return Err(FilesError::because(
            Code::NOT_FOUND,
            "No bytes have been uploaded to this file yet.",
        ));
    }
    let content_type = view::served_type(file);
    let disposition = media::attachment(&file.name, &content_type, !wanted.attachment);
    let asker = call.asker()?;
    let ask = call.link(&asker, (known.id, file), wanted.seconds);
    let link = call
        .inner
        .links
        .download_url(&ask, Some(disposition), wanted.stable)
        .await?;
    Ok(json!({
        "url": link.url,
        "filename": file.name,
        "contentType": content_type,
        "size": file.size,
        "expiresAt": view::written(link.expires),
    }))
}
