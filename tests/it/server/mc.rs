//! `drystone mc` against a real server: what it answers, what it leaves on disk, and what it refuses.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::binary::{Running, drystone, text};

const SECRET: &str = "canary-5d2e-slate";

/// A server, and a folder to work in.
struct World {
    folder: tempfile::TempDir,
    server: Running,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let variables = [("MINIO_ROOT_USER", "rock"), ("MINIO_ROOT_PASSWORD", SECRET)];
        let server = Running::start(folder.path(), &variables, &[]);
        Self { folder, server }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drystone"));
        command
            .arg("mc")
            .args(arguments)
            .env_clear()
            .env("MC_CONFIG_DIR", self.path().join("config"))
            .env("MC_HOST_env", format!("http://rock:{SECRET}@{}", self.server.address))
            .current_dir(self.path());
        command
    }

    fn mc(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    fn good(&self, arguments: &[&str]) -> String {
        let output = self.mc(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    }

    fn bad(&self, arguments: &[&str]) -> String {
        let output = self.mc(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output));
        text(&output)
    }

    fn pipe(&self, content: &[u8], target: &str) -> Output {
        let mut child = self
            .command(&["pipe", target])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(content).unwrap();
        child.wait_with_output().unwrap()
    }
}

#[test]
fn an_unknown_alias_a_wrong_one_and_what_is_not_built_fail_with_the_cure_and_without_a_secret() {
    for (arguments, cure) in [
        (&["mc", "ready", "nowhere"][..], "mc alias set nowhere"),
        (&["mc", "mb", "nowhere/bucket", "--frob"], "--frob"),
        (&["mc", "ls", "--versions", "x"], "`--versions` is not built yet"),
        (&["mc", "cp", "--version-id=1", "x", "y"], "501"),
        (&["mc", "rm", "--bypass", "x"], "Object lock is not built"),
        (&["mc", "sql", "x"], "not built yet"),
        (&["mc", "frob"], "not a recognized command"),
    ] {
        let output = drystone(arguments, &[]);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output).contains(cure), "{arguments:?}: {}", text(&output));
    }
    let url = "ftp://rock:canary-secret@host";
    let output = drystone(&["mc", "ready", "there"], &[("MC_HOST_there", url)]);
    assert!(
        !output.status.success() && !text(&output).contains("canary"),
        "{}",
        text(&output)
    );
}

#[test]
fn aliases_are_kept_in_a_file_of_their_owner_and_shown_by_the_list_alone() {
    let world = World::new();
    let url = format!("http://{}", world.server.address);
    let config = world.path().join("config/config.json");
    fs::create_dir(world.path().join("config")).unwrap();
    fs::write(
        &config,
        r#"{"version":"10","kept":1,"aliases":{"old":{"url":"http://old","accessKey":"a","secretKey":"b","x":1}}}"#,
    )
    .unwrap();
    assert!(
        world
            .bad(&["alias", "set", "st", &url, "rock", "wrong-secret"])
            .contains("signature")
    );
    assert!(!fs::read_to_string(&config).unwrap().contains("\"st\""));
    let said = world.good(&["alias", "set", "st", &url, "rock", SECRET]);
    assert!(!said.contains(SECRET), "{said}");
    let kept = fs::read_to_string(&config).unwrap();
    assert!(
        kept.contains("\"kept\"") && kept.contains("\"x\"") && kept.contains("\"st\""),
        "{kept}"
    );
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(world.good(&["alias", "list", "st"]).contains(SECRET));
    assert!(world.good(&["ready", "st"]).contains("is ready"));
    let told = world.mc(&["--debug", "ls", "st"]);
    assert!(told.status.success() && text(&told).contains("200") && !text(&told).contains(SECRET));
    world.good(&["alias", "remove", "old"]);
    assert!(world.bad(&["alias", "remove", "old"]).contains("No such alias"));
}

