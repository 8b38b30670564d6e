//! AWS's query APIs on `POST /` with a form: the token service (STS) and, below it, users and access keys (IAM).
//!
//! Owns its wire: forms in, XML out, its own error codes. It authenticates by the same rules as every front, decides
//! nothing about stored data, and what is not built answers 501.

mod answer;
mod error;
mod form;
mod iam;
mod ldap;
mod role;
#[cfg(test)]
mod tests;
mod web_identity;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use storage_engine::store::clock::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::error::StsError;
use self::form::Form;
use self::web_identity::TokenForm;
use crate::access::RequestFacts;
use crate::auth::{Authenticator, Identity, Realm, sign::body_hash};
use crate::http::body::{self, Body, RequestBody};
use crate::http::request_id::RequestId;
use crate::identity::Directory;
use crate::ldap::Ldap;
use crate::openid::Providers;

/// Most bytes of a form.
const FORM_BYTES_MAX: usize = 64 * 1024;
const FORM_TYPE: &[u8] = b"application/x-www-form-urlencoded";
const CONTENT_SHA256: &str = "x-amz-content-sha256";
const SECONDS_DEFAULT: u64 = 3_600;

/// The token service over one directory.
#[derive(Clone)]
pub struct StsService {
    authenticator: Arc<Authenticator>,
    directory: Directory,
    providers: Providers,
    ldap: Ldap,
}

/// Whether a request that names no bucket is one to the token service.
pub fn is_sts<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let is_form = content_type
        .and_then(|value| value.as_bytes().trim_ascii_start().get(..FORM_TYPE.len()))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(FORM_TYPE));
    let here = *request.method() == Method::POST && request.uri().path() == "/";
    here && (is_form || in_query(request.uri()))
}

/// Whether the fields stand in the query, as older clients of MinIO send those that nobody signs.
fn in_query(uri: &Uri) -> bool {
    let mut fields = uri.query().unwrap_or_default().split('&');
    fields.any(|field| field.starts_with("Action=AssumeRoleWith"))
}

impl StsService {
    /// `authenticator` must know the credentials of `directory`.
    pub fn new(authenticator: Arc<Authenticator>, directory: Directory, providers: Providers, ldap: Ldap) -> Self {
        Self {
            authenticator,
            directory,
            providers,
            ldap,
        }
    }

    /// Answers one request as it was received.
    pub async fn handle(&self, request: Request<RequestBody>) -> Response<Body> {
        let id = request.extensions().get::<RequestId>().copied();
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        let mut realm = Realm::Sts;
        let (status, xml) = match self.answer(request, &mut realm, &id).await {
            Ok(xml) => (http::StatusCode::OK, xml),
            Err(error) => {
                if let StsError::Internal(why) = &error {
                    tracing::error!("the token service failed: {why}");
                }
                (error.status(), error.to_xml(realm, &id))
            }
        };
        let mut response = Response::new(body::full(xml));
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("text/xml");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        // What is answered are secrets.
        let never = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, never);
        response
    }

    /// `realm` is told as soon as it is known which of the two it is for.
    async fn answer(&self, request: Request<RequestBody>, realm: &mut Realm, id: &str) -> Result<String, StsError> {
        let (mut head, incoming) = request.into_parts();
        let form = read(incoming).await?;
        // Nobody's word yet: what is signed for one of them is refused by the other.
        if Form::parse(&form)?.one("Version")? == Some(iam::VERSION) {
            *realm = Realm::Iam;
        }
        // Clients sign the hash of the form and most of them do not send it: only S3's do.
        if head.headers.contains_key(header::AUTHORIZATION) && !head.headers.contains_key(CONTENT_SHA256) {
            let hash = HeaderValue::try_from(hex_simd::encode_to_string(body_hash(&form), hex_simd::AsciiCase::Lower))
                .map_err(|_| StsError::FormUnreadable)?;
            head.headers.insert(CONTENT_SHA256, hash);
        }
        let request = Request::from_parts(head, Full::new(form));
        let authenticated = self
            .authenticator
            .authenticate_in(*realm, request, OffsetDateTime::now_utc())?;
        let (head, signed) = authenticated.request.into_parts();
        let facts = RequestFacts::read(&head.extensions, &head.headers, OffsetDateTime::now_utc());
        let signed = signed.collect().await;
        let signed = signed.map_err(StsError::Body)?.to_bytes();
        // What is signed is the body: fields of the query count only where nobody signs and there are no others.
        let form = match authenticated.identity == Identity::Anonymous && signed.is_empty() && in_query(&head.uri) {
            true => Form::parse(head.uri.query().unwrap_or_default().as_bytes())?,
            false => Form::parse(&signed)?,
        };
        if *realm == Realm::Iam {
            let ask = iam::Ask {
                identity: &authenticated.identity,
                form: &form,
                facts: &facts,
                directory: &self.directory,
                providers: &self.providers,
            };
            return ask.answer(id).await;
        }
        self.act(&authenticated.identity, &form, &facts, id).await
    }

    async fn act(&self, identity: &Identity, form: &Form, facts: &RequestFacts, id: &str) -> Result<String, StsError> {
        match form.one("Action")?.unwrap_or_default() {
            "GetCallerIdentity" => answer::caller_identity(identity, self.directory.root_access_key(), id),
            "AssumeRole" => self.assume(identity, form, facts, id).await,
            "AssumeRoleWithWebIdentity" => self.assume_by_token(TokenForm::WEB_IDENTITY, form, facts, id).await,
            "AssumeRoleWithClientGrants" => self.assume_by_token(TokenForm::CLIENT_GRANTS, form, facts, id).await,
            "AssumeRoleWithLDAPIdentity" => self.assume_by_password(form, facts, id).await,
            "" => Err(StsError::Missing("Action")),
            action @ ("AssumeRoleWithCertificate"
            | "AssumeRoleWithCustomToken"
            | "AssumeRoleWithSAML"
            | "AssumeRoot"
            | "DecodeAuthorizationMessage"
            | "GetAccessKeyInfo"
            | "GetFederationToken"
            | "GetSessionToken") => Err(StsError::NotBuilt(action.to_owned())),
            other => Err(StsError::UnknownAction(other.chars().take(128).collect())),
        }
    }
}

/// The whole form, as it came.
async fn read(mut incoming: RequestBody) -> Result<Bytes, StsError> {
    let mut form = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else {
            return Err(StsError::FormUnreadable);
        };
        let Ok(data) = frame.into_data() else { continue };
        if form.len().saturating_add(data.len()) > FORM_BYTES_MAX {
            return Err(StsError::FormUnreadable);
        }
        form.extend_from_slice(&data);
    }
    Ok(form.freeze())
}

fn written(at: Timestamp) -> Result<String, StsError> {
    let seconds = i64::try_from(at.seconds()).map_err(|error| StsError::Internal(error.to_string()))?;
    let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(|error| StsError::Internal(error.to_string()))?;
    time.format(&Rfc3339)
        .map_err(|error| StsError::Internal(error.to_string()))
}
