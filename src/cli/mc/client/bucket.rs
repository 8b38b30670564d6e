//! Buckets: which there are, making and removing them, and the documents that hang on them.

use bytes::Bytes;
use http::{HeaderMap, Method};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::object::xml_headers;
use super::{Ask, Client, ClientError, Element, element};
use crate::auth::sign::PostForm;

/// The form of an upload by POST, and where it goes.
pub(in crate::cli::mc) struct PostedForm {
    pub(in crate::cli::mc) url: String,
    pub(in crate::cli::mc) fields: Vec<(String, String)>,
}

impl Client {
    /// Every bucket with the time it was made.
    pub(in crate::cli::mc) async fn buckets(&self) -> Result<Vec<(String, Option<OffsetDateTime>)>, ClientError> {
        let root = self.xml(&Ask::of(Method::GET, "", "")).await?;
        let buckets = root.child("Buckets");
        let found = buckets.into_iter().flat_map(|buckets| buckets.all("Bucket"));
        Ok(found
            .map(|bucket| {
                let made = OffsetDateTime::parse(bucket.text_of("CreationDate"), &Rfc3339).ok();
                (bucket.text_of("Name").to_owned(), made)
            })
            .collect())
    }

    /// Whether a bucket is there.
    pub(in crate::cli::mc) async fn has_bucket(&self, bucket: &str) -> Result<bool, ClientError> {
        let mut head = self.ask(&Ask::of(Method::HEAD, bucket, "")).await.map(drop);
        if let Err(error) = head {
            head = Err(match error.is_unexplained() {
                true => self.explained(error, bucket, "").await,
                false => error,
            });
        }
        match head {
            Ok(()) => Ok(true),
            Err(error) if error.code() == "NoSuchBucket" => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a bucket. `region` is sent only where it is not the default one.
    pub(in crate::cli::mc) async fn make_bucket(
        &self,
        bucket: &str,
        region: &str,
        lock: bool,
    ) -> Result<(), ClientError> {
        let mut ask = Ask::of(Method::PUT, bucket, "");
        if !matches!(region, "" | "us-east-1") {
            let inner = element("LocationConstraint", region);
            ask.body = format!("<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>").into();
        }
        if lock {
            ask.headers
                .insert("x-amz-bucket-object-lock-enabled", super::header_value("true")?);
        }
        self.ask(&ask).await.map(drop)
    }

    /// Removes an empty bucket.
    pub(in crate::cli::mc) async fn remove_bucket(&self, bucket: &str) -> Result<(), ClientError> {
        self.ask(&Ask::of(Method::DELETE, bucket, "")).await.map(drop)
    }

    /// The document behind `?name` of a bucket or an object, as it came.
    pub(in crate::cli::mc) async fn document(
        &self,
        bucket: &str,
        key: &str,
        name: &str,
    ) -> Result<String, ClientError> {
        let ask = Ask {
            query: &[(name, "")],
            ..Ask::of(Method::GET, bucket, key)
        };
        self.text(&ask).await
    }

    /// The XML document behind `?name` of a bucket.
    pub(in crate::cli::mc) async fn xml_document(&self, bucket: &str, name: &str) -> Result<Element, ClientError> {
        let ask = Ask {
            query: &[(name, "")],
            ..Ask::of(Method::GET, bucket, "")
        };
        self.xml(&ask).await
    }

    /// Puts a document there.
    pub(in crate::cli::mc) async fn put_document(
        &self,
        (bucket, key): (&str, &str),
        name: &str,
        document: String,
    ) -> Result<(), ClientError> {
        let headers = if document.starts_with('<') {
            xml_headers(document.as_bytes())?
        } else {
            HeaderMap::new()
        };
        let ask = Ask {
            query: &[(name, "")],
            headers,
            body: Bytes::from(document),
            ..Ask::of(Method::PUT, bucket, key)
        };
        self.ask(&ask).await.map(drop)
    }

    /// Takes a document away.
    pub(in crate::cli::mc) async fn remove_document(
        &self,
        bucket: &str,
        key: &str,
        name: &str,
    ) -> Result<(), ClientError> {
        let ask = Ask {
            query: &[(name, "")],
            ..Ask::of(Method::DELETE, bucket, key)
        };
        self.ask(&ask).await.map(drop)
    }

    /// The form with which whoever has it uploads one key, or with `prefix` every key below it.
    pub(in crate::cli::mc) fn post_form(
        &self,
        (bucket, key): (&str, &str),
        prefix: bool,
        content_type: Option<&str>,
        seconds: u32,
    ) -> Result<PostedForm, ClientError> {
        let signer = self
            .signer()
            .ok_or_else(|| ClientError::Unfit("an anonymous alias cannot sign forms".into()))?;
        let now = OffsetDateTime::now_utc();
        let expiry = (now + Duration::seconds(i64::from(seconds)))
            .replace_nanosecond(0)
            .unwrap_or(now);
        let expiration = expiry.format(&Rfc3339).unwrap_or_default();
        let form = signer.post_form(now, |fields| {
            let equal = |name: &str, value: &str| serde_json::json!(["eq", format!("${name}"), value]);
            let mut conditions = vec![equal("bucket", bucket)];
            conditions.push(if prefix {
                serde_json::json!(["starts-with", "$key", key])
            } else {
                equal("key", key)
            });
            conditions.extend(content_type.map(|kind| equal("Content-Type", kind)));
            conditions.extend(fields.iter().map(|(name, value)| equal(name, value)));
            let policy = serde_json::json!({ "expiration": expiration, "conditions": conditions });
            base64_simd::STANDARD.encode_to_string(policy.to_string())
        });
        let PostForm { policy, fields } = form;
        let mut fields: Vec<(String, String)> = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        fields.push(("bucket".into(), bucket.to_owned()));
        fields.push(("policy".into(), policy));
        fields.extend(content_type.map(|kind| ("Content-Type".to_owned(), kind.to_owned())));
        fields.push((
            "key".into(),
            if prefix { format!("{key}<NAME>") } else { key.to_owned() },
        ));
        let url = format!("{}/{bucket}/", self.url());
        Ok(PostedForm { url, fields })
    }
}
