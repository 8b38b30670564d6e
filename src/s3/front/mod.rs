//! The handlers' common ground and the one door to the store: [`Front::open`] asks `access` first.
//!
//! It holds no request state; which operation goes where is in [`operations`], what the request says in [`request`].

mod operations;
pub(crate) mod request;

use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderValue};
use s3s::dto::Owner;
use storage_engine::backend::Rev;
use storage_engine::store::Store;
use storage_engine::store::bucket::{Bucket, BucketPage, ListBuckets};
use storage_engine::store::files::{FileState, OwnerType};
use storage_engine::store::judged::Found;
use storage_engine::store::multipart::list::ListParts;
use storage_engine::store::name::{BucketName, ObjectKey, UploadId};
use storage_engine::store::object::labels::ObjectPlace;
use storage_engine::store::record::labels::Labels;
use storage_engine::store::record::object::Object;
use storage_engine::store::record::settings::BucketSettings;

use super::catalogue;
use super::convert;
use super::error::{Code, Failure};
use super::events::{Happened, Pending};
use super::uploads::Place;
use crate::access::{
    Action, Behind, BucketFacts, Context, Grant, ObjectFacts, RequestFacts, RequestTags, Resource, any_policy, decide,
    is_visible_by, owner_id_of, reads_object,
};
use crate::auth::{Accounts, Identity, Terms};
use crate::facts::{Facts, Looked, Standing, owner_or_root};
use crate::intake::{Inspector, Settled};
use crate::media::is_of_file;
use crate::telemetry::feed::Feed;

/// Largest file, in bytes, that is read whole to know its SHA-256 when it was stored unseen.
pub const HASHED_BYTES_MAX: u64 = 16 << 20;

/// The canned ACL by which a writer offers an object to the bucket's owner.
pub(crate) const GIVEN_TO_BUCKET_OWNER: &str = "bucket-owner-full-control";

/// The handlers' common ground; clones share all of it.
#[derive(Clone)]
pub(crate) struct Front {
    store: Behind<Store>,
    facts: Facts,
    accounts: Arc<dyn Accounts>,
    region: Option<String>,
    events: Feed<Happened>,
    inspector: Inspector,
}

/// What a decision was made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// On policies that do not look at the object.
    Policies,
    /// On the object's record at this revision, which may have been replaced since: see [`Front::still_may`]. `None`: no
    /// object was there.
    Record(Option<Rev>),
}

impl Basis {
    /// The same store, through which no other object is met at this key than was judged on.
    pub(crate) fn bind(self, store: Store, bucket: &BucketName, key: &ObjectKey) -> Store {
        match self {
            Self::Policies => store,
            Self::Record(rev) => store.only_on(bucket, key, rev.into()),
        }
    }
}

/// What lets a caller put an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutBy {
    Right,
    /// A share of what stands there: whose it is, its tags and who may what stay.
    Share,
}

/// The store, opened for one action, and what was looked at for it.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) basis: Basis,
    /// Of the bucket; `None`: nothing is set, or there is no such bucket.
    pub(crate) settings: Option<Arc<BucketSettings>>,
}

/// A positive decision, and what it was made on.
struct Judgement {
    grant: Grant,
    basis: Basis,
    standing: Standing,
    settings: Option<Arc<BucketSettings>>,
}

/// Who asks, and what the request says.
struct Asking<'r> {
    identity: &'r Identity,
    request: Option<&'r RequestFacts>,
    tags: Option<&'r RequestTags>,
    /// See [`Context::at_write`].
    at_write: bool,
    /// See [`Context::initiator`].
    initiator: Option<&'r str>,
}

impl<'r> Asking<'r> {
    /// No identity means anonymous.
    fn of(extensions: &'r Extensions) -> Self {
        Self {
            identity: extensions.get::<Identity>().unwrap_or(&Identity::Anonymous),
            request: extensions.get::<RequestFacts>(),
            tags: extensions.get::<RequestTags>(),
            at_write: false,
            initiator: None,
        }
    }

