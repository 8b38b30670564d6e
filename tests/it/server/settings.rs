//! Settings that an operator stores: shown, in force, kept over restarts, taken back, and never louder than the environment.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use drystone::admin::sealed::deriving::Sealer;
use drystone::auth::SecretKey;
use drystone::server::Server;
use serde_json::Value;
use storage_engine::backend::{Backend, Batch, NewBody, Op, Put};
use storage_engine::memory::MemoryBackend;
use storage_engine::store::clock::SystemClock;
use storage_engine::store::key::ServerSettingsRow;
use storage_engine::store::record::server_settings::{SettingValue, StoredSetting};
use storage_engine::store::server_settings::ServerSettings;
use storage_engine::store::{Epoch, Store};
use zeroize::Zeroizing;

use super::admin::{ask_bytes, document, exchange_bytes};
use super::stack::{PASSWORD, USER, exchange, over, presigned, start};
use super::support::{config, status};
use super::users::{ask, drives, element, serve};

const APPLIED: &str = "x-minio-config-applied: true";
const CANARY: &str = "canary-of-a-client-5be1";
const URL: &str = "http://127.0.0.1:9/.well-known/openid-configuration";

/// An operator of one server.
struct Operator {
    address: SocketAddr,
    password: &'static str,
}

impl Operator {
    fn of(server: &Server) -> Self {
        Self {
            address: server.addresses()[0],
            password: PASSWORD,
        }
    }

    async fn send(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let request = ask_bytes((USER, self.password), method, &format!("/minio/admin/v3/{path}"), body);
        exchange_bytes(self.address, &request).await
    }

    /// What a sealed answer says.
    async fn read(&self, path: &str) -> String {
        let answer = self.send("GET", path, b"").await;
        let at = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let secret = SecretKey::new(self.password);
        let opened = Sealer::default().open(USER, secret, answer[at..].to_vec().into()).await;
        let text = opened.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&answer)));
        String::from_utf8(text.to_vec()).unwrap()
    }

    /// The answer to a sealed body.
    async fn say_under(&self, secret: &str, method: &str, path: &str, text: &str) -> String {
        let text = Zeroizing::new(text.as_bytes().to_vec());
        let body = Sealer::default()
            .seal("key", SecretKey::new(secret), text)
            .await
            .unwrap();
        String::from_utf8(self.send(method, path, &body).await).unwrap()
    }

    async fn say(&self, method: &str, path: &str, text: &str) -> String {
        self.say_under(self.password, method, path, text).await
    }

    /// Sets, and tells whether that holds at once.
    async fn set(&self, text: &str) -> bool {
        let answer = self.say("PUT", "set-config-kv", text).await;
        assert_eq!(status(&answer), 200, "{text}: {answer}");
        answer.contains(APPLIED)
    }

    /// The entries of the history.
    async fn history(&self) -> Vec<Value> {
        let text = self.read("list-config-history-kv?count=100").await;
        serde_json::from_str(&text).unwrap()
    }

    /// The origin that a page of `origin` is told may read.
    async fn let_in(&self, origin: &str) -> Option<String> {
        let page = format!("GET /wall/none HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: {origin}\r\n\r\n");
        let answer = exchange(self.address, &page).await;
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("access-control-allow-origin: "));
        line.map(str::to_owned)
    }

    /// The status of a link that was signed for the region us-east-1.
    async fn link(&self) -> u16 {
        let target = presigned(PASSWORD, "GET", "here", "/none/none");
        let answer = exchange(
            self.address,
            &format!("GET {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"),
        )
        .await;
        status(&answer)
    }

    /// What is answered to a token that no identity provider made.
    async fn token(&self) -> String {
        let part = |text: &str| base64_simd::URL_SAFE_NO_PAD.encode_to_string(text);
        let token = format!("{}.{}.{}", part(r#"{"alg":"ES256"}"#), part("{}"), part("x"));
        let form = format!("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&WebIdentityToken={token}");
        element(
            &ask(self.address, None, ("POST", "/"), "localhost", &form).await,
            "Code",
        )
    }
}

fn ground() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for path in drives(folder.path()) {
        std::fs::create_dir_all(path).unwrap();
    }
    folder
}

#[tokio::test]
async fn the_environment_is_shown_above_what_is_stored_and_wins() {
    let server = start(&[
        ("MINIO_SITE_REGION", "us-east-1"),
        ("MINIO_API_CORS_ALLOW_ORIGIN", "none"),
    ])
    .await;
    let operator = Operator::of(&server);
    assert_eq!(
        operator.read("get-config-kv?key=site").await,
        "# MINIO_SITE_REGION=us-east-1\nsite region= \n"
    );
    assert!(operator.set("api cors_allow_origin=https://app.test").await);
    assert_eq!(
        operator.read("get-config-kv?key=api").await,
        "# MINIO_API_CORS_ALLOW_ORIGIN=none\n\
         api requests_max=0 requests_deadline=10s cors_allow_origin=https://app.test \n"
    );
    assert_eq!(operator.let_in("https://app.test").await, None);
    server.stop().await.unwrap();
}

