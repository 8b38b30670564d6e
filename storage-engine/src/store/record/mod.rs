//! The values of rows: one file per kind, a leading format byte, then CBOR with numbered fields.
//!
//! A field's number is never given to another field; a value of an unknown format is refused, never guessed at.

use bytes::Bytes;
use minicbor::{Decode, Encode};

pub mod bucket;
pub mod counter;
pub mod event;
pub mod file;
pub mod file_version;
pub mod identity;
pub mod labels;
pub mod object;
pub mod part;
pub mod part_table;
pub mod projects;
pub mod resumable;
pub mod scan;
pub mod server_settings;
pub mod settings;
pub mod upload;

/// A row value that does not read as what its key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("{kind} record of unknown format {found}")]
    UnknownFormat { kind: &'static str, found: u8 },
    #[error("{kind} record does not decode")]
    Malformed { kind: &'static str },
}

/// A kind of row value. All present kinds are of format 1.
pub trait Record: Encode<()> + for<'b> Decode<'b, ()> {
    const KIND: &'static str;
    const FORMAT: u8 = 1;

    fn to_value(&self) -> Bytes {
        let mut value = Vec::with_capacity(256);
        value.push(Self::FORMAT);
        minicbor::encode(self, &mut value).expect("writing to a Vec cannot fail and no field refuses to encode");
        Bytes::from(value)
    }

    fn from_value(value: &[u8]) -> Result<Self, RecordError> {
        let malformed = RecordError::Malformed { kind: Self::KIND };
        let (format, fields) = value.split_first().ok_or(malformed)?;
        if *format != Self::FORMAT {
            return Err(RecordError::UnknownFormat {
                kind: Self::KIND,
                found: *format,
            });
        }
        let mut decoder = minicbor::Decoder::new(fields);
        let record = decoder.decode().map_err(|_| malformed)?;
        if decoder.position() == fields.len() {
            Ok(record)
        } else {
            Err(malformed)
        }
    }
}

/// The two checks every kind of record passes.
#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn survives<R: Record + PartialEq + std::fmt::Debug>(record: &R) -> Bytes {
        let value = record.to_value();
        assert_eq!(R::from_value(&value).as_ref(), Ok(record));
        value
    }

    /// Every cut, an unknown format and trailing bytes are refused.
    pub(crate) fn rejects_damage<R: Record + PartialEq + std::fmt::Debug>(record: &R) {
        let value = record.to_value();
        for cut in 0..value.len() {
            assert!(R::from_value(&value[..cut]).is_err(), "cut at {cut}");
        }
        let mut long = value.to_vec();
        long.push(0);
        assert_eq!(R::from_value(&long), Err(RecordError::Malformed { kind: R::KIND }));
        let mut newer = value.to_vec();
        newer[0] = R::FORMAT + 1;
        assert_eq!(
            R::from_value(&newer),
            Err(RecordError::UnknownFormat {
                kind: R::KIND,
                found: R::FORMAT + 1
            })
        );
    }
}
