//! What the fuzzers do with their bytes: plain functions from bytes to a finding, so that `cargo test` replays the
//! committed corpora through the very functions that libFuzzer runs.
//!
//! A finding is an error with its evidence; a panic is one too. Where rules decide, `HYDRA_SUBJECT` names a mutant of the
//! museum in their place: then there must be a finding, and soon.

pub mod adapter;
mod core;
pub mod differential;
pub mod door;
pub mod history;
pub mod hostile_file;
pub mod schedule;
pub mod simulation;
pub mod stores;
mod subject;
pub mod talk;
mod text;
pub mod transitions;
pub mod workload;

/// What came of one input: nothing, or a finding that says what is wrong.
pub type Judged = Result<(), String>;

/// One fuzzer.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: of the fuzzer, of its file and of its corpus.
    pub name: &'static str,
    /// What it does with its bytes.
    pub judge: fn(&[u8]) -> Judged,
}

/// Every fuzzer.
pub const TARGETS: [Target; 10] = [
    Target { name: "transitions", judge: transitions::judge },
    Target { name: "stores", judge: stores::judge },
    Target { name: "hostile_file", judge: hostile_file::judge },
    Target { name: "schedule", judge: schedule::judge },
    Target { name: "history", judge: history::judge },
    Target { name: "workload", judge: workload::judge },
    Target { name: "adapter", judge: adapter::judge },
    Target { name: "talk", judge: talk::judge },
    Target { name: "door", judge: door::judge },
    Target { name: "simulation", judge: simulation::judge },
];
