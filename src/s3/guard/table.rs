//! What this server knows of S3's surface: every sub-resource, parameter and header that matters, and which are built.
//!
//! One table drives the guard and the tests that prove it. A row here is a fact about AWS, not a promise: `methods`
//! lists what is served, everything else under that name answers 501.

use crate::s3::target::Target;

/// What kind of thing a request addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Service,
    Bucket,
    Object,
}

impl Level {
    pub(crate) fn of(target: &Target) -> Self {
        match target {
            Target::Service => Self::Service,
            Target::Bucket { .. } => Self::Bucket,
            Target::Object { .. } => Self::Object,
        }
    }
}

/// A query parameter that changes which operation a request is.
#[derive(Debug)]
pub(crate) struct SubResource {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    /// The methods served; others answer 501.
    pub(crate) methods: &'static [&'static str],
    /// What the message of a refusal calls it.
    pub(crate) feature: &'static str,
}

const READ: &[&str] = &["GET"];
const SET: &[&str] = &["GET", "PUT"];
const CHANGE: &[&str] = &["GET", "PUT", "DELETE"];
const NONE: &[&str] = &[];

const fn bucket(name: &'static str, methods: &'static [&'static str], feature: &'static str) -> SubResource {
    SubResource {
        name,
        level: Level::Bucket,
        methods,
        feature,
    }
}

const fn object(name: &'static str, methods: &'static [&'static str], feature: &'static str) -> SubResource {
    SubResource {
        name,
        level: Level::Object,
        methods,
        feature,
    }
}

pub(crate) const SUB_RESOURCES: &[SubResource] = &[
    bucket("abac", NONE, "attribute-based access control"),
    bucket("accelerate", READ, "transfer acceleration"),
    bucket("acl", SET, "deleting an access control list"),
    bucket("analytics", READ, "analytics configuration"),
    bucket("cors", CHANGE, "this use of ?cors"),
    bucket("delete", &["POST"], "this use of ?delete"),
    bucket("encryption", READ, "bucket encryption"),
    bucket("events", NONE, "listening for bucket notifications"),
    bucket("intelligent-tiering", READ, "intelligent tiering"),
    bucket("inventory", READ, "inventory configuration"),
    bucket("lifecycle", READ, "changing the lifecycle configuration"),
    bucket("location", READ, "changing the bucket location"),
    bucket("logging", READ, "bucket access logging"),
    bucket("metadataAnnotationTable", NONE, "metadata tables"),
    bucket("metadataConfiguration", NONE, "metadata tables"),
    bucket("metadataInventoryTable", NONE, "metadata tables"),
    bucket("metadataJournalTable", NONE, "metadata tables"),
    bucket("metadataTable", NONE, "metadata tables"),
    bucket("metrics", READ, "metrics configuration"),
    bucket("notification", READ, "bucket notifications"),
    bucket("object-lock", READ, "object lock"),
    bucket("ownershipControls", CHANGE, "this use of ?ownershipControls"),
    bucket("policy", CHANGE, "this use of ?policy"),
    bucket("policyStatus", READ, "this use of ?policyStatus"),
    bucket("publicAccessBlock", CHANGE, "this use of ?publicAccessBlock"),
    bucket("replication", READ, "replication"),
    bucket("requestPayment", READ, "requester pays"),
    bucket("session", NONE, "directory bucket sessions"),
    bucket("tagging", CHANGE, "this use of ?tagging"),
    bucket("uploads", READ, "this use of ?uploads"),
    bucket("versioning", READ, "versioning"),
    bucket("versions", READ, "this use of ?versions"),
    bucket("website", READ, "static website hosting"),
    object("acl", SET, "deleting an access control list"),
    object("annotation", NONE, "object annotations"),
    object("annotations", NONE, "object annotations"),
    object("append", NONE, "appending to an object"),
    object("attributes", READ, "this use of ?attributes"),
    object("encryption", NONE, "object encryption"),
    object("lambdaArn", NONE, "object lambda"),
    object("legal-hold", READ, "object lock"),
    object("renameObject", NONE, "renaming an object"),
    object("restore", NONE, "restoring archived objects"),
    object("retention", READ, "object lock"),
    object("select", NONE, "S3 Select"),
    object("select-type", NONE, "S3 Select"),
    object("tagging", CHANGE, "this use of ?tagging"),
    object("torrent", NONE, "BitTorrent"),
    object("uploadId", &["GET", "PUT", "POST", "DELETE"], "this use of ?uploadId"),
    object("uploads", &["POST"], "this use of ?uploads"),
];

/// Parameters that go with a read and change nothing about which operation it is.
pub(crate) const READ_PARAMETERS: &[&str] = &[
    "bucket-region",
    "continuation-token",
    "delimiter",
    "drystone-share",
    "encoding-type",
    "fetch-owner",
    "id",
    "key-marker",
    "list-type",
    "marker",
    "max-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "partNumber",
    "prefix",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
    "versionId",
    "x-id",
];

/// The same for writes.
pub(crate) const WRITE_PARAMETERS: &[&str] = &["drystone-share", "partNumber", "versionId", "x-id"];

/// Which values of a header ask for the feature it stands for.
#[derive(Debug)]
pub(crate) enum Asks {
    /// Every value but these.
    Unless(&'static [&'static str]),
    /// These values; others are the handler's to judge.
    When(&'static [&'static str]),
}

