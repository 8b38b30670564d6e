//! The fields of a JSON body: read whole and small, and told apart by name and kind.
//!
//! Owns how a wrong field is told. A field that is null counts as left out. Fields that nobody asks for are passed over, as
//! the clients of other back ends send some; but not where something is set up, see [`Fields::only`].

use http_body_util::BodyExt;
use serde_json::{Map, Value};
use storage_engine::store::record::labels::Visibility;

use super::error::{Code, FilesError};
use crate::http::body::RequestBody;

/// Bytes of a JSON body.
const JSON_BYTES_MAX: usize = 1 << 20;
/// Characters of a name that is told.
const TOLD_CHARS_MAX: usize = 64;
/// The largest number that is taken: many languages have no larger ones, and what is taken is answered again.
pub(super) const NUMBER_MAX: u64 = i64::MAX.unsigned_abs();

/// An object of JSON.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads the body; none at all is an object without fields.
    pub(super) async fn read(body: RequestBody) -> Result<Self, FilesError> {
        Self::parse(&whole(body, JSON_BYTES_MAX, Code::REQUEST_TOO_LARGE).await?)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FilesError> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(FilesError::field("The body must be a JSON object.")),
            Err(error) => Err(FilesError::field(format!("The body is not JSON: {error}."))),
        }
    }

    /// An object inside of another one.
    pub(super) fn of(value: &Value) -> Result<Self, FilesError> {
        match value {
            Value::Object(fields) => Ok(Self(fields.clone())),
            _ => Err(FilesError::field("An object was expected in the list.")),
        }
    }

    /// Refuses fields of other names, where one that is misspelt would leave out what was meant.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), FilesError> {
        match self.0.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let (name, names) = (told(name), names.join(", "));
                Err(FilesError::field(format!(
                    "There is no field {name} here, only {names}."
                )))
            }
        }
    }

    /// These, and where they say nothing what `said` says.
    pub(super) fn over(&self, Self(mut said): Self) -> Self {
        let own = self.0.iter().filter(|(_, value)| !value.is_null());
        said.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        Self(said)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The same, where null says something of its own.
    pub(super) fn stated(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, FilesError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(FilesError::field(format!("{name} must be a text."))),
        }
    }

    pub(super) fn need(&self, name: &str) -> Result<&str, FilesError> {
        let text = self.text(name)?;
        text.ok_or_else(|| FilesError::field(format!("{name} is required: a text.")))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, FilesError> {
        let wrong = || FilesError::field(format!("{name} must be a whole number from 0 to {NUMBER_MAX}."));
        match self.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => match (number.as_u64(), number.as_f64()) {
                (Some(number), _) if number <= NUMBER_MAX => Ok(Some(number)),
                (Some(_), _) => Err(wrong()),
                // Some languages have no other numbers.
                (None, Some(float)) if float >= 0.0 && float.fract() == 0.0 && float < 9e15 => {
                    format!("{float:.0}").parse().map(Some).map_err(|_| wrong())
                }
                (None, _) => Err(wrong()),
            },
            Some(_) => Err(wrong()),
        }
    }

    /// A number of bytes.
    pub(super) fn size(&self, name: &str) -> Result<Option<u64>, FilesError> {
        let is_negative = self.get(name).and_then(Value::as_f64).is_some_and(|size| size < 0.0);
        if is_negative {
            return Err(FilesError::because(
                Code::SIZE_NEGATIVE,
                format!("{name} must not be negative."),
            ));
        }
        self.number(name)
    }

    /// A count of seconds within a range.
    pub(super) fn seconds(&self, name: &str, (least, most): (u32, u32)) -> Result<Option<u32>, FilesError> {
        let wrong = || {
            FilesError::field(format!(
                "{name} must be a whole number of seconds from {least} to {most}."
            ))
        };
        let Some(number) = self.number(name).map_err(|_| wrong())? else {
            return Ok(None);
        };
        let seconds = u32::try_from(number)
            .ok()
            .filter(|seconds| (least..=most).contains(seconds));
        seconds.map(Some).ok_or_else(wrong)
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, FilesError> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(FilesError::field(format!("{name} must be true or false."))),
        }
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, FilesError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            Some(_) => Err(FilesError::field(format!("{name} must be an object."))),
        }
    }

    /// A list of at most `most` items.
    pub(super) fn list(&self, name: &str, most: usize) -> Result<&[Value], FilesError> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Value::Array(items)) if items.len() <= most => Ok(items),
            Some(_) => Err(FilesError::field(format!(
                "{name} must be a list of at most {most} items."
            ))),
        }
    }

    pub(super) fn texts(&self, name: &str, most: usize) -> Result<Vec<String>, FilesError> {
        let items = self.list(name, most)?.iter();
        let texts = items.map(|item| item.as_str().map(str::to_owned));
        texts
            .collect::<Option<_>>()
            .ok_or_else(|| FilesError::field(format!("{name} must be a list of texts.")))
    }

    /// A level of visibility.
    pub(super) fn level(&self, name: &str) -> Result<Option<Visibility>, FilesError> {
        self.text(name)?.map(|text| level(name, text)).transpose()
    }

    pub(super) fn visibility(&self) -> Result<Option<Visibility>, FilesError> {
        self.level("visibility")
    }
}

