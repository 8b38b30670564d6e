//! The evaluator against the reference, over generated documents and requests; and bugs planted to see that it tells.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::reference::{self, Request};
use crate::policy::{Effect, Keys, Kind, Policy, Principal, Question, Values};

/// Pairs of document and request that must agree.
const CASES: usize = 20_000;

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// One of them, or a list of some.
    fn some(&mut self, of: &[&str]) -> Value {
        match self.below(3) {
            0 => json!(self.one(of)),
            _ => {
                let count = 1 + self.below(2);
                (0..count).map(|_| json!(self.one(of))).collect()
            }
        }
    }
}

const ACTIONS: &[&str] = &[
    "s3:GetObject",
    "s3:getobject",
    "s3:Get*",
    "s3:*",
    "*",
    "s3:PutObject",
    "s3:?etObject",
    "s3:ListBucket",
];
const RESOURCES: &[&str] = &[
    "*",
    "arn:aws:s3:::b",
    "arn:aws:s3:::b*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/k",
    "arn:aws:s3:::b/?",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:s3:::b/${aws:username, 'k'}",
    "arn:aws:s3:::b/${*}",
];
const TEXTS: &[&str] = &[
    "ann",
    "ANN",
    "a*",
    "${aws:username}",
    "${jwt:sub}",
    "${jwt:sub, 'ann'}",
    "${*}",
    "",
    "b?b",
    "dev",
];
const PRINCIPALS: &[&str] = &["*", "arn:aws:iam:::user/ann", "arn:aws:iam:::user/bob"];

fn condition(dice: &mut Dice) -> Value {
    let mut operators = Map::new();
    for _ in 0..dice.below(3) {
        let (family, keys, values) = match dice.below(6) {
            0..=2 => (
                "String",
                &["aws:username", "AWS:Groups", "s3:prefix", "jwt:sub"][..],
                TEXTS,
            ),
            3 => ("Numeric", &["s3:max-keys"][..], &["1", "2", "10"][..]),
            4 => (
                "Ip",
                &["aws:SourceIp"][..],
                &["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7"][..],
            ),
            _ => ("Bool", &["aws:SecureTransport"][..], &["true", "false"][..]),
        };
        let plain = match family {
            "String" => dice.one(&[
                "StringEquals",
                "StringNotEquals",
                "StringLike",
                "StringNotLike",
                "StringEqualsIgnoreCase",
                "StringNotEqualsIgnoreCase",
            ]),
            "Numeric" => dice.one(&[
                "NumericEquals",
                "NumericNotEquals",
                "NumericLessThan",
                "NumericGreaterThanEquals",
            ]),
            "Ip" => dice.one(&["IpAddress", "NotIpAddress"]),
            _ => "Bool",
        };
        let key = dice.one(keys);
        let quantifier = dice.one(&["", "", "ForAllValues:", "ForAnyValue:"]);
        let suffix = dice.one(&["", "", "IfExists"]);
        let (operator, value) = match dice.below(8) {
            0 => ("Null".to_owned(), json!(dice.one(&["true", "false"]))),
            _ => (format!("{quantifier}{plain}{suffix}"), dice.some(values)),
        };
        operators.insert(operator, json!({ key: value }));
    }
    Value::Object(operators)
}

fn document(dice: &mut Dice, of_bucket: bool) -> Value {
    let statements: Vec<_> = (0..=dice.below(3))
        .map(|_| {
            let mut one = Map::new();
            let effect = dice.one(&["Allow", "Allow", "Deny"]);
            one.insert("Effect".to_owned(), json!(effect));
            one.insert(
                dice.one(&["Action", "Action", "NotAction"]).to_owned(),
                dice.some(ACTIONS),
            );
            one.insert(
                dice.one(&["Resource", "Resource", "NotResource"]).to_owned(),
                dice.some(RESOURCES),
            );
            if of_bucket {
                let principal = dice.one(&["Principal", "Principal", "NotPrincipal"]).to_owned();
                one.insert(principal, json!({ "AWS": dice.some(PRINCIPALS) }));
            }
            let condition = condition(dice);
            if condition != json!({}) {
                one.insert("Condition".to_owned(), condition);
            }
            Value::Object(one)
        })
        .collect();
    let statement = match <[_; 1]>::try_from(statements) {
        Ok([one]) if dice.below(2) == 0 => one,
        Ok([one]) => json!([one]),
        Err(many) => json!(many),
    };
    json!({ "Version": "2012-10-17", "Statement": statement })
}

