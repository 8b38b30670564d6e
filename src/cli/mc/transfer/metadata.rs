//! Headers that go with an object: its type by the name, what `--attr`, `--tags`, `--storage-class` and `--preserve` ask for. Pure but for
//! reading a file's attributes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName};

use crate::cli::mc::client::{ClientError, Style, Sum, header_value};

const ATTRIBUTES: &str = "x-amz-meta-mc-attrs";

/// What shall go with new objects.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli::mc) struct Wanted {
    /// Metadata, as key1=value1;key2=value2
    #[arg(long, value_name = "PAIRS")]
    attr: Option<String>,
    /// Tags, as key1=value1&key2=value2
    #[arg(long, value_name = "PAIRS")]
    tags: Option<String>,
    #[arg(long, visible_alias = "sc", value_name = "CLASS")]
    storage_class: Option<String>,
    /// A checksum that the server keeps with what is uploaded
    #[arg(long, value_name = "KIND", ignore_case = true)]
    checksum: Option<Sum>,
    /// Keep mode and time of files: asked for by a flag of those commands that have files.
    #[arg(skip)]
    pub(super) preserve: bool,
}

impl Wanted {
    /// How uploads are made.
    pub(super) fn style(&self) -> Style {
        Style {
            sum: self.checksum,
            ..Style::default()
        }
    }

    /// With mode and time of files, or without.
    #[must_use]
    pub(super) fn with_attributes(mut self, preserve: bool) -> Self {
        self.preserve = preserve;
        self
    }

    /// The headers for a new object from a file.
    pub(super) fn for_file(&self, path: &Path) -> Result<HeaderMap, ClientError> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut headers = self.for_name(name)?;
        if self.preserve {
            let meta = fs::metadata(path).map_err(ClientError::file(path))?;
            let text = Attributes::of(&meta);
            headers.insert(HeaderName::from_static(ATTRIBUTES), header_value(&text)?);
        }
        Ok(headers)
    }

    /// The headers for a new object of this name.
    pub(in crate::cli::mc) fn for_name(&self, name: &str) -> Result<HeaderMap, ClientError> {
        let kind = mime_guess::from_path(name)
            .first_raw()
            .unwrap_or("application/octet-stream");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, header_value(kind)?)]);
        self.laid_over(headers)
    }

    /// The headers of a copy, or `None` where it shall have the same as its source.
    pub(super) fn over(&self, kept: HeaderMap) -> Result<Option<HeaderMap>, ClientError> {
        if self.attr.is_none() && self.tags.is_none() && self.storage_class.is_none() {
            return Ok(None);
        }
        let mut headers = self.laid_over(kept)?;
        if self.tags.is_some() {
            headers.insert("x-amz-tagging-directive", header_value("REPLACE")?);
        }
        Ok(Some(headers))
    }

    fn laid_over(&self, mut headers: HeaderMap) -> Result<HeaderMap, ClientError> {
        for pair in self
            .attr
            .iter()
            .flat_map(|attr| attr.split(';'))
            .filter(|pair| !pair.is_empty())
        {
            let unfit = || ClientError::Unfit(format!("`{pair}` in --attr is not key=value"));
            let (key, value) = pair.split_once('=').ok_or_else(unfit)?;
            let name = header_name(key.trim()).ok_or_else(unfit)?;
            headers.insert(name, header_value(value)?);
        }
        if let Some(tags) = &self.tags {
            headers.insert("x-amz-tagging", header_value(tags)?);
        }
        if let Some(class) = &self.storage_class {
            headers.insert("x-amz-storage-class", header_value(class)?);
        }
        Ok(headers)
    }
}

/// S3's own headers by their names, all others as an object's own metadata.
fn header_name(key: &str) -> Option<HeaderName> {
    let key = key.to_ascii_lowercase();
    let own = [
        "content-type",
        "cache-control",
        "content-encoding",
        "content-disposition",
        "content-language",
        "expires",
    ];
    let name = if own.contains(&key.as_str()) || key.starts_with("x-amz-") {
        key
    } else {
        format!("x-amz-meta-{key}")
    };
    HeaderName::from_bytes(name.as_bytes()).ok()
}

/// What `--preserve` keeps of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) mode: Option<u32>,
    pub(super) modified: Option<SystemTime>,
}

impl Attributes {
    /// As text, in the form that other clients read, too.
    fn of(meta: &fs::Metadata) -> String {
        format!(
            "atime:{}#{}/gid:{}/mode:{}/mtime:{}#{}/uid:{}",
            meta.atime(),
            meta.atime_nsec(),
            meta.gid(),
            meta.mode(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.uid()
        )
    }

    /// From an object's headers; what cannot be read is left out.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = headers
            .get(ATTRIBUTES)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let mut found = Self::default();
        for pair in text.split('/') {
            match pair.split_once(':') {
                Some(("mode", mode)) => found.mode = mode.parse().ok(),
                Some(("mtime", time)) => found.modified = moment(time),
                Some(_) | None => {}
            }
        }
        found
    }
}

fn moment(text: &str) -> Option<SystemTime> {
    let (seconds, nanoseconds) = text.split_once('#').unwrap_or((text, "0"));
    let nanoseconds = nanoseconds
        .parse::<u32>()
        .ok()
        .filter(|nanoseconds| *nanoseconds < 1_000_000_000)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds.parse().ok()?, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_become_headers_and_own_metadata() {
        let wanted = Wanted {
            attr: Some("one=1;Content-Type=text/x;Cache-Control=a=b".into()),
            tags: Some("k=v".into()),
            ..Wanted::default()
        };
        let headers = wanted.for_name("a.html").unwrap();
        let text = |name: &str| headers.get(name).unwrap().to_str().unwrap();
        assert_eq!((text("x-amz-meta-one"), text("content-type")), ("1", "text/x"));
        assert_eq!((text("cache-control"), text("x-amz-tagging")), ("a=b", "k=v"));
        assert_eq!(
            Wanted::default().for_name("a.html").unwrap()["content-type"],
            "text/html"
        );
        assert_eq!(
            Wanted::default().for_name("a").unwrap()["content-type"],
            "application/octet-stream"
        );
        let bad = Wanted {
            attr: Some("one".into()),
            ..Wanted::default()
        };
        assert!(bad.for_name("a").is_err());
        assert!(Wanted::default().over(HeaderMap::new()).unwrap().is_none());
    }

    #[test]
    fn preserved_attributes_come_back_and_nonsense_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "x").unwrap();
        let meta = fs::metadata(&path).unwrap();
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static(ATTRIBUTES),
            header_value(&Attributes::of(&meta)).unwrap(),
        )]);
        let read = Attributes::read(&headers);
        assert_eq!((read.mode, read.modified), (Some(meta.mode()), meta.modified().ok()));
        for text in ["mtime:x#y/mode:-1", "mtime:1#9999999999", "::/", ""] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(ATTRIBUTES), header_value(text).unwrap())]);
            assert_eq!(Attributes::read(&headers), Attributes::default(), "{text}");
        }
    }
}
