//! Uploads in the dialect of Uppy's Companion, below `/v1/s3/`: other names for what `multipart` and `presigned_post` do, and
//! credentials for pages that sign S3 requests themselves. All answered bare.
//!
//! <https://uppy.io/docs/companion/>, its S3 endpoints.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::call::Call;
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::{multipart, presigned_post, single, view};
use crate::links::{UPLOADS_SECONDS, UploadsAsk};

/// Addresses asked for at once.
const BATCH_MAX: usize = 1_000;
/// How a query names one of the metadata: `metadata[NAME]`.
const METADATA: (&str, &str) = ("metadata[", "]");
/// What the other routes know; what else is said of a file is the application's own.
const KNOWN_METADATA: [&str; 5] = ["description", "alt", "category", "relatedEntityId", "tags"];

/// `GET /s3/params?filename=…&type=…&metadata[NAME]=…`: a form that uploads a file in one piece.
pub(super) async fn params(call: &Call<'_>) -> Result<Answer, FilesError> {
    let mut said: Map<String, Value> = ["filename", "type", "bucket", "visibility"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), call.parameter(name)?.into())))
        .collect();
    let metadata: Map<String, Value> = call
        .parameters()
        .filter_map(|(name, text)| Some((within_brackets(name)?.to_owned(), text.into())))
        .collect();
    said.insert("metadata".to_owned(), metadata.into());
    let asked = announced(&Fields::of(&Value::Object(said))?)?;
    let made = presigned_post::make(call, &asked).await?;
    Ok(made.told_as(|made| {
        json!({
            "method": "POST",
            "url": made.get("url"),
            "fields": made.get("fields"),
            "expires": single::UPLOAD_SECONDS,
        })
    }))
}

/// `GET /s3/sts?expiresIn=…`: credentials that upload new files as the caller's own, and do nothing else.
pub(super) async fn credentials(call: &Call<'_>) -> Result<Answer, FilesError> {
    // Whoever has an upload token makes files within its limits, which no request to S3 says.
    if call.caller.upload.is_some() {
        return Err(Code::ACCESS_DENIED.into());
    }
    let asker = call.asker()?;
    let ask = UploadsAsk {
        asker: &asker,
        of_user: call.caller.user.is_some(),
        bucket: call.caller.bucket.as_str(),
        now: call.now,
        seconds: lifetime(call)?,
    };
    let made = call.inner.links.upload_credential(&ask).await?;
    let text = |secret: &[u8]| String::from_utf8_lossy(secret).into_owned();
    let told = json!({
        "credentials": {
            "AccessKeyId": made.access_key,
            "SecretAccessKey": text(made.secret.expose()),
            "SessionToken": text(made.token.expose()),
            "Expiration": view::written(made.expires),
        },
        "bucket": call.caller.bucket.as_str(),
        "region": made.region,
    });
    Ok(Answer::ok(told).told_as(|told| told.clone().into()).kept_by_nobody())
}

fn lifetime(call: &Call<'_>) -> Result<u32, FilesError> {
    let (least, most) = (*UPLOADS_SECONDS.start(), *UPLOADS_SECONDS.end());
    let Some(text) = call.parameter("expiresIn") else {
        return Ok(most);
    };
    let seconds = text.parse().ok().filter(|seconds| UPLOADS_SECONDS.contains(seconds));
    seconds.ok_or_else(|| {
        FilesError::field(format!(
            "expiresIn must be a whole number of seconds from {least} to {most}."
        ))
    })
}

fn within_brackets(name: &str) -> Option<&str> {
    name.strip_prefix(METADATA.0)?.strip_suffix(METADATA.1)
}

/// `POST /s3/multipart`: `{filename, type, metadata}`.
pub(super) async fn begin(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let begun = multipart::init(call, &announced(fields)?).await?;
    let bucket = call.caller.bucket.as_str();
    Ok(begun.told_as(|begun| json!({ "key": begun.get("key"), "uploadId": begun.get("uploadId"), "bucket": bucket })))
}