    /// The store as files are made through it: those of a page that uploads are its user's.
    fn as_maker(&self, store: &Store) -> Store {
        match self.request.and_then(|request| request.terms.as_ref()) {
            Some(Terms::Uploads(terms)) if terms.of_user => store.made_by(OwnerType::User),
            Some(Terms::Uploads(_) | Terms::Link(_)) | None => store.clone(),
        }
    }

    fn decide(
        &self,
        action: Action,
        resource: Resource<'_>,
        bucket: &BucketFacts,
        object: Option<&ObjectFacts>,
    ) -> Result<Grant, Failure> {
        let context = Context {
            request: self.request,
            tags: self.tags,
            bucket: Some(bucket),
            object,
            at_write: self.at_write,
            initiator: self.initiator,
            takes_guests: false,
        };
        decide(self.identity, action, resource, &context).map_err(|_| Code::ACCESS_DENIED.into())
    }

    /// Whether they may list this key, and so may know that it is not there. Who may list under some prefix learns of the
    /// keys there and of no others.
    fn may_list(&self, facts: &BucketFacts, (bucket, key): (&str, &str)) -> bool {
        let mut listing = self.request.cloned();
        if let Some(request) = &mut listing {
            request.say_only("s3:prefix", key);
        }
        let listing = Asking {
            request: listing.as_ref(),
            ..*self
        };
        let resource = Resource::Bucket(bucket);
        listing.decide(Action::ListBucket, resource, facts, None).is_ok()
    }
}

impl Front {
    pub(crate) fn new(
        store: Store,
        accounts: Arc<dyn Accounts>,
        region: Option<String>,
        events: Feed<Happened>,
    ) -> Self {
        Self {
            facts: Facts::new(store.clone()),
            inspector: Inspector::new(store.clone(), HASHED_BYTES_MAX),
            store: Behind::new(store),
            accounts,
            region,
            events,
        }
    }

    /// Where what happens is told.
    pub(crate) fn events(&self) -> &Feed<Happened> {
        &self.events
    }

    /// What a request is about to do to a key, to be told once it is done.
    pub(crate) fn event(
        &self,
        request: (&Extensions, &HeaderMap),
        bucket: &BucketName,
        key: Option<&ObjectKey>,
    ) -> Pending {
        Pending::of(&self.events, request, bucket.as_str(), key.map(ObjectKey::as_str))
    }

    /// The owner with this id as answers tell it; `None` is root.
    pub(crate) fn owner(&self, id: Option<&str>) -> Owner {
        let name = |id: &str| self.accounts.user_of(id).unwrap_or_else(|| id.to_owned());
        convert::owner(id.map(|id| (id, name(id))))
    }

    /// Refuses a caller who takes the bucket for somebody else's; one that is not there is told to be missing later.
    pub(crate) async fn expect_owner(&self, bucket: Option<&str>, expected: &HeaderValue) -> Result<(), Failure> {
        let Ok(bucket) = BucketName::parse(bucket.ok_or(Code::ACCESS_DENIED)?) else {
            return Ok(());
        };
        match self.facts.owner_of(&bucket).await? {
            None => Ok(()),
            Some(owner) if expected == owner.as_deref().unwrap_or(convert::OWNER_ID) => Ok(()),
            Some(_) => Err(Code::ACCESS_DENIED.into()),
        }
    }

    /// Whose an object is that the caller makes in `bucket`: its own, or the bucket owner's where the object ownership in
    /// the bucket's `settings` says so. `offered`: the writer offers it to the bucket's owner.
    pub(crate) async fn owner_of_new(
        &self,
        extensions: &Extensions,
        (bucket, settings): (&BucketName, Option<&BucketSettings>),
        offered: bool,
    ) -> Result<Option<String>, Failure> {
        match self.facts.owner_of_all(bucket, settings, offered).await? {
            Some(owner) => Ok(owner),
            None => Ok(convert::caller_id(extensions)),
        }
    }

