//! The way of one request through the front: target, guard, headers, body, s3s, and the finished answer.
//!
//! Owns the order of these steps and the headers every answer carries. It never looks into an operation.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, REFERRER_POLICY, SERVER};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use s3s::Body;
use s3s::config::StaticConfigProvider;
use s3s::service::{S3Service as Routes, S3ServiceBuilder};
use storage_engine::store::Store;
use time::OffsetDateTime;

use super::error::{Circumstances, Code, Failure, finish};
use super::events::Happened;
use super::form;
use super::front::{Front, request};
use super::guard;
use super::link;
use super::listen;
use super::normalise;
use super::object::BareETag;
use super::target::{Domains, Target};
use super::uploads;
use super::{body, xml};
use crate::access::owner_id_of;
use crate::auth::{Accounts, FormDoor, Terms};
use crate::http::body::{self as edge, BoxError};
use crate::http::request_id::RequestId;
use crate::telemetry::feed::Feed;
use crate::telemetry::trace::Operation;

/// What the front must be told.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// Domains whose labels are bucket names; empty for path style only.
    pub domains: Vec<String>,
    /// The region an operator named; `None`: buckets may be asked for in any.
    pub region: Option<String>,
    /// Names this run of the server in error documents.
    pub host_id: String,
    /// Where what happens to objects is told.
    pub events: Feed<Happened>,
}

/// The S3 front over one store, as a `tower` service. Requests come authenticated: an `Identity` in the extensions (none
/// means anonymous), a plain body.
pub fn service(store: Store, accounts: Arc<dyn Accounts>, config: S3Config) -> S3Service {
    let domains = Domains::new(config.domains);
    let front = Front::new(store, accounts, config.region, config.events);
    let mut builder = S3ServiceBuilder::new(front.clone());
    let mut limits = s3s::config::S3Config::default();
    limits.xml_max_body_size = body::XML_BYTES_MAX;
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(limits))));
    builder.set_validation(AnyName);
    if !domains.is_empty() {
        builder.set_host(domains.clone());
    }
    S3Service {
        inner: Arc::new(Inner {
            routes: builder.build(),
            front: Arc::new(front),
            domains,
            host_id: config.host_id,
        }),
    }
}

/// s3s takes an empty one for none.
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// See [`service`]. Clones share everything.
#[derive(Clone)]
pub struct S3Service {
    inner: Arc<Inner>,
}

struct Inner {
    routes: Routes,
    /// For what s3s has no route for.
    front: Arc<Front>,
    domains: Domains,
    host_id: String,
}

/// Names are judged by the store's own rules, in one place.
struct AnyName;

impl s3s::validation::NameValidation for AnyName {
    fn validate_bucket_name(&self, _name: &str) -> bool {
        true
    }
}

impl S3Service {
    /// Answers one request. Every failure is an answer, too.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<edge::Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let (method, uri) = (parts.method.clone(), parts.uri.clone());
        let request_id = parts.extensions.get::<RequestId>().copied();
        let target = self.inner.domains.target(&parts.uri, &parts.headers);
        let door = parts.extensions.get::<FormDoor>().cloned();
        let terms = link::terms(&parts.extensions).cloned();
        let mut response = match (door, &target) {
            (Some(door), Some(Target::Bucket { bucket })) => self.form(parts, body, &door, bucket.as_str()).await,
            (Some(_) | None, _) => self.plain(parts, body, target.as_ref()).await,
        };
        // A form may ask to be sent on after success.
        let sent_on = response.status() == StatusCode::SEE_OTHER;
        if !response.status().is_success() && !sent_on {
            let about = Circumstances {
                method: &method,
                target: target.as_ref(),
                resource: uri.path(),
                request_id: &request_id.map(|id| id.to_string()).unwrap_or_default(),
                host_id: &self.inner.host_id,
            };
            finish(&mut response, &about);
        } else if let Some(document) = response.body().bytes() {
            let bare_etag = response.extensions().get::<BareETag>().is_some();
            let document = if bare_etag { xml::bare_etag(document) } else { document };
            // A policy is no XML: it goes out as it came in.
            let json = response
                .headers()
                .get(CONTENT_TYPE)
                .is_some_and(|kind| kind == "application/json");
            *response.body_mut() = Body::from(if json { document } else { xml::mend(document) });
        }
        // s3s knows that a GET with a range is partial, but not that a HEAD is.
        if response.status() == StatusCode::OK && response.headers().contains_key(CONTENT_RANGE) {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        let decoded = uri.query().map(|query| percent_decode_str(query).decode_utf8_lossy());
        if decoded.is_some_and(|query| query.contains(request::LINK)) {
            keep_link(response.headers_mut());
        }
        if let Some(terms) = terms {
            let status = response.status();
            link::keep(response.headers_mut(), status, &terms, OffsetDateTime::now_utc());
        }
        response
            .headers_mut()
            .insert(SERVER, HeaderValue::from_static("Drystone"));
        response.map(|body| body.boxed_unsync())
    }

