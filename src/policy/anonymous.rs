//! The statements that stand for a level of anonymous access, in MinIO's form, and which level a policy stands for. Pure.
//!
//! Statements that say something else are never touched.

use serde_json::{Map, Value, json};

const ON_BUCKET: &str = "s3:GetBucketLocation";
const LIST: &str = "s3:ListBucket";
const LIST_UPLOADS: &str = "s3:ListBucketMultipartUploads";
const READ: &str = "s3:GetObject";
const WRITE: [&str; 4] = [
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
];

/// What everybody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    None,
    Read,
    Write,
    ReadWrite,
}

impl Level {
    /// By the word people write.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "private" | "none" => Self::None,
            "download" => Self::Read,
            "upload" => Self::Write,
            "public" => Self::ReadWrite,
            _ => return None,
        })
    }

    /// The word people write for the name of a level.
    pub fn word_of(name: &str) -> &str {
        match name {
            "none" => "private",
            "readonly" => "download",
            "writeonly" => "upload",
            "readwrite" => "public",
            other => other,
        }
    }

    fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    fn writes(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }

    fn of(reads: bool, writes: bool) -> Self {
        match (reads, writes) {
            (false, false) => Self::None,
            (true, false) => Self::Read,
            (false, true) => Self::Write,
            (true, true) => Self::ReadWrite,
        }
    }

    /// What both together let.
    fn and(self, other: Self) -> Self {
        Self::of(self.reads() || other.reads(), self.writes() || other.writes())
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "readonly",
            Self::Write => "writeonly",
            Self::ReadWrite => "readwrite",
        }
    }
}

/// The policy with this level for a prefix and everything else as it was; `None` where nothing is left.
pub fn with_level(policy: &str, bucket: &str, prefix: &str, level: Level) -> Result<Option<String>, String> {
    let mut document = match policy.trim() {
        "" => Map::new(),
        text => serde_json::from_str::<Map<String, Value>>(text)
            .map_err(|error| format!("the bucket policy is not JSON: {error}"))?,
    };
    // Every prefix but this one keeps its level; the statements about the bucket itself are shared by all of them.
    let Said {
        mut levels,
        mut listed,
        others: mut new,
    } = Said::of(&document, bucket);
    levels.retain(|(other, _)| other != prefix);
    if level != Level::None {
        levels.push((prefix.to_owned(), level));
    }
    levels.sort_by(|a, b| a.0.cmp(&b.0));
    // Who could read below a prefix and not list it cannot list it now.
    listed.retain(|other| other != prefix);
    listed.extend(level.reads().then(|| prefix.to_owned()));
    new.extend(written(bucket, &levels, &listed));
    if new.is_empty() {
        return Ok(None);
    }
    document.entry("Version").or_insert_with(|| json!("2012-10-17"));
    document.insert("Statement".into(), Value::Array(new));
    Ok(Some(Value::Object(document).to_string()))
}

/// The name of the level that a prefix has by all statements that cover it: `none`, `readonly`, `writeonly`, `readwrite`,
/// or `custom` where none of ours does and the policy says something else.
pub fn level_of(policy: &str, bucket: &str, prefix: &str) -> &'static str {
    let Ok(document) = serde_json::from_str::<Map<String, Value>>(policy) else {
        return "none";
    };
    let said = Said::of(&document, bucket);
    let covering = said
        .levels
        .iter()
        .filter(|(other, _)| prefix.starts_with(other.as_str()));
    match covering.map(|(_, level)| *level).reduce(Level::and) {
        Some(level) => level.name(),
        None if said.others.is_empty() => "none",
        None => "custom",
    }
}

/// Every prefix that has a level, and its name.
pub fn levels(policy: &str, bucket: &str) -> Vec<(String, &'static str)> {
    let document = serde_json::from_str::<Map<String, Value>>(policy).unwrap_or_default();
    let levels = Said::of(&document, bucket).levels.into_iter();
    levels.map(|(prefix, level)| (prefix, level.name())).collect()
}

fn statements(document: &Map<String, Value>) -> Vec<Value> {
    match document.get("Statement") {
        Some(Value::Array(all)) => all.clone(),
        Some(one @ Value::Object(_)) => vec![one.clone()],
        Some(_) | None => Vec::new(),
    }
}

