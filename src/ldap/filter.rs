//! Search filters with a place for who is looked for (RFC 4515, `%s` and `%d`), read once and filled in as values.
//!
//! What is filled in never is part of a filter's text, so nothing in it can be taken for one. Pure.

use super::ber::{OCTETS, SEQUENCE, element, joined};

const AND: u8 = 0xa0;
const OR: u8 = 0xa1;
const NOT: u8 = 0xa2;
const EQUAL: u8 = 0xa3;
const SUBSTRINGS: u8 = 0xa4;
const AT_LEAST: u8 = 0xa5;
const AT_MOST: u8 = 0xa6;
const PRESENT: u8 = 0x87;
const SIMILAR: u8 = 0xa8;
const EXTENSIBLE: u8 = 0xa9;

/// How deep filters may stand in each other.
const DEPTH_MAX: usize = 16;

const PARENTHESES: &str = "is no LDAP filter: parentheses do not match, as in (uid=%s)";

/// A filter that is to be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Node);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    /// All of them, or any.
    Set(u8, Vec<Node>),
    Not(Box<Node>),
    Present(String),
    Compared {
        how: u8,
        attribute: String,
        value: Value,
    },
    Substrings {
        attribute: String,
        /// Before the first `*`, between, and after the last; empty where nothing stands.
        parts: Vec<Value>,
    },
    Extensible {
        rule: String,
        attribute: String,
        of_dn: bool,
        value: Value,
    },
}

type Value = Vec<Piece>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    /// `%s`
    Name,
    /// `%d`
    Dn,
}

/// What is filled in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filling<'f> {
    pub(super) name: &'f str,
    pub(super) dn: &'f str,
}

impl Template {
    /// Reads a filter; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (node, rest) = node(text.trim(), 0)?;
        match rest {
            "" => Ok(Self(node)),
            _ => Err(PARENTHESES),
        }
    }

    /// Whether the name, or the distinguished name, has a place in it.
    pub(super) fn asks_for(&self, name: bool, dn: bool) -> bool {
        let wanted = |piece: &Piece| match piece {
            Piece::Bytes(_) => false,
            Piece::Name => name,
            Piece::Dn => dn,
        };
        self.0.values().iter().copied().flatten().any(wanted)
    }

    /// The filter as it goes out.
    pub(super) fn filled(&self, with: Filling<'_>) -> Vec<u8> {
        self.0.encoded(with)
    }

    /// One that everything fits.
    pub(super) fn anything() -> Vec<u8> {
        element(PRESENT, b"objectClass")
    }
}

impl Node {
    fn values(&self) -> Vec<&Value> {
        match self {
            Self::Set(_, nodes) => nodes.iter().flat_map(Self::values).collect(),
            Self::Not(node) => node.values(),
            Self::Present(_) => Vec::new(),
            Self::Compared { value, .. } | Self::Extensible { value, .. } => vec![value],
            Self::Substrings { parts, .. } => parts.iter().collect(),
        }
    }

    fn encoded(&self, with: Filling<'_>) -> Vec<u8> {
        match self {
            Self::Set(tag, nodes) => {
                let nodes: Vec<Vec<u8>> = nodes.iter().map(|node| node.encoded(with)).collect();
                joined(*tag, &nodes)
            }
            Self::Not(node) => element(NOT, &node.encoded(with)),
            Self::Present(attribute) => element(PRESENT, attribute.as_bytes()),
            Self::Compared { how, attribute, value } => joined(
                *how,
                &[
                    element(OCTETS, attribute.as_bytes()),
                    element(OCTETS, &bytes(value, with)),
                ],
            ),
            Self::Substrings { attribute, parts } => {
                let last = parts.len().saturating_sub(1);
                let parts = parts.iter().enumerate().filter(|(_, part)| !part.is_empty());
                let parts: Vec<Vec<u8>> = parts
                    .map(|(at, part)| {
                        let tag = match at {
                            0 => 0x80,
                            at if at == last => 0x82,
                            _ => 0x81,
                        };
                        element(tag, &bytes(part, with))
                    })
                    .collect();
                joined(
                    SUBSTRINGS,
                    &[element(OCTETS, attribute.as_bytes()), joined(SEQUENCE, &parts)],
                )
            }
            Self::Extensible {
                rule,
                attribute,
                of_dn,
                value,
            } => {
                let named = [(0x81, rule), (0x82, attribute)];
                let named = named.into_iter().filter(|(_, text)| !text.is_empty());
                let mut parts: Vec<Vec<u8>> = named.map(|(tag, text)| element(tag, text.as_bytes())).collect();
                parts.push(element(0x83, &bytes(value, with)));
                if *of_dn {
                    parts.push(element(0x84, &[0xff]));
                }
                joined(EXTENSIBLE, &parts)
            }
        }
    }
}

