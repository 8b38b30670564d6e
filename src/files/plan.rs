//! What a file is to be, as its maker announces it: checked before a byte comes.
//!
//! Owns the words for buckets and categories, the limits of a logical bucket, and what goes where in a file's record.

use serde_json::{Map, Value};
use storage_engine::store::clock::Timestamp;
use storage_engine::store::files::{File, FileId, OwnerType, UploadLimits};
use storage_engine::store::record::labels::{Labels, Visibility};

use super::call::Call;
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::view;
use crate::media::{self, FileName, Mime};
use crate::projects::{LogicalBucket, Sizes, UploadGrant};

/// Logical buckets that every environment has.
pub(super) const BUCKETS: [&str; 6] = ["avatars", "documents", "media", "files", "images", "temp"];
pub(super) const CATEGORIES: [&str; 7] = [
    "images",
    "documents",
    "media",
    "attachments",
    "exports",
    "backups",
    "temp",
];
/// The logical bucket whose files end by themselves.
const TEMP: &str = "temp";
/// How long they last where nothing else is set, in seconds.
const TEMP_SECONDS: u64 = 24 * 60 * 60;
/// How long a file may be asked to last: up to ten years.
pub(super) const LASTS_SECONDS_RANGE: (u32, u32) = (1, 10 * 365 * 24 * 3_600);
/// How often at most something is given out that is counted.
pub(super) const DOWNLOADS_MAX: u32 = 1_000_000;
/// Says in the metadata of a file which upload token it was made with.
const OPERATION: &str = "operation";
/// Tags in one list.
const TAGS_MAX: usize = 50;

/// A file that is announced.
pub(super) struct Plan {
    pub(super) name: FileName,
    pub(super) mime: Mime,
    pub(super) size: Option<u64>,
    visibility: Visibility,
    bucket: Option<String>,
    category: Option<String>,
    said: Said,
    limits: UploadLimits,
    /// How long it lasts, in milliseconds.
    lasts: Option<u64>,
    /// How often its bytes are given out.
    downloads: Option<u32>,
}

/// What is said of a file beside its name and type.
#[derive(Default)]
pub(super) struct Said {
    pub(super) metadata: Map<String, Value>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) entity: Option<Option<String>>,
}

impl Plan {
    /// Reads and checks what is announced.
    pub(super) async fn read(call: &Call<'_>, fields: &Fields) -> Result<Self, FilesError> {
        let name = FileName::parse(need(fields, "filename", Code::INVALID_NAME)?)?;
        let declared = need(fields, "contentType", Code::INVALID_FORMAT)?;
        let mime = Mime::declared(declared)?;
        Self::of(call, (name, mime, fields.size("fileSize")?), fields).await
    }

    /// As [`Self::read`], where name, type and size are said elsewhere.
    pub(super) async fn of(
        call: &Call<'_>,
        (name, mime, size): (FileName, Mime, Option<u64>),
        fields: &Fields,
    ) -> Result<Self, FilesError> {
        let granted = call.caller.upload.as_deref();
        let said = fields.text("category")?;
        let category = match granted {
            Some(granted) => fixed("category", said, granted.category.as_deref())?,
            None => said,
        };
        let category = category.map(str::to_owned);
        category.as_deref().map(check_category).transpose()?;
        let bucket = bucket(call, fields)?;
        let is_guest = call.caller.is_guest();
        let rules = rules(call, bucket.as_deref().or(category.as_deref()));
        let mut limits = UploadLimits {
            sha256: sha256(fields)?,
            size: size.filter(|_| has_exact_sizes(rules)),
            ..limits(granted, rules)?
        };
        if let Some(rules) = rules.filter(|_| is_guest) {
            limits.max_size = Some(rules.max_size_of_guests());
        }
        check(&limits, size, &mime)?;
        let default = default_visibility(call, rules).await?;
        let visibility = match granted {
            Some(granted) => fixed(
                "visibility",
                fields.visibility()?,
                Some(granted.visibility.unwrap_or(default)),
            )?,
            None if is_guest => of_guest(fields.visibility()?, default)?,
            None => fields.visibility()?,
        };
        Ok(Self {
            name,
            mime,
            size,
            visibility: visibility.unwrap_or(default),
            bucket,
            category,
            said: Said::by(call, fields)?,
            limits,
            lasts: lasts(fields)?,
            downloads: downloads(fields)?,
        })
    }

    /// Says what `base` says as well, where the plan says nothing else.
    pub(super) fn over(self, base: Said) -> Self {
        let Said { metadata, tags, entity } = self.said;
        let mut said = base;
        said.metadata.extend(metadata);
        said.tags = tags.or(said.tags);
        said.entity = entity.or(said.entity);
        Self { said, ..self }
    }