const SET: (&str, &str) = ("PUT", "set-config-kv");
const RESET: (&str, &str) = ("DELETE", "del-config-kv");

/// What is sent, and how it is refused.
type Refused = ((&'static str, &'static str), &'static str, u16, &'static str);

const REFUSED: &[Refused] = &[
    (SET, "api requests_max=many", 400, "XMinioConfigError"),
    (
        SET,
        "api requests_max=5 cors_allow_origin=a.test",
        400,
        "XMinioConfigError",
    ),
    (SET, "api other=1", 400, "XMinioConfigError"),
    (SET, "none a=b", 404, "XMinioConfigNotFoundError"),
    (SET, "api:a requests_max=5", 400, "XMinioAdminNoSuchConfigTarget"),
    (
        SET,
        "api requests_max=5 requests_max=6",
        400,
        "XMinioAdminConfigDuplicateKeys",
    ),
    (
        SET,
        "storage_class standard=EC:1",
        400,
        "XMinioAdminConfigEnvOverridden",
    ),
    (
        SET,
        "identity_openid config_url=x client_id=y",
        400,
        "XMinioConfigError",
    ),
    (RESET, "storage_class", 400, "XMinioAdminConfigEnvOverridden"),
    (RESET, "identity_openid:kc", 400, "XMinioAdminNoSuchConfigTarget"),
    (RESET, "api other", 400, "XMinioConfigError"),
    (("PUT", "config"), "api requests_max=many", 400, "XMinioConfigError"),
    (("PUT", "config"), "", 400, "XMinioConfigError"),
    (
        ("PUT", "restore-config-history-kv?restoreId=1"),
        "",
        404,
        "XMinioConfigNotFoundError",
    ),
    (
        ("PUT", "restore-config-history-kv?restoreId=x"),
        "",
        404,
        "XMinioConfigNotFoundError",
    ),
    (
        ("DELETE", "clear-config-history-kv?restoreId=1"),
        "",
        404,
        "XMinioConfigNotFoundError",
    ),
];

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_nothing_changes() {
    let server = start(&[("MINIO_STORAGE_CLASS_STANDARD", "EC:0")]).await;
    let operator = Operator::of(&server);
    for &((method, path), text, code, refused) in REFUSED {
        let answer = operator.say(method, path, text).await;
        assert_eq!(status(&answer), code, "{path} {text}: {answer}");
        assert!(answer.contains(&format!("\"{refused}\"")), "{path} {text}: {answer}");
    }
    let answer = operator
        .say_under("another secret", "PUT", "set-config-kv", "api requests_max=5")
        .await;
    assert!(
        status(&answer) == 400 && answer.contains("XMinioAdminConfigBadJSON"),
        "{answer}"
    );
    let large = format!("identity_openid comment={}", "x".repeat(61 * 1024));
    let answer = operator.say("PUT", "set-config-kv", &large).await;
    assert!(
        status(&answer) == 400 && answer.contains("XMinioAdminConfigTooLarge"),
        "{answer}"
    );
    assert!(operator.history().await.is_empty());

    // What would change nothing is done, and is no change.
    for (method, path, text) in [
        ("PUT", "set-config-kv", "api requests_max=0"),
        ("PUT", "set-config-kv", "storage_class standard=EC:0"),
        ("DELETE", "del-config-kv", "api"),
        ("DELETE", "clear-config-history-kv?restoreId=all", ""),
    ] {
        let answer = operator.say(method, path, text).await;
        assert_eq!(status(&answer), 200, "{path} {text}: {answer}");
    }
    let export = operator.read("config").await;
    assert!(operator.say("PUT", "config", &export).await.contains(APPLIED));
    assert!(operator.history().await.is_empty());
    let help = operator.send("GET", "help-config-kv?subSys=&key=", b"").await;
    let help = document(&String::from_utf8(help).unwrap());
    assert_eq!(help["keysHelp"].as_array().unwrap().len(), 4);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_holds_at_once_or_from_the_next_start_on_until_it_is_reset() {
    let folder = ground();
    let app = Some("https://app.test".to_owned());
    let server = serve(folder.path(), PASSWORD, &[]).await;
    let operator = Operator::of(&server);
    assert_eq!(operator.let_in("https://other.test").await.as_deref(), Some("*"));
    assert!(operator.set("api cors_allow_origin=https://app.test").await, "at once");
    assert_eq!(operator.let_in("https://other.test").await, None);
    assert_eq!(operator.let_in("https://app.test").await, app);

    assert!(!operator.set("site region=eu-north-1").await, "from the next start on");
    let provider = format!("identity_openid:kc config_url={URL} client_id=store role_policy=readonly");
    assert!(!operator.set(&provider).await);
    assert_eq!(operator.link().await, 404, "the region is as it was");
    let before = operator.token().await;
    assert_ne!(before, "IDPCommunicationError");
    server.stop().await.unwrap();

    let server = serve(folder.path(), PASSWORD, &[]).await;
    let operator = Operator::of(&server);
    assert_eq!(operator.let_in("https://other.test").await, None);
    assert_eq!(operator.let_in("https://app.test").await, app);
    assert_eq!(operator.link().await, 400, "the link is for another region");
    let shown = operator.read("get-config-kv?key=identity_openid:kc").await;
    assert!(
        shown.contains(" client_id=store ") && shown.contains(" role_policy=readonly "),
        "{shown}"
    );
    for text in ["site", "api", "identity_openid:kc"] {
        let answer = operator.say("DELETE", "del-config-kv", text).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(answer.contains(APPLIED), text == "api", "{answer}");
    }
    assert_eq!(operator.let_in("https://other.test").await.as_deref(), Some("*"));
    server.stop().await.unwrap();

    let server = serve(folder.path(), PASSWORD, &[]).await;
    let operator = Operator::of(&server);
    assert_eq!(operator.link().await, 404);
    assert_eq!(operator.token().await, before);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_that_is_stored_is_asked_after_the_next_start() {
    let folder = ground();
    let server = serve(folder.path(), PASSWORD, &[]).await;
    let operator = Operator::of(&server);
    assert!(
        !operator
            .set(&format!("identity_openid config_url={URL} client_id=store"))
            .await
    );
    server.stop().await.unwrap();
    let server = serve(folder.path(), PASSWORD, &[]).await;
    // Nobody listens at that port of this machine.
    assert_eq!(Operator::of(&server).token().await, "IDPCommunicationError");
    server.stop().await.unwrap();
}

fn stored(subsystem: &str, key: &str, value: &str) -> StoredSetting {
    StoredSetting {
        subsystem: subsystem.into(),
        target: String::new(),
        key: key.into(),
        value: SettingValue::Plain(value.into()),
    }
}

#[tokio::test]
async fn nothing_that_is_stored_keeps_a_server_from_starting() {
    let root = [("MINIO_ROOT_USER", USER), ("MINIO_ROOT_PASSWORD", PASSWORD)];
    let memory = MemoryBackend::default();
    let store = Store::new(Arc::new(memory.clone()), Arc::new(SystemClock), Epoch([3; 16]));
    let values = vec![
        stored("api", "cors_allow_origin", "none"),
        stored("api", "requests_max", "many"),
        stored("identity_openid", "config_url", URL),
        stored("of_a_later_version", "key", "value"),
    ];
    store
        .change_server_settings(&ServerSettings::default(), values)
        .await
        .unwrap();
    let server = Server::start(config(&root), over(memory.clone())).await.unwrap();
    let operator = Operator::of(&server);
    assert_eq!(
        operator.let_in("https://app.test").await,
        None,
        "what holds is in force"
    );
    let shown = operator.read("config").await;
    assert!(
        shown.contains("# api: what is stored has no effect: ") && shown.contains("'many'"),
        "{shown}"
    );
    assert!(
        shown.contains("# identity_openid: what is stored has no effect: "),
        "{shown}"
    );
    // It can be mended one by one.
    assert!(operator.set("api requests_max=9").await);
    assert!(operator.set("api requests_max=10").await);
    server.stop().await.unwrap();

    let put = Put {
        key: ServerSettingsRow::Current.key(),
        value: bytes::Bytes::from_static(b"\x09of a later version"),
        body: NewBody::None,
        parent_len: None,
    };
    let batch = Batch {
        require: Vec::new(),
        ops: vec![Op::Put(put)],
    };
    memory.commit(batch).await.unwrap();
    let server = Server::start(config(&root), over(memory)).await.unwrap();
    let operator = Operator::of(&server);
    assert_eq!(operator.let_in("https://app.test").await.as_deref(), Some("*"));
    let export = operator.read("config").await;
    assert!(
        export.starts_with("# Nothing that is stored has an effect: "),
        "{export}"
    );
    let refused = operator.say("PUT", "set-config-kv", "api requests_max=5").await;
    assert!(
        status(&refused) == 400 && refused.contains("XMinioConfigError"),
        "{refused}"
    );
    let imported = operator.say("PUT", "config", "api requests_max=5").await;
    assert_eq!(status(&imported), 200, "{imported}");
    let imported = operator.read("get-config-kv?key=api").await;
    assert!(imported.starts_with("api requests_max=5 "), "{imported}");
    server.stop().await.unwrap();
}

/// Whether a file below `path` holds the text.
fn holds(path: &Path, text: &str) -> bool {
    if path.is_dir() {
        let mut entries = std::fs::read_dir(path).unwrap();
        return entries.any(|entry| holds(&entry.unwrap().path(), text));
    }
    let bytes = std::fs::read(path).unwrap();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_sealed_never_shown_and_survives_an_import_and_another_root_password() {
    let folder = ground();
    let server = serve(folder.path(), PASSWORD, &[]).await;
    let operator = Operator::of(&server);
    let provider = format!("identity_openid:kc config_url={URL} client_id=marker-store client_secret={CANARY}");
    assert!(!operator.set(&provider).await);
    let export = operator.read("config").await;
    assert!(export.contains(" client_secret=*redacted* "), "{export}");
    assert!(
        operator.say("PUT", "config", &export).await.contains(APPLIED),
        "nothing changed"
    );
    for text in [
        operator.read("get-config-kv?key=identity_openid").await,
        export,
        format!("{:?}", operator.history().await),
    ] {
        assert!(!text.contains(CANARY), "{text}");
    }
    let gone = operator.say("DELETE", "del-config-kv", "identity_openid:kc").await;
    assert_eq!(status(&gone), 200, "{gone}");
    let history = operator.history().await;
    let last = history.last().unwrap();
    assert!(
        last["data"].as_str().unwrap().contains("client_secret=*redacted*"),
        "{last}"
    );
    let id = last["restoreId"].as_str().unwrap().to_owned();
    server.stop().await.unwrap();
    assert!(holds(folder.path(), "marker-store") && !holds(folder.path(), CANARY));

    let old = [("MINIO_ROOT_PASSWORD_OLD", PASSWORD)];
    let server = serve(folder.path(), "another-wall", &old).await;
    let operator = Operator {
        password: "another-wall",
        ..Operator::of(&server)
    };
    let restored = operator
        .say("PUT", &format!("restore-config-history-kv?restoreId={id}"), "")
        .await;
    assert!(status(&restored) == 200 && !restored.contains(APPLIED), "{restored}");
    let shown = operator.read("get-config-kv?key=identity_openid:kc").await;
    assert!(shown.contains(" client_secret=*redacted* "), "{shown}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_export_comes_in_again_and_the_history_leads_back() {
    let server = start(&[]).await;
    let operator = Operator::of(&server);
    operator.set("api requests_max=70 requests_deadline=3s").await;
    let export = operator.read("config").await;
    operator.set("api requests_max=80 cors_allow_origin=none").await;
    let imported = operator.say("PUT", "config", &export).await;
    assert!(status(&imported) == 200 && imported.contains(APPLIED), "{imported}");
    assert_eq!(operator.read("config").await, export);

    let history = operator.history().await;
    let data: Vec<&str> = history.iter().map(|entry| entry["data"].as_str().unwrap()).collect();
    assert_eq!(
        data,
        [
            "# nothing was stored",
            "api requests_deadline=3s requests_max=70",
            "api cors_allow_origin=none requests_deadline=3s requests_max=80",
        ]
    );
    let two = operator.read("list-config-history-kv?count=2").await;
    assert_eq!(
        serde_json::from_str::<Value>(&two).unwrap().as_array().unwrap(),
        &history[1..]
    );
    let id = history[2]["restoreId"].as_str().unwrap();
    let restored = operator
        .say("PUT", &format!("restore-config-history-kv?restoreId={id}"), "")
        .await;
    assert!(status(&restored) == 200 && restored.contains(APPLIED), "{restored}");
    assert_eq!(operator.let_in("https://app.test").await, None);
    assert!(
        operator
            .read("get-config-kv?key=api")
            .await
            .contains(" requests_max=80 ")
    );

    let one = operator
        .say("DELETE", &format!("clear-config-history-kv?restoreId={id}"), "")
        .await;
    assert_eq!((status(&one), operator.history().await.len()), (200, 3));
    let all = operator
        .say("DELETE", "clear-config-history-kv?restoreId=all", "")
        .await;
    assert_eq!((status(&all), operator.history().await.len()), (200, 0));
    server.stop().await.unwrap();
}
