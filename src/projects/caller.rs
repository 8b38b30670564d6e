//! Who comes from an app, as the files front is told; and why somebody is not let in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use storage_engine::store::name::BucketName;
use storage_engine::store::projects::OfProject;
use storage_engine::store::record::projects::Envelope;

use super::KeyKind;
use super::logical::LogicalBucket;
use super::scopes::{Operation, Scopes};
use super::upload_tokens::UploadGrant;
use crate::auth::Identity;
use crate::images::album::AutoFormats;
use crate::openid::OpenIdError;

/// A project as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    pub name: String,
    pub description: String,
    /// In which form its apps are answered.
    pub envelope: Envelope,
    pub environments: BTreeMap<String, Environment>,
}

/// An environment of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The app bucket: where its files are.
    pub bucket: BucketName,
    /// What is set on logical buckets; one that is not named has no limits of its own.
    pub logical: BTreeMap<String, LogicalBucket>,
    /// What is set on its images.
    pub images: ImageSettings,
}

/// What is set on the images of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageSettings {
    /// Whether there is a key that signs their URLs: see [`super::Projects::images_key`].
    pub has_key: bool,
    /// URLs without signature make nothing but presets.
    pub signed_only: bool,
    /// Options by their names, as in a URL.
    pub presets: BTreeMap<String, String>,
    /// Different images of one file that URLs without signature may have made in an hour; `None`: as the server has it.
    pub unsigned_variants_per_hour: Option<u32>,
    /// What is chosen by itself for clients that say to take it.
    pub auto_formats: AutoFormats,
    /// Names of hosts that serve nothing but these images, sorted.
    pub hosts: Vec<String>,
}

/// Who comes from an app.
///
/// [`Self::require`] is asked first, for everybody: the key's scopes bound admins, users and guests alike. Then
/// `access::decide` is asked for [`Self::identity`], whose policies name the app bucket alone. Users have no right to
/// `s3:ListBucket`: what they list is filtered by owner and visibility; whom `decide` lets list sees all.
#[derive(Clone, Debug)]
pub struct AppCaller {
    pub project: Arc<Project>,
    pub environment: String,
    /// The app bucket of the environment.
    pub bucket: BucketName,
    pub key: KeyKind,
    /// The key's name in the admin API; it opens nothing.
    pub key_id: String,
    pub scopes: Scopes,
    /// A guest is anonymous; users and servers are callers of a federated account.
    pub identity: Identity,
    /// `None`: a guest with a publishable key, or a server with a secret one.
    pub user: Option<AppUser>,
    /// They came with an upload token: they may make files within its limits, and nothing else.
    pub upload: Option<Arc<UploadGrant>>,
}

/// A user of an app, as an issuer vouches for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppUser {
    /// The issuer's alias in the project.
    pub issuer: String,
    /// What the issuer calls them. Two issuers may call two users the same: files are owned under
    /// [`AppCaller::owner_id`].
    pub subject: String,
    pub groups: Vec<String>,
    /// What the token says, as condition keys (`jwt:…`).
    pub claims: BTreeMap<String, Vec<String>>,
    /// Their role is one of the issuer's admin roles.
    pub is_admin: bool,
}

impl AppCaller {
    /// Refuses what the key's scopes do not name, whoever brings it.
    pub fn require(&self, operation: Operation) -> Result<(), AppRefused> {
        match self.scopes.allow(operation) {
            true => Ok(()),
            false if self.upload.is_some() => Err(AppRefused::beyond_upload_token(operation)),
            false => Err(AppRefused::scope(operation)),
        }
    }

    /// Refuses guests: what is asked needs somebody who is signed in.
    pub fn require_signed_in(&self) -> Result<(), AppRefused> {
        match self.is_guest() {
            true => Err(AppRefused::authentication_required()),
            false => Ok(()),
        }
    }

    /// Whether they are not signed in.
    pub fn is_guest(&self) -> bool {
        matches!(self.identity, Identity::Anonymous)
    }

    /// Refuses guests where they put no file anywhere. Whether they put this one is judged later.
    pub fn require_uploader(&self) -> Result<(), AppRefused> {
        let environment = self.project.environments.get(&self.environment);
        let rules = environment
            .into_iter()
            .flat_map(|environment| environment.logical.values());
        match rules.into_iter().any(|rules| rules.guest_upload) {
            true => Ok(()),
            false => self.require_signed_in(),
        }
    }

    /// Refuses whoever is no server of the app with a key for everything.
    pub fn require_server(&self) -> Result<(), AppRefused> {
        if self.key != KeyKind::Secret || self.upload.is_some() {
            return Err(AppRefused::permission_denied(
                "This is for servers of the app alone, with a secret key.",
            ));
        }
        Operation::ALL
            .into_iter()
            .try_for_each(|operation| self.require(operation))
    }

    /// What this caller's files are owned under, unlike anybody else's anywhere; `None`: a guest.
    pub fn owner_id(&self) -> Option<&str> {
        match &self.identity {
            Identity::Caller(caller) => Some(caller.owner_id()),
            Identity::Anonymous | Identity::Root => None,
        }
    }

    /// Whether they have all the rights that the scopes name, and not only those on what is theirs.
    pub fn is_admin(&self) -> bool {
        match (self.key, &self.user) {
            (KeyKind::Secret, _) => true,
            (KeyKind::Publishable, user) => user.as_ref().is_some_and(|user| user.is_admin),
        }
    }

    /// The environment they come to.
    pub fn place(&self) -> OfProject {
        OfProject::new(&self.project.name, &self.environment)
    }

