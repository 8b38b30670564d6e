//! Tokens of links. The first byte says what is done: the rest is read as what a token carries, or as a token itself, or it
//! is sealed, opened, and opened again with one byte changed.

use drystone::auth::{LinkTerms, LinkUse, UploadTerms};
use drystone::identity::LinkSealer;
use drystone::links::carried::Carried;
use drystone::links::{Asker, Person, Uploader, carried};
use storage_engine::store::clock::Timestamp;
use time::OffsetDateTime;

fn sealer() -> LinkSealer {
    LinkSealer::new(&[7; 32]).unwrap()
}

/// What tokens of every kind of link, and of credentials that only upload, carry.
pub(super) fn texts() -> Vec<Vec<u8>> {
    let uses = [
        LinkUse::Get {
            disposition: Some("attachment; filename=\"a\"".into()),
            shown_as: Some("fit-in/300x200".into()),
            counter: Some([3; 16]),
        },
        LinkUse::Put {
            max_size: Some(u64::MAX),
            min_size: 1,
            types: vec!["image/*".into()],
            once: true,
            by_form: false,
        },
        LinkUse::Part {
            upload: "u".into(),
            numbers: 1..=10_000,
            max_size: None,
        },
    ];
    let person = Person {
        name: "shop/main|ann".into(),
        owner: "app:shop/main|ann".into(),
        groups: vec!["staff".into()],
        claims: [("jwt:email".to_owned(), vec!["a@b.c".to_owned()])].into(),
    };
    let uploads = UploadTerms {
        bucket: "shop-prod".into(),
        expires: OffsetDateTime::UNIX_EPOCH,
        of_user: true,
    };
    let uploader = Uploader {
        key_id: "k1".into(),
        person: person.clone(),
        revoked: Timestamp::from_millis(1),
    };
    let uploads = carried::encode_uploads(&uploads, &uploader).unwrap();
    let askers = [None, Some(person)].map(|person| Asker {
        key_id: "k1".into(),
        guest_in: person.is_none().then(|| "inbox".into()),
        admin: person.is_some(),
        owner: person.is_some().then(|| "app:shop/main|bob".into()),
        revoked: Timestamp::default(),
        person,
    });
    let made = uses.iter().flat_map(|lets| {
        askers.iter().map(|asker| {
            let terms = LinkTerms {
                file: [1; 16],
                bucket: "shop-prod".into(),
                key: "01/a.png".into(),
                epoch: 1,
                expires: OffsetDateTime::UNIX_EPOCH,
                lets: lets.clone(),
                takes_guests: false,
            };
            carried::encode(&terms, asker).unwrap()
        })
    });
    made.chain([uploads]).collect()
}

/// A token that carries `text`, and its access key.
pub(super) fn token(text: &[u8]) -> (String, String) {
    let sealed = sealer().seal(text).unwrap();
    let token = String::from_utf8(sealed.token.expose().to_vec()).unwrap();
    (sealed.access_key, token)
}

pub(super) fn link_token(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    match mode % 3 {
        0 => {
            let Some(read) = carried::decode(rest) else {
                return;
            };
            let again = match &read {
                Carried::Link(terms, asker) => carried::encode(terms, asker),
                Carried::Uploads(terms, uploader) => carried::encode_uploads(terms, uploader),
            };
            assert_eq!(carried::decode(&again.unwrap()), Some(read));
        }
        1 => {
            let Some((access_key, text)) = std::str::from_utf8(rest).ok().and_then(|text| text.split_once(' ')) else {
                return;
            };
            // What opens is what sealing it again makes.
            if let Some((text, _)) = sealer().open(access_key, text) {
                assert_eq!(token(&text).0, access_key);
            }
        }
        _ => {
            let rest = rest.get(..4_000).unwrap_or(rest);
            let (access_key, text) = token(rest);
            assert_eq!(sealer().open(&access_key, &text).unwrap().0.as_slice(), rest);
            let mut changed = text.into_bytes();
            let at = rest
                .iter()
                .fold(usize::from(*mode), |sum, byte| sum * 31 % 65_521 + usize::from(*byte))
                % changed.len();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(sealer().open(&access_key, &changed).is_none(), "a changed token opened");
        }
    }
}
