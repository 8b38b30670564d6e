//! Between S3's words on the wire and the store's types.
//!
//! Owns the translation both ways: metadata, checksums, times, owner, text encoding of listings. It never asks the
//! store and never builds a response.

use std::time::{Duration, SystemTime};

use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES, HeaderName,
};
use http::{Extensions, HeaderMap};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{self, Owner, Timestamp as WireTime};
use storage_engine::store::checksum::{Checksum, ChecksumAlgorithm, ChecksumType};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::name::{BucketName, NameError, ObjectKey};
use storage_engine::store::record::object::Metadata;

use super::error::{Code, Failure};
use super::normalise::Lifted;
use crate::auth::{Account, Identity, Payload};

/// The canonical id of root: it owns what no user made.
pub(crate) const OWNER_ID: &str = "9b1c7f0d5e2a48c6b3d94e7f8a60152c7d3e9f4b8a1c6052e7d3f9b48c1a6e50";
pub(crate) const OWNER_NAME: &str = "drystone";

/// What AWS says of an object that was stored without a type.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// The owner with this id and name as answers tell it; `None` is root.
pub(crate) fn owner(user: Option<(&str, String)>) -> Owner {
    let (id, name) = user.unwrap_or_else(|| (OWNER_ID, OWNER_NAME.to_owned()));
    Owner {
        display_name: Some(name),
        id: Some(id.to_owned()),
    }
}

/// What the caller's writes are owned under; `None`: root's id, and so are those of callers without an account.
pub(crate) fn caller_id(extensions: &Extensions) -> Option<String> {
    match extensions.get::<Identity>() {
        None | Some(Identity::Anonymous | Identity::Root) => None,
        Some(Identity::Caller(caller)) => match &caller.account {
            Account::Root => None,
            Account::User(_) | Account::Federated(_) | Account::Role(_) => Some(caller.owner_id().to_owned()),
        },
    }
}

pub(crate) fn bucket_name(text: String) -> Result<BucketName, Failure> {
    BucketName::parse(text).map_err(Failure::from)
}

pub(crate) fn object_key(text: String) -> Result<ObjectKey, Failure> {
    ObjectKey::parse(text).map_err(Failure::from)
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        let code = match error {
            NameError::Bucket | NameError::ReservedBucket => Code::INVALID_BUCKET_NAME,
            NameError::LongKey => Code::KEY_TOO_LONG,
            NameError::UploadId => return Code::NO_SUCH_UPLOAD.into(),
            NameError::VersionId => return Failure::argument("Invalid version id specified"),
            NameError::EmptyKey | NameError::NulInKey | NameError::PartNumber => Code::INVALID_ARGUMENT,
        };
        Failure::because(code, error.to_string())
    }
}

/// A store time on the wire.
pub(crate) fn wire_time(time: Timestamp) -> WireTime {
    WireTime::from(SystemTime::UNIX_EPOCH + Duration::from_millis(time.millis()))
}

/// A store time in whole seconds, as HTTP dates and most SDK comparisons have it.
pub(crate) fn http_time(time: Timestamp) -> WireTime {
    WireTime::from(SystemTime::UNIX_EPOCH + Duration::from_secs(time.seconds()))
}

/// The texts of a write that become metadata, as s3s read them.
#[derive(Default)]
pub(crate) struct Texts {
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) storage_class: Option<dto::StorageClass>,
    pub(crate) user: Option<dto::Metadata>,
}

/// The texts of an input of s3s, whichever write it is of.
macro_rules! texts {
    ($input:expr) => {
        $crate::s3::convert::Texts {
            cache_control: $input.cache_control,
            content_disposition: $input.content_disposition,
            content_encoding: $input.content_encoding,
            content_language: $input.content_language,
            content_type: $input.content_type,
            storage_class: $input.storage_class,
            user: $input.metadata,
        }
    };
}
pub(crate) use texts;

