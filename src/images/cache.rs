//! Images that were made, kept ready in memory: as many bytes as it may, the longest unused given up first.
//!
//! What is kept for a file is kept for the file as it was: when it has changed, or is gone, all of it is given up. Also
//! kept, for a while, is that an image cannot be made. It never decides who may see what it keeps. It is lost with the
//! process, so a visitor can fill memory up to its bound and no drive.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::refused::Refused;
use super::wire::{Encoding, Order};

/// What an entry takes beside its image and its names.
const ENTRY_BYTES: usize = 256;

/// A file, by the app bucket it is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileName {
    pub bucket: String,
    pub key: String,
}

/// An image of a file as it is at one time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    pub file: FileName,
    /// What is different whenever the file is.
    pub state: String,
    pub order: Order,
}

/// What was made of a file.
#[derive(Clone, Debug)]
pub enum Derived {
    Image {
        encoding: Encoding,
        bytes: Bytes,
    },
    /// It cannot be made; asked again only after `until`.
    Refused {
        refused: Arc<Refused>,
        until: Instant,
    },
}

/// How the cache stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    pub bytes: usize,
    pub images: usize,
    pub hits: u64,
    pub misses: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Cache {
    bytes_max: usize,
    files: HashMap<FileName, OfFile>,
    /// By when it was used last.
    order: BTreeMap<u64, (FileName, Order)>,
    uses: u64,
    figures: CacheFigures,
}

#[derive(Debug)]
struct OfFile {
    state: String,
    images: HashMap<Order, Kept>,
}

#[derive(Debug)]
struct Kept {
    derived: Derived,
    used: u64,
    bytes: usize,
}

