//! The machine's own limits over the same drive directories: what any store here can hope for, with the same durability.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use md5::{Digest as _, Md5};

use super::load::Latencies;
use crate::tree;

/// A shard of a 4 KiB body with two data shards.
const SHARD: usize = 2_048;

/// Appends of 4 KiB to one file with fdatasync after each, per second.
///
/// # Errors
/// When the drive cannot be written.
pub(super) fn synced_appends(drive: &Path, time: Duration) -> Result<f64> {
    let path = drive.join("bench-append");
    let mut file = File::create(&path)?;
    let body = tree::bytes(1, 4_096);
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < time {
        file.write_all(&body)?;
        file.sync_data()?;
        count += 1;
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}

/// Bytes written one after another to all drives at once, with one fdatasync each at the end, in MiB/s over all drives.
///
/// # Errors
/// When a drive cannot be written.
pub(super) fn sequential_write(drives: &[PathBuf], mib_each: usize) -> Result<f64> {
    let block = tree::bytes(2, 1 << 20);
    let start = Instant::now();
    thread::scope(|scope| {
        let lanes: Vec<_> = drives
            .iter()
            .map(|drive| {
                scope.spawn(|| -> Result<()> {
                    let mut file = File::create(drive.join("bench-sequential"))?;
                    (0..mib_each).try_for_each(|_| file.write_all(&block))?;
                    Ok(file.sync_data()?)
                })
            })
            .collect();
        lanes
            .into_iter()
            .try_for_each(|lane| lane.join().map_err(|_| anyhow!("a writer panicked"))?)
    })?;
    let rate = (mib_each * drives.len()) as f64 / start.elapsed().as_secs_f64();
    drives
        .iter()
        .try_for_each(|drive| fs::remove_file(drive.join("bench-sequential")))?;
    Ok(rate)
}

/// MD5 on one core, in MiB/s.
#[must_use]
pub(super) fn md5_rate() -> f64 {
    let block = tree::bytes(3, 1 << 20);
    let start = Instant::now();
    let mut hash = Md5::new();
    for _ in 0..256 {
        hash.update(&block);
    }
    std::hint::black_box(hash.finalize());
    256.0 / start.elapsed().as_secs_f64()
}

/// One file per object, as a plain careful store writes: on each of the drives a temporary file, fdatasync, rename,
/// directory sync. Objects a second with `threads` writers; each writes its shards one drive after the other.
///
/// # Errors
/// When a drive cannot be written.
pub(super) fn file_per_object(drives: &[PathBuf], threads: usize, time: Duration) -> Result<f64> {
    let folders: Vec<PathBuf> = drives.iter().map(|drive| drive.join("bench-files")).collect();
    folders.iter().try_for_each(fs::create_dir)?;
    let body = tree::bytes(4, SHARD);
    let start = Instant::now();
    let written = thread::scope(|scope| {
        let writers: Vec<_> = (0..threads)
            .map(|writer| {
                let (folders, body) = (&folders, &body);
                scope.spawn(move || -> Result<u64> {
                    let mut count = 0;
                    while start.elapsed() < time {
                        for folder in folders {
                            store_file(folder, &format!("{writer}-{count}"), body)?;
                        }
                        count += 1;
                    }
                    Ok(count)
                })
            })
            .collect();
        let ended = writers
            .into_iter()
            .map(|writer| writer.join().map_err(|_| anyhow!("a writer panicked"))?);
        ended.sum::<Result<u64>>()
    })?;
    let rate = written as f64 / start.elapsed().as_secs_f64();
    folders.iter().try_for_each(fs::remove_dir_all)?;
    Ok(rate)
}

fn store_file(folder: &Path, name: &str, body: &[u8]) -> Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(body)?;
    file.sync_data()?;
    fs::rename(&temporary, folder.join(name))?;
    Ok(File::open(folder)?.sync_all()?)
}

/// A bare group commit: one thread takes all that wait, appends their shards to one file a drive, syncs all drives at once,
/// and answers all. Gives writes a second and their latencies with `threads` writers.
///
/// # Errors
/// When a drive cannot be written.
pub(super) fn group_commit(drives: &[PathBuf], threads: usize, time: Duration) -> Result<(f64, Latencies)> {
    let (submit, waiting) = channel::<Sender<()>>();
    let start = Instant::now();
    thread::scope(|scope| {
        let committer = scope.spawn(move || commit_all(&waiting, drives, threads));
        let writers: Vec<_> = (0..threads)
            .map(|_| {
                let submit = submit.clone();
                scope.spawn(move || write_until(&submit, start, time))
            })
            .collect();
        drop(submit);
        let mut latencies = Latencies::default();
        for writer in writers {
            latencies.extend(writer.join().map_err(|_| anyhow!("a writer panicked"))?);
        }
        let rate = latencies.count() as f64 / start.elapsed().as_secs_f64();
        committer.join().map_err(|_| anyhow!("the committer panicked"))??;
        drives
            .iter()
            .try_for_each(|drive| fs::remove_file(drive.join("bench-group")))?;
        Ok((rate, latencies))
    })
}

/// The committer of the bare group commit; ends when no writer is left.
fn commit_all(waiting: &Receiver<Sender<()>>, drives: &[PathBuf], most: usize) -> Result<()> {
    let shards = tree::bytes(5, SHARD * most);
    let mut files = Vec::new();
    for drive in drives {
        files.push(
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(drive.join("bench-group"))?,
        );
    }
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(most - 1));
        let bytes = shards.get(..SHARD * batch.len()).unwrap_or(&shards);
        let synced: io::Result<()> = thread::scope(|scope| {
            let lanes: Vec<_> = files
                .iter_mut()
                .map(|file| scope.spawn(|| file.write_all(bytes).and_then(|()| file.sync_data())))
                .collect();
            let mut ended = lanes
                .into_iter()
                .map(|lane| lane.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())));
            ended.try_for_each(|result| result)
        });
        synced?;
        for writer in batch {
            // A writer that went away needs no answer.
            writer.send(()).ok();
        }
    }
    Ok(())
}

/// One writer of the bare group commit: how long each of its writes took.
fn write_until(submit: &Sender<Sender<()>>, start: Instant, time: Duration) -> Vec<Duration> {
    let mut own = Vec::new();
    while start.elapsed() < time {
        let (answer, answered) = channel();
        let sent = Instant::now();
        if submit.send(answer).is_err() || answered.recv().is_err() {
            break;
        }
        own.push(sent.elapsed());
    }
    own
}
