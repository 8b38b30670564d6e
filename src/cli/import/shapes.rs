//! What the rows of a list say, in the words of where it came from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use super::item::{Item, Owner, Place};
use super::rows::{self, Row};
use super::source::{Found, inside};
use super::{ImportArgs, Source};

/// How rows are read.
pub(super) struct Shape<'a> {
    args: &'a ImportArgs,
    /// Where bytes are.
    folder: PathBuf,
    /// Of a Convex snapshot: its files by what stands before the ending of their names.
    by_stem: HashMap<String, String>,
}

/// The rows of a Convex snapshot, and the folder with its files. `source` is the snapshot, or that folder in it.
pub(super) fn convex_rows(source: &Path) -> Result<(PathBuf, Vec<Row>), String> {
    let below = source.join("_storage");
    let folder = if below.is_dir() { below } else { source.to_path_buf() };
    let list = folder.join("documents.jsonl");
    if !list.is_file() {
        return Err(format!(
            "{}: no _storage/documents.jsonl in it; export with file storage, and unpack the archive",
            source.display()
        ));
    }
    let rows = rows::read(&list)?;
    Ok((folder, rows))
}

impl<'a> Shape<'a> {
    pub(super) fn new(args: &'a ImportArgs, folder: PathBuf) -> Self {
        let mut by_stem = HashMap::new();
        if args.from == Source::Convex {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
                let stem = name.split('.').next().unwrap_or_default().to_owned();
                by_stem.insert(stem, name);
            }
        }
        Self { args, folder, by_stem }
    }

    /// The file that a row is about.
    pub(super) fn item(&self, at: usize, row: &Row) -> Found {
        let id = first(row, &["id", "_id", "path", "url", "name"]).unwrap_or_else(|| format!("row {}", at + 1));
        let read = match self.args.from {
            Source::Convex => self.convex(&id, row),
            Source::Supabase => self.supabase(&id, row),
            Source::Bkend => self.bkend(&id, row),
            Source::Manifest | Source::Folder => self.manifest(&id, row),
        };
        read.map_err(|why| (id, why))
    }

    fn manifest(&self, id: &str, row: &Row) -> Result<Item, String> {
        let path = first(row, &["path", "file"]);
        let url = first(row, &["url"]);
        let place = match (&path, &url) {
            (Some(path), _) => Place::File(inside(&self.folder, path)?),
            (None, Some(url)) => Place::Url(fetched(url)?),
            (None, None) => return Err("it names neither a path nor a url".to_owned()),
        };
        let name = first(row, &["originalName", "name", "filename"]);
        let name = name.or_else(|| last_segment(&place)).ok_or("it has no name")?;
        let mut item = usual(Item::new(id.to_owned(), place, name), row)?;
        item.alias = first(row, &["alias"]).or(path).or(url).filter(|alias| alias != id);
        item.owner = self.owner(first(row, &["owner", "ownerId"]), first(row, &["issuer"]));
        item.expires = first(row, &["expiresAt"]).map(|text| moment(&text)).transpose()?;
        if let Some(refs) = row.get("refs") {
            item.refs = texts(refs).ok_or("its refs are no list of texts")?;
        }
        item.shares = row
            .get("shares")
            .map(|shares| self.shares(shares))
            .transpose()?
            .unwrap_or_default();
        Ok(item)
    }

    fn bkend(&self, id: &str, row: &Row) -> Result<Item, String> {
        let key = first(row, &["s3Key", "key"]);
        let candidates = [first(row, &["path"]), key.clone(), Some(id.to_owned())];
        let mut tried = candidates.iter().flatten().map(|name| inside(&self.folder, name));
        let file = tried.find_map(Result::ok);
        let place = match (file, first(row, &["url"])) {
            (Some(path), _) => Place::File(path),
            (None, Some(url)) => Place::Url(fetched(&url)?),
            (None, None) => {
                return Err(format!(
                    "its bytes are not in {}, by its key or its id",
                    self.folder.display()
                ));
            }
        };
        let name = first(row, &["originalName"])
            .or_else(|| last_segment(&place))
            .ok_or("it has no name")?;
        let mut item = usual(Item::new(id.to_owned(), place, name), row)?;
        item.alias = key;
        let is_users = first(row, &["ownerType"]).is_none_or(|kind| kind == "user");
        let owner = first(row, &["ownerId"]).filter(|_| is_users);
        item.owner = self.owner(owner, None);
        Ok(item)
    }

    fn convex(&self, id: &str, row: &Row) -> Result<Item, String> {
        let name = self.by_stem.get(id);
        let name = name.ok_or_else(|| format!("its bytes are not in {}", self.folder.display()))?;
        let place = Place::File(inside(&self.folder, name)?);
        let mut item = Item::new(id.to_owned(), place, name.clone());
        item.alias = first(row, &["internalId"]);
        item.mime = first(row, &["contentType"]);
        item.size = number(row, "size");
        item.sha256 = digest(row)?;
        // Milliseconds, with a fraction.
        let millis = row.get("_creationTime").and_then(Value::as_f64);
        item.created = millis.and_then(|millis| {
            let time = OffsetDateTime::from_unix_timestamp_nanos((millis * 1e6) as i128).ok()?;
            time.format(&Rfc3339).ok()
        });
        Ok(item)
    }

    fn supabase(&self, id: &str, row: &Row) -> Result<Item, String> {
        let bucket = first(row, &["bucket_id"]).ok_or("it has no bucket_id")?;
        let path = first(row, &["name"]).ok_or("it has no name")?;
        let whole = format!("{bucket}/{path}");
        let mut place = inside(&self.folder, &whole)?;
        // The store of a self-hosted one keeps each version of an object in a folder of the object's name.
        if let (true, Some(version)) = (place.is_dir(), first(row, &["version"])) {
            place = inside(&self.folder, &format!("{whole}/{version}"))?;
        }
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let mut item = Item::new(id.to_owned(), Place::File(place), name);
        item.alias = Some(whole);
        let about = object(row, "metadata")?.unwrap_or_default();
        item.mime = first(&about, &["mimetype"]);
        item.size = number(&about, "size");
        item.created = first(row, &["created_at"]);
        if let Some(own) = object(row, "user_metadata")? {
            item.metadata.insert("custom".to_owned(), Value::Object(own));
        }
        // What is closed there is not opened here by what is set for new files.
        item.visibility = match (self.args.public_buckets.contains(&bucket), &self.args.visibility) {
            (true, _) => Some("public".to_owned()),
            (false, said) => said.clone().or_else(|| Some("private".to_owned())),
        };
        item.owner = self.owner(first(row, &["owner_id", "owner"]), None);
        Ok(item)
    }

    /// With whom it is shared. The token of a link was told once, to somebody else, so links are made anew by hand.
    fn shares(&self, shares: &Value) -> Result<Vec<Map<String, Value>>, String> {
        let wrong = || "its shares are no list of {type, id}".to_owned();
        let list = match shares {
            Value::Null => return Ok(Vec::new()),
            Value::String(text) => serde_json::from_str(text).map_err(|_| wrong())?,
            list => list.clone(),
        };
        let Value::Array(list) = list else {
            return Err(wrong());
        };
        let shares = list.into_iter().map(|share| match share {
            Value::Object(share) => self.share(share),
            _ => Err(wrong()),
        });
        shares.collect()
    }

    fn share(&self, mut share: Map<String, Value>) -> Result<Map<String, Value>, String> {
        share.retain(|_, value| !value.is_null());
        let text = |name: &str| share.get(name).and_then(Value::as_str).unwrap_or_default();
        let kind = text("type").to_owned();
        if !["user", "group", "email"].contains(&kind.as_str()) {
            return Err(format!(
                "it is shared with a '{kind}'; user, group and email are brought"
            ));
        }
        if text("id").is_empty() {
            return Err("one of its shares has no id".to_owned());
        }
        if share.contains_key("access") && !["read", "write"].contains(&text("access")) {
            return Err("the access of one of its shares is neither read nor write".to_owned());
        }
        if share.contains_key("expiresAt") {
            moment(text("expiresAt"))?;
        }
        if let ("user", None, Some(issuer)) = (kind.as_str(), share.get("issuer"), &self.args.issuer) {
            share.insert("issuer".to_owned(), Value::from(issuer.as_str()));
        }
        Ok(share)
    }

    /// Who owns it; without an issuer that knows them it is told later that one is wanted.
    fn owner(&self, subject: Option<String>, issuer: Option<String>) -> Option<Owner> {
        let issuer = issuer.or_else(|| self.args.issuer.clone()).unwrap_or_default();
        subject.map(|subject| Owner { subject, issuer })
    }
}

