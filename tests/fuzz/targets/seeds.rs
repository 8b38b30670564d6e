//! What mutation starts from: pieces of the fixture store, records made here, and requests and documents as clients
//! send them. Inputs that once broke a target are kept in `tests/fuzz/found/<target>/` and come first.

use std::path::Path;

use storage_engine::embedded::checkpoint::{Encoder, Position};
use storage_engine::embedded::erasure::Geometry;
use storage_engine::embedded::frame::ShardHeader;
use storage_engine::embedded::heal::Pass;
use storage_engine::embedded::id::{DriveId, SegmentId, StoreId};
use storage_engine::embedded::record::{Body, LogRecord, RowOp, RowRecord, SegmentBytes, to_cbor};
use storage_engine::embedded::segment::{Piece, Segment, SegmentKind};
use storage_engine::embedded::table::TableEntry;

use super::{book, link, sealed, second, signature};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, found: &mut Vec<Vec<u8>>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(std::fs::read(path).unwrap());
        }
    }
}

/// What once broke this target, then these.
fn with_found(name: &str, seeds: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    files_below(&root().join("tests/fuzz/found").join(name), &mut all);
    all.extend(seeds);
    all
}

/// Every frame of up to 4 KiB in the files of one drive of the fixture.
fn fixture_frames() -> Vec<Vec<u8>> {
    let (mut files, mut frames) = (Vec::new(), Vec::new());
    files_below(
        &root().join("storage-engine/tests/fixtures/v1/data1/.drystone"),
        &mut files,
    );
    for file in files {
        let starts = file
            .windows(4)
            .enumerate()
            .filter(|(_, window)| *window == b"DSFR")
            .map(|(at, _)| at);
        for at in starts {
            let len = 48 + book::number(&file, at + 8, 4).unwrap_or(0) as usize;
            let frame = file.get(at..at + len).filter(|frame| frame.len() <= 4096);
            frames.extend(frame.filter(|frame| book::frame(frame).is_some()).map(<[u8]>::to_vec));
        }
    }
    assert!(frames.len() > 4, "the fixture has no frames");
    frames
}

fn moded(mode: u8, bytes: &[u8]) -> Vec<u8> {
    [&[mode], bytes].concat()
}

pub(super) fn frames() -> Vec<Vec<u8>> {
    let seeds = fixture_frames();
    with_found(
        "frame",
        seeds.iter().flat_map(|frame| [moded(2, frame), moded(3, frame)]),
    )
}

fn segment(number: u8) -> Segment {
    Segment {
        id: SegmentId::from_bytes([number; 16]),
        kind: SegmentKind::Extent,
        geometry: Geometry {
            data: 2,
            parity: 2,
            unit: 131_072,
        },
        drives: (1..=4).map(|drive| DriveId::from_bytes([drive; 16])).collect(),
        full_width: number.is_multiple_of(2).then_some(5),
    }
}

pub(super) fn shard_headers() -> Vec<Vec<u8>> {
    let made = [
        SegmentKind::Log,
        SegmentKind::Extent,
        SegmentKind::Pack,
        SegmentKind::Checkpoint,
    ]
    .map(|kind| {
        let header = ShardHeader {
            format: 1,
            store: StoreId::from_bytes([9; 16]),
            segment: segment(1).id,
            kind,
            shard: 2,
            geometry: segment(1).geometry,
            created_epoch: 1 << 33,
        };
        let mut bytes = header.encode();
        bytes.truncate(48 + book::number(&bytes, 8, 4).unwrap() as usize);
        moded(1, &bytes)
    });
    let of_fixture = fixture_frames()
        .into_iter()
        .filter(|frame| frame[5] == 1)
        .flat_map(|frame| [moded(0, &frame), moded(1, &frame)]);
    with_found("shard_header", made.into_iter().chain(of_fixture))
}

fn made_rows() -> Vec<RowRecord> {
    let piece = Piece {
        segment: segment(1).id,
        offset: 4096,
        len: 300_000,
    };
    let sums = vec![SegmentBytes {
        segment: segment(2).id,
        bytes: 5 << 20,
    }];
    let bodies = [
        None,
        Some(Body::Direct {
            len: 300_000,
            pieces: vec![piece],
        }),
        Some(Body::Joined {
            len: 5 << 20,
            list: vec![piece],
            sums,
        }),
    ];
    let row = |(rev, body): (u64, Option<Body>)| RowRecord {
        rev: rev << 32,
        value: vec![rev as u8; 40].into(),
        parent_len: body.is_none().then_some(7),
        body,
    };
    (1..).zip(bodies).map(row).collect()
}

