//! What operators do with MinIO's own `mc admin`, command by command: users, groups, policies, access keys, settings, the
//! service, metrics, healing, the pool. Each with the exit code and the words it must have.

use std::process::Command;

use anyhow::{Result, ensure};
use compat_tests::clients::Client;
use compat_tests::process::run_any;
use compat_tests::server::{ACCESS_KEY, SECRET_KEY};

use crate::scripts::python;
use crate::stage::{LIMIT, Stage, Test, good};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::with(Client::Mc, "mc_admin_manages_the_store", transcript),
        Test::with(Client::MinioPy, "minio_py_manages_the_store", |stage| {
            python(stage, "minio_py/admin.py", 8)
        }),
    ]
}

const READ_ONE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::one","arn:aws:s3:::one/*"]}]}"#;

/// A command, and what it must print; `Err`: it must fail with this.
type Line<'a> = (&'a str, std::result::Result<&'a str, &'a str>);

const USERS: &[Line<'_>] = &[
    ("admin user add s alice alice-secret", Ok(r#""accessKey":"alice""#)),
    ("admin user add s bob bob-secret-1", Ok(r#""userStatus":"enabled""#)),
    ("admin user add s ab alice-secret", Err("XMinioAdminInvalidAccessKey")),
    ("admin user add s carol short", Err("XMinioAdminInvalidSecretKey")),
    ("admin user list s", Ok(r#""accessKey":"bob","userStatus":"enabled""#)),
    ("admin user disable s bob", Ok(r#""accessKey":"bob""#)),
    ("admin user info s bob", Ok(r#""userStatus":"disabled""#)),
    ("admin user enable s bob", Ok("success")),
    ("admin user info s nobody", Err("XMinioAdminNoSuchUser")),
    ("admin group add s crew alice bob", Ok(r#""members":["alice","bob"]"#)),
    ("admin group add s crew nobody", Err("XMinioAdminNoSuchUser")),
    ("admin group list s", Ok(r#""groups":["crew"]"#)),
    ("admin group info s crew", Ok(r#""groupStatus":"enabled""#)),
    ("admin group disable s crew", Ok("disabled")),
    ("admin group enable s crew", Ok("enabled")),
];

const POLICIES: &[Line<'_>] = &[
    ("admin policy create s ro ro.json", Ok(r#""policy":"ro""#)),
    (
        "admin policy create s broken broken.json",
        Err("XMinioMalformedIAMPolicy"),
    ),
    ("admin policy list s", Ok("consoleAdmin")),
    ("admin policy info s ro", Ok(r#""PolicyName":"ro""#)),
    ("admin policy info s none", Err("XMinioAdminNoSuchPolicy")),
    (
        "admin policy attach s ro --user alice",
        Ok(r#""policiesAttached":["ro"]"#),
    ),
    ("admin policy attach s ro --user alice", Ok("success")),
    ("admin policy attach s readwrite --group crew", Ok(r#""group":"crew""#)),
    (
        "admin policy attach s none --user alice",
        Err("XMinioAdminNoSuchPolicy"),
    ),
    (
        "admin policy entities s",
        Ok(r#""policy":"readwrite","users":[],"groups":["crew"]"#),
    ),
    ("admin policy entities s --user alice", Ok(r#""policies":["ro"]"#)),
    ("admin policy entities s --policy ro", Ok(r#""users":["alice"]"#)),
    ("admin user info s alice", Ok(r#""policyName":"ro""#)),
    (
        "admin policy detach s readwrite --group crew",
        Ok(r#""policiesDetached":["readwrite"]"#),
    ),
    ("admin policy rm s ro", Err("XMinioIAMPolicyInUse")),
];

const KEYS: &[Line<'_>] = &[
    (
        "admin user svcacct add s alice --access-key alicekey --secret-key alicesecret1 --name n1",
        Ok(r#""accessKey":"alicekey""#),
    ),
    ("admin user svcacct ls s alice", Ok("alicekey")),
    ("admin user svcacct info s alicekey", Ok(r#""parentUser":"alice""#)),
    ("admin user svcacct edit s alicekey --description other", Ok("success")),
    ("admin user svcacct disable s alicekey", Ok("success")),
    ("admin user svcacct info s alicekey", Ok(r#""accountStatus":"off""#)),
    ("admin user svcacct enable s alicekey", Ok("success")),
    (
        "admin accesskey create s/ alice --access-key alicekey2 --secret-key alicesecret2",
        Ok(r#""accessKey":"alicekey2""#),
    ),
    ("admin accesskey create s/ nobody", Err("XMinioAdminNoSuchUser")),
    ("admin accesskey ls s/ --all", Ok(r#""user":"alice""#)),
    ("admin accesskey ls s/ alice", Ok("alicekey2")),
    ("admin accesskey info s/ alicekey2", Ok(r#""impliedPolicy":true"#)),
    ("admin accesskey edit s/ alicekey2 --description other", Ok("success")),
    ("admin accesskey disable s/ alicekey2", Ok("success")),
    ("admin accesskey enable s/ alicekey2", Ok("success")),
    ("admin accesskey rm s/ alicekey2", Ok("success")),
    ("admin user svcacct rm s alicekey", Ok("success")),
    ("admin user svcacct info s alicekey", Err("XMinioAdminNoSuchAccessKey")),
];

const STORE: &[Line<'_>] = &[
    ("admin info s", Ok(r#""objects":{"count":1}"#)),
    ("stat s/one", Ok(r#""Usage":{"size":6"#)),
    ("admin config get s", Ok(r#""key":"api""#)),
    ("admin config get s api", Ok("requests_max")),
    ("admin config get s none", Err("There are no settings none")),
    ("admin config set s api requests_max=5", Err("MINIO_API_REQUESTS_MAX")),
    ("admin config set s api requests_max=0", Ok("success")),
    ("admin config reset s api", Ok("success")),
    // As JSON mc prints the text in base64; the end of it is "storage_class standard=".
    ("admin config export s", Ok("CnN0b3JhZ2VfY2xhc3Mgc3RhbmRhcmQ9")),
    ("admin config history s", Ok("")),
    ("admin prometheus generate s", Ok("/minio/v2/metrics/cluster")),
    (
        "admin prometheus metrics s bucket",
        Ok("minio_bucket_usage_object_total"),
    ),
    ("admin prometheus metrics s", Ok("minio_cluster_drive_online_total")),
    ("admin decommission status s", Ok("decommissionInfo")),
    ("admin rebalance status s", Err("No rebalance was started")),
    ("admin rebalance start s", Ok("")),
    ("admin rebalance status s", Ok("")),
    ("admin rebalance stop s", Ok("")),
    ("admin replicate info s", Ok("")),
    ("admin heal s/one -r", Ok(r#""type":"summary""#)),
    ("admin heal s/none -r", Err("NoSuchBucket")),
    ("admin service freeze s", Err("not implemented")),
    ("admin service restart s --wait", Ok("success")),
    ("ready s", Ok("")),
    ("cat s/one/f", Ok("hello")),
];

const LEAVING: &[Line<'_>] = &[
    ("admin group rm s crew", Err("XMinioAdminGroupNotEmpty")),
    ("admin group rm s crew alice bob", Ok("success")),
    ("admin group rm s crew", Ok("success")),
    ("admin policy detach s ro --user alice", Ok("success")),
    ("admin policy rm s ro", Ok("success")),
    ("admin user rm s bob", Ok("success")),
    ("admin user rm s alice", Ok("success")),
    ("admin user list s", Ok("")),
];

fn play(stage: &Stage, lines: &[Line<'_>]) -> Result<()> {
    for (line, expected) in lines {
        let mut command = mc(stage);
        let output = run_any(command.args(line.split(' ')), LIMIT)?;
        let said = output.everything();
        let (good, words) = match expected {
            Ok(words) => (output.status.success(), words),
            Err(words) => (!output.status.success(), words),
        };
        ensure!(
            good && said.contains(words),
            "mc {line}: {expected:?} was expected, it said: {said}"
        );
    }
    Ok(())
}

fn mc(stage: &Stage) -> Command {
    let mut command = stage.command(&stage.program);
    command.arg("--config-dir").arg(stage.files.join("mc")).arg("--json");
    command
}

fn transcript(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let endpoint = stage.setup.endpoint();
    good(mc(stage).args(["alias", "set", "s", &endpoint, ACCESS_KEY, SECRET_KEY]))?;
    stage.file("f", b"hello\n")?;
    stage.file("ro.json", READ_ONE.as_bytes())?;
    stage.file(
        "broken.json",
        br#"{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps"}]}"#,
    )?;
    play(stage, &[("mb s/one", Ok("success")), ("cp f s/one/f", Ok("success"))])?;
    play(stage, USERS)?;
    play(stage, POLICIES)?;
    good(mc(stage).args(["alias", "set", "a", &endpoint, "alice", "alice-secret"]))?;
    // A user without rights reads of the admin API what is its own.
    play(
        stage,
        &[
            ("admin user list a", Err("Access Denied.")),
            ("admin user add a dave dave-secret", Err("Access Denied.")),
            ("admin policy attach a consoleAdmin --user alice", Err("Access Denied.")),
            ("admin accesskey ls a/", Ok(r#""user":"alice""#)),
        ],
    )?;
    play(stage, KEYS)?;
    play(stage, STORE)?;
    play(stage, LEAVING)?;
    play(stage, &[("admin service stop s", Ok("success"))])?;
    // It ended by itself; that is what is asked for here.
    drop(server.stop());
    Ok(())
}
