//! The work itself: small and large objects and listings, against any S3 endpoint, and the same reads against the bare server.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Method;

use super::files::{self, FilesFigures};
use super::floor::Floor;
use super::load::{Run, run};
use super::machine::cpu_seconds;
use super::table::Table;
use super::{Arguments, CONNECTIONS, Part};
use crate::s3::{Payload, Target};
use crate::tree;

const SMALL: usize = 4_096;
const BIG: usize = 64 << 20;
const BUCKET: &str = "drystone-bench";
/// Reads are so much faster than writes that each is repeated, for a figure that means something.
const GETS_A_PUT: usize = 6;

/// How much work each measurement does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) seconds: f64,
    pub(super) sequential_mib: usize,
    pub(super) small: usize,
    pub(super) big: usize,
    pub(super) listed: usize,
    pub(super) idle_seconds: u64,
    pub(super) parallel: usize,
    pub(super) many: usize,
}

impl Scale {
    pub(super) fn new(quick: bool) -> Self {
        if quick {
            return Self {
                seconds: 1.0,
                sequential_mib: 64,
                small: 2_000,
                big: 2,
                listed: 10_000,
                idle_seconds: 5,
                parallel: 8,
                many: 20_000,
            };
        }
        Self {
            seconds: 6.0,
            sequential_mib: 512,
            small: 40_000,
            big: 8,
            listed: 100_000,
            idle_seconds: 60,
            parallel: 64,
            many: 1_000_000,
        }
    }
}

/// What the ratios are made from: of each part that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    pub(super) small: Option<SmallFigures>,
    pub(super) big: Option<BigFigures>,
    pub(super) lists: Option<ListFigures>,
    pub(super) files: Option<FilesFigures>,
}

/// Of objects of 4 KiB: requests a second, milliseconds, and microseconds of processor time a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct SmallFigures {
    pub(super) put_rate: f64,
    pub(super) put_p99: f64,
    pub(super) put_cpu: Option<f64>,
    pub(super) get_cpu: Option<f64>,
}

/// Of objects of 64 MiB: MiB a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct BigFigures {
    pub(super) put_unsigned: f64,
    pub(super) put_signed: f64,
    pub(super) get: f64,
}

/// Of listings: keys a second, and milliseconds of a page of groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListFigures {
    pub(super) rate: f64,
    pub(super) grouped_ms: f64,
}

/// Reads from the bare server; gives the rate of 64 MiB reads in MiB/s.
pub(super) async fn bare(floor: &Floor, scale: &Scale, table: &mut Table) -> Result<f64> {
    let target = Target::new(&floor.endpoint, "nobody", "nothing")?;
    let before = cpu_seconds(floor.id())?;
    let work = (0..scale.small).map(|_| (Method::GET, format!("/{SMALL}"), Bytes::new()));
    let small = run(&target, CONNECTIONS, Payload::Unsigned, work).await?;
    table.fact("bare hyper, GET 4 KiB @64", small.rate, "/s");
    table.fact(
        "bare hyper CPU a GET",
        (cpu_seconds(floor.id())? - before) * 1e6 / scale.small as f64,
        "us",
    );
    let work = (0..scale.big * GETS_A_PUT).map(|_| (Method::GET, format!("/{BIG}"), Bytes::new()));
    let big = run(&target, 1, Payload::Unsigned, work).await?;
    table.fact("bare hyper, GET 64 MiB, one stream", big.rate * 64.0, "MiB/s");
    Ok(big.rate * 64.0)
}

/// Measures a store; `id` is its process, for processor time.
pub(super) async fn measure(
    target: &Target,
    id: Option<u32>,
    asked: &Arguments,
    scale: &Scale,
    table: &mut Table,
) -> Result<Figures> {
    target
        .ask(Method::PUT, &format!("/{BUCKET}"), "", Bytes::new())
        .await
        .context("making the bucket")?;
    let mut figures = Figures {
        small: None,
        big: None,
        lists: None,
        files: None,
    };
    if asked.wants(Part::Small) {
        figures.small = Some(small(target, id, scale, table).await?);
    }
    if asked.wants(Part::Big) {
        figures.big = Some(big(target, id, scale, table).await?);
    }
    if asked.wants(Part::List) {
        fill(target, "list", scale.listed).await?;
        figures.lists = Some(lists(target, scale, table).await?);
    }
    if asked.wants(Part::Files) {
        figures.files = Some(files::measure(target, id, scale, table).await?);
    }
    Ok(figures)
}

/// Runs a load over so many connections and gives it with the server's processor time a request in microseconds.
async fn timed(
    target: &Target,
    id: Option<u32>,
    connections: usize,
    payload: Payload,
    work: Vec<(Method, String, Bytes)>,
) -> Result<(Run, Option<f64>)> {
    let requests = work.len() as f64;
    let before = id.map(cpu_seconds).transpose()?;
    let run = run(target, connections, payload, work.into_iter()).await?;
    let after = id.map(cpu_seconds).transpose()?;
    Ok((
        run,
        before
            .zip(after)
            .map(|(before, after)| (after - before) * 1e6 / requests),
    ))
}

