//! The policy of an upload form: what its author lets the sender of the form decide. Pure.
//!
//! Owns the reading of the document and the judgement of the fields. It never looks at the file, and never decides
//! whether the author may write: `access` does.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::fields::Fields;
use crate::s3::error::{Code, Failure};

/// Fields that need no condition: the signature and what it covers, and the file.
const NEEDS_NONE: [&str; 3] = ["policy", "x-amz-signature", "file"];
const IGNORED: &str = "x-ignore-";

/// A policy that was read.
#[derive(Debug)]
pub(super) struct PostPolicy {
    expires: OffsetDateTime,
    conditions: Vec<Condition>,
    /// Fewest and most bytes of the file.
    pub(super) length: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Condition {
    field: String,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    Equals(String),
    StartsWith(String),
}

fn invalid<T>(reason: &str) -> Result<T, Failure> {
    Err(Failure::because(
        Code::INVALID_POLICY_DOCUMENT,
        format!("Invalid Policy: {reason}"),
    ))
}

fn refused<T>(reason: &str) -> Result<T, Failure> {
    Err(Failure::because(
        Code::ACCESS_DENIED,
        format!("Invalid according to Policy: {reason}"),
    ))
}

impl PostPolicy {
    /// Reads a policy as the form carries it, in Base64.
    pub(super) fn parse(base64: &str) -> Result<Self, Failure> {
        let Ok(bytes) = base64_simd::STANDARD.decode_to_vec(base64.trim()) else {
            return invalid("Invalid Base64.");
        };
        let Ok(document) = serde_json::from_slice::<Value>(&bytes) else {
            return invalid("Invalid JSON.");
        };
        let Some(expiration) = document.get("expiration").and_then(Value::as_str) else {
            return invalid("Policy missing expiration.");
        };
        let Ok(expires) = OffsetDateTime::parse(expiration, &Rfc3339) else {
            return invalid("Invalid 'expiration' value.");
        };
        let Some(listed) = document.get("conditions").and_then(Value::as_array) else {
            return invalid("Policy missing conditions.");
        };
        let mut policy = Self {
            expires,
            conditions: Vec::with_capacity(listed.len()),
            length: None,
        };
        for condition in listed {
            policy.add(condition)?;
        }
        Ok(policy)
    }

    fn add(&mut self, condition: &Value) -> Result<(), Failure> {
        match condition {
            Value::Object(pairs) if !pairs.is_empty() => {
                for (field, value) in pairs {
                    let Some(value) = value.as_str() else {
                        return invalid("A condition's value is not a string.");
                    };
                    self.conditions.push(Condition {
                        field: field.to_lowercase(),
                        rule: Rule::Equals(value.to_owned()),
                    });
                }
                Ok(())
            }
            Value::Array(parts) => match parts.as_slice() {
                [operator, first, second] => self.add_triple(operator, first, second),
                _ => invalid("A condition has not three parts."),
            },
            _ => invalid("Invalid Condition."),
        }
    }

    fn add_triple(&mut self, operator: &Value, first: &Value, second: &Value) -> Result<(), Failure> {
        let operator = operator.as_str().unwrap_or_default().to_lowercase();
        if operator == "content-length-range" {
            return match (number(first), number(second)) {
                (Some(least), Some(most)) if least <= most => {
                    // Every range holds, however many there are.
                    let (low, high) = self.length.unwrap_or((0, u64::MAX));
                    self.length = Some((least.max(low), most.min(high)));
                    Ok(())
                }
                _ => invalid("Invalid content-length-range."),
            };
        }
        let (Some(field), Some(value)) = (first.as_str().and_then(|name| name.strip_prefix('$')), second.as_str())
        else {
            return invalid("A condition names no field.");
        };
        let rule = match operator.as_str() {
            "eq" => Rule::Equals(value.to_owned()),
            "starts-with" => Rule::StartsWith(value.to_owned()),
            _ => return invalid("Unknown operator of a condition."),
        };
        self.conditions.push(Condition {
            field: field.to_lowercase(),
            rule,
        });
        Ok(())
    }

