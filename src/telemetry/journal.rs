//! The journal: the last lines of the log, kept in memory, and those that come, for who listens (`mc admin logs`).
//!
//! Owns the ring. It gets what the log gets, so secrets never reach it either. It never writes anything.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::feed::{Feed, Listener, TooMany};

/// Lines that are kept.
const LINES: usize = 1_000;
/// Most bytes of a line that are kept.
const LINE_BYTES_MAX: usize = 4_096;

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: OffsetDateTime,
    pub level: Level,
    /// The message, and behind it its fields.
    pub text: String,
}

/// See the module. Clones are the same journal.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    lines: Arc<Mutex<VecDeque<Arc<Line>>>>,
    feed: Feed<Line>,
}

impl Journal {
    /// The last `count` lines, and everything that comes after them.
    pub fn listen(&self, count: usize) -> Result<(Vec<Arc<Line>>, Listener<Line>), TooMany> {
        let lines = self.lines.lock();
        let listener = self.feed.listen()?;
        let skipped = lines.len().saturating_sub(count);
        Ok((lines.iter().skip(skipped).cloned().collect(), listener))
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.feed.close();
    }

    fn note(&self, line: Line) {
        let mut lines = self.lines.lock();
        if lines.len() >= LINES {
            lines.pop_front();
        }
        lines.push_back(Arc::new(line.clone()));
        self.feed.tell(|| line);
    }
}

/// Writes down the fields of an event, the message first.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        // A value that cannot be shown is left out, as in the log itself.
        debug_assert!(written.is_ok(), "a String takes everything");
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let mut text = text.message + &text.fields;
        text.truncate(text.floor_char_boundary(LINE_BYTES_MAX));
        self.note(Line {
            at: OffsetDateTime::now_utc(),
            level: *event.metadata().level(),
            text,
        });
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::telemetry::feed::Heard;

    #[tokio::test]
    async fn the_last_lines_are_kept_and_those_that_come_are_heard() {
        let journal = Journal::default();
        let subscriber = tracing_subscriber::registry().with(journal.clone());
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..LINES + 5 {
                tracing::info!(number, "a line");
            }
        });
        let (kept, mut listener) = journal.listen(2).unwrap();
        let texts: Vec<_> = kept.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["a line number=1003", "a line number=1004"]);
        assert_eq!(journal.listen(usize::MAX).unwrap().0.len(), LINES);
        let subscriber = tracing_subscriber::registry().with(journal.clone());
        tracing::subscriber::with_default(subscriber, || tracing::warn!("{}", "x".repeat(10_000)));
        let Some(Heard::Told(told)) = listener.next().await else {
            panic!("nothing was told")
        };
        assert_eq!((told.level, told.text.len()), (Level::WARN, LINE_BYTES_MAX));
        journal.close();
        assert!(listener.next().await.is_none());
    }
}
