//! Requests that came by a link of a file: held to what the link is for, and answered for its holder alone.
//!
//! Owns which request is the one a link is for (of credentials that only upload see [`super::uploads`]), whether its file still is the one it was made for, and the headers of its
//! answer. It never makes or reads a link, and never decides what its asker may (`access` does).

use std::sync::Arc;

use http::header::{CACHE_CONTROL, REFERRER_POLICY};
use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode};
use storage_engine::backend::Rev;
use storage_engine::store::Store;
use storage_engine::store::clock::Timestamp;
use storage_engine::store::condition::{ETagMatch, WriteCondition};
use storage_engine::store::counter::{CountError, CounterName};
use storage_engine::store::files::{File, FileId, FileState};
use storage_engine::store::name::{BucketName, ObjectKey};
use time::OffsetDateTime;

use super::error::{Code, Failure};
use super::form::OfForm;
use super::guard::Parameter;
use super::target::Target;
use crate::auth::{LinkTerms, LinkUse, ShownAs, Terms};
use crate::http::KEPT_BY_NOBODY;

const USED_UP: &str = "The link was used as often as it may be.";

/// The terms of the link that a request came by.
pub(crate) fn terms(extensions: &Extensions) -> Option<&Arc<LinkTerms>> {
    match extensions.get::<Terms>() {
        Some(Terms::Link(terms)) => Some(terms),
        Some(Terms::Uploads(_)) | None => None,
    }
}

/// Refuses every request but the one that the link is for. Its signature says the same, but for what it does not cover.
pub(crate) fn admit(
    terms: &LinkTerms,
    (method, target): (&Method, &Target),
    query: &[Parameter],
    (headers, extensions): (&HeaderMap, &Extensions),
) -> Result<(), Failure> {
    let is_target = match target {
        Target::Object { bucket, key } => *bucket == terms.bucket && *key == terms.key,
        Target::Service | Target::Bucket { .. } => false,
    };
    let is_copy = headers.contains_key("x-amz-copy-source");
    let is_asked = match &terms.lets {
        LinkUse::Get { shown_as, .. } => {
            // A link to an image gives out neither another one nor the file itself.
            let is_shown_so = shown_as.is_none() || extensions.get() == shown_as.clone().map(ShownAs).as_ref();
            matches!(*method, Method::GET | Method::HEAD) && query.is_empty() && is_shown_so
        }
        LinkUse::Put { by_form, .. } => {
            // A form is the PUT it stands for.
            let came_so = extensions.get::<OfForm>().is_some() == *by_form;
            method == Method::PUT && query.is_empty() && came_so
        }
        LinkUse::Part { upload, numbers, .. } => {
            let named = |wanted: &str| {
                let mut found = query.iter().filter(|(name, _)| name == wanted);
                found
                    .next()
                    .map(|(_, value)| value.as_str())
                    .filter(|_| found.next().is_none())
            };
            let number = named("partNumber").and_then(|number| number.parse().ok());
            method == Method::PUT
                && query.len() == 2
                && named("uploadId") == Some(upload)
                && number.is_some_and(|number| numbers.contains(&number))
        }
    };
    match is_target && is_asked && !is_copy {
        true => Ok(()),
        false => Err(refused("This link is for another request.")),
    }
}

/// The file of a link, if it still is as it was when the link was made.
pub(crate) async fn file(
    store: &Store,
    terms: &LinkTerms,
    (bucket, key): (&BucketName, &ObjectKey),
) -> Result<(FileId, File, Rev), Failure> {
    let found = store.file_of_key(bucket, key.as_str()).await?;
    let found = found.filter(|(id, file, _)| *id.as_bytes() == terms.file && file.epoch == terms.epoch);
    let found = found.ok_or_else(|| refused("The links of this file were revoked, or it is gone."))?;
    let is_ready = match (&terms.lets, found.1.state) {
        // What is barred is refused where rights are judged.
        (
            LinkUse::Get { .. },
            FileState::Received | FileState::Active | FileState::Scanning | FileState::Quarantined,
        ) => true,
        (LinkUse::Put { .. } | LinkUse::Part { .. }, FileState::Pending) => true,
        (LinkUse::Put { once, .. }, state) if !once && state.has_bytes() => true,
        (LinkUse::Put { .. } | LinkUse::Part { .. }, state) if state.has_bytes() => {
            let message = "The file was uploaded already, and this link is for one upload.";
            return Err(Failure::because(Code::PRECONDITION_FAILED, message));
        }
        (LinkUse::Get { .. }, FileState::Pending)
        | (
            LinkUse::Get { .. } | LinkUse::Put { .. } | LinkUse::Part { .. },
            FileState::Trashed | FileState::Rejected,
        )
        | (
            LinkUse::Put { .. } | LinkUse::Part { .. },
            FileState::Received | FileState::Active | FileState::Scanning | FileState::Quarantined,
        ) => false,
    };
    if !is_ready {
        return Err(refused("The file is not there, or not any more."));
    }
    match counter(terms) {
        Some(counter) if store.uses_left(&counter).await? == 0 => Err(refused(USED_UP)),
        Some(_) | None => Ok(found),
    }
}

