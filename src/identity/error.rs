//! Why a change of the directory, or a look at it, was refused.

use storage_engine::store::error::Fault;

/// A refusal of the directory. Nothing changed, unless it is [`Fault::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No user of that name.
    #[error("The specified user does not exist. ({0})")]
    NoSuchUser(String),
    /// No group of that name.
    #[error("The specified group does not exist. ({0})")]
    NoSuchGroup(String),
    /// No role of that name.
    #[error("The specified role does not exist. ({0})")]
    NoSuchRole(String),
    /// No policy of that name.
    #[error("The canned policy does not exist. ({0})")]
    NoSuchPolicy(String),
    /// No access key of that name.
    #[error("The specified access key does not exist. ({0})")]
    NoSuchAccessKey(String),
    /// A group is removed without naming its members, and has some.
    #[error("The specified group is not empty - cannot remove it.")]
    GroupNotEmpty,
    /// A policy is removed that is attached to users or groups.
    #[error("The policy cannot be removed, as it is in use: {0}.")]
    PolicyInUse(String),
    /// A policy that every store has cannot be removed.
    #[error("The policy '{0}' is there in every store and cannot be removed.")]
    PolicyBuiltIn(String),
    /// Something is made that is there already.
    #[error("A {0} of this name is there already.")]
    AlreadyThere(&'static str),
    /// Something is removed that has something still.
    #[error("It cannot be removed before its {0} are.")]
    NotBare(&'static str),
    /// Policies are attached that all are already, or detached that none is.
    #[error("The specified policy change is already in effect.")]
    AlreadyApplied,
    /// The caller may not do this to this target, whatever its policies say.
    #[error("Specified IAM action is not allowed: {0}.")]
    NotAllowed(&'static str),
    /// The access key belongs to somebody or something else already.
    #[error("The access key is taken by {0}.")]
    AccessKeyTaken(&'static str),
    /// An access key that breaks the rules.
    #[error("The access key is invalid: {0}.")]
    InvalidAccessKey(&'static str),
    /// A secret key that breaks the rules.
    #[error("The secret key is invalid: {0}.")]
    InvalidSecretKey(&'static str),
    /// A name, description or time that breaks the rules.
    #[error("Invalid arguments specified: {0}.")]
    InvalidArgument(&'static str),
    /// A policy document that is none; the text is its author's to read.
    #[error("{0}")]
    MalformedPolicy(String),
    /// The policy of an access key or temporary credential is too large.
    #[error("The session policy is larger than {0} bytes.")]
    SessionPolicyTooLarge(usize),
    /// A temporary credential that would be larger than a request has room for.
    #[error(
        "The session token would have {chars} characters, and a request has room for {max}; what takes most of it is \
         {most}."
    )]
    CredentialTooLarge {
        chars: usize,
        max: usize,
        most: &'static str,
    },
    /// More than the directory holds, or one change takes.
    #[error("{0}")]
    TooMany(&'static str),
    /// The directory cannot be read yet.
    #[error("The directory of users is not open: {0}")]
    NotOpen(String),
    /// The directory was read and does not open; only an operator can help.
    #[error("The directory of users is not open: {0}")]
    Shut(String),
    /// The store could not do it.
    #[error(transparent)]
    Fault(#[from] Fault),
}
