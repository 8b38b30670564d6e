//! Distinguished names (RFC 4514), in one form: attribute types in lower case, no space around separators, the parts of
//! one level sorted, one way to escape. Pure.
//!
//! Values are kept as they are written. Case makes no difference to almost any server, so `identity` compares names without it.

use std::fmt;

/// Most bytes of a name, as it is written here.
pub(super) const DN_BYTES_MAX: usize = 512;

/// A distinguished name, lowest level first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dn(Vec<Vec<Part>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    attribute: String,
    value: Vec<u8>,
}

/// Where a part ends.
enum End {
    Part,
    Level,
    Name,
}

impl Dn {
    /// Reads a name; `None`: it is none, an empty one, one with values in hexadecimal BER, or a very long one.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut levels, mut level, mut rest) = (Vec::new(), Vec::new(), text.as_bytes());
        loop {
            let (attribute, behind) = attribute(rest)?;
            let (value, end, behind) = value(behind)?;
            level.push(Part { attribute, value });
            rest = behind;
            if matches!(end, End::Part) {
                continue;
            }
            level.sort();
            levels.push(std::mem::take(&mut level));
            if matches!(end, End::Name) {
                let name = Self(levels);
                return (name.to_string().len() <= DN_BYTES_MAX).then_some(name);
            }
        }
    }

    /// Whether it stands below `base`, or is it. Here case makes no difference: it decides on a search, on no rights.
    pub fn is_within(&self, base: &Self) -> bool {
        let same =
            |one: &Part, other: &Part| one.attribute == other.attribute && one.value.eq_ignore_ascii_case(&other.value);
        let same_level = |(one, other): (&Vec<Part>, &Vec<Part>)| {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b))
        };
        self.0.len() >= base.0.len() && self.0.iter().rev().zip(base.0.iter().rev()).all(same_level)
    }

    /// How many levels it has.
    pub fn levels(&self) -> usize {
        self.0.len()
    }
}

/// The attribute type before a `=`, and what follows that.
fn attribute(text: &[u8]) -> Option<(String, &[u8])> {
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let (attribute, rest) = text.split_at_checked(equals)?;
    let attribute = std::str::from_utf8(attribute.trim_ascii()).ok()?.to_ascii_lowercase();
    let attribute = attribute.strip_prefix("oid.").unwrap_or(&attribute);
    let good = attribute
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    (good && attribute.starts_with(|first: char| first.is_ascii_alphanumeric()))
        .then_some((attribute.to_owned(), rest.strip_prefix(b"=")?))
}

/// The value up to the next separator, unescaped, and what follows that.
fn value(text: &[u8]) -> Option<(Vec<u8>, End, &[u8])> {
    let mut rest = text.trim_ascii_start();
    if matches!(rest.first(), Some(b'#' | b'"')) {
        return None;
    }
    // Spaces at the end count only where they are escaped.
    let (mut value, mut counted) = (Vec::new(), 0);
    let end = loop {
        let Some((byte, behind)) = rest.split_first() else {
            break End::Name;
        };
        rest = behind;
        match byte {
            b'+' => break End::Part,
            b',' => break End::Level,
            b'\\' => {
                let (byte, behind) = escaped(rest)?;
                value.push(byte);
                counted = value.len();
                rest = behind;
            }
            b'"' | b';' | b'<' | b'>' | 0 => return None,
            b' ' => value.push(b' '),
            other => {
                value.push(*other);
                counted = value.len();
            }
        }
    };
    value.truncate(counted);
    Some((value, end, rest))
}

fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    if let [high, low, rest @ ..] = text
        && let (Some(high), Some(low)) = (digit(high), digit(low))
    {
        return Some(((high << 4) | low, rest));
    }
    let (byte, rest) = text.split_first()?;
    byte.is_ascii_punctuation()
        .then_some((*byte, rest))
        .or((*byte == b' ').then_some((b' ', rest)))
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, level) in self.0.iter().enumerate() {
            for (place, part) in level.iter().enumerate() {
                f.write_str(match (depth, place) {
                    (0, 0) => "",
                    (_, 0) => ",",
                    (_, _) => "+",
                })?;
                write!(f, "{}=", part.attribute)?;
                write_value(f, &part.value)?;
            }
        }
        Ok(())
    }
}

