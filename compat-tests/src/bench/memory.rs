//! What a server holds in memory: idle on an empty store, and while many large uploads run at once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use http::Method;
use tokio::runtime::Runtime;

use super::load::run;
use super::machine::resident_mib;
use super::table::{Table, Target as Goal};
use super::work::Scale;
use crate::s3::{Payload, Target};
use crate::server::Setup;
use crate::tree;

pub(super) fn measure(runtime: &Runtime, folder: &Path, scale: &Scale, table: &mut Table) -> Result<()> {
    let setup = Setup::fresh(folder)?;
    let server = setup.start()?;
    thread::sleep(Duration::from_secs(scale.idle_seconds));
    let idle = resident_mib(server.id())?;
    table.add(
        format!("resident, empty store, idle {} s", scale.idle_seconds),
        idle,
        "MiB",
        Goal::AtMost(50.0),
    );

    let target = Target::suite(&setup.endpoint())?;
    runtime.block_on(target.ask(Method::PUT, "/memory", "", Bytes::new()))?;
    let ended = Arc::new(AtomicBool::new(false));
    let watcher = {
        let (ended, id) = (Arc::clone(&ended), server.id());
        thread::spawn(move || {
            let mut most = 0.0_f64;
            while !ended.load(Ordering::Relaxed) {
                most = most.max(resident_mib(id).unwrap_or(0.0));
                thread::sleep(Duration::from_millis(20));
            }
            most
        })
    };
    let body = Bytes::from(tree::bytes(9, 64 << 20));
    let work = (0..scale.parallel).map(|number| (Method::PUT, format!("/memory/{number}"), body.clone()));
    let stored = runtime.block_on(run(&target, scale.parallel, Payload::Unsigned, work));
    ended.store(true, Ordering::Relaxed);
    let most = watcher.join().map_err(|_| anyhow!("the watcher panicked"))?;
    let stored = stored?;
    let name = format!("resident at most, {} PUTs of 64 MiB at once", scale.parallel);
    table.add(name, most, "MiB", Goal::AtMost(400.0));
    table.fact("these PUTs together", stored.rate * 64.0, "MiB/s");
    server.stop()
}