    /// The region an operator named; others are refused then.
    pub(crate) fn own_region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The store, opened for one action the caller may take. No identity means anonymous. Where the caller's rights hang on
    /// whose the bucket is, only that very bucket can be changed with it.
    pub(crate) async fn open(
        &self,
        extensions: &Extensions,
        action: Action,
        resource: Resource<'_>,
    ) -> Result<Store, Failure> {
        let opened = self.open_as(&Asking::of(extensions), action, resource).await?;
        Ok(opened.store)
    }

    /// As [`Self::open`], and on what it was decided. The object's record is loaded only if it has a say.
    pub(crate) async fn open_judged(
        &self,
        extensions: &Extensions,
        action: Action,
        resource: Resource<'_>,
    ) -> Result<Opened, Failure> {
        self.open_as(&Asking::of(extensions), action, resource).await
    }

    async fn open_as(&self, asking: &Asking<'_>, action: Action, resource: Resource<'_>) -> Result<Opened, Failure> {
        let judged = self.judge(asking, action, resource).await?;
        if judged.grant.only_replaces() {
            return Err(Code::ACCESS_DENIED.into());
        }
        self.opened(asking, action, resource, judged)
    }

    /// As [`Self::open_object`], to begin an upload of it or to send a part, and what is set on the bucket.
    pub(crate) async fn open_to_begin(
        &self,
        extensions: &Extensions,
        (bucket, key): (&BucketName, &ObjectKey),
    ) -> Result<Opened, Failure> {
        let resource = object_resource(bucket, key);
        self.open_as(&Asking::of(extensions), Action::PutObject, resource).await
    }

    /// Whether the caller may open, by a canned ACL, an object that it is putting. Who may put it by the bucket's own ACL may
    /// that, too: see [`Context::at_write`].
    pub(crate) async fn may_open_at_write(
        &self,
        extensions: &Extensions,
        (bucket, key): (&BucketName, &ObjectKey),
    ) -> Result<(), Failure> {
        let asking = Asking {
            at_write: true,
            ..Asking::of(extensions)
        };
        let resource = object_resource(bucket, key);
        self.open_as(&asking, Action::PutObjectAcl, resource).await.map(drop)
    }

    /// As [`Self::open_object`], on an upload of it; also for whoever began that: see [`Context::initiator`]. Who could have
    /// begun it is told that there is none: it may be one that they gave up, and the answer was lost.
    pub(crate) async fn open_upload(
        &self,
        extensions: &Extensions,
        action: Action,
        (bucket, key): (&BucketName, &ObjectKey),
        upload: &str,
    ) -> Result<Store, Failure> {
        let asking = Asking::of(extensions);
        let resource = object_resource(bucket, key);
        let refused = match self.open_as(&asking, action, resource).await {
            Err(failure) if failure.code == Code::ACCESS_DENIED => failure,
            opened => return Ok(opened?.store),
        };
        let Some(caller) = owner_id_of(asking.identity) else {
            return Err(refused);
        };
        let by = |initiator| Asking { initiator, ..asking };
        let found = match UploadId::parse(upload) {
            Ok(upload) => {
                let upload = ListParts {
                    bucket: bucket.clone(),
                    key: key.clone(),
                    upload,
                    after: 0,
                    limit: 0,
                };
                self.facts.initiator_of(upload).await?
            }
            Err(_) => None,
        };
        match found {
            Some(Some(initiator)) => Ok(self.open_as(&by(Some(&initiator)), action, resource).await?.store),
            Some(None) => Err(refused),
            None => {
                self.open_as(&by(Some(caller)), action, resource).await?;
                self.open_as(&by(None), Action::PutObject, resource).await?;
                Err(Code::NO_SUCH_UPLOAD.into())
            }
        }
    }

