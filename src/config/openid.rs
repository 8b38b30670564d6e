//! Identity providers: MinIO's `IDENTITY_OPENID_*` variables, those of one provider under each suffix. Pure.

use http::Uri;

use super::{ConfigError, ReadFile, Vars, values};

/// What all of them begin with, behind the prefix.
pub(super) const FAMILY: &str = "IDENTITY_OPENID_";
const CLAIM: &str = "policy";

/// The settings of one provider; `_NAME` behind them belongs to the provider of that name.
pub(super) const SETTINGS: &[&str] = &[
    "ENABLE",
    "CONFIG_URL",
    "CLIENT_ID",
    // Who only checks tokens never signs in itself: taken and not needed, as the four after it.
    "CLIENT_SECRET",
    "SCOPES",
    "COMMENT",
    "DISPLAY_NAME",
    // Of a console's login, which there is none of.
    "REDIRECT_URI",
    "REDIRECT_URI_DYNAMIC",
    "CLAIM_NAME",
    "CLAIM_PREFIX",
    "ROLE_POLICY",
    "CLAIM_USERINFO",
    "VENDOR",
    "KEYCLOAK_REALM",
    "KEYCLOAK_ADMIN_URL",
];

/// An issuer of tokens, and what its word is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIdProvider {
    /// The suffix of its variables; empty for the one without.
    pub name: String,
    /// Of its discovery document; http or https.
    pub config_url: Uri,
    /// Whom its tokens must be meant for.
    pub client_id: String,
    pub grants: Grants,
}

/// Which policies somebody has whom a provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grants {
    /// Those that this claim of the token names.
    Claim(String),
    /// These, for all of them.
    Role(Vec<String>),
}

/// Whether `name` (behind the prefix) is one of a provider's variables.
pub(super) fn is_setting(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(FAMILY) else {
        return false;
    };
    let of = |setting: &str| rest == setting || rest.strip_prefix(setting).is_some_and(|rest| rest.starts_with('_'));
    SETTINGS.iter().any(|setting| of(setting))
}

