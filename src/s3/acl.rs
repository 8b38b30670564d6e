//! Canned ACLs: of an object the native word of S3 for its visibility; of a bucket who may list it and put into it.
//!
//! Owns the translation both ways, and who may open something. Lists of grants are not built and answer 501. It decides
//! about no request: `access` does, by the visibility and the ACL that stand.

use http::Extensions;
use parking_lot::Mutex;
use s3s::dto::{
    GetBucketAclInput, GetBucketAclOutput, GetObjectAclInput, GetObjectAclOutput, Grant as AclGrant, Grantee, Owner,
    Permission, PutBucketAclInput, PutBucketAclOutput, PutObjectAclInput, PutObjectAclOutput, Type,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::multipart::list::{ListParts, ListPartsError};
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::labels::ObjectPlace;
use storage_engine::store::record::labels::{Labels, Visibility};
use storage_engine::store::record::settings::{BucketAcl, BucketSettings, ObjectOwnership};

use super::convert::{bucket_name, object_key};
use super::error::{Code, Failure};
use super::front::{Front, GIVEN_TO_BUCKET_OWNER, Opened};
use super::object::{relabel, version};
use crate::access::{Action, Resource};

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const SIGNED_IN_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

/// What a canned ACL of an object stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Canned {
    pub(crate) visibility: Visibility,
    /// It names writing, too: AWS shows that on an object and lets nobody write for it.
    pub(crate) writing_named: bool,
    /// It offers the object to the bucket's owner.
    pub(crate) offered: bool,
}

impl Canned {
    /// Refuses what the settings of the bucket keep closed.
    pub(crate) fn check(self, settings: Option<&BucketSettings>) -> Result<(), Failure> {
        let Some(settings) = settings else { return Ok(()) };
        check_ownership(settings.ownership, self.offered)?;
        check_settings(settings, opens(self.visibility))
    }
}

/// The canned ACL of an object by its name.
fn canned(name: &str) -> Result<Canned, Failure> {
    let visibility = match name {
        "private" | "bucket-owner-full-control" => Visibility::Private,
        "public-read" | "public-read-write" => Visibility::Public,
        "authenticated-read" => Visibility::Protected,
        _ => return Err(unknown(name)),
    };
    Ok(Canned {
        visibility,
        writing_named: name == "public-read-write",
        offered: name == GIVEN_TO_BUCKET_OWNER,
    })
}

/// The canned ACL of a bucket by its name; `None`: private.
pub(crate) fn canned_of_bucket(name: &str) -> Result<Option<BucketAcl>, Failure> {
    Ok(match name {
        "private" | "bucket-owner-full-control" => None,
        "public-read" => Some(BucketAcl::PublicRead),
        "public-read-write" => Some(BucketAcl::PublicReadWrite),
        "authenticated-read" => Some(BucketAcl::AuthenticatedRead),
        _ => return Err(unknown(name)),
    })
}

fn unknown(name: &str) -> Failure {
    match name {
        "aws-exec-read" | "bucket-owner-read" | "log-delivery-write" => {
            Failure::not_built(&format!("the canned access control list '{name}'"))
        }
        _ => Failure::argument("The canned access control list is not valid."),
    }
}

fn opens(visibility: Visibility) -> bool {
    match visibility {
        Visibility::Private => false,
        Visibility::Public | Visibility::Protected | Visibility::Shared => true,
    }
}

/// Whether more than the owner and single others may read it.
pub(crate) fn is_open_to_many(visibility: Visibility) -> bool {
    matches!(visibility, Visibility::Public | Visibility::Protected)
}

/// Refuses to open what the settings of the bucket keep closed.
pub(crate) fn check_settings(settings: &BucketSettings, opens: bool) -> Result<(), Failure> {
    if !opens {
        return Ok(());
    }
    if settings
        .public_access_block
        .is_some_and(|block| block.block_public_acls)
    {
        return Err(Code::ACCESS_DENIED.into());
    }
    if settings.ownership == Some(ObjectOwnership::BucketOwnerEnforced) {
        return Err(Code::ACL_NOT_SUPPORTED.into());
    }
    Ok(())
}

/// Where all is the bucket owner's, an ACL can only say so.
fn check_ownership(ownership: Option<ObjectOwnership>, offered: bool) -> Result<(), Failure> {
    match ownership {
        Some(ObjectOwnership::BucketOwnerEnforced) if !offered => Err(Code::ACL_NOT_SUPPORTED.into()),
        Some(
            ObjectOwnership::BucketOwnerEnforced
            | ObjectOwnership::BucketOwnerPreferred
            | ObjectOwnership::ObjectWriter,
        )
        | None => Ok(()),
    }
}

