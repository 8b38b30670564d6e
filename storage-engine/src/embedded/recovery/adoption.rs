//! The change of the members that puts empty drives in the place of missing ones at a start. It writes to drives that
//! are here, and to directories that hold nothing; who may replace whom it is told.

use std::path::PathBuf;
use std::sync::Arc;

use super::adopt::Replacement;
use super::find::{Found, FoundDrive};
use super::format::{new_drive, put_in_place};
use super::start::OpenOptions;
use crate::embedded::core::nonce;
use crate::embedded::id::DriveId;
use crate::embedded::root::{Election, Member, Root, RootKeeper, RootSlot};

/// Why no drive was adopted. The change may stand on some drives: what they hold is to be read anew.
#[derive(Debug)]
pub struct NotAdopted {
    /// The directories, each with the reason.
    pub refused: Vec<(PathBuf, String)>,
}

/// Puts new drives in the place of missing members. The change carries the old table until the store is under way
/// again; with the operator's word the replaced members count as present and the old table is not asked. Drives that are
/// here and were out are taken in by the same change, but for those that are `unfit`: without them there may be too few
/// of the old table to make it.
///
/// A change of the members from before that is not settled is never forgotten: without the operator's word it is first
/// said once more, where it counts; with it, its drives go on counting (`parting`: those of them that leave and are here).
/// A directory that cannot be made a drive is left out, and said to be absent.
pub fn adopt(
    options: &OpenOptions,
    found: &mut Found,
    parting: &mut Vec<FoundDrive>,
    election: &mut Election,
    plan: Vec<Replacement>,
    unfit: &[DriveId],
) -> Result<(), NotAdopted> {
    let paths: Vec<PathBuf> = plan.iter().map(|one| one.new.path.clone()).collect();
    let refuse = |reason: String| NotAdopted {
        refused: paths.iter().map(|path| (path.clone(), reason.clone())).collect(),
    };
    let mut root = election.root.clone();
    let present = found.mounts();
    for here in found.drives.iter().filter(|here| !unfit.contains(&here.slot.drive)) {
        root.readmit(here.slot.drive, &here.path, &present);
    }
    if root.old_members.is_some() && !options.adopt {
        root = put_through(root, found, parting).map_err(|error| {
            refuse(format!(
                "it is not adopted: a change of the drives is not settled, and {error}"
            ))
        })?;
        election.root = root.clone();
    }
    let before = root.members.clone();
    let mut carried = root.old_members.take().filter(|_| options.adopt);
    let here = |id: DriveId| found.drives.iter().chain(&*parting).any(|drive| drive.slot.drive == id);
    if let Some(table) = &mut carried {
        table.retain(|member| root.member(member.id).is_some() || here(member.id));
    }
    let made = replace_each(options, &mut root, &mut carried, plan, &mut found.absent);
    if made.is_empty() {
        return Ok(());
    }
    found.drives.extend(made);
    root.old_members = match options.adopt {
        true => carried,
        false => Some(before),
    };
    let root = put_through(root, found, parting).map_err(|error| refuse(format!("it is not adopted: {error}")))?;
    parting.retain(|drive| root.serves(drive.slot.drive));
    let here: Vec<DriveId> = found
        .drives
        .iter()
        .chain(&*parting)
        .map(|drive| drive.slot.drive)
        .collect();
    election.majority = root.has_majority(|id| here.contains(&id));
    election.root = root;
    Ok(())
}

/// Makes each directory a drive, and puts it in its place in the root and in the table that is carried on. One that
/// cannot be made is `absent`.
fn replace_each(
    options: &OpenOptions,
    root: &mut Root,
    carried: &mut Option<Vec<Member>>,
    plan: Vec<Replacement>,
    absent: &mut Vec<(PathBuf, String)>,
) -> Vec<FoundDrive> {
    let mut made = Vec::new();
    for Replacement { old, new } in plan {
        let path = new.path;
        let (drive, member) = match new_drive(options, &path) {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(path = %path.display(), %old, %error, "an empty drive could not be adopted");
                absent.push((path, format!("it is not adopted: {error}")));
                continue;
            }
        };
        tracing::warn!(path = %path.display(), %old, new = %member.id, "an empty drive is adopted");
        if let Some(place) = carried.iter_mut().flatten().find(|member| member.id == old) {
            *place = member.clone();
        }
        let id = member.id;
        put_in_place(root, old, member);
        let slot = RootSlot {
            drive: id,
            root: root.clone(),
        };
        made.push(FoundDrive {
            drive,
            path,
            slot,
            next_slot: 0,
        });
    }
    made
}

/// Makes a root count, in both its tables if it has two, and notes who has it.
fn put_through(root: Root, found: &mut Found, parting: &mut [FoundDrive]) -> Result<Root, String> {
    let all = found.drives.iter().chain(&*parting);
    let slots = all.map(|drive| (Arc::clone(&drive.drive), drive.next_slot)).collect();
    // The keeper begins from the changed root, so that a majority is asked of the tables of the change.
    let mut keeper = RootKeeper::new(root, slots);
    keeper.change(nonce(), |_| {}).map_err(|error| error.to_string())?;
    for drive in found.drives.iter_mut().chain(parting) {
        if let Some(next) = keeper
            .next_slot(drive.slot.drive)
            .filter(|next| *next != drive.next_slot)
        {
            drive.next_slot = next;
            drive.slot.root = keeper.root().clone();
        }
    }
    Ok(keeper.root().clone())
}
