//! The public id of a file: what a URL that anybody may read names it by, without key and token.
//!
//! It says where the file is (its bucket and id, which are no secrets) and, by 16 random bytes of the file's record, that
//! whoever asks was given it: nobody guesses one, or makes one out of an id.

use std::fmt;

use aws_lc_rs::constant_time;
use base64_simd::URL_SAFE_NO_PAD;
use storage_engine::store::files::{File, FileId};
use storage_engine::store::name::BucketName;

/// See the module. Written it is `BUCKET.` and 43 characters of base64url: the file's id, then its secret.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::files) struct PublicId {
    pub(super) bucket: BucketName,
    pub(super) file: FileId,
    secret: [u8; 16],
}

impl PublicId {
    /// That of a file; `None`: the bucket has no name that a bucket can have.
    pub(in crate::files) fn of(bucket: &str, id: FileId, file: &File) -> Option<Self> {
        Some(Self {
            bucket: BucketName::parse(bucket).ok()?,
            file: id,
            secret: file.public_id,
        })
    }

    /// Reads what [`fmt::Display`] writes, and nothing else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (bucket, coded) = text.rsplit_once('.')?;
        let bytes = URL_SAFE_NO_PAD.decode_to_vec(coded.as_bytes()).ok()?;
        let (file, secret) = bytes.split_first_chunk::<16>()?;
        Some(Self {
            bucket: BucketName::parse(bucket).ok()?,
            file: FileId::from_bytes(*file),
            secret: secret.try_into().ok()?,
        })
    }

    /// Whether it is this file's. It takes as long for any other.
    pub(super) fn is_of(&self, file: &File) -> bool {
        constant_time::verify_slices_are_equal(&self.secret, &file.public_id).is_ok()
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [*self.file.as_bytes(), self.secret].concat();
        write!(f, "{}.{}", self.bucket, URL_SAFE_NO_PAD.encode_to_string(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use storage_engine::store::clock::Timestamp;

    use super::*;

    fn file(secret: [u8; 16]) -> File {
        File::pending("00/a.png".into(), secret, "a.png".into(), Timestamp::from_millis(1))
    }

    #[test]
    fn one_byte_more_or_less_is_no_id() {
        let id = PublicId::of("shop-dev", FileId::from_bytes([1; 16]), &file([2; 16])).unwrap();
        let text = id.to_string();
        assert_eq!(text.len(), "shop-dev.".len() + 43);
        assert!(PublicId::parse(&text).is_some_and(|read| read == id));
        let coded = text.strip_prefix("shop-dev.").unwrap();
        for wrong in [
            String::new(),
            coded.to_owned(),
            format!(".{coded}"),
            format!("shop-dev.{coded}A"),
            format!("shop-dev.{}", &coded[1..]),
            format!("shop-dev.{coded}=="),
            format!("Shop_Dev.{coded}"),
            format!("../shop-dev.{coded}"),
        ] {
            assert!(PublicId::parse(&wrong).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn it_names_its_file_and_no_other(id: [u8; 16], secret: [u8; 16], other: [u8; 16]) {
            let made = PublicId::of("a.b-c", FileId::from_bytes(id), &file(secret)).unwrap();
            let read = PublicId::parse(&made.to_string()).unwrap();
            prop_assert_eq!(read.file.as_bytes(), &id);
            prop_assert_eq!(read.bucket.as_str(), "a.b-c");
            prop_assert!(read.is_of(&file(secret)));
            prop_assert_eq!(read.is_of(&file(other)), secret == other);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,80}|[a-z]{3,5}\\.[A-Za-z0-9_-]{40,46}") {
            if let Some(read) = PublicId::parse(&text) {
                prop_assert_eq!(read.to_string(), text);
            }
        }
    }
}
