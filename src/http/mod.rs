//! The shared edge: listening, TLS, limits on connections and requests, request ids, health, and the error document.
//!
//! It decides which front a request belongs to by path and host, and protects every front from slow, oversized and
//! malformed input. It never authenticates, never authorises, and knows no bucket but the name in a virtual host.

pub mod body;
pub(crate) mod conditions;
pub mod connection;
pub mod console;
mod cors;
pub mod edge;
pub mod error;
pub mod health;
pub mod host;
pub mod listener;
pub mod origin;
pub mod pace;
pub mod peer;
pub mod request_id;
pub mod stream;
pub mod tls;
pub mod tracked;
pub mod trust;
pub mod turn;

/// What `Cache-Control` says of bytes that no cache keeps, not even that of who reads them.
pub(crate) const KEPT_BY_NOBODY: &str = "private, no-store";
