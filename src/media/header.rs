//! Width and height of an image, from its header. Nothing is decoded, and what is not within the bytes given is unknown.

use imagesize::ImageType;

/// Bytes that are enough for the headers of most images, with their embedded previews and profiles.
pub const HEADER_BYTES: usize = 64 * 1024;

/// Of an image, in pixels, as its header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    pub width: u32,
    pub height: u32,
}

/// What the header says. A header can lie: this is for showing, and for refusing early, never for trusting.
pub fn dimensions(bytes: &[u8]) -> Option<Dimensions> {
    let head = bytes.get(..HEADER_BYTES).unwrap_or(bytes);
    match imagesize::image_type(head).ok()? {
        ImageType::Bmp | ImageType::Gif | ImageType::Ico | ImageType::Jpeg | ImageType::Png | ImageType::Webp => {}
        ImageType::Heif(_) | ImageType::Tiff => {}
        _ => return None,
    }
    let found = imagesize::blob_size(head).ok()?;
    let of = |pixels: usize| u32::try_from(pixels).ok().filter(|pixels| *pixels > 0);
    Some(Dimensions {
        width: of(found.width)?,
        height: of(found.height)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Dimensions, dimensions};

    #[test]
    fn headers_say_how_large_an_image_is() {
        let told = |width, height| Some(Dimensions { width, height });
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06\0\0\0";
        assert_eq!(dimensions(png), told(640, 480));
        assert_eq!(dimensions(b"GIF89a\x0A\0\x14\0\0\0\0"), told(10, 20));
        let jpeg = b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xFF\xC0\0\x11\x08\0\x10\0\x20\x03\x01\x22\0\x02\x11\x01\x03\x11\x01";
        assert_eq!(dimensions(jpeg), told(32, 16));
        // What lies about itself is told as it lies.
        let huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x06\0\0\0";
        assert_eq!(dimensions(huge), told(0x7fff_ffff, 0x7fff_ffff));
        for other in [
            &b""[..],
            b"GIF89a",
            b"\x89PNG\r\n\x1a\n",
            b"<svg width='1' height='1'>",
            b"%PDF-1.7",
        ] {
            assert_eq!(dimensions(other), None, "{other:?}");
        }
    }
}
