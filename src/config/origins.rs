//! Origins of web pages that may use the store from a browser, as `MINIO_API_CORS_ALLOW_ORIGIN` names them. Pure.

use super::ConfigError;

/// Whose pages may read answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every page's. What a request may do is still decided by its signature alone.
    Any,
    /// Those that match one of these, lower case; `*` stands for any characters.
    Matching(Vec<String>),
    Nobody,
}

impl Origins {
    /// A list separated by commas: `*`, `https://app.example.net`, `https://*.example.net`; `none` alone is nobody.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let error = || ConfigError::Value {
            variable: "MINIO_API_CORS_ALLOW_ORIGIN",
            value: text.to_owned(),
            expected: "'*', 'none', or a list of origins such as https://app.example.net, without a path or a slash at \
                       the end",
        };
        let parts: Vec<String> = text.split(',').map(|part| part.trim().to_ascii_lowercase()).collect();
        if parts.iter().any(|part| part == "*") {
            return Ok(Self::Any);
        }
        if parts == ["none"] {
            return Ok(Self::Nobody);
        }
        if parts.iter().all(|part| is_origin(part)) {
            return Ok(Self::Matching(parts));
        }
        Err(error())
    }

    /// Origins named one by one; `None`: one of them is none. No name at all is any origin, and so is `*`.
    pub fn named<T: AsRef<str>>(names: &[T]) -> Option<Self> {
        let names: Vec<String> = names.iter().map(|name| name.as_ref().to_ascii_lowercase()).collect();
        if names.is_empty() || names.iter().any(|name| name == "*") {
            return Some(Self::Any);
        }
        let all = names.iter().all(|name| is_origin(name));
        all.then_some(Self::Matching(names))
    }

    /// Whether a page of this origin, as its browser writes it, is one of them.
    pub fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Matching(patterns) => {
                let origin = origin.to_ascii_lowercase();
                patterns.iter().any(|pattern| matches(pattern, &origin))
            }
            Self::Nobody => false,
        }
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let in_host =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'*' | b'[' | b']');
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'*');
    !scheme.is_empty() && !host.is_empty() && scheme.bytes().all(in_scheme) && host.bytes().all(in_host)
}

/// Whether `text` is `pattern` with something, or nothing, in the place of each `*`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut rest = rest;
    while let Some((piece, after)) = rest.split_once('*') {
        // The earliest place leaves most for what follows.
        let Some((_, behind)) = text.split_once(piece) else {
            return false;
        };
        (text, rest) = (behind, after);
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_and_matched() {
        let table = [
            ("*", "https://a.test", true),
            ("https://a.test, *", "null", true),
            ("none", "https://a.test", false),
            ("https://a.test", "https://a.test", true),
            ("https://A.test", "HTTPS://a.TEST", true),
            ("https://a.test", "https://a.test:8443", false),
            ("https://a.test", "http://a.test", false),
            ("https://a.test", "null", false),
            ("https://b.test,https://a.test:8443", "https://a.test:8443", true),
            ("https://*.test", "https://deep.a.test", true),
            ("https://*.test", "https://test", false),
            ("https://*.a.test", "https://a.test.evil.example", false),
            ("https://*.a.test", "https://evila.test", false),
            ("http*://*.a.test:*", "https://x.a.test:1", true),
            ("http*://*.a.test:*", "https://x.b.test:1", false),
            ("http://[::1]:3000", "http://[::1]:3000", true),
            ("capacitor://localhost", "capacitor://localhost", true),
        ];
        for (setting, origin, allowed) in table {
            assert_eq!(
                Origins::parse(setting).unwrap().allow(origin),
                allowed,
                "{setting} {origin}"
            );
        }
    }

    #[test]
    fn origins_that_are_named_one_by_one_are_read_as_a_list_is() {
        let none: [&str; 0] = [];
        assert_eq!(Origins::named(&none), Some(Origins::Any));
        assert_eq!(Origins::named(&["https://a.test", "*"]), Some(Origins::Any));
        let named = Origins::named(&["https://A.test", "http://localhost:*"]).unwrap();
        assert!(named.allow("https://a.test") && named.allow("http://localhost:3000") && !named.allow("null"));
        for wrong in ["a.test", "none", "https://a.test/", ""] {
            assert_eq!(Origins::named(&["https://a.test", wrong]), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for bad in [
            "a.test",
            "https://a.test/",
            "https://a.test/page",
            "https://",
            "://a",
            "https://a.test,",
            "none,https://a.test",
            "https://a b",
            "null",
        ] {
            let error = Origins::parse(bad).unwrap_err().to_string();
            assert!(error.contains("MINIO_API_CORS_ALLOW_ORIGIN"), "{bad}: {error}");
        }
    }
}