/// The level that a field or parameter says.
pub(super) fn level(name: &str, text: &str) -> Result<Visibility, FilesError> {
    Visibility::parse(text)
        .ok_or_else(|| FilesError::field(format!("{name} must be private, public, protected or shared.")))
}

/// A name that a client chose, as it is told.
pub(super) fn told(name: &str) -> String {
    name.chars().take(TOLD_CHARS_MAX).collect()
}

/// The value of a field of a form, or of a parameter of the query: there, what is no text in JSON is written as JSON.
pub(super) fn written(name: &str, text: String) -> Result<Value, FilesError> {
    match name {
        _ if text.is_empty() => Ok(Value::Null),
        "metadata" | "tags" => {
            serde_json::from_str(&text).map_err(|_| FilesError::field(format!("{name} must be JSON.")))
        }
        // What is none is told by whoever reads the field.
        "fileSize" | "deleteAfter" | "maxDownloads" | "expiresIn" | "oneTime" | "stable" => {
            Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
        }
        _ => Ok(Value::String(text)),
    }
}

/// The whole body, if it has at most `most` bytes. One that is said to have more is not begun.
async fn whole(mut body: RequestBody, most: usize, too_large: Code) -> Result<Vec<u8>, FilesError> {
    if http_body::Body::size_hint(&body).lower() > most as u64 {
        return Err(too_large.into());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Code::INCOMPLETE_BODY)?;
        let Ok(piece) = frame.into_data() else { continue };
        if piece.len() > most.saturating_sub(bytes.len()) {
            return Err(too_large.into());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Fields, FilesError};

    fn code<T: std::fmt::Debug>(result: Result<T, FilesError>) -> &'static str {
        result.unwrap_err().code()
    }

    #[test]
    fn fields_are_told_apart_by_their_kind() {
        let fields =
            Fields::parse(br#"{"t":"x","n":7,"f":7.0,"neg":-1,"half":0.5,"o":{},"l":["a"],"b":true,"z":null}"#)
                .unwrap();
        assert_eq!(fields.text("t").unwrap(), Some("x"));
        assert_eq!(fields.text("z").unwrap(), None);
        assert_eq!(fields.number("n").unwrap(), Some(7));
        assert_eq!(fields.number("f").unwrap(), Some(7));
        assert_eq!(fields.texts("l", 1).unwrap(), ["a"]);
        assert!(fields.flag("b").unwrap() && !fields.flag("none").unwrap());
        assert!(fields.get("z").is_none());
        assert_eq!(code(fields.size("neg")), "file/size-negative");
        let large = Fields::parse(br#"{"most":9223372036854775807,"more":9223372036854775808,"far":1e30}"#).unwrap();
        assert_eq!(large.size("most").unwrap(), Some(super::NUMBER_MAX));
        assert_eq!(code(large.size("more")), "common/invalid-request");
        assert_eq!(code(large.size("far")), "common/invalid-request");
        for wrong in [
            code(fields.number("half")),
            code(fields.number("t")),
            code(fields.text("n")),
            code(fields.need("none")),
        ] {
            assert_eq!(wrong, "common/invalid-request");
        }
        assert_eq!(code(fields.texts("l", 0)), "common/invalid-request");
        assert_eq!(code(fields.object("l")), "common/invalid-request");
        assert_eq!(code(fields.seconds("n", (8, 9))), "common/invalid-request");
        for wrong in ["[]", "7", "{", "\u{0}"] {
            assert_eq!(
                code(Fields::parse(wrong.as_bytes())),
                "common/invalid-request",
                "{wrong}"
            );
        }
        assert!(Fields::parse(b" ").unwrap().get("t").is_none());
    }

    #[test]
    fn fields_of_other_names_are_told_where_they_are_not_passed_over() {
        let fields = Fields::parse(br#"{"a":1,"b":null}"#).unwrap();
        assert!(fields.only(&["a", "b", "c"]).is_ok());
        let refused = fields.only(&["a", "c"]).unwrap_err();
        assert_eq!(refused.code(), "common/invalid-request");
        assert_eq!(refused.item()["message"], "There is no field b here, only a, c.");
    }

    #[test]
    fn what_a_body_says_goes_before_what_a_query_says() {
        let said = Fields::parse(br#"{"a":1,"b":2,"c":3}"#).unwrap();
        let both = Fields::parse(br#"{"a":7,"b":null}"#).unwrap().over(said);
        let told = |name: &str| both.number(name).unwrap();
        assert_eq!((told("a"), told("b"), told("c")), (Some(7), Some(2), Some(3)));
    }
}
