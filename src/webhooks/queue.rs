//! Events on their way to receivers: handed out, delivered when they are due, put off or given up.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::error::Fault;
use storage_engine::store::files::{EventId, ListenerId};
use storage_engine::store::name::BucketName;
use storage_engine::store::projects::OfProject;
use storage_engine::store::record::event::{DeliveryRecord, DeliveryState, EventRecord};

use super::figures::Outcome;
use super::{Inner, attempt, retry};
use crate::projects::{ProjectsError, Webhook, WebhooksOf};

/// Deliveries that may wait for one receiver. What comes then is given up at once, and stands in the log.
pub(super) const WAITING_MAX: usize = 10_000;
/// Deliveries that have ended and are kept in the log of one receiver.
pub(super) const ENDED_MAX: usize = 1_000;
/// The same, before the oldest are forgotten.
const ENDED_SURPLUS: usize = 100;
/// Events or deliveries that are read together.
const PAGE: usize = 100;
/// Deliveries to one receiver at the same time.
const AT_ONCE: usize = 4;

/// What is known of what waits for one receiver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    pub(super) waiting: usize,
    /// When the oldest happened of what waits; `None`: nothing waits.
    pub(super) oldest: Option<Timestamp>,
    /// The same of what was handed out since it was last delivered.
    came: Option<Timestamp>,
    /// When something is to be delivered; `None`: nothing waits.
    due: Option<Timestamp>,
    is_running: bool,
    /// How many have ended since the log was last made shorter.
    ended: usize,
}

/// A receiver that something is due for.
pub(super) struct Due {
    of: OfProject,
    bucket: BucketName,
    hook: Webhook,
}

/// Hands out what happened, and tells for whom something is due now; each of them counts as running from here.
pub(super) async fn due(inner: &Inner) -> Vec<Due> {
    let Ok(all) = inner.projects.all_webhooks() else {
        return Vec::new();
    };
    let mut due = Vec::new();
    for listening in all {
        if let Err(fault) = hand_out(inner, &listening.of).await {
            tracing::debug!(%fault, bucket = %listening.bucket, "what happened to files cannot be handed out now");
            continue;
        }
        // What was handed out just now is due now.
        let now = inner.clock.now();
        for hook in listening.webhooks.into_iter().filter(|hook| hook.active) {
            let mut queues = inner.queues.lock();
            let Some(queue) = queues.get_mut(&hook.id) else {
                continue;
            };
            if queue.is_running || queue.due.is_none_or(|due| due > now) {
                continue;
            }
            queue.is_running = true;
            due.push(Due {
                of: listening.of.clone(),
                bucket: listening.bucket.clone(),
                hook,
            });
        }
    }
    due
}

async fn hand_out(inner: &Inner, of: &OfProject) -> Result<(), Fault> {
    let _turn = inner.turn.lock().await;
    // Looked at under the turn: who is forgotten is handed nothing.
    let all = inner.projects.all_webhooks().unwrap_or_default();
    let Some(listening) = all.into_iter().find(|listening| listening.of == *of) else {
        return Ok(());
    };
    let bucket = &listening.bucket;
    for hook in &listening.webhooks {
        let is_known = inner.queues.lock().contains_key(&hook.id);
        if !is_known {
            let queue = count(inner, bucket, &hook.id).await?;
            inner.queues.lock().insert(hook.id, queue);
        }
    }
    loop {
        let events = inner.store.events(bucket, PAGE).await?;
        for (id, event) in &events {
            hand_out_one(inner, &listening, (*id, event)).await?;
        }
        if events.len() < PAGE {
            return Ok(());
        }
    }
}

/// Drops what nobody is told of, where the last listener has gone.
pub(super) async fn drop_unheard(inner: &Inner, of: &OfProject, bucket: &BucketName) -> Result<(), ProjectsError> {
    if !inner.projects.webhooks(of)?.is_empty() {
        return Ok(());
    }
    loop {
        let events = inner.store.events(bucket, PAGE).await?;
        for (id, _) in &events {
            inner.store.hand_out(bucket, *id, &[]).await?;
        }
        if events.len() < PAGE {
            return Ok(());
        }
    }
}

