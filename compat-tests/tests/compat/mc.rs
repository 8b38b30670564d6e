//! MinIO's own client, unchanged: alias, mb, cp, ls, cat, stat, mirror, rm, rb, share download, ping, ready. Then our own
//! client in its place: through the same story, and through a script whose exit codes and JSON must be the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use compat_tests::clients::Client;
use compat_tests::process::run_any;
use compat_tests::server::{ACCESS_KEY, SECRET_KEY, binary};
use compat_tests::tree;
use serde_json::Value;

use crate::stage::{LIMIT, Stage, Test, good, plain_http, refused, same_bytes, same_file};

const MIB: usize = 1024 * 1024;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::with(Client::Mc, "mc_works_unchanged", life),
        Test::alone("our_mc_lives_the_same_life", our_life),
        Test::with(Client::Mc, "our_mc_answers_as_minios_does", transcript),
    ]
}

fn mc(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = stage.command(&stage.program);
    command
        .arg("--config-dir")
        .arg(stage.files.join("mc"))
        .args(["--json"])
        .args(arguments);
    command
}

/// The JSON lines of a command that must succeed.
fn lines(stage: &Stage, arguments: &[&str]) -> Result<Vec<Value>> {
    let text = good(&mut mc(stage, arguments))?.text();
    serde_json::Deserializer::from_str(&text)
        .into_iter()
        .collect::<Result<_, _>>()
        .with_context(|| format!("not JSON: {text}"))
}

fn life(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let endpoint = stage.setup.endpoint();
    let wrong = ["alias", "set", "bad", &endpoint, ACCESS_KEY, "wrong-secret"];
    refused("SignatureDoesNotMatch", &mut mc(stage, &wrong))?;
    good(&mut mc(
        stage,
        &["alias", "set", "stone", &endpoint, ACCESS_KEY, SECRET_KEY],
    ))?;
    good(&mut mc(stage, &["ready", "stone"]))?;
    good(&mut mc(stage, &["ping", "--count", "2", "stone"]))?;
    good(&mut mc(stage, &["mb", "stone/mc-life"]))?;
    refused("already own", &mut mc(stage, &["mb", "stone/mc-life"]))?;
    good(&mut mc(stage, &["mb", "--ignore-existing", "stone/mc-life"]))?;
    objects(stage)?;
    mirrors(stage)?;
    links(stage)?;
    refused("not empty", &mut mc(stage, &["rb", "stone/mc-life"]))?;
    refused("does not exist", &mut mc(stage, &["cat", "stone/mc-life/absent"]))?;
    refused("does not exist", &mut mc(stage, &["ls", "stone/absent-bucket"]))?;
    good(&mut mc(stage, &["rm", "--recursive", "--force", "stone/mc-life/a"]))?;
    good(&mut mc(stage, &["rb", "--force", "stone/mc-life"]))?;
    ensure!(lines(stage, &["ls", "stone"])?.is_empty(), "no bucket is left");
    server.stop()
}

