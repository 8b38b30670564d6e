//! Conditional headers of S3's requests, read as AWS reads them.
//!
//! Owns which header is which condition. How dates and ranges are written is in `http::conditions`; what they mean for an
//! object the store decides.

use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use storage_engine::store::condition::{ETagMatch, ReadConditions, WriteCondition};

use super::normalise::{COPY_IF_MATCH, COPY_IF_MODIFIED, COPY_IF_NONE_MATCH, COPY_IF_UNMODIFIED, Lifted};
pub(crate) use crate::http::conditions::{RangeHeader, date, range};

/// The conditions of a GET or HEAD.
pub(crate) fn of_read(lifted: &Lifted) -> ReadConditions {
    read(
        lifted,
        [&IF_MATCH, &IF_NONE_MATCH, &IF_MODIFIED_SINCE, &IF_UNMODIFIED_SINCE],
    )
}

/// The conditions a copy puts on its source.
pub(crate) fn of_copy_source(lifted: &Lifted) -> ReadConditions {
    read(
        lifted,
        [
            &COPY_IF_MATCH,
            &COPY_IF_NONE_MATCH,
            &COPY_IF_MODIFIED,
            &COPY_IF_UNMODIFIED,
        ],
    )
}

/// The conditions of a write on what stands under its key.
pub(crate) fn of_write(lifted: &Lifted) -> WriteCondition {
    WriteCondition {
        if_match: lifted.text(IF_MATCH).map(ETagMatch::parse),
        if_none_match: lifted.text(IF_NONE_MATCH).map(ETagMatch::parse),
    }
}

fn read(lifted: &Lifted, [matches, none_match, modified, unmodified]: [&HeaderName; 4]) -> ReadConditions {
    ReadConditions {
        if_match: lifted.text(matches).map(ETagMatch::parse),
        if_none_match: lifted.text(none_match).map(ETagMatch::parse),
        if_modified_since: lifted.text(modified).and_then(date),
        if_unmodified_since: lifted.text(unmodified).and_then(date),
    }
}
