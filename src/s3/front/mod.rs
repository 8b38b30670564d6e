//! The handlers' common ground and the one door to the store: [`Front::open`] asks `access` first.
//!
//! It holds no request state; which operation goes where is in [`operations`].

mod operations;

use http::Extensions;
use storage_engine::store::Store;
use storage_engine::store::name::{BucketName, ObjectKey};

use super::error::{Code, Failure};
use crate::access::{Action, Behind, Context, Resource, decide};
use crate::auth::Identity;

/// The handlers' common ground.
pub(crate) struct Front {
    store: Behind<Store>,
    region: Option<String>,
}

impl Front {
    pub(crate) fn new(store: Store, region: Option<String>) -> Self {
        Self {
            store: Behind::new(store),
            region,
        }
    }

    /// The region an operator named; others are refused then.
    pub(crate) fn own_region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The store, opened for one action the caller may take. No identity means anonymous.
    pub(crate) fn open(
        &self,
        extensions: &Extensions,
        action: Action,
        resource: Resource<'_>,
    ) -> Result<&Store, Failure> {
        self.open_for(extensions, action, resource, &Context::default())
    }

    /// As [`Self::open`], on an object.
    pub(crate) fn open_object(
        &self,
        extensions: &Extensions,
        action: Action,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<&Store, Failure> {
        let (bucket, key) = (bucket.as_str(), key.as_str());
        self.open(extensions, action, Resource::Object { bucket, key })
    }

    pub(crate) fn open_for(
        &self,
        extensions: &Extensions,
        action: Action,
        resource: Resource<'_>,
        context: &Context,
    ) -> Result<&Store, Failure> {
        let identity = extensions.get::<Identity>().unwrap_or(&Identity::Anonymous);
        match decide(identity, action, resource, context) {
            Ok(grant) => Ok(self.store.with(&grant)),
            Err(denied) if denied.anonymous && context.overrides_response => {
                let message = "Request specific response headers cannot be used for anonymous GET requests.";
                Err(Failure::because(Code::INVALID_REQUEST, message))
            }
            Err(_) => Err(Code::ACCESS_DENIED.into()),
        }
    }
}
