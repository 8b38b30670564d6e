//! Drives that come to a running store: one that was out or missing and answers again, and an empty one in the place of
//! one that is gone. By the rules of a start, but without one: whatever is in doubt is left to that.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::adopt::{EmptyDirectory, Replacement, UNLIKE, plan};
use super::find::{FoundDrive, Look, look_in_time};
use super::format::{new_drive, put_in_place};
use super::patience::Patience;
use super::start::OpenOptions;
use crate::embedded::core::Shared;
use crate::embedded::drive::{Drive, Lane, MountFacts, try_out};
use crate::embedded::fleet::{Refusing, change_members, settle};
use crate::embedded::heal::keep_doubt;
use crate::embedded::id::DriveId;

/// What became of the paths that were looked at.
#[derive(Default)]
pub struct Rejoined {
    /// Paths whose drives take part again, or for the first time.
    pub taken: Vec<PathBuf>,
    /// The others, and why not.
    pub absent: Vec<(PathBuf, String)>,
}

/// Looks at paths that are not in use and takes in what belongs there. A path can only be opened when what an earlier
/// run or an earlier turn of this drive had on its way has returned: until then its lock is held.
pub async fn rejoin(options: &OpenOptions, patience: &Patience, shared: &Arc<Shared>, paths: Vec<PathBuf>) -> Rejoined {
    let mut rejoined = Rejoined::default();
    let looks = join_all(paths.iter().map(|path| look_in_time(path, &options.drive, patience)));
    let mut looks: Vec<Look> = looks.await.into_iter().map(|(_, look)| look).collect();
    refuse_strangers(shared, &mut looks);
    for (path, look) in paths.iter().zip(looks) {
        let outcome = match look {
            Look::Member(found) => readmit(options, patience, shared, *found).await,
            Look::Empty(directory) => replace(options, patience, shared, directory).await,
            Look::Nameless => Err("it holds no readable root; the next start looks whose it was".to_owned()),
            Look::Unborn => Err("there is no such directory".to_owned()),
            Look::Foreign(what) => Err(format!("it holds {what}; it is left untouched")),
            Look::Absent(reason) => Err(reason),
        };
        match outcome {
            Ok(()) => rejoined.taken.push(path.clone()),
            Err(reason) => rejoined.absent.push((path.clone(), reason)),
        }
    }
    rejoined
}

/// Drives that are not the store's, or are at two paths, are left as they are: nothing is tried out there.
fn refuse_strangers(shared: &Shared, looks: &mut [Look]) {
    let drive_of = |look: &Look| match look {
        Look::Member(found) => Some(found.slot.drive),
        _ => None,
    };
    let ids: Vec<DriveId> = looks.iter().filter_map(drive_of).collect();
    let root = shared.keeper.lock().root().clone();
    for look in looks {
        let Look::Member(found) = look else { continue };
        let id = found.slot.drive;
        let twins = ids.iter().filter(|other| **other == id).count() > 1 || shared.drives.get(&id).is_some();
        let reason = if root.store != found.slot.root.store {
            "it holds a drive of another store; it is left untouched".to_owned()
        } else if root.member(id).is_none() {
            format!("drive {id} is no member of the store any more; it is left untouched")
        } else if twins {
            format!("drive {id} is at another given path too")
        } else if found.slot.root.age() > root.age() {
            "its root is newer than the one in force; a start has to decide".to_owned()
        } else {
            continue;
        };
        *look = Look::Absent(reason);
    }
}

/// A drive that answers may still not take what the log writes. And it has to be noted there, before it looks like one
/// that never was away, that all it holds is to be verified.
async fn prepare(options: &OpenOptions, patience: &Patience, found: &FoundDrive) -> Result<(), String> {
    let faults = options.drive.faults.clone();
    let drive = Arc::clone(&found.drive);
    let asked = patience.ask(&found.path, options.drive.answer_within, move |path: &Path| {
        try_out(path, faults)?;
        keep_doubt(&drive)
    });
    asked.await?.map_err(|e| e.to_string())
}

