//! The fronts behind authentication, as the edge calls them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::Empty;
use storage_engine::store::Store;
use time::OffsetDateTime;

use super::ServerError;
use crate::access::{Action, Context, RequestFacts, Resource, decide};
use crate::admin::AdminService;
use crate::auth::{Authenticator, is_form};
use crate::config::{Config, Grants};
use crate::files::FilesService;
use crate::http::body::{self, Body, RequestBody};
use crate::http::edge::{Answering, BucketCors, BucketRules, Front, IMAGES_PATH, Scraper};
use crate::http::host::Style;
use crate::http::request_id::RequestId;
use crate::identity::{Directory, Federation, FederationRights, LDAP_PROVIDER};
use crate::images::service::Images;
use crate::ldap::{self, Ldap};
use crate::links::Credentials;
use crate::openid::{self, Issuers, Providers};
use crate::outbound::Outbound;
use crate::s3::{self, CorsRules, Happened, S3Config, S3Service};
use crate::sts::{StsService, is_sts};
use crate::telemetry::feed::Feed;
use crate::telemetry::trace::Operation;

/// The one authenticator of all fronts.
pub(super) fn authenticator(
    config: &Config,
    credentials: Credentials<Directory>,
) -> Result<Arc<Authenticator>, getrandom::Error> {
    Authenticator::new(Arc::new(credentials), config.region.clone()).map(Arc::new)
}

/// The Files API: who calls is told by their project's key and token. Beside it the images.
pub(super) fn files(service: FilesService, images: Images) -> Arc<Front> {
    Arc::new(move |request: Request<RequestBody>| -> Answering {
        if request.uri().path().starts_with(IMAGES_PATH) {
            Operation::name(request.extensions(), "images.Get");
            let images = images.clone();
            return Box::pin(async move { images.handle(request).await });
        }
        let service = service.clone();
        Box::pin(async move { service.handle(request).await })
    })
}

/// The identity providers of the configuration. None is asked for anything yet, so none holds up the start.
pub(super) fn providers(config: &Config) -> Result<Providers, ServerError> {
    let (settings, region) = (config.openid.clone(), config.region.as_deref());
    let providers = Providers::new(settings, region, openid::Pace::default()).map_err(ServerError::Providers)?;
    for provider in providers.iter() {
        tracing::info!(
            from = provider.config_url(),
            role = provider.role_arn().unwrap_or("none: its tokens name their policies"),
            "tokens of an identity provider are taken"
        );
    }
    Ok(providers)
}

/// Least time between two looks at the keys of an issuer of apps' tokens.
const ISSUER_PAUSE: Duration = Duration::from_secs(30);

/// What fetches the keys of issuers of apps' tokens.
pub(super) fn issuers() -> Issuers {
    let pace = openid::Pace {
        pause: ISSUER_PAUSE,
        ..openid::Pace::default()
    };
    Issuers::new(pace)
}

/// What calls addresses that applications name.
pub(super) fn outbound(config: &Config) -> Result<Outbound, ServerError> {
    Outbound::new(config.outbound.clone(), &config.certs_dirs).map_err(ServerError::Outbound)
}

/// The LDAP server of the configuration. It is not asked for anything yet, so it does not hold up the start.
pub(super) fn ldap(config: &Config) -> Result<Ldap, ServerError> {
    let ldap = Ldap::new(config.ldap.clone(), ldap::Pace::default())?;
    if let Some(address) = ldap.address() {
        tracing::info!(address, "users of an LDAP server can sign in");
    }
    Ok(ldap)
}

/// What the people of identity providers have.
pub(super) fn federation(providers: &Providers, ldap: &Ldap) -> Federation {
    let rights = |grants: &Grants| match grants {
        Grants::Claim(_) => FederationRights::OwnClaims,
        Grants::Role(policies) => FederationRights::Policies(policies.clone()),
    };
    let by_ldap = ldap
        .is_configured()
        .then(|| (LDAP_PROVIDER.to_owned(), FederationRights::Attached));
    providers
        .iter()
        .map(|provider| (provider.id(), rights(provider.grants())))
        .chain(by_ldap)
        .collect()
}

