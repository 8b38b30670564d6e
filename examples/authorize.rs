//! What a decision costs: a GET with 50 statements in play. Run it with `cargo run --release --example authorize`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drystone::access::{Action, BucketFacts, BucketPolicy, Context, RequestFacts, Resource, decide};
use drystone::auth::{Account, Caller, Identity, Kind};
use drystone::policy::{self, Policy, PolicyError};
use time::OffsetDateTime;

const STATEMENTS: usize = 25;
const ROUNDS: usize = 200_000;

/// As applications have them: a prefix of one team each, some with a condition, and one Deny.
fn document(of_bucket: bool) -> String {
    let principal = if of_bucket {
        r#""Principal":{"AWS":"arn:aws:iam:::user/ann"},"#
    } else {
        ""
    };
    let one = |index: usize| {
        let effect = if index % 10 == 9 { "Deny" } else { "Allow" };
        let condition = match index % 3 {
            0 => {
                r#","Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.0/24"]},"StringLike":{"aws:UserAgent":"aws-*"}}"#
            }
            1 => r#","Condition":{"StringEquals":{"aws:username":"${aws:username}"}}"#,
            _ => "",
        };
        format!(
            r#"{{{principal}"Effect":"{effect}","Action":["s3:Get*","s3:PutObject"],"Resource":["arn:aws:s3:::photos/team-{index}/*","arn:aws:s3:::photos/home/${{aws:username}}/{index}/*"]{condition}}}"#
        )
    };
    let all: Vec<_> = (0..STATEMENTS).map(one).collect();
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, all.join(","))
}

fn main() -> Result<(), PolicyError> {
    let own = Policy::parse(document(false).as_bytes(), policy::Kind::Identity)?;
    let of_bucket = Policy::parse(document(true).as_bytes(), policy::Kind::Bucket { bucket: "photos" })?;
    let identity = Identity::Caller(Arc::new(Caller {
        access_key: "ann-key".to_owned(),
        kind: Kind::User,
        account: Account::User("ann".to_owned()),
        canonical_id: "a".repeat(64),
        groups: vec!["dev".to_owned()],
        claims: BTreeMap::new(),
        policies: vec![Arc::new(own)],
        session: None,
    }));
    let bucket = BucketFacts {
        policy: BucketPolicy::Set(Arc::new(of_bucket)),
        owner: Some("root".to_owned()),
        ..BucketFacts::default()
    };
    let mut request = RequestFacts::at(OffsetDateTime::now_utc());
    request.source = "203.0.113.9".parse().ok();
    request.say("aws:useragent", "aws-sdk-rust/1.0");
    let context = Context {
        request: Some(&request),
        bucket: Some(&bucket),
        ..Context::default()
    };
    let resource = Resource::Object {
        bucket: "photos",
        key: "team-24/2026/11/picture.jpg",
    };
    let mut times: Vec<Duration> = Vec::with_capacity(ROUNDS);
    let mut allowed = 0_usize;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let answer = decide(black_box(&identity), Action::GetObject, black_box(resource), &context);
        times.push(start.elapsed());
        allowed += usize::from(answer.is_ok());
    }
    times.sort_unstable();
    let at = |share: usize| times.get(ROUNDS * share / 1_000).copied().unwrap_or_default();
    println!(
        "a GET with {} statements in play: p50 {:?}, p99 {:?}, p99.9 {:?} ({allowed} of {ROUNDS} allowed)",
        2 * STATEMENTS,
        at(500),
        at(990),
        at(999)
    );
    Ok(())
}
