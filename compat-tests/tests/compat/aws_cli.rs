//! The aws CLI, version 1 (today's checksum defaults) and version 2: trees, streams, every s3api call of an object's life.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use compat_tests::clients::Client;
use compat_tests::tree;
use serde_json::Value;

use crate::stage::{Stage, Test, good, plain_http, refused, same_bytes, same_file};

const MIB: usize = 1024 * 1024;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::with(Client::AwsCli1, "aws_cli_1_copies_lists_and_refuses", life),
        Test::with(Client::AwsCli1, "aws_cli_1_syncs_a_tree", trees),
        Test::with(
            Client::AwsCli1,
            "aws_cli_1_sums_when_required_and_when_supported",
            checksum_modes,
        ),
        Test::with(Client::AwsCli2, "aws_cli_2_copies_lists_and_refuses", life),
        Test::with(Client::AwsCli2, "aws_cli_2_syncs_a_tree", trees),
    ]
}

/// An aws command against the stage's server.
pub(crate) fn aws(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = stage.command(&stage.program);
    // Version 1 left to itself signs links the retired way.
    command
        .env("AWS_CONFIG_FILE", stage.files.join("aws-config"))
        .arg("--endpoint-url")
        .arg(stage.setup.endpoint())
        .args(arguments);
    command
}

/// The answer of an s3api call.
fn api(stage: &Stage, arguments: &[&str]) -> Result<Value> {
    let mut command = aws(stage, &["--output", "json", "s3api"]);
    let text = good(command.args(arguments))?.text();
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value
        .get(name)
        .and_then(Value::as_str)
        .with_context(|| format!("no {name} in {value}"))
}

fn life(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    stage.file("aws-config", b"[default]\ns3 =\n    signature_version = s3v4\n")?;
    good(&mut aws(stage, &["s3", "mb", "s3://cli"]))?;
    refused("BucketAlreadyOwnedByYou", &mut aws(stage, &["s3", "mb", "s3://cli"]))?;
    small_and_empty(stage)?;
    large_and_stream(stage)?;
    copies_and_ranges(stage)?;
    multipart(stage)?;
    checksums(stage)?;
    presigned(stage)?;
    errors(stage)?;
    refused("BucketNotEmpty", &mut aws(stage, &["s3", "rb", "s3://cli"]))?;
    good(&mut aws(stage, &["s3", "rb", "--force", "s3://cli"]))?;
    refused("NoSuchBucket", &mut aws(stage, &["s3", "ls", "s3://cli"]))?;
    server.stop()
}

fn small_and_empty(stage: &Stage) -> Result<()> {
    let content = tree::bytes(1, 3_000);
    stage.file("small", &content)?;
    stage.file("empty", b"")?;
    let put = [
        "put-object",
        "--bucket",
        "cli",
        "--key",
        "dir/small +ü",
        "--body",
        "small",
        "--metadata",
        "one=1,two=2",
    ];
    let made = api(stage, &[&put[..], &["--content-type", "a/b"]].concat())?;
    let head = api(stage, &["head-object", "--bucket", "cli", "--key", "dir/small +ü"])?;
    ensure!(text(&made, "ETag")? == text(&head, "ETag")?, "{made} {head}");
    ensure!(text(&head, "ContentType")? == "a/b", "{head}");
    ensure!(
        head.get("ContentLength").and_then(Value::as_u64) == Some(3_000),
        "{head}"
    );
    ensure!(
        head.get("Metadata") == Some(&serde_json::json!({"one": "1", "two": "2"})),
        "{head}"
    );
    api(
        stage,
        &["get-object", "--bucket", "cli", "--key", "dir/small +ü", "got"],
    )?;
    same_file(&stage.files.join("got"), &content)?;
    good(&mut aws(stage, &["s3", "cp", "empty", "s3://cli/empty"]))?;
    good(&mut aws(stage, &["s3", "cp", "s3://cli/empty", "got-empty"]))?;
    same_file(&stage.files.join("got-empty"), b"")
}

