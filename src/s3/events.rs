//! What happened to objects and buckets, told to who listens just now (`mc watch`): S3's event records.
//!
//! Owns the record and who it is for. An event is told after the store has acknowledged the change, whether or not the caller
//! waits for that, and made only if somebody listens. It never waits for a listener and keeps nothing for one that comes later.

use std::future::Future;

use http::header::{HOST, USER_AGENT};
use http::{Extensions, HeaderMap};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::Instrument;

use super::convert::OWNER_ID;
use super::error::{Code, Failure};
use crate::auth::Identity;
use crate::http::peer::Peer;
use crate::http::request_id::RequestId;
use crate::telemetry::feed::Feed;

/// The kinds of events that there are: S3's, and what MinIO has beside them. Some never happen here.
const KINDS: [&str; 11] = [
    "s3:ObjectCreated:",
    "s3:ObjectRemoved:",
    "s3:ObjectAccessed:",
    "s3:BucketCreated:",
    "s3:BucketRemoved:",
    "s3:ObjectRestore:",
    "s3:ObjectTransition:",
    "s3:Replication:",
    "s3:LifecycleExpiration:",
    "s3:ObjectTagging:",
    "s3:Scanner:",
];

/// What stands in a query as itself.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b' ');

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Happened {
    name: &'static str,
    at: OffsetDateTime,
    bucket: String,
    /// `None`: to the bucket itself.
    key: Option<String>,
    size: Option<u64>,
    etag: Option<String>,
    user_metadata: Vec<(String, String)>,
    caller: String,
    source: String,
    host: String,
    user_agent: String,
    request: String,
}

/// An event that is told if what it is about comes to pass. Empty while nobody listens.
pub(crate) struct Pending(Option<(Feed<Happened>, Box<Happened>)>);

impl Pending {
    /// What a request is about to do to a bucket, or to a key in it.
    pub(crate) fn of(
        feed: &Feed<Happened>,
        (extensions, headers): (&Extensions, &HeaderMap),
        bucket: &str,
        key: Option<&str>,
    ) -> Self {
        if !feed.is_heard() {
            return Self(None);
        }
        let text = |name| {
            let value: Option<&http::HeaderValue> = headers.get(name);
            value.map_or_else(String::new, |value| {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            })
        };
        let caller = match extensions.get::<Identity>() {
            None | Some(Identity::Anonymous) => String::new(),
            Some(Identity::Root) => "root".to_owned(),
            Some(Identity::Caller(caller)) => caller.account.name().to_owned(),
        };
        let peer = extensions.get::<Peer>();
        let happened = Happened {
            name: "",
            at: OffsetDateTime::now_utc(),
            bucket: bucket.to_owned(),
            key: key.map(str::to_owned),
            size: None,
            etag: None,
            user_metadata: Vec::new(),
            caller,
            source: peer.map_or_else(String::new, |peer| peer.address.to_string()),
            host: text(HOST),
            user_agent: text(USER_AGENT),
            request: extensions
                .get::<RequestId>()
                .map_or_else(String::new, ToString::to_string),
        };
        Self(Some((feed.clone(), Box::new(happened))))
    }

    /// With what the writer said about the object.
    pub(crate) fn said(mut self, metadata: &[(String, String)]) -> Self {
        if let Some((_, happened)) = &mut self.0 {
            happened.user_metadata = metadata.to_vec();
        }
        self
    }

    /// Does what the event is about, and tells it when it is done. Where somebody listens it goes on when the caller leaves,
    /// so that nothing is committed and not told.
    pub(crate) async fn after<T, E>(
        self,
        name: &'static str,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
        object: impl FnOnce(&T) -> Option<(u64, String)> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        if self.0.is_none() {
            return work.await;
        }
        let told = async move {
            let done = work.await;
            if let Ok(done) = &done {
                self.tell(name, object(done));
            }
            done
        };
        match tokio::spawn(told.in_current_span()).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The program ends; nobody is told anything any more.
                Err(_ended) => std::future::pending().await,
            },
        }
    }

    /// It came to pass.
    pub(crate) fn tell(self, name: &'static str, object: Option<(u64, String)>) {
        let Some((feed, mut happened)) = self.0 else { return };
        happened.name = name;
        happened.at = OffsetDateTime::now_utc();
        let (size, etag) = object.unzip();
        (happened.size, happened.etag) = (size, etag);
        feed.tell(|| *happened);
    }
}

