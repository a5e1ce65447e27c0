//! What is measured, and what came of it.

use serde::Serialize;

use super::place::StoreKind;

/// One row of the table: all that is varied.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Case {
    pub store: StoreKind,
    /// Executions at a time.
    pub concurrency: usize,
    /// Bytes of each execution's input.
    pub payload_bytes: usize,
    /// Steps of each execution.
    pub steps: u32,
    /// Rows of executions that have ended, present before the measurement begins.
    pub history_rows: u64,
    /// Worker processes; with one, worker and clients are in this process.
    pub processes: usize,
}

/// What was measured of it.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    #[serde(flatten)]
    pub case: Case,
    pub steps_done: u64,
    pub steps_per_s: f64,
    /// From asking to start an execution to having its result; none with several processes, where a backlog is drained.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// CPU of this process and its workers, for 1,000 steps.
    pub cpu_s_per_1000_steps: f64,
    /// CPU of the store's server, for 1,000 steps; none where there is none, or it is not this program's own.
    pub server_cpu_s_per_1000_steps: Option<f64>,
    /// The most memory that this process and its workers have held, in MiB.
    pub peak_mib: f64,
    /// The same rows by one writer without an engine; none where there is no such writer.
    pub raw_steps_per_s: Option<f64>,
}

impl Measured {
    pub fn ratio(&self) -> Option<f64> {
        self.raw_steps_per_s.map(|raw| self.steps_per_s / raw)
    }
}
