//! One request of the Files API: who asks, for what, and the doors that a decision opens.
//!
//! Every handler gets its store from here, and none without `access` having allowed the very action.

use std::time::Duration;

use http::HeaderValue;
use http::header::{HOST, RETRY_AFTER};
use http::request::Parts;
use storage_engine::backend::Rev;
use storage_engine::store::Store;
use storage_engine::store::clock::Timestamp;
use storage_engine::store::counter::CountError;
use storage_engine::store::files::{File, FileId, FileState, OwnerType};
use storage_engine::store::judged::Found;
use storage_engine::store::name::ObjectKey;
use storage_engine::store::object::labels::ObjectPlace;
use storage_engine::store::record::labels::{Labels, Visibility};
use storage_engine::store::record::object::Object;
use time::OffsetDateTime;

use super::Inner;
use super::error::{Code, FilesError};
use super::fields::{self, Fields};
use super::view::{Eyes, Place};
use crate::access::{self, Action, Context, Grant, ObjectFacts, RequestFacts, Resource, any_policy, decide, link_hash};
use crate::facts::{Looked, Standing};
use crate::http::peer::Peer;
use crate::links::{Asker, LinkAsk};
use crate::policy::Policy;
use crate::projects::{AppCaller, AppRefused};

/// The query parameter that brings the token of a link, as on the S3 side.
const LINK: &str = "drystone-share";

/// One request.
pub(super) struct Call<'i> {
    pub(super) inner: &'i Inner,
    pub(super) caller: AppCaller,
    pub(super) now: OffsetDateTime,
    /// Scheme and authority that addresses begin with.
    pub(super) origin: String,
    /// Names and values, decoded.
    pub(super) query: Vec<(String, String)>,
    request: RequestFacts,
    /// What stands for the variable segments of the path.
    taken: Vec<String>,
}

/// A file as it was looked at.
pub(super) struct Known {
    pub(super) id: FileId,
    pub(super) file: File,
    pub(super) rev: Rev,
}

