//! The keys of all rows of the store, on one screen.
//!
//! ```text
//! b/<bucket>                                    bucket record
//! g/<bucket>                                    gate: stands while the bucket takes new objects and uploads
//! s/<bucket>                                    settings of the bucket: policy, tags, CORS and their like; absent: none
//! c/<bucket> 00 <key>                           current visible version of a key: object record, owns the body
//! v/<bucket> 00 <key> 00 <newest first>         noncurrent versions: of files, what is in the trash or was replaced
//! u/<bucket> 00 <key> 00 <upload, 16 bytes>     multipart upload
//!   … <part, 2 bytes big-endian>                its parts, children of the upload's row; 0xFFFF: the joined part table
//! t/<bucket> 00 <upload, 16 bytes> 00           resumable upload
//! t/<bucket> 00 <upload, 16 bytes> 01           its pile; stands until the upload is finished
//!   … <part, 4 bytes big-endian>                its parts, children of the pile's row
//! e/<bucket> 00 q <event, 16 bytes>             event of the catalogue that nobody was told of yet
//! e/<bucket> 00 w <listener> <event>            delivery of an event that waits; 16 bytes each
//! e/<bucket> 00 l <listener> <event>            delivery that has ended
//! i/                                            directory head: put by every change of a row of i/, its revision is theirs
//! i/g/<group>                                   group
//! i/k/<access key>                              further access key of an account
//! i/o/<role>                                    role, with the policies that are its own
//! i/p/<policy>                                  named policy
//! i/r/<account>                                 until when temporary credentials of an account are revoked
//! i/s                                           sealed key of the secrets
//! i/u/<user>                                    user, with the groups and policies that are theirs
//! f/<bucket> 00 r <file, 16 bytes>              file of the catalogue of a bucket; ids sort by the time they were made
//! f/<bucket> 00 k <key>                         the id of the file that has this key
//! f/<bucket> 01                                 which rows a file is found by; see `files/rebuild.rs`
//! f/<bucket> 00 v <file> <newest first>         what a file was; its bytes are the noncurrent version of the same name
//! f/<bucket> 00 x <facet> <value> 00 <sort> …   a file found by what it is: see [`file_index`]; nothing but the key counts
//! l/<end, 8 bytes big-endian><id, 16 bytes>     counter: how many uses are left of what was given out
//! o/                                            the server's settings that an operator stored
//! o/h/<number, 8 bytes big-endian>              what was stored until a change of them
//! p/                                            projects' head: put by every change of a row of p/, its revision is theirs
//! p/e/<project>/<environment>                   environment of a project
//! p/i/<project>/<alias>                         issuer of the tokens of a project's users
//! p/u/<project>/<environment>/<alias>|<subject> what is set for one user of an environment
//! p/k/<id>                                      key of a project
//! p/p/<project>                                 project
//! ```
//! Bucket names and object keys hold no NUL, so rows sort as S3 sorts keys, whatever follows the key.

use crate::backend::Key;
use crate::store::name::{BucketName, ObjectKey, PartNumber, UploadId};

const BUCKET: &[u8] = b"b/";
const GATE: &[u8] = b"g/";
const SETTINGS: &[u8] = b"s/";
const CURRENT: &[u8] = b"c/";
const VERSION: &[u8] = b"v/";
const UPLOAD: &[u8] = b"u/";
const RESUMABLE: &[u8] = b"t/";
const RESUMABLE_RECORD: &[u8] = b"\0";
const RESUMABLE_PILE: &[u8] = b"\x01";
const CATALOGUE: &[u8] = b"f/";
const OUTBOX: &[u8] = b"e/";
const IDENTITY: &[u8] = b"i/";
const SERVER_SETTINGS: &[u8] = b"o/";
const SETTINGS_HISTORY: &[u8] = b"o/h/";
const PROJECTS: &[u8] = b"p/";
const COUNTER: &[u8] = b"l/";
const END: &[u8] = b"\0";
const UPLOAD_ID_BYTES: usize = 16;
const PART_TABLE: u16 = u16::MAX;

fn join(pieces: &[&[u8]]) -> Key {
    Key::new(pieces.concat())
}

