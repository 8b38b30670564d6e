//! What a client says of an upload in `Upload-Metadata` and `Upload-Concat`. Pure.
//!
//! Owns their forms and which names mean the same. No header is ever made from a value but by the form it came in.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Longest header that is kept.
const SAID_BYTES_MAX: usize = 7 * 1024;

/// Names, and what they are called in other clients.
const NAMES: [(&str, &[&str]); 9] = [
    ("filename", &["filename", "name"]),
    ("contentType", &["filetype", "contentType", "type", "mimeType"]),
    ("visibility", &["visibility"]),
    ("bucket", &["bucket", "bucketName"]),
    ("category", &["category"]),
    ("metadata", &["metadata"]),
    ("deleteAfter", &["deleteAfter"]),
    ("maxDownloads", &["maxDownloads"]),
    ("cacheControl", &["cacheControl"]),
];
/// Those that are numbers, written in digits.
const NUMBERS: [&str; 2] = ["deleteAfter", "maxDownloads"];
/// A path as Supabase's clients give it: its last segment is the name.
const PATH: &str = "objectName";

/// A header that cannot be read; the text is for whoever writes the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) &'static str);

/// What was said, by the names that this server has for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) filename: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) cache_control: Option<String>,
    /// The rest, as fields of a file that is announced.
    pub(super) fields: Map<String, Value>,
}

/// Reads the pairs of `Upload-Metadata`: a key and its value in base64, with commas in between.
pub(super) fn pairs(header: &str) -> Result<BTreeMap<String, String>, Unreadable> {
    if header.len() > SAID_BYTES_MAX {
        return Err(Unreadable("Upload-Metadata has more than 7 KiB."));
    }
    let mut pairs = BTreeMap::new();
    for pair in header.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let bytes = base64_simd::STANDARD.decode_to_vec(value.trim().as_bytes());
        let bytes = bytes.map_err(|_| Unreadable("A value in Upload-Metadata is not base64."))?;
        let text = String::from_utf8(bytes).map_err(|_| Unreadable("A value in Upload-Metadata is not UTF-8."))?;
        if !key.is_ascii() || pairs.insert(key.to_owned(), text).is_some() {
            return Err(Unreadable("A key in Upload-Metadata is not ASCII, or stands twice."));
        }
    }
    Ok(pairs)
}

impl Said {
    /// Reads what is known of the pairs; others are the client's own business.
    pub(super) fn read(header: &str) -> Result<Self, Unreadable> {
        let pairs = pairs(header)?;
        let mut known = Map::new();
        for (name, spellings) in NAMES {
            let found = spellings.iter().find_map(|spelling| pairs.get(*spelling));
            if let Some(text) = found.filter(|text| !text.is_empty()) {
                known.insert(name.to_owned(), Value::String(text.clone()));
            }
        }
        let mut text = |name: &str| match known.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let of_path = || Some(pairs.get(PATH)?.rsplit('/').next()?.to_owned()).filter(|name| !name.is_empty());
        let mut said = Self {
            filename: text("filename").or_else(of_path),
            content_type: text("contentType"),
            cache_control: text("cacheControl"),
            fields: Map::new(),
        };
        if let Some(metadata) = text("metadata") {
            let wrong = Unreadable("metadata in Upload-Metadata is not a JSON object.");
            let value: Value = serde_json::from_str(&metadata).map_err(|_| wrong)?;
            known.insert(
                "metadata".into(),
                Value::Object(value.as_object().ok_or(wrong)?.clone()),
            );
        }
        for name in NUMBERS {
            if let Some(Value::String(text)) = known.get(name) {
                let wrong = Unreadable("deleteAfter and maxDownloads in Upload-Metadata are whole numbers.");
                let number: u32 = text.parse().map_err(|_| wrong)?;
                known.insert(name.to_owned(), number.into());
            }
        }
        said.fields = known;
        Ok(said)
    }
}

