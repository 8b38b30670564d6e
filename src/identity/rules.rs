//! The rules for names, secrets and texts of the directory. Pure.

use super::error::IdentityError;
use crate::auth::Account;

const ACCESS_KEY_CHARS_MIN: usize = 3;
const SECRET_CHARS_MIN: usize = 8;
/// Most bytes of an access key, as signatures are read.
const ACCESS_KEY_BYTES_MAX: usize = 128;
const SECRET_BYTES_MAX: usize = 512;
/// Most bytes of the name of a group or policy.
const NAME_BYTES_MAX: usize = 128;
const ROLE_NAME_CHARS_MAX: usize = 64;
const KEY_NAME_BYTES_MAX: usize = 32;
const DESCRIPTION_BYTES_MAX: usize = 256;

/// Whether a user or access key may be called so. `=` and `,` are separators where keys are presented.
pub(super) fn access_key(text: &str) -> Result<(), IdentityError> {
    let refuse = |why| Err(IdentityError::InvalidAccessKey(why));
    if text.chars().count() < ACCESS_KEY_CHARS_MIN {
        return refuse("it needs at least 3 characters");
    }
    if text.len() > ACCESS_KEY_BYTES_MAX {
        return refuse("it is longer than 128 bytes");
    }
    // The account of the root user goes by this name wherever an owner is told, whatever its access key is.
    if text == Account::Root.name() {
        return refuse("'root' is the name of the root user's account");
    }
    if text.contains(['=', ',']) {
        return refuse("it may not hold '=' or ','");
    }
    // Others cannot be presented in a signature.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("it may hold only visible ASCII characters");
    }
    Ok(())
}

/// Whether a secret may be used.
pub(super) fn secret(text: &str) -> Result<(), IdentityError> {
    if text.chars().count() < SECRET_CHARS_MIN {
        return Err(IdentityError::InvalidSecretKey("it needs at least 8 characters"));
    }
    if text.len() > SECRET_BYTES_MAX {
        return Err(IdentityError::InvalidSecretKey("it is longer than 512 bytes"));
    }
    Ok(())
}

/// Whether a group or policy may be called so. Lists of them are written with commas between.
pub(super) fn name(text: &str) -> Result<(), IdentityError> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        return Err(IdentityError::InvalidArgument("a name has 1 to 128 bytes"));
    }
    if text.contains(',') || text.trim() != text || text.chars().any(char::is_control) {
        return Err(IdentityError::InvalidArgument(
            "a name may not hold ',' or control characters, nor begin or end with a space",
        ));
    }
    Ok(())
}

/// Whether a role may be called so, by AWS's rule.
pub(super) fn role_name(text: &str) -> Result<(), IdentityError> {
    match (1..=ROLE_NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_of_role) {
        true => Ok(()),
        false => Err(IdentityError::InvalidArgument(
            "the name of a role has 1 to 64 letters, digits and characters of _+=,.@-",
        )),
    }
}

/// Whether a role may be taken on under this name, by AWS's rule.
pub(super) fn session_name(text: &str) -> Result<(), IdentityError> {
    match (2..=ROLE_NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_of_role) {
        true => Ok(()),
        false => Err(IdentityError::InvalidArgument(
            "RoleSessionName has 2 to 64 letters, digits and characters of _+=,.@-",
        )),
    }
}

fn is_of_role(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
}

/// Whether an access key may carry this name; none at all is fine.
pub(super) fn key_name(text: &str) -> Result<(), IdentityError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let begins = text.chars().next().is_none_or(|first| first.is_ascii_alphabetic());
    if text.len() <= KEY_NAME_BYTES_MAX && begins && text.chars().all(good) {
        return Ok(());
    }
    Err(IdentityError::InvalidArgument(
        "the name of an access key has at most 32 letters, digits, '_' and '-', and begins with a letter",
    ))
}

/// Whether an access key may carry this description.
pub(super) fn description(text: &str) -> Result<(), IdentityError> {
    if text.len() <= DESCRIPTION_BYTES_MAX {
        return Ok(());
    }
    Err(IdentityError::InvalidArgument("a description has at most 256 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_keys_and_secrets_follow_minios_rules() {
        for good in ["abc", "roots", "Root", "app-user", "me@example.com", "user/team"] {
            assert!(access_key(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            "a=b",
            "a,b",
            " abc",
            "abc ",
            "a b c",
            "a\nb\nc",
            "Åsa",
            "root",
            &"k".repeat(129),
        ] {
            assert!(access_key(bad).is_err(), "{bad:?}");
        }
        assert!(secret("12345678").is_ok());
        assert!(secret("1234567").is_err() && secret(&"s".repeat(513)).is_err());
    }

    #[test]
    fn roles_and_sessions_follow_awss_rules() {
        for good in ["r", "App_1+=,.@-", &"r".repeat(64)] {
            assert!(role_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "é", "a:b", &"r".repeat(65)] {
            assert!(role_name(bad).is_err(), "{bad}");
        }
        assert!(session_name("me").is_ok() && session_name("m").is_err() && session_name("a/b").is_err());
    }

    #[test]
    fn names_and_descriptions_are_bounded() {
        assert!(name("read only").is_ok() && name("a/b").is_ok());
        for bad in ["", "a,b", " a", "a\0", &"n".repeat(129)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
        for good in ["", "Backup_1-a"] {
            assert!(key_name(good).is_ok(), "{good}");
        }
        for bad in ["1a", "-a", "a b", "é", &"n".repeat(33)] {
            assert!(key_name(bad).is_err(), "{bad:?}");
        }
        assert!(description(&"d".repeat(256)).is_ok() && description(&"d".repeat(257)).is_err());
    }
}
