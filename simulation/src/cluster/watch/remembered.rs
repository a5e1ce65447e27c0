//! What the look at a run remembers of it.

use super::super::note::Seen;
use crate::history::Status;

/// What is remembered of one step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StepSeen {
    pub(super) entries: u32,
    pub(super) began: u32,
    /// Under which claim, the last time.
    pub(super) began_by: u32,
    /// The latest entry, and the worker inside.
    pub(super) inside: Option<(u32, u8)>,
    /// When it was entered the last time.
    pub(super) entered_ms: u64,
    /// The value that a body returned last.
    pub(super) value: Option<u64>,
    pub(super) failed: bool,
    /// It failed for good, or its result cannot be encoded.
    pub(super) finally: bool,
    /// A body was entered and never left.
    pub(super) died: bool,
    pub(super) checkpoint: Option<Seen>,
    pub(super) handed: Option<Seen>,
    pub(super) applied: u32,
    pub(super) key: Option<u64>,
    pub(super) timer_due_ms: Option<u64>,
    pub(super) fired: bool,
    pub(super) waits_until_ms: u64,
    pub(super) wait_ms: u64,
}

/// What is remembered of one execution.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ExecutionSeen {
    pub(super) status: Option<Status>,
    /// Which input was accepted: the other one, or that of the program.
    pub(super) accepted: Option<bool>,
    pub(super) claim: u32,
    pub(super) owner: u8,
    pub(super) epoch: u32,
    pub(super) leased: bool,
    pub(super) last_ms: u64,
    pub(super) retried: bool,
    pub(super) decode: bool,
    /// Claimed since the last other sign, and how often it was claimed and given back without one in between.
    pub(super) claimed: bool,
    pub(super) fruitless: u32,
    /// When a client first asked for its start.
    pub(super) started_ms: Option<u64>,
}

/// What is remembered of one worker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WorkerSeen {
    /// A fault can be felt until then.
    pub(super) felt_until_ms: u64,
}
