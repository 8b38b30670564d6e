//! The S3 front: requests in AWS's dialect, turned into one call of the store each.
//!
//! Owns the wire: routes and XML (by s3s), the guard that refuses what is not built, error documents, header and date
//! conventions. It never verifies signatures (`auth` did, before), never decides who may do what (`access` does), and
//! knows nothing of rows, drives or durability.

mod acl;
mod body;
mod bucket;
mod catalogue;
mod conditions;
mod config_reads;
mod convert;
mod copy;
mod cors;
mod delete;
mod downloads;
mod error;
mod events;
mod form;
mod front;
mod guard;
mod link;
mod list;
mod list_parts;
mod listen;
mod multipart;
mod normalise;
mod object;
mod policy;
mod service;
mod settings;
mod tagging;
mod target;
mod uploads;
mod xml;

pub use cors::CorsRules;
pub use events::Happened;
pub use front::HASHED_BYTES_MAX;
pub use service::{S3Config, S3Service, service};
