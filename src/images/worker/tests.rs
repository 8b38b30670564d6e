//! Images made here, and what becomes of them.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, GenericImageView, ImageEncoder, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use moxcms::ColorProfile;

use super::*;
use crate::images::limits::SOURCE_PIXELS_MAX;

/// Red, green, blue and white quarters.
fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| match (x < width / 2, y < height / 2) {
        (true, true) => Rgb([250, 0, 0]),
        (false, true) => Rgb([0, 250, 0]),
        (true, false) => Rgb([0, 0, 250]),
        (false, false) => Rgb([250, 250, 250]),
    })
}

fn file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn made_as(options: &str, encoding: Option<Encoding>, source: Vec<u8>) -> Result<(Encoding, Vec<u8>), NotMade> {
    let order = Order {
        options: options.to_owned(),
        encoding,
        avif_if_small: false,
    };
    make(&order, source, SOURCE_PIXELS_MAX).made
}

fn made(options: &str, source: Vec<u8>) -> DynamicImage {
    let (_, bytes) = made_as(options, Some(Encoding::Png), source).unwrap_or_else(|error| panic!("{options}: {error}"));
    image::load_from_memory(&bytes).unwrap()
}

/// What a pixel looks like: the quarter it is of.
fn colour(image: &DynamicImage, x: u32, y: u32) -> char {
    let [red, green, blue, _] = image.get_pixel(x, y).0;
    match (red > 128, green > 128, blue > 128) {
        (true, false, false) => 'r',
        (false, true, false) => 'g',
        (false, false, true) => 'b',
        (true, true, true) => 'w',
        _ => '?',
    }
}

fn corners(image: &DynamicImage) -> String {
    let (right, bottom) = (image.width() - 1, image.height() - 1);
    [(0, 0), (right, 0), (0, bottom), (right, bottom)]
        .map(|(x, y)| colour(image, x, y))
        .iter()
        .collect()
}

#[test]
fn options_do_what_they_say() {
    let png = || file(quarters(200, 100), ImageFormat::Png);
    for (options, size, expected) in [
        ("0x0", (200, 100), "rgbw"),
        ("100x0", (100, 50), "rgbw"),
        ("fit-in/50x50", (50, 25), "rgbw"),
        ("50x50/left", (50, 50), "rrbb"),
        ("50x50/right", (50, 50), "ggww"),
        ("200x50/top", (200, 50), "rgrg"),
        ("-100x0", (100, 50), "grwb"),
        ("100x-0", (100, 50), "bwrg"),
        ("100x0:200x50/0x0", (100, 50), "gggg"),
        ("filters:rotate(90)", (100, 200), "gwrb"),
        ("filters:rotate(180)", (200, 100), "wbgr"),
        ("filters:rotate(270)", (100, 200), "brwg"),
        ("50x50/filters:focal(0x0:10x10)", (50, 50), "rrbb"),
        ("fit-in/100x100/filters:fill(0000fa)", (100, 100), "bbbb"),
    ] {
        let image = made(options, png());
        assert_eq!(image.dimensions(), size, "{options}");
        assert_eq!(corners(&image), expected, "{options}");
    }
    let grey = made("filters:grayscale()", png());
    let [red, green, blue, _] = grey.get_pixel(0, 0).0;
    assert!(red == green && green == blue && red > 20, "{red} {green} {blue}");
}

#[test]
fn a_border_of_one_colour_is_trimmed() {
    let mut image = RgbImage::from_pixel(100, 80, Rgb([255, 255, 255]));
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        if (20..60).contains(&x) && (10..50).contains(&y) {
            *pixel = Rgb([10, 20, 200]);
        }
    }
    let image = file(image, ImageFormat::Png);
    assert_eq!(made("trim", image.clone()).dimensions(), (40, 40));
    assert_eq!(made("trim:bottom-right", image.clone()).dimensions(), (40, 40));
    // So tolerant that all is border: then nothing is taken.
    assert_eq!(made("trim:442", image).dimensions(), (100, 80));
}

#[test]
fn a_smart_crop_keeps_what_has_edges() {
    for busy_left in [true, false] {
        let image = RgbImage::from_fn(400, 100, |x, y| {
            let busy = if busy_left { x < 100 } else { x >= 300 };
            match busy && (x / 5 + y / 5) % 2 == 0 {
                true => Rgb([255, 0, 0]),
                false => Rgb([40, 40, 40]),
            }
        });
        let cut = made("100x100/smart", file(image, ImageFormat::Png));
        let red = cut.pixels().filter(|(_, _, pixel)| pixel.0[0] > 200).count();
        assert!(red > 4_000, "{busy_left}: {red} of 10,000 pixels are of the busy part");
    }
    // Where nothing is to be seen, the middle is as good as anything.
    let plain = RgbImage::from_pixel(400, 100, Rgb([200; 3]));
    assert_eq!(
        made("100x100/smart", file(plain, ImageFormat::Png)).dimensions(),
        (100, 100)
    );
}

