//! What a request says about its signature, taken apart but not yet believed.
//!
//! Reads the Authorization header and the signature parameters of a presigned URL, and refuses every form that is not
//! Signature Version 4 with HMAC.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, header};

use super::canonical::{ALGORITHM, SIGNATURE_PARAMETER};
use super::date::AmzDate;
use super::error::AuthError;
use super::signing_key::Scope;
use super::target::Query;

/// Parameters that make a URL a presigned one; none of them may reach a route.
pub(super) const QUERY_PARAMETERS: [&str; 8] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    SIGNATURE_PARAMETER,
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

const ECDSA: &str = "AWS4-ECDSA-P256-SHA256";
const NO_SIGV4A: AuthError =
    AuthError::NotImplemented("Signature Version 4A (ECDSA) is not implemented. Please use AWS4-HMAC-SHA256.");
const TWO_MECHANISMS: AuthError = AuthError::InvalidArgument(
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the \
     Authorization header should be specified",
);
const UNSUPPORTED_TYPE: AuthError = AuthError::InvalidArgument("Unsupported Authorization Type");
const SEVEN_DAYS: u32 = 7 * 24 * 60 * 60;

/// Where the signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Header,
    Presigned {
        expires_seconds: u32,
    },
    /// In the fields of an HTML form.
    Post,
}

impl Form {
    pub(super) fn malformed(self, message: &'static str) -> AuthError {
        match self {
            Self::Header | Self::Post => AuthError::AuthorizationHeaderMalformed(Cow::Borrowed(message)),
            Self::Presigned { .. } => AuthError::AuthorizationQueryParameters(Cow::Borrowed(message)),
        }
    }
}

/// A signature as presented.
pub(super) struct Claim<'a> {
    pub(super) form: Form,
    pub(super) access_key: Cow<'a, str>,
    /// `day/region/service/aws4_request`.
    pub(super) scope: Cow<'a, str>,
    pub(super) date: AmzDate,
    pub(super) signed_headers: Cow<'a, str>,
    pub(super) signature: Cow<'a, str>,
    pub(super) session_token: Option<Cow<'a, str>>,
    /// `X-Amz-Content-Sha256` of a presigned URL.
    pub(super) payload_hash: Option<Cow<'a, str>>,
}

impl<'a> Claim<'a> {
    /// The claim of a request, or `None` when it makes none at all.
    pub(super) fn find(headers: &'a HeaderMap, query: &'a Query<'a>) -> Result<Option<Self>, AuthError> {
        let authorization = only(headers, &header::AUTHORIZATION)?;
        let presigned = QUERY_PARAMETERS.iter().any(|name| query.has(name));
        let version_2 = query.has("AWSAccessKeyId");
        match (authorization, presigned, version_2) {
            (None, false, false) => Ok(None),
            (Some(authorization), false, false) => Self::from_header(authorization, headers).map(Some),
            (None, true, false) => Self::from_query(query, headers).map(Some),
            (None, false, true) => Err(AuthError::SignatureVersion2),
            (Some(_), true, _) | (Some(_), _, true) | (None, true, true) => Err(TWO_MECHANISMS),
        }
    }

