//! The suite of real clients: every test drives one outside client against a server of its own on a fresh store.
//!
//! A client that cannot be fetched is a failure in CI; elsewhere its tests are skipped, listed and counted at the end.

mod admin;
mod aws_cli;
mod aws_sdk_rust;
mod browser;
mod clock;
mod compose;
mod drives;
mod files;
mod guide;
mod inspect;
mod ldap;
mod mc;
mod mc_breaks;
mod mc_transcript;
mod proxy;
mod rclone;
mod readme;
mod restic;
mod s3cmd;
mod scan;
mod scripts;
mod soak;
mod stage;
mod strikes;
mod survive;
mod tls;
mod uploads;
mod web;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use compat_tests::clients::{Client, in_ci};
use compat_tests::{mounts, strace};
use libtest_mimic::{Arguments, Failed, Trial};
use stage::{Needs, Test};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Tests that fill two cores for minutes would only starve each other's time limits.
    arguments.test_threads.get_or_insert(2);
    let tests: Vec<Test> = all().into_iter().filter(|test| wanted(&arguments, test.name)).collect();
    let clients = if arguments.list { HashMap::new() } else { fetch(&tests) };
    let mounts_needed = !arguments.list && tests.iter().any(|test| matches!(test.needs, Needs::Mounts));
    let strace_needed = !arguments.list && tests.iter().any(|test| matches!(test.needs, Needs::Strace));
    let no_strace = if strace_needed { strace::missing() } else { None };
    let no_mounts = if mounts_needed { mounts::missing() } else { None };
    let mut skipped = Vec::new();
    let trials = tests
        .into_iter()
        .map(|test| {
            let program = match test.needs {
                Needs::Nothing => Ok(PathBuf::new()),
                Needs::Mounts => no_mounts.clone().map_or(Ok(PathBuf::new()), Err),
                Needs::Strace => no_strace.clone().map_or(Ok(PathBuf::new()), Err),
                Needs::Client(_) | Needs::Clients(_) => first_of(test.needs.clients(), &clients),
            };
            let missing = program.as_ref().err().cloned();
            if let (Some(why), false) = (&missing, in_ci()) {
                skipped.push(format!("{}: {why}", test.name));
            }
            let name = test.name;
            Trial::test(name, move || match program {
                Ok(program) => stage::run_on_stage(&test, &program).map_err(|error| Failed::from(format!("{error:#}"))),
                Err(why) => Err(Failed::from(format!("what it needs is missing: {why}"))),
            })
            .with_ignored_flag(missing.is_some() && !in_ci())
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        for line in &skipped {
            println!("skipped client test {line}");
        }
        println!("skipped client tests: {}", skipped.len());
    }
    conclusion.exit_code()
}

/// Every test of the suite.
fn all() -> Vec<Test> {
    [
        admin::tests(),
        aws_cli::tests(),
        scripts::tests(),
        tls::tests(),
        aws_sdk_rust::tests(),
        rclone::tests(),
        restic::tests(),
        s3cmd::tests(),
        mc::tests(),
        mc_breaks::tests(),
        mc_transcript::tests(),
        ldap::tests(),
        survive::tests(),
        strikes::tests(),
        soak::tests(),
        drives::tests(),
        files::tests(),
        scan::tests(),
        inspect::tests(),
        uploads::tests(),
        browser::tests(),
        web::tests(),
        clock::tests(),
        compose::tests(),
        proxy::tests(),
        readme::tests(),
        guide::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether the arguments ask for this test, by the rules of the standard test runner.
fn wanted(arguments: &Arguments, name: &str) -> bool {
    let fits = |pattern: &String| {
        if arguments.exact {
            name == pattern
        } else {
            name.contains(pattern.as_str())
        }
    };
    arguments.filter.as_ref().is_none_or(fits) && !arguments.skip.iter().any(fits)
}

/// The program of the first of these clients, if all of them could be fetched.
fn first_of(needed: &[Client], fetched: &HashMap<&'static str, Result<PathBuf, String>>) -> Result<PathBuf, String> {
    let programs = needed.iter().filter_map(|client| fetched.get(client.name()).cloned());
    let programs: Vec<PathBuf> = programs.collect::<Result<_, _>>()?;
    Ok(programs.into_iter().next().unwrap_or_default())
}

/// Fetches the clients these tests need, two at a time; a failure is kept as its message.
fn fetch(tests: &[Test]) -> HashMap<&'static str, Result<PathBuf, String>> {
    let mut needed: Vec<Client> = Vec::new();
    for test in tests {
        for client in test.needs.clients() {
            if !needed.contains(client) {
                needed.push(*client);
            }
        }
    }
    let half = needed.len().div_ceil(2).max(1);
    std::thread::scope(|scope| {
        let lanes: Vec<_> = needed
            .chunks(half)
            .map(|clients| {
                scope.spawn(move || {
                    let got = |client: &Client| {
                        println!("fetching {}, if it is not in the cache yet", client.name());
                        client.fetch().map_err(|error| format!("{error:#}"))
                    };
                    clients
                        .iter()
                        .map(|client| (client.name(), got(client)))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        lanes
            .into_iter()
            .flat_map(|lane| lane.join().unwrap_or_default())
            .collect()
    })
}