/// A JPEG that says to be turned, and where it was taken.
fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut tiff = b"MM\0\x2a\0\0\0\x08\0\x02".to_vec();
    tiff.extend_from_slice(&[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    // The block of its place, with one field: north.
    tiff.extend_from_slice(&[0x88, 0x25, 0, 4, 0, 0, 0, 1, 0, 0, 0, 38, 0, 0, 0, 0]);
    tiff.extend_from_slice(&[0, 1, 0, 1, 0, 2, 0, 0, 0, 2, b'N', 0, 0, 0, 0, 0, 0, 0]);
    tiff.extend_from_slice(b"GPS-SECRET");
    let mut file = jpeg[..2].to_vec();
    file.extend_from_slice(&[0xff, 0xe1]);
    file.extend_from_slice(&u16::try_from(tiff.len() + 8).unwrap().to_be_bytes());
    file.extend_from_slice(b"Exif\0\0");
    file.extend_from_slice(&tiff);
    file.extend_from_slice(&jpeg[2..]);
    file
}

#[test]
fn an_image_is_turned_upright_and_tells_of_no_place() {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 95)
        .encode_image(&quarters(160, 80))
        .unwrap();
    for (orientation, expected) in [
        (1, "rgbw"),
        (2, "grwb"),
        (3, "wbgr"),
        (4, "bwrg"),
        (5, "rbgw"),
        (6, "brwg"),
        (7, "wgbr"),
        (8, "gwrb"),
    ] {
        let source = with_exif(&jpeg, orientation);
        assert!(source.windows(10).any(|window| window == b"GPS-SECRET"));
        assert_eq!(
            corners(&made("0x0", source.clone())),
            expected,
            "orientation {orientation}"
        );
        for encoding in Encoding::ALL {
            let (_, bytes) = made_as("80x0", Some(encoding), source.clone()).unwrap();
            for mark in [&b"Exif"[..], b"GPS", b"eXIf", b"ICC"] {
                assert!(!bytes.windows(mark.len()).any(|window| window == mark), "{encoding:?}");
            }
        }
    }
}

#[test]
fn colours_are_in_srgb_whatever_the_profile_of_the_source() {
    let image = RgbImage::from_pixel(40, 40, Rgb([200, 100, 50]));
    let with = |profile: Option<ColorProfile>| {
        let mut bytes = Vec::new();
        let mut encoder = PngEncoder::new(&mut bytes);
        if let Some(profile) = profile {
            encoder.set_icc_profile(profile.encode().unwrap()).unwrap();
        }
        encoder
            .write_image(image.as_raw(), 40, 40, image::ExtendedColorType::Rgb8)
            .unwrap();
        made("20x0", bytes).get_pixel(5, 5).0
    };
    assert_eq!(with(None), [200, 100, 50, 255]);
    let near = |one: [u8; 4], other: [u8; 4]| one.iter().zip(other).all(|(one, other)| one.abs_diff(other) <= 2);
    assert!(near(with(Some(ColorProfile::new_srgb())), [200, 100, 50, 255]));
    // Display P3 has a redder red, so the same numbers are more of it in sRGB.
    let wide = with(Some(ColorProfile::new_display_p3()));
    assert!(wide[0] > 205 && wide[1] < 100, "{wide:?}");
    // A profile that is none changes nothing.
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(b"nonsense".to_vec()).unwrap();
    encoder
        .write_image(image.as_raw(), 40, 40, image::ExtendedColorType::Rgb8)
        .unwrap();
    assert_eq!(made("20x0", bytes).get_pixel(5, 5).0, [200, 100, 50, 255]);
}

#[test]
fn every_kind_becomes_every_kind() {
    let alpha = RgbaImage::from_fn(64, 64, |x, _| Rgba([250, 0, 0, if x < 32 { 255 } else { 0 }]));
    for from in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        let source = match from {
            ImageFormat::Jpeg => file(quarters(64, 64), from),
            _ => file(alpha.clone(), from),
        };
        for to in Encoding::ALL {
            let (encoding, bytes) = made_as("32x0", Some(to), source.clone()).unwrap();
            assert_eq!(encoding, to);
            let format = image::guess_format(&bytes).unwrap();
            assert_eq!(format.to_mime_type(), to.media_type());
            if to == Encoding::Avif {
                // What is in it is a decoder's to say: tests/it has it judged by one.
                assert_eq!(size_of_avif(&bytes), (32, 32));
                continue;
            }
            let image = image::load_from_memory(&bytes).unwrap();
            assert_eq!(image.dimensions(), (32, 32));
            if from != ImageFormat::Jpeg {
                // What was transparent is so, or white where nothing can be.
                let [red, green, blue, alpha] = image.get_pixel(28, 16).0;
                let seen = if to == Encoding::Jpeg {
                    red > 240 && green > 240 && blue > 240
                } else {
                    alpha < 40
                };
                assert!(seen, "{from:?} to {to:?}: {red} {green} {blue} {alpha}");
            }
        }
    }
    let kind = |source: Vec<u8>| made_as("32x0", None, source).unwrap().0;
    assert_eq!(kind(file(quarters(64, 64), ImageFormat::Jpeg)), Encoding::Jpeg);
    assert_eq!(kind(file(quarters(64, 64), ImageFormat::WebP)), Encoding::Jpeg);
    assert_eq!(kind(file(alpha.clone(), ImageFormat::WebP)), Encoding::Png);
    assert_eq!(kind(file(alpha, ImageFormat::Gif)), Encoding::Gif);
}

