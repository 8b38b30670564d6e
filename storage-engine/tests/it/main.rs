//! The engine on real directories, from outside: what an operator, a crash or a dying drive does to it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the answer; clippy spares only functions marked as tests"
)]

mod adoption;
mod degraded;
mod drains;
mod drives;
mod faults;
mod first_format;
mod fixture;
mod heal;
mod identity;
mod inspect;
mod mount_points;
mod mounts;
mod orders;
mod red;
mod restart;
mod scene;
mod slow;
mod space;
mod uploads;
mod widen;
