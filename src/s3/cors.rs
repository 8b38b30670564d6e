//! The CORS configuration of a bucket: set, shown, removed, and handed to the edge, which answers pages by it.
//!
//! Owns what a valid rule is. It never answers a preflight and never sets a header of an answer.

use http::{HeaderMap, HeaderName, Uri};
use s3s::dto::{
    CORSRule as WireRule, DeleteBucketCorsInput, DeleteBucketCorsOutput, GetBucketCorsInput, GetBucketCorsOutput,
    PutBucketCorsInput, PutBucketCorsOutput,
};
use s3s::{S3Request, S3Response};
use storage_engine::store::Store;
use storage_engine::store::error::Fault;
use storage_engine::store::name::BucketName;
use storage_engine::store::record::settings::CorsRule;

use super::convert::bucket_name;
use super::error::{Code, Failure};
use super::front::Front;
use super::target::{Domains, Target};
use crate::access::{Action, Resource};

const RULES_MAX: usize = 100;
const ID_CHARS_MAX: usize = 255;
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

/// Looks up the rules of the bucket that a request is about, path style or virtual host.
#[derive(Clone)]
pub struct CorsRules {
    store: Store,
    domains: Domains,
}

impl CorsRules {
    /// `domains`: those whose labels are bucket names.
    pub fn new(store: Store, domains: Vec<String>) -> Self {
        let domains = Domains::new(domains);
        Self { store, domains }
    }

    /// The rules of the bucket; `None`: it has none of its own, or there is no bucket. Seen by every request that begins
    /// after a change was answered.
    pub async fn of(&self, uri: &Uri, headers: &HeaderMap) -> Result<Option<Vec<CorsRule>>, Fault> {
        let bucket = match self.domains.target(uri, headers) {
            Some(Target::Bucket { bucket } | Target::Object { bucket, .. }) => BucketName::parse(bucket),
            Some(Target::Service) | None => return Ok(None),
        };
        let Ok(bucket) = bucket else { return Ok(None) };
        let found = self.store.bucket_settings(&bucket).await?;
        let rules = found.map(|(settings, _)| settings.cors.clone());
        Ok(rules.filter(|rules| !rules.is_empty()))
    }
}

pub(crate) async fn put(
    front: &Front,
    req: S3Request<PutBucketCorsInput>,
) -> Result<S3Response<PutBucketCorsOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let store = front
        .open(
            &req.extensions,
            Action::PutBucketCors,
            Resource::Bucket(bucket.as_str()),
        )
        .await?;
    let rules = req.input.cors_configuration.cors_rules;
    if !(1..=RULES_MAX).contains(&rules.len()) {
        return Err(Code::MALFORMED_XML.into());
    }
    let rules: Vec<CorsRule> = rules.into_iter().map(checked).collect::<Result<_, _>>()?;
    store
        .change_settings(&bucket, |settings| settings.cors.clone_from(&rules))
        .await?;
    Ok(S3Response::new(PutBucketCorsOutput {}))
}

pub(crate) async fn get(
    front: &Front,
    req: S3Request<GetBucketCorsInput>,
) -> Result<S3Response<GetBucketCorsOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    let store = front
        .open(
            &req.extensions,
            Action::GetBucketCors,
            Resource::Bucket(bucket.as_str()),
        )
        .await?;
    let settings = store.settings_of(&bucket).await?;
    if settings.cors.is_empty() {
        return Err(Code::NO_SUCH_CORS.into());
    }
    let cors_rules = Some(settings.cors.iter().cloned().map(wire).collect());
    Ok(S3Response::new(GetBucketCorsOutput { cors_rules }))
}

pub(crate) async fn delete(
    front: &Front,
    req: S3Request<DeleteBucketCorsInput>,
) -> Result<S3Response<DeleteBucketCorsOutput>, Failure> {
    let bucket = bucket_name(req.input.bucket)?;
    // AWS has no action of its own for this.
    let store = front
        .open(
            &req.extensions,
            Action::PutBucketCors,
            Resource::Bucket(bucket.as_str()),
        )
        .await?;
    store.change_settings(&bucket, |settings| settings.cors.clear()).await?;
    Ok(S3Response::new(DeleteBucketCorsOutput {}))
}

fn refused<T>(message: String) -> Result<T, Failure> {
    Err(Failure::because(Code::INVALID_REQUEST, message))
}

