//! The S3 front behind authentication, as the edge calls it.

use std::sync::Arc;

use http::{Request, Response};
use storage_engine::store::Store;

use crate::auth::{Authenticator, RootCredentials, SecretKey};
use crate::config::Config;
use crate::config::credentials::Root;
use crate::http::body::{self, Body, RequestBody};
use crate::http::edge::{Answering, Front};
use crate::http::request_id::RequestId;
use crate::s3::{self, S3Config, S3Service};

/// Authentication first, then S3, over one store.
pub(super) fn s3(config: &Config, root: &Root, store: Store, host_id: &str) -> Result<Arc<Front>, getrandom::Error> {
    let secret = SecretKey::new(root.password.expose().as_bytes());
    let credentials = Arc::new(RootCredentials::new(root.user.clone(), secret));
    let authenticator = Arc::new(Authenticator::new(credentials, config.region.clone())?);
    let told = S3Config {
        domains: config.domains.clone(),
        region: config.region.clone(),
        host_id: host_id.to_owned(),
    };
    let service = s3::service(store, told);
    Ok(Arc::new(move |request: Request<RequestBody>| -> Answering {
        let authenticator = Arc::clone(&authenticator);
        let service = service.clone();
        Box::pin(async move { answer(&authenticator, &service, request).await })
    }))
}

async fn answer(authenticator: &Authenticator, service: &S3Service, request: Request<RequestBody>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let id = request.extensions().get::<RequestId>().copied();
    match authenticator.authenticate(request) {
        Ok(authenticated) => service.handle(authenticated.request).await,
        Err(error) => {
            let id = id.map(|id| id.to_string()).unwrap_or_default();
            error.to_response(&path, &id).map(body::full)
        }
    }
}
