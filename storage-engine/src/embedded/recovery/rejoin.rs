//! Drives that come to a running store: one that was out or missing and answers again, and an empty one in the place of
//! one that is gone. By the rules of a start, but without one: whatever is in doubt is left to that.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::join_all;

use super::adopt::{EmptyDirectory, Replacement, plan};
use super::find::{FoundDrive, Look, look_in_time};
use super::format::{new_drive, put_in_place};
use super::patience::Patience;
use super::start::OpenOptions;
use crate::embedded::core::Shared;
use crate::embedded::drive::{Drive, try_out};
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
    let looks = join_all(paths.iter().map(|path| async {
        let (_, look) = look_in_time(path, &options.drive, patience).await;
        match look {
            Look::Member(found) => tried_out(options, patience, *found).await,
            other => other,
        }
    }));
    for (path, look) in paths.iter().zip(looks.await) {
        let outcome = match look {
            Look::Member(found) => readmit(shared, *found).await,
            Look::Empty(directory) => replace(options, shared, directory).await,
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

/// A drive that answers may still not take what the log writes.
async fn tried_out(options: &OpenOptions, patience: &Patience, found: FoundDrive) -> Look {
    let faults = options.drive.faults.clone();
    let asked = patience.ask(&found.path, options.drive.answer_within, |path| try_out(path, faults));
    match asked.await {
        Ok(Ok(_)) => Look::Member(Box::new(found)),
        Ok(Err(error)) => Look::Absent(error.to_string()),
        Err(reason) => Look::Absent(reason),
    }
}

/// A member is in again, for what is written from now on. What it holds is verified by healing.
async fn readmit(shared: &Arc<Shared>, found: FoundDrive) -> Result<(), String> {
    let id = found.slot.drive;
    {
        let mut keeper = shared.keeper.lock();
        let root = keeper.root();
        if root.store != found.slot.root.store {
            return Err("it holds a drive of another store; it is left untouched".into());
        }
        if root.member(id).is_none() {
            return Err(format!(
                "drive {id} is no member of the store any more; it is left untouched"
            ));
        }
        if shared.drives.get(&id).is_some() {
            return Err(format!("drive {id} is at another given path too"));
        }
        if found.slot.root.age() > root.age() {
            return Err("its root is newer than the one in force; a start has to decide".into());
        }
        keeper.join(Arc::clone(&found.drive), found.next_slot);
    }
    let path = found.path.to_string_lossy().into_owned();
    let failed = shared.change_root_beside(move |root| {
        for member in root.members.iter_mut().filter(|member| member.id == id) {
            member.state = member.state.taken_back();
            member.path.clone_from(&path);
        }
    });
    let failed = let_go_unless(failed.await, shared, id, &found.drive)?;
    if failed.contains(&id) {
        let put_out = shared.change_root_beside(move |root| root.put_out(&[id])).await;
        let_go(shared, id, &found.drive);
        put_out?;
        return Err("it did not take a change of the root".into());
    }
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

/// An empty directory takes the place of a missing member, if it looks like the drive that was there.
async fn replace(options: &OpenOptions, shared: &Arc<Shared>, directory: EmptyDirectory) -> Result<(), String> {
    let unlike = "it is empty and does not look like the drive that was there; mount the drive, or start with --adopt \
                  if it is gone for good";
    let _one_at_a_time = shared.membership.lock().await;
    let root = shared.keeper.lock().root().clone();
    if root.old_members.is_some() {
        return Err("another change of the drives is not settled yet".into());
    }
    let (options, others) = (options.clone(), shared.drives.present());
    let making = move || {
        let facts = others
            .iter()
            .filter_map(|on| Some((on.id, on.drive.mount_facts().ok()?)));
        let present: Vec<(DriveId, _)> = facts.collect();
        let majority = root.has_majority(|id| present.iter().any(|(here, _)| *here == id));
        let mut replacements = plan(&root, &present, &[directory], majority, false);
        let Some(Replacement { old, new }) = replacements.pop() else {
            return Err(unlike.to_owned());
        };
        let (drive, member) = new_drive(&options, &new.path).map_err(|e| e.to_string())?;
        Ok((old, drive, member))
    };
    let (old, drive, member) = tokio::task::spawn_blocking(making).await.map_err(|e| e.to_string())??;
    let id = member.id;
    tracing::warn!(path = %drive.path().display(), %old, new = %id, "an empty drive is adopted");
    shared.keeper.lock().join(Arc::clone(&drive), 0);
    let failed = shared.change_root_beside(move |root| {
        root.old_members = Some(root.members.clone());
        put_in_place(root, old, member);
    });
    let failed = let_go_unless(failed.await, shared, id, &drive)?;
    let refused = failed.contains(&id);
    let settled = shared.change_root_beside(move |root| {
        root.old_members = None;
        if refused {
            root.put_out(&[id]);
        }
    });
    let_go_unless(settled.await, shared, id, &drive)?;
    if refused {
        let_go(shared, id, &drive);
        return Err("it did not take a change of the root".into());
    }
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
