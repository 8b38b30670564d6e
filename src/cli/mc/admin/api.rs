//! Calls of the admin API: plain JSON, and bodies that are sealed with the secret key of the alias. It prints nothing and
//! knows no verb of the command line.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::admin::sealed::{Header, SealError, Suite};
use crate::cli::mc::client::{Ask, Client, ClientError, Documents, whole};
use crate::cli::mc::output::Failure;
use crate::cli::mc::shell::Shell;

const PREFIX: &str = "minio/admin/v3/";

/// The admin API of one alias.
pub(in crate::cli::mc) struct Api {
    /// As the user wrote it, without a `/` behind it.
    pub(super) alias: String,
    /// What follows the alias: a bucket and a prefix, or nothing.
    pub(super) below: String,
    client: Arc<Client>,
}

/// What the server said.
pub(in crate::cli::mc) struct Answered {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Api {
    /// Of the alias that an argument begins with.
    pub(in crate::cli::mc) fn of(shell: &Shell, target: &str) -> Result<Self, Failure> {
        let (alias, below) = target.split_once('/').unwrap_or((target, ""));
        Ok(Self {
            client: shell.client(alias)?,
            alias: alias.to_owned(),
            below: below.trim_end_matches('/').to_owned(),
        })
    }

    /// The server's client.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks with a plain body for a plain answer.
    pub(in crate::cli::mc) async fn plain(
        &self,
        method: Method,
        verb: &str,
        query: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answered, ClientError> {
        let path = format!("{PREFIX}{verb}");
        let ask = Ask {
            query,
            body: body.into(),
            ..Ask::of(method, "", &path)
        };
        let answer = self.client.ask(&ask).await?;
        let headers = answer.headers().clone();
        let body = whole(answer).await?;
        Ok(Answered { headers, body })
    }

    /// Asks for an answer of JSON documents that goes on.
    pub(super) async fn stream(
        &self,
        method: Method,
        verb: &str,
        query: &[(&str, &str)],
    ) -> Result<Documents, ClientError> {
        let path = format!("{PREFIX}{verb}");
        let ask = Ask {
            query,
            ..Ask::of(method, "", &path)
        };
        Ok(Documents::of(self.client.ask(&ask).await?))
    }

    /// Asks with a sealed body for a plain answer.
    pub(super) async fn sealed(
        &self,
        method: Method,
        verb: &str,
        query: &[(&str, &str)],
        text: &[u8],
    ) -> Result<Answered, ClientError> {
        let body = self.seal(text)?;
        self.plain(method, verb, query, body).await
    }

    /// The JSON behind a verb.
    pub(in crate::cli::mc) async fn document(&self, verb: &str, query: &[(&str, &str)]) -> Result<Value, ClientError> {
        let answered = self.plain(Method::GET, verb, query, Bytes::new()).await?;
        document(&answered.body)
    }

    /// The text behind a verb whose answer is sealed.
    pub(super) async fn opened(&self, verb: &str, query: &[(&str, &str)]) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        let answered = self.plain(Method::GET, verb, query, Bytes::new()).await?;
        self.open(&answered.body)
    }

    /// Asks with a sealed body for a sealed answer; older servers answer such with nothing.
    pub(super) async fn exchange(&self, method: Method, verb: &str, text: &[u8]) -> Result<Value, ClientError> {
        let answered = self.sealed(method, verb, &[], text).await?;
        if answered.body.is_empty() {
            return Ok(Value::Null);
        }
        document(&self.open(&answered.body)?)
    }

    fn seal(&self, text: &[u8]) -> Result<Vec<u8>, ClientError> {
        let unable = |_| ClientError::Unfit("this machine gives no random numbers".to_owned());
        let (mut salt, mut prefix) = ([0; 32], [0; 8]);
        getrandom::fill(&mut salt).map_err(unable)?;
        getrandom::fill(&mut prefix).map_err(unable)?;
        let header = Header {
            suite: Suite::Argon2idAes256Gcm,
            salt,
            prefix,
        };
        let sealed = tokio::task::block_in_place(|| header.seal(&header.derive(self.secret())?, text));
        sealed.map_err(|error: SealError| ClientError::Unfit(error.to_string()))
    }

    fn open(&self, body: &[u8]) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        let opened = tokio::task::block_in_place(|| {
            let (header, fragments) = Header::split(body)?;
            header.open(&header.derive(self.secret())?, fragments)
        });
        opened.map_err(|error: SealError| ClientError::Answer {
            reason: format!("the answer cannot be read: {error}"),
        })
    }

    fn secret(&self) -> &[u8] {
        self.client.alias().secret_key.expose().as_bytes()
    }
}

/// An answer that must be JSON.
pub(super) fn document(body: &[u8]) -> Result<Value, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Answer {
        reason: format!("the answer is not JSON: {error}"),
    })
}
