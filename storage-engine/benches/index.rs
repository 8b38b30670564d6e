//! The index and the checkpoint codec: point reads, pages, grouped pages, batches, filling, and merging.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use storage_engine::backend::{GroupedScan, Key};
use storage_engine::embedded::checkpoint::{Decoder, Encoder, LogDelta, Merge, Position};
use storage_engine::embedded::erasure::Geometry;
use storage_engine::embedded::id::{DriveId, SegmentId};
use storage_engine::embedded::index::{Index, IndexOptions, RowView};
use storage_engine::embedded::record::{Body, RowOp, RowRecord, from_cbor, to_cbor};
use storage_engine::embedded::segment::{Piece, Segment, SegmentKind};

const ROWS: u64 = 100_000;

fn key(n: u64) -> Vec<u8> {
    format!("c/bucket/photos/{:03}/{n:08}.jpg", n % 1000).into_bytes()
}

fn segment() -> Segment {
    Segment {
        id: SegmentId::from_bytes([1; 16]),
        kind: SegmentKind::Log,
        geometry: Geometry {
            data: 2,
            parity: 2,
            unit: 131_072,
        },
        drives: (0..4).map(|n| DriveId::from_bytes([n; 16])).collect(),
        full_width: None,
    }
}

/// About what an object's row takes.
fn row(rev: u64) -> RowRecord {
    let pieces = vec![Piece {
        segment: segment().id,
        offset: rev * 4096,
        len: 4096,
    }];
    RowRecord {
        rev,
        value: vec![7; 300].into(),
        body: Some(Body::Direct { len: 4096, pieces }),
        parent_len: None,
    }
}

fn rows() -> Vec<(Vec<u8>, RowRecord)> {
    let mut rows: Vec<_> = (0..ROWS).map(|n| (key(n), row(n))).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

fn load(rows: &[(Vec<u8>, RowRecord)]) -> (tempfile::TempDir, Index) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let index = Index::create(dir.path(), IndexOptions::default()).expect("an index");
    for chunk in rows.chunks(4096) {
        index
            .bulk_load(chunk.iter().map(|(key, row)| (key.as_slice(), row)))
            .expect("rows load");
    }
    (dir, index)
}

fn index(c: &mut Criterion) {
    let rows = rows();
    let mut group = c.benchmark_group("index");
    group.sample_size(10).throughput(Throughput::Elements(ROWS));
    group.bench_function("fill", |b| {
        b.iter_batched(|| (), |()| load(&rows), BatchSize::PerIteration)
    });

    let (_dir, index) = load(&rows);
    group.sample_size(50).throughput(Throughput::Elements(1));
    let mut n = 0;
    group.bench_function("get", |b| {
        b.iter(|| {
            n = (n + 7919) % ROWS;
            index.get_as::<RowView>(&key(n)).expect("readable").expect("present")
        });
    });
    group.bench_function("batch of 64 puts", |b| {
        b.iter(|| {
            let ops: Vec<RowOp> = (0..64)
                .map(|i| {
                    n = (n + 7919) % ROWS;
                    RowOp::Put {
                        key: key(n).into(),
                        row: row(n + i),
                    }
                })
                .collect();
            index.apply(&ops).expect("applied");
        });
    });
    let range = Key::new("c/")..Key::new("c0");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("page of 1000 rows", |b| {
        b.iter(|| index.scan::<RowView>(&range, 1000).expect("readable"))
    });
    let scan = GroupedScan {
        prefix: Key::new("c/bucket/photos/"),
        delimiter: Bytes::from_static(b"/"),
        after: None,
        limit: 1000,
    };
    group.bench_function("page of 1000 groups", |b| {
        b.iter(|| index.scan_grouped::<RowView>(&scan).expect("readable"));
    });
    group.finish();
}

fn codec(c: &mut Criterion) {
    let rows = rows();
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    let cbor = to_cbor(&row(77));
    group.bench_function("encode a row", |b| b.iter(|| to_cbor(black_box(&row(77)))));
    group.bench_function("decode a row", |b| {
        b.iter(|| from_cbor::<RowRecord>("row", black_box(&cbor)))
    });

    group.sample_size(10).throughput(Throughput::Elements(ROWS));
    let mut encoder = Encoder::default();
    rows.iter().for_each(|(key, row)| encoder.row(key, row));
    encoder.end(Position {
        segment: segment().id,
        offset: 0,
        seq: 0,
        epoch: 0,
    });
    let body = encoder.take();
    group.bench_function("decode a checkpoint", |b| {
        b.iter(|| {
            let mut decoder = Decoder::default();
            for chunk in body.chunks(256 * 1024) {
                decoder.push(chunk);
                while let Some(entry) = decoder.next_entry().expect("well formed") {
                    black_box(entry);
                }
            }
            decoder.finish().expect("whole")
        });
    });
    group.bench_function("merge and encode", |b| {
        b.iter(|| {
            let mut delta = LogDelta::default();
            delta.declare(segment());
            let (mut merge, mut encoder) = (Merge::new(delta), Encoder::default());
            for (key, row) in &rows {
                merge
                    .row(key, row, &mut |key, row| encoder.row(key, row))
                    .expect("in order");
                if encoder.pending() > 256 * 1024 {
                    black_box(encoder.take());
                }
            }
            merge
                .finish([], &mut |key, row| encoder.row(key, row))
                .expect("consistent")
        });
    });
    group.finish();
}

criterion_group!(benches, index, codec);
criterion_main!(benches);
