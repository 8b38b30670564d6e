//! What operators and app teams do with MinIO's own `mc`, command by command, in one table: the exit code of each and what
//! it must say. The same table is played by our own client.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::clients::Client;
use compat_tests::process::run_any;
use compat_tests::server::{ACCESS_KEY, SECRET_KEY};

use crate::mc::our_mc;
use crate::scripts::python;
use crate::stage::{LIMIT, Stage, Test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::with(Client::Mc, "mc_transcript_of_minios_client", transcript),
        Test::alone("mc_transcript_of_our_client", |stage| {
            stage.program = our_mc(stage)?;
            transcript(stage)
        }),
        Test::with(Client::Mc, "mc_streams_are_live", live),
        Test::alone("our_mc_streams_are_live", |stage| {
            stage.program = our_mc(stage)?;
            live(stage)
        }),
        Test::with(Client::MinioPy, "minio_py_manages_the_store", |stage| {
            python(stage, "minio_py/admin.py", 8)
        }),
    ]
}

/// One command: what follows `mc --json`, and what must come of it. `< file` at its end is its standard input.
struct Row {
    line: &'static str,
    succeeds: bool,
    /// All of this must be said.
    says: &'static [&'static str],
}

/// A command that succeeds.
const fn done(line: &'static str, says: &'static [&'static str]) -> Row {
    Row {
        line,
        succeeds: true,
        says,
    }
}

/// A command that fails.
const fn fails(line: &'static str, says: &'static [&'static str]) -> Row {
    Row {
        succeeds: false,
        ..done(line, says)
    }
}

const READ_ONE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::one","arn:aws:s3:::one/*"]}]}"#;
/// As JSON mc prints an export in base64: how one begins with "api requests_max=700".
const EXPORT: &str = "YXBpIHJlcXVlc3RzX21heD03MDAg";
const BROKEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps"}]}"#;
const CORS: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>https://a.example</AllowedOrigin>\
    <AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";

const TABLE: &[Row] = &[
    // Aliases, and whether the store is there.
    done("alias set s {endpoint} {user} {secret}", &[r#""alias":"s""#]),
    fails(
        "alias set bad {endpoint} {user} wrong-secret",
        &["SignatureDoesNotMatch"],
    ),
    done("alias list s", &[r#""alias":"s""#, r#""URL":"{endpoint}""#]),
    done("ready s", &[r#""healthy":true"#]),
    done("ping --count 1 s", &[r#""status":"success""#]),
    done(
        "admin info s",
        &[r#""mode":"online""#, r#""onlineDisks":4"#, r#""backendType":"Erasure""#],
    ),
    // Buckets and objects.
    done("mb s/one", &["success"]),
    fails("mb s/one", &["already own"]),
    done("cp f s/one/f", &["success"]),
    fails("cp absent s/one/f", &["error"]),
    done(
        "stat s/one/f",
        &[r#""size":6"#, r#""etag":"b1946ac92492d2347c6235b4d2611184""#],
    ),
    done("cat s/one/f", &["hello"]),
    done("ls s/one", &[r#""key":"f""#, r#""size":6"#]),
    done("mirror tree s/one/m", &["success"]),
    done("diff tree s/one/m", &[]),
    done("diff tree s/one", &[r#""diff":"#]),
    done("tree s/one", &[]),
    done("du s/one", &[r#""size":9"#, r#""objects":3"#]),
    done("find s/one --name y", &[r#""key":"s/one/m/a/y""#]),
    done("mv s/one/m/x s/one/m/z", &["success"]),
    fails("stat s/one/m/x", &["does not exist"]),
    // Who may look without a key, and links.
    done("anonymous get s/one", &[r#""permission":"private""#]),
    done(
        "anonymous set download s/one",
        &["success", r#""permission":"download""#],
    ),
    done("anonymous get s/one", &[r#""permission":"download""#]),
    done("anonymous list s/one", &["one/*", "readonly"]),
    done("anonymous links s/one", &["{endpoint}/one/f"]),
    done("anonymous set private s/one", &["success"]),
    done("share download --expire 1h s/one/f", &[r#""share":"{endpoint}/one/f?"#]),
    fails("share download s/one/absent", &["error"]),
    done("share upload s/one/up", &[r#""share":"curl"#]),
    // Tags and pages of other origins.
    done("tag set s/one/f colour=grey", &["success"]),
    done("tag list s/one/f", &[r#""colour":"grey""#]),
    done("tag remove s/one/f", &["success"]),
    done("tag list s/one/f", &["success"]),
    done("cors set s/one cors.xml", &["success"]),
    done("cors get s/one", &["https://a.example"]),
    done("cors remove s/one", &["success"]),
    done("cors get s/one", &["not found"]),
    // Quotas.
    fails("quota info s/one", &["quota configuration does not exist"]),
    done(
        "quota set s/one --size 64KiB",
        &[r#""quota":65536"#, r#""type":"hard""#],
    ),
    done("quota info s/one", &[r#""quota":65536"#]),
    fails("cp large s/one/large", &["Bucket quota exceeded"]),
    fails("cp s/two/large s/one/large", &["error"]),
    done("quota clear s/one", &["success"]),
    done("cp large s/one/large", &["success"]),
    done("rm s/one/large", &["success"]),
    fails("quota set s/none --size 1MiB", &["does not exist"]),
    // Users and groups.
    done("admin user add s alice alice-secret", &[r#""accessKey":"alice""#]),
    done("admin user add s bob bob-secret-1", &[r#""userStatus":"enabled""#]),
    fails("admin user add s ab alice-secret", &["XMinioAdminInvalidAccessKey"]),
    fails("admin user add s carol short", &["XMinioAdminInvalidSecretKey"]),
    done(
        "admin user list s",
        &[r#""accessKey":"bob""#, r#""userStatus":"enabled""#],
    ),
    done("admin user disable s bob", &[r#""accessKey":"bob""#]),
    done("admin user info s bob", &[r#""userStatus":"disabled""#]),
    done("admin user enable s bob", &["success"]),
    fails("admin user info s nobody", &["XMinioAdminNoSuchUser"]),
    done("admin group add s crew alice bob", &[r#""members":["alice","bob"]"#]),
    fails("admin group add s crew nobody", &["XMinioAdminNoSuchUser"]),
    done("admin group list s", &[r#""groups":["crew"]"#]),
    done("admin group info s crew", &[r#""groupStatus":"enabled""#]),
    done("admin group disable s crew", &["disabled"]),
    done("admin group enable s crew", &["enabled"]),
    // Policies.
    done("admin policy create s ro ro.json", &[r#""policy":"ro""#]),
    fails(
        "admin policy create s broken broken.json",
        &["XMinioMalformedIAMPolicy"],
    ),
    done("admin policy list s", &["consoleAdmin", r#""policy":"ro""#]),
    done("admin policy info s ro", &[r#""PolicyName":"ro""#]),
    fails("admin policy info s none", &["XMinioAdminNoSuchPolicy"]),
    done(
        "admin policy attach s ro --user alice",
        &[r#""policiesAttached":["ro"]"#],
    ),
    done("admin policy attach s ro --user alice", &["success"]),
    done("admin policy attach s readwrite --group crew", &[r#""group":"crew""#]),
    fails("admin policy attach s none --user alice", &["XMinioAdminNoSuchPolicy"]),
    done(
        "admin policy entities s",
        &[r#""policy":"readwrite""#, r#""groups":["crew"]"#],
    ),
    done("admin policy entities s --user alice", &[r#""policies":["ro"]"#]),
    done("admin policy entities s --policy ro", &[r#""users":["alice"]"#]),
    done("admin user info s alice", &[r#""policyName":"ro""#]),
    done(
        "admin policy detach s readwrite --group crew",
        &[r#""policiesDetached":["readwrite"]"#],
    ),
    fails("admin policy rm s ro", &["XMinioIAMPolicyInUse"]),
    // A user without rights reads of the admin API what is its own.
    done("alias set a {endpoint} alice alice-secret", &[r#""alias":"a""#]),
    fails("admin user list a", &["Access Denied."]),
    fails("admin user add a dave dave-secret", &["Access Denied."]),
    fails("admin policy attach a consoleAdmin --user alice", &["Access Denied."]),
    fails("quota set a/one --size 1MiB", &["Access Denied."]),
    done("admin accesskey ls a/", &[r#""user":"alice""#]),
    // Access keys.
    done(
        "admin user svcacct add s alice --access-key alicekey --secret-key alicesecret1 --name n1",
        &[r#""accessKey":"alicekey""#],
    ),
    done("admin user svcacct ls s alice", &["alicekey"]),
    done("admin user svcacct info s alicekey", &[r#""parentUser":"alice""#]),
    done("admin user svcacct edit s alicekey --description other", &["success"]),
    done("admin user svcacct disable s alicekey", &["success"]),
    done("admin user svcacct info s alicekey", &[r#""accountStatus":"off""#]),
    done("admin user svcacct enable s alicekey", &["success"]),
    done(
        "admin accesskey create s/ alice --access-key alicekey2 --secret-key alicesecret2",
        &[r#""accessKey":"alicekey2""#],
    ),
    fails("admin accesskey create s/ nobody", &["XMinioAdminNoSuchUser"]),
    done("admin accesskey ls s/ --all", &[r#""user":"alice""#]),
    done("admin accesskey ls s/ alice", &["alicekey2"]),
    done("admin accesskey info s/ alicekey2", &[r#""impliedPolicy":true"#]),
    done("admin accesskey edit s/ alicekey2 --description other", &["success"]),
    done("admin accesskey disable s/ alicekey2", &["success"]),
    done("admin accesskey enable s/ alicekey2", &["success"]),
    done("admin accesskey rm s/ alicekey2", &["success"]),
    done("admin user svcacct rm s alicekey", &["success"]),
    fails("admin user svcacct info s alicekey", &["XMinioAdminNoSuchAccessKey"]),
    // The store itself.
    done(
        "admin info s",
        &[r#""buckets":{"count":1}"#, r#""objects":{"count":3}"#],
    ),
    done("stat s/one", &[r#""Usage":{"#, r#""size":9"#]),
    done("admin config get s", &[r#""key":"api""#]),
    done("admin config get s api", &["requests_max"]),
    fails("admin config get s none", &["There are no settings none"]),
    fails("admin config set s api requests_max=many", &["whole number"]),
    fails("admin config set s api other=5", &["There is no setting other"]),
    done("admin config set s api requests_max=0", &["success"]),
    done("admin config set s api requests_max=700", &["success"]),
    done(
        "admin config set s identity_openid:kc config_url=https://id.example/.well-known/openid-configuration \
         client_id=store client_secret=canary-secret role_policy=readonly",
        &["success"],
    ),
    done("admin config get s identity_openid:kc", &["*redacted*", "id.example"]),
    done("admin config history s", &["restoreId", "requests_max=700"]),
    done("admin config export s", &["{export}"]),
    done("admin config reset s api", &["success"]),
    done("admin config import s < config.txt", &["success"]),
    fails("admin config get s identity_openid:kc", &["There is no kc"]),
    done("admin config set s site region=us-east-1", &["success"]),
    done("admin prometheus generate s", &["/minio/v2/metrics/cluster"]),
    done("admin prometheus metrics s", &["minio_cluster_drive_online_total"]),
    done(
        "admin prometheus metrics s bucket",
        &["minio_bucket_usage_object_total"],
    ),
    done("admin decommission status s", &["decommissionInfo"]),
    fails("admin rebalance status s", &["No rebalance was started"]),
    done("admin rebalance start s", &[]),
    done("admin rebalance status s", &[]),
    done("admin rebalance stop s", &[]),
    done("admin replicate info s", &[]),
    done("admin heal s", &[]),
    done("admin heal s/one -r", &[r#""type":"summary""#]),
    fails("admin heal s/none -r", &["NoSuchBucket"]),
    fails("admin service freeze s", &["not implemented"]),
    done("admin service restart s --wait", &["success"]),
    done("ready s", &[r#""healthy":true"#]),
    done("cat s/one/f", &["hello"]),
    // What was stored is still there.
    done("admin config get s site", &["us-east-1"]),
    done("admin config get s api", &["710"]),
    done("admin config reset s site", &["success"]),
    // Everybody leaves.
    fails("admin group rm s crew", &["XMinioAdminGroupNotEmpty"]),
    done("admin group rm s crew alice bob", &["success"]),
    done("admin group rm s crew", &["success"]),
    done("admin policy detach s ro --user alice", &["success"]),
    done("admin policy rm s ro", &["success"]),
    done("admin user rm s bob", &["success"]),
    done("admin user rm s alice", &["success"]),
    done("admin user list s", &[]),
    fails("rb s/one", &["not empty"]),
    done("rb --force s/one", &["success"]),
    done("alias remove a", &["success"]),
    done("admin service stop s", &["success"]),
];

/// Commands that our own client does not have.
const MINIOS_ALONE: &[Row] = &[fails(
    "admin config restore s before",
    &["There is no earlier configuration before"],
)];

/// A command that goes on until it is ended: what is done meanwhile, and what it must say of that.
struct Live {
    line: &'static str,
    meanwhile: &'static str,
    says: &'static [&'static str],
    /// The file that stands there then.
    leaves: Option<&'static str>,
}

const LIVE: &[Live] = &[
    Live {
        line: "admin trace s",
        meanwhile: "cat s/one/f",
        says: &[r#""api":"s3.GetObject""#, r#""statusCode":200"#],
        leaves: None,
    },
    Live {
        line: "admin trace --verbose --call s3 --call internal s",
        meanwhile: "admin info s",
        says: &["admin.info", "*REDACTED*"],
        leaves: None,
    },
    Live {
        line: "admin trace --errors s",
        meanwhile: "cat s/one/absent",
        says: &[r#""statusCode":404"#],
        leaves: None,
    },
    Live {
        line: "admin trace --status-code 404 --path one/* s",
        meanwhile: "cat s/one/absent",
        says: &[r#""statusCode":404"#],
        leaves: None,
    },
    Live {
        line: "admin logs s",
        meanwhile: "ready s",
        says: &["a new store was formatted"],
        leaves: None,
    },
    Live {
        line: "watch s/one",
        meanwhile: "cp f s/one/live/f",
        says: &["s3:ObjectCreated:Put", "one/live/f", r#""size":6"#],
        leaves: None,
    },
    Live {
        line: "watch --events put s",
        meanwhile: "cp f s/one/live/h",
        says: &["s3:ObjectCreated:Put", "one/live/h"],
        leaves: None,
    },
    Live {
        line: "mirror --watch s/one copied",
        meanwhile: "cp f s/one/mirrored/g",
        says: &["mirrored/g"],
        leaves: Some("copied/mirrored/g"),
    },
    Live {
        line: "admin scanner status s",
        meanwhile: "ready s",
        says: &["collected"],
        leaves: None,
    },
];

/// How long a live command may take to say what it must.
const LIVE_LIMIT: Duration = Duration::from_secs(40);

/// The rows whose server side is there; one that fails in both clients for want of a server is no command of the list.
const ROWS_MIN: usize = 60;

/// A stage set for the table.
struct Show<'s> {
    stage: &'s Stage,
}

impl Show<'_> {
    fn filled(&self, text: &str) -> String {
        text.replace("{endpoint}", &self.stage.setup.endpoint())
            .replace("{user}", ACCESS_KEY)
            .replace("{secret}", SECRET_KEY)
            .replace("{export}", EXPORT)
    }

    fn command(&self, line: &str) -> Command {
        let program = &self.stage.program;
        let (words, input) = match line.split_once(" < ") {
            Some((words, file)) => (words, Some(file)),
            None => (line, None),
        };
        let mut command = match input {
            None => self.stage.command(program),
            Some(file) => {
                let mut shell = self.stage.command(Path::new("/bin/sh"));
                shell.args(["-c", r#"input="$1"; shift; exec "$@" < "$input""#, "sh", file]);
                shell.arg(program);
                shell
            }
        };
        command
            .arg("--config-dir")
            .arg(self.stage.files.join("mc"))
            .arg("--json");
        command.args(self.filled(words).split(' '));
        command
    }

    /// `Err` in the answer: what is wrong with what the command did.
    fn play(&self, row: &Row) -> Result<std::result::Result<(), String>> {
        let output = run_any(&mut self.command(row.line), LIMIT)?;
        let said = output.everything();
        let missing = row.says.iter().find(|words| !said.contains(&self.filled(words)));
        Ok(match (output.status.success() == row.succeeds, missing) {
            (true, None) => Ok(()),
            (true, Some(missing)) => Err(format!("mc {}: {missing} is not in: {said}", row.line)),
            (false, _) => Err(format!("mc {}: ended with {}: {said}", row.line, output.status)),
        })
    }
}

impl Show<'_> {
    /// As [`Self::play`], of a command that is ended once it has said all.
    fn play_live(&self, row: &Live) -> Result<std::result::Result<(), String>> {
        let said = self.stage.files.join("live.out");
        let output = File::create(&said)?;
        let mut command = self.command(row.line);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut child = command.spawn()?;
        let began = Instant::now();
        let verdict = loop {
            // What was done before the client listened is done again.
            let done = run_any(&mut self.command(row.meanwhile), LIMIT);
            // Some of it is written over several lines.
            let text = std::fs::read_to_string(&said)?.replace("\": ", "\":");
            let missing = row.says.iter().find(|words| !text.contains(**words));
            // It may be told of before it is whole.
            let is_there = |file: &&&str| self.stage.files.join(file).is_file();
            let missing = missing.or(row.leaves.as_ref().filter(|file| !is_there(file)));
            match (missing, child.try_wait()?) {
                (None, _) => break Ok(()),
                (Some(_), Some(status)) => break Err(format!("mc {}: ended with {status}: {text}", row.line)),
                (Some(missing), None) if began.elapsed() > LIVE_LIMIT => {
                    break Err(format!("mc {}: {missing} is not in: {text}", row.line));
                }
                (Some(_), None) => done.map(drop)?,
            }
        };
        // It may have ended by itself.
        drop(child.kill());
        child.wait()?;
        Ok(verdict)
    }
}

fn live(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    stage.file("f", b"hello\n")?;
    let show = Show { stage };
    for line in ["alias set s {endpoint} {user} {secret}", "mb s/one", "cp f s/one/f"] {
        show.play(&done(line, &[]))?.map_err(anyhow::Error::msg)?;
    }
    let mut wrong = Vec::new();
    for row in LIVE {
        wrong.extend(show.play_live(row)?.err());
    }
    for row in MINIOS_ALONE {
        wrong.extend(show.play(row)?.err());
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    let began = Instant::now();
    server.stop()?;
    ensure!(began.elapsed() < Duration::from_secs(25), "a stop waited for listeners");
    Ok(())
}

fn transcript(stage: &mut Stage) -> Result<()> {
    ensure!(TABLE.len() >= ROWS_MIN, "{} rows", TABLE.len());
    let server = stage.start()?;
    for (name, content) in [
        ("f", b"hello\n".as_slice()),
        ("tree/a/y", b"yy"),
        ("tree/x", b"x"),
        ("large", &[b'x'; 200_000]),
        ("ro.json", READ_ONE.as_bytes()),
        ("broken.json", BROKEN.as_bytes()),
        ("cors.xml", CORS.as_bytes()),
        ("config.txt", b"api requests_max=710\n"),
    ] {
        stage.file(name, content)?;
    }
    let show = Show { stage };
    let mut wrong = Vec::new();
    for row in TABLE {
        wrong.extend(show.play(row)?.err());
    }
    ensure!(
        wrong.is_empty(),
        "{} of {} rows are wrong:\n{}",
        wrong.len(),
        TABLE.len(),
        wrong.join("\n")
    );
    // It ended by itself, as the last row asks; that is no failure here.
    drop(server.stop());
    Ok(())
}