/// Counts a use of a link that has only so many, before the first byte goes out. HEAD is none.
pub(crate) async fn count(store: &Store, terms: Option<&Arc<LinkTerms>>) -> Result<(), Failure> {
    let Some(counter) = terms.and_then(|terms| counter(terms)) else {
        return Ok(());
    };
    match store.count_use(&counter).await {
        Ok(()) => Ok(()),
        Err(CountError::NothingLeft) => Err(refused(USED_UP)),
        Err(CountError::Fault(fault)) => Err(fault.into()),
    }
}

/// What counts the uses of a link; `None`: nothing does.
fn counter(terms: &LinkTerms) -> Option<CounterName> {
    let LinkUse::Get { counter: Some(id), .. } = terms.lets else {
        return None;
    };
    let seconds = u64::try_from(terms.expires.unix_timestamp()).unwrap_or_default();
    let ends = Timestamp::from_millis(seconds.saturating_mul(1_000));
    Some(CounterName { ends, id })
}

/// The condition of a write that came by a link for one upload: nothing may stand there.
pub(crate) fn condition(terms: Option<&Arc<LinkTerms>>, asked: WriteCondition) -> WriteCondition {
    match terms.map(|terms| &terms.lets) {
        Some(LinkUse::Put { once: true, .. }) => WriteCondition {
            if_none_match: Some(ETagMatch::Any),
            ..asked
        },
        Some(LinkUse::Put { once: false, .. } | LinkUse::Get { .. } | LinkUse::Part { .. }) | None => asked,
    }
}

/// The disposition that a link asks for, or else the stored one.
pub(crate) fn disposition(terms: Option<&Arc<LinkTerms>>, stored: Option<String>) -> Option<String> {
    match terms.map(|terms| &terms.lets) {
        Some(LinkUse::Get {
            disposition: Some(asked),
            ..
        }) => Some(asked.clone()),
        Some(LinkUse::Get { disposition: None, .. } | LinkUse::Put { .. } | LinkUse::Part { .. }) | None => stored,
    }
}

/// Keeps the answer with whom the link was given to, and no longer than it lasts: no cache between keeps it, and its
/// address is told to no other page.
pub(crate) fn keep(headers: &mut HeaderMap, status: StatusCode, terms: &LinkTerms, now: OffsetDateTime) {
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let left = (terms.expires - now).whole_seconds().max(0);
    // What may be had so often is not kept to be had once more, and neither is a file whose downloads are counted, however it
    // is read.
    let is_kept = headers.get(CACHE_CONTROL).is_none_or(|said| *said != KEPT_BY_NOBODY);
    let reads = matches!(terms.lets, LinkUse::Get { counter: None, .. }) && is_kept;
    let cached = reads && (status.is_success() || status == StatusCode::NOT_MODIFIED);
    let value = match HeaderValue::try_from(format!("private, max-age={left}")) {
        Ok(value) if cached => value,
        Ok(_) | Err(_) => HeaderValue::from_static(KEPT_BY_NOBODY),
    };
    headers.insert(CACHE_CONTROL, value);
}

fn refused(message: &'static str) -> Failure {
    Failure::because(Code::ACCESS_DENIED, message)
}

