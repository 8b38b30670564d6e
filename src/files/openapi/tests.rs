//! That the document tells what is served, and all of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::error::Code;
use super::super::routes::{BUILT, Callers, Row};
use super::super::tests::{Shop, Told};
use super::described;
use super::refusals::KEYS;

/// Codes that no described operation answers: paths and methods that nobody has.
const OF_NO_OPERATION: [&str; 1] = ["common/method-not-allowed"];
/// Codes of resumable uploads, which stand outside of the document.
const RESUMABLE: &str = "upload/";

/// Compares answers with the document.
pub(in crate::files) struct Judge(Value);

impl Judge {
    pub(in crate::files) fn new() -> Self {
        Self(super::document(None))
    }

    fn operation(&self, row: &Row) -> &Value {
        let method = row.method.as_str().to_ascii_lowercase();
        &self.0["paths"][described::path(row.pattern)][method]
    }

    /// Fails where the answer has a status, a field or a value that the document does not tell.
    #[track_caller]
    pub(in crate::files) fn holds(&self, row: &Row, told: &Told) {
        let case = format!("{} {} {}", row.method, row.pattern, told.status);
        let answer = &self.operation(row)["responses"][told.status.to_string()];
        assert!(answer.is_object(), "{case} is not described: {}", told.json());
        if let Some(schema) = answer.pointer("/content/application~1json/schema") {
            assert_eq!(told.header("content-type"), "application/json", "{case}");
            let wrong = self.wrong(&[schema], &told.json(), "");
            assert_eq!(wrong, Vec::<String>::new(), "{case}: {}", told.json());
        }
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(name) => self.0.pointer(name.trim_start_matches('#')).expect(name),
            None => schema,
        }
    }

    /// The schema and all that it is as well.
    fn members<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        let schema = self.resolved(schema);
        let more = schema["allOf"].as_array().into_iter().flatten();
        let mut all = vec![schema];
        all.extend(more.flat_map(|member| self.members(member)));
        all
    }

    /// What of the value is not as the schemas together have it.
    fn wrong(&self, schemas: &[&Value], value: &Value, at: &str) -> Vec<String> {
        let members = schemas.iter().flat_map(|schema| self.members(schema)).collect();
        self.wrong_of(members, value, at)
    }

    /// The same, of schemas with all that they are; fields that none of them names are wrong, where they name any.
    fn wrong_of(&self, mut members: Vec<&Value>, value: &Value, at: &str) -> Vec<String> {
        if let Some(place) = members.iter().position(|member| member["anyOf"].is_array()) {
            let any = members.remove(place)["anyOf"].as_array().unwrap().iter();
            let tried = any.map(|one| self.wrong_of([members.clone(), self.members(one)].concat(), value, at));
            return tried.min_by_key(Vec::len).unwrap();
        }
        let mut wrong = Vec::new();
        let mut fields: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for member in &members {
            for (name, field) in member["properties"].as_object().into_iter().flatten() {
                fields.entry(name).or_default().push(field);
            }
            wrong.extend(self.wrong_alone(member, value, at));
        }
        for (name, field) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            match fields.get(name.as_str()) {
                Some(schemas) => wrong.extend(self.wrong(schemas, field, &at)),
                None if !fields.is_empty() => wrong.push(format!("{at} is not described")),
                None => {}
            }
        }
        wrong
    }

    fn wrong_alone(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{at} is {value}: {what}"));
            }
        };
        let kinds = match &schema["type"] {
            Value::String(kind) => vec![kind.as_str()],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        check(kinds.is_empty() || kinds.contains(&kind(value)), &format!("{kinds:?}"));
        if let Some(values) = schema["enum"].as_array() {
            check(values.contains(value), "not one of them");
        }
        if let Some(only) = schema.get("const") {
            check(only == value, &format!("not {only}"));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            check(
                value.get(name.as_str().unwrap()).is_some(),
                &format!("{name} is missing"),
            );
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            wrong.extend(self.wrong(&[&schema["items"]], item, &format!("{at}/{index}")));
        }
        wrong
    }

    /// Every schema, answer and parameter in it.
    fn visit<'a>(&'a self, value: &'a Value, seen: &mut impl FnMut(&'a Value)) {
        seen(value);
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.visit(item, seen)),
            Value::Object(fields) => fields.values().for_each(|field| self.visit(field, seen)),
            _ => {}
        }
    }

    /// Codes by the operations that answer them.
    fn codes(&self) -> BTreeSet<&str> {
        let mut codes = BTreeSet::new();
        self.visit(&self.0["paths"], &mut |value| {
            let of_answer = value.pointer("/properties/error/properties/code/enum");
            codes.extend(
                of_answer
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str),
            );
        });
        codes
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() || number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn every_row_is_an_operation_with_a_name_of_its_own() {
    let document = Judge::new();
    let mut names = BTreeSet::new();
    for row in BUILT {
        let operation = document.operation(row);
        let name = operation["operationId"].as_str().unwrap_or_default();
        assert!(!name.is_empty(), "{} {}", row.method, row.pattern);
        assert!(names.insert(name), "{name} twice");
        let succeeds = |status: &String| status.starts_with('2');
        assert!(
            operation["responses"].as_object().unwrap().keys().any(succeeds),
            "{name}"
        );
        let in_path = operation["parameters"].as_array().into_iter().flatten();
        let in_path: Vec<&Value> = in_path.filter(|one| one["in"] == "path").collect();
        assert_eq!(in_path.len(), row.pattern.matches("/:").count(), "{name}");
        let path = described::path(row.pattern);
        for parameter in in_path {
            let variable = format!("{{{}}}", parameter["name"].as_str().unwrap());
            assert!(path.contains(&variable), "{name}: {variable} in {path}");
        }
    }
    let operations = document.0["paths"].as_object().unwrap().values();
    let count: usize = operations.map(|methods| methods.as_object().unwrap().len()).sum();
    assert_eq!(count, BUILT.len());
}

