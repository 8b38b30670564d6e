//! Whom an object is served to as to a stranger: callers nobody knows, and browsers that were handed an address. Pure.
//!
//! Who signs a request in its headers gets what was stored. What a stranger's browser may show by itself is told in `media`.

use http::Extensions;

use crate::auth::{Identity, SignedIn, Signing};
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

/// Whether a browser may be shown the answer as a page of this origin: the request has nothing that a browser would not
/// send when it opens an address. Whose signature the address has does not matter where apps keep files of strangers; in
/// other buckets whoever signs is taken to know what is there.
pub(super) fn is_shown(extensions: &Extensions, keeps_files: bool) -> bool {
    let signing = extensions.get::<Signing>();
    calls(extensions) || (keeps_files && signing.is_some_and(|signing| signing.form == SignedIn::Query))
}
