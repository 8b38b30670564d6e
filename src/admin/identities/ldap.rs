//! What MinIO's clients ask about users and groups of the LDAP server (`mc idp ldap`): their policies and their credentials.

use http::StatusCode;
use serde_json::json;

use super::policies::{Rearrange, Whom, entities_asked, rearranged, told};
use super::{Answer, Ask, access_keys};
use crate::admin::error::AdminError;
use crate::identity::{EntitiesAsked, IdentityError, LdapEntry, Target};
use crate::ldap::{Dn, LdapError};

impl From<LdapError> for AdminError {
    fn from(error: LdapError) -> Self {
        let (code, status) = match error {
            LdapError::NoServer => ("XMinioLDAPNotEnabled", StatusCode::NOT_IMPLEMENTED),
            // Not 503: MinIO's clients would ask again for minutes.
            LdapError::Unreachable => ("XDrystoneLDAPUnreachable", StatusCode::CONFLICT),
            LdapError::Wrong | LdapError::TooOften | LdapError::TooManyGroups => {
                ("XMinioAdminInvalidArgument", StatusCode::BAD_REQUEST)
            }
        };
        Self::Minio {
            code,
            status,
            message: error.to_string(),
        }
    }
}

/// A user or group as the LDAP server calls it. What is taken away may be of somebody whom it no longer knows, or calls
/// otherwise by now: what is attached to the name that was asked for is meant before what the server says of it.
async fn entry(ask: &Ask<'_>, whom: &Whom, must_be_known: bool) -> Result<LdapEntry, AdminError> {
    let ldap = &ask.reach.ldap;
    if !ldap.is_configured() {
        return Err(LdapError::NoServer.into());
    }
    let named = match whom {
        Whom::User(named) | Whom::Group(named) => named,
    };
    let called = |dn: String| match whom {
        Whom::User(_) => LdapEntry::User(dn),
        Whom::Group(_) => LdapEntry::Group(dn),
    };
    let written = Dn::parse(named).map(|dn| dn.to_string()).filter(|_| !must_be_known);
    if let Some(entry) = written.clone().map(called)
        && ask.reach.directory.has_attached(&entry)?
    {
        return Ok(entry);
    }
    let found = match whom {
        Whom::User(named) => ldap.user(named).await,
        Whom::Group(named) => ldap.group(named).await,
    };
    match (found, written) {
        (Ok(Some(dn)), _) | (Ok(None) | Err(_), Some(dn)) => Ok(called(dn)),
        (Err(error), None) => Err(error.into()),
        (Ok(None), None) => Err(match whom {
            Whom::User(named) => IdentityError::NoSuchUser(named.clone()).into(),
            Whom::Group(named) => IdentityError::NoSuchGroup(named.clone()).into(),
        }),
    }
}

/// `POST idp/ldap/policy/attach` and `detach`.
pub(super) async fn rearrange(ask: &Ask<'_>, text: &[u8], attach: bool) -> Result<Answer, AdminError> {
    let asked = Rearrange::read(text)?;
    let target = Target::Ldap(entry(ask, &asked.whom, attach).await?);
    rearranged(ask, &target, &asked.policies, attach).await
}

/// `GET idp/ldap/policy-entities`.
pub(super) fn entities(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    if !ask.reach.ldap.is_configured() {
        return Err(LdapError::NoServer.into());
    }
    let form = |named: String| Dn::parse(&named).map_or(named, |dn| dn.to_string());
    let asked = entities_asked(ask);
    let asked = EntitiesAsked {
        users: asked.users.into_iter().map(form).collect(),
        groups: asked.groups.into_iter().map(form).collect(),
        policies: asked.policies,
    };
    told(&ask.reach.directory.ldap_entities(&asked)?)
}

/// What MinIO calls the one server.
const NAME: &str = "_";

/// `GET idp-config/ldap`: whether there is a server.
pub(super) fn list(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let servers = ask.reach.ldap.is_configured();
    let servers = servers.then(|| json!({ "type": "ldap", "name": NAME, "enabled": true }));
    Answer::sealed(&servers.into_iter().collect::<Vec<_>>())
}

/// `GET idp-config/ldap/_`: how the server is set. All of it stands in variables.
pub(super) fn info(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let settings = ask.reach.ldap.settings();
    if settings.is_empty() {
        return Err(AdminError::Minio {
            code: "XMinioAdminConfigIDPCfgNameDoesNotExist",
            status: StatusCode::BAD_REQUEST,
            message: LdapError::NoServer.to_string(),
        });
    }
    let settings = settings
        .into_iter()
        .map(|(key, value)| json!({ "key": key, "value": value, "isCfg": false, "isEnv": true }));
    Answer::sealed(&json!({ "type": "ldap", "name": NAME, "info": settings.collect::<Vec<_>>() }))
}

/// `POST revoke-tokens/ldap`: ends the temporary credentials of somebody who signed in by the LDAP server.
pub(super) async fn revoke(ask: &Ask<'_>) -> Result<Answer, AdminError> {
    let whom = Whom::User(ask.query.must("user")?.to_owned());
    access_keys::revokes_all(ask)?;
    let entry = entry(ask, &whom, false).await?;
    ask.reach.directory.revoke_person(entry.dn()).await?;
    Ok(Answer::Done(StatusCode::NO_CONTENT))
}
