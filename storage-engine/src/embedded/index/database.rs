//! The only file that names sled. It owns opening, reading and changing one sled database and turns its errors and
//! panics into [`StoreError`]; it never decides what a row means, and nobody may rely on sled for durability.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an open waits for the file lock of a database that was just closed.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// sled failed or panicked; the database must not be used any more.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct StoreError(pub(super) String);

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        Self(format!("sled: {error}"))
    }
}

/// Bytes as the database holds them.
#[derive(Clone)]
pub(super) struct Stored(sled::IVec);

impl Deref for Stored {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Stored {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// One database: the rows, and per parent key the number of rows that depend on it.
pub(super) struct Store {
    db: sled::Db,
    rows: sled::Tree,
    dependents: sled::Tree,
}

impl Store {
    /// Opens or makes the database in `dir`.
    pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .mode(sled::Mode::HighThroughput)
            // Nothing relies on what sled has on disk before it is closed.
            .flush_every_ms(None);
        let started = Instant::now();
        guarded(|| {
            let db = loop {
                match config.open() {
                    // The threads of a database that was just closed may hold its lock a little longer.
                    Err(sled::Error::Io(e))
                        if e.kind() == std::io::ErrorKind::Other && started.elapsed() < LOCK_PATIENCE =>
                    {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    other => break other?,
                }
            };
            let rows = db.open_tree("rows")?;
            let dependents = db.open_tree("dependents")?;
            Ok(Self { db, rows, dependents })
        })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        guarded(|| Ok(self.rows.get(key)?.map(Stored)))
    }

    /// Puts a row and gives the one it replaces.
    pub(super) fn put(&self, key: &[u8], value: &[u8]) -> Result<Option<Stored>, StoreError> {
        guarded(|| Ok(self.rows.insert(key, value)?.map(Stored)))
    }

    /// Removes a row and gives it.
    pub(super) fn remove(&self, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        guarded(|| Ok(self.rows.remove(key)?.map(Stored)))
    }

    /// Runs `read` over the rows with a guard against panics around all of it.
    pub(super) fn read<T>(&self, read: impl FnOnce(Rows<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        guarded(|| read(Rows(&self.rows)))
    }

    /// How many rows name `parent` as the row they depend on.
    pub(super) fn dependents(&self, parent: &[u8]) -> Result<u64, StoreError> {
        guarded(|| {
            let Some(count) = self.dependents.get(parent)? else {
                return Ok(0);
            };
            let bytes = count
                .as_ref()
                .try_into()
                .map_err(|_| StoreError("a count of dependents is malformed".into()))?;
            Ok(u64::from_le_bytes(bytes))
        })
    }

    /// All counts of [`Self::dependents`] that are not 0.
    pub(super) fn all_dependents(&self) -> Result<BTreeMap<Vec<u8>, u64>, StoreError> {
        guarded(|| {
            let counts = self.dependents.iter().map(|entry| {
                let (parent, count) = entry?;
                // One that cannot be read is no count that anybody expects.
                let count = count.as_ref().try_into().map_or(u64::MAX, u64::from_le_bytes);
                Ok((parent.to_vec(), count))
            });
            counts.collect()
        })
    }

    pub(super) fn set_dependents(&self, parent: &[u8], count: u64) -> Result<(), StoreError> {
        guarded(|| {
            if count == 0 {
                self.dependents.remove(parent)?;
            } else {
                self.dependents.insert(parent, &count.to_le_bytes())?;
            }
            Ok(())
        })
    }

    /// Hands everything to the operating system. Not durable: the files must be synced by someone else.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        guarded(|| {
            self.db.flush()?;
            Ok(())
        })
    }
}

/// The rows of a database, for reading in key order.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a>(&'a sled::Tree);

impl super::page::Ordered for Rows<'_> {
    type Bytes = Stored;
    type Error = StoreError;

    fn from(&self, start: &[u8]) -> impl Iterator<Item = Result<(Stored, Stored), StoreError>> {
        self.0.range(start..).map(|row| {
            let (key, value) = row?;
            Ok((Stored(key), Stored(value)))
        })
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(StoreError(format!("sled panicked: {text}")))
    })
}
