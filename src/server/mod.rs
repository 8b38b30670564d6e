//! The only wiring: listens, opens the engine, builds the fronts, says where it stands, drains and closes.
//!
//! It holds no rule of its own about requests (`http`, `auth`, `s3`) or data (`storage-engine`).

mod banner;
mod by_itself;
mod default_buckets;
mod engine;
pub mod exit;
mod feeds;
mod front;
mod images;
mod machine;
mod scan;
mod settings;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::server::graceful::GracefulShutdown;
use storage_engine::backend::{Backend, ServiceState};
use storage_engine::store::clock::{Clock, SystemClock};
use storage_engine::store::{Epoch, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use self::banner::Banner;
pub use self::engine::{CloseEngine, Engine, OpenEngine, embedded};
pub use self::exit::{EngineError, ServerError};
use self::feeds::Feeds;
use crate::admin::power::{Ending, Power};
use crate::admin::settings::ServerSettings;
use crate::admin::{AdminConfig, AdminService, Reach};
use crate::auth::SecretKey;
use crate::collect::{Collector, Terms};
use crate::config::credentials::{Root, keep};
use crate::config::{Config, DEFAULT_ROOT, Limits, RootSource, Secret};
use crate::files::{FilesService, Outward};
use crate::http::connection::{Activity, Patience};
use crate::http::console;
use crate::http::edge::{Edge, Service};
use crate::http::health::is_in_service;
use crate::http::listener::{Connections, bind};
use crate::http::origin::Origins;
use crate::http::pace::Pace;
use crate::http::tls::{Certificates, RELOAD_INTERVAL};
use crate::identity::{self, Directory, Federation, SealKeys};
use crate::images::pool::THIS_PROGRAM;
use crate::links::{Credentials, Links};
use crate::projects::Projects;
use crate::scan::{Figures, Scans};
use crate::sts::StsService;
use crate::telemetry::journal::Journal;
use crate::telemetry::metrics::Metrics;
use crate::usage::Usage;
use crate::webhooks::Webhooks;

/// How long requests may take to finish after the server was told to stop.
const DRAIN_TIME: Duration = Duration::from_secs(30);
/// The region of buckets when the operator names none: what SDKs take for granted.
const REGION: &str = "us-east-1";
/// How often a store that is not ready is looked at before the server needs something from its drives.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Files that are not connections: shard files, the index, logs.
const FILES_BESIDE_CONNECTIONS: u64 = 1_024;

/// A store, and what its scans did; `None`: nobody scans.
type Screened = (Store, Option<Arc<Figures>>);

/// How the server is run beside its configuration; tests shorten the waiting.
pub struct Conditions {
    pub open_engine: OpenEngine,
    pub patience: Patience,
    pub pace: Pace,
    pub certificate_interval: Duration,
    pub drain_time: Duration,
    /// The time that the store and collection go by.
    pub clock: Arc<dyn Clock>,
    /// The program whose processes make images: this one.
    pub image_worker: PathBuf,
    /// Where the log is kept for who asks; empty unless the process logs to it.
    pub journal: Journal,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            open_engine: embedded(),
            patience: Patience::default(),
            pace: Pace::default(),
            certificate_interval: RELOAD_INTERVAL,
            drain_time: DRAIN_TIME,
            clock: Arc::new(SystemClock),
            image_worker: PathBuf::from(THIS_PROGRAM),
            journal: Journal::default(),
        }
    }
}

/// Runs the store until SIGTERM, SIGINT or an order of an operator, then drains and closes it. Says how the process is to
/// end.
pub async fn run(config: Config, journal: Journal) -> Result<Ending, ServerError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServerError::Signals)?;
    if let Some(feature) = machine::missing_cpu_feature() {
        return Err(ServerError::Cpu(feature));
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let stopped = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(stopped);
    let started = tokio::select! {
        started = Server::start(config, Conditions { journal, ..Conditions::default() }) => started?,
        () = &mut stopped => {
            tracing::info!("told to stop before the start was done");
            return Ok(Ending::Stop);
        }
    };
    let ending = tokio::select! {
        () = &mut stopped => Ending::Stop,
        ordered = started.ordered() => ordered,
    };
    tracing::info!(?ending, "told to stop; finishing what was begun");
    ended(ending, started.stop(), stopped).await
}

