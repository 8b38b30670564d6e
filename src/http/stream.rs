//! Answers without an end: one document after the other, as they come, and a blank where nothing comes for a while, so that
//! both sides know that the connection stands.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::body::{Body, BoxError};

/// Marks an answer that ends when its listener leaves: it holds up nobody who waits for a turn.
#[derive(Clone, Copy, Debug)]
pub struct Endless;

/// A body that goes on until `documents` ends. `blank` goes out first, and whenever nothing came for `beat`.
pub fn endless<S>(documents: S, beat: Duration, blank: &'static [u8]) -> Body
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    let frame = |bytes: Bytes| Ok::<_, BoxError>(Frame::data(bytes));
    let blank = Bytes::from_static(blank);
    let first = stream::iter([frame(blank.clone())]);
    let rest = stream::unfold(Box::pin(documents), move |mut documents| {
        let blank = blank.clone();
        async move {
            match tokio::time::timeout(beat, documents.next()).await {
                Ok(Some(document)) => Some((frame(document), documents)),
                Ok(None) => None,
                Err(_) => Some((frame(blank), documents)),
            }
        }
    });
    StreamBody::new(first.chain(rest)).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn documents_go_out_as_they_come_and_then_the_body_ends() {
        let documents = stream::iter(["0\n", "1\n"]).map(Bytes::from);
        let body = endless(documents, Duration::from_secs(3_600), b" ");
        assert_eq!(body.collect().await.unwrap().to_bytes(), " 0\n1\n");
    }

    #[tokio::test]
    async fn where_nothing_comes_blanks_go_out() {
        let mut body = endless(stream::pending(), Duration::from_millis(1), b" ");
        for _ in 0..3 {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.data_ref().unwrap(), " ");
        }
    }
}
