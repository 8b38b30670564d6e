//! Whether what clients saw of one key can have happened one call after the other, each at some moment between its
//! sending and its answer: the search of Wing and Gong, remembering where it has been. Pure.

use std::collections::HashSet;

/// What stands under the key: the number of a body, or nothing.
pub(super) type Value = Option<u32>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    Absent,
    Is(u32),
}

impl Condition {
    fn holds(self, value: Value) -> bool {
        match self {
            Self::None => true,
            Self::Absent => value.is_none(),
            Self::Is(number) => value == Some(number),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// A read, and what it showed.
    Shows(Value),
    /// A write that was done.
    Writes(Condition, Value),
    /// A write that was refused because its condition does not hold.
    Refused(Condition),
    /// A write without an answer, or with one that leaves it open: it may happen at any later time, or never.
    MayWrite(Condition, Value),
}

/// A call of one client, between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) call: Call,
}

impl Event {
    /// What stands after it if it happens now; `None` if it cannot.
    fn happens(&self, value: Value) -> Option<Value> {
        match self.call {
            Call::Shows(shown) => (shown == value).then_some(value),
            Call::Writes(condition, new) => condition.holds(value).then_some(new),
            Call::Refused(condition) => (!condition.holds(value)).then_some(value),
            Call::MayWrite(condition, new) => Some(if condition.holds(value) { new } else { value }),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.call, Call::MayWrite(..))
    }

    fn end(&self) -> u64 {
        if self.is_open() { u64::MAX } else { self.answered }
    }
}

/// Most calls on a key that are looked at.
pub(super) const EVENTS_MAX: usize = 128;

/// Whether the calls, on a key that shows nothing at first, can be put in an order.
///
/// # Panics
/// There are more than [`EVENTS_MAX`].
pub(super) fn is_linearizable(events: &[Event]) -> bool {
    assert!(events.len() <= EVENTS_MAX, "{} calls on one key", events.len());
    let mut been: HashSet<(u128, Value)> = HashSet::new();
    let mut open: Vec<(u128, Value)> = vec![(0, None)];
    while let Some((done, value)) = open.pop() {
        let left = || {
            events
                .iter()
                .enumerate()
                .filter(|(number, _)| done & (1 << number) == 0)
        };
        if left().all(|(_, event)| event.is_open()) {
            return true;
        }
        // What was sent after another was answered comes after it.
        let first_end = left().map(|(_, event)| event.end()).min().unwrap_or(u64::MAX);
        for (number, event) in left().filter(|(_, event)| event.sent <= first_end) {
            if let Some(value) = event.happens(value) {
                let next = (done | 1 << number, value);
                if been.insert(next) {
                    open.push(next);
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sent: u64, answered: u64, call: Call) -> Event {
        Event { sent, answered, call }
    }

    fn put(sent: u64, answered: u64, number: u32) -> Event {
        event(sent, answered, Call::Writes(Condition::None, Some(number)))
    }

    fn get(sent: u64, answered: u64, shown: Value) -> Event {
        event(sent, answered, Call::Shows(shown))
    }

    #[test]
    fn calls_that_overlap_may_come_in_either_order() {
        let delete = event(2, 9, Call::Writes(Condition::None, None));
        for shown in [None, Some(1)] {
            assert!(is_linearizable(&[put(0, 8, 1), delete, get(10, 11, shown)]));
        }
        assert!(is_linearizable(&[
            put(0, 1, 1),
            put(2, 9, 2),
            get(3, 4, Some(2)),
            get(5, 6, Some(2))
        ]));
        let first = event(0, 9, Call::Writes(Condition::Absent, Some(1)));
        let second = event(1, 8, Call::Refused(Condition::Absent));
        assert!(is_linearizable(&[first, second, get(10, 11, Some(1))]));
    }

    #[test]
    fn a_write_without_an_answer_happens_late_or_never_but_once() {
        let open = event(0, 1, Call::MayWrite(Condition::None, Some(1)));
        assert!(is_linearizable(&[open, get(2, 3, None)]));
        assert!(is_linearizable(&[
            open,
            get(2, 3, None),
            put(4, 5, 2),
            get(6, 7, Some(1))
        ]));
        let twice = [open, get(2, 3, Some(1)), put(4, 5, 2), get(6, 7, Some(1))];
        assert!(!is_linearizable(&twice));
        let unmet = event(0, 1, Call::MayWrite(Condition::Is(9), Some(1)));
        assert!(!is_linearizable(&[unmet, get(2, 3, Some(1))]));
    }

    #[test]
    fn what_no_order_explains_is_seen() {
        let bad: [&[Event]; 6] = [
            // A stale read after an overwrite.
            &[put(0, 1, 1), put(2, 3, 2), get(4, 5, Some(1))],
            // Back and forth while one write is on its way.
            &[put(0, 1, 1), put(2, 9, 2), get(3, 4, Some(2)), get(5, 6, Some(1))],
            // Two that both found nothing there.
            &[
                event(0, 9, Call::Writes(Condition::Absent, Some(1))),
                event(1, 8, Call::Writes(Condition::Absent, Some(2))),
            ],
            // A lost write, a write that nobody sent, a refusal without a reason.
            &[put(0, 1, 1), get(2, 3, None)],
            &[put(0, 1, 1), get(2, 3, Some(2))],
            &[put(0, 1, 1), event(2, 3, Call::Refused(Condition::Is(1)))],
        ];
        for events in bad {
            assert!(!is_linearizable(events), "{events:?}");
        }
    }

    #[test]
    fn many_calls_at_once_are_put_in_order_without_trying_every_order() {
        let mut events: Vec<Event> = (0..40).map(|number| put(u64::from(number), 1000, number)).collect();
        events.extend((0..20).map(|at| get(2000 + 2 * at, 2001 + 2 * at, Some(7))));
        assert!(is_linearizable(&events));
        events.push(get(3000, 3001, Some(8)));
        let few = &events[25..];
        assert!(!is_linearizable(few));
    }
}