/// Waits for the server to stop. Who sends a signal meanwhile wants it to end, whatever was ordered before.
async fn ended(
    ending: Ending,
    stopping: impl Future<Output = Result<(), ServerError>>,
    signalled: impl Future<Output = ()>,
) -> Result<Ending, ServerError> {
    if ending == Ending::Stop {
        return stopping.await.map(|()| ending);
    }
    let (stopping, signalled) = (std::pin::pin!(stopping), std::pin::pin!(signalled));
    // Asked first, so that a signal counts that came as late as with the end itself.
    match futures::future::select(signalled, stopping).await {
        futures::future::Either::Left(((), stopping)) => stopping.await.map(|()| Ending::Stop),
        futures::future::Either::Right((stopped, _)) => stopped.map(|()| ending),
    }
}

/// The order of an operator to end, kept for whoever runs the server.
struct Orders(watch::Sender<Option<Ending>>);

impl Power for Orders {
    fn order(&self, ending: Ending) {
        self.0.send_if_modified(|ordered| {
            let first = ordered.is_none();
            ordered.get_or_insert(ending);
            first
        });
    }
}

/// A running server.
pub struct Server {
    edge: Arc<Edge>,
    addresses: Vec<SocketAddr>,
    console_addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    accepting: Vec<JoinHandle<()>>,
    tls: bool,
    /// Tasks that have no end of their own.
    background: Vec<JoinHandle<()>>,
    graceful: Arc<GracefulShutdown>,
    close: Option<CloseEngine>,
    drain_time: Duration,
    clock: Arc<dyn Clock>,
    image_worker: PathBuf,
    orders: Arc<Orders>,
    feeds: Feeds,
}

impl Server {
    /// Listens first, so that health can be asked while the engine opens; serves when this returns.
    pub async fn start(config: Config, conditions: Conditions) -> Result<Self, ServerError> {
        let certificates = Certificates::find(&config.certs_dirs)?;
        if certificates.is_none() && config.certs_dir_given {
            tracing::warn!(folders = ?config.certs_dirs, "no public.crt and private.key there: listening WITHOUT TLS");
        }
        let mut server = Self::listen(&config, certificates, &conditions).await?;
        match server.open(&config, conditions.open_engine).await {
            Ok(()) => Ok(server),
            Err(error) => {
                // The reason the start failed says more than how the stop went.
                drop(server.stop().await);
                Err(error)
            }
        }
    }

    async fn listen(
        config: &Config,
        certificates: Option<Arc<Certificates>>,
        conditions: &Conditions,
    ) -> Result<Self, ServerError> {
        let tls = match &certificates {
            Some(certificates) => Some(TlsAcceptor::from(Arc::new(certificates.server_config()?))),
            None => None,
        };
        let metrics = Arc::new(Metrics::new());
        let mut seed = [0_u8; 8];
        getrandom::fill(&mut seed).map_err(ServerError::Random)?;
        let seed = u64::from_le_bytes(seed);
        let feeds = Feeds {
            journal: conditions.journal.clone(),
            ..Feeds::default()
        };
        let told = (Arc::clone(&metrics), feeds.trace.clone());
        let edge = Arc::new(Edge::new(config, told, conditions.pace, seed));
        let connections = Connections::new(connections_max(config.limits), conditions.patience, metrics);
        let (stop, stopping) = watch::channel(false);
        let graceful = Arc::new(GracefulShutdown::new());

        let listeners = bind(&config.address, "--address").await?;
        let consoles = match &config.console_address {
            Some(address) => bind(address, "--console-address").await?,
            None => Vec::new(),
        };
        let (addresses, console_addresses) = (local_addresses(&listeners), local_addresses(&consoles));
        let mut accepting = Vec::new();
        for listener in listeners {
            let edge = Arc::clone(&edge);
            let handler = move |request, activity| Arc::clone(&edge).answer(request, activity);
            let accept =
                connections
                    .clone()
                    .accept(listener, tls.clone(), handler, Arc::clone(&graceful), stopping.clone());
            accepting.push(tokio::spawn(accept));
        }
        for listener in consoles {
            let handler = |request, activity: Arc<Activity>| async move {
                let _in_flight = activity.begin(http::Version::HTTP_11);
                console::answer(&request)
            };
            let accept =
                connections
                    .clone()
                    .accept(listener, tls.clone(), handler, Arc::clone(&graceful), stopping.clone());
            accepting.push(tokio::spawn(accept));
        }
        let background = certificates
            .into_iter()
            .map(|found| tokio::spawn(found.watch(conditions.certificate_interval)))
            .collect();
        Ok(Self {
            edge,
            addresses,
            console_addresses,
            stop,
            accepting,
            tls: tls.is_some(),
            background,
            graceful,
            close: None,
            drain_time: conditions.drain_time,
            clock: Arc::clone(&conditions.clock),
            image_worker: conditions.image_worker.clone(),
            orders: Arc::new(Orders(watch::Sender::new(None))),
            feeds,
        })
    }

