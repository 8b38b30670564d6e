//! Dates as policies write them: the W3C profile of ISO 8601, or seconds of Unix time.

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

/// Nanoseconds of Unix time. Four digits are a year; what has no time is midnight UTC.
pub(super) fn parse(text: &str) -> Option<i128> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(text) && text.len() != 4 {
        return text
            .parse::<i64>()
            .ok()
            .map(|seconds| i128::from(seconds) * 1_000_000_000);
    }
    let Some((date, clock)) = text.split_once('T') else {
        return midnight(text);
    };
    // RFC 3339 asks for seconds, the profile does not.
    let zone = clock.find(['Z', '+', '-'])?;
    let (clock, zone) = clock.split_at(zone);
    let seconds = if clock.len() == "hh:mm".len() { ":00" } else { "" };
    let full = format!("{date}T{clock}{seconds}{zone}");
    let parsed = OffsetDateTime::parse(&full, &Rfc3339).ok()?;
    Some(parsed.unix_timestamp_nanos())
}

fn midnight(date: &str) -> Option<i128> {
    let mut parts = date.split('-');
    let year = parts.next().filter(|year| year.len() == 4)?;
    let mut number = |default| match parts.next() {
        None => Some(default),
        Some(part) => part
            .parse::<u8>()
            .ok()
            .filter(|_| part.len() == 2 && !part.starts_with('+')),
    };
    let (month, day) = (number(1)?, number(1)?);
    if parts.next().is_some() || !year.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let date = Date::from_calendar_date(year.parse().ok()?, Month::try_from(month).ok()?, day).ok()?;
    Some(date.midnight().assume_utc().unix_timestamp_nanos())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn every_form_of_a_moment_is_the_same_moment() {
        let moment = 1_767_225_600_i128 * 1_000_000_000;
        for form in [
            "2026",
            "2026-01",
            "2026-01-01",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.000Z",
            "2026-01-01T01:00:00+01:00",
            "2026-01-01T01:00+01:00",
            "1767225600",
        ] {
            assert_eq!(parse(form), Some(moment), "{form}");
        }
        for wrong in [
            "",
            "x",
            "2026-13",
            "2026-02-30",
            "2026-1-1",
            "2026-01-01T00:00:00",
            "-5",
            "2026-01-01T",
            "2026-01-01-01",
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
