//! States put together from outside: what somebody else saw of a cluster, as a state of this model.

use super::World;
use super::bounds::{EXECUTIONS_MAX, WORKERS_MAX};
use super::drive::Drive;
use super::row::Row;
use super::state::{PARTITIONED, PAUSED, State};
use hydra_protocol::Protocol;

/// What is seen of one worker.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What it has in memory of each execution.
    pub drives: Vec<Option<Drive>>,
    /// It cannot reach the store.
    pub is_partitioned: bool,
    /// It stands still.
    pub is_paused: bool,
}

impl<P: Protocol + ?Sized + Sync + 'static> World<P> {
    /// The state of these executions and workers. Epochs must be [`LATEST`](super::row::LATEST) or
    /// [`OLDER`](super::row::OLDER), and times those of [`Moment`](super::clock::Moment). Parts beyond the bounds are
    /// left out.
    pub fn compose(&self, rows: &[Row], workers: &[Seen]) -> State {
        let mut state = State::START;
        for (row, at) in rows.iter().zip(0..self.layout.executions.min(EXECUTIONS_MAX)) {
            state.rows[at] = row.encode(&self.layout);
        }
        for (seen, at) in workers.iter().zip(0..self.layout.workers.min(WORKERS_MAX)) {
            for (drive, of) in seen.drives.iter().zip(0..self.layout.executions) {
                state.drives[at][of] = drive.map_or(0, |drive| drive.encode(&self.layout));
            }
            state.flags[at] =
                if seen.is_partitioned { PARTITIONED } else { 0 } | if seen.is_paused { PAUSED } else { 0 };
        }
        state
    }
}