    /// Most bytes that may come.
    pub(super) fn max_size(&self) -> Option<u64> {
        self.size.or(self.limits.max_size)
    }

    /// The record of the file, with a new id and a key of its own.
    pub(super) fn file(&self, call: &Call<'_>) -> Result<(FileId, File), FilesError> {
        let now = call.time();
        let id = call.inner.records.next_file_id()?;
        let mut public_id = [0; 16];
        getrandom::fill(&mut public_id).map_err(|_| Code::INTERNAL)?;
        let key = media::key_of(id.as_bytes(), &self.name);
        let mut file = File::pending(key, public_id, self.name.as_str().to_owned(), now);
        file.declared_type = Some(self.mime.as_str().to_owned());
        file.size = self.size.unwrap_or_default();
        file.labels = Labels {
            owner: call.owner(),
            visibility: Some(self.visibility),
            ..Labels::default()
        };
        file.owner_type = match &call.caller.user {
            Some(_) => OwnerType::User,
            None if call.caller.is_guest() => OwnerType::Public,
            None => OwnerType::Service,
        };
        file.category.clone_from(&self.category);
        file.limits = UploadLimits {
            max_size: self.max_size(),
            ..self.limits.clone()
        };
        let ttl = ttl_of(call, self.bucket.as_deref());
        set_bucket(&mut file, self.bucket.clone(), (None, ttl), now);
        // What guests send ends with what was there before it at the latest.
        let most = ttl
            .filter(|_| call.caller.is_guest())
            .map(|seconds| seconds.saturating_mul(1_000));
        end_after(
            &mut file,
            self.lasts.map(|lasts| most.map_or(lasts, |most| lasts.min(most))),
            now,
        );
        if let Some(most) = self.downloads {
            file.give_out(most);
        }
        self.said.set(&mut file);
        Ok((id, file))
    }
}

impl Said {
    /// As [`Self::read`], and what an upload token is for, which is not its bearer's to say.
    pub(super) fn by(call: &Call<'_>, fields: &Fields) -> Result<Self, FilesError> {
        let mut said = Self::read(fields)?;
        if let Some(granted) = &call.caller.upload {
            let operation = granted.operation.clone().map_or(Value::Null, Value::String);
            said.metadata.insert(OPERATION.to_owned(), operation);
        }
        Ok(said)
    }

    /// Reads `metadata` and `tags`.
    pub(super) fn read(fields: &Fields) -> Result<Self, FilesError> {
        let mut metadata = fields.object("metadata")?.cloned().unwrap_or_default();
        let tags = match metadata.remove("tags") {
            Some(tags) => Some(tags_of(&tags)?),
            None => None,
        };
        let tags = match fields.get("tags") {
            Some(tags) => Some(tags_of(tags)?),
            None => tags,
        };
        let entity = match metadata.remove("relatedEntityId") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(Value::String(entity)) => Some(Some(entity)),
            Some(_) => return Err(FilesError::field("metadata.relatedEntityId must be a text.")),
        };
        for name in ["category", "description", "alt"] {
            if metadata
                .get(name)
                .is_some_and(|value| !value.is_string() && !value.is_null())
            {
                return Err(FilesError::field(format!("metadata.{name} must be a text.")));
            }
        }
        if metadata
            .get("custom")
            .is_some_and(|value| !value.is_object() && !value.is_null())
        {
            return Err(FilesError::field("metadata.custom must be an object."));
        }
        Ok(Self { metadata, tags, entity })
    }

    /// Adds it to what is said of the file. A field that is null is taken away.
    pub(super) fn set(&self, file: &mut File) {
        let mut metadata = view::stored_metadata(file);
        for (name, value) in &self.metadata {
            match value {
                Value::Null => drop(metadata.remove(name)),
                value => drop(metadata.insert(name.clone(), value.clone())),
            }
        }
        file.metadata = match metadata.is_empty() {
            true => String::new(),
            false => Value::Object(metadata).to_string(),
        };
        if let Some(tags) = &self.tags {
            file.tags.clone_from(tags);
        }
        if let Some(entity) = &self.entity {
            file.entity.clone_from(entity);
        }
    }
}

/// A text without which nothing is announced or registered.
pub(super) fn need<'f>(fields: &'f Fields, name: &str, code: Code) -> Result<&'f str, FilesError> {
    let text = fields.text(name)?;
    text.ok_or_else(|| FilesError::because(code, format!("{name} is required: a text.")))
}

