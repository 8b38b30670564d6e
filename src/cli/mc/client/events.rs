//! What happens to objects, told by the server as it happens.

use std::collections::VecDeque;
use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Ask, Client, ClientError, Documents};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::mc) struct Event {
    /// Such as `s3:ObjectCreated:Put`.
    pub(in crate::cli::mc) name: String,
    pub(in crate::cli::mc) time: String,
    pub(in crate::cli::mc) bucket: String,
    pub(in crate::cli::mc) key: String,
    pub(in crate::cli::mc) size: u64,
    /// Who did it, as the server tells it.
    pub(in crate::cli::mc) source: Value,
}

impl Event {
    fn read(record: &Value) -> Option<Self> {
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
        Some(Self {
            name: text("/eventName")?.to_owned(),
            time: text("/eventTime").unwrap_or_default().to_owned(),
            bucket: text("/s3/bucket/name")?.to_owned(),
            key: key(text("/s3/object/key").unwrap_or_default()),
            size: record
                .pointer("/s3/object/size")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
            source: record.get("source").cloned().unwrap_or_default(),
        })
    }
}

/// A key as events write it: as in a form.
fn key(written: &str) -> String {
    percent_decode_str(&written.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

/// The events of a bucket, or of all buckets of a server.
pub(in crate::cli::mc) struct Events {
    documents: Documents,
    told: VecDeque<Event>,
}

impl Client {
    /// Listens; an empty `bucket` is all of them. `names` are patterns such as `s3:ObjectCreated:*`.
    pub(in crate::cli::mc) async fn events(
        self: &Arc<Self>,
        bucket: &str,
        (prefix, suffix): (&str, &str),
        names: &[&str],
    ) -> Result<Events, ClientError> {
        let mut query: Vec<(&str, &str)> = names.iter().map(|name| ("events", *name)).collect();
        let (ping, silence) = self.habits.patience.with_pings();
        let ping = ping.to_string();
        query.extend([("ping", ping.as_str()), ("prefix", prefix), ("suffix", suffix)]);
        let ask = Ask {
            query: &query,
            ..Ask::of(Method::GET, bucket, "")
        };
        let answer = self.ask(&ask).await?.map(|body| body.silent_for(silence));
        Ok(Events {
            documents: Documents::of(answer),
            told: VecDeque::new(),
        })
    }
}

impl Events {
    /// The next event; `None` when the server ended the stream.
    pub(in crate::cli::mc) async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.told.pop_front() {
                return Ok(Some(event));
            }
            let Some(document) = self.documents.next().await? else {
                return Ok(None);
            };
            let records = document.get("Records").and_then(Value::as_array);
            self.told.extend(records.into_iter().flatten().filter_map(Event::read));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_becomes_an_event_with_the_key_as_it_is() {
        let record = json!({
            "eventName": "s3:ObjectCreated:Put", "eventTime": "T", "source": { "host": "h" },
            "s3": { "bucket": { "name": "b" }, "object": { "key": "d%2Fa+b%2B", "size": 6 } },
        });
        let event = Event::read(&record).unwrap();
        assert_eq!(
            (event.key.as_str(), event.size, event.bucket.as_str()),
            ("d/a b+", 6, "b")
        );
        assert_eq!(Event::read(&json!({})), None);
    }
}
