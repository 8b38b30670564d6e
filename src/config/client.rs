//! Where `drystone admin` finds a server, and as whom it asks: flags, else the server's own variables. Pure.

use super::{ConfigError, DEFAULT_ROOT, ReadFile, Secret, Vars};

/// Where a server listens that was told nothing.
pub(super) const DEFAULT_ENDPOINT: &str = "http://localhost:9000";

/// A server as a client reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHost {
    pub tls: bool,
    pub host: String,
    pub port: u16,
}

impl ServerHost {
    /// Host and port as they stand in a URL.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The URL of the server.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }
}

/// What the command line of `admin` said about the server, unchecked.
#[derive(Clone, Debug, Default)]
pub struct AdminArgs {
    pub endpoint: Option<String>,
    pub access_key: Option<String>,
    pub secret_key: Option<Secret>,
}

/// A server, and who asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminTarget {
    pub host: ServerHost,
    pub access_key: String,
    pub secret_key: Secret,
}

/// Why an administrator's server cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminTargetError {
    #[error("'{0}' is not http(s)://HOST[:PORT]")]
    Endpoint(String),
    /// The URL is not repeated: it holds a secret.
    #[error(
        "credentials do not belong in the endpoint's URL; set MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, or give --access-key and --secret-key"
    )]
    Credentials,
    #[error(
        "an access key without a secret key, or the other way round; give both, or MINIO_ROOT_USER and MINIO_ROOT_PASSWORD"
    )]
    Half,
    #[error(transparent)]
    Setting(#[from] ConfigError),
}

/// The server of `drystone admin`: flags, then `DRYSTONE_ENDPOINT` and the root user's variables, then what a server
/// has that was told nothing.
pub fn admin(args: AdminArgs, vars: &Vars, read: ReadFile<'_>) -> Result<AdminTarget, AdminTargetError> {
    let setting = |name: &str, old: &str| match vars.setting(name, read)? {
        Some(value) => Ok(Some(value)),
        None => vars.setting(old, read),
    };
    let host = endpoint(args.endpoint, vars, read)?;
    let given = match (args.access_key, args.secret_key) {
        (None, None) => (
            setting("ROOT_USER", "ACCESS_KEY")?,
            setting("ROOT_PASSWORD", "SECRET_KEY")?.map(Secret::new),
        ),
        flags => flags,
    };
    let (access_key, secret_key) = match given {
        (Some(access_key), Some(secret_key)) => (access_key, secret_key),
        (None, None) => (DEFAULT_ROOT.0.to_owned(), Secret::new(DEFAULT_ROOT.1)),
        (Some(_), None) | (None, Some(_)) => return Err(AdminTargetError::Half),
    };
    Ok(AdminTarget {
        host,
        access_key,
        secret_key,
    })
}

/// The server that a flag names, or else `DRYSTONE_ENDPOINT`, or else the one of this machine.
pub fn endpoint(given: Option<String>, vars: &Vars, read: ReadFile<'_>) -> Result<ServerHost, AdminTargetError> {
    let endpoint = match given {
        Some(endpoint) => endpoint,
        None => vars
            .setting("ENDPOINT", read)?
            .unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
    };
    if endpoint.contains('@') {
        return Err(AdminTargetError::Credentials);
    }
    parse(&endpoint).ok_or(AdminTargetError::Endpoint(endpoint))
}

/// A server from a URL; what stands before an `@` is credentials, and not looked at.
pub(super) fn parse(url: &str) -> Option<ServerHost> {
    let (tls, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return None,
    };
    // A password may hold any character: the host stands behind the last '@'.
    let host = rest
        .rsplit_once('@')
        .map_or(rest, |(_, host)| host)
        .trim_end_matches('/');
    let authority = host.parse::<http::uri::Authority>().ok()?;
    let port = match authority.port() {
        Some(port) => port.as_str().parse().ok()?,
        None if tls => 443,
        None => 80,
    };
    Some(ServerHost {
        tls,
        host: authority.host().trim_matches(['[', ']']).to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_administrator_is_who_flags_say_else_the_variables_else_the_default() {
        let read: ReadFile<'_> = &|_| Err(std::io::ErrorKind::NotFound.into());
        let found = |args: AdminArgs, vars: &[(&str, &str)]| {
            let vars: Vars = vars.iter().copied().collect();
            let target = admin(args, &vars, read).map_err(|error| error.to_string())?;
            Ok::<_, String>((
                target.host.url(),
                target.access_key,
                target.secret_key.expose().to_owned(),
            ))
        };
        let is = |url: &str, user: &str, password: &str| Ok((url.to_owned(), user.to_owned(), password.to_owned()));
        let variables = [
            ("MINIO_ROOT_USER", "rock"),
            ("MINIO_ROOT_PASSWORD", "granite-wall"),
            ("DRYSTONE_ENDPOINT", "https://store.test"),
        ];
        let flags = AdminArgs {
            endpoint: Some("http://[::1]:9100/".into()),
            access_key: Some("slate".into()),
            secret_key: Some(Secret::new("roof-of-slate")),
        };
        let none = AdminArgs::default;
        assert_eq!(
            found(none(), &[]),
            is("http://localhost:9000", "minioadmin", "minioadmin")
        );
        assert_eq!(
            found(none(), &variables),
            is("https://store.test:443", "rock", "granite-wall")
        );
        assert_eq!(
            found(flags, &variables),
            is("http://[::1]:9100", "slate", "roof-of-slate")
        );
        let half = AdminArgs {
            access_key: Some("slate".into()),
            ..none()
        };
        assert!(found(half, &variables).unwrap_err().contains("give both"));
        assert!(
            found(none(), &[("MINIO_ROOT_USER", "rock")])
                .unwrap_err()
                .contains("give both")
        );
        let bad = AdminArgs {
            endpoint: Some("store.test".into()),
            ..none()
        };
        assert!(found(bad, &[]).unwrap_err().contains("store.test"));
        for url in [
            "http://rock:granite@store.test",
            "rock:granite@store.test",
            "http://granite@",
        ] {
            let refused = found(none(), &[("DRYSTONE_ENDPOINT", url)]).unwrap_err();
            assert!(
                refused.contains("credentials") && !refused.contains("granite"),
                "{refused}"
            );
        }
    }
}
