//! What delivering did since the process began, and what waits, for who watches it.

use parking_lot::Mutex;

/// How an attempt or a delivery came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver took it.
    Delivered,
    /// The receiver did not take it, and is asked again.
    Retried,
    /// It is given up.
    Dead,
}

/// Counts of all outcomes.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<Counts>);

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    delivered: u64,
    retried: u64,
    dead: u64,
}

/// What was done, and what waits. It is told of all receivers together: how many there are is for apps to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub outcomes: Vec<(&'static str, u64)>,
    /// Deliveries that wait, also for receivers that are switched off.
    pub waiting: u64,
    /// Seconds since what the oldest of them tells of happened; 0: none waits.
    pub oldest_seconds: u64,
}

impl Figures {
    pub(super) fn note(&self, outcome: Outcome) {
        let mut counts = self.0.lock();
        let count = match outcome {
            Outcome::Delivered => &mut counts.delivered,
            Outcome::Retried => &mut counts.retried,
            Outcome::Dead => &mut counts.dead,
        };
        *count = count.saturating_add(1);
    }

    pub(super) fn outcomes(&self) -> Vec<(&'static str, u64)> {
        let Counts {
            delivered,
            retried,
            dead,
        } = *self.0.lock();
        vec![("delivered", delivered), ("retried", retried), ("dead", dead)]
    }
}
