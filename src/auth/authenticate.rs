//! The order of the checks on one request, and the clean request that comes out of them.
//!
//! What can be refused without a secret is refused first. From the look-up of the access key on, a known and an unknown
//! key take the same steps: an unknown one is verified against a secret that nobody has.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, header, request::Parts};
use http_body::Body;
use time::{Duration, OffsetDateTime};

use super::bearer;
use super::body::{AuthBody, BoxError};
use super::canonical::{Canonical, Order};
use super::claim::{Claim, Form, only};
use super::clean::{self, Cleaning};
use super::credentials::{Credential, CredentialSource, SecretKey};
use super::date::shown;
use super::error::AuthError;
use super::identity::Identity;
use super::link::{Terms, is_link_key};
use super::payload::PayloadMode;
use super::signed_with::SignedWith;
use super::signing::{SignedIn, Signing};
use super::signing_key::{ChunkChain, Scope, Signature, SigningKey, SigningKeys};
use super::standing::Standing;
use super::target::{Query, decode_path};

const MAX_SKEW: Duration = Duration::minutes(15);
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// `x-amz-*` headers that may come unsigned: the hash is part of what is signed anyway, the others mean nothing to a
/// store and are added by SDKs and proxies after signing.
const MAY_BE_UNSIGNED: [&str; 3] = ["x-amz-content-sha256", "x-amz-user-agent", "x-amz-cf-id"];

/// What a request is addressed to, as far as the rules of its signature differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    S3,
    /// The admin API: MinIO's clients sign for no region at all, so the region says nothing; links are not taken, and
    /// neither is a body that the signature does not cover as a whole.
    Admin,
    /// The token service: any region, no links, and forms that the signature covers.
    Sts,
    /// The IAM API, by the same rules.
    Iam,
}

/// A request whose caller is known.
pub struct Authenticated {
    /// Who is calling; also in the request's extensions, with a [`Standing`] where it came signed to S3 or the admin API, and
    /// with the [`Terms`] of the link or of the credential for uploads that it came with.
    pub identity: Identity,
    /// The plain, unsigned request. Its extensions hold [`Identity`], [`super::Payload`], of a signed request [`Signing`],
    /// and of one to the admin API [`SignedWith`], too.
    pub request: Request<AuthBody>,
}

/// Verifies requests against one source of credentials.
pub struct Authenticator {
    credentials: Arc<dyn CredentialSource>,
    site_region: Option<String>,
    keys: SigningKeys,
    /// Stands in for the secret of an access key that does not exist.
    nobody: SecretKey,
}

/// What the checks found out, owned, so that the request can be taken apart.
pub(super) struct Verdict {
    identity: Identity,
    pub(super) mode: PayloadMode,
    chain: Option<ChunkChain>,
    /// `None`: no credentials were presented.
    signing: Option<Signing>,
    signed_with: Option<SignedWith>,
    standing: Option<Standing>,
    terms: Option<Terms>,
}

impl Authenticator {
    /// `site_region`: the only region signatures may name; `None` accepts any. Fails when the system has no randomness.
    pub fn new(credentials: Arc<dyn CredentialSource>, site_region: Option<String>) -> Result<Self, getrandom::Error> {
        let mut nobody = vec![0; 40];
        getrandom::fill(&mut nobody)?;
        Ok(Self {
            credentials,
            site_region,
            keys: SigningKeys::default(),
            nobody: SecretKey::new(nobody),
        })
    }

