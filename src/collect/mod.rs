//! Collection: takes away what no application will come back for. Files that were announced and whose bytes never came,
//! uploads nobody goes on with, files that end by themselves or that their bucket keeps no longer, what was refused, what
//! lies in quarantine or in the trash long enough, and bytes that were replaced long ago.
//!
//! Owns when each of them is over, and that nothing live goes: every removal names the revision of the file it was decided
//! on, so whoever comes back in the last moment wins. It only looks into buckets that keep a catalogue, goes on where one file
//! cannot be removed, and asked for a dry run it changes nothing and counts what the same pass would take away. Where records
//! and bytes disagree it tells ([`Collector::compare`]), and mends nothing.

mod compare;
mod figures;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use storage_engine::backend::Rev;
use storage_engine::store::Store;
use storage_engine::store::clock::{Clock, Timestamp};
use storage_engine::store::error::Fault;
use storage_engine::store::files::{File, FileError, FileFilter, FileId, FileQuery, FileState};
use storage_engine::store::list::{ListError, ListPage, Listed};
use storage_engine::store::multipart::list::{ListUploads, ListedUpload};
use storage_engine::store::name::{BucketName, ObjectKey, UploadId};

pub use self::compare::Disagreements;
pub use self::figures::{Figures, Last};
use crate::projects::{Confirm, Gc, LogicalBuckets};

/// Files or uploads that are looked at together.
const PAGE: usize = 500;
/// How long after the start, and after each pass, the next one begins.
const PAUSE: Duration = Duration::from_secs(3_600);

/// From when on something is nobody's any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// After a file was announced or changed, as long as no bytes come.
    pub announced: Duration,
    /// After an upload was begun or its last part came.
    pub upload: Duration,
    /// After a file went into the trash.
    pub trash: Duration,
    /// After the bytes of a file were replaced.
    pub replaced: Duration,
    /// After a file was refused; until then its owner can ask why.
    pub rejected: Duration,
    /// After a scanner had a file put into quarantine; until then a server of the app can release it.
    pub quarantined: Duration,
    /// After the bytes came of a file that must be registered and is not.
    pub unregistered: Duration,
    /// After the last change of a file that must be referred to and is not.
    pub unreferenced: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 3_600);
        Self {
            announced: day,
            upload: day,
            trash: 7 * day,
            replaced: 7 * day,
            rejected: 7 * day,
            quarantined: 7 * day,
            unregistered: day,
            unreferenced: day,
        }
    }
}

/// What one pass took away, or would have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Announced, and no bytes came.
    pub announced: u64,
    /// Uploads that nobody went on with.
    pub uploads: u64,
    /// Ended by themselves; now in the trash.
    pub ended: u64,
    /// Not registered though they must be; now in the trash.
    pub unregistered: u64,
    /// Not referred to though they must be; now in the trash.
    pub unreferenced: u64,
    /// Purged out of the trash.
    pub trash: u64,
    /// Versions of files, whose bytes were replaced.
    pub versions: u64,
    /// Refused, and forgotten now.
    pub rejected: u64,
    /// Long enough in quarantine, with their bytes.
    pub quarantined: u64,
    /// What could not be removed; the next pass tries again.
    pub failed: u64,
}

impl Collected {
    /// How many of each kind, by its name.
    pub fn kinds(&self) -> [(&'static str, u64); 9] {
        [
            ("announced", self.announced),
            ("uploads", self.uploads),
            ("ended", self.ended),
            ("unregistered", self.unregistered),
            ("unreferenced", self.unreferenced),
            ("trash", self.trash),
            ("versions", self.versions),
            ("rejected", self.rejected),
            ("quarantined", self.quarantined),
        ]
    }
}

/// Takes away what is over.
#[derive(Clone)]
pub struct Collector {
    store: Store,
    clock: Arc<dyn Clock>,
    terms: Terms,
    rules: Arc<dyn LogicalBuckets>,
    figures: Arc<Figures>,
    /// One pass at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What may go wrong with one file; the pass goes on.
enum Kept {
    /// Somebody came back for it.
    Wanted,
    Failed(FileError),
}

impl From<FileError> for Kept {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Changed | FileError::NoSuchFile | FileError::NoSuchVersion | FileError::State(_) => Self::Wanted,
            FileError::NoSuchBucket
            | FileError::BucketBusy
            | FileError::KeyTaken
            | FileError::Invalid(_)
            | FileError::OverQuota(_)
            | FileError::Fault(_) => Self::Failed(error),
        }
    }
}

/// One pass over one bucket.
struct Pass<'a> {
    collector: &'a Collector,
    bucket: &'a BucketName,
    now: Timestamp,
    dry: bool,
    /// What this pass would have taken away so far if it were not a dry one; its later steps would not meet that any more.
    gone: Gone,
    collected: &'a mut Collected,
}