pub fn bucket(bucket: &BucketName) -> Key {
    join(&[BUCKET, bucket.as_str().as_bytes()])
}

/// Beginning of the rows of all buckets whose names start with `prefix`.
pub fn buckets(prefix: &str) -> Key {
    join(&[BUCKET, prefix.as_bytes()])
}

pub fn gate(bucket: &BucketName) -> Key {
    join(&[GATE, bucket.as_str().as_bytes()])
}

pub fn settings(bucket: &BucketName) -> Key {
    join(&[SETTINGS, bucket.as_str().as_bytes()])
}

pub fn current(bucket: &BucketName, key: &ObjectKey) -> Key {
    currents(bucket, key.as_str())
}

/// Beginning of the rows of all objects whose keys start with `prefix`; also where a listing after this text begins.
pub fn currents(bucket: &BucketName, prefix: &str) -> Key {
    join(&[CURRENT, bucket.as_str().as_bytes(), END, prefix.as_bytes()])
}

/// Beginning of the rows of all noncurrent versions of a bucket.
pub fn versions(bucket: &BucketName) -> Key {
    join(&[VERSION, bucket.as_str().as_bytes(), END])
}

pub fn upload(bucket: &BucketName, key: &ObjectKey, upload: &UploadId) -> Key {
    join(&[
        UPLOAD,
        bucket.as_str().as_bytes(),
        END,
        key.as_str().as_bytes(),
        END,
        upload.as_bytes(),
    ])
}

/// Beginning of the rows of all uploads to keys that start with `prefix`.
pub fn uploads(bucket: &BucketName, prefix: &str) -> Key {
    join(&[UPLOAD, bucket.as_str().as_bytes(), END, prefix.as_bytes()])
}

/// Beginning of the rows of all uploads to exactly this key.
pub fn uploads_of(bucket: &BucketName, key: &str) -> Key {
    join(&[UPLOAD, bucket.as_str().as_bytes(), END, key.as_bytes(), END])
}

/// A part's row; its parent is the row with the upload's key.
pub fn part(upload: &Key, number: PartNumber) -> Key {
    join(&[upload.as_bytes(), &number.get().to_be_bytes()])
}

/// The row that holds a large part table until it is joined to the object's body; also the end of the part rows.
pub fn part_table(upload: &Key) -> Key {
    join(&[upload.as_bytes(), &PART_TABLE.to_be_bytes()])
}

/// The bucket whose record a row is; `None` for other rows.
pub fn parse_bucket(row: &Key) -> Option<&str> {
    std::str::from_utf8(row.as_bytes().strip_prefix(BUCKET)?).ok()
}

/// Bucket and key whose current version a row is; `None` for other rows.
pub fn parse_current(row: &Key) -> Option<(&str, &str)> {
    let rest = std::str::from_utf8(row.as_bytes().strip_prefix(CURRENT)?).ok()?;
    rest.split_once('\0')
}

/// Everything of the store's uploads, in whatever bucket.
pub fn all_uploads() -> Key {
    Key::new(UPLOAD)
}

/// The row of a resumable upload.
pub fn resumable(bucket: &BucketName, upload: &UploadId) -> Key {
    join(&[resumables(bucket).as_bytes(), upload.as_bytes(), RESUMABLE_RECORD])
}

/// The row that the parts of a resumable upload depend on.
pub fn pile(bucket: &BucketName, upload: &UploadId) -> Key {
    join(&[resumables(bucket).as_bytes(), upload.as_bytes(), RESUMABLE_PILE])
}

/// A part's row; its parent is the pile's.
pub fn pile_part(pile: &Key, number: u32) -> Key {
    join(&[pile.as_bytes(), &number.to_be_bytes()])
}

/// Beginning of all rows of a bucket's resumable uploads.
pub fn resumables(bucket: &BucketName) -> Key {
    join(&[RESUMABLE, bucket.as_str().as_bytes(), END])
}

/// Everything of the store's resumable uploads, in whatever bucket.
pub fn all_resumables() -> Key {
    Key::new(RESUMABLE)
}