fn objects(stage: &Stage) -> Result<()> {
    let small = tree::bytes(1, 2_000);
    let large = tree::bytes(2, 40 * MIB + 1);
    stage.file("small ü", &small)?;
    stage.file("empty", b"")?;
    stage.file("large", &large)?;
    good(&mut mc(
        stage,
        &["cp", "--attr", "one=1", "small ü", "stone/mc-life/a/small +ü"],
    ))?;
    good(&mut mc(stage, &["cp", "empty", "large", "stone/mc-life/a/"]))?;
    for (key, content) in [("small +ü", &small), ("empty", &Vec::new()), ("large", &large)] {
        let mut cat = stage.command(&stage.program);
        cat.arg("--config-dir")
            .arg(stage.files.join("mc"))
            .args(["cat", &format!("stone/mc-life/a/{key}")]);
        same_bytes(&good(&mut cat)?.stdout, content, key)?;
    }
    let stat = lines(stage, &["stat", "stone/mc-life/a/small +ü"])?;
    let stat = stat.first().context("one object")?;
    ensure!(stat.get("size").and_then(Value::as_u64) == Some(2_000), "{stat}");
    ensure!(stat.to_string().to_lowercase().contains("x-amz-meta-one"), "{stat}");
    let mut stream = stage.command("/bin/sh".as_ref());
    stream.args([
        "-c",
        r#"cat large | "$0" --config-dir "$1" pipe stone/mc-life/a/stream"#,
    ]);
    good(stream.arg(&stage.program).arg(stage.files.join("mc")))?;
    good(&mut mc(stage, &["cp", "stone/mc-life/a/stream", "got"]))?;
    same_file(&stage.files.join("got"), &large)?;
    good(&mut mc(
        stage,
        &["cp", "stone/mc-life/a/large", "stone/mc-life/a/copied"],
    ))?;
    good(&mut mc(
        stage,
        &["mv", "stone/mc-life/a/copied", "stone/mc-life/a/moved"],
    ))?;
    good(&mut mc(stage, &["cp", "stone/mc-life/a/moved", "got"]))?;
    same_file(&stage.files.join("got"), &large)?;
    let head = good(
        stage
            .command(&stage.program)
            .arg("--config-dir")
            .arg(stage.files.join("mc"))
            .args(["cat", "--offset", "100", "stone/mc-life/a/small +ü"]),
    )?;
    same_bytes(&head.stdout, small.get(100..).unwrap_or_default(), "from an offset")?;
    let listed = lines(stage, &["ls", "stone/mc-life/a/"])?;
    ensure!(listed.len() == 5, "five objects: {listed:?}");
    good(&mut mc(stage, &["rm", "stone/mc-life/a/empty"]))?;
    refused("does not exist", &mut mc(stage, &["stat", "stone/mc-life/a/empty"]))
}

fn mirrors(stage: &Stage) -> Result<()> {
    let here = stage.files.join("tree");
    tree::write(&here, 1_230, &[9 * MIB])?;
    good(&mut mc(stage, &["mirror", "tree", "stone/mc-life/mirror"]))?;
    ensure!(
        lines(stage, &["ls", "--recursive", "stone/mc-life/mirror"])?.len() == 1_231,
        "every file is listed"
    );
    good(&mut mc(stage, &["mirror", "stone/mc-life/mirror", "back"]))?;
    tree::same(&here, &stage.files.join("back"))?;
    std::fs::remove_dir_all(here.join("big"))?;
    good(&mut mc(
        stage,
        &["mirror", "--remove", "--overwrite", "tree", "stone/mc-life/mirror"],
    ))?;
    ensure!(
        lines(stage, &["ls", "--recursive", "stone/mc-life/mirror"])?.len() == 1_230,
        "the removed file is gone"
    );
    Ok(())
}

fn links(stage: &Stage) -> Result<()> {
    let shared = lines(
        stage,
        &["share", "download", "--expire", "1m", "stone/mc-life/a/small +ü"],
    )?;
    let link = shared
        .first()
        .and_then(|line| line.get("share")?.as_str())
        .context("a link")?;
    let (status, body) = plain_http("GET", link, b"")?;
    ensure!(status == 200, "a link answered {status}");
    same_bytes(&body, &tree::bytes(1, 2_000), "by a link")
}

/// Our client, called by the name of MinIO's.
pub(crate) fn our_mc(stage: &Stage) -> Result<PathBuf> {
    let program = stage.setup.folder.join("mc");
    std::os::unix::fs::symlink(binary()?, &program)?;
    Ok(program)
}

fn our_life(stage: &mut Stage) -> Result<()> {
    stage.program = our_mc(stage)?;
    life(stage)
}