    /// Day, region and service of the scope.
    pub(super) fn scope_parts(&self) -> Scope<'_> {
        let mut parts = self.scope.split('/');
        let mut next = || parts.next().unwrap_or_default();
        Scope {
            day: next(),
            region: next(),
            service: next(),
        }
    }

    /// Whether the signature covers this header.
    pub(super) fn signs(&self, name: &str) -> bool {
        self.signed_headers.split(';').any(|signed| signed == name)
    }

    fn from_header(authorization: &'a str, headers: &'a HeaderMap) -> Result<Self, AuthError> {
        let (scheme, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
        match scheme {
            ALGORITHM => {}
            ECDSA => return Err(NO_SIGV4A),
            "AWS" => return Err(AuthError::SignatureVersion2),
            _other => return Err(UNSUPPORTED_TYPE),
        }
        let form = Form::Header;
        let [mut credential, mut signed_headers, mut signature] = [None; 3];
        for piece in rest.split(',') {
            let (name, value) = piece
                .trim_matches(' ')
                .split_once('=')
                .ok_or_else(|| form.malformed("a component has no value"))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _other => return Err(form.malformed("it has a component that is none of its three")),
            };
            if slot.replace(value).is_some() {
                return Err(form.malformed("a component comes twice"));
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) = (credential, signed_headers, signature) else {
            return Err(form.malformed("Credential, SignedHeaders and Signature are all needed"));
        };
        let date = match only(headers, &HeaderName::from_static("x-amz-date"))? {
            Some(text) => AmzDate::parse(text),
            None => only(headers, &header::DATE)?.and_then(AmzDate::parse_http),
        }
        .ok_or(AuthError::DateMissing)?;
        let session_token = only(headers, &HeaderName::from_static("x-amz-security-token"))?.map(Cow::Borrowed);
        Self {
            form,
            access_key: Cow::Borrowed(credential),
            scope: Cow::Borrowed(""),
            date,
            signed_headers: Cow::Borrowed(signed_headers),
            signature: Cow::Borrowed(signature),
            session_token,
            payload_hash: None,
        }
        .checked()
    }

    fn from_query(query: &'a Query<'a>, headers: &'a HeaderMap) -> Result<Self, AuthError> {
        let form = Form::Presigned { expires_seconds: 0 };
        let find = |name: &str| -> Result<Option<Cow<'a, str>>, AuthError> {
            let mut found = query.pairs.iter().filter(|pair| pair.name.eq_ignore_ascii_case(name));
            match (found.next(), found.next()) {
                (_, Some(_)) => Err(form.malformed("A signature parameter of the query comes twice.")),
                (first, None) => Ok(first.map(|pair| Cow::Borrowed(pair.value.as_ref()))),
            }
        };
        let all_needed = || {
            form.malformed(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, \
                 X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            )
        };
        match find("X-Amz-Algorithm")?.as_deref() {
            Some(ALGORITHM) => {}
            Some(ECDSA) => return Err(NO_SIGV4A),
            Some(_) => return Err(form.malformed("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\".")),
            None => return Err(all_needed()),
        }
        let expires = find("X-Amz-Expires")?.ok_or_else(all_needed)?;
        let date = find("X-Amz-Date")?.ok_or_else(all_needed)?;
        if only(headers, &HeaderName::from_static("x-amz-security-token"))?.is_some() {
            return Err(form.malformed("The session token of a presigned URL belongs into its query."));
        }
        Self {
            form: Form::Presigned {
                expires_seconds: expires_seconds(&expires, form)?,
            },
            access_key: find("X-Amz-Credential")?.ok_or_else(all_needed)?,
            scope: Cow::Borrowed(""),
            date: AmzDate::parse(&date).ok_or_else(|| {
                form.malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\".")
            })?,
            signed_headers: find("X-Amz-SignedHeaders")?.ok_or_else(all_needed)?,
            signature: find(SIGNATURE_PARAMETER)?.ok_or_else(all_needed)?,
            session_token: find("X-Amz-Security-Token")?,
            payload_hash: find("X-Amz-Content-Sha256")?,
        }
        .checked()
    }

    /// Splits the credential into access key and scope, and checks what both forms have in common.
    pub(super) fn checked(mut self) -> Result<Self, AuthError> {
        let malformed = |message| Err(self.form.malformed(message));
        let Some((access_key, scope)) = split_credential(&self.access_key) else {
            return malformed(
                "the Credential is malformed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"",
            );
        };
        if access_key.is_empty() || access_key.len() > 128 || !access_key.bytes().all(|b| b.is_ascii_graphic()) {
            return malformed("the access key of the Credential is malformed");
        }
        let mut parts = scope.split('/');
        let mut next = || parts.next().unwrap_or_default();
        let (day, region, service, end) = (next(), next(), next(), next());
        if end != "aws4_request" {
            return malformed("the Credential must end in \"aws4_request\"");
        }
        // Which of them it must be is the realm's to say.
        if !matches!(service, "s3" | "sts" | "iam") {
            return malformed("the Credential's service must be \"s3\"");
        }
        if region.len() > 64 || !region.bytes().all(|b| b.is_ascii_graphic()) {
            return malformed("the Credential's region is malformed");
        }
        if day != self.date.day() {
            return malformed("the Credential's date is not the date of the request");
        }
        let names = || self.signed_headers.split(';');
        let ascending = names().zip(names().skip(1)).all(|(a, b)| a < b);
        if !ascending || names().any(|name| name.is_empty() || name.bytes().any(|b| !is_header_byte(b))) {
            return malformed("the signed headers must be lower-case names in ascending order");
        }
        if !self.signs("host") {
            return malformed("the signed headers must hold \"host\"");
        }
        let key_length = access_key.len();
        (self.access_key, self.scope) = match &self.access_key {
            Cow::Borrowed(whole) => {
                let (key, rest) = whole.split_at_checked(key_length).unwrap_or((whole, ""));
                (
                    Cow::Borrowed(key),
                    Cow::Borrowed(rest.strip_prefix('/').unwrap_or(rest)),
                )
            }
            Cow::Owned(_) => (Cow::Owned(access_key.to_owned()), Cow::Owned(scope.to_owned())),
        };
        Ok(self)
    }
}

/// The one value of a header; two values are two readings of the same request, so they are refused.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, AuthError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| AuthError::InvalidRequest("A header of the signature is not ASCII.")),
        (Some(_), Some(_)) => Err(AuthError::InvalidRequest("A header of the signature comes twice.")),
    }
}

/// An access key may hold slashes, a scope has exactly three.
fn split_credential(credential: &str) -> Option<(&str, &str)> {
    let (at, _) = credential.rmatch_indices('/').nth(3)?;
    let (access_key, scope) = credential.split_at_checked(at)?;
    Some((access_key, scope.strip_prefix('/')?))
}

fn expires_seconds(text: &str, form: Form) -> Result<u32, AuthError> {
    if let Some(number) = text.strip_prefix('-')
        && number.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(form.malformed("X-Amz-Expires must be non-negative."));
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(form.malformed("X-Amz-Expires should be a number."));
    }
    match text.parse::<u32>() {
        Ok(0) => Err(form.malformed("X-Amz-Expires must be at least 1 second.")),
        Ok(seconds) if seconds <= SEVEN_DAYS => Ok(seconds),
        Ok(_) | Err(_) => Err(form.malformed("X-Amz-Expires must be less than a week (in seconds); that is 604800.")),
    }
}

fn is_header_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.')
}