/// A row of `t/`, read back.
#[derive(Debug, PartialEq, Eq)]
pub struct ResumableRow<'k> {
    pub bucket: &'k str,
    pub upload: UploadId,
    pub kind: ResumableKind,
    /// The smallest key behind all rows of this upload.
    pub end: Key,
}

/// Which row of a resumable upload it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumableKind {
    Record,
    Pile,
    Part(u32),
}

/// Reads a row key of a resumable upload; `None` for what [`resumable`], [`pile`] and [`pile_part`] never make.
pub fn parse_resumable(row: &Key) -> Option<ResumableRow<'_>> {
    let rest = row.as_bytes().strip_prefix(RESUMABLE)?;
    let bucket_len = rest.iter().position(|b| *b == 0)?;
    let (bucket, rest) = rest.split_at_checked(bucket_len)?;
    let (upload, kind) = rest.strip_prefix(END)?.split_at_checked(UPLOAD_ID_BYTES)?;
    let kind = match kind {
        [0] => ResumableKind::Record,
        [1] => ResumableKind::Pile,
        [1, number @ ..] => ResumableKind::Part(u32::from_be_bytes(number.try_into().ok()?)),
        _ => return None,
    };
    Some(ResumableRow {
        bucket: std::str::from_utf8(bucket).ok()?,
        upload: UploadId::from_bytes(upload.try_into().ok()?),
        kind,
        end: join(&[RESUMABLE, bucket, END, upload, &[2]]),
    })
}

/// A counter; it ends at this time, in milliseconds.
pub fn counter(ends: u64, id: &[u8; 16]) -> Key {
    join(&[COUNTER, &ends.to_be_bytes(), id])
}

/// Before the rows of all counters that end at this time or later, and behind all others'.
pub fn counters_until(ends: u64) -> Key {
    join(&[COUNTER, &ends.to_be_bytes()])
}

/// Says which rows the files of a bucket are found by. It is no part of the catalogue: an empty one may have it.
pub fn file_index_mark(bucket: &BucketName) -> Key {
    join(&[CATALOGUE, bucket.as_str().as_bytes(), &[1]])
}

/// Everything the catalogue of a bucket holds.
pub fn catalogue(bucket: &BucketName) -> Key {
    join(&[CATALOGUE, bucket.as_str().as_bytes(), END])
}

fn in_catalogue(bucket: &BucketName, pieces: &[&[u8]]) -> Key {
    join(&[catalogue(bucket).as_bytes(), &pieces.concat()])
}

/// A file's record.
pub fn file(bucket: &BucketName, id: &[u8; 16]) -> Key {
    join(&[files(bucket).as_bytes(), id])
}

/// Beginning of the records of all files of a bucket.
pub fn files(bucket: &BucketName) -> Key {
    in_catalogue(bucket, &[b"r"])
}

/// Which file has this key.
pub fn file_of_key(bucket: &BucketName, key: &str) -> Key {
    in_catalogue(bucket, &[b"k", key.as_bytes()])
}

/// Beginning of all rows that files are found by.
pub fn file_indices(bucket: &BucketName) -> Key {
    in_catalogue(bucket, &[b"x"])
}

/// Beginning of the rows of the files that `facet` has a value for that begins so, whatever the order.
pub fn file_index_values(bucket: &BucketName, facet: u8, beginning: &str) -> Key {
    in_catalogue(bucket, &[b"x", &[facet], beginning.as_bytes()])
}

/// Beginning of the rows of the files that `facet` has this value for, in the order `sort`: behind it come the value that is
/// sorted by, in bytes that sort so, and the file's id.
pub fn file_index(bucket: &BucketName, facet: u8, value: &str, sort: u8) -> Key {
    in_catalogue(bucket, &[b"x", &[facet], value.as_bytes(), END, &[sort]])
}

/// Everything that is written down for those who listen to a bucket.
pub fn outbox(bucket: &BucketName) -> Key {
    join(&[OUTBOX, bucket.as_str().as_bytes(), END])
}

/// Beginning of the rows of the events of a bucket that nobody was told of yet.
pub fn events(bucket: &BucketName) -> Key {
    join(&[outbox(bucket).as_bytes(), b"q"])
}

