//! The live auditor: runs somebody else's engine as real processes, breaks it at every boundary, and judges what it saw.
//!
//! It uses the simulator's workloads, schedules, history, oracle and report; only the world is real.
//! - [`adapter`]: one folder for each engine, with what it promises and how it is driven;
//! - [`talk`]: JSON lines with its workers and clients;
//! - [`observer`] and [`door`]: what every step body is asked and told, and what was seen;
//! - [`boundary`] and [`process`]: places in a process's life, seen from outside, and faults put there;
//! - [`store`]: the database it needs, and the network to it, whose every message is a place too; [`placed`]: what waits
//!   at a place;
//! - [`scenario`]: one run with one fault; [`audit`]: all of them, and the report.

pub mod adapter;
pub mod audit;
pub mod boundary;
pub mod cli;
pub mod door;
pub mod observer;
pub mod placed;
pub mod process;
pub mod scenario;
pub mod store;
mod strain;
pub mod talk;

pub use process::launch::become_it_if_told;

/// The beginning of a text, for an error.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}
