//! Who a statement of a bucket policy is about.
//!
//! Owns the forms AWS and MinIO write principals in. A user is named by ARN (with this store's account id or none), by
//! canonical id, or, as MinIO does, by the bare name. A name is compared whole: there are no wildcards in names.

use super::json::Json;

/// The account every identity of the store belongs to, as the twelve digits of an ARN.
pub const ACCOUNT_ID: &str = "000000000000";

/// Who asks, under every name a policy may use for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal<'a> {
    /// Nobody who said a name.
    Anonymous,
    /// The root account.
    Root,
    /// A user of the store.
    User {
        name: &'a str,
        /// 64 hex digits, where the user has one.
        canonical_id: Option<&'a str>,
    },
    /// Somebody another issuer vouches for.
    Federated { name: &'a str },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Everyone,
    /// This store's account: root, and in a Deny everybody in it.
    Account,
    User(String),
    CanonicalUser(String),
    /// A session made from another issuer's word.
    Session(String),
    /// Somebody who never calls here: a service, an issuer, another account's user.
    Foreign,
}

/// The principals of one statement.
#[derive(Clone, Debug)]
pub(super) struct Principals(Vec<Named>);

impl Principals {
    pub(super) fn parse(json: &Json) -> Result<Self, String> {
        let groups = match json {
            Json::Text(text) if text == "*" => return Ok(Self(vec![Named::Everyone])),
            Json::Object(groups) if !groups.is_empty() => groups,
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) | Json::Object(_) => {
                return Err("a principal is \"*\" or an object such as {\"AWS\": \"*\"}".to_owned());
            }
        };
        let mut all = Vec::new();
        for (kind, names) in groups {
            let read: fn(&str) -> Result<Named, String> = match kind.as_str() {
                "AWS" => aws,
                "CanonicalUser" => canonical,
                "Federated" | "Service" => foreign,
                _ => {
                    return Err(format!(
                        "there is no kind of principal \"{kind}\"; it is AWS, CanonicalUser, Federated or Service"
                    ));
                }
            };
            for name in super::document::texts(kind, names)? {
                all.push(read(&name)?);
            }
        }
        Ok(Self(all))
    }

    /// Whether a Deny (`deny`) or an Allow that names these is about `caller`.
    pub(super) fn contain(&self, caller: Principal<'_>, deny: bool) -> bool {
        self.0.iter().any(|named| match (named, caller) {
            (Named::Everyone, _) => true,
            (Named::Account, Principal::Root) => true,
            (Named::Account, Principal::User { .. } | Principal::Federated { .. }) => deny,
            (Named::User(expected), Principal::User { name, .. }) => expected == name,
            (Named::CanonicalUser(expected), Principal::User { canonical_id, .. }) => {
                canonical_id.is_some_and(|id| id == expected)
            }
            (Named::Session(expected), Principal::Federated { name }) => expected == name,
            _ => false,
        })
    }

    /// Whether everybody is among them.
    pub(super) fn everyone(&self) -> bool {
        self.0.contains(&Named::Everyone)
    }
}

fn aws(name: &str) -> Result<Named, String> {
    if name == "*" {
        return Ok(Named::Everyone);
    }
    let wrong =
        || format!("\"{name}\" is no principal; write \"*\", an account id, or arn:aws:iam::{ACCOUNT_ID}:user/NAME");
    if name.is_empty() || name.contains(['*', '?']) || name.contains("${") {
        return Err(wrong());
    }
    if name.len() == ACCOUNT_ID.len() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(if name == ACCOUNT_ID {
            Named::Account
        } else {
            Named::Foreign
        });
    }
    if !name.starts_with("arn:") {
        return Ok(Named::User(name.to_owned()));
    }
    let mut parts = name.splitn(6, ':').skip(1);
    let (Some("aws"), Some(service), Some(""), Some(account), Some(rest)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    let ours = account.is_empty() || account == ACCOUNT_ID;
    let named = match (service, rest.split_once('/')) {
        ("iam", None) if rest == "root" => Named::Account,
        // A path before the name says nothing about who it is.
        ("iam", Some(("user", user))) => Named::User(last(user)),
        ("sts", Some(("federated-user" | "assumed-role", user))) => Named::Session(last(user)),
        ("iam", Some(("role" | "group", _))) => Named::Foreign,
        _ => return Err(wrong()),
    };
    match &named {
        Named::User(user) | Named::Session(user) if user.is_empty() => Err(wrong()),
        _ if ours => Ok(named),
        _ => Ok(Named::Foreign),
    }
}