impl<'i> Call<'i> {
    pub(super) fn new(
        inner: &'i Inner,
        caller: AppCaller,
        parts: &Parts,
        taken: Vec<String>,
        now: OffsetDateTime,
    ) -> Self {
        let query = query(parts.uri.query().unwrap_or_default());
        let mut request = RequestFacts::read(&parts.extensions, &parts.headers, now);
        request.link = query
            .iter()
            .find(|(name, _)| name == LINK)
            .and_then(|(_, token)| link_hash(token));
        let host = parts
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default();
        let origin = inner.origins.of(parts.extensions.get::<Peer>(), host);
        Self {
            inner,
            caller,
            now,
            origin,
            query,
            request,
            taken,
        }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All that the query says, in its order.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What the query says under these names, as the fields of a body.
    pub(super) fn said(&self, names: &[&str]) -> Result<Fields, FilesError> {
        let mut said = serde_json::Map::new();
        for name in names {
            if let Some(text) = self.parameter(name) {
                said.insert((*name).to_owned(), fields::written(name, text.to_owned())?);
            }
        }
        Fields::of(&serde_json::Value::Object(said))
    }

    /// What stands for a variable segment of the path.
    pub(super) fn segment(&self, at: usize) -> Result<&str, FilesError> {
        self.taken
            .get(at)
            .map(String::as_str)
            .ok_or_else(|| Code::NO_SUCH_ROUTE.into())
    }

    pub(super) fn time(&self) -> Timestamp {
        let millis = self.now.unix_timestamp_nanos() / 1_000_000;
        Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place {
            origin: &self.origin,
            bucket: self.caller.bucket.as_str(),
        }
    }

    /// Whose a file is that they make: of a guest nobody's.
    pub(super) fn owner(&self) -> Option<String> {
        self.caller.owner_id().map(str::to_owned)
    }

    /// Whether it is a file that guests made, and they are one: which of them made it nobody knows.
    pub(super) fn is_of_guests(&self, file: &File) -> bool {
        self.caller.is_guest() && file.labels.owner.is_none() && file.owner_type == OwnerType::Public
    }

    /// Whether the file is theirs.
    pub(super) fn owns(&self, file: &File) -> bool {
        let owner = self.caller.owner_id();
        owner.is_some() && owner == file.labels.owner.as_deref()
    }

    pub(super) fn eyes(&self, file: &File) -> Eyes {
        if self.owns(file) || self.caller.is_admin() {
            Eyes::Owner
        } else {
            Eyes::Others
        }
    }

    /// The visibility of files that name none, in this environment.
    pub(super) async fn default_visibility(&self) -> Result<Visibility, FilesError> {
        let looked = self.look_at_bucket().await?;
        let set = looked.settings.and_then(|settings| settings.visibility);
        Ok(set.unwrap_or(Visibility::Private))
    }

    /// The file that the path names. One in the trash is told to be gone.
    pub(super) async fn named(&self) -> Result<Known, FilesError> {
        let known = self.named_or_trashed().await?;
        match known.file.state {
            FileState::Trashed => Err(Code::NOT_FOUND.into()),
            FileState::Pending
            | FileState::Received
            | FileState::Active
            | FileState::Rejected
            | FileState::Scanning
            | FileState::Quarantined => Ok(known),
        }
    }

    /// The file that the path names, also out of the trash.
    pub(super) async fn named_or_trashed(&self) -> Result<Known, FilesError> {
        self.look(self.segment(0)?).await
    }

    /// The file with this id, as it stands.
    pub(super) async fn look(&self, id: &str) -> Result<Known, FilesError> {
        let id = FileId::parse(id).ok_or(Code::NOT_FOUND)?;
        let found = self.inner.records.file(&self.caller.bucket, &id).await?;
        let (file, rev) = found.ok_or(Code::NOT_FOUND)?;
        Ok(Known { id, file, rev })
    }

    /// The file with this key, as it stands.
    pub(super) async fn look_by_key(&self, key: &str) -> Result<Known, FilesError> {
        let found = self.inner.records.file_of_key(&self.caller.bucket, key).await?;
        let (id, file, rev) = found.ok_or(Code::NOT_FOUND)?;
        Ok(Known { id, file, rev })
    }

    /// The store, for whoever may do this to the file. One in the trash is there for its owner and admins alone.
    pub(super) async fn open(&self, action: Action, file: &File) -> Result<Store, FilesError> {
        let looked = self.look_at_bucket().await?;
        let object = self.facts_of(action, file, &looked).await?;
        let grant = self.decide(action, &file.key, &looked, Some(&object))?;
        if grant.only_replaces() {
            return Err(Code::ACCESS_DENIED.into());
        }
        Ok(self.opened(&grant, &looked))
    }

    /// Refuses whoever may not know what is said of the file: who may not read it. What bars its bytes does not bar this.
    pub(super) async fn sees(&self, file: &File) -> Result<(), FilesError> {
        let action = Action::GetObject;
        let looked = self.look_at_bucket().await?;
        let object = ObjectFacts {
            barred: None,
            ..self.facts_of(action, file, &looked).await?
        };
        self.decide(action, &file.key, &looked, Some(&object)).map(drop)
    }

    /// Judges once more, on the very object that was read: other bytes may have come since [`Self::open`] looked.
    pub(super) async fn still_may(&self, action: Action, file: &File, found: &Object) -> Result<(), FilesError> {
        let looked = self.look_at_bucket().await?;
        let settings = looked.settings.as_deref();
        let object = self.inner.facts.of_record(&self.caller.bucket, settings, found).await?;
        self.decide(action, &file.key, &looked, Some(&object)).map(drop)
    }

    /// The store, for whoever may put other bytes in the place of the file's; also by a share, through which nothing else is
    /// put.
    pub(super) async fn open_to_replace(&self, file: &File) -> Result<Store, FilesError> {
        let looked = self.look_at_bucket().await?;
        let object = self.facts_of(Action::PutObject, file, &looked).await?;
        let grant = self.decide(Action::PutObject, &file.key, &looked, Some(&object))?;
        let store = self.opened(&grant, &looked);
        if !grant.only_replaces() {
            return Ok(store);
        }
        let place = ObjectPlace {
            bucket: self.caller.bucket.clone(),
            key: object_key(file)?,
            version: None,
        };
        let (_, rev) = self.inner.records.look_at(&place).await?.ok_or(Code::NOT_FOUND)?;
        Ok(store.only_on(&place.bucket, &place.key, Found::Replaceable(rev)))
    }

    /// The store, for everybody, if the file is public and they may read it: only as it was judged. Else there is none.
    pub(super) async fn open_public(&self, file: &File) -> Result<Store, FilesError> {
        let looked = self.look_at_bucket().await?;
        let bucket = &self.caller.bucket;
        let place = (bucket.as_str(), file.key.as_str());
        let found = self.inner.facts.of_object(place, looked.settings.as_deref()).await?;
        let (object, rev) = found.ok_or(Code::NOT_FOUND)?;
        if object.visibility != Some(access::Visibility::Public) {
            return Err(Code::NOT_FOUND.into());
        }
        let grant = self.decide(Action::GetObject, &file.key, &looked, Some(&object));
        let grant = grant.map_err(|_| Code::NOT_FOUND)?;
        let store = self.opened(&grant, &looked);
        Ok(store.only_on(bucket, &object_key(file)?, Found::At(rev)))
    }

    /// The store, for whoever may make a file with this key in this logical bucket.
    pub(super) async fn open_to_make(&self, key: &str, logical: Option<&str>) -> Result<Store, FilesError> {
        let looked = self.look_at_bucket().await?;
        let rules = logical.and_then(|name| self.caller.logical(name));
        let context = Context {
            takes_guests: rules.is_some_and(|rules| rules.guest_upload),
            ..self.context(&looked, None)
        };
        let resource = Resource::Object {
            bucket: self.caller.bucket.as_str(),
            key,
        };
        match decide(&self.caller.identity, Action::PutObject, resource, &context) {
            Ok(grant) => Ok(self.opened(&grant, &looked)),
            Err(_) if self.caller.is_guest() => Err(AppRefused::authentication_required().into()),
            Err(denied) => Err(denied.into()),
        }
    }

    /// Announces a file whose bytes are to come. Of those that an upload token lets, it is one less; and guests begin so
    /// many only.
    pub(super) async fn announce(&self, store: &Store, (id, file): (FileId, &File)) -> Result<(), FilesError> {
        if self.caller.is_guest() {
            let guests = &self.inner.guests;
            let begun = guests.begin(self.request.source, &self.caller.key_id, self.now);
            begun.map_err(too_often)?;
        }
        if let Some(granted) = &self.caller.upload {
            match store.count_use(&granted.counter()).await {
                Ok(()) => {}
                Err(CountError::NothingLeft) => return Err(Code::TOKEN_USED_UP.into()),
                Err(CountError::Fault(fault)) => return Err(fault.into()),
            }
        }
        Ok(store.create_file(&self.caller.bucket, id, file).await?)
    }

    /// Takes away what was announced, where nothing came that anybody could use; what cannot be taken away now is collected.
    pub(super) async fn take_back(&self, store: &Store, id: FileId) {
        if let Err(kept) = store.purge_file(&self.caller.bucket, id, None).await {
            tracing::warn!(%kept, "a file that was announced could not be taken away");
        }
    }

    /// The store, for whoever may bring the upload of a file to its end, whose id they named and which stands: as
    /// [`Self::open_to_finish`], and guests, of whom nothing is known but that they know the id.
    pub(super) async fn open_to_finish_upload(&self, known: &Known) -> Result<Store, FilesError> {
        match self.is_of_guests(&known.file) {
            true => self.open_to_make(&known.file.key, known.file.bucket.as_deref()).await,
            false => self.open_to_finish(known).await,
        }
    }

    /// The store, for whoever may bring a file they began to its end: its maker, by the right to make one; others by the
    /// right to change it. Who comes with an upload token, only what was begun with it.
    pub(super) async fn open_to_finish(&self, known: &Known) -> Result<Store, FilesError> {
        let granted = self.caller.upload.as_ref();
        if granted.is_some_and(|granted| known.file.limits.token != Some(granted.id)) {
            return Err(Code::ACCESS_DENIED.into());
        }
        match self.owns(&known.file) {
            true => self.open_to_make(&known.file.key, known.file.bucket.as_deref()).await,
            false => self.open(Action::PutObject, &known.file).await,
        }
    }

    /// Whether they see every file of the bucket in lists.
    pub(super) async fn lists_all(&self) -> Result<bool, FilesError> {
        let looked = self.look_at_bucket().await?;
        let resource = Resource::Bucket(self.caller.bucket.as_str());
        Ok(decide(
            &self.caller.identity,
            Action::ListBucket,
            resource,
            &self.context(&looked, None),
        )
        .is_ok())
    }

    /// Who asks for a link to put the bytes of a file.
    pub(super) fn asker_to_put(&self, file: &File) -> Result<Asker, FilesError> {
        Ok(Asker {
            guest_in: file.bucket.clone().filter(|_| self.caller.is_guest()),
            ..self.asker()?
        })
    }

    /// Who asks for a link, and for which file.
    pub(super) fn asker(&self) -> Result<Asker, FilesError> {
        Ok(Asker::of(
            &self.caller.identity,
            &self.caller.key_id,
            self.caller.is_admin(),
        )?)
    }

    /// What a link for this file is asked with.
    pub(super) fn link<'a>(&'a self, asker: &'a Asker, (id, file): (FileId, &'a File), seconds: u32) -> LinkAsk<'a> {
        LinkAsk {
            asker,
            owner: file.labels.owner.as_deref(),
            file: *id.as_bytes(),
            bucket: self.caller.bucket.as_str(),
            key: &file.key,
            epoch: file.epoch,
            origin: &self.origin,
            now: self.now,
            seconds,
        }
    }

    async fn look_at_bucket(&self) -> Result<Looked, FilesError> {
        let looked = self
            .inner
            .facts
            .of_bucket(&self.caller.identity, self.caller.bucket.as_str())
            .await?;
        if looked.standing == Standing::Absent {
            return Err(Code::BUCKET_NOT_CONFIGURED.into());
        }
        Ok(looked)
    }

    fn context<'c>(&'c self, looked: &'c Looked, object: Option<&'c ObjectFacts>) -> Context<'c> {
        Context {
            request: Some(&self.request),
            bucket: Some(&looked.facts),
            object,
            ..Context::default()
        }
    }

    fn decide(
        &self,
        action: Action,
        key: &str,
        looked: &Looked,
        object: Option<&ObjectFacts>,
    ) -> Result<Grant, FilesError> {
        let resource = Resource::Object {
            bucket: self.caller.bucket.as_str(),
            key,
        };
        Ok(decide(
            &self.caller.identity,
            action,
            resource,
            &self.context(looked, object),
        )?)
    }

    fn opened(&self, grant: &Grant, looked: &Looked) -> Store {
        let store = self.inner.store.with(grant);
        match looked.standing {
            Standing::At(rev) => store.only_while(&self.caller.bucket, rev),
            Standing::Unasked | Standing::Absent => store.clone(),
        }
    }

    /// What is stored about the file, for a decision. One that is not active nobody sees but by right.
    async fn facts_of(&self, action: Action, file: &File, looked: &Looked) -> Result<ObjectFacts, FilesError> {
        let bucket = &self.caller.bucket;
        let settings = looked.settings.as_deref();
        if file.state != FileState::Active {
            let hidden = Labels {
                visibility: Some(Visibility::Private),
                shares: Vec::new(),
                ..file.labels.clone()
            };
            return Ok(self.inner.facts.of_labels(bucket, settings, &hidden).await?);
        }
        let asks = |policy: &Policy| policy.looks_at_existing_object(action.name());
        if any_policy(&self.caller.identity, Some(&looked.facts), asks) {
            // Tags are the object's.
            let found = self
                .inner
                .facts
                .of_object((bucket.as_str(), &file.key), settings)
                .await?;
            if let Some((object, _)) = found {
                return Ok(object);
            }
        }
        Ok(self.inner.facts.of_labels(bucket, settings, &file.labels).await?)
    }
}

fn too_often(wait: Duration) -> FilesError {
    // A whole second more, and never none.
    FilesError::from(Code::RATE).with_header(RETRY_AFTER, HeaderValue::from(wait.as_secs().saturating_add(1)))
}

/// The object's key of a file.
pub(super) fn object_key(file: &File) -> Result<ObjectKey, FilesError> {
    ObjectKey::parse(file.key.clone()).map_err(|_| Code::INTERNAL.into())
}

/// Names and values of a query, decoded.
pub(super) fn query(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
