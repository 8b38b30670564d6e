//! The project's own files, read once for the rules; or a few planted ones, to see that a rule bites.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::source::Source;

const CODE_FOLDERS: [&str; 4] = ["src", "storage-engine", "compat-tests", "tests"];
const TEXT_FOLDERS: [&str; 6] = [
    "docs",
    "docker",
    "examples/bkend",
    "examples/redwood",
    "examples/relay",
    "examples/web",
];
const TEXT_FILES: [&str; 8] = [
    ".ci/run",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "deny.toml",
];

pub(crate) struct Tree {
    pub(crate) sources: Vec<Source>,
    /// Everything else, by path relative to the root.
    pub(crate) texts: BTreeMap<String, String>,
}

impl Tree {
    /// The project as it stands.
    pub(crate) fn of_project() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = BTreeMap::new();
        for folder in CODE_FOLDERS.iter().chain(&TEXT_FOLDERS) {
            read_folder(root, folder, &mut files);
        }
        for file in TEXT_FILES {
            // A missing one is for the rules to miss.
            if let Ok(text) = fs::read_to_string(root.join(file)) {
                files.insert(file.to_owned(), text);
            }
        }
        Self::of_files(files)
    }

    /// A tree of these files alone.
    pub(crate) fn planted(files: &[(&str, &str)]) -> Self {
        Self::of_files(
            files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect(),
        )
    }

    fn of_files(files: BTreeMap<String, String>) -> Self {
        let (rust, texts): (BTreeMap<_, _>, BTreeMap<_, _>) =
            files.into_iter().partition(|(path, _)| path.ends_with(".rs"));
        let mut sources: Vec<Source> = rust.iter().map(|(path, text)| Source::parse(path, text)).collect();
        mark_test_modules(&mut sources);
        Self { sources, texts }
    }

    /// Files under `folder`.
    pub(crate) fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a Source> {
        self.sources
            .iter()
            .filter(move |source| source.path.starts_with(folder))
    }
}

fn read_folder(root: &Path, folder: &str, files: &mut BTreeMap<String, String>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else {
        return;
    };
    for entry in entries {
        let entry = entry.expect("a folder of the project can be listed");
        let name = entry
            .file_name()
            .into_string()
            .expect("file names of the project are UTF-8");
        let path = format!("{folder}/{name}");
        let kept = [".rs", ".md", ".toml", ".yaml"].iter().any(|end| name.ends_with(end));
        if entry.file_type().expect("the entry has a type").is_dir() {
            if !matches!(name.as_str(), "target" | "fixtures" | "node_modules") && !name.starts_with('.') {
                read_folder(root, &path, files);
            }
        } else if kept {
            let text = fs::read_to_string(entry.path()).unwrap_or_else(|error| panic!("{path}: {error}"));
            files.insert(path, text);
        }
    }
}

/// `#[cfg(test)] mod name;` makes test code of `name.rs`, or of all in `name/`.
fn mark_test_modules(sources: &mut [Source]) {
    let mut test_modules = Vec::new();
    for source in sources.iter() {
        let folder = child_folder(&source.path);
        let declared = source
            .modules()
            .into_iter()
            .filter(|module| module.test && module.in_file);
        test_modules.extend(declared.map(|module| format!("{folder}{}", module.name)));
    }
    for source in sources {
        source.all_test |= test_modules.iter().any(|module| {
            source
                .path
                .strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
    }
}

/// Where the modules that this file declares have their files.
fn child_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "mod.rs" | "lib.rs" | "main.rs" => format!("{folder}/"),
        _ => format!("{folder}/{}/", name.trim_end_matches(".rs")),
    }
}
