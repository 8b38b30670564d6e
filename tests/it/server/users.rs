//! Users of the directory at the server's socket: kept on drives over restarts, let in, shut out, given temporary credentials.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drystone::auth::sign::{Signer, body_hash};
use drystone::auth::{Identity, PayloadMode, SecretKey};
use drystone::identity::{Directory, Federation, NewUser, Root, SealKeys};
use drystone::server::{Conditions, Server};
use http::Request;
use storage_engine::embedded::{Embedded, OpenOptions};
use storage_engine::store::clock::SystemClock;
use storage_engine::store::{Epoch, Store};
use time::OffsetDateTime;

use super::stack::{PASSWORD, USER, exchange};
use super::support::{config_over, status};

const ALICE: (&str, &str) = ("alice", "canary-of-alice-17f0");

pub(super) fn drives(folder: &Path) -> Vec<String> {
    (1..=4).map(|n| format!("{}/d{n}", folder.display())).collect()
}

/// Makes the drives of a store in which alice is a user.
async fn with_alice(folder: &Path) {
    let paths = drives(folder);
    for path in &paths {
        std::fs::create_dir_all(path).unwrap();
    }
    let options = OpenOptions {
        drives: paths.iter().map(Into::into).collect(),
        ..OpenOptions::default()
    };
    let backend = Embedded::open(options).await.unwrap();
    let store = Store::new(backend.clone(), Arc::new(SystemClock), Epoch([7; 16]));
    let (secret, root) = (SecretKey::new(PASSWORD), SecretKey::new(PASSWORD));
    let keys = SealKeys {
        operator: None,
        old_operator: None,
        password: secret,
        old_password: None,
    };
    let root = Root {
        access_key: USER.to_owned(),
        secret: root,
    };
    let directory = Directory::open(store, Arc::new(SystemClock), root, keys, Federation::new()).await;
    let alice = NewUser {
        name: ALICE.0.to_owned(),
        secret: SecretKey::new(ALICE.1),
        enabled: true,
    };
    directory.put_user(&Identity::Root, alice).await.unwrap();
    backend.close().await;
}

pub(super) async fn serve(folder: &Path, password: &str, vars: &[(&str, &str)]) -> Server {
    let root = [("MINIO_ROOT_USER", USER), ("MINIO_ROOT_PASSWORD", password)];
    let vars: Vec<(&str, &str)> = root.into_iter().chain(vars.iter().copied()).collect();
    let conditions = Conditions {
        drain_time: Duration::from_secs(2),
        ..Conditions::default()
    };
    Server::start(config_over(drives(folder), &vars), conditions)
        .await
        .unwrap()
}

pub(super) fn signer((access_key, secret): (&str, &str)) -> Signer {
    Signer::new(access_key, SecretKey::new(secret), "us-east-1")
}

/// A signed request; without a signer, an anonymous one.
pub(super) async fn ask(
    address: SocketAddr,
    signer: Option<&Signer>,
    (method, path): (&str, &str),
    host: &str,
    form: &str,
) -> String {
    let builder = Request::builder().method(method).uri(path).header("host", host);
    let builder = match form {
        "" => builder,
        _ => builder.header("content-type", "application/x-www-form-urlencoded"),
    };
    let (mut parts, ()) = builder.body(()).unwrap().into_parts();
    if let Some(signer) = signer {
        let signer = match form {
            "" => signer.clone(),
            _ => signer.clone().for_service("sts"),
        };
        let mode = PayloadMode::SignedBody(body_hash(form.as_bytes()));
        signer.sign(&mut parts, &mode, OffsetDateTime::now_utc()).unwrap();
    }
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        form.len()
    );
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    exchange(address, &(text + "\r\n" + form)).await
}

/// How a caller is taken: `None` when it is known, or the code it is refused with.
async fn refused(address: SocketAddr, caller: (&str, &str)) -> Option<String> {
    let answer = ask(address, Some(&signer(caller)), ("GET", "/wall/none"), "localhost", "").await;
    let code = element(&answer, "Code");
    // What a known caller may do is for its policies to say.
    (!["AccessDenied", "NoSuchKey", "NoSuchBucket"].contains(&code.as_str())).then_some(code)
}

