//! The root user's credentials: their rules, and the file that keeps generated ones on the drives.
//!
//! The file stands in the system folder of every drive in service, readable by its owner only. It is written after the
//! engine has accepted a drive, never before: a drive that is not ours stays untouched.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{ConfigError, Secret};

const USER_CHARS_MIN: usize = 3;
const PASSWORD_CHARS_MIN: usize = 8;
const SYSTEM_FOLDER: &str = ".drystone";
const FILE_NAME: &str = "credentials";
const FILE_BYTES_MAX: u64 = 4 * 1024;

/// The root user's name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    pub user: String,
    pub password: Secret,
}

/// Credentials kept on the drives, and whether this start made them.
#[derive(Debug)]
pub struct Kept {
    pub root: Root,
    /// One of the files that hold them.
    pub path: PathBuf,
    pub made_now: bool,
    /// Drives on which they could not be kept, with the reason.
    pub failed: Vec<String>,
}

/// Why kept credentials cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("the drives hold different credentials ({}); keep the right file on all of them, or set MINIO_ROOT_USER and MINIO_ROOT_PASSWORD", list(.0))]
    Differ(Vec<PathBuf>),
    #[error("'{}' holds no credentials that can be read; set MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, or put the file back ({reason})", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("the generated credentials could not be kept on any drive: {}", .0.join("; "))]
    Nowhere(Vec<String>),
    #[error("no randomness from the system: {0}")]
    Random(getrandom::Error),
}

fn list(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The rules for a root user and password.
pub fn check(user: &str, password: &Secret) -> Result<(), ConfigError> {
    if user.chars().count() < USER_CHARS_MIN {
        return Err(ConfigError::UserTooShort);
    }
    if password.expose().chars().count() < PASSWORD_CHARS_MIN {
        return Err(ConfigError::PasswordTooShort);
    }
    // '=', ',' and '/' are separators in the Authorization header and in the credential scope.
    if !user
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'=' | b',' | b'/'))
    {
        return Err(ConfigError::UserCharacters);
    }
    Ok(())
}

/// The credentials that these drives keep; made, and kept on all of them, when none of them has any.
/// Durable on at least one drive when this returns.
pub fn keep(drives: &[PathBuf]) -> Result<Kept, KeepError> {
    let mut found: Vec<(PathBuf, Root)> = Vec::new();
    let mut without = Vec::new();
    for drive in drives {
        let path = drive.join(SYSTEM_FOLDER).join(FILE_NAME);
        match read(&path) {
            Ok(Some(root)) => found.push((path, root)),
            Ok(None) => without.push(path),
            Err(reason) => return Err(KeepError::Unreadable { path, reason }),
        }
    }
    let (root, made_now) = match found.first() {
        Some((_, first)) if found.iter().any(|(_, root)| root != first) => {
            return Err(KeepError::Differ(found.into_iter().map(|(path, _)| path).collect()));
        }
        Some((_, first)) => (first.clone(), false),
        None => (generate().map_err(KeepError::Random)?, true),
    };
    let mut path = found.into_iter().next().map(|(path, _)| path);
    let mut failed = Vec::new();
    for target in without {
        match write(&target, &root) {
            Ok(()) => path = path.or(Some(target)),
            Err(error) => failed.push(format!("{}: {error}", target.display())),
        }
    }
    match path {
        Some(path) => Ok(Kept {
            root,
            path,
            made_now,
            failed,
        }),
        None => Err(KeepError::Nowhere(failed)),
    }
}

fn read(path: &Path) -> Result<Option<Root>, String> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => return Err("too large".into()),
        Ok(_) => {}
    }
    let text = zeroize::Zeroizing::new(fs::read_to_string(path).map_err(|error| error.to_string())?);
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let (Some(user), Some(password)) = (value("MINIO_ROOT_USER"), value("MINIO_ROOT_PASSWORD")) else {
        return Err("a line is missing".into());
    };
    let root = Root {
        user: user.to_owned(),
        password: Secret::new(password),
    };
    check(&root.user, &root.password).map_err(|error| error.to_string())?;
    Ok(Some(root))
}

/// Written beside its place, synced, renamed, and the folder synced: the file is whole or not there.
fn write(path: &Path, root: &Root) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    let text = zeroize::Zeroizing::new(format!(
        "MINIO_ROOT_USER={}\nMINIO_ROOT_PASSWORD={}\n",
        root.user,
        root.password.expose()
    ));
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    fs::File::open(folder)?.sync_all()
}

fn generate() -> Result<Root, getrandom::Error> {
    Ok(Root {
        user: random_text(20)?,
        password: Secret::new(random_text(40)?),
    })
}

/// Letters and digits that nobody mistakes for one another; 32 of them, so that a byte maps without bias.
fn random_text(length: usize) -> Result<String, getrandom::Error> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = zeroize::Zeroizing::new(vec![0_u8; length]);
    getrandom::fill(&mut bytes)?;
    Ok(bytes
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)).copied())
        .map(char::from)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drives(root: &Path, count: usize) -> Vec<PathBuf> {
        (1..=count)
            .map(|number| {
                let drive = root.join(format!("d{number}"));
                fs::create_dir_all(drive.join(SYSTEM_FOLDER)).unwrap();
                drive
            })
            .collect()
    }

    #[test]
    fn credentials_are_made_once_and_kept_on_every_drive_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let drives = drives(folder.path(), 3);
        let first = keep(&drives).unwrap();
        assert!(first.made_now && first.failed.is_empty());
        assert_eq!((first.root.user.len(), first.root.password.expose().len()), (20, 40));
        for drive in &drives {
            let file = drive.join(".drystone/credentials");
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let again = keep(&drives).unwrap();
        assert_eq!(again.root, first.root);
        assert!(!again.made_now);
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(keep(&self::drives(elsewhere.path(), 1)).unwrap().root, first.root);
    }

    #[test]
    fn a_replaced_drive_gets_the_credentials_of_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let drives = drives(folder.path(), 3);
        let first = keep(&drives).unwrap();
        fs::remove_file(drives[0].join(".drystone/credentials")).unwrap();
        assert_eq!(keep(&drives).unwrap().root, first.root);
        assert_eq!(keep(&drives[..1]).unwrap().root, first.root);
    }

    #[test]
    fn different_or_broken_credentials_stop_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let drives = drives(folder.path(), 2);
        keep(&drives[..1]).unwrap();
        keep(&drives[1..]).unwrap();
        assert!(matches!(keep(&drives), Err(KeepError::Differ(paths)) if paths.len() == 2));
        fs::write(drives[1].join(".drystone/credentials"), "MINIO_ROOT_USER=someone\n").unwrap();
        let error = keep(&drives).unwrap_err();
        assert!(matches!(&error, KeepError::Unreadable { .. }), "{error}");
    }

    #[test]
    fn a_drive_that_cannot_keep_them_is_named_and_does_not_stop_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut drives = drives(folder.path(), 2);
        let no_folder = folder.path().join("file");
        fs::write(&no_folder, "x").unwrap();
        fs::create_dir_all(folder.path().join("d3")).unwrap();
        fs::write(folder.path().join("d3/.drystone"), "not a folder").unwrap();
        drives.pop();
        let blocked = folder.path().join("d4");
        fs::create_dir_all(blocked.join(".drystone/credentials.new")).unwrap();
        drives.push(blocked);
        let kept = keep(&drives).unwrap();
        assert_eq!(kept.failed.len(), 1, "{:?}", kept.failed);
    }
}
