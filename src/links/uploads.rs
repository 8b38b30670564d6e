//! Credentials that only upload: for pages that sign their S3 requests themselves, as Uppy's uploader for S3 does.
//!
//! Owns how one is made, and whom it counts as. They are sealed as links are and nothing of them is stored, so that they end
//! as links end: with their time, and with what lets their asker. What is in a bucket already they neither show nor change.

use std::ops::RangeInclusive;

use storage_engine::store::clock::Timestamp;
use time::OffsetDateTime;

use super::asker::{Asker, Askers, Person, Purpose};
use super::{LinkError, Links, carried, end};
use crate::auth::{Identity, SecretKey, UploadTerms};

/// How long one may last, in seconds.
pub const UPLOADS_SECONDS: RangeInclusive<u32> = 900..=3_600;

/// Somebody who is to get a credential that only uploads.
#[derive(Clone, Copy, Debug)]
pub struct UploadsAsk<'a> {
    pub asker: &'a Asker,
    /// Whether they are a user of the app, and not the app itself.
    pub of_user: bool,
    pub bucket: &'a str,
    pub now: OffsetDateTime,
    /// How long it lasts, within [`UPLOADS_SECONDS`].
    pub seconds: u32,
}

/// A credential that was given out. Whoever has it uploads as its asker.
#[derive(Clone, Debug)]
pub struct UploadCredential {
    pub access_key: String,
    pub secret: SecretKey,
    pub token: SecretKey,
    pub expires: OffsetDateTime,
    /// The region that its signatures name.
    pub region: String,
}

/// Who asked for such a credential, and with which project key. Guests never do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploader {
    pub key_id: String,
    pub person: Person,
    /// As of an [`Asker`].
    pub revoked: Timestamp,
}

impl Links {
    /// A credential with which new files are stored in the bucket as the asker's own.
    pub async fn upload_credential(&self, ask: &UploadsAsk<'_>) -> Result<UploadCredential, LinkError> {
        if !UPLOADS_SECONDS.contains(&ask.seconds) {
            return Err(LinkError::Lifetime);
        }
        let expires = end(ask.now, ask.seconds);
        let terms = UploadTerms {
            bucket: ask.bucket.to_owned(),
            expires,
            of_user: ask.of_user,
        };
        let person = ask.asker.person.clone().ok_or(LinkError::NotOfAnApp)?;
        let uploader = Uploader {
            key_id: ask.asker.key_id.clone(),
            person: person.without_claims(),
            revoked: self.askers.revoked(ask.asker, ask.bucket),
        };
        let text = carried::encode_uploads(&terms, &uploader);
        let text = text.map_err(|error| LinkError::Writing(error.to_string()))?;
        let sealed = self.sealed(&text).await?;
        Ok(UploadCredential {
            access_key: sealed.access_key,
            secret: sealed.secret,
            token: sealed.token,
            expires,
            region: self.region.clone(),
        })
    }
}

/// Whom a request counts as that was signed with such a credential; `None`: its asker may not upload any more. Of admins and
/// servers it never is more than one who uploads.
pub(super) fn identity(
    askers: &dyn Askers,
    (terms, uploader): (&UploadTerms, Uploader),
    access_key: &str,
) -> Option<Identity> {
    let asker = Asker {
        key_id: uploader.key_id,
        guest_in: None,
        admin: false,
        person: Some(uploader.person.clone()),
        owner: None,
        revoked: uploader.revoked,
    };
    let rights = askers.rights(&asker, &terms.bucket, Purpose::Uploads)?;
    let session = rights.session?;
    Some(
        uploader
            .person
            .identity((access_key, terms.expires), rights.policies, session),
    )
}
