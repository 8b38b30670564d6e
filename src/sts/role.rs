//! `AssumeRole`: a temporary credential of the caller's own account, or of a role of the directory.
//!
//! Clients of MinIO send any `RoleArn`, and it chooses nothing. One in the form of this store's own roles means that role
//! and nothing else: where there is none, or it does not trust the caller, the answer is no.

use time::OffsetDateTime;

use super::answer::{self, ByToken};
use super::error::StsError;
use super::form::Form;
use super::web_identity::{TokenForm, person};
use super::{SECONDS_DEFAULT, StsService, written};
use crate::access::{Action, Context, RequestFacts, RoleAsked, decide_own, decide_role, decide_role_of_token};
use crate::auth::{CredentialSource, Identity};
use crate::identity::{IdentityError, RoleTaker, Temporary, TrustedRole};
use crate::openid::Vouched;
use crate::policy::{ACCOUNT_ID, issuer_name};

/// A role of this store, as an ARN names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RoleNamed<'a> {
    path: &'a str,
    name: &'a str,
}

impl<'a> RoleNamed<'a> {
    /// `None`: the ARN is not in the form of this store's roles, so it means none of them.
    pub(super) fn of(arn: &'a str) -> Option<Self> {
        let (account, rest) = arn.strip_prefix("arn:aws:iam::")?.split_once(':')?;
        let rest = rest.strip_prefix("role").filter(|rest| rest.starts_with('/'))?;
        if !account.is_empty() && account != ACCOUNT_ID {
            return None;
        }
        let (path, name) = rest.split_at_checked(rest.rfind('/')?.checked_add(1)?)?;
        Some(Self { path, name })
    }
}

/// Fields that would be left out in silence.
fn check_unbuilt(form: &Form, fields: &[&str], action: &str) -> Result<(), StsError> {
    for field in fields {
        if form.one(field)?.is_some() {
            return Err(StsError::NotBuilt(format!("{field} of {action}")));
        }
    }
    Ok(())
}

/// The name under which the role is taken on.
fn session(form: &Form) -> Result<&str, StsError> {
    let name = form.one("RoleSessionName")?.filter(|name| !name.is_empty());
    name.ok_or(StsError::Missing("RoleSessionName"))
}

fn context(facts: &RequestFacts) -> Context<'_> {
    Context {
        request: Some(facts),
        ..Context::default()
    }
}

/// What trust policies may ask of any asking.
fn said(session: &str, seconds: u64) -> Vec<(String, Vec<String>)> {
    vec![
        ("sts:rolesessionname".to_owned(), vec![session.to_owned()]),
        ("sts:durationseconds".to_owned(), vec![seconds.to_string()]),
    ]
}

/// What trust policies may ask of a token: its claims, and as AWS spells it, some of them under the issuer's name.
fn said_by_token(vouched: &Vouched) -> Vec<(String, Vec<String>)> {
    let issuer = issuer_name(&vouched.issuer);
    let named = |claim: &str, values: Vec<String>| (format!("{issuer}:{claim}"), values);
    let claimed = |claim: &str| vouched.claims.get(&format!("jwt:{claim}")).cloned();
    let mut said: Vec<(String, Vec<String>)> = vouched.claims.clone().into_iter().collect();
    said.push(named("sub", vec![vouched.subject.clone()]));
    said.push(named("aud", vec![vouched.audience.clone()]));
    said.push(named("app_id", vec![vouched.audience.clone()]));
    for claim in ["azp", "amr"] {
        said.extend(claimed(claim).map(|values| named(claim, values)));
    }
    said
}

impl StsService {
    pub(super) async fn assume(
        &self,
        identity: &Identity,
        form: &Form,
        facts: &RequestFacts,
        id: &str,
    ) -> Result<String, StsError> {
        let unbuilt = [
            "PolicyArns.member.1.arn",
            "Tags.member.1.Key",
            "TokenCode",
            "SourceIdentity",
        ];
        check_unbuilt(form, &unbuilt, "AssumeRole")?;
        if let Some(named) = form.one("RoleArn")?.and_then(RoleNamed::of) {
            return self.assume_role(named, identity, (form, facts, id)).await;
        }
        check_unbuilt(form, &["ExternalId"], "AssumeRole without a role")?;
        let seconds = form.seconds()?.unwrap_or(SECONDS_DEFAULT);
        let policy = form.policy()?;
        // What is granted is made by the directory, which is behind no grant.
        let granted = decide_own(identity, Action::AssumeRole, &context(facts));
        drop(granted.map_err(|_| StsError::AccessDenied)?);
        let temporary = self.directory.issue(identity, seconds, policy).await?;
        answer::assumed("AssumeRole", identity, &temporary, &written(temporary.expires)?, id)
    }

