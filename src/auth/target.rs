//! A request's path and query, decoded exactly once.
//!
//! What is signed and what is routed must be the same thing, so everything that two readers could take differently
//! (broken percent-encoding, bytes that are not UTF-8) is refused here, for unsigned requests too.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::error::AuthError;

/// One `name=value` of a query.
pub(super) struct Pair<'a> {
    /// As received, without the separators around it.
    pub(super) raw: &'a str,
    pub(super) name: Cow<'a, str>,
    pub(super) value: Cow<'a, str>,
}

/// A query's pairs in the order received; empty pieces (`&&`) are gone.
#[derive(Default)]
pub(super) struct Query<'a> {
    pub(super) pairs: Vec<Pair<'a>>,
}

impl<'a> Query<'a> {
    pub(super) fn parse(raw: Option<&'a str>) -> Result<Self, AuthError> {
        let Some(raw) = raw.filter(|raw| !raw.is_empty()) else {
            return Ok(Self::default());
        };
        let pairs = raw
            .split('&')
            .filter(|piece| !piece.is_empty())
            .map(|piece| {
                let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
                Ok(Pair {
                    raw: piece,
                    name: decode_query(name)?,
                    value: decode_query(value)?,
                })
            })
            .collect::<Result<_, AuthError>>()?;
        Ok(Self { pairs })
    }

    /// Whether there is more than one pair of a name.
    pub(super) fn repeats_a_name(&self) -> bool {
        let mut names: Vec<&str> = self.pairs.iter().map(|pair| &*pair.name).collect();
        names.sort_unstable();
        names.iter().zip(names.iter().skip(1)).any(|(a, b)| a == b)
    }

    /// Whether a pair of this name is there, in any case of letters.
    pub(super) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|pair| pair.name.eq_ignore_ascii_case(name))
    }
}

/// The path as the routes will see it.
pub(super) fn decode_path(raw: &str) -> Result<Cow<'_, str>, AuthError> {
    decode(raw)
}

/// In a query, `+` is a space.
fn decode_query(raw: &str) -> Result<Cow<'_, str>, AuthError> {
    if raw.contains('+') {
        return Ok(Cow::Owned(decode(&raw.replace('+', " "))?.into_owned()));
    }
    decode(raw)
}

fn decode(raw: &str) -> Result<Cow<'_, str>, AuthError> {
    // Every `%` must start an escape: a lenient reader would keep `%zz` as it is, another one would not.
    let broken = raw.split('%').skip(1).any(|after| {
        let mut digits = after.bytes();
        !(0..2).all(|_| digits.next().is_some_and(|b| b.is_ascii_hexdigit()))
    });
    if broken {
        return Err(AuthError::InvalidUri);
    }
    percent_decode_str(raw).decode_utf8().map_err(|_| AuthError::InvalidUri)
}

#[cfg(test)]
mod tests {
    use super::{Query, decode_path};

    #[test]
    fn escapes_are_decoded_once_and_nothing_is_normalised() {
        assert_eq!(decode_path("/a%2Fb//%2e%2e/%2520+").unwrap(), "/a/b//../%20+");
    }

    #[test]
    fn broken_escapes_and_foreign_bytes_are_refused() {
        for raw in ["/%", "/%2", "/%zz", "/a%2", "/%ff", "/%c3"] {
            assert!(decode_path(raw).is_err(), "{raw}");
            assert!(Query::parse(Some(raw)).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_query_keeps_duplicates_and_order() {
        let query = Query::parse(Some("b=2&&a=1+x&b=&c")).unwrap();
        let pairs: Vec<_> = query
            .pairs
            .iter()
            .map(|p| (p.name.as_ref(), p.value.as_ref()))
            .collect();
        assert_eq!(pairs, [("b", "2"), ("a", "1 x"), ("b", ""), ("c", "")]);
    }
}