    /// As [`Self::open`], to put an object at once; also for those to whom only a share lets it. Their store replaces the
    /// very object that was judged, and nothing but its bytes and what is said of them: see [`PutBy`].
    pub(crate) async fn open_to_put(
        &self,
        extensions: &Extensions,
        (bucket, key): (&BucketName, &ObjectKey),
    ) -> Result<(Opened, PutBy), Failure> {
        let (action, resource) = (Action::PutObject, object_resource(bucket, key));
        let asking = Asking::of(extensions);
        let judged = self.judge(&asking, action, resource).await?;
        let only_replaces = judged.grant.only_replaces();
        let opened = self.opened(&asking, action, resource, judged)?;
        let (store, by) = match (only_replaces, opened.basis) {
            (false, basis) => (basis.bind(opened.store, bucket, key), PutBy::Right),
            (true, Basis::Record(Some(rev))) => {
                let replaceable = Found::Replaceable(rev);
                (opened.store.only_on(bucket, key, replaceable), PutBy::Share)
            }
            // Nothing is shared where nothing stands.
            (true, Basis::Record(None) | Basis::Policies) => return Err(Code::ACCESS_DENIED.into()),
        };
        Ok((Opened { store, ..opened }, by))
    }

    /// Refuses an upload to a key that another file has: only what nobody announced, or the caller did, is uploaded so. Keys
    /// that the Files API gave out stay those files' own, also when these are in the trash.
    pub(crate) async fn check_free(&self, place: Place<'_>, caller: Option<&str>) -> Result<(), Failure> {
        let Ok(bucket) = BucketName::parse(place.bucket) else {
            return Err(Code::INVALID_BUCKET_NAME.into());
        };
        let is_free = match self.facts.file_of_key(&bucket, place.key).await? {
            Some(file) => {
                let is_own = caller.is_some() && file.labels.owner.as_deref() == caller;
                file.state == FileState::Pending && is_own
            }
            None => !is_of_file(place.key),
        };
        match is_free {
            true => Ok(()),
            false => Err(Failure::because(Code::ACCESS_DENIED, "This key is another file's.")),
        }
    }

    fn opened(
        &self,
        asking: &Asking<'_>,
        action: Action,
        resource: Resource<'_>,
        judged: Judgement,
    ) -> Result<Opened, Failure> {
        let store = asking.as_maker(self.store.with(&judged.grant));
        let store = match (judged.standing, resource) {
            (Standing::At(rev), Resource::Bucket(bucket) | Resource::Object { bucket, .. }) => {
                let bucket = BucketName::parse(bucket).map_err(|_| Code::INVALID_BUCKET_NAME)?;
                store.only_while(&bucket, rev)
            }
            // Somebody else may be making it just now, and whoever was judged on none has no rights in that one.
            (Standing::Absent, _) if action != Action::CreateBucket => return Err(Code::NO_SUCH_BUCKET.into()),
            (Standing::Unasked | Standing::Absent | Standing::At(_), _) => store,
        };
        Ok(Opened {
            store,
            basis: judged.basis,
            settings: judged.settings,
        })
    }

    /// Whether the caller may do this to a bucket that it is about to make; nothing is opened.
    pub(crate) async fn may_at_birth(
        &self,
        extensions: &Extensions,
        action: Action,
        bucket: &BucketName,
    ) -> Result<(), Failure> {
        let resource = Resource::Bucket(bucket.as_str());
        self.weigh(&Asking::of(extensions), action, resource).await.map(drop)
    }

    /// A refusal about a bucket that is not there says so: names of buckets are no secret to anybody, as with AWS.
    async fn judge(&self, asking: &Asking<'_>, action: Action, resource: Resource<'_>) -> Result<Judgement, Failure> {
        let failure = match self.weigh(asking, action, resource).await {
            Err(failure) if failure.code == Code::ACCESS_DENIED && action != Action::CreateBucket => failure,
            judged => return judged,
        };
        let is_missing = match resource {
            Resource::Service => false,
            Resource::Bucket(bucket) | Resource::Object { bucket, .. } => !self.facts.is_there(bucket).await?,
        };
        Err(if is_missing {
            Code::NO_SUCH_BUCKET.into()
        } else {
            failure
        })
    }

