//! `mc admin heal`: how healing stands; or, with a bucket or `--recursive`, healing that is asked for and followed.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::api::document;
use super::{Api, items, number, word};
use crate::cli::mc::client::ClientError;
use crate::cli::mc::output::{Failure, human};
use crate::cli::mc::shell::Shell;

/// Between two looks at healing that is followed.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct HealArgs {
    /// Everything below
    #[arg(long, short)]
    recursive: bool,
    /// Only look
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Begin anew, also where healing runs already
    #[arg(long, short)]
    force_start: bool,
    /// End healing that runs
    #[arg(long, short = 's')]
    force_stop: bool,
    /// Remove what cannot be healed
    #[arg(long)]
    remove: bool,
    /// Write anew what is whole, too
    #[arg(long)]
    rewrite: bool,
    /// How thoroughly: `deep` reads everything
    #[arg(long, value_name = "SCAN", default_value = "normal")]
    scan: Scan,
    /// Ask nothing: nothing is ever asked
    #[arg(long)]
    force: bool,
    /// Tell every object, or every drive
    #[arg(long, short)]
    verbose: bool,
    /// Tell healthy drives, too
    #[arg(long, short)]
    all_drives: bool,
    #[arg(value_name = "ALIAS[/BUCKET[/PREFIX]]")]
    target: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scan {
    Normal,
    Deep,
}

impl Scan {
    /// As the wire has it.
    fn mode(self) -> u8 {
        match self {
            Self::Normal => 1,
            Self::Deep => 2,
        }
    }
}

pub(super) async fn run(shell: &Shell, args: HealArgs) -> Result<(), Failure> {
    let api = Api::of(shell, &args.target)?;
    if api.below.is_empty() && !args.recursive && !args.force_stop {
        return status(shell, &api, &args).await;
    }
    let path = format!("heal/{}", api.below);
    let settings = json!({
        "recursive": args.recursive,
        "dryRun": args.dry_run,
        "remove": args.remove,
        "recreate": args.rewrite,
        "scanMode": args.scan.mode(),
        "updateParity": false,
        "nolock": false,
    });
    let mut query = Vec::new();
    query.extend(args.force_start.then_some(("forceStart", "true")));
    query.extend(args.force_stop.then_some(("forceStop", "true")));
    let begun = api.plain(Method::POST, &path, &query, settings.to_string()).await;
    let failed = |error: &ClientError| Failure::fatal("Unable to start healing.").because(error);
    let begun = begun.map_err(|error| failed(&error))?;
    if args.force_stop {
        shell.out.say(&super::told([]), "Healing is stopped.");
        return Ok(());
    }
    let begun = document(&begun.body).map_err(|error| failed(&error))?;
    follow(shell, &api, &path, word(&begun, "clientToken"), args.verbose).await
}

#[derive(Default)]
struct Sums {
    objects: u64,
    objects_healed: u64,
    items: u64,
    items_healed: u64,
    bytes: u64,
}

impl Sums {
    fn add(&mut self, item: &Value) {
        let (is_object, healed) = (word(item, "type") == "object", is_healed(item));
        self.items += 1;
        self.items_healed += u64::from(healed);
        self.objects += u64::from(is_object);
        self.objects_healed += u64::from(is_object && healed);
        self.bytes += number(item, "/objectSize");
    }
}

/// Whether more drives are well after than before.
fn is_healed(item: &Value) -> bool {
    let well = |when: &str| {
        let drives = item.get(when).map_or(&[][..], |state| items(state, "drives"));
        drives.iter().filter(|drive| word(drive, "state") == "ok").count()
    };
    well("after") > well("before")
}