    async fn assume_role(
        &self,
        named: RoleNamed<'_>,
        identity: &Identity,
        (form, facts, id): (&Form, &RequestFacts, &str),
    ) -> Result<String, StsError> {
        let (session, seconds) = (session(form)?, form.seconds()?.unwrap_or(SECONDS_DEFAULT));
        let role = self.role_to_assume(named)?;
        let mut said = said(session, seconds);
        if let Some(external) = form.one("ExternalId")?.filter(|text| !text.is_empty()) {
            said.push(("sts:externalid".to_owned(), vec![external.to_owned()]));
        }
        let asked = RoleAsked {
            arn: &role.arn,
            trust: &role.trust,
            said: &said,
        };
        let granted = decide_role(identity, &asked, &context(facts));
        drop(granted.map_err(|_| StsError::AccessDenied)?);
        let by = RoleTaker::Signed(identity);
        let issued = self
            .directory
            .issue_role(&role, by, session, seconds, form.policy()?)
            .await?;
        answer::assumed(
            "AssumeRole",
            &self.holder(&issued)?,
            &issued,
            &written(issued.expires)?,
            id,
        )
    }

    pub(super) async fn assume_role_by_token(
        &self,
        named: RoleNamed<'_>,
        words: TokenForm,
        token: &str,
        (form, facts, id): (&Form, &RequestFacts, &str),
    ) -> Result<String, StsError> {
        let (session, seconds) = (session(form)?, form.seconds()?.unwrap_or(SECONDS_DEFAULT));
        let (provider, vouched) = self
            .providers
            .vouched_for_role(token, OffsetDateTime::now_utc())
            .await?;
        let role = self.role_to_assume(named)?;
        let mut said = said(session, seconds);
        said.extend(said_by_token(&vouched));
        let asked = RoleAsked {
            arn: &role.arn,
            trust: &role.trust,
            said: &said,
        };
        let granted = decide_role_of_token(&issuer_name(&vouched.issuer), &asked, &context(facts));
        drop(granted.map_err(|_| StsError::AccessDenied)?);
        let by = RoleTaker::Person(person(&vouched, provider.id())?);
        let issued = self
            .directory
            .issue_role(&role, by, session, seconds, form.policy()?)
            .await?;
        let told = ByToken {
            form: words,
            subject: &vouched.subject,
            audience: &vouched.audience,
            issuer: &vouched.issuer,
        };
        answer::by_token(&told, &self.holder(&issued)?, &issued, &written(issued.expires)?, id)
    }

    /// Whether there is no such role, or nobody may have it, is nobody's to know who may not have it.
    fn role_to_assume(&self, named: RoleNamed<'_>) -> Result<TrustedRole, StsError> {
        let found = self.directory.role_to_assume(named.path, named.name);
        found.map_err(|error| match error {
            IdentityError::NoSuchRole(_) => StsError::AccessDenied,
            other => other.into(),
        })
    }

    /// Who signs with what was given out; nobody, if the role went meanwhile.
    fn holder(&self, issued: &Temporary) -> Result<Identity, StsError> {
        let token = std::str::from_utf8(issued.token.expose()).map_err(|_| StsError::AccessDenied)?;
        let found = self.directory.find_temporary(&issued.access_key, token);
        found.map(|found| found.identity).ok_or(StsError::AccessDenied)
    }
}

#[cfg(test)]
mod tests {
    use super::RoleNamed;

    #[test]
    fn only_what_has_the_form_of_a_role_of_this_store_means_one() {
        for (arn, found) in [
            ("arn:aws:iam::000000000000:role/app", Some(("/", "app"))),
            ("arn:aws:iam:::role/app", Some(("/", "app"))),
            ("arn:aws:iam::000000000000:role/team/x/app", Some(("/team/x/", "app"))),
            ("arn:aws:iam::000000000000:role/", Some(("/", ""))),
            ("arn:aws:iam::123456789012:role/app", None),
            ("arn:aws:iam::000000000000:user/app", None),
            ("arn:aws:iam::000000000000:roles/app", None),
            ("arn:minio:iam:::role/idp", None),
            ("arn:xxx:xxx:xxx:xxxx", None),
            ("app", None),
            ("", None),
        ] {
            let named = found.map(|(path, name)| RoleNamed { path, name });
            assert_eq!(RoleNamed::of(arn), named, "{arn}");
        }
    }
}
