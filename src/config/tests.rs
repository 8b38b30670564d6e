//! Tables of the rules of configuration.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

fn no_files(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

fn resolve(args: ServerArgs, vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::resolve(args, vars.iter().copied().collect(), &no_files)
}

fn with(vars: &[(&str, &str)]) -> Config {
    resolve(one_drive(), vars).unwrap()
}

fn refused(vars: &[(&str, &str)]) -> String {
    resolve(one_drive(), vars).unwrap_err().to_string()
}

fn one_drive() -> ServerArgs {
    ServerArgs {
        paths: vec!["/data".into()],
        ..ServerArgs::default()
    }
}

fn at(address: &str) -> ServerArgs {
    ServerArgs {
        address: Some(address.into()),
        ..one_drive()
    }
}

fn given(user: &str, password: &str) -> RootSource {
    RootSource::Given {
        user: user.into(),
        password: Secret::new(password),
    }
}

#[test]
fn without_anything_only_this_machine_connects_and_the_warning_is_loud() {
    let config = with(&[]);
    assert_eq!(config.root, RootSource::Default);
    assert_eq!(config.address.to_string(), "127.0.0.1:9000");
    assert!(
        config
            .warnings
            .iter()
            .any(|warning| warning.contains("EVERYBODY KNOWS")),
        "{:?}",
        config.warnings
    );
}

#[test]
fn credentials_and_address_follow_the_table() {
    let both = [("MINIO_ROOT_USER", "rock"), ("MINIO_ROOT_PASSWORD", "granite-wall")];
    let rock = || given("rock", "granite-wall");
    let none: [(&str, &str); 0] = [];
    type Case<'a> = (ServerArgs, &'a [(&'a str, &'a str)], RootSource, &'a str);
    let table: [Case<'_>; 7] = [
        (one_drive(), &both, rock(), ":9000"),
        (at("10.0.0.1:9100"), &both, rock(), "10.0.0.1:9100"),
        (at("127.0.0.1:9100"), &none, RootSource::Default, "127.0.0.1:9100"),
        (at("localhost:9100"), &none, RootSource::Default, "localhost:9100"),
        (at(":9000"), &none, RootSource::Kept, ":9000"),
        (at("0.0.0.0:9000"), &none, RootSource::Kept, "0.0.0.0:9000"),
        (
            one_drive(),
            &[("MINIO_ADDRESS", "[::]:9000")],
            RootSource::Kept,
            "[::]:9000",
        ),
    ];
    for (args, vars, root, address) in table {
        let config = resolve(args, vars).unwrap();
        assert_eq!(
            (config.root, config.address.to_string()),
            (root, address.to_owned()),
            "{vars:?}"
        );
    }
}

#[test]
fn bad_credentials_are_refused_with_the_reason() {
    let table = [
        ("ab", "granite-wall", "at least 3"),
        ("rock", "1234567", "at least 8"),
        ("ro/ck", "granite-wall", "none of"),
        ("ro ck", "granite-wall", "none of"),
        ("ro=ck", "granite-wall", "none of"),
    ];
    for (user, password, reason) in table {
        let text = refused(&[("MINIO_ROOT_USER", user), ("MINIO_ROOT_PASSWORD", password)]);
        assert!(text.contains(reason), "{text}");
        assert!(!text.contains(password), "the password is in: {text}");
    }
    assert!(refused(&[("MINIO_ROOT_USER", "rock")]).contains("MINIO_ROOT_PASSWORD is not"));
    assert!(refused(&[("MINIO_ROOT_PASSWORD", "granite-wall")]).contains("MINIO_ROOT_USER is not"));
}

#[test]
fn our_variables_win_and_the_old_names_still_work() {
    let config = with(&[
        ("MINIO_ROOT_USER", "loser"),
        ("DRYSTONE_ROOT_USER", "winner"),
        ("MINIO_SECRET_KEY", "granite-wall"),
        ("MINIO_REGION", "eu-old"),
    ]);
    assert_eq!(config.root, given("winner", "granite-wall"));
    assert_eq!(config.region.as_deref(), Some("eu-old"));
    let config = with(&[("MINIO_REGION", "eu-old"), ("MINIO_SITE_REGION", "eu-new")]);
    assert_eq!(config.region.as_deref(), Some("eu-new"));
}

#[test]
fn settings_come_from_files_too() {
    let files: HashMap<PathBuf, &str> = HashMap::from([
        (PathBuf::from("/etc/user"), "rock\n"),
        (PathBuf::from("/run/secrets/pw"), "granite-wall\r\n"),
        (
            PathBuf::from("/etc/drystone.env"),
            "# comment\nexport MINIO_SITE_REGION=\"eu-file\"\n\nMINIO_DOMAIN='s3.test'\n",
        ),
        (PathBuf::from("/etc/broken.env"), "MINIO_ROOT_USER=x\nwhatever secret\n"),
    ]);
    let read = |path: &Path| {
        files
            .get(path)
            .map(|text| (*text).to_owned())
            .ok_or(io::ErrorKind::NotFound.into())
    };
    let vars = [
        ("MINIO_ROOT_USER_FILE", "/etc/user"),
        ("MINIO_ROOT_PASSWORD_FILE", "pw"),
        ("MINIO_CONFIG_ENV_FILE", "/etc/drystone.env"),
    ];
    let config = Config::resolve(one_drive(), vars.into_iter().collect(), &read).unwrap();
    assert_eq!(config.root, given("rock", "granite-wall"));
    assert_eq!(config.region.as_deref(), Some("eu-file"));
    assert_eq!(config.domains, ["s3.test"]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);

    let missing = [("MINIO_ROOT_USER_FILE", "/nowhere")];
    let error = Config::resolve(one_drive(), missing.into_iter().collect(), &read).unwrap_err();
    assert!(error.to_string().contains("named by MINIO_ROOT_USER_FILE"), "{error}");
    let broken = [("MINIO_CONFIG_ENV_FILE", "/etc/broken.env")];
    let error = Config::resolve(one_drive(), broken.into_iter().collect(), &read)
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
}

#[test]
fn all_unknown_variables_are_named_in_one_warning() {
    let config = with(&[
        ("MINIO_ROOT_USER", "rock"),
        ("MINIO_ROOT_PASSWORD", "granite-wall"),
        ("MINIO_DOMIAN", "s3.test"),
        ("MINIO_NOTIFY_WEBHOOK_ENABLE_A", "on"),
        ("DRYSTONE_INDEXDIR", "/i"),
        ("MINIO_OPTS", "--console-address :9001"),
        ("MINIO_EMPTY", ""),
        ("PATH", "/bin"),
    ]);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].ends_with("DRYSTONE_INDEXDIR, MINIO_DOMIAN, MINIO_NOTIFY_WEBHOOK_ENABLE_A"));
}