fn large_and_stream(stage: &Stage) -> Result<()> {
    let content = tree::bytes(2, 37 * MIB + 13);
    stage.file("large", &content)?;
    good(&mut aws(stage, &["s3", "cp", "large", "s3://cli/large"]))?;
    let head = api(stage, &["head-object", "--bucket", "cli", "--key", "large"])?;
    ensure!(text(&head, "ETag")?.ends_with("-5\""), "five parts of 8 MiB: {head}");
    good(&mut aws(stage, &["s3", "cp", "s3://cli/large", "got-large"]))?;
    same_file(&stage.files.join("got-large"), &content)?;
    let mut stream = stage.command("/bin/sh".as_ref());
    stream.args(["-c", r#"cat large | "$0" --endpoint-url "$1" s3 cp - s3://cli/stream"#]);
    good(stream.arg(&stage.program).arg(stage.setup.endpoint()))?;
    let got = good(&mut aws(stage, &["s3", "cp", "s3://cli/stream", "-"]))?;
    same_bytes(&got.stdout, &content, "a stream there and back")
}

fn copies_and_ranges(stage: &Stage) -> Result<()> {
    let content = tree::bytes(1, 3_000);
    good(&mut aws(
        stage,
        &["s3", "cp", "s3://cli/dir/small +ü", "s3://cli/copied"],
    ))?;
    good(&mut aws(stage, &["s3", "mv", "s3://cli/copied", "s3://cli/moved"]))?;
    refused(
        "404",
        &mut aws(stage, &["s3api", "head-object", "--bucket", "cli", "--key", "copied"]),
    )?;
    let got = good(&mut aws(stage, &["s3", "cp", "s3://cli/moved", "-"]))?;
    same_bytes(&got.stdout, &content, "after a copy and a move")?;
    let copy = [
        "copy-object",
        "--bucket",
        "cli",
        "--key",
        "again",
        "--copy-source",
        "cli/moved",
    ];
    api(
        stage,
        &[&copy[..], &["--metadata-directive", "REPLACE", "--metadata", "new=3"]].concat(),
    )?;
    let head = api(stage, &["head-object", "--bucket", "cli", "--key", "again"])?;
    ensure!(head.get("Metadata") == Some(&serde_json::json!({"new": "3"})), "{head}");
    let range = api(
        stage,
        &[
            "get-object",
            "--bucket",
            "cli",
            "--key",
            "moved",
            "--range",
            "bytes=100-199",
            "got-range",
        ],
    )?;
    ensure!(text(&range, "ContentRange")? == "bytes 100-199/3000", "{range}");
    same_file(
        &stage.files.join("got-range"),
        content.get(100..200).unwrap_or_default(),
    )?;
    good(&mut aws(stage, &["s3", "cp", "s3://cli/large", "s3://cli/large-copy"]))?;
    let got = good(&mut aws(stage, &["s3", "cp", "s3://cli/large-copy", "-"]))?;
    same_bytes(&got.stdout, &tree::bytes(2, 37 * MIB + 13), "a copy in parts")?;
    let outside = [
        "s3api",
        "get-object",
        "--bucket",
        "cli",
        "--key",
        "moved",
        "--range",
        "bytes=3000-",
        "x",
    ];
    refused("InvalidRange", &mut aws(stage, &outside))
}

fn multipart(stage: &Stage) -> Result<()> {
    let parts = [tree::bytes(3, 5 * MIB), tree::bytes(4, 5 * MIB + 1), tree::bytes(5, 1)];
    let made = api(stage, &["create-multipart-upload", "--bucket", "cli", "--key", "parts"])?;
    let upload = text(&made, "UploadId")?.to_owned();
    let at = ["--bucket", "cli", "--key", "parts", "--upload-id", &upload];
    let mut listed = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let (file, number) = (format!("part{index}"), (index + 1).to_string());
        stage.file(&file, part)?;
        let sent = api(
            stage,
            &[&["upload-part", "--part-number", &number, "--body", &file], &at[..]].concat(),
        )?;
        listed.push(serde_json::json!({"PartNumber": index + 1, "ETag": text(&sent, "ETag")?}));
    }
    let seen = api(stage, &[&["list-parts"], &at[..]].concat())?;
    ensure!(
        seen.get("Parts").and_then(Value::as_array).map(Vec::len) == Some(3),
        "{seen}"
    );
    let open = api(stage, &["list-multipart-uploads", "--bucket", "cli"])?;
    ensure!(open.to_string().contains(&upload), "the upload is listed: {open}");
    let document = serde_json::json!({ "Parts": listed }).to_string();
    api(
        stage,
        &[&["complete-multipart-upload", "--multipart-upload", &document], &at[..]].concat(),
    )?;
    let got = good(&mut aws(stage, &["s3", "cp", "s3://cli/parts", "-"]))?;
    same_bytes(&got.stdout, &parts.concat(), "three parts")?;
    let made = api(
        stage,
        &["create-multipart-upload", "--bucket", "cli", "--key", "aborted"],
    )?;
    let at = [
        "--bucket",
        "cli",
        "--key",
        "aborted",
        "--upload-id",
        text(&made, "UploadId")?,
    ];
    api(stage, &[&["abort-multipart-upload"], &at[..]].concat())?;
    refused(
        "NoSuchUpload",
        &mut aws(stage, &[&["s3api", "list-parts"], &at[..]].concat()),
    )
}

fn checksums(stage: &Stage) -> Result<()> {
    for name in ["CRC32", "SHA1", "SHA256"] {
        let put = [
            "put-object",
            "--bucket",
            "cli",
            "--key",
            "sum",
            "--body",
            "small",
            "--checksum-algorithm",
            name,
        ];
        let made = api(stage, &put)?;
        let head = api(
            stage,
            &[
                "head-object",
                "--bucket",
                "cli",
                "--key",
                "sum",
                "--checksum-mode",
                "ENABLED",
            ],
        )?;
        let field = format!("Checksum{name}");
        ensure!(text(&made, &field)? == text(&head, &field)?, "{made} {head}");
    }
    let wrong = [
        "s3api",
        "put-object",
        "--bucket",
        "cli",
        "--key",
        "bad",
        "--body",
        "small",
        "--content-md5",
    ];
    refused("BadDigest", aws(stage, &wrong).arg("CY9rzUYh03PK3k6DJie09g=="))?;
    refused(
        "404",
        &mut aws(stage, &["s3api", "head-object", "--bucket", "cli", "--key", "bad"]),
    )
}

fn presigned(stage: &Stage) -> Result<()> {
    let link = good(&mut aws(
        stage,
        &["s3", "presign", "s3://cli/dir/small +ü", "--expires-in", "60"],
    ))?
    .text();
    let (status, body) = plain_http("GET", link.trim(), b"")?;
    ensure!(
        status == 200,
        "a presigned link answered {status}: {}",
        String::from_utf8_lossy(&body)
    );
    same_bytes(&body, &tree::bytes(1, 3_000), "by a presigned link")?;
    let (status, body) = plain_http("GET", &link.trim().replace("X-Amz-Expires=60", "X-Amz-Expires=61"), b"")?;
    let body = String::from_utf8_lossy(&body).into_owned();
    ensure!(
        status == 403 && body.contains("SignatureDoesNotMatch"),
        "{link} changed answered {status}: {body}"
    );
    Ok(())
}

fn errors(stage: &Stage) -> Result<()> {
    refused(
        "NoSuchKey",
        &mut aws(
            stage,
            &["s3api", "get-object", "--bucket", "cli", "--key", "absent", "x"],
        ),
    )?;
    refused(
        "NoSuchBucket",
        &mut aws(stage, &["s3api", "list-objects-v2", "--bucket", "absent-bucket"]),
    )?;
    refused(
        "InvalidAccessKeyId",
        aws(stage, &["s3", "ls"]).env("AWS_ACCESS_KEY_ID", "nobody-here"),
    )?;
    refused(
        "SignatureDoesNotMatch",
        aws(stage, &["s3", "ls"]).env("AWS_SECRET_ACCESS_KEY", "wrong-secret"),
    )?;
    refused(
        "NotImplemented",
        &mut aws(
            stage,
            &["s3", "cp", "small", "s3://cli/x", "--acl", "log-delivery-write"],
        ),
    )
}

fn trees(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let (here, back) = (stage.files.join("tree"), stage.files.join("back"));
    tree::write(&here, 1_250, &[9 * MIB, 70_000])?;
    good(&mut aws(stage, &["s3", "mb", "s3://trees"]))?;
    good(&mut aws(
        stage,
        &["s3", "sync", "--quiet", "tree", "s3://trees/deep/er"],
    ))?;
    let listed = good(&mut aws(stage, &["s3", "ls", "--recursive", "s3://trees"]))?.text();
    ensure!(
        listed.lines().count() == 1_252,
        "{} lines are listed",
        listed.lines().count()
    );
    let paged = aws(
        stage,
        &[
            "s3api",
            "list-objects-v2",
            "--bucket",
            "trees",
            "--page-size",
            "100",
            "--output",
            "json",
        ],
    );
    let paged: Value = serde_json::from_str(&good(&mut { paged })?.text())?;
    let keys: Vec<&str> = paged
        .get("Contents")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("Key").and_then(Value::as_str))
        .collect();
    ensure!(
        keys.len() == 1_252 && keys.is_sorted(),
        "{} keys by pages of 100",
        keys.len()
    );
    let again = good(&mut aws(stage, &["s3", "sync", "tree", "s3://trees/deep/er"]))?.everything();
    ensure!(!again.contains("upload:"), "a second sync uploads again: {again}");
    good(&mut aws(
        stage,
        &["s3", "sync", "--quiet", "s3://trees/deep/er", "back"],
    ))?;
    tree::same(&here, &back)?;
    fs::remove_dir_all(here.join("big"))?;
    good(&mut aws(
        stage,
        &["s3", "sync", "--quiet", "--delete", "tree", "s3://trees/deep/er"],
    ))?;
    good(&mut aws(
        stage,
        &["s3", "sync", "--quiet", "--delete", "s3://trees/deep/er", "back"],
    ))?;
    fs::remove_dir(back.join("big")).ok();
    tree::same(&here, &back)?;
    good(&mut aws(
        stage,
        &["s3", "rm", "--quiet", "--recursive", "s3://trees/deep"],
    ))?;
    ensure!(
        good(&mut aws(stage, &["s3api", "list-objects-v2", "--bucket", "trees"]))?
            .text()
            .find("Contents")
            .is_none()
    );
    good(&mut aws(stage, &["s3", "rb", "s3://trees"]))?;
    server.stop()
}

