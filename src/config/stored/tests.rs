//! What holds with what is stored, as tables.

use std::time::Duration;

use storage_engine::store::record::server_settings::SettingValue;

use super::*;
use crate::config::{Grants, ServerArgs};

const URL: &str = "https://id.example.com/.well-known/openid-configuration";

fn config(vars: &[(&str, &str)]) -> Config {
    let args = ServerArgs {
        paths: vec!["/data".into()],
        ..ServerArgs::default()
    };
    let read: ReadFile<'_> = &|_| Ok("from-file\n".to_owned());
    Config::resolve(args, vars.iter().copied().collect(), read).unwrap()
}

/// `group[:target] key` and value.
fn stored(values: &[(&str, &str)]) -> Stored {
    let pairs = values.iter().map(|(name, value)| {
        let (group, key) = name.split_once(' ').unwrap();
        let (subsystem, target) = group.split_once(':').unwrap_or((group, ""));
        let name = SettingName {
            subsystem: subsystem.into(),
            target: target.into(),
            key: key.into(),
        };
        (name, SettingValue::Plain((*value).to_owned()))
    });
    Stored(pairs.collect())
}

#[test]
fn the_environment_wins_then_what_is_stored_then_the_default() {
    let stored = stored(&[
        ("api requests_max", "5"),
        ("api requests_deadline", "3s"),
        ("api cors_allow_origin", "none"),
        ("site region", "eu-north-1"),
    ]);
    let (alone, troubles) = config(&[]).under(&stored);
    assert_eq!(troubles, []);
    assert_eq!(alone.region.as_deref(), Some("eu-north-1"));
    let at_once = AtOnce {
        origins: Origins::Nobody,
        requests_max: Some(5),
        requests_deadline: Duration::from_secs(3),
    };
    assert_eq!(alone.at_once(), at_once);
    assert_eq!(alone.limits.connections_max, Limits::default().connections_max);

    let told = config(&[
        ("DRYSTONE_API_REQUESTS_MAX", "9"),
        ("MINIO_API_CORS_ALLOW_ORIGIN", "*"),
        ("MINIO_REGION_FILE", "/run/region"),
    ]);
    let (under, troubles) = told.under(&stored);
    assert_eq!(troubles, []);
    assert_eq!(under.region.as_deref(), Some("from-file"));
    let at_once = AtOnce {
        origins: Origins::Any,
        requests_max: Some(9),
        ..at_once
    };
    assert_eq!(under.at_once(), at_once);

    let (nothing, troubles) = told.under(&Stored::default());
    assert_eq!(
        (nothing.at_once(), nothing.region),
        (told.at_once(), told.region.clone())
    );
    assert_eq!(troubles, []);
}

#[test]
fn what_is_stored_and_does_not_hold_is_left_out_and_told() {
    let of_nobody = config(&[]);
    for (name, value) in [
        ("api requests_max", "many"),
        ("api requests_deadline", "soon"),
        ("api cors_allow_origin", "a.test"),
        ("site region", "no where"),
        ("identity_openid config_url", "ftp://x/"),
        ("identity_openid config_url", URL),
        ("api from_a_later_version", "1"),
        ("later key", "1"),
    ] {
        let stored = stored(&[(name, value)]);
        let (config, troubles) = of_nobody.under(&stored);
        assert_eq!(troubles.len(), 1, "{name}={value}: {troubles:?}");
        assert_eq!(troubles[0].subsystem, name.split_once(' ').unwrap().0);
        assert_eq!(config.at_once(), of_nobody.at_once(), "{name}");
        assert_eq!((config.region, config.openid), (None, vec![]));
    }
    // Hidden by the environment it is told all the same.
    let (config, troubles) = config(&[("MINIO_API_REQUESTS_MAX", "7")]).under(&stored(&[("api requests_max", "many")]));
    assert_eq!((config.limits.requests_max, troubles.len()), (Some(7), 1));
}