fn tags_of(value: &Value) -> Result<Vec<String>, FilesError> {
    let wrong = || FilesError::field(format!("tags must be a list of at most {TAGS_MAX} texts."));
    let items = match value {
        Value::Null => &[],
        Value::Array(items) if items.len() <= TAGS_MAX => items.as_slice(),
        _ => return Err(wrong()),
    };
    let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().ok_or_else(wrong)
}

/// Refuses what is no category.
pub(super) fn check_category(category: &str) -> Result<(), FilesError> {
    match CATEGORIES.contains(&category) {
        true => Ok(()),
        false => Err(FilesError::field(format!(
            "category must be one of {}.",
            CATEGORIES.join(", ")
        ))),
    }
}

/// The logical bucket that is named, if one is.
pub(super) fn bucket(call: &Call<'_>, fields: &Fields) -> Result<Option<String>, FilesError> {
    let said = fields.text("bucket")?;
    let name = match call.caller.upload.as_deref() {
        Some(granted) => fixed("bucket", said, granted.bucket.as_deref())?,
        None => said,
    };
    let Some(name) = name else {
        return Ok(None);
    };
    known_bucket(call, name)
}

/// The logical bucket of this name, if there is one.
pub(super) fn known_bucket(call: &Call<'_>, name: &str) -> Result<Option<String>, FilesError> {
    if BUCKETS.contains(&name) || call.caller.logical(name).is_some() {
        return Ok(Some(name.to_owned()));
    }
    let known = BUCKETS.join(", ");
    Err(FilesError::field(format!(
        "bucket must be one of {known}, or one that the project set up."
    )))
}

/// What an upload token says; a request that comes with it may say the same, or nothing.
pub(super) fn fixed<T: PartialEq>(name: &str, said: Option<T>, granted: Option<T>) -> Result<Option<T>, FilesError> {
    match said.is_none() || said == granted {
        true => Ok(granted),
        false => Err(FilesError::because(
            Code::ACCESS_DENIED,
            format!("{name} is for the upload token to say, and it says otherwise."),
        )),
    }
}

/// The visibility of a file that names none: its logical bucket's, or else that of the app bucket, which is also that of what
/// comes by S3. What guests put is private unless the bucket that takes them says otherwise.
pub(super) async fn default_visibility(
    call: &Call<'_>,
    rules: Option<&LogicalBucket>,
) -> Result<Visibility, FilesError> {
    match rules.and_then(|rules| rules.visibility) {
        Some(own) => Ok(own),
        None if call.caller.is_guest() => Ok(Visibility::Private),
        None => call.default_visibility().await,
    }
}

/// The visibility of what a guest puts: the bucket's, since nobody is there who could open or close it.
fn of_guest(said: Option<Visibility>, own: Visibility) -> Result<Option<Visibility>, FilesError> {
    match said.is_none_or(|said| said == own) {
        true => Ok(Some(own)),
        false => Err(FilesError::because(
            Code::ACCESS_DENIED,
            format!("What guests put into this bucket is {}.", own.name()),
        )),
    }
}

/// Whether a file must have as many bytes as it was said to have.
pub(super) fn has_exact_sizes(rules: Option<&LogicalBucket>) -> bool {
    rules.is_some_and(|rules| rules.sizes == Sizes::Exact)
}

/// The limits of a logical bucket and of an upload token together.
fn limits(granted: Option<&UploadGrant>, rules: Option<&LogicalBucket>) -> Result<UploadLimits, FilesError> {
    let max_size = rules.and_then(|rules| rules.max_size);
    let types = rules.map(|rules| rules.types.clone()).unwrap_or_default();
    let Some(granted) = granted else {
        return Ok(UploadLimits {
            max_size,
            types,
            ..UploadLimits::default()
        });
    };
    let both = media::common_types(&types, &granted.types).ok_or_else(|| {
        let message = "No type that the upload token allows is allowed in this bucket.";
        FilesError::because(Code::INVALID_FORMAT, message)
    })?;
    Ok(UploadLimits {
        max_size: [max_size, granted.max_size].into_iter().flatten().min(),
        types: both,
        token: Some(granted.id),
        ..UploadLimits::default()
    })
}

/// After how many seconds the files of a logical bucket end by themselves.
pub(super) fn ttl_seconds(name: Option<&str>, rules: Option<&LogicalBucket>) -> Option<u64> {
    let set = rules.and_then(|rules| rules.ttl_seconds);
    set.or((name == Some(TEMP)).then_some(TEMP_SECONDS))
}

