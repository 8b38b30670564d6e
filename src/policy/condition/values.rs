//! The values a policy gives to a condition, read once into what their operator compares.

use std::net::IpAddr;

use super::date;
use super::net::Network;
use super::operator::{Order, Test};
use crate::policy::keys::{Keys, Name};
use crate::policy::pattern::{Filled, Pattern, Syntax};

/// The values of the policy.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    Text {
        patterns: Vec<Pattern>,
        fold: bool,
    },
    Number(Vec<f64>, Order),
    /// Nanoseconds of Unix time.
    Date(Vec<i128>, Order),
    Bool(Vec<bool>),
    Binary(Vec<Vec<u8>>),
    Ip(Vec<Network>),
    /// Each in the six parts of an ARN; none for `*` alone.
    Arn(Vec<Vec<Pattern>>),
    Null(bool),
}

/// The values of the policy, with their variables filled in.
pub(super) enum Ready<'c> {
    Text(Vec<Filled<'c>>, bool),
    Arn(Vec<Vec<Filled<'c>>>),
    /// Values that hold no variable.
    Plain(&'c Expected),
    Null(bool),
}

/// Parts of an ARN.
const ARN_PARTS: usize = 6;

impl Expected {
    pub(super) fn parse(test: Test, values: &[String], variables: bool) -> Result<Self, String> {
        fn each<T>(values: &[String], what: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
            values
                .iter()
                .map(|value| read(value).ok_or_else(|| format!("\"{value}\" is no {what}")))
                .collect()
        }
        Ok(match test {
            Test::Text { wildcards, fold } => {
                let syntax = Syntax { wildcards, variables };
                let fold_text = |value: &String| {
                    if fold {
                        fold_outside_variables(value)
                    } else {
                        value.clone()
                    }
                };
                let patterns: Result<_, _> = values
                    .iter()
                    .map(|value| Pattern::parse(&fold_text(value), syntax))
                    .collect();
                Self::Text {
                    patterns: patterns?,
                    fold,
                }
            }
            Test::Number(order) => Self::Number(each(values, "number", number)?, order),
            Test::Date(order) => Self::Date(each(values, "date", date::parse)?, order),
            Test::Bool => Self::Bool(each(values, "boolean", boolean)?),
            Test::Binary => Self::Binary(each(values, "Base64", binary)?),
            Test::Ip => Self::Ip(each(values, "address or network", Network::parse)?),
            Test::Arn => {
                let syntax = Syntax {
                    wildcards: true,
                    variables,
                };
                let arns: Result<_, _> = values.iter().map(|value| arn(value, syntax)).collect();
                Self::Arn(arns?)
            }
            Test::Null => match each(values, "boolean", boolean)?.as_slice() {
                [missing] => Self::Null(*missing),
                _ => return Err("Null takes one value, true or false".to_owned()),
            },
        })
    }

    /// With every variable filled in, without the values that miss one; and whether there are such.
    pub(super) fn fill<'c>(&'c self, keys: &dyn Keys) -> (Ready<'c>, bool) {
        match self {
            Self::Text { patterns, fold } => {
                let filled: Vec<_> = patterns.iter().filter_map(|pattern| pattern.fill(keys)).collect();
                let missing = filled.len() < patterns.len();
                (Ready::Text(filled, *fold), missing)
            }
            Self::Arn(arns) => {
                let fill =
                    |arn: &'c Vec<Pattern>| -> Option<Vec<_>> { arn.iter().map(|part| part.fill(keys)).collect() };
                let filled: Vec<_> = arns.iter().filter_map(fill).collect();
                let missing = filled.len() < arns.len();
                (Ready::Arn(filled), missing)
            }
            Self::Null(missing) => (Ready::Null(*missing), false),
            Self::Number(..) | Self::Date(..) | Self::Bool(_) | Self::Binary(_) | Self::Ip(_) => {
                (Ready::Plain(self), false)
            }
        }
    }

    pub(super) fn variables(&self) -> Box<dyn Iterator<Item = &Name> + '_> {
        match self {
            Self::Text { patterns, .. } => Box::new(patterns.iter().flat_map(Pattern::variables)),
            Self::Arn(arns) => Box::new(arns.iter().flatten().flat_map(Pattern::variables)),
            Self::Number(..) | Self::Date(..) | Self::Bool(_) | Self::Binary(_) | Self::Ip(_) | Self::Null(_) => {
                Box::new(std::iter::empty())
            }
        }
    }

    /// Whether it names fixed values, or networks that are not most of the Internet.
    pub(super) fn is_narrow(&self) -> bool {
        match self {
            Self::Text { patterns, .. } => patterns.iter().all(Pattern::is_fixed),
            Self::Ip(nets) => nets.iter().all(Network::is_narrow),
            Self::Arn(arns) => arns
                .iter()
                .all(|arn| !arn.is_empty() && arn.iter().all(Pattern::is_fixed)),
            Self::Number(..) | Self::Date(..) | Self::Bool(_) | Self::Binary(_) | Self::Null(_) => false,
        }
    }

    fn plain(&self, found: &str) -> bool {
        match self {
            Self::Number(values, order) => number(found).is_some_and(|found| {
                let fits = |value: &f64| found.partial_cmp(value).is_some_and(|found| order.holds(found));
                values.iter().any(fits)
            }),
            Self::Date(values, order) => {
                date::parse(found).is_some_and(|found| values.iter().any(|value| order.holds(found.cmp(value))))
            }
            Self::Bool(values) => boolean(found).is_some_and(|found| values.contains(&found)),
            Self::Binary(values) => binary(found).is_some_and(|found| values.contains(&found)),
            Self::Ip(nets) => found
                .parse::<IpAddr>()
                .is_ok_and(|address| nets.iter().any(|net| net.contains(address))),
            Self::Text { .. } | Self::Arn(_) | Self::Null(_) => false,
        }
    }
}

