//! Files and folders of an export as they are made: for the eyes of whoever runs it alone, and never through a link that lies there.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// A folder with all above it. Those that are there stay as they are.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// An empty file in the place of what an earlier run may have left there.
pub(super) fn file(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn nothing_is_written_through_a_link_and_nobody_else_may_read() {
        let ground = tempfile::tempdir().unwrap();
        let (below, precious) = (ground.path().join("a/b"), ground.path().join("precious"));
        folder(&below).unwrap();
        folder(&below).unwrap();
        std::fs::write(&precious, "words").unwrap();
        let path = below.join("part");
        std::os::unix::fs::symlink(&precious, &path).unwrap();
        drop(file(&path).unwrap());
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        drop(file(&path).unwrap());
        assert_eq!(std::fs::read(&precious).unwrap(), b"words");
        let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&path), mode(&below), mode(&ground.path().join("a"))),
            (0o600, 0o700, 0o700)
        );
    }
}
