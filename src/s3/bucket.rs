//! Bucket operations: create, head, delete, list, location.

use s3s::dto::{
    Bucket as WireBucket, BucketLocationConstraint, CreateBucketConfiguration, CreateBucketInput, CreateBucketOutput,
    DeleteBucketInput, DeleteBucketOutput, GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput,
    HeadBucketOutput, ListBucketsInput, ListBucketsOutput,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::bucket::{CreateBucketError, DeleteBucketError, ListBuckets, NewBucket};
use storage_engine::store::record::settings::BucketSettings;

use super::acl;
use super::convert::{bucket_name, caller_id, wire_time};
use super::error::{Code, Failure};
use super::events::BUCKET_REMOVED;
use super::front::Front;
use super::settings::ownership;
use crate::access::{Action, RequestFacts, Resource};
use crate::auth::Identity;

/// What AWS calls its first region, and what clients send when nobody chose one.
pub(crate) const NO_REGION: &str = "us-east-1";
/// Longest name of a region; signatures name none that is longer either.
const REGION_BYTES_MAX: usize = 64;
/// AWS's largest page of buckets.
const BUCKETS_MAX: i32 = 10_000;

pub(crate) async fn create(
    front: &Front,
    req: S3Request<CreateBucketInput>,
) -> Result<S3Response<CreateBucketOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let region = location(front, req.input.create_bucket_configuration)?;
    let resource = Resource::Bucket(bucket.as_str());
    let say = |request: &mut RequestFacts| {
        if !region.is_empty() {
            request.say("s3:locationconstraint", region.as_str());
        }
    };
    let store = front
        .open_saying(&req.extensions, Action::CreateBucket, resource, say)
        .await?;
    let owner = caller_id(&req.extensions);
    let mut settings = BucketSettings::default();
    if let Some(wire) = &req.input.object_ownership {
        let message = "Invalid x-amz-object-ownership header";
        settings.ownership = Some(ownership(wire).ok_or_else(|| Failure::argument(message))?);
        front
            .may_at_birth(&req.extensions, Action::PutBucketOwnershipControls, &bucket)
            .await?;
    }
    if let Some(name) = req.input.acl.as_ref().map(|acl| acl.as_str()) {
        let canned = acl::canned_of_bucket(name)?;
        acl::check_settings(&settings, canned.is_some())?;
        settings.acl = canned;
        if canned.is_some() {
            front
                .may_at_birth(&req.extensions, Action::PutBucketAcl, &bucket)
                .await?;
        }
    }
    let new = NewBucket {
        name: bucket.clone(),
        region,
        owner: owner.clone(),
        settings,
    };
    let event = front.event((&req.extensions, &req.headers), &bucket, None);
    let make = async move { store.make_bucket(new).await };
    match event.after("s3:BucketCreated:*", make, |_| None).await {
        Ok(_) => {
            let location = Some(format!("/{bucket}"));
            Ok(S3Response::new(CreateBucketOutput { location }))
        }
        Err(CreateBucketError::Exists { owner: whose }) if whose == owner => Err(Code::BUCKET_ALREADY_OWNED.into()),
        Err(CreateBucketError::Exists { .. }) => Err(Code::BUCKET_ALREADY_EXISTS.into()),
        Err(error @ CreateBucketError::SettingsTooLarge { .. }) => {
            Err(Failure::because(Code::INVALID_REQUEST, error.to_string()))
        }
        Err(CreateBucketError::Fault(fault)) => Err(fault.into()),
    }
}

/// The region a bucket is made in: the server's own, which may be left out or called by AWS's default name; any, where
/// no operator chose one. Empty: AWS's first.
fn location(front: &Front, configuration: Option<CreateBucketConfiguration>) -> Result<String, Failure> {
    let own = || front.own_region().unwrap_or_default().to_owned();
    let Some(configuration) = configuration else {
        return Ok(own());
    };
    match configuration
        .location_constraint
        .as_ref()
        .map(BucketLocationConstraint::as_str)
    {
        None | Some("" | NO_REGION) => Ok(own()),
        // It will stand in a header of every answer about the bucket.
        Some(asked) if asked.len() > REGION_BYTES_MAX || !asked.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Code::INVALID_LOCATION.into())
        }
        Some(asked) if front.own_region().is_none_or(|own| own == asked) => Ok(asked.to_owned()),
        Some(asked) => {
            let message = format!("The {asked} location constraint is incompatible for the region of this server.");
            Err(Failure::because(Code::ILLEGAL_LOCATION, message))
        }
    }
}

