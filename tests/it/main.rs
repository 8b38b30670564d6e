//! Integration tests.

mod auth;
mod server;
mod tidy;
