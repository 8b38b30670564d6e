//! Uploads in parts that were begun and neither completed nor aborted, as a server lists them, page by page.

use std::collections::VecDeque;
use std::sync::Arc;

use http::Method;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::Refusal;
use super::listing::unescaped_key;
use super::open::OpenUpload;
use super::{Ask, Client, ClientError, Element};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::mc) struct Unfinished {
    pub(in crate::cli::mc) key: String,
    pub(in crate::cli::mc) id: String,
    pub(in crate::cli::mc) begun: Option<OffsetDateTime>,
}

/// Walks through those of a bucket whose key begins with a prefix.
pub(in crate::cli::mc) struct UnfinishedPager {
    client: Arc<Client>,
    bucket: String,
    prefix: String,
    page: VecDeque<Unfinished>,
    /// Key and id behind which the next page begins.
    marker: Option<(String, String)>,
    ended: bool,
}

impl UnfinishedPager {
    /// Nothing is asked yet.
    pub(in crate::cli::mc) fn new(client: &Arc<Client>, bucket: &str, prefix: &str) -> Self {
        Self {
            client: Arc::clone(client),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            page: VecDeque::new(),
            marker: None,
            ended: false,
        }
    }

    /// The next one.
    pub(in crate::cli::mc) async fn next(&mut self) -> Result<Option<Unfinished>, ClientError> {
        loop {
            if let Some(found) = self.page.pop_front() {
                return Ok(Some(found));
            }
            if self.ended {
                return Ok(None);
            }
            self.turn().await?;
        }
    }

    async fn turn(&mut self) -> Result<(), ClientError> {
        let mut query = vec![
            ("uploads", ""),
            ("prefix", self.prefix.as_str()),
            ("encoding-type", "url"),
            ("max-uploads", "1000"),
        ];
        if let Some((key, id)) = &self.marker {
            query.extend([("key-marker", key.as_str()), ("upload-id-marker", id.as_str())]);
        }
        let ask = Ask {
            query: &query,
            ..Ask::of(Method::GET, &self.bucket, "")
        };
        let root = self.client.xml(&ask).await?;
        Refusal::within(&root, &self.bucket, "")?;
        let marker = next_page(&root)?;
        if marker.is_some() && marker == self.marker {
            return Err(broken("the list of uploads goes on where it began"));
        }
        self.page = read(&root);
        self.ended = marker.is_none();
        self.marker = marker;
        Ok(())
    }

    /// Takes one back; one that is gone is.
    pub(in crate::cli::mc) async fn abort(&self, found: &Unfinished) -> Result<(), ClientError> {
        let upload = OpenUpload {
            client: Arc::clone(&self.client),
            bucket: self.bucket.clone(),
            key: found.key.clone(),
            id: found.id.clone(),
        };
        upload.abort().await
    }
}

fn broken(reason: &str) -> ClientError {
    ClientError::Answer {
        reason: reason.to_owned(),
    }
}

fn next_page(root: &Element) -> Result<Option<(String, String)>, ClientError> {
    if root.name != "ListMultipartUploadsResult" {
        return Err(broken("the answer is no list of uploads; is this an S3 server?"));
    }
    if root.text_of("IsTruncated") != "true" {
        return Ok(None);
    }
    match unescaped_key(root, root.text_of("NextKeyMarker")) {
        key if key.is_empty() => Err(broken("the list of uploads goes on, and the server does not say where")),
        key => Ok(Some((key, root.text_of("NextUploadIdMarker").to_owned()))),
    }
}

fn read(root: &Element) -> VecDeque<Unfinished> {
    let uploads = root.all("Upload").map(|upload| Unfinished {
        key: unescaped_key(root, upload.text_of("Key")),
        id: upload.text_of("UploadId").to_owned(),
        begun: OffsetDateTime::parse(upload.text_of("Initiated"), &Rfc3339).ok(),
    });
    uploads.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_uploads_says_where_the_next_begins() {
        let list = |inner: &str| {
            let text = format!("<ListMultipartUploadsResult>{inner}</ListMultipartUploadsResult>");
            Element::parse(&text).unwrap()
        };
        let page = list(
            "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>a%2Bb+c</NextKeyMarker>\
             <NextUploadIdMarker>u1</NextUploadIdMarker><Upload><Key>a%2Bb+c</Key><UploadId>u1</UploadId>\
             <Initiated>2026-01-02T03:04:05.678Z</Initiated></Upload>",
        );
        assert_eq!(next_page(&page).unwrap(), Some(("a+b c".to_owned(), "u1".to_owned())));
        let found = read(&page);
        assert_eq!((found[0].key.as_str(), found[0].id.as_str()), ("a+b c", "u1"));
        assert_eq!(found[0].begun.unwrap().year(), 2026);
        assert_eq!(next_page(&list("<IsTruncated>false</IsTruncated>")).unwrap(), None);
        assert!(next_page(&list("<IsTruncated>true</IsTruncated>")).is_err());
        assert!(next_page(&Element::parse("<html></html>").unwrap()).is_err());
    }
}
