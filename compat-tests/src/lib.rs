//! Compat.
