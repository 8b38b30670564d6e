//! The settings that are stored, while the server runs: reading them, changing them, and having what can change at once
//! take effect.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;
use serde_json::json;
use storage_engine::store::Store;
use storage_engine::store::error::Fault;
use storage_engine::store::record::server_settings::SettingValue;
use storage_engine::store::server_settings::{ChangeServerSettingsError, ServerSettings as Rows, SettingsBefore};

use super::asked::{Asked, To, to_reset, to_set};
use super::shown::{View, entry};
use super::{no_such_target, refusal, written, wrong};
use crate::admin::error::AdminError;
use crate::admin::query::Query;
use crate::admin::usage::shown_millis;
use crate::config::stored::{AtOnce, Environment, Nature, SettingName, Stored, Trouble};
use crate::identity::{Directory, IdentityError};

/// How often a change looks again when another store changed the settings meanwhile.
const RACES_MAX: usize = 16;
/// How long to wait before a store that could not be read is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Entries of the history that are shown where no number is said.
const ENTRIES_SHOWN: usize = 10;

/// What the settings reach.
pub struct Wiring {
    pub store: Store,
    /// Seals secrets.
    pub directory: Directory,
    pub environment: Environment,
    /// Makes take effect what can at once.
    pub change: Arc<dyn Fn(AtOnce) + Send + Sync>,
}

/// The settings of one server. Cheap to clone; clones are the same settings.
#[derive(Clone)]
pub struct ServerSettings {
    inner: Arc<Inner>,
}

struct Inner {
    wiring: Wiring,
    state: ArcSwap<State>,
    /// Held while the settings change or are read anew.
    turn: tokio::sync::Mutex<()>,
}

/// What is known of what is stored.
struct State {
    /// `None`: it could not be read yet.
    rows: Option<Rows>,
    stored: Stored,
    troubles: Vec<Trouble>,
}

/// How a change stands to what is stored already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// What is not named stays.
    Named,
    /// Nothing else is left.
    Whole,
}

/// What a setting is to become, with its secret sealed.
enum Change {
    Put(SettingName, SettingValue),
    Keep(SettingName),
    Remove(SettingName),
}

fn faulty(fault: Fault) -> AdminError {
    AdminError::from(IdentityError::from(fault))
}

impl State {
    fn of(rows: Option<Rows>, environment: &Environment) -> (Self, AtOnce) {
        let stored = rows.as_ref().map(|rows| Stored::of(&rows.values)).unwrap_or_default();
        let (holding, troubles) = environment.under(&stored);
        let state = Self { rows, stored, troubles };
        (state, holding.at_once)
    }
}