#[test]
fn quality_and_a_limit_on_the_bytes_make_files_smaller() {
    let noisy = RgbImage::from_fn(256, 256, |x, y| {
        Rgb([(x * 7 + y * 13) as u8, (x * y) as u8, (x ^ y) as u8])
    });
    let source = file(noisy, ImageFormat::Png);
    let size = |options: &str, encoding| made_as(options, Some(encoding), source.clone()).unwrap().1.len();
    for encoding in [Encoding::Jpeg, Encoding::Webp, Encoding::Avif] {
        let whole = size("filters:quality(95)", encoding);
        assert!(size("filters:quality(30)", encoding) < whole / 2, "{encoding:?}");
        let most = whole / 2;
        assert!(
            size(&format!("filters:quality(95):max_bytes({most})"), encoding) <= most,
            "{encoding:?}"
        );
    }
}

/// The pixels of an AVIF by its header (the box `ispe`).
fn size_of_avif(bytes: &[u8]) -> (u32, u32) {
    let at = bytes.windows(4).position(|name| name == b"ispe").unwrap() + 8;
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(at), number(at + 4))
}

#[test]
fn an_avif_is_made_where_it_is_made_in_time() {
    let small = file(RgbImage::new(60, 40), ImageFormat::Png);
    let wide = |width: u32| file(RgbImage::new(width, 1), ImageFormat::Png);
    let ask = |options: &str, encoding: Option<Encoding>, avif_if_small: bool, source: Vec<u8>| {
        let order = Order {
            options: options.to_owned(),
            encoding,
            avif_if_small,
        };
        make(&order, source, SOURCE_PIXELS_MAX)
            .made
            .map(|(encoding, _)| encoding)
    };
    let webp = Some(Encoding::Webp);
    assert_eq!(ask("30x20", webp, true, small.clone()), Ok(Encoding::Avif));
    assert_eq!(ask("30x20", webp, false, small.clone()), Ok(Encoding::Webp));
    // One pixel more than is made by itself, and then what the client takes beside it.
    assert_eq!(ask("1001x500", webp, true, wide(1_001)), Ok(Encoding::Webp));
    assert_eq!(ask("1001x500", None, true, wide(1_001)), Ok(Encoding::Png));
    // As often as it may be written, so much smaller it has to be.
    let often = "500x334/filters:max_bytes(1)";
    assert_eq!(ask(often, webp, true, small.clone()), Ok(Encoding::Webp));
    // Also who asks for it by name gets none that takes too long, and is told so before it is begun.
    let avif = Some(Encoding::Avif);
    for options in ["2001x1000", "2000x251/filters:max_bytes(1)"] {
        let refused = Err(NotMade::TooManyPixelsForAvif);
        assert_eq!(ask(options, avif, false, small.clone()), refused, "{options}");
    }
}

#[test]
fn what_is_no_image_or_a_damaged_one_is_refused() {
    let png = file(quarters(64, 64), ImageFormat::Png);
    for source in [
        Vec::new(),
        b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec(),
        b"%PDF-1.7".to_vec(),
    ] {
        assert_eq!(made_as("32x0", None, source), Err(NotMade::NoImage));
    }
    // Kinds that the library would know by their first bytes.
    assert_eq!(
        made_as("32x0", None, b"BM00000000000000000000".to_vec()),
        Err(NotMade::NoImage)
    );
    assert_eq!(
        made_as("32x0", None, png[..png.len() / 2].to_vec()),
        Err(NotMade::Damaged)
    );
    assert_eq!(made_as("70x0:80x10", None, png.clone()), Err(NotMade::Outside));
    assert_eq!(made_as("nonsense", None, png.clone()), Err(NotMade::BadOrder));
    let order = Order {
        options: "32x0".to_owned(),
        encoding: None,
        avif_if_small: false,
    };
    let outcome = make(&order, png, 64 * 64 - 1);
    assert_eq!(outcome.made.unwrap_err(), NotMade::TooManyPixels);
    assert_eq!(outcome.source_pixels, 64 * 64);
}