pub fn event(bucket: &BucketName, id: &[u8; 16]) -> Key {
    join(&[events(bucket).as_bytes(), id])
}

/// Beginning of the rows of what waits to be delivered to a listener.
pub fn waiting_deliveries(bucket: &BucketName, listener: &[u8; 16]) -> Key {
    join(&[outbox(bucket).as_bytes(), b"w", listener])
}

pub fn waiting_delivery(bucket: &BucketName, listener: &[u8; 16], event: &[u8; 16]) -> Key {
    join(&[waiting_deliveries(bucket, listener).as_bytes(), event])
}

/// Beginning of the rows of what was delivered to a listener, or given up.
pub fn ended_deliveries(bucket: &BucketName, listener: &[u8; 16]) -> Key {
    join(&[outbox(bucket).as_bytes(), b"l", listener])
}

pub fn ended_delivery(bucket: &BucketName, listener: &[u8; 16], event: &[u8; 16]) -> Key {
    join(&[ended_deliveries(bucket, listener).as_bytes(), event])
}

/// What a file was; its bytes are the noncurrent version of its key with the same name.
pub fn file_version(bucket: &BucketName, id: &[u8; 16], version: &[u8; 16]) -> Key {
    join(&[file_versions_of(bucket, id).as_bytes(), version])
}

/// Beginning of the rows of what a file was.
pub fn file_versions_of(bucket: &BucketName, id: &[u8; 16]) -> Key {
    join(&[file_versions(bucket).as_bytes(), id])
}

/// Beginning of the rows of what the files of a bucket were.
pub fn file_versions(bucket: &BucketName) -> Key {
    in_catalogue(bucket, &[b"v"])
}

/// What is kept of an object that is no longer current; `version` sorts the newest first.
pub fn version(bucket: &BucketName, key: &ObjectKey, version: &[u8; 16]) -> Key {
    join(&[versions_of(bucket, key).as_bytes(), version])
}

/// Beginning of the rows of all noncurrent versions of a key.
pub fn versions_of(bucket: &BucketName, key: &ObjectKey) -> Key {
    join(&[versions(bucket).as_bytes(), key.as_str().as_bytes(), END])
}