pub(crate) async fn head(
    front: &Front,
    req: S3Request<HeadBucketInput>,
) -> Result<S3Response<HeadBucketOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let store = front
        .open(&req.extensions, Action::ListBucket, Resource::Bucket(bucket.as_str()))
        .await?;
    let found = store.head_bucket(&bucket).await?;
    let region = if found.region.is_empty() {
        NO_REGION.to_owned()
    } else {
        found.region
    };
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(region),
        ..HeadBucketOutput::default()
    }))
}

pub(crate) async fn delete(
    front: &Front,
    req: S3Request<DeleteBucketInput>,
) -> Result<S3Response<DeleteBucketOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let store = front
        .open(&req.extensions, Action::DeleteBucket, Resource::Bucket(bucket.as_str()))
        .await?;
    let event = front.event((&req.extensions, &req.headers), &bucket, None);
    let delete = async move { store.delete_bucket(&bucket).await };
    match event.by_itself().after(BUCKET_REMOVED, delete, |()| None).await {
        Ok(()) => Ok(S3Response::new(DeleteBucketOutput {})),
        Err(DeleteBucketError::NoSuchBucket) => Err(Code::NO_SUCH_BUCKET.into()),
        Err(DeleteBucketError::NotEmpty) => Err(Code::BUCKET_NOT_EMPTY.into()),
        Err(DeleteBucketError::Busy) => Err(Code::OPERATION_ABORTED.into()),
        Err(DeleteBucketError::Fault(fault)) => Err(fault.into()),
    }
}

pub(crate) async fn locate(
    front: &Front,
    req: S3Request<GetBucketLocationInput>,
) -> Result<S3Response<GetBucketLocationOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let store = front
        .open(
            &req.extensions,
            Action::GetBucketLocation,
            Resource::Bucket(bucket.as_str()),
        )
        .await?;
    let found = store.head_bucket(&bucket).await?;
    // AWS calls its first region by no name at all here.
    let named = Some(found.region).filter(|region| !region.is_empty() && region != NO_REGION);
    let location_constraint = named.map(BucketLocationConstraint::from);
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
}

pub(crate) async fn list(
    front: &Front,
    req: S3Request<ListBucketsInput>,
) -> Result<S3Response<ListBucketsOutput>, Failure> {
    // To look for what is public among all buckets is work that nobody without an account may ask for.
    if matches!(req.extensions.get::<Identity>(), None | Some(Identity::Anonymous)) {
        return Err(Code::ACCESS_DENIED.into());
    }
    let input = req.input;
    let may_list = front
        .may(&req.extensions, Action::ListAllMyBuckets, Resource::Service)
        .await?;
    let limit = match input.max_buckets {
        None => BUCKETS_MAX,
        Some(limit) if (1..=BUCKETS_MAX).contains(&limit) => limit,
        Some(_) => {
            return Err(Failure::argument(
                "Argument max-buckets must be an integer between 1 and 10000.",
            ));
        }
    };
    let limit = usize::try_from(limit).unwrap_or_default();
    let prefix = input.prefix.unwrap_or_default();
    let mut after = input.continuation_token;
    let mut buckets = Vec::new();
    // The store's pages are smaller than the largest one asked for here.
    loop {
        let wanted = limit.saturating_sub(buckets.len());
        let list = ListBuckets {
            prefix: prefix.clone(),
            after,
            limit: wanted,
        };
        let page = front.visible_buckets(&req.extensions, list).await?;
        buckets.extend(page.buckets);
        after = page.next;
        if after.is_none() || buckets.len() >= limit {
            break;
        }
    }
    // Who sees no bucket and may not ask is told so, as by MinIO.
    if buckets.is_empty() && !may_list {
        return Err(Code::ACCESS_DENIED.into());
    }
    let region = input.bucket_region.as_deref();
    let buckets = buckets
        .into_iter()
        .map(|mut bucket| {
            if bucket.region.is_empty() {
                NO_REGION.clone_into(&mut bucket.region);
            }
            bucket
        })
        .filter(|bucket| region.is_none_or(|region| region == bucket.region))
        .map(|bucket| WireBucket {
            bucket_region: Some(bucket.region),
            creation_date: Some(wire_time(bucket.created)),
            name: Some(bucket.name.as_str().to_owned()),
        })
        .collect();
    let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
    let output = ListBucketsOutput {
        buckets: Some(buckets),
        continuation_token: after,
        owner: Some(front.owner(caller_id(&req.extensions).as_deref())),
        prefix,
    };
    Ok(S3Response::new(output))
}
