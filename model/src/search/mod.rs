//! Exhaustive search over a [`stateright::Model`]: what that crate's own checkers do not give.
//!
//! [`explore`] visits every reachable state breadth first and answers with a [`Verdict`] that cannot lie: a run that
//! was cut short by any limit, or by the model's boundary, is [`Verdict::Incomplete`] and never a pass.
//!
//! - States are stored exactly, in the model's own packing, so no two states are ever taken for one.
//! - Results do not depend on the number of threads: a state's number is its place in the breadth-first order of one thread.
//! - Counterexamples are shortest, and are paths of real states that were executed again before they are handed out.
//! - Safety is judged on states *and* on edges; termination in four tiers with four names (see [`Kind`]).
//!
//! It knows nothing about workflows: a model says what it needs through [`Checkable`].
//! [`small_lease`] is a worked example, also written in Promela (`model/spin/lease.pml`) so that Spin can count it too.
//!
//! Who owns what: `bfs` walks the levels and keeps the limits; `batch` takes consecutive states through expanding
//! (`frontier`), looking up (`table`), numbering and writing edges down (`encoder`, `edges`); `conclude` makes the report,
//! with counterexamples from `trace` and the edges judged by `termination`.

mod arena;
mod batch;
mod bfs;
mod bits;
mod checkable;
mod conclude;
mod edges;
mod encoder;
mod frontier;
mod graph;
mod hash;
mod options;
mod report;
pub mod small_lease;
mod table;
mod termination;
mod trace;

pub use bfs::explore;
pub use checkable::{Checkable, Judge, Role, Words};
pub use options::{Options, Passes};
pub use report::{Finding, Goal, Kind, Outcome, Pass, PassOutcome, Progress, Report, Verdict, Why};
pub use trace::Counterexample;
