//! The targets by name, with the seeds and words that mutation starts from.

pub(crate) mod book;
mod chunked;
mod disk;
mod image;
mod link;
mod media;
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

const LINKS: &[&[u8]] = &[
    b"{}",
    b",",
    b"\"l\":{\"p\":{",
    b"\"p\":{\"n\":\"\",\"o\":\"\"}",
    b"\"x\":-9223372036854775808",
    b"\"m\":18446744073709551616",
    b"\"t\":[",
    b"null",
    b"\\ud800",
    b"DSLKAAAAAAAAAAAAAAAA ",
    b"-_",
];

const FILE_NAMES: &[&[u8]] = &[
    b"..",
    b"/",
    b"\\",
    b"\0",
    b"\r\n",
    b"\"",
    b"%22",
    b";",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
    b"e\xcc\x81",
    b"\xef\xac\x81",
    b"CON",
    b" ",
    b"filename*=",
    b"UTF-8''",
];
const MEDIA_TYPES: &[&[u8]] = &[
    b"image/",
    b"text/html",
    b"/",
    b"*",
    b";",
    b",",
    b"charset=",
    b"\"",
    b" ",
    b"\t",
    b"+xml",
    b"\r\n",
];
const FIRST_BYTES: &[&[u8]] = &[
    b"<html",
    b"<!DOCTYPE ",
    b"<!--",
    b"-->",
    b"<?xml",
    b"?>",
    b"<svg",
    b"[",
    b"]",
    b">",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"<s:svg",
    b" ",
    b"\0",
    b"ftyp",
    b"PK\x03\x04",
    b"%PDF-",
];
const IMAGES: &[&[u8]] = &[
    b"\x89PNG\r\n\x1a\n",
    b"IHDR",
    b"\xff\xd8\xff",
    b"\xff\xc0",
    b"\xff\xe1",
    b"Exif\0\0",
    b"II*\0",
    b"MM\0*",
    b"RIFF",
    b"WEBP",
    b"VP8 ",
    b"VP8L",
    b"VP8X",
    b"GIF89a",
    b"BM",
    b"ftypavif",
    b"ftypheic",
    b"meta",
    b"ispe",
    b"ipma",
    b"iprp",
    b"ipco",
    b"pitm",
    b"irot",
    b"\0\0\x01\0",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\x14",
];

const IMAGE_URLS: &[&[u8]] = &[
    b"/",
    b"x",
    b":",
    b"(",
    b")",
    b"-",
    b"orig",
    b"fit-in/",
    b"filters:",
    b"fill(",
    b"focal(0x0:4294967295x4294967295)",
    b"4096x4096/",
    b"0x0:1x1/",
    b"%2F",
    b"unsafe/",
    b"99999999999999999999",
];

/// All of them.
pub(crate) static TARGETS: [Target; 23] = [
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
    target("link_token", link::link_token, seeds::link_tokens, LINKS),
    target("file_name", media::file_name, seeds::file_names, FILE_NAMES),
    target("media_type", media::media_type, seeds::media_types, MEDIA_TYPES),
    target("first_bytes", media::first_bytes, seeds::first_bytes, FIRST_BYTES),
    target("image_header", media::image_header, seeds::first_bytes, IMAGES),
    target("image_url", image::image_url, image::image_urls, IMAGE_URLS),
];

/// The target with this name.
pub(crate) fn find(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap()
}
