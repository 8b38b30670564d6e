//! The folder that salvaged objects go to: `objects/<bucket>/<key>` where a key can be a path, else `renamed/<number>`
//! with a line in `names.jsonl`. No key leads out of it, and nothing that stands is written over. It knows nothing of
//! drives.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

/// Longest name in a path that file systems take.
const NAME_BYTES_MAX: usize = 255;
/// What is being written stands here until it is whole.
const UNFINISHED: &str = "unfinished";

/// Where a key would stand below the folder of objects; `None` if it cannot be a path of its own.
fn plain(bucket: &str, key: &str) -> Option<PathBuf> {
    let fits = |name: &str| {
        let is_name = !name.is_empty() && name != "." && name != "..";
        is_name && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control)
    };
    if !fits(bucket) || bucket.contains('/') || !key.split('/').all(fits) {
        return None;
    }
    let path = Path::new("objects").join(bucket).join(key);
    // Said twice: a name that the standard library reads otherwise than the lines above must not pass.
    let names = path.components().all(|part| matches!(part, Component::Normal(_)));
    names.then_some(path)
}

/// The longest beginning of a path that stands, with all links resolved.
fn standing(path: &Path) -> io::Result<PathBuf> {
    let whole = std::path::absolute(path)?;
    // A name behind `..` would be another one once what is before it is a link.
    if whole.components().any(|part| part == Component::ParentDir) {
        return Err(io::Error::other("give a path without `..`"));
    }
    for above in whole.ancestors() {
        match fs::canonicalize(above) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            answer => return answer,
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn refuse_drives(folder: &Path, drives: &[PathBuf]) -> Result<(), String> {
    let below = |drive: &&PathBuf| fs::canonicalize(drive).is_ok_and(|drive| folder.starts_with(drive));
    match drives.iter().find(below) {
        Some(drive) => Err(format!(
            "{} is on the drive {}: nothing is written there",
            folder.display(),
            drive.display()
        )),
        None => Ok(()),
    }
}

/// The folder, and what was put into it.
pub struct Target {
    folder: PathBuf,
    report: File,
    names: File,
    renamed: u64,
}

impl Target {
    /// Makes the folder, or takes an empty one; never one below a drive.
    pub fn create(folder: &Path, drives: &[PathBuf]) -> Result<Self, String> {
        let failed = |error: io::Error| format!("{}: {error}", folder.display());
        // Before anything is made, and once more when all links on the way are known.
        refuse_drives(&standing(folder).map_err(failed)?, drives)?;
        fs::create_dir_all(folder).map_err(failed)?;
        let folder = fs::canonicalize(folder).map_err(failed)?;
        refuse_drives(&folder, drives)?;
        if fs::read_dir(&folder).map_err(failed)?.next().is_some() {
            return Err(format!("{} is not empty", folder.display()));
        }
        let made = |name: &str| File::create_new(folder.join(name)).map_err(failed);
        Ok(Self {
            report: made("report.jsonl")?,
            names: made("names.jsonl")?,
            folder,
            renamed: 0,
        })
    }

    /// The folder's whole path.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds a line to the report.
    pub fn report(&mut self, line: &Value) -> io::Result<()> {
        writeln!(self.report, "{line}")
    }

    /// Makes the folder of a bucket that may have no object.
    pub fn bucket(&self, bucket: &str) -> io::Result<()> {
        match plain(bucket, "object") {
            Some(path) => fs::create_dir_all(self.folder.join(path.parent().unwrap_or(&path))),
            None => Ok(()),
        }
    }

    /// Begins the file of an object.
    pub fn begin(&self) -> io::Result<File> {
        File::create(self.folder.join(UNFINISHED))
    }

    /// Gives up what was begun.
    pub fn give_up(&self) -> io::Result<()> {
        fs::remove_file(self.folder.join(UNFINISHED))
    }

    /// Puts what was begun in its place and says where that is, below the folder.
    pub fn finish(&mut self, bucket: &str, key: &str, file: &File, modified: Duration) -> io::Result<PathBuf> {
        // A time that the file system cannot hold is in the report all the same.
        let _ = file.set_modified(SystemTime::UNIX_EPOCH + modified);
        let path = match plain(bucket, key).filter(|path| self.makes_room_for(path)) {
            Some(path) => path,
            None => self.rename(bucket, key)?,
        };
        fs::rename(self.folder.join(UNFINISHED), self.folder.join(&path))?;
        Ok(path)
    }

    /// Makes the folders above a path; `false` if it, or one of them, is taken by another object.
    fn makes_room_for(&self, path: &Path) -> bool {
        let whole = self.folder.join(path);
        let folders = whole.parent().is_some_and(|parent| fs::create_dir_all(parent).is_ok());
        folders
            && whole
                .symlink_metadata()
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    fn rename(&mut self, bucket: &str, key: &str) -> io::Result<PathBuf> {
        fs::create_dir_all(self.folder.join("renamed"))?;
        self.renamed += 1;
        let path = Path::new("renamed").join(format!("{:08}", self.renamed));
        let line = json!({ "path": path, "bucket": bucket, "key": key });
        writeln!(self.names, "{line}")?;
        Ok(path)
    }

    /// Puts everything on stable media.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.report)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_would_lead_elsewhere_or_nowhere_is_no_path() {
        assert_eq!(plain("abc", "a/b c/ä"), Some(PathBuf::from("objects/abc/a/b c/ä")));
        let long = "x".repeat(256);
        for key in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/",
            "..",
            "../x",
            "a/../../x",
            ".",
            "a/./b",
            "a\0b",
            "a\nb",
            &long,
        ] {
            assert_eq!(plain("abc", key), None, "{key:?}");
        }
        for bucket in ["", "..", "a/b", "."] {
            assert_eq!(plain(bucket, "key"), None, "{bucket:?}");
        }
        assert!(plain("abc", "..a/b..").is_some());
    }

    #[test]
    fn every_object_gets_a_file_of_its_own_below_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        let mut target = Target::create(&outer.path().join("out"), &[]).unwrap();
        let mut put = |key: &str| {
            let mut file = target.begin().unwrap();
            file.write_all(key.as_bytes()).unwrap();
            target.finish("abc", key, &file, Duration::from_secs(5)).unwrap()
        };
        let keys = ["a", "a/b", "c/d", "c", "../../x", "/abs", "a/", "c//d"];
        let paths: Vec<PathBuf> = keys.iter().map(|key| put(key)).collect();
        for (key, path) in keys.iter().zip(&paths) {
            assert_eq!(fs::read(target.folder().join(path)).unwrap(), key.as_bytes(), "{key}");
        }
        assert_eq!(
            paths.iter().filter(|path| path.starts_with("objects")).count(),
            2,
            "{paths:?}"
        );
        let names = fs::read_to_string(target.folder().join("names.jsonl")).unwrap();
        assert_eq!(names.lines().count(), 6, "{names}");
        assert_eq!(
            fs::read_dir(outer.path()).unwrap().count(),
            1,
            "something stands outside"
        );
    }

    #[test]
    fn a_folder_on_a_drive_or_with_something_in_it_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let drive = outer.path().join("drive");
        fs::create_dir(&drive).unwrap();
        let linked = outer.path().join("linked");
        std::os::unix::fs::symlink(&drive, &linked).unwrap();
        for out in [drive.join("out"), drive.join("a/b/out"), linked.join("out")] {
            assert!(Target::create(&out, std::slice::from_ref(&drive)).is_err());
        }
        assert_eq!(
            fs::read_dir(&drive).unwrap().count(),
            0,
            "something was made on the drive"
        );
        assert!(Target::create(outer.path(), &[drive]).is_err(), "not empty");
    }
}
