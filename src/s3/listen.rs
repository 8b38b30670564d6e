//! `GET /bucket?events=…` and `GET /?events=…`: MinIO's live stream of events, for `mc watch` and `mc mirror --watch`.
//!
//! Owns the answer without an end. Who was let in hears until the connection ends, or until the caller may not listen any
//! more: that is looked at before every event and every two seconds. Who listens to a bucket by rights of that bucket's hears
//! last that it was removed, and nothing of another that gets its name.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::request::Parts;
use http::{Extensions, HeaderValue, Method, Response, header};
use s3s::Body;
use storage_engine::store::Store;
use storage_engine::store::name::BucketName;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::convert::bucket_name;
use super::error::{Code, Failure};
use super::events::{Happened, Wanted};
use super::front::Front;
use super::guard::Parameter;
use super::target::Target;
use crate::access::{Action, RequestFacts, Resource};
use crate::auth::{Account, Identity, Kind, Standing};
use crate::http::stream::{Endless, endless};
use crate::http::turn::Turn;
use crate::telemetry::feed::{Heard, Listener};

/// How long a stream is silent before something goes out, unless the client says: blanks as MinIO's.
const BEAT: Duration = Duration::from_millis(500);
/// What goes out to a client that asked to be pinged.
const PING: &[u8] = b"{\"Records\":[]}\n";
const PING_SECONDS_MAX: u64 = 3_600;
/// How long a listener whose rights went may go on where nothing happens.
const LOOK: Duration = Duration::from_secs(2);

/// Whether a request wants to listen.
pub(super) fn is_asked(method: &Method, target: Option<&Target>, query: &[Parameter]) -> bool {
    let place = matches!(target, Some(Target::Service | Target::Bucket { .. }));
    place && *method == Method::GET && query.iter().any(|(name, _)| name == "events")
}

/// The stream, for who may listen.
pub(super) async fn answer(
    front: &Arc<Front>,
    parts: &Parts,
    target: &Target,
    query: &[Parameter],
) -> Result<Response<Body>, Failure> {
    let bucket = match target {
        Target::Bucket { bucket } => Some(bucket_name(bucket.clone())?),
        Target::Service | Target::Object { .. } => None,
    };
    let store = may_listen(front, &parts.extensions, bucket.as_ref()).await?;
    if let Some(bucket) = &bucket {
        store.head_bucket(bucket).await?;
    }
    let name = bucket.as_ref().map(|bucket| bucket.as_str().to_owned());
    let wanted = Wanted::read(name, query)?;
    let ping = query.iter().find(|(name, _)| name == "ping");
    let ping = match ping {
        Some((_, seconds)) => match seconds.parse() {
            Ok(seconds @ 1..=PING_SECONDS_MAX) => Some(Duration::from_secs(seconds)),
            Ok(_) | Err(_) => return Err(Failure::argument("The parameter ping is no number of seconds.")),
        },
        None => None,
    };
    let listener = front
        .events()
        .listen_as(account(&parts.extensions))
        .map_err(|_| Failure::new(Code::SLOW_DOWN))?;
    let mut extensions = parts.extensions.clone();
    // Who listens holds up nobody who waits for a turn.
    extensions.remove::<Turn>();
    let right = Right {
        front: Arc::clone(front),
        extensions,
        bucket,
        ends: ends(&parts.extensions),
        looked: Instant::now(),
    };
    let (beat, blank) = ping.map_or((BEAT, b" ".as_slice()), |every| (every, PING));
    let body = endless(documents(listener, wanted, right), beat, blank);
    let mut response = Response::new(Body::http_body_unsync(body));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.extensions_mut().insert(Endless);
    Ok(response)
}

/// The store, for who may listen.
async fn may_listen(front: &Front, extensions: &Extensions, bucket: Option<&BucketName>) -> Result<Store, Failure> {
    let (action, resource) = match bucket {
        None => (Action::ListenNotification, Resource::Service),
        Some(bucket) => (Action::ListenBucketNotification, Resource::Bucket(bucket.as_str())),
    };
    front.open(extensions, action, resource).await
}