pub(super) fn element(answer: &str, name: &str) -> String {
    let after = answer.split_once(&format!("<{name}>"));
    let after = after.unwrap_or_else(|| panic!("no {name} in {answer}")).1;
    after.split_once('<').unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_survive_restarts_and_a_change_of_the_root_password() {
    let folder = tempfile::tempdir().unwrap();
    with_alice(folder.path()).await;

    let server = serve(folder.path(), PASSWORD, &[]).await;
    let address = server.addresses()[0];
    assert_eq!(refused(address, ALICE).await, None);
    assert_eq!(
        refused(address, ("alice", "wrong")).await.as_deref(),
        Some("SignatureDoesNotMatch")
    );
    assert_eq!(
        refused(address, ("bob", ALICE.1)).await.as_deref(),
        Some("InvalidAccessKeyId")
    );
    server.stop().await.unwrap();

    let server = serve(folder.path(), "another-wall", &[]).await;
    let address = server.addresses()[0];
    assert_eq!(refused(address, ALICE).await.as_deref(), Some("ServiceUnavailable"));
    assert_eq!(refused(address, (USER, "another-wall")).await, None);
    // Not 503: clients would ask again for minutes, and nothing would change.
    let list = ("GET", "/minio/admin/v3/list-users");
    let told = ask(address, Some(&signer((USER, "another-wall"))), list, "localhost", "").await;
    assert_eq!(status(&told), 409, "{told}");
    assert!(told.contains("MINIO_ROOT_PASSWORD_OLD"), "{told}");
    server.stop().await.unwrap();

    let old = [("MINIO_ROOT_PASSWORD_OLD", PASSWORD)];
    for vars in [&old[..], &[]] {
        let server = serve(folder.path(), "another-wall", vars).await;
        assert_eq!(refused(server.addresses()[0], ALICE).await, None, "{vars:?}");
        server.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_without_its_identity_provider_and_says_so_to_who_brings_a_token() {
    let folder = tempfile::tempdir().unwrap();
    with_alice(folder.path()).await;
    // Nobody listens there any more.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{closed}/.well-known/openid-configuration");
    let vars = [
        ("MINIO_IDENTITY_OPENID_CONFIG_URL", url.as_str()),
        ("MINIO_IDENTITY_OPENID_CLIENT_ID", "store"),
    ];
    let server = serve(folder.path(), PASSWORD, &vars).await;
    let address = server.addresses()[0];
    assert_eq!(refused(address, ALICE).await, None);
    let part = |text: &str| base64_simd::URL_SAFE_NO_PAD.encode_to_string(text);
    let token = format!("{}.{}.{}", part(r#"{"alg":"ES256"}"#), part("{}"), part("x"));
    let form = format!("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&WebIdentityToken={token}");
    let answer = ask(address, None, ("POST", "/"), "localhost", &form).await;
    assert_eq!(
        (status(&answer), element(&answer, "Code").as_str()),
        (503, "IDPCommunicationError"),
        "{answer}"
    );
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_of_users_are_on_no_drive() {
    let folder = tempfile::tempdir().unwrap();
    with_alice(folder.path()).await;
    let (mut files, mut seen) = (vec![folder.path().to_path_buf()], 0);
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!holds(ALICE.1) && !holds(PASSWORD), "{}", path.display());
        seen += usize::from(holds(ALICE.0));
    }
    assert!(seen > 0, "not even the user's name was found, so nothing was looked at");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_service_answers_at_the_root_path_and_on_no_buckets_host() {
    let folder = tempfile::tempdir().unwrap();
    with_alice(folder.path()).await;
    let server = serve(folder.path(), PASSWORD, &[("MINIO_DOMAIN", "store.test")]).await;
    let address = server.addresses()[0];
    let form = "Action=AssumeRole&Version=2011-06-15&DurationSeconds=900";
    let alice = signer(ALICE);
    let answer = ask(address, Some(&alice), ("POST", "/"), "localhost", form).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(
        answer.contains("content-type: text/xml") && answer.contains("cache-control: no-store"),
        "{answer}"
    );
    let (key, secret) = (element(&answer, "AccessKeyId"), element(&answer, "SecretAccessKey"));
    assert!(key.starts_with("ASIA"));
    let temporary = signer((&key, &secret)).with_session_token(element(&answer, "SessionToken"));
    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    let answer = ask(address, Some(&temporary), ("POST", "/"), "store.test", who).await;
    assert_eq!(
        element(&answer, "Arn"),
        "arn:aws:iam::000000000000:user/alice",
        "{answer}"
    );

    let nobody = ask(address, None, ("POST", "/"), "localhost", form).await;
    assert_eq!(
        (status(&nobody), element(&nobody, "Code").as_str()),
        (403, "AccessDenied"),
        "{nobody}"
    );
    for (path, host) in [("/", "wall.store.test"), ("/wall", "localhost")] {
        let elsewhere = ask(address, Some(&alice), ("POST", path), host, form).await;
        assert!(!elsewhere.contains("AssumeRoleResponse"), "{elsewhere}");
    }
    server.stop().await.unwrap();
}
