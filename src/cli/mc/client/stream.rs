//! Answers that do not end: JSON documents one after the other, with blanks between them. Holds one document at most.

use bytes::BytesMut;
use http::Response;
use http_body_util::BodyExt;
use serde_json::{Deserializer, Value};

use super::{ClientError, Coming};

/// A longer document is none of a server that means well.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The documents of an answer, as they come.
pub(in crate::cli::mc) struct Documents {
    body: Coming,
    read: BytesMut,
}

impl Documents {
    /// Of an answer that began.
    pub(in crate::cli::mc) fn of(answer: Response<Coming>) -> Self {
        Self {
            body: answer.into_body(),
            read: BytesMut::new(),
        }
    }

    /// The next document; `None` when the server ended the answer.
    pub(in crate::cli::mc) async fn next(&mut self) -> Result<Option<Value>, ClientError> {
        loop {
            if let Some(document) = first(&mut self.read)? {
                return Ok(Some(document));
            }
            if self.read.len() > DOCUMENT_BYTES_MAX {
                let reason = "a document in the answer is longer than any server sends".to_owned();
                return Err(ClientError::Answer { reason });
            }
            let Some(frame) = self.body.frame().await else {
                if self.read.is_empty() {
                    return Ok(None);
                }
                let reason = "the answer ended within a document".to_owned();
                return Err(ClientError::Answer { reason });
            };
            if let Ok(data) = frame.map_err(|cut| cut.of("the answer"))?.into_data() {
                self.read.extend_from_slice(&data);
            }
        }
    }
}

/// Takes the first whole document off what was read; blanks before it are gone, too.
fn first(read: &mut BytesMut) -> Result<Option<Value>, ClientError> {
    let blanks = read.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    drop(read.split_to(blanks));
    let mut documents = Deserializer::from_slice(read).into_iter::<Value>();
    match documents.next() {
        Some(Ok(document)) => {
            let length = documents.byte_offset().min(read.len());
            drop(read.split_to(length));
            Ok(Some(document))
        }
        Some(Err(error)) if !error.is_eof() => Err(ClientError::Answer {
            reason: format!("the answer is not JSON: {error}"),
        }),
        Some(Err(_)) | None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_are_taken_whole_however_they_come() {
        let mut read = BytesMut::from(&b"  {\"a\":1}\n {\"b\""[..]);
        assert_eq!(first(&mut read).unwrap(), Some(json!({ "a": 1 })));
        assert_eq!(first(&mut read).unwrap(), None);
        read.extend_from_slice(b":[2]}{\"c\":3}  ");
        assert_eq!(first(&mut read).unwrap(), Some(json!({ "b": [2] })));
        assert_eq!(first(&mut read).unwrap(), Some(json!({ "c": 3 })));
        assert_eq!(first(&mut read).unwrap(), None);
        assert!(read.is_empty());
        assert!(first(&mut BytesMut::from(&b"<html>"[..])).is_err());
    }
}
