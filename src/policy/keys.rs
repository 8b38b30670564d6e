//! Condition keys: which names a policy may use, and where their values come from.
//!
//! A name nobody knows is refused when a policy is stored: a Deny with a misspelt key would never apply. Names are
//! compared without regard to case, but for what follows a slash (the key of a tag) it counts.

use std::borrow::Cow;

use super::principal::issuer_name;

/// The values a request gives to one condition key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Values<'a> {
    /// The request does not have it.
    #[default]
    Missing,
    /// The one value.
    One(Cow<'a, str>),
    /// A set of values; empty is the same as missing.
    Many(Vec<Cow<'a, str>>),
}

impl<'a> Values<'a> {
    /// The one value `value`.
    pub fn one(value: &'a str) -> Self {
        Self::One(Cow::Borrowed(value))
    }

    /// The values of a list.
    pub fn many<T: AsRef<str> + 'a>(values: &'a [T]) -> Self {
        Self::Many(values.iter().map(|value| Cow::Borrowed(value.as_ref())).collect())
    }

    /// Every value; nothing if it is missing.
    pub fn as_slice(&self) -> &[Cow<'a, str>] {
        match self {
            Self::Missing => &[],
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }

    /// The value, if there is exactly one.
    pub(super) fn single(self) -> Option<String> {
        match self {
            Self::Missing => None,
            Self::One(value) => Some(value.into_owned()),
            Self::Many(values) => match <[_; 1]>::try_from(values) {
                Ok([value]) => Some(value.into_owned()),
                Err(_) => None,
            },
        }
    }
}

/// What a request says for each condition key.
pub trait Keys {
    /// The values of `name`: lower case up to its first slash, such as `aws:sourceip` or `s3:existingobjecttag/Team`.
    fn get(&self, name: &str) -> Values<'_>;
}

/// Names with one value or none.
const SINGLE: &[&str] = &[
    "aws:currenttime",
    "aws:epochtime",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principaltype",
    "aws:referer",
    "aws:resourceaccount",
    "aws:securetransport",
    "aws:sourceip",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "drystone:objectowner",
    "drystone:share",
    "drystone:visibility",
    "s3:authtype",
    "s3:delimiter",
    "s3:locationconstraint",
    "s3:max-keys",
    "s3:object-lock-legal-hold",
    "s3:object-lock-mode",
    "s3:object-lock-remaining-retention-days",
    "s3:object-lock-retain-until-date",
    "s3:prefix",
    "s3:resourceaccount",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-content-sha256",
    "s3:x-amz-copy-source",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-write-acp",
    "s3:x-amz-metadata-directive",
    "s3:x-amz-object-ownership",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-customer-algorithm",
    "s3:x-amz-storage-class",
    "s3:x-amz-website-redirect-location",
    "sts:durationseconds",
    "sts:externalid",
    "sts:rolesessionname",
    "svc:durationseconds",
];

/// Names with a set of values.
const MULTIPLE: &[&str] = &["aws:groups", "aws:tagkeys", "s3:requestobjecttagkeys"];

/// Beginnings of names; what follows names the tag or the claim. Claims may have many values and can be variables.
const FAMILIES: &[&str] = &[
    "aws:principaltag/",
    "aws:requesttag/",
    "aws:resourcetag/",
    "jwt:",
    "ldap:",
    "s3:existingobjecttag/",
    "s3:requestobjecttag/",
];

/// Beginnings of names whose value is a property of the object that is there.
const OF_EXISTING_OBJECT: &[&str] = &[
    "drystone:objectowner",
    "drystone:share",
    "drystone:visibility",
    "s3:existingobjecttag/",
];

/// What an issuer's token says that trust policies may ask for, after the issuer's name and a colon.
const OF_TOKENS: &[&str] = &["amr", "app_id", "aud", "azp", "sub"];

/// The name of a condition key that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let folded = match name.split_once('/') {
            Some((family, rest)) => format!("{}/{rest}", family.to_ascii_lowercase()),
            None => name.to_ascii_lowercase(),
        };
        let in_family = FAMILIES
            .iter()
            .any(|family| folded.len() > family.len() && folded.starts_with(family));
        let known = in_family || SINGLE.contains(&folded.as_str()) || MULTIPLE.contains(&folded.as_str());
        known.then_some(Self(folded))
    }

    /// As [`Self::parse`], for a trust policy: what an issuer's token says is known beside the rest (`ISSUER:sub`, the
    /// issuer without its scheme).
    pub(super) fn parse_of_trust(name: &str) -> Option<Self> {
        Self::parse(name).or_else(|| {
            let (issuer, claim) = name.rsplit_once(':')?;
            let claim = claim.to_ascii_lowercase();
            let is_host = issuer.contains(['.', '/', ':']) && issuer.bytes().all(|byte| byte.is_ascii_graphic());
            (is_host && OF_TOKENS.contains(&claim.as_str())).then(|| Self(format!("{}:{claim}", issuer_name(issuer))))
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_multivalued(&self) -> bool {
        MULTIPLE.contains(&self.as_str())
    }

    pub(super) fn is_of_bucket_owner(&self) -> bool {
        matches!(self.as_str(), "aws:resourceaccount" | "s3:resourceaccount")
    }

    pub(super) fn is_of_existing_object(&self) -> bool {
        OF_EXISTING_OBJECT.iter().any(|start| self.0.starts_with(start))
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn what_a_token_says_is_a_key_of_trust_policies_alone() {
        let key = "ID.example.com/Realms/X:App_Id";
        assert_eq!(Name::parse(key), None);
        assert_eq!(
            Name::parse_of_trust(key).unwrap().as_str(),
            "id.example.com/Realms/X:app_id"
        );
        assert!(Name::parse_of_trust("aws:SourceIp").is_some());
        for wrong in ["sub", ":sub", "idp:sub", "id.example.com:name", "id .example.com:sub"] {
            assert_eq!(Name::parse_of_trust(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_known_whatever_their_case_but_for_the_keys_of_tags() {
        assert_eq!(Name::parse("AWS:SourceIp"), Name::parse("aws:sourceip"));
        assert_ne!(
            Name::parse("s3:ExistingObjectTag/a"),
            Name::parse("s3:ExistingObjectTag/A")
        );
        for known in [
            "s3:x-amz-acl",
            "jwt:preferred_username",
            "ldap:user",
            "s3:RequestObjectTagKeys",
        ] {
            assert!(Name::parse(known).is_some(), "{known}");
        }
        for unknown in ["", "aws:", "aws:SourceIP2", "jwt:", "s3:ExistingObjectTag/", "SourceIp"] {
            assert_eq!(Name::parse(unknown), None, "{unknown}");
        }
    }
}
