//! Lists of objects, page by page. Never holds more than one page.

use std::collections::VecDeque;
use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::Refusal;
use super::{Ask, Client, ClientError, Element};

/// What a list says about one key or common prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::mc) struct Listed {
    /// The whole key; a folder's ends with `/`.
    pub(in crate::cli::mc) key: String,
    pub(in crate::cli::mc) folder: bool,
    pub(in crate::cli::mc) size: u64,
    pub(in crate::cli::mc) modified: Option<OffsetDateTime>,
    pub(in crate::cli::mc) etag: String,
    pub(in crate::cli::mc) storage_class: String,
}

/// Walks through a bucket's keys in order.
pub(in crate::cli::mc) struct Pager {
    client: Arc<Client>,
    bucket: String,
    prefix: String,
    recursive: bool,
    page: VecDeque<Listed>,
    token: Option<String>,
    ended: bool,
    page_keys: usize,
}

impl Pager {
    /// Nothing is asked yet.
    pub(in crate::cli::mc) fn new(client: &Arc<Client>, bucket: &str, prefix: &str, recursive: bool) -> Self {
        Self {
            client: Arc::clone(client),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            recursive,
            page: VecDeque::new(),
            token: None,
            ended: false,
            page_keys: 1000,
        }
    }

    /// Asks for so few keys a page, where more would be for nothing.
    #[must_use]
    pub(in crate::cli::mc) fn small(mut self, keys: usize) -> Self {
        self.page_keys = keys;
        self
    }

    /// The next key, or common prefix where the walk is not recursive.
    pub(in crate::cli::mc) async fn next(&mut self) -> Result<Option<Listed>, ClientError> {
        loop {
            if let Some(listed) = self.page.pop_front() {
                return Ok(Some(listed));
            }
            if self.ended {
                return Ok(None);
            }
            self.turn().await?;
        }
    }

    async fn turn(&mut self) -> Result<(), ClientError> {
        let keys = self.page_keys.to_string();
        let delimiter = if self.recursive { "" } else { "/" };
        let mut query = vec![
            ("list-type", "2"),
            ("prefix", self.prefix.as_str()),
            ("delimiter", delimiter),
            ("encoding-type", "url"),
            ("max-keys", keys.as_str()),
        ];
        if let Some(token) = &self.token {
            query.push(("continuation-token", token));
        }
        let ask = Ask {
            query: &query,
            ..Ask::of(Method::GET, &self.bucket, "")
        };
        let root = self.client.xml(&ask).await?;
        Refusal::within(&root, &self.bucket, "")?;
        let token = next_page(&root)?;
        let mut page = read(&root);
        page.sort_by(|a, b| a.key.cmp(&b.key));
        self.page = page.into();
        self.ended = token.is_none();
        self.token = token;
        Ok(())
    }
}

/// Where the list goes on, if it does. A list that is none, or that ends without its end, is no list: what it leaves out
/// may be there.
fn next_page(root: &Element) -> Result<Option<String>, ClientError> {
    let broken = |reason: &str| ClientError::Answer {
        reason: reason.to_owned(),
    };
    if root.name != "ListBucketResult" {
        return Err(broken("the answer is no list of objects; is this an S3 server?"));
    }
    match (root.text_of("IsTruncated"), root.text_of("NextContinuationToken")) {
        ("true", "") => Err(broken("the list of objects goes on, and the server does not say where")),
        ("true", token) => Ok(Some(token.to_owned())),
        _ => Ok(None),
    }
}

/// A name as it is, of a list that may have encoded it.
pub(super) fn unescaped_key(root: &Element, text: &str) -> String {
    if root.text_of("EncodingType") != "url" {
        return text.to_owned();
    }
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

fn read(root: &Element) -> Vec<Listed> {
    let name = |text: &str| unescaped_key(root, text);
    let objects = root.all("Contents").map(|object| Listed {
        key: name(object.text_of("Key")),
        folder: false,
        size: object.text_of("Size").parse().unwrap_or_default(),
        modified: OffsetDateTime::parse(object.text_of("LastModified"), &Rfc3339).ok(),
        etag: object.text_of("ETag").trim_matches('"').to_owned(),
        storage_class: object.text_of("StorageClass").to_owned(),
    });
    let folders = root.all("CommonPrefixes").map(|folder| Listed {
        key: name(folder.text_of("Prefix")),
        folder: true,
        size: 0,
        modified: None,
        etag: String::new(),
        storage_class: String::new(),
    });
    objects.chain(folders).collect()
}

impl Client {
    /// Whether any key begins with this.
    pub(in crate::cli::mc) async fn has_keys(
        self: &Arc<Self>,
        bucket: &str,
        prefix: &str,
    ) -> Result<bool, ClientError> {
        let mut pager = Pager::new(self, bucket, prefix, true).small(1);
        Ok(pager.next().await?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_with_its_encoded_names() {
        let text = "<R><EncodingType>url</EncodingType>\
                    <Contents><Key>a%2Bb+c%2Fd</Key><Size>5</Size><ETag>\"x\"</ETag><LastModified>2026-01-02T03:04:05.678Z</LastModified></Contents>\
                    <CommonPrefixes><Prefix>f%20g/</Prefix></CommonPrefixes></R>";
        let page = read(&Element::parse(text).unwrap());
        let keys: Vec<(&str, bool, u64)> = page.iter().map(|l| (l.key.as_str(), l.folder, l.size)).collect();
        assert_eq!(keys, [("a+b c/d", false, 5), ("f g/", true, 0)]);
        assert_eq!(page[0].etag, "x");
        assert_eq!(page[0].modified.unwrap().year(), 2026);
        let plain = read(&Element::parse("<R><Contents><Key>a%2B</Key></Contents></R>").unwrap());
        assert_eq!(plain[0].key, "a%2B");
    }

    #[test]
    fn a_list_that_is_none_or_has_no_end_is_an_error() {
        let next = |text: &str| next_page(&Element::parse(text).unwrap());
        let list = |inner: &str| format!("<ListBucketResult xmlns=\"u\">{inner}</ListBucketResult>");
        assert_eq!(next(&list("<IsTruncated>false</IsTruncated>")).unwrap(), None);
        let more = "<IsTruncated>true</IsTruncated>";
        assert!(next(&list(more)).is_err());
        let token = "<NextContinuationToken>t</NextContinuationToken>";
        assert_eq!(next(&list(&format!("{more}{token}"))).unwrap().as_deref(), Some("t"));
        assert!(next("<html></html>").is_err());
    }
}
