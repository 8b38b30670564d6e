//! The record of what a file was, before other bytes took the place of these.

use minicbor::{Decode, Encode};

use crate::store::clock::Timestamp;
use crate::store::etag::ETag;
use crate::store::record::Record;
use crate::store::record::file::File;
use crate::store::record::scan::ScanRecord;

/// What a file was. The object of it, with the bytes, is the noncurrent version of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FileVersion {
    #[n(0)]
    pub size: u64,
    #[n(1)]
    pub etag: Option<ETag>,
    #[n(2)]
    pub sha256: Option<[u8; 32]>,
    /// The media type its owner said.
    #[n(3)]
    pub declared_type: Option<String>,
    /// The media type its bytes say.
    #[n(4)]
    pub sniffed_type: Option<String>,
    /// Of an image, in pixels.
    #[n(5)]
    pub width: Option<u32>,
    #[n(6)]
    pub height: Option<u32>,
    /// When its bytes came to stand there.
    #[n(7)]
    pub received: Option<Timestamp>,
    #[n(8)]
    pub replaced: Timestamp,
    /// What a scanner said of its bytes.
    #[n(9)]
    pub scan: Option<ScanRecord>,
}

impl FileVersion {
    /// What a file is, now that it is replaced.
    pub fn of(file: &File, replaced: Timestamp) -> Self {
        Self {
            size: file.size,
            etag: file.etag,
            sha256: file.sha256,
            declared_type: file.declared_type.clone(),
            sniffed_type: file.sniffed_type.clone(),
            width: file.width,
            height: file.height,
            received: file.received,
            replaced,
            scan: file.scan.clone(),
        }
    }

    /// The file as it was then; what is said of it, and who may see it, is as it is now.
    pub fn put_back(self, file: &mut File) {
        (file.size, file.etag, file.sha256) = (self.size, self.etag, self.sha256);
        (file.declared_type, file.sniffed_type) = (self.declared_type, self.sniffed_type);
        (file.width, file.height, file.received) = (self.width, self.height, self.received);
        file.scan = self.scan;
    }
}

impl Record for FileVersion {
    const KIND: &'static str = "file version";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::tests::{rejects_damage, survives};

    fn photo() -> File {
        File {
            declared_type: Some("image/png".into()),
            sniffed_type: Some("image/jpeg".into()),
            size: 7,
            sha256: Some([9; 32]),
            etag: Some(ETag::Md5([1; 16])),
            width: Some(640),
            height: Some(480),
            received: Some(Timestamp::from_millis(2)),
            scan: Some(crate::store::record::scan::tests::full()),
            ..bare()
        }
    }

    fn bare() -> File {
        File::pending("k/a.png".into(), [2; 16], "a.png".into(), Timestamp::from_millis(1))
    }

    #[test]
    fn survives_its_value_and_refuses_damage() {
        for file in [bare(), photo()] {
            let version = FileVersion::of(&file, Timestamp::from_millis(9));
            survives(&version);
            rejects_damage(&version);
        }
    }

    #[test]
    fn a_version_that_is_put_back_makes_the_file_what_it_was() {
        let mut file = bare();
        FileVersion::of(&photo(), Timestamp::from_millis(9)).put_back(&mut file);
        assert_eq!(file, photo());
    }
}
