//! The front of images: `/v1/img/{project}/{environment}/{path}` in, an image or a refusal out.
//!
//! It reads the URL, asks for the original as the caller would, and looks for what was made of it; what nobody made yet is
//! made once, however many ask. It decides nothing about who may see a file, and looks into no image.

mod answer;
mod original;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Empty;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::answer::{Served, accepted};
use self::original::{Asking, Found, is_shown, pieces};
use super::album::{Album, AutoFormats};
use super::cache::{Cache, Derived, FileName, Variant};
use super::flood::Flood;
use super::limits::SOURCE_BYTES_MAX;
use super::options::{Format, Options};
use super::path::{ImagePath, Proof, Wish, misspelt};
use super::pool::{Made, Pool, PoolConfig, PoolError};
use super::refused::Refused;
use super::wire::{Encoding, Order};
use crate::http::body::{Body, RequestBody};
use crate::http::edge::IMAGES_PATH;

/// How long it is remembered that an image cannot be made of a file, which stays as it is.
const REFUSED_FOR: Duration = Duration::from_hours(1);
/// The same where the next try may be luckier.
const FAILED_FOR: Duration = Duration::from_secs(60);

/// An album being looked up.
pub type Finding = BoxFuture<'static, Result<Option<Album>, Refused>>;

/// What images are made of: another front's answers, and what the operator set.
pub trait Shelf: Send + Sync + 'static {
    /// The images of an environment of a project, by their names; `None`: there is none. `with_key`: its key is wanted.
    fn album(&self, project: &str, environment: &str, with_key: bool) -> Finding;

    /// S3's answer to this GET or HEAD of an object, whose headers, query and extensions say who asks.
    fn original(&self, request: Request<Empty<Bytes>>) -> BoxFuture<'static, Result<Response<Body>, Refused>>;
}

/// How images are made.
#[derive(Clone, Debug)]
pub struct ImagesConfig {
    pub pool: PoolConfig,
    /// Of images that are kept ready.
    pub cache_bytes: usize,
}

/// See the module. Clones share everything.
#[derive(Clone)]
pub struct Images {
    inner: Arc<Inner>,
}

type Outcome = Result<Derived, Arc<Refused>>;
type Flight = Shared<BoxFuture<'static, Outcome>>;

struct Inner {
    shelf: Arc<dyn Shelf>,
    pool: Pool,
    cache: Mutex<Cache>,
    flood: Mutex<Flood>,
    /// What is being made.
    flights: Mutex<HashMap<Variant, Flight>>,
    /// Of one environment, beside those of the others.
    flights_of_one_max: usize,
}

/// How images stand, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageFigures {
    pub cached_bytes: u64,
    pub cached_images: u64,
    pub cache_hits: u64,
    pub cache_misses: u64,
    pub made: u64,
    pub refused: u64,
    pub busy: u64,
    pub workers_started: u64,
    pub workers_lost: u64,
}

/// An image that is wanted.
struct Wanted {
    options: Options,
    /// Whether its URL is of those of which a file has only so many.
    counted: bool,
}

impl Images {
    pub fn new(shelf: Arc<dyn Shelf>, config: ImagesConfig) -> Self {
        let flights_of_one_max = config.pool.workers.saturating_add(config.pool.waiting_max / 2).max(1);
        Self {
            inner: Arc::new(Inner {
                shelf,
                pool: Pool::new(config.pool),
                cache: Mutex::new(Cache::new(config.cache_bytes)),
                flood: Mutex::default(),
                flights: Mutex::default(),
                flights_of_one_max,
            }),
        }
    }

