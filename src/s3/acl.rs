//! Canned ACLs, the native word of S3 for visibility: private, public-read, authenticated-read.
//!
//! Owns the translation both ways, and who may open something. Lists of grants are not built and answer 501. It decides
//! about no read: `access` does, by the visibility that stands.

use http::Extensions;
use parking_lot::Mutex;
use s3s::dto::{
    GetBucketAclInput, GetBucketAclOutput, GetObjectAclInput, GetObjectAclOutput, Grant as AclGrant, Grantee, Owner,
    Permission, PutBucketAclInput, PutBucketAclOutput, PutObjectAclInput, PutObjectAclOutput, Type,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::Store;
use storage_engine::store::multipart::list::{ListParts, ListPartsError};
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::labels::ObjectPlace;
use storage_engine::store::record::labels::{Labels, Visibility};
use storage_engine::store::record::settings::{BucketSettings, ObjectOwnership};

use super::convert::{bucket_name, object_key};
use super::error::{Code, Failure};
use super::front::Front;
use super::object::{relabel, version};
use crate::access::{Action, Resource};

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const SIGNED_IN_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

/// The visibility that a canned ACL stands for.
pub(crate) fn canned(name: &str) -> Result<Visibility, Failure> {
    match name {
        "private" | "bucket-owner-full-control" => Ok(Visibility::Private),
        "public-read" => Ok(Visibility::Public),
        "authenticated-read" => Ok(Visibility::Protected),
        "aws-exec-read" | "bucket-owner-read" | "log-delivery-write" | "public-read-write" => {
            Err(Failure::not_built(&format!("the canned access control list '{name}'")))
        }
        _ => Err(Failure::argument("The canned access control list is not valid.")),
    }
}

pub(crate) fn opens(visibility: Visibility) -> bool {
    match visibility {
        Visibility::Private => false,
        Visibility::Public | Visibility::Protected | Visibility::Shared => true,
    }
}

/// Refuses to open what the settings of the bucket keep closed.
pub(crate) fn check_settings(settings: &BucketSettings, visibility: Visibility) -> Result<(), Failure> {
    if !opens(visibility) {
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

/// The visibility that a write gives its object; `None`: the bucket's default. Opening an object needs a right of its own;
/// naming it private, as some clients always do, needs none.
pub(crate) async fn of_write(
    front: &Front,
    extensions: &Extensions,
    header: Option<&str>,
    (bucket, key): (&BucketName, &ObjectKey),
) -> Result<Option<Visibility>, Failure> {
    let Some(visibility) = header.map(canned).transpose()? else {
        return Ok(None);
    };
    if opens(visibility) {
        let store = front.open_object(extensions, Action::PutObjectAcl, bucket, key).await?;
        check_settings(&*store.settings_of(bucket).await?, visibility)?;
    }
    Ok(Some(visibility))
}

/// Checks the visibility that was asked for when an upload was begun: what the bucket keeps closed by now stays closed.
pub(crate) async fn recheck_upload(store: &Store, list: &ListParts) -> Result<(), Failure> {
    let upload = match store.list_parts(list).await {
        Ok(page) => page.upload,
        // What completes the upload says what is missing, or that it was completed before.
        Err(ListPartsError::NoSuchBucket | ListPartsError::NoSuchUpload) => return Ok(()),
        Err(ListPartsError::Fault(fault)) => return Err(fault.into()),
    };
    match upload.labels.visibility {
        Some(visibility) if opens(visibility) => check_settings(&*store.settings_of(&list.bucket).await?, visibility),
        Some(_) | None => Ok(()),
    }
}

/// The visibility that a change of an ACL asks for.
fn asked(canned_acl: Option<&str>, has_grants: bool) -> Result<Visibility, Failure> {
    if has_grants {
        return Err(Failure::not_built("an access control list of grants"));
    }
    match canned_acl {
        Some(name) => canned(name),
        None => Err(Code::MISSING_SECURITY_HEADER.into()),
    }
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
    let visibility = asked(name, input.access_control_policy.is_some())?;
    check_settings(&*store.settings_of(&place.bucket).await?, visibility)?;
    let actions = (Action::PutObjectAcl, Action::PutObjectVersionAcl);
    let open = |labels: &mut Labels| labels.visibility = Some(visibility);
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
    let visibility = object.labels.visibility.or(settings.visibility);
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(grants(&owner, visibility.unwrap_or(Visibility::Private))),
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
    let visibility = asked(name, req.input.access_control_policy.is_some())?;
    let checked = Mutex::new(Ok(()));
    // Decided on the settings that are changed: a block that was set meanwhile holds.
    store
        .change_settings(&bucket, |settings| {
            let allowed = check_settings(settings, visibility);
            if allowed.is_ok() {
                settings.visibility = default_of(visibility);
            }
            *checked.lock() = allowed;
        })
        .await?;
    checked.into_inner()?;
    Ok(S3Response::new(PutBucketAclOutput {}))
}

/// As a bucket keeps it: private is what holds where nothing is set.
pub(crate) fn default_of(visibility: Visibility) -> Option<Visibility> {
    Some(visibility).filter(|visibility| opens(*visibility))
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
    Ok(S3Response::new(GetBucketAclOutput {
        grants: Some(grants(&owner, settings.visibility.unwrap_or(Visibility::Private))),
        owner: Some(owner),
    }))
}

/// The grants that a visibility is to tools that know ACLs.
fn grants(owner: &Owner, visibility: Visibility) -> Vec<AclGrant> {
    let grant = |grantee: Grantee, permission: &'static str| AclGrant {
        grantee: Some(grantee),
        permission: Some(Permission::from_static(permission)),
    };
    let group = |uri: &str| Grantee {
        display_name: None,
        email_address: None,
        id: None,
        type_: Type::from_static(Type::GROUP),
        uri: Some(uri.to_owned()),
    };
    let full = Grantee {
        display_name: owner.display_name.clone(),
        email_address: None,
        id: owner.id.clone(),
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    let mut grants = vec![grant(full, Permission::FULL_CONTROL)];
    match visibility {
        // Those it is shared with have no name in this language.
        Visibility::Private | Visibility::Shared => {}
        Visibility::Public => grants.push(grant(group(ALL_USERS), Permission::READ)),
        Visibility::Protected => grants.push(grant(group(SIGNED_IN_USERS), Permission::READ)),
    }
    grants
}
