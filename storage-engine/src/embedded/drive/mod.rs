//! File I/O of the engine: drives and the index directory. Nothing outside this folder opens a file.

pub mod index_dir;