    pub fn figures(&self) -> ImageFigures {
        let cache = self.inner.cache.lock().figures();
        let counts = self.inner.pool.counts();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        ImageFigures {
            cached_bytes: u64::try_from(cache.bytes).unwrap_or(u64::MAX),
            cached_images: u64::try_from(cache.images).unwrap_or(u64::MAX),
            cache_hits: cache.hits,
            cache_misses: cache.misses,
            made: count(&counts.made),
            refused: count(&counts.refused),
            busy: count(&counts.busy),
            workers_started: count(&counts.started),
            workers_lost: count(&counts.lost),
        }
    }

    /// Answers a request below [`IMAGES_PATH`]. Every refusal is an answer, too.
    pub async fn handle(&self, request: Request<RequestBody>) -> Response<Body> {
        let (head, _) = request.into_parts();
        if !matches!(head.method, Method::GET | Method::HEAD) {
            let message = "An image is read by GET or HEAD.";
            let refused = Refused::new(StatusCode::METHOD_NOT_ALLOWED, "common/method-not-allowed", message);
            let mut response = refused.response();
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match self.answer(&head).await {
            Ok(response) => response,
            Err(refused) => refused.response(),
        }
    }

    async fn answer(&self, head: &Parts) -> Result<Response<Body>, Refused> {
        let missing = || Refused::new(StatusCode::NOT_FOUND, "PROJECT_NOT_FOUND", "There is no such project.");
        let rest = head.uri.path().strip_prefix(IMAGES_PATH).ok_or_else(missing)?;
        let (project, rest) = rest.split_once('/').ok_or_else(missing)?;
        let (environment, path) = rest.split_once('/').ok_or_else(missing)?;
        let path = ImagePath::parse(path)?;
        let with_key = matches!(path.proof, Proof::Signed { .. });
        let album = self.inner.shelf.album(project, environment, with_key).await?;
        let album = album.ok_or_else(missing)?;
        let wanted = wanted(&album, &path)?;
        let unknown = || Refused::of_original(StatusCode::BAD_REQUEST);
        let mut asking = Asking::of(head, &album.bucket, &path.key).ok_or_else(unknown)?;
        if let Some(wanted) = &wanted {
            asking.shown_as(&wanted.options);
        }
        let answered = match wanted {
            None => self.original(head, &asking).await,
            Some(wanted) => self.image(head, &album, &path.key, (asking, wanted)).await,
        };
        answered.map_err(|refused| of_misspelt(&path.key, refused))
    }

    /// The file as it is, if it is an image.
    async fn original(&self, head: &Parts, asking: &Asking) -> Result<Response<Body>, Refused> {
        let answer = self.inner.shelf.original(asking.whole(&head.method)).await?;
        let status = answer.status();
        if !status.is_success() && !matches!(status, StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE) {
            // As somebody sends a condition, so they read the answer.
            if status == StatusCode::PRECONDITION_FAILED {
                return Err(Refused::new(
                    status,
                    "PRECONDITION_FAILED",
                    "The file is not as the request has it.",
                ));
            }
            return Err(Refused::of_original(status));
        }
        if status.is_success() && !is_shown(answer.headers()) {
            let message = "The file is no image that is shown as it is.";
            return Err(Refused::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "image/not-an-image",
                message,
            ));
        }
        Ok(answer::original(answer, head, asking))
    }

    async fn image(
        &self,
        head: &Parts,
        album: &Album,
        key: &str,
        (asking, wanted): (Asking, Wanted),
    ) -> Result<Response<Body>, Refused> {
        let look = asking.look();
        let method = look.method().clone();
        let file = FileName {
            bucket: album.bucket.as_str().to_owned(),
            key: key.to_owned(),
        };
        let looked = Found::read(self.inner.shelf.original(look).await?, &method);
        let mut found = looked.inspect_err(|refused| {
            if refused.status == StatusCode::NOT_FOUND {
                self.inner.cache.lock().forget(&file);
            }
        })?;
        let accepted = accepted(&head.headers, album.auto_formats);
        let variant = Variant {
            file,
            state: std::mem::take(&mut found.state),
            order: order(&wanted.options, accepted),
        };
        let served = Served {
            variant: &variant,
            modified: found.modified.clone(),
            by_accept: wanted.options.filters.format == Format::Auto,
            is_open: !asking.names_caller(),
        };
        if let Some(unchanged) = served.unchanged(head) {
            return Ok(unchanged);
        }
        let counted = wanted.counted.then_some(album.unsigned_variants_per_hour);
        match self.derived(&variant, counted, (asking, found)).await {
            Ok(Derived::Image { encoding, bytes }) => Ok(served.answer(head, encoding, bytes)),
            Ok(Derived::Refused { refused, .. }) | Err(refused) => Err((*refused).clone()),
        }
    }