fn checked(rule: WireRule) -> Result<CorsRule, Failure> {
    if rule.allowed_origins.is_empty() || rule.allowed_methods.is_empty() {
        return Err(Code::MALFORMED_XML.into());
    }
    if rule.id.as_ref().is_some_and(|id| id.chars().count() > ID_CHARS_MAX) {
        return refused(format!("The ID of a rule has at most {ID_CHARS_MAX} characters."));
    }
    if let Some(method) = rule
        .allowed_methods
        .iter()
        .find(|method| !METHODS.contains(&method.as_str()))
    {
        return refused(format!(
            "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
        ));
    }
    let (headers, expose) = (
        rule.allowed_headers.unwrap_or_default(),
        rule.expose_headers.unwrap_or_default(),
    );
    for (what, values) in [("AllowedOrigin", &rule.allowed_origins), ("AllowedHeader", &headers)] {
        for value in values {
            if value.matches('*').count() > 1 {
                return refused(format!("{what} \"{value}\" can not have more than one wildcard."));
            }
            // These meet headers of requests, and origins stand in headers of answers.
            if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
                return refused(format!("{what} contains a character that is not allowed."));
            }
        }
    }
    for value in &expose {
        if value.contains('*') {
            return refused(format!(
                "ExposeHeader \"{value}\" contains wildcard. We currently do not support wildcard for ExposeHeader."
            ));
        }
        if HeaderName::try_from(value.as_str()).is_err() {
            return refused("ExposeHeader is not the name of a header.".to_owned());
        }
    }
    let max_age_seconds = match rule.max_age_seconds.map(u32::try_from) {
        Some(Ok(seconds)) => Some(seconds),
        Some(Err(_)) => return refused("MaxAgeSeconds must not be negative.".to_owned()),
        None => None,
    };
    Ok(CorsRule {
        id: rule.id,
        origins: rule.allowed_origins,
        methods: rule.allowed_methods,
        headers,
        expose,
        max_age_seconds,
    })
}

fn wire(rule: CorsRule) -> WireRule {
    let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    WireRule {
        allowed_headers: some(rule.headers),
        allowed_methods: rule.methods,
        allowed_origins: rule.origins,
        expose_headers: some(rule.expose),
        id: rule.id,
        max_age_seconds: rule.max_age_seconds.and_then(|seconds| i32::try_from(seconds).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::{WireRule, checked, wire};
    use crate::s3::error::Code;

    fn rule() -> WireRule {
        WireRule {
            allowed_headers: Some(vec!["x-amz-*".into()]),
            allowed_methods: vec!["GET".into(), "PUT".into()],
            allowed_origins: vec!["https://*.example.com".into()],
            expose_headers: Some(vec!["ETag".into()]),
            id: Some("one".into()),
            max_age_seconds: Some(60),
        }
    }

    #[test]
    fn a_valid_rule_comes_back_as_it_was_set() {
        assert_eq!(wire(checked(rule()).unwrap()), rule());
    }

    #[test]
    fn rules_that_aws_refuses_are_refused() {
        type Spoil = fn(&mut WireRule);
        let spoilt: [(Spoil, Code); 12] = [
            (|r| r.allowed_methods = vec!["PATCH".into()], Code::INVALID_REQUEST),
            (|r| r.allowed_methods = vec!["get".into()], Code::INVALID_REQUEST),
            (|r| r.allowed_methods.clear(), Code::MALFORMED_XML),
            (|r| r.allowed_origins.clear(), Code::MALFORMED_XML),
            (|r| r.allowed_origins = vec!["*.a.*".into()], Code::INVALID_REQUEST),
            (|r| r.allowed_origins = vec!["a\r\nb".into()], Code::INVALID_REQUEST),
            (|r| r.allowed_headers = Some(vec!["*a*".into()]), Code::INVALID_REQUEST),
            (|r| r.expose_headers = Some(vec!["*".into()]), Code::INVALID_REQUEST),
            (
                |r| r.expose_headers = Some(vec!["x\r\nset-cookie: a".into()]),
                Code::INVALID_REQUEST,
            ),
            (|r| r.expose_headers = Some(vec!["a,b".into()]), Code::INVALID_REQUEST),
            (|r| r.id = Some("i".repeat(256)), Code::INVALID_REQUEST),
            (|r| r.max_age_seconds = Some(-1), Code::INVALID_REQUEST),
        ];
        for (at, (spoil, code)) in spoilt.into_iter().enumerate() {
            let mut bad = rule();
            spoil(&mut bad);
            assert_eq!(checked(bad).unwrap_err().code, code, "case {at}");
        }
    }
}
