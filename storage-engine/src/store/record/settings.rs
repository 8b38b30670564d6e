//! The record of a bucket's settings: everything an operator or a client can set on a bucket as a whole.

use minicbor::{Decode, Encode};

use crate::store::record::Record;
use crate::store::record::labels::Visibility;
use crate::store::tags::Tags;

/// What is set on a bucket; a bucket on which nothing was set has no such record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BucketSettings {
    /// The bucket policy, as its author wrote it.
    #[n(0)]
    pub policy: Option<String>,
    #[n(1)]
    pub public_access_block: Option<PublicAccessBlock>,
    #[cbor(n(2), decode_with = "crate::cbor::known")]
    pub ownership: Option<ObjectOwnership>,
    /// Of objects that name none themselves; `None`: private.
    #[cbor(n(3), decode_with = "crate::cbor::known")]
    pub visibility: Option<Visibility>,
    #[cbor(n(4), skip_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Rules for pages of other origins, in the order in which they are tried; empty: none were set.
    #[cbor(n(5), skip_if = "Vec::is_empty")]
    pub cors: Vec<CorsRule>,
    #[n(6)]
    pub quota: Option<Quota>,
    /// The canned ACL of the bucket itself; `None`: private. It opens no object.
    #[cbor(n(7), decode_with = "crate::cbor::known")]
    pub acl: Option<BucketAcl>,
    /// The bucket keeps a catalogue: every object in it is a file of an application.
    #[cbor(n(8), skip_if = "is_unset")]
    pub files: bool,
    /// The kinds of events that somebody listens to, as [`super::event::EventKind::bit`] has them.
    #[cbor(n(9), skip_if = "is_none")]
    pub listened: u32,
    /// How much the files of the catalogue may take up.
    #[cbor(n(10), skip_if = "FileQuotas::is_unset")]
    pub file_quotas: FileQuotas,
}

impl BucketSettings {
    /// Whether anything says how much the bucket may hold, or its files.
    pub fn has_quota(&self) -> bool {
        self.quota.is_some() || !self.file_quotas.is_unset()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the derived writer hands a reference")]
fn is_none(set: &u32) -> bool {
    *set == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the derived writer hands a reference")]
fn is_unset(flag: &bool) -> bool {
    !*flag
}

/// What a canned ACL of a bucket lets others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum BucketAcl {
    /// Everybody lists it.
    #[n(0)]
    PublicRead,
    /// Everybody lists it and puts objects into it.
    #[n(1)]
    PublicReadWrite,
    /// Everybody who is signed in lists it.
    #[n(2)]
    AuthenticatedRead,
}

/// Switches that overrule policies and visibility which would open a bucket to everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PublicAccessBlock {
    /// Canned ACLs that make something public are refused.
    #[n(0)]
    pub block_public_acls: bool,
    /// What is public by its visibility counts as private.
    #[n(1)]
    pub ignore_public_acls: bool,
    /// Bucket policies that open the bucket to everybody are refused.
    #[n(2)]
    pub block_public_policy: bool,
    /// A bucket policy that opens the bucket to everybody holds for the bucket's own users only.
    #[n(3)]
    pub restrict_public_buckets: bool,
}

/// Who owns what others write into a bucket. Kept and shown; with one account there is one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ObjectOwnership {
    #[n(0)]
    BucketOwnerEnforced,
    #[n(1)]
    BucketOwnerPreferred,
    #[n(2)]
    ObjectWriter,
}

/// What pages of some origins may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CorsRule {
    /// The author's name for the rule.
    #[n(0)]
    pub id: Option<String>,
    /// Each with at most one `*`.
    #[n(1)]
    pub origins: Vec<String>,
    #[n(2)]
    pub methods: Vec<String>,
    /// Headers a page may send, each with at most one `*`.
    #[cbor(n(3), skip_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Headers of answers a page may read.
    #[cbor(n(4), skip_if = "Vec::is_empty")]
    pub expose: Vec<String>,
    /// How long a browser may remember the answer to a preflight, in seconds.
    #[n(5)]
    pub max_age_seconds: Option<u32>,
}

/// How much a bucket may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Quota {
    /// The sum of its objects, in bytes, beyond which writes are refused.
    #[n(0)]
    pub bytes: u64,
}

/// How much files may take up: one that is announced by the bytes it was announced with, one in the trash until it is purged,
/// and what is kept of replaced bytes with the file. What is not set has no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FileQuotas {
    /// All files together.
    #[n(0)]
    pub environment: Option<FileQuota>,
    /// The files of each person who is not named among the owners.
    #[n(1)]
    pub default_owner: Option<FileQuota>,
    /// The files of these owners; sorted by name.
    #[cbor(n(2), skip_if = "Vec::is_empty")]
    pub owners: Vec<NamedFileQuota>,
    /// The files of these logical buckets; sorted by name.
    #[cbor(n(3), skip_if = "Vec::is_empty")]
    pub buckets: Vec<NamedFileQuota>,
}

/// How much some files may take up together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FileQuota {
    #[n(0)]
    pub bytes: Option<u64>,
    /// How many there may be.
    #[n(1)]
    pub files: Option<u64>,
}

/// The same, of the files of one name.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct NamedFileQuota {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub quota: FileQuota,
}

