//! What a scanner said of the bytes of a file; stored within the file's record.

use minicbor::{Decode, Encode};

use crate::store::clock::Timestamp;

/// What was said of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum ScanVerdict {
    #[n(0)]
    Clean,
    #[n(1)]
    Infected,
    /// They are more than is scanned.
    #[n(2)]
    TooLarge,
    /// No scanner said anything.
    #[n(3)]
    NotScanned,
}

impl ScanVerdict {
    pub const ALL: [Self; 4] = [Self::Clean, Self::Infected, Self::TooLarge, Self::NotScanned];

    /// Its name, as applications spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Infected => "infected",
            Self::TooLarge => "too-large",
            Self::NotScanned => "not-scanned",
        }
    }
}

/// What a scanner said.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ScanRecord {
    #[n(0)]
    pub verdict: ScanVerdict,
    /// What kind of scanner.
    #[n(1)]
    pub engine: String,
    /// What the scanner calls what it found.
    #[n(2)]
    pub signature: Option<String>,
    #[n(3)]
    pub at: Timestamp,
    /// Somebody let the bytes be read all the same.
    #[n(4)]
    pub released: Option<Release>,
}

/// Who let bytes be read, whatever a scanner said.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Release {
    #[n(0)]
    pub by: String,
    #[n(1)]
    pub reason: String,
    #[n(2)]
    pub at: Timestamp,
}

#[cfg(test)]
pub(in crate::store) mod tests {
    use super::*;
    use crate::store::record::file::File;
    use crate::store::record::tests::{rejects_damage, survives};

    pub(in crate::store) fn full() -> ScanRecord {
        ScanRecord {
            verdict: ScanVerdict::Infected,
            engine: "clamd".into(),
            signature: Some("Eicar-Test-Signature".into()),
            at: Timestamp::from_millis(7),
            released: Some(Release {
                by: "key 1".into(),
                reason: "a test".into(),
                at: Timestamp::from_millis(8),
            }),
        }
    }

    #[test]
    fn survives_in_the_record_of_a_file_and_refuses_damage() {
        let file = |scan| File {
            scan: Some(scan),
            ..File::pending("k".into(), [2; 16], "a".into(), Timestamp::from_millis(1))
        };
        for verdict in ScanVerdict::ALL {
            let bare = ScanRecord {
                verdict,
                signature: None,
                released: None,
                ..full()
            };
            survives(&file(bare));
        }
        survives(&file(full()));
        rejects_damage(&file(full()));
    }
}
