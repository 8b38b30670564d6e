//! Why a change of the projects, or a look at them, was refused.

use storage_engine::store::error::Fault;

use crate::identity::IdentityError;

/// A refusal. Nothing changed, unless it is [`Fault::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum ProjectsError {
    #[error("There is no project '{0}'.")]
    NoSuchProject(String),
    #[error("The project has no environment '{0}'.")]
    NoSuchEnvironment(String),
    #[error("There is no key '{0}'.")]
    NoSuchKey(String),
    #[error("There is no such webhook.")]
    NoSuchWebhook,
    #[error("The project has no issuer '{0}'.")]
    NoSuchIssuer(String),
    /// Something is made that is there already.
    #[error("There is {0} of this name already.")]
    AlreadyThere(&'static str),
    /// A name, scope, origin or claim that breaks the rules.
    #[error("{0}.")]
    Invalid(String),
    /// A project that still has environments.
    #[error("The project still has environments; remove them first.")]
    HasEnvironments,
    /// An environment that still has files.
    #[error("The environment still holds files, also if they are only in its trash; nothing was removed.")]
    HasFiles,
    /// The app bucket's name is taken by a bucket that is none.
    #[error("There is a bucket '{0}' already, and it is no app bucket; choose another name.")]
    BucketTaken(String),
    /// A host that serves the images of another environment.
    #[error("The host '{0}' serves the images of another environment.")]
    HostTaken(String),
    /// More than one change takes.
    #[error("{0}.")]
    TooMany(&'static str),
    /// The projects cannot be read yet.
    #[error("The projects cannot be read yet: {0}")]
    NotOpen(String),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Fault(#[from] Fault),
}