    /// What is kept, is being made, or is made now. `counted`: how many of a file's may be made like this.
    async fn derived(&self, variant: &Variant, counted: Option<u32>, source: (Asking, Found)) -> Outcome {
        let now = Instant::now();
        if let Some(derived) = self.inner.cache.lock().get(variant, now) {
            return Ok(derived);
        }
        let flight = self.flight(variant, counted, source, now)?;
        flight.await
    }

    /// The one making of a variant.
    fn flight(
        &self,
        variant: &Variant,
        counted: Option<u32>,
        source: (Asking, Found),
        now: Instant,
    ) -> Result<Flight, Arc<Refused>> {
        let mut flights = self.inner.flights.lock();
        if let Some(flight) = flights.get(variant) {
            return Ok(flight.clone());
        }
        if let Some(most) = counted {
            let (file, options) = (&variant.file, &variant.order.options);
            let let_in = self.inner.flood.lock().admit(file, options, most, now);
            let_in.map_err(|wait| Arc::new(too_many(most, wait)))?;
        }
        let of_one = flights
            .keys()
            .filter(|flying| flying.file.bucket == variant.file.bucket)
            .count();
        if of_one >= self.inner.flights_of_one_max {
            self.inner.pool.counts().busy.fetch_add(1, Ordering::Relaxed);
            return Err(Arc::new(Refused::busy()));
        }
        let landing = Landing {
            images: self.clone(),
            variant: variant.clone(),
        };
        let (tell, told) = oneshot::channel();
        let flight = told
            .map(|outcome| outcome.unwrap_or_else(|_| Err(Arc::new(Refused::internal()))))
            .boxed()
            .shared();
        flights.insert(variant.clone(), flight.clone());
        // A runtime that ends drops the task at once, and the end of a making looks in here.
        drop(flights);
        // It goes on when whoever asked first goes away: others may wait for it.
        tokio::spawn(async move {
            // Nobody may be left to tell.
            let _ = tell.send(landing.fly(source).await);
        });
        Ok(flight)
    }

    /// Makes an image: a worker first, then the source, so that no more sources are read than images made.
    async fn make(&self, order: &Order, (asking, found): (Asking, Found)) -> Result<Made, (Refused, Option<Duration>)> {
        let lasting = |error: &PoolError| match error {
            PoolError::NotMade(_) | PoolError::SourceTooLarge => Some(REFUSED_FOR),
            PoolError::TooSlow(_) | PoolError::Died => Some(FAILED_FOR),
            PoolError::Busy | PoolError::Source(_) | PoolError::NoWorker(_) => None,
        };
        let failed = |error: PoolError| (Refused::from(&error), lasting(&error));
        if found.size > SOURCE_BYTES_MAX {
            return Err(failed(PoolError::SourceTooLarge));
        }
        let turn = self.inner.pool.turn().await.map_err(failed)?;
        let once = |refused| (refused, None);
        let body = match found.body {
            Some(body) => body,
            None => {
                let answer = self
                    .inner
                    .shelf
                    .original(asking.fetch(&found.etag))
                    .await
                    .map_err(once)?;
                let again = Found::read(answer, &Method::GET).map_err(once)?;
                again.body.ok_or_else(|| once(Refused::internal()))?
            }
        };
        let made = self.inner.pool.make(turn, order, found.size, pieces(body)).await;
        made.map_err(|error| {
            if let PoolError::NoWorker(error) = &error {
                tracing::error!(%error, "no image worker can be started");
            }
            failed(error)
        })
    }
}

