//! From pixels to the bytes of an image. Nothing goes in but pixels, so nothing of the source's EXIF, place or profile
//! comes out.

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageEncoder, RgbImage};

use super::avif;
use crate::images::limits::{AVIF_CAREFUL_PIXELS_MAX, AVIF_PIXELS_MAX, OUTPUT_BYTES_MAX};
use crate::images::options::{Colour, Filters};
use crate::images::wire::{Encoding, NotMade, Order};

/// What thumbor takes, and what bkend advises.
const QUALITY: u8 = 80;
/// How far the quality is lowered for a limit on the bytes, and by how much at a time.
const QUALITY_LEAST: u8 = 10;
const QUALITY_STEP: u8 = 10;
/// 1 is best and slowest, 30 worst and fastest.
const GIF_SPEED: i32 = 10;

/// Writes an image as what was asked for, or as what its source is.
pub(super) fn encode(
    image: &DynamicImage,
    order: &Order,
    source: Encoding,
    filters: &Filters,
) -> Result<(Encoding, Vec<u8>), NotMade> {
    let quality = filters.quality.unwrap_or(QUALITY);
    let lower = match filters.max_bytes {
        Some(_) => below(quality),
        None => Vec::new(),
    };
    let mut lower = lower.as_slice();
    let work = work(image, lower.len());
    let encoding = chosen(image, order, source, work)?;
    let most = filters.max_bytes.unwrap_or(OUTPUT_BYTES_MAX).min(OUTPUT_BYTES_MAX);
    let fits = |bytes: &[u8]| u32::try_from(bytes.len()).is_ok_and(|length| length <= most);
    let written = |quality| written(image, (encoding, work), quality, filters);
    let bytes = written(quality)?;
    let has_quality = matches!(encoding, Encoding::Jpeg | Encoding::Webp | Encoding::Avif);
    if !has_quality || fits(&bytes) {
        return Ok((encoding, bytes));
    }
    let (mut last, mut fitting) = (bytes, None);
    while !lower.is_empty() {
        // AVIF costs so much that it is written as seldom as may be.
        let next = if encoding == Encoding::Avif { lower.len() / 2 } else { 0 };
        let (above, rest) = lower.split_at(next);
        let Some((quality, below)) = rest.split_first() else {
            break;
        };
        let bytes = written(*quality)?;
        if fits(&bytes) {
            (lower, fitting) = (above, Some(bytes));
        } else {
            (lower, last) = (below, bytes);
        }
    }
    Ok((encoding, fitting.unwrap_or(last)))
}

/// The qualities that are tried where `quality` makes too many bytes, from the best on.
fn below(quality: u8) -> Vec<u8> {
    let next = |quality: &u8| {
        let lower = quality.saturating_sub(QUALITY_STEP).max(QUALITY_LEAST);
        (lower < *quality).then_some(lower)
    };
    std::iter::successors(Some(quality), next).skip(1).collect()
}

/// Pixels that are written as AVIF, all tries together, where these many lower qualities are looked through.
fn work(image: &DynamicImage, lower: usize) -> u64 {
    let tries = 1 + u64::from(usize::BITS - lower.leading_zeros());
    u64::from(image.width()) * u64::from(image.height()) * tries
}

/// What it is written as.
fn chosen(image: &DynamicImage, order: &Order, source: Encoding, work: u64) -> Result<Encoding, NotMade> {
    if order.avif_if_small && work <= u64::from(AVIF_CAREFUL_PIXELS_MAX) {
        return Ok(Encoding::Avif);
    }
    match (order.encoding, source) {
        (Some(Encoding::Avif), _) if work > u64::from(AVIF_PIXELS_MAX) => Err(NotMade::TooManyPixelsForAvif),
        (Some(asked), _) => Ok(asked),
        // Whoever cannot be sent WebP gets what comes nearest.
        (None, Encoding::Webp) if image.color().has_alpha() => Ok(Encoding::Png),
        (None, Encoding::Webp) => Ok(Encoding::Jpeg),
        (None, source) => Ok(source),
    }
}

fn written(
    image: &DynamicImage,
    (encoding, work): (Encoding, u64),
    quality: u8,
    filters: &Filters,
) -> Result<Vec<u8>, NotMade> {
    let failed = |_| NotMade::Damaged;
    let mut bytes = Vec::new();
    match encoding {
        Encoding::Jpeg => {
            let behind = filters.fill.and_then(|fill| fill.colour);
            let flat = flattened(image, behind);
            let image = flat.as_ref().or(image.as_rgb8()).ok_or(NotMade::Damaged)?;
            JpegEncoder::new_with_quality(&mut bytes, quality)
                .encode_image(image)
                .map_err(failed)?;
        }
        Encoding::Png => {
            let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
            let color = image.color().into();
            encoder
                .write_image(image.as_bytes(), image.width(), image.height(), color)
                .map_err(failed)?;
        }
        Encoding::Webp => {
            let (width, height) = (image.width(), image.height());
            let encoder = if image.color().has_alpha() {
                webp::Encoder::from_rgba(image.as_bytes(), width, height)
            } else {
                webp::Encoder::from_rgb(image.as_bytes(), width, height)
            };
            let memory = encoder
                .encode_simple(false, f32::from(quality))
                .map_err(|_| NotMade::Damaged)?;
            bytes.extend_from_slice(&memory);
        }
        Encoding::Avif => bytes = avif::written(image, quality, work)?,
        Encoding::Gif => {
            let color = image.color().into();
            let mut encoder = GifEncoder::new_with_speed(&mut bytes, GIF_SPEED);
            encoder
                .encode(image.as_bytes(), image.width(), image.height(), color)
                .map_err(failed)?;
        }
    }
    Ok(bytes)
}

/// An image with alpha on a background, white where none was given; `None`: it has no alpha.
fn flattened(image: &DynamicImage, behind: Option<Colour>) -> Option<RgbImage> {
    let image = image.as_rgba8()?;
    let behind = behind.unwrap_or(Colour {
        red: 255,
        green: 255,
        blue: 255,
    });
    let behind = [behind.red, behind.green, behind.blue];
    let mut flat = RgbImage::new(image.width(), image.height());
    for (to, from) in flat.pixels_mut().zip(image.pixels()) {
        let [red, green, blue, alpha] = from.0;
        let (alpha, rest) = (u16::from(alpha), 255 - u16::from(alpha));
        let mix = |over: u8, under: u8| {
            let mixed = (u16::from(over) * alpha + u16::from(under) * rest + 127) / 255;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        };
        let [r, g, b] = behind;
        to.0 = [mix(red, r), mix(green, g), mix(blue, b)];
    }
    Some(flat)
}
