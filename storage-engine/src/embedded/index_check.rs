//! Comparing the index of a running store, row by row, with what a start would make it from: the newest checkpoint and
//! the log after it. It changes nothing, and decides nothing about what to do with an index that differs.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::checkpoint::{
    CheckpointEntry, CheckpointError, CheckpointSink, Decoder, Position, Written, differences, write_merged,
};
use super::checkpoint_io;
use super::core::Shared;
use super::housekeeping::read_delta;
use super::log::Committer;
use super::record::RowRecord;
use super::root::Root;
use crate::backend::Key;

/// Rows of the index that are looked at together.
const ROWS_PER_PAGE: usize = 1024;
/// Differing keys that are remembered; with more the index is wrong enough.
const DIFFERING_MAX: usize = 100_000;
/// Of these so many are told.
const TOLD_MAX: usize = 20;

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexCheck {
    /// Rows that checkpoint and log say there are.
    pub rows: u64,
    /// Rows that differ, are missing in the index, or only there.
    pub wrong: u64,
    /// The first few of them: what is wrong, and the key.
    pub examples: Vec<String>,
    /// Segments whose live bytes the running store counts otherwise.
    pub counters_wrong: u64,
    /// Rows that were changed while they were compared, and not judged.
    pub in_motion: u64,
}

impl IndexCheck {
    /// Whether the index is what a start would make it.
    pub fn is_right(&self) -> bool {
        self.wrong == 0 && self.counters_wrong == 0
    }
}

/// Compares all of the index. What is committed meanwhile is told apart by the log.
pub(super) async fn check_index(shared: &Arc<Shared>, committer: &Committer) -> Result<IndexCheck, String> {
    let closing = || "the store is closing".to_owned();
    let report = committer.position().await.ok_or_else(closing)?;
    let root = shared.keeper.lock().root().clone();
    let (comparing, written) = merge(shared, &root, report.position).await?;
    let after = committer.position().await.ok_or_else(closing)?;
    let root = shared.keeper.lock().root().clone();
    let moved = read_delta(shared, root, report.position, after.position)
        .await
        .map_err(|error| format!("{error}; ask again"))?;
    let (in_motion, wrong): (Vec<_>, Vec<_>) = comparing.differing.into_iter().partition(|(key, _)| moved.touches(key));
    let counted = differences(&written.table, &report.table);
    let counters = counted
        .iter()
        .filter(|one| one.recounted.unwrap_or(0) != one.counted.unwrap_or(0));
    let told = |(key, what): &(Vec<u8>, &str)| format!("{what}: {}", key.escape_ascii());
    let check = IndexCheck {
        rows: comparing.rows,
        wrong: wrong.len() as u64,
        examples: wrong.iter().take(TOLD_MAX).map(told).collect(),
        counters_wrong: counters.count() as u64,
        in_motion: in_motion.len() as u64,
    };
    if check.is_right() {
        tracing::info!(rows = check.rows, "the index is what checkpoint and log say");
    } else {
        tracing::error!(?check, "the index is not what checkpoint and log say");
    }
    Ok(check)
}

/// Streams what a checkpoint of this position would hold past the index; nothing is written.
async fn merge(shared: &Arc<Shared>, root: &Root, to: Position) -> Result<(Comparing, Written), String> {
    let mut reason = "the root names no checkpoint".to_owned();
    for previous in root.checkpoints.iter().rev() {
        let delta = read_delta(shared, root.clone(), previous.position, to).await?;
        let mut comparing = Comparing::new(Arc::clone(shared));
        let reader = checkpoint_io::open(&shared.reader, previous);
        match write_merged(Some(reader), delta, to, &mut comparing).await {
            Ok(written) => {
                comparing.finish().await?;
                return Ok((comparing, written));
            }
            Err(error @ (CheckpointError::Read(_) | CheckpointError::Decode(_) | CheckpointError::Other(_))) => {
                reason = error.to_string();
            }
            Err(error @ (CheckpointError::Merge(_) | CheckpointError::Write(_))) => return Err(error.to_string()),
        }
    }
    Err(reason)
}

/// Takes the bytes of a checkpoint, whose rows ascend, and walks through the index beside it.
struct Comparing {
    shared: Arc<Shared>,
    decoder: Decoder,
    page: VecDeque<(Key, RowRecord)>,
    /// Where the next page begins; `None` behind the last.
    next: Option<Key>,
    rows: u64,
    differing: Vec<(Vec<u8>, &'static str)>,
}

impl Comparing {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            decoder: Decoder::default(),
            page: VecDeque::new(),
            next: Some(Key::new(Vec::new())),
            rows: 0,
            differing: Vec::new(),
        }
    }

    fn note(&mut self, key: &[u8], what: &'static str) -> Result<(), String> {
        if self.differing.len() >= DIFFERING_MAX {
            return Err(format!("more than {DIFFERING_MAX} rows differ"));
        }
        self.differing.push((key.to_vec(), what));
        Ok(())
    }

    /// Has a page at hand unless the index has ended.
    async fn fill(&mut self) -> Result<(), String> {
        while self.page.is_empty()
            && let Some(start) = self.next.take()
        {
            let shared = Arc::clone(&self.shared);
            let range = start..Key::new(vec![0xff]);
            let scan = move || shared.index.scan::<RowRecord>(&range, ROWS_PER_PAGE);
            let page = tokio::task::spawn_blocking(scan).await.map_err(|e| e.to_string())?;
            let page = page.map_err(|e| e.to_string())?;
            self.next = page.items.last().filter(|_| page.more).map(|(key, _)| key.successor());
            self.page.extend(page.items);
        }
        Ok(())
    }

    async fn compare(&mut self, key: &[u8], row: &RowRecord) -> Result<(), String> {
        self.rows += 1;
        loop {
            self.fill().await?;
            match self
                .page
                .front()
                .map(|(indexed, found)| (indexed.as_bytes().cmp(key), found == row))
            {
                Some((std::cmp::Ordering::Less, _)) => self.only_indexed()?,
                Some((std::cmp::Ordering::Equal, same)) => {
                    self.page.pop_front();
                    return if same { Ok(()) } else { self.note(key, "differs") };
                }
                Some((std::cmp::Ordering::Greater, _)) | None => return self.note(key, "is missing in the index"),
            }
        }
    }

    fn only_indexed(&mut self) -> Result<(), String> {
        match self.page.pop_front() {
            Some((key, _)) => self.note(key.as_bytes(), "is in the index only"),
            None => Ok(()),
        }
    }

    async fn finish(&mut self) -> Result<(), String> {
        loop {
            self.fill().await?;
            if self.page.is_empty() {
                return Ok(());
            }
            self.only_indexed()?;
        }
    }
}

#[async_trait::async_trait]
impl CheckpointSink for Comparing {
    async fn write(&mut self, bytes: Bytes) -> Result<(), String> {
        self.decoder.push(&bytes);
        while let Some(entry) = self.decoder.next_entry().map_err(|e| e.to_string())? {
            if let CheckpointEntry::Row { key, row } = entry {
                let key: Vec<u8> = key.into();
                self.compare(&key, &row).await?;
            }
        }
        Ok(())
    }
}
