//! The house rules, each a pure function from a tree to what is wrong with it.
//!
//! A finding names file and line and says what to do instead. CONTRIBUTING.md tells the rules to people.

use super::source::{Named, Source};
use super::tree::Tree;

pub(crate) const FILE_LINES_MAX: usize = 800;
pub(crate) const FUNCTION_LINES_MAX: usize = 70;
pub(crate) const ARCHITECTURE_LINES_MAX: usize = 250;

const FRONTS: [&str; 4] = ["s3", "files", "admin", "console"];
const SLED_FILE: &str = "storage-engine/src/embedded/index/database.rs";
const DRIVE_FOLDER: &str = "storage-engine/src/embedded/drive";
const FILE_IO: [&[&str]; 6] = [
    &["std", "fs"],
    &["std", "os", "unix", "fs"],
    &["std", "os", "linux", "fs"],
    &["std", "path", "Path", "exists"],
    &["tokio", "fs"],
    &["rustix", "fs"],
];
const ENGINE_WITHOUT: [&str; 10] = [
    "axum",
    "clap",
    "http",
    "http-body",
    "http-body-util",
    "hyper",
    "hyper-util",
    "quick-xml",
    "s3s",
    "tower",
];
const MODULE_NAMES_BANNED: [&str; 12] = [
    "common", "helper", "helpers", "manager", "managers", "misc", "shared", "type", "types", "util", "utils", "v2",
];

pub(crate) type Rule = fn(&Tree) -> Vec<String>;

fn starts_with(named: &Named, start: &[&str]) -> bool {
    named.segments.len() >= start.len() && named.segments.iter().zip(start).all(|(have, want)| have == want)
}

fn finding(source: &Source, line: usize, what: &str) -> String {
    format!("{}:{line}: {what}", source.path)
}

/// sled 0.34 is an index we may have to leave: one file knows it.
pub(crate) fn sled_is_named_in_one_file(tree: &Tree) -> Vec<String> {
    let others = tree.sources.iter().filter(|source| source.path != SLED_FILE);
    let named = others.flat_map(|source| {
        let of_crate = source.paths().into_iter().filter(|named| starts_with(named, &["sled"]));
        of_crate.map(|named| finding(source, named.line, &format!("sled is named only in {SLED_FILE}")))
    });
    let manifests = tree.texts.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    let depends = manifests.filter(|(path, text)| {
        !matches!(path.as_str(), "Cargo.toml" | "storage-engine/Cargo.toml")
            && dependencies(text).any(|name| name == "sled")
    });
    named
        .chain(depends.map(|(path, _)| format!("{path}: only storage-engine depends on sled")))
        .collect()
}

/// s3s types stop at the S3 front; the server mounts it.
pub(crate) fn s3s_stays_in_the_s3_front(tree: &Tree) -> Vec<String> {
    let beyond = tree.sources.iter().filter(|source| {
        let mounts = source.path == "src/server.rs" || source.path.starts_with("src/server/");
        !source.all_test && !source.path.starts_with("src/s3/") && !mounts
    });
    beyond
        .flat_map(|source| {
            let of_s3s = source
                .production_paths()
                .into_iter()
                .filter(|named| starts_with(named, &["s3s"]));
            of_s3s.map(|named| finding(source, named.line, "s3s is named only under src/s3/ and by the server"))
        })
        .collect()
}

/// The engine touches files in one folder, so that crash and fault tests see every system call.
pub(crate) fn engine_file_io_stays_under_drive(tree: &Tree) -> Vec<String> {
    let outside = tree.under("storage-engine/src/").filter(|source| {
        !source
            .path
            .strip_prefix(DRIVE_FOLDER)
            .is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    });
    outside
        .flat_map(|source| {
            let io = source
                .production_paths()
                .into_iter()
                .filter(|named| FILE_IO.iter().any(|io| starts_with(named, io)));
            io.map(|named| {
                finding(
                    source,
                    named.line,
                    &format!("{}: file I/O goes through {DRIVE_FOLDER}/", named.segments.join("::")),
                )
            })
        })
        .collect()
}

/// The engine is a library that knows no protocol.
pub(crate) fn engine_has_no_http(tree: &Tree) -> Vec<String> {
    let manifest = tree.texts.get("storage-engine/Cargo.toml").map_or("", String::as_str);
    let banned = dependencies(manifest).filter(|name| ENGINE_WITHOUT.contains(name));
    banned
        .map(|name| format!("storage-engine/Cargo.toml: the engine does not depend on {name}"))
        .collect()
}

