//! The backend on local drives. It owns the drives, the root, the log, extents, checkpoints and the index over them;
//! it never knows buckets or objects.

pub mod checkpoint;
pub mod drive;
pub mod erasure;
pub mod frame;
pub mod id;
pub mod index;
pub mod record;
pub mod segment;
pub mod table;
