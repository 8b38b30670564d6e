//! One file that is to be brought: where its bytes are, and what is known of it. Pure.

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use crate::cli::admin::bytes as shown_bytes;
use crate::cli::app::reading::hex;

/// Where bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    File(PathBuf),
    Url(Url),
}

/// Whose a file is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    /// What the issuer calls them.
    pub(super) subject: String,
    /// Its alias in the project.
    pub(super) issuer: String,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Names it where it comes from, and nothing else there.
    pub(super) id: String,
    /// What else the application may have kept of it: a key, a path, the id in its URL.
    pub(super) alias: Option<String>,
    pub(super) place: Place,
    pub(super) name: String,
    /// `None`: by the ending of its name.
    pub(super) mime: Option<String>,
    pub(super) owner: Option<Owner>,
    pub(super) visibility: Option<String>,
    pub(super) bucket: Option<String>,
    pub(super) category: Option<String>,
    pub(super) tags: Vec<String>,
    /// As the Files API takes it.
    pub(super) metadata: Map<String, Value>,
    /// Who of the application needs it.
    pub(super) refs: Vec<String>,
    /// With whom it is shared, as the Files API takes it.
    pub(super) shares: Vec<Map<String, Value>>,
    /// When it ends by itself.
    pub(super) expires: Option<OffsetDateTime>,
    /// When it was made, as it was said.
    pub(super) created: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<[u8; 32]>,
}

/// How long a file may be asked to last: ten years.
const LASTS_SECONDS_MAX: i64 = 10 * 365 * 24 * 3_600;
/// The type of files of which nothing is known.
pub(super) const UNKNOWN: &str = "application/octet-stream";

impl Item {
    /// A file of which nothing but this is known.
    pub(super) fn new(id: String, place: Place, name: String) -> Self {
        Self {
            id,
            alias: None,
            place,
            name,
            mime: None,
            owner: None,
            visibility: None,
            bucket: None,
            category: None,
            tags: Vec::new(),
            metadata: Map::new(),
            refs: Vec::new(),
            shares: Vec::new(),
            expires: None,
            created: None,
            size: None,
            sha256: None,
        }
    }

    pub(super) fn media_type(&self) -> String {
        match &self.mime {
            Some(mime) => mime.clone(),
            None => mime_guess::from_path(&self.name)
                .first_raw()
                .unwrap_or(UNKNOWN)
                .to_owned(),
        }
    }

    /// What is announced of it: `from` where it comes, its type, and so many bytes with this hash. What the catalogue has no
    /// field for, as the time it was made, is kept in the metadata that its owner sees.
    pub(super) fn announced(&self, from: &str, kind: &str, (size, sha256): (u64, &[u8; 32])) -> Value {
        let mut metadata = self.metadata.clone();
        let mut custom = match metadata.remove("custom") {
            Some(Value::Object(custom)) => custom,
            _ => Map::new(),
        };
        // Of one that was moved before, what it was at the very beginning stays known.
        let before = custom.get("imported").filter(|before| before.is_object());
        let first = before.map(|before| before.get("first").unwrap_or(before).clone());
        let mut imported = json!({ "from": from, "id": self.id, "createdAt": self.created });
        if let (Some(first), Some(fields)) = (first, imported.as_object_mut()) {
            fields.insert("first".to_owned(), first);
        }
        custom.insert("imported".to_owned(), imported);
        metadata.insert("custom".to_owned(), Value::Object(custom));
        let mut fields = json!({
            "filename": self.name,
            "contentType": kind,
            "fileSize": size,
            "sha256": hex(sha256),
            "tags": self.tags,
            "metadata": metadata,
        });
        if let Some(fields) = fields.as_object_mut() {
            for (name, value) in [
                ("visibility", &self.visibility),
                ("bucket", &self.bucket),
                ("category", &self.category),
            ] {
                if let Some(value) = value {
                    fields.insert(name.to_owned(), json!(value));
                }
            }
        }
        fields
    }

    /// How long it is to be there, in seconds; one that has ended meanwhile goes to the trash at once, as it would have.
    pub(super) fn lasts(&self, now: OffsetDateTime) -> Option<i64> {
        self.expires
            .map(|ends| (ends - now).whole_seconds().clamp(1, LASTS_SECONDS_MAX))
    }

    /// The shares that have not ended.
    pub(super) fn shares_at(&self, now: OffsetDateTime) -> Vec<&Map<String, Value>> {
        let has_ended = |share: &&Map<String, Value>| {
            let ends = share.get("expiresAt").and_then(Value::as_str);
            ends.and_then(|ends| OffsetDateTime::parse(ends, &Rfc3339).ok())
                .is_some_and(|ends| ends <= now)
        };
        self.shares.iter().filter(|share| !has_ended(share)).collect()
    }

    /// A line for a person.
    pub(super) fn shown(&self, size: u64) -> String {
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let owner = self.owner.as_ref().map(|owner| owner.subject.clone());
        format!(
            "{}  {}  {}  {}  {}  {}",
            self.id,
            self.name,
            self.media_type(),
            shown_bytes(size),
            or(&self.visibility),
            or(&owner)
        )
    }
}
