//! What files are called and what is in them: names, keys, types, sizes of images, and how bytes of strangers are served.
//!
//! Everything is a function of values: no I/O, no clock, no stored data, and no image is ever decoded. It never decides who
//! may do what.

mod accept;
mod header;
mod inspect;
mod key;
mod mime;
mod name;
mod serve;
mod sniff;

pub use accept::{Accepted, Mismatch, accept, allows, common_types};
pub use header::{Dimensions, HEADER_BYTES, dimensions};
pub use inspect::{Inspected, Inspection};
pub use key::{KEY_BYTES_MAX, KeyError, check_key, is_of_file, key_of};
pub use mime::{MIME_CHARS_MAX, Mime, MimeError};
pub use name::{FileName, NAME_BYTES_MAX, NameError, is_invisible};
pub use serve::{attachment, is_shown, kept, safe_disposition, sandbox};
pub use sniff::{SNIFF_BYTES, sniff};