fn request(dice: &mut Dice) -> Request {
    let user = dice.one(&[None, Some("ann"), Some("bob")]);
    let mut keys = BTreeMap::new();
    if let Some(user) = user {
        keys.insert("aws:username", vec![user]);
        keys.insert(
            "aws:groups",
            dice.one(&[&[][..], &["dev"], &["dev", "ann"], &["ops"]]).to_vec(),
        );
    }
    for (name, values) in [
        ("s3:prefix", &["", "ann", "a*", "axb"][..]),
        ("jwt:sub", &["ann", "*", "b?b"]),
        ("s3:max-keys", &["1", "2.0", "10"]),
        ("aws:sourceip", &["10.1.2.3", "10.2.0.1", "192.0.2.7"]),
        ("aws:securetransport", &["true", "false"]),
    ] {
        if dice.below(3) > 0 {
            keys.insert(name, vec![dice.one(values)]);
        }
    }
    Request {
        action: dice.one(&["s3:GetObject", "s3:PutObject", "s3:ListBucket"]),
        resource: dice.one(&[
            "arn:aws:s3:::b",
            "arn:aws:s3:::b/k",
            "arn:aws:s3:::b/ann/x",
            "arn:aws:s3:::b/*",
            "arn:aws:s3:::bb/k",
        ]),
        user,
        keys,
    }
}

struct Of<'r>(&'r Request);

impl Keys for Of<'_> {
    fn get(&self, name: &str) -> Values<'_> {
        match self.0.keys.get(name) {
            None => Values::Missing,
            Some(values) => Values::Many(values.iter().map(|value| Cow::Borrowed(*value)).collect()),
        }
    }
}

fn kind(of_bucket: bool) -> Kind<'static> {
    if of_bucket {
        Kind::Bucket { bucket: "b" }
    } else {
        Kind::Identity
    }
}

/// Where evaluator and reference first differ when the evaluator is given what `planted` makes of each document.
fn difference(planted: impl Fn(&str) -> String) -> Option<String> {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut judged = 0;
    while judged < CASES {
        let of_bucket = dice.below(2) == 0;
        let document = document(&mut dice, of_bucket);
        let text = document.to_string();
        if Policy::parse(text.as_bytes(), kind(of_bucket)).is_err() {
            continue;
        }
        let Ok(policy) = Policy::parse(planted(&text).as_bytes(), kind(of_bucket)) else {
            continue;
        };
        for _ in 0..4 {
            let request = request(&mut dice);
            let effect = policy.judge(&Question {
                action: request.action,
                resource: request.resource,
                principal: match request.user {
                    None => Principal::Anonymous,
                    Some(name) => Principal::User {
                        name,
                        canonical_id: None,
                    },
                },
                keys: &Of(&request),
            });
            let effect = match effect {
                Effect::Deny => Some("Deny"),
                Effect::Allow => Some("Allow"),
                Effect::Silent => None,
            };
            judged += 1;
            let expected = reference::judge(&document, &request);
            if effect != expected {
                return Some(format!("{text}\n{request:?}\nis {effect:?}, should be {expected:?}"));
            }
        }
    }
    None
}

#[test]
fn the_evaluator_agrees_with_the_definition() {
    assert_eq!(difference(str::to_owned), None);
}

#[test]
fn an_evaluator_with_a_bug_does_not() {
    // Each gives the evaluator the document that a wrong reading would make of the right one.
    for (bug, from, to) in [
        ("a Deny allows", "\"Deny\"", "\"Allow\""),
        ("NotAction is Action", "\"NotAction\"", "\"Action\""),
        ("NotResource is Resource", "\"NotResource\"", "\"Resource\""),
        ("quantifiers swapped", "ForAllValues:", "ForAnyValue:"),
        ("quantifiers forgotten", "ForAnyValue:", ""),
        ("IfExists forgotten", "IfExists", ""),
        ("negation forgotten", "StringNotEquals", "StringEquals"),
        ("wildcards where none are", "StringEquals\"", "StringLike\""),
        ("case forgotten", "StringEquals\"", "StringEqualsIgnoreCase\""),
        ("missing variables empty", "${jwt:sub}", "${jwt:sub, ''}"),
        ("escapes are wildcards", "${*}", "*"),
        ("less is at least", "NumericLessThan", "NumericGreaterThanEquals"),
        ("networks wider", "10.1.0.0/16", "10.0.0.0/8"),
        ("principals mixed up", "user/ann", "user/bob"),
    ] {
        assert!(difference(|text| text.replace(from, to)).is_some(), "{bug}");
    }
}
