//! Which shard files a drive has and in which directory each stands: names, the map built by a scan, directories that
//! roll over, and the handles that are kept open.

mod replace;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use parking_lot::{Mutex, RwLock};
use rustix::io::Errno;

pub use replace::Replacement;

use super::faults::{Operation, Seam};
use super::index_dir::make_dir;
use super::shard_file::ShardFile;
use super::{CHECKPOINT_DIR, EXTENT_DIR, LOG_DIR};
use crate::embedded::buffers::Buffers;
use crate::embedded::frame::ShardHeader;
use crate::embedded::id::SegmentId;
use crate::embedded::segment::SegmentKind;

/// Files an extent directory takes before the next one is begun.
const DIRECTORY_FILES_MAX: usize = 4096;
/// Handles kept open per generation; two generations are kept.
const HANDLES_MAX: usize = 512;

/// A shard file that a drive has. Only its header tells a pack from an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardListing {
    /// `Extent` for extents and packs: they share directories.
    pub kind_hint: SegmentKind,
    pub segment: SegmentId,
    pub shard: u8,
    /// Length of the file.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Log,
    Checkpoint,
    Extent(u16),
}

impl Place {
    fn dir(self, folder: &Path) -> PathBuf {
        match self {
            Self::Log => folder.join(LOG_DIR),
            Self::Checkpoint => folder.join(CHECKPOINT_DIR),
            Self::Extent(number) => folder.join(EXTENT_DIR).join(format!("{number:04x}")),
        }
    }

    fn holds(self, kind: SegmentKind) -> bool {
        match kind {
            SegmentKind::Log => self == Self::Log,
            SegmentKind::Checkpoint => self == Self::Checkpoint,
            SegmentKind::Extent | SegmentKind::Pack => matches!(self, Self::Extent(_)),
        }
    }

    fn kind_hint(self) -> SegmentKind {
        match self {
            Self::Log => SegmentKind::Log,
            Self::Checkpoint => SegmentKind::Checkpoint,
            Self::Extent(_) => SegmentKind::Extent,
        }
    }
}

type ShardKey = (SegmentId, u8);

/// The file name of a shard.
fn shard_name(segment: SegmentId, shard: u8) -> String {
    format!("{segment}.{shard:02x}")
}

/// Reads a shard's file name; `None` for any other name.
pub(super) fn parse_shard_name(name: &str) -> Option<ShardKey> {
    let (segment, shard) = name.split_once('.')?;
    let segment = SegmentId::parse(segment)?;
    if shard.len() != 2 || !shard.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    Some((segment, u8::from_str_radix(shard, 16).ok()?))
}

/// The extent directory that takes new files.
#[derive(Debug, Default)]
struct Current {
    number: u16,
    files: usize,
}

/// The youngest handles; when one generation is full, the one before it is closed.
#[derive(Default)]
struct Handles {
    young: HashMap<ShardKey, ShardFile>,
    old: HashMap<ShardKey, ShardFile>,
}

impl Handles {
    fn get(&mut self, key: &ShardKey) -> Option<ShardFile> {
        if let Some(file) = self.young.get(key) {
            return Some(file.clone());
        }
        let file = self.old.remove(key)?;
        self.put(*key, file.clone());
        Some(file)
    }

    fn put(&mut self, key: ShardKey, file: ShardFile) {
        if self.young.len() >= HANDLES_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, file);
    }

    fn remove(&mut self, key: &ShardKey) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

pub(super) struct Shards {
    folder: PathBuf,
    seam: Seam,
    places: RwLock<HashMap<ShardKey, Place>>,
    current: Mutex<Current>,
    handles: Mutex<Handles>,
    /// Shard files that were begun to be made anew, for the names of unfinished ones.
    replacements_begun: AtomicU64,
    /// Those that are being made now.
    unfinished: Mutex<HashSet<PathBuf>>,
    /// Shard files whose removal waits for its turn.
    leaving: Mutex<HashSet<ShardKey>>,
    /// What its shard files are read into.
    buffers: Buffers,
}