/// A row of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityRow<'k> {
    Head,
    Attachment(&'k str),
    Group(&'k str),
    AccessKey(&'k str),
    Policy(&'k str),
    Role(&'k str),
    Revocation(&'k str),
    Seal,
    User(&'k str),
}

impl IdentityRow<'_> {
    pub fn key(self) -> Key {
        let named = |kind: &[u8], name: &str| join(&[IDENTITY, kind, name.as_bytes()]);
        match self {
            Self::Head => join(&[IDENTITY]),
            Self::Attachment(name) => named(b"a/", name),
            Self::Group(name) => named(b"g/", name),
            Self::AccessKey(name) => named(b"k/", name),
            Self::Policy(name) => named(b"p/", name),
            Self::Role(name) => named(b"o/", name),
            Self::Revocation(account) => named(b"r/", account),
            Self::Seal => join(&[IDENTITY, b"s"]),
            Self::User(name) => named(b"u/", name),
        }
    }
}

/// Beginning of all rows of the directory.
pub fn identities() -> Key {
    join(&[IDENTITY])
}

/// Reads a row key of the directory; `None` for what [`IdentityRow::key`] never makes.
pub fn parse_identity(row: &Key) -> Option<IdentityRow<'_>> {
    let rest = std::str::from_utf8(row.as_bytes().strip_prefix(IDENTITY)?).ok()?;
    match (rest, rest.split_once('/')) {
        ("", _) => Some(IdentityRow::Head),
        ("s", _) => Some(IdentityRow::Seal),
        (_, Some(("a", name))) => Some(IdentityRow::Attachment(name)),
        (_, Some(("g", name))) => Some(IdentityRow::Group(name)),
        (_, Some(("k", name))) => Some(IdentityRow::AccessKey(name)),
        (_, Some(("o", name))) => Some(IdentityRow::Role(name)),
        (_, Some(("p", name))) => Some(IdentityRow::Policy(name)),
        (_, Some(("r", account))) => Some(IdentityRow::Revocation(account)),
        (_, Some(("u", name))) => Some(IdentityRow::User(name)),
        (_, Some(_) | None) => None,
    }
}

/// A row of the server's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSettingsRow {
    Current,
    History(u64),
}

impl ServerSettingsRow {
    pub fn key(self) -> Key {
        match self {
            Self::Current => join(&[SERVER_SETTINGS]),
            Self::History(number) => join(&[SETTINGS_HISTORY, &number.to_be_bytes()]),
        }
    }
}

/// Beginning of the rows of the history of the server's settings.
pub fn settings_history() -> Key {
    join(&[SETTINGS_HISTORY])
}

/// Reads a row key of the server's settings; `None` for what [`ServerSettingsRow::key`] never makes.
pub fn parse_server_settings(row: &Key) -> Option<ServerSettingsRow> {
    match row.as_bytes().strip_prefix(SETTINGS_HISTORY) {
        Some(number) => Some(ServerSettingsRow::History(u64::from_be_bytes(number.try_into().ok()?))),
        None => (row.as_bytes() == SERVER_SETTINGS).then_some(ServerSettingsRow::Current),
    }
}

/// A row of the projects. No part of a name holds a slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProjectRow<'k> {
    Head,
    Environment {
        project: &'k str,
        name: &'k str,
    },
    Issuer {
        project: &'k str,
        alias: &'k str,
    },
    /// `name`: the environment, a slash, the alias of their issuer, `|`, and what that calls them.
    User {
        project: &'k str,
        name: &'k str,
    },
    ProjectKey(&'k str),
    Project(&'k str),
}

impl ProjectRow<'_> {
    pub fn key(self) -> Key {
        let of_project =
            |kind: &[u8], project: &str, name: &str| join(&[PROJECTS, kind, project.as_bytes(), b"/", name.as_bytes()]);
        match self {
            Self::Head => join(&[PROJECTS]),
            Self::Environment { project, name } => of_project(b"e/", project, name),
            Self::Issuer { project, alias } => of_project(b"i/", project, alias),
            Self::User { project, name } => of_project(b"u/", project, name),
            Self::ProjectKey(id) => join(&[PROJECTS, b"k/", id.as_bytes()]),
            Self::Project(name) => join(&[PROJECTS, b"p/", name.as_bytes()]),
        }
    }
}

/// Reads a row key of the projects; `None` for what [`ProjectRow::key`] never makes.
pub fn parse_project(row: &Key) -> Option<ProjectRow<'_>> {
    let rest = std::str::from_utf8(row.as_bytes().strip_prefix(PROJECTS)?).ok()?;
    match (rest, rest.split_once('/')) {
        ("", _) => Some(ProjectRow::Head),
        (_, Some(("e", both))) => {
            let (project, name) = both.split_once('/')?;
            Some(ProjectRow::Environment { project, name })
        }
        (_, Some(("i", both))) => {
            let (project, alias) = both.split_once('/')?;
            Some(ProjectRow::Issuer { project, alias })
        }
        (_, Some(("u", both))) => {
            let (project, name) = both.split_once('/')?;
            Some(ProjectRow::User { project, name })
        }
        (_, Some(("k", id))) => Some(ProjectRow::ProjectKey(id)),
        (_, Some(("p", name))) => Some(ProjectRow::Project(name)),
        (_, Some(_) | None) => None,
    }
}

/// The text behind a beginning that this file made; `None` if the row does not start with it or is no UTF-8.
pub fn text_after<'k>(row: &'k Key, beginning: &Key) -> Option<&'k str> {
    std::str::from_utf8(row.as_bytes().strip_prefix(beginning.as_bytes())?).ok()
}

/// A row of `u/`, read back.
#[derive(Debug, PartialEq, Eq)]
pub struct UploadRow<'k> {
    pub key: &'k str,
    pub upload: UploadId,
    /// `None`: the upload's own row.
    pub part: Option<u16>,
    /// Length of the upload's row key.
    pub upload_len: usize,
}

