//! Users of an environment, as the app's servers deal with them: shut out, let in again, their links revoked, and what
//! becomes of their files when they leave.
//!
//! Owns how this is asked and told. Who is shut out is the projects' to know; each file is judged by the authorizer as
//! everywhere.

use serde_json::{Value, json};
use storage_engine::store::files::{File, FileError, FileFilter, FileId, FileQuery, FileState};

use super::answer::Answer;
use super::call::Call;
use super::error::FilesError;
use super::fields::Fields;
use super::upload_token::named_user;
use super::{owner, view};
use crate::access::Action;
use crate::projects::{GrantedUser, UserChange, UserStanding};

/// Files that one request deals with at most.
pub(super) const FILES_MAX: usize = 1_000;
const PAGE: usize = 500;

/// What becomes of the files of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// Into the trash, as if the user had deleted each.
    Trash,
    /// For good, with what is in the trash.
    Purge,
    /// They are somebody else's from then on; what is in the trash, too.
    Reassign { to: String },
}

/// `GET /files/users`: those for whom something is set.
pub(super) fn list(call: &Call<'_>) -> Result<Answer, FilesError> {
    let users = call.inner.projects.users(&call.caller)?;
    let items: Vec<Value> = users.iter().map(|user| shown(call, user)).collect();
    Ok(Answer::ok(json!({ "items": items })))
}

/// `POST /files/users/block`, and `…/unblock`.
pub(super) async fn change(call: &Call<'_>, fields: &Fields, change: UserChange) -> Result<Answer, FilesError> {
    changed(call, needed(call, fields)?, change).await
}

/// `POST /files/users/revoke-urls`: of the user who is named, by a server; else of the caller.
pub(super) async fn revoke_urls(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let user = match fields.get("sub") {
        Some(_) => {
            call.caller.require_server()?;
            needed(call, fields)?
        }
        None => {
            let own = named_user(call, fields)?;
            own.ok_or_else(|| FilesError::field("sub is required: what the issuer calls the user."))?
        }
    };
    changed(call, user, UserChange::RevokeLinks).await
}

/// `POST /files/users/files`: what becomes of the files of a user; as many as one request deals with.
pub(super) async fn files(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let owner = owner_id(call, &needed(call, fields)?);
    let fate = fate(call, fields)?;
    let (mut done, mut more) = (0, false);
    for state in FileState::ALL {
        if state == FileState::Trashed && fate == Fate::Trash {
            continue;
        }
        let left = FILES_MAX - done;
        let (met, is_cut) = of_state(call, (&owner, state), &fate, left).await?;
        done += met;
        more |= is_cut;
    }
    Ok(Answer::ok(json!({ "files": done, "more": more })))
}

/// Files of the owner in this state; how many were dealt with, and whether there may be more.
async fn of_state(
    call: &Call<'_>,
    (owner, state): (&str, FileState),
    fate: &Fate,
    most: usize,
) -> Result<(usize, bool), FilesError> {
    let (mut after, mut done) = (None, 0);
    loop {
        let filter = FileFilter {
            state: Some(state),
            owner: Some(owner.to_owned()),
            ..FileFilter::default()
        };
        let query = FileQuery::oldest_first(filter, PAGE, after.take());
        let page = call.inner.records.list_files(&call.caller.bucket, &query).await?;
        for (id, file) in &page.files {
            if done == most {
                return Ok((done, true));
            }
            if meet(call, (*id, file), owner, fate).await? {
                done += 1;
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok((done, false)),
        }
    }
}

/// Whether the file met its fate; else it had gone, or was no longer theirs.
async fn meet(call: &Call<'_>, (id, file): (FileId, &File), owner: &str, fate: &Fate) -> Result<bool, FilesError> {
    let action = match fate {
        Fate::Trash | Fate::Purge => Action::DeleteObject,
        Fate::Reassign { .. } => Action::PutObjectAcl,
    };
    let store = call.open(action, file).await?;
    let found = store.file(&call.caller.bucket, &id).await?;
    let Some((file, rev)) = found.filter(|(file, _)| file.labels.owner.as_deref() == Some(owner)) else {
        return Ok(false);
    };
    let (bucket, judged) = (&call.caller.bucket, Some(rev));
    let met = match fate {
        Fate::Trash if file.state == FileState::Trashed => return Ok(false),
        Fate::Trash => store.trash_file(bucket, id, judged).await.map(drop),
        Fate::Purge => store.purge_file(bucket, id, judged).await,
        Fate::Reassign { to } => {
            let change = |file: &mut File| {
                file.labels.owner = Some(to.clone());
                // Links that the one before had given out are not the next one's to know of.
                file.epoch = file.epoch.wrapping_add(1);
            };
            store.change_file(bucket, id, judged, change).await.map(drop)
        }
    };
    match met {
        Ok(()) => Ok(true),
        Err(FileError::NoSuchFile) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn fate(call: &Call<'_>, fields: &Fields) -> Result<Fate, FilesError> {
    match fields.need("then")? {
        "trash" => Ok(Fate::Trash),
        "purge" => Ok(Fate::Purge),
        "reassign" => {
            let to = fields.object("to")?.cloned().map(Value::Object);
            let to = to.ok_or_else(|| FilesError::field("to is required: an object with sub and issuer."))?;
            let to = needed(call, &Fields::of(&to)?)?;
            Ok(Fate::Reassign {
                to: owner_id(call, &to),
            })
        }
        _ => Err(FilesError::field("then must be trash, purge or reassign.")),
    }
}

async fn changed(call: &Call<'_>, user: GrantedUser, change: UserChange) -> Result<Answer, FilesError> {
    let standing = call.inner.projects.change_user(&call.caller, user, change).await?;
    Ok(Answer::ok(shown(call, &standing)))
}

/// The user who is named.
fn needed(call: &Call<'_>, fields: &Fields) -> Result<GrantedUser, FilesError> {
    fields.need("sub")?;
    let user = named_user(call, fields)?;
    user.ok_or_else(|| FilesError::field("sub is required: what the issuer calls the user."))
}

fn owner_id(call: &Call<'_>, user: &GrantedUser) -> String {
    owner::id(call, &user.issuer, &user.subject)
}

fn shown(call: &Call<'_>, standing: &UserStanding) -> Value {
    json!({
        "ownerId": owner_id(call, &standing.user),
        "issuer": standing.user.issuer,
        "sub": standing.user.subject,
        "blocked": standing.blocked.is_some(),
        "blockedAt": standing.blocked.map(view::moment),
        "urlsRevokedAt": standing.revoked.map(view::moment),
    })
}