async fn hand_out_one(
    inner: &Inner,
    listening: &WebhooksOf,
    (id, event): (EventId, &EventRecord),
) -> Result<(), Fault> {
    let listens = |hook: &&Webhook| hook.active && hook.events & event.kind.bit() != 0;
    let now = inner.clock.now();
    let deliveries: Vec<(ListenerId, DeliveryRecord)> = {
        let queues = inner.queues.lock();
        let full = |hook: &Webhook| queues.get(&hook.id).is_some_and(|queue| queue.waiting >= WAITING_MAX);
        let hooks = listening.webhooks.iter().filter(listens);
        hooks
            .map(|hook| (hook.id, handed_out(event, now, full(hook))))
            .collect()
    };
    let taken = inner.store.hand_out(&listening.bucket, id, &deliveries).await?;
    let mut queues = inner.queues.lock();
    for (hook, delivery) in deliveries.iter().filter(|_| taken) {
        let Some(queue) = queues.get_mut(hook) else { continue };
        if delivery.state == DeliveryState::Waiting {
            queue.waiting += 1;
            let at = event.at;
            queue.came = Some(queue.came.map_or(at, |came| came.min(at)));
            queue.oldest = Some(queue.oldest.map_or(at, |oldest| oldest.min(at)));
            queue.due = Some(queue.due.map_or(now, |due| due.min(now)));
        } else {
            queue.ended += 1;
            inner.figures.note(Outcome::Dead);
        }
    }
    Ok(())
}

fn handed_out(event: &EventRecord, now: Timestamp, is_full: bool) -> DeliveryRecord {
    let delivery = DeliveryRecord {
        event: event.clone(),
        attempts: 0,
        at: now,
        state: DeliveryState::Waiting,
        status: None,
        error: None,
    };
    match is_full {
        true => ended(
            delivery,
            DeliveryState::Dead,
            Some("Too many deliveries wait for this receiver.".to_owned()),
        ),
        false => delivery,
    }
}

/// What is kept of a delivery in the log.
fn ended(delivery: DeliveryRecord, state: DeliveryState, error: Option<String>) -> DeliveryRecord {
    DeliveryRecord {
        event: EventRecord {
            file: None,
            ..delivery.event
        },
        state,
        error,
        ..delivery
    }
}

/// Counts what waits for a receiver that nothing is known of yet.
async fn count(inner: &Inner, bucket: &BucketName, hook: &ListenerId) -> Result<Queue, Fault> {
    let (mut waiting, mut due, mut oldest, mut after) = (0, None, None, None);
    loop {
        let page = inner.store.waiting_deliveries(bucket, hook, (after, PAGE)).await?;
        waiting += page.len();
        let first = page.iter().map(|(_, delivery)| delivery.at).min();
        due = due.into_iter().chain(first).min();
        oldest = oldest.into_iter().chain(happened(&page)).min();
        match page.last() {
            Some((last, _)) if page.len() == PAGE => after = Some(*last),
            Some(_) | None => break,
        }
    }
    Ok(Queue {
        waiting,
        oldest,
        came: None,
        due,
        is_running: false,
        ended: ENDED_SURPLUS,
    })
}

/// Delivers what is due for a receiver.
pub(super) async fn run(inner: &Arc<Inner>, due: Due) {
    // What comes in from here on makes it due again.
    if let Some(queue) = inner.queues.lock().get_mut(&due.hook.id) {
        (queue.due, queue.came) = (None, None);
    }
    let left = deliver(inner, &due).await;
    let now = inner.clock.now();
    let (next, oldest) = match left {
        Ok(left) => (left.next, Some(left.oldest)),
        Err(fault) => {
            tracing::debug!(%fault, webhook = %due.hook.url, "what waits for a receiver cannot be read now");
            (Some(later(now, Duration::from_secs(5))), None)
        }
    };
    let surplus = {
        let mut queues = inner.queues.lock();
        let Some(queue) = queues.get_mut(&due.hook.id) else {
            return;
        };
        queue.is_running = false;
        queue.due = queue.due.into_iter().chain(next).min();
        if let Some(oldest) = oldest {
            queue.oldest = queue.came.into_iter().chain(oldest).min();
        }
        queue.ended > ENDED_SURPLUS
    };
    if surplus {
        match inner.store.trim_deliveries(&due.bucket, &due.hook.id, ENDED_MAX).await {
            Ok(_) => {
                if let Some(queue) = inner.queues.lock().get_mut(&due.hook.id) {
                    queue.ended = 0;
                }
            }
            Err(fault) => tracing::debug!(%fault, "the log of a webhook stays longer than it should be"),
        }
    }
}

