//! What every verb stands on: how to speak, which servers there are, and a client for each. It asks no server by itself.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;

use super::client::{Client, ClientError, Habits, Pace, Patience};
use super::output::{Failure, Output, bytes, seconds};
use super::place::{Place, Remote};
use crate::cli::call::{Trust, is_loopback};
use crate::config::Vars;
use crate::config::aliases::{Alias, Aliases, ClientSettings};

/// Flags that every verb takes, before and after its name.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct General {
    /// Folder of the configuration file [default: ~/.mc, or set MC_CONFIG_DIR]
    #[arg(long, short = 'C', value_name = "DIR", global = true)]
    config_dir: Option<PathBuf>,
    /// JSON, one object a line [or set MC_JSON]
    #[arg(long, global = true)]
    json: bool,
    /// No progress bar [or set MC_QUIET]
    #[arg(long, short, global = true)]
    quiet: bool,
    /// There are no colours; accepted so that scripts work
    #[arg(long, global = true)]
    no_color: bool,
    /// Accept any TLS certificate [or set MC_INSECURE]
    #[arg(long, global = true)]
    insecure: bool,
    /// Tell every request's method, URL and status [or set MC_DEBUG]
    #[arg(long, global = true)]
    debug: bool,
    /// No more than this goes to servers in a second, as 10MiB/s [or set MC_LIMIT_UPLOAD]
    #[arg(long, value_name = "RATE", value_parser = rate, global = true)]
    limit_upload: Option<u64>,
    /// No more than this comes from servers in a second [or set MC_LIMIT_DOWNLOAD]
    #[arg(long, value_name = "RATE", value_parser = rate, global = true)]
    limit_download: Option<u64>,
    /// Send this with every request; may be given again
    #[arg(long, short = 'H', value_name = "NAME:VALUE", value_parser = header_pair, global = true)]
    custom_header: Vec<(HeaderName, HeaderValue)>,
    /// Where a host is, whatever the name service says, as store.local:9000=10.0.0.1; may be given again
    #[arg(long, value_name = "HOST[:PORT]=IP", value_parser = host_place, global = true)]
    resolve: Vec<(String, IpAddr)>,
    /// How long a server may be silent, as 30s; what moves, however slowly, goes on [default: 2m]
    #[arg(long, value_name = "DURATION", value_parser = span, global = true)]
    conn_read_deadline: Option<Duration>,
    /// There is no pager; accepted so that scripts work
    #[arg(long, visible_alias = "dp", global = true)]
    disable_pager: bool,
}

/// Bytes a second of `10MiB/s` or `10MiB`.
fn rate(text: &str) -> Result<u64, String> {
    let size = text.trim().trim_end_matches("/s");
    let rate = bytes(size).filter(|rate| *rate > 0);
    rate.ok_or_else(|| "not a rate such as 10MiB/s".to_owned())
}

fn span(text: &str) -> Result<Duration, String> {
    let seconds = seconds(text).filter(|seconds| *seconds > 0);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "not a duration such as 30s or 2m".to_owned())
}

fn header_pair(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let unfit = || "not a header such as name:value".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(unfit)?;
    let name = name.trim().parse().map_err(|_| unfit())?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| unfit())?;
    Ok((name, value))
}

fn host_place(text: &str) -> Result<(String, IpAddr), String> {
    let unfit = || "not a place such as store.local:9000=10.0.0.1".to_owned();
    let (host, ip) = text.split_once('=').ok_or_else(unfit)?;
    Ok((host.to_owned(), ip.parse().map_err(|_| unfit())?))
}

/// The running command's surroundings.
pub(super) struct Shell {
    pub(super) out: Output,
    vars: Vars,
    settings: ClientSettings,
    habits: Habits,
    clients: Mutex<BTreeMap<String, Arc<Client>>>,
    failures: AtomicU64,
}

impl Shell {
    /// From flags and environment. Nothing is read yet.
    pub(super) fn new(general: General, vars: Vars) -> Self {
        let told = ClientSettings::of(&vars);
        let settings = ClientSettings {
            config_dir: general.config_dir.or(told.config_dir),
            insecure: general.insecure || told.insecure,
            debug: general.debug || told.debug,
            ..told
        };
        let out = Output {
            json: general.json || settings.json,
            quiet: general.quiet || settings.quiet,
        };
        // A rate of the environment that is none is no reason to do nothing.
        let told = |text: &Option<String>| text.as_deref().and_then(|text| rate(text).ok());
        let pace = |given: Option<u64>, told: Option<u64>| given.or(told).map(|rate| Arc::new(Pace::new(rate)));
        let habits = Habits {
            upload: pace(general.limit_upload, told(&settings.limit_upload)),
            download: pace(general.limit_download, told(&settings.limit_download)),
            headers: general.custom_header.into_iter().collect(),
            places: general.resolve,
            patience: general.conn_read_deadline.map(Patience::new).unwrap_or_default(),
            uploads: Arc::default(),
        };
        Self {
            out,
            vars,
            settings,
            habits,
            clients: Mutex::default(),
            failures: AtomicU64::new(0),
        }
    }

