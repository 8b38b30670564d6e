//! The admin API: what operators, `mc admin` and `drystone admin` ask of a running store.
//!
//! Owns two families of routes: MinIO's verbs under `/minio/admin/v3/` and our own under `/v1/admin/`. Requests come
//! authenticated; every route asks `access` before it does anything. It never looks into objects, and what is not built
//! answers 501 in the form MinIO's clients print.

mod answer;
mod body;
pub mod drives;
mod error;
pub mod heal;
mod identities;
pub mod index;
mod info;
mod pools;
pub mod power;
pub mod projects;
mod query;
mod quota;
mod routes;
pub mod sealed;
mod sequence;
pub mod settings;
pub mod status;
mod streams;
mod usage;
pub mod visibility;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use storage_engine::backend::{Backend, Health};
use storage_engine::store::Store;
use storage_engine::store::bucket::ListBuckets;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use self::answer::Answer;
use self::drives::{Fleet, MovingReport, Order};
use self::error::AdminError;
use self::heal::{HealReport, Healing};
use self::identities::Permission;
use self::index::{IndexReport, Indexing, Rebuilding};
use self::info::View;
use self::power::Power;
use self::query::Query;
pub use self::routes::UNBUILT;
use self::routes::{Found, Verb, find};
use self::sealed::deriving::Sealer;
use self::sequence::Sequences;
use self::settings::ServerSettings;
use self::status::Status;
pub use self::streams::Streams;
use crate::access::{Action, Behind, Context, Grant, RequestFacts, Resource, decide, decide_own};
use crate::auth::{Account, AuthError, Identity, SignedWith, Standing};
use crate::collect::Collector;
use crate::http::body::{Body, BoxError};
use crate::http::origin::Origins;
use crate::http::peer::Peer;
use crate::http::request_id::RequestId;
use crate::identity::{Directory, KeyParent, account_of};
use crate::ldap::Ldap;
use crate::projects::Projects;
use crate::usage::{Figures, Usage};

/// What the front must be told of the server it belongs to.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// The region an operator named.
    pub region: Option<String>,
    /// Host suffixes under which a bucket is the first label.
    pub domains: Vec<String>,
    /// Where clients reach the server.
    pub origins: Origins,
    /// When this server began to serve.
    pub started: Instant,
    /// Names this run of the server in error documents.
    pub host_id: String,
}

/// Buckets asked for at once.
const BUCKETS_PAGE: usize = 1_000;

/// How long an answer waits for figures that are being counted.
const COUNT_PATIENCE: Duration = Duration::from_secs(2);

/// The admin API over one store.
#[derive(Clone)]
pub struct AdminService {
    inner: Arc<Inner>,
}

/// Everything the admin API may reach.
pub struct Reach {
    pub backend: Arc<dyn Backend>,
    pub store: Store,
    pub usage: Usage,
    pub directory: Directory,
    pub projects: Projects,
    pub collector: Collector,
    pub ldap: Ldap,
    /// The server itself.
    pub power: Arc<dyn Power>,
    /// `None` for a backend that has nothing to heal.
    pub healing: Option<Arc<dyn Healing>>,
    /// `None` for a backend without drives of its own.
    pub fleet: Option<Arc<dyn Fleet>>,
    /// `None` for a backend without an index of its own.
    pub index: Option<Arc<dyn Indexing>>,
    pub streams: Streams,
    pub settings: ServerSettings,
}

impl Reach {
    fn rebuild_index(&self) -> Result<Answer, AdminError> {
        self.index()?.rebuild().map_err(AdminError::Unavailable)?;
        Answer::of(Rebuilding { rebuilding: true })
    }

    fn index(&self) -> Result<&dyn Indexing, AdminError> {
        let index = self.index.as_deref();
        index.ok_or(AdminError::NotBuilt("Looking after the index of this backend"))
    }

    fn fleet(&self) -> Result<&dyn Fleet, AdminError> {
        let fleet = self.fleet.as_deref();
        fleet.ok_or(AdminError::NotBuilt("Changing the drives of this backend"))
    }

    fn healing(&self) -> Result<&dyn Healing, AdminError> {
        let healing = self.healing.as_deref();
        healing.ok_or(AdminError::NotBuilt("Healing of this backend"))
    }
}

struct Inner {
    reach: Behind<Reach>,
    config: AdminConfig,
    sealer: Sealer,
    sequences: Sequences,
}

