//! The fields of an upload form, read before its file with a limit, and what they are as headers of a PUT.
//!
//! It never reads the file.

use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES, HeaderName,
};
use http::{HeaderMap, HeaderValue};
use multer::{Field, Multipart};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::Tagging;
use s3s::xml::{Deserialize, Deserializer};

use crate::auth::FormFields;
use crate::s3::error::{Code, Failure};

/// Most bytes of all fields before the file together, as with AWS.
const FIELDS_BYTES_MAX: usize = 20 * 1024;
const FILE_NAME: &str = "${filename}";

/// Fields that are headers under their own name.
const PLAIN: [HeaderName; 7] = [
    CACHE_CONTROL,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_TYPE,
    EXPIRES,
    HeaderName::from_static("content-md5"),
];
/// Fields that only the signature needs.
const SIGNING: [&str; 5] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-signature",
];
/// Beginnings of other fields that become headers; what is not built of them is refused as with any PUT.
const AMZ: [&str; 8] = [
    "x-amz-checksum-",
    "x-amz-grant-",
    "x-amz-meta-",
    "x-amz-object-lock-",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-server-side-encryption",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];

/// Fields by their names in lower case, each once.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads everything before the file, and gives the file as it begins.
    pub(super) async fn read(form: &mut Multipart<'static>) -> Result<(Self, Field<'static>), Failure> {
        let mut fields = Self::default();
        let mut bytes = 0;
        loop {
            let Some(mut field) = form.next_field().await.map_err(|error| malformed(&error))? else {
                return Err(Failure::argument("POST requires exactly one file upload per request."));
            };
            let name = field.name().map(str::to_lowercase);
            let name = name.ok_or(Code::MALFORMED_POST)?;
            if name == "file" {
                return Ok((fields, field));
            }
            let mut text = Vec::new();
            while let Some(chunk) = field.chunk().await.map_err(|error| malformed(&error))? {
                bytes += name.len() + chunk.len();
                if bytes > FIELDS_BYTES_MAX {
                    return Err(Code::MAX_POST_PRE_DATA.into());
                }
                text.extend_from_slice(&chunk);
            }
            // What is read once must not be judged by another of the same name.
            if fields.get(&name).is_some() {
                return Err(Failure::argument(format!("The field '{name}' comes twice.")));
            }
            let text = String::from_utf8(text).map_err(|_| Code::MALFORMED_POST)?;
            fields.0.push((name, text));
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// What they say about who sends the form.
    pub(super) fn claim(&self) -> FormFields<'_> {
        FormFields {
            policy: self.get("policy"),
            algorithm: self.get("x-amz-algorithm"),
            credential: self.get("x-amz-credential"),
            date: self.get("x-amz-date"),
            signature: self.get("x-amz-signature"),
            session_token: self.get("x-amz-security-token"),
        }
    }

    /// Puts the name of the file into the key. From here on the key is what is judged and stored.
    pub(super) fn settle_key(&mut self, file_name: Option<&str>) -> Result<String, Failure> {
        let key = self.0.iter_mut().find(|(name, _)| name == "key").map(|(_, key)| key);
        let key = key.ok_or_else(|| Failure::argument("Bucket POST must contain a field named 'key'."))?;
        // Some browsers send the whole path.
        let name = file_name
            .unwrap_or_default()
            .rsplit(['/', '\\'])
            .next()
            .unwrap_or_default();
        *key = key.replace(FILE_NAME, name);
        if key.is_empty() {
            return Err(Failure::argument("User key must have a length greater than 0."));
        }
        Ok(key.clone())
    }

    /// The headers of the PUT that the form stands for.
    pub(super) fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0 {
            let header = match name.as_str() {
                "acl" => HeaderName::from_static("x-amz-acl"),
                "tagging" => {
                    let tags = HeaderValue::try_from(tagging_header(value)?).map_err(|_| Code::MALFORMED_POST)?;
                    headers.append("x-amz-tagging", tags);
                    continue;
                }
                name if SIGNING.contains(&name) => continue,
                name if PLAIN.iter().any(|plain| plain.as_str() == name)
                    || AMZ.iter().any(|start| name.starts_with(start)) =>
                {
                    HeaderName::try_from(name).map_err(|_| Code::MALFORMED_POST)?
                }
                // It would mean something nobody has thought of, such as a copy.
                name if name.starts_with("x-amz-") => {
                    return Err(Failure::not_built(&format!("the form field '{name}'")));
                }
                _ => continue,
            };
            let value = HeaderValue::from_bytes(value.as_bytes());
            headers.append(
                header,
                value.map_err(|_| Failure::argument("A field holds a character that no header can."))?,
            );
        }
        Ok(headers)
    }

    #[cfg(test)]
    pub(super) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }
}

/// A document of tags as the header that says the same.
fn tagging_header(document: &str) -> Result<String, Failure> {
    let mut reader = Deserializer::new(document.as_bytes());
    let read = Tagging::deserialize(&mut reader)
        .ok()
        .filter(|_| reader.expect_eof().is_ok());
    let tagging = read.ok_or(Code::MALFORMED_XML)?;
    let encode = |text: Option<String>| {
        let text = text.ok_or(Code::MALFORMED_XML)?;
        Ok::<_, Code>(utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string())
    };
    let pairs = tagging
        .tag_set
        .into_iter()
        .map(|tag| Ok([encode(tag.key)?, encode(tag.value)?].join("=")));
    let pairs: Vec<String> = pairs.collect::<Result<_, Code>>()?;
    Ok(pairs.join("&"))
}

/// A form that cannot be read.
fn malformed(error: &multer::Error) -> Failure {
    tracing::debug!(%error, "a form cannot be read");
    Code::MALFORMED_POST.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_takes_the_name_of_the_file_and_never_its_path() {
        for (key, file, expected) in [
            ("up/${filename}", Some("a.txt"), "up/a.txt"),
            ("up/${filename}", Some("C:\\x\\..\\a.txt"), "up/a.txt"),
            ("up/${filename}", Some("/etc/../a.txt"), "up/a.txt"),
            ("plain", None, "plain"),
        ] {
            assert_eq!(Fields::of(&[("key", key)]).settle_key(file).unwrap(), expected);
        }
        assert!(Fields::of(&[("key", "${filename}")]).settle_key(None).is_err());
        assert!(Fields::of(&[]).settle_key(Some("a")).is_err());
    }

    #[test]
    fn fields_are_headers_of_a_put_and_never_of_anything_else() {
        let headers = Fields::of(&[
            ("key", "k"),
            ("policy", "p"),
            ("x-amz-signature", "s"),
            ("acl", "private"),
            ("content-type", "text/plain"),
            ("x-amz-meta-a", "ü"),
            (
                "tagging",
                "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;</Value></Tag></TagSet></Tagging>",
            ),
            ("submit", "Send"),
        ])
        .headers()
        .unwrap();
        let said = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        assert_eq!(said("x-amz-acl"), Some(&b"private"[..]));
        assert_eq!(said("x-amz-meta-a"), Some("ü".as_bytes()));
        assert_eq!(said("x-amz-tagging"), Some(&b"a%20b=1%26"[..]));
        assert_eq!(headers.len(), 4);
        for (name, value) in [
            ("x-amz-copy-source", "b/k"),
            ("x-amz-new", "1"),
            ("x-amz-meta-a", "a\r\nb"),
            ("tagging", "x"),
        ] {
            assert!(Fields::of(&[(name, value)]).headers().is_err(), "{name}");
        }
    }
}
