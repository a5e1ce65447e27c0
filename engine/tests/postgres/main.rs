//! The store in a PostgreSQL server, on its bad days: each is a typed error that says what to do, and nothing is lost.

#[path = "../store_conformance/harness.rs"]
#[allow(dead_code, reason = "only part of it is needed here")]
mod harness;

mod bodies;
mod commits;
mod crashes;
mod lawful;
mod opening;
mod plans;
mod pooler;
mod processes;
mod proxy;
mod shared;
