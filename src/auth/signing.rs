//! How a request was signed, for those who judge it by that.

use time::OffsetDateTime;

/// Where in a request its signature stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedIn {
    /// In the `Authorization` header.
    Header,
    /// In the query: a presigned URL.
    Query,
    /// In the fields of a form.
    Form,
}

impl SignedIn {
    /// What policies call it (`s3:authType`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Header => "REST-HEADER",
            Self::Query => "REST-QUERY-STRING",
            Self::Form => "POST",
        }
    }
}

/// A signature that was verified; in the extensions of every signed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signing {
    pub form: SignedIn,
    /// When it was made, as the signature itself says.
    pub time: OffsetDateTime,
}