#[test]
fn drives_come_from_arguments_before_the_variable() {
    let drives = |config: &Config| {
        config
            .drives
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
    };
    let args = ServerArgs {
        paths: vec!["/a{1...2}".into(), "./b/".into()],
        ..ServerArgs::default()
    };
    let config = resolve(args, &[("MINIO_VOLUMES", "/ignored")]).unwrap();
    assert_eq!(drives(&config), ["/a1", "/a2", "b"]);
    let config = resolve(ServerArgs::default(), &[("MINIO_VOLUMES", "/v{1...2}  /w")]).unwrap();
    assert_eq!(drives(&config), ["/v1", "/v2", "/w"]);
}

#[test]
fn bad_drives_are_refused() {
    let refuse = |paths: &[&str]| {
        let args = ServerArgs {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            ..ServerArgs::default()
        };
        resolve(args, &[]).unwrap_err().to_string()
    };
    assert!(refuse(&[]).contains("no drives"));
    assert!(refuse(&["/a", "/a/"]).contains("named twice"));
    assert!(refuse(&["/a{1...3}", "/a2"]).contains("named twice"));
    assert!(refuse(&["http://h{1...4}/d"]).contains("one machine"));
    assert!(refuse(&["/a{1..4}"]).contains("three dots"));
}

#[test]
fn the_other_settings_follow_the_table() {
    let config = with(&[
        ("MINIO_DOMAIN", "S3.example.net, other.test."),
        ("MINIO_STORAGE_CLASS_STANDARD", "EC:3"),
        ("MINIO_DEFAULT_BUCKETS", "one,two;one three"),
        ("MINIO_SERVER_URL", "https://s3.example.net:8443"),
        ("MINIO_API_REQUESTS_MAX", "64"),
        ("MINIO_API_REQUESTS_DEADLINE", "250ms"),
        ("MINIO_PROMETHEUS_AUTH_TYPE", "public"),
        ("DRYSTONE_CONNECTIONS_MAX", "12"),
        ("DRYSTONE_LOG", "debug"),
        ("MINIO_CONSOLE_ADDRESS", ":9001"),
        ("DRYSTONE_CERTS_DIR", "/certs"),
        ("DRYSTONE_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::1"),
        ("DRYSTONE_OUTBOUND_NETWORKS", "10.0.0.0/8"),
        ("DRYSTONE_OUTBOUND_HTTP", "on"),
        ("DRYSTONE_FILES_FROM_URL", "on"),
        ("DRYSTONE_SCAN", "clamd:localhost:3310"),
        ("DRYSTONE_SCAN_MAX_BYTES", "1000"),
        ("DRYSTONE_SCAN_TOO_LARGE", "pass"),
        ("DRYSTONE_SCAN_DOWN", "pass"),
    ]);
    let trusted = ["10.0.0.0/8", "2001:db8::1"].map(|text| crate::policy::Network::parse(text).unwrap());
    assert_eq!(config.trusted_proxies, trusted);
    assert_eq!(config.outbound.networks, trusted[..1]);
    assert!(config.outbound.plain_http && config.files_from_url);
    let scan = ScanConfig {
        scanner: ScannerAddress::Clamd("localhost:3310".into()),
        bytes_max: 1_000,
        too_large: TooLarge::Pass,
        down: Down::Pass,
    };
    assert_eq!(config.scan, Some(scan));
    assert_eq!(config.domains, ["s3.example.net", "other.test"]);
    assert_eq!(config.parity, Some(3));
    let buckets: Vec<&str> = config.default_buckets.iter().map(|bucket| bucket.as_str()).collect();
    assert_eq!(buckets, ["one", "two", "three"]);
    assert_eq!(config.server_url.as_deref(), Some("https://s3.example.net:8443"));
    let limits = Limits {
        connections_max: 12,
        requests_max: Some(64),
        requests_deadline: Duration::from_millis(250),
    };
    assert_eq!(config.limits, limits);
    assert!(config.metrics_public);
    assert_eq!(config.output.level, tracing::Level::DEBUG);
    assert_eq!(
        config.console_address.map(|address| address.to_string()),
        Some(":9001".into())
    );
    assert_eq!(
        (config.certs_dirs, config.certs_dir_given),
        (vec![PathBuf::from("/certs")], true)
    );
    let at_home = with(&[("HOME", "/root")]);
    let expected = vec![
        PathBuf::from("/root/.drystone/certs"),
        PathBuf::from("/root/.minio/certs"),
    ];
    assert_eq!((at_home.certs_dirs, at_home.certs_dir_given), (expected, false));
}