    async fn open(&mut self, config: &Config, open_engine: OpenEngine) -> Result<(), ServerError> {
        some_writable(config)?;
        let engine = open_engine(config).await?;
        self.close = Some(engine.close);
        let backend = engine.backend;
        let root = root(config, backend.as_ref()).await?;
        let mut epoch = [0; 16];
        getrandom::fill(&mut epoch).map_err(ServerError::Random)?;
        let store = Store::new(Arc::clone(&backend), Arc::clone(&self.clock), Epoch(epoch));
        let stored = settings::load(&store).await;
        let config = &settings::holding(config, stored.as_ref());
        self.edge.change(config.at_once());
        let region = config.region.clone().unwrap_or_else(|| REGION.to_owned());
        self.default_buckets(config, &store, &region).await;
        let (providers, ldap) = (front::providers(config)?, front::ldap(config)?);
        let directory = self
            .directory(config, &root, &store, front::federation(&providers, &ldap))
            .await;
        let projects = self.projects(&store, &directory, &region).await;
        let (store, scanned) = self.screened(config, store, &projects)?;
        let links = Links::new(directory.clone(), Arc::new(projects.clone()), region.as_str());
        let credentials = Credentials::new(directory.clone(), links.clone());
        let authenticator = front::authenticator(config, credentials).map_err(ServerError::Random)?;
        let told = self.told(config);
        let usage = Usage::new(store.clone());
        let wiring = settings::wiring(config, &store, &directory, &self.edge);
        let settings = ServerSettings::new(wiring, stored);
        if settings.is_loading() {
            self.background
                .push(tokio::spawn(settings::load_later(settings.clone())));
        }
        let outward = self.outward(config, &store, &projects)?;
        let collector = self.collector(&store, &projects);
        let figures = (collector.figures(), scanned, outward.webhooks.clone());
        let engine_status = by_itself::engine(engine.healing.clone(), engine.fleet.clone());
        let files = FilesService::new(store.clone(), projects.clone(), links, told.origins.clone(), outward);
        let reach = Reach {
            settings,
            backend: Arc::clone(&backend),
            store: store.clone(),
            usage: usage.clone(),
            directory: directory.clone(),
            projects: projects.clone(),
            collector: collector.clone(),
            ldap: ldap.clone(),
            power: Arc::clone(&self.orders) as Arc<dyn Power>,
            healing: engine.healing,
            fleet: engine.fleet,
            index: engine.index,
            streams: self.feeds.of_operators(),
        };
        let admin = front::admin(Arc::clone(&authenticator), AdminService::new(reach, told));
        let sts = StsService::new(Arc::clone(&authenticator), directory.clone(), providers, ldap);
        let about = (self.edge.host_id(), self.feeds.events.clone());
        let service = front::service(config, directory, store.clone(), about);
        let images = images::images(&self.image_worker, (&authenticator, &projects, &service));
        self.edge.open(Service {
            backend,
            by_itself: Some(by_itself::all(engine_status, figures, images.clone())),
            scraper: front::scraper(Arc::clone(&authenticator)),
            s3: front::s3(authenticator, sts, service),
            admin,
            files: front::files(files, images),
            cors: front::cors(config, store),
            image_hosts: images::hosts(&projects),
            usage,
        });
        self.announce(config);
        Ok(())
    }

    /// The store through which what is uploaded waits for its scan, if there is a scanner; it scans from here on.
    fn screened(&mut self, config: &Config, store: Store, projects: &Projects) -> Result<Screened, ServerError> {
        let (store, scans) = scan::screened(config, store, (projects, Arc::clone(&self.clock)))?;
        let figures = scans.as_ref().map(Scans::figures);
        if let Some(scans) = scans {
            self.background.push(tokio::spawn(scans.keep_scanning()));
        }
        Ok((store, figures))
    }

