//! Orders about drives as `drystone admin` gives them, and what moves as a person reads it. It asks through what it is
//! given and prints; what an order does, the server decides.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde::Serialize;

use super::admin::{bytes, duration};
use super::args::{AdminVerb, DriveVerb, ParityVerb, RebalanceVerb};
use super::healing::bar;
use super::print;
use crate::admin::drives::{Add, Balance, Drain, MovingReport, Named, Parity, Remove, Replace};
use crate::config::expand;

/// How often it is asked how far it is.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How often that may fail in a row: a server that is restarted goes on.
const FAILURES_MAX: u32 = 60;

const DRIVES: &str = "/v1/admin/drives";
const REBALANCE: &str = "/v1/admin/rebalance";

/// A request to the server.
pub struct Asking {
    pub method: Method,
    pub path: &'static str,
    pub body: Vec<u8>,
}

/// Asks the server, or says what to tell the operator.
pub type Ask<'a> = &'a dyn Fn(Asking) -> Result<MovingReport, String>;

/// What a verb asks for; `None`: it is not about what moves.
fn asking(verb: &AdminVerb) -> Result<Option<Asking>, String> {
    let order = match verb {
        AdminVerb::Drive(DriveVerb::Status) => question(DRIVES),
        AdminVerb::Drive(DriveVerb::Add { paths, force }) => {
            let expanded = paths.iter().map(|path| expand(path)).collect::<Result<Vec<_>, _>>();
            let expanded = expanded.map_err(|error| error.to_string())?;
            let add = Add {
                paths: expanded.into_iter().flatten().map(PathBuf::from).collect(),
                force: *force,
            };
            order("/v1/admin/drives/add", &add)?
        }
        AdminVerb::Drive(DriveVerb::Drain { drive, .. }) => order("/v1/admin/drives/drain", &named(drive))?,
        AdminVerb::Drive(DriveVerb::Keep { drive }) => order("/v1/admin/drives/keep", &named(drive))?,
        AdminVerb::Drive(DriveVerb::Remove { drive, lost }) => {
            let drive = drive.clone();
            order("/v1/admin/drives/remove", &Remove { drive, lost: *lost })?
        }
        AdminVerb::Drive(DriveVerb::Replace {
            drive,
            path,
            lost,
            force,
            ..
        }) => {
            let replace = Replace {
                drive: drive.clone(),
                path: PathBuf::from(path),
                lost: *lost,
                force: *force,
            };
            order("/v1/admin/drives/replace", &replace)?
        }
        AdminVerb::Rebalance(RebalanceVerb::Status) => question(REBALANCE),
        AdminVerb::Rebalance(RebalanceVerb::Start { percent, .. }) => order(REBALANCE, &Balance { percent: *percent })?,
        AdminVerb::Rebalance(RebalanceVerb::Stop) => Asking {
            method: Method::DELETE,
            ..question(REBALANCE)
        },
        AdminVerb::Parity(ParityVerb::Set { parity }) => order("/v1/admin/parity", &Parity { parity: *parity })?,
        AdminVerb::Info
        | AdminVerb::Heal(_)
        | AdminVerb::Scrub(_)
        | AdminVerb::Index(_)
        | AdminVerb::Drive(DriveVerb::List) => {
            return Ok(None);
        }
    };
    Ok(Some(order))
}

fn question(path: &'static str) -> Asking {
    Asking {
        method: Method::GET,
        path,
        body: Vec::new(),
    }
}

fn order<T: Serialize>(path: &'static str, document: &T) -> Result<Asking, String> {
    Ok(Asking {
        method: Method::POST,
        path,
        body: serde_json::to_vec(document).map_err(|error| error.to_string())?,
    })
}

fn named(drive: &str) -> Named {
    Named {
        drive: drive.to_owned(),
    }
}

