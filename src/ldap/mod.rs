//! An LDAP server: whose name and password it accepts, and in which of its groups they are.
//!
//! Owns the conversation (find the one entry, bind as it, find its groups), its limits, and the one form of distinguished
//! names. It knows neither policies nor credentials, keeps nothing of what it hears, and never shows a password. A server
//! that cannot be reached holds nothing up but who signs in by it.

mod attempts;
mod ber;
mod connection;
mod dn;
mod error;
mod filter;
mod message;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use dn::Dn;
pub use error::{LdapError, LdapSetupError};

use crate::config::{LdapSecurity, LdapServer};
use attempts::Attempts;
use connection::{Connection, Found, shown};
use filter::{Filling, Template};
use message::{Outcome, Password, Scope, Search, code};

const NAME_BYTES_MAX: usize = 256;
const PASSWORD_BYTES_MAX: usize = 1_024;
/// Most groups of one user.
const GROUPS_MAX: u32 = 1_000;
/// Most bytes of the names of one user's groups: each of the user's credentials carries them.
const GROUPS_BYTES_MAX: usize = 6 * 1024;
/// Most conversations at once; who comes later waits.
const AT_ONCE: usize = 16;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A whole conversation, with the wait for its turn.
    pub patience: Duration,
    /// A sign-in that failed is answered no sooner than this: neither is there much to guess with, nor does the time tell
    /// an unknown user from a wrong password.
    pub failure: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(10),
            failure: Duration::from_secs(1),
        }
    }
}

/// Somebody who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// As the server calls them.
    pub dn: String,
    /// As they signed in, in the one form of names.
    pub name: String,
    /// The names of their groups, sorted.
    pub groups: Vec<String>,
}

/// The LDAP server of the settings, if there is one. Cheap to clone.
#[derive(Clone, Default)]
pub struct Ldap(Option<Arc<Inner>>);

struct Inner {
    server: LdapServer,
    bind_password: Password,
    user_bases: Vec<Base>,
    user_filter: Template,
    groups: Option<(Vec<Base>, Template)>,
    tls: Arc<ClientConfig>,
    pace: Pace,
    turns: Semaphore,
    /// From when the times of attempts are counted.
    started: Instant,
    attempts: Mutex<Attempts>,
}

/// Where is searched.
struct Base {
    dn: Dn,
    /// As the operator wrote it.
    text: String,
}

/// An entry that was found.
struct Entry {
    dn: Dn,
    /// As the server wrote it: so it is told to the server.
    text: String,
}

/// What a conversation is given up for.
enum Failed {
    /// To be told to whoever asked.
    Told(LdapError),
    /// To be told to the operator.
    Broken(String),
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

fn bases(setting: &'static str, texts: &[String]) -> Result<Vec<Base>, LdapSetupError> {
    let base = |text: &String| {
        let text = text.trim().to_owned();
        let dn = Dn::parse(&text).ok_or(LdapSetupError::Setting {
            setting,
            problem: "is not a list of distinguished names with ';' between, as ou=people,dc=example,dc=org",
        })?;
        Ok(Base { dn, text })
    };
    match texts.is_empty() {
        true => Err(LdapSetupError::Setting {
            setting,
            problem: "names no place to search in",
        }),
        false => texts.iter().map(base).collect(),
    }
}

fn template(setting: &'static str, text: &str) -> Result<Template, LdapSetupError> {
    Template::parse(text).map_err(|problem| LdapSetupError::Setting { setting, problem })
}

impl Ldap {
    /// Over the server of the settings. It is not asked for anything yet.
    pub fn new(server: Option<LdapServer>, pace: Pace) -> Result<Self, LdapSetupError> {
        let Some(server) = server else {
            return Ok(Self::default());
        };
        let refuse = |setting, problem| Err(LdapSetupError::Setting { setting, problem });
        let Some(bind_password) = Password::new(server.bind_password.expose()) else {
            return refuse("LOOKUP_BIND_PASSWORD", "is empty");
        };
        let user_filter = template("USER_DN_SEARCH_FILTER", &server.user_filter)?;
        if !user_filter.asks_for(true, false) {
            return refuse(
                "USER_DN_SEARCH_FILTER",
                "holds no %s, so it finds the same entry whoever signs in",
            );
        }
        if user_filter.asks_for(false, true) {
            return refuse("USER_DN_SEARCH_FILTER", "holds %d, which is what is searched for");
        }
        let groups = match &server.groups {
            None => None,
            Some(groups) => {
                let filter = template("GROUP_SEARCH_FILTER", &groups.filter)?;
                if !filter.asks_for(true, true) {
                    return refuse(
                        "GROUP_SEARCH_FILTER",
                        "holds neither %d nor %s, so everybody would be in all groups",
                    );
                }
                Some((bases("GROUP_SEARCH_BASE_DN", &groups.bases)?, filter))
            }
        };
        Ok(Self(Some(Arc::new(Inner {
            tls: connection::tls(&server)?,
            user_bases: bases("USER_DN_SEARCH_BASE_DN", &server.user_bases)?,
            bind_password,
            user_filter,
            groups,
            server,
            pace,
            turns: Semaphore::new(AT_ONCE),
            started: Instant::now(),
            attempts: Mutex::default(),
        }))))
    }

