//! The server around the store: the edge under bad clients, health, TLS, start and stop, and the binary's own words.

mod bad_clients;
mod binary;
mod docker;
mod lifecycle;
mod paths;
mod stack;
mod support;
mod tls;
