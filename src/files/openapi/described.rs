//! One operation as the document tells it, and how it becomes JSON beside its row of the table of routes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Map, Value, json};

use super::super::error::Code;
use super::super::routes::{Callers, Row};
use super::refusals::{self, ALWAYS, EDGE, KEYS, Refusal, WRITING};
use super::schema::{self, saying, shared, text};
use crate::projects::Operation;

/// Under which heading an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Uploads,
    Parts,
    Files,
    Reading,
    Sharing,
    Buckets,
    Users,
    Webhooks,
    Companion,
    Document,
}

impl Tag {
    pub(super) const ALL: [(Self, &'static str); 10] = [
        (
            Self::Uploads,
            "Files that come: by presigned URL, by form, through the server.",
        ),
        (Self::Parts, "Large files, part by part."),
        (
            Self::Files,
            "What is known of files: lists, changes, versions, copies, references.",
        ),
        (Self::Reading, "Bytes of files, and addresses to read them from."),
        (Self::Sharing, "With whom a file is shared."),
        (Self::Buckets, "Logical buckets, and what files take up."),
        (
            Self::Users,
            "Users of the app: shut out, their links revoked, their files removed.",
        ),
        (Self::Webhooks, "Receivers of events; for servers of the app."),
        (
            Self::Companion,
            "Uploads as Uppy's Companion tells them, answered without an envelope.",
        ),
        (Self::Document, "This document."),
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uploads => "uploads",
            Self::Parts => "parts",
            Self::Files => "files",
            Self::Reading => "reading",
            Self::Sharing => "sharing",
            Self::Buckets => "buckets",
            Self::Users => "users",
            Self::Webhooks => "webhooks",
            Self::Companion => "companion",
            Self::Document => "document",
        }
    }
}

/// What an operation is beside its row: everything that a client must know to call it.
pub(super) struct Described {
    name: &'static str,
    tag: Tag,
    summary: &'static str,
    details: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    codes: BTreeSet<Refusal>,
}

impl Described {
    /// `name` is what clients that are made from the document call it.
    pub(super) fn new(name: &'static str, tag: Tag, summary: &'static str) -> Self {
        Self {
            name,
            tag,
            summary,
            details: "",
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            codes: BTreeSet::new(),
        }
    }

    pub(super) fn says(mut self, details: &'static str) -> Self {
        self.details = details;
        self
    }

    pub(super) fn query(self, name: &'static str, schema: Value, says: &'static str) -> Self {
        // An empty one counts as left out.
        let given = json!({ "name": name, "in": "query", "schema": schema, "allowEmptyValue": true });
        self.given(saying(given, says))
    }

    /// Texts by names that the client chooses: `NAME[KEY]=TEXT`.
    pub(super) fn query_texts(self, name: &'static str, says: &'static str) -> Self {
        let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
        let given = json!({ "name": name, "in": "query", "style": "deepObject", "explode": true, "schema": texts });
        self.given(saying(given, says))
    }

    pub(super) fn header(self, name: &'static str, schema: &Value, says: &'static str) -> Self {
        let given = json!({ "name": name, "in": "header", "schema": schema });
        self.given(saying(given, says))
    }