/// The account whose listeners are bounded; root's are not.
fn account(extensions: &Extensions) -> Option<&str> {
    match extensions.get::<Identity>() {
        Some(Identity::Root) => None,
        Some(Identity::Caller(caller)) => match &caller.account {
            Account::Root => None,
            account @ (Account::User(_) | Account::Federated(_) | Account::Role(_)) => Some(account.name()),
        },
        // All of them together.
        Some(Identity::Anonymous) | None => Some(""),
    }
}

/// When the caller's credential ends; `None`: not by itself.
fn ends(extensions: &Extensions) -> Option<Instant> {
    let expires = match extensions.get::<Identity>() {
        Some(Identity::Caller(caller)) => match caller.kind {
            Kind::Temporary { expires } => expires,
            Kind::User | Kind::AccessKey => return None,
        },
        Some(Identity::Root | Identity::Anonymous) | None => return None,
    };
    let left = Duration::try_from(expires - OffsetDateTime::now_utc()).unwrap_or_default();
    Some(Instant::now() + left)
}

/// The right to listen, which may go while somebody does.
struct Right {
    front: Arc<Front>,
    /// Of the request, with who the caller was at the last look.
    extensions: Extensions,
    bucket: Option<BucketName>,
    ends: Option<Instant>,
    looked: Instant,
}

impl Right {
    /// When to look again.
    fn due(&self) -> Instant {
        let look = self.looked + LOOK;
        self.ends.map_or(look, |ends| ends.min(look))
    }

    /// Whether the caller may listen, by what is true now.
    async fn stands(&mut self) -> Stands {
        self.looked = Instant::now();
        if self.ends.is_some_and(|ends| ends <= self.looked) {
            return Stands::No;
        }
        let now = OffsetDateTime::now_utc();
        if let Some(facts) = self.extensions.get_mut::<RequestFacts>() {
            facts.look_again(now);
        }
        if let Some(standing) = self.extensions.get::<Standing>() {
            let Some(identity) = standing.identity(now) else {
                return Stands::No;
            };
            self.extensions.insert(identity);
        }
        match may_listen(&self.front, &self.extensions, self.bucket.as_ref()).await {
            Ok(_) => Stands::Yes,
            Err(failure) if failure.code == Code::NO_SUCH_BUCKET => Stands::WasRemoved,
            Err(_) => Stands::No,
        }
    }
}

/// What became of a right to listen.
enum Stands {
    Yes,
    No,
    /// It hung on a bucket that is gone.
    WasRemoved,
}

fn line(happened: &Happened) -> Bytes {
    Bytes::from(format!("{}\n", happened.document()))
}

/// The last that is heard of a bucket that is gone: that it was. It may be told a little later than it can be seen.
async fn removal(listener: &mut Listener<Happened>, wanted: &Wanted) -> Option<Bytes> {
    let until = Instant::now() + LOOK;
    loop {
        match tokio::time::timeout_at(until, listener.next()).await.ok()?? {
            Heard::Told(happened) if happened.removes_bucket() && wanted.fits(&happened) => {
                return Some(line(&happened));
            }
            // Whose it was nobody can tell any more: the name may have been another bucket's meanwhile.
            Heard::Told(_) => {}
            Heard::Missed(_) => return None,
        }
    }
}

fn documents(listener: Listener<Happened>, wanted: Wanted, right: Right) -> impl stream::Stream<Item = Bytes> + Send {
    stream::unfold(Some((listener, wanted, right)), |listening| async move {
        let (mut listener, wanted, mut right) = listening?;
        loop {
            if right.due() <= Instant::now() {
                match right.stands().await {
                    Stands::Yes => {}
                    Stands::No => return None,
                    Stands::WasRemoved => return Some((removal(&mut listener, &wanted).await?, None)),
                }
            }
            let Ok(heard) = tokio::time::timeout_at(right.due(), listener.next()).await else {
                continue;
            };
            match heard? {
                Heard::Told(happened) if wanted.fits(&happened) => match right.stands().await {
                    Stands::Yes => return Some((line(&happened), Some((listener, wanted, right)))),
                    Stands::No => return None,
                    Stands::WasRemoved if happened.removes_bucket() => return Some((line(&happened), None)),
                    Stands::WasRemoved => return Some((removal(&mut listener, &wanted).await?, None)),
                },
                Heard::Told(_) => {}
                // Who hears the end knows that there is something to look for.
                Heard::Missed(missed) => {
                    tracing::warn!(missed, "a listener of events was too slow and missed some");
                    return None;
                }
            }
        }
    })
}
