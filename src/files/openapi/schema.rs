//! JSON schemas in a few words: kinds of values, and objects of named fields. Pure.

use serde_json::{Map, Value, json};

/// A field of an object: name, kind, and what it says.
pub(super) type Field = (&'static str, Value, &'static str);

/// Digits of a SHA-256.
const SHA256: &str = "^[0-9a-f]{64}$";
/// The same as clients send it: hexadecimal, or base64.
const SHA256_SENT: &str = "^([0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=)$";

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

/// A text that is not empty and has at most so many characters.
pub(super) fn short(most: usize) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": most })
}

pub(super) fn one_of(names: &[&str]) -> Value {
    json!({ "type": "string", "enum": names })
}

pub(super) fn flag() -> Value {
    json!({ "type": "boolean" })
}

/// A whole number that is not negative.
pub(super) fn count() -> Value {
    json!({ "type": "integer", "format": "int64", "minimum": 0 })
}

pub(super) fn within<N: Into<u64>>((least, most): (N, N)) -> Value {
    let (least, most): (u64, u64) = (least.into(), most.into());
    json!({ "type": "integer", "format": "int64", "minimum": least, "maximum": most })
}

/// A time, in UTC.
pub(super) fn moment() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// The id of something: a UUID.
pub(super) fn id() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

pub(super) fn url() -> Value {
    json!({ "type": "string", "format": "uri" })
}

pub(super) fn sha256() -> Value {
    json!({ "type": "string", "pattern": SHA256 })
}

pub(super) fn sha256_sent() -> Value {
    json!({ "type": "string", "pattern": SHA256_SENT })
}

pub(super) fn bytes() -> Value {
    json!({ "type": "string", "format": "binary" })
}

pub(super) fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// A list with so many items.
pub(super) fn list_of(items: &Value, (least, most): (usize, usize)) -> Value {
    json!({ "type": "array", "items": items, "minItems": least, "maxItems": most })
}

/// An object whose fields are all of one kind.
pub(super) fn all(values: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

/// A shared schema, by its name.
pub(super) fn shared(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The same, or null.
pub(super) fn or_null(mut schema: Value) -> Value {
    if let Some(fields) = schema.as_object_mut()
        && let Some(kind) = fields.get("type").cloned()
    {
        if kind.is_string() {
            fields.insert("type".to_owned(), json!([kind, "null"]));
        }
        if let Some(Value::Array(values)) = fields.get_mut("enum") {
            values.push(Value::Null);
        }
        return schema;
    }
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// What is answered: every field is there, if only as null.
pub(super) fn told(fields: Vec<Field>) -> Value {
    object(fields, Vec::new())
}

/// What is answered, the last fields only where they apply.
pub(super) fn told_with(always: Vec<Field>, sometimes: Vec<Field>) -> Value {
    object(always, sometimes)
}

/// What is sent. A field that is null counts as left out, so only those that are needed must be something.
pub(super) fn asked(needed: Vec<Field>, may: Vec<Field>) -> Value {
    let may = may
        .into_iter()
        .map(|(name, schema, says)| (name, or_null(schema), says));
    object(needed, may.collect())
}

/// The same, where other fields are refused and not passed over.
pub(super) fn closed(mut schema: Value) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    schema
}

/// An object that is several things at once.
pub(super) fn also(schemas: Vec<Value>) -> Value {
    json!({ "allOf": schemas })
}

fn object(needed: Vec<Field>, may: Vec<Field>) -> Value {
    let required: Vec<&str> = needed.iter().map(|(name, ..)| *name).collect();
    let properties: Map<String, Value> = needed
        .into_iter()
        .chain(may)
        .map(|(name, schema, says)| (name.to_owned(), saying(schema, says)))
        .collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if let (Some(fields), false) = (schema.as_object_mut(), required.is_empty()) {
        fields.insert("required".to_owned(), json!(required));
    }
    schema
}

/// With a description, where there is something to say.
pub(super) fn saying(mut schema: Value, says: &str) -> Value {
    if let (Some(fields), false) = (schema.as_object_mut(), says.is_empty()) {
        fields.insert("description".to_owned(), json!(says));
    }
    schema
}
