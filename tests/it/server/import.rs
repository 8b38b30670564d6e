//! `drystone import` against a whole server: what it brings, that it brings nothing twice, and what it tells.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use drystone::server::Server;
use serde_json::{Value, json};

use super::images::send;
use super::projects::{ROOT, ask};
use super::stack::start;

const SECRET: &str = "canary-secret-of-the-issuer-0123456789";

/// A server with the project `shop`, and a folder.
pub(super) struct Ground {
    pub(super) server: Server,
    pub(super) key: String,
    pub(super) folder: tempfile::TempDir,
}

impl Ground {
    pub(super) async fn new() -> Self {
        let mut ground = Self {
            server: start(&[]).await,
            key: String::new(),
            folder: tempfile::tempdir().unwrap(),
        };
        ground
            .admin("", json!({ "project": "shop", "environments": ["dev", "copy"] }))
            .await;
        ground
            .admin(
                "/issuers",
                json!({ "project": "shop", "alias": "own", "secret": SECRET }),
            )
            .await;
        ground.enter("dev").await;
        ground
    }

    async fn admin(&self, path: &str, body: Value) -> Value {
        let (code, told) = ask(self.server.addresses()[0], ROOT, "POST", path, &body).await;
        assert_eq!(code, 200, "{told}");
        told
    }

    /// From now on it is this environment.
    pub(super) async fn enter(&mut self, environment: &str) {
        let key = json!({ "project": "shop", "environment": environment, "type": "secret" });
        let made = self.admin("/keys", key).await;
        made["key"].as_str().unwrap().clone_into(&mut self.key);
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    async fn import(&self, line: &str) -> Output {
        self.run(&format!("import {line}")).await
    }

    /// Runs a command in the folder.
    pub(super) async fn run(&self, line: &str) -> Output {
        let mut command = self.command(line);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drystone"));
        command.args(line.split_whitespace());
        command.env("DRYSTONE_API_KEY", &self.key);
        command.env("DRYSTONE_ENDPOINT", format!("http://{}", self.server.addresses()[0]));
        command.current_dir(self.folder.path());
        command
    }

    #[track_caller]
    pub(super) fn told(output: &Output, code: i32, words: &str) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.code() == Some(code) && (out.contains(words) || err.contains(words)),
            "{code} {words}\n{out}\n{err}"
        );
    }

    pub(super) async fn get(&self, path: &str) -> Vec<u8> {
        let key = format!("X-API-Key: {}\r\n", self.key);
        let answer = send(self.server.addresses()[0], "GET", &format!("/v1/{path}"), &key, b"").await;
        assert_eq!(answer.status, 200, "{path} {}", answer.head);
        answer.body
    }

    pub(super) async fn file(&self, id: &str) -> Value {
        serde_json::from_slice(&self.get(&format!("files/{id}")).await).unwrap()
    }

    async fn total(&self) -> u64 {
        let list: Value = serde_json::from_slice(&self.get("files").await).unwrap();
        list["pagination"]["total"].as_u64().unwrap()
    }

    /// What became of files, by their names where they came from.
    fn map(&self, name: &str) -> BTreeMap<String, Value> {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| (row["id"].as_str().unwrap().to_owned(), row)).collect()
    }
}