    /// Verifies `request` at the system's time.
    ///
    /// The request that comes out has no `Authorization`, no signature parameters in its query, no aws-chunked in its
    /// `Content-Encoding`, and none of `x-amz-content-sha256`, `x-amz-date`, `x-amz-security-token`, `x-amz-trailer`
    /// and `x-amz-decoded-content-length`. It has a `Host` if it came with an authority, and its `Content-Length` is
    /// that of the decoded body. Other `x-amz-*` parameters of a presigned URL have become headers.
    pub fn authenticate<B>(&self, request: Request<B>) -> Result<Authenticated, AuthError>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        self.authenticate_in(Realm::S3, request, OffsetDateTime::now_utc())
    }

    /// As [`Self::authenticate`], by the rules of the admin API.
    pub fn authenticate_admin<B>(&self, request: Request<B>) -> Result<Authenticated, AuthError>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        self.authenticate_in(Realm::Admin, request, OffsetDateTime::now_utc())
    }

    /// The caller behind a token for metrics, as `mc admin prometheus generate` makes it; `None`: it opens nothing.
    pub fn bearer(&self, token: &str, now: OffsetDateTime) -> Option<Identity> {
        bearer::verified(self.credentials.as_ref(), &self.nobody, token, now)
    }

    /// Verifies `request` as if it had come to S3 at `now`.
    pub fn authenticate_at<B>(&self, request: Request<B>, now: OffsetDateTime) -> Result<Authenticated, AuthError>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        self.authenticate_in(Realm::S3, request, now)
    }

    /// Verifies `request` by the rules of `realm` as if it had come at `now`.
    pub fn authenticate_in<B>(
        &self,
        realm: Realm,
        request: Request<B>,
        now: OffsetDateTime,
    ) -> Result<Authenticated, AuthError>
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        refuse_form(&parts)?;
        let host = clean::host(&parts)?;
        let (verdict, cleaning) = self.judge(realm, &parts, host.as_bytes(), now)?;
        let payload = cleaning.apply(&mut parts, verdict.mode, host)?;
        let body = AuthBody::new(body, &payload, verdict.chain)?;
        parts.extensions.insert(payload);
        parts.extensions.insert(verdict.identity.clone());
        if let Some(signing) = verdict.signing {
            parts.extensions.insert(signing);
        }
        if let Some(terms) = verdict.terms {
            parts.extensions.insert(terms);
        }
        if let (Realm::Admin, Some(signed_with)) = (realm, verdict.signed_with) {
            parts.extensions.insert(signed_with);
        }
        if let (Realm::S3 | Realm::Admin, Some(standing)) = (realm, verdict.standing) {
            parts.extensions.insert(standing);
        }
        Ok(Authenticated {
            identity: verdict.identity,
            request: Request::from_parts(parts, body),
        })
    }

    fn judge(
        &self,
        realm: Realm,
        parts: &Parts,
        host: &[u8],
        now: OffsetDateTime,
    ) -> Result<(Verdict, Cleaning), AuthError> {
        let path = decode_path(parts.uri.path())?;
        let query = Query::parse(parts.uri.query())?;
        let verdict = match Claim::find(&parts.headers, &query)? {
            None => anonymous(&parts.headers)?,
            Some(claim) => {
                self.check_realm(realm, &claim)?;
                let verdict = self.verify(parts, &path, &query, host, (&claim, now))?;
                check_body_signed(realm, &verdict.mode)?;
                verdict
            }
        };
        let cleaning = if verdict.signing.is_some_and(|signing| signing.form == SignedIn::Query) {
            Cleaning::of_presigned(parts, &query)?
        } else {
            Cleaning::default()
        };
        Ok((verdict, cleaning))
    }

    fn verify(
        &self,
        parts: &Parts,
        path: &str,
        query: &Query<'_>,
        host: &[u8],
        (claim, now): (&Claim<'_>, OffsetDateTime),
    ) -> Result<Verdict, AuthError> {
        check_time(claim, now)?;
        let (payload_hash, mode) = payload_of(&parts.headers, claim)?;
        check_headers_signed(&parts.headers, claim)?;

        let mut canonical = Canonical {
            method: signed_method(&parts.method, claim),
            path,
            query,
            headers: &parts.headers,
            host,
            signed_headers: &claim.signed_headers,
            payload_hash,
            order: Order::Sorted,
        };
        let prove = |canonical: &Canonical<'_>| {
            let text = canonical.string_to_sign(claim.date.as_str(), &claim.scope);
            self.prove((claim, now), text.as_bytes(), || lost_headers(&parts.headers, claim))
        };
        let proved = match prove(&canonical) {
            // Whether or not the key exists, so that both take as long.
            Err(AuthError::SignatureDoesNotMatch { .. } | AuthError::InvalidAccessKeyId { .. })
                if query.repeats_a_name() =>
            {
                canonical.order = Order::AsSent;
                prove(&canonical)
            }
            proved => proved,
        };
        let (credential, key, signature) = proved?;
        let signing = signing(claim);
        if signing.form == SignedIn::Query && mode.is_chunked() {
            return Err(AuthError::NotImplemented(
                "A presigned request with an aws-chunked body is not implemented.",
            ));
        }
        let chain = match mode {
            PayloadMode::StreamingSigned | PayloadMode::StreamingSignedTrailer => {
                Some(ChunkChain::new(key, claim.date.as_str(), &claim.scope, signature))
            }
            PayloadMode::SignedBody(_) | PayloadMode::Unsigned | PayloadMode::StreamingUnsignedTrailer => None,
        };
        Ok(Verdict {
            terms: credential.terms,
            identity: credential.identity,
            mode,
            chain,
            signing: Some(signing),
            signed_with: Some(SignedWith::new(&claim.access_key, credential.secret)),
            standing: Some(Standing::new(
                Arc::clone(&self.credentials),
                &claim.access_key,
                claim.session_token.as_deref(),
            )),
        })
    }

    /// The credential a claim names: a token names a temporary one. That of a link signs presigned URLs, or forms, and
    /// nothing else; one that only uploads signs no forms.
    fn look_up(&self, claim: &Claim<'_>) -> Option<Credential> {
        let token = claim.session_token.as_ref();
        token
            .and_then(|token| self.credentials.find_temporary(&claim.access_key, token))
            .or_else(|| self.credentials.find(&claim.access_key))
            .filter(|found| match (&found.terms, claim.form) {
                (None, _) | (Some(Terms::Uploads(_)), Form::Header | Form::Presigned { .. }) => true,
                (Some(Terms::Link(terms)), Form::Presigned { .. }) => !terms.is_of_form(),
                (Some(Terms::Link(terms)), Form::Post) => terms.is_of_form(),
                (Some(Terms::Link(_)), Form::Header) | (Some(Terms::Uploads(_)), Form::Post) => false,
            })
    }

    /// Whose secret signed `text`: the one of the key that is claimed, or nobody's. `missing`: what of the text did not
    /// arrive.
    pub(super) fn prove(
        &self,
        (claim, now): (&Claim<'_>, OffsetDateTime),
        text: &[u8],
        missing: impl FnOnce() -> Option<String>,
    ) -> Result<(Credential, SigningKey, Signature), AuthError> {
        let scope = claim.scope_parts();
        let found = self.look_up(claim);
        let exists = found.is_some();
        let secret = found.as_ref().map_or(&self.nobody, |credential| &credential.secret);
        let known = self.keys.find(&claim.access_key, secret, scope);
        let key = known.clone().unwrap_or_else(|| SigningKey::derive(secret, scope));
        let signature = key.sign(text);
        let right = signature.matches(claim.signature.as_bytes());
        let access_key = || claim.access_key.clone().into_owned();
        let Some(credential) = found.filter(|_| right) else {
            // Every refusal has derived one key, or a key in daily use would answer faster than one that does not exist.
            if known.is_some() {
                std::hint::black_box(SigningKey::derive(&self.nobody, scope));
            }
            // Looked for in both cases, for the same reason.
            let missing = std::hint::black_box(missing());
            return Err(if exists {
                AuthError::SignatureDoesNotMatch {
                    access_key: access_key(),
                    missing,
                }
            } else if !self.credentials.is_open() {
                AuthError::DirectoryNotOpen
            } else {
                AuthError::InvalidAccessKeyId {
                    access_key: access_key(),
                }
            });
        };
        // Each link has a key of its own, and those of links would drive out the keys in daily use.
        if known.is_none() && !matches!(credential.terms, Some(Terms::Link(_))) {
            self.keys
                .keep(&claim.access_key, &credential.secret, scope, key.clone());
        }
        check_token(&credential, claim, now)?;
        Ok((credential, key, signature))
    }

    pub(super) fn check_realm(&self, realm: Realm, claim: &Claim<'_>) -> Result<(), AuthError> {
        let Scope {
            region: presented,
            service,
            ..
        } = claim.scope_parts();
        // What is signed for one service opens nothing at another.
        match (realm, service) {
            (Realm::S3 | Realm::Admin, "s3") | (Realm::Sts, "sts") | (Realm::Iam, "iam") => {}
            (Realm::S3 | Realm::Admin, _) => {
                return Err(claim.form.malformed("the Credential's service must be \"s3\""));
            }
            (Realm::Sts, _) => return Err(claim.form.malformed("the Credential's service must be \"sts\"")),
            (Realm::Iam, _) => return Err(claim.form.malformed("the Credential's service must be \"iam\"")),
        }
        match (realm, claim.form, &self.site_region) {
            // What was sealed for uploads, or for one file, opens nothing but S3.
            (Realm::Admin | Realm::Sts | Realm::Iam, Form::Header | Form::Post, _)
                if is_link_key(&claim.access_key) =>
            {
                let access_key = claim.access_key.clone().into_owned();
                Err(AuthError::InvalidAccessKeyId { access_key })
            }
            (Realm::Admin | Realm::Sts | Realm::Iam, Form::Header | Form::Post, _) => Ok(()),
            (Realm::Sts | Realm::Iam, Form::Presigned { .. }, _) => Err(AuthError::InvalidArgument(
                "Requests to the token service and to IAM are signed in the Authorization header; links are not taken.",
            )),
            (Realm::Admin, Form::Presigned { .. }, _) => Err(AuthError::InvalidArgument(
                "Requests to the admin API are signed in the Authorization header; links are not taken.",
            )),
            (Realm::S3, form, _) if presented.is_empty() => Err(form.malformed("the Credential's region is malformed")),
            (Realm::S3, _, Some(expected)) if expected != presented => Err(AuthError::WrongRegion {
                presented: presented.to_owned(),
                expected: expected.clone(),
            }),
            (Realm::S3, _, Some(_) | None) => Ok(()),
        }
    }
}

