//! The targets by name, with the seeds and words that mutation starts from.

pub(crate) mod book;
mod chunked;
mod disk;
mod policy;
mod sealed;
mod second;
mod seeds;
mod signature;
mod wire;

/// One decoder under test.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Panics when the decoder does, or when it says something wrong.
    pub(crate) run: fn(&[u8]),
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces worth putting in.
    pub(crate) words: &'static [&'static [u8]],
}

const fn target(
    name: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
    words: &'static [&'static [u8]],
) -> Target {
    Target {
        name,
        run,
        seeds,
        words,
    }
}

/// CBOR heads that change a shape: long arrays and strings, indefinite lengths, null, break.
const CBOR: &[&[u8]] = &[
    b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x9a\x7f\xff\xff\xff",
    b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x5a\x7f\xff\xff\xff",
    b"\x9f",
    b"\x5f",
    b"\xff",
    b"\xf6",
    b"\x80",
    b"\x81",
    b"\x82\x00",
    b"\x82\x01",
    b"\x82\x02",
    b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xf7",
    b"\xbf",
    b"\xa1",
    b"\xc1",
];
const FRAMES: &[&[u8]] = &[b"DSFR", b"\x01\x01", b"\x01\x02", b"\x01\x03", b"\x02"];
const SLOTS: &[&[u8]] = &[
    b"DSROOT01",
    b"DSCHKPT1",
    b"\x01\x00\x00\x00",
    b"\x9f",
    b"\xff",
    b"\xf6",
    b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
];
const CHUNKS: &[&[u8]] = &[
    b"0\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b";chunk-signature=",
    b"x-amz-checksum-crc32:AAAAAA==\r\n",
    b":",
    b"ffffffffffffffff\r\n",
    b"5\r\n",
    b"a\r\n",
    b"x-amz-trailer-signature:",
    b"00000000000000000",
];
const REQUESTS: &[&[u8]] = &[
    b"%2F",
    b"%2f",
    b"%",
    b"+",
    b" ",
    b"\t",
    b"&",
    b"=",
    b"?",
    b"/../",
    b"//",
    b"\n",
    b": ",
    b",",
    b"x-amz-date: ",
    b"host: ",
    b"x-amz-meta-a: ",
    b"X-Amz-Signature=",
    b"x-amz-signature=",
    b"X-Amz-Expires=0",
    b"X-Amz-Date=",
    b"authorization: ",
    b"SignedHeaders=",
    b"%E2%82%AC",
    b"\xe2\x82\xac",
    b"expect: 100-continue",
    b"x-amz-content-sha256: UNSIGNED-PAYLOAD",
];
const XML: &[&[u8]] = &[
    b"<Object>",
    b"</Object>",
    b"<Key>",
    b"</Key>",
    b"<Quiet>true</Quiet>",
    b"<VersionId>null</VersionId>",
    b"<Delete>",
    b"</Delete>",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"]]>",
    b"&lt;",
    b"&#0;",
    b"&#x1F600;",
    b"&a;",
    b"<!DOCTYPE a [<!ENTITY a \"b\">]>",
    b" xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"",
    b"<Part>",
    b"</Part>",
    b"<PartNumber>1</PartNumber>",
    b"<ETag>",
    b"</ETag>",
    b"/>",
    b"<a b=\"",
    b"<?xml version=\"1.0\"?>",
    b"\xff\xfe",
    b"<ns:Key>",
];
const POLICIES: &[&[u8]] = &[
    b"\"Statement\":",
    b"\"Effect\":\"Deny\",",
    b"\"NotAction\":",
    b"\"NotResource\":",
    b"\"NotPrincipal\":",
    b"\"Condition\":{",
    b"\"ForAllValues:StringNotLike\":{",
    b"\"ForAnyValue:ArnLike\":{",
    b"\"NumericLessThanIfExists\":{",
    b"\"IpAddress\":{\"aws:SourceIp\":\"::/0\"}",
    b"\"BinaryEquals\":{",
    b"\"Null\":{",
    b"${aws:username}",
    b"${aws:username, 'a'}",
    b"${*}",
    b"${",
    b"*?",
    b"**",
    b"arn:aws:s3:::bucket/",
    b"\"AWS\":",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\\u0000",
    b"1e999",
];
const RANGES: &[&[u8]] = &[
    b"bytes=",
    b"-",
    b",",
    b" ",
    b"0",
    b"99",
    b"100",
    b"18446744073709551615",
    b"18446744073709551616",
    b"Bytes",
    b"+",
    b"\t",
];
const DATES: &[&[u8]] = &[
    b" GMT",
    b"Mon, ",
    b"29 Feb ",
    b"2000",
    b"1969",
    b"9999",
    b"23:59:60",
    b"+0000",
    b"-2359",
    b"Jan",
    b"\xe2\x82\xac",
    b"T",
    b"Z",
];
const TOKENS: &[&[u8]] = &[b"MQ", b"MWE", b"MWEv", b"=", b"-", b"_", b"%", b"/", b"a", b"\xff"];
const NAMES: &[&[u8]] = &[
    b"..",
    b".",
    b"-",
    b"xn--",
    b"-s3alias",
    b"192.168.0.1",
    b"minio",
    b"/",
    b"\0",
    b"%2F",
    b"\\",
    b"\xef\xbf\xbf",
    b"\x7f",
    b" ",
    b"+",
];

const SEALED: &[&[u8]] = &[b"\x00", b"\x01", b"\x02", b"\x03", b"\x80", &[0; 16], &[0; 41]];

/// All of them.
pub(crate) static TARGETS: [Target; 17] = [
    target("frame", disk::frame, seeds::frames, FRAMES),
    target("shard_header", disk::shard_header, seeds::shard_headers, CBOR),
    target("log_record", disk::log_record, seeds::log_records, CBOR),
    target("row", disk::row, seeds::rows, CBOR),
    target("checkpoint", disk::checkpoint, seeds::checkpoints, SLOTS),
    target("root_slot", disk::root_slot, seeds::root_slots, SLOTS),
    target("scrub_pass", disk::scrub_pass, seeds::scrub_passes, CBOR),
    target("aws_chunked", chunked::unsigned, seeds::chunked, CHUNKS),
    target("aws_chunked_signed", chunked::signed, seeds::chunked_signed, CHUNKS),
    target("signature", signature::signature, seeds::requests, REQUESTS),
    target("xml_body", wire::xml_body, seeds::xml, XML),
    target("range_header", wire::range_header, seeds::ranges, RANGES),
    target("http_date", wire::http_date, seeds::dates, DATES),
    target("list_token", wire::list_token, seeds::tokens, TOKENS),
    target("policy", policy::policy, seeds::policies, POLICIES),
    target("names", wire::names, seeds::names, NAMES),
    target("sealed_body", sealed::sealed_body, seeds::sealed_bodies, SEALED),
];

/// The target with this name.
pub(crate) fn find(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap()
}