#[test]
fn wrong_values_are_refused_and_name_their_variable() {
    let table = [
        ("MINIO_DOMAIN", "a..b"),
        ("MINIO_DOMAIN", "10.0.0.1"),
        ("MINIO_STORAGE_CLASS_STANDARD", "EC:x"),
        ("MINIO_STORAGE_CLASS_STANDARD", "2"),
        ("MINIO_DEFAULT_BUCKETS", "Upper"),
        ("MINIO_DEFAULT_BUCKETS", "bucket:public"),
        ("MINIO_SERVER_URL", "s3.example.net"),
        ("MINIO_SERVER_URL", "https://s3.example.net/path"),
        ("MINIO_API_REQUESTS_MAX", "many"),
        ("MINIO_API_REQUESTS_DEADLINE", "10"),
        ("MINIO_API_REQUESTS_DEADLINE", "99999999999999999999h"),
        ("MINIO_PROMETHEUS_AUTH_TYPE", "open"),
        ("MINIO_KMS_AUTO_ENCRYPTION", "on"),
        ("MINIO_API_ROOT_ACCESS", "off"),
        ("DRYSTONE_LOG", "loud"),
        ("DRYSTONE_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("DRYSTONE_OUTBOUND_NETWORKS", "intranet"),
        ("DRYSTONE_TRUSTED_PROXIES", "proxy.example.net"),
    ];
    for (variable, value) in table {
        let text = refused(&[(variable, value)]);
        assert!(text.contains(variable), "{variable}={value}: {text}");
    }
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let vars = [("MINIO_ROOT_USER", "rock"), ("MINIO_ROOT_PASSWORD", "canary-granite")];
    let config = with(&vars);
    assert!(!format!("{config:?}").contains("canary"));
    let vars: Vars = vars.into_iter().collect();
    assert!(!format!("{vars:?}").contains("canary"));
}

#[test]
fn a_scanner_is_read_with_the_safe_choices_and_nothing_is_guessed() {
    let scan = |vars: &[(&str, &str)]| with(vars).scan;
    assert_eq!(scan(&[("DRYSTONE_SCAN_DOWN", "pass")]), None);
    let safe = |scanner| ScanConfig {
        scanner,
        bytes_max: 100 << 20,
        too_large: TooLarge::Quarantine,
        down: Down::Hold,
    };
    for (text, scanner) in [
        ("clamd:127.0.0.1:3310", ScannerAddress::Clamd("127.0.0.1:3310".into())),
        ("clamd:[::1]:3310", ScannerAddress::Clamd("[::1]:3310".into())),
        (
            "https://scan.test/x?key=1",
            ScannerAddress::Webhook {
                url: "https://scan.test/x?key=1".into(),
                secret: None,
            },
        ),
    ] {
        assert_eq!(scan(&[("DRYSTONE_SCAN", text)]), Some(safe(scanner)), "{text}");
    }
    let canary = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";
    let webhook = ("DRYSTONE_SCAN", "https://scan.test/");
    let signed = scan(&[webhook, ("DRYSTONE_SCAN_SECRET", canary)]).unwrap();
    assert!(!format!("{signed:?}").contains(canary));
    let ScannerAddress::Webhook { secret, .. } = signed.scanner else {
        panic!("a webhook")
    };
    assert_eq!(secret.unwrap().expose(), canary);
    let scanner = ("DRYSTONE_SCAN", "clamd:h:1");
    for wrong in [
        vec![("DRYSTONE_SCAN", "clamd")],
        vec![("DRYSTONE_SCAN", "clamd:h")],
        vec![("DRYSTONE_SCAN", "clamd::1")],
        vec![("DRYSTONE_SCAN", "clamd:h:0")],
        vec![("DRYSTONE_SCAN", "clamd:h:99999")],
        vec![("DRYSTONE_SCAN", "ftp://h/secret")],
        vec![scanner, ("DRYSTONE_SCAN_SECRET", canary)],
        vec![webhook, ("DRYSTONE_SCAN_SECRET", "secret")],
        vec![webhook, ("DRYSTONE_SCAN_SECRET", "whsec_c2VjcmV0")],
        vec![scanner, ("DRYSTONE_SCAN_DOWN", "open")],
        vec![scanner, ("DRYSTONE_SCAN_TOO_LARGE", "delete")],
        vec![scanner, ("DRYSTONE_SCAN_MAX_BYTES", "0")],
        vec![scanner, ("DRYSTONE_SCAN_MAX_BYTES", "1G")],
    ] {
        let error = refused(&wrong);
        assert!(
            error.contains("DRYSTONE_SCAN") && !error.contains("secret") && !error.contains("c2VjcmV0"),
            "{wrong:?} {error}"
        );
    }
}
