//! Several files at once, as an application needs it beside its own transaction: what it made, what took the place of what,
//! and what it deleted. All of it happens, or nothing.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use storage_engine::backend::Rev;
use storage_engine::store::Store;
use storage_engine::store::files::{File, FileDeed, FileId, FileState, NotTogether};

use super::answer::Answer;
use super::call::{Call, Known};
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::single::arrived;
use super::view;
use crate::access::Action;
use crate::projects::Operation;

/// Items of one commit.
pub(super) const ITEMS_MAX: usize = 1_000;

/// One file that is named.
struct Named {
    /// Where it stands in the request: `replace[2].old`.
    place: String,
    id: String,
    deed: FileDeed,
}

/// One that is named, was found, and may be changed so.
struct Judged {
    place: String,
    known: Known,
    deed: FileDeed,
}

/// `POST /files:commit`.
pub(super) async fn commit(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let named = read(fields)?;
    if named.iter().any(|item| item.deed == FileDeed::Register) {
        call.caller.require(Operation::Create)?;
    }
    if named.iter().any(|item| item.deed == FileDeed::Trash) {
        call.caller.require(Operation::Delete)?;
    }
    let (mut judged, mut store) = (Vec::with_capacity(named.len()), None);
    for item in named {
        let place = item.place.clone();
        let (item, opened) = judge(call, item).await.map_err(|error| error.at(&place))?;
        judged.push(item);
        store = Some(opened);
    }
    let Some(store) = store else {
        return Ok(Answer::ok(json!({ "activated": [], "replaced": [], "deleted": [] })));
    };
    // Nobody's bytes are looked at before all of them may be changed.
    let mut ready = Vec::with_capacity(judged.len());
    for Judged { place, known, deed } in judged {
        let known = match deed {
            FileDeed::Register => arrived(call, known).await.map_err(|error| error.at(&place))?,
            FileDeed::Trash => known,
        };
        ready.push(Judged { place, known, deed });
    }
    let deeds: Vec<(FileId, Rev, FileDeed)> = ready
        .iter()
        .map(|item| (item.known.id, item.known.rev, item.deed))
        .collect();
    let files = store.change_files(&call.caller.bucket, &deeds).await;
    let files = files.map_err(|refused| told(refused, &ready))?;
    Ok(Answer::ok(answer(call, &ready, files)))
}

/// Reads what is asked for. Each file is named once.
fn read(fields: &Fields) -> Result<Vec<Named>, FilesError> {
    fields.only(&["activate", "replace", "delete"])?;
    let mut named = Vec::new();
    for (at, id) in fields.texts("activate", ITEMS_MAX)?.into_iter().enumerate() {
        named.push(Named {
            place: format!("activate[{at}]"),
            id,
            deed: FileDeed::Register,
        });
    }
    let pairs = fields.list("replace", ITEMS_MAX)?;
    for (at, pair) in pairs.iter().enumerate() {
        let pair = Fields::of(pair).and_then(|pair| pair.only(&["old", "new"]).map(|()| pair));
        let pair = pair.map_err(|error| error.at(&format!("replace[{at}]")))?;
        for (name, deed) in [("old", FileDeed::Trash), ("new", FileDeed::Register)] {
            let place = format!("replace[{at}].{name}");
            let id = pair.text(name)?.map(str::to_owned);
            let id = id.ok_or_else(|| FilesError::field(format!("{place} is required: the id of a file.")))?;
            named.push(Named { place, id, deed });
        }
    }
    let deleted = fields.texts("delete", ITEMS_MAX)?;
    for (at, id) in deleted.into_iter().enumerate() {
        named.push(Named {
            place: format!("delete[{at}]"),
            id,
            deed: FileDeed::Trash,
        });
    }
    // A pair counts as one.
    if named.len() - pairs.len() > ITEMS_MAX {
        return Err(FilesError::field(format!("At most {ITEMS_MAX} items change together.")));
    }
    let mut once = HashSet::new();
    for item in &named {
        let id = FileId::parse(&item.id).ok_or_else(|| FilesError::from(Code::NOT_FOUND).at(&item.place))?;
        if !once.insert(id) {
            return Err(FilesError::field("The file is named more than once.").at(&item.place));
        }
    }
    Ok(named)
}

/// Finds a file, and the store for whoever may do this to it.
async fn judge(call: &Call<'_>, item: Named) -> Result<(Judged, Store), FilesError> {
    let Named { place, id, deed } = item;
    let known = call.look(&id).await?;
    if known.file.state == FileState::Trashed {
        return Err(Code::NOT_FOUND.into());
    }
    let store = match deed {
        FileDeed::Register => call.open_to_finish(&known).await?,
        FileDeed::Trash => call.open(Action::DeleteObject, &known.file).await?,
    };
    Ok((Judged { place, known, deed }, store))
}

fn told(refused: NotTogether, items: &[Judged]) -> FilesError {
    let item = refused.at.and_then(|at| items.get(at));
    let error = FilesError::from(refused.error);
    match item {
        Some(item) => error.at(&item.place),
        None => error,
    }
}

/// All files as they are then, where they stood in the request.
fn answer(call: &Call<'_>, items: &[Judged], files: Vec<Option<File>>) -> Value {
    let (mut activated, mut replaced, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    let mut pair = Map::new();
    for (Judged { place, known, .. }, file) in items.iter().zip(files) {
        let id = known.id;
        let shown = match &file {
            Some(file) => view::file(id, file, call.place(), call.eyes(file)),
            None => json!({ "id": id.to_string(), "status": "purged" }),
        };
        if place.ends_with(".old") {
            pair.insert("old".to_owned(), shown);
        } else if place.ends_with(".new") {
            pair.insert("new".to_owned(), shown);
            replaced.push(Value::Object(std::mem::take(&mut pair)));
        } else if place.starts_with("activate") {
            activated.push(shown);
        } else {
            deleted.push(shown);
        }
    }
    json!({ "activated": activated, "replaced": replaced, "deleted": deleted })
}
