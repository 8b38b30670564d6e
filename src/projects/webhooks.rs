//! Webhooks of an environment: who is told of what happens to its files.
//!
//! The secret that signs deliveries is sealed by the directory of users, and told once. The app bucket is told what is
//! listened to before somebody new listens, and after somebody has gone, so nothing is missed in between.

use storage_engine::store::bucket::BucketError;
use storage_engine::store::clock::Timestamp;
use storage_engine::store::error::Fault;
use storage_engine::store::name::BucketName;
use storage_engine::store::projects::{OfProject, ProjectChange};
use storage_engine::store::record::projects::WebhookRecord;
use storage_engine::store::settings::SettingsError;

use super::directory::Projects;
use super::error::ProjectsError;
use super::names;
use super::snapshot::Snapshot;
use crate::auth::SecretKey;

/// Most webhooks of an environment.
const WEBHOOKS_MAX: usize = 16;
const DESCRIPTION_BYTES_MAX: usize = 256;
/// Random bytes of a secret that is made.
const SECRET_BYTES: usize = 32;
/// What the text of a secret begins with, by which libraries know it.
const SECRET_PREFIX: &str = "whsec_";

/// A webhook, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub id: [u8; 16],
    pub url: String,
    /// A set of kinds of events.
    pub events: u32,
    pub active: bool,
    pub description: String,
    pub created: Timestamp,
    pub updated: Timestamp,
}

/// The webhooks of one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhooksOf {
    pub of: OfProject,
    pub bucket: BucketName,
    pub webhooks: Vec<Webhook>,
}

/// A webhook that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWebhook {
    pub url: String,
    pub events: u32,
    pub active: bool,
    pub description: String,
}

/// What is to be changed of a webhook; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookChange {
    pub url: Option<String>,
    pub events: Option<u32>,
    pub active: Option<bool>,
    pub description: Option<String>,
}

impl From<&WebhookRecord> for Webhook {
    fn from(record: &WebhookRecord) -> Self {
        Self {
            id: record.id,
            url: record.url.clone(),
            events: record.events,
            active: record.active,
            description: record.description.clone(),
            created: record.created,
            updated: record.updated,
        }
    }
}

fn sealed_as(of: &OfProject, id: &[u8; 16]) -> String {
    let id = hex_simd::encode_to_string(id, hex_simd::AsciiCase::Lower);
    format!("webhook/{}/{}/{id}", of.project, of.name)
}

fn random<const N: usize>() -> Result<[u8; N], ProjectsError> {
    let mut bytes = [0; N];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| Fault::Internal(format!("no randomness: {error}")))?;
    Ok(bytes)
}

fn check_description(description: &str) -> Result<(), ProjectsError> {
    match description.len() <= DESCRIPTION_BYTES_MAX && !description.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(ProjectsError::Invalid(
            "The description of a webhook has at most 256 bytes and no control characters".to_owned(),
        )),
    }
}

/// What active webhooks listen to together.
fn listened<'w>(webhooks: impl IntoIterator<Item = &'w WebhookRecord>) -> u32 {
    let active = webhooks.into_iter().filter(|webhook| webhook.active);
    active.fold(0, |events, webhook| events | webhook.events)
}

fn records<'s>(snapshot: &'s Snapshot, of: &OfProject) -> Result<&'s Vec<WebhookRecord>, ProjectsError> {
    names::environment(snapshot, &of.project, &of.name)?;
    let record = snapshot.rows.environments.get(of);
    let record = record.ok_or_else(|| ProjectsError::NoSuchEnvironment(of.name.clone()))?;
    Ok(&record.webhooks)
}

impl Projects {
    /// Adds a webhook. The secret: nobody is ever told it again.
    pub async fn add_webhook(&self, of: OfProject, new: NewWebhook) -> Result<(Webhook, SecretKey), ProjectsError> {
        check_description(&new.description)?;
        let _turn = self.inner.webhooks_turn.lock().await;
        let standing = records(&*self.snapshot()?, &of)?.clone();
        if standing.len() >= WEBHOOKS_MAX {
            return Err(ProjectsError::TooMany("An environment has at most 16 webhooks"));
        }
        let id = random()?;
        let secret = base64_simd::STANDARD.encode_to_string(random::<SECRET_BYTES>()?);
        let secret = SecretKey::new(format!("{SECRET_PREFIX}{secret}"));
        let name = sealed_as(&of, &id);
        let sealed = self.inner.directory.seal_setting(&name, secret.expose()).await?;
        let heard = if new.active { new.events } else { 0 };
        self.listen(&of, listened(&standing) | heard).await?;
        let added = self
            .change_webhooks(of, move |webhooks, now| {
                let record = WebhookRecord {
                    id,
                    created: now,
                    updated: now,
                    url: new.url.clone(),
                    events: new.events,
                    secret: sealed.clone(),
                    active: new.active,
                    description: new.description.clone(),
                };
                let added = Webhook::from(&record);
                webhooks.push(record);
                Ok(added)
            })
            .await?;
        Ok((added, secret))
    }