/// What is said of a file to come, as the other routes are told it.
fn announced(fields: &Fields) -> Result<Fields, FilesError> {
    let mut asked = Map::new();
    asked.insert("filename".to_owned(), fields.need("filename")?.into());
    let kind = fields.text("type")?.unwrap_or("application/octet-stream");
    asked.insert("contentType".to_owned(), kind.into());
    for name in ["bucket", "visibility"] {
        if let Some(value) = fields.get(name) {
            asked.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(metadata) = fields.object("metadata")? {
        asked.insert("metadata".to_owned(), sorted_out(metadata));
    }
    Fields::of(&Value::Object(asked))
}

/// `GET /s3/multipart/:upload`: the parts that have arrived.
pub(super) async fn parts(call: &Call<'_>) -> Result<Answer, FilesError> {
    let listed = multipart::parts(call, &key_of(call)?).await?;
    Ok(listed.told_as(|listed| {
        let parts = listed.get("parts").and_then(Value::as_array);
        let told = parts.into_iter().flatten().map(
            |part| json!({ "PartNumber": part.get("partNumber"), "ETag": part.get("etag"), "Size": part.get("size") }),
        );
        told.collect()
    }))
}

/// `GET /s3/multipart/:upload/:number`: the address that takes a part.
pub(super) async fn part_url(call: &Call<'_>) -> Result<Answer, FilesError> {
    let number = number(call.segment(1)?)?;
    let mut asked = key(call);
    asked.insert("partNumber".to_owned(), number);
    let told = multipart::part_url(call, &Fields::of(&Value::Object(asked))?).await?;
    Ok(told.told_as(|told| json!({ "url": told.get("url"), "expires": multipart::PART_SECONDS })))
}

/// `GET /s3/multipart/:upload/batch?partNumbers=1,2`.
pub(super) async fn part_urls(call: &Call<'_>) -> Result<Answer, FilesError> {
    let listed = call.parameter("partNumbers").unwrap_or_default();
    let numbers: Vec<&str> = listed.split(',').take(BATCH_MAX + 1).collect();
    if numbers.len() > BATCH_MAX {
        return Err(FilesError::field(format!(
            "partNumbers has at most {BATCH_MAX} numbers."
        )));
    }
    let numbers: Result<Value, FilesError> = numbers.into_iter().map(|text| number(text.trim())).collect();
    let mut asked = key(call);
    asked.insert("partNumbers".to_owned(), numbers?);
    let told = multipart::part_urls(call, &Fields::of(&Value::Object(asked))?).await?;
    Ok(told.told_as(|told| {
        let urls = told.get("urls").and_then(Value::as_array);
        let named = urls.into_iter().flatten().filter_map(|one| {
            let number = one.get("partNumber")?.as_u64()?;
            Some((number.to_string(), one.get("url")?.clone()))
        });
        json!({ "presignedUrls": named.collect::<Map<String, Value>>() })
    }))
}

/// `POST /s3/multipart/:upload/complete`: `{parts: [{PartNumber, ETag}]}`.
pub(super) async fn complete(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let Some(Value::Array(parts)) = fields.get("parts") else {
        return Err(Code::INVALID_PARTS.into());
    };
    let parts: Vec<Value> = parts
        .iter()
        .map(|part| json!({ "partNumber": part.get("PartNumber"), "etag": part.get("ETag") }))
        .collect();
    let mut asked = key(call);
    asked.insert("parts".to_owned(), parts.into());
    let told = multipart::complete(call, &Fields::of(&Value::Object(asked))?).await?;
    let bucket = call.caller.bucket.as_str();
    Ok(told.told_as(|told| json!({ "location": told.get("location"), "key": told.get("key"), "bucket": bucket })))
}

/// `DELETE /s3/multipart/:upload`.
pub(super) async fn abort(call: &Call<'_>) -> Result<Answer, FilesError> {
    let told = multipart::abort(call, &key_of(call)?).await?;
    Ok(told.told_as(|_| json!({})))
}

/// The key beside the upload's id; it must be that of the same file.
fn key(call: &Call<'_>) -> Map<String, Value> {
    let key = call.parameter("key").map(|key| ("key".to_owned(), key.into()));
    key.into_iter().collect()
}

fn key_of(call: &Call<'_>) -> Result<Fields, FilesError> {
    Fields::of(&Value::Object(key(call)))
}

fn number(text: &str) -> Result<Value, FilesError> {
    let number: u16 = text.parse().map_err(|_| Code::INVALID_PART_NUMBER)?;
    Ok(number.into())
}

/// Uppy sends whatever the page put beside a file; what has no place of its own goes below `custom`.
fn sorted_out(metadata: &Map<String, Value>) -> Value {
    let mut sorted = Map::new();
    let mut custom = match metadata.get("custom") {
        Some(Value::Object(custom)) => custom.clone(),
        _ => Map::new(),
    };
    for (name, value) in metadata {
        match name.as_str() {
            "custom" if value.is_object() => {}
            known if KNOWN_METADATA.contains(&known) => drop(sorted.insert(name.clone(), value.clone())),
            _ => drop(custom.insert(name.clone(), value.clone())),
        }
    }
    if !custom.is_empty() {
        sorted.insert("custom".to_owned(), custom.into());
    }
    Value::Object(sorted)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::sorted_out;

    #[test]
    fn what_a_page_says_of_a_file_keeps_its_place_or_is_the_applications_own() {
        let said = json!({ "name": "a.png", "alt": "a cat", "custom": { "album": 7 } });
        let Value::Object(said) = said else { unreachable!() };
        assert_eq!(
            sorted_out(&said),
            json!({ "alt": "a cat", "custom": { "album": 7, "name": "a.png" } })
        );
    }
}
