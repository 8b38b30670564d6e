//! Public files by their public ids, for anybody: no key, no token. What is not public, or not there, is not found.
//!
//! A URL that names the version of the file it is for may be kept for good; any other is asked for again soon, since the
//! file may be replaced, and its owner may close it.

mod id;

use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderValue, Response};
use percent_encoding::utf8_percent_encode;
use storage_engine::store::files::{File, FileId, FileState};
use time::OffsetDateTime;

use self::id::PublicId;
use super::call::Call;
use super::content::Opened;
use super::error::{Code, FilesError};
use super::view::{self, PATH_ESCAPED, Place};
use super::{BASE, Inner};
use crate::auth::sha256;
use crate::http::body::Body;
use crate::media;

/// The query parameter that names a version, as images have it.
const VERSION: &str = "v";
/// The query parameter that has the file saved, whatever its type.
const DOWNLOAD: &str = "download";
/// How often a file that changes is looked at anew.
const LOOKS_MAX: usize = 4;
/// The last segment of a URL for a file whose name would be taken for a path.
const UNNAMED: &str = "file";

/// `GET` and `HEAD /pub/:public/:name`. The name is there for people and browsers: any is taken.
pub(super) async fn read(
    inner: &Inner,
    parts: &Parts,
    taken: Vec<String>,
    now: OffsetDateTime,
) -> Result<Response<Body>, FilesError> {
    let reading = found(inner, parts, taken, now).await;
    reading.map_err(|error| match error.is_not_modified() {
        true => error,
        // It may be there, and public, in a moment.
        false => error.with_header(CACHE_CONTROL, HeaderValue::from_static("no-store")),
    })
}

async fn found(
    inner: &Inner,
    parts: &Parts,
    taken: Vec<String>,
    now: OffsetDateTime,
) -> Result<Response<Body>, FilesError> {
    let id = taken.first().and_then(|text| PublicId::parse(text));
    let id = id.ok_or(Code::NOT_FOUND)?;
    let caller = inner.projects.anybody(&id.bucket)?.ok_or(Code::NOT_FOUND)?;
    let call = Call::new(inner, caller, parts, taken, now);
    for _ in 0..LOOKS_MAX {
        match once(&call, &id, parts).await {
            Err(error) if error.code() == Code::CONFLICT.name => {}
            answer => return answer,
        }
    }
    Err(Code::CONFLICT.into())
}

/// What was judged is what is read, or it is told to have changed.
async fn once(call: &Call<'_>, id: &PublicId, parts: &Parts) -> Result<Response<Body>, FilesError> {
    let known = call.look(&id.file.to_string()).await?;
    let file = &known.file;
    // What is counted has no address that lasts.
    if !id.is_of(file) || file.state != FileState::Active || file.labels.counted {
        return Err(Code::NOT_FOUND.into());
    }
    let store = call.open_public(file).await?;
    let kept = media::kept(call.parameter(VERSION) == Some(&version(file)));
    let opened = Opened::of(&store, &call.caller.bucket, file, parts).await;
    let opened = opened.map_err(|error| match error.is_not_modified() {
        true => error.with_header(CACHE_CONTROL, HeaderValue::from_static(kept)),
        false => error,
    })?;
    if !opened.is_of(file) {
        return Err(Code::CONFLICT.into());
    }
    let mut response = opened.response(file, &file.name, call.parameter(DOWNLOAD).is_none());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    Ok(response)
}

/// Names the bytes of a file and what they are served as: another one whenever either changes.
fn version(file: &File) -> String {
    let etag = file.etag.map(|etag| etag.to_string()).unwrap_or_default();
    let hash = sha256(format!("{etag}\n{}", view::served_type(file)).as_bytes());
    let start = hash.first_chunk::<8>().copied().unwrap_or_default();
    hex_simd::encode_to_string(start, hex_simd::AsciiCase::Lower)
}

/// The URL of a file as it is now, for anybody once it is public.
pub(super) fn url(place: Place<'_>, id: FileId, file: &File) -> Option<String> {
    let public_id = PublicId::of(place.bucket, id, file)?;
    let is_path = file.name.trim_matches('.').is_empty() || file.name.contains('/');
    let name = if is_path { UNNAMED } else { file.name.as_str() };
    let name = utf8_percent_encode(name, PATH_ESCAPED);
    let version = version(file);
    Some(format!(
        "{}{BASE}pub/{public_id}/{name}?{VERSION}={version}",
        place.origin
    ))
}

#[cfg(test)]
mod tests {
    use storage_engine::store::clock::Timestamp;
    use storage_engine::store::etag::ETag;

    use super::*;

    #[test]
    fn a_url_names_the_bytes_and_never_leads_elsewhere() {
        let place = Place {
            origin: "https://files.test",
            bucket: "shop-dev",
        };
        let named = |name: &str, etag: u8| {
            let file = File {
                etag: Some(ETag::Md5([etag; 16])),
                ..File::pending("k".into(), [2; 16], name.into(), Timestamp::from_millis(1))
            };
            url(place, FileId::from_bytes([1; 16]), &file).unwrap()
        };
        let one = named("my photo.png", 1);
        assert!(one.starts_with("https://files.test/v1/pub/shop-dev."), "{one}");
        assert!(one.contains("/my%20photo.png?v="), "{one}");
        assert_ne!(one, named("my photo.png", 2));
        for unfit in ["", ".", "..", "a/../b"] {
            assert!(named(unfit, 1).contains("/file?v="), "{unfit}");
        }
        assert!(named("a?b#c%.png", 1).contains("/a%3Fb%23c%25.png?v="));
    }
}
