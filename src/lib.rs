//! Drystone: a self-hosted, S3-compatible object store in one binary.
//!
//! - [`config`]: command line and environment in, one checked `Config` out; the only reader of the environment.
//! - [`cli`]: the commands of the binary.
//! - [`server`]: the only wiring: opens the engine, builds the fronts, listens, drains, stops.
//! - [`http`]: the edge that all fronts share: TLS, limits, request ids, health.
//! - [`access`]: may they. One decision for every front.
//! - [`auth`]: who is calling. It comes before every S3 route.
//! - `facts`: what a decision needs to know of bucket and object, loaded.
//! - [`files`]: the Files API: what apps ask of their files, as JSON.
//! - [`images`]: images by URL, made by worker processes.
//! - [`identity`]: the directory: who there is, and what they may do.
//! - [`intake`]: bytes of files on their way in: looked at, and held to their limits.
//! - [`admin`]: the admin front: MinIO's verbs and our own, as JSON.
//! - [`ldap`]: an LDAP server: whose name and password it accepts.
//! - [`links`]: presigned URLs for one file each, with limits of their own.
//! - [`media`]: what files are called and what is in them. Pure.
//! - [`openid`]: identity providers: whom an issuer of tokens vouches for.
//! - [`outbound`]: calls to servers that applications named.
//! - [`policy`]: the policy language. Pure: it judges questions and knows nobody.
//! - [`projects`]: apps that use the store: their keys, and who vouches for their users.
//! - [`s3`]: the S3 front: routes, XML, errors, and the guard that refuses what is not built.
//! - [`sts`]: the token service: temporary credentials.
//! - [`telemetry`]: logs and metrics.
//! - [`usage`]: how much each bucket holds.
//! - [`webhooks`]: applications are told of what happens to their files.

pub mod access;
pub mod admin;
pub mod auth;
pub mod cli;
pub mod collect;
pub mod config;
mod facts;
pub mod files;
pub mod http;
pub mod identity;
pub mod images;
pub mod intake;
pub mod ldap;
pub mod links;
pub mod media;
pub mod openid;
pub mod outbound;
pub mod policy;
pub mod projects;
mod rate;
pub mod s3;
pub mod scan;
pub mod server;
pub mod sts;
pub mod telemetry;
pub mod usage;
pub mod webhooks;
