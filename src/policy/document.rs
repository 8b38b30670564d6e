//! A policy document, read and checked: from JSON to statements that are ready to judge.

use std::borrow::Cow;

use super::actions::{self, Scope};
use super::condition::{self, Condition};
use super::json::Json;
use super::pattern::{Pattern, Syntax};
use super::principal::{ACCOUNT_ID, Principals};
use super::{Kind, PolicyError};

/// A list of the policy, and whether what is on it is meant or what is not.
#[derive(Clone, Debug)]
pub(super) struct Selection<T> {
    pub(super) of: T,
    pub(super) negated: bool,
}

/// One statement, ready to judge.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) deny: bool,
    /// Lower case.
    pub(super) actions: Selection<Vec<Pattern>>,
    /// None where they count for no question: every action is one without a resource, and no identity is named.
    pub(super) resources: Option<Selection<Vec<Pattern>>>,
    /// Whether roles, or others of their kind, are among the resources.
    pub(super) names_roles: bool,
    /// Whether no action is S3's: then the resources count for actions on identities alone.
    pub(super) elsewhere_only: bool,
    /// None in policies of identities.
    pub(super) principals: Option<Selection<Principals>>,
    pub(super) conditions: Vec<Condition>,
}

/// Beginnings of ARNs that are S3's.
const S3: &str = "arn:aws:s3:::";
/// Beginnings of other resources that policies of identities may name.
const ELSEWHERE: &[&str] = &["arn:aws:iam:", "arn:aws:kms:", "arn:aws:sts:", "arn:minio:kms:"];

/// The strings of a value that may be one or a list; numbers and booleans count as what they are written as.
pub(super) fn texts(name: &str, json: &Json) -> Result<Vec<String>, String> {
    let one = |json: &Json| match json {
        Json::Text(text) | Json::Number(text) => Ok(text.clone()),
        Json::Bool(value) => Ok(value.to_string()),
        Json::Null | Json::List(_) | Json::Object(_) => Err(format!(
            "{name} must be a string or a list of strings, not {}",
            json.kind()
        )),
    };
    match json {
        Json::List(items) if items.is_empty() => Err(format!("{name} is an empty list")),
        Json::List(items) => items.iter().map(one).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Object(_) => Ok(vec![one(json)?]),
    }
}

/// Reads and checks a whole document.
pub(super) fn parse(json: &Json, kind: Kind<'_>) -> Result<Vec<Statement>, PolicyError> {
    let wrong = |reason: String| PolicyError::Document(reason);
    let Json::Object(elements) = json else {
        return Err(wrong(format!("A policy is a JSON object, not {}.", json.kind())));
    };
    let mut version = None;
    let mut statements = None;
    for (name, value) in elements {
        match (name.as_str(), value) {
            ("Version", Json::Text(text)) if text == "2012-10-17" || text == "2008-10-17" => version = Some(text),
            ("Version", _) => {
                return Err(wrong(
                    "The policy's Version must be \"2012-10-17\" or \"2008-10-17\".".to_owned(),
                ));
            }
            ("Id" | "ID", Json::Text(_)) => {}
            ("Id" | "ID", _) => return Err(wrong("The policy's Id must be a string.".to_owned())),
            ("Statement", value) => statements = Some(value),
            _ => return Err(wrong(format!("A policy has no element \"{name}\"."))),
        }
    }
    let statements = match statements {
        None => return Err(wrong("Missing required field Statement".to_owned())),
        Some(Json::List(list)) if list.is_empty() => return Err(wrong("The policy has no statement.".to_owned())),
        Some(Json::List(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let variables = version.is_some_and(|version| version == "2012-10-17");
    let known: Vec<_> = actions::all()
        .map(|(name, scope)| (name.to_ascii_lowercase(), scope))
        .collect();
    let language = Language {
        kind,
        variables,
        known: &known,
    };
    let statements = statements.iter().enumerate().map(|(index, json)| {
        statement(json, &language).map_err(|reason| PolicyError::Statement {
            place: place(index, json),
            reason,
        })
    });
    statements.collect()
}

fn place(index: usize, json: &Json) -> String {
    let Json::Object(elements) = json else {
        return (index + 1).to_string();
    };
    match elements.iter().find(|(name, _)| name == "Sid") {
        Some((_, Json::Text(sid))) if !sid.is_empty() => format!("{} (Sid \"{sid}\")", index + 1),
        _ => (index + 1).to_string(),
    }
}

/// The elements of a statement that are there.
#[derive(Default)]
struct Elements<'j> {
    effect: Option<&'j Json>,
    action: Option<&'j Json>,
    not_action: Option<&'j Json>,
    resource: Option<&'j Json>,
    not_resource: Option<&'j Json>,
    principal: Option<&'j Json>,
    not_principal: Option<&'j Json>,
    condition: Option<&'j Json>,
}

impl<'j> Elements<'j> {
    fn read(json: &'j Json) -> Result<Self, String> {
        let Json::Object(elements) = json else {
            return Err(format!("a statement is an object, not {}", json.kind()));
        };
        let mut read = Self::default();
        for (name, value) in elements {
            let place = match name.as_str() {
                "Sid" if matches!(value, Json::Text(_)) => continue,
                "Sid" => return Err("Sid must be a string".to_owned()),
                "Effect" => &mut read.effect,
                "Action" => &mut read.action,
                "NotAction" => &mut read.not_action,
                "Resource" => &mut read.resource,
                "NotResource" => &mut read.not_resource,
                "Principal" => &mut read.principal,
                "NotPrincipal" => &mut read.not_principal,
                "Condition" => &mut read.condition,
                _ => return Err(format!("a statement has no element \"{name}\"")),
            };
            *place = Some(value);
        }
        Ok(read)
    }
}

/// Which of an element and its negation is there, with its name.
fn either<'j>(
    name: &'static str,
    plain: Option<&'j Json>,
    negated: Option<&'j Json>,
) -> Result<Option<(&'static str, &'j Json, bool)>, String> {
    match (plain, negated) {
        (Some(_), Some(_)) => Err(format!("{name} and Not{name} cannot stand together")),
        (Some(json), None) => Ok(Some((name, json, false))),
        (None, Some(json)) => Ok(Some((name, json, true))),
        (None, None) => Ok(None),
    }
}

/// What a statement may contain.
struct Language<'a> {
    kind: Kind<'a>,
    variables: bool,
    /// Every action there is, in lower case.
    known: &'a [(String, Scope)],
}

