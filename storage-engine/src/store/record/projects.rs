//! The records of projects: apps that use the store, where their files are, what their clients and users prove themselves
//! with.
//!
//! Of a secret key only its hash is here, and an issuer's secret is sealed; what seals it is not the engine's to know.

use minicbor::{Decode, Encode};

use crate::store::clock::Timestamp;
use crate::store::record::Record;
use crate::store::record::labels::Visibility;

/// The row that every change of the projects puts anew: its revision is that of all of them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ProjectsHead {
    #[n(0)]
    pub changed: Timestamp,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ProjectRecord {
    #[n(0)]
    pub created: Timestamp,
    #[n(1)]
    pub updated: Timestamp,
    #[n(2)]
    pub description: String,
    /// Absent: both.
    #[n(3)]
    pub envelope: Option<Envelope>,
}

/// In which form the apps of a project are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Envelope {
    /// The fields, and once more under `data` beside `success`.
    #[default]
    #[n(0)]
    Both,
    /// The fields and nothing else.
    #[n(1)]
    Bare,
}

impl Envelope {
    pub const ALL: [Self; 2] = [Self::Both, Self::Bare];

    /// Its name, as operators spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Bare => "bare",
        }
    }
}

/// An environment of a project.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnvironmentRecord {
    #[n(0)]
    pub created: Timestamp,
    #[n(1)]
    pub updated: Timestamp,
    /// The app bucket: where its files are.
    #[n(2)]
    pub bucket: String,
    /// What is set on logical buckets, sorted by name; one that is not named here has no limits of its own.
    #[cbor(n(3), skip_if = "Vec::is_empty")]
    pub logical: Vec<LogicalBucketRecord>,
    /// What is set on its images; absent: nothing.
    #[n(4)]
    pub images: Option<ImagesRecord>,
    /// Who is told of what happens to its files.
    #[cbor(n(5), skip_if = "Vec::is_empty")]
    pub webhooks: Vec<WebhookRecord>,
}

/// Somebody who is told of what happens to files, by HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WebhookRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub id: [u8; 16],
    #[n(1)]
    pub created: Timestamp,
    #[n(2)]
    pub updated: Timestamp,
    #[n(3)]
    pub url: String,
    /// The kinds of events, as [`super::event::EventKind::bit`] has them.
    #[n(4)]
    pub events: u32,
    /// What signs deliveries, sealed.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub secret: Vec<u8>,
    /// Nothing is delivered while it is off, and nothing that happens then.
    #[n(6)]
    pub active: bool,
    #[n(7)]
    pub description: String,
}

/// What is set on the images of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ImagesRecord {
    /// What signs their URLs, sealed; absent: none is signed.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub signing_key: Option<Vec<u8>>,
    /// URLs without signature make nothing but presets.
    #[n(1)]
    pub signed_only: bool,
    /// Sorted by name.
    #[cbor(n(2), skip_if = "Vec::is_empty")]
    pub presets: Vec<PresetRecord>,
    /// Different images of one file that URLs without signature may have made in an hour; absent: as the server has it.
    #[n(3)]
    pub unsigned_variants_per_hour: Option<u32>,
    /// Formats that are chosen where a client says to take them, `avif` and `webp`; absent: as the server has it.
    #[n(4)]
    pub auto_formats: Option<Vec<String>>,
    /// Names of hosts that serve nothing but these images, sorted.
    #[cbor(n(5), skip_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// Options of an image with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PresetRecord {
    #[n(0)]
    pub name: String,
    /// As in a URL.
    #[n(1)]
    pub options: String,
}

