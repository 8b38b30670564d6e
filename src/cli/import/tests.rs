//! What is read out of lists, and what the command line adds.

use std::path::Path;

use clap::Parser;
use serde_json::{Value, json};

use super::item::{Item, Owner, Place};
use super::source::{Found, items};
use super::{ImportArgs, Source};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ImportArgs,
}

fn args(source: &Path, line: &str) -> ImportArgs {
    let words = ["import", &source.display().to_string()].map(str::to_owned);
    let words = words.into_iter().chain(line.split_whitespace().map(str::to_owned));
    Line::try_parse_from(words).unwrap().args
}

fn read(source: &Path, line: &str) -> Vec<Found> {
    items(&args(source, line)).unwrap()
}

fn only(found: Vec<Found>) -> Item {
    let [item] = <[Found; 1]>::try_from(found).unwrap();
    item.unwrap()
}

#[track_caller]
fn refused(found: Vec<Found>, told: &str) {
    let [item] = <[Found; 1]>::try_from(found).unwrap();
    let (_, why) = item.unwrap_err();
    assert!(why.contains(told), "{why}");
}

fn ground(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn a_folder_is_read_in_order_with_all_that_is_below_and_nothing_that_is_linked() {
    let folder = ground(&[("b.txt", "b"), ("a/z.png", "z"), ("a/b/c", "c"), ("c.txt", "c")]);
    std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
    let found = read(
        folder.path(),
        "--visibility public --bucket media --owner ann --issuer own",
    );
    let found: Vec<Item> = found.into_iter().map(Result::unwrap).collect();
    let ids: Vec<&str> = found.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["b.txt", "c.txt", "a/z.png", "a/b/c"]);
    let picture = &found[2];
    assert_eq!(
        (picture.name.as_str(), picture.media_type().as_str()),
        ("z.png", "image/png")
    );
    assert_eq!(found[3].media_type(), "application/octet-stream");
    assert_eq!(picture.visibility.as_deref(), Some("public"));
    assert_eq!(picture.bucket.as_deref(), Some("media"));
    let ann = Owner {
        subject: "ann".into(),
        issuer: "own".into(),
    };
    assert!(picture.owner == Some(ann) && picture.created.is_some());
}

#[test]
fn a_snapshot_of_convex_names_types_hashes_and_the_ids_of_urls() {
    let row = json!({ "_id": "kg2abc", "_creationTime": 1_700_000_000_123.5, "contentType": "image/png", "size": 1.0,
        "sha256": "LnO4Kth8vTtVHMRfP5m0oZnVSFdQgxa5bPKFS9S9Wbs=", "internalId": "0b3d" });
    let rows = row.to_string() + "\n";
    let folder = ground(&[("_storage/documents.jsonl", &rows), ("_storage/kg2abc.png", "x")]);
    for source in [folder.path().to_path_buf(), folder.path().join("_storage")] {
        let item = only(read(&source, "--from convex"));
        assert_eq!((item.id.as_str(), item.alias.as_deref()), ("kg2abc", Some("0b3d")));
        assert_eq!(
            (item.name.as_str(), item.media_type().as_str()),
            ("kg2abc.png", "image/png")
        );
        assert_eq!((item.size, item.sha256.map(|hash| hash[0])), (Some(1), Some(0x2E)));
        assert!(item.created.unwrap().starts_with("2023-11-14T22:13:20.123"));
    }
    std::fs::remove_file(folder.path().join("_storage/kg2abc.png")).unwrap();
    refused(read(folder.path(), "--from convex"), "its bytes are not in");
    assert!(items(&args(&folder.path().join("none"), "--from convex")).is_err());
}

#[test]
fn rows_of_supabase_name_bucket_path_and_owner() {
    let rows = "id,bucket_id,name,owner_id,created_at,metadata,user_metadata,version\n\
        1,pics,a/b.png,u-1,2024-01-02 03:04:05+00,\"{\"\"size\"\": 1, \"\"mimetype\"\": \"\"image/png\"\"}\",\"{\"\"x\"\": 1}\",v1\n";
    let folder = ground(&[("objects.csv", rows), ("pics/a/b.png", "x")]);
    let source = folder.path().join("objects.csv");
    refused(read(&source, "--from supabase"), "--issuer");
    let item = only(read(&source, "--from supabase --issuer own --public-bucket pics"));
    assert_eq!(
        (item.alias.as_deref(), item.name.as_str()),
        (Some("pics/a/b.png"), "b.png")
    );
    assert_eq!((item.mime.as_deref(), item.size), (Some("image/png"), Some(1)));
    assert_eq!(item.owner.as_ref().map(|owner| owner.subject.as_str()), Some("u-1"));
    assert_eq!(item.visibility.as_deref(), Some("public"));
    assert_eq!(item.metadata.get("custom"), Some(&json!({ "x": 1 })));
    let item = only(read(&source, "--from supabase --no-owners --visibility protected"));
    assert_eq!((item.owner, item.visibility.as_deref()), (None, Some("protected")));
    let item = only(read(&source, "--from supabase --no-owners"));
    assert_eq!(item.visibility.as_deref(), Some("private"));
    // As the store of a self-hosted one has it.
    let folder = ground(&[("objects.csv", rows), ("store/pics/a/b.png/v1", "x")]);
    let line = format!(
        "--from supabase --no-owners --files {}",
        folder.path().join("store").display()
    );
    let item = only(read(&folder.path().join("objects.csv"), &line));
    assert!(matches!(&item.place, Place::File(path) if path.ends_with("b.png/v1")));
    assert_eq!(item.name, "b.png");
}

