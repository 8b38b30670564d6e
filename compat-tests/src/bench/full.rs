//! How long a start takes with very many objects: after a clean stop, and with what a power loss leaves.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::Method;
use tokio::runtime::Runtime;

use super::machine::resident_mib;
use super::table::{Table, Target as Goal};
use super::work::{Scale, fill};
use crate::s3::Target;
use crate::server::Setup;

pub(super) fn measure(runtime: &Runtime, folder: &Path, scale: &Scale, table: &mut Table) -> Result<()> {
    let setup = Setup::fresh(folder)?;
    let server = setup.start()?;
    let target = Target::suite(&setup.endpoint())?;
    runtime.block_on(fill(&target, "full", scale.many))?;
    table.fact(
        format!("resident with {} objects", scale.many),
        resident_mib(server.id())?,
        "MiB",
    );
    server.stop()?;
    forget_pages();
    let server = setup.start()?;
    let clean = server.ready_after.as_secs_f64();
    table.add(
        format!("start with {} objects, clean", scale.many),
        clean,
        "s",
        Goal::AtMost(5.0),
    );
    runtime.block_on(answers(&target, scale.many))?;
    // Killed, so without the marker of a clean stop: the index is not used and made again, as after a power loss.
    server.kill()?;
    forget_pages();
    let server = setup.start()?;
    let lost = server.ready_after.as_secs_f64();
    table.add(
        format!("start with {} objects, power loss (forged)", scale.many),
        lost,
        "s",
        Goal::AtMost(60.0),
    );
    runtime.block_on(answers(&target, scale.many))?;
    server.stop()
}

async fn answers(target: &Target, many: usize) -> Result<()> {
    for number in [0, many / 2, many - 1] {
        let path = format!("/full/group-{:05}/{number:08}", number / 100);
        let body = target.ask(Method::GET, &path, "", Bytes::new()).await?;
        ensure!(body.len() == 100, "{path} has {} bytes", body.len());
    }
    Ok(())
}

/// Empties the page cache where that is allowed, so that the start reads its drives.
fn forget_pages() {
    rustix::fs::sync();
    // Without the right to do so the start is measured warm; the figure is then kinder than a machine's first start.
    drop(fs::write("/proc/sys/vm/drop_caches", "3"));
}