/// What is set on a logical bucket: files that say they belong to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogicalBucketRecord {
    #[n(0)]
    pub name: String,
    /// Most bytes of a file.
    #[n(1)]
    pub max_size: Option<u64>,
    /// Types a file may have, such as `image/*`; empty: any.
    #[cbor(n(2), skip_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Of files that name none themselves.
    #[cbor(n(3), decode_with = "crate::cbor::known")]
    pub visibility: Option<Visibility>,
    /// After what time its files end by themselves, in seconds; absent: they do not.
    #[n(4)]
    pub ttl_seconds: Option<u64>,
    /// Files that nobody needs by a reference go.
    #[cbor(n(5), skip_if = "is_unset")]
    pub collects_unreferenced: bool,
    /// Files that the app never registered go.
    #[cbor(n(6), skip_if = "is_unset")]
    pub needs_registration: bool,
    /// Its files are not scanned.
    #[cbor(n(7), skip_if = "is_unset")]
    pub not_scanned: bool,
    /// Those who are not signed in put files into it.
    #[cbor(n(8), skip_if = "is_unset")]
    pub takes_guests: bool,
    /// Its files have as many bytes as were announced.
    #[cbor(n(9), skip_if = "is_unset")]
    pub exact_sizes: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the derived writer hands a reference")]
fn is_unset(flag: &bool) -> bool {
    !*flag
}

/// A key that the clients or servers of an app bring.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ProjectKeyRecord {
    #[n(0)]
    pub created: Timestamp,
    #[n(1)]
    pub updated: Timestamp,
    #[n(2)]
    pub project: String,
    #[n(3)]
    pub environment: String,
    #[n(4)]
    pub kind: KeyKind,
    #[n(5)]
    pub name: String,
    /// SHA-256 of the whole key.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub hash: [u8; 32],
    /// The key itself, of publishable keys alone.
    #[n(7)]
    pub text: Option<String>,
    /// What it may be used for, sorted: `files:read` and its like.
    #[n(8)]
    pub scopes: Vec<String>,
    /// Origins of the pages that may bring it, sorted; empty: any.
    #[cbor(n(9), skip_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    #[n(10)]
    pub expires: Option<Timestamp>,
    #[n(11)]
    pub revoked: Option<Timestamp>,
}

/// What a project key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum KeyKind {
    /// It stands in pages and apps, and names project and environment.
    #[n(0)]
    Publishable,
    /// It stays on the app's servers, and has the rights that its scopes name.
    #[n(1)]
    Secret,
}

/// Who vouches for users of a project.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct IssuerRecord {
    #[n(0)]
    pub created: Timestamp,
    #[n(1)]
    pub updated: Timestamp,
    /// What its tokens say as `iss`; absent: anything that no other issuer of the project says.
    #[n(2)]
    pub issuer: Option<String>,
    /// The one algorithm its tokens are signed with, by its JWA name.
    #[n(3)]
    pub algorithm: String,
    #[n(4)]
    pub keys: IssuerKeys,
    /// What its tokens must say as `aud`; absent: anything.
    #[n(5)]
    pub audience: Option<String>,
    #[n(6)]
    pub subject_claim: String,
    #[n(7)]
    pub groups_claim: String,
    #[n(8)]
    pub role_claim: String,
    /// Roles that make an admin, sorted.
    #[cbor(n(9), skip_if = "Vec::is_empty")]
    pub admin_roles: Vec<String>,
}

