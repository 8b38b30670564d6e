//! Healing by request, as `mc admin heal ALIAS/BUCKET -r` asks for it and follows it. The store is healed as a whole, whatever
//! is named: what a bucket lacks lies in segments that hold other buckets, too. So a request has the store looked through
//! (and, if it asks for it, every file verified), and ends with what that found.

use std::collections::VecDeque;

use http::StatusCode;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use storage_engine::embedded::heal::{HealState, HealStatus};
use storage_engine::store::bucket::BucketError;
use storage_engine::store::name::BucketName;
use time::OffsetDateTime;

use super::Ask;
use super::answer::Answer;
use super::error::AdminError;
use super::usage::shown;

/// Requests that are remembered, the last ones.
const SEQUENCES_MAX: usize = 64;
const DEEP: i64 = 2;

/// What a client wants; the names are MinIO's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    recursive: bool,
    dry_run: bool,
    remove: bool,
    recreate: bool,
    scan_mode: i64,
}

struct Sequence {
    /// Bucket and prefix as the client named them.
    path: String,
    token: String,
    started: OffsetDateTime,
    wanted: Wanted,
}

/// The requests of this run.
#[derive(Default)]
pub(super) struct Sequences(Mutex<VecDeque<Sequence>>);

fn refused(code: &'static str, message: &str) -> AdminError {
    AdminError::Minio {
        code,
        status: StatusCode::BAD_REQUEST,
        message: message.to_owned(),
    }
}

impl Sequences {
    /// `POST heal/…`: begins, or tells how it stands.
    pub(super) async fn serve(&self, ask: &Ask<'_>, path: &str) -> Result<Answer, AdminError> {
        let healing = ask.reach.healing()?;
        if let Some(token) = ask.query.get("clientToken") {
            return self.told(path, token, &healing.status());
        }
        if ask.query.is_true("forceStop") {
            return Err(refused(
                "XMinioHealNotImplemented",
                "Healing of this store is not stopped.",
            ));
        }
        let wanted: Wanted = match ask.body.is_empty() {
            true => Wanted::default(),
            false => serde_json::from_slice(&ask.body).map_err(|error| AdminError::Unreadable(error.to_string()))?,
        };
        if wanted.dry_run || wanted.remove || wanted.recreate {
            let message = "The store is healed as it needs it: dry-run, remove and rewrite are not built.";
            return Err(refused("XMinioHealNotImplemented", message));
        }
        look_at_bucket(ask, path).await?;
        let deep = wanted.scan_mode == DEEP;
        let token = self.begin(path, wanted);
        healing.heal_now();
        if deep {
            healing.scrub_now();
        }
        Ok(Answer::Document(token))
    }

    fn begin(&self, path: &str, wanted: Wanted) -> Value {
        let token = uuid::Uuid::new_v4().to_string();
        let started = OffsetDateTime::now_utc();
        let mut sequences = self.0.lock();
        if sequences.len() >= SEQUENCES_MAX {
            sequences.pop_front();
        }
        let document = json!({ "clientToken": token, "clientAddress": "", "startTime": shown(started) });
        sequences.push_back(Sequence {
            path: path.to_owned(),
            token,
            started,
            wanted,
        });
        document
    }

    fn told(&self, path: &str, token: &str, status: &HealStatus) -> Result<Answer, AdminError> {
        let sequences = self.0.lock();
        let mut of_path = sequences.iter().filter(|sequence| sequence.path == path).peekable();
        if of_path.peek().is_none() {
            return Err(refused(
                "XMinioHealNoSuchProcess",
                "No healing of this path was asked for.",
            ));
        }
        let sequence = of_path.find(|sequence| sequence.token == token);
        let unknown = || {
            refused(
                "XMinioHealInvalidClientToken",
                "The token is of no healing of this path.",
            )
        };
        let sequence = sequence.ok_or_else(unknown)?;
        let (summary, detail) = sequence.stands(status);
        let wanted = &sequence.wanted;
        Ok(Answer::Document(json!({
            "summary": summary,
            "detail": detail,
            "startTime": shown(sequence.started),
            "settings": {
                "recursive": wanted.recursive,
                "dryRun": false,
                "remove": false,
                "recreate": false,
                "scanMode": wanted.scan_mode,
            },
            "items": [],
        })))
    }
}

