use std::time::Instant;

use super::sight::Sight;
use crate::embedded::erasure::Geometry;
use crate::embedded::id::{DriveId, SegmentId};
use crate::embedded::root::MemberState;
use crate::embedded::segment::{Segment, SegmentKind};
use crate::embedded::table::LiveDelta;
use crate::embedded::{Embedded, OpenOptions};

/// So many segments; in the long form as a store of some hundred tebibytes has them.
fn segments() -> u64 {
    match std::env::var_os("DRYSTONE_LONG_TESTS") {
        Some(_) => 1_000_000,
        None => 20_000,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_through_all_segments_finds_all_work_and_tells_what_it_costs() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        drives: (1..=7).map(|n| dir.path().join(format!("d{n}"))).collect(),
        ..OpenOptions::default()
    };
    let store = Embedded::open(options).await.unwrap();
    let shared = std::sync::Arc::clone(&store.running().unwrap().shared);
    let room = shared.look_at_space(super::SPACE_WITHIN, None).await.unwrap().room;
    // Nobody but this test looks at what it makes up.
    store.close().await;
    let drives: Vec<DriveId> = shared.drives.present().into_iter().map(|on| on.id).collect();
    let geometry = Geometry::for_extent(6, 2).unwrap();
    let id = |n: u64| SegmentId::from_bytes((u128::from(n) | (1 << 100)).to_le_bytes());
    // All of them are on the first six drives; one in a thousand has its first shard on the seventh, too.
    let all = segments();
    for n in 0..all {
        shared.table.declare(Segment {
            id: id(n),
            kind: SegmentKind::Extent,
            geometry,
            drives: drives[..6].to_vec(),
            full_width: None,
        });
    }
    shared
        .table
        .apply(&(0..all).map(|n| (id(n), 4000)).collect::<LiveDelta>());
    for (shard, drive) in (0u8..).zip(&drives[..6]) {
        shared
            .drives
            .get(drive)
            .unwrap()
            .pretend((0..all).map(|n| (id(n), shard)));
    }
    let seventh = shared.drives.get(&drives[6]).unwrap();
    seventh.pretend((0..all).step_by(1000).map(|n| (id(n), 0)));
    let began = Instant::now();
    let looked = Sight::of(&shared).look(&shared, &room);
    eprintln!(
        "{all} segments judged in {} ms, nothing ordered",
        began.elapsed().as_millis()
    );
    assert_eq!(
        looked.work.len() as u64,
        all.div_ceil(1000),
        "those that stand twice, no others"
    );
    assert!(looked.wide.is_empty() && looked.shifts.is_empty() && !looked.log_waits);
    // With a drive drained, and the others to be balanced.
    let drained = drives[1];
    let edit = move |root: &mut crate::embedded::root::Root| {
        root.rebalance = Some(10);
        for member in root.members.iter_mut().filter(|member| member.id == drained) {
            member.state = MemberState::Draining;
        }
    };
    let began = Instant::now();
    let mut sight = Sight::of(&shared);
    sight.pretend(edit);
    let looked = sight.look(&shared, &room);
    eprintln!(
        "{all} segments judged in {} ms, all of them to move",
        began.elapsed().as_millis()
    );
    assert_eq!(looked.left.bytes, all * 1000, "{:?}", looked.left);
    assert!((1000..=4096).contains(&looked.work.len()), "{}", looked.work.len());
    assert!(looked.wide.is_empty(), "seven drives less one are enough");
    drop(store);
}
