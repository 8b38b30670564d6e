//! Upload tokens: a server of the app says what somebody who is not signed in may upload, and how much of it.

use serde_json::json;
use storage_engine::store::clock::Timestamp;
use storage_engine::store::record::labels::Visibility;

use super::answer::Answer;
use super::call::Call;
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::{owner, plan, view};
use crate::links;
use crate::projects::{AppRefused, GrantedUser, KeyKind, UPLOAD_TOKEN, UploadGrant, UploadTokenError, is_type};

/// How long a token lasts, in seconds.
const SECONDS: u32 = 3_600;
pub(super) const SECONDS_RANGE: (u32, u32) = (60, 604_800);
/// How many files are made with one, where nothing is said of it.
const FILES: u32 = 20;
pub(super) const FILES_MAX: u32 = 10_000;
/// Most bytes of a file, where nothing is said of it.
const SIZE: u64 = 5 << 20;
/// What its files may be, where nothing is said of it.
const TYPES: [&str; 5] = ["image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf"];
pub(super) const TYPES_MAX: usize = 32;
/// Characters of what its maker calls what it is for, and of a user's name.
pub(super) const TEXT_CHARS_MAX: usize = 200;

/// What is said of a token.
const FIELDS: [&str; 10] = [
    "contentTypes",
    "maxFileSize",
    "maxFiles",
    "expiresIn",
    "bucket",
    "category",
    "visibility",
    "sub",
    "issuer",
    "op",
];

/// `POST /files/upload-tokens`.
pub(super) async fn make(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    if call.caller.key != KeyKind::Secret || call.caller.upload.is_some() {
        let message = "Upload tokens are made by a server of the app, with a secret key.";
        return Err(AppRefused::permission_denied(message).into());
    }
    fields.only(&FIELDS)?;
    let (grant, files) = (grant(call, fields)?, files(fields)?);
    let token = call.inner.projects.make_upload_token(&call.caller, &grant).await;
    let token = token.map_err(refused)?;
    // Whoever makes tokens may make files, and a token is the right to make some.
    let store = call.open_to_make(&format!("{UPLOADED}/"), None).await?;
    store.make_counters(&[(grant.counter(), files)]).await?;
    Ok(Answer::created(json!({
        "token": token,
        "header": UPLOAD_TOKEN.as_str(),
        "expiresAt": view::written(grant.ends),
        "maxFiles": files,
        "maxFileSize": grant.max_size,
        "contentTypes": grant.types,
        "category": grant.category,
        "bucket": grant.bucket,
        "visibility": grant.visibility.map(Visibility::name),
        "op": grant.operation,
        "sub": grant.user.as_ref().map(|user| user.subject.as_str()),
    })))
}

/// What the making of a token is judged as: its files have no keys yet.
const UPLOADED: &str = "what-upload-tokens-make";

fn grant(call: &Call<'_>, fields: &Fields) -> Result<UploadGrant, FilesError> {
    let seconds = fields.seconds("expiresIn", SECONDS_RANGE)?.unwrap_or(SECONDS);
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| Code::INTERNAL)?;
    let category = fields.text("category")?;
    if let Some(category) = category {
        plan::check_category(category)?;
    }
    let bucket = match fields.text("bucket")? {
        Some(name) => plan::known_bucket(call, name)?,
        None => None,
    };
    let max_size = match fields.size("maxFileSize")?.unwrap_or(SIZE) {
        0 => return Err(FilesError::field("maxFileSize must be a number of bytes, 1 or more.")),
        size => Some(size),
    };
    Ok(UploadGrant {
        id,
        ends: links::end(call.now, seconds),
        types: types(fields)?,
        max_size,
        category: category.map(str::to_owned),
        bucket,
        visibility: fields.visibility()?,
        operation: short(fields, "op")?,
        user: named_user(call, fields)?,
        revoked: Timestamp::default(),
    })
}

fn types(fields: &Fields) -> Result<Vec<String>, FilesError> {
    if fields.get("contentTypes").is_none() {
        return Ok(TYPES.map(str::to_owned).to_vec());
    }
    let types = fields.texts("contentTypes", TYPES_MAX)?;
    match !types.is_empty() && types.iter().all(|kind| kind == "*/*" || is_type(kind)) {
        true => Ok(types),
        false => Err(FilesError::field(format!(
            "contentTypes must be a list of 1 to {TYPES_MAX} media types such as image/png or image/*; */* is any."
        ))),
    }
}

fn files(fields: &Fields) -> Result<u32, FilesError> {
    let wrong = || FilesError::field(format!("maxFiles must be a whole number from 1 to {FILES_MAX}."));
    let Some(files) = fields.number("maxFiles").map_err(|_| wrong())? else {
        return Ok(FILES);
    };
    let files = u32::try_from(files)
        .ok()
        .filter(|files| (1..=FILES_MAX).contains(files));
    files.ok_or_else(wrong)
}

/// The user who is named by `sub` and `issuer`, or for whom the server speaks.
pub(super) fn named_user(call: &Call<'_>, fields: &Fields) -> Result<Option<GrantedUser>, FilesError> {
    let spoken_for = call.caller.user.as_ref();
    let Some(subject) = short(fields, "sub")? else {
        return Ok(spoken_for.map(|user| GrantedUser {
            issuer: user.issuer.clone(),
            subject: user.subject.clone(),
        }));
    };
    let issuer = owner::issuer(call, short(fields, "issuer")?.as_deref())?;
    Ok(Some(GrantedUser { issuer, subject }))
}

fn short(fields: &Fields, name: &str) -> Result<Option<String>, FilesError> {
    let Some(text) = fields.text(name)? else {
        return Ok(None);
    };
    let is_short = (1..=TEXT_CHARS_MAX).contains(&text.chars().count());
    match is_short && !text.chars().any(char::is_control) {
        true => Ok(Some(text.to_owned())),
        false => Err(FilesError::field(format!(
            "{name} must be a text of 1 to {TEXT_CHARS_MAX} characters without control characters."
        ))),
    }
}

fn refused(error: UploadTokenError) -> FilesError {
    match error {
        UploadTokenError::TooLong | UploadTokenError::NoSuchIssuer => FilesError::field(format!("Not made: {error}.")),
        UploadTokenError::NotOpen => Code::UNAVAILABLE.into(),
        UploadTokenError::Writing(_) | UploadTokenError::Identity(_) => {
            tracing::error!(%error, "an upload token could not be made");
            Code::INTERNAL.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Fields, files, types};

    #[test]
    fn what_is_not_said_has_limits_all_the_same() {
        let none = Fields::default();
        assert_eq!(files(&none).unwrap(), 20);
        assert!(types(&none).unwrap().contains(&"image/png".to_owned()));
        let of = |text: &str| Fields::of(&serde_json::from_str::<Value>(text).unwrap()).unwrap();
        for wrong in [r#"{"maxFiles":0}"#, r#"{"maxFiles":10001}"#, r#"{"maxFiles":"1"}"#] {
            assert!(files(&of(wrong)).is_err(), "{wrong}");
        }
        for wrong in [
            r#"{"contentTypes":[]}"#,
            r#"{"contentTypes":["png"]}"#,
            r#"{"contentTypes":"image/png"}"#,
        ] {
            assert!(types(&of(wrong)).is_err(), "{wrong}");
        }
    }
}
