//! Conditions of requests, decided purely: `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since`.
//!
//! Owns AWS's precedence. Never reads a row; the caller brings what stands.

use crate::store::clock::Timestamp;
use crate::store::etag::{ETag, unquoted};

/// The value of an `If-Match` or `If-None-Match` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ETagMatch {
    /// `*`: whatever exists.
    Any,
    /// One or more entity tags without their quotes. A foreign one matches nothing.
    OneOf(Vec<String>),
}

impl ETagMatch {
    /// Reads a header's value; quotes may be missing, as S3 clients do.
    pub fn parse(header: &str) -> Self {
        if unquoted(header.trim()) == "*" {
            return Self::Any;
        }
        let tag = |text: &str| {
            let text = text.trim();
            unquoted(text.strip_prefix("W/").unwrap_or(text)).to_owned()
        };
        Self::OneOf(header.split(',').map(tag).collect())
    }

    pub fn matches(&self, etag: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => {
                let etag = etag.to_string();
                tags.iter().any(|tag| tag.eq_ignore_ascii_case(&etag))
            }
        }
    }
}

/// Which header a refused condition came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionHeader {
    IfMatch,
    IfNoneMatch,
    IfModifiedSince,
    IfUnmodifiedSince,
}

/// The conditions of a read. Times compare in whole seconds, as the headers have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    pub if_match: Option<ETagMatch>,
    pub if_none_match: Option<ETagMatch>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadVerdict {
    Proceed,
    /// 304 for GET and HEAD; 412 for a copy source.
    NotModified(ConditionHeader),
    PreconditionFailed(ConditionHeader),
}

impl ReadConditions {
    /// `If-Match` overrules `If-Unmodified-Since`, `If-None-Match` overrules `If-Modified-Since`; a failed precondition
    /// is told before an unmodified object.
    pub fn decide(&self, etag: &ETag, modified: Timestamp) -> ReadVerdict {
        let newer_than = |time: Timestamp| modified.seconds() > time.seconds();
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) if !tags.matches(etag) => {
                return ReadVerdict::PreconditionFailed(ConditionHeader::IfMatch);
            }
            (None, Some(time)) if newer_than(time) => {
                return ReadVerdict::PreconditionFailed(ConditionHeader::IfUnmodifiedSince);
            }
            (Some(_), _) | (None, _) => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) if tags.matches(etag) => ReadVerdict::NotModified(ConditionHeader::IfNoneMatch),
            (None, Some(time)) if !newer_than(time) => ReadVerdict::NotModified(ConditionHeader::IfModifiedSince),
            (Some(_), _) | (None, _) => ReadVerdict::Proceed,
        }
    }
}

/// The conditions of a write on what stands under its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteCondition {
    pub if_match: Option<ETagMatch>,
    pub if_none_match: Option<ETagMatch>,
}

/// Why a conditional write was refused. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefused {
    #[error("the precondition does not hold")]
    PreconditionFailed(ConditionHeader),
    /// `If-Match` on a key that holds nothing.
    #[error("there is no object to match")]
    NoSuchKey,
    /// Another write came between the check and the commit, and the body is consumed: the client sends it again.
    #[error("a conflicting write happened at the same time")]
    Conflict,
}

/// What a batch must require so that a decided condition still holds when it commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    None,
    Absent,
    Present,
    /// The revision that was looked at.
    Unchanged,
}

impl WriteCondition {
    pub fn if_none_match_any() -> Self {
        Self {
            if_none_match: Some(ETagMatch::Any),
            ..Self::default()
        }
    }

    pub fn if_match(etag: &ETag) -> Self {
        Self {
            if_match: Some(ETagMatch::OneOf(vec![etag.to_string()])),
            ..Self::default()
        }
    }

