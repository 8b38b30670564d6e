//! `mc tree` and `mc du`: folders as a tree, and how much is below them. A folder is known to be complete when the walk
//! has left it, so nothing but the folders it is in is held; the tree holds one bucket's folders.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::client::ClientError;
use super::list::described;
use super::output::{Failure, human};
use super::place::{Place, base_name};
use super::shell::Shell;
use super::walk::{Walk, folder_key};

#[derive(Debug, Args)]
pub(super) struct DuArgs {
    /// Folders, too, so many levels below
    #[arg(long, short, value_name = "LEVELS", conflicts_with = "recursive")]
    depth: Option<usize>,
    /// All folders, too
    #[arg(long, short)]
    recursive: bool,
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Usage {
    name: String,
    bytes: u64,
    objects: u64,
}

pub(super) async fn du(shell: &Shell, args: DuArgs) -> Result<(), Failure> {
    for target in &args.targets {
        let place = shell.place(target)?;
        let failed = |error: ClientError| {
            Failure::fatal(format!("Failed to find disk usage of `{target}` recursively.")).because(&error)
        };
        let levels = if args.recursive {
            usize::MAX
        } else {
            args.depth.unwrap_or(1).saturating_sub(1)
        };
        let (root, places) = match &place {
            Place::Local(path) => (
                base_name(&path.display().to_string()).to_owned(),
                vec![(String::new(), place.clone())],
            ),
            Place::Remote(remote) if remote.bucket.is_empty() => {
                let buckets = shell.buckets_of(remote.clone()).await.map_err(failed)?;
                let places = buckets
                    .into_iter()
                    .map(|remote| (format!("{}/", remote.bucket), Place::Remote(remote)));
                (String::new(), places.collect())
            }
            Place::Remote(remote) => {
                let name = format!("{}/{}", remote.bucket, remote.key);
                (
                    name.trim_end_matches('/').to_owned(),
                    vec![(String::new(), place.clone())],
                )
            }
        };
        let mut sums = Sums {
            shell,
            levels,
            open: vec![Usage {
                name: root,
                ..Usage::default()
            }],
        };
        for (before, place) in places {
            let mut walk = Walk::below(&place);
            while let Some(entry) = walk.next().await.map_err(failed)? {
                sums.add(&format!("{before}{}", entry.name), entry.size);
            }
        }
        sums.close_to(0);
    }
    Ok(())
}

/// Sums of the folders that the walk is in, the outermost first.
struct Sums<'a> {
    shell: &'a Shell,
    levels: usize,
    open: Vec<Usage>,
}

impl Sums<'_> {
    fn add(&mut self, name: &str, bytes: u64) {
        let root = self.open.first().map(|usage| usage.name.clone()).unwrap_or_default();
        let folders = name.rsplit_once('/').map_or("", |(folders, _)| folders);
        let mut path = root;
        let mut depth = 1;
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            path = if path.is_empty() {
                part.to_owned()
            } else {
                format!("{path}/{part}")
            };
            if self.open.get(depth).is_none_or(|usage| usage.name != path) {
                self.close_to(depth);
                self.open.push(Usage {
                    name: path.clone(),
                    ..Usage::default()
                });
            }
            depth += 1;
        }
        self.close_to(depth);
        if let Some(innermost) = self.open.last_mut() {
            innermost.bytes += bytes;
            innermost.objects += 1;
        }
    }

    /// Tells of the folders that are deeper, and adds them to the one around them.
    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            let Some(closed) = self.open.pop() else { return };
            if let Some(around) = self.open.last_mut() {
                around.bytes += closed.bytes;
                around.objects += closed.objects;
            }
            if self.open.len() > self.levels {
                continue;
            }
            let value = json!({
                "prefix": closed.name,
                "size": closed.bytes,
                "objects": closed.objects,
                "status": "success",
                "isVersions": false,
            });
            let noun = if closed.objects == 1 { "object" } else { "objects" };
            let size = human(closed.bytes).replace(' ', "");
            self.shell
                .out
                .say(&value, &format!("{size}\t{} {noun}\t{}", closed.objects, closed.name));
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct TreeArgs {
    /// Files and objects, too
    #[arg(long, short)]
    files: bool,
    /// So many levels
    #[arg(long, short, value_name = "LEVELS", default_value_t = -1, allow_negative_numbers = true)]
    depth: i64,
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
}

