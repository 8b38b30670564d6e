//! The admin API: what operators, `mc admin` and `drystone admin` ask of a running store.
//!
//! Owns two families of routes: MinIO's verbs under `/minio/admin/v3/` and our own under `/v1/admin/`. Requests come
//! authenticated; every route asks `access` before it does anything. It never looks at objects, and what is not built
//! answers 501 in the form MinIO's clients print.

mod body;
pub mod drives;
mod error;
pub mod heal;
pub mod index;
mod info;
mod routes;
pub mod status;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use serde_json::Value;
use storage_engine::backend::Backend;

use self::drives::{Fleet, MovingReport, Order};
use self::error::AdminError;
use self::heal::{HealReport, Healing};
use self::index::{IndexReport, Indexing, Rebuilding};
pub use self::routes::UNBUILT;
use self::routes::{Found, Verb, find};
use crate::access::{Action, Behind, Context, Resource, decide};
use crate::auth::{AuthError, Identity};
use crate::http::body::{self as edge, Body, BoxError};
use crate::http::request_id::RequestId;

/// What the front must be told of the server it belongs to.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// The region an operator named.
    pub region: Option<String>,
    /// Host suffixes under which a bucket is the first label.
    pub domains: Vec<String>,
    /// Whether clients reach the server by TLS.
    pub tls: bool,
    /// When this server began to serve.
    pub started: Instant,
    /// Names this run of the server in error documents.
    pub host_id: String,
}

/// The admin API over one store.
#[derive(Clone)]
pub struct AdminService {
    inner: Arc<Inner>,
}

/// What the admin API asks.
struct Asked {
    backend: Arc<dyn Backend>,
    /// `None` for a backend that has nothing to heal.
    healing: Option<Arc<dyn Healing>>,
    /// `None` for a backend without drives of its own.
    fleet: Option<Arc<dyn Fleet>>,
    /// `None` for a backend without an index of its own.
    index: Option<Arc<dyn Indexing>>,
}

impl Asked {
    fn index(&self) -> Result<&dyn Indexing, AdminError> {
        let index = self.index.as_deref();
        index.ok_or(AdminError::NotBuilt("Looking after the index of this backend"))
    }

    fn fleet(&self) -> Result<&dyn Fleet, AdminError> {
        let fleet = self.fleet.as_deref();
        fleet.ok_or(AdminError::NotBuilt("Changing the drives of this backend"))
    }
}

struct Inner {
    asked: Behind<Asked>,
    config: AdminConfig,
}

/// What an answer tells about the request it belongs to.
struct About {
    path: String,
    id: Option<RequestId>,
    /// The name by which the caller reached the server, with the port.
    host: String,
}

impl About {
    fn of<B>(request: &Request<B>) -> Self {
        let host = request.headers().get(header::HOST);
        Self {
            path: request.uri().path().to_owned(),
            id: request.extensions().get::<RequestId>().copied(),
            host: host.and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned(),
        }
    }
}

impl AdminService {
    /// `healing` is `None` for a backend that has nothing to heal, `fleet` for one without drives of its own, `index` for
    /// one without an index.
    pub fn new(
        backend: Arc<dyn Backend>,
        healing: Option<Arc<dyn Healing>>,
        fleet: Option<Arc<dyn Fleet>>,
        index: Option<Arc<dyn Indexing>>,
        config: AdminConfig,
    ) -> Self {
        let asked = Behind::new(Asked {
            backend,
            healing,
            fleet,
            index,
        });
        Self {
            inner: Arc::new(Inner { asked, config }),
        }
    }

    /// Answers one authenticated request: an [`Identity`] in its extensions (none means anonymous), a plain body.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let about = About::of(&request);
        match self.inner.answer(request, &about).await {
            Ok(document) => json(&document),
            Err(error) => error.response(&about, &self.inner.config.host_id),
        }
    }

    /// The answer to a request whose caller could not be told.
    pub fn refuse<B>(&self, request: &Request<B>) -> impl FnOnce(&AuthError) -> Response<Body> + use<B> {
        let (about, host_id) = (About::of(request), self.inner.config.host_id.clone());
        move |error| AdminError::from(error).response(&about, &host_id)
    }
}