#[test]
fn objects_go_there_and_back_and_a_failed_upload_leaves_nothing() {
    let world = World::new();
    let large: Vec<u8> = (0..40_000_003_u32).map(|i| (i % 251) as u8).collect();
    fs::write(world.path().join("large"), &large).unwrap();
    fs::write(world.path().join("small ü"), "small").unwrap();
    world.good(&["mb", "env/wall"]);
    world.good(&["cp", "--attr", "one=1", "large", "small ü", "env/wall/in/"]);
    world.good(&["cp", "env/wall/in/large", "env/wall/again"]);
    world.good(&["get", "env/wall/again", "got"]);
    assert!(fs::read(world.path().join("got")).unwrap() == large);
    assert!(world.pipe(&large, "env/wall/piped").status.success());
    let cat = world.mc(&["cat", "env/wall/piped"]);
    assert!(cat.stdout == large, "{} bytes", cat.stdout.len());
    assert!(world.good(&["stat", "env/wall/in/small ü"]).contains("X-Amz-Meta-One"));
    let listed = world.good(&["--json", "ls", "-r", "env/wall"]);
    assert_eq!(listed.lines().count(), 4, "{listed}");
    world.bad(&["cp", "large", "env/no-such-bucket/x"]);
    world.bad(&["get", "env/wall/absent", "absent"]);
    assert!(!world.path().join("absent").exists());
    let left: Vec<_> = fs::read_dir(world.path())
        .unwrap()
        .flatten()
        .map(|file| file.file_name())
        .collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().ends_with(".part")),
        "{left:?}"
    );
    world.good(&["mv", "env/wall/again", "env/wall/moved"]);
    world.bad(&["stat", "env/wall/again"]);
    assert!(world.bad(&["rb", "env/wall"]).contains("not empty"));
    assert!(world.bad(&["rm", "-r", "env/wall"]).contains("--force"));
    world.good(&["rb", "--force", "env/wall"]);
    assert!(world.good(&["ls", "env"]).is_empty());
}

