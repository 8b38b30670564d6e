//! Answers without an end: `mc admin trace`, `mc admin logs`, and samples of what the store does by itself (`mc admin scanner
//! status`). Each ends with its client, with the server, or when its client may not ask for it any more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use http::StatusCode;
use serde_json::{Value, json};
use storage_engine::backend::Backend;
use storage_engine::embedded::heal::HealStatus;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::error::AdminError;
use super::heal::Healing;
use super::identities::Permission;
use super::query::Query;
use super::usage::shown;
use super::{Reach, permitted};
use crate::access::{Action, RequestFacts};
use crate::auth::Standing;
use crate::http::body::Body;
use crate::http::health::{drives_in, is_in_service};
use crate::http::stream::endless;
use crate::telemetry::feed::{Feed, Heard, Listener, TooMany};
use crate::telemetry::journal::{Journal, Line};
use crate::telemetry::trace::Traced;

/// How long a stream is silent before a blank goes out, as MinIO's.
const BEAT: Duration = Duration::from_secs(1);
const BLANK: &[u8] = b" ";
/// How long a stream goes on for who may not ask for it any more.
const LOOK: Duration = Duration::from_secs(1);

/// What can be listened to.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    pub trace: Feed<Traced>,
    pub journal: Journal,
    /// Nothing is told in it: it counts and ends those who are sent samples.
    pub samples: Feed<()>,
}

/// The kinds of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests, as they are answered.
    Trace,
    /// The log.
    Log,
    /// How far what the store does by itself is.
    Samples,
}

impl Kind {
    /// Rights that open it.
    pub(super) fn actions(self) -> &'static [Action] {
        match self {
            Self::Trace => &[Action::AdminServerTrace],
            Self::Log => &[Action::AdminConsoleLog],
            Self::Samples => &[Action::AdminServerInfo],
        }
    }
}

/// The right to a stream, which may go while the stream goes on.
pub(super) struct Right {
    /// `None`: nobody can say what became of the caller.
    standing: Option<Standing>,
    facts: RequestFacts,
    actions: &'static [Action],
    looked: Instant,
}

impl Right {
    /// Of a caller who was let in just now.
    pub(super) fn to(kind: Kind, standing: Option<&Standing>, facts: &RequestFacts) -> Self {
        Self {
            standing: standing.cloned(),
            facts: facts.clone(),
            actions: kind.actions(),
            looked: Instant::now(),
        }
    }

    fn due(&self) -> Instant {
        self.looked + LOOK
    }

    /// Whether the caller may have the stream, by what is true now.
    fn stands(&mut self) -> bool {
        self.looked = Instant::now();
        let Some(standing) = &self.standing else { return true };
        let now = OffsetDateTime::now_utc();
        self.facts.look_again(now);
        let identity = standing.identity(now);
        identity.is_some_and(|identity| permitted(&identity, Permission::AnyOf(self.actions), &self.facts).is_ok())
    }
}

/// The same documents, as long as the right to them stands.
fn while_it_stands(
    documents: impl Stream<Item = Bytes> + Send + 'static,
    right: Right,
) -> impl Stream<Item = Bytes> + Send {
    stream::unfold((Box::pin(documents), right), |(mut documents, mut right)| async move {
        loop {
            if right.due() <= Instant::now() && !right.stands() {
                return None;
            }
            if let Ok(document) = tokio::time::timeout_at(right.due(), documents.next()).await {
                return Some((document?, (documents, right)));
            }
        }
    })
}

/// Begins a stream.
pub(super) fn open(kind: Kind, reach: &Reach, (query, host): (&Query, &str), right: Right) -> Result<Body, AdminError> {
    match kind {
        Kind::Trace => trace(&reach.streams, query, right),
        Kind::Log => log(&reach.streams, query, (&reach.backend.health().store, host), right),
        Kind::Samples => {
            let sources = (Arc::clone(&reach.backend), reach.healing.clone());
            samples(&reach.streams, query, (sources, host), right)
        }
    }
}

impl From<TooMany> for AdminError {
    /// Not 429 or 503: MinIO's clients would ask again at once.
    fn from(_: TooMany) -> Self {
        Self::Minio {
            code: "XDrystoneTooManyRequests",
            status: StatusCode::BAD_REQUEST,
            message: "As many listen already as can at a time.".into(),
        }
    }
}

