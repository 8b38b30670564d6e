//! Holds the house rules that no lint holds: who may import what, how long things may get, what the documents promise.
//!
//! Each test first plants a breach and sees the rule find it, then looks at the project. It never judges style.

mod rules;
mod source;
mod tree;

use rules::Rule;
use source::Source;
use tree::Tree;

type File<'a> = (&'a str, &'a str);

/// The rule finds something in each of `breaches`, nothing in `fine`, and nothing in the project.
fn hold(rule: Rule, breaches: &[File<'_>], fine: &[File<'_>]) {
    for breach in breaches {
        assert!(
            !rule(&Tree::planted(&[*breach])).is_empty(),
            "the rule misses {breach:?}"
        );
    }
    for file in fine {
        let found = rule(&Tree::planted(&[*file]));
        assert!(found.is_empty(), "the rule is wrong about {file:?}: {found:?}");
    }
    let found = rule(&Tree::of_project());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_project_is_seen_whole() {
    let tree = Tree::of_project();
    for path in [
        "src/main.rs",
        "storage-engine/src/backend.rs",
        "compat-tests/src/lib.rs",
        "tests/it/tidy/mod.rs",
    ] {
        assert!(
            tree.sources.iter().any(|source| source.path == path),
            "{path} is not among the files read"
        );
    }
    for path in [
        "Cargo.toml",
        "storage-engine/Cargo.toml",
        "README.md",
        "docs/glossary.md",
    ] {
        assert!(tree.texts.contains_key(path), "{path} is not among the files read");
    }
}

#[test]
fn sled_is_named_in_one_file() {
    hold(
        rules::sled_is_named_in_one_file,
        &[
            ("storage-engine/src/embedded/index/mod.rs", "use sled::Tree;"),
            (
                "storage-engine/src/embedded/commit.rs",
                "fn f() { let _ = ::sled::open(\"x\"); }",
            ),
            ("storage-engine/tests/it.rs", "use {sled::Db, std::io};"),
            ("compat-tests/Cargo.toml", "[dependencies]\nsled = \"0.34\"\n"),
        ],
        &[
            ("storage-engine/src/embedded/index/database.rs", "use sled::Tree;"),
            (
                "storage-engine/src/embedded/index/mod.rs",
                "mod database;\npub use self::database::Index; // not sled::Tree",
            ),
            ("storage-engine/Cargo.toml", "[dependencies]\nsled.workspace = true\n"),
        ],
    );
}

#[test]
fn s3s_stays_in_the_s3_front() {
    hold(
        rules::s3s_stays_in_the_s3_front,
        &[
            ("src/auth/mod.rs", "use s3s::S3Error;"),
            ("src/http/mod.rs", "fn f() -> Option<s3s::S3Error> { None }"),
            ("storage-engine/src/store/mod.rs", "use s3s::dto::{self};"),
        ],
        &[
            ("src/s3/mod.rs", "use s3s::S3;"),
            ("src/server.rs", "use s3s::service::S3ServiceBuilder;"),
        ],
    );
}

#[test]
fn engine_file_io_stays_under_drive() {
    hold(
        rules::engine_file_io_stays_under_drive,
        &[
            ("storage-engine/src/embedded/log.rs", "use std::{fs, io};"),
            (
                "storage-engine/src/embedded/log.rs",
                "fn f() { drop(std::fs::read(\"x\")) }",
            ),
            ("storage-engine/src/embedded/root/mod.rs", "use tokio::fs::File;"),
            (
                "storage-engine/src/embedded/index/database.rs",
                "use rustix::fs::fdatasync;",
            ),
            (
                "storage-engine/src/embedded/log.rs",
                "fn f() {}\n#[cfg(not(test))]\nuse std::fs::File;",
            ),
        ],
        &[
            ("storage-engine/src/embedded/drive/file.rs", "use std::fs::File;"),
            (
                "storage-engine/src/embedded/log.rs",
                "//! std::fs\nconst A: &str = \"std::fs\";",
            ),
            (
                "storage-engine/src/embedded/log.rs",
                "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
            ),
            ("storage-engine/tests/crash.rs", "use std::fs;"),
            ("src/config/mod.rs", "use std::fs;"),
        ],
    );
}

#[test]
fn engine_has_no_http() {
    hold(
        rules::engine_has_no_http,
        &[
            (
                "storage-engine/Cargo.toml",
                "[dependencies]\nbytes = \"1\"\nhttp.workspace = true\n",
            ),
            (
                "storage-engine/Cargo.toml",
                "[dev-dependencies]\nh = { package = \"hyper\", version = \"1\" }\n",
            ),
            ("storage-engine/Cargo.toml", "[dependencies.axum]\nversion = \"0.8\"\n"),
        ],
        &[(
            "storage-engine/Cargo.toml",
            "[package]\nname = \"http\"\n[dependencies]\nbytes = \"1\"\n",
        )],
    );
}

#[test]
fn fronts_never_import_each_other() {
    hold(
        rules::fronts_never_import_each_other,
        &[
            ("src/s3/object.rs", "use crate::admin::drives;"),
            ("src/files/mod.rs", "use super::s3::convert;"),
            ("src/files/upload.rs", "use super::super::s3::convert;"),
            ("src/auth/mod.rs", "use crate::{config::Config, s3::error};"),
            ("src/access/mod.rs", "fn f() { crate::console::page() }"),
        ],
        &[
            (
                "src/s3/object.rs",
                "use crate::s3::convert; use super::error; use super::super::access;",
            ),
            ("src/server.rs", "use crate::{admin, s3};"),
        ],
    );
}

#[test]
fn environment_is_read_in_config() {
    hold(
        rules::environment_is_read_in_config,
        &[
            ("src/auth/mod.rs", "use std::env;"),
            ("src/main.rs", "fn main() { drop(std::env::var(\"HOME\")) }"),
            (
                "storage-engine/src/embedded/mod.rs",
                "fn f() { drop(std::env::var_os(\"HOME\")) }",
            ),
        ],
        &[
            ("src/config/mod.rs", "use std::env;"),
            ("src/main.rs", "fn main() { drop(std::env::args_os()) }"),
            ("src/lib.rs", "const V: &str = env!(\"CARGO_PKG_VERSION\");"),
        ],
    );
}

#[test]
fn modules_say_what_they_own() {
    hold(
        rules::modules_say_what_they_own,
        &[
            ("src/http/mod.rs", "use std::io;"),
            ("src/http/limits.rs", "/// Limits.\nconst A: u8 = 1;"),
        ],
        &[
            ("src/http/mod.rs", "//! The edge.\n"),
            ("src/http/tests.rs", "use super::*;"),
        ],
    );
}

#[test]
fn globals_are_metrics() {
    hold(
        rules::globals_are_metrics,
        &[
            ("src/auth/mod.rs", "static KEYS: Mutex<u8> = Mutex::new(1);"),
            ("storage-engine/src/a.rs", "fn f() { static mut N: u8 = 1; }"),
            ("src/a.rs", "thread_local! { static N: Cell<u8> = Cell::new(1); }"),
        ],
        &[
            (
                "src/a.rs",
                "const A: &'static str = \"a\"; fn f<T: 'static>(t: &'static T) {}",
            ),
            (
                "src/main.rs",
                "#[global_allocator]\nstatic GLOBAL: Jemalloc = Jemalloc;",
            ),
            ("src/a.rs", "#[cfg(test)]\nmod tests { static N: u8 = 1; }"),
        ],
    );
}

#[test]
fn packages_inherit_the_lints() {
    hold(
        rules::packages_inherit_the_lints,
        &[
            ("compat-tests/Cargo.toml", "[package]\nname = \"a\"\n"),
            (
                "compat-tests/Cargo.toml",
                "[package]\nname = \"a\"\n\n[lints]\n[lints.rust]\n",
            ),
        ],
        &[(
            "compat-tests/Cargo.toml",
            "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n",
        )],
    );
}

#[test]
fn modules_are_named_for_a_thing() {
    hold(
        rules::modules_are_named_for_a_thing,
        &[
            ("src/lib.rs", "mod utils;"),
            ("src/s3/mod.rs", "pub(crate) mod common { }"),
        ],
        &[("src/lib.rs", "mod http;\nfn common() {}")],
    );
}

#[test]
fn folders_have_a_mod_file() {
    let both = Tree::planted(&[("src/s3.rs", "//! S3."), ("src/s3/object.rs", "//! Objects.")]);
    assert_eq!(rules::folders_have_a_mod_file(&both).len(), 1);
    hold(rules::folders_have_a_mod_file, &[], &[("src/s3/mod.rs", "//! S3.")]);
}

#[test]
fn files_are_short() {
    let line = "const A: u8 = 1;\n";
    let long = line.repeat(rules::FILE_LINES_MAX + 1);
    let full = line.repeat(rules::FILE_LINES_MAX);
    let with_tests = format!("{full}#[cfg(test)]\nmod tests {{\n{line}}}\n");
    hold(
        rules::files_are_short,
        &[("src/a.rs", &long)],
        &[("src/a.rs", &full), ("src/a.rs", &with_tests)],
    );
}

#[test]
fn functions_are_short() {
    let body = |lines: usize| "    g();\n".repeat(lines);
    let long = format!(
        "impl A {{ fn f(&self) -> u8 {{\n{}}} }}",
        body(rules::FUNCTION_LINES_MAX + 1)
    );
    let full = format!("fn f() {{\n    // why\n\n{}}}", body(rules::FUNCTION_LINES_MAX));
    hold(
        rules::functions_are_short,
        &[("src/a.rs", &long)],
        &[("src/a.rs", &full)],
    );
}

#[test]
fn the_map_stays_short() {
    let long = "line\n".repeat(rules::ARCHITECTURE_LINES_MAX + 1);
    hold(
        rules::the_map_stays_short,
        &[("ARCHITECTURE.md", &long), ("README.md", "")],
        &[("ARCHITECTURE.md", "# The map\n")],
    );
}

#[test]
fn readme_commands_are_what_ci_runs() {
    let rule = rules::readme_commands_are_what_ci_runs;
    let readme = "```\ncargo run --release -- server ./data{1...4}\ncargo test --workspace\n```\n";
    let found = |readme, manifest, ci| {
        rule(&Tree::planted(&[
            ("README.md", readme),
            ("Cargo.toml", manifest),
            (".ci/run", ci),
        ]))
        .len()
    };
    assert_eq!(
        found(
            readme,
            "default-run = \"drystone\"",
            "CI=true cargo test --workspace --locked\n"
        ),
        0
    );
    assert_eq!(
        found(
            readme,
            "default-run = \"drystone\"",
            "# cargo test --workspace\ncargo test --lib\n"
        ),
        1
    );
    assert_eq!(found(readme, "", "cargo test --workspace\n"), 1);
    assert_eq!(
        found("cargo test\n", "default-run = \"drystone\"", "cargo test --workspace\n"),
        2
    );
    hold(rule, &[], &[]);
}

#[test]
fn links_lead_somewhere() {
    let good = Tree::planted(&[
        (
            "README.md",
            "[map](ARCHITECTURE.md#a) [adr](docs/adr) [web](https://example.org/a)",
        ),
        ("ARCHITECTURE.md", "[src](src/s3/)"),
        ("src/s3/mod.rs", "//! S3."),
        ("docs/adr/0001.md", "[back](../../README.md)"),
    ]);
    assert_eq!(rules::links_lead_somewhere(&good), Vec::<String>::new());
    hold(
        rules::links_lead_somewhere,
        &[("README.md", "[gone](docs/gone.md)")],
        &[],
    );
}

#[test]
fn a_module_behind_cfg_test_is_test_code() {
    let tree = Tree::planted(&[
        (
            "src/a/mod.rs",
            "#[cfg(test)]\nmod faulty;\nmod real;\n#[cfg(all(unix, test))] mod more;",
        ),
        ("src/a/faulty.rs", "use std::env;"),
        ("src/a/more/deep.rs", "use std::env;"),
        ("src/a/real.rs", "use std::env;"),
    ]);
    let tests: Vec<&str> = tree
        .sources
        .iter()
        .filter(|s| s.all_test)
        .map(|s| s.path.as_str())
        .collect();
    assert_eq!(tests, ["src/a/faulty.rs", "src/a/more/deep.rs"]);
}

#[test]
fn use_trees_are_unfolded() {
    let text = "use a::{b::{self, c as d}, e::*, f};\nfn g() { h!(i::j::<K>(l::m), n) }";
    let paths: Vec<String> = Source::parse("src/a.rs", text)
        .paths()
        .iter()
        .map(|named| named.segments.join("::"))
        .collect();
    assert_eq!(paths, ["a::b::self", "a::b::c", "a::e", "a::f", "i::j", "l::m"]);
}
