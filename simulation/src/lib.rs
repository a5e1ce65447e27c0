//! A deterministic simulator of workflow engines under faults, and the judge of what it saw.
//!
//! These parts know nothing of any engine, ours included, and serve the audit of every one:
//! - [`workload`]: workflow programs that a driver in any language can interpret, generated from a seed;
//! - [`history`]: what clients and receivers observed;
//! - [`oracle`]: judges a history against what the subject promises;
//! - [`shrink`]: makes a failing schedule short;
//! - [`report`]: tells it to people and to machines.

pub mod campaign;
pub mod cli;
mod clock;
pub mod cluster;
pub mod coverage;
pub mod history;
pub mod nemesis;
pub mod oracle;
pub mod report;
pub mod shrink;
pub mod subjects;
pub mod workload;
