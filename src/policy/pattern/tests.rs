//! Patterns against a naive matcher, hostile ones, and what variables stand for.

use std::time::Instant;

use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

use super::{Pattern, Syntax};
use crate::policy::keys::{Keys, Values};

const ALL: Syntax = Syntax {
    wildcards: true,
    variables: true,
};

struct Named(Option<&'static str>);

impl Keys for Named {
    fn get(&self, name: &str) -> Values<'_> {
        match self.0 {
            Some(value) if name == "aws:username" => Values::one(value),
            _ => Values::Missing,
        }
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    Pattern::parse(pattern, ALL)
        .unwrap()
        .matches(text, &Named(None))
        .unwrap()
}

/// By definition, in exponential time.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, text) => text.is_none(),
        (Some(('*', pattern)), None) => naive(pattern, text),
        (Some(('*', after)), Some((_, rest))) => naive(after, text) || naive(pattern, rest),
        (Some(_), None) => false,
        (Some((expected, after)), Some((found, rest))) => (*expected == '?' || expected == found) && naive(after, rest),
    }
}

#[test]
fn wildcards_take_any_run_or_exactly_one_character() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("*", "anything/at:all", true),
        ("a*", "a", true),
        ("a*a", "a", false),
        ("a*a", "aa", true),
        ("?", "ü", true),
        ("?", "", false),
        ("*?", "", false),
        ("*a?c*", "xxabcxx", true),
        ("*a?c*", "xxaüc", true),
        ("*a?c*", "xxabxc", false),
        ("photos/*.jpg", "photos/a/b.jpg", true),
        ("photos/*.jpg", "photos/.jpg.png", false),
        ("*ab*ab", "ab", false),
        ("*ab*ab", "abab", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn hostile_patterns_take_no_longer_than_their_text() {
    let text = "a".repeat(100_000);
    let patterns = [
        format!("{}b", "*a".repeat(5_000)),
        format!("*{}b*", "a".repeat(10_000)),
        format!("*{}b*", "?a".repeat(31)),
        format!("{}b*", "*?a?a?a?".repeat(1_000)),
    ];
    let start = Instant::now();
    for pattern in patterns {
        assert!(!matches(&pattern, &text));
    }
    // Going back would take 10^9 steps and more for each.
    assert!(start.elapsed().as_secs() < 20);
}

#[test]
fn a_long_part_with_a_question_mark_between_stars_is_refused() {
    assert!(Pattern::parse(&format!("*{}?*", "a".repeat(63)), ALL).is_ok());
    assert!(Pattern::parse(&format!("*{}?*", "a".repeat(64)), ALL).is_err());
    assert!(Pattern::parse("*${aws:username}?*", ALL).is_err());
    assert!(Pattern::parse(&format!("{}?*", "a".repeat(640)), ALL).is_ok());
}

#[test]
fn a_variable_is_its_value_and_never_a_wildcard() {
    let home = Pattern::parse("home/${aws:username}/*", ALL).unwrap();
    assert_eq!(home.matches("home/ann/x", &Named(Some("ann"))), Some(true));
    assert_eq!(home.matches("home/ann/x", &Named(Some("bob"))), Some(false));
    assert_eq!(home.matches("home/ann/x", &Named(Some("*"))), Some(false));
    assert_eq!(home.matches("home/*/x", &Named(Some("*"))), Some(true));
    assert_eq!(home.matches("home//x", &Named(None)), None);
    let other = Pattern::parse("home/${aws:username, 'guest of'}/*", ALL).unwrap();
    assert_eq!(other.matches("home/guest of/x", &Named(None)), Some(true));
    assert_eq!(other.matches("home/ann/x", &Named(Some("ann"))), Some(true));
}

#[test]
fn escapes_are_the_characters_themselves() {
    for (pattern, text, expected) in [
        ("a${*}", "a*", true),
        ("a${*}", "ab", false),
        ("a${?}", "a?", true),
        ("a${?}", "ab", false),
        ("${$}{aws:username}", "${aws:username}", true),
        ("a$b", "a$b", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn a_broken_or_unknown_variable_is_refused() {
    for wrong in [
        "${aws:username",
        "${aws:usernam}",
        "${}",
        "${aws:username, guest}",
        "${aws:username, 'guest}",
        "${aws:username, 'guest'",
        "${aws:groups}",
    ] {
        assert!(Pattern::parse(wrong, ALL).is_err(), "{wrong}");
    }
}

#[test]
fn whether_a_pattern_may_go_on_beyond_a_start() {
    for (pattern, start, expected) in [
        ("bucket", "bucket/", false),
        ("bucket/", "bucket/", false),
        ("bucket/a", "bucket/", true),
        ("bucket/*", "bucket/", true),
        ("bucket*", "bucket/", true),
        ("*", "bucket/", true),
        ("buck?t/?", "bucket/", true),
        ("other/*", "bucket/", false),
        ("*/x", "bucket/", true),
        ("*t/", "bucket/", true),
        ("${aws:username}/x", "bucket/", true),
    ] {
        assert_eq!(
            Pattern::parse(pattern, ALL).unwrap().may_go_beyond(start),
            expected,
            "{pattern}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn every_pattern_matches_what_it_matches_by_definition(pattern in "[ab*?ü]{0,9}", text in "[abü]{0,10}") {
        let by_definition = naive(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
        prop_assert_eq!(matches(&pattern, &text), by_definition);
    }
}
