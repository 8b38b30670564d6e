//! What images are made of in a server: its projects, and S3's own answers to whoever asks.
//!
//! It decides nothing: projects and the authenticator say who asks, and the S3 front what they may read.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Empty;
use storage_engine::store::projects::OfProject;
use time::OffsetDateTime;

use crate::auth::Authenticator;
use crate::http::body::Body;
use crate::http::edge::ImageHosts;
use crate::images::album::Album;
use crate::images::limits::CACHE_BYTES_MAX;
use crate::images::options::Options;
use crate::images::pool::PoolConfig;
use crate::images::refused::Refused;
use crate::images::service::{Finding, Images, ImagesConfig, Shelf};
use crate::projects::{API_KEY, AppRefused, Operation, Projects, ProjectsError};
use crate::s3::S3Service;

/// The images of a server, whose workers run `program`.
pub(super) fn images(
    program: &Path,
    (authenticator, projects, s3): (&Arc<Authenticator>, &Projects, &S3Service),
) -> Images {
    let pool = PoolConfig {
        program: program.to_owned(),
        ..PoolConfig::of_this_program()
    };
    let files = Files {
        authenticator: Arc::clone(authenticator),
        projects: projects.clone(),
        s3: s3.clone(),
    };
    let config = ImagesConfig {
        pool,
        cache_bytes: CACHE_BYTES_MAX,
    };
    Images::new(Arc::new(files), config)
}

/// What hosts are those of images, by the projects as they stand.
pub(super) fn hosts(projects: &Projects) -> Arc<ImageHosts> {
    let projects = projects.clone();
    Arc::new(move |host: &str| {
        let OfProject { project, name } = projects.image_host(host)?;
        Some((project, name))
    })
}

/// The files of all projects.
struct Files {
    authenticator: Arc<Authenticator>,
    projects: Projects,
    s3: S3Service,
}

impl Shelf for Files {
    fn album(&self, project: &str, environment: &str, with_key: bool) -> Finding {
        let (projects, of) = (self.projects.clone(), OfProject::new(project, environment));
        Box::pin(async move {
            let album = album(&projects, &of, with_key).await;
            album.map_err(|error| {
                tracing::warn!(%error, "an image cannot be served");
                Refused::of_original(StatusCode::SERVICE_UNAVAILABLE)
            })
        })
    }

    fn original(&self, request: Request<Empty<Bytes>>) -> BoxFuture<'static, Result<Response<Body>, Refused>> {
        let (authenticator, projects, s3) = (Arc::clone(&self.authenticator), self.projects.clone(), self.s3.clone());
        Box::pin(async move {
            if is_of_app(request.headers()) {
                let request = admitted(&projects, request).await.map_err(refused)?;
                return Ok(s3.handle(request).await);
            }
            match authenticator.authenticate(request) {
                Ok(authenticated) => Ok(s3.handle(authenticated.request).await),
                Err(error) => {
                    let message = format!("The URL of the file proves nobody: {error}.");
                    Err(Refused::new(StatusCode::FORBIDDEN, "file/access-denied", message))
                }
            }
        })
    }
}

/// What a project says of the images of an environment; `None`: there is none of these names.
async fn album(projects: &Projects, of: &OfProject, with_key: bool) -> Result<Option<Album>, ProjectsError> {
    let project = match projects.project(&of.project) {
        Ok(project) => project,
        Err(ProjectsError::NoSuchProject(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(environment) = project.environments.get(&of.name) else {
        return Ok(None);
    };
    let settings = &environment.images;
    let mut album = Album::new(environment.bucket.clone());
    album.signed_only = settings.signed_only;
    album.auto_formats = settings.auto_formats;
    // One that is written as no URL is any more makes nothing, and leaves the others as they are.
    album.presets = settings
        .presets
        .iter()
        .filter_map(|(name, options)| Some((name.clone(), Options::parse(options).ok()?)))
        .collect();
    if let Some(most) = settings.unsigned_variants_per_hour {
        album.unsigned_variants_per_hour = most;
    }
    if with_key {
        album.signing_key = projects.images_key(of).await?;
    }
    Ok(Some(album))
}

/// Whether somebody comes with a project's key or a user's token, and not with a signature of S3.
fn is_of_app(headers: &HeaderMap) -> bool {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.get(..7));
    headers.contains_key(API_KEY) || bearer.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "))
}

/// The same request, by whom its project's key and token prove.
async fn admitted(
    projects: &Projects,
    mut request: Request<Empty<Bytes>>,
) -> Result<Request<Empty<Bytes>>, AppRefused> {
    let caller = projects.admit(request.headers(), OffsetDateTime::now_utc()).await?;
    caller.require(Operation::Read)?;
    let headers = request.headers_mut();
    headers.remove(API_KEY);
    headers.remove(AUTHORIZATION);
    request.extensions_mut().insert(caller.identity);
    Ok(request)
}

fn refused(error: AppRefused) -> Refused {
    Refused::new(error.status, error.code, error.message)
}
