//! Who a statement of a bucket policy, or of a role's trust policy, is about.
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
    /// Whoever took on a role.
    Role { name: &'a str, session: &'a str },
    /// Somebody who brings a token of this issuer (as [`issuer_name`] writes it) and is nobody here yet: what trust
    /// policies are asked about.
    Vouched { issuer: &'a str },
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
    /// A role, whoever took it on.
    Role(String),
    /// A role as it was taken on under one name; the last part alone is MinIO's word for another issuer's people.
    AssumedRole {
        role: String,
        session: String,
    },
    /// An issuer of tokens, as [`issuer_name`] writes it.
    Issuer(String),
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
                "Federated" => federated,
                "Service" => foreign,
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
            // A token's issuer must be named.
            (Named::Everyone, Principal::Vouched { .. }) => deny,
            (Named::Everyone, _) => true,
            (Named::Account, Principal::Root) => true,
            (Named::Account, Principal::User { .. } | Principal::Federated { .. } | Principal::Role { .. }) => deny,
            (Named::User(expected), Principal::User { name, .. }) => expected == name,
            (Named::CanonicalUser(expected), Principal::User { canonical_id, .. }) => {
                canonical_id.is_some_and(|id| id == expected)
            }
            (Named::Session(expected), Principal::Federated { name }) => expected == name,
            (Named::Role(expected), Principal::Role { name, .. }) => expected == name,
            (
                Named::AssumedRole {
                    role,
                    session: expected,
                },
                Principal::Role { name, session },
            ) => role == name && expected == session,
            (Named::AssumedRole { session, .. }, Principal::Federated { name }) => session == name,
            (Named::Issuer(expected), Principal::Vouched { issuer }) => expected == issuer,
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
        ("iam", Some(("role", role))) => Named::Role(last(role)),
        // An issuer's URL or a distinguished name holds slashes, too: what follows is the name, whole.
        ("sts", Some(("federated-user", user))) => Named::Session(user.to_owned()),
        ("sts", Some(("assumed-role", taken))) => {
            let (role, session) = taken.split_once('/').unwrap_or((taken, taken));
            Named::AssumedRole {
                role: role.to_owned(),
                session: session.to_owned(),
            }
        }
        ("iam", Some(("group", _))) => Named::Foreign,
        _ => return Err(wrong()),
    };
    match &named {
        Named::User(name) | Named::Session(name) | Named::Role(name) if name.is_empty() => Err(wrong()),
        Named::AssumedRole { role, session } if role.is_empty() || session.is_empty() => Err(wrong()),
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

/// An issuer's URL as policies name it: without its scheme and a slash at the end, its host in lower case.
pub fn issuer_name(url: &str) -> String {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.unwrap_or(url).trim_end_matches('/');
    match rest.split_once('/') {
        Some((host, path)) => format!("{}/{path}", host.to_ascii_lowercase()),
        None => rest.to_ascii_lowercase(),
    }
}

fn federated(name: &str) -> Result<Named, String> {
    let Some(rest) = name.strip_prefix("arn:aws:iam::") else {
        return match name.is_empty() {
            true => Err("a principal is empty".to_owned()),
            false => Ok(Named::Issuer(issuer_name(name))),
        };
    };
    match rest.split_once(":oidc-provider/") {
        Some(("" | ACCOUNT_ID, issuer)) if !issuer.is_empty() => Ok(Named::Issuer(issuer_name(issuer))),
        Some(_) | None => Ok(Named::Foreign),
    }
}

fn foreign(name: &str) -> Result<Named, String> {
    if name.is_empty() {
        return Err("a principal is empty".to_owned());
    }
    Ok(Named::Foreign)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Json, Principal, Principals};
    use crate::auth::{Account, Caller, Federated, Kind};

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
    fn roles_and_issuers_are_named_by_their_own_forms() {
        let taken = Principal::Role {
            name: "app",
            session: "me",
        };
        let vouched = Principal::Vouched {
            issuer: "id.example.com/Realm",
        };
        // The form, then: the role under the name "me", somebody with a token; in an Allow and a Deny.
        for (form, allow, deny) in [
            (r#""*""#, [true, false], [true, true]),
            (r#"{"AWS": "000000000000"}"#, [false, false], [true, false]),
            (
                r#"{"AWS": "arn:aws:iam::000000000000:role/app"}"#,
                [true, false],
                [true, false],
            ),
            (
                r#"{"AWS": "arn:aws:iam:::role/team/app"}"#,
                [true, false],
                [true, false],
            ),
            (
                r#"{"AWS": "arn:aws:iam::123456789012:role/app"}"#,
                [false; 2],
                [false; 2],
            ),
            (r#"{"AWS": "arn:aws:iam:::role/me"}"#, [false; 2], [false; 2]),
            (r#"{"AWS": "arn:aws:iam:::user/app"}"#, [false; 2], [false; 2]),
            (
                r#"{"AWS": "arn:aws:sts:::assumed-role/app/me"}"#,
                [true, false],
                [true, false],
            ),
            (
                r#"{"AWS": "arn:aws:sts:::assumed-role/app/you"}"#,
                [false; 2],
                [false; 2],
            ),
            (
                r#"{"AWS": "arn:aws:sts:::assumed-role/other/me"}"#,
                [false; 2],
                [false; 2],
            ),
            (r#"{"AWS": "app"}"#, [false; 2], [false; 2]),
            (
                r#"{"Federated": "arn:aws:iam::000000000000:oidc-provider/id.example.com/Realm"}"#,
                [false, true],
                [false, true],
            ),
            (
                r#"{"Federated": "https://ID.example.com/Realm/"}"#,
                [false, true],
                [false, true],
            ),
            (r#"{"Federated": "id.example.com/realm"}"#, [false; 2], [false; 2]),
            (
                r#"{"Federated": "arn:aws:iam::123456789012:oidc-provider/id.example.com/Realm"}"#,
                [false; 2],
                [false; 2],
            ),
        ] {
            let principals = parse(form).unwrap();
            for (index, caller) in [taken, vouched].into_iter().enumerate() {
                assert_eq!(principals.contain(caller, false), allow[index], "{form} {caller:?}");
                assert_eq!(principals.contain(caller, true), deny[index], "{form} {caller:?}");
            }
        }
    }

    /// A name with slashes in it was cut to its end, and a Deny of it held for nobody.
    #[test]
    fn people_of_providers_are_named_by_the_arn_that_they_are_told() {
        for name in [
            "https://id.example.com/realms/x#ann",
            "https://id.example.com/realms/x#a/b:c",
            "uid=ann/it,ou=people,dc=example,dc=com",
            "ann",
        ] {
            let caller = Caller {
                access_key: "key".to_owned(),
                kind: Kind::User,
                account: Account::Federated(Federated::new(name)),
                canonical_id: String::new(),
                groups: Vec::new(),
                claims: BTreeMap::new(),
                policies: Vec::new(),
                session: None,
            };
            let taken = format!("arn:aws:sts:::assumed-role/idp/{name}");
            for arn in [caller.arn(), taken] {
                let principals = parse(&format!(r#"{{"AWS": "{arn}"}}"#)).unwrap();
                for deny in [false, true] {
                    assert!(principals.contain(Principal::Federated { name }, deny), "{arn}");
                    for other in ["x#ann", "b:c", "it,ou=people,dc=example,dc=com", "https:"] {
                        assert!(!principals.contain(Principal::Federated { name: other }, deny), "{arn}");
                    }
                }
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
            r#"{"AWS": "arn:aws:iam:::role/"}"#,
            r#"{"AWS": "arn:aws:sts:::assumed-role//me"}"#,
            r#"{"AWS": "arn:aws:sts:::assumed-role/app/"}"#,
            r#"{"AWS": "arn:aws:sts:::federated-user/"}"#,
            r#"{"Federated": ""}"#,
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
