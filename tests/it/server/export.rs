//! `drystone export` against a whole server: what it takes out, that import brings it back as it was, and that a run which was
//! killed is gone on with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::images::send;
use super::import::Ground;
use super::projects::on_s3;

/// Files below a folder, by their paths in it.
fn below(root: &Path) -> BTreeMap<PathBuf, u64> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let about = entry.metadata().unwrap();
            if about.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() != ".part" {
                found.insert(entry.path(), about.ino());
            }
        }
    }
    found
}

fn rows(ground: &Ground) -> Vec<Value> {
    let text = std::fs::read_to_string(ground.folder.path().join("out/manifest.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn place(ground: &Ground, row: &Value) -> PathBuf {
    ground.folder.path().join("out").join(row["path"].as_str().unwrap())
}

async fn listed(ground: &Ground) -> Vec<Value> {
    let list = ground.get("files?limit=100&sortBy=createdAt&sortDirection=asc").await;
    let list: Value = serde_json::from_slice(&list).unwrap();
    list["items"].as_array().unwrap().clone()
}

/// What must be the same of a file and of the one that was made of it.
fn lasting(file: &Value) -> Value {
    let mut file = file.clone();
    let fields = file.as_object_mut().unwrap();
    for own in [
        "id",
        "key",
        "s3Key",
        "url",
        "publicUrl",
        "createdAt",
        "updatedAt",
        "receivedAt",
        "registeredAt",
        "etag",
    ] {
        fields.remove(own);
    }
    if fields["ownerType"] != "user" {
        fields.remove("ownerId");
    }
    if let Some(expires) = fields["expiresAt"].as_str() {
        // It is told to the second, and counted from when the file is made.
        fields["expiresAt"] = json!(expires.get(..12));
    }
    for share in fields["shares"].as_array_mut().unwrap() {
        let share = share.as_object_mut().unwrap();
        share.remove("shareId");
        share.remove("createdAt");
    }
    let metadata = fields["metadata"].as_object_mut().unwrap();
    if let Some(custom) = metadata.get_mut("custom").and_then(Value::as_object_mut) {
        custom.remove("imported");
        if custom.is_empty() {
            metadata.remove("custom");
        }
    }
    file
}

/// Files with all that can be said of one, and such as are called in every bad way.
async fn filled() -> Ground {
    let ground = Ground::new().await;
    ground.put("seed/a", b"the words of ann");
    ground.put("seed/b", &[7; 300_000]);
    ground.put("seed/c", b"");
    let rows = [
        json!({ "path": "a", "name": "My Photo (1).txt", "owner": "ann", "issuer": "own", "visibility": "shared",
            "bucket": "media", "category": "exports", "tags": ["x", "y z"], "refs": ["post-17", "a/b c"],
            "metadata": { "alt": "words", "relatedEntityId": "post-1", "own": [1], "custom": { "n": 1 } },
            "shares": [{ "type": "user", "id": "sue", "issuer": "own", "access": "write", "name": "Sue",
                "expiresAt": "2090-01-01T00:00:00.000Z" }, { "type": "group", "id": "staff" },
                { "type": "group", "id": "gone", "expiresAt": "2020-01-01T00:00:00Z" }] }),
        json!({ "path": "b", "name": "con.bin", "visibility": "private", "shares": [{ "type": "email", "id": "a@b.test" }],
            "expiresAt": "2030-06-15T12:30:00Z" }),
        json!({ "path": "c", "name": "é.bin", "visibility": "public" }),
    ];
    let list: String = rows.iter().map(|row| format!("{row}\n")).collect();
    ground.put("seed/list.jsonl", list.as_bytes());
    let ran = ground.run("import seed/list.jsonl --from manifest").await;
    Ground::told(&ran, 0, "imported 3");
    let long = "n".repeat(900);
    for key in [
        "A.txt",
        "a.txt",
        "a.txt%20",
        "x%5C..%5C..%5Cetc%5Cpasswd",
        "a%E2%80%8Bb%E2%80%AEtxt.exe",
        ".bashrc",
        "-rf",
        "nul",
        &long,
    ] {
        let put = on_s3(ground.server.addresses()[0], "PUT", &format!("/shop-dev/{key}"), key).await;
        assert!(put.contains(" 200 "), "{key} {put}");
    }
    ground
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_out_comes_in_elsewhere_as_it_was() {
    let mut ground = filled().await;
    Ground::told(&ground.run("export out").await, 0, "exported 12");
    let before = listed(&ground).await;
    let manifest = rows(&ground);
    assert_eq!((before.len(), manifest.len()), (12, 12));
    for (file, row) in before.iter().zip(&manifest) {
        assert_eq!((&file["id"], &file["key"]), (&row["id"], &row["alias"]));
        let place = place(&ground, row).canonicalize().unwrap();
        assert!(
            place.starts_with(ground.folder.path().canonicalize().unwrap().join("out/files")),
            "{row}"
        );
    }
    let mut bytes = BTreeMap::new();
    for file in &before {
        let id = file["id"].as_str().unwrap();
        bytes.insert(id.to_owned(), ground.get(&format!("files/{id}/content")).await);
    }

    ground.enter("copy").await;
    let ran = ground.run("import out/manifest.jsonl --from manifest").await;
    Ground::told(&ran, 0, "imported 12");
    let after = listed(&ground).await;
    assert_eq!(after.len(), 12);
    for file in &after {
        let imported = &file["metadata"]["custom"]["imported"];
        let old = before.iter().find(|old| old["id"] == imported["id"]).unwrap();
        assert_eq!(imported["createdAt"], old["createdAt"]);
        let mut expected = lasting(old);
        // No file of the Files API may be called so.
        if old["originalName"].as_str().unwrap().contains('\\') {
            expected["originalName"] = json!("x_.._.._etc_passwd");
        }
        if old["originalName"] == "a.txt " {
            expected["originalName"] = json!("a.txt");
        }
        if old["originalName"].as_str().unwrap().contains('\u{200b}') {
            expected["originalName"] = json!("a_b_txt.exe");
        }
        assert_eq!(lasting(file), expected);
        let id = file["id"].as_str().unwrap();
        let content = ground.get(&format!("files/{id}/content")).await;
        assert!(content == bytes[old["id"].as_str().unwrap()], "{old}");
    }
    let anns = after.iter().find(|file| file["ownerId"] == "ann").unwrap();
    assert_eq!(
        (&anns["ownerIssuer"], anns["shares"].as_array().unwrap().len()),
        (&json!("own"), 2)
    );
    assert_eq!(anns["refs"], json!(["post-17", "a/b c"]));
    // What it was before the first move is known behind the second.
    let imported = &anns["metadata"]["custom"]["imported"];
    assert_eq!(imported["first"]["id"], json!("a"));

    // Another environment's files are not mixed with these.
    Ground::told(&ground.run("export out").await, 1, "/shop/dev; give another folder");
    assert_eq!(rows(&ground), manifest);
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_not_read_again_unless_it_is_something_else() {
    let ground = filled().await;
    Ground::told(&ground.run("export out").await, 0, "exported 12");
    Ground::told(&ground.run("export out").await, 0, "exported 0 (0 B), there already 12");
    let manifest = rows(&ground);
    let large = manifest.iter().find(|row| row["name"] == "con.bin").unwrap();
    std::fs::write(place(&ground, large), [8; 300_000]).unwrap();
    let small = manifest.iter().find(|row| row["name"] == "é.bin").unwrap();
    std::fs::remove_file(place(&ground, small)).unwrap();
    Ground::told(&ground.run("export out").await, 0, "exported 2");
    assert_eq!(std::fs::read(place(&ground, large)).unwrap(), [7; 300_000]);

    // Under another name the bytes are the same.
    let key = format!("X-API-Key: {}\r\n", ground.key);
    let address = ground.server.addresses()[0];
    let path = format!("/v1/files/{}", large["id"].as_str().unwrap());
    let renamed = format!("{key}Content-Type: application/json\r\n");
    let renamed = send(address, "PATCH", &path, &renamed, br#"{"originalName": "new.bin"}"#).await;
    assert_eq!(renamed.status, 200, "{}", renamed.head);
    let old = place(&ground, large);
    Ground::told(&ground.run("export out").await, 0, "exported 0 (0 B), there already 12");
    let renamed = rows(&ground);
    let large = renamed.iter().find(|row| row["name"] == "new.bin").unwrap();
    assert_eq!(std::fs::read(place(&ground, large)).unwrap(), [7; 300_000]);
    assert!(!old.exists());

    // One that cannot be written is told, and stops no other; what went to the trash is left out.
    let stuck = place(&ground, large);
    std::fs::remove_file(&stuck).unwrap();
    std::fs::create_dir_all(stuck.join("in the way")).unwrap();
    let gone = format!("/v1/files/{}", small["id"].as_str().unwrap());
    assert_eq!(send(address, "DELETE", &gone, &key, b"").await.status, 200);
    let ran = ground.run("export out").await;
    Ground::told(&ran, 1, "exported 0 (0 B), there already 10, failed 1");
    Ground::told(&ran, 1, large["alias"].as_str().unwrap());
    assert_eq!(rows(&ground).len(), 10);
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_given_out_so_often_are_not_used_up() {
    let ground = Ground::new().await;
    let address = ground.server.addresses()[0];
    let key = format!("X-API-Key: {}\r\nContent-Type: text/plain\r\n", ground.key);
    let path = "/v1/files/upload?filename=once.txt&maxDownloads=1";
    let made = send(address, "POST", path, &key, b"words").await;
    assert_eq!(made.status, 201, "{}", made.head);
    let made: Value = serde_json::from_slice(&made.body).unwrap();
    Ground::told(
        &ground.run("export out").await,
        0,
        "left out 1 that are given out so often",
    );
    assert!(rows(&ground).is_empty());
    let file = ground.file(made["id"].as_str().unwrap()).await;
    assert_eq!((&file["downloadsLeft"], &file["status"]), (&json!(1), &json!("active")));
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_killed_is_gone_on_with() {
    let ground = Ground::new().await;
    for number in 0..40 {
        ground.put(&format!("seed/{number}"), &[number; 100_000]);
    }
    Ground::told(&ground.run("import seed").await, 0, "imported 40");
    let files = ground.folder.path().join("out/files");
    let mut killed = ground.command("export out --parallel 2").spawn().unwrap();
    while below(&files).len() < 5 && killed.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let there = below(&files);
    assert!(there.len() >= 5);
    let ran = ground.run("export out --json").await;
    Ground::told(&ran, 0, r#""status":"done""#);
    let done = String::from_utf8(ran.stdout).unwrap();
    let done: Value = serde_json::from_str(done.lines().last().unwrap()).unwrap();
    assert_eq!(done["already"], json!(there.len()), "{done}");
    assert_eq!(done["exported"], json!(40 - there.len()), "{done}");
    let whole = below(&files);
    assert_eq!((whole.len(), rows(&ground).len()), (40, 40));
    for (path, inode) in &there {
        assert_eq!(whole.get(path), Some(inode), "it was not written again");
    }
    ground.server.stop().await.unwrap();
}

type Act = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A bad way to the server: connections break off after so many bytes, so often, and one byte becomes another.
struct Way {
    to: SocketAddr,
    after: u64,
    breaks: AtomicU64,
    /// What of the answers becomes what.
    mangled: Option<(u8, u8)>,
    /// Bytes of answers that passed.
    passed: AtomicU64,
}

impl Way {
    fn to(ground: &Ground) -> Self {
        Self {
            to: ground.server.addresses()[0],
            after: u64::MAX,
            breaks: AtomicU64::new(0),
            mangled: None,
            passed: AtomicU64::new(0),
        }
    }

    /// Opens it; `act` is done before the first connection breaks.
    async fn open(self: &Arc<Self>, act: Act) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (way, act) = (Arc::clone(self), Arc::new(tokio::sync::Mutex::new(Some(act))));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&way).carry(client, Arc::clone(&act)));
            }
        });
        url
    }

    async fn carry(self: Arc<Self>, client: TcpStream, act: Arc<tokio::sync::Mutex<Option<Act>>>) {
        let (mut from_server, mut to_server) = TcpStream::connect(self.to).await.unwrap().into_split();
        let (mut from_client, mut to_client) = client.into_split();
        let asking = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        let (mut passed, mut piece) = (0, vec![0; 64 << 10]);
        while let Ok(read @ 1..) = from_server.read(&mut piece).await {
            let read = &mut piece[..read];
            if let Some((byte, other)) = self.mangled {
                read.iter_mut().filter(|now| **now == byte).for_each(|now| *now = other);
            }
            if to_client.write_all(read).await.is_err() {
                break;
            }
            passed += read.len() as u64;
            self.passed.fetch_add(read.len() as u64, Ordering::Relaxed);
            let left = |left: u64| left.checked_sub(1);
            if passed > self.after
                && self
                    .breaks
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
                    .is_ok()
            {
                if let Some(act) = act.lock().await.take() {
                    act.await;
                }
                break;
            }
        }
        asking.abort();
    }
}

fn nothing() -> Act {
    Box::pin(async {})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_breaks_off_is_gone_on_with_where_it_was() {
    let ground = Ground::new().await;
    let large: Vec<u8> = (0..(40_u32 << 20)).map(|at| (at / 1_000) as u8).collect();
    let fields = format!(
        "X-API-Key: {}\r\nTus-Resumable: 1.0.0\r\nUpload-Length: {}\r\nUpload-Metadata: filename bGFyZ2UuYmlu\r\n\
         Content-Type: application/offset+octet-stream\r\n",
        ground.key,
        large.len()
    );
    let address = ground.server.addresses()[0];
    assert_eq!(send(address, "POST", "/v1/tus", &fields, &large).await.status, 201);
    assert_eq!(
        listed(&ground).await[0]["sha256"],
        Value::Null,
        "large ones have none by tus"
    );
    let way = Arc::new(Way {
        after: 4 << 20,
        breaks: AtomicU64::new(8),
        ..Way::to(&ground)
    });
    let line = format!("export out --endpoint {}", way.open(nothing()).await);
    Ground::told(&ground.run(&line).await, 0, "exported 1 (40.0 MiB)");
    let (breaks, passed) = (
        way.breaks.load(Ordering::Relaxed),
        way.passed.swap(0, Ordering::Relaxed),
    );
    assert_eq!(breaks, 0, "it broke more often than a try that brings nothing is made");
    assert!(passed < 45 << 20, "nothing came twice: {passed}");
    let row = &rows(&ground)[0];
    assert!(std::fs::read(place(&ground, row)).unwrap() == large);
    assert_eq!(row["sha256"].as_str().unwrap().len(), 64);

    // Its record has no SHA-256, and it is known again all the same.
    Ground::told(&ground.run(&line).await, 0, "exported 0 (0 B), there already 1");
    assert!(way.passed.load(Ordering::Relaxed) < 1 << 20);
    assert_eq!(rows(&ground)[0]["sha256"], row["sha256"]);
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_replaced_while_it_is_read_is_the_new_one() {
    let ground = Ground::new().await;
    ground.put("seed/a.bin", &[1; 3_000_000]);
    Ground::told(&ground.run("import seed").await, 0, "imported 1");
    let id = listed(&ground).await[0]["id"].as_str().unwrap().to_owned();
    let address = ground.server.addresses()[0];
    let key = format!(
        "X-API-Key: {}\r\nContent-Type: application/octet-stream\r\n",
        ground.key
    );
    let replace = async move {
        let path = format!("/v1/files/{id}/replace");
        let told = send(address, "POST", &path, &key, &[2; 2_000_000]).await;
        assert_eq!(told.status, 200, "{}", told.head);
    };
    let way = Arc::new(Way {
        after: 1_000_000,
        breaks: AtomicU64::new(1),
        ..Way::to(&ground)
    });
    let url = way.open(Box::pin(replace)).await;
    let ran = ground.run(&format!("export out --endpoint {url}")).await;
    Ground::told(&ran, 0, "exported 1");
    assert_eq!(way.breaks.load(Ordering::Relaxed), 0);
    let row = &rows(&ground)[0];
    assert!(std::fs::read(place(&ground, row)).unwrap() == [2; 2_000_000]);
    assert_eq!(row["size"], json!(2_000_000));
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_came_as_others_get_no_name() {
    let ground = Ground::new().await;
    ground.put("seed/a.bin", &[0xF7; 1_000]);
    ground.put("seed/b.bin", &[1; 1_000]);
    Ground::told(&ground.run("import seed").await, 0, "imported 2");
    let way = Arc::new(Way {
        mangled: Some((0xF7, 0xF6)),
        ..Way::to(&ground)
    });
    let url = way.open(nothing()).await;
    let ran = ground.run(&format!("export out --endpoint {url}")).await;
    Ground::told(&ran, 1, "exported 1 (1000 B), there already 0, failed 1");
    Ground::told(&ran, 1, "do not have the sha256");
    assert_eq!(
        (
            rows(&ground).len(),
            below(&ground.folder.path().join("out/files")).len()
        ),
        (1, 1)
    );
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_without_room_ends_the_run_and_the_same_command_goes_on() {
    let ground = Ground::new().await;
    for number in 0..60 {
        ground.put(&format!("seed/{number}"), &[number; 100_000]);
    }
    Ground::told(&ground.run("import seed").await, 0, "imported 60");
    let out = ground.folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let mount = |options: &str| {
        let done = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&out)
            .status();
        assert!(done.unwrap().success(), "root mounts a file system of its own");
    };
    mount("size=1m");
    let full = ground.run("export out --parallel 2").await;
    mount("remount,size=64m");
    let part = |path: &PathBuf| path.file_name().is_some_and(|name| name == ".part");
    let (there, more) = (below(&out.join("files")), ground.run("export out").await);
    let unmounted = std::process::Command::new("umount").arg("-l").arg(&out).status();
    assert!(unmounted.unwrap().success());
    Ground::told(&full, 1, "No space left");
    Ground::told(&full, 1, "the same command goes on");
    let failed = String::from_utf8_lossy(&full.stderr).matches("No space left").count();
    assert!(failed <= 3, "what cannot be kept is not asked for: {failed}");
    assert!((1..=10).contains(&there.len()) && !there.keys().any(part), "{there:?}");
    let (there, left) = (there.len(), 60 - there.len());
    Ground::told(&more, 0, &format!("exported {left} "));
    Ground::told(&more, 0, &format!("there already {there}"));
    ground.server.stop().await.unwrap();
}