/// Authentication first, then the admin API.
pub(super) fn admin(authenticator: Arc<Authenticator>, service: AdminService) -> Arc<Front> {
    Arc::new(move |request: Request<RequestBody>| -> Answering {
        let (authenticator, service) = (Arc::clone(&authenticator), service.clone());
        Box::pin(async move {
            let refuse = service.refuse(&request);
            match authenticator.authenticate_admin(request) {
                Ok(authenticated) => service.handle(authenticated.request).await,
                Err(error) => refuse(&error),
            }
        })
    })
}

/// Whether a token lets its bearer read the metrics.
pub(super) fn scraper(authenticator: Arc<Authenticator>) -> Arc<Scraper> {
    Arc::new(move |token: &str, head: &Parts| {
        let now = OffsetDateTime::now_utc();
        let facts = RequestFacts::read(&head.extensions, &head.headers, now);
        let context = Context {
            request: Some(&facts),
            ..Context::default()
        };
        let identity = authenticator.bearer(token, now);
        identity.is_some_and(|identity| decide(&identity, Action::AdminPrometheus, Resource::Service, &context).is_ok())
    })
}

/// S3 over one store, for requests that were authenticated.
pub(super) fn service(
    config: &Config,
    directory: Directory,
    store: Store,
    (host_id, events): (&str, Feed<Happened>),
) -> S3Service {
    let told = S3Config {
        domains: config.domains.clone(),
        region: config.region.clone(),
        host_id: host_id.to_owned(),
        events,
    };
    s3::service(store, Arc::new(directory), told)
}

/// Authentication first, then S3; beside it the token service, whose requests name no bucket.
pub(super) fn s3(authenticator: Arc<Authenticator>, sts: StsService, service: S3Service) -> Arc<Front> {
    Arc::new(move |request: Request<RequestBody>| -> Answering {
        let on_bucket_host = request.extensions().get::<Style>() == Some(&Style::VirtualHost);
        if !on_bucket_host && is_sts(&request) {
            Operation::name(request.extensions(), "sts.Request");
            let sts = sts.clone();
            return Box::pin(async move { sts.handle(request).await });
        }
        let authenticator = Arc::clone(&authenticator);
        let service = service.clone();
        Box::pin(async move { answer(&authenticator, &service, request).await })
    })
}

/// The CORS rules of the bucket that a request is about. Where they cannot be read, no page is let in.
pub(super) fn cors(config: &Config, store: Store) -> Arc<BucketCors> {
    let rules = CorsRules::new(store, config.domains.clone());
    Arc::new(move |uri: &Uri, headers: &HeaderMap| -> BucketRules {
        let (rules, uri, headers) = (rules.clone(), uri.clone(), headers.clone());
        Box::pin(async move {
            rules.of(&uri, &headers).await.unwrap_or_else(|fault| {
                tracing::warn!(%fault, "the CORS rules of a bucket cannot be read");
                Some(Vec::new())
            })
        })
    })
}

async fn answer(
    authenticator: &Arc<Authenticator>,
    service: &S3Service,
    request: Request<RequestBody>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let id = request.extensions().get::<RequestId>().copied();
    let (parts, body) = request.into_parts();
    let form = is_form(&parts);
    // A browser asks before it uses a presigned link, whose signature is for another method.
    if parts.method == Method::OPTIONS {
        return service.handle(Request::from_parts(parts, Empty::<Bytes>::new())).await;
    }
    let request = Request::from_parts(parts, body);
    let admitted = if form {
        authenticator.admit_form(request)
    } else {
        authenticator
            .authenticate(request)
            .map(|authenticated| authenticated.request)
    };
    match admitted {
        Ok(request) => service.handle(request).await,
        Err(error) => {
            let id = id.map(|id| id.to_string()).unwrap_or_default();
            error.to_response(&path, &id).map(body::full)
        }
    }
}
