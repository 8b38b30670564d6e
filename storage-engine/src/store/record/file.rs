//! The record of a file: what the catalogue of a bucket knows of it, from before its bytes arrive until it is purged.

use minicbor::{Decode, Encode};

use crate::store::clock::Timestamp;
use crate::store::etag::ETag;
use crate::store::record::Record;
use crate::store::record::labels::{Barred, Labels};
use crate::store::record::scan::ScanRecord;

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum FileState {
    /// Announced; no bytes have arrived.
    #[n(0)]
    Pending,
    /// Its bytes are there and nobody has looked at them: readable by its owner and by those who may do everything.
    #[n(1)]
    Received,
    /// Readable by whom its visibility says.
    #[n(2)]
    Active,
    /// Deleted, its bytes kept for a while.
    #[n(3)]
    Trashed,
    /// Refused after its bytes had arrived; they are gone.
    #[n(4)]
    Rejected,
    /// Its bytes are there, were looked at, and are to be scanned: nobody reads them.
    #[n(5)]
    Scanning,
    /// A scanner found something in its bytes, or could not take them: they are kept for a while, and nobody reads them.
    #[n(6)]
    Quarantined,
}

impl FileState {
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Received,
        Self::Active,
        Self::Trashed,
        Self::Rejected,
        Self::Scanning,
        Self::Quarantined,
    ];

    /// Its name, as applications spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Received => "received",
            Self::Active => "active",
            Self::Trashed => "trashed",
            Self::Rejected => "rejected",
            Self::Scanning => "scanning",
            Self::Quarantined => "quarantined",
        }
    }

    /// Whether its bytes stand at its key.
    pub fn has_bytes(self) -> bool {
        match self {
            Self::Received | Self::Active | Self::Scanning | Self::Quarantined => true,
            Self::Pending | Self::Trashed | Self::Rejected => false,
        }
    }

    /// The state of a file whose object carries these labels and stands at its key.
    pub(in crate::store) fn of_labels(labels: &Labels) -> Self {
        match (labels.barred, labels.held) {
            (Some(Barred::Quarantined), _) => Self::Quarantined,
            (None | Some(Barred::Scanning), true) => Self::Received,
            (Some(Barred::Scanning), false) => Self::Scanning,
            (None, false) => Self::Active,
        }
    }
}

/// Who a file belongs to, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum OwnerType {
    /// Somebody who signed in.
    #[n(0)]
    User,
    /// Whoever holds a session without an account.
    #[n(1)]
    Session,
    /// A server of the application, or an operator's tool.
    #[n(2)]
    Service,
    /// Nobody.
    #[n(3)]
    Public,
}

impl OwnerType {
    pub const ALL: [Self; 4] = [Self::User, Self::Session, Self::Service, Self::Public];

    /// Its name, as applications spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Session => "session",
            Self::Service => "service",
            Self::Public => "public",
        }
    }
}

/// What the bytes of a file must be; kept while it is pending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UploadLimits {
    /// Most bytes; `None`: as many as an object may have.
    #[n(0)]
    pub max_size: Option<u64>,
    /// Media types, `image/*` for all of a kind; empty: any.
    #[cbor(n(1), skip_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// What the SHA-256 of the first bytes must be; no longer kept once they were found to have it.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub sha256: Option<[u8; 32]>,
    /// The id of the upload token that it was announced with.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub token: Option<[u8; 16]>,
    /// How many of the first bytes there must be; no longer kept once there were so many. `None`: as many as come.
    #[n(4)]
    pub size: Option<u64>,
}

