//! The form of a request to the token service. Pure.

use percent_encoding::percent_decode;

use super::error::StsError;

/// Most fields of a form.
const FIELDS_MAX: usize = 256;

/// Names and values, decoded, in the order of the form.
pub(super) struct Form(Vec<(String, String)>);

impl std::fmt::Debug for Form {
    /// Names only: values may be passwords and tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Form {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, StsError> {
        let decoded = |bytes: &[u8]| {
            let spaced: Vec<u8> = bytes
                .iter()
                .map(|byte| if *byte == b'+' { b' ' } else { *byte })
                .collect();
            let text = percent_decode(&spaced).decode_utf8();
            text.map(|text| text.into_owned()).map_err(|_| StsError::FormUnreadable)
        };
        let mut fields = Vec::new();
        for field in bytes
            .trim_ascii_end()
            .split(|byte| *byte == b'&')
            .filter(|field| !field.is_empty())
        {
            if fields.len() >= FIELDS_MAX {
                return Err(StsError::FormUnreadable);
            }
            let equals = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
            let (name, value) = field.split_at_checked(equals).unwrap_or((field, &[]));
            fields.push((decoded(name)?, decoded(value.strip_prefix(b"=").unwrap_or(value))?));
        }
        Ok(Self(fields))
    }

    /// The one value of a field; two values are two readings of one form, so they are refused.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, StsError> {
        let mut values = self.0.iter().filter(|(field, _)| field == name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) => Ok(Some(value)),
            (Some(_), Some(_)) => Err(StsError::Invalid("A field of the form comes twice.")),
        }
    }

    /// How long a credential is to last.
    pub(super) fn seconds(&self) -> Result<Option<u64>, StsError> {
        let text = self.one("DurationSeconds")?.filter(|text| !text.is_empty());
        let read = |text: &str| {
            text.parse()
                .map_err(|_| StsError::Invalid("DurationSeconds is no number."))
        };
        text.map(read).transpose()
    }

    /// The policy that narrows a credential.
    pub(super) fn policy(&self) -> Result<Option<String>, StsError> {
        Ok(self.one("Policy")?.filter(|text| !text.is_empty()).map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn what_a_form_holds_is_never_printed() {
        let form = Form::parse(b"LDAPUsername=ann&LDAPPassword=canary&WebIdentityToken=canary").unwrap();
        let printed = format!("{form:?}");
        assert!(printed.contains("LDAPPassword"), "{printed}");
        assert!(!printed.contains("canary") && !printed.contains("ann"), "{printed}");
    }

    #[test]
    fn a_form_is_decoded_once_and_its_fields_come_once() {
        let form = Form::parse(b"Action=Get+It&a=%7B%22x%22%3A1%7D&empty=&bare&d=1&d=2\n").unwrap();
        assert_eq!(form.one("Action").unwrap(), Some("Get It"));
        assert_eq!(form.one("a").unwrap(), Some("{\"x\":1}"));
        assert_eq!(
            (form.one("empty").unwrap(), form.one("bare").unwrap()),
            (Some(""), Some(""))
        );
        assert_eq!(form.one("other").unwrap(), None);
        assert!(form.one("d").is_err());
        assert!(Form::parse(b"a=%FF").is_err());
        assert!(Form::parse("a&".repeat(257).as_bytes()).is_err());
    }
}
