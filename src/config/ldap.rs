//! The LDAP server: MinIO's `IDENTITY_LDAP_*` variables. Pure.

use super::{ConfigError, ReadFile, Secret, Vars, values};

/// What all of them begin with, behind the prefix.
const FAMILY: &str = "IDENTITY_LDAP_";
/// Of LDAP over TLS.
const DEFAULT_PORT: u16 = 636;

const SETTINGS: &[&str] = &[
    "ENABLE",
    "COMMENT",
    "SERVER_ADDR",
    "SRV_RECORD_NAME",
    "SERVER_INSECURE",
    "SERVER_STARTTLS",
    "TLS_SKIP_VERIFY",
    "LOOKUP_BIND_DN",
    "LOOKUP_BIND_PASSWORD",
    "USER_DN_SEARCH_BASE_DN",
    "USER_DN_SEARCH_FILTER",
    "USER_DN_ATTRIBUTES",
    "GROUP_SEARCH_BASE_DN",
    "GROUP_SEARCH_FILTER",
];

/// A server that people sign in by, and how they are found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdapServer {
    pub host: String,
    pub port: u16,
    pub security: LdapSecurity,
    /// Whether its certificate must be one that the machine's certificates vouch for.
    pub verified: bool,
    /// As whom is searched.
    pub bind_dn: String,
    pub bind_password: Secret,
    /// Where users stand; at least one.
    pub user_bases: Vec<String>,
    /// With `%s` for the name somebody signs in with.
    pub user_filter: String,
    /// `None`: no groups count.
    pub groups: Option<LdapGroups>,
}

/// How the groups of a user are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdapGroups {
    /// Where groups stand; at least one.
    pub bases: Vec<String>,
    /// With `%d` for the user's distinguished name and `%s` for the name somebody signs in with.
    pub filter: String,
}

/// How the connection to the server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LdapSecurity {
    /// TLS from the first byte on (ldaps).
    Tls,
    /// TLS before the first password.
    StartTls,
    /// Not at all.
    Plain,
}

/// Whether `name` (behind the prefix) is one of the variables.
pub(super) fn is_setting(name: &str) -> bool {
    let setting = name.strip_prefix(FAMILY);
    setting.is_some_and(|name| SETTINGS.contains(&name.strip_suffix("_FILE").unwrap_or(name)))
}

fn refuse<T>(setting: &str, problem: &'static str) -> Result<T, ConfigError> {
    Err(ConfigError::Provider {
        variable: format!("MINIO_{FAMILY}{setting}"),
        problem,
    })
}

