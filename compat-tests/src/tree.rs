//! Bytes and directory trees to store: made from a seed, different everywhere, and cheap to compare.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::process::run_any;

/// `length` bytes that depend on `seed`, do not repeat within any practical length, and do not compress.
#[must_use]
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut out = Vec::with_capacity(length.saturating_add(8));
    while out.len() < length {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        out.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    out.truncate(length);
    out
}

/// Writes a tree of `small` files from 0 B to 8 KiB in nested folders with odd names, and one file per length in `big`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path, small: usize, big: &[usize]) -> Result<()> {
    const ODD: [&str; 6] = [
        "plain",
        "with space",
        "ünïcode-文件",
        "plus+and&amp",
        "percent%20",
        "quote'(1)",
    ];
    for number in 0..small {
        let part = ODD.get(number % ODD.len()).copied().unwrap_or("plain");
        let below = folder
            .join(format!("{:02}", number % 37))
            .join(part)
            .join(format!("{}", number % 11));
        fs::create_dir_all(&below)?;
        let length = (number * 2_654_435_761) % 8_192;
        let length = if number % 50 == 0 { 0 } else { length };
        fs::write(
            below.join(format!("file-{number:05}.bin")),
            bytes(number as u64, length),
        )?;
    }
    for (number, length) in big.iter().enumerate() {
        fs::create_dir_all(folder.join("big"))?;
        fs::write(
            folder.join("big").join(format!("{number}-{length}")),
            bytes(0xB16 + number as u64, *length),
        )?;
    }
    Ok(())
}

/// Demands that two trees hold the same files with the same bytes, by `diff -r`.
///
/// # Errors
/// When they differ; the message carries the differences.
pub fn same(left: &Path, right: &Path) -> Result<()> {
    let output = run_any(
        Command::new("diff").arg("-r").args([left, right]),
        Duration::from_secs(120),
    )?;
    ensure!(output.status.success(), "the trees differ: {}", output.everything());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_depend_on_seed_and_have_the_asked_length() {
        assert_eq!(bytes(1, 13).len(), 13);
        assert!(bytes(1, 0).is_empty());
        assert_ne!(bytes(1, 64), bytes(2, 64));
        assert_eq!(bytes(7, 100).get(..50), bytes(7, 50).get(..));
    }

    #[test]
    fn trees_that_differ_in_one_byte_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let (left, right) = (folder.path().join("left"), folder.path().join("right"));
        write(&left, 120, &[70_000]).unwrap();
        write(&right, 120, &[70_000]).unwrap();
        same(&left, &right).unwrap();
        let changed = right.join("big/0-70000");
        let mut content = fs::read(&changed).unwrap();
        content[69_999] ^= 1;
        fs::write(&changed, content).unwrap();
        assert!(same(&left, &right).is_err());
    }
}
