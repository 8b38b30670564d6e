//! Whom an object is served to as to a stranger: callers nobody knows. Pure.
//!
//! Signed callers get what was stored. What a stranger's browser may show by itself is told in `media`.

use http::Extensions;

use crate::auth::Identity;
use crate::s3::link;

/// Whether the request says nothing about who sends it, or came by a link, which anybody may have opened in a browser.
pub(super) fn calls(extensions: &Extensions) -> bool {
    if link::terms(extensions).is_some() {
        return true;
    }
    match extensions.get::<Identity>() {
        None | Some(Identity::Anonymous) => true,
        Some(Identity::Root | Identity::Caller(_)) => false,
    }
}