/// Run one after the other by both clients; each leaves the store as it was.
const SCRIPT: &[&[&str]] = &[
    &["alias", "list", "stone"],
    &["alias", "list", "nowhere"],
    &["ready", "stone"],
    &["mb", "stone/script"],
    &["mb", "stone/script"],
    &["mb", "--ignore-existing", "stone/script"],
    &["mb", "stone/x_"],
    &["ls", "stone/script"],
    &["cp", "small", "stone/script/d/one"],
    &[
        "cp",
        "--attr",
        "one=1;Content-Type=text/x",
        "small",
        "page.html",
        "stone/script/d/",
    ],
    &["cp", "small", "page.html", "stone/script/nothing"],
    &["cp", "absent", "stone/script/d/"],
    &["cp", "stone/script/absent", "here"],
    &["cp", "tree", "stone/script/t"],
    &["cp", "--recursive", "tree", "stone/script/t"],
    &["cp", "--recursive", "tree/", "stone/script/t2/"],
    &["cp", "small", "stone/script/t"],
    &["cp", "stone/script/d/one", "stone/script/d/two"],
    &["cp", "--recursive", "stone/script/t2/", "stone/script/t3/"],
    &["cp", "--recursive", "stone/script/t2", "got"],
    &["ls", "stone"],
    &["ls", "stone/script"],
    &["ls", "--recursive", "stone/script"],
    &["ls", "--recursive", "--summarize", "stone/script/t"],
    &["ls", "stone/script/d/one"],
    &["ls", "stone/script/absent"],
    &["ls", "stone/absent-bucket"],
    &["ls", "tree"],
    &["stat", "stone/script/d/small"],
    &["stat", "stone/script/d/page.html"],
    &["stat", "stone/script/absent"],
    &["stat", "--recursive", "stone/script/t2"],
    &["cat", "stone/script/absent"],
    &["tree", "stone/script"],
    &["du", "stone/script"],
    &["du", "--depth", "2", "stone/script"],
    &["du", "--recursive", "stone/script"],
    &["find", "stone/script", "--name", "*.html"],
    &["find", "stone/script", "--larger", "1KB"],
    &["find", "stone/script", "--path", "*/a/*", "--print", "{base} {size}"],
    &["diff", "tree", "stone/script/t2"],
    &["diff", "tree", "stone/script/d"],
    &["diff", "tree", "stone/absent-bucket"],
    &["mv", "stone/script/d/two", "stone/script/d/three"],
    &["mv", "stone/script/d/two", "stone/script/d/three"],
    &["mirror", "tree", "stone/script/m"],
    &["mirror", "tree", "stone/script/m"],
    &["mirror", "--overwrite", "--remove", "tree/a", "stone/script/m"],
    &["put", "small", "stone/script/put"],
    &["anonymous", "get", "stone/script"],
    &["anonymous", "list", "stone/script"],
    &["anonymous", "set", "nonsense", "stone/script"],
    &["share", "download", "--expire", "1h", "stone/script/d/one"],
    &["share", "download", "stone/script/absent"],
    &["share", "upload", "stone/script/up"],
    &["share", "upload", "stone/script/up/"],
    &["cors", "get", "stone/script"],
    &["version", "info", "stone/script"],
    &["ping", "--count", "1", "stone"],
    &["rm", "stone/script/put"],
    &["rm", "stone/script/put"],
    &["rm", "--recursive", "stone/script/t"],
    &["rm", "--recursive", "--force", "--dry-run", "stone/script/t"],
    &["rm", "--recursive", "--force", "--older-than", "1d", "stone/script/t"],
    &["rm", "--recursive", "--force", "stone/script/t"],
    &["rm", "stone"],
    &["rb", "stone/script"],
    &["rb", "--force", "stone/script"],
    &["rb", "stone/script"],
    &["frob"],
];

/// Fields whose values must be the same, wherever they stand.
const EQUAL: [&str; 34] = [
    "Op",
    "URL",
    "accessKey",
    "alias",
    "api",
    "bucket",
    "deleteMarker",
    "diff",
    "dryRun",
    "etag",
    "first",
    "healthy",
    "isVersions",
    "key",
    "metadata",
    "name",
    "objects",
    "operation",
    "path",
    "permission",
    "prefix",
    "second",
    "size",
    "source",
    "status",
    "storageClass",
    "target",
    "total",
    "totalObjects",
    "transferred",
    "type",
    "url",
    "versionOrdinal",
    "versioning",
];

