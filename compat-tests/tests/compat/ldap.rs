//! People of a real LDAP server: they sign in with their passwords, and `mc idp ldap` says what they may do.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use compat_tests::clients::{Client, in_ci};
use compat_tests::server::{ACCESS_KEY, SECRET_KEY, Server};
use compat_tests::slapd::{self, Certificate, SEARCH_DN, SEARCH_PASSWORD, Slapd};
use serde_json::Value;

use crate::stage::{Stage, Test, good, plain_http, refused};
use crate::tls::certificates;

const ANN: &str = "uid=ann,ou=people,dc=example,dc=org";
const STAFF: &str = "cn=staff,ou=groups,dc=example,dc=org";
/// A bucket of everybody's own, and what the conditions are that only an LDAP server can fill.
const HOMES: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::home-${ldap:username}","arn:aws:s3:::home-${ldap:username}/*"],
     "Condition":{"ForAnyValue:StringEquals":{"ldap:groups":"cn=staff,ou=groups,dc=example,dc=org"},
                  "StringLike":{"ldap:user":"uid=*,ou=people,dc=example,dc=org"}}}]}"#;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::with(Client::Mc, "mc_says_what_people_of_an_ldap_server_may_do", rights),
        Test::with(Client::Mc, "who_an_ldap_server_does_not_accept_gets_nothing", refusals),
    ]
}

/// Whether the test is left out for want of a server; in CI it is not.
fn left_out() -> Result<bool> {
    match slapd::missing() {
        None => Ok(false),
        Some(why) if in_ci() => bail!("{why}"),
        Some(why) => {
            println!("skipped: {why}");
            Ok(true)
        }
    }
}

/// An LDAP server with a certificate.
fn with_tls(stage: &Stage) -> Result<(Slapd, Certificate)> {
    let (folder, authority) = certificates(stage)?;
    let certificate = Certificate {
        chain: folder.join("public.crt"),
        key: folder.join("private.key"),
        authority,
    };
    Ok((
        Slapd::start(&stage.files.join("slapd"), Some(&certificate))?,
        certificate,
    ))
}

/// The settings of a store whose people are in the LDAP server on this port.
fn settings(port: u16, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let address = format!("localhost:{port}");
    let all = [
        ("SERVER_ADDR", address.as_str()),
        ("LOOKUP_BIND_DN", SEARCH_DN),
        ("LOOKUP_BIND_PASSWORD", SEARCH_PASSWORD),
        ("USER_DN_SEARCH_BASE_DN", "ou=people,dc=example,dc=org"),
        ("USER_DN_SEARCH_FILTER", "(uid=%s)"),
        ("GROUP_SEARCH_BASE_DN", "ou=groups,dc=example,dc=org"),
        ("GROUP_SEARCH_FILTER", "(&(objectClass=groupOfNames)(member=%d))"),
    ];
    let all = all.iter().chain(more);
    all.map(|(name, value)| (format!("MINIO_IDENTITY_LDAP_{name}"), (*value).to_owned()))
        .collect()
}

fn start(stage: &mut Stage, certificate: &Certificate, settings: Vec<(String, String)>) -> Result<Server> {
    stage.setup.environment = settings;
    let trusted = certificate.authority.display().to_string();
    stage.setup.environment.push(("SSL_CERT_FILE".to_owned(), trusted));
    stage.start()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What the token service answers to a name and password.
fn sign_in(stage: &Stage, name: &str, password: &str, rest: &str) -> Result<(u16, String)> {
    let url = format!(
        "{}/?Action=AssumeRoleWithLDAPIdentity&Version=2011-06-15&LDAPUsername={}&LDAPPassword={}{rest}",
        stage.setup.endpoint(),
        encoded(name),
        encoded(password)
    );
    let (status, body) = plain_http("POST", &url, b"")?;
    Ok((status, String::from_utf8(body)?))
}

fn element<'x>(xml: &'x str, name: &str) -> Result<&'x str> {
    let after = xml.split_once(&format!("<{name}>")).map(|(_, after)| after);
    let found = after.and_then(|after| after.split_once('<')).map(|(text, _)| text);
    found.with_context(|| format!("no {name} in {xml}"))
}

fn mc(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = stage.command(&stage.program);
    command
        .arg("--config-dir")
        .arg(stage.files.join("mc"))
        .arg("--json")
        .args(arguments);
    command
}

/// `mc` as somebody who signed in: the alias `me`.
fn mc_of(stage: &Stage, xml: &str, arguments: &[&str]) -> Result<Command> {
    let authority = stage.setup.endpoint();
    let authority = authority.strip_prefix("http://").context("plain HTTP")?;
    let host = format!(
        "http://{}:{}:{}@{authority}",
        element(xml, "AccessKeyId")?,
        element(xml, "SecretAccessKey")?,
        element(xml, "SessionToken")?
    );
    let mut command = mc(stage, arguments);
    command.env("MC_HOST_me", host);
    Ok(command)
}

/// The alias `s` of the store's root user.
fn alias(stage: &Stage) -> Result<()> {
    let endpoint = stage.setup.endpoint();
    let set = ["alias", "set", "s", &endpoint, ACCESS_KEY, SECRET_KEY];
    good(&mut mc(stage, &set)).map(drop)
}

fn signed_in(stage: &Stage, name: &str) -> Result<String> {
    let (status, xml) = sign_in(stage, name, &format!("{name}-secret"), "&DurationSeconds=900")?;
    ensure!(status == 200, "{status} {xml}");
    Ok(xml)
}

/// `mc idp ldap policy …` with the store's alias behind its first word.
fn policy(stage: &Stage, verb: &str, policy: &str, whom: &[&str]) -> Command {
    mc(stage, &[&["idp", "ldap", "policy", verb, "s", policy], whom].concat())
}

fn rights(stage: &mut Stage) -> Result<()> {
    if left_out()? {
        return Ok(());
    }
    let (slapd, certificate) = with_tls(stage)?;
    let server = start(stage, &certificate, settings(slapd.tls_port, &[]))?;
    alias(stage)?;
    let note = stage.file("note", b"for readers")?.display().to_string();
    good(&mut mc(stage, &["mb", "s/kept"]))?;
    good(&mut mc(stage, &["cp", &note, "s/kept/note"]))?;
    let ann = given(stage)?;
    let bob = groups(stage, &ann)?;
    one_name(stage)?;
    in_many_groups(stage)?;
    entities(stage)?;
    configuration(stage)?;
    who_one_is(stage, &ann)?;

    // What is taken away ends at once, too; the other one still holds.
    good(&mut policy(stage, "detach", "homes", &["--group", STAFF]))?;
    refused("Access Denied", &mut mc_of(stage, &ann, &["mb", "me/home-ann"])?)?;
    good(&mut mc_of(stage, &ann, &["cat", "me/kept/note"])?)?;
    ensure!(
        good(&mut mc_of(stage, &bob, &["ls", "me/home-bob"])?).is_err(),
        "bob has nothing any more"
    );

    // The server is gone: nobody new gets in, and nobody is thrown out.
    drop(slapd);
    let (status, xml) = sign_in(stage, "ann", "ann-secret", "")?;
    ensure!(
        (status, element(&xml, "Code")?) == (503, "IDPCommunicationError"),
        "{status} {xml}"
    );
    good(&mut mc_of(stage, &ann, &["cat", "me/kept/note"])?)?;
    refused(
        "cannot be asked",
        &mut policy(stage, "attach", "homes", &["--group", STAFF]),
    )?;
    good(&mut policy(stage, "detach", "readonly", &["--user", ANN]))?;
    ensure!(
        good(&mut mc_of(stage, &ann, &["cat", "me/kept/note"])?).is_err(),
        "ann has nothing any more"
    );
    server.stop()
}

/// Nothing is attached at first, and then something; the credential that it gives.
fn given(stage: &Stage) -> Result<String> {
    let (status, xml) = sign_in(stage, "ann", "ann-secret", "")?;
    ensure!(
        (status, element(&xml, "Code")?) == (400, "InvalidParameterValue"),
        "{xml}"
    );
    ensure!(xml.contains("no policy is attached"), "{xml}");
    // A name in another form is the same name; so is the one to sign in with.
    let otherwise = "UID=Ann , OU=people,dc=example, dc=org";
    let said = good(&mut policy(stage, "attach", "readonly", &["--user", otherwise]))?;
    ensure!(said.text().contains("readonly"), "{}", said.text());
    refused(
        "already in effect",
        &mut policy(stage, "attach", "readonly", &["--user", "ann"]),
    )?;
    let nobody = "cn=none,ou=groups,dc=example,dc=org";
    for whom in [["--user", "nobody"], ["--group", nobody]] {
        refused("does not exist", &mut policy(stage, "attach", "readonly", &whom))?;
    }
    let ann = signed_in(stage, "ann")?;
    good(&mut mc_of(stage, &ann, &["cat", "me/kept/note"])?)?;
    refused("Access Denied", &mut mc_of(stage, &ann, &["mb", "me/home-ann"])?)?;
    Ok(ann)
}

/// What a group is given works for who signed in before, and for who does after: their credential.
fn groups(stage: &Stage, ann: &str) -> Result<String> {
    let homes = stage.file("homes.json", HOMES.as_bytes())?.display().to_string();
    good(&mut mc(stage, &["admin", "policy", "create", "s", "homes", &homes]))?;
    good(&mut policy(stage, "attach", "homes", &["--group", STAFF]))?;
    good(&mut mc_of(stage, ann, &["mb", "me/home-ann"])?)?;
    refused("Access Denied", &mut mc_of(stage, ann, &["mb", "me/home-bob"])?)?;
    refused("in use", &mut mc(stage, &["admin", "policy", "rm", "s", "homes"]))?;
    let bob = signed_in(stage, "bob")?;
    good(&mut mc_of(stage, &bob, &["mb", "me/home-bob"])?)?;
    Ok(bob)
}

/// Who writes their name otherwise is who they are, and no less is denied to them.
fn one_name(stage: &Stage) -> Result<()> {
    let (status, xml) = sign_in(stage, " ANN ", "ann-secret", "")?;
    ensure!(status == 200, "{status} {xml}");
    good(&mut mc_of(stage, &xml, &["ls", "me/home-ann"])?).map(drop)
}

/// A credential with as many groups as it can carry works in requests; what would be larger is not given out.
fn in_many_groups(stage: &Stage) -> Result<()> {
    good(&mut policy(stage, "attach", "readonly", &["--user", "many"]))?;
    let many = signed_in(stage, "many")?;
    ensure!(element(&many, "SessionToken")?.len() > 8 * 1024, "{many}");
    good(&mut mc_of(stage, &many, &["cat", "me/kept/note"])?)?;
    let actions = [r#""s3:*""#; 270];
    let narrow = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Resource":"*","Action":[{}]}}]}}"#,
        actions.join(",")
    );
    let (status, xml) = sign_in(stage, "many", "many-secret", &format!("&Policy={}", encoded(&narrow)))?;
    ensure!(
        (status, element(&xml, "Code")?) == (400, "PackedPolicyTooLarge"),
        "{status} {xml}"
    );
    ensure!(xml.contains("the names of the user"), "{xml}");
    good(&mut policy(
        stage,
        "detach",
        "readonly",
        &["--user", "UID=Many,ou=People,dc=example,dc=org"],
    ))
    .map(drop)
}

fn entities(stage: &Stage) -> Result<()> {
    let said = good(&mut mc(stage, &["idp", "ldap", "policy", "entities", "s"]))?.text();
    let told: Value = serde_json::from_str(&said).with_context(|| format!("not JSON: {said}"))?;
    for (path, wanted) in [
        ("/result/userMappings/0/user", ANN),
        ("/result/userMappings/0/policies/0", "readonly"),
        ("/result/groupMappings/0/group", STAFF),
        ("/result/groupMappings/0/policies/0", "homes"),
        ("/result/policyMappings/0/policy", "homes"),
    ] {
        ensure!(
            told.pointer(path) == Some(&wanted.into()),
            "{path} is not {wanted} in {told}"
        );
    }
    let of = [
        "idp",
        "ldap",
        "policy",
        "entities",
        "s",
        "--user",
        "uid=ANN,dc=example,dc=org",
    ];
    let said = good(&mut mc(stage, &of))?.text();
    ensure!(!said.contains(ANN), "{said}");
    // Shown as the server spells it.
    let otherwise = "uid=ANN,ou=People,dc=Example,dc=org";
    let of = ["idp", "ldap", "policy", "entities", "s", "--user", otherwise];
    let said = good(&mut mc(stage, &of))?.text();
    ensure!(said.contains(ANN), "{said}");
    Ok(())
}

/// The settings are shown as MinIO's client shows them, without the password.
fn configuration(stage: &Stage) -> Result<()> {
    let said = good(&mut mc(stage, &["idp", "ldap", "ls", "s"]))?.text();
    ensure!(said.contains(r#""enabled":true"#), "{said}");
    let said = good(&mut mc(stage, &["idp", "ldap", "info", "s"]))?.text();
    ensure!(
        said.contains(SEARCH_DN) && said.contains("user_dn_search_filter"),
        "{said}"
    );
    ensure!(!said.contains(SEARCH_PASSWORD), "{said}");
    refused("not implemented", &mut mc(stage, &["idp", "ldap", "disable", "s"]))
}

/// The store tells who signed in, and its own users are not among them.
fn who_one_is(stage: &Stage, xml: &str) -> Result<()> {
    ensure!(element(xml, "Arn")?.ends_with(ANN), "{xml}");
    let said = good(&mut mc(stage, &["admin", "user", "ls", "s"]))?.text();
    ensure!(!said.contains("ann"), "{said}");
    refused("", &mut mc_of(stage, xml, &["admin", "user", "ls", "me"])?)
}

fn refusals(stage: &mut Stage) -> Result<()> {
    if left_out()? {
        return Ok(());
    }
    let (slapd, certificate) = with_tls(stage)?;
    let server = start(stage, &certificate, settings(slapd.tls_port, &[]))?;
    alias(stage)?;
    good(&mut policy(stage, "attach", "readwrite", &["--group", STAFF]))?;
    signed_in(stage, "ann")?;
    let wrong = "The LDAP user name or password is wrong.";
    for (name, password, code, words) in [
        ("ann", "wrong", "InvalidParameterValue", wrong),
        ("ann", "", "MissingParameter", "LDAPPassword"),
        ("", "ann-secret", "MissingParameter", "LDAPUsername"),
        ("nobody", "ann-secret", "InvalidParameterValue", wrong),
        ("twin", "twin-secret", "InvalidParameterValue", wrong),
        ("*", "ann-secret", "InvalidParameterValue", wrong),
        ("an*", "ann-secret", "InvalidParameterValue", wrong),
        (")(uid=*", "ann-secret", "InvalidParameterValue", wrong),
        ("ann)(|(uid=*", "ann-secret", "InvalidParameterValue", wrong),
        ("\\61nn", "ann-secret", "InvalidParameterValue", wrong),
        // Known, and in no group that has anything.
        ("eve", "eve-secret", "InvalidParameterValue", "no policy is attached"),
    ] {
        let (status, xml) = sign_in(stage, name, password, "")?;
        ensure!(
            (status, element(&xml, "Code")?) == (400, code),
            "{name:?} {password:?}: {status} {xml}"
        );
        ensure!(xml.contains(words), "{name:?} {password:?}: {xml}");
    }
    for (rest, status) in [
        ("&DurationSeconds=899", 400),
        ("&TokenRevokeType=a", 501),
        ("&Policy=%7B", 400),
    ] {
        let (told, xml) = sign_in(stage, "ann", "ann-secret", rest)?;
        ensure!(told == status, "{rest}: {xml}");
    }
    server.stop()?;
    ways(stage, &slapd, &certificate)?;
    let log = fs::read_to_string(stage.setup.log())?;
    ensure!(
        !log.contains("ann-secret") && !log.contains(SEARCH_PASSWORD),
        "a password is in the log"
    );
    Ok(())
}

/// TLS in its two forms works, and nobody gets in where it should be there and is not.
fn ways(stage: &mut Stage, slapd: &Slapd, certificate: &Certificate) -> Result<()> {
    let server = start(stage, certificate, settings(slapd.port, &[("SERVER_STARTTLS", "on")]))?;
    signed_in(stage, "ann")?;
    server.stop()?;
    let bare = Slapd::start(&stage.files.join("bare"), None)?;
    for (port, more, status) in [
        (slapd.port, &[("SERVER_INSECURE", "on")][..], 503),
        (bare.port, &[("SERVER_STARTTLS", "on")], 503),
        (bare.port, &[], 503),
        (bare.port, &[("SERVER_INSECURE", "on")], 200),
    ] {
        let server = start(stage, certificate, settings(port, more))?;
        let (told, xml) = sign_in(stage, "ann", "ann-secret", "")?;
        ensure!(told == status, "{more:?}: {told} {xml}");
        server.stop()?;
    }
    // Groups that are looked for where nothing is are no reason to lift what is denied to them.
    let mistyped = [("GROUP_SEARCH_BASE_DN", "ou=grups,dc=example,dc=org")];
    let server = start(stage, certificate, settings(slapd.tls_port, &mistyped))?;
    let (told, xml) = sign_in(stage, "ann", "ann-secret", "")?;
    ensure!(
        (told, element(&xml, "Code")?) == (503, "IDPCommunicationError"),
        "{told} {xml}"
    );
    server.stop()?;
    let log = fs::read_to_string(stage.setup.log())?;
    ensure!(
        log.contains("ou=grups") && log.contains("GROUP_SEARCH_BASE_DN"),
        "{log}"
    );
    // Whoever cannot prove to be the server gets no password, unless the operator wants it so.
    for (more, status) in [(&[][..], 503), (&[("TLS_SKIP_VERIFY", "on")], 200)] {
        stage.setup.environment = settings(slapd.tls_port, more);
        let server = stage.start()?;
        let (told, xml) = sign_in(stage, "ann", "ann-secret", "")?;
        ensure!(told == status, "{more:?}: {told} {xml}");
        server.stop()?;
    }
    Ok(())
}