/// One request whose caller may do what it asks.
struct Ask<'a> {
    verb: Verb,
    identity: &'a Identity,
    /// What the request was signed with.
    caller: Option<&'a SignedWith>,
    /// What that is worth later.
    standing: Option<&'a Standing>,
    query: Query,
    body: Bytes,
    reach: &'a Reach,
    host: &'a str,
    /// Where the caller reached the server: scheme, host and port.
    origin: &'a str,
    path: &'a str,
    /// Of the request, as far as policies ask for it.
    facts: &'a RequestFacts,
}

impl Ask<'_> {
    /// The account whose caller this is.
    fn account(&self) -> Option<KeyParent> {
        account_of(self.identity)
    }

    /// What follows `start` in the path.
    fn below(&self, start: &str) -> &str {
        self.path.strip_prefix(start).unwrap_or_default().trim_end_matches('/')
    }

    fn context(&self) -> Context<'_> {
        Context {
            request: Some(self.facts),
            ..Context::default()
        }
    }

    /// Whether the caller has a right that the verb itself does not ask for.
    fn may(&self, action: Action, resource: Resource<'_>) -> bool {
        decide(self.identity, action, resource, &self.context()).is_ok()
    }

    /// As [`Self::may`], about the store as a whole; refused like a verb that may not be asked for.
    fn must(&self, action: Action) -> Result<(), AdminError> {
        match self.may(action, Resource::Service) {
            true => Ok(()),
            false => Err(AdminError::AccessDenied),
        }
    }
}

/// The grant of whom `permission` lets in.
fn permitted(identity: &Identity, permission: Permission, facts: &RequestFacts) -> Result<Grant, AdminError> {
    let context = Context {
        request: Some(facts),
        ..Context::default()
    };
    let granted = match permission {
        Permission::Own(action) => decide_own(identity, action, &context).ok(),
        Permission::AnyOf(actions) => actions
            .iter()
            .find_map(|action| decide(identity, *action, Resource::Service, &context).ok()),
    };
    granted.ok_or(AdminError::AccessDenied)
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
    pub fn new(reach: Reach, config: AdminConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                reach: Behind::new(reach),
                config,
                sealer: Sealer::default(),
                sequences: Sequences::default(),
            }),
        }
    }

    /// Answers one authenticated request: an [`Identity`] in its extensions (none means anonymous), a plain body.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let about = About::of(&request);
        let answered = self.inner.answer(request, &about).await;
        answered.unwrap_or_else(|error| error.response(&about, &self.inner.config.host_id))
    }

    /// The answer to a request whose caller could not be told.
    pub fn refuse<B>(&self, request: &Request<B>) -> impl FnOnce(&AuthError) -> Response<Body> + use<B> {
        let (about, host_id) = (About::of(request), self.inner.config.host_id.clone());
        move |error| AdminError::from(error).response(&about, &host_id)
    }
}

