//! An address that takes one POST of a file's bytes, without a key or a token beside it: for clients of the kind that ask
//! their server for an address and send the file there.
//!
//! What it lets is sealed into it as into every link; whoever has it is whoever asked for it, with the rights of the moment.

use http::request::Parts;
use serde_json::json;
use storage_engine::store::Store;
use storage_engine::store::condition::{ETagMatch, WriteCondition};
use storage_engine::store::files::{File, FileId, FileState};
use storage_engine::store::name::BucketName;
use time::OffsetDateTime;

use super::answer::Answer;
use super::call::{Call, query};
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::plan::Plan;
use super::single::{Announced, announce};
use super::{Inner, upload, view};
use crate::access::{Action, Context, RequestFacts, Resource, decide};
use crate::auth::Terms;
use crate::http::body::RequestBody;
use crate::media::{FileName, Mime};
use crate::projects::Envelope;

/// Where it is, below `/v1/`; the id of the file follows.
pub(super) const PATH: &str = "files/upload-url/";
/// The parameters of the address: what the link is known by, and what it lets.
const ACCESS_KEY: &str = "X-Amz-Credential";
const TOKEN: &str = "X-Amz-Security-Token";
/// How long the address lasts, in seconds.
const SECONDS: u32 = 3_600;
pub(super) const SECONDS_RANGE: (u32, u32) = (60, 3_600);
/// What a file is called that nobody named.
const UNNAMED: &str = "upload";
const UNKNOWN: &str = "application/octet-stream";

/// `POST /files/upload-url`.
pub(super) async fn ask(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let name = FileName::parse(fields.text("filename")?.unwrap_or(UNNAMED))?;
    let mime = Mime::declared(fields.text("contentType")?.unwrap_or_default())?;
    let plan = Plan::of(call, (name, mime, fields.size("fileSize")?), fields).await?;
    let seconds = fields.seconds("expiresIn", SECONDS_RANGE)?.unwrap_or(SECONDS);
    let Announced { id, file, link } = announce(call, &plan, seconds).await?;
    let (_, signed) = link.url.split_once('?').ok_or(Code::INTERNAL)?;
    // What is let is sealed, and nothing else is looked at: no signature stands there that says nothing.
    let sealed: Vec<&str> = signed
        .split('&')
        .filter(|pair| {
            [ACCESS_KEY, TOKEN]
                .iter()
                .any(|name| pair.split('=').next() == Some(name))
        })
        .collect();
    let url = format!("{}/v1/{PATH}{id}?{}", call.origin, sealed.join("&"));
    Ok(Answer::ok(json!({
        "uploadUrl": url,
        "url": url,
        "method": "POST",
        "fileId": id.to_string(),
        "storageId": id.to_string(),
        "key": file.key,
        "expiresAt": view::written(link.expires),
        "maxSize": file.limits.max_size,
    })))
}

/// A file that an address was given out for, and the store for whoever may send it there.
struct Awaited {
    bucket: BucketName,
    id: FileId,
    file: File,
    store: Store,
}

/// The POST to it.
pub(super) async fn receive(
    inner: &Inner,
    parts: &Parts,
    body: RequestBody,
    now: OffsetDateTime,
) -> Result<(Answer, Envelope), FilesError> {
    let Awaited {
        bucket,
        id,
        mut file,
        store,
    } = awaited(inner, parts, now).await?;
    let (mut sent, source) = upload::file_of(parts, body).await?;
    // Who said nothing when asking says it now.
    if let Some(declared) = sent
        .declared
        .take()
        .filter(|_| file.declared_type.as_deref() == Some(UNKNOWN))
    {
        let change = |file: &mut File| file.declared_type = Some(declared.as_str().to_owned());
        file = store.change_file(&bucket, id, None, change).await?;
    }
    let condition = WriteCondition {
        if_none_match: Some(ETagMatch::parse("*")),
        ..WriteCondition::default()
    };
    upload::put(&bucket, &store, (&file, sent, condition), source).await?;
    let (file, _) = store.file(&bucket, &id).await?.ok_or(Code::NOT_FOUND)?;
    let answer = Answer::ok(json!({
        "storageId": id.to_string(),
        "fileId": id.to_string(),
        "key": file.key,
        "size": file.size,
        "sha256": file.sha256.map(|hash| hex_simd::encode_to_string(hash, hex_simd::AsciiCase::Lower)),
        "contentType": view::served_type(&file),
    }));
    Ok((answer, inner.projects.envelope_of(&bucket)))
}

async fn awaited(inner: &Inner, parts: &Parts, now: OffsetDateTime) -> Result<Awaited, FilesError> {
    let denied = || FilesError::because(Code::ACCESS_DENIED, "This address is not one of ours, or it has ended.");
    let query = query(parts.uri.query().unwrap_or_default());
    let parameter = |name: &str| {
        let found = query.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    let access_key = parameter(ACCESS_KEY).and_then(|credential| credential.split('/').next());
    let brought = access_key.zip(parameter(TOKEN));
    let (access_key, token) = brought.ok_or_else(denied)?;
    let (identity, terms) = inner.links.redeem(access_key, token, now).ok_or_else(denied)?;
    // A form is sent to the bucket, and its policy says more than its token.
    if terms.is_of_form() {
        return Err(denied());
    }
    let bucket = BucketName::parse(&terms.bucket).map_err(|_| denied())?;
    let id = FileId::from_bytes(terms.file);
    let named = parts.uri.path().rsplit('/').next().and_then(FileId::parse);
    let (file, _) = inner.records.file(&bucket, &id).await?.ok_or(Code::NOT_FOUND)?;
    if named != Some(id) || file.epoch != terms.epoch || file.key != terms.key {
        return Err(denied());
    }
    if file.state != FileState::Pending {
        return Err(FilesError::because(
            Code::STATE,
            "The file of this address has been sent already.",
        ));
    }
    let mut request = RequestFacts::read(&parts.extensions, &parts.headers, now);
    request.terms = Some(Terms::Link(terms));
    let looked = inner.facts.of_bucket(&identity, bucket.as_str()).await?;
    let context = Context {
        request: Some(&request),
        bucket: Some(&looked.facts),
        ..Context::default()
    };
    let resource = Resource::Object {
        bucket: bucket.as_str(),
        key: &file.key,
    };
    let grant = decide(&identity, Action::PutObject, resource, &context)?;
    let store = inner.store.with(&grant).clone();
    Ok(Awaited {
        bucket,
        id,
        file,
        store,
    })
}