/// A duration as Go's clients write it, such as `1m0.5s`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut whole = Duration::ZERO;
    while !rest.is_empty() && rest != "0" {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let unit = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(unit)?;
        let seconds = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let one = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        whole = whole.checked_add(one)?;
        rest = behind;
    }
    Some(whole)
}

/// Which requests a listener wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    s3: bool,
    internal: bool,
    failed_only: bool,
    longer_than: Duration,
}

/// What MinIO traces beside requests, and this server does not.
const UNTRACED: [&str; 16] = [
    "storage",
    "os",
    "scanner",
    "decommission",
    "healing",
    "batch-replication",
    "batch-keyrotation",
    "batch-expire",
    "rebalance",
    "replication-resync",
    "bootstrap",
    "ftp",
    "ilm",
    "kms",
    "formatting",
    "batch-all",
];

impl Wanted {
    fn read(query: &Query) -> Result<Self, AdminError> {
        let (s3, internal) = (query.is_true("s3"), query.is_true("internal"));
        if !s3 && !internal && UNTRACED.iter().any(|kind| query.is_true(kind)) {
            return Err(AdminError::NotBuilt("A trace of anything but requests"));
        }
        let threshold = query.get("threshold").unwrap_or("0");
        let longer_than = go_duration(threshold)
            .ok_or_else(|| AdminError::Argument("The parameter threshold is no duration.".into()))?;
        Ok(Self {
            // Who does not say what wants what there always was.
            s3: s3 || !internal,
            internal,
            failed_only: query.is_true("err"),
            longer_than,
        })
    }

    fn fits(&self, traced: &Traced) -> bool {
        let kind = if traced.s3 { self.s3 } else { self.internal };
        kind && (traced.failed || !self.failed_only) && traced.took >= self.longer_than
    }
}

/// The documents that `shown` makes of what a listener hears.
fn heard<T: Send + Sync + 'static>(
    listener: Listener<T>,
    shown: impl Fn(&T) -> Option<Bytes> + Send + 'static,
) -> impl Stream<Item = Bytes> + Send {
    stream::unfold((listener, shown), |(mut listener, shown)| async move {
        loop {
            match listener.next().await? {
                Heard::Told(told) => {
                    if let Some(document) = shown(&told) {
                        return Some((document, (listener, shown)));
                    }
                }
                Heard::Missed(missed) => tracing::debug!(missed, "a listener was too slow"),
            }
        }
    })
}

/// `GET trace`.
fn trace(streams: &Streams, query: &Query, right: Right) -> Result<Body, AdminError> {
    let wanted = Wanted::read(query)?;
    let listener = streams.trace.listen()?;
    let documents = heard(listener, move |traced: &Traced| {
        wanted.fits(traced).then(|| traced.document.clone())
    });
    Ok(endless(while_it_stands(documents, right), BEAT, BLANK))
}

/// A line as MinIO's clients read it. Without a deployment they drop it.
fn line_document(line: &Line, deployment: &str, node: &str) -> Bytes {
    let level = match line.level {
        tracing::Level::ERROR => "ERROR",
        tracing::Level::WARN => "WARNING",
        tracing::Level::INFO => "INFO",
        tracing::Level::DEBUG | tracing::Level::TRACE => "DEBUG",
    };
    let at = shown(line.at);
    let document = json!({
        "deploymentid": deployment,
        "level": level,
        "errKind": "minio",
        "time": at,
        "node": node,
        "message": line.text,
        "ConsoleMsg": format!("{at} {level} {}", line.text),
    });
    Bytes::from(format!("{document}\n"))
}

/// `GET log`: the last lines, then those that come.
fn log(streams: &Streams, query: &Query, (deployment, host): (&str, &str), right: Right) -> Result<Body, AdminError> {
    let limit = match query.get("limit").map(str::parse) {
        // As clients say that they want all there is.
        None | Some(Ok(0)) => usize::MAX,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => return Err(AdminError::Argument("The parameter limit is no number.".into())),
    };
    let ours = match query.get("logType").map(str::to_ascii_lowercase).as_deref() {
        None | Some("all" | "minio") => true,
        // Every line here is the server's own.
        Some("application") => false,
        Some(_) => return Err(AdminError::Argument("The parameter logType is not known.".into())),
    };
    let here = query.get("node").is_none_or(|node| node == host);
    let (lines, listener) = streams.journal.listen(limit)?;
    let deployment = if deployment.is_empty() { "unknown" } else { deployment };
    let (deployment, host) = (deployment.to_owned(), host.to_owned());
    let shown = move |line: &Line| (ours && here).then(|| line_document(line, &deployment, &host));
    let before: Vec<Bytes> = lines.iter().filter_map(|line| shown(line)).collect();
    let documents = stream::iter(before).chain(heard(listener, shown));
    Ok(endless(while_it_stands(documents, right), BEAT, BLANK))
}