/// What `Upload-Concat` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Concat {
    Partial,
    /// Made of the uploads with these addresses.
    Final(Vec<String>),
}

impl Concat {
    pub(super) fn read(header: &str) -> Result<Self, Unreadable> {
        match header.split_once(';') {
            None if header == "partial" => Ok(Self::Partial),
            Some(("final", addresses)) => {
                let addresses: Vec<String> = addresses.split_ascii_whitespace().map(str::to_owned).collect();
                match addresses.is_empty() {
                    true => Err(Unreadable("Upload-Concat names no uploads.")),
                    false => Ok(Self::Final(addresses)),
                }
            }
            None | Some(_) => Err(Unreadable(
                "Upload-Concat is partial, or final; and the uploads' addresses.",
            )),
        }
    }
}

/// The id in an upload's address, which may be whole or begin with the path.
pub(super) fn id_in(address: &str) -> Option<&str> {
    let path = address.split(['?', '#']).next()?;
    let (_, id) = path.rsplit_once("/v1/tus/")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Concat, Said, id_in, pairs};

    fn header(pairs: &[(&str, &str)]) -> String {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(key, value)| format!("{key} {}", base64_simd::STANDARD.encode_to_string(value)));
        pairs.collect::<Vec<_>>().join(",")
    }

    #[test]
    fn what_clients_of_either_habit_say_is_understood() {
        let uppy = header(&[
            ("filename", "cat.png"),
            ("filetype", "image/png"),
            ("relativePath", "null"),
            ("visibility", "public"),
        ]);
        let said = Said::read(&uppy).unwrap();
        assert_eq!(
            (said.filename.as_deref(), said.content_type.as_deref()),
            (Some("cat.png"), Some("image/png"))
        );
        assert_eq!(json!(said.fields), json!({ "visibility": "public" }));
        let supabase = header(&[
            ("bucketName", "avatars"),
            ("objectName", "folder/dog.jpg"),
            ("contentType", "image/jpeg"),
            ("cacheControl", "3600"),
            ("metadata", "{\"alt\":\"a dog\"}"),
        ]);
        let said = Said::read(&supabase).unwrap();
        assert_eq!(
            (said.filename.as_deref(), said.cache_control.as_deref()),
            (Some("dog.jpg"), Some("3600"))
        );
        assert_eq!(
            json!(said.fields),
            json!({ "bucket": "avatars", "metadata": { "alt": "a dog" } })
        );
        assert_eq!(Said::read("").unwrap(), Said::default());
        // A key alone stands for an empty value.
        assert_eq!(pairs("is_confidential, a YQ==").unwrap().len(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for wrong in [
            "filename !!".to_owned(),
            "filename YQ==,filename YQ==".into(),
            "filename /w==".into(),
            "ключ YQ==".into(),
            header(&[("metadata", "[1]")]),
            header(&[("metadata", "{")]),
            format!("a {}", "QUFB".repeat(2_000)),
        ] {
            assert!(Said::read(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn uploads_are_named_by_their_addresses() {
        assert_eq!(Concat::read("partial"), Ok(Concat::Partial));
        let named = Concat::read("final;/v1/tus/a  https://x.test/v1/tus/b");
        assert_eq!(
            named,
            Ok(Concat::Final(vec![
                "/v1/tus/a".into(),
                "https://x.test/v1/tus/b".into()
            ]))
        );
        for wrong in [
            "",
            "final",
            "final;",
            "final; ",
            "partial;x",
            "Partial",
            "other;/v1/tus/a",
        ] {
            assert!(Concat::read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(id_in("https://x.test/v1/tus/abc?x=1"), Some("abc"));
        assert_eq!(id_in("/v1/tus/abc"), Some("abc"));
        for wrong in ["abc", "/v1/tus/", "/v1/tus/a/b", "/files/abc"] {
            assert_eq!(id_in(wrong), None, "{wrong}");
        }
    }
}
