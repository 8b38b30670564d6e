//! Bodies that the admin API's clients encrypt. The first byte says what is done: the rest is read as such a body, or it is
//! sealed, opened, and opened again with one byte changed.

use drystone::admin::sealed::{Header, MessageKey};

fn key() -> MessageKey {
    MessageKey::new([7; 32])
}

/// A body that says `text`; the first byte of `text` chooses the suite.
pub(super) fn sealed(text: &[u8]) -> Vec<u8> {
    let suite = text.first().map_or(0, |first| first % 3);
    let head = [&[1; 32][..], &[suite], &[2; 8]].concat();
    let (header, _) = Header::split(&head).unwrap();
    header.seal(&key(), text).unwrap()
}

pub(super) fn sealed_body(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    if mode % 2 == 0 {
        let Ok((header, fragments)) = Header::split(rest) else {
            return;
        };
        // What opens is what sealing it again makes.
        if let Ok(text) = header.open(&key(), fragments) {
            assert_eq!(header.seal(&key(), &text).unwrap(), rest);
        }
        return;
    }
    let body = sealed(rest);
    let (header, fragments) = Header::split(&body).unwrap();
    assert_eq!(header.open(&key(), fragments).unwrap().as_slice(), rest);
    let mut changed = fragments.to_vec();
    let at = rest
        .iter()
        .fold(usize::from(*mode), |sum, byte| sum * 31 % 65_521 + usize::from(*byte))
        % changed.len();
    changed[at] ^= 1 << (mode % 8);
    assert!(header.open(&key(), &changed).is_err(), "a changed body opened");
}
