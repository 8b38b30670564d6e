//! The runs whose cuts are looked at: everything that a store does by itself or for clients, on four drives.

use super::super::reference::Body;
use super::story::{Story, Teller};
use crate::planted;

/// Names of all runs.
pub(super) const ALL: [&str; 8] = [
    "small",
    "large",
    "checkpoints",
    "reseat",
    "starts",
    "rot",
    "files",
    "replaced",
];

const fn small(seed: u8) -> Body {
    Body { seed, len: 900 }
}

const LARGE: Body = Body { seed: 90, len: 140_000 };
const OTHER: Body = Body { seed: 91, len: 150_000 };

/// Runs the store through one of them.
pub(super) async fn tell(name: &'static str) -> Result<Story, String> {
    let mut teller = Teller::new().await?;
    let told = match name {
        "small" => small_bodies(&mut teller).await,
        "large" => large_bodies(&mut teller).await,
        "checkpoints" => checkpoints(&mut teller).await,
        "reseat" => reseat(&mut teller).await,
        "starts" => starts(&mut teller).await,
        "rot" => rot(&mut teller).await,
        "files" => files(&mut teller).await,
        _ => replaced(&mut teller).await,
    };
    told.map_err(|why| format!("{name}: {why}"))?;
    teller.end(name).await
}

/// The first format, small bodies alone and in groups, overwritten and deleted.
async fn small_bodies(teller: &mut Teller) -> Result<(), String> {
    teller.put("a", small(1)).await?;
    teller
        .put_all(&[("b", small(2)), ("c", small(3)), ("d", small(4))])
        .await?;
    teller.put("a", small(5)).await?;
    teller.delete("b").await?;
    teller
        .put_all(&[("c", small(6)), ("e", Body { seed: 7, len: 9000 })])
        .await?;
    teller.delete("a").await?;
    teller.put("a", small(8)).await
}

async fn large_bodies(teller: &mut Teller) -> Result<(), String> {
    teller.put("a", LARGE).await?;
    teller.put_all(&[("a", OTHER), ("b", small(1))]).await?;
    let etag = teller.begin("u", LARGE).await?;
    teller.begin("v", small(2)).await?;
    teller.complete("u", etag, LARGE).await?;
    teller.abort("v").await?;
    teller.delete("a").await
}

async fn checkpoints(teller: &mut Teller) -> Result<(), String> {
    teller
        .put_all(&[("a", small(1)), ("b", small(2)), ("c", LARGE), ("d", small(3))])
        .await?;
    teller.ground.checkpoint().await?;
    teller.delete("a").await?;
    teller.put_all(&[("c", small(4)), ("d", small(5))]).await?;
    // A start seals the segment: an open one is not compacted.
    teller.ground.kill().await?;
    let before = teller.ground.shards(0, "extent");
    teller.ground.compact().await?;
    let made = teller
        .ground
        .shards(0, "extent")
        .iter()
        .any(|file| !before.contains(file));
    // A planted bug may count bodies wrongly.
    if !made && planted::selected().is_none() {
        return Err("compaction made no pack".to_owned());
    }
    teller.put("e", small(6)).await?;
    teller.ground.checkpoint().await?;
    teller.ground.checkpoint().await?;
    teller.put("b", small(7)).await
}

/// A drive errs, is left out, comes back and is taken in.
async fn reseat(teller: &mut Teller) -> Result<(), String> {
    teller.put_all(&[("a", small(1)), ("b", small(2))]).await?;
    teller.ground.fail_drive(1);
    teller.put("a", small(3)).await?;
    teller.delete("b").await?;
    teller.put_all(&[("c", small(4)), ("d", LARGE)]).await?;
    teller.ground.recover_drive().await?;
    teller.put("c", small(5)).await?;
    teller.ground.heal().await?;
    teller.put("a", small(6)).await
}

/// The process is killed and stopped, and started again.
async fn starts(teller: &mut Teller) -> Result<(), String> {
    teller.put_all(&[("a", small(1)), ("b", LARGE)]).await?;
    teller.ground.kill().await?;
    teller.put("a", small(2)).await?;
    teller.restart().await?;
    teller.put("c", small(3)).await?;
    teller.delete("b").await?;
    teller.put_and_die("d", small(5)).await?;
    teller.put("b", small(4)).await?;
    teller.put_and_die("b", small(6)).await
}

/// Bits rot in a log segment and in an extent, and are healed.
async fn rot(teller: &mut Teller) -> Result<(), String> {
    teller
        .put_all(&[("a", small(1)), ("b", small(2)), ("c", LARGE)])
        .await?;
    teller.put("d", small(3)).await?;
    // A start seals the segment: an open one is not looked through.
    teller.ground.kill().await?;
    teller.rot("a", "log").await?;
    teller.put("e", small(4)).await?;
    teller.rot("c", "extent").await?;
    teller.delete("d").await
}

/// Files of a catalogue are announced, get their bytes, go into the trash and out of it, for good, and their keys to others.
async fn files(teller: &mut Teller) -> Result<(), String> {
    teller.keep_catalogue().await?;
    teller.announce("a", 1).await?;
    teller.put("a", small(1)).await?;
    teller
        .put_all(&[("b", small(2)), ("c", LARGE), ("a", small(3))])
        .await?;
    let first = teller.trash("a").await?;
    teller.put("a", small(4)).await?;
    let kept = teller.trash("b").await?;
    teller.restore("b", kept, small(2)).await?;
    teller.purge(first).await?;
    teller.delete("a").await?;
    let large = teller.trash("c").await?;
    teller.ground.kill().await?;
    teller.restore("c", large, LARGE).await
}

/// A drive is replaced by an empty one, which is adopted and healed onto.
async fn replaced(teller: &mut Teller) -> Result<(), String> {
    teller.put_all(&[("a", small(1)), ("b", LARGE)]).await?;
    teller.ground.checkpoint().await?;
    teller.put("c", small(2)).await?;
    teller.replace_drive(2).await?;
    teller.put("a", small(3)).await
}
