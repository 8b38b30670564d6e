//! The names of condition operators: a test, whether it is negated, and what surrounds it.

use std::cmp::Ordering;

/// How the values of the request are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    None,
    ForAll,
    ForAny,
}

/// What one value of the request is compared with one of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Text { wildcards: bool, fold: bool },
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Ip,
    Arn,
    Null,
}

/// The orders of (request, policy) that satisfy a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    pub(super) fn holds(self, found: Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}

/// An operator as a policy names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) test: Test,
    pub(super) negated: bool,
    pub(super) if_exists: bool,
    pub(super) quantifier: Quantifier,
}

const fn text(wildcards: bool, fold: bool) -> Test {
    Test::Text { wildcards, fold }
}

/// Every plain operator, its test, and whether it is negated.
const OPERATORS: &[(&str, Test, bool)] = &[
    ("StringEquals", text(false, false), false),
    ("StringNotEquals", text(false, false), true),
    ("StringEqualsIgnoreCase", text(false, true), false),
    ("StringNotEqualsIgnoreCase", text(false, true), true),
    ("StringLike", text(true, false), false),
    ("StringNotLike", text(true, false), true),
    ("NumericEquals", Test::Number(Order::Equal), false),
    ("NumericNotEquals", Test::Number(Order::Equal), true),
    ("NumericLessThan", Test::Number(Order::Less), false),
    ("NumericLessThanEquals", Test::Number(Order::LessOrEqual), false),
    ("NumericGreaterThan", Test::Number(Order::Greater), false),
    ("NumericGreaterThanEquals", Test::Number(Order::GreaterOrEqual), false),
    ("DateEquals", Test::Date(Order::Equal), false),
    ("DateNotEquals", Test::Date(Order::Equal), true),
    ("DateLessThan", Test::Date(Order::Less), false),
    ("DateLessThanEquals", Test::Date(Order::LessOrEqual), false),
    ("DateGreaterThan", Test::Date(Order::Greater), false),
    ("DateGreaterThanEquals", Test::Date(Order::GreaterOrEqual), false),
    ("Bool", Test::Bool, false),
    ("BinaryEquals", Test::Binary, false),
    ("IpAddress", Test::Ip, false),
    ("NotIpAddress", Test::Ip, true),
    ("ArnEquals", Test::Arn, false),
    ("ArnLike", Test::Arn, false),
    ("ArnNotEquals", Test::Arn, true),
    ("ArnNotLike", Test::Arn, true),
    ("Null", Test::Null, false),
];

impl Operator {
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let (quantifier, rest) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Quantifier::ForAll, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::ForAny, rest),
            Some(_) => return Err(unknown(name)),
            None => (Quantifier::None, name),
        };
        let (plain, if_exists) = match rest.strip_suffix("IfExists") {
            Some(plain) => (plain, true),
            None => (rest, false),
        };
        let &(_, test, negated) = OPERATORS
            .iter()
            .find(|(known, ..)| *known == plain)
            .ok_or_else(|| unknown(name))?;
        if test == Test::Null && (if_exists || quantifier != Quantifier::None) {
            return Err(format!("\"{name}\": Null stands alone"));
        }
        Ok(Self {
            test,
            negated,
            if_exists,
            quantifier,
        })
    }
}

fn unknown(name: &str) -> String {
    format!("there is no condition operator \"{name}\"")
}