/// Every provider that is configured and not switched off, by name.
pub(super) fn providers(
    vars: &Vars,
    read: ReadFile<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<OpenIdProvider>, ConfigError> {
    let mut found: Vec<OpenIdProvider> = Vec::new();
    for name in vars.suffixes(&format!("{FAMILY}CONFIG_URL")) {
        let Some(provider) = provider(&name, vars, read)? else {
            continue;
        };
        let at = |setting| variable(&name, setting);
        let local = ["localhost", "127.0.0.1", "[::1]"]
            .map(Some)
            .contains(&provider.config_url.host());
        if provider.config_url.scheme_str() == Some("http") && !local {
            warnings.push(format!(
                "{} is not https: who can change what comes from there can sign in as anybody",
                at("CONFIG_URL")
            ));
        }
        let by_claim = |provider: &OpenIdProvider| matches!(provider.grants, Grants::Claim(_));
        if by_claim(&provider) && found.iter().any(by_claim) {
            return Err(ConfigError::Provider {
                variable: at("ROLE_POLICY"),
                problem: "is needed: only one provider may name policies in its tokens",
            });
        }
        if found.iter().any(|other| other.client_id == provider.client_id) {
            return Err(ConfigError::Provider {
                variable: at("CLIENT_ID"),
                problem: "is that of another provider",
            });
        }
        found.push(provider);
    }
    Ok(found)
}

fn variable(name: &str, setting: &str) -> String {
    match name {
        "" => format!("MINIO_{FAMILY}{setting}"),
        name => format!("MINIO_{FAMILY}{setting}_{name}"),
    }
}

fn provider(name: &str, vars: &Vars, read: ReadFile<'_>) -> Result<Option<OpenIdProvider>, ConfigError> {
    let get = |setting: &str| {
        let variable = variable(name, setting);
        vars.setting(variable.strip_prefix("MINIO_").unwrap_or_default(), read)
    };
    let refuse = |setting, problem| {
        Err(ConfigError::Provider {
            variable: variable(name, setting),
            problem,
        })
    };
    let Some(url) = get("CONFIG_URL")? else { return Ok(None) };
    if get("ENABLE")?.is_some_and(|text| !values::is_on(&text)) {
        return Ok(None);
    }
    // Left out in silence, each of these would let in somebody whom the operator believes to be kept out.
    if get("CLAIM_USERINFO")?.is_some_and(|text| values::is_on(&text)) {
        return Err(ConfigError::NotBuilt {
            variable: "IDENTITY_OPENID_CLAIM_USERINFO",
            what: "asking an identity provider for more claims than a token holds",
        });
    }
    if get("VENDOR")?.is_some() {
        return Err(ConfigError::NotBuilt {
            variable: "IDENTITY_OPENID_VENDOR",
            what: "asking an identity provider by its own protocol whether a user is still enabled",
        });
    }
    let Some(config_url) = config_url(&url) else {
        return refuse(
            "CONFIG_URL",
            "is not the URL of a discovery document, as https://HOST/.well-known/openid-configuration",
        );
    };
    let Some(client_id) = get("CLIENT_ID")? else {
        return refuse(
            "CLIENT_ID",
            "is not set: it tells the tokens meant for this store from all others",
        );
    };
    let roles = get("ROLE_POLICY")?;
    let grants = match roles {
        Some(text) => {
            let names = text.split(',').map(|name| name.trim().to_owned());
            let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
            if names.is_empty() {
                return refuse("ROLE_POLICY", "names no policy");
            }
            Grants::Role(names)
        }
        None => {
            let claim = get("CLAIM_NAME")?.unwrap_or_else(|| CLAIM.to_owned());
            Grants::Claim(format!("{}{claim}", get("CLAIM_PREFIX")?.unwrap_or_default()))
        }
    };
    Ok(Some(OpenIdProvider {
        name: name.to_owned(),
        config_url,
        client_id,
        grants,
    }))
}

/// A URL that can be fetched. User and password have no place in it: it is shown.
fn config_url(text: &str) -> Option<Uri> {
    let uri: Uri = text.trim().parse().ok()?;
    let authority = uri.authority()?;
    let good = matches!(uri.scheme_str(), Some("http" | "https")) && !authority.as_str().contains('@');
    (good && !authority.host().is_empty()).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://id.example.com/.well-known/openid-configuration";

    fn of(vars: &[(&str, &str)]) -> Result<(Vec<OpenIdProvider>, Vec<String>), ConfigError> {
        let vars = vars
            .iter()
            .map(|(name, value)| (format!("MINIO_IDENTITY_OPENID_{name}"), *value));
        let mut warnings = Vec::new();
        let nothing = |_: &std::path::Path| Ok("from-file\n".to_owned());
        let found = providers(&vars.collect(), &nothing, &mut warnings)?;
        Ok((found, warnings))
    }

    #[test]
    fn providers_come_without_and_with_a_name_and_can_be_switched_off() {
        let (found, warnings) = of(&[
            ("CONFIG_URL", URL),
            ("CLIENT_ID_FILE", "/run/secrets/id"),
            ("CLIENT_SECRET", "canary"),
            ("CLAIM_NAME", "groups"),
            ("CLAIM_PREFIX", "x-"),
            ("CONFIG_URL_KC", "http://kc.internal/.well-known/openid-configuration"),
            ("CLIENT_ID_KC", "store"),
            ("ROLE_POLICY_KC", "readonly, diagnostics,"),
            ("CONFIG_URL_OFF", URL),
            ("ENABLE_OFF", "off"),
        ])
        .unwrap();
        let [first, kc] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((first.name.as_str(), first.client_id.as_str()), ("", "from-file"));
        assert_eq!(first.grants, Grants::Claim("x-groups".into()));
        assert_eq!((kc.name.as_str(), kc.client_id.as_str()), ("KC", "store"));
        assert_eq!(kc.grants, Grants::Role(vec!["readonly".into(), "diagnostics".into()]));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("MINIO_IDENTITY_OPENID_CONFIG_URL_KC"));
        assert!(!format!("{found:?}").contains("canary"));
        assert_eq!(of(&[("CLIENT_ID", "alone")]).unwrap().0, []);
    }

    #[test]
    fn what_cannot_hold_stops_the_start_and_names_the_variable() {
        let base = [("CONFIG_URL", URL), ("CLIENT_ID", "a")];
        let with = |more: &[(&'static str, &'static str)]| {
            let all: Vec<(&str, &str)> = base.iter().chain(more).copied().collect();
            of(&all).unwrap_err().to_string()
        };
        for (more, named) in [
            (&[("CLAIM_USERINFO", "on")][..], "CLAIM_USERINFO"),
            (&[("VENDOR", "keycloak")], "VENDOR"),
            (&[("ROLE_POLICY", " , ")], "ROLE_POLICY"),
            (&[("CONFIG_URL_B", "ftp://x/"), ("CLIENT_ID_B", "b")], "CONFIG_URL_B"),
            (
                &[("CONFIG_URL_B", "https://u:p@x/"), ("CLIENT_ID_B", "b")],
                "CONFIG_URL_B",
            ),
            (&[("CONFIG_URL_B", URL)], "CLIENT_ID_B"),
            (&[("CONFIG_URL_B", URL), ("CLIENT_ID_B", "b")], "ROLE_POLICY_B"),
            (
                &[
                    ("CONFIG_URL_B", URL),
                    ("CLIENT_ID_B", "a"),
                    ("ROLE_POLICY_B", "readonly"),
                ],
                "CLIENT_ID_B",
            ),
        ] {
            let said = with(more);
            assert!(said.contains(named) && !said.contains("u:p"), "{said}");
        }
    }

    #[test]
    fn its_variables_are_known_and_no_others() {
        for known in [
            "IDENTITY_OPENID_SCOPES",
            "IDENTITY_OPENID_CLIENT_ID_KC",
            "IDENTITY_OPENID_COMMENT",
        ] {
            assert!(is_setting(known), "{known}");
        }
        for unknown in [
            "IDENTITY_OPENID_",
            "IDENTITY_OPENID_JWKS",
            "IDENTITY_LDAP_ENABLE",
            "IDENTITY_OPENID_SCOPESX",
        ] {
            assert!(!is_setting(unknown), "{unknown}");
        }
    }
}