/// Bits of the kinds of samples there are.
const SCANNER: u64 = 1;
const DISK: u64 = 2;

/// What a client wants to be sent, and how often.
struct Sampling {
    types: u64,
    /// 0: without end.
    count: u64,
    interval: Duration,
    by_host: bool,
}

impl Sampling {
    fn read(query: &Query) -> Result<Self, AdminError> {
        let number = |name: &'static str| match query.get(name) {
            Some(text) => text
                .parse::<u64>()
                .map_err(|_| AdminError::Argument(format!("The parameter {name} is no number."))),
            None => Ok(0),
        };
        let types = match number("types")? {
            0 => SCANNER | DISK,
            types if types & (SCANNER | DISK) == 0 => {
                return Err(AdminError::NotBuilt(
                    "Samples of anything but the scanner and the drives",
                ));
            }
            types => types,
        };
        let interval = go_duration(query.get("interval").unwrap_or("1s"))
            .ok_or_else(|| AdminError::Argument("The parameter interval is no duration.".into()))?;
        Ok(Self {
            types,
            count: number("n")?,
            interval: interval.max(Duration::from_millis(100)),
            by_host: query.is_true("by-host"),
        })
    }
}

/// Where samples come from.
struct Sampled {
    backend: Arc<dyn Backend>,
    healing: Option<Arc<dyn Healing>>,
    host: String,
}

/// What MinIO's scanner is here: the scrub. Its cycle ends when every drive is verified.
fn scanner(status: &HealStatus, at: &str) -> Value {
    let passes = status.scrubs.iter().filter_map(|scrub| scrub.passed_at);
    let ends = passes
        .min()
        .filter(|_| status.scrubs.iter().all(|scrub| scrub.passed_at.is_some()));
    let ends = ends.and_then(|seconds| OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok());
    let verified: u64 = status.scrubs.iter().map(|scrub| scrub.verified).sum();
    let going_on = status.scrubs.iter().filter(|scrub| scrub.verified < scrub.segments);
    let active = going_on.map(|scrub| format!("{} {}/{} segments", scrub.path, scrub.verified, scrub.segments));
    json!({
        "collected": at,
        "cycle_complete_times": ends.map(shown).into_iter().collect::<Vec<_>>(),
        "life_time_ops": { "verify_segment": verified, "heal_shard": status.shards_healed },
        "last_minute": { "actions": {} },
        "active": active.collect::<Vec<_>>(),
    })
}

impl Sampled {
    fn document(&self, sampling: &Sampling, last: bool) -> Bytes {
        let at = shown(OffsetDateTime::now_utc());
        let health = self.backend.health();
        let mut sums = serde_json::Map::new();
        if let (true, Some(healing)) = (sampling.types & SCANNER != 0, &self.healing) {
            sums.insert("scanner".into(), scanner(&healing.status(), &at));
        }
        if sampling.types & DISK != 0 {
            let healing = self.healing.as_ref().map(|healing| healing.status());
            let healing = healing.iter().flat_map(|status| &status.drives);
            let healing = healing.filter(|drive| drive.shards_left > 0).count();
            let away = health.drives.iter().filter(|drive| !is_in_service(drive.state)).count();
            let disk = json!({
                "collected": at,
                "n_disks": drives_in(&health) + away,
                "offline": away,
                "healing": healing,
            });
            sums.insert("disk".into(), disk);
        }
        let mut document = json!({ "hosts": [self.host], "aggregated": sums, "final": last });
        if let (true, Some(fields)) = (sampling.by_host, document.as_object_mut()) {
            fields.insert("by_host".into(), json!({ &self.host: sums }));
        }
        Bytes::from(format!("{document}\n"))
    }
}

/// What is asked for samples.
type Sources = (Arc<dyn Backend>, Option<Arc<dyn Healing>>);

