//! What may be done with the drives of a store. Pure: the root and who is here, in; yes, or why not, out.

use crate::embedded::erasure::{EXTENT_SHARDS_MAX, Geometry};
use crate::embedded::id::DriveId;
use crate::embedded::root::{MEMBERS_MAX, Member, Root};

/// The member that an operator means by its id or by the path where it was last seen.
pub(super) fn named<'a>(root: &'a Root, name: &str) -> Option<&'a Member> {
    let by_id = DriveId::parse(name).and_then(|id| root.member(id));
    let trimmed = name.trim_end_matches('/');
    by_id.or_else(|| {
        root.members
            .iter()
            .find(|member| member.path.trim_end_matches('/') == trimmed)
    })
}

/// Whether the store could take writes with full parity as `root` says, if these drives took part.
fn could_write(root: &Root, present: &[DriveId], what: &str) -> Result<(), String> {
    let well = |id: DriveId| present.contains(&id) && root.member(id).is_some_and(|member| member.state.serves());
    if root.is_writable_with(well) {
        return Ok(());
    }
    let in_now = root
        .members
        .iter()
        .filter(|member| member.state.takes_new() && well(member.id));
    Err(format!(
        "{what}: {} of {} drives would be in for new data, and EC:{} needs {} of them, with no more than {} away. Add a \
         drive first, or bring back one that is away",
        in_now.count(),
        root.members.len(),
        root.parity,
        usize::from(root.parity) + 1,
        root.parity
    ))
}

/// Whether a drive may be drained. The others must be enough for new data while it lasts and when it is gone.
pub(super) fn may_drain(root: &Root, id: DriveId, present: &[DriveId]) -> Result<(), String> {
    let mut draining = root.clone();
    for member in draining.members.iter_mut().filter(|member| member.id == id) {
        member.state = member.state.drained();
    }
    could_write(&draining, present, "The rest would be too few to write to")?;
    may_go(root, id, present)
}

/// Whether the store could go on without a member.
pub(super) fn may_go(root: &Root, id: DriveId, present: &[DriveId]) -> Result<(), String> {
    let mut without = root.clone();
    without.members.retain(|member| member.id != id);
    without.old_members = None;
    could_write(&without, present, "The rest would be too few to write to")
}

/// Whether new data may have this parity.
pub(super) fn may_have_parity(root: &Root, parity: u8, present: &[DriveId]) -> Result<(), String> {
    let mut changed = root.clone();
    changed.parity = parity;
    if Geometry::for_extent(MEMBERS_MAX, parity).is_none() {
        return Err(format!(
            "No large body could be written with EC:{parity}: it has at most {EXTENT_SHARDS_MAX} shards, and one of them must be data"
        ));
    }
    could_write(&changed, present, "That parity does not fit the drives")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::root::MemberState;
    use crate::embedded::root::tests_support::root;

    fn id(n: u8) -> DriveId {
        DriveId::from_bytes([n; 16])
    }

    fn ids(ns: std::ops::RangeInclusive<u8>) -> Vec<DriveId> {
        ns.map(id).collect()
    }

    #[test]
    fn a_drive_is_named_by_id_or_path() {
        let root = root(1, 3);
        assert_eq!(named(&root, "/data2").map(|m| m.id), Some(id(2)));
        assert_eq!(named(&root, "/data2/").map(|m| m.id), Some(id(2)));
        assert_eq!(named(&root, &id(3).to_string()).map(|m| m.id), Some(id(3)));
        assert_eq!(named(&root, "/data"), None);
    }

    #[test]
    fn a_drive_is_drained_only_where_the_rest_is_enough() {
        // EC:2: three must be in.
        assert!(may_drain(&root(1, 5), id(1), &ids(1..=5)).is_ok());
        assert!(may_drain(&root(1, 4), id(1), &ids(1..=4)).is_ok());
        let told = may_drain(&root(1, 3), id(1), &ids(1..=3)).unwrap_err();
        assert!(told.contains("2 of 3") && told.contains("needs 3"), "{told}");
        assert!(may_drain(&root(1, 5), id(1), &ids(1..=4)).is_ok(), "one is away");
        assert!(may_drain(&root(1, 5), id(1), &ids(1..=3)).is_err());
        let mut one = root(1, 5);
        one.members[4].state = MemberState::Draining;
        assert!(may_drain(&one, id(1), &ids(1..=5)).is_ok(), "three are left");
        one.members[3].state = MemberState::Draining;
        assert!(may_drain(&one, id(1), &ids(1..=5)).is_err());
    }

    #[test]
    fn parity_that_no_extent_can_have_is_refused_however_many_drives_there_are() {
        let present = ids(1..=20);
        assert!(may_have_parity(&root(1, 20), 15, &present).is_ok());
        let told = may_have_parity(&root(1, 20), 16, &present).unwrap_err();
        assert!(told.contains("EC:16") && told.contains("16 shards"), "{told}");
    }

    #[test]
    fn parity_fits_the_drives_that_are_in() {
        let present = ids(1..=4);
        assert!(may_have_parity(&root(1, 4), 3, &present).is_ok());
        assert!(may_have_parity(&root(1, 4), 4, &present).is_err());
        assert!(may_have_parity(&root(1, 4), 0, &present).is_ok());
        assert!(may_have_parity(&root(1, 4), 0, &present[..3]).is_err(), "one is away");
    }
}