fn bytes(value: &Value, with: Filling<'_>) -> Vec<u8> {
    let pieces: Vec<&[u8]> = value
        .iter()
        .map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.as_slice(),
            Piece::Name => with.name.as_bytes(),
            Piece::Dn => with.dn.as_bytes(),
        })
        .collect();
    pieces.concat()
}

/// One filter at the beginning of `text`, and what follows it.
fn node(text: &str, depth: usize) -> Result<(Node, &str), &'static str> {
    if depth > DEPTH_MAX {
        return Err("is nested too deeply");
    }
    let inner = text.strip_prefix('(').ok_or(PARENTHESES)?.trim_start();
    let set = inner.strip_prefix('&').map(|rest| (AND, rest));
    let set = set.or_else(|| inner.strip_prefix('|').map(|rest| (OR, rest)));
    if let Some((tag, rest)) = set {
        let (mut nodes, mut rest) = (Vec::new(), rest.trim_start());
        while !rest.starts_with(')') {
            let (one, behind) = node(rest, depth.saturating_add(1))?;
            nodes.push(one);
            rest = behind.trim_start();
        }
        return Ok((Node::Set(tag, nodes), rest.strip_prefix(')').unwrap_or_default()));
    }
    if let Some(rest) = inner.strip_prefix('!') {
        let (one, behind) = node(rest.trim_start(), depth.saturating_add(1))?;
        let behind = behind.trim_start().strip_prefix(')').ok_or(PARENTHESES)?;
        return Ok((Node::Not(Box::new(one)), behind));
    }
    let end = inner.find(['(', ')']).ok_or(PARENTHESES)?;
    let (item, rest) = inner.split_at_checked(end).ok_or(PARENTHESES)?;
    Ok((self::item(item)?, rest.strip_prefix(')').ok_or(PARENTHESES)?))
}

fn item(text: &str) -> Result<Node, &'static str> {
    const NO_ITEM: &str = "is no LDAP filter: a comparison is written as (attribute=value)";
    let (left, right) = text.split_once('=').ok_or(NO_ITEM)?;
    if let Some(left) = left.strip_suffix(':') {
        return extensible(left, right);
    }
    let how = [("~", SIMILAR), (">", AT_LEAST), ("<", AT_MOST)];
    let compared = how
        .iter()
        .find_map(|(sign, how)| Some((left.strip_suffix(sign)?, *how)));
    let (attribute, how) = compared.unwrap_or((left, EQUAL));
    let attribute = checked(attribute)?;
    let mut parts = right.split('*').map(value).collect::<Result<Vec<Value>, _>>()?;
    match (how, parts.len()) {
        (_, 0 | 1) => Ok(Node::Compared {
            how,
            attribute,
            value: parts.pop().unwrap_or_default(),
        }),
        (EQUAL, _) if right == "*" => Ok(Node::Present(attribute)),
        (EQUAL, _) if parts.iter().all(Vec::is_empty) => Err("holds '**', which is no comparison"),
        (EQUAL, _) => Ok(Node::Substrings { attribute, parts }),
        (_, _) => Err("holds a '*' where none may stand; write \\2a for one that is meant"),
    }
}

/// `attribute:dn:rule:=value`
fn extensible(left: &str, right: &str) -> Result<Node, &'static str> {
    let mut parts = left.split(':');
    let attribute = parts.next().unwrap_or_default();
    let (mut rule, mut of_dn) = (String::new(), false);
    for part in parts {
        match part {
            "dn" if !of_dn && rule.is_empty() => of_dn = true,
            part if rule.is_empty() => rule = checked(part)?,
            _ => return Err("is no LDAP filter: too many ':' before ':='"),
        }
    }
    let attribute = match attribute {
        "" if rule.is_empty() => return Err("is no LDAP filter: ':=' needs an attribute or a rule"),
        "" => String::new(),
        attribute => checked(attribute)?,
    };
    if right.contains('*') {
        return Err("holds a '*' where none may stand; write \\2a for one that is meant");
    }
    Ok(Node::Extensible {
        rule,
        attribute,
        of_dn,
        value: value(right)?,
    })
}

fn checked(attribute: &str) -> Result<String, &'static str> {
    let attribute = attribute.trim();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b';' | b'_');
    match !attribute.is_empty() && attribute.bytes().all(good) {
        true => Ok(attribute.to_owned()),
        false => Err("is no LDAP filter: a name of an attribute holds letters, digits, '-', '.' and ';'"),
    }
}

