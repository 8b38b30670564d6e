//! Integration tests.

mod auth;
mod images;
mod s3;
mod server;
mod tidy;
