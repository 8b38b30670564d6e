//! Every operator, plain, negated, with `IfExists` and under both quantifiers.

use std::borrow::Cow;

use super::super::json::Json;
use super::super::keys::{Keys, Values};

/// `aws:groups` (or any other key that is asked for) as given; `aws:username` is `ann`, `aws:userid` missing.
struct Found<'a>(&'a [&'a str]);

impl Keys for Found<'_> {
    fn get(&self, name: &str) -> Values<'_> {
        match name {
            "aws:username" => Values::one("ann"),
            "aws:userid" => Values::Missing,
            _ => Values::Many(self.0.iter().map(|value| Cow::Borrowed(*value)).collect()),
        }
    }
}

fn parse(condition: &str) -> Result<Vec<super::Condition>, String> {
    super::parse(&Json::parse(condition.as_bytes()).unwrap(), true, false)
}

/// Whether `operator` with the policy's `values` (JSON) holds for the request's `found`.
fn holds(operator: &str, values: &str, found: &[&str]) -> bool {
    let conditions = parse(&format!(r#"{{"{operator}": {{"jwt:x": {values}}}}}"#)).unwrap();
    let holds = |deny| conditions.iter().all(|condition| condition.holds(&Found(found), deny));
    assert_eq!(holds(false), holds(true), "{operator} {values}: no variable is missing");
    holds(false)
}

/// Operator, the policy's values, the value of the request, and whether it holds.
const PLAIN: &[(&str, &str, &str, bool)] = &[
    ("StringEquals", r#""a""#, "a", true),
    ("StringEquals", r#"["b", "a"]"#, "a", true),
    ("StringEquals", r#""a*""#, "ab", false),
    ("StringEquals", r#""A""#, "a", false),
    ("StringEquals", r#""${aws:username}""#, "ann", true),
    ("StringEquals", "7", "7", true),
    ("StringNotEquals", r#"["b", "a"]"#, "a", false),
    ("StringNotEquals", r#"["b", "c"]"#, "a", true),
    ("StringEqualsIgnoreCase", r#""STRASSE""#, "strasse", true),
    ("StringEqualsIgnoreCase", r#""X-${aws:username}""#, "x-ANN", true),
    ("StringNotEqualsIgnoreCase", r#""A""#, "a", false),
    ("StringLike", r#""a*c?""#, "abbbcd", true),
    ("StringLike", r#""a*c?""#, "abbbc", false),
    ("StringLike", r#""A*""#, "ab", false),
    ("StringNotLike", r#"["a*", "b*"]"#, "cd", true),
    ("StringNotLike", r#"["a*", "b*"]"#, "bd", false),
    ("NumericEquals", r#""10""#, "10.0", true),
    ("NumericNotEquals", "10", "10", false),
    ("NumericLessThan", "10", "9", true),
    ("NumericLessThan", "10", "10", false),
    ("NumericLessThanEquals", "10", "10", true),
    ("NumericGreaterThan", "10", "10", false),
    ("NumericGreaterThan", r#"["10", "5"]"#, "6", true),
    ("NumericGreaterThanEquals", "10", "10", true),
    ("NumericEquals", "10", "ten", false),
    ("DateEquals", r#""2026-01-01T00:00:00Z""#, "1767225600", true),
    ("DateNotEquals", r#""2026-01-01T00:00:00Z""#, "1767225601", true),
    ("DateLessThan", r#""2026-01-01""#, "2025-12-31T23:59:59Z", true),
    ("DateLessThanEquals", r#""2026-01-01""#, "2026-01-01T00:00:00Z", true),
    ("DateGreaterThan", r#""2026-01-01""#, "2026-01-01T00:00:00Z", false),
    ("DateGreaterThanEquals", r#""2026-01-01""#, "2026-01-01T00:00:00Z", true),
    ("Bool", "true", "true", true),
    ("Bool", r#""false""#, "true", false),
    ("BinaryEquals", r#""QmluYXJ5""#, "QmluYXJ5", true),
    ("BinaryEquals", r#""QmluYXJ5""#, "qmluYXJ5", false),
    ("IpAddress", r#""203.0.113.0/24""#, "203.0.113.9", true),
    (
        "IpAddress",
        r#"["203.0.113.0/24", "2001:db8::/32"]"#,
        "2001:db8::9",
        true,
    ),
    ("IpAddress", r#""203.0.113.0/24""#, "nobody", false),
    ("NotIpAddress", r#""203.0.113.0/24""#, "203.0.113.9", false),
    ("NotIpAddress", r#""203.0.113.0/24""#, "198.51.100.9", true),
    (
        "ArnEquals",
        r#""arn:aws:iam::*:user/a*""#,
        "arn:aws:iam::1:user/ann",
        true,
    ),
    (
        "ArnLike",
        r#""arn:aws:iam::*:user/${aws:username}""#,
        "arn:aws:iam::1:user/ann",
        true,
    ),
    ("ArnLike", r#""arn:aws:iam:*""#, "arn:aws:iam:a:b:c", false),
    ("ArnLike", r#""arn:aws:*:*:*:*""#, "arn:aws:iam::1:user/a:b", true),
    ("ArnLike", r#""*""#, "arn:aws:iam::1:user/ann", true),
    ("ArnLike", r#""arn:*:*:*:*:user/ann""#, "arn:aws:iam:user/ann", false),
    (
        "ArnNotEquals",
        r#""arn:aws:iam::1:user/ann""#,
        "arn:aws:iam::1:user/ann",
        false,
    ),
    (
        "ArnNotLike",
        r#""arn:aws:iam::1:user/b*""#,
        "arn:aws:iam::1:user/ann",
        true,
    ),
    ("Null", "true", "a", false),
    ("Null", "false", "a", true),
];

#[test]
fn every_plain_operator_compares_as_its_name_says() {
    for &(operator, values, found, expected) in PLAIN {
        // An ARN of five parts cannot even be written.
        if values.contains(r#""arn:aws:iam:*""#) {
            assert!(parse(&format!(r#"{{"{operator}": {{"jwt:x": {values}}}}}"#)).is_err());
            continue;
        }
        assert_eq!(
            holds(operator, values, &[found]),
            expected,
            "{operator} {values} {found}"
        );
    }
}

#[test]
fn a_key_the_request_does_not_have_fails_plain_operators_and_passes_negated_ones() {
    let table = [
        ("String", "Equals", r#""a""#, false),
        ("String", "NotEquals", r#""a""#, true),
        ("String", "EqualsIgnoreCase", r#""a""#, false),
        ("String", "NotEqualsIgnoreCase", r#""a""#, true),
        ("String", "Like", r#""*""#, false),
        ("String", "NotLike", r#""*""#, true),
        ("Numeric", "Equals", "1", false),
        ("Numeric", "NotEquals", "1", true),
        ("Numeric", "LessThan", "1", false),
        ("Date", "GreaterThan", r#""2020""#, false),
        ("Date", "NotEquals", r#""2020""#, true),
        ("", "Bool", "false", false),
        ("", "BinaryEquals", r#""AAAA""#, false),
        ("", "IpAddress", r#""0.0.0.0/0""#, false),
        ("", "NotIpAddress", r#""0.0.0.0/0""#, true),
        ("Arn", "Like", r#""*""#, false),
        ("Arn", "NotLike", r#""*""#, true),
    ];
    for (family, rest, values, expected) in table {
        assert_eq!(
            holds(&format!("{family}{rest}"), values, &[]),
            expected,
            "{family}{rest}"
        );
        assert!(
            holds(&format!("{family}{rest}IfExists"), values, &[]),
            "{family}{rest}IfExists"
        );
    }
    assert!(holds("Null", "true", &[]));
    assert!(!holds("Null", "false", &[]));
}

#[test]
fn quantifiers_ask_all_or_any_of_the_values_of_the_request_also_when_negated() {
    // GHSA-v9cp: with partly overlapping sets the four differ, so a swap shows.
    let values = r#"["a", "b"]"#;
    let table: &[(&str, [bool; 4])] = &[
        // of: none, {a}, {a, c}, {c}
        ("ForAllValues:StringEquals", [true, true, false, false]),
        ("ForAnyValue:StringEquals", [false, true, true, false]),
        ("ForAllValues:StringNotEquals", [true, false, false, true]),
        ("ForAnyValue:StringNotEquals", [false, false, true, true]),
        ("ForAllValues:StringLike", [true, true, false, false]),
        ("ForAnyValue:StringNotLike", [false, false, true, true]),
        ("ForAllValues:StringEqualsIfExists", [true, true, false, false]),
        ("ForAnyValue:StringEqualsIfExists", [true, true, true, false]),
        // Without a quantifier: one that fits, or, negated, none that fits.
        ("StringEquals", [false, true, true, false]),
        ("StringNotEquals", [true, false, false, true]),
    ];
    let sets: [&[&str]; 4] = [&[], &["a"], &["a", "c"], &["c"]];
    for (operator, expected) in table {
        for (set, expected) in sets.into_iter().zip(expected) {
            assert_eq!(holds(operator, values, set), *expected, "{operator} {set:?}");
        }
    }
}

#[test]
fn a_value_that_misses_a_variable_matches_nothing_and_the_others_count() {
    // Of the policy's values one misses its variable, the other is "pub*" where it stands.
    let table: &[(&str, bool, &[&str], bool, bool)] = &[
        // operator, whether the other value is there, of the request, whether an Allow holds, whether a Deny does
        ("StringEquals", false, &["x"], false, false),
        ("StringEquals", false, &[""], false, false),
        ("StringEquals", false, &[], false, false),
        ("StringLike", true, &["public"], true, true),
        ("StringLike", true, &["home"], false, false),
        ("StringNotEquals", false, &["x"], false, true),
        ("StringNotLike", false, &["x"], false, true),
        ("StringNotLike", false, &[], false, true),
        ("StringNotLike", true, &["home"], false, true),
        ("StringNotLike", true, &["public"], false, false),
        ("ForAllValues:StringLike", true, &["public"], true, true),
        ("ForAllValues:StringLike", true, &["public", "home"], false, false),
        ("ForAllValues:StringLike", true, &[], false, true),
        ("ForAllValues:StringNotLike", true, &["home"], false, true),
        ("ForAnyValue:StringNotLike", true, &["public", "home"], false, true),
        ("StringLikeIfExists", true, &[], false, true),
        ("StringEqualsIgnoreCase", false, &["X"], false, false),
        ("ArnNotLike", false, &["arn:aws:iam::1:user/x"], false, true),
    ];
    for (operator, with_other, found, allows, denies) in table {
        let missing = match operator.starts_with("Arn") {
            true => "\"arn:aws:iam::1:user/${aws:userid}\"",
            false => "\"${aws:userid}\"",
        };
        let other = if *with_other { ", \"pub*\"" } else { "" };
        let conditions = parse(&format!(r#"{{"{operator}": {{"jwt:x": [{missing}{other}]}}}}"#)).unwrap();
        for (deny, expected) in [(false, allows), (true, denies)] {
            let holds = conditions.iter().all(|condition| condition.holds(&Found(found), deny));
            assert_eq!(
                holds, *expected,
                "{operator} {found:?}, other {with_other}, deny {deny}"
            );
        }
    }
    assert!(holds("StringEquals", r#""${aws:userid, 'x'}""#, &["x"]));
}

#[test]
fn all_operators_and_all_keys_of_a_block_must_hold() {
    let block = r#"{"StringEquals": {"aws:username": "ann", "jwt:x": "1"}, "NumericLessThan": {"jwt:x": 2}}"#;
    let all = |found: &[&str]| {
        parse(block)
            .unwrap()
            .iter()
            .all(|condition| condition.holds(&Found(found), false))
    };
    assert!(all(&["1"]));
    assert!(!all(&["2"]));
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_reason() {
    for (block, reason) in [
        (r#"{"StringEqual": {"aws:username": "a"}}"#, "no condition operator"),
        (r#"{"stringequals": {"aws:username": "a"}}"#, "no condition operator"),
        (
            r#"{"ForSomeValues:StringEquals": {"aws:username": "a"}}"#,
            "no condition operator",
        ),
        (r#"{"NullIfExists": {"aws:username": "true"}}"#, "Null stands alone"),
        (r#"{"StringEquals": {"aws:user": "a"}}"#, "no condition key"),
        (r#"{"StringEquals": {}}"#, "no condition key"),
        (r#"{"StringEquals": "a"}"#, "must be an object"),
        (r#"{"StringEquals": {"aws:username": []}}"#, "empty list"),
        (r#"{"StringEquals": {"aws:username": {"a": 1}}}"#, "must be a string"),
        (r#"{"StringEquals": {"aws:username": "${aws:nobody}"}}"#, "no variable"),
        (r#"{"NumericEquals": {"s3:max-keys": "ten"}}"#, "is no number"),
        (r#"{"NumericEquals": {"s3:max-keys": "NaN"}}"#, "is no number"),
        (r#"{"DateEquals": {"aws:CurrentTime": "yesterday"}}"#, "is no date"),
        (r#"{"Bool": {"aws:SecureTransport": "yes"}}"#, "is no boolean"),
        (r#"{"BinaryEquals": {"jwt:x": "?"}}"#, "is no Base64"),
        (r#"{"IpAddress": {"aws:SourceIp": "203.0.113.0/33"}}"#, "is no address"),
        (r#"{"ArnLike": {"aws:PrincipalArn": "user/ann"}}"#, "is no ARN"),
        (r#"{"Null": {"aws:username": ["true", "false"]}}"#, "one value"),
        ("[]", "must be an object"),
    ] {
        let error = parse(block).map(drop).unwrap_err();
        assert!(error.contains(reason), "{block}: {error}");
    }
}
