//! Integration tests.

mod auth;
mod s3;
mod server;
mod tidy;