/// What lists in the words of the Files API say.
fn usual(mut item: Item, row: &Row) -> Result<Item, String> {
    item.mime = first(row, &["mimeType", "contentType", "type"]);
    item.visibility = first(row, &["visibility"]);
    item.bucket = first(row, &["bucket"]);
    item.category = first(row, &["category"]);
    item.created = first(row, &["createdAt"]);
    item.size = number(row, "size");
    item.sha256 = digest(row)?;
    item.metadata = object(row, "metadata")?.unwrap_or_default();
    let inner = item.metadata.remove("tags");
    if let Some(tags) = row.get("tags").or(inner.as_ref()) {
        item.tags = texts(tags).ok_or("its tags are no list of texts")?;
    }
    Ok(item)
}

/// The first of these fields that says something, as text.
fn first(row: &Row, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match row.get(*name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

fn number(row: &Row, name: &str) -> Option<u64> {
    match row.get(name)? {
        Value::String(text) => text.parse().ok(),
        value => value
            .as_u64()
            .or_else(|| value.as_f64().filter(|size| *size >= 0.0).map(|size| size as u64)),
    }
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let read = OffsetDateTime::parse(text, &Rfc3339);
    read.map_err(|_| format!("'{text}' is no time such as 2030-01-31T12:00:00Z"))
}

/// An object, also one that is written as text in a cell.
fn object(row: &Row, name: &str) -> Result<Option<Map<String, Value>>, String> {
    let wrong = || format!("its {name} is no JSON object");
    match row.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(fields)) => Ok(Some(fields.clone())),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Ok(Some(fields)),
            Ok(Value::Null) => Ok(None),
            _ => Err(wrong()),
        },
        Some(_) => Err(wrong()),
    }
}