/// What an order says stands in its body, so a signature that leaves the body out proves nothing about it. Asked once
/// the caller is known: who is not learns nothing by it.
fn check_body_signed(realm: Realm, mode: &PayloadMode) -> Result<(), AuthError> {
    match (realm, mode) {
        (Realm::S3, _) | (Realm::Admin | Realm::Sts | Realm::Iam, PayloadMode::SignedBody(_)) => Ok(()),
        (
            Realm::Sts | Realm::Iam,
            PayloadMode::Unsigned
            | PayloadMode::StreamingSigned
            | PayloadMode::StreamingSignedTrailer
            | PayloadMode::StreamingUnsignedTrailer,
        ) => Err(AuthError::InvalidRequest(
            "Requests to the token service and to IAM sign their form: it may be neither UNSIGNED-PAYLOAD nor a streaming payload.",
        )),
        (
            Realm::Admin,
            PayloadMode::Unsigned
            | PayloadMode::StreamingSigned
            | PayloadMode::StreamingSignedTrailer
            | PayloadMode::StreamingUnsignedTrailer,
        ) => Err(AuthError::InvalidRequest(
            "Requests to the admin API sign their body: x-amz-content-sha256 must be its SHA-256 in hex (that of no bytes if \
             there is none), not UNSIGNED-PAYLOAD and not a streaming payload.",
        )),
    }
}

