//! A durable workflow engine: embeddable, on SQLite, in memory, or (feature `postgres`) on PostgreSQL.
//!
//! A **workflow** is an async function whose units of work are **steps**. Each step's outcome is made durable before the
//! workflow sees it, so an **execution** survives the death of any worker at any moment: another one replays the
//! workflow from its journal and goes on. SPEC.md says what is promised, and what is not.
//!
//! All decisions are made by the pure core, [`hydra_protocol`]; this crate is the shell around it: a [`store`], a
//! [`Worker`] that drives, a [`Client`] that starts and looks.

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

mod bell;
mod client;
mod codec;
pub mod conform;
mod names;
pub mod store;
mod sync;
mod worker;
mod workflow;

pub use client::{Client, ClientError, ResultError, Start, Started};
pub use names::{NAME_BYTES_MAX, NameError};
pub use worker::{ConfigError, Worker, WorkerBuilder};
pub use workflow::{Attempt, BoxError, Context, RetryPolicy, StepBuilder, StepError, StepFailure, Tx};

pub use hydra_protocol as protocol;

/// The namespace of clients and workers that name none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
