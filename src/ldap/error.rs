//! Why nobody is signed in.

/// A refusal. Its text tells nobody who exists and who does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LdapError {
    /// There is no LDAP server in the settings.
    #[error("No LDAP server is configured.")]
    NoServer,
    /// No such user, more than one, or another password: from outside they look alike.
    #[error("The LDAP user name or password is wrong.")]
    Wrong,
    /// More than a credential carries, or the server tells.
    #[error("The user is in too many LDAP groups; narrow the filter of the group search.")]
    TooManyGroups,
    /// From there, or for that user, sign-ins failed again and again.
    #[error("Too many failed sign-ins. Please try again later.")]
    TooOften,
    /// It could not be asked, or did not answer as it should; the log tells what happened.
    #[error("The LDAP server cannot be asked. Please try again later.")]
    Unreachable,
}

/// A server that cannot be used as the settings have it; for the operator.
#[derive(Debug, thiserror::Error)]
pub enum LdapSetupError {
    /// A filter or a name that is none.
    #[error("MINIO_IDENTITY_LDAP_{setting}: {problem}")]
    Setting {
        setting: &'static str,
        problem: &'static str,
    },
    #[error("no TLS for the LDAP server: {0}")]
    Tls(#[from] rustls::Error),
}
