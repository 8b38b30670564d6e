//! Integration tests.

mod auth;
mod tidy;
