//! Every cap on images: what a URL may ask for, what is decoded, and how long and how large a worker may get.

use std::time::Duration;

/// The longest side of an image that is made, in pixels.
pub const OUTPUT_SIDE_MAX: u32 = 4_096;
/// Radius and sigma of a blur, in pixels.
pub const BLUR_MAX: u8 = 150;
/// Colour distance up to which trimming takes a pixel for the border's: that of black and white.
pub const TOLERANCE_MAX: u16 = 442;
/// Pixels of a source, by its header, before anything of it is decoded.
pub const SOURCE_PIXELS_MAX: u64 = 50_000_000;
/// Bytes of a source.
pub const SOURCE_BYTES_MAX: u64 = 25 << 20;
/// Bytes of an image that is made.
pub const OUTPUT_BYTES_MAX: u32 = 32 << 20;
/// Pixels of an AVIF, times how often it may be written until it has few enough bytes. One of noise alone then takes two
/// thirds of a worker's processor time, and a photograph a fifth.
pub const AVIF_PIXELS_MAX: u32 = 2_000_000;
/// The same where nobody asked for AVIF by name; also, up to this it is written with more care.
pub const AVIF_CAREFUL_PIXELS_MAX: u32 = 500_000;
/// Bytes of the options and the key in a URL, as they stand there.
pub const PATH_BYTES_MAX: usize = 4_096;
/// Address space of a worker: two copies of the largest source with 16 bits a channel, and some room.
pub const WORKER_ADDRESS_SPACE_BYTES: u64 = 1 << 30;
/// Processor time that a worker may take for one image.
pub const WORKER_CPU_SECONDS: u64 = 10;
/// How long a worker may take for one image, with its source read from the store.
pub const WALL: Duration = Duration::from_secs(10);
/// How long a request waits for a worker before it is told to come again.
pub const TURN: Duration = Duration::from_secs(10);
/// After how many images a worker is replaced.
pub const IMAGES_PER_WORKER: u32 = 256;
/// A worker that had more pixels than this before it is replaced, so that none keeps much memory.
pub const PIXELS_KEPT_WORKER: u64 = 16_000_000;
/// Requests that wait for a worker, for each worker.
pub const WAITING_PER_WORKER: usize = 32;
/// Bytes of images that are kept ready.
pub const CACHE_BYTES_MAX: usize = 64 << 20;
/// Different images of one file that URLs without a signature may have made in an hour.
pub const UNSIGNED_VARIANTS_PER_HOUR: u32 = 32;
/// Presets of one project's environment.
pub const PRESETS_MAX: usize = 100;
