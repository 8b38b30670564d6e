//! Healing and verifying as `drystone admin` prints them for a person. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::admin::{bytes, duration};
use crate::admin::heal::{HealReport, State};

const BAR: usize = 30;

/// How healing stands.
pub fn report(report: &HealReport) -> String {
    let state = match report.state {
        State::Unknown => "not known yet",
        State::Whole => "whole: nothing is missing",
        State::Healing => "healing",
        State::Waiting => "WAITING: something is missing that cannot be made now",
    };
    let mut text = format!("Healing: {state}\n");
    for reason in &report.reasons {
        text.push_str(&format!("  {reason}\n"));
    }
    if report.total_bytes > 0 && report.state == State::Healing {
        let eta = report.eta_seconds.map(|eta| format!(", {} left", duration(eta)));
        text.push_str(&format!(
            "  {} {} of {}, {}/s{}\n",
            bar(report.done_bytes, report.total_bytes),
            bytes(report.done_bytes),
            bytes(report.total_bytes),
            bytes(report.bytes_per_second),
            eta.unwrap_or_default()
        ));
    }
    for drive in report
        .drives
        .iter()
        .filter(|drive| drive.shards_left > 0 || drive.in_doubt)
    {
        let doubt = if drive.in_doubt {
            ", its files are being verified"
        } else {
            ""
        };
        let (left, size) = (drive.shards_left, bytes(drive.bytes_left));
        text.push_str(&format!(
            "  {}: {left} shard files to make, about {size}{doubt}\n",
            drive.path
        ));
    }
    if report.shards_healed > 0 {
        text.push_str(&format!(
            "  {} shard files made anew since the start\n",
            report.shards_healed
        ));
    }
    if let Some(census) = &report.census {
        let verdict = if census.clean { "clean" } else { "NOT CLEAN" };
        text.push_str(&format!(
            "Census {} ago: {verdict}; {} segments, {} whole, {} thin, {} unreadable, {} bad shards, {} orphans\n",
            duration(census.age_seconds),
            census.segments,
            census.whole,
            census.thin,
            census.unreadable,
            census.bad_shards,
            census.orphans
        ));
        if census.narrow > 0 {
            text.push_str(&format!(
                "  {} segments with {} were written while drives were away, and are made wider when all are back\n",
                census.narrow,
                bytes(census.narrow_bytes)
            ));
        }
    }
    text
}

/// How far each drive's files are verified.
pub fn scrubs(report: &HealReport, now: SystemTime) -> String {
    let line = |scrub: &crate::admin::heal::Scrub| {
        let passed = scrub.passed_at.and_then(|at| {
            let ago = now.duration_since(UNIX_EPOCH + Duration::from_secs(at)).ok()?;
            Some(format!("all verified {} ago", duration(ago.as_secs())))
        });
        let passed = passed.unwrap_or_else(|| "never all verified".to_owned());
        let (path, verified, segments) = (&scrub.path, scrub.verified, scrub.segments);
        format!("  {path}: {passed}; in this pass {verified} of {segments} segments\n")
    };
    let lines: String = report.scrubs.iter().map(line).collect();
    if lines.is_empty() {
        return "Nothing is known of any drive yet.\n".to_owned();
    }
    lines
}

/// How much of something is done.
pub fn bar(done: u64, of: u64) -> String {
    let filled = usize::try_from(u128::from(done) * BAR as u128 / u128::from(of.max(1)))
        .unwrap_or(BAR)
        .min(BAR);
    format!("[{}{}]", "#".repeat(filled), ".".repeat(BAR - filled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::heal::{Census, DriveHealing, Scrub};

    fn healing() -> HealReport {
        HealReport {
            state: State::Healing,
            reasons: vec!["drive /d9 is missing".into()],
            total_bytes: 100 << 20,
            done_bytes: 50 << 20,
            bytes_per_second: 1 << 20,
            eta_seconds: Some(50),
            shards_healed: 3,
            drives: vec![DriveHealing {
                id: "a".into(),
                path: "/d1".into(),
                shards_left: 7,
                bytes_left: 50 << 20,
                in_doubt: true,
            }],
            census: Some(Census {
                clean: false,
                frames_read: false,
                segments: 9,
                whole: 2,
                thin: 7,
                unreadable: 0,
                bad_shards: 1,
                orphans: 0,
                narrow: 2,
                narrow_bytes: 3 << 20,
                verified_bytes: 0,
                took_milliseconds: 5,
                age_seconds: 61,
            }),
            scrubs: vec![Scrub {
                id: "a".into(),
                path: "/d1".into(),
                passed_at: Some(1_000),
                verified: 2,
                segments: 9,
            }],
        }
    }

    #[test]
    fn a_person_reads_progress_what_is_left_and_the_census() {
        let text = report(&healing());
        for part in [
            "Healing: healing\n",
            "drive /d9 is missing",
            "[###############...............] 50.0 MiB of 100.0 MiB, 1.0 MiB/s, 50 s left",
            "/d1: 7 shard files to make, about 50.0 MiB, its files are being verified",
            "Census 1 min ago: NOT CLEAN; 9 segments, 2 whole, 7 thin",
        ] {
            assert!(text.contains(part), "'{part}' is not in\n{text}");
        }
        let text = scrubs(&healing(), UNIX_EPOCH + Duration::from_secs(4_700));
        assert_eq!(
            text,
            "  /d1: all verified 1 h 1 min ago; in this pass 2 of 9 segments\n"
        );
    }

    #[test]
    fn a_bar_is_never_longer_than_itself() {
        for (done, of) in [(0, 0), (5, 0), (u64::MAX, 1), (1, u64::MAX)] {
            assert_eq!(bar(done, of).len(), BAR + 2);
        }
    }
}
