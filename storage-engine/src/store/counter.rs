//! Counters: how many uses are left of what was given out and is kept nowhere else.
//!
//! Owns that no use is counted twice and none too many is let: each is one batch that requires the counter as it was read,
//! so of two that meet one looks again. What has no counter has no use left, whether it was used up, has ended, or was never
//! made. It knows neither links nor tokens.

use crate::backend::{Batch, Op, Require};
use crate::limits::LIST_ITEMS_MAX;
use crate::store::clock::Timestamp;
use crate::store::error::{CommitRefused, Fault, faults_from_below};
use crate::store::files::random;
use crate::store::record::Record;
use crate::store::record::counter::CounterRecord;
use crate::store::whole::put;
use crate::store::{RACES_MAX, Store, key};

/// Counters that are made, or taken away, with one batch.
const AT_ONCE: usize = 500;

/// Names a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CounterName {
    /// From when on there is no use left.
    pub ends: Timestamp,
    pub id: [u8; 16],
}

/// A use that was not counted, and so is none.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    #[error("no use is left")]
    NothingLeft,
    /// After [`Fault::Unknown`] it may have been counted.
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(CountError);

impl CounterName {
    /// A new one, with an id that nobody guesses.
    pub fn random(ends: Timestamp) -> Result<Self, Fault> {
        Ok(Self { ends, id: random()? })
    }

    fn row(&self) -> crate::backend::Key {
        key::counter(self.ends.millis(), &self.id)
    }
}

impl Store {
    /// Makes counters with so many uses each. One of no uses is not made: nothing is left of it.
    pub async fn make_counters(&self, counters: &[(CounterName, u32)]) -> Result<(), Fault> {
        for some in counters.chunks(AT_ONCE) {
            let made = some.iter().filter(|(_, uses)| *uses > 0);
            let (mut require, mut ops) = (Vec::new(), Vec::new());
            for (name, uses) in made {
                require.push(Require::Absent(name.row()));
                ops.push(put(name.row(), CounterRecord { left: *uses }.to_value()));
            }
            if !ops.is_empty() {
                let made = self.commit(Batch { require, ops }).await;
                made.map_err(CommitRefused::into_fault)?;
            }
        }
        Ok(())
    }

    /// Counts one use; durable when it returns. Of as many callers as like exactly as many get `Ok` as uses are left.
    pub async fn count_use(&self, name: &CounterName) -> Result<(), CountError> {
        let row_key = name.row();
        let _turn = self.turn_of(&row_key).await?;
        for _ in 0..RACES_MAX {
            let Some(row) = self.inner.backend.get(&row_key).await? else {
                return Err(CountError::NothingLeft);
            };
            let CounterRecord { left } = CounterRecord::from_value(&row.value)?;
            if left == 0 || name.ends <= self.now() {
                return Err(CountError::NothingLeft);
            }
            let op = match left - 1 {
                0 => Op::Delete(row_key.clone()),
                left => put(row_key.clone(), CounterRecord { left }.to_value()),
            };
            let counted = self.commit_as_seen(row_key.clone(), Some(row.rev), vec![op]).await?;
            if counted.is_some() {
                return Ok(());
            }
        }
        Err(Fault::Unavailable("a counter changed again and again".into()).into())
    }

    /// How many uses are left now; nothing is counted.
    pub async fn uses_left(&self, name: &CounterName) -> Result<u32, Fault> {
        match self.inner.backend.get(&name.row()).await? {
            Some(row) if name.ends > self.now() => Ok(CounterRecord::from_value(&row.value)?.left),
            Some(_) | None => Ok(0),
        }
    }

    /// Takes away counters that have ended. For a job that runs now and then. Gives how many it took away.
    pub async fn sweep_counters(&self) -> Result<usize, Fault> {
        let (begin, end) = (key::counters_until(0), key::counters_until(self.now().millis()));
        let mut swept = 0;
        loop {
            let page = self.inner.backend.scan(begin.clone()..end.clone(), AT_ONCE).await?;
            if page.items.is_empty() {
                return Ok(swept);
            }
            let ops: Vec<Op> = page.items.into_iter().map(|(row_key, _)| Op::Delete(row_key)).collect();
            swept += ops.len();
            let require = Vec::new();
            let taken = self.commit(Batch { require, ops }).await;
            taken.map_err(CommitRefused::into_fault)?;
        }
    }
}

const _: () = assert!(AT_ONCE < LIST_ITEMS_MAX);
