//! Files and directories around the index: durable marker, inventory, setting aside, removal. It never looks into the
//! index's own files and never touches a shard file; an error here is an error of the index, never of a drive.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use minicbor::{Decode, Encode};

use super::EXTENT_DIR;
use crate::embedded::detached;

/// A file below a directory, as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FileFacts {
    /// Path below the directory, with `/` between its parts.
    #[n(0)]
    pub path: String,
    #[n(1)]
    pub len: u64,
    /// CRC-32 of the contents.
    #[n(2)]
    pub crc: u32,
}

/// Makes a directory and those above it; durable when it returns.
pub fn make_dirs(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = parent_of(dir) {
        make_dirs(parent)?;
    }
    make_dir(dir)
}

/// Makes one directory where the one above it is; durable when it returns. Where a drive went away none is made in its
/// place. Only the folder of the extents, which holds nothing but directories, is made with the first of them.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    if let Some(extents) = parent_of(dir).filter(|above| above.ends_with(EXTENT_DIR)) {
        make_below(extents)?;
    }
    make_below(dir)
}

fn make_below(dir: &Path) -> io::Result<()> {
    let Some(parent) = parent_of(dir) else { return Ok(()) };
    match fs::create_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        Ok(()) | Err(_) => sync_dir(parent),
    }
}

/// Syncs every file and directory of a tree, and the directory that names it.
pub fn sync_tree(dir: &Path) -> io::Result<()> {
    walk(dir, &mut |path, is_dir| {
        if is_dir {
            sync_dir(path)
        } else {
            File::open(path)?.sync_all()
        }
    })?;
    sync_dir(dir)?;
    parent_of(dir).map_or(Ok(()), sync_dir)
}

/// Every file below `dir` with length and checksum, in the order of their paths.
pub fn inventory(dir: &Path) -> io::Result<Vec<FileFacts>> {
    let mut files = Vec::new();
    walk(dir, &mut |path, is_dir| {
        if !is_dir {
            files.push(facts(dir, path)?);
        }
        Ok(())
    })?;
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Whether the files below `dir` have exactly these names, lengths and checksums; lengths are compared first.
pub fn matches_inventory(dir: &Path, expected: &[FileFacts]) -> io::Result<bool> {
    let mut found = Vec::new();
    walk(dir, &mut |path, is_dir| {
        if !is_dir {
            found.push((relative(dir, path), fs::metadata(path)?.len()));
        }
        Ok(())
    })?;
    found.sort_unstable();
    let expected_lens: Vec<_> = expected.iter().map(|f| (f.path.clone(), f.len)).collect();
    Ok(found == expected_lens && inventory(dir)? == expected)
}

/// Bytes the files below `dir` take on disk; what vanishes meanwhile is not counted.
pub fn disk_bytes(dir: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    walk(dir, &mut |path, _| {
        match fs::symlink_metadata(path) {
            Ok(meta) => bytes += meta.blocks() * 512,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        Ok(())
    })?;
    Ok(bytes)
}

/// Reads a small file whole; `None` if it is absent or longer than `bytes_max`.
pub fn read_small(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    let read = file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((read as u64 <= bytes_max).then_some(bytes))
}

/// Puts a file in place whole, on stable media, or leaves what was there.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = path.with_extension("new");
    let mut file = File::create(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    parent_of(path).map_or(Ok(()), sync_dir)
}

/// Leaves an empty file, whatever stood there.
pub fn empty_durably(path: &Path) -> io::Result<()> {
    File::create(path)?.sync_all()?;
    parent_of(path).map_or(Ok(()), sync_dir)
}

/// Removes a file; its absence is on stable media when this returns, also if it was absent before.
pub fn remove_durably(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    parent_of(path).map_or(Ok(()), sync_dir)
}

/// Renames every entry of `dir` that `matches`, so that its new name starts with `aside`, and gives the new paths of all
/// entries that are aside, also of earlier times.
pub fn set_aside(dir: &Path, matches: impl Fn(&str) -> bool, aside: &str) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    // All names first: what is renamed must not be met again.
    for entry in fs::read_dir(dir)?.collect::<Vec<_>>() {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(aside) {
            all.push(entry.path());
        } else if matches(name) {
            // An open that was given up may have made its directory a second time.
            let mut target = dir.join(format!("{aside}{name}"));
            while target.exists() {
                target.as_mut_os_string().push("+");
            }
            fs::rename(entry.path(), &target)?;
            all.push(target);
        }
    }
    sync_dir(dir)?;
    Ok(all)
}

/// Removes trees on a thread of its own. What cannot be removed is logged and stays for the next time.
pub fn remove_trees_in_background(trees: Vec<PathBuf>) {
    if trees.is_empty() {
        return;
    }
    let remove = move || {
        for tree in trees {
            // One that is gone was removed by a run that ended meanwhile.
            if let Err(error) = fs::remove_dir_all(&tree)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %tree.display(), %error, "cannot remove an old index");
            }
        }
    };
    if let Err(error) = detached::spawn("index-remove", remove) {
        tracing::warn!(%error, "cannot start a thread to remove old indexes");
    }
}

