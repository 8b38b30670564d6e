//! What must survive: a tree with two drives gone, a listing with its index gone, and every acknowledged write after `kill -9`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use compat_tests::clients::Client;
use compat_tests::process::run;
use compat_tests::s3::{Listed, Payload, Target};
use compat_tests::tree;
use http::{Method, StatusCode};
use tokio::runtime::Runtime;

use crate::aws_cli::aws;
use crate::stage::{LIMIT, Stage, Test, good, runtime};

/// How often the server is killed under load; more by `DRYSTONE_COMPAT_KILLS`.
const KILLS: u64 = 12;
const WRITERS: u64 = 8;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::with(
            Client::AwsCli2,
            "a_synced_tree_comes_back_with_two_drives_removed",
            two_drives_removed,
        ),
        Test::alone("the_index_is_rebuilt_when_removed_old_or_cut", index_is_disposable),
        Test::alone("nothing_acknowledged_is_lost_by_kill_9_under_load", killed_under_load),
    ]
}

fn two_drives_removed(stage: &mut Stage) -> Result<()> {
    let (here, back) = (stage.files.join("tree"), stage.files.join("back"));
    tree::write(&here, 5_000, &[200_000_000, 20 << 20, 1 << 20])?;
    let server = stage.start()?;
    good(&mut aws(stage, &["s3", "mb", "s3://tree"]))?;
    good(&mut aws(stage, &["s3", "sync", "--quiet", "tree", "s3://tree"]))?;
    server.stop()?;
    let drives = stage.setup.drives.clone();
    let (kept, lost) = drives.split_at_checked(2).context("four drives")?;
    for drive in lost {
        fs::rename(drive, away(drive))?;
    }
    let server = stage.start().context("with two drives removed after SIGTERM")?;
    good(&mut aws(stage, &["s3", "sync", "--quiet", "s3://tree", "back"]))?;
    tree::same(&here, &back)?;
    server.stop()?;
    for drive in lost {
        if drive.exists() {
            fs::remove_dir_all(drive)?;
        }
        fs::rename(away(drive), drive)?;
    }
    let server = stage.start().context("with all drives back")?;
    fs::remove_dir_all(here.join("00"))?;
    stage.file("tree/late/file", &tree::bytes(99, 3 << 20))?;
    good(&mut aws(
        stage,
        &["s3", "sync", "--quiet", "--delete", "tree", "s3://tree"],
    ))?;
    server.kill()?;
    for drive in kept {
        fs::remove_dir_all(drive)?;
    }
    let server = stage
        .start()
        .context("with the other two drives removed after kill -9")?;
    fs::remove_dir_all(&back)?;
    good(&mut aws(stage, &["s3", "sync", "--quiet", "s3://tree", "back"]))?;
    tree::same(&here, &back)?;
    server.stop()
}

fn away(drive: &Path) -> PathBuf {
    drive.with_extension("away")
}

/// The whole content of a bucket: the listing, and each body's own hash under its key.
fn content(runtime: &Runtime, target: &Target, bucket: &str) -> Result<(Vec<Listed>, BTreeMap<String, String>)> {
    runtime.block_on(async {
        let listed = target.list(bucket).await?;
        let mut bodies = BTreeMap::new();
        let mut connection = target.connect().await?;
        for entry in &listed {
            let path = format!("/{bucket}/{}", entry.key);
            let get = target.request(Method::GET, &path, "", Bytes::new(), Payload::Signed)?;
            let (status, body) = connection.send(get).await?;
            ensure!(status == StatusCode::OK, "{} answered {status}", entry.key);
            ensure!(
                body.len().to_string() == entry.size,
                "{} has {} bytes, listed {}",
                entry.key,
                body.len(),
                entry.size
            );
            bodies.insert(entry.key.clone(), compat_tests::sign::sha256_hex(&body));
        }
        Ok((listed, bodies))
    })
}

