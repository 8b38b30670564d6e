//! Does what a plan says: takes out, resizes, flips, turns, and puts on a background, in sRGB.

use fast_image_resize::PixelType;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, GenericImageView, Rgba, RgbaImage, imageops};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use super::decode::Decoded;
use super::saliency;
use crate::images::options::{Area, Blur, Colour, Corner, Fill, Options, Trim, Turn};
use crate::images::plan::{self, Plan, Taken};
use crate::images::wire::NotMade;

/// Makes of decoded pixels what the options say.
pub(super) fn shape(decoded: Decoded, options: &Options) -> Result<DynamicImage, NotMade> {
    let Decoded { image, profile, .. } = decoded;
    let mut whole = Area {
        left: 0,
        top: 0,
        right: image.width(),
        bottom: image.height(),
    };
    if let Some(trim) = options.trim {
        whole = trimmed(&image, trim);
    }
    let area = plan::within(whole, options).ok_or(NotMade::Outside)?;
    let placing = match options.filters.focal {
        Some(focal) => Some(plan::placing_of(focal, area, options)),
        None if options.smart => saliency::placing(&image, area, plan::kept(area, options)),
        None => None,
    };
    let plan = plan::plan(area, options, placing);
    let image = resized(image, &plan)?;
    let image = match profile {
        Some(profile) => in_srgb(image, &profile),
        None => image,
    };
    Ok(finished(image, options, plan.canvas))
}

/// What is left when a border of one colour is taken away; all of it where nothing would be left.
fn trimmed(image: &DynamicImage, trim: Trim) -> Area {
    let (width, height) = image.dimensions();
    let corner = match trim.corner {
        Corner::TopLeft => (0, 0),
        Corner::BottomRight => (width - 1, height - 1),
    };
    let border = image.get_pixel(corner.0, corner.1);
    let tolerance = u64::from(trim.tolerance).pow(2);
    let is_border = |pixel: Rgba<u8>| {
        let far: u64 = pixel
            .0
            .iter()
            .zip(border.0)
            .map(|(one, other)| u64::from(one.abs_diff(other)).pow(2))
            .sum();
        far <= tolerance
    };
    let mut left_over: Option<Area> = None;
    for (x, y, pixel) in image.pixels() {
        if is_border(pixel) {
            continue;
        }
        let area = left_over.get_or_insert(Area {
            left: x,
            top: y,
            right: x + 1,
            bottom: y + 1,
        });
        area.left = area.left.min(x);
        area.right = area.right.max(x + 1);
        area.bottom = y + 1;
    }
    left_over.unwrap_or(Area {
        left: 0,
        top: 0,
        right: width,
        bottom: height,
    })
}

fn resized(image: DynamicImage, plan: &Plan) -> Result<DynamicImage, NotMade> {
    let Plan {
        taken: Taken {
            left,
            top,
            width,
            height,
        },
        size,
        ..
    } = *plan;
    let whole = (f64::from(image.width()), f64::from(image.height()));
    if size == image.dimensions() && (left, top) == (0.0, 0.0) && (width, height) == whole {
        return Ok(image);
    }
    // Rounding may have put it a hair outside.
    let (left, top) = (left.clamp(0.0, whole.0), top.clamp(0.0, whole.1));
    let (width, height) = (width.min(whole.0 - left), height.min(whole.1 - top));
    let kind = if image.color().has_alpha() {
        PixelType::U8x4
    } else {
        PixelType::U8x3
    };
    let failed = || NotMade::Damaged;
    let source = ImageRef::new(image.width(), image.height(), image.as_bytes(), kind).map_err(|_| failed())?;
    let mut target = Image::new(size.0, size.1, kind);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(left, top, width, height);
    let mut resizer = Resizer::new();
    resizer.resize(&source, &mut target, &options).map_err(|_| failed())?;
    drop(image);
    rebuilt(kind, size, target.into_vec()).ok_or_else(failed)
}

fn rebuilt(kind: PixelType, (width, height): (u32, u32), bytes: Vec<u8>) -> Option<DynamicImage> {
    if kind == PixelType::U8x4 {
        image::RgbaImage::from_raw(width, height, bytes).map(DynamicImage::ImageRgba8)
    } else {
        image::RgbImage::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8)
    }
}

/// The same colours in sRGB, in which the result is written, without a profile. A profile that cannot be used is left away.
fn in_srgb(image: DynamicImage, profile: &[u8]) -> DynamicImage {
    let Ok(profile) = ColorProfile::new_from_slice(profile) else {
        return image;
    };
    if profile.color_space != DataColorSpace::Rgb {
        return image;
    }
    let (layout, kind) = if image.color().has_alpha() {
        (Layout::Rgba, PixelType::U8x4)
    } else {
        (Layout::Rgb, PixelType::U8x3)
    };
    let options = TransformOptions::default();
    let Ok(transform) = profile.create_transform_8bit(layout, &ColorProfile::new_srgb(), layout, options) else {
        return image;
    };
    let mut converted = vec![0; image.as_bytes().len()];
    match transform.transform(image.as_bytes(), &mut converted) {
        Ok(()) => rebuilt(kind, image.dimensions(), converted).unwrap_or(image),
        Err(_) => image,
    }
}

/// Flips, blur, grey, background, and the turn, in this order.
fn finished(mut image: DynamicImage, options: &Options, canvas: Option<(u32, u32)>) -> DynamicImage {
    let filters = &options.filters;
    if options.flip_horizontally {
        image = image.fliph();
    }
    if options.flip_vertically {
        image = image.flipv();
    }
    if let Some(Blur { radius, sigma }) = filters.blur {
        let sigma = sigma.map_or(f32::from(radius) / 2.0, f32::from);
        if radius > 0 && sigma > 0.0 {
            image = image.fast_blur(sigma);
        }
    }
    if filters.grayscale {
        let alpha = image.color().has_alpha();
        let grey = image.grayscale();
        image = if alpha {
            DynamicImage::ImageRgba8(grey.into_rgba8())
        } else {
            DynamicImage::ImageRgb8(grey.into_rgb8())
        };
    }
    if let Some(fill) = filters.fill {
        image = on_background(image, fill, canvas);
    }
    match filters.rotate {
        Turn::None => image,
        Turn::Quarter => image.rotate270(),
        Turn::Half => image.rotate180(),
        Turn::ThreeQuarters => image.rotate90(),
    }
}

fn on_background(image: DynamicImage, fill: Fill, canvas: Option<(u32, u32)>) -> DynamicImage {
    let size = image.dimensions();
    let canvas = canvas.unwrap_or(size);
    if canvas == size && !fill.transparent {
        return image;
    }
    let background = match fill.colour {
        Some(Colour { red, green, blue }) => Rgba([red, green, blue, 255]),
        None => Rgba([0, 0, 0, 0]),
    };
    let mut whole = RgbaImage::from_pixel(canvas.0, canvas.1, background);
    let (left, top) = (
        i64::from(canvas.0.saturating_sub(size.0) / 2),
        i64::from(canvas.1.saturating_sub(size.1) / 2),
    );
    let image = image.into_rgba8();
    if fill.transparent {
        imageops::overlay(&mut whole, &image, left, top);
    } else {
        imageops::replace(&mut whole, &image, left, top);
    }
    let opaque = whole.pixels().all(|pixel| pixel.0[3] == 255);
    let whole = DynamicImage::ImageRgba8(whole);
    if opaque {
        DynamicImage::ImageRgb8(whole.into_rgb8())
    } else {
        whole
    }
}
