//! LDAP's messages (RFC 4511), as far as somebody signs in with them: bind, search, StartTLS, unbind. Pure.

use zeroize::Zeroizing;

use super::ber::{BOOLEAN, ENUMERATED, Elements, INTEGER, OCTETS, SEQUENCE, element, joined, number, unsigned};

const BIND: u8 = 0x60;
const BOUND: u8 = 0x61;
const UNBIND: u8 = 0x42;
const SEARCH: u8 = 0x63;
const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x77;
const EXTENDED_DONE: u8 = 0x78;
/// The form of a password in a bind, and of a name in an extended request.
const FIRST: u8 = 0x80;
const VERSION: u32 = 3;
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// Asks for no attribute of an entry.
const NO_ATTRIBUTES: &[u8] = b"1.1";
/// Most characters of a server's words that are passed on to a log.
const WORDS_MAX: usize = 200;

/// What the result codes that make a difference are called.
pub(super) mod code {
    pub(crate) const SUCCESS: u32 = 0;
    pub(crate) const SIZE_LIMIT_EXCEEDED: u32 = 4;
    pub(crate) const CONSTRAINT_VIOLATION: u32 = 19;
    pub(crate) const NO_SUCH_OBJECT: u32 = 32;
    pub(crate) const INVALID_DN: u32 = 34;
    pub(crate) const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
    pub(crate) const INVALID_CREDENTIALS: u32 = 49;
    pub(crate) const INSUFFICIENT_ACCESS: u32 = 50;
    pub(crate) const UNWILLING: u32 = 53;
}

/// A password that a bind may carry. A bind without one is taken by servers for a success that proves nothing (RFC 4513,
/// 5.1.2), so there is none.
pub(super) struct Password(Zeroizing<String>);

impl Password {
    /// `None`: it is empty.
    pub(super) fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(Zeroizing::new(text.to_owned())))
    }
}

/// Which entries below a base are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Base,
    Below,
}

/// What is searched for; of what is found only its name is asked for.
#[derive(Clone, Debug)]
pub(super) struct Search<'s> {
    pub(super) base: &'s str,
    pub(super) scope: Scope,
    /// As it goes out.
    pub(super) filter: Vec<u8>,
    pub(super) entries_max: u32,
    pub(super) seconds: u32,
}

fn message(id: u32, operation: Vec<u8>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(joined(SEQUENCE, &[number(INTEGER, id), operation]))
}

pub(super) fn bind(id: u32, dn: &str, password: &Password) -> Zeroizing<Vec<u8>> {
    let secret = Zeroizing::new(element(FIRST, password.0.as_bytes()));
    let name = element(OCTETS, dn.as_bytes());
    let content = Zeroizing::new([number(INTEGER, VERSION).as_slice(), &name, &secret].concat());
    message(id, element(BIND, &content))
}

pub(super) fn search(id: u32, asked: &Search<'_>) -> Zeroizing<Vec<u8>> {
    let scope = match asked.scope {
        Scope::Base => 0,
        Scope::Below => 2,
    };
    let parts = [
        element(OCTETS, asked.base.as_bytes()),
        number(ENUMERATED, scope),
        // Aliases are followed nowhere: what stands at the end of one may stand outside the base.
        number(ENUMERATED, 0),
        number(INTEGER, asked.entries_max),
        number(INTEGER, asked.seconds),
        element(BOOLEAN, &[0xff]),
        asked.filter.clone(),
        joined(SEQUENCE, &[element(OCTETS, NO_ATTRIBUTES)]),
    ];
    message(id, joined(SEARCH, &parts))
}

pub(super) fn start_tls(id: u32) -> Zeroizing<Vec<u8>> {
    message(id, joined(EXTENDED, &[element(FIRST, START_TLS)]))
}

pub(super) fn unbind(id: u32) -> Zeroizing<Vec<u8>> {
    message(id, element(UNBIND, &[]))
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) code: u32,
    /// The server's words, for a log.
    pub(super) words: String,
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Bound(Outcome),
    /// An entry's name.
    Entry(String),
    /// That more may be found elsewhere, where nobody looks.
    Reference,
    Done(Outcome),
    ExtendedDone(Outcome),
}

/// Reads the content of a message: which request it answers, and what it says. `None`: it is no answer.
pub(super) fn read(content: &[u8]) -> Option<(u32, Said)> {
    let mut parts = Elements(content);
    let id = unsigned(parts.take(INTEGER)?)?;
    let (operation, content) = parts.read()?;
    let said = match operation {
        BOUND => Said::Bound(outcome(content)?),
        DONE => Said::Done(outcome(content)?),
        EXTENDED_DONE => Said::ExtendedDone(outcome(content)?),
        REFERENCE => Said::Reference,
        ENTRY => {
            let name = Elements(content).take(OCTETS)?;
            Said::Entry(std::str::from_utf8(name).ok()?.to_owned())
        }
        _ => return None,
    };
    Some((id, said))
}

fn outcome(content: &[u8]) -> Option<Outcome> {
    let mut parts = Elements(content);
    let code = unsigned(parts.take(ENUMERATED)?)?;
    let _matched = parts.take(OCTETS)?;
    let words = String::from_utf8_lossy(parts.take(OCTETS)?);
    let words = words.chars().filter(|word| !word.is_control()).take(WORDS_MAX);
    Some(Outcome {
        code,
        words: words.collect(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An answer as a server writes it.
    pub(crate) fn answer(id: u32, operation: u8, code: u32, words: &str) -> Vec<u8> {
        let parts = [
            number(ENUMERATED, code),
            element(OCTETS, b""),
            element(OCTETS, words.as_bytes()),
        ];
        joined(SEQUENCE, &[number(INTEGER, id), joined(operation, &parts)])
    }

    pub(crate) fn entry(id: u32, dn: &str) -> Vec<u8> {
        let parts = [element(OCTETS, dn.as_bytes()), element(SEQUENCE, &[])];
        joined(SEQUENCE, &[number(INTEGER, id), joined(ENTRY, &parts)])
    }

    fn said(message: &[u8]) -> Option<(u32, Said)> {
        read(Elements(message).take(SEQUENCE)?)
    }

    #[test]
    fn answers_are_read_and_their_words_are_one_short_line() {
        let words = format!("no\n{}", "x".repeat(500));
        let Some((7, Said::Bound(outcome))) = said(&answer(7, BOUND, 49, &words)) else {
            panic!("not read");
        };
        assert_eq!((outcome.code, outcome.words.len()), (49, WORDS_MAX));
        assert!(outcome.words.starts_with("nox"));
        let dn = "uid=ann,dc=x";
        assert_eq!(said(&entry(2, dn)), Some((2, Said::Entry(dn.to_owned()))));
    }

    #[test]
    fn a_bind_has_a_password_and_nothing_of_it_shows() {
        assert!(Password::new("").is_none());
        let request = bind(1, "cn=x", &Password::new(" ").unwrap());
        let content = [2, 1, 1, 0x60, 12, 2, 1, 3, 4, 4, b'c', b'n', b'=', b'x', 0x80, 1, b' '];
        assert_eq!(*request, [&[SEQUENCE, 17][..], &content].concat());
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(content: Vec<u8>) {
            drop(read(&content));
        }

        #[test]
        fn no_bent_answer_panics(at: usize, byte: u8) {
            for mut message in [answer(1, BOUND, 0, "words"), entry(300, "uid=ann,dc=x")] {
                let at = at % message.len();
                message[at] = byte;
                drop(said(&message));
            }
        }
    }
}
