//! Shares of a file: with whom, to do what, until when. The token of a link is told once, when it is made.

use serde_json::{Value, json};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::files::File;
use storage_engine::store::record::labels::Visibility;
use storage_engine::store::share::{self, Share, ShareAccess, ShareError, ShareId, ShareTarget};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::answer::Answer;
use super::call::{Call, Known};
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::{owner, view};
use crate::access::{Action, link_hash};

/// Shares in one list.
pub(super) const SHARES_MAX: usize = 100;

/// A share that is made, and the token of a link.
struct Made {
    share: Share,
    token: Option<String>,
}

/// `GET /files/:id/shares`.
pub(super) async fn list(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    call.open(Action::GetObjectAcl, &known.file).await?;
    Ok(Answer::ok(told(&known.file)))
}

/// `POST /files/:id/shares`.
pub(super) async fn add(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    let made = made(call, fields)?;
    change(call, &known, |shares| share::add(shares, made.share.clone())).await?;
    Ok(Answer::created(shown(call, &known, &made)))
}

/// `PUT /files/:id/shares`: these and no others.
pub(super) async fn replace(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    if fields.get("shares").is_none() {
        return Err(FilesError::field("shares is required: a list, which may be empty."));
    }
    let mut all = Vec::new();
    for item in fields.list("shares", SHARES_MAX)? {
        all.push(made(call, &Fields::of(item)?)?);
    }
    let wanted = |shares: &mut Vec<Share>| {
        shares.clear();
        all.iter().try_for_each(|made| share::add(shares, made.share.clone()))
    };
    change(call, &known, wanted).await?;
    let shares: Vec<Value> = all.iter().map(|made| shown(call, &known, made)).collect();
    Ok(Answer::ok(json!({ "shares": shares })))
}

/// `DELETE /files/:id/shares`.
pub(super) async fn clear(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    change(call, &known, |shares| {
        shares.clear();
        Ok(())
    })
    .await?;
    Ok(Answer::ok(json!({ "shares": [] })))
}

/// `DELETE /files/:id/shares/:share`.
pub(super) async fn remove(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    call.open(Action::PutObjectAcl, &known.file).await?;
    let id = ShareId::parse(call.segment(1)?).filter(|id| known.file.labels.shares.iter().any(|share| share.id == *id));
    let id = id.ok_or_else(|| FilesError::because(Code::NOT_FOUND, "There is no such share of this file."))?;
    change(call, &known, |shares| {
        shares.retain(|share| share.id != id);
        Ok(())
    })
    .await?;
    Ok(Answer::ok(json!({})))
}

/// Changes the shares of a file. Shared with somebody, a private file becomes a shared one: else the share would not count.
async fn change(
    call: &Call<'_>,
    known: &Known,
    wanted: impl Fn(&mut Vec<Share>) -> Result<(), ShareError> + Send + Sync,
) -> Result<File, FilesError> {
    let store = call.open(Action::PutObjectAcl, &known.file).await?;
    let mut shares = known.file.labels.shares.clone();
    wanted(&mut shares).map_err(|error| FilesError::field(format!("Not shared: {error}.")))?;
    let change = |file: &mut File| {
        file.labels.shares.clone_from(&shares);
        if !shares.is_empty() && matches!(file.labels.visibility, None | Some(Visibility::Private)) {
            file.labels.visibility = Some(Visibility::Shared);
        }
    };
    Ok(store
        .change_file(&call.caller.bucket, known.id, Some(known.rev), change)
        .await?)
}

fn told(file: &File) -> Value {
    json!({ "shares": file.labels.shares.iter().map(view::share).collect::<Vec<_>>() })
}

fn shown(call: &Call<'_>, known: &Known, made: &Made) -> Value {
    let mut share = view::share(&made.share);
    if let (Some(fields), Some(token)) = (share.as_object_mut(), &made.token) {
        let url = call.place().url(&known.file.key);
        fields.insert("token".to_owned(), json!(token));
        fields.insert("url".to_owned(), json!(format!("{url}?drystone-share={token}")));
    }
    share
}

fn made(call: &Call<'_>, fields: &Fields) -> Result<Made, FilesError> {
    let access = match fields.text("access")? {
        None | Some("read") => ShareAccess::Read,
        Some("write") => ShareAccess::Write,
        Some(_) => return Err(FilesError::field("access must be read or write.")),
    };
    let (target, token) = target(call, fields)?;
    let mut id = [0; 8];
    getrandom::fill(&mut id).map_err(|_| Code::INTERNAL)?;
    let share = Share {
        id: ShareId::from_bytes(id),
        target,
        access,
        made: call.time(),
        expires: fields.text("expiresAt")?.map(|text| end(call, text)).transpose()?,
        name: fields.text("name")?.map(str::to_owned),
    };
    Ok(Made { share, token })
}

fn target(call: &Call<'_>, fields: &Fields) -> Result<(ShareTarget, Option<String>), FilesError> {
    let kind = fields.need("type")?;
    if kind == "link" {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|_| Code::INTERNAL)?;
        let token = base64_simd::URL_SAFE_NO_PAD.encode_to_string(random);
        let hash = link_hash(&token).ok_or(Code::INTERNAL)?;
        return Ok((ShareTarget::Link(hash), Some(token)));
    }
    let id = fields.need("id")?;
    let target = match kind {
        "user" => ShareTarget::User(owner::account(call, fields.text("issuer")?, id)?),
        "group" => ShareTarget::Group(id.to_owned()),
        "email" => ShareTarget::Email(email(id)?),
        _ => return Err(FilesError::field("type must be user, group, email or link.")),
    };
    Ok((target, None))
}

/// An address as tokens say them. Whether anybody has it, nobody knows here.
fn email(id: &str) -> Result<String, FilesError> {
    let is_one = id
        .rsplit_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    match is_one && !id.chars().any(|one| one.is_whitespace() || one.is_control()) {
        true => Ok(id.to_owned()),
        false => Err(FilesError::field("id must be an address such as ann@example.net.")),
    }
}

fn end(call: &Call<'_>, text: &str) -> Result<Timestamp, FilesError> {
    let wrong = || FilesError::field("expiresAt must be a time to come, such as 2030-01-31T12:00:00Z.");
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
    if time <= call.now {
        return Err(wrong());
    }
    let millis = u64::try_from(time.unix_timestamp_nanos() / 1_000_000).map_err(|_| wrong())?;
    Ok(Timestamp::from_millis(millis))
}
