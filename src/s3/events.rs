//! What happened to objects and buckets, told to who listens just now (`mc watch`): S3's event records.
//!
//! Owns the record and who it is for. An event is told after the store has acknowledged the change, whether or not the caller
//! waits for that, to who listens by then. It never waits for a listener and keeps nothing for one that comes later.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{HOST, USER_AGENT};
use http::{Extensions, HeaderMap};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::runtime::Handle;
use tracing::Instrument;

use super::convert::OWNER_ID;
use super::error::{Code, Failure};
use crate::auth::Identity;
use crate::http::peer::Peer;
use crate::http::request_id::RequestId;
use crate::http::turn::Turn;
use crate::telemetry::feed::Feed;

/// What listeners are told of a bucket's end.
pub(super) const BUCKET_REMOVED: &str = "s3:BucketRemoved:*";

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

/// An event that is told if what it is about comes to pass.
pub(crate) struct Pending {
    feed: Feed<Happened>,
    happened: Box<Happened>,
    /// Of the request.
    turn: Option<Turn>,
    /// What it is about ends by itself when its caller has left.
    by_itself: bool,
}

impl Pending {
    /// What a request is about to do to a bucket, or to a key in it. Made also while nobody listens: somebody may, before it
    /// is done.
    pub(crate) fn of(
        feed: &Feed<Happened>,
        (extensions, headers): (&Extensions, &HeaderMap),
        bucket: &str,
        key: Option<&str>,
    ) -> Self {
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
        Self {
            feed: feed.clone(),
            happened: Box::new(happened),
            turn: extensions.get::<Turn>().cloned(),
            by_itself: false,
        }
    }

    /// With what the writer said about the object.
    pub(crate) fn said(mut self, metadata: &[(String, String)]) -> Self {
        self.happened.user_metadata = metadata.to_vec();
        self
    }

    /// Of something that the store does to the end once it has begun, whether or not its caller stays.
    pub(crate) fn by_itself(self) -> Self {
        Self {
            by_itself: true,
            ..self
        }
    }

    /// Does what the event is about, and tells it when it is done. Where somebody listens it goes on when the caller leaves,
    /// so that nothing is committed and not told; it keeps the request's turn until then.
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
        let tells = |_: &T| true;
        self.after_if(name, work, (tells, object)).await
    }

    /// The same, where what was done may be no news.
    pub(crate) async fn after_if<T, E>(
        self,
        name: &'static str,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
        (is_news, object): (
            impl FnOnce(&T) -> bool + Send + 'static,
            impl FnOnce(&T) -> Option<(u64, String)> + Send + 'static,
        ),
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (feed, turn, by_itself) = (self.feed.clone(), self.turn.clone(), self.by_itself);
        let told = async move {
            let done = work.await;
            if let Ok(done) = &done
                && is_news(done)
            {
                self.tell(name, object(done));
            }
            done
        };
        let staying = Staying {
            work: Some(Box::pin(told.in_current_span())),
            feed,
            turn,
            by_itself,
        };
        staying.await
    }

    /// It came to pass.
    pub(crate) fn tell(self, name: &'static str, object: Option<(u64, String)>) {
        let Self { feed, mut happened, .. } = self;
        feed.tell(|| {
            happened.name = name;
            happened.at = OffsetDateTime::now_utc();
            (happened.size, happened.etag) = object.unzip();
            *happened
        });
    }
}

/// Work that goes on by itself where it is dropped before its end while somebody listens.
struct Staying<T: Send + 'static> {
    /// `None`: it has ended.
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    feed: Feed<Happened>,
    turn: Option<Turn>,
    by_itself: bool,
}