/// Our statements for these levels, with the listing of those prefixes alone that are `listed`.
fn written(bucket: &str, levels: &[(String, Level)], listed: &[String]) -> Vec<Value> {
    if levels.is_empty() {
        return Vec::new();
    }
    let on_bucket = format!("arn:aws:s3:::{bucket}");
    let statement = |actions: Vec<&str>, resource: &str| json!({ "Effect": "Allow", "Principal": { "AWS": ["*"] }, "Action": actions, "Resource": [resource] });
    let mut common = vec![ON_BUCKET];
    if levels.iter().any(|(_, level)| level.writes()) {
        common.push(LIST_UPLOADS);
    }
    let lists = |(prefix, level): &&(String, Level)| level.reads() && listed.contains(prefix);
    if levels.iter().any(|one| one.0.is_empty() && lists(&one)) {
        common.push(LIST);
    }
    let mut all = vec![statement(common, &on_bucket)];
    let listed: Vec<&str> = levels
        .iter()
        .filter(lists)
        .map(|(prefix, _)| prefix.as_str())
        .filter(|prefix| !prefix.is_empty())
        .collect();
    if !listed.is_empty() {
        let mut below = statement(vec![LIST], &on_bucket);
        if let Some(fields) = below.as_object_mut() {
            fields.insert("Condition".into(), json!({ "StringEquals": { "s3:prefix": listed } }));
        }
        all.push(below);
    }
    for (prefix, level) in levels {
        let mut actions: Vec<&str> = if level.writes() { WRITE.to_vec() } else { Vec::new() };
        actions.extend(level.reads().then_some(READ));
        actions.sort_unstable();
        all.push(statement(actions, &format!("{on_bucket}/{prefix}*")));
    }
    all
}

/// What one of our own statements is about.
enum Ours {
    Bucket,
    Below(String, Level),
}

/// Whether a condition is nothing but that of the listing below some prefixes.
fn is_of_prefixes(condition: &Value) -> bool {
    let only = |value: &Value, key: &str| {
        let fields = value.as_object().filter(|fields| fields.len() == 1)?;
        fields.get(key).cloned()
    };
    let prefixes = only(condition, "StringEquals").and_then(|keys| only(&keys, "s3:prefix"));
    prefixes.is_some_and(|prefixes| !texts(&prefixes).is_empty())
}

/// Reads a statement as one of ours; `None` for every other.
fn ours(statement: &Value, bucket: &str) -> Option<Ours> {
    let fields = statement.as_object()?;
    let known = ["Effect", "Principal", "Action", "Resource", "Condition", "Sid"];
    let everybody = match fields.get("Principal")? {
        Value::String(who) => who == "*",
        Value::Object(who) => who.len() == 1 && who.get("AWS").is_some_and(|aws| texts(aws) == ["*"]),
        _ => false,
    };
    let plain = fields.keys().all(|key| known.contains(&key.as_str()));
    if !everybody || !plain || fields.get("Effect")?.as_str() != Some("Allow") {
        return None;
    }
    let mut actions = texts(fields.get("Action")?);
    actions.sort_unstable();
    let condition = fields
        .get("Condition")
        .filter(|condition| condition.as_object().is_none_or(|all| !all.is_empty()));
    let resources = texts(fields.get("Resource")?);
    let [resource] = resources.as_slice() else { return None };
    let rest = resource.strip_prefix("arn:aws:s3:::")?.strip_prefix(bucket)?;
    if rest.is_empty() {
        let all = actions
            .iter()
            .all(|action| [ON_BUCKET, LIST, LIST_UPLOADS].contains(action));
        // Any other condition narrows more than ours does: written anew, it would be gone.
        let is_ours = match condition {
            None => true,
            Some(condition) => actions == [LIST] && is_of_prefixes(condition),
        };
        return (all && is_ours).then_some(Ours::Bucket);
    }
    if condition.is_some() {
        return None;
    }
    let prefix = rest.strip_prefix('/')?.strip_suffix('*')?;
    let reads = actions.contains(&READ);
    let writes = WRITE.iter().all(|action| actions.contains(action));
    let length = usize::from(reads) + if writes { WRITE.len() } else { 0 };
    (length > 0 && length == actions.len()).then(|| Ours::Below(prefix.to_owned(), Level::of(reads, writes)))
}

/// What a policy says, as far as it is in our words.
#[derive(Default)]
struct Said {
    /// Prefixes and their levels.
    levels: Vec<(String, Level)>,
    /// The prefixes that everybody may list; the empty one: the whole bucket.
    listed: Vec<String>,
    /// Every other statement, as it is.
    others: Vec<Value>,
}

