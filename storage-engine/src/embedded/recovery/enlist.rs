//! New drives for a running store: an empty directory that the operator names becomes a member beside the others. It
//! judges whether the directory may be one, opens it, and makes the change of members count; it never takes anybody's
//! place and touches nothing that holds anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::adopt::EmptyDirectory;
use super::find::{Look, look_in_time};
use super::format::new_drive;
use super::patience::Patience;
use super::rejoin::{let_go, mounts_of_present, take_in};
use super::start::OpenOptions;
use crate::embedded::core::Shared;
use crate::embedded::drive::{MountFacts, directory_id};
use crate::embedded::fleet::{Refusing, change_members};
use crate::embedded::id::DriveId;
use crate::embedded::root::{MEMBERS_MAX, Root};

/// Why a directory does not become a drive of the store. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum EnlistError {
    /// The directory cannot be one, whatever the others do.
    #[error("{}: {reason}", path.display())]
    Unfit { path: PathBuf, reason: String },
    /// The store cannot be changed now.
    #[error("{0}")]
    Unavailable(String),
}

/// Whether the directory at `path` could be made a drive of the store as things are; makes nothing. With `anyway` the
/// operator vouches for a directory that looks like an unmounted mount point.
pub async fn judge(
    options: &OpenOptions,
    patience: &Patience,
    shared: &Arc<Shared>,
    path: &Path,
    anyway: bool,
) -> Result<(), EnlistError> {
    let unfit = |reason: &str| unfit(path, reason);
    let root = shared.keeper.lock().root().clone();
    its_own(&root, path).map_err(|reason| unfit(&reason))?;
    if root.members.len() >= MEMBERS_MAX {
        return Err(unfit("the store has as many drives as it can"));
    }
    let (place, look) = look_in_time(path, &options.drive, patience).await;
    let directory = empty(&root, look).map_err(|reason| unfit(&reason))?;
    let mounted: Vec<Mounted> = match anyway {
        true => Vec::new(),
        false => mounts_of_present(shared)
            .await
            .into_iter()
            .filter_map(|(id, facts)| Some((PathBuf::from(&root.member(id)?.path), facts)))
            .collect(),
    };
    let others = shared.drives.present();
    let looking = move || {
        if others
            .iter()
            .any(|on| directory_id(on.drive.path()).ok() == place && place.is_some())
        {
            return Err("it is a drive of this store already".to_owned());
        }
        match anyway {
            true => Ok(()),
            false => looks_mounted(&mounted, &directory.path, &directory.mount),
        }
    };
    in_time(options, looking).await?.map_err(|reason| unfit(&reason))
}

