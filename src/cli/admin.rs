//! `drystone admin`: asks a running server through its admin API, and prints the answer for a person or a program.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;

use super::args::{AdminCommand, AdminVerb, AppsCommand, HealVerb, IndexVerb, ScrubVerb, VisibilityCommand};
use super::call::{Call, Trust, is_loopback};
use super::drives::Asking;
use super::{print, projects, visibility};
use crate::admin::heal::HealReport;
use crate::admin::index::{IndexReport, Rebuilding};
use crate::admin::status::{Drive, Service, Standing, Status};
use crate::auth::SecretKey;
use crate::auth::sign::Signer;
use crate::config::Vars;
use crate::config::client::{self, AdminArgs, AdminTarget};
use crate::server::exit;

const PATIENCE: Duration = Duration::from_secs(30);
const INDEX_VERIFY: &str = "/v1/admin/index/verify";
/// All of the index and the newest checkpoint are read.
const VERIFY_PATIENCE: Duration = Duration::from_secs(3600);

/// Runs one command: 0 when it was done, 1 when the server refused or cannot be reached, 2 when it makes no sense.
pub fn run(command: AdminCommand) -> ExitCode {
    let AdminCommand {
        server,
        trust,
        verb,
        json,
    } = command;
    with_server((server, trust), json, |target, trust| {
        answer(target, trust, &verb, json)
    })
}

/// Runs a command of `drystone visibility`, with the codes of [`run`].
pub fn run_visibility(command: VisibilityCommand) -> ExitCode {
    let VisibilityCommand {
        server,
        trust,
        verb,
        json,
    } = command;
    with_server((server, trust), json, |target, trust| {
        let ask = |request: Request| ask_once(target, trust, request);
        visibility::answer(&verb, json, OffsetDateTime::now_utc(), &ask)
    })
}

/// Runs a command of `drystone project`, `key` or `issuer`, with the codes of [`run`].
pub fn run_apps(command: AppsCommand) -> ExitCode {
    let AppsCommand {
        server,
        trust,
        verb,
        json,
    } = command;
    with_server((server, trust), json, |target, trust| {
        let ask = |request: Request| ask_once(target, trust, request);
        projects::answer(&verb, json, OffsetDateTime::now_utc(), &ask)
    })
}

