//! The pure core of the engine: every decision, and nothing else.
//!
//! No I/O, no clock, no randomness, no async, no allocation: rows, a command and `now` go in; a [`Commit`] or a
//! typed [`Rejection`] comes out. The engine, the model checker, the simulator and the tests all drive these same
//! functions, so what is proved of one holds for the others.
//!
//! * The **store side** ([`transitions`]) says what one transaction may change. [`decide`] is its only door.
//! * The **worker side** ([`worker`]) says what a worker does next, given what it has seen.
//! * [`Protocol`] holds both as provided methods that call each other through `self`. [`Reference`] overrides
//!   nothing; a *mutant* overrides one method, and lives with the checkers, never here.
//!
//! Names of executions, payloads and error texts stay outside: the core speaks of one execution and one of its
//! steps at a time. SPEC.md gives the same rules as tables.
#![no_std]
#![forbid(unsafe_code)]
// Nothing here may panic on what it is given: a worker that dies of a row dies of it again after each restart.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented
    )
)]

mod backoff;
mod command;
mod commit;
mod rejection;
mod rows;
mod rules;
mod time;
pub mod transitions;
pub mod worker;

pub use backoff::Backoff;
pub use command::{Command, Release, Settlement, Verdict, Wake};
pub use commit::{Commit, Reply, Rows, StepWrite};
pub use rejection::Rejection;
pub use rows::decode::{self, DecodeError, RawExecution, RawStep};
pub use rows::execution::{Ending, Epoch, Execution, Failure, Status};
pub use rows::invariants::{self, Broken};
pub use rows::step::{Cause, Kind, Outcome, Step, StepNo, StepState};
pub use rules::{Protocol, Recovery, Reference};
pub use time::{Span, Time};
pub use transitions::decide;
