//! Access keys of the IAM API: keys of an account with all of its rights.

use super::Ask;
use super::answer::{element, page};
use crate::access::Action;
use crate::identity::{AccessKeyChange, IdentityError, KeyParent, NewAccessKey};
use crate::sts::error::StsError;
use crate::sts::written;

fn status(enabled: bool) -> &'static str {
    if enabled { "Active" } else { "Inactive" }
}

/// The key that is named, which must be one of the account.
fn named<'a>(ask: &'a Ask<'_>, account: &KeyParent) -> Result<&'a str, StsError> {
    let access_key = ask.needed("AccessKeyId")?;
    let standing = ask.directory.access_key(access_key)?;
    match standing.parent == *account {
        true => Ok(access_key),
        false => Err(IdentityError::NoSuchAccessKey(access_key.to_owned()).into()),
    }
}

pub(super) async fn create(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    let account = ask.account()?;
    ask.must_change_keys(&account, Action::AdminCreateServiceAccount)?;
    let user = ask.directory.name_of(&account).to_owned();
    let made = ask
        .directory
        .add_access_key(ask.identity, NewAccessKey::of(account))
        .await?;
    let secret = std::str::from_utf8(made.secret.expose()).map_err(|error| StsError::Internal(error.to_string()))?;
    let told = [
        element("UserName", &user),
        element("AccessKeyId", &made.access_key),
        element("Status", status(true)),
        element("SecretAccessKey", secret),
        element(
            "CreateDate",
            &written(ask.directory.access_key(&made.access_key)?.created)?,
        ),
    ];
    Ok(Some(format!("<AccessKey>{}</AccessKey>", told.concat())))
}

pub(super) fn list(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    let account = ask.account()?;
    ask.must_unless_own(&account, Action::AdminListServiceAccounts)?;
    if let KeyParent::User(name) = &account {
        ask.directory.user(name)?;
    }
    let user = ask.directory.name_of(&account).to_owned();
    let keys = ask.directory.access_keys_of(&account)?;
    page(
        ask,
        "AccessKeyMetadata",
        keys,
        |key| &key.access_key,
        |key| {
            Ok([
                element("UserName", &user),
                element("AccessKeyId", &key.access_key),
                element("Status", status(key.enabled)),
                element("CreateDate", &written(key.created)?),
            ]
            .concat())
        },
    )
}

pub(super) async fn update(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    let account = ask.account()?;
    ask.must_change_keys(&account, Action::AdminUpdateServiceAccount)?;
    let enabled = match ask.needed("Status")? {
        "Active" => true,
        "Inactive" => false,
        _ => return Err(StsError::Invalid("Status is Active or Inactive.")),
    };
    let change = AccessKeyChange {
        enabled: Some(enabled),
        ..AccessKeyChange::default()
    };
    let access_key = named(ask, &account)?;
    ask.directory
        .change_access_key(ask.identity, access_key, change)
        .await?;
    Ok(None)
}

pub(super) async fn delete(ask: &Ask<'_>) -> Result<Option<String>, StsError> {
    let account = ask.account()?;
    ask.must_change_keys(&account, Action::AdminRemoveServiceAccount)?;
    let access_key = named(ask, &account)?;
    ask.directory.remove_access_key(ask.identity, access_key).await?;
    Ok(None)
}
