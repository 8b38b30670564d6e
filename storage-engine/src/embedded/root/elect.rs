//! Which of the roots that were read speaks for the store, and what may be done with it. Pure.

use std::collections::BTreeMap;

use super::state::{Root, RootSlot};
use crate::embedded::id::{DriveId, StoreId};

/// The root to go on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    pub root: Root,
    /// More than half of the members (of both tables) are present: the root may be changed.
    pub majority: bool,
}

/// Why no root could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no drive holds a readable root")]
    NoRoot,
    #[error("drives of different stores were given together: {}", list(.0))]
    TwoStores(Vec<StoreId>),
    #[error("{present} of {members} drives are present, at least half are needed; missing: {}", .missing.join(", "))]
    TooFew {
        present: usize,
        members: usize,
        missing: Vec<String>,
    },
    #[error("none of the drives that hold the newest writes is present; missing: {}", .missing.join(", "))]
    LogMissing { missing: Vec<String> },
}

fn list(stores: &[StoreId]) -> String {
    stores.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Chooses the newest root among the drives that are present, each given with its newest readable slot.
///
/// The newest root decides alone who is a member: a drive that it calls gone, or does not name, is not counted.
pub fn elect(slots: &[RootSlot]) -> Result<Election, Refusal> {
    let newest = slots.iter().max_by_key(|slot| slot.root.age()).ok_or(Refusal::NoRoot)?;
    let stores: BTreeMap<StoreId, ()> = slots.iter().map(|slot| (slot.root.store, ())).collect();
    if stores.len() > 1 {
        return Err(Refusal::TwoStores(stores.into_keys().collect()));
    }
    let root = newest.root.clone();
    let present = |id: DriveId| slots.iter().any(|slot| slot.drive == id);
    let missing = || -> Vec<String> {
        root.members
            .iter()
            .filter(|m| !present(m.id))
            .map(|m| format!("{} ({})", m.path, m.id))
            .collect()
    };
    if !root.has_half(present) {
        let count = root.members.iter().filter(|m| present(m.id)).count();
        return Err(Refusal::TooFew {
            present: count,
            members: root.members.len(),
            missing: missing(),
        });
    }
    if let Some(open) = root.open_log()
        && !open.segment.drives.iter().any(|id| present(*id))
    {
        return Err(Refusal::LogMissing { missing: missing() });
    }
    Ok(Election {
        majority: root.has_majority(present),
        root,
    })
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::{member, root};
    use super::*;

    fn slot(drive: u8, root: Root) -> RootSlot {
        RootSlot {
            drive: DriveId::from_bytes([drive; 16]),
            root,
        }
    }

    #[test]
    fn the_newest_root_among_half_of_the_members_is_taken() {
        let old = root(5, 4);
        let new = root(6, 4);
        let chosen = elect(&[slot(1, old.clone()), slot(2, new.clone())]).unwrap();
        assert_eq!(
            chosen,
            Election {
                root: new,
                majority: false
            }
        );
        assert!(
            elect(&[slot(1, old.clone()), slot(2, old.clone()), slot(3, old.clone())])
                .unwrap()
                .majority
        );
        assert!(matches!(
            elect(&[slot(1, old)]),
            Err(Refusal::TooFew {
                present: 1,
                members: 4,
                ..
            })
        ));
    }

    #[test]
    fn a_gone_drive_does_not_count_even_if_it_holds_a_root() {
        let mut new = root(9, 4);
        new.members.retain(|m| m.id != DriveId::from_bytes([4; 16]));
        new.members.push(member(5));
        new.gone.push(DriveId::from_bytes([4; 16]));
        let stale = root(5, 4);
        // Drive 4 (gone) and one member: one of four counts.
        assert!(matches!(
            elect(&[slot(1, new), slot(4, stale)]),
            Err(Refusal::TooFew {
                present: 1,
                members: 4,
                ..
            })
        ));
    }

    #[test]
    fn a_minority_root_from_a_membership_change_needs_half_of_both_tables() {
        let mut change = root(9, 4);
        change.old_members = Some(change.members.clone());
        change.members = vec![member(1), member(2), member(5), member(6)];
        let stale = root(8, 4);
        // 1 holds the change; 3 and 4 are of the old table only: half of the new one is not there.
        assert!(matches!(
            elect(&[slot(1, change.clone()), slot(3, stale.clone()), slot(4, stale.clone())]),
            Err(Refusal::TooFew { .. })
        ));
        // 1 and 2 are half of both, but a majority of neither.
        let chosen = elect(&[slot(1, change.clone()), slot(2, stale.clone())]).unwrap();
        assert!(!chosen.majority && chosen.root == change);
        // A majority of the old table alone is no majority.
        let chosen = elect(&[slot(1, change.clone()), slot(2, stale.clone()), slot(3, stale.clone())]).unwrap();
        assert!(!chosen.majority);
        let all = [
            slot(1, change.clone()),
            slot(2, stale.clone()),
            slot(3, stale),
            slot(5, change),
        ];
        assert!(elect(&all).unwrap().majority);
    }

    #[test]
    fn drives_of_two_stores_are_refused() {
        let mut other = root(50, 4);
        other.store = StoreId::from_bytes([8; 16]);
        assert!(matches!(
            elect(&[slot(1, root(5, 4)), slot(2, other)]),
            Err(Refusal::TwoStores(_))
        ));
        assert_eq!(elect(&[]), Err(Refusal::NoRoot));
    }
}