#[test]
fn file_objects_of_bkend_keep_their_words() {
    let row = json!({ "id": "f-1", "s3Key": "k/a.txt", "originalName": "a.txt", "mimeType": "text/plain", "size": 1,
        "visibility": "shared", "ownerId": "ann", "ownerType": "user", "createdAt": "2024-01-02T03:04:05.000Z",
        "metadata": { "alt": "a", "tags": ["x", "y"], "custom": { "n": 1 } } });
    let list = json!({ "items": [row], "pagination": { "total": 1 } }).to_string();
    for stored in ["k/a.txt", "f-1"] {
        let folder = ground(&[("files.json", &list), (stored, "x")]);
        let item = only(read(
            &folder.path().join("files.json"),
            "--from bkend --issuer own --visibility public",
        ));
        assert_eq!(
            (item.id.as_str(), item.alias.as_deref()),
            ("f-1", Some("k/a.txt")),
            "{stored}"
        );
        assert_eq!((item.visibility.as_deref(), item.tags.len()), (Some("shared"), 2));
        let told = item.announced("bkend", "text/plain", (1, &[0; 32]));
        let custom = &told["metadata"]["custom"];
        assert_eq!((&custom["n"], &custom["imported"]["id"]), (&json!(1), &json!("f-1")));
        assert_eq!(custom["imported"]["createdAt"], json!("2024-01-02T03:04:05.000Z"));
        assert_eq!(
            (&told["metadata"]["alt"], &told["tags"]),
            (&json!("a"), &json!(["x", "y"]))
        );
        assert_eq!(told.get("bucket"), None::<&Value>);
    }
    let folder = ground(&[("files.json", &list)]);
    refused(
        read(&folder.path().join("files.json"), "--from bkend --no-owners"),
        "by its key or its id",
    );
}

#[test]
fn a_manifest_names_paths_and_urls_each_once() {
    let rows = "path,url,name,tags,owner,issuer\na.txt,,first.txt,\"x, y\",ann,own\na.txt,,second.txt,,,\n\
                ../b,,c.txt,,,\n,ftp://h/a,,,,\n,https://h.test/b%20c.txt?x=1,,,,\n";
    let folder = ground(&[("list.csv", rows), ("a.txt", "a")]);
    let found = read(&folder.path().join("list.csv"), "--from manifest");
    let first = found[0].as_ref().unwrap();
    assert_eq!(
        (first.name.as_str(), first.tags.join("+").as_str()),
        ("first.txt", "x+y")
    );
    assert_eq!(first.owner.as_ref().map(|owner| owner.issuer.as_str()), Some("own"));
    for (at, told) in [(1, "same id"), (2, "leads out"), (3, "http(s)")] {
        let (_, why) = found[at].as_ref().unwrap_err();
        assert!(why.contains(told), "{why}");
    }
    let last = found[4].as_ref().unwrap();
    assert_eq!(last.name, "b c.txt");
    assert!(matches!(&last.place, Place::Url(url) if url.host_str() == Some("h.test")));
}

#[test]
fn the_command_line_says_one_thing_about_owners() {
    let parse = |line: &str| Line::try_parse_from(line.split(' ')).map(|line| line.args.from);
    assert!(matches!(parse("import a"), Ok(Source::Folder)));
    for wrong in [
        "import a --owner b",
        "import a --issuer b --no-owners",
        "import a --parallel 0",
        "import",
        "import a --from s3",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_no_server_takes_is_told_before_anything_is_brought() {
    let folder = ground(&[("list.jsonl", ""), ("a.txt", "a")]);
    let list = folder.path().join("list.jsonl");
    for (row, told) in [
        (json!({ "path": "a.txt", "name": "a/b" }), "must not hold /"),
        (json!({ "path": "a.txt", "visibility": "open" }), "'open' is none of"),
    ] {
        std::fs::write(&list, row.to_string()).unwrap();
        refused(read(&list, "--from manifest"), told);
    }
}

#[test]
fn shares_of_a_manifest_are_judged_before_anything_is_brought() {
    let row = |share: Value| json!({ "path": "a.txt", "shares": [share] }).to_string();
    let whole =
        json!({ "type": "user", "id": "sue", "issuer": null, "access": "write", "expiresAt": "2090-01-01T00:00:00Z" });
    let folder = ground(&[("list.jsonl", &row(whole)), ("a.txt", "a")]);
    let list = folder.path().join("list.jsonl");
    let item = only(read(&list, "--from manifest --issuer own"));
    assert_eq!(item.shares[0].get("issuer"), Some(&json!("own")));
    for (share, told) in [
        (json!({ "type": "link", "id": "x" }), "user, group and email"),
        (json!({ "type": "user" }), "no id"),
        (
            json!({ "type": "group", "id": "x", "access": "all" }),
            "neither read nor write",
        ),
        (
            json!({ "type": "email", "id": "x", "expiresAt": "soon" }),
            "no time such as",
        ),
        (json!("sue"), "no list of"),
    ] {
        std::fs::write(&list, row(share)).unwrap();
        refused(read(&list, "--from manifest"), told);
    }
}
