//! The backend on local drives. It owns the drives, the root, the log, extents, checkpoints and the index over them;
//! it never knows buckets or objects.

pub mod checkpoint;
pub mod compact;
pub mod drive;
pub mod erasure;
pub mod fleet;
pub mod frame;
pub mod heal;
pub mod id;
pub mod index;
pub mod inspect;
pub mod record;
pub mod root;
pub mod salvage;
pub mod segment;
pub mod table;

mod backend_impl;
mod blob;
mod buffers;
mod checkpoint_io;
mod comeback;
mod core;
mod damage_log;
mod detached;
mod housekeeping;
mod index_check;
mod log;
mod recovery;
mod request;
mod service;
mod stuck;
mod supervise;
mod suspicion;

#[cfg(test)]
pub(crate) use housekeeping::ByHand;
pub use index_check::IndexCheck;
pub use recovery::{OpenError, OpenOptions};
pub use supervise::Embedded;
