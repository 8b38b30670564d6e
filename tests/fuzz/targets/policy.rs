//! Policy documents: nothing may panic, hang or change its meaning when it is read again.

use drystone::policy::{Effect, Keys, Kind, Policy, Principal, Question, Values, WHOLE_STORE};

struct Odd;

impl Keys for Odd {
    fn get(&self, name: &str) -> Values<'_> {
        match name.len() % 4 {
            0 => Values::Missing,
            1 => Values::one("*"),
            2 => Values::one("203.0.113.9"),
            _ => Values::many(&["1", "a", "", "2026-01-01T00:00:00Z"]),
        }
    }
}

fn answers(policy: &Policy) -> Vec<Effect> {
    let long = format!("arn:aws:s3:::bucket/{}", "a".repeat(1_000));
    let mut answers = Vec::new();
    for action in ["s3:GetObject", "s3:ListBucket", "admin:ServerInfo", ""] {
        for resource in ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/a", &long, WHOLE_STORE, ""] {
            for principal in [
                Principal::Anonymous,
                Principal::Root,
                Principal::Federated { name: "a" },
            ] {
                answers.push(policy.judge(&Question {
                    action,
                    resource,
                    principal,
                    keys: &Odd,
                }));
            }
        }
    }
    answers
}

pub(super) fn policy(data: &[u8]) {
    for kind in [
        Kind::Identity,
        Kind::Bucket { bucket: "bucket" },
        Kind::Session,
        Kind::Trust,
    ] {
        let Ok(policy) = Policy::parse(data, kind) else {
            continue;
        };
        assert_eq!(policy.text().as_bytes(), data);
        let again = Policy::parse(policy.text().as_bytes(), kind).unwrap();
        assert_eq!(answers(&policy), answers(&again));
        assert_eq!(policy.is_public(), again.is_public());
        // What is accepted is JSON to any reader.
        serde_json::from_slice::<serde_json::Value>(data).unwrap();
    }
}
