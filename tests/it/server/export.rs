//! `drystone export` against a whole server: what it takes out, that import brings it back as it was, and that a run which was
//! killed is gone on with.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

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
    Ground::told(&ground.run("export out").await, 0, "exported 11");
    let before = listed(&ground).await;
    let manifest = rows(&ground);
    assert_eq!((before.len(), manifest.len()), (11, 11));
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
    Ground::told(&ran, 0, "imported 11");
    let after = listed(&ground).await;
    assert_eq!(after.len(), 11);
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

    // Another environment's files are not mixed with these.
    Ground::told(&ground.run("export out").await, 1, "another environment");
    assert_eq!(rows(&ground), manifest);
    ground.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_not_read_again_unless_it_is_something_else() {
    let ground = filled().await;
    Ground::told(&ground.run("export out").await, 0, "exported 11");
    Ground::told(&ground.run("export out").await, 0, "exported 0 (0 B), there already 11");
    let manifest = rows(&ground);
    let large = manifest.iter().find(|row| row["name"] == "con.bin").unwrap();
    std::fs::write(place(&ground, large), [8; 300_000]).unwrap();
    std::fs::remove_file(place(&ground, &manifest[0])).unwrap();
    Ground::told(&ground.run("export out").await, 0, "exported 2");
    assert_eq!(std::fs::read(place(&ground, large)).unwrap(), [7; 300_000]);

    // One that cannot be written is told, and stops no other; what went to the trash is left out.
    let stuck = place(&ground, large);
    std::fs::remove_file(&stuck).unwrap();
    std::fs::create_dir_all(stuck.join("in the way")).unwrap();
    let key = format!("X-API-Key: {}\r\n", ground.key);
    let address = ground.server.addresses()[0];
    let gone = format!("/v1/files/{}", manifest[0]["id"].as_str().unwrap());
    assert_eq!(send(address, "DELETE", &gone, &key, b"").await.status, 200);
    let ran = ground.run("export out").await;
    Ground::told(&ran, 1, "exported 0 (0 B), there already 9, failed 1");
    Ground::told(&ran, 1, large["alias"].as_str().unwrap());
    assert_eq!(rows(&ground).len(), 9);
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