#[cfg(test)]
mod tests {
    use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode};
    use time::{Duration, OffsetDateTime};

    use super::{LinkTerms, LinkUse, ShownAs, Target, admit, keep};
    use crate::s3::guard::parameters;

    fn terms(lets: LinkUse) -> LinkTerms {
        LinkTerms {
            file: [1; 16],
            bucket: "b".into(),
            key: "k/a".into(),
            epoch: 0,
            expires: OffsetDateTime::UNIX_EPOCH + Duration::seconds(100),
            lets,
            takes_guests: false,
        }
    }

    fn object(bucket: &str, key: &str) -> Target {
        Target::Object {
            bucket: bucket.into(),
            key: key.into(),
        }
    }

    fn is_admitted(lets: &LinkUse, method: &Method, target: &Target, query: &str) -> bool {
        let query = parameters(Some(query));
        let mut headers = HeaderMap::new();
        let none = Extensions::new();
        let plain = admit(&terms(lets.clone()), (method, target), &query, (&headers, &none));
        headers.insert("x-amz-copy-source", HeaderValue::from_static("/b/other"));
        assert!(admit(&terms(lets.clone()), (method, target), &query, (&headers, &none)).is_err());
        plain.is_ok()
    }

    #[test]
    fn a_link_admits_the_one_request_it_is_for() {
        let get = LinkUse::get();
        let put = LinkUse::Put {
            max_size: None,
            min_size: 0,
            types: Vec::new(),
            once: true,
            by_form: false,
        };
        let part = LinkUse::Part {
            upload: "u".into(),
            numbers: 2..=4,
            max_size: None,
        };
        let mine = object("b", "k/a");
        for (lets, method, query) in [
            (&get, Method::GET, ""),
            (&get, Method::HEAD, ""),
            (&put, Method::PUT, ""),
            (&part, Method::PUT, "partNumber=2&uploadId=u"),
            (&part, Method::PUT, "uploadId=u&partNumber=4"),
        ] {
            assert!(is_admitted(lets, &method, &mine, query), "{lets:?} {method} {query}");
            for other in [
                object("b", "k"),
                object("c", "k/a"),
                Target::Service,
                Target::Bucket { bucket: "b".into() },
            ] {
                assert!(!is_admitted(lets, &method, &other, query), "{lets:?} {other:?}");
            }
        }
        for (lets, method, query) in [
            (&get, Method::PUT, ""),
            (&get, Method::GET, "response-content-type=text/html"),
            (&get, Method::GET, "versionId=null"),
            (&get, Method::GET, "acl"),
            (&put, Method::GET, ""),
            (&put, Method::POST, "uploads"),
            (&put, Method::PUT, "tagging"),
            (&put, Method::PUT, "partNumber=2&uploadId=u"),
            (&part, Method::PUT, ""),
            (&part, Method::PUT, "partNumber=1&uploadId=u"),
            (&part, Method::PUT, "partNumber=5&uploadId=u"),
            (&part, Method::PUT, "partNumber=x&uploadId=u"),
            (&part, Method::PUT, "partNumber=2&uploadId=v"),
            (&part, Method::PUT, "partNumber=2&uploadId=u&partNumber=2"),
            (&part, Method::PUT, "partNumber=2&partNumber=3"),
            (&part, Method::POST, "uploadId=u"),
            (&part, Method::DELETE, "uploadId=u"),
        ] {
            assert!(!is_admitted(lets, &method, &mine, query), "{lets:?} {method} {query}");
        }
    }

    #[test]
    fn a_link_to_an_image_admits_that_image_alone() {
        let card = LinkUse::Get {
            disposition: None,
            shown_as: Some("fit-in/30x20".into()),
            counter: None,
        };
        let is_admitted = |lets: &LinkUse, shown_as: Option<&str>| {
            let mut extensions = Extensions::new();
            if let Some(options) = shown_as {
                extensions.insert(ShownAs(options.to_owned()));
            }
            let about = (&Method::GET, &object("b", "k/a"));
            admit(&terms(lets.clone()), about, &[], (&HeaderMap::new(), &extensions)).is_ok()
        };
        assert!(is_admitted(&card, Some("fit-in/30x20")));
        assert!(!is_admitted(&card, Some("fit-in/3000x2000")));
        assert!(!is_admitted(&card, None));
        assert!(is_admitted(&LinkUse::get(), Some("fit-in/30x20")));
    }

    #[test]
    fn answers_are_kept_no_longer_than_their_link_lasts() {
        let get = terms(LinkUse::get());
        let counted = terms(LinkUse::Get {
            disposition: None,
            shown_as: None,
            counter: Some([1; 16]),
        });
        let put = terms(LinkUse::Put {
            max_size: None,
            min_size: 0,
            types: Vec::new(),
            once: true,
            by_form: false,
        });
        for (terms, status, after, expected) in [
            (&get, 200, 40, "private, max-age=60"),
            (&get, 206, 40, "private, max-age=60"),
            (&get, 304, 40, "private, max-age=60"),
            (&get, 200, 101, "private, max-age=0"),
            (&counted, 200, 40, "private, no-store"),
            (&get, 403, 40, "private, no-store"),
            (&put, 200, 40, "private, no-store"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("cache-control", HeaderValue::from_static("public, max-age=9"));
            let now = OffsetDateTime::UNIX_EPOCH + Duration::seconds(after);
            keep(&mut headers, StatusCode::from_u16(status).unwrap(), terms, now);
            assert_eq!(headers["cache-control"], expected);
            assert_eq!(headers["referrer-policy"], "no-referrer");
        }
    }
}
