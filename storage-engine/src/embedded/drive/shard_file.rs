//! One open shard file: positioned reads and writes and its sync. It moves bytes; what they mean stands in their frames.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags};

use super::faults::{Operation, Seam};
use crate::embedded::buffers::Buffers;

/// Most buffers one system call takes.
const VECTORS_MAX: usize = 512;

struct Inner {
    file: File,
    path: PathBuf,
    seam: Seam,
    buffers: Buffers,
}

/// An open shard file; clones share it. All calls but [`Self::try_read_cached`] block: they belong into a lane.
#[derive(Clone)]
pub struct ShardFile {
    inner: Arc<Inner>,
}

impl ShardFile {
    pub(super) fn new(file: File, path: PathBuf, seam: Seam, buffers: Buffers) -> Self {
        let inner = Inner {
            file,
            path,
            seam,
            buffers,
        };
        Self { inner: Arc::new(inner) }
    }

    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Writes all buffers one after the other from `offset` on. Nothing is synced.
    pub fn write_vectored_at(&self, offset: u64, buffers: &[Bytes]) -> io::Result<()> {
        let inner = &self.inner;
        let work = || write_all(&inner.file, offset, buffers);
        inner.seam.write(&inner.path, offset, buffers, work)
    }

    /// Puts all that was written, and the file's length, on stable media. After a failure the file is lost: a second
    /// sync would claim success for pages that the kernel has dropped.
    pub fn sync_data(&self) -> io::Result<()> {
        let inner = &self.inner;
        inner
            .seam
            .sync_file(&inner.path, || Ok(rustix::fs::fdatasync(&inner.file)?))
    }

    /// Up to `len` bytes from `offset` on; fewer only at the end of the file.
    pub fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let inner = &self.inner;
        inner
            .seam
            .get(Operation::Read, &inner.path, || read_up_to(&inner.file, offset, len))
    }

    /// The bytes if the page cache holds all of them, without waiting for the drive; else `None`.
    pub fn try_read_cached(&self, offset: u64, len: usize) -> Option<Bytes> {
        if self.inner.seam.is_watched() {
            return None;
        }
        let mut bytes = self.inner.buffers.take(len);
        let vector = &mut [IoSliceMut::new(bytes.as_mut())];
        let read = rustix::io::preadv2(&self.inner.file, vector, offset, ReadWriteFlags::NOWAIT);
        (read == Ok(len)).then(|| bytes.freeze())
    }

    /// Asks the kernel to begin writing this range out, so that the sync at the end has little left to do. Best effort.
    pub fn start_writeback(&self, offset: u64, len: u64) {
        // Dropping a range from the cache begins writeback of what is dirty in it and keeps those pages.
        self.advise(offset, len, Advice::DontNeed);
    }

    /// Drops clean pages of the whole file from the page cache, so that the next read comes from media. Best effort.
    pub fn drop_cache(&self) {
        self.advise(0, 0, Advice::DontNeed);
    }

    fn advise(&self, offset: u64, len: u64, advice: Advice) {
        if let Err(e) = rustix::fs::fadvise(&self.inner.file, offset, NonZeroU64::new(len), advice) {
            tracing::debug!("advice about {}: {e}", self.inner.path.display());
        }
    }

    /// Length of the file in bytes.
    pub fn len(&self) -> io::Result<u64> {
        let inner = &self.inner;
        inner
            .seam
            .get(Operation::Read, &inner.path, || Ok(inner.file.metadata()?.len()))
    }

    /// Whether the file holds nothing at all.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

fn write_all(file: &File, mut offset: u64, buffers: &[Bytes]) -> io::Result<()> {
    for group in buffers.chunks(VECTORS_MAX) {
        let mut slices: Vec<IoSlice<'_>> = group
            .iter()
            .filter(|b| !b.is_empty())
            .map(|b| IoSlice::new(b))
            .collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            match rustix::io::pwritev(file, rest, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(())
}

fn read_up_to(file: &File, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let at = offset + bytes.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    bytes.truncate(len);
    Ok(Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, ShardFile) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shard");
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        (dir, ShardFile::new(file, path, Seam::default(), Buffers::default()))
    }

    #[test]
    fn many_buffers_are_written_whole_and_read_back() {
        let (_dir, file) = scratch();
        let buffers: Vec<Bytes> = (0..VECTORS_MAX * 2 + 3)
            .map(|i| Bytes::from(vec![u8::try_from(i % 251).unwrap(); i % 7]))
            .collect();
        file.write_vectored_at(100, &buffers).unwrap();
        file.sync_data().unwrap();
        let whole: Vec<u8> = buffers.iter().flatten().copied().collect();
        assert_eq!(file.read_at(100, whole.len()).unwrap(), whole);
        assert_eq!(file.len().unwrap(), 100 + whole.len() as u64);
    }

    #[test]
    fn a_read_is_short_only_at_the_end() {
        let (_dir, file) = scratch();
        file.write_vectored_at(0, &[Bytes::from_static(b"stone")]).unwrap();
        assert_eq!(file.read_at(3, 10).unwrap(), b"ne".as_slice());
        assert_eq!(file.read_at(9, 10).unwrap(), b"".as_slice());
    }

    #[test]
    fn a_cached_read_gives_all_or_nothing() {
        let (_dir, file) = scratch();
        file.write_vectored_at(0, &[Bytes::from(vec![7; 5000])]).unwrap();
        if let Some(bytes) = file.try_read_cached(1000, 4000) {
            assert_eq!(bytes, vec![7; 4000]);
        }
        assert_eq!(file.try_read_cached(1000, 4001), None);
    }
}