/// The server that is configured and not switched off.
pub(super) fn server(
    vars: &Vars,
    read: ReadFile<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<LdapServer>, ConfigError> {
    let get = |setting: &str| vars.setting(&format!("{FAMILY}{setting}"), read);
    let is_on = |setting: &str| Ok::<bool, ConfigError>(get(setting)?.is_some_and(|text| values::is_on(&text)));
    if get("ENABLE")?.is_some_and(|text| !values::is_on(&text)) {
        return Ok(None);
    }
    if get("SRV_RECORD_NAME")?.is_some() {
        return Err(ConfigError::NotBuilt {
            variable: "IDENTITY_LDAP_SRV_RECORD_NAME",
            what: "finding the LDAP server by records of the DNS",
        });
    }
    let Some(address) = get("SERVER_ADDR")? else {
        let orphan = SETTINGS.iter().skip(2);
        for setting in orphan {
            if get(setting)?.is_some() {
                return refuse(
                    "SERVER_ADDR",
                    "is not set, and other variables of the LDAP server are: set it to HOST:PORT",
                );
            }
        }
        return Ok(None);
    };
    let Some((host, port)) = host_and_port(&address) else {
        return refuse("SERVER_ADDR", "is not HOST:PORT or HOST, as ldap.example.org:636");
    };
    let needed = |setting: &'static str, problem: &'static str| match get(setting)? {
        Some(text) if !text.trim().is_empty() => Ok(text),
        Some(_) | None => refuse(setting, problem),
    };
    let security = match (is_on("SERVER_STARTTLS")?, is_on("SERVER_INSECURE")?) {
        (true, _) => LdapSecurity::StartTls,
        (false, true) => LdapSecurity::Plain,
        (false, false) => LdapSecurity::Tls,
    };
    let server = LdapServer {
        host,
        port,
        security,
        verified: !is_on("TLS_SKIP_VERIFY")?,
        bind_dn: needed(
            "LOOKUP_BIND_DN",
            "is not set: it is the account that users are searched with",
        )?,
        bind_password: Secret::new(needed(
            "LOOKUP_BIND_PASSWORD",
            "is not set: without it the server would search as nobody",
        )?),
        user_bases: list(&needed(
            "USER_DN_SEARCH_BASE_DN",
            "is not set: users are searched below it",
        )?),
        user_filter: needed("USER_DN_SEARCH_FILTER", "is not set: it finds a user, as (uid=%s)")?,
        groups: match (get("GROUP_SEARCH_BASE_DN")?, get("GROUP_SEARCH_FILTER")?) {
            (Some(bases), Some(filter)) => Some(LdapGroups {
                bases: list(&bases),
                filter,
            }),
            (None, None) => None,
            (Some(_), None) => return refuse("GROUP_SEARCH_FILTER", "is not set, and GROUP_SEARCH_BASE_DN is"),
            (None, Some(_)) => return refuse("GROUP_SEARCH_BASE_DN", "is not set, and GROUP_SEARCH_FILTER is"),
        },
    };
    if get("USER_DN_ATTRIBUTES")?.is_some() {
        warnings.push(format!(
            "MINIO_{FAMILY}USER_DN_ATTRIBUTES has no effect: nothing of a user is read but the distinguished name"
        ));
    }
    warn(&server, warnings);
    Ok(Some(server))
}

fn warn(server: &LdapServer, warnings: &mut Vec<String>) {
    match (server.security, server.verified) {
        (LdapSecurity::Plain, _) => warnings.push(format!(
            "MINIO_{FAMILY}SERVER_INSECURE is on: the passwords of users go to the LDAP server for everybody on the way to \
             read, and who can change what comes from there can sign in as anybody"
        )),
        (LdapSecurity::Tls | LdapSecurity::StartTls, false) => warnings.push(format!(
            "MINIO_{FAMILY}TLS_SKIP_VERIFY is on: who can put another server in the LDAP server's place learns passwords \
             and can sign in as anybody"
        )),
        (LdapSecurity::Tls | LdapSecurity::StartTls, true) => {}
    }
}

/// Names with `;` between; they hold commas.
fn list(text: &str) -> Vec<String> {
    let names = text.split(';').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let text = text.trim();
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (
                host,
                rest.strip_prefix(':')
                    .map_or(rest.is_empty().then_some(DEFAULT_PORT), port)?,
            )
        }
        None => match text.split_once(':') {
            Some((host, rest)) => (host, port(rest)?),
            None => (text, DEFAULT_PORT),
        },
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
    (!host.is_empty() && host.bytes().all(good)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[(&str, &str)] = &[
        ("SERVER_ADDR", "ldap.example.org"),
        ("LOOKUP_BIND_DN", "cn=search,dc=example,dc=org"),
        ("LOOKUP_BIND_PASSWORD", "canary"),
        (
            "USER_DN_SEARCH_BASE_DN",
            "ou=people,dc=example,dc=org; ou=robots,dc=example,dc=org;",
        ),
        ("USER_DN_SEARCH_FILTER", "(uid=%s)"),
    ];

    fn of(vars: &[(&str, &str)]) -> Result<(Option<LdapServer>, Vec<String>), ConfigError> {
        let vars = vars
            .iter()
            .map(|(name, value)| (format!("MINIO_IDENTITY_LDAP_{name}"), *value));
        let mut warnings = Vec::new();
        let nothing = |_: &std::path::Path| Ok("from-file\n".to_owned());
        let found = server(&vars.collect(), &nothing, &mut warnings)?;
        Ok((found, warnings))
    }

    fn with(more: &[(&'static str, &'static str)]) -> Result<(Option<LdapServer>, Vec<String>), ConfigError> {
        // The later of two settings counts.
        let all: Vec<(&str, &str)> = WHOLE.iter().chain(more).copied().collect();
        of(&all)
    }

    #[test]
    fn a_server_is_asked_by_tls_with_its_certificate_checked_unless_the_operator_says_otherwise() {
        let (server, warnings) = with(&[]).unwrap();
        let server = server.unwrap();
        assert_eq!((server.host.as_str(), server.port), ("ldap.example.org", 636));
        assert_eq!(
            (server.security, server.verified, warnings.len()),
            (LdapSecurity::Tls, true, 0)
        );
        assert_eq!(
            server.user_bases,
            ["ou=people,dc=example,dc=org", "ou=robots,dc=example,dc=org"]
        );
        assert_eq!(server.groups, None);
        assert!(!format!("{server:?}").contains("canary"));
        for (more, security, verified, warned) in [
            (
                &[("SERVER_INSECURE", "on")][..],
                LdapSecurity::Plain,
                true,
                "SERVER_INSECURE",
            ),
            (&[("SERVER_STARTTLS", "on")], LdapSecurity::StartTls, true, ""),
            (
                &[("SERVER_STARTTLS", "on"), ("SERVER_INSECURE", "on")],
                LdapSecurity::StartTls,
                true,
                "",
            ),
            (
                &[("TLS_SKIP_VERIFY", "on")],
                LdapSecurity::Tls,
                false,
                "TLS_SKIP_VERIFY",
            ),
            (
                &[("USER_DN_ATTRIBUTES", "mail")],
                LdapSecurity::Tls,
                true,
                "USER_DN_ATTRIBUTES",
            ),
        ] {
            let (server, warnings) = with(more).unwrap();
            let server = server.unwrap();
            assert_eq!((server.security, server.verified), (security, verified), "{more:?}");
            assert!(warnings.concat().contains(warned), "{warnings:?}");
            assert_eq!(warnings.is_empty(), warned.is_empty(), "{warnings:?}");
        }
    }

    #[test]
    fn there_is_none_without_an_address_or_switched_off() {
        assert_eq!(of(&[]).unwrap().0, None);
        assert_eq!(of(&[("COMMENT", "later")]).unwrap().0, None);
        assert_eq!(with(&[("ENABLE", "off")]).unwrap().0, None);
        let file = [("LOOKUP_BIND_PASSWORD_FILE", "/run/secrets/ldap")];
        let all: Vec<(&str, &str)> = WHOLE
            .iter()
            .filter(|(name, _)| *name != "LOOKUP_BIND_PASSWORD")
            .chain(&file)
            .copied()
            .collect();
        assert_eq!(of(&all).unwrap().0.unwrap().bind_password.expose(), "from-file");
    }

    #[test]
    fn what_cannot_hold_stops_the_start_and_names_the_variable() {
        for (more, named) in [
            (&[("SERVER_ADDR", "ldaps://ldap.example.org")][..], "SERVER_ADDR"),
            (&[("SERVER_ADDR", "ldap.example.org:0")], "SERVER_ADDR"),
            (&[("SERVER_ADDR", "::1")], "SERVER_ADDR"),
            (&[("SRV_RECORD_NAME", "ldap")], "SRV_RECORD_NAME"),
            (&[("LOOKUP_BIND_DN", "")], "LOOKUP_BIND_DN"),
            (&[("LOOKUP_BIND_PASSWORD", "")], "LOOKUP_BIND_PASSWORD"),
            (&[("USER_DN_SEARCH_BASE_DN", "")], "USER_DN_SEARCH_BASE_DN"),
            (&[("USER_DN_SEARCH_FILTER", "")], "USER_DN_SEARCH_FILTER"),
            (&[("GROUP_SEARCH_FILTER", "(member=%d)")], "GROUP_SEARCH_BASE_DN"),
            (&[("GROUP_SEARCH_BASE_DN", "dc=x")], "GROUP_SEARCH_FILTER"),
            (&[("SERVER_ADDR", "")], "SERVER_ADDR"),
        ] {
            let said = with(more).unwrap_err().to_string();
            assert!(said.contains(named) && !said.contains("canary"), "{said}");
        }
    }

    #[test]
    fn addresses_are_read_with_and_without_a_port() {
        for (text, host, port) in [
            ("ldap:389", "ldap", 389),
            ("10.0.0.1", "10.0.0.1", 636),
            ("[::1]:1389", "::1", 1_389),
            ("[::1]", "::1", 636),
        ] {
            assert_eq!(host_and_port(text), Some((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn its_variables_are_known_and_no_others() {
        for known in ["IDENTITY_LDAP_SERVER_ADDR", "IDENTITY_LDAP_LOOKUP_BIND_PASSWORD_FILE"] {
            assert!(is_setting(known), "{known}");
        }
        for unknown in [
            "IDENTITY_LDAP_",
            "IDENTITY_LDAP_STS_EXPIRY",
            "IDENTITY_LDAP_SERVER_ADDR_B",
        ] {
            assert!(!is_setting(unknown), "{unknown}");
        }
    }
}