/// A folder with what is in it.
#[derive(Default)]
struct Node {
    files: Vec<String>,
    folders: BTreeMap<String, Node>,
}

pub(super) async fn tree(shell: &Shell, args: TreeArgs) -> Result<(), Failure> {
    for target in &args.targets {
        let failed = |error: ClientError| Failure::fatal(format!("Unable to tree `{target}`.")).because(&error);
        let places = match shell.place(target)? {
            Place::Remote(remote) => {
                let named = remote.bucket.clone();
                let buckets = shell.buckets_of(remote).await.map_err(failed)?;
                let before = |bucket: &str| {
                    if named.is_empty() {
                        format!("{bucket}/")
                    } else {
                        String::new()
                    }
                };
                buckets
                    .into_iter()
                    .map(|remote| (before(&remote.bucket), Place::Remote(remote)))
                    .collect()
            }
            local @ Place::Local(_) => vec![(String::new(), local)],
        };
        let mut root = Node::default();
        for (before, place) in &places {
            if !before.is_empty() {
                root.folders.entry(before.trim_end_matches('/').to_owned()).or_default();
            }
            let mut walk = Walk::below(place);
            while let Some(entry) = walk.next().await.map_err(failed)? {
                if shell.out.json {
                    shell.out.say(&described(&entry, &base_url(place)), "");
                } else {
                    root.add(&format!("{before}{}", entry.name), args.files);
                }
            }
        }
        if !shell.out.json {
            let mut text = target.trim_end_matches('/').to_owned();
            root.draw("", usize::try_from(args.depth).unwrap_or(usize::MAX), &mut text);
            shell.out.say(&json!({}), &text);
        }
    }
    Ok(())
}

fn base_url(place: &Place) -> String {
    match place {
        Place::Local(path) => format!("{}/", path.display().to_string().trim_end_matches('/')),
        Place::Remote(remote) => remote.client.url_of(&remote.bucket, &folder_key(&remote.key)),
    }
}

impl Node {
    fn add(&mut self, name: &str, files: bool) {
        match name.split_once('/') {
            Some((folder, rest)) => self.folders.entry(folder.to_owned()).or_default().add(rest, files),
            None if files && !name.is_empty() => self.files.push(name.to_owned()),
            None => {}
        }
    }

    /// Files first, then folders, each with a branch before it.
    fn draw(&self, before: &str, levels: usize, text: &mut String) {
        if levels == 0 {
            return;
        }
        let last = self.files.len() + self.folders.len();
        let files = self.files.iter().map(|name| (name, None));
        let folders = self.folders.iter().map(|(name, node)| (name, Some(node)));
        for (i, (name, node)) in files.chain(folders).enumerate() {
            let (branch, under) = if i + 1 == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            text.push_str(&format!("\n{before}{branch}{name}"));
            if let Some(node) = node {
                node.draw(&format!("{before}{under}"), levels - 1, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(names: &[&str], files: bool, levels: usize) -> String {
        let mut root = Node::default();
        names.iter().for_each(|name| root.add(name, files));
        let mut text = "x".to_owned();
        root.draw("", levels, &mut text);
        text
    }

    #[test]
    fn a_tree_shows_folders_and_files_in_their_places() {
        let names = ["a/b/y", "a/x", "d/e/f", "z"];
        assert_eq!(drawn(&names, false, usize::MAX), "x\n├─ a\n│  └─ b\n└─ d\n   └─ e");
        assert_eq!(drawn(&names, true, 1), "x\n├─ z\n├─ a\n└─ d");
    }
}
