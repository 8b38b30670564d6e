//! A file of another server, fetched by this one; only where the operator lets it.

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use url::Url;

use super::answer::Answer;
use super::call::Call;
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::plan::Plan;
use super::upload::{self, Sent};
use crate::media::{FileName, Mime};
use crate::outbound::{OutboundError, Patience};

/// What a file is called whose address has no name.
const NAMELESS: &str = "download";

impl From<OutboundError> for FilesError {
    fn from(error: OutboundError) -> Self {
        let code = match &error {
            OutboundError::Url(_) => Code::INVALID_URL,
            OutboundError::Forbidden => Code::URL_NOT_ALLOWED,
            OutboundError::TimedOut => Code::FETCH_TIMED_OUT,
            OutboundError::Unreachable(why) => {
                tracing::debug!(%why, "another server cannot be reached");
                Code::FETCH_FAILED
            }
            OutboundError::Certificate(why) => {
                tracing::debug!(%why, "the certificate of another server is not believed");
                Code::FETCH_FAILED
            }
            OutboundError::Redirects | OutboundError::Status(_) | OutboundError::Encoded => Code::FETCH_FAILED,
        };
        Self::because(code, error.to_string())
    }
}

/// `POST /files/from-url`.
pub(super) async fn fetch(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let outbound = call.inner.outward.fetch.as_ref().ok_or(Code::FETCH_OFF)?;
    let url = outbound.check(fields.need("url")?)?;
    let name = fields.text("filename")?.map(FileName::parse).transpose()?;
    let said = fields.text("contentType")?.map(Mime::declared).transpose()?;
    // Nothing is called for somebody who may not make a file.
    drop(call.open_to_make(NAMELESS, None).await?);
    let fetched = outbound.fetch(&url, Patience::default()).await?;
    let name = name.unwrap_or(name_of(&fetched.url)?);
    let declared = match said {
        Some(said) => said,
        None => type_of(&fetched.headers),
    };
    let len = text(&fetched.headers, CONTENT_LENGTH.as_str()).and_then(|len| len.parse().ok());
    let plan = Plan::of(call, (name, declared.clone(), len), fields).await?;
    let sent = Sent {
        declared: Some(declared),
        len,
        ..Sent::default()
    };
    upload::store(call, &plan, sent, fetched.body).await
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The type its server says; one that is none says nothing.
fn type_of(headers: &HeaderMap) -> Mime {
    let said = text(headers, CONTENT_TYPE.as_str()).and_then(|said| Mime::parse(said).ok());
    said.unwrap_or_else(Mime::unknown)
}

/// The last part of the address's path, if it is a name that a file can have.
fn name_of(url: &Url) -> Result<FileName, FilesError> {
    let last = url.path().rsplit('/').next().unwrap_or_default();
    let last = percent_encoding::percent_decode_str(last).decode_utf8_lossy();
    Ok(match FileName::parse(&last) {
        Ok(name) => name,
        Err(_) => FileName::parse(NAMELESS)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_by_its_address_where_that_has_a_name() {
        for (url, expected) in [
            ("https://a.test/b/photo.png?x=1", "photo.png"),
            ("https://a.test/b/two%20words.txt#end", "two words.txt"),
            ("https://a.test/", NAMELESS),
            ("https://a.test/%2e%2e%2fetc", NAMELESS),
        ] {
            let name = name_of(&Url::parse(url).unwrap()).unwrap();
            assert_eq!(name.as_str(), expected, "{url}");
        }
    }
}
