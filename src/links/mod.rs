//! Links: presigned URLs for one file each, with limits sealed into them, that end as soon as the file's owner says so; and
//! credentials that only upload, which are sealed the same way.
//!
//! Owns what a link carries, how it is made, and how its credential is found again. Any S3 client and any browser can use
//! one: it is an ordinary URL of Signature Version 4 that signs `host` alone, or the fields of a form. Nothing of it is stored
//! but how many uses are left of one that is counted, which is its maker's to keep. It never decides
//! whether its asker may do it (`access` does, when it is used), and never takes or serves a byte.

mod asker;
pub mod carried;
mod source;
mod uploads;

use std::ops::RangeInclusive;
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderValue, Method, Request};
use serde_json::json;
use storage_engine::limits::PUT_BYTES_MAX;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

pub use asker::{Asker, AskerRights, Askers, Person, Purpose};
pub use source::Credentials;
pub use uploads::{UPLOADS_SECONDS, UploadCredential, Uploader, UploadsAsk};

use crate::auth::sign::{Signer, path_text, query_text};
use crate::auth::{AuthError, LinkTerms, LinkUse};
use crate::identity::{Directory, IdentityError, LINK_TOKEN_CHARS_MAX, SealedLink};

/// How long a link may last, in seconds.
pub const LINK_SECONDS: RangeInclusive<u32> = 60..=604_800;
/// Which part of its life a link that repeats may have behind it when it is given out.
const STABLE_SHARE: u32 = 4;

/// Why no link was given out.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("a link lasts 60 to 604800 seconds, and a credential for uploads 900 to 3600")]
    Lifetime,
    /// Only callers of the Files API get links.
    #[error("links are for callers of apps")]
    NotOfAnApp,
    /// Its groups, claims and key would make it longer than servers and browsers take.
    #[error(
        "the link would be too long: its token would have {chars} characters, and {LINK_TOKEN_CHARS_MAX} are taken"
    )]
    TooLong { chars: usize },
    #[error("part {number} is not one of the parts that the link is for")]
    PartNumber { number: u16 },
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The address of the server or a name cannot stand in a URL.
    #[error("the link cannot be signed: {0}")]
    Signing(#[from] AuthError),
    #[error("the link cannot be written: {0}")]
    Writing(String),
}

/// What a link is for, and who asks for it.
#[derive(Clone, Copy, Debug)]
pub struct LinkAsk<'a> {
    pub asker: &'a Asker,
    /// Whose the file is.
    pub owner: Option<&'a str>,
    /// The id of the file.
    pub file: [u8; 16],
    pub bucket: &'a str,
    pub key: &'a str,
    /// The file's epoch.
    pub epoch: u32,
    /// Scheme and authority that the link begins with: see [`Origins`](crate::http::origin::Origins).
    pub origin: &'a str,
    pub now: OffsetDateTime,
    /// How long it lasts, within [`LINK_SECONDS`].
    pub seconds: u32,
}

/// The limits of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadLimits {
    /// Most bytes; `None`: as many as the store takes.
    pub max_size: Option<u64>,
    /// Fewest bytes.
    pub min_size: u64,
    /// Media types it may have, also as `image/*`; empty: any.
    pub types: Vec<String>,
    /// Where something stands already, nothing is put.
    pub once: bool,
}

/// How a file is read by a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Download {
    /// `Content-Disposition` of the answer, `None` as stored.
    pub disposition: Option<String>,
    /// Options of the image that alone is made of the file and shown, as they are written in a URL.
    pub shown_as: Option<String>,
    /// The id of the counter of its uses: it ends when the link does.
    pub counter: Option<[u8; 16]>,
    /// Asked for again within a quarter of its life, it is the same URL, so that caches know it.
    pub stable: bool,
}

/// Which part of an upload a link is for.
#[derive(Clone, Copy, Debug)]
pub struct PartAsk<'a> {
    pub upload: &'a str,
    pub number: u16,
    /// The highest number that the upload takes.
    pub last: u16,
    /// Most bytes of all parts together; `None`: as many as the store takes.
    pub max_size: Option<u64>,
}