impl Cache {
    /// Empty, for this many bytes, names and what keeps them included.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            files: HashMap::new(),
            order: BTreeMap::new(),
            uses: 0,
            figures: CacheFigures::default(),
        }
    }

    pub fn figures(&self) -> CacheFigures {
        self.figures
    }

    /// What is kept of this. All that is kept of the file in another state is given up.
    pub fn get(&mut self, variant: &Variant, now: Instant) -> Option<Derived> {
        let found = self.find(variant, now);
        match found {
            Some(_) => self.figures.hits += 1,
            None => self.figures.misses += 1,
        }
        found
    }

    fn find(&mut self, variant: &Variant, now: Instant) -> Option<Derived> {
        let file = self.files.get_mut(&variant.file)?;
        if file.state != variant.state {
            self.forget(&variant.file);
            return None;
        }
        let kept = file.images.get_mut(&variant.order)?;
        if matches!(kept.derived, Derived::Refused { until, .. } if until <= now) {
            self.drop_one(&variant.file, &variant.order);
            return None;
        }
        self.uses += 1;
        if let Some(name) = self.order.remove(&kept.used) {
            self.order.insert(self.uses, name);
        }
        kept.used = self.uses;
        Some(kept.derived.clone())
    }

    /// Keeps what was made. What is larger than a quarter of all that is kept is not.
    pub fn keep(&mut self, variant: Variant, derived: Derived) {
        let image = match &derived {
            Derived::Image { bytes, .. } => bytes.len(),
            Derived::Refused { .. } => 0,
        };
        let Variant { file, state, order } = variant;
        // Names stand in the entry of the file and in the order.
        let names = 2 * (file.bucket.len() + file.key.len() + order.options.len()) + state.len();
        let bytes = ENTRY_BYTES + names + image;
        if bytes > self.bytes_max / 4 {
            return;
        }
        if self.files.get(&file).is_some_and(|known| known.state != state) {
            self.forget(&file);
        }
        self.drop_one(&file, &order);
        while self.figures.bytes + bytes > self.bytes_max {
            let Some((_, (oldest, its_order))) = self.order.pop_first() else {
                break;
            };
            self.drop_one(&oldest, &its_order);
        }
        self.uses += 1;
        self.order.insert(self.uses, (file.clone(), order.clone()));
        self.figures.bytes += bytes;
        self.figures.images += 1;
        let kept = Kept {
            derived,
            used: self.uses,
            bytes,
        };
        let of_file = self.files.entry(file).or_insert_with(|| OfFile {
            state,
            images: HashMap::new(),
        });
        of_file.images.insert(order, kept);
    }

    /// Gives up all that is kept of a file.
    pub fn forget(&mut self, file: &FileName) {
        let Some(known) = self.files.remove(file) else { return };
        for kept in known.images.values() {
            self.order.remove(&kept.used);
            self.figures.bytes -= kept.bytes;
            self.figures.images -= 1;
        }
    }

    fn drop_one(&mut self, file: &FileName, order: &Order) {
        let Some(known) = self.files.get_mut(file) else { return };
        if let Some(kept) = known.images.remove(order) {
            self.order.remove(&kept.used);
            self.figures.bytes -= kept.bytes;
            self.figures.images -= 1;
        }
        if known.images.is_empty() {
            self.files.remove(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn variant(key: &str, state: &str, options: &str) -> Variant {
        Variant {
            file: FileName {
                bucket: "shop-prod".to_owned(),
                key: key.to_owned(),
            },
            state: state.to_owned(),
            order: Order {
                options: options.to_owned(),
                encoding: None,
                avif_if_small: false,
            },
        }
    }

    fn image(length: usize) -> Derived {
        Derived::Image {
            encoding: Encoding::Png,
            bytes: vec![7; length].into(),
        }
    }

    #[test]
    fn it_never_holds_more_bytes_than_it_may_and_gives_up_the_longest_unused() {
        let mut cache = Cache::new(10_000);
        let now = Instant::now();
        for number in 0..100 {
            cache.keep(variant(&format!("k{number}"), "1", "9x9"), image(1_000));
            let figures = cache.figures();
            assert!(figures.bytes <= 10_000 && figures.images <= 9, "{figures:?}");
            // The first is used all the time.
            assert!(cache.get(&variant("k0", "1", "9x9"), now).is_some(), "{number}");
        }
        assert!(cache.get(&variant("k99", "1", "9x9"), now).is_some());
        assert!(cache.get(&variant("k50", "1", "9x9"), now).is_none());
        cache.keep(variant("large", "1", "9x9"), image(2_600));
        assert!(
            cache.get(&variant("large", "1", "9x9"), now).is_none(),
            "one image may not drive out all others"
        );
        for number in 0..100 {
            cache.forget(&variant(&format!("k{number}"), "1", "9x9").file);
        }
        let figures = cache.figures();
        assert_eq!((figures.bytes, figures.images), (0, 0));
        assert!(cache.order.is_empty() && cache.files.is_empty());
    }

    #[test]
    fn what_was_kept_of_a_file_is_given_up_when_the_file_has_changed() {
        let mut cache = Cache::new(10_000);
        let now = Instant::now();
        cache.keep(variant("k", "1", "9x9"), image(100));
        cache.keep(variant("k", "1", "8x8"), image(100));
        assert!(cache.get(&variant("k", "2", "9x9"), now).is_none());
        assert_eq!(cache.figures().images, 0);
        cache.keep(variant("k", "1", "9x9"), image(100));
        cache.keep(variant("k", "2", "8x8"), image(100));
        assert!(cache.get(&variant("k", "2", "9x9"), now).is_none());
        assert!(cache.get(&variant("k", "2", "8x8"), now).is_some());
    }

    #[test]
    fn a_refusal_is_kept_for_its_time() {
        let mut cache = Cache::new(10_000);
        let now = Instant::now();
        let refused = Derived::Refused {
            refused: Arc::new(Refused::busy()),
            until: now + Duration::from_secs(60),
        };
        cache.keep(variant("k", "1", "9x9"), refused);
        assert!(cache.get(&variant("k", "1", "9x9"), now).is_some());
        let later = now + Duration::from_secs(60);
        assert!(cache.get(&variant("k", "1", "9x9"), later).is_none());
        assert_eq!(cache.figures().images, 0);
    }
}
