//! A drive whose root is lost is told by its shard files: their headers say which shards of which segments it holds, and
//! the store's root says whose these are. Where they leave a doubt the drive stays untouched and missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::find::{Found, FoundDrive};
use super::patience::Patience;
use crate::embedded::drive::{Drive, DriveOptions, ShardListing};
use crate::embedded::frame::{SHARD_HEADER_BYTES, ShardHeader};
use crate::embedded::heal::keep_doubt;
use crate::embedded::id::DriveId;
use crate::embedded::root::{Election, Root, RootSlot, encode_slot};
use crate::embedded::segment::Segment;

/// Gives drives without a readable root their place in the store again, and takes the others for missing.
///
/// Only a majority of drives that know who they are may say so: what they agree on no other root can contradict.
pub async fn restore(options: &DriveOptions, found: &mut Found, election: &Election, patience: &Patience) {
    let mut claimed = Vec::new();
    for path in std::mem::take(&mut found.nameless) {
        let (its_options, its_election) = (options.clone(), election.clone());
        let question = move |path: &Path| identify(path, &its_options, &its_election);
        match patience.ask(&path, options.answer_within, question).await {
            Ok(Ok((drive, id))) => claimed.push((path, drive, id)),
            Ok(Err(reason)) | Err(reason) => found.absent.push((path, reason)),
        }
    }
    let mut taken: Vec<DriveId> = found.drives.iter().map(|known| known.slot.drive).collect();
    taken.extend(claimed.iter().map(|(_, _, id)| *id));
    for (path, drive, id) in claimed {
        if taken.iter().filter(|other| **other == id).count() > 1 {
            let reason =
                format!("it holds no readable root, and shard files of drive {id}, which is at another path too");
            found.absent.push((path, reason));
            continue;
        }
        let slot = RootSlot {
            drive: id,
            root: election.root.clone(),
        };
        let (bytes, drive) = (encode_slot(&slot), Arc::new(drive));
        let writer = Arc::clone(&drive);
        let write = move |_: &Path| {
            // Whatever took the root may have taken more.
            keep_doubt(&writer)
                .and_then(|()| writer.write_root_slot(0, &bytes))
                .map_err(|e| e.to_string())
        };
        if let Err(reason) = patience.ask(&path, options.answer_within, write).await.flatten() {
            found.absent.push((path, reason));
            continue;
        }
        tracing::warn!(path = %path.display(), drive = %id, "a drive had lost its root; its shard files say who it is");
        drive.set_id(id);
        found.drives.push(FoundDrive {
            drive,
            path,
            slot,
            next_slot: 1,
        });
    }
}

/// Without anybody who knows the store nothing can be said about such drives.
pub fn leave_nameless(nameless: &mut Vec<PathBuf>) -> impl Iterator<Item = (PathBuf, String)> + '_ {
    let reason = "it holds shard files but no readable root: a drive that lost its identity";
    nameless.drain(..).map(move |path| (path, reason.to_owned()))
}

fn identify(path: &Path, options: &DriveOptions, election: &Election) -> Result<(Drive, DriveId), String> {
    if !election.majority {
        return Err("it holds no readable root, and too few other drives are present to say whose it was".into());
    }
    let drive = Drive::open_with(path, false, options.clone()).map_err(|e| e.to_string())?;
    let root = &election.root;
    let mut owners = BTreeSet::new();
    for listed in drive.list_shards().map_err(|e| e.to_string())? {
        if let Some(segment) = named(root, &listed) {
            owners.extend(owner(&drive, root, segment, &listed)?);
        }
    }
    let mut owners = owners.into_iter();
    match (owners.next(), owners.next()) {
        (None, _) => Err("it holds no readable root, and no shard file that tells whose it was".into()),
        (Some(_), Some(_)) => Err("it holds no readable root, and shard files of several drives".into()),
        (Some(id), None) if root.member(id).is_none() => Err(format!(
            "it holds no readable root, and shard files of drive {id}, which is no member of the store any more"
        )),
        (Some(id), None) => Ok((drive, id)),
    }
}

/// The segment of a shard file, if the root names it: of others nobody can say here who holds them.
fn named<'a>(root: &'a Root, listed: &ShardListing) -> Option<&'a Segment> {
    let log = root.log.iter().map(|log| &log.segment);
    let checkpoints = root.checkpoints.iter().map(|checkpoint| &checkpoint.segment);
    log.chain(checkpoints).find(|segment| segment.id == listed.segment)
}

/// Whose shard file this is; none if its header cannot be read.
///
/// # Errors
/// The header contradicts the root: another store's, or not the segment that the root means.
fn owner(drive: &Drive, root: &Root, segment: &Segment, listed: &ShardListing) -> Result<Option<DriveId>, String> {
    let file = drive.open_shard(listed.kind_hint, listed.segment, listed.shard);
    let Some(file) = file.map_err(|e| e.to_string())? else {
        return Ok(None);
    };
    let len = usize::try_from(SHARD_HEADER_BYTES).unwrap_or(usize::MAX);
    let bytes = file.read_at(0, len).map_err(|e| e.to_string())?;
    let Ok(header) = ShardHeader::decode(listed.segment, listed.shard, &bytes) else {
        return Ok(None);
    };
    if header.store != root.store || header.kind != segment.kind || header.geometry != segment.geometry {
        return Err("it holds no readable root, and shard files that contradict the store's".into());
    }
    Ok(segment.drives.get(usize::from(listed.shard)).copied())
}
