//! What a drive's path is mounted on, and how much space is there. It reads the kernel's answers, it changes nothing.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use minicbor::{Decode, Encode};
use rustix::fs::{AtFlags, StatxFlags};

/// The facts by which a replaced drive is told from an unmounted mount point.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MountFacts {
    #[n(0)]
    pub fs_type: String,
    /// The place of the directory inside its file system: `/` where a whole file system is mounted. The same path has
    /// another place once nothing is mounted there.
    #[n(1)]
    pub place_in_fs: String,
    /// Device number of the file system; drives that share it share space and fate.
    #[n(2)]
    pub device: u64,
}

/// Space of the file system a drive is on, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    pub capacity: u64,
    /// What an unprivileged process may still use.
    pub free: u64,
}

/// What stays the same as long as the page cache of a directory must be there still: this boot of the machine, and the
/// mount. Where these are the same and the cache is not (a file system that was taken away and came back under the same
/// number, a container that is told a constant for the boot), nothing may rest on them alone.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Uptime {
    #[n(0)]
    boot: String,
    #[n(1)]
    mount: u64,
    #[n(2)]
    device: u64,
}

#[cfg(test)]
impl Uptime {
    /// The same mount after the machine was started again.
    pub fn of_another_boot(&self) -> Self {
        Self {
            boot: "00000000-0000-4000-8000-000000000000".into(),
            ..self.clone()
        }
    }
}

/// The present boot, and the mount that holds `path`. Blocks.
pub fn uptime_at(path: &Path) -> io::Result<Uptime> {
    let absolute = std::fs::canonicalize(path)?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let table = std::fs::read("/proc/self/mountinfo")?;
    let number = mount_id_of(&table, &absolute).ok_or_else(|| io::Error::other("no mount holds this path"))?;
    Ok(Uptime {
        boot: boot.trim().to_owned(),
        mount: unique_mount_id(&absolute).unwrap_or(number),
        device: std::fs::metadata(&absolute)?.dev(),
    })
}

/// The number of the mount that holds `path` which no other mount gets in this boot; kernels before 6.8 know none.
fn unique_mount_id(path: &Path) -> Option<u64> {
    const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
    let wanted = StatxFlags::from_bits_retain(STATX_MNT_ID_UNIQUE);
    let found = rustix::fs::statx(rustix::fs::CWD, path, AtFlags::empty(), wanted).ok()?;
    (found.stx_mask & STATX_MNT_ID_UNIQUE != 0).then_some(found.stx_mnt_id)
}

/// Number of the mount that holds `path`; another one may get it later.
fn mount_id_of(mountinfo: &[u8], path: &Path) -> Option<u64> {
    let mounts = mountinfo.split(|b| *b == b'\n').filter_map(|line| {
        let id = std::str::from_utf8(line.split(|b| *b == b' ').next()?).ok()?;
        let (_, point, _) = fields_of(line)?;
        let point = PathBuf::from(std::ffi::OsStr::from_bytes(&point));
        let depth = point.components().count();
        path.starts_with(&point).then_some((depth, id.parse().ok()?))
    });
    mounts.max_by_key(|(depth, _)| *depth).map(|(_, id)| id)
}

pub(super) fn facts_of(path: &Path) -> io::Result<MountFacts> {
    let absolute = std::fs::canonicalize(path)?;
    let device = std::fs::metadata(&absolute)?.dev();
    let table = std::fs::read("/proc/self/mountinfo")?;
    let (fs_type, place_in_fs) =
        mount_of(&table, &absolute).ok_or_else(|| io::Error::other("no mount holds this path"))?;
    Ok(MountFacts {
        fs_type,
        place_in_fs,
        device,
    })
}

