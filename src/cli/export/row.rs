//! What the manifest says of a file, in the words that `drystone import` reads. Pure.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::place;
use crate::media::FileName;

/// What of a file's record is needed here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) original_name: String,
    pub(super) size: u64,
    pub(super) sha256: Option<String>,
    pub(super) etag: Option<String>,
    /// Its bytes are given out so often.
    pub(super) max_downloads: Option<u64>,
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl Record {
    pub(super) fn of(file: &Value) -> Result<Self, String> {
        Self::deserialize(file).map_err(|error| format!("the answer is no Drystone's: {error}"))
    }

    /// The line of the manifest, with its bytes at this path and with this SHA-256.
    pub(super) fn row(&self, path: &str, sha256: &str) -> Value {
        let field = |name: &str| self.all.get(name).cloned().unwrap_or_default();
        // What was written by S3 may be called in a way that no file of the Files API is.
        let name = match FileName::parse(&self.original_name) {
            Ok(_) => self.original_name.clone(),
            Err(_) => place::safe(&self.original_name),
        };
        let is_users = field("ownerType") == json!("user");
        let owned = |name: &str| if is_users { field(name) } else { Value::Null };
        let mut row = json!({
            "id": self.id,
            "alias": field("key"),
            "path": path,
            "name": name,
            "type": field("mimeType"),
            "size": self.size,
            "sha256": sha256,
            "owner": owned("ownerId"),
            "issuer": owned("ownerIssuer"),
            "visibility": field("visibility"),
            "bucket": field("bucket"),
            "category": field("category"),
            "tags": field("tags"),
            "metadata": field("metadata"),
            "refs": field("refs"),
            "shares": shares(&field("shares")),
            "createdAt": field("createdAt"),
            "expiresAt": field("expiresAt"),
        });
        if let Some(fields) = row.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        row
    }
}

/// The shares that can be made again: the token of a link was told once, to somebody else.
fn shares(shares: &Value) -> Value {
    let shares = shares.as_array().into_iter().flatten();
    let kept = shares.filter(|share| share.get("type") != Some(&json!("link")));
    let kept = kept.map(|share| {
        let fields = ["type", "id", "issuer", "access", "name", "expiresAt"].into_iter();
        let fields = fields.filter_map(|name| Some((name.to_owned(), share.get(name)?.clone())));
        Value::Object(fields.filter(|(_, value)| !value.is_null()).collect())
    });
    Value::Array(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_import_reads_and_owners_are_users_alone() {
        let mut file = json!({
            "id": "1", "key": "0/a.txt", "originalName": "a.txt", "mimeType": "text/plain", "size": 1, "sha256": null,
            "etag": "\"e\"", "status": "active", "ownerId": "ann", "ownerType": "user", "ownerIssuer": "own",
            "visibility": "shared", "bucket": null, "category": "exports", "tags": ["x"], "metadata": { "alt": "a" },
            "refs": ["post-1"], "createdAt": "2030-01-01T00:00:00.000Z", "expiresAt": null, "maxDownloads": null,
            "shares": [
                { "shareId": "s", "type": "user", "id": "sue", "issuer": "own", "access": "read", "name": null,
                  "createdAt": "2030-01-01T00:00:00.000Z", "expiresAt": null },
                { "shareId": "l", "type": "link", "id": null, "issuer": null, "access": "read", "name": "a link",
                  "createdAt": "2030-01-01T00:00:00.000Z", "expiresAt": null },
            ],
        });
        let expected = json!({
            "id": "1", "alias": "0/a.txt", "path": "files/a", "name": "a.txt", "type": "text/plain", "size": 1,
            "sha256": "00", "owner": "ann", "issuer": "own", "visibility": "shared", "category": "exports",
            "tags": ["x"], "metadata": { "alt": "a" }, "refs": ["post-1"], "createdAt": "2030-01-01T00:00:00.000Z",
            "shares": [{ "type": "user", "id": "sue", "issuer": "own", "access": "read" }],
        });
        assert_eq!(Record::of(&file).unwrap().row("files/a", "00"), expected);
        file["ownerType"] = json!("service");
        file["originalName"] = json!("a\\b/\n");
        let row = Record::of(&file).unwrap().row("files/a", "00");
        assert_eq!((row.get("owner"), row.get("issuer")), (None, None));
        assert_eq!(row["name"], json!("a_b__"));
        assert!(Record::of(&json!({ "id": "1" })).is_err());
    }
}
