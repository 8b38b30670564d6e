//! Webhooks: applications are told of what happens to their files, by HTTP.
//!
//! Owns the way of an event from the store's outbox to each receiver: handed out to those who listen, delivered at least
//! once, tried again for three days, then given up and kept in the log. What happened is written down by the engine with
//! the change itself, so a stop or a crash at any moment loses nothing; it may bring something twice, under the same id.
//! The order is not kept. No receiver waits for another one.

mod attempt;
mod figures;
pub mod payload;
mod queue;
mod retry;
pub mod sign;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use storage_engine::store::Store;
use storage_engine::store::clock::Clock;
use storage_engine::store::files::{EventId, ListenerId};
use storage_engine::store::name::BucketName;
use storage_engine::store::projects::OfProject;
use storage_engine::store::record::event::{DeliveryRecord, DeliveryState, EventKind, EventRecord};
use tokio::task::JoinSet;
use url::Url;

pub use self::figures::Sums;
use self::figures::{Figures, Outcome};
use self::queue::Queue;
use crate::outbound::{Outbound, OutboundError};
use crate::projects::{Projects, ProjectsError};

/// How often it is looked for something to deliver.
const PAUSE: Duration = Duration::from_millis(500);
/// Deliveries of the log that are told at once.
const LOG_PAGE: usize = 100;

/// Tells applications. Clones are the same.
#[derive(Clone)]
pub struct Webhooks {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    projects: Projects,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
    /// What is known of what waits for each receiver.
    queues: Mutex<HashMap<ListenerId, Queue>>,
    figures: Figures,
    /// Held while events are handed out, and while a receiver is forgotten.
    turn: tokio::sync::Mutex<()>,
}

impl Webhooks {
    pub fn new(store: Store, projects: Projects, outbound: Outbound, clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            store,
            projects,
            outbound,
            clock,
            queues: Mutex::default(),
            figures: Figures::default(),
            turn: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Delivers, for ever. Whoever gives it up loses nothing: what was under way is tried again.
    pub async fn keep_delivering(self) {
        let (mut running, mut is_mended) = (JoinSet::new(), false);
        loop {
            // What a server before this one left; until the projects can be read.
            if !is_mended {
                is_mended = self.mend().await.is_ok();
            }
            self.begin_due(&mut running).await;
            tokio::time::sleep(PAUSE).await;
            while running.try_join_next().is_some() {}
        }
    }

    /// Where the last webhook went and a stop came before the rest: nothing more is written down, and nothing is kept.
    pub(crate) async fn mend(&self) -> Result<(), ProjectsError> {
        let _turn = self.inner.turn.lock().await;
        for (of, bucket) in self.inner.projects.mend_listening().await? {
            queue::drop_unheard(&self.inner, &of, &bucket).await?;
        }
        Ok(())
    }

    /// Tries everything that is due, once.
    #[cfg(test)]
    pub(crate) async fn deliver_due(&self) {
        for due in queue::due(&self.inner).await {
            queue::run(&self.inner, due).await;
        }
    }

    /// Begins to deliver to each receiver that something is due for and that nothing is delivered to yet.
    async fn begin_due(&self, running: &mut JoinSet<()>) {
        for due in queue::due(&self.inner).await {
            let inner = Arc::clone(&self.inner);
            running.spawn(async move { queue::run(&inner, due).await });
        }
    }

    /// How it stands now.
    pub fn figures(&self) -> Sums {
        let now = self.inner.clock.now();
        let all = self.inner.projects.all_webhooks().unwrap_or_default();
        let hooks = all.iter().flat_map(|listening| &listening.webhooks);
        let queues = self.inner.queues.lock();
        let (mut waiting, mut oldest) = (0, None);
        for queue in hooks.filter_map(|hook| queues.get(&hook.id)) {
            waiting += queue.waiting as u64;
            oldest = oldest.into_iter().chain(queue.oldest).min();
        }
        Sums {
            outcomes: self.inner.figures.outcomes(),
            waiting,
            oldest_seconds: oldest.map_or(0, |oldest| now.millis().saturating_sub(oldest.millis()) / 1_000),
        }
    }

    /// Whether an address may be called; who is told of events must have one that may.
    pub fn check(&self, url: &str) -> Result<Url, OutboundError> {
        self.inner.outbound.check(url)
    }

    /// Takes a webhook away, with all that waits for it and its log.
    pub async fn remove(&self, of: OfProject, bucket: &BucketName, id: ListenerId) -> Result<(), ProjectsError> {
        let _turn = self.inner.turn.lock().await;
        self.inner.projects.remove_webhook(of.clone(), id).await?;
        self.inner.queues.lock().remove(&id);
        self.inner.store.forget_listener(bucket, &id).await?;
        queue::drop_unheard(&self.inner, &of, bucket).await
    }

    /// Delivers an event that did not happen, once and now; what became of it stands in the log as well.
    pub async fn test(
        &self,
        of: &OfProject,
        bucket: &BucketName,
        id: ListenerId,
    ) -> Result<(EventId, DeliveryRecord), ProjectsError> {
        let hooks = self.inner.projects.webhooks(of)?;
        let hook = hooks.into_iter().find(|hook| hook.id == id);
        let hook = hook.ok_or(ProjectsError::NoSuchWebhook)?;
        let now = self.inner.clock.now();
        let event = EventRecord {
            kind: EventKind::Test,
            at: now,
            id: None,
            from: None,
            file: None,
            purged: false,
        };
        let event_id = self.inner.store.next_file_id()?;
        let told = attempt::tell(&self.inner, of, &hook, (event_id, &event)).await;
        self.inner.figures.note(match told.error {
            None => Outcome::Delivered,
            Some(_) => Outcome::Dead,
        });
        let delivery = DeliveryRecord {
            event,
            attempts: 1,
            at: now,
            state: match told.error {
                None => DeliveryState::Delivered,
                Some(_) => DeliveryState::Dead,
            },
            status: told.status,
            error: told.error,
        };
        self.inner.store.put_delivery(bucket, &id, event_id, &delivery).await?;
        Ok((event_id, delivery))
    }

    /// At most `limit` deliveries to a webhook: with `waiting` those that wait, the oldest first; else those that have ended,
    /// the newest first. They go on behind `after`.
    pub async fn deliveries(
        &self,
        bucket: &BucketName,
        id: &ListenerId,
        (waiting, after, limit): (bool, Option<EventId>, usize),
    ) -> Result<Vec<(EventId, DeliveryRecord)>, ProjectsError> {
        let limit = limit.min(LOG_PAGE);
        let found = match waiting {
            true => self.inner.store.waiting_deliveries(bucket, id, (after, limit)).await?,
            false => self.inner.store.ended_deliveries(bucket, id, (after, limit)).await?,
        };
        Ok(found)
    }
}