    /// What takes away what is over; it does so from here on.
    fn collector(&mut self, store: &Store, projects: &Projects) -> Collector {
        let rules = Arc::new(projects.clone());
        let collector = Collector::new(store.clone(), Arc::clone(&self.clock), Terms::default(), rules);
        self.background.push(tokio::spawn(collector.clone().keep_collecting()));
        collector
    }

    async fn default_buckets(&mut self, config: &Config, store: &Store, region: &str) {
        let buckets = default_buckets::make(store, config.default_buckets.clone(), region).await;
        if !buckets.is_empty() {
            self.background.push(tokio::spawn(default_buckets::make_later(
                store.clone(),
                buckets,
                region.to_owned(),
            )));
        }
    }

    fn told(&self, config: &Config) -> AdminConfig {
        AdminConfig {
            region: config.region.clone(),
            domains: config.domains.clone(),
            origins: Origins {
                server_url: config.server_url.clone(),
                tls: self.tls,
            },
            started: Instant::now(),
            host_id: self.edge.host_id().to_owned(),
        }
    }

    /// Who there is beside root. Root gets in whatever comes of it.
    async fn directory(&mut self, config: &Config, root: &Root, store: &Store, federation: Federation) -> Directory {
        let password = SecretKey::new(root.password.expose().as_bytes());
        let old_password = config.old_root_password.as_ref();
        let keys = SealKeys {
            operator: config.operator_key.clone(),
            old_operator: config.old_operator_key.clone(),
            password: password.clone(),
            old_password: old_password.map(|password| SecretKey::new(password.expose().as_bytes())),
        };
        let root = identity::Root {
            access_key: root.user.clone(),
            secret: password,
        };
        let directory = Directory::open(store.clone(), Arc::new(SystemClock), root, keys, federation).await;
        if directory.is_loading() {
            self.background.push(tokio::spawn(directory.clone().keep_loading()));
        }
        directory
    }

    /// The apps that use the store. None is let in before they were read.
    async fn projects(&mut self, store: &Store, directory: &Directory, region: &str) -> Projects {
        let (clock, issuers) = (Arc::new(SystemClock), front::issuers());
        let projects = Projects::open(store.clone(), clock, directory.clone(), issuers, region.to_owned()).await;
        if projects.is_loading() {
            self.background.push(tokio::spawn(projects.clone().keep_loading()));
        }
        projects
    }

    /// What calls other servers for applications; what happened to their files is told from here on.
    fn outward(&mut self, config: &Config, store: &Store, projects: &Projects) -> Result<Outward, ServerError> {
        let outbound = front::outbound(config)?;
        let webhooks = Webhooks::new(store.clone(), projects.clone(), outbound.clone(), Arc::new(SystemClock));
        self.background.push(tokio::spawn(webhooks.clone().keep_delivering()));
        Ok(Outward {
            webhooks,
            fetch: config.files_from_url.then_some(outbound),
            scans: config.scan.is_some(),
        })
    }

    fn announce(&self, config: &Config) {
        let Some(health) = self.edge.health() else { return };
        if let Some(wanted) = config.parity.map(usize::from)
            && health.parity != wanted
            && !matches!(health.state, ServiceState::NotReady(_))
        {
            tracing::warn!(
                "MINIO_STORAGE_CLASS_STANDARD=EC:{wanted} has no effect: the store was made with EC:{} and keeps it",
                health.parity
            );
        }
        let banner = Banner {
            addresses: &self.addresses,
            tls: self.tls,
            server_url: config.server_url.as_deref(),
            console: &self.console_addresses,
            health: &health,
        };
        if config.output.json || config.output.quiet {
            for trouble in banner.troubles() {
                tracing::warn!("{trouble}");
            }
            tracing::info!(
                endpoints = banner.endpoints().join(" "),
                drives = banner.safety(),
                "serving"
            );
        } else {
            to_operator(&banner.text());
        }
    }

