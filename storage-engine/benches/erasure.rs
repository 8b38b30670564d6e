//! Throughput of the erasure code and of frames, in bytes of data.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use storage_engine::embedded::erasure::{Codec, Geometry};
use storage_engine::embedded::frame::{FrameKind, FramePlace, encode_header, payload_crc, verify};
use storage_engine::embedded::id::SegmentId;

const GEOMETRIES: [Geometry; 4] = [
    Geometry {
        data: 2,
        parity: 1,
        unit: 128 * 1024,
    },
    Geometry {
        data: 2,
        parity: 2,
        unit: 128 * 1024,
    },
    Geometry {
        data: 4,
        parity: 2,
        unit: 64 * 1024,
    },
    Geometry {
        data: 12,
        parity: 4,
        unit: 64 * 1024,
    },
];

fn bytes_of(len: usize) -> Bytes {
    (0..len).map(|i| (i * 131 % 256) as u8).collect()
}

fn stripes(c: &mut Criterion) {
    for geometry in GEOMETRIES {
        let name = format!("{}+{}", geometry.data, geometry.parity);
        let Ok(codec) = Codec::new(geometry) else { continue };
        let data = bytes_of(geometry.stripe_bytes_max());
        let Ok(shards) = codec.encode_stripe(&data) else {
            continue;
        };
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(data.len() as u64));
        group.bench_function("encode with checksums", |b| {
            b.iter(|| codec.encode_stripe(black_box(&data)))
        });
        let lost_first = |lost: usize| -> Vec<Option<Bytes>> {
            let all = shards.iter().enumerate();
            all.map(|(i, s)| (i >= lost).then(|| s.payload.clone())).collect()
        };
        for lost in [1, usize::from(geometry.parity)] {
            let kept = lost_first(lost);
            group.bench_function(format!("rebuild data with {lost} lost"), |b| {
                b.iter(|| codec.rebuild_data(data.len(), black_box(kept.clone())));
            });
        }
        group.finish();
    }
}

fn frames(c: &mut Criterion) {
    let place = FramePlace {
        segment: SegmentId::from_bytes([7; 16]),
        shard: 1,
        offset: 4096,
    };
    for len in [2 * 1024, 64 * 1024, 128 * 1024] {
        let payload = bytes_of(len);
        let header = encode_header(FrameKind::Stripe, &place, len as u32, payload_crc(&payload), len as u32);
        let frame = [header.as_slice(), &payload].concat();
        let mut group = c.benchmark_group("frame");
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("verify {len} bytes"), |b| {
            b.iter(|| verify(&place, black_box(&frame)).is_ok())
        });
        group.finish();
    }
}

criterion_group!(benches, stripes, frames);
criterion_main!(benches);