fn id(row: &Value) -> &str {
    row["fileId"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_brought_once_and_what_comes_later_the_next_time() {
    let ground = Ground::new().await;
    ground.put("old/a.txt", b"some words");
    ground.put("old/sub/b c.bin", &[7; 300_000]);
    ground.put("old/empty", b"");
    Ground::told(&ground.import("old --dry-run").await, 0, "nothing was changed");
    assert!(ground.total().await == 0 && !ground.folder.path().join("old.import").exists());
    let line = "old --visibility public --bucket media";
    Ground::told(&ground.import(line).await, 0, "imported 3");
    let map = ground.map("old.map.jsonl");
    assert_eq!(map.keys().collect::<Vec<_>>(), ["a.txt", "empty", "sub/b c.bin"]);
    assert_eq!(
        ground.get(&format!("files/{}/content", id(&map["a.txt"]))).await,
        b"some words"
    );
    assert_eq!(
        ground.get(&format!("files/{}/content", id(&map["sub/b c.bin"]))).await,
        [7; 300_000]
    );
    let file = ground.file(id(&map["sub/b c.bin"])).await;
    for (name, value) in [
        ("originalName", "b c.bin"),
        ("visibility", "public"),
        ("bucket", "media"),
        ("status", "active"),
    ] {
        assert_eq!(file[name], json!(value), "{name}");
    }
    let imported = &file["metadata"]["custom"]["imported"];
    assert_eq!(
        (&imported["from"], &imported["id"]),
        (&json!("folder"), &json!("sub/b c.bin"))
    );
    assert!(file["registeredAt"].is_string() && imported["createdAt"].is_string());
    let url = map["a.txt"]["publicUrl"].as_str().unwrap();
    let (_, path) = url.split_once("/v1/").unwrap();
    assert_eq!(ground.get(path).await, b"some words");

    Ground::told(&ground.import(line).await, 0, "imported 0 (0 B), there already 3");
    ground.put("old/new.txt", b"more words");
    Ground::told(&ground.import(line).await, 0, "imported 1 (10 B), there already 3");
    assert_eq!((ground.total().await, ground.map("old.map.jsonl").len()), (4, 4));
    let again = ground.import(&format!("{line} --map all.csv")).await;
    Ground::told(&again, 0, "there already 4");
    let table = std::fs::read_to_string(ground.folder.path().join("all.csv")).unwrap();
    assert!(
        table.starts_with("id,alias,fileId,key,url,publicUrl") && table.lines().count() == 5,
        "{table}"
    );
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_file_is_told_and_stops_no_other() {
    let ground = Ground::new().await;
    let words = "LnO4Kth8vTtVHMRfP5m0oZnVSFdQgxa5bPKFS9S9Wbs=";
    let rows: Vec<Value> = ["one", "two", "three"]
        .map(|name| json!({ "_id": name, "contentType": "text/plain", "size": 1, "internalId": format!("url-{name}") }))
        .into();
    let mut wrong = rows.clone();
    wrong[1]["sha256"] = json!(words);
    let text: String = wrong.iter().map(|row| format!("{row}\n")).collect();
    ground.put("snapshot/_storage/documents.jsonl", text.as_bytes());
    ground.put("snapshot/_storage/one.txt", b"1");
    ground.put("snapshot/_storage/two.txt", b"2");
    let ran = ground.import("snapshot --from convex").await;
    Ground::told(&ran, 1, "imported 1 (1 B), there already 0, failed 2");
    Ground::told(&ran, 1, "two: its bytes do not have the sha256");
    Ground::told(&ran, 1, "three: its bytes are not in");
    assert_eq!(ground.map("snapshot.map.jsonl")["one"]["alias"], json!("url-one"));
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    ground.put("snapshot/_storage/documents.jsonl", text.as_bytes());
    ground.put("snapshot/_storage/three", b"3");
    let ran = ground.import("snapshot --from convex --json").await;
    Ground::told(&ran, 0, r#""imported":2"#);
    assert_eq!(ground.total().await, 3);
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_belong_to_whom_the_list_says() {
    let ground = Ground::new().await;
    ground.put("store/pics/a/b.png", b"not really");
    ground.put("store/docs/c.txt", b"words");
    ground.put(
        "objects.csv",
        b"id,bucket_id,name,owner_id,metadata\n1,pics,a/b.png,ann,\"{\"\"mimetype\"\": \"\"image/png\"\"}\"\n2,docs,c.txt,,\n",
    );
    let line = "objects.csv --from supabase --files store --public-bucket pics";
    Ground::told(&ground.import(line).await, 1, "say with --issuer");
    Ground::told(&ground.import(&format!("{line} --issuer none")).await, 1, "issuer");
    Ground::told(
        &ground.import(&format!("{line} --issuer own")).await,
        0,
        "imported 1 (10 B), there already 1",
    );
    let map = ground.map("objects.csv.map.jsonl");
    let (one, two) = (ground.file(id(&map["1"])).await, ground.file(id(&map["2"])).await);
    assert_eq!((&one["ownerId"], &one["ownerType"]), (&json!("ann"), &json!("user")));
    assert_eq!(
        (&one["visibility"], &one["originalName"]),
        (&json!("public"), &json!("b.png"))
    );
    assert_eq!(
        (&two["ownerType"], &two["visibility"]),
        (&json!("service"), &json!("private"))
    );
    assert_eq!(map["1"]["alias"], json!("pics/a/b.png"));
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_broke_off_is_gone_on_with() {
    let ground = Ground::new().await;
    for name in ["a", "b"] {
        ground.put(&format!("old/{name}"), name.as_bytes());
    }
    Ground::told(&ground.import("old").await, 0, "imported 2");
    let state = ground.folder.path().join("old.import");
    // As if it had ended after the bytes of one were sent, and before it was known of the other.
    let lines = std::fs::read_to_string(&state).unwrap();
    let kept: Vec<&str> = lines.lines().filter(|line| !line.contains("\"done\"")).collect();
    let b = id(&ground.map("old.map.jsonl")["b"]).to_owned();
    let kept: String = kept
        .into_iter()
        .filter(|line| !line.contains(&b))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&state, kept).unwrap();
    let a = id(&ground.map("old.map.jsonl")["a"]).to_owned();
    Ground::told(&ground.import("old").await, 0, "imported 2");
    assert_eq!(id(&ground.map("old.map.jsonl")["a"]), a, "its bytes were there");
    assert_eq!(ground.total().await, 3, "the other was not known of");

    // What was announced and never sent goes, and is sent anew.
    let key = format!("X-API-Key: {}\r\nContent-Type: application/json\r\n", ground.key);
    let said = json!({ "filename": "c", "contentType": "text/plain" }).to_string();
    let address = ground.server.addresses()[0];
    let told = send(address, "POST", "/v1/files/presigned-url", &key, said.as_bytes()).await;
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    let begun = json!({ "begun": { "id": "c", "fileId": told["fileId"] } });
    let lines = std::fs::read_to_string(&state).unwrap();
    std::fs::write(&state, format!("{lines}{begun}\n{{\"done\":{{\"id\"")).unwrap();
    ground.put("old/c", b"c");
    Ground::told(&ground.import("old").await, 0, "imported 1 (1 B), there already 2");
    assert_eq!(ground.total().await, 4);
    let gone = send(
        address,
        "GET",
        &format!("/v1/files/{}", told["fileId"].as_str().unwrap()),
        &key,
        b"",
    )
    .await;
    assert_eq!(gone.status, 404);
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_goes_in_parts_and_one_of_another_server_is_fetched() {
    let ground = Ground::new().await;
    let large: Vec<u8> = (0..(65_u32 << 20)).map(|at| (at / 1_000) as u8).collect();
    ground.put("large.bin", &large);
    let url = format!("http://{}/wall/hello.txt", ground.server.addresses()[0]);
    let put = super::projects::on_s3(ground.server.addresses()[0], "PUT", "/wall/hello.txt", "hello").await;
    assert!(put.contains(" 200 "), "{put}");
    let open = json!({ "visibility": "public" });
    let path = "/v1/admin/visibility/object?bucket=wall&key=hello.txt";
    let request = super::admin::ask_bytes(ROOT, "PUT", path, open.to_string().as_bytes());
    super::admin::exchange_bytes(ground.server.addresses()[0], &request).await;
    let rows = [
        json!({ "path": "large.bin", "id": "l" }),
        json!({ "url": url, "id": "h", "tags": ["x"], "size": 5 }),
    ];
    let missing = json!({ "url": format!("{url}.none"), "id": "m" });
    let text: String = rows.iter().chain([&missing]).map(|row| format!("{row}\n")).collect();
    ground.put("list.jsonl", text.as_bytes());
    let ran = ground.import("list.jsonl --from manifest").await;
    Ground::told(&ran, 1, "failed 1");
    Ground::told(&ran, 1, "m: not fetched");
    let map = ground.map("list.jsonl.map.jsonl");
    assert!(ground.get(&format!("files/{}/content", id(&map["l"]))).await == large);
    let hello = ground.file(id(&map["h"])).await;
    assert_eq!(
        (&hello["originalName"], &hello["tags"]),
        (&json!("hello.txt"), &json!(["x"]))
    );
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_work_is_told_before_anything_is_brought() {
    let mut ground = Ground::new().await;
    ground.put("old/a", b"a");
    for (line, code, words) in [
        ("none", 2, "none"),
        ("old --from convex", 2, "documents.jsonl"),
        ("old --owner ann", 2, "--issuer"),
        ("old --endpoint store.test", 2, "store.test"),
        ("old --endpoint http://127.0.0.1:1", 1, "127.0.0.1:1"),
        ("old --api-key pk_0", 2, "secret key"),
    ] {
        Ground::told(&ground.import(line).await, code, words);
    }
    assert!(!Path::new(&ground.folder.path().join("old.import")).exists());
    ground.key = format!("sk_{}", "0".repeat(64));
    Ground::told(&ground.import("old").await, 1, "UNAUTHORIZED");
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_down_spoils_nothing_that_was() {
    let ground = Ground::new().await;
    for number in 0..30 {
        ground.put(&format!("old/{number:02}"), b"words");
    }
    let mut command = Command::new("sh");
    // As on a full file system, a line is written in part; the signal that tells of it is no matter.
    command.args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$0\" import old"]);
    let whole = ground.command("");
    command.arg(whole.get_program()).current_dir(ground.folder.path());
    command.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    Ground::told(&ran, 1, "what was done cannot be written down");
    let state = std::fs::read_to_string(ground.folder.path().join("old.import")).unwrap();
    assert!(state.ends_with('\n') && state.lines().count() > 2, "{state}");
    Ground::told(&ground.import("old").await, 0, "failed 0");
    assert_eq!(ground.map("old.map.jsonl").len(), 30);
    assert_eq!(ground.total().await, 30, "none came twice");
    ground.server.stop().await.unwrap();
}
