//! The one time format of Signature Version 4, `20130524T000000Z`, and the times shown in errors.

use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::{Date, Month, OffsetDateTime, Time};

/// A signature's time, with the text that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AmzDate {
    text: String,
    time: OffsetDateTime,
}

impl AmzDate {
    /// Reads `YYYYMMDDTHHMMSSZ` and nothing else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
        let (year, month_and_day) = date.split_at_checked(4)?;
        let (month, day) = month_and_day.split_at_checked(2)?;
        let (hour, minute_and_second) = clock.split_at_checked(2)?;
        let (minute, second) = minute_and_second.split_at_checked(2)?;
        let month = Month::try_from(u8::try_from(digits(month, 2)?).ok()?).ok()?;
        let date = Date::from_calendar_date(i32::from(digits(year, 4)?), month, small(day)?).ok()?;
        let clock = Time::from_hms(small(hour)?, small(minute)?, small(second)?).ok()?;
        Some(Self {
            text: text.to_owned(),
            time: date.with_time(clock).assume_utc(),
        })
    }

    /// Reads an HTTP `Date` header, which may also hold the format above.
    pub(super) fn parse_http(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            // RFC 2822 writes numeric zones; HTTP writes GMT, which its parser takes as an obsolete zone name.
            OffsetDateTime::parse(text, &Rfc2822)
                .ok()
                .map(|time| Self::from_time(time.to_offset(time::UtcOffset::UTC)))
        })
    }

    /// The text for a time in UTC, to the second.
    pub(super) fn from_time(time: OffsetDateTime) -> Self {
        let text = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            time.year(),
            u8::from(time.month()),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        );
        Self {
            text,
            time: time.replace_nanosecond(0).unwrap_or(time),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The day alone, `20130524`.
    pub(super) fn day(&self) -> &str {
        self.text.split('T').next().unwrap_or_default()
    }

    pub(super) fn time(&self) -> OffsetDateTime {
        self.time
    }
}

/// A time as error documents show it: RFC 3339, UTC, whole seconds.
pub(super) fn shown(time: OffsetDateTime) -> String {
    time.replace_nanosecond(0)
        .unwrap_or(time)
        .format(&Rfc3339)
        .unwrap_or_default()
}

fn digits(text: &str, count: usize) -> Option<u16> {
    if text.len() != count || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn small(text: &str) -> Option<u8> {
    u8::try_from(digits(text, 2)?).ok()
}

#[cfg(test)]
mod tests {
    use super::{AmzDate, shown};

    #[test]
    fn a_date_survives_parsing_and_formatting() {
        let date = AmzDate::parse("20130524T013207Z").unwrap();
        assert_eq!(date.day(), "20130524");
        assert_eq!(AmzDate::from_time(date.time()), date);
        assert_eq!(shown(date.time()), "2013-05-24T01:32:07Z");
    }

    #[test]
    fn an_http_date_gives_the_same_time() {
        let date = AmzDate::parse_http("Fri, 24 May 2013 00:00:00 GMT").unwrap();
        assert_eq!(date.as_str(), "20130524T000000Z");
    }

    #[test]
    fn anything_but_the_one_format_is_refused() {
        for text in [
            "",
            "20130524",
            "20130524T000000",
            "20130524T000000z",
            "2013-05-24T00:00:00Z",
            "20131324T000000Z",
            "20130532T000000Z",
            "20130524T240000Z",
            "+0130524T000000Z",
            "20130524T0000+0Z",
            "20130524T000000ZZ",
            "20130524T0000000Z",
            "éééé0524T000000Z",
        ] {
            assert_eq!(AmzDate::parse(text), None, "{text}");
        }
    }
}
