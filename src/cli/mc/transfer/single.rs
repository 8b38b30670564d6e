//! `mc put`, `mc get` and `mc pipe`: one object at a time.

use std::fs::File;
use std::path::Path;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::metadata::Wanted;
use super::{End, Job, Ledger};
use crate::cli::mc::client::{ClientError, Source, Stream, Style, Sum};
use crate::cli::mc::output::{Failure, bytes};
use crate::cli::mc::place::{Place, Remote, base_name};
use crate::cli::mc::shell::Shell;

const MIB: u64 = 1024 * 1024;

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct PutArgs {
    /// A checksum that the server keeps with the object
    #[arg(long, value_name = "KIND", ignore_case = true)]
    checksum: Option<Sum>,
    /// Parts at once
    #[arg(long, short = 'P', value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: u8,
    /// Length of a part, from 5MiB on; what is longer is uploaded in parts
    #[arg(long, short = 's', value_name = "SIZE", default_value = "16MiB", value_parser = part_size)]
    part_size: usize,
    #[arg(value_name = "FILE")]
    source: String,
    #[arg(value_name = "TARGET")]
    target: String,
}

fn part_size(text: &str) -> Result<usize, String> {
    let size = bytes(text).ok_or_else(|| "not a size such as 16MiB".to_owned())?;
    if !(5 * MIB..=5 * 1024 * MIB).contains(&size) {
        return Err("a part has 5 MiB to 5 GiB".to_owned());
    }
    usize::try_from(size).map_err(|_| "more than this machine can hold".to_owned())
}

pub(in crate::cli::mc) async fn put(shell: &Shell, args: PutArgs) -> Result<(), Failure> {
    let failed = |error: &ClientError| Failure::fatal("Unable to upload.").because(error);
    let mut remote = shell.bucket(&args.target)?;
    if remote.is_folder_by_name() {
        remote.key.push_str(base_name(&args.source));
    }
    let Place::Local(path) = shell.place(&args.source)? else {
        return Err(Failure::fatal("Unable to upload.").hint("The source is not a local file; use `mc cp`"));
    };
    let meta = std::fs::metadata(&path).map_err(|error| failed(&ClientError::file(&path)(error)))?;
    if !meta.is_file() {
        return Err(Failure::fatal("Unable to upload.").hint(format!("`{}` is not a file", path.display())));
    }
    let job = Job {
        from: End::File {
            shown: path.display().to_string(),
            path: path.clone(),
        },
        to: End::Object(remote.clone()),
        size: meta.len(),
    };
    let ledger = Ledger::new(shell);
    ledger.expect(&job);
    let headers = Wanted::default().for_file(&path).map_err(|error| failed(&error))?;
    let file = File::open(&path).map_err(|error| failed(&ClientError::file(&path)(error)))?;
    let source = Source::File { file, path };
    let style = Style {
        sum: args.checksum,
        part_bytes: args.part_size,
        lanes: usize::from(args.parallel),
    };
    let sent = super::upload(&remote, headers, style, &|bytes| ledger.moved(bytes), source).await;
    sent.map_err(|error| failed(&error))?;
    done(&ledger, &job);
    Ok(())
}

fn done(ledger: &Ledger<'_>, job: &Job) {
    let (from, to) = (job.from.shown(), job.to.shown());
    let value = json!({ "status": "success", "source": from, "target": to, "size": job.size });
    ledger.say(value, &format!("`{from}` -> `{to}`"));
    ledger.close();
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct GetArgs {
    #[arg(value_name = "SOURCE")]
    source: String,
    #[arg(value_name = "FILE")]
    target: String,
}

pub(in crate::cli::mc) async fn get(shell: &Shell, args: GetArgs) -> Result<(), Failure> {
    let remote = shell.bucket(&args.source)?;
    if remote.is_folder_by_name() {
        return Err(Failure::fatal("Unable to download.").hint("Please set a full path for s3 resource."));
    }
    let Place::Local(mut path) = shell.place(&args.target)? else {
        return Err(Failure::fatal("Unable to download.").hint("The target is not a local file; use `mc cp`"));
    };
    let mut shown = args.target.clone();
    if args.target.ends_with('/') || path.is_dir() {
        let base = base_name(&remote.key);
        path = super::super::place::below(&path, base)
            .map_err(|error| Failure::fatal("Unable to download.").because(&error))?;
        shown = format!("{}/{base}", shown.trim_end_matches('/'));
    }
    let failed = |error: ClientError| Failure::fatal("Unable to download.").because(&error);
    let stat = remote.client.stat(&remote.bucket, &remote.key).await.map_err(failed)?;
    let job = Job {
        from: End::Object(remote),
        to: End::File { path, shown },
        size: stat.size,
    };
    let ledger = Ledger::new(shell);
    ledger.expect(&job);
    super::transfer(&ledger, &Wanted::default(), &job, false)
        .await
        .map_err(failed)?;
    done(&ledger, &job);
    Ok(())
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct PipeArgs {
    #[command(flatten)]
    wanted: Wanted,
    /// Parts at once
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    concurrent: u8,
    /// Length of a part, from 5MiB on; what is longer is uploaded in parts
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = part_size)]
    part_size: usize,
    #[arg(value_name = "TARGET", required = true)]
    target: String,
}

pub(in crate::cli::mc) async fn pipe(shell: &Shell, args: PipeArgs) -> Result<(), Failure> {
    let failed = |error: &ClientError| Failure::fatal("Unable to write to one or more targets.").because(error);
    let source = Source::Stream(Stream::of(std::io::stdin()));
    let size = match shell.place(&args.target)? {
        Place::Remote(remote) => to_server(shell, &args, &remote, source).await,
        Place::Local(path) => to_file(&path).await,
    };
    let size = size.map_err(|error| failed(&error))?;
    let value = json!({ "status": "success", "target": args.target, "size": size });
    shell.out.say(&value, &format!("{size} bytes -> `{}`", args.target));
    Ok(())
}

async fn to_server(shell: &Shell, args: &PipeArgs, remote: &Remote, source: Source) -> Result<u64, ClientError> {
    if remote.is_folder_by_name() {
        return Err(ClientError::Unfit(format!("`{}` is no object's name", remote.shown())));
    }
    let bar = shell.out.shows_progress().then(ProgressBar::new_spinner);
    let moved = |bytes| {
        if let Some(bar) = &bar {
            bar.inc(bytes);
            bar.set_message(super::precise(bar.position()));
        }
    };
    let headers = args.wanted.for_name(base_name(&remote.key))?;
    let style = Style {
        part_bytes: args.part_size,
        lanes: usize::from(args.concurrent),
        ..args.wanted.style()
    };
    let size = super::upload(remote, headers, style, &moved, source).await;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    size
}

async fn to_file(path: &Path) -> Result<u64, ClientError> {
    let size = std::sync::atomic::AtomicU64::new(0);
    let moved = |bytes| {
        size.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    };
    super::download::from_stream(Stream::of(std::io::stdin()), path, false, &moved).await?;
    Ok(size.into_inner())
}
