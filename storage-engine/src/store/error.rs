//! What any operation may meet below the seam, told apart; operations add their own refusals beside themselves.
//!
//! Owns the exhaustive conversions from the backend's errors. Nothing here ever becomes "not found".

use crate::backend::{CommitError, PutBlobError, ReadError, Rev, SourceError};
use crate::store::hashing::HashingLost;
use crate::store::record::RecordError;

/// The store could not do it, through no fault of the request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// No space below the reserve. Nothing changed.
    #[error("storage full: {0}")]
    Full(String),
    /// Cannot be reached, or cannot be written now. Nothing changed.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A write may or may not have happened; its keys are unavailable until that is decided.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// Stored data does not read as what it should be.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// A promise inside this program was broken. Nothing changed.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Gone => Self::Unavailable("the body was replaced again and again while it was read".into()),
            ReadError::Unavailable(reason) => Self::Unavailable(reason),
            ReadError::Corrupt(reason) => Self::Corrupt(reason),
        }
    }
}

impl From<RecordError> for Fault {
    fn from(error: RecordError) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// A commit that did not succeed, split into what the operation must think about and what it can only pass on.
#[derive(Debug)]
pub(super) enum CommitRefused {
    /// Condition number `index` did not hold. Nothing changed.
    Condition {
        index: usize,
        found: Option<Rev>,
    },
    Fault(Fault),
}

impl From<CommitError> for CommitRefused {
    fn from(error: CommitError) -> Self {
        Self::Fault(match error {
            CommitError::Failed { index, found } => return Self::Condition { index, found },
            CommitError::Invalid(rule) => Fault::Internal(format!("invalid batch: {rule}")),
            error @ CommitError::PartChanged => Fault::Unavailable(error.to_string()),
            CommitError::Full(reason) => Fault::Full(reason),
            CommitError::Unavailable(reason) => Fault::Unavailable(reason),
            CommitError::Unknown(reason) => Fault::Unknown(reason),
        })
    }
}

impl CommitRefused {
    /// For batches whose conditions cannot fail in a way the operation has not handled.
    pub(super) fn into_fault(self) -> Fault {
        match self {
            Self::Condition { index, .. } => Fault::Unavailable(format!("condition {index} lost race after race")),
            Self::Fault(fault) => fault,
        }
    }
}

/// The body that a request brings is not what it should be. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The source failed; its error, unchanged.
    #[error("body source: {0}")]
    Source(SourceError),
    #[error("the body ended after {received} of {declared} bytes")]
    Incomplete { declared: u64, received: u64 },
    #[error("the body is longer than the {declared} bytes declared")]
    Overlong { declared: u64 },
    #[error("the body is larger than {max} bytes")]
    TooLarge { max: u64 },
    #[error("the body's MD5 is not the Content-MD5 given")]
    BadDigest,
    #[error("the body's {0:?} is not the value given")]
    ChecksumMismatch(crate::store::checksum::ChecksumAlgorithm),
}

/// A body that could not be taken in: either it, or the store below.
#[derive(Debug)]
pub(super) enum TakeInError {
    Body(BodyError),
    Fault(Fault),
}

impl From<PutBlobError> for TakeInError {
    fn from(error: PutBlobError) -> Self {
        match error {
            PutBlobError::Source(source) => match source.downcast::<BodyError>() {
                Ok(body) => match *body {
                    BodyError::Source(source) if source.is::<HashingLost>() => {
                        Self::Fault(Fault::Internal(source.to_string()))
                    }
                    body => Self::Body(body),
                },
                Err(source) => Self::Body(BodyError::Source(source)),
            },
            PutBlobError::Full(reason) => Self::Fault(Fault::Full(reason)),
            PutBlobError::Unavailable(reason) => Self::Fault(Fault::Unavailable(reason)),
        }
    }
}

/// Lets an operation's error take both kinds with `?`.
macro_rules! take_in_errors {
    ($($error:ty),+ $(,)?) => {$(
        impl From<crate::store::error::TakeInError> for $error {
            fn from(error: crate::store::error::TakeInError) -> Self {
                match error {
                    crate::store::error::TakeInError::Body(body) => Self::Body(body),
                    crate::store::error::TakeInError::Fault(fault) => Self::Fault(fault),
                }
            }
        }
    )+};
}
pub(super) use take_in_errors;

/// Lets `?` turn what comes from below the seam into an operation's `Fault` variant.
macro_rules! faults_from_below {
    ($($error:ty),+ $(,)?) => {$(
        impl From<crate::backend::ReadError> for $error {
            fn from(error: crate::backend::ReadError) -> Self {
                Self::Fault(error.into())
            }
        }
        impl From<crate::store::record::RecordError> for $error {
            fn from(error: crate::store::record::RecordError) -> Self {
                Self::Fault(error.into())
            }
        }
    )+};
}
pub(super) use faults_from_below;
