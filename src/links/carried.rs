//! What the token of a link, or of a credential that only uploads, carries, as bytes. Pure.
//!
//! Owns the form described under "Links" in docs/on-disk-format.md. A field that this version does not know is refused and
//! never passed over: it could be a limit.

use serde::{Deserialize, Serialize};
use storage_engine::store::clock::Timestamp;
use time::OffsetDateTime;

use super::asker::{Asker, Person};
use super::uploads::Uploader;
use crate::auth::{LinkTerms, LinkUse, UploadTerms};

/// What a token was given out for, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    Link(LinkTerms, Asker),
    Uploads(UploadTerms, Uploader),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CarriedLink {
    /// The id of the file, 32 hexadecimal digits.
    #[serde(rename = "f")]
    file: String,
    #[serde(rename = "b")]
    bucket: String,
    #[serde(rename = "k")]
    key: String,
    #[serde(rename = "e")]
    epoch: u32,
    /// Seconds since 1970.
    #[serde(rename = "x")]
    expires: i64,
    #[serde(rename = "l")]
    lets: CarriedUse,
    /// The id of the asker's project key.
    #[serde(rename = "i")]
    key_id: String,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Milliseconds since 1970.
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    revoked: u64,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    guest_in: Option<String>,
    #[serde(rename = "a", default, skip_serializing_if = "is_not")]
    admin: bool,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    person: Option<Person>,
}

