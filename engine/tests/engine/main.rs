//! The engine as a user has it: workflows on the in-memory store, under tokio's paused clock, so that every sleep,
//! backoff and lease is exact and takes no real time. `on_sqlite.rs` runs the same on a file.

mod between;
mod claims;
mod client;
mod control;
mod ends;
mod faults;
mod late;
mod limits;
mod races;
mod results;
mod shop;
mod steps;
mod timers;
mod waiting;