/// A making under way; it is over when this is dropped, whatever came of it.
struct Landing {
    images: Images,
    variant: Variant,
}

impl Landing {
    async fn fly(self, source: (Asking, Found)) -> Outcome {
        let made = self.images.make(&self.variant.order, source).await;
        let derived = match made {
            Ok(Made { encoding, bytes }) => Derived::Image { encoding, bytes },
            Err((refused, None)) => return Err(Arc::new(refused)),
            Err((refused, Some(lasting))) => Derived::Refused {
                refused: Arc::new(refused),
                until: Instant::now() + lasting,
            },
        };
        self.images
            .inner
            .cache
            .lock()
            .keep(self.variant.clone(), derived.clone());
        Ok(derived)
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.images.inner.flights.lock().remove(&self.variant);
    }
}

/// What is asked for, by a URL that may ask for it; `None`: the original.
/// Whoever gets no file because options were written wrongly, and so begin its key, is told that. It tells nobody whether there
/// is one: who may not know is told the same of every such key.
fn of_misspelt(key: &str, refused: Refused) -> Refused {
    let no_file = matches!(refused.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN);
    match misspelt(key).filter(|_| no_file && refused.code.starts_with("file/")) {
        None => refused,
        Some(folder) => Refused::new(
            StatusCode::BAD_REQUEST,
            "image/invalid-options",
            format!(
                "'{folder}' is no option of an image, or stands in the wrong place, and no file with such a key is open to this caller."
            ),
        ),
    }
}

fn wanted(album: &Album, path: &ImagePath<'_>) -> Result<Option<Wanted>, Refused> {
    let is_signed = match path.proof {
        Proof::None => false,
        Proof::Signed { signature, signed } if album.is_signed(signature, signed) => true,
        Proof::Signed { .. } => {
            let message = "The signature of the image's URL is not the one of this environment's key.";
            return Err(Refused::new(StatusCode::FORBIDDEN, "image/invalid-signature", message));
        }
    };
    match &path.wish {
        Wish::Original => Ok(None),
        Wish::Made(_) if album.signed_only && !is_signed => {
            let message = "Images of this environment are asked for by signed URLs or by presets.";
            Err(Refused::new(StatusCode::FORBIDDEN, "image/signature-required", message))
        }
        Wish::Made(options) => Ok(Some(Wanted {
            options: (**options).clone(),
            counted: !is_signed,
        })),
        Wish::Preset(name) => match album.presets.get(*name) {
            Some(options) => Ok(Some(Wanted {
                options: options.clone(),
                counted: false,
            })),
            None => Err(Refused::new(
                StatusCode::NOT_FOUND,
                "image/no-such-preset",
                "There is no preset of this name.",
            )),
        },
    }
}

/// What a worker is told.
fn order(options: &Options, accepted: AutoFormats) -> Order {
    let encoding = match options.filters.format {
        Format::Auto if accepted.webp => Some(Encoding::Webp),
        Format::Auto => None,
        Format::Jpeg => Some(Encoding::Jpeg),
        Format::Png => Some(Encoding::Png),
        Format::Webp => Some(Encoding::Webp),
        Format::Gif => Some(Encoding::Gif),
        Format::Avif => Some(Encoding::Avif),
    };
    Order {
        options: options.to_string(),
        encoding,
        avif_if_small: options.filters.format == Format::Auto && accepted.avif,
    }
}

fn too_many(most: u32, wait: Duration) -> Refused {
    let message =
        format!("More than {most} different images of this file were asked for in an hour without a signature.");
    Refused {
        retry_after: Some(wait),
        ..Refused::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED", message)
    }
}
