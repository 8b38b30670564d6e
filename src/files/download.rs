//! Addresses to read files from, one or many: whoever has one reads the file with it, as long as its asker may.

use serde_json::{Value, json};
use storage_engine::store::Store;
use storage_engine::store::clock::Timestamp;
use storage_engine::store::counter::CounterName;
use storage_engine::store::files::FileState;
use storage_engine::store::projects::OfProject;

use super::answer::Answer;
use super::call::{Call, Known};
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::single::no_bytes;
use super::{plan, view};
use crate::access::Action;
use crate::http::edge::IMAGES_PATH;
use crate::images::options::{Options, OptionsError};
use crate::images::sign::signature;
use crate::links::{self, Download};
use crate::media;

/// How long an address to read from lasts, in seconds.
const DOWNLOAD_SECONDS: u32 = 3_600;
pub(super) const DOWNLOAD_SECONDS_RANGE: (u32, u32) = (60, 604_800);
/// Of which images are made.
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
/// Addresses that are given out at once.
pub(super) const URLS_MAX: usize = 1_000;

/// Fields, and parameters, that say how an address is to be.
const WANTED: [&str; 6] = [
    "expiresIn",
    "disposition",
    "stable",
    "oneTime",
    "maxDownloads",
    "transform",
];

/// How an address is to be.
struct Wanted {
    seconds: u32,
    /// To be saved and not shown.
    attachment: bool,
    stable: bool,
    /// How often it may be used; `None`: as often as one likes.
    uses: Option<u32>,
    /// The image that it shows in the place of the file.
    shown_as: Option<Options>,
}

/// An address that was made.
struct Address {
    fields: Value,
    /// What counts its uses, to be made before it is told.
    counter: Option<(CounterName, u32)>,
    /// Opened by whom it was made for.
    store: Store,
}

/// `POST` and `GET /files/:id/download-url`; how the address is to be, the query may say as well.
pub(super) async fn one(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let wanted = Wanted::read(call, &fields.over(call.said(&WANTED)?))?;
    let known = call.named().await?;
    let address = address_of(call, &known, &wanted).await?;
    if let Some(counter) = address.counter {
        address.store.make_counters(&[counter]).await?;
    }
    Ok(Answer::ok(address.fields))
}

/// `POST /files/download-urls`: each file by itself, so that one that fails fails alone.
pub(super) async fn many(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let wanted = Wanted::read(call, fields)?;
    let ids = fields.texts("ids", URLS_MAX)?;
    if ids.is_empty() {
        return Err(FilesError::field(format!(
            "ids is required: a list of 1 to {URLS_MAX} ids of files."
        )));
    }
    let (mut items, mut counters, mut store) = (Vec::with_capacity(ids.len()), Vec::new(), None);
    for id in ids {
        let made = match call.look(&id).await {
            Ok(known) if known.file.state == FileState::Trashed => Err(Code::NOT_FOUND.into()),
            Ok(known) => address_of(call, &known, &wanted).await,
            Err(error) => Err(error),
        };
        items.push(match made {
            Ok(address) => {
                counters.extend(address.counter);
                store = Some(address.store);
                let mut item = json!({ "id": id });
                if let (Some(item), Value::Object(fields)) = (item.as_object_mut(), address.fields) {
                    item.extend(fields);
                }
                item
            }
            Err(error) => json!({ "id": id, "error": error.item() }),
        });
    }
    if let Some(store) = store {
        store.make_counters(&counters).await?;
    }
    Ok(Answer::ok(json!({ "items": items })))
}

impl Wanted {
    fn read(call: &Call<'_>, fields: &Fields) -> Result<Self, FilesError> {
        let wanted = Self {
            seconds: fields
                .seconds("expiresIn", DOWNLOAD_SECONDS_RANGE)?
                .unwrap_or(DOWNLOAD_SECONDS),
            attachment: match fields.text("disposition")? {
                None | Some("inline") => false,
                Some("attachment") => true,
                Some(_) => return Err(FilesError::field("disposition must be inline or attachment.")),
            },
            stable: fields.flag("stable")?,
            uses: uses(fields)?,
            shown_as: match fields.text("transform")? {
                Some(text) => Some(shown_as(call, text)?),
                None => None,
            },
        };
        if wanted.uses.is_some() {
            if wanted.stable {
                return Err(FilesError::field(
                    "An address that is counted does not repeat: stable goes with neither oneTime nor maxDownloads.",
                ));
            }
            // Each leaves a row behind, and guests are anybody.
            call.caller.require_signed_in()?;
        }
        Ok(wanted)
    }
}

/// How often an address may be used, if that is limited.
fn uses(fields: &Fields) -> Result<Option<u32>, FilesError> {
    let most = plan::downloads(fields)?;
    match (fields.flag("oneTime")?, most) {
        (true, Some(most)) if most != 1 => Err(FilesError::field(
            "oneTime is maxDownloads of 1; both of them do not fit together.",
        )),
        (true, _) => Ok(Some(1)),
        (false, most) => Ok(most),
    }
}

