//! The Files API: what apps ask of their files, as JSON below `/v1/`.
//!
//! Owns its routes, its words for errors and the form of its answers. Who calls is told by `projects`, what they may do is
//! decided by `access`, and every file, object and upload is the store's: nothing is stored here. It never imports another
//! front.

mod answer;
mod bucket;
mod call;
mod commit;
mod companion;
mod content;
mod copy;
mod download;
mod error;
mod fields;
mod file;
mod from_url;
mod guests;
mod list;
mod multipart;
mod openapi;
mod owner;
mod plan;
mod post_url;
mod presigned_post;
mod public;
mod quotas;
mod refs;
mod replace;
mod resumable;
pub mod routes;
mod scan;
mod share;
mod single;
#[cfg(test)]
mod tests;
mod upload;
mod upload_token;
mod usage;
mod users;
mod versions;
mod view;
mod webhooks;

use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use storage_engine::store::Store;
use time::OffsetDateTime;

use self::answer::Answer;
use self::call::Call;
pub use self::error::Code;
use self::error::FilesError;
use self::fields::Fields;
use self::guests::Guests;
use self::openapi::Document;
use self::routes::{BUILT, Callers, Found, Route, find};
use crate::access::Behind;
use crate::facts::Facts;
use crate::http::body::{Body, RequestBody};
use crate::http::origin::Origins;
use crate::intake::Inspector;
use crate::links::Links;
use crate::outbound::Outbound;
use crate::projects::{AppCaller, AppRefused, Envelope, Projects, UserChange};
use crate::telemetry::trace::Operation;
use crate::webhooks::Webhooks;

/// Largest file, in bytes, that is read whole to know its SHA-256 when it was stored unseen.
const INSPECTED_BYTES_MAX: u64 = 16 << 20;
/// Where the Files API is.
const BASE: &str = "/v1/";

/// The front. Clones share all of it.
#[derive(Clone)]
pub struct FilesService {
    inner: Arc<Inner>,
}

struct Inner {
    /// Changes nothing and gives out no bytes but by a grant.
    store: Behind<Store>,
    /// For looking at what is judged.
    records: Store,
    facts: Facts,
    projects: Projects,
    links: Links,
    origins: Origins,
    inspector: Inspector,
    outward: Outward,
    document: Document,
    guests: Guests,
}

/// What calls other servers.
pub struct Outward {
    pub webhooks: Webhooks,
    /// Fetches files of other servers; `None`: the operator does not let it.
    pub fetch: Option<Outbound>,
    /// Whether a scanner looks at what is uploaded.
    pub scans: bool,
}

impl FilesService {
    pub fn new(store: Store, projects: Projects, links: Links, origins: Origins, outward: Outward) -> Self {
        let records = store.clone();
        Self {
            inner: Arc::new(Inner {
                facts: Facts::new(store.clone()),
                records: records.clone(),
                store: Behind::new(store),
                projects,
                links,
                document: Document::new(origins.server_url.as_deref()),
                origins,
                inspector: Inspector::new(records, INSPECTED_BYTES_MAX),
                outward,
                guests: Guests::default(),
            }),
        }
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request<RequestBody>) -> Response<Body> {
        if resumable::is_asked(request.uri().path()) {
            return resumable::handle(Arc::clone(&self.inner), request).await;
        }
        match self.inner.answer(request).await {
            Ok(response) => response,
            Err(error) => error.response(),
        }
    }
}