/// When the oldest happened of what some deliveries tell of.
fn happened(deliveries: &[(EventId, DeliveryRecord)]) -> Option<Timestamp> {
    deliveries.iter().map(|(_, delivery)| delivery.event.at).min()
}

/// What waits on for a receiver.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    /// When the next is due.
    next: Option<Timestamp>,
    /// When the oldest happened.
    oldest: Option<Timestamp>,
}

impl Left {
    fn add(&mut self, at: Option<Timestamp>, happened: Option<Timestamp>) {
        self.next = self.next.into_iter().chain(at).min();
        self.oldest = self.oldest.into_iter().chain(happened).min();
    }
}

async fn deliver(inner: &Arc<Inner>, due: &Due) -> Result<Left, Fault> {
    let (mut left, mut after) = (Left::default(), None);
    loop {
        let page = inner
            .store
            .waiting_deliveries(&due.bucket, &due.hook.id, (after, PAGE))
            .await?;
        let last = page.last().map(|(last, _)| *last);
        let is_whole = page.len() < PAGE;
        let now = inner.clock.now();
        let (ripe, unripe): (Vec<_>, Vec<_>) = page.into_iter().partition(|(_, delivery)| delivery.at <= now);
        let first = unripe.iter().map(|(_, delivery)| delivery.at).min();
        left.add(first, happened(&unripe));
        for some in ripe.chunks(AT_ONCE) {
            let telling = some
                .iter()
                .map(|(id, delivery)| one(inner, due, (*id, delivery.clone())));
            for (again, (_, delivery)) in join_all(telling).await.into_iter().zip(some) {
                let again = again?;
                left.add(again, again.map(|_| delivery.event.at));
            }
        }
        match last {
            Some(last) if !is_whole => after = Some(last),
            Some(_) | None => return Ok(left),
        }
    }
}

/// Tries one delivery; when it is tried again, if it is.
fn one<'a>(
    inner: &'a Arc<Inner>,
    due: &'a Due,
    (id, delivery): (EventId, DeliveryRecord),
) -> BoxFuture<'a, Result<Option<Timestamp>, Fault>> {
    Box::pin(async move {
        let told = attempt::tell(inner, &due.of, &due.hook, (id, &delivery.event)).await;
        let now = inner.clock.now();
        let attempts = delivery.attempts.saturating_add(1);
        let since = Duration::from_millis(now.millis().saturating_sub(delivery.event.at.millis()));
        let mut luck = [0];
        // Without luck it is tried a little earlier.
        let _ = getrandom::fill(&mut luck);
        let [luck] = luck;
        let tried = DeliveryRecord {
            attempts,
            at: now,
            status: told.status,
            ..delivery
        };
        let (noted, next) = match (told.error, retry::wait(attempts, since, luck)) {
            (None, _) => (ended(tried, DeliveryState::Delivered, None), None),
            (Some(error), None) => (ended(tried, DeliveryState::Dead, Some(error)), None),
            (Some(error), Some(wait)) => {
                let at = later(now, wait);
                let error = Some(error);
                (DeliveryRecord { at, error, ..tried }, Some(at))
            }
        };
        inner.store.note_delivery(&due.bucket, &due.hook.id, id, &noted).await?;
        inner.figures.note(match noted.state {
            DeliveryState::Delivered => Outcome::Delivered,
            DeliveryState::Dead => Outcome::Dead,
            DeliveryState::Waiting => Outcome::Retried,
        });
        if noted.state != DeliveryState::Waiting
            && let Some(queue) = inner.queues.lock().get_mut(&due.hook.id)
        {
            queue.waiting = queue.waiting.saturating_sub(1);
            queue.ended += 1;
        }
        Ok(next)
    })
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(now.millis().saturating_add(wait))
}
