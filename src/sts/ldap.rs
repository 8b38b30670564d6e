//! MinIO's `AssumeRoleWithLDAPIdentity`: a credential for a name and password that an LDAP server accepts.
//!
//! Nobody signs these requests: the password is what proves the caller.

use std::collections::BTreeMap;

use storage_engine::store::clock::Timestamp;

use super::answer;
use super::error::StsError;
use super::form::Form;
use super::{SECONDS_DEFAULT, StsService, written};
use crate::access::{Action, Context, RequestFacts, decide_own};
use crate::identity::{LDAP_PROVIDER, Person};
use crate::ldap::SignedIn;

/// The directory's name for somebody: a distinguished name as it is written here holds no `#`, and that of every other
/// identity provider's people does.
fn person(signed_in: SignedIn) -> Person {
    let SignedIn { dn, name, groups } = signed_in;
    let claims = [("ldap:user", dn.clone()), ("ldap:username", name)];
    let claims: BTreeMap<String, Vec<String>> = claims
        .into_iter()
        .map(|(key, value)| (key.to_owned(), vec![value]))
        .collect();
    Person {
        provider: LDAP_PROVIDER.to_owned(),
        name: dn,
        groups,
        claims,
        policies: Vec::new(),
        // A server says of nobody until when they are who they are.
        ends: Timestamp::from_millis(u64::MAX),
    }
}

impl StsService {
    pub(super) async fn assume_by_password(
        &self,
        form: &Form,
        facts: &RequestFacts,
        id: &str,
    ) -> Result<String, StsError> {
        let needed = |field: &'static str| {
            let value = form.one(field)?.filter(|value| !value.is_empty());
            value.ok_or(StsError::Missing(field))
        };
        let (name, password) = (needed("LDAPUsername")?, needed("LDAPPassword")?);
        for unbuilt in ["PolicyArns.member.1.arn", "TokenRevokeType"] {
            if form.one(unbuilt)?.is_some() {
                return Err(StsError::NotBuilt(format!("{unbuilt} of AssumeRoleWithLDAPIdentity")));
            }
        }
        let (seconds, policy) = (form.seconds()?.unwrap_or(SECONDS_DEFAULT), form.policy()?);
        let person = person(self.ldap.sign_in(name, password, facts.source).await?);
        let identity = self.directory.person(&person)?;
        let context = Context {
            request: Some(facts),
            ..Context::default()
        };
        // What is granted is made by the directory, which is behind no grant.
        let granted = decide_own(&identity, Action::AssumeRoleWithLdapIdentity, &context);
        drop(granted.map_err(|_| StsError::AccessDenied)?);
        let temporary = self.directory.issue_to_person(person, Some(seconds), policy).await?;
        let expires = written(temporary.expires)?;
        answer::assumed("AssumeRoleWithLDAPIdentity", &identity, &temporary, &expires, id)
    }
}