/// A value with its escapes and places read.
fn value(text: &str) -> Result<Value, &'static str> {
    const ESCAPE: &str = "holds a '\\' without two hexadecimal digits behind it";
    let (mut pieces, mut plain) = (Vec::new(), Vec::new());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        let place = match (byte, rest.first()) {
            (b'%', Some(b's')) => Some(Piece::Name),
            (b'%', Some(b'd')) => Some(Piece::Dn),
            (_, _) => None,
        };
        if let Some(place) = place {
            rest = rest.split_first().map_or(rest, |(_, behind)| behind);
            if !plain.is_empty() {
                pieces.push(Piece::Bytes(std::mem::take(&mut plain)));
            }
            pieces.push(place);
        } else if *byte == b'\\' {
            let (digits, behind) = rest.split_at_checked(2).ok_or(ESCAPE)?;
            let digits = std::str::from_utf8(digits).map_err(|_| ESCAPE)?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(ESCAPE);
            }
            plain.push(u8::from_str_radix(digits, 16).map_err(|_| ESCAPE)?);
            rest = behind;
        } else {
            plain.push(*byte);
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Bytes(plain));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, name: &str) -> Vec<u8> {
        let dn = "uid=ann,dc=x";
        Template::parse(text).unwrap().filled(Filling { name, dn })
    }

    fn equal(attribute: &str, value: &[u8]) -> Vec<u8> {
        joined(EQUAL, &[element(OCTETS, attribute.as_bytes()), element(OCTETS, value)])
    }

    #[test]
    fn a_name_is_a_value_whatever_it_holds() {
        for name in [
            "ann",
            "*",
            ")(uid=*",
            "a)(|(uid=*",
            "\\2a",
            "%d",
            "\0",
            "åsa",
            "*)(objectClass=*",
        ] {
            assert_eq!(filled("(uid=%s)", name), equal("uid", name.as_bytes()), "{name}");
        }
        let both = joined(AND, &[equal("member", b"uid=ann,dc=x"), equal("uid", b"*")]);
        assert_eq!(filled("(&(member=%d)(uid=%s))", "*"), both);
    }

    #[test]
    fn filters_are_read_as_rfc_4515_writes_them() {
        let parts = |parts: &[(u8, &str)]| {
            let parts: Vec<Vec<u8>> = parts.iter().map(|(tag, text)| element(*tag, text.as_bytes())).collect();
            joined(SUBSTRINGS, &[element(OCTETS, b"cn"), joined(SEQUENCE, &parts)])
        };
        for (text, expected) in [
            ("(cn=Babs Jensen)", equal("cn", b"Babs Jensen")),
            ("(!(cn=Tim))", element(NOT, &equal("cn", b"Tim"))),
            ("( | (a=1) (b=2) )", joined(OR, &[equal("a", b"1"), equal("b", b"2")])),
            (
                "(cn=univ*of*mich*)",
                parts(&[(0x80, "univ"), (0x81, "of"), (0x81, "mich")]),
            ),
            ("(cn=*x)", parts(&[(0x82, "x")])),
            ("(cn=*)", element(PRESENT, b"cn")),
            ("(cn=\\2a\\28\\c3\\a5)", equal("cn", "*(å".as_bytes())),
            ("(seeAlso=)", equal("seeAlso", b"")),
            (
                "(a>=1)",
                joined(AT_LEAST, &[element(OCTETS, b"a"), element(OCTETS, b"1")]),
            ),
            (
                "(memberOf:1.2.840.113556.1.4.1941:=%d)",
                joined(
                    EXTENSIBLE,
                    &[
                        element(0x81, b"1.2.840.113556.1.4.1941"),
                        element(0x82, b"memberOf"),
                        element(0x83, b"uid=ann,dc=x"),
                    ],
                ),
            ),
            (
                "(o:dn:=Ace)",
                joined(
                    EXTENSIBLE,
                    &[element(0x82, b"o"), element(0x83, b"Ace"), element(0x84, &[0xff])],
                ),
            ),
        ] {
            assert_eq!(filled(text, "ann"), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let deep = format!("{}(a=1){}", "(!".repeat(20), ")".repeat(20));
        for text in [
            "",
            "uid=%s",
            "(uid=%s",
            "(uid=%s))",
            "(uid)",
            "(=x)",
            "(%s=x)",
            "(&(a=1)",
            "(a=\\zz)",
            "(a=\\2)",
            "(a=**)",
            "(a>=*x)",
            "(:=x)",
            "(a b=c)",
            "(a=(b))",
            &deep,
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        let places = |text| {
            Template::parse(text).map(|template| [template.asks_for(true, false), template.asks_for(false, true)])
        };
        assert_eq!(places("(&(a=x%s)(b=*%d*))"), Ok([true, true]));
        assert_eq!(places("(a=%%)"), Ok([false, false]));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String) {
            drop(Template::parse(&text));
            drop(Template::parse(&format!("({text})")));
        }
    }
}