impl Shards {
    /// Reads all directory entries below the drive folder.
    pub(super) fn scan(folder: &Path, seam: Seam) -> io::Result<Self> {
        let mut places = HashMap::new();
        for place in [Place::Log, Place::Checkpoint] {
            scan_directory(&place.dir(folder), place, &seam, &mut places)?;
        }
        let mut current = Current::default();
        for name in names_in(&folder.join(EXTENT_DIR), &seam)? {
            let number = Some(&name)
                .filter(|n| n.len() == 4)
                .and_then(|n| u16::from_str_radix(n, 16).ok());
            let Some(number) = number else { continue };
            let place = Place::Extent(number);
            let files = scan_directory(&place.dir(folder), place, &seam, &mut places)?;
            if number >= current.number {
                current = Current { number, files };
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            seam,
            places: RwLock::new(places),
            current: Mutex::new(current),
            handles: Mutex::default(),
            replacements_begun: AtomicU64::new(0),
            unfinished: Mutex::default(),
            leaving: Mutex::default(),
            buffers: Buffers::default(),
        })
    }

    fn place_of(&self, kind: SegmentKind, key: &ShardKey) -> Option<Place> {
        self.places.read().get(key).copied().filter(|place| place.holds(kind))
    }

    pub(super) fn holds(&self, kind: SegmentKind, segment: SegmentId, shard: u8) -> bool {
        self.place_of(kind, &(segment, shard)).is_some()
    }

    #[cfg(test)]
    pub(super) fn pretend(&self, files: impl Iterator<Item = ShardKey>) {
        self.places.write().extend(files.map(|file| (file, Place::Extent(0))));
    }

    fn path_of(&self, place: Place, key: &ShardKey) -> PathBuf {
        place.dir(&self.folder).join(shard_name(key.0, key.1))
    }

    /// The directory of a shard file that exists.
    pub(super) fn directory_of(&self, kind: SegmentKind, segment: SegmentId) -> Option<PathBuf> {
        let places = self.places.read();
        let place = match kind {
            SegmentKind::Log => Place::Log,
            SegmentKind::Checkpoint => Place::Checkpoint,
            SegmentKind::Extent | SegmentKind::Pack => {
                (0..=u8::MAX).find_map(|shard| places.get(&(segment, shard)).copied())?
            }
        };
        Some(place.dir(&self.folder))
    }

    fn place_for_new(&self, kind: SegmentKind) -> io::Result<Place> {
        match kind {
            SegmentKind::Log => Ok(Place::Log),
            SegmentKind::Checkpoint => Ok(Place::Checkpoint),
            SegmentKind::Extent | SegmentKind::Pack => {
                let mut current = self.current.lock();
                if current.files >= DIRECTORY_FILES_MAX {
                    let number = current.number.checked_add(1).ok_or_else(|| {
                        io::Error::other(format!("{}: all extent directories are full", self.folder.display()))
                    })?;
                    *current = Current { number, files: 0 };
                }
                current.files += 1;
                Ok(Place::Extent(current.number))
            }
        }
    }

    fn forget_file_in(&self, place: Place) {
        let mut current = self.current.lock();
        if place == Place::Extent(current.number) {
            current.files = current.files.saturating_sub(1);
        }
    }

    pub(super) fn create(&self, header: &ShardHeader) -> io::Result<ShardFile> {
        let key = (header.segment, header.shard);
        let place = self.place_for_new(header.kind)?;
        let created = self.create_in(place, &key, header);
        match &created {
            Ok(file) => {
                self.places.write().insert(key, place);
                self.handles.lock().put(key, file.clone());
            }
            Err(_) => self.forget_file_in(place),
        }
        created
    }

    fn create_in(&self, place: Place, key: &ShardKey, header: &ShardHeader) -> io::Result<ShardFile> {
        self.make_file(place, self.path_of(place, key), header, |options| {
            options.create_new(true)
        })
    }

