//! May an empty directory take the place of a missing member? Pure: what was recorded and what is seen, in; who
//! replaces whom, out.

use std::path::{Path, PathBuf};

use crate::embedded::drive::MountFacts;
use crate::embedded::id::DriveId;
use crate::embedded::root::{Member, Root};

/// Why an empty directory is not adopted.
pub const UNLIKE: &str = "it is empty and does not look like the drive that was there; mount the drive, or start with \
                          --adopt if it is gone for good";

/// A given path that holds nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmptyDirectory {
    pub path: PathBuf,
    pub mount: MountFacts,
}

/// An empty directory and the member whose place it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    pub old: DriveId,
    pub new: EmptyDirectory,
}

/// Pairs empty directories with missing members.
///
/// By itself a directory is adopted only where a member was last seen, if its place inside its file system, the file
/// system's type and its sharing of devices with present members are as recorded, and if `majority` of the members is
/// present: an unmounted mount point, and the empty host directory a container binds in its place, differ in one of
/// them. With the operator's word (`forced`) any empty directory replaces any missing member.
pub fn plan(
    root: &Root,
    present: &[(DriveId, MountFacts)],
    empty: &[EmptyDirectory],
    majority: bool,
    forced: bool,
) -> Vec<Replacement> {
    let is_present = |member: &Member| present.iter().any(|(id, _)| *id == member.id);
    let mut missing: Vec<&Member> = root.members.iter().filter(|member| !is_present(member)).collect();
    let mut plan = Vec::new();
    let mut left: Vec<&EmptyDirectory> = Vec::new();
    for directory in empty {
        let same_path = missing
            .iter()
            .position(|member| Path::new(&member.path) == directory.path);
        match same_path.and_then(|at| missing.get(at).map(|member| (at, *member))) {
            Some((at, member)) if forced || (majority && looks_like(root, present, member, directory)) => {
                missing.remove(at);
                plan.push(Replacement {
                    old: member.id,
                    new: directory.clone(),
                });
            }
            _ => left.push(directory),
        }
    }
    if forced {
        let rest = missing.into_iter().zip(left);
        plan.extend(rest.map(|(member, new)| Replacement {
            old: member.id,
            new: new.clone(),
        }));
    }
    plan
}

fn looks_like(root: &Root, present: &[(DriveId, MountFacts)], member: &Member, directory: &EmptyDirectory) -> bool {
    let shares_as_recorded = present.iter().all(|(id, now)| {
        let Some(other) = root.member(*id) else { return true };
        (other.mount.device == member.mount.device) == (now.device == directory.mount.device)
    });
    directory.mount.fs_type == member.mount.fs_type
        && directory.mount.place_in_fs == member.mount.place_in_fs
        && shares_as_recorded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::root::tests_support::root;

    fn facts(fs_type: &str, place_in_fs: &str, device: u64) -> MountFacts {
        MountFacts {
            fs_type: fs_type.into(),
            place_in_fs: place_in_fs.into(),
            device,
        }
    }

    /// Four members, each the root of an xfs of its own; members 1, 2 and 3 are present, 4 is not.
    fn scene() -> (Root, Vec<(DriveId, MountFacts)>) {
        let root = root(3, 4);
        // After a reboot device numbers differ; only who shares with whom is compared.
        let present = root
            .members
            .iter()
            .take(3)
            .map(|m| (m.id, facts("xfs", "/", m.mount.device + 40)))
            .collect();
        (root, present)
    }

    fn empty(path: &str, mount: MountFacts) -> Vec<EmptyDirectory> {
        vec![EmptyDirectory {
            path: path.into(),
            mount,
        }]
    }

    #[test]
    fn a_fresh_drive_at_the_old_mount_is_adopted() {
        let (root, present) = scene();
        let plan = plan(&root, &present, &empty("/data4", facts("xfs", "/", 99)), true, false);
        assert_eq!(
            plan.iter().map(|r| r.old).collect::<Vec<_>>(),
            [DriveId::from_bytes([4; 16])]
        );
    }

    #[test]
    fn an_unmounted_mount_point_and_a_bound_host_directory_are_not_adopted() {
        let (root, present) = scene();
        for mount in [
            facts("ext4", "/data4", 7),         // the mount point itself, on the host's root file system
            facts("xfs", "/data4", 7),          // the same on a host that uses xfs
            facts("xfs", "/srv/drystone/4", 7), // what a container binds when the host did not mount the drive
            facts("xfs", "/", 41),              // a drive that member 1 already lives on
        ] {
            assert_eq!(
                plan(&root, &present, &empty("/data4", mount.clone()), true, false),
                [],
                "{mount:?}"
            );
        }
    }

    #[test]
    fn without_a_majority_or_at_another_path_only_the_operators_word_adopts() {
        let (root, present) = scene();
        let good = facts("xfs", "/", 99);
        assert_eq!(
            plan(&root, &present[..2], &empty("/data4", good.clone()), false, false),
            []
        );
        assert_eq!(
            plan(&root, &present, &empty("/elsewhere", good.clone()), true, false),
            []
        );
        assert_eq!(plan(&root, &present, &empty("/elsewhere", good), true, true).len(), 1);
    }
}