/// Fronts meet in `access`, `http` and the engine, never in one another; what they share never knows a front.
pub(crate) fn fronts_never_import_each_other(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for source in tree.under("src/") {
        let home = source
            .path
            .trim_start_matches("src/")
            .split('/')
            .next()
            .unwrap_or("")
            .trim_end_matches(".rs");
        if matches!(home, "main" | "lib" | "server" | "cli") {
            continue;
        }
        for named in source.production_paths() {
            let Some(module) = crate_module(source, &named) else {
                continue;
            };
            if FRONTS.contains(&module) && module != home {
                found.push(finding(
                    source,
                    named.line,
                    &format!("{home} never imports the front {module}"),
                ));
            }
        }
    }
    found
}

/// The first module of a path inside this crate, `super` resolved by where the file stands.
fn crate_module<'a>(source: &'a Source, named: &'a Named) -> Option<&'a str> {
    let first = named.segments.first().map(String::as_str)?;
    if first == "crate" || first == "drystone" {
        return named.segments.get(1).map(String::as_str);
    }
    let ups = named.segments.iter().take_while(|segment| *segment == "super").count();
    let inside = source.path.strip_prefix("src/")?;
    let depth = inside.split('/').filter(|part| *part != "mod.rs").count();
    (ups > 0 && ups >= depth).then(|| named.segments.get(ups).map(String::as_str))?
}

/// One place knows which variables there are; everything else gets its settings as values.
pub(crate) fn environment_is_read_in_config(tree: &Tree) -> Vec<String> {
    let readers = tree.sources.iter().filter(|source| {
        let product = source.path.starts_with("src/") || source.path.starts_with("storage-engine/src/");
        product && !source.path.starts_with("src/config/") && source.path != "src/config.rs"
    });
    readers
        .flat_map(|source| {
            let of_env = source.production_paths().into_iter().filter(|named| {
                let arguments = matches!(named.segments.get(2).map(String::as_str), Some("args" | "args_os"));
                starts_with(named, &["std", "env"]) && !(source.path == "src/main.rs" && arguments)
            });
            of_env.map(|named| finding(source, named.line, "the environment is read in src/config only"))
        })
        .collect()
}

/// The first lines of a module say what it owns and what it never does.
pub(crate) fn modules_say_what_they_own(tree: &Tree) -> Vec<String> {
    // Tests in the source folders belong to the module beside them, which says it for both.
    let beside = |source: &Source| source.all_test && source.path.contains("src/");
    let modules = tree.sources.iter().filter(|source| !beside(source));
    let silent = modules.filter(|source| !source.text.trim_start().starts_with("//!"));
    silent
        .map(|source| finding(source, 1, "a module starts with a paragraph of `//!`"))
        .collect()
}

/// State that everybody reaches is state that nobody owns. Metrics and the allocator are the exceptions.
pub(crate) fn globals_are_metrics(tree: &Tree) -> Vec<String> {
    let product = tree.sources.iter().filter(|source| {
        let excepted = source.path.starts_with("src/telemetry/") || source.path == "src/main.rs";
        source.path.contains("src/") && !excepted
    });
    product
        .flat_map(|source| {
            let statics = source.production_statics().into_iter();
            statics.map(|line| finding(source, line, "no `static`: hand the thing to those who need it"))
        })
        .collect()
}

/// Lints are set once, for every package.
pub(crate) fn packages_inherit_the_lints(tree: &Tree) -> Vec<String> {
    let manifests = tree.texts.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    let without = manifests.filter(|(_, text)| {
        let rest = text.split_once("\n[lints]\n").map_or("", |(_, rest)| rest);
        rest.lines().next().map(str::trim) != Some("workspace = true")
    });
    without
        .map(|(path, _)| format!("{path}: `[lints] workspace = true` is missing"))
        .collect()
}

/// A module is named for the thing in it.
pub(crate) fn modules_are_named_for_a_thing(tree: &Tree) -> Vec<String> {
    tree.sources
        .iter()
        .flat_map(|source| {
            let vague = source
                .modules()
                .into_iter()
                .filter(|module| MODULE_NAMES_BANNED.contains(&module.name.as_str()));
            vague.map(|module| {
                finding(
                    source,
                    module.line,
                    &format!("`mod {}`: name the thing in it", module.name),
                )
            })
        })
        .collect()
}