fn facts(dir: &Path, path: &Path) -> io::Result<FileFacts> {
    let mut file = File::open(path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut len = 0;
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        hasher.update(bytes);
        len += read as u64;
    }
    Ok(FileFacts {
        path: relative(dir, path),
        len,
        crc: hasher.finalize(),
    })
}

fn relative(dir: &Path, path: &Path) -> String {
    path.strip_prefix(dir).unwrap_or(path).to_string_lossy().into_owned()
}

/// Visits every file and directory below `dir`, a directory after what it holds.
fn walk(dir: &Path, visit: &mut dyn FnMut(&Path, bool) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let is_dir = entry.file_type()?.is_dir();
        if is_dir {
            walk(&path, visit)?;
        }
        visit(&path, is_dir)?;
    }
    Ok(())
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The directory that names `path`; `None` for the root.
fn parent_of(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    Some(if parent.as_os_str() == OsStr::new("") {
        Path::new(".")
    } else {
        parent
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_sees_a_changed_byte_a_cut_a_new_and_a_missing_file() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/b");
        make_dirs(&root.join("blobs")).unwrap();
        fs::write(root.join("db"), b"0123456789").unwrap();
        fs::write(root.join("blobs/1"), b"x").unwrap();
        sync_tree(&root).unwrap();
        let known = inventory(&root).unwrap();
        assert_eq!(
            known.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
            ["blobs/1", "db"]
        );
        assert!(matches_inventory(&root, &known).unwrap());

        for damage in [b"0123406789".as_slice(), b"012345678", b"0123456789x"] {
            fs::write(root.join("db"), damage).unwrap();
            assert!(!matches_inventory(&root, &known).unwrap(), "{damage:?}");
        }
        fs::write(root.join("db"), b"0123456789").unwrap();
        fs::write(root.join("more"), b"").unwrap();
        assert!(!matches_inventory(&root, &known).unwrap());
        fs::remove_file(root.join("more")).unwrap();
        assert!(matches_inventory(&root, &known).unwrap());
        fs::remove_file(root.join("blobs/1")).unwrap();
        assert!(!matches_inventory(&root, &known).unwrap());
    }

    #[test]
    fn a_small_file_is_put_whole_and_its_removal_may_be_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marker");
        assert_eq!(read_small(&path, 10).unwrap(), None);
        write_durably(&path, b"one").unwrap();
        write_durably(&path, b"two").unwrap();
        assert_eq!(read_small(&path, 3).unwrap(), Some(b"two".to_vec()));
        assert_eq!(read_small(&path, 2).unwrap(), None);
        remove_durably(&path).unwrap();
        remove_durably(&path).unwrap();
        assert_eq!(read_small(&path, 10).unwrap(), None);
    }

    #[test]
    fn only_what_bears_the_prefix_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["tree-1", "tree-2/full", "other", "old-tree-0", "old-tree-2/full"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let mut aside = set_aside(dir.path(), |name| name.starts_with("tree-"), "old-").unwrap();
        aside.sort();
        assert_eq!(
            aside,
            ["old-tree-0", "old-tree-1", "old-tree-2", "old-tree-2+"].map(|n| dir.path().join(n))
        );
        assert!(dir.path().join("other").is_dir());
    }
}