/// Reads a row key of a bucket's uploads; `None` for what [`upload`] and [`part`] never make.
pub fn parse_upload(row: &Key) -> Option<UploadRow<'_>> {
    let bytes = row.as_bytes();
    let rest = bytes.strip_prefix(UPLOAD)?;
    let bucket_end = rest.iter().position(|b| *b == 0)?;
    let (_, rest) = rest.split_at_checked(bucket_end + END.len())?;
    let key_end = rest.iter().position(|b| *b == 0)?;
    let (key, rest) = rest.split_at_checked(key_end)?;
    let (upload, part) = rest.strip_prefix(END)?.split_at_checked(UPLOAD_ID_BYTES)?;
    let part = match part {
        [] => None,
        [high, low] => Some(u16::from_be_bytes([*high, *low])),
        _ => return None,
    };
    Some(UploadRow {
        key: std::str::from_utf8(key).ok()?,
        upload: UploadId::from_bytes(upload.try_into().ok()?),
        part,
        upload_len: bytes.len() - if part.is_some() { 2 } else { 0 },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::KEY_BYTES_MAX;

    fn name(text: &str) -> BucketName {
        BucketName::parse(text).unwrap()
    }

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).unwrap()
    }

    proptest! {
        #[test]
        fn upload_rows_read_back(text in "[^\0]{1,40}", id: [u8; 16], number in 1..=10_000_u16) {
            let id = UploadId::from_bytes(id);
            let row = upload(&name("abc"), &key(&text), &id);
            let upload_len = row.as_bytes().len();
            prop_assert_eq!(parse_upload(&row), Some(UploadRow { key: &text, upload: id, part: None, upload_len }));
            let part = part(&row, PartNumber::new(number).unwrap());
            prop_assert!(part > row && part < part_table(&row));
            prop_assert_eq!(parse_upload(&part), Some(UploadRow { key: &text, upload: id, part: Some(number), upload_len }));
        }

        #[test]
        fn rows_sort_as_keys_do(a in "[^\0]{1,20}", b in "[^\0]{1,20}", id: [u8; 16], other: [u8; 16]) {
            let (a, b, bucket) = (key(&a), key(&b), name("abc"));
            prop_assert_eq!(current(&bucket, &a).cmp(&current(&bucket, &b)), a.cmp(&b));
            let (id, other) = (UploadId::from_bytes(id), UploadId::from_bytes(other));
            prop_assert_eq!(upload(&bucket, &a, &id).cmp(&upload(&bucket, &b, &other)), (&a, id).cmp(&(&b, other)));
        }
    }

    #[test]
    fn rows_of_resumable_uploads_read_back_and_stay_with_their_upload() {
        let (bucket, zeros) = (name("abc"), UploadId::from_bytes([0; 16]));
        let pile_row = pile(&bucket, &zeros);
        let rows = [
            (resumable(&bucket, &zeros), ResumableKind::Record),
            (pile_row.clone(), ResumableKind::Pile),
            (pile_part(&pile_row, 0), ResumableKind::Part(0)),
            (pile_part(&pile_row, 256), ResumableKind::Part(256)),
        ];
        assert!(rows.is_sorted_by(|(a, _), (b, _)| a < b));
        for (row, kind) in &rows {
            let parsed = parse_resumable(row).unwrap();
            assert_eq!((parsed.bucket, parsed.upload, parsed.kind), ("abc", zeros, *kind));
            assert!(parsed.end > *row && row.as_bytes().starts_with(resumables(&bucket).as_bytes()));
        }
        let end = parse_resumable(&pile_row).unwrap().end;
        assert!(end < resumable(&bucket, &UploadId::from_bytes([1; 16])));
        for foreign in [
            &b"t/abc"[..],
            b"t/abc\0short\0",
            b"t/abc\x000123456789abcdef\x02",
            b"u/abc\x000123456789abcdef\0",
        ] {
            assert_eq!(
                parse_resumable(&Key::new(foreign.to_vec())),
                None,
                "{}",
                foreign.escape_ascii()
            );
        }
    }

    #[test]
    fn rows_of_the_directory_read_back() {
        for name in ["", "alice", "a/b", "g/x", "Åsa"] {
            for row in [
                IdentityRow::Head,
                IdentityRow::Attachment(name),
                IdentityRow::Group(name),
                IdentityRow::AccessKey(name),
                IdentityRow::Policy(name),
                IdentityRow::Role(name),
                IdentityRow::Revocation(name),
                IdentityRow::Seal,
                IdentityRow::User(name),
            ] {
                let key = row.key();
                assert!(key.as_bytes().starts_with(identities().as_bytes()));
                assert_eq!(parse_identity(&key), Some(row), "{key:?}");
            }
        }
        for foreign in ["i", "i/x", "i/u", "i/x/name", "b/abc"] {
            assert_eq!(
                parse_identity(&Key::new(foreign.as_bytes().to_vec())),
                None,
                "{foreign}"
            );
        }
    }

    #[test]
    fn rows_of_the_servers_settings_read_back_in_their_order() {
        let rows = [
            ServerSettingsRow::Current,
            ServerSettingsRow::History(0),
            ServerSettingsRow::History(255),
            ServerSettingsRow::History(256),
            ServerSettingsRow::History(u64::MAX),
        ];
        let keys: Vec<Key> = rows.iter().map(|row| row.key()).collect();
        assert!(keys.is_sorted());
        for (row, key) in rows.iter().zip(&keys) {
            assert_eq!(parse_server_settings(key), Some(*row));
        }
        for foreign in ["o", "o/x", "o/h/", "o/h/short", "o/h/nine bytes", "i/"] {
            let key = Key::new(foreign.as_bytes().to_vec());
            assert_eq!(parse_server_settings(&key), None, "{foreign}");
        }
    }

    #[test]
    fn rows_of_the_projects_read_back() {
        let (project, name) = ("shop", "prod");
        for row in [
            ProjectRow::Head,
            ProjectRow::Environment { project, name },
            ProjectRow::Issuer { project, alias: "own" },
            ProjectRow::User {
                project,
                name: "dev/own|a/b|c",
            },
            ProjectRow::ProjectKey("0123456789abcdef"),
            ProjectRow::Project(project),
        ] {
            let key = row.key();
            assert!(key.as_bytes().starts_with(ProjectRow::Head.key().as_bytes()));
            assert_eq!(parse_project(&key), Some(row), "{key:?}");
        }
        for foreign in ["p", "p/x", "p/e/shop", "p/i/shop", "p/u/shop", "p/x/name", "i/p/name"] {
            assert_eq!(parse_project(&Key::new(foreign.as_bytes().to_vec())), None, "{foreign}");
        }
    }

    #[test]
    fn rows_of_buckets_and_objects_tell_whose_they_are() {
        let row = current(&name("abc"), &key("a/b"));
        assert_eq!((parse_current(&row), parse_bucket(&row)), (Some(("abc", "a/b")), None));
        let row = bucket(&name("abc"));
        assert_eq!((parse_current(&row), parse_bucket(&row)), (None, Some("abc")));
        assert_eq!(parse_current(&Key::new("c/no-end")), None);
        assert_eq!(parse_current(&Key::new(b"c/abc\0\xff".to_vec())), None);
    }

    #[test]
    fn one_bucket_never_reads_into_another() {
        let row = current(&name("abc-d"), &key("k"));
        assert!(!row.as_bytes().starts_with(currents(&name("abc"), "").as_bytes()));
        assert_eq!(text_after(&row, &currents(&name("abc-d"), "")), Some("k"));
    }

    #[test]
    fn the_longest_names_fit_a_row_key() {
        let row = upload(
            &name(&"b".repeat(63)),
            &key(&"k".repeat(1024)),
            &UploadId::from_bytes([0; 16]),
        );
        assert!(part_table(&row).as_bytes().len() < KEY_BYTES_MAX);
    }

    #[test]
    fn rows_that_are_no_uploads_are_not_read_as_such() {
        for foreign in [
            &b"c/abc\0k"[..],
            b"u/abc",
            b"u/abc\0k",
            b"u/abc\0k\0short",
            b"u/abc\0k\x000123456789abcdefX",
        ] {
            assert_eq!(
                parse_upload(&Key::new(foreign.to_vec())),
                None,
                "{}",
                foreign.escape_ascii()
            );
        }
    }
}
