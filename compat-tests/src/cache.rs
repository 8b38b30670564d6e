//! The folder that keeps fetched clients between runs: one locked, whole-or-absent place per client and version.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};

/// The cache folder: `DRYSTONE_COMPAT_CACHE`, else `drystone-compat` in the user's cache folder.
///
/// # Errors
/// When neither that variable nor a home folder is known, or the folder cannot be made.
pub fn folder() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("DRYSTONE_COMPAT_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("drystone-compat")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/drystone-compat")))
        .context("set DRYSTONE_COMPAT_CACHE: no home folder is known")?;
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

/// Gives the place `name` as made by `make`, which runs at most once for a given `recipe` (the text that decides the content).
/// Other processes wait; a half-made place from a broken run is made again.
///
/// # Errors
/// When `make` fails or the folder cannot be written.
pub fn place(name: &str, recipe: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = folder()?;
    let place = folder.join(name);
    let stamp = folder.join(format!("{name}.made"));
    let _locked = lock(&folder.join(format!("{name}.lock")))?;
    if fs::read_to_string(&stamp).is_ok_and(|made| made == recipe) {
        return Ok(place);
    }
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    make(&place)?;
    fs::write(&stamp, recipe)?;
    Ok(place)
}

/// Takes the lock file at `path` and holds it until the returned file is dropped.
///
/// # Errors
/// When the file cannot be made or locked.
pub fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("making {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}