/// A list of texts; in a cell it is written as JSON, or with commas between.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        Value::String(text) if text.starts_with('[') => texts(&serde_json::from_str(text).ok()?),
        Value::String(text) => Some(
            text.split(',')
                .map(|tag| tag.trim().to_owned())
                .filter(|tag| !tag.is_empty())
                .collect(),
        ),
        _ => None,
    }
}

/// `sha256`: 64 hexadecimal digits, or base64 as Convex writes it.
fn digest(row: &Row) -> Result<Option<[u8; 32]>, String> {
    let Some(text) = first(row, &["sha256"]) else {
        return Ok(None);
    };
    let bytes = match text.len() {
        64 => hex_simd::decode_to_vec(text.as_bytes()).ok(),
        _ => base64_simd::STANDARD.decode_to_vec(text.as_bytes()).ok(),
    };
    let digest = bytes.and_then(|bytes| bytes.try_into().ok());
    digest.map(Some).ok_or_else(|| "its sha256 is none".to_owned())
}

fn fetched(url: &str) -> Result<Url, String> {
    let read = Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    read.ok_or_else(|| "its url is no http(s) URL".to_owned())
}

fn last_segment(place: &Place) -> Option<String> {
    let name = match place {
        Place::File(path) => path.file_name()?.to_str()?.to_owned(),
        Place::Url(url) => {
            let last = url.path_segments()?.next_back()?;
            percent_encoding::percent_decode_str(last)
                .decode_utf8()
                .ok()?
                .into_owned()
        }
    };
    (!name.is_empty()).then_some(name)
}