fn unfit(path: &Path, reason: &str) -> EnlistError {
    EnlistError::Unfit {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// A drive that hangs must not keep the turn to change members.
async fn in_time<T: Send + 'static>(
    options: &OpenOptions,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EnlistError> {
    let done = tokio::time::timeout(2 * options.drive.answer_within, tokio::task::spawn_blocking(work)).await;
    let done = done.map_err(|_| EnlistError::Unavailable("a drive of the store does not answer".into()))?;
    done.map_err(|e| EnlistError::Unavailable(e.to_string()))
}

/// Makes the empty directory at `path` a drive of the store, if it may be one. The caller holds the turn to change
/// members.
pub async fn enlist(
    options: &OpenOptions,
    patience: &Patience,
    shared: &Arc<Shared>,
    path: &Path,
    anyway: bool,
) -> Result<DriveId, EnlistError> {
    judge(options, patience, shared, path, anyway).await?;
    let (its_options, at) = (options.clone(), path.to_owned());
    let making = move || new_drive(&its_options, &at).map_err(|e| e.to_string());
    let made = in_time(options, making).await?;
    let (drive, member) = made.map_err(|reason| unfit(path, &reason))?;
    let id = member.id;
    // For the choice of drives.
    let _ = tokio::time::timeout(options.drive.answer_within, {
        let on = Arc::clone(&drive);
        drive.run(crate::embedded::drive::Lane::Bulk, move || on.space())
    })
    .await;
    shared.keeper.lock().join(Arc::clone(&drive), 0);
    let newcomer = Some((id, Refusing::Leaves));
    let changed = change_members(shared, newcomer, move |root| root.members.push(member)).await;
    if let Err(reason) = changed {
        let_go(shared, id, &drive);
        return Err(EnlistError::Unavailable(reason));
    }
    tracing::info!(path = %drive.path().display(), drive = %id, "a drive was added");
    take_in(shared, id, drive);
    Ok(id)
}

/// The directory, if there is one that holds nothing.
fn empty(root: &Root, look: Look) -> Result<EmptyDirectory, String> {
    let told = match look {
        Look::Empty(directory) => return Ok(directory),
        Look::Unborn => "there is no such directory; make it, or mount the drive, first".to_owned(),
        Look::Foreign(what) => format!("it holds {what}; a new drive must be empty"),
        Look::Nameless => "it holds shard files; a new drive must be empty".to_owned(),
        Look::Absent(reason) => reason,
        Look::Member(found) => {
            let is_gone = root.gone.contains(&found.slot.drive);
            let whose = match (found.slot.root.store == root.store, is_gone) {
                (true, true) => "a drive that was removed from this store",
                (true, false) => "a drive of this store",
                (false, _) => "a drive of another store",
            };
            format!("it is {whose}; a new drive must be empty")
        }
    };
    Err(told)
}

/// A path that no drive of the store lives at, above or below, whether that one is here or not.
fn its_own(root: &Root, path: &Path) -> Result<(), String> {
    if !path.is_absolute() {
        return Err("give the whole path, from '/'".into());
    }
    for member in &root.members {
        let taken = Path::new(&member.path);
        if taken == path {
            return Err(format!(
                "drive {} belongs there; if it is gone for good, replace it",
                member.id
            ));
        }
        if path.starts_with(taken) || taken.starts_with(path) {
            return Err(format!("it lies inside, or around, drive {}", taken.display()));
        }
    }
    Ok(())
}

/// A drive of the store, and where it stands.
type Mounted = (PathBuf, MountFacts);

/// Whether a new directory is mounted as the drives of the store are. Where each of them is on a file system of its own, it
/// is not on that of another. And where those beside it, in the same directory, are each on one of their own, at the same
/// place in it, one that is not is most likely a mount point without its drive; where none is beside it, all count.
fn looks_mounted(members: &[Mounted], path: &Path, new: &MountFacts) -> Result<(), String> {
    let on = |device: u64| members.iter().filter(|(_, facts)| facts.device == device).count();
    let alone = members.iter().all(|(_, facts)| on(facts.device) == 1);
    if alone && members.len() > 1 && on(new.device) > 0 {
        return Err("it is on the file system of another drive of the store; is the drive mounted?".into());
    }
    let beside = |(other, _): &&Mounted| other.parent() == path.parent();
    let mut models: Vec<&Mounted> = members.iter().filter(beside).collect();
    if models.is_empty() {
        models = members.iter().collect();
    }
    let Some((_, model)) = models.first() else {
        return Ok(());
    };
    let each_its_own = models.iter().all(|(_, facts)| on(facts.device) == 1);
    let alike = models.iter().all(|(_, facts)| facts.place_in_fs == model.place_in_fs);
    let among_them = models.iter().any(|(_, facts)| facts.device == new.device);
    if each_its_own && alike && !among_them && new.place_in_fs != model.place_in_fs {
        return Err("it is no mount point as those of the other drives are; is the drive mounted?".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::root::tests_support::root;

    fn facts(place_in_fs: &str, device: u64) -> MountFacts {
        MountFacts {
            fs_type: "xfs".into(),
            place_in_fs: place_in_fs.into(),
            device,
        }
    }

    /// Drives at these paths, each with its place in its file system and the device.
    fn drives(of: &[(&str, &str, u64)]) -> Vec<Mounted> {
        of.iter()
            .map(|(path, place, device)| (PathBuf::from(path), facts(place, *device)))
            .collect()
    }

    fn judged(members: &[Mounted], path: &str, place: &str, device: u64) -> Result<(), String> {
        looks_mounted(members, Path::new(path), &facts(place, device))
    }

    #[test]
    fn beside_mounted_drives_an_unmounted_mount_point_is_no_new_drive() {
        let mounted = drives(&[("/data1", "/", 1), ("/data2", "/", 2)]);
        assert!(judged(&mounted, "/data3", "/", 3).is_ok());
        assert!(judged(&mounted, "/data3", "/data3", 9).is_err(), "on the host's root");
        assert!(judged(&mounted, "/data3", "/x", 2).is_err(), "on another drive");
        assert!(judged(&mounted[..1], "/data3", "/data3", 9).is_err());
        assert!(judged(&mounted, "/elsewhere/3", "/elsewhere/3", 9).is_err());
    }

    #[test]
    fn beside_drives_that_are_mere_directories_any_directory_may_be_one() {
        let shared = drives(&[("/a", "/a", 1), ("/b", "/b", 1)]);
        assert!(judged(&shared, "/c", "/c", 1).is_ok());
        assert!(judged(&shared, "/c", "/", 2).is_ok());
        assert!(judged(&shared[..1], "/b", "/b", 1).is_ok());
        let unlike = drives(&[("/srv/1", "/srv/1", 1), ("/srv/2", "/", 2)]);
        assert!(
            judged(&unlike, "/srv/3", "/srv/3", 3).is_ok(),
            "there is no rule to break"
        );
    }

    #[test]
    fn where_some_drives_are_mounted_and_some_are_not_each_new_one_is_judged_by_those_beside_it() {
        let mixed = drives(&[
            ("/srv/a", "/srv/a", 1),
            ("/srv/b", "/srv/b", 1),
            ("/mnt/c", "/", 3),
            ("/mnt/d", "/", 4),
        ]);
        assert!(judged(&mixed, "/mnt/e", "/", 5).is_ok());
        assert!(judged(&mixed, "/mnt/e", "/mnt/e", 1).is_err(), "not mounted");
        assert!(judged(&mixed, "/srv/e", "/srv/e", 1).is_ok(), "as those beside it");
        assert!(
            judged(&mixed, "/opt/e", "/opt/e", 1).is_ok(),
            "beside none: there is no rule to break"
        );
        let one_of_each = drives(&[("/srv/a", "/srv/a", 1), ("/mnt/c", "/", 3)]);
        assert!(judged(&one_of_each, "/mnt/d", "/", 4).is_ok());
        assert!(judged(&one_of_each, "/mnt/d", "/mnt/d", 1).is_err(), "not mounted");
        assert!(
            judged(&one_of_each, "/mnt/d", "/mnt/d", 9).is_err(),
            "not mounted, /mnt is"
        );
    }

    #[test]
    fn a_new_drive_lies_neither_at_nor_inside_nor_around_another() {
        let root = root(1, 2);
        assert!(its_own(&root, Path::new("/data3")).is_ok());
        for path in ["/data1", "/data1/x", "/", "data3"] {
            assert!(its_own(&root, Path::new(path)).is_err(), "{path}");
        }
    }
}
