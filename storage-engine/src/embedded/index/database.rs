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

/// One database. Whatever sled does, in the end of it too, is guarded: the last handle to go syncs a file, and sled
/// panics where that fails.
pub(super) struct Store(Guarded<Database>);

/// The rows, and per parent key the number of rows that depend on it.
struct Database {
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
        let database = guarded(|| {
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
            Ok(Database { db, rows, dependents })
        })?;
        Ok(Self(Guarded(Some(database))))
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        self.0.with(|database| Ok(database.rows.get(key)?.map(Stored)))
    }

    /// Puts a row and gives the one it replaces.
    pub(super) fn put(&self, key: &[u8], value: &[u8]) -> Result<Option<Stored>, StoreError> {
        self.0
            .with(|database| Ok(database.rows.insert(key, value)?.map(Stored)))
    }

    /// Removes a row and gives it.
    pub(super) fn remove(&self, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        self.0.with(|database| Ok(database.rows.remove(key)?.map(Stored)))
    }

    /// Runs `read` over the rows with a guard against panics around all of it.
    pub(super) fn read<T>(&self, read: impl FnOnce(Rows<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.0.with(|database| read(Rows(&database.rows)))
    }

    /// How many rows name `parent` as the row they depend on.
    pub(super) fn dependents(&self, parent: &[u8]) -> Result<u64, StoreError> {
        self.0.with(|database| {
            let Some(count) = database.dependents.get(parent)? else {
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
        self.0.with(|database| {
            let counts = database.dependents.iter().map(|entry| {
                let (parent, count) = entry?;
                // One that cannot be read is no count that anybody expects.
                let count = count.as_ref().try_into().map_or(u64::MAX, u64::from_le_bytes);
                Ok((parent.to_vec(), count))
            });
            counts.collect()
        })
    }

    pub(super) fn set_dependents(&self, parent: &[u8], count: u64) -> Result<(), StoreError> {
        self.0.with(|database| {
            if count == 0 {
                database.dependents.remove(parent)?;
            } else {
                database.dependents.insert(parent, &count.to_le_bytes())?;
            }
            Ok(())
        })
    }

    /// Hands everything to the operating system. Not durable: the files must be synced by someone else.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.0.with(|database| {
            database.db.flush()?;
            Ok(())
        })
    }
}

/// The rows of a database, for reading in key order.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a>(&'a sled::Tree);

type StoredPair = Result<(Stored, Stored), StoreError>;

fn stored(row: sled::Result<(sled::IVec, sled::IVec)>) -> StoredPair {
    let (key, value) = row?;
    Ok((Stored(key), Stored(value)))
}

impl super::page::Ordered for Rows<'_> {
    type Bytes = Stored;
    type Error = StoreError;

    fn from(&self, start: &[u8]) -> impl Iterator<Item = StoredPair> {
        self.0.range(start..).map(stored)
    }

    fn back_from(&self, end: &[u8]) -> impl Iterator<Item = StoredPair> {
        self.0.range(..end).rev().map(stored)
    }
}

/// What may panic whenever it is used, and when it is let go.
struct Guarded<T>(Option<T>);

impl<T> Guarded<T> {
    fn with<R>(&self, work: impl FnOnce(&T) -> Result<R, StoreError>) -> Result<R, StoreError> {
        let inner = self.0.as_ref().ok_or_else(|| StoreError("it is closed".into()))?;
        guarded(|| work(inner))
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        let inner = self.0.take();
        let dropped = guarded(move || {
            drop(inner);
            Ok(())
        });
        // Nothing is lost by it: an index that was not closed well is compared with the checkpoint or made anew.
        if let Err(error) = dropped {
            tracing::warn!(%error, "an index could not be closed");
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    struct PanicsInTheEnd;

    impl Drop for PanicsInTheEnd {
        fn drop(&mut self) {
            panic!("the last sync failed");
        }
    }

    #[test]
    fn a_panic_while_it_is_used_is_an_error() {
        let guarded = Guarded(Some(7));
        let answer = guarded.with(|_| -> Result<(), StoreError> { panic!("no page") });
        assert_eq!(answer.map_err(|e| e.0), Err("sled panicked: no page".to_owned()));
        assert_eq!(guarded.with(|n| Ok(*n)).ok(), Some(7));
    }

    /// A drive whose every sync failed took its index down: the panic of sled's last handle ended the thread it was on.
    #[test]
    fn a_panic_when_it_is_let_go_ends_no_thread() {
        let alive = std::thread::spawn(|| {
            drop(Guarded(Some(PanicsInTheEnd)));
            "alive"
        });
        assert_eq!(alive.join().ok(), Some("alive"));
    }
}