impl NamedFileQuota {
    /// What is set for a name.
    pub fn find(named: &[Self], name: &str) -> Option<FileQuota> {
        let at = named.binary_search_by(|one| one.name.as_str().cmp(name)).ok()?;
        named.get(at).map(|found| found.quota)
    }

    /// Sets it for a name; `None` takes it away.
    pub fn set(named: &mut Vec<Self>, name: &str, quota: Option<FileQuota>) {
        named.retain(|one| one.name != name);
        if let Some(quota) = quota {
            let at = named.partition_point(|one| one.name.as_str() < name);
            let name = name.to_owned();
            named.insert(at, Self { name, quota });
        }
    }
}

impl FileQuotas {
    pub fn is_unset(&self) -> bool {
        *self == Self::default()
    }
}

impl Record for BucketSettings {
    const KIND: &'static str = "bucket settings";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::record::tests::{rejects_damage, survives};

    fn quota_of(bytes: Option<u64>, files: Option<u64>) -> FileQuota {
        FileQuota { bytes, files }
    }

    fn full() -> BucketSettings {
        BucketSettings {
            policy: Some("{\"Version\":\"2012-10-17\"}".into()),
            public_access_block: Some(PublicAccessBlock {
                block_public_acls: true,
                restrict_public_buckets: true,
                ..Default::default()
            }),
            ownership: Some(ObjectOwnership::BucketOwnerPreferred),
            visibility: Some(Visibility::Protected),
            tags: Tags::of_bucket(vec![("k".into(), "v".into())]).unwrap(),
            cors: vec![CorsRule {
                id: Some("one".into()),
                origins: vec!["https://*.example.com".into()],
                methods: vec!["GET".into(), "PUT".into()],
                headers: vec!["*".into()],
                expose: vec!["ETag".into()],
                max_age_seconds: Some(3000),
            }],
            quota: Some(Quota { bytes: 1 << 40 }),
            acl: Some(BucketAcl::PublicReadWrite),
            files: true,
            listened: 3,
            file_quotas: FileQuotas {
                environment: Some(quota_of(Some(1 << 40), Some(1_000_000))),
                default_owner: Some(quota_of(Some(1 << 30), None)),
                owners: vec![NamedFileQuota {
                    name: "app:shop/own|ann".into(),
                    quota: quota_of(None, Some(7)),
                }],
                buckets: vec![NamedFileQuota {
                    name: "images".into(),
                    quota: quota_of(Some(1 << 20), None),
                }],
            },
        }
    }

    proptest! {
        #[test]
        fn survives_its_value(policy: Option<String>, quota: Option<u64>, block: Option<[bool; 4]>, rules in 0..4_usize) {
            survives(&BucketSettings {
                policy,
                quota: quota.map(|bytes| Quota { bytes }),
                public_access_block: block.map(|[a, b, c, d]| PublicAccessBlock {
                    block_public_acls: a,
                    ignore_public_acls: b,
                    block_public_policy: c,
                    restrict_public_buckets: d,
                }),
                cors: vec![full().cors[0].clone(); rules],
                ..BucketSettings::default()
            });
        }
    }

    #[test]
    fn damage_is_refused() {
        rejects_damage(&full());
        survives(&full());
    }

    #[test]
    fn a_setting_of_an_unknown_kind_is_refused_and_never_read_as_not_set() {
        let value = BucketSettings {
            visibility: Some(Visibility::Shared),
            ..BucketSettings::default()
        }
        .to_value();
        let mut newer = value.to_vec();
        let last = newer.iter().rposition(|byte| *byte == 3).unwrap();
        newer[last] = 9;
        assert!(BucketSettings::from_value(&newer).is_err());
    }

    #[test]
    fn the_first_written_form_still_reads() {
        let value = b"\x01\xa5\x00\x62\x7b\x7d\x01\xa4\x00\xf5\x01\xf4\x02\xf4\x03\xf5\x03\x01\x04\x81\x82\x61k\x61v\x06\xa1\x00\x19\x03\xe8";
        let read = BucketSettings::from_value(value).unwrap();
        let expected = BucketSettings {
            policy: Some("{}".into()),
            visibility: Some(Visibility::Public),
            quota: Some(Quota { bytes: 1000 }),
            ownership: None,
            cors: Vec::new(),
            acl: None,
            files: false,
            listened: 0,
            file_quotas: FileQuotas::default(),
            ..full()
        };
        assert_eq!(read, expected);
        assert_eq!(expected.to_value().as_ref(), value);
    }

    #[test]
    fn quotas_of_names_are_found_set_anew_and_taken_away() {
        let mut named = Vec::new();
        for (name, bytes) in [("b", 1), ("a", 2), ("c", 3), ("b", 4)] {
            NamedFileQuota::set(&mut named, name, Some(quota_of(Some(bytes), None)));
        }
        let names: Vec<&str> = named.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(NamedFileQuota::find(&named, "b"), Some(quota_of(Some(4), None)));
        NamedFileQuota::set(&mut named, "b", None);
        assert_eq!(NamedFileQuota::find(&named, "b"), None);
        assert_eq!(NamedFileQuota::find(&named, "c"), Some(quota_of(Some(3), None)));
    }
}