impl Asks {
    pub(crate) fn by(&self, value: &str) -> bool {
        let among = |values: &[&str]| values.iter().any(|known| known.eq_ignore_ascii_case(value));
        match self {
            Self::Unless(harmless) => !among(harmless),
            Self::When(asking) => among(asking),
        }
    }
}

/// A header that asks for a feature.
#[derive(Debug)]
pub(crate) struct HeaderRule {
    /// The header's name, or what its name starts with if this ends in `-`.
    pub(crate) name: &'static str,
    pub(crate) levels: &'static [Level],
    pub(crate) asks: Asks,
    pub(crate) feature: &'static str,
}

impl HeaderRule {
    pub(crate) fn matches(&self, name: &str) -> bool {
        if self.name.ends_with('-') {
            name.starts_with(self.name)
        } else {
            name == self.name
        }
    }
}

const WRITES: &[Level] = &[Level::Bucket, Level::Object];
const ALWAYS: Asks = Asks::Unless(&[]);

const fn header(name: &'static str, asks: Asks, feature: &'static str) -> HeaderRule {
    HeaderRule {
        name,
        levels: WRITES,
        asks,
        feature,
    }
}

const OTHER_ALGORITHMS: &[&str] = &["MD5", "SHA512", "XXHASH3", "XXHASH64", "XXHASH128"];
const OTHER_CLASSES: &[&str] = &[
    "DEEP_ARCHIVE",
    "EXPRESS_ONEZONE",
    "FSX_ONTAP",
    "FSX_OPENZFS",
    "GLACIER",
    "OUTPOSTS",
    "SNOW",
];

/// Headers of writes. Every row that matches a name is asked.
pub(crate) const HEADERS: &[HeaderRule] = &[
    header(
        "x-amz-acl",
        Asks::When(&["aws-exec-read", "bucket-owner-read", "log-delivery-write"]),
        "this canned access control list",
    ),
    header("x-amz-bucket-namespace", Asks::Unless(&["global"]), "bucket namespaces"),
    header(
        "x-amz-bucket-object-lock-enabled",
        Asks::Unless(&["false"]),
        "object lock",
    ),
    header(
        "x-amz-checksum-algorithm",
        Asks::When(OTHER_ALGORITHMS),
        "this checksum algorithm",
    ),
    header("x-amz-checksum-md5", ALWAYS, "this checksum algorithm"),
    header("x-amz-checksum-sha512", ALWAYS, "this checksum algorithm"),
    header("x-amz-checksum-xxhash128", ALWAYS, "this checksum algorithm"),
    header("x-amz-checksum-xxhash3", ALWAYS, "this checksum algorithm"),
    header("x-amz-checksum-xxhash64", ALWAYS, "this checksum algorithm"),
    header(
        "x-amz-copy-source-server-side-encryption-",
        ALWAYS,
        "server-side encryption",
    ),
    header("x-amz-grant-", ALWAYS, "granting access by header"),
    header("x-amz-if-match-", ALWAYS, "a condition on modification time or size"),
    header("x-amz-object-lock-", ALWAYS, "object lock"),
    HeaderRule {
        name: "x-amz-object-ownership",
        levels: &[Level::Object],
        asks: ALWAYS,
        feature: "object ownership of an object",
    },
    header(
        "x-amz-sdk-checksum-algorithm",
        Asks::When(OTHER_ALGORITHMS),
        "this checksum algorithm",
    ),
    header("x-amz-server-side-encryption", ALWAYS, "server-side encryption"),
    header("x-amz-server-side-encryption-", ALWAYS, "server-side encryption"),
    header("x-amz-storage-class", Asks::When(OTHER_CLASSES), "this storage class"),
    header("x-amz-website-redirect-location", ALWAYS, "website redirects"),
    header("x-amz-write-offset-bytes", ALWAYS, "appending to an object"),
    header("x-minio-extract", Asks::Unless(&["false"]), "extracting an archive"),
    header("x-minio-source-", ALWAYS, "replication"),
    HeaderRule {
        name: "x-minio-force-delete",
        levels: &[Level::Object],
        asks: Asks::Unless(&["false"]),
        feature: "deleting everything under a prefix",
    },
];

/// What a header may say that matters only to a request which makes an object or a bucket, or sets an ACL; to any other
/// it would be lost.
pub(crate) const OF_MAKING: &[HeaderRule] = &[
    header(
        "x-amz-acl",
        Asks::Unless(&["private", "bucket-owner-full-control"]),
        "an access control list in this request",
    ),
    header("x-amz-object-ownership", ALWAYS, "object ownership in this request"),
    header("x-amz-tagging", ALWAYS, "tags in this request"),
    header(
        "x-amz-tagging-directive",
        Asks::Unless(&["COPY"]),
        "tags in this request",
    ),
];

/// Headers of reads that no stored object can satisfy.
pub(crate) const READ_HEADERS: &[HeaderRule] = &[HeaderRule {
    name: "x-amz-server-side-encryption-",
    levels: &[Level::Object],
    asks: ALWAYS,
    feature: "",
}];
