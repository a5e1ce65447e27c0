//! The store in a PostgreSQL server, on its bad days.

#[path = "../store_conformance/harness.rs"]
#[allow(dead_code, reason = "only part of it is needed here")]
mod harness;
