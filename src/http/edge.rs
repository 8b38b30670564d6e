//! One request from head to answer: id, host, limits, which front, and a clear error for what none of them serves.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use futures::FutureExt;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use storage_engine::backend::{Backend, Health};
use storage_engine::store::record::settings::CorsRule;
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::body::{self, Body, RequestBody};
use super::connection::Activity;
use super::cors::{Cors, Page, apps};
use super::error::{Form, Refusal};
use super::health::Probe;
use super::host::{Hosts, Style};
use super::pace::{Outcome, Pace, Paced};
use super::peer::Peer;
use super::request_id::{RequestId, RequestIds};
use super::stream::Endless;
use super::tracked::{Tracked, UntilAnswered};
use super::turn::Turn;
use crate::config::Config;
use crate::config::stored::AtOnce;
use crate::policy::Network;
use crate::telemetry::feed::Feed;
use crate::telemetry::metrics::{ByItself, Metrics};
use crate::telemetry::scrape::Subject;
use crate::telemetry::trace::{Begun, Received, Traced};
use crate::usage::Usage;

/// Request line and headers together, as bytes on the wire.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What a front makes of a request. It finds the [`RequestId`] in the request's extensions and never panics on input.
pub type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
pub type Front = dyn Fn(Request<RequestBody>) -> Answering + Send + Sync;

/// Whether a bearer token opens the metrics.
pub type Scraper = dyn Fn(&str, &Parts) -> bool + Send + Sync;
/// What a bucket says of pages of other origins; `None`: it has no rules of its own.
pub type BucketRules = Pin<Box<dyn Future<Output = Option<Vec<CorsRule>>> + Send>>;
/// Looks those rules up, by what the request names.
pub type BucketCors = dyn Fn(&Uri, &HeaderMap) -> BucketRules + Send + Sync;

/// The project and the environment whose images, and nothing else, a host with this name serves.
pub type ImageHosts = dyn Fn(&str) -> Option<(String, String)> + Send + Sync;

/// Where images are.
pub const IMAGES_PATH: &str = "/v1/img/";

/// What is there once the engine has started.
pub struct Service {
    pub backend: Arc<dyn Backend>,
    pub s3: Arc<Front>,
    /// Answers what lies below [`ADMIN_PATHS`].
    pub admin: Arc<Front>,
    /// Answers everything else below [`FILES_PATHS`].
    pub files: Arc<Front>,
    /// The CORS rules of the bucket that a request is about.
    pub cors: Arc<BucketCors>,
    pub image_hosts: Arc<ImageHosts>,
    /// How far what the store does by itself is; `None` for a backend that does nothing.
    pub by_itself: Option<Arc<dyn Fn() -> ByItself + Send + Sync>>,
    pub scraper: Arc<Scraper>,
    /// What the buckets hold.
    pub usage: Usage,
}

/// Where the admin API is: MinIO's, and our own.
const ADMIN_PATHS: [&str; 2] = ["/minio/admin/", "/v1/admin/"];

/// Where the Files API is.
const FILES_PATHS: &str = "/v1/";

/// Marks the answer of a path of the server's own: pages of other origins have no business there.
#[derive(Clone, Copy)]
struct OwnPath;

/// What an operator can change while requests are answered.
struct Rules {
    cors: Cors,
    requests_max: Option<usize>,
    requests_deadline: Duration,
    turns: Option<Arc<Semaphore>>,
}

impl Rules {
    /// With as many turns as before, they stay the same turns: whoever has one still has it.
    fn new(told: AtOnce, before: Option<&Self>) -> Self {
        let kept = before.filter(|before| before.requests_max == told.requests_max);
        let turns = |max: usize| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self {
            turns: match kept {
                Some(before) => before.turns.clone(),
                None => told.requests_max.map(turns),
            },
            cors: Cors::new(told.origins),
            requests_max: told.requests_max,
            requests_deadline: told.requests_deadline,
        }
    }
}

/// Answers every request of the main listener.
pub struct Edge {
    hosts: Hosts,
    rules: ArcSwap<Rules>,
    trusted_proxies: Vec<Network>,
    pace: Pace,
    ids: RequestIds,
    metrics_public: bool,
    metrics: Arc<Metrics>,
    trace: Feed<Traced>,
    service: ArcSwapOption<Service>,
}

impl Edge {
    /// `seed` should be random; it makes request ids.
    pub fn new(config: &Config, (metrics, trace): (Arc<Metrics>, Feed<Traced>), pace: Pace, seed: u64) -> Self {
        Self {
            hosts: Hosts::new(config.domains.clone(), config.server_url.as_deref()),
            rules: ArcSwap::from_pointee(Rules::new(config.at_once(), None)),
            trusted_proxies: config.trusted_proxies.clone(),
            pace,
            ids: RequestIds::new(seed),
            metrics_public: config.metrics_public,
            metrics,
            trace,
            service: ArcSwapOption::empty(),
        }
    }