    async fn plain<B>(&self, parts: Parts, body: B, target: Option<&Target>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let query = guard::parameters(parts.uri.query());
        if listen::is_asked(&parts.method, target, &query) {
            let answer = self.listen(parts, target, &query).await;
            return answer.unwrap_or_else(Failure::into_response);
        }
        match self.prepare(parts, body, target).await {
            Ok(request) => self.route(request).await,
            Err(failure) => failure.into_response(),
        }
    }

    async fn listen(
        &self,
        mut parts: Parts,
        target: Option<&Target>,
        query: &[guard::Parameter],
    ) -> Result<Response<Body>, Failure> {
        let target = target.ok_or(Code::INVALID_URI)?;
        Operation::name(&parts.extensions, "listen_bucket_notification");
        let facts = request::facts(&parts, query, OffsetDateTime::now_utc())?;
        parts.extensions.insert(facts);
        listen::answer(&self.inner.front, &parts, target, query).await
    }

    /// An upload by form: the PUT it stands for passes every step of a plain one.
    async fn form<B>(&self, parts: Parts, body: B, door: &FormDoor, bucket: &str) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        match form::receive(parts, body, door, (bucket, &self.inner.domains)).await {
            Ok(upload) => {
                let (put, rest) = upload.split();
                let (parts, body) = put.into_parts();
                let target = self.inner.domains.target(&parts.uri, &parts.headers);
                let answer = self.plain(parts, body, target.as_ref()).await;
                rest.answer(answer).await
            }
            Err(failure) => failure.into_response(),
        }
    }

    async fn prepare<B>(&self, mut parts: Parts, body: B, target: Option<&Target>) -> Result<Request<Body>, Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let target = target.ok_or(Code::INVALID_URI)?;
        let query = guard::parameters(parts.uri.query());
        normalise::unfold_query(&query, &mut parts.headers)?;
        guard::check(&parts.method, target, &query, &parts.headers)?;
        match parts.extensions.get::<Terms>() {
            Some(Terms::Link(terms)) => {
                let said = (&parts.headers, &parts.extensions);
                link::admit(terms, (&parts.method, target), &query, said)?;
            }
            Some(Terms::Uploads(terms)) => {
                let place = uploads::admit(terms, (&parts.method, target), &query, &parts.headers)?;
                if matches!(parts.method, Method::PUT | Method::POST) {
                    let owner = parts.extensions.get().and_then(owner_id_of);
                    self.inner.front.check_free(place, owner).await?;
                }
            }
            None => {}
        }
        let facts = request::facts(&parts, &query, OffsetDateTime::now_utc())?;
        parts.extensions.insert(facts);
        self.check_expected_owners(&parts.headers, target).await?;
        if parts.headers.get(CONTENT_MD5).is_some_and(HeaderValue::is_empty) {
            return Err(Code::INVALID_DIGEST.into());
        }
        let lifted = normalise::lift(&parts.method, &mut parts.headers);
        parts.extensions.insert(lifted);
        let body = if body::is_document(&parts.method, target, &query) {
            let document = body::document(&parts, target, &query, body).await?;
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(document.len()));
            Body::from(document)
        } else {
            Body::http_body_unsync(body.map_err(Into::into))
        };
        Ok(Request::from_parts(parts, body))
    }

    /// A caller who expects another owner means another bucket. The owner's id is the canonical one, as ListBuckets tells it.
    async fn check_expected_owners(&self, headers: &HeaderMap, target: &Target) -> Result<(), Failure> {
        let bucket = match target {
            Target::Service => None,
            Target::Bucket { bucket } | Target::Object { bucket, .. } => Some(bucket.clone()),
        };
        let source = || {
            let source = headers.get("x-amz-copy-source")?.to_str().ok()?;
            let source = percent_decode_str(source).decode_utf8().ok()?;
            Some(source.trim_start_matches('/').split('/').next()?.to_owned())
        };
        if let Some(expected) = headers.get("x-amz-expected-bucket-owner") {
            self.inner.front.expect_owner(bucket.as_deref(), expected).await?;
        }
        if let Some(expected) = headers.get("x-amz-source-expected-bucket-owner") {
            self.inner.front.expect_owner(source().as_deref(), expected).await?;
        }
        Ok(())
    }

    async fn route(&self, request: Request<Body>) -> Response<Body> {
        match self.inner.routes.call(request).await {
            Ok(response) => response,
            Err(_) => Failure::new(Code::INTERNAL_ERROR).into_response(),
        }
    }
}

/// Keeps a link with whom it was given to: its address is told to no other page, and its answer kept by no cache between.
fn keep_link(headers: &mut HeaderMap) {
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-cache"));
}

impl<B> tower::Service<Request<B>> for S3Service
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<edge::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.handle(request).await) })
    }
}
