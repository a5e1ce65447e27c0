//! The worker side: what a worker does next, given what it has seen.
//!
//! A worker that drives one execution is one [`drive`] machine, a [`step`] machine for each step that the workflow has
//! asked for, and a [`lease::LeaseClock`]. They own no I/O: the engine, the model and the simulator feed them events
//! and carry out the actions. Half of the audit's findings were here.

pub mod delivery;
pub mod drive;
pub mod lease;
pub mod step;