#[test]
fn providers_of_the_store_stand_beside_those_of_the_environment_and_fall_alone() {
    let vars = [
        ("MINIO_IDENTITY_OPENID_CONFIG_URL_KC", URL),
        ("MINIO_IDENTITY_OPENID_CLIENT_ID_KC", "store"),
    ];
    let stored = stored(&[
        ("identity_openid:kc client_id", "another"),
        ("identity_openid:kc role_policy", "readonly"),
        ("identity_openid:broken config_url", URL),
        ("identity_openid:own config_url", URL),
        ("identity_openid:own client_id", "own"),
        ("identity_openid:twin config_url", URL),
        ("identity_openid:twin client_id", "own"),
        ("identity_openid:twin role_policy", "readonly"),
    ]);
    let (under, troubles) = config(&vars).under(&stored);
    let told: Vec<_> = under
        .openid
        .iter()
        .map(|provider| (provider.name.as_str(), provider.client_id.as_str(), &provider.grants))
        .collect();
    let role = Grants::Role(vec!["readonly".into()]);
    assert_eq!(
        told,
        [("KC", "store", &role), ("OWN", "own", &Grants::Claim("policy".into()))]
    );
    let targets: Vec<&str> = troubles.iter().map(|trouble| trouble.target.as_str()).collect();
    assert_eq!(targets, ["broken", "twin"]);
    let named = under.environment.providers_named(&stored);
    assert_eq!(named.into_iter().collect::<Vec<_>>(), ["broken", "kc", "own", "twin"]);
}

#[test]
fn a_provider_of_the_store_falls_with_what_the_environment_asks_of_it_and_is_not_built() {
    let stored = stored(&[
        ("identity_openid:kc config_url", URL),
        ("identity_openid:kc client_id", "store"),
        ("identity_openid:kc role_policy", "readonly"),
        ("identity_openid config_url", URL),
        ("identity_openid client_id", "other"),
    ]);
    let names = |vars: &[(&str, &str)]| {
        let (under, troubles) = config(vars).under(&stored);
        let providers = under.openid.into_iter().map(|provider| provider.name);
        let troubles = troubles.into_iter().map(|trouble| (trouble.target, trouble.reason));
        (providers.collect::<Vec<_>>(), troubles.collect::<Vec<_>>())
    };
    assert_eq!(names(&[]), (vec![String::new(), "KC".to_owned()], vec![]));
    for (variable, value, setting) in [
        ("MINIO_IDENTITY_OPENID_VENDOR_KC", "keycloak", "VENDOR"),
        ("DRYSTONE_IDENTITY_OPENID_VENDOR_KC", "keycloak", "VENDOR"),
        ("MINIO_IDENTITY_OPENID_VENDOR_KC_FILE", "/run/vendor", "VENDOR"),
        ("MINIO_IDENTITY_OPENID_CLAIM_USERINFO_KC", "on", "CLAIM_USERINFO"),
    ] {
        let (providers, troubles) = names(&[(variable, value)]);
        assert_eq!(providers, [""], "{variable}");
        let [(target, reason)] = troubles.as_slice() else {
            panic!("{variable}: {troubles:?}")
        };
        assert_eq!(target, "kc");
        assert!(reason.contains(setting), "{reason}");
    }
    let (providers, troubles) = names(&[("MINIO_IDENTITY_OPENID_CLAIM_USERINFO", "on")]);
    assert_eq!((providers, troubles.len()), (vec!["KC".to_owned()], 1));
    let (providers, troubles) = names(&[("MINIO_IDENTITY_OPENID_CLAIM_USERINFO_KC", "off")]);
    assert_eq!((providers.len(), troubles), (2, vec![]));
}

#[test]
fn every_variable_of_a_provider_is_known_to_what_is_stored_beside_it() {
    for known in KNOWN.iter().filter(|known| known.subsystem == OPENID) {
        let setting = known.variable.strip_prefix(openid::FAMILY).unwrap();
        assert!(openid::SETTINGS.contains(&setting), "{setting}");
    }
}

#[test]
fn what_the_environment_says_is_never_printed() {
    let config = config(&[
        ("MINIO_IDENTITY_OPENID_CONFIG_URL", URL),
        ("MINIO_IDENTITY_OPENID_CLIENT_ID", "store"),
        ("MINIO_IDENTITY_OPENID_CLIENT_SECRET", "canary"),
    ]);
    assert!(!format!("{config:?}").contains("canary"));
    let secret = known("identity_openid", "client_secret").unwrap();
    assert_eq!(config.environment.get(secret, ""), Some("canary"));
}

#[test]
fn every_setting_is_named_once_and_in_a_group_that_is_known() {
    for (number, setting) in KNOWN.iter().enumerate() {
        assert!(SUBSYSTEMS.iter().any(|group| group.name == setting.subsystem));
        let before = KNOWN.get(..number).unwrap_or_default();
        let twin = |other: &&Known| (other.subsystem, other.key) == (setting.subsystem, setting.key);
        assert!(!before.iter().any(|other| twin(&other)), "{}", setting.key);
        assert!(!before.iter().any(|other| other.variable == setting.variable));
    }
}