    fn given(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// A JSON body that must be there.
    pub(super) fn asks(self, schema: Value) -> Self {
        self.takes(true, json!({ "application/json": { "schema": schema } }))
    }

    /// A JSON body that may be left out.
    pub(super) fn may_ask(self, schema: Value) -> Self {
        self.takes(false, json!({ "application/json": { "schema": schema } }))
    }

    /// A body in one of several forms.
    pub(super) fn takes(mut self, required: bool, content: Value) -> Self {
        self.body = Some(json!({ "required": required, "content": content }));
        self
    }

    /// Answers the fields of a shared schema, in the envelope that the project chose.
    pub(super) fn tells(self, status: u16, name: &str) -> Self {
        let both = json!({ "type": "object", "properties": { "success": { "const": true }, "data": shared(name) } });
        let schema = schema::also(vec![shared(name), both]);
        self.answers(
            status,
            "It went well.",
            json!({ "application/json": { "schema": schema } }),
        )
    }

    /// Answers this without an envelope.
    pub(super) fn tells_bare(self, status: u16, schema: Value) -> Self {
        self.answers(
            status,
            "It went well.",
            json!({ "application/json": { "schema": schema } }),
        )
    }

    /// Answers without a body where `content` is null.
    pub(super) fn answers(mut self, status: u16, says: &str, content: Value) -> Self {
        let mut answer = json!({ "description": says });
        if let (Some(fields), false) = (answer.as_object_mut(), content.is_null()) {
            fields.insert("content".to_owned(), content);
        }
        self.answers.insert(status, answer);
        self
    }

    pub(super) fn refuses(mut self, groups: &[&[Code]]) -> Self {
        self.codes
            .extend(groups.iter().copied().flatten().copied().map(refusals::of));
        self
    }

    /// As the document has it. `first`: the row that gave the operation its name, where another path leads to it as well.
    pub(super) fn operation(mut self, row: &Row, first: &Row) -> Value {
        let reads = matches!(row.method, Method::GET | Method::HEAD);
        self.codes.extend(EDGE);
        if row.callers != Callers::Anybody {
            self.codes.extend(KEYS);
            self.refuses_always(row, reads);
        }
        let variables = variables(row.pattern);
        let mut parameters: Vec<Value> = variables.iter().map(|name| in_path(name)).collect();
        parameters.append(&mut self.parameters);
        let mut operation = json!({
            "operationId": operation_id(self.name, row, first),
            "tags": [self.tag.name()],
            "summary": self.summary,
            "security": security(row),
            "responses": self.responses(row.method == Method::HEAD),
        });
        if let Some(fields) = operation.as_object_mut() {
            if let Some(details) = details(self.details, row) {
                fields.insert("description".to_owned(), json!(details));
            }
            if !parameters.is_empty() {
                fields.insert("parameters".to_owned(), json!(parameters));
            }
            if let (Some(mut body), false) = (self.body, reads) {
                for name in variables {
                    leave_out(&mut body, called(name));
                }
                fields.insert("requestBody".to_owned(), body);
            }
        }
        operation
    }

    fn refuses_always(&mut self, row: &Row, reads: bool) {
        let mut groups = vec![ALWAYS];
        if !reads {
            groups.push(WRITING);
        }
        if row.pattern.contains(':') && row.pattern.contains("/:") {
            // What stands in the path is no text.
            groups.push(&[Code::NO_SUCH_ROUTE]);
        }
        self.codes
            .extend(groups.into_iter().flatten().copied().map(refusals::of));
    }

    fn responses(&self, bare: bool) -> Value {
        let mut refused: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
        for (status, code) in &self.codes {
            refused.entry(*status).or_default().push(code);
        }
        let answers = self
            .answers
            .iter()
            .map(|(status, answer)| (status.to_string(), answer.clone()));
        let refused = refused
            .into_iter()
            .map(|(status, codes)| (status.to_string(), refusals::response(status, codes)));
        let mut all: Map<String, Value> = answers.chain(refused).collect();
        if bare {
            // A HEAD has no body, whatever is answered.
            for answer in all.values_mut().filter_map(Value::as_object_mut) {
                answer.remove("content");
            }
        }
        Value::Object(all)
    }
}

/// The variable segments of a path.
fn variables(pattern: &str) -> Vec<&str> {
    pattern
        .split('/')
        .filter_map(|segment| segment.strip_prefix(':'))
        .collect()
}

/// The path as the document writes it.
pub(super) fn path(pattern: &str) -> String {
    let written = |segment: &str| match segment.strip_prefix(':') {
        Some(name) => format!("{{{}}}", called(name)),
        None => segment.to_owned(),
    };
    let segments: Vec<String> = pattern.split('/').map(written).collect();
    format!("/v1/{}", segments.join("/"))
}

/// How applications call what the table of routes has a shorter word for.
fn called(variable: &str) -> &str {
    match variable {
        "upload" => "uploadId",
        "hook" => "webhookId",
        "version" => "versionId",
        "share" => "shareId",
        "number" => "partNumber",
        "public" => "publicId",
        same => same,
    }
}

fn in_path(variable: &str) -> Value {
    let (schema, says) = match variable {
        "id" => (schema::id(), "The id of a file."),
        "upload" => (text(), "The `uploadId` that an upload in parts was begun with."),
        "hook" => (schema::id(), "The id of a webhook."),
        "version" => (text(), "The `id` of a version in the list of versions."),
        "share" => (
            json!({ "type": "string", "pattern": "^[0-9a-fA-F]{16}$" }),
            "The `shareId` of a share.",
        ),
        "number" => (schema::within((1_u16, 10_000)), "The number of a part."),
        "public" => (text(), "The public id in the `publicUrl` of a file."),
        "ref" => (
            schema::short(256),
            "A text of the application that says who needs the file.",
        ),
        _ => (schema::short(255), ""),
    };
    let parameter = json!({ "name": called(variable), "in": "path", "required": true, "schema": schema });
    saying(parameter, says)
}

/// The name by the first path; by others, also by what they have that it has not.
fn operation_id(name: &str, row: &Row, first: &Row) -> String {
    if row.pattern == first.pattern {
        return match row.method == first.method {
            true => name.to_owned(),
            false => format!("{name}By{}", capital(&row.method.as_str().to_ascii_lowercase())),
        };
    }
    let known = variables(first.pattern);
    let own = variables(row.pattern).into_iter().find(|name| !known.contains(name));
    match own {
        Some(variable) => format!("{name}Of{}", capital(variable)),
        None => format!(
            "{name}By{}",
            capital(row.pattern.rsplit('/').next().unwrap_or_default())
        ),
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn details(says: &str, row: &Row) -> Option<String> {
    let who = match row.callers {
        Callers::Anybody => "",
        Callers::Everybody => "Also for guests: a publishable key alone.",
        Callers::Uploaders => {
            "For users (a publishable key and a token), and servers (a secret key); for guests (a publishable key alone) \
             in logical buckets with `guestUpload`."
        }
        Callers::SignedIn => "For users (a publishable key and a token), and servers (a secret key).",
        Callers::Servers => "For servers of the app: a secret key.",
    };
    let all: Vec<&str> = [says, who].into_iter().filter(|text| !text.is_empty()).collect();
    (!all.is_empty()).then(|| all.join("\n\n"))
}

/// Which keys and tokens go together; of a key, the scope it needs.
fn security(row: &Row) -> Value {
    let scope = [format!("files:{}", row.operation.name())];
    let key = json!({ "apiKey": scope });
    let user = json!({ "apiKey": scope, "userToken": [] });
    match (row.callers, row.operation) {
        (Callers::Anybody, _) => json!([]),
        (Callers::Servers, _) => json!([key]),
        (Callers::SignedIn | Callers::Uploaders, Operation::Create) => json!([user, key, { "uploadToken": [] }]),
        (Callers::SignedIn | Callers::Uploaders | Callers::Everybody, _) => json!([user, key]),
    }
}

/// What the path says the body does not have to.
fn leave_out(body: &mut Value, name: &str) {
    let schema = body.pointer_mut("/content/application~1json/schema");
    let Some(schema) = schema.and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.remove(name);
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|one| one != name);
    }
}