/// The metadata of a write: what s3s read, and what it could not.
pub(crate) fn metadata(texts: Texts, lifted: &Lifted) -> Result<Metadata, Failure> {
    let text = |read: Option<String>, name: HeaderName| lifted.text(name).map(str::to_owned).or(read);
    Ok(Metadata {
        content_type: text(texts.content_type, CONTENT_TYPE),
        cache_control: text(texts.cache_control, CACHE_CONTROL),
        content_disposition: text(texts.content_disposition, CONTENT_DISPOSITION),
        content_encoding: text(texts.content_encoding, CONTENT_ENCODING),
        content_language: text(texts.content_language, CONTENT_LANGUAGE),
        expires: lifted.text(EXPIRES).map(str::to_owned),
        storage_class: storage_class(texts.storage_class)?,
        user: texts.user.unwrap_or_default().into_iter().collect(),
    })
}

/// Classes that are served at once. They change nothing here but their echo; archive classes are refused before.
const STORAGE_CLASSES: [&str; 6] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
];

pub(crate) fn storage_class(asked: Option<dto::StorageClass>) -> Result<Option<String>, Failure> {
    match asked.as_ref().map(dto::StorageClass::as_str) {
        None | Some(dto::StorageClass::STANDARD) => Ok(None),
        Some(class) if STORAGE_CLASSES.contains(&class) => Ok(Some(class.to_owned())),
        Some(_) => Err(Code::INVALID_STORAGE_CLASS.into()),
    }
}

pub(crate) fn content_type(metadata: &Metadata) -> String {
    metadata
        .content_type
        .clone()
        .unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned())
}

const CHECKSUM_HEADERS: [(&str, ChecksumAlgorithm); 5] = [
    ("x-amz-checksum-crc32", ChecksumAlgorithm::Crc32),
    ("x-amz-checksum-crc32c", ChecksumAlgorithm::Crc32c),
    ("x-amz-checksum-crc64nvme", ChecksumAlgorithm::Crc64Nvme),
    ("x-amz-checksum-sha1", ChecksumAlgorithm::Sha1),
    ("x-amz-checksum-sha256", ChecksumAlgorithm::Sha256),
];

/// The one checksum that headers (or trailers) declare for the body.
pub(crate) fn declared_checksum(headers: &HeaderMap) -> Result<Option<Checksum>, Failure> {
    let mut declared = None;
    for (name, algorithm) in CHECKSUM_HEADERS {
        let Some(value) = headers.get(name) else { continue };
        let checksum = value
            .to_str()
            .ok()
            .and_then(|text| checksum(algorithm, text))
            .ok_or_else(|| Failure::because(Code::BAD_DIGEST, format!("Value for {name} header is invalid.")))?;
        if declared.replace(checksum).is_some() {
            let message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
            return Err(Failure::because(Code::INVALID_REQUEST, message));
        }
    }
    Ok(declared)
}

/// The algorithm whose value a trailer will bring.
pub(crate) fn announced_checksum(extensions: &Extensions) -> Option<ChecksumAlgorithm> {
    let announced = extensions.get::<Payload>()?.trailers.announced();
    let of = |name: &HeaderName| CHECKSUM_HEADERS.iter().find(|(known, _)| name.as_str() == *known);
    announced.iter().find_map(of).map(|(_, algorithm)| *algorithm)
}

pub(crate) fn checksum(algorithm: ChecksumAlgorithm, text: &str) -> Option<Checksum> {
    let bytes = base64_simd::STANDARD.decode_to_vec(text.trim()).ok()?;
    Checksum::from_bytes(algorithm, &bytes)
}

/// The 16 bytes of a Content-MD5 header.
pub(crate) fn decode_md5(text: &str) -> Option<[u8; 16]> {
    base64_simd::STANDARD.decode_to_vec(text.trim()).ok()?.try_into().ok()
}

pub(crate) fn algorithm(text: &str) -> Result<ChecksumAlgorithm, Failure> {
    let known = |algorithm: &ChecksumAlgorithm| algorithm_name(*algorithm).eq_ignore_ascii_case(text);
    ChecksumAlgorithm::ALL.into_iter().find(known).ok_or_else(|| {
        let message = "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
                       [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]";
        Failure::because(Code::INVALID_REQUEST, message)
    })
}

pub(crate) fn algorithm_name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
    }
}