pub(super) fn rows() -> Vec<Vec<u8>> {
    with_found("row", made_rows().iter().map(to_cbor))
}

pub(super) fn log_records() -> Vec<Vec<u8>> {
    let put = |row: RowRecord| RowOp::Put {
        key: format!("c/bucket/{}", row.rev).into_bytes().into(),
        row,
    };
    let made = LogRecord {
        seq: 5 << 32,
        mark: 8192,
        len: 4096,
        body_at: 1024,
        stripes: vec![100, 131_072],
        segments: vec![segment(1), segment(2)],
        removed: vec![segment(3).id],
        ops: made_rows()
            .into_iter()
            .map(put)
            .chain([RowOp::Delete {
                key: b"c/bucket/x".to_vec().into(),
            }])
            .collect(),
    };
    let of_fixture = fixture_frames()
        .into_iter()
        .filter(|frame| frame[5] == 2)
        .map(|frame| frame[48..].to_vec());
    with_found("log_record", [to_cbor(&made)].into_iter().chain(of_fixture))
}

pub(super) fn checkpoints() -> Vec<Vec<u8>> {
    let position = Position {
        segment: segment(9).id,
        offset: 8192,
        seq: 7,
        epoch: 2,
    };
    // Keys and segments in the order in which they are written; what is out of order must be refused.
    let made = |keys: &[&str], segments: &[u8]| {
        let mut encoder = Encoder::default();
        for (key, row) in keys.iter().zip(made_rows()) {
            encoder.row(key.as_bytes(), &row);
        }
        for number in segments {
            encoder.segment(&TableEntry {
                segment: segment(*number),
                live: 10,
                body_bytes: 30,
            });
        }
        encoder.end(position);
        encoder.take().to_vec()
    };
    let (mut late, good) = (
        made(&["a"], &[1]),
        made(&["b/bucket", "c/bucket", "u/bucket"], &[1, 2, 3]),
    );
    late.extend_from_slice(&good[16..]);
    let bodies = [
        made(&["a", "a"], &[]),
        made(&["b", "a"], &[]),
        made(&[], &[1, 1]),
        made(&[], &[2, 1]),
        made(&[], &[]),
        late,
        good,
    ];
    with_found("checkpoint", bodies.iter().map(|body| moded(7, body)))
}

pub(super) fn root_slots() -> Vec<Vec<u8>> {
    let slots = ["data1/.drystone/root.0", "data3/.drystone/root.1"].map(|slot| {
        let file = std::fs::read(root().join("storage-engine/tests/fixtures/v1").join(slot)).unwrap();
        let len = 24 + book::number(&file, 12, 4).unwrap() as usize;
        file[..len].to_vec()
    });
    with_found(
        "root_slot",
        slots.iter().flat_map(|slot| [moded(0, slot), moded(1, slot)]),
    )
}

pub(super) fn scrub_passes() -> Vec<Vec<u8>> {
    // By hand: began, the last segment, when the last pass ended, whether the drive is in doubt.
    let forms: [&[u8]; 3] = [
        b"\x84\x00\xf6\xf6\xf4",
        b"\x84\x1a\x69\x20\x00\x00\x50aaaaaaaaaaaaaaaa\x1a\x69\x1f\x00\x00\xf5",
        b"\x83\x01\xf6\x02",
    ];
    let whole = Pass::default().encode();
    let behind_header = |form: &&[u8]| moded(1, &[&[0; 12], *form].concat());
    with_found(
        "scrub_pass",
        forms
            .iter()
            .map(behind_header)
            .chain([moded(0, &whole), moded(1, &whole)]),
    )
}

pub(super) fn chunked() -> Vec<Vec<u8>> {
    let trailer = "x-amz-checksum-crc32:AAAAAA==\r\n\r\n";
    let bodies = [
        (0, 5, "5\r\nstone\r\n0\r\n\r\n".to_owned()),
        (1, 5, format!("5\r\nstone\r\n0\r\n{trailer}")),
        (1, 0, format!("0\r\n{trailer}")),
        (0, 5, "0000000000000005\r\nstone\r\n0000000000000000\r\n\r\n".to_owned()),
        (0, 5, "00000000000000005\r\nstone\r\n0\r\n\r\n".to_owned()),
        (
            1,
            16,
            "00A\r\n0123456789\r\n6\r\nabcdef\r\n0\r\nX-Amz-Checksum-CRC32: AAAAAA==\n\r\n".to_owned(),
        ),
    ];
    let seed = |(announced, declared, body): (u8, u8, String)| [&[announced, declared, 3], body.as_bytes()].concat();
    with_found("aws_chunked", bodies.into_iter().map(seed))
}