fn statement(json: &Json, language: &Language<'_>) -> Result<Statement, String> {
    let Language { kind, variables, .. } = *language;
    let elements = Elements::read(json)?;
    let deny = match elements.effect {
        Some(Json::Text(effect)) if effect == "Allow" => false,
        Some(Json::Text(effect)) if effect == "Deny" => true,
        _ => return Err("Effect must be \"Allow\" or \"Deny\"".to_owned()),
    };
    let actions = either("Action", elements.action, elements.not_action)?;
    let (name, json, negated) = actions.ok_or("Missing required field Action")?;
    let names = texts(name, json)?;
    let (patterns, scopes) = read_actions(&names, language)?;
    if kind == Kind::Trust {
        check_trust(&names, negated, &elements)?;
    }
    let resources = match either("Resource", elements.resource, elements.not_resource)? {
        Some((name, json, negated)) => Some(read_resources(&texts(name, json)?, negated, kind, variables)?),
        None => None,
    };
    let elsewhere_only = scopes.iter().flatten().all(|scope| *scope == Scope::Elsewhere) && !negated;
    if resources.is_none() && !elsewhere_only {
        return Err("Missing required field Resource".to_owned());
    }
    if let (Kind::Bucket { bucket }, Some(resources), false) = (kind, &resources, negated) {
        check_fit(&names, &scopes, resources, bucket)?;
    }
    let names_roles = names_identities(&elements)?;
    Ok(Statement {
        deny,
        actions: Selection { of: patterns, negated },
        // MinIO's admin statements name S3's buckets as their resource and mean nothing by it.
        resources: resources.filter(|_| !elsewhere_only || names_roles),
        names_roles,
        elsewhere_only,
        principals: read_principals(&elements, kind, deny)?,
        conditions: match elements.condition {
            Some(json) => condition::parse(json, variables, kind == Kind::Trust)?,
            None => Vec::new(),
        },
    })
}

/// Whether an action, in lower case, is done to identities, which have ARNs that policies name.
pub(super) fn is_of_identities(action: &str) -> bool {
    action.starts_with("sts:") || action.starts_with("iam:")
}

/// Whether a statement names identities among its resources: then these count for every action on identities, whatever
/// other actions stand beside it.
fn names_identities(elements: &Elements<'_>) -> Result<bool, String> {
    let Some((name, json, _)) = either("Resource", elements.resource, elements.not_resource)? else {
        return Ok(false);
    };
    let is_identity = |name: &String| name.starts_with("arn:aws:iam:") || name.starts_with("arn:aws:sts:");
    Ok(texts(name, json)?.iter().any(is_identity))
}

/// The resource as questions spell it: an ARN of an identity without an account means this store's.
fn with_account(name: &str) -> Cow<'_, str> {
    for service in ["iam", "sts"] {
        if let Some(rest) = name.strip_prefix(&format!("arn:aws:{service}:::")) {
            return Cow::Owned(format!("arn:aws:{service}::{ACCOUNT_ID}:{rest}"));
        }
    }
    Cow::Borrowed(name)
}