/// A link that was given out. Whoever has the URL has what it lets.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    pub url: String,
    pub expires: OffsetDateTime,
}

/// An HTML form that was given out. Whoever has its fields has what it lets.
#[derive(Clone, PartialEq, Eq)]
pub struct Form {
    /// Where it is sent.
    pub url: String,
    /// Those before the file, which comes last.
    pub fields: Vec<(String, String)>,
    pub expires: OffsetDateTime,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Gives out links and knows them again. Cheap to clone.
#[derive(Clone)]
pub struct Links {
    directory: Directory,
    askers: Arc<dyn Askers>,
    region: String,
}

impl Links {
    /// `directory`: has the key that seals them. `region`: the one that this server's signatures name.
    pub fn new(directory: Directory, askers: Arc<dyn Askers>, region: impl Into<String>) -> Self {
        Self {
            directory,
            askers,
            region: region.into(),
        }
    }

    /// A URL to PUT the bytes of a file to.
    pub async fn upload_url(&self, ask: &LinkAsk<'_>, limits: UploadLimits) -> Result<Link, LinkError> {
        self.make(ask, (limits.lets(false), &Method::PUT), "", ask.now).await
    }

    /// The fields of an HTML form that uploads a file of the type `kind` by POST, and where it is sent.
    pub async fn upload_form(&self, ask: &LinkAsk<'_>, limits: UploadLimits, kind: &str) -> Result<Form, LinkError> {
        let range = (limits.min_size, limits.max_size.unwrap_or(PUT_BYTES_MAX));
        let (signer, expires) = self.seal(ask, limits.lets(true), ask.now).await?;
        let ends = expires
            .format(&Rfc3339)
            .map_err(|error| LinkError::Writing(error.to_string()))?;
        let said = [
            ("key", ask.key),
            ("Content-Type", kind),
            ("success_action_status", "201"),
        ];
        let signed = signer.post_form(whole_seconds(ask.now), |signing| {
            let mut conditions = vec![
                json!({ "bucket": ask.bucket }),
                json!(["content-length-range", range.0, range.1]),
            ];
            conditions.extend(said.iter().map(|(name, value)| json!({ *name: value })));
            conditions.extend(signing.iter().map(|(name, value)| json!({ *name: value })));
            let policy = json!({ "expiration": ends, "conditions": conditions });
            base64_simd::STANDARD.encode_to_string(policy.to_string())
        });
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        let mut fields: Vec<(String, String)> = said.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        fields.push(owned(("policy", signed.policy)));
        fields.extend(signed.fields.into_iter().map(owned));
        Ok(Form {
            url: format!("{}/{}", ask.origin, ask.bucket),
            fields,
            expires,
        })
    }

    /// A URL to GET a file from; HEAD takes it, too.
    pub async fn download_url(&self, ask: &LinkAsk<'_>, how: Download) -> Result<Link, LinkError> {
        let from = match how.stable {
            true => begun(ask.now, ask.seconds),
            false => ask.now,
        };
        let lets = LinkUse::Get {
            disposition: how.disposition,
            shown_as: how.shown_as,
            counter: how.counter,
        };
        self.make(ask, (lets, &Method::GET), "", from).await
    }

    /// A URL to PUT one part of an upload to.
    pub async fn part_url(&self, ask: &LinkAsk<'_>, part: &PartAsk<'_>) -> Result<Link, LinkError> {
        let (number, numbers) = (part.number, 1..=part.last);
        if !numbers.contains(&number) {
            return Err(LinkError::PartNumber { number });
        }
        let query = format!("partNumber={number}&uploadId={}", query_text(part.upload));
        let lets = LinkUse::Part {
            upload: part.upload.to_owned(),
            numbers,
            max_size: part.max_size,
        };
        self.make(ask, (lets, &Method::PUT), &query, ask.now).await
    }

