//! AVIF, written by rav1e without threads: the worker has one processor's time and a bounded address space.

use image::DynamicImage;
use ravif::{BitDepth, Encoder, Img, RGB8, RGBA8};

use crate::images::limits::AVIF_CAREFUL_PIXELS_MAX;
use crate::images::wire::NotMade;

/// 1 is best and slowest, 10 worst and fastest. 9 makes a fourth fewer bytes than 10 for half as much time more; 8 takes twice
/// as long as 9 and gains next to nothing.
const SPEED: u8 = 9;
/// For what has more pixels than are written with care.
const SPEED_OF_LARGE: u8 = 10;
/// The quality of other formats that is written as this one of the encoder: as near to the original as WebP's 80.
const QUALITY: (u8, u8) = (80, 65);

/// Writes an image, with its transparency if there is any. `work`: the pixels of all times that it may be written.
pub(super) fn written(image: &DynamicImage, quality: u8, work: u64) -> Result<Vec<u8>, NotMade> {
    let speed = match work <= u64::from(AVIF_CAREFUL_PIXELS_MAX) {
        true => SPEED,
        false => SPEED_OF_LARGE,
    };
    let quality = mapped(quality);
    let encoder = Encoder::new()
        .with_quality(quality)
        .with_alpha_quality(quality)
        .with_speed(speed)
        .with_bit_depth(BitDepth::Eight)
        .with_num_threads(Some(1));
    let side = |side: u32| usize::try_from(side).unwrap_or(usize::MAX);
    let (width, height) = (side(image.width()), side(image.height()));
    let made = match image {
        DynamicImage::ImageRgba8(image) => {
            let pixels = image.pixels().map(|pixel| {
                let [red, green, blue, alpha] = pixel.0;
                RGBA8::new(red, green, blue, alpha)
            });
            let pixels: Vec<RGBA8> = pixels.collect();
            encoder.encode_rgba(Img::new(&pixels, width, height))
        }
        DynamicImage::ImageRgb8(image) => {
            let pixels = image.pixels().map(|pixel| {
                let [red, green, blue] = pixel.0;
                RGB8::new(red, green, blue)
            });
            let pixels: Vec<RGB8> = pixels.collect();
            encoder.encode_rgb(Img::new(&pixels, width, height))
        }
        // Decoding and shaping leave no others.
        _ => return Err(NotMade::Damaged),
    };
    Ok(made.map_err(|_| NotMade::Damaged)?.avif_file)
}

/// The encoder's quality: along two lines that meet in [`QUALITY`], so that 100 is the best there is.
fn mapped(quality: u8) -> f32 {
    let (given, written) = (f32::from(QUALITY.0), f32::from(QUALITY.1));
    let quality = f32::from(quality.min(100));
    let mapped = match quality <= given {
        true => quality * written / given,
        false => 100.0 - (100.0 - quality) * (100.0 - written) / (100.0 - given),
    };
    mapped.clamp(1.0, 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_better_quality_is_a_better_one_of_the_encoder() {
        let all: Vec<f32> = (0..=u8::MAX).map(mapped).collect();
        assert!(all.is_sorted() && all.iter().all(|quality| (1.0..=100.0).contains(quality)));
        assert_eq!(
            [mapped(0), mapped(80), mapped(90), mapped(100)],
            [1.0, 65.0, 82.5, 100.0]
        );
    }
}