fn checksum_modes(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    good(&mut aws(stage, &["s3", "mb", "s3://modes"]))?;
    let content = tree::bytes(6, 12 * MIB);
    stage.file("body", &content)?;
    for mode in ["when_required", "when_supported"] {
        let moded = |arguments: &[&str]| {
            let mut command = aws(stage, arguments);
            command
                .env("AWS_REQUEST_CHECKSUM_CALCULATION", mode)
                .env("AWS_RESPONSE_CHECKSUM_VALIDATION", mode);
            command
        };
        good(&mut moded(&["s3", "cp", "body", &format!("s3://modes/{mode}")]))?;
        good(&mut moded(&[
            "s3api",
            "put-object",
            "--bucket",
            "modes",
            "--key",
            &format!("{mode}-single"),
            "--body",
            "body",
        ]))?;
        for key in [mode.to_owned(), format!("{mode}-single")] {
            let got = good(&mut moded(&["s3", "cp", &format!("s3://modes/{key}"), "-"]))?;
            same_bytes(&got.stdout, &content, &key)?;
            let head = api(
                stage,
                &[
                    "head-object",
                    "--bucket",
                    "modes",
                    "--key",
                    &key,
                    "--checksum-mode",
                    "ENABLED",
                ],
            )?;
            let summed = head.to_string().contains("Checksum");
            ensure!(summed == (mode == "when_supported"), "{key}: {head}");
        }
    }
    server.stop()
}
