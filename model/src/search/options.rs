//! What to search for, how far, and with what.

use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How a search is run. The default is unbounded, on two threads, without symmetry, with all termination passes.
#[derive(Clone, Debug, Serialize)]
pub struct Options {
    /// Threads that search; at least one. The result does not depend on it.
    pub threads: usize,
    /// Whether to store one representative a class of symmetric states ([`Checkable::canonical`](super::Checkable::canonical)).
    pub symmetry: bool,
    /// Which termination passes to run.
    pub passes: Passes,
    /// Whether to go on after a violation, for the shortest counterexample of every property.
    pub keep_going: bool,
    /// Levels to expand: states further than this from the start are not reached.
    pub depth_max: Option<u32>,
    /// Distinct states to store, at most about 2.1 billion; looked at between batches, so a run ends a little above it.
    pub states_max: Option<u64>,
    /// Bytes that the search may allocate, its own growth included.
    pub memory_bytes_max: Option<u64>,
    /// Wall-clock time.
    pub time_max: Option<Duration>,
    /// Set it to end the run at the next batch, with what was seen so far.
    #[serde(skip)]
    pub stop: Option<Arc<AtomicBool>>,
    /// States that a thread takes at a time. The result does not depend on it.
    #[serde(skip)]
    pub chunk_states: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            threads: 2,
            symmetry: false,
            passes: Passes::ALL,
            keep_going: false,
            depth_max: None,
            states_max: None,
            memory_bytes_max: None,
            time_max: None,
            stop: None,
            chunk_states: 128,
        }
    }
}

/// The four tiers of termination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Passes {
    /// No state that is not done is stuck.
    pub stuck: bool,
    /// From every state, done can be reached without the help of a fault. Needs the edges, as does `livelock`.
    pub recover: bool,
    /// No cycle that the fairness assumptions allow avoids done.
    pub livelock: bool,
    /// The measure falls on every step.
    pub rank: bool,
}

impl Passes {
    /// Every tier.
    pub const ALL: Passes = Passes { stuck: true, recover: true, livelock: true, rank: true };
    /// Safety only; edges are not stored, which saves about half of the memory.
    pub const NONE: Passes = Passes { stuck: false, recover: false, livelock: false, rank: false };

    pub(super) fn needs_edges(self) -> bool {
        self.recover || self.livelock
    }
}