/// A trust policy is about its role, and about nothing but taking it on.
fn check_trust(actions: &[String], negated: bool, elements: &Elements<'_>) -> Result<(), String> {
    if elements.resource.is_some() || elements.not_resource.is_some() {
        return Err("a trust policy must not have a Resource: it is about its role".to_owned());
    }
    if negated {
        return Err("a trust policy names what it allows or denies with Action".to_owned());
    }
    let wrong = actions
        .iter()
        .find(|name| !name.to_ascii_lowercase().starts_with("sts:"));
    wrong.map_or(Ok(()), |name| {
        Err(format!(
            "\"{name}\" is no action of a trust policy; write sts:AssumeRole or its like"
        ))
    })
}

/// The patterns of actions, and for each the scopes of what it means.
fn read_actions(names: &[String], language: &Language<'_>) -> Result<(Vec<Pattern>, Vec<Vec<Scope>>), String> {
    let syntax = Syntax {
        wildcards: true,
        variables: false,
    };
    let mut patterns = Vec::with_capacity(names.len());
    let mut scopes = Vec::with_capacity(names.len());
    for name in names {
        let pattern = Pattern::parse(&name.to_ascii_lowercase(), syntax)?;
        let mut meant: Vec<_> = language
            .known
            .iter()
            .filter(|(known, _)| pattern.may_match(known))
            .map(|(_, scope)| *scope)
            .collect();
        meant.dedup();
        if meant.is_empty() {
            return Err(format!("there is no action \"{name}\""));
        }
        if matches!(language.kind, Kind::Bucket { .. }) && meant.iter().all(|scope| *scope == Scope::Elsewhere) {
            return Err(format!(
                "\"{name}\" is no action of S3, so a bucket policy cannot name it"
            ));
        }
        patterns.push(pattern);
        scopes.push(meant);
    }
    Ok((patterns, scopes))
}

fn read_resources(
    names: &[String],
    negated: bool,
    kind: Kind<'_>,
    variables: bool,
) -> Result<Selection<Vec<Pattern>>, String> {
    let syntax = Syntax {
        wildcards: true,
        variables,
    };
    let mut patterns = Vec::with_capacity(names.len());
    for name in names {
        let of_s3 = name == "*"
            || name
                .strip_prefix(S3)
                .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        let pattern = Pattern::parse(&with_account(name), syntax)?;
        match kind {
            Kind::Bucket { bucket } => {
                if !of_s3 || !(may_be_bucket(&pattern, bucket) || may_be_object(&pattern, bucket)) {
                    return Err(format!("the resource \"{name}\" is not in the bucket {bucket}"));
                }
            }
            Kind::Identity | Kind::Session | Kind::Trust => {
                if !of_s3 && !ELSEWHERE.iter().any(|start| name.starts_with(start)) {
                    return Err(format!(
                        "\"{name}\" is no resource; write *, {S3}BUCKET or {S3}BUCKET/KEY"
                    ));
                }
            }
        }
        patterns.push(pattern);
    }
    Ok(Selection { of: patterns, negated })
}

fn may_be_bucket(pattern: &Pattern, bucket: &str) -> bool {
    pattern.may_match(&format!("{S3}{bucket}"))
}

fn may_be_object(pattern: &Pattern, bucket: &str) -> bool {
    pattern.may_go_beyond(&format!("{S3}{bucket}/"))
}

/// Every action must be one that some resource of the statement can be asked for.
fn check_fit(
    names: &[String],
    scopes: &[Vec<Scope>],
    resources: &Selection<Vec<Pattern>>,
    bucket: &str,
) -> Result<(), String> {
    let any = |fits: fn(&Pattern, &str) -> bool| resources.negated || resources.of.iter().any(|one| fits(one, bucket));
    let (has_bucket, has_object) = (any(may_be_bucket), any(may_be_object));
    for (name, scopes) in names.iter().zip(scopes) {
        let fits = scopes.iter().any(|scope| match scope {
            Scope::Bucket => has_bucket,
            Scope::Object => has_object,
            Scope::Service | Scope::Elsewhere => false,
        });
        if !fits {
            return Err(format!(
                "Action does not apply to any resource(s) in statement: \"{name}\""
            ));
        }
    }
    Ok(())
}

fn read_principals(
    elements: &Elements<'_>,
    kind: Kind<'_>,
    deny: bool,
) -> Result<Option<Selection<Principals>>, String> {
    let principals = either("Principal", elements.principal, elements.not_principal)?;
    match (kind, principals) {
        (Kind::Bucket { .. } | Kind::Trust, None) => Err("Missing required field Principal".to_owned()),
        (Kind::Bucket { .. } | Kind::Trust, Some((_, _, true))) if !deny => {
            Err("NotPrincipal cannot stand with Effect Allow: it would allow everybody else".to_owned())
        }
        (Kind::Bucket { .. } | Kind::Trust, Some((_, json, negated))) => Ok(Some(Selection {
            of: Principals::parse(json)?,
            negated,
        })),
        (Kind::Identity | Kind::Session, Some(_)) => {
            Err("a policy of an identity must not have a Principal: it is about who it is attached to".to_owned())
        }
        (Kind::Identity | Kind::Session, None) => Ok(None),
    }
}
