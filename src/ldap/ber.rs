//! The part of BER that LDAP is written in (RFC 4511, 5.1): definite lengths, tags of one byte. Pure, without recursion.

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;

/// Most bytes that a length behind its first byte may have.
const LENGTH_BYTES_MAX: u8 = 4;

/// One element.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let (_, length) = length.split_at_checked(zeros).unwrap_or((&[], &[]));
    let mut bytes = Vec::with_capacity(content.len().saturating_add(8));
    bytes.push(tag);
    match (length, content.len()) {
        ([], _) => bytes.push(0),
        ([one], 0..128) => bytes.push(*one),
        (many, _) => {
            bytes.push(0x80 | u8::try_from(many.len()).unwrap_or(LENGTH_BYTES_MAX));
            bytes.extend_from_slice(many);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

/// An element of others.
pub(super) fn joined(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag, &parts.concat())
}

/// An INTEGER or ENUMERATED.
pub(super) fn number(tag: u8, value: u32) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take(3).take_while(|byte| **byte == 0).count();
    let (_, least) = bytes.split_at_checked(zeros).unwrap_or((&[], &bytes));
    // The first bit is the sign.
    let positive = match least.first() {
        Some(first) if *first >= 0x80 => [&[0][..], least].concat(),
        Some(_) | None => least.to_vec(),
    };
    element(tag, &positive)
}

/// What the first byte of a length says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// All of it.
    Is(usize),
    /// So many bytes of it follow.
    Follows(usize),
}

impl Length {
    /// `None`: indefinite, or longer than anything that is read here.
    pub(super) fn of(first: u8) -> Option<Self> {
        match first {
            0..0x80 => Some(Self::Is(usize::from(first))),
            _ => match first & 0x7f {
                many @ 1..=LENGTH_BYTES_MAX => Some(Self::Follows(usize::from(many))),
                _ => None,
            },
        }
    }
}

/// A number of at most four bytes, big end first.
pub(super) fn unsigned(bytes: &[u8]) -> Option<u32> {
    let fits = bytes.len() <= usize::from(LENGTH_BYTES_MAX);
    fits.then(|| bytes.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
}

/// Elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'b>(pub(super) &'b [u8]);

impl<'b> Elements<'b> {
    /// The next one: its tag and its content. `None`: none is left, or it is not whole.
    pub(super) fn read(&mut self) -> Option<(u8, &'b [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match Length::of(*first)? {
            Length::Is(length) => (length, rest),
            Length::Follows(bytes) => {
                let (length, rest) = rest.split_at_checked(bytes)?;
                (usize::try_from(unsigned(length)?).ok()?, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    /// The content of the next one, if it has this tag.
    pub(super) fn take(&mut self, wanted: u8) -> Option<&'b [u8]> {
        let (tag, content) = self.read()?;
        (tag == wanted).then_some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_read_back_whatever_their_length() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let bytes = [element(OCTETS, &content), number(INTEGER, 300)].concat();
            let mut read = Elements(&bytes);
            assert_eq!(read.read(), Some((OCTETS, content.as_slice())), "{length}");
            assert_eq!(read.take(INTEGER).and_then(unsigned), Some(300));
            assert_eq!(read.read(), None);
            // Cut off anywhere, it is no element.
            assert!(Elements(&bytes[..length + 1]).read().is_none());
        }
        assert_eq!(number(INTEGER, 0), [INTEGER, 1, 0]);
        assert_eq!(number(INTEGER, 200), [INTEGER, 2, 0, 200]);
        assert_eq!(element(OCTETS, &[1; 200])[..3], [OCTETS, 0x81, 200]);
    }

    #[test]
    fn lengths_that_nobody_means_are_no_lengths() {
        for bytes in [
            &[0x30, 0x80][..],
            &[0x30, 0x85, 0, 0, 0, 0, 1],
            &[0x30, 0xff],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30],
        ] {
            assert_eq!(Elements(bytes).read(), None, "{bytes:?}");
        }
    }
}
