//! `GET /bucket?events=…` and `GET /?events=…`: MinIO's live stream of events, for `mc watch` and `mc mirror --watch`.
//!
//! Owns the answer without an end. Who was let in hears until the connection ends, or until the caller's temporary credential
//! does.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::request::Parts;
use http::{HeaderValue, Method, Response, header};
use s3s::Body;
use storage_engine::store::name::BucketName;
use time::OffsetDateTime;

use super::convert::bucket_name;
use super::error::{Code, Failure};
use super::events::{Happened, Wanted};
use super::front::Front;
use super::guard::Parameter;
use super::target::Target;
use crate::access::{Action, Resource};
use crate::auth::{Identity, Kind};
use crate::http::stream::{Endless, endless};
use crate::telemetry::feed::{Heard, Listener};

/// How long a stream is silent before something goes out, unless the client says: blanks as MinIO's.
const BEAT: Duration = Duration::from_millis(500);
/// What goes out to a client that asked to be pinged.
const PING: &[u8] = b"{\"Records\":[]}\n";
const PING_SECONDS_MAX: u64 = 3_600;

/// Whether a request wants to listen.
pub(super) fn is_asked(method: &Method, target: Option<&Target>, query: &[Parameter]) -> bool {
    let place = matches!(target, Some(Target::Service | Target::Bucket { .. }));
    place && *method == Method::GET && query.iter().any(|(name, _)| name == "events")
}

/// The stream, for who may listen.
pub(super) async fn answer(
    front: &Front,
    parts: &Parts,
    target: &Target,
    query: &[Parameter],
) -> Result<Response<Body>, Failure> {
    let bucket = match target {
        Target::Bucket { bucket } => Some(bucket_name(bucket.clone())?),
        Target::Service | Target::Object { .. } => None,
    };
    may_listen(front, parts, bucket.as_ref()).await?;
    let wanted = Wanted::read(bucket.map(|bucket| bucket.as_str().to_owned()), query)?;
    let ping = query.iter().find(|(name, _)| name == "ping");
    let ping = match ping {
        Some((_, seconds)) => match seconds.parse() {
            Ok(seconds @ 1..=PING_SECONDS_MAX) => Some(Duration::from_secs(seconds)),
            Ok(_) | Err(_) => return Err(Failure::argument("The parameter ping is no number of seconds.")),
        },
        None => None,
    };
    let listener = front.events().listen().map_err(|_| Failure::new(Code::SLOW_DOWN))?;
    let (beat, blank) = ping.map_or((BEAT, b" ".as_slice()), |every| (every, PING));
    let body = endless(documents(listener, wanted, ends(parts)), beat, blank);
    let mut response = Response::new(Body::http_body_unsync(body));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.extensions_mut().insert(Endless);
    Ok(response)
}

async fn may_listen(front: &Front, parts: &Parts, bucket: Option<&BucketName>) -> Result<(), Failure> {
    let Some(bucket) = bucket else {
        let all = front.open(&parts.extensions, Action::ListenNotification, Resource::Service);
        return all.await.map(drop);
    };
    let resource = Resource::Bucket(bucket.as_str());
    let store = front
        .open(&parts.extensions, Action::ListenBucketNotification, resource)
        .await?;
    store.head_bucket(bucket).await?;
    Ok(())
}

/// When the caller's credential ends; `None`: not by itself.
fn ends(parts: &Parts) -> Option<OffsetDateTime> {
    match parts.extensions.get::<Identity>() {
        Some(Identity::Caller(caller)) => match caller.kind {
            Kind::Temporary { expires } => Some(expires),
            Kind::User | Kind::AccessKey => None,
        },
        Some(Identity::Root | Identity::Anonymous) | None => None,
    }
}

fn documents(
    listener: Listener<Happened>,
    wanted: Wanted,
    ends: Option<OffsetDateTime>,
) -> impl stream::Stream<Item = Bytes> + Send {
    let left = ends.map(|ends| Duration::try_from(ends - OffsetDateTime::now_utc()).unwrap_or_default());
    let deadline = left.map(|left| tokio::time::Instant::now() + left);
    stream::unfold((listener, wanted), move |(mut listener, wanted)| async move {
        loop {
            let heard = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, listener.next()).await.ok()??,
                None => listener.next().await?,
            };
            match heard {
                Heard::Told(happened) if wanted.fits(&happened) => {
                    let document = Bytes::from(format!("{}\n", happened.document()));
                    return Some((document, (listener, wanted)));
                }
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