pub(super) fn space_of(path: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Space {
        capacity: stat.f_blocks.saturating_mul(stat.f_frsize),
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}

/// File-system type of the mount that holds `path`, and the path's place in that file system: the longest mount point
/// above it, the last of equals.
fn mount_of(mountinfo: &[u8], path: &Path) -> Option<(String, String)> {
    let mut best: Option<(usize, String, String)> = None;
    for line in mountinfo.split(|b| *b == b'\n') {
        let Some((root, point, fs_type)) = fields_of(line) else {
            continue;
        };
        let point_path = Path::new(std::ffi::OsStr::from_bytes(&point));
        let depth = point_path.components().count();
        let Ok(below) = path.strip_prefix(point_path) else {
            continue;
        };
        if best.as_ref().is_none_or(|(so_far, _, _)| depth >= *so_far) {
            let mut place = PathBuf::from(std::ffi::OsStr::from_bytes(&root));
            place.extend(below);
            let place = place.to_string_lossy().into_owned();
            best = Some((depth, String::from_utf8_lossy(&fs_type).into_owned(), place));
        }
    }
    best.map(|(_, fs_type, place)| (fs_type, place))
}

/// Root, mount point and file-system type of one line of mountinfo.
fn fields_of(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let mut fields = line.split(|b| *b == b' ');
    let root = unescaped(fields.nth(3)?);
    let point = unescaped(fields.next()?);
    let fs_type = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some((root, point, unescaped(fs_type)))
}

/// The kernel writes blanks, tabs, newlines and backslashes as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let escape = match (first, tail.split_first_chunk::<3>()) {
            (b'\\', Some((digits, after))) => octal(digits).map(|byte| (byte, after)),
            _ => None,
        };
        let (byte, after) = escape.unwrap_or((*first, tail));
        text.push(byte);
        rest = after;
    }
    text
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 8:17 / /data1 rw shared:9 master:3 - xfs /dev/sdb1 rw,attr2
41 22 8:33 / /data\\0402 rw - btrfs /dev/sdc rw
42 22 254:0 /srv/host\\134dir /data3 rw - ext4 /dev/vda rw
43 22 8:49 / /data3 rw - xfs /dev/sdd rw
44 40 0:50 / /data1/tmp rw - tmpfs tmpfs rw
garbage
";

    fn mount(path: &str) -> (String, String) {
        mount_of(TABLE, Path::new(path)).unwrap()
    }

    fn pair(fs: &str, root: &str) -> (String, String) {
        (fs.into(), root.into())
    }

    #[test]
    fn the_deepest_mount_above_a_path_counts() {
        assert_eq!(mount("/data1"), pair("xfs", "/"));
        assert_eq!(mount("/data1/deep/er"), pair("xfs", "/deep/er"));
        assert_eq!(mount("/data1/tmp/x"), pair("tmpfs", "/x"));
        assert_eq!(
            mount("/data10"),
            pair("ext4", "/data10"),
            "a common beginning of a name is no mount"
        );
    }

    #[test]
    fn escaped_names_are_read() {
        assert_eq!(mount("/data 2/x"), pair("btrfs", "/x"));
        let bound = fields_of(TABLE.split(|b| *b == b'\n').nth(3).unwrap()).unwrap();
        assert_eq!(bound.0, b"/srv/host\\dir");
    }

    #[test]
    fn the_mount_on_top_hides_the_one_below() {
        assert_eq!(mount("/data3"), pair("xfs", "/"));
    }

    #[test]
    fn an_unmounted_mount_point_has_another_place_than_the_drive_on_a_host_with_the_same_kind_of_file_system() {
        let mounted = b"22 1 254:0 / / rw - ext4 /dev/vda rw\n40 22 8:17 / /data4 rw - ext4 /dev/sdb1 rw\n";
        let unmounted = b"22 1 254:0 / / rw - ext4 /dev/vda rw\n";
        for (path, on_drive, on_host) in [("/data4", "/", "/data4"), ("/data4/store", "/store", "/data4/store")] {
            let path = Path::new(path);
            assert_eq!(mount_of(mounted, path).unwrap(), pair("ext4", on_drive));
            assert_eq!(mount_of(unmounted, path).unwrap(), pair("ext4", on_host));
        }
    }

    #[test]
    fn the_number_of_the_mount_on_top_counts() {
        let number = |path: &str| mount_id_of(TABLE, Path::new(path));
        assert_eq!((number("/data1/x"), number("/data1/tmp/x")), (Some(40), Some(44)));
        assert_eq!((number("/data3"), number("/elsewhere")), (Some(43), Some(22)));
    }

    #[test]
    fn this_boot_is_the_same_as_a_moment_ago() {
        let dir = tempfile::tempdir().unwrap();
        let here = uptime_at(dir.path()).unwrap();
        assert!(!here.boot.is_empty() && here == uptime_at(dir.path()).unwrap());
    }

    #[test]
    fn a_bind_mount_shows_its_root() {
        let table = b"42 22 254:0 /srv/dir /data3 rw - ext4 /dev/vda rw\n";
        assert_eq!(mount_of(table, Path::new("/data3")).unwrap(), pair("ext4", "/srv/dir"));
        assert_eq!(
            mount_of(table, Path::new("/data3/x")).unwrap(),
            pair("ext4", "/srv/dir/x")
        );
        assert_eq!(mount_of(table, Path::new("/elsewhere")), None);
    }

    #[test]
    fn a_real_directory_has_facts_and_space() {
        let dir = tempfile::tempdir().unwrap();
        let facts = facts_of(dir.path()).unwrap();
        assert!(
            !facts.fs_type.is_empty() && facts.place_in_fs.starts_with('/'),
            "{facts:?}"
        );
        let space = space_of(dir.path()).unwrap();
        assert!(space.capacity >= space.free && space.capacity > 0);
    }
}
