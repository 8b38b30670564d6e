//! `AssumeRoleWithWebIdentity`, and MinIO's `AssumeRoleWithClientGrants`: a credential for a token of an identity provider.
//!
//! Nobody signs these requests: the token is what proves the caller.

use storage_engine::store::clock::Timestamp;
use time::OffsetDateTime;

use super::answer::{self, ByToken};
use super::error::StsError;
use super::form::Form;
use super::role::RoleNamed;
use super::{StsService, written};
use crate::access::{Action, Context, RequestFacts, decide_own};
use crate::identity::Person;
use crate::openid::{OpenIdError, Vouched};

/// The words of one of the two actions.
#[derive(Clone, Copy)]
pub(super) struct TokenForm {
    pub(super) action: &'static str,
    /// The field that holds the token.
    field: &'static str,
    /// The element that names its subject.
    pub(super) subject: &'static str,
}

impl TokenForm {
    pub(super) const WEB_IDENTITY: Self = Self {
        action: "AssumeRoleWithWebIdentity",
        field: "WebIdentityToken",
        subject: "SubjectFromWebIdentityToken",
    };
    pub(super) const CLIENT_GRANTS: Self = Self {
        action: "AssumeRoleWithClientGrants",
        field: "Token",
        subject: "SubjectFromToken",
    };
}

/// The directory's name for somebody: an issuer's URL holds no `#`, so no two people share one.
pub(super) fn person(vouched: &Vouched, provider: String) -> Result<Person, StsError> {
    let millis = u64::try_from(vouched.ends.unix_timestamp_nanos() / 1_000_000);
    Ok(Person {
        provider,
        name: format!("{}#{}", vouched.issuer, vouched.subject),
        groups: Vec::new(),
        claims: vouched.claims.clone(),
        policies: vouched.policies.clone().unwrap_or_default(),
        ends: Timestamp::from_millis(millis.map_err(|error| StsError::Internal(error.to_string()))?),
    })
}

impl StsService {
    pub(super) async fn assume_by_token(
        &self,
        words: TokenForm,
        form: &Form,
        facts: &RequestFacts,
        id: &str,
    ) -> Result<String, StsError> {
        let token = form.one(words.field)?.filter(|token| !token.is_empty());
        let token = token.ok_or(StsError::Missing(words.field))?;
        for unbuilt in ["PolicyArns.member.1.arn", "ProviderId"] {
            if form.one(unbuilt)?.is_some() {
                return Err(StsError::NotBuilt(format!("{unbuilt} of {}", words.action)));
            }
        }
        if let Some(named) = form.one("RoleArn")?.and_then(RoleNamed::of) {
            return self.assume_role_by_token(named, words, token, (form, facts, id)).await;
        }
        let (seconds, policy) = (form.seconds()?, form.policy()?);
        let provider = self.providers.of_role(form.one("RoleArn")?)?;
        let vouched = provider.vouched(token, OffsetDateTime::now_utc()).await?;
        if self.providers.is_of_another(provider, &vouched.issuer) {
            return Err(OpenIdError::Refused("its issuer is another identity provider's").into());
        }
        let person = person(&vouched, provider.id())?;
        let identity = self.directory.person(&person)?;
        let context = Context {
            request: Some(facts),
            ..Context::default()
        };
        // What is granted is made by the directory, which is behind no grant.
        let granted = decide_own(&identity, Action::AssumeRoleWithWebIdentity, &context);
        drop(granted.map_err(|_| StsError::AccessDenied)?);
        let temporary = self.directory.issue_to_person(person, seconds, policy).await?;
        let told = ByToken {
            form: words,
            subject: &vouched.subject,
            audience: &vouched.audience,
            issuer: &vouched.issuer,
        };
        answer::by_token(&told, &identity, &temporary, &written(temporary.expires)?, id)
    }
}
