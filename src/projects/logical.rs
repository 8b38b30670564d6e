//! What is set on the logical buckets of an environment: what may be put into them, and what of it goes by itself.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use storage_engine::store::name::BucketName;
use storage_engine::store::projects::{OfProject, ProjectChange};
use storage_engine::store::record::labels::Visibility;
use storage_engine::store::record::projects::LogicalBucketRecord;

use super::directory::Projects;
use super::error::ProjectsError;
use super::names;

/// Most logical buckets of an environment on which something is set, and most types of one.
const LOGICAL_MAX: usize = 64;
const TYPES_MAX: usize = 64;
const TYPE_BYTES_MAX: usize = 255;
/// Most bytes of a file of a guest, where the logical bucket has no limit of its own.
const GUEST_BYTES_MAX: u64 = 10 << 20;
/// How long files may last that end by themselves.
pub const TTL_SECONDS_RANGE: RangeInclusive<u64> = 60..=315_360_000;

/// What is set on a logical bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogicalBucket {
    /// Most bytes of a file.
    pub max_size: Option<u64>,
    /// Types a file may have, such as `image/*`; empty: any.
    pub types: Vec<String>,
    /// Of files that name none themselves.
    pub visibility: Option<Visibility>,
    /// After how many seconds files end by themselves.
    pub ttl_seconds: Option<u64>,
    pub gc: Gc,
    pub confirm: Confirm,
    pub scan: Scan,
    pub sizes: Sizes,
    /// Guests may put files into it.
    pub guest_upload: bool,
}

/// Which files go because nobody needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gc {
    #[default]
    Off,
    /// Those without references.
    Unreferenced,
}

/// Whether the app must say that it knows of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confirm {
    #[default]
    Auto,
    /// What is not registered goes.
    Required,
}

/// Whether the server's scanner looks at what comes in, if it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scan {
    #[default]
    On,
    Off,
}

/// What the size is that is announced of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sizes {
    /// The most it may have.
    #[default]
    AtMost,
    /// What it must have.
    Exact,
}

impl Gc {
    pub const ALL: [Self; 2] = [Self::Off, Self::Unreferenced];

    /// As applications and operators spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Unreferenced => "unreferenced",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|gc| gc.name() == name)
    }
}

impl Confirm {
    pub const ALL: [Self; 2] = [Self::Auto, Self::Required];

    /// As applications and operators spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Required => "required",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|confirm| confirm.name() == name)
    }
}

impl Scan {
    pub const ALL: [Self; 2] = [Self::On, Self::Off];

    /// As applications and operators spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scan| scan.name() == name)
    }
}

impl Sizes {
    pub const ALL: [Self; 2] = [Self::AtMost, Self::Exact];

    /// As applications and operators spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtMost => "at-most",
            Self::Exact => "exact",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sizes| sizes.name() == name)
    }
}

impl LogicalBucket {
    /// Most bytes of a file that a guest puts into it.
    pub fn max_size_of_guests(&self) -> u64 {
        self.max_size.unwrap_or(GUEST_BYTES_MAX)
    }

    pub(super) fn read(record: &LogicalBucketRecord) -> Self {
        Self {
            max_size: record.max_size,
            types: record.types.clone(),
            visibility: record.visibility,
            ttl_seconds: record.ttl_seconds,
            gc: if record.collects_unreferenced {
                Gc::Unreferenced
            } else {
                Gc::Off
            },
            confirm: if record.needs_registration {
                Confirm::Required
            } else {
                Confirm::Auto
            },
            scan: if record.not_scanned { Scan::Off } else { Scan::On },
            sizes: if record.exact_sizes {
                Sizes::Exact
            } else {
                Sizes::AtMost
            },
            guest_upload: record.takes_guests,
        }
    }

    fn record(self, name: &str) -> LogicalBucketRecord {
        LogicalBucketRecord {
            name: name.to_owned(),
            max_size: self.max_size,
            types: self.types,
            visibility: self.visibility,
            ttl_seconds: self.ttl_seconds,
            collects_unreferenced: self.gc == Gc::Unreferenced,
            needs_registration: self.confirm == Confirm::Required,
            not_scanned: self.scan == Scan::Off,
            takes_guests: self.guest_upload,
            exact_sizes: self.sizes == Sizes::Exact,
        }
    }
}

/// What holds for the logical buckets of app buckets.
pub trait LogicalBuckets: Send + Sync {
    /// By the names of the logical buckets; of a bucket that nobody knows, nothing.
    fn of(&self, bucket: &BucketName) -> BTreeMap<String, LogicalBucket>;
}

impl LogicalBuckets for Projects {
    /// While the projects cannot be read nothing goes by a rule.
    fn of(&self, bucket: &BucketName) -> BTreeMap<String, LogicalBucket> {
        let projects = self.list().unwrap_or_default();
        let mut environments = projects.iter().flat_map(|project| project.environments.values());
        let found = environments.find(|environment| environment.bucket == *bucket);
        found.map(|environment| environment.logical.clone()).unwrap_or_default()
    }
}

impl Projects {
    /// Sets what holds for the files of a logical bucket; `None`: nothing of its own.
    pub async fn set_logical(
        &self,
        of: OfProject,
        name: &str,
        logical: Option<LogicalBucket>,
    ) -> Result<(), ProjectsError> {
        names::check_logical(name)?;
        let types = logical.iter().flat_map(|logical| &logical.types);
        let wrong = |kind: &String| kind.len() > TYPE_BYTES_MAX || !is_type(kind);
        if types.clone().count() > TYPES_MAX || types.clone().any(wrong) {
            let rule = "Types are at most 64 like image/png or image/*";
            return Err(ProjectsError::Invalid(rule.to_owned()));
        }
        let range = TTL_SECONDS_RANGE;
        if logical
            .iter()
            .flat_map(|logical| logical.ttl_seconds)
            .any(|ttl| !range.contains(&ttl))
        {
            let rule = "Files last from 60 seconds to ten years (315,360,000 seconds)";
            return Err(ProjectsError::Invalid(rule.to_owned()));
        }
        let name = name.to_owned();
        self.change(move |snapshot, now| {
            names::environment(snapshot, &of.project, &of.name)?;
            let Some(before) = snapshot.rows.environments.get(&of) else {
                return Err(ProjectsError::NoSuchEnvironment(of.name.clone()));
            };
            let mut after = before.clone();
            after.updated = now;
            after.logical.retain(|other| other.name != name);
            after
                .logical
                .extend(logical.clone().map(|logical| logical.record(&name)));
            after.logical.sort_by(|one, other| one.name.cmp(&other.name));
            if after.logical.len() > LOGICAL_MAX {
                return Err(ProjectsError::TooMany(
                    "An environment has settings of at most 64 logical buckets",
                ));
            }
            Ok((vec![ProjectChange::Environment(of.clone(), Some(after))], ()))
        })
        .await
    }
}

/// Whether it is a media type, or a whole family of them.
pub fn is_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    let parts = text.split_once('/');
    parts.is_some_and(|(family, kind)| token(family) && (kind == "*" || token(kind)))
}
