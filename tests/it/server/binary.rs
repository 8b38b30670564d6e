//! The binary's own words: what it answers to a wrong command line or environment, and that it never tells a secret.

use std::process::{Command, Output};

fn drystone(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drystone"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_wrong_command_line_or_environment_is_exit_code_2_with_the_cure() {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let table: [Case<'_>; 7] = [
        (&["server", "/data", "--ftp=x"], &[], "--ftp"),
        (&["server"], &[], "MINIO_VOLUMES"),
        (&["server", "/data{1..4}"], &[], "three dots"),
        (&["server", "/data", "--address", "nonsense"], &[], "HOST:PORT"),
        (
            &["server", "/data"],
            &[("MINIO_ROOT_USER", "ab"), ("MINIO_ROOT_PASSWORD", "12345678")],
            "at least 3",
        ),
        (
            &["server", "/data"],
            &[("MINIO_ROOT_USER", "abc"), ("MINIO_ROOT_PASSWORD", "1234567")],
            "at least 8",
        ),
        (
            &["server", "/data"],
            &[("MINIO_ROOT_USER", "abc")],
            "MINIO_ROOT_PASSWORD is not",
        ),
    ];
    for (arguments, variables, cure) in table {
        let output = drystone(arguments, variables);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(cure), "{arguments:?}: {}", text(&output));
    }
}

#[test]
fn what_is_not_built_fails_and_says_so() {
    for arguments in [
        &["admin", "info", "local"][..],
        &["mc", "ls", "local"][..],
        &["mc", "admin", "info"][..],
    ] {
        let output = drystone(arguments, &[]);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            text(&output).contains("not built yet"),
            "{arguments:?}: {}",
            text(&output)
        );
    }
    let version = drystone(&["--version"], &[]);
    assert!(
        version.status.success() && text(&version).contains(env!("CARGO_PKG_VERSION")),
        "{}",
        text(&version)
    );
}

#[test]
fn mc_ready_tells_a_ready_server_from_an_unknown_alias() {
    let output = drystone(&["mc", "ready", "nowhere"], &[]);
    assert!(
        !output.status.success() && text(&output).contains("MC_HOST_nowhere"),
        "{}",
        text(&output)
    );
    let url = "ftp://rock:canary-secret@host";
    let output = drystone(&["mc", "ready", "there"], &[("MC_HOST_there", url)]);
    assert!(
        !output.status.success() && !text(&output).contains("canary"),
        "{}",
        text(&output)
    );
}
