//! The server around the store: the edge under bad clients, health, TLS, start and stop, and the binary's own words.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod admin;
mod app_users;
mod bad_clients;
mod binary;
mod broken_uploads;
mod clamd;
mod collect;
mod cors;
mod docker;
mod downloads;
mod export;
mod fleet;
mod fronts;
mod guests;
mod identities;
mod image_hosts;
mod images;
mod import;
mod lifecycle;
mod links;
mod mc;
mod mc_bad_servers;
mod pages;
mod paths;
mod projects;
mod receiver;
mod rights;
mod scan;
mod scan_webhook;
mod served;
mod settings;
mod stack;
mod streams;
mod support;
mod tls;
mod tus;
mod uploads;
mod users;
mod visibility;
