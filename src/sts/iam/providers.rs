//! Identity providers of the IAM API: those of the settings, to look at.

use std::collections::BTreeSet;

use super::Ask;
use super::answer::element;
use crate::access::Action;
use crate::openid::Provider;
use crate::policy::{ACCOUNT_ID, issuer_name};
use crate::sts::error::StsError;

/// What trust policies name an issuer by.
fn arn_of(url: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT_ID}:oidc-provider/{}", issuer_name(url))
}

fn arn(provider: &Provider) -> String {
    arn_of(&provider.issuer_url())
}

/// Also as it was told before its issuer had said what it calls itself.
fn is_named(provider: &Provider, named: &str) -> bool {
    arn(provider) == named || arn_of(&provider.place_url()) == named
}

pub(super) fn list(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminListUsers)?;
    let arns: BTreeSet<String> = ask.providers.iter().map(arn).collect();
    let members = arns
        .iter()
        .map(|arn| format!("<member>{}</member>", element("Arn", arn)));
    let members: String = members.collect();
    Ok(Some(format!(
        "<OpenIDConnectProviderList>{members}</OpenIDConnectProviderList>"
    )))
}

pub(super) fn get(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminGetUser)?;
    let named = ask.needed("OpenIDConnectProviderArn")?;
    let found: Vec<&Provider> = ask
        .providers
        .iter()
        .filter(|provider| is_named(provider, named))
        .collect();
    let Some(first) = found.first() else {
        return Err(StsError::NoSuchEntity(format!(
            "There is no identity provider {named}."
        )));
    };
    let clients = found.iter().map(|provider| element("member", provider.client_id()));
    let clients: String = clients.collect();
    let url = element("Url", &issuer_name(&first.issuer_url()));
    // TLS checks the certificates of issuers: no thumbprints are kept. Nor is the day that a setting is from.
    Ok(Some(format!(
        "{url}<ClientIDList>{clients}</ClientIDList><ThumbprintList></ThumbprintList>"
    )))
}

/// Whoever changes the settings makes and removes them.
pub(super) fn unbuilt(action: &str) -> StsError {
    StsError::NotBuilt(format!(
        "{action} of IAM (identity providers stand in the settings, MINIO_IDENTITY_OPENID_CONFIG_URL and its like)"
    ))
}