    /// Tells of a part that failed; the command goes on, and its exit code will say so.
    pub(super) fn report(&self, failure: &Failure) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.out.fail(failure);
    }

    /// Takes back the uploads that the command has open; gives those that stay, with the reason.
    pub(super) async fn take_back(&self) -> Vec<(String, ClientError)> {
        self.habits.uploads.take_back().await
    }

    /// Whether a part failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failures() > 0
    }

    /// How many parts failed.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// The folder of the configuration.
    pub(super) fn config_dir(&self) -> Result<&Path, Failure> {
        let unknown = || {
            Failure::fatal("No folder for the configuration is known.").hint("Set MC_CONFIG_DIR or use --config-dir")
        };
        self.settings.config_dir.as_deref().ok_or_else(unknown)
    }

    /// The configuration file.
    pub(super) fn config_file(&self) -> Result<PathBuf, Failure> {
        Ok(self.config_dir()?.join("config.json"))
    }

    /// What the configuration file says; one that is not there says nothing.
    pub(super) fn aliases(&self) -> Result<Aliases, Failure> {
        let Some(folder) = &self.settings.config_dir else {
            return Aliases::parse(None, String::new()).map_err(|error| Failure::fatal(error.to_string()));
        };
        let file = folder.join("config.json");
        let unreadable = |reason: String| Failure::fatal(format!("Unable to read `{}`.", file.display())).hint(reason);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(error.to_string())),
        };
        Aliases::parse(text.as_deref(), file.display().to_string()).map_err(|error| unreadable(error.to_string()))
    }

    /// The server behind an alias.
    pub(super) fn alias(&self, name: &str) -> Result<Alias, Failure> {
        let found = self.aliases()?.find(name, &self.vars);
        found.map_err(|error| Failure::fatal(error.to_string()))
    }

    /// A client of a server that may not be among the aliases.
    pub(super) fn client_of(&self, alias: Alias) -> Result<Arc<Client>, Failure> {
        // This machine's own certificate proves nothing more than the loopback address does.
        let trust = if self.settings.insecure || is_loopback(&alias.host.host) {
            Trust::Any
        } else {
            let also = self.settings.config_dir.clone().unwrap_or_default().join("certs/CAs");
            Trust::Machine { also }
        };
        let client = Client::new(
            alias,
            &trust,
            self.settings.region.as_deref(),
            self.settings.debug,
            self.habits.clone(),
        );
        client.map_err(|error| Failure::fatal("Unable to set up a client.").because(&error))
    }

    /// The client of an alias; the same one every time.
    pub(super) fn client(&self, name: &str) -> Result<Arc<Client>, Failure> {
        if let Some(client) = self.clients.lock().get(name) {
            return Ok(Arc::clone(client));
        }
        let client = self.client_of(self.alias(name)?)?;
        self.clients.lock().insert(name.to_owned(), Arc::clone(&client));
        Ok(client)
    }

    /// What an argument means: `ALIAS/BUCKET/KEY` where the alias is known, else a local path.
    pub(super) fn place(&self, given: &str) -> Result<Place, Failure> {
        let explicit = given.is_empty() || given.starts_with(['/', '.']);
        let (name, rest) = given.split_once('/').unwrap_or((given, ""));
        if explicit || !self.aliases()?.knows(name, &self.vars) {
            return Ok(Place::Local(absolute(given)));
        }
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Place::Remote(Remote {
            client: self.client(name)?,
            alias: name.to_owned(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        }))
    }

    /// The same where only a server's place will do.
    pub(super) fn remote(&self, given: &str) -> Result<Remote, Failure> {
        match self.place(given)? {
            Place::Remote(remote) => Ok(remote),
            Place::Local(_) => {
                let name = given.split('/').next().unwrap_or_default();
                let error = crate::config::aliases::AliasError::Unknown { alias: name.to_owned() };
                Err(Failure::fatal(format!("`{given}` is not on a server.")).hint(error.to_string()))
            }
        }
    }

    /// The same where it must name a bucket.
    pub(super) fn bucket(&self, given: &str) -> Result<Remote, Failure> {
        let remote = self.remote(given)?;
        if remote.bucket.is_empty() {
            let hint = format!("Bucket name cannot be empty; write `{}/BUCKET`", remote.alias);
            return Err(Failure::fatal(format!("`{given}` names no bucket.")).hint(hint));
        }
        Ok(remote)
    }

    /// A place, and everything below it that is a bucket: an alias alone stands for all its buckets.
    pub(super) async fn buckets_of(&self, remote: Remote) -> Result<Vec<Remote>, ClientError> {
        if !remote.bucket.is_empty() {
            return Ok(vec![remote]);
        }
        let buckets = remote.client.buckets().await?;
        Ok(buckets
            .into_iter()
            .map(|(bucket, _)| Remote {
                bucket,
                ..remote.clone()
            })
            .collect())
    }
}

/// The whole path, without `.` in it; `..` and symbolic links stay as they are, and a last `/` too.
pub(super) fn absolute(given: &str) -> PathBuf {
    let whole =
        std::path::absolute(if given.is_empty() { "." } else { given }).unwrap_or_else(|_| PathBuf::from(given));
    let mut clean: PathBuf = whole
        .components()
        .filter(|part| !matches!(part, Component::CurDir))
        .collect();
    if given.ends_with('/') {
        clean.push("");
    }
    clean
}