impl Said {
    fn of(document: &Map<String, Value>, bucket: &str) -> Self {
        let mut said = Self::default();
        for statement in statements(document) {
            match ours(&statement, bucket) {
                None => said.others.push(statement),
                Some(Ours::Bucket) => said.listed.extend(listed_by(&statement)),
                Some(Ours::Below(prefix, level)) => match said.levels.iter_mut().find(|(other, _)| *other == prefix) {
                    Some((_, known)) => *known = known.and(level),
                    None => said.levels.push((prefix, level)),
                },
            }
        }
        said
    }
}

/// The prefixes that one of our statements about the bucket lets everybody list.
fn listed_by(statement: &Value) -> Vec<String> {
    let lists = statement
        .get("Action")
        .is_some_and(|actions| texts(actions).contains(&LIST));
    match statement.pointer("/Condition/StringEquals/s3:prefix") {
        Some(prefixes) => texts(prefixes).into_iter().map(str::to_owned).collect(),
        None if lists => vec![String::new()],
        None => Vec::new(),
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(policy: &str, prefix: &str, word: &str) -> String {
        with_level(policy, "b", prefix, Level::parse(word).unwrap())
            .unwrap()
            .unwrap_or_default()
    }

    #[test]
    fn every_level_is_recognised_again_and_can_be_taken_back() {
        for (word, name) in [
            ("download", "readonly"),
            ("upload", "writeonly"),
            ("public", "readwrite"),
        ] {
            for prefix in ["", "img/"] {
                let policy = set("", prefix, word);
                assert_eq!(level_of(&policy, "b", prefix), name);
                assert_eq!(Level::word_of(name), word);
                assert_eq!(level_of(&policy, "b", &format!("{prefix}x")), name);
                assert_eq!(set(&policy, prefix, "private"), "");
            }
        }
        assert_eq!(level_of("", "b", ""), "none");
    }

    #[test]
    fn prefixes_have_levels_of_their_own_and_other_statements_stay() {
        let foreign = json!({ "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/secret*" });
        let start = json!({ "Version": "2012-10-17", "Statement": foreign }).to_string();
        assert_eq!(level_of(&start, "b", ""), "custom");
        let policy = set(&set(&start, "img/", "download"), "in/", "upload");
        assert_eq!(
            levels(&policy, "b"),
            [("img/".to_owned(), "readonly"), ("in/".to_owned(), "writeonly")]
        );
        assert_eq!(level_of(&policy, "b", "other"), "custom");
        let one = set(&policy, "img/", "private");
        assert_eq!(levels(&one, "b"), [("in/".to_owned(), "writeonly")]);
        assert!(!one.contains("s3:prefix"), "{one}");
        let none: Value = serde_json::from_str(&set(&one, "in/", "private")).unwrap();
        assert_eq!(none["Statement"], json!([foreign]));
    }

    #[test]
    fn a_prefix_has_the_levels_of_all_that_cover_it() {
        let policy = set(&set("", "", "download"), "in/", "upload");
        assert_eq!(level_of(&policy, "b", "in/x"), "readwrite");
        assert_eq!(level_of(&policy, "b", "other"), "readonly");
        assert_eq!(
            levels(&policy, "b"),
            [(String::new(), "readonly"), ("in/".to_owned(), "writeonly")]
        );
    }

    /// A level for one prefix opened the listing of the whole bucket, which was for one network alone.
    #[test]
    fn a_listing_that_is_narrowed_stays_so_whatever_is_set_beside_it() {
        let network = json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } });
        let read =
            json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*" });
        let narrowed = json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b", "Condition": network });
        let start = json!({ "Version": "2012-10-17", "Statement": [read, narrowed] }).to_string();
        for word in ["upload", "download", "private"] {
            let policy: Value = serde_json::from_str(&set(&start, "in/", word)).unwrap();
            let all = policy["Statement"].as_array().unwrap();
            assert!(all.contains(&narrowed), "{policy}");
            for other in all.iter().filter(|statement| **statement != narrowed) {
                let lists = texts(&other["Action"]).contains(&LIST);
                let below = json!({ "StringEquals": { "s3:prefix": ["in/"] } });
                assert!(!lists || other["Condition"] == below, "{word}: {other}");
            }
        }
    }

    #[test]
    fn a_policy_that_another_client_wrote_is_recognised() {
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": ["*"] }, "Action": ["s3:GetBucketLocation", "s3:ListBucket"], "Resource": ["arn:aws:s3:::b"] },
            { "Effect": "Allow", "Principal": { "AWS": ["*"] }, "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::b/*"], "Sid": "" },
        ]})
        .to_string();
        assert_eq!(level_of(&policy, "b", ""), "readonly");
        assert!(with_level("{", "b", "", Level::Read).is_err());
    }
}
