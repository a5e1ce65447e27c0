//! Tests of the pure core, in two kinds: transcripts that a person can read (`../golden`), and properties over
//! random schedules, each seen failing on a mutant.

mod backoff;
mod coverage;
mod delivery;
mod drive_machine;
mod invariants;
mod lease_clock;
mod liveness;
mod lossy_network;
mod mutants;
mod parse;
mod properties;
mod property;
mod render;
mod rows;
mod schedule;
mod script;
mod step_machine;
mod store;
mod time;
mod transcripts;
mod watch;
mod words;
mod worker_mutants;