/// The method that the signature is for. Who has a link to read a file may ask for its head with the same.
fn signed_method<'m>(method: &'m Method, claim: &Claim<'_>) -> &'m str {
    let is_url = matches!(claim.form, Form::Presigned { .. });
    match *method == Method::HEAD && is_url && claim.session_token.is_some() && is_link_key(&claim.access_key) {
        true => Method::GET.as_str(),
        false => method.as_str(),
    }
}

fn signing(claim: &Claim<'_>) -> Signing {
    Signing {
        form: match claim.form {
            Form::Header => SignedIn::Header,
            Form::Presigned { .. } => SignedIn::Query,
            Form::Post => SignedIn::Form,
        },
        time: claim.date.time(),
    }
}

/// A request that presents no credentials. Its body may still promise a hash, which is held to it.
pub(super) fn anonymous(headers: &HeaderMap) -> Result<Verdict, AuthError> {
    let mode = match only(headers, &CONTENT_SHA256)? {
        Some(text) => PayloadMode::parse(text)?,
        None => PayloadMode::Unsigned,
    };
    match mode {
        PayloadMode::SignedBody(_) | PayloadMode::Unsigned | PayloadMode::StreamingUnsignedTrailer => {}
        PayloadMode::StreamingSigned | PayloadMode::StreamingSignedTrailer => {
            return Err(AuthError::InvalidRequest(
                "A body of signed chunks needs a signed request.",
            ));
        }
    }
    Ok(Verdict {
        identity: Identity::Anonymous,
        mode,
        chain: None,
        signing: None,
        signed_with: None,
        standing: None,
        terms: None,
    })
}

