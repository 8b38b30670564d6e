//! The seam: ordered keys, one-shot conditional commit, and bodies.
//!
//! Everything above this trait (S3 semantics, versions, multipart, lifecycle, policies) is written once and runs on
//! every backend. A backend knows rows, bodies and durability; it never knows buckets, objects or HTTP.
//!
//! Promises every backend keeps (`conformance` checks them on each):
//! - **Commit** is strictly serializable over all keys named in `require` and `ops`; all or nothing; durable on stable
//!   media before `Ok`.
//! - **`get`** is linearizable: it sees every commit that was acknowledged to anyone.
//! - **One `scan` page** is one snapshot, not older than the call. Pages of one listing share no snapshot; a key that
//!   was present throughout is neither skipped nor doubled.
//! - **Bodies** are immutable. Every body is owned by exactly one row; a row that is replaced or deleted gives its body
//!   up, unless the same batch moves it to another row.
//! - **Absent, unavailable, corrupt and unknown are four different answers.** What cannot be reached is never reported
//!   as absent.
//! - After `CommitError::Unknown` the keys of the batch answer `Unavailable` until the outcome is decided.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;

/// A row's key: plain unsigned byte order, at most [`crate::limits::KEY_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

impl Key {
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The smallest key that is greater than every key starting with `self`; `None` if there is none (all 0xFF).
    pub fn after_prefix(&self) -> Option<Key> {
        let mut bytes = self.0.to_vec();
        while let Some(last) = bytes.pop() {
            if last < u8::MAX {
                bytes.push(last + 1);
                return Some(Key::new(bytes));
            }
        }
        None
    }

    /// The smallest key greater than `self`.
    pub fn successor(&self) -> Key {
        let mut bytes = self.0.to_vec();
        bytes.push(0);
        Key::new(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// The revision of a row: changes with every put of it, never repeats, orders commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rev(pub u64);

/// One committed row.
#[derive(Clone, Debug)]
pub struct Row {
    pub value: Bytes,
    pub rev: Rev,
    pub body: Option<BodyRef>,
}

/// A committed body, as a row names it. The handle means something only to the backend that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyRef {
    pub len: u64,
    pub handle: Bytes,
}

/// A durable or staged body that no row owns yet. Dropping it gives it up: nothing of it stays behind.
pub struct Blob {
    pub len: u64,
    pub staged: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("len", &self.len).finish_non_exhaustive()
    }
}

/// What a body will be used for; a backend may store the classes differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobClass {
    /// A whole body.
    Object,
    /// A part that [`Backend::join_blobs`] may later make a piece of a larger body without copying it.
    Part,
}

/// A condition on the state before the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Require {
    Absent(Key),
    Present(Key),
    RevIs(Key, Rev),
}

impl Require {
    /// That the row still is as it was seen: at this revision, or not there.
    pub fn as_seen(key: Key, seen: Option<Rev>) -> Self {
        match seen {
            Some(rev) => Self::RevIs(key, rev),
            None => Self::Absent(key),
        }
    }

    pub fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::Present(key) | Self::RevIs(key, _) => key,
        }
    }
}

/// One absolute change of one row. A batch names each key at most once.
#[derive(Debug)]
pub enum Op {
    Put(Put),
    Delete(Key),
}

impl Op {
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(put) => &put.key,
            Self::Delete(key) => key,
        }
    }
}

#[derive(Debug)]
pub struct Put {
    pub key: Key,
    pub value: Bytes,
    pub body: NewBody,
    /// Length of the prefix of `key` that is the key of the row this one depends on. When the parent row is absent
    /// this row owns nothing, is not read, and is removed by the backend. Every row whose key starts with the
    /// parent's key must be such a child.
    pub parent_len: Option<usize>,
}

/// Where the body of a row that is put comes from.
#[derive(Debug)]
pub enum NewBody {
    None,
    Blob(Blob),
    /// The body that the row with this key owns before the batch. That key must be among the batch's `ops`.
    Moved(Key),
}

#[derive(Debug, Default)]
pub struct Batch {
    pub require: Vec<Require>,
    pub ops: Vec<Op>,
}

/// A failed [`Backend::commit`]. Only `Unknown` leaves open whether the batch happened.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Condition number `index` did not hold; `found` is the row's revision, `None` if it was absent.
    #[error("condition {index} of the batch does not hold")]
    Failed { index: usize, found: Option<Rev> },
    /// The batch breaks a limit or a rule of this interface.
    #[error("invalid batch: {0}")]
    Invalid(&'static str),
    /// A joined part is not what a row owns that ends with this batch: it was replaced, deleted, or moved to another
    /// place since it was read. Nothing changed; read the parts and join them again.
    #[error("a joined part is no longer what its row owns")]
    PartChanged,
    /// No space below the reserve. Nothing changed.
    #[error("storage full: {0}")]
    Full(String),
    /// The store cannot take writes now. Nothing changed.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The batch may or may not have happened; its keys are unavailable until that is decided.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// A failed read. Absence is not an error: `get` answers `None`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The body is gone: its row was replaced or deleted since it was read. Read the row again.
    #[error("the body is no longer stored")]
    Gone,
    /// What was asked for exists or may exist, but cannot be reached now.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// More shards are damaged than parity can make good.
    #[error("corrupt beyond repair: {0}")]
    Corrupt(String),
}

