//! Images by URL: thumbnails, crops and other formats of stored images, made when they are asked for.
//!
//! Owns the grammar of the URLs ([`path`], [`options`], [`sign`]), what is made of which pixels ([`plan`]), and the workers
//! that do it ([`worker`], a process of its own, and [`pool`], who feeds them). The server itself never decodes an image.
//! It never decides who may see a file: the original is asked for as its caller would, each time.

pub mod album;
pub mod cache;
pub mod flood;
pub mod limits;
pub mod options;
pub mod path;
pub mod plan;
pub mod pool;
pub mod refused;
pub mod service;
pub mod sign;
pub mod wire;
pub mod worker;
