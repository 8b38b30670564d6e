//! Every cap of the engine in one place; the unit is in the name.

/// Longest row key in bytes.
pub const KEY_BYTES_MAX: usize = 4 * 1024;
/// Longest row value in bytes; what is larger is a body.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Most rows one client batch may name.
pub const BATCH_OPS_MAX: usize = 2_000;
/// Most rows one page of a scan returns.
pub const SCAN_ROWS_MAX: usize = 10_000;
/// Bodies of objects up to this many bytes ride in the log; larger ones become extents.
pub const SMALL_BODY_BYTES_MAX: usize = 128 * 1024;
/// Most data bytes of one extent; longer bodies take several.
pub const EXTENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

const _: () = assert!(VALUE_BYTES_MAX < SMALL_BODY_BYTES_MAX);

/// Longest object key in bytes.
pub const OBJECT_KEY_BYTES_MAX: usize = 1_024;
/// Most user metadata of one object: names and values together, in bytes.
pub const USER_METADATA_BYTES_MAX: usize = 2 * 1024;
/// Most system metadata of one object (content type, cache control and their like), in bytes.
pub const SYSTEM_METADATA_BYTES_MAX: usize = 8 * 1024;
/// Largest body of one PUT or one part, in bytes.
pub const PUT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Largest object, in bytes.
pub const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024 * 1024;
/// Smallest part of a multipart upload but its last, in bytes.
pub const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// Most parts of one upload, and the highest part number.
pub const PARTS_MAX: u16 = 10_000;
/// Most uploads that one resumable upload is made of.
pub const PARTIALS_MAX: usize = 128;
/// Most bytes kept of what a client said of a resumable upload.
pub const SAID_BYTES_MAX: usize = 8 * 1024;
/// Most items one page of an S3 listing returns.
pub const LIST_ITEMS_MAX: usize = 1_000;
/// A table of parts up to this many bytes stands in the object's row; a larger one follows the object's bytes in its body.
pub const PART_TABLE_INLINE_BYTES_MAX: usize = 4 * 1024;

/// Most tags of one object.
pub const OBJECT_TAGS_MAX: usize = 10;
/// Most tags of one bucket.
pub const BUCKET_TAGS_MAX: usize = 50;
/// Longest key of a tag, in characters.
pub const TAG_KEY_CHARS_MAX: usize = 128;
/// Longest value of a tag, in characters.
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// Most settings of one bucket together (policy, tags, CORS and their like), in bytes.
pub const SETTINGS_BYTES_MAX: usize = 60 * 1024;
/// Longest id of an owner, in bytes.
pub const OWNER_BYTES_MAX: usize = 256;

/// Most shares of one object.
pub const SHARES_MAX: usize = 50;
/// Longest name or address somebody is shared with by, in bytes.
pub const SHARE_TARGET_BYTES_MAX: usize = 256;
/// Longest name of a share, in bytes.
pub const SHARE_NAME_BYTES_MAX: usize = 64;

/// Bytes of what a file is called.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// Bytes of a media type, parameters included.
pub const MEDIA_TYPE_BYTES_MAX: usize = 255;
/// Bytes of a tag, a category, a reference, and of what else a file is found by.
pub const FILE_TEXT_BYTES_MAX: usize = 256;
pub const FILE_TAGS_MAX: usize = 50;
pub const FILE_REFS_MAX: usize = 100;
/// Bytes of what an application says of a file in its own words.
pub const FILE_METADATA_BYTES_MAX: usize = 16 * 1024;
/// Most versions of a file that are kept after others took their place. They count for no quota, so they are few; and they
/// go in one batch with their file.
pub const FILE_VERSIONS_MAX: usize = 10;
/// Bytes of everything that is kept of a file.
pub const FILE_BYTES_MAX: usize = 60 * 1024;

/// Most bytes that one share takes.
const SHARE_BYTES_MAX: usize = SHARE_TARGET_BYTES_MAX + SHARE_NAME_BYTES_MAX + 64;
/// Most bytes that owner, tags and shares of an object take.
const LABELS_BYTES_MAX: usize = OWNER_BYTES_MAX
    + OBJECT_TAGS_MAX * (4 * (TAG_KEY_CHARS_MAX + TAG_VALUE_CHARS_MAX) + 16)
    + SHARES_MAX * SHARE_BYTES_MAX
    + 64;

const _: () = assert!(SETTINGS_BYTES_MAX < VALUE_BYTES_MAX && FILE_BYTES_MAX < VALUE_BYTES_MAX);
const _: () = assert!(
    USER_METADATA_BYTES_MAX + SYSTEM_METADATA_BYTES_MAX + PART_TABLE_INLINE_BYTES_MAX + LABELS_BYTES_MAX + 1_024
        < VALUE_BYTES_MAX
);