fn last(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn canonical(name: &str) -> Result<Named, String> {
    if name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Named::CanonicalUser(name.to_ascii_lowercase()));
    }
    Err(format!("\"{name}\" is no canonical user id, which is 64 hex digits"))
}

fn foreign(name: &str) -> Result<Named, String> {
    if name.is_empty() {
        return Err("a principal is empty".to_owned());
    }
    Ok(Named::Foreign)
}

#[cfg(test)]
mod tests {
    use super::{Json, Principal, Principals};

    fn parse(text: &str) -> Result<Principals, String> {
        Principals::parse(&Json::parse(text.as_bytes()).unwrap())
    }

    const ANN: Principal<'_> = Principal::User {
        name: "ann",
        canonical_id: Some("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    };

    #[test]
    fn each_form_names_whom_it_says() {
        let canonical = format!(r#"{{"CanonicalUser": "{}"}}"#, "A".repeat(64));
        let idp = Principal::Federated { name: "idp|7" };
        // The form, then: anonymous, root, ann, a federated caller; in an Allow and (the account alone differs) a Deny.
        let table: &[(&str, [bool; 4], [bool; 4])] = &[
            (r#""*""#, [true; 4], [true; 4]),
            (r#"{"AWS": "*"}"#, [true; 4], [true; 4]),
            (r#"{"AWS": ["*"]}"#, [true; 4], [true; 4]),
            (
                r#"{"AWS": "000000000000"}"#,
                [false, true, false, false],
                [false, true, true, true],
            ),
            (
                r#"{"AWS": "arn:aws:iam::000000000000:root"}"#,
                [false, true, false, false],
                [false, true, true, true],
            ),
            (r#"{"AWS": "123456789012"}"#, [false; 4], [false; 4]),
            (
                r#"{"AWS": "arn:aws:iam::000000000000:user/ann"}"#,
                [false, false, true, false],
                [false, false, true, false],
            ),
            (
                r#"{"AWS": "arn:aws:iam:::user/ann"}"#,
                [false, false, true, false],
                [false, false, true, false],
            ),
            (
                r#"{"AWS": ["x", "arn:aws:iam:::user/team/ann"]}"#,
                [false, false, true, false],
                [false, false, true, false],
            ),
            (
                r#"{"AWS": "arn:aws:iam::123456789012:user/ann"}"#,
                [false; 4],
                [false; 4],
            ),
            (
                r#"{"AWS": "ann"}"#,
                [false, false, true, false],
                [false, false, true, false],
            ),
            (r#"{"AWS": "an"}"#, [false; 4], [false; 4]),
            (&canonical, [false, false, true, false], [false, false, true, false]),
            (
                r#"{"AWS": "arn:aws:sts:::assumed-role/app/idp|7"}"#,
                [false, false, false, true],
                [false, false, false, true],
            ),
            (r#"{"Federated": "idp|7"}"#, [false; 4], [false; 4]),
            (r#"{"Service": "logging.s3.amazonaws.com"}"#, [false; 4], [false; 4]),
        ];
        for (form, allow, deny) in table {
            let principals = parse(form).unwrap();
            for (index, caller) in [Principal::Anonymous, Principal::Root, ANN, idp]
                .into_iter()
                .enumerate()
            {
                assert_eq!(principals.contain(caller, false), allow[index], "{form} {caller:?}");
                assert_eq!(principals.contain(caller, true), deny[index], "{form} {caller:?}");
            }
        }
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for wrong in [
            r#""ann""#,
            "{}",
            "[]",
            r#"{"AWS": []}"#,
            r#"{"AWS": "ann*"}"#,
            r#"{"AWS": "arn:aws:iam:::user/*"}"#,
            r#"{"AWS": "arn:aws:iam:::user/"}"#,
            r#"{"AWS": "arn:aws:s3:::bucket"}"#,
            r#"{"AWS": "${aws:username}"}"#,
            r#"{"Aws": "*"}"#,
            r#"{"CanonicalUser": "*"}"#,
            r#"{"Service": ""}"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
