//! The container files, as far as they can be judged without a container engine.

use std::ffi::OsString;
use std::path::Path;

use drystone::cli::args::{Command, parse};
use drystone::config::Vars;

const DOCKERFILE: &str = include_str!("../../../docker/Dockerfile");
const IGNORED: &str = include_str!("../../../docker/Dockerfile.dockerignore");
const COMPOSE: &str = include_str!("../../../docker/compose.yaml");

/// Instructions with their arguments, continued lines joined, comments left out.
fn instructions() -> Vec<(String, String)> {
    let lines = DOCKERFILE.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    joined
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.split_once(' ').expect("an instruction and its arguments"))
        .map(|(instruction, arguments)| (instruction.to_owned(), arguments.trim().to_owned()))
        .collect()
}

fn arguments(instruction: &str) -> Vec<String> {
    instructions()
        .into_iter()
        .filter(|(name, _)| name == instruction)
        .map(|(_, arguments)| arguments)
        .collect()
}

fn words(json: &str) -> Vec<OsString> {
    serde_json::from_str::<Vec<String>>(json)
        .unwrap()
        .into_iter()
        .map(OsString::from)
        .collect()
}

/// The value of a key in the compose file, by the key's indentation.
fn compose(key: &str) -> Vec<&'static str> {
    COMPOSE
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(':'))
        .map(str::trim)
        .collect()
}

#[test]
fn the_dockerfile_has_only_known_instructions_and_two_stages() {
    let known = [
        "FROM",
        "RUN",
        "WORKDIR",
        "COPY",
        "ENV",
        "EXPOSE",
        "VOLUME",
        "HEALTHCHECK",
        "STOPSIGNAL",
        "ENTRYPOINT",
        "CMD",
    ];
    for (instruction, arguments) in instructions() {
        assert!(known.contains(&instruction.as_str()), "{instruction} {arguments}");
        assert!(
            !arguments.ends_with('\\') && !arguments.contains("&&  &&"),
            "{arguments}"
        );
    }
    assert_eq!(
        arguments("FROM"),
        ["rust:1.95-bookworm AS build", "debian:bookworm-slim"]
    );
    let rust = format!("FROM rust:{}-bookworm", env!("CARGO_PKG_RUST_VERSION"));
    assert!(
        DOCKERFILE.contains(&rust),
        "the image builds with another Rust than the workspace asks for"
    );
    assert!(arguments("USER").is_empty(), "the user is the operator's choice");
}

#[test]
fn the_build_sees_everything_it_needs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seen: Vec<&str> = IGNORED.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "storage-engine",
        "compat-tests",
        "tests",
    ] {
        assert!(seen.contains(&needed), "{needed}");
        assert!(root.join(needed).exists(), "{needed}");
    }
    assert!(IGNORED.lines().any(|line| line == "*"));
}

#[test]
fn the_image_runs_a_server_that_others_can_reach() {
    let entrypoint = words(&arguments("ENTRYPOINT")[0]);
    let command = words(&arguments("CMD")[0]);
    match parse(entrypoint.iter().cloned().chain(command).collect()).unwrap() {
        Command::Server(args) => assert_eq!(args.paths, ["/data"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(arguments("ENV"), ["MINIO_ADDRESS=\":9000\""]);
    assert_eq!(arguments("EXPOSE"), ["9000 9001"]);
    assert_eq!(arguments("VOLUME"), ["[\"/data\"]"]);
    let health = &arguments("HEALTHCHECK")[0];
    let (_, command) = health.split_once("CMD ").unwrap();
    assert!(matches!(parse(words(command)).unwrap(), Command::Mc(line) if line == ["mc", "ready", "local"]));
}

#[test]
fn the_compose_file_of_minio_keeps_its_lines() {
    let command = compose("command")[0].replace('"', "");
    let line = std::iter::once("drystone")
        .chain(command.split_whitespace())
        .map(OsString::from);
    match parse(line.collect()).unwrap() {
        Command::Server(args) => {
            assert_eq!(
                (args.paths, args.console_address.as_deref()),
                (vec!["/data".into()], Some(":9001"))
            );
        }
        other => panic!("{other:?}"),
    }
    let test = words(compose("test")[0]);
    assert_eq!(test[0], "CMD");
    assert!(matches!(
        parse(test[1..].to_vec()).unwrap(),
        Command::Mc(line) if line == ["mc", "ready", "local"]
    ));
    let names = COMPOSE
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("# ").split_once(':'));
    let variables: Vars = names
        .filter(|(name, _)| name.starts_with("MINIO_"))
        .map(|(name, _)| (name, "x"))
        .collect();
    assert_eq!(variables.without_meaning(), Vec::<String>::new());
    assert!(!COMPOSE.contains('\t'));
}