#[test]
fn no_key_is_written_outside_of_the_folder_it_is_copied_to() {
    let world = World::new();
    world.good(&["mb", "env/wall"]);
    for key in ["../escaped", "a/../../escaped", "fine", "a//b"] {
        let piped = world.pipe(b"x", &format!("env/wall/{key}"));
        assert!(piped.status.success(), "{key}: {}", text(&piped));
    }
    for verb in [
        &["cp", "-r", "env/wall/", "into/deep/"][..],
        &["mirror", "env/wall", "into/deep"],
    ] {
        let said = world.bad(verb);
        assert_eq!(said.matches("cannot be a local path").count(), 3, "{verb:?}: {said}");
        let names = |folder: &str| -> Vec<String> {
            let found = fs::read_dir(world.path().join(folder)).unwrap().flatten();
            found
                .map(|file| file.file_name().to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(
            (names("into/deep"), names("into")),
            (vec!["fine".to_owned()], vec!["deep".to_owned()])
        );
        assert!(!world.path().join("escaped").exists());
        fs::remove_dir_all(world.path().join("into")).unwrap();
    }
}

#[test]
fn a_mirror_makes_two_places_equal_and_removes_nothing_when_something_failed() {
    let world = World::new();
    let write = |name: &str, content: &str| {
        let path = world.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    for (name, content) in [
        ("tree/a/x", "x"),
        ("tree/a-b", ""),
        ("tree/z", "zz"),
        ("tree/t.log", "log"),
    ] {
        write(name, content);
    }
    world.good(&["mirror", "--exclude", "*.log", "tree", "env/wall/deep"]);
    assert_eq!(
        world.good(&["diff", "tree", "env/wall/deep"]).trim(),
        format!("< {}", world.path().join("tree/t.log").display())
    );
    world.good(&["mirror", "env/wall/deep", "back"]);
    assert_eq!(fs::read_to_string(world.path().join("back/a/x")).unwrap(), "x");
    fs::remove_file(world.path().join("tree/a-b")).unwrap();
    write("tree/z", "longer");
    assert!(
        world
            .bad(&["mirror", "--remove", "tree", "env/wall/deep"])
            .contains("--overwrite")
    );
    world.good(&["stat", "env/wall/deep/a-b"]);
    world.good(&[
        "mirror",
        "--dry-run",
        "--remove",
        "--overwrite",
        "tree",
        "env/wall/deep",
    ]);
    world.good(&["stat", "env/wall/deep/a-b"]);
    world.good(&["mirror", "--remove", "--overwrite", "tree", "env/wall/deep"]);
    world.bad(&["stat", "env/wall/deep/a-b"]);
    assert_eq!(world.good(&["diff", "tree", "env/wall/deep"]), "");
    assert_eq!(
        world.good(&["du", "env/wall"]).split_whitespace().collect::<Vec<_>>(),
        ["10B", "3", "objects", "wall"]
    );
    assert!(
        world
            .good(&["find", "env/wall", "--name", "*.log", "--exec", "echo [{base}]"])
            .contains("[t.log]")
    );
    assert!(world.good(&["tree", "-f", "env/wall"]).contains("└─ deep"));
    assert!(
        world
            .good(&["share", "download", "env/wall/deep/z"])
            .contains("X-Amz-Signature=")
    );
    assert!(world.good(&["share", "list", "download"]).contains("deep/z"));
    assert!(!world.good(&["share", "upload", "env/wall/up"]).contains(SECRET));
}

#[test]
fn what_is_set_on_buckets_and_objects_is_shown_again_and_taken_away() {
    let world = World::new();
    world.good(&["mb", "env/wall"]);
    fs::write(world.path().join("x"), "x").unwrap();
    world.good(&["cp", "x", "env/wall/img/x"]);
    assert!(world.good(&["anonymous", "get", "env/wall"]).contains("`private`"));
    world.good(&["anonymous", "set", "download", "env/wall/img/"]);
    assert!(
        world
            .good(&["anonymous", "get", "env/wall/img/"])
            .contains("`download`")
    );
    assert!(
        world
            .good(&["anonymous", "list", "env/wall"])
            .contains("wall/img/* => readonly")
    );
    let link = world.good(&["anonymous", "links", "-r", "env/wall"]);
    assert_eq!(link.trim(), format!("http://{}/wall/img/x", world.server.address));
    world.good(&["anonymous", "set", "private", "env/wall/img/"]);
    assert!(world.good(&["anonymous", "get", "env/wall/img/"]).contains("`private`"));
    for target in ["env/wall", "env/wall/img/x"] {
        world.good(&["tag", "set", target, "k=v&other=w w"]);
        assert!(world.good(&["tag", "list", target]).contains("other : w w"), "{target}");
        world.good(&["tag", "remove", target]);
    }
    assert!(world.good(&["cors", "get", "env/wall"]).contains("No bucket CORS"));
    let rules = "<CORSConfiguration><CORSRule><AllowedOrigin>http://a.test</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";
    fs::write(world.path().join("cors.xml"), rules).unwrap();
    world.good(&["cors", "set", "env/wall", "cors.xml"]);
    assert!(world.good(&["cors", "get", "env/wall"]).contains("http://a.test"));
    world.good(&["cors", "remove", "env/wall"]);
}

#[test]
fn a_server_tells_how_it_is_and_stops_when_it_is_told_to() {
    let world = World::new();
    assert!(
        world
            .good(&["admin", "info", "env"])
            .contains("4 drives online, 0 drives offline")
    );
    let info: serde_json::Value = serde_json::from_str(&world.good(&["--json", "admin", "info", "env"])).unwrap();
    assert_eq!(info.pointer("/info/backend/onlineDisks"), Some(&serde_json::json!(4)));
    assert!(
        world
            .good(&["admin", "prometheus", "metrics", "env"])
            .contains("drystone_")
    );
    let generated = world.good(&["admin", "prometheus", "generate", "env"]);
    assert!(
        generated.contains("bearer_token: ") && !generated.contains(SECRET),
        "{generated}"
    );
    world.good(&["ping", "-c", "1", "env"]);
    world.good(&["admin", "service", "stop", "env"]);
}

/// Another way to a server. It hears what is sent, and may do something before the server gets it.
fn way(to: SocketAddr, hears: impl Fn(&[u8]) + Clone + Send + 'static) -> SocketAddr {
    way_that_fails(to, move |sent| {
        hears(sent);
        None
    })
}

/// The same, which may put an answer in the place of what the server answers then.
fn way_that_fails(
    to: SocketAddr,
    hears: impl Fn(&[u8]) -> Option<&'static str> + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let hears = hears.clone();
            let server = TcpStream::connect(to).unwrap();
            let (mut from, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let (tell, told) = channel();
            std::thread::spawn(move || {
                let mut piece = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = from.read(&mut piece) {
                    if hears(&piece[..length]).is_some_and(|answer| tell.send(answer).is_err()) {
                        break;
                    }
                    if into.write_all(&piece[..length]).is_err() {
                        break;
                    }
                }
                drop(into.shutdown(Shutdown::Write));
            });
            std::thread::spawn(move || {
                let (mut server, mut client) = (server, client);
                let mut piece = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = server.read(&mut piece) {
                    let other = told.try_recv().ok();
                    let answer = other.map_or(&piece[..length], str::as_bytes);
                    if client.write_all(answer).is_err() || other.is_some() {
                        break;
                    }
                }
                drop(client.shutdown(Shutdown::Both));
            });
        }
    });
    address
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn nothing_is_moved_onto_itself_or_onto_another_thing_that_is_moved() {
    let world = World::new();
    let read = |name: &str| fs::read_to_string(world.path().join(name)).unwrap();
    for name in ["f.txt", "photos/one"] {
        let path = world.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    fs::hard_link(world.path().join("f.txt"), world.path().join("hard")).unwrap();
    world.good(&["mb", "env/wall"]);
    world.good(&["cp", "f.txt", "photos/one", "env/wall/in/"]);
    let onto_itself = [
        &["mv", "f.txt", "."][..],
        &["mv", "f.txt", "photos/../f.txt"],
        &["mv", "f.txt", "hard"],
        &["mv", "-r", "photos", "."],
        &["mv", "-r", "photos", "photos/deeper/"],
        &["mv", "env/wall/in/one", "env/wall/in/one"],
        &["mv", "--attr", "a=b", "env/wall/in/one", "env/wall/in/"],
        &["mv", "--tags", "a=b", "env/wall/in/one", "env/wall/in/one"],
        &["mv", "--storage-class", "STANDARD", "-r", "env/wall/in", "env/wall"],
    ];
    for line in onto_itself {
        let said = world.bad(line);
        assert!(said.contains("Nothing is moved."), "{line:?}: {said}");
    }
    let port = world.server.address.port();
    let beside = way(world.server.address, |_| {});
    for (alias, address) in [("same", format!("localhost:{port}")), ("beside", beside.to_string())] {
        for line in [
            vec![
                "mv".to_owned(),
                "env/wall/in/one".into(),
                format!("{alias}/wall/in/one"),
            ],
            vec![
                "mv".to_owned(),
                "-r".into(),
                "env/wall/in/".into(),
                format!("{alias}/wall/in/"),
            ],
        ] {
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            let mut command = world.command(&line);
            let url = format!("http://rock:{SECRET}@{address}");
            let output = command.env(format!("MC_HOST_{alias}"), url).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{line:?}: {}", text(&output));
            assert!(text(&output).contains("onto itself"), "{line:?}: {}", text(&output));
        }
    }
    assert_eq!(
        (read("f.txt"), read("photos/one")),
        ("f.txt".into(), "photos/one".into())
    );
    assert_eq!(world.good(&["cat", "env/wall/in/one"]), "photos/one");
    assert_eq!(world.good(&["cat", "env/wall/in/f.txt"]), "f.txt");
    assert_eq!(world.good(&["ls", "-r", "env/wall"]).lines().count(), 2);
    world.good(&["mv", "--attr", "a=b", "env/wall/in/one", "env/wall/in/two"]);
    assert_eq!(world.good(&["cat", "env/wall/in/two"]), "photos/one");
    world.good(&["mv", "f.txt", "photos/f"]);
    assert_eq!((read("photos/f"), read("hard")), ("f.txt".into(), "f.txt".into()));
    assert_eq!(world.good(&["ls", "-r", "env/wall"]).lines().count(), 2);
}

#[test]
fn things_that_would_become_one_are_not_moved_and_others_go_up_and_down() {
    let world = World::new();
    let read = |name: &str| fs::read_to_string(world.path().join(name)).unwrap();
    for name in ["a/x", "b/x"] {
        let path = world.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    world.good(&["mb", "env/wall"]);
    for line in [
        &["mv", "a/x", "b/x", "dst/"][..],
        &["mv", "a/x", "a/x", "env/wall/dst/"],
        &["mv", "-r", "a/", "b/", "env/wall/dst/"],
        &["mv", "-r", "a/x", "b/", "dst/"],
    ] {
        let said = world.bad(line);
        assert!(said.contains("several sources would become `x`"), "{line:?}: {said}");
    }
    assert_eq!((read("a/x"), read("b/x")), ("a/x".into(), "b/x".into()));
    assert!(!world.path().join("dst").exists());
    assert_eq!(world.good(&["ls", "-r", "env/wall"]), "");
    world.good(&["mv", "-r", "a", "b", "env/wall/dst/"]);
    assert!(!world.path().join("a/x").exists() && !world.path().join("b/x").exists());
    world.good(&["mv", "-r", "env/wall/dst/", "down/deep"]);
    assert_eq!(
        (read("down/deep/a/x"), read("down/deep/b/x")),
        ("a/x".into(), "b/x".into())
    );
    assert_eq!(world.good(&["ls", "-r", "env/wall"]), "");
}

#[test]
fn an_object_that_is_replaced_while_it_is_moved_is_left() {
    let world = World::new();
    world.good(&["mb", "env/wall"]);
    for target in ["env/wall/there", "here"] {
        assert!(world.pipe(b"old", "env/wall/raced").status.success());
        let (program, folder) = (env!("CARGO_BIN_EXE_drystone"), world.path().to_path_buf());
        let url = format!("http://rock:{SECRET}@{}", world.server.address);
        let address = way(world.server.address, move |sent| {
            if !sent.starts_with(b"DELETE /wall/raced") {
                return;
            }
            fs::write(folder.join("new"), "new").unwrap();
            let mut put = Command::new(program);
            put.args(["mc", "put", "new", "direct/wall/raced"])
                .env("MC_HOST_direct", &url)
                .current_dir(&folder);
            assert!(put.output().unwrap().status.success());
        });
        let mut command = world.command(&["mv", "slow/wall/raced", &target.replace("env", "slow")]);
        let url = format!("http://rock:{SECRET}@{address}");
        let output = command.env("MC_HOST_slow", url).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{target}: {}", text(&output));
        assert!(text(&output).contains("replaced"), "{target}: {}", text(&output));
        assert_eq!(world.good(&["cat", "env/wall/raced"]), "new");
        let target = if target == "here" { "./here" } else { target };
        assert_eq!(world.good(&["cat", target]), "old");
    }
}

#[test]
fn a_mirror_removes_nothing_that_its_source_may_still_have() {
    let world = World::new();
    fs::create_dir_all(world.path().join("tree")).unwrap();
    for name in ["tree/a", "tree/link", "tree/old"] {
        fs::write(world.path().join(name), name).unwrap();
    }
    world.good(&["mirror", "tree", "env/wall/t"]);
    world.good(&["mirror", "env/wall/t", "back"]);
    fs::create_dir(world.path().join("empty")).unwrap();
    for line in [
        &["mirror", "--remove", "env/wall/typo", "back"][..],
        &["mirror", "--remove", "--dry-run", "env/wall/typo/", "back"],
        &["mirror", "--remove", "empty", "env/wall/t"],
    ] {
        let said = world.bad(line);
        assert!(
            said.contains("holds nothing at all") && said.contains("rm --recursive"),
            "{line:?}: {said}"
        );
    }
    assert_eq!(world.good(&["diff", "env/wall/t", "back"]), "");
    for name in ["tree/link", "tree/old"] {
        fs::remove_file(world.path().join(name)).unwrap();
    }
    std::os::unix::fs::symlink("/nowhere/at/all", world.path().join("tree/link")).unwrap();
    let said = world.bad(&["mirror", "--remove", "tree", "env/wall/t"]);
    assert!(said.contains("`link` was not removed"), "{said}");
    world.good(&["stat", "env/wall/t/link"]);
    world.bad(&["stat", "env/wall/t/old"]);
}

#[test]
fn a_mirror_that_follows_removes_nothing_while_something_is_not_copied_and_tries_again() {
    let world = World::new();
    let source = world.path().join("source");
    // No server takes a key so long.
    let deep = (0..5).fold(source.clone(), |folder, _| folder.join("d".repeat(250)));
    fs::create_dir_all(&deep).unwrap();
    fs::write(source.join("old"), "old").unwrap();
    world.good(&["mb", "env/wall"]);
    let line = ["mirror", "--watch", "--remove", "--overwrite", "source", "env/wall/to"];
    let mut mirror = world
        .command(&line)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (tell, told) = channel();
    let errors = BufReader::new(mirror.stderr.take().unwrap());
    std::thread::spawn(move || {
        errors
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| tell.send(line))
    });
    let failed = |told: &Receiver<String>| told.try_iter().any(|line| line.contains("Failed to copy"));
    let holds = |key: &str| world.mc(&["stat", &format!("env/wall/to/{key}")]).status.success();
    wait_for("the first object", || holds("old"));
    fs::write(deep.join("new"), "old").unwrap();
    wait_for("the failure", || failed(&told));
    fs::remove_file(source.join("old")).unwrap();
    fs::write(source.join("other"), "other").unwrap();
    wait_for("another object", || holds("other"));
    // It is tried again, and the old one stays all the while.
    wait_for("another failure", || failed(&told));
    assert!(holds("old"));
    fs::remove_file(deep.join("new")).unwrap();
    fs::write(source.join("new"), "old").unwrap();
    wait_for("the new object", || holds("new"));
    fs::remove_file(source.join("other")).unwrap();
    wait_for("the removal", || !holds("old") && !holds("other"));
    drop(mirror.kill());
    drop(mirror.wait());
}

#[test]
fn an_upload_that_was_completed_is_done_whatever_was_answered_and_another_is_not() {
    let world = World::new();
    world.good(&["mb", "env/wall"]);
    let large: Vec<u8> = (0..17_000_003_u32).map(|i| (i % 251) as u8).collect();
    fs::write(world.path().join("large"), &large).unwrap();
    let failing = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let is_end = |sent: &[u8]| {
        let head = String::from_utf8_lossy(&sent[..sent.len().min(200)]).into_owned();
        head.starts_with("POST /wall/large?uploadId=")
    };
    let through = |address: SocketAddr| {
        let mut command = world.command(&["mv", "large", "way/wall/large"]);
        let url = format!("http://rock:{SECRET}@{address}");
        command.env("MC_HOST_way", url).output().unwrap()
    };
    let lost = way_that_fails(world.server.address, move |sent| is_end(sent).then_some(failing));
    let moved = through(lost);
    assert!(moved.status.success(), "{}", text(&moved));
    assert!(world.mc(&["cat", "env/wall/large"]).stdout == large);
    assert!(!world.path().join("large").exists());
    // The same again, where the end never comes to the server: what is there is the one from before.
    fs::write(world.path().join("large"), &large).unwrap();
    let (nowhere, server) = (TcpListener::bind("127.0.0.1:0").unwrap(), world.server.address);
    let address = nowhere.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in nowhere.incoming().flatten() {
            let into = TcpStream::connect(server).unwrap();
            answer_ends(client, into, failing, is_end);
        }
    });
    let moved = through(address);
    assert_eq!(moved.status.code(), Some(1), "{}", text(&moved));
    assert!(fs::read(world.path().join("large")).unwrap() == large);
}

/// Between a client and a server, of which one kind of request never comes to the server.
fn answer_ends(
    client: TcpStream,
    server: TcpStream,
    answer: &'static str,
    is_end: impl Fn(&[u8]) -> bool + Send + 'static,
) {
    let (mut from, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            if is_end(&piece[..length]) {
                drop(from.write_all(answer.as_bytes()));
                break;
            }
            if into.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        drop(into.shutdown(Shutdown::Both));
        drop(from.shutdown(Shutdown::Both));
    });
    std::thread::spawn(move || {
        let (mut server, mut client) = (server, client);
        drop(std::io::copy(&mut server, &mut client));
    });
}