/// Fields of MinIO's client that ours may leave out: its view of the cluster, and Go's whole URL.
const MAY_MISS: [&str; 5] = ["healingDrives", "writeQuorum", "dns", "roundtrip", "error"];

type Answered = Vec<(Option<i32>, Vec<Value>)>;

fn play(stage: &mut Stage, program: &Path) -> Result<Answered> {
    stage.program = program.to_path_buf();
    stage.file("small", &tree::bytes(1, 2_000))?;
    stage.file("page.html", b"<p>")?;
    stage.file("tree/a/b/y", b"yy")?;
    stage.file("tree/a/x", b"x")?;
    stage.file("tree/z", b"z")?;
    let endpoint = stage.setup.endpoint();
    good(&mut mc(
        stage,
        &["alias", "set", "stone", &endpoint, ACCESS_KEY, SECRET_KEY],
    ))?;
    let mut answered = Vec::new();
    for line in SCRIPT {
        let output = run_any(&mut mc(stage, line), LIMIT)?;
        let text = output.text();
        let values = serde_json::Deserializer::from_str(&text).into_iter();
        let values: Vec<Value> = values
            .collect::<Result<_, _>>()
            .with_context(|| format!("{line:?} said {}", output.everything()))?;
        answered.push((output.status.code(), values));
    }
    std::fs::remove_dir_all(stage.files.join("got"))?;
    std::fs::remove_dir_all(stage.files.join("mc"))?;
    Ok(answered)
}

fn transcript(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let (theirs, ours) = (stage.program.clone(), our_mc(stage)?);
    let expected = play(stage, &theirs)?;
    let seen = play(stage, &ours)?;
    let mut differences = Vec::new();
    for ((line, expected), seen) in SCRIPT.iter().zip(&expected).zip(&seen) {
        if let Some(what) = difference(expected, seen) {
            differences.push(format!("mc {}: {what}", line.join(" ")));
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    server.stop()
}

fn difference(expected: &(Option<i32>, Vec<Value>), seen: &(Option<i32>, Vec<Value>)) -> Option<String> {
    if expected.0 != seen.0 {
        return Some(format!("exit code {:?}, not {:?}: {:?}", seen.0, expected.0, seen.1));
    }
    // Transfers run side by side: their order means nothing.
    let sorted = |values: &[Value]| {
        let mut kept: Vec<(String, &Value)> = values.iter().map(|value| (stable(value).to_string(), value)).collect();
        kept.sort_by(|a, b| a.0.cmp(&b.0));
        kept.into_iter()
            .map(|(text, value)| (text, value.clone()))
            .collect::<Vec<_>>()
    };
    let (expected, seen) = (sorted(&expected.1), sorted(&seen.1));
    let texts = |lines: &[(String, Value)]| lines.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>();
    if texts(&expected) != texts(&seen) {
        return Some(format!(
            "says\n  {}\nnot\n  {}",
            texts(&seen).join("\n  "),
            texts(&expected).join("\n  ")
        ));
    }
    expected.iter().zip(&seen).find_map(|((_, expected), (_, seen))| {
        let fields = |value: &Value| {
            value
                .as_object()
                .into_iter()
                .flat_map(|all| all.keys().cloned())
                .collect::<Vec<_>>()
        };
        let has = fields(seen);
        let missing = fields(expected)
            .into_iter()
            .find(|name| !has.contains(name) && !MAY_MISS.contains(&name.as_str()));
        missing.map(|name| format!("lacks the field {name}: {seen}"))
    })
}

/// A line with those fields only whose values do not depend on time or place; of an error, what it is about.
fn stable(value: &Value) -> Value {
    let Some(fields) = value.as_object() else {
        return value.clone();
    };
    // A folder has the time at which it was seen, and a summary the size of what was found by then.
    let kept = fields.iter().filter(|(name, _)| EQUAL.contains(&name.as_str()));
    let mut kept: serde_json::Map<String, Value> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(code) = value.pointer("/error/cause/error/Code") {
        kept.insert("code".into(), code.clone());
    }
    Value::Object(kept)
}
