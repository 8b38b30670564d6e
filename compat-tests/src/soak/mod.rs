//! The soak: clients use a store on eight drives for as long as they are told, while everything that may happen to its
//! drives does. At the end all must be whole, and nothing lost, wrong, resurrected, doubled, stuck or refused without
//! reason. It drives the real binary and knows only S3, the admin API and the drives' directories.

mod clients;
mod keys;
mod losses;
mod nemesis;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use self::clients::{Client, Counts, World, make_bucket, read_all};
use self::keys::Keys;
use self::nemesis::{Chaos, files_below};
use crate::s3::Target;
use crate::server::{Setup, panic_in};

const DRIVES: usize = 8;

/// What the soak is told.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "soak", about = "Uses a store while its drives fail, and judges every answer")]
pub struct Arguments {
    /// For how many minutes.
    #[arg(long, default_value_t = 10.0)]
    pub minutes: f64,
    /// How many clients.
    #[arg(long, default_value_t = 16)]
    pub clients: usize,
    /// How many keys; each client writes its own.
    #[arg(long, default_value_t = 208)]
    pub keys: usize,
    /// For how many seconds each thing is done to the store.
    #[arg(long, default_value_t = 12.0)]
    pub hold: f64,
    /// How many seconds there are between one and the next.
    #[arg(long, default_value_t = 5.0)]
    pub calm: f64,
    /// Instead: one drive is taken away, one hangs, two are wiped at once, and the first comes back stale, all under load.
    #[arg(long)]
    pub losses: bool,
    /// Where the drives are made; by default in a temporary folder.
    #[arg(long)]
    pub folder: Option<PathBuf>,
}

/// Soaks and prints the table.
///
/// # Errors
/// When something is violated, the store does not become whole, or what is needed cannot be had.
pub fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        arguments.clients > 0 && arguments.keys >= arguments.clients,
        "fewer keys than clients"
    );
    let temporary = match &arguments.folder {
        Some(folder) => tempfile::Builder::new().prefix("soak-").tempdir_in(folder)?,
        None => tempfile::Builder::new().prefix("drystone-soak-").tempdir()?,
    };
    let setup = Setup::with_drives(temporary.path(), DRIVES)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let server = setup.start()?;
    let world = Arc::new(World {
        target: Target::suite(&setup.endpoint())?,
        keys: Keys::new(arguments.keys),
        counts: Counts::default(),
        over: AtomicBool::new(false),
        amiss: AtomicBool::new(false),
    });
    runtime.block_on(make_bucket(&world.target))?;
    let began = Instant::now();
    let client = |number| runtime.spawn(Client::new(Arc::clone(&world), number, arguments.clients).live());
    let living: Vec<_> = (0..arguments.clients).map(client).collect();
    let mut chaos = Chaos::new(setup.clone(), server, Arc::clone(&world), runtime.handle().clone());
    let done = if arguments.losses {
        losses::befall(&mut chaos, arguments)
    } else {
        torment(&mut chaos, arguments, began)
    };
    world.over.store(true, Ordering::Relaxed);
    for client in living {
        runtime.block_on(client)?;
    }
    let soaked = began.elapsed();
    let ended = done.and_then(|()| {
        chaos.until_whole().context("at the end")?;
        runtime.block_on(read_all(&world))
    });
    let ended = match (ended, arguments.losses) {
        (Ok(()), true) => losses::read_from_the_harmed(&mut chaos, |world| runtime.block_on(read_all(world))),
        (ended, _) => ended,
    };
    table(&world, &chaos, soaked, began.elapsed());
    let idle: Vec<_> = chaos.told.iter().filter(|(_, (_, hit))| *hit == 0).collect();
    ensure!(idle.is_empty(), "never hit: {idle:?}");
    ended.with_context(|| format!("the server said at the end:\n{}", setup.log_tail()))?;
    chaos.end()?;
    judge(&world, &setup)
}

/// One thing at a time until each was done, then two.
fn torment(chaos: &mut Chaos, arguments: &Arguments, began: Instant) -> Result<()> {
    let all = chaos.available();
    let (hold, calm) = (
        Duration::from_secs_f64(arguments.hold),
        Duration::from_secs_f64(arguments.calm),
    );
    let until = Duration::from_secs_f64(arguments.minutes * 60.0);
    let alone = all.iter().map(|nemesis| vec![*nemesis]);
    // Every pair before any comes again.
    let pairs = (1..all.len()).flat_map(|apart| {
        let second = all.iter().cycle().skip(apart);
        all.iter()
            .zip(second)
            .map(|(one, two)| vec![*one, *two])
            .collect::<Vec<_>>()
    });
    let rounds: Vec<Vec<_>> = alone.chain(pairs).collect();
    std::thread::sleep(calm);
    for round in rounds.iter().cycle() {
        if began.elapsed() >= until {
            return Ok(());
        }
        chaos.strike(round, hold, calm)?;
    }
    Ok(())
}

fn table(world: &World, chaos: &Chaos, soaked: Duration, all: Duration) {
    let counts = &world.counts;
    let shown = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "soaked for              {:>8.0} s, whole and read again after {:.0} s more",
        soaked.as_secs_f64(),
        (all - soaked).as_secs_f64()
    );
    for (nemesis, (done, hit)) in &chaos.told {
        println!("{:<24}{done:>8} times, hit {hit}", format!("{nemesis:?}"));
    }
    println!("{:<24}{:>8}", "healed to whole", chaos.waited_whole);
    for (name, counter) in [
        ("reads", &counts.reads),
        ("writes", &counts.writes),
        ("deletes", &counts.deletes),
        ("uploads in parts", &counts.uploads),
        ("listings", &counts.lists),
        ("refused meanwhile", &counts.excused),
        ("of them reads", &counts.excused_reads),
        ("bytes written", &counts.bytes_written),
        ("bytes read", &counts.bytes_read),
    ] {
        println!("{name:<20}{:>12}", shown(counter));
    }
    for (name, violations) in counts.violations() {
        println!("{name:<24}{violations:>8}");
    }
    for example in counts
        .examples
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .iter()
    {
        println!("  {}", example.chars().take(400).collect::<String>());
    }
}

fn judge(world: &World, setup: &Setup) -> Result<()> {
    let violated: Vec<_> = world
        .counts
        .violations()
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    ensure!(violated.is_empty(), "violated: {violated:?}");
    let log = std::fs::read_to_string(setup.log())?;
    if let Some(what) = panic_in(&log) {
        bail!("the server {what}");
    }
    for drive in &setup.drives {
        let left: Vec<PathBuf> = files_below(drive)?
            .into_iter()
            .filter(|path| path.extension().is_some_and(|last| last == "new" || last == "tmp"))
            .collect();
        ensure!(left.is_empty(), "left over: {left:?}");
    }
    Ok(())
}