/// What the canned ACL of a write stands for; `None`: the bucket's default. Opening an object needs a right of its own;
/// naming it private, as some clients always do, needs none. What the bucket keeps closed is still to be checked.
pub(crate) async fn of_write(
    front: &Front,
    extensions: &Extensions,
    header: Option<&str>,
    place: (&BucketName, &ObjectKey),
) -> Result<Option<Canned>, Failure> {
    let Some(name) = header else {
        return Ok(None);
    };
    let canned = canned(name)?;
    if opens(canned.visibility) {
        front.may_open_at_write(extensions, place).await?;
    }
    Ok(Some(canned))
}

/// The same of a copy. Onto itself it changes the object that stands there, whosever that is: opening it needs the right to.
pub(crate) async fn of_copy(
    front: &Front,
    extensions: &Extensions,
    (header, onto_itself): (Option<&str>, bool),
    (bucket, key): (&BucketName, &ObjectKey),
) -> Result<Option<Canned>, Failure> {
    let canned = match onto_itself {
        true => header.map(canned).transpose()?,
        false => of_write(front, extensions, header, (bucket, key)).await?,
    };
    if onto_itself && canned.is_some_and(|canned| opens(canned.visibility)) {
        let opened = front.open_object(extensions, Action::PutObjectAcl, bucket, key);
        drop(opened.await?);
    }
    match canned {
        Some(canned) if canned.writing_named => Err(Failure::not_built(
            "the canned access control list 'public-read-write' of a copy",
        )),
        canned => Ok(canned),
    }
}

/// Checks the visibility that was asked for when an upload was begun: what the bucket keeps closed by now stays closed.
pub(crate) async fn recheck_upload(opened: &Opened, list: &ListParts) -> Result<(), Failure> {
    let upload = match opened.store.list_parts(list).await {
        Ok(page) => page.upload,
        // What completes the upload says what is missing, or that it was completed before.
        Err(ListPartsError::NoSuchBucket | ListPartsError::NoSuchUpload) => return Ok(()),
        Err(ListPartsError::Fault(fault)) => return Err(fault.into()),
    };
    match (upload.labels.visibility, &opened.settings) {
        (Some(visibility), Some(settings)) => check_settings(settings, opens(visibility)),
        (_, None) | (None, _) => Ok(()),
    }
}

/// The name of the canned ACL that a change of an ACL asks for.
fn asked(canned_acl: Option<&str>, has_grants: bool) -> Result<&str, Failure> {
    if has_grants {
        return Err(Failure::not_built("an access control list of grants"));
    }
    canned_acl.ok_or_else(|| Code::MISSING_SECURITY_HEADER.into())
}

pub(crate) async fn put_object(
    front: &Front,
    req: S3Request<PutObjectAclInput>,
) -> Result<S3Response<PutObjectAclOutput>, Failure> {
    let input = req.input;
    let place = ObjectPlace {
        bucket: bucket_name(input.bucket)?,
        key: object_key(input.key)?,
        version: version(input.version_id)?,
    };
    let action = match place.version {
        Some(_) => Action::PutObjectVersionAcl,
        None => Action::PutObjectAcl,
    };
    let store = front
        .open_object(&req.extensions, action, &place.bucket, &place.key)
        .await?;
    let name = input.acl.as_ref().map(|acl| acl.as_str());
    let canned = canned(asked(name, input.access_control_policy.is_some())?)?;
    canned.check(Some(&*store.settings_of(&place.bucket).await?))?;
    let actions = (Action::PutObjectAcl, Action::PutObjectVersionAcl);
    let open = |labels: &mut Labels| {
        labels.visibility = Some(canned.visibility);
        labels.writing_named = canned.writing_named;
        labels.offered = canned.offered;
    };
    relabel::change(front, &req.extensions, actions, &place, open).await?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}

