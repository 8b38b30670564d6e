//! Inline and attached policies of users, groups and roles.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Ask;
use super::answer::{element, page};
use crate::access::Action;
use crate::identity::{IdentityError, KeyParent, Target};
use crate::policy::{ACCOUNT_ID, canned};
use crate::sts::error::StsError;

fn name(target: &Target) -> String {
    match target {
        Target::User(name) => element("UserName", name),
        Target::Group(name) => element("GroupName", name),
        Target::Role(name) => element("RoleName", name),
        Target::Ldap(entry) => element("UserName", entry.dn()),
    }
}

/// Everybody may look at themselves.
fn must_see(ask: &Ask<'_>, target: &Target) -> Result<(), StsError> {
    match target {
        Target::User(name) => ask.must_unless_own(&KeyParent::User(name.clone()), Action::AdminGetUser),
        Target::Group(_) => ask.must(Action::AdminGetGroup),
        Target::Role(_) => ask.must(Action::AdminGetUser),
        Target::Ldap(_) => ask.must(Action::AdminGetUser),
    }
}

pub(super) async fn put(ask: &Ask<'_>, target: Target) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminCreatePolicy)?;
    ask.must(Action::AdminAttachUserOrGroupPolicy)?;
    let (policy, document) = (ask.needed("PolicyName")?, ask.needed("PolicyDocument")?);
    let target = ask.known(target);
    ask.directory.put_inline(&target, policy, document.as_bytes()).await?;
    Ok(None)
}

pub(super) fn get(ask: &Ask<'_>, target: Target) -> Result<Option<String>, StsError> {
    must_see(ask, &target)?;
    let (policy, target) = (ask.needed("PolicyName")?, ask.known(target));
    let text = ask.directory.inline_policy(&target, policy)?;
    let text = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
    let told = [
        name(&target),
        element("PolicyName", policy),
        element("PolicyDocument", &text),
    ];
    Ok(Some(told.concat()))
}

pub(super) fn list(ask: &Ask<'_>, target: Target) -> Result<Option<String>, StsError> {
    must_see(ask, &target)?;
    let (own, _) = ask.directory.policies_by_kind(&ask.known(target))?;
    // A member is the name itself.
    page(ask, "PolicyNames", own, String::as_str, |name| {
        Ok(quick_xml::escape::escape(name.as_str()).into_owned())
    })
}

pub(super) async fn delete(ask: &Ask<'_>, target: Target) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminDeletePolicy)?;
    ask.must(Action::AdminAttachUserOrGroupPolicy)?;
    let target = ask.known(target);
    ask.directory.remove_inline(&target, ask.needed("PolicyName")?).await?;
    Ok(None)
}

/// The name behind the ARN of a policy. One of AWS's own goes by its name here; else it does not matter which account it is
/// said to be of: there is one.
fn named_by(arn: &str) -> Option<String> {
    let rest = arn.strip_prefix("arn:aws:iam:")?;
    let (account, name) = rest.split_once(":policy/")?;
    let of_aws = format!("{}{name}", canned::OF_AWS);
    match account == ":aws" && canned::find(&of_aws).is_some() {
        true => Some(of_aws),
        false => (!name.is_empty()).then(|| name.to_owned()),
    }
}

/// The name and the ARN of a policy, as it was attached by.
fn told(name: &str) -> (&str, String) {
    match name.strip_prefix(canned::OF_AWS) {
        Some(own) => (own, format!("arn:aws:iam::aws:policy/{own}")),
        None => (name, format!("arn:aws:iam::{ACCOUNT_ID}:policy/{name}")),
    }
}

pub(super) async fn attach(ask: &Ask<'_>, target: Target, attaches: bool) -> Result<Option<String>, StsError> {
    ask.must(Action::AdminAttachUserOrGroupPolicy)?;
    let arn = ask.needed("PolicyArn")?;
    let name = named_by(arn).ok_or(StsError::Invalid("PolicyArn is not arn:aws:iam::ACCOUNT:policy/NAME."))?;
    let (policies, target) = ([name.clone()], ask.known(target));
    let done = match attaches {
        true => ask.directory.attach(&target, &policies).await,
        false => ask.directory.detach(&target, &policies).await,
    };
    match (done, attaches) {
        // To IAM attaching what is attached is nothing to complain of; detaching what is not attached is.
        (Ok(_), _) | (Err(IdentityError::AlreadyApplied), true) => Ok(None),
        (Err(IdentityError::AlreadyApplied), false) => Err(IdentityError::NoSuchPolicy(name).into()),
        (Err(error), _) => Err(error.into()),
    }
}

pub(super) fn list_attached(ask: &Ask<'_>, target: Target) -> Result<Option<String>, StsError> {
    must_see(ask, &target)?;
    let (_, attached) = ask.directory.policies_by_kind(&ask.known(target))?;
    page(ask, "AttachedPolicies", attached, String::as_str, |name| {
        let (name, arn) = told(name);
        Ok(element("PolicyName", name) + &element("PolicyArn", &arn))
    })
}

#[cfg(test)]
mod tests {
    use super::named_by;

    #[test]
    fn a_policy_is_named_by_its_arn() {
        for (arn, name) in [
            ("arn:aws:iam::000000000000:policy/readonly", Some("readonly")),
            ("arn:aws:iam::aws:policy/readonly", Some("readonly")),
            ("arn:aws:iam:::policy/team/x", Some("team/x")),
            (
                "arn:aws:iam::aws:policy/AmazonS3FullAccess",
                Some("aws/AmazonS3FullAccess"),
            ),
            ("arn:aws:iam:::policy/AmazonS3FullAccess", Some("AmazonS3FullAccess")),
            (
                "arn:aws:iam::aws:policy/AmazonSNSFullAccess",
                Some("AmazonSNSFullAccess"),
            ),
            ("arn:aws:iam:::policy/", None),
            ("arn:aws:s3:::policy/x", None),
            ("readonly", None),
        ] {
            assert_eq!(named_by(arn).as_deref(), name, "{arn}");
        }
    }
}