impl Inner {
    async fn answer<B>(&self, request: Request<B>, about: &About) -> Result<Value, AdminError>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let identity = request.extensions().get::<Identity>().cloned();
        let identity = identity.unwrap_or(Identity::Anonymous);
        let found = find(request.method(), &about.path);
        let action = match &found {
            Found::Verb(verb) => verb.action(),
            Found::OtherMethod | Found::NotBuilt(_) => Action::AdminEverything,
        };
        // Who may not ask learns nothing about what there is.
        let grant = decide(&identity, action, Resource::Service, &Context::default())
            .map_err(|_denied| AdminError::AccessDenied)?;
        let verb = match found {
            Found::Verb(verb) => verb,
            Found::OtherMethod => return Err(AdminError::MethodNotAllowed),
            Found::NotBuilt(feature) => return Err(AdminError::NotBuilt(feature)),
        };
        // Nothing is done before the body has proved to be the one that was signed.
        let body = body::read(request.into_body()).await?;
        let asked = self.asked.with(&grant);
        if verb == Verb::IndexVerify {
            let check = asked.index()?.verify().await.map_err(AdminError::Unavailable)?;
            return written(IndexReport::of(&check));
        }
        let Some(order) = Order::read(verb, &body)? else {
            return self.tell(verb, asked, &about.host);
        };
        let changed = asked.fleet()?.order(order).await?;
        moving(MovingReport::of(&asked.fleet()?.status(), changed))
    }

    fn tell(&self, verb: Verb, asked: &Asked, host: &str) -> Result<Value, AdminError> {
        let health = asked.backend.health();
        let healing = || {
            asked
                .healing
                .as_deref()
                .ok_or(AdminError::NotBuilt("Healing of this backend"))
        };
        let heal = asked.healing.as_deref().map(Healing::status);
        let view = info::View {
            health: &health,
            config: &self.config,
            host,
            heal: heal.as_ref(),
        };
        match verb {
            Verb::Info => Ok(info::server(&view)),
            Verb::StorageInfo => Ok(info::storage(&view)),
            Verb::Status => {
                let status = status::Status::of(&health, self.config.started.elapsed());
                written(status)
            }
            Verb::BackgroundHeal => healing().map(|_| heal::background(&view)),
            Verb::Heal => written(HealReport::of(&healing()?.status())),
            Verb::HealNow => {
                healing()?.heal_now();
                self.tell(Verb::Heal, asked, host)
            }
            Verb::ScrubNow => {
                healing()?.scrub_now();
                self.tell(Verb::Heal, asked, host)
            }
            Verb::IndexRebuild => {
                asked.index()?.rebuild().map_err(AdminError::Unavailable)?;
                written(Rebuilding { rebuilding: true })
            }
            // Orders were carried out before; what is told is how it stands.
            Verb::Drives
            | Verb::DriveAdd
            | Verb::DriveDrain
            | Verb::DriveKeep
            | Verb::DriveRemove
            | Verb::DriveReplace
            | Verb::Rebalance
            | Verb::RebalanceStart
            | Verb::RebalanceStop
            | Verb::IndexVerify
            | Verb::ParitySet => moving(MovingReport::of(&asked.fleet()?.status(), Vec::new())),
        }
    }
}

fn moving(report: MovingReport) -> Result<Value, AdminError> {
    written(report)
}

fn written(document: impl serde::Serialize) -> Result<Value, AdminError> {
    serde_json::to_value(document).map_err(|e| AdminError::Internal(e.to_string()))
}

fn json(document: &Value) -> Response<Body> {
    let mut response = Response::new(edge::full(document.to_string()));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Whether this method and path are a route that is built; for tests that go through all of them.
pub fn is_built(method: &Method, path: &str) -> bool {
    matches!(find(method, path), Found::Verb(_))
}
