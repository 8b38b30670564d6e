//! Digests of a body: `Upload-Checksum` of tus, `Content-Digest` and `Repr-Digest` (RFC 9530). Pure.

use storage_engine::store::checksum::{Checksum, ChecksumAlgorithm};
use storage_engine::store::resumable::append::BodyDigest;

use super::metadata::Unreadable;

/// What tus clients may name, in the order that they are told.
pub(super) const TUS_ALGORITHMS: &str = "sha1,sha256,crc32,md5";

/// The checksums among them.
pub(super) const TUS_CHECKSUMS: [ChecksumAlgorithm; 3] = [
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
    ChecksumAlgorithm::Crc32,
];

#[derive(Clone, Copy)]
enum Algorithm {
    Md5,
    Checksum(ChecksumAlgorithm),
}

fn tus_algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "sha1" => Algorithm::Checksum(ChecksumAlgorithm::Sha1),
        "sha256" => Algorithm::Checksum(ChecksumAlgorithm::Sha256),
        "crc32" => Algorithm::Checksum(ChecksumAlgorithm::Crc32),
        "md5" => Algorithm::Md5,
        _ => return None,
    })
}

fn value(algorithm: Algorithm, base64: &str) -> Option<BodyDigest> {
    let bytes = base64_simd::STANDARD.decode_to_vec(base64.as_bytes()).ok()?;
    Some(match algorithm {
        Algorithm::Md5 => BodyDigest::Md5(bytes.try_into().ok()?),
        Algorithm::Checksum(algorithm) => BodyDigest::Checksum(Checksum::from_bytes(algorithm, &bytes)?),
    })
}

/// Reads `Upload-Checksum`: an algorithm and a value in base64.
pub(super) fn tus(header: &str) -> Result<BodyDigest, Unreadable> {
    let (name, base64) = header.trim().split_once(' ').ok_or(Unreadable(
        "Upload-Checksum is an algorithm, a blank and a value in base64.",
    ))?;
    let algorithm =
        tus_algorithm(name).ok_or(Unreadable("Upload-Checksum names none of sha1, sha256, crc32 and md5."))?;
    value(algorithm, base64.trim()).ok_or(Unreadable("The value in Upload-Checksum is not one of its algorithm."))
}

/// Reads `Content-Digest` or `Repr-Digest`: the first one in it of an algorithm that is known; others are not looked at.
pub(super) fn fields(header: &str) -> Result<Option<BodyDigest>, Unreadable> {
    for member in header.split(',') {
        let (name, text) = member.trim().split_once('=').unwrap_or_default();
        let algorithm = match name {
            "sha-256" => Algorithm::Checksum(ChecksumAlgorithm::Sha256),
            "sha" => Algorithm::Checksum(ChecksumAlgorithm::Sha1),
            "md5" => Algorithm::Md5,
            _ => continue,
        };
        let base64 = text.strip_prefix(':').and_then(|text| text.strip_suffix(':'));
        let found = base64.and_then(|base64| value(algorithm, base64));
        return found
            .map(Some)
            .ok_or(Unreadable("A digest is written as sha-256=:base64:."));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_that_is_told_is_read() {
        for (name, len) in [("sha1", 20), ("sha256", 32), ("crc32", 4), ("md5", 16)] {
            assert!(TUS_ALGORITHMS.split(',').any(|told| told == name));
            let base64 = base64_simd::STANDARD.encode_to_string(vec![7; len]);
            assert!(tus(&format!("{name} {base64}")).is_ok(), "{name}");
            assert!(tus(&format!("{name} {base64}AAAA")).is_err(), "{name}");
        }
        for wrong in ["", "sha1", "sha512 AAAA", "sha1 !!", "crc32c AAAAAA=="] {
            assert!(tus(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_several_digests_a_known_one_is_taken() {
        let base64 = base64_simd::STANDARD.encode_to_string([7; 32]);
        let expected = BodyDigest::Checksum(Checksum::Sha256([7; 32]));
        assert_eq!(
            fields(&format!("sha-512=:AAAA:, sha-256=:{base64}:")),
            Ok(Some(expected))
        );
        assert_eq!(fields("sha-512=:AAAA:"), Ok(None));
        for wrong in ["sha-256=AAAA", "sha-256=:AAAA:", "sha-256=:!!:"] {
            assert!(fields(wrong).is_err(), "{wrong}");
        }
    }
}