impl ServerSettings {
    /// The settings as they were read at the start; `None`: they could not be, and [`Self::keep_loading`] reads them.
    pub fn new(wiring: Wiring, rows: Option<Rows>) -> Self {
        let (state, _) = State::of(rows, &wiring.environment);
        let inner = Inner {
            wiring,
            state: ArcSwap::from_pointee(state),
            turn: tokio::sync::Mutex::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether what is stored could not be read yet.
    pub fn is_loading(&self) -> bool {
        self.inner.state.load().rows.is_none()
    }

    /// Reads what is stored again and again until it was read, and has take effect what can at once.
    pub async fn keep_loading(self) {
        while self.is_loading() {
            tokio::time::sleep(LOOK_AGAIN).await;
            let _turn = self.inner.turn.lock().await;
            if let Err(fault) = self.inner.load().await {
                tracing::debug!(%fault, "the stored settings cannot be read yet");
            }
        }
    }

    fn view<T>(&self, shown: impl FnOnce(&View<'_>) -> T) -> T {
        let state = self.inner.state.load();
        let unreadable = match &state.rows {
            None => Some("it could not be read yet"),
            Some(rows) => rows.unreadable.as_deref(),
        };
        shown(&View {
            environment: &self.inner.wiring.environment,
            stored: &state.stored,
            troubles: &state.troubles,
            unreadable,
        })
    }

    /// `GET get-config-kv`.
    pub(in crate::admin) fn read(&self, query: &Query) -> Result<String, AdminError> {
        self.view(|view| view.read(query))
    }

    /// `GET config`.
    pub(in crate::admin) fn export(&self) -> String {
        self.view(|view| view.export())
    }

    /// `PUT set-config-kv`; answers whether it holds already.
    pub(in crate::admin) async fn set(&self, text: &[u8]) -> Result<bool, AdminError> {
        let asked = to_set(text, &self.inner.wiring.environment)?;
        self.change(asked, Scope::Named).await
    }

    /// `PUT config`: afterwards nothing else is stored; answers whether it holds already.
    pub(in crate::admin) async fn import(&self, text: &[u8]) -> Result<bool, AdminError> {
        let asked = to_set(text, &self.inner.wiring.environment)?;
        self.change(asked, Scope::Whole).await
    }

    /// `DELETE del-config-kv`; answers whether it holds already.
    pub(in crate::admin) async fn reset(&self, text: &[u8]) -> Result<bool, AdminError> {
        let asked = to_reset(text, &self.inner.wiring.environment)?;
        for asked in &asked {
            self.view(|view| view.must_be(&asked.name.target))
                .map_err(|_| no_such_target(&written(&asked.name.subsystem, &asked.name.target)))?;
        }
        self.change(asked, Scope::Named).await
    }

    async fn change(&self, asked: Vec<Asked>, scope: Scope) -> Result<bool, AdminError> {
        let mut changes = Vec::new();
        for Asked { name, to } in asked {
            changes.push(match to {
                To::Value(text) => Change::Put(name, SettingValue::Plain(text)),
                To::Secret(secret) => {
                    let sealed = self.sealed(&name, secret.expose().as_bytes()).await?;
                    Change::Put(name, sealed)
                }
                To::AsItIs => Change::Keep(name),
                To::Default => Change::Remove(name),
            });
        }
        self.inner.clone().carry_out(changes, scope).await
    }

    async fn sealed(&self, name: &SettingName, secret: &[u8]) -> Result<SettingValue, AdminError> {
        let name = sealed_for(name);
        let sealed = self.inner.wiring.directory.seal_setting(&name, secret).await?;
        Ok(SettingValue::Sealed(sealed))
    }

    /// `GET list-config-history-kv`: the last of the entries, the oldest of them first.
    pub(in crate::admin) async fn history(&self, query: &Query) -> Result<serde_json::Value, AdminError> {
        let count = match query.get("count") {
            Some(text) => text
                .parse()
                .map_err(|_| AdminError::Argument("The parameter count is no number.".into()))?,
            None => ENTRIES_SHOWN,
        };
        let entries = self.inner.wiring.store.server_settings_history().await;
        let entries = entries.map_err(faulty)?;
        let shown = entries.iter().skip(entries.len().saturating_sub(count));
        Ok(shown.map(told).collect())
    }

    /// `DELETE clear-config-history-kv`: all entries, or one.
    pub(in crate::admin) async fn clear_history(&self, query: &Query) -> Result<(), AdminError> {
        let id = query.must("restoreId")?;
        let number = match id {
            "all" => None,
            id => Some(id.parse().map_err(|_| not_kept(id))?),
        };
        let store = &self.inner.wiring.store;
        let gone = store.forget_server_settings_history(number).await.map_err(faulty)?;
        match gone || number.is_none() {
            true => Ok(()),
            false => Err(not_kept(id)),
        }
    }

    /// `PUT restore-config-history-kv`: what an entry holds is stored, and nothing else; answers whether it holds already.
    pub(in crate::admin) async fn restore(&self, query: &Query) -> Result<bool, AdminError> {
        let id = query.must("restoreId")?;
        let entries = self.inner.wiring.store.server_settings_history().await;
        let entries = entries.map_err(faulty)?;
        let meant = entries.into_iter().find(|entry| entry.number.to_string() == id);
        let meant = meant.ok_or_else(|| not_kept(id))?;
        let stored = Stored::of(&meant.record.values);
        for (name, value) in &stored.0 {
            if let SettingValue::Sealed(sealed) = value
                && !self
                    .inner
                    .wiring
                    .directory
                    .opens_setting(&sealed_for(name), sealed)
                    .await?
            {
                let group = written(&name.subsystem, &name.target);
                let message = format!("The {} of {group} in this entry was sealed with another key.", name.key);
                return Err(wrong(message));
            }
        }
        let changes = stored.0.into_iter().map(|(name, value)| Change::Put(name, value));
        self.inner.clone().carry_out(changes.collect(), Scope::Whole).await
    }
}

/// What binds a sealed secret to its setting.
fn sealed_for(name: &SettingName) -> String {
    format!("{} {}", written(&name.subsystem, &name.target), name.key)
}

fn told(before: &SettingsBefore) -> serde_json::Value {
    json!({
        "restoreId": before.number.to_string(),
        "createTime": shown_millis(before.record.until),
        "data": entry(&Stored::of(&before.record.values)),
    })
}

fn not_kept(id: &str) -> AdminError {
    let message = format!("There is no earlier configuration {id}.");
    refusal("XMinioConfigNotFoundError", StatusCode::NOT_FOUND, message)
}

/// What is stored after these changes.
fn after(stored: &Stored, changes: &[Change], scope: Scope) -> Stored {
    let mut after = match scope {
        Scope::Named => stored.clone(),
        Scope::Whole => Stored::default(),
    };
    for change in changes {
        match change {
            Change::Put(name, value) => drop(after.0.insert(name.clone(), value.clone())),
            Change::Remove(name) => drop(after.0.remove(name)),
            Change::Keep(name) => {
                let kept = stored.0.get(name).map(|value| (name.clone(), value.clone()));
                after.0.extend(kept);
            }
        }
    }
    after
}

/// The settings that differ.
fn differing<'s>(before: &'s Stored, after: &'s Stored) -> BTreeSet<&'s SettingName> {
    let names = before.0.keys().chain(after.0.keys());
    names.filter(|name| before.0.get(name) != after.0.get(name)).collect()
}

impl Inner {
    /// Carries a change out. It goes on when the caller goes away.
    async fn carry_out(self: Arc<Self>, changes: Vec<Change>, scope: Scope) -> Result<bool, AdminError> {
        let carried_out = tokio::spawn(async move { self.changed(&changes, scope).await });
        let lost = |error| Err(AdminError::Internal(format!("changing the settings: {error}")));
        carried_out.await.unwrap_or_else(lost)
    }

    async fn changed(self: &Arc<Self>, changes: &[Change], scope: Scope) -> Result<bool, AdminError> {
        let _turn = self.turn.lock().await;
        for _ in 0..RACES_MAX {
            let before = self.state.load_full();
            let Some(rows) = &before.rows else {
                return Err(AdminError::Unavailable(
                    "What is stored of the settings cannot be read yet.".into(),
                ));
            };
            if let (Scope::Named, Some(why)) = (scope, &rows.unreadable) {
                let message =
                    "An import, or an earlier entry of the history, replaces what is stored and does not read";
                return Err(wrong(format!("{message}: {why}.")));
            }
            let after = after(&before.stored, changes, scope);
            let differing = differing(&before.stored, &after);
            if differing.is_empty() && rows.unreadable.is_none() {
                return Ok(true);
            }
            self.check(&before, &after, &differing)?;
            match self.wiring.store.change_server_settings(rows, after.rows()).await {
                Ok(rows) => {
                    let names: Vec<String> = differing.iter().copied().map(sealed_for).collect();
                    tracing::info!(settings = names.join(", "), "stored settings were changed");
                    let at_once =
                        |name: &&SettingName| name.known().is_some_and(|known| known.nature == Nature::AtOnce);
                    let applied = differing.iter().all(at_once);
                    self.show(rows);
                    return Ok(applied);
                }
                Err(ChangeServerSettingsError::Stale) => self.load().await.map_err(faulty)?,
                Err(error @ ChangeServerSettingsError::TooLarge { .. }) => {
                    let message = format!("Nothing was changed: {error}.");
                    return Err(refusal("XMinioAdminConfigTooLarge", StatusCode::BAD_REQUEST, message));
                }
                Err(ChangeServerSettingsError::Fault(fault)) => {
                    if matches!(fault, Fault::Unknown(_)) {
                        self.read_until_known(&before);
                    }
                    return Err(faulty(fault));
                }
            }
        }
        Err(AdminError::Unavailable("The settings changed again and again.".into()))
    }

    /// Refuses what would not hold. What did not before, and is not touched, is no reason.
    fn check(&self, before: &State, after: &Stored, differing: &BTreeSet<&SettingName>) -> Result<(), AdminError> {
        let (_, troubles) = self.wiring.environment.under(after);
        let touched = |trouble: &Trouble| {
            let of = |name: &&SettingName| name.subsystem == trouble.subsystem && name.target == trouble.target;
            differing.iter().copied().any(|name| of(&name))
        };
        let refused = troubles
            .iter()
            .find(|trouble| touched(trouble) || !before.troubles.contains(trouble));
        match refused {
            Some(trouble) => {
                let group = written(&trouble.subsystem, &trouble.target);
                Err(wrong(format!("{group}: {}. Nothing was changed.", trouble.reason)))
            }
            None => Ok(()),
        }
    }

    /// What is stored, as it is from now on. The turn is held.
    fn show(&self, rows: Rows) {
        let (state, at_once) = State::of(Some(rows), &self.wiring.environment);
        self.state.store(Arc::new(state));
        (self.wiring.change)(at_once);
    }

    /// Reads the store. The turn is held.
    async fn load(&self) -> Result<(), Fault> {
        let rows = self.wiring.store.load_server_settings().await?;
        self.show(rows);
        Ok(())
    }

    /// After a change whose outcome is unknown: nothing more is changed before the store told what became of it.
    fn read_until_known(self: &Arc<Self>, before: &State) {
        self.state.store(Arc::new(State {
            rows: None,
            stored: before.stored.clone(),
            troubles: before.troubles.clone(),
        }));
        let settings = ServerSettings {
            inner: Arc::clone(self),
        };
        tokio::spawn(settings.keep_loading());
    }
}
