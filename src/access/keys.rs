//! The condition keys of one decision, computed only when a policy asks for one.

use std::borrow::Cow;

use time::format_description::well_known::Rfc3339;

use super::{Context, Visibility, visibility};
use crate::auth::{Account, Caller, Identity, Kind};
use crate::policy::{ACCOUNT_ID, Keys, Values};

/// What policies may ask about one request.
pub(super) struct Asked<'a> {
    pub(super) identity: &'a Identity,
    pub(super) context: &'a Context<'a>,
}

impl Keys for Asked<'_> {
    fn get(&self, name: &str) -> Values<'_> {
        self.of_caller(name)
            .or_else(|| self.of_connection(name))
            .or_else(|| self.of_stored(name))
            .unwrap_or_else(|| self.of_claims_or_request(name))
    }
}

fn one(value: impl Into<String>) -> Values<'static> {
    Values::One(Cow::Owned(value.into()))
}

fn maybe<'a>(value: Option<&'a str>) -> Values<'a> {
    value.map_or(Values::Missing, Values::one)
}

impl Asked<'_> {
    fn caller(&self) -> Option<&Caller> {
        match self.identity {
            Identity::Caller(caller) => Some(caller),
            Identity::Anonymous | Identity::Root => None,
        }
    }

    /// Who asks. `None`: the name is about something else.
    fn of_caller(&self, name: &str) -> Option<Values<'_>> {
        Some(match name {
            "aws:username" => match self.caller().map(|caller| &caller.account) {
                Some(Account::User(name)) => Values::one(name),
                Some(Account::Root | Account::Federated(_) | Account::Role(_)) | None => Values::Missing,
            },
            // MinIO's word for it is the name.
            "aws:userid" => match self.identity {
                Identity::Anonymous => Values::Missing,
                Identity::Root => Values::one(Account::Root.name()),
                Identity::Caller(caller) => match &caller.account {
                    // As AWS has it.
                    Account::Role(assumed) => one(format!("{}:{}", caller.canonical_id, assumed.session())),
                    account @ (Account::Root | Account::User(_) | Account::Federated(_)) => Values::one(account.name()),
                },
            },
            "aws:principalaccount" => maybe(owner_id_of(self.identity)),
            "aws:principaltype" => Values::one(match self.identity {
                Identity::Anonymous => "Anonymous",
                Identity::Root => "Account",
                Identity::Caller(caller) => match (&caller.account, caller.kind) {
                    (Account::Federated(_) | Account::Role(_), _) | (_, Kind::Temporary { .. }) => "AssumedRole",
                    (Account::Root, Kind::User | Kind::AccessKey) => "Account",
                    (Account::User(_), Kind::User | Kind::AccessKey) => "User",
                },
            }),
            "aws:principalarn" => match self.identity {
                Identity::Anonymous => Values::Missing,
                Identity::Root => one(format!("arn:aws:iam::{ACCOUNT_ID}:root")),
                Identity::Caller(caller) => one(caller.principal_arn()),
            },
            "aws:groups" => self
                .caller()
                .map_or(Values::Missing, |caller| Values::many(&caller.groups)),
            _ => return None,
        })
    }

    /// When, from where and how signed it came.
    fn of_connection(&self, name: &str) -> Option<Values<'_>> {
        let request = self.context.request?;
        let signing = request.signing.as_ref();
        Some(match name {
            "aws:currenttime" => request.time.format(&Rfc3339).map_or(Values::Missing, one),
            "aws:epochtime" => one(request.time.unix_timestamp().to_string()),
            "aws:sourceip" => request.source.map_or(Values::Missing, |source| one(source.to_string())),
            "aws:securetransport" => Values::one(if request.secure { "true" } else { "false" }),
            "s3:authtype" => maybe(signing.map(|signing| signing.form.name())),
            "s3:signatureversion" => maybe(signing.map(|_| "AWS4-HMAC-SHA256")),
            "s3:signatureage" => match signing {
                Some(signing) => one((request.time - signing.time).whole_milliseconds().max(0).to_string()),
                None => Values::Missing,
            },
            _ => return None,
        })
    }

    /// What is stored of bucket and object.
    fn of_stored(&self, name: &str) -> Option<Values<'_>> {
        let object = self.context.object;
        if let Some(tag) = name.strip_prefix("s3:existingobjecttag/") {
            let tags = object.map_or(&[][..], |object| object.tags.as_slice());
            let found = tags.iter().find(|(key, _)| key == tag);
            return Some(maybe(found.map(|(_, value)| value.as_str())));
        }
        Some(match name {
            "aws:resourceaccount" | "s3:resourceaccount" => {
                maybe(self.context.bucket.and_then(|bucket| bucket.owner.as_deref()))
            }
            "drystone:visibility" => maybe(object.and_then(|object| object.visibility).map(Visibility::name)),
            "drystone:share" => maybe(visibility::share_name(self.identity, self.context)),
            "drystone:objectowner" => maybe(object.map(|object| object.owner.as_str())),
            _ => return None,
        })
    }

    /// Claims are the issuer's word on the caller; no header can say one.
    fn of_claims_or_request(&self, name: &str) -> Values<'_> {
        let of_caller = ["jwt:", "ldap:", "aws:principaltag/", "sts:", "svc:"];
        if of_caller.iter().any(|start| name.starts_with(start)) {
            let claims = self.caller().map(|caller| &caller.claims);
            let mut claims = claims.into_iter().flatten();
            let found = claims.find(|(known, _)| known.eq_ignore_ascii_case(name));
            return found.map_or(Values::Missing, |(_, values)| Values::many(values));
        }
        if let Some(tags) = self.context.tags {
            if let Some(tag) = name.strip_prefix("s3:requestobjecttag/") {
                let found = tags.0.iter().find(|(key, _)| key == tag);
                return maybe(found.map(|(_, value)| value.as_str()));
            }
            if name == "s3:requestobjecttagkeys" {
                return Values::Many(tags.0.iter().map(|(key, _)| Cow::Borrowed(key.as_str())).collect());
            }
        }
        match self.context.request {
            Some(request) => Values::many(request.said(name)),
            None => Values::Missing,
        }
    }
}

/// What the account whose rights `identity` has owns things under; nobody's is none.
pub fn owner_id_of(identity: &Identity) -> Option<&str> {
    match identity {
        Identity::Anonymous => None,
        Identity::Root => Some(Account::Root.name()),
        Identity::Caller(caller) => Some(caller.owner_id()),
    }
}