    /// Waits until an operator orders the server to end.
    pub async fn ordered(&self) -> Ending {
        let mut orders = self.orders.0.subscribe();
        // The sender lives as long as the server, so this ends with an order only.
        match orders.wait_for(Option::is_some).await.map(|ordered| *ordered) {
            Ok(Some(ending)) => ending,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Addresses that the S3 listener really has; port 0 became a number.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Addresses of the console's page.
    pub fn console_addresses(&self) -> &[SocketAddr] {
        &self.console_addresses
    }

    /// Stops accepting, lets requests finish for at most the drain time, then closes the engine.
    /// After `Ok` the next start needs no recovery.
    pub async fn stop(self) -> Result<(), ServerError> {
        self.stop.send_replace(true);
        // They would go on for as long as their clients listen.
        self.feeds.close();
        for accepting in self.accepting {
            if accepting.await.is_err() {
                tracing::error!("a listener ended in a panic; this is a bug");
            }
        }
        for background in self.background {
            background.abort();
        }
        // The listeners held the other references, and they have ended.
        let drained = async {
            if let Some(graceful) = Arc::into_inner(self.graceful) {
                graceful.shutdown().await;
            }
        };
        if tokio::time::timeout(self.drain_time, drained).await.is_err() {
            tracing::warn!(
                seconds = self.drain_time.as_secs(),
                "requests were still running; they are cut off"
            );
        }
        self.edge.close();
        match self.close {
            Some(close) => close().await.map_err(ServerError::Close),
            None => Ok(()),
        }
    }
}

/// Refuses drives none of which can be written, and tells of single ones.
fn some_writable(config: &Config) -> Result<(), EngineError> {
    let not_writable = machine::not_writable(&config.drives);
    if !not_writable.is_empty() && not_writable.len() == config.drives.len() {
        let all: Vec<String> = not_writable.into_iter().map(|drive| drive.message).collect();
        return Err(EngineError::NotWritable(all.join("\n")));
    }
    for drive in not_writable {
        tracing::warn!(drive = %drive.path.display(), "{}", drive.message);
    }
    Ok(())
}

fn local_addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .collect()
}

/// The cap on connections, lowered to what the file descriptors allow.
fn connections_max(limits: Limits) -> usize {
    let Some(files) = machine::raise_open_files() else {
        return limits.connections_max;
    };
    let allowed = usize::try_from(files.saturating_sub(FILES_BESIDE_CONNECTIONS).max(files / 2)).unwrap_or(usize::MAX);
    if allowed < limits.connections_max {
        tracing::warn!(
            allowed,
            "the limit of open files (ulimit -n) allows fewer connections than configured"
        );
    }
    limits.connections_max.min(allowed)
}

/// The root user's credentials. Generated ones are kept on the drives that the engine accepted, and on no other.
async fn root(config: &Config, backend: &dyn Backend) -> Result<Root, ServerError> {
    match &config.root {
        RootSource::Given { user, password } => Ok(Root {
            user: user.clone(),
            password: password.clone(),
        }),
        RootSource::Default => Ok(Root {
            user: DEFAULT_ROOT.0.to_owned(),
            password: Secret::new(DEFAULT_ROOT.1),
        }),
        RootSource::Kept => {
            // Which credentials hold is written on the drives: without them nobody can be told from anybody.
            while let ServiceState::NotReady(why) = backend.health().state {
                tracing::debug!(why, "waiting for the drives that keep the credentials");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            let drives: Vec<PathBuf> = backend
                .health()
                .drives
                .into_iter()
                .filter(|drive| is_in_service(drive.state))
                .map(|drive| PathBuf::from(drive.path))
                .collect();
            let kept = tokio::task::spawn_blocking(move || keep(&drives))
                .await
                .map_err(|_| ServerError::ThreadLost)??;
            for failed in &kept.failed {
                tracing::warn!("the generated credentials are not on every drive: {failed}");
            }
            tracing::warn!(
                path = %kept.path.display(),
                "no credentials were set: generated ones are in this file; set MINIO_ROOT_USER and MINIO_ROOT_PASSWORD to use your own"
            );
            // Only to a person at a terminal: standard output is often a log that others read.
            if kept.made_now && std::io::stdout().is_terminal() {
                to_operator(&format!(
                    "  user      {}\n  password  {}\n",
                    kept.root.user,
                    kept.root.password.expose()
                ));
            }
            Ok(kept.root)
        }
    }
}

/// Standard output may be closed or full; the store runs all the same.
fn to_operator(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::{Ending, ended};

    #[tokio::test]
    async fn a_signal_while_a_restart_drains_ends_the_process() {
        let stopping = || async {
            tokio::task::yield_now().await;
            Ok(())
        };
        let ending = ended(Ending::Restart, stopping(), ready(())).await.unwrap();
        assert_eq!(ending, Ending::Stop);
        let ending = ended(Ending::Restart, stopping(), pending()).await.unwrap();
        assert_eq!(ending, Ending::Restart);
        let ending = ended(Ending::Stop, stopping(), pending()).await.unwrap();
        assert_eq!(ending, Ending::Stop);
    }
}
