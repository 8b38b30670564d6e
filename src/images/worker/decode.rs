//! From the bytes of a file to upright pixels: its kind and its size first, then the rest.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::images::wire::{Encoding, NotMade};

/// Bytes that a decoder may use beside the image itself, as far as it counts them. The address space bounds the rest.
const DECODER_BYTES_MAX: u64 = 512 << 20;

/// A file whose header was read.
pub(super) struct Header {
    source: Vec<u8>,
    format: ImageFormat,
    encoding: Encoding,
    width: u32,
    height: u32,
}

/// The pixels of a file: 8 bits a channel, three or four channels, upright.
pub(super) struct Decoded {
    pub(super) image: DynamicImage,
    /// What the file is.
    pub(super) encoding: Encoding,
    /// The colour profile, if it has one.
    pub(super) profile: Option<Vec<u8>>,
}

impl Header {
    /// Reads what kind of image it is and how large it says to be.
    pub(super) fn read(source: Vec<u8>) -> Result<Self, NotMade> {
        let format = image::guess_format(&source).map_err(|_| NotMade::NoImage)?;
        let encoding = match format {
            ImageFormat::Jpeg => Encoding::Jpeg,
            ImageFormat::Png => Encoding::Png,
            ImageFormat::WebP => Encoding::Webp,
            ImageFormat::Gif => Encoding::Gif,
            // The library knows more kinds by their first bytes than are built in.
            _ => return Err(NotMade::NoImage),
        };
        let reader = ImageReader::with_format(Cursor::new(source.as_slice()), format);
        let (width, height) = reader.into_dimensions().map_err(|_| NotMade::Damaged)?;
        if width == 0 || height == 0 {
            return Err(NotMade::Damaged);
        }
        Ok(Self {
            source,
            format,
            encoding,
            width,
            height,
        })
    }

    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Decodes the first frame.
    pub(super) fn decode(self) -> Result<Decoded, NotMade> {
        let damaged = |_| NotMade::Damaged;
        let mut reader = ImageReader::with_format(Cursor::new(self.source.as_slice()), self.format);
        let mut limits = Limits::default();
        limits.max_alloc = Some(DECODER_BYTES_MAX);
        limits.max_image_width = Some(self.width);
        limits.max_image_height = Some(self.height);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(damaged)?;
        // What is said of the image beside its pixels may be damaged without its pixels being so.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let profile = decoder.icc_profile().ok().flatten();
        let image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
        drop(self.source);
        let mut image = if image.color().has_alpha() {
            DynamicImage::ImageRgba8(image.into_rgba8())
        } else {
            DynamicImage::ImageRgb8(image.into_rgb8())
        };
        image.apply_orientation(orientation);
        Ok(Decoded {
            image,
            encoding: self.encoding,
            profile,
        })
    }
}
