//! Why a policy document is refused, in words that name the statement and what to write instead.

/// Why [`super::Policy::parse`] refused a document. The text is safe to show to its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// More bytes than a policy of this kind may have.
    #[error("Policy exceeds the maximum allowed document size of {limit} bytes.")]
    TooLarge {
        /// The most bytes allowed.
        limit: usize,
    },
    /// Not JSON, or an object that has the same key twice.
    #[error("Policies must be valid JSON: {0}")]
    NotJson(String),
    /// A part outside the statements is missing or wrong.
    #[error("{0}")]
    Document(String),
    /// A statement is wrong.
    #[error("Statement {place}: {reason}")]
    Statement {
        /// Its number from 1 and, where it has one, its Sid.
        place: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}