async fn small(target: &Target, id: Option<u32>, scale: &Scale, table: &mut Table) -> Result<SmallFigures> {
    let bodies: Vec<Bytes> = (0..64).map(|seed| Bytes::from(tree::bytes(seed, SMALL))).collect();
    let body = |number: usize| bodies.get(number % bodies.len()).cloned().unwrap_or_default();
    let puts = |name: &'static str, count: usize| -> Vec<(Method, String, Bytes)> {
        (0..count)
            .map(|number| (Method::PUT, format!("/{BUCKET}/{name}/{number:07}"), body(number)))
            .collect()
    };
    timed(target, id, CONNECTIONS, Payload::Signed, puts("warm", scale.small / 10)).await?;
    let (mut put, put_cpu) = timed(target, id, CONNECTIONS, Payload::Signed, puts("small", scale.small)).await?;
    let p99 = put.latencies.quantile(0.99);
    table.fact("PUT 4 KiB @64, signed", put.rate, "/s");
    table.fact("PUT 4 KiB @64 p50", put.latencies.quantile(0.5), "ms");
    table.fact("PUT 4 KiB @64 p99", p99, "ms");
    // Keys in an order that has nothing to do with the order they were written in.
    let gets = (0..scale.small).map(|number| number * 7_919 % scale.small);
    let gets = gets
        .map(|number| (Method::GET, format!("/{BUCKET}/small/{number:07}"), Bytes::new()))
        .collect();
    let (mut get, get_cpu) = timed(target, id, CONNECTIONS, Payload::Signed, gets).await?;
    table.fact("GET 4 KiB @64", get.rate, "/s");
    table.fact("GET 4 KiB @64 p99", get.latencies.quantile(0.99), "ms");
    Ok(SmallFigures {
        put_rate: put.rate,
        put_p99: p99,
        put_cpu,
        get_cpu,
    })
}

async fn big(target: &Target, id: Option<u32>, scale: &Scale, table: &mut Table) -> Result<BigFigures> {
    let body = Bytes::from(tree::bytes(7, BIG));
    let work = |method: Method, count: usize, body: &Bytes| -> Vec<(Method, String, Bytes)> {
        (0..count)
            .map(|number| {
                let path = format!("/{BUCKET}/big/{}", number % scale.big);
                (method.clone(), path, body.clone())
            })
            .collect()
    };
    let mut rates = Vec::new();
    for (payload, name) in [(Payload::Unsigned, "unsigned"), (Payload::Signed, "signed")] {
        let puts = work(Method::PUT, scale.big, &body);
        let (rate, cpu) = stream(target, id, payload, puts).await?;
        table.fact(format!("PUT 64 MiB, one stream, {name}"), rate, "MiB/s");
        if let Some(cpu) = cpu {
            table.fact(format!("server CPU a PUT of 64 MiB, {name}"), cpu, "ms");
        }
        rates.push(rate);
    }
    let get = target.request(
        Method::GET,
        &format!("/{BUCKET}/big/0"),
        "",
        Bytes::new(),
        Payload::Signed,
    )?;
    let (_, got) = target.connect().await?.send(get).await?;
    ensure!(got == body, "a large object came back changed");
    let gets = work(Method::GET, scale.big * GETS_A_PUT, &Bytes::new());
    let (get, cpu) = stream(target, id, Payload::Signed, gets).await?;
    table.fact("GET 64 MiB, one stream", get, "MiB/s");
    if let Some(cpu) = cpu {
        table.fact("server CPU a GET of 64 MiB", cpu, "ms");
    }
    let put = |index: usize| rates.get(index).copied().context("two runs");
    Ok(BigFigures {
        put_unsigned: put(0)?,
        put_signed: put(1)?,
        get,
    })
}

/// Large objects one after another over one connection: MiB a second, and the server's processor time of each in
/// milliseconds.
async fn stream(
    target: &Target,
    id: Option<u32>,
    payload: Payload,
    work: Vec<(Method, String, Bytes)>,
) -> Result<(f64, Option<f64>)> {
    let (run, cpu) = timed(target, id, 1, payload, work).await?;
    Ok((
        run.rate * (BIG >> 20) as f64,
        cpu.map(|microseconds| microseconds / 1e3),
    ))
}

/// Stores `count` objects of 100 bytes in groups of a hundred.
pub(super) async fn fill(target: &Target, bucket: &str, count: usize) -> Result<()> {
    target.ask(Method::PUT, &format!("/{bucket}"), "", Bytes::new()).await?;
    let body = Bytes::from(tree::bytes(8, 100));
    // In portions: a million signed requests would not fit into memory.
    for start in (0..count).step_by(50_000) {
        let numbers = start..(start + 50_000).min(count);
        let work = numbers.map(|number| {
            (
                Method::PUT,
                format!("/{bucket}/group-{:05}/{number:08}", number / 100),
                body.clone(),
            )
        });
        run(target, CONNECTIONS, Payload::Signed, work).await?;
    }
    Ok(())
}

async fn lists(target: &Target, scale: &Scale, table: &mut Table) -> Result<ListFigures> {
    let start = Instant::now();
    let listed = target.list("list").await?;
    let rate = listed.len() as f64 / start.elapsed().as_secs_f64();
    ensure!(
        listed.len() == scale.listed,
        "{} of {} keys are listed",
        listed.len(),
        scale.listed
    );
    table.fact(format!("listing {} keys, page by page", listed.len()), rate, "keys/s");
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        let page = target
            .ask(Method::GET, "/list", "delimiter=%2F&list-type=2", Bytes::new())
            .await?;
        best = best.min(start.elapsed().as_secs_f64() * 1_000.0);
        let groups = String::from_utf8_lossy(&page).matches("<CommonPrefixes>").count();
        ensure!(groups == (scale.listed / 100).min(1_000), "{groups} common prefixes");
    }
    table.fact("common prefixes, best of five", best, "ms");
    Ok(ListFigures { rate, grouped_ms: best })
}
