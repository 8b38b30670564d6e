//! What the server and a worker say to each other: an order with its source, and the image or why there is none.
//!
//! Every length is bounded before anything is read for it, on both sides: a worker that a hostile image has taken over can
//! tell its server nothing but bytes of an image or one of a few refusals. Pure but for reading and writing.

use std::io::{self, Read, Write};

use super::limits::{AVIF_PIXELS_MAX, OUTPUT_BYTES_MAX, PATH_BYTES_MAX, SOURCE_BYTES_MAX};

/// Bytes of the head of an order: the format, the length of the options, and that of the source.
pub const ORDER_HEAD_BYTES: usize = 9;
/// Bytes of the head of an answer: its kind, the pixels of the source, and the length of the image.
pub const ANSWER_HEAD_BYTES: usize = 9;

/// In the first byte of an order, beside the format.
const AVIF_IF_SMALL: u8 = 0x80;

/// What an image can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    Jpeg,
    Png,
    Webp,
    Gif,
    Avif,
}

impl Encoding {
    pub const ALL: [Self; 5] = [Self::Jpeg, Self::Png, Self::Webp, Self::Gif, Self::Avif];

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Avif => "image/avif",
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Jpeg => 1,
            Self::Png => 2,
            Self::Webp => 3,
            Self::Gif => 4,
            Self::Avif => 5,
        }
    }

    fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.byte() == byte)
    }
}

/// Why a worker made no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotMade {
    #[error("the file is no JPEG, PNG, GIF or WebP image")]
    NoImage,
    #[error("the file is damaged, or is not what it looks like")]
    Damaged,
    #[error("the image has more pixels than are decoded")]
    TooManyPixels,
    #[error("the result would have more bytes than are sent")]
    TooLarge,
    #[error(
        "an AVIF of so many pixels takes longer than one image may: it has {AVIF_PIXELS_MAX} at most, and with max_bytes a \
         fourth or fifth of that"
    )]
    TooManyPixelsForAvif,
    #[error("what is to be taken out lies outside of the image")]
    Outside,
    #[error("the order of the server was not understood")]
    BadOrder,
}

impl NotMade {
    pub const ALL: [Self; 7] = [
        Self::NoImage,
        Self::Damaged,
        Self::TooManyPixels,
        Self::TooLarge,
        Self::TooManyPixelsForAvif,
        Self::Outside,
        Self::BadOrder,
    ];

    fn byte(self) -> u8 {
        match self {
            Self::NoImage => 1,
            Self::Damaged => 2,
            Self::TooManyPixels => 3,
            Self::TooLarge => 4,
            Self::Outside => 5,
            Self::BadOrder => 6,
            Self::TooManyPixelsForAvif => 7,
        }
    }

    fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.byte() == byte)
    }
}

/// An image to be made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// Their canonical text.
    pub options: String,
    /// `None`: what fits the source.
    pub encoding: Option<Encoding>,
    /// AVIF in the place of that, if the image is small enough for it.
    pub avif_if_small: bool,
}

/// The beginning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// As what the image of this many bytes comes, which follows.
    pub made: Result<(Encoding, u32), NotMade>,
    /// Pixels that the source has.
    pub source_pixels: u32,
}

/// Something of the other side that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what came is not in the form it must have")]
pub struct Malformed;

impl Order {
    /// All of an order but the source itself, which has `source_bytes`.
    pub fn head(&self, source_bytes: u32) -> Vec<u8> {
        let options = self.options.as_bytes();
        let length = u32::try_from(options.len()).unwrap_or(u32::MAX);
        let mut head = Vec::with_capacity(ORDER_HEAD_BYTES + options.len());
        let avif = if self.avif_if_small { AVIF_IF_SMALL } else { 0 };
        head.push(self.encoding.map_or(0, Encoding::byte) | avif);
        head.extend_from_slice(&length.to_le_bytes());
        head.extend_from_slice(&source_bytes.to_le_bytes());
        head.extend_from_slice(options);
        head
    }