/// A `#` is escaped wherever it stands, so no name holds one.
fn write_value(f: &mut fmt::Formatter<'_>, value: &[u8]) -> fmt::Result {
    let last = value.len().saturating_sub(1);
    let mut at = 0;
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                ' ' if at == 0 || at == last => f.write_str("\\20")?,
                '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(f, "\\{character}")?,
                '#' => f.write_str("\\23")?,
                control if control.is_ascii_control() => write!(f, "\\{:02X}", u32::from(control))?,
                other => write!(f, "{other}")?,
            }
            at += character.len_utf8();
        }
        for byte in chunk.invalid() {
            write!(f, "\\{byte:02X}")?;
            at += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    fn written(text: &str) -> Option<String> {
        Dn::parse(text).map(|dn| dn.to_string())
    }

    #[test]
    fn a_name_has_one_form_however_it_is_written() {
        for (text, form) in [
            ("uid=ann,dc=example,dc=org", "uid=ann,dc=example,dc=org"),
            (" UID = ann , DC=example,Dc=org ", "uid=ann,dc=example,dc=org"),
            ("cn=Ann  Lee ,dc=x", "cn=Ann  Lee,dc=x"),
            ("OID.2.5.4.3=a,dc=x", "2.5.4.3=a,dc=x"),
            ("cn=Lee\\, Ann,dc=x", "cn=Lee\\, Ann,dc=x"),
            ("cn=Lee\\2c Ann,dc=x", "cn=Lee\\, Ann,dc=x"),
            ("cn=\\C3\\A5sa,dc=x", "cn=åsa,dc=x"),
            ("cn=åsa,dc=x", "cn=åsa,dc=x"),
            ("cn=\\ a\\ ,dc=x", "cn=\\20a\\20,dc=x"),
            ("uid=b+cn=a,dc=x", "cn=a+uid=b,dc=x"),
            ("cn=a\\#b=c,dc=x", "cn=a\\23b=c,dc=x"),
            ("cn=a\\00\\FF,dc=x", "cn=a\\00\\FF,dc=x"),
            ("cn=,dc=x", "cn=,dc=x"),
        ] {
            assert_eq!(written(text).as_deref(), Some(form), "{text}");
            assert_eq!(written(form).as_deref(), Some(form));
        }
        // Values are the server's to compare.
        assert_ne!(written("uid=ann,dc=x"), written("uid=Ann,dc=x"));
    }

    #[test]
    fn what_is_no_name_is_none() {
        for text in [
            "",
            "ann",
            "=ann",
            "a b=c",
            "cn=a,",
            "cn=a,,dc=x",
            "cn=a\\",
            "cn=a\\zb",
            "cn=#0403",
            "cn=\"a\"",
            "cn=a;dc=x",
            "cn=a<b",
            "cn=a\0",
        ] {
            assert_eq!(written(text), None, "{text:?}");
        }
        assert_eq!(written(&format!("cn={}", "a".repeat(DN_BYTES_MAX))), None);
    }

    #[test]
    fn what_stands_below_a_base_is_told_from_what_only_ends_like_it() {
        let within = |dn: &str, base: &str| Dn::parse(dn).unwrap().is_within(&Dn::parse(base).unwrap());
        assert!(within("uid=a,ou=people,dc=x", "OU=People,dc=X"));
        assert!(within("dc=x", "dc=x"));
        assert!(!within("dc=x", "ou=people,dc=x"));
        assert!(!within("uid=a,ou=otherpeople,dc=x", "ou=people,dc=x"));
        assert!(!within("uid=a\\,ou=people,dc=x", "ou=people,dc=x"));
    }

    proptest! {
        #[test]
        fn any_value_survives_being_written(value: Vec<u8>, other in any::<String>()) {
            let dn = Dn(vec![vec![Part { attribute: "cn".into(), value }], vec![Part { attribute: "dc".into(), value: other.into_bytes() }]]);
            let text = dn.to_string();
            proptest::prop_assume!(text.len() <= DN_BYTES_MAX);
            prop_assert_eq!(Dn::parse(&text), Some(dn));
        }

        #[test]
        fn no_text_panics(text: String) {
            if let Some(dn) = Dn::parse(&text) {
                prop_assert_eq!(Dn::parse(&dn.to_string()), Some(dn));
            }
        }
    }
}
