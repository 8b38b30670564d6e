//! The caller, as far as authentication can tell. Says who, never what they may do.

/// The caller of one request. Users, access keys and session tokens become further variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The request carried no credentials at all.
    Anonymous,
    /// The request was signed with the root credentials.
    Root,
}
