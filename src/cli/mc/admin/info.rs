//! `mc admin info`: the servers of a store, its drives, and what it holds.

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::{items, number, word};
use crate::cli::mc::client::{Ask, ClientError};
use crate::cli::mc::output::{Failure, human};
use crate::cli::mc::shell::Shell;

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct InfoArgs {
    /// Only what is offline
    #[arg(long)]
    offline: bool,
    #[arg(value_name = "ALIAS")]
    alias: String,
}

pub(super) async fn run(shell: &Shell, args: &InfoArgs) -> Result<(), Failure> {
    let client = shell.client(args.alias.trim_end_matches('/'))?;
    let failed = |error: ClientError| Failure::fatal("Unable to display service info.").because(&error);
    let text = client
        .text(&Ask::of(Method::GET, "", "minio/admin/v3/info"))
        .await
        .map_err(failed)?;
    let info = super::api::document(text.as_bytes()).map_err(failed)?;
    let shown = described(&info, args.offline);
    shell.out.say(&json!({ "status": "success", "info": info }), &shown);
    Ok(())
}

fn is_well(drive: &Value) -> bool {
    matches!(word(drive, "state"), "ok" | "unformatted")
}

fn described(info: &Value, offline: bool) -> String {
    let mut text = String::new();
    for server in items(info, "servers") {
        let drives = items(server, "drives");
        let well = drives.iter().filter(|drive| is_well(drive)).count();
        let up = word(server, "state") == "online";
        if offline && up && well == drives.len() {
            continue;
        }
        let minutes = number(server, "/uptime") / 60;
        let (days, hours) = (minutes / 1440, minutes / 60 % 24);
        text.push_str(&format!("●  {}\n", word(server, "endpoint")));
        if !up {
            text.push_str(&format!("   State: {}\n", word(server, "state")));
        }
        text.push_str(&format!(
            "   Uptime: {days}d {hours}h {}m\n   Version: {}\n{}   Drives: {well}/{} OK\n",
            minutes % 60,
            word(server, "version"),
            network(server),
            drives.len(),
        ));
        for drive in drives.iter().filter(|drive| !is_well(drive)) {
            text.push_str(&format!("     {}: {}\n", word(drive, "path"), word(drive, "state")));
        }
        text.push('\n');
    }
    if let Some(usage) = usage(info) {
        text.push_str(&usage);
    }
    text.push_str(&counted(info));
    text.push_str(&format!(
        "{} drives online, {} drives offline, EC:{}",
        number(info, "/backend/onlineDisks"),
        number(info, "/backend/offlineDisks"),
        number(info, "/backend/standardSCParity"),
    ));
    text
}

fn network(server: &Value) -> String {
    let Some(peers) = server
        .get("network")
        .and_then(Value::as_object)
        .filter(|peers| !peers.is_empty())
    else {
        return String::new();
    };
    let online = peers.values().filter(|state| state.as_str() == Some("online")).count();
    format!("   Network: {online}/{} OK\n", peers.len())
}

/// How full the drives are. What parity takes is no space for objects.
fn usage(info: &Value) -> Option<String> {
    let drives = || items(info, "servers").iter().flat_map(|server| items(server, "drives"));
    let sum = |field: &str| drives().map(|drive| number(drive, field)).sum::<u64>();
    let (used, total) = (sum("/usedspace"), sum("/totalspace"));
    let width = info.pointer("/backend/totalDrivesPerSet/0").and_then(Value::as_u64)?;
    let data = width.checked_sub(number(info, "/backend/standardSCParity"))?;
    if total == 0 || width == 0 {
        return None;
    }
    let percent = used as f64 * 100.0 / total as f64;
    let usable = u128::from(total) * u128::from(data) / u128::from(width);
    let usable = human(u64::try_from(usable).unwrap_or(u64::MAX));
    Some(format!(
        "Drives {percent:.1} % full; {usable} for objects in all, {width} drives a stripe\n"
    ))
}

/// What is counted. A figure that the server does not have is left out, never shown as none.
fn counted(info: &Value) -> String {
    let known = |name: &str| info.get(name).filter(|figure| figure.get("error").is_none());
    let mut figures = Vec::new();
    if let Some(size) = known("usage")
        .and_then(|usage| usage.get("size"))
        .and_then(Value::as_u64)
    {
        figures.push(format!("{} used", human(size)));
    }
    for (name, one, many) in [
        ("buckets", "bucket", "buckets"),
        ("objects", "object", "objects"),
        ("versions", "version", "versions"),
        ("deletemarkers", "delete marker", "delete markers"),
    ] {
        match known(name)
            .and_then(|figure| figure.get("count"))
            .and_then(Value::as_u64)
        {
            Some(1) => figures.push(format!("1 {one}")),
            Some(0) if name == "deletemarkers" => {}
            Some(count) => figures.push(format!("{count} {many}")),
            None => {}
        }
    }
    match figures.is_empty() {
        true => String::new(),
        false => format!("{}\n", figures.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> Value {
        json!({
            "buckets": { "count": 0, "error": "not counted" },
            "objects": { "count": 7 },
            "versions": { "count": 1 },
            "usage": { "size": 2048 },
            "backend": { "onlineDisks": 3, "offlineDisks": 1, "standardSCParity": 2, "totalDrivesPerSet": [4] },
            "servers": [{
                "state": "online", "endpoint": "h:9000", "version": "1", "uptime": 3_700, "network": { "h:9000": "online" },
                "drives": [
                    { "path": "/a", "state": "ok", "totalspace": 4096, "usedspace": 1024 },
                    { "path": "/b", "state": "offline", "totalspace": 4096, "usedspace": 1024 },
                ],
            }],
        })
    }

    #[test]
    fn figures_that_a_server_does_not_have_are_not_shown() {
        let text = described(&info(), false);
        assert!(text.contains("Drives: 1/2 OK") && text.contains("0d 1h 1m"), "{text}");
        assert!(
            text.contains("Network: 1/1 OK") && text.contains("/b: offline"),
            "{text}"
        );
        assert!(text.contains("2.0 KiB used, 7 objects, 1 version\n"), "{text}");
        assert!(!text.contains("bucket"), "{text}");
        assert!(text.contains("25.0 % full; 4.0 KiB for objects"), "{text}");
        assert!(text.ends_with("3 drives online, 1 drives offline, EC:2"), "{text}");
    }

    #[test]
    fn what_is_well_is_left_out_where_only_the_offline_is_asked_for() {
        assert!(described(&info(), true).contains("h:9000"));
        let mut well = info();
        if let Some(drive) = well.pointer_mut("/servers/0/drives/1/state") {
            *drive = json!("ok");
        }
        assert!(!described(&well, true).contains("h:9000"));
        assert!(described(&json!({ "servers": [] }), false).starts_with("0 drives online"));
    }
}
