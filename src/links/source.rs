//! The credentials of requests: those of the directory, those of links, and those that only upload.
//!
//! Owns what a link counts for when it is used: who asked for it, with the rights of that moment, narrowed to what it is
//! for. Whether the file still is what it was is looked at where the file is (`s3`).

use std::sync::Arc;

use time::OffsetDateTime;

use super::asker::Purpose;
use super::carried::{self, Carried};
use super::{Links, uploads};
use crate::auth::{Credential, CredentialSource, Identity, LinkTerms, SecretKey, Terms, is_link_key};

impl Links {
    /// Whom a link counts as at `now`, and what it lets, from its access key and its token alone: for a front that takes
    /// what it is for without a signature. `None`: it is none of ours, has ended, or its asker may nothing any more.
    pub fn redeem(&self, access_key: &str, token: &str, now: OffsetDateTime) -> Option<(Identity, Arc<LinkTerms>)> {
        let found = self.find(access_key, token)?;
        match found.terms {
            Some(Terms::Link(terms)) if now < terms.expires => Some((found.identity, terms)),
            Some(Terms::Link(_) | Terms::Uploads(_)) | None => None,
        }
    }

    /// The credential of a link, or one that only uploads; `None`: it is none of ours, or its asker may nothing any more.
    pub(super) fn find(&self, access_key: &str, token: &str) -> Option<Credential> {
        let (text, secret) = self.directory.open_link(access_key, token)?;
        let (identity, expires, terms) = match carried::decode(&text)? {
            Carried::Link(mut terms, asker) => {
                let purpose = Purpose::from(&terms.lets);
                let rights = self.askers.rights(&asker, &terms.bucket, purpose)?;
                terms.takes_guests = rights.takes_guests;
                let identity = asker.identity(access_key, &terms, rights)?;
                (identity, terms.expires, Terms::Link(Arc::new(terms)))
            }
            Carried::Uploads(terms, asker) => {
                let identity = uploads::identity(self.askers.as_ref(), (&terms, asker), access_key)?;
                (identity, terms.expires, Terms::Uploads(Arc::new(terms)))
            }
        };
        Some(Credential {
            identity,
            secret,
            session_token: Some(SecretKey::new(token)),
            expires: Some(expires),
            terms: Some(terms),
        })
    }
}

/// All credentials there are.
#[derive(Clone)]
pub struct Credentials<S> {
    others: S,
    links: Links,
}

impl<S> Credentials<S> {
    /// `others`: those that are not of links.
    pub fn new(others: S, links: Links) -> Self {
        Self { others, links }
    }
}

impl<S: CredentialSource> CredentialSource for Credentials<S> {
    fn find(&self, access_key: &str) -> Option<Credential> {
        self.others.find(access_key)
    }

    fn find_temporary(&self, access_key: &str, token: &str) -> Option<Credential> {
        match is_link_key(access_key) {
            true => self.links.find(access_key, token),
            false => self.others.find_temporary(access_key, token),
        }
    }

    fn is_open(&self) -> bool {
        self.others.is_open()
    }
}