/// Carries out a verb about what moves, and gives the text to print; `None` if the verb is another's.
pub fn answer(verb: &AdminVerb, json: bool, ask: Ask<'_>) -> Result<Option<String>, String> {
    let Some(asking) = asking(verb)? else {
        return Ok(None);
    };
    let report = ask(asking)?;
    let waits = match verb {
        AdminVerb::Drive(DriveVerb::Drain { wait, .. } | DriveVerb::Replace { wait, .. })
        | AdminVerb::Rebalance(RebalanceVerb::Start { wait, .. }) => *wait,
        _ => false,
    };
    if waits {
        return wait(&report, json, ask).map(Some);
    }
    let said = if json { String::new() } else { told(verb, &report) };
    Ok(Some(said + &shown(&report, json)?))
}

fn shown(report: &MovingReport, json: bool) -> Result<String, String> {
    if json {
        let text = serde_json::to_string(report).map_err(|error| error.to_string())?;
        return Ok(text + "\n");
    }
    Ok(describe(report))
}

/// One line about the order that was carried out.
fn told(verb: &AdminVerb, report: &MovingReport) -> String {
    let paths: Vec<&str> = report.changed.iter().map(|drive| drive.path.as_str()).collect();
    let drives = paths.join(", ");
    match verb {
        AdminVerb::Drive(DriveVerb::Add { .. }) => format!(
            "Added: {drives}. New data uses it at once; 'rebalance start' moves a share of the old.\nGive the new path to \
             the server from its next start on.\n"
        ),
        AdminVerb::Drive(DriveVerb::Drain { .. }) => {
            format!("Draining: {drives}. Once it holds nothing, 'drive remove' takes it out.\n")
        }
        AdminVerb::Drive(DriveVerb::Keep { .. }) => format!("Kept: {drives}\n"),
        AdminVerb::Drive(DriveVerb::Remove { .. }) => {
            format!("Removed: {drives}. Take its path off the server's command line; it is refused should it return.\n")
        }
        AdminVerb::Drive(DriveVerb::Replace { .. }) => match paths.as_slice() {
            [old, new] => format!("{new} takes the place of {old}\n"),
            _ => String::new(),
        },
        AdminVerb::Rebalance(RebalanceVerb::Stop) => "The rebalance is stopped.\n".to_owned(),
        AdminVerb::Parity(ParityVerb::Set { parity }) => {
            format!("New data is written with EC:{parity}; what is stored keeps its own parity.\n")
        }
        _ => String::new(),
    }
}

/// What moves, for a person.
fn describe(report: &MovingReport) -> String {
    let mut text: String = report.drains.iter().map(|drain| line(drain) + "\n").collect();
    if let Some(percent) = report.rebalance_percent {
        text.push_str(&format!("Rebalancing until drives differ by {percent} % at most\n"));
    } else if report.rebalanced {
        text.push_str("The drives are balanced\n");
    }
    if report.shards_moved > 0 {
        let (shards, size) = (report.shards_moved, bytes(report.bytes_moved));
        text.push_str(&format!("{shards} shards moved since the start, about {size}\n"));
    }
    for reason in &report.reasons {
        text.push_str(&format!("  {reason}\n"));
    }
    if text.is_empty() {
        return "Nothing moves.\n".to_owned();
    }
    text
}

/// How far one drive is.
fn line(drain: &Drain) -> String {
    let away = if drain.present { "" } else { " (away)" };
    if drain.holds_nothing {
        return format!("{}{away}: drained, holds nothing any more", drain.path);
    }
    let done = drain.total_bytes.saturating_sub(drain.bytes_left);
    let eta = drain.eta_seconds.map(|eta| format!(", {} left", duration(eta)));
    format!(
        "{}{away}: {} {} of {}, {} segments left, {}/s{}",
        drain.path,
        bar(done, drain.total_bytes),
        bytes(done),
        bytes(drain.total_bytes),
        drain.segments_left,
        bytes(drain.bytes_per_second),
        eta.unwrap_or_default()
    )
}