/// The key as clients read it. MinIO's own undoes the encoding only where it finds an encoded slash.
fn shown_key(key: &str) -> String {
    if !key.contains(['/', '%', '+']) {
        return key.to_owned();
    }
    utf8_percent_encode(key, PLAIN).to_string().replace(' ', "+")
}

impl Happened {
    /// The line of one event, as S3 writes it.
    pub(super) fn document(&self) -> Value {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let metadata = self.user_metadata.iter();
        let metadata = metadata.map(|(name, value)| (format!("X-Amz-Meta-{name}"), Value::from(value.as_str())));
        let mut object = json!({
            "key": self.key.as_deref().map(shown_key).unwrap_or_default(),
            "sequencer": format!("{:016X}", self.at.unix_timestamp_nanos()),
        });
        if let Some(fields) = object.as_object_mut() {
            fields.extend(self.size.map(|size| ("size".to_owned(), size.into())));
            fields.extend(self.etag.as_deref().map(|etag| ("eTag".to_owned(), etag.into())));
            let metadata: serde_json::Map<String, Value> = metadata.collect();
            if !metadata.is_empty() {
                fields.insert("userMetadata".to_owned(), metadata.into());
            }
        }
        json!({ "Records": [{
            "eventVersion": "2.0",
            "eventSource": "minio:s3",
            "awsRegion": "",
            "eventTime": self.at.format(form).unwrap_or_default(),
            "eventName": self.name,
            "userIdentity": { "principalId": self.caller },
            "requestParameters": { "principalId": self.caller, "region": "", "sourceIPAddress": self.source },
            "responseElements": {
                "x-amz-request-id": self.request,
                "x-minio-origin-endpoint": format!("http://{}", self.host),
            },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "Config",
                "bucket": {
                    "name": self.bucket,
                    "ownerIdentity": { "principalId": OWNER_ID },
                    "arn": format!("arn:aws:s3:::{}", self.bucket),
                },
                "object": object,
            },
            "source": { "host": self.source, "port": "", "userAgent": self.user_agent },
        }] })
    }
}

/// Which events a listener wants.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// `None`: of every bucket.
    pub(super) bucket: Option<String>,
    /// Names, or their beginnings with a `*` behind.
    events: Vec<String>,
    prefix: String,
    suffix: String,
}

impl Wanted {
    /// As the query of a listener says it.
    pub(super) fn read(bucket: Option<String>, query: &[(String, String)]) -> Result<Self, Failure> {
        let one = |name: &str| {
            query
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        let events = query.iter().filter(|(name, _)| name == "events");
        let events: Vec<String> = events
            .flat_map(|(_, value)| value.split(','))
            .filter(|event| !event.is_empty())
            .map(str::to_owned)
            .collect();
        let known = |event: &String| KINDS.iter().any(|kind| event.starts_with(kind));
        if events.is_empty() || !events.iter().all(known) {
            return Err(Failure::because(
                Code::INVALID_ARGUMENT,
                "A specified event is not supported for notifications.",
            ));
        }
        Ok(Self {
            bucket,
            events,
            prefix: one("prefix").unwrap_or_default(),
            suffix: one("suffix").unwrap_or_default(),
        })
    }

    pub(super) fn fits(&self, happened: &Happened) -> bool {
        let named = |event: &String| match event.strip_suffix('*') {
            Some(beginning) => happened.name.starts_with(beginning),
            None => happened.name == event,
        };
        let key = happened.key.as_deref().unwrap_or_default();
        self.bucket.as_ref().is_none_or(|bucket| *bucket == happened.bucket)
            && self.events.iter().any(named)
            && key.starts_with(&self.prefix)
            && key.ends_with(&self.suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shown_so_that_minios_client_reads_them() {
        for (key, shown) in [
            ("plain.txt", "plain.txt"),
            ("a b ü", "a b ü"),
            ("a/b c+d", "a%2Fb+c%2Bd"),
            ("100%", "100%25"),
        ] {
            assert_eq!(shown_key(key), shown);
        }
    }
}