pub(crate) async fn get_object(
    front: &Front,
    req: S3Request<GetObjectAclInput>,
) -> Result<S3Response<GetObjectAclOutput>, Failure> {
    let input = req.input;
    let place = ObjectPlace {
        bucket: bucket_name(input.bucket)?,
        key: object_key(input.key)?,
        version: version(input.version_id)?,
    };
    let actions = (Action::GetObjectAcl, Action::GetObjectVersionAcl);
    let object = relabel::change(front, &req.extensions, actions, &place, |_| ()).await?;
    let action = match place.version {
        Some(_) => Action::GetObjectVersionAcl,
        None => Action::GetObjectAcl,
    };
    let store = front
        .open_object(&req.extensions, action, &place.bucket, &place.key)
        .await?;
    let settings = store.settings_of(&place.bucket).await?;
    let owner = front.owner(object.labels.owner.as_deref());
    let (signed_in, everybody) = match object.labels.visibility.or(settings.visibility) {
        // Those it is shared with have no name in this language.
        None | Some(Visibility::Private | Visibility::Shared) => (false, NONE),
        Some(Visibility::Protected) => (true, READ),
        Some(Visibility::Public) if object.labels.writing_named => (false, READ_WRITE),
        Some(Visibility::Public) => (false, READ),
    };
    let mut grants = grants(&owner, signed_in, everybody);
    if object.labels.offered {
        let of_bucket = front.owner(store.head_bucket(&place.bucket).await?.owner.as_deref());
        if of_bucket.id != owner.id {
            grants.push(full_control(&of_bucket));
        }
    }
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(grants),
        owner: Some(owner),
        request_charged: None,
    }))
}

pub(crate) async fn put_bucket(
    front: &Front,
    req: S3Request<PutBucketAclInput>,
) -> Result<S3Response<PutBucketAclOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    let store = front.open(&req.extensions, Action::PutBucketAcl, resource).await?;
    let name = req.input.acl.as_ref().map(|acl| acl.as_str());
    let acl = canned_of_bucket(asked(name, req.input.access_control_policy.is_some())?)?;
    let checked = Mutex::new(Ok(()));
    // Decided on the settings that are changed: a block that was set meanwhile holds.
    store
        .change_settings(&bucket, |settings| {
            let offered = name == Some(GIVEN_TO_BUCKET_OWNER);
            let allowed =
                check_settings(settings, acl.is_some()).and_then(|()| check_ownership(settings.ownership, offered));
            if allowed.is_ok() {
                settings.acl = acl;
            }
            // Whoever makes a bucket private means what is in it, too.
            if allowed.is_ok() && acl.is_none() {
                settings.visibility = settings.visibility.filter(|visibility| !is_open_to_many(*visibility));
            }
            *checked.lock() = allowed;
        })
        .await?;
    checked.into_inner()?;
    Ok(S3Response::new(PutBucketAclOutput {}))
}

pub(crate) async fn get_bucket(
    front: &Front,
    req: S3Request<GetBucketAclInput>,
) -> Result<S3Response<GetBucketAclOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let resource = Resource::Bucket(bucket.as_str());
    let store = front.open(&req.extensions, Action::GetBucketAcl, resource).await?;
    let owner = front.owner(store.head_bucket(&bucket).await?.owner.as_deref());
    let settings = store.settings_of(&bucket).await?;
    let (signed_in, others) = match settings.acl {
        None => (false, NONE),
        Some(BucketAcl::PublicRead) => (false, READ),
        Some(BucketAcl::PublicReadWrite) => (false, READ_WRITE),
        Some(BucketAcl::AuthenticatedRead) => (true, READ),
    };
    Ok(S3Response::new(GetBucketAclOutput {
        grants: Some(grants(&owner, signed_in, others)),
        owner: Some(owner),
    }))
}

const NONE: &[&str] = &[];
const READ: &[&str] = &[Permission::READ];
const READ_WRITE: &[&str] = &[Permission::READ, Permission::WRITE];

/// Full control for the owner, and these permissions for everybody, or for everybody who is signed in.
fn grants(owner: &Owner, signed_in: bool, permissions: &[&'static str]) -> Vec<AclGrant> {
    let group = || Grantee {
        display_name: None,
        email_address: None,
        id: None,
        type_: Type::from_static(Type::GROUP),
        uri: Some(if signed_in { SIGNED_IN_USERS } else { ALL_USERS }.to_owned()),
    };
    let of_group = permissions.iter().map(|permission| grant(group(), permission));
    // Groups first, as conformance suites and the tools written to them read it.
    of_group.chain([full_control(owner)]).collect()
}

fn full_control(owner: &Owner) -> AclGrant {
    let grantee = Grantee {
        display_name: owner.display_name.clone(),
        email_address: None,
        id: owner.id.clone(),
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    grant(grantee, Permission::FULL_CONTROL)
}

fn grant(grantee: Grantee, permission: &'static str) -> AclGrant {
    AclGrant {
        grantee: Some(grantee),
        permission: Some(Permission::from_static(permission)),
    }
}