/// What proves the tokens of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum IssuerKeys {
    /// A secret that issuer and server share, sealed.
    #[n(0)]
    Secret(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// A set of keys at this URL.
    #[n(1)]
    KeySet(#[n(0)] String),
    /// What the discovery document at this URL names.
    #[n(2)]
    Discovery(#[n(0)] String),
}

/// What is set for one user of an environment; where nothing is, there is no such row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UserRecord {
    /// Since when nothing is let to them; absent: they are not shut out.
    #[n(0)]
    pub blocked: Option<Timestamp>,
    /// When all their links were revoked last: those given out before let nothing; absent: never.
    #[n(1)]
    pub revoked: Option<Timestamp>,
}

impl Record for UserRecord {
    const KIND: &'static str = "user of an environment";
}

impl Record for ProjectsHead {
    const KIND: &'static str = "projects head";
}

impl Record for ProjectRecord {
    const KIND: &'static str = "project";
}

impl Record for EnvironmentRecord {
    const KIND: &'static str = "environment";
}

impl Record for ProjectKeyRecord {
    const KIND: &'static str = "project key";
}

impl Record for IssuerRecord {
    const KIND: &'static str = "issuer";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::record::tests::{rejects_damage, survives};

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn environment() -> EnvironmentRecord {
        EnvironmentRecord {
            created: at(1),
            updated: at(2),
            bucket: "s-dev".into(),
            logical: vec![LogicalBucketRecord {
                name: "temp".into(),
                max_size: Some(9),
                types: vec!["image/*".into()],
                visibility: Some(Visibility::Public),
                ..LogicalBucketRecord::default()
            }],
            images: Some(ImagesRecord {
                signing_key: Some(vec![7; 40]),
                signed_only: true,
                presets: vec![PresetRecord {
                    name: "card".into(),
                    options: "fit-in/400x300".into(),
                }],
                unsigned_variants_per_hour: Some(9),
                auto_formats: None,
                hosts: Vec::new(),
            }),
            webhooks: Vec::new(),
        }
    }

    fn with_webhook() -> EnvironmentRecord {
        EnvironmentRecord {
            webhooks: vec![WebhookRecord {
                id: [1; 16],
                created: at(1),
                updated: at(2),
                url: "https://a.test/".into(),
                events: 7,
                secret: vec![7; 40],
                active: true,
                description: "d".into(),
            }],
            ..environment()
        }
    }

    fn with_image_hosts() -> EnvironmentRecord {
        EnvironmentRecord {
            images: Some(ImagesRecord {
                auto_formats: Some(vec!["avif".into()]),
                hosts: vec!["img.test".into()],
                ..ImagesRecord::default()
            }),
            ..environment()
        }
    }

    fn without_images() -> EnvironmentRecord {
        EnvironmentRecord {
            images: None,
            ..environment()
        }
    }

    fn key(kind: KeyKind, text: Option<&str>) -> ProjectKeyRecord {
        ProjectKeyRecord {
            created: at(1),
            updated: at(2),
            project: "s".into(),
            environment: "dev".into(),
            kind,
            name: "web".into(),
            hash: [0x41; 32],
            text: text.map(str::to_owned),
            scopes: vec!["files:*".into()],
            origins: text.iter().map(|_| "https://a.test".to_owned()).collect(),
            expires: text.map(|_| at(3)),
            revoked: text.map(|_| at(4)),
        }
    }

    fn issuer(keys: IssuerKeys) -> IssuerRecord {
        IssuerRecord {
            created: at(1),
            updated: at(2),
            issuer: Some("https://i.test".into()),
            algorithm: "HS256".into(),
            keys,
            audience: None,
            subject_claim: "sub".into(),
            groups_claim: "groups".into(),
            role_claim: "role".into(),
            admin_roles: vec!["admin".into()],
        }
    }

    fn written_as<R: Record + PartialEq + std::fmt::Debug>(record: &R, bytes: &[u8]) {
        assert_eq!(
            record.to_value().escape_ascii().to_string(),
            bytes.escape_ascii().to_string()
        );
        assert_eq!(&R::from_value(bytes).unwrap(), record);
    }

    #[test]
    fn the_first_written_forms_still_read() {
        written_as(&ProjectsHead { changed: at(5) }, b"\x01\xa1\x00\x05");
        written_as(&UserRecord::default(), b"\x01\xa0");
        let user = UserRecord {
            blocked: Some(at(1)),
            revoked: Some(at(2)),
        };
        written_as(&user, b"\x01\xa2\x00\x01\x01\x02");
        let project = ProjectRecord {
            created: at(1),
            updated: at(2),
            description: "d".into(),
            envelope: None,
        };
        written_as(&project, b"\x01\xa3\x00\x01\x01\x02\x02\x61d");
        written_as(
            &without_images(),
            b"\x01\xa4\x00\x01\x01\x02\x02\x65s-dev\x03\x81\xa4\x00\x64temp\x01\x09\x02\x81\x67image/*\x03\x01",
        );
        let start = b"\x01\xa5\x00\x01\x01\x02\x02\x65s-dev\x03\x81\xa4\x00\x64temp\x01\x09\x02\x81\x67image/*\x03\x01";
        let end = b"\x01\xf5\x02\x81\xa2\x00\x64card\x01\x6efit-in/400x300\x03\x09";
        let full = [&start[..], b"\x04\xa4\x00\x58\x28", &[7; 40], end].concat();
        written_as(&environment(), &full);
        let bare = EnvironmentRecord {
            logical: Vec::new(),
            ..without_images()
        };
        written_as(&bare, b"\x01\xa3\x00\x01\x01\x02\x02\x65s-dev");
        let hash = [0x41; 32];
        let start = b"\x01\xa8\x00\x01\x01\x02\x02\x61s\x03\x63dev\x04\x01\x05\x63web\x06\x58\x20";
        let secret = [&start[..], &hash, b"\x08\x81\x67files:*"].concat();
        written_as(&key(KeyKind::Secret, None), &secret);
        let start = b"\x01\xac\x00\x01\x01\x02\x02\x61s\x03\x63dev\x04\x00\x05\x63web\x06\x58\x20";
        let end = b"\x07\x62pk\x08\x81\x67files:*\x09\x81\x6ehttps://a.test\x0a\x03\x0b\x04";
        let publishable = [&start[..], &hash, end].concat();
        written_as(&key(KeyKind::Publishable, Some("pk")), &publishable);
        written_as(
            &issuer(IssuerKeys::Secret(vec![7, 8])),
            b"\x01\xa9\x00\x01\x01\x02\x02\x6ehttps://i.test\x03\x65HS256\x04\x82\x00\x81\x42\x07\x08\x06\x63sub\
            \x07\x66groups\x08\x64role\x09\x81\x65admin",
        );
    }

    #[test]
    fn what_goes_by_itself_survives_its_value_and_refuses_damage() {
        let record = EnvironmentRecord {
            logical: vec![LogicalBucketRecord {
                ttl_seconds: Some(60),
                collects_unreferenced: true,
                needs_registration: true,
                not_scanned: true,
                takes_guests: true,
                exact_sizes: true,
                ..environment().logical[0].clone()
            }],
            ..environment()
        };
        survives(&record);
        rejects_damage(&record);
    }

    proptest! {
        #[test]
        fn keys_survive_their_value(hash: [u8; 32], text: Option<String>, scopes: Vec<String>, origins: Vec<String>) {
            survives(&ProjectKeyRecord { hash, text, scopes, origins, ..key(KeyKind::Secret, None) });
        }

        #[test]
        fn issuers_survive_their_value(secret: Vec<u8>, url: String, iss: Option<String>, roles: Vec<String>) {
            for keys in [IssuerKeys::Secret(secret), IssuerKeys::KeySet(url.clone()), IssuerKeys::Discovery(url)] {
                survives(&IssuerRecord { issuer: iss.clone(), audience: iss.clone(), admin_roles: roles.clone(), ..issuer(keys) });
            }
        }

        #[test]
        fn environments_survive_their_value(name: String, max_size: Option<u64>, types: Vec<String>) {
            let logical = vec![LogicalBucketRecord { name, max_size, types, ..LogicalBucketRecord::default() }];
            survives(&EnvironmentRecord { logical, ..environment() });
        }
    }

    #[test]
    fn damage_is_refused() {
        rejects_damage(&ProjectsHead { changed: at(5) });
        rejects_damage(&ProjectRecord {
            created: at(1),
            updated: at(2),
            description: "what it is for".into(),
            envelope: Some(Envelope::Bare),
        });
        rejects_damage(&environment());
        rejects_damage(&with_webhook());
        survives(&with_webhook());
        rejects_damage(&with_image_hosts());
        survives(&with_image_hosts());
        rejects_damage(&key(KeyKind::Publishable, Some("pk_0")));
        rejects_damage(&key(KeyKind::Secret, None));
        rejects_damage(&issuer(IssuerKeys::Secret(vec![1; 40])));
        rejects_damage(&issuer(IssuerKeys::KeySet("https://i.test/keys".into())));
        rejects_damage(&issuer(IssuerKeys::Discovery("https://i.test/doc".into())));
    }

    #[test]
    fn a_visibility_of_an_unknown_kind_is_refused_and_never_read_as_not_set() {
        let mut newer = without_images().to_value().to_vec();
        let last = newer.len() - 1;
        newer[last] = 9;
        assert!(EnvironmentRecord::from_value(&newer).is_err());
    }
}
