//! Documents of an issuer, fetched: one GET, bounded in time and size. No redirect is followed.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::http::trust;

/// Most bytes of one document.
const DOCUMENT_BYTES_MAX: usize = 512 * 1024;

/// A client that trusts the machine's certificates (or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`).
#[derive(Clone)]
pub(super) struct Fetch(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

impl Fetch {
    pub(super) fn new() -> Result<Self, rustls::Error> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust::of_machine()?)
            .https_or_http()
            .enable_http1()
            .build();
        // Asked seldom: a connection that is kept would be found closed.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self(client))
    }

    /// The document at `uri`, whole within `patience`. The error says why not, in words for the operator's log.
    pub(super) async fn get(&self, uri: &Uri, patience: Duration) -> Result<Bytes, String> {
        let whole = tokio::time::timeout(patience, self.whole(uri));
        whole
            .await
            .unwrap_or_else(|_| Err(format!("{uri}: no whole answer within {} s", patience.as_secs())))
    }

    async fn whole(&self, uri: &Uri) -> Result<Bytes, String> {
        let request = Request::get(uri.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, "Drystone")
            .body(Empty::new())
            .map_err(|error| format!("{uri}: {error}"))?;
        let answer = self
            .0
            .request(request)
            .await
            .map_err(|error| format!("{uri}: {}", chain(&error)))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("{uri}: it answered {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), DOCUMENT_BYTES_MAX).collect().await;
        body.map(|body| body.to_bytes())
            .map_err(|error| format!("{uri}: {error}"))
    }
}

/// An error with its causes: the outermost one says only that there was one.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