/// The options that are named, as in the URL of an image, or those of a preset (`p/card`).
fn shown_as(call: &Call<'_>, text: &str) -> Result<Options, FilesError> {
    let caller = &call.caller;
    let environment = caller.project.environments.get(&caller.environment);
    let images = &environment.ok_or(Code::BUCKET_NOT_CONFIGURED)?.images;
    let options = match text.strip_prefix("p/") {
        Some(name) => {
            let preset = images.presets.get(name).map(String::as_str);
            preset.ok_or_else(|| FilesError::field("transform names a preset that this environment does not have."))?
        }
        None => text,
    };
    if images.signed_only && !images.has_key {
        return Err(FilesError::field(
            "transform: images of this environment need a signature, and it has no key to sign them with.",
        ));
    }
    Options::parse(options).map_err(|error| {
        let code = match error {
            OptionsError::Wrong(_) => Code::INVALID_REQUEST,
            OptionsError::NotBuilt(_) => Code::NOT_BUILT,
        };
        FilesError::because(code, format!("transform: {error}."))
    })
}

async fn address_of(call: &Call<'_>, known: &Known, wanted: &Wanted) -> Result<Address, FilesError> {
    let store = call.open(Action::GetObject, &known.file).await?;
    let file = &known.file;
    if file.state == FileState::Pending {
        return Err(no_bytes());
    }
    if wanted.shown_as.is_some() && file.labels.counted {
        let message = "transform: no image is made of a file whose downloads are counted.";
        return Err(FilesError::because(Code::INVALID_FORMAT, message));
    }
    let content_type = view::served_type(file);
    if wanted.shown_as.is_some() && !IMAGES.contains(&content_type.as_str()) {
        return Err(FilesError::because(
            Code::INVALID_FORMAT,
            format!("transform: no image is made of a file of the type {content_type}."),
        ));
    }
    let counter = match wanted.uses {
        Some(uses) => Some((CounterName::random(ends(call, wanted.seconds))?, uses)),
        None => None,
    };
    let how = Download {
        disposition: Some(media::attachment(&file.name, &content_type, !wanted.attachment)),
        shown_as: wanted.shown_as.as_ref().map(ToString::to_string),
        counter: counter.map(|(name, _)| name.id),
        stable: wanted.stable,
    };
    let asker = call.asker()?;
    let ask = call.link(&asker, (known.id, file), wanted.seconds);
    let link = call.inner.links.download_url(&ask, how.clone()).await?;
    let url = match &how.shown_as {
        Some(options) => image_url(call, &link.url, options).await?,
        None => link.url,
    };
    let mut fields = json!({
        "url": url,
        "filename": file.name,
        "contentType": content_type,
        "size": file.size,
        "expiresAt": view::written(link.expires),
    });
    if let Some(fields) = fields.as_object_mut() {
        fields.extend(wanted.uses.map(|uses| ("maxDownloads".to_owned(), json!(uses))));
        fields.extend(how.shown_as.map(|options| ("transform".to_owned(), json!(options))));
    }
    Ok(Address { fields, counter, store })
}

/// When an address ends that is asked for now, as its counter is named after it.
fn ends(call: &Call<'_>, seconds: u32) -> Timestamp {
    let seconds = links::end(call.now, seconds).unix_timestamp();
    Timestamp::from_millis(u64::try_from(seconds).unwrap_or_default().saturating_mul(1_000))
}

/// Where the image is that the link to a file is for. It is signed where the environment has a key, so that it is none of
/// those of which a file has only so many.
async fn image_url(call: &Call<'_>, link: &str, options: &str) -> Result<String, FilesError> {
    let caller = &call.caller;
    let (of, bucket) = (
        OfProject::new(&caller.project.name, &caller.environment),
        &caller.bucket,
    );
    let path = link.strip_prefix(&call.origin).and_then(|path| path.strip_prefix('/'));
    let path = path.and_then(|path| path.strip_prefix(bucket.as_str()));
    let (key, query) = path.and_then(|path| path.split_once('?')).ok_or(Code::INTERNAL)?;
    let signed = format!("{options}{key}");
    let signature = match call.inner.projects.images_key(&of).await {
        Ok(Some(secret)) => format!("{}/", signature(&secret, &signed)),
        Ok(None) => String::new(),
        Err(error) => {
            tracing::warn!(%error, "the URL of an image could not be signed");
            return Err(Code::UNAVAILABLE.into());
        }
    };
    let OfProject { project, name } = of;
    Ok(format!(
        "{}{IMAGES_PATH}{project}/{name}/{signature}{signed}?{query}",
        call.origin
    ))
}
