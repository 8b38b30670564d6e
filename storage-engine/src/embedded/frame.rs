//! The frame, the unit of checksum of every shard file, and the header every shard file begins with. Pure: it turns
//! places and payloads into bytes and back, it never does I/O. The bytes are in `docs/on-disk-format.md`.

use minicbor::{Decode, Encode};

use super::erasure::Geometry;
use super::id::{SegmentId, StoreId};
use super::record::{from_cbor, to_cbor};
use super::segment::SegmentKind;
#[cfg(test)]
use crate::planted;

/// Bytes of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 48;
/// Where the data area of a shard file begins; its header frame is zero-padded to here.
pub const SHARD_HEADER_BYTES: u64 = 4096;
/// Log records begin at multiples of this.
pub const RECORD_ALIGN: u64 = 4096;
/// The version in every frame header and shard-file header.
pub const FORMAT_VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"DSFR";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// The header of a shard file, at offset 0.
    ShardHeader,
    /// Metadata of a log record: the same payload in every shard file.
    Record,
    /// One shard of a stripe.
    Stripe,
}

impl FrameKind {
    fn code(self) -> u8 {
        match self {
            Self::ShardHeader => 1,
            Self::Record => 2,
            Self::Stripe => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::ShardHeader),
            2 => Some(Self::Record),
            3 => Some(Self::Stripe),
            _ => None,
        }
    }
}

/// Where a frame stands. A frame read anywhere else does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePlace {
    pub segment: SegmentId,
    pub shard: u8,
    /// Offset of the frame's header in the shard file.
    pub offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    pub kind: FrameKind,
    pub payload_len: u32,
    pub payload_crc: u32,
    /// Data bytes of the whole stripe; 0 unless the kind is [`FrameKind::Stripe`].
    pub data_len: u32,
}

/// Why a frame does not verify. All but `UnknownVersion` and `UnknownKind` are damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the frame ends before its {0} bytes")]
    Short(usize),
    #[error("no frame begins here")]
    NoMagic,
    #[error("the header's checksum does not hold")]
    HeaderChecksum,
    #[error("the payload's checksum does not hold")]
    PayloadChecksum,
    /// The frame is whole but was written for another segment, shard or offset.
    #[error("the frame belongs to another place")]
    WrongPlace,
    /// The frame is whole but carries another length or kind than what names it says.
    #[error("the frame is not the one that was asked for")]
    WrongContent,
    /// Written by a newer program: to be refused, never healed.
    #[error("frame version {0} is unknown")]
    UnknownVersion(u8),
    /// Written by a newer program: to be refused, never healed.
    #[error("frame kind {0} is unknown")]
    UnknownKind(u8),
}

impl FrameError {
    /// Whether a newer program wrote the frame: it is then neither data nor damage.
    pub fn is_newer_format(&self) -> bool {
        matches!(self, Self::UnknownVersion(_) | Self::UnknownKind(_))
    }
}

/// CRC-32 of a payload, as the header carries it.
pub fn payload_crc(payload: &[u8]) -> u32 {
    crc32fast::hash(payload)
}

/// The header of a frame with this payload at this place.
pub fn encode_header(
    kind: FrameKind,
    place: &FramePlace,
    payload_len: u32,
    payload_crc: u32,
    data_len: u32,
) -> [u8; FRAME_HEADER_BYTES] {
    let mut unsealed = Vec::with_capacity(FRAME_HEADER_BYTES);
    unsealed.extend_from_slice(&MAGIC);
    unsealed.extend_from_slice(&[FORMAT_VERSION, kind.code(), place.shard, 0]);
    unsealed.extend_from_slice(&payload_len.to_le_bytes());
    unsealed.extend_from_slice(&payload_crc.to_le_bytes());
    unsealed.extend_from_slice(place.segment.as_bytes());
    unsealed.extend_from_slice(&place.offset.to_le_bytes());
    unsealed.extend_from_slice(&data_len.to_le_bytes());
    let crc = crc32fast::hash(&unsealed);
    unsealed.extend_from_slice(&crc.to_le_bytes());
    let mut header = [0; FRAME_HEADER_BYTES];
    header.copy_from_slice(&unsealed);
    header
}

/// Takes fields off the front of a header.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (field, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(FrameError::Short(FRAME_HEADER_BYTES))?;
        self.0 = rest;
        Ok(*field)
    }
}

