//! Asks the scanner about every file that waits, a few at once, and again as long as it does not answer.
//!
//! What waits is looked up in the catalogue by its state: when something came, and once in a while all of it, which finds
//! what a stop or a crash left. Held back here is only how often each was tried.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use storage_engine::backend::Rev;
use storage_engine::store::Store;
use storage_engine::store::clock::Clock;
use storage_engine::store::error::Fault;
use storage_engine::store::files::{File, FileError, FileFilter, FileId, FilePage, FileQuery, FileState};
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::get::{GetObject, Selection};
use storage_engine::store::record::scan::{ScanRecord, ScanVerdict};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::figures::Figures;
use super::screen::News;
use super::{ScanError, Scanner, Source, Subject, Verdict};
use crate::config::{Down, ScanConfig, TooLarge};
use crate::intake::Inspector;

/// Files that are looked up together.
const PAGE: usize = 500;
/// How often a file that changes while it is scanned is scanned.
const LOOKS_MAX: usize = 8;
/// How often the scanner is asked about a file before it passes, where files do.
const TRIES_BEFORE_PASSING: u32 = 3;

/// How fast it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Files that are scanned at once.
    pub at_once: usize,
    /// After which time a file is tried again; it doubles each time.
    pub pause: Duration,
    pub pause_max: Duration,
    /// After which time everything that waits is looked for.
    pub sweep: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            at_once: 4,
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(60),
            sweep: Duration::from_secs(60),
        }
    }
}

/// Scans the files of one store. Clones are the same.
#[derive(Clone)]
pub struct Scans {
    inner: Arc<Inner>,
}

struct Inner {
    /// Reads for itself: whoever had the bytes stored was judged before, and they are given to nobody but the scanner.
    store: Store,
    inspector: Inspector,
    scanner: Scanner,
    config: ScanConfig,
    pace: Pace,
    clock: Arc<dyn Clock>,
    news: Arc<News>,
    figures: Arc<Figures>,
    places: Arc<Semaphore>,
    tried: Mutex<Tried>,
}

type Place = (BucketName, FileId);

/// What is known of files that wait.
#[derive(Default)]
struct Tried {
    running: HashSet<Place>,
    failed: HashMap<Place, Failed>,
    /// Failures since the scanner last answered.
    unanswered: usize,
}

#[derive(Clone, Copy)]
struct Failed {
    times: u32,
    next: Instant,
}

impl Tried {
    /// Those that failed and are not tried just now.
    fn resting(&self) -> impl Iterator<Item = (&Place, &Failed)> {
        self.failed.iter().filter(|(place, _)| !self.running.contains(*place))
    }
}

/// What came of a look at a file.
enum Done {
    /// It waits no more.
    Settled,
    Failed(ScanError),
}

impl Scans {
    /// `store` must be the one through which bytes are held back, so that what is looked at here is told of in `news`.
    pub fn new(
        (store, clock): (Store, Arc<dyn Clock>),
        inspector: Inspector,
        (scanner, config): (Scanner, ScanConfig),
        pace: Pace,
        news: Arc<News>,
    ) -> Self {
        let inner = Inner {
            store,
            inspector,
            scanner,
            config,
            pace,
            clock,
            news,
            figures: Arc::default(),
            places: Arc::new(Semaphore::new(pace.at_once)),
            tried: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What was done since the start.
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.inner.figures)
    }

    /// Scans for ever. Whoever gives it up loses nothing: what was under way is scanned again.
    pub async fn keep_scanning(self) {
        let mut running = JoinSet::new();
        let mut sweep = Instant::now();
        loop {
            if sweep <= Instant::now() {
                sweep = Instant::now()
                    + match self.tell_all().await {
                        Ok(()) => self.inner.pace.sweep,
                        Err(fault) => {
                            tracing::warn!(%fault, "what waits to be scanned cannot be looked for");
                            self.inner.pace.pause
                        }
                    };
            }
            let until = self.inner.next_try().map_or(sweep, |next| next.min(sweep));
            let buckets = tokio::select! {
                buckets = self.inner.news.take() => buckets,
                () = tokio::time::sleep_until(until) => self.inner.buckets_due(),
            };
            for bucket in buckets {
                if let Err(fault) = self.begin(&bucket, &mut running).await {
                    tracing::warn!(%bucket, %fault, "what waits to be scanned cannot be looked up");
                    tokio::time::sleep(self.inner.pace.pause).await;
                }
            }
            while running.try_join_next().is_some() {}
        }
    }

    /// Has all buckets looked at.
    async fn tell_all(&self) -> Result<(), Fault> {
        for bucket in self.inner.store.buckets_with_files().await? {
            self.inner.news.tell(&bucket);
        }
        Ok(())
    }