impl Inner {
    async fn answer(&self, request: Request<RequestBody>) -> Result<Response<Body>, FilesError> {
        let path = request.uri().path().strip_prefix(BASE).unwrap_or_default();
        let now = OffsetDateTime::now_utc();
        if request.method() == Method::POST && path.starts_with(post_url::PATH) {
            // Who sends it is said by the address.
            Operation::name(request.extensions(), post_url::PATH);
            let (parts, body) = request.into_parts();
            let storing: Doing<'_, (Answer, Envelope)> = Box::pin(post_url::receive(self, &parts, body, now));
            return storing.await.map(|(answer, envelope)| answer.response(envelope));
        }
        let (at, taken) = match find(request.method(), path) {
            Found::Route(at, taken) => (at, taken),
            Found::NotBuilt(what) => {
                return Err(FilesError::because(Code::NOT_BUILT, format!("{what}: not built yet.")));
            }
            Found::OtherMethod(methods) => return Err(other_method(&methods)),
            Found::Nothing if path.starts_with(post_url::PATH) => return Err(other_method(&["POST"])),
            Found::Nothing => return Err(Code::NO_SUCH_ROUTE.into()),
        };
        let row = BUILT.get(at).ok_or(Code::INTERNAL)?;
        Operation::name(request.extensions(), row.pattern);
        if row.callers == Callers::Anybody {
            let (parts, _) = request.into_parts();
            if row.route == Route::Document {
                return Ok(self.document.answer(&parts));
            }
            let reading: Doing<'_, Response<Body>> = Box::pin(public::read(self, &parts, taken, now));
            return reading.await;
        }
        let caller = self.admit(request.headers(), now).await?;
        caller.require(row.operation)?;
        match row.callers {
            Callers::Anybody | Callers::Everybody => {}
            Callers::SignedIn => caller.require_signed_in()?,
            Callers::Uploaders => caller.require_uploader()?,
            Callers::Servers => caller.require_server()?,
        }
        let (parts, body) = request.into_parts();
        let call = Call::new(self, caller, &parts, taken, now);
        let envelope = call.caller.project.envelope;
        let response = move |answer: Answer| answer.response(envelope);
        match row.route {
            Route::Content => {
                let reading: Doing<'_, Response<Body>> = Box::pin(content::read(&call, &parts));
                reading.await
            }
            Route::Upload => {
                let storing: Doing<'_, Answer> = Box::pin(upload::relay(&call, &parts, body));
                storing.await.map(response)
            }
            Route::Replace => {
                let storing: Doing<'_, Answer> = Box::pin(replace::replace(&call, &parts, body));
                storing.await.map(response)
            }
            route => {
                let fields = Fields::read(body).await?;
                answering(route, &call, &fields).await.map(response)
            }
        }
    }

    /// Who comes with these headers; boxed as [`Doing`] is.
    fn admit<'a>(
        &'a self,
        headers: &'a HeaderMap,
        now: OffsetDateTime,
    ) -> Pin<Box<dyn Future<Output = Result<AppCaller, AppRefused>> + Send + 'a>> {
        Box::pin(self.projects.admit(headers, now))
    }
}

/// The path has these methods, and not the one that came.
fn other_method(methods: &[&str]) -> FilesError {
    let error = FilesError::from(Code::METHOD_NOT_ALLOWED);
    match HeaderValue::from_str(&methods.join(", ")) {
        Ok(allow) => error.with_header(header::ALLOW, allow),
        Err(_) => error,
    }
}

/// What a handler does. Boxed, so that the compiler sees that it can go on in another thread.
type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, FilesError>> + Send + 'a>>;

