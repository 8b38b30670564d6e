//! What the client says: lines of text or of JSON with the field names that scripts know, and failures. Sizes and times
//! as people read them. It prints; it asks nobody.

use std::io::IsTerminal;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::client::ClientError;
use crate::cli::print;

/// Why a command, or a part of it, did not succeed.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    cause: String,
    detail: Value,
    fatal: bool,
}

impl Failure {
    /// The command ends with it.
    pub(super) fn fatal(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            cause: String::new(),
            detail: json!({}),
            fatal: true,
        }
    }

    /// One of many; the others are still tried.
    pub(super) fn error(message: impl Into<String>) -> Self {
        Self {
            fatal: false,
            ..Self::fatal(message)
        }
    }

    /// Adds what is behind it.
    #[must_use]
    pub(super) fn because(mut self, cause: &ClientError) -> Self {
        self.cause = cause.to_string();
        self.detail = cause.detail();
        self
    }

    /// Adds an explanation.
    #[must_use]
    pub(super) fn hint(mut self, cause: impl Into<String>) -> Self {
        self.cause = cause.into();
        self
    }

    fn json(&self) -> Value {
        json!({
            "status": "error",
            "error": {
                "message": self.message,
                "cause": { "message": self.cause, "error": self.detail },
                "type": if self.fatal { "fatal" } else { "error" },
            },
        })
    }

    fn text(&self) -> String {
        let message = self.message.trim_end_matches('.');
        let cause = self.cause.trim_end_matches('.');
        match (message.is_empty(), cause.is_empty()) {
            (true, _) => format!("{cause}."),
            (false, true) => format!("{message}."),
            (false, false) => format!("{message}. {cause}."),
        }
    }
}

/// How to speak.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) quiet: bool,
}

impl Output {
    /// Says one thing: `value` where JSON is asked for, else `text`.
    pub(super) fn say(&self, value: &Value, text: &str) {
        let line = if self.json { value.to_string() } else { text.to_owned() };
        print::line(line);
    }

    /// The same, for what goes on for ever: gives whether somebody may still listen.
    #[must_use]
    pub(super) fn say_on(&self, value: &Value, text: &str) -> bool {
        print::line_heard(if self.json { value.to_string() } else { text.to_owned() })
    }

    /// Says what failed: to standard error, or as JSON to standard output.
    pub(super) fn fail(&self, failure: &Failure) {
        if self.json {
            self.say(&failure.json(), "");
        } else {
            print::problem(format_args!("mc: <ERROR> {}", failure.text()));
        }
    }

    /// Whether a bar that moves helps anybody.
    pub(super) fn shows_progress(&self) -> bool {
        !self.json && !self.quiet && std::io::stdout().is_terminal() && std::io::stderr().is_terminal()
    }
}

/// `7.6 KiB`, `3 B`: as lists show sizes.
pub(super) fn human(bytes: u64) -> String {
    scaled(bytes, |value| {
        let value = (value * 10.0).round() / 10.0;
        (value, usize::from(value < 10.0))
    })
}

/// `2.93 KiB`: as summaries of transfers show them.
pub(super) fn precise(bytes: u64) -> String {
    scaled(bytes, |value| (value, 2))
}

fn scaled(bytes: u64, round: impl Fn(f64) -> (f64, usize)) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let (value, digits) = round(value);
    format!("{value:.digits$} {unit}")
}

/// A time in JSON.
pub(super) fn stamp(at: Option<OffsetDateTime>) -> String {
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&Rfc3339).unwrap_or_default()
}

/// A time in lists.
pub(super) fn clock(at: Option<OffsetDateTime>) -> String {
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC"))
        .unwrap_or_default()
}

/// Seconds of `7d10h31s`; `None` when it is not of that form.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut number = String::new();
    for character in text.chars() {
        let unit = match character {
            '0'..='9' => {
                number.push(character);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    (number.is_empty() && !text.is_empty()).then_some(total)
}

/// Bytes of `1KB`, `64MiB`, `5g`; `None` when it is not of that form.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split)?;
    let unit = unit.trim().trim_end_matches('b');
    let (letter, base) = match unit.strip_suffix('i') {
        Some(letter) => (letter, 1024_u64),
        None => (unit, 1000),
    };
    let power = match letter {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    let bytes = (number * base.pow(power) as f64) as u64;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_know_them() {
        for (bytes, shown) in [
            (0, "0 B"),
            (3, "3 B"),
            (1023, "1023 B"),
            (7752, "7.6 KiB"),
            (10_766, "10 KiB"),
            (40 << 20, "40 MiB"),
        ] {
            assert_eq!(human(bytes), shown);
        }
        assert_eq!((precise(3000), precise(7)), ("2.93 KiB".into(), "7 B".into()));
    }

    #[test]
    fn spans_and_sizes_are_read_or_refused() {
        assert_eq!(
            (seconds("7d10h31s"), seconds("1m"), seconds("168h")),
            (Some(640_831), Some(60), Some(604_800))
        );
        assert_eq!(
            (seconds(""), seconds("5"), seconds("1x"), seconds("h")),
            (None, None, None, None)
        );
        assert_eq!(
            (bytes("1KB"), bytes("1ki"), bytes("12"), bytes("1.5m")),
            (Some(1000), Some(1024), Some(12), Some(1_500_000))
        );
        assert_eq!((bytes("x"), bytes("1z"), bytes("")), (None, None, None));
    }

    #[test]
    fn a_failure_is_one_sentence_after_the_other() {
        let failure = Failure::fatal("Unable to read.").hint("Object does not exist");
        assert_eq!(failure.text(), "Unable to read. Object does not exist.");
        let value = failure.json();
        assert_eq!(
            value.pointer("/error/cause/message"),
            Some(&json!("Object does not exist"))
        );
        assert_eq!(value.pointer("/error/type"), Some(&json!("fatal")));
    }
}
