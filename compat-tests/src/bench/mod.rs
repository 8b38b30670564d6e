//! The benchmark: the machine's own limits and the server's figures from the same minutes, with the ratios between them.
//!
//! Rates of a busy machine mean little; ratios and processor time count. Every write here is as durable as the store's.

mod files;
pub mod floor;
mod full;
mod limits;
mod load;
mod machine;
mod memory;
mod table;
mod work;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

use crate::s3::Target;
use crate::server::{ACCESS_KEY, SECRET_KEY, Server, Setup};
use table::{Table, Target as Goal};
use work::{Figures, Scale, SmallFigures};

/// Connections of the small-object loads.
const CONNECTIONS: usize = 64;

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// PUT and GET of 4 KiB over 64 connections.
    Small,
    /// PUT and GET of 64 MiB, one stream.
    Big,
    /// Listings of 100,000 keys.
    List,
    /// Files of apps: announced, uploaded, and listed with 100,000 of them.
    Files,
    /// Resident memory, idle and under many large uploads.
    Memory,
}

/// What the benchmark is asked to do.
#[derive(Debug, Parser)]
#[command(about = "Measures the store, and the machine it runs on, in one table")]
pub struct Arguments {
    /// Another S3 store to measure, as http://host:port, with the credentials of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY;
    /// without it a server of this workspace is started. Processor time and memory need --pid.
    #[arg(long)]
    endpoint: Option<String>,
    /// The process id of the store behind --endpoint.
    #[arg(long, requires = "endpoint")]
    pid: Option<u32>,
    /// The folder for the four drive directories; a temporary one by default.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Also the start with 1,000,000 objects, after a clean stop and after a power loss.
    #[arg(long)]
    full: bool,
    /// Only these parts, for work on one of them.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// A tenth of the work, for trying the benchmark itself; its figures mean little.
    #[arg(long)]
    quick: bool,
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Runs everything asked for and prints the table.
///
/// # Errors
/// When a measurement cannot be made; what was measured until then is printed.
pub fn run(arguments: &Arguments) -> Result<()> {
    let parent = arguments.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new().prefix("drystone-bench-").tempdir_in(parent)?;
    machine::print_facts(folder.path());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut table = Table::default();
    let scale = Scale::new(arguments.quick);
    let setup = Setup::fresh(&folder.path().join("store"))?;
    let drives = Setup::fresh(&folder.path().join("raw"))?.drives;

    println!("\nthe machine, four directories:");
    let limits = machine_limits(&drives, &scale, &mut table)?;
    let floor = floor::Floor::start()?;
    let bare = runtime.block_on(work::bare(&floor, &scale, &mut table))?;
    drop(floor);

    println!("\nthe store:");
    let own = match &arguments.endpoint {
        Some(_) => None,
        None => Some(setup.start()?),
    };
    let target = target(arguments, own.as_ref())?;
    let id = own.as_ref().map(Server::id).or(arguments.pid);
    let figures = runtime.block_on(work::measure(&target, id, arguments, &scale, &mut table))?;
    println!("\nratios and targets:");
    ratios(&limits, bare, figures, &mut table);
    drop(own);
    if arguments.endpoint.is_none() {
        if arguments.wants(Part::Memory) {
            println!("\nmemory:");
            memory::measure(&runtime, &folder.path().join("memory"), &scale, &mut table)?;
        }
        if arguments.full {
            println!("\nstart with many objects:");
            full::measure(&runtime, &folder.path().join("full"), &scale, &mut table)?;
        }
    }
    println!("\n{table}\n{} of {} targets missed", table.missed(), table.targets());
    Ok(())
}

fn target(arguments: &Arguments, own: Option<&Server>) -> Result<Target> {
    match (&arguments.endpoint, own) {
        (Some(endpoint), _) => {
            let key = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
            Target::new(endpoint, &key("AWS_ACCESS_KEY_ID")?, &key("AWS_SECRET_ACCESS_KEY")?)
        }
        (None, Some(server)) => Target::new(&server.setup.endpoint(), ACCESS_KEY, SECRET_KEY),
        (None, None) => anyhow::bail!("neither a server nor an endpoint"),
    }
}

/// The machine's own figures that ratios divide by.
#[derive(Debug, Clone, Copy)]
struct Limits {
    file_per_object: f64,
    group_p99: f64,
    sequential: f64,
    md5: f64,
}

fn machine_limits(drives: &[PathBuf], scale: &Scale, table: &mut Table) -> Result<Limits> {
    let time = Duration::from_secs_f64(scale.seconds);
    let first = drives.first().context("a drive")?;
    table.fact(
        "4 KiB appends with fdatasync, one file",
        limits::synced_appends(first, time)?,
        "/s",
    );
    let file_per_object = limits::file_per_object(drives, CONNECTIONS, time)?;
    table.fact("file per object, 64 threads, 4 drives", file_per_object, "/s");
    let (group, mut latencies) = limits::group_commit(drives, CONNECTIONS, time)?;
    let group_p99 = latencies.quantile(0.99);
    table.fact("bare group commit, 64 threads, 4 drives", group, "/s");
    table.fact("bare group commit p50", latencies.quantile(0.5), "ms");
    table.fact("bare group commit p99", group_p99, "ms");
    let sequential = limits::sequential_write(drives, scale.sequential_mib)?;
    table.fact("sequential write, 4 drives at once, synced", sequential, "MiB/s");
    let md5 = limits::md5_rate();
    table.fact("MD5, one core", md5, "MiB/s");
    Ok(Limits {
        file_per_object,
        group_p99,
        sequential,
        md5,
    })
}

fn ratios(limits: &Limits, bare_get: f64, figures: Figures, table: &mut Table) {
    if let Some(small) = figures.small {
        small_ratios(limits, small, table);
    }
    if let Some(big) = figures.big {
        let bound = limits.md5.min(limits.sequential / 2.0);
        let unsigned = big.put_unsigned / bound;
        let name = "PUT 64 MiB unsigned against min(MD5, sequential / 2)";
        table.add(name, unsigned, "x", Goal::AtLeast(0.7));
        table.fact("PUT 64 MiB signed against the same", big.put_signed / bound, "x");
        let get = big.get / bare_get;
        table.add("GET 64 MiB against bare hyper", get, "x", Goal::AtLeast(0.6));
    }
    if let Some(lists) = figures.lists {
        let rate = Goal::AtLeast(100_000.0);
        table.add("listing 100,000 keys", lists.rate, "keys/s", rate);
        let name = "1,000 common prefixes over 100,000 keys";
        table.add(name, lists.grouped_ms, "ms", Goal::AtMost(100.0));
    }
    if let Some(files) = figures.files {
        let name = "a filtered page of files, the slowest filter's p50";
        table.add(name, files.slowest_page_ms, "ms", Goal::AtMost(10.0));
    }
}

fn small_ratios(limits: &Limits, small: SmallFigures, table: &mut Table) {
    let put = small.put_rate / limits.file_per_object;
    table.add("PUT 4 KiB @64 against file per object", put, "x", Goal::AtLeast(3.0));
    let p99 = small.put_p99 / limits.group_p99;
    let name = "PUT 4 KiB @64 p99 against bare group commit";
    table.add(name, p99, "x", Goal::AtMost(3.0));
    if let Some(cpu) = small.put_cpu {
        table.add("server CPU a PUT of 4 KiB", cpu, "us", Goal::AtMost(90.0));
    }
    if let Some(cpu) = small.get_cpu {
        table.add("server CPU a GET of 4 KiB", cpu, "us", Goal::AtMost(45.0));
    }
}
