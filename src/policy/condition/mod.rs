//! The conditions of a statement: one operator, one key, some values each; all must hold.
//!
//! A key that the request does not have: the plain operators are false, the negated ones true, as in AWS, and every
//! `…IfExists` is true. A value with a *variable* that the request does not have matches nothing; the other values count.
//! What holds only because nothing matched, or because the key is missing, is not known then: a Deny takes it as true, an
//! Allow as false. `ForAllValues:` asks it of every value of the request (true of none), `ForAnyValue:` of at least one; under
//! a negated operator "it" is "equals none of the policy's values".

mod date;
mod net;
mod operator;
#[cfg(test)]
mod tests;
mod values;

pub use self::net::Network;
use self::operator::{Operator, Quantifier};
use self::values::{Expected, Ready};
use super::document::texts;
use super::json::Json;
use super::keys::{Keys, Name};

/// One condition of a statement.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    operator: Operator,
    key: Name,
    expected: Expected,
}

/// Reads the value of `Condition`; `trust`: of a policy that says who may take on a role.
pub(super) fn parse(json: &Json, variables: bool, trust: bool) -> Result<Vec<Condition>, String> {
    let Json::Object(blocks) = json else {
        return Err(format!("Condition must be an object of operators, not {}", json.kind()));
    };
    let mut conditions = Vec::new();
    for (name, keys) in blocks {
        let operator = Operator::parse(name)?;
        let Json::Object(keys) = keys else {
            return Err(format!(
                "{name} must be an object of condition keys, not {}",
                keys.kind()
            ));
        };
        if keys.is_empty() {
            return Err(format!("{name} names no condition key"));
        }
        for (key, values) in keys {
            let known = match trust {
                true => Name::parse_of_trust(key),
                false => Name::parse(key),
            };
            let known = known.ok_or_else(|| format!("there is no condition key \"{key}\""))?;
            let expected = Expected::parse(operator.test, &texts(key, values)?, variables)
                .map_err(|reason| format!("{name} of {key}: {reason}"))?;
            conditions.push(Condition {
                operator,
                key: known,
                expected,
            });
        }
    }
    Ok(conditions)
}

impl Condition {
    /// Whether it holds for a request, in a statement that denies or in one that allows.
    pub(super) fn holds(&self, keys: &dyn Keys, deny: bool) -> bool {
        let found = keys.get(self.key.as_str());
        let found = found.as_slice();
        let (ready, missing) = self.expected.fill(keys);
        if missing && !deny && (self.operator.negated || found.is_empty()) {
            return false;
        }
        if let Ready::Null(missing) = ready {
            return found.is_empty() == missing;
        }
        if found.is_empty() {
            return match self.operator.quantifier {
                _ if self.operator.if_exists => true,
                Quantifier::None => self.operator.negated,
                Quantifier::ForAll => true,
                Quantifier::ForAny => false,
            };
        }
        let mut found = found.iter();
        match (self.operator.quantifier, self.operator.negated) {
            (Quantifier::None | Quantifier::ForAny, false) => found.any(|value| ready.any(value)),
            (Quantifier::None | Quantifier::ForAll, true) => !found.any(|value| ready.any(value)),
            (Quantifier::ForAll, false) => found.all(|value| ready.any(value)),
            (Quantifier::ForAny, true) => found.any(|value| !ready.any(value)),
        }
    }

    /// The names of what it looks at in the request.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        std::iter::once(&self.key).chain(self.expected.variables())
    }

    /// Whether it allows only fixed callers or networks, so that an Allow with it is not public.
    pub(super) fn bounds_callers(&self) -> bool {
        let positive =
            !self.operator.negated && !self.operator.if_exists && self.operator.quantifier != Quantifier::ForAll;
        let narrow_key = matches!(
            self.key.as_str(),
            "aws:principalaccount" | "aws:principalarn" | "aws:sourceip" | "aws:userid" | "aws:username"
        );
        positive && narrow_key && self.expected.is_narrow()
    }
}