pub(crate) fn type_name(kind: ChecksumType) -> &'static str {
    match kind {
        ChecksumType::FullObject => "FULL_OBJECT",
        ChecksumType::Composite => "COMPOSITE",
    }
}

pub(crate) fn checksum_type(text: &str) -> Result<ChecksumType, Failure> {
    match text {
        "FULL_OBJECT" => Ok(ChecksumType::FullObject),
        "COMPOSITE" => Ok(ChecksumType::Composite),
        _ => Err(Failure::because(
            Code::INVALID_REQUEST,
            "Value for x-amz-checksum-type header is invalid.",
        )),
    }
}

/// A checksum's value as its header has it. `parts`: how many parts' checksums it was taken of, if it was.
pub(crate) fn checksum_text(checksum: &Checksum, parts: Option<usize>) -> String {
    let text = base64_simd::STANDARD.encode_to_string(checksum.as_bytes());
    match parts {
        Some(parts) => format!("{text}-{parts}"),
        None => text,
    }
}

/// Sets the field of an answer that belongs to a checksum's algorithm.
macro_rules! set_checksum {
    ($output:expr, $checksum:expr, $text:expr) => {
        match $checksum.algorithm() {
            storage_engine::store::checksum::ChecksumAlgorithm::Crc32 => $output.checksum_crc32 = Some($text),
            storage_engine::store::checksum::ChecksumAlgorithm::Crc32c => $output.checksum_crc32c = Some($text),
            storage_engine::store::checksum::ChecksumAlgorithm::Crc64Nvme => $output.checksum_crc64nvme = Some($text),
            storage_engine::store::checksum::ChecksumAlgorithm::Sha1 => $output.checksum_sha1 = Some($text),
            storage_engine::store::checksum::ChecksumAlgorithm::Sha256 => $output.checksum_sha256 = Some($text),
        }
    };
}
pub(crate) use set_checksum;

/// What listings leave readable under `encoding-type=url`. A space is `%20`: some SDKs would keep a plus sign.
const URL_SAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b'/');

/// How a listing writes keys and prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextEncoding {
    Plain,
    Url,
}

impl TextEncoding {
    pub(crate) fn of(asked: Option<&dto::EncodingType>) -> Result<Self, Failure> {
        match asked.map(dto::EncodingType::as_str) {
            None | Some("") => Ok(Self::Plain),
            Some(dto::EncodingType::URL) => Ok(Self::Url),
            Some(_) => Err(Failure::argument("Invalid Encoding Method specified in Request")),
        }
    }

    pub(crate) fn write(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => utf8_percent_encode(text, URL_SAFE).to_string(),
        }
    }

    pub(crate) fn echo(self) -> Option<dto::EncodingType> {
        match self {
            Self::Plain => None,
            Self::Url => Some(dto::EncodingType::from_static(dto::EncodingType::URL)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TextEncoding, declared_checksum};
    use crate::s3::error::Code;
    use http::HeaderMap;
    use storage_engine::store::checksum::ChecksumAlgorithm;

    #[test]
    fn url_encoding_is_the_one_of_aws() {
        assert_eq!(TextEncoding::Url.write("a b/ü+*~-_.\u{1}"), "a%20b/%C3%BC%2B*%7E-_.%01");
        assert_eq!(TextEncoding::Plain.write("a b"), "a b");
    }

    #[test]
    fn one_valid_checksum_may_be_declared() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect()
        };
        let good = declared_checksum(&headers(&[("x-amz-checksum-crc32", "y/Q5Jg==")])).unwrap();
        assert_eq!(good, Some(ChecksumAlgorithm::Crc32.of(b"123456789")));
        for (bad, code) in [
            (&[("x-amz-checksum-crc32", "y/Q5Jg")][..], Code::BAD_DIGEST),
            (&[("x-amz-checksum-sha256", "y/Q5Jg==")], Code::BAD_DIGEST),
            (
                &[
                    ("x-amz-checksum-crc32", "y/Q5Jg=="),
                    ("x-amz-checksum-crc32c", "y/Q5Jg=="),
                ],
                Code::INVALID_REQUEST,
            ),
        ] {
            assert_eq!(declared_checksum(&headers(bad)).unwrap_err().code, code, "{bad:?}");
        }
    }
}
