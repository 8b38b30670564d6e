//! A file as JSON: all of it for its owner, the public fields for everybody else who may see it. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::files::{File, FileId, FileState, OwnerType};
use storage_engine::store::record::labels::Visibility;
use storage_engine::store::record::scan::ScanRecord;
use storage_engine::store::share::{Share, ShareAccess, ShareTarget};
use time::OffsetDateTime;
use time::macros::format_description;

use super::public;
use crate::media::{self, Mime};

/// What a key in a path of a URL takes as it is.
pub(super) const PATH_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');
/// The fields of metadata that everybody sees who sees the file.
const PUBLIC_METADATA: [&str; 2] = ["alt", "description"];

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eyes {
    /// Its owner, or an admin of the app.
    Owner,
    Others,
}

/// Where the bytes of files are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Scheme and authority.
    pub(super) origin: &'a str,
    pub(super) bucket: &'a str,
}

impl Place<'_> {
    /// The lasting URL of a public file.
    pub(super) fn url(&self, key: &str) -> String {
        let key = utf8_percent_encode(key, PATH_ESCAPED);
        format!("{}/{}/{key}", self.origin, self.bucket)
    }
}

/// The file as this caller sees it.
pub(super) fn file(id: FileId, file: &File, place: Place<'_>, eyes: Eyes) -> Value {
    let visibility = file.labels.visibility.unwrap_or(Visibility::Private);
    let is_open = visibility == Visibility::Public && file.state == FileState::Active;
    let mut fields = json!({
        "id": id.to_string(),
        "s3Key": file.key,
        "key": file.key,
        "originalName": file.name,
        "mimeType": served_type(file),
        "size": file.size,
        "width": file.width,
        "height": file.height,
        "visibility": visibility.name(),
        "metadata": metadata(file, eyes),
        "createdAt": moment(file.created),
        "url": is_open.then(|| place.url(&file.key)),
        "publicUrl": (is_open && !file.labels.counted).then(|| public::url(place, id, file)).flatten(),
    });
    if let (Eyes::Owner, Some(all)) = (eyes, fields.as_object_mut()) {
        let more = json!({
            "ownerId": owner(file),
            "ownerType": file.owner_type.name(),
            "ownerIssuer": issuer(file),
            "status": file.state.name(),
            "bucket": file.bucket,
            "category": file.category,
            "tags": file.tags,
            "relatedEntityId": file.entity,
            "refs": file.refs,
            "sha256": file.sha256.map(hex),
            "etag": file.etag.map(|etag| format!("\"{etag}\"")),
            "shares": file.labels.shares.iter().map(share).collect::<Vec<_>>(),
            "updatedAt": moment(file.updated),
            "receivedAt": file.received.map(moment),
            "registeredAt": file.registered.map(moment),
            "expiresAt": file.expires.map(moment),
            "deletedAt": file.deleted.map(moment),
            "maxDownloads": file.downloads.map(|downloads| downloads.most),
            "downloadsLeft": file.downloads.map(|downloads| downloads.left),
            "rejected": file.rejected,
            "scan": file.scan.as_ref().map(scan),
        });
        if let Value::Object(more) = more {
            all.extend(more);
        }
    }
    fields
}

/// The type that its bytes are served as: what was declared, unless the bytes are something else.
pub(super) fn served_type(file: &File) -> String {
    let declared = file.declared_type.as_deref().and_then(|text| Mime::parse(text).ok());
    let looked_at = matches!(
        file.state,
        FileState::Active | FileState::Trashed | FileState::Scanning | FileState::Quarantined
    );
    match (&declared, looked_at) {
        // Nobody looked at them yet.
        (Some(declared), false) => declared.as_str().to_owned(),
        _ => media::accept(declared.as_ref(), file.sniffed_type.as_deref(), &[])
            .map_or_else(|mismatch| mismatch.found(), |accepted| accepted.content_type),
    }
}

/// What a scanner said of its bytes.
fn scan(scan: &ScanRecord) -> Value {
    json!({
        "verdict": scan.verdict.name(),
        "engine": scan.engine,
        "signature": scan.signature,
        "at": moment(scan.at),
        "releasedBy": scan.released.as_ref().map(|released| &released.by),
        "reason": scan.released.as_ref().map(|released| &released.reason),
        "releasedAt": scan.released.as_ref().map(|released| moment(released.at)),
    })
}

/// What applications are told of who owns it: what the issuer calls them, without the project and the issuer.
fn owner(file: &File) -> Option<&str> {
    let owner = file.labels.owner.as_deref()?;
    let of_app = owner.strip_prefix("app:").and_then(|rest| rest.split_once('|'));
    Some(of_app.map_or(owner, |(_, subject)| subject))
}

/// The alias of the issuer that knows the user who owns it.
fn issuer(file: &File) -> Option<&str> {
    let owner = file
        .labels
        .owner
        .as_deref()
        .filter(|_| file.owner_type == OwnerType::User);
    owner.and_then(issuer_of)
}

/// The issuer's part of a user's whole name.
fn issuer_of(owner: &str) -> Option<&str> {
    let (of_project, _) = owner.strip_prefix("app:")?.split_once('|')?;
    Some(of_project.split_once('/')?.1)
}

fn metadata(file: &File, eyes: Eyes) -> Value {
    let mut fields = seen_metadata(file, eyes);
    if !file.tags.is_empty() {
        fields.insert("tags".to_owned(), json!(file.tags));
    }
    if let (Eyes::Owner, Some(entity)) = (eyes, &file.entity) {
        fields.insert("relatedEntityId".to_owned(), json!(entity));
    }
    Value::Object(fields)
}

