//! Checksums that go with what is uploaded, so that the server keeps them. Pure.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use clap::ValueEnum;
use crc_fast::{CrcAlgorithm, checksum};
use http::HeaderName;

/// A kind of checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli::mc) enum Sum {
    #[value(name = "CRC64NVME")]
    Crc64Nvme,
    #[value(name = "CRC32")]
    Crc32,
    #[value(name = "CRC32C")]
    Crc32c,
    #[value(name = "SHA1")]
    Sha1,
    #[value(name = "SHA256")]
    Sha256,
}

impl Sum {
    /// As uploads in parts name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "CRC64NVME",
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header that carries it.
    pub(super) fn header(self) -> HeaderName {
        HeaderName::from_static(match self {
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        })
    }

    /// The checksum of these bytes, as headers carry it.
    pub(super) fn of(self, bytes: &[u8]) -> String {
        let short = |algorithm| {
            u32::try_from(checksum(algorithm, bytes))
                .unwrap_or_default()
                .to_be_bytes()
        };
        let text = |sum: &[u8]| base64_simd::STANDARD.encode_to_string(sum);
        match self {
            Self::Crc64Nvme => text(&checksum(CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes()),
            Self::Crc32 => text(&short(CrcAlgorithm::Crc32IsoHdlc)),
            Self::Crc32c => text(&short(CrcAlgorithm::Crc32Iscsi)),
            Self::Sha1 => text(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()),
            Self::Sha256 => text(digest(&SHA256, bytes).as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_that_everybody_computes() {
        // The published check values of "123456789".
        for (sum, expected) in [
            (Sum::Crc32, "y/Q5Jg=="),
            (Sum::Crc32c, "4waSgw=="),
            (Sum::Crc64Nvme, "rosUhgp5mIg="),
            (Sum::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ] {
            assert_eq!(sum.of(b"123456789"), expected, "{sum:?}");
        }
        assert_eq!(Sum::Sha256.of(b""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