    /// Reads an order and its source. `None`: nothing more comes.
    pub fn read(input: &mut impl Read) -> io::Result<Option<(Self, Vec<u8>)>> {
        let mut head = [0; ORDER_HEAD_BYTES];
        match input.read(&mut head[..1])? {
            0 => return Ok(None),
            _ => input.read_exact(&mut head[1..])?,
        }
        let [encoding, a, b, c, d, e, f, g, h] = head;
        let options_bytes = u64::from(u32::from_le_bytes([a, b, c, d]));
        let source_bytes = u64::from(u32::from_le_bytes([e, f, g, h]));
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, Malformed);
        let avif_if_small = encoding & AVIF_IF_SMALL != 0;
        let encoding = match encoding & !AVIF_IF_SMALL {
            0 => None,
            byte => Some(Encoding::of_byte(byte).ok_or_else(malformed)?),
        };
        let longest = u64::try_from(PATH_BYTES_MAX).unwrap_or(u64::MAX);
        if options_bytes > longest || source_bytes > SOURCE_BYTES_MAX {
            return Err(malformed());
        }
        let options = String::from_utf8(exactly(input, options_bytes)?).map_err(|_| malformed())?;
        let source = exactly(input, source_bytes)?;
        let order = Self {
            options,
            encoding,
            avif_if_small,
        };
        Ok(Some((order, source)))
    }
}

fn exactly(input: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    input.take(length).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).ok() != Some(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

impl AnswerHead {
    pub fn to_bytes(self) -> [u8; ANSWER_HEAD_BYTES] {
        let (kind, length) = match self.made {
            Ok((encoding, length)) => (encoding.byte(), length),
            Err(refusal) => (refusal.byte() | 0x80, 0),
        };
        let ([a, b, c, d], [e, f, g, h]) = (self.source_pixels.to_le_bytes(), length.to_le_bytes());
        [kind, a, b, c, d, e, f, g, h]
    }

    /// Reads one that a worker sent; an image longer than any may be is malformed.
    pub fn parse([kind, a, b, c, d, e, f, g, h]: [u8; ANSWER_HEAD_BYTES]) -> Result<Self, Malformed> {
        let source_pixels = u32::from_le_bytes([a, b, c, d]);
        let length = u32::from_le_bytes([e, f, g, h]);
        let made = if kind & 0x80 == 0 {
            Ok((Encoding::of_byte(kind).ok_or(Malformed)?, length))
        } else {
            Err(NotMade::of_byte(kind & 0x7f).ok_or(Malformed)?)
        };
        let fits = match made {
            Ok(_) => (1..=OUTPUT_BYTES_MAX).contains(&length),
            Err(_) => length == 0,
        };
        fits.then_some(Self { made, source_pixels }).ok_or(Malformed)
    }
}

/// Sends an answer of a worker.
pub fn send(output: &mut impl Write, head: AnswerHead, image: &[u8]) -> io::Result<()> {
    output.write_all(&head.to_bytes())?;
    output.write_all(image)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_order_comes_as_it_was_sent() {
        let order = Order {
            options: "fit-in/400x300".to_owned(),
            encoding: Some(Encoding::Webp),
            avif_if_small: true,
        };
        let mut sent = order.head(3);
        sent.extend_from_slice(b"abc");
        let mut input = sent.as_slice();
        assert_eq!(Order::read(&mut input).unwrap(), Some((order, b"abc".to_vec())));
        assert_eq!(Order::read(&mut input).unwrap(), None);
        for cut in 1..sent.len() {
            assert!(Order::read(&mut &sent[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn nothing_is_read_for_a_length_beyond_the_bounds() {
        let mut endless = io::repeat(0xff);
        assert!(Order::read(&mut endless).is_err());
        let order = Order {
            options: String::new(),
            encoding: None,
            avif_if_small: false,
        };
        let head = order.head(u32::try_from(SOURCE_BYTES_MAX).unwrap() + 1);
        assert!(Order::read(&mut head.as_slice().chain(io::repeat(0))).is_err());
        let of_image = |length: u32| {
            let [a, b, c, d] = length.to_le_bytes();
            AnswerHead::parse([1, 0, 0, 0, 0, a, b, c, d])
        };
        assert!(of_image(OUTPUT_BYTES_MAX).is_ok());
        assert_eq!(of_image(OUTPUT_BYTES_MAX + 1), Err(Malformed));
        assert_eq!(of_image(0), Err(Malformed));
    }

    #[test]
    fn every_answer_comes_as_it_was_sent() {
        let refusals = NotMade::ALL.map(Err);
        let images = Encoding::ALL.map(|encoding| Ok((encoding, 7)));
        for made in refusals.into_iter().chain(images) {
            let head = AnswerHead {
                made,
                source_pixels: 12,
            };
            assert_eq!(AnswerHead::parse(head.to_bytes()), Ok(head));
        }
    }

    proptest! {
        #[test]
        fn what_is_understood_of_a_worker_is_what_it_would_send(bytes in any::<[u8; ANSWER_HEAD_BYTES]>()) {
            if let Ok(head) = AnswerHead::parse(bytes) {
                prop_assert_eq!(head.to_bytes(), bytes);
            }
        }
    }
}
