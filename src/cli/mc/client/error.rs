//! Why the client has no good answer, in words that help. Secrets are in none of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::xml::Element;
use crate::cli::call::CallError;

/// What a server answered that is no success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli::mc) struct Refusal {
    pub(in crate::cli::mc) status: u16,
    pub(in crate::cli::mc) code: String,
    pub(in crate::cli::mc) message: String,
    pub(in crate::cli::mc) bucket: String,
    pub(in crate::cli::mc) key: String,
    pub(in crate::cli::mc) resource: String,
    pub(in crate::cli::mc) request_id: String,
    pub(in crate::cli::mc) host_id: String,
    /// The region to sign for, when the server says that it was another.
    pub(in crate::cli::mc) region: String,
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli::mc) enum ClientError {
    #[error("{}", .0.in_words())]
    Refused(Box<Refusal>),
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("{reason}")]
    Connection {
        reason: String,
        /// There was no connection, so nothing can have happened.
        unsent: bool,
    },
    /// A connection on which nothing comes any more.
    #[error("{server} sent nothing for {} s", silence.as_secs())]
    Stalled { server: Arc<str>, silence: Duration },
    #[error("{reason}")]
    Answer { reason: String },
    /// What was being read is another object by now.
    #[error("the object was replaced while it was read")]
    Replaced,
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("Requested path `{}` not found", .0.display())]
    NoPath(PathBuf),
    #[error("{0}")]
    Unfit(String),
}

impl ClientError {
    /// What went wrong with a file.
    pub(in crate::cli::mc) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::NoPath(path),
            _ => Self::File { path, source },
        }
    }

    /// The refusal's code, if it is one.
    pub(in crate::cli::mc) fn code(&self) -> &str {
        match self {
            Self::Refused(refusal) => &refusal.code,
            _ => "",
        }
    }

    /// The status of a refusal; 0 for what is none.
    pub(in crate::cli::mc) fn status(&self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.status,
            _ => 0,
        }
    }

    /// Whether it is a 404 that does not say what is not there.
    pub(super) fn is_unexplained(&self) -> bool {
        self.status() == 404 && self.code().is_empty()
    }

    /// Whether a request may have been done all the same: its answer was lost, or the server does not know itself.
    pub(super) fn is_doubtful(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Stalled { .. } | Self::Answer { .. } | Self::Replaced => true,
            Self::Refused(refusal) => refusal.status >= 500 || refusal.code == "InternalError",
            Self::Call(_) | Self::File { .. } | Self::Io(_) | Self::NoPath(_) | Self::Unfit(_) => false,
        }
    }

    /// Whether what was asked for is not there.
    pub(in crate::cli::mc) fn is_absent(&self) -> bool {
        match self {
            Self::Refused(refusal) => matches!(refusal.code.as_str(), "NoSuchKey" | "NoSuchVersion"),
            Self::NoPath(_) => true,
            _ => false,
        }
    }

    /// For the `error` of a JSON line.
    pub(in crate::cli::mc) fn detail(&self) -> Value {
        match self {
            Self::Refused(refusal) if refusal.code == "NoSuchBucket" && !refusal.bucket.is_empty() => {
                json!({ "Bucket": refusal.bucket })
            }
            Self::Refused(refusal) if refusal.code == "NoSuchKey" => json!({}),
            Self::Refused(refusal) => json!({
                "Code": refusal.code,
                "Message": refusal.message,
                "BucketName": refusal.bucket,
                "Key": refusal.key,
                "Resource": refusal.resource,
                "RequestID": refusal.request_id,
                "HostID": refusal.host_id,
                "Region": refusal.region,
            }),
            Self::NoPath(path) => json!({ "Path": path }),
            _ => json!({}),
        }
    }
}

impl Refusal {
    /// From an answer's status, headers and body; a HEAD has no body, and its headers may tell instead.
    pub(super) fn read(status: StatusCode, headers: &http::HeaderMap, body: &str) -> Self {
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().trim_matches('"').to_owned()
        };
        let mut refusal = Self {
            status: status.as_u16(),
            code: header("x-minio-error-code"),
            message: header("x-minio-error-desc"),
            request_id: header("x-amz-request-id"),
            host_id: header("x-amz-id-2"),
            region: header("x-amz-bucket-region"),
            ..Self::default()
        };
        if let Some(root) = Element::parse(body).filter(|root| root.name == "Error") {
            let text = |name: &str| root.text_of(name).to_owned();
            refusal.code = text("Code");
            refusal.message = text("Message");
            refusal.bucket = text("BucketName");
            refusal.key = text("Key");
            refusal.resource = text("Resource");
            if !text("Region").is_empty() {
                refusal.region = text("Region");
            }
        } else if let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(body) {
            // The admin API speaks JSON.
            let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            refusal.code = text("Code");
            refusal.message = text("Message");
            refusal.resource = text("Resource");
        }
        refusal
    }

    /// What a success has in it that is a refusal after all: it was told too late for its status.
    pub(super) fn within(root: &Element, bucket: &str, key: &str) -> Result<(), ClientError> {
        if root.name != "Error" {
            return Ok(());
        }
        let refusal = Self {
            code: root.text_of("Code").to_owned(),
            message: root.text_of("Message").to_owned(),
            ..Self::default()
        };
        Err(ClientError::Refused(Box::new(refusal.about(bucket, key))))
    }

    /// Fills in what a status alone says, knowing what was asked for.
    pub(super) fn about(mut self, bucket: &str, key: &str) -> Self {
        if self.code.is_empty() {
            let code = match self.status {
                // Said by no S3 server, but by something on the way to it: that nothing is there is not known.
                404 if self.request_id.is_empty() => "",
                404 if bucket.is_empty() => "",
                404 if key.is_empty() => "NoSuchBucket",
                404 => "NoSuchKey",
                403 => "AccessDenied",
                501 => "NotImplemented",
                _ => "",
            };
            self.code = code.to_owned();
        }
        if self.bucket.is_empty() {
            self.bucket = bucket.to_owned();
        }
        if self.key.is_empty() {
            self.key = key.to_owned();
        }
        self
    }

    fn in_words(&self) -> String {
        match self.code.as_str() {
            "NoSuchBucket" if !self.bucket.is_empty() => format!("Bucket `{}` does not exist.", self.bucket),
            "NoSuchKey" | "NoSuchVersion" => "Object does not exist".to_owned(),
            "AccessDenied" if self.message.is_empty() => "Access Denied.".to_owned(),
            _ if !self.message.is_empty() => self.message.clone(),
            "" => format!("the server answered {}", self.status),
            code => format!("{code} (status {})", self.status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderName, HeaderValue};

    #[test]
    fn a_404_of_no_s3_server_does_not_say_that_nothing_is_there() {
        let error = |headers: &HeaderMap, body: &str| {
            let refusal = Refusal::read(StatusCode::NOT_FOUND, headers, body).about("bucket", "key");
            ClientError::Refused(Box::new(refusal))
        };
        let nobody = HeaderMap::new();
        assert!(!error(&nobody, "").is_absent());
        assert!(!error(&nobody, "<html><body>404 Not Found</body></html>").is_absent());
        assert!(error(&nobody, "<Error><Code>NoSuchKey</Code></Error>").is_absent());
        let server = HeaderMap::from_iter([(
            HeaderName::from_static("x-amz-request-id"),
            HeaderValue::from_static("1"),
        )]);
        assert!(error(&server, "").is_absent());
        assert!(!error(&server, "<Error><Code>NoSuchBucket</Code></Error>").is_absent());
    }
}
