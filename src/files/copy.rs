//! A copy of a file: the same bytes under an id and a key of its own, and the caller's.

use futures::TryStreamExt;
use serde_json::{Map, Value};
use storage_engine::backend::SourceError;
use storage_engine::store::condition::ReadConditions;
use storage_engine::store::files::File;
use storage_engine::store::object::get::{GetObject, Selection};
use storage_engine::store::record::labels::Visibility;
use storage_engine::store::record::scan::ScanVerdict;

use super::answer::Answer;
use super::call::{Call, object_key};
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::plan::{self, Plan, Said};
use super::single::arrived;
use super::upload::{self, Sent};
use super::view::{self, Eyes};
use crate::access::Action;
use crate::media::{FileName, Mime};
use crate::projects::Operation;

/// `POST /files/:id/copy`.
pub(super) async fn copy(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    // What is copied is read as well.
    call.caller.require(Operation::Read)?;
    let known = call.named().await?;
    let reader = call.open(Action::GetObject, &known.file).await?;
    let eyes = call.eyes(&known.file);
    if known.file.labels.counted && eyes != Eyes::Owner {
        let message = "The downloads of this file are counted: its owner alone copies it.";
        return Err(FilesError::because(Code::ACCESS_DENIED, message));
    }
    let source = arrived(call, known).await?.file;
    let name = fields.text("originalName")?.unwrap_or(&source.name);
    let plan = Plan::of(
        call,
        (
            FileName::parse(name)?,
            Mime::parse(&view::served_type(&source))?,
            Some(source.size),
        ),
        &placed(call, fields, &source, eyes)?,
    )
    .await?
    .over(said_of(&source, eyes));
    let get = GetObject {
        bucket: call.caller.bucket.clone(),
        key: object_key(&source)?,
        version: None,
        selection: Selection::Whole,
        conditions: ReadConditions::default(),
    };
    let read = reader.get_object(&get).await?;
    if Some(read.head.object.etag) != source.etag {
        return Err(Code::CONFLICT.into());
    }
    call.still_may(Action::GetObject, &source, &read.head.object).await?;
    let sent = Sent {
        len: Some(read.head.object.size),
        ..Sent::default()
    };
    // Bytes that may be read were scanned, if they ever are, and need it no second time.
    let cleared = source.scan.filter(|scan| scan.verdict == ScanVerdict::Clean);
    upload::store_cleared(call, &plan, sent, (read.body.map_err(SourceError::from), cleared)).await
}

/// Where the copy belongs, if nothing is said: where its owner has the file.
fn placed(call: &Call<'_>, fields: &Fields, source: &File, eyes: Eyes) -> Result<Fields, FilesError> {
    let mut wanted = Map::new();
    if eyes == Eyes::Owner {
        let own = [("bucket", &source.bucket), ("category", &source.category)];
        let own = own.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
        wanted.extend(own.map(|(name, text)| (name.to_owned(), Value::String(text.clone()))));
    }
    for name in ["bucket", "visibility", "metadata", "tags"] {
        if let Some(value) = fields.get(name) {
            wanted.insert(name.to_owned(), value.clone());
        }
    }
    let logical = |name: &str| wanted.get(name).and_then(Value::as_str);
    let rules = plan::rules(call, logical("bucket").or(logical("category")));
    // What is set for new files opens no copy of one that is closed.
    if rules.is_none_or(|rules| rules.visibility.is_none()) && !wanted.contains_key("visibility") {
        wanted.insert("visibility".to_owned(), Visibility::Private.name().into());
    }
    Fields::of(&Value::Object(wanted))
}

/// What is said of the file, as far as they see it.
fn said_of(source: &File, eyes: Eyes) -> Said {
    Said {
        metadata: view::seen_metadata(source, eyes),
        tags: Some(source.tags.clone()),
        entity: (eyes == Eyes::Owner).then(|| source.entity.clone()),
    }
}