    pub fn is_none(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// Decides on the ETag that stands under the key, `None` if nothing does.
    pub fn decide(&self, current: Option<&ETag>) -> Result<Guard, WriteRefused> {
        let refused = |header| Err(WriteRefused::PreconditionFailed(header));
        let none_match = match (&self.if_none_match, current) {
            (None, _) => Guard::None,
            (Some(_), None) => Guard::Absent,
            (Some(tags), Some(etag)) if tags.matches(etag) => return refused(ConditionHeader::IfNoneMatch),
            (Some(_), Some(_)) => Guard::Unchanged,
        };
        match (&self.if_match, current) {
            (None, _) => Ok(none_match),
            (Some(_), None) => Err(WriteRefused::NoSuchKey),
            (Some(ETagMatch::Any), Some(_)) if none_match == Guard::None => Ok(Guard::Present),
            (Some(tags), Some(etag)) if tags.matches(etag) => Ok(Guard::Unchanged),
            (Some(_), Some(_)) => refused(ConditionHeader::IfMatch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: ETag = ETag::Md5([1; 16]);
    const AT: Timestamp = Timestamp::from_millis(1_000_500);

    fn tags(etag: &ETag) -> Option<ETagMatch> {
        Some(ETagMatch::parse(&format!("\"{etag}\"")))
    }

    #[test]
    fn headers_are_read_with_and_without_quotes() {
        assert_eq!(ETagMatch::parse("*"), ETagMatch::Any);
        assert_eq!(ETagMatch::parse("\"*\""), ETagMatch::Any);
        for header in [
            format!("\"{ETAG}\""),
            ETAG.to_string(),
            format!("\"x\", W/\"{ETAG}\""),
            format!("{ETAG}\""),
        ] {
            assert!(ETagMatch::parse(&header).matches(&ETAG), "{header}");
        }
        for header in ["", "\"\"", "bad", "\"x\",\"y\""] {
            assert!(!ETagMatch::parse(header).matches(&ETAG), "{header}");
        }
    }

    fn decides(table: &[(ReadConditions, ReadVerdict)]) {
        for (conditions, verdict) in table {
            assert_eq!(conditions.decide(&ETAG, AT), *verdict, "{conditions:?}");
        }
    }

    #[test]
    fn reads_follow_the_precedence_of_aws() {
        let other = ETag::Md5([2; 16]);
        let before = Some(Timestamp::from_millis(999_999));
        let same = Some(Timestamp::from_millis(1_000_000));
        let none = ReadConditions::default();
        decides(&[
            (
                ReadConditions {
                    if_match: tags(&ETAG),
                    if_unmodified_since: before,
                    ..none.clone()
                },
                ReadVerdict::Proceed,
            ),
            (
                ReadConditions {
                    if_match: tags(&other),
                    if_unmodified_since: same,
                    ..none.clone()
                },
                ReadVerdict::PreconditionFailed(ConditionHeader::IfMatch),
            ),
            (
                ReadConditions {
                    if_none_match: tags(&ETAG),
                    if_modified_since: before,
                    ..none.clone()
                },
                ReadVerdict::NotModified(ConditionHeader::IfNoneMatch),
            ),
            (
                ReadConditions {
                    if_none_match: tags(&other),
                    if_modified_since: same,
                    ..none.clone()
                },
                ReadVerdict::Proceed,
            ),
            (
                ReadConditions {
                    if_unmodified_since: before,
                    if_none_match: tags(&ETAG),
                    ..none.clone()
                },
                ReadVerdict::PreconditionFailed(ConditionHeader::IfUnmodifiedSince),
            ),
            (
                ReadConditions {
                    if_match: tags(&ETAG),
                    if_none_match: Some(ETagMatch::Any),
                    ..none
                },
                ReadVerdict::NotModified(ConditionHeader::IfNoneMatch),
            ),
        ]);
    }

    #[test]
    fn a_read_with_one_date_or_none_follows_it() {
        let before = Some(Timestamp::from_millis(999_999));
        let same = Some(Timestamp::from_millis(1_000_000));
        let none = ReadConditions::default();
        decides(&[
            (none.clone(), ReadVerdict::Proceed),
            (
                ReadConditions {
                    if_modified_since: same,
                    ..none.clone()
                },
                ReadVerdict::NotModified(ConditionHeader::IfModifiedSince),
            ),
            (
                ReadConditions {
                    if_modified_since: before,
                    ..none.clone()
                },
                ReadVerdict::Proceed,
            ),
            (
                ReadConditions {
                    if_unmodified_since: same,
                    ..none.clone()
                },
                ReadVerdict::Proceed,
            ),
        ]);
    }

    #[test]
    fn writes_are_guarded_by_what_they_were_decided_on() {
        let other = ETag::Md5([2; 16]);
        let failed = |header| Err(WriteRefused::PreconditionFailed(header));
        let any_match = WriteCondition {
            if_match: Some(ETagMatch::Any),
            ..Default::default()
        };
        let none_of = |etag| WriteCondition {
            if_none_match: tags(etag),
            ..Default::default()
        };
        let table = [
            (WriteCondition::default(), Some(&ETAG), Ok(Guard::None)),
            (WriteCondition::if_none_match_any(), None, Ok(Guard::Absent)),
            (
                WriteCondition::if_none_match_any(),
                Some(&ETAG),
                failed(ConditionHeader::IfNoneMatch),
            ),
            (none_of(&ETAG), Some(&ETAG), failed(ConditionHeader::IfNoneMatch)),
            (none_of(&other), Some(&ETAG), Ok(Guard::Unchanged)),
            (WriteCondition::if_match(&ETAG), Some(&ETAG), Ok(Guard::Unchanged)),
            (
                WriteCondition::if_match(&ETAG),
                Some(&other),
                failed(ConditionHeader::IfMatch),
            ),
            (WriteCondition::if_match(&ETAG), None, Err(WriteRefused::NoSuchKey)),
            (any_match.clone(), Some(&ETAG), Ok(Guard::Present)),
            (any_match, None, Err(WriteRefused::NoSuchKey)),
        ];
        for (condition, current, expected) in table {
            assert_eq!(condition.decide(current), expected, "{condition:?}");
        }
    }
}