    async fn weigh(&self, asking: &Asking<'_>, action: Action, resource: Resource<'_>) -> Result<Judgement, Failure> {
        let looked = self.look_at_bucket_of(asking, resource).await?;
        let Looked {
            facts: bucket,
            standing,
            settings,
        } = looked;
        let judged = |grant, basis| Judgement {
            grant,
            basis,
            standing,
            settings: settings.clone(),
        };
        let Resource::Object { bucket: name, key } = resource else {
            let grant = asking.decide(action, resource, &bucket, None)?;
            return Ok(judged(grant, Basis::Policies));
        };
        // What is barred nobody reads, whatever policy would let them.
        let may_be_barred = reads_object(action) && catalogue::keeps_one(settings.as_deref());
        if !may_be_barred && !looks_at_object(asking, action, &bucket) {
            match asking.decide(action, resource, &bucket, None) {
                Ok(grant) => return Ok(judged(grant, Basis::Policies)),
                Err(denied) if !is_visible_by(action) => return Err(denied),
                Err(_) => {}
            }
        }
        let found = self.facts.of_object((name, key), settings.as_deref()).await?;
        let (object, rev) = found.unzip();
        match asking.decide(action, resource, &bucket, object.as_ref()) {
            Ok(grant) => Ok(judged(grant, Basis::Record(rev))),
            // Who may list that it is not there is told so, though they might not read it.
            Err(_) if object.is_none() && reads_object(action) && asking.may_list(&bucket, (name, key)) => {
                Err(Code::NO_SUCH_KEY.into())
            }
            Err(denied) => Err(denied),
        }
    }