/// The metadata as it is stored, as far as they see it.
pub(super) fn seen_metadata(file: &File, eyes: Eyes) -> Map<String, Value> {
    let mut fields = stored_metadata(file);
    if eyes == Eyes::Others {
        fields.retain(|name, _| PUBLIC_METADATA.contains(&name.as_str()));
    }
    fields
}

/// The metadata as it is stored, without what has a place of its own in the record.
pub(super) fn stored_metadata(file: &File) -> Map<String, Value> {
    match serde_json::from_str(&file.metadata) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// A share as the owner of its file sees it. Of a link there is no token: it was told once.
pub(super) fn share(share: &Share) -> Value {
    let (kind, target) = match &share.target {
        ShareTarget::User(owner) => {
            let bare = owner.strip_prefix("app:").and_then(|rest| rest.split_once('|'));
            ("user", Some(bare.map_or(owner.as_str(), |(_, subject)| subject)))
        }
        ShareTarget::Group(name) => ("group", Some(name.as_str())),
        ShareTarget::Email(address) => ("email", Some(address.as_str())),
        ShareTarget::Link(_) => ("link", None),
    };
    let issuer = match &share.target {
        ShareTarget::User(owner) => issuer_of(owner),
        ShareTarget::Group(_) | ShareTarget::Email(_) | ShareTarget::Link(_) => None,
    };
    json!({
        "shareId": share.id.to_string(),
        "type": kind,
        "id": target,
        "issuer": issuer,
        "access": match share.access {
            ShareAccess::Read => "read",
            ShareAccess::Write => "write",
        },
        "name": share.name,
        "createdAt": moment(share.made),
        "expiresAt": share.expires.map(moment),
    })
}

/// A digest as JSON has it.
pub(super) fn hex(digest: [u8; 32]) -> String {
    hex_simd::encode_to_string(digest, hex_simd::AsciiCase::Lower)
}

/// A time as JSON has it: ISO 8601 with milliseconds, in UTC.
pub(super) fn moment(time: Timestamp) -> String {
    let nanos = i128::from(time.millis()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).map_or_else(|_| String::new(), written)
}

pub(super) fn written(time: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time.format(form).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use storage_engine::store::record::labels::Labels;

    use super::*;

    fn photo() -> File {
        File {
            state: FileState::Active,
            declared_type: Some("image/png".into()),
            sniffed_type: Some("image/png".into()),
            sha256: Some([7; 32]),
            size: 5,
            labels: Labels {
                owner: Some("app:shop/main|ann".into()),
                visibility: Some(Visibility::Public),
                ..Labels::default()
            },
            metadata: r#"{"alt":"a cat","custom":{"secret":1},"category":"x"}"#.into(),
            tags: vec!["cat".into()],
            owner_type: OwnerType::User,
            entity: Some("post-1".into()),
            ..File::pending(
                "00/my photo.png".into(),
                [1; 16],
                "my photo.png".into(),
                Timestamp::from_millis(1_700_000_000_123),
            )
        }
    }

    const PLACE: Place<'_> = Place {
        origin: "https://files.test",
        bucket: "shop-prod",
    };

    #[test]
    fn others_see_the_public_fields_and_nothing_else() {
        let seen = file(FileId::from_bytes([0; 16]), &photo(), PLACE, Eyes::Others);
        let expected = json!({
            "id": "00000000-0000-0000-0000-000000000000",
            "s3Key": "00/my photo.png",
            "key": "00/my photo.png",
            "originalName": "my photo.png",
            "mimeType": "image/png",
            "size": 5,
            "width": null,
            "height": null,
            "visibility": "public",
            "metadata": { "alt": "a cat", "tags": ["cat"] },
            "createdAt": "2023-11-14T22:13:20.123Z",
            "url": "https://files.test/shop-prod/00/my%20photo.png",
            "publicUrl": seen.get("publicUrl"),
        });
        assert_eq!(seen, expected);
        let public_url = seen.get("publicUrl").and_then(Value::as_str).unwrap();
        assert!(
            public_url.starts_with("https://files.test/v1/pub/shop-prod."),
            "{public_url}"
        );
    }

    #[test]
    fn owners_see_all_and_themselves_by_the_name_their_issuer_gave() {
        let seen = file(FileId::from_bytes([0; 16]), &photo(), PLACE, Eyes::Owner);
        assert_eq!(seen.get("ownerId"), Some(&json!("ann")));
        assert_eq!(seen.get("ownerIssuer"), Some(&json!("main")));
        let metadata = json!({ "alt": "a cat", "custom": { "secret": 1 }, "category": "x", "tags": ["cat"], "relatedEntityId": "post-1" });
        assert_eq!(seen.get("metadata"), Some(&metadata));
        assert_eq!(seen.get("status"), Some(&json!("active")));
    }

    #[test]
    fn bytes_that_are_something_else_are_served_as_what_they_are() {
        let mut lie = photo();
        lie.sniffed_type = Some("text/html".into());
        assert_eq!(served_type(&lie), "text/html");
        lie.state = FileState::Received;
        assert_eq!(served_type(&lie), "image/png");
        let private = File {
            labels: Labels {
                visibility: None,
                ..photo().labels
            },
            ..photo()
        };
        let seen = file(FileId::from_bytes([0; 16]), &private, PLACE, Eyes::Owner);
        for url in ["url", "publicUrl"] {
            assert_eq!(seen.get(url), Some(&Value::Null), "{url}");
        }
    }
}