/// It is about no file, and never a guest's.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CarriedUploads {
    #[serde(rename = "b")]
    bucket: String,
    /// Seconds since 1970.
    #[serde(rename = "x")]
    expires: i64,
    #[serde(rename = "l")]
    lets: CarriedUploadsUse,
    /// The id of the asker's project key.
    #[serde(rename = "i")]
    key_id: String,
    #[serde(rename = "p")]
    person: Person,
    /// Milliseconds since 1970.
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    revoked: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
enum CarriedUploadsUse {
    #[serde(rename = "u")]
    Uploads {
        #[serde(rename = "s", default, skip_serializing_if = "is_not")]
        of_server: bool,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
enum CarriedUse {
    #[serde(rename = "g")]
    Get {
        #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
        disposition: Option<String>,
        #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
        shown_as: Option<String>,
        /// 32 hexadecimal digits.
        #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
        counter: Option<String>,
    },
    #[serde(rename = "p")]
    Put {
        #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
        max_size: Option<u64>,
        #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
        min_size: u64,
        #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
        types: Vec<String>,
        #[serde(rename = "o", default, skip_serializing_if = "is_not")]
        once: bool,
        #[serde(rename = "f", default, skip_serializing_if = "is_not")]
        by_form: bool,
    },
    #[serde(rename = "n")]
    Part {
        #[serde(rename = "u")]
        upload: String,
        #[serde(rename = "s")]
        first: u16,
        #[serde(rename = "z")]
        last: u16,
        #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
        max_size: Option<u64>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the derived writer hands a reference")]
fn is_not(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the derived writer hands a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn hex(id: &[u8; 16]) -> String {
    hex_simd::encode_to_string(id, hex_simd::AsciiCase::Lower)
}

/// An id as [`hex`] writes it, and in no other form.
fn unhex(text: &str) -> Option<[u8; 16]> {
    let well_formed = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let bytes = hex_simd::decode_to_vec(text.as_bytes()).ok()?;
    bytes.try_into().ok().filter(|_| well_formed)
}

/// What is sealed into a link with these terms for this asker.
pub fn encode(terms: &LinkTerms, asker: &Asker) -> Result<Vec<u8>, serde_json::Error> {
    let carried = CarriedLink {
        file: hex(&terms.file),
        bucket: terms.bucket.clone(),
        key: terms.key.clone(),
        epoch: terms.epoch,
        expires: terms.expires.unix_timestamp(),
        lets: match terms.lets.clone() {
            LinkUse::Get {
                disposition,
                shown_as,
                counter,
            } => CarriedUse::Get {
                disposition,
                shown_as,
                counter: counter.map(|id| hex(&id)),
            },
            LinkUse::Put {
                max_size,
                min_size,
                types,
                once,
                by_form,
            } => CarriedUse::Put {
                max_size,
                min_size,
                types,
                once,
                by_form,
            },
            LinkUse::Part {
                upload,
                numbers,
                max_size,
            } => CarriedUse::Part {
                upload,
                first: *numbers.start(),
                last: *numbers.end(),
                max_size,
            },
        },
        key_id: asker.key_id.clone(),
        owner: asker.owner.clone(),
        revoked: asker.revoked.millis(),
        guest_in: asker.guest_in.clone(),
        admin: asker.admin,
        person: asker.person.clone(),
    };
    serde_json::to_vec(&carried)
}

/// What is sealed into a credential that only uploads, for whoever asked for it.
pub fn encode_uploads(terms: &UploadTerms, uploader: &Uploader) -> Result<Vec<u8>, serde_json::Error> {
    let carried = CarriedUploads {
        bucket: terms.bucket.clone(),
        expires: terms.expires.unix_timestamp(),
        lets: CarriedUploadsUse::Uploads {
            of_server: !terms.of_user,
        },
        key_id: uploader.key_id.clone(),
        person: uploader.person.clone(),
        revoked: uploader.revoked.millis(),
    };
    serde_json::to_vec(&carried)
}

/// What [`encode`] or [`encode_uploads`] wrote; `None`: it is nothing that this version writes. What is the one never reads
/// as the other: what it lets says which.
pub fn decode(bytes: &[u8]) -> Option<Carried> {
    match serde_json::from_slice::<CarriedUploads>(bytes) {
        Ok(carried) => {
            let CarriedUploadsUse::Uploads { of_server } = carried.lets;
            let terms = UploadTerms {
                bucket: carried.bucket,
                expires: OffsetDateTime::from_unix_timestamp(carried.expires).ok()?,
                of_user: !of_server,
            };
            let uploader = Uploader {
                key_id: carried.key_id,
                person: carried.person,
                revoked: Timestamp::from_millis(carried.revoked),
            };
            Some(Carried::Uploads(terms, uploader))
        }
        Err(_) => decode_link(bytes),
    }
}

fn decode_link(bytes: &[u8]) -> Option<Carried> {
    let carried: CarriedLink = serde_json::from_slice(bytes).ok()?;
    let terms = LinkTerms {
        file: unhex(&carried.file)?,
        bucket: carried.bucket,
        key: carried.key,
        epoch: carried.epoch,
        expires: OffsetDateTime::from_unix_timestamp(carried.expires).ok()?,
        lets: match carried.lets {
            CarriedUse::Get {
                disposition,
                shown_as,
                counter,
            } => LinkUse::Get {
                disposition,
                shown_as,
                counter: match counter {
                    Some(id) => Some(unhex(&id)?),
                    None => None,
                },
            },
            CarriedUse::Put {
                max_size,
                min_size,
                types,
                once,
                by_form,
            } => LinkUse::Put {
                max_size,
                min_size,
                types,
                once,
                by_form,
            },
            CarriedUse::Part {
                upload,
                first,
                last,
                max_size,
            } => LinkUse::Part {
                upload,
                numbers: first..=last,
                max_size,
            },
        },
        takes_guests: false,
    };
    let asker = Asker {
        key_id: carried.key_id,
        guest_in: carried.guest_in,
        admin: carried.admin,
        person: carried.person,
        owner: carried.owner,
        revoked: Timestamp::from_millis(carried.revoked),
    };
    Some(Carried::Link(terms, asker))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use storage_engine::store::clock::Timestamp;
    use time::macros::datetime;

    use super::{Asker, Carried, LinkTerms, LinkUse, Person, UploadTerms, Uploader, decode, encode, encode_uploads};

    fn terms(lets: LinkUse) -> LinkTerms {
        LinkTerms {
            file: [0xab; 16],
            bucket: "shop-prod".into(),
            key: "00/a b€.png".into(),
            epoch: 3,
            expires: datetime!(2026-01-02 03:04:05 UTC),
            lets,
            takes_guests: false,
        }
    }

    fn guest() -> Asker {
        Asker {
            key_id: "k1".into(),
            guest_in: None,
            admin: false,
            person: None,
            owner: None,
            revoked: Timestamp::default(),
        }
    }

    fn ann() -> Asker {
        Asker {
            admin: true,
            person: Some(Person {
                name: "shop/main|ann".into(),
                owner: "app:shop/main|ann".into(),
                groups: vec!["staff".into()],
                claims: BTreeMap::from([("jwt:email".into(), vec!["a@b.c".into()])]),
            }),
            ..guest()
        }
    }

    const HEAD: &str =
        r#"{"f":"abababababababababababababababab","b":"shop-prod","k":"00/a b€.png","e":3,"x":1767323045,"l":"#;
    const ANN: &str = r#","i":"k1","a":true,"p":{"n":"shop/main|ann","o":"app:shop/main|ann","g":["staff"],"c":{"jwt:email":["a@b.c"]}}}"#;

    /// Links that were given out stay what they were: each of these texts reads, and is written back as it was.
    #[test]
    fn what_links_of_every_kind_carry_reads_on() {
        let put = |max_size, min_size, types: &[&str], once| LinkUse::Put {
            max_size,
            min_size,
            types: types.iter().map(ToString::to_string).collect(),
            once,
            by_form: false,
        };
        for (lets, text) in [
            (LinkUse::get(), r#"{"g":{}}"#),
            (
                LinkUse::Get {
                    disposition: Some("attachment".into()),
                    shown_as: None,
                    counter: None,
                },
                r#"{"g":{"d":"attachment"}}"#,
            ),
            (
                LinkUse::Get {
                    disposition: None,
                    shown_as: Some("fit-in/300x200".into()),
                    counter: Some([0xcd; 16]),
                },
                r#"{"g":{"t":"fit-in/300x200","c":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"}}"#,
            ),
            (put(None, 0, &[], false), r#"{"p":{}}"#),
            (
                put(Some(9), 1, &["image/*"], true),
                r#"{"p":{"m":9,"n":1,"t":["image/*"],"o":true}}"#,
            ),
            (
                LinkUse::Put {
                    max_size: None,
                    min_size: 0,
                    types: Vec::new(),
                    once: true,
                    by_form: true,
                },
                r#"{"p":{"o":true,"f":true}}"#,
            ),
            (
                LinkUse::Part {
                    upload: "u1".into(),
                    numbers: 2..=10_000,
                    max_size: Some(9),
                },
                r#"{"n":{"u":"u1","s":2,"z":10000,"m":9}}"#,
            ),
        ] {
            for (asker, rest) in [(guest(), r#","i":"k1"}"#), (ann(), ANN)] {
                let whole = format!("{HEAD}{text}{rest}");
                let written = encode(&terms(lets.clone()), &asker).unwrap();
                assert_eq!(String::from_utf8(written).unwrap(), whole);
                let expected = Carried::Link(terms(lets.clone()), asker);
                assert_eq!(decode(whole.as_bytes()), Some(expected), "{whole}");
            }
        }
    }

    #[test]
    fn what_credentials_that_only_upload_carry_reads_on() {
        const REST: &str = r#"},"i":"k1","p":{"n":"shop/main|ann","o":"app:shop/main|ann"}}"#;
        for (of_user, lets) in [(true, r#"{"u":{}"#), (false, r#"{"u":{"s":true}"#)] {
            let terms = UploadTerms {
                bucket: "shop-prod".into(),
                expires: datetime!(2026-01-02 03:04:05 UTC),
                of_user,
            };
            let uploader = Uploader {
                key_id: "k1".into(),
                person: ann().person.unwrap().without_claims(),
                revoked: Timestamp::default(),
            };
            let whole = format!(r#"{{"b":"shop-prod","x":1767323045,"l":{lets}{REST}"#);
            let written = encode_uploads(&terms, &uploader).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), whole);
            assert_eq!(decode(whole.as_bytes()), Some(Carried::Uploads(terms, uploader)));
            for (from, to) in [
                (r#""i":"k1""#, r#""i":"k1","q":1"#),
                (r#""i":"k1""#, r#""i":"k1","a":true"#),
                (r#""u":{"#, r#""u":{"q":1,"#),
                (r#""u":{"#, r#""p":{"#),
                (r#""b":"#, r#""k":"a","b":"#),
                (r#","p":{"n":"shop/main|ann","o":"app:shop/main|ann"}"#, ""),
            ] {
                let changed = whole.replacen(from, to, 1);
                assert_ne!(changed, whole, "{from}");
                assert_eq!(decode(changed.as_bytes()), None, "{changed}");
            }
        }
    }

    #[test]
    fn who_owns_the_file_and_what_had_been_revoked_is_carried() {
        let revoked = Timestamp::from_millis(1_767_000_000_000);
        let whole = format!(
            r#"{HEAD}{{"g":{{}}}},"i":"k1","u":"app:shop/main|bob","r":1767000000000,"p":{{"n":"shop/main|ann","o":"app:shop/main|ann"}}}}"#
        );
        let person = ann().person.unwrap().without_claims();
        let asker = Asker {
            person: Some(person.clone()),
            owner: Some("app:shop/main|bob".into()),
            revoked,
            ..guest()
        };
        let written = encode(&terms(LinkUse::get()), &asker).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), whole);
        assert_eq!(
            decode(whole.as_bytes()),
            Some(Carried::Link(terms(LinkUse::get()), asker))
        );
        let uploads = UploadTerms {
            bucket: "shop-prod".into(),
            expires: datetime!(2026-01-02 03:04:05 UTC),
            of_user: true,
        };
        let uploader = Uploader {
            key_id: "k1".into(),
            person,
            revoked,
        };
        let written = String::from_utf8(encode_uploads(&uploads, &uploader).unwrap()).unwrap();
        assert!(written.ends_with(r#","r":1767000000000}"#), "{written}");
        assert_eq!(decode(written.as_bytes()), Some(Carried::Uploads(uploads, uploader)));
    }

    #[test]
    fn a_guest_carries_where_they_put_a_file() {
        let whole = format!(r#"{HEAD}{{"p":{{}}}},"i":"k1","w":"inbox"}}"#);
        let asker = Asker {
            guest_in: Some("inbox".into()),
            ..guest()
        };
        let lets = LinkUse::Put {
            max_size: None,
            min_size: 0,
            types: Vec::new(),
            once: false,
            by_form: false,
        };
        let written = encode(&terms(lets.clone()), &asker).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), whole);
        assert_eq!(decode(whole.as_bytes()), Some(Carried::Link(terms(lets), asker)));
    }

    #[test]
    fn what_this_version_does_not_know_is_refused_and_not_passed_over() {
        let good = format!(r#"{HEAD}{{"p":{{}}}},"i":"k1"}}"#);
        assert!(decode(good.as_bytes()).is_some());
        for (from, to) in [
            (r#""i":"k1""#, r#""i":"k1","q":1"#),
            (r#"{"p":{}}"#, r#"{"p":{"q":1}}"#),
            (r#"{"p":{}}"#, r#"{"q":{}}"#),
            (r#"{"p":{}}"#, r#"{"g":{"c":""}}"#),
            (r#"{"p":{}}"#, r#"{"g":{"c":"CDcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"}}"#),
            (r#"{"p":{}}"#, r#"{"p":{},"g":{}}"#),
            (r#""i":"k1""#, r#""i":"k1","p":{"n":"","o":"","q":1}"#),
            ("ab\"", "AB\""),
            ("abab\"", "ab\""),
            (r#""e":3,"#, ""),
            (r#""e":3,"#, r#""e":-3,"#),
            ("1767323045", "99999999999999999"),
        ] {
            let changed = good.replacen(from, to, 1);
            assert_ne!(changed, good, "{from}");
            assert_eq!(decode(changed.as_bytes()), None, "{changed}");
        }
    }
}