    /// Whether there is one.
    pub fn is_configured(&self) -> bool {
        self.0.is_some()
    }

    /// The server as `HOST:PORT`, for logs.
    pub fn address(&self) -> Option<String> {
        let inner = self.0.as_ref()?;
        let (host, port) = (&inner.server.host, inner.server.port);
        Some(if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        })
    }

    /// How it is set, by MinIO's names of its settings; nothing without one. No password is among them.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let Some(inner) = self.0.as_deref() else {
            return Vec::new();
        };
        let server = &inner.server;
        let on = |is_on: bool| if is_on { "on" } else { "off" }.to_owned();
        let mut settings = vec![
            ("server_addr", self.address().unwrap_or_default()),
            ("server_starttls", on(server.security == LdapSecurity::StartTls)),
            ("server_insecure", on(server.security == LdapSecurity::Plain)),
            ("tls_skip_verify", on(!server.verified)),
            ("lookup_bind_dn", server.bind_dn.clone()),
            ("user_dn_search_base_dn", server.user_bases.join(";")),
            ("user_dn_search_filter", server.user_filter.clone()),
        ];
        if let Some(groups) = &server.groups {
            settings.push(("group_search_base_dn", groups.bases.join(";")));
            settings.push(("group_search_filter", groups.filter.clone()));
        }
        settings
    }

    fn inner(&self) -> Result<&Inner, LdapError> {
        self.0.as_deref().ok_or(LdapError::NoServer)
    }

    /// Who this name and password are, for somebody who asks from there. Bounded in time; failures are answered late.
    pub async fn sign_in(&self, name: &str, password: &str, from: Option<IpAddr>) -> Result<SignedIn, LdapError> {
        let (inner, began) = (self.inner()?, Instant::now());
        // What nobody is called is not counted either: counts keep names.
        let password = Password::new(password).filter(|_| is_name(name) && password.len() <= PASSWORD_BYTES_MAX);
        let name = &one_form(name);
        let Some(password) = password else {
            tokio::time::sleep_until(began + inner.pace.failure).await;
            return Err(LdapError::Wrong);
        };
        let at = began.duration_since(inner.started);
        if !inner.attempts.lock().begin(from, name, at) {
            return Err(LdapError::TooOften);
        }
        let signed_in = inner.within_patience(inner.signed_in(name, &password)).await;
        match &signed_in {
            Err(LdapError::Wrong) => tokio::time::sleep_until(began + inner.pace.failure).await,
            Ok(_) | Err(_) => inner.attempts.lock().forgive(from, name),
        }
        signed_in
    }

    /// The distinguished name of a user, by that name in any form or by the name to sign in with. `None`: there is none.
    pub async fn user(&self, named: &str) -> Result<Option<String>, LdapError> {
        let inner = self.inner()?;
        match Dn::parse(named) {
            Some(dn) => inner.within_patience(inner.entry(named, &dn, &inner.user_bases)).await,
            None if is_name(named) => {
                let found = inner.within_patience(inner.user_by_name(&one_form(named))).await;
                match found {
                    Ok(dn) => Ok(Some(dn)),
                    Err(LdapError::Wrong) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            None => Ok(None),
        }
    }

    /// The distinguished name of a group, by that name in any form. `None`: there is none, or no groups are searched for.
    pub async fn group(&self, named: &str) -> Result<Option<String>, LdapError> {
        let inner = self.inner()?;
        match (Dn::parse(named), &inner.groups) {
            (Some(dn), Some((bases, _))) => inner.within_patience(inner.entry(named, &dn, bases)).await,
            (_, _) => Ok(None),
        }
    }
}

/// A name to sign in with, in the one form in which it is searched for, counted and told to policies: lower case, no blanks
/// around it, one between words. Servers take `ANN` and `ann ` for `ann`, and nobody shall be somebody else by that.
fn one_form(name: &str) -> String {
    let words = name.split_whitespace().map(str::to_lowercase);
    words.collect::<Vec<_>>().join(" ")
}

/// Whether anybody may be called so who signs in.
fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

impl Inner {
    async fn within_patience<T>(&self, conversation: impl Future<Output = Result<T, Failed>>) -> Result<T, LdapError> {
        let in_turn = async {
            let _turn = self
                .turns
                .acquire()
                .await
                .map_err(|error| Failed::Broken(error.to_string()))?;
            conversation.await
        };
        let ended = tokio::time::timeout(self.pace.patience, in_turn).await;
        let why = match ended {
            Ok(Ok(told)) => return Ok(told),
            Ok(Err(Failed::Told(error))) => return Err(error),
            Ok(Err(Failed::Broken(why))) => why,
            Err(_) => format!("no answer within {} ms", self.pace.patience.as_millis()),
        };
        tracing::warn!(
            server = self.server.host,
            port = self.server.port,
            "the LDAP server cannot be asked: {why}"
        );
        Err(LdapError::Unreachable)
    }

    /// A connection that may search.
    async fn connected(&self) -> Result<Connection, Failed> {
        let mut connection = Connection::open(&self.server, &self.tls).await?;
        self.bind_to_search(&mut connection).await?;
        Ok(connection)
    }

    async fn bind_to_search(&self, connection: &mut Connection) -> Result<(), Failed> {
        let outcome = connection.bind(&self.server.bind_dn, &self.bind_password).await?;
        match outcome.code {
            code::SUCCESS => Ok(()),
            _ => Err(Failed::Broken(format!(
                "the bind of LOOKUP_BIND_DN: {}",
                shown(&outcome)
            ))),
        }
    }

    async fn search(&self, connection: &mut Connection, base: &str, filter: &[u8], most: u32) -> Result<Found, Failed> {
        let asked = Search {
            base,
            scope: Scope::Below,
            filter: filter.to_vec(),
            entries_max: most,
            seconds: self.seconds(),
        };
        Ok(connection.search(&asked).await?)
    }

    fn seconds(&self) -> u32 {
        u32::try_from(self.pace.patience.as_secs()).unwrap_or(u32::MAX).max(1)
    }

    /// The one user of this name.
    async fn found_user(&self, connection: &mut Connection, name: &str) -> Result<Entry, Failed> {
        let filter = self.user_filter.filled(Filling { name, dn: "" });
        let mut found: Vec<Entry> = Vec::new();
        for base in &self.user_bases {
            let there = self.search(connection, &base.text, &filter, 2).await?;
            for text in there.entries {
                let entry = read(text)?;
                // Bases may stand in each other.
                if found.iter().all(|other| other.dn != entry.dn) {
                    found.push(entry);
                }
            }
        }
        match (found.pop(), found.len()) {
            (Some(one), 0) => Ok(one),
            (None, _) => Err(Failed::Told(LdapError::Wrong)),
            (Some(_), _) => {
                tracing::warn!(
                    name,
                    "more than one entry of the LDAP server fits the name somebody signs in with, so nobody is let in: \
                     make USER_DN_SEARCH_FILTER narrower"
                );
                Err(Failed::Told(LdapError::Wrong))
            }
        }
    }

    async fn signed_in(&self, name: &str, password: &Password) -> Result<SignedIn, Failed> {
        let mut connection = self.connected().await?;
        let user = self.found_user(&mut connection, name).await?;
        let outcome = connection.bind(&user.text, password).await?;
        if outcome.code != code::SUCCESS {
            connection.close().await;
            return Err(refusal(&outcome));
        }
        let groups = match &self.groups {
            None => Vec::new(),
            Some(groups) => {
                // What a user sees of the directory decides on none of the user's rights.
                self.bind_to_search(&mut connection).await?;
                self.groups_of(&mut connection, &user, name, groups).await?
            }
        };
        connection.close().await;
        Ok(SignedIn {
            dn: user.dn.to_string(),
            name: name.to_owned(),
            groups,
        })
    }

    async fn groups_of(
        &self,
        connection: &mut Connection,
        user: &Entry,
        name: &str,
        (bases, filter): &(Vec<Base>, Template),
    ) -> Result<Vec<String>, Failed> {
        let filter = filter.filled(Filling { name, dn: &user.text });
        let mut groups = Vec::new();
        for base in bases {
            let found = self.search(connection, &base.text, &filter, GROUPS_MAX).await?;
            if found.no_base {
                // Taken for "in no groups", it would lift whatever is denied to the groups.
                return Err(Failed::Broken(format!(
                    "it knows no entry '{}', which GROUP_SEARCH_BASE_DN names, so nobody's groups can be told",
                    base.text
                )));
            }
            if found.more {
                return Err(Failed::Told(LdapError::TooManyGroups));
            }
            for text in found.entries {
                let group = read(text)?;
                // One of a single level could be called like a group that is kept here.
                if group.dn.levels() > 1 {
                    groups.push(group.dn.to_string());
                }
            }
        }
        groups.sort();
        groups.dedup();
        match groups.iter().map(String::len).sum::<usize>() > GROUPS_BYTES_MAX {
            true => Err(Failed::Told(LdapError::TooManyGroups)),
            false => Ok(groups),
        }
    }

    async fn user_by_name(&self, name: &str) -> Result<String, Failed> {
        let mut connection = self.connected().await?;
        let user = self.found_user(&mut connection, name).await?;
        connection.close().await;
        Ok(user.dn.to_string())
    }

    /// An entry by its name, if it stands where it is searched for.
    async fn entry(&self, named: &str, dn: &Dn, bases: &[Base]) -> Result<Option<String>, Failed> {
        if !bases.iter().any(|base| dn.is_within(&base.dn)) {
            return Ok(None);
        }
        let mut connection = self.connected().await?;
        let asked = Search {
            base: named,
            scope: Scope::Base,
            filter: Template::anything(),
            entries_max: 1,
            seconds: self.seconds(),
        };
        let found = connection.search(&asked).await?;
        connection.close().await;
        let entry = found.entries.into_iter().next().map(read).transpose()?;
        Ok(entry.map(|entry| entry.dn.to_string()))
    }
}

fn read(text: String) -> Result<Entry, Failed> {
    let dn =
        Dn::parse(&text).ok_or_else(|| Failed::Broken(format!("it tells a name that cannot be read: {text:?}")))?;
    Ok(Entry { dn, text })
}

/// Why a bind as somebody failed. What the server says of an account stays in the log.
fn refusal(outcome: &Outcome) -> Failed {
    match outcome.code {
        code::INVALID_CREDENTIALS => Failed::Told(LdapError::Wrong),
        code::CONSTRAINT_VIOLATION
        | code::INAPPROPRIATE_AUTHENTICATION
        | code::INSUFFICIENT_ACCESS
        | code::INVALID_DN
        | code::NO_SUCH_OBJECT
        | code::UNWILLING => {
            tracing::info!("the LDAP server does not let a user sign in: {}", shown(outcome));
            Failed::Told(LdapError::Wrong)
        }
        _ => Failed::Broken(format!("the bind of a user: {}", shown(outcome))),
    }
}