#[derive(Default)]
struct Gone {
    files: HashSet<FileId>,
    uploads: HashSet<UploadId>,
}

/// How a file is taken away.
#[derive(Clone, Copy)]
enum How {
    /// Into the trash; without bytes for good.
    Trash,
    Purge,
}

impl Collector {
    pub fn new(store: Store, clock: Arc<dyn Clock>, terms: Terms, rules: Arc<dyn LogicalBuckets>) -> Self {
        Self {
            store,
            clock,
            terms,
            rules,
            figures: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// What all passes of this process did.
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures)
    }

    /// Passes again and again, an hour apart.
    pub async fn keep_collecting(self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            match self.pass(false).await {
                Ok(collected) if collected == Collected::default() => {}
                Ok(collected) => tracing::info!(?collected, "took away what applications left behind"),
                Err(fault) => tracing::warn!(%fault, "what applications left behind could not be looked for"),
            }
        }
    }

    /// One pass over all buckets that keep a catalogue. A dry one counts what would go and changes nothing.
    pub async fn pass(&self, dry: bool) -> Result<Collected, Fault> {
        let _turn = self.turn.lock().await;
        let mut collected = Collected::default();
        let passed = self.pass_buckets(dry, &mut collected).await;
        if !dry {
            self.figures.note(&collected, passed.is_ok(), self.clock.now());
        }
        passed.map(|()| collected)
    }

    async fn pass_buckets(&self, dry: bool, collected: &mut Collected) -> Result<(), Fault> {
        let expired = match dry {
            true => self.store.count_expired_resumables().await?,
            false => self.store.sweep_expired_resumables().await?,
        };
        collected.uploads += expired as u64;
        if !dry {
            let counters = self.store.sweep_counters().await?;
            tracing::debug!(counters, "counters of what has ended went");
        }
        for bucket in self.store.buckets_with_files().await? {
            let pass = Pass {
                collector: self,
                bucket: &bucket,
                now: self.clock.now(),
                dry,
                gone: Gone::default(),
                collected: &mut *collected,
            };
            pass.run().await?;
        }
        Ok(())
    }
}

