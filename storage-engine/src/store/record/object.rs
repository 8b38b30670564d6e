//! The record of an object: everything a HEAD answers.

use minicbor::{Decode, Encode};

use crate::limits::{SYSTEM_METADATA_BYTES_MAX, USER_METADATA_BYTES_MAX};
use crate::store::checksum::ObjectChecksum;
use crate::store::clock::Timestamp;
use crate::store::etag::ETag;
use crate::store::name::UploadId;
use crate::store::record::Record;
use crate::store::record::labels::Labels;
use crate::store::record::part_table::PartTable;

/// One state of an object.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Object {
    /// Length in bytes, without a part table that may follow in the body.
    #[n(0)]
    pub size: u64,
    #[n(1)]
    pub etag: ETag,
    #[n(2)]
    pub modified: Timestamp,
    #[n(3)]
    pub metadata: Metadata,
    #[cbor(n(4), decode_with = "crate::cbor::known")]
    pub checksum: Option<ObjectChecksum>,
    /// `None`: stored by one PUT.
    #[cbor(n(5), decode_with = "crate::cbor::known")]
    pub parts: Option<Parts>,
    /// The multipart upload it came from: a repeated Complete is answered from it.
    #[n(6)]
    pub upload: Option<UploadId>,
    /// Owner, tags, visibility.
    #[cbor(n(7), skip_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// Where the table of a multipart object's parts is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Parts {
    #[n(0)]
    Inline(#[n(0)] PartTable),
    /// `len` bytes that follow the object's bytes in its body.
    #[n(1)]
    InBody {
        #[n(0)]
        count: u16,
        #[n(1)]
        len: u32,
    },
}

impl Parts {
    /// How many parts the object was made of.
    pub fn count(&self) -> usize {
        match self {
            Self::Inline(table) => table.parts.len(),
            Self::InBody { count, .. } => usize::from(*count),
        }
    }
}

/// What the writer said about an object; texts are handed back as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Metadata {
    #[n(0)]
    pub content_type: Option<String>,
    #[n(1)]
    pub cache_control: Option<String>,
    #[n(2)]
    pub content_disposition: Option<String>,
    #[n(3)]
    pub content_encoding: Option<String>,
    #[n(4)]
    pub content_language: Option<String>,
    /// The `Expires` header's text, as sent.
    #[n(5)]
    pub expires: Option<String>,
    /// The storage class asked for, echoed; `None` is STANDARD.
    #[n(6)]
    pub storage_class: Option<String>,
    /// Names without `x-amz-meta-`, and values.
    #[n(7)]
    pub user: Vec<(String, String)>,
}

/// Metadata over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataTooLarge {
    #[error("user metadata has {bytes} bytes; at most {USER_METADATA_BYTES_MAX} are kept")]
    User { bytes: usize },
    #[error("system metadata has {bytes} bytes; at most {SYSTEM_METADATA_BYTES_MAX} are kept")]
    System { bytes: usize },
}

impl Metadata {
    /// The one form of what was said: STANDARD is the class of an object that names none.
    pub fn normalized(mut self) -> Self {
        self.storage_class = self.storage_class.filter(|class| class != "STANDARD");
        self
    }

    /// Checks both limits of AWS's kind: user metadata and the other headers.
    pub fn check(&self) -> Result<(), MetadataTooLarge> {
        let user: usize = self.user.iter().map(|(name, value)| name.len() + value.len()).sum();
        if user > USER_METADATA_BYTES_MAX {
            return Err(MetadataTooLarge::User { bytes: user });
        }
        let texts = [
            &self.content_type,
            &self.cache_control,
            &self.content_disposition,
            &self.content_encoding,
            &self.content_language,
            &self.expires,
            &self.storage_class,
        ];
        let system: usize = texts.into_iter().flatten().map(String::len).sum();
        if system > SYSTEM_METADATA_BYTES_MAX {
            return Err(MetadataTooLarge::System { bytes: system });
        }
        Ok(())
    }
}