/// Reads the header of the frame that should stand at `expected`; `bytes` may go on behind it.
pub fn parse_header(expected: &FramePlace, bytes: &[u8]) -> Result<FrameHeader, FrameError> {
    let mut fields = Fields(bytes);
    if fields.take::<4>()? != MAGIC {
        return Err(FrameError::NoMagic);
    }
    let [version, kind, shard, reserved] = fields.take()?;
    let payload_len = u32::from_le_bytes(fields.take()?);
    let payload_crc = u32::from_le_bytes(fields.take()?);
    let segment = SegmentId::from_bytes(fields.take()?);
    let offset = u64::from_le_bytes(fields.take()?);
    let data_len = u32::from_le_bytes(fields.take()?);
    let header_crc = u32::from_le_bytes(fields.take()?);
    let sealed = bytes
        .get(..FRAME_HEADER_BYTES - 4)
        .ok_or(FrameError::Short(FRAME_HEADER_BYTES))?;
    if crc32fast::hash(sealed) != header_crc {
        return Err(FrameError::HeaderChecksum);
    }
    if version != FORMAT_VERSION || reserved != 0 {
        return Err(FrameError::UnknownVersion(version));
    }
    let place = FramePlace { segment, shard, offset };
    #[cfg(test)]
    let expected = &match planted::is(planted::Bug::ShardNotBound) {
        true => FramePlace { shard, ..*expected },
        false => *expected,
    };
    if place != *expected {
        return Err(FrameError::WrongPlace);
    }
    Ok(FrameHeader {
        kind: FrameKind::from_code(kind).ok_or(FrameError::UnknownKind(kind))?,
        payload_len,
        payload_crc,
        data_len,
    })
}

/// Verifies the whole frame at `expected` and returns its payload; `bytes` may go on behind it.
pub fn verify<'b>(expected: &FramePlace, bytes: &'b [u8]) -> Result<(FrameHeader, &'b [u8]), FrameError> {
    let header = parse_header(expected, bytes)?;
    let end = FRAME_HEADER_BYTES.saturating_add(header.payload_len as usize);
    let payload = bytes.get(FRAME_HEADER_BYTES..end).ok_or(FrameError::Short(end))?;
    if crc32fast::hash(payload) != header.payload_crc {
        return Err(FrameError::PayloadChecksum);
    }
    Ok((header, payload))
}

/// What a shard file says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ShardHeader {
    #[n(0)]
    pub format: u8,
    #[n(1)]
    pub store: StoreId,
    #[n(2)]
    pub segment: SegmentId,
    #[n(3)]
    pub kind: SegmentKind,
    #[n(4)]
    pub shard: u8,
    #[n(5)]
    pub geometry: Geometry,
    /// The start epoch in which the file was made.
    #[n(6)]
    pub created_epoch: u64,
}

/// Why the beginning of a shard file is not the header it should be.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ShardHeaderError {
    #[error("shard file header: {0}")]
    Frame(#[from] FrameError),
    #[error("shard file header: {0}")]
    Content(String),
}

impl ShardHeader {
    fn place(segment: SegmentId, shard: u8) -> FramePlace {
        FramePlace {
            segment,
            shard,
            offset: 0,
        }
    }

    /// The first [`SHARD_HEADER_BYTES`] of the shard file.
    pub fn encode(&self) -> Vec<u8> {
        let payload = to_cbor(self);
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let place = Self::place(self.segment, self.shard);
        let mut bytes = encode_header(FrameKind::ShardHeader, &place, len, payload_crc(&payload), 0).to_vec();
        bytes.extend_from_slice(&payload);
        bytes.resize(SHARD_HEADER_BYTES as usize, 0);
        bytes
    }

