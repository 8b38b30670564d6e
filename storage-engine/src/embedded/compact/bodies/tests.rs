use parking_lot::Mutex;

use super::*;
use crate::embedded::drive::Drive;
use crate::embedded::erasure::{Codec, Codecs, Geometry};
use crate::embedded::id::{DriveId, StoreId};
use crate::embedded::index::IndexOptions;
use crate::embedded::record::RowOp;
use crate::embedded::segment::{Damage, DamageSink, Drives, NewSegment, SegmentKind};
use crate::embedded::table::{SegmentTable, live_delta};

struct Quiet;

impl DamageSink for Quiet {
    fn damaged(&self, _: Damage) {}
    fn late(&self, _: DriveId) {}
}

/// A store of three drives without a log: commits go to the index and the table at once.
struct Yard {
    _dir: tempfile::TempDir,
    drives: Arc<Drives>,
    reader: SegmentReader,
    index: Index,
    table: SegmentTable,
    /// A change that comes between the copying and the commit.
    meanwhile: Mutex<Vec<RowOp>>,
    commits: Mutex<usize>,
}

impl Yard {
    fn new() -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let drives = Arc::new(Drives::default());
        for n in 0..3 {
            let path = dir.path().join(format!("d{n}"));
            std::fs::create_dir(&path).unwrap();
            drives.insert(
                DriveId::from_bytes([n; 16]),
                Arc::new(Drive::open(&path, true).unwrap()),
            );
        }
        let reader = SegmentReader::new(drives.clone(), Arc::new(Codecs::default()), Arc::new(Quiet));
        let index = Index::create(&dir.path().join("index"), IndexOptions::default()).unwrap();
        let (table, meanwhile, commits) = (SegmentTable::default(), Mutex::default(), Mutex::default());
        Arc::new(Self {
            _dir: dir,
            drives,
            reader,
            index,
            table,
            meanwhile,
            commits,
        })
    }

    async fn writer(&self) -> SegmentWriter {
        let codec = Codec::new(Geometry {
            data: 2,
            parity: 1,
            unit: 1024,
        })
        .unwrap();
        let new = NewSegment {
            kind: SegmentKind::Pack,
            store: StoreId::from_bytes([9; 16]),
            epoch: 1,
            full_width: None,
        };
        SegmentWriter::create(codec, self.drives.present(), new).await.unwrap()
    }

    /// A segment with these bodies.
    async fn store(&self, bodies: &[Vec<u8>]) -> (SegmentId, Vec<Piece>) {
        let mut writer = self.writer().await;
        let mut pieces = Vec::new();
        for body in bodies {
            writer.begin_body().unwrap();
            writer.write(Bytes::copy_from_slice(body)).await.unwrap();
            pieces.push(writer.end_body().await.unwrap());
        }
        let segment = writer.finish().await.unwrap().keep();
        self.table.declare(segment.clone());
        (segment.id, pieces)
    }

    fn commit(&self, ops: &[RowOp]) {
        self.table.apply(&live_delta(&self.index, ops).unwrap());
        self.index.apply(ops).unwrap();
    }

    /// The bytes a row leads to.
    async fn read(&self, key: &str) -> Vec<u8> {
        match self.index.get(key.as_bytes()).unwrap().unwrap().body.unwrap() {
            Body::Direct { pieces, .. } => read_pieces(self, &pieces).await.unwrap().to_vec(),
            Body::Joined { list, .. } => {
                let list = read_pieces(self, &list).await.unwrap();
                let parts: PartList = from_cbor("part list", &list).unwrap();
                read_pieces(self, &parts.pieces).await.unwrap().to_vec()
            }
        }
    }
}

#[async_trait::async_trait]
impl CompactStore for Yard {
    fn index(&self) -> &Index {
        &self.index
    }

    fn reader(&self) -> &SegmentReader {
        &self.reader
    }

    fn pin(&self, id: SegmentId) -> Option<(Segment, Pin)> {
        self.table.pin(id)
    }

    async fn new_pack(&self) -> Result<SegmentWriter, CompactError> {
        Ok(self.writer().await)
    }

    async fn commit_repoint(&self, moves: Vec<Repoint>, packs: Vec<StagedSegment>) -> Result<(), CompactError> {
        self.commit(&std::mem::take(&mut *self.meanwhile.lock()));
        *self.commits.lock() += 1;
        packs.into_iter().for_each(|pack| self.table.declare(pack.keep()));
        let unchanged = |m: &Repoint| self.index.get(m.key.as_bytes()).unwrap().as_ref() == Some(&m.old);
        let ops: Vec<_> = moves
            .into_iter()
            .filter(unchanged)
            .map(|m| put(m.key.as_bytes(), m.new))
            .collect();
        self.commit(&ops);
        Ok(())
    }
}

fn put(key: &[u8], row: RowRecord) -> RowOp {
    RowOp::Put {
        key: key.to_vec().into(),
        row,
    }
}

fn row(rev: u64, body: Option<Body>) -> RowRecord {
    RowRecord {
        rev,
        value: b"value".to_vec().into(),
        body,
        parent_len: None,
    }
}

fn direct(pieces: &[Piece]) -> Option<Body> {
    Some(Body::Direct {
        len: pieces.iter().map(|p| p.len).sum(),
        pieces: pieces.to_vec(),
    })
}

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 251).unwrap() ^ seed).collect()
}

