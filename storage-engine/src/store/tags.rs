//! Tags: names and values that a client hangs on an object or a bucket.
//!
//! Owns what a valid set of tags is, the same for every front and every stored record. It never stores one and knows no
//! spelling on the wire.

use minicbor::{Decode, Encode};

use crate::limits::{BUCKET_TAGS_MAX, OBJECT_TAGS_MAX, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX};

/// Beginnings of keys that no client may write, in whatever case: AWS's own, and that under which this server shows what
/// it knows itself, such as visibility.
pub const RESERVED_PREFIXES: [&str; 2] = ["aws:", "drystone:"];

/// A valid set of tags in the order it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Tags(#[n(0)] Vec<(String, String)>);

/// Why tags were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    #[error("at most {max} tags are kept, and {count} were given")]
    TooMany { count: usize, max: usize },
    #[error("a tag's key has 1 to {TAG_KEY_CHARS_MAX} characters")]
    KeyLength,
    #[error("a tag's value has at most {TAG_VALUE_CHARS_MAX} characters")]
    ValueLength,
    #[error("a tag holds a character that is no letter, number or space, nor one of + - = . _ : / @")]
    Character,
    #[error("a tag's key is given twice")]
    Twice,
    #[error("a tag's key begins with a reserved prefix")]
    Reserved,
}

impl Tags {
    /// The tags of an object.
    pub fn of_object(pairs: Vec<(String, String)>) -> Result<Self, TagError> {
        Self::checked(pairs, OBJECT_TAGS_MAX)
    }

    /// The tags of a bucket.
    pub fn of_bucket(pairs: Vec<(String, String)>) -> Result<Self, TagError> {
        Self::checked(pairs, BUCKET_TAGS_MAX)
    }

    fn checked(pairs: Vec<(String, String)>, max: usize) -> Result<Self, TagError> {
        let count = pairs.len();
        if count > max {
            return Err(TagError::TooMany { count, max });
        }
        for (at, (key, value)) in pairs.iter().enumerate() {
            check(key, value)?;
            if pairs.iter().take(at).any(|(earlier, _)| earlier == key) {
                return Err(TagError::Twice);
            }
        }
        Ok(Self(pairs))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of the tag with this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }
}

fn check(key: &str, value: &str) -> Result<(), TagError> {
    let chars = key.chars().count();
    if chars == 0 || chars > TAG_KEY_CHARS_MAX {
        return Err(TagError::KeyLength);
    }
    if value.chars().count() > TAG_VALUE_CHARS_MAX {
        return Err(TagError::ValueLength);
    }
    if !key.chars().chain(value.chars()).all(may_stand) {
        return Err(TagError::Character);
    }
    let reserved = |prefix: &&str| {
        key.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if RESERVED_PREFIXES.iter().any(reserved) {
        return Err(TagError::Reserved);
    }
    Ok(())
}

fn may_stand(c: char) -> bool {
    let space = c.is_whitespace() && !c.is_control();
    c.is_alphanumeric() || space || "+-=._:/@".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: &str) -> Result<Tags, TagError> {
        Tags::of_object(vec![(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn tags_within_the_limits_are_kept_in_their_order() {
        let (long_key, long_value) = ("ü".repeat(TAG_KEY_CHARS_MAX), "日".repeat(TAG_VALUE_CHARS_MAX));
        let pairs = [("b", ""), ("a B+-=._:/@", "2"), (&long_key, &long_value), ("A", "1")];
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let tags = Tags::of_object(pairs.clone()).unwrap();
        assert!(
            tags.iter()
                .eq(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())))
        );
        assert_eq!((tags.get("A"), tags.get("a"), tags.len()), (Some("1"), None, 4));
    }

    #[test]
    fn tags_over_a_limit_or_with_what_may_not_stand_in_one_are_refused() {
        for (key, value, error) in [
            ("", "v", TagError::KeyLength),
            (&"k".repeat(129), "v", TagError::KeyLength),
            ("k", &"v".repeat(257), TagError::ValueLength),
            ("k", "a\tb", TagError::Character),
            ("k<", "v", TagError::Character),
            ("k", "a\r\nb", TagError::Character),
            ("aws:k", "v", TagError::Reserved),
            ("AWS:k", "v", TagError::Reserved),
            ("drystone:visibility", "public", TagError::Reserved),
            ("Drystone:visibility", "public", TagError::Reserved),
        ] {
            assert_eq!(one(key, value), Err(error), "{key}={value}");
        }
        assert!(one("aw", "").is_ok() && one("awsome", "").is_ok());
        let pairs = |count: usize| (0..count).map(|n| (format!("k{n}"), String::new())).collect::<Vec<_>>();
        assert!(Tags::of_object(pairs(10)).is_ok() && Tags::of_bucket(pairs(50)).is_ok());
        assert_eq!(
            Tags::of_object(pairs(11)),
            Err(TagError::TooMany { count: 11, max: 10 })
        );
        assert_eq!(
            Tags::of_bucket(pairs(51)),
            Err(TagError::TooMany { count: 51, max: 50 })
        );
        let twice = [("k".to_owned(), "1".to_owned()), ("k".to_owned(), "1".to_owned())];
        assert_eq!(Tags::of_object(twice.to_vec()), Err(TagError::Twice));
    }
}
