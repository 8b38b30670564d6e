//! What the machine must offer, found out before anything is opened: processor features, file descriptors, rights.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::process::{Resource, Rlimit, getgid, getrlimit, getuid, setrlimit};

/// The processor feature that the erasure code was built for and this machine lacks.
pub(super) fn missing_cpu_feature() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        // The SIMD code of the erasure code is compiled for Haswell and does not ask at run time.
        let features = [
            ("SSSE3", std::arch::is_x86_feature_detected!("ssse3")),
            ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
            ("BMI1", std::arch::is_x86_feature_detected!("bmi1")),
            ("BMI2", std::arch::is_x86_feature_detected!("bmi2")),
            ("FMA", std::arch::is_x86_feature_detected!("fma")),
            ("LZCNT", std::arch::is_x86_feature_detected!("lzcnt")),
        ];
        if let Some((missing, _)) = features.into_iter().find(|(_, there)| !there) {
            return Some(missing);
        }
    }
    None
}

/// Raises the soft limit of open files to the hard one. Answers the limit that now holds, if there is one.
pub(super) fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    match setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    ) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// A drive's folder that this process may not write, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotWritable {
    pub(super) path: PathBuf,
    pub(super) message: String,
}

/// Those of `drives` that cannot be written by this process. A folder that is not there yet counts by the one it
/// would be made in. What is no folder is the engine's to refuse.
pub(super) fn not_writable(drives: &[PathBuf]) -> Vec<NotWritable> {
    drives
        .iter()
        .filter_map(|drive| {
            let existing = drive.ancestors().map(or_here).find(|path| path.exists())?;
            if !existing.is_dir() {
                return None;
            }
            let error = access(existing, Access::WRITE_OK | Access::EXEC_OK | Access::READ_OK).err()?;
            let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
            let what = existing.display();
            let cure = if error == rustix::io::Errno::ROFS {
                format!("it is mounted read-only; remount it: mount -o remount,rw '{what}'")
            } else if std::fs::metadata(existing).is_ok_and(|found| found.uid() == uid) {
                format!("make it writable: chmod -R u+rwX '{what}'")
            } else {
                format!("make it writable: chown -R {uid}:{gid} '{what}'")
            };
            let message = format!("'{what}' cannot be written by uid {uid}, gid {gid} ({error}); {cure}");
            Some(NotWritable {
                path: drive.clone(),
                message,
            })
        })
        .collect()
}

fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}
