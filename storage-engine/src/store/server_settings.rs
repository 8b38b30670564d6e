//! The rows of the server's settings: what an operator stored in the environment's place, and a short history of it.
//!
//! Owns how they are kept: all of them in one row, changed in one batch with the entry of the history that it makes. What
//! a setting means, and whether it may be stored, is decided above; secrets come and go as sealed bytes.

use crate::backend::{Batch, Op, Rev};
use crate::limits::SETTINGS_BYTES_MAX;
use crate::store::Store;
use crate::store::error::{CommitRefused, Fault, faults_from_below};
use crate::store::key::{self, ServerSettingsRow};
use crate::store::record::Record;
use crate::store::record::server_settings::{ServerSettingsRecord, SettingsHistoryRecord, StoredSetting};
use crate::store::whole::put;

/// Entries of the history that are kept; the oldest go.
pub const HISTORY_MAX: usize = 30;

/// What is stored at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings {
    /// `None`: nothing was ever stored.
    pub rev: Option<Rev>,
    pub values: Vec<StoredSetting>,
    /// Why what is stored does not read; then there are no values. The next change replaces it.
    pub unreadable: Option<String>,
}

/// An entry of the history: what was stored until a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsBefore {
    /// Its name: larger than that of every entry before.
    pub number: u64,
    pub record: SettingsHistoryRecord,
}

/// A change of the server's settings that was not made. Only [`Fault::Unknown`] leaves open whether it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeServerSettingsError {
    /// They are no longer as they were when the change was thought out. Nothing changed.
    #[error("the settings were changed meanwhile")]
    Stale,
    #[error("the settings have at most {SETTINGS_BYTES_MAX} bytes together; these have {bytes}")]
    TooLarge { bytes: usize },
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(ChangeServerSettingsError);

impl Store {
    /// What is stored. A row that does not read is told, and no error: a server starts without its settings.
    pub async fn load_server_settings(&self) -> Result<ServerSettings, Fault> {
        let Some(row) = self.inner.backend.get(&ServerSettingsRow::Current.key()).await? else {
            return Ok(ServerSettings::default());
        };
        let rev = Some(row.rev);
        Ok(match ServerSettingsRecord::from_value(&row.value) {
            Ok(record) => ServerSettings {
                rev,
                values: record.values,
                unreadable: None,
            },
            Err(error) => ServerSettings {
                rev,
                values: Vec::new(),
                unreadable: Some(error.to_string()),
            },
        })
    }

    /// Stores `values` and nothing else, if what is stored is still what was `seen`, and keeps that in the history.
    pub async fn change_server_settings(
        &self,
        seen: &ServerSettings,
        values: Vec<StoredSetting>,
    ) -> Result<ServerSettings, ChangeServerSettingsError> {
        let now = self.now();
        let current = ServerSettingsRow::Current.key();
        let record = ServerSettingsRecord { changed: now, values };
        let value = record.to_value();
        if value.len() > SETTINGS_BYTES_MAX {
            return Err(ChangeServerSettingsError::TooLarge { bytes: value.len() });
        }
        let mut ops = vec![put(current.clone(), value)];
        // What does not read cannot be gone back to.
        if seen.unreadable.is_none() {
            let numbers = self.history_numbers().await?;
            let last = numbers.last().copied().unwrap_or_default();
            let number = last.saturating_add(1).max(now.millis());
            let before = SettingsHistoryRecord {
                until: now,
                values: seen.values.clone(),
            };
            ops.push(put(ServerSettingsRow::History(number).key(), before.to_value()));
            let too_many = (numbers.len() + 1).saturating_sub(HISTORY_MAX);
            let old = numbers.into_iter().take(too_many);
            ops.extend(old.map(|number| Op::Delete(ServerSettingsRow::History(number).key())));
        }
        let rev = self.commit_as_seen(current, seen.rev, ops).await?;
        Ok(ServerSettings {
            rev: Some(rev.ok_or(ChangeServerSettingsError::Stale)?),
            values: record.values,
            unreadable: None,
        })
    }

    /// What was stored before, the oldest first. Entries that do not read are left out.
    pub async fn server_settings_history(&self) -> Result<Vec<SettingsBefore>, Fault> {
        let entries = self.history_rows().await?.into_iter().filter_map(|(number, value)| {
            let record = SettingsHistoryRecord::from_value(&value).ok()?;
            Some(SettingsBefore { number, record })
        });
        Ok(entries.collect())
    }

    /// Forgets one entry of the history, or all; whether there was one.
    pub async fn forget_server_settings_history(&self, number: Option<u64>) -> Result<bool, Fault> {
        let mut numbers = self.history_numbers().await?;
        numbers.retain(|kept| number.is_none_or(|meant| meant == *kept));
        if numbers.is_empty() {
            return Ok(false);
        }
        let gone = numbers
            .into_iter()
            .map(|number| Op::Delete(ServerSettingsRow::History(number).key()));
        let batch = Batch {
            require: Vec::new(),
            ops: gone.collect(),
        };
        self.commit(batch).await.map_err(CommitRefused::into_fault)?;
        Ok(true)
    }

    async fn history_numbers(&self) -> Result<Vec<u64>, Fault> {
        let rows = self.history_rows().await?;
        Ok(rows.into_iter().map(|(number, _)| number).collect())
    }

    /// The rows of the history, the oldest first. A change that lost its race left nothing, so there are never many more
    /// than are kept.
    async fn history_rows(&self) -> Result<Vec<(u64, bytes::Bytes)>, Fault> {
        let beginning = key::settings_history();
        let end = beginning
            .after_prefix()
            .ok_or_else(|| Fault::Internal("no end of the history".into()))?;
        let page = self.inner.backend.scan(beginning..end, 4 * HISTORY_MAX).await?;
        let rows = page.items.into_iter().filter_map(|(row_key, row)| {
            let ServerSettingsRow::History(number) = key::parse_server_settings(&row_key)? else {
                return None;
            };
            Some((number, row.value))
        });
        Ok(rows.collect())
    }
}
