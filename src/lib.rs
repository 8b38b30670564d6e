//! Drystone server.
