//! Uploads by HTML form: a request whose credential stands in its body, as fields of the form.
//!
//! Owns which requests are such, and the verification of what their fields claim: a signature over the policy. It never
//! reads a body and never judges what a policy says.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, header};
use http_body::Body;
use time::OffsetDateTime;

use super::authenticate::{Authenticator, Realm, anonymous};
use super::body::{AuthBody, BoxError};
use super::canonical::ALGORITHM;
use super::claim::{Claim, Form};
use super::clean::{self, Cleaning};
use super::date::AmzDate;
use super::error::AuthError;
use super::identity::Identity;
use super::link::Terms;
use super::payload::PayloadMode;
use super::signing::{SignedIn, Signing};
use super::target::{Query, decode_path};

/// What the fields of a form say about its credential.
#[derive(Clone, Copy, Debug, Default)]
pub struct FormFields<'a> {
    /// The policy as sent, in Base64: what is signed.
    pub policy: Option<&'a str>,
    pub algorithm: Option<&'a str>,
    pub credential: Option<&'a str>,
    pub date: Option<&'a str>,
    pub signature: Option<&'a str>,
    pub session_token: Option<&'a str>,
}

/// Who sends a form.
#[derive(Clone, Debug)]
pub struct FormSender {
    pub identity: Identity,
    /// `None`: it is not signed.
    pub signing: Option<Signing>,
    /// What it lets, if the server gave it out.
    pub terms: Option<Terms>,
}

/// Stands in the extensions of a form that was let in, and verifies what its fields claim once they are read. A request
/// without it is no form, whatever its type says.
#[derive(Clone)]
pub struct FormDoor(Arc<Authenticator>);

impl FormDoor {
    /// The caller whom the fields prove at the system's time; anonymous if they claim nobody.
    pub fn identify(&self, fields: &FormFields<'_>) -> Result<FormSender, AuthError> {
        self.0.identify_form(fields)
    }
}

/// Whether this is an upload by HTML form: such a POST that carries no signature of its own.
pub fn is_form(parts: &Parts) -> bool {
    let is_type = |value: &http::HeaderValue| {
        let kind = value.as_bytes().trim_ascii_start().get(..19);
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/form-data"))
    };
    parts.method == Method::POST
        && !parts.headers.contains_key(header::AUTHORIZATION)
        && parts.uri.query().is_none_or(str::is_empty)
        && parts.headers.get_all(header::CONTENT_TYPE).iter().any(is_type)
}

impl Authenticator {
    /// Lets a form in, plain and with its [`FormDoor`]; nobody is known to call until its fields are read.
    pub fn admit_form<B>(self: &Arc<Self>, request: Request<B>) -> Result<Request<AuthBody>, AuthError>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        decode_path(parts.uri.path())?;
        let host = clean::host(&parts)?;
        let verdict = anonymous(&parts.headers)?;
        if Claim::find(&parts.headers, &Query::parse(parts.uri.query())?)?.is_some()
            || verdict.mode != PayloadMode::Unsigned
        {
            return Err(AuthError::InvalidRequest(
                "An upload by form is signed by its own fields, and its body is plain.",
            ));
        }
        let payload = Cleaning::default().apply(&mut parts, verdict.mode, host)?;
        let body = AuthBody::new(body, &payload, None)?;
        parts.extensions.insert(FormDoor(Arc::clone(self)));
        Ok(Request::from_parts(parts, body))
    }

    fn identify_form(&self, fields: &FormFields<'_>) -> Result<FormSender, AuthError> {
        let malformed = |message| Err(AuthError::InvalidArgument(message));
        let claimed = [
            fields.algorithm,
            fields.credential,
            fields.date,
            fields.signature,
            fields.session_token,
        ];
        let Some(policy) = fields.policy else {
            return if claimed.iter().any(Option::is_some) {
                malformed(
                    "Bucket POST must contain a field named 'policy'.  If it is specified, please check the order of the fields.",
                )
            } else {
                Ok(FormSender {
                    identity: Identity::Anonymous,
                    signing: None,
                    terms: None,
                })
            };
        };
        match fields.algorithm {
            Some(ALGORITHM) => {}
            Some(_) => return malformed("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"."),
            None => return malformed("Bucket POST must contain a field named 'x-amz-algorithm'."),
        }
        let (Some(credential), Some(date), Some(signature)) = (fields.credential, fields.date, fields.signature) else {
            return malformed(
                "Bucket POST must contain fields named 'x-amz-credential', 'x-amz-date' and 'x-amz-signature'.",
            );
        };
        let Some(date) = AmzDate::parse(date) else {
            return malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\".");
        };
        let claim = Claim {
            form: Form::Post,
            access_key: Cow::Borrowed(credential),
            scope: Cow::Borrowed(""),
            date,
            signed_headers: Cow::Borrowed("host"),
            signature: Cow::Borrowed(signature),
            session_token: fields.session_token.map(Cow::Borrowed),
            payload_hash: None,
        }
        .checked()?;
        self.check_realm(Realm::S3, &claim)?;
        // How long it may be used, the policy says; how long a signing key is good for, S3 does.
        let now = OffsetDateTime::now_utc();
        let age = now - claim.date.time();
        if age > time::Duration::days(7) || age < -time::Duration::minutes(15) {
            return Err(AuthError::RequestTimeTooSkewed {
                request_time: claim.date.as_str().to_owned(),
                server_time: super::date::shown(now),
            });
        }
        let (credential, ..) = self.prove((&claim, now), policy.as_bytes(), || None)?;
        let signing = Signing {
            form: SignedIn::Form,
            time: claim.date.time(),
        };
        Ok(FormSender {
            identity: credential.identity,
            signing: Some(signing),
            terms: credential.terms,
        })
    }
}