pub(super) fn chunked_signed() -> Vec<Vec<u8>> {
    let heads: [[u8; 6]; 4] = [
        [0, 5, 3, 0, 0, 0],
        [1, 5, 7, 0, 0, 0],
        [1, 100, 1, 0, 0, 0],
        [0, 1, 200, 0x20, 0, 90],
    ];
    with_found(
        "aws_chunked_signed",
        heads
            .into_iter()
            .map(|head| [&head, b"dry stone walls".as_slice()].concat()),
    )
}

pub(super) fn requests() -> Vec<Vec<u8>> {
    let texts = [
        "GET /\nhost: localhost:9000\n",
        "PUT /bucket/a%20key/%E2%82%AC//x\nhost: localhost\nx-amz-meta-a:  two   words \nx-amz-meta-a: again\ncontent-type: text/plain\n",
        "GET /bucket?list-type=2&prefix=a%2Fb&delimiter=/&empty&max-keys=3\nhost: h\nx-amz-user-agent: sdk\n",
        "DELETE /bucket/k?versionId=null&versionId=x+y\nhost: h\nrange: bytes=0-9\nexpect: 100-continue\n",
    ];
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for text in texts {
        seeds.extend([0, 1, 2].map(|mode| moded(mode, text.as_bytes())));
        let mut signed = signature::parse(text.as_bytes()).unwrap();
        second::sign_headers(&mut signed, "UNSIGNED-PAYLOAD").unwrap();
        let mut presigned = signature::parse(text.as_bytes()).unwrap();
        second::presign(&mut presigned).unwrap();
        seeds.extend([signed, presigned].map(|parts| moded(3, &signature::text_of(&parts))));
    }
    with_found("signature", seeds)
}