fn index_is_disposable(stage: &mut Stage) -> Result<()> {
    let runtime = runtime()?;
    let target = Target::suite(&stage.setup.endpoint())?;
    let first = stage.setup.drives.first().context("a drive")?.clone();
    let (index, old) = (first.join(".drystone/index"), stage.files.join("old-index"));
    let server = stage.start()?;
    runtime.block_on(target.ask(Method::PUT, "/index", "", ""))?;
    fill(&runtime, &target, 0..600)?;
    server.stop()?;
    ensure!(index.is_dir(), "the index lies at {}", index.display());
    copy(&index, &old)?;
    let server = stage.start()?;
    fill(&runtime, &target, 300..1_100)?;
    runtime.block_on(async {
        for number in 0..100 {
            target
                .ask(Method::DELETE, &format!("/index/{}", name(number)), "", "")
                .await?;
        }
        anyhow::Ok(())
    })?;
    let expected = content(&runtime, &target, "index")?;
    ensure!(expected.0.len() == 1_000, "{} objects", expected.0.len());
    server.stop()?;
    let damages: [(&str, &dyn Fn() -> Result<()>); 4] = [
        ("removed", &|| Ok(fs::remove_dir_all(&index)?)),
        ("replaced by an older one", &|| {
            fs::remove_dir_all(&index)?;
            copy(&old, &index)
        }),
        ("cut to half", &|| {
            damage_files(&index, |bytes| bytes.truncate(bytes.len() / 2))
        }),
        ("filled with noise", &|| {
            damage_files(&index, |bytes| *bytes = tree::bytes(5, bytes.len()))
        }),
    ];
    for (what, damage) in damages {
        damage().with_context(|| format!("the index {what}"))?;
        let server = stage.start().with_context(|| format!("with the index {what}"))?;
        let found = content(&runtime, &target, "index").with_context(|| format!("with the index {what}"))?;
        ensure!(
            found == expected,
            "with the index {what}, listing or content differ ({} objects)",
            found.0.len()
        );
        server.stop()?;
    }
    Ok(())
}

fn name(number: u64) -> String {
    format!("dir{}/object-{number:05}", number % 13)
}

fn fill(runtime: &Runtime, target: &Target, numbers: std::ops::Range<u64>) -> Result<()> {
    runtime.block_on(async {
        let mut connection = target.connect().await?;
        for number in numbers {
            let length = usize::try_from(number * 7_919 % 9_000)? + if number % 100 == 7 { 1 << 20 } else { 0 };
            let body = Bytes::from(tree::bytes(number, length));
            let path = format!("/index/{}", name(number));
            let put = target.request(Method::PUT, &path, "", body, Payload::Signed)?;
            let (status, said) = connection.send(put).await?;
            ensure!(
                status == StatusCode::OK,
                "{path} answered {status}: {}",
                String::from_utf8_lossy(&said)
            );
        }
        Ok(())
    })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    run(std::process::Command::new("cp").arg("-a").args([from, to]), LIMIT)?;
    Ok(())
}

/// Changes every file below `folder`.
fn damage_files(folder: &Path, change: impl Fn(&mut Vec<u8>) + Copy) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            damage_files(&path, change)?;
        } else {
            let mut bytes = fs::read(&path)?;
            change(&mut bytes);
            fs::write(&path, bytes)?;
        }
    }
    Ok(())
}

/// What may stand under a key: the seed and length of a body, or nothing.
type State = Option<(u64, usize)>;

/// What the writers know: the last acknowledged state of a key, and a state that was sent but not answered.
#[derive(Debug, Default)]
struct Ledger {
    acknowledged: BTreeMap<String, State>,
    open: BTreeMap<String, State>,
}

