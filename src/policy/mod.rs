//! The policy language: AWS's JSON policies, read, checked and judged.
//!
//! Pure: it knows no store, no HTTP and no credentials. A request comes in as a [`Question`] (action, resource,
//! principal, and [`Keys`] for everything a condition may ask), the answer is what one policy says to it, an [`Effect`].
//! How the answers of several policies become one decision is `access`'s.

mod actions;
pub mod anonymous;
pub mod canned;
mod condition;
mod document;
mod error;
mod json;
mod keys;
mod pattern;
mod principal;
#[cfg(test)]
mod tests;

pub use actions::is_known as is_known_action;
pub use condition::Network;
pub use error::PolicyError;
pub use keys::{Keys, Values};
pub use principal::{ACCOUNT_ID, Principal, issuer_name};

use document::{Selection, Statement};
use json::Json;

/// Most bytes of a bucket policy.
pub const MAX_BUCKET_POLICY: usize = 20 * 1024;
/// Most bytes of a policy of users and groups.
pub const MAX_IDENTITY_POLICY: usize = 20 * 1024;
/// Most bytes of a policy inside a temporary credential or an access key.
pub const MAX_SESSION_POLICY: usize = 4 * 1024;

/// Most bytes of a policy that says who may take on a role.
pub const MAX_TRUST_POLICY: usize = 4 * 1024;

/// The resource of what is asked of the store as a whole. `*` and `arn:aws:s3:::*` cover it, no bucket's name does.
pub const WHOLE_STORE: &str = "arn:aws:s3:::*";

/// What a policy is for, which decides what it may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Of users and groups: it names no principal.
    Identity,
    /// Of one bucket: it names principals, and every resource lies in the bucket.
    Bucket { bucket: &'a str },
    /// Of a temporary credential or an access key: as of an identity, and small.
    Session,
    /// Of a role: it names who may take it on, and no resource.
    Trust,
}

/// What a policy says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Some statement denies it, whatever others say.
    Deny,
    /// Some statement allows it and none denies it.
    Allow,
    /// It says nothing to it.
    Silent,
}

/// One thing asked for.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Such as `s3:GetObject`.
    pub action: &'a str,
    /// An ARN such as `arn:aws:s3:::bucket/key`, or [`WHOLE_STORE`].
    pub resource: &'a str,
    pub principal: Principal<'a>,
    pub keys: &'a dyn Keys,
}

/// A policy that was checked, ready to judge any number of questions.
#[derive(Clone, Debug)]
pub struct Policy {
    text: String,
    statements: Vec<Statement>,
    of_existing_object: bool,
    of_bucket_owner: bool,
}

/// As their authors wrote them.
impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Policy {}

impl Policy {
    /// Reads and checks a document of `kind`; the error tells its author what to mend.
    pub fn parse(document: &[u8], kind: Kind<'_>) -> Result<Self, PolicyError> {
        let limit = match kind {
            Kind::Identity => MAX_IDENTITY_POLICY,
            Kind::Bucket { .. } => MAX_BUCKET_POLICY,
            Kind::Session => MAX_SESSION_POLICY,
            Kind::Trust => MAX_TRUST_POLICY,
        };
        if document.len() > limit {
            return Err(PolicyError::TooLarge { limit });
        }
        let text = std::str::from_utf8(document).map_err(|error| PolicyError::NotJson(error.to_string()))?;
        let statements = document::parse(&Json::parse(document)?, kind)?;
        let looks_at = |what: fn(&keys::Name) -> bool| statements.iter().any(|one| one.names().any(what));
        let (of_existing_object, of_bucket_owner) = (
            looks_at(keys::Name::is_of_existing_object),
            looks_at(keys::Name::is_of_bucket_owner),
        );
        Ok(Self {
            text: text.to_owned(),
            statements,
            of_existing_object,
            of_bucket_owner,
        })
    }

    /// The document as its author wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says to `question`.
    pub fn judge(&self, question: &Question<'_>) -> Effect {
        let action = question.action.to_ascii_lowercase();
        let mut effect = Effect::Silent;
        for statement in &self.statements {
            // An Allow has nothing to add to another.
            if (effect == Effect::Silent || statement.deny) && statement.applies(&action, question) {
                if statement.deny {
                    return Effect::Deny;
                }
                effect = Effect::Allow;
            }
        }
        effect
    }

    /// Whether an answer about this action may depend on the object that is there: its tags, its visibility, its owner.
    pub fn looks_at_existing_object(&self, action: &str) -> bool {
        if !self.of_existing_object {
            return false;
        }
        let action = action.to_ascii_lowercase();
        let mut of_action = self.statements.iter().filter(|one| one.is_about_action(&action));
        of_action.any(|one| one.names().any(keys::Name::is_of_existing_object))
    }

    /// Whether an answer may depend on whose the bucket is.
    pub fn looks_at_bucket_owner(&self) -> bool {
        self.of_bucket_owner
    }

    /// Whether it allows something to everybody, without conditions that bound who or from where.
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(|statement| {
            let everyone =
                |principals: &Selection<principal::Principals>| principals.negated || principals.of.everyone();
            !statement.deny
                && statement.principals.as_ref().is_some_and(everyone)
                && !statement.conditions.iter().any(condition::Condition::bounds_callers)
        })
    }
}

impl Statement {
    /// Whether it is about the question, whose action is in lower case as `action`.
    fn applies(&self, action: &str, question: &Question<'_>) -> bool {
        self.is_about_action(action)
            && self.is_about_principal(question.principal)
            && self.is_about_resource(action, question)
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds(question.keys, self.deny))
    }

    fn is_about_action(&self, action: &str) -> bool {
        let named = self.actions.of.iter().any(|pattern| pattern.may_match(action));
        named != self.actions.negated
    }

    fn is_about_principal(&self, caller: Principal<'_>) -> bool {
        match &self.principals {
            None => true,
            // Whom a Deny spares must be named: the account does not stand for everybody in it then.
            Some(Selection { of, negated: true }) => !of.contain(caller, false),
            Some(Selection { of, negated: false }) => of.contain(caller, self.deny),
        }
    }

    fn is_about_resource(&self, action: &str, question: &Question<'_>) -> bool {
        let Some(resources) = &self.resources else {
            return true;
        };
        let of_identities = document::is_of_identities(action);
        if self.elsewhere_only && !of_identities {
            return true;
        }
        // What is asked of no role in particular may be any that it names.
        if of_identities && self.names_roles && self.deny && question.resource == WHOLE_STORE {
            return true;
        }
        let mut missing = false;
        let named = resources.of.iter().any(|pattern| {
            let matches = pattern.matches(question.resource, question.keys);
            missing |= matches.is_none();
            matches == Some(true)
        });
        // What a missing variable would have spared is not known: an Allow is not about it, a Deny is.
        if resources.negated {
            !named && (self.deny || !missing)
        } else {
            named
        }
    }

    /// The names of all it looks at in a request.
    fn names(&self) -> impl Iterator<Item = &keys::Name> {
        let resources = self.resources.iter().flat_map(|resources| &resources.of);
        let in_resources = resources.flat_map(pattern::Pattern::variables);
        in_resources.chain(self.conditions.iter().flat_map(condition::Condition::names))
    }
}