    async fn make(
        &self,
        ask: &LinkAsk<'_>,
        (lets, method): (LinkUse, &Method),
        query: &str,
        from: OffsetDateTime,
    ) -> Result<Link, LinkError> {
        let (signer, expires) = self.seal(ask, lets, from).await?;
        let target = match query {
            "" => path_text(&format!("/{}/{}", ask.bucket, ask.key)),
            query => format!("{}?{query}", path_text(&format!("/{}/{}", ask.bucket, ask.key))),
        };
        let from = whole_seconds(from);
        let target = signed(&signer, (ask.origin, method), target, (from, ask.seconds))?;
        let url = format!("{}{target}", ask.origin);
        Ok(Link { url, expires })
    }

    /// Seals what is let; what signs it, and when it ends.
    async fn seal(
        &self,
        ask: &LinkAsk<'_>,
        lets: LinkUse,
        from: OffsetDateTime,
    ) -> Result<(Signer, OffsetDateTime), LinkError> {
        if !LINK_SECONDS.contains(&ask.seconds) {
            return Err(LinkError::Lifetime);
        }
        let expires = end(from, ask.seconds);
        let mut asker = ask.asker.carried_for(&lets);
        let is_other = |owner: &&str| asker.person.as_ref().is_none_or(|person| person.owner != *owner);
        asker.owner = ask.owner.filter(is_other).map(str::to_owned);
        asker.revoked = self.askers.revoked(&asker, ask.bucket);
        let terms = LinkTerms {
            file: ask.file,
            bucket: ask.bucket.to_owned(),
            key: ask.key.to_owned(),
            epoch: ask.epoch,
            expires,
            lets,
            takes_guests: false,
        };
        let text = carried::encode(&terms, &asker).map_err(|error| LinkError::Writing(error.to_string()))?;
        let sealed = self.sealed(&text).await?;
        let token = String::from_utf8_lossy(sealed.token.expose());
        let signer = Signer::new(sealed.access_key, sealed.secret, self.region.as_str()).with_session_token(token);
        Ok((signer, expires))
    }

    /// Seals what a token carries, if that fits into one.
    async fn sealed(&self, text: &[u8]) -> Result<SealedLink, LinkError> {
        let sealed = self.directory.seal_link(text).await?;
        let chars = sealed.token.expose().len();
        match chars > LINK_TOKEN_CHARS_MAX {
            true => Err(LinkError::TooLong { chars }),
            false => Ok(sealed),
        }
    }
}

impl UploadLimits {
    fn lets(self, by_form: bool) -> LinkUse {
        let Self {
            max_size,
            min_size,
            types,
            once,
        } = self;
        LinkUse::Put {
            max_size,
            min_size,
            types,
            once,
            by_form,
        }
    }
}

/// When a link ends that is asked for now and is not to repeat.
pub fn end(now: OffsetDateTime, seconds: u32) -> OffsetDateTime {
    whole_seconds(now).saturating_add(Duration::seconds(i64::from(seconds)))
}

/// A signature says whole seconds.
fn whole_seconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(time)
}

/// When a link that lasts so many seconds and is to repeat began: the start of a window as long as a share of its life.
fn begun(now: OffsetDateTime, seconds: u32) -> OffsetDateTime {
    let window = i64::from(seconds / STABLE_SHARE).max(1);
    let into = now.unix_timestamp().rem_euclid(window);
    now.saturating_sub(Duration::seconds(into))
}

/// Path and query of the presigned URL.
fn signed(
    signer: &Signer,
    (origin, method): (&str, &Method),
    target: String,
    (from, seconds): (OffsetDateTime, u32),
) -> Result<String, LinkError> {
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    let host = HeaderValue::try_from(authority).map_err(|_| AuthError::InvalidUri)?;
    let request = Request::builder()
        .method(method.clone())
        .uri(target)
        .header(HOST, host)
        .body(());
    let (mut parts, ()) = request.map_err(|_| AuthError::InvalidUri)?.into_parts();
    signer.presign(&mut parts, seconds, from)?;
    Ok(parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default())
}

#[cfg(test)]
mod tests;