impl Sequence {
    /// MinIO's word for how far it is, and why it stopped if it did.
    fn stands(&self, status: &HealStatus) -> (&'static str, String) {
        let since = OffsetDateTime::now_utc() - self.started;
        let counted = status
            .census
            .as_ref()
            .is_some_and(|(census, age)| since > *age + census.took);
        let began = self.started.unix_timestamp();
        let verified = status.scrubs.iter().all(|scrub| {
            let passed = scrub.passed_at.and_then(|at| i64::try_from(at).ok());
            passed.is_some_and(|at| at >= began)
        });
        if !counted || (self.wanted.scan_mode == DEEP && !verified) {
            return ("running", String::new());
        }
        match status.state {
            HealState::Whole => ("finished", String::new()),
            HealState::Waiting => ("stopped", status.reasons.join("; ")),
            HealState::Unknown | HealState::Healing => ("running", String::new()),
        }
    }
}

/// Who names a bucket that is not there is told so.
async fn look_at_bucket(ask: &Ask<'_>, path: &str) -> Result<(), AdminError> {
    let bucket = path.split('/').next().unwrap_or_default();
    if bucket.is_empty() {
        return Ok(());
    }
    let missing = || AdminError::Minio {
        code: "NoSuchBucket",
        status: StatusCode::NOT_FOUND,
        message: "The specified bucket does not exist".into(),
    };
    let name = BucketName::parse(bucket).map_err(|_| missing())?;
    match ask.reach.store.head_bucket(&name).await {
        Ok(_) => Ok(()),
        Err(BucketError::NoSuchBucket) => Err(missing()),
        Err(BucketError::Fault(fault)) => Err(AdminError::Unavailable(fault.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use storage_engine::embedded::heal::{Census, CensusDepth, DriveScrub};

    use super::*;

    fn status(age: Duration, state: HealState, passed_at: Option<u64>) -> HealStatus {
        let census = Census {
            depth: CensusDepth::Files,
            segments: 1,
            whole: 1,
            thin: 0,
            unreadable: 0,
            bad_shards: 0,
            orphans: 0,
            narrow: 0,
            narrow_bytes: 0,
            could_be_wider: 0,
            verified_bytes: 0,
            took: Duration::ZERO,
        };
        HealStatus {
            state,
            reasons: vec!["a drive is away".into()],
            census: Some((census, age)),
            scrubs: vec![DriveScrub {
                id: "1".into(),
                path: "/d1".into(),
                passed_at,
                verified: 0,
                segments: 0,
            }],
            ..HealStatus::default()
        }
    }

    #[test]
    fn it_is_finished_when_the_store_was_looked_through_since_and_found_whole() {
        let started = OffsetDateTime::now_utc() - time::Duration::seconds(60);
        let sequence = |scan_mode| Sequence {
            path: String::new(),
            token: "t".into(),
            started,
            wanted: Wanted {
                scan_mode,
                ..Wanted::default()
            },
        };
        let (early, late) = (Duration::from_secs(90), Duration::from_secs(5));
        let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap();
        for (age, state, mode, passed_at, wanted) in [
            (early, HealState::Whole, 1, None, "running"),
            (late, HealState::Whole, 1, None, "finished"),
            (late, HealState::Healing, 1, None, "running"),
            (late, HealState::Waiting, 1, None, "stopped"),
            (late, HealState::Whole, DEEP, None, "running"),
            (late, HealState::Whole, DEEP, Some(now - 120), "running"),
            (late, HealState::Whole, DEEP, Some(now), "finished"),
        ] {
            let (word, detail) = sequence(mode).stands(&status(age, state, passed_at));
            assert_eq!(word, wanted, "{age:?} {state:?} {mode} {passed_at:?}");
            assert_eq!(detail.is_empty(), word != "stopped");
        }
        let never = HealStatus::default();
        assert_eq!(sequence(1).stands(&never).0, "running");
    }

    #[test]
    fn a_token_is_of_one_path() {
        let sequences = Sequences::default();
        let begun = sequences.begin("b/p", Wanted::default());
        let token = begun["clientToken"].as_str().unwrap();
        let told = |path: &str, token: &str| match sequences.told(path, token, &HealStatus::default()) {
            Ok(Answer::Document(told)) => told["summary"].as_str().unwrap().to_owned(),
            Err(AdminError::Minio { code, .. }) => code.to_owned(),
            Ok(_) | Err(_) => panic!("neither a document nor a refusal of MinIO's"),
        };
        assert_eq!(told("b/p", token), "running");
        assert_eq!(told("b/p", "another"), "XMinioHealInvalidClientToken");
        assert_eq!(told("b", token), "XMinioHealNoSuchProcess");
    }
}