    /// Reads the header of the file that is named as this shard of this segment.
    pub fn decode(segment: SegmentId, shard: u8, bytes: &[u8]) -> Result<Self, ShardHeaderError> {
        let (frame, payload) = verify(&Self::place(segment, shard), bytes)?;
        if frame.kind != FrameKind::ShardHeader {
            return Err(FrameError::WrongContent.into());
        }
        let header: Self =
            from_cbor("shard file header", payload).map_err(|e| ShardHeaderError::Content(e.to_string()))?;
        if header.format != FORMAT_VERSION {
            return Err(FrameError::UnknownVersion(header.format).into());
        }
        #[cfg(test)]
        let shard = if planted::is(planted::Bug::ShardNotBound) {
            header.shard
        } else {
            shard
        };
        if header.segment != segment || header.shard != shard {
            return Err(FrameError::WrongPlace.into());
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> FramePlace {
        FramePlace {
            segment: SegmentId::from_bytes([7; 16]),
            shard: 3,
            offset: 8192,
        }
    }

    fn frame(payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap();
        let mut bytes = encode_header(FrameKind::Stripe, &place(), len, payload_crc(payload), 17).to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn a_whole_frame_verifies_at_its_place() {
        let (header, payload) = verify(&place(), &frame(b"stone"))
            .map(|(h, p)| (h, p.to_vec()))
            .unwrap();
        assert_eq!(payload, b"stone");
        assert_eq!((header.kind, header.data_len), (FrameKind::Stripe, 17));
    }

    #[test]
    fn every_flip_of_every_byte_is_detected() {
        let good = frame(b"a few bytes of payload");
        for at in 0..good.len() {
            for flip in 1..=255u8 {
                let mut bad = good.clone();
                bad[at] ^= flip;
                assert!(
                    verify(&place(), &bad).is_err(),
                    "byte {at} flipped by {flip:#x} verified"
                );
            }
        }
    }

    #[test]
    fn every_shorter_frame_is_detected() {
        let good = frame(b"payload");
        for len in 0..good.len() {
            assert!(verify(&place(), &good[..len]).is_err(), "{len} bytes verified");
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        assert_eq!(parse_header(&place(), &[0; 4096]), Err(FrameError::NoMagic));
    }

    #[test]
    fn a_frame_of_another_segment_shard_or_offset_is_refused() {
        let bytes = frame(b"x");
        let elsewhere = [
            FramePlace {
                segment: SegmentId::from_bytes([8; 16]),
                ..place()
            },
            FramePlace { shard: 2, ..place() },
            FramePlace {
                offset: 4096,
                ..place()
            },
        ];
        for other in elsewhere {
            assert_eq!(verify(&other, &bytes).unwrap_err(), FrameError::WrongPlace);
        }
    }

    /// A header with one byte changed and its checksum made right again.
    fn resealed(at: usize, value: u8) -> Vec<u8> {
        let mut bytes = frame(b"x");
        bytes[at] = value;
        let crc = crc32fast::hash(&bytes[..44]).to_le_bytes();
        bytes[44..48].copy_from_slice(&crc);
        bytes
    }

    #[test]
    fn a_newer_version_or_kind_is_refused_as_such() {
        let version = verify(&place(), &resealed(4, 2)).unwrap_err();
        let kind = verify(&place(), &resealed(5, 9)).unwrap_err();
        assert_eq!(version, FrameError::UnknownVersion(2));
        assert_eq!(kind, FrameError::UnknownKind(9));
        assert!(version.is_newer_format() && kind.is_newer_format());
        assert!(!FrameError::HeaderChecksum.is_newer_format());
    }

    fn shard_header() -> ShardHeader {
        ShardHeader {
            format: FORMAT_VERSION,
            store: StoreId::from_bytes([1; 16]),
            segment: SegmentId::from_bytes([2; 16]),
            kind: SegmentKind::Extent,
            shard: 1,
            geometry: Geometry {
                data: 2,
                parity: 1,
                unit: 131_072,
            },
            created_epoch: 5,
        }
    }

    #[test]
    fn a_shard_header_reads_back_only_under_its_own_name() {
        let header = shard_header();
        let bytes = header.encode();
        assert_eq!(bytes.len() as u64, SHARD_HEADER_BYTES);
        assert_eq!(ShardHeader::decode(header.segment, 1, &bytes).unwrap(), header);
        assert!(ShardHeader::decode(header.segment, 0, &bytes).is_err());
        assert!(ShardHeader::decode(SegmentId::from_bytes([3; 16]), 1, &bytes).is_err());
    }

    #[test]
    fn a_shard_file_of_a_newer_format_is_refused_as_such() {
        let newer = ShardHeader {
            format: 2,
            ..shard_header()
        };
        let refused = ShardHeader::decode(newer.segment, 1, &newer.encode()).unwrap_err();
        assert!(matches!(
            refused,
            ShardHeaderError::Frame(FrameError::UnknownVersion(2))
        ));
    }

    #[test]
    fn the_bytes_of_version_one_do_not_change() {
        let header = encode_header(FrameKind::Stripe, &place(), 1, payload_crc(b"x"), 17);
        let hex: String = header.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "4453465201030300010000008316dc8c07070707070707070707070707070707002000000000000011000000035f14e0"
        );
    }
}