/// Asks again until nothing moves, and shows how far it is: on a terminal in place, else, and for programs, line by line.
fn wait(first: &MovingReport, json: bool, ask: Ask<'_>) -> Result<String, String> {
    let (mut report, mut failures) = (first.clone(), 0);
    let in_place = !json && std::io::stdout().is_terminal();
    let mut said = String::new();
    loop {
        let ended = report.rebalance_percent.is_none() && report.drains.iter().all(|drain| drain.holds_nothing);
        if ended {
            if in_place {
                print::line("");
            }
            return shown(&report, json);
        }
        let now = match json {
            true => shown(&report, true)?,
            false => progress(&report),
        };
        if in_place {
            print::text(format_args!("\r{now}\x1b[K"));
        } else if now != said {
            print::line(now.trim_end());
        }
        said = now;
        // Whoever reads may be gone; the order is not.
        let _ = std::io::stdout().flush();
        std::thread::sleep(ASK_EVERY);
        match ask(question(DRIVES)) {
            Ok(next) => (report, failures) = (next, 0),
            Err(reason) if failures >= FAILURES_MAX => return Err(reason),
            Err(_) => failures += 1,
        }
    }
}

/// One line of how far everything is.
fn progress(report: &MovingReport) -> String {
    let mut parts: Vec<String> = report.drains.iter().map(line).collect();
    if let Some(percent) = report.rebalance_percent {
        let (shards, size) = (report.shards_moved, bytes(report.bytes_moved));
        parts.push(format!(
            "rebalancing to {percent} %: {shards} shards moved, about {size}"
        ));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::admin::drives::Changed;

    fn report(holds_nothing: bool) -> MovingReport {
        MovingReport {
            changed: vec![Changed {
                id: "1d".into(),
                path: "/data1".into(),
            }],
            drains: vec![Drain {
                id: "1d".into(),
                path: "/data1".into(),
                present: true,
                holds_nothing,
                segments_left: 7,
                bytes_left: 75 << 20,
                total_bytes: 100 << 20,
                bytes_per_second: 5 << 20,
                eta_seconds: Some(15),
            }],
            ..MovingReport::default()
        }
    }

    #[test]
    fn an_order_is_sent_whole_and_its_answer_told() {
        let sent = RefCell::new(Vec::new());
        let ask = |asking: Asking| {
            let body = String::from_utf8(asking.body).unwrap();
            sent.borrow_mut()
                .push(format!("{} {} {body}", asking.method, asking.path));
            Ok(report(false))
        };
        let drain = AdminVerb::Drive(DriveVerb::Drain {
            drive: "/data1".into(),
            wait: false,
        });
        let text = answer(&drain, false, &ask).unwrap().unwrap();
        for part in [
            "Draining: /data1",
            "25.0 MiB of 100.0 MiB",
            "7 segments left",
            "15 s left",
            "[#######.",
        ] {
            assert!(text.contains(part), "'{part}' is not in\n{text}");
        }
        let add = AdminVerb::Drive(DriveVerb::Add {
            paths: vec!["/data{9...10}".into()],
            force: false,
        });
        let text = answer(&add, true, &ask).unwrap().unwrap();
        assert_eq!(serde_json::from_str::<MovingReport>(&text).unwrap(), report(false));
        assert_eq!(
            *sent.borrow(),
            [
                r#"POST /v1/admin/drives/drain {"drive":"/data1"}"#,
                r#"POST /v1/admin/drives/add {"paths":["/data9","/data10"],"force":false}"#
            ]
        );
        assert_eq!(answer(&AdminVerb::Info, false, &ask), Ok(None));
    }

    #[test]
    fn who_waits_is_told_when_the_drive_holds_nothing() {
        let asked = RefCell::new(0);
        let ask = |_: Asking| {
            *asked.borrow_mut() += 1;
            Ok(report(*asked.borrow() > 1))
        };
        let verb = AdminVerb::Drive(DriveVerb::Drain {
            drive: "1d".into(),
            wait: true,
        });
        let text = answer(&verb, false, &ask).unwrap().unwrap();
        assert_eq!(
            (text.as_str(), *asked.borrow()),
            ("/data1: drained, holds nothing any more\n", 2)
        );
    }
}