/// Routes whose body is JSON, or none.
fn answering<'a>(route: Route, call: &'a Call<'a>, fields: &'a Fields) -> Doing<'a, Answer> {
    match route {
        Route::Presign => Box::pin(single::presign(call, fields)),
        Route::PresignedPost => Box::pin(presigned_post::make(call, fields)),
        Route::Register => Box::pin(single::register(call, fields)),
        Route::Complete => Box::pin(single::complete(call)),
        Route::UploadUrl => Box::pin(post_url::ask(call, fields)),
        Route::UploadTokens => Box::pin(upload_token::make(call, fields)),
        Route::List => Box::pin(list::list(call)),
        Route::Usage => Box::pin(usage::usage(call)),
        Route::Buckets => Box::pin(bucket::list(call)),
        Route::Bucket => Box::pin(bucket::one(call)),
        Route::BucketSet => Box::pin(bucket::set(call, fields)),
        Route::Quotas => Box::pin(quotas::get(call)),
        Route::QuotasSet => Box::pin(quotas::set(call, fields)),
        Route::Users => Box::pin(async { users::list(call) }),
        Route::UserBlock => Box::pin(users::change(call, fields, UserChange::Block)),
        Route::UserUnblock => Box::pin(users::change(call, fields, UserChange::Unblock)),
        Route::UserRevokeUrls => Box::pin(users::revoke_urls(call, fields)),
        Route::UserFiles => Box::pin(users::files(call, fields)),
        Route::DownloadUrl => Box::pin(download::one(call, fields)),
        Route::DownloadUrls => Box::pin(download::many(call, fields)),
        Route::PartsInit => Box::pin(multipart::init(call, fields)),
        Route::PartUrl => Box::pin(multipart::part_url(call, fields)),
        Route::PartUrls => Box::pin(multipart::part_urls(call, fields)),
        Route::PartsComplete => Box::pin(multipart::complete(call, fields)),
        Route::PartsAbort => Box::pin(multipart::abort(call, fields)),
        Route::PartsList => Box::pin(multipart::parts(call, fields)),
        Route::Get => Box::pin(file::get(call)),
        Route::Patch => Box::pin(file::patch(call, fields)),
        Route::PatchVisibility => Box::pin(file::patch_visibility(call, fields)),
        Route::Delete => Box::pin(file::delete(call)),
        Route::Restore => Box::pin(file::restore(call)),
        Route::Commit => Box::pin(commit::commit(call, fields)),
        Route::Copy => Box::pin(copy::copy(call, fields)),
        Route::Versions => Box::pin(versions::list(call)),
        Route::VersionRestore => Box::pin(versions::restore(call)),
        Route::VersionRemove => Box::pin(versions::remove(call)),
        Route::Refs => Box::pin(refs::list(call)),
        Route::RefAdd => Box::pin(refs::add(call)),
        Route::RefRemove => Box::pin(refs::remove(call)),
        Route::ScanAgain => Box::pin(scan::again(call)),
        Route::Release => Box::pin(scan::release(call, fields)),
        Route::RevokeUrls => Box::pin(file::revoke_urls(call)),
        Route::Shares => Box::pin(share::list(call)),
        Route::ShareAdd => Box::pin(share::add(call, fields)),
        Route::SharesReplace => Box::pin(share::replace(call, fields)),
        Route::SharesClear => Box::pin(share::clear(call)),
        Route::ShareRemove => Box::pin(share::remove(call)),
        Route::FromUrl => Box::pin(from_url::fetch(call, fields)),
        Route::WebhookAdd => Box::pin(webhooks::add(call, fields)),
        Route::Webhooks => Box::pin(webhooks::list(call)),
        Route::WebhookGet => Box::pin(webhooks::get(call)),
        Route::WebhookPatch => Box::pin(webhooks::patch(call, fields)),
        Route::WebhookDelete => Box::pin(webhooks::delete(call)),
        Route::WebhookTest => Box::pin(webhooks::test(call)),
        Route::WebhookDeliveries => Box::pin(webhooks::deliveries(call)),
        Route::CompanionParams => Box::pin(companion::params(call)),
        Route::CompanionCredentials => Box::pin(companion::credentials(call)),
        Route::CompanionBegin => Box::pin(companion::begin(call, fields)),
        Route::CompanionParts => Box::pin(companion::parts(call)),
        Route::CompanionPartUrl => Box::pin(companion::part_url(call)),
        Route::CompanionPartUrls => Box::pin(companion::part_urls(call)),
        Route::CompanionComplete => Box::pin(companion::complete(call, fields)),
        Route::CompanionAbort => Box::pin(companion::abort(call)),
        // These read their bodies themselves, or are answered before anybody is let in.
        Route::Content | Route::Upload | Route::Replace | Route::Public | Route::Document => {
            Box::pin(async { Err(Code::INTERNAL.into()) })
        }
    }
}