    /// Judges the fields of a form, sent to `bucket` at `now`.
    pub(super) fn judge(&self, fields: &Fields, bucket: &str, now: OffsetDateTime) -> Result<(), Failure> {
        if self.expires <= now {
            return refused("Policy expired.");
        }
        for condition in &self.conditions {
            let value = match condition.field.as_str() {
                // The address decides, whatever a field says.
                "bucket" => bucket,
                field => fields.get(field).unwrap_or_default(),
            };
            let (holds, operator, wanted) = match &condition.rule {
                Rule::Equals(wanted) => (value == wanted, "eq", wanted),
                Rule::StartsWith(wanted) => (value.starts_with(wanted.as_str()), "starts-with", wanted),
            };
            if !holds {
                let field = &condition.field;
                return refused(&format!(
                    "Policy Condition failed: [\"{operator}\", \"${field}\", \"{wanted}\"]"
                ));
            }
        }
        let covered = |name: &str| self.conditions.iter().any(|condition| condition.field == name);
        let extra = fields
            .names()
            .find(|name| !NEEDS_NONE.contains(name) && !name.starts_with(IGNORED) && !covered(name));
        match extra {
            Some(name) => refused(&format!("Extra input fields: {name}")),
            None => Ok(()),
        }
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2030-01-01 0:00 UTC);

    fn policy(conditions: &str) -> Result<PostPolicy, Failure> {
        let text = format!("{{\"expiration\": \"2030-01-01T00:00:01.000Z\", \"conditions\": [{conditions}]}}");
        PostPolicy::parse(&base64_simd::STANDARD.encode_to_string(text))
    }

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        Fields::of(pairs)
    }

    fn verdict(conditions: &str, pairs: &[(&str, &str)]) -> Option<Code> {
        let judged = policy(conditions).unwrap().judge(&fields(pairs), "b", NOW);
        judged.err().map(|failure| failure.code)
    }

    #[test]
    fn every_condition_must_hold_and_every_field_must_have_one() {
        let denied = Some(Code::ACCESS_DENIED);
        let conditions = r#"{"bUcKeT": "b"}, ["StArTs-WiTh", "$KeY", "up/"], ["eq", "$acl", "private"]"#;
        let key = ("key", "up/a");
        let acl = ("acl", "private");
        assert_eq!(verdict(conditions, &[key, acl]), None);
        let exempt = [("policy", "x"), ("x-amz-signature", "x"), ("x-ignore-me", "x")];
        assert_eq!(verdict(conditions, &[&[key, acl][..], &exempt].concat()), None);
        for wrong in [
            &[("key", "down/a"), acl][..],
            &[key, ("acl", "public-read")],
            &[key],
            &[key, acl, ("x-amz-meta-a", "1")],
            &[key, acl, ("tagging", "")],
            &[key, acl, ("success_action_status", "200")],
            &[key, acl, ("content-type", "text/html")],
        ] {
            assert_eq!(verdict(conditions, wrong), denied, "{wrong:?}");
        }
        assert_eq!(verdict(r#"{"bucket": "other"}"#, &[("bucket", "other")]), denied);
    }

    #[test]
    fn a_policy_holds_until_it_expires() {
        let policy = policy("").unwrap();
        assert!(policy.judge(&fields(&[]), "b", NOW).is_ok());
        let late = policy.judge(&fields(&[]), "b", NOW + time::Duration::seconds(1));
        assert_eq!(late.unwrap_err().code, Code::ACCESS_DENIED);
    }

    #[test]
    fn the_narrowest_length_holds() {
        let both = policy(r#"["content-length-range", 1, 100], ["Content-Length-Range", "10", "1000"]"#).unwrap();
        assert_eq!(both.length, Some((10, 100)));
        assert_eq!(policy("").unwrap().length, None);
    }

    #[test]
    fn a_policy_that_cannot_be_understood_is_refused() {
        for conditions in [
            "{}",
            "1",
            r#"{"a": 1}"#,
            r#"["eq", "$a"]"#,
            r#"["eq", "a", "b"]"#,
            r#"["ends-with", "$a", "b"]"#,
            r#"["content-length-range", 0]"#,
            r#"["content-length-range", -1, 2]"#,
            r#"["content-length-range", 3, 2]"#,
        ] {
            let code = policy(conditions).unwrap_err().code;
            assert_eq!(code, Code::INVALID_POLICY_DOCUMENT, "{conditions}");
        }
        for text in [
            "{\"conditions\": []}",
            "{\"expiration\": \"2030-01-01T00:00:00Z\"}",
            "{\"EXPIRATION\": \"2030-01-01T00:00:00Z\", \"conditions\": []}",
            "{\"expiration\": \"2030-01-01\", \"conditions\": []}",
            "no json",
        ] {
            let base64 = base64_simd::STANDARD.encode_to_string(text);
            assert!(PostPolicy::parse(&base64).is_err(), "{text}");
        }
        assert!(PostPolicy::parse("%%%").is_err());
    }
}
