//! Why nobody is vouched for.

/// A refusal of a token. Its text tells nothing of what the token holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenIdError {
    /// No provider is configured.
    #[error("No identity provider is configured.")]
    NoProvider,
    /// A role is named that no provider has, or none where one is needed.
    #[error("RoleArn names the role of no identity provider.")]
    NoRole,
    /// It is no token of the kind that is taken here.
    #[error("The token cannot be read: {0}.")]
    Malformed(&'static str),
    /// It does not hold here.
    #[error("The token is refused: {0}.")]
    Refused(&'static str),
    /// The claim that names policies is not there, or names none.
    #[error("The claim '{0}' of the token names no policy, so there is nothing its holder may do.")]
    NoPolicies(String),
    /// It has ended.
    #[error("The token has expired. Get a new one from the identity provider and ask again.")]
    Expired,
    /// The issuer did not say which keys are its own.
    #[error("The identity provider cannot be reached. Please try again later.")]
    Unreachable,
}