impl Ready<'_> {
    /// Whether one of the policy's values fits `found`.
    pub(super) fn any(&self, found: &str) -> bool {
        match self {
            Self::Text(patterns, true) => patterns.iter().any(|pattern| pattern.matches_folded(found)),
            Self::Text(patterns, false) => patterns.iter().any(|pattern| pattern.matches(found)),
            Self::Arn(arns) => arns.iter().any(|arn| {
                let mut parts = found.splitn(ARN_PARTS, ':');
                found.matches(':').count() + 1 >= ARN_PARTS.min(arn.len())
                    && arn
                        .iter()
                        .all(|part| parts.next().is_some_and(|found| part.matches(found)))
            }),
            Self::Plain(expected) => expected.plain(found),
            Self::Null(_) => false,
        }
    }
}

/// The names of variables keep their case: the key of a tag is in them.
fn fold_outside_variables(text: &str) -> String {
    let mut folded = String::new();
    for (index, piece) in text.split("${").enumerate() {
        match (index, piece.split_once('}')) {
            (0, _) => folded.push_str(&piece.to_lowercase()),
            (_, Some((variable, after))) => {
                folded.push_str("${");
                folded.push_str(variable);
                folded.push('}');
                folded.push_str(&after.to_lowercase());
            }
            (_, None) => {
                folded.push_str("${");
                folded.push_str(piece);
            }
        }
    }
    folded
}

fn arn(value: &str, syntax: Syntax) -> Result<Vec<Pattern>, String> {
    if value == "*" {
        return Ok(Vec::new());
    }
    Pattern::parse_parts(value, ARN_PARTS, syntax)?
        .filter(|_| value.starts_with("arn:"))
        .ok_or_else(|| format!("\"{value}\" is no ARN"))
}

fn number(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse::<f64>().ok().filter(|number| plain && number.is_finite())
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn binary(text: &str) -> Option<Vec<u8>> {
    base64_simd::STANDARD.decode_to_vec(text).ok()
}
