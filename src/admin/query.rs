//! The query of an admin request, as MinIO's clients write it. Pure.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::error::AdminError;

/// Names and values in the order they came; a name may come more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a raw query; a plus is a blank, as in forms.
    pub(super) fn parse(raw: Option<&str>) -> Result<Self, AdminError> {
        let decode = |text: &str| {
            let text = match text.contains('+') {
                true => Cow::Owned(text.replace('+', " ")),
                false => Cow::Borrowed(text),
            };
            let decoded = percent_decode_str(&text).decode_utf8().map(Cow::into_owned);
            decoded.map_err(|_| AdminError::Argument("The query is not UTF-8.".into()))
        };
        let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// The first value of this name; an empty one counts as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, value)| known == name && !value.is_empty());
        value.map(|(_, value)| value.as_str())
    }

    /// All values of this name that are not empty.
    pub(super) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        let values = self.0.iter().filter(move |(known, _)| known == name);
        values
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The value of a name that must come.
    pub(super) fn must(&self, name: &'static str) -> Result<&str, AdminError> {
        let missing = || AdminError::Argument(format!("The parameter {name} is missing."));
        self.get(name).ok_or_else(missing)
    }

    /// Whether this name says `true`.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "true" || value == "1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_read_as_forms_write_them() {
        let query = Query::parse(Some("user=a%2Bb+c&user=d&flag=&all=true&%C3%BC")).unwrap();
        assert_eq!(query.get("user"), Some("a+b c"));
        assert_eq!(query.all("user").collect::<Vec<_>>(), ["a+b c", "d"]);
        assert_eq!((query.get("flag"), query.get("ü")), (None, None));
        assert!(query.is_true("all") && !query.is_true("user") && !query.is_true("none"));
        assert_eq!(
            query.must("group").unwrap_err().to_string(),
            "The parameter group is missing."
        );
        assert_eq!(Query::parse(None).unwrap(), Query::default());
        assert!(Query::parse(Some("a=%FF")).is_err());
    }
}