async fn follow(shell: &Shell, api: &Api, path: &str, token: &str, verbose: bool) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to heal.").because(&error);
    let begun = Instant::now();
    let mut sums = Sums::default();
    loop {
        tokio::time::sleep(PAUSE).await;
        let answered = api.plain(Method::POST, path, &[("clientToken", token)], "").await;
        let report = document(&answered.map_err(failed)?.body).map_err(failed)?;
        for item in items(&report, "items") {
            sums.add(item);
            if verbose {
                tell(shell, item);
            }
        }
        match word(&report, "summary") {
            "finished" => break,
            "stopped" => {
                let reason = word(&report, "detail").to_owned();
                return Err(failed(ClientError::Answer { reason }));
            }
            _ => {}
        }
    }
    let seconds = begun.elapsed().as_secs();
    let value = json!({
        "status": "success",
        "type": "summary",
        "objects_scanned": sums.objects,
        "objects_healed": sums.objects_healed,
        "items_scanned": sums.items,
        "items_healed": sums.items_healed,
        "size": sums.bytes,
        "duration": seconds,
    });
    let text = format!(
        "{} of {} objects healed, {} in {seconds} s",
        sums.objects_healed,
        sums.objects,
        human(sums.bytes)
    );
    shell.out.say(&value, &text);
    Ok(())
}

fn tell(shell: &Shell, item: &Value) {
    let name = match word(item, "object") {
        "" => word(item, "bucket").to_owned(),
        object => format!("{}/{object}", word(item, "bucket")),
    };
    let healed = is_healed(item);
    let value = json!({
        "status": "success",
        "type": word(item, "type"),
        "name": name,
        "healed": healed,
        "before": item.get("before"),
        "after": item.get("after"),
        "size": number(item, "/objectSize"),
    });
    let text = format!("{} {name}", if healed { "healed" } else { "whole " });
    shell.out.say(&value, &text);
}

async fn status(shell: &Shell, api: &Api, args: &HealArgs) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to get background heal status.").because(&error);
    let answered = api.plain(Method::POST, "background-heal/status", &[], "").await;
    let status = document(&answered.map_err(failed)?.body).map_err(failed)?;
    let text = described(&status, args.all_drives || args.verbose);
    let value = json!({ "status": "success", "HealInfo": status });
    shell.out.say(&value, &text);
    Ok(())
}

/// What is being healed, or is not well; with `all` every drive.
fn described(status: &Value, all: bool) -> String {
    let mut lines = Vec::new();
    for node in super::words(status, "offline_nodes") {
        lines.push(format!("{node}: offline"));
    }
    for set in items(status, "sets") {
        for drive in items(set, "disks") {
            let state = word(drive, "state");
            let healing = drive.get("heal_info").filter(|info| info.is_object());
            if state == "ok" && healing.is_none() && !all {
                continue;
            }
            let path = word(drive, "endpoint");
            lines.push(match healing {
                Some(info) => format!(
                    "{path}: healing, {} objects, {} of {}",
                    number(info, "/items_healed"),
                    human(number(info, "/bytes_done")),
                    human(number(info, "/objects_total_size"))
                ),
                None => format!("{path}: {state}"),
            });
        }
        let health = word(set, "heal_status");
        if !health.is_empty() && (all || !health.eq_ignore_ascii_case("healthy")) {
            lines.push(format!("Set {}: {health}", word(set, "id")));
        }
    }
    if lines.is_empty() {
        return "Nothing is being healed, and every drive is well.".to_owned();
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_healed_when_more_drives_have_it_than_before() {
        let item = |before: &str, after: &str| {
            json!({
                "type": "object", "objectSize": 7,
                "before": { "drives": [{ "state": "ok" }, { "state": before }] },
                "after": { "drives": [{ "state": "ok" }, { "state": after }] },
            })
        };
        let mut sums = Sums::default();
        for item in [item("missing", "ok"), item("ok", "ok"), item("missing", "missing")] {
            sums.add(&item);
        }
        sums.add(&json!({ "type": "bucket" }));
        assert_eq!((sums.objects, sums.objects_healed, sums.bytes), (3, 1, 21));
        assert_eq!((sums.items, sums.items_healed), (4, 1));
    }

    #[test]
    fn only_what_is_not_well_is_told_unless_all_is_asked_for() {
        let status = json!({ "offline_nodes": [], "sets": [{ "id": "0", "heal_status": "healthy", "disks": [
            { "endpoint": "/a", "state": "ok" },
            { "endpoint": "/b", "state": "offline" },
        ] }] });
        assert_eq!(described(&status, false), "/b: offline");
        assert_eq!(described(&status, true).lines().count(), 3);
        assert!(described(&json!({}), false).starts_with("Nothing"));
    }
}
