//! What images cost: thumbnails a second that are made and that are kept ready, and the memory of a worker.
//!
//! `cargo build --release && cargo run --release --example images -- target/release/drystone`

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use drystone::auth::Identity;
use drystone::http::body::Body;
use drystone::images::album::Album;
use drystone::images::pool::{Pool, PoolConfig};
use drystone::images::refused::Refused;
use drystone::images::service::{Finding, Images, ImagesConfig, Shelf};
use drystone::images::wire::{Encoding, Order};
use drystone::s3::{S3Config, S3Service, service};
use futures::StreamExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use image::{DynamicImage, ImageFormat, RgbImage};
use storage_engine::memory::MemoryBackend;
use storage_engine::store::clock::SystemClock;
use storage_engine::store::name::BucketName;
use storage_engine::store::{Epoch, Store};

const PHOTOS: usize = 16;
const THUMBNAILS: usize = 200;
const CACHED: usize = 20_000;
/// Requests under way at once.
const CLIENTS: usize = 8;

struct OneBucket(S3Service);

impl Shelf for OneBucket {
    fn album(&self, _: &str, _: &str, _: bool) -> Finding {
        let mut album = Album::new(BucketName::parse("shop-prod").unwrap());
        album.unsigned_variants_per_hour = u32::MAX;
        Box::pin(async move { Ok(Some(album)) })
    }

    fn original(&self, request: Request<Empty<Bytes>>) -> BoxFuture<'static, Result<Response<Body>, Refused>> {
        let s3 = self.0.clone();
        Box::pin(async move { Ok(s3.handle(request).await) })
    }
}

/// Something between a photograph and noise: 12 megapixels.
fn photo(width: u32, height: u32, seed: usize) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, y| {
        let (fx, fy) = (f64::from(x) / 97.0, f64::from(y) / 61.0 + seed as f64);
        let grain = f64::from((x * 7919 + y * 104_729) % 17);
        let wave = |phase: f64| (120.0 + 90.0 * (fx + phase).sin() * (fy - phase).cos() + grain) as u8;
        image::Rgb([wave(0.0), wave(1.0), wave(2.0)])
    });
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(image)
        .write_to(&mut bytes, ImageFormat::Jpeg)
        .unwrap();
    bytes.into_inner()
}

async fn send(s3: &S3Service, path: &str, bytes: Bytes) {
    let request = Request::put(path)
        .header("host", "localhost")
        .header("content-length", bytes.len())
        .header("content-type", "image/jpeg");
    let request = match path.matches('/').count() {
        1 => request,
        _ => request.header("x-amz-acl", "public-read"),
    };
    let mut request = request.body(Full::new(bytes)).unwrap();
    request.extensions_mut().insert(Identity::Root);
    assert!(s3.handle(request).await.status().is_success());
}

async fn get(images: &Images, path: String) -> usize {
    let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed();
    let request = Request::get(path)
        .header("host", "localhost")
        .header("accept", "image/webp")
        .body(body)
        .unwrap();
    let response = images.handle(request).await;
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap().to_bytes().len()
}

async fn rate(images: &Images, count: usize, path: impl Fn(usize) -> String) -> f64 {
    let started = Instant::now();
    let all = futures::stream::iter((0..count).map(|number| get(images, path(number))));
    all.buffer_unordered(CLIENTS).for_each(|_| async {}).await;
    count as f64 / started.elapsed().as_secs_f64()
}

fn peak_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// The most memory that one worker has had, after it made this one image.
async fn worker_peak(program: &Path, source: Vec<u8>) -> f64 {
    let pool = Pool::new(PoolConfig {
        program: program.to_owned(),
        workers: 1,
        ..PoolConfig::of_this_program()
    });
    let order = Order {
        options: "400x300".to_owned(),
        encoding: Some(Encoding::Webp),
        avif_if_small: false,
    };
    let (turn, length) = (pool.turn().await.unwrap(), source.len() as u64);
    let source = futures::stream::iter([Ok(Bytes::from(source))]);
    pool.make(turn, &order, length, source).await.unwrap();
    match pool.idle_workers().first() {
        Some(pid) => peak_mib(*pid),
        None => f64::NAN,
    }
}

#[tokio::main]
async fn main() {
    let program = PathBuf::from(std::env::args().nth(1).unwrap_or("target/release/drystone".to_owned()));
    let store = Store::new(Arc::new(MemoryBackend::new()), Arc::new(SystemClock), Epoch([7; 16]));
    let config = S3Config {
        domains: Vec::new(),
        region: None,
        host_id: "host".to_owned(),
        events: Default::default(),
    };
    let s3 = service(store, Arc::new(BTreeMap::new()), config);
    send(&s3, "/shop-prod", Bytes::new()).await;
    let mut bytes = 0;
    for number in 0..PHOTOS {
        let photo = photo(4_000, 3_000, number);
        bytes += photo.len();
        send(&s3, &format!("/shop-prod/{number}.jpg"), photo.into()).await;
    }
    println!(
        "sources: {PHOTOS} JPEG of 12 MP, {:.1} MB each",
        bytes as f64 / PHOTOS as f64 / 1e6
    );
    let pool = PoolConfig {
        program: program.clone(),
        ..PoolConfig::of_this_program()
    };
    let workers = pool.workers;
    let images = Images::new(
        Arc::new(OneBucket(s3)),
        ImagesConfig {
            pool,
            cache_bytes: 256 << 20,
        },
    );
    let path = |number: usize| {
        format!(
            "/v1/img/shop/prod/{}x300/{}.jpg",
            100 + number / PHOTOS,
            number % PHOTOS
        )
    };
    let cold = rate(&images, THUMBNAILS, path).await;
    println!("made, {workers} workers: {cold:.1} thumbnails/s of 12 MP JPEG to WebP");
    let cached = rate(&images, CACHED, |number| path(number % THUMBNAILS)).await;
    println!("kept ready: {cached:.0} thumbnails/s");
    println!("{:?}", images.figures());
    println!(
        "peak of a worker, 12 MP: {:.0} MiB",
        worker_peak(&program, photo(4_000, 3_000, 0)).await
    );
    println!(
        "peak of a worker, 15.9 MP: {:.0} MiB",
        worker_peak(&program, photo(4_600, 3_450, 0)).await
    );
}