fn killed_under_load(stage: &mut Stage) -> Result<()> {
    let kills = std::env::var("DRYSTONE_COMPAT_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KILLS);
    let runtime = runtime()?;
    let target = Target::suite(&stage.setup.endpoint())?;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let server = stage.start()?;
    runtime.block_on(target.ask(Method::PUT, "/kill", "", ""))?;
    server.stop()?;
    for round in 0..kills {
        let server = stage.start().with_context(|| format!("start {round}"))?;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| runtime.spawn(write(target.clone(), Arc::clone(&ledger), round, writer)))
            .collect();
        std::thread::sleep(Duration::from_millis(150 + round * 7_919 % 900));
        server.kill()?;
        for writer in writers {
            runtime.block_on(writer)?;
        }
        let server = stage.start().with_context(|| format!("start after kill {round}"))?;
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        runtime
            .block_on(settle(&target, &mut ledger))
            .with_context(|| format!("after kill {round}"))?;
        server.kill()?;
    }
    let server = stage.start()?;
    let (listed, _) = content(&runtime, &target, "kill")?;
    let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let present = ledger.acknowledged.iter().filter(|(_, state)| state.is_some());
    let expected: Vec<&String> = present.map(|(key, _)| key).collect();
    ensure!(
        expected.len() as u64 > kills,
        "the load stored {} objects only",
        expected.len()
    );
    ensure!(
        listed.iter().map(|entry| &entry.key).collect::<Vec<_>>() == expected,
        "listing and acknowledgements differ"
    );
    println!(
        "{kills} kills under load, {} objects acknowledged and present",
        expected.len()
    );
    server.stop()
}

/// Puts, overwrites and deletes its own keys until the server is gone.
async fn write(target: Target, ledger: Arc<Mutex<Ledger>>, round: u64, writer: u64) {
    let Ok(mut connection) = target.connect().await else {
        return;
    };
    for number in 0_u64.. {
        let seed = (round << 40) | (writer << 32) | number;
        // Three in four writes make a new key, the others overwrite or delete one of few.
        let key = if number % 4 == 3 {
            format!("w{writer}/again-{}", number % 5)
        } else {
            format!("w{writer}/{round:03}-{number:05}")
        };
        let length = match number % 40 {
            7 => 2 << 20,
            13 => 300_000,
            other => usize::try_from(other * 331).unwrap_or_default(),
        };
        let state = if number % 16 == 11 { None } else { Some((seed, length)) };
        let (method, body) = match state {
            Some((seed, length)) => (Method::PUT, Bytes::from(tree::bytes(seed, length))),
            None => (Method::DELETE, Bytes::new()),
        };
        let Ok(request) = target.request(method, &format!("/kill/{key}"), "", body, Payload::Signed) else {
            return;
        };
        ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .open
            .insert(key.clone(), state);
        let answered = matches!(connection.send(request).await, Ok((status, _)) if status.is_success());
        if !answered {
            return;
        }
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.open.remove(&key);
        ledger.acknowledged.insert(key, state);
    }
}

/// Reads every key back: the acknowledged state, or the one that was under way, whole; then that is its state.
async fn settle(target: &Target, ledger: &mut Ledger) -> Result<()> {
    let mut connection = target.connect().await?;
    let open = std::mem::take(&mut ledger.open);
    let keys: Vec<String> = ledger.acknowledged.keys().chain(open.keys()).cloned().collect();
    for key in keys {
        let get = target.request(Method::GET, &format!("/kill/{key}"), "", Bytes::new(), Payload::Signed)?;
        let (status, body) = connection.send(get).await?;
        let before = ledger.acknowledged.get(&key).copied().flatten();
        let is = |state: State| match state {
            Some((seed, length)) => status == StatusCode::OK && body == tree::bytes(seed, length),
            None => status == StatusCode::NOT_FOUND,
        };
        let state = std::iter::once(before)
            .chain(open.get(&key).copied())
            .find(|state| is(*state));
        let state = state.with_context(|| {
            format!(
                "{key} answered {status} with {} bytes; acknowledged {before:?}, under way {:?}",
                body.len(),
                open.get(&key)
            )
        })?;
        ledger.acknowledged.insert(key, state);
    }
    Ok(())
}