impl<T: Send + 'static> Future for Staying<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Out of its place: after a panic nothing goes on.
        let Some(mut work) = self.work.take() else {
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Staying<T> {
    fn drop(&mut self) {
        let goes_on = self.by_itself || self.feed.is_heard();
        let work = self.work.take().filter(|_| goes_on);
        // Without a runtime the program ends; nobody is told anything any more.
        if let (Some(work), Ok(runtime)) = (work, Handle::try_current()) {
            let turn = self.turn.take();
            runtime.spawn(async move {
                drop(work.await);
                drop(turn);
            });
        }
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
    /// Whether a bucket ended by it.
    pub(super) fn removes_bucket(&self) -> bool {
        self.name == BUCKET_REMOVED
    }

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
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::Semaphore;
    use tokio::sync::oneshot::{self, Sender};

    use super::*;
    use crate::telemetry::feed::{Heard, Listener};

    /// A write of one key, waiting for the other end to say how it went.
    fn writing(
        feed: &Feed<Happened>,
        extensions: &Extensions,
    ) -> (Sender<Result<u64, ()>>, impl Future<Output = Result<u64, ()>> + use<>) {
        let (end, ended) = oneshot::channel();
        let pending = Pending::of(feed, (extensions, &HeaderMap::new()), "bucket", Some("k"));
        let work = async move { ended.await.unwrap() };
        let write = pending.after("s3:ObjectCreated:Put", work, |size| Some((*size, "etag".to_owned())));
        (end, write)
    }

    /// What one of so many requests at a time carries.
    fn with_turn(turns: &Arc<Semaphore>) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(Turn::of(Arc::clone(turns).try_acquire_owned().unwrap()));
        extensions
    }

    async fn hears(listener: &mut Listener<Happened>) -> Arc<Happened> {
        let heard = tokio::time::timeout(Duration::from_secs(60), listener.next()).await;
        match heard.unwrap().unwrap() {
            Heard::Told(told) => told,
            Heard::Missed(missed) => panic!("missed {missed}"),
        }
    }

    /// A listener looks through what is there after it has begun to listen: what was not there by then must be told.
    #[tokio::test]
    async fn a_write_that_began_while_nobody_listened_is_told_to_who_listens_when_it_is_done() {
        let feed = Feed::default();
        let (end, write) = writing(&feed, &Extensions::new());
        let mut write = Box::pin(write);
        assert!(futures::poll!(&mut write).is_pending());
        let mut listener = feed.listen().unwrap();
        end.send(Ok(7)).unwrap();
        assert_eq!(write.await, Ok(7));
        assert_eq!(hears(&mut listener).await.size, Some(7));
    }

    #[tokio::test]
    async fn what_goes_on_without_its_caller_keeps_the_turn_of_the_request_to_its_end() {
        let (feed, turns) = (Feed::default(), Arc::new(Semaphore::new(1)));
        let mut listener = feed.listen().unwrap();
        let (end, write) = writing(&feed, &with_turn(&turns));
        let mut write = Box::pin(write);
        assert!(futures::poll!(&mut write).is_pending());
        drop(write);
        tokio::task::yield_now().await;
        assert_eq!(turns.available_permits(), 0, "another request could begin");
        end.send(Ok(7)).unwrap();
        assert_eq!(hears(&mut listener).await.size, Some(7));
        let again = tokio::time::timeout(Duration::from_secs(60), turns.acquire()).await;
        drop(again.unwrap().unwrap());
    }

    #[tokio::test]
    async fn where_nobody_listens_what_its_caller_leaves_ends_unless_the_store_ends_it_anyway() {
        let (feed, turns) = (Feed::<Happened>::default(), Arc::new(Semaphore::new(1)));
        let (end, write) = writing(&feed, &with_turn(&turns));
        let mut write = Box::pin(write);
        assert!(futures::poll!(&mut write).is_pending());
        drop(write);
        assert!(end.is_closed());
        assert_eq!(turns.available_permits(), 1);

        let (end, ended) = oneshot::channel();
        let pending = Pending::of(&feed, (&Extensions::new(), &HeaderMap::new()), "bucket", None);
        let work = async move { ended.await.map_err(drop) };
        let mut removal = Box::pin(pending.by_itself().after(BUCKET_REMOVED, work, |()| None));
        assert!(futures::poll!(&mut removal).is_pending());
        drop(removal);
        let mut listener = feed.listen().unwrap();
        end.send(()).unwrap();
        assert!(hears(&mut listener).await.removes_bucket());
    }

    #[tokio::test]
    async fn what_failed_or_was_done_before_is_told_to_nobody() {
        let feed = Feed::default();
        let mut listener = feed.listen().unwrap();
        let (end, write) = writing(&feed, &Extensions::new());
        end.send(Err(())).unwrap();
        assert_eq!(write.await, Err(()));
        for is_news in [false, true] {
            let pending = Pending::of(&feed, (&Extensions::new(), &HeaderMap::new()), "bucket", None);
            let work = async move { Ok::<_, ()>(is_news) };
            let told = pending.after_if(
                "s3:ObjectCreated:Put",
                work,
                (|is_news: &bool| *is_news, |_: &bool| None),
            );
            assert_eq!(told.await, Ok(is_news));
        }
        hears(&mut listener).await;
        assert!(futures::poll!(Box::pin(listener.next())).is_pending());
    }

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
