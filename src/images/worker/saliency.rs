//! Where there is something to see: the part of an image with the most edges. It knows no faces and no words.
//!
//! Of a small copy in grey, every pixel counts with how much it differs from its neighbours; a slight preference for the
//! middle settles what is the same everywhere. Only one side is ever cut, so the search goes along one line.

use fast_image_resize::PixelType;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::DynamicImage;

use crate::images::options::Area;
use crate::images::plan::Placing;

/// The longest side of the copy that is looked at.
const SIDE: u32 = 192;
/// How much less a pixel at the very edge counts than one in the middle.
const EDGE_COUNTS_LESS: f64 = 0.25;

/// Where to place a part that keeps `kept` of the width and height of `area`; `None`: nothing is known.
pub(super) fn placing(image: &DynamicImage, area: Area, kept: (f64, f64)) -> Option<Placing> {
    let whole = (area.right - area.left, area.bottom - area.top);
    let (small, width, height) = small_copy(image, area, whole)?;
    let (columns, rows) = energy(&small, width, height);
    Some(Placing {
        across: best(&columns, kept.0 / f64::from(whole.0)),
        down: best(&rows, kept.1 / f64::from(whole.1)),
    })
}

/// The area in grey, small, as brightness by rows.
fn small_copy(image: &DynamicImage, area: Area, whole: (u32, u32)) -> Option<(Vec<f64>, usize, usize)> {
    let (kind, channels) = match image {
        DynamicImage::ImageRgb8(_) => (PixelType::U8x3, 3),
        DynamicImage::ImageRgba8(_) => (PixelType::U8x4, 4),
        // Decoding makes no other.
        _ => return None,
    };
    let scale = (f64::from(SIDE) / f64::from(whole.0.max(whole.1))).min(1.0);
    let side = |side: u32| (f64::from(side) * scale).round().max(1.0) as u32;
    let (width, height) = (side(whole.0), side(whole.1));
    let source = ImageRef::new(image.width(), image.height(), image.as_bytes(), kind).ok()?;
    let mut small = Image::new(width, height, kind);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Box))
        .crop(
            f64::from(area.left),
            f64::from(area.top),
            f64::from(whole.0),
            f64::from(whole.1),
        );
    Resizer::new().resize(&source, &mut small, &options).ok()?;
    let grey = small.buffer().chunks_exact(channels).map(|pixel| {
        let [red, green, blue, ..] = *pixel else { return 0.0 };
        let bright = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
        match pixel.get(3) {
            Some(alpha) => bright * f64::from(*alpha) / 255.0,
            None => bright,
        }
    });
    Some((
        grey.collect(),
        usize::try_from(width).ok()?,
        usize::try_from(height).ok()?,
    ))
}

/// How much there is to see in each column and in each row.
fn energy(grey: &[f64], width: usize, height: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut columns, mut rows) = (vec![0.0; width], vec![0.0; height]);
    let at = |x: usize, y: usize| grey.get(y * width + x).copied().unwrap_or(0.0);
    for (y, row) in rows.iter_mut().enumerate() {
        for (x, column) in columns.iter_mut().enumerate() {
            let across = at((x + 1).min(width - 1), y) - at(x.saturating_sub(1), y);
            let down = at(x, (y + 1).min(height - 1)) - at(x, y.saturating_sub(1));
            let here = across.hypot(down);
            *column += here;
            *row += here;
        }
    }
    (columns, rows)
}

/// Where a window that is `part` of the line long has the most in it: 0 is the start of the line, 1 its end.
fn best(line: &[f64], part: f64) -> f64 {
    let length = line.len();
    let window = ((length as f64 * part).round() as usize).clamp(1, length.max(1));
    let room = length.saturating_sub(window);
    if room == 0 {
        return 0.5;
    }
    let part_of = |place: usize, all: usize| place as f64 / all as f64;
    let mut best = (0.5, f64::NEG_INFINITY);
    for start in 0..=room {
        let place = part_of(start, room);
        let seen: f64 = line.iter().skip(start).take(window).sum();
        // Something to break a tie with, also where there is nothing to see at all.
        let central = 1.0 - EDGE_COUNTS_LESS * (place - 0.5).abs() * 2.0;
        let score = (seen + 1.0) * central;
        if score > best.1 {
            best = (place, score);
        }
    }
    best.0
}
