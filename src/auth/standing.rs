//! What a credential is worth after its request was let in: for answers that go on for longer than a decision lasts.

use std::fmt;
use std::sync::Arc;

use time::OffsetDateTime;

use super::credentials::{CredentialSource, SecretKey};
use super::identity::Identity;

/// The credential a request was signed with, to be looked up again; in the extensions of a signed request to S3 or the
/// admin API.
#[derive(Clone)]
pub struct Standing {
    credentials: Arc<dyn CredentialSource>,
    access_key: String,
    token: Option<SecretKey>,
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

impl Standing {
    /// Of an access key, and of the session token that came with it.
    pub fn new(credentials: Arc<dyn CredentialSource>, access_key: &str, token: Option<&str>) -> Self {
        Self {
            credentials,
            access_key: access_key.to_owned(),
            token: token.map(SecretKey::new),
        }
    }

    /// Whom the credential stands for at `now`, with the rights of now; `None`: it is removed, disabled, revoked or has
    /// ended, or nobody can say.
    pub fn identity(&self, now: OffsetDateTime) -> Option<Identity> {
        let token = self.token.as_ref();
        let temporary = token.and_then(|token| {
            let token = std::str::from_utf8(token.expose()).ok()?;
            self.credentials.find_temporary(&self.access_key, token)
        });
        let found = temporary.or_else(|| self.credentials.find(&self.access_key))?;
        let is_right = match (&found.session_token, token) {
            (None, None) => true,
            (Some(expected), Some(token)) => expected.matches(token.expose()),
            (Some(_), None) | (None, Some(_)) => false,
        };
        let has_ended = found.expires.is_some_and(|end| end <= now);
        (is_right && !has_ended).then_some(found.identity)
    }
}
