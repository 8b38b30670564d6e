//! What arguments name: a place on a server or a local path; and which local path a key may become. Pure.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::client::{Client, ClientError};

/// A bucket, an object, or all that begins with a prefix, on a server.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) client: Arc<Client>,
    pub(super) alias: String,
    /// Empty: the server itself.
    pub(super) bucket: String,
    /// Key or prefix; empty: the whole bucket.
    pub(super) key: String,
}

impl Remote {
    /// As people write it.
    pub(super) fn shown(&self) -> String {
        self.shown_key(&self.key)
    }

    /// Another key of the same bucket, as people write it.
    pub(super) fn shown_key(&self, key: &str) -> String {
        match (self.bucket.is_empty(), key.is_empty()) {
            (true, _) => self.alias.clone(),
            (false, true) => format!("{}/{}", self.alias, self.bucket),
            (false, false) => format!("{}/{}/{key}", self.alias, self.bucket),
        }
    }

    /// The same bucket with another key.
    pub(super) fn with_key(&self, key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            ..self.clone()
        }
    }

    /// Whether the argument says by itself that many are meant: a server, a bucket, or a prefix that ends with `/`.
    pub(super) fn is_folder_by_name(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }
}

/// What an argument names.
#[derive(Clone)]
pub(super) enum Place {
    Local(PathBuf),
    Remote(Remote),
}

impl Place {
    /// As people write it; local paths are whole.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Local(path) => path.display().to_string(),
            Self::Remote(remote) => remote.shown(),
        }
    }
}

/// The local file for a key below `folder`. A key that would leave the folder, or that stands for no one file, is refused.
pub(super) fn below(folder: &Path, key: &str) -> Result<PathBuf, ClientError> {
    let unfit = || ClientError::Unfit(format!("the key `{key}` cannot be a local path; it is left out"));
    let name = key.strip_suffix('/').unwrap_or(key);
    if name.is_empty() || name.contains('\0') || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(unfit());
    }
    let path = Path::new(name);
    if path.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(unfit());
    }
    Ok(folder.join(path))
}

/// The last part of a key or path.
pub(super) fn base_name(name: &str) -> &str {
    let name = name.trim_end_matches('/');
    name.rsplit_once('/').map_or(name, |(_, base)| base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leads_out_of_the_folder() {
        let folder = Path::new("/got");
        for key in [
            "../x",
            "a/../../x",
            "/etc/passwd",
            "a//b",
            "..",
            ".",
            "",
            "/",
            "a/./b",
            "a\0b",
            "a/..",
            "//",
        ] {
            assert!(below(folder, key).is_err(), "{key:?}");
        }
        for (key, path) in [
            ("a", "/got/a"),
            ("a/b c/..d", "/got/a/b c/..d"),
            ("a/", "/got/a"),
            ("...", "/got/..."),
        ] {
            assert_eq!(below(folder, key).unwrap(), PathBuf::from(path));
        }
    }

    #[test]
    fn the_last_part_of_a_name_is_its_base() {
        assert_eq!((base_name("a/b"), base_name("a/b/"), base_name("a")), ("b", "b", "a"));
    }
}