#[test]
fn every_code_of_the_documentation_is_one_that_an_operation_answers() {
    let documentation = include_str!("../../../docs/files-api.md");
    let document = Judge::new();
    let told = document.codes();
    for code in Code::ALL {
        let documented =
            documentation.contains(&format!("`{}`", code.name)) || documentation.contains(&format!(" {}`", code.name));
        let elsewhere = code.name.starts_with(RESUMABLE) || OF_NO_OPERATION.contains(&code.name);
        assert_eq!(told.contains(code.name), !elsewhere, "{}", code.name);
        assert!(
            documented || elsewhere || code.name == Code::INCOMPLETE_BODY.name,
            "{} is not in files-api.md",
            code.name
        );
    }
    for (status, code) in KEYS {
        assert!(told.contains(code), "{code}");
        assert!(
            documentation.contains(&format!("| {status} | `{code}` |")),
            "{code} is not in files-api.md"
        );
    }
}

#[test]
fn what_is_shared_is_there_and_used() {
    let document = Judge::new();
    let mut used = BTreeSet::new();
    document.visit(&document.0, &mut |value| {
        if let Some(name) = value["$ref"].as_str() {
            assert!(document.0.pointer(name.trim_start_matches('#')).is_some(), "{name}");
            used.insert(name.rsplit('/').next().unwrap().to_owned());
        }
    });
    let there: BTreeSet<String> = document.0["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(there, used);
}

#[test]
fn who_may_ask_is_said_of_each_operation() {
    let document = Judge::new();
    for row in BUILT {
        let asked = &document.operation(row)["security"];
        let count = asked.as_array().unwrap().len();
        match row.callers {
            Callers::Anybody => assert_eq!(count, 0, "{}", row.pattern),
            Callers::Servers => assert_eq!(count, 1, "{}", row.pattern),
            Callers::Everybody | Callers::Uploaders | Callers::SignedIn => assert!(count >= 2, "{}", row.pattern),
        }
        let scope = json!([format!("files:{}", row.operation.name())]);
        let schemes = asked.as_array().unwrap().iter();
        assert!(
            schemes.filter_map(|one| one.get("apiKey")).all(|key| *key == scope),
            "{}",
            row.pattern
        );
    }
}

#[test]
fn a_path_that_names_an_upload_leaves_it_out_of_the_body() {
    let document = Judge::new();
    let body = |path: &str| {
        let body = &document.0["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
        body["required"].clone()
    };
    assert_eq!(
        body("/v1/files/multipart/presigned-url"),
        json!(["uploadId", "partNumber"])
    );
    assert_eq!(body("/v1/files/multipart/{uploadId}/part-url"), json!(["partNumber"]));
    assert!(document.0["paths"]["/v1/files/{id}/download-url"]["get"]["requestBody"].is_null());
}

#[tokio::test]
async fn the_document_is_for_everybody_and_cached() {
    let shop = Shop::new().await;
    let nobody = Vec::new();
    let told = shop.get(&nobody, "openapi.json").await.is(200);
    assert_eq!(told.text("/openapi"), "3.1.0");
    assert_eq!(told.text("/servers/0/url"), "https://files.test");
    assert_eq!(told.header("content-type"), "application/json");
    assert_eq!(told.header("cache-control"), "public, max-age=300");
    let text = String::from_utf8(told.bytes.clone()).unwrap();
    for secret in [&shop.publishable, &shop.secret] {
        assert!(!text.contains(secret.as_str()));
    }
    let etag = told.header("etag").to_owned();
    for known in [etag.as_str(), "*", &format!("\"other\", W/{etag}")] {
        let same = shop
            .ask(&nobody, "GET", "openapi.json", &[("if-none-match", known)], Vec::new())
            .await;
        assert_eq!((same.status, same.bytes.len()), (304, 0), "{known}");
        assert_eq!(same.header("etag"), etag);
    }
    let other = [("if-none-match", "\"other\"")];
    shop.ask(&nobody, "GET", "openapi.json", &other, Vec::new())
        .await
        .is(200);
    let head = shop.ask(&nobody, "HEAD", "openapi.json", &[], Vec::new()).await.is(200);
    assert_eq!(head.header("content-length"), told.bytes.len().to_string());
    assert!(head.bytes.is_empty());
    shop.post(&nobody, "openapi.json", json!({}))
        .await
        .refused(405, "common/method-not-allowed");
    assert_eq!(super::document(None)["servers"][0]["url"], "/");
}
