//! The process in which images are decoded and made: orders in at its standard input, answers out at its standard output.
//!
//! It takes every power away from itself before it reads the first byte of an image: it opens no file and no socket, and
//! has a bounded address space and processor time. It knows no file, no key and no caller. What its server does about one
//! that hangs or dies is in [`super::pool`].

mod avif;
mod decode;
mod encode;
mod saliency;
mod shape;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, chdir, setrlimit, setsid};
use rustix::thread::set_no_new_privs;
use rustix::time::{ClockId, clock_gettime};

use super::limits::{OUTPUT_BYTES_MAX, SOURCE_PIXELS_MAX, WORKER_ADDRESS_SPACE_BYTES, WORKER_CPU_SECONDS};
use super::options::Options;
use super::wire::{AnswerHead, Encoding, NotMade, Order, send};

/// The exit code of a worker that could not limit itself, or lost its server in the middle of an order.
const BROKEN: u8 = 1;

/// What a worker may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerLimits {
    pub address_space_bytes: u64,
    /// For one image.
    pub cpu_seconds: u64,
    /// Of a source.
    pub pixels: u64,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            address_space_bytes: WORKER_ADDRESS_SPACE_BYTES,
            cpu_seconds: WORKER_CPU_SECONDS,
            pixels: SOURCE_PIXELS_MAX,
        }
    }
}

/// An image that was made, or why not, and how many pixels its source has by its header.
#[derive(Debug)]
pub struct Outcome {
    pub made: Result<(Encoding, Vec<u8>), NotMade>,
    pub source_pixels: u64,
}

/// Serves orders until its server closes standard input.
pub fn run(limits: WorkerLimits) -> ExitCode {
    if let Err(error) = confine(limits) {
        // Standard error may lead nowhere, and the exit code says the same.
        let _ = writeln!(io::stderr(), "an image worker cannot limit itself: {error}");
        return ExitCode::from(BROKEN);
    }
    match serve(&mut io::stdin().lock(), &mut io::stdout().lock(), limits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(BROKEN),
    }
}

/// Gives up what a worker never needs. Some of it may be forbidden already; the limits themselves must hold.
fn confine(limits: WorkerLimits) -> io::Result<()> {
    // The leader of a group has a session of its own already.
    let _ = setsid();
    set_no_new_privs(true)?;
    chdir("/")?;
    let set = |resource, most: u64| {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)
    };
    set(Resource::Core, 0)?;
    set(Resource::Fsize, 0)?;
    // Standard input, output and error are there, and no other ever is.
    set(Resource::Nofile, 3)?;
    set(Resource::As, limits.address_space_bytes)?;
    Ok(())
}

fn serve(input: &mut impl Read, output: &mut impl Write, limits: WorkerLimits) -> io::Result<()> {
    while let Some((order, source)) = Order::read(input)? {
        allow_cpu(limits.cpu_seconds)?;
        // A decoder that panics has met what it does not understand.
        let outcome = catch_unwind(AssertUnwindSafe(|| make(&order, source, limits.pixels)));
        let outcome = outcome.unwrap_or(Outcome {
            made: Err(NotMade::Damaged),
            source_pixels: u64::MAX,
        });
        let (made, image) = match outcome.made {
            Ok((encoding, image)) => match u32::try_from(image.len()) {
                Ok(length) if length <= OUTPUT_BYTES_MAX => (Ok((encoding, length)), image),
                Ok(_) | Err(_) => (Err(NotMade::TooLarge), Vec::new()),
            },
            Err(refusal) => (Err(refusal), Vec::new()),
        };
        let source_pixels = u32::try_from(outcome.source_pixels).unwrap_or(u32::MAX);
        send(output, AnswerHead { made, source_pixels }, &image)?;
    }
    Ok(())
}

/// From now on this much more of processor time; beyond it the kernel ends the process.
fn allow_cpu(seconds: u64) -> io::Result<()> {
    let used = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0);
    let limit = Rlimit {
        // The second that has begun is not counted against the image.
        current: Some(used.saturating_add(seconds).saturating_add(1)),
        maximum: None,
    };
    Ok(setrlimit(Resource::Cpu, limit)?)
}

/// Makes an image from the bytes of a file.
pub fn make(order: &Order, source: Vec<u8>, pixels_max: u64) -> Outcome {
    let refused = |source_pixels, refusal| Outcome {
        made: Err(refusal),
        source_pixels,
    };
    let Ok(options) = Options::parse(&order.options) else {
        return refused(0, NotMade::BadOrder);
    };
    let header = match decode::Header::read(source) {
        Ok(header) => header,
        Err(refusal) => return refused(0, refusal),
    };
    let pixels = header.pixels();
    if pixels > pixels_max {
        return refused(pixels, NotMade::TooManyPixels);
    }
    let made = header.decode().and_then(|decoded| {
        let source = decoded.encoding;
        let image = shape::shape(decoded, &options)?;
        encode::encode(&image, order, source, &options.filters)
    });
    Outcome {
        made,
        source_pixels: pixels,
    }
}