    /// From now on these hold; of requests under way, what was judged stays.
    pub fn change(&self, told: AtOnce) {
        self.rules
            .rcu(|before| Arc::new(Rules::new(told.clone(), Some(before))));
    }

    /// From now on requests are served.
    pub fn open(&self, service: Service) {
        self.service.store(Some(Arc::new(service)));
    }

    /// From now on requests are told that the server is not ready.
    pub fn close(&self) {
        self.service.store(None);
    }

    /// Names this run of the server in error documents.
    pub fn host_id(&self) -> &str {
        self.ids.host_id()
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What the engine says of itself; `None` while it starts.
    pub fn health(&self) -> Option<Health> {
        self.service.load().as_ref().map(|service| service.backend.health())
    }

    /// Answers one request. Never fails and never panics: a bug behind it is a 500 with an id that the log knows.
    pub async fn answer(self: Arc<Self>, mut request: Request<Incoming>, activity: Arc<Activity>) -> Response<Tracked> {
        let id = self.ids.make();
        let in_flight = activity.begin(request.version());
        let meter = self.metrics.begin(request.method());
        let span = tracing::info_span!("request", %id);
        let traced = self.trace.is_heard().then(|| self.begin_trace(&mut request));
        // Not the query: it may carry a signature or a session token.
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let page = self.page(request.method(), request.uri(), request.headers()).await;

        let answering = AssertUnwindSafe(self.route(request, &page, id))
            .catch_unwind()
            .instrument(span.clone());
        let (mut response, turn) = match answering.await {
            Ok(answered) => answered,
            Err(_panic) => {
                self.metrics.panicked();
                tracing::error!(parent: &span, %method, path, "a request ended in a panic; this is a bug, please report it");
                (self.refuse(Refusal::Internal, form_of(&path), &path, id), None)
            }
        };
        self.finish(&mut response, id);
        if response.extensions().get::<OwnPath>().is_none() {
            self.rules.load().cors.open(&page, response.headers_mut());
        }
        let status = response.status();
        meter.answered(status);
        // A probe that is told "not yet" is no trouble, and it asks again every few seconds.
        let probe = path.starts_with("/minio/health/");
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED && !probe {
            tracing::warn!(parent: &span, %method, path, status = status.as_u16(), "answered with an error");
        } else {
            tracing::debug!(parent: &span, %method, path, status = status.as_u16(), "answered");
        }
        let trace = traced.map(|begun| begun.answered(self.trace.clone(), status, response.headers()));
        response.map(|body| {
            Tracked::new(
                body,
                UntilAnswered {
                    connection: in_flight,
                    turn,
                    meter,
                    trace,
                },
            )
        })
    }

    fn begin_trace(&self, request: &mut Request<Incoming>) -> Begun {
        let peer = request.extensions().get::<Peer>().copied();
        let client = peer.map(|peer| peer.client(&self.trusted_proxies, request.headers()));
        let client = client.map_or_else(String::new, |client| client.address.to_string());
        Begun::of(request, client)
    }

    fn refuse(&self, refusal: Refusal, form: Form, path: &str, id: RequestId) -> Response<Body> {
        let response = refusal.response(form, path, id, self.ids.host_id());
        if form == Form::Files { owned(response) } else { response }
    }

    fn finish(&self, response: &mut Response<Body>, id: RequestId) {
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            headers.insert("x-amz-request-id", id);
        }
        if let Ok(host_id) = HeaderValue::from_str(self.ids.host_id()) {
            headers.insert("x-amz-id-2", host_id);
        }
        headers.insert(header::SERVER, HeaderValue::from_static("Drystone"));
        // Stored bytes must never become a page or a script because a browser guessed so.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }

    /// The page that asks, if one does: judged by the bucket's own rules where it has some.
    async fn page(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Page {
        let service = self.service.load_full();
        match service.filter(|_| headers.contains_key(header::ORIGIN)) {
            Some(service) => match (service.cors)(uri, headers).await {
                Some(rules) => Cors::page_of_bucket(&rules, method, headers),
                None => self.rules.load().cors.page(headers),
            },
            None => self.rules.load().cors.page(headers),
        }
    }

    async fn route(&self, request: Request<Incoming>, page: &Page, id: RequestId) -> (Response<Body>, Option<Turn>) {
        let (mut head, incoming) = request.into_parts();
        let path = head.uri.path().to_owned();
        let alone = |response| (response, None);
        if head_bytes(&head.method, &head.uri, &head.headers) > HEAD_BYTES_MAX {
            return alone(self.refuse(Refusal::HeadersTooLarge, form_of(&path), &path, id));
        }
        let Ok(style) = self.hosts.settle(&head.uri, &mut head.headers) else {
            return alone(self.refuse(Refusal::BadHost, form_of(&path), &path, id));
        };
        let service = self.service.load_full();
        if let Some(service) = service.as_deref().filter(|_| style == Style::Path) {
            self.lead_to_images(service, &mut head);
        }
        // On a bucket's own host these paths are keys.
        let form = match style {
            Style::Path => form_of(head.uri.path()),
            Style::VirtualHost => Form::S3,
        };
        let admin = form == Form::Admin;
        if !admin
            && style == Style::Path
            && let Some(own) = self.own_path(&head, id)
        {
            return alone(owned(own));
        }
        let files = form == Form::Files;
        if files && let Some(allowed) = apps::preflight(&head.method, &head.headers) {
            return alone(owned(allowed));
        }
        if !admin && let Some(allowed) = Cors::preflight(page, &head.method, &head.headers) {
            return alone(allowed);
        }
        let Some(service) = service else {
            return alone(self.refuse(Refusal::Starting, form, &path, id));
        };
        head.extensions.insert(id);
        head.extensions.insert(style);
        if let Some(peer) = head.extensions.get::<Peer>().copied() {
            let client = peer.client(&self.trusted_proxies, &head.headers);
            head.extensions.insert(client);
        }
        if admin {
            // Operators get through when clients have to wait for their turn.
            return alone(owned(self.serve(service.admin.as_ref(), form, head, incoming).await));
        }
        match self.turn().await {
            Ok(turn) => {
                if let Some(turn) = turn.clone() {
                    head.extensions.insert(turn);
                }
                if files {
                    let mut response = self.serve(service.files.as_ref(), form, head, incoming).await;
                    apps::open(response.headers_mut());
                    return (owned(response), turn);
                }
                let response = self.serve(service.s3.as_ref(), form, head, incoming).await;
                let ends = response.extensions().get::<Endless>().is_none();
                (response, turn.filter(|_| ends))
            }
            Err(refusal) => alone(self.refuse(refusal, form, &path, id)),
        }
    }

    /// A request to the image host of an environment becomes one for an image of it, whatever its path is.
    fn lead_to_images(&self, service: &Service, head: &mut Parts) {
        let host = self.hosts.foreign(&head.headers);
        let Some((project, environment)) = host.and_then(|host| (service.image_hosts)(&host)) else {
            return;
        };
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let image = target.strip_prefix('/').unwrap_or(target);
        let target = format!("{IMAGES_PATH}{project}/{environment}/{image}");
        // What was a path stays one with another before it; an empty one is refused as no image's.
        let none = || Uri::from_static(IMAGES_PATH);
        head.uri = Uri::try_from(target).unwrap_or_else(|_| none());
        self.hosts.bring_home(&mut head.headers);
    }

    /// Lets a front answer, with its body paced.
    async fn serve(&self, front: &Front, form: Form, head: Parts, incoming: Incoming) -> Response<Body> {
        let (path, id) = (head.uri.path().to_owned(), head.extensions.get::<RequestId>().copied());
        let outcome = Outcome::default();
        let waits_for_continue = head.version < Version::HTTP_2 && head.headers.contains_key(header::EXPECT);
        // A body known to be empty is never asked for by a 100. botocore then misreads the next answer that is preceded by
        // one, and waits until its time-out: it gets no next answer on this connection.
        let empty = incoming.is_end_stream();
        let body = Paced::new(
            incoming,
            self.pace,
            outcome.clone(),
            waits_for_continue,
            (
                self.metrics.received_counter(),
                head.extensions.get::<Received>().cloned(),
            ),
        );
        let mut response = front(Request::from_parts(head, body.boxed())).await;
        // The connection ends where a body was not invited: nobody can tell whether the client still sends it. Said so, or the
        // next request meets the end of the connection, which botocore takes for the answer before, once more.
        if waits_for_continue && (empty || !outcome.read.is_raised()) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        // Whatever the front made of the cut body, the client is told why it was cut.
        match id {
            Some(id) if outcome.slow.is_raised() && !response.status().is_success() => {
                self.refuse(Refusal::BodyTooSlow, form, &path, id)
            }
            Some(_) | None => response,
        }
    }

    async fn turn(&self) -> Result<Option<Turn>, Refusal> {
        let rules = self.rules.load_full();
        let Some(turns) = &rules.turns else { return Ok(None) };
        match tokio::time::timeout(rules.requests_deadline, Arc::clone(turns).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Some(Turn::of(permit))),
            Ok(Err(_)) | Err(_) => Err(Refusal::Busy),
        }
    }

    /// Paths that are the server's own and no bucket's.
    fn own_path(&self, head: &Parts, id: RequestId) -> Option<Response<Body>> {
        let path = head.uri.path();
        let refuse = |refusal| Some(self.refuse(refusal, Form::S3, path, id));
        let rest = path.strip_prefix("/minio/").filter(|rest| !rest.is_empty())?;
        let reading = matches!(head.method, Method::GET | Method::HEAD);
        if let Some(name) = rest.strip_prefix("health/") {
            return match Probe::at(name, head.uri.query()) {
                Some(probe) if reading => Some(probe.answer(self.health().as_ref())),
                Some(_) => refuse(Refusal::MethodNotAllowed),
                None => refuse(Refusal::NotFound),
            };
        }
        match rest.strip_prefix("v2/metrics/").and_then(Subject::named) {
            Some(_) if !reading => refuse(Refusal::MethodNotAllowed),
            Some(subject) => Some(self.metrics_text(subject, head, id)),
            None => refuse(Refusal::NotBuilt("This part of MinIO's interface is not built yet.")),
        }
    }

    /// Metrics, for everybody if an operator said so, else for who brings a token.
    fn metrics_text(&self, subject: Subject, head: &Parts, id: RequestId) -> Response<Body> {
        let path = head.uri.path();
        let service = self.service.load();
        if !self.metrics_public {
            let Some(service) = service.as_ref() else {
                return self.refuse(Refusal::Starting, Form::S3, path, id);
            };
            let token = head
                .headers
                .get(header::AUTHORIZATION)
                .and_then(|value| value.to_str().ok());
            let token = token.and_then(|value| value.strip_prefix("Bearer "));
            if !token.is_some_and(|token| (service.scraper)(token.trim(), head)) {
                return self.refuse(
                    Refusal::Forbidden(
                        "Metrics need a token: mc admin prometheus generate makes one. MINIO_PROMETHEUS_AUTH_TYPE=public \
                         opens them to everybody.",
                    ),
                    Form::S3,
                    path,
                    id,
                );
            }
        }
        let service = service.as_ref();
        let by_itself = service.and_then(|service| Some(service.by_itself.as_ref()?()));
        let text = match subject {
            Subject::Store => self.metrics.text(self.health().as_ref(), by_itself.as_ref()),
            Subject::Buckets => {
                let figures = service.and_then(|service| service.usage.latest());
                self.metrics.buckets_text(figures.as_deref())
            }
            Subject::Machine => self.metrics.machine_text(),
        };
        let Ok(text) = text else {
            return self.refuse(Refusal::Internal, Form::S3, path, id);
        };
        let mut response = Response::new(body::full(text));
        let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// The form in which a path refuses, unless a bucket's own host makes a key of it.
fn form_of(path: &str) -> Form {
    if ADMIN_PATHS.iter().any(|start| path.starts_with(start)) {
        Form::Admin
    } else if is_of_files(path) {
        Form::Files
    } else {
        Form::S3
    }
}

/// Whether a path is of the Files API, be it that there is nothing: no bucket is called so, nor like nothing at all, which is
/// what stands before the second slash where an address was put together with one too many.
fn is_of_files(path: &str) -> bool {
    let path = path
        .strip_prefix('/')
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path);
    path.starts_with(FILES_PATHS) || path == FILES_PATHS.trim_end_matches('/')
}

/// Marks the answer of a path of the server's own.
fn owned(mut response: Response<Body>) -> Response<Body> {
    response.extensions_mut().insert(OwnPath);
    response
}

/// Bytes of a request's head.
pub(crate) fn head_bytes(method: &Method, uri: &Uri, headers: &HeaderMap) -> usize {
    // " HTTP/1.1\r\n" and the space before the target; ": " and "\r\n" of each header.
    let line = method.as_str().len() + uri.path_and_query().map_or(1, |target| target.as_str().len()) + 12;
    headers
        .iter()
        .fold(line, |sum, (name, value)| sum + name.as_str().len() + value.len() + 4)
}

#[cfg(test)]
mod tests {
    use super::{Form, form_of};

    #[test]
    fn what_is_below_or_beside_the_files_api_is_refused_in_its_form() {
        for (path, form) in [
            ("/v1/files", Form::Files),
            ("/v1/nothing", Form::Files),
            ("/v1", Form::Files),
            ("//v1/files", Form::Files),
            ("//v1", Form::Files),
            ("/v1/admin/info", Form::Admin),
            ("/v10", Form::S3),
            ("/v1bucket/key", Form::S3),
            ("///v1/files", Form::S3),
            ("//bucket/v1/files", Form::S3),
            ("/", Form::S3),
        ] {
            assert_eq!(form_of(path), form, "{path}");
        }
    }
}