impl Inner {
    async fn answer<B>(&self, request: Request<B>, about: &About) -> Result<Response<Body>, AdminError>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let identity = parts.extensions.get::<Identity>().unwrap_or(&Identity::Anonymous);
        let caller = parts.extensions.get::<SignedWith>();
        let found = find(&parts.method, &about.path);
        let query = Query::parse(parts.uri.query());
        let permission = match &found {
            Found::Verb(verb) => verb.permission(query.as_ref().ok()),
            Found::OtherMethod | Found::NotBuilt(_) => Permission::AnyOf(&[Action::AdminEverything]),
        };
        let facts = RequestFacts::read(&parts.extensions, &parts.headers, OffsetDateTime::now_utc());
        // Who may not ask learns nothing about what there is.
        let grant = permitted(identity, permission, &facts)?;
        let verb = match found {
            Found::Verb(verb) => verb,
            Found::OtherMethod => return Err(AdminError::MethodNotAllowed),
            Found::NotBuilt(feature) => return Err(AdminError::NotBuilt(feature)),
        };
        let origin = self.config.origins.of(parts.extensions.get::<Peer>(), &about.host);
        let ask = Ask {
            verb,
            identity,
            caller,
            standing: parts.extensions.get::<Standing>(),
            query: query?,
            // Nothing is done before the body has proved to be the one that was signed.
            body: body::read(body).await?,
            reach: self.reach.with(&grant),
            host: &about.host,
            origin: &origin,
            path: &about.path,
            facts: &facts,
        };
        let answer = self.serve(&ask).await?;
        answer.response(&self.sealer, caller).await
    }

    async fn serve(&self, ask: &Ask<'_>) -> Result<Answer, AdminError> {
        if let Some(order) = Order::read(ask.verb, &ask.body)? {
            let fleet = ask.reach.fleet()?;
            let changed = fleet.order(order).await?;
            return match ask.verb {
                Verb::PoolRebalanceStart => Ok(Answer::Document(pools::rebalance_started(
                    &ask.reach.backend.health().store,
                ))),
                Verb::PoolRebalanceStop => Ok(Answer::Done(StatusCode::OK)),
                _ => Answer::of(MovingReport::of(&fleet.status(), changed)),
            };
        }
        match ask.verb {
            Verb::IndexVerify => {
                let check = ask.reach.index()?.verify().await.map_err(AdminError::Unavailable)?;
                Answer::of(IndexReport::of(&check))
            }
            Verb::Service => power::serve(ask.reach.power.as_ref(), &ask.query, ask.host),
            Verb::Account => self.account(ask).await,
            Verb::HealSequence => self.sequences.serve(ask, ask.below(routes::HEAL)).await,
            Verb::Identities(verb) => self.identities(verb, ask).await,
            Verb::Stream(kind) => {
                let right = streams::Right::to(kind, ask.standing, ask.facts);
                streams::open(kind, ask.reach, (&ask.query, ask.host), right).map(Answer::Stream)
            }
            Verb::QuotaSet => {
                quota::set(&ask.reach.store, &ask.query, &ask.body).await?;
                Ok(Answer::Done(StatusCode::OK))
            }
            Verb::QuotaGet => quota::get(&ask.reach.store, &ask.query).await.map(Answer::Document),
            Verb::Visibility(verb) => self.visibility(verb, ask).await,
            Verb::Projects(verb) => self.projects(verb, ask).await,
            Verb::ConfigRead
            | Verb::ConfigSet
            | Verb::ConfigImport
            | Verb::ConfigReset
            | Verb::ConfigExport
            | Verb::ConfigHelp
            | Verb::ConfigHistory
            | Verb::ConfigHistoryClear
            | Verb::ConfigRestore => self.config(ask).await,
            Verb::Info | Verb::StorageInfo | Verb::DataUsage => {
                let figures = ask.reach.usage.figures(COUNT_PATIENCE).await;
                self.tell(ask, figures.as_deref())
            }
            _ => self.tell(ask, None),
        }
    }

    fn status(&self, reach: &Reach, health: &Health) -> Result<Answer, AdminError> {
        let uptime = self.config.started.elapsed();
        let mut troubles = reach.directory.troubles();
        troubles.extend(reach.projects.troubles());
        Answer::of(Status::of(health, uptime, troubles))
    }

    /// What is said at once, from what is known.
    fn tell(&self, ask: &Ask<'_>, usage: Option<&Figures>) -> Result<Answer, AdminError> {
        let reach = ask.reach;
        let health = reach.backend.health();
        let heal = reach.healing.as_deref().map(Healing::status);
        let view = View {
            health: &health,
            config: &self.config,
            host: ask.host,
            heal: heal.as_ref(),
            usage,
        };
        let healing = || Answer::of(HealReport::of(&reach.healing()?.status()));
        match ask.verb {
            Verb::Info => Ok(Answer::Document(info::server(&view))),
            Verb::StorageInfo => Ok(Answer::Document(info::storage(&view))),
            Verb::DataUsage => {
                let capacity = ask.query.is_true("capacity");
                Ok(Answer::Document(usage::data_usage(&view, capacity)))
            }
            Verb::Status => self.status(reach, &health),
            Verb::BackgroundHeal => reach.healing().map(|_| Answer::Document(heal::background(&view))),
            Verb::Heal => healing(),
            Verb::HealNow => reach.healing().map(Healing::heal_now).and_then(|()| healing()),
            Verb::ScrubNow => reach.healing().map(Healing::scrub_now).and_then(|()| healing()),
            Verb::IndexRebuild => reach.rebuild_index(),
            Verb::PoolsList => Ok(Answer::Document(pools::list(&view))),
            Verb::PoolStatus => pools::status(&view, &ask.query).map(Answer::Document),
            Verb::PoolChange => Err(pools::not_allowed()),
            Verb::PoolRebalanceStatus => {
                let moving = reach.fleet()?.status();
                pools::rebalance_status(&view, &moving).map(Answer::Document)
            }
            Verb::SiteReplication => Ok(Answer::Document(pools::site_replication())),
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
            | Verb::PoolRebalanceStart
            | Verb::PoolRebalanceStop
            | Verb::Account
            | Verb::Service
            | Verb::Identities(_)
            | Verb::Visibility(_)
            | Verb::Projects(_)
            | Verb::HealSequence
            | Verb::ConfigRead
            | Verb::ConfigSet
            | Verb::ConfigImport
            | Verb::ConfigReset
            | Verb::ConfigExport
            | Verb::ConfigHelp
            | Verb::ConfigHistory
            | Verb::ConfigHistoryClear
            | Verb::ConfigRestore
            | Verb::IndexVerify
            | Verb::QuotaSet
            | Verb::QuotaGet
            | Verb::Stream(_)
            | Verb::ParitySet => Answer::of(MovingReport::of(&reach.fleet()?.status(), Vec::new())),
        }
    }

    /// What a sealed body says, under the secret of the caller.
    async fn opened(&self, ask: &Ask<'_>) -> Result<Zeroizing<Vec<u8>>, AdminError> {
        let caller = ask.caller.ok_or(AdminError::AccessDenied)?;
        let secret = caller.secret.clone();
        let opened = self.sealer.open(&caller.access_key, secret, ask.body.clone()).await;
        opened.map_err(AdminError::from)
    }

    async fn config(&self, ask: &Ask<'_>) -> Result<Answer, AdminError> {
        let settings = &ask.reach.settings;
        let text = |text: String| Answer::Sealed(Zeroizing::new(text.into_bytes()));
        let changed = |applied| match applied {
            true => Answer::Applied,
            false => Answer::Done(StatusCode::OK),
        };
        match ask.verb {
            Verb::ConfigRead => settings.read(&ask.query).map(text),
            Verb::ConfigExport => Ok(text(settings.export())),
            Verb::ConfigSet => settings.set(&self.opened(ask).await?).await.map(changed),
            Verb::ConfigImport => settings.import(&self.opened(ask).await?).await.map(changed),
            Verb::ConfigReset => settings.reset(&self.opened(ask).await?).await.map(changed),
            Verb::ConfigHistory => Answer::sealed(&settings.history(&ask.query).await?),
            Verb::ConfigHistoryClear => {
                settings.clear_history(&ask.query).await?;
                Ok(Answer::Done(StatusCode::OK))
            }
            Verb::ConfigRestore => settings.restore(&ask.query).await.map(changed),
            _ => settings::help(&ask.query).map(Answer::Document),
        }
    }

    /// Who the caller is, and the buckets in reach.
    async fn account(&self, ask: &Ask<'_>) -> Result<Answer, AdminError> {
        let reach = ask.reach;
        let figures = reach.usage.figures(COUNT_PATIENCE).await;
        let mut buckets = Vec::new();
        let mut list = ListBuckets {
            limit: BUCKETS_PAGE,
            ..ListBuckets::default()
        };
        loop {
            let page = reach.store.list_buckets(list.clone()).await;
            let page = page.map_err(|fault| AdminError::Unavailable(fault.to_string()))?;
            buckets.extend(page.buckets);
            list.after = page.next;
            if list.after.is_none() {
                break;
            }
        }
        let reachable = buckets.iter().map(|bucket| {
            let name = bucket.name.as_str();
            usage::Reachable {
                name,
                created: bucket.created,
                read: ask.may(Action::ListBucket, Resource::Bucket(name)),
                write: ask.may(Action::PutObject, Resource::Object { bucket: name, key: "" }),
            }
        });
        let reachable: Vec<_> = reachable.filter(|bucket| bucket.read || bucket.write).collect();
        let health = reach.backend.health();
        let view = View {
            health: &health,
            config: &self.config,
            host: ask.host,
            heal: None,
            usage: figures.as_deref(),
        };
        let account = ask.account();
        let name = account.as_ref().map(|account| reach.directory.name_of(account));
        let policy = match ask.identity {
            Identity::Caller(caller) if caller.account != Account::Root => {
                identities::together(caller.policies.iter().map(|policy| policy.text()))?
            }
            Identity::Caller(_) | Identity::Root | Identity::Anonymous => usage::everything(),
        };
        let document = usage::account(&view, name.unwrap_or_default(), &policy, &reachable);
        Ok(Answer::Document(document))
    }
}

/// Whether this method and path are a route that is built; for tests that go through all of them.
pub fn is_built(method: &Method, path: &str) -> bool {
    matches!(find(method, path), Found::Verb(_))
}