    /// Makes a file with this header in the directory of `place`.
    fn make_file(
        &self,
        place: Place,
        path: PathBuf,
        header: &ShardHeader,
        how: impl Fn(&mut OpenOptions) -> &mut OpenOptions,
    ) -> io::Result<ShardFile> {
        let mut options = File::options();
        how(options.read(true).write(true));
        let file = self.seam.get(Operation::Create, &path, || {
            self.with_handles_to_spare(|| match options.open(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    make_dir(&place.dir(&self.folder))?;
                    options.open(&path)
                }
                other => other,
            })
        })?;
        self.seam.created(&path);
        let file = ShardFile::new(file, path, self.seam.clone(), self.buffers.clone());
        if let Err(e) = file.write_vectored_at(0, &[header.encode().into()]) {
            // What was just made holds nothing; if even this fails it is an orphan that a later start removes.
            drop(fs::remove_file(file.path()));
            return Err(e);
        }
        Ok(file)
    }

    /// Opens something; if the process has no file handles left, gives up the kept ones and tries once more.
    fn with_handles_to_spare<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let exhausted = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
        match open() {
            Err(e) if exhausted.contains(&e.raw_os_error()) => {
                let kept = std::mem::take(&mut *self.handles.lock());
                drop(kept);
                open()
            }
            other => other,
        }
    }

    /// The handle if the file is open already; never touches the drive.
    pub(super) fn open_handle(&self, segment: SegmentId, shard: u8) -> Option<ShardFile> {
        self.handles.lock().get(&(segment, shard))
    }

    pub(super) fn open(&self, kind: SegmentKind, segment: SegmentId, shard: u8) -> io::Result<Option<ShardFile>> {
        let key = (segment, shard);
        let Some(place) = self.place_of(kind, &key) else {
            return Ok(None);
        };
        if let Some(file) = self.handles.lock().get(&key) {
            return Ok(Some(file));
        }
        let path = self.path_of(place, &key);
        let opened = self.seam.get(Operation::Open, &path, || {
            self.with_handles_to_spare(|| File::open(&path))
        });
        match opened {
            Ok(file) => {
                let file = ShardFile::new(file, path, self.seam.clone(), self.buffers.clone());
                self.handles.lock().put(key, file.clone());
                if self.place_of(kind, &key).is_none() {
                    // It was removed meanwhile; a kept handle would hold its space.
                    self.handles.lock().remove(&key);
                }
                Ok(Some(file))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Notes that a shard file is going to be removed.
    pub(super) fn leaves(&self, segment: SegmentId, shard: u8) {
        self.leaving.lock().insert((segment, shard));
    }

    /// Whether its removal was asked for and has not been tried yet.
    pub(super) fn is_leaving(&self, segment: SegmentId, shard: u8) -> bool {
        self.leaving.lock().contains(&(segment, shard))
    }

    pub(super) fn remove(&self, kind: SegmentKind, segment: SegmentId, shard: u8) -> io::Result<()> {
        let key = (segment, shard);
        let removed = self.try_remove(kind, key);
        self.leaving.lock().remove(&key);
        removed
    }

    fn try_remove(&self, kind: SegmentKind, key: ShardKey) -> io::Result<()> {
        let Some(place) = self.place_of(kind, &key) else {
            return Ok(());
        };
        let path = self.path_of(place, &key);
        self.places.write().remove(&key);
        self.handles.lock().remove(&key);
        let removed = self
            .seam
            .run(Operation::Remove, &path, || match fs::remove_file(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            });
        match &removed {
            Ok(()) => {
                self.seam.removed(&path);
                self.forget_file_in(place);
            }
            Err(_) => drop(self.places.write().insert(key, place)),
        }
        removed
    }

    /// Names and kinds as [`Self::list`] gives them, without a look at the files.
    pub(super) fn known(&self) -> Vec<(SegmentId, u8, SegmentKind)> {
        let places = self.places.read();
        places
            .iter()
            .map(|(key, place)| (key.0, key.1, place.kind_hint()))
            .collect()
    }

    pub(super) fn list(&self) -> io::Result<Vec<ShardListing>> {
        let places: Vec<(ShardKey, Place)> = self.places.read().iter().map(|(k, p)| (*k, *p)).collect();
        let mut found = Vec::with_capacity(places.len());
        for (key, place) in places {
            let path = self.path_of(place, &key);
            match self.seam.get(Operation::List, &path, || fs::metadata(&path)) {
                Ok(metadata) => found.push(ShardListing {
                    kind_hint: place.kind_hint(),
                    segment: key.0,
                    shard: key.1,
                    bytes: metadata.len(),
                }),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        found.sort_by_key(|listing| (listing.segment, listing.shard));
        Ok(found)
    }
}

/// The names in a directory that are UTF-8; none if it does not exist.
fn names_in(dir: &Path, seam: &Seam) -> io::Result<Vec<String>> {
    let listed = seam.get(Operation::List, dir, || {
        fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()))
            .collect()
    });
    match listed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

/// Adds the shard files of a directory; returns how many there are.
fn scan_directory(dir: &Path, place: Place, seam: &Seam, places: &mut HashMap<ShardKey, Place>) -> io::Result<usize> {
    let mut files = 0;
    for name in names_in(dir, seam)? {
        if let Some(key) = parse_shard_name(&name) {
            places.insert(key, place);
            files += 1;
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::erasure::Geometry;
    use crate::embedded::frame::FORMAT_VERSION;
    use crate::embedded::id::StoreId;

    pub(super) fn header(number: u32, kind: SegmentKind) -> ShardHeader {
        let mut id = [9; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        ShardHeader {
            format: FORMAT_VERSION,
            store: StoreId::from_bytes([1; 16]),
            segment: SegmentId::from_bytes(id),
            kind,
            shard: 0,
            geometry: Geometry {
                data: 1,
                parity: 0,
                unit: 4096,
            },
            created_epoch: 1,
        }
    }

    /// The shards of a drive's folder, which is made as a format makes it.
    pub(super) fn scan(dir: &Path) -> Shards {
        for made in [LOG_DIR, EXTENT_DIR, CHECKPOINT_DIR] {
            fs::create_dir_all(dir.join(made)).unwrap();
        }
        Shards::scan(dir, Seam::default()).unwrap()
    }

    #[test]
    fn only_exact_names_are_shard_files() {
        let id = "0123456789abcdef0123456789abcdef";
        assert!(parse_shard_name(&format!("{id}.0f")).is_some());
        for name in [
            "x.00",
            &format!("{id}.0"),
            &format!("{id}.0F"),
            &format!("{id}.00.new"),
            &format!("{id}.+1"),
        ] {
            assert_eq!(parse_shard_name(name), None, "{name}");
        }
    }

    #[test]
    fn shards_of_each_kind_are_found_again_by_a_scan() {
        let dir = tempfile::tempdir().unwrap();
        let kinds = [
            SegmentKind::Log,
            SegmentKind::Extent,
            SegmentKind::Pack,
            SegmentKind::Checkpoint,
        ];
        let shards = scan(dir.path());
        for (number, kind) in (0..).zip(kinds) {
            shards.create(&header(number, kind)).unwrap();
        }
        let again = scan(dir.path());
        assert_eq!(again.list().unwrap(), shards.list().unwrap());
        for (number, kind) in (0..).zip(kinds) {
            let wanted = header(number, kind);
            let file = again.open(kind, wanted.segment, 0).unwrap().unwrap();
            let bytes = file.read_at(0, 4096).unwrap();
            assert_eq!(ShardHeader::decode(wanted.segment, 0, &bytes).unwrap(), wanted);
            again.remove(kind, wanted.segment, 0).unwrap();
            assert!(again.open(kind, wanted.segment, 0).unwrap().is_none());
        }
        assert!(scan(dir.path()).list().unwrap().is_empty());
    }

    #[test]
    fn a_shard_file_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let shards = scan(dir.path());
        shards.create(&header(1, SegmentKind::Log)).unwrap();
        let again = shards.create(&header(1, SegmentKind::Log)).err().unwrap();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert!(again.to_string().contains("create"), "{again}");
    }

    #[test]
    fn kept_handles_are_given_up_when_the_process_has_none_left() {
        let dir = tempfile::tempdir().unwrap();
        let shards = scan(dir.path());
        let made = header(1, SegmentKind::Log);
        shards.create(&made).unwrap();
        let has_handle = || shards.open_handle(made.segment, 0).is_some();
        assert!(has_handle());
        let opened = shards.with_handles_to_spare(|| {
            if has_handle() {
                return Err(io::Error::from_raw_os_error(24));
            }
            Ok(())
        });
        opened.unwrap();
        assert!(shards.open(SegmentKind::Log, made.segment, 0).unwrap().is_some());
    }

    #[test]
    fn extent_directories_roll_over_and_handles_stay_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let shards = scan(dir.path());
        let most = u32::try_from(DIRECTORY_FILES_MAX).unwrap();
        for number in 0..=most {
            shards.create(&header(number, SegmentKind::Extent)).unwrap();
        }
        assert!(dir.path().join("extent/0001").is_dir());
        assert_eq!(
            fs::read_dir(dir.path().join("extent/0000")).unwrap().count(),
            DIRECTORY_FILES_MAX
        );
        let handles = shards.handles.lock();
        assert!(handles.young.len() + handles.old.len() <= 2 * HANDLES_MAX);
        drop(handles);
        let first = header(0, SegmentKind::Extent).segment;
        assert!(shards.open(SegmentKind::Extent, first, 0).unwrap().is_some());
        assert_eq!(scan(dir.path()).current.lock().number, 1);
    }
}
