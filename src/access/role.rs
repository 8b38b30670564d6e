//! Who may take on a role: what its trust policy and the policies of whoever asks say together.

use super::keys::Asked;
use super::{Action, Context, Denied, Grant, principal, within_session};
use crate::auth::{Account, Identity};
use crate::policy::{Effect, Keys, Policy, Principal, Question, Values};

/// A role that somebody wants to take on.
#[derive(Clone, Copy, Debug)]
pub struct RoleAsked<'a> {
    /// The role's ARN.
    pub arn: &'a str,
    /// The policy that says who may.
    pub trust: &'a Policy,
    /// Values of condition keys that are of this asking alone, by name: lower case up to its first slash.
    pub said: &'a [(String, Vec<String>)],
}

/// What trust policies may ask.
struct RoleKeys<'a> {
    said: &'a [(String, Vec<String>)],
    asked: Asked<'a>,
}

impl Keys for RoleKeys<'_> {
    fn get(&self, name: &str) -> Values<'_> {
        match self.said.iter().find(|(known, _)| known == name) {
            Some((_, values)) => Values::many(values),
            None => self.asked.get(name),
        }
    }
}

/// Decides whether `identity` may take on a role. It must be trusted: a trust policy that names the caller suffices; one
/// that names the whole account leaves it to the caller's own policies, one of which must allow `sts:AssumeRole` on the
/// role. A Deny of any of them wins.
pub fn decide_role(identity: &Identity, role: &RoleAsked<'_>, context: &Context<'_>) -> Result<Grant, Denied> {
    let denied = Denied::to(matches!(identity, Identity::Anonymous));
    let keys = RoleKeys {
        said: role.said,
        asked: Asked { identity, context },
    };
    let question = |principal| Question {
        action: Action::AssumeRole.name(),
        resource: role.arn,
        principal,
        keys: &keys,
    };
    let own = question(principal(identity));
    let by_name = match role.trust.judge(&own) {
        Effect::Deny => return Err(denied),
        Effect::Allow => true,
        Effect::Silent if role.trust.judge(&question(Principal::Root)) == Effect::Allow => false,
        Effect::Silent => return Err(denied),
    };
    let allowed = match identity {
        Identity::Anonymous => false,
        Identity::Root => true,
        Identity::Caller(caller) => {
            let said = caller.policies.iter().map(|policy| policy.judge(&own));
            let said: Vec<Effect> = said.collect();
            let by_account = caller.account == Account::Root || said.contains(&Effect::Allow);
            !said.contains(&Effect::Deny) && (by_name || by_account) && within_session(caller, &own)
        }
    };
    let granted = Grant {
        action: Action::AssumeRole,
        only_replaces: false,
    };
    if allowed { Ok(granted) } else { Err(denied) }
}

/// Decides whether somebody who brings a token of `issuer` (as policies name it) may take on a role: its trust policy must
/// name the issuer.
pub fn decide_role_of_token(issuer: &str, role: &RoleAsked<'_>, context: &Context<'_>) -> Result<Grant, Denied> {
    let keys = RoleKeys {
        said: role.said,
        asked: Asked {
            identity: &Identity::Anonymous,
            context,
        },
    };
    let question = Question {
        action: Action::AssumeRoleWithWebIdentity.name(),
        resource: role.arn,
        principal: Principal::Vouched { issuer },
        keys: &keys,
    };
    match role.trust.judge(&question) {
        Effect::Allow => Ok(Grant {
            action: Action::AssumeRoleWithWebIdentity,
            only_replaces: false,
        }),
        Effect::Deny | Effect::Silent => Err(Denied::to(true)),
    }
}