#[test]
fn what_goes_on_ends_when_nobody_reads_it() {
    let world = World::new();
    world.good(&["mb", "env/wall"]);
    fs::create_dir(world.path().join("folder")).unwrap();
    for line in [
        &["watch", "env/wall"][..],
        &["watch", "./folder"],
        &["admin", "trace", "env"],
    ] {
        let mut command = world.command(line);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let begun = Instant::now();
        let ended = loop {
            if let Some(ended) = child.try_wait().unwrap() {
                break ended;
            }
            if begun.elapsed() > Duration::from_secs(120) {
                drop(child.kill());
                panic!("{line:?} goes on");
            }
            assert!(world.pipe(b"x", "env/wall/x").status.success());
            fs::write(world.path().join("folder/x"), "x").unwrap();
        };
        assert!(ended.success(), "{line:?}: {ended}");
    }
}

#[test]
fn a_user_who_is_disabled_or_loses_a_policy_hears_of_nothing_more() {
    let world = World::new();
    world.good(&["mb", "env/wall"]);
    world.good(&["admin", "user", "add", "env", "ann", "ann-secret-1"]);
    let url = format!("http://ann:ann-secret-1@{}", world.server.address);
    for (line, policy, end) in [
        (&["watch", "ann/wall"][..], "readwrite", "detach"),
        (&["admin", "trace", "ann"], "consoleAdmin", "detach"),
        (&["watch", "ann/wall"], "readwrite", "disable"),
    ] {
        world.good(&["admin", "policy", "attach", "env", policy, "--user", "ann"]);
        let mut child = world
            .command(line)
            .env("MC_HOST_ann", &url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (tell, told) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        wait_for("the first event", || {
            assert!(world.pipe(b"x", "env/wall/heard").status.success());
            told.try_iter().any(|told| told.contains("heard"))
        });
        match end {
            "detach" => world.good(&["admin", "policy", "detach", "env", policy, "--user", "ann"]),
            _ => world.good(&["admin", "user", "disable", "env", "ann"]),
        };
        assert!(world.pipe(b"x", "env/wall/secret").status.success());
        let begun = Instant::now();
        let ended = loop {
            match child.try_wait().unwrap() {
                Some(ended) => break ended,
                None => assert!(
                    begun.elapsed() < Duration::from_secs(120),
                    "{line:?} {end}: it still hears"
                ),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(ended.code(), Some(1));
        // Of streams of the admin API that is looked at every second.
        let hears = told.iter().any(|told| told.contains("secret"));
        assert!(!hears || line.contains(&"admin"), "{line:?} {end}");
    }
}