    /// Begins to scan what waits in a bucket and is due.
    async fn begin(&self, bucket: &BucketName, running: &mut JoinSet<()>) -> Result<(), Fault> {
        self.inner.look_at_received(bucket).await?;
        let (mut after, mut waiting) = (None, HashSet::new());
        loop {
            let page = self.inner.page(bucket, FileState::Scanning, after.take()).await?;
            waiting.extend(page.files.iter().map(|(id, _)| *id));
            self.inner.figures.wait(bucket, waiting.len() as u64);
            for (id, _) in page.files {
                if self.inner.is_away() {
                    return Ok(());
                }
                let place = (bucket.clone(), id);
                if !self.inner.take(&place) {
                    continue;
                }
                let Ok(permit) = Arc::clone(&self.inner.places).acquire_owned().await else {
                    return Ok(());
                };
                let inner = Arc::clone(&self.inner);
                running.spawn(async move {
                    inner.run(place).await;
                    drop(permit);
                });
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        self.inner.forget_others(bucket, &waiting);
        Ok(())
    }
}

impl Inner {
    /// Files that a crash left between being joined and being looked at. What is taken is scanned then.
    async fn look_at_received(&self, bucket: &BucketName) -> Result<(), Fault> {
        let mut after = None;
        loop {
            let page = self.page(bucket, FileState::Received, after.take()).await?;
            for (id, file) in page.files.iter().filter(|(_, file)| file.labels.barred.is_some()) {
                let Ok(key) = ObjectKey::parse(file.key.clone()) else {
                    continue;
                };
                if let Err(error) = self.inspector.settle((bucket, &key)).await {
                    tracing::debug!(%bucket, %id, %error, "a file that came cannot be looked at yet");
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn page(&self, bucket: &BucketName, state: FileState, after: Option<Vec<u8>>) -> Result<FilePage, Fault> {
        let filter = FileFilter {
            state: Some(state),
            ..FileFilter::default()
        };
        let query = FileQuery::oldest_first(filter, PAGE, after);
        self.store.list_files(bucket, &query).await
    }

    /// Files that wait no more are not tried again.
    fn forget_others(&self, bucket: &BucketName, waiting: &HashSet<FileId>) {
        let mut tried = self.tried.lock();
        tried.failed.retain(|(of, id), _| of != bucket || waiting.contains(id));
    }

    /// Whether the scanner left so many without an answer that others are not begun until one is due again.
    fn is_away(&self) -> bool {
        let tried = self.tried.lock();
        let now = Instant::now();
        // Those that pass need their tries.
        self.config.down == Down::Hold
            && tried.unanswered >= self.pace.at_once
            && tried.failed.values().all(|failed| failed.next > now)
    }

    /// When the next one is tried again.
    fn next_try(&self) -> Option<Instant> {
        self.tried.lock().resting().map(|(_, failed)| failed.next).min()
    }

    fn buckets_due(&self) -> BTreeSet<BucketName> {
        let now = Instant::now();
        let tried = self.tried.lock();
        let due = tried.resting().filter(|(_, failed)| failed.next <= now);
        due.map(|((bucket, _), _)| bucket.clone()).collect()
    }

    /// Whether a file is due and nobody scans it; it counts as being scanned then.
    fn take(&self, place: &Place) -> bool {
        let mut tried = self.tried.lock();
        let is_due = tried
            .failed
            .get(place)
            .is_none_or(|failed| failed.next <= Instant::now());
        is_due && tried.running.insert(place.clone())
    }

    async fn run(&self, place: Place) {
        let done = self.settle(&place).await;
        self.note(&place, done);
        // What comes next, and when, is found anew.
        self.news.tell(&place.0);
    }

    fn note(&self, place: &Place, done: Done) {
        let mut tried = self.tried.lock();
        tried.running.remove(place);
        match done {
            Done::Settled => {
                tried.failed.remove(place);
            }
            Done::Failed(error) => {
                let times = tried
                    .failed
                    .get(place)
                    .map_or(0, |failed| failed.times)
                    .saturating_add(1);
                tracing::warn!(bucket = %place.0, id = %place.1, times, %error, "a file cannot be scanned yet");
                let pause = self.pace.pause.saturating_mul(1 << times.saturating_sub(1).min(16));
                let next = Instant::now() + pause.min(self.pace.pause_max);
                tried.failed.insert(place.clone(), Failed { times, next });
            }
        }
    }

    /// Asks about a file until what is answered is about the bytes that stand there, and notes it.
    async fn settle(&self, (bucket, id): &Place) -> Done {
        for _ in 0..LOOKS_MAX {
            let (file, rev) = match self.store.file(bucket, id).await {
                Ok(Some((file, rev))) if file.state == FileState::Scanning => (file, rev),
                Ok(_) => return Done::Settled,
                Err(fault) => return Done::Failed(ScanError::Bytes(fault.to_string())),
            };
            let begun = Instant::now();
            let asked = self.ask(bucket, *id, &file).await;
            let said = match &asked {
                Ok(verdict) => said_of(verdict),
                Err(_) => "error",
            };
            self.figures.scanned(said, begun.elapsed());
            let (state, scan) = match asked {
                Ok(verdict) => self.judged(verdict),
                Err(error) => match self.passes(&(bucket.clone(), *id), &error) {
                    true => (FileState::Active, self.record(ScanVerdict::NotScanned, None)),
                    false => return Done::Failed(error),
                },
            };
            let change = |file: &mut File| {
                file.state = state;
                file.scan = Some(scan.clone());
            };
            match self.note_verdict((bucket, *id), (&file, rev), &change).await {
                Ok(true) => {
                    if state == FileState::Quarantined {
                        let (verdict, signature) = (scan.verdict.name(), scan.signature.as_deref());
                        tracing::warn!(%bucket, %id, verdict, signature, "a file is in quarantine");
                    }
                    return Done::Settled;
                }
                // What was said is of bytes that are others by now.
                Ok(false) => {}
                Err(error) => return Done::Failed(ScanError::Bytes(error.to_string())),
            }
        }
        Done::Failed(ScanError::Bytes("the file changed again and again".to_owned()))
    }

    /// Changes the file if it still has the bytes that it had when they were scanned, whatever else was said of it meanwhile;
    /// `false`: it has not.
    async fn note_verdict(
        &self,
        (bucket, id): (&BucketName, FileId),
        (scanned, mut rev): (&File, Rev),
        change: &(impl Fn(&mut File) + Send + Sync),
    ) -> Result<bool, FileError> {
        for _ in 0..LOOKS_MAX {
            match self.store.change_file(bucket, id, Some(rev), change).await {
                Ok(_) => return Ok(true),
                Err(FileError::Changed) => {}
                Err(FileError::NoSuchFile | FileError::State(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
            match self.store.file(bucket, &id).await? {
                Some((found, at)) if same_bytes(scanned, &found) => rev = at,
                Some(_) | None => return Ok(false),
            }
        }
        Ok(false)
    }

    async fn ask(&self, bucket: &BucketName, id: FileId, file: &File) -> Result<Verdict, ScanError> {
        if file.size > self.config.bytes_max {
            return Ok(Verdict::TooLarge);
        }
        let bytes = |why: String| ScanError::Bytes(why);
        let key = ObjectKey::parse(file.key.clone()).map_err(|error| bytes(error.to_string()))?;
        let get = GetObject {
            bucket: bucket.clone(),
            key,
            version: None,
            selection: Selection::Whole,
            conditions: Default::default(),
        };
        let source = Source {
            store: &self.store,
            get,
        };
        let subject = Subject {
            bucket,
            id,
            file,
            now: self.clock.now(),
        };
        let answered = self.scanner.scan(&subject, &source).await;
        let mut tried = self.tried.lock();
        match &answered {
            Ok(_) if tried.unanswered > 0 => {
                // It is back: whatever waited for it is tried at once.
                tried.unanswered = 0;
                let now = Instant::now();
                for ((bucket, _), failed) in &mut tried.failed {
                    failed.next = now;
                    self.news.tell(bucket);
                }
            }
            Err(ScanError::Scanner(_)) => tried.unanswered = tried.unanswered.saturating_add(1),
            Ok(_) | Err(ScanError::Bytes(_)) => {}
        }
        answered
    }

    /// Whether a file may be read though the scanner did not answer; never when it is our own bytes that cannot be had.
    fn passes(&self, place: &Place, error: &ScanError) -> bool {
        let tried = self.tried.lock();
        let times = tried.failed.get(place).map_or(0, |failed| failed.times);
        let is_away = matches!(error, ScanError::Scanner(_));
        is_away && self.config.down == Down::Pass && times + 1 >= TRIES_BEFORE_PASSING
    }

    /// What becomes of a file by what was said of it.
    fn judged(&self, verdict: Verdict) -> (FileState, ScanRecord) {
        match verdict {
            Verdict::Clean => (FileState::Active, self.record(ScanVerdict::Clean, None)),
            Verdict::Infected(name) => (FileState::Quarantined, self.record(ScanVerdict::Infected, Some(name))),
            Verdict::TooLarge => {
                let state = match self.config.too_large {
                    TooLarge::Pass => FileState::Active,
                    TooLarge::Quarantine => FileState::Quarantined,
                };
                (state, self.record(ScanVerdict::TooLarge, None))
            }
        }
    }

    fn record(&self, verdict: ScanVerdict, signature: Option<String>) -> ScanRecord {
        ScanRecord {
            verdict,
            engine: self.scanner.name().to_owned(),
            signature,
            at: self.clock.now(),
            released: None,
        }
    }
}

/// Whether nothing came in the place of the bytes that were scanned.
fn same_bytes(scanned: &File, found: &File) -> bool {
    let bytes = |file: &File| (file.state, file.received, file.size, file.etag, file.sha256);
    bytes(scanned) == bytes(found)
}

fn said_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Infected(_) => "infected",
        Verdict::TooLarge => "too-large",
    }
}