/// Finds the server, asks it, and prints.
fn with_server(
    (server, trust): (AdminArgs, Option<Trust>),
    json: bool,
    ask: impl FnOnce(&AdminTarget, &Trust) -> Result<String, String>,
) -> ExitCode {
    let read = |path: &Path| std::fs::read_to_string(path);
    let target = match client::admin(server, &Vars::of_process(), &read) {
        Ok(target) => target,
        Err(error) => {
            print::problem(format_args!("drystone: {error}"));
            return ExitCode::from(exit::USAGE);
        }
    };
    let trust = match trust {
        Some(trust) => trust,
        None if !target.host.tls || is_loopback(&target.host.host) => Trust::Any,
        None => {
            print::problem(format_args!(
                "drystone: give --cacert FILE to say which certificate {} has, or --insecure",
                target.host.host
            ));
            return ExitCode::from(exit::USAGE);
        }
    };
    match ask(&target, &trust) {
        Ok(text) => {
            print::text(text);
            ExitCode::SUCCESS
        }
        Err(reason) => {
            if json {
                print::line(serde_json::json!({ "error": reason }));
            } else {
                print::problem(format_args!("drystone: {reason}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// What to print, or what to tell the operator.
fn answer(target: &AdminTarget, trust: &Trust, verb: &AdminVerb, json: bool) -> Result<String, String> {
    let moving = |asking: Asking| send(target, trust, asking);
    if let Some(text) = super::drives::answer(verb, json, &moving)? {
        return Ok(text);
    }
    if let AdminVerb::Index(verb) = verb {
        let asking = |path| Asking {
            method: Method::POST,
            path,
            body: Vec::new(),
        };
        return match verb {
            IndexVerb::Verify => compared(&send(target, trust, asking(INDEX_VERIFY))?, json),
            IndexVerb::Rebuild => {
                let begun: Rebuilding = send(target, trust, asking("/v1/admin/index/rebuild"))?;
                if json {
                    let text = serde_json::to_string(&begun).map_err(|error| error.to_string())?;
                    return Ok(text + "\n");
                }
                Ok("The index is made anew; until it is done, requests are told to come again.\n".to_owned())
            }
        };
    }
    let heal = |method| ask::<HealReport>(target, trust, method, "/v1/admin/heal");
    let report = match verb {
        AdminVerb::Info
        | AdminVerb::Drive(_)
        | AdminVerb::Rebalance(_)
        | AdminVerb::Parity(_)
        | AdminVerb::Index(_) => {
            let status = ask(target, trust, Method::GET, "/v1/admin/info")?;
            return Ok(shown(target, &status, verb, json));
        }
        AdminVerb::Heal(HealVerb::Status) | AdminVerb::Scrub(ScrubVerb::Status) => heal(Method::GET)?,
        AdminVerb::Heal(HealVerb::Start) => heal(Method::POST)?,
        AdminVerb::Scrub(ScrubVerb::Start) => ask(target, trust, Method::POST, "/v1/admin/scrub")?,
    };
    if json {
        let text = serde_json::to_string(&report).map_err(|error| error.to_string())?;
        return Ok(text + "\n");
    }
    let mut text = match verb {
        AdminVerb::Heal(HealVerb::Start) => "The store is looked through now.\n".to_owned(),
        AdminVerb::Scrub(ScrubVerb::Start) => "Every file of every drive is verified now.\n".to_owned(),
        _ => String::new(),
    };
    text.push_str(&match verb {
        AdminVerb::Scrub(_) => super::healing::scrubs(&report, SystemTime::now()),
        _ => super::healing::report(&report),
    });
    Ok(text)
}

/// What a comparison of the index found; differences are an error, whose text tells them.
fn compared(report: &IndexReport, json: bool) -> Result<String, String> {
    let text = serde_json::to_string(report).map_err(|error| error.to_string())?;
    let motion = match report.in_motion {
        0 => String::new(),
        rows => format!("; {rows} more were changed meanwhile"),
    };
    if !report.right {
        let mut wrong = format!(
            "the index is WRONG: {} of {} rows, {} counters{motion}",
            report.wrong, report.rows, report.counters_wrong
        );
        for example in &report.examples {
            wrong.push_str(&format!("\n  {example}"));
        }
        return Err(wrong + "\n`drystone admin index rebuild` makes it anew; nothing stored depends on it");
    }
    if json {
        return Ok(text + "\n");
    }
    Ok(format!("The index is right: {} rows{motion}.\n", report.rows))
}

/// The answer of the server, or what to tell the operator.
fn ask<T: DeserializeOwned>(
    target: &AdminTarget,
    trust: &Trust,
    method: Method,
    path: &'static str,
) -> Result<T, String> {
    let body = Vec::new();
    send(target, trust, Asking { method, path, body })
}

fn send<T: DeserializeOwned>(target: &AdminTarget, trust: &Trust, asking: Asking) -> Result<T, String> {
    let request = Request {
        method: asking.method,
        path: asking.path.to_owned(),
        body: asking.body,
    };
    let body = ask_once(target, trust, request)?;
    let url = target.host.url();
    serde_json::from_slice(&body).map_err(|error| format!("{url} gave an answer that is no Drystone's: {error}"))
}

/// One request of a command.
pub struct Request {
    pub method: Method,
    /// With the query.
    pub path: String,
    pub body: Vec<u8>,
}

/// The body of the server's answer, or what to tell the operator.
fn ask_once(target: &AdminTarget, trust: &Trust, asking: Request) -> Result<Vec<u8>, String> {
    let secret = SecretKey::new(target.secret_key.expose().as_bytes());
    let signer = Signer::new(&target.access_key, secret, "");
    let call = Call {
        host: &target.host,
        trust,
        signer: Some(&signer),
        method: asking.method,
        target: &asking.path,
        body: asking.body.into(),
        user_agent: concat!("drystone-admin/", env!("CARGO_PKG_VERSION")),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let url = target.host.url();
    let patience = if asking.path == INDEX_VERIFY {
        VERIFY_PATIENCE
    } else {
        PATIENCE
    };
    let answer = runtime.block_on(async { tokio::time::timeout(patience, call.ask()).await });
    let (status, body) = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(format!("{url} cannot be reached: {error}")),
        Err(_late) => return Err(format!("{url} did not answer within {} s", patience.as_secs())),
    };
    if status != StatusCode::OK {
        return Err(refusal(&url, status, &body));
    }
    Ok(body.to_vec())
}

/// The server's own words, and what to do about the common ones.
fn refusal(url: &str, status: StatusCode, body: &[u8]) -> String {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let field = |name: &str| document.get(name).and_then(Value::as_str);
    let (Some(code), Some(message)) = (field("Code"), field("Message")) else {
        return format!("{url} answered {status}, not as a Drystone does");
    };
    let hint = match code {
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" => {
            " (asked with MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, or --access-key and --secret-key; a server that made \
             its own credentials keeps them in .drystone/credentials on each drive)"
        }
        _ => "",
    };
    format!("{url}: {code}: {message}{hint}")
}

fn shown(target: &AdminTarget, status: &Status, verb: &AdminVerb, json: bool) -> String {
    let line = |document: serde_json::Result<String>| document.map(|text| text + "\n").unwrap_or_default();
    match (verb, json) {
        (AdminVerb::Info, true) => line(serde_json::to_string(status)),
        (AdminVerb::Info, false) => info(&target.host.url(), status),
        (_, true) => status
            .drives
            .iter()
            .map(|drive| line(serde_json::to_string(drive)))
            .collect(),
        (_, false) => drives(&status.drives),
    }
}

fn info(url: &str, status: &Status) -> String {
    let mut text = format!(
        "Drystone {} at {url}, up {}\n",
        status.version,
        duration(status.uptime_seconds)
    );
    let state = match status.state {
        Service::ReadWrite => "reads and writes",
        Service::ReadOnly => "READ-ONLY",
        Service::NotReady => "NOT READY",
    };
    let why = |reason: &str| {
        if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        }
    };
    let present = status.drives.iter().filter(|drive| drive.state == Standing::In).count();
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<8} {value}\n"));
    line("Store", status.store.clone());
    line("State", format!("{state}{}", why(&status.reason)));
    if !status.large_objects_fail.is_empty() {
        line(
            "WARNING",
            format!("large objects cannot be written{}", why(&status.large_objects_fail)),
        );
    }
    for trouble in &status.shut_out {
        line("WARNING", trouble.clone());
    }
    line(
        "Safety",
        format!(
            "EC:{}, {} more drives may be lost",
            status.parity, status.tolerated_losses
        ),
    );
    line("Drives", format!("{present} of {} in", status.drives.len()));
    text + &drives(&status.drives)
}

fn drives(drives: &[Drive]) -> String {
    let wide = drives.iter().map(|drive| drive.path.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for drive in drives {
        let about = match drive.state {
            Standing::In => {
                let space = format!("{} free of {}", bytes(drive.free_bytes), bytes(drive.capacity_bytes));
                match drive.reason.as_str() {
                    "" => space,
                    reason => format!("{space}; SUSPECT: {reason}"),
                }
            }
            Standing::Draining => {
                let space = format!("{} free of {}", bytes(drive.free_bytes), bytes(drive.capacity_bytes));
                format!("{space}; {}", drive.reason)
            }
            Standing::Out | Standing::Missing => drive.reason.clone(),
        };
        let state = match drive.state {
            Standing::In => "in",
            Standing::Out => "OUT",
            Standing::Missing => "MISSING",
            Standing::Draining => "draining",
        };
        text.push_str(&format!("  {state:<8} {:<wide$}  {about}\n", drive.path));
    }
    text
}

/// A number of bytes for a person.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            return if unit == "B" {
                format!("{count} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1} PiB")
}

/// A number of seconds for a person.
pub fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::DriveVerb;
    use super::*;

    fn status() -> Status {
        let drive = |number: u64, state, reason: &str| Drive {
            id: format!("id{number}"),
            path: format!("/data{number}"),
            state,
            reason: reason.to_owned(),
            capacity_bytes: 10 << 30,
            free_bytes: number << 30,
        };
        Status {
            version: "0.1.0".into(),
            uptime_seconds: 7_400,
            store: "abc".into(),
            state: Service::ReadWrite,
            reason: String::new(),
            large_objects_fail: String::new(),
            parity: 2,
            tolerated_losses: 1,
            drives: vec![
                drive(1, Standing::In, ""),
                drive(2, Standing::Missing, "there is no such directory"),
                drive(3, Standing::In, "slow: a read was late"),
            ],
            shut_out: Vec::new(),
        }
    }

    fn target() -> AdminTarget {
        let read: crate::config::ReadFile<'_> = &|_| Err(std::io::ErrorKind::NotFound.into());
        client::admin(client::AdminArgs::default(), &Vars::default(), read).unwrap()
    }

    #[test]
    fn a_person_reads_state_safety_and_each_drive() {
        let text = shown(&target(), &status(), &AdminVerb::Info, false);
        for part in [
            "Drystone 0.1.0 at http://localhost:9000, up 2 h 3 min",
            "State    reads and writes\n",
            "EC:2, 1 more drives may be lost",
            "2 of 3 in",
            "in       /data1  1.0 GiB free of 10.0 GiB\n",
            "in       /data3  3.0 GiB free of 10.0 GiB; SUSPECT: slow: a read was late",
            "MISSING  /data2  there is no such directory",
        ] {
            assert!(text.contains(part), "'{part}' is not in\n{text}");
        }
        let trouble = Status {
            state: Service::ReadOnly,
            reason: "too few drives".into(),
            large_objects_fail: "drive /data1: no".into(),
            ..status()
        };
        let text = shown(&target(), &trouble, &AdminVerb::Info, false);
        assert!(
            text.contains("READ-ONLY: too few drives") && text.contains("cannot be written: drive /data1"),
            "{text}"
        );
    }

    #[test]
    fn a_program_reads_one_object_a_line() {
        let text = shown(&target(), &status(), &AdminVerb::Info, true);
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status());
        let text = shown(&target(), &status(), &AdminVerb::Drive(DriveVerb::List), true);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1]["state"], "missing");
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let body = br#"{"Code":"InvalidAccessKeyId","Message":"no such key."}"#;
        let told = refusal("http://x", StatusCode::FORBIDDEN, body);
        assert!(
            told.contains("InvalidAccessKeyId: no such key.") && told.contains("MINIO_ROOT_USER"),
            "{told}"
        );
        let told = refusal("http://x", StatusCode::BAD_GATEWAY, b"<html>");
        assert!(
            told.contains("502") && told.contains("not as a Drystone does"),
            "{told}"
        );
    }

    #[test]
    fn sizes_are_told_in_units() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1 << 20, "1.0 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
