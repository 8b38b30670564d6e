//! Drystone server.

pub mod auth;