impl Record for Object {
    const KIND: &'static str = "object";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::{
        OWNER_BYTES_MAX, PART_TABLE_INLINE_BYTES_MAX, SHARE_NAME_BYTES_MAX, SHARE_TARGET_BYTES_MAX, SHARES_MAX,
        TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, VALUE_BYTES_MAX,
    };
    use crate::store::checksum::{Checksum, ChecksumType};
    use crate::store::record::labels::{Barred, Visibility};
    use crate::store::record::part_table::TablePart;
    use crate::store::record::tests::{rejects_damage, survives};
    use crate::store::share::{Share, ShareAccess, ShareId, ShareTarget};
    use crate::store::tags::Tags;

    fn parts() -> impl Strategy<Value = Option<Parts>> {
        let part = (1..=10_000_u16, any::<u64>()).prop_map(|(number, size)| TablePart {
            number,
            size,
            checksum: None,
        });
        prop_oneof![
            Just(None),
            prop::collection::vec(part, 0..20).prop_map(|parts| Some(Parts::Inline(PartTable { parts }))),
            (any::<u16>(), any::<u32>()).prop_map(|(count, len)| Some(Parts::InBody { count, len })),
        ]
    }

    fn metadata() -> impl Strategy<Value = Metadata> {
        let text = || any::<Option<String>>();
        (
            text(),
            text(),
            text(),
            text(),
            text(),
            text(),
            text(),
            any::<Vec<(String, String)>>(),
        )
            .prop_map(
                |(
                    content_type,
                    cache_control,
                    content_disposition,
                    content_encoding,
                    content_language,
                    expires,
                    storage_class,
                    user,
                )| {
                    Metadata {
                        content_type,
                        cache_control,
                        content_disposition,
                        content_encoding,
                        content_language,
                        expires,
                        storage_class,
                        user,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn survives_its_value(
            (size, md5, count, modified) in any::<(u64, [u8; 16], Option<u16>, u64)>(),
            metadata in metadata(),
            parts in parts(),
            upload: Option<[u8; 16]>,
            crc: Option<[u8; 8]>,
            (owner, tags, visibility) in (any::<Option<String>>(), 0..10_usize, any::<Option<usize>>()),
        ) {
            survives(&Object {
                size,
                etag: count.map_or(ETag::Md5(md5), |parts| ETag::Multipart { md5, parts }),
                modified: Timestamp::from_millis(modified),
                metadata,
                checksum: crc.map(|crc| ObjectChecksum { value: Checksum::Crc64Nvme(crc), kind: ChecksumType::FullObject }),
                parts,
                upload: upload.map(UploadId::from_bytes),
                labels: Labels {
                    owner,
                    tags: Tags::of_object((0..tags).map(|n| (format!("k{n}"), n.to_string())).collect()).unwrap(),
                    visibility: visibility.map(|at| Visibility::ALL[at % 4]),
                    shares: (0..tags as u8).map(share).collect(),
                    writing_named: tags == 1,
                    offered: tags == 2,
                    held: tags == 3,
                    barred: match tags {
                        4 => Some(Barred::Scanning),
                        5 => Some(Barred::Quarantined),
                        _ => None,
                    },
                    counted: tags == 6,
                },
            });
        }
    }

    #[test]
    fn a_record_without_labels_is_the_first_form() {
        let object = Object {
            size: 3,
            etag: ETag::Md5([0xab; 16]),
            modified: Timestamp::from_millis(42),
            metadata: Metadata::default(),
            checksum: None,
            parts: None,
            upload: None,
            labels: Labels::default(),
        };
        let mut first = b"\x01\xa4\x00\x03\x01\x82\x00\x81\x50".to_vec();
        first.extend_from_slice(&[0xab; 16]);
        first.extend_from_slice(b"\x02\x18\x2a\x03\xa1\x07\x80");
        assert_eq!(Object::from_value(&first).as_ref(), Ok(&object));
        assert_eq!(object.to_value().as_ref(), first);
    }

    #[test]
    fn damage_is_refused() {
        rejects_damage(&largest());
    }

    #[test]
    fn the_largest_record_fits_a_row() {
        let value = survives(&largest());
        assert!(value.len() > 45_000 && value.len() < VALUE_BYTES_MAX, "{}", value.len());
    }

    #[test]
    fn metadata_over_its_limits_is_refused() {
        let full = largest().metadata;
        assert_eq!(full.check(), Ok(()));
        let user = Metadata {
            user: vec![("a".into(), "b".repeat(2048))],
            ..full.clone()
        };
        assert_eq!(user.check(), Err(MetadataTooLarge::User { bytes: 2049 }));
        let system = Metadata {
            expires: Some("e".into()),
            ..full
        };
        assert_eq!(
            system.check(),
            Err(MetadataTooLarge::System {
                bytes: SYSTEM_METADATA_BYTES_MAX + 1
            })
        );
    }

    fn largest() -> Object {
        let part = TablePart {
            number: 10_000,
            size: u64::MAX,
            checksum: Some(Checksum::Sha256([7; 32])),
        };
        let mut table = PartTable::default();
        while table.to_value().len() <= PART_TABLE_INLINE_BYTES_MAX {
            table.parts.push(part);
        }
        table.parts.pop();
        Object {
            size: u64::MAX,
            etag: ETag::Multipart {
                md5: [9; 16],
                parts: 10_000,
            },
            modified: Timestamp::from_millis(u64::MAX),
            metadata: Metadata {
                content_type: Some("c".repeat(SYSTEM_METADATA_BYTES_MAX)),
                user: vec![("k".into(), "v".repeat(USER_METADATA_BYTES_MAX - 1))],
                ..Metadata::default()
            },
            checksum: Some(ObjectChecksum {
                value: Checksum::Sha256([3; 32]),
                kind: ChecksumType::Composite,
            }),
            parts: Some(Parts::Inline(table)),
            upload: Some(UploadId::from_bytes([1; 16])),
            labels: Labels {
                owner: Some("o".repeat(OWNER_BYTES_MAX)),
                tags: Tags::of_object(
                    ('a'..'k')
                        .map(|c| {
                            (
                                "𝛀".repeat(TAG_KEY_CHARS_MAX - 1) + &c.to_string(),
                                "𝛀".repeat(TAG_VALUE_CHARS_MAX),
                            )
                        })
                        .collect(),
                )
                .unwrap(),
                visibility: Some(Visibility::Shared),
                shares: (0..SHARES_MAX as u8)
                    .map(|number| Share {
                        target: ShareTarget::User("u".repeat(SHARE_TARGET_BYTES_MAX)),
                        name: Some("n".repeat(SHARE_NAME_BYTES_MAX)),
                        ..share(number)
                    })
                    .collect(),
                writing_named: true,
                offered: true,
                held: true,
                barred: Some(Barred::Quarantined),
                counted: true,
            },
        }
    }

    fn share(number: u8) -> Share {
        Share {
            id: ShareId::from_bytes([number; 8]),
            target: match number % 4 {
                0 => ShareTarget::User("ann".into()),
                1 => ShareTarget::Group("crew".into()),
                2 => ShareTarget::Email("ann@example.com".into()),
                _ => ShareTarget::Link([number; 32]),
            },
            access: if number.is_multiple_of(2) {
                ShareAccess::Read
            } else {
                ShareAccess::Write
            },
            made: Timestamp::from_millis(u64::MAX),
            expires: Some(Timestamp::from_millis(u64::MAX)),
            name: None,
        }
    }
}
