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

/// Makes the empty directory at `path` a drive of the store. The caller holds the turn to change members. With `anyway`
/// the operator vouches for a directory that looks like an unmounted mount point.
pub async fn enlist(
    options: &OpenOptions,
    patience: &Patience,
    shared: &Arc<Shared>,
    path: &Path,
    anyway: bool,
) -> Result<DriveId, EnlistError> {
    let unfit = |reason: &str| EnlistError::Unfit {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let root = shared.keeper.lock().root().clone();
    its_own(&root, path).map_err(|reason| unfit(&reason))?;
    if root.members.len() >= MEMBERS_MAX {
        return Err(unfit("the store has as many drives as it can"));
    }
    let (place, look) = look_in_time(path, &options.drive, patience).await;
    let directory = empty(&root, look).map_err(|reason| unfit(&reason))?;
    let facts: Vec<MountFacts> = match anyway {
        true => Vec::new(),
        false => mounts_of_present(shared)
            .await
            .into_iter()
            .map(|(_, facts)| facts)
            .collect(),
    };
    let (others, its_options, at) = (shared.drives.present(), options.clone(), path.to_owned());
    let making = move || {
        if others
            .iter()
            .any(|on| directory_id(on.drive.path()).ok() == place && place.is_some())
        {
            return Err("it is a drive of this store already".to_owned());
        }
        if !anyway {
            looks_mounted(&facts, &directory.mount)?;
        }
        new_drive(&its_options, &at).map_err(|e| e.to_string())
    };
    // A drive that hangs must not keep the turn to change members.
    let made = tokio::time::timeout(2 * options.drive.answer_within, tokio::task::spawn_blocking(making)).await;
    let made = made.map_err(|_| EnlistError::Unavailable("a drive of the store does not answer".into()))?;
    let made = made.map_err(|e| EnlistError::Unavailable(e.to_string()))?;
    let (drive, member) = made.map_err(|reason| unfit(&reason))?;
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

/// Whether a new directory is mounted as the drives of the store are. Where each of them is on a file system of its own, at
/// the same place in it, one that is not is most likely a mount point without its drive.
fn looks_mounted(members: &[MountFacts], new: &MountFacts) -> Result<(), String> {
    let devices: std::collections::BTreeSet<u64> = members.iter().map(|facts| facts.device).collect();
    let alone = devices.len() == members.len() && !members.is_empty();
    let place = members.first().map(|facts| &facts.place_in_fs);
    let alike = members.iter().all(|facts| Some(&facts.place_in_fs) == place);
    if alone && members.len() > 1 && devices.contains(&new.device) {
        return Err("it is on the file system of another drive of the store; is the drive mounted?".into());
    }
    if alone && alike && !devices.contains(&new.device) && Some(&new.place_in_fs) != place {
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

    #[test]
    fn beside_mounted_drives_an_unmounted_mount_point_is_no_new_drive() {
        let mounted = [facts("/", 1), facts("/", 2)];
        assert!(looks_mounted(&mounted, &facts("/", 3)).is_ok());
        assert!(
            looks_mounted(&mounted, &facts("/data3", 9)).is_err(),
            "on the host's root"
        );
        assert!(looks_mounted(&mounted, &facts("/x", 2)).is_err(), "on another drive");
        assert!(looks_mounted(&mounted[..1], &facts("/data3", 9)).is_err());
    }

    #[test]
    fn beside_drives_that_are_mere_directories_any_directory_may_be_one() {
        let shared = [facts("/a", 1), facts("/b", 1)];
        assert!(looks_mounted(&shared, &facts("/c", 1)).is_ok());
        assert!(looks_mounted(&shared, &facts("/", 2)).is_ok());
        assert!(looks_mounted(&shared[..1], &facts("/b", 1)).is_ok());
        let unlike = [facts("/srv/1", 1), facts("/", 2)];
        assert!(
            looks_mounted(&unlike, &facts("/srv/3", 3)).is_ok(),
            "there is no rule to break"
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
