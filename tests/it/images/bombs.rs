//! Files that are made to exhaust whoever decodes them: refused, each within its limits, while others are served. For each
//! limit the same file shows what happens without it.

use std::time::Duration;

use drystone::images::pool::{Pool, PoolConfig, PoolError};
use drystone::images::wire::NotMade;
use drystone::images::worker::WorkerLimits;
use image::{GrayAlphaImage, GrayImage, ImageFormat};

use super::pool::{config, file, made, patient, picture};

fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    (!crc).to_be_bytes()
}

fn png_chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let mut named = kind.to_vec();
    named.extend_from_slice(data);
    let mut chunk = u32::try_from(data.len()).unwrap().to_be_bytes().to_vec();
    chunk.extend_from_slice(&named);
    chunk.extend_from_slice(&crc(&named));
    chunk
}

/// A PNG that says to have this size, with hardly a row in it.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut header = width.to_be_bytes().to_vec();
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&[8, 6, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    file.extend(png_chunk(b"IHDR", &header));
    // Deflate, stored: four zero bytes.
    file.extend(png_chunk(
        b"IDAT",
        &[0x78, 0x01, 0x01, 4, 0, 0xfb, 0xff, 0, 0, 0, 0, 0, 4, 0, 1],
    ));
    file.extend(png_chunk(b"IEND", b""));
    file
}

fn gif(width: u16, height: u16) -> Vec<u8> {
    let mut file = b"GIF89a".to_vec();
    file.extend_from_slice(&width.to_le_bytes());
    file.extend_from_slice(&height.to_le_bytes());
    file.extend_from_slice(&[0x80, 0, 0, 0, 0, 0, 255, 255, 255]);
    // One frame that says to be as large, with one pixel in it.
    file.push(0x2c);
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&width.to_le_bytes());
    file.extend_from_slice(&height.to_le_bytes());
    file.extend_from_slice(&[0, 2, 2, 0x44, 0x01, 0, 0x3b]);
    file
}

/// A WebP whose canvas says to have this size, around one pixel.
fn webp(width: u32, height: u32) -> Vec<u8> {
    let pixel = file(GrayImage::new(1, 1), ImageFormat::WebP);
    let mut body = b"WEBPVP8X".to_vec();
    body.extend_from_slice(&10_u32.to_le_bytes());
    body.extend_from_slice(&[0, 0, 0, 0]);
    body.extend_from_slice(&(width - 1).to_le_bytes()[..3]);
    body.extend_from_slice(&(height - 1).to_le_bytes()[..3]);
    body.extend_from_slice(&pixel[12..]);
    let mut file = b"RIFF".to_vec();
    file.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
    file.extend(body);
    file
}

/// A JPEG of 8x8 pixels that says to have this size.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut file = file(GrayImage::new(8, 8), ImageFormat::Jpeg);
    let at = file.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    file[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
    file[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
    file
}

/// Files that lie about their size, beyond what is decoded.
pub(crate) fn liars() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("png", png(50_000, 50_000)),
        ("gif", gif(65_535, 65_535)),
        ("webp", webp(16_384, 16_384)),
        ("jpeg", jpeg(65_500, 65_500)),
    ]
}

#[tokio::test]
async fn a_file_that_says_to_be_larger_than_is_decoded_is_refused_by_its_header() {
    let pool = Pool::new(config(2));
    let good = picture(400, 300);
    for (name, bomb) in liars() {
        let (refused, served) = tokio::join!(made(&pool, "100x0", &bomb), made(&pool, "100x0", &good));
        assert!(
            matches!(refused, Err(PoolError::NotMade(NotMade::TooManyPixels))),
            "{name}: {refused:?}"
        );
        served.unwrap();
    }
    // It is the limit that does it: without it the header is believed.
    let unlimited = Pool::new(PoolConfig {
        limits: WorkerLimits {
            pixels: u64::MAX,
            ..patient()
        },
        ..config(1)
    });
    for (name, bomb) in liars() {
        let found = made(&unlimited, "100x0", &bomb).await;
        assert!(
            !matches!(found, Err(PoolError::NotMade(NotMade::TooManyPixels))),
            "{name}: {found:?}"
        );
        // Also then no worker is larger than its address space, and the next image is made.
        made(&unlimited, "100x0", &good).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_lies_within_the_limits_breaks_nothing() {
    let pool = Pool::new(config(1));
    let cases = [
        ("png", png(7_000, 7_000)),
        ("gif", gif(7_000, 7_000)),
        ("webp", webp(7_000, 7_000)),
        ("jpeg", jpeg(7_000, 7_000)),
    ];
    for (name, bomb) in cases {
        let found = made(&pool, "100x0", &bomb).await;
        // A JPEG may end early and is shown as far as it goes, as browsers do.
        let fine = matches!(found, Err(PoolError::NotMade(NotMade::Damaged))) || (name == "jpeg" && found.is_ok());
        assert!(fine, "{name}: {found:?}");
    }
    made(&pool, "100x0", &picture(400, 300)).await.unwrap();
}

#[tokio::test]
async fn a_worker_dies_of_too_much_memory_and_takes_nobody_with_it() {
    // Some kilobytes that are 48 megapixels.
    let bomb = file(GrayAlphaImage::new(8_000, 6_000), ImageFormat::Png);
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    let limited = |address_space_bytes| {
        Pool::new(PoolConfig {
            limits: WorkerLimits {
                address_space_bytes,
                ..patient()
            },
            ..config(1)
        })
    };
    made(&limited(WorkerLimits::default().address_space_bytes), "100x0", &bomb)
        .await
        .unwrap();
    let small = limited(256 << 20);
    let died = made(&small, "100x0", &bomb).await;
    assert!(
        matches!(died, Err(PoolError::Died | PoolError::NotMade(NotMade::Damaged))),
        "{died:?}"
    );
    made(&small, "100x0", &picture(400, 300)).await.unwrap();
}

#[tokio::test]
async fn a_worker_that_computes_for_too_long_is_ended_by_either_clock() {
    // The largest result, in the format that takes longest.
    let long = "4096x4096/filters:blur(150):format(gif)";
    let order = drystone::images::wire::Order {
        options: long.to_owned(),
        encoding: Some(drystone::images::wire::Encoding::Gif),
        avif_if_small: false,
    };
    let source = picture(400, 300);
    let run = async |config: PoolConfig| {
        let pool = Pool::new(config);
        let turn = pool.turn().await.unwrap();
        let chunk: Vec<Result<bytes::Bytes, drystone::http::body::BoxError>> = vec![Ok(source.clone().into())];
        pool.make(turn, &order, source.len() as u64, futures::stream::iter(chunk))
            .await
    };
    let by_wall = run(PoolConfig {
        wall: Duration::from_millis(300),
        ..config(1)
    });
    assert!(matches!(by_wall.await, Err(PoolError::TooSlow(_))));
    let limits = WorkerLimits {
        cpu_seconds: 0,
        ..patient()
    };
    let by_processor = run(PoolConfig { limits, ..config(1) }).await;
    assert!(matches!(by_processor, Err(PoolError::Died)), "{by_processor:?}");
}
