//! What a request says for the conditions of policies, computed once.
//!
//! Only the listener, the clock and the signature feed who and from where; the headers of a client feed nothing but the
//! keys named after them.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{REFERER, USER_AGENT};
use http::{Extensions, HeaderMap};
use time::OffsetDateTime;

use crate::auth::{Signing, Terms, sha256};
use crate::http::peer::Peer;

/// What a request says.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// When it arrived.
    pub time: OffsetDateTime,
    /// Where it came from.
    pub source: Option<IpAddr>,
    /// Whether it came over TLS.
    pub secure: bool,
    /// How it was signed; `None`: not at all.
    pub signing: Option<Signing>,
    /// The SHA-256 of the token of a link that it brings: see [`link_hash`].
    pub link: Option<[u8; 32]>,
    /// The terms of the link or of the credential for uploads that it came with: beyond them nothing is allowed.
    pub terms: Option<Terms>,
    /// Values of further condition keys. The names are as policies ask for them: lower case up to the first slash.
    values: Vec<(Cow<'static, str>, Vec<String>)>,
}

impl RequestFacts {
    /// A request of which nothing is known but when it came.
    pub fn at(time: OffsetDateTime) -> Self {
        Self {
            time,
            source: None,
            secure: false,
            signing: None,
            link: None,
            terms: None,
            values: Vec::new(),
        }
    }

    /// What every front can tell of a request: its connection, its signature, and what its client calls itself.
    pub fn read(extensions: &Extensions, headers: &HeaderMap, now: OffsetDateTime) -> Self {
        let mut facts = Self::at(now);
        if let Some(peer) = extensions.get::<Peer>() {
            facts.source = Some(peer.address);
            facts.secure = peer.secure;
        }
        facts.signing = extensions.get::<Signing>().copied();
        facts.terms = extensions.get::<Terms>().cloned();
        for (header, key) in [(USER_AGENT, "aws:useragent"), (REFERER, "aws:referer")] {
            for value in headers.get_all(header) {
                facts.say(key, String::from_utf8_lossy(value.as_bytes()).into_owned());
            }
        }
        facts
    }

    /// Says one value of a condition key; a key that is said several times has several.
    pub fn say(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let name = name.into();
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value.into()),
            None => self.values.push((name, vec![value.into()])),
        }
    }

    /// Whether a value of this condition key was said.
    pub fn has_said(&self, name: &str) -> bool {
        !self.said(name).is_empty()
    }

    /// Says the only value of a condition key, whatever was said before.
    pub fn say_only(&mut self, name: &'static str, value: impl Into<String>) {
        self.values.retain(|(known, _)| known != name);
        self.say(name, value);
    }

    /// Looks at the same request once more, later: the clock has moved on, and its signature stays as old as it was when it
    /// came.
    pub fn look_again(&mut self, now: OffsetDateTime) {
        let passed = now - self.time;
        if let Some(signing) = &mut self.signing {
            signing.time = signing.time.saturating_add(passed);
        }
        self.time = now;
    }

    pub(super) fn said(&self, name: &str) -> &[String] {
        let found = self.values.iter().find(|(known, _)| known == name);
        found.map_or(&[], |(_, values)| values.as_slice())
    }
}

/// The hash that is kept of the token of a link; `None`: this is no token.
pub fn link_hash(token: &str) -> Option<[u8; 32]> {
    let well_formed = token.len() == 43
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    well_formed.then(|| sha256(token.as_bytes()))
}

/// The tags a request brings for an object, wherever it has them (`s3:RequestObjectTag/…`): in the request's extensions
/// before a decision is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestTags(pub Vec<(String, String)>);