    /// As [`Self::open`], on an object.
    pub(crate) async fn open_object(
        &self,
        extensions: &Extensions,
        action: Action,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Store, Failure> {
        self.open(extensions, action, object_resource(bucket, key)).await
    }

    /// As [`Self::open_object`], for a write that must meet no other object than was judged on, if one was: it is refused
    /// when that changes.
    pub(crate) async fn open_as_judged(
        &self,
        extensions: &Extensions,
        action: Action,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Opened, Failure> {
        let asking = Asking::of(extensions);
        let opened = self.open_as(&asking, action, object_resource(bucket, key)).await?;
        let store = opened.basis.bind(opened.store, bucket, key);
        Ok(Opened { store, ..opened })
    }

    /// As [`Self::open`], of a request that says more than its head did.
    pub(crate) async fn open_saying(
        &self,
        extensions: &Extensions,
        action: Action,
        resource: Resource<'_>,
        say: impl FnOnce(&mut RequestFacts),
    ) -> Result<Store, Failure> {
        let mut more = extensions.clone();
        if let Some(request) = more.get_mut::<RequestFacts>() {
            say(request);
        }
        self.open(&more, action, resource).await
    }

    /// Has the bytes of a file looked at that were stored unseen in a bucket with these `settings`: by the server itself,
    /// so that no caller needs a right for it. What it cannot look at now waits for whoever asks next.
    pub(crate) async fn settle(
        &self,
        settings: Option<&BucketSettings>,
        place: (&BucketName, &ObjectKey),
    ) -> Result<(), Failure> {
        if !catalogue::keeps_one(settings) {
            return Ok(());
        }
        match self.inspector.settle(place).await {
            Ok(Settled::Nothing | Settled::Active | Settled::Scanning) => Ok(()),
            Ok(Settled::Rejected(refused)) => Err(refused.into()),
            Err(error) => {
                tracing::warn!(bucket = %place.0, %error, "a file that was stored could not be looked at");
                Ok(())
            }
        }
    }

    /// Whether the caller may.
    pub(crate) async fn may(
        &self,
        extensions: &Extensions,
        action: Action,
        resource: Resource<'_>,
    ) -> Result<bool, Failure> {
        match self.judge(&Asking::of(extensions), action, resource).await {
            // Of what is not there nobody has anything.
            Ok(judged) => Ok(judged.standing != Standing::Absent && !judged.grant.only_replaces()),
            Err(failure) if [Code::ACCESS_DENIED, Code::NO_SUCH_BUCKET].contains(&failure.code) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// A page of buckets without those the caller's own policies let it neither list nor locate. What a bucket's policy
    /// opens to others puts it in nobody's list.
    pub(crate) async fn visible_buckets(
        &self,
        extensions: &Extensions,
        list: ListBuckets,
    ) -> Result<BucketPage, Failure> {
        let asking = Asking::of(extensions);
        let page = self.facts.buckets(list).await?;
        let seen = |bucket: &Bucket| {
            let facts = BucketFacts {
                owner: Some(owner_or_root(bucket.owner.clone())),
                ..BucketFacts::default()
            };
            let may = |action| asking.decide(action, Resource::Bucket(bucket.name.as_str()), &facts, None);
            may(Action::ListBucket).is_ok() || may(Action::GetBucketLocation).is_ok()
        };
        let buckets = page.buckets.into_iter().filter(seen).collect();
        Ok(BucketPage {
            buckets,
            next: page.next,
        })
    }

    /// Judges once more, on the very record that was read: it may have been replaced since [`Self::open_judged`] looked.
    pub(crate) async fn still_may(
        &self,
        extensions: &Extensions,
        action: Action,
        (bucket, key): (&BucketName, &ObjectKey),
        found: &Object,
    ) -> Result<(), Failure> {
        let asking = Asking::of(extensions);
        let resource = object_resource(bucket, key);
        let looked = self.look_at_bucket_of(&asking, resource).await?;
        let object = self.facts.of_record(bucket, looked.settings.as_deref(), found).await?;
        asking.decide(action, resource, &looked.facts, Some(&object)).map(drop)
    }

    /// What an object carries, for whoever was let read it.
    pub(crate) async fn labels_of(&self, place: &ObjectPlace) -> Result<Option<Labels>, Failure> {
        Ok(self.facts.labels_of(place).await?)
    }

    /// That a key is not there is said only to those who may list the bucket.
    pub(crate) async fn tell_missing(
        &self,
        extensions: &Extensions,
        (bucket, key): (&BucketName, &ObjectKey),
        failure: Failure,
    ) -> Result<Failure, Failure> {
        if failure.code != Code::NO_SUCH_KEY && failure.code != Code::NO_SUCH_VERSION {
            return Ok(failure);
        }
        let asking = Asking::of(extensions);
        let looked = self
            .look_at_bucket_of(&asking, Resource::Bucket(bucket.as_str()))
            .await?;
        let may_list = asking.may_list(&looked.facts, (bucket.as_str(), key.as_str()));
        Ok(if may_list { failure } else { Code::ACCESS_DENIED.into() })
    }

    /// The failure as this caller may be told it: see [`Self::tell_missing`].
    pub(crate) async fn told(
        &self,
        extensions: &Extensions,
        place: (&BucketName, &ObjectKey),
        failure: Failure,
    ) -> Failure {
        match self.tell_missing(extensions, place, failure).await {
            Ok(failure) | Err(failure) => failure,
        }
    }

    async fn look_at_bucket_of(&self, asking: &Asking<'_>, resource: Resource<'_>) -> Result<Looked, Failure> {
        match resource {
            Resource::Service => Ok(Looked::nothing()),
            Resource::Bucket(bucket) | Resource::Object { bucket, .. } => {
                Ok(self.facts.of_bucket(asking.identity, bucket).await?)
            }
        }
    }
}

fn object_resource<'a>(bucket: &'a BucketName, key: &'a ObjectKey) -> Resource<'a> {
    Resource::Object {
        bucket: bucket.as_str(),
        key: key.as_str(),
    }
}

fn looks_at_object(asking: &Asking<'_>, action: Action, bucket: &BucketFacts) -> bool {
    // A guest puts nothing where something stands.
    let of_guest = |request: &RequestFacts| matches!(&request.terms, Some(Terms::Link(terms)) if terms.takes_guests);
    if asking.request.is_some_and(of_guest) {
        return true;
    }
    any_policy(asking.identity, Some(bucket), |policy| {
        policy.looks_at_existing_object(action.name())
    })
}