/// `GET metrics`.
fn samples(
    streams: &Streams,
    query: &Query,
    ((backend, healing), host): (Sources, &str),
    right: Right,
) -> Result<Body, AdminError> {
    let sampling = Sampling::read(query)?;
    let listener = streams.samples.listen()?;
    let sampled = Sampled {
        backend,
        healing,
        host: host.to_owned(),
    };
    let documents = stream::unfold(
        (listener, sampled, sampling, 0_u64),
        |(mut listener, sampled, sampling, sent)| async move {
            let ended = sampling.count > 0 && sent >= sampling.count;
            if sent > 0 && !ended {
                // Nothing is ever told: this waits, and ends with the server.
                let closed = tokio::time::timeout(sampling.interval, listener.next()).await;
                if closed.is_ok() {
                    return None;
                }
            }
            if ended {
                return None;
            }
            let last = sent + 1 == sampling.count;
            let document = sampled.document(&sampling, last);
            Some((document, (listener, sampled, sampling, sent + 1)))
        },
    );
    Ok(endless(while_it_stands(documents, right), BEAT, BLANK))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use time::format_description::well_known::Rfc3339;

    use super::*;
    use crate::auth::{self, Account, Caller, Credential, CredentialSource, Identity, SecretKey};
    use crate::policy::{self, Policy};

    /// Somebody whose right ends in the course of a stream.
    struct Until(OffsetDateTime);

    impl CredentialSource for Until {
        fn find(&self, _: &str) -> Option<Credential> {
            let until = self.0.format(&Rfc3339).unwrap();
            let policy = format!(
                r#"{{"Statement":{{"Effect":"Allow","Action":"admin:*",
                    "Condition":{{"DateLessThan":{{"aws:CurrentTime":"{until}"}}}}}}}}"#
            );
            let caller = Caller {
                access_key: "ann-key".to_owned(),
                kind: auth::Kind::User,
                account: Account::User("ann".to_owned()),
                canonical_id: "id-of-ann".to_owned(),
                groups: Vec::new(),
                claims: BTreeMap::new(),
                policies: vec![Arc::new(
                    Policy::parse(policy.as_bytes(), policy::Kind::Identity).unwrap(),
                )],
                session: None,
            };
            let identity = Identity::Caller(Arc::new(caller));
            Some(Credential::lasting(identity, SecretKey::new("granite-wall")))
        }
    }

    #[test]
    fn a_right_that_ends_at_some_hour_ends_the_stream_that_began_before_it() {
        let now = OffsetDateTime::now_utc();
        let hour = Duration::from_secs(3_600);
        for (until, stands) in [(now + hour, true), (now - hour, false)] {
            let standing = Standing::new(Arc::new(Until(until)), "ann-key", None);
            // Of a request that came two hours ago.
            let facts = RequestFacts::at(now - 2 * hour);
            let mut right = Right::to(Kind::Trace, Some(&standing), &facts);
            assert_eq!(right.stands(), stands, "{until}");
        }
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, wanted) in [
            ("0s", Some(Duration::ZERO)),
            ("0", Some(Duration::ZERO)),
            ("5ms", Some(Duration::from_millis(5))),
            ("1m0.5s", Some(Duration::from_millis(60_500))),
            ("2h1m", Some(Duration::from_secs(7_260))),
            ("5", None),
            ("5x", None),
            ("s", None),
        ] {
            assert_eq!(go_duration(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_listener_hears_what_it_asked_for() {
        let traced = |s3, failed, millis| Traced {
            s3,
            failed,
            took: Duration::from_millis(millis),
            document: Bytes::new(),
        };
        let all = [
            traced(true, false, 1),
            traced(true, true, 1),
            traced(false, false, 1),
            traced(true, false, 50),
        ];
        for (query, wanted) in [
            ("", [true, true, false, true]),
            ("s3=true&internal=false", [true, true, false, true]),
            ("s3=true&internal=true", [true; 4]),
            ("internal=true", [false, false, true, false]),
            ("s3=true&err=true", [false, true, false, false]),
            ("s3=true&threshold=10ms", [false, false, false, true]),
        ] {
            let query = Query::parse(Some(query)).unwrap();
            let wants = Wanted::read(&query).unwrap();
            assert_eq!(all.each_ref().map(|traced| wants.fits(traced)), wanted, "{query:?}");
        }
        let storage = Query::parse(Some("s3=false&storage=true")).unwrap();
        assert!(matches!(Wanted::read(&storage), Err(AdminError::NotBuilt(_))));
    }
}