/// An error of the source that a body is read from, handed back unchanged.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// A failed [`Backend::put_blob`]. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum PutBlobError {
    /// The source of the body failed; its error, unchanged.
    #[error("body source: {0}")]
    Source(SourceError),
    #[error("storage full: {0}")]
    Full(String),
    #[error("unavailable: {0}")]
    Unavailable(String),
}

/// A body on its way in.
pub type BodySource<'a> = Pin<Box<dyn Stream<Item = Result<Bytes, SourceError>> + Send + 'a>>;
/// A body on its way out. An error ends it: never a clean short end.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, ReadError>> + Send>>;

/// One item of a grouped scan.
#[derive(Clone, Debug)]
pub enum Entry {
    Row(Key, Row),
    /// All rows that start with this key (scan prefix, text, delimiter) count as one.
    Group(Key),
}

/// A page of a scan: in the scan's order, at most `limit` items; `more` tells whether anything follows.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub more: bool,
}

impl<T> Page<T> {
    /// Nothing, and nothing follows.
    pub(crate) fn empty() -> Self {
        Self {
            items: Vec::new(),
            more: false,
        }
    }
}

/// A grouped scan: rows under `prefix`, those with `delimiter` behind the prefix rolled up into groups.
#[derive(Clone, Debug)]
pub struct GroupedScan {
    pub prefix: Key,
    /// Empty: no grouping.
    pub delimiter: Bytes,
    /// Only items whose key is greater than this one. A group given here is skipped whole.
    pub after: Option<Key>,
    pub limit: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceState {
    ReadWrite,
    /// Reads are served as far as they verify; writes answer `Unavailable` with this reason.
    ReadOnly(String),
    /// Nothing is served yet or any more.
    NotReady(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveState {
    In,
    Out,
    Missing,
    /// Serves what it has and takes nothing new: what it holds is moved to others.
    Draining,
}

#[derive(Clone, Debug)]
pub struct DriveHealth {
    pub id: String,
    pub path: String,
    pub state: DriveState,
    /// Why the drive is out or missing, or suspect though it is in; empty if it is in and well.
    pub reason: String,
    pub capacity_bytes: u64,
    pub free_bytes: u64,
}

#[derive(Clone, Debug)]
pub struct Health {
    /// The store's id in hexadecimal digits; empty while it is not known.
    pub store: String,
    pub state: ServiceState,
    /// Why bodies that need files of their own cannot be written although smaller ones can; `None` if all that the state
    /// allows works. A full store is no reason: it takes deletes.
    pub large_bodies_fail: Option<String>,
    pub drives: Vec<DriveHealth>,
    pub parity: usize,
    /// Most drives that may be lost with every acknowledged write still readable.
    pub tolerated_losses: usize,
}

#[async_trait]
pub trait Backend: Send + Sync {
    /// The row with this key. Linearizable.
    async fn get(&self, key: &Key) -> Result<Option<Row>, ReadError>;

    /// Rows in `range`, ascending, at most `limit`, as one snapshot.
    async fn scan(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError>;

    /// The same from the other end: rows in `range`, descending, at most `limit`, as one snapshot.
    async fn scan_back(&self, range: Range<Key>, limit: usize) -> Result<Page<(Key, Row)>, ReadError>;

    /// Rows and groups, ascending; the cost follows what is returned, not what a group holds.
    async fn scan_grouped(&self, scan: GroupedScan) -> Result<Page<Entry>, ReadError>;

    /// Applies the whole batch or nothing; durable and visible to every later request when it returns `Ok`, which
    /// carries the revision that every row put by the batch now has.
    /// Dropping the future does not take a batch back that was queued.
    async fn commit(&self, batch: Batch) -> Result<Rev, CommitError>;

    /// Streams a body in with bounded memory. It is not visible and not owned until a commit names it.
    /// `size_hint` is the declared length, if there is one.
    async fn put_blob(
        &self,
        class: BlobClass,
        source: BodySource<'_>,
        size_hint: Option<u64>,
    ) -> Result<Blob, PutBlobError>;

    /// Makes one body of committed bodies of class `Part`, in this order, without copying their bytes. The batch that
    /// puts the result must delete the parent row of all the rows that own the parts: it moves their ownership.
    async fn join_blobs(&self, parts: &[BodyRef]) -> Result<Blob, PutBlobError>;

    /// The bytes `range` of a body. Every byte was verified against its checksum.
    async fn get_blob(&self, body: &BodyRef, range: Range<u64>) -> Result<BodyStream, ReadError>;

    /// Gives a staged body up at once. Dropping the blob does the same in the background.
    async fn delete_blob(&self, blob: Blob);

    /// What works now, drive by drive.
    fn health(&self) -> Health;
}
