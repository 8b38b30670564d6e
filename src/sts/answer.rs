//! The answers of the token service, as AWS's STS writes them. Pure.

use quick_xml::escape::escape;

use super::error::StsError;
use super::web_identity::TokenForm;
use crate::auth::{Account, Identity};
use crate::identity::Temporary;
use crate::policy::ACCOUNT_ID;

/// The namespace of every document of the token service.
pub(super) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Who the caller is: its ARN, and what its user id is.
fn who(identity: &Identity, root_key: &str) -> Result<(String, String), StsError> {
    match identity {
        Identity::Anonymous => Err(StsError::AccessDenied),
        Identity::Root => Ok((format!("arn:aws:iam::{ACCOUNT_ID}:root"), root_key.to_owned())),
        Identity::Caller(caller) => {
            let id = match caller.account {
                Account::Root => root_key.to_owned(),
                Account::User(_) | Account::Federated(_) => caller.canonical_id.clone(),
                Account::Role(ref assumed) => format!("{}:{}", caller.canonical_id, assumed.session()),
            };
            Ok((caller.arn(), id))
        }
    }
}

pub(super) fn caller_identity(identity: &Identity, root_key: &str, id: &str) -> Result<String, StsError> {
    let (arn, user) = who(identity, root_key)?;
    Ok(document(
        "GetCallerIdentity",
        &format!(
            "<Arn>{}</Arn><UserId>{}</UserId><Account>{ACCOUNT_ID}</Account>",
            escape(&arn),
            escape(&user)
        ),
        id,
    ))
}

/// The answer of an action that tells nothing beside the credential.
pub(super) fn assumed(
    action: &str,
    identity: &Identity,
    temporary: &Temporary,
    expires: &str,
    id: &str,
) -> Result<String, StsError> {
    let given = given(identity, temporary, expires)?;
    Ok(document(action, &given, id))
}

/// What the answer to a token tells beside the credential.
pub(super) struct ByToken<'a> {
    /// The action, and the element that names the token's subject.
    pub(super) form: TokenForm,
    pub(super) subject: &'a str,
    pub(super) audience: &'a str,
    pub(super) issuer: &'a str,
}

pub(super) fn by_token(
    told: &ByToken<'_>,
    identity: &Identity,
    temporary: &Temporary,
    expires: &str,
    id: &str,
) -> Result<String, StsError> {
    let given = given(identity, temporary, expires)?;
    let subject = told.form.subject;
    let result = format!(
        "<{subject}>{}</{subject}><Audience>{}</Audience><Provider>{}</Provider>{given}",
        escape(told.subject),
        escape(told.audience),
        escape(told.issuer),
    );
    Ok(document(told.form.action, &result, id))
}

/// Who the credential makes one, and the credential.
fn given(identity: &Identity, temporary: &Temporary, expires: &str) -> Result<String, StsError> {
    let (arn, own) = who(identity, "root")?;
    let of_role = matches!(identity, Identity::Caller(caller) if matches!(caller.account, Account::Role(_)));
    let assumed = if of_role {
        own.as_str()
    } else {
        temporary.access_key.as_str()
    };
    let text =
        |secret: &[u8]| String::from_utf8(secret.to_vec()).map_err(|error| StsError::Internal(error.to_string()));
    Ok(format!(
        "<AssumedRoleUser><Arn>{}</Arn><AssumedRoleId>{}</AssumedRoleId></AssumedRoleUser><Credentials><AccessKeyId>{}\
         </AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>{}</Expiration>\
         </Credentials>",
        escape(&arn),
        escape(assumed),
        temporary.access_key,
        escape(&text(temporary.secret.expose())?),
        escape(&text(temporary.token.expose())?),
        expires
    ))
}

fn document(action: &str, result: &str, id: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}\
         </{action}Result><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>"
    )
}