#[tokio::test]
async fn live_bodies_leave_the_victims_byte_for_byte_and_their_rows_keep_all_else() {
    let yard = Yard::new();
    let bodies: Vec<_> = [(1, 100), (2, 5000), (3, 4096), (4, 1)]
        .map(|(seed, len)| bytes(seed, len))
        .into();
    let (victim, old) = yard.store(&bodies).await;
    let (keeper, kept) = yard.store(&[bytes(9, 3000)]).await;
    let parts = PartList {
        pieces: vec![kept[0], old[1]],
    };
    let (lists, list) = yard.store(&[to_cbor(&parts)]).await;
    let sums = [(keeper, 3000), (victim, 5000)].map(|(segment, bytes)| SegmentBytes { segment, bytes });
    let joined = Body::Joined {
        len: 8000,
        list,
        sums: sums.to_vec(),
    };
    yard.commit(&[
        put(b"c/a", row(1, direct(&[old[0], old[3]]))),
        put(b"c/b", row(2, None)),
        put(b"c/joined", row(3, Some(joined))),
        put(b"c/stays", row(4, direct(&[kept[0]]))),
    ]);
    let stays = yard.index.get(b"c/stays").unwrap();
    assert_eq!(yard.table.live(victim), Some(5101));

    assert_eq!(compact(&yard, BTreeSet::from([victim])).await.unwrap(), 2);

    assert_eq!(yard.table.live(victim), Some(0));
    assert_eq!((yard.table.live(keeper), yard.table.live(lists)), (Some(6000), Some(0)));
    assert_eq!(yard.read("c/a").await, [bodies[0].clone(), bodies[3].clone()].concat());
    assert_eq!(
        yard.read("c/joined").await,
        [bytes(9, 3000), bodies[1].clone()].concat()
    );
    assert_eq!(yard.index.get(b"c/stays").unwrap(), stays);
    let moved = yard.index.get(b"c/joined").unwrap().unwrap();
    assert_eq!((moved.rev, moved.body.map(|b| b.len())), (3, Some(8000)));
    assert_eq!(compact(&yard, BTreeSet::from([victim])).await.unwrap(), 0);
    assert_eq!(*yard.commits.lock(), 1, "nothing to move makes no pack");
}

#[tokio::test]
async fn a_row_that_changed_meanwhile_is_left_alone() {
    let yard = Yard::new();
    let (victim, old) = yard.store(&[bytes(1, 10), bytes(2, 20)]).await;
    let (_, new) = yard.store(&[bytes(3, 30)]).await;
    yard.commit(&[
        put(b"c/changed", row(1, direct(&[old[0]]))),
        put(b"c/deleted", row(1, direct(&[old[1]]))),
    ]);
    let delete = RowOp::Delete {
        key: b"c/deleted".to_vec().into(),
    };
    *yard.meanwhile.lock() = vec![put(b"c/changed", row(2, direct(&[new[0]]))), delete];
    compact(&yard, BTreeSet::from([victim])).await.unwrap();
    assert_eq!(yard.read("c/changed").await, bytes(3, 30));
    assert_eq!(yard.index.get(b"c/deleted").unwrap(), None);
    assert_eq!(yard.table.live(victim), Some(0));
}

#[tokio::test]
async fn a_body_that_cannot_be_read_stays_and_keeps_its_segment_alive() {
    let yard = Yard::new();
    let (victim, old) = yard.store(&[bytes(1, 10), bytes(2, 20)]).await;
    let lost = Piece {
        offset: 1 << 40,
        ..old[0]
    };
    let unreadable = row(1, direct(&[lost]));
    yard.commit(&[
        put(b"c/lost", unreadable.clone()),
        put(b"c/whole", row(1, direct(&[old[1]]))),
    ]);
    assert_eq!(compact(&yard, BTreeSet::from([victim])).await.unwrap(), 1);
    assert_eq!(yard.index.get(b"c/lost").unwrap(), Some(unreadable));
    assert_eq!(yard.table.live(victim), Some(10));
    assert_eq!(yard.read("c/whole").await, bytes(2, 20));
}

#[tokio::test]
async fn a_long_round_is_committed_in_portions() {
    let yard = Yard::new();
    let bodies: Vec<_> = (0..2500_u32).map(|n| n.to_le_bytes().to_vec()).collect();
    let (victim, old) = yard.store(&bodies).await;
    let ops: Vec<_> = old
        .iter()
        .enumerate()
        .map(|(n, piece)| put(format!("c/{n:05}").as_bytes(), row(1, direct(&[*piece]))))
        .collect();
    yard.commit(&ops);
    assert_eq!(compact(&yard, BTreeSet::from([victim])).await.unwrap(), 2500);
    assert_eq!((*yard.commits.lock(), yard.table.live(victim)), (3, Some(0)));
    assert_eq!(yard.read("c/02345").await, bodies[2345]);
}

#[tokio::test]
async fn a_large_body_is_spread_over_packs_and_re_pointed_in_one_record() {
    let yard = Yard::new();
    let parts = [bytes(1, 40_000), bytes(2, 40_000), bytes(3, 40_000)];
    let (mut victims, mut pieces) = (BTreeSet::new(), Vec::new());
    for part in &parts {
        let (id, stored) = yard.store(std::slice::from_ref(part)).await;
        victims.insert(id);
        pieces.extend(stored);
    }
    yard.commit(&[put(b"large", row(1, direct(&pieces)))]);
    assert_eq!(compact(&yard, victims.clone()).await.unwrap(), 1);
    assert_eq!(*yard.commits.lock(), 1);
    assert_eq!(yard.read("large").await, parts.concat());
    let body = yard.index.get(b"large").unwrap().unwrap().body.unwrap();
    let packs: BTreeSet<SegmentId> = body.live_bytes().map(|live| live.segment).collect();
    assert_eq!(packs.len(), 2, "none is larger than it may be by more than a piece");
    assert!(packs.is_disjoint(&victims));
    assert!(victims.iter().all(|id| yard.table.live(*id) == Some(0)));
}