/// Uploads by HTML form carry their credentials in the body: they come in by `admit_form`, or not at all.
fn refuse_form(parts: &Parts) -> Result<(), AuthError> {
    let is_form = |value: &http::HeaderValue| {
        value
            .as_bytes()
            .trim_ascii_start()
            .get(..19)
            .is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/form-data"))
    };
    if parts.method == Method::POST && parts.headers.get_all(header::CONTENT_TYPE).iter().any(is_form) {
        return Err(AuthError::NotImplemented(
            "Uploads by HTML form (POST Object) are not implemented.",
        ));
    }
    Ok(())
}

/// A temporary credential comes with its token and before its end, another one without a token.
fn check_token(credential: &Credential, claim: &Claim<'_>, now: OffsetDateTime) -> Result<(), AuthError> {
    match (&credential.session_token, &claim.session_token) {
        (None, None) => {}
        (Some(expected), Some(token)) if expected.matches(token.as_bytes()) => {}
        (Some(_), _) | (None, Some(_)) => return Err(AuthError::InvalidToken),
    }
    match credential.expires {
        Some(end) if end <= now => Err(AuthError::ExpiredToken),
        Some(_) | None => Ok(()),
    }
}

fn check_time(claim: &Claim<'_>, now: OffsetDateTime) -> Result<(), AuthError> {
    let age = now - claim.date.time();
    match claim.form {
        Form::Header | Form::Post if age.abs() > MAX_SKEW => Err(AuthError::RequestTimeTooSkewed {
            request_time: claim.date.as_str().to_owned(),
            server_time: shown(now),
        }),
        Form::Header | Form::Post => Ok(()),
        Form::Presigned { .. } if age < -MAX_SKEW => Err(AuthError::PresignedNotYetValid {
            server_time: shown(now),
        }),
        Form::Presigned { expires_seconds } => {
            let lifetime = Duration::seconds(i64::from(expires_seconds));
            if age <= lifetime {
                return Ok(());
            }
            let expired_at = claim.date.time().checked_add(lifetime).map(shown).unwrap_or_default();
            Err(AuthError::PresignedExpired {
                expires_seconds,
                expired_at,
                server_time: shown(now),
            })
        }
    }
}

/// The payload hash as it stands in the canonical request, and what it says about the body.
fn payload_of<'a>(headers: &'a HeaderMap, claim: &'a Claim<'_>) -> Result<(&'a str, PayloadMode), AuthError> {
    let header = only(headers, &CONTENT_SHA256)?;
    let signed = match claim.form {
        Form::Header | Form::Post => header.ok_or(AuthError::InvalidRequest(
            "Missing required header for this request: x-amz-content-sha256",
        ))?,
        Form::Presigned { .. } => match &claim.payload_hash {
            Some(hash) => hash.as_ref(),
            None => header
                .filter(|_| claim.signs("x-amz-content-sha256"))
                .unwrap_or(UNSIGNED_PAYLOAD),
        },
    };
    let mode = PayloadMode::parse(signed)?;
    let mode = match (mode, header) {
        // A presigned URL rarely covers the body; the hash that comes along is still a promise about it.
        (PayloadMode::Unsigned, Some(header)) => PayloadMode::parse(header)?,
        (_, Some(header)) if header != signed => {
            return Err(AuthError::InvalidArgument(
                "x-amz-content-sha256 is not the hash that was signed.",
            ));
        }
        (mode, _) => mode,
    };
    Ok((signed, mode))
}

/// Headers that were signed and did not arrive. The host stands beside the headers in HTTP/2.
fn lost_headers(headers: &HeaderMap, claim: &Claim<'_>) -> Option<String> {
    let lost = |name: &&str| *name != header::HOST.as_str() && !headers.contains_key(*name);
    let names: Vec<&str> = claim.signed_headers.split(';').filter(lost).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn check_headers_signed(headers: &HeaderMap, claim: &Claim<'_>) -> Result<(), AuthError> {
    let unsigned: Vec<&str> = headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| name.starts_with("x-amz-") && !MAY_BE_UNSIGNED.contains(name) && !claim.signs(name))
        .collect();
    if unsigned.is_empty() {
        Ok(())
    } else {
        Err(AuthError::HeadersNotSigned {
            names: unsigned.join(", "),
        })
    }
}