/// A member is in again, for what is written from now on. What it holds is verified by healing.
async fn readmit(
    options: &OpenOptions,
    patience: &Patience,
    shared: &Arc<Shared>,
    found: FoundDrive,
) -> Result<(), String> {
    prepare(options, patience, &found).await?;
    let id = found.slot.drive;
    shared.keeper.lock().join(Arc::clone(&found.drive), found.next_slot);
    let path = found.path.clone();
    let mut present = mounts_of_present(shared).await;
    present.extend(mount_of(id, Arc::clone(&found.drive)).await);
    let failed = shared.change_root_beside(move |root| root.readmit(id, &path, &present));
    let failed = let_go_unless(failed.await, shared, id, &found.drive)?;
    if failed.contains(&id) {
        let put_out = shared.change_root_beside(move |root| root.put_out(&[id])).await;
        let_go(shared, id, &found.drive);
        put_out?;
        return Err("it did not take a change of the root".into());
    }
    if shared.keeper.lock().root().member(id).is_none() {
        let_go(shared, id, &found.drive);
        return Err(format!("drive {id} was removed meanwhile; it is left untouched"));
    }
    let (noting, drive) = (Arc::clone(shared), Arc::clone(&found.drive));
    let noted = tokio::task::spawn_blocking(move || noting.note_brought(id, &drive)).await;
    let_go_unless(noted.map_err(|e| e.to_string()), shared, id, &found.drive)?;
    tracing::info!(path = %found.path.display(), drive = %id, "a drive is back and taken in again");
    take_in(shared, id, found.drive);
    Ok(())
}

/// A drive that could not be taken in is let go, or its lock would keep it from ever being looked at again.
pub(super) fn let_go(shared: &Shared, id: DriveId, drive: &Drive) {
    shared.keeper.lock().leave(id);
    drive.shut();
}

fn let_go_unless<T>(changed: Result<T, String>, shared: &Shared, id: DriveId, drive: &Drive) -> Result<T, String> {
    changed.inspect_err(|_| let_go(shared, id, drive))
}

/// How long the drives of the store have to say where they stand, before an empty one is compared with them.
const FACTS_WITHIN: Duration = Duration::from_secs(5);

/// Where the drives stand that say so in time: one that does not answer holds nobody up.
pub async fn mounts_of_present(shared: &Shared) -> Vec<(DriveId, MountFacts)> {
    let asked = shared.drives.present().into_iter().map(|on| mount_of(on.id, on.drive));
    join_all(asked).await.into_iter().flatten().collect()
}

async fn mount_of(id: DriveId, drive: Arc<Drive>) -> Option<(DriveId, MountFacts)> {
    let asked = Arc::clone(&drive);
    let facts = drive.run(Lane::Read, move || asked.mount_facts());
    Some((id, timeout(FACTS_WITHIN, facts).await.ok()?.ok()?))
}

/// An empty directory takes the place of a missing member, if it looks like the drive that was there.
async fn replace(
    options: &OpenOptions,
    patience: &Patience,
    shared: &Arc<Shared>,
    directory: EmptyDirectory,
) -> Result<(), String> {
    let _one_at_a_time = shared.membership.lock().await;
    settle(shared).await?;
    let present = mounts_of_present(shared).await;
    let root = shared.keeper.lock().root().clone();
    let majority = root.has_majority(|id| present.iter().any(|(here, _)| *here == id));
    let Some(Replacement { old, new }) = plan(&root, &present, &[directory], majority, false).pop() else {
        return Err(UNLIKE.to_owned());
    };
    let theirs = options.clone();
    let making = move |path: &Path| new_drive(&theirs, path).map_err(|e| e.to_string());
    let (drive, member) = patience.ask(&new.path, options.drive.answer_within, making).await??;
    let id = member.id;
    tracing::warn!(path = %drive.path().display(), %old, new = %id, "an empty drive is adopted");
    shared.keeper.lock().join(Arc::clone(&drive), 0);
    // The one that was there before is gone with the first change: its place is not given back.
    let newcomer = Some((id, Refusing::StaysOut));
    let changed = change_members(shared, newcomer, move |root| put_in_place(root, old, member)).await;
    let_go_unless(changed, shared, id, &drive)?;
    take_in(shared, id, drive);
    Ok(())
}

pub(super) fn take_in(shared: &Arc<Shared>, id: DriveId, drive: Arc<Drive>) {
    shared.service.heal.doubt([id]);
    shared.service.damage.suspicions.forget(id);
    shared.note_used(&drive);
    shared.drives.insert(id, drive);
    shared.count_losses_anew();
    shared.service.want_sweep();
    shared.service.damage.bell.notify_one();
}