/// The same, of the bucket that is named, if one is.
pub(super) fn ttl_of(call: &Call<'_>, name: Option<&str>) -> Option<u64> {
    ttl_seconds(name, rules(call, name))
}

/// What is set on a logical bucket.
pub(super) fn rules<'c>(call: &'c Call<'_>, name: Option<&str>) -> Option<&'c LogicalBucket> {
    call.caller.logical(name?)
}

/// Puts the file into a logical bucket, out of one whose files end after `had` seconds and into one whose files end after `ttl`.
pub(super) fn set_bucket(
    file: &mut File,
    bucket: Option<String>,
    (had, ttl): (Option<u64>, Option<u64>),
    now: Timestamp,
) {
    if file.bucket == bucket {
        return;
    }
    let after = |seconds: u64| Timestamp::from_millis(now.millis().saturating_add(seconds.saturating_mul(1_000)));
    file.expires = match (had, ttl.map(after)) {
        // That it was to end sooner by itself holds on; that it was because of where it was does not.
        (None, Some(ends)) => Some(file.expires.map_or(ends, |sooner| sooner.min(ends))),
        (None, None) => file.expires,
        (Some(_), ends) => ends,
    };
    file.bucket = bucket;
}

/// `deleteAfter`: how long the file lasts, in milliseconds.
pub(super) fn lasts(fields: &Fields) -> Result<Option<u64>, FilesError> {
    let seconds = fields.seconds("deleteAfter", LASTS_SECONDS_RANGE)?;
    Ok(seconds.map(|seconds| u64::from(seconds) * 1_000))
}

/// `maxDownloads`: how often something is given out.
pub(super) fn downloads(fields: &Fields) -> Result<Option<u32>, FilesError> {
    let wrong = || {
        FilesError::field(format!(
            "maxDownloads must be a whole number from 1 to {DOWNLOADS_MAX}."
        ))
    };
    let most = fields.number("maxDownloads").map_err(|_| wrong())?;
    let most = most.map(|most| {
        u32::try_from(most)
            .ok()
            .filter(|most| (1..=DOWNLOADS_MAX).contains(most))
    });
    most.map(|most| most.ok_or_else(wrong)).transpose()
}

/// Makes the file end by itself, that long after `now`.
pub(super) fn end_after(file: &mut File, lasts: Option<u64>, now: Timestamp) {
    if let Some(millis) = lasts {
        file.expires = Some(Timestamp::from_millis(now.millis().saturating_add(millis)));
    }
}

/// `sha256` of the bytes that are to come: 64 hexadecimal digits, or base64.
fn sha256(fields: &Fields) -> Result<Option<[u8; 32]>, FilesError> {
    let Some(text) = fields.text("sha256")? else {
        return Ok(None);
    };
    let bytes = match text.len() {
        64 => hex_simd::decode_to_vec(text.as_bytes()).ok(),
        _ => base64_simd::STANDARD.decode_to_vec(text.as_bytes()).ok(),
    };
    let digest = bytes.and_then(|bytes| bytes.try_into().ok());
    let wrong = || FilesError::field("sha256 must be 64 hexadecimal digits, or the same 32 bytes in base64.");
    digest.map(Some).ok_or_else(wrong)
}

/// Whether so many bytes of this type may be. A type that says nothing is left to the bytes to say.
pub(super) fn check(limits: &UploadLimits, size: Option<u64>, mime: &Mime) -> Result<(), FilesError> {
    if let (Some(size), Some(max)) = (size, limits.max_size)
        && size > max
    {
        return Err(FilesError::because(
            Code::TOO_LARGE,
            format!("The file has {size} bytes; at most {max} are allowed here."),
        ));
    }
    match mime.says_nothing() {
        true => Ok(()),
        false => check_type(limits, mime.essence()),
    }
}

fn check_type(limits: &UploadLimits, essence: &str) -> Result<(), FilesError> {
    if media::allows(&limits.types, essence) {
        return Ok(());
    }
    let allowed = limits.types.join(", ");
    let message = format!("Files of the type {essence} are not allowed here, only {allowed}.");
    Err(FilesError::because(Code::INVALID_FORMAT, message))
}

/// Whether a file whose bytes are there may be moved to where these rules hold.
pub(super) fn check_stored(rules: Option<&LogicalBucket>, file: &File) -> Result<(), FilesError> {
    let Some(rules) = rules else { return Ok(()) };
    let limits = UploadLimits {
        max_size: rules.max_size,
        types: rules.types.clone(),
        ..UploadLimits::default()
    };
    check(&limits, Some(file.size), &Mime::unknown())?;
    check_type(&limits, &view::served_type(file))
}