impl Pass<'_> {
    async fn run(mut self) -> Result<(), Fault> {
        self.uploads().await?;
        self.announced().await?;
        self.ended().await?;
        self.by_rules().await?;
        self.versions().await?;
        let terms = self.collector.terms;
        let changed = |file: &File| file.updated;
        let trash = self.purge(FileState::Trashed, terms.trash, changed).await?;
        self.collected.trash += trash;
        let rejected = self.purge(FileState::Rejected, terms.rejected, changed).await?;
        self.collected.rejected += rejected;
        // What is said of a file may change while it is there.
        let scanned = |file: &File| file.scan.as_ref().map_or(file.updated, |scan| scan.at);
        let quarantined = self.purge(FileState::Quarantined, terms.quarantined, scanned).await?;
        self.collected.quarantined += quarantined;
        Ok(())
    }

    fn store(&self) -> &Store {
        &self.collector.store
    }

    /// What was last touched so long ago is over.
    fn is_over(&self, touched: Timestamp, term: Duration) -> bool {
        let term = u64::try_from(term.as_millis()).unwrap_or(u64::MAX);
        touched.millis().saturating_add(term) <= self.now.millis()
    }

    /// Multipart uploads nobody goes on with.
    async fn uploads(&mut self) -> Result<(), Fault> {
        let term = u64::try_from(self.collector.terms.upload.as_millis()).unwrap_or(u64::MAX);
        let Some(since) = self.now.millis().checked_sub(term).map(Timestamp::from_millis) else {
            return Ok(());
        };
        let mut after = None;
        loop {
            let uploads = self.uploads_behind(after.as_ref(), "", PAGE).await?;
            for upload in &uploads {
                if upload.upload.begun <= since {
                    self.end_upload(upload, since).await?;
                }
            }
            match uploads.into_iter().nth(PAGE - 1) {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// Uploads to keys that begin so, in their order, behind another one.
    async fn uploads_behind(
        &self,
        after: Option<&ListedUpload>,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<ListedUpload>, Fault> {
        let list = ListUploads {
            bucket: self.bucket.clone(),
            prefix: prefix.to_owned(),
            delimiter: String::new(),
            key_marker: after.map(|after| after.key.as_str().to_owned()),
            upload_marker: after.map(|after| after.id),
            limit,
        };
        listed(self.store().list_uploads(&list).await)
    }

    /// Gives an upload up, unless a part of it came since.
    async fn end_upload(&mut self, upload: &ListedUpload, since: Timestamp) -> Result<(), Fault> {
        let (key, id) = (&upload.key, &upload.id);
        if !self.store().upload_rests(self.bucket, key, id, since).await? {
            return Ok(());
        }
        if self.dry {
            self.gone.uploads.insert(*id);
            self.collected.uploads += 1;
            return Ok(());
        }
        match self.store().abort_upload_at_rest(self.bucket, key, id, since).await {
            Ok(ended) => self.collected.uploads += u64::from(ended),
            Err(error) => {
                tracing::debug!(%error, "an upload that nobody goes on with stays until the next pass");
                self.collected.failed += 1;
            }
        }
        Ok(())
    }

    /// Files whose bytes never came. An upload that is under way keeps its file.
    async fn announced(&mut self) -> Result<(), Fault> {
        let resumed = self.store().files_being_uploaded(self.bucket).await?;
        let term = self.collector.terms.announced;
        let mut after = None;
        loop {
            let (files, next) = self.page(FileState::Pending, after.take()).await?;
            for (id, file) in &files {
                if self.is_over(file.updated, term) && !self.is_coming(*id, file, &resumed).await? {
                    let is_still = |found: &File, pass: &Self| {
                        found.state == FileState::Pending && pass.is_over(found.updated, term)
                    };
                    let removed = self.remove(*id, is_still).await;
                    self.collected.announced += removed;
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn is_coming(&self, id: FileId, file: &File, resumed: &HashSet<FileId>) -> Result<bool, Fault> {
        if resumed.contains(&id) {
            return Ok(true);
        }
        let Ok(key) = ObjectKey::parse(file.key.clone()) else {
            return Ok(false);
        };
        // In a dry pass uploads are still there that would not be.
        let limit = if self.dry { PAGE } else { 1 };
        let mut after = None;
        loop {
            let uploads = self.uploads_behind(after.as_ref(), key.as_str(), limit).await?;
            let mut own = uploads.iter().take_while(|upload| upload.key == key);
            if own.any(|upload| !self.gone.uploads.contains(&upload.id)) {
                return Ok(true);
            }
            match uploads.into_iter().nth(limit - 1).filter(|last| last.key == key) {
                Some(last) => after = Some(last),
                None => return Ok(false),
            }
        }
    }

    /// Files that end by themselves go into the trash, those without bytes for good.
    async fn ended(&mut self) -> Result<(), Fault> {
        // Those that stay: they stand before all others in the next look.
        let mut stay = HashSet::new();
        loop {
            let limit = PAGE + stay.len();
            let due = self.store().due_files(self.bucket, self.now, limit).await?;
            let new: Vec<FileId> = due.iter().filter(|id| !stay.contains(*id)).copied().collect();
            for id in &new {
                let found = self.store().file(self.bucket, id).await?;
                let is_due = |file: &File| file.expires.is_some_and(|ends| ends <= self.now);
                let still = found.filter(|(file, _)| is_due(file));
                let taken = match still {
                    Some((_, rev)) => self.take(*id, rev, How::Trash).await,
                    None => 0,
                };
                if self.dry || taken == 0 {
                    stay.insert(*id);
                }
                self.collected.ended += taken;
            }
            if new.is_empty() || due.len() < limit {
                return Ok(());
            }
        }
    }

    /// Files that their logical bucket keeps no longer go into the trash.
    async fn by_rules(&mut self) -> Result<(), Fault> {
        for (name, rules) in self.collector.rules.of(self.bucket) {
            for state in [FileState::Active, FileState::Received] {
                if rules.confirm == Confirm::Required {
                    let unregistered = |file: &File, pass: &Self| {
                        let since = file.received.unwrap_or(file.updated);
                        file.registered.is_none() && pass.is_over(since, pass.collector.terms.unregistered)
                    };
                    let trashed = self.trash((name.as_str(), state), unregistered).await?;
                    self.collected.unregistered += trashed;
                }
                if rules.gc == Gc::Unreferenced {
                    let unreferenced = |file: &File, pass: &Self| {
                        file.refs.is_empty() && pass.is_over(file.updated, pass.collector.terms.unreferenced)
                    };
                    let trashed = self.trash((name.as_str(), state), unreferenced).await?;
                    self.collected.unreferenced += trashed;
                }
            }
        }
        Ok(())
    }

    /// Files of a logical bucket in this state that are over go into the trash; how many.
    async fn trash(
        &mut self,
        (logical, state): (&str, FileState),
        is_over: impl Fn(&File, &Self) -> bool,
    ) -> Result<u64, Fault> {
        let (mut after, mut trashed) = (None, 0);
        loop {
            let filter = FileFilter {
                state: Some(state),
                bucket: Some(logical.to_owned()),
                ..FileFilter::default()
            };
            let (files, next) = self.page_of(filter, after.take()).await?;
            for (id, file) in &files {
                if !is_over(file, self) {
                    continue;
                }
                // As it stands now: whoever came back since the page was read wins.
                let found = self.store().file(self.bucket, id).await?;
                let is_still =
                    |file: &File| file.state == state && file.bucket.as_deref() == Some(logical) && is_over(file, self);
                let Some((_, rev)) = found.filter(|(file, _)| is_still(file)) else {
                    continue;
                };
                trashed += self.take(*id, rev, How::Trash).await;
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(trashed),
            }
        }
    }

    /// Files that were in this state for so long go for good.
    async fn purge(
        &mut self,
        state: FileState,
        term: Duration,
        since: impl Fn(&File) -> Timestamp,
    ) -> Result<u64, Fault> {
        let (mut after, mut purged) = (None, 0);
        loop {
            let (files, next) = self.page(state, after.take()).await?;
            for (id, file) in &files {
                if self.is_over(since(file), term) {
                    let is_still = |found: &File, pass: &Self| found.state == state && pass.is_over(since(found), term);
                    purged += self.remove(*id, is_still).await;
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(purged),
            }
        }
    }

    /// What files were before their bytes were replaced. One that was brought back is no version any more.
    async fn versions(&mut self) -> Result<(), Fault> {
        let mut after = None;
        loop {
            let page = self
                .store()
                .replaced_versions(self.bucket, after.as_ref(), PAGE)
                .await?;
            for found in &page {
                if self.is_over(found.replaced, self.collector.terms.replaced) {
                    let removed = match self.dry {
                        true => Ok(()),
                        false => {
                            self.store()
                                .remove_file_version(self.bucket, found.file, found.version)
                                .await
                        }
                    };
                    let removed = self.counted(found.file, removed);
                    self.collected.versions += removed;
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(*last),
                Some(_) | None => return Ok(()),
            }
        }
    }

    /// Takes a file away for good if it is still over; how many that were.
    async fn remove(&mut self, id: FileId, is_over: impl Fn(&File, &Self) -> bool) -> u64 {
        let found: Result<Option<(File, Rev)>, Fault> = self.store().file(self.bucket, &id).await;
        match found {
            Ok(Some((file, rev))) if is_over(&file, self) => self.take(id, rev, How::Purge).await,
            Ok(_) => 0,
            Err(fault) => self.counted(id, Err(fault.into())),
        }
    }

    /// Takes a file away as it was looked at, or counts it; how many that were.
    async fn take(&mut self, id: FileId, rev: Rev, how: How) -> u64 {
        if self.dry {
            return u64::from(self.gone.files.insert(id));
        }
        let taken = match how {
            How::Trash => self.store().trash_file(self.bucket, id, Some(rev)).await.map(drop),
            How::Purge => self.store().purge_file(self.bucket, id, Some(rev)).await,
        };
        self.counted(id, taken)
    }

    /// One, or nothing.
    fn counted(&mut self, id: FileId, removed: Result<(), FileError>) -> u64 {
        match removed.map_err(Kept::from) {
            Ok(()) => 1,
            Err(Kept::Wanted) => 0,
            Err(Kept::Failed(error)) => {
                tracing::warn!(%id, bucket = %self.bucket, %error, "a file that is over stays until the next pass");
                self.collected.failed += 1;
                0
            }
        }
    }

    async fn page(
        &self,
        state: FileState,
        after: Option<Vec<u8>>,
    ) -> Result<(Vec<(FileId, File)>, Option<Vec<u8>>), Fault> {
        let filter = FileFilter {
            state: Some(state),
            ..FileFilter::default()
        };
        self.page_of(filter, after).await
    }

    async fn page_of(
        &self,
        filter: FileFilter,
        after: Option<Vec<u8>>,
    ) -> Result<(Vec<(FileId, File)>, Option<Vec<u8>>), Fault> {
        let query = FileQuery::oldest_first(filter, PAGE, after);
        let page = self.store().list_files(self.bucket, &query).await?;
        Ok((page.files, page.next))
    }
}

/// What a list of uploads gives; of a bucket that has just gone, nothing.
fn listed(page: Result<ListPage<ListedUpload>, ListError>) -> Result<Vec<ListedUpload>, Fault> {
    let upload = |listed| match listed {
        Listed::Item(upload) => Some(upload),
        Listed::CommonPrefix(_) => None,
    };
    match page {
        Ok(page) => Ok(page.items.into_iter().filter_map(upload).collect()),
        Err(ListError::NoSuchBucket) => Ok(Vec::new()),
        Err(ListError::Fault(fault)) => Err(fault),
    }
}