/// A folder's front page is its mod.rs, never a file beside it.
pub(crate) fn folders_have_a_mod_file(tree: &Tree) -> Vec<String> {
    let beside = tree.sources.iter().filter(|source| {
        let folder = format!("{}/", source.path.trim_end_matches(".rs"));
        tree.sources.iter().any(|other| other.path.starts_with(&folder))
    });
    beside
        .map(|source| finding(source, 1, "make it the mod.rs of its folder"))
        .collect()
}

pub(crate) fn files_are_short(tree: &Tree) -> Vec<String> {
    let long = tree
        .sources
        .iter()
        .filter(|source| source.production_lines() > FILE_LINES_MAX);
    long.map(|source| {
        finding(
            source,
            1,
            &format!("{} lines; a file stops at {FILE_LINES_MAX}", source.production_lines()),
        )
    })
    .collect()
}

pub(crate) fn functions_are_short(tree: &Tree) -> Vec<String> {
    tree.sources
        .iter()
        .flat_map(|source| {
            let long = source
                .functions()
                .into_iter()
                .filter(|function| function.code_lines > FUNCTION_LINES_MAX);
            long.map(|function| {
                let what = format!(
                    "fn {}: {} lines of code; a function stops at {FUNCTION_LINES_MAX}",
                    function.name, function.code_lines
                );
                finding(source, function.line, &what)
            })
        })
        .collect()
}

pub(crate) fn the_map_stays_short(tree: &Tree) -> Vec<String> {
    let lines = tree.texts.get("ARCHITECTURE.md").map_or(0, |text| text.lines().count());
    match lines {
        0 => vec!["ARCHITECTURE.md: missing".to_owned()],
        1..=ARCHITECTURE_LINES_MAX => Vec::new(),
        _ => vec![format!(
            "ARCHITECTURE.md: {lines} lines; the map stops at {ARCHITECTURE_LINES_MAX}"
        )],
    }
}

/// The README's two commands work as pasted, and CI runs the one that tests, word for word.
pub(crate) fn readme_commands_are_what_ci_runs(tree: &Tree) -> Vec<String> {
    const RUN: &str = "cargo run --release -- server ./data{1...4}";
    const TEST: &str = "cargo test --workspace";
    let lines = |path: &str| tree.texts.get(path).map_or("", String::as_str).lines().map(str::trim);
    let mut found = Vec::new();
    for command in [RUN, TEST] {
        if !lines("README.md").any(|line| line == command) {
            found.push(format!("README.md: no line `{command}`"));
        }
    }
    if !lines("Cargo.toml").any(|line| line == "default-run = \"drystone\"") {
        found.push(format!(
            "Cargo.toml: without `default-run` nobody knows what `{RUN}` runs"
        ));
    }
    let ci_tests = lines(".ci/run").any(|line| !line.starts_with('#') && line.contains(TEST));
    if tree.texts.contains_key(".ci/run") && !ci_tests {
        found.push(format!(".ci/run: does not run `{TEST}`"));
    }
    found
}

/// Links between the documents, and from them into the tree, lead somewhere.
pub(crate) fn links_lead_somewhere(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.texts.iter().filter(|(path, _)| path.ends_with(".md")) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in link_targets(text) {
            let file = resolve(folder, target.split('#').next().unwrap_or(target));
            let in_folder = format!("{file}/");
            let known = tree.texts.contains_key(&file)
                || tree.texts.keys().any(|other| other.starts_with(&in_folder))
                || tree
                    .sources
                    .iter()
                    .any(|source| source.path == file || source.path.starts_with(&in_folder));
            if !known {
                found.push(format!("{path}: the link to {target} leads nowhere"));
            }
        }
    }
    found
}

/// Relative targets of `[text](target)`.
fn link_targets(markdown: &str) -> impl Iterator<Item = &str> {
    let ends = markdown.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    ends.map(|(target, _)| target)
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
}

fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Names in the dependency sections of a manifest, renamed ones under their real name too.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut in_dependencies = false;
    manifest.lines().flat_map(move |line| {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            in_dependencies = section.contains("dependencies");
            let table = section.split_once("dependencies.").map(|(_, name)| name);
            return table.into_iter().chain(None);
        }
        let name = line
            .split(['.', '=', ' '])
            .next()
            .filter(|name| in_dependencies && !name.is_empty());
        let real = line
            .split_once("package = \"")
            .and_then(|(_, rest)| rest.split('"').next());
        name.into_iter().chain(real)
    })
}