impl UploadLimits {
    fn is_unset(&self) -> bool {
        *self == Self::default()
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct File {
    /// The object's key in the bucket; never changes.
    #[n(0)]
    pub key: String,
    /// Names the file in links; unguessable.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub public_id: [u8; 16],
    #[n(2)]
    pub state: FileState,
    /// What its owner calls it.
    #[n(3)]
    pub name: String,
    /// The media type its owner said.
    #[n(4)]
    pub declared_type: Option<String>,
    /// The media type its bytes say; `None`: they say none, or were not looked at.
    #[n(5)]
    pub sniffed_type: Option<String>,
    /// Bytes; announced ones while it is pending.
    #[n(6)]
    pub size: u64,
    #[n(7)]
    pub sha256: Option<[u8; 32]>,
    #[n(8)]
    pub etag: Option<ETag>,
    /// Of an image, in pixels.
    #[n(9)]
    pub width: Option<u32>,
    #[n(10)]
    pub height: Option<u32>,
    /// Owner, visibility, shares: the object's, once there is one.
    #[n(11)]
    pub labels: Labels,
    #[n(12)]
    pub owner_type: OwnerType,
    /// The part of the application it belongs to (`avatars`, `documents`, …).
    #[n(13)]
    pub bucket: Option<String>,
    #[n(14)]
    pub category: Option<String>,
    /// A JSON object that the store hands back as it came; empty: none.
    #[cbor(n(15), skip_if = "String::is_empty")]
    pub metadata: String,
    #[cbor(n(16), skip_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What of the application it is about.
    #[n(17)]
    pub entity: Option<String>,
    #[cbor(n(18), skip_if = "UploadLimits::is_unset")]
    pub limits: UploadLimits,
    /// Links of an earlier epoch open nothing.
    #[n(19)]
    pub epoch: u32,
    /// Who of the application needs it; collection spares what is needed.
    #[cbor(n(20), skip_if = "Vec::is_empty")]
    pub refs: Vec<String>,
    #[n(21)]
    pub created: Timestamp,
    #[n(22)]
    pub updated: Timestamp,
    #[n(23)]
    pub received: Option<Timestamp>,
    /// When the application said that it knows of it.
    #[n(24)]
    pub registered: Option<Timestamp>,
    /// When it ends by itself.
    #[n(25)]
    pub expires: Option<Timestamp>,
    #[n(26)]
    pub deleted: Option<Timestamp>,
    /// Why it was rejected.
    #[n(27)]
    pub rejected: Option<String>,
    /// Of a file in the trash: the version that keeps its bytes.
    #[cbor(n(28), with = "minicbor::bytes")]
    pub trash: Option<[u8; 16]>,
    /// Bytes of all versions that are kept of it.
    #[cbor(n(29), skip_if = "is_none")]
    pub kept: u64,
    /// What a scanner said of its bytes; `None`: nothing yet, or nobody asked one.
    #[n(30)]
    pub scan: Option<ScanRecord>,
    /// How often its bytes are given out; `None`: as often as one likes. Its labels say whether there is such a limit.
    #[n(31)]
    pub downloads: Option<Downloads>,
}

/// How often the bytes of a file are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Downloads {
    /// In all.
    #[n(0)]
    pub most: u32,
    /// Still.
    #[n(1)]
    pub left: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the derived writer hands a reference")]
fn is_none(bytes: &u64) -> bool {
    *bytes == 0
}

impl File {
    /// A file that is announced.
    pub fn pending(key: String, public_id: [u8; 16], name: String, created: Timestamp) -> Self {
        Self {
            key,
            public_id,
            state: FileState::Pending,
            name,
            declared_type: None,
            sniffed_type: None,
            size: 0,
            sha256: None,
            etag: None,
            width: None,
            height: None,
            labels: Labels::default(),
            owner_type: OwnerType::User,
            bucket: None,
            category: None,
            metadata: String::new(),
            tags: Vec::new(),
            entity: None,
            limits: UploadLimits::default(),
            epoch: 0,
            refs: Vec::new(),
            created,
            updated: created,
            received: None,
            registered: None,
            expires: None,
            deleted: None,
            rejected: None,
            trash: None,
            kept: 0,
            scan: None,
            downloads: None,
        }
    }

    /// Gives its bytes out so often from now on, and then no more.
    pub fn give_out(&mut self, most: u32) {
        self.downloads = Some(Downloads { most, left: most });
        self.labels.counted = true;
    }

    /// The media type that counts: what the bytes say, or else what its owner said.
    pub fn media_type(&self) -> Option<&str> {
        self.sniffed_type.as_deref().or(self.declared_type.as_deref())
    }
}

impl Record for File {
    const KIND: &'static str = "file";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::labels::Visibility;
    use crate::store::record::tests::{rejects_damage, survives};

    fn full() -> File {
        File {
            state: FileState::Trashed,
            declared_type: Some("image/png".into()),
            sniffed_type: Some("image/jpeg".into()),
            size: 7,
            sha256: Some([9; 32]),
            etag: Some(ETag::Md5([1; 16])),
            width: Some(640),
            height: Some(480),
            labels: Labels {
                owner: Some("app:shop/main|ann".into()),
                visibility: Some(Visibility::Protected),
                ..Labels::default()
            },
            owner_type: OwnerType::Service,
            bucket: Some("avatars".into()),
            category: Some("images".into()),
            metadata: "{\"alt\":\"a cat\"}".into(),
            tags: vec!["cat".into()],
            entity: Some("post-1".into()),
            limits: UploadLimits {
                max_size: Some(100),
                types: vec!["image/*".into()],
                sha256: Some([7; 32]),
                token: Some([8; 16]),
                size: Some(100),
            },
            epoch: 3,
            refs: vec!["post-1".into()],
            received: Some(Timestamp::from_millis(2)),
            registered: Some(Timestamp::from_millis(3)),
            expires: Some(Timestamp::from_millis(4)),
            deleted: Some(Timestamp::from_millis(5)),
            rejected: Some("wrong type".into()),
            trash: Some([4; 16]),
            kept: 21,
            scan: Some(crate::store::record::scan::tests::full()),
            downloads: Some(Downloads { most: 3, left: 1 }),
            ..pending()
        }
    }

    fn pending() -> File {
        File::pending("k/a.png".into(), [2; 16], "a.png".into(), Timestamp::from_millis(1))
    }

    #[test]
    fn survives_its_value_and_refuses_damage() {
        for file in [pending(), full()] {
            survives(&file);
            rejects_damage(&file);
        }
        for state in FileState::ALL {
            survives(&File { state, ..pending() });
        }
        for owner_type in OwnerType::ALL {
            survives(&File { owner_type, ..full() });
        }
    }

    #[test]
    fn what_the_bytes_say_counts_before_what_was_said_of_them() {
        assert_eq!(full().media_type(), Some("image/jpeg"));
        let said = File {
            sniffed_type: None,
            ..full()
        };
        assert_eq!(said.media_type(), Some("image/png"));
    }
}
