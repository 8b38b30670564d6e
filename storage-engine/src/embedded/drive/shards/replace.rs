//! A shard file made anew beside its place, to be put there in one step once it is whole: nothing that stands there is
//! touched before. Whether what is in it is right, the caller must have seen.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::{Operation, Place, SegmentKind, ShardFile, ShardKey, Shards, names_in, shard_name};
use crate::embedded::drive::EXTENT_DIR;
use crate::embedded::frame::ShardHeader;
use crate::embedded::id::SegmentId;
#[cfg(test)]
use crate::planted;

/// What the name of an unfinished replacement ends with: nobody's shard file.
const UNFINISHED: &str = ".new";

/// A replacement that stands beside the place it is meant for.
pub struct Replacement {
    key: ShardKey,
    place: Place,
    /// Beside the place it is meant for.
    path: PathBuf,
    file: ShardFile,
    /// No file of this shard was here when it was begun.
    is_first: bool,
}

impl Replacement {
    pub fn file(&self) -> &ShardFile {
        &self.file
    }
}

impl Shards {
    /// A name of its own for each attempt: what an earlier one still has on its way to a hung drive must not land in the
    /// file of the next.
    fn unfinished_path(&self, place: Place, key: &ShardKey) -> PathBuf {
        #[cfg(test)]
        if planted::is(planted::Bug::RepairInPlace) {
            return self.path_of(place, key);
        }
        let attempt = self.replacements_begun.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{attempt}{UNFINISHED}", shard_name(key.0, key.1));
        place.dir(&self.folder).join(name)
    }

    pub(in crate::embedded::drive) fn begin_replacement(&self, header: &ShardHeader) -> io::Result<Replacement> {
        let key = (header.segment, header.shard);
        let known = self.place_of(header.kind, &key);
        let place = match known {
            Some(place) => place,
            None => self.place_for_new(header.kind)?,
        };
        let path = self.unfinished_path(place, &key);
        self.unfinished.lock().insert(path.clone());
        let begun = self.make_file(place, path.clone(), header, |options| {
            options.create(true).truncate(true)
        });
        if begun.is_err() {
            self.unfinished.lock().remove(&path);
            if known.is_none() {
                self.forget_file_in(place);
            }
        }
        Ok(Replacement {
            key,
            place,
            path,
            file: begun?,
            is_first: known.is_none(),
        })
    }

    /// Puts it in its place, over what stands there; durable once the directory is synced. Who has the old file open
    /// keeps that.
    pub(in crate::embedded::drive) fn install(&self, new: &Replacement) -> io::Result<()> {
        let from = &new.path;
        let to = self.path_of(new.place, &new.key);
        self.seam.run(Operation::Rename, &to, || fs::rename(from, &to))?;
        self.seam.renamed(from, &to, !new.is_first);
        self.unfinished.lock().remove(from);
        self.places.write().insert(new.key, new.place);
        self.handles.lock().remove(&new.key);
        Ok(())
    }

    pub(in crate::embedded::drive) fn discard(&self, new: &Replacement) -> io::Result<()> {
        let removed = self.seam.run(Operation::Remove, &new.path, || {
            absent_is_fine(fs::remove_file(&new.path))
        });
        if removed.is_ok() {
            self.unfinished.lock().remove(&new.path);
            self.seam.removed(&new.path);
            if new.is_first {
                self.forget_file_in(new.place);
            }
        }
        removed
    }

    /// Removes what earlier runs left unfinished; returns how many there were. What is being made now stays.
    pub(in crate::embedded::drive) fn discard_unfinished(&self) -> io::Result<usize> {
        let mut dirs = vec![Place::Log.dir(&self.folder), Place::Checkpoint.dir(&self.folder)];
        let extents = self.folder.join(EXTENT_DIR);
        dirs.extend(names_in(&extents, &self.seam)?.iter().map(|name| extents.join(name)));
        let mut discarded = 0;
        for dir in dirs {
            for name in names_in(&dir, &self.seam)? {
                if !is_unfinished(&name) {
                    continue;
                }
                let path = dir.join(name);
                if self.unfinished.lock().contains(&path) {
                    continue;
                }
                self.seam
                    .run(Operation::Remove, &path, || absent_is_fine(fs::remove_file(&path)))?;
                self.seam.removed(&path);
                discarded += 1;
            }
        }
        Ok(discarded)
    }

    /// Opens a shard file afresh and keeps that handle from now on: what was opened before may be a file that has been
    /// replaced since. `None` if this drive does not have it.
    pub(in crate::embedded::drive) fn open_afresh(
        &self,
        kind: SegmentKind,
        segment: SegmentId,
        shard: u8,
    ) -> io::Result<Option<ShardFile>> {
        self.handles.lock().remove(&(segment, shard));
        self.open(kind, segment, shard)
    }
}

fn is_unfinished(name: &str) -> bool {
    let stem = name.strip_suffix(UNFINISHED);
    let parts = stem.and_then(|stem| stem.rsplit_once('.'));
    parts.is_some_and(|(shard, attempt)| super::parse_shard_name(shard).is_some() && attempt.parse::<u64>().is_ok())
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::tests::{header, scan};
    use super::*;

    #[test]
    fn a_replacement_takes_its_place_in_one_step_and_the_old_handle_keeps_the_old_file() {
        for kind in [SegmentKind::Log, SegmentKind::Extent] {
            let dir = tempfile::tempdir().unwrap();
            let shards = scan(dir.path());
            let made = header(1, kind);
            let old = shards.create(&made).unwrap();
            old.write_vectored_at(4096, &[Bytes::from_static(b"old")]).unwrap();
            let new = shards.begin_replacement(&made).unwrap();
            new.file()
                .write_vectored_at(4096, &[Bytes::from_static(b"new")])
                .unwrap();
            let read = |file: ShardFile| file.read_at(4096, 3).unwrap();
            let open = || shards.open(kind, made.segment, 0).unwrap().unwrap();
            assert_eq!(read(open()), b"old".as_slice());
            shards.install(&new).unwrap();
            assert_eq!(read(open()), b"new".as_slice());
            assert_eq!(read(old), b"old".as_slice());
            assert_eq!(shards.list().unwrap().len(), 1);
            assert_eq!(scan(dir.path()).list().unwrap(), shards.list().unwrap());
        }
    }

    #[test]
    fn an_unfinished_replacement_is_nobodys_shard_and_goes_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let shards = scan(dir.path());
        let extent = shards.begin_replacement(&header(1, SegmentKind::Extent)).unwrap();
        drop(shards.begin_replacement(&header(2, SegmentKind::Log)).unwrap());
        drop(shards.begin_replacement(&header(2, SegmentKind::Log)).unwrap());
        assert!(shards.list().unwrap().is_empty());
        let again = scan(dir.path());
        assert!(again.list().unwrap().is_empty());
        shards.discard(&extent).unwrap();
        assert_eq!(shards.discard_unfinished().unwrap(), 0, "they are being made");
        assert_eq!(again.discard_unfinished().unwrap(), 2);
        assert_eq!(again.discard_unfinished().unwrap(), 0);
    }
}
