//! Workers: what they make, and what becomes of one that is stuck, killed, or has served long enough.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use drystone::http::body::BoxError;
use drystone::images::pool::{Made, Pool, PoolConfig, PoolError};
use drystone::images::wire::{Encoding, Order};
use drystone::images::worker::WorkerLimits;
use futures::stream;
use image::{DynamicImage, ImageFormat, RgbImage};

/// As in the server, for workers that are not optimised.
pub(super) fn patient() -> WorkerLimits {
    WorkerLimits {
        cpu_seconds: 120,
        ..WorkerLimits::default()
    }
}

/// As in the server, with this many workers of the binary under test.
pub(super) fn config(workers: usize) -> PoolConfig {
    PoolConfig {
        program: PathBuf::from(env!("CARGO_BIN_EXE_drystone")),
        workers,
        waiting_max: 64,
        turn: Duration::from_secs(240),
        // The machine of the tests is busy with others, and its workers are not optimised.
        wall: Duration::from_secs(240),
        limits: patient(),
        ..PoolConfig::of_this_program()
    }
}

pub(super) fn order(options: &str) -> Order {
    Order {
        options: options.to_owned(),
        encoding: None,
        avif_if_small: false,
    }
}

pub(super) fn file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub(crate) fn picture(width: u32, height: u32) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([(x % 251) as u8, (y % 241) as u8, 90]));
    file(image, ImageFormat::Jpeg)
}

pub(super) async fn made(pool: &Pool, options: &str, source: &[u8]) -> Result<Made, PoolError> {
    let turn = pool.turn().await?;
    let chunks: Vec<Result<Bytes, BoxError>> = source
        .chunks(50_000)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    pool.make(turn, &order(options), source.len() as u64, stream::iter(chunks))
        .await
}

fn count(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[tokio::test]
async fn one_worker_makes_one_image_after_another_until_it_is_replaced() {
    let pool = Pool::new(PoolConfig {
        images_per_worker: 3,
        ..config(1)
    });
    let source = picture(300, 200);
    for _ in 0..7 {
        let image = made(&pool, "100x0", &source).await.unwrap();
        assert_eq!(image.encoding, Encoding::Jpeg);
        let read = image::load_from_memory(&image.bytes).unwrap();
        assert_eq!((read.width(), read.height()), (100, 67));
    }
    assert_eq!((count(&pool.counts().started), count(&pool.counts().lost)), (3, 0));
    // What a worker refuses costs it nothing.
    assert!(matches!(
        made(&pool, "100x0", b"no image").await,
        Err(PoolError::NotMade(_))
    ));
    made(&pool, "100x0", &source).await.unwrap();
    assert_eq!(count(&pool.counts().lost), 0);
}

#[tokio::test]
async fn a_worker_that_was_killed_is_replaced() {
    let pool = Pool::new(config(1));
    let source = picture(300, 200);
    made(&pool, "100x0", &source).await.unwrap();
    let [id] = pool.idle_workers()[..] else {
        panic!("one worker is idle")
    };
    let pid = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    // Whether or not its end was noticed before, one of two tries meets a new one.
    let first = made(&pool, "100x0", &source).await;
    assert!(matches!(first, Ok(_) | Err(PoolError::Died)), "{first:?}");
    made(&pool, "100x0", &source).await.unwrap();
    assert_eq!(count(&pool.counts().started), 2);
}

#[tokio::test]
async fn a_source_that_does_not_come_is_not_waited_for_and_the_next_image_is_made() {
    let pool = Pool::new(PoolConfig {
        wall: Duration::from_secs(5),
        ..config(1)
    });
    let turn = pool.turn().await.unwrap();
    let never = stream::pending::<Result<Bytes, BoxError>>();
    let stuck = pool.make(turn, &order("100x0"), 1_000, never).await;
    assert!(matches!(stuck, Err(PoolError::TooSlow(_))), "{stuck:?}");
    for announced in [10_u64, 1_000_000] {
        let turn = pool.turn().await.unwrap();
        let source: Vec<Result<Bytes, BoxError>> = vec![Ok(Bytes::from(vec![7; 1_000]))];
        let other = pool.make(turn, &order("100x0"), announced, stream::iter(source)).await;
        assert!(matches!(other, Err(PoolError::Source(_))), "{other:?}");
    }
    assert_eq!(count(&pool.counts().lost), 3);
    let patient = Pool::new(config(1));
    made(&patient, "100x0", &picture(300, 200)).await.unwrap();
}

#[tokio::test]
async fn who_waits_too_long_or_behind_too_many_is_told_to_come_again() {
    let pool = Pool::new(PoolConfig {
        waiting_max: 1,
        turn: Duration::from_millis(50),
        ..config(1)
    });
    let first = pool.turn().await.unwrap();
    let (second, third) = tokio::join!(pool.turn(), pool.turn());
    assert!(matches!(second, Err(PoolError::Busy)) && matches!(third, Err(PoolError::Busy)));
    assert_eq!(count(&pool.counts().busy), 2);
    drop(first);
    pool.turn().await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_no_worker_is_no_worker() {
    for program in ["/bin/false", "/nonexistent/drystone"] {
        let pool = Pool::new(PoolConfig {
            program: PathBuf::from(program),
            ..config(1)
        });
        let failed = made(&pool, "100x0", &picture(30, 20)).await;
        assert!(
            matches!(failed, Err(PoolError::Died | PoolError::NoWorker(_))),
            "{failed:?}"
        );
    }
}