    /// Changes a webhook.
    pub async fn set_webhook(
        &self,
        of: OfProject,
        id: [u8; 16],
        change: WebhookChange,
    ) -> Result<Webhook, ProjectsError> {
        check_description(change.description.as_deref().unwrap_or_default())?;
        let _turn = self.inner.webhooks_turn.lock().await;
        let standing = listened(records(&*self.snapshot()?, &of)?);
        self.listen(&of, standing | change.events.unwrap_or(standing)).await?;
        let set = self
            .change_webhooks(of.clone(), move |webhooks, now| {
                let found = webhooks.iter_mut().find(|webhook| webhook.id == id);
                let webhook = found.ok_or(ProjectsError::NoSuchWebhook)?;
                webhook.updated = now;
                webhook.url = change.url.clone().unwrap_or(std::mem::take(&mut webhook.url));
                webhook.events = change.events.unwrap_or(webhook.events);
                webhook.active = change.active.unwrap_or(webhook.active);
                let description = std::mem::take(&mut webhook.description);
                webhook.description = change.description.clone().unwrap_or(description);
                Ok(Webhook::from(&*webhook))
            })
            .await?;
        self.listen_to_all(&of).await?;
        Ok(set)
    }

    /// Takes a webhook away.
    pub async fn remove_webhook(&self, of: OfProject, id: [u8; 16]) -> Result<(), ProjectsError> {
        let _turn = self.inner.webhooks_turn.lock().await;
        let removing = self.change_webhooks(of.clone(), move |webhooks, _| {
            let before = webhooks.len();
            webhooks.retain(|webhook| webhook.id != id);
            match webhooks.len() < before {
                true => Ok(()),
                false => Err(ProjectsError::NoSuchWebhook),
            }
        });
        let removed = removing.await;
        // Also after one that was there no more: a call before may have come no further.
        self.listen_to_all(&of).await?;
        removed
    }

    /// The webhooks of an environment.
    pub fn webhooks(&self, of: &OfProject) -> Result<Vec<Webhook>, ProjectsError> {
        Ok(records(&*self.snapshot()?, of)?.iter().map(Webhook::from).collect())
    }

    /// The webhooks of all environments that have some.
    pub fn all_webhooks(&self) -> Result<Vec<WebhooksOf>, ProjectsError> {
        let snapshot = self.snapshot()?;
        let environments = snapshot.rows.environments.iter();
        let some = environments.filter(|(_, record)| !record.webhooks.is_empty());
        let of_one = some.filter_map(|(of, record)| {
            Some(WebhooksOf {
                of: of.clone(),
                bucket: BucketName::parse(&record.bucket).ok()?,
                webhooks: record.webhooks.iter().map(Webhook::from).collect(),
            })
        });
        Ok(of_one.collect())
    }

    /// What signs the deliveries of a webhook; `None`: it has gone, or its secret does not open.
    pub async fn webhook_secret(&self, of: &OfProject, id: &[u8; 16]) -> Result<Option<SecretKey>, ProjectsError> {
        let sealed = {
            let snapshot = self.snapshot()?;
            let found = records(&snapshot, of)?.iter().find(|webhook| webhook.id == *id);
            found.map(|webhook| webhook.secret.clone())
        };
        match sealed {
            Some(sealed) => Ok(self.inner.directory.open_setting(&sealed_as(of, id), &sealed).await?),
            None => Ok(None),
        }
    }

    /// Listens to what the webhooks there are want told, and to nothing else: a stop between the removal of one and the end of
    /// listening leaves more. The environments where nobody listened any more.
    pub async fn mend_listening(&self) -> Result<Vec<(OfProject, BucketName)>, ProjectsError> {
        let _turn = self.inner.webhooks_turn.lock().await;
        let wanted: Vec<(OfProject, u32)> = {
            let snapshot = self.snapshot()?;
            let environments = snapshot.rows.environments.iter();
            environments
                .map(|(of, record)| (of.clone(), listened(&record.webhooks)))
                .collect()
        };
        let mut unheard = Vec::new();
        for (of, wanted) in wanted {
            let bucket = names::bucket_of(&of.project, &of.name)?;
            let settings = match self.inner.store.settings_of(&bucket).await {
                Ok(settings) => settings,
                Err(BucketError::Fault(fault)) => return Err(fault.into()),
                // It is half made, or half removed.
                Err(BucketError::NoSuchBucket) => continue,
            };
            if settings.listened == wanted {
                continue;
            }
            self.listen(&of, wanted).await?;
            if wanted == 0 {
                unheard.push((of, bucket));
            }
        }
        Ok(unheard)
    }

    async fn listen_to_all(&self, of: &OfProject) -> Result<(), ProjectsError> {
        let standing = listened(records(&*self.snapshot()?, of)?);
        self.listen(of, standing).await
    }

    async fn listen(&self, of: &OfProject, events: u32) -> Result<(), ProjectsError> {
        let bucket = names::bucket_of(&of.project, &of.name)?;
        match self.inner.store.listen(&bucket, events).await {
            Ok(()) => Ok(()),
            Err(SettingsError::Fault(fault)) => Err(fault.into()),
            Err(error) => Err(Fault::Unavailable(error.to_string()).into()),
        }
    }

    async fn change_webhooks<T, P>(&self, of: OfProject, plan: P) -> Result<T, ProjectsError>
    where
        P: Fn(&mut Vec<WebhookRecord>, Timestamp) -> Result<T, ProjectsError> + Send + 'static,
        T: Send + 'static,
    {
        self.change(move |snapshot, now| {
            names::environment(snapshot, &of.project, &of.name)?;
            let Some(before) = snapshot.rows.environments.get(&of) else {
                return Err(ProjectsError::NoSuchEnvironment(of.name.clone()));
            };
            let mut after = before.clone();
            after.updated = now;
            let done = plan(&mut after.webhooks, now)?;
            Ok((vec![ProjectChange::Environment(of.clone(), Some(after))], done))
        })
        .await
    }
}
