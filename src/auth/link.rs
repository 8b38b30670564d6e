//! What a link lets: a presigned URL for one file, with terms of its own that the server sealed into it; and what a
//! credential that only uploads lets, which is sealed the same way. Plain values.
//!
//! Owns which access keys are those of links. It never makes or reads a link (that is `links`), and never decides whether a
//! request keeps to the terms (that is `access`, and the front that takes the bytes).

use std::ops::RangeInclusive;
use std::sync::Arc;

use time::OffsetDateTime;

/// What the access key of every link begins with; no other access key does.
pub const LINK_KEY_START: &str = "DSLK";
/// Length of the access key of a link, in characters.
pub const LINK_KEY_CHARS: usize = 20;

/// What a request must keep to, whoever it counts as, since the server gave out what it came with; in its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terms {
    /// A link: one presigned URL, or one form.
    Link(Arc<LinkTerms>),
    /// A credential that only uploads: it signs any number of requests.
    Uploads(Arc<UploadTerms>),
}

/// The terms of a credential that only uploads, as a page is given one that signs its requests itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadTerms {
    /// The one bucket it is for.
    pub bucket: String,
    /// When it ends.
    pub expires: OffsetDateTime,
    /// Whether what it stores is a user's of the app, and not the app's own.
    pub of_user: bool,
}

/// The terms of a link that was found to be genuine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTerms {
    /// The id of the file it was made for.
    pub file: [u8; 16],
    pub bucket: String,
    pub key: String,
    /// The file's epoch when it was made: every revocation of a file's links begins another.
    pub epoch: u32,
    /// When it ends.
    pub expires: OffsetDateTime,
    pub lets: LinkUse,
    /// Guests put such files, as the project says when the link is used: nothing that a link carries.
    pub takes_guests: bool,
}

/// The one thing that a link lets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkUse {
    /// To read the file.
    Get {
        /// `Content-Disposition` of the answer; `None`: as it is stored.
        disposition: Option<String>,
        /// Options of the image that is made of the file and shown in its place; `None`: the file itself, or any image of it.
        shown_as: Option<String>,
        /// The id of the counter of its uses, which ends when the link does; `None`: it may be used as often as one likes.
        counter: Option<[u8; 16]>,
    },
    /// To send its bytes at once.
    Put {
        /// Most bytes; `None`: as many as the store takes.
        max_size: Option<u64>,
        /// Fewest bytes.
        min_size: u64,
        /// Media types it may have, also as `image/*`; empty: any.
        types: Vec<String>,
        /// Where something stands already, nothing is put.
        once: bool,
        /// It comes as an HTML form whose policy is signed, and as no presigned URL.
        by_form: bool,
    },
    /// To send one part of them.
    Part {
        upload: String,
        numbers: RangeInclusive<u16>,
        /// Most bytes of all parts together; `None`: as many as the store takes.
        max_size: Option<u64>,
    },
}

impl LinkTerms {
    /// Whether it comes as an HTML form, and as nothing else.
    pub fn is_of_form(&self) -> bool {
        matches!(self.lets, LinkUse::Put { by_form: true, .. })
    }
}

impl LinkUse {
    /// To read the file as it is stored, as often as one likes.
    pub const fn get() -> Self {
        Self::Get {
            disposition: None,
            shown_as: None,
            counter: None,
        }
    }
}

/// In the extensions of a request that is made for what will be made of the file: the options of that image. No client can
/// say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownAs(pub String);

/// In the extensions of a request that is made for an image of the file, or for the file where an image is asked for. No
/// client can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForImage;

/// Whether an access key is that of a link.
pub fn is_link_key(access_key: &str) -> bool {
    access_key.len() == LINK_KEY_CHARS && access_key.starts_with(LINK_KEY_START)
}

#[cfg(test)]
mod tests {
    use super::is_link_key;

    #[test]
    fn keys_of_links_have_one_form() {
        assert!(is_link_key("DSLKABCDEFGHIJKLMNOP"));
        for other in [
            "",
            "DSLK",
            "DSLKABCDEFGHIJKLMNO",
            "DSLKABCDEFGHIJKLMNOPQ",
            "ASIAABCDEFGHIJKLMNOP",
        ] {
            assert!(!is_link_key(other), "{other}");
        }
    }
}