    /// What is set on a logical bucket of the environment.
    pub fn logical(&self, name: &str) -> Option<&LogicalBucket> {
        self.project.environments.get(&self.environment)?.logical.get(name)
    }
}

/// Why somebody is not let in: status and code of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AppRefused {
    pub status: StatusCode,
    /// As clients compare it.
    pub code: &'static str,
    /// For whoever writes the client; it holds nothing of what was sent.
    pub message: Cow<'static, str>,
}

impl AppRefused {
    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// Somebody who is signed in is needed.
    pub fn authentication_required() -> Self {
        let message = "This needs a user: send Authorization: Bearer and a token of one of the project's issuers.";
        Self::new(StatusCode::UNAUTHORIZED, "common/authentication-required", message)
    }

    /// The caller may not do this to this.
    pub fn permission_denied(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message)
    }

    /// The API key is none, or none any more.
    pub(super) fn key(why: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", format!("Not let in: {why}."))
    }

    pub(super) fn revoked_key() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "TOKEN_REVOKED",
            "Not let in: this API key was revoked.",
        )
    }

    pub(super) fn origin() -> Self {
        let message = "The API key may not be used from pages of this origin.";
        Self::new(StatusCode::FORBIDDEN, "PROJECT_ACCESS_DENIED", message)
    }

    /// The app's servers shut this user out.
    pub(super) fn blocked() -> Self {
        let message = "This user is shut out of this app.";
        Self::new(StatusCode::FORBIDDEN, "PROJECT_ACCESS_DENIED", message)
    }

    /// The token proves nobody.
    pub(super) fn token(error: &OpenIdError) -> Self {
        match error {
            OpenIdError::Expired => {
                let message = "The token has expired. Get a new one and send the request again.";
                Self::new(StatusCode::UNAUTHORIZED, "TOKEN_EXPIRED", message)
            }
            OpenIdError::Unreachable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "SERVICE_UNAVAILABLE",
                "The keys of the token's issuer cannot be had now. Please try again later.",
            ),
            OpenIdError::Malformed(_)
            | OpenIdError::Refused(_)
            | OpenIdError::NoProvider
            | OpenIdError::NoRole
            | OpenIdError::NoPolicies(_) => Self::new(StatusCode::UNAUTHORIZED, "INVALID_TOKEN", error.to_string()),
        }
    }

    /// The upload token proves nothing.
    pub(super) fn upload_token(why: &'static str) -> Self {
        let message = format!("The upload token is not taken: {why}.");
        Self::new(StatusCode::UNAUTHORIZED, "INVALID_TOKEN", message)
    }

    pub(super) fn upload_token_ended() -> Self {
        let message = "The upload token has ended. Ask the app's server for a new one.";
        Self::new(StatusCode::UNAUTHORIZED, "TOKEN_EXPIRED", message)
    }

    pub(super) fn no_issuer() -> Self {
        Self::token(&OpenIdError::Refused("none of the project's issuers is called so"))
    }

    pub(super) fn not_open() -> Self {
        let message = "The store cannot tell who this is now. Please try again later.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", message)
    }

    fn beyond_upload_token(operation: Operation) -> Self {
        let name = operation.name();
        let message = format!("An upload token makes files and does nothing else; this needs files:{name}.");
        Self::new(StatusCode::FORBIDDEN, "SCOPE_INSUFFICIENT", message)
    }

    pub(super) fn scope(operation: Operation) -> Self {
        let name = operation.name();
        let message = format!("The API key does not have the scope files:{name}.");
        Self::new(StatusCode::FORBIDDEN, "SCOPE_INSUFFICIENT", message)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn guest(scopes: &[&str]) -> AppCaller {
        let bucket = BucketName::parse("shop-dev").unwrap();
        let temp = LogicalBucket {
            max_size: Some(9),
            ..LogicalBucket::default()
        };
        let environment = Environment {
            bucket: bucket.clone(),
            logical: BTreeMap::from([("temp".to_owned(), temp)]),
            images: ImageSettings::default(),
        };
        AppCaller {
            project: Arc::new(Project {
                name: "shop".into(),
                description: String::new(),
                envelope: Envelope::Both,
                environments: BTreeMap::from([("dev".to_owned(), environment)]),
            }),
            environment: "dev".into(),
            bucket,
            key: KeyKind::Publishable,
            key_id: "0123".into(),
            scopes: Scopes::parse(scopes).unwrap(),
            identity: Identity::Anonymous,
            user: None,
            upload: None,
        }
    }

    #[test]
    fn scopes_bound_whoever_comes_and_guests_are_asked_to_sign_in() {
        let caller = guest(&["files:read"]);
        assert_eq!(caller.require(Operation::Read), Ok(()));
        let refused = caller.require(Operation::Create).unwrap_err();
        assert_eq!(
            (refused.status, refused.code),
            (StatusCode::FORBIDDEN, "SCOPE_INSUFFICIENT")
        );
        let refused = caller.require_signed_in().unwrap_err();
        let expected = (StatusCode::UNAUTHORIZED, "common/authentication-required");
        assert_eq!((refused.status, refused.code), expected);
        assert_eq!(caller.require_uploader(), Err(refused));
        assert!(!caller.is_admin() && caller.owner_id().is_none());
        assert_eq!(caller.logical("temp").and_then(|temp| temp.max_size), Some(9));
        assert_eq!(caller.logical("media"), None);
        let mut open = guest(&["files:create"]);
        let environments = &mut Arc::get_mut(&mut open.project).unwrap().environments;
        let logical = &mut environments.get_mut("dev").unwrap().logical;
        logical.get_mut("temp").unwrap().guest_upload = true;
        assert_eq!(open.require_uploader(), Ok(()));
        assert!(open.require_signed_in().is_err());
    }
}