pub(super) fn xml() -> Vec<Vec<u8>> {
    let etag = "7acedd1a84a4cfcb6e7a16003242945e";
    let texts = [
        (0, "<Delete><Object><Key>a</Key></Object><Object><Key>d&amp;e</Key></Object></Delete>".to_owned()),
        (0, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>\n  <Object><Key><![CDATA[b/c]]></Key><VersionId>null</VersionId></Object></Delete>".to_owned()),
        (0, "<Delete><Object><Key> f </Key></Object><Object><Key>a</Key><ETag>\"none\"</ETag></Object></Delete>".to_owned()),
        (0, "<Delete><Object><Key> f </Key><ETag>\"x\"</ETag></Object><!-- <Object><Key>a</Key></Object> --></Delete>".to_owned()),
        (1, format!("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"{etag}\"</ETag></Part></CompleteMultipartUpload>")),
        (1, format!("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part><ETag>&quot;{etag}&quot;</ETag><PartNumber>1</PartNumber><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>")),
        (2, "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>".to_owned()),
        (2, String::new()),
    ];
    with_found("xml_body", texts.map(|(route, text)| moded(route, text.as_bytes())))
}

fn plain(name: &str, texts: &[&str]) -> Vec<Vec<u8>> {
    with_found(name, texts.iter().map(|text| text.as_bytes().to_vec()))
}

pub(super) fn ranges() -> Vec<Vec<u8>> {
    plain(
        "range_header",
        &[
            "bytes=0-0",
            "bytes=5-",
            "bytes=-7",
            "bytes=99-200",
            "bytes=0-9,20-29",
            "bytes=9-5",
            "bytes=100-",
        ],
    )
}

pub(super) fn dates() -> Vec<Vec<u8>> {
    const WRITTEN: u64 = 1_700_000_000;
    let seconds = [
        0,
        68_169_600,
        951_782_400,
        WRITTEN - 1,
        WRITTEN,
        WRITTEN + 1,
        253_402_300_799,
    ];
    let numbers = seconds.map(|second: u64| [b"@", &second.to_le_bytes()[..5]].concat());
    let texts = [
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "Tuesday, 14-Nov-23 22:13:20 GMT",
        "Tue Nov 14 22:13:20 2023",
        "14 Nov 2023 22:13:20 +0100",
    ];
    let texts = texts.map(|text| text.as_bytes().to_vec());
    with_found("http_date", numbers.into_iter().chain(texts))
}

pub(super) fn tokens() -> Vec<Vec<u8>> {
    let texts = ["MWE", "MWEv", "MWEvYg", "Mf", "a", "a/", "\u{ffff}", ""];
    with_found(
        "list_token",
        (0..9).flat_map(|mode| texts.map(|text| moded(mode, text.as_bytes()))),
    )
}

pub(super) fn names() -> Vec<Vec<u8>> {
    plain(
        "names",
        &[
            "bucket",
            "my.bucket-1",
            "a/b//c",
            "..",
            ".",
            "192.168.0.1",
            "a b+c%20",
            "\u{1}\u{ffff}",
            "xn--a",
            "ü",
            "abc-s3alias",
        ],
    )
}

pub(super) fn policies() -> Vec<Vec<u8>> {
    let canned = drystone::policy::canned::ALL.iter().map(|canned| canned.document);
    let own = [
        r#"{"Version":"2012-10-17","Id":"i","Statement":{"Sid":"s","Effect":"Allow","Principal":{"AWS":["*","000000000000"]},"Action":["s3:Get*"],"Resource":"arn:aws:s3:::bucket/${aws:username}/*","Condition":{"StringLike":{"s3:prefix":["a*","?"]},"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}}"#,
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","NotPrincipal":{"CanonicalUser":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},"NotAction":"s3:GetObject","NotResource":"arn:aws:s3:::bucket/a","Condition":{"ForAllValues:StringEquals":{"aws:groups":"a"},"DateLessThan":{"aws:CurrentTime":"2026-01-01"},"Null":{"jwt:sub":true}}}]}"#,
    ];
    with_found("policy", canned.chain(own).map(|text| text.as_bytes().to_vec()))
}

pub(super) fn sealed_bodies() -> Vec<Vec<u8>> {
    let texts = [
        &b""[..],
        b"\x01",
        b"\x02{\"status\":\"enabled\"}",
        &[b'a'; 16_384],
        &[b'b'; 16_400],
    ];
    let read = texts.map(|text| [&[0], sealed::sealed(text).as_slice()].concat());
    let made = texts.map(|text| [&[1], text].concat());
    with_found("sealed_body", read.into_iter().chain(made))
}

pub(super) fn link_tokens() -> Vec<Vec<u8>> {
    let texts = link::texts();
    let read = texts.iter().map(|text| [&[0], text.as_slice()].concat());
    let opened = texts.iter().map(|text| {
        let (access_key, token) = link::token(text);
        format!("\u{1}{access_key} {token}").into_bytes()
    });
    let made = texts.iter().map(|text| [&[2], text.as_slice()].concat());
    with_found("link_token", read.chain(opened).chain(made))
}

pub(super) fn file_names() -> Vec<Vec<u8>> {
    plain(
        "file_name",
        &[
            "photo.png",
            "my photo (1).png",
            "cafe\u{301}.txt",
            "Фото.jpg",
            "../a",
            "a\\b",
            "a\u{202e}gpj.exe",
            ".",
            "a\"; x=\"b",
        ],
    )
}

pub(super) fn media_types() -> Vec<Vec<u8>> {
    plain(
        "media_type",
        &[
            "image/png",
            "Text/HTML; charset=utf-8",
            "image/svg+xml",
            "image/*",
            "a/b,c/d",
            "video/mp4; codecs=\"avc1\"",
        ],
    )
}

pub(super) fn first_bytes() -> Vec<Vec<u8>> {
    let binary: [&[u8]; 8] = [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06\0\0\0",
        b"\xff\xd8\xff\xe1\0\x10Exif\0\0II*\0\x08\0\0\0\xff\xc0\0\x11\x08\0\x10\0\x20\x03\x01\x22\0\x02\x11\x01\x03\x11\x01",
        b"GIF89a\x0a\0\x14\0\0\0\0",
        b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x0f\0\0\x0f\0\0",
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf\0\0\0\x20meta\0\0\0\0\0\0\0\x14iprp\0\0\0\x0cipco",
        b"II*\0\x08\0\0\0\x02\0\0\x01\x03\0\x01\0\0\0\x05\0\0\0\x01\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
        b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x02\0\0\0",
        b"\xff\xfe<\0s\0v\0g\0>\0",
    ];
    let mut seeds = plain(
        "first_bytes",
        &[
            "<!DOCTYPE html><p>",
            "<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a \"b\">]><svg>",
            "<!-- a --><svg/>",
            "words",
            "%PDF-1.7",
        ],
    );
    seeds.extend(binary.iter().map(|bytes| bytes.to_vec()));
    seeds
}
