//! Where the client finds a server: `MC_HOST_<alias>`, and the alias `local` without any setting. Pure.

use super::Vars;

/// A server as the client reaches it. Credentials in the variable are not kept: nothing built so far needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHost {
    pub tls: bool,
    pub host: String,
    pub port: u16,
}

/// Why an alias leads nowhere. The variable's value is not repeated: it holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("the alias '{alias}' is not known; set MC_HOST_{alias}=http://USER:PASSWORD@HOST:PORT")]
    Unknown { alias: String },
    #[error("MC_HOST_{alias} is not http(s)://[USER:PASSWORD@]HOST[:PORT]")]
    Malformed { alias: String },
}

/// The server behind an alias.
pub fn host(alias: &str, vars: &Vars) -> Result<ServerHost, HostError> {
    let url = match (vars.exact(&format!("MC_HOST_{alias}")), alias) {
        (Some(url), _) => url,
        (None, "local") => "http://localhost:9000",
        (None, _) => {
            return Err(HostError::Unknown {
                alias: alias.to_owned(),
            });
        }
    };
    parse(url).ok_or_else(|| HostError::Malformed {
        alias: alias.to_owned(),
    })
}

fn parse(url: &str) -> Option<ServerHost> {
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
    fn an_alias_is_found_in_the_environment() {
        let vars: Vars = [
            ("MC_HOST_there", "https://rock:p@ss/word@store.test:9443"),
            ("MC_HOST_plain", "http://[::1]:9100/"),
            ("MC_HOST_broken", "store.test"),
        ]
        .into_iter()
        .collect();
        let found = |alias| host(alias, &vars).map(|host| (host.tls, host.host, host.port));
        assert_eq!(found("there"), Ok((true, "store.test".into(), 9443)));
        assert_eq!(found("plain"), Ok((false, "::1".into(), 9100)));
        assert_eq!(found("local"), Ok((false, "localhost".into(), 9000)));
        assert_eq!(found("broken"), Err(HostError::Malformed { alias: "broken".into() }));
        assert_eq!(
            found("nowhere"),
            Err(HostError::Unknown {
                alias: "nowhere".into()
            })
        );
    }
}
